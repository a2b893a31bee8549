"""The dataset's folder: what is in it, and how a run's files become part of it.

Layout::

    OUTPUT/articles/date=…/topic=…/*.parquet   OUTPUT/duplicates/date=…/*.parquet
    OUTPUT/failures/date=…/*.parquet           OUTPUT/_newsbeam/{runs,staging}/

A run writes all its files under ``_newsbeam/staging/RUN``. Publishing writes the run's manifest as
*pending*, renames each file into its partition, and renames the manifest to say that it is done.
A run that was killed in between is finished by the next one, from the pending manifest; a run that
failed before it leaves nothing that a reader sees.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import UsageError
from schemas.arrow import SCHEMA_VERSION, TABLES
from schemas.records import WrittenFile

MEMORY = "_newsbeam"
"""Folder of what is not for readers: they skip names that begin with ``_``."""
_PENDING = ".pending.json"


class PublishError(OSError):
    """The filesystem refused to publish; the message says what and why."""


class DatasetError(RuntimeError):
    """The dataset is damaged, or another run writes to it; the message says which and where."""


@dataclass(frozen=True)
class Dataset:
    """A dataset on a local filesystem."""

    root: Path

    @property
    def runs(self) -> Path:
        """Folder of the run manifests."""
        return self.root / MEMORY / "runs"

    def staging(self, run_id: str) -> Path:
        """Folder where a run writes its files before they are published."""
        return self.root / MEMORY / "staging" / run_id

    def prepare(self, run_id: str) -> Path:
        """Make the folders for a run, finishing first what a killed one had begun to publish.

        What other killed runs have staged is removed: the caller holds the lock, so that no run
        is alive that it could belong to.

        Raises:
            UsageError: if the output cannot be a dataset.
            DatasetError: if a publication that was cut short cannot be finished.
        """
        staging = self.staging(run_id)
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            for pending in sorted(self.runs.glob(f"*{_PENDING}")):
                self._finish(pending)
            for leftover in staging.parent.glob("*"):
                shutil.rmtree(leftover)
            staging.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"cannot write to the output {self.root}: {error.strerror or error}"
            ) from error
        return staging

    @contextmanager
    def staged(self, run_id: str) -> Iterator[Path]:
        """``prepare`` for a run; what it staged is removed unless its publication goes on."""
        staging = self.prepare(run_id)
        try:
            yield staging
        finally:
            if not (self.runs / f"{run_id}{_PENDING}").exists():
                self.discard(run_id)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs on this machine out while the block runs.

        Raises:
            UsageError: if the output cannot be a dataset.
            DatasetError: if another run holds the lock.
        """
        try:
            if self.root.exists() and not self.root.is_dir():
                raise UsageError(f"the output {self.root} is a file, not a folder")
            self.runs.mkdir(parents=True, exist_ok=True)
            file = (self.root / MEMORY / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"cannot write to the output {self.root}: {error.strerror or error}"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise DatasetError(f"{holder} is writing to {self.root}; try again later") from None
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            yield  # closing the file gives the lock back, whatever happens

    def files(self, table: str) -> list[Path]:
        """The published Parquet files of a table, sorted."""
        return sorted((self.root / table).glob("**/*.parquet"))

    def publish(self, run_id: str, files: Iterable[WrittenFile], manifest: dict[str, Any]) -> Path:
        """Make a run's staged files part of the dataset; gives the manifest's path.

        Raises:
            PublishError: if the filesystem refuses; the next run tries again.
        """
        names = sorted(file.path for file in files)
        pending = self.runs / f"{run_id}{_PENDING}"
        try:
            partial = pending.with_suffix(".partial")
            with partial.open("w", encoding="utf-8") as out:
                json.dump({**manifest, "files": names}, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            partial.replace(pending)
            return self._finish(pending)
        except OSError as error:
            outlook = (
                "; what is published so far stays, and the next run finishes it"
                if pending.exists()
                else "; nothing was added"
            )
            raise PublishError(
                f"cannot publish to {self.root}: {error.strerror or error}{outlook}"
            ) from error

    def discard(self, run_id: str) -> None:
        """Remove what a run staged."""
        shutil.rmtree(self.staging(run_id), ignore_errors=True)

    def _finish(self, pending: Path) -> Path:
        run_id = pending.name.removesuffix(_PENDING)
        staging = self.staging(run_id)
        try:
            names = json.loads(pending.read_text(encoding="utf-8"))["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"the manifest {pending} is damaged: {error}") from error
        for name in names:
            target = self.root / name
            if not (staging / name).exists():
                if target.exists():
                    continue  # published before the run was killed
                raise DatasetError(f"{pending} names {name}, which is neither staged nor published")
            target.parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target)
        done = self.runs / f"{run_id}.json"
        pending.replace(done)
        self.discard(run_id)
        return done


def known_files(dataset: Dataset) -> dict[str, list[str]]:
    """Paths of the published files, by table.

    Raises:
        DatasetError: if a file is no Parquet file, or of a newer schema than this program knows.
    """
    known = {table: [str(path) for path in dataset.files(table)] for table in TABLES}
    for path in itertools.chain.from_iterable(known.values()):
        try:
            metadata = pq.read_schema(path).metadata or {}
        except (OSError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0]
            raise DatasetError(f"{path} is damaged or unreadable: {reason}") from error
        version = int(metadata.get(b"newsbeam.schema_version", b"0"))
        if version > SCHEMA_VERSION:
            raise DatasetError(
                f"{path} has schema version {version}, newer than {SCHEMA_VERSION}, which is the "
                "newest that this newsbeam knows; use a newer one"
            )
    return known
