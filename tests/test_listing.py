"""What the answer of a feed means: what is new in it, what is remembered, what is next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import DueFeed, FeedItem, FeedMemory, SeenItem, Subscription
from transforms.feeds import FeedEntry, ParsedFeed
from transforms.http_client import Response
from transforms.listing import MAX_PENDING, Answer, Digest, Problem, digest_poll, due_links

NOW = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")
LATER = NOW + 3_600
FEED = Subscription("https://news.example/feed")
LONG_TEXT = "".join(f"<p>{'A sentence of some length about the harbour. ' * 12}</p>" for _ in "abc")


def entry(
    name: str = "a",
    *,
    url: str | None = "https://news.example/a",
    content: str = "",
    updated: str | None = None,
) -> FeedEntry:
    return FeedEntry(
        item_id=name,
        url=url,
        content=content,
        is_full_text=bool(content),
        about=FeedItem(guid=name, title=f"Story {name}", updated=updated),
    )


def feed(*entries: FeedEntry, title: str = "News") -> ParsedFeed:
    return ParsedFeed(
        format="RSS 2.0",
        title=title,
        self_url=None,
        entries=entries,
        notes=(),
        ttl_seconds=None,
        skip_hours=(),
        skip_days=(),
        sitemaps=(),
    )


def response(status: int = 200, etag: str | None = '"1"') -> Response:
    return Response(
        url=FEED.url,
        permanent_url=None,
        status=status,
        headers={},
        body=b"",
        charset=None,
        content_type=None,
        etag=etag,
        last_modified=None,
    )


def poll(
    parsed: ParsedFeed | None,
    memory: FeedMemory | None = None,
    *,
    subscription: Subscription = FEED,
    now: Timestamp = NOW,
    taken: frozenset[str] = frozenset(),
    feeds: frozenset[str] = frozenset(),
    status: int = 200,
) -> Digest:
    due = DueFeed(subscription, memory or FeedMemory(subscription.url))
    answer = Answer(subscription.url, response(status), parsed, "5a")
    return digest_poll(due, answer, now, 0.5, taken=taken, feeds=feeds)


def after(digest: Digest) -> FeedMemory:
    """The memory of a feed whose links have all been followed."""
    seen = [SeenItem(link.key, link.version) for link in digest.polled.links]
    memory = digest.polled.memory
    return replace(memory, seen=(*memory.seen, *seen))


def test_a_new_item_with_a_link_is_to_be_fetched() -> None:
    (link,) = poll(feed(entry())).polled.links
    assert link.url == "https://news.example/a"
    assert link.origin == "https://news.example/feed#a"
    assert link.feed_url == FEED.url


def test_an_item_that_was_seen_is_not_taken_up_again() -> None:
    first = poll(feed(entry()))
    again = poll(feed(entry()), after(first), now=LATER)
    assert again.polled.links == ()
    assert again.polled.unchanged == 1


def test_an_item_that_says_it_was_changed_is_fetched_again() -> None:
    first = poll(feed(entry()))
    again = poll(feed(entry(updated="2026-11-20T12:30:00Z")), after(first), now=LATER)
    assert [link.is_update for link in again.polled.links] == [True]


def test_an_item_without_its_own_guid_is_known_by_its_link() -> None:
    """Some feeds give one guid to all their items."""
    one = entry("same", url="https://news.example/1")
    two = entry("same", url="https://news.example/2")
    digest = poll(feed(one, two))
    assert {link.url for link in digest.polled.links} == {one.url, two.url}
    assert poll(feed(two, one), after(digest)).polled.links == ()


def test_items_without_guid_that_share_a_link_are_told_apart_by_what_they_say() -> None:
    alerts = [
        entry(name, url="https://news.example/alerts", content=f"<p>{name}</p>")._replace(
            item_id="https://news.example/alerts", about=FeedItem(title=name)
        )
        for name in ("flood", "storm")
    ]
    digest = poll(feed(*alerts), subscription=replace(FEED, text="feed"))
    assert len({page.origin for page in digest.pages}) == 2


def test_another_link_under_the_same_guid_is_another_page() -> None:
    """Feeds put links right, and some have one guid for whatever is their latest item."""
    first = poll(feed(entry("latest", url="https://news.example/monday")))
    then = poll(feed(entry("latest", url="https://news.example/tuesday")), after(first))
    assert [link.url for link in then.polled.links] == ["https://news.example/tuesday"]


def test_a_query_that_counts_visits_makes_no_other_page() -> None:
    first = poll(feed(entry(url="https://news.example/a?visit=1")))
    then = poll(feed(entry(url="https://news.example/a?visit=2")), after(first))
    assert then.polled.links == ()


def dated(name: str, published: str) -> FeedEntry:
    return entry(name, url=f"https://news.example/{name}")._replace(
        about=FeedItem(guid=name, published=published)
    )


def test_a_later_date_of_publication_is_a_change() -> None:
    first = poll(feed(*(dated(name, "2026-11-20T08:00:00Z") for name in "abcd")))
    items = [dated("a", "2026-11-20T11:00:00Z"), *(dated(n, "2026-11-20T08:00:00Z") for n in "bcd")]
    assert [link.origin[-1] for link in poll(feed(*items), after(first)).polled.links] == ["a"]


def test_dates_that_a_feed_gives_to_all_its_items_anew_are_no_changes() -> None:
    first = poll(feed(*(dated(name, "2026-11-20T08:00:00Z") for name in "abcd")))
    items = [dated(name, "2026-11-20T12:00:00Z") for name in "abcd"]
    assert poll(feed(*items), after(first)).polled.links == ()


def test_a_changed_item_was_first_seen_when_it_first_came() -> None:
    first = poll(feed(entry()))
    (link,) = first.polled.links
    seen = SeenItem(link.key, link.version, int(NOW.seconds()))
    memory = replace(first.polled.memory, seen=(seen,))
    changed = poll(feed(entry(updated="2026-11-20T12:30:00Z")), memory, now=LATER)
    assert [one.item.first_seen for one in changed.polled.links] == ["2026-11-20T12:00:00Z"]


def test_a_guid_that_is_an_address_is_followed_where_there_is_no_link() -> None:
    digest = poll(feed(entry("https://news.example/permalink", url=None)))
    assert [link.url for link in digest.polled.links] == ["https://news.example/permalink"]


def test_two_items_have_two_origins_however_long_their_names_are() -> None:
    names = ["n" * 600 + end for end in "ab"]
    links = poll(feed(*(entry(n, url=f"https://news.example/{n[-1]}") for n in names))).polled.links
    again = poll(feed(*(entry(n, url=f"https://news.example/{n[-1]}") for n in names[::-1])))
    assert {link.origin for link in links} == {link.origin for link in again.polled.links}
    assert len({link.origin for link in links}) == 2


def test_no_more_items_are_taken_up_while_too_many_wait() -> None:
    (link,) = poll(feed(entry())).polled.links
    waiting = tuple(replace(link, key=str(n), origin=str(n)) for n in range(MAX_PENDING))
    digest = poll(feed(entry("new")), FeedMemory(FEED.url, pending=waiting))
    assert digest.polled.links == ()
    assert digest.polled.memory.etag is None


def test_an_item_that_is_listed_twice_is_one() -> None:
    assert len(poll(feed(entry(), entry())).polled.links) == 1


def test_a_whole_article_in_the_feed_is_not_fetched() -> None:
    digest = poll(feed(entry(content=LONG_TEXT)), subscription=replace(FEED, text="feed"))
    assert digest.polled.links == ()
    (page,) = digest.pages
    assert page.kind == "feed-item"
    assert page.source_uri == FEED.url


def test_the_page_is_fetched_whatever_the_feed_gives_if_that_is_what_was_asked_for() -> None:
    digest = poll(feed(entry(content=LONG_TEXT)), subscription=replace(FEED, text="page"))
    assert [link.url for link in digest.polled.links] == ["https://news.example/a"]


def test_an_item_without_link_gives_its_text() -> None:
    digest = poll(feed(entry(url=None, content="<p>Short.</p>")))
    assert len(digest.pages) == 1


def test_an_item_with_neither_link_nor_text_is_rejected_once() -> None:
    digest = poll(feed(entry(url=None)))
    assert [failure.reason for failure in digest.failures] == ["empty-item"]
    assert poll(feed(entry(url=None)), digest.polled.memory).failures == ()


def test_a_subscription_says_what_its_items_are_about() -> None:
    subscription = replace(FEED, tags=("world",), topic="politics", language="de")
    (link,) = poll(feed(entry()), subscription=subscription).polled.links
    assert (link.item.tags, link.item.topic_hint, link.item.language) == (
        ("world",),
        "politics",
        "de",
    )


def test_an_item_remembers_when_it_was_first_seen() -> None:
    (link,) = poll(feed(entry())).polled.links
    assert link.item.first_seen == "2026-11-20T12:00:00Z"


def test_only_the_newest_items_are_taken_where_there_is_a_limit() -> None:
    entries = [
        entry(str(day), url=f"https://news.example/{day}")._replace(
            about=FeedItem(guid=str(day), published=f"2026-11-{day}T00:00:00Z")
        )
        for day in (11, 13, 12)
    ]
    digest = poll(feed(*entries), subscription=replace(FEED, limit=2))
    assert {link.origin.rpartition("#")[2] for link in digest.polled.links} == {"13", "12"}


def test_headers_of_a_subscription_are_not_remembered_with_its_links() -> None:
    subscription = replace(FEED, headers=("Authorization: Bearer x",))
    (link,) = poll(feed(entry()), subscription=subscription).polled.links
    assert link.headers == ()


def test_validators_are_kept_by_a_304_that_does_not_repeat_them() -> None:
    memory = FeedMemory(FEED.url, etag='"1"', body_sha256="5a")
    answer = Answer(FEED.url, response(304, etag=None), None, "5a")
    digest = digest_poll(DueFeed(FEED, memory), answer, NOW, 0.5)
    assert digest.polled.is_unchanged
    assert digest.polled.memory.etag == '"1"'


def test_validators_are_forgotten_when_a_full_answer_has_none() -> None:
    memory = FeedMemory(FEED.url, etag='"1"')
    answer = Answer(FEED.url, response(200, etag=None), feed(entry()), "5b")
    assert digest_poll(DueFeed(FEED, memory), answer, NOW, 0.5).polled.memory.etag is None


def test_an_item_that_links_to_a_feed_has_no_page() -> None:
    """The feed may be polled in the same run, and fail under that very address."""
    digest = poll(feed(entry(url=FEED.url)), feeds=frozenset({FEED.url}))
    assert digest.polled.links == ()
    assert [failure.reason for failure in digest.failures] == ["empty-item"]
    assert digest.polled.memory.etag == '"1"'


def test_what_the_run_has_already_is_left_and_asked_for_again() -> None:
    """A run that goes on after a kill may have the item under way; the next run takes it."""
    digest = poll(feed(entry()), taken=frozenset({"https://news.example/a"}))
    assert digest.polled.links == ()
    assert (digest.polled.memory.etag, digest.polled.memory.body_sha256) == (None, "")


@pytest.mark.parametrize("reason", ["timeout", "http-status", "malformed-feed"])
def test_a_feed_that_fails_keeps_what_was_seen(reason: str) -> None:
    memory = after(poll(feed(entry())))
    answer = Answer("", problem=Problem(reason, "it went wrong"))
    digest = digest_poll(DueFeed(FEED, memory), answer, LATER, 0.5)
    assert digest.polled.memory.seen == memory.seen
    assert digest.polled.memory.failures == 1
    assert [(it.stage, it.reason) for it in digest.failures] == [("poll", reason)]


def test_a_feed_that_has_not_changed_wishes_to_be_left_alone_as_before() -> None:
    first = poll(replace(feed(entry()), ttl_seconds=3_600))
    again = poll(None, first.polled.memory, now=LATER, status=304)
    assert [digest.polled.memory.due_at for digest in (first, again)] == [
        NOW + 3_600,
        LATER + 3_600,
    ]


def test_failures_are_forgotten_with_the_first_success() -> None:
    memory = FeedMemory(FEED.url, failures=3, reason="timeout", message="no answer")
    recovered = poll(feed(), memory).polled.memory
    assert (recovered.failures, recovered.reason, recovered.message) == (0, "", "")


def test_a_feed_that_is_gone_is_retired() -> None:
    answer = Answer("", problem=Problem("gone", "it is gone (410)", status=410))
    memory = digest_poll(DueFeed(FEED, FeedMemory(FEED.url)), answer, NOW, 0.5).polled.memory
    assert memory.is_retired
    assert memory.due_at is not None
    assert memory.due_at > NOW + 7 * 86_400


def test_a_feed_that_was_not_asked_has_not_failed() -> None:
    answer = Answer("", problem=Problem("no-connection", "put off", is_put_off=True))
    digest = digest_poll(DueFeed(FEED, FeedMemory(FEED.url)), answer, NOW, 0.5)
    assert digest.failures == ()
    assert digest.polled.is_put_off


def test_a_moved_feed_is_remembered_under_the_url_of_its_subscription() -> None:
    answer = Answer("https://moved.example/feed", response(), feed(entry()), "5a")
    memory = digest_poll(DueFeed(FEED, FeedMemory(FEED.url)), answer, NOW, 0.5).polled.memory
    assert (memory.url, memory.address) == (FEED.url, "https://moved.example/feed")


@pytest.mark.parametrize("reason", ["not-found", "gone", "malformed-feed", "timeout"])
def test_an_address_that_fails_is_forgotten(reason: str) -> None:
    """One wrong redirect must not lose a feed for ever."""
    memory = FeedMemory(FEED.url, address="https://moved.example/feed")
    answer = Answer(memory.address, problem=Problem(reason, "no feed there"))
    digest = digest_poll(DueFeed(FEED, memory), answer, NOW, 0.5)
    assert digest.polled.memory.address == ""


def test_a_redirect_to_where_nothing_answers_is_not_remembered() -> None:
    answer = Answer("https://nowhere.example/feed", problem=Problem("no-connection", "no answer"))
    memory = digest_poll(DueFeed(FEED, FeedMemory(FEED.url)), answer, NOW, 0.5).polled.memory
    assert memory.address == ""


@pytest.mark.parametrize("link", ["https://News.example:443/a#top", "https://news.example/a"])
def test_a_page_has_one_address_however_it_is_spelt(link: str) -> None:
    assert poll(feed(entry(url=link))).polled.links[0].url == "https://news.example/a"


def test_a_link_with_a_password_in_it_is_none() -> None:
    digest = poll(feed(entry(url="https://user:secret@news.example/a")))
    assert digest.polled.links == ()
    assert "secret" not in repr(digest.failures)


def test_links_wait_until_it_is_their_time() -> None:
    (link,) = poll(feed(entry())).polled.links
    later = replace(link, origin="x", key="x", retry_at=LATER)
    memory = FeedMemory(FEED.url, pending=(link, later))
    assert [one.origin for one in due_links(memory, NOW)] == [link.origin]
    assert len(list(due_links(memory, LATER))) == 2


names = st.lists(st.sampled_from("abcdefgh"), max_size=12)


@given(names, names)
def test_each_item_is_taken_up_once_however_a_feed_lists_it(
    first: list[str], then: list[str]
) -> None:
    def listed(items: list[str]) -> ParsedFeed:
        return feed(*(entry(name, url=f"https://news.example/{name}") for name in items))

    one = poll(listed(first))
    two = poll(listed(then), after(one), now=LATER)
    taken = [link.url for digest in (one, two) for link in digest.polled.links]
    assert sorted(taken) == sorted({f"https://news.example/{name}" for name in first + then})
