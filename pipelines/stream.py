"""``newsbeam stream``: feeds in, commits out, until asked to end.

The launching process holds the dataset's lease, submits the graph to an engine, tells of each
commit, and hands on the wish to end. All else happens in the graph (``ingest.build_stream``), on
the engine's workers, so that it goes on where a worker dies.

Asked to end (SIGTERM, SIGINT), it writes a file that the reader looks for. No further request
begins then; what is under way comes to its end, the reader's watermark goes to the end of time, all
windows close and are committed, and the engine says that the job is done. Asked again, the job is
cancelled at once, which is as safe as any kill: what is not committed yet is asked for again.

However it ends, the job is cancelled and the engine's process stopped before the lease is given
back. A store that is out of reach is no end: see ``Patience``.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.utils.timestamp import Timestamp

from pipelines.committing import CommitPlan, CommitWindows, begin_commits, end_commits
from pipelines.config import IngestConfig, UsageError
from pipelines.dataset import STAGING, Commit, Dataset
from pipelines.engine import (
    GONE,
    EngineError,
    finish_job,
    is_local_runner,
    make_pipeline,
    runs_on_flink,
    runs_on_prism,
    start_job,
    stop_engines,
)
from pipelines.ingest import RunPlan, build_stream
from pipelines.lock import LEASE_SECONDS, current_lease
from pipelines.recall import (
    STREAMS,
    DatasetRecall,
    clock_now,
    drained_path,
    stop_path,
    stream_folder,
)
from pipelines.run import Clock, Notify, new_run_id, utc_now
from pipelines.steps import RunFailedError, noticing_refusals
from pipelines.stream_metrics import StreamObserver
from schemas.records import Failure, Page, Subscription
from transforms.feed_session import MAX_UNCOMMITTED_BYTES, MAX_UNCOMMITTED_PAGES, SessionPlan
from transforms.feed_source import ReadFeeds, SourcePlan
from transforms.http_client import HttpSettings
from transforms.reading import ReadLimits, read_content
from transforms.storage import open_store

DEFAULT_COMMIT_SECONDS = 60
DEFAULT_POLL_SECONDS = 300
DEFAULT_COMPACT_AFTER = 60
"""Files of a partition from which a stream compacts it: of an hour, with a commit each minute."""
DEFAULT_RUNNER = "--runner=PrismRunner"
_WHOLE_BUNDLES = "--experiments=prism_disable_sdf_split"
"""Prism 2.77 splits any bundle that is slow. Of one that has state the rest then runs beside the
first part, and of what both add to the state one part is lost."""
_FINISHED_BUNDLES = "--finish_bundle_before_checkpointing"
"""Else Beam on Flink keeps what a bundle has put out so far with the checkpoint, by the number of
each output. A job that is started anew, as from a savepoint, may number them in another way."""
_LEAVE_HOST_SECONDS = 300.0
_ROBOTS_SECONDS = 86_400.0
_LOOK_SECONDS = 0.5
_END_SECONDS = 10.0
"""How long a job is waited for that has nothing left to do."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_SECONDS = 0.2
"""Signals so close to each other are one request: a terminal and a supervisor both send theirs."""
_STAYS = "; what was committed stays, and a new stream goes on from there"
_RESTORING = ("--savepoint_path", "--savepointPath")
"""Options by which Flink goes on from what it has kept."""


