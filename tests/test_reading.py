from __future__ import annotations

import gzip
import os
import socket
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
)

SEEN = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")
LIMITS = ReadLimits(max_input_bytes=50_000, max_record_bytes=5_000, max_payload_bytes=1_000)
HTML = b"<!DOCTYPE html><html><body><p>The bridge is open again.</p></body></html>"
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
        ("crawl.html", WARC, "html"),
        ("dump.html", b"No markup in here, whatever the name says.", "text"),
        ("dump.gz", b"Not compressed, whatever the name says.", "text"),
        ("dump.txt", gzip.compress(b"Compressed, whatever the name says."), "text"),
        ("dump.txt", gzip.compress(gzip.compress(b"Compressed twice over.")), "text"),
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
        (b'<?xml version="1.0"?><urlset><url/></urlset>', "<urlset>"),
        (b"From: <Saved>\nMIME-Version: 1.0\nContent-Type: multipart/related;\n\n--x", "MHTML"),
        (gzip.compress(gzip.compress(gzip.compress(b"words"))), "gzip"),
    ],
)
def test_other_documents_are_rejected_by_name(read: Read, content: bytes, named: str) -> None:
    failure = only_failure(read("unnamed", content))
    assert (failure.kind, failure.reason) == ("rejected", "unsupported-kind")
    assert named in failure.message


def test_a_feed_without_items_is_rejected(read: Read) -> None:
    failure = only_failure(read("a.xml", b"<rss version='2.0'><channel/></rss>"))
    assert (failure.kind, failure.reason) == ("rejected", "empty-feed")


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
