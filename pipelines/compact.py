"""Compaction: many small files of a partition become few large ones, in one commit.

A partition is rewritten if it has several files that are small, or one of an older schema version.
Its large files stay as they are. The new files are staged, and published by the dataset's commit
log like those of any run, so that readers see all rows once at any moment, and a kill at any
moment leaves the dataset as it was or as it was to become.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipelines.dataset import STAGING, DataFile, Dataset, DatasetError, PublishError, Snapshot
from schemas.arrow import SCHEMA_VERSION, TABLES
from transforms.compaction import (
    TARGET_FILE_BYTES,
    DamagedFileError,
    SourceFile,
    merge_files,
    open_parquet,
    write_files,
)
from transforms.storage import Store

Clock = Callable[[], datetime.datetime]
_KIND = "compact"
_MAKERS = ("ingest", _KIND)
"""Kinds of commits that list no file of an older schema version than their own."""
_FOOTERS_AHEAD = 16
"""How many footers are read at the same time, which is what an object store needs."""


@dataclass(frozen=True)
class TableChange:
    """What a compaction made of the files of one table."""

    files_before: int
    bytes_before: int
    files_after: int
    bytes_after: int


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did."""

    run_id: str
    """Empty if there was nothing to do, and nothing was committed."""
    tables: dict[str, TableChange]
    """By name, each of the tables."""
    partitions: int
    """Partitions that have files."""
    rewritten: int
    """Partitions of which files were rewritten."""
    rows: int
    """Rows that were rewritten."""
    seconds: float

    def summary(self) -> dict[str, Any]:
        """The report as plain values, for ``--json`` and the manifest."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class _Plan:
    """What is to be done with one partition."""

    partition: str
    merge: tuple[DataFile, ...]
    keep: tuple[DataFile, ...]

    @property
    def table(self) -> str:
        return self.partition.partition("/")[0]


@dataclass(frozen=True)
class _Staged:
    """A partition's new files, complete in the staging folder."""

    plan: _Plan
    files: tuple[DataFile, ...]
    """What is new."""
    whole: bool
    """Whether all else that the partition holds is staged, too, so that folders can be swapped."""


class _Count:
    """Tells how far it is."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def step(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def compact(
    dataset: Dataset,
    *,
    target_bytes: int = TARGET_FILE_BYTES,
    min_files: int = 2,
    progress: Callable[[int, int], None] | None = None,
    clock: Clock = _utc_now,
) -> CompactReport:
    """Rewrite the partitions that need it; the caller holds ``dataset.writing``.

    A file is small if it has less than half of ``target_bytes``; ``min_files`` of them, at least 2,
    make a partition worth rewriting. ``progress`` is told how many files were read, of how many.

    Raises:
        DatasetError: if the dataset is damaged; nothing is changed.
        PublishError: if the store refuses; what is decided the next writer finishes.
        RuntimeError: if a partition would not keep its rows, which is a bug; nothing is changed.
    """
    if min_files < 2:
        raise ValueError(f"min_files is {min_files}: a single file would be rewritten every time")
    began = time.monotonic()
    run_id = f"{_KIND}-{clock().astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    staging = f"{STAGING}/{run_id}"
    try:
        _remove_leftovers(dataset.store)
        snapshot, below = _look(dataset)
        plans = _plan(dataset, snapshot, target_bytes, min_files)
        try:
            stage = _Stage(dataset.store, staging, target_bytes, below)
            files = _Count(sum(len(plan.merge) for plan in plans), progress)
            staged = [stage.partition(plan, files.step) for plan in plans]
            listed = dataset.with_statistics(
                snapshot, staging, list(_files_of(staged)), _removed_by(staged)
            )
        except BaseException:
            with suppress(OSError):  # then the next compaction removes it
                dataset.store.delete_folder(staging)
            raise
    except DamagedFileError as error:
        raise DatasetError(str(error.strerror)) from error
    except OSError as error:
        raise PublishError(
            f"cannot compact {dataset.store.url}: {error.strerror or error}; nothing was changed"
        ) from error
    report = CompactReport(
        run_id=run_id if staged else "",
        tables=_changes(snapshot, staged),
        partitions=len({file.partition for file in snapshot.files.values()}),
        rewritten=len(staged),
        rows=sum(file.rows for partition in staged for file in partition.files),
        seconds=time.monotonic() - began,
    )
    if staged:
        dataset.publish(
            _KIND,
            run_id,
            snapshot.head,
            staging,
            listed,
            removed=_removed_by(staged),
            replaces=[partition.plan.partition for partition in staged if partition.whole],
            details=report.summary(),
        )
    return replace(report, seconds=time.monotonic() - began)


def _remove_leftovers(store: Store) -> None:
    """Remove what killed compactions staged; what a killed ingest staged can be of use to it."""
    for name in store.names(STAGING):
        if name.startswith(f"{_KIND}-"):
            store.delete_folder(f"{STAGING}/{name}")


def _look(dataset: Dataset) -> tuple[Snapshot, Counter[str]]:
    """The snapshot with all sizes, and how many files lie in and below each folder."""
    snapshot = dataset.checked_snapshot()
    files = dict(snapshot.files)
    below: Counter[str] = Counter()
    for table in TABLES:
        for stored in dataset.store.list_files(table):
            if stored.path in files:
                file = files[stored.path]
                files[stored.path] = replace(file, size_bytes=stored.size_bytes)
            folder = stored.path
            while folder := folder.rpartition("/")[0]:
                below[folder] += 1
    return Snapshot(snapshot.head, files), below


# ── what is to be done ──────────────────────────────────────────────────────────────────────────


def _plan(dataset: Dataset, snapshot: Snapshot, target_bytes: int, min_files: int) -> list[_Plan]:
    partitions: dict[str, list[DataFile]] = defaultdict(list)
    for path in sorted(snapshot.files):
        partitions[snapshot.files[path].partition].append(snapshot.files[path])
    small = {path for path, file in snapshot.files.items() if file.size_bytes < target_bytes / 2}
    many_small = {
        partition
        for partition, files in partitions.items()
        if sum(file.path in small for file in files) >= min_files
    }
    newest = _newest_files(dataset)
    # What is merged anyway need not be looked at.
    unknown = [
        file
        for path, file in snapshot.files.items()
        if path not in newest and not (file.partition in many_small and path in small)
    ]
    old = _older_files(dataset.store, unknown)
    to_merge = small | old
    plans = []
    for partition, files in partitions.items():
        if partition in many_small or any(file.path in old for file in files):
            merge = tuple(file for file in files if file.path in to_merge)
            keep = tuple(file for file in files if file.path not in to_merge)
            plans.append(_Plan(partition, merge, keep))
    return plans


def _newest_files(dataset: Dataset) -> set[str]:
    """Files that a commit says to be of the newest version, whose footers need not be read.

    An ingest makes all files of its commit, and a compaction makes or has looked at them. A replay
    lists old files again if they stay in a folder that it swaps: its word is not taken.
    """
    return {
        file.path
        for commit in dataset.commits()
        if commit.kind in _MAKERS and commit.schema_version == SCHEMA_VERSION
        for file in commit.files
    }


def _older_files(store: Store, files: Iterable[DataFile]) -> set[str]:
    """Paths of the files whose schema is older than this program's."""

    def version(file: DataFile) -> int:
        with open_parquet(store, file.path) as parquet:
            metadata = parquet.schema_arrow.metadata or {}
            return int(metadata.get(b"newsbeam.schema_version", b"0"))

    listed = list(files)
    with ThreadPoolExecutor(_FOOTERS_AHEAD) as pool:
        versions = list(pool.map(version, listed))
    return {
        file.path for file, found in zip(listed, versions, strict=True) if found < SCHEMA_VERSION
    }


