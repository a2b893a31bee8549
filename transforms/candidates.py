"""Finding candidates: the pairs of texts that may be copies of each other.

In: ``StagedBlock`` with a mask of its texts to leave out. Out: packed pairs of references, each
pair once. Bounded; no failures. Neither bodies nor fingerprints travel here, and keys do not
either: they are written to files, and what Beam groups is where in a file the keys of a shard lie.

1. **Keys.** Of 20,000 texts at a time the keys are taken (``text_keys``), and written to a *key
   file* for each horizon's worth of time: shard by shard, each with what its texts are.
2. **Windows.** Sections of key files are grouped by shard in sliding windows of twice the horizon,
   one horizon apart. Why two copies within the horizon always meet: the window that starts at the
   last multiple of the horizon before the earlier copy reaches at least one horizon beyond it.
   The windows are part of the key, not Beam's: what comes of a group has its timestamp, the end of
   time, and a section that went back from there would be late, and on some runners dropped.
3. **Pairs.** What shares a key in a window is paired (``buckets``), in that window alone with
   which the period of the earlier text starts.
4. **Once.** Two copies share many keys, so that their pair is found in many shards. Pairs are
   grouped by the block of their lesser reference, and repeats are dropped.

Nothing depends on how texts were cut into blocks, or keys into shards.

Memory does not follow the number of texts. A worker holds the keys of 20,000 texts, or those of a
shard in two horizons: at most 48 bytes for each key and 128 for each text that has one, and 60 more
for each key that is shared. Shards follow the number of texts, so that each has some 2 million keys
if all texts were observed within two horizons: measured, 260 MB where half of them are shared.
What follows it is Beam's own state (100 bytes for each section, of which there are as many as
shards for each 20,000 texts; 16 bytes for each time that a pair is found), and the key files on the
store, 3 KB for each text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from schemas.records import StagedBlock
from transforms.buckets import Span, candidate_pairs
from transforms.likeness import DEFAULT_THRESHOLD
from transforms.measures import NAMESPACE
from transforms.staging import PRINTS, read_columns, ref_of
from transforms.storage import Store
from transforms.text_keys import (
    KEY_COLUMNS,
    TEXT,
    KeyedTexts,
    join_texts,
    key_texts,
    lsh_shape,
    most_differing_places,
)

DEFAULT_HORIZON_SECONDS = 7 * 24 * 3600
_KEYS_PER_TEXT = 80
_KEYS_PER_SHARD = 2_000_000
_LEAST_SHARDS = 4
"""So that several workers have something to do."""
_MOST_SHARDS = 1024
_GROUPS = 8
"""In which pairs are held against each other to drop repeats. In each are pairs from all over the
run: of more groups each would have every block read for a few texts, where they are compared."""
_BLOCKS_PER_BATCH = 40
"""As many of the run's blocks, of 500 texts each, make a key file."""
_TEXTS_PER_FILE = 20_000
_PAIRS_PER_ELEMENT = 16_384

Section = tuple[str, int, int, int]
"""Where the keys of a shard lie: path, offset in bytes, number of texts, number of keys."""
Meeting = tuple[int, int]
"""Where keys meet: the shard, and with which horizon since 1970 the window begins."""


def shards_for(texts: int) -> int:
    """How many shards the keys of about so many texts are spread over."""
    return min(
        max(math.ceil(texts * _KEYS_PER_TEXT / _KEYS_PER_SHARD), _LEAST_SHARDS), _MOST_SHARDS
    )


# ── key files ───────────────────────────────────────────────────────────────────────────────────


