"""When to ask a web server again: what it says of that, within bounds, and what to do if it fails.

Headers, what a feed says of itself, and how often it has failed → a moment. Nothing is asked here,
and no clock read: the moment it is now, and the chance in it, are arguments.

    >>> now = Timestamp.from_rfc3339("2026-11-20T09:30:00Z")
    >>> next_poll(now, interval_seconds=600, ttl_seconds=3600).to_rfc3339()
    '2026-11-20T10:30:00Z'
    >>> next_poll(now, interval_seconds=600, skip_hours=[9, 10]).to_rfc3339()
    '2026-11-20T11:00:00Z'
    >>> next_poll(now, interval_seconds=600, failures=3, jitter=0.5).to_rfc3339()
    '2026-11-20T10:30:00Z'
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from apache_beam.utils.timestamp import Timestamp

DAY_SECONDS = 86_400
MAX_HINT_SECONDS = DAY_SECONDS
"""How far a server's Cache-Control or Expires, or a feed's ttl, can put a poll off."""
MAX_RETRY_AFTER_SECONDS = 7 * DAY_SECONDS
"""How far a server's Retry-After can put a poll or an attempt off."""
LEAST_RETRY_SECONDS = 60
"""What is doubled with each failure from the second on, at least. After the first, which may be no
more than a hiccup, the next run asks again."""
MAX_BACKOFF_SECONDS = DAY_SECONDS
"""How long a feed that fails is left alone, but for its interval: it is never given up."""
RETIRED_SECONDS = 30 * DAY_SECONDS
"""When a feed that is gone (410) is asked again: servers err, too."""
MAX_ATTEMPTS = 5
"""How often a page is asked for before it is given up."""
MAX_AGE_SECONDS = 2 * DAY_SECONDS
"""How old a page is at least when it is given up: an outage may last."""
MAX_ATTEMPT_SECONDS = 6 * 3_600
"""How long a page that fails is left alone, unless its server asks for longer."""
MAX_STATED_SECONDS = 366 * DAY_SECONDS
"""What a larger number in a header is taken for."""

_HOUR_SECONDS = 3_600
_WEEK_HOURS = 7 * 24
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_MAX_DOUBLINGS = 40
_MICROS = 1_000_000
_DIRECTIVE = re.compile(r'([a-z][a-z-]*)\s*(?:=\s*(?:"([^"]*)"|([^\s,"]*)))?')


def parse_retry_after(value: str, now: datetime) -> float | None:
    """How many seconds a ``Retry-After`` header asks to wait (RFC 9110, 10.2.3).

    Args:
        value: of the header: seconds, or a date.
        now: aware; best the response's own ``Date``, so that a wrong clock does no harm.

    Returns:
        0 for a date in the past or a negative number, None for what is neither form.
    """
    text = value.strip()
    if re.fullmatch(r"-?[0-9]+", text):
        return 0.0 if text.startswith("-") else _seconds(text)
    moment = parse_http_date(text)
    if moment is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), float(MAX_STATED_SECONDS))


