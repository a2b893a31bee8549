"""Making what a slice has extracted durable, so that a killed run goes on after it.

``StageArticles``: ``FingerprintedArticle`` → ``StagedBlock``. ``StageFailures``: ``Failure`` →
``StagedBlock``. ``StagePages``: ``Page`` → ``StagedBlock``. All close the ``LedgerEntry`` of each
unit as ``staged``. ``StagePolled`` and ``StageFetched`` keep what became of feeds and links.
``ReadStagedPages``: ``StagedBlock`` → its pages. Bounded or not; no failures of their own. Each
worker writes what it has whenever that is a block's worth, so that none holds more.

An unbounded collection has windows, and a block holds what is of one window. There a bundle is
about a second's worth, so that what is of a window is brought together before it is written.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import BoundedWindow, GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.records import (
    Failure,
    FetchedLink,
    FingerprintedArticle,
    LedgerEntry,
    Page,
    PolledFeed,
    StagedBlock,
)
from transforms import accounts
from transforms.measures import NAMESPACE
from transforms.staging import read_records, write_articles, write_failures, write_records
from transforms.storage import Store, StoreError

ROWS_PER_BLOCK = 500
BYTES_PER_BLOCK = 8 << 20
PATIENCE_SECONDS = (1.0, 5.0, 20.0, 60.0)
"""After how long a stream tries again what its store refused. A batch does not: it is run again,
and goes on from there."""
_SHARES = 4
"""In how many the elements of a window are brought together; each gives a block, or several."""


class Staged(NamedTuple):
    """What staging gives."""

    blocks: PCollection[StagedBlock]
    ledger: PCollection[LedgerEntry]


class _Kind(NamedTuple):
    """How one kind of element is staged."""

    write: Callable[[Store, str, list[Any]], StagedBlock]
    size_bytes: Callable[[Any], int]
    origin: Callable[[Any], str]


_BLOCKS_STAGED = Metrics.counter(NAMESPACE, "blocks_staged")
_ROWS_STAGED = Metrics.counter(NAMESPACE, "rows_staged")


class _Stage(beam.DoFn):
    LEDGER = "ledger"

    def __init__(
        self, store: Store, folder: str, kind: _Kind, patience_seconds: Sequence[float] = ()
    ) -> None:
        self._store = store
        self._folder = folder
        self._kind = kind
        self._patience_seconds = patience_seconds

    def start_bundle(self) -> None:
        self._waiting: dict[BoundedWindow, _Waiting] = {}

    def process(
        self, element: Any, window: BoundedWindow = beam.DoFn.WindowParam
    ) -> Iterator[StagedBlock | TaggedOutput]:
        waiting = self._waiting.setdefault(window, _Waiting([], 0))
        waiting.elements.append(element)
        waiting.size_bytes += self._kind.size_bytes(element)
        if len(waiting.elements) >= ROWS_PER_BLOCK or waiting.size_bytes >= BYTES_PER_BLOCK:
            block, closings = self._write(window, self._waiting.pop(window))
            yield block
            for closing in closings:
                yield TaggedOutput(self.LEDGER, closing)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        for window, waiting in self._waiting.items():
            block, closings = self._write(window, waiting)
            yield WindowedValue(block, window.max_timestamp(), [window])
            for closing in closings:
                value = WindowedValue(closing, window.max_timestamp(), [window])
                yield TaggedOutput(self.LEDGER, value)

    def _write(
        self, window: BoundedWindow, waiting: _Waiting
    ) -> tuple[StagedBlock, list[LedgerEntry]]:
        elements = waiting.elements
        # A block is named for what is in it, and two windows may have the same.
        is_all = isinstance(window, GlobalWindow)
        folder = self._folder if is_all else f"{self._folder}/{window.end.micros}"
        block = self._write_patiently(folder, elements)
        _BLOCKS_STAGED.inc()
        _ROWS_STAGED.inc(block.rows)
        return block, [accounts.close_staged(self._kind.origin(element)) for element in elements]

    def _write_patiently(self, folder: str, elements: list[Any]) -> StagedBlock:
        for seconds in self._patience_seconds:
            try:
                return self._kind.write(self._store, folder, elements)
            except StoreError:
                time.sleep(seconds)
        return self._kind.write(self._store, folder, elements)


@dataclass
class _Waiting:
    """What is of a window and waits to be written."""

    elements: list[Any]
    size_bytes: int


def _share_of(element: Any, origin: Callable[[Any], str]) -> tuple[int, Any]:
    return zlib.crc32(origin(element).encode("utf-8", "surrogatepass")) % _SHARES, element


def _of_each_window(elements: PCollection[Any], kind: _Kind) -> PCollection[Any]:
    """What is of a window, together, in a few shares."""
    element_type: Any = elements.element_type
    return (
        elements
        | "Shares"
        >> beam.Map(partial(_share_of, origin=kind.origin)).with_output_types(
            tuple[int, element_type]
        )
        | "Together" >> beam.GroupByKey()
        | "Apart" >> beam.FlatMap(lambda share: share[1]).with_output_types(element_type)
    )


def _staged(elements: PCollection[Any], store: Store, folder: str, kind: _Kind) -> Staged:
    patience_seconds: Sequence[float] = ()
    if not elements.windowing.is_default():
        elements = _of_each_window(elements, kind)
        patience_seconds = PATIENCE_SECONDS
    stage = _Stage(store, folder, kind, patience_seconds)
    parted = elements | beam.ParDo(stage).with_output_types(
        StagedBlock, ledger=LedgerEntry
    ).with_outputs(_Stage.LEDGER, main="blocks")
    return Staged(parted.blocks, parted[_Stage.LEDGER])


def _article_bytes(element: FingerprintedArticle) -> int:
    return len(element.article.body) + len(element.fingerprint.shingles)


def _article_origin(element: FingerprintedArticle) -> str:
    return element.article.origin


_ARTICLES = _Kind(write_articles, _article_bytes, _article_origin)


@dataclass
class StageArticles(beam.PTransform):
    """``FingerprintedArticle`` → ``StagedBlock`` in a folder of the store."""

    store: Store
    folder: str

    def expand(self, articles: PCollection[FingerprintedArticle]) -> Staged:
        """Write on each worker what it has."""
        return _staged(articles, self.store, self.folder, _ARTICLES)


def _payload_bytes(failure: Failure) -> int:
    return len(failure.payload)


def _failure_origin(failure: Failure) -> str:
    return failure.origin


_FAILURES = _Kind(write_failures, _payload_bytes, _failure_origin)


@dataclass
class StageFailures(beam.PTransform):
    """``Failure`` → ``StagedBlock`` in a folder of the store."""

    store: Store
    folder: str

    def expand(self, failures: PCollection[Failure]) -> Staged:
        """Write on each worker what it has."""
        return _staged(failures, self.store, self.folder, _FAILURES)


# ── what was polled and fetched ─────────────────────────────────────────────────────────────────

PAGES = "pages"
POLLED = "polled"
FETCHED = "fetched"
_RECORD_BYTES = 1024
"""What a record takes beside what is large in it, about."""


def _page_origin(page: Page) -> str:
    return page.origin


def _page_bytes(page: Page) -> int:
    return len(page.content) + _RECORD_BYTES


def _write_pages(store: Store, folder: str, pages: list[Page]) -> StagedBlock:
    return write_records(store, folder, PAGES, pages, map(_page_origin, pages))


def _feed_url(polled: PolledFeed) -> str:
    return polled.memory.url


def _polled_bytes(polled: PolledFeed) -> int:
    return (
        len(polled.memory.pending) + len(polled.links) + len(polled.memory.seen) // 16 + 1
    ) * _RECORD_BYTES


def _write_polled(store: Store, folder: str, polled: list[PolledFeed]) -> StagedBlock:
    return write_records(store, folder, POLLED, polled, map(_feed_url, polled))


def _link_origin(fetched: FetchedLink) -> str:
    return fetched.link.origin


def _link_bytes(_: FetchedLink) -> int:
    return _RECORD_BYTES


def _write_fetched(store: Store, folder: str, fetched: list[FetchedLink]) -> StagedBlock:
    return write_records(store, folder, FETCHED, fetched, map(_link_origin, fetched))


_PAGES = _Kind(_write_pages, _page_bytes, _page_origin)
_POLLED = _Kind(_write_polled, _polled_bytes, _feed_url)
_FETCHED = _Kind(_write_fetched, _link_bytes, _link_origin)


@dataclass
class StagePages(beam.PTransform):
    """``Page`` → ``StagedBlock`` in a folder of the store."""

    store: Store
    folder: str

    def expand(self, pages: PCollection[Page]) -> Staged:
        """Write on each worker what it has."""
        return _staged(pages, self.store, self.folder, _PAGES)


@dataclass
class StagePolled(beam.PTransform):
    """``PolledFeed`` → ``StagedBlock`` in a folder of the store."""

    store: Store
    folder: str

    def expand(self, polled: PCollection[PolledFeed]) -> PCollection[StagedBlock]:
        """Write on each worker what it has."""
        return _staged(polled, self.store, self.folder, _POLLED).blocks


@dataclass
class StageFetched(beam.PTransform):
    """``FetchedLink`` → ``StagedBlock`` in a folder of the store."""

    store: Store
    folder: str

    def expand(self, fetched: PCollection[FetchedLink]) -> PCollection[StagedBlock]:
        """Write on each worker what it has."""
        return _staged(fetched, self.store, self.folder, _FETCHED).blocks


class StagedPages(NamedTuple):
    """What ``ReadStagedPages`` gives."""

    pages: PCollection[Page]
    blocks_read: PCollection[tuple[str, str, int]]
    """``("source", path, number of pages)``, one a block."""


class _ReadStagedPages(beam.DoFn):
    READ = "blocks_read"

    def __init__(self, store: Store) -> None:
        self._store = store

    def process(self, block: StagedBlock) -> Iterator[Page | TaggedOutput]:
        pages = 0
        for page in read_records(self._store, block, Page):
            pages += 1
            yield page
        yield TaggedOutput(self.READ, ("source", block.path, pages))


@dataclass
class ReadStagedPages(beam.PTransform):
    """``StagedBlock`` of pages → the pages, and one count per block."""

    store: Store

    def expand(self, blocks: PCollection[StagedBlock]) -> StagedPages:
        """Read each block where the worker is."""
        parted = blocks | beam.ParDo(_ReadStagedPages(self.store)).with_output_types(
            Page, blocks_read=tuple[str, str, int]
        ).with_outputs(_ReadStagedPages.READ, main="pages")
        return StagedPages(parted.pages, parted[_ReadStagedPages.READ])
