"""Rows of ``articles`` and ``duplicates``, read back from the dataset's own Parquet files.

In: files, and what is sought of all texts of a run. Out: keys of texts that were read before, rows
of the same works, and rows that were observed near in time: of these what candidates are found by,
and, of single rows, whole fingerprints. Pure.

Columns are read as they are needed, row group by row group: all rows are held against keys and
times alone. A body is read only where its row is to be compared, or is of a schema older than 3,
which kept no anchors.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.utils.timestamp import Timestamp

from schemas.arrow import TABLES
from schemas.records import Fingerprint, KnownFile, RunKeys
from transforms.compaction import may_hold_observed, open_parquet
from transforms.page_metadata import name_key
from transforms.shingles import print_text, title_key
from transforms.staging import KNOWN_SCHEMA
from transforms.storage import Store
from transforms.works import WORK, pack_title_key

KEY_BYTES = 16
_BODY_ROWS = 256
"""Rows whose bodies are in memory at a time."""
_ID = {"articles": "article_id", "duplicates": "canonical_id"}
_NEAR = ("origin", "fingerprint", "anchors")
_PRINTED = (
    "origin",
    "content_hash",
    "source_uri",
    "observed_at",
    "title",
    "body",
    "agency",
    "source",
    "published_at",
    "published_source",
)

Keys = npt.NDArray[np.bytes_]
"""``S16``: NumPy compares them byte for byte, though it shows them without NUL bytes at the end."""
Mask = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]
MicrosRange = tuple[int, int]
"""Least and greatest of some observation times, in microseconds since 1970."""


def reread_key(content_hash: str, source_uri: str, key_of_title: str) -> bytes:
    """By what a text is known again that was read before from the same file, with the same words.

    The ordinal is left out of it: an article that moved within its dump has not changed.
    """
    identity = f"{content_hash}\n{source_uri}\n{key_of_title}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(identity).digest()[:KEY_BYTES]


def reread_keys(content_hash: str, source_uri: str, key_of_title: str) -> bytes:
    """The keys under which a row of the dataset is known again, one after the other.

    Its own, and that of the same text without a title: what is read without one has lost it, and
    is not a new text. A text with another title is.
    """
    keys = {reread_key(content_hash, source_uri, key) for key in (key_of_title, "")}
    return b"".join(sorted(keys))


# ── what is sought ──────────────────────────────────────────────────────────────────────────────


def merge_ranges(ranges: Iterable[MicrosRange]) -> list[MicrosRange]:
    """The same times in ranges that do not overlap, ascending."""
    merged: list[MicrosRange] = []
    for least, greatest in sorted(ranges):
        if merged and least <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(greatest, merged[-1][1]))
        else:
            merged.append((least, greatest))
    return merged


def time_ranges(micros: Micros, gap_micros: int) -> Micros:
    """Least and greatest of each group of times that are a gap or less after one another.

    Of one or more times in any order, the ranges ascend: an array of two columns.
    """
    ordered = np.unique(micros)
    is_apart = np.diff(ordered) > gap_micros
    least = ordered[np.concatenate([[True], is_apart])]
    return np.stack([least, ordered[np.concatenate([is_apart, [True]])]], axis=1)


@dataclass(frozen=True)
class Sought:
    """What is sought in the dataset, of all texts of a run."""

    content_hashes: Keys
    """Sorted; first 16 bytes of each."""
    article_ids: Keys
    """Sorted."""
    near: Sequence[MicrosRange]
    """Within the horizon of texts of the run: ranges that do not overlap, ascending."""
    canonical_ids: Keys
    """Of rows that copies near in time were made from; sorted."""


def what_is_sought(
    keys: Sequence[RunKeys], horizon_micros: int, canonical_ids: bytes = b""
) -> Sought:
    """What is sought of blocks with these keys, and of works with these ids (16 bytes each)."""
    observed = np.frombuffer(b"".join(one.observed_ranges for one in keys), "<i8").reshape(-1, 2)
    return Sought(
        unpack_keys(one.content_hashes for one in keys),
        unpack_keys(one.article_ids for one in keys),
        merge_ranges(
            (least - horizon_micros, greatest + horizon_micros)
            for least, greatest in observed.tolist()
        ),
        unpack_keys([canonical_ids]),
    )


def unpack_keys(packed: Iterable[bytes]) -> Keys:
    """Distinct keys of 16 bytes, sorted, of such as stand one after the other."""
    return np.unique(np.frombuffer(b"".join(packed), f"S{KEY_BYTES}"))


def is_among(keys: Keys, sought: Keys) -> Mask:
    """Which keys are among those sought, which are sorted."""
    if not sought.size:
        return np.zeros(keys.size, bool)
    places = np.minimum(np.searchsorted(sought, keys), sought.size - 1)
    return np.asarray(sought[places] == keys, bool)


def is_within(micros: Micros, ranges: Sequence[MicrosRange]) -> Mask:
    """Which times lie in one of the ranges, which ascend and do not overlap."""
    if not ranges:
        return np.zeros(micros.size, bool)
    least, greatest = np.array(ranges, np.int64).T
    places = np.searchsorted(least, micros, side="right") - 1
    return np.asarray((places >= 0) & (micros <= greatest[places]), bool)


def hex_keys(column: pa.ChunkedArray) -> Keys:
    """The first 16 bytes of identities in hex digits.

    Raises:
        pa.ArrowInvalid: if one has fewer.
    """
    if not len(column):
        return np.empty(0, f"S{KEY_BYTES}")
    digits = 2 * KEY_BYTES
    sliced = pc.binary_slice(column.cast(pa.binary()), 0, digits).cast(pa.binary(digits))
    array = sliced.combine_chunks()
    first = array.offset * digits
    written = np.frombuffer(array.buffers()[1], np.uint8)[first : first + len(array) * digits]
    halves = (written & 15) + 9 * (written >> 6)  # "0" is 0x30, "a" 0x61
    return (halves[0::2] << 4 | halves[1::2]).view(f"S{KEY_BYTES}")


# ── what is found ───────────────────────────────────────────────────────────────────────────────


_NOTHING_NEAR = KNOWN_SCHEMA.empty_table()


class Found(NamedTuple):
    """What one row group of a file knows of the run's texts."""

    rereads: bytes
    """16-byte keys of texts that were read before (``reread_keys``)."""
    works: bytes
    """Rows of works of the run (``WORK``)."""
    near: pa.Table
    """Rows that the run's texts could be copies of, and far ones (``KNOWN_SCHEMA``)."""


