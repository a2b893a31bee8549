"""Compaction: few sorted files with the rows of many, whatever goes wrong meanwhile."""

from __future__ import annotations

import base64
import datetime
import errno
import hashlib
import itertools
import random
import shutil
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from object_servers import GCSFS_SENDS_BYTES

from pipelines import compact as compacting
from pipelines.compact import CompactReport, compact
from pipelines.dataset import DataFile, Dataset, DatasetError, PublishError
from pipelines.key_files import read_keys
from schemas.arrow import NULL_PARTITION, SCHEMA_VERSION, TABLES, to_table
from transforms import compaction
from transforms.compaction import (
    GROUP_BYTES,
    ROWS_PER_GROUP,
    SORT_KEYS,
    DamagedFileError,
    SourceFile,
    merge_files,
    merge_sorted,
    noticing_damage,
    read_sorted,
    sort_rows,
    write_files,
)
from transforms.storage import HashingFile, LocalStore

pytest_plugins = ["object_servers"]

DATASET_V1 = Path(__file__).parent / "data" / "dataset_v1"
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
SPORT = "articles/date=2026-03-01/topic=sport"
UNDATED = f"articles/date={NULL_PARTITION}/topic=health"
COPIES = "duplicates/date=2026-03-01"
FAILURES = "failures/date=2026-06-30"

Row = dict[str, Any]

# ── merging ─────────────────────────────────────────────────────────────────────────────────────


def batches(table: pa.Table, size: int = 3) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches(max_chunksize=size))


def rows_of(chunks: Iterable[pa.Table]) -> list[Row]:
    return [row for chunk in chunks for row in chunk.to_pylist()]


def nulls_first(row: Row) -> tuple[tuple[bool, Any], ...]:
    return tuple((row[key] is not None, row[key]) for key in ("name", "number", "at"))


KEYED = pa.schema(
    [
        ("name", pa.string()),
        ("number", pa.int32()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("run", pa.int32()),
        ("place", pa.int32()),
        ("nested", pa.list_(pa.struct([("word", pa.string())]))),
    ]
)
"""Three columns to sort by, two that tell where a row came from, and one that has to come along."""

times = st.datetimes(datetime.datetime(1901, 1, 1), datetime.datetime(2100, 1, 1)).map(
    lambda at: at.replace(tzinfo=datetime.UTC)
)
keyed_rows = st.fixed_dictionaries(
    {
        # Few values, so that there are ties; among them such as UTF-16 would sort otherwise.
        "name": st.none() | st.sampled_from(["", "a", "B", "é", "\uffee", "\U0001f422"]),
        "number": st.none() | st.integers(-2, 2),
        "at": st.none() | st.sampled_from([NOON, NOON.replace(year=1969)]) | times,
        "nested": st.none() | st.lists(st.fixed_dictionaries({"word": st.none() | st.text()})),
    }
)


@settings(deadline=None)
@given(st.lists(st.lists(keyed_rows, max_size=12), max_size=5), st.integers(1, 5))
def test_sorted_runs_merge_into_sorted_rows_in_which_the_earlier_run_comes_first(
    runs: list[list[Row]], batch_rows: int
) -> None:
    """However the rows are split over runs and batches."""
    ordered = [
        [{**row, "run": run, "place": n} for n, row in enumerate(sorted(rows, key=nulls_first))]
        for run, rows in enumerate(runs)
    ]
    tables = [pa.Table.from_pylist(rows, schema=KEYED) for rows in ordered]
    split = [batches(table, batch_rows) for table in tables]
    merged = merge_sorted(split, ["name", "number", "at"])
    assert rows_of(merged) == sorted(itertools.chain(*ordered), key=nulls_first)


@settings(deadline=None)
@given(st.lists(keyed_rows, max_size=20))
def test_sorting_rows_agrees_with_what_the_merge_takes_for_sorted(rows: list[Row]) -> None:
    keys = ["name", "number", "at"]
    table = pa.Table.from_pylist(
        [{**row, "run": 0, "place": place} for place, row in enumerate(rows)], schema=KEYED
    )
    assert rows_of(merge_sorted([batches(sort_rows(table, keys))], keys)) == rows_of(
        [sort_rows(table, keys)]
    )


@pytest.mark.parametrize("batch_rows", [1, 3])
def test_a_run_that_is_not_sorted_is_refused(batch_rows: int) -> None:
    sound = pa.table({"number": [1, 2, 3]})
    unsorted = pa.table({"number": [1, 3, 2]})
    runs = [batches(sound), batches(unsorted, batch_rows)]
    with pytest.raises(ValueError, match="run 1 is not sorted by number"):
        list(merge_sorted(runs, ["number"]))


def test_a_chunk_has_no_more_rows_than_a_row_group() -> None:
    table = pa.table({"number": range(2 * ROWS_PER_GROUP + 7)})
    chunks = list(merge_sorted([batches(table, 1000)], ["number"]))
    assert [chunk.num_rows for chunk in chunks] == [ROWS_PER_GROUP, ROWS_PER_GROUP, 7]


def test_a_chunk_of_long_rows_ends_early() -> None:
    row_bytes = GROUP_BYTES // 8
    table = pa.table({"number": range(20), "body": ["x" * row_bytes] * 20})
    chunks = list(merge_sorted([batches(table, 2)], ["number"]))
    assert [chunk.num_rows for chunk in chunks] == [8, 8, 4]


def test_of_each_run_one_batch_is_in_memory() -> None:
    taken = 0

    def run() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        for start in range(0, 1_000_000, 500):
            taken += 1
            yield pa.record_batch({"number": range(start, start + 500)})

    first = next(merge_sorted([run(), run()], ["number"]))
    assert 500 * taken - first.num_rows <= 2 * 500


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def article(number: int, **columns: Any) -> Row:
    """A row of ``articles``; higher numbers are sorted behind lower ones."""
    return {
        "article_id": f"{number:032x}",
        "revision": 0,
        "origin": f"/invented/{number}.txt",
        "source_uri": f"/invented/{number}.txt",
        "title": f"Title {number}",
        "authors": ["Ana Ñandú", "李 雷"],
        "body": f"Report {number}.",
        "published_at": NOON,
        "observed_at": NOON,
        "entities": [{"name": "X", "type": "place", "count": 1, "id": None, "offsets": [0]}],
        "word_count": 2,
        "content_hash": f"{number:064x}",
        "fingerprint": bytes([number % 256]) * 512,
        "copies": 0,
        "extraction": {"method": "test", "versions": "1", "quality": 0.5},
        "run_id": "run",
        **columns,
    }


def long_article(number: int, letters: int = 60_000) -> Row:
    """One whose file has about a byte for each letter."""
    body = random.Random(number).choices(string.ascii_letters + string.digits, k=letters)
    return article(number, body="".join(body))


def duplicate(number: int) -> Row:
    columns = article(number, canonical_id=f"{number:032x}", kind="near", similarity=0.5)
    return {name: value for name, value in columns.items() if name in TABLES["duplicates"].names}


def failure(number: int) -> Row:
    return {
        "failure_id": f"{number:032x}",
        "kind": "failed",
        "stage": "extract",
        "reason": "truncated",
        "message": "It ends early.",
        "origin": f"/invented/{number:05d}.html",
        "payload": b"\x1f\x8b\x00",
        "observed_at": NOON,
        "run_id": "run",
    }


def article_table(rows: Iterable[Row]) -> pa.Table:
    return to_table(rows, TABLES["articles"])


def write(store: LocalStore, path: str, table: pa.Table, **options: Any) -> Path:
    """Write a file beside the code under test."""
    target = store.local_root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, write_page_checksum=True, **options)
    return target


