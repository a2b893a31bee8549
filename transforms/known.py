"""What the dataset already holds: its own memory, read from its own files.

``ReadKnown``: Parquet files of ``articles`` and ``duplicates`` → ``KnownRow``, and fingerprints of
those that were observed within the horizon of the run's texts. ``SetAsideUnchanged``:
``Fingerprint`` + ``KnownRow`` → the fingerprints of texts that are new, and the re-reads, told
apart. ``SetAsideRecorded`` does the same for failures. Bounded; no failures of their own: a dataset
that cannot be read ends the run, for nothing may be added to what is not known.
"""

from __future__ import annotations

import datetime
import errno
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, Fingerprint, KnownRow
from transforms.shingles import print_text

_COLUMNS = {
    "articles": ["article_id", "revision", "content_hash", "source_uri", "origin", "observed_at"],
    "duplicates": ["canonical_id", "content_hash", "source_uri", "origin", "observed_at"],
}

MicrosRange = tuple[int, int]
"""Least and greatest of some observation times, in microseconds since 1970."""


def _micros(moment: datetime.datetime) -> int:
    return int(Timestamp.from_utc_datetime(moment.astimezone(datetime.UTC)).micros)


def _may_hold(group: pq.RowGroupMetaData, wanted: MicrosRange) -> bool:
    """Whether a row group's statistics leave it open that it holds rows observed in the range."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "observed_at":
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return True
            return _micros(statistics.max) >= wanted[0] and _micros(statistics.min) <= wanted[1]
    return True


def read_known(
    path: str, table: str, wanted: MicrosRange
) -> Iterator[tuple[KnownRow, Fingerprint | None]]:
    """The known rows of one Parquet file of ``articles`` or ``duplicates``.

    Rows that were observed within the ``wanted`` range come with their fingerprint, taken again
    from the body: what was a copy in one run is one in two. Other bodies are not read.

    Raises:
        OSError: if the file cannot be read, or holds no readable Parquet.
    """
    try:
        with pq.ParquetFile(path) as parquet:
            for number in range(parquet.num_row_groups):
                columns = list(_COLUMNS[table])
                if _may_hold(parquet.metadata.row_group(number), wanted):
                    columns.append("body")
                for row in parquet.read_row_group(number, columns=columns).to_pylist():
                    yield _known(row, table, wanted)
    except pa.ArrowInvalid as error:
        message = f"{path} is damaged: {str(error).splitlines()[0]}"
        raise OSError(errno.EIO, message) from error


def _known(
    row: dict[str, Any], table: str, wanted: MicrosRange
) -> tuple[KnownRow, Fingerprint | None]:
    known = KnownRow(
        article_id=row["article_id" if table == "articles" else "canonical_id"],
        revision=row.get("revision", 0),
        content_hash=row["content_hash"],
        source_uri=row["source_uri"],
        canonical=table == "articles",
    )
    observed_at = Timestamp(micros=_micros(row["observed_at"]))
    if not wanted[0] <= observed_at.micros <= wanted[1]:
        return known, None
    text = print_text(row["body"])
    return known, Fingerprint(
        origin=f"known:{known.article_id}:{known.revision}:{row['origin']}",
        article_id=known.article_id,
        content_hash=known.content_hash,
        source_uri=known.source_uri,
        observed_at=observed_at,
        word_count=text.word_count,
        signature=text.signature,
        shingles=text.shingles,
        anchors=text.anchors,
        known=True,
    )


def is_reread(fingerprint: Fingerprint, known: Iterable[KnownRow]) -> bool:
    """Whether a text was read before from the same file, with the same words.

    ``known`` are the dataset's rows with the same content hash. The ordinal is left out of it: an
    article that moved within its dump has not changed.
    """
    return any(row.source_uri == fingerprint.source_uri for row in known)


class NewAndUnchanged(NamedTuple):
    """What ``SetAsideUnchanged`` gives."""

    new: PCollection[Fingerprint]
    unchanged: PCollection[Fingerprint]


class _SetAside(beam.DoFn):
    UNCHANGED = "unchanged"

    def process(
        self, joined: tuple[str, dict[str, Sequence[object]]]
    ) -> Iterator[Fingerprint | TaggedOutput]:
        _, sides = joined
        known: list[KnownRow] = list(sides["known"])  # type: ignore[arg-type]
        for fingerprint in sides["fingerprint"]:
            assert isinstance(fingerprint, Fingerprint)
            if is_reread(fingerprint, known):
                yield TaggedOutput(self.UNCHANGED, fingerprint)
            else:
                yield fingerprint


class KnownRows(NamedTuple):
    """What ``ReadKnown`` gives."""

    rows: PCollection[KnownRow]
    fingerprints: PCollection[Fingerprint]
    """Of the rows that the run's texts could be copies of."""


