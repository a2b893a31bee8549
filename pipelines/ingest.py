"""The whole graph on one screen: steps, each durable before the next begins.

::

    poll      feeds ─┬─► links                                                (of feeds alone)
                     └─► pages ─► blocks
    fetch     links ─┬─► known
              dataset┴─► pages ─► blocks
    extract   sources or blocks ─► pages ─► articles ─► fingerprints ─► blocks (slice by slice)
    decide    blocks ─┬─► unchanged ─────────────────────────────────┐
              dataset ┴─► near ─► candidates ─► bodies ─► copies ─► works ─► verdicts
                                                                              (over all blocks)
    enrich    blocks ─┬─► merged ─► unique ─► enriched ─┬─► runs of rows      (slice by slice)
              verdicts┘         └─► duplicates, failures┘
    assemble  runs ─► articles/  duplicates/  failures/                       (over all runs)

In all but ``decide`` and ``assemble`` every unit is opened and closed in a ledger, and each ledger
balances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms import window
from apache_beam.transforms.trigger import AccumulationMode, DefaultTrigger
from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    Balance,
    DueFeed,
    Failure,
    KnownFile,
    LedgerEntry,
    LinkedItem,
    Page,
    Retry,
    Source,
    StagedBlock,
    StagedRun,
)
from transforms import accounts
from transforms.candidates import FindCandidates
from transforms.deduplication import AssignCopies
from transforms.enrichment import EnrichArticles
from transforms.extraction import ExtractArticles
from transforms.feed_source import ReadFeedsOutput
from transforms.fetching import FetchPages, fetch_pages
from transforms.fingerprints import FingerprintArticles
from transforms.following import FetchPlan
from transforms.http_client import HttpSettings
from transforms.known import (
    FindRecorded,
    KeysOfRun,
    PrintKnown,
    ReadKnown,
    SetAsideFar,
    SetAsideRecorded,
    SetAsideUnchanged,
)
from transforms.known_pages import FindPages, SetAsideKnown
from transforms.ledger import BalanceLedger
from transforms.merging import (
    MergeCopies,
    NumberBlocks,
    NumberRevisions,
    TallyUnique,
    WriteVerdicts,
)
from transforms.polling import PollFeeds, PollPlan
from transforms.progress import TallyProgress
from transforms.reading import ReadLimits, ReadPages, ReadSources, read_content, read_source
from transforms.replaying import RetryFailures
from transforms.slicing import (
    ReadStagedPages,
    StageArticles,
    StageFailures,
    StageFetched,
    StagePages,
    StagePolled,
)
from transforms.storage import Store
from transforms.writing import (
    AssembleTables,
    PartitionRange,
    WriteReport,
    WriteRuns,
    stage_article,
    stage_duplicate,
    stage_failure,
)


@dataclass(frozen=True)
class RunPlan:
    """What the graphs of one run are built from."""

    run_id: str
    store: Store
    folder: str
    """The run's staging folder, relative to the store."""
    limits: ReadLimits
    dedup_threshold: float
    dedup_horizon_seconds: int
    progress_folder: str | None = None


@dataclass(frozen=True)
class KnownFiles:
    """The dataset's Parquet files, by table."""

    articles: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    failures: Sequence[str] = ()


MAX_LATENESS_SECONDS = 3_600
"""For which an engine keeps what it must know of a window. With ``ReadFeeds`` nothing is late."""
KEYS = "keys"
"""Folder of a decision that is of no use any more when it is done."""


@dataclass(frozen=True)
class KnownDataset:
    """Where in the dataset a decision looks for what is known."""

    files: Sequence[KnownFile] = ()
    """Of ``articles`` and ``duplicates``, in the order of their numbers."""
    canonical_ids: bytes = b""
    """What is looked for in files that ``may_hold_canonicals``, 16 bytes each."""
    failures: Sequence[str] = ()
    """Paths of files of ``failures``."""
    near_rows: int = 0
    """About how many rows were observed within the horizon of the run's texts, at most."""


def _entries(name: str, elements: PCollection, make: object) -> PCollection[LedgerEntry]:
    return elements | name >> beam.Map(make).with_output_types(LedgerEntry)


def _listed(name: str, items: PCollection) -> list[PCollection[LedgerEntry]]:
    """Items that a poll took up: the accounts of their pages, and of the units to come of them."""
    return [
        _entries(f"Listed{name}", items, lambda item: accounts.listed_item(item.origin)),
        _entries(f"Open{name}", items, lambda item: accounts.open_unit(item.origin)),
    ]


