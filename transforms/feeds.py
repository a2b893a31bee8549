"""Saved feeds: the items of an RSS 0.9x to 2.0, RSS 1.0 (RDF) or Atom document.

Bytes of one feed → one ``Page`` of kind ``feed-item`` per item. Read with feedparser, which also
gives the items of feeds that are not well-formed. An item's content is what the feed gives most
fully (``content:encoded`` or Atom's ``content`` before a summary), as HTML in UTF-8.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parseaddr
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import feedparser
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FeedItem, Page
from transforms.archives import PartOrigins
from transforms.decoding import UndecodableText, decode_text

_CLOCK_TIME = re.compile(r"\d{1,2}:\d{2}|T\d{2}")
_TAG = re.compile(r"<[^<>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n")
_IMAGE_NAME = re.compile(r"\.(?:avif|gif|jpe?g|png|webp)(?:[?#]|$)", re.IGNORECASE)
_MAX_ID_CHARS = 500
_MAX_TITLE_CHARS = 2_000
_MAX_DIGITS = 7
_BEYOND_UNICODE = 0x110000
_UTF16_PAIR = re.compile(
    r"&#([xX][dD][89abAB][0-9a-fA-F]{2}|5[56][0-9]{3});"
    r"&#([xX][dD][c-fC-F][0-9a-fA-F]{2}|5[67][0-9]{3});"
)
_CHARACTER = re.compile(
    r"&(?:amp;)?#([xX][0-9a-fA-F]+|[0-9]+);?|[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
)
# feedparser's handlers of rare elements (geometry, chapters, text inputs) take for granted that
# their tags come in pairs and with all attributes, and fail in these ways where they do not.
_PARSER_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_TAG_OF_NO_CONCERN = re.compile(
    r"</?(?:(?!(?:atom|content|dc|dcterms|feedburner|media|rdf|rss|xhtml)\d*:)[a-z][\w.\-]{0,40}:\w"
    r"|textinput\b)[^<>]*>",
    re.IGNORECASE,
)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,300}\?>")


class MalformedFeed(ValueError):  # noqa: N818 - it is what the data are
    """The content is no feed, or one so broken that no item can be read from it."""


class EmptyFeed(ValueError):  # noqa: N818 - it is what the data are
    """The content is a feed without items."""


def read_feed(
    content: bytes,
    uri: str,
    observed_at: Timestamp,
    *,
    max_payload_bytes: int,
    charset: str | None = None,
) -> Iterator[Page | Failure]:
    """Give the items of a feed as pages, and a failure for each that has nothing to read.

    Args:
        content: the feed, decompressed.
        uri: of the file, for the origins.
        observed_at: when the feed was seen.
        max_payload_bytes: how much of an item's text a failure keeps.
        charset: stated outside the feed.

    Raises:
        MalformedFeed: no item can be read, with what is wrong and where.
        EmptyFeed: it is a feed, and holds no item.
    """
    try:
        text = decode_text(content, charset, html=True).text
    except UndecodableText as error:
        raise MalformedFeed(str(error)) from error
    parsed = _parse(_XML_DECLARATION.sub("", _without_forbidden(text), count=1))
    if not parsed.entries:
        if parsed.version and not _is_fatal(parsed):
            raise EmptyFeed(f"the {_format_name(parsed.version)} feed has no items")
        raise MalformedFeed(_what_is_wrong(parsed))
    feed = parsed.feed
    feed_url = _link(feed, "self")
    base = feed_url or _absolute(feed.get("link"))
    origins = PartOrigins(uri)
    for entry in parsed.entries:
        item = _read_item(entry, feed, base)
        origin = origins.of(item.item_id[:_MAX_ID_CHARS])
        if item.url is None and not _plain(item.content):
            named = f"the item {item.about.title!r}" if item.about.title else "an item"
            yield Failure(
                kind="rejected",
                stage="read",
                reason="empty-item",
                message=f"{named} has neither a link nor text",
                origin=origin,
                source_uri=uri,
                observed_at=observed_at,
                payload=(item.about.title or "").encode()[:max_payload_bytes],
            )
            continue
        yield Page(
            origin=origin,
            source_uri=uri,
            kind="feed-item",
            content=item.content.encode("utf-8", "replace"),
            observed_at=observed_at,
            charset="utf-8",
            url=item.url,
            feed_url=feed_url,
            item=item.about,
        )


def _parse(markup: str) -> Any:
    """What feedparser makes of a feed, for a second time without the tags of no concern here."""
    try:
        return _parse_once(markup)
    except _PARSER_FAULTS as error:
        what = f"{type(error).__name__}: {error}"
        fault = MalformedFeed(f"the feed parser cannot take its markup ({what[:200]})")
    try:
        parsed = _parse_once(_TAG_OF_NO_CONCERN.sub("", markup))
    except _PARSER_FAULTS:
        raise fault from None
    if not parsed.entries:
        raise fault
    return parsed


def _parse_once(markup: str) -> Any:
    # Never a string: feedparser would take one that names a file or a URL for that. And never its
    # own reading of the encoding, which trips over declarations that state none.
    encoded = io.BytesIO(f'<?xml version="1.0" encoding="utf-8"?>{markup}'.encode())
    headers = {"content-type": "application/xml; charset=utf-8"}
    return feedparser.parse(encoded, sanitize_html=False, response_headers=headers)


def _without_forbidden(text: str) -> str:
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


def _is_fatal(parsed: Any) -> bool:
    return bool(parsed.bozo) and not isinstance(
        parsed.bozo_exception, feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType
    )


def _what_is_wrong(parsed: Any) -> str:
    error = parsed.get("bozo_exception")
    if not parsed.version and error is None:
        return "its root element is not one of RSS, Atom or RDF"
    name = _format_name(parsed.version) if parsed.version else "feed"
    get_line = getattr(error, "getLineNumber", None)
    if get_line is None:
        return f"no item of the {name} can be read: {error}"
    return (
        f"no item of the {name} can be read: {error.getMessage()} "
        f"at line {get_line()}, column {error.getColumnNumber()}"
    )


def _format_name(version: str) -> str:
    """``rss20`` as people write it."""
    match = re.fullmatch(r"(rss|atom|cdf)(\d)?(\d+)?.*", version)
    if match is None:
        return version
    number = ".".join(part for part in match.groups()[1:] if part)
    name = "Atom" if match.group(1) == "atom" else match.group(1).upper()
    return f"{name} {number}".strip()


class _Item(NamedTuple):
    item_id: str
    url: str | None
    content: str
    about: FeedItem


def _read_item(entry: Any, feed: Any, base: str | None) -> _Item:
    """What an entry says, its relative links resolved against the feed's own address."""
    content, content_language = _content(entry)
    url = _absolute(entry.get("feedburner_origlink"), base) or _absolute(entry.get("link"), base)
    guid = entry.get("id") or None
    title = (_plain(entry.get("title")) or "")[:_MAX_TITLE_CHARS] or None
    described = "\n".join((title or "", str(entry.get("published", "")), content))
    digest = hashlib.sha256(described.encode("utf-8", "replace")).hexdigest()[:16]
    about = FeedItem(
        guid=guid,
        title=title,
        authors=_authors(entry),
        published=_published(entry),
        summary=_plain(entry.get("summary")),
        tags=_tags(entry),
        image_url=_image_url(entry, url or base),
        language=content_language or feed.get("language") or None,
        feed_title=_plain(feed.get("title")),
        rights=_plain(entry.get("rights")) or _plain(feed.get("rights")),
    )
    return _Item(guid or url or digest, url, content, about)


