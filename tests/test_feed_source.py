"""The head of a stream: what a runner keeps safe, and what it gets for it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from feed_site import FeedSite
from hypothesis import given
from hypothesis import strategies as st
from session_factory import NOON, SETTINGS, Clock, Remembered, session_of
from web_server import WebServer

from pipelines.recall import DatasetRecall, clock_now, stop_path
from schemas.records import (
    FeedItem,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    PolledFeed,
    Subscription,
)
from transforms.feed_session import Recall, SessionPlan
from transforms.feed_source import (
    _SESSIONS,
    Position,
    PositionTracker,
    ReadFeeds,
    ReadFeedsOutput,
    SourcePlan,
    _PositionCoder,
    _Positions,
    _ReadFeeds,
    _Sessions,
    key_of,
    units_of,
)
from transforms.given_away import Reading
from transforms.storage import LocalStore

LINK = LinkedItem("feed#1", "https://press.example/1", "feed", FeedItem(), "1" * 16, "2" * 12)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def site(server: WebServer) -> FeedSite:
    return FeedSite(server)


# ── positions ───────────────────────────────────────────────────────────────────────────────────

hashes = st.integers(-(1 << 63), (1 << 63) - 1)
positions = st.builds(
    Position,
    st.integers(0, 1 << 60),
    st.lists(st.tuples(hashes, st.integers(0, 1 << 60)), max_size=5).map(tuple),
    st.booleans(),
    st.integers(0, 1 << 60),
)


@given(positions)
def test_a_position_comes_back_from_its_bytes(position: Position) -> None:
    coder = _PositionCoder()
    assert coder.decode(coder.encode(position)) == position


def test_a_position_of_before_watermarks_were_kept_can_be_read() -> None:
    encoded = pickle.dumps((7, ((1, 2),), False))
    assert _PositionCoder().decode(encoded) == Position(7, ((1, 2),))


def test_a_batch_that_is_claimed_leaves_what_follows_to_somebody() -> None:
    tracker = PositionTracker(Position(3))
    assert tracker.try_claim(Position(4, ((1, 2),)))
    split = tracker.try_split(0)
    assert split == (Position(3, is_end=True), Position(4, ((1, 2),)))
    assert tracker.check_done()
    assert tracker.current_restriction() == Position(3, is_end=True)


def test_a_runner_may_take_a_checkpoint_but_not_go_on_beside_a_bundle() -> None:
    tracker = PositionTracker(Position(3))
    tracker.try_claim(Position(4))
    assert tracker.try_split(0.5) is None
    assert tracker.try_split(0) is not None


def test_nothing_can_be_claimed_or_split_after_a_split() -> None:
    tracker = PositionTracker(Position(3))
    tracker.try_claim(Position(4))
    tracker.try_split(0)
    assert not tracker.try_claim(Position(5))
    assert tracker.try_split(0) is None


def test_before_a_batch_is_claimed_nothing_can_be_split() -> None:
    assert PositionTracker(Position(3)).try_split(0) is None


@pytest.mark.parametrize("following", [None, Position(4)])
def test_what_is_neither_claimed_nor_left_to_somebody_is_noticed(
    following: Position | None,
) -> None:
    tracker = PositionTracker(Position(3))
    if following is not None:
        tracker.try_claim(following)
    with pytest.raises(ValueError, match="batches from 3 on are neither claimed nor left"):
        tracker.check_done()


def test_the_last_batch_ends_it() -> None:
    tracker = PositionTracker(Position(3))
    assert tracker.try_claim(Position(4, is_end=True))
    assert tracker.check_done()
    assert tracker.try_split(0) is None
    assert tracker.current_progress().fraction_completed == 1


@given(st.lists(st.sampled_from(["claim", "split", "end"]), max_size=6))
def test_each_batch_has_one_owner_whatever_a_runner_does(steps: list[str]) -> None:
    tracker, claimed = PositionTracker(Position(0)), []
    number = 0
    for step in steps:
        if step == "split":
            split = tracker.try_split(0)
            if split is not None:
                tracker = PositionTracker(split[1])
                assert split[1].number == number
        elif tracker.try_claim(Position(number + 1, is_end=step == "end")):
            claimed.append(number)
            number += 1
            if step == "end":
                assert not tracker.try_claim(Position(number + 1))
                break
    assert claimed == list(range(len(claimed)))


def test_draining_by_the_runner_leaves_the_rest_to_the_next_stream() -> None:
    assert _Positions().truncate(None, Position(3)) is None
    assert not PositionTracker(Position(3)).is_bounded()


# ── accounts ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "units"),
    [("page", 1), ("rejected", 1), ("failed", 1), ("known", 0), ("same-page", 0), ("deferred", 0)],
)
def test_a_link_gives_a_unit_where_a_page_or_failure_comes_of_it(outcome: str, units: int) -> None:
    reading = Reading(NOON, None, FetchedLink(LINK, outcome))
    assert units_of(reading) == units
    assert key_of(reading) == f"feed#1@{NOON.micros}"


def test_a_poll_gives_the_units_that_are_not_links() -> None:
    reading = Reading(NOON, PolledFeed(FeedMemory("feed"), listed=5, links=(LINK, LINK)))
    assert units_of(reading) == 3
    assert key_of(reading) == f"feed@{NOON.micros}"


def test_a_reading_of_nothing_is_a_bug() -> None:
    with pytest.raises(ValueError, match="a reading of nothing"):
        key_of(Reading(NOON))


# ── the sessions of a worker ────────────────────────────────────────────────────────────────────


def test_a_session_that_nobody_takes_from_is_closed_when_another_is_used(site: FeedSite) -> None:
    moments = iter([0.0, 60.0, 110.0, 200.0])
    sessions = _Sessions(clock=lambda: next(moments))
    with session_of(site.feed_url) as one, session_of(site.feed_url) as other:
        sessions.put("one", one.session)
        sessions.put("other", other.session)
        assert sessions.get("other") is other.session
        assert one.session._thread.is_alive()
        assert sessions.get("other") is other.session
        assert not one.session._thread.is_alive()


def test_a_session_that_another_takes_the_place_of_is_closed(site: FeedSite) -> None:
    sessions = _Sessions()
    with session_of(site.feed_url) as one, session_of(site.feed_url) as other:
        sessions.put("stream", one.session)
        sessions.put("stream", other.session)
        assert not one.session._thread.is_alive()
        assert sessions.get("stream") is other.session
        assert sessions.get("another") is None


# ── bundles ─────────────────────────────────────────────────────────────────────────────────────


class Bundles:
    """Carries out bundles of the reader, as a runner does."""

    def __init__(self, *feeds: str, recall: Remembered, stream_id: str) -> None:
        plan = SessionPlan(SETTINGS, _read_html, Clock(), look_seconds=0.01)
        subscriptions = [Subscription(url, interval_seconds=86_400) for url in feeds]
        self.stream_id = stream_id
        self._dofn = _ReadFeeds(SourcePlan(stream_id, subscriptions, plan, lambda: recall))

    def process(self, at: Position) -> Bundle:
        """One bundle."""
        tracker, watermark = PositionTracker(at), ManualWatermarkEstimator(None)
        view = _View(tracker)
        given = list(self._dofn.process(b"", view, watermark))
        return Bundle(given, view.rest, watermark.current_watermark())

    def until(self, at: Position, is_enough: Callable[[Bundle], bool]) -> tuple[Bundle, Position]:
        """Bundles one after the other until one is as wanted, and where that began."""
        for _ in range(40):
            bundle = self.process(at)
            if is_enough(bundle):
                return bundle, at
            assert bundle.rest is not None
            at = bundle.rest
        raise TimeoutError("no bundle is as wanted")


@dataclass
class Bundle:
    given: list[TimestampedValue | TaggedOutput]
    rest: Position | None
    watermark: Timestamp | None

    @property
    def pages(self) -> list[Page]:
        return [one.value for one in self.given if isinstance(one, TimestampedValue)]


class _View:
    """The tracker as a DoFn sees it."""

    def __init__(self, tracker: PositionTracker) -> None:
        self._tracker = tracker
        self.rest: Position | None = None

    def current_restriction(self) -> Position:
        return self._tracker.current_restriction()

    def try_claim(self, following: Position) -> bool:
        return self._tracker.try_claim(following)

    def defer_remainder(self, _: object) -> None:
        split = self._tracker.try_split(0)
        assert split is not None
        self.rest = split[1]


def _read_html(content: bytes, url: str, observed_at: Timestamp) -> list[Page]:
    return [Page(url, url, "html", content, observed_at)]


@pytest.fixture
def bundles(site: FeedSite, request: pytest.FixtureRequest) -> Iterator[Bundles]:
    site.publish(1, 2)
    name = request.node.name
    yield Bundles(site.feed_url, recall=Remembered(), stream_id=name)
    kept = _SESSIONS._kept.pop(name, None)
    if kept is not None:
        kept.session.close()


def has_pages(bundle: Bundle) -> bool:
    return bool(bundle.pages)


def test_a_bundle_that_is_tried_again_gives_the_same(bundles: Bundles) -> None:
    first, at = bundles.until(Position(0), has_pages)
    again = bundles.process(at)
    assert [page.origin for page in again.pages] == [page.origin for page in first.pages]
    assert again.rest == first.rest


def test_where_to_go_on_tells_what_was_taken_and_how_far_the_watermark_is(
    bundles: Bundles,
) -> None:
    bundle, _ = bundles.until(Position(0), has_pages)
    assert bundle.rest is not None
    assert bundle.rest.taken
    assert bundle.watermark == Timestamp(micros=bundle.rest.watermark_micros)


def test_a_worker_that_has_lost_its_session_begins_another_that_gives_nothing_again(
    bundles: Bundles, site: FeedSite
) -> None:
    seen: list[str] = []

    def has_both(bundle: Bundle) -> bool:
        seen.extend(page.origin for page in bundle.pages)
        return len(seen) == 2

    bundle, _ = bundles.until(Position(0), has_both)
    _SESSIONS._kept.pop(bundles.stream_id).session.close()
    site.publish(3)
    assert bundle.rest is not None
    later, _ = bundles.until(bundle.rest, has_pages)
    assert [page.origin for page in later.pages] == [site.page_url(3)]
    assert later.watermark is not None
    assert later.watermark.micros >= bundle.rest.watermark_micros


def test_a_runner_that_goes_back_to_before_gets_what_it_has_not_kept(
    bundles: Bundles, site: FeedSite
) -> None:
    first, at = bundles.until(Position(0), has_pages)
    bundle = first
    for _ in range(3):  # the session is ahead of what the runner has kept
        assert bundle.rest is not None
        bundle = bundles.process(bundle.rest)
    again, _ = bundles.until(at, has_pages)
    assert {page.origin for page in again.pages} <= {site.page_url(1), site.page_url(2)}
    assert again.pages


def test_the_watermark_is_never_set_back(bundles: Bundles) -> None:
    watermark = ManualWatermarkEstimator(NOON + 1e6)
    list(bundles._dofn.process(b"", _View(PositionTracker(Position(0))), watermark))
    assert watermark.current_watermark() == NOON + 1e6


# ── a pipeline ──────────────────────────────────────────────────────────────────────────────────


def _recall(folder: str, stream_id: str) -> Recall:
    return DatasetRecall(LocalStore(folder), stream_id, 86_400)


def test_a_stream_that_was_asked_to_end_before_it_began_ends(
    site: FeedSite, server: WebServer, tmp_path: Path
) -> None:
    site.publish(1)
    stream_id = f"ended-{tmp_path.name}"
    LocalStore(str(tmp_path)).write(stop_path(stream_id), b"")
    plan = SourcePlan(
        stream_id,
        [Subscription(site.feed_url)],
        SessionPlan(SETTINGS, _read_html, clock_now, look_seconds=0.01),
        partial(_recall, str(tmp_path), stream_id),
    )
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        read = pipeline | ReadFeeds(plan)
        assert isinstance(read, ReadFeedsOutput)
        assert not read.pages.is_bounded
    assert not server.log
