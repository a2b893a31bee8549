"""Copies meet if they were observed within the horizon, once, whatever else there is."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from print_factory import VOCABULARY, staged, story

from pipelines.local import local_runner
from schemas.records import SIGNATURE_LENGTH, Fingerprint, StagedBlock
from transforms.buckets import HUBS, MAX_PAIRED_BUCKET, Span, candidate_pairs
from transforms.candidates import (
    FindCandidates,
    distinct_pairs,
    read_sections,
    shards_for,
    write_sections,
)
from transforms.clusters import connected_components
from transforms.fingerprints import fingerprint_article
from transforms.likeness import ComparedText, compare
from transforms.staging import ref_of
from transforms.storage import LocalStore
from transforms.text_keys import (
    ANCHOR,
    BAND,
    CONTENT,
    KEY_COLUMNS,
    TEXT,
    KeyedTexts,
    differing_places,
    join_texts,
    key_texts,
    kind_of,
    lsh_shape,
    most_differing_places,
)

THRESHOLD = 0.45
DAY = 86_400 * 1_000_000
HORIZON = 7 * DAY
SPAN = Span(0, HORIZON, most_differing_places(THRESHOLD))


@pytest.fixture
def make_print(make_article):
    """Make a fingerprint of words; ``micros`` is when they were observed."""

    def make(words: Sequence[str], origin: str, micros: int = 0) -> Fingerprint:
        article = make_article(" ".join(words), origin, observed_at=Timestamp(micros=micros))
        return fingerprint_article(article)

    return make


def table_of(prints: Sequence[Fingerprint]) -> pa.Table:
    rows = [
        {
            "origin": one.origin,
            "content_hash": one.content_hash,
            "observed_micros": one.observed_at.micros,
            "signature": one.signature,
            "anchors": one.anchors,
        }
        for one in prints
    ]
    return pa.table({name: [row[name] for row in rows] for name in KEY_COLUMNS})


def keyed(prints: Sequence[Fingerprint]) -> KeyedTexts:
    """Texts with their keys; a text's reference is its place."""
    return key_texts(table_of(prints), np.arange(len(prints)), *lsh_shape(THRESHOLD))


