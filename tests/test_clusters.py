"""How the texts of a component are settled: order-free, without chains, without swallowing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from apache_beam.utils.timestamp import Timestamp
from edited_words import replaced, story
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Article, Assignment, Extraction, Fingerprint
from transforms.clusters import choose_canonical, connected_components, settle_component
from transforms.fingerprints import fingerprint_article
from transforms.likeness import (
    DEFAULT_THRESHOLD,
    ComparedText,
    TextArrays,
    compare,
    have_own_passages,
    is_in,
    kind_of,
)

DAY_SECONDS = 86_400
URL = "https://paper.example/story"


@pytest.fixture
def text(make_article):
    def make(words: list[str], origin: str, *, day: float = 0, **fields) -> Fingerprint:
        observed_at = Timestamp(1_700_000_000 + day * DAY_SECONDS)
        article = make_article(" ".join(words), origin, observed_at=observed_at, **fields)
        return fingerprint_article(article)

    return make


def row(
    fingerprint: Fingerprint, article_id: str | None = None, table: str = "articles"
) -> Fingerprint:
    """The fingerprint as that of a row of the dataset."""
    return dataclasses.replace(
        fingerprint,
        table=table,
        article_id=article_id or fingerprint.article_id,
        origin=f"known:{fingerprint.origin}",
    )


def settle(*members: Fingerprint, **canonicals: Fingerprint) -> dict[str, tuple[str, str]]:
    """By origin, kind and what it is a copy of."""
    settled = settle_component(members, DEFAULT_THRESHOLD, canonicals)
    return {one.origin: (one.kind, one.canonical_origin) for one in settled}


# ── components ──────────────────────────────────────────────────────────────────────────────────


def test_components_are_named_by_their_least_member() -> None:
    links = np.array([(4, 3), (2, 3), (8, 9)])
    assert connected_components(links).tolist() == [[2, 2], [2, 3], [2, 4], [8, 8], [8, 9]]


def test_no_links_make_no_components() -> None:
    assert connected_components(np.empty((0, 2), np.int64)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.randoms())
def test_the_order_of_links_does_not_show(links: list[tuple[int, int]], chance) -> None:
    shuffled = [pair[:: chance.choice([1, -1])] for pair in links]
    chance.shuffle(shuffled)
    one, other = (
        connected_components(np.array(pairs, np.int64).reshape(-1, 2)).tolist()
        for pairs in (links, shuffled)
    )
    assert one == other


# ── the canonical text ──────────────────────────────────────────────────────────────────────────


def test_the_fuller_row_is_canonical(text) -> None:
    bare = text(story(1), "a")
    credited = text(story(1), "b", authors=("Ada Writer",), title="A title")
    assert settle(bare, credited) == {"b": ("canonical", "b"), "a": ("exact", "b")}


def test_a_whole_text_is_canonical_before_a_fuller_row_of_a_cut_one(text) -> None:
    whole = text(story(1), "a")
    cut = text(story(1)[:150], "b", authors=("Ada Writer",), title="A title")
    assert settle(whole, cut) == {"a": ("canonical", "a"), "b": ("abridged", "a")}


def test_the_text_that_most_others_were_made_from_is_canonical(text) -> None:
    original = text(story(1), "z")
    edited = [
        text(replaced(story(1), 0.1, seed), str(seed), title="A title", authors=("Ada Writer",))
        for seed in range(5)
    ]
    settled = settle(original, *edited)
    assert settled["z"] == ("canonical", "z")
    assert {settled[str(seed)] for seed in range(5)} == {("near", "z")}


def test_the_agency_that_others_credit_is_the_original(text) -> None:
    customer = text(story(1), "a", site="The Harbour Post", agency="Northwire")
    agency = text(story(1), "b", site="Northwire", agency="Northwire")
    assert choose_canonical([customer, agency], DEFAULT_THRESHOLD).origin == "b"


def test_of_equals_the_first_observed_is_canonical(text) -> None:
    texts = [text(story(1), "a", day=2), text(story(1), "b", day=1), text(story(1), "c", day=3)]
    assert choose_canonical(texts, DEFAULT_THRESHOLD).origin == "b"


# ── chains, forms and shared parts ──────────────────────────────────────────────────────────────


def test_a_copy_of_a_copy_that_is_none_of_the_canonical_text_starts_its_own_cluster(text) -> None:
    steps = [text(replaced(story(1), share), name) for name, share in (("b", 0.1), ("c", 0.3))]
    settled = settle(text(story(1), "a", title="The original"), *steps)
    assert settled == {"a": ("canonical", "a"), "b": ("near", "a"), "c": ("canonical", "c")}


def test_issues_of_a_form_are_articles_each(text) -> None:
    template = story(50, 160)
    issues = []
    for number in range(6):
        words = list(template)
        for slot, start in enumerate(range(10, 160, 25)):
            words[start : start + 4] = story(1_000 * number + slot + 1, 4)
        issues.append(text(words, str(number)))
    assert {kind for kind, _ in settle(*issues).values()} == {"canonical"}


def test_many_edited_copies_are_no_form(text) -> None:
    copies = [text(replaced(story(1), 0.03, seed), str(seed)) for seed in range(8)]
    kinds = [kind for kind, _ in settle(*copies).values()]
    assert sorted(kinds) == ["canonical"] + ["near"] * 7


def test_a_compilation_does_not_join_what_it_holds(text) -> None:
    one, other = story(1, 200), story(2, 180)
    settled = settle(text(one, "a"), text(other, "b"), text(one + other, "glued"))
    assert settled == {
        "a": ("canonical", "a"),
        "b": ("canonical", "b"),
        "glued": ("abridged", "a"),
    }


def test_a_briefing_that_is_kept_up_to_date_has_revisions(text) -> None:
    one, other = story(1, 200), story(2, 180)
    articles = [text(one, "a"), text(other, "b")]
    earlier = row(text(one + other, "morning", canonical_url=URL))
    later = text(one + other + story(3, 60), "noon", canonical_url=URL, day=0.2)
    assert settle(*articles, earlier, later)["noon"] == ("revision", "noon")


def test_obituaries_of_one_form_are_articles_each(text) -> None:
    form = (
        "{0} {1}, of {2}, died peacefully at home, the family said. Born in {3}, {0} worked for "
        "many years as a teacher at the school of {4} and sang in the choir of {5} church until "
        "the very last winter. A service will be held in the chapel on the hill, and after it all "
        "are welcome in the parish hall, where {6} will speak about a long life among friends."
    )
    people = [story(100 + number, 7) for number in range(2)]
    texts = [form.format(*(word.title() for word in names)).split() for names in people]
    settled = settle(*(text(words, str(number)) for number, words in enumerate(texts)))
    assert {kind for kind, _ in settled.values()} == {"canonical"}


def test_a_compilation_with_much_of_its_own_is_an_article(text) -> None:
    one, other = story(1, 100), story(2, 100)
    digest = one + story(3, 250) + other
    settled = settle(text(one, "a"), text(other, "b"), text(digest, "digest"))
    assert {kind for kind, _ in settled.values()} == {"canonical"}


def test_two_pages_of_one_article_are_parts_of_the_whole(text) -> None:
    whole = story(1, 400)
    settled = settle(
        text(whole, "whole", title="One title"),
        text(whole[:200], "page 1", title="One title"),
        text(whole[200:], "page 2", title="One title"),
    )
    assert settled["page 1"] == settled["page 2"] == ("abridged", "whole")


def test_a_teaser_goes_with_the_story_that_begins_as_it_does(text) -> None:
    teaser = story(1)[:40]
    settled = settle(text(story(1), "a"), text(teaser, "teaser"), text(story(2) + teaser, "b"))
    assert settled["teaser"] == ("abridged", "a")
    assert settled["b"] == ("canonical", "b")


def test_a_part_that_different_articles_share_is_no_copy_of_one(text) -> None:
    disclaimer = story(99, 120)
    articles = [text(story(number, 100) + disclaimer, str(number)) for number in (1, 2)]
    settled = settle(*articles, text(disclaimer, "disclaimer"))
    assert {kind for kind, _ in settled.values()} == {"canonical"}


def test_copies_of_a_shared_part_are_copies_of_each_other(text) -> None:
    disclaimer = story(99, 120)
    articles = [text(story(number, 100) + disclaimer, str(number)) for number in (1, 2)]
    settled = settle(*articles, text(disclaimer, "x"), text(disclaimer, "y"))
    assert settled["y"] == ("exact", "x")


# ── rows of the dataset ─────────────────────────────────────────────────────────────────────────


def test_a_row_of_the_dataset_stays_canonical(text) -> None:
    known = row(text(story(1), "a"))
    new = text(story(1), "b", authors=("Ada Writer",), title="A title")
    assert settle(new, known) == {"b": ("exact", "known:a")}


def test_a_full_story_is_no_copy_of_its_teaser_in_the_dataset(text) -> None:
    settled = settle(row(text(story(1)[:60], "a")), text(story(1), "b"))
    assert settled == {"b": ("canonical", "b")}


def test_a_teaser_of_a_row_of_the_dataset_is_abridged(text) -> None:
    settled = settle(row(text(story(1), "a")), text(story(1)[:60], "b"))
    assert settled == {"b": ("abridged", "known:a")}


def test_of_several_rows_of_the_dataset_the_exact_one_is_copied(text) -> None:
    rows = [row(text(replaced(story(1), 0.03), "near")), row(text(story(1), "same"))]
    assert settle(*rows, text(story(1), "b")) == {"b": ("exact", "known:same")}


def test_a_copy_of_a_known_copy_is_one_of_the_row_that_copies(text) -> None:
    original = row(text(story(1), "a"), "the row")
    copy = row(text(replaced(story(1), 0.03, 1), "b"), "the row", "duplicates")
    new = text(replaced(story(1), 0.03, 2), "c", day=8)
    [assignment] = settle_component([copy, new], DEFAULT_THRESHOLD, {"the row": original})
    assert (assignment.kind, assignment.canonical_id) == ("near", "the row")
    assert assignment.canonical_origin == "known:a"


def test_what_resembles_a_known_copy_alone_is_an_article(text) -> None:
    original = row(text(story(1), "a"), "the row")
    copy = row(text(replaced(story(1), 0.12, 1), "b"), "the row", "duplicates")
    drifted = text(replaced(replaced(story(1), 0.12, 1), 0.12, 2), "c", day=8)
    [assignment] = settle_component([copy, drifted], DEFAULT_THRESHOLD, {"the row": original})
    assert assignment.kind == "canonical"


def test_the_same_words_as_a_known_copy_need_no_other_proof(text) -> None:
    original = row(text(story(1)[:150] + story(2, 150), "a"), "the row")
    copy = row(text(story(1), "b"), "the row", "duplicates")
    [assignment] = settle_component(
        [copy, text(story(1), "c")], DEFAULT_THRESHOLD, {"the row": original}
    )
    assert (assignment.kind, assignment.canonical_id) == ("exact", "the row")


def test_the_likeness_of_a_copy_of_a_copy_is_that_to_the_row(text) -> None:
    original = row(text(story(1), "a"), "the row")
    copy = row(text(replaced(story(1), 0.03), "b"), "the row", "duplicates")
    again = text(replaced(story(1), 0.03), "c", day=8)
    [assignment] = settle_component([copy, again], DEFAULT_THRESHOLD, {"the row": original})
    assert assignment.kind == "near"
    assert assignment.similarity < 1


def test_nothing_becomes_a_copy_of_a_row_that_is_no_more(text) -> None:
    copy = row(text(story(1), "b"), "removed", "duplicates")
    assert settle(copy, text(story(1), "c")) == {"c": ("canonical", "c")}


# ── revisions ───────────────────────────────────────────────────────────────────────────────────


def test_a_changed_text_seen_later_at_the_same_address_is_a_revision(text) -> None:
    first = text(story(1), "a", canonical_url=URL)
    later = text(replaced(story(1), 0.03), "b", canonical_url=URL, day=1)
    assert settle(first, later) == {"a": ("canonical", "a"), "b": ("revision", "b")}


def test_a_text_seen_at_one_time_in_two_places_of_the_same_address_is_a_copy(text) -> None:
    first = text(story(1), "a", canonical_url=URL, title="One headline")
    other = text(replaced(story(1), 0.03), "b", canonical_url=URL)
    assert settle(first, other)["b"] == ("near", "a")


def test_a_work_that_lost_a_passage_is_a_revision_not_an_abridged_copy(text) -> None:
    known = row(text(story(1), "a", canonical_url=URL))
    cut = text(story(1)[:220], "b", canonical_url=URL, day=1)
    assert settle(known, cut) == {"b": ("revision", "b")}


def test_a_stub_of_a_work_seen_later_does_not_take_its_place(text) -> None:
    known = row(text(story(1), "a", canonical_url=URL))
    stub = text(story(1)[:120], "b", canonical_url=URL, day=1)
    assert settle(known, stub) == {"b": ("abridged", "known:a")}


def test_another_title_of_the_same_words_is_a_revision_of_the_work(text) -> None:
    known = row(text(story(1), "a", canonical_url=URL, title="One headline"))
    retitled = text(story(1), "b", canonical_url=URL, title="Another", day=1)
    assert settle(known, retitled) == {"b": ("revision", "b")}


def test_another_title_elsewhere_is_a_copy(text) -> None:
    known = row(text(story(1), "a", canonical_url=URL, title="One headline"))
    assert settle(known, text(story(1), "b", title="Another", day=1)) == {"b": ("exact", "known:a")}


def test_copies_of_a_revision_go_with_it(text) -> None:
    known = row(text(story(1), "a", canonical_url=URL))
    changed = replaced(story(1), 0.05)
    settled = settle(known, text(changed, "b", canonical_url=URL, day=1), text(changed, "c", day=1))
    assert settled == {"b": ("revision", "b"), "c": ("exact", "b")}


def test_many_texts_are_compared_as_two_are(text) -> None:
    bodies = [replaced(story(1), 0.01 * number, number) for number in range(12)]
    bodies += [story(1)[: 30 * number] for number in range(1, 9)]
    bodies += [story(number, 60) + story(99, 150) for number in range(2, 6)]
    bodies += [[*story(1)[:280], *(str(100 + seed + n) for n in range(6))] for seed in (0, 50)]
    texts = [ComparedText(text(words, str(number))) for number, words in enumerate(bodies)]
    arrays = TextArrays(texts)
    for place, one in enumerate(texts):
        held = np.array([is_in(one.shingles, other.shingles) for other in texts]).T
        alike, kinds = arrays.compare(place, held, DEFAULT_THRESHOLD)
        own_passages = arrays.have_own_passages(place).tolist()
        assert own_passages == [have_own_passages(one, other) for other in texts]
        for other, kind, together in zip(texts, kinds, alike, strict=True):
            by_two = compare(one, other)
            assert together == by_two
            left_out = kind == "near" and have_own_passages(one, other)
            assert ("" if left_out else kind) == kind_of(one, other, by_two, DEFAULT_THRESHOLD)


# ── order ───────────────────────────────────────────────────────────────────────────────────────


MIXED = 12


@pytest.fixture(scope="module")
def mixed() -> list[Fingerprint]:
    """All kinds of relations in one component."""
    one, other = story(1, 240), story(2, 200)
    bodies = [
        *(replaced(one, 0.04 * number, number) for number in range(4)),
        one[:120],
        one[:30],
        one + other,
        other,
        other,
        replaced(other, 0.08),
        story(3, 60) + one[100:],
        one[120:],
    ]
    extraction = Extraction("test", "test==1", 1.0, "utf-8")
    return [
        fingerprint_article(
            Article(
                origin=f"text {number}",
                page_origin="page",
                source_uri="file",
                body=" ".join(body),
                observed_at=Timestamp(1_700_000_000 + number % 3 * DAY_SECONDS),
                extraction=extraction,
                canonical_url=URL if number in (1, 3) else None,
            )
        )
        for number, body in enumerate(bodies)
    ]


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(MIXED)))
def test_settling_does_not_depend_on_order(order: list[int], mixed: list[Fingerprint]) -> None:
    expected = _by_origin(settle_component(mixed, DEFAULT_THRESHOLD))
    shuffled = [mixed[place] for place in order]
    assert _by_origin(settle_component(shuffled, DEFAULT_THRESHOLD)) == expected
    assert len(expected) == MIXED


def _by_origin(assignments: list[Assignment]) -> dict[str, Assignment]:
    return {assignment.origin: assignment for assignment in assignments}
