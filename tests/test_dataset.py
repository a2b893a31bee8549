"""Publishing: whole or not at all, and finished by the next run if it was cut short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.config import UsageError
from pipelines.dataset import Dataset
from schemas.records import WrittenFile

NAMES = [
    "articles/date=2026-01-01/topic=sport/aa.parquet",
    "duplicates/date=2026-01-01/bb.parquet",
]


def staged(dataset: Dataset, run_id: str = "run-1") -> list[WrittenFile]:
    staging = dataset.prepare(run_id)
    for name in NAMES:
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_text(name)
    return [WrittenFile(name.partition("/")[0], name, 1, 1) for name in NAMES]


def visible(dataset: Dataset) -> list[str]:
    tables = ("articles", "duplicates", "failures")
    return [str(f.relative_to(dataset.root)) for table in tables for f in dataset.files(table)]


def test_staged_files_are_not_visible(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    staged(dataset)
    assert visible(dataset) == []


def test_publishing_makes_all_files_visible_and_leaves_a_manifest(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    manifest = dataset.publish("run-1", staged(dataset), {"units": 2})
    assert visible(dataset) == NAMES
    assert json.loads(manifest.read_text())["files"] == NAMES
    assert not dataset.staging("run-1").exists()


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_publication_cut_short_is_finished_by_the_next_run(tmp_path: Path, renamed: int) -> None:
    dataset = Dataset(tmp_path)
    staging = dataset.staging("run-1")
    staged(dataset)
    pending = dataset.runs / "run-1.pending.json"
    pending.write_text(json.dumps({"files": NAMES}))
    for name in NAMES[:renamed]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(tmp_path / name)
    dataset.prepare("run-2")
    assert visible(dataset) == NAMES
    assert (dataset.runs / "run-1.json").exists()
    assert not pending.exists()


def test_what_a_failed_run_staged_is_removed(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    staged(dataset)
    dataset.discard("run-1")
    assert not dataset.staging("run-1").exists()
    assert visible(dataset) == []


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "news").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        Dataset(tmp_path / "news").prepare("run-1")
