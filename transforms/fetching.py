"""Fetching the pages that feed items link to.

``FetchPages``: ``LinkedItem`` → ``FetchedLink``, one each; and for most a ``Page``, or a
``Failure`` that says why there is none. Bounded or not. A link that several items give is followed
once. What an answer means is written down in ``following``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from schemas.records import Failure, FetchedLink, LinkedItem, Page
from transforms.following import Asked, Fetched, FetchPlan, ask_for_page, fetched_from
from transforms.http_client import HttpClient, Response
from transforms.lanes import Work, lane_of, run_over_hosts, share_of
from transforms.measures import NAMESPACE

MAX_SECONDS = 1_800
"""How long after the first link of a run further ones are followed; the rest is deferred."""
_LINKS_FOLLOWED = Metrics.counter(NAMESPACE, "links_followed")
_PAGES_FETCHED = Metrics.counter(NAMESPACE, "pages_fetched")


def fetch_pages(links: Iterable[LinkedItem], plan: FetchPlan) -> Iterator[Fetched]:
    """Fetch the pages of links, many hosts at a time; each link comes back once."""
    now = plan.observed_at.to_utc_datetime(has_tz=True)

    async def fetch(client: HttpClient, link: LinkedItem) -> Asked:
        return await ask_for_page(client, link, now)

    by_url: dict[str, list[LinkedItem]] = {}
    for link in links:
        by_url.setdefault(link.url, []).append(link)
    # A link that comes with headers is let in where the others may not be.
    followed = {
        url: max(given, key=lambda link: bool(link.headers)) for url, given in by_url.items()
    }
    work = Work(fetch, _size_bytes, too_late=Asked, begin_within_seconds=MAX_SECONDS)
    for asked in run_over_hosts(followed.items(), work, plan.settings):
        others = (other for other in by_url[asked.link.url] if other is not asked.link)
        yield from fetched_from(asked, others, plan)


def _size_bytes(asked: Asked) -> int:
    return len(asked.answer.body) if isinstance(asked.answer, Response) else 0


class FetchedPages(NamedTuple):
    """What ``FetchPages`` gives."""

    outcomes: PCollection[FetchedLink]
    pages: PCollection[Page]
    failures: PCollection[Failure]


class _Fetch(beam.DoFn):
    PAGE = "page"
    FAILURE = "failure"

    def __init__(self, plan: FetchPlan) -> None:
        self._plan = replace(plan, settings=share_of(plan.settings, plan.lanes))

    def process(
        self, lane: tuple[int, Iterable[LinkedItem]]
    ) -> Iterator[FetchedLink | pvalue.TaggedOutput]:
        # In one order, whatever order the runner brings them in: which of several items that link
        # to a page it is taken for does not depend on chance.
        links = sorted(lane[1], key=lambda link: (link.url, link.origin))
        for outcome, unit in fetch_pages(links, self._plan):
            _LINKS_FOLLOWED.inc(int(outcome.outcome != "deferred"))
            yield outcome
            if isinstance(unit, Page):
                _PAGES_FETCHED.inc()
                yield pvalue.TaggedOutput(self.PAGE, unit)
            elif unit is not None:
                yield pvalue.TaggedOutput(self.FAILURE, unit)


def _in_lane(link: LinkedItem, lanes: int) -> tuple[int, LinkedItem]:
    return lane_of(link.url, lanes), link


@dataclass
class FetchPages(beam.PTransform):
    """``LinkedItem`` → ``FetchedLink``, pages and failures; keyed by host, many at a time."""

    plan: FetchPlan

    def expand(self, links: PCollection[LinkedItem]) -> FetchedPages:
        """Bring all links to a host to one worker, and follow them there."""
        parted = (
            links
            | beam.Map(partial(_in_lane, lanes=self.plan.lanes)).with_output_types(
                tuple[int, LinkedItem]
            )
            | beam.GroupByKey()
            | beam.ParDo(_Fetch(self.plan))
            .with_output_types(FetchedLink, page=Page, failure=Failure)
            .with_outputs(_Fetch.PAGE, _Fetch.FAILURE, main="outcomes")
        )
        return FetchedPages(parted.outcomes, parted[_Fetch.PAGE], parted[_Fetch.FAILURE])