def with_keys(texts: Sequence[tuple[int, int, set[int]]]) -> KeyedTexts:
    """Texts of (observed at, content, keys); reference and origin are their place."""
    rows = np.zeros(len(texts), TEXT)
    for place, (observed, content, _) in enumerate(texts):
        rows[place] = (place, observed, content, place, 0)
    pairs = [(key, place) for place, (_, _, keys) in enumerate(texts) for key in sorted(keys)]
    keys, owners = zip(*pairs, strict=True)
    return KeyedTexts(rows, np.array(keys, np.uint64), np.array(owners, np.int64))


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return set(map(tuple, pairs.tolist()))


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("threshold", [0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_lsh_meets_a_pair_at_the_threshold_almost_surely(threshold: float) -> None:
    bands, rows = lsh_shape(threshold)
    assert bands * rows <= SIGNATURE_LENGTH
    assert 1 - (1 - threshold**rows) ** bands >= 0.98


def test_a_text_has_a_key_for_its_content_each_band_and_each_anchor(make_print) -> None:
    one = make_print(story(1), "a")
    kinds = kind_of(keyed([one]).keys).tolist()
    assert kinds.count(CONTENT) == 1
    assert kinds.count(BAND) == lsh_shape(THRESHOLD)[0]
    assert kinds.count(ANCHOR) == len(one.anchors) // 8


def test_a_short_text_has_the_key_of_its_content_alone(make_print) -> None:
    texts = keyed([make_print(story(1), "a"), make_print(story(2, 19), "b")])
    assert kind_of(texts.keys[texts.owners == 1]).tolist() == [CONTENT]


def test_a_row_of_which_no_prints_are_known_has_the_key_of_its_content_alone(make_print) -> None:
    table = table_of([make_print(story(1), "a")])
    for name in ("signature", "anchors"):
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array([None], pa.large_binary())
        )
    keys = key_texts(table, np.zeros(1, np.int64), *lsh_shape(THRESHOLD)).keys
    assert kind_of(keys).tolist() == [CONTENT]


def test_the_keys_of_a_text_do_not_depend_on_those_beside_it(make_print) -> None:
    prints = [make_print(story(1), "a"), make_print(story(2, 5), "b"), make_print(story(3), "c")]
    together = keyed(prints)
    for place, one in enumerate(prints):
        alone = keyed([one])
        assert alone.keys.tolist() == together.keys[together.owners == place].tolist()
        assert alone.texts[0]["sketch"].tolist() == together.texts[place]["sketch"].tolist()


@pytest.mark.parametrize("threshold", [0.4, 0.45, 0.5, 0.6, 0.8])
def test_the_sketches_of_a_pair_at_the_threshold_are_near_almost_surely(threshold: float) -> None:
    chance = np.random.default_rng(1)
    pairs = 20_000
    left = chance.integers(0, 4, (pairs, SIGNATURE_LENGTH))
    other = chance.integers(0, 4, (pairs, SIGNATURE_LENGTH))
    right = np.where(chance.random(left.shape) < threshold, left, other)
    differing = (left != right).sum(axis=1)
    assert (differing <= most_differing_places(threshold)).mean() >= 0.99


def test_sketches_tell_a_copy_from_another_story(make_print) -> None:
    changed = story(1)
    changed[50], changed[150] = "altered", "again"
    words = [story(1), changed, story(2)]
    sketches = keyed([make_print(text, str(n)) for n, text in enumerate(words)]).texts["sketch"]
    near, far = differing_places(sketches[[0, 0]], sketches[[1, 2]]).tolist()
    assert near <= most_differing_places(THRESHOLD) < far


# ── buckets ─────────────────────────────────────────────────────────────────────────────────────


def test_what_shares_a_key_is_a_pair_once() -> None:
    texts = with_keys([(0, 1, {4, 8}), (0, 2, {4, 8}), (0, 3, {12})])
    assert as_set(candidate_pairs(texts, SPAN)) == {(0, 1)}


def test_texts_that_meet_under_a_band_alone_are_a_pair_if_their_sketches_are_near() -> None:
    texts = with_keys([(0, 1, {4 | BAND}), (0, 2, {4 | BAND}), (0, 3, {4 | BAND})])
    texts.texts["sketch"][2] = 2**64 - 1
    assert as_set(candidate_pairs(texts, SPAN)) == {(0, 1)}


def test_texts_that_meet_under_an_anchor_are_a_pair_whatever_their_sketches() -> None:
    texts = with_keys([(0, 1, {4 | ANCHOR}), (0, 2, {4 | ANCHOR})])
    texts.texts["sketch"][1] = 2**64 - 1
    assert as_set(candidate_pairs(texts, SPAN)) == {(0, 1)}


def test_a_pair_counts_in_the_span_whose_first_half_its_earlier_text_lies_in() -> None:
    texts = with_keys([(HORIZON - 1, 1, {4}), (HORIZON, 2, {4}), (HORIZON + 1, 3, {4})])
    later = with_keys([(HORIZON, 2, {4}), (HORIZON + 1, 3, {4})])
    assert as_set(candidate_pairs(texts, SPAN)) == {(0, 1), (0, 2)}
    assert as_set(candidate_pairs(later, SPAN)) == set()
    assert as_set(candidate_pairs(later, SPAN.starting(HORIZON))) == {(0, 1)}


def test_a_crowd_is_joined_at_linear_cost() -> None:
    crowd = with_keys([(number * DAY // 100, number, {4}) for number in range(640)])
    pairs = candidate_pairs(crowd, SPAN)
    assert len(pairs) <= (4 * HUBS + 1) * 640
    assert len(set(connected_components(pairs)[:, 0].tolist())) == 1


def test_a_crowd_of_copies_is_linked_as_comparing_all_with_all_would(make_print) -> None:
    """One wire, of which 150 outlets rewrite other parts: they resemble it, not one another."""
    chance = random.Random(11)
    wire = story(1)
    members = [make_print(wire, "z-wire")]
    for outlet in range(150):
        text = list(wire)
        for place in chance.sample(range(0, 300, 10), 10):
            text[place : place + 4] = [chance.choice(VOCABULARY) for _ in range(4)]
        members.append(make_print(text, f"outlet-{outlet:03}"))
    compared = [ComparedText(member) for member in members]

    def are_near(left: int, right: int) -> bool:
        return compare(compared[left], compared[right]).jaccard >= 0.5

    linked = [pair for pair in candidate_pairs(keyed(members), SPAN).tolist() if are_near(*pair)]
    everything = [pair for pair in itertools.combinations(range(151), 2) if are_near(*pair)]
    assert len(everything) >= 150
    found, expected = (connected_components(np.array(some)) for some in (linked, everything))
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("apart", [0, 1, DAY // 100])
def test_two_thousand_exact_copies_are_joined_by_as_many_pairs(make_print, apart: int) -> None:
    copies = [make_print(story(1), str(n), n * apart) for n in range(2)]
    keys = keyed(copies[:1])
    texts = np.repeat(keys.texts, 2_000)
    texts["ref"] = texts["origin"] = np.arange(2_000)
    texts["observed_micros"] = np.arange(2_000) * apart % HORIZON
    crowd = KeyedTexts(
        texts, np.tile(keys.keys, 2_000), np.repeat(np.arange(2_000), keys.keys.size)
    )
    pairs = candidate_pairs(crowd, SPAN)
    assert len(pairs) == 1_999
    assert len(set(connected_components(pairs)[:, 0].tolist())) == 1


def test_a_near_copy_meets_the_first_or_last_of_many_exact_copies() -> None:
    """One horizon after the last of them: whichever else stood in would be too far away."""
    copies = [(number, 7, {4 | ANCHOR, 28 | CONTENT}) for number in range(100)]
    pairs = candidate_pairs(with_keys([*copies, (HORIZON + 99, 8, {4 | ANCHOR})]), SPAN)
    assert (99, 100) in as_set(pairs)


def test_a_disclaimer_in_many_texts_costs_no_more_for_each_where_there_are_more() -> None:
    shared = {number * 4 | ANCHOR for number in range(1, 17)}
    each = []
    for count in (500, 4_000):
        texts = with_keys([(number % 7, number, shared) for number in range(count)])
        each.append(len(candidate_pairs(texts, SPAN)) / count)
    assert each[1] <= 1.1 * each[0] <= 1.1 * (4 * HUBS + 1)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(3 * MAX_PAIRED_BUCKET)), seed=st.integers(0, 3))
def test_the_order_of_texts_does_not_show_in_the_pairs(order: list[int], seed: int) -> None:
    """More texts with one key than are all paired, so that hubs have to be chosen."""
    chance = random.Random(seed)
    texts = with_keys(
        [
            (number * DAY // 7, number % 50, {4, 10, *chance.sample(range(16, 64, 4), 3)})
            for number in range(len(order))
        ]
    )
    texts.texts["sketch"] = np.random.default_rng(seed).integers(0, 2**40, (len(order), 4))
    places = np.argsort(order)
    shuffled = KeyedTexts(texts.texts[order], texts.keys[::-1], places[texts.owners[::-1]])
    assert as_set(candidate_pairs(shuffled, SPAN)) == as_set(candidate_pairs(texts, SPAN))


# ── key files ───────────────────────────────────────────────────────────────────────────────────


def test_the_shards_of_a_key_file_hold_each_key_once_with_its_text(
    make_print, tmp_path: Path
) -> None:
    store = LocalStore(str(tmp_path))
    texts = keyed([make_print(story(seed, 40 * seed), str(seed)) for seed in range(1, 6)])
    sections = dict(write_sections(store, "a.keys", texts, shards=7))
    read = [read_sections(store, [section]) for section in sections.values()]

    def owned(some: KeyedTexts) -> list[tuple[int, bytes]]:
        rows = [some.texts[owner].tobytes() for owner in some.owners.tolist()]
        return sorted(zip(some.keys.tolist(), rows, strict=True))

    assert owned(join_texts(read)) == owned(texts)
    assert len({key for part in read for key in set(part.keys.tolist())}) == sum(
        len(set(part.keys.tolist())) for part in read
    )


@pytest.mark.parametrize(
    ("texts", "shards"), [(0, 4), (500, 4), (1_000_000, 40), (1_000_000_000, 1024)]
)
def test_shards_follow_the_number_of_texts(texts: int, shards: int) -> None:
    assert shards_for(texts) == shards


def test_pairs_from_several_shards_come_once() -> None:
    lots = [np.array(pairs, "<i8").tobytes() for pairs in ([[3, 4], [1, 2]], [[1, 2], [1, 4]])]
    assert distinct_pairs(lots).tolist() == [[1, 2], [1, 4], [3, 4]]


# ── the stage ───────────────────────────────────────────────────────────────────────────────────


def found_by_stage(
    lots: Sequence[Sequence[Fingerprint]],
    texts: int = 0,
    masks: Sequence[bytes] = (),
    first_known: int | None = None,
) -> list[tuple[str, str]]:
    """The origins of the pairs that the stage gives for blocks of fingerprints, sorted."""
    names = {
        ref_of(number, row): one.origin
        for number, lot in enumerate(lots)
        for row, one in enumerate(lot)
    }

    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        blocks = [staged(store, lot, number) for number, lot in enumerate(lots)]
        masked = list(zip(blocks, masks or [b""] * len(blocks), strict=True))
        target = Path(folder, "pairs")

        def keep(packed: Iterable[tuple[int, bytes]]) -> None:
            target.write_bytes(b"".join(pairs for _, pairs in packed))

        with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
            created = pipeline | beam.Create(masked).with_output_types(tuple[StagedBlock, bytes])
            pairs = created | FindCandidates(
                store, "keys", texts, THRESHOLD, HORIZON // 1_000_000, first_known
            )
            assert_that(pairs, keep)
        refs = np.frombuffer(target.read_bytes(), "<i8").reshape(-1, 2).tolist()
    assert all(left < right for left, right in refs)
    return sorted(tuple(sorted((names[left], names[right]))) for left, right in refs)


def bare(origin: str, micros: int, content: int = 0) -> Fingerprint:
    """A short text, which has but its content to meet others by."""
    return Fingerprint(
        origin=origin,
        article_id=origin,
        content_hash=f"{content:064x}"[::-1],
        source_uri=origin,
        observed_at=Timestamp(micros=micros),
        word_count=5,
        signature=b"",
    )


BORDERS = st.builds(
    lambda horizons, halves, beside: (2 * horizons + halves) * (HORIZON // 2) + beside,
    st.integers(-3, 3),
    st.integers(0, 1),
    st.integers(-2, 2),
)
"""Moments around where windows begin and end, before 1970 too."""


@st.composite
def observed_copies(draw) -> list[Fingerprint]:
    """Copies of two texts, around the borders of windows and elsewhere."""
    moments = BORDERS | st.integers(-3 * HORIZON, 3 * HORIZON)
    drawn = draw(st.lists(st.tuples(moments, st.integers(0, 1)), min_size=2, max_size=12))
    return [bare(f"{place:02}", moment, content) for place, (moment, content) in enumerate(drawn)]


def pairs_within_horizon(prints: Sequence[Fingerprint]) -> list[tuple[str, str]]:
    """What has to meet, by comparing all with all."""
    return [
        (one.origin, other.origin)
        for one, other in itertools.combinations(prints, 2)
        if one.content_hash == other.content_hash
        and abs(one.observed_at.micros - other.observed_at.micros) <= HORIZON
    ]


@settings(deadline=None)
@given(prints=observed_copies())
def test_over_all_spans_two_copies_meet_once_if_and_only_if_they_are_within_the_horizon(
    prints: list[Fingerprint],
) -> None:
    found = []
    for period in range(-5, 5):
        inside = [
            one for one in prints if one.observed_at.micros // HORIZON in (period, period + 1)
        ]
        for pair in candidate_pairs(keyed(inside), SPAN.starting(period * HORIZON)).tolist():
            found.append(tuple(sorted(inside[place].origin for place in pair)))
    assert sorted(found) == pairs_within_horizon(prints)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(prints=observed_copies(), cut=st.integers(0, 12))
def test_two_copies_meet_once_wherever_windows_end_and_blocks_are_cut(
    prints: list[Fingerprint], cut: int
) -> None:
    lots = [lot for lot in (prints[cut:], prints[:cut]) if lot]
    assert found_by_stage(lots) == pairs_within_horizon(prints)


@pytest.mark.parametrize("start", [-HORIZON, -1, 0, 1, 20_000 * DAY])
def test_copies_exactly_the_horizon_apart_meet_and_a_microsecond_more_is_too_far(
    make_print, start: int
) -> None:
    changed = story(1)
    changed[50] = "altered"
    prints = [
        make_print(story(1), "a", start),
        make_print(changed, "b", start + HORIZON),
        make_print(story(1)[:150], "c", start + HORIZON + 1),
    ]
    assert found_by_stage([prints]) == [("a", "b"), ("b", "c")]


@pytest.mark.parametrize("cuts", [[60], [59, 1], [20, 20, 20]])
@pytest.mark.parametrize("texts", [0, 1_000_000])
def test_neither_blocks_nor_shards_show_in_the_pairs(
    make_print, cuts: list[int], texts: int
) -> None:
    """A crowd of variants: more than are all paired."""
    prints = []
    for number in range(60):
        words = story(1)
        words[5 * number] = "altered"
        prints.append(make_print(words, f"{number:02}", number * DAY // 7))
    remaining = iter(prints)
    lots = [[next(remaining) for _ in range(size)] for size in cuts]
    expected = {
        (prints[start + left].origin, prints[start + right].origin)
        for start, first_micros in ((0, 0), (49, HORIZON))
        for left, right in candidate_pairs(
            keyed(prints[start:]), SPAN.starting(first_micros)
        ).tolist()
    }
    assert len(expected) < 60 * 59 / 2
    assert found_by_stage(lots, texts) == sorted(expected)


def test_a_text_that_is_left_out_meets_none(make_print) -> None:
    prints = [make_print(story(1), name) for name in "abc"]
    assert found_by_stage([prints], masks=[b"\0\1\0"]) == [("a", "c")]


def test_two_rows_of_the_dataset_are_no_pair() -> None:
    lots = [[bare("new", 0)], [bare("row", 1), bare("other row", 2)]]
    assert found_by_stage(lots, first_known=1) == [("new", "other row"), ("new", "row")]


def test_no_texts_make_no_pairs(make_print) -> None:
    assert found_by_stage([]) == []
    assert found_by_stage([[make_print(story(1), "a")]], masks=[b"\1"]) == []
