from __future__ import annotations

import gzip
import io
import random
import zlib
from collections import Counter
from collections.abc import Callable

import brotli
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Failure, Page, Source
from transforms.archives import (
    ArchiveDamage,
    PartOrigins,
    RecordMark,
    escape_id,
    index_archive,
    looks_like_html,
    read_archive,
)

SEEN = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")
RECORD_DATE = "2020-01-14T10:20:30Z"
A = Source("a", -1)
HTML = "<!DOCTYPE html><html><body><p>Die Brücke ist wieder offen.</p></body></html>".encode()


def http(
    body: bytes, *, status: str = "200 OK", media_type: str = "text/html", **headers: str
) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"Content-Type: {media_type}"] if media_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def record(
    block: bytes,
    number: int = 1,
    *,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    date: str = RECORD_DATE,
    record_id: str | None = None,
) -> bytes:
    record_id = record_id or f"<urn:uuid:00000000-0000-4000-8000-{number:012}>"
    header = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\n"
        f"WARC-Record-ID: {record_id}\r\n"
        f"WARC-Date: {date}\r\nWARC-Target-URI: https://news.example/{number}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return header.encode() + block + b"\r\n\r\n"


def read(archive: bytes, *, max_record_bytes: int = 10_000) -> list[Page | Failure]:
    return list(
        read_archive(
            io.BytesIO(archive),
            Source("/archives/a.warc", len(archive)),
            SEEN,
            max_record_bytes=max_record_bytes,
            max_payload_bytes=100,
        )
    )


def only_page(archive: bytes) -> Page:
    (unit,) = read(archive)
    assert isinstance(unit, Page), unit
    return unit


def only_failure(archive: bytes, **limits: int) -> Failure:
    (unit,) = read(archive, **limits)
    assert isinstance(unit, Failure), unit
    return unit


def test_a_response_becomes_a_page_with_its_url_date_and_charset() -> None:
    page = only_page(record(http(HTML, media_type='text/html; charset="utf-8"')))
    assert page == Page(
        origin="/archives/a.warc#00000000-0000-4000-8000-000000000001",
        source_uri="/archives/a.warc",
        kind="html",
        content=HTML,
        observed_at=Timestamp.from_rfc3339(RECORD_DATE),
        charset="utf-8",
        url="https://news.example/1",
    )


def test_a_resource_record_holds_the_page_itself() -> None:
    page = only_page(record(HTML, kind="resource", content_type="text/html; charset=latin-1"))
    assert (page.content, page.charset) == (HTML, "latin-1")


def test_plain_text_becomes_a_text_page() -> None:
    assert only_page(record(http(b"plain words", media_type="text/plain"))).kind == "text"


def test_html_that_its_server_calls_plain_text_is_html() -> None:
    assert only_page(record(http(HTML, media_type="text/plain"))).kind == "html"


def test_a_payload_without_media_type_is_looked_at() -> None:
    assert only_page(record(http(HTML, media_type=""))).kind == "html"
    assert only_failure(record(http(b"\x00\x01", media_type=""))).reason == "not-a-page"


def test_a_record_without_usable_date_was_seen_when_the_run_began() -> None:
    assert only_page(record(http(HTML), date="yesterday")).observed_at == SEEN


@pytest.mark.parametrize(
    "date",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z",
        "2026-11-20T00:00:01Z",
    ],
)
def test_a_record_is_observed_after_the_web_began_and_before_it_is_read(date: str) -> None:
    assert only_page(record(http(HTML), date=date)).observed_at == SEEN


