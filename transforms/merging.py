"""Merging what copies know, and numbering the texts of one work.

In: ``Article``, its ``Assignment``, and the dataset's ``KnownRow``. Out: ``UniqueArticle`` for each
canonical text or revision, ``Duplicate`` for each copy. Bounded; no failures.

A canonical row is merged with its copies, not merely preferred to them (guarantee 6): a field it
lacks is taken from the copy that states it best, and ``provenance`` says from which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.records import (
    Article,
    Assignment,
    Duplicate,
    Fingerprint,
    KnownRow,
    Provenance,
    PublicationDate,
    UniqueArticle,
)

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
    date taken over keeps its precision and gets the source ``sibling``.
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
    if canonical.published is None:
        for _, copy in ordered:
            if copy.published is not None and copy.published.at <= canonical.observed_at:
                taken["published"] = PublicationDate(
                    copy.published.at, copy.published.precision, "sibling"
                )
                provenance.append(Provenance("published", "sibling", copy.origin))
                break
    if not taken:
        return canonical
    return dataclasses.replace(
        canonical,
        **taken,  # type: ignore[arg-type]
        provenance=(*canonical.provenance, *provenance),
    )


def number_revisions(
    articles: Iterable[UniqueArticle], known: Iterable[KnownRow]
) -> Iterator[UniqueArticle | Duplicate]:
    """Number the texts of one work, after those the dataset already holds.

    Texts of one ``article_id`` are ordered by when they were observed; of those seen at one time
    the fuller is the later, so that the newest revision is the one to read. A text the work already
    has is not a new revision but an exact copy.
    """
    published = [row for row in known if row.canonical]
    hashes = {row.content_hash for row in published}
    revision = max((row.revision for row in published), default=-1)
    ordered = sorted(
        articles,
        key=lambda unique: (
            unique.article.observed_at.micros,
            unique.word_count,
            unique.content_hash,
            unique.article.origin,
        ),
    )
    for unique in ordered:
        if unique.content_hash in hashes:
            yield Duplicate(
                article=unique.article,
                content_hash=unique.content_hash,
                article_id=unique.article_id,
                canonical_id=unique.article_id,
                kind="exact",
                similarity=1.0,
            )
            continue
        hashes.add(unique.content_hash)
        revision += 1
        yield dataclasses.replace(unique, revision=revision)


class Merged(NamedTuple):
    """What ``MergeCopies`` gives."""

    unique: PCollection[UniqueArticle]
    duplicates: PCollection[Duplicate]


class _Part(beam.DoFn):
    """Send each text to where it is settled: copies to the writer and to their canonical text."""

    SIBLING = "sibling"
    DUPLICATE = "duplicate"

    def process(
        self, joined: tuple[str, dict[str, Sequence[object]]]
    ) -> Iterator[tuple[str, UniqueArticle] | TaggedOutput]:
        origin, sides = joined
        # An unchanged re-read was set aside before the comparison: it has no assignment.
        articles = sides["article"] if list(sides["assignment"]) else []
        for article, assignment, fingerprint in zip(
            articles, sides["assignment"], sides["fingerprint"], strict=True
        ):
            assert isinstance(article, Article)
            assert isinstance(assignment, Assignment)
            assert isinstance(fingerprint, Fingerprint)
            if assignment.kind in ("canonical", "revision"):
                yield (
                    origin,
                    UniqueArticle(
                        article=article,
                        article_id=fingerprint.article_id,
                        revision=0,
                        content_hash=fingerprint.content_hash,
                        fingerprint=fingerprint.signature,
                        word_count=fingerprint.word_count,
                        copies=assignment.copies,
                    ),
                )
            else:
                yield TaggedOutput(
                    self.DUPLICATE,
                    Duplicate(
                        article=article,
                        content_hash=fingerprint.content_hash,
                        article_id=fingerprint.article_id,
                        canonical_id=assignment.canonical_id,
                        kind=assignment.kind,
                        similarity=assignment.similarity,
                    ),
                )
            if assignment.canonical_origin != origin and assignment.kind != "revision":
                known = dataclasses.replace(article, body="")
                yield TaggedOutput(
                    self.SIBLING, (assignment.canonical_origin, (assignment.kind, known))
                )


def _merge(joined: tuple[str, dict[str, Sequence[object]]]) -> Iterator[tuple[str, UniqueArticle]]:
    _, sides = joined
    siblings: Sequence[tuple[str, Article]] = list(sides["sibling"])  # type: ignore[arg-type]
    for unique in sides["unique"]:
        assert isinstance(unique, UniqueArticle)
        article = merge_article(unique.article, siblings)
        yield unique.article_id, dataclasses.replace(unique, article=article)


class _NumberRevisions(beam.DoFn):
    DUPLICATE = "duplicate"

    def process(
        self, joined: tuple[str, dict[str, Sequence[object]]]
    ) -> Iterator[UniqueArticle | TaggedOutput]:
        _, sides = joined
        numbered = number_revisions(
            sides["unique"],  # type: ignore[arg-type]
            sides["known"],  # type: ignore[arg-type]
        )
        for text in numbered:
            if isinstance(text, UniqueArticle):
                yield text
            else:
                yield TaggedOutput(self.DUPLICATE, text)


@dataclass
class MergeCopies(beam.PTransform):
    """``Article`` with its ``Fingerprint`` and ``Assignment`` → ``UniqueArticle``, ``Duplicate``.

    ``known`` are the dataset's rows, whose revisions are counted on.
    """

    assignments: PCollection[Assignment]
    fingerprints: PCollection[Fingerprint]
    known: PCollection[KnownRow]

    def expand(self, articles: PCollection[Article]) -> Merged:
        """Join by origin, hand what copies know to their canonical text, number by work."""
        parted = (
            {
                "article": articles
                | "ArticleByOrigin"
                >> beam.Map(lambda article: (article.origin, article)).with_output_types(
                    tuple[str, Article]
                ),
                "assignment": self.assignments
                | "AssignmentByOrigin"
                >> beam.Map(lambda assignment: (assignment.origin, assignment)).with_output_types(
                    tuple[str, Assignment]
                ),
                "fingerprint": self.fingerprints
                | "FingerprintByOrigin"
                >> beam.Map(lambda fp: (fp.origin, fp)).with_output_types(tuple[str, Fingerprint]),
            }
            | "JoinAssignments" >> beam.CoGroupByKey()
            | "Part"
            >> beam.ParDo(_Part())
            .with_output_types(
                tuple[str, UniqueArticle],
                sibling=tuple[str, tuple[str, Article]],
                duplicate=Duplicate,
            )
            .with_outputs(_Part.SIBLING, _Part.DUPLICATE, main="unique")
        )
        numbered = (
            {
                "unique": {"unique": parted.unique, "sibling": parted[_Part.SIBLING]}
                | "JoinSiblings" >> beam.CoGroupByKey()
                | "Merge" >> beam.FlatMap(_merge).with_output_types(tuple[str, UniqueArticle]),
                "known": self.known
                | "KnownByWork"
                >> beam.Map(lambda row: (row.article_id, row)).with_output_types(
                    tuple[str, KnownRow]
                ),
            }
            | "JoinWorks" >> beam.CoGroupByKey()
            | "Number"
            >> beam.ParDo(_NumberRevisions())
            .with_output_types(UniqueArticle, duplicate=Duplicate)
            .with_outputs(_NumberRevisions.DUPLICATE, main="unique")
        )
        duplicates = (parted[_Part.DUPLICATE], numbered[_NumberRevisions.DUPLICATE])
        return Merged(numbered.unique, duplicates | "Duplicates" >> beam.Flatten())
