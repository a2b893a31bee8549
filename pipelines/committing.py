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

A stream that has fallen behind catches up: a window whose successors are closed as well leaves its
items to the last of them, for a commit takes seconds, however few its texts are. A window of which
a part has not arrived, as its account tells (``pipelines.waiting_windows``), waits for the rest.

Why each row comes once, although bundles are tried again:

- A commit is one step (``pipelines.dataset``) and names the blocks that are in it. Blocks that are
  in a commit already are passed over when a runner brings them again.
- Blocks are staged under names of their own, and only those count that came through the runner:
  what a failed attempt left lies there until the stream's folder is removed.
- What a restarted reader asks for again is in the dataset, under the same ids, and adds no row.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import apache_beam as beam
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
from pipelines.commit_summary import count_feeds, lags, settled_links
from pipelines.compact import compact
from pipelines.config import IngestConfig
from pipelines.dataset import Dataset, PublishError, Snapshot
from pipelines.feed_memory import (
    MemoryEncoder,
    memory_path,
    memory_to_go_on,
    without_forgotten,
)
from pipelines.ingest import MAX_LATENESS_SECONDS, RunPlan
from pipelines.live import rows_by_feed, with_rows
from pipelines.lock import current_lease
from pipelines.recall import drained_path, stream_folder
from pipelines.run import Clock, RunReport, data_files, new_run_id
from pipelines.staged import RunState
from pipelines.steps import Outcome, RunFailedError, Steps, Watch
from pipelines.waiting_windows import (
    UNITS,
    Item,
    Window,
    apart,
    is_followed,
    pack,
    whole_until,
    windows_of,
)
from schemas.records import (
    Balance,
    FeedMemory,
    FetchedLink,
    LedgerEntry,
    PolledFeed,
    StagedBlock,
)
from transforms.enrichment import warm_models
from transforms.listing import with_outcomes
from transforms.reading import ReadLimits
from transforms.slicing import FETCHED, PATIENCE_SECONDS, POLLED
from transforms.staging import paths_of_block, read_records
from transforms.storage import Store, StoreError
from transforms.writing import Report

_QUIET_MICROS = 600 * 1_000_000
"""How long windows in which feeds had nothing new wait for one that has, to share its commit."""
_TOGETHER_MICROS = 600 * 1_000_000
"""How far the ends of windows that share a commit may lie apart, unless they are quiet."""
_LAST = "last"
COMMIT_THREAD = "newsbeam-commit"
"""Name of the threads in which commits are made."""
T = TypeVar("T")


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
    patience_seconds: tuple[float, ...] = PATIENCE_SECONDS
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


class _Extracted(NamedTuple):
    """What of a window is to be committed, as a run has it of a slice."""

    blocks: tuple[StagedBlock, ...]
    balance: Balance

    def report(self) -> Report:
        return Report(self.balance, tuple(it for it in self.blocks if it.kind in UNITS))


# ── one commit ──────────────────────────────────────────────────────────────────────────────────


