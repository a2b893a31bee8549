"""Dates: machine-written ones, and those found in the lines of a text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import DateHint, PublicationDate
from transforms.dates import (
    DatelineDay,
    date_article,
    find_dates,
    is_calendar_word,
    parse_date_line,
    parse_metadata_date,
    previous_weekday,
)

NOON = Timestamp.from_rfc3339("2026-11-20T12:00:00Z")


def read(value: str) -> tuple[str, str] | None:
    found = parse_metadata_date(value, "meta", NOON)
    return (found.at.to_rfc3339(), found.precision) if found else None


def line_date(line: str) -> tuple[str, str] | None:
    date_line = parse_date_line(line)
    published = date_article([date_line], [], [], [], NOON)[0] if date_line else None
    return (published.at.to_rfc3339(), published.precision) if published else None


@pytest.mark.parametrize(
    ("value", "at", "precision"),
    [
        ("2024", "2024-01-01T00:00:00Z", "year"),
        ("2024-03", "2024-03-01T00:00:00Z", "month"),
        ("2024-03-05", "2024-03-05T00:00:00Z", "day"),
        ("20240305", "2024-03-05T00:00:00Z", "day"),
        ("2024/03/05", "2024-03-05T00:00:00Z", "day"),
        ("2024-03-05T10Z", "2024-03-05T10:00:00Z", "hour"),
        ("2024-03-05T10:20Z", "2024-03-05T10:20:00Z", "minute"),
        ("2024-03-05T23:20:10-05:00", "2024-03-06T04:20:10Z", "second"),
        ("20240305T102030+0100", "2024-03-05T09:20:30Z", "second"),
        ("2024-03-05 10:20:30 UTC", "2024-03-05T10:20:30Z", "second"),
        ("2024-03-05T24:00:00Z", "2024-03-06T00:00:00Z", "second"),
        ("Tue, 05 Mar 2024 10:20:30 EST", "2024-03-05T15:20:30Z", "second"),
        ("5 Mar 24 10:20 +0100", "2024-03-05T09:20:00Z", "minute"),
    ],
)
def test_a_machine_written_date_keeps_its_precision_and_becomes_utc(
    value: str, at: str, precision: str
) -> None:
    assert read(value) == (at, precision)


@pytest.mark.parametrize(
    "value", ["2024-03-05T10:20", "2024-03-05 10:20:30", "Tue, 05 Mar 2024 10:20:30 XYZ"]
)
def test_a_time_without_zone_says_no_more_than_its_day(value: str) -> None:
    assert read(value) == ("2024-03-05T00:00:00Z", "day")


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "24", "202403", "2024-13-01", "2024-02-30", "2024-00", "2024-03-00"),
        *("2024-03-05T10:61Z", "2024-03-05T10:00:99Z", "2024-03-05T10:00+19:00", "5 Foo 2024"),
        *("0001-01-01T00:00:00Z", "1599-12-31", "9" * 200),
    ],
)
def test_what_is_no_possible_date_is_none(value: str) -> None:
    assert read(value) is None


def test_no_date_is_in_the_future_of_its_observation() -> None:
    assert read("2026-11-20T12:00:00Z") is not None
    assert read("2026-11-20T12:00:01Z") is None
    assert read("2026-11-22") is None


def test_a_day_may_have_begun_earlier_at_the_publishers() -> None:
    assert read("2026-11-20") == ("2026-11-20T00:00:00Z", "day")
    assert read("2026-11-21") == ("2026-11-21T00:00:00Z", "day")
    early = Timestamp.from_rfc3339("2026-11-20T09:59:00Z")
    assert parse_metadata_date("2026-11-21", "meta", early) is None


@given(st.text(max_size=60))
def test_any_text_is_a_date_or_none(value: str) -> None:
    found = parse_metadata_date(value, "meta", NOON)
    assert found is None or isinstance(found, PublicationDate)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2026, 11, 19)),
    st.integers(min_value=-12 * 60, max_value=14 * 60),
)
def test_an_offset_never_changes_the_instant(moment: datetime, offset_minutes: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    local = (moment + timedelta(minutes=offset_minutes)).strftime("%Y-%m-%dT%H:%M:%S")
    found = read(f"{local}{sign}{minutes // 60:02}:{minutes % 60:02}")
    assert found == (moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "second")


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("Thursday, 4 June, 2020 - 07:15", "2020-06-04"),
        ("2024-01-03", "2024-01-03"),
        ("Published: 3 January 2024", "2024-01-03"),
        ("By Ann Lee | Updated on 3-Jan-2024 | 5 min read", "2024-01-03"),
        ("20:00, 29 Jan 2024", "2024-01-29"),
        ("Sept. 4, 2025", "2025-09-04"),
        ("3. Januar 2024", "2024-01-03"),
        ("14.05.2025, 20:28", "2025-05-14"),
        ("3 janvier 2024 à 10h30", "2024-01-03"),
        ("14 de enero de 2020", "2020-01-14"),
        ("14 января 2020 г., 10:30", "2020-01-14"),
        ("2020. január 14.", "2020-01-14"),
        ("2024年1月14日 10:20", "2024-01-14"),
        ("14 tháng 1, 2020", "2020-01-14"),
        ("14 जनवरी 2020", "2020-01-14"),
        ("١٤ يناير ٢٠٢٠", "2020-01-14"),
        ("14 มกราคม 2563", "2020-01-14"),
    ],
)
def test_a_date_line_is_read_in_the_languages_of_cldr(line: str, day: str) -> None:
    assert line_date(line) == (f"{day}T00:00:00Z", "day")


def test_a_date_line_with_time_and_zone_is_an_instant() -> None:
    assert line_date("Jan 3, 2024, 5:41 PM EST") == ("2024-01-03T22:41:00Z", "minute")


def test_a_date_line_that_is_a_month_is_a_month() -> None:
    assert line_date("March 2019") == ("2019-03-01T00:00:00Z", "month")


def test_day_and_month_as_numbers_count_only_in_an_order_beyond_doubt() -> None:
    assert line_date("14/01/2020") == ("2020-01-14T00:00:00Z", "day")
    assert line_date("01/14/2020") == ("2020-01-14T00:00:00Z", "day")
    assert line_date("03/04/2020") is None


def test_a_weekday_settles_the_order_of_day_and_month() -> None:
    assert line_date("Friday 03/04/2020") == ("2020-04-03T00:00:00Z", "day")
    assert line_date("Wednesday 03/04/2020") == ("2020-03-04T00:00:00Z", "day")


def test_a_date_with_a_wrong_weekday_is_none() -> None:
    assert line_date("Monday, 14 January, 2020") is None


def test_a_name_that_means_two_months_needs_a_weekday() -> None:
    assert line_date("7 listopada 2023") is None  # November in Polish, October in Croatian
    assert line_date("wtorek, 7 listopada 2023") == ("2023-11-07T00:00:00Z", "day")


@pytest.mark.parametrize(
    "line",
    [
        "The council met on 3 January 2024 to decide what to do about the bridge at the mill.",
        "Chapter 12",
        "© 3 January 2024 The Paper",
        "",
    ],
)
def test_a_sentence_or_a_notice_is_no_date_line(line: str) -> None:
    assert parse_date_line(line) is None


def test_the_rest_of_a_date_line_is_handed_on() -> None:
    date_line = parse_date_line("Ann Lee | 3 January 2024")
    assert date_line is not None
    assert date_line.rest == "Ann Lee"


def test_publication_comes_before_update() -> None:
    lines = [parse_date_line("Updated 4 Jan 2024"), parse_date_line("Published 3 Jan 2024")]
    published, hints = date_article([line for line in lines if line], [], [], [], NOON)
    assert published is not None
    assert published.at.to_rfc3339() == "2024-01-03T00:00:00Z"
    assert hints == (DateHint("2024-01-04", "date-line"),)


def test_a_weekday_is_resolved_against_the_full_date_beside_it() -> None:
    line = parse_date_line("Published on Wednesday | Updated Friday 5 January 2024")
    assert line is not None
    published, _ = date_article([line], [], [], [], NOON)
    assert published is not None
    assert (published.at.to_rfc3339(), published.source) == ("2024-01-03T00:00:00Z", "relative-day")


def test_a_date_line_comes_before_a_dateline() -> None:
    line = parse_date_line("3 January 2024")
    assert line is not None
    published, _ = date_article([line], [DatelineDay(1, 2, 2024)], [], [], NOON)
    assert published is not None
    assert published.source == "date-line"


def test_a_dateline_without_year_dates_nothing_by_itself() -> None:
    assert date_article([], [DatelineDay(3, 14)], [], [], NOON) == (None, ())


def test_a_dateline_takes_its_year_from_a_date_line() -> None:
    month = parse_date_line("March 2025")
    assert month is not None
    published, _ = date_article([month], [DatelineDay(3, 14)], [], [], NOON)
    assert published == PublicationDate(
        Timestamp.from_rfc3339("2025-03-14T00:00:00Z"), "day", "dateline"
    )


def test_captions_and_sentences_date_nothing_and_are_kept_as_hints() -> None:
    published, hints = date_article(
        [],
        [DatelineDay(5, 2)],
        ["The mill before the flood, May 2, 2019. (Photo: Bo Ek)"],
        ["It was built after the fire of 7 October 1923."],
        NOON,
    )
    assert published is None
    assert hints == (DateHint("2019-05-02", "caption"), DateHint("1923-10-07", "body"))


def test_a_date_in_the_future_is_not_even_a_hint() -> None:
    assert date_article([], [], ["Planned for 5 May 2031."], [], NOON) == (None, ())


@pytest.mark.parametrize("word", ["Tuesday", "الثلاثاء", "juillet", "Октября", "लेख"])
def test_words_of_the_calendar_are_known_in_every_language(word: str) -> None:
    assert is_calendar_word(word) == (word != "लेख")


def test_on_friday_means_the_last_one() -> None:
    sunday = datetime(2024, 1, 7, tzinfo=UTC).date()
    assert previous_weekday(4, sunday).isoformat() == "2024-01-05"
    assert previous_weekday(6, sunday) == sunday


@given(st.text(max_size=120))
def test_dates_are_found_at_their_place_in_any_text(text: str) -> None:
    mentions = find_dates(text)
    assert all(0 <= mention.start < mention.end <= len(text) for mention in mentions)


@given(
    st.dates(
        min_value=datetime(1990, 1, 1, tzinfo=UTC).date(),
        max_value=datetime(2026, 11, 1, tzinfo=UTC).date(),
    )
)
def test_a_day_written_out_is_read_back(day: datetime) -> None:
    for line in (
        day.strftime("%A, %d %B %Y"),
        day.strftime("%B %-d, %Y"),
        day.strftime("%d.%m.%Y"),
    ):
        found = line_date(line)
        assert found == (f"{day:%Y-%m-%d}T00:00:00Z", "day")
