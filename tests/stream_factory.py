"""A stream without feeds or engine: readings of a script, through a stream's end, to a dataset.

::

    run = ScriptedStream(tmp_path / "dataset")
    run.play(                                     # a TestStream, in windows of a minute
        run.stage(reading_of(make_story(1), 10)),
        passed(60),                               # the watermark
        run.stage(reading_of(make_story(2), 30)),    # late
    )
    run.rows("articles")

Seconds are counted from ``NOON``. ``stage`` makes blocks and their account of a reading, which come
through the runner together; ``play_readings`` has a stream's own graph extract and stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.coders import PickleCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from feed_site import story_page
from source_factory import Story

from pipelines.committing import CommitPlan, Committer, CommitWindows, MakeCommitter
from pipelines.config import IngestConfig
from pipelines.dataset import Commit, Dataset, local_dataset
from pipelines.ingest import RunPlan, build_stream, commit_windows
from pipelines.lock import current_lease
from pipelines.recall import stream_folder
from pipelines.waiting_windows import Window, pack, windows_of
from schemas.records import (
    Article,
    Failure,
    FeedItem,
    FeedMemory,
    FetchedLink,
    FingerprintedArticle,
    LedgerEntry,
    LinkedItem,
    Page,
    PolledFeed,
    StagedBlock,
    Subscription,
)
from transforms import accounts
from transforms.extraction import extract_articles
from transforms.feed_session import Reading
from transforms.feed_source import ReadFeedsOutput, key_of, units_of
from transforms.fingerprints import fingerprint_article
from transforms.reading import ReadLimits
from transforms.slicing import FETCHED, POLLED
from transforms.staging import write_articles, write_failures, write_records

NOON = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")
FEED = "https://press.example/feed.xml"
STREAM = "20261120T120000Z-000000"
WINDOW_SECONDS = 60


def moment(seconds: float) -> Timestamp:
    """So long after ``NOON``, to the millisecond, for a ``TestStream`` knows no finer."""
    return Timestamp(micros=NOON.micros + round(seconds * 1_000) * 1_000)


# ── readings ────────────────────────────────────────────────────────────────────────────────────


def link_to(url: str, name: str = "", **about: Any) -> LinkedItem:
    """A link of an item of ``FEED``."""
    return LinkedItem(
        **{
            "origin": f"{FEED}#{name or url}",
            "url": url,
            "feed_url": FEED,
            "item": FeedItem(guid=name or url),
            "key": hashlib.sha256((name or url).encode()).hexdigest()[:16],
            "version": "00000001",
            **about,
        }
    )


def reading_of(story: Story, seconds: float, host: str = "press.example") -> Reading:
    """The page of a story, as it was fetched from a host."""
    observed_at = moment(seconds)
    url = f"https://{host}/stories/{story.number}"
    page = Page(
        origin=url,
        source_uri=url,
        kind="html",
        content=story_page(story).encode(),
        observed_at=observed_at,
        url=url,
        feed_url=FEED,
    )
    return Reading(observed_at, None, FetchedLink(link_to(url), "page"), (page,))


def failed_reading(name: str, seconds: float) -> Reading:
    """A link to a page that was not to be had."""
    observed_at = moment(seconds)
    link = link_to(f"https://press.example/{name}")
    failure = Failure(
        "rejected", "fetch", "not-found", "It is not there.", link.url, link.url, observed_at
    )
    return Reading(observed_at, None, FetchedLink(link, "rejected"), (), (failure,))


def quiet_poll(seconds: float) -> Reading:
    """A poll of ``FEED`` that had nothing new."""
    observed_at = moment(seconds)
    memory = FeedMemory(FEED, polled_at=observed_at, succeeded_at=observed_at, status=304)
    return Reading(observed_at, PolledFeed(memory, listed=0, is_unchanged=True))


# ── the script ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class passed:  # noqa: N801 - it is a word of the script
    """The watermark is at so many seconds after ``NOON``."""

    seconds: float


# ── the stream ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Staged:
    """What became of a reading: blocks, and the account of them."""

    records: tuple[StagedBlock | LedgerEntry, ...]
    observed_at: Timestamp

    def part(self, start: int, end: int | None = None) -> Staged:
        """Some of the records, for a script in which they do not come together."""
        return replace(self, records=self.records[start:end])


@dataclass
class ScriptedStream:
    """A dataset in a folder, and a stream that commits to it."""

    folder: Path
    stream_id: str = STREAM
    window_seconds: int = WINDOW_SECONDS
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of ``IngestConfig``."""
    make_committer: MakeCommitter = Committer
    patience_seconds: tuple[float, ...] = ()

    @property
    def dataset(self) -> Dataset:
        return local_dataset(str(self.folder))

    @property
    def plan(self) -> CommitPlan:
        """How the stream commits, under the dataset's lease as it is now."""
        store = self.dataset.store
        config = IngestConfig(
            (), str(self.folder), subscriptions=(Subscription(FEED),), **self.options
        )
        return CommitPlan(
            self.stream_id,
            store,
            config,
            clock=lambda: (NOON + 3_600).to_utc_datetime(has_tz=True),
            lease=current_lease(store),
            patience_seconds=self.patience_seconds,
        )

    def stage(self, reading: Reading) -> Staged:
        """Extract and stage a reading."""
        store, folder = self.dataset.store, stream_folder(self.stream_id)
        units = [unit for page in reading.pages for unit in extract_articles(page)]
        articles = [unit for unit in units if isinstance(unit, Article)]
        failures = [*(unit for unit in units if isinstance(unit, Failure)), *reading.failures]
        blocks = []
        if articles:
            printed = [FingerprintedArticle(it, fingerprint_article(it)) for it in articles]
            blocks.append(write_articles(store, folder, printed))
        if failures:
            blocks.append(write_failures(store, folder, failures))
        if reading.polled is not None:
            blocks.append(write_records(store, folder, POLLED, [reading.polled], [key_of(reading)]))
        if reading.fetched is not None:
            fetched = [reading.fetched]
            blocks.append(write_records(store, folder, FETCHED, fetched, [key_of(reading)]))
        entries = account_of(reading, [*articles, *failures])
        return Staged((*blocks, *entries), reading.observed_at)

    def play(self, *steps: Staged | passed) -> None:
        """Run a stream's end over a script."""
        with self._pipeline() as pipeline:
            staged = pipeline | _script(steps, lambda step: step.records)
            windowed = staged | commit_windows(self.window_seconds) | _as_staged()
            _ = windowed | CommitWindows(self.plan, self.make_committer)

    def play_readings(self, *steps: Reading | passed) -> None:
        """Run a stream over a script, by ``build_stream``."""
        plan, store, folder = self.plan, self.dataset.store, stream_folder(self.stream_id)
        run = RunPlan(
            run_id=self.stream_id,
            store=store,
            folder=folder,
            limits=ReadLimits(),
            dedup_threshold=plan.config.dedup_threshold,
            dedup_horizon_seconds=plan.config.dedup_horizon_seconds,
        )
        with self._pipeline() as pipeline:
            parts = pipeline | _script(steps, lambda step: [step]) | _parted()
            head = ReadFeedsOutput(*(parts[name] for name in ReadFeedsOutput._fields))
            build_stream(
                head,
                run,
                CommitWindows(plan),
                folder=folder,
                window_seconds=self.window_seconds,
            )

    def _pipeline(self) -> beam.Pipeline:
        # The one runner in this process that carries out a TestStream with state and timers.
        return beam.Pipeline(
            runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The dataset's rows, in the order of observation."""
        files = self.dataset.snapshot().table(table)
        tables = [pq.ParquetFile(self.folder / file.path).read() for file in files]
        rows = [row for table in tables for row in table.to_pylist()]
        return sorted(rows, key=lambda row: (row["observed_at"], row["origin"]))

    def commits(self) -> list[Commit]:
        """The dataset's commits, in order."""
        dataset = self.dataset
        found = [dataset.commit(number) for number in range(1, dataset.snapshot().head + 1)]
        return [commit for commit in found if commit is not None]

    def committed_until(self) -> list[float]:
        """The end of each commit's last window, in seconds."""
        ends = [commit.details["stream"]["until_micros"] for commit in self.commits()]
        return [(end - NOON.micros) / 1e6 for end in ends]


def windows_with(*staged: Staged, until: float) -> list[Window]:
    """The window that ends then, with what became of some readings."""
    end = NOON + until
    return windows_of(pack(record, end.micros)[1] for one in staged for record in one.records)


def account_of(reading: Reading, units: Sequence[Article | Failure]) -> Iterator[LedgerEntry]:
    """The account of a reading, of which these units came."""
    key = key_of(reading)
    yield accounts.open_answer(key)
    yield accounts.close_source(key, units_of(reading))
    for page in reading.pages:
        yield accounts.open_page(page)
        yield accounts.close_page(page.origin, len(units) - len(reading.failures))
    yield from map(accounts.unread_page, reading.failures)
    for unit in units:
        yield accounts.open_unit(unit.origin)
        yield accounts.close_staged(unit.origin)


def _script(steps: Iterable[Any], elements_of: Callable[[Any], Iterable[Any]]) -> TestStream:
    script = TestStream(coder=PickleCoder()).advance_watermark_to(NOON)
    for step in steps:
        if isinstance(step, passed):
            script.advance_watermark_to(moment(step.seconds))
        else:
            at = step.observed_at
            script.add_elements([TimestampedValue(one, at) for one in elements_of(step)])
    return script.advance_watermark_to_infinity()


@beam.ptransform_fn
def _as_staged(records: Any) -> Any:
    """Blocks come when their window closes, or late, as ``slicing`` brings them together."""
    entries = records | "Entries" >> beam.Filter(lambda it: isinstance(it, LedgerEntry))
    blocks = (
        records
        | "Blocks" >> beam.Filter(lambda it: isinstance(it, StagedBlock))
        | "Share" >> beam.Map(lambda block: (0, block))
        | "Together" >> beam.GroupByKey()
        | "Apart" >> beam.FlatMap(lambda share: share[1])
    )
    return (entries, blocks) | "All" >> beam.Flatten()


class _Part(beam.DoFn):
    def process(self, reading: Reading) -> Iterator[Page | TaggedOutput]:
        yield TaggedOutput("sources_read", ("source", key_of(reading), units_of(reading)))
        if reading.polled is not None:
            yield TaggedOutput("polled", reading.polled)
        if reading.fetched is not None:
            yield TaggedOutput("fetched", reading.fetched)
        for failure in reading.failures:
            yield TaggedOutput("failures", failure)
        yield from reading.pages


def _parted() -> beam.PTransform:
    return (
        beam.ParDo(_Part())
        .with_output_types(
            Page,
            failures=Failure,
            sources_read=tuple[str, str, int],
            polled=PolledFeed,
            fetched=FetchedLink,
        )
        .with_outputs("failures", "sources_read", "polled", "fetched", main="pages")
    )
