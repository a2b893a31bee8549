"""The commit log: what a dataset holds, whoever was killed or asleep while writing to it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import UsageError
from pipelines.dataset import (
    COMMITS,
    PENDING,
    STAGING,
    Commit,
    Conflict,
    DataFile,
    Dataset,
    DatasetError,
    PublishError,
)
from pipelines.lock import FOLDER as LEASES
from pipelines.lock import Lease
from schemas.arrow import SCHEMA_VERSION, TABLES
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


# ── the manifest ────────────────────────────────────────────────────────────────────────────────

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)
_COMMITS = st.builds(
    Commit,
    number=st.integers(1, 10**8),
    kind=_NAMES,
    run_id=_NAMES,
    staging=_NAMES,
    files=st.lists(
        st.builds(DataFile, _NAMES, st.integers(-1), st.integers(-1), _NAMES), max_size=3
    ).map(tuple),
    removed=st.lists(_NAMES, max_size=3).map(tuple),
    replaces=st.lists(_NAMES, max_size=3).map(tuple),
    schema_version=st.integers(1, SCHEMA_VERSION),
    details=st.dictionaries(_NAMES, _JSON, max_size=3),
)


@given(_COMMITS)
def test_a_manifest_is_read_as_it_was_written(commit: Commit) -> None:
    assert Commit.decode(commit.encode(), "here") == commit
    assert Commit.decode(commit.encode(), "here").encode() == commit.encode()


@given(_COMMITS, st.sampled_from(["number", "files", "removed", "staging", "schema_version"]))
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

    def prepare(self, root: Path) -> tuple[Dataset, list[DataFile]]:
        """A dataset at the point where the run will publish; its staged files."""
        dataset = Dataset(LocalStore(str(root)))
        publish(dataset, "first", OLD)
        files = stage(dataset, "run", NEW)
        if self.replaces:
            assert dataset.store.link(OLD[1], f"{STAGING}/run/files/{OLD[1]}")
            files.append(dataset.snapshot().files[OLD[1]])
        return dataset, files

    def carry_out(self, store: Store, files: list[DataFile]) -> Commit:
        """Publish, with any store at the dataset's place."""
        return Dataset(store).publish(
            "compact",
            "run",
            1,
            f"{STAGING}/run/files",
            files,
            removed=[OLD[0], OLD[2]],
            replaces=[DAY] if self.replaces else [],
        )

    @staticmethod
    def expected(*, done: bool) -> dict[str, str]:
        """What is visible."""
        return by("first", OLD[1:2]) | by("run", NEW) if done else by("first", OLD)


ADDS = Publication(replaces=False)
REPLACES = Publication(replaces=True)


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


@pytest.mark.parametrize("seized", [False, True], ids=["released", "seized"])
@pytest.mark.parametrize(
    ("publication", "could_swap", "can_swap"),
    [
        pytest.param(ADDS, True, True, id="adds"),
        pytest.param(REPLACES, True, True, id="swaps"),
        pytest.param(REPLACES, False, False, id="replaces-file-by-file"),
        pytest.param(REPLACES, True, False, id="swaps-then-file-by-file"),
        pytest.param(REPLACES, False, True, id="file-by-file-then-swaps"),
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
        next_writer = Dataset(StepwiseStore(str(root), lambda: None, can_swap))
        with next_writer.writing("next"):
            check_recovered(next_writer, publication, done=done)
            publish(next_writer, "after", ["failures/date=2026-01-02/after.parquet"])
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
                publish(dataset, "other", OTHERS)

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