class Committer:
    """Makes commits of one stream, one after the other."""

    def __init__(self, plan: CommitPlan) -> None:
        self._plan = plan
        self._dataset = Dataset(plan.store)
        self._memory: tuple[str, dict[str, FeedMemory]] = ("", {})
        """Path of the memory in force, and what is in it."""
        self._encoder = MemoryEncoder()
        self._snapshot: Snapshot | None = None

    def commit(self, windows: Sequence[Window], until: Timestamp) -> Published | None:
        """Commit what windows have staged; None if there is nothing, or it was done before.

        Args:
            windows: in order; no unit is in two of them under the same name (``apart``).
            until: until when all is committed that the stream has observed.

        Raises:
            StreamOrphanedError: if the dataset has another writer by now.
            DatasetError: if the dataset is damaged, or another writer has committed.
            RunFailedError: if the store refuses, or the disk is full.
            PublishError: if it could not be published.
            AssertionError: if the account of a window, or that of the commit, does not balance.
        """
        plan, store = self._plan, self._plan.store
        if current_lease(store) != plan.lease:
            raise StreamOrphanedError(
                f"the dataset {store.url} has another writer now; this stream ends"
            )
        self._dataset.finish_decided()  # where this worker, or the one before it, was cut short
        extracted = list(self._new(windows))
        if not extracted:
            return None
        began = time.monotonic()
        now = plan.clock()
        snapshot = self._newest()
        state = RunState(new_run_id(now), now.isoformat(), "")
        run = RunPlan(
            run_id=state.run_id,
            store=store,
            folder=state.folder,
            limits=ReadLimits(max_input_bytes=plan.config.max_input_bytes),
            dedup_threshold=plan.config.dedup_threshold,
            dedup_horizon_seconds=plan.config.dedup_horizon_seconds,
        )
        blocks = [block for one in extracted for block in one.blocks]
        polled = latest_memories(self._read(blocks, POLLED, PolledFeed))
        fetched = list(self._read(blocks, FETCHED, FetchedLink))
        steps = Steps(plan.config, run, state, Watch("", 0, 0), workers=1)
        outcome = steps.finish(
            [one.report() for one in extracted],
            sum(one.balance.sources for one in extracted),
            snapshot,
            settled=settled_links(polled, fetched),
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
            feeds=count_feeds(plan.config, memories, polled, fetched),
        )
        milliseconds = round(report.seconds * 1_000)
        once = Distribution(1, milliseconds, milliseconds, milliseconds)
        own = Measured({"commits_published": 1}, {"commit_milliseconds": once})
        measured = outcome.measured + own
        end = Timestamp(micros=windows[-1].end_micros)
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
            **lags(store, state.files, outcome.files, end, plan.clock()),
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
        if self._may_compact(plan.config.compact_after):
            compact(self._dataset, min_files=plan.config.compact_after or 0)
        return Published(commit.number, summary, measured)

    def _newest(self) -> Snapshot:
        """The dataset as it is; the log, which grows with each minute, is listed once."""
        known = self._snapshot or self._dataset.snapshot()
        self._snapshot = self._dataset.newer(known)
        return self._snapshot

    def _may_compact(self, min_files: int | None) -> bool:
        """Whether a partition has so many files: to plan it, all files are listed."""
        if min_files is None:
            return False
        files = Counter(file.partition for file in self._newest().files.values())
        return max(files.values(), default=0) >= min_files

    def _new(self, windows: Iterable[Window]) -> Iterator[_Extracted]:
        """What no commit has yet of windows."""
        for window in windows:
            window.check()
            committed = self._committed(window.blocks)
            left = tuple(block for block in window.blocks if block not in committed)
            if not left:
                continue
            balance = window.balance
            if committed:
                # The account of the whole balances; what is left of it is in the blocks.
                units = sum(block.rows for block in left if block.kind in UNITS)
                balance = Balance(0, 0, units, (), (), 0, (), 0)
            yield _Extracted(left, balance)

    def _committed(self, blocks: Sequence[StagedBlock]) -> list[StagedBlock]:
        """Those of the blocks that a commit has already, and that a runner has brought again.

        A commit removes the blocks that it has, unless it is cut short: then none follows before
        it was made again. So the newest commit, beside compactions, is asked for all, and those
        before for what is gone.
        """
        gone = [
            block
            for block in blocks
            if not all(self._plan.store.exists(path) for path in paths_of_block(block))
        ]
        sought = {_name(block): block for block in gone}
        left: list[StagedBlock] = []
        number, is_newest = self._newest().head, True
        while (sought or is_newest) and (commit := self._dataset.commit(number)) is not None:
            names = commit.details.get("stream", {}).get("blocks", ())
            if is_newest and commit.kind != "compact":
                left = [block for block in blocks if block not in gone and _name(block) in names]
                is_newest = False
            for name in names:
                sought.pop(name, None)
            number -= 1
        for block in sought.values():
            raise RunFailedError(f"{block.path} is gone, and no commit of the stream has it")
        self._plan.store.delete(path for block in left for path in paths_of_block(block))
        return gone + left

    def _read(self, blocks: Sequence[StagedBlock], kind: str, record: type[T]) -> Iterator[T]:
        for block in blocks:
            if block.kind == kind:
                yield from read_records(self._plan.store, block, record)

    def _remembered(
        self, snapshot: Snapshot, polled: Sequence[PolledFeed], fetched: Sequence[FetchedLink]
    ) -> dict[str, FeedMemory]:
        path, memories = self._memory
        if path != snapshot.memory:
            memories = memory_to_go_on(self._dataset, snapshot)[0]
        return remember(memories, polled, fetched)

    def _stage_memory(
        self, state: RunState, memories: Mapping[str, FeedMemory], outcome: Outcome
    ) -> str:
        rows = rows_by_feed(self._plan.store, state.files, outcome.files)
        subscribed = {one.url for one in self._plan.config.subscriptions}
        now = Timestamp.from_utc_datetime(self._plan.clock())
        known = without_forgotten(with_rows(memories, rows), subscribed, now)
        path = memory_path(state.run_id)
        self._plan.store.write(f"{state.files}/{path}", self._encoder.encode(known.values()))
        self._memory = (path, known)
        return path


