"""Which pages of links the dataset has already, so that they need not be fetched.

``FindPages``: files of ``articles``, ``duplicates`` and ``failures`` → (address, when it was seen)
of the run's links that are in them. ``SetAsideKnown``: ``LinkedItem`` → those to be fetched, and a
``FetchedLink`` for each that is known. Bounded; no failures of their own. A page counts as known if
it was seen within the horizon, under the address that the link has, that it was redirected to or
that it states as its own; also if it was rejected, for it will not have become an article. A page
whose item says that it was changed since is fetched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.pvalue import PCollection
from apache_beam.utils.timestamp import Timestamp

from schemas.records import FetchedLink, LinkedItem
from transforms.seen_pages import find_pages, is_known
from transforms.storage import Store


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
