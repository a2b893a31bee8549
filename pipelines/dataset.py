"""The dataset: what is in it, and how a run's files become part of it.

Layout::

    OUTPUT/articles/date=…/topic=…/*.parquet   OUTPUT/duplicates/date=…/*.parquet
    OUTPUT/failures/date=…/*.parquet
    OUTPUT/_newsbeam/commits/00000012.json     one manifest for each commit
                     checkpoints/00000064.jsonl.gz  what the commits up to that one add up to
                     feeds/RUN.jsonl.gz        what is remembered of feeds (``feed_memory``)
                     keys/00000012.keys        what the files of a commit may hold (``key_files``)
                     pending/00000013.json     a commit that is decided, but not yet carried out
                     staging/RUN/              what a run has made, not yet part of the dataset
                     leases/                   who may write (``pipelines.lock``)

The commits are a log. What the dataset holds is what its commits add, less what they remove. A
commit takes these steps, and after a kill between any two of them the next writer goes on:

1. All files stand complete in ``staging``.
2. The manifest is created as ``pending/N``, N being the number after the last commit, and only if
   there is none. **This decides.** Of two writers, however it came that there are two, one fails
   here; a writer whose lease was taken over fails here, for whoever takes a lease over puts a
   commit (``seal``) at N before it clears the staging.
3. The files are brought to their places: each by a rename (an object store: a copy). A partition
   whose files are replaced, as compaction does, is swapped for its new folder in one step where
   the disk can do that; else its new files are added before the old ones are removed.
4. The manifest is put as ``commits/N``, and the staging and ``pending/N`` are removed. A
   ``pending/N`` beside a ``commits/N`` means nothing.

A commit may put another memory of the feeds in force: a file that is brought to its place with the
others. It can be done without, so that nothing fails for want of it, and the one before is removed.

A key file (``pipelines.key_files``) is brought to its place with a commit's files, too: the keys of
their rows, so that a run need not open files that hold nothing it looks for. It can be done
without, and no manifest names it, for it counts by what it says of which files.

Every so many commits a checkpoint is written: what they add up to, so that nobody has to read all
manifests. It is made of them alone, and can be done without as well. The key files are merged into
one then.
"""

from __future__ import annotations

import datetime
import errno
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import UsageError
from pipelines.key_files import keys_path, merge_keys, read_keys, stage_keys
from pipelines.lock import DatasetError, hold_lease
from schemas.arrow import SCHEMA_VERSION, TABLES
from transforms.file_keys import MicrosRange
from transforms.storage import LocalStore, Store, StoredFile

__all__ = ["Commit", "DataFile", "Dataset", "DatasetError", "PublishError", "Snapshot"]

MEMORY = "_newsbeam"
"""Folder of what is not for readers: they skip names that begin with ``_``."""
COMMITS = f"{MEMORY}/commits"
PENDING = f"{MEMORY}/pending"
STAGING = f"{MEMORY}/staging"
CHECKPOINTS = f"{MEMORY}/checkpoints"
FEEDS = f"{MEMORY}/feeds"
"""Where the memory of feeds is. One file is in force; any other is left of a killed run."""
MEMORY_SUFFIX = ".jsonl.gz"
CHECKPOINT_EVERY = 64
"""Commits between two checkpoints, which is how many manifests a reader reads at most."""
LATE_FILES = 4_096
"""Files of before of which one commit lists the keys, at most, where nobody has."""
LATE_BYTES = 1 << 30
"""The most bytes of them, for each is read whole."""
_CHECKPOINT_SUFFIX = ".jsonl.gz"
"""Not ``.json``: the line of docs/data-model.md would take them for manifests."""
_CHECKPOINT_FORMAT = 1
_DAMAGE = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, OverflowError)
"""What reading gzipped JSON of any content may raise."""
_OLD_RUNS = f"{MEMORY}/runs"
"""Where schema version 1 kept its manifests, one a run, without numbers or sizes."""
_OLD_PENDING = ".pending.json"


class PublishError(OSError):
    """The store refused to publish; the message says what and why."""


