from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Article, Failure, FeedItem, Page, Provenance
from transforms.saved_pages import (
    MAX_PAYLOAD_BYTES,
    count_words,
    extract_feed_item,
    extract_page,
    feed_paragraphs,
    interstitial_sign,
    prose_share,
)

SEEN = Timestamp.from_rfc3339("2026-06-30T12:00:00Z")
URL = "https://www.news.example/city/bridge-reopens"
PARAGRAPHS = [
    "The old bridge over the river opened to traffic again on Monday, two years after a flood "
    "had washed away its middle arch and cut the town in two.",
    "Engineers tested the new arch with eleven lorries full of gravel, and the mayor walked "
    "across it first, together with the oldest and the youngest inhabitant.",
    "Buses will follow next week. The ferry, which carried some four thousand people a day in "
    "the meantime, goes back to the lake where it came from.",
]


def html(head: str = "", body: str | None = None, *, language: str = "") -> str:
    """A page in the shape of the real thing: menu, article, widgets, footer."""
    story = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
    main = body if body is not None else f"<h1>Bridge reopens</h1>{story}"
    return (
        f"<!DOCTYPE html><html{f' lang={language}' if language else ''}><head>{head}</head><body>"
        "<nav><a href='/'>Home</a> <a href='/sport'>Sport</a></nav>"
        f"<article>{main}</article>"
        "<aside><h3>Most read</h3><ul><li><a href='/1'>Ferry sold</a></li></ul></aside>"
        "<footer>© Example Media</footer></body></html>"
    )


def json_ld(*nodes: dict[str, Any]) -> str:
    value = nodes[0] if len(nodes) == 1 else list(nodes)
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def meta(**values: str) -> str:
    return "".join(
        f'<meta property="{name.replace("__", ":")}" content="{value}">'
        for name, value in values.items()
    )


def page(content: str | bytes, url: str | None = URL, charset: str | None = None) -> Page:
    return Page(
        origin="/pages/a.html",
        source_uri="/pages/a.html",
        kind="html",
        content=content.encode() if isinstance(content, str) else content,
        observed_at=SEEN,
        charset=charset,
        url=url,
    )


def article(content: str | bytes, url: str | None = URL, charset: str | None = None) -> Article:
    (result,) = extract_page(page(content, url, charset))
    assert isinstance(result, Article), result
    return result


def failure(content: str | bytes) -> Failure:
    (result,) = extract_page(page(content))
    assert isinstance(result, Failure), result
    return result


def source_of(result: Article, field: str) -> str | None:
    return next((item.source for item in result.provenance if item.field == field), None)


STORY = {
    "@context": "https://schema.org",
    "@type": "NewsArticle",
    "headline": "Bridge reopens after two years",
    "datePublished": "2026-03-02T08:30:00+01:00",
    "dateModified": "2026-03-05T10:00:00+01:00",
    "author": [
        {"@type": "Person", "name": "Ana Example"},
        {"@type": "Person", "name": "Bo Sample"},
    ],
    "publisher": {"@type": "Organization", "name": "The Daily Example"},
    "image": {"@type": "ImageObject", "url": "/img/bridge.jpg"},
    "articleSection": "City",
    "keywords": ["bridges", "traffic", "Bridges"],
    "inLanguage": "en-GB",
    "description": "The old bridge is open again.",
    "license": "https://creativecommons.org/licenses/by/4.0/",
}


# ── body ────────────────────────────────────────────────────────────────────────────────────────


def test_the_body_is_the_paragraphs_without_the_furniture_of_the_page() -> None:
    body = article(html()).body
    assert body.split("\n\n")[-3:] == PARAGRAPHS
    assert "Most read" not in body
    assert "Example Media" not in body


def test_an_article_says_where_it_comes_from_and_how_it_was_obtained() -> None:
    result = article(html())
    assert result.origin == result.page_origin == result.source_uri == "/pages/a.html"
    assert result.extraction.method == "trafilatura"
    assert result.extraction.versions.startswith("trafilatura==")
    assert result.extraction.quality > 0.9
    assert (result.extraction.encoding, result.extraction.repaired) == ("utf-8", False)


def test_a_page_in_a_legacy_encoding_is_read_by_what_it_states() -> None:
    content = html("<meta charset=windows-1252>").replace("bridge over", "“Brücke” over")
    result = article(content.encode("cp1252"))
    assert "The old “Brücke” over" in result.body
    assert result.extraction.encoding == "windows-1252"


def test_words_are_counted_in_scripts_without_spaces_too() -> None:
    assert count_words("It’s 20 minutes to well-known places.") == 6
    assert count_words("市議会は予算案を可決した") == 6


def test_prose_is_what_stands_in_sentences() -> None:
    assert prose_share(PARAGRAPHS) == 1.0
    assert prose_share(["Home", "Sport", "Contact us"]) == 0.0
    assert prose_share([]) == 0.0


# ── no article ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Just a moment...", "Enable JavaScript and cookies to continue."),
        ("news.example", "Checking if you are human. This may take a few seconds."),
        ("Access Denied", "You don't have permission to access this page on this server."),
        ("Before you continue", "We and our partners use cookies to measure our audience."),
        (
            "Bridge reopens",
            "Subscribe to continue reading this article. Already a subscriber? Log in.",
        ),
    ],
)
def test_a_page_before_the_page_is_rejected_as_such(title: str, text: str) -> None:
    content = f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>"
    rejected = failure(content)
    assert (rejected.kind, rejected.reason) == ("rejected", "challenge-page")
    assert rejected.payload == content.encode()


