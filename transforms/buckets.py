"""Candidate pairs: which texts share a key, without pairing all with all where many do.

In: ``KeyedTexts``, and the two horizons of time that are looked at. Out: pairs of references. Pure.

What shares a key lies in a *bucket*. All members of a bucket are paired, up to
``MAX_PAIRED_BUCKET`` of them. A larger one is a text with many copies, or words that many texts
share; there each member is paired with the one before it and with a few *hubs*, so that the cost
is linear. Hubs are those whose sketches are nearest to what most members have for each bit: the
text that the rest were made from is closer to each of them than they are to one another.

Two rules hold in all buckets but those of a content hash, where exact copies meet. Texts of one
content are no pair there; and of those in one half horizon only the first and the last stand in,
for whatever is within the horizon of one of them is within the horizon of the first or the last.
So a text with a thousand exact copies costs no more than one with a few.

Nothing depends on the order of the input, or on which keys are looked at together: what comes of
a bucket is a function of its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from transforms.text_keys import (
    BAND,
    CONTENT,
    KeyedTexts,
    Keys,
    Places,
    Sketches,
    Texts,
    differing_places,
    kind_of,
)

MAX_PAIRED_BUCKET = 32
"""In a larger bucket each text is paired with a few hubs instead of with all others."""
HUBS = 4
"""Hubs of a bucket in each half horizon; those of two neighbouring ones are a horizon apart at
most, so that there is a way from each to the next."""
_STRATA = 4
"""Halves of a horizon that are looked at together."""
_PAIRS_AT_ONCE = 1 << 20
_SKETCH_BYTES = 32

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Two horizons of time, and which pairs in them count."""

    first_micros: int
    """Where it starts. The earlier text of a pair lies in its first half, so that each pair is
    found in one span alone, if spans start at each multiple of the horizon."""
    horizon_micros: int
    """How far two texts of a pair may be apart, at most."""
    most_differing_places: int
    """In how many places the sketches may differ of two texts that met under a band."""

    def starting(self, first_micros: int) -> Span:
        """The same, but that it starts elsewhere."""
        return replace(self, first_micros=first_micros)


@dataclass(frozen=True)
class _Buckets:
    """Members of buckets: by bucket, and in each in the order of time."""

    number: Places
    member: Places
    kind: npt.NDArray[np.uint8]

    def kept(self, mask: Mask) -> _Buckets:
        return _Buckets(self.number[mask], self.member[mask], self.kind[mask])

    def starts(self) -> Places:
        return np.flatnonzero(_changes(self.number))

    def sizes(self) -> Places:
        return np.diff(np.append(self.starts(), self.number.size))


def _changes(ordered: npt.NDArray[np.generic]) -> Mask:
    """Where something else begins than stood before."""
    changes = np.ones(ordered.size, bool)
    changes[1:] = ordered[1:] != ordered[:-1]
    return changes


def candidate_pairs(keyed: KeyedTexts, span: Span) -> npt.NDArray[np.int64]:
    """The pairs of texts that share a key: n × 2 references, the lesser first.

    All texts lie in the span. Pairs are sorted, and each comes once. Beside what is given and what
    comes out, memory is taken for 32 bytes a key, and 150 for each key that is shared.
    """
    keys, owners = _shared(keyed.keys, keyed.owners)
    texts, owners = _in_time_order(keyed.texts, owners)
    buckets = _buckets(keys, owners, len(texts))
    is_first = texts["observed_micros"] < span.first_micros + span.horizon_micros
    stratum = (texts["observed_micros"] - span.first_micros) * 2 // span.horizon_micros
    buckets = buckets.kept(np.repeat(is_first[buckets.member[buckets.starts()]], buckets.sizes()))
    buckets = buckets.kept(_stands_in(buckets, texts["content"], stratum))
    sizes = np.repeat(buckets.sizes(), buckets.sizes())
    paired = buckets.kept((sizes > 1) & (sizes <= MAX_PAIRED_BUCKET))
    crowded = buckets.kept(sizes > MAX_PAIRED_BUCKET)
    codes = _distinct(
        code
        for pairs in (_all_pairs(paired), _crowd_pairs(crowded, texts["sketch"], stratum))
        for code in _fitting(pairs, texts, is_first, span)
    )
    left, right = (texts["ref"][places] for places in np.divmod(codes, max(len(texts), 1)))
    pairs = np.column_stack([np.minimum(left, right), np.maximum(left, right)])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _shared(keys: Keys, owners: Places) -> tuple[Keys, Places]:
    """The keys that come more than once, sorted."""
    order = np.argsort(keys)
    ordered = keys[order]
    repeats = ~_changes(ordered)
    shared = repeats.copy()
    shared[:-1] |= repeats[1:]
    return ordered[shared], owners[order[shared]]


def _in_time_order(texts: Texts, owners: Places) -> tuple[Texts, Places]:
    """The texts that own something, in the order of their observation and origin."""
    owns = np.zeros(len(texts), bool)
    owns[owners] = True
    owning = np.flatnonzero(owns)
    order = owning[np.lexsort((texts["origin"][owning], texts["observed_micros"][owning]))]
    place = np.empty(len(texts), np.int64)
    place[order] = np.arange(order.size)
    return texts[order], place[owners]


def _buckets(keys: Keys, owners: Places, texts: int) -> _Buckets:
    is_new = _changes(keys)
    kinds = kind_of(keys[is_new])
    codes = (np.cumsum(is_new) - 1) * texts + owners
    codes.sort()
    number, member = np.divmod(codes[_changes(codes)], max(texts, 1))
    return _Buckets(number, member, kinds[number])


