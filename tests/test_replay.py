"""Failures are tried again, from what their rows keep or from their source, and accounted for."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import BAD_USAGE, DONE, main
from pipelines.config import IngestConfig
from pipelines.dataset import DataFile, Dataset, local_dataset
from pipelines.ingest import build_replay
from pipelines.key_files import read_keys
from pipelines.replay import ReplayReport, Selection, replay
from pipelines.run import ingest
from pipelines.verify import verify
from schemas.arrow import TABLES, failure_row, to_table
from schemas.records import REASONS, Failure, FeedItem, Page, Retry, Source
from transforms import replaying
from transforms.compaction import SORT_KEYS, sort_rows, write_files
from transforms.replaying import ReadContent, ReadSource, Unit, retry_failures, to_failure
from transforms.staging import failure_id
from transforms.writing import stage_failure

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)
OBSERVED_AT = Timestamp.from_utc_datetime(NOW)
STORY = " ".join(
    f"The keeper of lighthouse number {number} counted {number * 3} gulls and wrote it down."
    for number in range(1, 15)
)
PAGE = (
    f"<html><head><title>Gulls</title></head><body><article><p>{STORY}</p></article></body></html>"
)


def rows(root: Path, table: str) -> list[dict[str, Any]]:
    if not any((root / table).glob("**/*.parquet")):
        return []
    files = f"{root}/{table}/**/*.parquet"
    return duckdb.read_parquet(files, union_by_name=True).to_arrow_table().to_pylist()


def add(root: Path, *sources: Path, **options: Any) -> None:
    config = IngestConfig(tuple(map(str, sources)), str(root), workers=1, **options)
    ingest(config, clock=lambda: NOW)


def retry(root: Path, days: int = 1, **wanted: Any) -> ReplayReport:
    """Replay; whatever it finds, its account balances and the dataset keeps its promises."""
    dataset = local_dataset(str(root))
    config = IngestConfig((str(root),), str(root), workers=1)
    now = NOW + datetime.timedelta(days=days)
    with dataset.writing("test"):
        report = replay(dataset, Selection(**wanted), config, clock=lambda: now)
    assert not report.run.balance.faults
    assert report.run.balance.sources == report.run.sources
    found = verify(dataset)
    assert found.clean, found.summary()
    return report


def failed(dataset: Dataset, failures: Iterable[Failure], run: str = "older") -> None:
    """Put failures into a dataset, as a run with an older extractor would have."""
    staged = [stage_failure((failure_id(failure), failure), run) for failure in failures]
    table = to_table((row.row for row in staged), TABLES["failures"])
    folder = f"_newsbeam/staging/{run}/files"
    [file] = write_files(
        dataset.store, folder, staged[0].partition, f"{run}-{{:03d}}.parquet".format,
        [sort_rows(table, SORT_KEYS["failures"])], "failures",
    )  # fmt: skip
    listed = DataFile(file.path, file.rows, file.size_bytes, file.sha256)
    details = {"units": len(staged), "outcomes": {"rejected": len(staged)},
               "new_rows": {"articles": 0, "duplicates": 0, "failures": len(staged)}}  # fmt: skip
    with dataset.writing("test"):
        head = dataset.snapshot().head
        dataset.publish("ingest", run, head, folder, [listed], details=details)


def rejected(name: str, content: bytes, **fields: Any) -> Failure:
    """A page that was taken for none."""
    page = Page(name, name, "html", b"", OBSERVED_AT, url=f"https://gulls.example{name}")
    return Failure(
        **{
            "kind": "rejected",
            "stage": "extract",
            "reason": "no-article",
            "message": "it was taken for a list",
            "origin": name,
            "source_uri": name,
            "observed_at": OBSERVED_AT,
            "payload": content,
            "url": page.url,
            "page": page,
            "content_bytes": len(content),
            **fields,
        }
    )


def test_a_mended_source_becomes_an_article_and_its_failure_is_marked(tmp_path: Path) -> None:
    root, source, empty = tmp_path / "news", tmp_path / "page.html.gz", tmp_path / "empty.txt"
    whole = gzip.compress(PAGE.encode())
    source.write_bytes(whole[:-30])
    empty.write_bytes(b"")
    add(root, source, empty)
    source.write_bytes(whole)
    report = retry(root)
    assert (report.retried, report.resolved) == (2, 1)
    [article] = rows(root, "articles")
    assert (article["source_uri"], article["run_id"]) == (str(source), report.run.run_id)
    marked = {
        row["reason"]: (row["resolved_by"], row["resolved_at"]) for row in rows(root, "failures")
    }
    assert marked["truncated"][0] == report.run.run_id
    assert marked["truncated"][1].astimezone(datetime.UTC) == NOW + datetime.timedelta(days=1)
    assert marked["empty"] == (None, None)


def test_the_files_of_a_replay_are_listed_with_what_they_may_hold(tmp_path: Path) -> None:
    root, source = tmp_path / "news", tmp_path / "page.html.gz"
    whole = gzip.compress(PAGE.encode())
    source.write_bytes(whole[:-30])
    add(root, source)
    source.write_bytes(whole)
    retry(root)
    dataset = local_dataset(str(root))
    files = dataset.snapshot().files
    assert len(files) == 2
    assert sorted(read_keys(dataset.store, dataset.snapshot().hashes())) == sorted(files)
    assert None not in {file.observed_micros for file in files.values()}


def test_a_file_that_was_too_large_is_read_again_within_another_limit(tmp_path: Path) -> None:
    root, source = tmp_path / "news", tmp_path / "page.html"
    source.write_text(PAGE, encoding="utf-8")
    add(root, source, max_input_bytes=100)
    [row] = rows(root, "failures")
    assert (row["reason"], row["resolved_at"]) == ("too-large", None)
    assert retry(root, reasons=("too-large",)).resolved == 1
    assert [row["source_uri"] for row in rows(root, "articles")] == [str(source)]


def test_every_failure_of_a_file_is_resolved_when_the_file_is_mended(tmp_path: Path) -> None:
    root, source = tmp_path / "news", tmp_path / "page.html.gz"
    whole = gzip.compress(PAGE.encode())
    for cut in (30, 60):
        source.write_bytes(whole[:-cut])
        add(root, source)
    source.write_bytes(whole)
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (2, 2, 1)
    assert {row["resolved_by"] for row in rows(root, "failures")} == {report.run.run_id}
    assert len(rows(root, "articles")) == 1


def test_a_failure_stays_as_it_is_when_its_source_is_gone(tmp_path: Path) -> None:
    """That it is gone now is no failure of its own."""
    root, source = tmp_path / "news", tmp_path / "page.html.gz"
    source.write_bytes(gzip.compress(PAGE.encode())[:-30])
    add(root, source)
    source.unlink()
    before = rows(root, "failures")
    report = retry(root)
    assert (report.retried, report.resolved) == (1, 0)
    assert rows(root, "failures") == before


def test_marking_one_failure_leaves_all_others_of_its_day_as_they_were(tmp_path: Path) -> None:
    """The day's files are swapped for new ones, in which the others stand, too."""
    root, empty = tmp_path / "news", tmp_path / "empty.txt"
    empty.write_bytes(b"")
    add(root, empty)
    mendable = rejected("/gone/a.html", PAGE.encode())
    failed(local_dataset(str(root)), [mendable, rejected("/gone/b.html", b"<p>no article</p>")])
    before = {row["failure_id"]: row for row in rows(root, "failures")}
    report = retry(root)
    after = {row["failure_id"]: row for row in rows(root, "failures")}
    marked = after[failure_id(mendable)]
    assert (report.retried, report.resolved, marked["resolved_by"]) == (3, 1, report.run.run_id)
    del after[failure_id(mendable)], before[failure_id(mendable)]
    assert {key: row for key, row in after.items() if key in before} == before
    assert {row["resolved_by"] for row in after.values()} == {None}


