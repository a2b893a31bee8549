"""What the answer of a feed means: which items are new, whose text has to be fetched, what is next.

``DueFeed`` and its ``Answer`` → ``Digest``: a ``PolledFeed``, with the feed's new memory and the
links to pages that have to be fetched; pages of items whose text the feed itself gives; and
failures. Pure: who asks the server, and when it is now, are arguments. Bounded by the feed.

An item is known again by its guid, where the feed gives that to no other item; else by its link,
else by its content.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    DueFeed,
    Failure,
    FeedItem,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    PolledFeed,
    SeenItem,
    Subscription,
)
from transforms.addresses import ForbiddenAddress, check_url
from transforms.archives import PartOrigins
from transforms.feeds import FeedEntry, ParsedFeed, is_whole_article
from transforms.http_caching import MAX_RETRY_AFTER_SECONDS, freshness_seconds, next_poll
from transforms.http_client import Response

_MAX_ID_CHARS = 500
_MAX_URL_CHARS = 8_000
MAX_PENDING = 5_000
"""Links of a feed that wait to be followed; further items are taken up once there are fewer."""
_SAID_DIGITS = 8
_STAMPED_ITEMS = 3
"""Known items from which on it tells something that the dates of all have changed."""
_MAX_TTL_SECONDS = 366 * 86_400
_SEEN_BEYOND_LISTED = 200
"""Items that are remembered after the feed has ceased to list them: it may list them again."""
_REFUSALS = frozenset({"forbidden-address", "no-feed"})
"""Reasons that lie in what was subscribed to, not in what happened."""


_EARLY_SHARE = 0.1
_EARLY_SECONDS = 60
"""A feed may be polled this much early: a schedule's small delays must not double its wait."""


@dataclass(frozen=True)
class Problem:
    """Why a feed could not be read, in the terms of a ``Failure``."""

    reason: str
    message: str
    status: int = 0
    retry_after_seconds: float | None = None
    is_put_off: bool = False
    """Whether the server was not asked at all, for the sake of its host."""
    payload: bytes = b""
    """The content that could not be read."""


@dataclass(frozen=True)
class Answer:
    """What came of asking for a feed."""

    address: str
    """Where it is to be asked for from now on."""
    response: Response | None = None
    """None where there was none."""
    parsed: ParsedFeed | None = None
    """None where nothing has changed, or where there is a problem."""
    body_sha256: str = ""
    problem: Problem | None = None


class Digest(NamedTuple):
    """What a poll has come to."""

    polled: PolledFeed
    pages: tuple[Page, ...]
    failures: tuple[Failure, ...]


def digest_poll(
    due: DueFeed,
    answer: Answer,
    now: Timestamp,
    jitter: float,
    *,
    taken: Container[str] = frozenset(),
    feeds: Container[str] = frozenset(),
    max_payload_bytes: int = 1 << 20,
) -> Digest:
    """Compare what a feed lists with what is remembered of it.

    Args:
        due: the feed, and what is remembered.
        answer: of its server.
        now: when it was asked.
        jitter: at least 0, below 1: where in its range a waiting time lies.
        taken: origins that the run has already; items that would have one are left for another.
        feeds: addresses of all feeds of the run: an item that links to one has no page.
        max_payload_bytes: how much a failure keeps of content that could not be read.
    """
    if answer.problem is not None:
        return _failed(due, answer, now, jitter, max_payload_bytes)
    memory = replace(
        due.memory,
        address=answer.address if answer.address != due.subscription.url else "",
        polled_at=now,
        succeeded_at=now,
        status=answer.response.status if answer.response else 0,
        reason="",
        message="",
        failures=0,
        is_retired=False,
        due_at=_due_after_success(due, answer, now, jitter),
    )
    if answer.response is not None:
        memory = replace(
            memory,
            etag=answer.response.etag or _if_unchanged(answer, memory.etag),
            last_modified=answer.response.last_modified
            or _if_unchanged(answer, memory.last_modified),
            body_sha256=answer.body_sha256 or memory.body_sha256,
        )
    if answer.parsed is None:
        return Digest(PolledFeed(memory, listed=0, is_unchanged=True), (), ())
    listing = _Listing(due.subscription, memory, answer.parsed, now, taken=taken, feeds=feeds)
    return listing.digest()


def _if_unchanged(answer: Answer, validator: str | None) -> str | None:
    """A validator holds on where a 304 does not repeat it (RFC 9110, 15.4.5)."""
    return validator if answer.response and answer.response.status == 304 else None