@dataclass(frozen=True)
class StreamConfig:
    """One ``newsbeam stream``.

    Raises:
        UsageError: if a value is out of range.
    """

    ingest: IngestConfig
    """Feeds, output, and all else that a stream has in common with a run."""
    commit_every_seconds: int = DEFAULT_COMMIT_SECONDS
    poll_every_seconds: int = DEFAULT_POLL_SECONDS
    """Least time between two polls of a feed whose settings name none."""

    def __post_init__(self) -> None:
        if not self.ingest.subscriptions:
            raise UsageError("no feed is given: say what to read with --feeds")
        if self.commit_every_seconds < 1:
            raise UsageError(f"--commit-every {self.commit_every_seconds} s is not positive")
        if self.poll_every_seconds < 1:
            raise UsageError(f"--poll-every {self.poll_every_seconds} s is not positive")

    def with_interval(self, subscription: Subscription) -> Subscription:
        """A subscription with a least time between two polls, which a stream needs."""
        interval_seconds = subscription.interval_seconds or self.poll_every_seconds
        return replace(subscription, interval_seconds=interval_seconds)

    @property
    def beam_options(self) -> list[str]:
        """Options for Beam, with the engine that is used where none is named.

        Raises:
            UsageError: if the engine is none that Beam knows.
        """
        options = [*([DEFAULT_RUNNER] if self.ingest.is_local else []), *self.ingest.beam_options]
        parsed = PipelineOptions(options)
        if runs_on_prism(parsed):
            return [_WHOLE_BUNDLES, *options]
        return [_FINISHED_BUNDLES, *options] if runs_on_flink(parsed) else options

    @property
    def restores(self) -> bool:
        """Whether an engine goes on from what it has kept of an earlier stream."""
        names = {option.split("=")[0] for option in self.ingest.beam_options}
        return not names.isdisjoint(_RESTORING)


@dataclass(frozen=True)
class StreamReport:
    """What a stream did."""

    stream_id: str
    seconds: float
    commits: int
    rows: dict[str, int]
    """Added, by table."""
    is_whole: bool
    """Whether all that was under way came to its commit."""

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "stream_id": self.stream_id,
            "seconds": round(self.seconds, 3),
            "commits": self.commits,
            "new_rows": self.rows,
            "drained": self.is_whole,
        }


Tell = Callable[[Commit], None]


def stream(
    config: StreamConfig,
    *,
    clock: Clock = utc_now,
    notify: Notify = lambda _: None,
    tell: Tell = lambda _: None,
    observer: StreamObserver | None = None,
) -> StreamReport:
    """Read feeds and commit what they give, until asked to end by a signal.

    ``notify`` is told what a person should know at once, ``tell`` of each commit.

    Raises:
        UsageError: if the output cannot be used as given.
        DatasetError: if the dataset is damaged, or another writer is at work.
        RunFailedError: if the engine's job failed; what was committed stays.
    """
    dataset = Dataset(open_store(config.ingest.output))
    waiting = {"wait_seconds": config.ingest.wait_seconds, "notify": notify}
    options = PipelineOptions(config.beam_options)
    options.view_as(StandardOptions).streaming = True
    engine = str(options.view_as(StandardOptions).runner)
    observer = observer or StreamObserver()
    if is_local_runner(options):
        raise UsageError(
            f"{engine} has no streams: leave --runner out for Prism, or use "
            "`newsbeam ingest --every`"
        )
    with _speaking_of_engines():
        pipeline = make_pipeline(options)  # before anything is written
        with (
            noticing_refusals(dataset.store),
            dataset.writing("newsbeam stream", **waiting),
            _Requests() as requests,
            _ending(requests),
        ):
            began = time.monotonic()
            begin_commits()
            watch = _Watch(dataset, new_run_id(clock()), observer, tell)
            if not config.restores:
                _sweep(dataset)
            build(pipeline, config, dataset, watch.stream_id, clock)
            is_whole = True
            if not requests.count:
                with requests.starting():
                    result = start_job(pipeline)
                try:
                    observer.begin(watch.stream_id, engine, len(config.ingest.subscriptions))
                    notify(f"stream {watch.stream_id} has begun")
                    is_whole = _follow(result, requests, watch, notify)
                except BaseException:
                    _cancel(result)
                    raise
            return StreamReport(
                watch.stream_id, time.monotonic() - began, watch.commits, watch.rows, is_whole
            )


@contextmanager
def _speaking_of_engines(added: str = "") -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise RunFailedError(f"{error.sentence()}{added}") from error


@contextmanager
def _ending(requests: _Requests) -> Iterator[None]:
    """See to it, when the block ends, that nothing of the stream is at work any more."""
    try:
        yield
    finally:
        stop_engines()
        requests.let_go()
        end_commits()  # of a cancelled job, if its workers are in this process


