from __future__ import annotations

import gzip
import itertools
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local import local_runner
from schemas.records import Failure, Page, Source
from transforms.reading import (
    ReadLimits,
    ReadPages,
    kind_by_name,
    local_path,
    local_uri,
    read_source,
    split_archive,
)

SEEN = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")
LIMITS = ReadLimits(max_input_bytes=50_000, max_record_bytes=5_000, max_payload_bytes=1_000)


def _packed(content: bytes) -> bytes:
    """Without the time: it is in the names of tests, which processes that share them compare."""
    return gzip.compress(content, mtime=0)


HTML = b"<!DOCTYPE html><html><body><p>The bridge is open again.</p></body></html>"
JSON_FEED = (
    b'{"version": "https://jsonfeed.org/version/1.1", "title": "Example",'
    b' "items": [{"id": "1", "content_text": "The bridge is open again."}]}'
)
SITEMAP = b"<urlset><url><loc>https://news.example/1</loc></url></urlset>"
RSS = (
    b'<?xml version="1.0"?><rss version="2.0"><channel><title>Example</title>'
    b"<item><guid>https://news.example/1</guid></item>"
    b"<item><title>Only a title</title></item></channel></rss>"
)
WARC = (
    b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:0001>\r\n"
    b"WARC-Date: 2020-01-14T10:20:30Z\r\nWARC-Target-URI: https://news.example/1\r\n"
    b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n%b\r\n\r\n" % (len(HTML), HTML)
)

