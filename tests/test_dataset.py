"""The commit log: what a dataset holds, whoever was killed or asleep while writing to it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import UsageError
from pipelines.dataset import (
    CHECKPOINT_EVERY,
    COMMITS,
    FEEDS,
    PENDING,
    STAGING,
    Checkpoint,
    Commit,
    Conflict,
    DataFile,
    Dataset,
    DatasetError,
    PublishError,
    Snapshot,
    checkpoint_path,
)
from pipelines.feed_memory import memory_path
from pipelines.key_files import keys_path, read_keys
from pipelines.lock import FOLDER as LEASES
from pipelines.lock import Lease
from schemas.arrow import SCHEMA_VERSION, TABLES
from transforms.file_keys import FileKeys, encode_keys, to_keys
from transforms.storage import LocalStore, Store

pytest_plugins = ["object_servers"]

ROOT = Path(__file__).resolve().parent.parent
DATASET_V1 = ROOT / "tests" / "data" / "dataset_v1"

DAY = "articles/date=2026-01-01/topic=sport"
OLD = (f"{DAY}/old-1.parquet", f"{DAY}/old-2.parquet", "failures/date=2026-01-01/old.parquet")
NEW = (
    f"{DAY}/new.parquet",
    "duplicates/date=2026-01-01/new.parquet",
    "articles/x/new.parquet",
    f"{DAY}/new-too.parquet",
)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty dataset."""
    return Dataset(LocalStore(str(tmp_path / "news")))


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and disks take their time; ``test_storage`` sees to flushing."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def stage(dataset: Dataset, run_id: str, paths: Iterable[str]) -> list[DataFile]:
    """Write files as a run does before it publishes; each says which run wrote it."""
    files = []
    for path in paths:
        with dataset.store.writer(f"{STAGING}/{run_id}/files/{path}") as file:
            file.write(f"{path} by {run_id}".encode())
        files.append(DataFile(path, 1, file.size_bytes, file.sha256))
    return files


def publish(dataset: Dataset, run_id: str, paths: Iterable[str], **change: list[str]) -> Commit:
    base = dataset.snapshot().head
    files = stage(dataset, run_id, paths)
    return dataset.publish("ingest", run_id, base, f"{STAGING}/{run_id}/files", files, **change)


def stage_memory(dataset: Dataset, run_id: str) -> str:
    """Write a memory of feeds as a run does before it publishes; where it is to stand."""
    path = memory_path(run_id)
    dataset.store.write(f"{STAGING}/{run_id}/files/{path}", f"what {run_id} remembers".encode())
    return path


def stage_keys(dataset: Dataset, run_id: str, number: int, files: Iterable[DataFile]) -> None:
    """Write a commit's key file as a run does before it publishes."""
    listed = [FileKeys(file.path, file.sha256, (1, 2), to_keys([3])) for file in files]
    path = f"{STAGING}/{run_id}/files/{keys_path(number)}"
    dataset.store.write(path, encode_keys(listed))


def with_keys(dataset: Dataset) -> list[str]:
    """The files of which key files list what they may hold."""
    return sorted(read_keys(dataset.store, dataset.snapshot().hashes()))


def remember(dataset: Dataset, run_id: str, paths: Iterable[str] = ()) -> Commit:
    """Publish with a memory of feeds, and a key file."""
    files, memory = stage(dataset, run_id, paths), stage_memory(dataset, run_id)
    base, staging = dataset.snapshot().head, f"{STAGING}/{run_id}/files"
    stage_keys(dataset, run_id, base + 1, files)
    return dataset.publish("ingest", run_id, base, staging, files, memory=memory)


def remembered(dataset: Dataset) -> str:
    """What the memory in force says."""
    return dataset.store.read(dataset.snapshot().memory).decode()


def summed(dataset: Dataset) -> Snapshot:
    """What the manifests add up to, all of them read."""
    return Snapshot(0, {}).plus(dataset.commits())


def by(run_id: str, paths: Iterable[str]) -> dict[str, str]:
    """What ``visible`` gives for the files of a run."""
    return {path: f"{path} by {run_id}" for path in paths}


def visible(dataset: Dataset) -> dict[str, str]:
    """What a reader of the folders sees."""
    files = [file for table in TABLES for file in dataset.store.list_files(table)]
    return {file.path: dataset.store.read(file.path).decode() for file in files}


def listed(dataset: Dataset) -> list[str]:
    """What a reader of the manifests sees."""
    return sorted(dataset.checked_snapshot().files)


def refusal(read: Callable[[], object]) -> str:
    """Why something cannot be read, or nothing if it can; any other error is a bug."""
    try:
        read()
    except DatasetError as error:
        return str(error)
    return ""


def runs(dataset: Dataset) -> list[str]:
    """The runs in the log; the seal of one that took over from the dead has no name."""
    return [commit.run_id for commit in dataset.commits()]


# ── adding and removing ─────────────────────────────────────────────────────────────────────────


def test_a_dataset_that_is_not_there_is_empty(dataset: Dataset) -> None:
    snapshot = dataset.checked_snapshot()
    assert (snapshot.head, snapshot.files) == (0, {})


def test_staged_files_are_not_visible(dataset: Dataset) -> None:
    stage(dataset, "run", NEW)
    assert visible(dataset) == {}
    assert listed(dataset) == []


def test_publishing_makes_all_files_visible_and_leaves_a_manifest(dataset: Dataset) -> None:
    files = stage(dataset, "run", NEW)
    staging = f"{STAGING}/run/files"
    with dataset.writing("newsbeam ingest"):
        commit = dataset.publish("ingest", "run", 0, staging, files, details={"units": 3})
    assert visible(dataset) == by("run", NEW)
    assert list(dataset.commits()) == [commit]
    assert commit.number == 1
    assert commit.details["units"] == 3
    assert commit.files == tuple(sorted(files, key=lambda file: file.path))
    assert dataset.snapshot().files == {file.path: file for file in files}


def test_nothing_staged_or_pending_is_left_of_a_commit(dataset: Dataset) -> None:
    dataset.store.write(f"{STAGING}/run/plan.json", b"{}")
    publish(dataset, "run", NEW)
    assert dataset.store.names(STAGING) == []
    assert dataset.store.names(PENDING) == []