def test_a_file_of_somebody_else_beside_marked_failures_stays(tmp_path: Path) -> None:
    root, source = tmp_path / "news", tmp_path / "page.html.gz"
    whole = gzip.compress(PAGE.encode())
    source.write_bytes(whole[:-30])
    add(root, source)
    source.write_bytes(whole)
    [partition] = (root / "failures").iterdir()
    (partition / "NOTES.txt").write_text("seen by the desk")
    assert retry(root).resolved == 1
    assert (partition / "NOTES.txt").read_text() == "seen by the desk"


def test_what_was_resolved_is_not_tried_again(tmp_path: Path) -> None:
    root = tmp_path / "news"
    failed(local_dataset(str(root)), [rejected("/gone/a.html", PAGE.encode())])
    assert retry(root).resolved == 1
    head = local_dataset(str(root)).snapshot().head
    assert retry(root, days=2).retried == 0
    assert local_dataset(str(root)).snapshot().head == head


def test_a_page_is_made_again_from_its_payload_though_its_source_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "news"
    failed(local_dataset(str(root)), [rejected("/gone/a.html", PAGE.encode())])
    assert retry(root).resolved == 1
    [article] = rows(root, "articles")
    assert (article["url"], article["origin"]) == (
        "https://gulls.example/gone/a.html",
        "/gone/a.html",
    )
    assert article["observed_at"].astimezone(datetime.UTC) == NOW


