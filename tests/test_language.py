"""The language of a text, and when there is none to tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.language import (
    MAX_TEXT_CHARACTERS,
    Identifier,
    Language,
    identify_language,
    load_identifier,
    normalise_language_tag,
)

GERMAN = "Der Stadtrat hat am Dienstag beschlossen, die alte Brücke über den Fluss zu sanieren."
ENGLISH = "The town council decided on Tuesday to repair the old bridge over the river."


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return load_identifier()


class Ranking:
    """An identifier that gives the probabilities it was made with."""

    def __init__(self, *ranking: tuple[str, float]) -> None:
        self.ranking = list(ranking)
        self.read: list[str] = []

    def rank(self, text: str) -> list[tuple[str, float]]:
        self.read.append(text)
        return self.ranking


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("en", ENGLISH),
        ("de", GERMAN),
        ("fr", "Le conseil municipal a décidé mardi de rénover le vieux pont sur la rivière."),
        ("ar", "قرر مجلس المدينة يوم الثلاثاء ترميم الجسر القديم فوق النهر في وسط المدينة."),
        ("ru", "Городской совет решил во вторник отремонтировать старый мост через реку."),
        (
            "tr",
            "Belediye meclisi salı günü nehrin üzerindeki eski köprünün onarılmasına karar verdi.",
        ),
        ("zh", "市议会星期二决定修复河上的旧桥，工程预计在明年春天完成，届时交通将恢复正常。"),
    ],
)
def test_reads_the_language_from_the_text(identifier: Identifier, code: str, body: str) -> None:
    language = identify_language(identifier, None, body, None)
    assert (language.code, language.source) == (code, "text")
    assert language.score > 0.5


@pytest.mark.parametrize("body", ["", "Live", "12:30 4-1 (2)", "!!! ??? ..."])
def test_tells_nothing_of_a_text_too_short(identifier: Identifier, body: str) -> None:
    assert identify_language(identifier, None, body, None) == Language(None, 0.0, "none")


def test_a_text_too_short_takes_the_declared_language_without_a_score(
    identifier: Identifier,
) -> None:
    assert identify_language(identifier, "Live", "", "de-AT") == Language("de", 0.0, "declared")


def test_the_text_outweighs_a_wrong_declaration(identifier: Identifier) -> None:
    assert identify_language(identifier, None, GERMAN * 3, "en").code == "de"


def test_the_declaration_decides_between_languages_that_the_text_leaves_open() -> None:
    close = Ranking(("bs", 0.6), ("hr", 0.35), ("sl", 0.05))
    assert identify_language(close, None, "a" * 50, "hr") == Language("hr", 0.35, "declared")


def test_a_text_that_no_language_fits_well_has_none() -> None:
    assert identify_language(Ranking(("en", 0.2), ("sw", 0.19)), None, "a" * 50, None).code is None


def test_what_is_not_language_has_none() -> None:
    assert identify_language(Ranking(("zxx", 0.9), ("en", 0.1)), None, "a" * 50, None).code is None


def test_spoken_varieties_count_for_the_written_language() -> None:
    language = identify_language(Ranking(("arz", 0.4), ("ar", 0.35)), None, "a" * 50, None)
    assert language.code == "ar"
    assert language.score == pytest.approx(0.75)


def test_reads_no_more_than_its_bound() -> None:
    ranking = Ranking(("en", 1.0))
    identify_language(ranking, "Title", "word " * MAX_TEXT_CHARACTERS, None)
    assert len(ranking.read[0]) == MAX_TEXT_CHARACTERS


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-GB", "en"),
        ("pt_BR", "pt"),
        ("DEU", "de"),
        ("iw", "he"),
        ("nb-NO", "no"),
        ("zh-Hant-TW", "zh"),
        ("x-default", None),
        ("und", None),
        ("English", None),
        ("", None),
        (None, None),
    ],
)
def test_reduces_declared_tags_to_codes(tag: str | None, code: str | None) -> None:
    assert normalise_language_tag(tag) == code


@given(st.text(max_size=60), st.one_of(st.none(), st.text(max_size=12)))
def test_any_text_and_tag_give_a_bounded_score(body: str, declared: str | None) -> None:
    language = identify_language(Ranking(("en", 0.7), ("fr", 0.3)), None, body, declared)
    assert 0.0 <= language.score <= 1.0
    assert (language.code is None) == (language.source == "none")
