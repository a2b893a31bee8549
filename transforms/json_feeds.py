"""JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org/version/1.1/).

Text of one JSON document → a ``ParsedFeed``. A member of a wrong type costs that member alone and
is noted; a document that is not JSON costs all, for there is no telling what is missing in it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from schemas.records import FeedItem
from transforms.parsed_feeds import (
    MAX_ITEMS,
    FeedEntry,
    MalformedFeed,
    ParsedFeed,
    absolute_url,
    name_without_guid,
    normal_date,
    paragraphs,
    plain_summary,
    plain_text,
    plain_title,
    without_forbidden,
)

_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/([\w.]{1,20})/?\Z")
_VERSION_MEMBER = re.compile(r'(?<!\\)"version"\s*:\s*"https?:(?:\\?/){2}(?:www\.)?jsonfeed\.org')
_KNOWN_VERSIONS = frozenset({"1", "1.0", "1.1"})
_MAX_PARTS = 1_000_000
_IMAGE_TYPE = "image/"


def states_json_feed(text: str) -> bool:
    """Whether a JSON document says of itself that it is a JSON Feed."""
    return _VERSION_MEMBER.search(text) is not None


def parse_json_feed(text: str, *, url: str | None = None) -> ParsedFeed:
    """Read a JSON Feed.

    Args:
        text: the document, decoded.
        url: where it was fetched from, the base of relative links after its own addresses.

    Raises:
        MalformedFeed: it is no JSON, with what is wrong and where, or JSON that is no feed.
    """
    document = _load(text)
    if not isinstance(document, dict):
        raise MalformedFeed("it is JSON, but no JSON Feed: it is not an object")
    reader = _Reader()
    stated = document.get("version")
    version = _VERSION.match(stated) if isinstance(stated, str) else None
    items = document.get("items")
    if not isinstance(items, list):
        if version is None:
            raise MalformedFeed("it is JSON, but no JSON Feed: it has no list of items")
        what = "no items" if items is None else f"items that are {_type_name(items)}, not a list"
        raise MalformedFeed(f"the JSON Feed has {what}")
    if version is None:
        reader.note("it states no version of JSON Feed")
    elif version[1] not in _KNOWN_VERSIONS:
        reader.note(f"its version is {version[1]!r}; known are 1.0 and 1.1")
    feed_url = absolute_url(reader.link(document, "feed_url", "the feed"), url)
    site = absolute_url(reader.link(document, "home_page_url", "the feed"), url or feed_url)
    base = site or url or feed_url
    feed = _Feed(
        title=plain_title(reader.text(document, "title", "the feed"), is_markup=False),
        language=reader.text(document, "language", "the feed"),
        authors=reader.authors(document, "the feed"),
        base=base,
    )
    if len(items) > MAX_ITEMS:
        reader.note(f"only its first {MAX_ITEMS:,} of {len(items):,} items are read")
    entries = []
    for number, item in enumerate(items[:MAX_ITEMS], 1):
        where = f"item {number:,}"
        if isinstance(item, dict):
            entries.append(_read_item(reader, item, where, feed))
        else:
            reader.note(f"{where} is {_type_name(item)}, not an object")
    if items and not entries:
        raise MalformedFeed(f"no item of the JSON Feed can be read: {reader.notes()[-1]}")
    named = f"JSON Feed {'1.0' if version[1] == '1' else version[1]}" if version else "JSON Feed"
    return ParsedFeed(named, feed.title, feed_url, tuple(entries), reader.notes())


def _load(text: str) -> Any:
    # What is nested or listed costs some hundred bytes of memory for each of its characters.
    parts = sum(text.count(character) for character in "[{,")
    if parts > _MAX_PARTS:
        raise MalformedFeed(f"its JSON has {parts:,} parts; at most {_MAX_PARTS:,} are read")
    try:
        # Numbers are kept as they are written: an id may have more digits than a number can.
        return json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_Number, strict=False
        )
    except json.JSONDecodeError as error:
        raise MalformedFeed(
            f"it is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise MalformedFeed("its JSON is nested too deeply to be read") from error


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


class _Feed:
    """What the items of a feed inherit from it."""

    def __init__(
        self,
        title: str | None,
        language: str | None,
        authors: tuple[str, ...],
        base: str | None,
    ) -> None:
        self.title = title
        self.language = language
        self.authors = authors
        self.base = base


class _Reader:
    """Reads members of objects, and notes those of a wrong type; of each name the first."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def note(self, message: str, key: str | None = None) -> None:
        """Keep a note, unless there is one with its key."""
        self._notes.setdefault(key or message, message)

    def notes(self) -> tuple[str, ...]:
        """All of them, in the order of their first cause."""
        return tuple(self._notes.values())

    def text(self, owner: dict[str, Any], name: str, where: str) -> str | None:
        """A member that must be a string."""
        value = self._member(owner, name, where, str, "a string")
        # JSON can write half of a pair of surrogates, which is no character.
        return without_forbidden(value) if value else None

    def link(self, owner: dict[str, Any], name: str, where: str) -> str | None:
        """A member that must be a string and no number: numbers are no addresses."""
        if isinstance(owner.get(name), _Number):
            self.note(f"{name} of {where} is a number, not a string", name)
            return None
        return self.text(owner, name, where)

    def texts(self, owner: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
        """A member that must be a list of strings."""
        members = self._member(owner, name, where, list, "a list") or []
        texts = (plain_text(one) for one in members if isinstance(one, str))
        return tuple(dict.fromkeys(text for text in texts if text))

    def objects(self, owner: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
        """A member that must be a list of objects."""
        members = self._member(owner, name, where, list, "a list") or []
        return [one for one in members if isinstance(one, dict)]

    def authors(self, owner: dict[str, Any], where: str) -> tuple[str, ...]:
        """Names in ``authors`` (1.1), else in ``author`` (1.0)."""
        authors = self.objects(owner, "authors", where)
        if not authors:
            one = self._member(owner, "author", where, dict, "an object")
            authors = [one] if one else []
        names = (plain_text(self.text(author, "name", where)) for author in authors)
        return tuple(dict.fromkeys(name for name in names if name and "@" not in name))

    def _member(self, owner: dict[str, Any], name: str, where: str, kind: type, wanted: str) -> Any:
        value = owner.get(name)
        if value is None:
            return None
        if not isinstance(value, kind):
            self.note(f"{name} of {where} is {_type_name(value)}, not {wanted}", name)
            return None
        return value or None


def _type_name(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        _Number: "a number",
        bool: "a truth value",
    }
    return names.get(type(value), "null")


def _read_item(reader: _Reader, item: dict[str, Any], where: str, feed: _Feed) -> FeedEntry:
    url = absolute_url(reader.link(item, "url", where), feed.base)
    url = url or absolute_url(reader.link(item, "external_url", where), feed.base)
    guid = reader.text(item, "id", where)
    title = plain_title(reader.text(item, "title", where), is_markup=False)
    summary = reader.text(item, "summary", where)
    full_text = reader.text(item, "content_html", where)
    if not plain_text(full_text):
        written = reader.text(item, "content_text", where)
        full_text = paragraphs(written) if written else full_text
    published = reader.text(item, "date_published", where) or ""
    content = full_text or (paragraphs(summary) if summary else "")
    about = FeedItem(
        guid=guid,
        title=title,
        authors=reader.authors(item, where) or feed.authors,
        published=normal_date(published),
        summary=plain_summary(summary, content, is_markup=False),
        tags=reader.texts(item, "tags", where),
        image_url=_image_url(reader, item, where, url or feed.base),
        language=reader.text(item, "language", where) or feed.language,
        feed_title=feed.title,
        updated=normal_date(reader.text(item, "date_modified", where) or ""),
    )
    name = guid or url or name_without_guid(title, published, content)
    recorded = _has_recording(reader, item, where)
    return FeedEntry(name, url, content, bool(full_text), about, recorded)


def _has_recording(reader: _Reader, item: dict[str, Any], where: str) -> bool:
    kinds = (
        reader.text(attachment, "mime_type", where) or ""
        for attachment in reader.objects(item, "attachments", where)
    )
    return any(kind.lower().startswith(("audio/", "video/")) for kind in kinds)


def _image_url(reader: _Reader, item: dict[str, Any], where: str, base: str | None) -> str | None:
    for name in ("image", "banner_image"):
        image = absolute_url(reader.link(item, name, where), base)
        if image is not None:
            return image
    for attachment in reader.objects(item, "attachments", where):
        kind = reader.text(attachment, "mime_type", where) or ""
        image = absolute_url(reader.link(attachment, "url", where), base)
        if image is not None and kind.lower().startswith(_IMAGE_TYPE):
            return image
    return None
