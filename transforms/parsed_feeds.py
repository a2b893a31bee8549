"""What the parsers of feeds give, whatever a feed's format, and what they share.

``transforms.feeds`` is where to begin: it reads every format, and passes these names on.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from html.entities import html5
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from apache_beam.utils.timestamp import Timestamp

from schemas.records import FeedItem, PublicationDate
from transforms.dates import find_dates, parse_metadata_date

MAX_ITEMS = 20_000
"""Items that are taken from one feed; what follows is left, with a note."""
MAX_TITLE_CHARS = 2_000
MAX_SUMMARY_CHARS = 2_000

_TAG = re.compile(r"</?[A-Za-z!?][^<>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n")
_CDATA_OR_REFERENCE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:([A-Za-z][\w.\-]{0,60});|(#\d+;|#[xX][0-9a-fA-F]+;)|)",
    re.DOTALL,
)
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
# Written where there is none: the epoch of Unix, in whatever zone the writer believed to be in.
_NULL_DAY = "1970-01-01"
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
    has_recording: bool = False
    """Whether audio or video is attached to it: its text is then about that, as of a podcast."""


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


def with_escaped_ampersands(
    markup: str, declared: Collection[str] = (), *, has_html_names: bool = False
) -> str:
    """Markup with every ampersand that begins no reference written as one; CDATA is spared.

    Links and titles often forget it ("AT&T", ``?a=1&copy=2``), for which a strict parser refuses
    them and a loose one guesses.

    Args:
        markup: of an XML document.
        declared: names of the entities that it declares; references to them stay.
        has_html_names: whether the names of HTML that end in a semicolon become what they stand
            for (``&nbsp;``), which XML does not know; else they are taken for text as well.
    """

    def written_out(match: re.Match[str]) -> str:
        name = match[1]
        if not match[0].startswith("&") or match[2]:
            return match[0]
        if name is None:
            return "&amp;"
        if name in _XML_ENTITIES or name in declared:
            return match[0]
        if has_html_names and (character := html5.get(f"{name};")) is not None:
            return html.escape(character)
        return f"&amp;{match[0][1:]}"

    return _CDATA_OR_REFERENCE.sub(written_out, markup)


def paragraphs(text: str) -> str:
    """Plain text as HTML, its blank lines parting paragraphs."""
    parts = _BLANK_LINES.split(html.escape(text, quote=False).strip())
    return "".join(f"<p>{part}</p>" for part in parts)


def plain_text(value: Any, *, is_markup: bool = True) -> str | None:
    """Text of a value on one line; None where nothing is left.

    Args:
        value: a string, or what stands for one.
        is_markup: whether it may hold tags, which are left out. What is no tag stays in any case,
            as in "growth < 2 % but > 1 %".
    """
    if not value:
        return None
    # Of what was escaped more than twice, the references are not yet checked.
    markup = _TAG.sub(" ", str(value)) if is_markup else str(value)
    text = html.unescape(without_forbidden(markup))
    return " ".join(text.split()) or None


def plain_title(value: Any, *, is_markup: bool = True) -> str | None:
    """As ``plain_text``, cut where it is longer than any title."""
    return (plain_text(value, is_markup=is_markup) or "")[:MAX_TITLE_CHARS] or None


def plain_summary(value: Any, content: str, *, is_markup: bool = True) -> str | None:
    """As ``plain_text``, at most 2,000 characters of whole words; None if it is the content."""
    text = plain_text(value, is_markup=is_markup)
    if text is None or text == plain_text(content):
        return None
    if len(text) <= MAX_SUMMARY_CHARS:
        return text
    cut = text[:MAX_SUMMARY_CHARS]
    # Scripts without spaces have no word to cut at.
    return cut if text[MAX_SUMMARY_CHARS] == " " else cut.rpartition(" ")[0] or cut


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


def normal_date(written: str) -> str | None:
    """A date of a feed in ISO 8601, in UTC, as precise as it is written.

    Read as ``transforms.dates`` reads metadata, else as it reads the text of any language. Nothing
    is added that is not stated: a time without a zone that is known and possible is left out, and
    so is the date whose year, month or day may be meant in several ways. Seconds since 1970 are
    read as well; the first day of 1970 stands for no date.

    >>> normal_date("Mon, 05 Jan 2026 10:00:00 EST"), normal_date("05.01.2026 10:00")
    ('2026-01-05T15:00:00Z', '2026-01-05')
    """
    written = written.strip()
    if (since_1970 := _epoch_moment(written)) is not None:
        return f"{since_1970.isoformat()}Z"
    stated = parse_metadata_date(written, "feed", _END_OF_TIME)
    if stated is None or (stated.precision == "day" and _CLOCK_TIME.search(written)):
        # Text knows more ways to write a zone.
        found = _found_date(written)
        if found is not None and (stated is None or found.precision != "day"):
            stated = found
    date = _iso(stated)
    return None if date is None or date.startswith(_NULL_DAY) else date


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


def _epoch_moment(written: str) -> datetime | None:
    """Of seconds or milliseconds since 1970."""
    if not _EPOCH_DIGITS.fullmatch(written):
        return None
    seconds = int(written) if len(written) <= 10 else int(written) // 1_000
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
