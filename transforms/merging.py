"""Numbering the texts of one work, and merging what copies know.

``NumberRevisions``: ``Verdict`` and what the dataset has of the same works → ``Verdict`` with
revisions and what they changed (``works`` has the rule). ``WriteVerdicts`` keeps them, a file for
each block. ``MergeCopies``: ``StagedBlock`` with its verdicts → ``UniqueArticle`` for each
canonical text or revision, ``Duplicate`` for each copy. Bounded; no failures.

A canonical row is merged with its copies, not merely preferred to them (guarantee 6): a field it
lacks is taken from the copy that states it best, and ``provenance`` says from which. Another
revision of the same work is no copy: nothing is taken from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.pvalue import DoOutputsTuple, PCollection, TaggedOutput

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
from transforms.dataset_rows import print_rows
from transforms.measures import NAMESPACE
from transforms.page_metadata import name_key
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
from transforms.verdicts import (
    BlockVerdicts,
    read_verdicts,
    stands_for_itself,
    write_verdicts,
)
from transforms.works import (
    WORK,
    Revision,
    WorkText,
    is_title_changed,
    number_texts,
    pack_title_key,
    shingles_kept,
    unpack_works,
)

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


def _standing(copy: tuple[str, Article], agencies: Set[str]) -> tuple[object, ...]:
    """By what copies are asked for a field, the least first; ``agencies`` are those credited."""
    kind, article = copy
    published = article.published
    is_dated = published is not None and published.source != _FIRST_SEEN
    return (
        kind not in _WHOLE_KINDS,
        article.extraction.repaired,
        -sum(bool(getattr(article, field)) for field in _MERGED_FIELDS) - is_dated,
        name_key(article.site or "") not in agencies,
        not is_dated,
        published.at.micros if published is not None and is_dated else 0,
        article.observed_at.micros,
        -article.extraction.quality,
        article.origin,
    )


def merge_article(canonical: Article, copies: Iterable[tuple[str, Article]]) -> Article:
    """The canonical article with the fields it lacks taken from its copies.

    ``copies`` are (kind, article); in what order they come makes no difference. Each field is taken
    from the first copy that has it, in this order: whole texts before cut ones, and before texts of
    which bytes were damaged; those that know most of these fields; originality: the agency that is
    credited with the text, the earliest published, the earliest observed; the share of prose; last
    the origin, so that no tie is left to chance.

    A date is taken from the copy that is dated best: whole texts first, then by ``DATE_TRUST``,
    precision and time. It keeps its precision and gets the source ``sibling``; the day on which an
    item was first seen gives way to it, and where no copy has a better one keeps its own source.
    """
    known = list(copies)
    articles = [canonical, *(article for _, article in known)]
    agencies = {name_key(article.agency) for article in articles if article.agency}
    ordered = sorted(known, key=lambda copy: _standing(copy, agencies))
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
    by_date = sorted(known, key=lambda copy: (copy[0] not in _WHOLE_KINDS, _date_rank(copy[1])))
    dated = _date_of_copies(canonical, [copy for _, copy in by_date])
    if dated is not None:
        taken["published"], origin = dated
        provenance.append(Provenance("published", "sibling", origin))
    if not taken:
        return canonical
    kept = (entry for entry in canonical.provenance if entry.field not in taken)
    return replace(
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


# ── numbering ───────────────────────────────────────────────────────────────────────────────────


def number_revisions(
    texts: Iterable[tuple[Verdict, Fingerprint]],
    known: Iterable[Revision] = (),
    copies: Iterable[Verdict] = (),
) -> Iterator[tuple[Verdict, Revision | None]]:
    """Number the texts of one work; with each verdict the revision that its own came after.

    ``texts`` are those that stand for themselves, ``known`` the revisions that the dataset has, and
    ``copies`` the verdicts of copies of the texts. A text that turns out to be one which the work
    has already (``works``) becomes an exact copy of it, and so do its copies in their own way.
    """
    verdicts: dict[int, Verdict] = {}
    keys = []
    for verdict, fingerprint in texts:
        verdicts[verdict.ref] = replace(verdict, canonical_id=fingerprint.article_id)
        keys.append(_work_text(verdict.ref, fingerprint))
    found = list(number_texts(keys, known))
    stands_for = {numbered.ref: numbered.revision.ref for numbered in found}
    counts = dict.fromkeys(stands_for.values(), 0)
    for ref, own in stands_for.items():
        counts[own] += verdicts[ref].copies + (ref != own)
    for ref, revision, before in found:
        verdict = verdicts[ref]
        if revision.ref != ref:
            yield Verdict(ref, "exact", verdict.canonical_id, 1.0, 0, revision.ref), None
            continue
        yield (
            replace(
                verdict,
                kind="revision" if before else "canonical",
                similarity=verdict.similarity if before else 1.0,
                copies=counts[ref],
                canonical_ref=-1,
                revision=revision.number,
                title_changed=before is not None and is_title_changed(before, revision),
            ),
            before,
        )
    for copy in copies:
        yield replace(copy, canonical_ref=stands_for[copy.canonical_ref]), None


def _work_text(ref: int, fingerprint: Fingerprint) -> WorkText:
    return WorkText(
        ref=ref,
        content=bytes.fromhex(fingerprint.content_hash[:32]),
        title=pack_title_key(fingerprint.title_key),
        observed_micros=int(fingerprint.observed_at.micros),
        word_count=fingerprint.word_count,
        origin=fingerprint.origin,
    )


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
    rows = np.frombuffer(works, WORK)
    shards = np.frombuffer(works, np.uint8)[:: WORK.itemsize] % WORK_SHARDS
    for shard in np.unique(shards).tolist():
        yield shard, rows[shards == shard].tobytes()


class _FindContested(beam.DoFn):
    """Texts of works that have several → (ref, article id); what the dataset has of the works."""

    KNOWN = "known"

    def process(
        self, joined: tuple[int, dict[str, Iterable[Any]]]
    ) -> Iterator[tuple[int, str] | TaggedOutput]:
        _, sides = joined
        known: dict[bytes, list[bytes]] = {}
        for packed in sides["known"]:
            for start in range(0, len(packed), WORK.itemsize):
                row = packed[start : start + WORK.itemsize]
                known.setdefault(row[:16], []).append(row)
        refs: dict[bytes, list[int]] = {}
        for packed_refs, packed_ids in sides["texts"]:
            for number, ref in enumerate(np.frombuffer(packed_refs, "<i8").tolist()):
                refs.setdefault(packed_ids[16 * number : 16 * number + 16], []).append(ref)
        for identity, texts in refs.items():
            if identity in known:
                rows = b"".join(known[identity])
                yield TaggedOutput(self.KNOWN, (identity.hex(), rows))
            elif len(texts) < 2:
                continue
            for ref in texts:
                yield ref, identity.hex()


class _Contest(beam.DoFn):
    """A text with its verdict, its work, and its copies → by work, if the work has several texts.

    A copy of a text of the run goes with that text, and not by itself.
    """

    SETTLED = "settled"

    def process(
        self, joined: tuple[int, dict[str, Iterable[Any]]]
    ) -> Iterator[tuple[str, Verdict] | TaggedOutput]:
        ref, sides = joined
        copies: Iterable[Verdict] = sides["copies"]
        verdict: Verdict | None = next(iter(sides["verdict"]), None)
        identity: str | None = next(iter(sides["contest"]), None)
        if identity is not None and (verdict is None or stands_for_itself(verdict)):
            yield identity, verdict or Verdict(ref, "canonical", identity, 1.0)
            for copy in copies:
                yield identity, copy
            return
        if verdict is not None and not _is_copy_in_run(verdict):
            yield TaggedOutput(self.SETTLED, verdict)
        for copy in copies:
            yield TaggedOutput(self.SETTLED, copy)


def _is_copy_in_run(verdict: Verdict) -> bool:
    return verdict.canonical_ref >= 0 and not stands_for_itself(verdict)


class _Number(beam.DoFn):
    """The texts of a work → verdicts.

    Those of which the revision before is a row of the dataset are sent on by its file.
    """

    OF_DATASET = "of_dataset"

    def __init__(self, store: Store) -> None:
        self._store = store

    def start_bundle(self) -> None:
        # Not one for each work: on an object store each opens a block with two requests.
        self._prints: RowCache[Fingerprint] | None = None

    def process(
        self, work: tuple[str, dict[str, Iterable[Any]]], blocks: Sequence[StagedBlock]
    ) -> Iterator[Verdict | TaggedOutput]:
        prints = self._prints = self._prints or compared_prints(self._store, blocks)
        _, sides = work
        verdicts: list[Verdict] = list(sides["texts"])
        numbered = number_revisions(
            (
                (verdict, prints.get(verdict.ref))
                for verdict in verdicts
                if stands_for_itself(verdict)
            ),
            unpack_works(sides["known"]),
            (verdict for verdict in verdicts if not stands_for_itself(verdict)),
        )
        for verdict, before in numbered:
            if before is None:
                yield verdict
            elif before.place is None:
                was, now = prints.get(before.ref), prints.get(verdict.ref)
                yield replace(verdict, shingles_kept=shingles_kept(was.shingles, now.shingles))
            else:
                place = before.place
                yield TaggedOutput(self.OF_DATASET, (place.file, (place.row, verdict)))


class _CompareWithRows(beam.DoFn):
    """Verdicts of revisions that come after rows of one file → with what they kept of those.

    By file, so that none of its row groups is read twice.
    """

    def __init__(self, store: Store, files: Sequence[str]) -> None:
        self._store = store
        self._files = files

    def start_bundle(self) -> None:
        self._prints: RowCache[Fingerprint] | None = None

    def process(
        self, file: tuple[int, Iterable[tuple[int, Verdict]]], blocks: Sequence[StagedBlock]
    ) -> Iterator[Verdict]:
        number, revised = file
        after = dict(revised)  # a row is followed by one text: that of the next number
        rows = sorted(after)
        prints = self._prints = self._prints or compared_prints(self._store, blocks)
        printed = print_rows(self._store, self._files[number], "articles", rows)
        for row, before in zip(rows, printed, strict=True):
            verdict = after[row]
            now = prints.get(verdict.ref)
            yield replace(verdict, shingles_kept=shingles_kept(before.shingles, now.shingles))


@dataclass
class NumberRevisions(beam.PTransform):
    """``Verdict`` → ``Verdict``, numbered where a work has several texts.

    Args:
        store: where the run and the dataset are.
        compared: the run's blocks with the mask of texts to leave out. A text without a verdict
            may get one here.
        works: packed rows of the dataset with an article id of the run (``works.WORK``).
        blocks: all blocks of the run.
        files: paths of the dataset's files by the numbers in ``works``.
    """

    store: Store
    compared: PCollection[tuple[StagedBlock, bytes]]
    works: PCollection[bytes]
    blocks: PCollection[StagedBlock]
    files: Sequence[str]

    def expand(self, verdicts: PCollection[Verdict]) -> PCollection[Verdict]:
        """Find the works with several texts, number those, and compare each with the one before."""
        blocks = beam.pvalue.AsList(self.blocks)
        contested = self._contested()
        parted = (
            {
                "verdict": verdicts
                | "VerdictByRef"
                >> beam.Map(lambda verdict: (verdict.ref, verdict)).with_output_types(
                    tuple[int, Verdict]
                ),
                "copies": verdicts
                | "Copies" >> beam.Filter(_is_copy_in_run)
                | "CopyByCanonical"
                >> beam.Map(lambda verdict: (verdict.canonical_ref, verdict)).with_output_types(
                    tuple[int, Verdict]
                ),
                "contest": contested.texts,
            }
            | "JoinVerdicts" >> beam.CoGroupByKey()
            | "Contest"
            >> beam.ParDo(_Contest())
            .with_output_types(tuple[str, Verdict], settled=Verdict)
            .with_outputs(_Contest.SETTLED, main="contested")
        )
        numbered = (
            {"texts": parted.contested, "known": contested[_FindContested.KNOWN]}
            | "JoinWorks" >> beam.CoGroupByKey()
            | "Number"
            >> beam.ParDo(_Number(self.store), blocks=blocks)
            .with_output_types(Verdict, of_dataset=tuple[int, tuple[int, Verdict]])
            .with_outputs(_Number.OF_DATASET, main="numbered")
        )
        compared = (
            numbered[_Number.OF_DATASET]
            | "ByFile" >> beam.GroupByKey()
            | "CompareWithRows"
            >> beam.ParDo(
                _CompareWithRows(self.store, self.files), blocks=blocks
            ).with_output_types(Verdict)
        )
        return (
            parted[_Contest.SETTLED],
            numbered.numbered,
            compared,
        ) | "Numbered" >> beam.Flatten()

    def _contested(self) -> DoOutputsTuple:
        """Texts of works with several, and what the dataset has of those works."""
        return (
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
            | "JoinWorkTexts" >> beam.CoGroupByKey()
            | "FindContested"
            >> beam.ParDo(_FindContested())
            .with_output_types(tuple[int, str], known=tuple[str, bytes])
            .with_outputs(_FindContested.KNOWN, main="texts")
        )


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
                yield replace(block, number=place)

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
                if block_and_row(verdict.ref)[0] == block.number and not stands_for_itself(verdict)
            )
            yield block.rows - len(rows) - own if block.kind == "articles" else 0


def _by_blocks(verdict: Verdict) -> Iterator[tuple[int, Verdict]]:
    own = block_and_row(verdict.ref)[0]
    yield own, verdict
    if _is_copy_in_run(verdict):
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
    if stands_for_itself(verdict):
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


_ARTICLES_UNCHANGED = Metrics.counter(NAMESPACE, "articles_unchanged")
_ARTICLES_MERGED = Metrics.counter(NAMESPACE, "articles_merged")
_COPIES_MERGED = Metrics.counter(NAMESPACE, "copies_merged")


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
                _ARTICLES_UNCHANGED.inc()
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
                _ARTICLES_MERGED.inc()
                yield settled
            else:
                _COPIES_MERGED.inc()
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
