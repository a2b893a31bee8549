"""Killed with -9 at any moment and run again, a dataset holds what an undisturbed run gives.

The kills are real: a process sends itself SIGKILL (``killed_run`` says how). What Python has not
handed to the system by then is lost; what it has is kept, as at any kill.
"""

from __future__ import annotations

import datetime
import itertools
import json
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from killed_run import PHASES, Change, Ending, Kill, RunServer, run_server
from source_factory import mend_sources, write_earlier_sources, write_sources

from pipelines.dataset import PENDING, STAGING, DataFile, local_dataset
from pipelines.verify import verify
from schemas.arrow import TABLES

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="needs /proc, as Linux has it"
)

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(hours=1)
"""When a run that was killed is run again."""
STORIES = 150
"""Of which 218 files are made."""
OPTIONS = {"slice_files": 60, "compact_after": 2}
DEADLINE_SECONDS = 120.0

POINTS = {
    "lease": 2,
    "plan": 2,
    "extract": 6,
    "decide": 3,
    "enrich": 3,
    "assemble": 3,
    "pending": 4,
    "move": 4,
    "commit": 2,
    "clear": 3,
    "compact: rewrite": 2,
    "compact: pending": 4,
    "compact: move": 4,
    "compact: commit": 2,
    "compact: clear": 2,
    "release": 1,
}
"""At how many changes of each phase a run is killed: at least 40, of the two commits most."""
KILLED_AGAIN = (0, 0, 0, 0, 7, 0, 0, 0, 0, 14, 0, 0, 0, 0, 30)
"""Before which change the second process of a trial is killed as well, in turn; 0 for never."""


# ── what is in a dataset ────────────────────────────────────────────────────────────────────────


def rows(dataset: Path, without: tuple[str, ...] = ("run_id", "resolved_by")) -> Counter[str]:
    """Every row with its partition, but for some columns."""
    found: Counter[str] = Counter()
    for table in TABLES:
        for path in (dataset / table).glob("**/*.parquet"):
            partition = str(path.parent.relative_to(dataset))
            for row in pq.ParquetFile(path).read().to_pylist():
                kept = {name: value for name, value in row.items() if name not in without}
                where = table if "observed_at" in without else partition
                found[f"{where} {json.dumps(kept, default=str, sort_keys=True)}"] += 1
    return found


def files_of_partitions(dataset: Path) -> Counter[str]:
    """How many files each partition has."""
    return Counter(
        str(path.parent.relative_to(dataset))
        for table in TABLES
        for path in (dataset / table).glob("**/*.parquet")
    )


def kinds_of_commits(dataset: Path) -> list[str]:
    """The kinds of the commits that added files, in order."""
    return [commit.kind for commit in local_dataset(str(dataset)).commits() if commit.files]


def differences(dataset: Path, expected: Path) -> Iterator[str]:
    """What is wrong with a dataset that should be as another, and lie in as many files."""
    checked = verify(local_dataset(str(dataset)))
    for check in checked.checks:
        yield from check.faults
    found, wanted = rows(dataset), rows(expected)
    for what, difference in (("missing", wanted - found), ("too much", found - wanted)):
        if difference:
            yield f"{difference.total()} rows are {what}, such as {min(difference)[:2_000]}"
    if files_of_partitions(dataset) != files_of_partitions(expected):
        yield "it lies in other files"
    if kinds_of_commits(dataset) != kinds_of_commits(expected):
        yield f"the commits that added files are {kinds_of_commits(dataset)}"
    for folder in (STAGING, PENDING):
        if names := local_dataset(str(dataset)).store.names(folder):
            yield f"{folder} holds {names}"
    for table in (*TABLES, STAGING):
        if torn := list((dataset / table).glob("**/*.partial")):
            yield f"{torn} is left"


