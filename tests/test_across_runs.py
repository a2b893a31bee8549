"""What a run remembers of those before it: everything within the horizon, and no more of copies.

A calendar of runs, days and months apart, is played once by a clock that the tests set; each test
then looks at what became of one story of it. The horizon is the default, seven days.
"""

from __future__ import annotations

import datetime
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from near_copies import (
    VARIANTS,
    Seen,
    Story,
    archive,
    dump,
    edited,
    make_story,
    page,
    retitled,
    teaser,
    trimmed,
)

from pipelines.compact import compact
from pipelines.config import IngestConfig
from pipelines.dataset import local_dataset
from pipelines.run import RunReport, ingest
from pipelines.verify import verify

START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
HORIZON = 7 * DAY
NOTHING = datetime.timedelta()


@dataclass(frozen=True)
class Appearance:
    """A file as a run finds it."""

    after: datetime.timedelta
    """Since the first run."""
    name: str
    content: bytes


def told(number: int) -> Story:
    """The story of a number, published shortly before the first run."""
    return make_story(number, START - datetime.timedelta(minutes=number))


def url_of(name: str) -> str:
    return f"https://{name}.example/story"


def saved(after: datetime.timedelta, name: str, story: Story) -> Appearance:
    """A page of an address that follows from the file's name, which stays the same."""
    return Appearance(after, f"{name}.html", page(story, url_of(name)))


def seeded(word: str) -> random.Random:
    return random.Random(word)


def reworded(story: Story, share: float, word: str) -> Story:
    """The story with another choice of replaced words for each ``word``."""
    return edited(story, seeded(word), share)


def variant(sort: str, story: Story) -> Story:
    return {
        "exact": story,
        "near": reworded(story, 0.03, "near"),
        "abridged": trimmed(story, 0.5),
        "retitled": retitled(story, seeded("title")),
    }[sort]


KINDS = {"exact": "exact", "near": "near", "abridged": "abridged", "retitled": "exact"}
"""How a copy of each sort is labelled."""


def copies_of_each_kind() -> Iterator[Appearance]:
    """Story 10 to 13: a copy six days later, and one most of a year later."""
    for number, sort in enumerate(KINDS, start=10):
        yield saved(NOTHING, sort, told(number))
        yield saved(6 * DAY, f"{sort}-copy", variant(sort, told(number)))
        yield saved(300 * DAY, f"{sort}-far", variant(sort, told(number)))


def border() -> Iterator[Appearance]:
    """Story 20 to 23: copies of each sort at the horizon. Story 24 to 27: just beyond it."""
    for number, sort in enumerate(KINDS, start=20):
        yield saved(NOTHING, f"{sort}-at", told(number))
        yield saved(HORIZON, f"{sort}-at-copy", variant(sort, told(number)))
        yield saved(NOTHING, f"{sort}-beyond", told(number + 4))
        yield saved(HORIZON + SECOND, f"{sort}-beyond-copy", variant(sort, told(number + 4)))


def late() -> Iterator[Appearance]:
    """Story 28 and 29: copies that were seen before them, in archives that are read after them."""
    for number, name, before in ((28, "late", HORIZON), (29, "too-late", HORIZON + SECOND)):
        yield saved(NOTHING, name, told(number))
        copy = variant("near", told(number))
        seen = Seen(copy, url_of(f"{name}-copy"), START - before)
        # In no run that another test is about the horizon of: old texts make a run look further.
        yield Appearance(3 * DAY, f"{name}-copy.warc", archive([seen]))


def chains() -> Iterator[Appearance]:
    """Story 30: copies of the first text, each within the horizon of the one before it alone.

    Story 31: each text is a copy of the one before it, and the third is none of the first.
    """
    yield saved(NOTHING, "chain", told(30))
    yield saved(6 * DAY, "chain-copy", reworded(told(30), 0.03, "one"))
    yield saved(8 * DAY, "chain-copy-of-copy", reworded(told(30), 0.03, "two"))
    drifted = reworded(told(31), 0.1, "one")
    yield saved(NOTHING, "drift", told(31))
    yield saved(6 * DAY, "drift-copy", drifted)
    yield saved(8 * DAY, "drift-copy-of-copy", reworded(drifted, 0.1, "two"))