def test_the_beginning_of_a_page_is_not_taken_for_the_page(tmp_path: Path) -> None:
    root = tmp_path / "news"
    cut = rejected("/gone/a.html", PAGE.encode(), content_bytes=10 * len(PAGE))
    failed(local_dataset(str(root)), [cut])
    report = retry(root)
    assert (report.retried, report.resolved) == (1, 0)
    assert rows(root, "articles") == []
    assert len(rows(root, "failures")) == 1


def test_a_replayed_copy_becomes_a_duplicate_and_counts_as_resolved(tmp_path: Path) -> None:
    root, original = tmp_path / "news", tmp_path / "original.html"
    original.write_text(PAGE, encoding="utf-8")
    add(root, original)
    failed(local_dataset(str(root)), [rejected("/gone/copy.html", PAGE.encode())])
    assert retry(root).resolved == 1
    assert [row["kind"] for row in rows(root, "duplicates")] == ["exact"]
    assert len(rows(root, "articles")) == 1


@pytest.mark.parametrize(
    ("wanted", "retried"),
    [
        ({"kinds": ("failed",)}, {"b"}),
        ({"kinds": ("failed", "rejected")}, {"a", "b"}),
        ({"stages": ("read",)}, {"b"}),
        ({"reasons": ("no-article",)}, {"a"}),
        ({"since": NOW.date()}, {"a", "b"}),
        ({"since": NOW.date() + datetime.timedelta(days=1)}, set()),
        ({"until": NOW.date() - datetime.timedelta(days=1)}, set()),
        ({"until": NOW.date(), "kinds": ("rejected",)}, {"a"}),
    ],
)
def test_failures_are_chosen_by_stage_kind_reason_and_day(
    wanted: dict[str, Any], retried: set[str]
) -> None:
    failures = {
        "a": rejected("/a.html", b"x"),
        "b": rejected("/b.html", b"x", kind="failed", stage="read", reason="truncated"),
    }
    found = {
        name
        for name, failure in failures.items()
        if Selection(**wanted).fits(failure_row(failure, failure_id(failure), "run"))
    }
    assert found == retried


# ── what a row tells of its failure ─────────────────────────────────────────────────────────────

