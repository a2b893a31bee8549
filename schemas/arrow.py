"""The tables on disk: Arrow schemas written by hand, versioned, and only ever grown.

Each field carries its meaning in its metadata (key ``description``), from which the tables in the
documentation are checked. ``date`` and ``topic`` are not in the files: they are Hive partition
columns, which readers take from the path.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from apache_beam.utils.timestamp import Timestamp

from schemas.records import (
    REASONS,
    Article,
    Duplicate,
    EnrichedArticle,
    Failure,
    Page,
    UniqueArticle,
)

SCHEMA_VERSION = 3
"""Raised when a field is added. No field is ever removed, renamed or retyped.

Version 2 added to ``failures`` what replaying them needs and leaves: ``source_uri``, ``page``,
``content_bytes``, ``resolved_at``, ``resolved_by``. Version 3 added what copies are found again by
in later runs: to ``articles`` ``anchors`` and ``changes``; to ``duplicates`` ``article_id``,
``fingerprint`` and ``anchors``."""

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""Hive's name for the partition of NULL."""

_TIME = pa.timestamp("us", tz="UTC")


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


_EXTRACTION = pa.struct(
    [
        pa.field("method", pa.string()),
        pa.field("versions", pa.string()),
        pa.field("quality", pa.float32()),
        pa.field("encoding", pa.string()),
        pa.field("repaired", pa.bool_()),
    ]
)
_PROVENANCE = pa.list_(
    pa.struct(
        [
            pa.field("field", pa.string()),
            pa.field("source", pa.string()),
            pa.field("origin", pa.string()),
        ]
    )
)
_HINTS = pa.list_(pa.struct([pa.field("date", pa.string()), pa.field("source", pa.string())]))
_TOPICS = pa.list_(
    pa.struct(
        [
            pa.field("code", pa.string()),
            pa.field("name", pa.string()),
            pa.field("score", pa.float32()),
        ]
    )
)
_ENTITIES = pa.list_(
    pa.struct(
        [
            pa.field("name", pa.string()),
            pa.field("type", pa.string()),
            pa.field("count", pa.int32()),
            pa.field("id", pa.string()),
            pa.field("offsets", pa.list_(pa.int32())),
        ]
    )
)
_ENRICHMENT = pa.struct(
    [
        pa.field("entity_model", pa.string()),
        pa.field("entity_note", pa.string()),
        pa.field("topic_model", pa.string()),
        pa.field("topic_note", pa.string()),
    ]
)

_CHANGES = pa.struct([pa.field("title", pa.bool_()), pa.field("shingles_kept", pa.float32())])

_PAGE = pa.struct(
    [
        pa.field("kind", pa.string()),
        pa.field("charset", pa.string()),
        pa.field("feed_url", pa.string()),
        pa.field("item", pa.string()),
    ]
)

_RUN_ID = _field("run_id", pa.string(), "The run that wrote the row.", nullable=False)
_OBSERVED_AT = _field(
    "observed_at",
    _TIME,
    "When the text was seen: the archive record's date, else the start of the run.",
    nullable=False,
)
_ARTICLE_FIELDS = [
    _field("origin", pa.string(), "File and ordinal, archive record or feed item.", nullable=False),
    _field("source_uri", pa.string(), "The file it was read from.", nullable=False),
    _field("url", pa.string(), "Address the page was fetched from."),
    _field("canonical_url", pa.string(), "Address the page states as its own."),
    _field("source", pa.string(), "Publishing site: the name it gives itself, else its host."),
    _field("feed_url", pa.string(), "Feed the item came from."),
    _field("title", pa.string(), "Headline, without the site's name."),
    _field("authors", pa.list_(pa.string()), "Names as credited, in order."),
    _field("agency", pa.string(), "News agency credited with the text."),
    _field("dateline", pa.string(), "Place the dateline names."),
]
_PUBLISHED_FIELDS = [
    _field("published_at", _TIME, "Publication, UTC; start of the stated period; null if unknown."),
    _field("published_precision", pa.string(), "year, month, day, hour, minute or second."),
    _field("published_source", pa.string(), "Evidence for the date; see the data model."),
]
_CONTENT_HASH = _field(
    "content_hash",
    pa.string(),
    "SHA-256 of the normalised body: equal for exact copies.",
    nullable=False,
)
_FINGERPRINT = _field("fingerprint", pa.binary(), "MinHash signature: 128 little-endian uint32.")
_ANCHORS = _field(
    "anchors", pa.binary(), "Winnowed hashes of runs of eight words: little-endian uint64."
)


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    metadata = {"newsbeam.table": table, "newsbeam.schema_version": str(SCHEMA_VERSION)}
    return pa.schema(fields, metadata=metadata)


