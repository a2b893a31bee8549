"""Where a page says that its feeds are.

The HTML of a page and its URL → addresses of feeds, best first. Pure: nothing is fetched. By
``<link rel="alternate">`` as the HTML standard has it (4.6.7.1, "alternate"), and only where a page
has none by links in its text that look like feeds.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from lxml import etree

from transforms.parsed_feeds import absolute_url, without_forbidden

_CHUNK_CHARS = 64 * 1024
_MAX_CHARS = 4 * 1024 * 1024
_MAX_LINKS = 10_000
_XML_TYPES = frozenset(
    {"application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/x-rss+xml"}
    | {"application/x-atom+xml", "text/rss+xml", "text/atom+xml", "text/rdf+xml"}
)
_FEED_JSON = "application/feed+json"
_JSON = "application/json"
_SAYS_FEED = re.compile(r"feed", re.IGNORECASE)
_SAYS_COMMENTS = re.compile(
    r"\bcomment|/comments?(?:/|$)|kommentar|commentaire|comentari|commenti|reacties", re.IGNORECASE
)
_FEED_PATH = re.compile(
    r"/(?:rss|feeds?|atom|rdf)/?$|\.(?:rss|atom|rdf)$|(?:rss|feed|atom)[^/]*\.xml$"
    r"|/(?:rss|feeds?|atom)/.*\.xml$|/feeds?/[\w\-./]+$|/feed\.json$",
    re.IGNORECASE,
)
_FEED_QUERY = re.compile(
    r"(?:^|&)(?:feed=(?:rss2?|atom|rdf)|(?:format|type|output)=(?:rss|atom))(?:&|$)", re.IGNORECASE
)
_PAGE_NAME = re.compile(r"\.(?:html?|php|aspx?|jsp|jpe?g|png|gif|css|js|pdf)$", re.IGNORECASE)


class _Link(NamedTuple):
    href: str
    rel: str
    type: str
    title: str


def find_feed_links(html: str, url: str) -> list[str]:
    """Find the feeds that a page names.

    Args:
        html: the page; of a very long one the first four million characters count.
        url: of the page, after redirects: the base of relative addresses, unless the page states
            another (``<base href>``).

    Returns:
        Absolute HTTP(S) URLs without fragments, each once. Those in ``<link>`` elements: feeds of
        articles before feeds of comments, XML formats before JSON Feed, else in the order of the
        page. Where there is none, links of the same site whose path looks like a feed's.
    """
    gathered = _gather(html)
    base = absolute_url(gathered.base, url) or url
    ranked = []
    for link in gathered.links:
        target = _target(link.href, base)
        rank = _rank(link, target) if target is not None else None
        if rank is not None:
            ranked.append((rank, target))
    if ranked:
        ranked.sort(key=lambda pair: pair[0])  # stable: the page's order among equals
        return list(dict.fromkeys(target for _, target in ranked if target is not None))
    targets = (_target(href, base) for href in gathered.anchors)
    feeds = [
        target
        for target in targets
        if target is not None and _is_same_site(target, url) and _looks_like_feed(target)
    ]
    feeds.sort(key=lambda feed: _SAYS_COMMENTS.search(feed) is not None)
    return list(dict.fromkeys(feeds))


def _rank(link: _Link, target: str | None) -> tuple[bool, bool] | None:
    """How late a link comes, or None if it names no feed."""
    rels = link.rel.lower().split()
    kind = link.type.partition(";")[0].strip().lower()
    is_alternate = "alternate" in rels and "stylesheet" not in rels
    is_json = kind == _FEED_JSON or (
        kind == _JSON and _SAYS_FEED.search(f"{link.title} {target}") is not None
    )
    # HTML 4 pages say rel="feed" as well; a type must be there, for rel="alternate" says little.
    if not (is_alternate or "feed" in rels) or not (is_json or kind in _XML_TYPES):
        return None
    return _SAYS_COMMENTS.search(f"{link.title} {target}") is not None, is_json


def _target(href: str, base: str) -> str | None:
    """The absolute URL of a link, without its fragment; ``feed:`` stands for HTTP."""
    href = href.strip()
    scheme, colon, rest = href.partition(":")
    if colon and scheme.lower() == "feed":
        href = f"http:{rest}" if rest.startswith("//") else rest
    target = absolute_url(href, base)
    return None if target is None else urlunsplit(urlsplit(target)._replace(fragment=""))


def _looks_like_feed(url: str) -> bool:
    parts = urlsplit(url)
    if _PAGE_NAME.search(parts.path):
        return _FEED_QUERY.search(parts.query) is not None
    return bool(_FEED_PATH.search(parts.path) or _FEED_QUERY.search(parts.query))


def _is_same_site(url: str, page_url: str) -> bool:
    """Whether the hosts are the same, or one lies in the other, with or without ``www.``."""
    one, other = ((urlsplit(each).hostname or "").removeprefix("www.") for each in (url, page_url))
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


class _Gatherer:
    """Keeps the links of a page from the events of lxml's parser; no tree is built."""

    def __init__(self) -> None:
        self.base: str | None = None
        self.links: list[_Link] = []
        self.anchors: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        href = attributes.get("href")
        if not href:
            return
        if tag == "base" and self.base is None:
            self.base = href
        elif tag == "link" and len(self.links) < _MAX_LINKS:
            rel, kind, title = (attributes.get(name) or "" for name in ("rel", "type", "title"))
            self.links.append(_Link(href, rel, kind, title))
        elif tag == "a" and len(self.anchors) < _MAX_LINKS:
            self.anchors.append(href)

    def end(self, _tag: str) -> None:
        """An element ends."""

    def close(self) -> None:
        """The page ends."""


def _gather(html: str) -> _Gatherer:
    gatherer = _Gatherer()
    parser = etree.HTMLParser(target=gatherer, encoding="utf-8", no_network=True, huge_tree=False)
    markup = without_forbidden(html[:_MAX_CHARS])
    if not markup.strip():
        return gatherer
    for start in range(0, len(markup), _CHUNK_CHARS):
        parser.feed(markup[start : start + _CHUNK_CHARS].encode())
    parser.close()
    return gatherer
