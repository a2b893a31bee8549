"""The whole graph on one screen.

::

    sources ─► pages ─► articles ─► fingerprints ─► copies ─► unique ─► enriched ─► articles/
                 │          │            │                      └────────────────► duplicates/
                 └──────────┴────────────┼───────────────────────────────────────► failures/
                 (all of them) ──────────┴───────► ledger ─► balance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.utils.timestamp import Timestamp

from schemas.records import LedgerEntry, Source
from transforms import accounts
from transforms.deduplication import AssignCopies
from transforms.enrichment import EnrichArticles
from transforms.extraction import ExtractArticles
from transforms.fingerprints import FingerprintArticles
from transforms.known import (
    ReadKnown,
    SetAsideRecorded,
    SetAsideUnchanged,
)
from transforms.ledger import BalanceLedger
from transforms.merging import MergeCopies
from transforms.progress import TallyProgress
from transforms.reading import ReadLimits, ReadPages
from transforms.writing import (
    WriteReport,
    WriteTable,
    article_partition,
    duplicate_partition,
    failure_partition,
    stage_article,
    stage_duplicate,
    stage_failure,
)


@dataclass(frozen=True)
class RunPlan:
    """What the graph of one run is built from."""

    run_id: str
    observed_at: Timestamp
    """The start of the run: when its files were seen."""
    sources: Sequence[Source]
    known_articles: Sequence[str]
    """Published Parquet files, by table."""
    known_duplicates: Sequence[str]
    known_failures: Sequence[str]
    staging: str
    report_path: str
    limits: ReadLimits
    dedup_threshold: float
    dedup_horizon_seconds: int
    progress_folder: str | None = None


def _entries(name: str, elements: PCollection, make: object) -> PCollection[LedgerEntry]:
    return elements | name >> beam.Map(make).with_output_types(LedgerEntry)


def build_graph(pipeline: beam.Pipeline, plan: RunPlan) -> None:
    """Add the graph of a run to a pipeline."""
    sources = pipeline | "Sources" >> beam.Create(plan.sources).with_output_types(Source)
    read = sources | beam.Reshuffle() | ReadPages(plan.observed_at, plan.limits)
    _ = read.sources_read | "FilesRead" >> TallyProgress("files", plan.progress_folder)

    pages = read.pages | "SpreadPages" >> beam.Reshuffle()
    extracted = pages | ExtractArticles()
    articles = extracted.articles | "Found" >> TallyProgress("articles", plan.progress_folder)

    fingerprints = articles | FingerprintArticles()
    times = fingerprints | "ObservedAt" >> beam.Map(
        lambda fp: fp.observed_at.micros
    ).with_output_types(int)
    observed = [
        times | "Earliest" >> beam.CombineGlobally(min).without_defaults(),
        times | "Latest" >> beam.CombineGlobally(max).without_defaults(),
    ] | "Observed" >> beam.Flatten()
    known_tables = [("articles", path) for path in plan.known_articles]
    known_tables += [("duplicates", path) for path in plan.known_duplicates]
    known_files = pipeline | "KnownFiles" >> beam.Create(known_tables).with_output_types(
        tuple[str, str]
    )
    known = known_files | ReadKnown(observed, plan.dedup_horizon_seconds)
    seen = fingerprints | SetAsideUnchanged(known.rows)
    assignments = (
        (seen.new, known.fingerprints)
        | beam.Flatten()
        | AssignCopies(plan.dedup_threshold, plan.dedup_horizon_seconds)
    )
    merged = articles | MergeCopies(assignments, seen.new, known.rows)
    enriched = merged.unique | EnrichArticles()
    enriched = enriched | "Enriched" >> TallyProgress("enriched", plan.progress_folder)

    failures = (read.failures, extracted.failures) | "Failures" >> beam.Flatten()
    known_failures = pipeline | "KnownFailureFiles" >> beam.Create(
        plan.known_failures
    ).with_output_types(str)
    failed = failures | SetAsideRecorded(known_failures)

    write = partial(WriteTable, staging=plan.staging, run_id=plan.run_id)
    written = [
        enriched | "WriteArticles" >> write(article_partition, stage_article),
        merged.duplicates | "WriteDuplicates" >> write(duplicate_partition, stage_duplicate),
        failed.new | "WriteFailures" >> write(failure_partition, stage_failure),
    ]
    files = [table.files for table in written] | "Files" >> beam.Flatten()

    entries = [
        _entries("OpenSources", sources, accounts.open_source),
        _entries(
            "CloseSources", read.sources_read, lambda read: accounts.close_source(read[1], read[2])
        ),
        _entries("OpenPages", read.pages, accounts.open_page),
        _entries("UnreadPages", read.failures, accounts.unread_page),
        extracted.ledger,
        _entries("OpenArticles", articles, accounts.open_article),
        _entries("OpenFailures", failures, accounts.open_failure),
        _entries("CloseUnchanged", seen.unchanged, accounts.close_unchanged),
        _entries("CloseRecorded", failed.recorded, accounts.close_recorded),
        *(table.ledger for table in written),
    ]
    balance = entries | "Ledger" >> beam.Flatten() | BalanceLedger()
    _ = balance | WriteReport(files, plan.report_path)
