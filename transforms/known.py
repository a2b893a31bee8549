"""What the dataset already holds: its own memory, read from its own files.

``KeysOfRun``: ``StagedBlock`` → ``RunKeys``, by which its texts may be known. ``ReadKnown``:
``KnownFile`` → ``KnownMatches``, and known blocks of the rows that were observed within the horizon
of the run's texts. ``SetAsideUnchanged``, ``SetAsideFar`` and ``SetAsideRecorded``: blocks → which
of their rows the dataset has, or meet nothing. ``PrintKnown``: candidate pairs → known blocks with
the fingerprints of the rows in them. ``FindRecorded``: files of ``failures`` → the ids of the run's
failures that are in them. Bounded; no failures of their own: a dataset that cannot be read ends the
run, for nothing may be added to what is not known.

Only keys and references travel. A row's body is read when it is in a candidate pair, and not
before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.records import (
    SIGNATURE_LENGTH,
    Fingerprint,
    KnownFile,
    KnownMatches,
    RunKeys,
    StagedBlock,
)
from transforms.compaction import open_parquet
from transforms.dataset_rows import (
    KEY_BYTES,
    Keys,
    Mask,
    Sought,
    hex_keys,
    is_among,
    look_into,
    print_rows,
    reread_key,
    time_ranges,
    unpack_keys,
    what_is_sought,
)
from transforms.measures import NAMESPACE
from transforms.staging import (
    PRINTS,
    failure_ids_of_block,
    read_columns,
    ref_of,
    write_known,
    write_texts,
)
from transforms.storage import Store

BLOCK_ROWS = 2_000
"""Rows of a known block."""
ID_SHARDS = 16
"""Groups that article ids are spread over, to find the rows that wanted copies are copies of."""

SIGNED = np.dtype(
    [
        ("article_id", "V16"),
        ("content_hash", "V16"),
        ("signature", "<u4", (SIGNATURE_LENGTH,)),
        ("revision", "<i4"),
        ("ref", "<i8"),
    ]
)
"""A row of the dataset by which a copy finds the text it was made from; zeros for a signature that
a short text does not have."""

SignedRows = npt.NDArray[np.void]


def keys_of_block(store: Store, block: StagedBlock, horizon_micros: int) -> RunKeys:
    """By what the texts of a block may be known.

    Its times are kept apart where nothing in between is within the horizon of any.
    """
    table = read_columns(
        store, block.path + PRINTS, ["article_id", "content_hash", "observed_micros"]
    )
    observed = time_ranges(table["observed_micros"].to_numpy(), 2 * horizon_micros)
    return RunKeys(
        content_hashes=hex_keys(table["content_hash"]).tobytes(),
        article_ids=hex_keys(table["article_id"]).tobytes(),
        observed_ranges=observed.astype("<i8").tobytes(),
    )


@dataclass
class KeysOfRun(beam.PTransform):
    """``StagedBlock`` of articles → ``RunKeys``."""

    store: Store
    horizon_seconds: int

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[RunKeys]:
        """Read the keys of each block."""
        store, horizon_micros = self.store, self.horizon_seconds * 1_000_000
        return blocks | beam.Map(
            lambda block: keys_of_block(store, block, horizon_micros)
        ).with_output_types(RunKeys)


# ── rows of the dataset ─────────────────────────────────────────────────────────────────────────


class Known(NamedTuple):
    """What ``ReadKnown`` gives."""

    matches: PCollection[KnownMatches]
    blocks: PCollection[StagedBlock]
    """Rows that the run's texts could be copies of, and far ones; not yet numbered."""


_FILES_SEARCHED = Metrics.counter(NAMESPACE, "files_searched")


