"""What a reader has given away, until a commit has it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from session_factory import NOON

from schemas.records import (
    Failure,
    FeedItem,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    PolledFeed,
    SeenItem,
)
from transforms.given_away import PAGE_BYTES, Reading, Taken, Uncommitted


def page_reading(url: str, seconds: int) -> Reading:
    page = Page(url, url, "html", b"", NOON + seconds)
    link = LinkedItem(f"feed#{url}", url, "feed", FeedItem(), url, "1")
    return Reading(NOON + seconds, None, FetchedLink(link, "page"), (page,))


@given(st.dictionaries(st.text(max_size=9), st.integers(0, 99), max_size=9), st.integers(0, 99))
@settings(max_examples=50)
def test_what_is_committed_is_forgotten_and_nothing_else(
    seconds_of: dict[str, int], until: int
) -> None:
    taken = Taken()
    for url, seconds in seconds_of.items():
        taken.add(page_reading(url, seconds))
    taken.drop_before(NOON + until)
    after = Taken(taken.moments())
    for url, seconds in seconds_of.items():
        assert (url in after) == (seconds >= until)
    assert 5 not in after


def test_a_reading_is_as_large_as_its_content() -> None:
    reading = page_reading("u", 1)
    page = Page("u", "u", "html", b"x" * 10_000, NOON)
    assert reading._replace(pages=(page,)).size_bytes == reading.size_bytes + 10_000


def test_a_poll_is_as_large_as_what_it_remembers() -> None:
    def size_bytes(items: int) -> int:
        seen = (SeenItem("1" * 16, "1" * 12),) * items
        return Reading(NOON, PolledFeed(FeedMemory("feed", seen=seen), 0)).size_bytes

    assert size_bytes(1_000) > size_bytes(0) + 50_000


# ── how much is not committed ───────────────────────────────────────────────────────────────────


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 10_000)), max_size=20),
    st.lists(st.integers(0, 99), max_size=3),
)
@settings(max_examples=50)
def test_what_is_not_committed_is_counted_and_nothing_else(
    given_away: list[tuple[int, int]], commits: list[int]
) -> None:
    uncommitted, sizes = Uncommitted(), []
    for number, (seconds, size_bytes) in enumerate(given_away):
        page = Page("u", "u", "html", b"x" * size_bytes, NOON)
        reading = page_reading(str(number), seconds)._replace(pages=(page,))
        uncommitted.add(reading)
        sizes.append((seconds, reading.size_bytes))
    for until in commits:
        uncommitted.drop_before(NOON + until)
    left = [size for seconds, size in sizes if seconds >= max(commits, default=0)]
    assert (uncommitted.pages, uncommitted.size_bytes) == (len(left), sum(left))


def test_only_what_a_window_commits_at_its_end_is_counted() -> None:
    polled = PolledFeed(FeedMemory("feed"), listed=0)
    failure = Failure("failed", "poll", "timeout", "It did not answer.", "feed", "feed", NOON)
    uncommitted = Uncommitted()
    uncommitted.add(Reading(NOON, polled))
    assert uncommitted.size_bytes == 0
    uncommitted.add(Reading(NOON, polled, failures=(failure,)))
    assert uncommitted.size_bytes > 0
    assert uncommitted.pages == 1


def test_what_was_taken_before_counts_as_pages_of_unknown_size() -> None:
    taken = Taken()
    for seconds in range(4):
        taken.add(page_reading(str(seconds), seconds))
    uncommitted = Uncommitted(taken.moments())
    uncommitted.drop_before(NOON + 1)
    assert (uncommitted.pages, uncommitted.size_bytes) == (3, 3 * PAGE_BYTES)