def freshness_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long a response may be taken to be the newest (RFC 9111, 4.2).

    Args:
        headers: names in lower case.
        now: aware; when the response came. Its own ``Date`` outranks it.

    Returns:
        Seconds from now, 0 where it may not be kept; None where nothing is said.
    """
    directives = _directives(headers.get("cache-control", ""))
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    age = _stated(headers.get("age")) or 0.0
    for name in ("max-age", "s-maxage"):
        stated = _stated(directives.get(name))
        if stated is not None:
            return max(0.0, stated - age)
    if "expires" not in headers:
        return None
    expires = parse_http_date(headers["expires"])
    if expires is None:  # RFC 9111, 5.3: an invalid date, such as 0, is one in the past
        return 0.0
    since = parse_http_date(headers.get("date", "")) or now
    fresh = (expires - since).total_seconds() - age
    return min(max(0.0, fresh), float(MAX_STATED_SECONDS))


def next_poll(
    now: Timestamp,
    *,
    interval_seconds: float,
    freshness_seconds: float | None = None,
    ttl_seconds: float | None = None,
    skip_hours: Collection[int] = (),
    skip_days: Collection[str] = (),
    retry_after_seconds: float | None = None,
    failures: int = 0,
    is_retired: bool = False,
    jitter: float = 0.0,
) -> Timestamp:
    """When a feed is due again, after it was asked now.

    After a success, the longer of its interval and what its server or the feed itself hints at,
    which counts for a day at most; moved to the first hour that the feed does not ask to skip,
    which is within a week. After a failure, what ``Retry-After`` says, for seven days at most; else
    a time that doubles with each failure from the second on, for a day at most; after the first,
    with the next run. Never before the interval is over.

    Args:
        now: when it was asked.
        interval_seconds: least time between two polls.
        freshness_seconds: of the response, as ``freshness_seconds`` gives it.
        ttl_seconds: RSS's ``ttl``, in seconds; or what the syndication module says.
        skip_hours: RSS's ``skipHours``: 0 to 23 in UTC; 24 is 0, others are passed over.
        skip_days: RSS's ``skipDays``: ``Monday`` … in any case; others are passed over.
        retry_after_seconds: of a failure, as ``parse_retry_after`` gives it.
        failures: how many polls have failed since the last success; 0 for a success now.
        is_retired: whether it answered 410 (Gone).
        jitter: from 0 up to, not including, 1; evenly spread, so that feeds that failed together
            are not asked together.
    """
    interval = max(0.0, interval_seconds)
    if is_retired:
        return _later(now, max(interval, RETIRED_SECONDS))
    if failures:
        return _later(now, max(interval, _backoff(interval, failures, retry_after_seconds, jitter)))
    hint = max(freshness_seconds or 0.0, ttl_seconds or 0.0)
    due = _later(now, max(interval, min(hint, MAX_HINT_SECONDS)))
    return _first_not_skipped(due, skip_hours, skip_days)


def next_attempt(
    now: Timestamp,
    attempts: int,
    *,
    age_seconds: float = math.inf,
    retry_after_seconds: float | None = None,
    jitter: float = 0.0,
) -> Timestamp | None:
    """When a page is to be asked for again; None if it is to be given up.

    Args:
        now: when it was asked for.
        attempts: how often, this time included.
        age_seconds: since when it is known: it is not given up before ``MAX_AGE_SECONDS``.
        retry_after_seconds: as ``parse_retry_after`` gives it.
        jitter: as for ``next_poll``.
    """
    if attempts >= MAX_ATTEMPTS and age_seconds >= MAX_AGE_SECONDS:
        return None
    wait = 0.0
    if attempts > 1:
        wait = _doubled(LEAST_RETRY_SECONDS, attempts, MAX_ATTEMPT_SECONDS, jitter)
    asked = min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS)
    return _later(now, max(wait, asked))


def parse_http_date(value: str) -> datetime | None:
    """A date of a header in UTC (RFC 9110, 5.6.7), or None for what is none."""
    try:
        moment = parsedate_to_datetime(value.strip())
    except (ValueError, TypeError, IndexError, OverflowError):  # what it raises for garbage
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # of a year that an offset moves out of the calendar
        return None


def _backoff(interval: float, failures: int, retry_after: float | None, jitter: float) -> float:
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER_SECONDS)
    if failures == 1:
        return 0.0
    base = max(interval, LEAST_RETRY_SECONDS)
    # Twice what is asked for, and between half and all of that: never before the interval.
    return _doubled(base, failures, max(MAX_BACKOFF_SECONDS, interval), jitter)


def _doubled(base: float, times: int, most: float, jitter: float) -> float:
    """``base`` doubled from the second time on, at most ``most``; between half of it and all."""
    whole = min(base * 2.0 ** min(max(0, times - 1), _MAX_DOUBLINGS), most)
    return whole * (0.5 + 0.5 * min(max(0.0, jitter), 1.0))


def _later(now: Timestamp, seconds: float) -> Timestamp:
    return Timestamp(micros=now.micros + round(seconds * _MICROS))


def _first_not_skipped(
    due: Timestamp, skip_hours: Collection[int], skip_days: Collection[str]
) -> Timestamp:
    hours = {hour % 24 for hour in skip_hours if 0 <= hour <= 24}
    days = {_DAYS.index(day.strip().lower()) for day in skip_days if day.strip().lower() in _DAYS}
    first = due.micros // (_HOUR_SECONDS * _MICROS)
    for hour in range(first, first + _WEEK_HOURS):
        if hour % 24 not in hours and (hour // 24 + _EPOCH_WEEKDAY) % 7 not in days:
            return max(due, Timestamp(micros=hour * _HOUR_SECONDS * _MICROS))
    return due


def _directives(value: str) -> dict[str, str]:
    """Of ``Cache-Control``, by lower-case names; of two with one name, the first."""
    directives: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(value.lower()):
        directives.setdefault(match[1], match[2] if match[2] is not None else match[3] or "")
    return directives


def _stated(value: str | None) -> float | None:
    text = (value or "").strip()
    return _seconds(text) if re.fullmatch(r"[0-9]+", text) else None


def _seconds(digits: str) -> float:
    return min(float(digits), float(MAX_STATED_SECONDS))