class _ReadKnown(beam.DoFn):
    BLOCK = "block"

    def __init__(self, store: Store, folder: str, horizon_micros: int) -> None:
        self._store = store
        self._folder = folder
        self._horizon_micros = horizon_micros
        self._sought: Sought | None = None

    def start_bundle(self) -> None:
        self._near: list[pa.Table] = []
        self._near_rows = 0

    def process(
        self, file: KnownFile, keys: Sequence[RunKeys], canonical_ids: bytes
    ) -> Iterator[KnownMatches | TaggedOutput]:
        if self._sought is None:
            self._sought = what_is_sought(keys, self._horizon_micros, canonical_ids)
        _FILES_SEARCHED.inc()
        rereads: list[bytes] = []
        works: list[bytes] = []
        for found in look_into(self._store, file, self._sought):
            rereads.append(found.rereads)
            works.append(found.works)
            self._near.append(found.near)
            self._near_rows += found.near.num_rows
            while self._near_rows >= BLOCK_ROWS:
                yield TaggedOutput(self.BLOCK, self._stage())
        if any(rereads) or any(works):
            yield KnownMatches(b"".join(rereads), b"".join(works))

    def _stage(self) -> StagedBlock:
        near = pa.concat_tables(self._near)
        self._near = [near.slice(BLOCK_ROWS)]
        self._near_rows = self._near[0].num_rows
        return write_known(self._store, self._folder, near.slice(0, BLOCK_ROWS))

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        if self._near_rows:
            window = GlobalWindow()
            yield TaggedOutput(
                self.BLOCK, WindowedValue(self._stage(), window.max_timestamp(), [window])
            )


@dataclass
class ReadKnown(beam.PTransform):
    """``KnownFile`` → what of it concerns the run.

    ``keys`` are the run's. Rows observed within ``horizon_seconds`` of its texts are staged as
    blocks in ``folder``. ``canonical_ids`` is one element: all ids, 16 bytes each, that are looked
    for in files which ``may_hold_canonicals``.
    """

    store: Store
    folder: str
    keys: PCollection[RunKeys]
    horizon_seconds: int
    canonical_ids: PCollection[bytes]

    def expand(self, files: PCollection[KnownFile]) -> Known:
        """Read each file's columns where the worker is."""
        read = _ReadKnown(self.store, self.folder, self.horizon_seconds * 1_000_000)
        parted = (
            files
            | beam.Reshuffle()
            | beam.ParDo(
                read,
                keys=beam.pvalue.AsList(self.keys),
                canonical_ids=beam.pvalue.AsSingleton(self.canonical_ids),
            )
            .with_output_types(KnownMatches, block=StagedBlock)
            .with_outputs(_ReadKnown.BLOCK, main="matches")
        )
        return Known(parted.matches, parted[_ReadKnown.BLOCK])


def is_reread(store: Store, block: StagedBlock, rereads: Keys) -> Mask:
    """For each text of a block, whether the dataset has it from the same file."""
    columns = ["content_hash", "source_uri", "title_key"]
    rows = read_columns(store, block.path + PRINTS, columns)
    identities = zip(*(rows[column].to_pylist() for column in columns), strict=True)
    keys = b"".join(reread_key(*identity) for identity in identities)
    return is_among(np.frombuffer(keys, rereads.dtype), rereads)


