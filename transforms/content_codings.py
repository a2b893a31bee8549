"""Bodies of HTTP responses as they were before they were compressed (RFC 9110, 8.4), bounded.

Bytes as they come from the network → bytes of the resource, piece by piece: ``gzip``, ``deflate``
(with its zlib frame, or without as some servers send it), ``br`` (RFC 7932) and ``zstd``
(RFC 9659), up to three of them one over the other. No coding gives more than the limit, nor more
than a small piece at a time: a body of a kilobyte that stands for a terabyte is given up at the
limit, whichever of its codings it grows in.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ACCEPTED_CODINGS = "gzip, deflate, br, zstd"
"""For ``Accept-Encoding``."""
MAX_CODINGS = 3
"""How many there may be one over the other."""
MAX_FRAMES = 1_000
"""Of how many gzip members or zstd frames a body may be made: each costs, however small."""
_PIECE_BYTES = 64 * 1024
_ZSTD_WINDOW_LOG = 23
"""8 MiB, which RFC 9659 lets no content coding of the web exceed."""


class CorruptContent(ValueError):  # noqa: N818 - it is what the content is
    """It is not compressed as its header says."""


class TruncatedContent(ValueError):  # noqa: N818 - it is what the content is
    """It is compressed as its header says, but ends too early."""


class OversizedContent(ValueError):  # noqa: N818 - it is what the content is
    """It decompresses to more than the limit."""


class ContentDecoder:
    """Undoes the content codings of one body.

    Args:
        content_encoding: the header's value; empty for none.
        max_bytes: what the body may have, decompressed.

    Raises:
        CorruptContent: it names a coding that is not known here, or too many.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in {"", "identity"}]
        if len(names) > MAX_CODINGS:
            raise CorruptContent(f"it has {len(names)} content codings, over {MAX_CODINGS}")
        unknown = [name for name in names if name not in _DECODERS]
        if unknown:
            raise CorruptContent(f"its content coding {unknown[0][:40]!r} is not known here")
        # They were applied in the order in which they are named.
        self._layers = [_Layer(name, max_bytes) for name in reversed(names)]

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Give what the next bytes of the body hold, in small pieces.

        Raises:
            CorruptContent, OversizedContent: as they say.
        """
        return _through(self._layers, chunk)

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            TruncatedContent: it should not have.
        """
        for layer in self._layers:
            layer.finish()


class BoundedBody:
    """A body in the making, counted as sent and as decompressed.

    Args:
        max_bytes: for each of both.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sent_bytes = 0
        self._content = bytearray()

    def add_sent(self, chunk: bytes) -> None:
        """Count a piece as it was sent.

        Raises:
            OversizedContent: it is one too many.
        """
        self._sent_bytes += len(chunk)
        if self._sent_bytes > self._max_bytes:
            self._refuse()

    def add(self, piece: bytes) -> None:
        """Add a piece, decompressed.

        Raises:
            OversizedContent: it is one too many.
        """
        self._content += piece
        if len(self._content) > self._max_bytes:
            self._refuse()

    def content(self) -> bytes:
        """All of them."""
        return bytes(self._content)

    def _refuse(self) -> None:
        raise OversizedContent(f"it has more than the limit of {self._max_bytes} bytes")


class _Decoder(Protocol):
    """One coding. ``pieces`` takes all it is given, and gives what it can of it."""

    is_complete: bool
    """Whether the content may end here."""

    def pieces(self, content: bytes) -> Iterator[bytes]: ...


class _Layer:
    """A coding with what it has given counted."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = name
        self._decoder = _DECODERS[name]()
        self._max_bytes = max_bytes
        self._given_bytes = 0
        self._has_begun = False

    def pieces(self, content: bytes) -> Iterator[bytes]:
        self._has_begun = self._has_begun or bool(content)
        try:
            for piece in self._decoder.pieces(content):
                self._given_bytes += len(piece)
                if self._given_bytes > self._max_bytes:
                    raise OversizedContent(
                        f"it decompresses to more than the limit of {self._max_bytes} bytes"
                    )
                yield piece
        except (zlib.error, brotli.error, zstd.ZstdError) as error:
            raise CorruptContent(f"it is not {self._name} as its header says: {error}") from error

    def finish(self) -> None:
        # Of nothing at all, servers state a coding too.
        if self._has_begun and not self._decoder.is_complete:
            raise TruncatedContent(f"its {self._name} data end too early")


