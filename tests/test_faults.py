"""Faults from outside: what a run says, how it ends, and what the next run makes of it.

Each test forces a real fault (a full disk is a small one, a permission is one that another user
lacks) and looks at what a person sees: an exit code, one line that names what is wrong, and a
dataset to which nothing of the failed run was added. Then the fault is mended, the same command is
given again, and the rows are those of a run that nothing disturbed.

Where a fault must strike in the midst of a run, an audit hook tells what the run is at by the
folder that it is about to make. So no test depends on time.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.cli import BAD_USAGE, DONE, FAILED, main
from pipelines.dataset import local_dataset
from pipelines.verify import verify
from schemas.arrow import SCHEMA_VERSION, TABLES

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "seeds"
FIRST = ("030_dump_agency_dispatch.txt", "040_dump_agency_copy_updated.txt", "200_empty.txt")
SECOND = ("110_page_compressed.html.gz",)
NEW = (
    "010_dump_two_articles.txt",
    "020_dump_date_line_and_byline.txt",
    "150_dump_spanish.txt",
    "240_page_truncated.html.gz",
)
"""What the disturbed run adds; that it begins with a copy makes the order of its slices count."""
SLICES = ("--slice-size", "16k")
"""Makes two slices of them all."""
PAGE_BYTES = 4096
"""What the smallest file takes on a tmpfs."""

Rows = dict[str, list[str]]


# ── what is run and what it leaves ──────────────────────────────────────────────────────────────


def ingest(sources: Path | Iterable[Path], output: Path, *options: str) -> int:
    """``newsbeam ingest``, in this process; gives the exit code."""
    given = [sources] if isinstance(sources, Path) else sources
    command = ["ingest", *map(str, given), "--output", str(output), "--workers", "1", *SLICES]
    return main([*command, "--quiet", *options])


def rows(output: Path) -> Rows:
    """What a reader sees, but for what tells one run from another: its id and its time."""
    found: Rows = {}
    for table in TABLES:
        found[table] = []
        for file in (output / table).glob("**/*.parquet"):
            partition = "" if table == "failures" else str(file.parent.relative_to(output))
            for row in pq.ParquetFile(file).read().to_pylist():
                plain = {key: row[key] for key in row if key not in ("run_id", "observed_at")}
                found[table].append(json.dumps([partition, plain], default=str, sort_keys=True))
        found[table].sort()
    return found


def contents(output: Path) -> dict[str, bytes]:
    """Every file of a dataset but for the lease's."""
    return {
        str(file.relative_to(output)): file.read_bytes()
        for file in output.glob("**/*")
        if file.is_file() and "leases" not in file.parts
    }


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What a failed command said: a single line."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("newsbeam: ")
    assert captured.err.count("\n") == 1
    return captured.err.strip()


