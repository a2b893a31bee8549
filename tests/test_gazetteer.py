"""Names of places and what they stand for, where that is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.gazetteer import Gazetteer, fold_name


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("US", "US"),
        ("U.S.", "US"),
        ("the United States", "US"),
        ("America", "US"),
        ("UK", "GB"),
        ("Britain", "GB"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Czechia", "CZ"),
        ("Czech Republic", "CZ"),
        ("Côte d’Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("Bosnia", "BA"),
        ("Palestine", "PS"),
        ("DR Congo", "CD"),
        ("St Lucia", "LC"),
    ],
)
def test_a_country_is_found_by_its_names(gazetteer: Gazetteer, name: str, code: str) -> None:
    place = gazetteer.lookup_place(name)
    assert place is not None
    assert place.id == f"iso3166:{code}"


def test_short_names_of_countries_count_in_capitals_only(gazetteer: Gazetteer) -> None:
    assert gazetteer.lookup_place("us") is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Baghdad", 98182),
        ("Moscow", 524901),
        ("Kiev", 703448),
        ("Sana’a", 71137),
        ("New York", 5128581),
        ("Islamabad", 1176615),
        ("New Delhi", 1261481),
        ("The Hague", 2747373),
    ],
)
def test_a_great_city_is_found_without_context(
    gazetteer: Gazetteer, name: str, number: int
) -> None:
    place = gazetteer.lookup_place(name)
    assert place is not None
    assert place.id == f"geonames:{number}"


@pytest.mark.parametrize("name", ["Springfield", "Birmingham", "Salem", "Odessa", "San Jose"])
def test_a_name_of_several_cities_is_none_without_context(gazetteer: Gazetteer, name: str) -> None:
    assert gazetteer.lookup_place(name) is None


@pytest.mark.parametrize(
    ("name", "country"), [("Birmingham", "GB"), ("Tripoli", "LY"), ("Odessa", "UA")]
)
def test_a_country_named_in_the_text_decides(gazetteer: Gazetteer, name: str, country: str) -> None:
    place = gazetteer.lookup_place(name, {country})
    assert place is not None
    assert place.country == country


def test_a_small_namesake_does_not_shake_a_great_city(gazetteer: Gazetteer) -> None:
    place = gazetteer.lookup_place("Moscow", {"US"})
    assert place is not None
    assert place.country == "RU"


def test_a_large_namesake_in_the_only_country_named_leaves_it_open(gazetteer: Gazetteer) -> None:
    assert gazetteer.lookup_place("London", {"CA"}) is None


@pytest.mark.parametrize(
    ("name", "qualifier", "country"),
    [
        ("Paris", "Texas", "US"),
        ("Moscow", "Idaho", "US"),
        ("Birmingham", "Ala.", "US"),
        ("London", "Ontario", "CA"),
        ("Newcastle", "Australia", "AU"),
    ],
)
def test_a_region_or_country_behind_the_name_binds_it(
    gazetteer: Gazetteer, name: str, qualifier: str, country: str
) -> None:
    place = gazetteer.lookup_place(name, (), qualifier)
    assert place is not None
    assert place.country == country


@pytest.mark.parametrize(("name", "country"), [("Nice", "FR"), ("Reading", "GB"), ("Split", "HR")])
def test_an_everyday_word_is_a_city_only_with_its_country(
    gazetteer: Gazetteer, name: str, country: str
) -> None:
    assert gazetteer.lookup_place(name) is None
    assert gazetteer.lookup_place(name, {country}) is not None


def test_georgia_is_open_in_a_text_on_the_united_states(gazetteer: Gazetteer) -> None:
    assert gazetteer.lookup_place("Georgia", {"US"}) is None
    assert gazetteer.lookup_place("Georgia", {"RU"}) is not None


def test_knows_which_country_a_nationality_belongs_to(gazetteer: Gazetteer) -> None:
    assert gazetteer.country_of_nationality("Iraqis") == "IQ"
    assert gazetteer.country_of_nationality("Swiss") == "CH"
    assert gazetteer.country_of_nationality("Islamist") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ka’lib", "Ka'lib"),
        ("São Paulo", "Sao Paulo"),
        ("the U.S.", "US"),
        ("St. Petersburg", "Saint Petersburg"),
        ("Port-au-Prince", "Port au Prince"),
        ("Łódź", "Lodz"),
    ],
)
def test_spellings_of_one_name_fold_alike(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


@given(st.text(max_size=40))
def test_folding_is_idempotent_but_for_what_it_expands(name: str) -> None:
    once = fold_name(name)
    assert once == once.strip()
    assert "  " not in once


@given(st.text(max_size=20), st.sets(st.sampled_from(["US", "FR", "SY"])))
def test_any_name_can_be_looked_up(name: str, countries: set[str]) -> None:
    Gazetteer({}, {}, {}, {}, frozenset()).lookup_place(name, countries)
