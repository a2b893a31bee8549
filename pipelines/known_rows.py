"""Which files of the dataset a run has to look into, told by their statistics.

In: the snapshot that a run is made on, and its staged blocks. Out: ``KnownFile`` records, and paths
of files of ``failures``. A run looks for

- rows of ``articles`` and ``duplicates`` observed within the horizon of its texts, of which its
  texts may be copies: by the range of times that a manifest lists with each file;
- at any age, the texts that it has read before, other texts of the works that it has, and failures
  that it has met before: by the keys in the key files (``pipelines.key_files``);
- rows of ``articles``, from before the horizon too, which rows of ``duplicates`` within it are
  copies of: by those rows of ``duplicates``, and the keys.

Files that serve none of these are left out. One whose range or keys nobody has listed may hold
anything, and is looked into. Of the dataset's files only those of ``duplicates`` within the horizon
are read here. What grows with the dataset are the manifests' checkpoint and the key files, of 8
bytes for each row (``transforms.file_keys`` tells what looking into them takes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipelines.dataset import DataFile, Snapshot
from pipelines.key_files import read_keys, readers
from schemas.records import KnownFile, StagedBlock
from transforms.compaction import may_hold_observed, open_parquet
from transforms.dataset_rows import is_within, time_ranges
from transforms.file_keys import (
    OBSERVED_AT,
    FileKeys,
    MicrosRange,
    WantedKeys,
    article_key,
    failure_key,
    row_times,
    text_key,
    to_keys,
)
from transforms.staging import PRINTS, failure_ids_of_block, read_columns
from transforms.storage import Store

Micros = npt.NDArray[np.int64]
T = TypeVar("T")
U = TypeVar("U")


class LookedInto(NamedTuple):
    """Where a run looks for what is known, and what for in all of them."""

    files: list[KnownFile]
    canonical_ids: bytes
    """Ids of rows of ``articles``, 16 bytes each, that copies near in time are of: looked for in
    the files that ``may_hold_canonicals``."""


def known_files(
    store: Store, snapshot: Snapshot, blocks: Sequence[StagedBlock], horizon_seconds: int
) -> LookedInto:
    """The files of ``articles`` and ``duplicates`` in which a run looks for what is known.

    Args:
        store: of the dataset.
        snapshot: that the run is made on, held against the files that are there.
        blocks: that the run has staged; of other kinds than articles they may be any.
        horizon_seconds: how far apart two texts may be observed of which one copies the other.

    Raises:
        OSError: if the store refuses, or a file that is near is damaged.
    """
    texts = [block for block in blocks if block.kind == "articles"]
    if not texts:
        return LookedInto([], b"")
    keys, micros = _texts_of(store, texts)
    near = Near(micros, horizon_seconds * 1_000_000)
    files = [*snapshot.table("articles"), *snapshot.table("duplicates")]
    listed = read_keys(store, {file.path: file.sha256 for file in files})
    may_hold = {file.path for file in files if _may_hold(file, listed, keys)}
    is_near = {file.path for file in files if near.may_have(_observed(file, listed))}
    sought = _sought_works(store, files, listed, near)
    canonical_ids = _canonicals(files, listed, sought)
    looked_into = may_hold | is_near | canonical_ids.keys()
    wanted = [file for file in files if file.path in looked_into]
    known = [
        KnownFile(
            number,
            file.table,
            file.path,
            may_hold=file.path in may_hold,
            is_near=file.path in is_near,
            canonical_ids=canonical_ids.get(file.path, b""),
            may_hold_canonicals=(
                bool(sought) and file.table == "articles" and file.path not in listed
            ),
        )
        for number, file in enumerate(wanted)
    ]
    return LookedInto(known, b"".join(map(bytes.fromhex, sought)))


def known_failures(store: Store, snapshot: Snapshot, blocks: Sequence[StagedBlock]) -> list[str]:
    """The paths of the files of ``failures`` that may hold a failure of the run.

    Raises:
        OSError: if the store refuses.
    """
    failed = [block for block in blocks if block.kind == "failures"]
    if not failed:
        return []
    ids = _each(store, lambda block: failure_ids_of_block(store, block), failed)
    keys = WantedKeys(to_keys(failure_key(one) for some in ids for one in some))
    files = snapshot.table("failures")
    listed = read_keys(store, {file.path: file.sha256 for file in files})
    return [file.path for file in files if _may_hold(file, listed, keys)]


def _each(store: Store, read: Callable[[T], U], items: Iterable[T]) -> list[U]:
    """What is read of each item, as many at a time as the store is good for."""
    with ThreadPoolExecutor(readers(store)) as threads:
        return list(threads.map(read, items))


def _may_hold(file: DataFile, listed: Mapping[str, FileKeys], keys: WantedKeys) -> bool:
    return file.path not in listed or bool(keys.among(listed[file.path].keys).size)


def _observed(file: DataFile, listed: Mapping[str, FileKeys]) -> MicrosRange | None:
    """When a file's rows were observed, as far as that is listed anywhere."""
    if file.observed_micros is None and file.path in listed:
        return listed[file.path].observed_micros
    return file.observed_micros