Read = Callable[[str, bytes], list[Page | Failure]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file and read it as a source."""

    def write_and_read(name: str, content: bytes) -> list[Page | Failure]:
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_source(Source(str(path), len(content)), SEEN, LIMITS))

    return write_and_read


def read_path(path: Path) -> Failure:
    (failure,) = read_source(Source(str(path), -1), SEEN, LIMITS)
    assert isinstance(failure, Failure)
    return failure


def only_kind(units: list[Page | Failure]) -> str:
    (unit,) = units
    assert isinstance(unit, Page), unit
    return unit.kind


def only_failure(units: list[Page | Failure]) -> Failure:
    (unit,) = units
    assert isinstance(unit, Failure), unit
    return unit


def reasons(units: list[Page | Failure]) -> list[str]:
    return [unit.reason if isinstance(unit, Failure) else unit.kind for unit in units]


# ── kinds ───────────────────────────────────────────────────────────────────────────────────────


def test_a_text_dump_is_one_page_of_its_bytes(read: Read, tmp_path: Path) -> None:
    uri = str(tmp_path / "dump.txt")
    assert read("dump.txt", b"Bridge reopens\r\n") == [
        Page(
            origin=uri,
            source_uri=uri,
            kind="text",
            content=b"Bridge reopens\r\n",
            observed_at=SEEN,
        )
    ]


@pytest.mark.parametrize("name", ["page.html", "page.HTM", "page.html.gz", "page"])
def test_a_saved_page_is_html(read: Read, name: str) -> None:
    content = gzip.compress(HTML) if name.endswith(".gz") else HTML
    assert only_kind(read(name, content)) == "html"


def test_a_feed_gives_a_page_or_failure_for_each_item(read: Read, tmp_path: Path) -> None:
    page, failure = read("news.rss", RSS)
    assert page.origin == f"{tmp_path}/news.rss#https://news.example/1"
    assert isinstance(failure, Failure)
    assert failure.reason == "empty-item"


@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz", "crawl"])
def test_an_archive_gives_its_records(read: Read, tmp_path: Path, name: str) -> None:
    content = gzip.compress(WARC) if name.endswith(".gz") else WARC
    (page,) = read(name, content)
    assert isinstance(page, Page)
    assert page.origin == f"{tmp_path}/{name}#0001"
    assert page.observed_at == Timestamp.from_rfc3339("2020-01-14T10:20:30Z")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("page.txt", HTML, "html"),
        ("page.txt", b"\xef\xbb\xbf" + HTML, "html"),
        ("page.txt", HTML.decode().encode("utf-16"), "html"),
        ("page.xml", b'<?xml version="1.0"?>' + HTML, "html"),
        ("feed.html", RSS, "feed-item"),
        ("feed.txt", RSS, "feed-item"),
        ("feed.json", JSON_FEED, "feed-item"),
        ("feed.txt", JSON_FEED, "feed-item"),
        ("sitemap.xml", SITEMAP, "feed-item"),
        ("sitemap", SITEMAP, "feed-item"),
        ("crawl.html", WARC, "html"),
        ("dump.html", b"No markup in here, whatever the name says.", "text"),
        ("dump.gz", b"Not compressed, whatever the name says.", "text"),
        ("dump.txt", _packed(b"Compressed, whatever the name says."), "text"),
        ("dump.txt", _packed(_packed(b"Compressed twice over.")), "text"),
        ("dump.txt", b"<b>Bold</b> words in a dump are no page.", "text"),
        ("part.txt", b"<div><p>A fragment</p><p>of a page</p></div>", "html"),
    ],
)
def test_content_outranks_the_name(read: Read, name: str, content: bytes, kind: str) -> None:
    unit, *_ = read(name, content)
    assert isinstance(unit, Page), unit
    assert unit.kind == kind


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("/data/a.txt", "text"),
        ("gs://bucket/a.b/page.HTML.gz", "html"),
        ("/data/a.rss", "feed"),
        ("/data/a.warc.gz", "archive"),
        ("/data/a.pdf", None),
        ("/data.txt/README", None),
    ],
)
def test_a_name_may_tell_the_kind(uri: str, kind: str | None) -> None:
    assert kind_by_name(uri) == kind


# ── what is no page ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \r\n\t", "it holds nothing but white space (4 bytes)"),
        (b"\xef\xbb\xbf\n", "it holds nothing but white space (4 bytes)"),
        ("\u00a0\n".encode("utf-16"), "it holds nothing but white space (6 bytes)"),
    ],
)
def test_an_empty_file_is_rejected(read: Read, content: bytes, message: str) -> None:
    failure = only_failure(read("dump.txt", content))
    assert (failure.kind, failure.reason, failure.message) == ("rejected", "empty", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n....", "not text: it looks like a PNG image"),
        (b"\xff\xd8\xff\xe0....", "not text: it looks like a JPEG image"),
        (bytes(range(256)) * 4, "not text: 4 of its 1,024 bytes are NUL"),
    ],
)
def test_a_binary_file_is_rejected(read: Read, content: bytes, message: str) -> None:
    failure = only_failure(read("dump.txt", content))
    assert (failure.kind, failure.reason, failure.message) == ("rejected", "binary", message)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04....", "ZIP"),
        (b'{"title": "Bridge reopens"}', "JSON"),
        (b"[{}]", "JSON"),
        (b'<?xml version="1.0"?><inventory><part/></inventory>', "<inventory>"),
        (b"From: <Saved>\nMIME-Version: 1.0\nContent-Type: multipart/related;\n\n--x", "MHTML"),
        (_packed(_packed(_packed(b"words"))), "gzip"),
    ],
)
def test_other_documents_are_rejected_by_name(read: Read, content: bytes, named: str) -> None:
    failure = only_failure(read("unnamed", content))
    assert (failure.kind, failure.reason) == ("rejected", "unsupported-kind")
    assert named in failure.message


def test_a_feed_without_items_is_rejected(read: Read) -> None:
    failure = only_failure(read("a.xml", b"<rss version='2.0'><channel/></rss>"))
    assert (failure.kind, failure.reason) == ("rejected", "empty-feed")


def test_a_saved_sitemap_index_names_no_page(read: Read) -> None:
    content = b"<sitemapindex><sitemap><loc>https://news.example/a.xml</loc></sitemap>"
    failure = only_failure(read("a.xml", content + b"</sitemapindex>"))
    assert (failure.kind, failure.reason) == ("rejected", "empty-feed")
    assert failure.message == "the sitemap index has no items"


def test_a_cut_off_json_feed_is_a_malformed_feed(read: Read) -> None:
    failure = only_failure(read("feed.json", JSON_FEED[:-4]))
    assert (failure.kind, failure.reason) == ("failed", "malformed-feed")
    assert "line 1, column" in failure.message


@pytest.mark.parametrize(
    "stray", [b"<br />\n<b>Warning</b>: no such file<br />\n", b"Notice: undefined index\n"]
)
@pytest.mark.parametrize(
    "feed",
    [
        b"<?xml version='1.0'?><rss version='2.0'><channel><item>"
        b"<link>https://news.example/1</link></item></channel></rss>",
        b"<urlset><url><loc>https://news.example/1</loc></url></urlset>",
    ],
)
def test_a_feed_is_one_after_what_a_broken_server_wrote_before_it(
    read: Read, stray: bytes, feed: bytes
) -> None:
    (page,) = read("a.xml", stray + feed)
    assert isinstance(page, Page)
    assert page.url == "https://news.example/1"


@pytest.mark.parametrize("content", [b"<rss version='2.0'><cha", b"no markup"])
def test_a_broken_feed_fails_and_keeps_its_bytes(read: Read, content: bytes) -> None:
    failure = only_failure(read("a.rss", content))
    assert (failure.kind, failure.reason) == ("failed", "malformed-feed")
    assert "line 1, column" in failure.message
    assert failure.payload == content


def test_an_archive_of_other_records_is_rejected_with_their_number(read: Read) -> None:
    failure = only_failure(read("a.warc", WARC.replace(b": resource", b": metadata") * 2))
    assert (failure.kind, failure.reason) == ("rejected", "empty")
    assert failure.message.endswith("2 metadata")


def test_a_file_that_is_an_archive_by_name_only_is_corrupt(read: Read) -> None:
    assert only_failure(read("a.warc", b"words")).reason == "corrupt"


def test_a_text_in_no_known_encoding_fails(read: Read) -> None:
    failure = only_failure(read("a.txt", b"\x81\x8d\x90\xff\xfe\xf8" * 50))
    assert (failure.kind, failure.reason) == ("failed", "undecodable")


# ── damage and limits ───────────────────────────────────────────────────────────────────────────

INCOMPRESSIBLE = " ".join(str(number * number) for number in range(3000)).encode()


def test_a_gzip_file_that_ends_early_keeps_what_could_be_read(read: Read) -> None:
    failure = only_failure(read("a.txt.gz", gzip.compress(INCOMPRESSIBLE)[:-2000]))
    assert (failure.kind, failure.reason) == ("failed", "truncated")
    assert failure.payload == INCOMPRESSIBLE[: LIMITS.max_payload_bytes]


@pytest.mark.parametrize("at", [-6, -2000])
def test_a_damaged_gzip_file_is_corrupt(read: Read, at: int) -> None:
    damaged = bytearray(gzip.compress(INCOMPRESSIBLE))
    damaged[at] ^= 0xFF
    failure = only_failure(read("a.txt.gz", bytes(damaged)))
    assert (failure.kind, failure.reason) == ("failed", "corrupt")


def test_a_file_over_the_limit_fails_and_says_both_sizes(read: Read) -> None:
    failure = only_failure(read("a.txt", b"x" * 50_001))
    assert (failure.kind, failure.reason) == ("failed", "too-large")
    assert failure.message == "it holds 50,001 bytes; the limit is 50,000"


def test_a_file_of_just_the_limit_is_read(read: Read) -> None:
    assert only_kind(read("a.txt", b"words " * 8_333 + b"xx")) == "text"


def test_a_gzip_bomb_is_not_decompressed_beyond_the_limit(read: Read) -> None:
    failure = only_failure(read("a.txt.gz", gzip.compress(b"0" * 5_000_000)))
    assert failure.reason == "too-large"
    assert failure.message == "it decompresses to more than 50,000 bytes, the limit"
    assert len(failure.payload) == LIMITS.max_payload_bytes


def test_an_archive_may_be_larger_than_the_limit_of_a_file(read: Read) -> None:
    assert len(read("a.warc", WARC * 200)) == 200


def test_what_stands_before_the_damage_of_an_archive_is_given(read: Read) -> None:
    archive = gzip.compress(WARC) + gzip.compress(WARC)
    assert reasons(read("a.warc.gz", archive[:-20])) == ["html", "truncated"]


def test_limits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="max_record_bytes must not be negative; it is -1"):
        ReadLimits(max_record_bytes=-1)


# ── the filesystem ──────────────────────────────────────────────────────────────────────────────


def test_a_file_that_vanished_is_not_found(tmp_path: Path) -> None:
    failure = read_path(tmp_path / "gone.txt")
    assert (failure.kind, failure.reason) == ("failed", "not-found")


def test_a_dangling_link_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone.txt")
    failure = read_path(tmp_path / "link.txt")
    assert failure.reason == "not-found"
    assert "symbolic link" in failure.message


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    failure = read_path(tmp_path)
    assert (failure.reason, failure.message) == ("not-a-file", "it is a directory, not a file")


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert read_path(tmp_path / "pipe.txt").reason == "not-a-file"


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has a length limit
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.txt")
        assert read_path(tmp_path / "s.txt").reason == "not-a-file"


def test_a_loop_of_links_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    assert read_path(tmp_path / "loop.txt").reason == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("words")
    path.chmod(0)
    failure = read_path(path)
    assert (failure.kind, failure.reason) == ("failed", "unreadable")
    assert "Permission denied" in failure.message


def test_a_file_whose_name_is_no_text_is_read_by_its_uri(tmp_path: Path) -> None:
    for name in (b"caf\xe9.html", rb"caf\xe9.html"):
        (tmp_path / os.fsdecode(name)).write_bytes(HTML + name)
    uri = f"file://{tmp_path}/caf%E9.html"
    (page,) = read_source(Source(uri, -1), SEEN, LIMITS)
    assert isinstance(page, Page)
    assert (page.origin, page.content) == (uri, HTML + b"caf\xe9.html")


def test_a_file_uri_of_nothing_is_not_found() -> None:
    (failure,) = read_source(Source("file:///no/such/caf%E9.txt", -1), SEEN, LIMITS)
    assert isinstance(failure, Failure)
    assert failure.reason == "not-found"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/data/café.txt", "/data/café.txt"),
        ("/data/100%.txt", "/data/100%.txt"),
        ("/data/caf\udce9.txt", "file:///data/caf%E9.txt"),
        ("/data/a\nb.txt", "file:///data/a%0Ab.txt"),
        ("/data/a\u2028b.txt", "file:///data/a%E2%80%A8b.txt"),
        ("/data/a.txt#1", "file:///data/a.txt%231"),
    ],
)
def test_a_path_is_a_uri_where_it_could_not_be_told_from_others(path: str, uri: str) -> None:
    assert local_uri(path) == uri


@given(st.binary(max_size=12).filter(lambda name: b"\0" not in name))
def test_every_path_can_be_had_back_from_its_uri(name: bytes) -> None:
    path = f"/data/{os.fsdecode(name)}"
    uri = local_uri(path)
    assert local_path(uri) == path
    assert uri.encode().isascii() or uri == path
    assert "#" not in uri


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=80).map(gzip.compress),
        st.tuples(st.integers(0, len(WARC)), st.binary(max_size=4)).map(
            lambda damage: WARC[: damage[0]] + damage[1] + WARC[damage[0] + len(damage[1]) :]
        ),
    ),
    name=st.sampled_from(["a.txt", "a.html", "a.xml", "a.warc", "a.txt.gz", "a"]),
)
def test_every_source_gives_at_least_one_page_or_failure(
    read: Read, content: bytes, name: str
) -> None:
    units = read(name, content)
    assert units
    assert all(unit.source_uri.endswith(name) for unit in units)
    assert all(unit.message for unit in units if isinstance(unit, Failure))
    assert len({unit.origin for unit in units}) == len(units)


# ── parts of archives ───────────────────────────────────────────────────────────────────────────


def archived(record_id: str, kind: str = "resource", content: bytes = HTML) -> bytes:
    return (
        (
            f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <{record_id}>\r\n"
            f"WARC-Target-URI: https://news.example/{record_id}\r\nContent-Type: text/html\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        ).encode()
        + content
        + b"\r\n\r\n"
    )


def as_it_is(records: list[bytes]) -> bytes:
    return b"".join(records)


def each_compressed(records: list[bytes]) -> bytes:
    return b"".join(map(gzip.compress, records))


def compressed_as_one(records: list[bytes]) -> bytes:
    return gzip.compress(b"".join(records))


def compressed_in_blocks(records: list[bytes]) -> bytes:
    whole = b"".join(records)
    blocks = (whole[start : start + 997] for start in range(0, len(whole), 997))
    return b"".join(map(gzip.compress, blocks))


def compressed_twice(records: list[bytes]) -> bytes:
    return gzip.compress(each_compressed(records))


FORMATS = [as_it_is, each_compressed, compressed_as_one, compressed_in_blocks, compressed_twice]
PAGES = [archived(f"{number:04}") for number in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Callable[[bytes], Source]:
    """Write an archive."""

    def write(content: bytes) -> Source:
        path = tmp_path / "crawl.warc"
        path.write_bytes(content)
        return Source(str(path), len(content))

    return write


Stored = Callable[[bytes], Source]


def units_of(*sources: Source) -> list[Page | Failure]:
    return [unit for source in sources for unit in read_source(source, SEEN, LIMITS)]


def damaged(content: bytes, where: float, kind: str) -> bytes:
    at = int(where * len(content))
    before, after = content[:at], content[at:]
    return {
        "cut": before,
        "changed": before + bytes(byte ^ 0x55 for byte in after[:1]) + after[1:],
        "lost": before + after[2:],
        "added": before + b"words" + after,
    }[kind]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(
    records=st.lists(
        st.builds(
            archived,
            record_id=st.sampled_from(["a", "b", "a;2", "%0A", ""]),
            kind=st.sampled_from(["resource", "conversion", "request", "warcinfo"]),
            content=st.sampled_from([HTML, b"", HTML * 40, HTML * 900, b"\x1f\x8b\x08" * 300]),
        ),
        max_size=10,
    ),
    form=st.sampled_from(FORMATS),
    part_bytes=st.sampled_from([1, 300, 1_000, 5_000, 70_000]),
    damage=st.none()
    | st.tuples(st.floats(0, 1), st.sampled_from(["cut", "changed", "lost", "added"])),
)
def test_the_parts_of_an_archive_give_what_the_whole_gives(
    store: Stored,
    records: list[bytes],
    form: Callable[[list[bytes]], bytes],
    part_bytes: int,
    damage: tuple[float, str] | None,
) -> None:
    content = form(records)
    source = store(damaged(content, *damage) if damage else content)
    whole = units_of(source)
    parts = split_archive(source, part_bytes)
    assert units_of(*parts) == whole
    assert all(units_of(part) for part in parts)
    coarse = split_archive(source, 3 * part_bytes)
    finer = [part for one in coarse for part in split_archive(one, part_bytes)]
    assert units_of(*finer) == whole


def test_a_part_tells_as_the_whole_does_of_two_damages_near_each_other(store: Stored) -> None:
    # So near that what is read at a time from the start of the part on would hold both.
    filling = b"<html>".ljust(65_000)
    records = as_it_is([PAGES[0], archived("large", content=filling)])
    source = store(gzip.compress(records + b"words\r\n\r\n" * 25)[:-8])
    whole = units_of(source)
    assert reasons(whole) == ["html", "too-large", "corrupt"]
    assert units_of(*split_archive(source, 1)) == whole


@pytest.mark.parametrize("form", FORMATS)
def test_parts_begin_where_others_end_and_are_about_as_large_as_asked_for(
    store: Stored, form: Callable[[list[bytes]], bytes]
) -> None:
    parts = split_archive(store(form(PAGES)), 4 * len(PAGES[0]))
    assert [len(units_of(part)) for part in parts] == [4] * 5
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == -1
    assert len({part.key for part in parts}) == 5


@pytest.mark.parametrize("form", [as_it_is, each_compressed])
def test_a_part_is_read_without_what_stands_before_it_where_that_can_be(
    store: Stored, form: Callable[[list[bytes]], bytes]
) -> None:
    *_, last = split_archive(store(form(PAGES)), 4 * len(PAGES[0]))
    assert (last.seek_bytes, last.skip_bytes) == (len(form(PAGES[:16])), 0)
    *_, last_of_it = split_archive(last, len(PAGES[0]))
    assert (last_of_it.seek_bytes, last_of_it.skip_bytes) == (len(form(PAGES[:19])), 0)


def test_of_an_archive_compressed_as_one_what_stands_before_a_part_is_passed_over(
    store: Stored,
) -> None:
    *_, last = split_archive(store(compressed_as_one(PAGES)), 4 * len(PAGES[0]))
    assert (last.seek_bytes, last.skip_bytes) == (0, 16 * len(PAGES[0]))


def test_a_part_knows_of_the_repeated_ids_in_it_and_no_others(store: Stored) -> None:
    source = store(as_it_is([archived(name) for name in "abacad"]))
    parts = split_archive(source, 1)
    assert [part.repeated_as for part in parts] == [(), (), ("a;2",), (), ("a;3",), ()]


def test_what_a_record_claims_to_hold_is_not_believed(store: Stored) -> None:
    claims = archived("b").replace(b"Length: %d" % len(HTML), b"Length: %d" % (2**64 - 1))
    _, last = split_archive(store(as_it_is([archived("a"), claims])), 1_000)
    assert last.known_bytes == 1_000
    assert reasons(units_of(last)) == ["truncated"]


def test_records_that_are_no_pages_make_no_part_of_their_own(store: Stored) -> None:
    requests = [archived(f"request-{number}", "request") for number in range(9)]
    source = store(as_it_is([*requests, PAGES[0], *requests, PAGES[1], *requests]))
    assert [len(units_of(part)) for part in split_archive(source, 1)] == [1, 1]


def test_an_archive_without_pages_is_not_split_and_rejected_as_a_whole(store: Stored) -> None:
    source = store(as_it_is([archived(str(number), "request") for number in range(9)]))
    assert split_archive(source, 1) == [source]
    assert only_failure(units_of(source)).reason == "empty"


@pytest.mark.parametrize(
    "content", [as_it_is(PAGES[:4]), HTML * 99, _packed(HTML * 99), b"", b"WARC/1.1\r\n"]
)
def test_what_fits_or_is_no_archive_is_its_own_only_part(store: Stored, content: bytes) -> None:
    source = store(content)
    assert split_archive(source, 4 * len(PAGES[0])) == [source]


def test_what_cannot_be_opened_is_its_own_only_part(tmp_path: Path) -> None:
    for source in (Source(str(tmp_path), -1), Source(str(tmp_path / "gone.warc"), -1)):
        assert split_archive(source, 1) == [source]


def test_parts_of_a_file_that_vanished_fail_each_under_its_own_origin(store: Stored) -> None:
    source = store(as_it_is(PAGES))
    parts = split_archive(source, 8 * len(PAGES[0]))
    Path(source.uri).unlink()
    failures = units_of(*parts)
    assert reasons(failures) == ["not-found"] * 3
    assert [failure.origin for failure in failures] == [
        f"{source.uri}#@0",
        f"{source.uri}#@{parts[1].start}",
        source.uri,
    ]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (as_it_is, ["truncated", "truncated", "corrupt"]),
        (compressed_as_one, ["truncated", "truncated", "truncated"]),
    ],
)
def test_parts_of_an_archive_that_shrank_say_that_it_has_changed(
    store: Stored, form: Callable[[list[bytes]], bytes], expected: list[str]
) -> None:
    source = store(form(PAGES))
    parts = split_archive(source, 8 * len(PAGES[0]))
    Path(source.uri).write_bytes(form(PAGES[:2]))
    *pages, _, _, _ = units = units_of(*parts)
    assert [page.origin for page in pages] == [f"{source.uri}#0000", f"{source.uri}#0001"]
    failures = [unit for unit in units if isinstance(unit, Failure)]
    assert reasons(failures) == expected
    assert len({failure.origin for failure in failures}) == 3
    assert all("changed since it was listed" in failure.message for failure in failures[:-1])


def test_a_first_part_of_what_is_no_archive_any_more_is_corrupt(store: Stored) -> None:
    source = store(as_it_is(PAGES))
    first, *_ = split_archive(source, 8 * len(PAGES[0]))
    Path(source.uri).write_bytes(HTML)
    assert only_failure(units_of(first)).reason == "corrupt"


@pytest.mark.parametrize("start", ["<?a?>", "<!--a-->", "<!DOCTYPE a>", " "])
def test_a_text_behind_much_that_may_stand_before_an_element_is_told_at_once(
    start: str, store: Stored
) -> None:
    """To try each way in which it may stand there took for ever."""
    source = store((start * 500 + "A centred title").encode())
    assert len(list(read_source(source, SEEN, LIMITS))) == 1


# ── the stage ───────────────────────────────────────────────────────────────────────────────────


def test_the_stage_gives_pages_failures_and_a_count_for_each_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"words")
    (tmp_path / "b.rss").write_bytes(RSS)
    paths = [str(tmp_path / name) for name in ("a.txt", "b.rss", "gone.txt")]
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        read = (
            pipeline
            | beam.Create([Source(path, -1) for path in paths])
            | ReadPages(observed_at=SEEN, limits=LIMITS)
        )
        kinds = read.pages | beam.Map(lambda page: page.kind)
        slugs = read.failures | beam.Map(lambda failure: failure.reason)
        assert_that(kinds, equal_to(["text", "feed-item"]), label="pages")
        assert_that(slugs, equal_to(["empty-item", "not-found"]), label="failures")
        counts = [("source", path, count) for path, count in zip(paths, (1, 2, 1), strict=True)]
        assert_that(read.sources_read, equal_to(counts), label="counts")
    assert read.pages.element_type is Page
    assert read.failures.element_type is Failure


def test_the_stage_counts_each_part_of_an_archive(store: Stored) -> None:
    parts = split_archive(store(as_it_is(PAGES)), 8 * len(PAGES[0]))
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        read = pipeline | beam.Create(parts) | ReadPages(observed_at=SEEN, limits=LIMITS)
        counts = [("source", part.key, count) for part, count in zip(parts, (8, 8, 4), strict=True)]
        assert_that(read.sources_read, equal_to(counts))


class _SlowStore:
    """A store of objects that answers the first request only when a second has come, too.

    Later ones are answered at once: among an odd number one would be left over, and it may be the
    very one that is read next, before another is asked for.
    """

    def __init__(self) -> None:
        self._asked = itertools.count(1)
        self._second_came = threading.Event()

    def cat_file(self, key: str) -> bytes:
        if next(self._asked) == 2:
            self._second_came.set()
        assert self._second_came.wait(timeout=60), f"nothing was asked for beside {key}"
        if key.endswith("gone.txt"):
            raise FileNotFoundError(2, "no such object", key)
        return b"words"


def test_the_next_small_objects_are_asked_for_while_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = _SlowStore()
    monkeypatch.setattr("transforms.objects.client_of", lambda scheme: slow)
    names = [*(f"s3://b/{number}.txt" for number in range(19)), "s3://b/gone.txt"]
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        read = (
            pipeline
            | beam.Create([Source(name, 5) for name in names])
            | ReadPages(observed_at=SEEN, limits=LIMITS)
        )
        origins = read.pages | beam.Map(lambda page: page.origin)
        gone = read.failures | beam.Map(lambda failure: (failure.origin, failure.reason))
        assert_that(origins, equal_to(names[:-1]), label="pages")
        assert_that(gone, equal_to([(names[-1], "not-found")]), label="failures")
        counts = [("source", name, 1) for name in names]
        assert_that(read.sources_read, equal_to(counts), label="counts")
