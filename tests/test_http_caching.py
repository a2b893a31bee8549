"""When a server is asked again: pure decisions, so every case is one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from transforms.http_caching import (
    DAY_SECONDS,
    MAX_ATTEMPT_SECONDS,
    MAX_ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    MAX_STATED_SECONDS,
    RETIRED_SECONDS,
    freshness_seconds,
    next_attempt,
    next_poll,
    parse_retry_after,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
NOW = Timestamp.from_utc_datetime(NOON)


def waited(due: Timestamp) -> float:
    """Seconds from now."""
    return (due.micros - NOW.micros) / 1e6


# ── Retry-After ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", 0.0),
        ("9" * 500, float(MAX_STATED_SECONDS)),
        ("Fri, 20 Nov 2026 12:02:00 GMT", 120.0),
        ("Friday, 20-Nov-26 12:02:00 GMT", 120.0),
        ("Fri Nov 20 12:02:00 2026", 120.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 13:02:00 +0100", 120.0),
    ],
)
def test_retry_after_has_two_forms(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOON) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "soon", "1.5", "12 s", "٣", "Fri, 99 Nov 2026 12:02:00 GMT", "31 Dec 9999 23:00 -0500"],
)
def test_retry_after_that_is_neither_form_says_nothing(value: str) -> None:
    assert parse_retry_after(value, NOON) is None


@given(st.text(max_size=60))
def test_no_retry_after_raises_or_asks_for_the_past(value: str) -> None:
    seconds = parse_retry_after(value, NOON)
    assert seconds is None or 0.0 <= seconds <= MAX_STATED_SECONDS


@given(st.integers(0, MAX_STATED_SECONDS))
def test_both_forms_of_retry_after_say_the_same(seconds: int) -> None:
    date = format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, NOON) == parse_retry_after(str(seconds), NOON) == seconds


# ── freshness ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "max-age=600"}, 600.0),
        ({"cache-control": 'Max-Age="600", public'}, 600.0),
        ({"cache-control": "s-maxage=900"}, 900.0),
        ({"cache-control": "s-maxage=900, max-age=600"}, 600.0),
        ({"cache-control": "max-age=600", "age": "200"}, 400.0),
        ({"cache-control": "max-age=600", "age": "700"}, 0.0),
        ({"cache-control": "no-store, max-age=600"}, 0.0),
        ({"cache-control": 'no-cache="set-cookie", max-age=600'}, 0.0),
        ({"cache-control": "max-age=never"}, None),
        ({"expires": "Fri, 20 Nov 2026 12:10:00 GMT"}, 600.0),
        ({"expires": "0"}, 0.0),
        ({"expires": "Fri, 20 Nov 2026 12:10:00 GMT", "cache-control": "max-age=60"}, 60.0),
    ],
)
def test_freshness_is_what_the_headers_say(headers: dict[str, str], seconds: float) -> None:
    assert freshness_seconds(headers, NOON) == seconds


def test_a_server_with_a_wrong_clock_is_read_by_its_own() -> None:
    headers = {
        "date": "Tue, 20 Nov 2001 12:00:00 GMT",
        "expires": "Tue, 20 Nov 2001 12:05:00 GMT",
    }
    assert freshness_seconds(headers, NOON) == 300.0


@given(
    st.dictionaries(st.sampled_from(["cache-control", "age", "expires", "date"]), st.text()),
)
def test_no_header_makes_freshness_negative_or_raise(headers: dict[str, str]) -> None:
    fresh = freshness_seconds(headers, NOON)
    assert fresh is None or 0.0 <= fresh <= MAX_STATED_SECONDS


# ── polls ───────────────────────────────────────────────────────────────────────────────────────


def test_a_feed_is_due_after_its_interval() -> None:
    assert waited(next_poll(NOW, interval_seconds=900)) == 900


def test_the_longer_hint_counts() -> None:
    due = next_poll(NOW, interval_seconds=900, freshness_seconds=1_800, ttl_seconds=3_600)
    assert waited(due) == 3_600


def test_a_hint_that_is_shorter_than_the_interval_does_not_count() -> None:
    assert waited(next_poll(NOW, interval_seconds=900, freshness_seconds=60)) == 900


def test_a_hint_counts_for_a_day_at_most() -> None:
    due = next_poll(NOW, interval_seconds=900, ttl_seconds=365 * DAY_SECONDS)
    assert waited(due) == DAY_SECONDS


def test_an_interval_of_more_than_a_day_is_kept() -> None:
    assert waited(next_poll(NOW, interval_seconds=3 * DAY_SECONDS)) == 3 * DAY_SECONDS


def test_skipped_hours_are_waited_out() -> None:
    due = next_poll(NOW, interval_seconds=900, skip_hours=[12, 13])
    assert waited(due) == 2 * 3_600


def test_hour_24_is_midnight() -> None:
    due = next_poll(NOW, interval_seconds=12 * 3_600, skip_hours=[24])
    assert waited(due) == 13 * 3_600


def test_skipped_days_are_waited_out() -> None:
    due = next_poll(NOW, interval_seconds=900, skip_days=["Friday", "SATURDAY", "Blursday"])
    assert due == Timestamp.from_utc_datetime(datetime(2026, 11, 22, tzinfo=UTC))


def test_skipping_every_hour_is_skipping_none() -> None:
    assert waited(next_poll(NOW, interval_seconds=900, skip_hours=range(24))) == 900


def test_a_failing_feed_is_asked_less_and_less_often() -> None:
    waits = [
        waited(next_poll(NOW, interval_seconds=900, failures=failures)) for failures in range(2, 6)
    ]
    assert waits == [900, 1_800, 3_600, 7_200]


def test_a_feed_that_failed_once_is_asked_again_by_the_next_run() -> None:
    assert waited(next_poll(NOW, interval_seconds=0, failures=1)) == 0


def test_a_failing_feed_without_an_interval_waits_for_a_minute_at_least() -> None:
    assert waited(next_poll(NOW, interval_seconds=0, failures=2)) == 60


def test_a_feed_that_always_fails_is_still_asked_once_a_day() -> None:
    due = next_poll(NOW, interval_seconds=900, failures=10_000, jitter=1.0)
    assert waited(due) == DAY_SECONDS


def test_retry_after_outranks_the_backoff() -> None:
    due = next_poll(NOW, interval_seconds=900, failures=9, retry_after_seconds=7_200)
    assert waited(due) == 7_200


def test_retry_after_counts_for_seven_days_at_most() -> None:
    due = next_poll(NOW, interval_seconds=900, failures=1, retry_after_seconds=1e12)
    assert waited(due) == MAX_RETRY_AFTER_SECONDS


def test_a_retired_feed_is_asked_again_after_thirty_days() -> None:
    due = next_poll(NOW, interval_seconds=900, failures=4, is_retired=True)
    assert waited(due) == RETIRED_SECONDS


SECONDS = st.none() | st.floats(0, 1e15)
INTERVALS = st.floats(0, 60 * DAY_SECONDS)
JITTERS = st.floats(0, 1, exclude_max=True)


@given(
    interval=INTERVALS,
    freshness=SECONDS,
    ttl=SECONDS,
    hours=st.sets(st.integers(-5, 30)),
    days=st.sets(st.sampled_from(["monday", "Tuesday", "SUNDAY", "friday", "someday"])),
    jitter=JITTERS,
)
def test_a_success_is_followed_by_a_poll_within_bounds(
    *,
    interval: float,
    freshness: float | None,
    ttl: float | None,
    hours: set[int],
    days: set[str],
    jitter: float,
) -> None:
    due = next_poll(
        NOW,
        interval_seconds=interval,
        freshness_seconds=freshness,
        ttl_seconds=ttl,
        skip_hours=hours,
        skip_days=days,
        jitter=jitter,
    )
    week = 7 * DAY_SECONDS
    assert interval - 1e-6 <= waited(due) <= max(interval, DAY_SECONDS) + week + 1e-6


@given(interval=INTERVALS, failures=st.integers(1, 10**6), retry=SECONDS, jitter=JITTERS)
def test_a_failure_is_followed_by_a_poll_within_bounds(
    interval: float, failures: int, retry: float | None, jitter: float
) -> None:
    due = next_poll(
        NOW,
        interval_seconds=interval,
        failures=failures,
        retry_after_seconds=retry,
        jitter=jitter,
    )
    most = DAY_SECONDS if retry is None else MAX_RETRY_AFTER_SECONDS
    least = 60 if retry is None and failures > 1 else 0
    assert max(interval, least) - 1e-6 <= waited(due) <= max(interval, most) + 1e-6


# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def test_a_page_is_given_up_after_five_attempts() -> None:
    waits = [next_attempt(NOW, attempts, jitter=1.0) for attempts in range(1, MAX_ATTEMPTS + 1)]
    assert [due and waited(due) for due in waits] == [0, 120, 240, 480, None]


def test_a_page_is_not_asked_for_before_its_server_wants_it() -> None:
    due = next_attempt(NOW, 1, retry_after_seconds=4_000)
    assert due is not None
    assert waited(due) == 4_000


@given(attempts=st.integers(1, MAX_ATTEMPTS - 1), retry=SECONDS, jitter=JITTERS)
def test_an_attempt_is_within_bounds(attempts: int, retry: float | None, jitter: float) -> None:
    due = next_attempt(NOW, attempts, retry_after_seconds=retry, jitter=jitter)
    assert due is not None
    most = MAX_ATTEMPT_SECONDS if retry is None else MAX_RETRY_AFTER_SECONDS
    assert (60 if attempts > 1 else 0) <= waited(due) <= most
