"""Key files of a dataset: which count, what becomes of lost ones, and how they are merged."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.dataset import COMMITS, STAGING, Commit, DataFile, Dataset, checkpoint_path
from pipelines.key_files import (
    KEYS,
    key_files,
    keys_path,
    merge_keys,
    merged_keys_path,
    read_keys,
)
from transforms.file_keys import article_key, text_key
from transforms.storage import LocalStore

pytest_plugins = ["object_servers"]

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
DAY = "articles/date=2026-11-20/topic=sport"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty dataset, of which every fourth commit is followed by a checkpoint."""
    return Dataset(LocalStore(str(tmp_path)), checkpoint_every=4)


def stage(dataset: Dataset, run_id: str, paths: Iterable[str]) -> list[DataFile]:
    """Stage a file of one article for each path, which is the article's id as well."""
    files = []
    for path in paths:
        columns = {"article_id": [path], "content_hash": [run_id], "source_uri": ["f"]}
        times = pa.array([NOON], pa.timestamp("us", "UTC"))
        with dataset.store.writer(f"{STAGING}/{run_id}/files/{path}") as file:
            pq.write_table(pa.table({**columns, "observed_at": times}), file)
        files.append(DataFile(path, 1, file.size_bytes, file.sha256))
    return files


def publish(
    dataset: Dataset, run_id: str, *names: str, removed: tuple[str, ...] = (), lists: bool = True
) -> Commit:
    """Commit files; ``lists`` says whether by a newsbeam that knows of key files."""
    staging, snapshot = f"{STAGING}/{run_id}/files", dataset.snapshot()
    files = stage(dataset, run_id, [f"{DAY}/{name}.parquet" for name in names])
    gone = [f"{DAY}/{name}.parquet" for name in removed]
    if lists:
        files = dataset.with_statistics(snapshot, staging, files, gone)
    return dataset.publish("ingest", run_id, snapshot.head, staging, files, removed=gone)


def listed(dataset: Dataset) -> list[str]:
    """The files of which it is known what they may hold."""
    known = read_keys(dataset.store, dataset.snapshot().hashes())
    return sorted(path.removeprefix(f"{DAY}/").removesuffix(".parquet") for path in known)


# ── with each commit ────────────────────────────────────────────────────────────────────────────


def test_a_commit_lists_the_keys_and_times_of_its_files(dataset: Dataset) -> None:
    commit = publish(dataset, "run", "a")
    path = f"{DAY}/a.parquet"
    assert key_files(dataset.store) == [keys_path(1)]
    file = read_keys(dataset.store, dataset.snapshot().hashes())[path]
    assert set(file.keys.tolist()) == {article_key(path), text_key("run", "f")}
    assert commit.files[0].observed_micros == file.observed_micros
    assert dataset.snapshot().files[path].observed_micros == (NOON.timestamp() * 1_000_000,) * 2


def test_what_is_listed_of_a_file_that_was_replaced_does_not_count(dataset: Dataset) -> None:
    publish(dataset, "run", "a", "b")
    publish(dataset, "other", "a", lists=False)
    assert listed(dataset) == ["b"]


def test_what_is_listed_of_a_file_that_came_back_as_it_was_counts(dataset: Dataset) -> None:
    publish(dataset, "run", "a", "b")
    publish(dataset, "other", removed=("a",))
    assert listed(dataset) == ["b"]
    publish(dataset, "run", "a", lists=False)
    assert listed(dataset) == ["a", "b"]


def test_a_commit_that_adds_nothing_lists_nothing(dataset: Dataset) -> None:
    publish(dataset, "run")
    assert key_files(dataset.store) == []


def test_files_of_an_older_newsbeam_are_listed_with_the_next_commit(dataset: Dataset) -> None:
    publish(dataset, "old", "a", "b", lists=False)
    assert listed(dataset) == []
    publish(dataset, "new", "c", removed=("b",))
    assert listed(dataset) == ["a", "c"]