def test_an_article_about_cookies_is_no_consent_page() -> None:
    about = [f"{paragraph} We use cookies." for paragraph in PARAGRAPHS]
    assert interstitial_sign("Why sites ask about cookies", about, "") is None


@pytest.mark.parametrize(
    "content",
    [
        html("", "<h1>Sport</h1><ul><li><a href=/1>Ferry sold</a></li></ul>"),
        html("", "<p>Too short a text for an article.</p>"),
        b"",
    ],
)
def test_a_page_without_article_is_rejected(content: str | bytes) -> None:
    rejected = failure(content)
    assert (rejected.kind, rejected.stage, rejected.reason) == ("rejected", "extract", "no-article")


def test_a_page_that_is_no_text_fails_as_undecodable() -> None:
    assert failure(b"<html>\0\0\0\0").reason == "undecodable"


def test_the_payload_of_a_failure_is_bounded() -> None:
    assert len(failure(b"<p>" + b" " * 2 * MAX_PAYLOAD_BYTES).payload) == MAX_PAYLOAD_BYTES


@pytest.mark.parametrize(
    "content",
    [
        "<div>" * 20_000 + "deep",
        "<b><i>" * 10_000,
        html('<script type="application/ld+json">' + "[" * 100_000 + "</script>"),
        html("<title>" + "a - " * 50_000 + "</title>"),
        html(json_ld({**STORY, "headline": {"@value": 7}, "author": 5, "image": [None, {}]})),
        html(meta(og__title="", og__image="http://[", article__published_time="soon")),
        "<![CDATA[x]]>",
        "<",
    ],
)
def test_hostile_markup_gives_an_article_or_a_failure(content: str) -> None:
    assert len(extract_page(page(content))) == 1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, len(html(json_ld(STORY)))), st.binary(max_size=10))
def test_damaged_pages_give_one_value(at: int, noise: bytes) -> None:
    content = html(json_ld(STORY)).encode()
    results = extract_page(page(content[:at] + noise + content[at + len(noise) :]))
    assert len(results) == 1


# ── feed items ──────────────────────────────────────────────────────────────────────────────────


def feed_page(content: str, **about: Any) -> Page:
    return Page(
        origin="/feeds/a.xml#n-1",
        source_uri="/feeds/a.xml",
        kind="feed-item",
        content=content.encode(),
        observed_at=SEEN,
        charset="utf-8",
        url=URL,
        feed_url="https://www.news.example/feed",
        item=FeedItem(guid="n-1", title="Bridge reopens", **about),
    )


def feed_article(content: str, **about: Any) -> Article:
    (result,) = extract_feed_item(feed_page(content, **about))
    assert isinstance(result, Article), result
    return result


def test_a_feed_item_becomes_an_article() -> None:
    result = feed_article(
        "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS),
        authors=("By Ana Example",),
        published="2026-03-02T07:30:00Z",
        tags=("bridges",),
        feed_title="Daily Example",
        language="en",
    )
    assert result.body == "\n\n".join(PARAGRAPHS)
    assert (result.guid, result.title, result.site) == ("n-1", "Bridge reopens", "Daily Example")
    assert result.authors == ("Ana Example",)
    assert result.published is not None
    assert result.published.source == "feed"
    assert result.extraction.method == "feed"
    assert Provenance("title", "feed") in result.provenance


def test_a_teaser_of_an_article_s_length_is_one() -> None:
    assert feed_article(PARAGRAPHS[0]).body == PARAGRAPHS[0]


def test_a_short_teaser_is_rejected() -> None:
    (result,) = extract_feed_item(feed_page("The old bridge is open again."))
    assert isinstance(result, Failure)
    assert (result.kind, result.reason) == ("rejected", "teaser-only")
    assert "6 words" in result.message


def test_the_date_in_an_item_s_url_dates_it_where_the_feed_does_not() -> None:
    item = feed_page(PARAGRAPHS[0])
    dated = Page(**{**vars(item), "url": "https://www.news.example/2026/03/02/bridge"})
    (result,) = extract_feed_item(dated)
    assert isinstance(result, Article)
    assert source_of(result, "published") == "url"


@pytest.mark.parametrize(
    ("markup", "paragraphs"),
    [
        ("<p>One.</p><p>Two,<br>three.</p>", ["One.", "Two,", "three."]),
        ("Bare <b>bold</b> text", ["Bare bold text"]),
        ("<ul><li>One</li><li>Two</li></ul>", ["One", "Two"]),
        ("<p>One.</p><p>The post Bridge appeared first on Example.</p>", ["One."]),
        ("<p>One.</p><a href='/1'>Continue reading →</a>", ["One."]),
        ("<p>One.</p><p>Continue reading</p>", ["One."]),
        ("<figure><img><figcaption>Photo</figcaption></figure><p>One.</p>", ["One."]),
        ("<script>x()</script>One.<iframe>no</iframe> Two.", ["One. Two."]),
        ("1 &lt; 2 &amp; 3", ["1 < 2 & 3"]),
        ("", []),
    ],
)
def test_paragraphs_of_feed_markup(markup: str, paragraphs: list[str]) -> None:
    assert feed_paragraphs(markup) == paragraphs


def test_a_page_of_another_kind_is_a_mistake_of_the_caller(
    make_page: Callable[..., Page],
) -> None:
    with pytest.raises(ValueError, match="holds no feed item"):
        extract_feed_item(make_page("words"))
