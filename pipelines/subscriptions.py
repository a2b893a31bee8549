"""Which feeds a run is told to poll: URLs, plain lists, OPML files and TOML settings, made one.

What a user names after ``--feeds`` → a ``Subscription`` per feed, sorted by URL, and notes. A file
is read for what is in it: OPML 2.0 (opml.org/spec2.opml) as readers export it, settings where its
name ends in ``.toml``, else a list with one URL a line. A feed that is named several times is one
subscription, with the tags of all; for anything else the more explicit place counts::

    URL or list  <  OPML  <  [defaults] of a TOML file  <  its [[feed]]

Every mistake in what a person wrote is an error that says where it stands. The odd entries that
readers export are passed over with a note instead. Headers may hold secrets: no message, note or
``repr`` of this module shows their values.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import httpx
import listparser
from lxml import etree

from pipelines.config import UsageError, parse_duration_seconds
from schemas.records import Subscription
from transforms.decoding import BinaryContent, UndecodableText, decode_text

MAX_FILE_BYTES = 32 << 20
"""Of a list of feeds."""
MAX_OUTLINE_DEPTH = 100
"""Folders in folders of an OPML file."""
MAX_URL_CHARACTERS = 4_000
_SHOWN_CHARACTERS = 120

_LISTED, _OUTLINED, _DEFAULT, _STATED = range(4)
"""How explicit a setting is: see the module's text."""

