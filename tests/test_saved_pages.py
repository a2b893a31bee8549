from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_factory import PARAGRAPHS, SEEN, URL, html, json_ld, meta
from trafilatura.utils import load_html

from schemas.records import Article, Failure, FeedItem, Page, Provenance
from transforms.page_metadata import read_metadata
from transforms.saved_pages import (
    MAX_PAYLOAD_BYTES,
    clean_body,
    extract_feed_item,
    extract_page,
    feed_paragraphs,
    is_furniture,
    link_list_sign,
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


def day_of(result: Article) -> str | None:
    return result.published.at.to_rfc3339()[:10] if result.published else None


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


STORY_MARKUP = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)


@pytest.mark.parametrize(
    "above",
    [
        "<h1>Bridge reopens</h1>",
        "<h1>Bridge reopens</h1><p>By Ana Example</p>",
        "<h1>Bridge reopens</h1><p>By Ana Example | 2 March 2026</p>",
        "<h1>Bridge reopens</h1><p>2 March 2026, 08:30</p><p>By Ana Example and Bo Sample</p>",
        "<h1>Bridge reopens</h1><p>Reading time: 3 minutes</p><p>BRIDGE REOPENS</p>",
        "<h1>Bridge reopens</h1><p>Foto: Bo Sample/Riverside Pictures</p>",
    ],
)
def test_title_byline_date_and_credit_above_the_body_are_no_body(above: str) -> None:
    assert article(html("", above + STORY_MARKUP)).body.split("\n\n") == PARAGRAPHS


def test_a_standfirst_stays_and_what_stands_between_it_and_the_body_goes() -> None:
    standfirst = "Two years after the flood, buses and lorries cross the river in the town again."
    above = f"<h1>Bridge reopens</h1><p>{standfirst}</p><p>By Ana Example</p>"
    result = article(html(meta(og__description=standfirst), above + STORY_MARKUP))
    assert result.body.split("\n\n") == [standfirst, *PARAGRAPHS]


def test_a_byline_above_the_body_names_the_authors_where_nothing_else_does() -> None:
    above = "<p><b>Bridge reopens</b></p><p>By Ana Example, 2 March 2026</p>"
    result = article(html("<title>Bridge reopens</title>", above + STORY_MARKUP))
    assert (result.authors, source_of(result, "authors")) == (("Ana Example",), "byline")
    assert day_of(result) == "2026-03-02"
    assert source_of(result, "published") == "date-line"


def test_a_byline_above_the_body_does_not_change_stated_authors() -> None:
    above = "<h1>Bridge reopens</h1><p>By Cy Other</p>"
    result = article(html(json_ld(STORY), above + STORY_MARKUP))
    assert result.authors == ("Ana Example", "Bo Sample")


def test_the_dateline_of_a_dispatch_is_read_and_taken_off() -> None:
    dispatch = STORY_MARKUP.replace("<p>", "<p>RIVERTON, March 2 (Reuters) - ", 1)
    result = article(html("", f"<h1>Bridge reopens</h1>{dispatch}"))
    assert result.body.startswith("The old bridge over the river")
    assert (result.dateline, source_of(result, "dateline")) == ("RIVERTON", "dateline")
    assert (result.agency, source_of(result, "agency")) == ("Reuters", "dateline")


def test_a_label_in_capitals_is_no_dateline() -> None:
    labelled = STORY_MARKUP.replace("<p>", "<p>ANALYSIS — ", 1)
    result = article(html("", f"<h1>Bridge reopens</h1>{labelled}"))
    assert result.body.startswith("ANALYSIS — The old bridge")
    assert result.dateline is None


@pytest.mark.parametrize(
    "between",
    [
        "<p>Advertisement</p>",
        "<p>Sign up for our morning newsletter and never miss a bridge.</p>",
        "<p>Abonnez-vous dès 2 € par mois et recevez la lettre du soir.</p>",
        "<p>Jetzt abonnieren: vier Wochen Probemonat kostenlos.</p>",
        "<p><a href='/ferry'>READ ALSO: The ferry finds a buyer at last</a></p>",
        f"<p>{PARAGRAPHS[0]}</p>",
    ],
)
def test_labels_appeals_links_and_second_copies_inside_the_body_go(between: str) -> None:
    inside = STORY_MARKUP.replace("</p><p>", f"</p>{between}<p>", 1)
    assert article(html("", f"<h1>Bridge reopens</h1>{inside}")).body.split("\n\n") == PARAGRAPHS


@pytest.mark.parametrize(
    "line",
    [
        "Subscribers to the newsletter were told of the flood first, the mayor said.",
        "The two towns share a bridge.",
        "“Sign up,” she said, and a hundred people did.",
        "Latest figures show that fewer people took the ferry.",
        "Print runs are down.",
        "Comments by the mayor drew laughter.",
    ],
)
def test_a_sentence_about_newspapers_is_no_furniture(line: str) -> None:
    assert not is_furniture(line)


