"""What makes one text a copy of another, and what does not, however much they share."""

from __future__ import annotations

import pytest
from edited_words import replaced, story

from schemas.records import Fingerprint
from transforms.fingerprints import fingerprint_article
from transforms.likeness import DEFAULT_THRESHOLD, copy_kind, likeness


@pytest.fixture
def kind_of(make_article):
    def kind(left: list[str], right: list[str], threshold: float = DEFAULT_THRESHOLD) -> str:
        prints: list[Fingerprint] = [
            fingerprint_article(make_article(" ".join(words), origin))
            for origin, words in (("a", left), ("b", right))
        ]
        forwards, backwards = (copy_kind(*prints, threshold), copy_kind(*prints[::-1], threshold))
        assert forwards == backwards
        return forwards

    return kind


def test_the_same_words_are_an_exact_copy(kind_of) -> None:
    assert kind_of(story(1), [word.upper() + "," for word in story(1)]) == "exact"


def test_different_stories_are_no_copies(kind_of) -> None:
    assert kind_of(story(1), story(2)) == ""


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("words", [80, 300, 900])
def test_a_text_with_some_words_replaced_is_a_near_copy(kind_of, share: float, words: int) -> None:
    assert kind_of(story(1, words), replaced(story(1, words), share)) == "near"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_the_beginning_of_a_text_is_an_abridged_copy(kind_of, share: float) -> None:
    assert kind_of(story(1), story(1)[: int(300 * share)]) == "abridged"


def test_a_teaser_may_end_in_words_of_its_own(kind_of) -> None:
    assert kind_of(story(1), [*story(1)[:30], "read", "more"]) == "abridged"


def test_a_passage_from_within_a_text_is_no_abridged_copy(kind_of) -> None:
    assert kind_of(story(1), story(1)[150:220]) == ""


def test_the_second_half_of_a_text_is_an_abridged_copy(kind_of) -> None:
    assert kind_of(story(1), story(1)[150:]) == "abridged"


def test_a_text_under_twenty_words_is_a_copy_of_equal_words_only(kind_of) -> None:
    assert kind_of(story(1, 19), story(1, 18)) == ""
    assert kind_of(story(1, 19), story(1, 19)) == "exact"


@pytest.mark.parametrize(("own", "shared"), [(300, 40), (100, 100), (60, 120), (60, 250)])
def test_different_stories_with_one_disclaimer_are_no_copies(
    kind_of, own: int, shared: int
) -> None:
    disclaimer = story(99, shared)
    assert kind_of(story(1, own) + disclaimer, story(2, own) + disclaimer) == ""


def weather(place: str, numbers: list[int]) -> list[str]:
    low, high, wind, rain, sea = numbers
    return (
        f"Weather for {place} this evening and tonight: mostly cloudy with some sunny spells and "
        f"the chance of a shower. Lows near {low} degrees and highs of {high} degrees. Winds from "
        f"the west at {wind} kilometres an hour, and a chance of rain of {rain} per cent. The sea "
        f"will be at {sea} degrees all along the coast, with moderate waves towards the evening."
    ).split()


def test_two_issues_of_a_form_differ_in_their_numbers(kind_of) -> None:
    first = weather("Harbour Town", [11, 19, 14, 40, 15])
    second = weather("Hill Town", [8, 23, 22, 10, 17])
    assert kind_of(first, second) == ""


def test_the_same_report_with_a_word_replaced_keeps_its_numbers(kind_of) -> None:
    report = weather("Harbour Town", [11, 19, 14, 40, 15])
    assert kind_of(report, [word.replace("mostly", "partly") for word in report]) == "near"


def test_a_changed_toll_does_not_make_another_story(kind_of) -> None:
    before = [*story(1), "killed", "12", "of", "340", "aboard", "on", "14", "May", "2026"]
    after = [*story(1), "killed", "17", "of", "340", "aboard", "on", "14", "May", "2026"]
    assert kind_of(before, after) == "near"


def test_a_story_told_anew_with_later_figures_is_a_near_copy(kind_of) -> None:
    words = replaced(story(1), 0.05)
    earlier, later = list(story(1)), list(words)
    for place, (was, now) in enumerate([("300", "320"), ("5,200", "5,400"), ("180", "180")]):
        earlier[80 * place + 20], later[80 * place + 20] = was, now
    assert kind_of(earlier, later) == "near"


def test_containment_is_of_the_smaller_set(make_article) -> None:
    whole = fingerprint_article(make_article(" ".join(story(1)), "a"))
    half = fingerprint_article(make_article(" ".join(story(1)[:150]), "b"))
    alike = likeness(whole, half)
    assert alike.containment == 1.0
    assert alike.jaccard == pytest.approx(148 / 298)
