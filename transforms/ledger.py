"""The run's double-entry account: nothing lost, nothing silent.

In: ``LedgerEntry`` from every stage. Out: one ``Balance``. Bounded; no failures.

Each source, page and unit is opened where it enters the graph and closed where it ends:

- a *source* (file) is opened by the list the run was given and closed by the reader, which says
  how many pages it gave;
- a *page* is opened by the reader and closed by the extractor, which says how many units it gave;
  what fails to be read is a page that gave one unit;
- a *unit* (article, rejection or failure) is opened by the extractor and closed where it is staged
  with its slice; and, in a second account, opened where it is taken up again and closed where its
  row is written, or where it is found to be unchanged.

What opens and closes an account is written down in ``accounts``. The account balances if every key
was opened once and closed once, sources gave as many pages as there are, and pages as many units.
Keys, not counters, are compared, for a bundle that a runner retries would count twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.records import Balance, LedgerEntry, Tally

LEVELS = ("source", "page", "unit")
MAX_LISTED = 20
"""How many faults and notes a balance spells out; all are counted."""


@dataclass
class BalanceAccumulator:
    """A balance in the making."""

    accounts: Counter[str] = field(default_factory=Counter)
    children: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    notes: list[str] = field(default_factory=list)
    note_count: int = 0


def _least(sentences: list[str]) -> list[str]:
    return sorted(sentences)[:MAX_LISTED]


class BalanceAccounts(beam.CombineFn):
    """Accounts, (level, key) with their entries → one ``Balance``; order-free.

    ``levels`` are those that the account has, each above the next.
    """

    def __init__(self, levels: Sequence[str]) -> None:
        self._levels = levels

    def create_accumulator(self) -> BalanceAccumulator:
        """An account book with nothing in it."""
        return BalanceAccumulator()

    def add_input(
        self,
        accumulator: BalanceAccumulator,
        account: tuple[tuple[str, str], Iterable[LedgerEntry]],
    ) -> BalanceAccumulator:
        """Settle one key: opened once, closed once, or a fault."""
        (level, key), grouped = account
        entries = list(grouped)
        opened = sum(entry.opened for entry in entries)
        closed = sum(entry.closed for entry in entries)
        accumulator.accounts[level] += 1
        accumulator.children[level] += sum(entry.children for entry in entries)
        if (opened, closed) != (1, 1):
            accumulator.fault_count += 1
            accumulator.faults.append(
                f"{level} {key!r} was opened {opened} times and closed {closed} times"
            )
        for entry in entries:
            if level == "unit" and entry.closed:
                accumulator.outcomes[entry.outcome, entry.detail] += 1
            if entry.note:
                accumulator.note_count += 1
                accumulator.notes.append(entry.note)
        accumulator.faults = _least(accumulator.faults)
        accumulator.notes = _least(accumulator.notes)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[BalanceAccumulator]) -> BalanceAccumulator:
        """Add up partial books."""
        merged = self.create_accumulator()
        for part in accumulators:
            merged.accounts.update(part.accounts)
            merged.children.update(part.children)
            merged.outcomes.update(part.outcomes)
            merged.fault_count += part.fault_count
            merged.note_count += part.note_count
            merged.faults = _least(merged.faults + part.faults)
            merged.notes = _least(merged.notes + part.notes)
        return merged

    def extract_output(self, accumulator: BalanceAccumulator) -> Balance:
        """Close the book: compare the levels with each other."""
        faults = list(accumulator.faults)
        fault_count = accumulator.fault_count
        for level, below in itertools.pairwise(self._levels):
            given, counted = accumulator.children[level], accumulator.accounts[below]
            if given != counted:
                fault_count += 1
                faults.append(f"{level}s gave {given} {below}s, but {counted} were accounted for")
        tallies = (
            Tally(outcome, detail, count)
            for (outcome, detail), count in sorted(accumulator.outcomes.items())
        )
        return Balance(
            sources=accumulator.accounts["source"],
            pages=accumulator.accounts["page"],
            units=accumulator.accounts["unit"],
            tallies=tuple(tallies),
            faults=tuple(faults),
            fault_count=fault_count,
            notes=tuple(accumulator.notes),
            note_count=accumulator.note_count,
        )


@dataclass
class BalanceLedger(beam.PTransform):
    """``LedgerEntry`` of some levels → one ``Balance``."""

    levels: Sequence[str] = LEVELS

    def expand(self, entries: PCollection[LedgerEntry]) -> PCollection[Balance]:
        """Group by key, settle each, add up."""
        return (
            entries
            | beam.Map(lambda entry: ((entry.level, entry.key), entry)).with_output_types(
                tuple[tuple[str, str], LedgerEntry]
            )
            | beam.GroupByKey()
            | beam.CombineGlobally(BalanceAccounts(self.levels)).with_output_types(Balance)
        )


def balance_entries(entries: Iterable[LedgerEntry], levels: Sequence[str] = LEVELS) -> Balance:
    """The balance of some entries, without a runner."""
    accounts: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in entries:
        accounts.setdefault((entry.level, entry.key), []).append(entry)
    book = BalanceAccounts(levels)
    accumulator = book.create_accumulator()
    for account in sorted(accounts.items(), key=lambda account: account[0]):
        accumulator = book.add_input(accumulator, account)
    return book.extract_output(accumulator)


def add_balances(balances: Iterable[Balance]) -> Balance:
    """The balance of accounts that share no key, as those of a run's slices."""
    parts = list(balances)
    outcomes: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for tally in part.tallies:
            outcomes[tally.outcome, tally.detail] += tally.count
    return Balance(
        sources=sum(part.sources for part in parts),
        pages=sum(part.pages for part in parts),
        units=sum(part.units for part in parts),
        tallies=tuple(Tally(*kind, count) for kind, count in sorted(outcomes.items())),
        faults=tuple(_least([fault for part in parts for fault in part.faults])),
        fault_count=sum(part.fault_count for part in parts),
        notes=tuple(_least([note for part in parts for note in part.notes])),
        note_count=sum(part.note_count for part in parts),
    )
