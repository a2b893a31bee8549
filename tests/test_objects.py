"""Objects as sources: their names, and what real object stores give."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from object_servers import GCSFS_SENDS_BYTES, ObjectServer, in_environment, run_minio

from pipelines.config import UsageError
from pipelines.sources import list_sources
from schemas.records import Failure, Page, Source
from transforms.objects import find_objects, is_url, object_url, open_object, split_url
from transforms.reading import ReadLimits, read_source, split_archive
from transforms.storage import Store, client_of, open_store

pytest_plugins = ["object_servers"]
pytestmark = pytest.mark.filterwarnings(GCSFS_SENDS_BYTES)

SEEN = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")
NOWHERE = open_store("none")
HTML = b"<!DOCTYPE html><html><body><p>The bridge is open again.</p></body></html>"


# ── names ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("news/caf%C3%A9.html", "s3://news/caf%C3%A9.html"),
        ("news/C#.txt", "s3://news/C%23.txt"),
        ("news/two\nlines", "s3://news/two%0Alines"),
        ("news/a%23.txt", "s3://news/a%2523.txt"),
    ],
)
def test_a_key_is_taken_literally_but_for_what_no_origin_may_hold(key: str, url: str) -> None:
    assert object_url("s3", key) == url


PIECES = st.sampled_from(
    ["%", "%25", "23", "#", "%23", "0A", "\n", "\x85", "%C2", "%85", "\u2028", "%E2%80", "%A8"]
)


@given(st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=6))
def test_every_key_can_be_had_back_from_its_url(name: str) -> None:
    url = object_url("gs", f"bucket/{name}")
    assert split_url(url) == ("gs", f"bucket/{name}")
    assert not set("#\n\x85\u2028") & set(url)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("s3://bucket/a", True), ("hdfs://a", True), ("/a://b", False), ("file:///a", False)],
)
def test_a_url_is_told_from_a_path(name: str, expected: bool) -> None:
    assert is_url(name) is expected


@pytest.mark.parametrize("url", ["hdfs://a/b", "https://a/b", "s3://", "s3:///b"])
def test_what_cannot_be_read_from_is_bad_usage(url: str) -> None:
    with pytest.raises(UsageError, match="only local files and s3:// and gs:// URLs can be read"):
        list_sources((url,), NOWHERE)


def test_a_glob_cannot_stand_for_buckets() -> None:
    with pytest.raises(UsageError, match="a glob cannot stand for buckets"):
        list_sources(("s3://news*/a.txt",), NOWHERE)


# ── stores ──────────────────────────────────────────────────────────────────────────────────────

OBJECTS = {
    "in/a.txt": b"words",
    "in/b.html": HTML,
    "in/deep/er/c.html": HTML,
    "in/.hidden.txt": b"words",
    "in/deep/.git/d.txt": b"words",
    "in/folder/": b"",
    "in2/e.txt": b"words",
    "what[1].txt": b"words",
    "caf%C3%A9 #1.txt": b"words",
}
READ = ["in/a.txt", "in/b.html", "in/deep/er/c.html"]


def put(url: str, objects: Mapping[str, bytes]) -> None:
    scheme, _, key = url.partition("://")
    for name, content in objects.items():
        client_of(scheme).pipe_file(f"{key}/{name}", content)


@pytest.fixture(scope="module", params=["minio", "fake_gcs"])
def folder(request: pytest.FixtureRequest) -> str:
    """The URL of a folder with objects, in each kind of store."""
    server: ObjectServer = request.getfixturevalue(request.param)
    url = server.new_url()
    put(url, OBJECTS)
    return url


def names(folder: str, *given_names: str, output: Store = NOWHERE) -> list[str]:
    urls = tuple(f"{folder}/{name}" for name in given_names)
    return [one.uri.removeprefix(f"{folder}/") for one in list_sources(urls, output)]


def read(source: Source) -> list[Page | Failure]:
    return list(read_source(source, SEEN, ReadLimits()))


@pytest.mark.slow
@pytest.mark.parametrize("given_name", ["in", "in/", "in/*", "in/**", "in/**/*.*"])
def test_a_folder_is_searched_through_without_hidden_objects(folder: str, given_name: str) -> None:
    assert names(folder, given_name) == READ


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given_name", "found"),
    [
        ("in*", [*READ, "in2/e.txt"]),
        ("in?/*", ["in2/e.txt"]),
        ("**/*.html", ["in/b.html", "in/deep/er/c.html"]),
        ("in/d*", ["in/deep/er/c.html"]),
        ("in/.hid*", ["in/.hidden.txt"]),
        ("what[1].txt", ["what[1].txt"]),
    ],
)
def test_globs_follow_the_rules_of_local_ones(
    folder: str, given_name: str, found: list[str]
) -> None:
    assert names(folder, given_name) == found


@pytest.mark.slow
def test_an_object_that_several_urls_lead_to_is_listed_once(folder: str) -> None:
    assert names(folder, "in/a.txt", "in", "in/*.txt") == READ


@pytest.mark.slow
def test_a_listed_source_is_read_and_can_be_listed_again(folder: str) -> None:
    name = "caf%C3%A9 #1.txt"
    (source,) = list_sources((f"{folder}/{name}",), NOWHERE)
    assert source.uri == f"{folder}/caf%C3%A9 %231.txt"
    assert source.size_bytes == len(OBJECTS[name])
    (page,) = read(source)
    assert isinstance(page, Page)
    assert (page.origin, page.content) == (source.uri, OBJECTS[name])
    assert list_sources((source.uri,), NOWHERE) == [source]


@pytest.mark.slow
def test_what_is_not_there_stays_in_the_list_and_is_not_found(folder: str) -> None:
    urls = (f"{folder}/in/a.txt", f"{folder}/gone/*.txt")
    _, missing = sorted(list_sources(urls, NOWHERE), key=lambda one: -one.size_bytes)
    assert missing == Source(f"{folder}/gone/*.txt", -1)
    (failure,) = read(missing)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == ("failed", "not-found")


@pytest.mark.slow
def test_objects_that_are_all_missing_are_bad_usage(folder: str) -> None:
    with pytest.raises(UsageError, match="names no file that exists"):
        list_sources((f"{folder}/gone.txt",), NOWHERE)


@pytest.mark.slow
def test_a_bucket_that_does_not_exist_is_bad_usage(folder: str) -> None:
    scheme = folder.partition("://")[0]
    with pytest.raises(UsageError, match="its bucket does not exist"):
        list_sources((f"{scheme}://no-such-bucket/a.txt",), NOWHERE)


@pytest.mark.slow
def test_the_version_of_an_object_changes_with_its_content(folder: str) -> None:
    put(folder, {"changing/a.txt": b"words"})
    (before,) = find_objects(f"{folder}/changing")
    put(folder, {"changing/a.txt": b"other"})
    (after,) = find_objects(f"{folder}/changing")
    assert before.version
    assert after.version not in ("", before.version)


@pytest.fixture(scope="module")
def dataset(folder: str) -> str:
    """The URL of a folder in which a dataset lies beside sources."""
    put(
        f"{folder}/job",
        {
            "out/articles/date=2020-01-14/a.parquet": b"PAR1",
            "out/_newsbeam/commits/00000001.json": b"{}",
            "out/notes.txt": b"words",
            "a.txt": b"words",
        },
    )
    return f"{folder}/job"


@pytest.mark.slow
def test_a_dataset_is_no_source_of_itself(dataset: str) -> None:
    output = open_store(f"{dataset}/out")
    assert names(dataset, "", output=output) == ["a.txt"]
    assert names(dataset, "*", output=output) == ["a.txt"]


@pytest.mark.slow
def test_beside_a_dataset_all_but_what_runs_wrote_is_read(dataset: str) -> None:
    output = open_store(f"{dataset}/out")
    assert names(dataset, "out", output=output) == ["out/notes.txt"]
    written = "out/articles/date=2020-01-14/a.parquet"
    assert names(dataset, "a.txt", written, output=output) == ["a.txt"]


# ── large objects ───────────────────────────────────────────────────────────────────────────────


def record(number: int) -> bytes:
    content = HTML + os.urandom(30_000).hex().encode()
    return (
        b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:%d>\r\n"
        b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n%b\r\n\r\n"
        % (number, len(content), content)
    )


@pytest.fixture(scope="module")
def archive(folder: str) -> Source:
    """An archive of 300 pages, some blocks of a stream large."""
    put(folder, {"large.warc.gz": b"".join(gzip.compress(record(n), 1) for n in range(300))})
    (source,) = list_sources((f"{folder}/large.warc.gz",), NOWHERE)
    return source


@pytest.mark.slow
def test_an_archive_is_read_in_parts_from_where_they_begin(archive: Source) -> None:
    parts = split_archive(archive, 4_000_000)
    assert len(parts) > 4
    assert all(part.seek_bytes > 0 and part.skip_bytes == 0 for part in parts[1:])
    units = [unit for part in parts for unit in read(part)]
    assert units == read(archive)
    assert len(units) == 300


@pytest.mark.slow
def test_a_large_object_is_streamed_and_can_be_sought_in(archive: Source) -> None:
    stream = open_object(archive.uri, archive.size_bytes)
    whole = client_of(split_url(archive.uri)[0]).cat_file(split_url(archive.uri)[1])
    stream.seek(9_000_000)
    assert stream.read(1000) == whole[9_000_000:9_001_000]
    stream.seek(10)
    assert stream.read(1000) == whole[10:1010]
    stream.close()


@pytest.fixture
def own_minio(tmp_path: Path) -> Iterator[ObjectServer]:
    """A server that a test may kill."""
    pytest.importorskip("s3fs")
    with run_minio(tmp_path) as server, in_environment(server):
        client_of("s3").mkdir("own")
        yield server


@pytest.mark.slow
def test_a_store_that_dies_while_an_archive_is_read_makes_it_unreadable(
    own_minio: ObjectServer,
) -> None:
    put("s3://own", {"a.warc": b"".join(map(record, range(300)))})
    (source,) = list_sources(("s3://own/a.warc",), NOWHERE)
    units = read_source(source, SEEN, ReadLimits())
    assert isinstance(next(units), Page)
    os.kill(own_minio.process_id, signal.SIGKILL)
    *_, failure = units
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == ("failed", "unreadable")
    assert "connect" in failure.message


@pytest.mark.slow
def test_a_store_that_does_not_let_in_is_bad_usage(
    own_minio: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("s3://own", {"a.txt": b"words"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    client_of.cache_clear()
    with pytest.raises(UsageError, match=r"cannot list 's3://own/a\.txt': Forbidden"):
        list_sources(("s3://own/a.txt",), NOWHERE)
