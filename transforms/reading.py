"""Read sources: files of any kind that pages are kept in → pages.

``Source`` → ``Page`` for each text dump, saved page, feed item and archive record in it, and a
``Failure`` for whatever cannot be one; at least one of the two for every source. Bounded: a file is
read in one pass, within ``ReadLimits``, counted after decompression.

    name and first bytes ─► kind ─┬─ text, html ─► one page
                                  ├─ feed       ─► a page per item      (transforms.feeds)
                                  └─ archive    ─► a page per record    (transforms.archives)

A file's name is believed until its content says otherwise: HTML saved as ``.txt`` is HTML.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

import apache_beam as beam
from apache_beam import PCollection, pvalue
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, Page, Source
from transforms.archives import ArchiveDamage, looks_like_html, read_archive
from transforms.decoding import BinaryContent, UndecodableText, decode_text
from transforms.feeds import EmptyFeed, MalformedFeed, read_feed

FAILURES_TAG = "failures"
SOURCES_READ_TAG = "sources_read"
"""Tag of the output of ``("source", uri, number of pages and failures)``, one per source."""

_CHUNK_BYTES = 256 * 1024
_HEAD_BYTES = 8 * 1024
_MAX_GZIP_LAYERS = 2
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
_ROOT_ELEMENT = re.compile(
    r"\s*(?:(?:<\?.{0,500}?\?>|<!--.{0,4000}?-->|<!DOCTYPE[^>\[]{0,500}(?:\[.{0,4000}?\]\s*)?>)\s*)*"
    r"<([A-Za-z_][\w.:\-]*)[\s/>]",
    re.DOTALL,
)
_HTML_BLOCKS = frozenset(
    {"article", "aside", "center", "div", "figure", "footer", "form", "h1", "h2", "h3", "header"}
    | {"link", "main", "nav", "noscript", "ol", "p", "script", "section", "style", "table", "ul"}
)
_CHARS_PER_TAG = 200
_BLANK = " \t\n\v\f\x1a\xa0\u200b\u2060\u3000\ufeff"
_FEED_ROOTS = frozenset({"rss", "feed", "entry", "rdf", "channel"})
_JSON_START = re.compile(r'\s*(?:\{\s*"|\[\s*[\[{"])')
_MHTML_START = re.compile(
    r"(?:[\w\-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){0,30}?Content-Type:\s*multipart/related", re.IGNORECASE
)
_ANY_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")


class _Unreadable(Exception):  # noqa: N818 - becomes a Failure
    """Why a source, or the rest of it, gives no page, in the terms of a ``Failure``."""

    def __init__(self, kind: str, reason: str, message: str, payload: bytes = b"") -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.payload = payload


def read_source(source: Source, observed_at: Timestamp, limits: ReadLimits) -> Iterator[Unit]:
    """Give the pages of a source, and a failure for whatever in it cannot be read as one.

    At least one value comes for every source. What is damaged half-way gives what stands before
    the damage where that is whole (the records of an archive), and a failure for the rest.

    Args:
        source: what ``local_uri`` gives for a path, or the URI of a Beam filesystem.
        observed_at: the start of the run; records of archives carry their own date.
        limits: bounds of what is read and kept.
    """
    try:
        yield from _read_pages(source, observed_at, limits)
    except _Unreadable as why:
        yield Failure(
            kind=why.kind,
            stage="read",
            reason=why.reason,
            message=str(why),
            origin=source.uri,
            source_uri=source.uri,
            observed_at=observed_at,
            payload=why.payload[: limits.max_payload_bytes],
        )


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


class _Gunzipped:
    """What a gzip stream holds, as far as it can be decompressed before an error is raised."""

    def __init__(self, stored: _Stream) -> None:
        self._file = gzip.GzipFile(fileobj=io.BufferedReader(_Joined(b"", stored), _CHUNK_BYTES))

    def read(self, size: int = -1, /) -> bytes:
        # Not read(): it throws away what it had when the damage comes.
        return self._file.read1(size)


class _Joined(io.RawIOBase):
    """A stream with the bytes in front that were read from it to see what it is."""

    def __init__(self, head: bytes, rest: _Stream, error: Exception | None = None) -> None:
        self._head = head
        self._rest = rest
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._head[: len(buffer)]
        if chunk:
            self._head = self._head[len(chunk) :]
        elif self._error is not None:
            raise self._error
        else:
            chunk = self._rest.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


_GzipDamage = (EOFError, zlib.error, gzip.BadGzipFile)


def _read_pages(source: Source, observed_at: Timestamp, limits: ReadLimits) -> Iterator[Unit]:
    uri = source.uri
    name = local_path(uri)
    _check_is_file(name)
    try:
        with FileSystems.open(name, compression_type=CompressionTypes.UNCOMPRESSED) as stored:
            stream, head, is_gzip = _decompressed(stored)
            if _WARC_START.match(head):
                yield from _read_archive(stream, uri, observed_at, limits)
                return
            if not is_gzip and source.size_bytes > limits.max_input_bytes:
                message = (
                    f"it holds {source.size_bytes:,} bytes; the limit is {limits.max_input_bytes:,}"
                )
                raise _Unreadable("failed", "too-large", message, head)
            content = _read_content(stream, is_gzip, limits)
    except OSError as error:
        raise _unreadable(error) from error
    yield from _read_document(content, uri, observed_at, limits)


def _check_is_file(name: str) -> None:
    """Raise for a local path that is no regular file: opening a FIFO would wait for ever."""
    if FileSystems.get_scheme(name) is not None:
        return
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a path, or else a URI
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
    causes: list[object] = [error]
    if isinstance(error, BeamIOError):
        causes += (error.exception_details or {}).values()
    if any(isinstance(cause, FileNotFoundError | NotADirectoryError) for cause in causes):
        message = (
            "it is a symbolic link to a file that does not exist"
            if dangling
            else "it does not exist (any more)"
        )
        return _Unreadable("failed", "not-found", message)
    if any(isinstance(cause, IsADirectoryError) for cause in causes):
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


def _decompressed(stored: _Stream) -> tuple[_Joined, bytes, bool]:
    """A stream without its gzip layers, its first bytes, and whether it had any."""
    head, error = _read_some(stored, _HEAD_BYTES)
    stream = _Joined(head, stored, error)
    layers = 0
    while head.startswith(b"\x1f\x8b\x08"):
        layers += 1
        if layers > _MAX_GZIP_LAYERS:
            message = f"it is compressed with gzip more than {_MAX_GZIP_LAYERS} times over"
            raise _Unreadable("rejected", "unsupported-kind", message)
        inner = _Gunzipped(stream)
        head, error = _read_some(inner, _HEAD_BYTES)
        stream = _Joined(head, inner, error)
    return stream, head, layers > 0


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
    stream: _Stream, uri: str, observed_at: Timestamp, limits: ReadLimits
) -> Iterator[Unit]:
    skipped: Counter[str] = Counter()
    is_empty = True
    try:
        for unit in read_archive(
            stream,
            uri,
            observed_at,
            max_record_bytes=limits.max_record_bytes,
            max_payload_bytes=limits.max_payload_bytes,
            skipped=skipped,
        ):
            is_empty = False
            yield unit
    except ArchiveDamage as damage:
        raise _Unreadable("failed", damage.reason, str(damage)) from damage
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
        raise _Unreadable("failed", "malformed-feed", str(error), content) from error
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
        raise _Unreadable("failed", "undecodable", str(error), content) from error
    if not text.strip(_BLANK):
        raise _Unreadable("rejected", "empty", _empty_message(content))
    head = text[:_HEAD_BYTES]
    if looks_like_html(head.encode("utf-8", "replace")):
        return "html"
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
    """``("source", uri, number of pages and failures that came of it)``, one per source."""


class _ReadSource(beam.DoFn):
    def __init__(self, observed_at: Timestamp, limits: ReadLimits) -> None:
        self._observed_at = observed_at
        self._limits = limits

    def process(self, source: Source) -> Iterable[Page | pvalue.TaggedOutput]:
        units = 0
        for unit in read_source(source, self._observed_at, self._limits):
            units += 1
            yield unit if isinstance(unit, Page) else pvalue.TaggedOutput(FAILURES_TAG, unit)
        yield pvalue.TaggedOutput(SOURCES_READ_TAG, ("source", source.uri, units))


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
