"""Sitemaps (sitemaps.org 0.9), Google News sitemaps and sitemap indexes.

Text of one XML document → a ``ParsedFeed``: an entry per ``<url>``, or the addresses of the
sitemaps that an index names. An entry has a link and no text; the elements of Google's News and
Image extensions say what it is about. Elements are known by their local names: a wrong or missing
namespace costs nothing. Read as a stream, so that no tree is built of what may be an attack; what
stands before damage is given, with a note.
"""

from __future__ import annotations

import re
from collections import defaultdict

from lxml import etree

from schemas.records import FeedItem
from transforms.parsed_feeds import (
    MAX_ITEMS,
    FeedEntry,
    MalformedFeed,
    ParsedFeed,
    absolute_url,
    normal_date,
    plain_text,
    plain_title,
    with_escaped_ampersands,
    without_forbidden,
)

SITEMAP_ROOTS = frozenset({"urlset", "sitemapindex"})
"""Local names of the root elements, in lower case."""

_CHUNK_CHARS = 64 * 1024
_MAX_ELEMENTS = 2_000_000
_MAX_FIELD_CHARS = 20_000
_MAX_DEPTH = 100
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,300}\?>")
_MAX_TAG_CHARS = 64 * 1024
_TAG = re.compile(r"<[A-Za-z_][^<>]*")
# A tag in which another begins; XML lets no attribute hold "<" (1.0, 3.1).
_CDATA_OR_OPEN_TAG = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<(?=/?[A-Za-z_][^<>]*<)", re.DOTALL
)
_FIELDS = {
    ("loc",): "loc",
    ("lastmod",): "lastmod",
    ("news", "title"): "title",
    ("news", "publication_date"): "published",
    ("news", "keywords"): "keywords",
    ("news", "publication", "name"): "publication",
    ("news", "publication", "language"): "language",
    ("news", "language"): "language",
    ("image", "loc"): "image",
}


def parse_sitemap(text: str, *, url: str | None = None) -> ParsedFeed:
    """Read a sitemap or a sitemap index.

    Args:
        text: the document, decoded.
        url: where it was fetched from, the base of addresses that are relative.

    Raises:
        MalformedFeed: it is neither, or not one of its entries can be read.
    """
    target = _Target()
    parser = etree.XMLParser(
        target=target, encoding="utf-8", recover=True, resolve_entities=False, no_network=True,
        load_dtd=False, huge_tree=False,
    )  # fmt: skip
    markup = with_escaped_ampersands(without_forbidden(_DECLARATION.sub("", text, count=1)))
    markup, unclosed = _with_closed_tags(markup)
    _check_tags(markup)
    damage = None
    for start in range(0, len(markup), _CHUNK_CHARS):
        # Lone surrogates have been replaced; nothing else cannot be encoded.
        parser.feed(markup[start : start + _CHUNK_CHARS].encode())
        if target.is_full:
            break
    try:
        parser.close()
    except etree.XMLSyntaxError as error:
        damage = str(error)
    errors = [
        f"{one.message} at line {one.line}, column {one.column}" for one in parser.feed_error_log
    ]
    if target.root not in SITEMAP_ROOTS:
        named = f"its root element is <{target.root}>" if target.root else damage or "it is empty"
        raise MalformedFeed(f"it is no sitemap: {named}")
    is_index = target.root == "sitemapindex"
    name = "sitemap index" if is_index else "sitemap"
    rows = [(_url_of(fields, url), fields) for fields in target.rows]
    located = {loc: fields for loc, fields in reversed(rows) if loc is not None}
    wrong = errors[0] if errors and not target.is_full else None
    if wrong is None and unclosed:
        wrong = f"{unclosed:,} of its tags are never closed"
    if not located and (rows or wrong or target.is_full):
        why = wrong or f"none of its {len(rows):,} entries has a usable <loc>"
        raise MalformedFeed(f"no entry of the {name} can be read: {why}")
    notes = _notes(target, len(rows) - sum(loc is not None for loc, _ in rows), wrong)
    ordered = reversed(located.items())
    if is_index:
        # The sort is stable: what says nothing of its change keeps its place after the rest.
        newest_first = sorted(
            ordered, key=lambda row: normal_date(row[1]["lastmod"]) or "", reverse=True
        )
        sitemaps = tuple(loc for loc, _ in newest_first)
        return ParsedFeed(name, None, None, (), notes, sitemaps=sitemaps)
    entries = tuple(_entry(loc, fields) for loc, fields in ordered)
    titles = {entry.about.feed_title for entry in entries} - {None}
    title = titles.pop() if len(titles) == 1 else None
    return ParsedFeed(name, title, None, entries, notes)


