"""Copies are found within the horizon, verified, and settled the same way in any order."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import local_runner
from schemas.records import Assignment, Fingerprint, StagedBlock, Verdict
from transforms.deduplication import (
    MAX_PAIRED_BUCKET,
    AssignCopies,
    FindCandidates,
    bucket_keys,
    candidate_pairs,
    connected_components,
    copy_kind,
    likeness,
    lsh_shape,
    member_of,
    pack_keys,
    pairs_of_shard,
    representatives,
    settle_component,
)
from transforms.fingerprints import fingerprint_article
from transforms.staging import ref_of, write_prints
from transforms.storage import LocalStore

DAY_SECONDS = 86_400
VOCABULARY = [f"word{number}" for number in range(3_000)]


def story(seed: int, words: int = 300) -> list[str]:
    chance = random.Random(seed)
    return [chance.choice(VOCABULARY) for _ in range(words)]


@pytest.fixture
def make_fingerprint(make_article):
    def make(words: list[str], origin: str, *, day: float = 0, **fields) -> Fingerprint:
        observed_at = Timestamp(1_700_000_000 + day * DAY_SECONDS)
        article = make_article(" ".join(words), origin, observed_at=observed_at, **fields)
        return fingerprint_article(article)

    return make


def kind_of(left: Fingerprint, right: Fingerprint, threshold: float = 0.5) -> str:
    return copy_kind(likeness(left, right), left, right, threshold)


def by_origin(assignments: list[Assignment]) -> dict[str, tuple[str, str]]:
    return {a.origin: (a.kind, a.canonical_origin) for a in assignments}


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_lsh_meets_a_pair_at_the_threshold_almost_surely(threshold: float) -> None:
    bands, rows = lsh_shape(threshold)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.98


def test_same_words_are_an_exact_copy(make_fingerprint) -> None:
    assert kind_of(make_fingerprint(story(1), "a"), make_fingerprint(story(1), "b")) == "exact"


def test_a_few_changed_words_make_a_near_copy(make_fingerprint) -> None:
    changed = story(1)
    changed[50], changed[150] = "altered", "again"
    assert kind_of(make_fingerprint(story(1), "a"), make_fingerprint(changed, "b")) == "near"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_beginning_of_a_text_is_an_abridged_copy(make_fingerprint, share: float) -> None:
    cut = story(1)[: int(300 * share)]
    assert kind_of(make_fingerprint(story(1), "a"), make_fingerprint(cut, "b")) == "abridged"


def test_different_stories_with_the_same_notice_are_no_copies(make_fingerprint) -> None:
    notice = story(99, 40)
    one = make_fingerprint(story(1) + notice, "a")
    other = make_fingerprint(story(2) + notice, "b")
    assert kind_of(one, other) == ""


def test_components_are_named_by_their_least_member() -> None:
    components = connected_components([(4, 3), (2, 3), (8, 9)])
    assert components == {2: 2, 3: 2, 4: 2, 8: 8, 9: 8}


def test_the_fuller_row_is_canonical(make_fingerprint) -> None:
    bare = make_fingerprint(story(1), "a")
    credited = make_fingerprint(story(1), "b", authors=("Ada Writer",), title="A title")
    settled = by_origin(settle_component([bare, credited], 0.5))
    assert settled == {"b": ("canonical", "b"), "a": ("exact", "b")}


def test_a_whole_text_is_canonical_before_a_fuller_row_of_a_cut_one(make_fingerprint) -> None:
    whole = make_fingerprint(story(1), "a")
    cut = make_fingerprint(story(1)[:150], "b", authors=("Ada Writer",), title="A title")
    settled = by_origin(settle_component([whole, cut], 0.5))
    assert settled == {"a": ("canonical", "a"), "b": ("abridged", "a")}


def as_known(fingerprint: Fingerprint, article_id: str = "published") -> Fingerprint:
    return dataclasses.replace(
        fingerprint, table="articles", article_id=article_id, origin=f"known:{fingerprint.origin}"
    )


def test_a_row_of_the_dataset_stays_canonical(make_fingerprint) -> None:
    known = as_known(make_fingerprint(story(1), "a"))
    new = make_fingerprint(story(1), "b", authors=("Ada Writer",), title="A title")
    assert by_origin(settle_component([new, known], 0.5)) == {"b": ("exact", "known:a")}


def test_copies_of_a_copy_of_a_row_of_the_dataset_go_with_it(make_fingerprint) -> None:
    known = as_known(make_fingerprint(story(1), "a"))
    whole = make_fingerprint(story(1), "b")
    cut = make_fingerprint(story(1)[:150], "c")
    [first, second] = settle_component([whole, cut, known], 0.5)
    assert (first.kind, first.canonical_id) == ("exact", "published")
    assert (second.kind, second.canonical_id) == ("abridged", "published")


def test_a_copy_of_a_duplicate_in_the_dataset_points_to_what_that_copies(
    make_fingerprint,
) -> None:
    changed = story(1)
    changed[50] = "altered"
    duplicate = as_known(make_fingerprint(changed, "a"), article_id="its canonical row")
    [assignment] = settle_component([duplicate, make_fingerprint(changed, "b")], 0.5)
    assert (assignment.kind, assignment.canonical_id) == ("exact", "its canonical row")


def test_of_several_rows_of_the_dataset_the_exact_one_is_copied(make_fingerprint) -> None:
    changed = story(1)
    changed[50] = "altered"
    rows = [
        as_known(make_fingerprint(changed, "a"), "near"),
        as_known(make_fingerprint(story(1), "b"), "exact"),
    ]
    [assignment] = settle_component([*rows, make_fingerprint(story(1), "c")], 0.5)
    assert (assignment.kind, assignment.canonical_id) == ("exact", "exact")


def test_a_teaser_of_a_row_of_the_dataset_is_abridged(make_fingerprint) -> None:
    known = as_known(make_fingerprint(story(1), "a"))
    teaser = make_fingerprint(story(1)[:60], "b")
    assert by_origin(settle_component([known, teaser], 0.5)) == {"b": ("abridged", "known:a")}


def test_a_full_story_is_no_copy_of_its_teaser_in_the_dataset(make_fingerprint) -> None:
    known = as_known(make_fingerprint(story(1)[:60], "a"))
    full = make_fingerprint(story(1), "b")
    assert by_origin(settle_component([known, full], 0.5)) == {"b": ("canonical", "b")}


def test_a_changed_text_of_a_published_work_is_a_revision_and_keeps_its_copies(
    make_fingerprint,
) -> None:
    url = "https://example.org/story"
    first = make_fingerprint(story(1), "a", canonical_url=url)
    changed = story(1)
    changed[50] = "corrected"
    new = make_fingerprint(changed, "b", canonical_url=url, day=1)
    copy = make_fingerprint(changed, "c", day=1)
    known = as_known(first, article_id=first.article_id)
    settled = {a.origin: a for a in settle_component([known, new, copy], 0.5)}
    assert (settled["b"].kind, settled["b"].copies) == ("revision", 1)
    assert settled["c"].canonical_id == first.article_id


def test_a_teaser_does_not_join_two_stories_that_both_contain_it(make_fingerprint) -> None:
    teaser = story(3, 60)
    one = make_fingerprint(teaser + story(1), "a")
    other = make_fingerprint(teaser + story(2), "b")
    settled = by_origin(settle_component([one, other, make_fingerprint(teaser, "c")], 0.5))
    assert settled["a"][0] == settled["b"][0] == "canonical"
    assert settled["c"][0] == "abridged"


def test_a_text_seen_at_one_time_in_two_places_of_the_same_address_is_a_copy(
    make_fingerprint,
) -> None:
    changed = story(1)
    changed[50] = "cut"
    url = "https://example.org/story"
    page = make_fingerprint(story(1), "page.html", canonical_url=url)
    item = make_fingerprint(changed, "feed.xml#1", canonical_url=url)
    settled = by_origin(settle_component([page, item], 0.5))
    assert sorted(kind for kind, _ in settled.values()) == ["canonical", "near"]


def test_a_changed_text_seen_later_at_the_same_address_is_a_revision(make_fingerprint) -> None:
    changed = story(1)
    changed[50] = "corrected"
    url = "https://example.org/story"
    first = make_fingerprint(story(1), "a", canonical_url=url)
    second = make_fingerprint(changed, "b", canonical_url=url, day=1)
    settled = by_origin(settle_component([first, second], 0.5))
    assert {kind for kind, _ in settled.values()} == {"canonical", "revision"}


@given(order=st.permutations(range(7)))
@settings(max_examples=30, deadline=None)
def test_settling_does_not_depend_on_order(order: list[int]) -> None:
    members = _order_free_members()
    expected = by_origin(settle_component(members, 0.5))
    assert by_origin(settle_component([members[place] for place in order], 0.5)) == expected


def _order_free_members() -> list[Fingerprint]:
    from schemas.records import Article, Extraction

    def make(words: list[str], origin: str, title: str | None) -> Fingerprint:
        extraction = Extraction("test", "", 1.0, "utf-8")
        body = " ".join(words)
        article = Article(origin, origin, origin, body, Timestamp(0), extraction, title=title)
        return fingerprint_article(article)

    base = story(1)
    return [
        make(base, "a", None),
        make(base, "b", "title"),
        make(base[:140], "c", "title"),
        make(base[40:], "d", None),
        make(base[:250] + story(5, 40), "e", "title"),
        make(story(2), "f", "title"),
        make(story(2)[:200], "g", None),
    ]


def test_a_crowded_bucket_connects_its_members_at_linear_cost() -> None:
    members = [(number, number, number) for number in range(20 * MAX_PAIRED_BUCKET)]
    pairs = [(left[0], right[0]) for left, right in candidate_pairs(members, horizon_micros=10**9)]
    assert len(pairs) <= 10 * len(members)
    assert len(set(connected_components(pairs).values())) == 1


def test_a_crowd_of_copies_is_linked_as_comparing_all_with_all_would(make_fingerprint) -> None:
    chance = random.Random(11)
    wire = story(1)
    members = [make_fingerprint(wire, "z-wire")]
    for outlet in range(150):
        text = list(wire)
        for place in chance.sample(range(0, 300, 10), 10):
            text[place : place + 4] = [chance.choice(VOCABULARY) for _ in range(4)]
        members.append(make_fingerprint(text, f"outlet-{outlet:03}"))
    bands, rows = lsh_shape(0.5)
    texts = [(n, member_of(m), bucket_keys(m, bands, rows)) for n, m in enumerate(members)]
    linked = {
        (left, right)
        for left, right in pairs_of_shard([pack_keys(texts)], horizon_micros=1).tolist()
        if kind_of(members[left], members[right])
    }
    everything = {
        (left, right)
        for right in range(len(members))
        for left in range(right)
        if kind_of(members[left], members[right])
    }
    assert everything
    assert connected_components(linked) == connected_components(everything)


def test_exact_copies_meet_under_their_hash_alone() -> None:
    members = [(3, 5, 77), (1, 5, 77), (2, 5, 88), (4, 9, 77)]
    assert sorted(representatives(members)) == [(1, 5, 77), (2, 5, 88), (4, 9, 77)]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), blocks=st.integers(1, 5))
def test_how_texts_are_cut_into_blocks_does_not_show_in_the_pairs(
    data: st.DataObject, blocks: int
) -> None:
    """More texts with one key than are all paired, so that hubs have to be chosen."""
    chance = random.Random(7)
    texts = [
        (chance.getrandbits(60), number, number % 9, {2, 4, *chance.sample(range(6, 60, 2), 3)})
        for number in range(3 * MAX_PAIRED_BUCKET)
    ]
    expected = None
    for places in ([0] * len(texts), data.draw(st.lists(
        st.integers(0, blocks - 1), min_size=len(texts), max_size=len(texts)
    ))):  # fmt: skip
        parts: dict[int, list] = {}
        origin_of_ref = {}
        for place, (origin, observed, content, keys) in zip(places, texts, strict=True):
            ref = ref_of(place, len(parts.setdefault(place, [])))
            origin_of_ref[ref] = origin
            packed = np.array(sorted(keys), np.uint64)
            parts[place].append((ref, (origin, observed, content), packed))
        found = pairs_of_shard(map(pack_keys, parts.values()), horizon_micros=10**9)
        pairs = {frozenset(origin_of_ref[ref] for ref in pair) for pair in found.tolist()}
        expected = pairs if expected is None else expected
        assert pairs == expected


def staged(store: LocalStore, fingerprints: list[Fingerprint], number: int = 0) -> StagedBlock:
    """A block of fingerprints, as a slice of a run leaves it."""
    block = write_prints(store, "blocks", fingerprints)
    return dataclasses.replace(block, kind="articles", number=number)


def run(make_transform, blocks: list[StagedBlock], check) -> None:
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        created = pipeline | beam.Create(blocks).with_output_types(StagedBlock)
        whole = created | "Whole" >> beam.Map(lambda block: (block, b"")).with_output_types(
            tuple[StagedBlock, bytes]
        )
        assert_that(whole | make_transform(created), check)


def refs_in(packed: Iterable[tuple[int, bytes]]) -> set[tuple[int, int]]:
    return {
        tuple(pair)
        for _, pairs in packed
        for pair in np.frombuffer(pairs, "<i8").reshape(-1, 2).tolist()
    }


@settings(max_examples=12, deadline=None)
@given(
    start_hours=st.floats(0, 14 * 24),
    apart_hours=st.floats(0, 7 * 24),
)
def test_two_copies_within_the_horizon_meet_wherever_windows_end(
    start_hours: float, apart_hours: float
) -> None:
    fingerprints = [
        Fingerprint(
            origin=origin,
            article_id=origin,
            content_hash="0" * 64,
            source_uri=origin,
            observed_at=Timestamp(hours * 3600),
            word_count=5,
            signature=b"",
        )
        for origin, hours in (("a", start_hours), ("b", start_hours + apart_hours))
    ]

    def check(found: list[tuple[int, bytes]]) -> None:
        assert refs_in(found) == {(0, 1)}

    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        block = staged(store, fingerprints)
        run(lambda _: FindCandidates(store, horizon_seconds=7 * DAY_SECONDS), [block], check)


def test_copies_observed_further_apart_than_the_horizon_are_not_linked(
    make_fingerprint, tmp_path: Path
) -> None:
    store = LocalStore(str(tmp_path))
    block = staged(
        store,
        [
            make_fingerprint(story(1), "a", day=0),
            make_fingerprint(story(1), "b", day=7.01),
        ],
    )

    def check(found: list[tuple[int, bytes]]) -> None:
        assert refs_in(found) == set()

    run(lambda _: FindCandidates(store, horizon_seconds=7 * DAY_SECONDS), [block], check)


@pytest.mark.parametrize("cuts", [[5], [1, 4], [2, 2, 1], [1, 1, 1, 1, 1]])
def test_the_graph_gives_a_verdict_on_each_copy_and_on_what_it_copies(
    make_fingerprint, tmp_path: Path, cuts: list[int]
) -> None:
    changed = story(1)
    changed[50] = "altered"
    fingerprints = [
        make_fingerprint(story(1), "a", title="Title"),
        make_fingerprint(story(1), "b"),
        make_fingerprint(changed, "c"),
        make_fingerprint(story(1)[:60], "d"),
        make_fingerprint(story(2), "e"),
    ]
    store = LocalStore(str(tmp_path))
    remaining = iter(fingerprints)
    blocks, names = [], {}
    for number, size in enumerate(cuts):
        part = [next(remaining) for _ in range(size)]
        blocks.append(staged(store, part, number))
        names |= {ref_of(number, row): text.origin for row, text in enumerate(part)}

    def check(verdicts: list[Verdict]) -> None:
        found = sorted(
            (names[v.ref], v.kind, names.get(v.canonical_ref, ""), v.copies) for v in verdicts
        )
        assert found == [
            ("a", "canonical", "", 3),
            ("b", "exact", "a", 0),
            ("c", "near", "a", 0),
            ("d", "abridged", "a", 0),
        ]

    run(lambda created: AssignCopies(store, created), blocks, check)


def test_a_text_that_is_left_out_is_compared_with_none(make_fingerprint, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    block = staged(store, [make_fingerprint(story(1), "a"), make_fingerprint(story(1), "b")])

    def check(verdicts: list[Verdict]) -> None:
        assert verdicts == []

    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        blocks = pipeline | beam.Create([block]).with_output_types(StagedBlock)
        masked = blocks | "Mask" >> beam.Map(lambda one: (one, b"\1\0")).with_output_types(
            tuple[StagedBlock, bytes]
        )
        assert_that(masked | AssignCopies(store, blocks), check)
