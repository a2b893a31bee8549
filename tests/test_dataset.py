"""Publishing: whole or not at all, and finished by the next run if it was cut short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config import UsageError
from pipelines.dataset import Dataset, DatasetError, known_files
from schemas.arrow import SCHEMA_VERSION
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
    with pytest.raises(UsageError, match="is a file"), Dataset(tmp_path / "news").lock():
        pass


def test_a_second_writer_is_told_who_is_at_work(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    with (
        dataset.lock(),
        pytest.raises(DatasetError, match=f"process {os.getpid()} is writing"),
        Dataset(tmp_path).lock(),
    ):
        pass
    with dataset.lock():
        pass  # it is free again


def test_what_killed_runs_left_in_staging_is_removed(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    staged(dataset, "killed")
    dataset.prepare("run-2")
    assert not dataset.staging("killed").exists()


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.runs.mkdir(parents=True)
    (dataset.runs / "run-1.pending.json").write_text('{"files": ["art')
    with pytest.raises(DatasetError, match=r"run-1\.pending\.json is damaged"):
        dataset.prepare("run-2")


def test_a_pending_file_that_is_nowhere_is_named(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.runs.mkdir(parents=True)
    (dataset.runs / "run-1.pending.json").write_text(json.dumps({"files": NAMES}))
    with pytest.raises(DatasetError, match="neither staged nor published"):
        dataset.prepare("run-2")


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAMES[0]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"aa\.parquet is damaged"):
        known_files(Dataset(tmp_path))


def test_a_dataset_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    path.parent.mkdir(parents=True)
    metadata = {"newsbeam.schema_version": str(SCHEMA_VERSION + 1)}
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), path)
    with pytest.raises(DatasetError, match="newer than"):
        known_files(Dataset(tmp_path))
