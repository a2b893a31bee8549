"""Writing Parquet, partitioned by date and topic, into the run's staging folder.

In: ``EnrichedArticle``, ``Duplicate`` and failures. Out: ``WrittenFile``, one for each file, and a
closing ``LedgerEntry`` for each row. Bounded. A write that the filesystem refuses becomes a
``WrittenFile`` with an error, and the run is not published.

Beam's own sinks do not serve: ``WriteToParquet`` has no dynamic partitions and ``WriteToFiles``
loses panes. Here rows are grouped by partition, sorted, and written to one file whose name is a
function of its rows, so that a bundle that is retried writes the same file again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas import arrow
from schemas.records import (
    Balance,
    Duplicate,
    EnrichedArticle,
    Failure,
    LedgerEntry,
    Tally,
    WrittenFile,
)

ROWS_PER_GROUP = 20_000
Row = dict[str, Any]


class StagedRow(NamedTuple):
    """A row on its way to a file: its order and identity in it, and how it closes its account."""

    order: tuple[str, ...]
    """Sort key in the file; also what the file's name is made from, so it identifies the row."""
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
    """An article's row, sorted by publication so that time filters prune."""
    unique = enriched.unique
    published = unique.article.published
    return StagedRow(
        order=(
            published.at.to_rfc3339() if published else "",
            unique.article_id,
            f"{unique.revision:09d}",
            unique.content_hash,
        ),
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
    """A copy's row, next to the other copies of the same article."""
    return StagedRow(
        order=(duplicate.canonical_id, duplicate.content_hash, duplicate.article.origin),
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
        order=(failure.origin, identity),
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


def file_name(rows: Sequence[StagedRow]) -> str:
    """A name that is a function of the rows' identities, 32 hex digits and the suffix."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\x1f".join(row.order).encode("utf-8", "surrogatepass") + b"\x1e")
    return f"{digest.hexdigest()[:32]}.parquet"


def write_partition(folder: str, rows: Iterable[StagedRow], staging: str) -> WrittenFile:
    """Write the rows of one partition to one file in the staging folder.

    ``folder`` is relative to the dataset and begins with the table's name. The file appears under
    its name only when it is complete. An ``OSError`` (disk full, permission denied) is given back
    as the file's error.
    """
    ordered = sorted(rows, key=lambda row: row.order)
    table = folder.partition("/")[0]
    path = f"{folder}/{file_name(ordered)}"
    target = Path(staging) / path
    partial = target.with_suffix(".partial")
    arrow_table = arrow.to_table((row.row for row in ordered), arrow.TABLES[table])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(arrow_table, partial, compression="zstd", row_group_size=ROWS_PER_GROUP)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
        size_bytes = target.stat().st_size
    except OSError as error:
        reason = error.strerror or str(error)
        return WrittenFile(table, path, len(ordered), 0, error=f"cannot write {target}: {reason}")
    return WrittenFile(table, path, len(ordered), size_bytes)


class Written(NamedTuple):
    """What ``WriteTable`` gives."""

    files: PCollection[WrittenFile]
    ledger: PCollection[LedgerEntry]


class _Write(beam.DoFn):
    LEDGER = "ledger"

    def __init__(self, stage: Callable[[Any, str], StagedRow], staging: str, run_id: str) -> None:
        self._stage = stage
        self._staging = staging
        self._run_id = run_id

    def process(self, partition: tuple[str, Iterable[Any]]) -> Iterator[WrittenFile | TaggedOutput]:
        folder, elements = partition
        rows = [self._stage(element, self._run_id) for element in elements]
        written = write_partition(folder, rows, self._staging)
        yield written
        if written.error is None:
            for row in rows:
                yield TaggedOutput(self.LEDGER, row.closing)


@dataclass
class WriteTable(beam.PTransform):
    """Elements of one table → ``WrittenFile`` in the staging folder, and their closed accounts.

    ``partition`` names an element's folder and ``stage`` makes its row.
    """

    partition: Callable[[Any], str]
    stage: Callable[[Any, str], StagedRow]
    staging: str
    run_id: str

    def expand(self, elements: PCollection[Any]) -> Written:
        """Group by partition and write each."""
        partition = self.partition
        parted = (
            elements
            | "Partition"
            >> beam.Map(lambda element: (partition(element), element)).with_output_types(
                tuple[str, elements.element_type]
            )
            | beam.GroupByKey()
            | beam.ParDo(_Write(self.stage, self.staging, self.run_id))
            .with_output_types(WrittenFile, ledger=LedgerEntry)
            .with_outputs(_Write.LEDGER, main="files")
        )
        return Written(parted.files, parted[_Write.LEDGER])


@dataclass
class WriteReport(beam.PTransform):
    """One ``Balance`` and the run's ``WrittenFile`` → a JSON file that the launching process reads.

    The file is the only way back that every runner offers.
    """

    files: PCollection[WrittenFile]
    path: str

    def expand(self, balance: PCollection[Balance]) -> PCollection[str]:
        """Write the report once all files are written."""
        return balance | beam.Map(
            write_report, files=beam.pvalue.AsList(self.files), path=self.path
        ).with_output_types(str)


def write_report(balance: Balance, files: Iterable[WrittenFile], path: str) -> str:
    """Write balance and files as JSON; gives the path.

    Raises:
        OSError: if the filesystem refuses.
    """
    report = {
        "balance": dataclasses.asdict(balance),
        "files": sorted(
            (dataclasses.asdict(file) for file in files), key=lambda file: file["path"]
        ),
    }
    partial = Path(path).with_suffix(".partial")
    partial.write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)
    return path


def read_report(path: Path) -> tuple[Balance, list[WrittenFile]]:
    """What ``write_report`` wrote.

    Raises:
        OSError: if there is no such file.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    balance = report["balance"]
    balance["tallies"] = [Tally(**tally) for tally in balance["tallies"]]
    return Balance(**balance), [WrittenFile(**file) for file in report["files"]]