words = st.text(max_size=8)
names = st.text(min_size=1, max_size=8)
items = st.builds(
    FeedItem,
    guid=st.none() | words,
    title=st.none() | words,
    authors=st.lists(words, max_size=2).map(tuple),
    published=st.none() | words,
    tags=st.lists(words, max_size=2).map(tuple),
    rights=st.none() | words,
)
moments = st.integers(0, 4_000_000_000_000_000).map(lambda micros: Timestamp(micros=micros))
pages = st.builds(
    Page,
    origin=words,
    source_uri=words,
    kind=st.sampled_from(["text", "html", "feed-item"]),
    content=st.binary(max_size=8),
    observed_at=moments,
    charset=st.none() | words,
    url=st.none() | words,
    feed_url=st.none() | words,
    item=st.none() | items,
)
failures = st.builds(
    Failure,
    kind=st.sampled_from(["failed", "rejected"]),
    stage=st.sampled_from(["read", "extract"]),
    reason=st.sampled_from(sorted(REASONS)),
    message=words,
    origin=names,
    source_uri=names,
    observed_at=moments,
    payload=st.binary(max_size=8),
    url=st.none() | words,
    page=st.none() | pages,
    content_bytes=st.integers(-1, 1 << 40),
)


@given(failures)
def test_a_row_gives_back_the_failure_that_it_was_made_of(failure: Failure) -> None:
    """Of a page it keeps what the failure does not say already, but for the content."""
    made = failure_row(failure, failure_id(failure), "run")
    [row] = to_table([made], TABLES["failures"]).to_pylist()
    found = to_failure(row)
    about = failure.page and dataclasses.replace(
        failure.page,
        origin=failure.origin,
        source_uri=failure.source_uri,
        content=b"",
        observed_at=failure.observed_at,
        url=failure.url,
    )
    assert found == dataclasses.replace(failure, page=about)
    assert failure_id(found) == row["failure_id"]


# ── what is tried again, and from what ──────────────────────────────────────────────────────────


def about_item() -> Failure:
    item = FeedItem(guid="g", title="Gulls counted", authors=("A",), language="en")
    page = Page("/f.xml#g", "/f.xml", "feed-item", b"", OBSERVED_AT, feed_url="feed", item=item)
    return rejected("/f.xml#g", f"<p>{STORY}</p>".encode(), source_uri="/f.xml", page=page)


def nothing(*_: object) -> list[Page | Failure]:
    return []


def retry_failure(
    failure: Failure, read_source: ReadSource, read_content: ReadContent
) -> list[Unit]:
    """What comes of one failure that is tried again by itself."""
    return [
        unit for _, unit in retry_failures([("id", failure)], read_source, read_content, nothing)
    ]


def test_a_feed_item_is_tried_again_with_what_its_feed_said_of_it() -> None:
    failure = about_item()
    assert failure.page is not None
    [unit] = retry_failure(failure, nothing, nothing)
    assert unit == dataclasses.replace(failure.page, content=failure.payload)


def test_an_article_of_a_feed_item_has_the_title_that_its_feed_gave_it(tmp_path: Path) -> None:
    root = tmp_path / "news"
    failed(local_dataset(str(root)), [about_item()])
    assert retry(root).resolved == 1
    [article] = rows(root, "articles")
    assert (article["title"], article["feed_url"]) == ("Gulls counted", "feed")


def test_what_failed_in_a_file_is_sought_there_by_its_origin() -> None:
    failure = rejected("/a.warc#2", b"", source_uri="/a.warc", page=None, content_bytes=-1)
    given = [Page(f"/a.warc#{n}", "/a.warc", "html", b"x", OBSERVED_AT) for n in range(4)]
    assert list(retry_failure(failure, lambda _: given, nothing)) == [given[2]]


def test_of_a_file_that_failed_all_is_tried_again() -> None:
    failure = rejected("/a.warc", b"", source_uri="/a.warc", page=None, content_bytes=-1)
    given = [Page(f"/a.warc#{n}", "/a.warc", "html", b"x", OBSERVED_AT) for n in range(4)]
    assert list(retry_failure(failure, lambda _: given, nothing)) == given


