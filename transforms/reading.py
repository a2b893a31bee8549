"""Read sources: files of any kind that pages are kept in → pages.

``Source`` → ``Page`` for each text dump, saved page, feed item and archive record in it, and a
``Failure`` for whatever cannot be one; at least one of the two for every source. Bounded: a file is
read in one pass, within ``ReadLimits``, counted after decompression.

    name and first bytes ─► kind ─┬─ text, html ─► one page
                                  ├─ feed       ─► a page per item      (transforms.feeds)
                                  └─ archive    ─► a page per record    (transforms.archives)

A file's name is believed until its content says otherwise: HTML saved as ``.txt`` is HTML.

A large archive may be read in parts (``split_archive``), which together give what the whole gives.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import unicodedata
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

import apache_beam as beam
from apache_beam import PCollection, pvalue
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.records import Failure, Page, Source
from transforms.archives import (
    ArchiveDamage,
    RecordMark,
    index_archive,
    looks_like_html,
    read_archive,
)
from transforms.decoding import BinaryContent, UndecodableText, decode_text
from transforms.feeds import EmptyFeed, MalformedFeed, holds_feed, read_feed
from transforms.gunzip import GzipStream, Member
from transforms.json_feeds import states_json_feed
from transforms.measures import NAMESPACE
from transforms.objects import ReadableStream, is_fetched_whole, is_url, open_object
from transforms.sitemaps import SITEMAP_ROOTS

FAILURES_TAG = "failures"
SOURCES_READ_TAG = "sources_read"
"""Tag of the output of ``("source", key, number of pages and failures)``, one per source."""

_CHUNK_BYTES = 256 * 1024
_HEAD_BYTES = 8 * 1024
_MAX_GZIP_LAYERS = 2
_OBJECTS_AHEAD = 8
"""Small objects that a worker asks for while it works on one: so many are held, too."""
_CHANGED = "it has changed since it was listed"
_FILE_SCHEME = "file://"
_UNTELLABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, lone surrogates, line and paragraph separators."""

_KIND_BY_EXTENSION = {
    "txt": "text",
    "text": "text",
    "htm": "html",
    "html": "html",
    "xhtml": "html",
    "shtml": "html",
    "xml": "feed",
    "rss": "feed",
    "rdf": "feed",
    "atom": "feed",
    "warc": "archive",
}


@dataclass(frozen=True)
class ReadLimits:
    """How much of an input is read and kept, in bytes; all of them after decompression."""

    max_input_bytes: int = 64 * 1024 * 1024
    """Of a text dump, saved page or feed. An archive may be of any size: it is streamed."""
    max_record_bytes: int = 16 * 1024 * 1024
    """Of one record of an archive."""
    max_payload_bytes: int = 1024 * 1024
    """Of the content that a ``Failure`` keeps."""

    def __post_init__(self) -> None:
        for name in ("max_input_bytes", "max_record_bytes", "max_payload_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; it is {getattr(self, name):,}")


Unit = Page | Failure


class _Format(NamedTuple):
    """What content in a known format is, in the terms of a failure."""

    reason: str
    name: str


_BINARY = "binary"
_UNSUPPORTED = "unsupported-kind"