def teasers() -> Iterator[Appearance]:
    """Story 40: its teaser comes first. Story 41: its teaser comes later."""
    yield saved(NOTHING, "teaser-first", teaser(told(40)))
    yield saved(3 * DAY, "teaser-first-full", told(40))
    yield saved(NOTHING, "story-first", told(41))
    yield saved(3 * DAY, "story-first-teaser", teaser(told(41)))


def works() -> Iterator[Appearance]:
    """Story 50: changed twice. 51: with another title. 52: with a comma more. 53: no address."""
    first = told(50)
    second = reworded(first, 0.05, "second")
    yield saved(NOTHING, "changed", first)
    yield saved(3 * DAY, "changed", second)
    yield saved(300 * DAY, "changed", reworded(second, 0.05, "third"))
    yield saved(NOTHING, "renamed", told(51))
    yield saved(3 * DAY, "renamed", retitled(told(51), seeded("renamed")))
    yield saved(NOTHING, "comma", told(52))
    head, *rest = told(52).paragraphs
    corrected = replace(told(52), paragraphs=(head.replace(" ", ", ", 1), *rest))
    yield saved(3 * DAY, "comma", corrected)
    yield Appearance(NOTHING, "nowhere.txt", dump(told(53)))
    yield Appearance(300 * DAY, "nowhere-else.txt", dump(told(53)))


CALENDAR = (*copies_of_each_kind(), *border(), *late(), *chains(), *teasers(), *works())
AGAIN = 400 * DAY
"""When all files are read again, as they are by then."""
OF_DAY_7 = "news-of-day-7"


# ── playing it ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Diary:
    """What was played, and what came of it."""

    folder: Path
    reports: dict[datetime.timedelta, RunReport]
    """By when the run started, since the first."""

    @property
    def news(self) -> Path:
        """The dataset."""
        return self.folder / "news"


def run(folder: Path, after: datetime.timedelta, sources: Iterable[Path]) -> RunReport:
    config = IngestConfig(tuple(map(str, sources)), str(folder / "news"), workers=1)
    return ingest(config, clock=lambda: START + after)


def play_run(
    folder: Path, after: datetime.timedelta, appearances: Iterable[Appearance]
) -> RunReport:
    """Write the files that appear at a time into ``in``, and read them alone."""
    paths = []
    for one in appearances:
        if one.after == after:
            path = folder / "in" / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.content)
            paths.append(path)
    return run(folder, after, paths)


def play(folder: Path, appearances: Iterable[Appearance]) -> Diary:
    """A run at each time at which something appears."""
    listed = list(appearances)
    moments = sorted({one.after for one in listed})
    return Diary(folder, {after: play_run(folder, after, listed) for after in moments})


def rows(news: Path, table: str) -> list[dict[str, Any]]:
    return [
        row
        for file in sorted((news / table).glob("**/*.parquet"))
        for row in pq.ParquetFile(file).read().to_pylist()
    ]


def content(news: Path) -> dict[str, list[str]]:
    """The rows of all tables, without the run that wrote them, sorted."""
    return {
        table: sorted(
            repr(sorted((column, value) for column, value in row.items() if column != "run_id"))
            for row in rows(news, table)
        )
        for table in ("articles", "duplicates", "failures")
    }