def _stands_in(buckets: _Buckets, content: Keys, stratum: Places) -> Mask:
    """Who stands in for the exact copies in its bucket and half horizon: the first and last."""
    _, content_place, copies = np.unique(content, return_inverse=True, return_counts=True)
    copied = (copies[content_place[buckets.member]] > 1) & (buckets.kind != CONTENT)
    entries = np.flatnonzero(copied)
    member = buckets.member[entries]
    groups = (buckets.number[entries] * copies.size + content_place[member]) * _STRATA + stratum[
        member
    ]
    order = np.argsort(groups, kind="stable")  # in time order within each
    is_first = _changes(groups[order])
    stands_in = np.ones(buckets.number.size, bool)
    stands_in[entries[order]] = is_first | np.append(is_first[1:], True)[: order.size]
    return stands_in


_Pairs = tuple[Places, Places, npt.NDArray[np.uint8]]
"""Two members each, the earlier first, and the kind of the key that they share."""


def _all_pairs(buckets: _Buckets) -> Iterator[_Pairs]:
    """Every two members of each bucket."""
    all_starts, sizes = buckets.starts(), buckets.sizes()
    for size in np.unique(sizes).tolist():
        starts = all_starts[sizes == size]
        left, right = np.triu_indices(size, 1)
        step = max(1, _PAIRS_AT_ONCE // left.size)
        for begin in range(0, starts.size, step):
            rows = starts[begin : begin + step, None]
            kinds = np.repeat(buckets.kind[rows[:, 0]], left.size)
            yield (
                buckets.member[rows + left].ravel(),
                buckets.member[rows + right].ravel(),
                kinds,
            )


def _crowd_pairs(buckets: _Buckets, sketches: Sketches, stratum: Places) -> Iterator[_Pairs]:
    """Each member with the one before it, and each with the hubs of its bucket."""
    follows = np.flatnonzero(~_changes(buckets.number))
    yield buckets.member[follows - 1], buckets.member[follows], buckets.kind[follows]
    alike = buckets.kept(buckets.kind != CONTENT)  # exact copies need no hubs
    starts, sizes = alike.starts(), alike.sizes()
    of_bucket = np.repeat(np.arange(starts.size), sizes)
    hubs = _hubs(alike, sketches, stratum)
    ends = np.cumsum(sizes[of_bucket[hubs]])
    begin = 0
    while begin < hubs.size:  # at most as many pairs at once, or one hub's
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
        some = hubs[begin:end]
        counts = sizes[of_bucket[some]]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        hub = np.repeat(alike.member[some], counts)
        other = alike.member[np.repeat(starts[of_bucket[some]], counts) + within]
        yield np.minimum(hub, other), np.maximum(hub, other), np.repeat(alike.kind[some], counts)
        begin = end


def _hubs(buckets: _Buckets, sketches: Sketches, stratum: Places) -> npt.NDArray[np.intp]:
    """Which entries are hubs: in each bucket and half horizon those nearest to the majority."""
    groups = buckets.number * _STRATA + stratum[buckets.member]
    starts = np.flatnonzero(_changes(groups))
    sizes = np.diff(np.append(starts, groups.size))
    distance = np.empty(groups.size, np.int64)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < starts.size:  # bit by bit a sketch is 8 times as large, counts 64 times
        first = starts[begin]
        end = max(begin + 1, int(np.searchsorted(ends, first + _PAIRS_AT_ONCE // 32, side="right")))
        last = ends[end - 1]
        some = np.ascontiguousarray(sketches[buckets.member[first:last]])
        bits = np.unpackbits(some.view(np.uint8).reshape(-1, _SKETCH_BYTES), axis=1)
        counts = np.add.reduceat(bits, starts[begin:end] - first, axis=0, dtype=np.int64)
        majority = np.packbits(2 * counts > sizes[begin:end, None], axis=1).view(np.uint64)
        away = some ^ np.repeat(majority, sizes[begin:end], axis=0)
        distance[first:last] = np.bitwise_count(away).sum(axis=1)
        begin = end
    order = np.lexsort((distance, groups))  # stable: among equals the earlier
    place = np.arange(groups.size) - np.repeat(starts, sizes)
    return np.sort(order[place < HUBS])


def _fitting(
    pairs: Iterable[_Pairs], texts: Texts, is_first: Mask, span: Span
) -> Iterator[npt.NDArray[np.int64]]:
    """Of pairs those that count, as numbers: earlier × texts + later."""
    for pairs_of_some in pairs:
        left, right, kind = _near(pairs_of_some, texts, is_first, span)
        differing = differing_places(texts["sketch"][left], texts["sketch"][right])
        fits = (differing <= span.most_differing_places) | (kind != BAND)
        yield np.unique(left[fits] * len(texts) + right[fits])


def _near(pairs: _Pairs, texts: Texts, is_first: Mask, span: Span) -> _Pairs:
    """Pairs within the horizon, and not of one content except under its key."""
    left, right, kind = pairs
    near = (left != right) & is_first[left]
    near &= texts["observed_micros"][right] - texts["observed_micros"][left] <= span.horizon_micros
    near &= (kind == CONTENT) | (texts["content"][left] != texts["content"][right])
    return left[near], right[near], kind[near]


def _distinct(parts: Iterable[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """All that is in some arrays, sorted, each once; of repeats few are held at a time."""
    found: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
    waiting = 0
    for part in parts:
        found.append(part)
        waiting += part.size
        if waiting > 2 * found[0].size + _PAIRS_AT_ONCE:
            found, waiting = [np.unique(np.concatenate(found))], 0
    return np.unique(np.concatenate(found))