def test_a_document_that_was_kept_whole_is_read_again_without_its_file() -> None:
    failure = rejected("/f.xml", b"<rss", stage="read", page=None)
    read: list[tuple[bytes, str]] = []

    def read_content(content: bytes, uri: str, _: Timestamp) -> list[Page]:
        read.append((content, uri))
        return [Page("/f.xml#g", uri, "feed-item", b"x", OBSERVED_AT)]

    [unit] = retry_failure(failure, nothing, read_content)
    assert (unit.origin, read) == ("/f.xml#g", [(b"<rss", "/f.xml")])


@pytest.mark.parametrize("given", [[], [rejected("/a.html", b"", reason="not-found")]])
def test_a_failure_of_which_there_is_no_more_to_be_had_is_what_it_was(
    given: list[Page | Failure],
) -> None:
    failure = rejected("/a.html", b"", page=None, content_bytes=-1)
    assert list(retry_failure(failure, lambda _: given, nothing)) == [failure]


def part_of(name: str, **fields: Any) -> Failure:
    """A failure in a file, of which the row keeps nothing."""
    fields = {"source_uri": name.partition("#")[0], "page": None, "content_bytes": -1, **fields}
    return rejected(name, b"", **fields)


def records(uri: str, count: int) -> list[Page]:
    return [Page(f"{uri}#{n}", uri, "html", b"x", OBSERVED_AT) for n in range(count)]


def test_a_source_is_read_once_for_all_that_failed_in_it() -> None:
    """Whatever stands between them, each gets what has its origin."""
    read: list[str] = []

    def read_source(source: Source) -> list[Page]:
        read.append(source.uri)
        return records(source.uri, 4)

    wanted = ["/a.warc#2", "/b.warc#0", "/a.warc#3"]
    given = list(
        retry_failures([(name, part_of(name)) for name in wanted], read_source, nothing, nothing)
    )
    assert sorted((name, unit.origin) for name, unit in given) == [
        (name, name) for name in sorted(wanted)
    ]
    assert read == ["/a.warc", "/b.warc"]


def test_of_a_source_no_more_is_read_than_what_failed_in_it() -> None:
    given = iter(records("/a.warc", 9))
    wanted = [(name, part_of(name)) for name in ("/a.warc#1", "/a.warc#3")]
    assert len(list(retry_failures(wanted, lambda _: given, nothing, nothing))) == 2
    assert next(given).origin == "/a.warc#4"


def test_failures_that_keep_too_much_to_be_held_are_tried_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "_MAX_HELD_BYTES", 0)
    read: list[str] = []

    def failures() -> Iterator[tuple[str, Failure]]:
        for name in ("/a.warc#1", "/a.warc#2"):
            yield name, part_of(name)
            read.append(f"after {name}")

    def read_source(source: Source) -> list[Page]:
        read.append(source.uri)
        return records(source.uri, 4)

    given = [unit.origin for _, unit in retry_failures(failures(), read_source, nothing, nothing)]
    assert given == ["/a.warc#1", "/a.warc#2"]
    assert read == ["/a.warc", "after /a.warc#1", "/a.warc", "after /a.warc#2"]


def test_the_pages_of_a_file_are_given_while_it_is_read() -> None:
    given = iter(records("/a.warc", 9))
    units = retry_failures([("id", part_of("/a.warc"))], lambda _: given, nothing, nothing)
    assert next(units)[1].origin == "/a.warc#0"
    assert next(given).origin == "/a.warc#1"


def test_a_file_that_is_lost_while_it_is_read_has_given_what_stood_before() -> None:
    lost = part_of("/a.warc", reason="not-found")
    given = [*records("/a.warc", 2), lost]
    assert retry_failure(part_of("/a.warc"), lambda _: given, nothing) == given


def test_a_part_whose_file_had_changed_is_tried_as_the_whole_file() -> None:
    given = records("/a.warc", 3)
    failure = part_of("/a.warc#@4096", stage="read")
    assert retry_failure(failure, lambda _: given, nothing) == given


# ── what is tried beside what ───────────────────────────────────────────────────────────────────