def compact_now(news: Path) -> int:
    """Compact; gives how many partitions were rewritten."""
    dataset = local_dataset(str(news))
    with dataset.writing("test"):
        return compact(dataset).rewritten


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Diary:
    """The whole calendar, and at its end all files again; the dataset of day 7 is kept."""
    folder = tmp_path_factory.mktemp("diary")
    first = play(folder, [one for one in CALENDAR if one.after < 8 * DAY])
    shutil.copytree(folder / "news", folder / OF_DAY_7)
    later = play(folder, [one for one in CALENDAR if one.after >= 8 * DAY])
    again = run(folder, AGAIN, sorted((folder / "in").iterdir()))
    return Diary(folder, {**first.reports, **later.reports, AGAIN: again})


@dataclass(frozen=True)
class Became:
    """What became of the text at an address: its rows."""

    articles: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]


def became(diary: Diary, name: str) -> Became:
    """The rows that were made of a file."""
    return Became(
        *(
            [row for row in rows(diary.news, table) if Path(row["source_uri"]).stem == name]
            for table in ("articles", "duplicates")
        )
    )


def only_article(diary: Diary, name: str) -> dict[str, Any]:
    found = became(diary, name)
    assert (len(found.articles), len(found.duplicates)) == (1, 0)
    return found.articles[0]


def link(diary: Diary, name: str) -> tuple[str, str]:
    """(kind, id of the row it copies) of a file that became a copy."""
    found = became(diary, name)
    assert (len(found.articles), len(found.duplicates)) == (0, 1)
    return found.duplicates[0]["kind"], found.duplicates[0]["canonical_id"]


# ── the horizon ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sort", KINDS)
def test_a_copy_within_the_horizon_is_linked_to_what_an_earlier_run_wrote(
    diary: Diary, sort: str
) -> None:
    original = only_article(diary, sort)["article_id"]
    assert link(diary, f"{sort}-copy") == (KINDS[sort], original)


@pytest.mark.parametrize("sort", KINDS)
def test_a_copy_long_after_the_horizon_is_an_article_of_its_own(diary: Diary, sort: str) -> None:
    assert only_article(diary, f"{sort}-far")["copies"] == 0


@pytest.mark.parametrize("sort", KINDS)
def test_a_copy_as_old_as_the_horizon_is_linked(diary: Diary, sort: str) -> None:
    original = only_article(diary, f"{sort}-at")["article_id"]
    assert link(diary, f"{sort}-at-copy") == (KINDS[sort], original)


@pytest.mark.parametrize("sort", KINDS)
def test_a_copy_a_second_older_than_the_horizon_is_not(diary: Diary, sort: str) -> None:
    assert only_article(diary, f"{sort}-beyond-copy")["copies"] == 0


def test_a_copy_that_was_seen_before_but_is_read_later_is_linked(diary: Diary) -> None:
    assert link(diary, "late-copy") == ("near", only_article(diary, "late")["article_id"])


def test_a_copy_that_was_seen_too_long_before_is_not(diary: Diary) -> None:
    assert only_article(diary, "too-late-copy")["copies"] == 0


# ── copies of copies ────────────────────────────────────────────────────────────────────────────


def test_a_copy_is_linked_through_a_copy_to_a_row_older_than_the_horizon(diary: Diary) -> None:
    original = only_article(diary, "chain")["article_id"]
    assert link(diary, "chain-copy") == ("near", original)
    assert link(diary, "chain-copy-of-copy") == ("near", original)


def test_the_similarity_of_a_copy_of_a_copy_is_to_the_row_it_is_linked_to(diary: Diary) -> None:
    """Its text differs from the copy's by 6 % of the words, from the original's by 3 %."""
    [first] = became(diary, "chain-copy").duplicates
    [second] = became(diary, "chain-copy-of-copy").duplicates
    assert second["similarity"] == pytest.approx(first["similarity"], abs=0.05)


def test_small_steps_from_run_to_run_do_not_join_different_texts(diary: Diary) -> None:
    original = only_article(diary, "drift")["article_id"]
    assert link(diary, "drift-copy") == ("near", original)
    assert only_article(diary, "drift-copy-of-copy")["article_id"] != original


