"""Extracting articles from pages.

In: ``Page``. Out: ``Article``, any number each; ``Failure`` for a page that holds none; a closing
``LedgerEntry`` for each page. Bounded or not. Every page gives at least one article or failure.

How an article is found depends on what the page is, and that is written down beside: text dumps in
``segmentation``, saved pages and feed items in ``saved_pages``.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.records import Article, Failure, LedgerEntry, Page
from transforms.accounts import close_page
from transforms.decoding import UndecodableText, decode_text
from transforms.measures import NAMESPACE
from transforms.saved_pages import extract_feed_item, extract_page
from transforms.segmentation import segment_dump

MAX_PAYLOAD_BYTES = 1 << 20

# What no text column should hold: control characters but tab and newline, and halves of surrogate
# pairs (JSON can escape one half alone), which no UTF-8 encoder takes.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _printable(value: object) -> object:
    if isinstance(value, str):
        return _UNPRINTABLE.sub("", value)
    if isinstance(value, tuple):
        return tuple(_printable(item) for item in value)
    return value


_IDENTITY = frozenset({"origin", "page_origin", "source_uri"})
"""What tells inputs apart: two names must not be cleaned into one."""


def without_unprintable(article: Article) -> Article:
    """The article with control characters and lone surrogates taken out of every text."""
    cleaned = {
        field.name: _printable(getattr(article, field.name))
        for field in dataclasses.fields(article)
        if field.name not in _IDENTITY
    }
    changed = {
        name: value for name, value in cleaned.items() if value is not getattr(article, name)
    }
    return dataclasses.replace(article, **changed)  # type: ignore[arg-type]


def extract_dump(page: Page) -> list[Article | Failure]:
    """The articles of a text dump, or the failure that says why there are none."""
    try:
        decoded = decode_text(page.content, page.charset)
    except UndecodableText as error:
        return [
            Failure(
                kind="failed",
                stage="extract",
                reason="undecodable",
                message=str(error),
                origin=page.origin,
                source_uri=page.source_uri,
                observed_at=page.observed_at,
                payload=page.content[:MAX_PAYLOAD_BYTES],
                url=page.url,
            )
        ]
    return segment_dump(page, decoded.text, decoded.encoding, decoded.repaired)


_EXTRACTORS = {"text": extract_dump, "html": extract_page, "feed-item": extract_feed_item}


def extract_articles(page: Page) -> list[Article | Failure]:
    """The articles of a page of any kind, or failures; never empty."""
    return [
        without_unprintable(unit) if isinstance(unit, Article) else unit
        for unit in _EXTRACTORS[page.kind](page)
    ]


def with_page(failure: Failure, page: Page) -> Failure:
    """A failure with what is needed, beside its payload, to try its page again."""
    about = dataclasses.replace(page, content=b"")
    return dataclasses.replace(failure, page=about, content_bytes=len(page.content))


class Extracted(NamedTuple):
    """What ``ExtractArticles`` gives."""

    articles: PCollection[Article]
    failures: PCollection[Failure]
    ledger: PCollection[LedgerEntry]


_PAGES_EXTRACTED = Metrics.counter(NAMESPACE, "pages_extracted")
_PAGE_BYTES = Metrics.distribution(NAMESPACE, "page_bytes")
_EXTRACT_MILLISECONDS = Metrics.distribution(NAMESPACE, "extract_milliseconds")
_ARTICLES_FOUND = Metrics.counter(NAMESPACE, "articles_found")
_FAILURES_FOUND = Metrics.counter(NAMESPACE, "failures_found")


class _Extract(beam.DoFn):
    FAILURE = "failure"
    LEDGER = "ledger"

    def process(self, page: Page) -> Iterator[Article | TaggedOutput]:
        began = time.perf_counter()
        units = [
            unit if isinstance(unit, Article) else with_page(unit, page)
            for unit in extract_articles(page)
        ]
        _EXTRACT_MILLISECONDS.update(round((time.perf_counter() - began) * 1_000))
        found = sum(isinstance(unit, Article) for unit in units)
        _PAGES_EXTRACTED.inc()
        _PAGE_BYTES.update(len(page.content))
        _ARTICLES_FOUND.inc(found)
        _FAILURES_FOUND.inc(len(units) - found)
        for unit in units:
            yield unit if isinstance(unit, Article) else TaggedOutput(self.FAILURE, unit)
        yield TaggedOutput(self.LEDGER, close_page(page.origin, len(units)))


@dataclass
class ExtractArticles(beam.PTransform):
    """``Page`` → ``Article``, ``Failure`` and the page's closed account."""

    def expand(self, pages: PCollection[Page]) -> Extracted:
        """Apply ``extract_articles`` to each page."""
        parted = pages | beam.ParDo(_Extract()).with_output_types(
            Article, failure=Failure, ledger=LedgerEntry
        ).with_outputs(_Extract.FAILURE, _Extract.LEDGER, main="articles")
        return Extracted(parted.articles, parted[_Extract.FAILURE], parted[_Extract.LEDGER])
