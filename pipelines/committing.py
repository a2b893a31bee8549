"""The end of a stream: each window becomes a commit, by the steps of a run.

In: ``StagedBlock`` and ``LedgerEntry`` of commit windows. Out: one ``Published`` for each commit.
Unbounded.

All of a dataset's commits are one after the other, each resting on the one before. So a stateful
DoFn with one key keeps what the windows have staged, in state, and an event-time timer at the end
of each window takes it through the steps of a run (``pipelines.steps``): decide over all
fingerprints of the window and those of the dataset within the horizon, enrich, write rows,
assemble, publish. State holds paths and entries of the account, for as long as a window is open;
what was seen within the horizon is read from the dataset, which forgets nothing and cannot disagree
with itself. Texts of a window are few, so that one worker carries its steps out, with the very
graphs of a batch.

Why each row comes once, although bundles are tried again:

- A commit is one step (``pipelines.dataset``) and names the blocks that are in it. A window whose
  blocks are in a commit already is passed over when a runner brings it again.
- Blocks are staged under names of their own, and only those count that came through the runner:
  what a failed attempt left lies there until the stream's folder is removed.
- What a restarted reader asks for again is in the dataset, under the same ids, and adds no row.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import BoundedWindow, GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import Timestamp

from pipelines.beam_metrics import Distribution, Measured, hand_on
from pipelines.compact import compact
from pipelines.config import IngestConfig
from pipelines.dataset import Dataset, PublishError, Snapshot
from pipelines.feed_memory import encode_memory, memory_path, read_memory
from pipelines.ingest import RunPlan
from pipelines.live import FeedCounts, rows_by_feed, with_rows
from pipelines.lock import current_lease
from pipelines.recall import drained_path, stream_folder
from pipelines.run import Clock, RunReport, data_files, new_run_id
from pipelines.staged import RunState
from pipelines.steps import Outcome, RunFailedError, Steps, Watch
from schemas.records import (
    Balance,
    FeedMemory,
    FetchedLink,
    LedgerEntry,
    PolledFeed,
    StagedBlock,
    Tally,
    WrittenFile,
)
from transforms.compaction import open_parquet
from transforms.ledger import balance_entries
from transforms.listing import with_outcomes
from transforms.measures import summed_lags
from transforms.reading import ReadLimits
from transforms.slicing import FETCHED, POLLED
from transforms.staging import paths_of_block, read_records
from transforms.storage import Store, StoreError
from transforms.writing import Report

_QUIET_MICROS = 600 * 1_000_000
"""How long windows in which feeds had nothing new wait for one that has, to share its commit."""
_LAST = "last"
_LAG_COLUMNS = ["observed_at", "published_at", "published_precision", "revision"]
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
T = TypeVar("T")

Item = tuple[int, bytes]
"""The end of a window, microseconds since 1970, and a packed record that is in it."""


@dataclass(frozen=True)
class CommitPlan:
    """What committing needs to know beside what is committed."""

    stream_id: str
    store: Store
    config: IngestConfig
    """Without options of Beam's: the steps of a commit run where the worker is."""
    clock: Clock
    lease: int
    """Number of the lease that the stream is run under."""
    patience_seconds: tuple[float, ...] = (1.0, 5.0, 20.0)
    """After how long a commit is tried again that failed for a reason outside the program."""

    @property
    def folder(self) -> str:
        """Where the stream stages what is not committed."""
        return stream_folder(self.stream_id)


class StreamOrphanedError(RuntimeError):
    """The stream's lease is another writer's now: whoever started it is gone, and it has to end."""


@dataclass(frozen=True)
class Published:
    """A commit of a stream."""

    number: int
    summary: Mapping[str, Any]
    measured: Measured
    """What its steps have counted."""


# ── one commit ──────────────────────────────────────────────────────────────────────────────────