def _name(block: StagedBlock) -> str:
    return "/".join(block.path.rsplit("/", 2)[-2:])  # with its window's folder


def latest_memories(polled: Iterable[PolledFeed]) -> list[PolledFeed]:
    """Polls, of which only the last one of each feed keeps its memory, for the others' is replaced.

    Windows that wait for one that has something new may have ten polls of each feed.
    """
    kept: list[PolledFeed] = []
    last: dict[str, int] = {}
    for one in polled:
        place = last.get(one.memory.url)
        if place is None or _polled_at(kept[place]) < _polled_at(one):
            if place is not None:
                kept[place] = _lightened(kept[place])
            last[one.memory.url] = len(kept)
            kept.append(one)
        else:
            kept.append(_lightened(one))
    return kept


def _polled_at(one: PolledFeed) -> Timestamp:
    return one.memory.polled_at or Timestamp(0)


def _lightened(one: PolledFeed) -> PolledFeed:
    memory = one.memory
    return replace(
        one,
        memory=FeedMemory(memory.url, polled_at=memory.polled_at, reason=memory.reason),
        links=(),
    )


def remember(
    memories: Mapping[str, FeedMemory],
    polled: Iterable[PolledFeed],
    fetched: Iterable[FetchedLink],
) -> dict[str, FeedMemory]:
    """The memory of feeds after some answers; what is older than the memory counts for nothing."""
    known = dict(memories)
    for one in sorted(polled, key=_polled_at):
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


# ── the transform ───────────────────────────────────────────────────────────────────────────────


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

    thread = threading.Thread(target=run, name=COMMIT_THREAD)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


MakeCommitter = Callable[[CommitPlan], Committer]
_ENDED = threading.Event()
"""Set where the stream of this process has ended, and its workers may be at work in it still."""


def begin_commits() -> None:
    """Let the workers that are in this process make commits."""
    _ENDED.clear()


def end_commits() -> None:
    """Wait for the commit that is being made in this process; no further one begins."""
    _ENDED.set()
    while threads := [one for one in threading.enumerate() if one.name == COMMIT_THREAD]:
        for thread in threads:
            thread.join()


def _check_not_ended() -> None:
    if _ENDED.is_set():
        raise StreamOrphanedError("the stream has ended; what is not committed is asked for again")


