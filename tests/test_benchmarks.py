"""Benchmarks say that they skip where their material is missing, and score as they should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.body_score import f1, precision_recall

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["dedup", "--only", "reuters,plagiarised,rearrivals"],
        ["dumps"],
        ["pages"],
        ["topics"],
        ["entities"],
        ["feeds"],
    ],
    ids=lambda command: command[0],
)
def test_a_benchmark_without_its_material_skips_and_says_so(
    tmp_path: Path, command: list[str]
) -> None:
    name, *options = command
    checkout = tmp_path / "alone" / "checkout"  # with nothing beside it
    shutil.copytree(ROOT / "benchmarks", checkout / "benchmarks")
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped: " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "printed"),
    [("small_files", "50", "50 files"), ("slices", "40", " 1.00")],
)
def test_a_benchmark_of_generated_articles_runs(name: str, size: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", size],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_a_body_is_scored_by_its_shingles() -> None:
    assert precision_recall("a b c d e", "a b c d e") == (1.0, 1.0)
    assert precision_recall("a b c d e", "a b c d") == (0.5, 1.0)
    assert precision_recall("", "a b c d") == (0.0, 0.0)
    assert precision_recall("", "") == (1.0, 1.0)


def test_f1_is_that_of_the_means() -> None:
    assert f1([(1.0, 0.5), (0.5, 1.0)]) == pytest.approx(0.75)