def _due_after_success(due: DueFeed, answer: Answer, now: Timestamp, jitter: float) -> Timestamp:
    moment = now.to_utc_datetime(has_tz=True)
    headers = answer.response.headers if answer.response else {}
    wishes = answer.parsed or due.memory  # what has not changed wishes what it wished
    return next_poll(
        now,
        interval_seconds=due.subscription.interval_seconds,
        freshness_seconds=freshness_seconds(headers, moment),
        ttl_seconds=wishes.ttl_seconds,
        skip_hours=wishes.skip_hours,
        skip_days=wishes.skip_days,
        jitter=jitter,
    )


def _failed(
    due: DueFeed, answer: Answer, now: Timestamp, jitter: float, max_payload_bytes: int
) -> Digest:
    memory, problem = due.memory, answer.problem
    if problem is None or problem.is_put_off:
        return Digest(PolledFeed(memory, listed=0, is_put_off=True), (), ())
    failures = memory.failures + 1
    is_retired = problem.reason == "gone"
    # Where it was moved to, or what a page named, may be wrong by now: the next poll asks anew.
    if memory.address:
        memory = replace(memory, address="", etag=None, last_modified=None)
    memory = replace(
        memory,
        title=memory.title or due.subscription.title,
        polled_at=now,
        status=problem.status,
        reason=problem.reason,
        message=problem.message,
        failures=failures,
        is_retired=is_retired,
        due_at=next_poll(
            now,
            interval_seconds=due.subscription.interval_seconds,
            retry_after_seconds=problem.retry_after_seconds,
            failures=failures,
            is_retired=is_retired,
            jitter=jitter,
        ),
    )
    failure = Failure(
        kind="rejected" if problem.reason in _REFUSALS else "failed",
        stage="poll",
        reason=problem.reason,
        message=problem.message,
        origin=due.subscription.url,
        source_uri=due.subscription.url,
        observed_at=now,
        payload=problem.payload[:max_payload_bytes],
        url=answer.address or due.subscription.url,
        content_bytes=len(problem.payload) if problem.payload else -1,
    )
    return Digest(PolledFeed(memory, listed=1), (), (failure,))


class _Named(NamedTuple):
    """An item, with what it is called."""

    name: str
    key: str
    entry: FeedEntry