# ── doing it ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Stage:
    """Writes new files into a staging folder."""

    store: Store
    folder: str
    target_bytes: int
    below: Counter[str]
    """How many files lie in and below each folder of the dataset."""

    def partition(self, plan: _Plan, step: Callable[[], None]) -> _Staged:
        """Write a partition's new files; ``step`` is called for each file that is read."""
        listed = {file.path: file for file in plan.merge}
        expected = 0

        def opened(file: SourceFile, rows: int) -> None:
            nonlocal expected
            if listed[file.path].rows not in (-1, rows):
                raise DatasetError(
                    f"{self.store.locate(file.path)} is damaged: it has {rows:,} rows, and its "
                    f"manifest says {listed[file.path].rows:,}"
                )
            expected += rows
            step()

        spill = f"{self.folder}/spill"
        sources = [SourceFile(file.path, file.sha256) for file in plan.merge]
        written = write_files(
            self.store,
            self.folder,
            plan.partition,
            # Names that were not there before, as a swap of folders needs them.
            f"{self.folder.rpartition('/')[2]}-{{:03d}}.parquet".format,
            merge_files(self.store, sources, plan.table, spill, opened),
            plan.table,
            self.target_bytes,
        )
        rows = sum(file.rows for file in written)
        if rows != expected:
            raise RuntimeError(
                f"the compaction of {self.store.locate(plan.partition)} read {expected:,} rows "
                f"and wrote {rows:,}; nothing was changed"
            )
        self.store.delete_folder(spill)
        files = tuple(DataFile(it.path, it.rows, it.size_bytes, it.sha256) for it in written)
        return _Staged(plan, files, whole=bool(files) and self._stage_rest(plan))

    def _stage_rest(self, plan: _Plan) -> bool:
        """Link what stays beside the new files; False if there is more, or it cannot be linked."""
        return self.below[plan.partition] == len(plan.merge) + len(plan.keep) and all(
            self.store.link(file.path, f"{self.folder}/{file.path}") for file in plan.keep
        )


def _files_of(staged: Iterable[_Staged]) -> Iterator[DataFile]:
    """The files of the commit, also those that stay in a folder that is swapped."""
    for partition in staged:
        yield from partition.files
        if partition.whole:
            yield from partition.plan.keep


def _removed_by(staged: Iterable[_Staged]) -> list[str]:
    return [file.path for partition in staged for file in partition.plan.merge]


def _changes(snapshot: Snapshot, staged: Sequence[_Staged]) -> dict[str, TableChange]:
    after = dict(snapshot.files)
    for partition in staged:
        for file in partition.plan.merge:
            del after[file.path]
        after |= {file.path: file for file in partition.files}
    changed = Snapshot(snapshot.head, after)
    return {
        table: TableChange(
            len(snapshot.table(table)),
            sum(file.size_bytes for file in snapshot.table(table)),
            len(changed.table(table)),
            sum(file.size_bytes for file in changed.table(table)),
        )
        for table in TABLES
    }
