"""The key files of a dataset: where they are, who writes them, and which of them count.

::

    _newsbeam/keys/00000065.keys          of the files that commit 65 has added
                   00000064.merged.keys   of all files there were after commit 64

In: files of the dataset. Out: what ``transforms.file_keys`` says of them. A commit lists the keys
of its files in a key file, staged with them and brought to its place with them. Whenever a
checkpoint is written, all key files are merged into one, which replaces them. So a run reads one
large file and as many small ones as there are commits between checkpoints.

A key file can be done without: a file that none lists may hold anything, and is looked into. What
counts is the listing of a file under the path and SHA-256 that the manifests have it with, in
whichever key file. So key files can neither be out of date nor of another dataset, and lists of
files that are no more do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from transforms.file_keys import FileKeys, decode_keys, encode_keys, keys_of_file
from transforms.storage import Store

KEYS = "_newsbeam/keys"
_SUFFIX = ".keys"
_MERGED = ".merged"
_LOCAL_READERS = 2
_REMOTE_READERS = 16
"""How many files are read at the same time: an object store answers late, but many at once."""


def keys_path(number: int) -> str:
    """Where the key file of a commit is, relative to the dataset."""
    return f"{KEYS}/{number:08d}{_SUFFIX}"


def merged_keys_path(number: int) -> str:
    """Where the key file of all files after a commit is, relative to the dataset."""
    return f"{KEYS}/{number:08d}{_MERGED}{_SUFFIX}"


def key_files(store: Store) -> list[str]:
    """The paths of the key files that are there."""
    return [f"{KEYS}/{name}" for name in store.names(KEYS) if _number(name) is not None]


def _number(name: str) -> int | None:
    number = name.removesuffix(_SUFFIX).removesuffix(_MERGED)
    return int(number) if name.endswith(_SUFFIX) and number.isdigit() else None


def number_of(path: str) -> int:
    """The commit that a key file is of, or up to which it is merged."""
    number = _number(path.rpartition("/")[2])
    if number is None:
        raise ValueError(f"{path!r} is no key file")
    return number


def readers(store: Store) -> int:
    """How many files of a store are read at the same time."""
    return _REMOTE_READERS if store.local_root is None else _LOCAL_READERS


def examine_keys(store: Store) -> Iterator[tuple[str, list[FileKeys] | OSError | ValueError]]:
    """Each key file with what it lists, or why it cannot be read.

    Raises:
        OSError: if they cannot be listed.
    """
    paths = key_files(store)
    with ThreadPoolExecutor(readers(store)) as threads:
        yield from zip(paths, threads.map(partial(_read, store), paths), strict=True)


def _read(store: Store, path: str) -> list[FileKeys] | OSError | ValueError:
    try:
        return decode_keys(store.read(path))
    except (OSError, ValueError) as error:
        return error


def read_keys(store: Store, files: Mapping[str, str]) -> dict[str, FileKeys]:
    """What counts of all that is listed, by path.

    Args:
        store: of the dataset.
        files: the SHA-256 of each file, by path; empty where it is unknown.

    Raises:
        OSError: if the key files cannot be listed. One that cannot be read is passed over.
    """
    return {
        file.path: file
        for _, listed in examine_keys(store)
        if isinstance(listed, list)
        for file in listed
        if counts(file, files)
    }


def counts(file: FileKeys, files: Mapping[str, str]) -> bool:
    """Whether a listing is about a file as it is."""
    return bool(file.sha256) and files.get(file.path) == file.sha256


def stage_keys(
    store: Store, staging: str, number: int, staged: Mapping[str, str], late: Mapping[str, str]
) -> dict[str, FileKeys]:
    """Stage the key file of a commit; gives what it lists.

    Args:
        store: of the dataset.
        staging: folder of the staged files, which lie in it as they will in the dataset.
        number: of the commit.
        staged: the SHA-256 of each file that is new in it, by path.
        late: that of files of before that no key file lists: they are of a dataset that is older
            than key files, or a key file was lost. One that is not as its hash says is left out.

    Raises:
        OSError: if the store refuses, or a staged file is damaged.
    """

    def describe_staged(path: str) -> FileKeys:
        return keys_of_file(store, f"{staging}/{path}", path, staged[path])

    def describe_late(path: str) -> FileKeys | None:
        with suppress(OSError):  # whoever needs its rows finds it damaged
            return keys_of_file(store, path, path, late[path], checks_hash=True)
        return None

    with ThreadPoolExecutor(readers(store)) as threads:
        files = list(threads.map(describe_staged, staged))
        files += [file for file in threads.map(describe_late, late) if file is not None]
    if files:
        store.write(f"{staging}/{keys_path(number)}", encode_keys(files))
    return {file.path: file for file in files}


def merge_keys(store: Store, number: int, newest: int, files: Mapping[str, str]) -> None:
    """Merge all key files into one of the files that there are after a commit.

    A writer that was taken for dead may do so late: it must not undo what others have merged. But
    what was merged after a commit that is not there any more, for the dataset was put back from an
    older copy, holds up nobody; it is removed when the commits have come to its number.

    Args:
        store: of the dataset.
        number: of the commit.
        newest: number of the newest commit, done or pending.
        files: the SHA-256 of each file after commit ``number``, by path; empty where unknown.

    Raises:
        OSError: if the store refuses to write.
    """
    merged = merged_keys_path(number)
    if any(_MERGED in path and number < number_of(path) <= newest for path in key_files(store)):
        return
    kept: dict[str, FileKeys] = {}
    read: list[str] = []
    for path, listed in examine_keys(store):
        if isinstance(listed, FileNotFoundError):
            return  # another writer is merging, or has merged
        if isinstance(listed, OSError):
            continue  # it may be readable again another time
        if isinstance(listed, list):
            kept |= {file.path: file for file in listed if counts(file, files)}
        read.append(path)
    if kept:
        store.write(merged, encode_keys(kept.values()))
    store.delete(path for path in read if number_of(path) <= number and path != merged)
