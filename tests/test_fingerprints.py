"""Fingerprints say how alike two texts are, whatever was done to their surface."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import SIGNATURE_LENGTH
from transforms.fingerprints import fingerprint_article
from transforms.shingles import (
    ANCHOR_WORDS,
    MIN_COMPARED_WORDS,
    WINNOWING_WINDOW,
    anchor_hashes,
    content_hash,
    minhash,
    name_hashes,
    normalised_words,
    number_hashes,
    shingle_hashes,
    word_hashes,
)

WORDS = [f"word{number}" for number in range(5_000)]
texts = st.lists(st.sampled_from(WORDS), min_size=0, max_size=120)


def test_case_spacing_and_typography_do_not_change_the_content_hash() -> None:
    plain = '"We\'ll meet again," said the minister - at 10:30.'
    printed = "“We’ll   meet\u00a0again,” said THE Minister — at 10:30."
    assert content_hash(normalised_words(plain)) == content_hash(normalised_words(printed))


def test_a_changed_word_changes_the_content_hash() -> None:
    assert content_hash(["five", "killed"]) != content_hash(["six", "killed"])


def test_scripts_without_spaces_are_compared_character_by_character() -> None:
    assert normalised_words("東京 news") == ["東", "京", "news"]


def shingles(words: list[str]) -> np.ndarray:
    return np.unique(shingle_hashes(word_hashes(words)))


def test_a_short_text_has_a_hash_but_nothing_to_be_met_by(make_article) -> None:
    fingerprint = fingerprint_article(make_article("too short to say much"))
    assert fingerprint.content_hash
    assert not fingerprint.signature
    assert not fingerprint.anchors


def test_shingles_stand_in_the_order_of_the_text(make_article) -> None:
    whole = fingerprint_article(make_article("one two three four five")).shingles
    beginning = fingerprint_article(make_article("one two three four")).shingles
    assert whole.startswith(beginning)
    assert len(whole) == 4 * 3


def test_numbers_are_words_that_begin_with_a_digit() -> None:
    words = normalised_words("On the 3rd of May 1,000 people, Covid19 or not")
    expected = normalised_words("3rd 1 000")
    assert number_hashes(words).tolist() == number_hashes(expected).tolist()
    assert len(number_hashes(words)) == 3


def test_names_are_words_with_a_capital_within_a_sentence() -> None:
    text = "Then Ada Lindqvist spoke, and ANNA too. Nobody asked.\n\nLater Émile came."
    within = "x Ada x Lindqvist x Anna x Émile"
    assert name_hashes(text).tolist() == name_hashes(within).tolist()


@pytest.mark.parametrize("words", range(MIN_COMPARED_WORDS, 40))
def test_the_beginning_of_a_text_shares_an_anchor_with_it(words: int) -> None:
    whole = anchor_hashes(word_hashes(WORDS[:300]))
    assert np.intersect1d(whole, anchor_hashes(word_hashes(WORDS[:words]))).size >= 1


def test_an_indic_word_keeps_its_vowel_signs() -> None:
    assert normalised_words("हिन्दी कि की") == ["हिन्दी", "कि", "की"]


@pytest.mark.parametrize(
    ("pointed", "plain"), [("مُحَمَّد", "محمد"), ("المـــدينة", "المدينة"), ("co\u00adop", "coop")]
)
def test_marks_that_not_every_publisher_writes_do_not_count(pointed: str, plain: str) -> None:
    assert normalised_words(pointed) == [plain]


def test_the_signature_has_its_documented_size(make_article) -> None:
    fingerprint = fingerprint_article(make_article(" ".join(WORDS[:MIN_COMPARED_WORDS])))
    assert len(fingerprint.signature) == 4 * SIGNATURE_LENGTH


def test_the_signature_is_the_one_that_older_datasets_hold() -> None:
    # Signatures are kept on disk: a change here would cut every dataset from its past.
    signature = minhash(shingles(normalised_words("the quick brown fox jumps over it")))
    assert signature[:4].tolist() == [159028395, 3120399847, 683670356, 107981990]


@pytest.mark.parametrize("kept", [0.9, 0.6, 0.3])
def test_equal_signature_places_estimate_the_jaccard_similarity(kept: float) -> None:
    chance = random.Random(7)
    words = [chance.choice(WORDS) for _ in range(600)]
    cut = words[: int(len(words) * kept)]
    a, b = shingles(words), shingles(cut)
    jaccard = np.intersect1d(a, b).size / np.union1d(a, b).size
    estimate = float((minhash(a) == minhash(b)).mean())
    assert estimate == pytest.approx(jaccard, abs=0.15)  # 3.4 standard errors of 128 places


@settings(max_examples=60)
@given(before=texts, after=texts, other_before=texts, other_after=texts, seed=st.integers(0, 999))
def test_a_shared_run_of_words_gives_a_shared_anchor(
    before: list[str], after: list[str], other_before: list[str], other_after: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    run = [chance.choice(WORDS) for _ in range(WINNOWING_WINDOW + ANCHOR_WORDS - 1)]
    one = anchor_hashes(word_hashes([*before, *run, *after]))
    other = anchor_hashes(word_hashes([*other_before, *run, *other_after]))
    assert np.intersect1d(one, other).size >= 1


def test_a_work_is_known_by_its_address_before_its_text(make_article) -> None:
    url = "https://example.org/a"
    first = fingerprint_article(make_article("one text", canonical_url=url))
    second = fingerprint_article(make_article("quite another", canonical_url=url))
    third = fingerprint_article(make_article("one text"))
    assert first.article_id == second.article_id != third.article_id


@pytest.mark.parametrize(
    "url",
    [
        "http://paper.example/a?id=7",
        "https://Paper.Example/a/?id=7",
        "https://paper.example/a?id=7#comments",
        "https://paper.example/a?utm_source=rss&id=7&fbclid=x",
    ],
)
def test_an_address_is_that_of_one_work_however_it_was_reached(make_article, url: str) -> None:
    plain = fingerprint_article(make_article("text", url="https://paper.example/a?id=7"))
    assert fingerprint_article(make_article("text", url=url)).article_id == plain.article_id


def test_the_id_of_a_work_is_the_one_that_older_datasets_hold(make_article) -> None:
    address = "https://paper.example/a?id=7"
    known = hashlib.sha256(f"url:{address}".encode()).hexdigest()[:32]
    assert fingerprint_article(make_article("text", url=address)).article_id == known


@pytest.mark.parametrize(
    "url",
    [
        "https://paper.example/a?id=8",
        "https://paper.example/b?id=7",
        "https://paper.example/A?id=7",
        "https://www.paper.example/a?id=7",
        "https://paper.example/a?id=7#!/b",
    ],
)
def test_another_address_is_that_of_another_work(make_article, url: str) -> None:
    plain = fingerprint_article(make_article("text", url="https://paper.example/a?id=7"))
    assert fingerprint_article(make_article("text", url=url)).article_id != plain.article_id


@pytest.mark.parametrize("odd", ["http://[", "no address", "mailto:a@b.example", "\x00", "//"])
def test_what_is_no_address_is_taken_as_it_stands(make_article, odd: str) -> None:
    assert fingerprint_article(make_article("text", url=odd)).article_id