def test_commits_add_up(dataset: Dataset) -> None:
    publish(dataset, "first", OLD)
    publish(dataset, "second", NEW)
    assert visible(dataset) == by("first", OLD) | by("second", NEW)
    assert runs(dataset) == ["first", "second"]
    assert dataset.snapshot().head == 2
    assert [file.path for file in dataset.snapshot().table("duplicates")] == [NEW[1]]


def test_a_commit_may_take_files_away(dataset: Dataset) -> None:
    publish(dataset, "first", OLD)
    publish(dataset, "second", NEW, removed=[OLD[0]])
    assert visible(dataset) == by("first", OLD[1:]) | by("second", NEW)
    assert listed(dataset) == sorted(visible(dataset))


def test_a_file_may_come_back_after_it_was_taken_away(dataset: Dataset) -> None:
    publish(dataset, "first", OLD)
    publish(dataset, "second", NEW, removed=[OLD[0]])
    publish(dataset, "third", [OLD[0]])
    assert visible(dataset) == by("first", OLD[1:]) | by("second", NEW) | by("third", [OLD[0]])
    assert listed(dataset) == sorted(visible(dataset))


def test_a_commit_without_files_is_one(dataset: Dataset) -> None:
    publish(dataset, "nothing new", [])
    assert runs(dataset) == ["nothing new"]


def test_a_second_writer_is_told_who_is_at_work(dataset: Dataset) -> None:
    with (
        dataset.writing("newsbeam ingest"),
        pytest.raises(DatasetError, match=f"process {os.getpid()} on .* has been writing to it"),
        Dataset(dataset.store).writing("newsbeam compact"),
    ):
        pass
    with dataset.writing("newsbeam compact"):
        pass  # it is free again


def test_of_two_runs_made_on_one_head_the_second_is_refused(dataset: Dataset) -> None:
    files = stage(dataset, "second", NEW)
    publish(dataset, "first", OLD)
    with pytest.raises(Conflict, match="another run has written"):
        dataset.publish("ingest", "second", 0, f"{STAGING}/second/files", files)
    assert visible(dataset) == by("first", OLD)
    assert runs(dataset) == ["first"]
    assert dataset.store.names(PENDING) == []


def lose(dataset: Dataset, path: str) -> None:
    dataset.store.delete([path])


def cut(dataset: Dataset, path: str) -> None:
    dataset.store.write(path, dataset.store.read(path)[:-1])


@pytest.mark.parametrize("spoil", [lose, cut])
def test_what_is_not_staged_whole_is_not_decided(
    dataset: Dataset, spoil: Callable[[Dataset, str], None]
) -> None:
    """A commit that is decided must be finished, and this one could not be."""
    files = stage(dataset, "run", NEW)
    spoil(dataset, f"{STAGING}/run/files/{NEW[1]}")
    with pytest.raises(PublishError, match=r"new\.parquet is missing or .*nothing was added$"):
        dataset.publish("ingest", "run", 0, f"{STAGING}/run/files", files)
    with dataset.writing("next"):
        assert visible(dataset) == {}


# ── the memory of feeds ─────────────────────────────────────────────────────────────────────────


def test_a_commit_puts_a_memory_in_force(dataset: Dataset) -> None:
    assert dataset.snapshot().memory == ""
    commit = remember(dataset, "first", OLD)
    assert commit.memory == dataset.checked_snapshot().memory == f"{FEEDS}/first.jsonl.gz"
    assert remembered(dataset) == "what first remembers"
    assert dataset.store.names(STAGING) == []


def test_a_commit_without_a_memory_leaves_the_one_in_force_alone(dataset: Dataset) -> None:
    remember(dataset, "first", OLD)
    publish(dataset, "second", NEW, removed=[OLD[0]])
    assert remembered(dataset) == "what first remembers"


def test_a_memory_that_is_replaced_is_removed(dataset: Dataset) -> None:
    remember(dataset, "first")
    publish(dataset, "second", NEW)
    remember(dataset, "third")
    assert remembered(dataset) == "what third remembers"
    assert dataset.store.names(FEEDS) == ["third.jsonl.gz"]


def test_memories_that_no_commit_names_are_swept_by_the_next_that_has_one(dataset: Dataset) -> None:
    dataset.store.write(memory_path("stray"), b"of a killed run")
    publish(dataset, "first", [])
    assert dataset.store.exists(memory_path("stray"))
    remember(dataset, "second")
    assert dataset.store.names(FEEDS) == ["second.jsonl.gz"]


def test_a_memory_that_is_lost_is_no_damage(dataset: Dataset) -> None:
    """Losing it costs requests, and nothing else."""
    remember(dataset, "first", OLD)
    lose(dataset, memory_path("first"))
    assert dataset.checked_snapshot().memory == memory_path("first")
    with dataset.writing("next"):
        remember(dataset, "second")
    assert remembered(dataset) == "what second remembers"


def test_a_decided_commit_whose_memory_is_nowhere_is_finished_without(dataset: Dataset) -> None:
    files, memory = tuple(stage(dataset, "run", NEW)), memory_path("run")
    commit = Commit(1, "ingest", "run", f"{STAGING}/run/files", files, memory=memory)
    dataset.store.write(f"{PENDING}/{commit.name}", commit.encode())
    with dataset.writing("next"):
        assert listed(dataset) == sorted(NEW)
    assert dataset.snapshot().memory == memory
    assert not dataset.store.exists(memory)


def test_a_decided_commit_whose_key_file_is_nowhere_is_finished_without(dataset: Dataset) -> None:
    """Its files count as such that may hold anything."""
    files = tuple(stage(dataset, "run", NEW))
    commit = Commit(1, "ingest", "run", f"{STAGING}/run/files", files)
    dataset.store.write(f"{PENDING}/{commit.name}", commit.encode())
    with dataset.writing("next"):
        assert listed(dataset) == sorted(NEW)
    assert with_keys(dataset) == []


def test_a_memory_that_is_not_staged_is_not_decided(dataset: Dataset) -> None:
    with pytest.raises(PublishError, match=r"run\.jsonl\.gz is missing .*nothing was added$"):
        dataset.publish("ingest", "run", 0, f"{STAGING}/run", [], memory=memory_path("run"))


_NO_MEMORIES = [OLD[0], f"{FEEDS}/", f"{FEEDS}/run", f"{FEEDS}/../commits.jsonl.gz", "x.jsonl.gz"]


