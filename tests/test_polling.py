"""Polling real feeds over sockets: what is asked, what is remembered, what is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from apache_beam.utils.timestamp import Timestamp
from feed_site import FeedSite
from web_server import Answer, WebServer, WebServers

from schemas.records import DueFeed, FeedMemory, Subscription
from transforms.http_client import HttpSettings
from transforms.listing import Digest
from transforms.polling import PollPlan, poll_feeds

NOW = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")
SETTINGS = HttpSettings(allow_private_hosts=True)
FEED = "application/rss+xml"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def site(server: WebServer) -> FeedSite:
    return FeedSite(server)


def poll(
    url: str,
    memory: FeedMemory | None = None,
    *,
    settings: HttpSettings = SETTINGS,
    now: Timestamp = NOW,
    **settings_of_feed: object,
) -> Digest:
    subscription = Subscription(url, **settings_of_feed)  # type: ignore[arg-type]
    due = DueFeed(subscription, memory or FeedMemory(url))
    (digest,) = poll_feeds([due], PollPlan(settings, now))
    return digest


def urls(digest: Digest) -> list[str]:
    return sorted(link.url for link in digest.polled.links)


def test_a_feed_gives_links_to_its_items(site: FeedSite) -> None:
    site.publish(1, 2)
    digest = poll(site.feed_url)
    assert urls(digest) == [site.page_url(1), site.page_url(2)]
    assert digest.polled.memory.format == "RSS 2.0"


def test_a_feed_that_has_not_changed_is_answered_304(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    first = poll(site.feed_url)
    again = poll(site.feed_url, first.polled.memory)
    assert [visit.status for visit in server.visits(site.feed_path)] == [200, 304]
    assert again.polled.is_unchanged


def test_a_date_of_change_is_a_validator_too(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    modified = "Fri, 20 Nov 2026 09:00:00 GMT"
    server.set(site.feed_path, site.feed(), content_type=FEED, last_modified=modified)
    memory = poll(site.feed_url).polled.memory
    assert poll(site.feed_url, memory).polled.memory.status == 304


def test_a_body_that_is_the_same_is_noticed_whatever_the_validators_say(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    answers = [
        Answer(site.feed().encode(), content_type=FEED, headers={"ETag": f'"{number}"'})
        for number in range(2)
    ]
    server.sequence(site.feed_path, answers)
    again = poll(site.feed_url, poll(site.feed_url).polled.memory)
    assert again.polled.is_unchanged
    assert again.polled.memory.status == 200


def test_a_permanent_redirect_is_remembered_and_the_feed_keeps_its_name(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    server.redirect("/old", "/older", status=301)
    server.redirect("/older", site.feed_url, status=308)
    digest = poll(server.url("/old"))
    assert digest.polled.memory.address == site.feed_url
    assert {link.feed_url for link in digest.polled.links} == {server.url("/old")}
    poll(server.url("/old"), digest.polled.memory)
    assert server.paths == ["/old", "/older", site.feed_path, site.feed_path]


def test_a_temporary_redirect_is_not_remembered(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    server.redirect("/here", site.feed_url, status=302)
    memory = poll(server.url("/here")).polled.memory
    assert memory.address == ""
    poll(server.url("/here"), memory)
    assert server.paths.count("/here") == 2


def test_redirects_in_a_circle_are_told(server: WebServer) -> None:
    server.redirect("/a", "/b")
    server.redirect("/b", "/a")
    (failure,) = poll(server.url("/a")).failures
    assert failure.reason == "redirects"


def test_a_feed_that_is_gone_is_retired(server: WebServer) -> None:
    server.set("/feed", status=410)
    digest = poll(server.url("/feed"))
    assert digest.polled.memory.is_retired
    assert digest.failures[0].reason == "gone"


@pytest.mark.parametrize(
    "retry_after", ["7200", "Fri, 20 Nov 2026 14:00:00 GMT"], ids=["seconds", "date"]
)
def test_a_server_that_asks_to_wait_is_waited_for(server: WebServer, retry_after: str) -> None:
    headers = {"Retry-After": retry_after, "Date": "Fri, 20 Nov 2026 12:00:00 GMT"}
    server.set("/feed", status=429, headers=headers)
    memory = poll(server.url("/feed")).polled.memory
    assert memory.reason == "rate-limited"
    assert memory.due_at is not None
    assert memory.due_at >= NOW + 7_200


def test_a_failure_passes_with_the_next_success(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    feed = Answer(site.feed().encode(), content_type=FEED)
    server.sequence("/shaky", [Answer(status=500), feed])
    failed = poll(server.url("/shaky"))
    assert (failed.failures[0].reason, failed.polled.memory.failures) == ("http-status", 1)
    mended = poll(server.url("/shaky"), failed.polled.memory)
    assert urls(mended) == [site.page_url(1)]
    assert mended.polled.memory.failures == 0


def test_no_request_goes_to_a_private_address_unless_that_is_allowed(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    (failure,) = poll(site.feed_url, settings=HttpSettings()).failures
    assert (failure.kind, failure.reason) == ("rejected", "forbidden-address")
    assert server.paths == []


def test_headers_of_a_subscription_go_to_its_own_host_alone(site: FeedSite) -> None:
    site.publish(1)
    with WebServer() as other:
        site.server.redirect("/feed", other.url("/feed"))
        other.set("/feed", site.feed(), content_type=FEED)
        poll(site.server.url("/feed"), headers=("X-Key: secret",))
        assert site.server.visits("/feed")[0].headers["x-key"] == "secret"
        assert "x-key" not in other.visits("/feed")[0].headers


# ── other formats ───────────────────────────────────────────────────────────────────────────────


def test_a_site_is_polled_at_the_feed_that_it_names(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    link = f"<link rel=alternate type='{FEED}' href='{site.feed_path}'>"
    server.set("/", f"<html><head>{link}</head><body>News</body></html>")
    digest = poll(server.url("/"))
    assert urls(digest) == [site.page_url(1)]
    assert digest.polled.memory.address == site.feed_url
    assert poll(server.url("/"), digest.polled.memory).polled.memory.status == 304


def test_a_page_that_names_no_feed_is_told(server: WebServer) -> None:
    server.set("/", "<html><body><p>Nothing to follow here.</p></body></html>")
    (failure,) = poll(server.url("/")).failures
    assert failure.reason == "no-feed"


def test_a_json_feed_is_a_feed(server: WebServer) -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Example",
        "items": [{"id": "1", "url": "https://news.example/1", "title": "One"}],
    }
    server.set("/feed.json", json.dumps(feed), content_type="application/feed+json")
    assert urls(poll(server.url("/feed.json"))) == ["https://news.example/1"]


SITEMAP = (
    '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    ' xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"><url>'
    "<loc>https://news.example/{name}</loc><news:news><news:title>Story</news:title>"
    "<news:publication_date>2026-11-20T08:00:00Z</news:publication_date></news:news></url></urlset>"
)


def test_the_sitemaps_of_an_index_are_read_also_when_the_index_stays_as_it_is(
    server: WebServer,
) -> None:
    index = (
        '<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        f"<sitemap><loc>{server.url('/a.xml')}</loc></sitemap>"
        f"<sitemap><loc>{server.url('/b.xml.gz')}</loc></sitemap></sitemapindex>"
    )
    server.set("/sitemap.xml", index, content_type="application/xml", etag='"1"')
    server.set("/a.xml", SITEMAP.format(name="a"), content_type="application/xml")
    packed = gzip.compress(SITEMAP.format(name="b").encode())
    server.set("/b.xml.gz", packed, content_type="application/gzip")
    first = poll(server.url("/sitemap.xml"))
    assert urls(first) == ["https://news.example/a", "https://news.example/b"]
    assert poll(server.url("/sitemap.xml"), first.polled.memory).polled.is_unchanged
    server.set("/a.xml", SITEMAP.format(name="c"), content_type="application/xml")
    third = poll(server.url("/sitemap.xml"), first.polled.memory)
    assert "https://news.example/c" in urls(third)


def test_a_malformed_feed_gives_its_items_with_a_note(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    broken = site.feed().replace("</title><guid>", " & more</title><guid>", 1)
    server.set("/broken", broken, content_type=FEED)
    digest = poll(server.url("/broken"))
    assert urls(digest) == [site.page_url(1)]
    assert len(digest.polled.notes) == 1


def test_what_is_no_feed_at_all_is_kept_with_what_is_wrong(server: WebServer) -> None:
    server.set("/feed", "<rss><channel><item><title>Unclosed", content_type=FEED)
    server.set("/words", "There is no feed here, only words.", content_type="text/plain")
    (failure,) = poll(server.url("/words")).failures
    assert (failure.kind, failure.reason) == ("failed", "malformed-feed")
    assert failure.payload == b"There is no feed here, only words."


def test_a_feed_that_is_a_bomb_is_told_by_its_limit(server: WebServer) -> None:
    bomb = gzip.compress(b"<rss><channel>" + b" " * 4_000_000)
    server.set("/bomb.gz", bomb, content_type="application/gzip")
    settings = replace(SETTINGS, max_body_bytes=1_000_000)
    (failure,) = poll(server.url("/bomb.gz"), settings=settings).failures
    assert failure.reason == "too-large"


# ── many at a time ──────────────────────────────────────────────────────────────────────────────


def test_fifty_feeds_on_ten_hosts_are_polled_two_at_a_time_on_each() -> None:
    with WebServers(10) as servers:
        sites = [FeedSite(server, f"/{n}") for server in servers for n in range(5)]
        for number, site in enumerate(sites):
            site.publish(number)
        due = [DueFeed(Subscription(site.feed_url), FeedMemory(site.feed_url)) for site in sites]
        digests = list(poll_feeds(due, PollPlan(SETTINGS, NOW)))
        assert len(digests) == 50
        assert all(len(digest.polled.links) == 1 for digest in digests)
        assert max(max(server.most_in_flight().values()) for server in servers) <= 2


def test_a_host_that_does_not_answer_holds_up_no_other(site: FeedSite) -> None:
    site.publish(1)
    with WebServer() as slow:
        gate = slow.hold()
        subscriptions = [slow.url(f"/{n}") for n in range(9)] + [site.feed_url]
        due = [DueFeed(Subscription(url), FeedMemory(url)) for url in subscriptions]
        digests = poll_feeds(due, PollPlan(SETTINGS, NOW))
        assert next(digests).polled.memory.url == site.feed_url
        gate.release()
        assert len(list(digests)) == 9


def test_polling_can_be_left_half_way(site: FeedSite) -> None:
    site.publish(1)
    with WebServer() as slow:
        gate = slow.hold()
        due = [DueFeed(Subscription(url), FeedMemory(url)) for url in (slow.url(), site.feed_url)]
        digests = poll_feeds(due, PollPlan(SETTINGS, NOW))
        next(digests)
        digests.close()  # type: ignore[attr-defined]
        gate.release()