def _with_closed_tags(markup: str) -> tuple[str, int]:
    """Markup in which every "<" that only another follows is text, and how many were found.

    The time of lxml's parser grows with the square of the tags that are never closed.
    """
    found = 0

    def as_text(match: re.Match[str]) -> str:
        nonlocal found
        if match[0] != "<":
            return match[0]
        found += 1
        return "&lt;"

    return _CDATA_OR_OPEN_TAG.sub(as_text, markup), found


def _check_tags(markup: str) -> None:
    """Raise for a tag that is small to send and huge to parse."""
    for match in _TAG.finditer(markup):
        if len(match[0]) > _MAX_TAG_CHARS:
            line = markup.count("\n", 0, match.start()) + 1
            raise MalformedFeed(
                f"a tag of the sitemap has more than {_MAX_TAG_CHARS:,} characters, at line {line}"
            )


def _url_of(fields: dict[str, str], base: str | None) -> str | None:
    return absolute_url(fields["loc"], base)


def _notes(target: _Target, unusable: int, wrong: str | None) -> tuple[str, ...]:
    notes = []
    if wrong is not None:
        notes.append(f"it is not well-formed XML: {wrong}")
    if unusable:
        notes.append(f"{unusable:,} of its entries have no usable <loc>")
    if target.is_full:
        notes.append(f"only its first {len(target.rows):,} entries are read")
    return tuple(notes)


def _entry(loc: str, fields: dict[str, str]) -> FeedEntry:
    keywords = (plain_text(word) for word in fields["keywords"].split(","))
    about = FeedItem(
        title=plain_title(fields["title"]),
        published=normal_date(fields["published"]),
        tags=tuple(dict.fromkeys(word for word in keywords if word)),
        image_url=absolute_url(fields["image"], loc),
        language=plain_text(fields["language"]),
        feed_title=plain_title(fields["publication"]),
        updated=normal_date(fields["lastmod"]),
    )
    return FeedEntry(loc, loc, "", False, about)


class _Target:
    """Gathers the fields of the entries from the events of lxml's parser."""

    def __init__(self) -> None:
        self.root = ""
        self.rows: list[dict[str, str]] = []
        self.is_full = False
        self._path: list[str] = []
        self._depth = 0
        self._elements = 0
        self._field: str | None = None
        self._pieces: list[str] = []
        self._chars = 0

    def start(self, tag: str, _attributes: object) -> None:
        """An element begins."""
        name = _local_name(tag)
        self._depth += 1
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            self.is_full = True
        if self._depth > _MAX_DEPTH:
            return
        self.root = self.root or name
        self._path.append(name)
        if self._depth == 2 and name in {"url", "sitemap"}:
            if len(self.rows) >= MAX_ITEMS:
                self.is_full = True
            else:
                self.rows.append(defaultdict(str))
        self._field = _FIELDS.get(tuple(self._path[2:])) if len(self._path) <= 5 else None
        self._pieces = []
        self._chars = 0

    def data(self, text: str) -> None:
        """Character data, in pieces."""
        if self._field is not None and self._chars < _MAX_FIELD_CHARS:
            self._pieces.append(text[:_MAX_FIELD_CHARS])
            self._chars += len(text)

    def end(self, _tag: str) -> None:
        """An element ends."""
        if self._field is not None and self.rows and not self.is_full:
            fields = self.rows[-1]
            # The first of several images is that of the item.
            fields[self._field] = fields[self._field] or "".join(self._pieces).strip()
        self._field = None
        if self._depth <= _MAX_DEPTH and self._path:
            self._path.pop()
        self._depth -= 1

    def close(self) -> None:
        """The document ends; the fields are in ``rows``."""


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2].lower()
