"""Sites for ``benchmarks.soak``: 200 feeds on 20 loopback hosts that grow by a seed, and a log.

::

    with SoakSites(Newsroom(seed=6)) as sites:
        sites.feed_urls                  # they grow from now on
        ...
    sites.newsroom.published             # what came when
    sites.newsroom.served                # what was given away when

``Newsroom`` decides what is published, and knows neither sockets nor clocks; ``SoakSites`` serves
it over HTTP/1.1, in a thread of its own. Each host is an address of 127.0.1.0/24, for politeness is
by host: Linux has all of them, other systems must be told of them first.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from html import escape
from types import TracebackType

from benchmarks.slices import sentence

HOSTS = 20
FEEDS_PER_HOST = 10
ITEMS_A_SECOND = 2.0
FIRST_ITEMS = 2
"""In each feed, before anybody asks."""
LISTED_ITEMS = 20
"""What a feed lists at most: the newest."""
COPIED_SHARE, CHANGED_SHARE, WITH_TEXT_SHARE = 0.10, 0.10, 0.15
_CHANGED = re.compile(r"This report was put right (\d+) times")
_PARAGRAPHS = 4

Version = tuple[int, int]
"""An item's number, and how often its text was changed."""


@dataclass
class Item:
    """An item of a feed, as it is now."""

    number: int
    feed: int
    text_of: int
    """Number of the item whose text it has: its own, or that of an earlier one."""
    has_text: bool
    """Whether the feed gives the whole text, and nobody needs to ask for the page."""
    published_at: float
    changes: int = 0
    changed_at: float = 0.0

    @property
    def version(self) -> Version:
        return self.number, self.changes

    def paragraphs(self) -> list[str]:
        """The text; what it was changed to says how often it was."""
        chance = random.Random(self.text_of)
        texts = [
            " ".join(sentence(chance, "en") for _ in range(2 + self.has_text))
            for _ in range(_PARAGRAPHS)
        ]
        if self.changes:
            correction = sentence(random.Random(-self.number - self.changes * 10**6), "en")
            texts.insert(1, f"This report was put right {self.changes} times. {correction}")
        return texts

    @property
    def title(self) -> str:
        return sentence(random.Random(f"title {self.text_of}"), "en")[:70]


def changes_in(body: str) -> int:
    """How often a text was changed, by what it says."""
    found = _CHANGED.search(body)
    return int(found.group(1)) if found else 0


@dataclass
class Newsroom:
    """What is published, by a seed, and the log of it and of what was given away.

    Moments are seconds since 1970, and come from outside.
    """

    seed: int
    feeds: int = HOSTS * FEEDS_PER_HOST
    items: list[Item] = field(default_factory=list)
    listed: list[deque[Item]] = field(default_factory=list)
    published: dict[Version, float] = field(default_factory=dict)
    served: dict[Version, float] = field(default_factory=dict)
    """When a version was first given away, in a page or, with its whole text, in a feed."""

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self.listed = [deque(maxlen=LISTED_ITEMS) for _ in range(self.feeds)]

    def wait_seconds(self) -> float:
        """Until the next thing is published."""
        return self._chance.expovariate(ITEMS_A_SECOND)

    def begin(self, now: float) -> None:
        """Fill the feeds with what was there before anybody asked."""
        for feed in range(self.feeds):
            for _ in range(FIRST_ITEMS):
                self._add(feed, now, copied=False)

    def publish(self, now: float) -> None:
        """Publish one thing: a new text, a copy of another site's, or a change."""
        feed = self._chance.randrange(self.feeds)
        kind = self._chance.random()
        own = [one for one in self.listed[feed] if one.text_of == one.number]
        if kind < CHANGED_SHARE and own:
            changed = self._chance.choice(own)
            changed.changes += 1
            changed.changed_at = now
            self.published[changed.version] = now
        else:
            self._add(feed, now, copied=kind < CHANGED_SHARE + COPIED_SHARE)

    def _add(self, feed: int, now: float, *, copied: bool) -> None:
        number = len(self.items)
        others = [
            one for one in self.items[-400:] if one.feed != feed and one.text_of == one.number
        ]
        text_of = self._chance.choice(others).number if copied and others else number
        has_text = self._chance.random() < WITH_TEXT_SHARE
        if text_of != number:  # the same words, however it is given
            has_text = self.items[text_of].has_text
        item = Item(number, feed, text_of, has_text, now)
        self.items.append(item)
        self.listed[feed].append(item)
        self.published[item.version] = now

    def page(self, number: int, now: float) -> bytes:
        """The page of an item, as it is given to who asks now."""
        item = self.items[number]
        self.served.setdefault(item.version, now)
        text = "".join(f"<p>{paragraph}</p>" for paragraph in item.paragraphs())
        return (
            f"<!DOCTYPE html><html lang=en><head><title>{item.title}</title></head><body>"
            f"<nav><a href='/'>Home</a></nav><article><h1>{item.title}</h1>{text}</article>"
            "<footer>© Example Press</footer></body></html>"
        ).encode()

    def feed(self, feed: int, site: str) -> bytes:
        """A feed as it is now, newest first."""
        items = "".join(_markup(item, f"{site}/items/{item.number}") for item in self.newest(feed))
        return (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"'
            ' xmlns:content="http://purl.org/rss/1.0/modules/content/"'
            ' xmlns:atom="http://www.w3.org/2005/Atom"><channel>'
            f"<title>Feed {feed}</title><link>{site}/</link><description>News</description>"
            f"{items}</channel></rss>"
        ).encode()

    def newest(self, feed: int) -> list[Item]:
        """What a feed lists, newest first."""
        return list(reversed(self.listed[feed]))

    def give_feed(self, feed: int, now: float) -> None:
        """Note that a feed was given away as it is now."""
        for item in self.listed[feed]:
            if item.has_text:
                self.served.setdefault(item.version, now)


