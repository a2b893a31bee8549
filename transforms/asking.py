"""Asking for feeds: the questions that one feed takes, and what the server says to them.

A ``DueFeed`` → its ``Answer`` (``listing``). Asked are: the address that is remembered, with the
validators that are; the feed that a page names, where the address is a page's; and the sitemaps
that a sitemap index names.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import zlib
from dataclasses import replace
from typing import NamedTuple

from apache_beam.utils.timestamp import Timestamp

from schemas.records import DueFeed
from transforms.addresses import may_share_secrets
from transforms.archives import looks_like_html
from transforms.decoding import UndecodableText, decode_text
from transforms.discovery import find_feed_links
from transforms.feeds import FeedEntry, MalformedFeed, ParsedFeed, parse_feed
from transforms.http_client import FetchError, HttpClient, Response
from transforms.listing import Answer, Problem, settings_key

_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json, "
    "application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, text/html;q=0.5, */*;q=0.3"
)
_CANDIDATES = 3
"""Feeds named by a page that are tried."""
_SITEMAPS = 20
"""Newest sitemaps of an index that are read."""
_INDEX_SECONDS = 180
"""How long after the first of them further sitemaps of an index are asked for."""
_INDEX = "sitemap index"
_GZIP_MAGIC = b"\x1f\x8b\x08"


class _Found(NamedTuple):
    """A feed, and where it was found in the end."""

    address: str
    response: Response
    parsed: ParsedFeed | None
    """None if it is as it was."""
    body_sha256: str


class _Unusable(Exception):  # noqa: N818 - becomes a Problem
    """An answer that no feed can be read from."""

    def __init__(self, problem: Problem, address: str) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.address = address


async def ask_feed(
    client: HttpClient, due: DueFeed, now: datetime.datetime, max_body_bytes: int
) -> Answer:
    """Ask for a feed, and for what it leads to; problems come as part of the answer.

    Args:
        client: with its limits and its politeness.
        due: the feed, and what is remembered of it.
        now: the time, aware.
        max_body_bytes: of a feed that is compressed as a file, once decompressed.
    """
    asking = _Asking(client, due, now, max_body_bytes)
    try:
        found = await asking.find()
    except FetchError as error:
        problem = Problem(
            error.reason,
            error.message,
            error.status,
            error.retry_after_seconds,
            error.is_put_off,
        )
        return Answer(due.memory.address, problem=problem)
    except _Unusable as why:
        return Answer(why.address, problem=why.problem)
    return Answer(found.address, found.response, found.parsed, found.body_sha256)


class _Asking:
    """The questions that one feed takes."""

    def __init__(
        self, client: HttpClient, due: DueFeed, now: datetime.datetime, max_body_bytes: int
    ) -> None:
        self._client = client
        self._due = due
        self._now = now
        self._max_body_bytes = max_body_bytes

    async def find(self) -> _Found:
        memory = self._due.memory
        start = memory.address or self._due.subscription.url
        # The sitemaps that an index names may change without it.
        is_same_order = memory.settings == settings_key(self._due.subscription)
        is_conditional = memory.format != _INDEX and is_same_order
        response = await self._get(
            start,
            etag=memory.etag if is_conditional else None,
            last_modified=memory.last_modified if is_conditional else None,
        )
        address = response.permanent_url or start
        if response.status == 304:
            return _Found(address, response, None, memory.body_sha256)
        body = self._gunzipped(response, address)
        digest = hashlib.sha256(body).hexdigest()
        if digest == memory.body_sha256 and is_conditional:
            return _Found(address, response, None, digest)
        try:
            parsed = await _parse(body, response)
        except MalformedFeed as error:
            if looks_like_html(body):
                return await self._discover(response, body, address)
            problem = Problem("malformed-feed", str(error), response.status, payload=body)
            raise _Unusable(problem, address) from error
        if parsed.sitemaps:
            return await self._follow(_Found(address, response, parsed, digest))
        return _Found(address, response, parsed, digest)

    async def _get(
        self, url: str, etag: str | None = None, last_modified: str | None = None
    ) -> Response:
        subscription = self._due.subscription
        is_own = may_share_secrets(subscription.url, url)
        return await self._client.get(
            url,
            etag=etag,
            last_modified=last_modified,
            headers=subscription.headers if is_own else (),
            accept=_ACCEPT,
            now=self._now,
        )

    def _gunzipped(self, response: Response, address: str) -> bytes:
        """The body, decompressed if it is a gzip file, as sitemaps are."""
        body = response.body
        if not body.startswith(_GZIP_MAGIC):
            return body
        stream = zlib.decompressobj(wbits=31)
        try:
            content: bytes = stream.decompress(body, self._max_body_bytes + 1)
        except zlib.error as error:
            message = f"it is a gzip file that cannot be decompressed: {error}"
            raise _Unusable(Problem("corrupt", message, response.status), address) from error
        if len(content) > self._max_body_bytes:
            message = f"decompressed it is larger than the limit, {self._max_body_bytes:,} bytes"
            raise _Unusable(Problem("too-large", message, response.status), address)
        return content

    async def _discover(self, page: Response, body: bytes, address: str) -> _Found:
        """The first feed that a page names and that can be read."""
        try:
            links = await asyncio.to_thread(_links_of, body, page)
        except UndecodableText:
            links = []
        tried: list[str] = []
        for link in links[:_CANDIDATES]:
            try:
                response = await self._get(link)
                content = self._gunzipped(response, link)
                parsed = await _parse(content, response)
            except (FetchError, MalformedFeed, _Unusable) as error:
                tried.append(f"{link}: {error}")
                continue
            found = response.permanent_url or link
            return _Found(found, response, parsed, hashlib.sha256(content).hexdigest())
        message = (
            f"it is a page, and none of the feeds that it names can be read ({'; '.join(tried)})"
            if tried
            else "it is a page, and it names no feed"
        )
        raise _Unusable(Problem("no-feed", message, page.status, payload=body), address)

    async def _follow(self, index: _Found) -> _Found:
        """An index with the items of the sitemaps that it names."""
        whole = index.parsed
        if whole is None:
            return index
        entries: list[FeedEntry] = []
        notes = list(whole.notes)
        digest = hashlib.sha256(index.body_sha256.encode())
        left_out = len(whole.sitemaps) - _SITEMAPS
        if left_out > 0:
            notes.append(f"the oldest {left_out} of the sitemaps that it names are not read")
        errors: list[FetchError] = []
        ends_at = asyncio.get_running_loop().time() + _INDEX_SECONDS
        for url in whole.sitemaps[:_SITEMAPS]:
            if asyncio.get_running_loop().time() > ends_at:
                notes.append(f"the sitemap {url} was left out, for those before took too long")
                continue
            try:
                response = await self._get(url)
                content = self._gunzipped(response, url)
                parsed = await _parse(content, response)
            except FetchError as error:
                errors.append(error)
                notes.append(f"the sitemap {url} cannot be had: {error}")
                continue
            except (MalformedFeed, _Unusable) as error:
                notes.append(f"the sitemap {url} cannot be read: {error}")
                continue
            digest.update(hashlib.sha256(content).digest())
            entries += parsed.entries
            notes += parsed.notes
        if len(errors) == len(whole.sitemaps[:_SITEMAPS]):
            raise errors[0]
        sha256 = digest.hexdigest()
        memory = self._due.memory
        is_same_order = memory.settings == settings_key(self._due.subscription)
        is_same = sha256 == memory.body_sha256 and is_same_order and not errors
        parsed = replace(whole, entries=tuple(entries), notes=tuple(notes))
        return index._replace(parsed=None if is_same else parsed, body_sha256=sha256)


async def _parse(content: bytes, response: Response) -> ParsedFeed:
    """A feed, parsed beside the event loop: a large one takes longer than other hosts may take."""
    return await asyncio.to_thread(parse_feed, content, charset=response.charset, url=response.url)


def _links_of(body: bytes, page: Response) -> list[str]:
    return find_feed_links(decode_text(body, page.charset, html=True).text, page.url)


def jitter_of(name: str, now: Timestamp) -> float:
    """At least 0, below 1: as good as random, and the same for the same name and time."""
    digest = hashlib.sha256(f"{name}\n{now.micros}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
