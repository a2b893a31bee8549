"""Reading live feeds without end: the head of a stream, in the place of ``ReadPages``.

A pipeline → ``Page``s, ``Failure``s and a count for each answer, as a batch's reader gives them;
and ``PolledFeed`` and ``FetchedLink``, of which the feeds' memory is made. Unbounded.

A splittable DoFn (https://s.apache.org/splittable-do-fn). Its one element stands for all feeds, and
its restriction for the batches of readings that a ``FeedSession`` gives, one after the other. What
a runner keeps safe is with which batch to go on, and what was given away by then and is not in the
dataset yet; all else the session knows from the dataset. So:

- A bundle that is tried again gives the same batch again.
- A worker that dies takes the session with it. The next one begins with what the dataset remembers:
  what was under way is asked for once more, and what was given away is not.

**Event time** is when newsbeam observed an item: when its answer had come. Copies are compared by
that time, and a feed's own dates would let one wrong clock hold up or outrun all others.
**Watermark**: the time now, or that of the oldest answer that is not given yet. So nothing is late,
however slow a host is: whoever has not answered has not been observed.

One worker asks all feeds, many hosts at a time: it mostly waits. Extraction comes after a shuffle,
on all workers. Enrichment is a step of the commits, which one worker makes, one after the other; a
reader that is ahead of them waits (``feed_session``).
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.coders import Coder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from schemas.records import Failure, FetchedLink, Page, PolledFeed, Subscription
from transforms.accounts import GIVES_UNIT
from transforms.feed_session import FeedSession, Recall, SessionPlan
from transforms.given_away import Reading
from transforms.measures import NAMESPACE

BATCH_SECONDS = 1.0
"""How long a first reading is waited for before an empty batch is given."""
_PAUSE_SECONDS = 0.1
"""Between two batches: without any, Flink would not come to anything else."""
_ABANDONED_SECONDS = 120.0
"""A session that nobody has taken from for so long belongs to a worker that is gone."""


# ── the restriction ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Position:
    """With which batch to go on."""

    number: int
    taken: tuple[tuple[int, int], ...] = ()
    """What was given away before and is not committed: hashes of origins, and when each was
    observed (``given_away.Taken``). At most about ``feed_session.MAX_UNCOMMITTED_PAGES``."""
    is_end: bool = False
    watermark_micros: int = 0
    """Of the batches before: nothing that follows was observed earlier."""


class PositionTracker(RestrictionTracker):
    """From one position to the end of the stream; one batch is claimed at a time."""

    def __init__(self, start: Position) -> None:
        self._start = start
        self._next: Position | None = None
        """After the batch that is claimed."""
        self._is_done = start.is_end

    def current_restriction(self) -> Position:
        """Where it begins."""
        return self._start

    def try_claim(self, following: Position) -> bool:
        """Claim the batch at the current position; ``following`` is where the next one begins."""
        if self._is_done:
            return False
        self._next = following
        self._is_done = following.is_end
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Position, Position] | None:
        """What follows the batch that is claimed goes on when this bundle has ended.

        That is what a fraction of 0 says, a checkpoint. For any other a runner would go on at once,
        beside this bundle: Prism then lets the watermark pass what this one has not handed over
        yet, and the session would take this batch for safe. Nor can anything be split before a
        batch is claimed: with which one to go on is not known yet.
        """
        if fraction_of_remainder > 0 or self._is_done or self._next is None:
            return None
        rest = self._next
        self._is_done = True
        self._start = Position(self._start.number, is_end=True)
        return self._start, rest

    def check_done(self) -> bool:
        """Raises: ValueError, if a batch is neither claimed nor left to somebody else."""
        if not self._is_done:
            raise ValueError(f"batches from {self._start.number} on are neither claimed nor left")
        return True

    def current_progress(self) -> RestrictionProgress:
        """None or all."""
        return RestrictionProgress(fraction=1.0 if self._is_done else 0.0)

    def is_bounded(self) -> bool:
        """It has no end."""
        return False


class _PositionCoder(Coder):
    def encode(self, value: Position) -> bytes:
        return pickle.dumps((value.number, value.taken, value.is_end, value.watermark_micros))

    def decode(self, encoded: bytes) -> Position:
        return Position(*pickle.loads(encoded))

    def is_deterministic(self) -> bool:
        return True


class _Positions(RestrictionProvider):
    def initial_restriction(self, _: Any) -> Position:
        return Position(0)

    def create_tracker(self, restriction: Position) -> PositionTracker:
        return PositionTracker(restriction)

    def restriction_size(self, _: Any, restriction: Position) -> float:
        return 0.0 if restriction.is_end else 1.0

    def restriction_coder(self) -> Coder:
        return _PositionCoder()

    def split(self, _: Any, restriction: Position) -> Iterator[Position]:
        yield restriction

    def truncate(self, _: Any, restriction: Position) -> Position | None:
        """Drained by the runner: what has not been given is left to the next stream."""
        del restriction
        return None


# ── the sessions of a worker ────────────────────────────────────────────────────────────────────


@dataclass
class _Kept:
    session: FeedSession
    taken_at: float


class _Sessions:
    """The sessions of this process, by stream: bundles come and go, a session stays."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        """In seconds; it never goes back."""
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def get(self, name: str) -> FeedSession | None:
        with self._lock:
            now = self._clock()
            self._close_others(name, now)
            kept = self._kept.get(name)
            if kept is None:
                return None
            kept.taken_at = now
            return kept.session

    def put(self, name: str, session: FeedSession) -> None:
        with self._lock:
            before = self._kept.pop(name, None)
            self._kept[name] = _Kept(session, self._clock())
        if before is not None:
            before.session.close()

    def _close_others(self, name: str, now: float) -> None:
        """The last one of a process ends by itself (``feed_session.ABANDONED_SECONDS``)."""
        for other in [it for it, kept in self._kept.items() if it != name]:
            if now > self._kept[other].taken_at + _ABANDONED_SECONDS:
                self._kept.pop(other).session.close()


_SESSIONS = _Sessions()


# ── the transform ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class SourcePlan:
    """What is read, and how."""

    stream_id: str
    subscriptions: Sequence[Subscription] = field(repr=False)
    session: SessionPlan
    make_recall: Callable[[], Recall]
    """Opens the dataset where the worker is."""


class ReadFeedsOutput(NamedTuple):
    """What ``ReadFeeds`` gives."""

    pages: PCollection[Page]
    failures: PCollection[Failure]
    sources_read: PCollection[tuple[str, str, int]]
    """``("source", key, number of pages and failures that came of it)``, one for each answer."""
    polled: PCollection[PolledFeed]
    fetched: PCollection[FetchedLink]


def key_of(reading: Reading) -> str:
    """What the account calls an answer: the feed or link, and when it was asked."""
    moment = reading.observed_at.micros
    if reading.polled is not None:
        return f"{reading.polled.memory.url}@{moment}"
    if reading.fetched is not None:
        return f"{reading.fetched.link.origin}@{moment}"
    raise ValueError("a reading of nothing")


def units_of(reading: Reading) -> int:
    """How many pages and failures an answer says that came of it."""
    if reading.polled is not None:
        return reading.polled.listed - len(reading.polled.links)
    return int(reading.fetched is not None and reading.fetched.outcome in GIVES_UNIT)


_POSITIONS = beam.DoFn.RestrictionParam(_Positions())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())
_FEEDS_POLLED = Metrics.counter(NAMESPACE, "feeds_polled")
_FEEDS_FAILED = Metrics.counter(NAMESPACE, "feeds_failed")
_LINKS_FOLLOWED = Metrics.counter(NAMESPACE, "links_followed")
_PAGES_FETCHED = Metrics.counter(NAMESPACE, "pages_fetched")


class _ReadFeeds(beam.DoFn):
    FAILURE = "failure"
    READ = "read"
    POLLED = "polled"
    FETCHED = "fetched"

    def __init__(self, plan: SourcePlan) -> None:
        self._plan = plan

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        _: bytes,
        tracker: Any = _POSITIONS,
        watermark: Any = _WATERMARK,
    ) -> Iterator[TimestampedValue | pvalue.TaggedOutput]:
        at = tracker.current_restriction()
        batch = self._session(at).take(at.number, BATCH_SECONDS)
        following = Position(
            at.number + 1, tuple(batch.taken.items()), batch.is_last, batch.watermark.micros
        )
        if not tracker.try_claim(following):
            return
        for reading in batch.readings:
            for tag, value in self._parts(reading):
                stamped = TimestampedValue(value, reading.observed_at)
                yield stamped if tag is None else pvalue.TaggedOutput(tag, stamped)
        before = watermark.current_watermark()
        if before is None or before < batch.watermark:
            watermark.set_watermark(batch.watermark)
        if not batch.is_last:
            tracker.defer_remainder(Duration(seconds=_PAUSE_SECONDS))

    def _session(self, at: Position) -> FeedSession:
        """The session that can give this batch: the one there is, or a new one."""
        name = self._plan.stream_id
        session = _SESSIONS.get(name)
        if session is not None and session.can_give(at.number):
            return session
        session = FeedSession(
            self._plan.subscriptions,
            self._plan.session,
            self._plan.make_recall(),
            dict(at.taken),
            at.number,
            since=Timestamp(micros=at.watermark_micros),
        )
        _SESSIONS.put(name, session)
        session.start()
        return session

    def _parts(self, reading: Reading) -> Iterator[tuple[str | None, Any]]:
        yield self.READ, ("source", key_of(reading), units_of(reading))
        if reading.polled is not None:
            _FEEDS_POLLED.inc()
            _FEEDS_FAILED.inc(int(bool(reading.polled.memory.reason)))
            yield self.POLLED, reading.polled
        if reading.fetched is not None:
            _LINKS_FOLLOWED.inc()
            _PAGES_FETCHED.inc(len(reading.pages))
            yield self.FETCHED, reading.fetched
        for page in reading.pages:
            yield None, page
        for failure in reading.failures:
            yield self.FAILURE, failure


@dataclass
class ReadFeeds(beam.PTransform):
    """A pipeline → what its feeds give, from now on until the stream is asked to end."""

    plan: SourcePlan

    def expand(self, pipeline: PBegin) -> ReadFeedsOutput:
        """One element, and a splittable DoFn that never comes to its end by itself."""
        parted = (
            pipeline
            | beam.Impulse()
            | beam.ParDo(_ReadFeeds(self.plan))
            .with_output_types(
                Page,
                failure=Failure,
                read=tuple[str, str, int],
                polled=PolledFeed,
                fetched=FetchedLink,
            )
            .with_outputs(
                _ReadFeeds.FAILURE,
                _ReadFeeds.READ,
                _ReadFeeds.POLLED,
                _ReadFeeds.FETCHED,
                main="pages",
            )
        )
        return ReadFeedsOutput(
            parted.pages,
            parted[_ReadFeeds.FAILURE],
            parted[_ReadFeeds.READ],
            parted[_ReadFeeds.POLLED],
            parted[_ReadFeeds.FETCHED],
        )