# ── killed at any point ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Undisturbed:
    """What runs that nobody kills make of the sources."""

    sources: Path
    base: Path
    """A dataset of what was in the sources before."""
    now: Path
    """The base, and what a run at ``NOW`` adds."""
    later: Path
    """The same at ``LATER``."""
    changes: list[Change]
    """What the run at ``NOW`` did, in order."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunServer]]:
    """Two servers, so that two trials go on at a time."""
    with ExitStack() as stack:
        folders = [tmp_path_factory.mktemp("server") for _ in range(2)]
        yield [stack.enter_context(run_server(folder, ingests=True)) for folder in folders]


@pytest.fixture(scope="module")
def undisturbed(servers: list[RunServer], tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    sources, base, now, later = (folder / name for name in ("sources", "base", "now", "later"))
    write_earlier_sources(sources, STORIES)
    servers[0].ingest(sources, base, NOW - datetime.timedelta(days=1))
    write_sources(sources, STORIES)
    shutil.copytree(base, now)
    shutil.copytree(base, later)
    first = servers[0].ingest(sources, now, NOW, **OPTIONS)
    servers[0].ingest(sources, later, LATER, **OPTIONS)
    return Undisturbed(sources, base, now, later, first.changes)


def points(changes: list[Change]) -> list[Kill]:
    """Where to kill: spread evenly over each phase; every second writing is torn."""
    chosen: list[Kill] = []
    for phase, count in POINTS.items():
        of_phase = [change for change in changes if change.phase == phase]
        for place in range(count):
            change = of_phase[(2 * place + 1) * len(of_phase) // (2 * count)]
            torn = change.operation in ("rename", "link") and place % 2 == 1
            chosen.append(Kill(phase, change.number, torn))
    return chosen


def trial(
    server: RunServer, undisturbed: Undisturbed, output: Path, kill: Kill, again: int
) -> list[str]:
    """Kill a run at a point, run it to its end, and say what is wrong then."""

    def run(now: datetime.datetime, at: Kill | None) -> Ending:
        return server.ingest(undisturbed.sources, output, now, at, **OPTIONS)

    shutil.copytree(undisturbed.base, output)
    first = run(NOW, kill)
    if first.signal != signal.SIGKILL or first.killed_at is None:
        return [f"it was not killed: {first}"]
    if (first.killed_at.phase, first.killed_at.number) != (kill.phase, kill.number):
        return [f"it was killed at {first.killed_at}"]
    if again:
        second = run(LATER, Kill("", again))
        if second.signal != signal.SIGKILL:
            return [f"it was not killed again: {second}"]
    last = run(LATER, None)
    if last.signal or last.exit_code or not last.report["balanced"]:
        return [f"it did not come to its end: {last}"]
    # What was seen is dated by the process that planned the run, and only the plan makes it last.
    is_planned = kill.phase not in ("lease", "plan")
    found = list(differences(output, undisturbed.now if is_planned else undisturbed.later))
    if not found:
        shutil.rmtree(output)
    return found


@pytest.mark.slow
def test_a_run_killed_at_any_point_and_run_again_gives_the_undisturbed_dataset(
    servers: list[RunServer], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    kills = points(undisturbed.changes)
    assert len(set(kills)) == len(kills) >= 40
    assert {kill.phase for kill in kills} == {it.phase for it in undisturbed.changes} == set(PHASES)
    free: queue.SimpleQueue[RunServer] = queue.SimpleQueue()
    for server in servers:
        free.put(server)

    def carry_out(number: int, kill: Kill, again: int) -> list[str]:
        server = free.get()
        try:
            return trial(server, undisturbed, tmp_path / str(number), kill, again)
        finally:
            free.put(server)

    with ThreadPoolExecutor(len(servers)) as threads:
        found = threads.map(carry_out, itertools.count(), kills, itertools.cycle(KILLED_AGAIN))
        wrong = {kill: faults for kill, faults in zip(kills, found, strict=True) if faults}
    assert wrong == {}


@pytest.mark.slow
def test_a_run_killed_again_and_again_gives_the_undisturbed_dataset(
    servers: list[RunServer], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Each process gets a little further than the last."""
    output = tmp_path / "news"
    shutil.copytree(undisturbed.base, output)
    reached = []
    for further in range(12, 1_000, 12):
        ending = servers[0].ingest(
            undisturbed.sources, output, NOW, Kill("", further, torn=True), **OPTIONS
        )
        if not ending.signal:
            break
        assert ending.killed_at is not None
        reached.append(ending.killed_at.phase)
    assert ending.report["balanced"]
    assert len(reached) >= 10
    assert {"extract", "assemble"} <= set(reached)
    assert list(differences(output, undisturbed.now)) == []


