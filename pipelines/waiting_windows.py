"""What windows of a stream have staged, and no commit has yet; nothing here reads or writes.

In: items as a stream's end keeps them, packed ``StagedBlock`` and ``LedgerEntry`` records. Out:
``Window``, each with its own account, and which windows may share a commit.

A window is *whole* when the account of what waits of it balances by itself: every answer, page and
unit is opened once and closed once, and the blocks hold as many records as the account says. What
comes late may come bit by bit. Then the account does not balance for a while, and the window waits.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from apache_beam.utils.timestamp import Timestamp

from schemas.records import Balance, LedgerEntry, StagedBlock
from transforms.ledger import balance_entries
from transforms.slicing import FETCHED, POLLED

Item = tuple[int, bytes]
"""The end of a window, microseconds since 1970, and a packed record that is in it."""
UNITS = frozenset({"articles", "failures"})
"""Kinds of blocks that hold what became of pages."""
ANSWERS = frozenset({POLLED, FETCHED})
"""Kinds of blocks that hold what was asked: one record for each answer."""


def pack(record: StagedBlock | LedgerEntry, end_micros: int) -> tuple[bytes, Item]:
    """A record under the one key, with the end of its window."""
    return b"", (end_micros, pickle.dumps(record))


def unpack(item: bytes) -> StagedBlock | LedgerEntry:
    """The record that was packed."""
    return cast("StagedBlock | LedgerEntry", pickle.loads(item))


@dataclass(frozen=True)
class Window:
    """What has arrived of a window and waits for a commit."""

    end_micros: int
    """Since 1970."""
    blocks: tuple[StagedBlock, ...]
    """By path."""
    entries: tuple[LedgerEntry, ...]

    @cached_property
    def balance(self) -> Balance:
        """The account of what waits, with a fault for each kind of blocks that does not fit it."""
        balance = balance_entries(self.entries)
        faults = [
            f"the account has {counted} {what}, but the blocks hold {held}"
            for what, counted, held in (
                ("answers", balance.sources, self.rows(ANSWERS)),
                ("units", balance.units, self.rows(UNITS)),
            )
            if counted != held
        ]
        return replace(
            balance,
            faults=(*balance.faults, *faults),
            fault_count=balance.fault_count + len(faults),
        )

    @property
    def is_whole(self) -> bool:
        """Whether all has arrived of what belongs together."""
        return not self.balance.fault_count

    @property
    def has_news(self) -> bool:
        """Whether it says more than that feeds were asked."""
        return any(block.kind != POLLED for block in self.blocks)

    def rows(self, kinds: frozenset[str]) -> int:
        """How many records blocks of some kinds hold."""
        return sum(block.rows for block in self.blocks if block.kind in kinds)

    def check(self) -> None:
        """Hold the account to balance.

        Raises:
            AssertionError: naming the window and its faults; something is lost, which is a bug.
        """
        if not self.is_whole:
            end = Timestamp(micros=self.end_micros).to_rfc3339()
            faults = "; ".join(self.balance.faults)
            raise AssertionError(
                f"the account of the window until {end} does not balance: {faults}"
            )


def windows_of(items: Iterable[Item]) -> list[Window]:
    """The windows that items are of, in the order of their ends."""
    by_end: dict[int, list[StagedBlock | LedgerEntry]] = {}
    for end_micros, item in items:
        by_end.setdefault(end_micros, []).append(unpack(item))
    return [
        Window(
            end_micros,
            tuple(sorted((it for it in records if isinstance(it, StagedBlock)), key=_path)),
            tuple(it for it in records if isinstance(it, LedgerEntry)),
        )
        for end_micros, records in sorted(by_end.items())
    ]


def _path(block: StagedBlock) -> str:
    return block.path


def is_followed(windows: Sequence[Window], until_micros: int, most_micros: int) -> bool:
    """Whether a timer that is due may leave its windows to that of a later window.

    A window has blocks once a GroupByKey has given it, which it does when the watermark has passed
    its end. So the timer of a later window that has blocks is about to fire as well.

    Args:
        windows: that wait, in order.
        until_micros: the end of the window whose timer is due.
        most_micros: how far the ends of windows that share a commit may lie apart, so that rows are
            published however many windows follow.
    """
    first = next((window for window in windows if window.is_whole), None)
    return first is not None and any(
        until_micros < window.end_micros <= first.end_micros + most_micros
        for window in windows
        if window.blocks
    )


def apart(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows, in order, parted where one has a unit under a name that the part has already.

    A page that was asked for again has its name in the account of a commit once.
    """
    part: list[Window] = []
    names: set[str] = set()
    for window in windows:
        own = {entry.key for entry in window.entries if entry.level == "unit"}
        if names & own:
            yield part
            part, names = [], set()
        part.append(window)
        names |= own
    if part:
        yield part


def whole_until(windows: Sequence[Window], until_micros: int, before_micros: int) -> int:
    """Until when nothing waits for the rest of its window, microseconds since 1970.

    Args:
        windows: in order, all that are reached.
        until_micros: until when windows are reached.
        before_micros: the same, as the commit before has said it.
    """
    for place, window in enumerate(windows):
        if not window.is_whole:
            return max([before_micros, *(one.end_micros for one in windows[:place])])
    return max(until_micros, before_micros)