def read(path: Path | str) -> pa.Table:
    with pq.ParquetFile(path) as parquet:
        return parquet.read()


def read_all(store: LocalStore, path: str, table: str = "articles") -> list[Row]:
    keys = SORT_KEYS[table]
    return rows_of(pa.Table.from_batches([batch]) for batch in read_sorted(store, path, keys))


def part(number: int) -> str:
    return f"part-{number}.parquet"


def test_chunks_become_row_groups_of_a_file_that_is_told_by_its_size_and_hash(
    tmp_path: Path,
) -> None:
    chunks = [article_table(map(article, numbers)) for numbers in (range(3), range(3, 5))]
    [written] = write_files(LocalStore(str(tmp_path)), "staged", SPORT, part, chunks, "articles")
    path = tmp_path / "staged" / written.path
    assert (written.table, written.path, written.rows) == ("articles", f"{SPORT}/part-0.parquet", 5)
    assert written.size_bytes == path.stat().st_size
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pq.ParquetFile(path) as parquet:
        groups = [parquet.metadata.row_group(i) for i in range(parquet.num_row_groups)]
        assert [group.num_rows for group in groups] == [3, 2]
        assert {group.column(0).compression for group in groups} == {"ZSTD"}
        assert groups[0].column(0).statistics.max == article(2)["article_id"]
        assert parquet.schema_arrow.equals(TABLES["articles"])
        assert parquet.schema_arrow.metadata == TABLES["articles"].metadata
        assert parquet.read().equals(pa.concat_tables(chunks))


def test_the_next_file_begins_when_one_has_reached_its_target(tmp_path: Path) -> None:
    chunks = [article_table([long_article(number)]) for number in range(5)]
    store = LocalStore(str(tmp_path))
    written = write_files(store, "staged", SPORT, part, chunks, "articles", 70_000)
    assert [(file.path, file.rows) for file in written] == [
        (f"{SPORT}/part-0.parquet", 2),
        (f"{SPORT}/part-1.parquet", 2),
        (f"{SPORT}/part-2.parquet", 1),
    ]
    files = [read(tmp_path / "staged" / file.path) for file in written]
    assert pa.concat_tables(files).equals(pa.concat_tables(chunks))


