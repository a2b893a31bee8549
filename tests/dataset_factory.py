"""A small dataset of invented articles, written as a run writes it, for tests that read one.

The rows go through the project's own ``stage_*`` and ``write_files``, so that what the tests
read has the layout, the schema and the file format of a real run, without its models and minutes.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import Commit, DataFile
from schemas.arrow import TABLES, to_table
from schemas.records import (
    Article,
    DateHint,
    Duplicate,
    EnrichedArticle,
    Entity,
    Extraction,
    Failure,
    Provenance,
    PublicationDate,
    Topic,
    UniqueArticle,
)
from transforms.compaction import SORT_KEYS, sort_rows, write_files
from transforms.staging import failure_id
from transforms.storage import LocalStore
from transforms.writing import StagedRow, stage_article, stage_duplicate, stage_failure

RUN_ID = "20260630T120000Z-0a1b2c"
KILLED_RUN_ID = "20260701T120000Z-3d4e5f"
OBSERVED_AT = Timestamp.from_rfc3339("2026-06-30T12:00:00Z")

DATES: tuple[datetime.date | None, ...] = (
    datetime.date(1969, 7, 21),  # before the epoch, as an archive may well be
    datetime.date(2026, 3, 1),
    datetime.date(2026, 3, 2),
    None,
)
TOPICS = {
    "conflict-war-and-peace": ("medtop:16000000", "conflict, war and peace"),
    "health": ("medtop:07000000", "health"),
    "unclassified": None,
}
HOURS = (12, 0, 23)  # not in order: the files are sorted, the input is not

# Text that a reader may stumble over: other scripts, right to left, beyond the BMP, line breaks.
_TITLES = (
    'Ferry "Aurora" returns; crew unhurt',
    "В порту Мурманска открыли музей ледоколов",
    "مكتبة عائمة ترسو في البصرة",
    "長崎の坂道に電動椅子が走る",
    "Tortoise 🐢 crosses the line, 'last' by a week",
    "Μια γέφυρα για δύο χωριά",
)
_PLACES = ("Nowhereville", "Ödland", "無何有郷")


@dataclass(frozen=True)
class WrittenDataset:
    """A dataset on disk, with the records that its rows were made from."""

    root: Path
    articles: tuple[EnrichedArticle, ...]
    duplicates: tuple[Duplicate, ...]
    failures: tuple[Failure, ...]

    def ids(self, wanted: Callable[[datetime.date | None, str], bool]) -> list[str]:
        """Ids of the articles whose date and topic are wanted, sorted; one for each revision."""
        return sorted(
            article.unique.article_id
            for article in self.articles
            if wanted(publication_day(article), article.topic)
        )


def publication_day(enriched: EnrichedArticle) -> datetime.date | None:
    """The UTC day of publication, worked out apart from the code under test."""
    published = enriched.unique.article.published
    if published is None:
        return None
    return (
        datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=published.at.micros)
    ).date()


def make_dated_article(
    number: int, date: datetime.date | None, topic: str, hour: int = 12
) -> EnrichedArticle:
    """An article with every field filled, save what its date and topic leave empty."""
    title = _TITLES[number % len(_TITLES)]
    place = _PLACES[number % len(_PLACES)]
    body = f"{title}.\n\nIt began in {place}.\n\nIn {place} it ended, says report {number}."
    origin = f"/invented/dump-{number:03d}.txt#1"
    published = None
    if date is not None:
        at = Timestamp.from_rfc3339(f"{date.isoformat()}T{hour:02d}:59:59.999999Z")
        published = PublicationDate(at, "second", "json-ld")
    article = Article(
        origin=origin,
        page_origin=origin.partition("#")[0],
        source_uri=origin.partition("#")[0],
        body=body,
        observed_at=OBSERVED_AT,
        extraction=Extraction("text-dump", "newsbeam==0.0.0", 0.75, "utf-8", repaired=True),
        title=title,
        url=f"https://news.example/{number}?a=1&b=2",
        canonical_url=f"https://news.example/{number}",
        site="The Example",
        feed_url="https://news.example/feed",
        guid=f"tag:{number}",
        authors=("Ana Ñandú", "李 雷"),
        agency="XNA",
        dateline="Nowhereville",
        declared_language="en",
        description="What it is about.",
        image_url="https://news.example/picture.jpg",
        tags=("first tag", "second, with a comma"),
        section="World",
        published=published,
        hints=(DateHint("2026-02", "caption"), DateHint("2025", "notice")),
        rights="© The Example",
        provenance=(
            Provenance("published", "json-ld"),
            Provenance("authors", "sibling", origin="/invented/other.txt#2"),
        ),
    )
    unique = UniqueArticle(
        article=article,
        article_id=f"{number:032x}",
        revision=0,
        content_hash=f"{number:064x}",
        fingerprint=np.arange(128, dtype="<u4").tobytes(),
        anchors=np.arange(8, dtype="<u8").tobytes(),
        word_count=len(body.split()),
        copies=0,
    )
    code_and_name = TOPICS[topic]
    return EnrichedArticle(
        unique=unique,
        language="en",
        language_score=0.5,
        topic=topic,
        topics=(Topic(*code_and_name, topic, 0.75),) if code_and_name else (),
        entities=(
            Entity(
                name=place,
                type="place",
                count=2,
                id="geonames:0",
                offsets=(body.index(place), body.rindex(place)),
            ),
            Entity(name=title[:5], type="work", count=1, id=None, offsets=(0,)),
        ),
        entity_model="model==1",
        entity_note="a note",
        topic_model="model==1",
        topic_note="a note",
    )


def make_revision(of: EnrichedArticle, number: int) -> EnrichedArticle:
    """The next text of the same work, an hour later; ``number`` tells its text from others."""
    published = of.unique.article.published
    if published is not None:
        published = dataclasses.replace(published, at=published.at + 3600)
    article = dataclasses.replace(
        of.unique.article,
        origin=f"/invented/dump-{number:03d}.txt#1",
        body=f"{of.unique.article.body}\n\nThis report was updated.",
        published=published,
    )
    unique = dataclasses.replace(
        of.unique,
        article=article,
        revision=of.unique.revision + 1,
        content_hash=f"{number:064x}",
        shingles_kept=1.0,
    )
    return dataclasses.replace(of, unique=unique)


def make_bare_article(number: int) -> EnrichedArticle:
    """An article of which nothing is known but its text: every optional field is None or empty."""
    origin = f"/invented/bare-{number:03d}.txt"
    article = Article(
        origin=origin,
        page_origin=origin,
        source_uri=origin,
        body="Text.",
        observed_at=OBSERVED_AT,
        extraction=Extraction("text-dump", "newsbeam==0.0.0", 0.0, "utf-8"),
    )
    return EnrichedArticle(
        unique=UniqueArticle(article, f"{number:032x}", 0, f"{number:064x}", b"", b"", 1, 0),
        language=None,
        language_score=None,
        topic="unclassified",
        topics=(),
        entities=(),
        entity_model=None,
        entity_note=None,
        topic_model="model==1",
        topic_note=None,
    )


def make_copy(of: EnrichedArticle, number: int, kind: str) -> Duplicate:
    """A copy of an article, found in another file and published an hour after midnight."""
    origin = f"/invented/copy-{number:03d}.txt"
    article = Article(
        origin=origin,
        page_origin=origin,
        source_uri=origin,
        body=of.unique.article.body,
        observed_at=OBSERVED_AT,
        extraction=of.unique.article.extraction,
        title=of.unique.article.title,
        published=of.unique.article.published,
    )
    return Duplicate(
        article, of.unique.content_hash, f"{number:032x}", of.unique.article_id, kind, 0.9
    )


def write_rows(
    folder: str, rows: Iterable[StagedRow], root: Path, rows_per_group: int = 1_000
) -> Path:
    """Write one partition's file straight into a dataset; gives its path."""
    table = folder.partition("/")[0]
    ordered = sort_rows(to_table((row.row for row in rows), TABLES[table]), SORT_KEYS[table])
    groups = range(0, ordered.num_rows, rows_per_group)
    [written] = write_files(
        LocalStore(str(root.parent)),
        root.name,
        folder,
        lambda number: f"{RUN_ID}-{number:03d}.parquet",
        [ordered.slice(start, rows_per_group) for start in groups],
        table,
    )
    return root / written.path