def test_notices_and_links_below_the_body_are_no_body() -> None:
    below = "<p><a href='/1'>Ferry sold to the lake people</a></p><p>© 2026 Example Media</p>"
    result = article(html("", f"<h1>Bridge reopens</h1>{STORY_MARKUP}{below}"))
    assert result.body.split("\n\n") == PARAGRAPHS


@given(st.lists(st.text(max_size=80), max_size=12))
def test_of_a_body_only_whole_lines_and_a_dateline_are_taken(lines: list[str]) -> None:
    about = read_metadata(load_html("<html><body><p>x</p></body></html>"), "", None, SEEN)
    kept = clean_body(lines, frozenset(), about).paragraphs
    assert len(kept) <= len(lines)
    assert all(
        any(line.endswith(part) or line.strip().endswith(part) for line in lines) for part in kept
    )


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


# ── no article ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Just a moment...", "Enable JavaScript and cookies to continue."),
        ("news.example", "Checking if you are human. This may take a few seconds."),
        ("Access Denied", "You don't have permission to access this page on this server."),
        ("Before you continue", "We and our partners use cookies to measure our audience."),
    ],
)
def test_a_page_before_the_page_is_rejected_as_such(title: str, text: str) -> None:
    content = f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>"
    rejected = failure(content)
    assert (rejected.kind, rejected.reason) == ("rejected", "challenge-page")
    assert rejected.payload == content.encode()


@pytest.mark.parametrize(
    "text",
    [
        "Bitte bestätigen Sie, dass Sie kein Roboter sind. Sie werden gleich weitergeleitet.",
        "Veuillez confirmer que vous n’êtes pas un robot pour continuer votre visite.",
        "Confirma que no eres un robot para seguir navegando por esta página.",
        "Confirme que você não é um robô para continuar.",
        "Conferma che non sei un robot per continuare a navigare.",
        "Подтвердите, что вы не робот, чтобы продолжить.",
        "请确认您不是机器人，然后继续访问。",
    ],
)
def test_a_challenge_is_known_in_other_languages(text: str) -> None:
    content = f"<html><head><title>news.example</title></head><body><p>{text}</p></body></html>"
    assert failure(content).reason == "challenge-page"


def test_a_challenge_may_name_the_site_in_its_largest_heading() -> None:
    content = (
        "<html><head><title>One moment</title><meta http-equiv=refresh content=5></head><body>"
        "<h1>news.example</h1><h2>Checking that you are human</h2>"
        "<p>We are looking at your browser before you can go on to news.example, as we do now and "
        "then when many visitors arrive in a short time. This takes a few seconds.</p>"
        "<p>Please switch on JavaScript and load the page again.</p></body></html>"
    )
    assert failure(content).reason == "challenge-page"


def section_front(item: str) -> str:
    topics = ["Ferry sold", "Mayor walks", "Lorries full", "Arch tested", "Lake calm", "Bus late"]
    items = "".join(
        item.format(link=f"<a href='/{n}'>{topic} in the town by the river on Monday</a>")
        for n, topic in enumerate(topics)
    )
    return html("<title>City</title>", f"<h1>City</h1>{items}")


@pytest.mark.parametrize(
    "item",
    [
        "<li>{link} <time>2h ago</time></li>",
        "<p>{link}</p>",
        "<h3>{link}</h3><p>Nobody had expected it, but the town by the river took the news with "
        "a calm that surprised even the mayor.</p>",
    ],
)
def test_the_front_page_of_a_section_is_no_article(item: str) -> None:
    rejected = failure(section_front(item))
    assert rejected.reason == "no-article"


def test_an_article_with_related_links_is_one() -> None:
    links = "".join(
        f"<li><a href=/{n}>Story {n} of the river and its town</a></li>" for n in "1234567"
    )
    result = article(html("", f"<h1>Bridge reopens</h1>{STORY_MARKUP}<ul>{links}</ul>"))
    assert result.body.split("\n\n")[:3] == PARAGRAPHS


def test_paragraphs_that_follow_each_other_are_no_list_of_links() -> None:
    links = [
        f"The {ordinal} other story" for ordinal in ("first", "second", "third", "next", "last")
    ]
    assert link_list_sign([*links, *PARAGRAPHS], links) is None
    assert link_list_sign(links, links) is not None


def test_an_article_that_lists_things_under_links_is_told_by_its_date() -> None:
    links = [
        f"The {ordinal} other story" for ordinal in ("first", "second", "third", "next", "last")
    ]
    listed = [line for link in links for line in (link, PARAGRAPHS[0])]
    assert link_list_sign(listed, links) is not None
    assert link_list_sign(listed, links, is_dated=True) is None


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