# (offset, magic bytes, format): documents and containers might hold text, and are told apart from
# what never does.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", _Format(_BINARY, "a PNG image")),
    (0, b"\xff\xd8\xff", _Format(_BINARY, "a JPEG image")),
    (0, b"GIF87a", _Format(_BINARY, "a GIF image")),
    (0, b"GIF89a", _Format(_BINARY, "a GIF image")),
    (0, b"II*\0", _Format(_BINARY, "a TIFF image")),
    (0, b"MM\0*", _Format(_BINARY, "a TIFF image")),
    (0, b"\0\0\1\0", _Format(_BINARY, "an icon")),
    (8, b"WEBP", _Format(_BINARY, "a WebP image")),
    (8, b"WAVE", _Format(_BINARY, "a WAV recording")),
    (8, b"AVI ", _Format(_BINARY, "an AVI video")),
    (4, b"ftyp", _Format(_BINARY, "an MPEG-4 or HEIF file")),
    (0, b"\x1aE\xdf\xa3", _Format(_BINARY, "a Matroska or WebM video")),
    (0, b"ID3", _Format(_BINARY, "an MP3 recording")),
    (0, b"OggS", _Format(_BINARY, "an Ogg recording")),
    (0, b"fLaC", _Format(_BINARY, "a FLAC recording")),
    (0, b"wOFF", _Format(_BINARY, "a font")),
    (0, b"wOF2", _Format(_BINARY, "a font")),
    (0, b"\x7fELF", _Format(_BINARY, "a program")),
    (0, b"\0asm", _Format(_BINARY, "a WebAssembly program")),
    (0, b"SQLite format 3\0", _Format(_BINARY, "an SQLite database")),
    (0, b"PAR1", _Format(_BINARY, "a Parquet file")),
    (0, b"%PDF-", _Format(_UNSUPPORTED, "a PDF document")),
    (0, b"%!PS", _Format(_UNSUPPORTED, "a PostScript document")),
    (0, b"{\\rtf", _Format(_UNSUPPORTED, "an RTF document")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _Format(_UNSUPPORTED, "a Microsoft Office document")),
    (0, b"PK\x03\x04", _Format(_UNSUPPORTED, "a ZIP archive or an office document")),
    (0, b"PK\x05\x06", _Format(_UNSUPPORTED, "an empty ZIP archive")),
    (0, b"Rar!\x1a\x07", _Format(_UNSUPPORTED, "a RAR archive")),
    (0, b"7z\xbc\xaf\x27\x1c", _Format(_UNSUPPORTED, "a 7-Zip archive")),
    (0, b"BZh", _Format(_UNSUPPORTED, "a bzip2 file")),
    (0, b"\xfd7zXZ\0", _Format(_UNSUPPORTED, "an XZ file")),
    (0, b"\x28\xb5\x2f\xfd", _Format(_UNSUPPORTED, "a Zstandard file")),
    (0, b"\x04\x22\x4d\x18", _Format(_UNSUPPORTED, "an LZ4 file")),
    (257, b"ustar", _Format(_UNSUPPORTED, "a tar archive")),
    (0, b"filedesc://", _Format(_UNSUPPORTED, "an ARC archive")),
)

_WARC_START = re.compile(rb"\s{0,16}WARC/\d\.\d{1,2}\r?\n")
# What stands before the element is taken for good: to try it in every other way takes for ever.
_ROOT_ELEMENT = re.compile(
    r"\s*+(?:(?:(?><\?.{0,500}?\?>)|(?><!--.{0,4000}?-->)"
    r"|(?><!DOCTYPE[^>\[]{0,500}(?:\[.{0,4000}?\]\s*)?>))\s*+)*+"
    r"<([A-Za-z_][\w.:\-]*)[\s/>]",
    re.DOTALL,
)
_HTML_BLOCKS = frozenset(
    {"article", "aside", "center", "div", "figure", "footer", "form", "h1", "h2", "h3", "header"}
    | {"link", "main", "nav", "noscript", "ol", "p", "script", "section", "style", "table", "ul"}
)
_CHARS_PER_TAG = 200
_BLANK = " \t\n\v\f\x1a\xa0\u200b\u2060\u3000\ufeff"
_FEED_ROOTS = frozenset({"rss", "feed", "entry", "rdf", "channel"}) | SITEMAP_ROOTS
_JSON_START = re.compile(r'\s*(?:\{\s*"|\[\s*[\[{"])')
_MHTML_START = re.compile(
    r"(?:[\w\-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){0,30}?Content-Type:\s*multipart/related", re.IGNORECASE
)
_ANY_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")