class Committer:
    """Makes commits of one stream, one after the other."""

    def __init__(self, plan: CommitPlan) -> None:
        self._plan = plan
        self._dataset = Dataset(plan.store)
        self._memory: tuple[str, dict[str, FeedMemory]] = ("", {})
        """Path of the memory in force, and what is in it."""

    def commit(self, items: Iterable[Item], until: Timestamp) -> Published | None:
        """Commit what windows have staged; None if there is nothing, or it was done before.

        Args:
            items: ``StagedBlock`` and ``LedgerEntry`` records, as ``pack`` gives them.
            until: the end of the last window.

        Raises:
            StreamOrphanedError: if the dataset has another writer by now.
            DatasetError: if the dataset is damaged, or another writer has committed.
            RunFailedError: if the store refuses, or the disk is full.
            PublishError: if it could not be published.
        """
        plan, store = self._plan, self._plan.store
        records = self._new(items)
        blocks = sorted((it for it in records if isinstance(it, StagedBlock)), key=_path)
        entries = [it for it in records if isinstance(it, LedgerEntry)]
        if not blocks:
            return None
        if current_lease(store) != plan.lease:
            raise StreamOrphanedError(
                f"the dataset {store.url} has another writer now; this stream ends"
            )
        began = time.monotonic()
        now = plan.clock()
        snapshot = self._dataset.snapshot()
        state = RunState(new_run_id(now), now.isoformat(), "")
        run = RunPlan(
            run_id=state.run_id,
            store=store,
            folder=state.folder,
            limits=ReadLimits(max_input_bytes=plan.config.max_input_bytes),
            dedup_threshold=plan.config.dedup_threshold,
            dedup_horizon_seconds=plan.config.dedup_horizon_seconds,
        )
        balance = balance_entries(entries)
        polled = list(self._read(blocks, POLLED, PolledFeed))
        fetched = list(self._read(blocks, FETCHED, FetchedLink))
        units = tuple(block for block in blocks if block.kind in ("articles", "failures"))
        steps = Steps(plan.config, run, state, Watch("", 0, 0), workers=1)
        outcome = steps.finish(
            [Report(balance, units)], balance.sources, snapshot, settled=_settled(polled, fetched)
        )
        if outcome.balance.fault_count:
            faults = "; ".join(outcome.balance.faults)
            raise AssertionError(f"the account of a commit does not balance: {faults}")
        memories = self._remembered(snapshot, polled, fetched)
        report = RunReport(
            run_id=state.run_id,
            output=plan.config.output,
            started_at=now,
            seconds=time.monotonic() - began,
            balance=outcome.balance,
            files=outcome.files,
            feeds=_counts(plan.config, memories, polled, fetched),
        )
        milliseconds = round(report.seconds * 1_000)
        once = Distribution(1, milliseconds, milliseconds, milliseconds)
        own = Measured({"commits_published": 1}, {"commit_milliseconds": once})
        measured = outcome.measured + own
        stream = {
            "id": plan.stream_id,
            "until_micros": until.micros,
            "blocks": [_name(block) for block in blocks],
            "polls": {
                "count": len(polled),
                "unchanged": sum(one.is_unchanged for one in polled),
                "failed": sum(bool(one.memory.reason) for one in polled),
            },
            "feeds_failing": sum(
                memories[one.url].failures > 0
                for one in plan.config.subscriptions
                if one.url in memories
            ),
            "measured": measured.plain(),
            **lags(store, state.files, outcome.files, until, plan.clock()),
        }
        summary = {**report.summary(), "stream": stream}
        commit = self._dataset.publish(
            "ingest",
            state.run_id,
            snapshot.head,
            state.files,
            self._dataset.with_statistics(snapshot, state.files, data_files(outcome)),
            details={**summary, "options": plan.config.summary()},
            memory=self._stage_memory(state, memories, outcome),
        )
        store.delete(path for block in blocks for path in paths_of_block(block))
        if plan.config.compact_after is not None:
            compact(self._dataset, min_files=plan.config.compact_after)
        return Published(commit.number, summary, measured)

    def _new(self, items: Iterable[Item]) -> list[StagedBlock | LedgerEntry]:
        """The records of windows that no commit has yet."""
        windows: dict[int, list[StagedBlock | LedgerEntry]] = {}
        for end_micros, item in items:
            windows.setdefault(end_micros, []).append(unpack(item))
        return [
            record
            for records in windows.values()
            if not self._is_done([one for one in records if isinstance(one, StagedBlock)])
            for record in records
        ]

    def _is_done(self, blocks: Sequence[StagedBlock]) -> bool:
        """Whether a commit has these blocks already, which a runner has brought again.

        A commit removes the blocks that it has, so that only for one that is gone it is looked for
        among the commits.
        """
        gone = [
            block
            for block in blocks
            if not all(self._plan.store.exists(path) for path in paths_of_block(block))
        ]
        if not gone:
            return False
        number = self._dataset.snapshot().head
        while number > 0 and (commit := self._dataset.commit(number)) is not None:
            stream = commit.details.get("stream", {})
            names = set(stream.get("blocks", ())) if stream else set()
            if names & set(map(_name, gone)):
                return True
            number -= 1
        raise RunFailedError(f"{gone[0].path} is gone, and no commit of the stream has it")

    def _read(self, blocks: Sequence[StagedBlock], kind: str, record: type[T]) -> Iterator[T]:
        for block in blocks:
            if block.kind == kind:
                yield from read_records(self._plan.store, block, record)

    def _remembered(
        self, snapshot: Snapshot, polled: Sequence[PolledFeed], fetched: Sequence[FetchedLink]
    ) -> dict[str, FeedMemory]:
        path, memories = self._memory
        if path != snapshot.memory:
            memories = read_memory(self._dataset, snapshot)[0]
        return remember(memories, polled, fetched)

    def _stage_memory(
        self, state: RunState, memories: Mapping[str, FeedMemory], outcome: Outcome
    ) -> str:
        rows = rows_by_feed(self._plan.store, state.files, outcome.files)
        known = with_rows(memories, rows)
        path = memory_path(state.run_id)
        self._plan.store.write(f"{state.files}/{path}", encode_memory(known.values()))
        self._memory = (path, known)
        return path


