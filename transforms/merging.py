"""Numbering the texts of one work, and merging what copies know.

``NumberRevisions``: ``Verdict`` and what the dataset has of the same works → ``Verdict`` with
revisions. ``WriteVerdicts`` keeps them, a file for each block. ``MergeCopies``: ``StagedBlock``
with its verdicts → ``UniqueArticle`` for each canonical text or revision, ``Duplicate`` for each
copy. Bounded; no failures.

A canonical row is merged with its copies, not merely preferred to them (guarantee 6): a field it
lacks is taken from the copy that states it best, and ``provenance`` says from which.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.records import (
    Article,
    Duplicate,
    Failure,
    Fingerprint,
    LedgerEntry,
    Provenance,
    PublicationDate,
    StagedBlock,
    UniqueArticle,
    Verdict,
)
from transforms import accounts
from transforms.staging import (
    PRINTS,
    RowCache,
    block_and_row,
    bodiless_articles,
    compared_prints,
    read_articles,
    read_columns,
    read_failures,
    read_prints,
    ref_of,
)
from transforms.storage import Store
from transforms.verdicts import BlockVerdicts, read_verdicts, write_verdicts

WORK_SHARDS = 16
"""Groups that the works of a run are spread over, to find those with several texts."""

DATE_TRUST = (
    "feed",
    "json-ld",
    "meta",
    "url",
    "date-line",
    "dateline",
    "relative-day",
    "sibling",
    "first-seen",
)
"""Sources of a publication date, surest first."""
_FIRST_SEEN = "first-seen"
_PRECISIONS = ("second", "minute", "hour", "day", "month", "year")
_MERGED_FIELDS = (
    "title",
    "authors",
    "agency",
    "dateline",
    "description",
    "image_url",
    "tags",
    "section",
    "declared_language",
    "rights",
)
_WHOLE_KINDS = frozenset({"exact", "near"})


def _date_rank(article: Article) -> tuple[int, int, int, str]:
    published = article.published
    if published is None:
        return (len(DATE_TRUST) + 1, 0, 0, article.origin)
    return (
        DATE_TRUST.index(published.source),
        _PRECISIONS.index(published.precision),
        published.at.micros,
        article.origin,
    )


def merge_article(canonical: Article, copies: Iterable[tuple[str, Article]]) -> Article:
    """The canonical article with the fields it lacks taken from its copies.

    ``copies`` are (kind, article). Copies of the whole text are asked before abridged ones, then
    in the order of how well they are dated and of their origins, never in order of arrival. A
    date taken over keeps its precision and gets the source ``sibling``; the day on which an item
    was first seen gives way to it, and where no copy has a better one keeps its own source.
    """
    ordered = sorted(copies, key=lambda copy: (copy[0] not in _WHOLE_KINDS, _date_rank(copy[1])))
    taken: dict[str, object] = {}
    provenance: list[Provenance] = []
    for field in _MERGED_FIELDS:
        if getattr(canonical, field):
            continue
        for _, copy in ordered:
            if getattr(copy, field):
                taken[field] = getattr(copy, field)
                provenance.append(Provenance(field, "sibling", copy.origin))
                break
    dated = _date_of_copies(canonical, [copy for _, copy in ordered])
    if dated is not None:
        taken["published"], origin = dated
        provenance.append(Provenance("published", "sibling", origin))
    if not taken:
        return canonical
    kept = (entry for entry in canonical.provenance if entry.field not in taken)
    return dataclasses.replace(
        canonical,
        **taken,  # type: ignore[arg-type]
        provenance=(*kept, *provenance),
    )


def _date_of_copies(
    canonical: Article, copies: Sequence[Article]
) -> tuple[PublicationDate, str] | None:
    """The first date of copies that is better than the canonical text's own, and whose it is."""
    own = canonical.published
    if own is not None and own.source != _FIRST_SEEN:
        return None
    dates = [
        (copy.published, copy.origin)
        for copy in copies
        if copy.published is not None and copy.published.at <= canonical.observed_at
    ]
    for date, origin in dates:
        if date.source != _FIRST_SEEN:
            return PublicationDate(date.at, date.precision, "sibling"), origin
    return dates[0] if dates and own is None else None