class _ReadKnown(beam.DoFn):
    FINGERPRINT = "fingerprint"

    def __init__(self, horizon_micros: int) -> None:
        self._horizon_micros = horizon_micros

    def process(
        self, file: tuple[str, str], observed: Sequence[int]
    ) -> Iterator[KnownRow | TaggedOutput]:
        table, path = file
        nothing = (1, 0)
        wanted = (
            (min(observed) - self._horizon_micros, max(observed) + self._horizon_micros)
            if observed
            else nothing
        )
        for row, fingerprint in read_known(path, table, wanted):
            yield row
            if fingerprint is not None:
                yield TaggedOutput(self.FINGERPRINT, fingerprint)


@dataclass
class ReadKnown(beam.PTransform):
    """(table, path) of Parquet files → ``KnownRow``, and fingerprints of those near in time.

    ``observed`` are the earliest and the latest observation of the run's texts, in microseconds:
    only rows from ``horizon_seconds`` before to as much after are compared.
    """

    observed: PCollection[int]
    horizon_seconds: int

    def expand(self, files: PCollection[tuple[str, str]]) -> KnownRows:
        """Read each file's columns where the worker is."""
        parted = (
            files
            | beam.Reshuffle()
            | beam.ParDo(
                _ReadKnown(self.horizon_seconds * 1_000_000),
                observed=beam.pvalue.AsList(self.observed),
            )
            .with_output_types(KnownRow, fingerprint=Fingerprint)
            .with_outputs(_ReadKnown.FINGERPRINT, main="rows")
        )
        return KnownRows(parted.rows, parted[_ReadKnown.FINGERPRINT])


@dataclass
class SetAsideUnchanged(beam.PTransform):
    """``Fingerprint`` → those of new texts, and those of re-reads."""

    known: PCollection[KnownRow]

    def expand(self, fingerprints: PCollection[Fingerprint]) -> NewAndUnchanged:
        """Join with the dataset's rows by content hash."""
        parted = (
            {
                "fingerprint": fingerprints
                | "ByHash"
                >> beam.Map(lambda fp: (fp.content_hash, fp)).with_output_types(
                    tuple[str, Fingerprint]
                ),
                "known": self.known
                | "KnownByHash"
                >> beam.Map(lambda row: (row.content_hash, row)).with_output_types(
                    tuple[str, KnownRow]
                ),
            }
            | beam.CoGroupByKey()
            | beam.ParDo(_SetAside())
            .with_output_types(Fingerprint, unchanged=Fingerprint)
            .with_outputs(_SetAside.UNCHANGED, main="new")
        )
        return NewAndUnchanged(parted.new, parted[_SetAside.UNCHANGED])


def failure_id(failure: Failure) -> str:
    """Identity of a failure, 32 hex digits: equal when the same content fails the same way."""
    identity = [failure.stage, failure.reason, failure.origin]
    digest = hashlib.sha256("\n".join(identity).encode("utf-8", "surrogatepass"))
    digest.update(hashlib.sha256(failure.payload).digest())
    return digest.hexdigest()[:32]


def read_failure_ids(path: str) -> Iterator[str]:
    """The ids of the failures in one Parquet file of ``failures``."""
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(columns=["failure_id"]):
            yield from batch.column(0).to_pylist()


class NewAndRecorded(NamedTuple):
    """What ``SetAsideRecorded`` gives."""

    new: PCollection[tuple[str, Failure]]
    recorded: PCollection[Failure]


class _Record(beam.DoFn):
    RECORDED = "recorded"

    def process(
        self, joined: tuple[str, dict[str, Sequence[object]]]
    ) -> Iterator[tuple[str, Failure] | TaggedOutput]:
        identity, sides = joined
        recorded = bool(list(sides["known"]))
        for failure in sides["failure"]:
            assert isinstance(failure, Failure)
            if recorded:
                yield TaggedOutput(self.RECORDED, failure)
            else:
                yield identity, failure


@dataclass
class SetAsideRecorded(beam.PTransform):
    """``Failure`` → (failure id, failure) of new ones, and those the dataset already holds.

    ``known_files`` are paths of Parquet files of ``failures``.
    """

    known_files: PCollection[str]

    def expand(self, failures: PCollection[Failure]) -> NewAndRecorded:
        """Join with the dataset's failures by id."""
        parted = (
            {
                "failure": failures
                | "ById"
                >> beam.Map(lambda failure: (failure_id(failure), failure)).with_output_types(
                    tuple[str, Failure]
                ),
                "known": self.known_files
                | "KnownIds" >> beam.FlatMap(read_failure_ids).with_output_types(str)
                | "KnownById"
                >> beam.Map(lambda identity: (identity, True)).with_output_types(tuple[str, bool]),
            }
            | beam.CoGroupByKey()
            | beam.ParDo(_Record())
            .with_output_types(tuple[str, Failure], recorded=Failure)
            .with_outputs(_Record.RECORDED, main="new")
        )
        return NewAndRecorded(parted.new, parted[_Record.RECORDED])
