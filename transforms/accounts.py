"""Entries of the run's account: what opens and closes a source, a page and a unit.

The rules of the book, and how it is balanced, are in ``ledger``; these are the lines that the
stages write into it.
"""

from __future__ import annotations

from schemas.records import (
    Article,
    DueFeed,
    Failure,
    FetchedLink,
    Fingerprint,
    LedgerEntry,
    LinkedItem,
    Page,
    PolledFeed,
    Source,
    StagedBlock,
)

GIVES_UNIT = frozenset({"page", "rejected", "failed"})
"""Outcomes of a link of which a page or failure comes."""


def open_source(source: Source) -> LedgerEntry:
    """A file that the run was told to read, or a part of it."""
    return LedgerEntry("source", source.key, opened=1, closed=0)


def open_retry(failure_id: str) -> LedgerEntry:
    """A failure that is tried again."""
    return LedgerEntry("source", failure_id, opened=1, closed=0)


def open_feed(due: DueFeed) -> LedgerEntry:
    """A feed that is due."""
    return LedgerEntry("source", due.subscription.url, opened=1, closed=0)


def close_feed(polled: PolledFeed) -> LedgerEntry:
    """A feed that was polled, with how many items and failures came of it."""
    return LedgerEntry("source", polled.memory.url, opened=0, closed=1, children=polled.listed)


def listed_item(origin: str) -> LedgerEntry:
    """An item that a poll took up, or what kept it from that: with one unit."""
    return LedgerEntry("page", origin, opened=1, closed=1, children=1)


def open_link(link: LinkedItem) -> LedgerEntry:
    """A link that is to be followed."""
    return LedgerEntry("source", link.origin, opened=1, closed=0)


def close_link(fetched: FetchedLink) -> LedgerEntry:
    """A link that was dealt with, and whether a page or failure came of it."""
    units = int(fetched.outcome in GIVES_UNIT)
    return LedgerEntry("source", fetched.link.origin, opened=0, closed=1, children=units)


def open_answer(key: str) -> LedgerEntry:
    """An answer of a feed or page in a stream: it is asked for and given in one place."""
    return LedgerEntry("source", key, opened=1, closed=0)


def open_block(block: StagedBlock) -> LedgerEntry:
    """Pages that were polled or fetched."""
    return LedgerEntry("source", block.path, opened=1, closed=0)


def close_source(key: str, pages: int) -> LedgerEntry:
    """A file that was read to its end or to where it broke, with what it gave."""
    return LedgerEntry("source", key, opened=0, closed=1, children=pages)


def open_page(page: Page) -> LedgerEntry:
    """A page that was read."""
    return LedgerEntry("page", page.origin, opened=1, closed=0)


def close_page(origin: str, units: int) -> LedgerEntry:
    """A page that was extracted, with how many articles and failures it gave."""
    return LedgerEntry("page", origin, opened=0, closed=1, children=units)


def unread_page(failure: Failure) -> LedgerEntry:
    """A page that failed to be read: opened and closed at once, with one unit."""
    return LedgerEntry("page", failure.origin, opened=1, closed=1, children=1)


def open_unit(origin: str) -> LedgerEntry:
    """An article, rejection or failure that came out of a page."""
    return LedgerEntry("unit", origin, opened=1, closed=0)


def open_article(article: Article) -> LedgerEntry:
    """An article that is taken up again from its block."""
    note = ""
    if article.extraction.repaired:
        note = (
            f"repaired: {article.origin}: bytes that are no {article.extraction.encoding} were "
            "read in another way or replaced"
        )
    return LedgerEntry("unit", article.origin, opened=1, closed=0, note=note)


def open_failure(failure: Failure) -> LedgerEntry:
    """A rejection or failure that is taken up again from its block."""
    note = f"{failure.kind}: {failure.origin}: {failure.message}"
    return LedgerEntry("unit", failure.origin, opened=1, closed=0, note=note)


def close_staged(origin: str) -> LedgerEntry:
    """An article, rejection or failure whose slice keeps it until the run is decided."""
    return LedgerEntry("unit", origin, opened=0, closed=1, outcome="staged")


def close_unchanged(fingerprint: Fingerprint) -> LedgerEntry:
    """A text that the dataset already holds from the same file."""
    return LedgerEntry("unit", fingerprint.origin, opened=0, closed=1, outcome="unchanged")


def close_recorded(failure: Failure) -> LedgerEntry:
    """A failure that the dataset already holds: it counts as what it is, but adds no row."""
    return LedgerEntry(
        "unit", failure.origin, opened=0, closed=1, outcome=failure.kind, detail=failure.reason
    )
