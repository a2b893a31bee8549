"""Staged blocks: the files in which a run keeps, slice by slice, what it has made so far.

A block of articles is two Arrow files (IPC file format) of equal length: ``.articles`` with the
records and their bodies, ``.prints`` with their fingerprints, so that texts are compared without
reading them. A known block has rows of the dataset: ``.prints`` with what candidates are found by,
and ``.texts`` with the fingerprints of those that are compared. A block of failures is one file, as
is a block of other records: fetched pages, polled feeds, fetched links. Each file appears whole or
not at all; a block's name is a function of what is in it.

A text of a run, or a row of a known block, is referred to by a number:
``block.number << 32 | row``.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

import pyarrow as pa
from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    Article,
    Failure,
    Fingerprint,
    FingerprintedArticle,
    StagedBlock,
    decode_record,
    encode_record,
)
from transforms.compaction import DamagedFileError, noticing_damage
from transforms.storage import Store

ROWS_PER_BATCH = 64
"""Rows that are read together where one is asked for."""
_ROW_BITS = 32
_CACHED_BATCHES = 64
_OPEN_FILES = 16

ARTICLES = ".articles.arrow"
PRINTS = ".prints.arrow"
TEXTS = ".texts.arrow"
"""Fingerprints of those rows of a known block whose bodies were read; the other rows are null."""
FAILURES = ".failures.arrow"
RECORDS = ".records.arrow"

_ARTICLE_SCHEMA = pa.schema([("record", pa.large_binary()), ("body", pa.large_string())])
_FAILURE_SCHEMA = pa.schema([("failure_id", pa.string()), ("record", pa.large_binary())])
_RECORD_SCHEMA = pa.schema([("record", pa.large_binary())])
_PRINT_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),
        ("article_id", pa.string()),
        ("content_hash", pa.string()),
        ("source_uri", pa.string()),
        ("observed_micros", pa.int64()),
        ("word_count", pa.int64()),
        ("completeness", pa.int64()),
        ("published_micros", pa.int64()),
        ("quality", pa.float64()),
        ("agency", pa.string()),
        ("publisher", pa.string()),
        ("title_key", pa.string()),
        ("table", pa.string()),
        ("numbers", pa.large_binary()),
        ("names", pa.large_binary()),
        ("signature", pa.large_binary()),
        ("shingles", pa.large_binary()),
        ("anchors", pa.large_binary()),
    ]
)

KNOWN_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),
        ("article_id", pa.string()),
        ("content_hash", pa.string()),
        ("observed_micros", pa.int64()),
        ("revision", pa.int32()),
        ("table", pa.string()),
        ("signature", pa.large_binary()),
        ("anchors", pa.large_binary()),
        ("is_far", pa.bool_()),
        ("path", pa.string()),
        ("row", pa.int64()),
    ]
)
"""Of a known block: what candidates are found by, which of its rows meet nothing, for they were
observed before the horizon, and where each row is: a Parquet file, and a row of it from 0 on."""


def ref_of(block_number: int, row: int) -> int:
    """The reference of a row of a block."""
    return block_number << _ROW_BITS | row


def block_and_row(ref: int) -> tuple[int, int]:
    """The number of the block and the row that a reference means."""
    return ref >> _ROW_BITS, ref & ((1 << _ROW_BITS) - 1)


def failure_id(failure: Failure) -> str:
    """Identity of a failure, 32 hex digits: equal when the same content fails the same way.

    Of a feed that could not be polled whatever it had for content.
    """
    identity = [failure.stage, failure.reason, failure.origin]
    digest = hashlib.sha256("\n".join(identity).encode("utf-8", "surrogatepass"))
    if failure.stage != "poll":  # what is sent instead of a feed may be another each time
        digest.update(hashlib.sha256(failure.payload).digest())
    return digest.hexdigest()[:32]


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def _block_path(folder: str, kind: str, identities: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for identity in identities:
        digest.update(identity.encode("utf-8", "surrogatepass") + b"\x1e")
    return f"{folder}/{kind}-{digest.hexdigest()[:32]}"


def write_arrow(
    store: Store, path: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], codec: str | None
) -> None:
    """Write rows as an Arrow file of small batches."""
    with _arrow_writer(store, path, schema, codec) as arrow:
        for start in range(0, len(rows), ROWS_PER_BATCH):
            batch = list(rows[start : start + ROWS_PER_BATCH])
            arrow.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


@contextmanager
def _arrow_writer(
    store: Store, path: str, schema: pa.Schema, codec: str | None
) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with store.writer(path) as file, pa.ipc.new_file(file, schema, options=options) as arrow:
        yield arrow


def _print_row(fingerprint: Fingerprint) -> dict[str, Any]:
    published = fingerprint.published_at
    return {
        "origin": fingerprint.origin,
        "article_id": fingerprint.article_id,
        "content_hash": fingerprint.content_hash,
        "source_uri": fingerprint.source_uri,
        "observed_micros": fingerprint.observed_at.micros,
        "word_count": fingerprint.word_count,
        "completeness": fingerprint.completeness,
        "published_micros": None if published is None else published.micros,
        "quality": fingerprint.quality,
        "agency": fingerprint.agency,
        "publisher": fingerprint.publisher,
        "title_key": fingerprint.title_key,
        "table": fingerprint.table,
        "numbers": fingerprint.numbers,
        "names": fingerprint.names,
        "signature": fingerprint.signature,
        "shingles": fingerprint.shingles,
        "anchors": fingerprint.anchors,
    }


def write_articles(
    store: Store, folder: str, printed: Sequence[FingerprintedArticle]
) -> StagedBlock:
    """Stage articles with their fingerprints.

    Raises:
        OSError: if the store refuses.
    """
    path = _block_path(folder, "articles", (one.article.origin for one in printed))
    rows = [
        {"record": encode_record(replace(one.article, body="")), "body": one.article.body}
        for one in printed
    ]
    write_arrow(store, path + ARTICLES, _ARTICLE_SCHEMA, rows, "zstd")
    prints = [_print_row(one.fingerprint) for one in printed]
    write_arrow(store, path + PRINTS, _PRINT_SCHEMA, prints, None)  # hashes do not compress
    return StagedBlock("articles", path, len(printed))


def write_prints(store: Store, folder: str, fingerprints: Sequence[Fingerprint]) -> StagedBlock:
    """Stage fingerprints of the dataset's rows, whole: none of them is read again.

    Raises:
        OSError: if the store refuses.
    """
    path = _block_path(folder, "known", (fingerprint.origin for fingerprint in fingerprints))
    write_arrow(
        store, path + PRINTS, _PRINT_SCHEMA, [_print_row(one) for one in fingerprints], None
    )
    block = StagedBlock("known", path, len(fingerprints))
    write_texts(store, block, dict(enumerate(fingerprints)))
    return block


def write_known(store: Store, folder: str, rows: pa.Table) -> StagedBlock:
    """Stage what candidates are found by of the dataset's rows (``KNOWN_SCHEMA``).

    Raises:
        OSError: if the store refuses.
    """
    path = _block_path(folder, "known", rows["origin"].to_pylist())
    whole = rows.combine_chunks()  # a batch ends with a chunk, and must have its place
    with _arrow_writer(store, path + PRINTS, KNOWN_SCHEMA, None) as arrow:
        arrow.write_table(whole, max_chunksize=ROWS_PER_BATCH)
    return StagedBlock("known", path, rows.num_rows)


def write_texts(store: Store, block: StagedBlock, prints: Mapping[int, Fingerprint]) -> None:
    """Put the whole fingerprints of some rows of a known block, by row, beside it.

    Raises:
        OSError: if the store refuses.
    """
    places: list[int | None] = [None] * block.rows
    for place, row in enumerate(prints):
        places[row] = place
    whole = pa.RecordBatch.from_pylist(list(map(_print_row, prints.values())), schema=_PRINT_SCHEMA)
    with _arrow_writer(store, block.path + TEXTS, _PRINT_SCHEMA, "zstd") as arrow:
        for start in range(0, block.rows, ROWS_PER_BATCH):
            batch = pa.array(places[start : start + ROWS_PER_BATCH], pa.int64())
            arrow.write_batch(whole.take(batch))  # null where there is no place


def write_failures(store: Store, folder: str, failures: Sequence[Failure]) -> StagedBlock:
    """Stage rejections and failures.

    Raises:
        OSError: if the store refuses.
    """
    path = _block_path(folder, "failures", map(failure_id, failures))
    rows = [
        {"failure_id": failure_id(failure), "record": encode_record(failure)}
        for failure in failures
    ]
    write_arrow(store, path + FAILURES, _FAILURE_SCHEMA, rows, "zstd")
    return StagedBlock("failures", path, len(failures))


def write_records(
    store: Store, folder: str, kind: str, records: Sequence[object], origins: Iterable[str]
) -> StagedBlock:
    """Stage records of one type, as a block of a ``kind`` that says which; ``origins`` name it.

    Raises:
        OSError: if the store refuses.
    """
    path = _block_path(folder, kind, origins)
    rows = [{"record": encode_record(record)} for record in records]
    write_arrow(store, path + RECORDS, _RECORD_SCHEMA, rows, "zstd")
    return StagedBlock(kind, path, len(records))


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


class ArrowRows:
    """The rows of an Arrow file of small batches."""

    def __init__(self, store: Store, path: str, columns: Sequence[str] | None = None) -> None:
        self._where = store.locate(path)
        self._file = store.open(path)
        fields = None
        with noticing_damage(self._where):
            if columns is not None:
                with pa.ipc.open_file(self._file) as whole:
                    fields = [whole.schema.get_field_index(column) for column in columns]
            options = pa.ipc.IpcReadOptions(included_fields=fields)
            self._reader = pa.ipc.open_file(self._file, options=options)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every batch, in order."""
        for number in range(self._reader.num_record_batches):
            yield self.batch(number)

    def batch(self, number: int) -> pa.RecordBatch:
        """One batch."""
        with noticing_damage(self._where):
            return self._reader.get_batch(number)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """The metadata of the file's schema."""
        return self._reader.schema.metadata or {}