@given(st.integers(0, 9999), st.integers(0, 13), st.sampled_from(["Z", "+14:00", "-12:00", ""]))
def test_no_record_is_observed_after_it_is_read(year: int, month: int, zone: str) -> None:
    date = f"{year:04}-{month:02}-01T00:00:00{zone}"
    assert only_page(record(http(HTML), date=date)).observed_at <= SEEN


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(HTML, mtime=0), {"Content_Encoding": "gzip"}),
        (gzip.compress(HTML, mtime=0), {"Content_Encoding": "X-GZIP"}),
        (zlib.compress(HTML), {"Content_Encoding": "deflate"}),
        (raw_deflate(HTML), {"Content_Encoding": "deflate"}),
        (brotli.compress(HTML), {"Content_Encoding": "br"}),
        (chunked(HTML), {"Transfer_Encoding": "chunked"}),
        (
            chunked(gzip.compress(HTML, mtime=0)),
            {"Content_Encoding": "gzip", "Transfer_Encoding": "chunked"},
        ),
        (HTML, {"Content_Encoding": "identity"}),
    ],
)
def test_codings_are_undone(body: bytes, headers: dict[str, str]) -> None:
    assert only_page(record(http(body, **headers))).content == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "utf-8", "gzip, gzip"])
def test_a_payload_stored_decoded_under_its_old_header_is_taken_as_it_is(coding: str) -> None:
    assert only_page(record(http(HTML, Content_Encoding=coding))).content == HTML


def test_a_payload_stored_without_its_chunks_is_taken_as_it_is() -> None:
    assert only_page(record(http(HTML, Transfer_Encoding="chunked"))).content == HTML