def _markup(item: Item, link: str) -> str:
    changed = f"<atom:updated>{_rfc3339(item.changed_at)}</atom:updated>" if item.changes else ""
    paragraphs = item.paragraphs()
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    whole = f"<content:encoded><![CDATA[{text}]]></content:encoded>" if item.has_text else ""
    return (
        f"<item><title>{escape(item.title)}</title><guid isPermaLink='false'>{item.number}</guid>"
        f"<link>{link}</link><pubDate>{formatdate(item.published_at, usegmt=True)}</pubDate>"
        f"{changed}<description>{escape(paragraphs[0][:80])}</description>{whole}</item>"
    )


def _rfc3339(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class SoakSites:
    """Serves a newsroom until it is left; nothing is published after ``stop``."""

    def __init__(self, newsroom: Newsroom, clock: Callable[[], float] = time.time) -> None:
        self.newsroom = newsroom
        self._clock = clock
        self._ready = threading.Event()
        self._ports: list[int] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    @property
    def sites(self) -> list[str]:
        """Where the hosts are."""
        return [f"http://127.0.1.{n + 1}:{port}" for n, port in enumerate(self._ports)]

    @property
    def feed_urls(self) -> list[str]:
        """Of all feeds: feed ``n`` is on host ``n % HOSTS``."""
        return [f"{self._site(feed)}/feeds/{feed}" for feed in range(self.newsroom.feeds)]

    def item_url(self, number: int) -> str:
        """Where an item's page is."""
        return f"{self._site(self.newsroom.items[number].feed)}/items/{number}"

    def _site(self, feed: int) -> str:
        return self.sites[feed % HOSTS]

    def __enter__(self) -> SoakSites:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def stop(self) -> None:
        """Publish nothing more; what there is goes on being served."""
        self._loop.call_soon_threadsafe(self._growing.cancel)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.newsroom.begin(self._clock())
        servers = [
            await asyncio.start_server(self._serve, f"127.0.1.{n + 1}", 0) for n in range(HOSTS)
        ]
        self._ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._growing = asyncio.ensure_future(self._grow())
        self._ready.set()
        await self._over.wait()
        self._growing.cancel()
        for server in servers:
            server.close()

    async def _grow(self) -> None:
        due = time.monotonic()
        while True:
            due += self.newsroom.wait_seconds()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.newsroom.publish(self._clock())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self._answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()  # the client has had enough

    def _answer(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        _, kind, number = [*request.split(" ")[1].split("/"), "", ""][:3]
        if kind == "items":
            return _response("200 OK", "text/html", self.newsroom.page(int(number), self._clock()))
        if kind != "feeds":  # robots.txt among others
            return _response("404 Not Found", "text/plain", b"not here")
        body = self.newsroom.feed(int(number), self._site(int(number)))
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if headers.get("if-none-match") == etag:
            return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode()
        self.newsroom.give_feed(int(number), self._clock())
        return _response("200 OK", "application/rss+xml", body, f"ETag: {etag}\r\n")


def _response(status: str, content_type: str, body: bytes, others: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{others}\r\n"
    ).encode() + body