def build_polling(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    feeds: Sequence[DueFeed],
    polling: PollPlan,
    folder: str,
) -> None:
    """Ask feeds what is new; stage what they give themselves, and what they link to."""
    listed = pipeline | "Feeds" >> beam.Create(feeds).with_output_types(DueFeed)
    polled = listed | PollFeeds(polling)
    counted = polled.polled | "FeedsPolled" >> TallyProgress("feeds", plan.progress_folder)
    links = counted | "Links" >> beam.FlatMap(lambda feed: feed.links).with_output_types(LinkedItem)
    pages = polled.pages | StagePages(plan.store, folder)
    failures = polled.failures | StageFailures(plan.store, folder)
    feeds_blocks = counted | StagePolled(plan.store, folder)
    entries = [
        _entries("OpenFeeds", listed, accounts.open_feed),
        _entries("CloseFeeds", counted, accounts.close_feed),
        *_listed("Pages", polled.pages),
        *_listed("Failures", polled.failures),
        *_listed("Links", links),
        _entries("CloseLinks", links, lambda link: accounts.close_staged(link.origin)),
        pages.ledger,
        failures.ledger,
    ]
    blocks = (pages.blocks, failures.blocks, feeds_blocks) | "Blocks" >> beam.Flatten()
    balance = entries | "Ledger" >> beam.Flatten() | BalanceLedger()
    _ = balance | WriteReport(blocks, plan.store, f"{folder}/report.json")


def build_fetching(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    links: Sequence[LinkedItem],
    fetching: FetchPlan,
    *,
    known_files: KnownFiles,
    folder: str,
) -> None:
    """Follow links to pages that the dataset does not have yet, and stage the pages."""
    listed = pipeline | "Links" >> beam.Create(links).with_output_types(LinkedItem)
    tables = [(table, path) for table, paths in vars(known_files).items() for path in paths]
    since = fetching.observed_at - plan.dedup_horizon_seconds
    found = (
        pipeline
        | "Known" >> beam.Create(tables).with_output_types(tuple[str, str])
        | FindPages(plan.store, listed, since)
    )
    parted = listed | SetAsideKnown(found)
    fetched = parted.unknown | FetchPages(fetching)
    counted = fetched.outcomes | "LinksFollowed" >> TallyProgress("links", plan.progress_folder)
    outcomes = (counted, parted.known) | "Outcomes" >> beam.Flatten()
    pages = fetched.pages | StagePages(plan.store, folder)
    failures = fetched.failures | StageFailures(plan.store, folder)
    outcome_blocks = outcomes | StageFetched(plan.store, folder)
    entries = [
        _entries("OpenLinks", listed, accounts.open_link),
        _entries("CloseLinks", outcomes, accounts.close_link),
        _entries("OpenPages", fetched.pages, lambda page: accounts.open_unit(page.origin)),
        _entries("OpenFailures", fetched.failures, lambda it: accounts.open_unit(it.origin)),
        pages.ledger,
        failures.ledger,
    ]
    blocks = (pages.blocks, failures.blocks, outcome_blocks) | "Blocks" >> beam.Flatten()
    balance = entries | "Ledger" >> beam.Flatten() | BalanceLedger(("source", "unit"))
    _ = balance | WriteReport(blocks, plan.store, f"{folder}/report.json")


def build_staged_extraction(
    pipeline: beam.Pipeline, plan: RunPlan, blocks: Sequence[StagedBlock], folder: str
) -> None:
    """Extract what is in pages that were polled or fetched, and stage it."""
    listed = pipeline | "PageBlocks" >> beam.Create(blocks).with_output_types(StagedBlock)
    read = listed | beam.Reshuffle() | ReadStagedPages(plan.store)
    _ = read.blocks_read | "BlocksRead" >> TallyProgress("files", plan.progress_folder)
    opened = _entries("OpenBlocks", listed, accounts.open_block)
    nothing = pipeline | "NoFailures" >> beam.Create([]).with_output_types(Failure)
    _extract_pages(plan, folder, opened, ReadSources(read.pages, nothing, read.blocks_read))


def build_extraction(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    sources: Sequence[Source],
    observed_at: Timestamp,
    folder: str,
) -> None:
    """Read one slice's sources, and stage what is found in them."""
    listed = pipeline | "Sources" >> beam.Create(sources).with_output_types(Source)
    read = listed | beam.Reshuffle() | ReadPages(observed_at, plan.limits)
    _ = read.sources_read | "FilesRead" >> TallyProgress("files", plan.progress_folder)
    opened = _entries("OpenSources", listed, accounts.open_source)
    _extract_pages(plan, folder, opened, read)


