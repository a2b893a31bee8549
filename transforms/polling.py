"""Polling feeds: what is new in them since they were last asked.

``PollFeeds``: ``DueFeed`` → ``PolledFeed``, one each; a ``Page`` for every new item whose text the
feed itself gives; a ``Failure`` for a feed that could not be read, and for items with nothing to
read. Bounded or not: each feed is asked once whenever it comes.

How a feed is asked is written down in ``asking``, what an answer means in ``listing``, and when a
feed is due again in ``http_caching``.
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
from apache_beam.utils.timestamp import Timestamp

from schemas.records import DueFeed, Failure, Page, PolledFeed
from transforms.asking import ask_feed, jitter_of
from transforms.http_client import HttpClient, HttpSettings
from transforms.lanes import Work, lane_of, run_over_hosts, share_of
from transforms.listing import Answer, Digest, digest_poll
from transforms.measures import NAMESPACE

_FEEDS_POLLED = Metrics.counter(NAMESPACE, "feeds_polled")
_FEEDS_FAILED = Metrics.counter(NAMESPACE, "feeds_failed")


@dataclass(frozen=True)
class PollPlan:
    """What polling needs to know beside the feeds."""

    settings: HttpSettings
    observed_at: Timestamp
    """When the feeds are polled."""
    lanes: int = 1
    """In how many shares the hosts, and the requests allowed in all, are spread over workers."""
    taken: frozenset[str] = frozenset()
    """Origins that the run has already."""
    feeds: frozenset[str] = frozenset()
    """Addresses of all feeds of the run."""
    max_payload_bytes: int = 1 << 20


def poll_feeds(feeds: Iterable[DueFeed], plan: PollPlan) -> Iterator[Digest]:
    """Poll feeds, many hosts at a time; each gives one digest.

    A feed's memory of its body and validators is kept only if what it listed could be read.
    """
    now = plan.observed_at.to_utc_datetime(has_tz=True)

    async def poll(client: HttpClient, due: DueFeed) -> tuple[DueFeed, Answer]:
        return due, await ask_feed(client, due, now, plan.settings.max_body_bytes)

    jobs = ((due.memory.address or due.subscription.url, due) for due in feeds)
    for due, answer in run_over_hosts(jobs, Work(poll, _size_bytes), plan.settings):
        yield digest_poll(
            due,
            answer,
            plan.observed_at,
            jitter_of(due.subscription.url, plan.observed_at),
            taken=plan.taken,
            feeds=plan.feeds,
            max_payload_bytes=plan.max_payload_bytes,
        )


def _size_bytes(polled: tuple[DueFeed, Answer]) -> int:
    parsed = polled[1].parsed
    return sum(len(entry.content) for entry in parsed.entries) if parsed else 0


class Polled(NamedTuple):
    """What ``PollFeeds`` gives."""

    polled: PCollection[PolledFeed]
    pages: PCollection[Page]
    failures: PCollection[Failure]


class _Poll(beam.DoFn):
    PAGE = "page"
    FAILURE = "failure"

    def __init__(self, plan: PollPlan) -> None:
        self._plan = replace(plan, settings=share_of(plan.settings, plan.lanes))

    def process(
        self, lane: tuple[int, Iterable[DueFeed]]
    ) -> Iterator[PolledFeed | pvalue.TaggedOutput]:
        for polled, pages, failures in poll_feeds(lane[1], self._plan):
            _FEEDS_POLLED.inc(int(not polled.is_put_off))
            _FEEDS_FAILED.inc(int(bool(polled.memory.reason) and not polled.is_put_off))
            yield polled
            for page in pages:
                yield pvalue.TaggedOutput(self.PAGE, page)
            for failure in failures:
                yield pvalue.TaggedOutput(self.FAILURE, failure)


def _in_lane(due: DueFeed, lanes: int) -> tuple[int, DueFeed]:
    return lane_of(due.memory.address or due.subscription.url, lanes), due


@dataclass
class PollFeeds(beam.PTransform):
    """``DueFeed`` → ``PolledFeed``, pages and failures; keyed by host, many hosts at a time."""

    plan: PollPlan

    def expand(self, feeds: PCollection[DueFeed]) -> Polled:
        """Bring all feeds of a host to one worker, and ask for them there."""
        parted = (
            feeds
            | beam.Map(partial(_in_lane, lanes=self.plan.lanes)).with_output_types(
                tuple[int, DueFeed]
            )
            | beam.GroupByKey()
            | beam.ParDo(_Poll(self.plan))
            .with_output_types(PolledFeed, page=Page, failure=Failure)
            .with_outputs(_Poll.PAGE, _Poll.FAILURE, main="polled")
        )
        return Polled(parted.polled, parted[_Poll.PAGE], parted[_Poll.FAILURE])
