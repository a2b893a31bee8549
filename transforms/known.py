"""What the dataset already holds: its own memory, read from its own files.

``KeysOfRun``: ``StagedBlock`` → ``RunKeys``, by which its texts may be known. ``ReadKnown``: files
of ``articles`` and ``duplicates`` → ``KnownMatches``, and blocks of fingerprints of the rows that
were observed within the horizon of the run's texts. ``FindRecorded``: files of ``failures`` → the
ids of the run's failures that are in them. ``SetAsideUnchanged`` and ``SetAsideRecorded``: blocks →
which of their rows the dataset has. Bounded; no failures of their own: a dataset that cannot be
read ends the run, for nothing may be added to what is not known.

Only keys travel. Of the dataset's rows no more is held at a time than a batch.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.records import Fingerprint, KnownMatches, RunKeys, StagedBlock
from transforms.compaction import may_hold_observed, open_parquet
from transforms.shingles import print_text
from transforms.staging import PRINTS, failure_ids_of_block, read_columns, write_prints
from transforms.storage import Store

KEY_BYTES = 16
_BATCH_ROWS = 1_000
_BLOCK_ROWS = 2_000
_COLUMNS = {
    "articles": ["article_id", "revision", "content_hash", "source_uri", "origin", "observed_at"],
    "duplicates": ["canonical_id", "content_hash", "source_uri", "origin", "observed_at"],
}

MicrosRange = tuple[int, int]
"""Least and greatest of some observation times, in microseconds since 1970."""
NOTHING: MicrosRange = (1, 0)


def _micros(moment: datetime.datetime) -> int:
    return int(Timestamp.from_utc_datetime(moment.astimezone(datetime.UTC)).micros)


def reread_key(content_hash: str, source_uri: str) -> bytes:
    """By what a text is known again that was read before from the same file, with the same words.

    The ordinal is left out of it: an article that moved within its dump has not changed.
    """
    identity = f"{content_hash}\n{source_uri}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(identity).digest()[:KEY_BYTES]


def split_keys(packed: Iterable[bytes], key_bytes: int = KEY_BYTES) -> pa.Array:
    """Keys that stand one after the other, as an Arrow array."""
    joined = b"".join(packed)
    kind = pa.binary(key_bytes)
    return pa.Array.from_buffers(kind, len(joined) // key_bytes, [None, pa.py_buffer(joined)])


def keys_of_block(store: Store, block: StagedBlock) -> RunKeys:
    """By what the texts of a block may be known."""
    table = read_columns(
        store, block.path + PRINTS, ["article_id", "content_hash", "observed_micros"]
    )
    observed = table["observed_micros"].to_pylist()
    return RunKeys(
        content_hashes=b"".join(
            bytes.fromhex(hashed)[:KEY_BYTES] for hashed in table["content_hash"].to_pylist()
        ),
        article_ids=b"".join(map(bytes.fromhex, table["article_id"].to_pylist())),
        earliest_micros=min(observed),
        latest_micros=max(observed),
    )


# ── rows of the dataset ─────────────────────────────────────────────────────────────────────────


class _Known(NamedTuple):
    """A row of ``articles`` or ``duplicates`` that an earlier run wrote."""

    article_id: str
    """Of the work; for a row of ``duplicates`` that of the row it copies."""
    revision: int
    content_hash: str
    source_uri: str
    fingerprint: Fingerprint | None


def read_known(store: Store, path: str, table: str, wanted: MicrosRange) -> Iterator[_Known]:
    """The known rows of one Parquet file of ``articles`` or ``duplicates``.

    Rows that were observed within the ``wanted`` range come with their fingerprint, taken again
    from the body: what was a copy in one run is one in two. Other bodies are not read.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    with open_parquet(store, path) as parquet:
        for number in range(parquet.num_row_groups):
            columns = list(_COLUMNS[table])
            if may_hold_observed(parquet.metadata.row_group(number), wanted):
                columns.append("body")
            batches = parquet.iter_batches(
                batch_size=_BATCH_ROWS, row_groups=[number], columns=columns
            )
            for batch in batches:
                for row in batch.to_pylist():
                    yield _known(row, table, wanted)


