"""Gzip streams (RFC 1952), member by member, up to the last byte that can be had of a damaged one.

``gzip`` of the standard library would do but for two things. It loses what it had decompressed of
a piece when the piece turns out to be damaged, so that how much is had depends on where pieces
begin: an archive read in parts would give other records than one read as a whole. And it does not
say where a member begins, which is where a part can be read from without what stands before it.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

GZIP_START = b"\x1f\x8b"
"""How every member begins."""
_CHUNK_BYTES = 64 * 1024
_GZIP_FORMAT = zlib.MAX_WBITS | 16


class StoredStream(Protocol):
    """What is decompressed: ``read`` gives at most ``size`` bytes, and ``b""`` at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, none only at the end."""
        ...


class Member(NamedTuple):
    """Where a member of a gzip stream begins."""

    stored: int
    """In the stream as stored, in bytes."""
    decompressed: int
    """In what it decompresses to, in bytes."""


class GzipStream:
    """What a gzip stream holds, in however many members, one after the other.

    Whatever the sizes in which it is read, and those in which its own stream gives bytes, it gives
    the same bytes before the same error.
    """

    def __init__(self, stored: StoredStream, *, keep_members: bool = False) -> None:
        self._stored = stored
        self._input = b""
        """Read from the stored stream, not yet decompressed."""
        self._read_bytes = 0
        self._given_bytes = 0
        self._inflater: zlib._Decompress | None = None
        """Of the member that is being read; none between two."""
        self._began = False
        self._checkpoint = zlib.decompressobj(_GZIP_FORMAT)
        """The inflater before ``_replay``, from where all can be had up to a damaged byte."""
        self._replay = b""
        self._given_at_checkpoint = 0
        self._error: zlib.error | None = None
        self._recovered: Iterator[bytes] = iter(())
        self._left = b""
        """Recovered, but more than was asked for."""
        self.members: deque[Member] | None = deque() if keep_members else None
        """Those that have begun, for the caller to take away, if it asked to have them."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes (any number if negative), ``b""`` at the end.

        Raises:
            EOFError: the stream ends within a member; all before has been given.
            zlib.error, gzip.BadGzipFile: it is damaged; all before has been given.
            OSError: as the stored stream.
        """
        if size == 0:
            return b""
        size = _CHUNK_BYTES if size < 0 else size
        while self._error is None:
            if self._inflater is None and not self._begin_member():
                return b""
            try:
                content = self._decompress(size)
            except zlib.error as error:
                self._error = error
                self._recovered = self._recover()
                break
            if content:
                self._given_bytes += len(content)
                return content
        return self._read_recovered(size, self._error)

    def _read_recovered(self, size: int, error: zlib.error) -> bytes:
        content = self._left or next(self._recovered, b"")
        if not content:
            raise error
        self._left = content[size:]
        return content[:size]

    def _decompress(self, size: int) -> bytes:
        """Some of the member, or nothing where more input was needed or the member ended."""
        inflater = self._inflater
        assert inflater is not None
        content = inflater.decompress(self._input, size)
        if inflater.eof:
            self._inflater = None
            self._input = inflater.unused_data
        else:
            self._input = inflater.unconsumed_tail
            if not content and not self._input:
                if not self._fill():
                    raise EOFError("the stream ends within a gzip member")
                self._set_checkpoint(inflater.copy())
        return content

    def _fill(self) -> bool:
        """Read on in the stored stream; whether there was more."""
        chunk = self._stored.read(_CHUNK_BYTES)
        self._read_bytes += len(chunk)
        self._input += chunk
        return bool(chunk)

    def _begin_member(self) -> bool:
        """Start with the next member; whether there is one. Zeros between members are padding."""
        while True:
            if self._began:
                self._input = self._input.lstrip(b"\0")
            if len(self._input) >= len(GZIP_START) or not self._fill():
                break
        if not self._input:
            return False
        if not self._input.startswith(GZIP_START):
            if GZIP_START.startswith(self._input):
                raise EOFError("the stream ends within the header of a gzip member")
            raise gzip.BadGzipFile(f"no gzip member begins with {self._input[:2]!r}")
        if self.members is not None:
            self.members.append(Member(self._read_bytes - len(self._input), self._given_bytes))
        self._began = True
        self._inflater = zlib.decompressobj(_GZIP_FORMAT)
        self._set_checkpoint(zlib.decompressobj(_GZIP_FORMAT))
        return True

    def _set_checkpoint(self, inflater: zlib._Decompress) -> None:
        self._checkpoint = inflater
        self._replay = self._input
        self._given_at_checkpoint = self._given_bytes

    def _recover(self) -> Iterator[bytes]:
        """What can be had between the last byte given and the damaged one."""
        passed_over = self._given_bytes - self._given_at_checkpoint
        for at in range(len(self._replay)):
            try:
                content = self._checkpoint.decompress(self._replay[at : at + 1])
            except zlib.error:
                return
            if content[passed_over:]:
                yield content[passed_over:]
            passed_over = max(0, passed_over - len(content))