@pytest.mark.parametrize("path", _NO_MEMORIES)
def test_what_can_be_no_memory_is_taken_for_none(dataset: Dataset, path: str) -> None:
    """Who keeps one memory removes others: a path must not lead elsewhere."""
    with pytest.raises(ValueError, match="can be no memory of feeds"):
        dataset.publish("ingest", "run", 0, f"{STAGING}/run", [], memory=path)
    with pytest.raises(DatasetError, match="can be no memory of feeds"):
        Commit.decode(Commit(1, "ingest", "run", memory=path).encode(), "here")


def test_a_manifest_of_before_there_were_feeds_has_no_memory() -> None:
    manifest = Commit(1, "ingest", "run").encode()
    assert "memory" not in json.loads(manifest)
    assert Commit.decode(manifest, "here").memory == ""


# ── the manifest ────────────────────────────────────────────────────────────────────────────────

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)
_RANGES = st.none() | st.tuples(st.integers(), st.integers()).map(lambda it: (min(it), max(it)))
_COMMITS = st.builds(
    Commit,
    number=st.integers(1, 10**8),
    kind=_NAMES,
    run_id=_NAMES,
    staging=_NAMES,
    files=st.lists(
        st.builds(DataFile, _NAMES, st.integers(-1), st.integers(-1), _NAMES, _RANGES), max_size=3
    ).map(tuple),
    removed=st.lists(_NAMES, max_size=3).map(tuple),
    replaces=st.lists(_NAMES, max_size=3).map(tuple),
    schema_version=st.integers(1, SCHEMA_VERSION),
    details=st.dictionaries(_NAMES, _JSON, max_size=3),
    memory=st.sampled_from(["", memory_path("20260630T120000Z-0a1b2c")]),
)


@given(_COMMITS)
def test_a_manifest_is_read_as_it_was_written(commit: Commit) -> None:
    assert Commit.decode(commit.encode(), "here") == commit
    assert Commit.decode(commit.encode(), "here").encode() == commit.encode()


def test_a_manifest_of_before_there_were_ranges_has_none() -> None:
    manifest = Commit(1, "ingest", "run", files=(DataFile("a", 1, 2, "c"),)).encode()
    assert "observed_micros" not in json.loads(manifest)["files"][0]
    assert Commit.decode(manifest, "here").files[0].observed_micros is None


@pytest.mark.parametrize(
    "wrong", [[2, 1], [1], [1, 2, 3], 7, "no", ["a", "b"], [1.5, 2], [True, 2]]
)
def test_what_can_be_no_range_is_damage(wrong: object) -> None:
    """A file that is passed over by mistake is worse than one that cannot be read."""
    file = {"path": "a", "rows": 1, "size_bytes": 2, "sha256": "c", "observed_micros": wrong}
    manifest = json.loads(Commit(1, "ingest", "run").encode()) | {"files": [file]}
    with pytest.raises(DatasetError, match="the manifest here is damaged"):
        Commit.decode(json.dumps(manifest).encode(), "here")


def test_files_of_which_all_was_observed_before_are_told() -> None:
    files = [
        DataFile("old", observed_micros=(1, 5)),
        DataFile("new", observed_micros=(6, 7)),
        DataFile("across", observed_micros=(1, 7)),
        DataFile("unknown"),
    ]
    snapshot = Snapshot(1, {file.path: file for file in files})
    assert sorted(snapshot.since(6).files) == ["across", "new", "unknown"]


@given(_COMMITS, st.sampled_from(["number", "files", "removed", "staging", "memory"]))
def test_no_detail_takes_the_place_of_what_the_log_needs(commit: Commit, name: str) -> None:
    commit.details[name] = "a detail"
    decoded = Commit.decode(commit.encode(), "here")
    assert asdict(decoded) == {**asdict(commit), "details": decoded.details}
    assert name not in decoded.details


@given(_COMMITS, st.data())
def test_a_manifest_that_was_cut_short_is_damaged(commit: Commit, data: st.DataObject) -> None:
    content = commit.encode()
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DatasetError, match="the manifest here is damaged"):
        Commit.decode(content[:length], "here")