@dataclass(frozen=True)
class KnownWork:
    """What the dataset has of a work that the run has, too."""

    revision: int
    """The last one."""
    content_hashes: frozenset[bytes]
    """First 16 bytes of each text's content hash."""


def number_revisions(
    texts: Iterable[tuple[Verdict, Fingerprint]], known: KnownWork | None
) -> Iterator[Verdict]:
    """Number the texts of one work, after those the dataset already holds.

    Texts are ordered by when they were observed; of those seen at one time the fuller is the
    later, so that the newest revision is the one to read. A text the work already has is not a new
    revision but an exact copy.
    """
    revision = known.revision if known else -1
    hashes: dict[bytes, int] = dict.fromkeys(known.content_hashes, -1) if known else {}
    ordered = sorted(
        texts,
        key=lambda text: (
            text[1].observed_at.micros,
            text[1].word_count,
            text[1].content_hash,
            text[1].origin,
        ),
    )
    numbered: dict[int, Verdict] = {}
    for verdict, fingerprint in ordered:
        content = bytes.fromhex(fingerprint.content_hash)[:16]
        if content in hashes:
            first = numbered.get(hashes[content])
            if first is not None:
                copies = first.copies + 1 + verdict.copies
                numbered[first.ref] = dataclasses.replace(first, copies=copies)
            numbered[verdict.ref] = Verdict(
                verdict.ref, "exact", fingerprint.article_id, 1.0, 0, hashes[content]
            )
            continue
        hashes[content] = verdict.ref
        revision += 1
        numbered[verdict.ref] = dataclasses.replace(verdict, revision=revision)
    yield from numbered.values()


_WORK = np.dtype([("article_id", "V16"), ("content_hash", "V16"), ("revision", "<i4")])


class _OfWorks(beam.DoFn):
    """Blocks and what is known → article ids by shard, packed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def process(
        self, block_and_set_aside: tuple[StagedBlock, bytes]
    ) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        block, set_aside = block_and_set_aside
        ids = read_columns(self._store, block.path + PRINTS, ["article_id"])["article_id"]
        grouped: dict[int, list[tuple[int, bytes]]] = {}
        for row, identity in enumerate(map(bytes.fromhex, ids.to_pylist())):
            if not (set_aside and set_aside[row]):
                shard = identity[0] % WORK_SHARDS
                grouped.setdefault(shard, []).append((ref_of(block.number, row), identity))
        for shard, texts in grouped.items():
            refs = np.array([ref for ref, _ in texts], "<i8").tobytes()
            yield shard, (refs, b"".join(identity for _, identity in texts))


def _known_by_shard(works: bytes) -> Iterator[tuple[int, bytes]]:
    rows = np.frombuffer(works, _WORK)
    shards = np.frombuffer(works, np.uint8)[:: _WORK.itemsize] % WORK_SHARDS
    for shard in np.unique(shards).tolist():
        yield shard, rows[shards == shard].tobytes()


def _contested(
    joined: tuple[int, dict[str, Sequence[object]]],
) -> Iterator[tuple[int, tuple[str, bytes]]]:
    """Texts of works that have several, with what the dataset has of them."""
    _, sides = joined
    known: dict[bytes, list[bytes]] = {}
    for packed in sides["known"]:
        assert isinstance(packed, bytes)
        for start in range(0, len(packed), _WORK.itemsize):
            row = packed[start : start + _WORK.itemsize]
            known.setdefault(row[:16], []).append(row)
    refs: dict[bytes, list[int]] = {}
    for text in sides["texts"]:
        assert isinstance(text, tuple)
        packed_refs, packed_ids = text
        for number, ref in enumerate(np.frombuffer(packed_refs, "<i8").tolist()):
            refs.setdefault(packed_ids[16 * number : 16 * number + 16], []).append(ref)
    for identity, texts in refs.items():
        if len(texts) > 1 or identity in known:
            for ref in texts:
                yield ref, (identity.hex(), b"".join(known.get(identity, ())))


class _Contest(beam.DoFn):
    """A text's verdict and work → by work, if it stands for itself; else just the verdict."""

    SETTLED = "settled"

    def process(
        self, joined: tuple[int, dict[str, Sequence[object]]]
    ) -> Iterator[tuple[str, tuple[Verdict, bytes]] | TaggedOutput]:
        ref, sides = joined
        verdict = next(iter(sides["verdict"]), None)
        contest = next(iter(sides["contest"]), None)
        if contest is None:
            yield TaggedOutput(self.SETTLED, verdict)
            return
        assert isinstance(contest, tuple)
        identity, known = contest
        if verdict is None:
            verdict = Verdict(ref, "canonical", identity, 1.0)
        assert isinstance(verdict, Verdict)
        if verdict.kind in ("canonical", "revision"):
            yield identity, (verdict, known)
        else:
            yield TaggedOutput(self.SETTLED, verdict)


