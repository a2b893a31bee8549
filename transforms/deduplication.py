"""Finding copies of one text, and settling which text is the canonical one.

In: ``StagedBlock`` of the run's texts, and of fingerprints of the dataset's rows. Out: ``Verdict``,
one for each text of the run that is a copy, or has copies. Bounded; no failures. Neither bodies nor
fingerprints travel here, only keys and references; a fingerprint is read from its block where two
texts are compared.

Four steps, the first three in Beam's own terms:

1. **Candidates.** Each fingerprint has keys: its content hash, its LSH bands and its anchors. They
   are grouped in sliding windows of twice the horizon, one horizon apart. Why two copies within
   the horizon always meet: the window that starts at the last multiple of the horizon before the
   earlier copy reaches at least one horizon beyond it. What shares a key in a window is a
   candidate pair.
2. **Links.** Candidate pairs are verified on their fingerprints: a link needs equal content
   hashes, or a Jaccard similarity of the shingles above the threshold, or that one text contains
   nearly all of the other.
3. **Components.** Connected components of the links (only references travel to this step).
4. **Settling.** In each component the canonical text is chosen by a rule that does not depend on
   order, and each member is held against *it*: what is a copy only of a copy starts a cluster of
   its own, so that no chain of small steps joins different stories.

Nothing here depends on how the texts were cut into blocks: where an order matters, it is that of
the texts' observation and origin.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection
from apache_beam.transforms import window
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas.records import SIGNATURE_LENGTH, Assignment, Fingerprint, StagedBlock, Verdict
from transforms.staging import compared_prints, read_prints, ref_of
from transforms.storage import Store

DEFAULT_THRESHOLD = 0.5
"""Jaccard similarity of three-word shingles from which two texts are near copies; see
``benchmarks/README.md`` for what it finds and misses."""
DEFAULT_HORIZON_SECONDS = 7 * 24 * 3600
ABRIDGED_CONTAINMENT = 0.8
"""Share of the shorter text's shingles that the longer one must hold."""
WHOLE_TEXT_SHARE = 0.9
"""A text with this share of the longest member's words may be canonical; a shorter one is cut."""
MAX_PAIRED_BUCKET = 32
"""In a larger bucket each text is paired with a few hubs instead of with all others."""
_HUBS = 8
BUCKET_SHARDS = 16
"""Groups that the keys of all texts are spread over: as many workers can share the pairing."""
_CANDIDATE_RECALL = 0.98
_MEMBERS_PER_BATCH = 2_000

Keys = npt.NDArray[np.uint64]
Shingles = npt.NDArray[np.uint32]
Member = tuple[int, int, int]
"""What meets others in a bucket: (key of its origin, observed at in microseconds, start of its
content hash). The first orders members; it does not change with the slices of a run."""


def lsh_shape(threshold: float) -> tuple[int, int]:
    """Bands and rows of the LSH for a threshold (Leskovec et al., Mining of Massive Datasets, 3).

    The most rows (fewest false candidates) with which a pair exactly at the threshold still shares
    a band with a probability of at least 0.98.
    """
    for rows in range(16, 1, -1):
        bands = SIGNATURE_LENGTH // rows
        if 1 - (1 - threshold**rows) ** bands >= _CANDIDATE_RECALL:
            return bands, rows
    return SIGNATURE_LENGTH, 1


def bucket_keys(fingerprint: Fingerprint, bands: int, rows: int) -> Keys:
    """The keys under which a fingerprint meets its candidates: 64-bit hashes, distinct.

    One for the content hash (odd), one for each LSH band and one for each anchor (even).
    """
    exact = int(fingerprint.content_hash[:16], 16) | 1
    keys = [np.array([exact], np.uint64)]
    if fingerprint.signature:
        signature = np.frombuffer(fingerprint.signature, "<u4").astype(np.uint64)
        hashed = np.arange(1, bands + 1, dtype=np.uint64)  # so that bands do not meet each other
        for row in signature[: bands * rows].reshape(bands, rows).T:
            hashed = (hashed ^ row) * np.uint64(0x9E3779B97F4A7C15)
            hashed ^= hashed >> np.uint64(32)
        keys.append(hashed & ~np.uint64(1))
    anchors = np.frombuffer(fingerprint.anchors, "<u8").astype(np.uint64)
    keys.append(anchors & ~np.uint64(1))
    return np.unique(np.concatenate(keys))