def _path(block: StagedBlock) -> str:
    return block.path


def _name(block: StagedBlock) -> str:
    return "/".join(block.path.rsplit("/", 2)[-2:])  # with its window's folder


def remember(
    memories: Mapping[str, FeedMemory],
    polled: Iterable[PolledFeed],
    fetched: Iterable[FetchedLink],
) -> dict[str, FeedMemory]:
    """The memory of feeds after some answers; what is older than the memory counts for nothing."""
    known = dict(memories)
    for one in sorted(polled, key=lambda one: one.memory.polled_at or Timestamp(0)):
        before = known.get(one.memory.url)
        if before is not None and (before.polled_at or 0) >= (one.memory.polled_at or 0):
            continue
        counts = before or FeedMemory(one.memory.url)
        known[one.memory.url] = replace(
            one.memory,
            pending=(*one.memory.pending, *one.links),
            articles=counts.articles,
            duplicates=counts.duplicates,
            rejected=counts.rejected,
            failed=counts.failed,
        )
    by_feed: dict[str, list[FetchedLink]] = {}
    for link in fetched:
        by_feed.setdefault(link.link.feed_url, []).append(link)
    for url, outcomes in by_feed.items():
        known[url] = with_outcomes(known.get(url) or FeedMemory(url), outcomes)
    return known


_SETTLED = {"known": "known-page", "same-page": "same-page"}


def _settled(polled: Sequence[PolledFeed], fetched: Sequence[FetchedLink]) -> Balance:
    """The account of what needed no extraction."""
    unchanged = Counter({"unchanged-item": sum(one.unchanged for one in polled)})
    outcomes = Counter(one.outcome for one in fetched)
    unchanged.update({detail: outcomes[outcome] for outcome, detail in _SETTLED.items()})
    tallies = tuple(Tally("unchanged", what, count) for what, count in unchanged.items() if count)
    notes = tuple(note for one in polled for note in one.notes)
    units = sum(tally.count for tally in tallies)
    return Balance(0, units, units, tallies, (), 0, notes, len(notes))


def _counts(
    config: IngestConfig,
    memories: Mapping[str, FeedMemory],
    polled: Sequence[PolledFeed],
    fetched: Sequence[FetchedLink],
) -> FeedCounts:
    asked = {one.memory.url for one in polled}
    known = [memories[one.url] for one in config.subscriptions if one.url in memories]
    return FeedCounts(
        subscribed=len(config.subscriptions),
        polled=len(asked),
        unchanged=sum(one.is_unchanged for one in polled),
        failed=len({one.memory.url for one in polled if one.memory.reason}),
        not_due=len(config.subscriptions) - len(asked),
        links=len(fetched),
        next_due_at=min((it.due_at for it in known if it.due_at is not None), default=None),
    )


def lags(
    store: Store,
    folder: str,
    files: Sequence[WrittenFile],
    until: Timestamp,
    now: Any,
) -> dict[str, Any]:
    """How late a commit is, in seconds: after its window, its observations, its publications.

    Publication counts where a row's date is to the minute or better, and not before the window's
    day: what a feed lists from before says nothing of the stream.
    """
    moment = Timestamp.from_utc_datetime(now).micros
    observed: list[float] = []
    published: list[float] = []
    for file in files:
        if file.table != "articles":
            continue
        with open_parquet(store, f"{folder}/{file.path}") as parquet:
            table = parquet.read(columns=_LAG_COLUMNS)
        observed += _seconds_before(moment, table.column("observed_at"))
        is_exact = pc.is_in(
            table.column("published_precision"), value_set=pa.array(["second", "minute"])
        )
        # A revision has the date of its work's first text.
        is_first = pc.equal(table.column("revision"), 0)
        recently = table.filter(pc.and_(is_exact, is_first)).column("published_at")
        published += _seconds_before(moment, recently)
    recent = [lag for lag in published if 0 <= lag < _DAY_SECONDS]
    return {
        "watermark_lag_seconds": round((moment - until.micros) / 1e6, 3),
        "observed_lag_seconds": summed_lags(observed),
        "feed_lag_seconds": summed_lags(recent),
    }


_DAY_SECONDS = 86_400


def _seconds_before(moment: int, column: pa.ChunkedArray) -> list[float]:
    micros = pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.int64()).drop_null()
    return [(moment - at) / 1e6 for at in micros.to_pylist()]


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """Count and quantiles; only the count where there are no values."""
    ordered = sorted(values)
    found: dict[str, float] = {"count": len(ordered)}
    for name, share in _QUANTILES.items():
        if ordered:
            found[name] = round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3)
    return found


