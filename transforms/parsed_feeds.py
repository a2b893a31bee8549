"""What the parsers of feeds give, whatever a feed's format, and what they share.

``transforms.feeds`` is where to begin: it reads every format, and passes these names on.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from apache_beam.utils.timestamp import Timestamp

from schemas.records import FeedItem, PublicationDate
from transforms.dates import find_dates, parse_metadata_date

MAX_ITEMS = 20_000
"""Items that are taken from one feed; what follows is left, with a note."""
MAX_TITLE_CHARS = 2_000

_TAG = re.compile(r"<[^<>]*>")
_CLOCK_TIME = re.compile(r"\d{1,2}:\d{2}|T\d{2}")
# From 2001 to 2033; with another first digit they may be a year.
_EPOCH_DIGITS = re.compile(r"1\d{9}(?:\d{3})?")
_MAX_DIGITS = 7
_BEYOND_UNICODE = 0x110000
_UTF16_PAIR = re.compile(
    r"&#([xX][dD][89abAB][0-9a-fA-F]{2}|5[56][0-9]{3});"
    r"&#([xX][dD][c-fC-F][0-9a-fA-F]{2}|5[67][0-9]{3});"
)
_CHARACTER = re.compile(
    r"&(?:amp;)?#([xX][0-9a-fA-F]+|[0-9]+);?|[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
)
# What a feed says of its dates is kept even where they lie ahead: who dates an article judges.
_END_OF_TIME = Timestamp.from_rfc3339("9999-12-31T00:00:00Z")


class MalformedFeed(ValueError):  # noqa: N818 - it is what the data are
    """The content is no feed, or one so broken that no item can be read from it."""


class EmptyFeed(ValueError):  # noqa: N818 - it is what the data are
    """The content is a feed without items."""


class FeedEntry(NamedTuple):
    """An item of a feed, before it is told apart from others of its run."""

    item_id: str
    """Its guid, else its link, else a hash of what it says."""
    url: str | None
    """Absolute HTTP(S) URL of its page, as the feed gives it."""
    content: str
    """Its fullest text, as HTML; empty where it has none."""
    is_full_text: bool
    """Whether ``content`` came from an element that is meant for the whole text
    (``content:encoded``, Atom's ``content``, JSON Feed's ``content_html`` and ``content_text``),
    not from a summary or description."""
    about: FeedItem


@dataclass(frozen=True)
class ParsedFeed:
    """A feed with its items, and what it asks of those who poll it."""

    format: str
    """``RSS 2.0``, ``Atom 1.0``, ``JSON Feed 1.1``, ``sitemap``, ``sitemap index`` …"""
    title: str | None
    self_url: str | None
    """Where the feed says that it is (``atom:link`` with ``rel="self"``, ``feed_url``)."""
    entries: tuple[FeedEntry, ...]
    notes: tuple[str, ...] = ()
    """What is wrong with the feed, although it could be read; nothing if it is well-formed."""
    ttl_seconds: int | None = None
    """For how long it asks not to be polled again (RSS 2.0 ``ttl``, RSS 1.0 syndication module)."""
    skip_hours: tuple[int, ...] = ()
    """Hours of the day, 0 to 23 in UTC, in which it asks not to be polled."""
    skip_days: tuple[str, ...] = ()
    """Days in UTC on which it asks not to be polled, as ``Monday``."""
    sitemaps: tuple[str, ...] = ()
    """Of a sitemap index: its sitemaps, the last changed first where it says when."""


def without_forbidden(text: str) -> str:
    """Markup without what XML lets no document hold (XML 1.0, 2.2), written out or by reference.

    A reference to a character that cannot be ends feedparser, and a control character turns it to
    its parser for what is not well-formed. As in HTML (13.2.5.80) they become U+FFFD, but for the
    two that are white space; in HTML inside of XML, too, where the ampersand is escaped itself.
    Two references that make one character in UTF-16 are that character.
    """
    return _CHARACTER.sub(_allowed, _UTF16_PAIR.sub(_joined_pair, text))


def _joined_pair(match: re.Match[str]) -> str:
    high, low = _code_point(match[1]), _code_point(match[2])
    if 0xD800 <= high < 0xDC00 <= low < 0xE000:
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return match[0]


def _allowed(match: re.Match[str]) -> str:
    code = _code_point(match[1]) if match[1] else ord(match[0])
    if code in {0x9, 0xA, 0xD} or 0x20 <= code < 0xD800 or 0xE000 <= code <= 0xFFFD:
        return match[0]
    if 0x10000 <= code <= 0x10FFFF:
        return match[0]
    return " " if code in {0xB, 0xC} else "\ufffd"


def _code_point(digits: str) -> int:
    """Of the digits of a character reference; one too many where there are more than can be."""
    base = 16 if digits[0] in "xX" else 10
    significant = digits.lstrip("xX").lstrip("0") or "0"
    return int(significant, base) if len(significant) <= _MAX_DIGITS else _BEYOND_UNICODE


def plain_text(value: Any) -> str | None:
    """Text of a value that may hold markup, on one line; None where nothing is left."""
    if not value:
        return None
    # Of what was escaped more than twice, the references are not yet checked.
    text = html.unescape(without_forbidden(_TAG.sub(" ", str(value))))
    return " ".join(text.split()) or None


def plain_title(value: Any) -> str | None:
    """As ``plain_text``, cut where it is longer than any title."""
    return (plain_text(value) or "")[:MAX_TITLE_CHARS] or None


def absolute_url(link: Any, base: str | None = None) -> str | None:
    """An absolute HTTP(S) URL, or None."""
    if not link:
        return None
    try:
        url = urljoin(base or "", str(link).strip())
        parts = urlsplit(url)
    except ValueError:  # such as an unclosed bracket in the host
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None


def name_without_guid(title: str | None, date: str, content: str) -> str:
    """What an item is called that has neither a guid nor a link: a hash of what it says."""
    described = "\n".join((title or "", date, content))
    return hashlib.sha256(described.encode("utf-8", "replace")).hexdigest()[:16]


def normal_date(written: str, parsed: Any = None) -> str | None:
    """A date of a feed in ISO 8601, in UTC, as precise as it is written.

    What states its zone is read as ``transforms.dates`` reads metadata, or the text of any
    language; then as feedparser read it, which knows more forms, and takes a time without a zone
    for UTC; last a day without a time, in any language. Seconds since 1970 are read as well.

    Args:
        written: as the feed has it.
        parsed: what feedparser made of it, a ``time.struct_time`` in UTC.
    """
    written = written.strip()
    if (since_1970 := _epoch_moment(written)) is not None:
        return f"{since_1970.isoformat()}Z"
    stated = parse_metadata_date(written, "feed", _END_OF_TIME)
    if stated is not None and (stated.precision != "day" or not _CLOCK_TIME.search(written)):
        return _iso(stated)
    found = _found_date(written)
    if found is not None and found.precision != "day":
        return _iso(found)
    moment = _moment(parsed)
    if moment is None:
        return _iso(stated or found)
    has_time = _CLOCK_TIME.search(written) is not None
    return f"{moment.isoformat()}Z" if has_time else moment.date().isoformat()


def _found_date(written: str) -> PublicationDate | None:
    """The only date in a text of any language."""
    mentions = find_dates(written)
    if len(mentions) != 1 or mentions[0].day is None:
        return None
    return mentions[0].dated("feed", _END_OF_TIME)


def _iso(date: PublicationDate | None) -> str | None:
    if date is None:
        return None
    moment = datetime.fromtimestamp(date.at.micros // 1_000_000, UTC).replace(tzinfo=None)
    length = {"year": 4, "month": 7, "day": 10}.get(date.precision)
    return f"{moment.isoformat()}Z" if length is None else moment.isoformat()[:length]


def _moment(parsed: Any) -> datetime | None:
    if not parsed:
        return None
    try:
        return datetime(*parsed[:6])
    except (TypeError, ValueError):  # a year 0, a second 61
        return None


def _epoch_moment(written: str) -> datetime | None:
    """Of seconds or milliseconds since 1970."""
    if not _EPOCH_DIGITS.fullmatch(written):
        return None
    seconds = int(written) if len(written) <= 10 else int(written) // 1_000
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
