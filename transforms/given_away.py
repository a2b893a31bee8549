"""What the reader of a stream has given away, until a commit has it.

A ``Reading`` is what one answer came to. ``Taken`` tells by its origin whether a page was given
already; ``Uncommitted`` tells how much there is between the reader and the commits, so that the
reader can wait for them. Of both, what was observed before a moment is dropped when commits have
it. Pure; bounded by who stops giving.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FetchedLink, Page, PolledFeed

RECORD_BYTES = 1_024
"""What a record takes beside what is large in it, about."""
PAGE_BYTES = 64 << 10
"""What a page is taken to be whose size is not known."""
_SEEN_BYTES = 64
"""What is remembered of an item of a feed."""


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
        size_bytes = RECORD_BYTES
        size_bytes += sum(len(page.content) for page in self.pages)
        size_bytes += sum(len(failure.payload) for failure in self.failures)
        if self.polled is not None:
            links = len(self.polled.links) + len(self.polled.memory.pending)
            size_bytes += links * RECORD_BYTES + len(self.polled.memory.seen) * _SEEN_BYTES
        return size_bytes

    @property
    def is_news(self) -> bool:
        """Whether it says more than that a feed was asked.

        The commit of its window has it then. What says no more may wait for a later one.
        """
        return bool(self.fetched or self.pages or self.failures)

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


class Uncommitted:
    """How much was given away that no commit has yet.

    Only what ``is_news`` counts. Windows that have nothing else wait for one that has, for minutes:
    were that counted too, who waits for the commit might be the one that has to bring it about.

    Args:
        moments: of pages that were given away before, as ``Taken.moments`` has them.
    """

    def __init__(self, moments: Mapping[int, int] | None = None) -> None:
        self._parts = [(at, 1, PAGE_BYTES) for at in (moments or {}).values()]
        """When each was observed (microseconds since 1970), its pages, its bytes; a heap."""
        heapq.heapify(self._parts)
        self.pages = len(self._parts)
        """And failures."""
        self.size_bytes = self.pages * PAGE_BYTES

    def add(self, reading: Reading) -> None:
        """Count a reading that is given away."""
        if not reading.is_news:
            return
        pages = len(reading.pages) + len(reading.failures)
        heapq.heappush(self._parts, (reading.observed_at.micros, pages, reading.size_bytes))
        self.pages += pages
        self.size_bytes += reading.size_bytes

    def drop_before(self, until: Timestamp) -> None:
        """Count no more what is committed."""
        while self._parts and self._parts[0][0] < until.micros:
            _, pages, size_bytes = heapq.heappop(self._parts)
            self.pages -= pages
            self.size_bytes -= size_bytes