def test_of_no_rows_there_is_no_file(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    empty = TABLES["articles"].empty_table()
    assert write_files(store, "staged", SPORT, part, [empty], "articles") == []
    assert store.list_files("") == []


def test_columns_that_chunks_lack_are_null_and_those_of_no_table_are_left_out(
    tmp_path: Path,
) -> None:
    chunk = article_table([article(1)]).drop_columns(["title", "tags"])
    chunk = chunk.add_column(0, "partition", pa.array([SPORT]))
    [written] = write_files(LocalStore(str(tmp_path)), "staged", SPORT, part, [chunk], "articles")
    expected = article_table([article(1, title=None, tags=None)])
    assert read(tmp_path / "staged" / written.path).equals(expected)


def test_what_the_disk_says_while_a_file_is_written_is_passed_on(tmp_path: Path) -> None:
    chunks = [article_table([article(1)])]
    with pytest.raises(OSError, match="No space left") as raised:
        write_files(FullStore(str(tmp_path)), "staged", SPORT, part, chunks, "articles")
    assert raised.value.errno == errno.ENOSPC
    assert LocalStore(str(tmp_path)).list_files("") == []


@pytest.mark.parametrize("make", [article, long_article], ids=["loaded", "streamed"])
def test_a_sorted_file_is_read_as_it_is(tmp_path: Path, make: Callable[[int], Row]) -> None:
    store = LocalStore(str(tmp_path))
    table = article_table(map(make, range(150)))
    write(store, "articles/a.parquet", table, row_group_size=40)
    assert read_all(store, "articles/a.parquet") == table.to_pylist()


@pytest.mark.parametrize("make", [article, long_article], ids=["small", "large"])
def test_a_file_that_is_not_sorted_is_sorted(tmp_path: Path, make: Callable[[int], Row]) -> None:
    store = LocalStore(str(tmp_path))
    table = article_table(map(make, range(150)))
    write(store, "articles/a.parquet", table.take(list(reversed(range(150)))))
    assert read_all(store, "articles/a.parquet") == table.to_pylist()


@pytest.mark.parametrize("make", [article, long_article], ids=["loaded", "streamed"])
def test_a_file_of_an_older_schema_is_read_in_the_newest(
    tmp_path: Path, make: Callable[[int], Row]
) -> None:
    store = LocalStore(str(tmp_path))
    rows = [make(number) for number in range(80)]
    write(store, "articles/a.parquet", article_table(rows).drop_columns(["rights"]))
    for batch in read_sorted(store, "articles/a.parquet", SORT_KEYS["articles"]):
        assert batch.schema.equals(TABLES["articles"])
    assert read_all(store, "articles/a.parquet") == article_table(rows).to_pylist()


def test_a_key_that_is_no_column_of_the_table_comes_along(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    table = article_table([article(1), article(2)])
    write(store, "articles/a.parquet", table.add_column(3, "partition", pa.array(["b", "a"])))
    [batch] = read_sorted(store, "articles/a.parquet", ("partition", "article_id"))
    assert batch.column("partition").to_pylist() == ["a", "b"]
    assert batch.column("title").to_pylist() == ["Title 2", "Title 1"]


@pytest.mark.parametrize("make", [article, long_article], ids=["loaded", "streamed"])
def test_a_flipped_bit_in_a_page_is_noticed(tmp_path: Path, make: Callable[[int], Row]) -> None:
    store = LocalStore(str(tmp_path))
    # Without compression, which would notice it itself: the letter in its place is as good.
    table = article_table(map(make, range(80)))
    path = write(store, "articles/a.parquet", table, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as parquet:
        column = parquet.metadata.row_group(0).column(TABLES["articles"].names.index("origin"))
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.parquet is damaged"):
        read_all(store, "articles/a.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_what_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.parquet is damaged"):
        read_all(LocalStore(str(tmp_path)), "a.parquet")


def test_a_flipped_byte_in_a_footer_is_noticed(tmp_path: Path) -> None:
    """One that makes of a whole number's 32 bits more than Arrow has a type for."""
    path = write(LocalStore(str(tmp_path)), "articles/a.parquet", article_table([article(1)]))
    with pq.ParquetFile(path) as parquet:
        stored = parquet.metadata.metadata[b"ARROW:schema"]
    schema = base64.b64decode(stored)
    place = schema.rindex((32).to_bytes(4, "little"))
    flipped = base64.b64encode(schema[:place] + bytes([32 ^ 64]) + schema[place + 1 :])
    path.write_bytes(path.read_bytes().replace(stored, flipped))
    with pytest.raises(pa.ArrowNotImplementedError):
        read(path)
    with pytest.raises(DamagedFileError, match=r"a\.parquet is damaged"):
        read_all(LocalStore(str(tmp_path)), "articles/a.parquet")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        pa.ArrowCancelled("Operation cancelled"),
    ],
    ids=["full", "memory", "cancelled"],
)
def test_what_is_not_in_the_bytes_is_no_damage(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, noticing_damage("a.parquet"):
        raise error
    assert raised.value is error


def merged_files(store: LocalStore, paths: Sequence[str]) -> list[Row]:
    sources = [SourceFile(path) for path in paths]
    return rows_of(merge_files(store, sources, "articles", "spill"))


def scattered_files(store: LocalStore, rows: Sequence[Row], files: int) -> list[str]:
    """Write rows into files, each sorted, whose rows lie between each other's."""
    paths = [f"articles/{number:04d}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        write(store, path, article_table(rows[number::files]))
    return paths


@pytest.mark.parametrize(
    ("merge_bytes", "load_bytes"),
    [
        pytest.param(1 << 30, 1 << 30, id="all-loaded"),
        pytest.param(1 << 30, 0, id="all-streamed"),
        pytest.param(20_000, 1 << 30, id="loaded-then-spilled"),
        pytest.param(0, 0, id="two-at-a-time"),
        pytest.param(60_000, 18_000, id="some-loaded-some-streamed"),
    ],
)
def test_files_are_merged_whether_or_not_they_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merge_bytes: int, load_bytes: int
) -> None:
    monkeypatch.setattr(compaction, "MERGE_BYTES", merge_bytes)
    monkeypatch.setattr(compaction, "LOAD_BYTES", load_bytes)
    monkeypatch.setattr(compaction, "_RUN_FILES", 3)
    store = LocalStore(str(tmp_path))
    rows = [article(number) for number in range(180)]
    paths = scattered_files(store, rows, 15)
    paths += [f"articles/{number}.parquet" for number in ("x", "y")]
    write(store, paths[-2], article_table(rows[:0]))
    write(store, paths[-1], article_table(rows[100:160]))
    expected = sorted([*rows, *rows[100:160]], key=lambda row: row["article_id"])
    assert merged_files(store, paths) == article_table(expected).to_pylist()


def test_a_file_that_is_not_the_one_of_its_manifest_is_not_merged(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    path = write(store, "articles/a.parquet", article_table([article(1)]))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    source = SourceFile("articles/a.parquet", right)
    assert len(rows_of(merge_files(store, [source], "articles", "spill"))) == 1
    write(store, "articles/a.parquet", article_table([article(2)]))
    with pytest.raises(DamagedFileError, match="not the one in its manifest"):
        rows_of(merge_files(store, [source], "articles", "spill"))


def test_a_file_of_something_else_is_not_merged(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    write(store, "articles/a.parquet", pa.table({"a": [1]}))
    with pytest.raises(DamagedFileError, match="is no file of articles: it lacks article_id"):
        merged_files(store, ["articles/a.parquet"])


# ── a dataset ───────────────────────────────────────────────────────────────────────────────────


def add(dataset: Dataset, run_id: str, files: dict[str, Iterable[Row]]) -> None:
    """Commit files of these rows."""
    staging = f"_newsbeam/staging/{run_id}"
    added = []
    for path, rows in files.items():
        table = path.partition("/")[0]
        written = write_files(
            dataset.store, staging, path.rpartition("/")[0], lambda _, path=path: Path(path).name,
            [sort_rows(to_table(rows, TABLES[table]), SORT_KEYS[table])], table,
        )  # fmt: skip
        added += [DataFile(it.path, it.rows, it.size_bytes, it.sha256) for it in written]
    with dataset.writing("test"):
        head = dataset.snapshot().head
        dataset.publish("ingest", run_id, head, staging, added)


def small_dataset(root: Path) -> Dataset:
    """Three runs, which left three files in some partitions, and one in another."""
    dataset = Dataset(LocalStore(str(root)))
    for run in range(3):
        files = {
            f"{SPORT}/{run}.parquet": map(article, range(run, 12, 3)),
            f"{COPIES}/{run}.parquet": map(duplicate, range(run, 5, 3)),
            f"{FAILURES}/{run}.parquet": map(failure, range(run, 4, 3)),
        }
        if run == 1:
            files[f"{UNDATED}/{run}.parquet"] = [article(20, published_at=None)]
        add(dataset, f"run-{run}", files)
    return dataset


def content(root: Path) -> list[tuple[str, str]]:
    """Every row that a reader finds, with its partition, in an order of its own."""
    return sorted(
        (path.parent.relative_to(root).as_posix(), repr(row))
        for table in TABLES
        for path in (root / table).rglob("*.parquet")
        for row in read(path).to_pylist()
    )


def files_of(root: Path, folder: str = "") -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for table in TABLES
        for path in (root / table).rglob("*.parquet")
        if path.relative_to(root).as_posix().startswith(folder)
    )


def staged(root: Path) -> list[str]:
    return LocalStore(str(root)).names("_newsbeam/staging")


def compacted(dataset: Dataset, **options: Any) -> CompactReport:
    with dataset.writing("compact"):
        return compact(dataset, **options)


def test_compaction_leaves_one_sorted_file_a_partition_with_all_rows(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    before = content(tmp_path)
    compacted(dataset)
    assert content(tmp_path) == before
    partitions = [path.rpartition("/")[0] for path in files_of(tmp_path)]
    assert partitions == [SPORT, UNDATED, COPIES, FAILURES]
    for path in files_of(tmp_path):
        table = read(tmp_path / path)
        assert table.equals(sort_rows(table, SORT_KEYS[path.partition("/")[0]]))
    assert staged(tmp_path) == []


def test_compaction_is_one_commit_that_lists_what_is_there(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    report = compacted(dataset, clock=lambda: NOON)
    *_, last = dataset.commits()
    assert (last.number, last.kind, last.run_id) == (4, "compact", report.run_id)
    assert report.run_id.startswith("compact-20260301T120000Z-")
    snapshot = dataset.checked_snapshot()
    assert sorted(snapshot.files) == files_of(tmp_path)
    for path, file in snapshot.files.items():
        assert file.rows == read(tmp_path / path).num_rows
        assert file.sha256 == hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()


def test_compaction_lists_the_keys_and_times_of_its_files(tmp_path: Path) -> None:
    """Those of files that stay as they are, too, if nobody has: their dataset is older."""
    dataset = small_dataset(tmp_path)
    compacted(dataset)
    files = dataset.snapshot().files
    assert sorted(read_keys(dataset.store, dataset.snapshot().hashes())) == sorted(files)
    for path, file in files.items():
        assert (file.observed_micros is None) != ("/compact-" in path)


def test_the_report_tells_before_and_after(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)

    def bytes_of(table: str) -> int:
        return sum((tmp_path / path).stat().st_size for path in files_of(tmp_path, table))

    before = {table: bytes_of(table) for table in TABLES}
    report = compacted(dataset)
    assert (report.partitions, report.rewritten, report.rows) == (4, 3, 12 + 5 + 4)
    for table, files in {"articles": (4, 2), "duplicates": (3, 1), "failures": (3, 1)}.items():
        change = report.tables[table]
        assert (change.files_before, change.files_after) == files
        assert (change.bytes_before, change.bytes_after) == (before[table], bytes_of(table))
    *_, commit = dataset.commits()
    manifest = {**report.summary(), "seconds": 0}
    assert {**commit.details, "run_id": commit.run_id, "seconds": 0}.items() >= manifest.items()


def test_progress_counts_the_files_that_are_read(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    compacted(small_dataset(tmp_path), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 9) for done in range(1, 10)]


def test_the_second_compaction_does_nothing(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    compacted(dataset)
    before = files_of(tmp_path), dataset.snapshot()
    report = compacted(dataset)
    assert (report.run_id, report.rewritten, report.rows) == ("", 0, 0)
    assert (files_of(tmp_path), dataset.snapshot()) == before


def test_an_empty_dataset_needs_nothing(tmp_path: Path) -> None:
    assert compacted(Dataset(LocalStore(str(tmp_path)))).rewritten == 0


def test_partitions_with_fewer_files_than_asked_for_are_left_alone(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    assert compacted(dataset, min_files=4).rewritten == 0
    assert compacted(dataset, min_files=3).rewritten == 3


def test_a_single_file_is_not_worth_rewriting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="min_files is 1"):
        compacted(small_dataset(tmp_path), min_files=1)


def test_what_was_added_after_a_compaction_is_compacted_by_the_next(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    compacted(dataset)
    add(dataset, "run-4", {f"{SPORT}/4.parquet": map(article, range(40, 43))})
    before = content(tmp_path)
    report = compacted(dataset)
    assert report.rewritten == 1
    assert content(tmp_path) == before
    assert len(files_of(tmp_path, SPORT)) == 1


def test_large_files_stay_as_they_are(tmp_path: Path) -> None:
    """The same inode under the same name, beside the file that the small ones became."""
    dataset = small_dataset(tmp_path)
    add(dataset, "run-4", {f"{SPORT}/large.parquet": map(long_article, range(100, 110))})
    large = tmp_path / SPORT / "large.parquet"
    before, inode = content(tmp_path), large.stat().st_ino
    report = compacted(dataset, target_bytes=2 * large.stat().st_size)
    assert large.stat().st_ino == inode
    assert large.stat().st_nlink == 1
    assert files_of(tmp_path, SPORT) == [
        f"{SPORT}/{report.run_id}-000.parquet",
        f"{SPORT}/large.parquet",
    ]
    assert content(tmp_path) == before
    assert sorted(dataset.checked_snapshot().files) == files_of(tmp_path)


def test_a_partition_of_more_than_the_target_becomes_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_PER_GROUP", 2)
    dataset = Dataset(LocalStore(str(tmp_path)))
    files = {f"{SPORT}/{number}.parquet": [long_article(number)] for number in range(9)}
    add(dataset, "run", files)
    before = content(tmp_path)
    report = compacted(dataset, target_bytes=150_000)
    names = [f"{SPORT}/{report.run_id}-{part:03d}.parquet" for part in range(3)]
    assert files_of(tmp_path) == names
    assert [read(tmp_path / name).num_rows for name in names] == [4, 4, 1]
    assert content(tmp_path) == before
    assert compacted(dataset, target_bytes=150_000).rewritten == 0


def version_of(path: Path) -> int:
    with pq.ParquetFile(path) as parquet:
        return int(parquet.schema_arrow.metadata[b"newsbeam.schema_version"])


def of_version(table: pa.Table, version: int) -> pa.Table:
    return table.replace_schema_metadata(
        {**table.schema.metadata, b"newsbeam.schema_version": str(version).encode()}
    )


def test_a_lone_file_of_an_older_schema_is_brought_to_the_newest(tmp_path: Path) -> None:
    dataset = Dataset(LocalStore(str(tmp_path)))
    old = of_version(article_table([article(1)]).drop_columns(["rights"]), SCHEMA_VERSION - 1)
    write(dataset.store, f"{SPORT}/old.parquet", old)
    assert compacted(dataset).rewritten == 1
    [path] = files_of(tmp_path)
    assert version_of(tmp_path / path) == SCHEMA_VERSION
    assert read(tmp_path / path).equals(article_table([article(1)]))
    assert compacted(dataset).rewritten == 0


def test_of_files_that_an_ingest_listed_no_footer_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(tmp_path)
    looked_at: list[str] = []

    def look(store: LocalStore, path: str, *more: Any) -> Any:
        looked_at.append(path)
        return compaction.open_parquet(store, path, *more)

    monkeypatch.setattr(compacting, "open_parquet", look)
    assert compacted(dataset, min_files=100).rewritten == 0
    assert looked_at == []


def test_a_file_of_an_older_schema_that_a_replay_listed_again_is_brought_to_the_newest(
    tmp_path: Path,
) -> None:
    dataset = Dataset(LocalStore(str(tmp_path)))
    old = of_version(article_table([article(1)]).drop_columns(["rights"]), SCHEMA_VERSION - 1)
    staging, path = "_newsbeam/staging/replay", f"{SPORT}/old.parquet"
    size_bytes = write(dataset.store, f"{staging}/{path}", old).stat().st_size
    with dataset.writing("test"):
        dataset.publish("replay", "replay", 0, staging, [DataFile(path, 1, size_bytes)])
    assert compacted(dataset).rewritten == 1
    assert [version_of(tmp_path / it) for it in files_of(tmp_path)] == [SCHEMA_VERSION]


def test_a_dataset_of_version_1_is_brought_to_the_newest_schema_with_equal_rows(
    tmp_path: Path,
) -> None:
    root = tmp_path / "news"
    shutil.copytree(DATASET_V1, root)
    paths = files_of(root)
    shared = {table: read(root / paths[0]).schema.names for table in TABLES}
    for path in paths:
        shared[path.partition("/")[0]] = read(root / path).schema.names

    def old_columns() -> list[tuple[str, str]]:
        return sorted(
            (path.rpartition("/")[0], repr(row))
            for path in files_of(root)
            for row in read(root / path).select(shared[path.partition("/")[0]]).to_pylist()
        )

    before = old_columns()
    report = compacted(Dataset(LocalStore(str(root))))
    assert report.rewritten >= 1
    assert old_columns() == before
    assert {version_of(root / path) for path in files_of(root)} == {SCHEMA_VERSION}
    partitions = [path.rpartition("/")[0] for path in files_of(root)]
    assert len(partitions) == len(set(partitions))
    assert sorted(Dataset(LocalStore(str(root))).checked_snapshot().files) == files_of(root)


def test_a_file_that_no_commit_lists_is_taken_in(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    write(dataset.store, f"{SPORT}/stray.parquet", article_table([article(50)]))
    before = content(tmp_path)
    compacted(dataset)
    assert content(tmp_path) == before
    assert sorted(dataset.snapshot().files) == files_of(tmp_path)


@pytest.mark.parametrize("name", [f"{SPORT}/README", f"{SPORT}/old/notes.txt"])
def test_what_people_put_beside_the_files_stays(tmp_path: Path, name: str) -> None:
    dataset = small_dataset(tmp_path)
    before = content(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("ours")
    compacted(dataset)
    assert (tmp_path / name).read_text() == "ours"
    assert content(tmp_path) == before
    assert len(files_of(tmp_path, SPORT)) == 1


def test_what_a_killed_compaction_staged_is_removed_and_what_an_ingest_staged_is_not(
    tmp_path: Path,
) -> None:
    dataset = small_dataset(tmp_path)
    for run_id in ("compact-20260101T000000Z-000000", "20260101T000000Z-000000"):
        dataset.store.write(f"_newsbeam/staging/{run_id}/articles/a.parquet", b"")
    compacted(dataset, min_files=1000)
    assert staged(tmp_path) == ["20260101T000000Z-000000"]


@pytest.mark.parametrize("server", ["minio", "fake_gcs"])
@pytest.mark.filterwarnings(GCSFS_SENDS_BYTES)
def test_a_dataset_in_an_object_store_is_compacted_like_one_on_a_disk(
    request: pytest.FixtureRequest, server: str
) -> None:
    store = request.getfixturevalue(server).new_store()
    dataset = Dataset(store)
    for run in range(2):
        small = {SPORT: [article(run)], COPIES: [duplicate(run)]}
        add(dataset, f"run-{run}", {f"{it}/{run}.parquet": rows for it, rows in small.items()})
    # Two that are streamed rather than loaded: the smaller is to be merged, the larger to stay.
    merged, kept = f"{SPORT}/merged.parquet", f"{COPIES}/kept.parquet"
    copies = ({**duplicate(n), "body": long_article(n)["body"]} for n in range(10, 130))
    add(dataset, "run-2", {merged: map(long_article, range(10, 100)), kept: copies})

    def rows_there() -> list[tuple[str, str]]:
        return sorted(
            (path.rpartition("/")[0], repr(row))
            for path in dataset.checked_snapshot().files
            for row in pq.read_table(pa.BufferReader(store.read(path))).to_pylist()
        )

    before = rows_there()
    report = compacted(dataset, target_bytes=2 * dataset.snapshot().files[kept].size_bytes)
    assert rows_there() == before
    there = [file.path for table in TABLES for file in store.list_files(table)]
    new = [f"{partition}/{report.run_id}-000.parquet" for partition in (SPORT, COPIES)]
    assert there == [*new, kept]
    assert store.names("_newsbeam/staging") == []


# ── when something is wrong ─────────────────────────────────────────────────────────────────────


def everything(root: Path) -> dict[str, bytes]:
    """Every file of the dataset, those of its memory too, but not the leases."""
    folders = (*TABLES, "_newsbeam/commits", "_newsbeam/pending", "_newsbeam/staging")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


def test_a_damaged_file_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    path = tmp_path / COPIES / "1.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    before = everything(tmp_path)
    with pytest.raises(DatasetError, match=r"duplicates/.*/1\.parquet is damaged"):
        compacted(dataset)
    assert everything(tmp_path) == before


def test_a_file_with_other_rows_than_its_manifest_says_is_named(tmp_path: Path) -> None:
    dataset = Dataset(LocalStore(str(tmp_path)))
    staging = "_newsbeam/staging/run"
    files = []
    for number in range(2):
        path = f"{SPORT}/{number}.parquet"
        target = write(dataset.store, f"{staging}/{path}", article_table([article(number)]))
        files.append(DataFile(path, 1 + number, target.stat().st_size))
    with dataset.writing("test"):
        dataset.publish("ingest", "run", 0, staging, files)
    before = everything(tmp_path)
    with pytest.raises(DatasetError, match=r"1\.parquet is damaged: it has 1 rows.*says 2"):
        compacted(dataset)
    assert everything(tmp_path) == before


def test_rows_that_get_lost_on_the_way_stop_the_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = small_dataset(tmp_path)

    def lose_one(*arguments: Any) -> Iterator[pa.Table]:
        for chunk in merge_files(*arguments):
            yield chunk.slice(1)

    monkeypatch.setattr(compacting, "merge_files", lose_one)
    before = everything(tmp_path)
    with pytest.raises(RuntimeError, match="read 12 rows and wrote 11; nothing was changed"):
        compacted(dataset)
    assert everything(tmp_path) == before


@dataclass(frozen=True)
class FullStore(LocalStore):
    """A disk that has no room for files beneath a staging folder."""

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        with super().writer(path) as file:
            if "staged/" in path or "staging/" in path:
                file._file.close()
                file._file = FullFile()  # type: ignore[assignment]
            yield file


class FullFile:
    def write(self, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    small_dataset(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(PublishError, match="No space left on device; nothing was changed"):
        compacted(Dataset(FullStore(str(tmp_path))))
    assert everything(tmp_path) == before


def test_a_compaction_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path)
    before = everything(tmp_path)

    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compacted(dataset, progress=interrupt)
    assert everything(tmp_path) == before


# ── readers and kills ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class SteppingStore(LocalStore):
    """Calls ``step`` before each single change of the disk, and after the last one of a call."""

    step: Callable[[], None] = field(default=lambda: None, compare=False)
    exchanges: bool = True

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        self.step()
        with super().writer(path) as file:
            yield file
        self.step()

    def create(self, path: str, content: bytes) -> bool:
        self.step()
        return super().create(path, content)

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for pair in moves:
            self.step()
            super().move([pair])
        self.step()

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.step()
            super().delete([path])
        self.step()

    def delete_folder(self, folder: str) -> None:
        self.step()
        super().delete_folder(folder)

    def exchange(self, folder: str, other: str) -> bool:
        self.step()
        done = self.exchanges and super().exchange(folder, other)
        self.step()
        return done

    def link(self, path: str, target: str) -> bool:
        self.step()
        return super().link(path, target)

    def sync_folders(self, paths: Iterable[str]) -> None:
        self.step()


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, int]:
    """A dataset, and a target for which a file stays in a partition and the rest becomes two."""
    monkeypatch.setattr(compaction, "ROWS_PER_GROUP", 4)
    dataset = Dataset(LocalStore(str(tmp_path / "news")))
    for run in range(4):
        files = {f"{SPORT}/{run}.parquet": [long_article(run), article(20 + run)]}
        if run < 2:
            files[f"{COPIES}/{run}.parquet"] = [duplicate(run)]
        add(dataset, f"run-{run}", files)
    add(dataset, "run-4", {f"{SPORT}/large.parquet": [long_article(100, 90_000)]})
    return dataset, 150_000


def test_a_reader_sees_a_partition_before_or_after_and_never_between(
    mixed: tuple[Dataset, int],
) -> None:
    dataset, target_bytes = mixed
    root = dataset.store.local_root
    partitions = (SPORT, COPIES)
    before = {partition: files_of(root, partition) for partition in partitions}
    seen: dict[str, list[list[str]]] = {partition: [] for partition in partitions}

    def look() -> None:
        for partition in partitions:
            seen[partition].append(files_of(root, partition))

    with dataset.writing("compact"):
        compact(Dataset(SteppingStore(str(root), look)), target_bytes=target_bytes)
    assert {partition: len(files_of(root, partition)) for partition in partitions} == {
        SPORT: 3,
        COPIES: 1,
    }
    for partition in partitions:
        states = [state for state, _ in itertools.groupby(seen[partition])]
        assert states == [before[partition], files_of(root, partition)]


def test_where_folders_cannot_be_swapped_a_reader_misses_no_row_at_any_moment(
    mixed: tuple[Dataset, int],
) -> None:
    dataset, target_bytes = mixed
    root = dataset.store.local_root
    before = content(root)
    states: list[bool] = []

    def look() -> None:
        states.append(set(content(root)) == set(before))

    with dataset.writing("compact"):
        compact(Dataset(SteppingStore(str(root), look, exchanges=False)), target_bytes=target_bytes)
    assert all(states)
    assert content(root) == before


class Kill(SystemExit):
    """What stands for kill -9 here: nothing of the program catches it."""


def kill_at(fatal: int) -> Callable[[], None]:
    steps = itertools.count()

    def step() -> None:
        if next(steps) >= fatal:
            raise Kill

    return step


@pytest.mark.parametrize(
    ("exchanges", "exchanges_later"),
    [
        pytest.param(True, True, id="swapped"),
        pytest.param(False, False, id="moved"),
        # The dataset was brought to another disk in between.
        pytest.param(False, True, id="moved-then-swapped", marks=pytest.mark.slow),
        pytest.param(True, False, id="swapped-then-moved", marks=pytest.mark.slow),
    ],
)
def test_a_compaction_killed_at_any_step_is_finished_or_undone_by_the_next_writer(
    mixed: tuple[Dataset, int], tmp_path: Path, exchanges: bool, exchanges_later: bool
) -> None:
    template, target_bytes = mixed
    root = tmp_path / "killed"
    expected = content(template.store.local_root)
    before = files_of(template.store.local_root)
    finished = []
    for fatal in itertools.count():
        shutil.copytree(template.store.local_root, root)
        killed = Dataset(SteppingStore(str(root), kill_at(fatal), exchanges))
        try:
            with Dataset(LocalStore(str(root))).writing("compact"):
                compact(killed, target_bytes=target_bytes)
        except Kill:
            pass
        else:
            break  # it has no more steps
        later = Dataset(SteppingStore(str(root), exchanges=exchanges_later))
        with later.writing("next"):
            assert content(root) == expected, f"killed at step {fatal}"
            assert sorted(later.checked_snapshot().files) == files_of(root)
            finished.append(files_of(root) != before)
            compact(later, min_files=1000)  # which removes what is left of the first
            assert staged(root) == []
        shutil.rmtree(root)
    # From some step on it is decided, and is finished; before, it was as if it had not begun.
    assert finished == sorted(finished)
    assert set(finished) == {False, True}