class Strikes:
    """Does what it is told when a run is about to make a folder, which tells what it is at."""

    def __init__(self) -> None:
        self._output = ""
        self._waiting: list[tuple[str, Callable[[], object]]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "os.mkdir" or not self._waiting:
            return
        path = os.fsdecode(arguments[0])
        phase, strike = self._waiting[0]
        if re.fullmatch(re.escape(self._output) + PHASES[phase], path):
            del self._waiting[0]
            strike()

    @contextmanager
    def at(self, output: Path, *strikes: tuple[str, Callable[[], object]]) -> Iterator[None]:
        """Strike when a run on an output comes to one phase after another; all must be reached."""
        self._output, self._waiting = f"{output}/_newsbeam/", list(strikes)
        try:
            yield
            assert not self._waiting
        finally:
            self._waiting = []


STRIKES = Strikes()
PHASES = {
    "planning": "staging/[^/]+",
    "extracting": "staging/[^/]+/slices/0001",
    "deciding": "staging/[^/]+/decided",
    "enriching": "staging/[^/]+/rows/0000",
    "assembling": "staging/[^/]+/files",
    "publishing": "pending",
    "committing": "commits",
}
"""The folder that is first made in each phase of a run of two slices: a regular expression."""


@dataclass(frozen=True)
class Scene:
    """What is disturbed."""

    folder: Path

    @property
    def sources(self) -> Path:
        return self.folder / "in"

    @property
    def earlier(self) -> Path:
        """A dataset of two commits, made of some of the sources."""
        return self.folder / "earlier"

    @cached_property
    def undisturbed(self) -> Rows:
        """What a run gives that adds the rest of them."""
        done = Path(shutil.copytree(self.earlier, self.folder / "done"))
        copies = [(phase, partial(shutil.copytree, done, self._at(phase))) for phase in PHASES]
        with STRIKES.at(done, *copies):
            assert ingest(self.sources, done) == DONE
        return rows(done)

    def _at(self, phase: str) -> Path:
        return self.folder / phase

    def killed(self, phase: str) -> Path:
        """What lies on the disk at the start of a phase of that run."""
        assert self.undisturbed
        return self._at(phase)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as folder:  # unlike pytest's, other users can reach it
        scene = Scene(Path(folder))
        scene.folder.chmod(0o755)
        scene.sources.mkdir()
        for name in (*FIRST, *SECOND, *NEW):
            shutil.copy(SEEDS / name, scene.sources / name)
        for names in (FIRST, SECOND):
            assert ingest([scene.sources / name for name in names], scene.earlier) == DONE
        yield scene


@pytest.fixture
def output(scene: Scene, tmp_path: Path) -> Path:
    """A dataset to be disturbed."""
    return Path(shutil.copytree(scene.earlier, tmp_path / "news"))


def assert_goes_on(scene: Scene, output: Path, failures: Iterable[str] = ()) -> None:
    """The same command works, and gives what an undisturbed run gives, and such ``failures``."""
    assert ingest(scene.sources, output) == DONE
    assert_undisturbed(scene, output, failures)


def assert_undisturbed(scene: Scene, output: Path, failures: Iterable[str] = ()) -> None:
    expected = [*scene.undisturbed["failures"], *failures]
    assert rows(output) == scene.undisturbed | {"failures": sorted(expected)}
    report = verify(local_dataset(str(output)))
    assert report.clean, report.summary()


@pytest.mark.slow
def test_the_sources_put_every_table_and_every_phase_to_the_test(scene: Scene) -> None:
    before = rows(scene.earlier)
    assert all(len(scene.undisturbed[table]) > len(before[table]) > 0 for table in TABLES)
    assert len(list((scene.killed("deciding") / "_newsbeam/staging").glob("*/slices/*"))) == 2


# ── a dataset that is damaged ───────────────────────────────────────────────────────────────────

FIRST_COMMIT = "_newsbeam/commits/00000001.json"


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def parquet(output: Path, table: str = "articles") -> Path:
    """The first file of a table."""
    return sorted((output / table).glob("**/*.parquet"))[0]


def flip_in_column(file: Path, name: str) -> None:
    """Flip a bit in the page of a column."""
    group = pq.read_metadata(file).row_group(0)
    [column] = [
        group.column(number)
        for number in range(group.num_columns)
        if group.column(number).path_in_schema == name
    ]
    first = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(file.read_bytes())
    content[first + column.total_compressed_size - 1] ^= 0x10
    file.write_bytes(content)


def of_newer_schema(file: Path) -> None:
    manifest = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**manifest, "schema_version": SCHEMA_VERSION + 1}))


def cut_pending(output: Path) -> None:
    """Leave a commit that was decided, of which only the beginning can be read."""
    pending = output / "_newsbeam/pending/00000003.json"
    pending.parent.mkdir(exist_ok=True)
    pending.write_bytes((output / FIRST_COMMIT).read_bytes()[:100])


def file_for_folder(output: Path) -> None:
    shutil.rmtree(output / "_newsbeam")
    (output / "_newsbeam").write_text("")


