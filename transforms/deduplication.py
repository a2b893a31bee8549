"""Settling which text is a copy of which.

In: candidate pairs, packed, and ``StagedBlock`` of all texts in them. Out: ``Verdict``, one for
each text of the run that is a copy, or has copies. Bounded; no failures. Only references travel
here; a fingerprint is read from its block where two texts are compared.

1. **Links.** Candidate pairs are verified on their fingerprints (``likeness``).
2. **Components.** Connected components of the links: one worker takes them all, 16 bytes each.
3. **Settling.** In each component it is decided which texts are canonical, and what is a copy of
   them (``clusters``).

Nothing here depends on how the texts were cut into blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from schemas.records import Fingerprint, StagedBlock, Verdict
from transforms.clusters import connected_components, settle_component
from transforms.likeness import DEFAULT_THRESHOLD, ComparedText, compare, kind_of
from transforms.measures import NAMESPACE
from transforms.staging import RowCache, compared_prints
from transforms.storage import Store

_TEXTS_AT_ONCE = 16_384
"""As many texts are held, at least, while pairs of them are verified: some 50 MB."""
_MEMBERS_PER_BATCH = (2_000, 16_384)
"""Least and most members of components that are settled together. The more, the fewer times that
a block is opened; a run has some 16 batches before they are at their largest."""
_BATCHES = 16

Pairs = npt.NDArray[np.int64]


def _unpacked(packed: Iterable[bytes]) -> Pairs:
    return np.frombuffer(b"".join(packed), "<i8").reshape(-1, 2)


def verified(pairs: Pairs, prints: RowCache[Fingerprint], threshold: float) -> Pairs:
    """Which of some pairs are copies, one of the other."""
    linked = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _TEXTS_AT_ONCE // 2):
        some = pairs[start : start + _TEXTS_AT_ONCE // 2]
        texts = {ref: ComparedText(text) for ref, text in _read(np.unique(some), prints).items()}
        for place, (one, other) in enumerate(some.tolist(), start):
            left, right = texts[one], texts[other]
            linked[place] = bool(kind_of(left, right, compare(left, right), threshold))
    return pairs[linked]


_PAIRS_COMPARED = Metrics.counter(NAMESPACE, "pairs_compared")
_PAIRS_LINKED = Metrics.counter(NAMESPACE, "pairs_linked")


class _Verify(beam.DoFn):
    def __init__(self, store: Store, threshold: float) -> None:
        self._store = store
        self._threshold = threshold

    def process(
        self, group: tuple[int, bytes], blocks: Sequence[StagedBlock]
    ) -> Iterator[tuple[int, bytes]]:
        prints = compared_prints(self._store, blocks)
        pairs = _unpacked([group[1]])
        links = verified(pairs, prints, self._threshold)
        _PAIRS_COMPARED.inc(len(pairs))
        _PAIRS_LINKED.inc(len(links))
        if len(links):
            yield 0, links.tobytes()


class _Components(beam.DoFn):
    """All links → batches of components, each a packed list of (component, text)."""

    def process(self, links: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
        members = connected_components(_unpacked(links[1]))
        least, most = _MEMBERS_PER_BATCH
        size = min(max(len(members) // _BATCHES, least), most)
        start = 0
        while start < len(members):
            # A batch ends with a component, and holds one at least.
            last = min(start + size, len(members)) - 1
            end = int(np.searchsorted(members[:, 0], members[last, 0], side="right"))
            yield members[start:end].tobytes()
            start = end


class _Settle(beam.DoFn):
    def __init__(self, store: Store, threshold: float) -> None:
        self._store = store
        self._threshold = threshold

    def process(
        self, batch: bytes, blocks: Sequence[StagedBlock], canonicals: Mapping[str, int]
    ) -> Iterator[Verdict]:
        prints = compared_prints(self._store, blocks)
        rows = _unpacked([batch])
        texts = _read(rows[:, 1], prints)
        ends = np.flatnonzero(np.diff(rows[:, 0])) + 1
        for component in np.split(rows[:, 1], ends):
            members = {ref: texts[ref] for ref in component.tolist()}
            copied = {text.article_id for text in members.values() if text.table == "duplicates"}
            refs = {identity: canonicals[identity] for identity in copied & canonicals.keys()}
            originals = {identity: prints.get(refs[identity]) for identity in sorted(refs)}
            yield from settled(members, self._threshold, originals)


def _read(refs: Pairs, prints: RowCache[Fingerprint]) -> dict[int, Fingerprint]:
    """Texts by reference; exact copies, which may be many, share their shingles."""
    texts = {}
    shingles: dict[str, bytes] = {}
    for ref in np.sort(refs).tolist():  # in this order each batch of rows is read once
        text = prints.get(ref)
        kept = shingles.setdefault(text.content_hash, text.shingles)
        texts[ref] = dataclasses.replace(text, shingles=kept)
    return texts


def settled(
    members: Mapping[int, Fingerprint], threshold: float, canonicals: Mapping[str, Fingerprint]
) -> Iterator[Verdict]:
    """The verdicts on a component, whose texts are given by reference."""
    of_run = {text.origin: ref for ref, text in members.items() if not text.known}
    for assignment in settle_component(members.values(), threshold, canonicals):
        canonical = assignment.canonical_origin
        copied = -1 if canonical == assignment.origin else of_run.get(canonical, -1)
        yield Verdict(
            ref=of_run[assignment.origin],
            kind=assignment.kind,
            canonical_id=assignment.canonical_id,
            similarity=assignment.similarity,
            copies=assignment.copies,
            canonical_ref=copied,
        )


@dataclass
class AssignCopies(beam.PTransform):
    """Packed candidate pairs → ``Verdict`` of texts with copies, and of copies.

    A text without a verdict is the only one of its kind; a row of the dataset gets none.
    """

    store: Store
    blocks: PCollection[StagedBlock]
    """All blocks of texts that pairs may refer to, those of the dataset's rows too."""
    canonicals: PCollection[tuple[str, int]]
    """Of each row of the dataset that another row of it is a copy of: its article id, and its
    reference."""
    threshold: float = DEFAULT_THRESHOLD

    def expand(self, candidates: PCollection[tuple[int, bytes]]) -> PCollection[Verdict]:
        """Links, components, settling: the three steps of the module's docstring."""
        blocks = beam.pvalue.AsList(self.blocks)
        verify = _Verify(self.store, self.threshold)
        settle = _Settle(self.store, self.threshold)
        return (
            candidates
            | "Spread" >> beam.Reshuffle()
            | "Verify" >> beam.ParDo(verify, blocks=blocks).with_output_types(tuple[int, bytes])
            | "AllLinks" >> beam.GroupByKey()
            | "Components" >> beam.ParDo(_Components()).with_output_types(bytes)
            | "SpreadComponents" >> beam.Reshuffle()
            | "Settle"
            >> beam.ParDo(
                settle, blocks=blocks, canonicals=beam.pvalue.AsDict(self.canonicals)
            ).with_output_types(Verdict)
        )