class _Unreadable(Exception):  # noqa: N818 - becomes a Failure
    """Why a source, or the rest of it, gives no page, in the terms of a ``Failure``."""

    def __init__(
        self, kind: str, reason: str, message: str, payload: bytes = b"", *, is_whole: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.payload = payload
        self.is_whole = is_whole
        """Whether the payload is all of the content, so that another reader could start with it."""


def read_source(
    source: Source,
    observed_at: Timestamp,
    limits: ReadLimits,
    open_source: Callable[[Source], ReadableStream] | None = None,
) -> Iterator[Unit]:
    """Give the pages of a source, and a failure for whatever in it cannot be read as one.

    At least one value comes for every source. What is damaged half-way gives what stands before
    the damage where that is whole (the records of an archive), and a failure for the rest.

    A part of an archive gives what the whole would have given from the part's first record up to
    the next part. A failure of the whole has the file's origin; so has the last part's, which tells
    of the damage, and those of other parts, whose file changed meanwhile, say where the part began.

    Args:
        source: what ``local_uri`` gives for a path, or the URL of an object; or a part of it.
        observed_at: the start of the run; records of archives carry their own date.
        limits: bounds of what is read and kept.
        open_source: gives the source as it is stored, or raises ``OSError``; by default it is
            opened where it lies.
    """
    try:
        yield from _read_pages(source, observed_at, limits, open_source or _open)
    except _Unreadable as why:
        origin = source.uri if source.end < 0 else f"{source.uri}#@{source.start}"
        yield _failure(why, origin, source.uri, observed_at, limits)


def _failure(
    why: _Unreadable, origin: str, uri: str, observed_at: Timestamp, limits: ReadLimits
) -> Failure:
    return Failure(
        kind=why.kind,
        stage="read",
        reason=why.reason,
        message=str(why),
        origin=origin,
        source_uri=uri,
        observed_at=observed_at,
        payload=why.payload[: limits.max_payload_bytes],
        content_bytes=len(why.payload) if why.is_whole else -1,
    )


def read_content(
    content: bytes, uri: str, observed_at: Timestamp, limits: ReadLimits
) -> Iterator[Unit]:
    """Give the pages of a document whose content was read before, or the failure that it is.

    Args:
        content: of a text dump, saved page or feed, decompressed.
        uri: what it was read from.
        observed_at: when.
        limits: bounds of what is kept.
    """
    try:
        yield from _read_document(content, uri, observed_at, limits)
    except _Unreadable as why:
        yield _failure(why, uri, uri, observed_at, limits)


def kind_by_name(uri: str) -> str | None:
    """``text``, ``html``, ``feed`` or ``archive`` where a file's name tells, compressed or not.

    >>> kind_by_name("gs://bucket/2020/pages.warc.gz"), kind_by_name("/data/README")
    ('archive', None)
    """
    name = uri.rpartition("/")[2].lower().removesuffix(".gz")
    return _KIND_BY_EXTENSION.get(name.rpartition(".")[2]) if "." in name else None


def local_uri(path: str) -> str:
    """What a local file is called: its absolute path, where that can be told from all others.

    A path that is not UTF-8, holds a control character, or the ``#`` that parts a file from what
    is in it in every origin, becomes a ``file:`` URI (RFC 8089), percent-encoded byte by byte.

    >>> local_uri("/data/café.txt"), local_uri("/data/C#.txt")
    ('/data/café.txt', 'file:///data/C%23.txt')
    """
    if any(char == "#" or unicodedata.category(char) in _UNTELLABLE for char in path):
        return _FILE_SCHEME + quote(os.fsencode(path))
    return path


def local_path(uri: str) -> str:
    """The path that ``local_uri`` was given, or that another ``file:`` URI states.

    What is not UTF-8 in it stands as lone surrogates, as everywhere in ``os`` (PEP 383).
    """
    if not uri.startswith(_FILE_SCHEME):
        return uri
    return os.fsdecode(unquote_to_bytes(os.fsencode(uri.removeprefix(_FILE_SCHEME))))


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Joined:
    """A stream with the bytes in front that were read from it to see what it is."""

    def __init__(self, head: bytes, rest: _Stream, error: Exception | None = None) -> None:
        self._head = head
        self._rest = rest
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        size = _CHUNK_BYTES if size < 0 else size
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
            return chunk
        if self._error is not None:
            raise self._error
        return self._rest.read(size)


_GzipDamage = (EOFError, zlib.error, gzip.BadGzipFile)


def split_archive(source: Source, part_bytes: int) -> list[Source]:
    """The parts of a large archive, which together give what it gives as a whole.

    Each begins with a record that gives a page, or a failure instead of one, and holds about
    ``part_bytes``, decompressed; more only where one such record with what follows it does. The
    archive is streamed through once, record by record. An archive that fits gives itself, and so
    does what is no archive or cannot be read. Where an archive is damaged the last part begins
    before the damage, and reading it tells of it.

    A part is read from where it begins if the file is not compressed, or record by record, as
    archives mostly are. Else all that stands before the part is decompressed and passed over. Of a
    part the parts are given, too.
    """
    try:
        _check_is_file(source.uri)
        with closing(_open(source)) as stored:
            content = _content(source, stored, keep_members=True)
            if not _WARC_START.match(content.head) and not source.start:
                return [source]
            parts = _Parts(source, content, part_bytes)
            with suppress(OSError):  # reading the last part will tell of it
                for mark in index_archive(content.stream, source):
                    parts.add(mark)
            return parts.finish()
    except (OSError, _Unreadable):
        return [source]  # reading it will tell why


class _Parts:
    """An archive's parts, put together from where its records begin."""

    def __init__(self, source: Source, content: _Content, part_bytes: int) -> None:
        self._source = source
        self._content = content
        self._part_bytes = part_bytes
        self._done: list[Source] = []
        self._open = source
        """The part that the next record belongs to, unless that begins another."""
        self._has_page = False
        self._entry = Member(source.seek_bytes, source.start - source.skip_bytes)
        """Where reading can begin, at or before the record."""
        self._members_from = self._entry
        self._records = source.records_before
        self._known_end = source.start
        self._repeated: list[tuple[int, str]] = []

    def add(self, mark: RecordMark) -> None:
        """Take the next record."""
        self._find_entry(mark.position)
        end = mark.position + mark.content_bytes
        if mark.is_page and self._has_page and end - self._open.start > self._part_bytes:
            self._known_end = mark.position
            self._close(mark.position)
            self._open = replace(
                self._open,
                start=mark.position,
                seek_bytes=self._entry.stored,
                skip_bytes=mark.position - self._entry.decompressed,
                records_before=self._records,
            )
        if mark.renamed is not None:
            self._repeated.append((mark.position, mark.renamed))
        self._has_page = self._has_page or mark.is_page
        self._records += 1
        # What a record claims to hold may not be there.
        self._known_end = min(end, mark.position + self._part_bytes)

    def _find_entry(self, position: int) -> None:
        if self._content.gzip_layers == 0:
            self._entry = Member(position, position)
        members = self._content.members
        begun_at = position - self._members_from.decompressed
        while members and members[0].decompressed <= begun_at:
            member = members.popleft()
            # What a member begins with in the midst of a record might look like anything.
            if member.decompressed == begun_at:
                self._entry = Member(self._members_from.stored + member.stored, position)

    def finish(self) -> list[Source]:
        """All parts; the last reaches as far as the source does."""
        if self._done:
            self._close(self._source.end)
        return self._done or [self._source]

    def _close(self, end: int) -> None:
        part = replace(self._open, end=end, known_bytes=self._known_end - self._open.start)
        if part.start:
            part = replace(
                part,
                repeated_at=tuple(at for at, _ in self._repeated),
                repeated_as=tuple(name for _, name in self._repeated),
            )
        self._done.append(part)
        self._repeated = []


def _read_pages(
    source: Source,
    observed_at: Timestamp,
    limits: ReadLimits,
    open_source: Callable[[Source], ReadableStream],
) -> Iterator[Unit]:
    uri = source.uri
    _check_is_file(uri)
    try:
        with closing(open_source(source)) as stored:
            stream, head, gzip_layers, _ = _content(source, stored)
            if source.start or _WARC_START.match(head):
                yield from _read_archive(stream, source, observed_at, limits)
                return
            if source.end >= 0:
                message = f"it is no archive any more: {_CHANGED}"
                raise _Unreadable("failed", "corrupt", message, head)
            if not gzip_layers and source.size_bytes > limits.max_input_bytes:
                message = (
                    f"it holds {source.size_bytes:,} bytes; the limit is {limits.max_input_bytes:,}"
                )
                raise _Unreadable("failed", "too-large", message, head)
            content = _read_content(stream, gzip_layers > 0, limits)
    except OSError as error:
        raise _unreadable(error) from error
    yield from _read_document(content, uri, observed_at, limits)


def _open(source: Source) -> ReadableStream:
    if is_url(source.uri):
        return open_object(source.uri, source.size_bytes)
    return Path(local_path(source.uri)).open("rb")


def _content(source: Source, stored: ReadableStream, *, keep_members: bool = False) -> _Content:
    """What a file holds, from where the source begins in it."""
    if source.seek_bytes:
        stored.seek(source.seek_bytes)
    content = _decompressed(stored, keep_members=keep_members)
    _pass_over(content.stream, source.skip_bytes)
    return content


def _check_is_file(uri: str) -> None:
    """Raise for a local path that is no regular file: opening a FIFO would wait for ever."""
    if is_url(uri):
        return
    name = local_path(uri)
    try:
        mode = Path(name).stat().st_mode
    except OSError as error:
        raise _unreadable(error, dangling=os.path.islink(name)) from error  # noqa: PTH114
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFDIR: "a directory",
            stat.S_IFIFO: "a named pipe",
            stat.S_IFSOCK: "a socket",
        }
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise _Unreadable("failed", "not-a-file", f"it is {kind}, not a file")


