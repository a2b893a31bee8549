"""Every element type of the graph, in the order of the flow.

Read from top to bottom, this module is the story of one run::

    Source ─► Page ─► Article ─► Fingerprint ─► Assignment ─► EnrichedArticle
                 └──────┴── Failure                 └── Duplicate
                                    (every step) ─► LedgerEntry

All records are frozen dataclasses registered for Beam's row coder, which makes their encoding
deterministic and compact. Three rules follow from that coder: no ``from __future__ import
annotations`` in this module, Beam's ``Timestamp`` (UTC, microseconds) instead of ``datetime``,
and sequences that come back from the coder as lists are turned into tuples again.
"""

from dataclasses import dataclass
from typing import Optional, TypeVar, dataclass_transform

from apache_beam.coders import registry
from apache_beam.utils.timestamp import Timestamp

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that Beam's row coder encodes, its tuples kept tuples."""
    sequence_fields = tuple(
        name for name, kind in cls.__annotations__.items() if "tuple[" in str(kind)
    )

    def __post_init__(self: T) -> None:
        for name in sequence_fields:
            object.__setattr__(self, name, tuple(getattr(self, name)))

    if sequence_fields:
        cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    frozen = dataclass(frozen=True)(cls)
    registry.register_row(frozen)
    return frozen


# ── read ────────────────────────────────────────────────────────────────────────────────────────


@record
class Source:
    """A file that a run was told to read."""

    uri: str
    """Absolute local path, or the URI of a Beam filesystem."""
    size_bytes: int
    """Size as stored, before any decompression; -1 where the filesystem does not say."""


@record
class FeedItem:
    """What a feed says about one of its items (RSS 2.0, Atom RFC 4287)."""

    guid: Optional[str] = None
    title: Optional[str] = None
    authors: tuple[str, ...] = ()
    published: Optional[str] = None
    """ISO 8601 in UTC as feedparser normalised it, or None where the item has no usable date."""
    summary: Optional[str] = None
    tags: tuple[str, ...] = ()
    image_url: Optional[str] = None
    language: Optional[str] = None
    """Language the feed declares, as a BCP 47 tag."""
    feed_title: Optional[str] = None
    rights: Optional[str] = None


@record
class Page:
    """One page as it was read: a text dump, a saved page, an archive record or a feed item."""

    origin: str
    """Where it was read from, unique in a run: the file's URI, with ``#`` and the item's guid or
    the archive record's id where one file holds several pages."""
    source_uri: str
    """The file it was read from (``Source.uri``)."""
    kind: str
    """``text``, ``html`` or ``feed-item``."""
    content: bytes
    """The body as bytes, decompressed; for a feed item its HTML content or summary in UTF-8."""
    observed_at: Timestamp
    """When it was seen: the archive record's date, else the start of the run."""
    charset: Optional[str] = None
    """Character encoding stated outside the content (HTTP header, XML declaration)."""
    url: Optional[str] = None
    feed_url: Optional[str] = None
    item: Optional[FeedItem] = None


# ── extract ─────────────────────────────────────────────────────────────────────────────────────


@record
class PublicationDate:
    """A publication date with what it rests on."""

    at: Timestamp
    """Start of the stated period in UTC: a day-precise date is that day at 00:00 UTC."""
    precision: str
    """``year``, ``month``, ``day``, ``hour``, ``minute`` or ``second``."""
    source: str
    """``feed``, ``json-ld``, ``meta``, ``url``, ``date-line``, ``dateline``, ``relative-day``,
    ``sibling`` or ``first-seen``."""


@record
class DateHint:
    """Evidence of a date that is too weak to date an article by."""

    date: str
    """ISO 8601 date (``2025-03-14``), month (``2025-03``) or year."""
    source: str
    """``caption``, ``body``, ``date-line`` (a second, disagreeing one), ``notice`` …"""


@record
class Provenance:
    """Where the value of one field comes from."""

    field: str
    source: str
    """``json-ld``, ``opengraph``, ``meta``, ``trafilatura``, ``byline``, ``date-line``,
    ``dateline``, ``credit``, ``masthead``, ``headline``, ``notice``, ``feed``, ``sibling`` …"""
    origin: Optional[str] = None
    """For ``sibling``: the origin of the copy that knew it."""


@record
class Extraction:
    """How a body was obtained."""

    method: str
    """``text-dump``, ``trafilatura`` or ``feed``."""
    versions: str
    """Versions of what made it, as ``name==version`` joined by spaces."""
    quality: float
    """Share of the body's words that stand in prose paragraphs, 0 to 1."""
    encoding: str
    """Character encoding the content was read with."""
    repaired: bool = False
    """Whether bytes had to be replaced or re-read for the text to decode."""


@record
class Article:
    """An article as extracted from a page, before it is compared with others or enriched."""

    origin: str
    """Unique in a run: the page's origin, with ``#1``, ``#2`` … where a dump holds several."""
    page_origin: str
    source_uri: str
    body: str
    """Paragraphs joined by blank lines."""
    observed_at: Timestamp
    extraction: Extraction
    title: Optional[str] = None
    url: Optional[str] = None
    canonical_url: Optional[str] = None
    site: Optional[str] = None
    """Name of the publishing site, else its host name."""
    feed_url: Optional[str] = None
    guid: Optional[str] = None
    authors: tuple[str, ...] = ()
    agency: Optional[str] = None
    dateline: Optional[str] = None
    """Place a dateline names."""
    declared_language: Optional[str] = None
    description: Optional[str] = None
    image_url: Optional[str] = None
    tags: tuple[str, ...] = ()
    section: Optional[str] = None
    published: Optional[PublicationDate] = None
    hints: tuple[DateHint, ...] = ()
    rights: Optional[str] = None
    provenance: tuple[Provenance, ...] = ()


@record
class Failure:
    """An input that became no article: ``rejected`` for what it is, or ``failed`` to be read."""

    kind: str
    """``rejected`` (no article in it) or ``failed`` (there might be one; try again)."""
    stage: str
    """``read``, ``extract``, ``enrich`` or ``write``."""
    reason: str
    """Slug from the closed lists of ``docs/data-model.md``, such as ``empty`` or ``too-large``."""
    message: str
    """One sentence for a person, naming values and limits."""
    origin: str
    source_uri: str
    observed_at: Timestamp
    payload: bytes = b""
    """What is needed to try again beside the origin: the content, up to a bound."""
    url: Optional[str] = None