class _Unchanged(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._rereads: Keys | None = None

    def process(
        self, block: StagedBlock, rereads: Sequence[bytes]
    ) -> Iterator[tuple[StagedBlock, bytes]]:
        if self._rereads is None:
            self._rereads = unpack_keys(rereads)
        yield block, is_reread(self._store, block, self._rereads).tobytes()


@dataclass
class SetAsideUnchanged(beam.PTransform):
    """``StagedBlock`` → (block, mask of its texts that the dataset has from the same file)."""

    store: Store
    matches: PCollection[KnownMatches]

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[tuple[StagedBlock, bytes]]:
        """Hold each block against what is known."""
        rereads = self.matches | "Rereads" >> beam.Map(
            lambda match: match.rereads
        ).with_output_types(bytes)
        unchanged = beam.ParDo(_Unchanged(self.store), rereads=beam.pvalue.AsList(rereads))
        return blocks | unchanged.with_output_types(tuple[StagedBlock, bytes])


@dataclass
class SetAsideFar(beam.PTransform):
    """Known ``StagedBlock`` → (block, mask of its rows that were observed before the horizon)."""

    store: Store

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[tuple[StagedBlock, bytes]]:
        """Read the mask of each block."""
        store = self.store

        def mask(block: StagedBlock) -> tuple[StagedBlock, bytes]:
            far = read_columns(store, block.path + PRINTS, ["is_far"])["is_far"]
            return block, far.to_numpy().tobytes()

        return blocks | beam.Map(mask).with_output_types(tuple[StagedBlock, bytes])


# ── rows that are compared ──────────────────────────────────────────────────────────────────────

Rows = npt.NDArray[np.int64]


def known_rows(pairs: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """(number of a known block, packed rows of it) in packed pairs of references, each once.

    Known blocks have numbers from ``first`` on.
    """
    refs = np.unique(np.frombuffer(pairs, "<i8"))
    yield from _by_block(refs[refs >= ref_of(first, 0)])


def _by_block(refs: Rows) -> Iterator[tuple[int, bytes]]:
    numbers, rows = np.divmod(refs, ref_of(1, 0))
    for number in np.unique(numbers).tolist():
        yield number, rows[numbers == number].astype("<i8").tobytes()


def _unpack_rows(packed: Iterable[bytes]) -> Rows:
    return np.unique(np.frombuffer(b"".join(packed), "<i8"))


def copies_of_block(store: Store, block: StagedBlock, rows: Rows) -> SignedRows:
    """Those rows of a known block that are of ``duplicates``."""
    is_met = np.zeros(block.rows, bool)
    is_met[rows] = True
    return _signed(store, block, "duplicates", lambda _: is_met)


def originals_of_block(store: Store, block: StagedBlock, ids: Keys) -> SignedRows:
    """The rows of ``articles`` in a known block that have one of some ids, which are sorted."""
    return _signed(store, block, "articles", lambda of_rows: is_among(of_rows, ids))


def _signed(
    store: Store, block: StagedBlock, table: str, is_wanted: Callable[[Keys], Mask]
) -> SignedRows:
    path = block.path + PRINTS
    heads = read_columns(store, path, ["table", "article_id"])
    ids = hex_keys(heads["article_id"])
    here = is_wanted(ids) & pc.equal(heads["table"], table).to_numpy()
    signed = np.zeros(int(here.sum()), SIGNED)
    if not signed.size:
        return signed
    columns = ["content_hash", "signature", "revision"]
    rows = read_columns(store, path, columns).filter(pa.array(here))
    signed["article_id"] = ids[here].view("V16")
    signed["content_hash"] = hex_keys(rows["content_hash"]).view("V16")
    for place, signature in enumerate(rows["signature"].to_pylist()):
        if signature:
            signed["signature"][place] = np.frombuffer(signature, "<u4")
    signed["revision"] = rows["revision"].to_numpy()
    signed["ref"] = ref_of(block.number, 0) + np.flatnonzero(here)
    return signed


def _by_shard(rows: SignedRows) -> Iterator[tuple[int, bytes]]:
    shards = _ids(rows).view(np.uint8)[::KEY_BYTES] % ID_SHARDS
    for shard in np.unique(shards).tolist():
        yield shard, rows[shards == shard].tobytes()


def choose_original(originals: SignedRows, copies: SignedRows) -> int:
    """Which of the texts of one work its copies were made from: the place of that among them.

    The one whose signature agrees best with those of all copies, and whose words are those of most
    of them; of equals the newest revision. So a copy of a text that was edited later is held
    against what was copied.
    """
    if len(originals) == 1:
        return 0
    agreeing = originals["signature"][:, None, :] == copies["signature"][None, :, :]
    same = originals["content_hash"][:, None] == copies["content_hash"][None, :]
    scores = (agreeing.mean(axis=2) + same).sum(axis=1).tolist()
    revisions = originals["revision"].tolist()
    hashes = [one.tobytes() for one in originals["content_hash"]]
    return max(
        range(len(originals)), key=lambda place: (scores[place], revisions[place], hashes[place])
    )


def find_originals(
    copies: Iterable[bytes], originals: Iterable[bytes]
) -> Iterator[tuple[str, int]]:
    """(article id, reference) of the text of each work that its copies were made from.

    Both are packed rows (``SIGNED``); each original has a copy, but not each copy an original.
    """
    copies_of = _by_id(copies)
    for identity, texts in _by_id(originals).items():
        chosen = texts[choose_original(texts, copies_of[identity])]
        yield identity.hex(), int(chosen["ref"])


def _by_id(packed: Iterable[bytes]) -> dict[bytes, SignedRows]:
    rows = np.frombuffer(b"".join(packed), SIGNED)
    ids = _ids(rows)
    order = np.argsort(ids, kind="stable")
    _, starts = np.unique(ids[order], return_index=True)
    works = np.split(rows[order], starts[1:]) if rows.size else []
    return {work["article_id"][0].tobytes(): work for work in works}


def _ids(rows: SignedRows) -> Keys:
    return np.ascontiguousarray(rows["article_id"]).view(f"S{KEY_BYTES}")


def print_block(store: Store, block: StagedBlock, wanted: Rows) -> None:
    """Read the bodies of some rows of a known block, and put their fingerprints beside it.

    Raises:
        OSError: if the store refuses, or a file of the dataset is damaged.
    """
    places = read_columns(store, block.path + PRINTS, ["path", "table", "row"]).take(wanted)
    columns = (places[name].to_pylist() for name in ("path", "table", "row"))
    ordered = sorted(zip(*columns, wanted.tolist(), strict=True))
    prints: dict[int, Fingerprint] = {}
    for (path, table), here in itertools.groupby(ordered, key=lambda place: place[:2]):
        rows = list(here)
        printed = print_rows(store, path, table, [place[2] for place in rows])
        for place, fingerprint in zip(rows, printed, strict=True):
            prints[place[3]] = fingerprint
    write_texts(store, block, prints)


class PrintedKnown(NamedTuple):
    """What ``PrintKnown`` gives."""

    blocks: PCollection[StagedBlock]
    """Those with rows that are compared; their fingerprints lie beside them."""
    canonicals: PCollection[tuple[str, int]]
    """(article id, reference) of the text that compared rows of ``duplicates`` are copies of."""


_Wanted = tuple[int, dict[str, Sequence[object]]]


def _block_and_rows(joined: _Wanted) -> tuple[StagedBlock, Rows]:
    """A block, and its rows that are wanted."""
    [block] = joined[1]["block"]
    assert isinstance(block, StagedBlock)
    return block, _unpack_rows(joined[1]["rows"])  # type: ignore[arg-type]


class _Copies(beam.DoFn):
    """A block with rows that are compared → those of ``duplicates``, by shard."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def process(self, joined: _Wanted) -> Iterator[tuple[int, bytes]]:
        block, rows = _block_and_rows(joined)
        if rows.size:
            yield from _by_shard(copies_of_block(self._store, block, rows))


class _Originals(beam.DoFn):
    """A block → its rows of ``articles`` with an id that is sought, by shard."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: Keys | None = None

    def process(self, block: StagedBlock, ids: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        if self._ids is None:
            self._ids = unpack_keys(ids)
        if self._ids.size:
            yield from _by_shard(originals_of_block(self._store, block, self._ids))


class _Print(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store

    def process(self, joined: _Wanted) -> Iterator[StagedBlock]:
        block, rows = _block_and_rows(joined)
        if rows.size:
            print_block(self._store, block, rows)
            yield block


@dataclass
class PrintKnown(beam.PTransform):
    """(group, packed candidate pairs) → known blocks with the fingerprints of rows in the pairs.

    ``known`` are the blocks, numbered from ``first`` on. For a row of ``duplicates`` that is in a
    pair, the row of ``articles`` that it is a copy of is printed, too: what is like a copy is held
    against that.
    """

    store: Store
    known: PCollection[StagedBlock]
    first: int

    def expand(self, candidates: PCollection[tuple[int, bytes]]) -> PrintedKnown:
        """Gather the rows of each block; find what copies among them were made from; print."""
        store, first = self.store, self.first
        blocks = self.known | "ByNumber" >> beam.Map(
            lambda block: (block.number, block)
        ).with_output_types(tuple[int, StagedBlock])
        met = candidates | "Met" >> beam.FlatMap(
            lambda group: known_rows(group[1], first)
        ).with_output_types(tuple[int, bytes])
        copies = (
            {"block": blocks, "rows": met}
            | "JoinMet" >> beam.CoGroupByKey()
            | "Copies" >> beam.ParDo(_Copies(store)).with_output_types(tuple[int, bytes])
        )
        ids = copies | "CopiedIds" >> beam.Map(
            lambda shard: _ids(np.frombuffer(shard[1], SIGNED)).tobytes()
        ).with_output_types(bytes)
        originals = self.known | "Originals" >> beam.ParDo(
            _Originals(store), ids=beam.pvalue.AsList(ids)
        ).with_output_types(tuple[int, bytes])
        canonicals = (
            {"copies": copies, "originals": originals}
            | "JoinIds" >> beam.CoGroupByKey()
            | "Choose"
            >> beam.FlatMap(
                lambda shard: find_originals(shard[1]["copies"], shard[1]["originals"])
            ).with_output_types(tuple[str, int])
        )
        copied = canonicals | "Copied" >> beam.FlatMap(
            lambda canonical: _by_block(np.array(canonical[1:], np.int64))
        ).with_output_types(tuple[int, bytes])
        rows = (met, copied) | "Wanted" >> beam.Flatten()
        printed = (
            {"block": blocks, "rows": rows}
            | "JoinWanted" >> beam.CoGroupByKey()
            | "Print" >> beam.ParDo(_Print(store)).with_output_types(StagedBlock)
        )
        return PrintedKnown(printed, canonicals)


# ── failures ────────────────────────────────────────────────────────────────────────────────────


def read_failure_ids(store: Store, path: str) -> Iterator[str]:
    """The ids of the failures in one Parquet file of ``failures``.

    Raises:
        OSError: if the file cannot be read, or is damaged.
    """
    with open_parquet(store, path) as parquet:
        for batch in parquet.iter_batches(columns=["failure_id"]):
            yield from batch.column(0).to_pylist()


class _Recorded(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: frozenset[str] | None = None

    def process(self, path: str, blocks: Sequence[StagedBlock]) -> Iterator[str]:
        if self._ids is None:
            self._ids = frozenset(
                identity
                for block in blocks
                for identity in failure_ids_of_block(self._store, block)
            )
        for identity in read_failure_ids(self._store, path):
            if identity in self._ids:
                yield identity


@dataclass
class FindRecorded(beam.PTransform):
    """Paths of Parquet files of ``failures`` → the ids in them that the run's ``blocks`` have."""

    store: Store
    blocks: PCollection[StagedBlock]

    def expand(self, files: PCollection[str]) -> PCollection[str]:
        """Read each file's ids where the worker is."""
        recorded = beam.ParDo(_Recorded(self.store), blocks=beam.pvalue.AsList(self.blocks))
        return files | beam.Reshuffle() | recorded.with_output_types(str)


@dataclass
class SetAsideRecorded(beam.PTransform):
    """``StagedBlock`` of failures → (block, mask of its rows that the dataset has)."""

    store: Store
    recorded: PCollection[str]

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[tuple[StagedBlock, bytes]]:
        """Hold each block's ids against those that are recorded."""
        store = self.store

        def mask(block: StagedBlock, recorded: Sequence[str]) -> tuple[StagedBlock, bytes]:
            known = frozenset(recorded)
            ids = failure_ids_of_block(store, block)
            return block, np.array([one in known for one in ids], bool).tobytes()

        return blocks | beam.Map(
            mask, recorded=beam.pvalue.AsList(self.recorded)
        ).with_output_types(tuple[StagedBlock, bytes])
