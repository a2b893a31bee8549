"""The memory of feeds: what is known of each between runs, as a file beside the dataset's commits.

In: ``FeedMemory`` records. Out: gzip (RFC 1952) of JSON Lines, and back::

    {"format": 1}
    {"url": "https://a.example/feed", "etag": "\\"7\\"", "due_at": "2026-03-01T09:30:00.000000Z", …}
    {"url": "https://b.example/feed", "seen": [["1f0c…", "9a3e…"], …], …}

The first line has the format's number. Then there is a line for each feed, sorted by URL, without
what is as its record has it by default. Equal memories are equal bytes.

Losing the memory costs requests and nothing else, so that nothing here fails for what is in the
file: what cannot be read is left out, and a note says so. A damaged line loses that feed alone. A
field that is unknown is passed over, for a newer newsbeam may have written it.

Headers are never written: a subscription may have a password in them.
"""

from __future__ import annotations

import datetime
import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, Optional, TypeVar

from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import FEEDS, MEMORY_SUFFIX, Dataset, Snapshot
from schemas.records import FeedItem, FeedMemory, LinkedItem, SeenItem

FORMAT = 1
"""Raised when an older newsbeam could not make sense of what is written."""
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

    The note is empty if all could be read, also where no commit has a memory yet.
    """
    if not snapshot.memory:
        return {}, ""
    where = f"the memory of feeds {dataset.store.locate(snapshot.memory)}"
    try:
        content = dataset.store.read(snapshot.memory)
    except FileNotFoundError:
        return {}, f"{where} is missing; all feeds are asked for again"
    except OSError as error:
        return {}, f"{where} cannot be read ({error}); all feeds are asked for again"
    memories, wrong = _read(content)
    return {it.url: it for it in memories}, f"{where} {wrong}" if wrong else ""


# ── writing it ──────────────────────────────────────────────────────────────────────────────────


def encode_memory(memories: Iterable[FeedMemory]) -> bytes:
    """The file of a memory."""
    ordered = sorted(memories, key=lambda memory: memory.url)
    lines = [{"format": FORMAT}, *map(_plain, ordered)]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    return gzip.compress(text.encode(), mtime=0)


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