def shard_of(keys: Keys) -> npt.NDArray[np.int64]:
    """The shard that each key is grouped in."""
    return (keys >> np.uint64(1)).astype(np.int64) % BUCKET_SHARDS


def representatives(members: Iterable[Member]) -> list[Member]:
    """One member for each content observed at one time: the least origin.

    The others are its exact copies, which meet it under their content hash. Without this, a text
    with many copies would be compared with each of them under each of its keys.
    """
    least: dict[tuple[int, int], Member] = {}
    for member in members:
        _, observed, content = member
        least[observed, content] = min(member, least.get((observed, content), member))
    return list(least.values())


def candidate_pairs(
    members: Iterable[Member],
    horizon_micros: int,
    centrality: Mapping[Member, int] = MappingProxyType({}),
) -> Iterator[tuple[Member, Member]]:
    """Pairs in one bucket that were observed within the horizon, the lesser member first.

    A bucket of more than ``MAX_PAIRED_BUCKET`` members is one text with many copies, or a phrase
    that many texts share. There each member is paired with the one before it and with a few hubs:
    those that share most with all others (``centrality``), as the text does that the rest were
    made from. A window spans two horizons, so hubs are chosen for each half of the bucket's time.
    """
    ordered = sorted(set(members), key=lambda member: (member[1], member[0]))
    pairs: Iterable[tuple[Member, Member]]
    if len(ordered) <= MAX_PAIRED_BUCKET:
        pairs = itertools.combinations(ordered, 2)
    else:
        middle = ordered[0][1] + horizon_micros
        halves: list[list[Member]] = [[], []]
        for member in ordered:
            halves[member[1] > middle].append(member)
        hubs = [
            hub
            for half in halves
            for hub in sorted(half, key=lambda m: (-centrality.get(m, 0), m[0]))[:_HUBS]
        ]
        pairs = itertools.chain(itertools.pairwise(ordered), itertools.product(hubs, ordered))
    for left, right in pairs:
        if left != right and abs(left[1] - right[1]) <= horizon_micros:
            yield (left, right) if left < right else (right, left)


class KeyBlock(NamedTuple):
    """Texts with their keys of one shard, packed: they are many, and an element each costs more."""

    refs: bytes
    """int64 for each text."""
    members: bytes
    """Three uint64 for each text: ``Member``."""
    key_counts: bytes
    """int64 for each text: how many of the keys are its."""
    keys: bytes
    """uint64 for each key."""


