"""``newsbeam stream``: feeds in, commits out, until asked to end.

The launching process holds the dataset's lease, submits the graph to an engine, tells of each
commit, and hands on the wish to end. All else happens in the graph (``ingest.build_stream``), on
the engine's workers, so that it goes on where a worker dies.

Asked to end (SIGTERM, SIGINT), it writes a file that the reader looks for. No further request
begins then; what is under way comes to its end, the reader's watermark goes to the end of time, all
windows close and are committed, and the engine says that the job is done. Asked again, the job is
cancelled at once, which is as safe as any kill: what is not committed yet is asked for again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.utils.timestamp import Timestamp

from pipelines.committing import CommitPlan, CommitWindows
from pipelines.config import IngestConfig, UsageError
from pipelines.dataset import STAGING, Commit, Dataset
from pipelines.engine import EngineError, make_pipeline, start_job
from pipelines.ingest import RunPlan, build_stream
from pipelines.lock import current_lease
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
from transforms.feed_session import SessionPlan
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
_LEAVE_HOST_SECONDS = 300.0
_ROBOTS_SECONDS = 86_400.0
_LOOK_SECONDS = 0.5
_END_SECONDS = 10.0
"""How long a job is waited for that has nothing left to do."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
        """Options for Beam, with the engine that is used where none is named."""
        options = [*([DEFAULT_RUNNER] if self.ingest.is_local else []), *self.ingest.beam_options]
        is_prism = any(option.startswith("--runner=Prism") for option in options)
        return [*([_WHOLE_BUNDLES] if is_prism else []), *options]

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
    with (
        noticing_refusals(dataset.store),
        dataset.writing("newsbeam stream", **waiting),
        _Requests() as requests,
    ):
        began = time.monotonic()
        head = dataset.checked_snapshot().head
        if not config.restores:
            _sweep(dataset)
        stream_id = new_run_id(clock())
        options = PipelineOptions(config.beam_options)
        options.view_as(StandardOptions).streaming = True
        pipeline = make_pipeline(options)
        build(pipeline, config, dataset, stream_id, clock)
        observer = observer or StreamObserver()
        try:
            result = start_job(pipeline)
        except EngineError as error:
            raise RunFailedError(str(error)) from error
        requests.listen()
        engine = str(options.view_as(StandardOptions).runner)
        observer.begin(stream_id, engine, len(config.ingest.subscriptions))
        notify(f"stream {stream_id} has begun")

        def told(commit: Commit) -> None:
            observer.tell(commit)
            tell(commit)

        watch = _Watch(dataset, stream_id, head, told)

        def ask_to_end() -> None:
            notify("ending: what is under way is committed first; once more ends it at once")
            dataset.store.write(stop_path(stream_id), b"")

        try:
            is_whole = _wait(result, ask_to_end, requests, watch, observer)
        finally:
            observer.end()
        if is_whole:
            dataset.store.delete_folder(stream_folder(stream_id))
        return StreamReport(
            stream_id, time.monotonic() - began, watch.commits, watch.rows, is_whole
        )


def build(
    pipeline: beam.Pipeline, config: StreamConfig, dataset: Dataset, stream_id: str, clock: Clock
) -> None:
    """The graph of a stream over a dataset, whose lease the caller holds."""
    ingest, store = config.ingest, dataset.store
    limits = ReadLimits(max_input_bytes=ingest.max_input_bytes)
    source = SourcePlan(
        stream_id,
        [config.with_interval(one) for one in ingest.subscriptions],
        SessionPlan(
            streaming_settings(ingest.http),
            partial(_read_page, limits=limits),
            clock_now,
            ingest.polls_all,
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


class _Watch:
    """Follows the dataset's commits."""

    def __init__(self, dataset: Dataset, stream_id: str, head: int, tell: Tell) -> None:
        self.commits = 0
        self.rows = {"articles": 0, "duplicates": 0, "failures": 0}
        self._dataset = dataset
        self._stream_id = stream_id
        self._head = head
        self._tell = tell

    def is_drained(self) -> bool:
        """Whether all that the stream has read is committed."""
        return self._dataset.store.exists(drained_path(self._stream_id))

    def look(self) -> None:
        """Tell of the commits that have come."""
        while (commit := self._dataset.commit(self._head + 1)) is not None:
            self._head = commit.number
            if "stream" not in commit.details:
                continue
            self.commits += 1
            for file in commit.files:
                self.rows[file.table] += file.rows
            self._tell(commit)


def _wait(
    result: PipelineResult,
    ask_to_end: Callable[[], None],
    requests: _Requests,
    watch: _Watch,
    observer: StreamObserver,
) -> bool:
    """Wait for the job to end, handing on the wish that it does; whether it was let come to it."""
    drained_at: float | None = None
    is_told = False
    while not PipelineState.is_terminal(_state(result)):
        requests.heard.wait(_LOOK_SECONDS)
        watch.look()
        observer.look(result)
        if requests.count and not is_told:
            ask_to_end()
            is_told = True
            requests.heard.clear()
        if is_told and drained_at is None and watch.is_drained():
            drained_at = time.monotonic()
        # With checkpoints Flink keeps a job although it has come to its end.
        is_idle = drained_at is not None and time.monotonic() > drained_at + _END_SECONDS
        if requests.count > 1 or is_idle:
            with suppress(grpc.RpcError, ValueError):  # the engine is gone already
                result.cancel()
            watch.look()
            return is_idle
    watch.look()
    observer.look(result, is_last=True)
    if drained_at is None and _state(result) != PipelineState.DONE:
        raise RunFailedError(_reason(result))
    return True


def _state(result: PipelineResult) -> str:
    """What the engine says of the job.

    Raises:
        RunFailedError: if the engine says nothing any more.
    """
    try:
        return str(result.state)
    except (grpc.RpcError, ValueError) as error:  # it is gone, or its channel is closed
        raise RunFailedError(
            "the engine is gone; what was committed stays, and a new stream goes on from there"
        ) from error


def _reason(result: PipelineResult) -> str:
    """Why a job has failed, as far as the engine tells."""
    try:
        result.wait_until_finish()
    except (RuntimeError, grpc.RpcError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"the engine's job has failed: {lines[-1] if lines else error}"
    return f"the engine's job has ended as {result.state}"


class _Requests:
    """How often this process was asked to end."""

    def __init__(self) -> None:
        self.count = 0
        self.heard = threading.Event()

    def __enter__(self) -> _Requests:
        self._before = self.listen()
        return self

    def listen(self) -> list[Any]:
        """Hear the signals, instead of whoever does; Beam's job servers end at SIGINT."""
        return [signal.signal(number, self._handle) for number in _SIGNALS]

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def _handle(self, _signal: int, _frame: object) -> None:
        self.count += 1
        self.heard.set()
