"""Which pages the dataset has: their addresses in its files, and what that means for a link."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.timestamp import Timestamp

from schemas.records import LinkedItem
from transforms.addresses import authority_of
from transforms.compaction import may_hold_observed, open_parquet
from transforms.storage import Store

_ADDRESSES = {
    "articles": ("origin", "url", "canonical_url"),
    "duplicates": ("origin", "url", "canonical_url"),
    "failures": ("origin", "url"),
}
_PAGE_STAGES = pa.array(["fetch", "extract"])
_END_MICROS = 1 << 62
Hashes = npt.NDArray[np.int64]


def find_pages(
    store: Store, table: str, path: str, urls: pa.Array | None, since: Timestamp
) -> Iterator[tuple[str, int]]:
    """The addresses in a file of the dataset that are among ``urls``, and when each was seen.

    Args:
        store: of the dataset.
        table: the file's.
        path: relative to the store.
        urls: sought, as Arrow strings; None for all.
        since: what was seen before is passed over.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    further = ["kind", "stage"] if table == "failures" else []
    columns = [*_ADDRESSES[table], "observed_at", *further]
    wanted = (since.micros, _END_MICROS)
    with open_parquet(store, path) as parquet:
        groups = [
            number
            for number in range(parquet.num_row_groups)
            if may_hold_observed(parquet.metadata.row_group(number), wanted)
        ]
        for batch in parquet.iter_batches(row_groups=groups, columns=columns) if groups else ():
            yield from _found(batch, table, urls, since)


def _found(
    batch: pa.RecordBatch, table: str, urls: pa.Array | None, since: Timestamp
) -> Iterator[tuple[str, int]]:
    for column in _ADDRESSES[table]:
        addresses = batch.column(column)
        is_hit = addresses.is_valid() if urls is None else pc.is_in(addresses, value_set=urls)
        if table == "failures":
            is_rejected = pc.equal(batch.column("kind"), "rejected")
            is_page = pc.is_in(batch.column("stage"), value_set=_PAGE_STAGES)
            is_hit = pc.and_(is_hit, pc.and_(is_rejected, is_page))
        hits = batch.filter(is_hit)
        seen = pc.cast(hits.column("observed_at"), pa.timestamp("us", "UTC")).cast(pa.int64())
        columns = (hits.column(name).to_pylist() for name in (column, "url"))
        for url, fetched_from, micros in zip(*columns, seen.to_pylist(), strict=True):
            # What a page says of another host's is no evidence that this was read.
            is_own = column != "canonical_url" or authority_of(url) == authority_of(
                fetched_from or ""
            )
            if micros >= since.micros and is_own:
                yield url, micros


def is_known(link: LinkedItem, seen_micros: int | None) -> bool:
    """Whether a link's page need not be fetched, for it was seen then; None for never."""
    if seen_micros is None or link.is_update:
        return False
    changed = _micros(link.item.updated or link.item.published)
    return changed is None or changed <= seen_micros


def _micros(moment: str | None) -> int | None:
    """A time as feeds are read to state it: ISO 8601, in UTC."""
    if moment is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(moment)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return int(Timestamp.from_utc_datetime(at.astimezone(datetime.UTC)).micros)


class SeenPages:
    """The addresses of pages in files of the dataset, kept at hand: 16 bytes each.

    A file never changes, so that each is read once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files: dict[str, tuple[Hashes, Hashes]] = {}
        """By path: the hashes of addresses, sorted, and when each was seen."""

    def keep(self, files: Iterable[tuple[str, str]], since: Timestamp) -> None:
        """Have just these files at hand, each as (table, path).

        Raises:
            OSError: if one cannot be read; those that were read by then need not be read again.
        """
        kept = set()
        for table, path in files:
            kept.add(path)
            if path not in self._files:
                self._files[path] = self._read(table, path, since)
        for path in self._files.keys() - kept:
            del self._files[path]

    def _read(self, table: str, path: str, since: Timestamp) -> tuple[Hashes, Hashes]:
        last: dict[int, int] = {}
        for url, micros in find_pages(self._store, table, path, None, since):
            key = _hash_of(url)
            last[key] = max(micros, last.get(key, micros))
        keys = np.array(sorted(last), np.int64)
        return keys, np.array([last[key] for key in keys.tolist()], np.int64)

    def seen(self, urls: Iterable[str]) -> dict[str, int]:
        """When each of some pages was last seen, microseconds since 1970; those that were."""
        sought = list(urls)
        keys = np.array([_hash_of(url) for url in sought], np.int64)
        latest = np.full(len(sought), -1, np.int64)
        for known, micros in self._files.values():
            if not len(known):
                continue
            places = np.searchsorted(known, keys).clip(max=len(known) - 1)
            found = known[places] == keys
            latest[found] = np.maximum(latest[found], micros[places[found]])
        return {url: at for url, at in zip(sought, latest.tolist(), strict=True) if at >= 0}


def _hash_of(url: str) -> int:
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
