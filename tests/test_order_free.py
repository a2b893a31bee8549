"""The same inputs in any order, in any slices, on any number of workers give the same dataset.

A few stories and what became of them are written to files, which are named and grouped anew each
time, so that they are read in another order, and copies lie in other slices. What names a file
apart, each row has to be the same, and with that each cluster, its canonical row, and its kinds.
"""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from near_copies import VARIANTS, Seen, archive, dump, edited, make_story, page, with_notice

from pipelines.config import IngestConfig
from pipelines.run import ingest

NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
_NAMES_A_FILE = frozenset({"origin", "source_uri", "run_id"})


@dataclass(frozen=True)
class Text:
    """One of the texts that are ingested. Its time of publication is no other text's."""

    seen: Seen
    form: str
    """``dump`` or ``page``, seen by the run; or ``record``, seen when its archive saw it."""


@dataclass(frozen=True)
class Arrangement:
    """How texts come to a run."""

    seed: int
    """Of the order, the files' names, and which records share an archive."""
    slices: int
    workers: int = 1

    def __str__(self) -> str:
        return f"order {self.seed}, {self.slices} slices, {self.workers} workers"


def make_texts(seed: int, stories: int, variants: int) -> list[Text]:
    """Stories with so many variants each, and now and then a change at the same address."""
    chance = random.Random(f"texts {seed}")
    return [
        replace(text, seen=replace(text.seen, story=replace(text.seen.story, published=published)))
        for number, text in enumerate(_texts(seed, stories, variants, chance))
        for published in [NOW - 12 * DAY - datetime.timedelta(minutes=number)]
    ]


def _texts(seed: int, stories: int, variants: int, chance: random.Random) -> Iterator[Text]:
    for number in range(stories):
        story = make_story(1_000 * seed + number, sentences=9)
        if number % 2:  # stories that have nothing else in common
            story = with_notice(story)
        url = f"https://first.example/{number}"
        yield Text(Seen(story, url, NOW), chance.choice(("dump", "page")))
        names = chance.sample(sorted(VARIANTS), variants)
        for name in ("same", "retitled", "teaser") if number % 4 == 3 else names:
            copy = VARIANTS[name](story, chance)
            at = NOW - chance.randrange(10 * 24 * 60) * datetime.timedelta(minutes=1)
            seen = Seen(copy, f"https://{name}.example/{number}", at)
            yield Text(seen, chance.choice(("dump", "page", "record")))
        if number % 3 == 0:  # read on two days at one address
            changed = edited(story, chance, 0.05)
            for days, version in ((9, story), (4, changed)):
                yield Text(
                    Seen(version, f"https://twice.example/{number}", NOW - days * DAY), "record"
                )


def write_files(folder: Path, texts: list[Text], arrangement: Arrangement) -> list[Path]:
    """Name and group what is to be read; gives the files."""
    chance = random.Random(f"arrangement {arrangement.seed}")
    shuffled = chance.sample(texts, len(texts))
    contents = [
        (".txt", dump(text.seen.story))
        if text.form == "dump"
        else (".html", page(text.seen.story, text.seen.url))
        for text in shuffled
        if text.form != "record"
    ]
    records = [text.seen for text in shuffled if text.form == "record"]
    archives = chance.randint(2, 5)
    contents += [(".warc", archive(records[start::archives])) for start in range(archives)]
    chance.shuffle(contents)
    folder.mkdir()
    paths = []
    for number, (suffix, content) in enumerate(contents):
        path = folder / f"{number:03d}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths


Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a run made of the texts."""

    articles: list[Row]
    duplicates: list[Row]

    def fates(self) -> dict[datetime.datetime, tuple[Any, ...]]:
        """By the time of publication, which tells texts apart: what became of each.

        That is what it is, the text that stands for it, how similar it is, and what was counted.
        """
        # Of a work with several texts the last one stands for it, whichever it is.
        by_id = {
            row["article_id"]: row["published_at"]
            for row in sorted(self.articles, key=lambda row: row["revision"])
        }
        fates: dict[datetime.datetime, tuple[Any, ...]] = {}
        for row in self.articles:
            fate = ("article", row["article_id"], row["revision"], row["copies"], row["changes"])
            fates[row["published_at"]] = fate
        for row in self.duplicates:
            fate = (row["kind"], by_id[row["canonical_id"]], row["similarity"])
            fates[row["published_at"]] = fate
        return fates

    def rows(self) -> list[str]:
        """All that is in the dataset, but for what names a file or the run."""
        return sorted(map(_nameless, [*self.articles, *self.duplicates]))


def _nameless(row: Row) -> str:
    kept = {column: value for column, value in row.items() if column not in _NAMES_A_FILE}
    facts = kept.get("provenance") or []
    kept["provenance"] = sorted((fact["field"], fact["source"]) for fact in facts)
    return repr(sorted(kept.items()))


def read_table(news: Path, table: str) -> list[Row]:
    return [
        row
        for file in sorted((news / table).glob("**/*.parquet"))
        for row in pq.ParquetFile(file).read().to_pylist()
    ]


def ingested(folder: Path, texts: list[Text], arrangement: Arrangement) -> Result:
    """Ingest the texts in an arrangement."""
    folder.mkdir(parents=True)
    paths = write_files(folder / "in", texts, arrangement)
    config = IngestConfig(
        (str(folder / "in"),),
        str(folder / "news"),
        workers=arrangement.workers,
        slice_files=-(-len(paths) // arrangement.slices),
    )
    report = ingest(config, clock=lambda: NOW)
    assert not report.balance.faults
    assert report.slices == arrangement.slices
    assert not read_table(folder / "news", "failures")
    return Result(*(read_table(folder / "news", table) for table in ("articles", "duplicates")))


def assert_same(result: Result, expected: Result) -> None:
    """First what tells most when it fails."""
    assert result.fates() == expected.fates()
    assert result.rows() == expected.rows()


FEW = make_texts(seed=1, stories=8, variants=5)
MANY = {seed: make_texts(seed, stories=9, variants=7) for seed in (2, 3, 4)}


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("in-one-go") / "run"
    return ingested(folder, FEW, Arrangement(seed=0, slices=1))


def test_each_text_becomes_one_row(in_one_go: Result) -> None:
    assert len(in_one_go.articles) + len(in_one_go.duplicates) == len(FEW)
    assert len(in_one_go.fates()) == len(FEW)


def test_there_are_copies_of_every_kind_and_revisions(in_one_go: Result) -> None:
    kinds = Counter(row["kind"] for row in in_one_go.duplicates)
    assert set(kinds) == {"exact", "near", "abridged"}
    assert any(row["revision"] for row in in_one_go.articles)
    assert len(in_one_go.articles) < len(FEW) / 2


@pytest.mark.parametrize("arrangement", [Arrangement(1, 2), Arrangement(2, 7)], ids=str)
def test_neither_order_nor_slices_show_in_the_dataset(
    in_one_go: Result, tmp_path: Path, arrangement: Arrangement
) -> None:
    assert_same(ingested(tmp_path / "run", FEW, arrangement), in_one_go)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_neither_order_nor_slices_nor_workers_show_in_the_dataset(
    tmp_path: Path, seed: int
) -> None:
    texts = MANY[seed]
    expected = ingested(tmp_path / "expected", texts, Arrangement(0, 1))
    arrangements = [
        *(Arrangement(10 * seed + slices, slices, 1) for slices in (1, 2, 7)),
        Arrangement(10 * seed + 8, (1, 2, 7)[seed % 3], 2),
    ]
    for number, arrangement in enumerate(arrangements):
        assert_same(ingested(tmp_path / str(number), texts, arrangement), expected)
