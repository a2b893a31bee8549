"""WARC archives (ISO 28500:2017): the pages in their response, resource and conversion records.

Bytes of one archive → ``Page | Failure``, streamed: no more than one record is held, and none that
is larger than its bound. Read with fastwarc, which is maintained (2021 to 2.0 in November 2026),
Apache-2.0, and made for streams; warcio, the alternative, is older (2017) and as fit, but parses in
Python and took twice as long (2,400 pages of 408 MB, compressed record by record: 1.0 s against
0.45 s). Two things neither says are added here: that an archive was cut (fastwarc ends quietly),
and the decoding of a payload whose stated encoding is not its real one, as in archives whose
crawler stored the payload decoded and the headers as they were.

A large archive can be read in parts: ``index_archive`` says where records begin, and
``read_archive`` of a part gives what the whole would have given from there on.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from typing import NamedTuple, Protocol

from apache_beam.utils.timestamp import Timestamp
from fastwarc.stream_io import BrotliReader, ChunkedReader, ZstdReader
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from schemas.records import Failure, Page, Source
from transforms.gunzip import GzipStream

_PAGE_RECORDS = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = frozenset({"text/plain"})
_READ_BYTES = 64 * 1024
_MAX_CODINGS = 4
_HTTP_OK = 200
_SNIFFED_BYTES = 512
_FIRST_WEB_YEAR = 1990
"""No page was seen before: an earlier date is a clock's zero or a placeholder."""

# What an origin may not hold, and what would read as if it had been escaped.
_UNSAFE_IN_ORIGIN = re.compile(
    r"[\0-\x1f\x7f-\x9f\ud800-\udfff]"
    r"|%(?=25|[01][0-9A-F]|7F|C2%[89][0-9A-F]|ED%[AB][0-9A-F]%[89AB][0-9A-F])"
)


class ByteStream(Protocol):
    """What an archive is read from: ``read`` gives at most ``size`` bytes, and ``b""`` at the end.

    Raises:
        EOFError: compressed data end before their end marker.
        OSError: the stream cannot be read, or what it decompresses is damaged.
    """

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, none only at the end."""
        ...


class ArchiveDamage(ValueError):  # noqa: N818 - it is what the data have
    """An archive cannot be read on from some byte; what stood before has been given.

    ``reason`` is ``truncated`` or ``corrupt``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _NoPage(ValueError):  # noqa: N818 - becomes a Failure
    """Why a record gives no page, in the terms of a ``Failure``."""

    def __init__(self, kind: str, reason: str, message: str, payload: bytes = b"") -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.payload = payload


class _Limits(NamedTuple):
    record_bytes: int
    payload_bytes: int


class _Payload(NamedTuple):
    media_type: str
    charset: str | None
    codings: tuple[str, ...]


class _Watched:
    """A stream that remembers the first error that reading it raised.

    fastwarc takes an error of the stream below for one of the archive's own or for its end, so the
    error is kept here to be told apart. What is read ends where a multiple of a number of bytes
    does, counted from the start of the archive: so it never depends on where a part begins what was
    read already when fastwarc comes upon damage.
    """

    def __init__(self, stream: ByteStream, start: int = 0, end: int = -1) -> None:
        self._stream = stream
        self._end = end
        self.position = start
        """How much of the archive, decompressed, stands before what is still to be read."""
        self.error: EOFError | OSError | zlib.error | None = None

    def read(self, size: int = -1, /) -> bytes:
        wanted = _READ_BYTES - self.position % _READ_BYTES
        if size >= 0:
            wanted = min(wanted, size)
        if self._end >= 0:
            wanted = min(wanted, self._end - self.position)
        pieces: list[bytes] = []
        try:
            while self.error is None and wanted and (piece := self._stream.read(wanted)):
                pieces.append(piece)
                wanted -= len(piece)
        except (EOFError, OSError, zlib.error) as error:
            self.error = error
        chunk = b"".join(pieces)
        self.position += len(chunk)
        return chunk

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation("an archive is read from start to end")

    def close(self) -> None:
        """Leave the stream to whoever opened it."""


