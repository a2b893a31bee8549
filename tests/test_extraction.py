"""Pages of every kind become articles or failures, in text that any column can hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.records import Article, Failure, FeedItem, Page
from transforms.extraction import extract_articles, without_unprintable

SEEDS = Path(__file__).resolve().parent.parent / "seeds"


def test_control_characters_and_half_surrogates_are_taken_out_of_texts(
    make_article: Callable[..., Article],
) -> None:
    dirty = make_article("bo\x00dy\ud83d", title="ti\x07tle", authors=("A\x1b",), tags=("t\udc00",))
    clean = without_unprintable(dirty)
    assert (clean.body, clean.title, clean.authors, clean.tags) == ("body", "title", ("A",), ("t",))


def test_tabs_and_line_breaks_are_kept(make_article: Callable[..., Article]) -> None:
    assert without_unprintable(make_article("a\tb\n\nc")).body == "a\tb\n\nc"


def test_what_tells_inputs_apart_is_left_alone(make_article: Callable[..., Article]) -> None:
    article = make_article("body", origin="a\x01.txt#1")
    assert without_unprintable(article).origin == "a\x01.txt#1"


def test_half_a_surrogate_in_json_does_no_harm(make_page: Callable[..., Page]) -> None:
    paragraph = "The council met on the quay and voted to keep the old ferry running. " * 8
    data = json.dumps(
        {"@type": "NewsArticle", "headline": "Ferry \ud83d stays", "author": "A\ud800"}
    )
    page = make_page(
        f'<html><head><script type="application/ld+json">{data}</script></head>'
        f"<body><article><p>{paragraph}</p></article></body></html>",
        kind="html",
    )
    [unit] = extract_articles(page)
    assert isinstance(unit, Article)
    assert unit.title
    unit.title.encode("utf-8")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfa" * 99, b"<html>"])
@pytest.mark.parametrize("kind", ["text", "html", "feed-item"])
def test_whatever_a_page_holds_something_comes_of_it(
    make_page: Callable[..., Page], content: bytes, kind: str
) -> None:
    item = FeedItem() if kind == "feed-item" else None
    units = extract_articles(make_page(content, kind=kind, item=item))
    assert units
    assert all(isinstance(unit, Failure) for unit in units)
