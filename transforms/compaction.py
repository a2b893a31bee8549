"""Sorted Parquet files: reading them, merging many into few, and writing them in row groups.

In: files of one table, each sorted by the table's ``SORT_KEYS`` (or sorted here). Out: files of
about ``TARGET_FILE_BYTES``, sorted as well, so that a filter on time or identity skips row groups.
Bounded: what is in memory is a batch of each file and one row group, however many rows there are.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import TABLES
from schemas.records import WrittenFile
from transforms.storage import Store

ROWS_PER_GROUP = 5_000
"""Most rows of a row group."""
GROUP_BYTES = 32 << 20
"""About how many bytes a row group has in memory, at most, unless one row has more."""
TARGET_FILE_BYTES = 128 << 20
READ_BATCH_ROWS = 64
"""Rows of a file that are in memory at a time while it is merged with others."""
LOAD_BYTES = 4 << 20
"""A file that has no more bytes than this uncompressed is read at once, and closed."""
MERGE_BYTES = 96 << 20
"""About how much is in memory of files that are merged; what more there is goes through a spill."""
STREAM_BYTES = 12 << 20
"""About how much memory a file takes that is merged without being loaded."""
_LOCAL_READERS = 2
_REMOTE_READERS = 16
"""How many files are read at the same time: an object store answers late, but many at once."""
_RUN_FILES = 256
"""How many loaded files become one run, at most: a table of one row takes many times its bytes."""
_RUN_BYTES = 16 << 20
"""From how many bytes on loaded files become a run: for a moment it takes three times that."""
_NO_LIMIT = 1 << 62
_BUFFER_BYTES = 64 << 10
"""How much of a column of a local file is read at a time."""
_HASH_BYTES = 8 << 20
"""How much of a file is hashed at a time, each a request where the store is far away."""

SORT_KEYS: dict[str, tuple[str, ...]] = {
    "articles": ("published_at", "article_id", "revision", "content_hash"),
    "duplicates": ("canonical_id", "content_hash", "origin"),
    "failures": ("origin", "failure_id"),
}
"""By which columns the rows of a table's file are sorted: ascending, nulls first."""


_PUT_BACK = "put it back from a copy of the dataset"


class DamagedFileError(OSError):
    """A file is cut short, fails its checksums, or is none of ours; the message says which."""


@contextmanager
def noticing_damage(where: str, advice: str = "") -> Iterator[None]:
    """Make a ``DamagedFileError`` of what Arrow finds wrong in the bytes of a file.

    What the store refuses stays what it is, and so does a lack of memory.
    """
    try:
        yield
    except (pa.ArrowMemoryError, pa.ArrowCancelled):
        raise  # the machine's lack or a person's wish, neither of which is in the bytes
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the store's refusal; what Arrow finds wrong in the bytes has no number
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        what_to_do = f"; {advice}" if advice else ""
        raise DamagedFileError(errno.EIO, f"{where} is damaged: {reason}{what_to_do}") from error


Key = tuple[Any, ...]


def row_keys(batch: pa.RecordBatch | pa.Table, keys: Sequence[str]) -> list[Key]:
    """What each row is compared by: the columns ``keys``, of which a null comes before all else."""
    if not keys:
        return [()] * batch.num_rows
    parts: list[list[Any]] = []
    for key in keys:
        column = batch.column(key)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())  # compares faster, and any year will do
        values = column.to_pylist()
        # Nulls are told apart by the first, so that None is only ever compared with None.
        parts += [[value is not None for value in values], values]
    return list(zip(*parts, strict=True))


class _Cursor:
    """Where the merge stands in one run."""

    def __init__(self, run: Iterator[pa.RecordBatch], position: int, keys: Sequence[str]) -> None:
        self._run = run
        self._position = position
        self._names = keys
        self._keys: list[Key] = []
        self.batch: pa.RecordBatch | None = None
        self.row = -1
        self.row_bytes = 0.0
        """Average of the batch."""

    def advance(self) -> bool:
        """Go to the next row; whether there is one."""
        last = self._keys[self.row] if self.row >= 0 else None
        self.row += 1
        while self.row >= len(self._keys):
            batch = next(self._run, None)
            if batch is None:
                return False
            self.batch, self.row = batch, 0
            self._keys = row_keys(batch, self._names)
            self.row_bytes = batch.nbytes / max(1, batch.num_rows)
        if last is not None and self._keys[self.row] < last:
            raise ValueError(f"run {self._position} is not sorted by {', '.join(self._names)}")
        return True

    @property
    def entry(self) -> tuple[Key, int]:
        """What it is compared by with other runs: the row's key, then the run's position."""
        return self._keys[self.row], self._position