# ── the transform ───────────────────────────────────────────────────────────────────────────────


def pack(record: StagedBlock | LedgerEntry, end_micros: int) -> tuple[bytes, Item]:
    """A record under the one key, with the end of its window."""
    return b"", (end_micros, pickle.dumps(record))


def unpack(item: bytes) -> StagedBlock | LedgerEntry:
    """The record that was packed."""
    return cast("StagedBlock | LedgerEntry", pickle.loads(item))


def is_block(item: Item) -> bool:
    """Whether an item is something staged, and not a line of the account."""
    return isinstance(unpack(item[1]), StagedBlock)


def is_news(item: Item) -> bool:
    """Whether an item says more than that feeds were asked."""
    record = unpack(item[1])
    return isinstance(record, StagedBlock) and record.kind != POLLED


class _Pack(beam.DoFn):
    def process(
        self, record: Any, window: BoundedWindow = beam.DoFn.WindowParam
    ) -> Iterator[tuple[bytes, Item]]:
        yield pack(record, window.end.micros)


def in_a_thread(carry_out: Callable[[], T]) -> T:
    """What a function gives, carried out in a thread of its own.

    Beam keeps in its threads which step is at work; a graph that is run within a step would leave
    that forgotten.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(carry_out())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is wanted
            errors.append(error)

    thread = threading.Thread(target=run, name="newsbeam-commit")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class _Commit(beam.DoFn):
    ITEMS = BagStateSpec("items", TupleCoder((VarIntCoder(), BytesCoder())))
    COMMITTED = ReadModifyWriteStateSpec("committed", VarIntCoder())
    """The end of the last window that was committed, microseconds since 1970."""
    END = TimerSpec("end", TimeDomain.WATERMARK)
    """One for each window, tagged with its end, and one for the end of all: a timer that is set
    while the last ones fire need not fire any more."""

    def __init__(self, plan: CommitPlan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._committer = Committer(self._plan)

    def process(
        self,
        element: tuple[bytes, Item],
        items: Any = beam.DoFn.StateParam(ITEMS),
        committed: Any = beam.DoFn.StateParam(COMMITTED),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> None:
        end_micros, _ = element[1]
        items.add(element[1])
        # What comes late is committed with the next window: it may come bit by bit.
        if end_micros > (committed.read() or 0):
            end.set(Timestamp(micros=end_micros), dynamic_timer_tag=str(end_micros))
        end.set(GlobalWindow().max_timestamp(), dynamic_timer_tag=_LAST)

    @on_timer(END)
    def close(
        self,
        tag: Any = beam.DoFn.DynamicTimerTagParam,
        items: Any = beam.DoFn.StateParam(ITEMS),
        committed: Any = beam.DoFn.StateParam(COMMITTED),
    ) -> Iterator[Published]:
        waiting = list(items.read())
        is_last = tag == _LAST
        until = max((end for end, _ in waiting), default=0) if is_last else int(tag)
        ready = [item for item in waiting if item[0] <= until]
        is_due = is_last or until - (committed.read() or 0) >= _QUIET_MICROS
        # The account alone is never whole: every answer gives a block.
        if any(map(is_block, ready)) and (is_due or any(map(is_news, ready))):
            published = in_a_thread(partial(self._commit, ready, Timestamp(micros=until)))
            committed.write(max(until, committed.read() or 0))
            items.clear()
            for item in waiting:
                if item[0] > until:
                    items.add(item)
            if published is not None:
                hand_on(published.measured)
                yield published
        if is_last:
            self._plan.store.write(drained_path(self._plan.stream_id), b"")

    def _commit(self, items: Sequence[Item], until: Timestamp) -> Published | None:
        """Commit, and be patient with a store that is out of reach for a while."""
        for seconds in self._plan.patience_seconds:
            try:
                return self._committer.commit(items, until)
            except (RunFailedError, PublishError, StoreError):
                time.sleep(seconds)
        return self._committer.commit(items, until)


@dataclass
class CommitWindows(beam.PTransform):
    """``StagedBlock`` and ``LedgerEntry`` of windows → ``Published``, one for each commit."""

    plan: CommitPlan

    def expand(self, staged: PCollection[StagedBlock | LedgerEntry]) -> PCollection[Published]:
        """Bring all to one key, and commit at the end of each window."""
        return cast(
            "PCollection[Published]",
            staged
            | "Pack" >> beam.ParDo(_Pack()).with_output_types(tuple[bytes, tuple[int, bytes]])
            | "OneForAll" >> beam.WindowInto(GlobalWindows())
            | "Commit" >> beam.ParDo(_Commit(self.plan)).with_output_types(Published),
        )
