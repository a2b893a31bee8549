"""Bodies come out as they went in, whatever the pieces, and bombs are not set off."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_server import compress

from transforms.content_codings import (
    MAX_FRAMES,
    ContentDecoder,
    CorruptContent,
    OversizedContent,
    TruncatedContent,
)

LIMIT = 1 << 20
CODINGS = ["gzip", "deflate", "br", "zstd"]
each_coding = pytest.mark.parametrize("coding", CODINGS)


def decoded(coding: str, *chunks: bytes, max_bytes: int = LIMIT) -> bytes:
    decoder = ContentDecoder(coding, max_bytes)
    body = b"".join(piece for chunk in chunks for piece in decoder.decode(chunk))
    decoder.finish()
    return body


def cut(content: bytes, at: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(content) + 1) for place in at), len(content)]
    return [content[start:end] for start, end in pairwise(ends)]


@given(
    body=st.binary(max_size=2_000) | st.integers(0, 400_000).map(lambda size: b"ab" * (size // 2)),
    names=st.lists(st.sampled_from(CODINGS), max_size=3),
    at=st.lists(st.integers(0, 10_000), max_size=5),
)
def test_a_body_comes_out_as_it_went_in_however_it_is_cut(
    body: bytes, names: list[str], at: list[int]
) -> None:
    sent = body
    for name in names:
        sent = compress(sent, name)
    assert decoded(", ".join(names), *cut(sent, at)) == body


@each_coding
@pytest.mark.parametrize("pieces", [1, 2, 7, 500])
def test_a_body_that_is_much_smaller_compressed_comes_out_whole(coding: str, pieces: int) -> None:
    body = b"<item>again</item>" * 40_000
    sent = compress(body, coding)
    step = len(sent) // pieces + 1
    assert decoded(coding, *(sent[at : at + step] for at in range(0, len(sent), step))) == body


@each_coding
def test_a_body_that_grows_past_the_limit_is_given_up_there(coding: str) -> None:
    bomb = compress(bytes(64 * LIMIT), coding)
    assert len(bomb) < LIMIT / 8
    pieces: list[bytes] = []
    with pytest.raises(OversizedContent, match=f"limit of {LIMIT} bytes"):
        pieces.extend(ContentDecoder(coding, LIMIT).decode(bomb))
    assert sum(map(len, pieces)) <= LIMIT


def test_a_bomb_within_a_bomb_is_given_up_in_the_outer_one() -> None:
    bomb = compress(compress(bytes(256 * LIMIT), "gzip") * 64, "gzip")
    with pytest.raises(OversizedContent):
        decoded("gzip, gzip", bomb)


@each_coding
def test_a_body_that_ends_too_early_is_told(coding: str) -> None:
    sent = compress(b"to be continued" * 50, coding)
    with pytest.raises(TruncatedContent, match=coding):
        decoded(coding, sent[:-3])


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_body_that_is_not_compressed_is_told(coding: str) -> None:
    with pytest.raises(CorruptContent, match=f"not {coding}"):
        decoded(coding, b"<rss></rss>" * 20)


@each_coding
def test_an_empty_body_is_empty_in_every_coding(coding: str) -> None:
    assert decoded(coding) == decoded(coding, b"") == b""


def test_deflate_is_read_with_and_without_its_frame() -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    sent = bare.compress(b"bare") + bare.flush()
    assert decoded("deflate", sent[:1], sent[1:]) == b"bare"
    assert decoded("deflate", zlib.compress(b"framed")) == b"framed"


def test_what_follows_a_gzip_member_and_is_none_is_passed_over() -> None:
    sent = gzip.compress(b"one ") + gzip.compress(b"two")
    assert decoded("gzip", sent + b"\0\0\0") == b"one two"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_of_very_many_empty_parts_is_refused(coding: str) -> None:
    with pytest.raises(CorruptContent, match=f"more than {MAX_FRAMES}"):
        decoded(coding, compress(b"", coding) * (MAX_FRAMES + 1))


def test_a_zstd_frame_that_wants_too_much_memory_is_refused() -> None:
    frame = bytes.fromhex("28b52ffd") + bytes([0b0000_0000, (27 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(CorruptContent, match="zstd"):
        decoded("zstd", frame)


@pytest.mark.parametrize("header", ["compress", "gzip, snappy"])
def test_a_coding_that_is_not_known_is_told_by_its_name(header: str) -> None:
    with pytest.raises(CorruptContent, match=header.rpartition(" ")[2]):
        ContentDecoder(header, LIMIT)


def test_too_many_codings_are_refused() -> None:
    with pytest.raises(CorruptContent, match="4 content codings"):
        ContentDecoder("gzip, gzip, gzip, gzip", LIMIT)


def test_no_coding_is_one_that_changes_nothing() -> None:
    assert decoded("", b"as ", b"is") == decoded("identity", b"as is") == b"as is"


@given(coding=st.sampled_from(CODINGS), chunks=st.lists(st.binary(max_size=200), max_size=4))
def test_no_bytes_raise_anything_else(coding: str, chunks: list[bytes]) -> None:
    with suppress(CorruptContent, OversizedContent, TruncatedContent):
        decoded(coding, *chunks)
