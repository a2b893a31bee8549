"""``verify`` finds what is wrong with a dataset, says where, and finds no fault in a good one.

Each test of a damage makes a dataset that is clean but for it, and asks that the right check says
so, and no other.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import itertools
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipelines import verify as verifying
from pipelines.config import UsageError
from pipelines.dataset import (
    Checkpoint,
    Commit,
    DataFile,
    Dataset,
    Snapshot,
    checkpoint_path,
    local_dataset,
)
from pipelines.feed_memory import encode_memory, memory_path
from pipelines.key_files import keys_path
from pipelines.verify import CHECKS, MAX_LISTED, MAX_READINGS, VerifyReport, show_verify, verify
from schemas.arrow import SCHEMA_VERSION, TABLES
from schemas.records import FeedMemory
from transforms.compaction import SORT_KEYS, sort_rows
from transforms.file_keys import FileKeys, decode_keys, encode_keys, to_keys
from transforms.shingles import print_text
from transforms.storage import Store

Row = dict[str, Any]

VERSION_1 = Path(__file__).parent / "data" / "dataset_v1"
OBSERVED_AT = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)
PUBLISHED_AT = datetime.datetime(2026, 3, 1, 9, 30, tzinfo=datetime.UTC)
NULL = "__HIVE_DEFAULT_PARTITION__"
SPORT = "articles/date=2026-03-01/topic=sport"
COPIES = "duplicates/date=2026-03-01"
FAILED = "failures/date=2026-06-30"
RUN = "20260630T120000Z-0a1b2c"


# ── good rows, and datasets made of them ────────────────────────────────────────────────────────


def identity(number: int) -> str:
    """An id, as of an article or a failure."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def text_columns(number: int, body: str) -> Row:
    return {
        "origin": f"/invented/{number:04d}.txt",
        "source_uri": f"/invented/{number:04d}.txt",
        "body": body,
        "published_at": PUBLISHED_AT,
        "published_precision": "minute",
        "published_source": "json-ld",
        "observed_at": OBSERVED_AT,
        "content_hash": print_text(body).content_hash,
        "run_id": RUN,
    }


def article(number: int = 1, **columns: Any) -> Row:
    """A row of ``articles`` that keeps every promise, but for the columns that are given."""
    body = f"The ferry of line {number} is back.\n\nNobody on the ferry was hurt."
    text = print_text(body)
    return {
        **text_columns(number, body),
        "article_id": identity(number),
        "revision": 0,
        "topics": [{"code": "medtop:15000000", "name": "sport", "score": 0.9}],
        "entities": [
            {"name": "ferry", "type": "product", "count": 2, "id": None, "offsets": [4, 51]},
            {"name": "Nobody", "type": "person", "count": 1, "id": None, "offsets": [33]},
        ],
        "word_count": text.word_count,
        "fingerprint": None,
        "copies": 0,
        "enrichment": {"topic_model": "model==1"},
        **columns,
    }


def copy(number: int = 101, of: int = 1, **columns: Any) -> Row:
    """A row of ``duplicates`` that keeps every promise, but for the columns that are given."""
    return {
        **text_columns(number, f"The ferry of line {of} is back."),
        "canonical_id": identity(of),
        "kind": "near",
        "similarity": 0.75,
        **columns,
    }


def failure(number: int = 201, **columns: Any) -> Row:
    """A row of ``failures`` that keeps every promise, but for the columns that are given."""
    return {
        "failure_id": identity(number),
        "kind": "rejected",
        "stage": "read",
        "reason": "empty",
        "message": "It is empty.",
        "origin": f"/invented/{number:04d}.txt",
        "observed_at": OBSERVED_AT,
        "run_id": RUN,
        **columns,
    }


def in_table(table: str, rows: Iterable[Row], *, sort: bool = True) -> pa.Table:
    made = pa.Table.from_pylist(list(rows), schema=TABLES[table])
    return sort_rows(made, SORT_KEYS[table]) if sort else made


def account(tables: dict[str, int]) -> dict[str, Any]:
    """What a run says of itself: nothing was there before."""
    return {
        "units": sum(tables.values()),
        "outcomes": {
            "article": tables.get("articles", 0),
            "duplicate": tables.get("duplicates", 0),
            "rejected": tables.get("failures", 0),
        },
        "new_rows": {table: tables.get(table, 0) for table in TABLES},
        "balanced": True,
    }


def publish(
    dataset: Dataset,
    files: dict[str, pa.Table],
    *,
    kind: str = "ingest",
    run_id: str = RUN,
    removed: Iterable[str] = (),
    details: dict[str, Any] | None = None,
    listed: Callable[[DataFile], DataFile] = lambda file: file,
    memory: bytes = b"",
    keys: bool = False,
) -> Commit:
    """Commit files, by path; ``listed`` says what the manifest says of each, and ``keys`` whether
    a key file is staged with them."""
    staging = f"_newsbeam/staging/{run_id}"
    base = dataset.snapshot().head
    counts: dict[str, int] = defaultdict(int)
    written = []
    for path, table in files.items():
        with dataset.store.writer(f"{staging}/{path}") as file:
            pq.write_table(table, pa.PythonFile(file, mode="w"), write_page_checksum=True)
        written.append(listed(DataFile(path, table.num_rows, file.size_bytes, file.sha256)))
        counts[path.partition("/")[0]] += table.num_rows
    made = account(counts) if kind == "ingest" else {}
    if keys:
        written = dataset.with_statistics(dataset.snapshot(), staging, written, removed)
    return dataset.publish(
        kind,
        run_id,
        base,
        staging,
        written,
        removed=removed,
        details={**made, **(details or {})},
        memory=stage_memory(dataset, run_id, memory) if memory else "",
    )


def stage_memory(dataset: Dataset, run_id: str, content: bytes) -> str:
    path = memory_path(run_id)
    dataset.store.write(f"_newsbeam/staging/{run_id}/{path}", content)
    return path