@given(_COMMITS, st.data())
def test_a_manifest_with_flipped_bytes_is_read_or_refused(
    commit: Commit, data: st.DataObject
) -> None:
    content = bytearray(commit.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    said = refusal(lambda: Commit.decode(bytes(content), "here"))
    assert said == "" or "here" in said


# ── killed at any step ──────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class StepwiseStore(LocalStore):
    """A local store that calls ``before`` ahead of every step that it takes.

    Each file that is moved or removed is a step of its own.
    """

    before: Callable[[], None]
    swaps: bool = True
    """Whether its disk can swap folders."""

    def list_files(self, folder: str) -> list:  # type: ignore[type-arg]
        self.before()
        return super().list_files(folder)

    def names(self, folder: str) -> list[str]:
        self.before()
        return super().names(folder)

    def exists(self, path: str) -> bool:
        self.before()
        return super().exists(path)

    def read(self, path: str) -> bytes:
        self.before()
        return super().read(path)

    def write(self, path: str, content: bytes) -> None:
        self.before()
        super().write(path, content)

    def create(self, path: str, content: bytes) -> bool:
        self.before()
        return super().create(path, content)

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for move in moves:
            self.before()
            super().move([move])

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.before()
            super().delete([path])

    def delete_folder(self, folder: str) -> None:
        for file in super().list_files(folder):
            self.before()
            super().delete([file.path])
        self.before()
        super().delete_folder(folder)

    def exchange(self, folder: str, other: str) -> bool:
        self.before()
        return self.swaps and super().exchange(folder, other)

    def sync_folders(self, paths: Iterable[str]) -> None:
        self.before()
        super().sync_folders(paths)


def at_step(step: int, happen: Callable[[], None]) -> Callable[[], None]:
    """Have something happen once, before a step; steps are counted from 0."""
    steps = itertools.count()

    def before() -> None:
        if next(steps) == step:
            happen()

    return before


def die() -> None:
    raise Killed


def leave_lease(dataset: Dataset) -> None:
    """The lease of an owner on another machine, of which nothing was heard for long."""
    past = "2026-01-01T00:00:00+00:00"
    owner = "process 7 on far.example (newsbeam ingest)"
    lease = Lease(owner, "another", "pid:[1] 7 1", past, past)
    number = max(
        (int(name[:8]) for name in dataset.store.names(LEASES) if name[0] == "0"), default=0
    )
    dataset.store.write(f"{LEASES}/{number + 1:08d}.json", json.dumps(asdict(lease)).encode())


@dataclass(frozen=True)
class Publication:
    """A way to change a dataset that holds ``OLD``, and what it holds then."""

    replaces: bool
    """Whether it replaces a partition by a swap, as a compaction does."""
    remembers: bool = False
    """Whether it replaces a memory of feeds, lists keys, and writes a checkpoint."""

    def dataset(self, store: Store) -> Dataset:
        """A writer's view."""
        return Dataset(store, checkpoint_every=1 if self.remembers else CHECKPOINT_EVERY)

    def prepare(self, root: Path) -> tuple[Dataset, list[DataFile]]:
        """A dataset at the point where the run will publish; its staged files."""
        dataset = self.dataset(LocalStore(str(root)))
        files = []
        if self.remembers:
            remember(dataset, "first", OLD)
            stage_memory(dataset, "run")
        else:
            publish(dataset, "first", OLD)
        files += stage(dataset, "run", NEW)
        if self.remembers:
            stage_keys(dataset, "run", 2, files)
        if self.replaces:
            assert dataset.store.link(OLD[1], f"{STAGING}/run/files/{OLD[1]}")
            files.append(dataset.snapshot().files[OLD[1]])
        return dataset, files

    def carry_out(self, store: Store, files: list[DataFile]) -> Commit:
        """Publish, with any store at the dataset's place."""
        return self.dataset(store).publish(
            "compact",
            "run",
            1,
            f"{STAGING}/run/files",
            files,
            removed=[OLD[0], OLD[2]],
            replaces=[DAY] if self.replaces else [],
            memory=memory_path("run") if self.remembers else "",
        )

    @staticmethod
    def expected(*, done: bool) -> dict[str, str]:
        """What is visible."""
        return by("first", OLD[1:2]) | by("run", NEW) if done else by("first", OLD)


ADDS = Publication(replaces=False)
REPLACES = Publication(replaces=True)
REMEMBERS = Publication(replaces=False, remembers=True)


def is_decided(dataset: Dataset, number: int) -> bool:
    """Whether there is a manifest of this number, carried out or not."""
    return any(dataset.store.exists(f"{it}/{number:08d}.json") for it in (PENDING, COMMITS))


def check_recovered(dataset: Dataset, publication: Publication, *, done: bool) -> None:
    """The dataset is as it should be after a kill, while the next writer has it."""
    assert visible(dataset) == publication.expected(done=done)
    assert listed(dataset) == sorted(visible(dataset))
    assert dataset.store.names(PENDING) == []
    assert dataset.store.names(STAGING) == ([] if done else ["run"])
    assert [name for name in runs(dataset) if name] == (["first", "run"] if done else ["first"])
    assert dataset.snapshot() == summed(dataset)
    if publication.remembers:
        assert remembered(dataset) == f"what {'run' if done else 'first'} remembers"
        assert dataset.checkpoints()[-1] == dataset.snapshot().head
        assert with_keys(dataset) == listed(dataset)


@pytest.mark.parametrize("seized", [False, True], ids=["released", "seized"])
@pytest.mark.parametrize(
    ("publication", "could_swap", "can_swap"),
    [
        pytest.param(ADDS, True, True, id="adds"),
        pytest.param(REPLACES, True, True, id="swaps"),
        pytest.param(REPLACES, False, False, id="replaces-file-by-file"),
        pytest.param(REPLACES, True, False, id="swaps-then-file-by-file"),
        pytest.param(REPLACES, False, True, id="file-by-file-then-swaps"),
        pytest.param(REMEMBERS, True, True, id="remembers"),
    ],
)
def test_a_publication_killed_at_any_step_is_whole_or_not_at_all(
    tmp_path: Path, publication: Publication, could_swap: bool, can_swap: bool, seized: bool
) -> None:
    outcomes = set()
    for step in itertools.count():
        root = tmp_path / f"{step}"
        dataset, files = publication.prepare(root)
        try:
            publication.carry_out(StepwiseStore(str(root), at_step(step, die), could_swap), files)
        except Killed:
            done = is_decided(dataset, 2)
        else:
            break
        if seized:
            leave_lease(dataset)
        next_writer = publication.dataset(StepwiseStore(str(root), lambda: None, can_swap))
        with next_writer.writing("next"):
            check_recovered(next_writer, publication, done=done)
            after = ["failures/date=2026-01-02/after.parquet"]
            (remember if publication.remembers else publish)(next_writer, "after", after)
        if publication.remembers:
            assert dataset.store.names(FEEDS) == ["after.jsonl.gz"]
            assert with_keys(dataset) == listed(dataset)
        assert listed(dataset) == sorted(visible(dataset))
        outcomes.add(done)
    assert outcomes == {False, True}
    assert visible(dataset) == publication.expected(done=True)


@pytest.mark.slow
@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "file-by-file"])
def test_a_recovery_killed_at_any_step_is_finished_by_the_next(tmp_path: Path, swaps: bool) -> None:
    for step in itertools.count():
        template = tmp_path / f"{step}"
        dataset, files = REPLACES.prepare(template)
        try:
            REPLACES.carry_out(StepwiseStore(str(template), at_step(step, die), swaps), files)
        except Killed:
            if not is_decided(dataset, 2):
                continue  # there is nothing to recover
        else:
            break
        leave_lease(dataset)
        for second_step in itertools.count():
            root = tmp_path / f"{step}-{second_step}"
            shutil.copytree(template, root)
            store = StepwiseStore(str(root), at_step(second_step, die), swaps)
            recovered = False
            try:
                with Dataset(store).writing("killed, too"):
                    recovered = True
            except Killed:
                pass
            with Dataset(LocalStore(str(root))).writing("next"):
                check_recovered(Dataset(LocalStore(str(root))), REPLACES, done=True)
            shutil.rmtree(root)
            if recovered:
                break


# ── asleep at any step ──────────────────────────────────────────────────────────────────────────

FINISHED_BY_OTHER = "the commit is decided, and the next run finishes it"
OTHERS = ["failures/date=2026-01-02/other.parquet"]