class _RowGroup:
    """A row group of a file of the dataset, read a few columns at a time."""

    def __init__(self, parquet: pq.ParquetFile, number: int, table: str, there: Set[str]) -> None:
        self._parquet = parquet
        self._number = number
        self._schema = TABLES[table]
        self._there = there
        self.metadata = parquet.metadata.row_group(number)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all its rows; what an older schema lacks is null."""
        there = [name for name in columns if name in self._there]
        read = self._parquet.read_row_group(self._number, columns=there, use_threads=False)
        for name in columns:
            if name not in self._there:
                nothing = pa.nulls(read.num_rows, self._schema.field(name).type)
                read = read.append_column(name, nothing)
        return read

    def is_near(self, near: Sequence[MicrosRange]) -> bool:
        """Whether it may hold rows observed within one of the ranges."""
        return any(may_hold_observed(self.metadata, one) for one in near)


def look_into(store: Store, file: KnownFile, sought: Sought) -> Iterator[Found]:
    """What a file of the dataset knows of a run's texts, row group by row group.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    search = _Search(file, sought)
    first = 0
    with open_parquet(store, file.path) as parquet:
        columns = frozenset(parquet.schema_arrow.names)
        for number in range(parquet.num_row_groups):
            group = _RowGroup(parquet, number, file.table, columns)
            yield search.look(group, first)
            first += group.metadata.num_rows