class _Listing:
    """What a feed lists, held against what is remembered of it."""

    def __init__(
        self,
        subscription: Subscription,
        memory: FeedMemory,
        parsed: ParsedFeed,
        now: Timestamp,
        *,
        taken: Container[str],
        feeds: Container[str],
    ) -> None:
        self._subscription = subscription
        self._memory = memory
        self._parsed = parsed
        self._now = now
        self._taken = taken
        self._feeds = feeds
        self._seen = {item.key: item for item in memory.seen}
        self._pending = {link.key for link in memory.pending}
        self._key_of_origin = {link.origin: link.key for link in memory.pending}
        self._dates_count = True
        self._pages: list[Page] = []
        self._links: list[LinkedItem] = []
        self._failures: list[Failure] = []
        self._has_left_some = False
        self._unchanged = 0

    def digest(self) -> Digest:
        """Take the items one after the other."""
        origins = PartOrigins(self._subscription.url)
        named = _newest(_named(self._parsed.entries), self._subscription.limit)
        self._dates_count = not self._dates_are_stamps(named)
        kept: dict[str, SeenItem] = {}
        for name, key, entry in named:
            part = name if len(name) <= _MAX_ID_CHARS else f"{name[:_MAX_ID_CHARS]}~{key}"
            origin = origins.of(part)
            if self._key_of_origin.get(origin, key) != key:
                origin = origins.of(f"{part}~{key}")
            item = self._take(origin, key, entry)
            if item is not None:
                kept[item.key] = item
        is_new = bool(self._pages or self._links)
        older = [item for item in self._memory.seen if item.key not in kept]
        memory = replace(
            self._memory,
            format=self._parsed.format,
            title=self._subscription.title or self._parsed.title,
            changed_at=self._now if is_new else self._memory.changed_at,
            listed=len(self._parsed.entries),
            ttl_seconds=min(self._parsed.ttl_seconds or 0, _MAX_TTL_SECONDS),
            skip_hours=self._parsed.skip_hours,
            skip_days=self._parsed.skip_days,
            settings=settings_key(self._subscription),
            seen=(*kept.values(), *older[: len(named) + _SEEN_BEYOND_LISTED]),
        )
        if self._has_left_some:  # so that the next poll lists them again
            memory = replace(memory, etag=None, last_modified=None, body_sha256="")
        units = len(self._pages) + len(self._links) + len(self._failures)
        polled = PolledFeed(
            memory, units, tuple(self._links), unchanged=self._unchanged, notes=self._notes()
        )
        return Digest(polled, tuple(self._pages), tuple(self._failures))

    def _notes(self) -> tuple[str, ...]:
        return tuple(f"{self._subscription.url}: {note}" for note in self._parsed.notes)

    def _take(self, origin: str, key: str, entry: FeedEntry) -> SeenItem | None:
        """Take an item up if it is new; gives what is to be remembered of it, if it is done."""
        url = _page_url(entry.url or entry.about.guid)
        url = None if url in self._feeds else url
        is_own = self._is_own_text(entry, url)
        version = _version(entry, url, with_content=is_own)
        seen = self._seen.get(key)
        if self._is_as_it_was(seen, version) or key in self._pending:
            self._unchanged += 1
            return seen
        is_taken = origin in self._taken or (url is not None and url in self._taken)
        if is_taken or len(self._pending) + len(self._links) >= MAX_PENDING:
            self._has_left_some = True
            return seen
        first_seen = seen.first_seen if seen and seen.first_seen else self._now.seconds()
        about = self._about(entry.about, first_seen)
        if is_own:
            self._pages.append(self._page(origin, entry, about))
        elif url is not None:
            self._links.append(
                LinkedItem(
                    origin=origin,
                    url=url,
                    feed_url=self._subscription.url,
                    item=about,
                    key=key,
                    version=version,
                    is_update=seen is not None,
                )
            )
            return seen
        else:
            self._failures.append(self._empty(origin, entry))
        return SeenItem(key, version, first_seen)

    def _is_as_it_was(self, seen: SeenItem | None, version: str) -> bool:
        length = None if self._dates_count else _SAID_DIGITS
        return seen is not None and seen.version[:length] == version[:length]

    def _dates_are_stamps(self, named: Sequence[_Named]) -> bool:
        """Whether a feed dates its items anew each time, so that their dates say nothing."""
        known = [(one.entry, seen) for one in named if (seen := self._seen.get(one.key))]
        return len(known) >= _STAMPED_ITEMS and all(
            seen.version[_SAID_DIGITS:] != _date_part(entry) for entry, seen in known
        )

    def _is_own_text(self, entry: FeedEntry, url: str | None) -> bool:
        """Whether the article is what the feed gives of the item, not what is on its page."""
        if not entry.content.strip():
            return False
        if url is None:
            return True
        text = self._subscription.text
        return text == "feed" or (text == "auto" and is_whole_article(entry))

    def _about(self, item: FeedItem, first_seen: int) -> FeedItem:
        """What the feed says of an item, with what the subscription says of all."""
        subscription = self._subscription
        return replace(
            item,
            tags=tuple(dict.fromkeys((*subscription.tags, *item.tags))),
            language=subscription.language or item.language,
            feed_title=item.feed_title or subscription.title,
            topic_hint=subscription.topic,
            first_seen=Timestamp(first_seen).to_rfc3339(),
        )

    def _page(self, origin: str, entry: FeedEntry, about: FeedItem) -> Page:
        return Page(
            origin=origin,
            source_uri=self._subscription.url,
            kind="feed-item",
            content=entry.content.encode("utf-8", "replace"),
            observed_at=self._now,
            charset="utf-8",
            url=entry.url,
            feed_url=self._subscription.url,
            item=about,
        )

    def _empty(self, origin: str, entry: FeedEntry) -> Failure:
        title = entry.about.title
        named = f"the item {title!r}" if title else "an item"
        return Failure(
            kind="rejected",
            stage="poll",
            reason="empty-item",
            message=f"{named} has neither a link that can be followed nor text",
            origin=origin,
            source_uri=self._subscription.url,
            observed_at=self._now,
            payload=(title or "").encode("utf-8", "replace"),
        )


def _page_url(link: str | None) -> str | None:
    """The address of an item's page: its link, as it is asked for; None if it can be asked by none.

    Whether it may be asked, as a private one may not, is for the client to say.
    """
    if link is None or len(link) > _MAX_URL_CHARS:
        return None
    try:
        return check_url(link, allow_private_hosts=True).url
    except ForbiddenAddress:
        return None


