"""Polling feeds and fetching their pages without end: what one worker does for a lane of hosts.

Subscriptions, and what the dataset remembers of them → ``Reading``s: what each answer came to, in
the order in which the answers came. Feeds are asked when they are due, links are followed as their
hosts allow, both by the rules of a run (``listing``, ``polling``, ``fetching``); nobody waits for a
slow host but its own requests. Unbounded; memory is bounded by what waits to be taken.

The truth is the dataset's. A session begins with what that remembers, and all that a session has
found out and the dataset does not have yet is found out anew by the next one. Only for what it gave
away and what is not committed yet, ``taken``, it must be told, so that nothing is given twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, Protocol

from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    DueFeed,
    Failure,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    PolledFeed,
    Subscription,
)
from transforms.addresses import authority_of, may_share_secrets
from transforms.asking import ask_feed, jitter_of
from transforms.following import FetchPlan, ReadContent, ask_for_page, fetched_from
from transforms.http_caching import MAX_RETRY_AFTER_SECONDS
from transforms.http_client import HttpClient, HttpSettings
from transforms.listing import digest_poll, is_due, is_to_be_tried, with_outcomes
from transforms.seen_pages import is_known

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
_RECORD_BYTES = 1_024
_BEGINNING = Timestamp(0)

Clock = Callable[[], Timestamp]
Job = Callable[[], Awaitable[None]]


class Recall(Protocol):
    """What the dataset remembers, as of its newest commit that ``refresh`` has seen."""

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
    idle_seconds: float = IDLE_SECONDS


class Reading(NamedTuple):
    """What one answer came to: of a feed, or of a page."""

    observed_at: Timestamp
    polled: PolledFeed | None = None
    fetched: FetchedLink | None = None
    pages: tuple[Page, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        content = sum(len(page.content) for page in self.pages)
        payload = sum(len(failure.payload) for failure in self.failures)
        links = len(self.polled.links) + len(self.polled.memory.pending) if self.polled else 0
        return content + payload + (1 + links) * _RECORD_BYTES

    def origins(self) -> Iterator[str]:
        """Of its pages and failures."""
        yield from (page.origin for page in self.pages)
        yield from (failure.origin for failure in self.failures)


class Taken:
    """Origins that were given away and are not committed yet, and when each was observed.

    Of an origin 8 bytes of a hash are kept. Two that share them cost one item a wait.
    """

    def __init__(self, moments: Mapping[int, int] | None = None) -> None:
        self._moments = dict(moments or {})

    def __contains__(self, origin: object) -> bool:
        return isinstance(origin, str) and _hash_of(origin) in self._moments

    def add(self, reading: Reading) -> None:
        """Take note of a reading's origins."""
        for origin in reading.origins():
            self._moments[_hash_of(origin)] = reading.observed_at.micros

    def drop_before(self, until: Timestamp) -> None:
        """Forget what is committed."""
        self._moments = {key: at for key, at in self._moments.items() if at >= until.micros}

    def moments(self) -> dict[int, int]:
        """By hash: microseconds since 1970."""
        return dict(self._moments)


def _hash_of(origin: str) -> int:
    digest = hashlib.sha256(origin.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


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
        self._is_ending = False
        self._committed_until = _BEGINNING
        self._recalling = asyncio.Lock()
        """Held from when the dataset is asked to when what it says is acted upon."""

    # ── for who takes ───────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def can_give(self, position: int) -> bool:
        """Whether a batch is the next one, or the one that was given last; none after an error."""
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
            if not self.can_give(position):
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
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._work = asyncio.ensure_future(self._session())
        self._is_running.set()
        await self._work

    async def _session(self) -> None:
        await self._look()
        self._memories = dict(await asyncio.to_thread(self._recall.memories))
        now = self._plan.clock()
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
                await self._look()

    def _memory(self, url: str) -> FeedMemory:
        return self._memories.get(url) or FeedMemory(url)

    async def _look(self) -> None:
        """What has been committed meanwhile, and whether this is to end."""
        async with self._recalling:
            self._is_ending = await asyncio.to_thread(self._recall.is_over)
            await asyncio.to_thread(self._recall.refresh)
            until = self._recall.committed_until()
            if until > self._committed_until:
                self._committed_until = until
                with self._lock:
                    self._given.drop_before(until)
                    self._given_away.drop_before(until)
        self._account()

    # ── feeds ───────────────────────────────────────────────────────────────────────────────────

    def _ask_due_feeds(self) -> None:
        now = self._plan.clock()
        while self._due and self._due[0][0] <= now:
            url = heapq.heappop(self._due)[1]
            self._put(self._memory(url).address or url, partial(self._poll, url), is_feed=True)

    async def _poll(self, url: str) -> None:
        due = DueFeed(self._subscriptions[url], self._memory(url))
        moment = self._plan.clock().to_utc_datetime(has_tz=True)
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
        now = self._plan.clock()
        while self._later and self._later[0][0] <= now:
            yield heapq.heappop(self._later)[2]

    async def _follow(self, links: Sequence[LinkedItem]) -> None:
        """Have the pages of links asked for that nobody has yet."""
        if not links:
            return
        async with self._recalling:
            seen = await asyncio.to_thread(self._recall.seen, {link.url for link in links})
            self._follow_unseen(links, seen)

    def _follow_unseen(self, links: Sequence[LinkedItem], seen: Mapping[str, int]) -> None:
        now = self._plan.clock()
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
        moment = self._plan.clock().to_utc_datetime(has_tz=True)
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
            await self._has_room.wait()
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
        self._now = max(self._now, self._plan.clock())
        return self._now

    @contextmanager
    def _observing(self) -> Iterator[Timestamp]:
        """The time now, later than any other observation's, for an account is kept by it.

        The watermark does not pass it before the block ends.
        """
        with self._lock:
            now = self._now = max(Timestamp(micros=self._now.micros + 1), self._plan.clock())
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

    def _account(self) -> None:
        is_idle = time.monotonic() > self._taken_at + self._plan.idle_seconds
        if self._waiting_bytes > self._plan.max_waiting_bytes or is_idle:
            self._has_room.clear()
        else:
            self._has_room.set()


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