@pytest.mark.parametrize("content", [b"", b"harm", b'{"format": 2}\n[]\n', None])
def test_what_a_damaged_or_lost_key_file_listed_is_listed_again(
    dataset: Dataset, content: bytes | None
) -> None:
    publish(dataset, "one", "a")
    if content is None:
        dataset.store.delete([keys_path(1)])
    else:
        dataset.store.write(keys_path(1), content)
    assert listed(dataset) == []
    publish(dataset, "two", "b")
    assert listed(dataset) == ["a", "b"]


def test_a_file_of_before_that_is_damaged_does_not_keep_others_from_being_listed(
    dataset: Dataset,
) -> None:
    """Whoever needs its rows finds it damaged, and says so."""
    publish(dataset, "old", "a", "b", lists=False)
    dataset.store.write(f"{DAY}/a.parquet", b"harm")
    publish(dataset, "new", "c")
    assert listed(dataset) == ["b", "c"]


def test_a_file_of_before_that_is_another_by_now_is_not_listed(dataset: Dataset) -> None:
    """Or its keys would count for the right one, once that is put back from a copy."""
    publish(dataset, "old", "a", "b", lists=False)
    dataset.store.write(f"{DAY}/a.parquet", dataset.store.read(f"{DAY}/b.parquet"))
    publish(dataset, "new", "c")
    assert listed(dataset) == ["b", "c"]


def test_many_files_of_before_are_listed_by_several_commits(dataset: Dataset) -> None:
    publish(dataset, "old", *"abcde", lists=False)
    publish(Dataset(dataset.store, late_files=3), "new", "x")
    assert listed(dataset) == ["a", "b", "c", "x"]
    publish(Dataset(dataset.store, late_bytes=1), "newer", "y")
    assert listed(dataset) == ["a", "b", "c", "d", "x", "y"]


def test_a_file_whose_hash_nobody_knows_is_never_listed(dataset: Dataset) -> None:
    publish(dataset, "run", "a")
    assert read_keys(dataset.store, {f"{DAY}/a.parquet": ""}) == {}


# ── merged ──────────────────────────────────────────────────────────────────────────────────────


def test_with_a_checkpoint_all_key_files_become_one(dataset: Dataset) -> None:
    for name in "abcde":
        publish(dataset, name, name, removed=("a",) if name == "c" else ())
    assert key_files(dataset.store) == [merged_keys_path(4), keys_path(5)]
    assert listed(dataset) == ["b", "c", "d", "e"]


def test_what_was_merged_is_merged_again(dataset: Dataset) -> None:
    for name in "abcdefgh":
        publish(dataset, name, name)
    assert key_files(dataset.store) == [merged_keys_path(8)]
    assert listed(dataset) == list("abcdefgh")


def test_a_merge_leaves_out_what_is_no_more(dataset: Dataset) -> None:
    for name in "abc":
        publish(dataset, name, name)
    publish(dataset, "d", "d", removed=("a", "b"))
    before = len(dataset.store.read(merged_keys_path(4)))
    for name in "efg":
        publish(dataset, name, name)
    publish(dataset, "h", "h", removed=tuple("cdef"))
    assert len(dataset.store.read(merged_keys_path(8))) == before
    assert listed(dataset) == ["g", "h"]


def test_a_damaged_key_file_is_removed_by_the_next_merge(dataset: Dataset) -> None:
    for name in "abc":
        publish(dataset, name, name)
    dataset.store.write(keys_path(2), b"harm")
    publish(dataset, "d", lists=False)
    assert key_files(dataset.store) == [merged_keys_path(4)]
    assert listed(dataset) == ["a", "c"]


