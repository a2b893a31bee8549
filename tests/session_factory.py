"""A session of a stream in a test: a dataset's memory that a test writes, a clock that it sets."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from apache_beam.utils.timestamp import Timestamp
from web_server import WAIT_SECONDS

from pipelines.committing import remember
from schemas.records import Balance, Failure, FeedMemory, LedgerEntry, Page, Subscription
from transforms import accounts
from transforms.feed_session import Batch, FeedSession, OutOfReachError, SessionPlan
from transforms.feed_source import key_of, units_of
from transforms.given_away import Reading
from transforms.http_client import HttpSettings
from transforms.ledger import balance_entries
from transforms.reading import ReadLimits, read_content

NOON = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")
SETTINGS = HttpSettings(allow_private_hosts=True)
ONE_AT_A_TIME = HttpSettings(allow_private_hosts=True, requests_per_host=1)


class Clock:
    """The time from ``NOON`` on, which passes by a step whenever it is asked for."""

    def __init__(self, step_seconds: float = 0.1, wobble_seconds: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._now = NOON
        self._step_seconds = step_seconds
        self._wobble_seconds = wobble_seconds
        self._chance = random.Random(7)

    def __call__(self) -> Timestamp:
        with self._lock:
            self._now += self._step_seconds
            wobble = self._chance.uniform(-self._wobble_seconds, self._wobble_seconds)
            return self._now + round(wobble, 3)

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds


class Remembered:
    """What a dataset remembers, as ``Recall`` tells it; ``commit`` is what a stream would do."""

    def __init__(self, memories: Mapping[str, FeedMemory] | None = None) -> None:
        self._changed = threading.Condition()
        self._memories = dict(memories or {})
        self._until = Timestamp(0)
        self._pages: dict[str, int] = {}
        self._is_new = True
        self._is_over = self._is_told = self._has_told = False
        self._is_out_of_reach = False
        self._looks = 0

    def commit(self, readings: Iterable[Reading], until: Timestamp) -> None:
        """Put readings into the dataset, all that were observed until then."""
        given = list(readings)
        with self._changed:
            polled = [one.polled for one in given if one.polled is not None]
            fetched = [one.fetched for one in given if one.fetched is not None]
            self._memories = remember(self._memories, polled, fetched)
            for page in pages_of(given):
                self._pages[page.origin] = page.observed_at.micros
            self._until = until
            self._is_new = True

    def know(self, url: str, seen_at: Timestamp = NOON) -> None:
        """Have a page."""
        with self._changed:
            self._pages[url] = seen_at.micros

    def end(self) -> None:
        """Ask the stream to end, and wait until the session has heard of it."""
        with self._changed:
            self._is_over = True
            assert self._changed.wait_for(lambda: self._has_told, WAIT_SECONDS)

    def is_away(self, is_out_of_reach: bool = True) -> None:
        """Be out of reach, or in reach again."""
        with self._changed:
            self._is_out_of_reach = is_out_of_reach

    def _look(self) -> None:
        self._looks += 1
        self._changed.notify_all()
        if self._is_out_of_reach:
            raise OutOfReachError("the store is away")

    def wait_for_looks(self, count: int) -> None:
        """Wait until the session has looked for commits so many times more, or has tried to."""
        with self._changed:
            enough = self._looks + count
            assert self._changed.wait_for(lambda: self._looks >= enough, WAIT_SECONDS)

    def refresh(self) -> bool:
        with self._changed:
            self._has_told = self._is_told  # who looks on has taken note of it
            self._look()
            is_new, self._is_new = self._is_new, False
            return is_new

    def memories(self) -> Mapping[str, FeedMemory]:
        with self._changed:
            return dict(self._memories)

    def committed_until(self) -> Timestamp:
        with self._changed:
            return self._until

    def seen(self, urls: Iterable[str]) -> Mapping[str, int]:
        with self._changed:
            self._look()
            return {url: self._pages[url] for url in urls if url in self._pages}

    def is_over(self) -> bool:
        with self._changed:
            self._look()
            self._is_told = self._is_over
            return self._is_over


class Taker:
    """Takes the batches of a session, one after the other."""

    def __init__(self, session: FeedSession, position: int = 0) -> None:
        self.session = session
        self.position = position
        self.readings: list[Reading] = []
        self.batches: list[Batch] = []

    def take(self, wait_seconds: float = 0.05) -> Batch:
        """The next batch."""
        batch = self.session.take(self.position, wait_seconds)
        self.position += 1
        self.batches.append(batch)
        self.readings += batch.readings
        return batch

    def until(self, is_enough: Callable[[Taker], bool]) -> Taker:
        """Take until that is true of what was taken."""
        for _ in range(round(WAIT_SECONDS / 0.05)):
            if is_enough(self):
                return self
            self.take()
        told = f"{len(self.polls)} polls, {len(self.pages)} pages, {self.outcomes}"
        raise TimeoutError(f"not enough after {WAIT_SECONDS:g} s: {told}")

    def to_end(self) -> Taker:
        """Take until the last batch."""
        return self.until(lambda taken: bool(taken.batches and taken.batches[-1].is_last))

    @property
    def pages(self) -> list[Page]:
        return pages_of(self.readings)

    @property
    def failures(self) -> list[Failure]:
        return [failure for reading in self.readings for failure in reading.failures]

    @property
    def polls(self) -> list[str]:
        """The feeds that were polled."""
        return [one.polled.memory.url for one in self.readings if one.polled is not None]

    @property
    def outcomes(self) -> dict[str, str]:
        """What became of links last, by their origin."""
        fetched = [one.fetched for one in self.readings if one.fetched is not None]
        return {one.link.origin: one.outcome for one in fetched}

    def commit_to(self, recall: Remembered) -> None:
        """Commit all that was taken."""
        recall.commit(self.readings, self.batches[-1].watermark)


@contextmanager
def session_of(
    *feeds: str | Subscription,
    recall: Remembered | None = None,
    taken: Mapping[int, int] | None = None,
    position: int = 0,
    settings: HttpSettings = SETTINGS,
    clock: Callable[[], Timestamp] | None = None,
    since: Timestamp = Timestamp(0),  # noqa: B008 - it never changes
    **plan: Any,
) -> Iterator[Taker]:
    """A running session over feeds, closed in the end."""
    session = FeedSession(
        [feed if isinstance(feed, Subscription) else Subscription(feed) for feed in feeds],
        SessionPlan(
            **{
                "settings": settings,
                "read_content": partial(read_content, limits=ReadLimits()),
                "clock": clock or Clock(),
                "look_seconds": 0.01,
                **plan,
            }
        ),
        recall or Remembered(),
        taken or {},
        position,
        since=since,
    )
    session.start()
    try:
        yield Taker(session, position)
    finally:
        session.close()


def pages_of(readings: Iterable[Reading]) -> list[Page]:
    """All pages of readings."""
    return [page for reading in readings for page in reading.pages]


def account_of(readings: Iterable[Reading]) -> Balance:
    """The account that a commit of readings would have, with one unit for each page."""
    entries: list[LedgerEntry] = []
    for reading in readings:
        key = key_of(reading)
        entries += [accounts.open_answer(key), accounts.close_source(key, units_of(reading))]
        for page in reading.pages:
            entries += [accounts.open_page(page), accounts.close_page(page.origin, 1)]
        entries += map(accounts.unread_page, reading.failures)
    return balance_entries(entries, ("source", "page"))
