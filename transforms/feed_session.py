"""Polling feeds and fetching their pages without end: what one worker does for a lane of hosts.

Subscriptions, and what the dataset remembers of them → ``Reading``s: what each answer came to, in
the order in which the answers came. Feeds are asked when they are due, links are followed as their
hosts allow, both by the rules of a run (``listing``, ``polling``, ``fetching``); nobody waits for a
slow host but its own requests. Unbounded; memory is bounded by what waits to be taken.

No further request begins while too much waits to be taken, or too much was given away that no
commit has yet; while the dataset is out of reach; or while nobody takes anything. What is due
meanwhile is asked for afterwards, at most as fast as hosts allow. The watermark goes on, for who
has not answered has not been observed: so windows close, and their commits make room again.

The truth is the dataset's. A session begins with what that remembers, and all that a session has
found out and the dataset does not have yet is found out anew by the next one. Only for what it gave
away and what is not committed yet, ``taken``, it must be told, so that nothing is given twice.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    DueFeed,
    Failure,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    Subscription,
)
from transforms.addresses import authority_of, may_share_secrets
from transforms.asking import ask_feed, jitter_of
from transforms.following import FetchPlan, ReadContent, ask_for_page, fetched_from
from transforms.given_away import PAGE_BYTES, Reading, Taken, Uncommitted
from transforms.http_caching import MAX_RETRY_AFTER_SECONDS
from transforms.http_client import HttpClient, HttpSettings
from transforms.listing import digest_poll, is_due, is_to_be_tried, with_outcomes
from transforms.seen_pages import is_known
from transforms.steady_clock import Clock, SteadyClock

MAX_WAITING_BYTES = 64 << 20
"""Of readings that wait to be taken, before no further request begins."""
MAX_TAKEN_BYTES = 8 << 20
"""Of readings that are given at a time, or one."""
PUT_OFF_SECONDS = 60
"""After which a feed or link is tried again whose host is not to be asked now."""
LOOK_SECONDS = 1.0
"""How often the dataset is asked whether it has a new commit."""
IDLE_SECONDS = 120.0
"""Since when nobody has taken a batch, before no further request begins: as on a worker whose part
another has taken over."""
ABANDONED_SECONDS = 900.0
"""Since when nobody has taken a batch, before a session ends by itself; the next begins anew."""
MAX_UNCOMMITTED_BYTES = 256 << 20
"""Of what was given away, or is being asked for, and is in no commit yet, before no further request
begins."""
MAX_UNCOMMITTED_PAGES = 10_000
"""The same as a number of pages: each bundle writes down which they are, at 21 bytes a page."""
TRICKLE_SECONDS = 60.0
"""One request begins so long after the last, however much is uncommitted. So a stream whose commits
come with what is read cannot wait for ever, whatever it has been told wrongly."""
REACH_SECONDS = 3_600.0
"""How long the dataset may be out of reach before the session gives up."""
_MAX_PAUSE_SECONDS = 30.0
_BEGINNING = Timestamp(0)

Job = Callable[[], Awaitable[None]]
T = TypeVar("T")


class OutOfReachError(RuntimeError):
    """The dataset cannot be read now, but may be later; the message says what and why."""


class Recall(Protocol):
    """What the dataset remembers, as of its newest commit that ``refresh`` has seen.

    All but ``committed_until`` raise ``OutOfReachError`` if the dataset cannot be read now, but may
    be later. Whatever else they raise ends the session.
    """

    def refresh(self) -> bool:
        """Look for newer commits; whether there are any."""
        ...

    def memories(self) -> Mapping[str, FeedMemory]:
        """Of feeds, by URL."""
        ...

    def committed_until(self) -> Timestamp:
        """Until when all that this stream has observed is in the dataset."""
        ...

    def seen(self, urls: Iterable[str]) -> Mapping[str, int]:
        """Of pages that the dataset has: when each was last seen, microseconds since 1970."""
        ...

    def is_over(self) -> bool:
        """Whether somebody has asked the stream to end."""
        ...


@dataclass(frozen=True)
class SessionPlan:
    """What a session needs to know beside what the dataset remembers."""

    settings: HttpSettings
    read_content: ReadContent
    clock: Clock
    polls_all: bool = False
    look_seconds: float = LOOK_SECONDS
    max_waiting_bytes: int = MAX_WAITING_BYTES
    max_uncommitted_bytes: int = MAX_UNCOMMITTED_BYTES
    max_uncommitted_pages: int = MAX_UNCOMMITTED_PAGES
    idle_seconds: float = IDLE_SECONDS
    abandoned_seconds: float = ABANDONED_SECONDS
    trickle_seconds: float = TRICKLE_SECONDS
    reach_seconds: float = REACH_SECONDS


class SessionClosedError(RuntimeError):
    """A batch is waited for of a session that was closed: another has taken its place."""


class Batch(NamedTuple):
    """What is given at a time."""

    readings: Sequence[Reading]
    watermark: Timestamp
    """No reading to come was observed before."""
    taken: Mapping[int, int]
    """As ``Taken.moments`` has it, with this batch."""
    is_last: bool


@dataclass
class _Host:
    """What waits for a host; feeds go before pages."""

    feeds: deque[Job] = field(default_factory=deque)
    pages: deque[Job] = field(default_factory=deque)
    active: int = 0
    """How many of them are under way."""

    def next(self) -> Job | None:
        """The job whose turn it is."""
        for jobs in (self.feeds, self.pages):
            if jobs:
                return jobs.popleft()
        return None


class FeedSession:
    """Polls and fetches in a thread of its own, from ``start`` to ``close``.

    Args:
        subscriptions: the feeds.
        plan: how to ask.
        recall: what the dataset remembers; used by one thread at a time.
        taken: what was given away before, as ``Taken.moments`` has it.
        position: number of the batch that is asked for first.
        since: the watermark up to there; nothing is observed before, whatever the clock says.
    """

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        plan: SessionPlan,
        recall: Recall,
        taken: Mapping[int, int],
        position: int,
        *,
        since: Timestamp = _BEGINNING,
    ) -> None:
        self._subscriptions = {one.url: one for one in subscriptions}
        self._plan = plan
        self._clock = SteadyClock(plan.clock, since)
        self._recall = recall
        self._position = position
        self._batch: Batch | None = None
        self._thread = threading.Thread(target=self._run, name="newsbeam-feeds", daemon=True)
        self._is_running = threading.Event()
        self._taking = threading.Lock()
        """A runner may ask for a batch twice at once."""
        self._lock = threading.Condition()
        # Under the lock:
        self._now = since
        self._taken_at = time.monotonic()
        self._waiting: deque[Reading] = deque()
        self._waiting_bytes = 0
        self._open: dict[int, Timestamp] = {}
        """When answers were observed that are still being read."""
        self._given = Taken(taken)
        """With what waits to be taken."""
        self._given_away = Taken(taken)
        self._uncommitted = Uncommitted(taken)
        self._is_abandoned = False
        self._error: BaseException | None = None
        self._has_ended = False
        self._has_raised = False
        # Of the session's thread:
        self._memories: dict[str, FeedMemory] = {}
        self._due: list[tuple[Timestamp, str]] = []
        self._links: dict[str, list[LinkedItem]] = {}
        """Links that are under way, or wait for their host, by URL."""
        self._later: list[tuple[Timestamp, int, LinkedItem]] = []
        self._numbers = itertools.count()
        self._hosts: dict[str, _Host] = {}
        self._turns: deque[asyncio.Future[None]] = deque()
        """Of requests that wait until there is room for what they may give."""
        self._begun = 0
        """Requests that have begun and are not given yet."""
        self._begun_at = time.monotonic()
        self._is_ending = False
        self._is_out_of_reach = False
        self._committed_until = _BEGINNING
        self._recalling = asyncio.Lock()
        """Held from when the dataset is asked to when what it says is acted upon."""

    # ── for who takes ───────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def can_give(self, position: int) -> bool:
        """Whether a batch is the next one, or the one that was given last.

        None is after an error, nor when the session has ended because nobody took any.
        """
        with self._lock:
            self._taken_at = time.monotonic()
            return not self._is_abandoned and self._has(position)

    def _has(self, position: int) -> bool:
        is_last = self._batch is not None and position == self._position - 1
        return not self._has_raised and (position == self._position or is_last)

    def take(self, position: int, wait_seconds: float) -> Batch:
        """The batch of a position; the next one, or the one that was given last once more.

        Args:
            position: one more than the last, which counts as kept safe then.
            wait_seconds: how long to wait for a first reading; the batch may be empty.

        Raises:
            ValueError: for any other position (``can_give``).
            SessionClosedError: if it was closed.
        """
        with self._taking:
            if not self._has(position):
                raise ValueError(f"batch {position} is asked for, after {self._position - 1}")
            if self._batch is None or position == self._position:
                self._batch = self._next(wait_seconds)
                self._position += 1
            return self._batch

    def _next(self, wait_seconds: float) -> Batch:
        self._is_running.wait()
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._has_ended, timeout=wait_seconds)
            self._taken_at = time.monotonic()
            if self._error is not None:
                self._has_raised = True
                raise self._error
            readings = list(self._first_ones())
            for reading in readings:
                self._given_away.add(reading)
                self._uncommitted.add(reading)
            pending = [*self._open.values(), *(one.observed_at for one in self._waiting)]
            batch = Batch(
                readings,
                min(pending, default=self._tick()),
                self._given_away.moments(),
                is_last=self._has_ended and not self._waiting,
            )
        with suppress(RuntimeError):  # it has ended, and its loop is closed
            self._loop.call_soon_threadsafe(self._account)
        return batch

    def _first_ones(self) -> Iterator[Reading]:
        size_bytes = 0
        while self._waiting and size_bytes < MAX_TAKEN_BYTES:
            reading = self._waiting.popleft()
            size_bytes += reading.size_bytes
            self._waiting_bytes -= reading.size_bytes
            yield reading

    def close(self) -> None:
        """End at once; what is under way is cancelled."""
        self._is_running.wait()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join()

    # ── the session's thread ────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            error = SessionClosedError("the session was closed")
        except BaseException as raised:  # noqa: BLE001 - it is raised where batches are taken
            error = _first_of(raised)
        self._is_running.set()
        with self._lock:
            self._error = error
            self._has_ended = True
            self._lock.notify_all()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.ensure_future(self._session())
        self._is_running.set()
        await self._work

    async def _session(self) -> None:
        await self._look()
        self._memories = dict(await self._recalled(self._recall.memories))
        now = self._clock()
        for url in self._subscriptions:
            is_soon = is_due(self._memory(url), now, polls_all=self._plan.polls_all)
            heapq.heappush(self._due, (now if is_soon else self._memory(url).due_at or now, url))
        async with HttpClient(self._plan.settings) as client, asyncio.TaskGroup() as group:
            self._client, self._group = client, group
            known = [link for url in self._subscriptions for link in self._memory(url).pending]
            await self._follow(known)
            while not self._is_ending:
                self._ask_due_feeds()
                await self._follow(list(self._due_links()))
                await asyncio.sleep(self._plan.look_seconds)
                self._check_abandoned()
                await self._look()

    def _memory(self, url: str) -> FeedMemory:
        return self._memories.get(url) or FeedMemory(url)

    async def _look(self) -> None:
        """What has been committed meanwhile, and whether this is to end."""
        async with self._recalling:
            self._is_ending = await self._recalled(self._recall.is_over)
            await self._recalled(self._recall.refresh)
            until = self._recall.committed_until()
            if until > self._committed_until:
                self._committed_until = until
                with self._lock:
                    self._given.drop_before(until)
                    self._given_away.drop_before(until)
                    self._uncommitted.drop_before(until)
        self._account()

    async def _recalled(self, ask: Callable[[], T]) -> T:
        """What the dataset says; while it is out of reach, no further request begins.

        Raises:
            OutOfReachError: if it is so for ``reach_seconds``.
        """
        ends_at = time.monotonic() + self._plan.reach_seconds
        pause_seconds = self._plan.look_seconds
        while True:
            try:
                found = await asyncio.to_thread(ask)
            except OutOfReachError:
                if time.monotonic() > ends_at:
                    raise
                self._is_out_of_reach = True
                self._account()
            else:
                self._is_out_of_reach = False
                return found
            await asyncio.sleep(pause_seconds)
            self._check_abandoned()
            pause_seconds = min(2 * pause_seconds, _MAX_PAUSE_SECONDS)

    def _check_abandoned(self) -> None:
        """Raises: SessionClosedError, if nobody has taken a batch for very long."""
        seconds = self._plan.abandoned_seconds
        with self._lock:
            self._is_abandoned = time.monotonic() > self._taken_at + seconds
        if self._is_abandoned:
            raise SessionClosedError(f"nobody has taken a batch for {seconds:g} seconds")

    # ── feeds ───────────────────────────────────────────────────────────────────────────────────

    def _ask_due_feeds(self) -> None:
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            url = heapq.heappop(self._due)[1]
            self._put(self._memory(url).address or url, partial(self._poll, url), is_feed=True)

    async def _poll(self, url: str) -> None:
        due = DueFeed(self._subscriptions[url], self._memory(url))
        moment = self._clock().to_utc_datetime(has_tz=True)
        answer = await ask_feed(self._client, due, moment, self._plan.settings.max_body_bytes)
        with self._observing() as now:
            polled, pages, failures = digest_poll(
                # With what has become of its links meanwhile.
                replace(due, memory=self._memory(url)),
                answer,
                now,
                jitter_of(url, now),
                taken=self._given,
                feeds=self._subscriptions,
            )
            if polled.is_put_off:
                heapq.heappush(self._due, (now + PUT_OFF_SECONDS, url))
                return
            pending = (*polled.memory.pending, *polled.links)
            self._memories[url] = replace(polled.memory, pending=pending)
            due_at = polled.memory.due_at or now
            heapq.heappush(self._due, (max(due_at, now + self._plan.look_seconds), url))
            if failures and polled.memory.reason and url in self._given:
                # A commit has a failure of an origin once; that one will tell of this feed.
                polled, failures = replace(polled, listed=0), ()
            self._give(Reading(now, polled, None, pages, failures))
        await self._follow(polled.links)

    # ── links ───────────────────────────────────────────────────────────────────────────────────

    def _due_links(self) -> Iterator[LinkedItem]:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            yield heapq.heappop(self._later)[2]

    async def _follow(self, links: Sequence[LinkedItem]) -> None:
        """Have the pages of links asked for that nobody has yet."""
        if not links:
            return
        async with self._recalling:
            urls = {link.url for link in links}
            seen = await self._recalled(partial(self._recall.seen, urls))
            self._follow_unseen(links, seen)

    def _follow_unseen(self, links: Sequence[LinkedItem], seen: Mapping[str, int]) -> None:
        now = self._clock()
        for link in links:
            if _is_early(link, now):
                self._wait(link, link.retry_at or now)
            elif link.url in self._links:
                self._links[link.url].append(link)
            elif link.url in self._given:
                self._meet_again(link, now)
            elif link.url in self._subscriptions or is_known(link, seen.get(link.url)):
                self._settle(FetchedLink(link, "known"))
            else:
                self._links[link.url] = [link]
                self._put(link.url, partial(self._fetch, link.url), is_feed=False)

    def _meet_again(self, link: LinkedItem, now: Timestamp) -> None:
        """A link to a page that was given, and is not committed yet."""
        if link.is_update or link.attempts:
            self._wait(link, now + self._plan.look_seconds)
        else:
            self._settle(FetchedLink(link, "same-page"))

    def _wait(self, link: LinkedItem, until: Timestamp) -> None:
        heapq.heappush(self._later, (until, next(self._numbers), link))

    async def _fetch(self, url: str) -> None:
        # A link that comes with headers is let in where the others may not be.
        link = max(map(self._with_headers, self._links[url]), key=lambda one: bool(one.headers))
        moment = self._clock().to_utc_datetime(has_tz=True)
        asked = await ask_for_page(self._client, link, moment)
        with self._observing() as now:
            others: list[LinkedItem] = []
            plan = FetchPlan(self._plan.settings, now, self._plan.read_content)
            found = fetched_from(asked, others, plan)
            # Beside the event loop: a large page takes longer than other hosts may take.
            first = await asyncio.to_thread(next, found)
            # Only now, for another feed may have linked to the page meanwhile.
            others += (one for one in self._links.pop(url) if one.origin != link.origin)
            for fetched in (first, *found):
                again = fetched.outcome.link
                if is_to_be_tried(fetched.outcome):
                    self._wait(again, _next_try(fetched.outcome, now))
                if fetched.outcome.outcome != "deferred":
                    self._settle(fetched.outcome, now, fetched.unit)

    def _with_headers(self, link: LinkedItem) -> LinkedItem:
        subscription = self._subscriptions.get(link.feed_url)
        if subscription is None or not may_share_secrets(subscription.url, link.url):
            return link
        return replace(link, headers=subscription.headers)

    def _settle(
        self,
        outcome: FetchedLink,
        observed_at: Timestamp | None = None,
        unit: Page | Failure | None = None,
    ) -> None:
        url = outcome.link.feed_url
        self._memories[url] = with_outcomes(self._memory(url), [outcome])
        pages = (unit,) if isinstance(unit, Page) else ()
        failures = (unit,) if isinstance(unit, Failure) else ()
        with self._observing() as now:
            at = now if observed_at is None else observed_at
            self._give(Reading(at, None, outcome, pages, failures))

    # ── hosts ───────────────────────────────────────────────────────────────────────────────────

    def _put(self, url: str, job: Job, *, is_feed: bool) -> None:
        """Let a job wait for its host."""
        if self._is_ending:
            return
        name = authority_of(url)
        host = self._hosts.setdefault(name, _Host())
        (host.feeds if is_feed else host.pages).append(job)
        if host.active < self._plan.settings.requests_per_host:
            host.active += 1
            self._group.create_task(self._serve(name, host))

    async def _serve(self, name: str, host: _Host) -> None:
        while host.feeds or host.pages:
            async with self._room():
                # Asked to end, what waits goes to whoever comes next, by the feeds' memory.
                job = None if self._is_ending else host.next()
                if job is None:  # the host's other task took the last
                    break
                await job()
        host.active -= 1
        if not host.active:
            self._hosts.pop(name, None)

    # ── what is given ───────────────────────────────────────────────────────────────────────────

    def _tick(self) -> Timestamp:
        """The time now, which never goes back; under the lock."""
        self._now = max(self._now, self._clock())
        return self._now

    @contextmanager
    def _observing(self) -> Iterator[Timestamp]:
        """The time now, later than any other observation's, for an account is kept by it.

        The watermark does not pass it before the block ends.
        """
        with self._lock:
            now = self._now = max(Timestamp(micros=self._now.micros + 1), self._clock())
            number = next(self._numbers)
            self._open[number] = now
        try:
            yield now
        finally:
            with self._lock:
                del self._open[number]

    def _give(self, reading: Reading) -> None:
        with self._lock:
            self._waiting.append(reading)
            self._waiting_bytes += reading.size_bytes
            self._given.add(reading)
            self._lock.notify_all()
        self._account()

    # ── room for a further request ──────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        """Wait until a request may begin, first come, first served, and have it counted."""
        turn = self._loop.create_future()
        self._turns.append(turn)
        self._account()
        await turn
        try:
            yield
        finally:
            self._begun -= 1
            self._account()

    def _account(self) -> None:
        """Let as many requests begin as there is room for."""
        while self._turns and self._has_room():
            turn = self._turns.popleft()
            if not turn.done():  # as one is whose task was cancelled
                self._begun += 1
                self._begun_at = time.monotonic()
                turn.set_result(None)

    def _has_room(self) -> bool:
        if self._is_ending:  # who waits is to hear of it
            return True
        plan, now = self._plan, time.monotonic()
        if self._is_out_of_reach or now > self._taken_at + plan.idle_seconds:
            return False
        with self._lock:
            if self._waiting_bytes > plan.max_waiting_bytes:
                return False
            # What is being asked for is of a size that nobody knows.
            begun_bytes = self._begun * PAGE_BYTES
            size_bytes = self._uncommitted.size_bytes + self._waiting_bytes + begun_bytes
            pages = self._uncommitted.pages + len(self._waiting) + self._begun
        is_full = size_bytes > plan.max_uncommitted_bytes or pages > plan.max_uncommitted_pages
        return not is_full or now >= self._begun_at + plan.trickle_seconds


def _is_early(link: LinkedItem, now: Timestamp) -> bool:
    """Whether a link is to wait; not where a clock must have been ahead that says so."""
    return link.retry_at is not None and now < link.retry_at <= now + MAX_RETRY_AFTER_SECONDS


def _next_try(fetched: FetchedLink, now: Timestamp) -> Timestamp:
    """When a link is followed again; one that was put off has the time of its last failure."""
    again = fetched.link.retry_at or now
    return max(again, now + PUT_OFF_SECONDS) if fetched.outcome == "deferred" else again


def _first_of(error: BaseException) -> BaseException:
    """The error itself, or the first of a task group's."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