class _Search:
    """What is sought in one file."""

    def __init__(self, file: KnownFile, sought: Sought) -> None:
        self._file = file
        self._sought = sought
        self._far_ids = (
            sought.canonical_ids if file.may_hold_canonicals else unpack_keys([file.canonical_ids])
        )

    def look(self, group: _RowGroup, first: int) -> Found:
        """What is in a row group, the first row of which has this place in the file.

        First keys and times of all rows; then more of the row group if any of them is sought.
        """
        file, sought = self._file, self._sought
        is_near = file.is_near and group.is_near(sought.near)
        if not (file.may_hold or is_near or self._far_ids.size):
            return Found(b"", b"", _NOTHING_NEAR)
        head = group.read([_ID[file.table], "content_hash", "observed_at"])
        head = head.rename_columns(["article_id", "content_hash", "observed_at"])
        ids = hex_keys(head["article_id"])
        again = works = nears = np.zeros(ids.size, bool)
        if file.may_hold:
            again = is_among(hex_keys(head["content_hash"]), sought.content_hashes)
        if file.may_hold and file.table == "articles":
            works = is_among(ids, sought.article_ids)
        if is_near:
            nears = is_within(_micros(head["observed_at"]), sought.near)
        far = is_among(ids, self._far_ids) & ~nears
        columns = [
            *(("revision",) if file.table == "articles" else ()),
            *(("source_uri", "title") if (again | works).any() else ()),
            *(_NEAR if (nears | far).any() else ()),
        ]
        if not (again | works | nears | far).any():
            return Found(b"", b"", _NOTHING_NEAR)
        rows = pa.table(
            {
                **_by_name(head),
                "row": pa.array(np.arange(first, first + ids.size)),
                "is_far": pa.array(far),
                "revision": pa.array(np.zeros(ids.size, np.int32)),
                **_by_name(group.read(columns)),
            }
        )
        return Found(
            _rereads(rows.filter(pa.array(again))) if again.any() else b"",
            _works(rows.filter(pa.array(works)), file.number) if works.any() else b"",
            _near(group, rows, nears | far, file) if (nears | far).any() else _NOTHING_NEAR,
        )