def origin_key(origin: str) -> int:
    """A number for an origin, 63 bits, by which members are ordered."""
    digest = hashlib.blake2b(origin.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def member_of(fingerprint: Fingerprint) -> Member:
    """What of a fingerprint meets others in a bucket."""
    content = int(fingerprint.content_hash[:15], 16)
    return origin_key(fingerprint.origin), int(fingerprint.observed_at.micros), content


def pack_keys(texts: Sequence[tuple[int, Member, Keys]]) -> KeyBlock:
    """Pack texts: their references, what meets others, and keys."""
    return KeyBlock(
        np.array([ref for ref, _, _ in texts], "<i8").tobytes(),
        np.array([member for _, member, _ in texts], "<i8").tobytes(),
        np.array([keys.size for _, _, keys in texts], "<i8").tobytes(),
        np.concatenate([keys for _, _, keys in texts]).astype("<u8").tobytes(),
    )


def pairs_of_shard(blocks: Iterable[KeyBlock], horizon_micros: int) -> npt.NDArray[np.int64]:
    """The candidate pairs among the texts of one shard: n × 2 references, the lesser first."""
    packed = list(blocks)
    refs = np.concatenate([np.frombuffer(block.refs, "<i8") for block in packed])
    triples = np.concatenate([np.frombuffer(block.members, "<i8") for block in packed])
    counts = np.concatenate([np.frombuffer(block.key_counts, "<i8") for block in packed])
    all_keys = np.concatenate([np.frombuffer(block.keys, "<u8") for block in packed])
    owners = np.repeat(np.arange(refs.size), counts)
    order = np.argsort(all_keys, kind="stable")
    all_keys, owners = all_keys[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], all_keys[1:] != all_keys[:-1]]))
    ends = np.append(starts[1:], all_keys.size)
    # How often a member meets others: what all copies were made from meets them most.
    met = np.repeat(ends - starts, ends - starts) - 1
    meetings = np.bincount(owners, weights=met, minlength=refs.size).astype(np.int64)
    shared = np.flatnonzero(ends - starts > 1)
    meets = np.zeros(refs.size, bool)
    for bucket in shared:
        meets[owners[starts[bucket] : ends[bucket]]] = True
    members: dict[int, Member] = {
        own: (int(origin), int(observed), int(content))
        for own, (origin, observed, content) in zip(
            np.flatnonzero(meets).tolist(), triples.reshape(-1, 3)[meets], strict=True
        )
    }
    centrality = {member: int(meetings[own]) for own, member in members.items()}
    ref_by_member = {member: int(refs[own]) for own, member in members.items()}
    pairs: set[tuple[int, int]] = set()
    for bucket in shared:
        start, end = starts[bucket], ends[bucket]
        met_here = [members[int(own)] for own in owners[start:end]]
        if not int(all_keys[start]) & 1:
            met_here = representatives(met_here)
        for left, right in candidate_pairs(met_here, horizon_micros, centrality):
            a, b = ref_by_member[left], ref_by_member[right]
            pairs.add((a, b) if a < b else (b, a))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _shingles(fingerprint: Fingerprint) -> Shingles:
    return np.unique(np.frombuffer(fingerprint.shingles, "<u4"))


@dataclass(frozen=True)
class Likeness:
    """How alike two texts are."""

    exact: bool
    jaccard: float
    containment: float
    """Share of the smaller shingle set that the larger holds; 0 where it cannot be told."""


def likeness(left: Fingerprint, right: Fingerprint) -> Likeness:
    """Compare two fingerprints, exactly: on their shingles, not on their signatures."""
    if left.content_hash == right.content_hash:
        return Likeness(exact=True, jaccard=1.0, containment=1.0)
    if (left.signature and right.signature) or (left.word_count >= 20 and right.word_count >= 20):
        a, b = _shingles(left), _shingles(right)
        shared = int(np.intersect1d(a, b, assume_unique=True).size)
        return Likeness(False, shared / (a.size + b.size - shared), shared / min(a.size, b.size))
    return Likeness(False, 0.0, 0.0)


def copy_kind(alike: Likeness, left: Fingerprint, right: Fingerprint, threshold: float) -> str:
    """``exact``, ``abridged``, ``near``, or an empty string for different texts."""
    if alike.exact:
        return "exact"
    shorter, longer = sorted((left.word_count, right.word_count))
    if alike.containment >= ABRIDGED_CONTAINMENT and shorter < WHOLE_TEXT_SHARE * longer:
        return "abridged"
    return "near" if alike.jaccard >= threshold else ""


def are_copies(left: Fingerprint, right: Fingerprint, threshold: float) -> bool:
    """Whether two texts are linked: one is a copy of the other, of whatever kind."""
    return bool(copy_kind(likeness(left, right), left, right, threshold))