def _named(entries: Sequence[FeedEntry]) -> list[_Named]:
    """The items with what they are called; one that is listed twice is one.

    Some feeds give all items the same guid, and some, without guids, the same link.
    """
    distinct: dict[tuple[str, ...], FeedEntry] = {}
    for entry in entries:
        content = "" if entry.about.guid else _content_name(entry)
        distinct.setdefault((entry.item_id, entry.url or "", content), entry)
    ids = Counter(item_id for item_id, _, _ in distinct)
    links = Counter((item_id, url) for item_id, url, _ in distinct)
    named = []
    for (item_id, url, _), entry in distinct.items():
        if ids[item_id] == 1:
            kind, name = "id", item_id
        elif url and links[item_id, url] == 1:
            kind, name = "link", url
        else:
            kind, name = "content", _content_name(entry)
        named.append(_Named(name, _hash(f"{kind} {name}", 16), entry))
    return named


def _content_name(entry: FeedEntry) -> str:
    return _hash("\n".join((entry.about.title or "", entry.content)), 16)


def _newest(named: list[_Named], limit: int) -> list[_Named]:
    """The newest items, as many as the limit allows; 0 for all. Those without a date come last."""
    if not limit or len(named) <= limit:
        return named
    dated = sorted(named, key=lambda one: one.entry.about.published or "", reverse=True)
    return dated[:limit]


def _version(entry: FeedEntry, url: str | None, *, with_content: bool) -> str:
    """What changes when the feed says that an item has changed, or that it is another one.

    The query of its link is no part of it: some servers count visits there. The date of publication
    has a part of its own, for there are feeds that date all items anew each time.
    """
    about = entry.about
    said = [about.updated or "", (url or "").partition("?")[0]]
    if with_content:
        said += [about.title or "", entry.content]
    return _hash("\n".join(said), _SAID_DIGITS) + _date_part(entry)


def _date_part(entry: FeedEntry) -> str:
    return _hash(entry.about.published or "", 4)


def settings_key(subscription: Subscription) -> str:
    """What decides what is made of a feed's items: where it is another, the feed is read anew."""
    told = (subscription.limit, subscription.text, subscription.topic, subscription.tags)
    return _hash(repr((*told, subscription.language)), 8)


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:digits]


def due_links(memory: FeedMemory, now: Timestamp) -> Iterator[LinkedItem]:
    """The links of a feed whose pages are to be asked for now."""
    for link in memory.pending:
        is_ahead = link.retry_at is not None and link.retry_at > now + MAX_RETRY_AFTER_SECONDS
        if link.retry_at is None or link.retry_at <= now or is_ahead:  # a clock may have been ahead
            yield link


def is_due(memory: FeedMemory, now: Timestamp, *, polls_all: bool = False) -> bool:
    """Whether a feed is to be polled now.

    ``polls_all`` asks those that are not due, too, but for one whose server has asked to wait.
    """
    if memory.due_at is None or memory.polled_at is None or memory.due_at <= now:
        return True
    if memory.polled_at > now:  # the clock was ahead then
        return True
    if memory.reason == "rate-limited":
        return False
    wait_micros = memory.due_at.micros - memory.polled_at.micros
    early = min(wait_micros * _EARLY_SHARE, _EARLY_SECONDS * 1e6)
    return polls_all or memory.due_at.micros - early <= now.micros


def with_outcomes(memory: FeedMemory, outcomes: Iterable[FetchedLink]) -> FeedMemory:
    """A feed's memory once it is known what became of its links."""
    pending = {link.key: link for link in memory.pending}
    done: dict[str, SeenItem] = {}
    for fetched in outcomes:
        link = fetched.link
        waiting = pending.get(link.key)
        if waiting is not None and waiting.version == link.version:  # not changed since
            del pending[link.key]
        if is_to_be_tried(fetched):
            pending[link.key] = link
        else:
            done[link.key] = SeenItem(link.key, link.version, _seconds(link.item.first_seen))
    older = (item for item in memory.seen if item.key not in done)
    return replace(memory, seen=(*done.values(), *older), pending=tuple(pending.values()))


def _seconds(moment: str | None) -> int:
    return int(Timestamp.from_rfc3339(moment).seconds()) if moment else 0


def is_to_be_tried(fetched: FetchedLink) -> bool:
    """Whether a link is to be followed again by a later run."""
    is_waiting = fetched.outcome == "failed" and fetched.link.retry_at is not None
    return is_waiting or fetched.outcome == "deferred"
