"""Finding copies of one text, and settling which text is the canonical one.

In: ``Fingerprint`` of the run's texts and of the dataset's rows. Out: ``Assignment``, one for each
text of the run. Bounded; no failures. Bodies do not travel here, only fingerprints.

Four steps, the first three in Beam's own terms:

1. **Candidates.** Each fingerprint has keys: its content hash, its LSH bands and its anchors. They
   are grouped in sliding windows of twice the horizon, one horizon apart. Why two copies within
   the horizon always meet: the window that starts at the last multiple of the horizon before the
   earlier copy reaches at least one horizon beyond it. What shares a key in a window is a
   candidate pair.
2. **Links.** Candidate pairs are joined with both fingerprints and verified: a link needs equal
   content hashes, or a Jaccard similarity of the shingles above the threshold, or that one text
   contains nearly all of the other.
3. **Components.** Connected components of the links (only origins travel to this step).
4. **Settling.** In each component the canonical text is chosen by a rule that does not depend on
   order, and each member is held against *it*: what is a copy only of a copy starts a cluster of
   its own, so that no chain of small steps joins different stories.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection
from apache_beam.transforms import window

from schemas.records import SIGNATURE_LENGTH, Assignment, Fingerprint

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

Keys = npt.NDArray[np.uint64]
Shingles = npt.NDArray[np.uint32]
Member = tuple[str, int, str]
"""What meets others in a bucket: (origin, observed at in microseconds, content hash)."""


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
    least: dict[tuple[int, str], Member] = {}
    for member in members:
        _, observed, content = member
        least[observed, content] = min(member, least.get((observed, content), member))
    return list(least.values())


def candidate_pairs(
    members: Iterable[Member],
    horizon_micros: int,
    centrality: Mapping[Member, int] = MappingProxyType({}),
) -> Iterator[tuple[str, str]]:
    """Pairs of origins in one bucket that were observed within the horizon, lesser origin first.

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
    for (left, left_observed, _), (right, right_observed, _) in pairs:
        if left != right and abs(left_observed - right_observed) <= horizon_micros:
            yield (left, right) if left < right else (right, left)


def pairs_of_shard(
    entries: Iterable[tuple[Member, bytes]], horizon_micros: int
) -> set[tuple[str, str]]:
    """The candidate pairs among members with their keys (little-endian uint64) of one shard."""
    members: list[Member] = []
    keys: list[Keys] = []
    for member, packed in entries:
        members.append(member)
        keys.append(np.frombuffer(packed, "<u8"))
    all_keys = np.concatenate(keys)
    owners = np.repeat(np.arange(len(members)), [part.size for part in keys])
    order = np.argsort(all_keys, kind="stable")
    all_keys, owners = all_keys[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], all_keys[1:] != all_keys[:-1]]))
    ends = np.append(starts[1:], all_keys.size)
    # How often a member meets others: what all copies were made from meets them most.
    met = np.repeat(ends - starts, ends - starts) - 1
    meetings = np.bincount(owners, weights=met, minlength=len(members)).astype(np.int64)
    centrality = dict(zip(members, meetings.tolist(), strict=True))
    pairs: set[tuple[str, str]] = set()
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        bucket = [members[owner] for owner in owners[start:end]]
        if not int(all_keys[start]) & 1:
            bucket = representatives(bucket)
        pairs.update(candidate_pairs(bucket, horizon_micros, centrality))
    return pairs


def _shingles(fingerprint: Fingerprint) -> Shingles:
    return np.frombuffer(fingerprint.shingles, "<u4")


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
    if left.shingles and right.shingles:
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


def verified_link(
    left: Fingerprint, right: Fingerprint, threshold: float
) -> tuple[str, str] | None:
    """The pair of origins if the two are copies, else None."""
    if copy_kind(likeness(left, right), left, right, threshold):
        return left.origin, right.origin
    return None