DAMAGES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "manifest-cut-short": (
        lambda output: cut_short(output / FIRST_COMMIT),
        FAILED,
        f"the manifest {{}}/{FIRST_COMMIT} is damaged",
    ),
    "manifest-of-other-bytes": (
        lambda output: (output / FIRST_COMMIT).write_bytes(bytes(range(256))),
        FAILED,
        f"the manifest {{}}/{FIRST_COMMIT} is damaged",
    ),
    "manifest-gone": (
        lambda output: (output / FIRST_COMMIT).unlink(),
        FAILED,
        f"the manifest {{}}/{FIRST_COMMIT} is missing; put it back",
    ),
    "pending-manifest-cut-short": (
        cut_pending,
        FAILED,
        "the manifest {}/_newsbeam/pending/00000003.json is damaged",
    ),
    "newer-schema": (
        lambda output: of_newer_schema(output / FIRST_COMMIT),
        FAILED,
        f"{{}}/{FIRST_COMMIT} is of schema version {SCHEMA_VERSION + 1}, newer than",
    ),
    "file-cut-short": (
        lambda output: cut_short(parquet(output)),
        FAILED,
        "{}/articles/date=",
    ),
    "file-gone": (lambda output: parquet(output).unlink(), FAILED, "is missing, which a manifest"),
    "file-for-a-folder": (file_for_folder, BAD_USAGE, "{}/_newsbeam is a file"),
}
"""How a dataset is damaged, the exit code, and part of what is said of it."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_added_to_a_damaged_dataset_and_the_damage_is_named(
    scene: Scene, output: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    do_damage, code, message = DAMAGES[damage]
    do_damage(output)
    before = contents(output)
    for command in (
        ["ingest", str(scene.sources), "--output", str(output)],
        ["compact", str(output)],
        ["replay", str(output)],
    ):
        assert main([*command, "--quiet"]) == code
        assert message.format(output) in said(capsys)
    assert contents(output) == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_once_the_damage_is_mended_a_run_gives_what_it_would_have_given(
    scene: Scene, output: Path, damage: str
) -> None:
    do_damage, code, _ = DAMAGES[damage]
    do_damage(output)
    assert ingest(scene.sources, output) == code
    if damage == "file-for-a-folder":
        (output / "_newsbeam").unlink()
    shutil.copytree(scene.earlier, output, dirs_exist_ok=True)
    (output / "_newsbeam/pending/00000003.json").unlink(missing_ok=True)
    assert_goes_on(scene, output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"),
    [("articles", "content_hash"), ("duplicates", "source_uri"), ("failures", "failure_id")],
)
def test_a_flipped_bit_in_what_a_run_reads_ends_it_and_the_file_is_named(
    scene: Scene, output: Path, capsys: pytest.CaptureFixture[str], table: str, column: str
) -> None:
    damaged = parquet(output, table)
    flip_in_column(damaged, column)
    visible = {name for name in contents(output) if not name.startswith("_")}
    assert ingest(scene.sources, output) == FAILED
    assert f"{damaged} is damaged: " in (message := said(capsys))
    assert "put it back from a copy" in message
    assert {name for name in contents(output) if not name.startswith("_")} == visible
    shutil.copy(scene.earlier / damaged.relative_to(output), damaged)
    assert_goes_on(scene, output)


@pytest.mark.slow
def test_a_flipped_bit_in_what_a_run_does_not_read_is_found_by_verify(
    scene: Scene, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = parquet(output)
    flip_in_column(damaged, "body")
    assert ingest(scene.sources, output) == DONE
    assert main(["verify", str(output)]) == FAILED
    assert str(damaged.relative_to(output)) in capsys.readouterr().out
    shutil.copy(scene.earlier / damaged.relative_to(output), damaged)
    assert rows(output) == scene.undisturbed
    assert main(["verify", str(output)]) == DONE


def last_lease(output: Path) -> Path:
    return max((output / "_newsbeam/leases").glob("*.json"))


@pytest.mark.parametrize(
    "content",
    [b"", b'{"owner": "process 1 on earth', b"\xff\xfe\x00", b'{"owner": "x"}', b"[]"],
    ids=["empty", "cut-short", "other-bytes", "another-format", "no-object"],
)
def test_a_lease_that_cannot_be_read_is_nobodys(output: Path, content: bytes) -> None:
    last_lease(output).write_bytes(content)
    assert main(["compact", str(output), "--quiet"]) == DONE


def test_a_lease_of_which_the_time_cannot_be_read_is_nobodys(output: Path) -> None:
    lease = json.loads(last_lease(output).read_bytes())
    held = {**lease, "released": False, "machine": "another"}
    for beat in ("yesterday", "2026-06-30T12:00:00", None):
        last_lease(output).write_text(json.dumps({**held, "beat": beat}))
        assert main(["compact", str(output), "--quiet"]) == DONE


# ── outputs that can be none ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["ingest", "compact", "replay", "verify"])
@pytest.mark.parametrize("below", ["", "news", "news/of/today"])
def test_a_file_is_no_dataset_and_nothing_is_one_below_it(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, below: str
) -> None:
    file = tmp_path / "file"
    file.write_text("a file")
    name = str(file / below)
    argv = (
        ["ingest", str(scene.sources), "--output", name] if command == "ingest" else [command, name]
    )
    assert main([*argv, "--quiet"]) == BAD_USAGE
    assert str(file) in said(capsys)
    assert file.read_text() == "a file"


# ── what changes while a run is at work ─────────────────────────────────────────────────────────


@pytest.mark.slow
def test_an_input_that_vanishes_is_a_failure_of_its_own(scene: Scene, output: Path) -> None:
    """The run ends well; when the file is back, the next run adds what it holds."""
    lost = scene.sources / "150_dump_spanish.txt"
    try:
        with STRIKES.at(output, ("planning", lost.unlink)):
            assert ingest(scene.sources, output) == DONE
    finally:
        shutil.copy(SEEDS / lost.name, lost)
    [gone] = [row for row in rows(output)["failures"] if "not-found" in row]
    assert str(lost) in gone
    assert_goes_on(scene, output, [gone])


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["extracting", "deciding", "assembling"])
def test_a_run_whose_staging_is_deleted_says_so_and_the_next_begins_anew(
    scene: Scene, output: Path, capsys: pytest.CaptureFixture[str], phase: str
) -> None:
    before = rows(output)
    staging = output / "_newsbeam/staging"
    with STRIKES.at(output, (phase, lambda: shutil.rmtree(staging))):
        assert ingest(scene.sources, output) == FAILED
    message = said(capsys)
    assert f"ingest failed: {staging}/" in message
    assert (
        "is gone: somebody has removed it while the run was at work; nothing was added" in message
    )
    assert rows(output) == before
    assert_goes_on(scene, output)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["slices/0000", "decided", "rows"])
def test_of_a_staging_that_is_deleted_in_part_only_that_part_is_made_again(
    scene: Scene, tmp_path: Path, what: str
) -> None:
    output = Path(shutil.copytree(scene.killed("assembling"), tmp_path / "news"))
    [folder] = (output / "_newsbeam/staging").glob(f"*/{what}")
    for file in folder.glob("**/*.arrow"):
        file.unlink()
    assert_goes_on(scene, output)


def zeroed(file: Path) -> None:
    """Leave nothing but zeros in the end of a file, as a disk does that was late in writing."""
    size_bytes = file.stat().st_size
    os.truncate(file, size_bytes // 2)
    os.truncate(file, size_bytes)


DAMAGED_STAGES = [
    ("deciding", "plan.json", cut_short),
    ("deciding", "slices/0000/report.json", cut_short),
    ("deciding", "slices/0001/report.json", zeroed),
    ("deciding", "slices/0000/*.articles.arrow", cut_short),
    ("deciding", "slices/0001/*.prints.arrow", cut_short),
    ("deciding", "slices/*/*.failures.arrow", zeroed),
    ("enriching", "decided/base.json", cut_short),
    ("enriching", "decided/unique.json", cut_short),
    ("enriching", "decided/*.verdicts.arrow", cut_short),
    ("assembling", "slices/0000/*.articles.arrow", zeroed),
    ("assembling", "rows/0000/report.json", cut_short),
    ("assembling", "rows/0000/*.arrow", cut_short),
]
"""Up to what point a run came, what of its staging a power cut has harmed, and how."""


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "what", "harm"), DAMAGED_STAGES)
def test_what_a_power_cut_has_harmed_of_the_staging_is_made_again(
    scene: Scene, tmp_path: Path, phase: str, what: str, harm: Callable[[Path], None]
) -> None:
    output = Path(shutil.copytree(scene.killed(phase), tmp_path / "news"))
    harmed = list((output / "_newsbeam/staging").glob(f"*/{what}"))
    assert harmed
    for file in harmed:
        harm(file)
    [run_id] = local_dataset(str(output)).store.names("_newsbeam/staging")
    assert_goes_on(scene, output)
    goes_on = last_run_id(output) == run_id
    assert goes_on == (what != "plan.json")  # without its plan there is nothing to go on with


def last_run_id(output: Path) -> str:
    [*_, last] = local_dataset(str(output)).commits()
    return last.run_id


# ── full disks ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB that can be made smaller, with a dataset's folder on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here: that takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def used_bytes(folder: Path) -> int:
    """What files take on a tmpfs."""
    return sum(
        -(-file.stat().st_size // PAGE_BYTES) * PAGE_BYTES
        for file in folder.glob("**/*")
        if file.is_file()
    )


def fill(disk: Path, free_pages: int = 0) -> None:
    """Leave so much room on a disk, and no more."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (free.f_bavail - free_pages) * free.f_bsize)