def write_sections(
    store: Store, path: str, keyed: KeyedTexts, shards: int
) -> list[tuple[int, Section]]:
    """Write a key file; each shard that has keys in it, and where.

    A section has the shard's keys (8 bytes each), its texts (``TEXT``), and for each key the place
    of its text among those of the section (4 bytes).

    Raises:
        OSError: if the store refuses.
    """
    shard_of_key = ((keyed.keys >> np.uint64(2)) % np.uint64(shards)).astype(np.int64)
    order = np.argsort(shard_of_key * len(keyed.texts) + keyed.owners)
    bounds = np.searchsorted(shard_of_key[order], np.arange(shards + 1))
    sections = []
    with store.writer(path) as file:
        for shard in range(shards):
            some = order[bounds[shard] : bounds[shard + 1]]
            if not some.size:
                continue
            texts, places = np.unique(keyed.owners[some], return_inverse=True)
            sections.append((shard, (path, int(file.tell()), texts.size, some.size)))
            file.write(keyed.keys[some].astype("<u8").tobytes())
            file.write(keyed.texts[texts].tobytes())
            file.write(places.astype("<u4").tobytes())
    return sections


def read_sections(store: Store, sections: Iterable[Section]) -> KeyedTexts:
    """The texts and keys of some sections.

    Raises:
        OSError: if the store refuses.
    """
    parts = []
    by_path: dict[str, list[Section]] = {}
    for section in sorted(sections):
        by_path.setdefault(section[0], []).append(section)
    for path, some in by_path.items():
        with store.open(path) as file:
            for _, offset, texts, keys in some:
                parts.append(_parse_section(file, offset, texts, keys))
    return join_texts(parts)


def _parse_section(file: pa.NativeFile, offset: int, texts: int, keys: int) -> KeyedTexts:
    end_of_keys = 8 * keys
    end_of_texts = end_of_keys + TEXT.itemsize * texts
    data = file.read_at(end_of_texts + 4 * keys, offset)
    return KeyedTexts(
        keys=np.frombuffer(data, "<u8", keys).astype(np.uint64),
        texts=np.frombuffer(data, TEXT, texts, end_of_keys),
        owners=np.frombuffer(data, "<u4", keys, end_of_texts).astype(np.int64),
    )


# ── the stage ───────────────────────────────────────────────────────────────────────────────────


class _WriteKeys(beam.DoFn):
    """A batch of blocks → the sections of its key files, each horizon's worth of time by itself."""

    def __init__(
        self, store: Store, folder: str, shape: tuple[int, int], shards: int, horizon_micros: int
    ) -> None:
        self._store = store
        self._folder = folder
        self._shape = shape
        self._shards = shards
        self._horizon_micros = horizon_micros

    def process(
        self, batch: tuple[int, Iterable[tuple[StagedBlock, bytes]]]
    ) -> Iterator[tuple[Meeting, Section]]:
        for lot in _lots(sorted(batch[1], key=lambda masked: masked[0].number)):
            keyed = join_texts([self._key_block(block, left_out) for block, left_out in lot])
            periods = keyed.texts["observed_micros"] // self._horizon_micros
            for period in np.unique(periods).tolist():
                path = f"{self._folder}/{lot[0][0].number:06d}.{period}.keys"
                of_period = _subset(keyed, periods == period)
                for shard, section in write_sections(self._store, path, of_period, self._shards):
                    for first in (period - 1, period):
                        yield (shard, first), section

    def _key_block(self, block: StagedBlock, left_out: bytes) -> KeyedTexts:
        prints = read_columns(self._store, block.path + PRINTS, KEY_COLUMNS)
        refs = ref_of(block.number, 0) + np.arange(prints.num_rows)
        if left_out:
            kept = ~np.frombuffer(left_out, bool)
            prints, refs = prints.filter(kept), refs[kept]
        return key_texts(prints, refs, *self._shape)


def _lots(masked: Sequence[tuple[StagedBlock, bytes]]) -> Iterator[list[tuple[StagedBlock, bytes]]]:
    """Blocks of at most 20,000 texts together, or one block."""
    lot: list[tuple[StagedBlock, bytes]] = []
    texts = 0
    for one in masked:
        if lot and texts + one[0].rows > _TEXTS_PER_FILE:
            yield lot
            lot, texts = [], 0
        lot.append(one)
        texts += one[0].rows
    if lot:
        yield lot