def connected_components(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each linked origin's component, named by its least member (union-find, path halving)."""
    parent: dict[str, str] = {}

    def root(origin: str) -> str:
        parent.setdefault(origin, origin)
        while parent[origin] != origin:
            parent[origin] = parent[parent[origin]]
            origin = parent[origin]
        return origin

    for left, right in links:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    return {origin: root(origin) for origin in parent}


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


class _Pairs(beam.DoFn):
    def __init__(self, horizon_micros: int) -> None:
        self._horizon_micros = horizon_micros

    def process(
        self, shard: tuple[int, Iterable[tuple[Member, bytes]]]
    ) -> Iterator[tuple[str, str]]:
        yield from pairs_of_shard(shard[1], self._horizon_micros)


@dataclass
class FindCandidates(beam.PTransform):
    """``Fingerprint`` → candidate pairs of origins, each once, in the global window.

    A text has some 80 keys, most of which nothing else has. A group for each would cost Beam far
    more than what is in it, so keys travel packed, and are grouped by shard and then in NumPy.
    """

    threshold: float = DEFAULT_THRESHOLD
    horizon_seconds: int = DEFAULT_HORIZON_SECONDS

    def expand(self, fingerprints: PCollection[Fingerprint]) -> PCollection[tuple[str, str]]:
        """Group by shard in windows that no horizon can fall between, and pair what meets."""
        bands, rows = lsh_shape(self.threshold)

        def sharded(fingerprint: Fingerprint) -> Iterator[tuple[int, tuple[Member, bytes]]]:
            observed = fingerprint.observed_at.micros
            member = (fingerprint.origin, observed, fingerprint.content_hash[:16])
            keys = bucket_keys(fingerprint, bands, rows)
            shards = shard_of(keys)
            for shard in np.unique(shards).tolist():
                yield shard, (member, keys[shards == shard].astype("<u8").tobytes())

        return (
            fingerprints
            | "AtObservation"
            >> beam.Map(lambda fp: window.TimestampedValue(fp, fp.observed_at)).with_output_types(
                Fingerprint
            )
            | "HorizonWindows"
            >> beam.WindowInto(
                window.SlidingWindows(2 * self.horizon_seconds, self.horizon_seconds)
            )
            | "Shards" >> beam.FlatMap(sharded).with_output_types(tuple[int, tuple[Member, bytes]])
            | beam.GroupByKey()
            | "Pairs"
            >> beam.ParDo(_Pairs(self.horizon_seconds * 1_000_000)).with_output_types(
                tuple[str, str]
            )
            | "Rewindow" >> beam.WindowInto(window.GlobalWindows())
            | beam.Distinct()
        )


def _with_left(
    joined: tuple[str, dict[str, Sequence[object]]],
) -> Iterator[tuple[str, object]]:
    _, sides = joined
    for fingerprint in sides["fingerprint"]:
        for other in sides["pair"]:
            yield str(other), fingerprint


def _links(
    joined: tuple[str, dict[str, Sequence[Fingerprint]]], threshold: float
) -> Iterator[tuple[str, str]]:
    _, sides = joined
    for right in sides["fingerprint"]:
        for left in sides["left"]:
            link = verified_link(left, right, threshold)
            if link:
                yield link


def _members(
    joined: tuple[str, dict[str, Sequence[object]]],
) -> Iterator[tuple[str, object]]:
    origin, sides = joined
    component = next(iter(sides["component"]), origin)
    for fingerprint in sides["fingerprint"]:
        yield str(component), fingerprint


@dataclass
class AssignCopies(beam.PTransform):
    """``Fingerprint`` (of the run and of the dataset) → ``Assignment`` (of the run's texts)."""

    threshold: float = DEFAULT_THRESHOLD
    horizon_seconds: int = DEFAULT_HORIZON_SECONDS

    def expand(self, fingerprints: PCollection[Fingerprint]) -> PCollection[Assignment]:
        """Candidates, links, components, settling: the four steps of the module's docstring."""
        threshold = self.threshold
        by_origin = fingerprints | "ByOrigin" >> beam.Map(
            lambda fp: (fp.origin, dataclasses.replace(fp, anchors=b""))
        ).with_output_types(tuple[str, Fingerprint])
        pairs = fingerprints | FindCandidates(threshold, self.horizon_seconds)
        links = (
            {
                "fingerprint": by_origin,
                "left": {"fingerprint": by_origin, "pair": pairs}
                | "JoinLeft" >> beam.CoGroupByKey()
                | "WithLeft" >> beam.FlatMap(_with_left).with_output_types(tuple[str, Fingerprint]),
            }
            | "JoinRight" >> beam.CoGroupByKey()
            | "Verify" >> beam.FlatMap(_links, threshold).with_output_types(tuple[str, str])
        )
        components = (
            links
            | "OneKey"
            >> beam.Map(lambda link: (0, link)).with_output_types(tuple[int, tuple[str, str]])
            | "AllLinks" >> beam.GroupByKey()
            | "Components"
            >> beam.FlatMap(
                lambda keyed: sorted(connected_components(keyed[1]).items())
            ).with_output_types(tuple[str, str])
        )
        return (
            {"fingerprint": by_origin, "component": components}
            | "JoinComponents" >> beam.CoGroupByKey()
            | "Members" >> beam.FlatMap(_members).with_output_types(tuple[str, Fingerprint])
            | "Clusters" >> beam.GroupByKey()
            | "Settle"
            >> beam.FlatMap(
                lambda cluster: settle_component(cluster[1], threshold)
            ).with_output_types(Assignment)
        )