@pytest.mark.parametrize(
    ("compress", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")]
)
def test_a_payload_whose_compressed_content_is_cut_fails_as_truncated(
    compress: Callable[[bytes], bytes], coding: str
) -> None:
    noise = random.Random(1).randbytes(2_000).hex().encode()
    stored = compress(b"<html><p>" + noise)
    failure = only_failure(record(http(stored[: len(stored) // 2], Content_Encoding=coding)))
    assert (failure.kind, failure.reason) == ("failed", "truncated")
    assert failure.payload == stored[:100]


def test_all_gzip_members_of_a_payload_are_decompressed() -> None:
    stored = gzip.compress(HTML[:20]) + gzip.compress(HTML[20:])
    assert only_page(record(http(stored, Content_Encoding="gzip"))).content == HTML


def test_what_follows_a_gzip_member_and_is_none_is_passed_over() -> None:
    stored = gzip.compress(HTML) + b"<!-- appended by the server -->"
    assert only_page(record(http(stored, Content_Encoding="gzip"))).content == HTML


def test_a_payload_in_another_coding_than_stated_fails_as_undecodable() -> None:
    failure = only_failure(record(http(zlib.compress(HTML)[2:], Content_Encoding="gzip")))
    assert (failure.kind, failure.reason) == ("failed", "undecodable")
    assert "'gzip'" in failure.message


@pytest.mark.parametrize("status", ["404 Not Found", "301 Moved Permanently", "503 Busy"])
def test_an_answer_other_than_200_is_rejected(status: str) -> None:
    failure = only_failure(record(http(HTML, status=status)))
    assert (failure.kind, failure.reason) == ("rejected", "http-status")
    assert failure.message == f"the server answered with HTTP status {status[:3]}, not 200"


@pytest.mark.parametrize("media_type", ["image/png", "application/json", "application/rss+xml"])
def test_other_media_types_are_rejected(media_type: str) -> None:
    failure = only_failure(record(http(b"...", media_type=media_type)))
    assert (failure.kind, failure.reason) == ("rejected", "not-a-page")
    assert media_type in failure.message


def test_an_empty_payload_is_rejected() -> None:
    assert only_failure(record(http(b" \r\n"))).reason == "empty"


def test_records_that_are_no_pages_are_counted_and_give_nothing() -> None:
    skipped: Counter[str] = Counter()
    archive = b"".join(
        record(b"fields", number, kind=kind, content_type="application/warc-fields")
        for number, kind in enumerate(["warcinfo", "request", "metadata", "revisit", "request"])
    )
    units = read_archive(
        io.BytesIO(archive), A, SEEN, max_record_bytes=9, max_payload_bytes=9, skipped=skipped
    )
    assert list(units) == []
    assert skipped == {"warcinfo": 1, "request": 2, "metadata": 1, "revisit": 1}


def test_a_record_over_the_limit_fails_and_the_next_is_read() -> None:
    big, small = read(record(http(HTML * 20)) + record(http(HTML), 2), max_record_bytes=500)
    assert isinstance(big, Failure)
    assert (big.kind, big.reason, big.url) == ("failed", "too-large", "https://news.example/1")
    assert "the limit is 500" in big.message
    assert isinstance(small, Page)


def test_a_payload_that_decodes_to_more_than_the_limit_fails() -> None:
    bomb = gzip.compress(b"<p>" * 1_000_000)
    failure = only_failure(record(http(bomb, Content_Encoding="gzip")), max_record_bytes=5000)
    assert failure.reason == "too-large"


def test_an_http_record_without_status_line_is_corrupt() -> None:
    assert only_failure(record(b"no header at all")).reason == "corrupt"


def test_a_record_id_that_is_used_twice_gives_two_origins() -> None:
    one, two = read(record(http(HTML)) * 2)
    assert two.origin == f"{one.origin};2"


def test_an_id_that_looks_like_a_repeated_one_keeps_its_own_origin() -> None:
    ids = ["a", "a", "a;2", "a", "a;2"]
    units = read(b"".join(record(http(HTML), record_id=f"<{name}>") for name in ids))
    names = [unit.origin.rpartition("#")[2] for unit in units]
    assert names == ["a", "a;2", "a;2;2", "a;3", "a;2;3"]


def test_a_record_without_id_is_named_by_its_place() -> None:
    unnamed = record(http(HTML), record_id="<>")
    names = [unit.origin.rpartition("#")[2] for unit in read(unnamed * 2)]
    assert names == ["record-at-0", f"record-at-{len(unnamed)}"]


@pytest.mark.parametrize(
    ("part_id", "escaped"),
    [
        ("https://news.example/caf%C3%A9?q=100%", "https://news.example/caf%C3%A9?q=100%"),
        ("a\nb", "a%0Ab"),
        ("a%0Ab", "a%250Ab"),
        ("a%0ab", "a%0ab"),
        ("\x85", "%C2%85"),
        ("\ud800", "%ED%A0%80"),
        ("%25", "%2525"),
    ],
)
def test_an_id_in_an_origin_can_be_printed(part_id: str, escaped: str) -> None:
    assert escape_id(part_id) == escaped


ESCAPES = st.sampled_from(
    ["%", "%25", "25", "0A", "%0A", "\n", "\x85", "%C2", "%85", "\ud800", "%ED", "%A0", "%80", ";2"]
)


@given(
    st.lists(ESCAPES, max_size=6).map("".join) | st.text(st.characters(codec=None), max_size=6),
    st.lists(ESCAPES, max_size=6).map("".join),
)
def test_different_ids_are_escaped_differently(one: str, other: str) -> None:
    assert (escape_id(one) == escape_id(other)) is (one == other)
    assert escape_id(one).encode().decode() == escape_id(one)


@given(st.lists(st.lists(st.sampled_from(["a", ";2", ";3", "\n"]), max_size=3).map("".join)))
def test_every_part_of_a_file_has_an_origin_of_its_own(ids: list[str]) -> None:
    origins = PartOrigins("/a.xml")
    assert len({origins.of(part_id) for part_id in ids}) == len(ids)


def test_an_index_says_where_records_begin_and_which_are_pages() -> None:
    archive = [
        record(b"GET / HTTP/1.1", kind="request"),
        record(http(HTML), 2),
        record(http(HTML, status="404 Not Found"), 2),
    ]
    one, two, three = index_archive(io.BytesIO(b"".join(archive)), A)
    assert one == RecordMark(0, 14, is_page=False, renamed=None)
    assert two == RecordMark(len(archive[0]), len(http(HTML)), is_page=True, renamed=None)
    assert three.position == len(archive[0]) + len(archive[1])
    assert three.renamed == "00000000-0000-4000-8000-000000000002;2"


def test_an_index_ends_at_the_record_that_is_damaged() -> None:
    cut = b"".join([record(http(HTML)), record(http(HTML), 2)])[:-40]
    assert len(list(index_archive(io.BytesIO(cut), A))) == 2
    broken = record(http(HTML)) + b"garbage\r\n\r\n" * 20 + record(http(HTML), 2)
    assert len(list(index_archive(io.BytesIO(broken), A))) == 1


@pytest.mark.parametrize(("after", "reason"), [(b"", "truncated"), (b"words\r\n" * 9, "corrupt")])
def test_a_record_that_states_no_length_is_damage_cut_off_where_nothing_follows(
    after: bytes, reason: str
) -> None:
    lacking = b"WARC/1.1\r\nWARC-Type: response\r\n\r\n"
    with pytest.raises(ArchiveDamage, match="after the first 1 states no length") as damage:
        read(record(http(HTML)) + lacking + after)
    assert damage.value.reason == reason


def test_what_is_no_archive_is_corrupt() -> None:
    with pytest.raises(ArchiveDamage, match="broken after 0 records") as damage:
        read(b"WARC/1.1 is a file format.\r\n\r\n" * 9)
    assert damage.value.reason == "corrupt"


def test_records_before_the_damage_are_given() -> None:
    units = read_archive(
        io.BytesIO(record(http(HTML)) + b"garbage\r\n\r\n" * 20),
        A,
        SEEN,
        max_record_bytes=10_000,
        max_payload_bytes=0,
    )
    assert isinstance(next(units), Page)
    with pytest.raises(ArchiveDamage, match="after 1 records"):
        next(units)


RECORDS = [
    record(http(HTML)),
    record(b"GET / HTTP/1.1", 2, kind="request"),
    record(http(b"\x89PNG", media_type="image/png"), 3),
    record(http(HTML), 4),
]
ENDS = [sum(map(len, RECORDS[: count + 1])) for count in range(len(RECORDS))]
ARCHIVE = b"".join(RECORDS)


@settings(deadline=None)
@given(st.integers(0, len(ARCHIVE)))
def test_an_archive_cut_anywhere_gives_its_whole_pages_and_says_that_it_was_cut(cut: int) -> None:
    pages, failures, damaged = 0, [], False
    try:
        for unit in read_archive(
            io.BytesIO(ARCHIVE[:cut]), A, SEEN, max_record_bytes=10_000, max_payload_bytes=0
        ):
            if isinstance(unit, Page):
                pages += 1
            else:
                failures.append(unit.reason)
    except ArchiveDamage:
        damaged = True
    # A record is whole without the four bytes that part it from the next.
    assert pages == (cut >= ENDS[0] - 4) + (cut >= ENDS[3] - 4)
    is_between_records = cut == 0 or any(end - 4 <= cut <= end for end in ENDS)
    said_so = damaged or "truncated" in failures or "corrupt" in failures
    assert said_so is not is_between_records


class _Failing(io.BytesIO):
    """A stream whose disk fails after its content."""

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk:
            raise OSError(5, "Input/output error")
        return chunk


def test_an_error_of_the_disk_is_not_taken_for_the_end_of_the_archive() -> None:
    units = read_archive(
        _Failing(ARCHIVE[: ENDS[0]]), A, SEEN, max_record_bytes=10_000, max_payload_bytes=0
    )
    with pytest.raises(OSError, match="Input/output error"):
        list(units)


@pytest.mark.parametrize(
    ("content", "is_html"),
    [
        (b"<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>", True),
        (b"\xef\xbb\xbf\n<!-- saved --><html lang=en>", True),
        (b"<?xml version='1.0'?><!DOCTYPE html>", True),
        ("<html><head>".encode("utf-16"), True),
        (b"<rss version='2.0'>", False),
        (b"The <html> element is the root of a page.", False),
        (b"", False),
    ],
)
def test_html_is_known_by_how_it_begins(content: bytes, is_html: bool) -> None:
    assert looks_like_html(content) is is_html


@pytest.mark.parametrize("start", [b" ", b"\n", b"<!--a-->", b"<?xml?>"])
def test_text_behind_much_that_may_stand_before_html_is_told_at_once(start: bytes) -> None:
    """To try each way in which it may stand there took for ever."""
    assert not looks_like_html(start * 500 + b"A centred title")
    assert looks_like_html(start * 100 + b"<html>")