@pytest.mark.parametrize(
    ("publication", "swaps"),
    [
        pytest.param(ADDS, True, id="adds"),
        pytest.param(REPLACES, True, id="swaps"),
        pytest.param(REPLACES, False, id="replaces-file-by-file"),
        pytest.param(REMEMBERS, True, id="remembers"),
    ],
)
def test_a_writer_that_was_taken_for_dead_adds_all_or_nothing(
    tmp_path: Path, publication: Publication, swaps: bool
) -> None:
    """It falls asleep before a step, another writer comes and goes, and it wakes and goes on."""
    outcomes = set()
    for step in itertools.count():
        root = tmp_path / f"{step}"
        dataset, files = publication.prepare(root)
        leave_lease(dataset)
        slept = False

        def sleep(dataset: Dataset = dataset) -> None:
            nonlocal slept
            slept = True
            with dataset.writing("other"):
                (remember if publication.remembers else publish)(dataset, "other", OTHERS)

        try:
            publication.carry_out(StepwiseStore(str(root), at_step(step, sleep), swaps), files)
            outcome = "published"
        except Conflict:
            outcome = "refused"
        except PublishError as error:
            outcome = str(error).rpartition("; ")[2]
        if not slept:
            break
        assert outcome in {"published", "refused", FINISHED_BY_OTHER}
        done = outcome != "refused"
        assert ("run" in runs(dataset)) == done
        assert "other" in runs(dataset)
        with dataset.writing("next"):
            pass
        assert visible(dataset) == publication.expected(done=done) | by("other", OTHERS)
        assert listed(dataset) == sorted(visible(dataset))
        assert dataset.store.names(PENDING) == []
        assert dataset.snapshot() == summed(dataset)
        if publication.remembers:
            assert remembered(dataset) == "what other remembers"
            assert with_keys(dataset) == listed(dataset)
        for number in dataset.checkpoints():
            assert dataset.checkpoint(number).snapshot.head == number
        outcomes.add(outcome)
    assert outcomes >= {"published", "refused"}


def test_whoever_takes_over_keeps_the_sleeper_from_publishing_even_if_it_fails_itself(
    dataset: Dataset,
) -> None:
    """The third writer finds a lease that was given back, and has no reason to be careful."""
    files = stage(dataset, "sleeper", NEW)
    leave_lease(dataset)
    with pytest.raises(KeyError), dataset.writing("second"):
        raise KeyError
    with dataset.writing("third"):
        dataset.store.delete_folder(f"{STAGING}/sleeper")
    stage(dataset, "sleeper", NEW)  # it wakes and goes on
    with pytest.raises(Conflict):
        dataset.publish("ingest", "sleeper", 0, f"{STAGING}/sleeper/files", files)
    assert visible(dataset) == {}


@pytest.mark.slow
def test_in_a_bucket_a_sleeper_is_refused_and_a_killed_commit_finished(
    request: pytest.FixtureRequest,
) -> None:
    store: Store = request.getfixturevalue("minio").new_store()
    dataset = Dataset(store)
    publish(dataset, "first", OLD)
    files = stage(dataset, "sleeper", ["articles/x/never.parquet"])
    killed = Commit(
        2, "compact", "run", f"{STAGING}/run/files", tuple(stage(dataset, "run", NEW)), OLD[:1]
    )
    assert store.create(f"{PENDING}/{killed.name}", killed.encode())
    store.move([(f"{STAGING}/run/files/{NEW[0]}", NEW[0])])
    leave_lease(dataset)
    with dataset.writing("next"):
        assert visible(dataset) == by("first", OLD[1:]) | by("run", NEW)
        assert store.names(STAGING) == ["sleeper"]
    with pytest.raises(Conflict):
        dataset.publish("ingest", "sleeper", 1, f"{STAGING}/sleeper/files", files)
    assert runs(dataset) == ["first", "run"]
    assert store.names(PENDING) == []


# ── datasets of schema version 1 ────────────────────────────────────────────────────────────────


@pytest.fixture
def old(tmp_path: Path) -> Dataset:
    """A dataset as schema version 1 wrote it, with the file that it left as its lock."""
    root = tmp_path / "news"
    shutil.copytree(DATASET_V1, root)
    (root / "_newsbeam" / "lock").touch()
    return Dataset(LocalStore(str(root)))


def files_on_disk(dataset: Dataset) -> list[str]:
    return sorted(file.path for table in TABLES for file in dataset.store.list_files(table))


def test_an_old_dataset_is_read(old: Dataset) -> None:
    snapshot = old.checked_snapshot()
    assert snapshot.head == 0
    assert sorted(snapshot.files) == files_on_disk(old)
    assert all(snapshot.table(table) for table in TABLES)
    assert len(list(old.commits())) == 3


def test_an_old_dataset_is_appended_to(old: Dataset) -> None:
    before = files_on_disk(old)
    with old.writing("newsbeam ingest"):
        publish(old, "run", NEW)
    assert listed(old) == files_on_disk(old) == sorted([*before, *NEW])
    assert old.snapshot().head == 1


def test_a_file_of_an_old_dataset_can_be_removed(old: Dataset) -> None:
    before = files_on_disk(old)
    publish(old, "run", NEW, removed=before[:3])
    assert listed(old) == files_on_disk(old) == sorted([*before[3:], *NEW])


@pytest.mark.parametrize("share", [0, 0.5, 1], ids=["none", "half", "all"])
def test_what_an_old_program_had_begun_to_publish_is_finished(old: Dataset, share: float) -> None:
    before = files_on_disk(old)
    root = Path(old.store.url)
    manifest = max((root / "_newsbeam" / "runs").iterdir())
    files = json.loads(manifest.read_bytes())["files"]
    staging = root / "_newsbeam" / "staging" / manifest.stem
    for path in files[round(len(files) * share) :]:
        (staging / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).replace(staging / path)
    pending = manifest.rename(manifest.with_suffix(".pending.json"))
    assert len(old.snapshot().files) == len(before) - len(files)
    with old.writing("newsbeam ingest"):
        assert listed(old) == files_on_disk(old) == before
    assert manifest.exists()
    assert not pending.exists()
    assert not staging.exists()


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class CountingStore(LocalStore):
    """A local store that notes what is read."""

    reads: list[str]

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return super().read(path)