def test_key_files_of_commits_that_are_not_there_do_no_harm(dataset: Dataset) -> None:
    """The dataset was put back from a copy, but not its key files."""
    publish(dataset, "one", "a")
    publish(dataset, "two", "b")
    dataset.store.delete([f"{COMMITS}/00000002.json", f"{DAY}/b.parquet"])
    assert listed(dataset) == ["a"]
    publish(dataset, "another two", "b", "c")
    assert listed(dataset) == ["a", "b", "c"]


def test_files_of_other_names_are_passed_over(dataset: Dataset) -> None:
    publish(dataset, "one", "a")
    for name in ("x.keys", "1.keys.gz", "00000002.other.keys", "note.txt"):
        dataset.store.write(f"{KEYS}/{name}", b"harm")
    assert key_files(dataset.store) == [keys_path(1)]


def hashes_after(dataset: Dataset, number: int) -> dict[str, str]:
    return dataset.checkpoint(number).snapshot.hashes()


def test_who_merges_late_undoes_nothing(dataset: Dataset) -> None:
    """A sleeper wakes after others have merged what it was to merge, and more."""
    for name in "abcdefgh":
        publish(dataset, name, name)
    before = dataset.store.read(merged_keys_path(8))
    merge_keys(dataset.store, 4, 8, hashes_after(dataset, 4))
    assert key_files(dataset.store) == [merged_keys_path(8)]
    assert dataset.store.read(merged_keys_path(8)) == before


def test_what_was_merged_after_commits_that_are_gone_holds_up_no_merge(dataset: Dataset) -> None:
    """The manifests were put back from an older copy, but not the key files."""
    for name in "abcdefgh":
        publish(dataset, name, name)
    paths = [f"{DAY}/{name}.parquet" for name in "cdefgh"]
    dataset.store.delete([*(f"{COMMITS}/{it:08d}.json" for it in range(3, 9)), *paths])
    dataset.store.delete(map(checkpoint_path, dataset.checkpoints()))
    for name in "xy":
        publish(dataset, name, name)
    assert key_files(dataset.store) == [merged_keys_path(4), merged_keys_path(8)]
    assert listed(dataset) == ["a", "b", "x", "y"]
    for name in "uvwz":
        publish(dataset, name, name)
    assert key_files(dataset.store) == [merged_keys_path(8)]
    assert listed(dataset) == sorted("abuvwxyz")


@dataclass(frozen=True)
class LosingStore(LocalStore):
    """A store in which a file is gone when it is read, though it was listed."""

    lost: str

    def read(self, path: str) -> bytes:
        if path == self.lost:
            raise FileNotFoundError(path)
        return super().read(path)


@dataclass(frozen=True)
class RefusingStore(LocalStore):
    """A store that does not let a file be read."""

    refused: str

    def read(self, path: str) -> bytes:
        if path == self.refused:
            raise PermissionError(path)
        return super().read(path)


def test_who_merges_while_another_does_leaves_it_to_the_other(
    dataset: Dataset, tmp_path: Path
) -> None:
    for name in "abc":
        publish(dataset, name, name)
    merge_keys(LosingStore(str(tmp_path), keys_path(2)), 4, 4, dataset.snapshot().hashes())
    assert key_files(dataset.store) == [keys_path(1), keys_path(2), keys_path(3)]


def test_a_key_file_that_cannot_be_read_now_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    for name in "abc":
        publish(dataset, name, name)
    merge_keys(RefusingStore(str(tmp_path), keys_path(2)), 4, 4, dataset.snapshot().hashes())
    assert key_files(dataset.store) == [keys_path(2), merged_keys_path(4)]
    assert listed(dataset) == ["a", "b", "c"]


@pytest.mark.slow
def test_in_a_bucket_key_files_are_brought_to_their_places_and_merged(
    request: pytest.FixtureRequest,
) -> None:
    dataset = Dataset(request.getfixturevalue("minio").new_store(), checkpoint_every=2)
    for name in "abc":
        publish(dataset, name, name)
    assert key_files(dataset.store) == [merged_keys_path(2), keys_path(3)]
    assert listed(dataset) == ["a", "b", "c"]
