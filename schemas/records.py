"""Every element type of the graph, in the order of the flow.

Read from top to bottom, this module is the story of one run. Of live feeds there are pages, too:
``DueFeed`` ─► ``PolledFeed`` ─► ``LinkedItem`` ─► ``FetchedLink`` and ``Page``::

    Source ─► Page ─► Article ─► Fingerprint ─► Verdict ─► UniqueArticle ─► EnrichedArticle
                 └──────┴── Failure                └── Duplicate
                                    (every step) ─► LedgerEntry

All records are frozen dataclasses in Beam's row encoding, which is deterministic and compact. Three
rules follow from that coder: no ``from __future__ import annotations`` in this module, Beam's
``Timestamp`` (UTC, microseconds) instead of ``datetime``, and sequences that come back from the
coder as lists are turned into tuples again.
"""

from dataclasses import dataclass, field
from typing import Optional, TypeVar, dataclass_transform

from apache_beam.coders import Coder, RowCoder, registry
from apache_beam.coders.coder_impl import CoderImpl
from apache_beam.utils.timestamp import Timestamp

T = TypeVar("T")

_ROW_CODERS: dict[type, RowCoder] = {}


class RecordCoder(Coder):
    """Beam's row encoding of one record type, decoded to that type in every process.

    A plain ``RowCoder`` names its type by an id that each process draws anew, so that a worker
    would decode to an anonymous named tuple. This one travels with a reference to the class.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._row_coder = _ROW_CODERS[kind]

    def _create_impl(self) -> CoderImpl:
        return self._row_coder.get_impl()

    def encode(self, value: object) -> bytes:
        """The record as bytes."""
        encoded: bytes = self._row_coder.encode(value)
        return encoded

    def decode(self, encoded: bytes) -> object:
        """The record that ``encode`` was given."""
        return self._row_coder.decode(encoded)

    def is_deterministic(self) -> bool:
        """Whether equal records have equal bytes."""
        return bool(self._row_coder.is_deterministic())

    def to_type_hint(self) -> type:
        """The record's class."""
        return self._kind

    @classmethod
    def from_type_hint(cls, typehint: type, _registry: object) -> "RecordCoder":
        """The coder for a record's class."""
        return cls(typehint)

    def __reduce__(self) -> tuple[type, tuple[type]]:
        return (RecordCoder, (self._kind,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordCoder) and self._kind is other._kind

    def __hash__(self) -> int:
        return hash(self._kind)


def encode_record(value: object) -> bytes:
    """A record as bytes, as it travels between workers."""
    encoded: bytes = _ROW_CODERS[type(value)].encode(value)
    return encoded


def decode_record(kind: type[T], encoded: bytes) -> T:
    """The record that ``encode_record`` was given."""
    decoded: T = _ROW_CODERS[kind].decode(encoded)
    return decoded


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with a row coder, its tuples kept tuples."""
    sequence_fields = tuple(
        name for name, kind in cls.__annotations__.items() if "tuple[" in str(kind)
    )

    def __post_init__(self: T) -> None:  # noqa: N807 - it becomes the class's own
        for name in sequence_fields:
            object.__setattr__(self, name, tuple(getattr(self, name)))

    if sequence_fields:
        cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    frozen = dataclass(frozen=True)(cls)
    registry.register_row(frozen)
    _ROW_CODERS[frozen] = registry.get_coder(frozen)
    return frozen


# ── read ────────────────────────────────────────────────────────────────────────────────────────


@record
class Source:
    """A file that a run was told to read, or a part of an archive."""

    uri: str
    """Absolute local path, or the URL of an object (``s3://``, ``gs://``); a ``file:`` URI where
    the path is not plain text."""
    size_bytes: int
    """Size of the file as stored, before any decompression; -1 where the filesystem does not
    say."""
    version: str = ""
    """Another for every content the file has had: time of its last change in nanoseconds since
    1970, or an object's generation or entity tag; empty where unknown."""
    start: int = 0
    """Of a part: where its first record begins, in decompressed bytes. The fields below say what
    reading it needs to know of what stands before; ``transforms.reading.split_archive`` sets
    them."""
    end: int = -1
    """Of a part: where the first record after it begins; -1 for the end of the file."""
    known_bytes: int = -1
    """Of a part: about its size, decompressed; -1 for a whole file."""
    seek_bytes: int = 0
    """Where reading begins: a position in the file as stored."""
    skip_bytes: int = 0
    """How much is passed over from there, in decompressed bytes."""
    records_before: int = 0
    """How many records, of every type, the archive has before the part."""
    repeated_at: tuple[int, ...] = ()
    """Where records begin whose id an earlier record of the archive has, too."""
    repeated_as: tuple[str, ...] = ()
    """What each of them is called instead, as in ``URI#NAME``."""

    @property
    def key(self) -> str:
        """What it is called in the run's account: the file, or the file and where a part begins."""
        return f"{self.uri}#@{self.start}" if self.start else self.uri


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
    updated: Optional[str] = None
    """When the feed says the item was last changed, as ``published``."""
    topic_hint: Optional[str] = None
    """What the subscription says its items are about."""
    first_seen: Optional[str] = None
    """Of an item of a live feed: when a poll first listed it, ISO 8601 in UTC."""


# ── poll and fetch ──────────────────────────────────────────────────────────────────────────────


@record
class Subscription:
    """A feed, or a site that names its feed, that a run is told to poll."""

    url: str
    """As the user gave it: what the feed is called everywhere, wherever it may have moved."""
    title: Optional[str] = None
    tags: tuple[str, ...] = ()
    """Folders of the OPML file, outermost first, and tags of the settings; its items get them."""
    topic: Optional[str] = None
    """What its items are about, where the text leaves it open; as a section names it."""
    language: Optional[str] = None
    """BCP 47 tag; outranks what the feed declares."""
    text: str = "auto"
    """Whose text is the article: ``feed``, ``page``, or ``auto`` for the feed's where that is a
    whole article."""
    interval_seconds: int = 0
    """Least time between two polls; 0 for that of the runs."""
    limit: int = 0
    """Newest items that are taken from one poll; 0 for all."""
    headers: tuple[str, ...] = field(default=(), repr=False)
    """``Name: value``, sent to the feed's own host alone; may be secret."""


@record
class LinkedItem:
    """A feed item whose text is on its page, which has to be fetched."""

    origin: str
    """``FEED#ITEM``: the subscription's URL, and what the item is called in it."""
    url: str
    """Of its page, without a fragment."""
    feed_url: str
    """``Subscription.url``."""
    item: FeedItem
    key: str
    """Of the item in ``FeedMemory.seen``."""
    version: str
    """Another for each time the item says that it was changed."""
    is_update: bool = False
    """Whether it was seen before with another version: then its page is fetched again."""
    attempts: int = 0
    """How often its page was asked for in vain."""
    retry_at: Optional[Timestamp] = None
    """Not to be asked for before."""
    headers: tuple[str, ...] = field(default=(), repr=False)
    """Those of the subscription, where the page is on the feed's host; never written down."""


@record
class SeenItem:
    """An item that needs no more work unless it changes."""

    key: str
    """16 hex digits of a hash of what the item is called in its feed."""
    version: str
    """12 hex digits: 8 of a hash of what it is and says of its last change, 4 of its date."""
    first_seen: int = 0
    """When a poll first listed it: seconds since 1970."""


@record
class FeedMemory:
    """What is known of a feed between runs. Losing it costs requests, and nothing else."""

    url: str
    """``Subscription.url``."""
    address: str = ""
    """Where it is polled, after permanent redirects or discovery in a page; empty for ``url``."""
    etag: Optional[str] = None
    last_modified: Optional[str] = None
    body_sha256: str = ""
    """Of the last body, for servers that send the same without saying so."""
    format: str = ""
    """Such as ``RSS 2.0``."""
    title: Optional[str] = None
    polled_at: Optional[Timestamp] = None
    succeeded_at: Optional[Timestamp] = None
    """When it last answered with a feed or with 304."""
    changed_at: Optional[Timestamp] = None
    """When it last listed an item that was new."""
    due_at: Optional[Timestamp] = None
    """Not to be polled before."""
    status: int = 0
    """Last HTTP status; 0 where there was no answer."""
    reason: str = ""
    """Slug of ``REASONS`` if the last poll failed, else empty."""
    message: str = ""
    failures: int = 0
    """How many polls have failed since the last success."""
    is_retired: bool = False
    """Whether it answered 410 (Gone)."""
    listed: int = 0
    """Items in it when it was last read."""
    ttl_seconds: int = 0
    """How long it asked to be left alone when it was last read (RSS ``ttl``); 0 if it did not."""
    skip_hours: tuple[int, ...] = ()
    """Hours in UTC in which it asked not to be polled (RSS ``skipHours``)."""
    settings: str = ""
    """Hash of the subscription's settings when it was last read."""
    skip_days: tuple[str, ...] = ()
    """Days on which it asked not to be polled, in English (RSS ``skipDays``)."""
    seen: tuple[SeenItem, ...] = ()
    """Of the items that it still lists."""
    pending: tuple[LinkedItem, ...] = ()
    """Items whose pages are still to be fetched."""
    articles: int = 0
    """How many rows of ``articles`` it has given; and of the others below."""
    duplicates: int = 0
    rejected: int = 0
    failed: int = 0


@record
class DueFeed:
    """A feed to be polled, with what is remembered of it."""

    subscription: Subscription
    memory: FeedMemory


@record
class PolledFeed:
    """What polling a feed has come to."""

    memory: FeedMemory
    """As it is now, but for the new links, of which it is not known yet what becomes."""
    listed: int
    """New items and failures that came of the poll: the feed's account is closed with them."""
    links: tuple[LinkedItem, ...] = ()
    """New items whose pages are to be fetched."""
    unchanged: int = 0
    """Items that it lists as they were."""
    is_unchanged: bool = False
    """Whether the server said, or its body showed, that nothing has changed."""
    is_put_off: bool = False
    """Whether it was not asked at all, for the sake of its host."""
    notes: tuple[str, ...] = ()
    """What a person should hear, such as that the feed is malformed but could be read."""


@record
class FetchedLink:
    """What became of a link."""

    link: LinkedItem
    """With its attempts and the time of the next, if it is to be tried again."""
    outcome: str
    """``page`` (its text is at hand), ``same-page`` (another feed gives that page), ``known`` (the
    dataset has it), ``rejected``, ``failed``, or ``deferred`` to another run."""


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
    """When it was seen: the archive record's date, else the start of the run; never later."""
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
    """``caption``, ``body``, ``date-line`` (a second, disagreeing one), ``notice`` or ``modified``
    (when the page was changed, which is never when it was published)."""


@record
class Provenance:
    """Where the value of one field comes from."""

    field: str
    """Name of the field of ``Article``; the dataset has it under its column's name."""
    source: str
    """``json-ld``, ``opengraph``, ``meta``, ``trafilatura``, ``byline``, ``date-line``,
    ``dateline``, ``credit``, ``masthead``, ``headline``, ``notice``, ``feed``, ``url``,
    ``markup`` (the page's elements), ``subscription``, ``sibling`` …"""
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


REASONS = {
    "binary": "not text at all: a picture, a program, random bytes",
    "challenge-page": "a page that asks for something before it shows its article",
    "corrupt": "compressed or archived data that contradict themselves",
    "empty": "nothing in it, or nothing but white space",
    "empty-feed": "a feed without items",
    "empty-item": "a feed item with neither a link nor text",
    "forbidden-address": "an address that no request may go to: private, local, or not HTTP",
    "gone": "the server says that it is gone for good (410)",
    "http-status": "a response, live or archived, that is not a success",
    "malformed-feed": "a feed that cannot be parsed",
    "no-article": "text, but no article in it: a front page, a gallery, crumbs",
    "no-connection": "the server could not be reached, or broke the connection off",
    "no-feed": "a page where a feed was expected, and it names none",
    "not-a-file": "a folder, a named pipe, a socket or a device",
    "not-a-page": "an archive record that is neither HTML nor plain text",
    "not-found": "it is not there (any more)",
    "paywall": "a page that shows no more than the beginning to those who do not pay",
    "rate-limited": "the server asks for fewer requests (429, 503)",
    "redirects": "redirects in a circle, too many of them, or to nowhere",
    "robots": "the site's robots.txt asks not to fetch it, or cannot be read",
    "teaser-only": "a feed item of a few words, whose page would have to be fetched",
    "timeout": "no answer, or not all of it, in time",
    "too-large": "larger than the limit, stored or decompressed",
    "truncated": "it ends before its end",
    "undecodable": "text in no character encoding that could be told",
    "unparsable": "a page that the HTML parser cannot take",
    "unreadable": "the filesystem refuses to read it",
    "unsupported-kind": "a kind of file that holds no news page, such as PDF or JSON",
}
"""Every reason for a rejection or failure."""


@record
class Failure:
    """An input that became no article: ``rejected`` for what it is, or ``failed`` to be read."""

    kind: str
    """``rejected`` (no article in it) or ``failed`` (there might be one; try again)."""
    stage: str
    """``poll``, ``fetch``, ``read`` or ``extract``."""
    reason: str
    """One of ``REASONS``."""
    message: str
    """One sentence for a person, naming values and limits."""
    origin: str
    source_uri: str
    observed_at: Timestamp
    payload: bytes = b""
    """What is needed to try again beside the origin: the content, up to a bound."""
    url: Optional[str] = None
    page: Optional[Page] = None
    """For a page that was read but not extracted: all of it but its content."""
    content_bytes: int = -1
    """Size of the content, of which the payload may be the beginning; -1 if it was not read."""


@record
class Retry:
    """Failures of the dataset that are to be tried again."""

    path: str
    """Parquet file of ``failures``, relative to the store."""
    failure_ids: tuple[str, ...]


# ── fingerprint and deduplicate ─────────────────────────────────────────────────────────────────


SIGNATURE_LENGTH = 128
"""Places of a MinHash signature."""


@record
class Fingerprint:
    """What the comparison of texts needs to know of one, and no more: the body stays behind."""

    origin: str
    """The article's origin; for a row of the dataset ``known:`` and what identifies it there."""
    article_id: str
    """Identity of the work, 32 hex digits: of its canonical URL or guid, else of its text; for a
    copy in the dataset that of the row it copies."""
    content_hash: str
    """SHA-256 of the normalised body, 64 hex digits: equal for exact copies."""
    source_uri: str
    """The file it was read from: the same text from the same file is no copy but a re-read."""
    observed_at: Timestamp
    word_count: int
    signature: bytes
    """MinHash signature, ``SIGNATURE_LENGTH`` little-endian uint32; empty for a short text."""
    shingles: bytes = b""
    """Hashes of all runs of three words, in the order of the text, little-endian uint32."""
    anchors: bytes = b""
    """Winnowed hashes of long word runs, little-endian uint64: two texts that share a run share
    an anchor, however different their lengths. Empty for a short text."""
    numbers: bytes = b""
    """Sorted distinct hashes of the numbers in the text, little-endian uint32."""
    names: bytes = b""
    """The same of words with a capital within sentences: names, in most scripts that have them."""
    title_key: str = ""
    """16 hex digits, a hash of the normalised words of the title; empty where there is none."""
    completeness: int = 0
    """How many of the fields that make a row worth keeping are known."""
    quality: float = 1.0
    """Share of the body's words that stand in prose; 0 where bytes had to be replaced."""
    agency: str = ""
    """News agency credited with the text, in lower-case letters and digits."""
    publisher: str = ""
    """Publishing site, in lower-case letters and digits."""
    published_at: Optional[Timestamp] = None
    table: str = ""
    """For a row of the dataset ``articles`` or ``duplicates``; empty for a text of this run."""

    @property
    def known(self) -> bool:
        """Whether this is a row of the dataset rather than a text of this run."""
        return bool(self.table)


@record
class FingerprintedArticle:
    """An article with its fingerprint, before the two are staged side by side."""

    article: Article
    fingerprint: Fingerprint


@record
class StagedBlock:
    """A file of records that one slice of a run has made durable (``transforms.staging``)."""

    kind: str
    """``articles``, ``failures``, or ``known`` for fingerprints of the dataset's rows."""
    path: str
    """Relative to the store, without the suffix."""
    rows: int
    number: int = -1
    """Place among the run's blocks; a text's reference is ``number << 32 | row``."""


@record
class RunKeys:
    """By what the texts of one block may be known to the dataset."""

    content_hashes: bytes
    """First 16 bytes of each row's content hash, one after the other."""
    article_ids: bytes
    """The 16 bytes of each row's article id."""
    observed_ranges: bytes
    """Least and greatest observation, microseconds since 1970 (int64), of each group of texts that
    were observed two horizons or less after one another; the groups ascend."""


@record
class KnownFile:
    """A Parquet file of ``articles`` or ``duplicates`` in which a run looks for what is known."""

    number: int
    """Its place among the files that the run looks into."""
    table: str
    path: str
    """Relative to the store."""
    may_hold: bool
    """Whether it may hold a text of the run read before, or another text of a work of the run."""
    is_near: bool
    """Whether it may hold rows observed within the horizon of the run's texts."""
    canonical_ids: bytes = b""
    """Ids of rows of ``articles``, 16 bytes each, that it may hold: rows which were observed
    before the horizon, and of which copies were observed within it."""
    may_hold_canonicals: bool = False
    """Whether it may hold any row that is looked for in this way, for its keys are not listed;
    then ``canonical_ids`` is empty."""


@record
class KnownMatches:
    """What one file of the dataset knows of the run's texts."""

    rereads: bytes
    """16-byte keys of (content hash, source, title) of rows with a content hash of the run."""
    works: bytes
    """Rows of ``articles`` with an article id of the run, one after the other (``known.WORK``)."""


@record
class Assignment:
    """What the comparison decided about one text."""

    origin: str
    canonical_origin: str
    """Origin of the text of this run that stands for it, its own where it is that text; for a copy
    of a row of the dataset that row's ``Fingerprint.origin``."""
    canonical_id: str
    kind: str
    """``canonical``, ``revision``, ``exact``, ``near`` or ``abridged``."""
    similarity: float
    """Jaccard similarity to the text it is a copy of (containment where abridged), 0 to 1."""
    copies: int = 0
    """For a canonical text: how many copies of it were found."""


@record
class Verdict:
    """What was decided about one text of the run, by its reference."""

    ref: int
    kind: str
    """``canonical``, ``revision``, ``exact``, ``near`` or ``abridged``."""
    canonical_id: str
    similarity: float
    copies: int = 0
    canonical_ref: int = -1
    """The text of this run it is a copy of; -1 if it is none, or one of a row of the dataset."""
    revision: int = 0
    title_changed: bool = False
    """For a revision above 0: whether its title has other words than the one before it."""
    shingles_kept: float = -1.0
    """For a revision above 0: share of the shingles of the one before it that it still has, 0 to
    1; -1 where that one is too short to have any."""


@record
class Duplicate:
    """A copy, kept and labelled."""

    article: Article
    content_hash: str
    article_id: str
    canonical_id: str
    kind: str
    """``exact``, ``near`` or ``abridged``."""
    similarity: float
    fingerprint: bytes = b""
    """MinHash signature."""
    anchors: bytes = b""


@record
class UniqueArticle:
    """The canonical text of a cluster with what its copies knew better, numbered."""

    article: Article
    article_id: str
    revision: int
    """0 for the first text of a work, then counting its changed texts."""
    content_hash: str
    fingerprint: bytes
    """MinHash signature."""
    anchors: bytes
    word_count: int
    copies: int
    title_changed: bool = False
    shingles_kept: float = -1.0
    """As in ``Verdict``."""


# ── enrich ──────────────────────────────────────────────────────────────────────────────────────


@record
class Topic:
    """One of the 17 top-level concepts of IPTC Media Topics, with a score."""

    code: str
    """IPTC code such as ``medtop:16000000``."""
    name: str
    slug: str
    """The name in lower case, words joined by ``-``: the partition's value."""
    score: float
    """Share of belief against the other concepts, 0 to 1."""


@record
class Entity:
    """One thing that a body names, all its mentions merged."""

    name: str
    """Its fullest name in the text, without titles; for a country the gazetteer's name."""
    type: str
    """``person``, ``organisation``, ``place``, ``facility``, ``nationality``, ``event``, ``work``
    or ``product``."""
    count: int
    """Number of mentions, which is the length of ``offsets``."""
    id: Optional[str]
    """``iso3166:SY`` for a country, ``geonames:98182`` for a city, where the gazetteer is sure."""
    offsets: tuple[int, ...]
    """Where each mention starts, in characters (code points) of ``body``, ascending."""


@record
class EnrichedArticle:
    """An article as the dataset keeps it."""

    unique: UniqueArticle
    language: Optional[str]
    """ISO 639-1 code, or None where the text does not tell."""
    language_score: Optional[float]
    topic: str
    """Slug of the best topic, or ``unclassified``."""
    topics: tuple[Topic, ...]
    entities: tuple[Entity, ...]
    entity_model: Optional[str]
    entity_note: Optional[str]
    """Why there are no entities, where there are none for a reason."""
    topic_model: str
    topic_note: Optional[str]


# ── write and account ───────────────────────────────────────────────────────────────────────────


@record
class StagedRun:
    """A file of rows of one table, sorted by partition, on their way to the table's files."""

    table: str
    path: str
    """Relative to the store."""
    rows: int


@record
class WrittenFile:
    """A Parquet file in the run's staging folder, ready to be published, or why there is none."""

    table: str
    path: str
    """Relative to the dataset: where the file will stand once published."""
    rows: int
    size_bytes: int
    error: Optional[str] = None
    sha256: str = ""
    """Hash of the file's bytes, 64 hex digits."""


@record
class LedgerEntry:
    """One line of the run's double-entry account.

    Each source, page and unit is opened where it enters the graph and closed where it ends. The
    run balances if every key was opened once and closed once.
    """

    level: str
    """``source``, ``page`` or ``unit``."""
    key: str
    opened: int
    closed: int
    children: int = 0
    """On closing a source or page: how many pages or units came out of it. On opening: 0."""
    outcome: str = ""
    """On closing a unit: ``article``, ``revision``, ``duplicate``, ``unchanged``, ``rejected`` or
    ``failed``."""
    detail: str = ""
    """Kind of a duplicate, reason of a rejection or failure."""
    note: str = ""
    """Something a person should hear about this unit."""


@record
class Tally:
    """How many units ended in one way."""

    outcome: str
    detail: str
    count: int


@record
class Balance:
    """The account of a run: it balances if there are no faults."""

    sources: int
    pages: int
    units: int
    tallies: tuple[Tally, ...]
    faults: tuple[str, ...]
    """What was not opened or not closed exactly once, a sentence each; at most 20."""
    fault_count: int
    notes: tuple[str, ...]
    """What a person should hear about single units; at most 20."""
    note_count: int


# Only now, for a row coder finds the schemas of nested records by their own row coders.
for _kind in _ROW_CODERS:
    registry.register_coder(_kind, RecordCoder)