ARTICLES = _schema(
    "articles",
    [
        _field(
            "article_id",
            pa.string(),
            "Identity of the work: of its canonical URL or guid, else of its text.",
            nullable=False,
        ),
        _field(
            "revision",
            pa.int32(),
            "0 for the first text of a work, then counting its changed texts.",
            nullable=False,
        ),
        *_ARTICLE_FIELDS,
        _field("language", pa.string(), "ISO 639-1 code; null where the text does not tell."),
        _field("language_score", pa.float32(), "Probability of the language, 0 to 1."),
        _field("body", pa.string(), "Paragraphs, separated by blank lines.", nullable=False),
        _field("description", pa.string(), "Standfirst or the page's own summary."),
        _field("image_url", pa.string(), "Lead image."),
        _field("tags", pa.list_(pa.string()), "Keywords the page or feed gives."),
        _field("section", pa.string(), "Section of the site."),
        *_PUBLISHED_FIELDS,
        _field("published_hints", _HINTS, "Dates too weak to date by: {date, source}."),
        _OBSERVED_AT,
        _field("topics", _TOPICS, "IPTC Media Topics with scores, best first."),
        _field("entities", _ENTITIES, "What the body names; offsets are characters of body."),
        _field("word_count", pa.int32(), "Words in body.", nullable=False),
        _CONTENT_HASH,
        _FINGERPRINT,
        _field("copies", pa.int32(), "Copies found by the run that wrote the row.", nullable=False),
        _field("rights", pa.string(), "Copyright notice found on the page."),
        _field("extraction", _EXTRACTION, "How the body was obtained, and how well."),
        _field("enrichment", _ENRICHMENT, "Models behind entities and topics; why none, if none."),
        _field("provenance", _PROVENANCE, "Where each field's value comes from."),
        _RUN_ID,
        _ANCHORS,
        _field(
            "changes",
            _CHANGES,
            "For a revision: whether the title changed, and the share of the text before that it "
            "kept.",
        ),
    ],
)

DUPLICATES = _schema(
    "duplicates",
    [
        _field("canonical_id", pa.string(), "article_id of the row it copies.", nullable=False),
        _field("kind", pa.string(), "exact, near or abridged.", nullable=False),
        _field(
            "similarity",
            pa.float32(),
            "Jaccard similarity to the text it copies; containment where abridged.",
            nullable=False,
        ),
        *_ARTICLE_FIELDS,
        _field("body", pa.string(), "Paragraphs, separated by blank lines.", nullable=False),
        *_PUBLISHED_FIELDS,
        _OBSERVED_AT,
        _CONTENT_HASH,
        _RUN_ID,
        _field("article_id", pa.string(), "Identity of the copy as a work of its own."),
        _FINGERPRINT,
        _ANCHORS,
    ],
)

FAILURES = _schema(
    "failures",
    [
        _field("failure_id", pa.string(), "Identity: equal when it happens again.", nullable=False),
        _field("kind", pa.string(), "rejected (no article in it) or failed.", nullable=False),
        _field("stage", pa.string(), "poll, fetch, read or extract.", nullable=False),
        _field("reason", pa.string(), "Slug; see the list in the data model.", nullable=False),
        _field("message", pa.string(), "One sentence for a person.", nullable=False),
        _field("origin", pa.string(), "What it happened to.", nullable=False),
        _field("url", pa.string(), "Its address, where it has one."),
        _field("payload", pa.binary(), "Content as read, up to a bound, to try again with."),
        _OBSERVED_AT,
        _RUN_ID,
        _field("source_uri", pa.string(), "The file it was read from."),
        _field("page", _PAGE, "What is known of the page beside its content; null if not read."),
        _field("content_bytes", pa.int64(), "Size of the whole content, if it was read."),
        _field("resolved_at", _TIME, "When a replay made articles of it; null while it is open."),
        _field("resolved_by", pa.string(), "The run of that replay."),
    ],
)

TABLES: dict[str, pa.Schema] = {
    "articles": ARTICLES,
    "duplicates": DUPLICATES,
    "failures": FAILURES,
}


_COLUMN_OF_FIELD = {"published": "published_at", "site": "source"}
"""Fields of ``Article`` whose column has another name."""


def _time(at: Timestamp | None) -> datetime.datetime | None:
    if at is None:
        return None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return epoch + datetime.timedelta(microseconds=int(at.micros))


