"""Trying failures again: rows of ``failures`` → the pages that they were about.

``RetryFailures``: ``Retry`` → ``Page``, or a ``Failure`` where there is still none; at least one of
the two for each. Bounded. What a row keeps is enough where its payload is all of the content: the
page is made again from it, or the document is read again. Else its source is read again, if it is
still there; what is not there any more fails as it did before.

How sources are read is an argument: reading is a stage of its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.pvalue import PCollection
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FeedItem, Page, Retry, Source
from transforms.compaction import open_parquet
from transforms.storage import Store

Unit = Page | Failure
ReadSource = Callable[[Source], Iterable[Unit]]
"""Reads a source, now."""
ReadContent = Callable[[bytes, str, Timestamp], Iterable[Unit]]
"""Reads a document from (content, URI, when it was observed)."""

FAILURES_TAG = "failures"
RETRIED_TAG = "retried"
"""Tag of the output of ``("source", failure id, number of pages and failures)``, one a failure."""
_BATCH_ROWS = 50
_GONE = "not-found"
_OLD_BOUND = 1 << 20


def to_failure(row: Mapping[str, Any]) -> Failure:
    """The failure that a row of ``failures`` was made of, as far as the row tells."""
    page = row.get("page")
    source_uri = row.get("source_uri") or row["origin"].partition("#")[0]
    observed_at = Timestamp.from_utc_datetime(row["observed_at"].astimezone(datetime.UTC))
    failure = Failure(
        kind=row["kind"],
        stage=row["stage"],
        reason=row["reason"],
        message=row["message"],
        origin=row["origin"],
        source_uri=source_uri,
        observed_at=observed_at,
        payload=row["payload"] or b"",
        url=row["url"],
        content_bytes=-1 if row.get("content_bytes") is None else row["content_bytes"],
    )
    if page is None:
        return failure
    about = Page(
        origin=failure.origin,
        source_uri=source_uri,
        kind=page["kind"],
        content=b"",
        observed_at=observed_at,
        charset=page["charset"],
        url=failure.url,
        feed_url=page["feed_url"],
        item=FeedItem(**json.loads(page["item"])) if page["item"] else None,
    )
    return dataclasses.replace(failure, page=about)


def retry_failure(
    failure: Failure, read_source: ReadSource, read_content: ReadContent
) -> Iterator[Unit]:
    """Give the pages that a failure was about, or the failure that it still is; one at least."""
    units = _from_payload(failure, read_content)
    if units is None:
        units = _from_source(failure, read_source)
    yield from units or [failure]


def _from_payload(failure: Failure, read_content: ReadContent) -> list[Unit] | None:
    """The pages out of the payload; None if it is not all of the content."""
    content = failure.payload
    if not content:
        return None
    if failure.page is not None and failure.content_bytes == len(content):
        return [dataclasses.replace(failure.page, content=content)]
    # Schema version 1 kept neither page nor size; what was extracted was kept up to a bound. What
    # was a part of a file, as an item of a feed, would lack what the file said of it.
    was_file = failure.page is None and failure.origin == failure.source_uri
    was_kept = was_file and failure.stage == "extract" and len(content) < _OLD_BOUND
    if failure.content_bytes != len(content) and not was_kept:
        return None
    return list(read_content(content, failure.source_uri, failure.observed_at))


def _from_source(failure: Failure, read_source: ReadSource) -> list[Unit]:
    """What its source gives now of what failed: all of it, or the part that has its origin."""
    units = []
    for unit in read_source(Source(failure.source_uri, -1)):
        if isinstance(unit, Failure) and unit.reason == _GONE:
            return []  # it is gone: the failure stays what it was
        if failure.origin in (failure.source_uri, unit.origin):
            units.append(unit)
    return units


def read_retries(store: Store, retry: Retry) -> Iterator[tuple[str, Failure]]:
    """(failure id, failure) of the rows that are to be tried again.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    wanted = frozenset(retry.failure_ids)
    with open_parquet(store, retry.path) as parquet:
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
            for row in batch.to_pylist():
                if row["failure_id"] in wanted:
                    yield row["failure_id"], to_failure(row)


class _Retry(beam.DoFn):
    def __init__(self, store: Store, read_source: ReadSource, read_content: ReadContent) -> None:
        self._store = store
        self._read_source = read_source
        self._read_content = read_content

    def process(self, retry: Retry) -> Iterator[Page | pvalue.TaggedOutput]:
        for identity, failure in read_retries(self._store, retry):
            count = 0
            for unit in retry_failure(failure, self._read_source, self._read_content):
                count += 1
                yield unit if isinstance(unit, Page) else pvalue.TaggedOutput(FAILURES_TAG, unit)
            yield pvalue.TaggedOutput(RETRIED_TAG, ("source", identity, count))


class Retried(NamedTuple):
    """What ``RetryFailures`` gives."""

    pages: PCollection[Page]
    failures: PCollection[Failure]
    retried: PCollection[tuple[str, str, int]]


@dataclass
class RetryFailures(beam.PTransform):
    """``Retry`` → pages, failures and one count per failure, as reading sources gives them."""

    store: Store
    read_source: ReadSource
    read_content: ReadContent

    def expand(self, retries: PCollection[Retry]) -> Retried:
        """Read each row where the worker is; nothing is grouped."""
        parted = retries | beam.ParDo(
            _Retry(self.store, self.read_source, self.read_content)
        ).with_output_types(
            Page, **{FAILURES_TAG: Failure, RETRIED_TAG: tuple[str, str, int]}
        ).with_outputs(FAILURES_TAG, RETRIED_TAG, main="pages")
        return Retried(parted.pages, parted[FAILURES_TAG], parted[RETRIED_TAG])