def escape_id(part_id: str) -> str:
    """An id as it stands in an origin: printable, encodable, and another for every other id.

    Control characters and lone surrogates become the percent-encoded bytes of their UTF-8 (RFC
    3986, 2.1); a percent sign does only where what follows would read as such an escape, so that
    the ids that are URLs stay as they are.

    >>> escape_id("a\\nb"), escape_id("a%0Ab"), escape_id("https://news.example/caf%C3%A9")
    ('a%0Ab', 'a%250Ab', 'https://news.example/caf%C3%A9')
    """
    return _UNSAFE_IN_ORIGIN.sub(_percent_encoded, part_id)


def _percent_encoded(match: re.Match[str]) -> str:
    encoded = match[0].encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in encoded)


class PartOrigins:
    """The origins of the parts of one file, each given once, whatever the parts are called."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._given: set[str] = set()
        self._repeats: Counter[str] = Counter()

    def of(self, part_id: str) -> str:
        """``URI#ID``, and for an id that comes again ``URI#ID;2``, ``;3`` … until it is unused."""
        escaped = escape_id(part_id)
        name = escaped
        while name in self._given:
            self._repeats[escaped] += 1
            name = f"{escaped};{self._repeats[escaped] + 1}"
        self._given.add(name)
        return f"{self._uri}#{name}"


class RecordMark(NamedTuple):
    """Where a record of an archive begins."""

    position: int
    """In decompressed bytes."""
    content_bytes: int
    """Size of what follows its header."""
    is_page: bool
    """Whether it is of a type that gives a page, or a failure instead of one."""
    renamed: str | None
    """What it is called in its origin instead of by its id, if an earlier record has that id."""


def index_archive(stream: ByteStream, source: Source) -> Iterator[RecordMark]:
    """Give where the records of a WARC archive begin, in their order; their content is passed over.

    As ``read_archive``, it may be given a part. It ends where the archive is damaged, after the
    mark of the record that the damage is in if its header is whole; whoever reads that far is told
    of the damage. Of every record that gives a page the name is held until the end.

    Raises:
        OSError: the stream cannot be read.
    """
    watched = _Watched(stream, source.start, source.end)
    origin_of = _origins(source)
    try:
        for number, record in _records(watched, source.records_before):
            is_page = bool(record.record_type & _PAGE_RECORDS)
            renamed = None
            if is_page:
                name = origin_of(record).removeprefix(f"{source.uri}#")
                renamed = name if name != escape_id(_record_id(record)) else None
            yield RecordMark(record.stream_pos, record.content_length, is_page, renamed)
            if _pass_over_rest(record, watched, number) is not None:
                return
    except ArchiveDamage:
        return


def read_archive(
    stream: ByteStream,
    source: Source,
    observed_at: Timestamp,
    *,
    max_record_bytes: int,
    max_payload_bytes: int,
    skipped: Counter[str] | None = None,
) -> Iterator[Page | Failure]:
    """Give the pages of a WARC archive, and a failure for each record that should have been one.

    Args:
        stream: the archive, decompressed; for a part of one, from where the part begins.
        source: the file, for the origins, or a part of it.
        observed_at: the start of the run, taken for a record without a usable ``WARC-Date`` and
            for one whose date lies after it.
        max_record_bytes: bound of a record's payload, as stored and once decoded.
        max_payload_bytes: how much of a payload a failure keeps.
        skipped: counts the records that are no pages by their nature, by type.

    Raises:
        ArchiveDamage: the archive is cut or broken; every record before has been given.
        OSError: the stream cannot be read.
    """
    watched = _Watched(stream, source.start, source.end)
    limits = _Limits(max_record_bytes, max_payload_bytes)
    origin_of = _origins(source)
    for number, record in _records(watched, source.records_before):
        unit: Page | Failure | None = None
        if record.record_type & _PAGE_RECORDS:
            unit = _read_record(record, origin_of(record), source.uri, observed_at, limits)
        elif skipped is not None:
            skipped[str(record.record_type)] += 1
        damage = _pass_over_rest(record, watched, number)
        if isinstance(unit, Failure) and (damage is not None or unit.reason == "truncated"):
            # The record that the archive ends in: one failure says so, and has the record's URL.
            if damage is not None:
                unit = replace(unit, kind="failed", reason=damage.reason, message=str(damage))
            yield unit
            return
        if damage is not None:
            raise damage
        if unit is not None:
            yield unit
    if watched.position < source.end:
        raise ArchiveDamage(
            "truncated",
            f"the archive ends {source.end - watched.position:,} bytes before the end of the part "
            "of it that was to be read: it has changed since it was listed",
        )