def build_replay(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    retries: Sequence[Retry],
    observed_at: Timestamp,
    folder: str,
    *,
    http: HttpSettings,
) -> None:
    """Try some failures again, and stage what is found in them now."""
    limits = plan.limits

    def read(content: bytes, uri: str, observed: Timestamp) -> Iterator[Page | Failure]:
        return read_content(content, uri, observed, limits)

    def fetch(links: Sequence[LinkedItem]) -> Iterator[tuple[str, Page | Failure]]:
        for fetched in fetch_pages(links, FetchPlan(http, observed_at, read)):
            if fetched.unit is not None:
                yield fetched.outcome.link.url, fetched.unit

    listed = pipeline | "Retries" >> beam.Create(retries).with_output_types(Retry)
    retried = listed | RetryFailures(
        plan.store,
        lambda source: read_source(source, observed_at, limits),
        read,
        fetch,
    )
    ids = listed | "Ids" >> beam.FlatMap(lambda retry: retry.failure_ids).with_output_types(str)
    opened = _entries("OpenRetries", ids, accounts.open_retry)
    _extract_pages(plan, folder, opened, ReadSources(*retried))


class Extracted(NamedTuple):
    """What extraction leaves behind: durable blocks, and the account of them."""

    blocks: list[PCollection[StagedBlock]]
    entries: list[PCollection[LedgerEntry]]


def _extract_pages(
    plan: RunPlan, folder: str, opened: PCollection[LedgerEntry], read: ReadSources
) -> None:
    """The end of a batch: report what was extracted to the launching process."""
    extracted = extract_pages(plan, folder, opened, read)
    blocks = extracted.blocks | "Blocks" >> beam.Flatten()
    balance = extracted.entries | "Ledger" >> beam.Flatten() | BalanceLedger()
    _ = balance | WriteReport(blocks, plan.store, f"{folder}/report.json")


def extract_pages(
    plan: RunPlan, folder: str, opened: PCollection[LedgerEntry], read: ReadSources
) -> Extracted:
    """From pages to durable blocks: of a slice, or of each window of a stream."""
    pages = read.pages | "SpreadPages" >> beam.Reshuffle()
    extracted = pages | ExtractArticles()
    articles = extracted.articles | "Found" >> TallyProgress("articles", plan.progress_folder)
    staged = articles | FingerprintArticles() | StageArticles(plan.store, folder)
    failures = (read.failures, extracted.failures) | "Failures" >> beam.Flatten()
    staged_failures = failures | StageFailures(plan.store, folder)

    entries = [
        opened,
        _entries(
            "CloseSources", read.sources_read, lambda read: accounts.close_source(read[1], read[2])
        ),
        _entries("OpenPages", read.pages, accounts.open_page),
        _entries("UnreadPages", read.failures, accounts.unread_page),
        extracted.ledger,
        _entries("OpenArticles", articles, lambda article: accounts.open_unit(article.origin)),
        _entries("OpenFailures", failures, lambda failure: accounts.open_unit(failure.origin)),
        staged.ledger,
        staged_failures.ledger,
    ]
    return Extracted([staged.blocks, staged_failures.blocks], entries)


def build_stream(
    head: ReadFeedsOutput,
    plan: RunPlan,
    commit: beam.PTransform,
    *,
    folder: str,
    window_seconds: float,
) -> None:
    """Extract and commit what live feeds give, window by window.

    Only the head differs from a batch: ``ReadFeeds`` is in the place of ``ReadPages``. What becomes
    of a page is ``extract_pages``, and what becomes of its blocks are the steps of a run, which
    here ``commit`` takes for one window after the other.
    """
    windowed = ReadFeedsOutput(
        *(
            # A reader waits; what shared its thread would wait with it.
            part
            | f"PartFrom{name.title()}" >> beam.Reshuffle()
            | f"Window{name.title()}" >> commit_windows(window_seconds)
            for name, part in head._asdict().items()
        )
    )
    read = ReadSources(windowed.pages, windowed.failures, windowed.sources_read)
    opened = _entries("OpenAnswers", read.sources_read, lambda read: accounts.open_answer(read[1]))
    extracted = extract_pages(plan, folder, opened, read)
    blocks = [
        *extracted.blocks,
        windowed.polled | StagePolled(plan.store, folder),
        windowed.fetched | StageFetched(plan.store, folder),
    ]
    _ = (*blocks, *extracted.entries) | "Window" >> beam.Flatten() | commit


def commit_windows(seconds: float) -> beam.WindowInto:
    """Fixed windows, each of which becomes a commit.

    The default trigger fires once the watermark says that a window is whole, and again for what
    comes late: with ``ReadFeeds`` nothing does, but were it otherwise, it would not be dropped, but
    become part of the next window's commit.
    """
    return beam.WindowInto(
        window.FixedWindows(seconds),
        trigger=DefaultTrigger(),
        accumulation_mode=AccumulationMode.DISCARDING,
        allowed_lateness=MAX_LATENESS_SECONDS,
    )


