"""A run that was killed is gone on with, as far as what it was told to do is still the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import Dataset, local_dataset
from pipelines.slices import Slice
from pipelines.staged import RunState, begin_or_resume, hash_of_sources
from schemas.records import Source

FIRST = RunState("20260630T120000Z-000001", "2026-06-30T12:00:00+00:00", "options")
SECOND = RunState("20260701T120000Z-000002", "2026-07-01T12:00:00+00:00", "options")
THEN, LATER = Timestamp(1_000), Timestamp(2_000)
FILES = [Source(f"/in/{name}.txt", 10, "version 1") for name in "abcdef"]


def in_pairs(sources: Sequence[Source]) -> list[Slice]:
    return [Slice(tuple(sources[start : start + 2])) for start in range(0, len(sources), 2)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(str(tmp_path))


def killed(dataset: Dataset, done: int, sources: Sequence[Source] = FILES) -> RunState:
    """A run that was killed when some of its slices were done."""
    run = begin_or_resume(dataset, FIRST, sources, in_pairs, THEN)
    for one in run.slices[:done]:
        dataset.store.write(one.report, b"{}")
    return run


def staged(dataset: Dataset) -> list[str]:
    return dataset.store.names("_newsbeam/staging")


def test_a_run_begins_with_all_its_sources_in_slices(dataset: Dataset) -> None:
    run = begin_or_resume(dataset, FIRST, FILES, in_pairs, THEN)
    assert [source for one in run.slices for source in one.sources] == FILES
    assert (run.run_id, run.resumed) == (FIRST.run_id, 0)
    assert len({one.folder for one in run.slices}) == 3


def test_the_same_run_again_is_the_run_that_was_killed(dataset: Dataset) -> None:
    before = killed(dataset, done=2)
    run = begin_or_resume(dataset, SECOND, FILES, in_pairs, LATER)
    assert run == dataclasses.replace(before, resumed=2)
    assert {one.observed_at for one in run.slices} == {THEN}


def test_of_changed_sources_the_slices_that_are_done_and_unchanged_are_kept(
    dataset: Dataset,
) -> None:
    before = killed(dataset, done=2)
    changed = [*FILES[:3], dataclasses.replace(FILES[3], version="version 2"), *FILES[4:]]
    new = Source("/in/new.txt", 5, "version 1")
    run = begin_or_resume(dataset, SECOND, [*changed, new], in_pairs, LATER)
    assert (run.run_id, run.resumed) == (FIRST.run_id, 1)
    assert run.slices[0] == before.slices[0]
    rest = [source for one in run.slices[1:] for source in one.sources]
    assert rest == [*changed[2:], new]
    assert {one.observed_at for one in run.slices[1:]} == {LATER}
    assert not {one.folder for one in run.slices[1:]} & {before.slices[0].folder}


def test_a_source_that_is_not_to_be_read_any_more_is_not_kept(dataset: Dataset) -> None:
    killed(dataset, done=3)
    run = begin_or_resume(dataset, SECOND, FILES[1:], in_pairs, LATER)
    assert {source for one in run.slices for source in one.sources} == set(FILES[1:])


@pytest.mark.parametrize("options", ["other options"])
def test_with_other_options_the_run_begins_anew(dataset: Dataset, options: str) -> None:
    killed(dataset, done=3)
    new = dataclasses.replace(SECOND, options=options)
    run = begin_or_resume(dataset, new, FILES, in_pairs, LATER)
    assert (run.run_id, run.resumed) == (SECOND.run_id, 0)
    assert staged(dataset) == [SECOND.run_id]


def test_with_other_sources_the_run_begins_anew(dataset: Dataset) -> None:
    killed(dataset, done=3)
    run = begin_or_resume(dataset, SECOND, [Source("/in/x.txt", 1, "")], in_pairs, LATER)
    assert (run.run_id, run.resumed) == (SECOND.run_id, 0)
    assert staged(dataset) == [SECOND.run_id]


def test_a_plan_that_was_cut_short_is_begun_anew(dataset: Dataset) -> None:
    run = killed(dataset, done=1)
    plan = f"{run.folder}/plan.json"
    dataset.store.write(plan, dataset.store.read(plan)[:40])
    assert begin_or_resume(dataset, SECOND, FILES, in_pairs, LATER).run_id == SECOND.run_id
    assert staged(dataset) == [SECOND.run_id]


def test_a_run_that_is_published_is_not_gone_on_with(dataset: Dataset) -> None:
    killed(dataset, done=3)
    with dataset.writing("test"):
        dataset.publish("ingest", FIRST.run_id, 0, "_newsbeam/staging/elsewhere", [])
    killed(dataset, done=0)  # as if the kill had come before its staging was removed
    run = begin_or_resume(dataset, SECOND, FILES, in_pairs, LATER)
    assert run.run_id == SECOND.run_id


def test_what_other_commands_stage_is_left_alone(dataset: Dataset) -> None:
    dataset.store.write("_newsbeam/staging/compact-1/x", b"")
    begin_or_resume(dataset, FIRST, FILES, in_pairs, THEN)
    assert "compact-1" in staged(dataset)


def test_the_part_that_was_killed_waits_for_its_turn(dataset: Dataset) -> None:
    parts = [FILES[:4], FILES[4:]]
    hashes = [hash_of_sources(part) for part in parts]
    killed(dataset, done=1, sources=parts[1])
    first = begin_or_resume(dataset, SECOND, parts[0], in_pairs, LATER, parts=hashes)
    assert (first.run_id, first.resumed) == (SECOND.run_id, 0)
    dataset.store.delete_folder(first.folder)
    second = begin_or_resume(dataset, SECOND, parts[1], in_pairs, LATER, parts=hashes)
    assert (second.run_id, second.resumed) == (FIRST.run_id, 1)


def test_a_slice_beyond_the_ten_thousandth_has_a_folder_of_its_own(dataset: Dataset) -> None:
    run = killed(dataset, done=0)
    slices = [
        dataclasses.replace(one, folder=f"{run.folder}/slices/{number}")
        for one, number in zip(run.slices, ("9998", "9999", "10000"), strict=True)
    ]
    dataclasses.replace(run, slices=tuple(slices)).save(dataset.store)
    for one in slices:
        dataset.store.write(one.report, b"{}")
    new = Source("/in/new.txt", 5, "version 1")
    again = begin_or_resume(dataset, SECOND, [*FILES, new], in_pairs, LATER)
    assert again.slices[-1].folder == f"{FIRST.folder}/slices/10001"


@pytest.mark.parametrize("stale", ["20260629T120000Z-000000", "20260630T130000Z-000003"])
def test_beside_the_run_that_was_killed_stale_staging_is_removed(
    dataset: Dataset, stale: str
) -> None:
    before = killed(dataset, done=2)
    dataclasses.replace(FIRST, run_id=stale, options="other options").save(dataset.store)
    run = begin_or_resume(dataset, SECOND, FILES, in_pairs, LATER)
    assert run == dataclasses.replace(before, resumed=2)
    assert staged(dataset) == [FIRST.run_id]


def test_a_run_that_could_be_kept_in_part_gives_way_to_the_very_same_run(dataset: Dataset) -> None:
    killed(dataset, done=3)
    listed = hash_of_sources(FILES[1:])
    same = dataclasses.replace(FIRST, run_id="20260630T130000Z-000003", listed=listed)
    same.save(dataset.store)
    run = begin_or_resume(dataset, SECOND, FILES[1:], in_pairs, LATER)
    assert run == same
    assert staged(dataset) == [same.run_id]


def test_manifests_are_not_read_where_nothing_is_staged(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Dataset, "commits")
    dataset.store.write("_newsbeam/staging/compact-1/x", b"")
    assert begin_or_resume(dataset, FIRST, FILES, in_pairs, THEN).run_id == FIRST.run_id


def test_a_part_of_an_archive_is_not_kept_without_the_others(dataset: Dataset) -> None:
    def in_parts(_: Sequence[Source]) -> list[Slice]:
        whole = Source("/in/a.warc", 100, "version 1")
        return [
            Slice((dataclasses.replace(whole, end=50, known_bytes=50),)),
            Slice((dataclasses.replace(whole, start=50, known_bytes=50),)),
        ]

    archive = Source("/in/a.warc", 100, "version 1")
    run = begin_or_resume(dataset, FIRST, [archive], in_parts, THEN)
    dataset.store.write(run.slices[0].report, b"{}")
    again = begin_or_resume(dataset, SECOND, [archive, FILES[0]], in_pairs, LATER)
    assert again.resumed == 0
    assert {source for one in again.slices for source in one.sources} == {archive, FILES[0]}
