"""Following the links of feed items to their pages, one by one.

A ``LinkedItem`` → what was ``Asked`` → ``Fetched``: what became of it, and a ``Page``, or a
``Failure`` that says why there is none. What fails for a time is given a time to be tried again;
what was not asked for, because its host does not answer or asks for patience, is ``deferred``: it
is no failure, and comes again.

What kind of page an answer is, is told from its content, by a function that is an argument.
"""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, FetchedLink, LinkedItem, Page
from transforms.http_caching import next_attempt
from transforms.http_client import FetchError, HttpClient, HttpSettings, Response
from transforms.listing import is_to_be_tried

ReadContent = Callable[[bytes, str, Timestamp], Iterable[Page | Failure]]
"""Tells what a document is, and reads it: (content, URL, when it was observed)."""

GIVE_UP_SECONDS = 7 * 86_400
"""How long after it was first listed an item's page is waited for whose host does not answer."""
EARLY_SECONDS = 86_400
"""How long after it was first listed an item's page may still be about to come (404)."""
_ACCEPT = "text/html, application/xhtml+xml, text/plain;q=0.8, */*;q=0.5"


class Fetched(NamedTuple):
    """What became of a link, and the page or failure that came of it, if any."""

    outcome: FetchedLink
    unit: Page | Failure | None = None


@dataclass(frozen=True)
class FetchPlan:
    """What fetching needs to know beside the links."""

    settings: HttpSettings
    observed_at: Timestamp
    """When the run fetches."""
    read_content: ReadContent
    lanes: int = 1
    """In how many shares the hosts, and the requests allowed in all, are spread over workers."""


def page_of(link: LinkedItem, response: Response, plan: FetchPlan) -> Fetched:
    """The page of an answer, with what the feed says of it; or why it is none."""
    units = list(plan.read_content(response.body, link.url, plan.observed_at))
    unit = units[0]
    if len(units) > 1 or (isinstance(unit, Page) and unit.kind == "feed-item"):
        message = "it is a feed, where the page of an item was expected"
        return _refused(link, plan, "rejected", "unsupported-kind", message)
    if isinstance(unit, Failure):
        failure = replace(unit, stage="fetch", origin=link.url, url=response.url, page=_about(link))
        return Fetched(FetchedLink(link, failure.kind), failure)
    page = replace(
        unit,
        charset=response.charset,
        url=response.url,
        feed_url=link.feed_url,
        item=link.item,
    )
    return Fetched(FetchedLink(link, "page"), page)


def problem_of(link: LinkedItem, error: FetchError, plan: FetchPlan) -> Fetched:
    """What an error means for a link: rejected, to be tried again, or deferred.

    A page is not given up before ``GIVE_UP_SECONDS``, so that an outage of its host does not use
    its links up; and one that is not there may be ahead of the servers that are to have it.
    """
    age_seconds = _age_seconds(link, plan.observed_at)
    if error.is_put_off:
        if age_seconds < GIVE_UP_SECONDS or link.item.first_seen is None:
            return Fetched(FetchedLink(link, "deferred"))
        message = f"{error.message}; it was waited for since {link.item.first_seen}"
        return _refused(replace(link, retry_at=None), plan, "failed", error.reason, message)
    is_early = error.reason == "not-found" and age_seconds < EARLY_SECONDS
    if error.is_final and not is_early:
        return _refused(replace(link, retry_at=None), plan, "rejected", error.reason, error.message)
    attempts = link.attempts + 1
    retry_at = next_attempt(
        plan.observed_at,
        attempts,
        age_seconds=age_seconds,
        retry_after_seconds=error.retry_after_seconds,
        jitter=_jitter(link.url, attempts),
    )
    again = replace(link, attempts=attempts, retry_at=retry_at)
    return _refused(again, plan, "failed", error.reason, error.message)


def _age_seconds(link: LinkedItem, now: Timestamp) -> float:
    """How long ago a poll first listed an item; for ever where nothing is known of that."""
    if link.item.first_seen is None:
        return float("inf")
    return float((now - Timestamp.from_rfc3339(link.item.first_seen)).micros) / 1e6


def _jitter(url: str, attempts: int) -> float:
    return zlib.crc32(f"{url}{attempts}".encode("utf-8", "replace")) / 2**32


def _about(link: LinkedItem) -> Page:
    """What is needed to fetch the page once more."""
    return Page(
        origin=link.url,
        source_uri=link.url,
        kind="html",
        content=b"",
        observed_at=Timestamp(0),
        url=link.url,
        feed_url=link.feed_url,
        item=link.item,
    )


def _refused(link: LinkedItem, plan: FetchPlan, kind: str, reason: str, message: str) -> Fetched:
    failure = Failure(
        kind=kind,
        stage="fetch",
        reason=reason,
        message=message,
        origin=link.url,
        source_uri=link.url,
        observed_at=plan.observed_at,
        url=link.url,
        page=replace(_about(link), observed_at=plan.observed_at),
    )
    return Fetched(FetchedLink(link, kind), failure)


async def ask_for_page(client: HttpClient, link: LinkedItem, now: datetime.datetime) -> Asked:
    """Ask for the page of a link; errors come as part of the answer.

    Args:
        client: with its limits and its politeness.
        link: to the page.
        now: the time, aware.
    """
    try:
        response = await client.get(
            link.url,
            headers=link.headers,
            obeys_robots=True,
            accept=_ACCEPT,
            now=now,
        )
    except FetchError as error:
        return Asked(link, error)
    return Asked(link, response)


def fetched_from(asked: Asked, others: Iterable[LinkedItem], plan: FetchPlan) -> Iterator[Fetched]:
    """What became of a link that was followed, and of others to the same page."""
    link, answer = asked
    if answer is None:
        fetched = Fetched(FetchedLink(link, "deferred"))
    elif isinstance(answer, FetchError):
        fetched = problem_of(link, answer, plan)
    else:
        fetched = page_of(link, answer, plan)
    yield _without_headers(fetched)
    for other in others:
        yield _without_headers(Fetched(_as_well(other, fetched.outcome)))


def _as_well(link: LinkedItem, followed: FetchedLink) -> FetchedLink:
    """What becomes of a link to a page that another link was followed to."""
    if is_to_be_tried(followed):
        attempts, retry_at = followed.link.attempts, followed.link.retry_at
        return FetchedLink(replace(link, attempts=attempts, retry_at=retry_at), "deferred")
    return FetchedLink(link, "same-page")


def _without_headers(fetched: Fetched) -> Fetched:
    """What may be written down."""
    outcome = fetched.outcome
    return fetched._replace(outcome=replace(outcome, link=replace(outcome.link, headers=())))


class Asked(NamedTuple):
    """A link, and what came of asking for it; None if it was too late to ask."""

    link: LinkedItem
    answer: Response | FetchError | None = None