# ── parts of a text ─────────────────────────────────────────────────────────────────────────────


def test_a_full_story_after_its_teaser_is_an_article_of_its_own(diary: Diary) -> None:
    short = only_article(diary, "teaser-first")
    assert only_article(diary, "teaser-first-full")["word_count"] > short["word_count"]


def test_a_teaser_after_its_story_is_abridged(diary: Diary) -> None:
    original = only_article(diary, "story-first")["article_id"]
    assert link(diary, "story-first-teaser") == ("abridged", original)


# ── works that change ───────────────────────────────────────────────────────────────────────────


def revisions(diary: Diary, name: str) -> list[dict[str, Any]]:
    """The rows of a file that never became a copy, by revision; all of one work."""
    found = became(diary, name)
    assert not found.duplicates
    assert len({row["article_id"] for row in found.articles}) == 1
    return sorted(found.articles, key=lambda row: row["revision"])


def test_changed_texts_of_a_work_are_revisions_within_the_horizon_and_beyond(diary: Diary) -> None:
    seen = [(row["revision"], row["observed_at"] - START) for row in revisions(diary, "changed")]
    assert seen == [(0, NOTHING), (1, 3 * DAY), (2, 300 * DAY)]


def test_a_revision_says_how_much_of_the_text_it_keeps(diary: Diary) -> None:
    first, *changed = [row["changes"] for row in revisions(diary, "changed")]
    assert first is None
    assert [change["title"] for change in changed] == [False, False]
    assert all(0.7 < change["shingles_kept"] < 1 for change in changed)


def test_another_title_of_the_same_text_is_a_revision(diary: Diary) -> None:
    first, second = revisions(diary, "renamed")
    assert first["title"] != second["title"]
    assert (second["revision"], second["changes"]) == (1, {"title": True, "shingles_kept": 1.0})


def test_a_comma_more_is_no_change(diary: Diary) -> None:
    assert only_article(diary, "comma")["observed_at"] == START


def test_the_words_of_a_work_without_an_address_are_that_work_at_any_time(diary: Diary) -> None:
    original = only_article(diary, "nowhere")["article_id"]
    assert link(diary, "nowhere-else") == ("exact", original)


# ── the same files, and the same dataset ────────────────────────────────────────────────────────


def test_files_that_were_read_before_add_no_row_however_long_ago(diary: Diary) -> None:
    report = diary.reports[AGAIN]
    files = len(list((diary.folder / "in").iterdir()))
    assert (report.balance.units, report.count("unchanged")) == (files, files)
    assert report.files == []


def test_every_run_balances(diary: Diary) -> None:
    assert not any(report.balance.faults for report in diary.reports.values())


def faults(news: Path) -> dict[str, list[str]]:
    """What ``verify`` finds wrong, by check."""
    report = verify(local_dataset(str(news)))
    return {check.name: list(check.faults) for check in report.checks if check.fault_count}


def test_the_dataset_keeps_its_promises_at_the_end(diary: Diary) -> None:
    assert faults(diary.news) == {}


def test_nothing_but_articles_and_copies_was_made(diary: Diary) -> None:
    assert rows(diary.news, "failures") == []


def test_compaction_between_runs_changes_nothing(diary: Diary, tmp_path: Path) -> None:
    """The next run finds the same in fewer files: the chain's end and a canonical row in it."""
    folders = {name: tmp_path / name for name in ("as-it-was", "compacted")}
    for folder in folders.values():
        shutil.copytree(diary.folder / OF_DAY_7, folder / "news")
    assert compact_now(folders["compacted"] / "news") > 0
    appeared = [one.name for one in CALENDAR if one.after == 8 * DAY]
    for folder in folders.values():
        run(folder, 8 * DAY, [diary.folder / "in" / name for name in appeared])
    as_it_was, compacted = (content(folder / "news") for folder in folders.values())
    assert compacted == as_it_was