def publish_empty(dataset: Dataset, first: int, last: int) -> None:
    """Publish commits of these numbers that change nothing."""
    for number in range(first, last + 1):
        dataset.publish("ingest", f"run-{number}", number - 1, "", [])


def test_a_snapshot_reads_the_manifests_after_the_last_checkpoint_alone(tmp_path: Path) -> None:
    publish(Dataset(LocalStore(str(tmp_path))), "first", OLD)
    publish_empty(Dataset(LocalStore(str(tmp_path))), 2, 200)
    dataset = Dataset(CountingStore(str(tmp_path), []))
    assert dataset.snapshot() == summed(Dataset(LocalStore(str(tmp_path))))
    assert isinstance(dataset.store, CountingStore)
    # The checkpoint after commit 192 with its manifest, and the eight that follow.
    assert len(dataset.store.reads) == 2 + 200 - 3 * CHECKPOINT_EVERY
    assert sorted(dataset.snapshot().files) == sorted(OLD)


def test_the_last_two_checkpoints_are_kept(dataset: Dataset) -> None:
    often = Dataset(dataset.store, checkpoint_every=3)
    publish_empty(often, 1, 2)
    assert often.checkpoints() == []
    publish_empty(often, 3, 10)
    assert often.checkpoints() == [6, 9]


def test_a_checkpoint_is_the_same_whoever_writes_it(tmp_path: Path) -> None:
    dataset = Dataset(LocalStore(str(tmp_path)), checkpoint_every=1)
    remember(dataset, "first", OLD)
    before = dataset.store.read(checkpoint_path(1))
    commit = dataset.store.read(f"{COMMITS}/00000001.json")
    dataset.store.write(f"{PENDING}/00000001.json", commit)
    with dataset.writing("next"):
        assert dataset.store.read(checkpoint_path(1)) == before


_FILES = st.builds(DataFile, _NAMES, st.integers(-1), st.integers(-1), _NAMES)
_CHECKPOINTS = st.builds(
    Checkpoint,
    st.builds(
        Snapshot,
        st.integers(0),
        st.lists(_FILES, max_size=3).map(lambda files: {file.path: file for file in files}),
        st.sampled_from(["", memory_path("20260630T120000Z-0a1b2c")]),
    ),
    manifest_sha256=_NAMES,
    old_runs=st.lists(_NAMES, max_size=3).map(tuple),
)


@given(_CHECKPOINTS)
def test_a_checkpoint_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    assert Checkpoint.decode(checkpoint.encode(), "here") == checkpoint


@given(_CHECKPOINTS, st.data())
def test_a_checkpoint_that_was_cut_or_has_flipped_bytes_is_never_read_as_another(
    checkpoint: Checkpoint, data: st.DataObject
) -> None:
    content = bytearray(checkpoint.encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    read: list[Checkpoint] = []
    said = refusal(lambda: read.append(Checkpoint.decode(kept, "here")))
    assert (said, read) == ("", [checkpoint]) or ("here" in said and not read)


def test_a_checkpoint_whose_content_has_another_hash_is_damaged(dataset: Dataset) -> None:
    publish(Dataset(dataset.store, checkpoint_every=1), "first", OLD)
    content = gzip.decompress(dataset.store.read(checkpoint_path(1)))
    changed = gzip.compress(content.replace(b"old-1", b"old-3"))
    with pytest.raises(DatasetError, match="here is damaged: it has another SHA-256"):
        Checkpoint.decode(changed, "here")


_NEW_FILES = st.sets(st.sampled_from([*OLD, *NEW]), max_size=3)
_STEPS = st.one_of(
    st.tuples(st.just("commit"), _NEW_FILES, st.sets(st.integers(0, 6), max_size=2), st.booleans()),
    st.tuples(st.sampled_from(["damage", "lose", "swap"]), st.integers(0, 5)),
)


def harm_checkpoint(dataset: Dataset, how: str, which: int) -> None:
    """Do something to a checkpoint that leaves it of no use."""
    numbers = dataset.checkpoints()
    if not numbers:
        return
    path = checkpoint_path(numbers[which % len(numbers)])
    if how == "lose":
        lose(dataset, path)
    elif how == "damage":
        cut(dataset, path)
    else:
        dataset.store.write(path, dataset.store.read(checkpoint_path(numbers[0])))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.lists(_STEPS, max_size=12))