def standard_files() -> dict[str, pa.Table]:
    """Two articles with a second text of the first, a copy and a failure."""
    texts = [article(1), article(2), article(3, article_id=identity(1), revision=1)]
    return {
        f"{SPORT}/a.parquet": in_table("articles", texts),
        f"{COPIES}/b.parquet": in_table("duplicates", [copy()]),
        f"{FAILED}/c.parquet": in_table("failures", [failure()]),
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A dataset without any file."""
    (tmp_path / "news" / "_newsbeam").mkdir(parents=True)
    return local_dataset(str(tmp_path / "news"))


@pytest.fixture
def published(dataset: Dataset) -> Dataset:
    """A dataset of one commit."""
    publish(dataset, standard_files(), keys=True)
    return dataset


@pytest.fixture
def version_1(tmp_path: Path) -> Dataset:
    """A copy of the dataset that version 1 wrote."""
    shutil.copytree(VERSION_1, tmp_path / "old")
    return local_dataset(str(tmp_path / "old"))


def at(dataset: Dataset, path: str) -> Path:
    root = dataset.store.local_root
    assert root is not None
    return root / path


def faults(report: VerifyReport) -> dict[str, list[str]]:
    """The sentences of the checks that found something."""
    return {check.name: list(check.faults) for check in report.checks if check.fault_count}


def the_fault(dataset: Dataset, check: str) -> str:
    """The one fault that there is, which this check has found."""
    found = faults(verify(dataset))
    assert list(found) == [check], found
    assert len(found[check]) == 1, found
    return found[check][0]


def edit_manifest(dataset: Dataset, change: Callable[[Row], object], number: int = 1) -> None:
    path = at(dataset, f"_newsbeam/commits/{number:08d}.json")
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


# ── good datasets ───────────────────────────────────────────────────────────────────────────────


def test_what_was_published_is_clean_and_counted(published: Dataset) -> None:
    report = verify(published)
    assert faults(report) == {}
    assert report.clean
    assert report.notes == ()
    assert (report.head, report.commits) == (1, 1)
    size = at(published, f"{SPORT}/a.parquet").stat().st_size
    counted = {count.table: (count.files, count.rows) for count in report.tables}
    assert counted == {"articles": (1, 3), "duplicates": (1, 1), "failures": (1, 1)}
    assert report.tables[0].size_bytes == size


def test_a_dataset_of_version_1_is_clean_and_its_age_is_noted(version_1: Dataset) -> None:
    report = verify(version_1)
    assert faults(report) == {}
    assert [(count.table, count.rows) for count in report.tables] == [
        ("articles", 28),
        ("duplicates", 6),
        ("failures", 11),
    ]
    assert any("schema version 1: 36 " in note for note in report.notes)


def test_a_dataset_without_a_commit_is_clean(dataset: Dataset) -> None:
    report = verify(dataset)
    assert report.clean
    assert (report.head, sum(count.rows for count in report.tables)) == (0, 0)


def test_compacting_keeps_a_dataset_clean(published: Dataset) -> None:
    publish(published, {f"{SPORT}/d.parquet": in_table("articles", [article(4)])}, run_id="r2")
    edit_manifest(published, lambda manifest: manifest.update(run_id=RUN), number=2)
    merged = [*standard_files()[f"{SPORT}/a.parquet"].to_pylist(), article(4)]
    publish(
        published,
        {f"{SPORT}/e.parquet": in_table("articles", merged)},
        kind="compact",
        run_id="r3",
        removed=[f"{SPORT}/a.parquet", f"{SPORT}/d.parquet"],
    )
    report = verify(published)
    assert faults(report) == {}
    assert report.head == 3


def test_progress_is_told_file_by_file(published: Dataset) -> None:
    told: list[tuple[int, int]] = []
    verify(published, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_summary_is_plain_and_whole(published: Dataset) -> None:
    at(published, f"{COPIES}/b.parquet").unlink()
    summary = json.loads(json.dumps(verify(published).summary()))
    assert list(summary["checks"]) == list(CHECKS)
    assert summary["clean"] is False
    assert summary["checks"]["files"]["fault_count"] == summary["fault_count"] == 1
    assert f"{COPIES}/b.parquet" in summary["checks"]["files"]["faults"][0]
    assert summary["tables"]["articles"]["rows"] == 3


@pytest.mark.parametrize("kind", ["missing", "file", "other"])
def test_where_there_is_no_dataset_it_says_so(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "news"
    if kind == "file":
        output.write_text("")
    if kind == "other":
        (output / "photos").mkdir(parents=True)
    with pytest.raises(UsageError, match="news"):
        verify(local_dataset(str(output)))


# ── manifests ───────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_that_is_missing_between_others_is_named(published: Dataset) -> None:
    for number in (4, 5, 6):
        files = {f"{SPORT}/{number}.parquet": in_table("articles", [article(number)])}
        publish(published, files)
    at(published, "_newsbeam/commits/00000002.json").unlink()
    at(published, "_newsbeam/commits/00000003.json").unlink()
    report = verify(published)
    [sentence] = faults(report)["manifests"]
    assert "00000002.json" in sentence
    assert "00000003.json" in sentence
    assert "missing" in sentence
    # Their files are there all the same.
    strays = faults(report)["files"]
    assert [f"{SPORT}/4.parquet" in strays[0], f"{SPORT}/5.parquet" in strays[1]] == [True, True]
    assert set(faults(report)) == {"manifests", "files"}
    assert any("whether each run is listed" in note for note in report.notes)


def test_a_truncated_manifest_is_named(published: Dataset) -> None:
    path = at(published, "_newsbeam/commits/00000001.json")
    path.write_bytes(path.read_bytes()[:200])
    [sentence] = faults(verify(published))["manifests"]
    assert "commits/00000001.json is damaged" in sentence


def test_a_truncated_manifest_of_version_1_is_named(version_1: Dataset) -> None:
    path = at(version_1, "_newsbeam/runs/20260702T120000Z-5f015b.json")
    path.write_bytes(path.read_bytes()[:200])
    [sentence] = faults(verify(version_1))["manifests"]
    assert "20260702T120000Z-5f015b.json is damaged" in sentence


def test_a_manifest_of_a_newer_newsbeam_is_named(published: Dataset) -> None:
    edit_manifest(published, lambda manifest: manifest.update(schema_version=SCHEMA_VERSION + 1))
    [sentence] = faults(verify(published))["manifests"]
    assert f"schema version {SCHEMA_VERSION + 1}, newer" in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": 6}, "accounts for 5 units, but its run had 6"),
        ({"balanced": False}, "does not balance"),
        ({"outcomes": {"article": 2, "duplicate": 2, "rejected": 1}}, "added 3 rows to articles"),
        ({"outcomes": "many"}, "cannot be read"),
        ({"units": "five"}, "cannot be read"),
        ({"new_rows": {"articles": -3}}, "cannot be read"),
    ],
)
def test_an_account_that_does_not_add_up_is_named(
    published: Dataset, change: Row, words: str
) -> None:
    edit_manifest(published, lambda manifest: manifest.update(change))
    sentences = faults(verify(published))["manifests"]
    assert any(words in sentence and "commit 1" in sentence for sentence in sentences)


def test_more_failures_than_units_failed_are_named(published: Dataset) -> None:
    outcomes = {"article": 3, "duplicate": 1, "unchanged": 1}
    edit_manifest(published, lambda manifest: manifest.update(outcomes=outcomes))
    assert "added 1 rows to failures, but 0 units" in the_fault(published, "manifests")


def test_failures_that_were_recorded_before_add_no_row(published: Dataset) -> None:
    outcomes = {"article": 3, "duplicate": 1, "rejected": 1, "failed": 7}
    edit_manifest(published, lambda manifest: manifest.update(outcomes=outcomes, units=12))
    assert verify(published).clean


def test_an_account_of_version_1_is_checked_too(version_1: Dataset) -> None:
    path = at(version_1, "_newsbeam/runs/20260702T120000Z-5f015b.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "units": 2}))
    sentence = the_fault(version_1, "manifests")
    assert "run 20260702T120000Z-5f015b accounts for 1 units, but its run had 2" in sentence


@pytest.mark.parametrize("path", ["../secret.parquet", "/etc/passwd", "articles/\0", "articles"])
def test_a_listed_path_that_is_no_file_of_a_table_is_not_followed(
    published: Dataset, path: str
) -> None:
    row = {"path": path, "rows": 0, "size_bytes": 0, "sha256": ""}
    edit_manifest(published, lambda manifest: manifest["files"].append(row))
    assert "can be no file of a table" in the_fault(published, "manifests")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = list(json.loads(Commit(1, "ingest", RUN, details=account({})).encode()))


@settings(max_examples=60, deadline=None)
@given(changed=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1), whole=st.none() | JSON)
def test_whatever_a_manifest_holds_it_is_reported_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, changed: Row, whole: object
) -> None:
    manifest = {**json.loads(Commit(1, "ingest", RUN, details=account({})).encode()), **changed}
    dataset = local_dataset(str(tmp_path_factory.mktemp("news")))
    content = json.dumps(manifest if whole is None else whole).encode()
    dataset.store.write("_newsbeam/commits/00000001.json", content)
    report = verify(dataset)
    assert report.clean or set(faults(report)) <= {"manifests", "files", "counts"}


# ── files ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("twentieth", range(20))
def test_a_flipped_byte_is_found_wherever_it_is(published: Dataset, twentieth: int) -> None:
    path = at(published, f"{SPORT}/a.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) * twentieth // 20] ^= 1 << twentieth % 8
    path.write_bytes(content)
    sentence = the_fault(published, "files")
    assert f"{SPORT}/a.parquet is damaged" in sentence
    assert "SHA-256" in sentence


def test_a_flipped_byte_is_found_in_a_page_where_no_manifest_has_a_hash(dataset: Dataset) -> None:
    """As it is for files that version 1 listed, but for its pages had no checksums."""
    path = f"{SPORT}/a.parquet"
    table = in_table("articles", [article(number) for number in range(50)])
    publish(dataset, {path: table}, listed=lambda file: DataFile(file.path))
    with pq.ParquetFile(at(dataset, path)) as parquet:
        group = parquet.metadata.row_group(0)
        columns = (group.column(number) for number in range(group.num_columns))
        body = next(column for column in columns if column.path_in_schema == "body")
        place = body.data_page_offset + body.total_compressed_size // 2
    content = bytearray(at(dataset, path).read_bytes())
    content[place] ^= 0x10
    at(dataset, path).write_bytes(content)
    assert f"{path} is damaged" in the_fault(dataset, "files")


def test_a_truncated_file_is_named_with_its_sizes(published: Dataset) -> None:
    path = at(published, f"{COPIES}/b.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    sentence = the_fault(published, "files")
    assert f"{COPIES}/b.parquet" in sentence
    assert f"{len(whole) - 100:,} bytes, but its manifest says {len(whole):,}" in sentence


def test_a_truncated_file_of_version_1_is_named(version_1: Dataset) -> None:
    path = next(at(version_1, "articles").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    sentence = the_fault(version_1, "files")
    assert f"{path.name} is damaged" in sentence


def test_a_missing_file_is_named(published: Dataset) -> None:
    at(published, f"{FAILED}/c.parquet").unlink()
    assert f"{FAILED}/c.parquet is missing" in the_fault(published, "files")


def test_what_points_into_an_unreadable_file_is_no_fault_of_its_own(published: Dataset) -> None:
    at(published, f"{SPORT}/a.parquet").unlink()
    report = verify(published)
    assert list(faults(report)) == ["files"]
    assert any(note.startswith("not checked") for note in report.notes)


def test_a_file_that_no_manifest_lists_is_named_and_read(published: Dataset) -> None:
    stray = at(published, f"{SPORT}/stray.parquet")
    shutil.copy(at(published, f"{SPORT}/a.parquet"), stray)
    found = faults(verify(published))
    assert [sentence.split(" ")[0] for sentence in found["files"]] == [f"{SPORT}/stray.parquet"]
    # Readers of the folder see its rows twice.
    assert all("stray.parquet" in sentence for sentence in found["identity"])
    assert len(found["identity"]) == 3


def test_a_file_that_was_taken_out_and_is_still_there_is_named(published: Dataset) -> None:
    kept = at(published, f"{FAILED}/c.parquet")
    content = kept.read_bytes()
    publish(
        published,
        {f"{FAILED}/d.parquet": in_table("failures", [failure()])},
        kind="compact",
        run_id="r2",
        removed=[f"{FAILED}/c.parquet"],
    )
    kept.write_bytes(content)
    [sentence] = faults(verify(published))["files"]
    assert "c.parquet was taken out of the dataset by commit 2" in sentence


def test_leftovers_in_the_folders_are_noted(published: Dataset) -> None:
    at(published, f"{SPORT}/a.parquet.77.partial").write_text("half")
    at(published, "articles/_SUCCESS").write_text("")
    report = verify(published)
    assert report.clean
    assert any("a.parquet.77.partial" in note for note in report.notes)
    assert any("articles/_SUCCESS" in note for note in report.notes)


def relabelled(**metadata: str) -> pa.Table:
    """A good row of ``articles``, whose metadata say something else."""
    made = in_table("articles", [article()])
    changed = {f"newsbeam.{key}".encode(): value.encode() for key, value in metadata.items()}
    return made.replace_schema_metadata({**made.schema.metadata, **changed})


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1), "0", "one", "\N{SUPERSCRIPT TWO}"])
def test_a_file_of_an_unknown_schema_version_is_named(dataset: Dataset, version: str) -> None:
    publish(dataset, {f"{SPORT}/a.parquet": relabelled(schema_version=version)})
    assert f"a.parquet is of schema version {version};" in the_fault(dataset, "files")


def test_a_file_of_another_table_is_named(dataset: Dataset) -> None:
    publish(dataset, {f"{SPORT}/a.parquet": relabelled(table="failures")})
    assert "a.parquet is no file of articles" in the_fault(dataset, "files")


def without(table: pa.Table, column: str) -> pa.Table:
    return table.drop_columns([column])


def retyped(table: pa.Table, column: str) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, table[column].cast(pa.large_string()))


def nullable(table: pa.Table, column: str) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(column).with_nullable(True)
    return table.set_column(place, field, pa.nulls(table.num_rows, field.type))


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (without, "title"),
        (without, "run_id"),
        (retyped, "title"),
        (retyped, "body"),
        (nullable, "origin"),
        (nullable, "run_id"),
    ],
)
def test_a_file_of_another_schema_is_named(
    dataset: Dataset, change: Callable[[pa.Table, str], pa.Table], column: str
) -> None:
    changed = change(in_table("articles", [article()]), column)
    publish(dataset, {f"{SPORT}/a.parquet": changed})
    sentence = the_fault(dataset, "files")
    assert "a.parquet is not in the schema of articles" in sentence
    assert column in sentence


def of_version_1(table: pa.Table) -> pa.Table:
    metadata = {**table.schema.metadata, b"newsbeam.schema_version": b"1"}
    return table.replace_schema_metadata(metadata)


def test_an_older_file_lacks_the_last_columns_and_no_others(dataset: Dataset) -> None:
    table = of_version_1(in_table("failures", [failure()]))
    names = table.column_names
    added = names.index("run_id") + 1
    publish(dataset, {f"{FAILED}/c.parquet": table.select(names[:added])})
    assert verify(dataset).clean
    table = of_version_1(in_table("failures", [failure(202)]))
    publish(dataset, {f"{FAILED}/d.parquet": table.select(names[: added - 1])})
    assert "d.parquet is not in the schema of failures" in the_fault(dataset, "files")


def test_a_file_of_the_newest_version_has_every_column(dataset: Dataset) -> None:
    table = in_table("failures", [failure()])
    publish(dataset, {f"{FAILED}/c.parquet": table.select(table.column_names[:-1])})
    assert "has no further column where" in the_fault(dataset, "files")


# ── counts ──────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_number_of_rows_in_a_manifest_is_named(dataset: Dataset) -> None:
    publish(
        dataset,
        {f"{SPORT}/a.parquet": in_table("articles", [article(1), article(2)])},
        listed=lambda file: DataFile(file.path, 3, file.size_bytes, file.sha256),
    )
    sentences = faults(verify(dataset))["counts"]
    assert f"{SPORT}/a.parquet has 2 rows, but its manifest says 3" in sentences[0]


def test_a_run_that_says_it_added_other_rows_than_it_did_is_named(published: Dataset) -> None:
    change = {"units": 6, "outcomes": {"article": 4, "duplicate": 1, "rejected": 1}}
    rows = {"articles": 4, "duplicates": 1, "failures": 1}
    edit_manifest(published, lambda manifest: manifest.update(change, new_rows=rows))
    sentence = the_fault(published, "counts")
    assert "after commit 1 there should be 4 rows in articles, but its files have 3" in sentence


def test_a_run_of_version_1_whose_file_lost_rows_is_named(version_1: Dataset) -> None:
    path = at(version_1, "failures/date=2026-06-30/6ccc7b48780a431a6627cfb557d1d567.parquet")
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(1), path)
    sentence = the_fault(version_1, "counts")
    assert "there should be 11 rows in failures, but its files have 10" in sentence


def test_rows_that_a_compaction_lost_are_named(version_1: Dataset) -> None:
    """Also where the manifests of what it replaced list no rows: the accounts tell them."""
    files = [file.path for file in version_1.snapshot().table("failures")]
    tables = [pq.read_table(at(version_1, path), partitioning=None) for path in files]
    kept = {
        path.replace(".parquet", "-c.parquet"): table.slice(1)
        for path, table in zip(files, tables, strict=True)
    }
    publish(version_1, kept, kind="compact", removed=files, details={"kind": "compact"})
    sentence = the_fault(version_1, "counts")
    assert "after commit 1 there should be 11 rows in failures, but its files have 9" in sentence


@pytest.mark.parametrize("kept", [1, 0])
def test_a_replay_marks_failures_and_loses_none(published: Dataset, kept: int) -> None:
    run = "replay-20260701T120000Z-000001"
    marked = [failure(resolved_at=OBSERVED_AT, resolved_by=run)][:kept]
    publish(
        published,
        {
            f"{SPORT}/d.parquet": in_table("articles", [article(4, run_id=run)]),
            f"{FAILED}/d.parquet": in_table("failures", marked),
        },
        kind="replay",
        run_id=run,
        removed=[f"{FAILED}/c.parquet"],
        details=account({"articles": 1}),
    )
    if kept:
        assert verify(published).clean
    else:
        sentence = the_fault(published, "counts")
        assert "after commit 2 there should be 1 rows in failures, but its files have 0" in sentence


def test_what_a_compaction_makes_of_strays_is_not_held_against_it(published: Dataset) -> None:
    publish(
        published,
        {f"{FAILED}/d.parquet": in_table("failures", [failure(), failure(202)])},
        kind="compact",
        run_id="r2",
        removed=[f"{FAILED}/c.parquet", f"{FAILED}/stray.parquet"],
    )
    assert verify(published).clean


# ── partitions ──────────────────────────────────────────────────────────────────────────────────

UNDATED = {"published_at": None, "published_precision": None, "published_source": None}


@pytest.mark.parametrize(
    ("folder", "row", "words"),
    [
        ("articles/date=2026-03-02/topic=sport", article(), "published_at is not on the day"),
        (SPORT, article(**UNDATED), "published_at is not on the day"),
        (f"articles/date={NULL}/topic=sport", article(), "unknown dates"),
        ("duplicates/date=2026-02-28", copy(of=2), "published_at is not on the day"),
        (f"duplicates/date={NULL}", copy(of=2), "unknown dates"),
        ("failures/date=2026-07-01", failure(), "observed_at is not on the day"),
        (f"failures/date={NULL}", failure(), "unknown dates"),
        ("articles/date=2026-03-01/topic=health", article(), "the best of topics is not"),
        (SPORT, article(topics=[]), "the best of topics is not"),
        ("articles/date=2026-03-01/topic=unclassified", article(), "a topic was found"),
    ],
)
def test_a_row_in_the_wrong_partition_is_named(
    dataset: Dataset, folder: str, row: Row, words: str
) -> None:
    other = "articles/date=2026-03-01/topic=sport/z.parquet"
    table = folder.partition("/")[0]
    publish(
        dataset,
        {
            f"{folder}/a.parquet": in_table(table, [row]),
            other: in_table("articles", [article(2)]),
        },
    )
    sentence = the_fault(dataset, "partitions")
    assert f"{folder}/a.parquet: " in sentence
    assert words in sentence
    name = row.get("article_id") or row.get("failure_id") or row["origin"]
    assert name in sentence


def test_rows_on_either_side_of_midnight_before_1970_are_where_they_belong(
    dataset: Dataset,
) -> None:
    midnight = datetime.datetime(1969, 7, 21, tzinfo=datetime.UTC)
    before = midnight - datetime.timedelta(microseconds=1)
    files = {
        "articles/date=1969-07-21/topic=sport/a.parquet": [article(1, published_at=midnight)],
        "articles/date=1969-07-20/topic=sport/b.parquet": [article(2, published_at=before)],
    }
    publish(dataset, {path: in_table("articles", rows) for path, rows in files.items()})
    assert verify(dataset).clean


@pytest.mark.parametrize("note", ["best score 0.10 is below 0.13", None])
def test_an_unclassified_article_may_have_topics_if_a_note_says_why_none_is_taken(
    dataset: Dataset, note: str | None
) -> None:
    row = article(enrichment={"topic_note": note}, topics=article()["topics"] if note else [])
    folder = "articles/date=2026-03-01/topic=unclassified"
    publish(dataset, {f"{folder}/a.parquet": in_table("articles", [row])})
    assert verify(dataset).clean


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("articles/a.parquet", "lies in no partition"),
        ("articles/date=2026-03-01/a.parquet", "lies in no partition"),
        (f"{SPORT}/deeper/a.parquet", "lies in no partition"),
        ("articles/date=2026-02-30/topic=sport/a.parquet", "a date that is no day"),
        ("articles/date=20260301/topic=sport/a.parquet", "a date that is no day"),
        ("articles/date=2026-03-01/topic=gossip/a.parquet", "a topic that is none"),
    ],
)
def test_a_file_outside_the_partitions_is_named(dataset: Dataset, path: str, words: str) -> None:
    publish(dataset, {path: in_table("articles", [article()])})
    sentences = faults(verify(dataset))["partitions"]
    assert path in sentences[0]
    assert words in sentences[0]


# ── identity ────────────────────────────────────────────────────────────────────────────────────


def test_a_row_that_is_in_two_files_is_named_with_both(published: Dataset) -> None:
    again = article(2, origin="/invented/again.txt")
    publish(published, {f"{SPORT}/again.parquet": in_table("articles", [again])})
    sentence = the_fault(published, "identity")
    assert f"revision 0 of article {identity(2)} is there 2 times" in sentence
    assert f"{SPORT}/a.parquet, {SPORT}/again.parquet" in sentence


def test_a_text_that_a_work_has_twice_is_named(dataset: Dataset) -> None:
    rows = [article(), article(origin="/invented/again.txt", revision=1)]
    publish(dataset, {f"{SPORT}/a.parquet": in_table("articles", rows)})
    sentence = the_fault(dataset, "identity")
    assert f"revisions 0, 1 of article {identity(1)} have one content_hash and title" in sentence


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (None, "changes of a revision is not known"),
        ({"title": False, "shingles_kept": 1.5}, "shingles_kept is not between 0 and 1"),
    ],
)
def test_what_a_revision_changed_is_told(dataset: Dataset, changes: Row | None, fault: str) -> None:
    revised = article(
        origin="/invented/again.txt", revision=1, title="Another", anchors=b"", changes=changes
    )
    publish(dataset, {f"{SPORT}/a.parquet": in_table("articles", [article(), revised])})
    assert fault in the_fault(dataset, "columns")


@pytest.mark.parametrize("revisions", [(0, 2), (1, 2), (-1, 0)])
def test_a_revision_that_is_left_out_is_named(dataset: Dataset, revisions: tuple[int, ...]) -> None:
    rows = [article(n, article_id=identity(1), revision=n) for n in revisions]
    rows.append(article(9))
    publish(dataset, {f"{SPORT}/a.parquet": in_table("articles", rows)})
    sentence = the_fault(dataset, "identity")
    numbers = ", ".join(map(str, revisions))
    assert f"article {identity(1)} has the revisions {numbers}, and not" in sentence


def test_revisions_in_several_files_are_counted_together(dataset: Dataset) -> None:
    for number in (0, 1, 2):
        row = article(number, article_id=identity(1), revision=number)
        publish(dataset, {f"{SPORT}/{number}.parquet": in_table("articles", [row])})
    assert verify(dataset).clean


def test_copies_of_nothing_are_named(published: Dataset) -> None:
    rows = [copy(102, of=77), copy(103, of=77)]
    publish(published, {f"{COPIES}/lost.parquet": in_table("duplicates", rows)})
    sentence = the_fault(published, "identity")
    assert f"there is no article {identity(77)}" in sentence
    assert f"2 copies in {COPIES}/lost.parquet" in sentence


def test_a_failure_that_is_recorded_twice_is_named(published: Dataset) -> None:
    again = failure(origin="/invented/again.txt")
    publish(published, {f"{FAILED}/again.parquet": in_table("failures", [again])})
    sentence = the_fault(published, "identity")
    assert f"failure {identity(201)} is there 2 times" in sentence
    assert f"{FAILED}/again.parquet" in sentence


def test_one_input_that_ended_in_two_tables_is_named(dataset: Dataset) -> None:
    rows = [copy(of=1), copy(of=2)]
    publish(
        dataset,
        {
            f"{SPORT}/a.parquet": in_table("articles", [article(1), article(2)]),
            f"{COPIES}/b.parquet": in_table("duplicates", rows),
            f"{FAILED}/c.parquet": in_table("failures", [failure(origin=article(2)["origin"])]),
        },
    )
    sentences = faults(verify(dataset))["identity"]
    assert all("2 rows come from one origin in one run" in sentence for sentence in sentences)
    assert sorted(f"{COPIES}/b.parquet" in sentence for sentence in sentences) == [False, True]


def test_ids_that_end_in_zeros_are_told_apart_and_named_whole(dataset: Dataset) -> None:
    """They are kept as bytes, whose zeros at the end are easily lost."""
    ids = ["ab" + "0" * 30, "0" * 32]
    rows = [article(n, article_id=ids[n]) for n in (0, 1)]
    publish(
        dataset,
        {
            f"{SPORT}/a.parquet": in_table("articles", rows),
            f"{COPIES}/b.parquet": in_table("duplicates", [copy(canonical_id="00ab" + "0" * 28)]),
        },
    )
    assert f"no article 00ab{'0' * 28}," in the_fault(dataset, "identity")


@pytest.mark.parametrize("table", list(TABLES))
def test_a_row_of_a_run_that_no_manifest_lists_is_named(published: Dataset, table: str) -> None:
    make = {"articles": article, "duplicates": copy, "failures": failure}[table]
    folder = {"articles": SPORT, "duplicates": COPIES, "failures": FAILED}[table]
    row = make(300, run_id="20260101T000000Z-ffffff")
    publish(published, {f"{folder}/x.parquet": in_table(table, [row])})
    sentence = the_fault(published, "identity")
    assert f"{folder}/x.parquet: run_id is no run that a manifest lists in 1 row" in sentence


# ── columns ─────────────────────────────────────────────────────────────────────────────────────

LATER = OBSERVED_AT + datetime.timedelta(hours=14)


def entity(offsets: list[int], count: int | None = None) -> Row:
    mentions = len(offsets) if count is None else count
    return {"name": "x", "type": "place", "count": mentions, "id": None, "offsets": offsets}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (article(article_id="A" * 32), "article_id is not 32 hex digits"),
        (copy(canonical_id=identity(1) + "\n"), "canonical_id is not 32 hex digits"),
        (failure(failure_id="ab"), "failure_id is not 32 hex digits"),
        (
            article(body="Another text.", entities=[], word_count=2),
            "content_hash is not that of body",
        ),
        (copy(body="Another text."), "content_hash is not that of body"),
        (article(content_hash="no hash"), "content_hash is not that of body"),
        (article(word_count=5), "word_count is not that of body"),
        (article(published_precision=None), "published_at and published_precision"),
        (article(published_source=None), "published_at and published_source"),
        (copy(published_source=None), "published_at and published_source"),
        (article(published_precision="week"), "published_precision is none of day, hour"),
        (copy(published_precision="week"), "published_precision is none of day, hour"),
        (copy(kind="revision"), "kind is none of abridged, exact, near"),
        (failure(kind="article"), "kind is none of failed, rejected"),
        (failure(reason="bad-luck"), "reason is none of binary, "),
        (copy(similarity=1.5), "similarity is not between 0 and 1"),
        (copy(similarity=-0.1), "similarity is not between 0 and 1"),
        (copy(similarity=float("nan")), "similarity is not between 0 and 1"),
        (article(copies=-1), "copies is negative"),
        (article(fingerprint=b"\0" * 511), "fingerprint is not 128 numbers"),
        (
            article(changes={"title": True, "shingles_kept": 1.0}),
            "changes is known of revision 0",
        ),
        (article(entities=[entity([4], 2)]), "count of an entity is not"),
        (article(entities=[entity([4]), entity([])]), ""),
        (article(entities=[entity([9, 4])]), "not ascending places in body"),
        (article(entities=[entity([-1])]), "not ascending places in body"),
        (article(entities=[entity([4]), entity([99])]), "not ascending places in body"),
    ],
)
def test_a_value_that_does_not_mean_what_it_should_is_named(
    dataset: Dataset, row: Row, words: str
) -> None:
    table = next(
        name
        for name, key in {
            "failures": "failure_id", "duplicates": "canonical_id", "articles": "article_id"
        }.items()
        if key in row
    )  # fmt: skip
    folder = {"articles": SPORT, "duplicates": COPIES, "failures": FAILED}[table]
    # Among good rows, and not in the first batch.
    make = {"articles": article, "duplicates": copy, "failures": failure}[table]
    rows = [make(n) for n in range(1000, 1600)]
    files = {f"{folder}/x.parquet": in_table(table, [*rows, row])}
    if table == "duplicates":
        files[f"{SPORT}/a.parquet"] = in_table("articles", [article(1)])
    publish(dataset, files)
    if not words:
        assert verify(dataset).clean
        return
    sentence = the_fault(dataset, "columns")
    assert f"{folder}/x.parquet: " in sentence
    assert words in sentence
    assert "in 1 row" in sentence
    name = row["origin"] if table == "duplicates" else row.get("article_id", row.get("failure_id"))
    assert str(name) in sentence


def test_no_date_is_in_the_future_of_its_observation(dataset: Dataset) -> None:
    """A day without a zone may be one that has begun in the east alone."""
    day = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    second = datetime.timedelta(seconds=1)
    good = [
        article(1, published_at=day, published_precision="day"),
        article(2, published_at=LATER, published_precision="month"),
    ]
    folder = "articles/date=2026-07-01/topic=sport"
    publish(dataset, {f"{folder}/good.parquet": in_table("articles", good)})
    assert verify(dataset).clean
    bad = [
        article(3, published_at=day, published_precision="second"),
        article(4, published_at=LATER + second, published_precision="day"),
    ]
    publish(dataset, {f"{folder}/bad.parquet": in_table("articles", bad)})
    sentence = the_fault(dataset, "columns")
    assert f"{folder}/bad.parquet: published_at is after observed_at in 2 rows" in sentence
    assert identity(3) in sentence
    assert identity(4) in sentence


def test_offsets_count_characters_and_not_bytes(dataset: Dataset) -> None:
    body = "長崎の坂道に電動椅子が走る"
    text = print_text(body)
    columns = {"content_hash": text.content_hash, "word_count": text.word_count}
    last = len(body) - 1
    for number, offset in enumerate((last, last + 1)):
        row = article(number, body=body, entities=[entity([offset])], **columns)
        publish(dataset, {f"{SPORT}/{number}.parquet": in_table("articles", [row])})
    assert f"{SPORT}/1.parquet: offsets of an entity" in the_fault(dataset, "columns")


def test_a_failure_is_resolved_at_a_time_and_by_a_run_that_is_listed(dataset: Dataset) -> None:
    rows = [
        failure(1, resolved_at=OBSERVED_AT, resolved_by=RUN),
        failure(2, resolved_at=OBSERVED_AT),
        failure(3, resolved_by=RUN),
        failure(4, resolved_at=OBSERVED_AT, resolved_by="nobody"),
    ]
    publish(dataset, {f"{FAILED}/c.parquet": in_table("failures", rows)})
    found = faults(verify(dataset))
    [half] = found["columns"]
    assert "only one of resolved_at and resolved_by is known in 2 rows" in half
    [unknown] = found["identity"]
    assert f"resolved_by is no run that a manifest lists in 1 row (failure_id {identity(4)}" in (
        unknown
    )


# ── order ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", [0, 511, 1022])
def test_a_file_that_is_not_sorted_is_named(dataset: Dataset, place: int) -> None:
    """Wherever it is, also between two batches."""
    rows = in_table("articles", [article(number) for number in range(1024)]).to_pylist()
    rows[place], rows[place + 1] = rows[place + 1], rows[place]
    publish(dataset, {f"{SPORT}/a.parquet": in_table("articles", rows, sort=False)})
    sentence = the_fault(dataset, "order")
    assert f"{SPORT}/a.parquet is not sorted by published_at, article_id" in sentence


@pytest.mark.parametrize("table", ["duplicates", "failures"])
def test_other_tables_are_sorted_too(published: Dataset, table: str) -> None:
    make, folder = {"duplicates": (copy, COPIES), "failures": (failure, FAILED)}[table]
    rows = in_table(table, [make(300), make(301)]).to_pylist()[::-1]
    publish(published, {f"{folder}/x.parquet": in_table(table, rows, sort=False)})
    assert f"{folder}/x.parquet is not sorted" in the_fault(published, "order")


def test_the_text_order_of_version_1_is_an_order_there(dataset: Dataset) -> None:
    """In it a whole second came after its fractions: 12:00:00.5Z before 12:00:00Z."""
    half = PUBLISHED_AT + datetime.timedelta(seconds=0.5)
    rows = [article(1, published_at=half), article(2, published_at=PUBLISHED_AT)]
    table = of_version_1(in_table("articles", rows, sort=False))
    publish(dataset, {f"{SPORT}/old.parquet": table})
    assert verify(dataset).clean
    rows = [article(3, published_at=half), article(4, published_at=PUBLISHED_AT)]
    publish(dataset, {f"{SPORT}/new.parquet": in_table("articles", rows, sort=False)})
    assert f"{SPORT}/new.parquet" in the_fault(dataset, "order")


# ── the memory of feeds ─────────────────────────────────────────────────────────────────────────

A_MEMORY = encode_memory([FeedMemory("https://harbour.example/feed.xml", etag="7")])


@pytest.mark.parametrize("moved", [False, True])
def test_a_memory_that_is_whole_is_not_noted(published: Dataset, *, moved: bool) -> None:
    """Also that of a commit that is decided, wherever it lies."""
    publish(published, {}, run_id="r2", memory=A_MEMORY)
    assert verify(published).notes == ()
    leave_pending(published, 0)
    if not moved:
        staged = at(published, f"_newsbeam/staging/r2/{memory_path('r2')}")
        staged.parent.mkdir(parents=True)
        at(published, memory_path("r2")).replace(staged)
    assert not any("memory of feeds" in note for note in verify(published).notes)


@pytest.mark.parametrize("content", [None, A_MEMORY[:-1]], ids=["missing", "damaged"])
def test_a_memory_that_cannot_be_read_is_noted_and_no_fault(
    published: Dataset, content: bytes | None
) -> None:
    publish(published, {}, run_id="r2", memory=A_MEMORY)
    path = at(published, memory_path("r2"))
    path.unlink() if content is None else path.write_bytes(content)
    report = verify(published)
    assert report.clean
    [note] = report.notes
    assert "r2.jsonl.gz is " in note
    assert "all feeds are asked for again" in note


def test_a_memory_that_is_replaced_meanwhile_is_not_called_missing(published: Dataset) -> None:
    publish(published, {}, run_id="r2", memory=A_MEMORY)
    at(published, memory_path("r2")).unlink()
    report = verify(published, progress=lambda done, _: seal(published) if done == 1 else None)
    assert report.clean
    assert not any("memory of feeds" in note for note in report.notes)


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def checkpointed(published: Dataset) -> Dataset:
    """A dataset of two commits with a checkpoint after the second, the last."""
    publish(Dataset(published.store, checkpoint_every=2), {}, run_id="r2", memory=A_MEMORY)
    assert published.checkpoints() == [2]
    return published


def test_a_checkpoint_that_is_right_is_not_noted(checkpointed: Dataset) -> None:
    report = verify(checkpointed)
    assert report.clean
    assert report.notes == ()


def rewrite(dataset: Dataset, change: Callable[[Checkpoint], Checkpoint]) -> None:
    checkpoint = change(dataset.checkpoint(2))
    dataset.store.write(checkpoint_path(2), checkpoint.encode())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda it: Snapshot(2, dict(list(it.files.items())[1:]), it.memory), f"{SPORT}/a.parquet"),
        (lambda it: Snapshot(2, it.files, memory_path("r1")), memory_path("r2")),
        (lambda it: Snapshot(2, it.files, ""), memory_path("r2")),
    ],
    ids=["files", "other-memory", "no-memory"],
)
def test_a_checkpoint_that_disagrees_with_the_manifests_is_named(
    checkpointed: Dataset, change: Callable[[Snapshot], Snapshot], named: str
) -> None:
    rewrite(checkpointed, lambda it: replace(it, snapshot=change(it.snapshot)))
    sentence = the_fault(checkpointed, "manifests")
    assert "checkpoints/00000002.jsonl.gz is not what the manifests up to it add up" in sentence
    assert named in sentence


@pytest.mark.parametrize("harm", ["cut", "newer", "elsewhere"])
def test_a_checkpoint_that_is_passed_over_is_noted(checkpointed: Dataset, harm: str) -> None:
    path = at(checkpointed, checkpoint_path(2))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "newer":
        rewrite(checkpointed, lambda it: replace(it, schema_version=SCHEMA_VERSION + 1))
    else:
        rewrite(checkpointed, lambda it: replace(it, manifest_sha256="0" * 64))
    report = verify(checkpointed)
    assert report.clean
    [note] = report.notes
    assert "00000002.jsonl.gz is " in note
    assert "passed over" in note


def test_a_manifest_that_is_missing_before_a_checkpoint_is_named(checkpointed: Dataset) -> None:
    """Snapshots do without it."""
    at(checkpointed, "_newsbeam/commits/00000001.json").unlink()
    found = faults(verify(checkpointed))
    assert any("00000001.json is missing" in sentence for sentence in found["manifests"])
    assert len(checkpointed.snapshot().files) == 3


# ── what is listed of files ─────────────────────────────────────────────────────────────────────

ARTICLES_LISTED = f"{SPORT}/a.parquet"


def relist(dataset: Dataset, change: Callable[[FileKeys], FileKeys]) -> None:
    """Have the key file of the first commit say something else of a file."""
    path = keys_path(1)
    files = decode_keys(dataset.store.read(path))
    changed = [change(file) if file.path == ARTICLES_LISTED else file for file in files]
    dataset.store.write(path, encode_keys(changed))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: replace(file, keys=file.keys[1:]),
        lambda file: replace(file, keys=to_keys([*file.keys.tolist(), 7])),
        lambda file: replace(file, observed_micros=(1, 2)),
        lambda file: replace(file, observed_micros=None),
    ],
    ids=["lacks-a-key", "has-another-key", "other-times", "no-times"],
)
def test_a_key_file_that_disagrees_with_rows_is_named(
    published: Dataset, change: Callable[[FileKeys], FileKeys]
) -> None:
    relist(published, change)
    sentence = the_fault(published, "statistics")
    assert sentence.startswith("_newsbeam/keys/00000001.keys lists other times or keys of ")
    assert ARTICLES_LISTED in sentence


def test_what_is_listed_of_a_file_that_was_replaced_is_no_fault(published: Dataset) -> None:
    relist(published, lambda file: replace(file, keys=file.keys[1:], sha256="0" * 64))
    report = verify(published)
    assert report.clean
    assert [note for note in report.notes if "no key file lists" in note and ": 1;" in note]


@pytest.mark.parametrize("micros", [[1, 2], [1, 2**60], [0, 0]])
def test_times_in_a_manifest_that_disagree_with_rows_are_named(
    published: Dataset, micros: list[int]
) -> None:
    edit_manifest(published, lambda it: it["files"][0].update(observed_micros=micros))
    assert "observed at other times than its manifest says" in the_fault(published, "statistics")


@pytest.mark.parametrize("content", [b"", b"harm", b'{"format": 2}\n[]\n'])
def test_a_damaged_key_file_is_noted_and_no_fault(published: Dataset, content: bytes) -> None:
    """Files are looked into that need not be, until the next commit lists them again."""
    published.store.write(keys_path(1), content)
    report = verify(published)
    assert report.clean
    damaged, unlisted = report.notes
    assert "keys/00000001.keys is damaged" in damaged
    assert "no key file lists what they may hold: 3;" in unlisted


def test_a_lost_key_file_is_noted_and_no_fault(published: Dataset) -> None:
    published.store.delete([keys_path(1)])
    report = verify(published)
    assert report.clean
    [note] = report.notes
    assert "no key file lists what they may hold: 3;" in note


def test_a_key_file_of_a_commit_that_is_not_there_is_noted(published: Dataset) -> None:
    """As a dataset may have that was put back from a copy."""
    published.store.write(keys_path(7), published.store.read(keys_path(1)))
    report = verify(published)
    assert report.clean
    [note] = report.notes
    assert "keys/00000007.keys is of a commit that is not there" in note


def test_a_dataset_of_before_there_were_key_files_is_clean(version_1: Dataset) -> None:
    report = verify(version_1)
    assert report.clean
    assert any("no key file lists" in note for note in report.notes)


# ── commits that are not carried out ────────────────────────────────────────────────────────────


def leave_pending(dataset: Dataset, moved: int, *, old: bool = False) -> None:
    """Undo a last commit up to where it was decided and some of its files were moved."""
    last = dataset.snapshot().head
    path = at(dataset, f"_newsbeam/commits/{last:08d}.json")
    commit = Commit.decode(path.read_bytes(), "it")
    for file in commit.files[moved:]:
        staged = at(dataset, f"{commit.staging}/{file.path}")
        staged.parent.mkdir(parents=True, exist_ok=True)
        at(dataset, file.path).replace(staged)
    pending = at(dataset, f"_newsbeam/pending/{commit.name}")
    if old:
        pending = at(dataset, f"_newsbeam/runs/{commit.run_id}.pending.json")
        plain = {**commit.details, "files": [file.path for file in commit.files]}
        path.write_text(json.dumps(plain))
    pending.parent.mkdir(parents=True, exist_ok=True)
    path.replace(pending)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("moved", [0, 1, 3])
def test_a_commit_that_is_decided_is_noted_and_counts(
    published: Dataset, moved: int, *, old: bool
) -> None:
    leave_pending(published, moved, old=old)
    report = verify(published)
    assert faults(report) == {}
    assert sum(count.rows for count in report.tables) == 5
    assert any("is decided, but not carried out" in note for note in report.notes)


def test_a_decided_commit_whose_files_are_gone_is_named(published: Dataset) -> None:
    leave_pending(published, 0)
    shutil.rmtree(at(published, "_newsbeam/staging"))
    found = faults(verify(published))
    assert list(found) == ["files"]
    assert all("is missing" in sentence for sentence in found["files"])
    assert len(found["files"]) == 3


@pytest.mark.parametrize("gone", [False, True])
def test_files_that_a_decided_commit_takes_out_may_be_there_or_not(
    published: Dataset, *, gone: bool
) -> None:
    content = at(published, f"{FAILED}/c.parquet").read_bytes()
    publish(
        published,
        {f"{FAILED}/d.parquet": in_table("failures", [failure()])},
        kind="compact",
        run_id="r2",
        removed=[f"{FAILED}/c.parquet"],
    )
    leave_pending(published, moved=0)
    if not gone:
        at(published, f"{FAILED}/c.parquet").write_bytes(content)
    assert verify(published).clean


def test_a_decided_commit_that_follows_on_none_is_named(published: Dataset) -> None:
    commit = Commit(7, "seal", "")
    published.store.write(f"_newsbeam/pending/{commit.name}", commit.encode())
    assert "pending/00000007.json does not follow on commit 1" in the_fault(published, "manifests")


def test_a_pending_commit_that_is_carried_out_means_nothing(published: Dataset) -> None:
    manifest = published.store.read("_newsbeam/commits/00000001.json")
    published.store.write("_newsbeam/pending/00000001.json", manifest[:20])
    report = verify(published)
    assert report.clean
    assert report.notes == ()


def test_what_a_killed_run_has_staged_is_noted(published: Dataset) -> None:
    published.store.write("_newsbeam/staging/killed/plan.json", b"{}")
    report = verify(published)
    assert report.clean
    assert any("_newsbeam/staging/killed" in note for note in report.notes)


# ── writers at work ─────────────────────────────────────────────────────────────────────────────


def seal(dataset: Dataset) -> None:
    publish(dataset, {}, kind="seal", run_id="")


def test_what_a_writer_changed_meanwhile_is_looked_at_again(published: Dataset) -> None:
    """A compaction that is published after the first file was read takes the second one away."""

    def compact_once(done: int, _: int) -> None:
        if done == 1 and published.snapshot().head == 1:
            publish(
                published,
                {f"{FAILED}/d.parquet": in_table("failures", [failure()])},
                kind="compact",
                run_id="r2",
                removed=[f"{FAILED}/c.parquet"],
            )

    report = verify(published, progress=compact_once)
    assert faults(report) == {}
    assert not report.disturbed
    assert report.head == 2


def test_files_that_a_writer_brings_to_their_places_meanwhile_are_read_there(
    published: Dataset,
) -> None:
    """No manifest comes or goes: the commit is pending before and after."""
    leave_pending(published, 0)

    def bring(done: int, _: int) -> None:
        for path in standard_files() if done == 1 else ():
            at(published, path).parent.mkdir(parents=True, exist_ok=True)
            at(published, f"_newsbeam/staging/{RUN}/{path}").replace(at(published, path))

    report = verify(published, progress=bring)
    assert faults(report) == {}
    assert sum(count.rows for count in report.tables) == 5


def test_a_file_that_leaves_its_place_meanwhile_is_read_where_it_is_staged(
    published: Dataset,
) -> None:
    leave_pending(published, 0)
    for path in standard_files():
        shutil.copy(at(published, f"_newsbeam/staging/{RUN}/{path}"), at(published, path))
    last = at(published, f"{FAILED}/c.parquet")
    report = verify(published, progress=lambda done, _: last.unlink() if done == 1 else None)
    assert faults(report) == {}
    assert sum(count.rows for count in report.tables) == 5


def test_a_file_that_a_writer_moves_while_it_is_read_is_read_on_at_its_place(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an object store, where each range is a request."""
    path = f"{SPORT}/a.parquet"
    publish(dataset, {path: in_table("articles", [article(number) for number in range(5)])})
    leave_pending(dataset, 0)
    staged = at(dataset, f"_newsbeam/staging/{RUN}/{path}")
    monkeypatch.setattr(verifying, "_ROWS_PER_BATCH", 2)
    open_parquet = verifying.open_parquet

    @contextmanager
    def open_remote(store: Store, where: str, sha256: str) -> Iterator[Any]:
        with open_parquet(store, where, sha256) as parquet:
            yield Ranges(parquet, store.locate(where))

    class Ranges:
        def __init__(self, parquet: pq.ParquetFile, where: str) -> None:
            self.schema_arrow, self._parquet, self._where = parquet.schema_arrow, parquet, where

        def iter_batches(self, *options: Any, **more: Any) -> Iterator[pa.RecordBatch]:
            for number, batch in enumerate(self._parquet.iter_batches(*options, **more)):
                if number == 1 and staged.exists():
                    at(dataset, path).parent.mkdir(parents=True, exist_ok=True)
                    staged.replace(at(dataset, path))
                Path(self._where).stat()  # raises if it is gone
                yield batch

    monkeypatch.setattr(verifying, "open_parquet", open_remote)
    report = verify(dataset)
    assert faults(report) == {}
    assert sum(count.rows for count in report.tables) == 5
    assert not staged.exists()


def test_faults_beside_a_writer_that_never_rests_are_told_with_a_doubt(published: Dataset) -> None:
    at(published, f"{COPIES}/b.parquet").unlink()
    readings = itertools.count(1)

    def write_each_time(done: int, total: int) -> None:
        if done == total:
            next(readings)
            seal(published)

    report = verify(published, progress=write_each_time)
    assert next(readings) == MAX_READINGS + 1
    assert report.disturbed
    assert not report.clean
    assert any("verify it again" in note for note in report.notes)


def test_a_clean_dataset_that_grows_meanwhile_is_read_once(published: Dataset) -> None:
    readings = itertools.count(1)

    def write_each_time(done: int, total: int) -> None:
        if done == total:
            next(readings)
            seal(published)

    report = verify(published, progress=write_each_time)
    assert next(readings) == 2
    assert report.clean
    assert not report.disturbed
    assert any("checked up to 1" in note for note in report.notes)


# ── what a person sees ──────────────────────────────────────────────────────────────────────────


def picture(report: VerifyReport) -> str:
    out = io.StringIO()
    show_verify(Console(file=out, width=120), report)
    return out.getvalue()


def test_the_picture_of_a_clean_dataset_names_every_check(published: Dataset) -> None:
    shown = picture(verify(published))
    assert [line.split()[:2] for line in shown.splitlines() if " ok " in line] == [
        [name, "ok"] for name in CHECKS
    ]
    assert shown.rstrip().endswith("news is clean")


def test_the_picture_tells_faults_notes_and_the_verdict(published: Dataset) -> None:
    at(published, f"{COPIES}/b.parquet").unlink()
    at(published, "articles/[red]_SUCCESS").write_text("")
    shown = picture(verify(published))
    assert "faults 1" in shown
    assert f"  {COPIES}/b.parquet is missing" in shown
    assert "articles/[red]_SUCCESS" in shown
    assert "faults: 1" in shown.splitlines()[-1]


def test_many_faults_are_counted_and_some_are_told(dataset: Dataset) -> None:
    paths = [f"{SPORT}/{number:02d}.parquet" for number in range(MAX_LISTED + 5)]
    for path in paths:
        target = at(dataset, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"PAR1")
    report = verify(dataset)
    check = next(check for check in report.checks if check.name == "files")
    assert check.fault_count == 2 * len(paths)  # each is listed nowhere, and unreadable
    assert len(check.faults) == MAX_LISTED
    assert f"… and {check.fault_count - MAX_LISTED} more" in picture(report)