def archive(path: Path) -> None:
    """An archive of one page, with the id ``r1``."""
    response = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{PAGE}".encode()
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:r1>\r\n"
        "WARC-Date: 2026-06-01T00:00:00Z\r\nWARC-Target-URI: https://gulls.example/a\r\n"
        f"Content-Type: application/http\r\nContent-Length: {len(response)}\r\n\r\n"
    )
    path.write_bytes(head.encode() + response + b"\r\n\r\n")


def test_what_failed_in_a_file_that_is_gone_is_tried_from_what_its_row_keeps(
    tmp_path: Path,
) -> None:
    """The file's own failure is tried, too, and stays what it was."""
    root, uri = tmp_path / "news", str(tmp_path / "a.warc")
    inner = rejected(f"{uri}#r1", PAGE.encode(), source_uri=uri)
    failed(local_dataset(str(root)), [part_of(uri, stage="read", reason="truncated"), inner])
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (2, 1, 2)
    assert [row["origin"] for row in rows(root, "articles")] == [f"{uri}#r1"]


def test_what_failed_in_a_file_that_is_read_again_is_tried_with_the_file(tmp_path: Path) -> None:
    root, uri = tmp_path / "news", str(tmp_path / "a.warc")
    archive(Path(uri))
    inner = rejected(f"{uri}#r1", PAGE.encode(), source_uri=uri)
    failed(local_dataset(str(root)), [part_of(uri, stage="read", reason="truncated"), inner])
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (2, 2, 1)


def test_what_failed_in_a_document_that_was_kept_whole_is_tried_with_it(tmp_path: Path) -> None:
    """Though the file is gone, it gives all that is in it: once."""
    root, uri = tmp_path / "news", str(tmp_path / "f.xml")
    feed = (
        "<rss version='2.0'><channel><title>Gulls</title><item><guid>g</guid>"
        f"<link>https://gulls.example/g</link><description>{STORY}</description></item>"
        "</channel></rss>"
    ).encode()
    whole = rejected(uri, feed, stage="read", reason="malformed-feed", page=None)
    inner = rejected(f"{uri}#g", PAGE.encode(), source_uri=uri)
    failed(local_dataset(str(root)), [whole, inner])
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (2, 2, 1)


def test_a_part_whose_file_had_changed_is_resolved_by_the_file(tmp_path: Path) -> None:
    root, uri = tmp_path / "news", str(tmp_path / "a.warc")
    archive(Path(uri))
    parts = [part_of(f"{uri}#@{start}", stage="read", reason="corrupt") for start in (40, 90)]
    failed(local_dataset(str(root)), parts)
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (2, 2, 1)
    assert [row["origin"] for row in rows(root, "articles")] == [f"{uri}#r1"]


def test_an_item_is_not_resolved_by_another_whose_name_begins_with_its_own(
    tmp_path: Path,
) -> None:
    root = tmp_path / "news"
    longer = rejected("/f.xml#https://e.x/a#c1", PAGE.encode(), source_uri="/f.xml")
    # It fails in another way now, so that its row is not found again among the failures.
    item = rejected("/f.xml#https://e.x/a", b"<p>none</p>", source_uri="/f.xml", reason="empty")
    failed(local_dataset(str(root)), [item, longer])
    report = retry(root)
    assert (report.retried, report.resolved) == (2, 1)
    [resolved] = [row["origin"] for row in rows(root, "failures") if row["resolved_by"]]
    assert resolved == longer.origin


def test_an_item_of_a_feed_does_not_resolve_that_the_feed_could_not_be_polled(
    tmp_path: Path,
) -> None:
    """Each time it failed stays open, those before the last, too, which are not tried."""
    root, uri = tmp_path / "news", "https://gulls.example/feed"
    first, last = (
        part_of(uri, stage="poll", reason=reason, observed_at=OBSERVED_AT + seconds)
        for seconds, reason in enumerate(("timeout", "http-status"))
    )
    item = rejected(f"{uri}#g", PAGE.encode(), source_uri=uri)
    failed(local_dataset(str(root)), [first])
    failed(local_dataset(str(root)), [last, item], run="newer")
    report = retry(root)
    assert (report.retried, report.resolved, report.run.sources) == (3, 1, 2)
    [resolved] = [row["origin"] for row in rows(root, "failures") if row["resolved_by"]]
    assert resolved == item.origin


