"""The health of the feeds of a dataset, for a person and for programs.

``FeedMemory`` records and the moment → a table with a line that sums it up, or plain values. What
counts as healthy is decided in ``feed_state``, from nothing but the memory.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from apache_beam.utils.timestamp import Timestamp
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.records import FeedMemory

SILENT_AFTER_DAYS = 7
"""Without a new item, from which a feed that answers counts as silent."""
MIN_REJECTIONS = 3
"""From which a feed that never gave an article is marked for it."""
MAX_MESSAGES_SHOWN = 20

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STATE_COLUMNS = 18
_FULL_NAMES_FROM_COLUMNS = 112
_ALL_COUNTS_FROM_COLUMNS = 100
_MIN_FEED_COLUMNS = 12
_UNSEEN = {"Cc": " ", "Cs": "\ufffd", "Cf": "", "Zl": " ", "Zp": " "}
"""What stands for a character of these categories (Unicode 15, section 4.5)."""

StateName = Literal[
    "ok", "unchanged", "failing", "retired", "silent", "only rejections", "never polled"
]
_STYLES: dict[StateName, str] = {
    "ok": "green",
    "unchanged": "green",
    "failing": "red",
    "retired": "red",
    "silent": "yellow",
    "only rejections": "yellow",
    "never polled": "dim",
}
_SUMMED: dict[StateName, str] = {
    "unchanged": "ok",
    "only rejections": "only gives rejections",
}
"""What the last line says where that is not the state's name."""


class FeedState(NamedTuple):
    """How a feed does."""

    name: StateName
    text: str
    """The state with what a person asks next, such as ``failing ×3: timeout``."""


class _Column(NamedTuple):
    key: str
    """In the plain values."""
    name: str
    width: int


_COUNTS = tuple(
    _Column(name, name, len(name))
    for name in ("items", "articles", "duplicates", "rejected", "failed", "waiting")
)
_SHORT_COUNTS = tuple(
    _Column(key, name, 6 if key == "articles" else 5)
    for key, name in (
        *(("items", "items"), ("articles", "art."), ("duplicates", "dup.")),
        *(("rejected", "rej."), ("failed", "fail."), ("waiting", "wait.")),
    )
)
_FEWEST_COUNTS = (_Column("articles", "articles", 8),)


def feed_state(memory: FeedMemory, now: datetime) -> FeedState:
    """How a feed does, by the first of these that holds.

    - ``never polled``: no poll of it has ended.
    - ``retired``: the server says that it is gone for good (410).
    - ``failing``: its last poll failed.
    - ``only rejections``: it gave neither article nor duplicate, but at least ``MIN_REJECTIONS``
      rejections and failures.
    - ``silent``: it answers, but listed no new item for more than ``SILENT_AFTER_DAYS``, or never.
    - ``unchanged``: its last poll brought no new item.
    - ``ok``: its last poll brought new items.
    """
    if memory.polled_at is None:
        return FeedState("never polled", "never polled")
    if memory.is_retired:
        return FeedState("retired", "retired (gone)")
    if memory.failures > 0:
        return FeedState("failing", f"failing ×{memory.failures}: {memory.reason or 'unknown'}")
    if gives_only_rejections(memory):
        return FeedState("only rejections", "only rejections")
    if is_silent(memory, now):
        return FeedState("silent", _silence(memory.changed_at))
    name: StateName = "ok" if memory.changed_at == memory.polled_at else "unchanged"
    return FeedState(name, name)


def _silence(changed_at: Timestamp | None) -> str:
    if changed_at is None:
        return "silent: no item yet"
    return f"silent since {changed_at.to_utc_datetime(has_tz=True).date().isoformat()}"


def gives_only_rejections(memory: FeedMemory) -> bool:
    """Whether a feed's items have all come to nothing so far, and it had some."""
    kept = memory.articles + memory.duplicates
    return kept == 0 and memory.rejected + memory.failed >= MIN_REJECTIONS


def is_silent(memory: FeedMemory, now: datetime) -> bool:
    """Whether a feed that was read has listed no new item for long, or never one."""
    if memory.succeeded_at is None:
        return False
    if memory.changed_at is None:
        return True
    return -_seconds_until(memory.changed_at, now) > SILENT_AFTER_DAYS * _DAY


def feeds_summary(memories: Sequence[FeedMemory], now: datetime) -> list[dict[str, Any]]:
    """The health of each feed as plain values, sorted by URL.

    Times are ISO 8601 in UTC, or None. ``next_due`` is None for a feed that is not polled again;
    one in the past is due.
    """
    return [_plain(memory, now) for memory in _sorted(memories)]


def _plain(memory: FeedMemory, now: datetime) -> dict[str, Any]:
    return {
        "url": memory.url,
        "address": memory.address or memory.url,
        "title": memory.title,
        "format": memory.format,
        "state": feed_state(memory, now).name,
        "status": memory.status,
        "failures": memory.failures,
        "reason": memory.reason,
        "message": memory.message,
        "last_poll": _iso(memory.polled_at),
        "last_success": _iso(memory.succeeded_at),
        "last_new_item": _iso(memory.changed_at),
        "next_due": None if memory.is_retired else _iso(memory.due_at),
        "items": memory.listed,
        "articles": memory.articles,
        "duplicates": memory.duplicates,
        "rejected": memory.rejected,
        "failed": memory.failed,
        "waiting": len(memory.pending),
    }