def _subset(keyed: KeyedTexts, kept: npt.NDArray[np.bool_]) -> KeyedTexts:
    if kept.all():
        return keyed
    of_kept = kept[keyed.owners]
    places = np.cumsum(kept) - 1
    return KeyedTexts(keyed.texts[kept], keyed.keys[of_kept], places[keyed.owners[of_kept]])


class _PairShard(beam.DoFn):
    """The sections of a shard in a window → its candidate pairs, by group."""

    def __init__(self, store: Store, span: Span, groups: int, first_known: int | None) -> None:
        self._store = store
        self._span = span
        self._groups = groups
        self._first_known = first_known

    def process(self, meeting: tuple[Meeting, Iterable[Section]]) -> Iterator[tuple[int, bytes]]:
        (_, first), sections = meeting
        span = self._span.starting(first * self._span.horizon_micros)
        pairs = candidate_pairs(read_sections(self._store, sections), span)
        if self._first_known is not None:  # the lesser reference is one of the run
            pairs = pairs[pairs[:, 0] < ref_of(self._first_known, 0)]
        groups = (pairs[:, 0] >> 32) % self._groups  # near in a group, near in the blocks
        for group in np.unique(groups).tolist():
            yield group, pairs[groups == group].tobytes()


def distinct_pairs(packed: Iterable[bytes]) -> npt.NDArray[np.int64]:
    """All pairs in some packed lots of them, sorted, each once."""
    pairs = np.frombuffer(b"".join(packed), "<i8").reshape(-1, 2)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    is_new = np.ones(len(pairs), bool)
    is_new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[is_new]


_PAIRS_FOUND = Metrics.counter(NAMESPACE, "pairs_found")


def _once(group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
    pairs = distinct_pairs(group[1])
    _PAIRS_FOUND.inc(len(pairs))
    for start in range(0, len(pairs), _PAIRS_PER_ELEMENT):
        yield group[0], pairs[start : start + _PAIRS_PER_ELEMENT].tobytes()


@dataclass
class FindCandidates(beam.PTransform):
    """(``StagedBlock``, mask of texts to leave out) → (group, packed candidate pairs of it).

    A mask is one byte for each text, empty where none is left out. Pairs are packed as int64,
    n × 2, the lesser reference first; each comes once. A group may come in several elements, each
    sorted, of at most 16,384 pairs.
    """

    store: Store
    folder: str
    """Where key files are written, relative to the store. They are of use to nobody afterwards."""
    texts: int
    """About how many texts there are; what comes out does not depend on it."""
    threshold: float = DEFAULT_THRESHOLD
    """Jaccard similarity that pairs are to be found from."""
    horizon_seconds: int = DEFAULT_HORIZON_SECONDS
    """How far the texts of a pair may be apart."""
    first_known: int | None = None
    """From which number on blocks are of rows of the dataset, two of which are no pair."""

    def expand(
        self, blocks: PCollection[tuple[StagedBlock, bytes]]
    ) -> PCollection[tuple[int, bytes]]:
        """Group by shard in windows that no horizon can fall between, and pair what meets."""
        horizon_micros = self.horizon_seconds * 1_000_000
        shards = shards_for(self.texts)
        span = Span(0, horizon_micros, most_differing_places(self.threshold))
        keys = _WriteKeys(
            self.store, self.folder, lsh_shape(self.threshold), shards, horizon_micros
        )
        pairs = _PairShard(self.store, span, _GROUPS, self.first_known)
        return (
            blocks
            | "Batch"
            >> beam.Map(
                lambda masked: (masked[0].number // _BLOCKS_PER_BATCH, masked)
            ).with_output_types(tuple[int, tuple[StagedBlock, bytes]])
            | "Batches" >> beam.GroupByKey()
            | "Keys" >> beam.ParDo(keys).with_output_types(tuple[Meeting, Section])
            | "Shards" >> beam.GroupByKey()
            | "Pairs" >> beam.ParDo(pairs).with_output_types(tuple[int, bytes])
            | "Groups" >> beam.GroupByKey()
            | "Once" >> beam.FlatMap(_once).with_output_types(tuple[int, bytes])
        )
