"""Failures are tried again, from what their rows keep or from their source, and accounted for."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
from pipelines.replay import ReplayReport, Selection, replay
from pipelines.run import ingest
from pipelines.verify import verify
from schemas.arrow import TABLES, failure_row, to_table
from schemas.records import REASONS, Failure, FeedItem, Page
from transforms.compaction import SORT_KEYS, sort_rows, write_files
from transforms.replaying import retry_failure, to_failure
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


def failed(dataset: Dataset, failures: Iterable[Failure]) -> None:
    """Put failures into a dataset, as a run with an older extractor would have."""
    staged = [stage_failure((failure_id(failure), failure), "older") for failure in failures]
    table = to_table((row.row for row in staged), TABLES["failures"])
    folder = "_newsbeam/staging/older/files"
    [file] = write_files(
        dataset.store, folder, staged[0].partition, "older-{:03d}.parquet".format,
        [sort_rows(table, SORT_KEYS["failures"])], "failures",
    )  # fmt: skip
    listed = DataFile(file.path, file.rows, file.size_bytes, file.sha256)
    details = {"units": len(staged), "outcomes": {"rejected": len(staged)},
               "new_rows": {"articles": 0, "duplicates": 0, "failures": len(staged)}}  # fmt: skip
    with dataset.writing("test"):
        head = dataset.snapshot().head
        dataset.publish("ingest", "older", head, folder, [listed], details=details)


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