class _Commit(beam.DoFn):
    ITEMS = BagStateSpec("items", TupleCoder((VarIntCoder(), BytesCoder())))
    COMMITTED = ReadModifyWriteStateSpec("committed", VarIntCoder())
    """The end of the last window that was committed, microseconds since 1970."""
    END = TimerSpec("end", TimeDomain.WATERMARK)
    """Two for each window, tagged with their times, and one for the end of all: a timer that is
    set while the last ones fire need not fire any more."""

    def __init__(self, plan: CommitPlan, make_committer: MakeCommitter) -> None:
        self._plan = plan
        self._make_committer = make_committer

    def setup(self) -> None:
        self._committer = self._make_committer(self._plan)
        # Beside the first window, so that its commit need not wait for seconds. What fails here
        # fails again where the models are needed.
        threading.Thread(target=warm_models, daemon=True).start()

    def process(
        self,
        element: tuple[bytes, Item],
        items: Any = beam.DoFn.StateParam(ITEMS),
        committed: Any = beam.DoFn.StateParam(COMMITTED),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> None:
        end.set(GlobalWindow().max_timestamp(), dynamic_timer_tag=_LAST)
        end_micros, packed = element[1]
        if not packed:
            return
        items.add(element[1])
        # What comes late is committed with the next window that is.
        if end_micros > (committed.read() or 0):
            # Of a window without news the second one is the commit, if no other comes before.
            for micros in (end_micros, end_micros + _QUIET_MICROS):
                end.set(Timestamp(micros=micros), dynamic_timer_tag=str(micros))

    @on_timer(END)
    def close(
        self,
        tag: Any = beam.DoFn.DynamicTimerTagParam,
        items: Any = beam.DoFn.StateParam(ITEMS),
        committed: Any = beam.DoFn.StateParam(COMMITTED),
    ) -> Iterator[Published]:
        waiting = list(items.read())
        windows = windows_of(waiting)
        is_last = tag == _LAST
        before = committed.read() or 0
        until = max((one.end_micros for one in windows), default=0) if is_last else int(tag)
        if not is_last and is_followed(windows, until, _TOGETHER_MICROS):
            return
        reached = [one for one in windows if one.end_micros <= until]
        ready = [one for one in reached if one.is_whole]
        is_due = is_last or until - before >= _QUIET_MICROS
        if ready and (is_due or any(one.has_news for one in ready)):
            whole = whole_until(reached, reached[-1].end_micros, before)
            yield from self._publish(ready, whole)
            committed.write(whole)
            done = {one.end_micros for one in ready}
            items.clear()
            for item in waiting:
                if item[0] not in done:
                    items.add(item)
        for one in reached:
            if is_last or until - one.end_micros > MAX_LATENESS_SECONDS * 1_000_000:
                one.check()  # nothing more of it can come
        if is_last:
            self._plan.store.write(drained_path(self._plan.stream_id), b"")

    def _publish(self, windows: Sequence[Window], until_micros: int) -> Iterator[Published]:
        parts = list(apart(windows))
        for number, part in enumerate(parts, start=1):
            is_rest = number == len(parts)
            so_far = until_micros if is_rest else min(until_micros, part[-1].end_micros)
            published = in_a_thread(partial(self._commit, part, so_far))
            if published is not None:
                hand_on(published.measured)
                yield published

    def _commit(self, windows: Sequence[Window], until_micros: int) -> Published | None:
        """Commit, and be patient with a store that is out of reach for a while."""
        until = Timestamp(micros=until_micros)
        for seconds in self._plan.patience_seconds:
            _check_not_ended()
            try:
                return self._committer.commit(windows, until)
            except (RunFailedError, PublishError, StoreError):
                _ENDED.wait(seconds)
        _check_not_ended()
        return self._committer.commit(windows, until)


@dataclass
class CommitWindows(beam.PTransform):
    """``StagedBlock`` and ``LedgerEntry`` of windows → ``Published``, one for each commit."""

    plan: CommitPlan
    make_committer: MakeCommitter = Committer

    def expand(self, staged: PCollection[StagedBlock | LedgerEntry]) -> PCollection[Published]:
        """Bring all to one key, and commit at the end of each window."""
        commit = _Commit(self.plan, self.make_committer)
        item_type = tuple[bytes, tuple[int, bytes]]
        items = (
            staged
            | "Pack" >> beam.ParDo(_Pack()).with_output_types(item_type)
            | "OneForAll" >> beam.WindowInto(GlobalWindows())
        )
        # So that there is an end also where nothing comes.
        begun = (
            staged.pipeline
            | "Begin" >> beam.Impulse()
            | "Nothing" >> beam.Map(lambda _: (b"", (0, b""))).with_output_types(item_type)
        )
        return cast(
            "PCollection[Published]",
            (items, begun)
            | "WithEnd" >> beam.Flatten()
            | "Commit" >> beam.ParDo(commit).with_output_types(Published),
        )
