"""Where a dataset lives: a local folder or an object store, with one set of promises.

A *store* is a tree of files, named by paths relative to it with ``/`` between their parts. What is
written into it appears whole or not at all, and stays when the process is killed. Two operations
decide who is first: ``create`` makes a file only where there is none, and on a local disk
``exchange`` swaps two folders in one step.

Object stores are reached through fsspec (``s3://`` by s3fs, ``gs://`` by gcsfs). Beam's own
filesystems would do for reading and writing, but know no conditional put, on which the commit
rests. Credentials and endpoints come from where those clients look for them: ``AWS_*`` variables
(``AWS_ENDPOINT_URL`` for another S3 than Amazon's), profiles and roles;
``GOOGLE_APPLICATION_CREDENTIALS`` and ``STORAGE_EMULATOR_HOST`` for Google's, where an emulator is
spoken to without credentials.

A request to an object store that is not answered is given up after ``CONNECT_SECONDS`` or
``READ_SECONDS``, and repeated a few times with growing pauses: a store that refuses connections is
reported within seconds (S3) or half a minute (Google), one that is silent within minutes.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import io
import logging
import os
import re
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import fsspec
import pyarrow as pa

PARTIAL = ".partial"
"""Suffix of a local file that is being written; one that a kill left is nobody's."""
_REMOTE_SCHEME = re.compile(r"(s3|s3a|gs|gcs)://(?P<bucket>[^/]+)(?P<path>/.*)?", re.IGNORECASE)
_CLIENT_MODULES = frozenset(
    {"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "requests", "urllib3"}
)
"""Packages below fsspec whose errors are the store's, though they are no ``OSError``."""
_SPOKEN_KINDS: dict[type[OSError], tuple[type[OSError], int]] = {
    FileNotFoundError: (FileNotFoundError, errno.ENOENT),
    PermissionError: (PermissionError, errno.EACCES),
}
WHOLE_READ_BYTES = 4 << 20
"""An object up to this size is read with one request rather than piece by piece."""
CONNECT_SECONDS = 10
"""How long to wait for an object store to take a connection."""
READ_SECONDS = 30
"""How long to wait for the next bytes of an object store's answer."""
_ATTEMPTS = 3
"""How often s3fs and botocore, each, try a request; gcsfs tries six times."""
_DELETIONS_AT_ONCE = 16
_PUTS_AT_ONCE = 8
_CONNECTIONS = 32
"""To S3, at most, from one process."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV, errno.ENOENT})
"""``EXDEV``: overlayfs (a container) for a folder of a lower layer. ``ENOENT``: one is missing."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


class StoreError(OSError):
    """The object store refused, or cannot be reached; the message says why."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a store."""

    path: str
    """Relative to the store."""
    size_bytes: int


class HashingFile:
    """A file for writing that counts and hashes (SHA-256) what goes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, content: bytes) -> int:
        """Write, count and hash."""
        self._digest.update(content)
        self.size_bytes += memoryview(content).nbytes
        self._file.write(content)
        return memoryview(content).nbytes

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size_bytes

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def readable(self) -> bool:
        """It is not for reading."""
        return False

    def seekable(self) -> bool:
        """It is written from its start to its end."""
        return False

    def flush(self) -> None:
        """Leave flushing to the writer of the store."""

    def close(self) -> None:
        """Leave closing to the writer of the store."""

    @property
    def closed(self) -> bool:
        """Whether it is closed, which its writer in the store decides."""
        return False

    @property
    def sha256(self) -> str:
        """The hash of what was written, 64 hex digits."""
        return self._digest.hexdigest()


class Store(ABC):
    """A tree of files. Every method raises ``OSError`` where the store refuses."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What a person calls it: an absolute path, or a URL."""

    def locate(self, path: str) -> str:
        """What a person calls a file in it."""
        return f"{self.url.rstrip('/')}/{path}" if path else self.url

    @property
    @abstractmethod
    def local_root(self) -> Path | None:
        """The folder, if it is a local one."""

    @property
    def files_at_once(self) -> int:
        """How many small files it pays to write at a time."""
        return 1

    @abstractmethod
    def list_files(self, folder: str) -> list[StoredFile]:
        """Every file below a folder, sorted by path; none if there is no such folder."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """The names of what is directly in a folder, files and folders, sorted."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """A file's content; ``FileNotFoundError`` if there is none."""

    @abstractmethod
    def open(self, path: str) -> pa.NativeFile:
        """A file for reading at any place in it, as Arrow takes it."""

    @abstractmethod
    def writer(self, path: str) -> Any:
        """A context manager giving a ``HashingFile``.

        What was written appears under the path when the block ends; if it raises, nothing does.
        """

    def write(self, path: str, content: bytes) -> None:
        """Put a file, replacing what is there."""
        with self.writer(path) as file:
            file.write(content)
        self.sync_folders([path])

    @abstractmethod
    def create(self, path: str, content: bytes) -> bool:
        """Put a file only if there is none of that name; whether it was put. Atomic.

        The content should be the caller's own. Where an object store's answer is lost and the
        request repeated, only the content tells that it was this caller who put it.
        """

    @abstractmethod
    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Bring files to other paths, each whole at once, replacing what is there."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; those that are not there are passed over."""

    @abstractmethod
    def delete_folder(self, folder: str) -> None:
        """Delete all below a folder, and the folder."""

    def exchange(self, folder: str, other: str) -> bool:
        """Swap two folders in one step; False where the store cannot."""
        return False

    def link(self, path: str, target: str) -> bool:
        """Give a file a second path; False where the store cannot."""
        return False

    @abstractmethod
    def sync_folders(self, paths: Iterable[str]) -> None:
        """Make sure that the names of written files outlive a power cut."""


def open_store(output: str) -> Store:
    """The store that an output on the command line names.

    Raises:
        ValueError: if it is empty, or a URL of a kind that no dataset can be in.
        StoreError: if the client for its kind is not installed.
    """
    if not output:
        raise ValueError("the output is empty; name a local folder or an s3:// or gs:// URL")
    if "://" not in output or output.lower().startswith("file://"):
        path = re.sub(r"(?i)^file://", "", output)
        return LocalStore(str(Path(path).absolute()))
    match = _REMOTE_SCHEME.fullmatch(output)
    if match is None:
        raise ValueError(f"{output!r} is neither a local folder nor an s3:// or gs:// URL")
    scheme = "s3" if match[1].lower().startswith("s3") else "gs"
    path = re.sub(r"/+", "/", match["path"] or "").strip("/")
    store = ObjectStore(scheme, "/".join(part for part in (match["bucket"], path) if part))
    store.check_client()
    return store


@dataclass(frozen=True)
class LocalStore(Store):
    """A folder on a disk of this machine, or one that it mounts."""

    root: str

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return self.root

    @property
    def local_root(self) -> Path:
        """The folder."""
        return Path(self.root)

    def _path(self, path: str) -> Path:
        return Path(self.root) / path

    def list_files(self, folder: str) -> list[StoredFile]:
        """Every file below a folder; those that are being written are left out."""
        found = []
        for parent, _, names in os.walk(self._path(folder), onerror=_raise_unless_missing):
            for name in names:
                if name.endswith(PARTIAL):
                    continue
                path = Path(parent) / name
                try:
                    size_bytes = path.stat().st_size
                except FileNotFoundError:  # moved or removed by a writer meanwhile
                    continue
                found.append(StoredFile(path.relative_to(self.root).as_posix(), size_bytes))
        return sorted(found, key=lambda file: file.path)

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        try:
            found = [entry.name for entry in self._path(folder).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not name.endswith(PARTIAL))

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._path(path).is_file()

    def read(self, path: str) -> bytes:
        """A file's content."""
        return self._path(path).read_bytes()

    def open(self, path: str) -> pa.NativeFile:
        """A file for reading."""
        return pa.OSFile(str(self._path(path)))

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        """Write beside the path, and rename when all is on the disk."""
        with self._partial(path) as (file, partial):
            yield HashingFile(file)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(self._path(path))

    @contextmanager
    def _partial(self, path: str) -> Iterator[tuple[IO[bytes], Path]]:
        """A file beside the path, which is gone after the block if it was not renamed."""
        target = self._path(path)
        # Not the process id: threads share it, and so may processes of two machines or containers.
        partial = target.with_name(f"{target.name}.{secrets.token_hex(8)}{PARTIAL}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                yield file, partial
        finally:
            partial.unlink(missing_ok=True)

    def create(self, path: str, content: bytes) -> bool:
        """Write beside the path, and link it under its name, which fails where there is one."""
        target = self._path(path)
        with self._partial(path) as (file, partial):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(partial, target)
            except FileExistsError:
                return False
            except OSError as error:
                # A filesystem without hard links: the lock alone keeps two writers apart here.
                if error.errno not in _NO_LINKS:
                    raise
                if target.exists():
                    return False
                partial.replace(target)
        self.sync_folders([path])
        return True

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Rename each file."""
        targets = []
        for source, target in moves:
            self._path(target).parent.mkdir(parents=True, exist_ok=True)
            self._path(source).replace(self._path(target))
            targets.append(target)
        self.sync_folders(targets)

    def delete(self, paths: Iterable[str]) -> None:
        """Unlink each file."""
        deleted = []
        for path in paths:
            try:
                self._path(path).unlink()
            except FileNotFoundError:
                continue
            deleted.append(path)
        self.sync_folders(deleted)  # or a power cut may bring back what a commit has removed

    def delete_folder(self, folder: str) -> None:
        """Remove the tree."""
        shutil.rmtree(
            self._path(folder), onerror=lambda _call, _path, error: _raise_unless_missing(error[1])
        )

    def exchange(self, folder: str, other: str) -> bool:
        """Swap two folders by ``renameat2`` (Linux 3.15), where kernel and filesystem have it."""
        try:
            rename = ctypes.CDLL(None, use_errno=True).renameat2
        except AttributeError:
            return False
        left, right = (os.fsencode(self._path(path)) for path in (folder, other))
        if rename(_AT_FDCWD, left, _AT_FDCWD, right, _RENAME_EXCHANGE) == 0:
            self.sync_folders([folder, other])
            return True
        number = ctypes.get_errno()
        if number in _NO_EXCHANGE:
            return False
        raise OSError(number, os.strerror(number), str(self._path(folder)))

    def link(self, path: str, target: str) -> bool:
        """Hard-link a file."""
        self._path(target).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._path(path), self._path(target))
        except FileExistsError:
            return True
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return False
        return True

    def sync_folders(self, paths: Iterable[str]) -> None:
        """Flush the folders that the paths lie in, and those above them up to the store's."""
        folders = {parent for path in paths for parent in _parents(path)}
        for folder in sorted(folders):
            descriptor = os.open(self._path(folder), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a filesystem that has nothing to flush
                    raise
            finally:
                os.close(descriptor)


def _parents(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _raise_unless_missing(error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@dataclass(frozen=True)
class ObjectStore(Store):
    """A prefix in a bucket of S3 or Google Cloud Storage, or of what speaks like them."""

    scheme: str
    root: str
    """Bucket and prefix, without slashes at the ends."""

    @property
    def url(self) -> str:
        """The URL of the prefix."""
        return f"{self.scheme}://{self.root}"

    @property
    def local_root(self) -> None:
        """There is no folder."""
        return

    @property
    def files_at_once(self) -> int:
        """Several: a put is mostly waiting."""
        return _PUTS_AT_ONCE

    def check_client(self) -> None:
        """Raise ``StoreError`` if the client for this kind of store is not installed."""
        client_of(self.scheme)

    @property
    def _fs(self) -> Any:
        return client_of(self.scheme)

    def _key(self, path: str) -> str:
        return f"{self.root}/{path}".rstrip("/")

    def list_files(self, folder: str) -> list[StoredFile]:
        """Every object below a prefix."""
        with spoken(self.locate(folder)):
            self._fs.invalidate_cache()
            # By prefix: of a folder that is not there, find() would go on to ask what else it is.
            found = self._fs.find(self.root, detail=True, prefix=f"{folder}/" if folder else "")
        files = [
            StoredFile(key[len(self.root) + 1 :], int(info["size"]))
            for key, info in found.items()
            if info["type"] == "file" and not key.endswith("/")
        ]
        return sorted(files, key=lambda file: file.path)

    def names(self, folder: str) -> list[str]:
        """The names below a prefix up to the next slash."""
        with spoken(self.locate(folder)):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._key(folder), detail=False)
            except FileNotFoundError:
                return []
        start = len(self._key(folder)) + 1
        return sorted({name for key in found if (name := key[start:].strip("/"))})

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        with spoken(self.locate(path)):
            self._fs.invalidate_cache()
            try:  # isfile() would say no where the store cannot be reached
                return bool(self._fs.info(self._key(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def read(self, path: str) -> bytes:
        """An object's content."""
        with spoken(self.locate(path)):
            return cast(bytes, self._fs.cat_file(self._key(path)))

    def open(self, path: str) -> pa.NativeFile:
        """An object for reading: at once where it is small, else by ranges."""
        with spoken(self.locate(path)):
            self._fs.invalidate_cache()
            size_bytes = self._fs.info(self._key(path))["size"]
            if size_bytes <= WHOLE_READ_BYTES:
                return pa.BufferReader(self._fs.cat_file(self._key(path)))
        return pa.PythonFile(_Ranges(self, path, size_bytes), mode="r")

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """The bytes of an object from ``start`` up to, but not with, ``end``."""
        with spoken(self.locate(path)):
            return cast(bytes, self._fs.cat_file(self._key(path), start=start, end=end))

    @contextmanager
    def writer(self, path: str) -> Iterator[HashingFile]:
        """Upload; the object appears when the upload is complete."""
        with spoken(self.locate(path)):
            file = self._fs.open(self._key(path), "wb")
            try:
                yield HashingFile(cast(BinaryIO, file))
            except BaseException:
                file.closed = True  # or it would be uploaded when it is collected
                file.discard()
                raise
            file.close()

    def create(self, path: str, content: bytes) -> bool:
        """Put with ``If-None-Match: *`` (S3) or ``ifGenerationMatch=0`` (Google)."""
        with spoken(self.locate(path)):
            try:
                self._fs.pipe_file(self._key(path), content, mode="create")
            except Exception as error:
                if not _is_precondition(error):
                    raise
            else:
                return True
        # The clients repeat a request whose answer they did not get, and may so meet their own.
        try:
            return self.read(path) == content
        except FileNotFoundError:
            return False

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Copy within the store, many at once, then delete."""
        pairs = list(moves)
        sources, targets = ([self._key(pair[side]) for pair in pairs] for side in (0, 1))
        with spoken(self.url):
            self._fs.copy(sources, targets, on_error="raise")
        self.delete(source for source, _ in pairs)

    def sync_folders(self, paths: Iterable[str]) -> None:
        """An object is durable when its upload is complete."""

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, many at once."""
        # Not rm(), which takes names for patterns and, on S3, passes over what was refused.
        with ThreadPoolExecutor(_DELETIONS_AT_ONCE) as threads:
            for done in [threads.submit(self._delete_one, path) for path in paths]:
                done.result()

    def _delete_one(self, path: str) -> None:
        with spoken(self.locate(path)):
            try:
                self._fs.rm_file(self._key(path))
            except FileNotFoundError:
                return

    def delete_folder(self, folder: str) -> None:
        """Delete every object below a prefix."""
        self.delete(file.path for file in self.list_files(folder))


class _Ranges(io.RawIOBase):
    """An object, of which each read is one request; Arrow asks for whole column chunks."""

    def __init__(self, store: ObjectStore, path: str, size_bytes: int) -> None:
        self._store = store
        self._path = path
        self._size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size_bytes if size < 0 else min(self._at + size, self._size_bytes)
        if self._at >= end:
            return b""
        content = self._store.read_range(self._path, self._at, end)
        self._at += len(content)
        return content


@functools.cache
def client_of(scheme: str) -> Any:
    """The fsspec client for ``s3`` or ``gs``.

    Raises:
        StoreError: if it is not installed.
    """
    try:
        return {"s3": _s3_filesystem, "gs": _google_filesystem}[scheme]()
    except ImportError as error:
        extra = {"s3": "s3", "gs": "gcs"}[scheme]
        raise StoreError(
            errno.ENOPKG,
            f"{scheme}:// needs a client that is not installed: pip install 'newsbeam[{extra}]'",
        ) from error


def _s3_filesystem() -> Any:
    filesystem = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,  # client_of() is the cache
        use_listings_cache=False,
        max_concurrency=1,  # or it asks for an object's size whenever it reads one
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "max_pool_connections": _CONNECTIONS,
            "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        },
    )
    filesystem.retries = _ATTEMPTS
    return filesystem


def _google_filesystem() -> Any:
    import aiohttp  # noqa: PLC0415 - comes with gcsfs
    from gcsfs.core import GCSFileSystem  # noqa: PLC0415 - an optional dependency

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs, at length, what it raises
    # Not fsspec.filesystem("gs"): that one asks, by gRPC, what kind of bucket it is at each step.
    return GCSFileSystem(
        token="anon" if os.environ.get("STORAGE_EMULATOR_HOST") else None,
        skip_instance_cache=True,
        use_listings_cache=False,
        # Without it gcsfs waits for ever.
        requests_timeout=aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
    )


def _is_precondition(error: BaseException) -> bool:
    """Whether a put was refused because there is an object of that name."""
    if isinstance(error, FileExistsError):
        return True
    response = getattr(error.__cause__, "response", None)  # s3fs makes an OSError of botocore's
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code in {"PreconditionFailed", "ConditionalRequestConflict"}


@contextmanager
def spoken(what: str) -> Iterator[None]:
    """Make what a client below fsspec raises an ``OSError`` that says what it was about."""
    try:
        yield
    except OSError as error:
        if error.filename is None and not isinstance(error, StoreError):
            reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
            kind, number = _SPOKEN_KINDS.get(type(error), (StoreError, error.errno or errno.EIO))
            raise kind(number, f"{what}: {reason}") from error
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _CLIENT_MODULES:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(errno.EIO, f"{what}: {reason}") from error
