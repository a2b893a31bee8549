"""Bylines, datelines, credits and signatures, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.bylines import (
    is_desk_signature,
    is_photo_credit,
    parse_agency,
    parse_byline,
    parse_dateline,
    parse_reporting_credit,
)
from transforms.dates import DatelineDay


@pytest.mark.parametrize(
    ("line", "authors", "agency"),
    [
        ("By Ann Lee", ("Ann Lee",), None),
        ("By Ann Lee and Bo Ek, Reuters", ("Ann Lee", "Bo Ek"), "Reuters"),
        ("Von Anna Lehmann (dpa)", ("Anna Lehmann",), "dpa"),
        ("Por María José de la Cruz", ("María José de la Cruz",), None),
        ("Par Anne Le Goff avec AFP", ("Anne Le Goff",), "AFP"),
        ("Andrew Lee, Staff Writer", ("Andrew Lee",), None),
        ("By ANN LEE ann.lee@paper.example", ("ANN LEE",), None),
        ("Андрей Иванов", ("Андрей Иванов",), None),
        ("AFP/Reuters", (), "AFP/Reuters"),
        ("Associated Press", (), "AP"),
    ],
)
def test_a_byline_gives_authors_and_agency_apart(
    line: str, authors: tuple[str, ...], agency: str | None
) -> None:
    byline = parse_byline(line)
    assert byline is not None
    assert (byline.authors, byline.agency) == (authors, agency)


def test_a_byline_may_begin_with_places() -> None:
    byline = parse_byline("Paris, Rome - Ann Lee and The Morning Paper")
    assert byline is not None
    assert byline.place == "Paris, Rome"
    assert byline.authors == ("Ann Lee", "The Morning Paper")


def test_a_mere_name_is_a_byline_only_by_its_place() -> None:
    byline = parse_byline("Ann Lee")
    assert byline is not None
    assert not byline.explicit


@pytest.mark.parametrize(
    "line",
    [
        "Efforts to Keep the Bridge Open",
        "The council met on Monday.",
        "By 2030 the river will be clean",
        "",
        "x" * 500,
    ],
)
def test_other_lines_are_no_bylines(line: str) -> None:
    assert parse_byline(line) is None


def test_the_editors_of_a_dispatch_are_not_its_authors() -> None:
    credit = parse_reporting_credit("(Reporting by Ann Lee in Paris and Bo Ek; Editing by Cy Orr)")
    assert credit is not None
    assert credit.authors == ("Ann Lee", "Bo Ek")


@pytest.mark.parametrize(
    ("credit", "agency"),
    [
        ("(AFP)", "AFP"),
        ("Agence France-Presse", "AFP"),
        ("ANSA", "ANSA"),
        ("PTI", "PTI"),
        ("(Xinhua News Agency)", "Xinhua"),
        ("dpa/Reuters", "dpa/Reuters"),
        ("Anadolu Agency", "Anadolu"),
        ("a mill", None),
        ("spa", None),
    ],
)
def test_an_agency_has_one_short_name(credit: str, agency: str | None) -> None:
    assert parse_agency(credit) == agency


@pytest.mark.parametrize(
    ("line", "place", "agency", "day", "text"),
    [
        (
            "BAGHDAD, March 14 (Reuters) - Rain fell.",
            *("BAGHDAD", "Reuters", DatelineDay(3, 14), "Rain fell."),
        ),
        (
            "Baghdad, March 14 (AFP) Mar 14, 2025",
            *("Baghdad", "AFP", DatelineDay(3, 14, 2025), ""),
        ),
        ("LONDON — Rain fell.", "LONDON", None, None, "Rain fell."),
        ("Paris (AFP) – Rain fell.", "Paris", "AFP", None, "Rain fell."),
        ("TEL AVIV, Israel (AP) — Rain fell.", "TEL AVIV, Israel", "AP", None, "Rain fell."),
        (
            "São Paulo, 14 mar (EFE).- Rain fell.",
            "São Paulo",
            "EFE",
            DatelineDay(3, 14),
            "Rain fell.",
        ),
    ],
)
def test_a_dateline_gives_place_agency_and_day(
    line: str, place: str, agency: str | None, day: DatelineDay | None, text: str
) -> None:
    dateline = parse_dateline(line)
    assert dateline is not None
    assert (dateline.place, dateline.agency, dateline.day) == (place, agency, day)
    assert line[dateline.end :] == text


def test_a_code_in_the_brackets_of_a_dateline_is_an_agency_in_no_list() -> None:
    dateline = parse_dateline("BERGEN, May 2 (QXN) - Rain fell.")
    assert dateline is not None
    assert (dateline.place, dateline.agency) == ("BERGEN", "QXN")
    assert parse_agency("(QXN)") is None


@pytest.mark.parametrize("code", ["NOR", "UAE", "Oslo", "II"])
def test_a_country_or_a_word_in_those_brackets_is_none(code: str) -> None:
    dateline = parse_dateline(f"BERGEN, May 2 ({code}) - Rain fell.")
    assert dateline is not None
    assert dateline.agency is None


@pytest.mark.parametrize(
    "line", ["By Ann Lee, Health Correspondent", "Text: Ann Lee", "Ann Lee, Reporter"]
)
def test_a_role_behind_a_comma_leaves_the_name(line: str) -> None:
    byline = parse_byline(line)
    assert byline is not None
    assert (byline.authors, byline.explicit) == (("Ann Lee",), True)


@pytest.mark.parametrize("line", ["الثلاثاء", "Freitag", "14 lipca", "Aa Aa", "Monday Tuesday"])
def test_weekdays_months_and_buttons_name_nobody(line: str) -> None:
    assert parse_byline(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "The man - who came late - left early.",
        "Paris - and not only Paris - slept.",
        "Rain fell on Paris.",
        "",
    ],
)
def test_a_sentence_with_dashes_has_no_dateline(line: str) -> None:
    assert parse_dateline(line) is None


def test_initials_with_strokes_are_a_desk_signature() -> None:
    assert is_desk_signature("abc-de/fg")
    assert is_desk_signature("jm/abc")
    assert not is_desk_signature("rain")
    assert not is_desk_signature("Ann/Bo")


def test_a_photo_credit_is_told_by_its_label() -> None:
    assert is_photo_credit("Photo: Ann Lee")
    assert is_photo_credit("Foto: Bo Ek/dpa")
    assert not is_photo_credit("Photography is an art.")


@given(st.text(max_size=200))
def test_any_line_is_read_without_error(line: str) -> None:
    parse_byline(line)
    parse_dateline(line)
    parse_agency(line)
    parse_reporting_credit(line)