def show_feeds(console: Console, memories: Sequence[FeedMemory], now: datetime) -> None:
    """Print the health of each feed as a table, why feeds fail, and a line that sums it up.

    What comes from feeds is shown without control characters, and long titles and URLs without
    their middle. Below 112 columns the counts have short names; below 100 only articles are counted
    and a line says so.
    """
    if not memories:
        console.print("[bold]newsbeam[/] no feed was polled into this dataset yet")
        return
    ordered = _sorted(memories)
    console.print(_table(ordered, now, console.width))
    if console.width < _ALL_COUNTS_FROM_COLUMNS:
        console.print(f"[dim]all counts: from {_ALL_COUNTS_FROM_COLUMNS} columns on, or --json[/]")
    _show_messages(console, ordered)
    console.print(Text(f"\n{summary_line(ordered, now)}"), soft_wrap=True)


def _table(memories: Sequence[FeedMemory], now: datetime, width: int) -> Table:
    counts = _counts(width)
    widths = [_STATE_COLUMNS, len("last success"), *(one.width for one in counts), len("in 59 min")]
    feed_width = max(_MIN_FEED_COLUMNS, width - sum(widths) - len(widths) - 1)

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("feed", max_width=feed_width, no_wrap=True)
    table.add_column("state", max_width=_STATE_COLUMNS, overflow="fold")
    table.add_column("last success", no_wrap=True)
    for column in counts:
        table.add_column(column.name, justify="right", no_wrap=True)
    table.add_column("next due", no_wrap=True)
    for memory in memories:
        state, values = feed_state(memory, now), _plain(memory, now)
        table.add_row(
            _feed_cell(memory, feed_width),
            Text(_visible(state.text), style=_STYLES[state.name]),
            _ago(memory.succeeded_at, now),
            *(str(values[column.key]) for column in counts),
            _due(memory, now),
        )
    return table


def _counts(width: int) -> tuple[_Column, ...]:
    if width >= _FULL_NAMES_FROM_COLUMNS:
        return _COUNTS
    return _SHORT_COUNTS if width >= _ALL_COUNTS_FROM_COLUMNS else _FEWEST_COUNTS


def _feed_cell(memory: FeedMemory, width: int) -> Text:
    """Title, where it has one, over address."""
    address = _visible(memory.url)
    lines = [address.removeprefix("https://").removeprefix("http://")]
    title = _visible(memory.title or "")
    if title:
        lines.insert(0, title)
    return Text("\n".join(shortened(line, width) for line in lines))


def _show_messages(console: Console, memories: Sequence[FeedMemory]) -> None:
    failing = [one for one in memories if one.message and (one.failures or one.is_retired)]
    if not failing:
        return
    console.print("\n[bold]failing[/]")
    for memory in failing[:MAX_MESSAGES_SHOWN]:
        text = f"  {_visible(memory.url)}: {_visible(memory.message)}"
        console.print(Text(text), soft_wrap=True)
    if len(failing) > MAX_MESSAGES_SHOWN:
        console.print(f"  … and {len(failing) - MAX_MESSAGES_SHOWN} more")


def summary_line(memories: Sequence[FeedMemory], now: datetime) -> str:
    """The feeds in one line: ``3 feeds: 2 ok, 1 failing; next poll in 3 min``."""
    names: dict[StateName, str] = {name: _SUMMED.get(name, name) for name in _STYLES}
    counts = Counter(names[feed_state(memory, now).name] for memory in memories)
    states = [f"{counts[name]} {name}" for name in dict.fromkeys(names.values()) if counts[name]]
    feeds = "1 feed" if len(memories) == 1 else f"{len(memories)} feeds"
    waits = [
        _seconds_until(memory.due_at, now) if memory.due_at is not None else 0.0
        for memory in memories
        if not memory.is_retired
    ]
    due = f"; next poll {_in(min(waits))}" if waits else ""
    return f"{feeds}: {', '.join(states)}{due}"


def shortened(text: str, width: int) -> str:
    """A text that fits in ``width`` columns of a terminal, without its middle where it is longer.

    >>> shortened("news.example/a/rather/long/path/rss.xml", 20)
    'news.e…/path/rss.xml'
    """
    if cell_len(text) <= width:
        return text
    head, tail = (width - 1) // 3, width - 1 - (width - 1) // 3
    return f"{_first_cells(text, head)}…{_first_cells(text[::-1], tail)[::-1]}"


def _first_cells(text: str, width: int) -> str:
    # A cell holds few characters, however many accents are put on one.
    bounded = text[: 4 * width]
    while cell_len(bounded) > width:
        bounded = bounded[:-1]
    return bounded


def _visible(text: str) -> str:
    """A text in one line without what moves the cursor, or turns the writing's direction."""
    kept = (_UNSEEN.get(unicodedata.category(char), char) for char in text)
    return " ".join("".join(kept).split())


def _sorted(memories: Sequence[FeedMemory]) -> list[FeedMemory]:
    return sorted(memories, key=lambda memory: memory.url)


def _seconds_until(moment: Timestamp, now: datetime) -> float:
    return float(moment.micros / 1_000_000 - now.timestamp())


def _iso(moment: Timestamp | None) -> str | None:
    if moment is None:
        return None
    return str(moment.to_utc_datetime(has_tz=True).isoformat(timespec="seconds"))


def _duration(seconds: float) -> str:
    """A duration of a minute or more for a person: ``5 min``, ``3 h``, ``12 d``."""
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h"
    return f"{seconds // _DAY:.0f} d"


def _ago(moment: Timestamp | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = -_seconds_until(moment, now)
    return "just now" if seconds < _MINUTE else f"{_duration(seconds)} ago"


def _in(seconds: float) -> str:
    if seconds <= 0:
        return "now"
    return "in 1 min" if seconds < _MINUTE else f"in {_duration(seconds)}"


def _due(memory: FeedMemory, now: datetime) -> str:
    if memory.is_retired:
        return "never"
    return _in(_seconds_until(memory.due_at, now)) if memory.due_at is not None else "now"