def _texts_of(store: Store, blocks: Sequence[StagedBlock]) -> tuple[WantedKeys, Micros]:
    """By what the texts of a run may be known, and when each was observed."""
    columns = ["article_id", "content_hash", "source_uri", "observed_micros"]

    def read(block: StagedBlock) -> tuple[npt.NDArray[np.uint32], Micros]:
        table = read_columns(store, block.path + PRINTS, columns)
        ids, hashes, uris = (table[name].to_pylist() for name in columns[:3])
        keys = to_keys([*map(article_key, ids), *map(text_key, hashes, uris)])
        return keys, table["observed_micros"].to_numpy()

    parts = _each(store, read, blocks)
    keys = WantedKeys(np.concatenate([part for part, _ in parts]))
    return keys, np.concatenate([part for _, part in parts])


# ── within the horizon ──────────────────────────────────────────────────────────────────────────


class Near:
    """The times within the horizon of a run's texts: ranges that lie apart, in order."""

    def __init__(self, micros: Micros, horizon_micros: int) -> None:
        """``micros`` are the times of the texts, at least one."""
        least, greatest = time_ranges(micros, 2 * horizon_micros).T
        self._least, self._greatest = least - horizon_micros, greatest + horizon_micros

    @property
    def ranges(self) -> list[MicrosRange]:
        """Least and greatest of each."""
        return list(zip(self._least.tolist(), self._greatest.tolist(), strict=True))

    def have(self, micros: Micros) -> npt.NDArray[np.bool_]:
        """For each time whether it is within one."""
        return is_within(micros, self.ranges)

    def may_have(self, observed: MicrosRange | None) -> bool:
        """Whether one has a time in common with a range; None may be any."""
        if observed is None:
            return True
        place = np.searchsorted(self._greatest, observed[0])
        return bool(place < self._greatest.size and self._least[place] <= observed[1])


# ── works from before it ────────────────────────────────────────────────────────────────────────


def _sought_works(
    store: Store, files: Sequence[DataFile], listed: Mapping[str, FileKeys], near: Near
) -> list[str]:
    """The ids of works of which copies are near."""
    copies = [
        file
        for file in files
        if file.table == "duplicates" and near.may_have(_observed(file, listed))
    ]
    works = _each(store, lambda file: _near_works(store, file, near), copies)
    return sorted(set().union(*works))


def _canonicals(
    files: Sequence[DataFile], listed: Mapping[str, FileKeys], sought: Sequence[str]
) -> dict[str, bytes]:
    """Works that are sought, by listed file of ``articles`` that they may be in."""
    if not sought:
        return {}
    by_key: dict[int, list[bytes]] = {}
    for one in sought:
        by_key.setdefault(article_key(one), []).append(bytes.fromhex(one))
    keys = WantedKeys(to_keys(by_key))
    found: dict[str, bytes] = {}
    for file in files:
        if file.table == "articles" and file.path in listed:
            hits = keys.among(listed[file.path].keys).tolist()
            found[file.path] = b"".join(one for key in hits for one in by_key[key])
    return {path: some for path, some in found.items() if some}


def _is_near(group: pq.RowGroupMetaData, near: Near) -> bool:
    return any(may_hold_observed(group, one) for one in near.ranges)


def _near_works(store: Store, file: DataFile, near: Near) -> set[str]:
    """Works that a file's rows of ``duplicates`` within the horizon are copies of."""
    works: set[str] = set()
    with open_parquet(store, file.path) as parquet:
        groups = [
            number
            for number in range(parquet.num_row_groups)
            if _is_near(parquet.metadata.row_group(number), near)
        ]
        columns = ["canonical_id", OBSERVED_AT]
        batches = parquet.iter_batches(row_groups=groups, columns=columns) if groups else ()
        for batch in batches:
            rows = np.flatnonzero(near.have(row_times(batch)))
            works.update(batch.column("canonical_id").take(rows).to_pylist())
    return works