# ── a run a day ─────────────────────────────────────────────────────────────────────────────────

DAILY = ("same", "credited", "edited-3", "trimmed-50", "teaser", "retitled", "updated", "reordered")
"""What becomes of a story on the days that follow its first."""


def daily() -> Iterator[Seen]:
    """A copy of story 60 on each of ten days, of story 61 on two that lie eight days apart."""
    yield Seen(told(60), url_of("first"), START)
    for day in range(1, 10):
        name = DAILY[day % len(DAILY)]
        copy = VARIANTS[name](told(60), seeded(f"day {day}"))
        yield Seen(copy, url_of(f"copy-{day}"), START + day * DAY)
    yield Seen(told(61), url_of("alone"), START)
    yield Seen(told(61), url_of("alone-again"), START + 8 * DAY)
    for day in range(10):  # so that no day is without a story of its own
        yield Seen(told(70 + day), url_of(f"other-{day}"), START + day * DAY)


def play_archives(
    folder: Path, runs: Iterable[tuple[int, int]], *, compacts: bool = False
) -> dict[str, tuple[str, str, float]]:
    """A run for each range of days, over an archive of what was seen then.

    Gives for each address (the address of what stands for it, kind, similarity).
    """
    pages = list(daily())
    for first, end in runs:
        seen = [one for one in pages if START + first * DAY <= one.at < START + end * DAY]
        path = folder / f"days-{first}-{end}.warc"
        folder.mkdir(exist_ok=True)
        path.write_bytes(archive(seen))
        report = run(folder, (end - 1) * DAY, [path])
        assert not report.balance.faults
        if compacts:
            compact_now(folder / "news")
    assert faults(folder / "news") == {}
    articles = {row["article_id"]: row["url"] for row in rows(folder / "news", "articles")}
    clusters = {url: (url, "canonical", 1.0) for url in articles.values()}
    for row in rows(folder / "news", "duplicates"):
        original = articles[row["canonical_id"]]
        clusters[row["url"]] = (original, row["kind"], round(row["similarity"], 4))
    return clusters


@pytest.fixture(scope="module")
def a_run_a_day(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, str, float]]:
    folder = tmp_path_factory.mktemp("daily") / "runs"
    return play_archives(folder, [(day, day + 1) for day in range(10)])


@pytest.mark.slow
def test_a_story_copied_on_ten_days_is_one_cluster(
    a_run_a_day: dict[str, tuple[str, str, float]],
) -> None:
    """That of day 8 lies within the horizon of later copies alone, and so do those after it."""
    copies = {url: it for url, it in a_run_a_day.items() if "//copy-" in url}
    assert len(copies) == 9
    assert {original for original, _, _ in copies.values()} == {url_of("first")}
    kinds = Counter(kind for _, kind, _ in copies.values())
    assert set(kinds) == {"exact", "near", "abridged"}


@pytest.mark.slow
def test_a_copy_eight_days_later_without_any_between_is_an_article(
    a_run_a_day: dict[str, tuple[str, str, float]],
) -> None:
    again = url_of("alone-again")
    assert a_run_a_day[again] == (again, "canonical", 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "runs", [[(0, 10)], [(0, 5), (5, 10)], [(0, 1), (1, 9), (9, 10)]], ids=["one", "two", "three"]
)
def test_in_how_many_runs_it_was_seen_does_not_show_in_the_clusters(
    a_run_a_day: dict[str, tuple[str, str, float]], tmp_path: Path, runs: list[tuple[int, int]]
) -> None:
    assert play_archives(tmp_path / "runs", runs) == a_run_a_day


@pytest.mark.slow
def test_compaction_after_each_run_does_not_show_in_the_clusters(
    a_run_a_day: dict[str, tuple[str, str, float]], tmp_path: Path
) -> None:
    runs = [(day, day + 1) for day in range(10)]
    assert play_archives(tmp_path / "runs", runs, compacts=True) == a_run_a_day