@pytest.mark.slow
def test_a_resumed_run_reads_no_source_of_a_slice_that_was_done(
    servers: list[RunServer], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    output = tmp_path / "news"
    shutil.copytree(undisturbed.base, output)
    third_slice = next(it for it in undisturbed.changes if "/slices/0002/" in it.path)
    kill = Kill("extract", third_slice.number)
    servers[0].ingest(undisturbed.sources, output, NOW, kill, **OPTIONS)
    [plan] = output.glob(f"{STAGING}/*/plan.json")
    slices = [
        {source[0].removeprefix("file://") for source in one["sources"]}
        for one in json.loads(plan.read_text(encoding="utf-8"))["slices"]
    ]
    resumed = servers[0].ingest(undisturbed.sources, output, LATER, **OPTIONS)
    assert resumed.report["resumed_slices"] == 2
    assert set(resumed.sources_read) == set.union(*slices[2:])
    assert list(differences(output, undisturbed.now)) == []


# ── killed in other runs ────────────────────────────────────────────────────────────────────────


def middle(changes: list[Change], phase: str, skipped: int = 0) -> Kill:
    """Half way through a phase, or through what is left of it after so many changes."""
    of_phase = [change for change in changes[skipped:] if change.phase == phase]
    return Kill(phase, of_phase[len(of_phase) // 2].number)


@pytest.mark.slow
def test_a_run_published_in_parts_killed_in_its_second_part_gives_the_undisturbed_dataset(
    servers: list[RunServer], tmp_path: Path
) -> None:
    sources = tmp_path / "sources"
    write_sources(sources, stories=30)
    options = {"publish_every_bytes": 28 << 10, "slice_files": 15}
    changes = servers[0].ingest(sources, tmp_path / "undisturbed", NOW, **options).changes
    assert kinds_of_commits(tmp_path / "undisturbed") == ["ingest", "ingest"]
    first_part = next(at for at, it in enumerate(changes) if it.phase == "clear")
    for phase in ("extract", "assemble", "move"):
        output = tmp_path / phase
        kill = middle(changes, phase, skipped=first_part)
        assert servers[0].ingest(sources, output, NOW, kill, **options).signal == signal.SIGKILL
        assert servers[0].ingest(sources, output, LATER, **options).report["balanced"]
        assert list(differences(output, tmp_path / "undisturbed")) == []


@pytest.mark.slow
def test_a_replay_killed_and_begun_again_gives_the_undisturbed_dataset(
    servers: list[RunServer], tmp_path: Path
) -> None:
    sources, base, undisturbed = (tmp_path / name for name in ("sources", "base", "undisturbed"))
    write_sources(sources, stories=30)
    servers[0].ingest(sources, base, NOW)
    mend_sources(sources, stories=30)
    shutil.copytree(base, undisturbed)
    ending = servers[0].replay(undisturbed, LATER)
    assert ending.report["retried"] == ending.report["resolved"] == 4
    for phase in ("extract", "decide", "enrich", "assemble", "pending", "move", "commit", "clear"):
        output = tmp_path / phase
        shutil.copytree(base, output)
        kill = middle(ending.changes, phase)
        assert servers[0].replay(output, LATER, kill).signal == signal.SIGKILL
        assert servers[0].replay(output, LATER).report["balanced"]
        assert list(differences(output, undisturbed)) == []


# ── a run of several processes ──────────────────────────────────────────────────────────────────


def workers_of(process_id: int) -> set[int]:
    """The worker processes of a run; processes that end meanwhile are no more."""
    found = set()
    for children in Path("/proc").glob(f"{process_id}/task/*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, children.read_text().split()):
                if b"pipelines.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(child)
    return found


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Look again and again; what a killed run needs to be caught at happens in no other process."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_of_two_workers_killed_and_run_again_gives_the_undisturbed_dataset(
    servers: list[RunServer], tmp_path: Path
) -> None:
    """Its workers end by themselves."""
    sources, output = tmp_path / "sources", tmp_path / "news"
    write_sources(sources, stories=30)
    servers[0].ingest(sources, tmp_path / "undisturbed", NOW)
    command = [sys.executable, "-m", "pipelines", "ingest", str(sources), "--output", str(output)]
    command += ["--workers=2", "--slice-size=28K", "--json"]
    before: set[int] = set()
    now: set[int] = set()

    def is_in_second_slice() -> bool:
        nonlocal before, now
        now = workers_of(process.pid)
        if not list(output.glob(f"{STAGING}/*/slices/0000/report.json")):
            before |= now
        return len(now - before) == 2

    with subprocess.Popen(command, cwd=ROOT) as process:
        wait_until(is_in_second_slice, process)
        process.kill()
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in now), process)
    assert list(local_dataset(str(output)).commits()) == []

    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout)["resumed_slices"] == 1
    assert verify(local_dataset(str(output))).clean
    without = ("run_id", "resolved_by", "observed_at")
    assert rows(output, without) == rows(tmp_path / "undisturbed", without)