def _records(watched: _Watched, records: int) -> Iterator[tuple[int, WarcRecord]]:
    """Each record with its number, counted on from ``records``; its content is yet to be read."""
    iterator = iter(ArchiveIterator(watched, parse_http=False, stream_detect=False))
    while True:
        try:
            record = next(iterator, None)
        except OSError as error:
            raise _stream_damage(watched, records) or ArchiveDamage(
                "corrupt",
                f"the archive is broken after {records:,} records: {_sentence(error)}",
            ) from error
        if record is None:
            break
        if not (record.headers.get("Content-Length") or "").strip().isdecimal():
            # Obligatory (ISO 28500, 5.3), and what every other record is found by.
            is_last = _is_last(iterator)
            raise _stream_damage(watched, records) or ArchiveDamage(
                "truncated" if is_last else "corrupt",
                f"the header of the record after the first {records:,} states no length",
            )
        records += 1
        yield records, record
    damage = _stream_damage(watched, records)
    if damage is not None:
        raise damage


def _is_last(iterator: Iterator[WarcRecord]) -> bool:
    try:
        return next(iterator, None) is None
    except OSError:
        return False


def _origins(source: Source) -> Callable[[WarcRecord], str]:
    """What gives the records of an archive, or of a part of one, their origins."""
    if not source.start:
        origins = PartOrigins(source.uri)
        return lambda record: origins.of(_record_id(record))
    repeated = dict(zip(source.repeated_at, source.repeated_as, strict=True))

    def origin_of(record: WarcRecord) -> str:
        name = repeated.get(record.stream_pos) or escape_id(_record_id(record))
        return f"{source.uri}#{name}"

    return origin_of


def _pass_over_rest(record: WarcRecord, watched: _Watched, records: int) -> ArchiveDamage | None:
    """Pass over what was not read of a record; the damage if the archive ends in it."""
    rest_bytes = record.content_length - record.reader.tell()
    passed_bytes = record.consume()
    if passed_bytes == rest_bytes:
        return None
    return _stream_damage(watched, records - 1) or ArchiveDamage(
        "truncated",
        f"the archive ends {rest_bytes - passed_bytes:,} bytes before the end of its record "
        f"{records:,}",
    )


def _stream_damage(watched: _Watched, records: int) -> ArchiveDamage | None:
    """What damage of the data stopped the stream, if any; raises what the machine failed with."""
    error = watched.error
    if error is None:
        return None
    if isinstance(error, EOFError):
        return ArchiveDamage(
            "truncated",
            f"the compressed archive ends early, after {records:,} whole records "
            f"({watched.position:,} bytes decompressed)",
        )
    if isinstance(error, zlib.error | gzip.BadGzipFile):
        return ArchiveDamage(
            "corrupt",
            f"the compressed archive is damaged after {records:,} whole records "
            f"({watched.position:,} bytes decompressed): {_sentence(error)}",
        )
    raise error


def _record_id(record: WarcRecord) -> str:
    """What a record is called in its origin: its id, or where it stands if it states none."""
    record_id = (record.record_id or "").strip("<> ").removeprefix("urn:uuid:")
    return record_id or f"record-at-{record.stream_pos}"


def _record_date(record: WarcRecord, run_start: Timestamp) -> Timestamp:
    """When a record was observed: by its ``WARC-Date``, where that can be, else when it is read.

    Nothing is observed after it is read: the date of a clock that was ahead is the run's start.
    """
    try:
        stated = record.record_date and record.record_date.astimezone(UTC)
    except (OverflowError, ValueError):  # year 0, or in UTC before year 1 or after year 9999
        return run_start
    if stated is None or stated.year < _FIRST_WEB_YEAR:
        return run_start
    return min(Timestamp.from_utc_datetime(stated), run_start)


