from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.gunzip import GzipStream, Member

ONE = b"The bridge is open again. " * 40
TWO = bytes(range(256)) * 12
CONTENTS = st.lists(st.sampled_from([b"", b"a", ONE, TWO]) | st.binary(max_size=300), max_size=4)
SIZES = st.sampled_from([1, 7, 400, 65_536])


class Trickle:
    """A stream that gives no more than so many bytes at a time."""

    def __init__(self, content: bytes, most: int) -> None:
        self._stream = io.BytesIO(content)
        self._most = most

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(self._most if size < 0 else min(size, self._most))


def drain(stream: GzipStream, size: int) -> tuple[bytes, str]:
    """All that can be had of a stream, and the error it ends with, if any."""
    content = b""
    try:
        while piece := stream.read(size):
            assert len(piece) <= size
            content += piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return content, f"{type(error).__name__}: {error}"
    return content, ""


@given(CONTENTS, SIZES, SIZES)
def test_members_give_their_contents_one_after_the_other(
    contents: list[bytes], most: int, size: int
) -> None:
    stored = b"".join(map(gzip.compress, contents))
    assert drain(GzipStream(Trickle(stored, most)), size) == (b"".join(contents), "")


def test_zeros_after_a_member_are_padding() -> None:
    stored = gzip.compress(ONE) + bytes(100_000) + gzip.compress(TWO) + bytes(3)
    assert drain(GzipStream(io.BytesIO(stored)), 999) == (ONE + TWO, "")


def test_it_says_where_members_begin_as_stored_and_decompressed() -> None:
    one, two = gzip.compress(ONE), gzip.compress(TWO)
    stream = GzipStream(io.BytesIO(one + bytes(2) + two), keep_members=True)
    drain(stream, 1000)
    assert list(stream.members or ()) == [Member(0, 0), Member(len(one) + 2, len(ONE))]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), SIZES, SIZES)
def test_damage_comes_after_the_same_bytes_in_whatever_sizes_it_is_read(
    where: float, flipped: int, most: int, size: int
) -> None:
    damaged = bytearray(gzip.compress(ONE) + gzip.compress(TWO) + gzip.compress(ONE))
    damaged[int(where * len(damaged))] ^= flipped
    whole = drain(GzipStream(io.BytesIO(damaged)), 1 << 20)
    assert drain(GzipStream(Trickle(bytes(damaged), most)), size) == whole


@given(st.floats(0, 1))
def test_of_what_was_cut_all_is_given_that_can_be_decompressed(where: float) -> None:
    stored = gzip.compress(TWO)
    cut = stored[: int(where * len(stored))]
    content, error = drain(GzipStream(io.BytesIO(cut)), 1000)
    assert content == zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(cut)
    assert error.startswith("EOFError") is (0 < len(cut) < len(stored))


def test_all_of_a_member_is_given_before_its_wrong_checksum_is_an_error() -> None:
    stored = bytearray(gzip.compress(TWO))
    stored[-5] ^= 1
    content, error = drain(GzipStream(io.BytesIO(stored)), 1000)
    assert content == TWO
    assert "incorrect data check" in error


def test_what_follows_a_member_and_is_none_is_an_error() -> None:
    stored = gzip.compress(ONE) + b"and more"
    assert drain(GzipStream(io.BytesIO(stored)), 1000) == (
        ONE,
        "BadGzipFile: no gzip member begins with b'an'",
    )


def test_an_error_stays_one() -> None:
    stream = GzipStream(io.BytesIO(gzip.compress(ONE)[:-9]))
    drain(stream, 1000)
    with pytest.raises(EOFError):
        stream.read(1)