def _by_name(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _micros(column: pa.ChunkedArray) -> Micros:
    micros = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(micros.to_numpy(), np.int64)


def _rereads(rows: pa.Table) -> bytes:
    columns = (rows[name].to_pylist() for name in ("content_hash", "source_uri", "title"))
    return b"".join(
        reread_keys(content_hash, source_uri, title_key(title))
        for content_hash, source_uri, title in zip(*columns, strict=True)
    )


def _works(rows: pa.Table, file_number: int) -> bytes:
    works = np.zeros(rows.num_rows, WORK)
    works["article_id"] = hex_keys(rows["article_id"]).view("V16")
    works["content_hash"] = hex_keys(rows["content_hash"]).view("V16")
    titles = b"".join(pack_title_key(title_key(title)) for title in rows["title"].to_pylist())
    works["title_key"] = np.frombuffer(titles, "V8")
    works["revision"] = rows["revision"].to_numpy()
    works["file"] = file_number
    works["row"] = rows["row"].to_numpy()
    return works.tobytes()


def _near(group: _RowGroup, rows: pa.Table, wanted: Mask, file: KnownFile) -> pa.Table:
    """The rows that are wanted, in ``KNOWN_SCHEMA``."""
    near = rows.filter(pa.array(wanted))
    signatures = pc.fill_null(near["fingerprint"], b"")
    anchors = near["anchors"]
    if anchors.null_count:
        unprinted = anchors.is_null().combine_chunks()
        bodies = group.read(["body"])["body"].filter(pa.array(wanted)).filter(unprinted)
        printed = [print_text(str(body)) for body in bodies]
        signatures = _replaced(signatures, unprinted, [one.signature for one in printed])
        anchors = _replaced(anchors, unprinted, [one.anchors for one in printed])
    columns = {
        "origin": _origins(near),
        "article_id": near["article_id"],
        "content_hash": near["content_hash"],
        "observed_micros": pa.array(_micros(near["observed_at"])),
        "revision": near["revision"],
        "table": pa.repeat(file.table, near.num_rows),
        "signature": signatures.cast(pa.large_binary()),
        "anchors": anchors.cast(pa.large_binary()),
        "is_far": near["is_far"],
        "path": pa.repeat(file.path, near.num_rows),
        "row": near["row"],
    }
    return pa.table(columns, schema=KNOWN_SCHEMA)


def _replaced(column: pa.ChunkedArray, where: pa.BooleanArray, values: list[bytes]) -> pa.Array:
    whole = column.combine_chunks()
    return pc.replace_with_mask(whole, where, pa.array(values, whole.type))


def _origins(rows: pa.Table) -> pa.ChunkedArray:
    """What each row is called among texts: the same wherever it is stored.

    A file that was read again with other words has several rows, also of one article.
    """
    micros = pa.array(_micros(rows["observed_at"])).cast(pa.string())
    revision = rows["revision"].cast(pa.string())
    parts = ("known", rows["article_id"], revision, rows["origin"], rows["content_hash"], micros)
    return pc.binary_join_element_wise(*parts, ":")


# ── single rows ─────────────────────────────────────────────────────────────────────────────────


def print_rows(store: Store, path: str, table: str, rows: Sequence[int]) -> Iterator[Fingerprint]:
    """Whole fingerprints of some rows of a file of the dataset, taken from their bodies.

    How complete a row is, is left out: it plays no part for one that is published already.

    Args:
        store: of the dataset.
        path: of the file, relative to the store.
        table: ``articles`` or ``duplicates``.
        rows: places in the file, from 0 over all row groups, ascending.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    wanted = np.asarray(rows, np.int64)
    columns = [_ID[table], *_PRINTED]
    if table == "articles":
        columns += ["revision", "extraction.quality", "extraction.repaired"]
    first = 0
    with open_parquet(store, path) as parquet:
        for number in range(parquet.num_row_groups):
            count = parquet.metadata.row_group(number).num_rows
            here = wanted[(wanted >= first) & (wanted < first + count)] - first
            first += count
            if here.size:
                batches = parquet.iter_batches(
                    _BODY_ROWS, row_groups=[number], columns=columns, use_threads=False
                )
                yield from _printed(batches, here, table)


def _printed(
    batches: Iterable[pa.RecordBatch], wanted: npt.NDArray[np.int64], table: str
) -> Iterator[Fingerprint]:
    first = 0
    for batch in batches:
        here = wanted[(wanted >= first) & (wanted < first + batch.num_rows)] - first
        first += batch.num_rows
        if not here.size:
            continue
        rows = pa.Table.from_batches([batch]).take(pa.array(here))
        names = ["article_id" if name == _ID[table] else name for name in rows.column_names]
        rows = rows.rename_columns(names)
        if "revision" not in names:
            rows = rows.append_column("revision", pa.array(np.zeros(here.size, np.int32)))
        origins = _origins(rows).to_pylist()
        micros = _micros(rows["observed_at"]).tolist()
        for origin, observed_micros, row in zip(origins, micros, rows.to_pylist(), strict=True):
            yield _print_row(row, origin, observed_micros, table)
        if first > wanted[-1]:
            return  # what follows need not be decoded


def _print_row(row: dict[str, Any], origin: str, observed_micros: int, table: str) -> Fingerprint:
    text = print_text(row["body"])
    return Fingerprint(
        origin=origin,
        article_id=row["article_id"],
        content_hash=row["content_hash"],
        source_uri=row["source_uri"],
        observed_at=Timestamp(micros=observed_micros),
        word_count=text.word_count,
        signature=text.signature,
        shingles=text.shingles,
        anchors=text.anchors,
        numbers=text.numbers,
        names=text.names,
        title_key=title_key(row["title"]),
        quality=_quality(row.get("extraction")),
        agency=name_key(row["agency"] or ""),
        publisher=name_key(row["source"] or ""),
        published_at=_published_at(row),
        table=table,
    )


def _quality(extraction: dict[str, Any] | None) -> float:
    """As of a text of a run; ``duplicates`` does not say."""
    if extraction is None or extraction["quality"] is None:
        return 1.0
    return 0.0 if extraction["repaired"] else float(extraction["quality"])


def _published_at(row: dict[str, Any]) -> Timestamp | None:
    """When it was published; the day on which it was first seen is only a stand-in."""
    at = row["published_at"]
    if at is None or row["published_source"] == "first-seen":
        return None
    return Timestamp.from_utc_datetime(at.astimezone(datetime.UTC))