class _Number(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store

    def start_bundle(self) -> None:
        # Not one for each work: on an object store each opens a block with two requests.
        self._prints: RowCache[Fingerprint] | None = None

    def process(
        self,
        work: tuple[str, Iterable[tuple[Verdict, bytes]]],
        blocks: Sequence[StagedBlock],
    ) -> Iterator[Verdict]:
        texts = list(work[1])
        prints = self._prints = self._prints or compared_prints(self._store, blocks)
        rows = np.frombuffer(texts[0][1], _WORK)
        known = None
        if rows.size:
            hashes = frozenset(bytes(row["content_hash"]) for row in rows)
            known = KnownWork(int(rows["revision"].max()), hashes)
        yield from number_revisions(
            ((verdict, prints.get(verdict.ref)) for verdict, _ in texts), known
        )


@dataclass
class NumberRevisions(beam.PTransform):
    """``Verdict`` → ``Verdict``, numbered where a work has several texts.

    ``compared`` are the run's blocks with the mask of texts to leave out, ``works`` the packed
    rows of the dataset with an article id of the run, ``blocks`` all blocks. A text without a
    verdict may get one here.
    """

    store: Store
    compared: PCollection[tuple[StagedBlock, bytes]]
    works: PCollection[bytes]
    blocks: PCollection[StagedBlock]

    def expand(self, verdicts: PCollection[Verdict]) -> PCollection[Verdict]:
        """Find the works with several texts, and number those."""
        contested = (
            {
                "texts": self.compared
                | "TextsOfWorks"
                >> beam.ParDo(_OfWorks(self.store)).with_output_types(
                    tuple[int, tuple[bytes, bytes]]
                ),
                "known": self.works
                | "KnownByShard"
                >> beam.FlatMap(_known_by_shard).with_output_types(tuple[int, bytes]),
            }
            | "JoinWorks" >> beam.CoGroupByKey()
            | "Contested"
            >> beam.FlatMap(_contested).with_output_types(tuple[int, tuple[str, bytes]])
        )
        parted = (
            {
                "verdict": verdicts
                | "VerdictByRef"
                >> beam.Map(lambda verdict: (verdict.ref, verdict)).with_output_types(
                    tuple[int, Verdict]
                ),
                "contest": contested,
            }
            | "JoinVerdicts" >> beam.CoGroupByKey()
            | "Contest"
            >> beam.ParDo(_Contest())
            .with_output_types(tuple[str, tuple[Verdict, bytes]], settled=Verdict)
            .with_outputs(_Contest.SETTLED, main="contested")
        )
        numbered = (
            parted.contested
            | "Works" >> beam.GroupByKey()
            | "Number"
            >> beam.ParDo(
                _Number(self.store), blocks=beam.pvalue.AsList(self.blocks)
            ).with_output_types(Verdict)
        )
        return (parted[_Contest.SETTLED], numbered) | "Numbered" >> beam.Flatten()


@dataclass
class NumberBlocks(beam.PTransform):
    """``StagedBlock`` → ``StagedBlock``, numbered on from ``first`` in the order of their paths."""

    first: int

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[StagedBlock]:
        """Bring them together, for a number must be given once."""
        first = self.first

        def number(keyed: tuple[int, Iterable[StagedBlock]]) -> Iterator[StagedBlock]:
            ordered = sorted(keyed[1], key=lambda block: block.path)
            for place, block in enumerate(ordered, start=first):
                yield dataclasses.replace(block, number=place)

        return (
            blocks
            | beam.Map(lambda block: (0, block)).with_output_types(tuple[int, StagedBlock])
            | beam.GroupByKey()
            | beam.FlatMap(number).with_output_types(StagedBlock)
        )


class _WriteVerdicts(beam.DoFn):
    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def process(self, joined: tuple[int, dict[str, Sequence[object]]]) -> Iterator[int]:
        _, sides = joined
        for block in sides["block"]:
            assert isinstance(block, StagedBlock)
            masks: Sequence[bytes] = list(sides["set_aside"])  # type: ignore[arg-type]
            rows = np.flatnonzero(np.frombuffer(masks[0], bool)).tolist() if masks else []
            verdicts: Sequence[Verdict] = list(sides["verdict"])  # type: ignore[arg-type]
            write_verdicts(self._store, self._folder, block, rows, verdicts)
            own = sum(
                1
                for verdict in verdicts
                if block_and_row(verdict.ref)[0] == block.number
                and verdict.kind not in ("canonical", "revision")
            )
            yield block.rows - len(rows) - own if block.kind == "articles" else 0


def _by_blocks(verdict: Verdict) -> Iterator[tuple[int, Verdict]]:
    own = block_and_row(verdict.ref)[0]
    yield own, verdict
    if verdict.canonical_ref >= 0:
        canonical = block_and_row(verdict.canonical_ref)[0]
        if canonical != own:
            yield canonical, verdict


@dataclass
class WriteVerdicts(beam.PTransform):
    """``StagedBlock`` → how many of its texts stand for themselves; 0 for one of failures.

    ``set_aside`` are (block, mask of the rows that the dataset has).
    """

    store: Store
    folder: str
    verdicts: PCollection[Verdict]
    set_aside: PCollection[tuple[StagedBlock, bytes]]

    def expand(self, blocks: PCollection[StagedBlock]) -> PCollection[int]:
        """Join by block, and write each block's file."""
        return (
            {
                "block": blocks
                | "BlockByNumber"
                >> beam.Map(lambda block: (block.number, block)).with_output_types(
                    tuple[int, StagedBlock]
                ),
                "set_aside": self.set_aside
                | "MaskByNumber"
                >> beam.Map(lambda masked: (masked[0].number, masked[1])).with_output_types(
                    tuple[int, bytes]
                ),
                "verdict": self.verdicts
                | "VerdictByBlock"
                >> beam.FlatMap(_by_blocks).with_output_types(tuple[int, Verdict]),
            }
            | "JoinBlocks" >> beam.CoGroupByKey()
            | "WriteVerdicts"
            >> beam.ParDo(_WriteVerdicts(self.store, self.folder)).with_output_types(int)
        )


@dataclass
class TallyUnique(beam.PTransform):
    """How many texts stand for themselves in each block → a file with their sum, as JSON."""

    store: Store
    path: str

    def expand(self, counts: PCollection[int]) -> PCollection[str]:
        """Add up and write; that the file is there means that every verdict is."""
        store, path = self.store, self.path

        def write(total: int) -> str:
            store.write(path, json.dumps({"unique": total}).encode())
            return path

        return (
            counts
            | beam.CombineGlobally(sum).with_output_types(int)
            | "Write" >> beam.Map(write).with_output_types(str)
        )


# ── merging ─────────────────────────────────────────────────────────────────────────────────────


class Merged(NamedTuple):
    """What ``MergeCopies`` gives."""

    unique: PCollection[UniqueArticle]
    duplicates: PCollection[Duplicate]
    failures: PCollection[tuple[str, Failure]]
    """(failure id, failure) of those the dataset does not have."""
    ledger: PCollection[LedgerEntry]


def settle_article(
    article: Article,
    fingerprint: Fingerprint,
    verdict: Verdict,
    siblings: Iterable[tuple[str, Article]],
) -> UniqueArticle | Duplicate:
    """What becomes of an article by its verdict; ``siblings`` are (kind, copy)."""
    if verdict.kind in ("canonical", "revision"):
        return UniqueArticle(
            article=merge_article(article, siblings),
            article_id=fingerprint.article_id,
            revision=verdict.revision,
            content_hash=fingerprint.content_hash,
            fingerprint=fingerprint.signature,
            anchors=fingerprint.anchors,
            word_count=fingerprint.word_count,
            copies=verdict.copies,
            title_changed=verdict.title_changed,
            shingles_kept=verdict.shingles_kept,
        )
    return Duplicate(
        article=article,
        content_hash=fingerprint.content_hash,
        article_id=fingerprint.article_id,
        canonical_id=verdict.canonical_id,
        kind=verdict.kind,
        similarity=verdict.similarity,
        fingerprint=fingerprint.signature,
        anchors=fingerprint.anchors,
    )


class _Merge(beam.DoFn):
    DUPLICATE = "duplicate"
    FAILURE = "failure"
    LEDGER = "ledger"

    def __init__(self, store: Store, verdicts: str, blocks: Sequence[StagedBlock]) -> None:
        self._store = store
        self._verdicts = verdicts
        self._blocks = blocks

    def process(self, block: StagedBlock) -> Iterator[UniqueArticle | TaggedOutput]:
        verdicts = read_verdicts(self._store, self._verdicts, block)
        of_kind = self._failures if block.kind == "failures" else self._articles
        yield from of_kind(block, verdicts)

    def _articles(
        self, block: StagedBlock, verdicts: BlockVerdicts
    ) -> Iterator[UniqueArticle | TaggedOutput]:
        copies = bodiless_articles(self._store, self._blocks)
        texts = zip(
            read_articles(self._store, block),
            read_prints(self._store, block),
            strict=True,
        )
        for row, (article, fingerprint) in enumerate(texts):
            yield TaggedOutput(self.LEDGER, accounts.open_article(article))
            if row in verdicts.set_aside:
                yield TaggedOutput(self.LEDGER, accounts.close_unchanged(fingerprint))
                continue
            verdict = verdicts.of_row.get(row) or Verdict(
                ref_of(block.number, row), "canonical", fingerprint.article_id, 1.0
            )
            siblings = (
                (sibling.kind, copies.get(sibling.ref))
                for sibling in verdicts.siblings.get(row, ())
            )
            settled = settle_article(article, fingerprint, verdict, siblings)
            if isinstance(settled, UniqueArticle):
                yield settled
            else:
                yield TaggedOutput(self.DUPLICATE, settled)

    def _failures(self, block: StagedBlock, verdicts: BlockVerdicts) -> Iterator[TaggedOutput]:
        for row, (identity, failure) in enumerate(read_failures(self._store, block)):
            yield TaggedOutput(self.LEDGER, accounts.open_failure(failure))
            if row in verdicts.set_aside:
                yield TaggedOutput(self.LEDGER, accounts.close_recorded(failure))
            else:
                yield TaggedOutput(self.FAILURE, (identity, failure))


@dataclass
class MergeCopies(beam.PTransform):
    """``StagedBlock`` → what becomes of its articles and failures by their verdicts.

    ``verdicts`` is the folder with the verdicts of each block, and ``blocks`` are all blocks of
    articles of the run, for copies lie in others.
    """

    store: Store
    verdicts: str
    blocks: Sequence[StagedBlock]

    def expand(self, staged: PCollection[StagedBlock]) -> Merged:
        """Read each block with its verdicts; nothing is grouped."""
        parted = staged | beam.ParDo(
            _Merge(self.store, self.verdicts, self.blocks)
        ).with_output_types(
            UniqueArticle, duplicate=Duplicate, failure=tuple[str, Failure], ledger=LedgerEntry
        ).with_outputs(_Merge.DUPLICATE, _Merge.FAILURE, _Merge.LEDGER, main="unique")
        return Merged(
            parted.unique,
            parted[_Merge.DUPLICATE],
            parted[_Merge.FAILURE],
            parted[_Merge.LEDGER],
        )