def _read_record(
    record: WarcRecord, origin: str, uri: str, observed_at: Timestamp, limits: _Limits
) -> Page | Failure:
    """The page in a record, or why there is none."""
    url = (record.headers.get("WARC-Target-URI") or "").strip("<> ") or None
    observed_at = _record_date(record, observed_at)
    try:
        described = _describe_payload(record)
        content = _read_payload(record, described.codings, limits.record_bytes)
        kind = _page_kind(described.media_type, content)
    except _NoPage as why:
        return Failure(
            kind=why.kind,
            stage="read",
            reason=why.reason,
            message=str(why),
            origin=origin,
            source_uri=uri,
            observed_at=observed_at,
            payload=why.payload[: limits.payload_bytes],
            url=url,
        )
    return Page(
        origin=origin,
        source_uri=uri,
        kind=kind,
        content=content,
        observed_at=observed_at,
        charset=described.charset,
        url=url,
    )


def _describe_payload(record: WarcRecord) -> _Payload:
    """What a record's headers say of its payload; raises for one that they say is no page."""
    headers = record.headers
    content_type = headers.get("Content-Type")
    codings: tuple[str, ...] = ()
    if record.is_http or _media_type(content_type) == "application/http":
        try:
            record.parse_http(quirks_mode=True)
        except OSError as error:
            message = f"its HTTP header is broken: {_sentence(error)}"
            raise _NoPage("failed", "corrupt", message) from error
        http = record.http_headers
        status = http.status_code if http is not None else None
        if status is None:
            raise _NoPage("failed", "corrupt", "the record has no HTTP status line")
        if status != _HTTP_OK:
            message = f"the server answered with HTTP status {status}, not {_HTTP_OK}"
            raise _NoPage("rejected", "http-status", message)
        content_type = http.get("Content-Type")
        # Codings are named in the order they were applied, the transfer's last of all.
        stated = f"{http.get('Content-Encoding') or ''},{http.get('Transfer-Encoding') or ''}"
        codings = tuple(coding.strip().lower() for coding in stated.split(",") if coding.strip())
    media_type = _media_type(content_type) or _media_type(
        headers.get("WARC-Identified-Payload-Type")
    )
    if media_type and media_type not in _HTML_TYPES | _TEXT_TYPES:
        message = f"its media type is {media_type}, neither HTML nor plain text"
        raise _NoPage("rejected", "not-a-page", message)
    return _Payload(media_type, _charset(content_type), codings)


def _read_payload(record: WarcRecord, codings: tuple[str, ...], max_bytes: int) -> bytes:
    """The payload without its codings; raises for one that is too large, cut or damaged."""
    stored_bytes = record.content_length
    if stored_bytes > max_bytes:
        message = f"the record holds {stored_bytes:,} bytes; the limit is {max_bytes:,}"
        raise _NoPage("failed", "too-large", message)
    raw = record.reader.read(stored_bytes)
    if len(raw) < stored_bytes:
        message = f"the archive ends after {len(raw):,} of the record's {stored_bytes:,} bytes"
        raise _NoPage("failed", "truncated", message, raw)
    content = _decode_payload(raw, codings, max_bytes + 1)
    if len(content) > max_bytes:
        message = f"its {len(raw):,} bytes decode to more than {max_bytes:,}, the limit"
        raise _NoPage("failed", "too-large", message)
    if not content.strip():
        raise _NoPage("rejected", "empty", f"its payload of {len(content):,} bytes is empty")
    return content


def _page_kind(media_type: str, content: bytes) -> str:
    """``html`` or ``text``: HTML that its server called plain text is HTML."""
    if media_type in _HTML_TYPES or looks_like_html(content):
        return "html"
    if media_type in _TEXT_TYPES:
        return "text"
    message = "it states no media type and does not look like HTML"
    raise _NoPage("rejected", "not-a-page", message)


def looks_like_html(content: bytes) -> bool:
    """Whether content begins as an HTML document does: with its doctype or one of its first tags.

    A byte-order mark, an XML declaration and comments may stand before it. Text in UTF-16 is seen,
    too, as its NUL bytes are passed over.
    """
    head = content[: 4 * _SNIFFED_BYTES].replace(b"\0", b"")
    return _HTML_START.match(head) is not None


