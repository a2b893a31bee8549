"""The memory of feeds: what is known of each between runs, as a file beside the dataset's commits.

In: ``FeedMemory`` records. Out: gzip (RFC 1952) of JSON Lines, and back::

    {"format": 1}
    {"url": "https://a.example/feed", "etag": "\\"7\\"", "due_at": "2026-03-01T09:30:00.000000Z", …}
    {"url": "https://b.example/feed", "seen": [["1f0c…", "9a3e…"], …], …}

The first line has the format's number. Then there is a line for each feed, sorted by URL, without
what is as its record has it by default. Equal memories are equal bytes. Each line is compressed by
itself, as deflate blocks that refer to none before (RFC 1951), so that a
writer that goes on for long need not do again what has not changed.

Losing the memory costs requests and nothing else, so that nothing here fails for what is in the
file: what cannot be read is left out, and a note says so. A damaged line loses that feed alone. A
field that is unknown is passed over, for a newer newsbeam may have written it.

Headers are never written: a subscription may have a password in them.
"""

from __future__ import annotations

import datetime
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, NamedTuple, Optional, TypeVar

from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import FEEDS, MEMORY_SUFFIX, Dataset, Snapshot
from schemas.records import FeedItem, FeedMemory, LinkedItem, SeenItem

FORMAT = 1
"""Raised when an older newsbeam could not make sense of what is written."""
KEPT_SECONDS = 90 * 86_400
"""How long a feed is remembered that nobody polls any more."""
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, no file system."""
_LAST_BLOCK = b"\x03\0"
"""RFC 1951, 3.2.6: the last block, with nothing in it."""
_LEVEL = 6
_NEVER_WRITTEN = frozenset({"headers"})
_LINES_NAMED = 3
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_INT64 = range(-(2**63), 2**63)
"""What Beam's row coder can carry."""
T = TypeVar("T")


def memory_path(run_id: str) -> str:
    """Where a run's memory of feeds is to stand, relative to the dataset."""
    return f"{FEEDS}/{run_id}{MEMORY_SUFFIX}"


def read_memory(dataset: Dataset, snapshot: Snapshot) -> tuple[dict[str, FeedMemory], str]:
    """The memory in force after a snapshot, by feed, and what could not be read of it.

    The note is empty if all could be read, also where no commit has a memory yet. For who only
    shows it: who writes the next one takes ``memory_to_go_on``, which tells a store that is out of
    reach from a memory that is lost.
    """
    try:
        return memory_to_go_on(dataset, snapshot)
    except OSError as error:
        where = _where(dataset, snapshot)
        return {}, f"{where} cannot be read ({error}); all feeds are asked for again"


def memory_to_go_on(dataset: Dataset, snapshot: Snapshot) -> tuple[dict[str, FeedMemory], str]:
    """As ``read_memory``, for the writer of the next one, while nobody else commits.

    Raises:
        OSError: the store refuses, or is out of reach: what is remembered is not lost then.
    """
    try:
        return load_memory(dataset, snapshot)
    except FileNotFoundError:
        where = _where(dataset, snapshot)
        return {}, f"{where} is missing; all feeds are asked for again"


def load_memory(dataset: Dataset, snapshot: Snapshot) -> tuple[dict[str, FeedMemory], str]:
    """As ``read_memory``, but for a file that is not to be had.

    Raises:
        FileNotFoundError: it is gone: with a newer commit, or for good.
        OSError: the store refuses, or is out of reach.
    """
    if not snapshot.memory:
        return {}, ""
    memories, wrong = _read(dataset.store.read(snapshot.memory))
    note = f"{_where(dataset, snapshot)} {wrong}" if wrong else ""
    return {it.url: it for it in memories}, note


def _where(dataset: Dataset, snapshot: Snapshot) -> str:
    return f"the memory of feeds {dataset.store.locate(snapshot.memory)}"


def without_forgotten(
    memories: Mapping[str, FeedMemory], subscribed: Collection[str], now: Timestamp
) -> dict[str, FeedMemory]:
    """Memories but for those of feeds that nobody subscribes to, or polled for ``KEPT_SECONDS``."""
    return {
        url: memory
        for url, memory in memories.items()
        if url in subscribed
        or (memory.polled_at is not None and memory.polled_at >= now - KEPT_SECONDS)
    }


# ── writing it ──────────────────────────────────────────────────────────────────────────────────


def encode_memory(memories: Iterable[FeedMemory]) -> bytes:
    """The file of a memory."""
    return MemoryEncoder().encode(memories)