def _known(row: dict[str, Any], table: str, wanted: MicrosRange) -> _Known:
    article_id = row["article_id" if table == "articles" else "canonical_id"]
    revision = row.get("revision", 0)
    observed_at = Timestamp(micros=_micros(row["observed_at"]))
    fingerprint = None
    if wanted[0] <= observed_at.micros <= wanted[1]:
        text = print_text(row["body"])
        # A file that was read again with other words has several rows, also of one article.
        text_id = f"{row['content_hash']}:{observed_at.micros}"
        fingerprint = Fingerprint(
            origin=f"known:{article_id}:{revision}:{row['origin']}:{text_id}",
            article_id=article_id,
            content_hash=row["content_hash"],
            source_uri=row["source_uri"],
            observed_at=observed_at,
            word_count=text.word_count,
            signature=text.signature,
            shingles=text.shingles,
            anchors=text.anchors,
            numbers=text.numbers,
            table=table,
        )
    return _Known(article_id, revision, row["content_hash"], row["source_uri"], fingerprint)


def _wanted(keys: Sequence[RunKeys], horizon_micros: int) -> MicrosRange:
    if not keys:
        return NOTHING
    return (
        min(key.earliest_micros for key in keys) - horizon_micros,
        max(key.latest_micros for key in keys) + horizon_micros,
    )


class Known(NamedTuple):
    """What ``ReadKnown`` gives."""

    matches: PCollection[KnownMatches]
    blocks: PCollection[StagedBlock]
    """Fingerprints of the rows that the run's texts could be copies of, not yet numbered."""


class _ReadKnown(beam.DoFn):
    BLOCK = "block"

    def __init__(self, store: Store, folder: str, horizon_micros: int) -> None:
        self._store = store
        self._folder = folder
        self._horizon_micros = horizon_micros
        self._hashes: frozenset[bytes] | None = None
        self._ids: frozenset[bytes] = frozenset()

    def start_bundle(self) -> None:
        self._near: list[Fingerprint] = []

    def process(
        self, file: tuple[str, str], keys: Sequence[RunKeys]
    ) -> Iterator[KnownMatches | TaggedOutput]:
        table, path = file
        if self._hashes is None:
            self._hashes = frozenset(split_keys(k.content_hashes for k in keys).to_pylist())
            self._ids = frozenset(split_keys(k.article_ids for k in keys).to_pylist())
        rereads: list[bytes] = []
        works: list[bytes] = []
        wanted = _wanted(keys, self._horizon_micros)
        for row in read_known(self._store, path, table, wanted):
            hashed = bytes.fromhex(row.content_hash)[:KEY_BYTES]
            if hashed in self._hashes:
                rereads.append(reread_key(row.content_hash, row.source_uri))
            identity = bytes.fromhex(row.article_id)
            if table == "articles" and identity in self._ids:
                works.append(identity + hashed + row.revision.to_bytes(4, "little"))
            if row.fingerprint is not None:
                self._near.append(row.fingerprint)
                if len(self._near) >= _BLOCK_ROWS:
                    yield TaggedOutput(self.BLOCK, self._stage())
        if rereads or works:
            yield KnownMatches(b"".join(rereads), b"".join(works))

    def _stage(self) -> StagedBlock:
        near, self._near = self._near, []
        return write_prints(self._store, self._folder, near)

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        if self._near:
            window = GlobalWindow()
            yield TaggedOutput(
                self.BLOCK, WindowedValue(self._stage(), window.max_timestamp(), [window])
            )


@dataclass
class KeysOfRun(beam.PTransform):
    """``StagedBlock`` of articles → ``RunKeys``."""

    store: Store

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[RunKeys]:
        """Read the keys of each block."""
        store = self.store
        return blocks | beam.Map(lambda block: keys_of_block(store, block)).with_output_types(
            RunKeys
        )