def test_a_snapshot_is_the_same_with_checkpoints_and_without(
    every: int, is_old: bool, steps: list[tuple[Any, ...]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(LocalStore(folder), every)
        if is_old:
            content = json.dumps({"files": [*OLD, "articles/x/old.parquet"]}).encode()
            dataset.store.write("_newsbeam/runs/run-1.json", content)
        for number, (kind, *rest) in enumerate(steps):
            if kind != "commit":
                harm_checkpoint(dataset, kind, rest[0])
            else:
                paths, places, has_memory = rest
                before = summed(dataset)
                dataset.publish(
                    "ingest",
                    f"run-{number}",
                    before.head,
                    f"{STAGING}/run-{number}/files",
                    stage(dataset, f"run-{number}", paths),
                    removed=[path for at, path in enumerate(sorted(before.files)) if at in places],
                    memory=stage_memory(dataset, f"run-{number}") if has_memory else "",
                )
            assert dataset.snapshot() == summed(dataset)


@pytest.fixture
def four(dataset: Dataset) -> Dataset:
    """A dataset of four commits with checkpoints after the second and the fourth."""
    often = Dataset(dataset.store, checkpoint_every=2)
    publish(often, "one", OLD)
    publish(often, "two", NEW)
    publish_empty(often, 3, 4)
    return often


def test_a_manifest_that_is_missing_after_the_checkpoint_is_named(four: Dataset) -> None:
    publish_empty(Dataset(four.store), 5, 6)
    lose(four, f"{COMMITS}/00000005.json")
    with pytest.raises(DatasetError, match=r"00000005\.json is missing; put it back"):
        four.snapshot()


def test_a_manifest_that_is_missing_before_the_checkpoint_is_not_needed(four: Dataset) -> None:
    """``verify`` names it."""
    lose(four, f"{COMMITS}/00000001.json")
    assert listed(four) == sorted([*OLD, *NEW])
    assert "00000001.json is missing" in refusal(lambda: list(four.commits()))


def test_a_checkpoint_without_its_own_manifest_is_passed_over(four: Dataset) -> None:
    publish_empty(Dataset(four.store), 5, 5)
    lose(four, f"{COMMITS}/00000004.json")
    with pytest.raises(DatasetError, match=r"00000004\.json is missing; put it back"):
        four.snapshot()


def test_a_checkpoint_of_a_newer_newsbeam_is_passed_over(four: Dataset) -> None:
    newer = replace(four.checkpoint(4), snapshot=Snapshot(4, {}), schema_version=SCHEMA_VERSION + 1)
    four.store.write(checkpoint_path(4), newer.encode())
    assert listed(four) == sorted([*OLD, *NEW])


def test_a_checkpoint_of_a_log_that_was_put_back_from_a_copy_is_passed_over(
    four: Dataset,
) -> None:
    """The manifests after the copy were lost, and others came; a program without checkpoints."""
    for number in (3, 4):
        lose(four, f"{COMMITS}/{number:08d}.json")
    assert four.snapshot().head == 2
    publish(Dataset(four.store), "another three", ["articles/x/three.parquet"])
    publish(Dataset(four.store), "another four", ["articles/x/four.parquet"])
    assert four.checkpoints() == [2, 4]
    assert four.snapshot() == summed(four)


def test_an_old_manifest_that_is_not_in_a_checkpoint_makes_it_useless(four: Dataset) -> None:
    content = json.dumps({"files": ["articles/x/old.parquet"]}).encode()
    four.store.write("_newsbeam/runs/run-1.json", content)
    assert "articles/x/old.parquet" in four.snapshot().files


def test_checkpoints_without_commits_mean_nothing(four: Dataset) -> None:
    four.store.delete_folder(COMMITS)
    assert four.snapshot() == Snapshot(0, {})


# ── damage ──────────────────────────────────────────────────────────────────────────────────────


def write_parquet(dataset: Dataset, path: str, version: int = SCHEMA_VERSION) -> None:
    metadata = {"newsbeam.schema_version": str(version)}
    table = pa.table({"number": [1, 2, 3]}).replace_schema_metadata(metadata)
    with dataset.store.writer(path) as file:
        pq.write_table(table, file)


def test_a_file_that_no_manifest_lists_is_taken_in(dataset: Dataset) -> None:
    publish(dataset, "run", OLD)
    write_parquet(dataset, NEW[0])
    assert listed(dataset) == sorted([*OLD, NEW[0]])
    assert sorted(dataset.snapshot().files) == sorted(OLD)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and then nothing", b"<html>" * 100])
def test_a_stray_file_that_is_no_parquet_file_is_named(dataset: Dataset, content: bytes) -> None:
    dataset.store.write(NEW[0], content)
    with pytest.raises(DatasetError, match=r"new\.parquet is damaged or unreadable: .") as raised:
        dataset.checked_snapshot()
    assert "\n" not in str(raised.value)


@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_stray_file_with_flipped_bytes_is_read_or_refused(flips: list[tuple[int, int]]) -> None:
    """Its footer tells the version; pyarrow has many ways to say that one is damaged."""
    content = bytearray(_A_PARQUET_FILE.read_bytes())
    footer_bytes = int.from_bytes(content[-8:-4], "little") + 8
    for at, mask in flips:
        content[-1 - at % footer_bytes] ^= mask
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(LocalStore(folder))
        dataset.store.write(NEW[0], bytes(content))
        said = refusal(dataset.checked_snapshot)
    assert said == "" or "new.parquet" in said


_A_PARQUET_FILE = min((DATASET_V1 / "articles").rglob("*.parquet"))


def test_a_file_of_a_newer_schema_is_refused(dataset: Dataset) -> None:
    write_parquet(dataset, NEW[0], version=SCHEMA_VERSION + 1)
    with pytest.raises(DatasetError, match=r"new\.parquet has schema version .* use a newer one"):
        dataset.checked_snapshot()


def test_a_manifest_of_a_newer_schema_is_refused(dataset: Dataset) -> None:
    commit = Commit(1, "ingest", "run", schema_version=SCHEMA_VERSION + 1)
    dataset.store.write(f"{COMMITS}/{commit.name}", commit.encode())
    with pytest.raises(DatasetError, match=r"00000001\.json is of schema version .*newer one"):
        dataset.snapshot()


def test_a_listed_file_that_is_missing_is_named(dataset: Dataset) -> None:
    publish(dataset, "run", OLD)
    lose(dataset, OLD[1])
    with pytest.raises(DatasetError, match=r"old-2\.parquet is missing"):
        dataset.checked_snapshot()


def test_a_listed_file_of_another_size_is_named(dataset: Dataset) -> None:
    publish(dataset, "run", OLD)
    cut(dataset, OLD[1])
    with pytest.raises(DatasetError, match=r"old-2\.parquet is damaged: it has \d+ bytes, and its"):
        dataset.checked_snapshot()


def test_a_manifest_that_is_missing_between_others_is_named(dataset: Dataset) -> None:
    for run_id in ("one", "two", "three"):
        publish(dataset, run_id, [])
    dataset.store.delete([f"{COMMITS}/00000002.json"])
    with pytest.raises(DatasetError, match=r"00000002\.json is missing; put it back"):
        dataset.snapshot()


def test_a_manifest_under_the_number_of_another_is_named(dataset: Dataset) -> None:
    for run_id in ("one", "two"):
        publish(dataset, run_id, [])
    dataset.store.write(f"{COMMITS}/00000002.json", dataset.store.read(f"{COMMITS}/00000001.json"))
    with pytest.raises(DatasetError, match=r"00000002\.json is damaged \(it is that of commit 1\)"):
        dataset.snapshot()


def test_a_damaged_manifest_is_named(dataset: Dataset) -> None:
    publish(dataset, "run", OLD)
    cut(dataset, f"{COMMITS}/00000001.json")
    with pytest.raises(DatasetError, match=r"news/_newsbeam/commits/00000001\.json is damaged"):
        dataset.snapshot()


@pytest.mark.parametrize("content", [b"", b'{"files": ["art', b"[]", b'{"files": 3}'])
def test_a_damaged_old_manifest_is_named(dataset: Dataset, content: bytes) -> None:
    dataset.store.write("_newsbeam/runs/run-1.json", content)
    with pytest.raises(DatasetError, match=r"run-1\.json is damaged"):
        dataset.snapshot()


@pytest.mark.parametrize("name", ["pending/00000001.json", "runs/run-1.pending.json"])
def test_nobody_writes_to_a_dataset_whose_pending_commit_is_damaged(
    dataset: Dataset, name: str
) -> None:
    dataset.store.write(f"_newsbeam/{name}", b'{"files": ["art')
    for _ in range(2):  # and the lease is given back
        with pytest.raises(DatasetError, match=rf"{name} is damaged"), dataset.writing("next"):
            pass


def test_a_pending_file_that_is_nowhere_is_named(dataset: Dataset) -> None:
    files = tuple(stage(dataset, "run", NEW))
    commit = Commit(1, "ingest", "run", f"{STAGING}/run/files", files)
    dataset.store.write(f"{PENDING}/{commit.name}", commit.encode())
    lose(dataset, f"{STAGING}/run/files/{NEW[0]}")
    with (
        pytest.raises(DatasetError, match=r"new\.parquet, which is neither staged nor published"),
        dataset.writing("next"),
    ):
        pass


# ── outputs that cannot be written to ───────────────────────────────────────────────────────────


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "news").write_text("")
    dataset = Dataset(LocalStore(str(tmp_path / "news")))
    with pytest.raises(UsageError, match="news is a file, not a folder"), dataset.writing("next"):
        pass


def test_an_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "news").write_text("")
    dataset = Dataset(LocalStore(str(tmp_path / "news" / "today")))
    with (
        pytest.raises(UsageError, match=r"cannot write to the output .*today: Not a directory"),
        dataset.writing("next"),
    ):
        pass