class MemoryEncoder:
    """Encodes one memory after the other; of each, only feeds that have changed since the last."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[FeedMemory, _Line]] = {}

    def encode(self, memories: Iterable[FeedMemory]) -> bytes:
        """The file of a memory, as ``encode_memory`` gives it."""
        ordered = sorted(memories, key=lambda memory: memory.url)
        encoded = [(memory, self._line(memory)) for memory in ordered]
        self._kept = {memory.url: (memory, line) for memory, line in encoded}
        return _gzipped([_line_of({"format": FORMAT}), *(line for _, line in encoded)])

    def _line(self, memory: FeedMemory) -> _Line:
        before = self._kept.get(memory.url)
        if before is not None and before[0] == memory:
            return before[1]
        return _line_of(_plain(memory))


class _Line(NamedTuple):
    """A line of a memory's file."""

    text: bytes
    blocks: bytes
    """The same, compressed."""


def _line_of(plain: Any) -> _Line:
    text = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _Line(text, deflater.compress(text) + deflater.flush(zlib.Z_FULL_FLUSH))


def _gzipped(lines: Sequence[_Line]) -> bytes:
    """One member of gzip (RFC 1952, 2.3)."""
    checksum = size_bytes = 0
    for line in lines:
        checksum = zlib.crc32(line.text, checksum)
        size_bytes += len(line.text)
    blocks = b"".join(line.blocks for line in lines)
    return _GZIP_HEADER + blocks + _LAST_BLOCK + struct.pack("<2I", checksum, size_bytes % 2**32)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Timestamp):
        return _iso(value)
    if isinstance(value, SeenItem):
        return [value.key, value.version, value.first_seen]
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in fields(value)
            if field.name not in _NEVER_WRITTEN and getattr(value, field.name) != field.default
        }
    return value


def _iso(moment: Timestamp) -> str:
    utc = _EPOCH + datetime.timedelta(microseconds=moment.micros)
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


# ── reading it ──────────────────────────────────────────────────────────────────────────────────


def decode_memory(content: bytes) -> list[FeedMemory]:
    """The feeds' memories that can be read of a file, as they stand in it; never raises."""
    return _read(content)[0]


def _read(content: bytes) -> tuple[list[FeedMemory], str]:
    """What can be read of a file, and what is wrong with it."""
    try:
        header, *lines = gzip.decompress(content).splitlines()
        version = _whole(json.loads(header)["format"])
    except (
        OSError,
        EOFError,
        zlib.error,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
    ) as error:
        return [], f"is damaged ({type(error).__name__}: {error}); all feeds are asked for again"
    if version > FORMAT:
        return [], (
            f"is of format {version}, newer than {FORMAT}, which is the newest that this newsbeam "
            "knows; all feeds are asked for again"
        )
    memories, damaged = [], []
    for number, line in enumerate(lines, start=2):
        try:
            memories.append(_record(FeedMemory, json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            damaged.append(f"line {number} ({type(error).__name__}: {error})")
    if not damaged:
        return memories, ""
    named = ", ".join(damaged[:_LINES_NAMED]) + " …" * (len(damaged) > _LINES_NAMED)
    return memories, f"is damaged at {named}; feeds that are asked for again: {len(damaged):,}"


def _record(kind: type[T], plain: Any) -> T:
    """A record of a JSON object.

    Raises:
        TypeError: if it is no object, or a field is of another type than the record's.
        ValueError: if a time or number is none.
        KeyError: if a field is missing that has no default.
    """
    _check_type(plain, dict)
    given = {}
    for field in fields(kind):  # type: ignore[arg-type]  # it is a dataclass
        if field.name in plain and field.name not in _NEVER_WRITTEN:
            given[field.name] = _READERS[field.type](plain[field.name])
        elif field.default is MISSING:
            raise KeyError(field.name)
    return kind(**given)


def _check_type(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:  # to isinstance, True would be a number
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value


def _whole(value: Any) -> int:
    if _check_type(value, int) not in _INT64:
        raise ValueError(f"{value!r:.40} is too large")
    return int(value)


def _moment(value: Any) -> Timestamp:
    moment = datetime.datetime.fromisoformat(_check_type(value, str))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r:.40} has no zone")
    return Timestamp(micros=(moment - _EPOCH) // _MICROSECOND)


def _seen(value: Any) -> SeenItem:
    key, version, first_seen = _check_type(value, list)
    return SeenItem(_text(key), _text(version), _whole(first_seen))


def _each(read: Callable[[Any], T], value: Any) -> tuple[T, ...]:
    return tuple(map(read, _check_type(value, list)))


def _or_none(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


_text = partial(_check_type, kind=str)
_item = partial(_record, FeedItem)
_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _whole,
    bool: partial(_check_type, kind=bool),
    FeedItem: _item,
    Optional[str]: partial(_or_none, _text),
    Optional[Timestamp]: partial(_or_none, _moment),
    tuple[str, ...]: partial(_each, _text),
    tuple[int, ...]: partial(_each, _whole),
    tuple[SeenItem, ...]: partial(_each, _seen),
    tuple[LinkedItem, ...]: partial(_each, partial(_record, LinkedItem)),
}
"""How a field of each type is read."""