_FEED_SCHEME = re.compile(r"feed:(?://)?(?=https?:)|feed:(?=//)", re.IGNORECASE)
_WEB_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_WEB_OR_FEED = re.compile(r"(?:https?|feed):", re.IGNORECASE)
_HOST = re.compile(
    r"(?=.{1,254}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    r"(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
    r"|[0-9a-f:.]*:[0-9a-f:.]*"
)
_UNPRINTABLE = re.compile(
    r"[\0-\x20\x7f-\xa0\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ROOT = re.compile(
    r"(?>\s|<\?(?s:.*?)\?>|<!--(?s:.*?)-->|<!DOCTYPE[^\[>]*+(?:\[(?s:.*?)\]\s*+)?+>)*+"
    r"<(?:[\w.-]{1,40}:)?([A-Za-z][\w.-]{0,40})",
    re.IGNORECASE,
)
_FEED_ROOTS = frozenset({"rss", "feed", "rdf"})
_JSON_FEED = re.compile(r"""\s*\{[^{}]*"https?://(?:www\.)?jsonfeed\.org/version/""")
_JSON_START = re.compile(r'\s*[\[{]\s*["{\]}]')

# RFC 5646, section 2.1, as far as its shape goes.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[!-~](?:[\t -~]*[!-~])?")
_OWN_HEADERS = frozenset(
    {
        # Hop by hop, or of the message's form (RFC 9110, sections 6.6, 7.6 and 8.6; RFC 9112).
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade",),
        # Which newsbeam sets, and relies on.
        *("accept-encoding", "if-modified-since", "if-none-match", "if-range", "range"),
        *("user-agent",),
    }
)
_FROM_ENVIRONMENT = "env:"


class Subscriptions(NamedTuple):
    """The feeds that a run is told to poll."""

    feeds: tuple[Subscription, ...]
    """Sorted by URL, each URL once; in the order of the file where one file was read."""
    notes: tuple[str, ...]
    """What was passed over, a sentence each."""


@dataclass(frozen=True)
class Given:
    """What one place says of one feed."""

    url: str
    explicitness: int
    where: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """By the names of the fields of ``Subscription``; only those that are set."""


@dataclass(frozen=True)
class FeedSettings:
    """What a TOML file says."""

    include: tuple[str, ...]
    """Files with feeds, relative to the TOML file."""
    feeds: tuple[Given, ...]
    """Its own feeds, in its order, without the defaults."""
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For its own feeds and the included, as ``Given.settings``."""


def read_subscriptions(
    given: Sequence[str], *, environment: Mapping[str, str] = os.environ
) -> Subscriptions:
    """Give the feeds that the arguments name, each once.

    The order of the arguments counts for two things only: tags stand in it, and the first of
    several titles in OPML files is taken.

    Args:
        given: URLs of feeds or of sites that have one, and local files.
        environment: where headers of the form ``env:NAME`` are looked up.

    Raises:
        UsageError: an argument, or what is in its file, cannot be used.
    """
    by_url: dict[str, list[Given]] = {}
    notes: list[str] = []
    for argument in given:
        found, said = _read_argument(argument, environment)
        notes += said
        for one in found:
            by_url.setdefault(one.url, []).append(one)
    feeds = tuple(_merged(url, by_url[url]) for url in sorted(by_url))
    return Subscriptions(feeds, tuple(dict.fromkeys(notes)))


def _read_argument(argument: str, environment: Mapping[str, str]) -> tuple[list[Given], list[str]]:
    if _WEB_OR_FEED.match(argument.strip()):
        return [Given(subscription_url(argument), _LISTED, "the command")], []
    content = _file_content(argument)
    if _is_settings(argument):
        return _read_settings(argument, content, environment)
    return _read_plain(argument, content)


def _is_settings(path: str) -> bool:
    return path.lower().endswith(".toml")


def _file_content(path: str) -> bytes:
    if "://" in path:
        raise UsageError(
            f"{_shown(path)} is no http or https URL; lists of feeds are read from local files only"
        )
    try:
        if Path(path).is_dir():
            raise UsageError(f"{_shown(path)} is a folder, where a list of feeds was expected")
        if not Path(path).is_file():
            raise UsageError(
                f"{_shown(path)} is neither a file with feeds nor a URL; "
                "a URL begins with https:// or http://"
            )
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{_shown(path)} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{_shown(path)} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return content


def _read_plain(path: str, content: bytes) -> tuple[list[Given], list[str]]:
    """The feeds of a file that is OPML or a list."""
    text = _text_of(content, path)
    if _root_of(text) == "opml":
        return _read_outlined(path, content)
    _check_is_list(text, path)
    found = parse_list(text, path)
    if not found:
        raise UsageError(f"{_shown(path)} names no feed")
    return [Given(one.url, _LISTED, _shown(path)) for one in found], []


def _read_outlined(path: str, content: bytes) -> tuple[list[Given], list[str]]:
    feeds, notes = parse_opml(content, path)
    if not feeds:
        because = f" ({notes[0]})" if notes else ""
        raise UsageError(f"{_shown(path)} is OPML that names no feed{because}")
    found = []
    for one in feeds:
        settings: dict[str, Any] = {"tags": one.tags}
        if one.title:
            settings["title"] = one.title
        found.append(Given(one.url, _OUTLINED, _shown(path), settings))
    return found, list(notes)


def _check_is_list(text: str, path: str) -> None:
    where, root = _shown(path), _root_of(text)
    if root in _FEED_ROOTS or _JSON_FEED.search(text[:2_000]):
        raise UsageError(
            f"{where} is itself a feed; give it as a source, without --feeds, to read its items"
        )
    if root is not None:
        raise UsageError(f"{where} is neither OPML nor a list of URLs: it begins with <{root}>")
    if _JSON_START.match(text):
        raise UsageError(f"{where} is JSON, where OPML, TOML or a list of URLs was expected")


def _text_of(content: bytes, where: str) -> str:
    try:
        return decode_text(content, html=True).text
    except BinaryContent as error:
        raise UsageError(
            f"{_shown(where)} is binary, where a list of feeds was expected"
        ) from error
    except UndecodableText as error:
        raise UsageError(f"{_shown(where)} is no text: {error}") from error


def _root_of(text: str) -> str | None:
    """Name of the root element without its prefix, in lower case; None where there is none."""
    match = _ROOT.match(text)
    return match[1].lower() if match else None


def subscription_url(text: str) -> str:
    """A feed's URL in the one form it has everywhere.

    Scheme and host are in lower case, the host in ASCII (IDNA 2008), an empty path is ``/``, and
    what is not ASCII is percent-encoded; default port and fragment are left out, and the ``feed:``
    of feed readers (``feed://host/path``, ``feed:https://host/path``) is resolved.

    >>> subscription_url("HTTPS://News.Example:443#top"), subscription_url("feed://news.example/a")
    ('https://news.example/', 'http://news.example/a')

    Raises:
        UsageError: it is no absolute http or https URL, or has a user's name in it.
    """
    url = _FEED_SCHEME.sub("", text.strip(), count=1)
    url = f"http:{url}" if url.startswith("//") else url
    shown = _shown(_without_user(text))
    if not _WEB_SCHEME.match(url):
        raise UsageError(f"{shown} is no http or https URL")
    if len(url) > MAX_URL_CHARACTERS:
        raise UsageError(f"{shown} is longer than {MAX_URL_CHARACTERS} characters")
    if _UNPRINTABLE.search(url):
        raise UsageError(
            f"{shown} holds white space, a control character or one that cannot be seen"
        )
    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
        host = parsed.raw_host.decode("ascii") if parsed.host else ""  # which decodes IDNA
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{shown} is no valid URL") from error
    if parsed.userinfo:
        raise UsageError(
            f"{shown} has a name or password in it, which would be written down; "
            'put them into a TOML file: headers = { Authorization = "env:NAME" }'
        )
    port = 80 if parsed.port is None else parsed.port
    if not _HOST.fullmatch(host) or not 0 < port < 65_536:
        raise UsageError(f"{shown} names no valid host and port")
    return str(parsed.copy_with(path="/") if parsed.path == "/" else parsed)


def parse_list(text: str, where: str) -> list[Subscription]:
    """Give the feeds of a plain list: one URL a line, ``#`` for a comment, after white space too.

    Args:
        text: of the list.
        where: the file's name, for messages.

    Raises:
        UsageError: a line is no URL; file and line are named.
    """
    found: dict[str, Subscription] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        if entry.endswith((",", ";")):
            raise UsageError(
                f"{_shown(where)}, line {number}: {_shown(_without_user(entry))} ends in "
                f"{entry[-1]!r}; write one URL a line and nothing after it"
            )
        try:
            url = subscription_url(entry)
        except UsageError as error:
            raise UsageError(f"{_shown(where)}, line {number}: {error}") from error
        found[url] = Subscription(url)
    return list(found.values())


class _Outlines:
    """A target for lxml's parsers: the outlines of a document, written anew and nothing else."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._depth = 0
        self._open: dict[str, str] | None = None
        """Attributes of the innermost outline, until something stands in it."""
        self.written: list[str] = []
        self.notes: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        if _local(tag) != "outline":
            return
        self._depth += 1
        if self._depth > MAX_OUTLINE_DEPTH:
            raise UsageError(
                f"{_shown(self._where)} has more than {MAX_OUTLINE_DEPTH} folders in each other"
            )
        self._open = {_local(name): _one_line(value) for name, value in attributes.items()}
        pairs = "".join(
            f" {name}={quoteattr(self._open[name])}"
            for name in ("text", "title", "type", "xmlurl", "htmlurl", "url", "category")
            if name in self._open
        )
        self.written.append(f"<outline{pairs}>")

    def end(self, tag: str) -> None:
        """End an element."""
        if _local(tag) != "outline" or self._depth == 0:
            return
        self._depth -= 1
        self.written.append("</outline>")
        if self._open is not None:
            self._note(self._open)
            self._open = None

    def data(self, text: str) -> None:
        """Pass over text: OPML keeps all in attributes."""

    def comment(self, text: str) -> None:
        """Pass over a comment."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Pass over a processing instruction."""

    def close(self) -> _Outlines:
        """Itself, at the end of the document."""
        return self

    def _note(self, outline: Mapping[str, str]) -> None:
        """Say so where an outline with nothing in it gives no feed."""
        kind = outline.get("type", "").lower()
        name = _shown(outline.get("text") or outline.get("title") or "")
        label = f"{_shown(self._where)}: the entry {name}"
        if kind == "source" or (kind in ("include", "link") and "xmlurl" not in outline):
            self.notes.append(f"{label} is another list, which is not followed")
        elif not outline.get("xmlurl") and outline.get("htmlurl"):
            site = _shown(_without_user(outline["htmlurl"]))
            self.notes.append(
                f"{label} names no feed, only the site {site}, which can be given itself"
            )
        elif not outline.get("xmlurl"):
            self.notes.append(f"{label} names no feed")


def parse_opml(content: bytes, where: str) -> Subscriptions:
    """Give the feeds of an OPML file, in its order, with their titles and tags.

    An entry's tags are those of its ``category`` attribute and the folders it is in, outermost
    first. An entry without a usable feed URL is passed over with a note, and so is another list
    that is to be included. What is not well-formed is read as browsers read HTML, with a note, too.

    Args:
        content: the file, in any encoding that it states.
        where: the file's name, for messages.

    Raises:
        UsageError: it is not OPML, or folders are nested too deep.
    """
    text = _text_of(content, where)
    if _root_of(text) != "opml":
        raise UsageError(f"{_shown(where)} is not OPML")
    notes: list[str] = []
    try:
        outlines = _outlines(content, where)
    except etree.XMLSyntaxError as error:
        notes.append(
            f"{_shown(where)} is not well-formed XML ({_one_line(str(error.msg))}): "
            "it was read as far as it can be made out"
        )
        outlines = _outlines_leniently(text, where)
    document = f"<opml><body>{''.join(outlines.written)}</body></opml>"
    feeds: dict[str, Subscription] = {}
    parsed = listparser.parse(document.encode("ascii", "xmlcharrefreplace"))
    for feed in parsed["feeds"]:
        title = _one_line(feed["title"]) or None
        try:
            url = subscription_url(feed["url"])
        except UsageError as error:
            notes.append(f"{_shown(where)}: the entry {_shown(title or '')} is left out: {error}")
            continue
        tags = tuple(_one_line(tag) for path in feed["categories"] for tag in path)
        earlier = feeds.get(url, Subscription(url))
        feeds[url] = Subscription(
            url,
            title=earlier.title or title,
            tags=tuple(dict.fromkeys(tag for tag in earlier.tags + tags if tag)),
        )
    return Subscriptions(tuple(feeds.values()), tuple(notes + outlines.notes))


def _outlines(content: bytes, where: str) -> _Outlines:
    # libxml2 refuses entities that grow beyond measure; nothing is read from elsewhere.
    parser = etree.XMLParser(
        target=_Outlines(where), resolve_entities="internal", no_network=True, load_dtd=False
    )
    outlines: _Outlines = etree.fromstring(content, parser)
    return outlines


def _outlines_leniently(text: str, where: str) -> _Outlines:
    parser = etree.HTMLParser(target=_Outlines(where), recover=True)
    outlines: _Outlines = etree.fromstring(text.encode("ascii", "xmlcharrefreplace"), parser)
    return outlines


def _local(name: str) -> str:
    """An element's or attribute's name without its namespace, in lower case."""
    return re.split("[}:]", name)[-1].lower()


def parse_settings(
    content: bytes, where: str, *, environment: Mapping[str, str] = os.environ
) -> FeedSettings:
    """Read a TOML file of feeds: ``include``, ``[defaults]`` and ``[[feed]]``.

    Args:
        content: the file, in UTF-8 as TOML asks for.
        where: the file's name, for messages.
        environment: where headers of the form ``env:NAME`` are looked up.

    Raises:
        UsageError: it is no TOML, has a key that is not known, or a value that is no such setting;
            file, feed and key are named.
    """
    place = _shown(where)
    try:
        read = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{place} is not in UTF-8, as TOML has to be") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits is no TOML error
        raise UsageError(f"{place} is no valid TOML: {_one_line(str(error))}") from error
    for key in read:
        if key not in ("include", "defaults", "feed"):
            raise UsageError(
                f"{place}: {_shown(key)} is not known; there are include, [defaults] and [[feed]]"
            )
    include = read.get("include", [])
    if not isinstance(include, list) or not all(isinstance(one, str) and one for one in include):
        raise UsageError(f"{place}: include is no list of file names")
    defaults = read.get("defaults", {})
    if not isinstance(defaults, dict):
        raise UsageError(f"{place}: defaults is no table; write [defaults]")
    feeds = read.get("feed", [])
    if not isinstance(feeds, list) or not all(isinstance(one, dict) for one in feeds):
        raise UsageError(f"{place}: feed is no array of tables; write [[feed]]")
    reader = _SettingsReader(environment)
    return FeedSettings(
        include=tuple(include),
        feeds=tuple(_stated_feed(reader, table, place, at) for at, table in enumerate(feeds, 1)),
        defaults=reader.read(defaults, f"{place}: defaults", _DEFAULTS),
    )


def _stated_feed(
    reader: _SettingsReader, table: Mapping[str, Any], place: str, position: int
) -> Given:
    here = f"{place}: feed {position}"
    if not isinstance(table.get("url"), str):
        raise UsageError(f'{here} has no url; write url = "https://…"')
    try:
        url = subscription_url(table["url"])
    except UsageError as error:
        raise UsageError(f"{here}: url: {error}") from error
    others = {key: value for key, value in table.items() if key != "url"}
    return Given(url, _STATED, place, reader.read(others, f"{place}: feed {_shown(url)}", _FEED))


class _SettingsReader:
    """Reads settings from TOML, and names the key of one that cannot be used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def read(self, table: Mapping[str, Any], place: str, known: Sequence[str]) -> dict[str, Any]:
        """Give settings by the fields of ``Subscription``.

        Raises:
            UsageError: a key is not known, or its value is no such setting.
        """
        settings: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                raise UsageError(
                    f"{place}: {_shown(key)} is not known here; there are {', '.join(known)}"
                )
            try:
                if key == "headers":
                    settings["headers"] = self._headers(value)
                else:
                    setting = _SETTINGS[key]
                    settings[setting.field] = setting.read(value)
            except UsageError as error:
                raise UsageError(f"{place}: {key}: {error}") from error
        return settings

    def _headers(self, table: object) -> tuple[str, ...]:
        if not isinstance(table, dict):
            raise UsageError('it is no table; write { Name = "value" }')
        headers: dict[str, str] = {}
        for name, value in table.items():
            if not _HEADER_NAME.fullmatch(name):
                raise UsageError(f"{_shown(name)} is no name of a header")
            if name.lower() in _OWN_HEADERS:
                raise UsageError(f"{name} is set by newsbeam itself")
            if name.lower() in headers:
                raise UsageError(f"{name} is there twice")
            headers[name.lower()] = f"{name}: {self._header_value(name, value)}"
        return tuple(headers[name] for name in sorted(headers))

    def _header_value(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise UsageError(f"the value of {name} is no text in quotation marks")
        if value.startswith(_FROM_ENVIRONMENT):
            variable = value.removeprefix(_FROM_ENVIRONMENT).strip()
            if variable not in self._environment:
                raise UsageError(
                    f"the environment variable {_shown(variable)}, for {name}, is not set"
                )
            value = self._environment[variable].strip()
        if not _HEADER_VALUE.fullmatch(value):
            raise UsageError(
                f"the value of {name} is empty or holds something else than printable ASCII"
            )
        return value


def _words(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value):
        raise UsageError("it is no line of text in quotation marks")
    return _one_line(value)


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError('it is no list; write ["world", "science"]')
    return tuple(dict.fromkeys(_words(tag) for tag in value))


def _language(value: object) -> str:
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise UsageError(f"{_shown_value(value)} is no language tag (BCP 47), such as de or pt-BR")
    return value


def _text(value: object) -> str:
    if value not in ("feed", "page", "auto"):
        raise UsageError(f"{_shown_value(value)} is none of feed, page and auto")
    return str(value)


def _interval(value: object) -> int:
    if not isinstance(value, str):
        raise UsageError('it is no duration in quotation marks, such as "30m"')
    return parse_duration_seconds(value)


def _limit(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1_000_000:
        raise UsageError(f"{_shown_value(value)} is no whole number of items; 0 takes all")
    return value


class _Setting(NamedTuple):
    field: str
    """Of ``Subscription``."""
    read: Callable[[object], Any]


_SETTINGS = {
    "title": _Setting("title", _words),
    "tags": _Setting("tags", _tags),
    "topic": _Setting("topic", _words),
    "language": _Setting("language", _language),
    "text": _Setting("text", _text),
    "interval": _Setting("interval_seconds", _interval),
    "limit": _Setting("limit", _limit),
}
_FEED = ("url", *_SETTINGS, "headers")
_DEFAULTS = tuple(key for key in _FEED if key not in ("url", "title"))


def _read_included(path: str, name: str) -> tuple[list[Given], list[str]]:
    if _is_settings(name):
        raise UsageError(f"{_shown(name)} is TOML, which no TOML file can include")
    included = name if "://" in name else str(Path(path).parent / name)
    return _read_plain(included, _file_content(included))


def _read_settings(
    path: str, content: bytes, environment: Mapping[str, str]
) -> tuple[list[Given], list[str]]:
    """The feeds of a TOML file and of those it includes."""
    settings = parse_settings(content, path, environment=environment)
    found: list[Given] = []
    notes: list[str] = []
    for name in settings.include:
        try:
            feeds, said = _read_included(path, name)
        except UsageError as error:
            raise UsageError(f"{_shown(path)}: include: {error}") from error
        found += feeds
        notes += said
    found += settings.feeds
    if not found:
        raise UsageError(f"{_shown(path)} names no feed")
    for url, count in Counter(one.url for one in settings.feeds).items():
        if count > 1:
            raise UsageError(f"{_shown(path)}: feed {_shown(url)} is there {count} times")
    if settings.defaults:
        urls = dict.fromkeys(one.url for one in found)
        found += [Given(url, _DEFAULT, _shown(path), settings.defaults) for url in urls]
    return found, notes


def _merged(url: str, given: Sequence[Given]) -> Subscription:
    settings: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in given for name in one.settings):
        places = [one for one in given if name in one.settings]
        if name == "tags":
            settings[name] = tuple(
                dict.fromkeys(tag for one in places for tag in one.settings[name])
            )
        else:
            settings[name] = _most_explicit(name, places).settings[name]
    return Subscription(url, **settings)


def _most_explicit(name: str, places: Sequence[Given]) -> Given:
    """The place whose setting counts.

    Raises:
        UsageError: two TOML files are equally explicit and disagree.
    """
    highest = max(one.explicitness for one in places)
    candidates = [one for one in places if one.explicitness == highest]
    chosen = candidates[0]
    for other in candidates[1:]:
        if highest >= _DEFAULT and other.settings[name] != chosen.settings[name]:
            key = "interval" if name == "interval_seconds" else name
            raise UsageError(
                f"{chosen.where} and {other.where} state different {key} for {_shown(chosen.url)}"
            )
    return chosen


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _without_user(url: str) -> str:
    """A URL without name and password, to be shown."""
    return re.sub(r"(?s)^([^/?#]*//)?.*@", r"\1…@", url.strip())


def _shown(text: str) -> str:
    """What a person wrote, in quotation marks where it is not a plain word, and bounded."""
    shown = _one_line(text)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}…"
    return shown if shown and " " not in shown else repr(shown)


def _shown_value(value: object) -> str:
    """As ``_shown``, of any value that TOML has."""
    try:
        return _shown(str(value))
    except ValueError:  # Python writes no number of more than some thousand digits
        return "such a large number"