@dataclass
class ReadKnown(beam.PTransform):
    """(table, path) of Parquet files → what of them concerns the run.

    ``keys`` are the run's. Rows observed within ``horizon_seconds`` of its texts are staged as
    blocks in ``folder``.
    """

    store: Store
    folder: str
    keys: PCollection[RunKeys]
    horizon_seconds: int

    def expand(self, files: PCollection[tuple[str, str]]) -> Known:
        """Read each file's columns where the worker is."""
        read = _ReadKnown(self.store, self.folder, self.horizon_seconds * 1_000_000)
        parted = (
            files
            | beam.Reshuffle()
            | beam.ParDo(read, keys=beam.pvalue.AsList(self.keys))
            .with_output_types(KnownMatches, block=StagedBlock)
            .with_outputs(_ReadKnown.BLOCK, main="matches")
        )
        return Known(parted.matches, parted[_ReadKnown.BLOCK])


def is_reread(store: Store, block: StagedBlock, rereads: pa.Array) -> npt.NDArray[np.bool_]:
    """For each text of a block, whether the dataset has it from the same file."""
    columns = ["content_hash", "source_uri"]
    rows = read_columns(store, block.path + PRINTS, columns)
    keys = (
        reread_key(content_hash, source_uri)
        for content_hash, source_uri in zip(
            *(rows[column].to_pylist() for column in columns), strict=True
        )
    )
    known = pc.is_in(split_keys(keys), value_set=rereads)
    return np.asarray(known.to_numpy(zero_copy_only=False), dtype=bool)


@dataclass
class SetAsideUnchanged(beam.PTransform):
    """``StagedBlock`` → (block, mask of its texts that the dataset has from the same file)."""

    store: Store
    matches: PCollection[KnownMatches]

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[tuple[StagedBlock, bytes]]:
        """Hold each block against what is known."""
        store = self.store
        rereads = self.matches | "Rereads" >> beam.Map(
            lambda match: match.rereads
        ).with_output_types(bytes)

        def mask(block: StagedBlock, packed: Sequence[bytes]) -> tuple[StagedBlock, bytes]:
            return block, is_reread(store, block, split_keys(packed)).tobytes()

        return blocks | beam.Map(mask, packed=beam.pvalue.AsList(rereads)).with_output_types(
            tuple[StagedBlock, bytes]
        )


# ── failures ────────────────────────────────────────────────────────────────────────────────────


def read_failure_ids(store: Store, path: str) -> Iterator[str]:
    """The ids of the failures in one Parquet file of ``failures``.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    with open_parquet(store, path) as parquet:
        for batch in parquet.iter_batches(columns=["failure_id"]):
            yield from batch.column(0).to_pylist()


class _Recorded(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: frozenset[str] | None = None

    def process(self, path: str, blocks: Sequence[StagedBlock]) -> Iterator[str]:
        if self._ids is None:
            self._ids = frozenset(
                identity
                for block in blocks
                for identity in failure_ids_of_block(self._store, block)
            )
        for identity in read_failure_ids(self._store, path):
            if identity in self._ids:
                yield identity


@dataclass
class FindRecorded(beam.PTransform):
    """Paths of Parquet files of ``failures`` → the ids in them that the run's ``blocks`` have."""

    store: Store
    blocks: PCollection[StagedBlock]

    def expand(self, files: PCollection[str]) -> PCollection[str]:
        """Read each file's ids where the worker is."""
        recorded = beam.ParDo(_Recorded(self.store), blocks=beam.pvalue.AsList(self.blocks))
        return files | beam.Reshuffle() | recorded.with_output_types(str)


@dataclass
class SetAsideRecorded(beam.PTransform):
    """``StagedBlock`` of failures → (block, mask of its rows that the dataset has)."""

    store: Store
    recorded: PCollection[str]

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[tuple[StagedBlock, bytes]]:
        """Hold each block's ids against those that are recorded."""
        store = self.store

        def mask(block: StagedBlock, recorded: Sequence[str]) -> tuple[StagedBlock, bytes]:
            known = frozenset(recorded)
            ids = failure_ids_of_block(store, block)
            return block, np.array([one in known for one in ids], bool).tobytes()

        return blocks | beam.Map(
            mask, recorded=beam.pvalue.AsList(self.recorded)
        ).with_output_types(tuple[StagedBlock, bytes])
