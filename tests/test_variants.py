"""What the benchmark of copies generates is what it says, and is scored as it should be."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict

import pytest

from benchmarks import dedup
from benchmarks.variants import (
    FAMILY_SIZES,
    GLUED,
    KINDS,
    Member,
    Text,
    base_articles,
    families,
    trimmed,
    variants_of,
)
from transforms.shingles import normalised_words

BASES = base_articles(30)


def bodies_of(kind: str) -> list[tuple[str, str]]:
    """(base, variant) of one kind."""
    return [
        (BASES[variant.bases[0]].body, variant.text.body)
        for variant in variants_of(BASES)
        if variant.kind == kind
    ]


def changed_share(before: str, after: str) -> float:
    pairs = list(zip(before.split(), after.split(), strict=True))
    return sum(one != other for one, other in pairs) / len(pairs)


def test_a_seed_makes_the_same_articles_again() -> None:
    assert base_articles(5, seed=7) == base_articles(5, seed=7)
    assert base_articles(5, seed=7) != base_articles(5, seed=8)
    assert list(variants_of(BASES[:2])) == list(variants_of(BASES[:2]))


def test_base_articles_are_as_long_as_news() -> None:
    words = [len(base.body.split()) for base in base_articles(320)]
    assert min(words) >= 80
    assert max(words) < 960
    assert all(len(base.body.split("\n\n")) >= 3 for base in BASES)


def test_base_articles_share_phrases_and_hardly_more() -> None:
    shingles = [dedup.shingles_of(base.body) for base in BASES]
    shared = [
        len(one & other) / min(len(one), len(other))
        for place, one in enumerate(shingles)
        for other in shingles[:place]
    ]
    assert max(shared) < 0.2
    assert 0 < sum(shared) / len(shared) < 0.04


def test_each_article_has_one_variant_of_each_kind() -> None:
    made = Counter((variant.kind, variant.bases[0]) for variant in variants_of(BASES))
    assert set(made) == {(kind, base) for kind in (*KINDS, GLUED) for base in range(len(BASES))}
    assert set(made.values()) == {1}


@pytest.mark.parametrize("kind", ["retitled", "comma"])
def test_some_variants_have_the_same_words(kind: str) -> None:
    for base, body in bodies_of(kind):
        assert normalised_words(body) == normalised_words(base)


def test_a_retitled_variant_has_another_title() -> None:
    for variant in variants_of(BASES):
        if variant.kind == "retitled":
            assert variant.text.title != BASES[variant.bases[0]].title


@pytest.mark.parametrize(("kind", "share"), [("3 % exact", 0.03), ("10 % exact", 0.10)])
def test_a_share_of_the_words_is_replaced(kind: str, share: float) -> None:
    for base, body in bodies_of(kind):
        assert changed_share(base, body) == pytest.approx(share, abs=0.012)


@pytest.mark.parametrize(("kind", "share"), [("3 % chance", 0.03), ("10 % chance", 0.10)])
def test_words_replaced_by_chance_are_that_share_on_average(kind: str, share: float) -> None:
    shares = [changed_share(base, body) for base, body in bodies_of(kind)]
    assert sum(shares) / len(shares) == pytest.approx(share, abs=0.02)
    assert min(shares) > 0


def test_a_trimmed_text_ends_with_a_sentence() -> None:
    body = "One two three. Four five six.\n\nSeven eight. Nine ten."
    assert trimmed(body, 0.8) == "One two three. Four five six.\n\nSeven eight."
    assert trimmed(body, 0.5) == "One two three."
    assert trimmed("One two three four.", 0.5) == "One two three four."


def test_a_text_that_goes_on_elsewhere_is_cut_within_a_sentence() -> None:
    for base, body in bodies_of("read more"):
        kept = body.replace("[...]", "…").split("…")[0].strip()
        assert base.startswith(kept)
        assert kept[-1] not in ".!?”"


def test_a_teaser_is_the_first_paragraph() -> None:
    for base, body in bodies_of("teaser"):
        assert base.split("\n\n")[0].endswith(body)
        assert 25 <= len(body.split()) <= 60


def test_a_reordered_text_has_the_same_paragraphs() -> None:
    for base, body in bodies_of("reordered"):
        assert body != base
        assert sorted(body.split("\n\n")) == sorted(base.split("\n\n"))


def test_a_glued_text_holds_both() -> None:
    for variant in variants_of(BASES):
        if variant.kind == GLUED:
            one, other = variant.bases
            assert one != other
            assert variant.text.body == f"{BASES[one].body}\n\n{BASES[other].body}"


def test_families_have_their_sizes_and_no_text_twice() -> None:
    members = list(families())
    by_family: dict[str, list[str]] = defaultdict(list)
    for member in members:
        by_family[member.family].append(member.text.body)
    assert {len(bodies) for bodies in by_family.values()} == set(FAMILY_SIZES)
    assert all(len(set(bodies)) == len(bodies) for bodies in by_family.values())


def test_the_texts_under_a_disclaimer_hold_it() -> None:
    family = [member.text.body for member in families() if member.family == "notice page 140 × 5"]
    notice, *stories = family
    assert len(notice.split()) in range(130, 165)
    assert all(notice in story and len(story) > len(notice) for story in stories)


def test_pairs_are_scored() -> None:
    score = dedup.score_pairs({(0, 1), (0, 2)}, {(0, 1), (3, 4), (5, 6), (7, 8)})
    assert (score.precision, score.recall) == (0.5, 0.25)
    assert score.f1 == pytest.approx(1 / 3)
    assert dedup.score_pairs(set(), {(0, 1)}).f1 == 0


def test_a_variant_is_found_in_the_cluster_of_one_of_its_bases() -> None:
    kinds = [("base", ()), ("base", ()), ("comma", (0,)), ("comma", (1,)), (GLUED, (0, 1))]
    found = dedup.recall_by_kind(["a", "b", "a", "a", "b"], kinds)
    assert found == {"comma": (1, 2), GLUED: (1, 1)}


def test_joins_are_false_within_families_and_across() -> None:
    text = Text("", "")
    members = [Member("form", "one", text)] * 3 + [Member("form", "two", text)]
    bare = dataclasses.replace(members[0], bare=True)
    other_bare = dataclasses.replace(members[3], bare=True)
    assert dedup.false_joins(["a", "a", "b", "b"], members) == {"one": 1, "across": 1}
    assert dedup.false_joins(["a", "a"], [bare, other_bare]) == {}
    assert dedup.false_joins(["a", "a"], [bare, members[1]]) == {"one": 1}


def test_the_stages_and_datasketch_and_the_rules_alone_find_plain_copies() -> None:
    texts = [*BASES[:4], *(Text("Another title", base.body) for base in BASES[:3])]
    articles = dedup.arriving(texts, seed=1)
    for clusters in (
        dedup.decide_staged(articles),
        dedup.decide_pure(articles),
        dedup.decide_datasketch(articles, 0.5),
    ):
        assert set(dedup.together(clusters)) == {(0, 4), (1, 5), (2, 6)}


def test_what_is_needed_and_missed_shows_in_the_exit_status(capsys) -> None:
    def run(decide: dedup.Decide) -> int:
        return dedup.main(["--only", "variants", "--bases", "4", "--alone"], decide)

    assert run(lambda articles: [article.origin for article in articles]) == 1
    assert "variants, wire credit: recall: 0.0000, needed 0.99" in capsys.readouterr().out
    each = len(KINDS) + 1
    by_base = [str(base) for base in (*range(4), *(place // each for place in range(4 * each)))]
    assert run(lambda articles: by_base) == 0
