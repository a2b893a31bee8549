"""Trying failures again: rows of ``failures`` → the pages that they were about.

``RetryFailures``: ``Retry`` → ``Page``, or a ``Failure`` where there is still none; at least one of
the two for each. Bounded. What a row keeps is enough where its payload is all of the content: the
page is made again from it, or the document is read again. Else its source is read again, if it is
still there, once for all of a ``Retry`` that failed in it; a page that a feed linked to is fetched
again, all of a ``Retry`` together. What is not there any more, or is put off for the sake of its
host, fails as it did before. A feed that could not be polled is not asked here, but by the next run
over the feeds.

How sources are read and pages fetched are arguments: these are stages of their own.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.pvalue import PCollection
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FeedItem, LinkedItem, Page, Retry, Source
from transforms.compaction import open_parquet
from transforms.storage import Store

Unit = Page | Failure
ReadSource = Callable[[Source], Iterable[Unit]]
"""Reads a source, now."""
ReadContent = Callable[[bytes, str, Timestamp], Iterable[Unit]]
"""Reads a document from (content, URI, when it was observed)."""
Fetch = Callable[[Sequence[LinkedItem]], Iterable[tuple[str, Unit]]]
"""Fetches the pages of links, now: (URL, what came of it), none for a link that was put off."""

FAILURES_TAG = "failures"
RETRIED_TAG = "retried"
"""Tag of the output of ``("source", failure id, number of pages and failures)``, one a failure."""
_BATCH_ROWS = 50
_GONE = "not-found"
_OLD_BOUND = 1 << 20
_PART_NAME = re.compile(r"@[0-9]+")
_ON_WEB = ("http://", "https://")
_LIVE_STAGES = frozenset({"poll", "fetch"})
_MAX_HELD_BYTES = 64 * 1024 * 1024
"""Of failures that wait for their sources to be read."""
_ROW_BYTES = 2 * 1024
"""What a failure takes beside its payload, about."""


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


def tried_origin(origin: str, stage: str) -> str:
    """What is tried again for a failure: what has its origin, or all of the file if that is none.

    A part of an archive whose file changed while it was read (``FILE#@START``) is nothing that
    reading the file gives.

    >>> tried_origin("/a.warc#@4096", "read"), tried_origin("/f.xml#@fig", "read")
    ('/a.warc', '/f.xml#@fig')
    """
    file, _, name = origin.partition("#")
    return file if stage == "read" and _PART_NAME.fullmatch(name) else origin


def can_be_read(failure: Failure, read_source: ReadSource, read_content: ReadContent) -> bool:
    """Whether there still is what a file's failure is tried again from: its content, or its source.

    Of a live feed only an answer that can be read now counts, for the next answer is another; and
    a page that is fetched holds no others.
    """
    if _keeps_content(failure):
        if failure.stage != "poll":
            return True
        return any(isinstance(unit, Page) for unit in _from_payload(failure, read_content))
    if _is_on_web(failure.source_uri):
        return False
    first = next(iter(read_source(Source(failure.source_uri, -1))), None)
    return first is not None and not _is_gone(first)


def retry_failures(
    failures: Iterable[tuple[str, Failure]],
    read_source: ReadSource,
    read_content: ReadContent,
    fetch: Fetch,
) -> Iterator[tuple[str, Unit]]:
    """Give the pages that failures were about, or the failures that they still are.

    Each comes with the id of its failure; at least one for each id. A source is read once for all
    that need it, and all pages are fetched together, unless what they keep is too much to be held
    at once.

    Args:
        failures: (id, failure), ids and ``tried_origin`` of each unlike those of all others.
        read_source: reads a source, now.
        read_content: reads a document that a failure keeps.
        fetch: fetches the pages of links, now.
    """
    waiting: dict[str, dict[str, Failure]] = defaultdict(dict)
    held_bytes = 0
    for identity, failure in failures:
        if _keeps_content(failure):
            for unit in _from_payload(failure, read_content) or [failure]:
                yield identity, unit
            continue
        waiting[failure.source_uri][identity] = failure
        held_bytes += len(failure.payload) + _ROW_BYTES
        if held_bytes > _MAX_HELD_BYTES:
            yield from _from_outside(waiting, read_source, fetch)
            waiting.clear()
            held_bytes = 0
    yield from _from_outside(waiting, read_source, fetch)


def _keeps_content(failure: Failure) -> bool:
    """Whether the payload is all of the content."""
    content = failure.payload
    if not content or failure.content_bytes == len(content):
        return bool(content)
    # Schema version 1 kept neither page nor size; what was extracted was kept up to a bound. What
    # was a part of a file, as an item of a feed, would lack what the file said of it.
    was_file = failure.page is None and failure.origin == failure.source_uri
    return was_file and failure.stage == "extract" and len(content) < _OLD_BOUND


def _from_payload(failure: Failure, read_content: ReadContent) -> list[Unit]:
    if failure.stage in _LIVE_STAGES:
        return list(_from_answer(failure, read_content))
    if failure.page is not None:
        return [dataclasses.replace(failure.page, content=failure.payload)]
    return list(read_content(failure.payload, failure.source_uri, failure.observed_at))


def _from_answer(failure: Failure, read_content: ReadContent) -> Iterator[Unit]:
    """What a server's answer gives now as what it was asked for: as a feed, or as a page.

    What still cannot be read, a front page where a feed was expected, and a feed in place of a page
    give nothing.
    """
    for unit in read_content(failure.payload, failure.origin, failure.observed_at):
        is_item = unit.origin != failure.origin
        if is_item != (failure.stage == "poll"):
            continue
        if isinstance(unit, Failure):
            if is_item:
                yield dataclasses.replace(unit, stage=failure.stage)  # as polling tells it
        elif is_item:
            yield dataclasses.replace(unit, feed_url=failure.origin)
        else:
            page = failure.page or unit
            yield dataclasses.replace(page, kind=unit.kind, content=unit.content)


def _is_on_web(uri: str) -> bool:
    return uri.startswith(_ON_WEB)


def _from_outside(
    waiting: Mapping[str, Mapping[str, Failure]], read_source: ReadSource, fetch: Fetch
) -> Iterator[tuple[str, Unit]]:
    on_web: dict[str, Failure] = {}
    for uri, failures in waiting.items():
        if _is_on_web(uri):
            on_web |= failures
        else:
            yield from _from_source(uri, failures, read_source)
    yield from _from_web(on_web, fetch)


def _from_web(failures: Mapping[str, Failure], fetch: Fetch) -> Iterator[tuple[str, Unit]]:
    """Pages as they are now; feeds, and what was in them, stay what they were."""
    unanswered = {failure.origin: identity for identity, failure in failures.items()}
    links = [_link_to(failure) for failure in failures.values() if _is_linked_page(failure)]
    for url, unit in fetch(links) if links else ():
        identity = unanswered.pop(url)
        yield identity, _as_linked(unit, failures[identity])
    for identity in unanswered.values():
        yield identity, failures[identity]


def _is_linked_page(failure: Failure) -> bool:
    return failure.stage != "poll" and failure.origin == failure.source_uri


def _link_to(failure: Failure) -> LinkedItem:
    """The link that led to a page, without what only the feed's memory knows of it."""
    about = failure.page
    return LinkedItem(
        origin=failure.origin,
        url=failure.origin,
        feed_url=(about and about.feed_url) or "",
        item=(about and about.item) or FeedItem(),
        key="",
        version="",
    )


def _as_linked(unit: Unit, failure: Failure) -> Unit:
    """With no more said of a page than was known of it."""
    if isinstance(unit, Failure):
        return unit
    about = failure.page
    return dataclasses.replace(
        unit,
        feed_url=about.feed_url if about else None,
        item=about.item if about else None,
    )


def _from_source(
    uri: str, failures: Mapping[str, Failure], read_source: ReadSource
) -> Iterator[tuple[str, Unit]]:
    """What a source gives now of what failed: the parts that have their origins, or all of it."""
    unanswered = dict(failures)
    wanted = {
        tried_origin(failure.origin, failure.stage): identity
        for identity, failure in failures.items()
    }
    whole = wanted.get(uri)
    for number, unit in enumerate(read_source(Source(uri, -1))):
        if not number and _is_gone(unit):
            break  # the failures stay what they were
        identity = wanted.get(unit.origin, whole)
        if identity is not None:
            unanswered.pop(identity, None)
            yield identity, unit
        if whole is None and not unanswered:
            break  # an origin comes once: there is no more to be had of them
    yield from unanswered.items()


def _is_gone(unit: Unit) -> bool:
    return isinstance(unit, Failure) and unit.reason == _GONE


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
    def __init__(
        self, store: Store, read_source: ReadSource, read_content: ReadContent, fetch: Fetch
    ) -> None:
        self._store = store
        self._read_source = read_source
        self._read_content = read_content
        self._fetch = fetch

    def process(self, retry: Retry) -> Iterator[Page | pvalue.TaggedOutput]:
        counts: Counter[str] = Counter()
        failures = read_retries(self._store, retry)
        for identity, unit in retry_failures(
            failures, self._read_source, self._read_content, self._fetch
        ):
            counts[identity] += 1
            yield unit if isinstance(unit, Page) else pvalue.TaggedOutput(FAILURES_TAG, unit)
        for identity, count in counts.items():
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
    fetch: Fetch

    def expand(self, retries: PCollection[Retry]) -> Retried:
        """Read each row where the worker is; nothing is grouped."""
        parted = retries | beam.ParDo(
            _Retry(self.store, self.read_source, self.read_content, self.fetch)
        ).with_output_types(
            Page, **{FAILURES_TAG: Failure, RETRIED_TAG: tuple[str, str, int]}
        ).with_outputs(FAILURES_TAG, RETRIED_TAG, main="pages")
        return Retried(parted.pages, parted[FAILURES_TAG], parted[RETRIED_TAG])