def _content(entry: Any) -> tuple[str, str | None]:
    """The fullest text of an item as HTML, and the language stated for it."""
    candidates = [part for part in entry.get("content", []) if part.get("value")]
    if entry.get("summary"):
        candidates.append(entry.get("summary_detail") or {"value": entry["summary"]})
    if not candidates:
        return "", None
    # A feed that carries both may put the teaser in either element: the longer one is the text.
    best = max(candidates, key=lambda part: len(_plain(part.get("value")) or ""))
    value = str(best.get("value") or "")
    if best.get("type") == "text/plain":
        paragraphs = _BLANK_LINES.split(html.escape(value, quote=False).strip())
        value = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return value, best.get("language") or None


def _plain(value: Any) -> str | None:
    """Text of a value that may hold markup, on one line; None where nothing is left."""
    if not value:
        return None
    # Of what was escaped more than twice, the references are not yet checked.
    text = html.unescape(_without_forbidden(_TAG.sub(" ", str(value))))
    return " ".join(text.split()) or None


def _absolute(link: Any, base: str | None = None) -> str | None:
    """An absolute HTTP(S) URL, or None."""
    if not link:
        return None
    try:
        url = urljoin(base or "", str(link).strip())
        parts = urlsplit(url)
    except ValueError:  # such as an unclosed bracket in the host
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None


def _link(element: Any, relation: str) -> str | None:
    for link in element.get("links", []):
        if link.get("rel") == relation:
            return _absolute(link.get("href"))
    return None


def _authors(entry: Any) -> tuple[str, ...]:
    stated = str(entry.get("author") or "")
    names = [_plain(author.get("name")) for author in entry.get("authors", []) if author]
    if "@" in stated:
        # feedparser knows only addresses of short domains, and takes pieces of others for names.
        names = [_plain(parseaddr(stated)[0])]
    elif not any(names):
        names = [_plain(stated)]
    return tuple(dict.fromkeys(name for name in names if name and "@" not in name))


def _published(entry: Any) -> str | None:
    """ISO 8601 in UTC; without a time of day where the feed states none."""
    for name in ("published", "created", "updated"):
        # Not entry.get: feedparser would stand in one date for the other.
        moment, written = dict.get(entry, f"{name}_parsed"), str(dict.get(entry, name) or "")
        if not moment:
            continue
        try:
            at = datetime(*moment[:6])
        except ValueError:  # a year 0, a second 61
            continue
        if _CLOCK_TIME.search(written):
            return f"{at.isoformat()}Z"
        return at.date().isoformat()
    return None


def _tags(entry: Any) -> tuple[str, ...]:
    terms = (_plain(tag.get("label") or tag.get("term")) for tag in entry.get("tags", []))
    return tuple(dict.fromkeys(term for term in terms if term))


def _image_url(entry: Any, base: str | None) -> str | None:
    media = [
        *entry.get("media_content", []),
        *entry.get("media_thumbnail", []),
        *entry.get("enclosures", []),
    ]
    for part in media:
        link = part.get("url") or part.get("href")
        kind = str(part.get("medium") or part.get("type") or "").lower()
        # A thumbnail states no type; a video says that it is one.
        if not kind.startswith("image") and (kind or not _IMAGE_NAME.search(str(link))):
            continue
        url = _absolute(link, base)
        if url is not None:
            return url
    image = entry.get("image")
    return _absolute(image.get("href"), base) if hasattr(image, "get") else None