AS_NOBODY = """
import os, sys
from pipelines.config import UsageError
from pipelines.dataset import Dataset
from transforms.storage import LocalStore
if os.geteuid() == 0:  # whom no permission binds
    os.setgid(65534)
    os.setuid(65534)
try:
    with Dataset(LocalStore(sys.argv[1])).writing("newsbeam ingest"):
        print("it could be written to")
except UsageError as error:
    print(error)
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users can reach, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("output", "mode"), [("news", 0o555), ("news/of/today", 0o555), ("news/today", 0o000)]
)
def test_an_output_without_permission_to_write_is_refused(
    reachable: Path, output: str, mode: int
) -> None:
    (reachable / "news").mkdir()
    (reachable / "news").chmod(mode)
    command = [sys.executable, "-c", AS_NOBODY, str(reachable / output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == (f"cannot write to the output {reachable / output}: Permission denied\n")


# ── reading exactly what the manifests say ──────────────────────────────────────────────────────

EXACT_READ = (
    "SET VARIABLE files = (WITH log AS (FROM read_json('news/_newsbeam/[cr]*s/*[0-9a-f].json', "
    "columns = {number: 'BIGINT', files: 'JSON[]', removed: 'VARCHAR[]'})), changes AS ("
    "SELECT true AS added, coalesce(number, 0) AS number, unnest(files) AS file FROM log "
    "UNION ALL SELECT false, number, to_json(unnest(removed)) FROM log) "
    "SELECT list('news/' || path) FROM (SELECT coalesce(file->>'path', file->>'$') AS path, "
    "arg_max(added, 2 * number + added::INT) AS there FROM changes GROUP BY path) "
    "WHERE there AND path LIKE 'articles/%'); "
    "FROM read_parquet(getvariable('files'), hive_partitioning = true, union_by_name = true)"
)
"""The line of docs/data-model.md."""


def exact_read(root: Path) -> list[dict[str, object]]:
    with duckdb.connect() as connection:
        connection.execute(EXACT_READ.replace("news/", f"{root}/"))
        names = [column[0] for column in connection.description]
        return [dict(zip(names, row, strict=True)) for row in connection.fetchall()]


def write_articles(dataset: Dataset, run_id: str, names: Iterable[str]) -> list[DataFile]:
    """Stage files of one row each, which says what file it is from."""
    files = []
    for name in names:
        path = f"{DAY}/{name}.parquet"
        with dataset.store.writer(f"{STAGING}/{run_id}/{path}") as file:
            pq.write_table(pa.table({"name": [name]}), file)
        files.append(DataFile(path, 1, file.size_bytes, file.sha256))
    return files


def test_duckdb_reads_exactly_what_the_manifests_list(dataset: Dataset) -> None:
    files = write_articles(dataset, "first", ["kept", "removed", "removed-and-back"])
    dataset.publish("ingest", "first", 0, f"{STAGING}/first", files)
    files = write_articles(dataset, "second", ["new"])
    gone = [f"{DAY}/removed.parquet", f"{DAY}/removed-and-back.parquet"]
    dataset.publish("compact", "second", 1, f"{STAGING}/second", files, removed=gone)
    files = write_articles(dataset, "third", ["removed-and-back"])
    dataset.publish("ingest", "third", 2, f"{STAGING}/third", files)
    # Half a commit, another's file, and a lease, which is JSON too.
    dataset.store.move([(f"{STAGING}/x/{DAY}/stray.parquet", f"{DAY}/stray.parquet")
                        for _ in write_articles(dataset, "x", ["stray"])])  # fmt: skip
    pending = Commit(4, "ingest", "x", files=(DataFile(f"{DAY}/stray.parquet", 1),))
    dataset.store.write(f"{PENDING}/{pending.name}", pending.encode())
    leave_lease(dataset)
    dataset.store.write(checkpoint_path(3), b"not JSON, nor a manifest")
    rows = exact_read(Path(dataset.store.url))
    assert sorted(str(row["name"]) for row in rows) == ["kept", "new", "removed-and-back"]
    assert {row["topic"] for row in rows} == {"sport"}


def test_duckdb_reads_exactly_what_the_old_manifests_list(old: Dataset) -> None:
    articles = [file.path for file in old.snapshot().table("articles")]
    runs_folder = Path(old.store.url) / "_newsbeam" / "runs"
    (runs_folder / "20260801T120000Z-aaaaaa.pending.json").write_text('{"files": ["articles/x"]}')
    files = write_articles(old, "new", ["new"])
    old.publish("compact", "new", 0, f"{STAGING}/new", files, removed=articles[:2])
    expected = sum(pq.read_metadata(Path(old.store.url) / path).num_rows for path in articles[2:])
    assert len(exact_read(Path(old.store.url))) == expected + 1
