"""Writing Parquet, partitioned by date and topic: rows to sorted runs, runs to files.

``WriteRuns``: ``EnrichedArticle``, ``Duplicate`` or failures → ``StagedRun``, and a closing
``LedgerEntry`` for each row. ``AssembleTables``: a range of partitions → ``WrittenFile``, one or
more for each partition. ``WriteReport``: a ``Balance`` and what was made → JSON. Bounded. What the
store refuses ends the run, for nothing of it is published yet.

Beam's own sinks do not serve: ``WriteToParquet`` has no dynamic partitions and ``WriteToFiles``
loses panes. Here a worker writes what it has, sorted by partition, whenever it has a few thousand
rows; at the end of the run all these *runs* (in the sense of an external merge sort; Knuth, TAOCP
3, 5.4) are merged, so that neither slices nor workers show in the files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas import arrow
from schemas.records import (
    Balance,
    Duplicate,
    EnrichedArticle,
    Failure,
    LedgerEntry,
    StagedBlock,
    StagedRun,
    Tally,
    WrittenFile,
)
from transforms.compaction import SORT_KEYS, merge_sorted, sort_rows, write_files
from transforms.measures import NAMESPACE
from transforms.staging import ROWS_PER_BATCH, ArrowRows, is_whole, paths_of_block
from transforms.storage import Store

ROWS_PER_RUN = 2_048
BYTES_PER_RUN = 32 << 20
RUNS_AT_ONCE = 128
"""Runs of one table that are read at a time."""
PARTITION = "_partition"
"""Column of a run: the folder that its row belongs to, relative to the dataset."""
_PARTITIONS = b"newsbeam.partitions"
Row = dict[str, Any]


class StagedRow(NamedTuple):
    """A row on its way to a file: where it belongs, and how it closes its account."""

    partition: str
    row: Row
    closing: LedgerEntry


def article_partition(enriched: EnrichedArticle) -> str:
    """Folder of an article's file, relative to the dataset."""
    published = enriched.unique.article.published
    date = arrow.date_partition(published.at if published else None)
    return f"articles/date={date}/topic={enriched.topic}"


def duplicate_partition(duplicate: Duplicate) -> str:
    """Folder of a copy's file: by the copy's own date."""
    published = duplicate.article.published
    return f"duplicates/date={arrow.date_partition(published.at if published else None)}"


def failure_partition(identified: tuple[str, Failure]) -> str:
    """Folder of a failure's file: by the day it was observed."""
    return f"failures/date={arrow.date_partition(identified[1].observed_at)}"


def stage_article(enriched: EnrichedArticle, run_id: str) -> StagedRow:
    """An article's row."""
    unique = enriched.unique
    return StagedRow(
        partition=article_partition(enriched),
        row=arrow.article_row(enriched, run_id),
        closing=LedgerEntry(
            "unit",
            unique.article.origin,
            opened=0,
            closed=1,
            outcome="revision" if unique.revision else "article",
        ),
    )


def stage_duplicate(duplicate: Duplicate, run_id: str) -> StagedRow:
    """A copy's row."""
    return StagedRow(
        partition=duplicate_partition(duplicate),
        row=arrow.duplicate_row(duplicate, run_id),
        closing=LedgerEntry(
            "unit",
            duplicate.article.origin,
            opened=0,
            closed=1,
            outcome="duplicate",
            detail=duplicate.kind,
        ),
    )


def stage_failure(identified: tuple[str, Failure], run_id: str) -> StagedRow:
    """A failure's row."""
    identity, failure = identified
    return StagedRow(
        partition=failure_partition(identified),
        row=arrow.failure_row(failure, identity, run_id),
        closing=LedgerEntry(
            "unit",
            failure.origin,
            opened=0,
            closed=1,
            outcome=failure.kind,
            detail=failure.reason,
        ),
    )


# ── rows to runs ────────────────────────────────────────────────────────────────────────────────


def run_schema(table: str) -> pa.Schema:
    """The schema of a run of a table: the table's, and the partition before it."""
    return pa.schema([pa.field(PARTITION, pa.string()), *arrow.TABLES[table]])


def to_run(table: str, rows: Iterable[StagedRow]) -> pa.Table:
    """Rows as an unsorted run."""
    plain = [{PARTITION: row.partition, **row.row} for row in rows]
    return pa.Table.from_pylist(plain, schema=run_schema(table))


