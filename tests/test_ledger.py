"""The account finds what was lost, doubled or made up on the way."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Balance, LedgerEntry
from transforms.ledger import LEVELS, MAX_LISTED, BalanceAccounts, add_balances


def balance(entries: Iterable[LedgerEntry], parts: int = 1) -> Balance:
    grouped: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in entries:
        grouped.setdefault((entry.level, entry.key), []).append(entry)
    book = BalanceAccounts(LEVELS)
    accumulators = [book.create_accumulator() for _ in range(parts)]
    for number, account in enumerate(grouped.items()):
        book.add_input(accumulators[number % parts], account)
    return book.extract_output(book.merge_accumulators(accumulators))


def sound_book(units: int = 3) -> list[LedgerEntry]:
    entries = [
        LedgerEntry("source", "a.txt", 1, 0),
        LedgerEntry("source", "a.txt", 0, 1, children=1),
        LedgerEntry("page", "a.txt", 1, 0),
        LedgerEntry("page", "a.txt", 0, 1, children=units),
    ]
    for number in range(units):
        entries.append(LedgerEntry("unit", f"a.txt#{number}", 1, 0))
        entries.append(LedgerEntry("unit", f"a.txt#{number}", 0, 1, outcome="article"))
    return entries


def test_a_sound_book_balances() -> None:
    found = balance(sound_book())
    assert (found.fault_count, found.sources, found.pages, found.units) == (0, 1, 1, 3)
    assert [(tally.outcome, tally.count) for tally in found.tallies] == [("article", 3)]


@settings(max_examples=40)
@given(dropped=st.integers(0, 9))
def test_any_entry_that_is_lost_is_a_fault(dropped: int) -> None:
    book = sound_book()
    del book[dropped]
    assert balance(book).fault_count


@settings(max_examples=40)
@given(doubled=st.integers(0, 9))
def test_any_entry_that_comes_twice_is_a_fault(doubled: int) -> None:
    book = sound_book()
    book.append(book[doubled])
    assert balance(book).fault_count


def test_a_unit_that_vanishes_without_a_trace_is_missed_by_its_page() -> None:
    book = [entry for entry in sound_book() if entry.key != "a.txt#1"]
    [fault] = balance(book).faults
    assert fault == "pages gave 3 units, but 2 were accounted for"


def test_a_fault_names_its_key() -> None:
    book = [*sound_book(), LedgerEntry("unit", "b.txt#7", 1, 0)]
    assert "unit 'b.txt#7' was opened 1 times and closed 0 times" in balance(book).faults


def test_many_faults_are_counted_and_some_are_listed() -> None:
    book = [LedgerEntry("unit", f"{number:03}", 1, 0) for number in range(100)]
    found = balance(book)
    assert found.fault_count == 101  # each of them, and that no page gave them
    assert len(found.faults) <= MAX_LISTED + 1


@given(parts=st.integers(1, 7), units=st.integers(0, 30))
def test_how_the_book_is_split_does_not_show(parts: int, units: int) -> None:
    assert balance(sound_book(units), parts) == balance(sound_book(units))


def test_an_account_of_units_alone_balances_without_pages() -> None:
    book = BalanceAccounts(("unit",))
    accumulator = book.create_accumulator()
    entries = [
        LedgerEntry("unit", "a.txt", 1, 0),
        LedgerEntry("unit", "a.txt", 0, 1, outcome="article"),
    ]
    book.add_input(accumulator, (("unit", "a.txt"), entries))
    assert book.extract_output(accumulator).fault_count == 0


def test_balances_of_slices_add_up() -> None:
    slices = [balance(sound_book(2)), balance(sound_book(5)), balance(sound_book()[:-1])]
    total = add_balances(slices)
    assert (total.sources, total.pages, total.units, total.fault_count) == (3, 3, 10, 1)
    assert [(tally.outcome, tally.count) for tally in total.tallies] == [("article", 9)]