def _through(layers: list[_Layer], content: bytes) -> Iterator[bytes]:
    if not layers:
        yield content
        return
    for piece in layers[0].pieces(content):
        yield from _through(layers[1:], piece)


class _Gzip:
    """Members one after the other (RFC 1952); what follows them and is none is passed over."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._members = 1
        self._is_over = False
        self.is_complete = False

    def pieces(self, content: bytes) -> Iterator[bytes]:
        while content and not self._is_over:
            if self.is_complete and not self._begin(content):
                return
            piece = self._inflater.decompress(content, _PIECE_BYTES)
            content = self._inflater.unconsumed_tail
            if piece:
                yield piece
            # Input may be used up while output still waits within.
            while not content and len(piece) == _PIECE_BYTES and not self._inflater.eof:
                piece = self._inflater.decompress(b"", _PIECE_BYTES)
                if piece:
                    yield piece
            if self._inflater.eof:
                self.is_complete = True
                content = self._inflater.unused_data

    def _begin(self, content: bytes) -> bool:
        """Start the next member; whether there is one."""
        if content[0] != 0x1F:
            self._is_over = True
            return False
        self._members += 1
        if self._members > MAX_FRAMES:
            raise zlib.error(f"more than {MAX_FRAMES} members")
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.is_complete = False
        return True


class _Deflate:
    """A zlib stream (RFC 1950), or the bare deflate data that some servers send for one."""

    def __init__(self) -> None:
        self._inflater: zlib._Decompress | None = None
        self._start = b""
        self.is_complete = False

    def pieces(self, content: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            content = self._start + content
            if len(content) < 2:
                self._start = content
                return
            is_zlib = content[0] & 0x0F == 8 and int.from_bytes(content[:2], "big") % 31 == 0
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        piece = b" "
        while not self._inflater.eof and (content or len(piece) == _PIECE_BYTES):
            piece = self._inflater.decompress(content, _PIECE_BYTES)
            content = self._inflater.unconsumed_tail
            if piece:
                yield piece
        self.is_complete = self._inflater.eof


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self.is_complete = False

    def pieces(self, content: bytes) -> Iterator[bytes]:
        if self.is_complete:
            return
        piece = self._decompressor.process(content, output_buffer_limit=_PIECE_BYTES)
        # It says that it can accept more while output still waits within, too.
        while piece or not self._decompressor.can_accept_more_data():
            yield piece
            if self._decompressor.is_finished():
                break
            piece = self._decompressor.process(b"", output_buffer_limit=_PIECE_BYTES)
        self.is_complete = self._decompressor.is_finished()


class _Zstd:
    """Frames one after the other (RFC 8878)."""

    def __init__(self) -> None:
        self._decompressor = _zstd_decompressor()
        self._frames = 1
        self.is_complete = False

    def pieces(self, content: bytes) -> Iterator[bytes]:
        while content:
            if self._decompressor.eof:
                self._begin()
            yield self._decompressor.decompress(content, _PIECE_BYTES)
            while not self._decompressor.eof and not self._decompressor.needs_input:
                yield self._decompressor.decompress(b"", _PIECE_BYTES)
            self.is_complete = self._decompressor.eof
            content = self._decompressor.unused_data if self.is_complete else b""

    def _begin(self) -> None:
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise zstd.ZstdError(f"more than {MAX_FRAMES} frames")
        self._decompressor = _zstd_decompressor()


def _zstd_decompressor() -> zstd.ZstdDecompressor:
    largest: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return zstd.ZstdDecompressor(options=largest)


_DECODERS: dict[str, type[_Decoder]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