def _unreadable(error: OSError, *, dangling: bool = False) -> _Unreadable:
    """What an error of the filesystem says about a source."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        message = (
            "it is a symbolic link to a file that does not exist"
            if dangling
            else "it does not exist (any more)"
        )
        return _Unreadable("failed", "not-found", message)
    if isinstance(error, IsADirectoryError):
        return _Unreadable("failed", "not-a-file", "it is a directory, not a file")
    words = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return _Unreadable("failed", "unreadable", f"it cannot be read: {words}")


def _read_some(stream: _Stream, max_bytes: int) -> tuple[bytes, Exception | None]:
    """Up to a number of bytes, and the damage that kept it from being more."""
    pieces: list[bytes] = []
    length = 0
    try:
        while length < max_bytes:
            piece = stream.read(min(_CHUNK_BYTES, max_bytes - length))
            if not piece:
                break
            pieces.append(piece)
            length += len(piece)
    except _GzipDamage as error:
        return b"".join(pieces), error
    return b"".join(pieces), None


class _Content(NamedTuple):
    """A stream without its gzip layers."""

    stream: _Joined
    head: bytes
    """Its first bytes, which are still in the stream."""
    gzip_layers: int
    members: deque[Member] | None
    """Those of the one gzip layer that begin where reading has come to, if they are kept."""


def _decompressed(stored: _Stream, *, keep_members: bool = False) -> _Content:
    """What a stream holds that may be compressed; raises if it is so too many times over."""
    head, error = _read_some(stored, _HEAD_BYTES)
    stream = _Joined(head, stored, error)
    layers = 0
    outer: GzipStream | None = None
    while head.startswith(b"\x1f\x8b\x08"):
        layers += 1
        if layers > _MAX_GZIP_LAYERS:
            message = f"it is compressed with gzip more than {_MAX_GZIP_LAYERS} times over"
            raise _Unreadable("rejected", "unsupported-kind", message)
        if outer is not None:
            outer.members = None  # a member of one layer is nowhere to begin in two
        inner = GzipStream(stream, keep_members=keep_members and outer is None)
        outer = outer or inner
        head, error = _read_some(inner, _HEAD_BYTES)
        stream = _Joined(head, inner, error)
    return _Content(stream, head, layers, outer.members if outer is not None else None)


def _pass_over(stream: _Stream, skip_bytes: int) -> None:
    """Read so many bytes and leave them; raises where there are fewer."""
    while skip_bytes:
        content, damage = _read_some(stream, min(_CHUNK_BYTES, skip_bytes))
        if not content:
            message = f"it ends before the part that was to be read: {_CHANGED}"
            raise _Unreadable("failed", "truncated", message) from damage
        skip_bytes -= len(content)


def _read_content(stream: _Stream, is_gzip: bool, limits: ReadLimits) -> bytes:
    """All of a stream, within the limit."""
    content, damage = _read_some(stream, limits.max_input_bytes + 1)
    if len(content) > limits.max_input_bytes:
        verb = "decompresses to" if is_gzip else "holds"
        message = f"it {verb} more than {limits.max_input_bytes:,} bytes, the limit"
        raise _Unreadable("failed", "too-large", message, content)
    if isinstance(damage, EOFError):
        message = f"its gzip stream ends early, after {len(content):,} bytes decompressed"
        raise _Unreadable("failed", "truncated", message, content)
    if damage is not None:
        message = f"its gzip stream is damaged, after {len(content):,} bytes decompressed: {damage}"
        raise _Unreadable("failed", "corrupt", message, content)
    return content


def _read_archive(
    stream: _Stream, source: Source, observed_at: Timestamp, limits: ReadLimits
) -> Iterator[Unit]:
    skipped: Counter[str] = Counter()
    is_empty = True
    try:
        for unit in read_archive(
            stream,
            source,
            observed_at,
            max_record_bytes=limits.max_record_bytes,
            max_payload_bytes=limits.max_payload_bytes,
            skipped=skipped,
        ):
            is_empty = False
            yield unit
    except ArchiveDamage as damage:
        raise _Unreadable("failed", damage.reason, str(damage)) from damage
    if is_empty and (source.start or source.end >= 0):
        message = f"the part of it that was to be read holds no page: {_CHANGED}"
        raise _Unreadable("failed", "corrupt", message)
    if is_empty:
        held = ", ".join(f"{count:,} {name}" for name, count in sorted(skipped.items()))
        message = f"the archive holds no page, only records of other types: {held or 'none'}"
        raise _Unreadable("rejected", "empty", message)


def _read_document(
    content: bytes, uri: str, observed_at: Timestamp, limits: ReadLimits
) -> Iterator[Unit]:
    """The pages of a text dump, a saved page or a feed, whichever it is."""
    kind = _kind_of(content, kind_by_name(uri))
    if kind != "feed":
        yield Page(origin=uri, source_uri=uri, kind=kind, content=content, observed_at=observed_at)
        return
    try:
        yield from read_feed(content, uri, observed_at, max_payload_bytes=limits.max_payload_bytes)
    except MalformedFeed as error:
        raise _Unreadable("failed", "malformed-feed", str(error), content, is_whole=True) from error
    except EmptyFeed as error:
        raise _Unreadable("rejected", "empty-feed", str(error)) from error


def _kind_of(content: bytes, named: str | None) -> str:
    """``text``, ``html`` or ``feed``; raises for what is none of them."""
    if not content.strip():
        raise _Unreadable("rejected", "empty", _empty_message(content))
    for offset, magic, (reason, name) in _MAGIC:
        if content.startswith(magic, offset):
            is_binary = reason == _BINARY
            message = f"{'not text: ' if is_binary else ''}it looks like {name}"
            raise _Unreadable("rejected", reason, message)
    try:
        text = decode_text(content, html=named != "text").text
    except BinaryContent as error:
        raise _Unreadable("rejected", "binary", f"not text: {error}") from error
    except UndecodableText as error:
        raise _Unreadable("failed", "undecodable", str(error), content, is_whole=True) from error
    if not text.strip(_BLANK):
        raise _Unreadable("rejected", "empty", _empty_message(content))
    head = text[:_HEAD_BYTES]
    begun = _kind_by_start(head, text, named)
    if begun is not None:
        return begun
    if _JSON_START.match(head) and text.rstrip().endswith(("}", "]")):
        raise _Unreadable("rejected", "unsupported-kind", "it looks like JSON, not like a page")
    if _MHTML_START.match(head):
        raise _Unreadable("rejected", "unsupported-kind", "it looks like an MHTML web archive")
    root = _ROOT_ELEMENT.match(head)
    if root is not None:
        return _kind_by_root(root.group(1), head, named)
    if named == "archive":
        message = "it is named as a WARC archive, but does not begin like one"
        raise _Unreadable("failed", "corrupt", message, content)
    if named == "html" and _ANY_TAG.search(text) is None:
        return "text"
    return named or "text"


def _kind_by_start(head: str, text: str, named: str | None) -> str | None:
    """The kind of a document that tells it at once."""
    # Before it is taken for a page: what a broken server put before a feed is a piece of one.
    if named == "feed" and holds_feed(head):
        return "feed"
    if looks_like_html(head.encode("utf-8", "replace")):
        return "html"
    return "feed" if _JSON_START.match(head) and states_json_feed(text) else None


def _kind_by_root(root: str, head: str, named: str | None) -> str:
    """The kind of a document that begins with an element."""
    local_name = root.rpartition(":")[2].lower()
    if local_name in _FEED_ROOTS:
        return "feed"
    if local_name in _HTML_BLOCKS:
        # A fragment of a page. Where the name says that it is text, more than a tag must speak.
        tags = len(_ANY_TAG.findall(head))
        return "text" if named == "text" and tags * _CHARS_PER_TAG < len(head) else "html"
    if named == "feed" or head.lstrip().startswith("<?xml"):
        message = f"it is an XML document whose root is <{root[:80]}>, neither a feed nor a page"
        raise _Unreadable("rejected", "unsupported-kind", message)
    return named if named in {"text", "html"} else "text"


def _empty_message(content: bytes) -> str:
    return (
        f"it holds nothing but white space ({len(content):,} bytes)" if content else "it is empty"
    )


class ReadSources(NamedTuple):
    """What reading gives: typed collections."""

    pages: PCollection[Page]
    failures: PCollection[Failure]
    sources_read: PCollection[tuple[str, str, int]]
    """``("source", key, number of pages and failures that came of it)``, one per source, by
    ``Source.key``."""


_SOURCES_READ = Metrics.counter(NAMESPACE, "sources_read")


class _ReadSource(beam.DoFn):
    """Reads one source after the other; of objects, the next ones are asked for meanwhile."""

    def __init__(self, observed_at: Timestamp, limits: ReadLimits) -> None:
        self._observed_at = observed_at
        self._limits = limits

    def setup(self) -> None:
        self._requests = ThreadPoolExecutor(_OBJECTS_AHEAD)

    def start_bundle(self) -> None:
        self._waiting: deque[tuple[Source, Future[ReadableStream]]] = deque()

    def process(self, source: Source) -> Iterator[Page | pvalue.TaggedOutput]:
        if not is_fetched_whole(source.uri, source.size_bytes):
            yield from self._read(source, _open)
            return
        self._waiting.append((source, self._requests.submit(_open, source)))
        if len(self._waiting) > _OBJECTS_AHEAD:
            yield from self._read_next()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._waiting:
            for value in self._read_next():
                # Seed files are read in batches, before anything has a window.
                windowed = GlobalWindows.windowed_value
                if isinstance(value, pvalue.TaggedOutput):
                    yield pvalue.TaggedOutput(value.tag, windowed(value.value))
                else:
                    yield windowed(value)

    def teardown(self) -> None:
        self._requests.shutdown()

    def _read_next(self) -> Iterator[Page | pvalue.TaggedOutput]:
        source, opened = self._waiting.popleft()
        yield from self._read(source, lambda _: opened.result())

    def _read(
        self, source: Source, open_source: Callable[[Source], ReadableStream]
    ) -> Iterator[Page | pvalue.TaggedOutput]:
        units = 0
        for unit in read_source(source, self._observed_at, self._limits, open_source):
            units += 1
            yield unit if isinstance(unit, Page) else pvalue.TaggedOutput(FAILURES_TAG, unit)
        _SOURCES_READ.inc()
        yield pvalue.TaggedOutput(SOURCES_READ_TAG, ("source", source.key, units))


@dataclass
class ReadPages(beam.PTransform):
    """``PCollection[Source]`` → its pages, failures and one count per source.

    Args:
        observed_at: the start of the run.
        limits: bounds of what is read and kept.
    """

    observed_at: Timestamp
    limits: ReadLimits = field(default_factory=ReadLimits)

    def expand(self, sources: PCollection[Source]) -> ReadSources:
        """Read each source where it is; nothing is grouped."""
        read = sources | "Read" >> beam.ParDo(
            _ReadSource(self.observed_at, self.limits)
        ).with_output_types(
            Page, **{FAILURES_TAG: Failure, SOURCES_READ_TAG: tuple[str, str, int]}
        ).with_outputs(FAILURES_TAG, SOURCES_READ_TAG, main="pages")
        return ReadSources(read.pages, read[FAILURES_TAG], read[SOURCES_READ_TAG])
