"""A stream's reader over sockets: what it asks, when, and what it gives to whom."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from apache_beam.utils.timestamp import Timestamp
from feed_site import FeedSite
from hypothesis import given, settings
from hypothesis import strategies as st
from session_factory import (
    NOON,
    ONE_AT_A_TIME,
    Clock,
    Remembered,
    Taker,
    account_of,
    pages_of,
    session_of,
)
from source_factory import make_story
from web_server import WAIT_SECONDS, Answer, WebServer, WebServers

from schemas.records import FeedItem, FeedMemory, LinkedItem, Page, Subscription
from transforms.feed_session import OutOfReachError, SessionClosedError
from transforms.feed_source import key_of
from transforms.given_away import PAGE_BYTES, Reading


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def site(server: WebServer) -> FeedSite:
    return FeedSite(server)


def rarely(url: str) -> Subscription:
    """A feed that is polled once in a test."""
    return Subscription(url, interval_seconds=30 * 86_400)


STEPS = ("publish", "take", "take", "commit", "lose", "kill", "back", "forward")


def has_pages(count: int):
    return lambda taken: len(taken.pages) >= count


# ── what is given ───────────────────────────────────────────────────────────────────────────────


def test_a_feed_gives_its_poll_and_then_the_pages_of_its_links(site: FeedSite) -> None:
    site.publish(1, 2)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(has_pages(2))
    first, *others = taker.readings
    assert first.polled is not None
    assert len(first.polled.links) == 2
    assert sorted(page.url or "" for page in taker.pages) == [site.page_url(1), site.page_url(2)]
    assert [one.fetched.outcome for one in others if one.fetched] == ["page", "page"]


def test_a_feed_that_gives_the_text_itself_needs_no_request_for_it(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, has_text=True)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(has_pages(1))
    assert taker.readings[0].pages[0].kind == "feed-item"
    assert not server.visits(site.page_path(1))


def test_all_of_a_reading_is_observed_at_one_moment(site: FeedSite) -> None:
    site.publish(1)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(has_pages(1))
    for reading in taker.readings:
        assert {page.observed_at for page in reading.pages} <= {reading.observed_at}


def test_a_feed_that_is_not_due_is_not_asked(server: WebServer, site: FeedSite) -> None:
    memory = FeedMemory(site.feed_url, polled_at=NOON - 60, due_at=NOON + 86_400)
    recall = Remembered({site.feed_url: memory})
    with session_of(rarely(site.feed_url), recall=recall):
        recall.wait_for_looks(3)
    assert not server.log


def test_polling_all_asks_for_what_is_not_due_too(site: FeedSite) -> None:
    memory = FeedMemory(site.feed_url, polled_at=NOON - 60, due_at=NOON + 86_400)
    recall = Remembered({site.feed_url: memory})
    with session_of(rarely(site.feed_url), recall=recall, polls_all=True) as taker:
        taker.until(lambda taken: bool(taken.polls))


def test_a_feed_is_asked_again_when_it_is_due(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    clock = Clock()
    with session_of(Subscription(site.feed_url, interval_seconds=600), clock=clock) as taker:
        taker.until(has_pages(1))
        site.publish(2)
        clock.pass_by(601)
        taker.until(has_pages(2))
    assert len(server.visits(site.feed_path)) == 2


def test_links_that_wait_in_the_memory_are_followed_first(site: FeedSite) -> None:
    site.publish(1)
    link = LinkedItem(
        f"{site.feed_url}#1", site.page_url(1), site.feed_url, FeedItem(), "1" * 16, "2" * 12
    )
    memory = FeedMemory(site.feed_url, polled_at=NOON - 60, due_at=NOON + 86_400, pending=(link,))
    recall = Remembered({site.feed_url: memory})
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        taker.until(has_pages(1))
    assert not taker.polls


# ── batches ─────────────────────────────────────────────────────────────────────────────────────


def test_the_same_position_gives_the_same_batch(site: FeedSite) -> None:
    site.publish(1)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(has_pages(1))
        last = taker.batches[-1]
        assert taker.session.take(taker.position - 1, 0) is last


@pytest.mark.parametrize("position", [-1, 4, 6, 7])
def test_no_other_position_can_be_given(site: FeedSite, position: int) -> None:
    with session_of(site.feed_url, position=5) as taker:
        assert not taker.session.can_give(position)
        with pytest.raises(ValueError, match=f"batch {position} is asked for, after 4"):
            taker.session.take(position, 0)


def test_who_asks_for_one_position_at_once_gets_one_batch(site: FeedSite) -> None:
    site.publish(1, 2, 3)
    with session_of(rarely(site.feed_url)) as taker:
        batches = []
        threads = [
            threading.Thread(target=lambda: batches.append(taker.session.take(0, WAIT_SECONDS)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(batch is batches[0] for batch in batches)
        assert taker.session.can_give(1)


def test_a_batch_can_be_taken_at_once_after_the_start(site: FeedSite) -> None:
    for _ in range(20):
        with session_of(site.feed_url) as taker:
            taker.take(wait_seconds=0)


# ── nothing twice ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("has_text", [False, True])
def test_what_was_taken_and_is_not_committed_is_not_given_to_the_next_session(
    site: FeedSite, has_text: bool
) -> None:
    site.publish(1, 2, has_text=has_text)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(has_pages(2))
    taken = taker.batches[-1].taken
    with session_of(site.feed_url, taken=taken, position=taker.position) as second:
        second.until(lambda taken: len(taken.polls) >= 2)
    assert second.pages == []
    assert second.outcomes == {}


def test_what_was_not_taken_is_given_to_the_next_session(site: FeedSite) -> None:
    site.publish(1)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(lambda taken: bool(taken.polls))
    with session_of(rarely(site.feed_url), taken=taker.batches[-1].taken) as second:
        second.until(lambda taken: len(taker.pages) + len(taken.pages) == 1)


def test_an_item_that_changes_is_given_again_once_its_first_text_is_committed(
    site: FeedSite,
) -> None:
    site.publish(1)
    recall = Remembered()
    with session_of(site.feed_url, recall=recall) as taker:
        taker.until(has_pages(1))
        site.change(1, updated="2026-11-20T12:00:00Z")
        polls = len(taker.polls)
        taker.until(lambda taken: len(taken.polls) > polls + 2)
        assert len(taker.pages) == 1
        taker.commit_to(recall)
        taker.until(has_pages(2))
    assert b"put right" in taker.pages[1].content


def test_a_page_that_two_feeds_link_to_is_fetched_once(server: WebServer) -> None:
    sites = [FeedSite(server, name) for name in ("/a", "/b")]
    sites[0].publish(1)
    sites[1].items = sites[0].items
    page = sites[0].page_path(1)
    feed = sites[0].feed()
    for number, one in enumerate(sites):
        server.set(one.feed_path, feed, content_type="application/rss+xml", etag=f'"{number}"')
    gate = server.hold(page)
    with session_of(*(rarely(one.feed_url) for one in sites)) as taker:
        gate.wait_for(1)
        taker.until(lambda taken: len(taken.polls) == 2)
        gate.release()
        taker.until(lambda taken: len(taken.outcomes) == 2)
    assert sorted(taker.outcomes.values()) == ["page", "same-page"]
    assert len(server.visits(page)) == 1


def test_a_page_is_given_once_though_another_feed_links_to_it_while_it_is_read(
    server: WebServer,
) -> None:
    first, second = FeedSite(server, "/a"), FeedSite(server, "/b")
    first.publish(1)
    server.set(second.feed_path, first.feed(), content_type="application/rss+xml")
    is_reading, may_go_on = threading.Event(), threading.Event()

    def read(content: bytes, url: str, observed_at: Timestamp) -> Iterator[Page]:
        is_reading.set()
        assert may_go_on.wait(WAIT_SECONDS)
        yield Page(url, url, "html", content, observed_at)

    gate = server.hold(second.feed_path)
    feeds = [rarely(first.feed_url), rarely(second.feed_url)]
    with session_of(*feeds, read_content=read) as taker:
        assert is_reading.wait(WAIT_SECONDS)
        gate.release()
        taker.until(lambda taken: second.feed_url in taken.polls)
        may_go_on.set()
        taker.until(lambda taken: len(taken.outcomes) == 2)
    assert sorted(taker.outcomes.values()) == ["page", "same-page"]
    assert len(server.visits(first.page_path(1))) == 1


def test_a_page_that_the_dataset_has_is_not_asked_for(server: WebServer, site: FeedSite) -> None:
    site.publish(1, 2)
    recall = Remembered()
    recall.know(site.page_url(1))
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        taker.until(lambda taken: len(taken.outcomes) == 2)
    assert sorted(taker.outcomes.values()) == ["known", "page"]
    assert not server.visits(site.page_path(1))


def test_nothing_is_lost_or_doubled_whenever_a_session_dies(server: WebServer) -> None:
    site = FeedSite(server)
    site.publish(*range(6))
    recall, clock = Remembered(), Clock()
    given: list[Reading] = []
    taken: dict[int, int] = {}
    position = 0
    for life in range(4):  # each takes two batches, and what it took last is not committed
        with session_of(site.feed_url, recall=recall, clock=clock, taken=taken) as taker:
            taker.until(lambda one: len(one.batches) >= 2)
        given += taker.readings
        taken = dict(taker.batches[-1].taken)
        position += taker.position
        site.publish(10 + life)
        if life % 2:
            recall.commit(given, taker.batches[-1].watermark)
    with session_of(site.feed_url, recall=recall, clock=clock, taken=taken) as taker:
        taker.until(lambda one: len({page.origin for page in one.pages + _pages(given)}) == 10)
    origins = [page.origin for page in _pages(given) + taker.pages]
    assert sorted(origins) == sorted(set(origins))


def _pages(readings: list[Reading]) -> list[Page]:
    return [page for reading in readings for page in reading.pages]


# ── time ────────────────────────────────────────────────────────────────────────────────────────


def test_a_slow_host_holds_up_none_but_itself_and_not_the_watermark() -> None:
    with WebServers(2) as (slow, quick):
        sites = [FeedSite(slow), FeedSite(quick)]
        for site in sites:
            site.publish(1, 2)
        gate = slow.hold(sites[0].page_path(1))
        clock = Clock()
        with session_of(*(rarely(site.feed_url) for site in sites), clock=clock) as taker:
            gate.wait_for(1)
            taker.until(has_pages(3))
            clock.pass_by(500)
            before = taker.readings[-1].observed_at
            taker.until(lambda taken: taken.batches[-1].watermark > before + 400)
            gate.release()
            taker.until(has_pages(4))
    assert taker.pages[-1].observed_at >= before + 400


def test_an_answer_that_is_still_read_holds_the_watermark(site: FeedSite) -> None:
    site.publish(1)
    is_reading, may_go_on = threading.Event(), threading.Event()

    def read(content: bytes, url: str, observed_at: Timestamp) -> Iterator[Page]:
        is_reading.set()
        assert may_go_on.wait(WAIT_SECONDS)
        yield Page(url, url, "html", content, observed_at)

    clock = Clock()
    with session_of(rarely(site.feed_url), read_content=read, clock=clock) as taker:
        assert is_reading.wait(WAIT_SECONDS)
        clock.pass_by(500)
        watermark = taker.take().watermark
        may_go_on.set()
        taker.until(has_pages(1))
    assert watermark <= taker.pages[0].observed_at


@pytest.mark.parametrize("wobble_seconds", [0.0, 30.0])
def test_the_watermark_never_goes_back_and_no_reading_is_late(
    server: WebServer, wobble_seconds: float
) -> None:
    sites = [FeedSite(server, f"/{number}") for number in range(4)]
    for site in sites:
        site.publish(1, 2)
    clock = Clock(wobble_seconds=wobble_seconds)
    with session_of(*(site.feed_url for site in sites), clock=clock) as taker:
        taker.until(lambda taken: len(taken.batches) >= 30)
    watermark = Timestamp(0)
    for batch in taker.batches:
        assert all(reading.observed_at >= watermark for reading in batch.readings)
        assert batch.watermark >= watermark
        watermark = batch.watermark


def test_no_two_answers_have_one_key_though_the_clock_stands_still(site: FeedSite) -> None:
    site.publish(1)
    clock = Clock(wobble_seconds=30)
    with session_of(site.feed_url, clock=clock) as taker:
        taker.until(lambda taken: len(taken.polls) >= 20)
    keys = [key_of(reading) for reading in taker.readings]
    assert len(keys) == len(set(keys))


def test_nothing_is_observed_before_the_watermark_of_the_session_before(site: FeedSite) -> None:
    site.publish(1)
    with session_of(rarely(site.feed_url), since=NOON + 3_600) as taker:
        taker.until(has_pages(1))
    assert all(reading.observed_at > NOON + 3_600 for reading in taker.readings)


def test_a_clock_that_is_set_back_does_not_hold_the_watermark(site: FeedSite) -> None:
    clock = Clock()
    with session_of(rarely(site.feed_url), clock=clock) as taker:
        before = taker.take().watermark
        clock.pass_by(-86_400)
        taker.until(lambda taken: taken.batches[-1].watermark > before)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_happens_all_is_given_before_its_watermark_and_once(data: st.DataObject) -> None:
    """A runner that commits, loses bundles and workers, and clocks that are set."""
    steps = data.draw(st.lists(st.sampled_from(STEPS), min_size=4, max_size=14), "steps")
    with WebServer() as server, ExitStack() as lives:
        site, clock, recall = FeedSite(server), Clock(), Remembered()
        site.publish(0)
        taken: dict[int, int] = {}
        watermark, position = Timestamp(0), 0
        kept: list[Reading] = []
        committed = 0

        def live() -> Taker:
            return lives.enter_context(
                session_of(
                    *(site.feed_url,),
                    recall=recall,
                    clock=clock,
                    taken=taken,
                    position=position,
                    since=watermark,
                )
            )

        taker = live()

        def take() -> None:
            nonlocal watermark, position, taken
            batch = taker.take()
            assert all(reading.observed_at >= watermark for reading in batch.readings)
            assert batch.watermark >= watermark
            kept.extend(batch.readings)
            watermark, position, taken = batch.watermark, taker.position, dict(batch.taken)
            origins = [page.origin for page in pages_of(kept[committed:])]
            assert len(origins) == len(set(origins))

        for step in steps:
            if step == "publish":
                site.publish(len(site.items), has_text=len(site.items) % 2 == 0)
            elif step == "take":
                take()
            elif step == "commit":
                recall.commit(kept, watermark)
                committed = len(kept)
            elif step == "lose":  # a bundle, with the worker
                taker.take()
                lives.close()
                taker = live()
            elif step == "kill":
                lives.close()
                taker = live()
            else:
                clock.pass_by(-600 if step == "back" else 600)
        for _ in range(round(WAIT_SECONDS / 0.05)):
            if len({page.origin for page in pages_of(kept)}) == len(site.items):
                break
            take()
    assert len({page.origin for page in pages_of(kept)}) == len(site.items)


# ── what the next session begins with ───────────────────────────────────────────────────────────


def validators(server: WebServer, site: FeedSite) -> list[str | None]:
    """What each poll of a feed asked with."""
    return [visit.headers.get("if-none-match") for visit in server.visits(site.feed_path)]


@pytest.mark.parametrize("has_text", [False, True])
def test_a_killed_session_leaves_the_next_one_the_validators_of_the_last_commit(
    server: WebServer, site: FeedSite, has_text: bool
) -> None:
    site.publish(1, has_text=has_text)
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(lambda taken: bool(taken.polls))
    assert taker.readings[0].polled is not None
    assert taker.readings[0].polled.memory.etag
    recall = Remembered()  # nothing was committed
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        taker.until(has_pages(1))
        taker.take()
        taker.commit_to(recall)
    with session_of(site.feed_url, recall=recall) as taker:
        taker.until(lambda taken: bool(taken.polls))
    first, second, third, *_ = validators(server, site)
    assert (first, second) == (None, None)
    assert third


def test_what_an_engine_has_kept_of_a_killed_session_is_not_lost_to_a_feed_that_is_unchanged(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, 2)
    gate = server.hold(site.page_path(2))
    recall = Remembered()
    with session_of(rarely(site.feed_url), recall=recall) as before:
        gate.wait_for(1)
        before.until(has_pages(1))
    gate.release()
    taken = dict(before.batches[-1].taken)
    with session_of(site.feed_url, recall=recall, taken=taken, position=before.position) as after:
        after.until(has_pages(1))
        recall.commit(before.readings + after.readings, after.take().watermark)
        after.until(lambda taken: len(taken.polls) >= 3)
    assert [page.url for page in before.pages + after.pages] == [site.page_url(1), site.page_url(2)]


# ── what fails ──────────────────────────────────────────────────────────────────────────────────


def test_a_page_that_fails_is_tried_again_once_its_failure_is_committed(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    page = server._scripts[None, site.page_path(1)][0]
    server.sequence(site.page_path(1), [Answer(status=500), page])
    recall, clock = Remembered(), Clock()
    with session_of(rarely(site.feed_url), recall=recall, clock=clock) as taker:
        taker.until(lambda taken: len(taken.failures) == 1)
        clock.pass_by(7 * 3_600)
        recall.wait_for_looks(3)
        assert len(server.visits(site.page_path(1))) == 1
        taker.commit_to(recall)
        taker.until(has_pages(1))
    assert len(server.visits(site.page_path(1))) == 2
    (link,) = {one.fetched.link.origin for one in taker.readings if one.fetched}
    assert taker.outcomes == {link: "page"}


def test_a_page_is_not_tried_again_before_its_time(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    busy = Answer(status=503, headers={"Retry-After": "3600"})
    server.sequence(site.page_path(1), [busy])
    recall = Remembered()
    with session_of(rarely(site.feed_url), recall=recall, clock=Clock(0.001)) as taker:
        taker.until(lambda taken: len(taken.failures) == 1)
        taker.commit_to(recall)
        recall.wait_for_looks(5)
    assert len(server.visits(site.page_path(1))) == 1


def test_a_time_to_try_again_that_only_a_wrong_clock_can_have_set_is_not_waited_for(
    site: FeedSite,
) -> None:
    site.publish(1)
    link = LinkedItem(
        *(f"{site.feed_url}#1", site.page_url(1), site.feed_url, FeedItem(), "1" * 16, "2" * 12),
        attempts=1,
        retry_at=NOON + 365 * 86_400,
    )
    memory = FeedMemory(site.feed_url, polled_at=NOON - 60, due_at=NOON + 86_400, pending=(link,))
    recall = Remembered({site.feed_url: memory})
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        taker.until(has_pages(1))


def test_a_link_to_a_host_that_is_left_alone_for_now_is_followed_later(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, 2)
    page = server._scripts[None, site.page_path(2)][0]
    busy = Answer(status=429, headers={"Retry-After": "1"})
    server.sequence(site.page_path(2), [busy, page])
    with session_of(rarely(site.feed_url), settings=ONE_AT_A_TIME, clock=Clock(5)) as taker:
        taker.until(has_pages(1))
    assert [page.url for page in taker.pages] == [site.page_url(1)]
    assert len(server.visits(site.page_path(2))) == 1


def test_a_feed_that_fails_again_and_again_has_one_failure_in_a_commit(
    server: WebServer,
) -> None:
    url = server.url("/none.xml")
    recall, clock = Remembered(), Clock(step_seconds=3_600)
    with session_of(url, recall=recall, clock=clock) as taker:
        taker.until(lambda taken: len(taken.polls) >= 4)
        assert len(taker.failures) == 1
        assert account_of(taker.readings).faults == ()
        taker.commit_to(recall)
        committed = len(taker.readings)
        taker.until(lambda taken: len(taken.failures) == 2)
    assert account_of(taker.readings[committed:]).faults == ()


def test_a_bug_in_the_sessions_thread_is_raised_where_batches_are_taken(site: FeedSite) -> None:
    site.publish(1)

    def read(content: bytes, url: str, observed_at: Timestamp) -> Iterator[Page]:
        raise ZeroDivisionError(url)

    with session_of(rarely(site.feed_url), read_content=read) as taker:
        with pytest.raises(ZeroDivisionError, match="stories/1"):
            taker.until(has_pages(1))
        assert not taker.session.can_give(taker.position)
        assert not taker.session.can_give(taker.position - 1)


def test_while_the_dataset_is_out_of_reach_nothing_is_asked_and_the_watermark_goes_on(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, 2)
    recall, clock = Remembered(), Clock()
    gate = server.hold(site.feed_path)
    with session_of(rarely(site.feed_url), recall=recall, clock=clock) as taker:
        gate.wait_for(1)
        recall.is_away()
        gate.release()
        taker.until(lambda taken: bool(taken.polls))
        recall.wait_for_looks(3)
        before = taker.take().watermark
        clock.pass_by(500)
        assert taker.take().watermark >= before + 500
        assert server.paths == [site.feed_path]
        recall.is_away(False)
        taker.until(has_pages(2))


def test_a_session_that_begins_while_the_dataset_is_out_of_reach_waits_for_it(
    site: FeedSite,
) -> None:
    site.publish(1)
    recall = Remembered()
    recall.is_away()
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        recall.wait_for_looks(3)
        assert taker.take().readings == []
        recall.is_away(False)
        taker.until(has_pages(1))


def test_a_dataset_that_stays_out_of_reach_ends_it(site: FeedSite) -> None:
    recall = Remembered()
    recall.is_away()
    with (
        session_of(site.feed_url, recall=recall, reach_seconds=-1) as taker,
        pytest.raises(OutOfReachError, match="the store is away"),
    ):
        taker.take(WAIT_SECONDS)


def test_a_dataset_that_cannot_be_read_is_raised_too(site: FeedSite) -> None:
    class Broken(Remembered):
        def memories(self) -> dict[str, FeedMemory]:
            raise OSError("the store is gone")

    with (
        session_of(site.feed_url, recall=Broken()) as taker,
        pytest.raises(OSError, match="the store is gone"),
    ):
        taker.take(WAIT_SECONDS)


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────


def test_no_further_request_begins_while_too_much_waits_to_be_taken(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(*range(8))
    recall = Remembered()
    with session_of(
        rarely(site.feed_url), recall=recall, settings=ONE_AT_A_TIME, max_waiting_bytes=0
    ) as taker:
        taker.until(lambda taken: bool(taken.polls))
        for pages in range(1, 8):
            taker.until(has_pages(pages))
            recall.wait_for_looks(2)
            assert len([path for path in server.paths if "stories" in path]) <= pages + 1


def test_who_is_not_taken_from_asks_for_nothing(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    recall = Remembered()
    with session_of(site.feed_url, recall=recall, idle_seconds=-1):
        recall.wait_for_looks(3)
    assert not server.log


@pytest.mark.parametrize(
    "bound", [{"max_uncommitted_bytes": 0}, {"max_uncommitted_pages": 0}], ids=["bytes", "pages"]
)
def test_no_further_request_begins_while_too_much_is_not_committed(
    server: WebServer, site: FeedSite, bound: dict[str, int]
) -> None:
    site.publish(1, 2, 3)
    recall, clock = Remembered(), Clock()
    with session_of(
        rarely(site.feed_url), recall=recall, clock=clock, settings=ONE_AT_A_TIME, **bound
    ) as taker:
        for pages in (1, 2, 3):
            taker.until(has_pages(pages))
            before = taker.take().watermark
            clock.pass_by(60)
            recall.wait_for_looks(6)
            assert len([path for path in server.paths if "stories" in path]) == pages
            assert taker.take().watermark >= before + 60  # so that a window closes
            taker.commit_to(recall)


def test_no_more_requests_are_under_way_than_there_is_room_for_what_they_may_give() -> None:
    with WebServers(6) as servers:
        sites = [FeedSite(server) for server in servers]
        gates = [server.hold(site.feed_path) for server, site in zip(servers, sites, strict=True)]
        recall = Remembered()
        with session_of(
            *(rarely(site.feed_url) for site in sites),
            recall=recall,
            max_uncommitted_bytes=2 * PAGE_BYTES,
        ) as taker:
            recall.wait_for_looks(6)
            assert sum(len(server.log) for server in servers) <= 3
            for gate in gates:
                gate.release()
            taker.until(lambda taken: len(taken.polls) == 6)


def test_feeds_that_have_nothing_new_need_no_commit_to_be_asked_again(site: FeedSite) -> None:
    site.refresh()
    with session_of(site.feed_url, max_uncommitted_bytes=0, max_uncommitted_pages=0) as taker:
        taker.until(lambda taken: len(taken.polls) >= 5)


def test_what_was_given_before_a_restart_and_is_not_committed_counts(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    recall = Remembered()
    taken = dict.fromkeys(range(3), NOON.micros)
    feed = rarely(site.feed_url)
    with session_of(feed, recall=recall, taken=taken, max_uncommitted_pages=2) as taker:
        recall.wait_for_looks(6)
        assert not server.log
        recall.commit([], NOON + 1)
        taker.until(has_pages(1))


def test_a_feed_that_was_due_many_times_while_commits_were_behind_is_asked_once(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)
    recall, clock = Remembered(), Clock(0.001)
    feed = Subscription(site.feed_url, interval_seconds=600)
    with session_of(feed, recall=recall, clock=clock, max_uncommitted_pages=0) as taker:
        taker.until(has_pages(1))
        taker.take()
        clock.pass_by(6_000)
        recall.wait_for_looks(6)
        assert len(taker.polls) == 1
        taker.commit_to(recall)
        taker.until(lambda taken: len(taken.polls) == 2)
        recall.wait_for_looks(6)
    assert len(server.visits(site.feed_path)) == 2


def test_one_request_begins_now_and_then_though_no_commit_comes(site: FeedSite) -> None:
    site.publish(1, 2, 3)
    with session_of(rarely(site.feed_url), max_uncommitted_bytes=0, trickle_seconds=0) as taker:
        taker.until(has_pages(3))


def test_a_feed_is_not_starved_by_others_of_its_host(server: WebServer) -> None:
    sites = [FeedSite(server, f"/{number}") for number in range(5)]
    for site in sites:
        site.refresh()
    with session_of(*(one.feed_url for one in sites), settings=ONE_AT_A_TIME) as taker:
        taker.until(lambda taken: len(taken.polls) >= 30)
    assert {taker.polls.count(one.feed_url) for one in sites} <= {5, 6, 7}


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


def test_asked_to_end_it_gives_what_is_under_way_and_begins_nothing(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, 2, 3)
    gate = server.hold(site.page_path(3))
    recall = Remembered()
    with session_of(rarely(site.feed_url), recall=recall, settings=ONE_AT_A_TIME) as taker:
        gate.wait_for(1)
        recall.end()
        gate.release()
        taker.to_end()
    assert [page.url for page in taker.pages] == [site.page_url(3)]
    assert [batch.is_last for batch in taker.batches].count(True) == 1


def test_asked_to_end_it_does_though_too_much_is_not_committed(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1, 2, 3)
    recall = Remembered()
    with session_of(
        rarely(site.feed_url), recall=recall, settings=ONE_AT_A_TIME, max_uncommitted_bytes=0
    ) as taker:
        taker.until(has_pages(1))
        recall.end()
        taker.to_end()
    assert len(taker.pages) == 1


def test_a_session_that_nobody_takes_from_ends_by_itself(site: FeedSite) -> None:
    with session_of(site.feed_url, abandoned_seconds=-1) as taker:
        taker.session._thread.join(WAIT_SECONDS)
        assert not taker.session._thread.is_alive()
        assert not taker.session.can_give(0)
        with pytest.raises(SessionClosedError, match="nobody has taken a batch"):
            taker.take()


def test_the_last_batch_can_be_had_again(site: FeedSite) -> None:
    recall = Remembered()
    with session_of(rarely(site.feed_url), recall=recall) as taker:
        recall.end()
        taker.to_end()
        assert taker.session.take(taker.position - 1, 0) is taker.batches[-1]


def test_a_stream_that_was_to_end_before_asks_for_nothing(
    server: WebServer, site: FeedSite
) -> None:
    site.publish(1)

    class Over(Remembered):
        def is_over(self) -> bool:
            return True

    with session_of(site.feed_url, recall=Over()) as taker:
        taker.to_end()
    assert taker.readings == []
    assert not server.log


def test_closing_ends_the_thread_and_what_it_asks(server: WebServer, site: FeedSite) -> None:
    site.publish(1)
    gate = server.hold(site.page_path(1))
    with session_of(rarely(site.feed_url)) as taker:
        gate.wait_for(1)
    assert not taker.session._thread.is_alive()
    taker.session.close()  # again


def test_who_waits_for_a_batch_of_a_session_that_is_closed_is_told(site: FeedSite) -> None:
    with session_of(rarely(site.feed_url)) as taker:
        taker.until(lambda taken: bool(taken.polls))
    with pytest.raises(SessionClosedError):
        taker.until(has_pages(1))


# ── the account ─────────────────────────────────────────────────────────────────────────────────


def _json_feed(server: WebServer) -> str:
    items = [
        {"id": "1", "url": server.url("/stories/1"), "title": "One"},
        {"id": "2", "content_text": " ".join(make_story(2).paragraphs * 3)},
        {"id": "3", "title": "Neither link nor text"},
    ]
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "A", "items": items}
    server.set("/feed", json.dumps(feed), content_type="application/feed+json")
    return server.url("/feed")


def _discovered(server: WebServer) -> str:
    site = FeedSite(server)
    site.publish(1, 2)
    server.set(
        "/",
        f"<html><head><link rel=alternate type=application/rss+xml href='{site.feed_url}'></head>"
        "<body>Front page</body></html>",
    )
    return server.url("/")


def _moved(server: WebServer) -> str:
    site = FeedSite(server)
    site.publish(1, 2)
    server.redirect("/old", site.feed_url)
    server.redirect(site.page_path(2), site.page_url(1))
    return server.url("/old")


def _sitemap(server: WebServer) -> str:
    head = '<?xml version="1.0"?>'
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    index = f"{head}<sitemapindex {space}><sitemap><loc>{server.url('/a.xml.gz')}</loc></sitemap>"
    server.set("/index.xml", f"{index}</sitemapindex>", content_type="application/xml")
    urls = "".join(f"<url><loc>{server.url(f'/stories/{n}')}</loc></url>" for n in (1, 1, 2))
    listed = f"{head}<urlset {space}>{urls}</urlset>".encode()
    server.set("/a.xml.gz", gzip.compress(listed), content_type="application/gzip")
    return server.url("/index.xml")


def _in_a_circle(server: WebServer) -> str:
    """A feed whose items link to the feed, to nowhere, and to what no request may go to."""
    site = FeedSite(server)
    links = [site.feed_url, "mailto:desk@press.example", "", server.url("/gone"), "http://[bad"]
    items = "".join(f"<item><title>{link}</title><link>{link}</link></item>" for link in links)
    twice = f"<item><guid>x</guid><link>{server.url('/gone')}</link></item>" * 2
    feed = f'<rss version="2.0"><channel><title>A</title>{items}{twice}</channel></rss>'
    server.set(site.feed_path, feed, content_type="application/rss+xml")
    return site.feed_url


def _malformed(server: WebServer) -> str:
    server.set("/feed", "<rss", content_type="application/rss+xml")
    return server.url("/feed")


FEEDS = (_json_feed, _discovered, _moved, _sitemap, _in_a_circle, _malformed)


@pytest.mark.parametrize("make", FEEDS)
def test_the_account_of_all_that_a_feed_gives_balances(server: WebServer, make) -> None:
    for number in (1, 2):
        server.set(f"/stories/{number}", " ".join(make_story(number).paragraphs))
    with session_of(make(server), clock=Clock(600)) as taker:
        taker.until(lambda taken: len(taken.polls) >= 4)
    balance = account_of(taker.readings)
    assert balance.faults == ()
    assert balance.pages == len(taker.pages) + len(taker.failures)