def build_decision(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    blocks: Sequence[StagedBlock],
    known: KnownDataset,
    folder: str,
) -> None:
    """Compare the texts of all blocks with each other and with the dataset."""
    store = plan.store
    articles = [block for block in blocks if block.kind == "articles"]
    texts = pipeline | "Articles" >> beam.Create(articles).with_output_types(StagedBlock)
    horizon_seconds = plan.dedup_horizon_seconds
    keys = texts | KeysOfRun(store, horizon_seconds)
    # Once for all files: there may be thousands of each.
    canonical_ids = pipeline | "CanonicalIds" >> beam.Create([known.canonical_ids])
    found = (
        pipeline
        | "Known" >> beam.Create(known.files).with_output_types(KnownFile)
        | ReadKnown(store, folder, keys, horizon_seconds, canonical_ids)
    )
    masked = texts | SetAsideUnchanged(store, found.matches)
    near = found.blocks | NumberBlocks(first=len(blocks))
    compared = (masked, near | SetAsideFar(store)) | "Compared" >> beam.Flatten()
    candidates = compared | FindCandidates(
        store,
        f"{folder}/{KEYS}",
        texts=sum(block.rows for block in articles) + known.near_rows,
        threshold=plan.dedup_threshold,
        horizon_seconds=horizon_seconds,
        first_known=len(blocks),
    )
    printed = candidates | PrintKnown(store, near, first=len(blocks))
    every_block = (texts, printed.blocks) | "EveryBlock" >> beam.Flatten()
    copies = candidates | AssignCopies(store, every_block, printed.canonicals, plan.dedup_threshold)
    works = found.matches | "WorksOf" >> beam.Map(lambda match: match.works).with_output_types(
        bytes
    )
    paths = [file.path for file in known.files]
    verdicts = copies | NumberRevisions(store, masked, works, texts, paths)

    failed = pipeline | "Failures" >> beam.Create(
        [block for block in blocks if block.kind == "failures"]
    ).with_output_types(StagedBlock)
    recorded = (
        pipeline
        | "KnownFailures" >> beam.Create(known.failures).with_output_types(str)
        | FindRecorded(store, failed)
    )
    set_aside = (masked, failed | SetAsideRecorded(store, recorded)) | "SetAside" >> beam.Flatten()
    _ = (
        (texts, failed)
        | "RunsBlocks" >> beam.Flatten()
        | WriteVerdicts(store, folder, verdicts, set_aside)
        | TallyUnique(store, f"{folder}/unique.json")
    )


def build_rows(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    blocks: Sequence[StagedBlock],
    every_block: Sequence[StagedBlock],
    *,
    folder: str,
    verdicts: str,
) -> None:
    """Carry out the verdicts on some blocks: merge, enrich, and write rows."""
    staged = pipeline | "Blocks" >> beam.Create(blocks).with_output_types(StagedBlock)
    merged = staged | beam.Reshuffle() | MergeCopies(plan.store, verdicts, every_block)
    enriched = merged.unique | EnrichArticles()
    enriched = enriched | "Enriched" >> TallyProgress("enriched", plan.progress_folder)

    def write(table: str, stage: object) -> WriteRuns:
        return WriteRuns(table, stage, plan.store, folder, plan.run_id)

    written = [
        enriched | "WriteArticles" >> write("articles", stage_article),
        merged.duplicates | "WriteDuplicates" >> write("duplicates", stage_duplicate),
        merged.failures | "WriteFailures" >> write("failures", stage_failure),
    ]
    runs = [table.runs for table in written] | "Runs" >> beam.Flatten()
    entries = [merged.ledger, *(table.ledger for table in written)]
    balance = entries | "Ledger" >> beam.Flatten() | BalanceLedger(("unit",))
    _ = balance | WriteReport(runs, plan.store, f"{folder}/report.json")


def build_assembly(
    pipeline: beam.Pipeline,
    plan: RunPlan,
    runs: Sequence[StagedRun],
    ranges: Sequence[PartitionRange],
    *,
    folder: str,
    report: str,
) -> None:
    """Merge all rows of a run into the files of their partitions."""
    files = (
        pipeline
        | "Ranges" >> beam.Create(list(map(tuple, ranges)))
        | beam.Reshuffle()
        | AssembleTables(plan.store, runs, folder, plan.run_id)
    )
    nothing = pipeline | "NoLedger" >> beam.Create([_NO_BALANCE]).with_output_types(Balance)
    _ = nothing | WriteReport(files, plan.store, report)


_NO_BALANCE = Balance(0, 0, 0, (), (), 0, (), 0)