def build(
    pipeline: beam.Pipeline, config: StreamConfig, dataset: Dataset, stream_id: str, clock: Clock
) -> None:
    """The graph of a stream over a dataset, whose lease the caller holds."""
    ingest, store = config.ingest, dataset.store
    # Windows that are longer hold more until their commit.
    minutes = max(1.0, config.commit_every_seconds / 60)
    limits = ReadLimits(max_input_bytes=ingest.max_input_bytes)
    source = SourcePlan(
        stream_id,
        [config.with_interval(one) for one in ingest.subscriptions],
        SessionPlan(
            streaming_settings(ingest.http),
            partial(_read_page, limits=limits),
            clock_now,
            ingest.polls_all,
            max_uncommitted_bytes=round(MAX_UNCOMMITTED_BYTES * minutes),
            max_uncommitted_pages=round(MAX_UNCOMMITTED_PAGES * minutes),
        ),
        partial(DatasetRecall, store, stream_id, ingest.dedup_horizon_seconds),
    )
    folder = stream_folder(stream_id)
    commit = CommitPlan(
        stream_id,
        store,
        replace(ingest, beam_options=(), workers=None),
        clock,
        current_lease(store),
    )
    plan = RunPlan(
        run_id=stream_id,
        store=store,
        folder=folder,
        limits=limits,
        dedup_threshold=ingest.dedup_threshold,
        dedup_horizon_seconds=ingest.dedup_horizon_seconds,
    )
    build_stream(
        pipeline | ReadFeeds(source),
        plan,
        CommitWindows(commit),
        folder=folder,
        window_seconds=config.commit_every_seconds,
    )


def streaming_settings(settings: HttpSettings) -> HttpSettings:
    """The settings of a client that goes on without end: nothing counts for good."""
    return replace(
        settings,
        max_host_seconds=float("inf"),
        leave_host_seconds=_LEAVE_HOST_SECONDS,
        robots_seconds=_ROBOTS_SECONDS,
    )


def _read_page(
    content: bytes, url: str, observed_at: Timestamp, *, limits: ReadLimits
) -> list[Page | Failure]:
    return list(read_content(content, url, observed_at, limits))


def _sweep(dataset: Dataset) -> None:
    """Remove what streams that were killed have left; feeds and pages are asked for again."""
    for name in dataset.store.names(STAGING):
        if name.startswith(STREAMS):
            dataset.store.delete_folder(f"{STAGING}/{name}")