def phase_of(output: Path) -> str:
    """What a run was at when it ended, by what it left."""
    if list((output / "_newsbeam/pending").glob("*")):
        return "publishing"
    [run] = (output / "_newsbeam/staging").glob("*")
    left = [name for name in ("files", "rows", "decided") if (run / name).exists()]
    return left[0] if left else "slices"


@pytest.mark.slow
def test_wherever_a_small_disk_is_full_the_run_goes_on_when_there_is_room(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(scene.earlier)
    start = used_bytes(scene.earlier)
    needed = max(used_bytes(scene.killed(phase)) for phase in PHASES) - start
    struck = set()
    for share in (0.1, 0.4, 0.7, 0.9):
        output = Path(shutil.copytree(scene.earlier, disk / "news"))
        remount(disk, f"size={start + round(share * needed)}")
        assert ingest(scene.sources, output) == FAILED
        message = said(capsys)
        assert "No space left on device" in message
        assert f"bytes free at {output}" in message
        assert "nothing was added to the dataset" in message
        assert rows(output) == before
        struck.add(phase_of(output))
        remount(disk, "size=64m")
        assert_goes_on(scene, output)
        shutil.rmtree(output)
    assert len(struck) >= 2, struck


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["planning", "extracting", "deciding", "enriching", "assembling"])
def test_a_disk_that_is_full_in_any_phase_ends_the_run_and_room_lets_it_go_on(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str], phase: str
) -> None:
    output = Path(shutil.copytree(scene.earlier, disk / "news"))
    with STRIKES.at(output, (phase, lambda: fill(disk))):
        assert ingest(scene.sources, output) == FAILED
    assert "No space left on device (0 of " in said(capsys)
    assert rows(output) == rows(scene.earlier)
    (disk / "filler").unlink()
    assert_goes_on(scene, output)


