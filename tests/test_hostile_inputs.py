"""Bad input of any kind gets a clear message, and harms no other input.

Each test runs the real command on one bad input beside a good one: the good one must become an
article, the bad one must be accounted for with its reason, and nothing may look like a crash.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
GOOD = ROOT / "seeds" / "020_dump_date_line_and_byline.txt"


class Outcome(NamedTuple):
    code: int
    summary: dict
    errors: str


@pytest.fixture
def ingest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    from pipelines.cli import main

    def run(*arguments: object, output: Path | None = None) -> Outcome:
        target = output or tmp_path / "news"
        code = main(["ingest", *map(str, arguments), "--output", str(target), "--json"])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Outcome(code, json.loads(out) if out else {}, err)

    return run


def _truncated_gzip(path: Path) -> None:
    whole = gzip.compress(GOOD.read_bytes())
    path.write_bytes(whole[: len(whole) // 2])


def _large(path: Path) -> None:
    with path.open("wb") as out:  # sparse: 200 MB that take no room on disk
        out.truncate(200_000_000)


def _gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(200):
            out.write(b" " * 1_000_000)


BAD = {
    "empty.txt": (lambda path: path.write_bytes(b""), "rejected", "empty"),
    "blank.txt": (lambda path: path.write_bytes(b" \n\t\r\n" * 9), "rejected", "empty"),
    "binary.txt": (lambda path: path.write_bytes(bytes(range(256)) * 40), "rejected", "binary"),
    "truncated.txt.gz": (_truncated_gzip, "failed", "truncated"),
    "large.txt": (_large, "failed", "too-large"),
    "bomb.html.gz": (_gzip_bomb, "failed", "too-large"),
    "dangling.txt": (lambda path: path.symlink_to("nowhere"), "failed", "not-found"),
    "pipe.txt": (os.mkfifo, "failed", "not-a-file"),
    "crumbs.txt": (
        lambda path: path.write_text("TT\n20\nX\nADVERTISEMENT\n"),
        "rejected",
        "no-article",
    ),
    "paper.pdf": (
        lambda path: path.write_bytes(b"%PDF-1.7\n%\xe2\xe3"),
        "rejected",
        "unsupported-kind",
    ),
    "broken.warc.gz": (
        lambda path: path.write_bytes((ROOT / "seeds" / "190_archive.warc.gz").read_bytes()[:900]),
        "failed",
        "truncated",
    ),
    "not_a_feed.xml": (lambda path: path.write_text("<rss><channel>"), None, None),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_is_accounted_for_and_harms_no_other(
    ingest: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    make, kind, reason = BAD[name]
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder / name)
    (folder / GOOD.name).write_bytes(GOOD.read_bytes())
    code, summary, _ = ingest(folder)
    assert code == 0
    assert summary["balanced"]
    assert summary["outcomes"]["article"] >= 1
    bad = {"rejected": summary["rejected_by_reason"], "failed": summary["failed_by_reason"]}
    if kind:
        assert bad[kind] == {reason: 1}
    assert sum(bad["rejected"].values()) + sum(bad["failed"].values()) == 1
    [note] = [note for note in summary["notes"] if name in note]
    assert len(note) < 400


def test_wrongly_encoded_text_is_read_and_said_to_be_repaired(
    ingest: Callable[..., Outcome], tmp_path: Path
) -> None:
    path = tmp_path / "mixed.txt"
    path.write_bytes(GOOD.read_bytes() + b"\n\nThe caf\xe9 at the quay stayed open all night.\n")
    code, summary, _ = ingest(path)
    assert (code, summary["outcomes"]["article"]) == (0, 1)
    assert any("repaired" in note and "mixed.txt" in note for note in summary["notes"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_failure(ingest: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_bytes(GOOD.read_bytes())
    path.chmod(0)
    code, summary, _ = ingest(path, GOOD)
    assert (code, summary["failed_by_reason"]) == (0, {"unreadable": 1})


def test_a_file_that_reads_with_an_error_is_a_failure(ingest: Callable[..., Outcome]) -> None:
    # The kernel refuses to read a process's memory from its start, whoever asks.
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("no /proc/self/mem to be refused by")
    code, summary, _ = ingest(memory, GOOD)
    assert code == 0
    assert summary["outcomes"]["failed"] + summary["outcomes"]["rejected"] == 1


def test_a_missing_source_beside_a_good_one_is_a_failure(
    ingest: Callable[..., Outcome], tmp_path: Path
) -> None:
    code, summary, _ = ingest(GOOD, tmp_path / "missing.txt")
    assert (code, summary["failed_by_reason"]) == (0, {"not-found": 1})


def test_strict_turns_a_failed_input_into_exit_code_1(
    ingest: Callable[..., Outcome], tmp_path: Path
) -> None:
    code, summary, errors = ingest(GOOD, tmp_path / "missing.txt", "--strict")
    assert code == 1
    assert "inputs that failed: 1" in errors
    assert summary["new_rows"]["articles"] == 1


def test_nothing_to_read_is_bad_usage(ingest: Callable[..., Outcome], tmp_path: Path) -> None:
    code, _, errors = ingest(tmp_path / "missing.txt", tmp_path / "none*.html")
    assert code == 2
    assert "missing.txt" in errors
    assert not (tmp_path / "news").exists()


def test_an_output_that_is_a_file_is_bad_usage(
    ingest: Callable[..., Outcome], tmp_path: Path
) -> None:
    output = tmp_path / "news"
    output.write_text("I was here first")
    code, _, errors = ingest(GOOD, output=output)
    assert code == 2
    assert "is a file" in errors
    assert output.read_text() == "I was here first"


def test_an_output_below_a_file_is_bad_usage(
    ingest: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, errors = ingest(GOOD, output=tmp_path / "file" / "news")
    assert code == 2
    assert "cannot write" in errors


def test_a_filesystem_that_is_not_there_is_bad_usage(ingest: Callable[..., Outcome]) -> None:
    code, _, errors = ingest("nosuch://bucket/file.txt")
    assert code == 2
    assert "nosuch://bucket/file.txt" in errors


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, which fills up as a large one does: room for one article's run, not for
    that of the seeds (the run of one article wants between 96 and 128 KiB while it works)."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_fails_the_run_and_leaves_no_row(small_disk: Path, workers: int) -> None:
    output = small_disk / "news"
    (small_disk / "ballast").write_bytes(bytes(240_000))
    command = [sys.executable, "-m", "pipelines", "ingest", str(ROOT / "seeds"), "--quiet"]
    command += ["--output", str(output), f"--workers={workers}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert not list(output.glob("articles/**/*.parquet"))


@pytest.mark.slow
def test_a_run_after_the_full_disk_was_mended_adds_the_rows(small_disk: Path) -> None:
    output = small_disk / "news"
    ballast = small_disk / "ballast"
    command = [sys.executable, "-m", "pipelines", "ingest", str(GOOD), "--json"]
    command += ["--output", str(output)]
    ballast.write_bytes(bytes(200_000))
    full = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert full.returncode == 1, full.stderr
    assert "No space left on device" in full.stderr
    ballast.unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new_rows"]["articles"] == 1