class _Piece(NamedTuple):
    """Neighbouring rows of a batch that lie in one chunk."""

    batch: pa.RecordBatch
    start: int


class _Chunk:
    """Rows on their way into one table, as references into their batches."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._piece_of_run: dict[int, int] = {}
        self._order: list[int] = []
        """For each row, the piece it comes from."""
        self.size_bytes = 0.0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, cursor: _Cursor, position: int) -> None:
        """Take the row at which a cursor stands."""
        number = self._piece_of_run.get(position)
        if number is None or self._pieces[number].batch is not cursor.batch:
            number = self._piece_of_run[position] = len(self._pieces)
            self._pieces.append(_Piece(cursor.batch, cursor.row))
        self._order.append(number)
        self.size_bytes += cursor.row_bytes

    def table(self) -> pa.Table:
        """The rows in order."""
        order = np.asarray(self._order)
        counts = np.bincount(order, minlength=len(self._pieces)).tolist()
        slices = [
            piece.batch.slice(piece.start, count)
            for piece, count in zip(self._pieces, counts, strict=True)
        ]
        table = pa.Table.from_batches(slices).combine_chunks()
        # Where, in the pieces one after the other, the row of each place is.
        gathered = np.empty(len(order), np.int64)
        gathered[np.argsort(order, kind="stable")] = np.arange(len(order))
        return table if _ascends(gathered) else table.take(pa.array(gathered))


def _ascends(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> bool:
    return bool(np.all(numbers[1:] > numbers[:-1]))


def merge_sorted(
    runs: Sequence[Iterator[pa.RecordBatch]], keys: Sequence[str]
) -> Iterator[pa.Table]:
    """Merge runs of one schema, each sorted by ``keys`` with nulls first, into chunks in order.

    Rows of equal keys come in the order of their runs. A chunk has at most ``ROWS_PER_GROUP`` rows
    and about ``GROUP_BYTES``. In memory are a batch of each run, and the chunk.

    Raises:
        ValueError: if a run is not sorted.
    """
    cursors = [_Cursor(iter(run), position, keys) for position, run in enumerate(runs)]
    heap = [cursor.entry for cursor in cursors if cursor.advance()]
    heapq.heapify(heap)
    chunk = _Chunk()
    while heap:
        position = heap[0][1]
        cursor = cursors[position]
        chunk.add(cursor, position)
        if cursor.advance():
            heapq.heapreplace(heap, cursor.entry)
        else:
            heapq.heappop(heap)
        if len(chunk) >= ROWS_PER_GROUP or chunk.size_bytes >= GROUP_BYTES:
            yield chunk.table()
            chunk = _Chunk()
    if len(chunk):
        yield chunk.table()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in a schema: its columns in that order, what it lacks null, the rest left out.

    Raises:
        pa.ArrowInvalid: if a value does not fit into its column's type.
    """
    names = set(table.schema.names)
    columns = [
        _cast(table.column(field.name), field.type)
        if field.name in names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type.equals(kind) else column.cast(kind)


def sort_rows(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The table sorted by keys, nulls first; rows of equal keys stay in their order."""
    # By the same comparison as the merge, rather than Arrow's own.
    by = row_keys(table, keys)
    order = np.asarray(sorted(range(len(by)), key=by.__getitem__), np.int64)
    return table if _ascends(order) else table.take(pa.array(order))


@contextmanager
def open_parquet(store: Store, path: str, sha256: str = "") -> Iterator[pq.ParquetFile]:
    """A Parquet file of a store, whose pages are held against their checksums.

    If ``sha256`` is not empty, the whole file is held against it first.

    Raises:
        DamagedFileError: if it is damaged; also from within the block.
        OSError: if the store refuses.
    """
    where = store.locate(path)
    local = store.local_root is not None
    with store.open(path) as opened:
        source = pa.BufferReader(opened.read()) if opened.size() <= LOAD_BYTES else opened
        if sha256 and _sha256(source) != sha256:
            raise DamagedFileError(
                errno.EIO,
                f"{where} is damaged: its SHA-256 is not the one in its manifest; {_PUT_BACK}",
            )
        with (
            noticing_damage(where, _PUT_BACK),
            pq.ParquetFile(
                source,
                page_checksum_verification=True,
                # A row group whole, where each request has its price; else only what is decoded.
                pre_buffer=not local,
                buffer_size=_BUFFER_BYTES if local else 0,
            ) as parquet,
        ):
            yield parquet


def may_hold_observed(group: pq.RowGroupMetaData, wanted_micros: tuple[int, int]) -> bool:
    """Whether a row group may hold rows observed between two times (microseconds since 1970).

    Its statistics say so, or leave it open.
    """
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "observed_at":
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return True
            least, greatest = (_micros(at) for at in (statistics.min, statistics.max))
            return greatest >= wanted_micros[0] and least <= wanted_micros[1]
    return True


def _micros(moment: datetime.datetime) -> int:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment.astimezone(datetime.UTC) - epoch) // datetime.timedelta(microseconds=1)


def _sha256(source: pa.NativeFile) -> str:
    digest = hashlib.sha256()
    while content := source.read(_HASH_BYTES):
        digest.update(content)
    source.seek(0)
    return digest.hexdigest()


def _uncompressed_bytes(parquet: pq.ParquetFile) -> int:
    return sum(
        parquet.metadata.row_group(number).total_byte_size
        for number in range(parquet.num_row_groups)
    )


def read_sorted(store: Store, path: str, keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, sorted by ``keys`` with nulls first, in the newest schema.

    A file that is sorted is streamed; another one, or a small one, is loaded. Columns that it lacks
    are null. A key that is no column of the table stays, as the first of the columns.

    Raises:
        DamagedFileError: if it is damaged.
        OSError: if the store refuses.
    """
    with open_parquet(store, path) as parquet:
        named = (parquet.schema_arrow.metadata or {}).get(b"newsbeam.table", b"").decode()
        table = named if named in TABLES else path.partition("/")[0]
        schema = _with_keys(_schema_of(parquet, table, store.locate(path)), keys, parquet)
        if _uncompressed_bytes(parquet) > LOAD_BYTES and _is_sorted(parquet, keys):
            for batch in _batches(parquet):
                yield from conform(pa.Table.from_batches([batch]), schema).to_batches()
            return
        loaded = sort_rows(conform(parquet.read(use_threads=False), schema), keys)
    yield from loaded.to_batches(max_chunksize=READ_BATCH_ROWS)


def _schema_of(parquet: pq.ParquetFile, table: str, where: str) -> pa.Schema:
    """The newest schema of the table, if the file is of that table."""
    if table not in TABLES:
        raise DamagedFileError(errno.EIO, f"{where} does not say of which table it is")
    there = set(parquet.schema_arrow.names)
    lacking = [it.name for it in TABLES[table] if not it.nullable and it.name not in there]
    if lacking:
        raise DamagedFileError(errno.EIO, f"{where} is no file of {table}: it lacks {lacking[0]}")
    return TABLES[table]


def _with_keys(schema: pa.Schema, keys: Sequence[str], parquet: pq.ParquetFile) -> pa.Schema:
    extra = [parquet.schema_arrow.field(key) for key in keys if key not in schema.names]
    return pa.schema([*extra, *schema], metadata=schema.metadata)


def _batches(
    parquet: pq.ParquetFile, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    for group in range(parquet.num_row_groups):
        yield from parquet.iter_batches(
            READ_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
        )


def _is_sorted(parquet: pq.ParquetFile, keys: Sequence[str]) -> bool:
    present = [key for key in keys if key in parquet.schema_arrow.names]
    sorted_by = itertools.chain.from_iterable(
        row_keys(batch, present) for batch in _batches(parquet, present)
    )
    return all(left <= right for left, right in itertools.pairwise(sorted_by))


class SourceFile(NamedTuple):
    """A file to be merged with others."""

    path: str
    sha256: str = ""
    """What it must have; empty where nobody knows."""


def merge_files(
    store: Store,
    files: Iterable[SourceFile],
    table: str,
    spill: str,
    opened: Callable[[SourceFile, int], None] = lambda *_: None,
) -> Iterator[pa.Table]:
    """The rows of any number of files of one table, sorted, in chunks as ``merge_sorted`` gives.

    What does not fit into memory at once goes through files in the folder ``spill``, which is left
    behind. ``opened`` is told of each file how many rows it says it has.

    Raises:
        DamagedFileError: if a file is damaged, or none of this table.
        OSError: if the store refuses.
    """
    keys = SORT_KEYS[table]
    for level in itertools.count():
        spilled: list[SourceFile] = []
        for runs, is_last in _affordable(store, files, table, opened):
            chunks = merge_sorted(runs, keys)
            if is_last and not spilled:
                yield from chunks
                return
            name = f"{level}-{len(spilled)}-{{}}.parquet".format
            written = write_files(store, spill, table, name, chunks, table, _NO_LIMIT)
            spilled += [SourceFile(f"{spill}/{file.path}", file.sha256) for file in written]
        files, opened = spilled, lambda *_: None


_Run = Iterator[pa.RecordBatch]


def _affordable(
    store: Store,
    files: Iterable[SourceFile],
    table: str,
    opened: Callable[[SourceFile, int], None],
) -> Iterator[tuple[list[_Run], bool]]:
    """The files as sorted runs, in groups that fit into memory; and whether a group is the last."""
    keys = SORT_KEYS[table]
    runs: list[_Run] = []
    small: list[pa.Table] = []
    cost_bytes = small_bytes = 0

    def gather_small() -> None:
        nonlocal small_bytes
        if small:
            gathered = sort_rows(pa.concat_tables(small).combine_chunks(), keys)
            runs.append(iter(gathered.to_batches(max_chunksize=READ_BATCH_ROWS)))
            small.clear()
            small_bytes = 0

    for look in _look_ahead(store, files, table):
        if cost_bytes >= MERGE_BYTES and len(runs) + bool(small) > 1:  # or it would not end
            gather_small()
            yield runs, False
            runs, cost_bytes = [], 0
        opened(look.file, look.rows)
        cost_bytes += look.cost_bytes
        if look.loaded is None:
            gather_small()
            runs.append(read_sorted(store, look.file.path, keys))
        else:
            small.append(look.loaded)
            small_bytes += look.cost_bytes
            if len(small) >= _RUN_FILES or small_bytes >= _RUN_BYTES:
                gather_small()
    gather_small()
    yield runs, True


class _Look(NamedTuple):
    """A file before it is merged."""

    file: SourceFile
    rows: int
    loaded: pa.Table | None
    """Its rows, if they are few."""
    cost_bytes: int
    """About how much memory it takes while it is merged."""


def _look_ahead(store: Store, files: Iterable[SourceFile], table: str) -> Iterator[_Look]:
    def look(file: SourceFile) -> _Look:
        with open_parquet(store, file.path, file.sha256) as parquet:
            schema = _schema_of(parquet, table, store.locate(file.path))
            rows, size_bytes = parquet.metadata.num_rows, _uncompressed_bytes(parquet)
            if size_bytes <= LOAD_BYTES:
                loaded = conform(parquet.read(use_threads=False), schema)
                return _Look(file, rows, loaded, loaded.nbytes)
            streams = _is_sorted(parquet, SORT_KEYS[table])
            return _Look(file, rows, None, STREAM_BYTES if streams else size_bytes)

    readers = _REMOTE_READERS if store.local_root is None else _LOCAL_READERS
    remaining = iter(files)
    with ThreadPoolExecutor(readers) as pool:
        while some := list(itertools.islice(remaining, readers)):
            yield from pool.map(look, some)


def write_files(  # noqa: PLR0917 - in the order of the path
    store: Store,
    staging: str,
    folder: str,
    name: Callable[[int], str],
    chunks: Iterable[pa.Table],
    table: str,
    target_file_bytes: int = TARGET_FILE_BYTES,
) -> list[WrittenFile]:
    """Write chunks, each as a row group, into ``{staging}/{folder}/{name(part)}``.

    ``part`` counts from 0, and the next begins when a file has reached the target. The schema is
    the table's newest; columns that the chunks lack are null, columns of no table are left out.
    The paths of what is given back are relative to ``staging``.

    Raises:
        OSError: if the store refuses.
    """
    schema = TABLES[table]
    rest = (chunk for chunk in chunks if chunk.num_rows)
    files: list[WrittenFile] = []
    for first in rest:
        path = f"{folder}/{name(len(files))}"
        rows = 0
        with (
            store.writer(f"{staging}/{path}") as sink,
            pq.ParquetWriter(
                pa.PythonFile(sink, mode="w"),
                schema,
                compression="zstd",
                write_statistics=True,
                write_page_checksum=True,
            ) as writer,
        ):
            for chunk in itertools.chain([first], rest):
                writer.write_table(conform(chunk, schema), row_group_size=chunk.num_rows)
                rows += chunk.num_rows
                if sink.size_bytes >= target_file_bytes:
                    break
        files.append(WrittenFile(table, path, rows, sink.size_bytes, sha256=sink.sha256))
    return files
