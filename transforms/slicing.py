"""Making what a slice has extracted durable, so that a killed run goes on after it.

``StageArticles``: ``FingerprintedArticle`` → ``StagedBlock``. ``StageFailures``: ``Failure`` →
``StagedBlock``. Both close the ``LedgerEntry`` of each unit as ``staged``. Bounded; no failures of
their own. Each worker writes what it has whenever that is a block's worth, so that none holds more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.records import Failure, FingerprintedArticle, LedgerEntry, StagedBlock
from transforms import accounts
from transforms.staging import write_articles, write_failures
from transforms.storage import Store

ROWS_PER_BLOCK = 500
BYTES_PER_BLOCK = 8 << 20


class Staged(NamedTuple):
    """What staging gives."""

    blocks: PCollection[StagedBlock]
    ledger: PCollection[LedgerEntry]


class _Kind(NamedTuple):
    """How one kind of element is staged."""

    write: Callable[[Store, str, list[Any]], StagedBlock]
    size_bytes: Callable[[Any], int]
    origin: Callable[[Any], str]


class _Stage(beam.DoFn):
    LEDGER = "ledger"

    def __init__(self, store: Store, folder: str, kind: _Kind) -> None:
        self._store = store
        self._folder = folder
        self._kind = kind

    def start_bundle(self) -> None:
        self._waiting: list[Any] = []
        self._waiting_bytes = 0

    def process(self, element: Any) -> Iterator[StagedBlock | TaggedOutput]:
        self._waiting.append(element)
        self._waiting_bytes += self._kind.size_bytes(element)
        if len(self._waiting) >= ROWS_PER_BLOCK or self._waiting_bytes >= BYTES_PER_BLOCK:
            block, closings = self._flush()
            yield block
            for closing in closings:
                yield TaggedOutput(self.LEDGER, closing)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        if not self._waiting:
            return
        block, closings = self._flush()
        window = GlobalWindow()
        yield WindowedValue(block, window.max_timestamp(), [window])
        for closing in closings:
            value = WindowedValue(closing, window.max_timestamp(), [window])
            yield TaggedOutput(self.LEDGER, value)

    def _flush(self) -> tuple[StagedBlock, list[LedgerEntry]]:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        block = self._kind.write(self._store, self._folder, waiting)
        return block, [accounts.close_staged(self._kind.origin(element)) for element in waiting]


def _staged(elements: PCollection[Any], stage: _Stage) -> Staged:
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
        return _staged(articles, _Stage(self.store, self.folder, _ARTICLES))


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
        return _staged(failures, _Stage(self.store, self.folder, _FAILURES))