@pytest.mark.slow
def test_a_disk_that_is_full_while_publishing_leaves_all_or_nothing(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ever more room: nothing; a commit that is decided, with all its rows; the whole run."""
    outlooks = []
    for free_pages in itertools.count():
        output = Path(shutil.copytree(scene.earlier, disk / "news"))
        with STRIKES.at(output, ("publishing", partial(fill, disk, free_pages))):
            code = ingest(scene.sources, output)
        (disk / "filler").unlink()
        if code == DONE:
            break
        message = said(capsys)
        assert f"cannot publish to {output}: No space left on device; " in message
        outlooks.append(message.rpartition("; ")[2])
        is_decided = outlooks[-1] != "nothing was added"
        assert rows(output) == (scene.undisturbed if is_decided else rows(scene.earlier))
        assert_goes_on(scene, output)
        shutil.rmtree(output)
    decided = "the commit is decided, and the next run finishes it"
    assert list(dict.fromkeys(outlooks)) == ["nothing was added", decided]


@pytest.mark.slow
def test_a_full_disk_is_reported_by_worker_processes_as_by_one(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(scene.earlier, disk / "news"))
    with STRIKES.at(output, ("planning", lambda: fill(disk, free_pages=2))):
        assert ingest(scene.sources, output, "--workers", "2") == FAILED
    message = said(capsys)
    assert "No space left on device (" in message
    assert f"bytes free at {output}" in message
    assert rows(output) == rows(scene.earlier)
    (disk / "filler").unlink()
    assert_goes_on(scene, output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "begins"),
    [
        (["--publish-every", "20k"], "1 of 2 parts are published; then: No space left on device"),
        (
            ["--compact-after", "2"],
            "the run is published, but not compacted; then: cannot compact {}: No space left on "
            "device",
        ),
    ],
    ids=["part", "compaction"],
)
def test_a_disk_that_is_full_after_something_was_published_is_not_said_to_have_nothing(
    scene: Scene,
    disk: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    begins: str,
) -> None:
    output = Path(shutil.copytree(scene.earlier, disk / "news"))
    with STRIKES.at(output, ("committing", lambda: None), ("planning", lambda: fill(disk))):
        assert ingest(scene.sources, output, *options) == FAILED
    assert said(capsys).startswith(f"newsbeam: ingest failed: {begins.format(output)}")
    (disk / "filler").unlink()
    published = rows(output)
    assert all(len(published[table]) >= len(rows(scene.earlier)[table]) for table in TABLES)
    assert published != rows(scene.earlier)
    assert ingest(scene.sources, output, *options) == DONE
    assert verify(local_dataset(str(output))).clean
    assert {table: len(rows(output)[table]) for table in TABLES} == {
        table: len(scene.undisturbed[table]) for table in TABLES
    }


def test_a_disk_without_room_for_a_lease_is_full_and_no_bad_usage(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(scene.earlier, disk / "news"))
    before = contents(output)
    fill(disk)
    assert ingest(scene.sources, output) == FAILED
    assert f"{output}: No space left on device; nothing was added" in said(capsys)
    assert contents(output) == before


# ── what may not be written to ──────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_refused_and_used_once_it_is_not(
    scene: Scene, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(scene.earlier, disk / "news"))
    remount(disk, "ro")
    for command in (
        ["ingest", str(scene.sources), "--output", str(output)],
        ["compact", str(output)],
        ["replay", str(output)],
    ):
        assert main([*command, "--quiet"]) == BAD_USAGE
        assert f"cannot write to the output {output}: Read-only file system" in said(capsys)
    assert verify(local_dataset(str(output))).clean  # which only reads
    remount(disk, "rw")
    assert_goes_on(scene, output)


AS_NOBODY = """
import contextlib, io, json, os, sys
from pipelines.cli import main
if os.geteuid() == 0:  # whom no permission binds
    os.setgid(65534)
    os.setuid(65534)
for line in sys.stdin:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = main(json.loads(line))
    print(json.dumps([code, errors.getvalue()]), flush=True)
"""

Nobody = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def nobody() -> Iterator[Nobody]:
    """Carries out commands as a user who has no permissions but their own."""
    with subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HOME": tempfile.gettempdir()},
    ) as process:

        def run(*argv: str) -> tuple[int, str]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps([*argv, "--quiet"]), file=process.stdin, flush=True)
            code, errors = json.loads(process.stdout.readline())
            return code, errors.strip()

        yield run


@pytest.fixture
def given(scene: Scene) -> Iterator[Path]:
    """A dataset that belongs to that user."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(shutil.copytree(scene.earlier, f"{folder}/news"))
        for path in (Path(folder), *Path(folder).glob("**/*")):
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
        yield output


CLOSED = {
    "_newsbeam/leases": (
        0o555,
        BAD_USAGE,
        "cannot write to the output {output}: Permission denied",
    ),
    "_newsbeam/staging": (0o555, FAILED, "Permission denied: '{output}/_newsbeam/staging/"),
    "_newsbeam/commits": (0o000, FAILED, "Permission denied: '{output}/_newsbeam/commits'"),
    "duplicates": (0o000, FAILED, "Permission denied: '{output}/duplicates'"),
    "articles": (0o555, FAILED, "Permission denied; the commit is decided, and the next run"),
}
"""A folder, the mode in which it is of no use, the exit code, and part of what is said."""


@pytest.mark.slow
@pytest.mark.parametrize("closed", CLOSED)
def test_a_folder_without_permission_is_named_and_used_once_it_is_given(
    scene: Scene, nobody: Nobody, given: Path, closed: str
) -> None:
    mode, code, message = CLOSED[closed]
    command = ["ingest", str(scene.sources), "--output", str(given), "--workers", "1", *SLICES]
    (given / closed).chmod(mode)
    failed, errors = nobody(*command)
    (given / closed).chmod(0o755)
    assert (failed, errors.count("\n")) == (code, 0)
    assert message.format(output=given) in errors
    assert rows(given) == rows(scene.earlier)
    assert nobody(*command) == (DONE, "")
    assert_undisturbed(scene, given)
