"""Candidate pairs are verified and settled: each copy, and what it copies, gets a verdict."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp
from print_factory import staged, story

from pipelines.local import local_runner
from schemas.records import Fingerprint, StagedBlock, Verdict
from transforms.deduplication import AssignCopies, settled, verified
from transforms.fingerprints import fingerprint_article
from transforms.staging import compared_prints, ref_of, write_prints
from transforms.storage import LocalStore

THRESHOLD = 0.45


@pytest.fixture
def make_print(make_article):
    def make(words: list[str], origin: str, **fields) -> Fingerprint:
        fields = {"observed_at": Timestamp(0), **fields}
        return fingerprint_article(make_article(" ".join(words), origin, **fields))

    return make


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def as_known(fingerprint: Fingerprint, table: str, article_id: str) -> Fingerprint:
    origin = f"known:{fingerprint.origin}"
    return dataclasses.replace(fingerprint, table=table, article_id=article_id, origin=origin)


def all_pairs(refs: Sequence[int]) -> bytes:
    return np.array(list(itertools.combinations(sorted(refs), 2)), "<i8").tobytes()


def run(
    store: LocalStore,
    blocks: Sequence[StagedBlock],
    pairs: Sequence[bytes],
    check,
    canonicals: Mapping[str, int] | None = None,
) -> None:
    """Apply the stage to some groups of pairs, and check its verdicts."""
    with test_pipeline.TestPipeline(runner=local_runner(1)) as pipeline:
        created = pipeline | beam.Create(blocks).with_output_types(StagedBlock)
        rows = pipeline | "Rows" >> beam.Create((canonicals or {}).items()).with_output_types(
            tuple[str, int]
        )
        groups = pipeline | "Groups" >> beam.Create(list(enumerate(pairs))).with_output_types(
            tuple[int, bytes]
        )
        assert_that(groups | AssignCopies(store, created, rows, THRESHOLD), check)


@pytest.mark.parametrize("cuts", [[5], [1, 4], [2, 2, 1], [1, 1, 1, 1, 1]])
def test_each_copy_and_what_it_copies_get_a_verdict(make_print, store, cuts: list[int]) -> None:
    """However the texts are cut into blocks."""
    changed = story(1)
    changed[50] = "altered"
    prints = [
        make_print(story(1), "a", title="Title"),
        make_print(story(1), "b"),
        make_print(changed, "c"),
        make_print(story(1)[:60], "d"),
        make_print(story(2), "e"),
    ]
    remaining = iter(prints)
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

    run(store, blocks, [all_pairs(list(names))], check)


def test_links_from_several_groups_make_one_component(make_print, store) -> None:
    block = staged(store, [make_print(story(1), name) for name in "abc"], 0)

    def check(verdicts: list[Verdict]) -> None:
        assert sorted((v.ref, v.kind, v.copies) for v in verdicts) == [
            (0, "canonical", 2),
            (1, "exact", 0),
            (2, "exact", 0),
        ]

    run(store, [block], [all_pairs([0, 1]), all_pairs([1, 2])], check)


def test_no_pairs_make_no_verdicts(make_print, store) -> None:
    block = staged(store, [make_print(story(1), "a")], 0)

    def check(verdicts: list[Verdict]) -> None:
        assert verdicts == []

    run(store, [block], [], check)


def test_a_copy_of_a_known_copy_is_held_against_the_row_that_copies(make_print, store) -> None:
    """The row is in no pair: it is found by its article id."""
    changed = story(1)
    changed[50] = "altered"
    again = list(changed)
    again[150] = "once more"
    known = [
        as_known(make_print(changed, "copy"), "duplicates", "the row"),
        as_known(make_print(story(1), "row"), "articles", "the row"),
    ]
    blocks = [
        staged(store, [make_print(again, "new")], 0),
        dataclasses.replace(write_prints(store, "known", known), number=1),
    ]
    copy, row = ref_of(1, 0), ref_of(1, 1)

    def check(verdicts: list[Verdict]) -> None:
        [verdict] = verdicts
        assert (verdict.ref, verdict.kind, verdict.canonical_id) == (0, "near", "the row")
        assert verdict.canonical_ref == -1

    run(store, blocks, [all_pairs([0, copy])], check, {"the row": row})


def test_a_pair_of_different_texts_is_no_link(make_print, store) -> None:
    block = staged(store, [make_print(story(seed), str(seed)) for seed in (1, 1, 2)], 0)
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    links = verified(pairs, compared_prints(store, [block]), THRESHOLD)
    assert links.tolist() == [[0, 1]]


def test_a_verdict_refers_to_a_text_of_the_run_but_not_to_a_row_of_the_dataset(make_print) -> None:
    members = {7: make_print(story(1), "a", title="Title"), 9: make_print(story(1), "b")}
    among_themselves = {v.ref: v.canonical_ref for v in settled(members, THRESHOLD, {})}
    assert among_themselves == {7: -1, 9: 7}
    row = as_known(make_print(story(1), "c"), "articles", "the row")
    with_row = {v.ref: v.canonical_ref for v in settled({**members, 11: row}, THRESHOLD, {})}
    assert with_row == {7: -1, 9: -1}