# ── a single commit ─────────────────────────────────────────────────────────────────────────────

DAY = "articles/date=2026-01-01/topic=sport"
OLD = (f"{DAY}/old-1.parquet", f"{DAY}/old-2.parquet", "failures/date=2026-01-01/old.parquet")
NEW = (f"{DAY}/new.parquet", "duplicates/date=2026-01-01/new.parquet")


def prepare(root: Path, *, replaces: bool) -> list[DataFile]:
    """A dataset that holds ``OLD``, and beside it ``NEW``, staged; gives what is to be published.

    If it ``replaces`` a folder, what stays of it is staged, too.
    """
    dataset = local_dataset(str(root))
    for folder, paths in (("old", OLD), ("run", NEW)):
        files = []
        for path in paths:
            with dataset.store.writer(f"{STAGING}/{folder}/{path}") as file:
                file.write(path.encode())
            files.append(DataFile(path, 1, file.size_bytes, file.sha256))
        if folder == "old":
            dataset.publish("ingest", "old", 0, f"{STAGING}/old", files)
    if replaces:
        assert dataset.store.link(OLD[1], f"{STAGING}/run/{OLD[1]}")
        files.append(dataset.snapshot().files[OLD[1]])
    return files


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunServer]:
    with run_server(tmp_path_factory.mktemp("server"), ingests=False) as server:
        yield server


@pytest.mark.parametrize("replaces", [False, True], ids=["adds", "swaps"])
def test_a_commit_killed_at_any_change_is_carried_out_wholly_or_not_at_all(
    publisher: RunServer, tmp_path: Path, *, replaces: bool
) -> None:
    """The next writer finds it done, does it, or finds it staged as it was."""
    before, after = sorted(OLD), sorted([OLD[1], *NEW])
    seen = set()
    for number in itertools.count():
        root = tmp_path / str(number)
        files = [asdict(file) for file in prepare(root, replaces=replaces)]
        change = {"removed": [OLD[0], OLD[2]], "replaces": [DAY] if replaces else []}
        kill = Kill("", number, torn=True)
        ending = publisher.publish(root, ("run", 1, f"{STAGING}/run"), files, kill, **change)
        if not ending.signal:
            break
        dataset = local_dataset(str(root))
        with dataset.writing("the next writer"):
            pass
        there = sorted(file.path for table in TABLES for file in dataset.store.list_files(table))
        assert there == sorted(dataset.checked_snapshot().files)
        assert there in (before, after)
        assert dataset.store.names(STAGING) == ([] if there == after else ["run"])
        assert dataset.store.names(PENDING) == []
        assert ending.killed_at is not None
        seen.add((ending.killed_at.phase, there == after))
    assert ending.exit_code == 0
    assert {phase for phase, _ in seen} > {"pending", "move", "commit", "clear"}
    assert {done for _, done in seen} == {False, True}