class Patience:
    """How long a store may be out of reach for the launching process.

    As long as others take the lease for held without a heartbeat: ``LEASE_SECONDS`` from the first
    look in vain. Within that time commits are tried again, too, and if the store comes back all is
    as it was: what was committed meanwhile is told of, and the wish to end is handed on. Beyond it
    the error is raised, and the job cancelled.
    """

    def __init__(
        self, seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def has_reached(self, attempt: Callable[[], object]) -> bool:
        """Whether an attempt at the store succeeded; if not, it is to be made again.

        Raises:
            OSError: the attempt's own, if attempts have been in vain for too long.
        """
        try:
            attempt()
        except OSError:
            now = self._clock()
            self._since = now if self._since is None else self._since
            if now - self._since > self._seconds:
                raise
            return False
        self._since = None
        return True


class _Watch:
    """Follows the dataset's commits, patient with a store that is out of reach (``Patience``)."""

    def __init__(
        self, dataset: Dataset, stream_id: str, observer: StreamObserver, tell: Tell
    ) -> None:
        self.stream_id = stream_id
        self.commits = 0
        self.rows = {"articles": 0, "duplicates": 0, "failures": 0}
        self.observer = observer
        self._dataset = dataset
        self._head = dataset.checked_snapshot().head
        self._tell = tell
        self._looking, self._asking, self._checking = Patience(), Patience(), Patience()
        self._is_told = False
        self._is_drained = False

    def look(self) -> bool:
        """Tell of the commits that have come; whether the store was in reach."""
        return self._looking.has_reached(self._look)

    def ask_to_end(self) -> None:
        """Tell the reader to ask for nothing more; to be called until the stream is drained."""
        if not self._is_told:
            self._is_told = self._asking.has_reached(
                lambda: self._dataset.store.write(stop_path(self.stream_id), b"")
            )

    def is_drained(self) -> bool:
        """Whether all that the stream has read is committed, as far as the store can tell now."""

        def look() -> None:
            self._is_drained = self._dataset.store.exists(drained_path(self.stream_id))

        return (self._is_drained or self._checking.has_reached(look)) and self._is_drained

    def clear(self) -> None:
        """Remove what the stream has staged. If the store refuses, the next stream does."""
        with suppress(OSError):
            self._dataset.store.delete_folder(stream_folder(self.stream_id))

    def _look(self) -> None:
        while (commit := self._dataset.commit(self._head + 1)) is not None:
            self._head = commit.number
            if "stream" not in commit.details:
                continue
            self.commits += 1
            for file in commit.files:
                self.rows[file.table] += file.rows
            self.observer.tell(commit)
            self._tell(commit)


def _follow(result: PipelineResult, requests: _Requests, watch: _Watch, notify: Notify) -> bool:
    """Follow a job to its end; whether it was let come to it."""
    try:
        with _speaking_of_engines(_STAYS):
            is_whole = _wait(result, requests, watch, notify)
        while not watch.look():
            requests.wait(_LOOK_SECONDS)
    finally:
        watch.observer.end()
    if is_whole:
        watch.clear()
    return is_whole


def _wait(result: PipelineResult, requests: _Requests, watch: _Watch, notify: Notify) -> bool:
    """Wait for a job to end, handing on the wish that it does; whether it was let come to it.

    Raises:
        EngineError: if the job failed, or its engine is gone.
    """
    is_asked = False
    drained_at: float | None = None
    while not PipelineState.is_terminal(_state(result)):
        requests.wait(_LOOK_SECONDS)
        watch.look()
        watch.observer.look(result)
        if requests.count and not is_asked:
            notify("ending: what is under way is committed first; once more ends it at once")
            is_asked = True
        if is_asked:
            watch.ask_to_end()
        if is_asked and drained_at is None and watch.is_drained():
            drained_at = time.monotonic()
        # With checkpoints Flink keeps a job although it has come to its end.
        is_idle = drained_at is not None and time.monotonic() > drained_at + _END_SECONDS
        if requests.count > 1 or is_idle:
            _cancel(result)
            return is_idle
    watch.observer.look(result, is_last=True)
    if drained_at is None and _state(result) != PipelineState.DONE:
        finish_job(result)
    return True


def _cancel(result: PipelineResult) -> None:
    with suppress(grpc.RpcError, ValueError):  # the engine is gone already
        result.cancel()


def _state(result: PipelineResult) -> str:
    """What the engine says of the job.

    Raises:
        EngineError: if the engine says nothing any more.
    """
    try:
        return str(result.state)
    except (grpc.RpcError, ValueError) as error:  # it is gone, or its channel is closed
        raise EngineError(GONE) from error


class _Requests:
    """How often this process was asked to end."""

    def __init__(self) -> None:
        self.count = 0
        self._heard = threading.Event()
        self._heard_at = float("-inf")
        self._is_starting = False

    def __enter__(self) -> _Requests:
        self._before = self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            if self.count < 2:
                signal.signal(number, handler)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While a job is started, which may take long: the second request cuts it short.

        Raises:
            KeyboardInterrupt: at the second request.
        """
        self._is_starting = True
        try:
            yield
        finally:
            self._is_starting = False
        self._listen()  # a runner of the user's own may have listened instead

    def wait(self, seconds: float) -> None:
        """Wait, or until asked to end."""
        self._heard.wait(seconds)
        self._heard.clear()

    def let_go(self) -> None:
        """Should the end take too long: a further request ends the process, and says nothing."""
        if self.count > 1:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    def _listen(self) -> list[Any]:
        return [signal.signal(number, self._handle) for number in _SIGNALS]

    def _handle(self, _signal: int, _frame: object) -> None:
        now = time.monotonic()
        is_same, self._heard_at = now - self._heard_at < _SAME_SECONDS, now
        if is_same:
            return
        self.count += 1
        self._heard.set()
        if self._is_starting and self.count == 2:
            raise KeyboardInterrupt