def write_dataset(root: Path) -> WrittenDataset:
    """Write 38 articles in 12 partitions, their copies and two failures under ``root``.

    Three articles for each of four dates (one of them unknown) and three topics, one of which
    nothing is known but its text, and the second revision of an article that was copied. Under
    ``_newsbeam`` lies what a run that was killed left behind: a staged article that no reader may
    see.
    """
    places = [(date, topic, hour) for date in DATES for topic in TOPICS for hour in HOURS]
    articles = [make_dated_article(n, *place) for n, place in enumerate(places, start=1)]
    articles.append(make_bare_article(len(articles) + 1))
    kinds = ("exact", "near", "abridged")
    duplicated = articles[::3]
    duplicates = [
        make_copy(article, 1000 + number, kinds[number % 3])
        for number, article in enumerate(duplicated)
    ]
    failures = [
        Failure("rejected", "read", "empty", "The file is empty.", "/invented/e.txt",
                "/invented/e.txt", OBSERVED_AT),
        Failure("failed", "extract", "truncated", "It ends early.", "/invented/t.html.gz",
                "/invented/t.html.gz", OBSERVED_AT, b"\x1f\x8b\x00", "https://news.example/t"),
    ]  # fmt: skip

    articles.append(make_revision(duplicated[4], len(articles) + 1))

    folders: dict[str, list[StagedRow]] = defaultdict(list)
    staged = [stage_article(article, RUN_ID) for article in articles]
    staged += [stage_duplicate(duplicate, RUN_ID) for duplicate in duplicates]
    staged += [stage_failure((failure_id(failure), failure), RUN_ID) for failure in failures]
    for row in staged:
        folders[row.partition].append(row)
    files = [write_rows(folder, rows, root) for folder, rows in folders.items()]
    _write_manifest(root, Commit(1, "ingest", RUN_ID, files=_listed(root, files)), "commits")
    _leave_staged(root, articles[0])
    return WrittenDataset(root, tuple(articles), tuple(duplicates), tuple(failures))


def _listed(root: Path, files: Iterable[Path]) -> tuple[DataFile, ...]:
    """Files of a dataset as a manifest lists them."""
    return tuple(
        DataFile(
            str(file.relative_to(root)),
            pq.read_metadata(file).num_rows,
            file.stat().st_size,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in sorted(files)
    )


def _write_manifest(root: Path, commit: Commit, folder: str) -> None:
    manifest = root / "_newsbeam" / folder / commit.name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_bytes(commit.encode())


def _leave_staged(root: Path, article: EnrichedArticle) -> None:
    folder = f"_newsbeam/staging/{KILLED_RUN_ID}/files"
    row = stage_article(article, KILLED_RUN_ID)
    file = write_rows(row.partition, [row], root / folder)
    files = _listed(root / folder, [file])
    _write_manifest(root, Commit(2, "ingest", KILLED_RUN_ID, folder, files), "pending")