def _article_columns(article: Article) -> dict[str, Any]:
    published = article.published
    return {
        "origin": article.origin,
        "source_uri": article.source_uri,
        "url": article.url,
        "canonical_url": article.canonical_url,
        "source": article.site,
        "feed_url": article.feed_url,
        "title": article.title,
        "authors": list(article.authors),
        "agency": article.agency,
        "dateline": article.dateline,
        "body": article.body,
        "published_at": _time(published.at) if published else None,
        "published_precision": published.precision if published else None,
        "published_source": published.source if published else None,
        "observed_at": _time(article.observed_at),
    }


def article_row(enriched: EnrichedArticle, run_id: str) -> dict[str, Any]:
    """The row of ``articles`` for an enriched article."""
    unique = enriched.unique
    article = unique.article
    return {
        **_article_columns(article),
        "article_id": unique.article_id,
        "revision": unique.revision,
        "language": enriched.language,
        "language_score": enriched.language_score,
        "description": article.description,
        "image_url": article.image_url,
        "tags": list(article.tags),
        "section": article.section,
        "published_hints": [{"date": hint.date, "source": hint.source} for hint in article.hints],
        "topics": [
            {"code": topic.code, "name": topic.name, "score": topic.score}
            for topic in enriched.topics
        ],
        "entities": [
            {
                "name": entity.name,
                "type": entity.type,
                "count": entity.count,
                "id": entity.id,
                "offsets": list(entity.offsets),
            }
            for entity in enriched.entities
        ],
        "word_count": unique.word_count,
        "content_hash": unique.content_hash,
        "fingerprint": unique.fingerprint or None,
        "copies": unique.copies,
        "rights": article.rights,
        "extraction": {
            "method": article.extraction.method,
            "versions": article.extraction.versions,
            "quality": article.extraction.quality,
            "encoding": article.extraction.encoding,
            "repaired": article.extraction.repaired,
        },
        "enrichment": {
            "entity_model": enriched.entity_model,
            "entity_note": enriched.entity_note,
            "topic_model": enriched.topic_model,
            "topic_note": enriched.topic_note,
        },
        "provenance": [
            {
                "field": _COLUMN_OF_FIELD.get(fact.field, fact.field),
                "source": fact.source,
                "origin": fact.origin,
            }
            for fact in article.provenance
        ],
        "run_id": run_id,
        "anchors": unique.anchors,
        "changes": _changes_column(unique),
    }


def _changes_column(unique: UniqueArticle) -> dict[str, Any] | None:
    if not unique.revision:
        return None
    kept = unique.shingles_kept if unique.shingles_kept >= 0 else None
    return {"title": unique.title_changed, "shingles_kept": kept}


def duplicate_row(duplicate: Duplicate, run_id: str) -> dict[str, Any]:
    """The row of ``duplicates`` for a copy."""
    return {
        **_article_columns(duplicate.article),
        "canonical_id": duplicate.canonical_id,
        "kind": duplicate.kind,
        "similarity": duplicate.similarity,
        "content_hash": duplicate.content_hash,
        "run_id": run_id,
        "article_id": duplicate.article_id,
        "fingerprint": duplicate.fingerprint or None,
        "anchors": duplicate.anchors,
    }


def failure_row(failure: Failure, failure_id: str, run_id: str) -> dict[str, Any]:
    """The row of ``failures`` for a rejection or failure.

    Raises:
        ValueError: if the reason is none of ``REASONS``.
    """
    if failure.reason not in REASONS:
        raise ValueError(f"{failure.reason!r} is no documented reason ({failure.origin})")
    return {
        "failure_id": failure_id,
        "kind": failure.kind,
        "stage": failure.stage,
        "reason": failure.reason,
        "message": failure.message,
        "origin": failure.origin,
        "url": failure.url,
        "payload": failure.payload or None,
        "observed_at": _time(failure.observed_at),
        "run_id": run_id,
        "source_uri": failure.source_uri,
        "page": _page_column(failure.page) if failure.page else None,
        "content_bytes": failure.content_bytes if failure.content_bytes >= 0 else None,
        "resolved_at": None,
        "resolved_by": None,
    }


def _page_column(page: Page) -> dict[str, Any]:
    item = json.dumps(dataclasses.asdict(page.item), ensure_ascii=False) if page.item else None
    return {"kind": page.kind, "charset": page.charset, "feed_url": page.feed_url, "item": item}


def date_partition(at: Timestamp | None) -> str:
    """The value of the ``date`` partition for a point in time: its UTC day, or Hive's null."""
    moment = _time(at)
    return moment.date().isoformat() if moment else NULL_PARTITION


def to_table(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table of exactly this schema; a missing column is null."""
    return pa.Table.from_pylist(list(rows), schema=schema)