def test_failures_of_one_file_are_tried_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, so that it is read once."""
    root = tmp_path / "news"
    names = ["/gone/a#1", "/gone/a#2", "/gone/a#3", "/gone/b"]
    found = {failure_id(part_of(name)): name for name in names}
    failed(local_dataset(str(root)), map(part_of, names))
    tried: list[list[str]] = []

    def build(pipeline: beam.Pipeline, *, retries: Sequence[Retry], **options: Any) -> None:
        tried.extend([found[identity] for identity in retry.failure_ids] for retry in retries)
        build_replay(pipeline, retries=retries, **options)

    monkeypatch.setattr("pipelines.replay._IDS_PER_RETRY", 2)
    monkeypatch.setattr("pipelines.replay.build_replay", build)
    retry(root)
    assert tried == [names[:3], names[3:]]


# ── schema version 1 ────────────────────────────────────────────────────────────────────────────

VERSION_1 = ROOT / "tests" / "data" / "dataset_v1"
COLUMNS_1 = (
    "failure_id", "kind", "stage", "reason", "message", "origin", "url", "payload", "observed_at",
    "run_id",
)  # fmt: skip


def failed_at_version_1(root: Path, failure: Failure) -> None:
    """Put a failure into a dataset as a run of schema version 1 did."""
    row = failure_row(failure, failure_id(failure), "20260703T120000Z-00000a")
    schema = pa.schema(
        [TABLES["failures"].field(name) for name in COLUMNS_1],
        {"newsbeam.table": "failures", "newsbeam.schema_version": "1"},
    )
    path = f"failures/date={NOW.date()}/older.parquet"
    table = pa.Table.from_pylist([{name: row[name] for name in COLUMNS_1}], schema=schema)
    pq.write_table(table, root / path)
    manifest = root / "_newsbeam" / "runs" / f"{row['run_id']}.json"
    manifest.write_text(json.dumps({"run_id": row["run_id"], "files": [path]}), encoding="utf-8")


def test_failures_of_version_1_are_tried_again_and_marked(tmp_path: Path) -> None:
    """Their rows know neither page nor size; the sources that they name are gone."""
    root = Path(shutil.copytree(VERSION_1, tmp_path / "news"))
    before = {row["failure_id"] for row in rows(root, "failures")}
    failure = rejected("/gone/page.html", PAGE.encode())
    failed_at_version_1(root, failure)
    report = retry(root)
    assert (report.retried, report.resolved) == (len(before) + 1, 1)
    marks = {row["failure_id"]: row["resolved_by"] for row in rows(root, "failures")}
    assert marks == dict.fromkeys(before) | {failure_id(failure): report.run.run_id}
    assert [row["origin"] for row in rows(root, "articles")].count("/gone/page.html") == 1


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def test_the_command_says_what_became_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "news"
    failed(local_dataset(str(root)), [rejected("/gone/a.html", PAGE.encode())])
    for other in (
        ["--kind", "failed"],
        ["--stage", "read"],
        ["--reason", "empty", "--reason", "truncated"],
        ["--since", "2026-07-01"],
        ["--until", "2026-06-29"],
    ):
        assert main(["replay", str(root), *other, "--json"]) == DONE
        assert json.loads(capsys.readouterr().out)["retried"] == 0
    assert main(["replay", str(root), "--json"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    assert (summary["retried"], summary["resolved"], summary["still_open"]) == (1, 1, 0)


@pytest.mark.parametrize("arguments", [["--since", "yesterday"], ["--max-input-bytes", "lots"]])
def test_options_that_mean_nothing_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "_newsbeam").mkdir()
    assert main(["replay", str(tmp_path), *arguments]) == BAD_USAGE


def test_there_must_be_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "nothing")]) == BAD_USAGE
    assert "holds no dataset" in capsys.readouterr().err