# What stands before the element is taken for good: to try it in every other way takes for ever.
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?"
    rb"(?:\s++|(?><\?xml[^>]{0,200}\?>)|(?><!--.{0,1500}?-->))*+"
    rb"<(?:!doctype\s+html|html|head|body|meta|title)\b",
    re.IGNORECASE | re.DOTALL,
)


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _charset(content_type: str | None) -> str | None:
    match = _CHARSET_PARAMETER.search(content_type or "")
    return match.group(1) if match else None


_CHARSET_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)


def _decode_payload(raw: bytes, codings: tuple[str, ...], max_bytes: int) -> bytes:
    """Undo transfer and content codings, last applied first, up to a number of bytes.

    Crawlers often store the payload decoded and leave the header that says otherwise, so what does
    not bear the mark of its coding is taken as it is where it looks like markup or text.

    Raises:
        _NoPage: the payload is neither in the stated coding nor readable without.
    """
    if len(codings) > _MAX_CODINGS:
        message = f"{len(codings)} codings are stated; at most {_MAX_CODINGS} are undone"
        raise _NoPage("failed", "undecodable", message, raw)
    content = raw
    for coding in reversed(codings):
        if coding in {"identity", "none", "binary"}:
            continue
        decoded = _undo_coding(content, coding, max_bytes)
        if decoded is None:
            if _control_bytes(content[:_SNIFFED_BYTES]):
                message = f"its {len(content):,} bytes are not in the stated coding {coding!r}"
                raise _NoPage("failed", "undecodable", message, raw)
            decoded = content
        content = decoded
    return content


def _control_bytes(sample: bytes) -> int:
    return sum(1 for byte in sample if byte < 32 and byte not in b"\t\n\r\f")


def _undo_coding(content: bytes, coding: str, max_bytes: int) -> bytes | None:
    """The content without a coding, or None where it is not in that coding.

    Raises:
        _NoPage: if the content ends before its gzip or deflate stream does.
    """
    if coding in {"gzip", "x-gzip"}:
        return _gunzip(content, max_bytes)
    if coding == "deflate":
        # RFC 9110 means the zlib format; some servers send the bare deflate stream.
        zlib_format = _inflate(content, zlib.MAX_WBITS, max_bytes)
        return zlib_format if zlib_format is not None else _inflate(content, -15, max_bytes)
    readers = {"chunked": ChunkedReader, "br": BrotliReader, "zstd": ZstdReader}
    if coding not in readers:
        return None
    pieces: list[bytes] = []
    length = 0
    reader = readers[coding](io.BytesIO(content))
    try:
        while length < max_bytes and (piece := reader.read(min(_READ_BYTES, max_bytes - length))):
            pieces.append(piece)
            length += len(piece)
    except OSError:  # how fastwarc reports any damage; the bytes are in memory
        return b"".join(pieces) or None
    return b"".join(pieces)


def _gunzip(content: bytes, max_bytes: int) -> bytes | None:
    stream = GzipStream(io.BytesIO(content))
    pieces: list[bytes] = []
    length = 0
    try:
        while length < max_bytes and (piece := stream.read(max_bytes - length)):
            pieces.append(piece)
            length += len(piece)
    except EOFError as error:
        raise _cut(length, content) from error
    except gzip.BadGzipFile:  # something else than a member, in front or behind
        return b"".join(pieces) or None
    except zlib.error:
        return None
    return b"".join(pieces)


def _inflate(content: bytes, window_bits: int, max_bytes: int) -> bytes | None:
    inflater = zlib.decompressobj(window_bits)
    try:
        inflated = inflater.decompress(content, max_bytes)
    except zlib.error:
        return None
    if content and not inflater.eof and len(inflated) < max_bytes:
        raise _cut(len(inflated), content)
    return inflated


def _cut(length: int, content: bytes) -> _NoPage:
    message = f"its compressed content ends early, after {length:,} bytes decompressed"
    return _NoPage("failed", "truncated", message, content)


def _sentence(error: BaseException) -> str:
    """An error's own words, shortened: fastwarc quotes whole payloads."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