class Conflict(DatasetError):  # noqa: N818 - two writers conflict
    """Another writer has committed since this one looked."""


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of the dataset."""

    path: str
    rows: int = -1
    """-1 where an old manifest does not say."""
    size_bytes: int = -1
    sha256: str = ""
    observed_micros: MicrosRange | None = None
    """When the first and the last of its rows were observed, microseconds since 1970; None where
    an older manifest does not say."""

    @classmethod
    def decode(cls, plain: dict[str, Any]) -> DataFile:
        """A file as a manifest lists it; what is missing or of another kind raises."""
        path, observed = str(plain["path"]), plain.get("observed_micros")
        return cls(
            path=path,
            rows=int(plain["rows"]),
            size_bytes=int(plain["size_bytes"]),
            sha256=str(plain["sha256"]),
            observed_micros=None if observed is None else _range_of(*observed),
        )

    def plain(self) -> dict[str, Any]:
        """The file as a manifest lists it."""
        plain = asdict(self)
        if self.observed_micros is None:
            del plain["observed_micros"]  # as of before there were ranges
        return plain

    @property
    def table(self) -> str:
        """``articles``, ``duplicates`` or ``failures``."""
        return self.path.partition("/")[0]

    @property
    def partition(self) -> str:
        """The folder it lies in, relative to the dataset."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Commit:
    """What one commit changed."""

    number: int
    kind: str
    """``ingest``, ``replay``, ``compact``, or ``seal``, which changes nothing."""
    run_id: str
    staging: str = ""
    """Folder of the staged files, relative to the dataset; they lie in it as they will in it."""
    files: tuple[DataFile, ...] = ()
    removed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    """Partitions of which all files are staged, also those that stay: folders to be swapped.

    What is new in them has names that were not there before, so that it can be told whether a
    folder was swapped already.
    """
    schema_version: int = SCHEMA_VERSION
    details: dict[str, Any] = field(default_factory=dict)
    """The run's account and options, for people and for ``verify``."""
    memory: str = ""
    """The memory of feeds that it puts in force, relative to the dataset; empty if that stays."""

    @property
    def name(self) -> str:
        """The manifest's name."""
        return f"{self.number:08d}.json"

    def encode(self) -> bytes:
        """The manifest."""
        plain = asdict(self) | {"files": [file.plain() for file in self.files]}
        details = plain.pop("details")
        # Twice: first for the order, and again so that no detail stands in the place of a field.
        # In ASCII: a source's name that is not UTF-8 could not be encoded.
        manifest = {**plain, **details, **plain}
        if not self.memory:
            del manifest["memory"]  # as of before there were feeds
        return json.dumps(manifest, indent=1).encode()

    @classmethod
    def decode(cls, content: bytes, where: str) -> Commit:
        """The commit of a manifest.

        Raises:
            DatasetError: if it is damaged, or made by a newer newsbeam.
        """
        try:
            plain = json.loads(content)
            version = int(plain["schema_version"])
            if version > SCHEMA_VERSION:
                raise DatasetError(
                    f"{where} is of schema version {version}, newer than {SCHEMA_VERSION}, which "
                    "is the newest that this newsbeam knows; use a newer one"
                )
            return cls(
                number=int(plain.pop("number")),
                kind=str(plain.pop("kind")),
                run_id=str(plain.pop("run_id")),
                staging=str(plain.pop("staging")),
                files=tuple(map(DataFile.decode, plain.pop("files"))),
                removed=tuple(map(str, plain.pop("removed"))),
                replaces=tuple(map(str, plain.pop("replaces"))),
                schema_version=int(plain.pop("schema_version")),
                memory=_checked_memory(plain.pop("memory", "")),
                details=plain,
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DatasetError(
                f"the manifest {where} is damaged ({type(error).__name__}: {error}); "
                "put it back from a copy of the dataset"
            ) from error


@dataclass(frozen=True)
class Snapshot:
    """What the dataset holds after a number of commits."""

    head: int
    """The number of the last commit; 0 for none."""
    files: dict[str, DataFile]
    """By path, of all tables."""
    memory: str = ""
    """The memory of feeds in force, relative to the dataset; empty if there is none."""

    def plus(self, commits: Iterable[Commit]) -> Snapshot:
        """What the dataset holds after some more commits."""
        head, files, memory = self.head, dict(self.files), self.memory
        for commit in commits:
            for path in commit.removed:
                files.pop(path, None)
            files |= {file.path: file for file in commit.files}
            memory = commit.memory or memory
            head = max(head, commit.number)
        return Snapshot(head, files, memory)

    def table(self, name: str) -> list[DataFile]:
        """The files of one table, sorted by path."""
        return sorted(
            (file for file in self.files.values() if file.table == name),
            key=lambda file: file.path,
        )

    def since(self, micros: int) -> Snapshot:
        """Without the files that hold no row observed from then on, microseconds since 1970."""
        files = {
            path: file
            for path, file in self.files.items()
            if file.observed_micros is None or file.observed_micros[1] >= micros
        }
        return replace(self, files=files)

    def without(self, removed: Iterable[str]) -> Snapshot:
        """Without some files."""
        gone = set(removed)
        files = {path: file for path, file in self.files.items() if path not in gone}
        return replace(self, files=files)

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file, by path; empty where an old manifest does not say."""
        return {path: file.sha256 for path, file in self.files.items()}


@dataclass(frozen=True)
class Checkpoint:
    """What the commits up to one add up to, so that they need not be read."""

    snapshot: Snapshot
    manifest_sha256: str
    """Of the last commit's manifest: of another log, put back from a copy, it is none."""
    old_runs: tuple[str, ...] = ()
    """The manifests of schema version 1 that are in it."""
    schema_version: int = SCHEMA_VERSION

    def encode(self) -> bytes:
        """Two lines of JSON, gzipped: the second is the content, the first has its SHA-256."""
        content = json.dumps(
            {
                "schema_version": self.schema_version,
                "head": self.snapshot.head,
                "manifest_sha256": self.manifest_sha256,
                "memory": self.snapshot.memory,
                "old_runs": self.old_runs,
                "files": [file.plain() for _, file in sorted(self.snapshot.files.items())],
            }
        ).encode()
        digest = hashlib.sha256(content).hexdigest()
        header = json.dumps({"format": _CHECKPOINT_FORMAT, "sha256": digest}).encode()
        return gzip.compress(b"%b\n%b\n" % (header, content), mtime=0)

    @classmethod
    def decode(cls, encoded: bytes, where: str) -> Checkpoint:
        """The checkpoint that ``encode`` was given.

        Raises:
            DatasetError: if it is damaged, or made by a newer newsbeam.
        """
        try:
            header, content, _ = gzip.decompress(encoded).split(b"\n")
            stated = json.loads(header)
            if stated["format"] != _CHECKPOINT_FORMAT:
                raise DatasetError(f"{where} is of format {stated['format']!r}, which is unknown")
            if stated["sha256"] != hashlib.sha256(content).hexdigest():
                raise DatasetError(f"{where} is damaged: it has another SHA-256 than it says")
            plain = json.loads(content)
            if int(plain["schema_version"]) > SCHEMA_VERSION:
                raise DatasetError(f"{where} is of schema version {plain['schema_version']}")
            files = map(DataFile.decode, plain["files"])
            return cls(
                Snapshot(
                    head=int(plain["head"]),
                    files={file.path: file for file in files},
                    memory=_checked_memory(plain["memory"]),
                ),
                manifest_sha256=str(plain["manifest_sha256"]),
                old_runs=tuple(map(str, plain["old_runs"])),
                schema_version=int(plain["schema_version"]),
            )
        except _DAMAGE as error:
            raise DatasetError(f"{where} is damaged ({type(error).__name__}: {error})") from error


def _range_of(least: object, greatest: object) -> MicrosRange:
    """A range; ``ValueError`` if it can be none."""
    if type(least) is not int or type(greatest) is not int or least > greatest:
        raise ValueError(f"{least!r:.40} to {greatest!r:.40} is no range of times")
    return least, greatest


def _checked_memory(path: object) -> str:
    """The path of a memory of feeds, or nothing; ``ValueError`` if it can be none."""
    name = str(path).removeprefix(f"{FEEDS}/")
    if path == "" or (path == f"{FEEDS}/{name}" and "/" not in name and _is_memory(name)):
        return str(path)
    raise ValueError(f"{path!r} can be no memory of feeds")


def _is_memory(name: str) -> bool:
    return name.endswith(MEMORY_SUFFIX)


@dataclass(frozen=True)
class Dataset:
    """A dataset in a store."""

    store: Store
    checkpoint_every: int = CHECKPOINT_EVERY
    """Commits between two checkpoints that this writer makes."""
    late_files: int = LATE_FILES
    late_bytes: int = LATE_BYTES

    # ── what is in it ───────────────────────────────────────────────────────────────────────────

    def commits(self) -> Iterator[Commit]:
        """Every commit that was carried out, in order; old manifests come first, as number 0.

        Raises:
            DatasetError: if a manifest is damaged, or is missing between others.
        """
        yield from _without_error(self.examine())

    def commit(self, number: int) -> Commit | None:
        """One commit, or None if there is none of that number yet.

        Raises:
            DatasetError: if its manifest is damaged.
            OSError: if the store refuses.
        """
        exists = self.store.exists(f"{COMMITS}/{number:08d}.json")
        return self._commit(COMMITS, number) if exists else None

    def examine(self) -> Iterator[Commit | DatasetError]:
        """What ``commits`` gives, going on past what is wrong: the error stands in its place."""
        for name in self._old_runs():
            yield _or_error(self._old_commit, name)
        yield from self._examine(self._numbers(COMMITS), after=0)

    def _examine(self, numbers: Iterable[int], after: int) -> Iterator[Commit | DatasetError]:
        """The commits of these numbers, which should follow on one."""
        expected = after + 1
        for number in numbers:
            if number != expected:
                first, last = (
                    self.store.locate(f"{COMMITS}/{missing:08d}.json")
                    for missing in (expected, number - 1)
                )
                which = first if first == last else f"{first} and those up to {last}"
                yield DatasetError(
                    f"the manifest {which} is missing; put it back from a copy of the dataset"
                )
            expected = number + 1
            yield _or_error(self._commit, COMMITS, number)

    def pending(self) -> Iterator[Commit | DatasetError]:
        """Every commit that is decided and not yet carried out, in order, or why it is unreadable.

        Those of schema version 1 come first, as number 0.
        """
        for name in self.store.names(_OLD_RUNS):
            if name.endswith(_OLD_PENDING):
                yield _or_error(self._old_commit, name)
        done = set(self._numbers(COMMITS))
        for number in self._numbers(PENDING):
            if number not in done:
                yield _or_error(self._commit, PENDING, number)

    def snapshot(self) -> Snapshot:
        """What the commits add up to, from the newest checkpoint on.

        Raises:
            DatasetError: if a manifest that has to be read is damaged or missing.
        """
        return self._add_up(self._numbers(COMMITS))

    def newer(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the commits that have come since; asks for no list of them.

        Raises:
            DatasetError: if a manifest is damaged.
            OSError: if the store refuses.
        """
        while (commit := self.commit(snapshot.head + 1)) is not None:
            snapshot = snapshot.plus([commit])
        return snapshot

    def _add_up(self, numbers: Sequence[int]) -> Snapshot:
        """What the commits of these numbers add up to, in order and with the old ones."""
        last = max(numbers, default=0)
        for number in reversed(self.checkpoints()):
            if number <= last:
                # Whatever it is that one cannot be read for: the manifests say the same.
                with suppress(DatasetError, OSError):
                    snapshot = self.checkpoint(number).snapshot
                    break
        else:
            old = (_or_error(self._old_commit, name) for name in self._old_runs())
            snapshot = Snapshot(0, {}).plus(_without_error(old))
        rest = [number for number in numbers if number > snapshot.head]
        return snapshot.plus(_without_error(self._examine(rest, snapshot.head)))

    def checkpoints(self) -> list[int]:
        """The numbers of the commits after which there is a checkpoint, in order."""
        return self._numbers(CHECKPOINTS, _CHECKPOINT_SUFFIX)

    def checkpoint(self, number: int) -> Checkpoint:
        """The checkpoint after a commit.

        Raises:
            DatasetError: if it is damaged, made by a newer newsbeam, or of another log than this.
            OSError: if the store refuses; ``FileNotFoundError`` if it is not there any more.
        """
        path = checkpoint_path(number)
        where = self.store.locate(path)
        checkpoint = Checkpoint.decode(self.store.read(path), where)
        if (checkpoint.snapshot.head, checkpoint.old_runs, checkpoint.manifest_sha256) != (
            number,
            tuple(self._old_runs()),
            self._manifest_sha256(number),
        ):
            raise DatasetError(f"{where} is of another log of commits than is there")
        return checkpoint

    def _manifest_sha256(self, number: int) -> str:
        """Of a commit that was carried out; empty if there is none of that number."""
        try:
            return hashlib.sha256(self.store.read(f"{COMMITS}/{number:08d}.json")).hexdigest()
        except FileNotFoundError:
            return ""

    def checked_snapshot(self) -> Snapshot:
        """The snapshot, held against the files that are there.

        A file that no commit lists is taken in: whoever reads the folder sees it, too.

        Raises:
            DatasetError: if a listed file is missing or of another size, or if a file is no
                Parquet file or of a newer schema than this program knows.
        """
        snapshot = self.snapshot()
        there = {
            file.path: file.size_bytes
            for table in TABLES
            for file in self.store.list_files(table)
            if file.path.endswith(".parquet")
        }
        for path, listed in snapshot.files.items():
            if path not in there:
                raise DatasetError(
                    f"{self.store.locate(path)} is missing, which a manifest lists; put it back, "
                    "or see what is wrong with `newsbeam verify`"
                )
            if listed.size_bytes not in (-1, there[path]):
                raise DatasetError(
                    f"{self.store.locate(path)} is damaged: it has {there[path]:,} bytes, and its "
                    f"manifest says {listed.size_bytes:,}"
                )
        files = {path: DataFile(path) for path in there} | snapshot.files
        for path in sorted(path for path, file in files.items() if file.rows < 0):
            self._check_version(path)
        return replace(snapshot, files=files)

    def _check_version(self, path: str) -> None:
        where = self.store.locate(path)
        try:
            with self.store.open(path) as file, pq.ParquetFile(file) as parquet:
                metadata = parquet.schema_arrow.metadata or {}
            version = int(metadata.get(b"newsbeam.schema_version", b"0"))
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise DatasetError(f"{where} is damaged or unreadable: {reason}") from error
        if version > SCHEMA_VERSION:
            raise DatasetError(
                f"{where} has schema version {version}, newer than {SCHEMA_VERSION}, which is the "
                "newest that this newsbeam knows; use a newer one"
            )

    def _old_runs(self) -> list[str]:
        """The names of the manifests of schema version 1 that were carried out."""
        names = self.store.names(_OLD_RUNS)
        return [it for it in names if it.endswith(".json") and not it.endswith(_OLD_PENDING)]

    def _numbers(self, folder: str, suffix: str = ".json") -> list[int]:
        names = (name.removesuffix(suffix) for name in self.store.names(folder))
        return sorted(int(name) for name in names if name.isdigit())

    def _commit(self, folder: str, number: int) -> Commit:
        path = f"{folder}/{number:08d}.json"
        commit = Commit.decode(self.store.read(path), self.store.locate(path))
        if commit.number != number:
            raise DatasetError(
                f"the manifest {self.store.locate(path)} is damaged (it is that of commit "
                f"{commit.number}); put it back from a copy of the dataset"
            )
        return commit

    def _old_commit(self, name: str) -> Commit:
        path = f"{_OLD_RUNS}/{name}"
        run_id = name.removesuffix(_OLD_PENDING).removesuffix(".json")
        try:
            plain = json.loads(self.store.read(path))
            files = tuple(DataFile(str(file)) for file in plain["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"the manifest {self.store.locate(path)} is damaged: {error}; put it back from a "
                "copy of the dataset"
            ) from error
        staging = f"{STAGING}/{run_id}"
        details = {key: value for key, value in plain.items() if key != "files"}
        return Commit(0, "ingest", run_id, staging, files, schema_version=1, details=details)

    # ── writing to it ───────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self, command: str, **waiting: Any) -> Iterator[None]:
        """Keep other writers out while the block runs, and finish first what a dead one had begun.

        ``waiting`` is passed on to ``hold_lease``.

        Raises:
            UsageError: if the output cannot be a dataset.
            DatasetError: if another writer is at work, or the dataset is damaged.
            PublishError: if the disk is full.
        """
        root = self.store.local_root
        lease = hold_lease(self.store, command, **waiting)
        try:
            if root is not None and root.exists() and not root.is_dir():
                raise UsageError(f"the output {root} is a file, not a folder")
            if root is not None and (root / MEMORY).is_file():
                raise UsageError(f"{root / MEMORY} is a file, where a dataset has a folder")
            seized = lease.__enter__()
        except OSError as error:
            refused = f"cannot write to the output {self.store.url}: {error.strerror or error}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PublishError(f"{refused}; nothing was added") from error
            raise UsageError(refused) from error
        try:
            self._recover(seized=seized)
            yield
        finally:
            lease.__exit__(None, None, None)

    def _recover(self, *, seized: bool) -> None:
        """Finish what is decided; if the last owner may yet wake, see that it cannot decide."""
        with self._going_on():
            if seized:  # first: should the rest fail, the next writer will not have seized
                self._seal()
            for name in self.store.names(_OLD_RUNS):
                if name.endswith(_OLD_PENDING):
                    self._finish_old(name)
        self.finish_decided()

    def finish_decided(self) -> None:
        """Carry out the commits that are decided, for who has the lease.

        Raises:
            PublishError: if the store refuses.
            DatasetError: if a manifest is damaged.
        """
        with self._going_on():
            for number in self._numbers(PENDING):
                self._finish(number)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PublishError(
                f"cannot go on with what an earlier run began in {self.store.url}: "
                f"{error.strerror or error}"
            ) from error

    def _seal(self) -> None:
        number = max(self._numbers(COMMITS), default=0) + 1
        with suppress(Conflict):  # it is decided already, it may be by that very owner
            self._decide(Commit(number, "seal", ""))

    def with_statistics(
        self,
        snapshot: Snapshot,
        staging: str,
        files: Sequence[DataFile],
        removed: Iterable[str] = (),
    ) -> list[DataFile]:
        """Stage the key file of the commit that follows on a snapshot; gives the commit's files.

        They are given with the range of their rows' times. Those that the snapshot has already
        are given as they are. Files of before that no key file lists are listed as well, as many
        as ``late_files`` and ``late_bytes`` allow.

        Raises:
            OSError: if the store refuses, or a staged file is damaged.
        """
        if not files:
            return []
        staged = {file.path: file.sha256 for file in files if snapshot.files.get(file.path) != file}
        late = self._unlisted(snapshot.without(removed))
        keys = stage_keys(self.store, staging, snapshot.head + 1, staged, late)
        return [
            replace(file, observed_micros=keys[file.path].observed_micros)
            if file.path in staged
            else file
            for file in files
        ]

    def _unlisted(self, snapshot: Snapshot) -> dict[str, str]:
        """The hashes of files that no key file lists, by path; not too many to be read whole."""
        listed = read_keys(self.store, snapshot.hashes())
        unlisted: dict[str, str] = {}
        size_bytes = 0
        for path, file in sorted(snapshot.files.items()):
            if file.sha256 and path not in listed:
                size_bytes += file.size_bytes
                if unlisted and (len(unlisted) >= self.late_files or size_bytes > self.late_bytes):
                    break
                unlisted[path] = file.sha256
        return unlisted

    def publish(
        self,
        kind: str,
        run_id: str,
        base: int,
        staging: str,
        files: Sequence[DataFile],
        *,
        removed: Iterable[str] = (),
        replaces: Iterable[str] = (),
        details: dict[str, Any] | None = None,
        memory: str = "",
    ) -> Commit:
        """Make staged files part of the dataset, and take others out of it.

        ``base`` is the head that the run was made on. ``memory`` is the path of the feeds' memory
        that is put in force (``feed_memory.memory_path``), staged like the files, as is the key
        file if there is one (``with_statistics``).

        Raises:
            Conflict: if another writer has committed since.
            PublishError: if the store refuses, or has lost what was staged; what is decided the
                next writer finishes.
        """
        commit = Commit(
            number=base + 1,
            kind=kind,
            run_id=run_id,
            staging=staging,
            files=tuple(sorted(files, key=lambda file: file.path)),
            removed=tuple(sorted(removed)),
            replaces=tuple(sorted(replaces)),
            details={
                "committed_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                **(details or {}),
            },
            memory=_checked_memory(memory),
        )
        try:
            self._check_staged(commit)
            paths = [file.path for file in commit.files] + [memory] * bool(memory)
            self.store.sync_folders(f"{staging}/{path}" for path in paths)
            self._decide(commit)
            self._finish(commit.number)
        except OSError as error:
            raise PublishError(
                f"cannot publish to {self.store.url}: {error.strerror or error}; "
                f"{self._outlook(commit)}"
            ) from error
        return commit

    def _check_staged(self, commit: Commit) -> None:
        """Raise ``OSError`` if a staged file is gone: once decided, the commit must be finished."""
        there = self._list_staged(commit)
        size_bytes = {file.path: file.size_bytes for file in there}
        memory = (DataFile(commit.memory),) if commit.memory else ()
        for file in (*commit.files, *memory):
            path = f"{commit.staging}/{file.path}"
            if file.size_bytes not in (-1, size_bytes.get(path)) or path not in size_bytes:
                raise OSError(
                    errno.ENOENT, f"{self.store.locate(path)} is missing or not as it was written"
                )

    def _list_staged(self, commit: Commit) -> list[StoredFile]:
        return self.store.list_files(commit.staging) if commit.files or commit.memory else []

    def _outlook(self, commit: Commit) -> str:
        """What becomes of a commit that the store refused to bring to its end."""
        try:
            decided = any(self.store.exists(f"{it}/{commit.name}") for it in (PENDING, COMMITS))
        except OSError:
            return "the next run finds out whether the commit is decided, and if so finishes it"
        return (
            "the commit is decided, and the next run finishes it"
            if decided
            else ("nothing was added")
        )

    def _decide(self, commit: Commit) -> None:
        pending, done = (f"{folder}/{commit.name}" for folder in (PENDING, COMMITS))
        decided = self.store.create(pending, commit.encode())
        # The other order would let a sleeper create it again after it was finished and removed.
        if self.store.exists(done):
            if self.store.read(done) == commit.encode():
                return  # whoever took this writer for dead has finished its commit
            if decided:
                self.store.delete([pending])
            decided = False
        if not decided:
            raise Conflict(
                f"another run has written to {self.store.url} since this one began; nothing was "
                "added, run it again"
            )

    def _finish(self, number: int) -> None:
        name = f"{number:08d}.json"
        pending = f"{PENDING}/{name}"
        if self.store.exists(f"{COMMITS}/{name}"):
            commit = self._commit(COMMITS, number)  # the pending one may be a latecomer's
        else:
            commit = self._commit(PENDING, number)
            self._carry_out(commit)
            self.store.write(f"{COMMITS}/{name}", commit.encode())
        if commit.staging:
            # With all else that the run had staged.
            self.store.delete_folder("/".join(commit.staging.split("/")[:3]))
        self._sweep_memories(commit)
        # A store that refuses it fails like any other step after the commit is decided, and the
        # next writer makes up for it: nothing is passed over in silence.
        self._write_checkpoint(number)
        self.store.delete([pending])  # last, so that the next writer comes by here after a kill

    def _sweep_memories(self, commit: Commit) -> None:
        """Remove what this commit's memory replaces, and what killed runs left of theirs."""
        if not commit.memory:
            return
        names = self.store.names(FEEDS)
        # A sleeper must not remove the memory of a later commit. If that was among the names, the
        # commit was decided before, and it is in ``pending`` until it is in ``commits``.
        following = f"{commit.number + 1:08d}.json"
        if any(self.store.exists(f"{folder}/{following}") for folder in (PENDING, COMMITS)):
            return
        paths = (f"{FEEDS}/{name}" for name in names if _is_memory(name))
        self.store.delete(path for path in paths if path != commit.memory)

    def _write_checkpoint(self, number: int) -> None:
        """Write a checkpoint if it is time for one, and keep the one before beside it.

        Whoever does it, and when, the same is written: a reader may have either.
        """
        if number % self.checkpoint_every:
            return
        done = self._numbers(COMMITS)
        snapshot = self._add_up([it for it in done if it <= number])
        newest = max([number, *done, *self._numbers(PENDING)])
        merge_keys(self.store, number, newest, snapshot.hashes())
        checkpoint = Checkpoint(snapshot, self._manifest_sha256(number), tuple(self._old_runs()))
        self.store.write(checkpoint_path(number), checkpoint.encode())
        older = [it for it in self.checkpoints() if it < number]
        self.store.delete(map(checkpoint_path, older[:-1]))

    def _carry_out(self, commit: Commit) -> None:
        there = {file.path for file in self._list_staged(commit)}
        swapped = {it for it in commit.replaces if self._swap(commit, it, there)}
        moves = [
            (f"{commit.staging}/{file.path}", file.path)
            for file in commit.files
            if file.partition not in swapped
        ]
        for source, target in moves:
            if source not in there and not self.store.exists(target):
                raise DatasetError(
                    f"commit {commit.number} of {self.store.url} names {target}, which is neither "
                    "staged nor published; put the staging back from a copy"
                )
        # Only now: if these are nowhere, the commit goes on without.
        further = [commit.memory] * bool(commit.memory) + [keys_path(commit.number)]
        moves += [(f"{commit.staging}/{path}", path) for path in further]
        self.store.move(move for move in moves if move[0] in there)
        # Also where folders were swapped: it may have been done by moving, before a kill.
        kept = {file.path for file in commit.files}
        self.store.delete(path for path in commit.removed if path not in kept)

    def _swap(self, commit: Commit, partition: str, there: set[str]) -> bool:
        """Swap a partition's folder for the staged one; whether it is swapped, now or before."""
        files = [file.path for file in commit.files if file.partition == partition]
        if all(map(self.store.exists, files)):
            return True
        if any(f"{commit.staging}/{path}" not in there for path in files):
            return False  # some were moved, on a machine that cannot swap: they must not go back
        return self.store.exchange(f"{commit.staging}/{partition}", partition)

    def _finish_old(self, name: str) -> None:
        """Carry out what a run of schema version 1 had begun to publish."""
        commit = self._old_commit(name)
        self._carry_out(commit)
        self.store.delete_folder(commit.staging)
        self.store.move([(f"{_OLD_RUNS}/{name}", f"{_OLD_RUNS}/{commit.run_id}.json")])


def _or_error(read: Callable[..., Commit], *where: object) -> Commit | DatasetError:
    try:
        return read(*where)
    except OSError as error:
        return DatasetError(f"cannot read a manifest: {error}")
    except DatasetError as error:
        return error


def _without_error(found: Iterable[Commit | DatasetError]) -> Iterator[Commit]:
    for commit in found:
        if isinstance(commit, DatasetError):
            raise commit
        yield commit


def checkpoint_path(number: int) -> str:
    """Where the checkpoint after a commit is, relative to the dataset."""
    return f"{CHECKPOINTS}/{number:08d}{_CHECKPOINT_SUFFIX}"


def local_dataset(path: str) -> Dataset:
    """The dataset in a local folder."""
    return Dataset(LocalStore(path))