def connected_components(links: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Each linked text's component, named by its least member (union-find, path halving)."""
    parent: dict[int, int] = {}

    def root(text: int) -> int:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for left, right in links:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    return {text: root(text) for text in parent}


def choose_canonical(members: Sequence[Fingerprint]) -> Fingerprint:
    """The member that stands for all, whatever their order.

    A whole text before a cut one, then the row that knows most about itself, the earliest
    published, the earliest observed, and last the content hash and origin, so that no tie is left
    to chance.
    """
    longest = max(member.word_count for member in members)

    def rank(member: Fingerprint) -> tuple[object, ...]:
        return (
            member.word_count < WHOLE_TEXT_SHARE * longest,
            -member.completeness,
            member.published_at is None,
            member.published_at.micros if member.published_at is not None else 0,
            member.observed_at.micros,
            member.content_hash,
            member.origin,
        )

    return min(members, key=rank)


@dataclass(frozen=True)
class Match:
    """A text that another is a copy of."""

    original: Fingerprint
    kind: str
    similarity: float


def match_texts(copy: Fingerprint, original: Fingerprint, threshold: float) -> Match | None:
    """How ``copy`` is a copy of ``original``, or None if it is none."""
    alike = likeness(copy, original)
    kind = copy_kind(alike, copy, original, threshold)
    if not kind:
        return None
    return Match(original, kind, alike.containment if kind == "abridged" else alike.jaccard)


def nearest_known(
    member: Fingerprint, known: Sequence[Fingerprint], threshold: float
) -> Match | None:
    """The row of the dataset that a text is a copy of: an exact one, else the most similar.

    A row that holds only part of the text is not enough: a full story is no copy of its teaser.
    """
    matches = [match_texts(member, row, threshold) for row in known]
    fitting = [
        match
        for match in matches
        if match
        and not (match.kind == "abridged" and match.original.word_count < member.word_count)
    ]
    return min(
        fitting,
        key=lambda match: (match.kind != "exact", -match.similarity, match.original.origin),
        default=None,
    )


def settle_component(members: Iterable[Fingerprint], threshold: float) -> list[Assignment]:
    """Decide each text of a connected component; rows of the dataset get no assignment.

    The texts of the run are settled among themselves: the canonical text takes the members that
    are copies of *it*, and the rest are settled likewise. Then each canonical text is held against
    the dataset, whose rows are published already: if it is a copy of one, so are its copies.
    """
    by_origin = {member.origin: member for member in members}
    known = [member for member in by_origin.values() if member.known]
    remaining = [member for member in by_origin.values() if not member.known]
    assignments: list[Assignment] = []
    while remaining:
        canonical = choose_canonical(remaining)
        copies: list[tuple[Fingerprint, Match]] = []
        rest: list[Fingerprint] = []
        for member in remaining:
            if member is canonical:
                continue
            match = match_texts(member, canonical, threshold)
            if match is None:
                rest.append(member)
            else:
                copies.append((member, match))
        assignments.extend(_settle_cluster(canonical, copies, known, threshold))
        remaining = rest
    return assignments


def _settle_cluster(
    canonical: Fingerprint,
    copies: list[tuple[Fingerprint, Match]],
    known: Sequence[Fingerprint],
    threshold: float,
) -> list[Assignment]:
    found = nearest_known(canonical, known, threshold)
    published = found if found and not _is_revision(canonical, found) else None
    settled = [
        _assignment(member, _of_cluster(member, match, published, known, threshold))
        for member, match in copies
    ]
    count = sum(a.canonical_origin == canonical.origin and a.kind != "revision" for a in settled)
    itself = Match(canonical, "canonical", 1.0)
    head = dataclasses.replace(_assignment(canonical, found or itself), copies=count)
    return [head, *settled]


def _of_cluster(
    member: Fingerprint,
    match: Match,
    published: Match | None,
    known: Sequence[Fingerprint],
    threshold: float,
) -> Match:
    """What a copy counts as a copy of: its canonical text, or a row of the dataset before that."""
    own = nearest_known(member, known, threshold)
    closer = own is not None and own.kind == "exact" and match.kind != "exact"
    if own is not None and (published or closer):
        return own
    return Match(published.original, match.kind, match.similarity) if published else match


def _is_revision(member: Fingerprint, match: Match) -> bool:
    """Whether a match is one work seen again later with some words changed.

    Seen twice at one time, in a feed and as a page, it is a copy.
    """
    return (
        match.kind == "near"
        and member.article_id == match.original.article_id
        and member.observed_at != match.original.observed_at
    )


def _assignment(member: Fingerprint, match: Match) -> Assignment:
    return Assignment(
        origin=member.origin,
        canonical_origin=match.original.origin,
        canonical_id=match.original.article_id,
        kind="revision" if _is_revision(member, match) else match.kind,
        similarity=match.similarity,
    )


def _packed(pairs: npt.NDArray[np.int64]) -> bytes:
    return pairs.astype("<i8").tobytes()


def _unpacked(packed: Iterable[bytes]) -> npt.NDArray[np.int64]:
    return np.frombuffer(b"".join(packed), "<i8").reshape(-1, 2)


ShardBlock = tuple[int, tuple[bytes, bytes, bytes, bytes]]


class _Keys(beam.DoFn):
    """A block → its texts' keys by shard, each horizon's worth of time by itself."""

    def __init__(self, store: Store, horizon_micros: int, bands: int, rows: int) -> None:
        self._store = store
        self._horizon_micros = horizon_micros
        self._bands = bands
        self._rows = rows

    def process(self, block_and_set_aside: tuple[StagedBlock, bytes]) -> Iterator[TimestampedValue]:
        block, set_aside = block_and_set_aside
        skipped = np.frombuffer(set_aside, bool) if set_aside else np.zeros(block.rows, bool)
        grouped: dict[tuple[int, int], list[tuple[int, Member, Keys]]] = {}
        for row, fingerprint in enumerate(read_prints(self._store, block)):
            if skipped[row]:
                continue
            member = member_of(fingerprint)
            period = member[1] // self._horizon_micros
            keys = bucket_keys(fingerprint, self._bands, self._rows)
            shards = shard_of(keys)
            for shard in np.unique(shards).tolist():
                grouped.setdefault((period, shard), []).append(
                    (ref_of(block.number, row), member, keys[shards == shard])
                )
        # All that was observed from one multiple of the horizon to the next lies in the same
        # windows, whichever moment of it stands for all.
        for (period, shard), texts in grouped.items():
            moment = Timestamp(micros=period * self._horizon_micros)
            yield TimestampedValue((shard, tuple(pack_keys(texts))), moment)


class _Pairs(beam.DoFn):
    def __init__(self, horizon_micros: int) -> None:
        self._horizon_micros = horizon_micros

    def process(
        self, shard: tuple[int, Iterable[tuple[bytes, ...]]]
    ) -> Iterator[tuple[int, bytes]]:
        pairs = pairs_of_shard((KeyBlock(*block) for block in shard[1]), self._horizon_micros)
        spread = pairs[:, 0] % BUCKET_SHARDS
        for group in np.unique(spread).tolist():
            yield group, _packed(pairs[spread == group])


@dataclass
class FindCandidates(beam.PTransform):
    """(``StagedBlock``, mask of texts to leave out) → (group, packed candidate pairs of it).

    A text has some 80 keys, most of which nothing else has. A group for each would cost Beam far
    more than what is in it, so keys travel packed, and are grouped by shard and then in NumPy.
    A pair may come more than once, always in the same group, and in the global window.
    """

    store: Store
    threshold: float = DEFAULT_THRESHOLD
    horizon_seconds: int = DEFAULT_HORIZON_SECONDS

    def expand(
        self, blocks: PCollection[tuple[StagedBlock, bytes]]
    ) -> PCollection[tuple[int, bytes]]:
        """Group by shard in windows that no horizon can fall between, and pair what meets."""
        horizon_micros = self.horizon_seconds * 1_000_000
        keys = _Keys(self.store, horizon_micros, *lsh_shape(self.threshold))
        return (
            blocks
            | "Keys" >> beam.ParDo(keys).with_output_types(ShardBlock)
            | "HorizonWindows"
            >> beam.WindowInto(
                window.SlidingWindows(2 * self.horizon_seconds, self.horizon_seconds)
            )
            | beam.GroupByKey()
            | "Pairs" >> beam.ParDo(_Pairs(horizon_micros)).with_output_types(tuple[int, bytes])
            | "Rewindow" >> beam.WindowInto(window.GlobalWindows())
        )


class _Verify(beam.DoFn):
    def __init__(self, store: Store, threshold: float) -> None:
        self._store = store
        self._threshold = threshold

    def process(
        self, group: tuple[int, Iterable[bytes]], blocks: Sequence[StagedBlock]
    ) -> Iterator[bytes]:
        pairs = np.unique(_unpacked(group[1]), axis=0)
        prints = compared_prints(self._store, blocks)
        links = []
        left_ref, left = -1, None
        for a, b in pairs.tolist():  # sorted: the left text stays for all its pairs
            if left is None or a != left_ref:
                left_ref, left = a, prints.get(a)
            if are_copies(left, prints.get(b), self._threshold):
                links.append((a, b))
        if links:
            yield _packed(np.array(links, np.int64))


class _Components(beam.DoFn):
    """All links → batches of components, each a packed list of (component, text)."""

    def process(self, links: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
        found = connected_components(map(tuple, _unpacked(links[1]).tolist()))
        ordered = np.array(sorted((root, text) for text, root in found.items()), np.int64)
        start = 0
        while start < len(ordered):
            # A batch ends with a component, and holds one at least.
            last = min(start + _MEMBERS_PER_BATCH, len(ordered)) - 1
            end = int(np.searchsorted(ordered[:, 0], ordered[last, 0], side="right"))
            yield _packed(ordered[start:end])
            start = end


class _Settle(beam.DoFn):
    def __init__(self, store: Store, threshold: float) -> None:
        self._store = store
        self._threshold = threshold

    def process(self, batch: bytes, blocks: Sequence[StagedBlock]) -> Iterator[Verdict]:
        prints = compared_prints(self._store, blocks)
        rows = _unpacked([batch]).tolist()
        for _, component in itertools.groupby(rows, key=lambda row: row[0]):
            refs: dict[str, int] = {}
            members = []
            shingles: dict[str, bytes] = {}  # shared by exact copies, which may be many
            for _, ref in component:
                member = prints.get(ref)
                kept = shingles.setdefault(member.content_hash, member.shingles)
                members.append(dataclasses.replace(member, shingles=kept))
                refs[member.origin] = ref
            known = {member.origin for member in members if member.known}
            for assignment in settle_component(members, self._threshold):
                canonical = assignment.canonical_origin
                yield Verdict(
                    ref=refs[assignment.origin],
                    kind=assignment.kind,
                    canonical_id=assignment.canonical_id,
                    similarity=assignment.similarity,
                    copies=assignment.copies,
                    canonical_ref=-1
                    if canonical in known or canonical == assignment.origin
                    else refs[canonical],
                )


@dataclass
class AssignCopies(beam.PTransform):
    """(``StagedBlock``, mask of texts to leave out) → ``Verdict`` of texts with copies, and copies.

    ``blocks`` are all of them, those of the dataset's rows too; a row of the dataset gets no
    verdict. A text that has none is the only one of its kind.
    """

    store: Store
    blocks: PCollection[StagedBlock]
    threshold: float = DEFAULT_THRESHOLD
    horizon_seconds: int = DEFAULT_HORIZON_SECONDS

    def expand(self, compared: PCollection[tuple[StagedBlock, bytes]]) -> PCollection[Verdict]:
        """Candidates, links, components, settling: the four steps of the module's docstring."""
        blocks = beam.pvalue.AsList(self.blocks)
        return (
            compared
            | FindCandidates(self.store, self.threshold, self.horizon_seconds)
            | "PairsOnce" >> beam.GroupByKey()
            | "Verify"
            >> beam.ParDo(_Verify(self.store, self.threshold), blocks=blocks).with_output_types(
                bytes
            )
            | "OneKey" >> beam.Map(lambda links: (0, links)).with_output_types(tuple[int, bytes])
            | "AllLinks" >> beam.GroupByKey()
            | "Components" >> beam.ParDo(_Components()).with_output_types(bytes)
            | beam.Reshuffle()
            | "Settle"
            >> beam.ParDo(_Settle(self.store, self.threshold), blocks=blocks).with_output_types(
                Verdict
            )
        )