def write_run(store: Store, folder: str, table: str, rows: pa.Table, name: str) -> StagedRun:
    """Sort rows by partition and write them as a run.

    Raises:
        OSError: if the store refuses.
    """
    ordered = sort_rows(rows, (PARTITION, *SORT_KEYS[table]))
    counts = [
        (partition, len(list(same)))
        for partition, same in itertools.groupby(ordered[PARTITION].to_pylist())
    ]
    return _write_sorted(store, f"{folder}/{table}-{name}.arrow", table, [ordered], counts)


def _write_sorted(
    store: Store,
    path: str,
    table: str,
    chunks: Iterable[pa.Table],
    counts: Sequence[tuple[str, int]],
) -> StagedRun:
    schema = run_schema(table).with_metadata({_PARTITIONS: json.dumps(counts).encode()})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with store.writer(path) as file, pa.ipc.new_file(file, schema, options=options) as out:
        for batch in _batches(chunks):
            out.write_batch(batch)
    return StagedRun(table, path, sum(rows for _, rows in counts))


def _batches(chunks: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """The rows of all chunks in batches of ``ROWS_PER_BATCH``; only the last may have fewer."""
    rest: list[pa.Table] = []
    for chunk in chunks:
        rest.append(chunk)
        rows = sum(table.num_rows for table in rest)
        if rows >= ROWS_PER_BATCH:
            whole = pa.concat_tables(rest).combine_chunks()
            full = rows - rows % ROWS_PER_BATCH
            yield from whole.slice(0, full).to_batches(max_chunksize=ROWS_PER_BATCH)
            rest = [whole.slice(full)]
    if any(table.num_rows for table in rest):
        yield from pa.concat_tables(rest).combine_chunks().to_batches()


def partitions_of_run(store: Store, run: StagedRun) -> list[tuple[str, int]]:
    """(partition, rows) of a run, in order.

    Raises:
        OSError: if the store refuses.
    """
    file = ArrowRows(store, run.path)
    try:
        return _partitions(file)
    finally:
        file.close()


def _partitions(file: ArrowRows) -> list[tuple[str, int]]:
    return [(str(name), int(rows)) for name, rows in json.loads(file.metadata[_PARTITIONS])]


def read_run(
    store: Store, run: StagedRun, first: str = "", last: str | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a run whose partition lies between two, both included.

    Raises:
        OSError: if the store refuses.
    """
    file = ArrowRows(store, run.path)
    try:
        counts = _partitions(file)
        start = sum(rows for name, rows in counts if name < first)
        end = sum(rows for name, rows in counts if last is None or name <= last)
        for number in range(start // ROWS_PER_BATCH, -(-end // ROWS_PER_BATCH)):
            begin = number * ROWS_PER_BATCH
            skip = max(0, start - begin)
            batch = file.batch(number)
            rows = batch.slice(skip, min(end - begin, batch.num_rows) - skip)
            if rows.num_rows:
                yield rows
    finally:
        file.close()


def merge_runs(
    store: Store, runs: Iterable[StagedRun], folder: str, at_once: int = RUNS_AT_ONCE
) -> list[StagedRun]:
    """Runs of which all of one table can be read at a time, with the rows of the given ones.

    Where there are more, they are merged into fewer, in ``folder``, as often as it takes: to read
    one, a file is held open, and some of its rows.

    Raises:
        OSError: if the store refuses.
    """
    merged: list[StagedRun] = []
    ordered = sorted(runs, key=lambda run: (run.table, run.path))
    for table, same in itertools.groupby(ordered, key=lambda run: run.table):
        left = list(same)
        for level in itertools.count():
            if len(left) <= at_once:
                break
            groups = [left[start : start + at_once] for start in range(0, len(left), at_once)]
            left = [
                _merge_runs(store, group, f"{folder}/{table}-{level}-{number:06d}.arrow")
                for number, group in enumerate(groups)
            ]
        merged += left
    return merged


def _merge_runs(store: Store, runs: Sequence[StagedRun], path: str) -> StagedRun:
    table = runs[0].table
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update(dict(partitions_of_run(store, run)))
    chunks = merge_sorted([read_run(store, run) for run in runs], (PARTITION, *SORT_KEYS[table]))
    return _write_sorted(store, path, table, chunks, sorted(counts.items()))


class Written(NamedTuple):
    """What ``WriteRuns`` gives."""

    runs: PCollection[StagedRun]
    ledger: PCollection[LedgerEntry]


_ROWS_WRITTEN = Metrics.counter(NAMESPACE, "rows_written")
_FILES_ASSEMBLED = Metrics.counter(NAMESPACE, "files_assembled")
_FILE_BYTES = Metrics.distribution(NAMESPACE, "file_bytes")


class _WriteRuns(beam.DoFn):
    LEDGER = "ledger"

    def __init__(
        self,
        table: str,
        stage: Callable[[Any, str], StagedRow],
        store: Store,
        folder: str,
        run_id: str,
    ) -> None:
        self._table = table
        self._stage = stage
        self._store = store
        self._folder = folder
        self._run_id = run_id

    def start_bundle(self) -> None:
        self._rows: list[StagedRow] = []
        self._tables: list[pa.Table] = []
        self._closings: list[LedgerEntry] = []

    def process(self, element: Any) -> Iterator[StagedRun | TaggedOutput]:
        self._rows.append(self._stage(element, self._run_id))
        if len(self._rows) < ROWS_PER_BATCH:
            return
        self._gather()
        rows = sum(table.num_rows for table in self._tables)
        if rows >= ROWS_PER_RUN or sum(t.nbytes for t in self._tables) >= BYTES_PER_RUN:
            run, closings = self._flush()
            yield run
            for closing in closings:
                yield TaggedOutput(self.LEDGER, closing)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        self._gather()
        if not self._tables:
            return
        run, closings = self._flush()
        window = GlobalWindow()
        yield WindowedValue(run, window.max_timestamp(), [window])
        for closing in closings:
            value = WindowedValue(closing, window.max_timestamp(), [window])
            yield TaggedOutput(self.LEDGER, value)

    def _gather(self) -> None:
        """Rows as Python objects take three times the space that they take in Arrow."""
        if self._rows:
            self._tables.append(to_run(self._table, self._rows))
            self._closings += [row.closing for row in self._rows]
            self._rows = []

    def _flush(self) -> tuple[StagedRun, list[LedgerEntry]]:
        rows, self._tables = pa.concat_tables(self._tables), []
        closings, self._closings = self._closings, []
        name = _name_of(closing.key for closing in closings)
        _ROWS_WRITTEN.inc(rows.num_rows)
        return write_run(self._store, self._folder, self._table, rows, name), closings


def _name_of(origins: Iterable[str]) -> str:
    """A name that is a function of which rows are in a run, so that a retry writes it again."""
    digest = hashlib.sha256()
    for origin in origins:
        digest.update(origin.encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()[:32]


@dataclass
class WriteRuns(beam.PTransform):
    """Elements of one table → ``StagedRun`` in a folder, and their closed accounts.

    ``stage`` makes an element's row.
    """

    table: str
    stage: Callable[[Any, str], StagedRow]
    store: Store
    folder: str
    run_id: str

    def expand(self, elements: PCollection[Any]) -> Written:
        """Write on each worker what it has."""
        write = _WriteRuns(self.table, self.stage, self.store, self.folder, self.run_id)
        parted = elements | beam.ParDo(write).with_output_types(
            StagedRun, ledger=LedgerEntry
        ).with_outputs(_WriteRuns.LEDGER, main="runs")
        return Written(parted.runs, parted[_WriteRuns.LEDGER])


# ── runs to files ───────────────────────────────────────────────────────────────────────────────


class PartitionRange(NamedTuple):
    """Neighbouring partitions of one table that are assembled together."""

    table: str
    first: str
    last: str
    rows: int


def plan_assembly(
    store: Store, runs: Iterable[StagedRun], rows_per_range: int
) -> list[PartitionRange]:
    """Cut the partitions of all runs into ranges of about as many rows; none is cut itself."""
    counts: dict[tuple[str, str], int] = {}
    for run in runs:
        for name, rows in partitions_of_run(store, run):
            counts[run.table, name] = counts.get((run.table, name), 0) + rows
    ranges: list[PartitionRange] = []
    for (table, name), rows in sorted(counts.items()):
        last = ranges[-1] if ranges else None
        if last and last.table == table and last.rows + rows <= rows_per_range:
            ranges[-1] = last._replace(last=name, rows=last.rows + rows)
        else:
            ranges.append(PartitionRange(table, name, name, rows))
    return ranges


def assemble_range(
    store: Store, runs: Sequence[StagedRun], wanted: PartitionRange, staging: str, run_id: str
) -> Iterator[WrittenFile]:
    """Merge the runs' rows of some partitions into their files, below a staging folder.

    Where the store takes several files at once, small ones are written while the next are merged.

    Raises:
        OSError: if the store refuses.
    """
    batches = [
        read_run(store, run, wanted.first, wanted.last)
        for run in sorted(runs, key=lambda run: run.path)
        if run.table == wanted.table
    ]
    chunks = merge_sorted(batches, (PARTITION, *SORT_KEYS[wanted.table]))
    parts = itertools.chain.from_iterable(map(_by_partition, chunks))

    def write(partition: str, rows: Iterable[pa.Table]) -> list[WrittenFile]:
        return write_files(
            store,
            staging,
            partition,
            lambda number: f"{run_id}-{number:03d}.parquet",
            rows,
            wanted.table,
        )

    waiting: deque[Future[list[WrittenFile]]] = deque()
    with ThreadPoolExecutor(store.files_at_once) as threads:
        for partition, same in itertools.groupby(parts, key=lambda part: part[0]):
            rows = (chunk for _, chunk in same)
            first = next(rows)
            second = next(rows, None)
            if second is not None or store.files_at_once == 1:
                rest = [] if second is None else [second]
                yield from write(partition, itertools.chain([first], rest, rows))
                continue
            waiting.append(threads.submit(write, partition, [first]))
            if len(waiting) >= store.files_at_once:
                yield from waiting.popleft().result()
        for written in waiting:
            yield from written.result()


def _by_partition(chunk: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    start = 0
    for partition, same in itertools.groupby(chunk[PARTITION].to_pylist()):
        rows = len(list(same))
        yield str(partition), chunk.slice(start, rows)
        start += rows


def _measured(file: WrittenFile) -> WrittenFile:
    _FILES_ASSEMBLED.inc()
    _FILE_BYTES.update(file.size_bytes)
    return file


@dataclass
class AssembleTables(beam.PTransform):
    """``PartitionRange`` → ``WrittenFile`` below a staging folder, from all runs of a run."""

    store: Store
    runs: Sequence[StagedRun]
    staging: str
    run_id: str

    def expand(self, ranges: PCollection[PartitionRange]) -> PCollection[WrittenFile]:
        """Assemble each range on one worker."""
        store, runs, staging, run_id = self.store, self.runs, self.staging, self.run_id
        return (
            ranges
            | beam.FlatMap(
                lambda wanted: assemble_range(store, runs, PartitionRange(*wanted), staging, run_id)
            ).with_output_types(WrittenFile)
            | "Measured" >> beam.Map(_measured).with_output_types(WrittenFile)
        )


# ── reports ─────────────────────────────────────────────────────────────────────────────────────

Made = StagedBlock | StagedRun | WrittenFile
_MADE: Mapping[str, type[Made]] = {
    kind.__name__: kind for kind in (StagedBlock, StagedRun, WrittenFile)
}


@dataclass(frozen=True)
class Report:
    """What one pipeline of a run has done."""

    balance: Balance | None
    made: tuple[Made, ...]


def write_report(balance: Balance | None, made: Iterable[Made], store: Store, path: str) -> str:
    """Write a report as JSON; gives its path. That it is there means that all it lists is.

    Raises:
        OSError: if the store refuses.
    """
    report = {
        "balance": None if balance is None else dataclasses.asdict(balance),
        "made": sorted(
            ({"record": type(one).__name__, **dataclasses.asdict(one)} for one in made),
            key=lambda one: (one["record"], one["path"]),
        ),
    }
    store.write(path, json.dumps(report).encode())
    return path


def read_report(store: Store, path: str) -> Report | None:
    """What ``write_report`` wrote, or None if it is not there, or cannot be read.

    Raises:
        OSError: if the store refuses.
    """
    try:
        report = json.loads(store.read(path))
        balance = report["balance"]
        if balance is not None:
            tallies = tuple(Tally(**tally) for tally in balance["tallies"])
            balance = Balance(**{**balance, "tallies": tallies})
        made = tuple(_MADE[one.pop("record")](**one) for one in report["made"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Report(balance, made)


def read_whole_report(store: Store, path: str) -> Report | None:
    """What ``read_report`` gives, or None if a staged file that it lists is gone or damaged.

    What a run finds of an earlier process may have lain there through a power cut.

    Raises:
        OSError: if the store refuses.
    """
    report = read_report(store, path)
    if report is None or not all(is_whole(store, file) for file in _staged_files(report.made)):
        return None
    return report


def _staged_files(made: Iterable[Made]) -> Iterator[str]:
    for one in made:
        if isinstance(one, StagedBlock):
            yield from paths_of_block(one)
        elif isinstance(one, StagedRun):
            yield one.path


@dataclass
class WriteReport(beam.PTransform):
    """One ``Balance`` and what was made → a JSON file that the launching process reads.

    The file is the only way back that every runner offers, and what a run that goes on after a
    kill knows this step's end by.
    """

    made: PCollection[Made]
    store: Store
    path: str

    def expand(self, balance: PCollection[Balance]) -> PCollection[str]:
        """Write the report once all else is written."""
        return balance | beam.Map(
            write_report, made=beam.pvalue.AsList(self.made), store=self.store, path=self.path
        ).with_output_types(str)
