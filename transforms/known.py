"""What the dataset already holds: its own memory, read from its own files.

``ReadKnown``: Parquet files of ``articles`` and ``duplicates`` → ``KnownRow``, only the columns
that comparison needs. ``SetAsideUnchanged``: ``Fingerprint`` + ``KnownRow`` → the fingerprints of
texts that are new, and the re-reads, told apart. ``SetAsideRecorded`` does the same for failures.
Bounded; no failures of their own: a dataset that cannot be read ends the run, for nothing may be
added to what is not known.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, Fingerprint, KnownRow

_ARTICLE_COLUMNS = [
    "article_id",
    "revision",
    "content_hash",
    "origin",
    "observed_at",
    "fingerprint",
    "word_count",
]
_DUPLICATE_COLUMNS = ["canonical_id", "content_hash", "origin", "observed_at"]


def _timestamp(moment: datetime.datetime) -> Timestamp:
    return Timestamp.from_utc_datetime(moment.astimezone(datetime.UTC))


def read_known(path: str, table: str) -> Iterator[KnownRow]:
    """The known rows of one Parquet file of ``articles`` or ``duplicates``."""
    columns = _ARTICLE_COLUMNS if table == "articles" else _DUPLICATE_COLUMNS
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(columns=columns):
            for row in batch.to_pylist():
                yield KnownRow(
                    article_id=row.get("article_id") or row["canonical_id"],
                    revision=row.get("revision", 0),
                    content_hash=row["content_hash"],
                    origin=row["origin"],
                    observed_at=_timestamp(row["observed_at"]),
                    fingerprint=row.get("fingerprint") or b"",
                    word_count=row.get("word_count", 0),
                    canonical=table == "articles",
                )


def known_fingerprint(row: KnownRow) -> Fingerprint:
    """A row of ``articles`` as something the run's texts can be copies of."""
    return Fingerprint(
        origin=f"known:{row.article_id}:{row.revision}",
        article_id=row.article_id,
        content_hash=row.content_hash,
        source_uri="",
        observed_at=row.observed_at,
        word_count=row.word_count,
        signature=row.fingerprint,
        known=True,
    )


def is_reread(fingerprint: Fingerprint, known: Iterable[KnownRow]) -> bool:
    """Whether a text was read before from the same file, with the same words.

    ``known`` are the dataset's rows with the same content hash. The ordinal is left out of it: an
    article that moved within its dump has not changed.
    """
    source = fingerprint.source_uri
    return any(row.origin == source or row.origin.startswith(f"{source}#") for row in known)


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


@dataclass
class ReadKnown(beam.PTransform):
    """(table, path) of Parquet files → ``KnownRow``."""

    def expand(self, files: PCollection[tuple[str, str]]) -> PCollection[KnownRow]:
        """Read each file's columns where the worker is."""
        return (
            files
            | beam.Reshuffle()
            | beam.FlatMap(lambda file: read_known(path=file[1], table=file[0])).with_output_types(
                KnownRow
            )
        )


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
