"""Rows to runs, and runs to the files of their partitions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Failure, StagedRun, WrittenFile
from transforms.storage import HashingFile, LocalStore
from transforms.writing import (
    PartitionRange,
    assemble_range,
    merge_runs,
    stage_failure,
    to_run,
    write_run,
)

FIRST_DAY = 1_760_000_000
DAYS = 20
ALL = PartitionRange("failures", "failures/", "failures/~", 2 * DAYS)


def stage_runs(store: LocalStore, count: int = 2) -> list[StagedRun]:
    """Runs of failures, with one each on every day."""
    runs = []
    for number in range(count):
        rows = []
        for day in range(DAYS):
            failure = Failure(
                kind="failed",
                stage="read",
                reason="not-found",
                message="there is none",
                origin=f"/in/{day}-{number}.txt",
                source_uri=f"/in/{day}-{number}.txt",
                observed_at=Timestamp(FIRST_DAY + day * 86_400),
            )
            rows.append(stage_failure((failure.origin, failure), "run"))
        runs.append(write_run(store, "staged", "failures", to_run("failures", rows), f"{number}"))
    return runs


def assembled(store: LocalStore) -> list[WrittenFile]:
    return sorted(
        assemble_range(store, stage_runs(store), ALL, "new", "run"), key=lambda file: file.path
    )


class _SlowStore(LocalStore):
    """Takes two small files at a time, and finishes one only when another has come, too."""

    files_at_once = 2
    both_are_here = threading.Barrier(2, timeout=60)

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        with super().writer(path) as file:
            yield file
            if path.startswith("new/"):
                self.both_are_here.wait()


class _FullStore(LocalStore):
    """Takes two small files at a time, and refuses one of the last."""

    files_at_once = 2

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        if path.startswith("new/failures/date=2025-10-27/"):
            raise OSError(28, "No space left on device", path)
        with super().writer(path) as file:
            yield file


def test_each_partition_has_one_file_with_the_rows_of_all_runs(tmp_path: Path) -> None:
    files = assembled(LocalStore(str(tmp_path)))
    assert [file.rows for file in files] == [2] * DAYS
    rows = [pq.read_table(tmp_path / "new" / file.path, partitioning=None) for file in files]
    assert sorted(origin for table in rows for origin in table["origin"].to_pylist()) == sorted(
        f"/in/{day}-{number}.txt" for day in range(DAYS) for number in range(2)
    )


def test_as_many_runs_are_left_as_may_be_read_at_a_time(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    runs = stage_runs(store, count=7)
    assert merge_runs(store, runs, "merged", at_once=7) == runs
    few = merge_runs(store, runs, "merged", at_once=2)
    assert len(few) == 2
    assert sum(run.rows for run in few) == 7 * DAYS


def test_merged_runs_give_the_same_files(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    runs = stage_runs(store, count=7)
    few = merge_runs(store, runs, "merged", at_once=2)
    assert list(assemble_range(store, few, ALL, "few", "run")) == list(
        assemble_range(store, runs, ALL, "many", "run")
    )


def test_small_files_are_written_at_a_time_where_the_store_takes_several(tmp_path: Path) -> None:
    at_a_time = assembled(_SlowStore(str(tmp_path / "slow")))
    assert at_a_time == assembled(LocalStore(str(tmp_path / "quick")))


def test_a_file_that_the_store_refuses_fails_the_assembly(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        assembled(_FullStore(str(tmp_path)))