def paths_of_block(block: StagedBlock) -> list[str]:
    """The files that a block consists of, relative to the store."""
    suffixes = {"articles": (ARTICLES, PRINTS), "failures": (FAILURES,), "known": (PRINTS,)}
    return [block.path + suffix for suffix in suffixes.get(block.kind, (RECORDS,))]


def is_whole(store: Store, path: str) -> bool:
    """Whether an Arrow file is there and can be read to its end.

    Raises:
        OSError: if the store refuses.
    """
    try:
        rows = ArrowRows(store, path)
        try:
            with noticing_damage(path):
                for batch in rows.batches():
                    batch.validate(full=True)
        finally:
            rows.close()
    except (FileNotFoundError, DamagedFileError):
        return False
    return True


def read_columns(store: Store, path: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of all rows of an Arrow file."""
    rows = ArrowRows(store, path, columns)
    try:
        return pa.Table.from_batches(list(rows.batches()))
    finally:
        rows.close()


Item = TypeVar("Item")


class RowCache(Generic[Item]):
    """Single rows of many blocks, read batch by batch; the batches used last are kept.

    ``suffixes`` say, for each kind of block, in which of its files they are. The files are closed
    when it is collected.
    """

    def __init__(
        self,
        store: Store,
        blocks: Iterable[StagedBlock],
        suffixes: Mapping[str, str],
        columns: Sequence[str],
        make: Callable[[StagedBlock, dict[str, Any]], Item],
    ) -> None:
        self._store = store
        self._blocks = {block.number: block for block in blocks}
        self._suffixes = suffixes
        self._columns = columns
        self._make = make
        self._batches: OrderedDict[tuple[int, int], pa.RecordBatch] = OrderedDict()
        self._files: OrderedDict[int, ArrowRows] = OrderedDict()

    def get(self, ref: int) -> Item:
        """The row that a reference means."""
        number, row = block_and_row(ref)
        place, offset = divmod(row, ROWS_PER_BATCH)
        batch = self._batches.get((number, place))
        if batch is None:
            batch = self._batches[number, place] = self._file(number).batch(place)
            if len(self._batches) > _CACHED_BATCHES:
                self._batches.popitem(last=False)
        else:
            self._batches.move_to_end((number, place))
        return self._make(self._blocks[number], batch.slice(offset, 1).to_pylist()[0])

    def _file(self, number: int) -> ArrowRows:
        """A block's file, opened; those used last stay open, which an object store needs."""
        file = self._files.get(number)
        if file is None:
            block = self._blocks[number]
            path = block.path + self._suffixes[block.kind]
            file = self._files[number] = ArrowRows(self._store, path, self._columns)
            if len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        else:
            self._files.move_to_end(number)
        return file


def _fingerprint(_: StagedBlock, row: Mapping[str, Any]) -> Fingerprint:
    published = row.get("published_micros")
    return Fingerprint(
        origin=row["origin"],
        article_id=row["article_id"],
        content_hash=row["content_hash"],
        source_uri=row["source_uri"],
        observed_at=Timestamp(micros=row["observed_micros"]),
        word_count=row["word_count"],
        signature=row.get("signature", b""),
        shingles=row.get("shingles", b""),
        anchors=row.get("anchors", b""),
        numbers=row["numbers"],
        names=row["names"],
        title_key=row["title_key"],
        completeness=row["completeness"],
        quality=row["quality"],
        agency=row["agency"],
        publisher=row["publisher"],
        published_at=None if published is None else Timestamp(micros=published),
        table=row["table"],
    )


_COMPARED = [name for name in _PRINT_SCHEMA.names if name not in ("signature", "anchors")]


def compared_prints(store: Store, blocks: Iterable[StagedBlock]) -> RowCache[Fingerprint]:
    """Fingerprints by reference, with what a comparison needs: no signature, no anchors.

    Of known blocks those that were printed.
    """
    suffixes = {"articles": PRINTS, "known": TEXTS}
    return RowCache(store, blocks, suffixes, _COMPARED, _fingerprint)


def read_prints(store: Store, block: StagedBlock) -> Iterator[Fingerprint]:
    """Every fingerprint of a block, whole, in order."""
    rows = ArrowRows(store, block.path + PRINTS)
    try:
        for batch in rows.batches():
            for row in batch.to_pylist():
                yield _fingerprint(block, row)
    finally:
        rows.close()


def _article(_: StagedBlock, row: Mapping[str, Any]) -> Article:
    article = decode_record(Article, row["record"])
    return replace(article, body=row["body"]) if "body" in row else article


def bodiless_articles(store: Store, blocks: Iterable[StagedBlock]) -> RowCache[Article]:
    """Articles by reference, without their bodies."""
    return RowCache(store, blocks, {"articles": ARTICLES}, ["record"], _article)


def read_articles(store: Store, block: StagedBlock) -> Iterator[Article]:
    """Every article of a block, in order."""
    rows = ArrowRows(store, block.path + ARTICLES)
    try:
        for batch in rows.batches():
            for row in batch.to_pylist():
                yield _article(block, row)
    finally:
        rows.close()


def read_failures(store: Store, block: StagedBlock) -> Iterator[tuple[str, Failure]]:
    """(failure id, failure) of every row of a block, in order."""
    rows = ArrowRows(store, block.path + FAILURES)
    try:
        for batch in rows.batches():
            for row in batch.to_pylist():
                yield row["failure_id"], decode_record(Failure, row["record"])
    finally:
        rows.close()


Record = TypeVar("Record")


def read_records(store: Store, block: StagedBlock, kind: type[Record]) -> Iterator[Record]:
    """Every record of a block of records of one type, in order."""
    rows = ArrowRows(store, block.path + RECORDS)
    try:
        for batch in rows.batches():
            for encoded in batch.column("record").to_pylist():
                yield decode_record(kind, encoded)
    finally:
        rows.close()


def failure_ids_of_block(store: Store, block: StagedBlock) -> list[str]:
    """The ids of a block of failures, in order."""
    ids = read_columns(store, block.path + FAILURES, ["failure_id"])["failure_id"]
    return [str(identity) for identity in ids.to_pylist()]
