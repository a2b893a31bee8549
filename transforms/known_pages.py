"""Which pages of links the dataset has already, so that they need not be fetched.

``FindPages``: files of ``articles``, ``duplicates`` and ``failures`` → (address, when it was seen)
of the run's links that are in them. ``SetAsideKnown``: ``LinkedItem`` → those to be fetched, and a
``FetchedLink`` for each that is known. Bounded; no failures of their own. A page counts as known if
it was seen within the horizon, under the address that the link has, that it was redirected to or
that it states as its own; also if it was rejected, for it will not have become an article. A page
whose item says that it was changed since is fetched again.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam import pvalue
from apache_beam.pvalue import PCollection
from apache_beam.utils.timestamp import Timestamp

from schemas.records import FetchedLink, LinkedItem
from transforms.addresses import authority_of
from transforms.compaction import may_hold_observed, open_parquet
from transforms.storage import Store

_ADDRESSES = {
    "articles": ("origin", "url", "canonical_url"),
    "duplicates": ("origin", "url", "canonical_url"),
    "failures": ("origin", "url"),
}
_PAGE_STAGES = pa.array(["fetch", "extract"])
_END_MICROS = 1 << 62


def find_pages(
    store: Store, table: str, path: str, urls: pa.Array, since: Timestamp
) -> Iterator[tuple[str, int]]:
    """The addresses in a file of the dataset that are among ``urls``, and when each was seen.

    Args:
        store: of the dataset.
        table: the file's.
        path: relative to the store.
        urls: sought, as Arrow strings.
        since: what was seen before is passed over.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    further = ["kind", "stage"] if table == "failures" else []
    columns = [*_ADDRESSES[table], "observed_at", *further]
    wanted = (since.micros, _END_MICROS)
    with open_parquet(store, path) as parquet:
        groups = [
            number
            for number in range(parquet.num_row_groups)
            if may_hold_observed(parquet.metadata.row_group(number), wanted)
        ]
        for batch in parquet.iter_batches(row_groups=groups, columns=columns) if groups else ():
            yield from _found(batch, table, urls, since)


def _found(
    batch: pa.RecordBatch, table: str, urls: pa.Array, since: Timestamp
) -> Iterator[tuple[str, int]]:
    for column in _ADDRESSES[table]:
        is_hit = pc.is_in(batch.column(column), value_set=urls)
        if table == "failures":
            is_rejected = pc.equal(batch.column("kind"), "rejected")
            is_page = pc.is_in(batch.column("stage"), value_set=_PAGE_STAGES)
            is_hit = pc.and_(is_hit, pc.and_(is_rejected, is_page))
        hits = batch.filter(is_hit)
        seen = pc.cast(hits.column("observed_at"), pa.timestamp("us", "UTC")).cast(pa.int64())
        columns = (hits.column(name).to_pylist() for name in (column, "url"))
        for url, fetched_from, micros in zip(*columns, seen.to_pylist(), strict=True):
            # What a page says of another host's is no evidence that this was read.
            is_own = column != "canonical_url" or authority_of(url) == authority_of(
                fetched_from or ""
            )
            if micros >= since.micros and is_own:
                yield url, micros


def is_known(link: LinkedItem, seen_micros: int | None) -> bool:
    """Whether a link's page need not be fetched, for it was seen then; None for never."""
    if seen_micros is None or link.is_update:
        return False
    changed = _micros(link.item.updated or link.item.published)
    return changed is None or changed <= seen_micros


def _micros(moment: str | None) -> int | None:
    """A time as feeds are read to state it: ISO 8601, in UTC."""
    if moment is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(moment)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return int(Timestamp.from_utc_datetime(at.astimezone(datetime.UTC)).micros)


class _Find(beam.DoFn):
    def __init__(self, store: Store, since: Timestamp) -> None:
        self._store = store
        self._since = since
        self._urls: pa.Array | None = None

    def process(self, file: tuple[str, str], urls: Sequence[str]) -> Iterator[tuple[str, int]]:
        if self._urls is None:
            self._urls = pa.array(urls, pa.string())
        yield from find_pages(self._store, *file, self._urls, self._since)


@dataclass
class FindPages(beam.PTransform):
    """(table, path) of Parquet files → (address, microseconds since 1970) of ``links`` in them."""

    store: Store
    links: PCollection[LinkedItem]
    since: Timestamp

    def expand(self, files: PCollection[tuple[str, str]]) -> PCollection[tuple[str, int]]:
        """Read each file's addresses where the worker is."""
        urls = self.links | "Urls" >> beam.Map(lambda link: link.url).with_output_types(str)
        find = beam.ParDo(_Find(self.store, self.since), urls=pvalue.AsList(urls))
        return files | beam.Reshuffle() | find.with_output_types(tuple[str, int])


class Links(NamedTuple):
    """What ``SetAsideKnown`` gives."""

    unknown: PCollection[LinkedItem]
    known: PCollection[FetchedLink]


class _SetAside(beam.DoFn):
    KNOWN = "known"

    def __init__(self) -> None:
        self._last: Mapping[str, int] | None = None

    def process(
        self, link: LinkedItem, found: Iterable[tuple[str, int]]
    ) -> Iterator[LinkedItem | pvalue.TaggedOutput]:
        if self._last is None:
            last: dict[str, int] = {}
            for url, micros in found:
                last[url] = max(micros, last.get(url, micros))
            self._last = last
        if is_known(link, self._last.get(link.url)):
            yield pvalue.TaggedOutput(self.KNOWN, FetchedLink(link, "known"))
        else:
            yield link


@dataclass
class SetAsideKnown(beam.PTransform):
    """``LinkedItem`` → those to be fetched, and a ``FetchedLink`` for each that ``found`` has."""

    found: PCollection[tuple[str, int]]

    def expand(self, links: PCollection[LinkedItem]) -> Links:
        """Hold each link against what was found."""
        parted = links | beam.ParDo(_SetAside(), found=pvalue.AsList(self.found)).with_output_types(
            LinkedItem, known=FetchedLink
        ).with_outputs(_SetAside.KNOWN, main="unknown")
        return Links(parted.unknown, parted[_SetAside.KNOWN])
