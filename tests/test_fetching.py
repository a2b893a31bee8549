"""Following links to pages over sockets: which give pages, which are told, which are put off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from apache_beam.utils.timestamp import Timestamp
from feed_site import FeedSite
from web_server import Answer, WebServer

from schemas.records import Failure, FeedItem, LinkedItem, Page
from transforms.fetching import fetch_pages
from transforms.following import EARLY_SECONDS, Fetched, FetchPlan
from transforms.http_client import HttpSettings
from transforms.listing import is_to_be_tried
from transforms.reading import ReadLimits, read_content

NOW = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")
SETTINGS = HttpSettings(allow_private_hosts=True)
FEED_URL = "https://news.example/feed"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


def link_to(url: str, name: str = "a") -> LinkedItem:
    item = FeedItem(guid=name, title="What the feed calls it")
    return LinkedItem(f"{FEED_URL}#{name}", url, FEED_URL, item, key=name, version="1")


def fetch(*links: LinkedItem, settings: HttpSettings = SETTINGS) -> list[Fetched]:
    plan = FetchPlan(
        settings,
        NOW,
        lambda content, uri, observed: list(read_content(content, uri, observed, ReadLimits())),
    )
    return list(fetch_pages(links, plan))


def fetch_one(url: str, settings: HttpSettings = SETTINGS) -> Fetched:
    (fetched,) = fetch(link_to(url), settings=settings)
    return fetched


def test_a_page_comes_with_what_the_feed_says_of_it(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(1)
    outcome, page = fetch_one(site.page_url(1))
    assert outcome.outcome == "page"
    assert isinstance(page, Page)
    assert (page.origin, page.source_uri, page.kind) == (site.page_url(1), site.page_url(1), "html")
    assert page.feed_url == FEED_URL
    assert page.item == link_to("").item


def test_a_page_is_known_by_its_link_and_read_where_it_was_found(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(1)
    server.redirect("/short", site.page_url(1), status=302)
    _, page = fetch_one(server.url("/short"))
    assert isinstance(page, Page)
    assert (page.origin, page.url) == (server.url("/short"), site.page_url(1))


def test_a_page_that_several_items_link_to_is_fetched_once(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(1)
    url = site.page_url(1)
    fetched = fetch(link_to(url, "a"), link_to(url, "b"))
    assert sorted(one.outcome.outcome for one in fetched) == ["page", "same-page"]
    assert server.paths.count(site.page_path(1)) == 1


def test_where_a_page_cannot_be_had_all_who_link_to_it_wait_for_it(server: WebServer) -> None:
    server.set("/a", status=500)
    url = server.url("/a")
    fetched = fetch(link_to(url, "a"), link_to(url, "b"))
    assert sorted(one.outcome.outcome for one in fetched) == ["deferred", "failed"]
    assert all(is_to_be_tried(one.outcome) for one in fetched)


def test_of_several_links_the_one_that_may_show_a_key_is_followed(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(1)
    url = site.page_url(1)
    with_key = replace(link_to(url, "b"), headers=("X-Key: open-sesame",))
    fetched = fetch(link_to(url, "a"), with_key)
    assert server.visits(site.page_path(1))[0].headers["x-key"] == "open-sesame"
    assert "open-sesame" not in "".join(map(str, (one.outcome.link.headers for one in fetched)))


def seen_for(link: LinkedItem, seconds: int) -> LinkedItem:
    """A link whose item was first listed so long ago."""
    return replace(link, item=replace(link.item, first_seen=(NOW - seconds).to_rfc3339()))


def test_a_page_that_is_not_there_yet_is_waited_for_for_a_day(server: WebServer) -> None:
    link = link_to(server.url("/a"))
    ((young, _),) = fetch(seen_for(link, 60))
    ((old, _),) = fetch(seen_for(link, EARLY_SECONDS + 60))
    assert (young.outcome, old.outcome) == ("failed", "rejected")
    assert young.link.retry_at is not None


def test_an_outage_does_not_use_up_the_attempts_of_a_young_item(server: WebServer) -> None:
    server.set("/a", status=500)
    link = replace(link_to(server.url("/a")), attempts=20)
    ((young, _),) = fetch(seen_for(link, 3_600))
    ((old, _),) = fetch(seen_for(link, 3 * 86_400))
    assert (is_to_be_tried(young), is_to_be_tried(old)) == (True, False)


def test_the_charset_of_the_header_is_kept(server: WebServer) -> None:
    body = "<html><body><p>Grüße</p></body></html>".encode("iso-8859-1")
    server.set("/a", body, content_type="text/html; charset=ISO-8859-1")
    _, page = fetch_one(server.url("/a"))
    assert isinstance(page, Page)
    assert (page.charset or "").lower() == "iso-8859-1"


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"%PDF-1.7 and so on", "application/pdf", "unsupported-kind"),
        (b"\x89PNG\r\n\x1a\n", "image/png", "binary"),
        (b"", "text/html", "empty"),
        (b"<rss version='2.0'><channel><item><link>http://x.example/1</link></item></channel></rss>",
         "application/rss+xml", "unsupported-kind"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_rejected_by_its_content(
    server: WebServer, body: bytes, content_type: str, reason: str
) -> None:
    server.set("/a", body, content_type=content_type)
    outcome, failure = fetch_one(server.url("/a"))
    assert isinstance(failure, Failure)
    assert (outcome.outcome, failure.stage, failure.reason) == ("rejected", "fetch", reason)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (404, "rejected", "not-found"),
        (403, "rejected", "http-status"),
        (410, "rejected", "gone"),
        (500, "failed", "http-status"),
        (503, "failed", "rate-limited"),
    ],
)
def test_a_status_says_whether_to_ask_again(
    server: WebServer, status: int, outcome: str, reason: str
) -> None:
    server.set("/a", status=status)
    fetched, failure = fetch_one(server.url("/a"))
    assert isinstance(failure, Failure)
    assert (fetched.outcome, failure.reason) == (outcome, reason)
    assert (fetched.link.retry_at is not None) == (outcome == "failed")


def test_a_page_is_given_up_after_some_attempts(server: WebServer) -> None:
    server.set("/a", status=500)
    link, attempts = link_to(server.url("/a")), 0
    while link.retry_at is not None or not attempts:
        ((outcome, _),) = fetch(link)
        link, attempts = outcome.link, attempts + 1
    assert attempts == link.attempts == 5


def test_what_is_needed_to_fetch_it_again_is_kept_with_a_failure(server: WebServer) -> None:
    server.set("/a", status=500)
    link = replace(link_to(server.url("/a")), headers=("Authorization: Bearer secret",))
    ((_, failure),) = fetch(link)
    assert isinstance(failure, Failure)
    assert failure.page is not None
    assert (failure.url, failure.page.feed_url, failure.page.item) == (
        link.url,
        FEED_URL,
        link.item,
    )
    assert "secret" not in repr(failure)


def test_a_site_that_asks_robots_to_stay_away_is_left_alone(server: WebServer) -> None:
    server.set("/robots.txt", "User-agent: *\nDisallow: /", content_type="text/plain")
    outcome, failure = fetch_one(server.url("/a"))
    assert isinstance(failure, Failure)
    assert (outcome.outcome, failure.reason) == ("rejected", "robots")
    assert server.paths == ["/robots.txt"]


def test_a_redirect_to_a_private_address_is_not_followed(server: WebServer) -> None:
    settings = HttpSettings()
    server.redirect("/a", "http://169.254.169.254/latest/meta-data")
    outcome, failure = fetch_one(server.url("/a"), settings)
    assert isinstance(failure, Failure)
    assert (outcome.outcome, failure.reason) == ("rejected", "forbidden-address")


def test_a_host_that_is_down_is_not_asked_for_every_page() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    links = [link_to(f"http://127.0.0.1:{port}/{number}", str(number)) for number in range(12)]
    fetched = fetch(*links)
    outcomes = [one.outcome.outcome for one in fetched]
    assert outcomes.count("failed") < len(links)
    assert outcomes.count("failed") + outcomes.count("deferred") == len(links)


def test_a_page_that_was_put_off_has_used_up_no_attempt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    links = [link_to(f"http://127.0.0.1:{port}/{number}", str(number)) for number in range(12)]
    put_off = [one.outcome for one in fetch(*links) if one.outcome.outcome == "deferred"]
    assert {(one.link.attempts, one.link.retry_at) for one in put_off} == {(0, None)}


def test_an_answer_may_come_at_the_second_try(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(1)
    page = server.url("/shaky")
    server.sequence("/shaky", [Answer(status=500), Answer(b"<p>Here it is.</p>")])
    ((first, _),) = fetch(link_to(page))
    ((second, _),) = fetch(first.link)
    assert (first.outcome, second.outcome) == ("failed", "page")
