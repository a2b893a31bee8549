"""The five text dumps that came as the first real input, where the shared folder has them.

Their text is not ours: what is expected is stated by structure, or read from the files.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from apache_beam.utils.timestamp import Timestamp

from schemas.records import Article, Page
from transforms.segmentation import segment_dump

SEEDS = Path(__file__).parents[1] / "../shared/seeds"
OBSERVED_AT = Timestamp.from_rfc3339("2026-11-20T07:00:00Z")
CRUMBS = {"TT", "20", "X", "ADVERTISEMENT", "Editor Picks"}

pytestmark = pytest.mark.skipif(
    not SEEDS.is_dir(), reason="the shared folder with the seed dumps is not beside this checkout"
)


def text_of(prefix: str) -> str:
    (path,) = SEEDS.glob(f"{prefix}_*.txt")
    return path.read_text(encoding="utf-8")


@cache
def articles_of(prefix: str) -> tuple[Article, ...]:
    page = Page(prefix, prefix, "text", b"", OBSERVED_AT)
    found = segment_dump(page, text_of(prefix), "utf-8", False)
    assert all(isinstance(one, Article) for one in found), found
    return tuple(one for one in found if isinstance(one, Article))


ALL = ("000", "001", "002", "003", "004")


def lines_of(prefix: str) -> list[str]:
    return [line.strip() for line in text_of(prefix).split("\n") if line.strip()]


def captions_of(prefix: str) -> set[str]:
    """Lines printed twice in a row or closed by a picture's credit."""
    lines = lines_of(prefix)
    twice = {one for one, two in pairwise(lines) if one == two}
    return {line for line in twice | set(lines) if line in twice or line.endswith("(AFP)")} - {
        article.title or "" for article in articles_of(prefix)
    }


@pytest.mark.parametrize(
    ("prefix", "count"), [("000", 2), ("001", 1), ("002", 2), ("003", 1), ("004", 2)]
)
def test_each_dump_holds_so_many_articles(prefix: str, count: int) -> None:
    assert len(articles_of(prefix)) == count


@pytest.mark.parametrize(
    ("prefix", "title_line_numbers"),
    [("000", [1, 41]), ("001", [3]), ("002", [1, 46]), ("003", [2]), ("004", [1, 35])],
)
def test_titles_are_the_headlines(prefix: str, title_line_numbers: list[int]) -> None:
    lines = text_of(prefix).split("\n")
    expected = [lines[number - 1].strip() for number in title_line_numbers]
    assert [article.title for article in articles_of(prefix)] == expected


@pytest.mark.parametrize(
    ("prefix", "spans"),
    [
        ("000", [(13, 37), (53, 85)]),
        ("001", [(11, 35)]),
        ("002", [(12, 42), (57, 101)]),
        ("003", [(4, 48)]),
        ("004", [(12, 31), (46, 60)]),
    ],
)
def test_bodies_are_the_story_and_lose_no_paragraph(
    prefix: str, spans: list[tuple[int, int]]
) -> None:
    lines = text_of(prefix).split("\n")
    expected = [
        [line.strip() for line in lines[first - 1 : last] if line.strip()] for first, last in spans
    ]
    assert [article.body.split("\n\n") for article in articles_of(prefix)] == expected


@pytest.mark.parametrize("prefix", ALL)
def test_no_caption_crumb_or_headline_is_in_a_body(prefix: str) -> None:
    captions = captions_of(prefix)
    for article in articles_of(prefix):
        paragraphs = set(article.body.split("\n\n"))
        assert not paragraphs & captions
        assert not paragraphs & CRUMBS
        assert article.title not in paragraphs
        assert not any("rights reserved" in paragraph for paragraph in paragraphs)


def test_the_agency_story_is_dated_by_its_dateline() -> None:
    (article,) = articles_of("003")
    assert article.published is not None
    assert article.published.at.to_rfc3339() == "2025-03-14T00:00:00Z"
    assert (article.published.precision, article.published.source) == ("day", "dateline")
    assert (article.agency, article.dateline) == ("AFP", "Baghdad")
    assert article.site == "SpaceWar.com"
    assert article.rights is not None


def test_the_signed_story_is_dated_by_its_date_line() -> None:
    (article,) = articles_of("001")
    assert article.published is not None
    assert article.published.at.to_rfc3339() == "2020-01-14T00:00:00Z"
    assert (article.published.precision, article.published.source) == ("day", "date-line")
    assert article.authors == ("Ibrahim Hamidi", "Asharq Al-Awsat")
    assert article.dateline == "London, Moscow"


def test_a_caption_alone_leaves_a_story_undated_with_a_hint() -> None:
    meeting, killing = articles_of("000")
    assert meeting.published is None
    assert [(hint.date, hint.source) for hint in meeting.hints] == [("2019-11-11", "caption")]
    assert killing.published is None
    assert ("2025-03-14", "caption") in [(hint.date, hint.source) for hint in killing.hints]


@pytest.mark.parametrize("prefix", ["002", "004"])
def test_texts_without_evidence_stay_undated(prefix: str) -> None:
    assert all(article.published is None for article in articles_of(prefix))


def test_one_text_stands_in_two_dumps() -> None:
    assert articles_of("000")[0].body == articles_of("001")[0].body
    assert articles_of("000")[0].title == articles_of("001")[0].title


def test_all_dumps_in_one_file_give_the_same_articles() -> None:
    text = "\n\n\n\n".join(map(text_of, ALL))
    page = Page("all", "all", "text", b"", OBSERVED_AT)
    found = [one for one in segment_dump(page, text, "utf-8", False) if isinstance(one, Article)]
    expected = [article for prefix in ALL for article in articles_of(prefix)]
    assert [one.body for one in found] == [one.body for one in expected]
    assert [one.published for one in found] == [one.published for one in expected]
