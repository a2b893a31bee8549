"""What a live feed knows of an item reaches the article of its page; what is no article is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from page_factory import PARAGRAPHS, SEEN, URL, html, json_ld, meta

from schemas.records import (
    Article,
    DateHint,
    Failure,
    FeedItem,
    Page,
    Provenance,
    PublicationDate,
)
from transforms.dates import parse_metadata_date
from transforms.fed_fields import reconcile_dates
from transforms.fingerprints import fingerprint_article
from transforms.merging import merge_article
from transforms.saved_pages import extract_feed_item, extract_page
from transforms.topics import TopicModel, classify_topics

FEED = "https://www.news.example/feed"
ITEM = FeedItem(guid="n-1", title="Bridge reopens", first_seen="2026-06-30T11:50:07Z")
STATED = {"@type": "NewsArticle", "headline": "Bridge reopens after two years"}


def fetched(content: str, item: FeedItem | None = ITEM, url: str = URL) -> Page:
    return Page(
        origin=URL,
        source_uri=URL,
        kind="html",
        content=content.encode(),
        observed_at=SEEN,
        url=url,
        feed_url=FEED,
        item=item,
    )


def article(content: str, **about: object) -> Article:
    item = dataclasses.replace(ITEM, **about)  # type: ignore[arg-type]
    (result,) = extract_page(fetched(content, item))
    assert isinstance(result, Article), result
    return result


def rejected(content: str, item: FeedItem | None = ITEM, url: str = URL) -> Failure:
    (result,) = extract_page(fetched(content, item, url))
    assert isinstance(result, Failure), result
    assert (result.kind, result.stage) == ("rejected", "extract")
    return result


def sources_of(result: Article, field: str) -> list[str]:
    return [entry.source for entry in result.provenance if entry.field == field]


def date(value: str, source: str) -> PublicationDate:
    parsed = parse_metadata_date(value, source, SEEN)
    assert parsed is not None
    return parsed


# ── what the feed knows ─────────────────────────────────────────────────────────────────────────


def test_what_the_page_leaves_open_is_what_the_feed_says() -> None:
    result = article(
        html(),
        authors=("Ana Example", "LNS"),
        summary="The old bridge is open again.",
        image_url="https://www.news.example/bridge.jpg",
        language="en",
        rights="Example Media",
        feed_title="The Daily Example",
        tags=("bridges",),
    )
    assert (result.guid, result.feed_url) == ("n-1", FEED)
    assert result.authors[0] == "Ana Example"
    assert result.description == "The old bridge is open again."
    assert result.image_url == "https://www.news.example/bridge.jpg"
    assert (result.declared_language, result.rights) == ("en", "Example Media")
    assert (result.site, result.tags) == ("The Daily Example", ("bridges",))
    for field in ("authors", "description", "image_url", "declared_language", "rights", "site"):
        assert sources_of(result, field) == ["feed"], field


def test_the_page_is_asked_before_the_feed() -> None:
    head = json_ld(
        {**STATED, "author": {"@type": "Person", "name": "Bo Sample"}, "inLanguage": "en-GB"}
    )
    result = article(html(head), title="Bridge …", authors=("Ana Example",), language="de")
    assert result.title == "Bridge reopens after two years"
    assert (result.authors, result.declared_language) == (("Bo Sample",), "en-GB")
    assert "feed" not in sources_of(result, "title") + sources_of(result, "authors")


def test_tags_of_page_and_feed_are_united() -> None:
    head = json_ld({**STATED, "keywords": ["Bridges", "Traffic"]})
    result = article(html(head), tags=("traffic", "Floods", "floods"))
    assert result.tags[:2] == ("Bridges", "Traffic")
    assert [tag.casefold() for tag in result.tags] == ["bridges", "traffic", "floods"]
    assert sources_of(result, "tags") == ["json-ld", "feed"]


def test_a_feed_that_adds_no_tag_is_not_named_for_them() -> None:
    result = article(html(json_ld({**STATED, "keywords": ["Bridges"]})), tags=("bridges",))
    assert sources_of(result, "tags") == ["json-ld"]


def test_what_a_subscription_is_about_is_the_section_where_the_page_names_none() -> None:
    result = article(html(), topic_hint="politics")
    assert result.section == "politics"
    assert Provenance("section", "subscription") in result.provenance
    named = article(html(json_ld({**STATED, "articleSection": "City"})), topic_hint="politics")
    assert (named.section, sources_of(named, "section")) == ("City", ["json-ld"])


def test_when_the_feed_says_that_an_item_was_changed_is_a_hint() -> None:
    result = article(html(), updated="2026-03-05T09:00:00Z")
    assert DateHint("2026-03-05", "modified") in result.hints
    head = json_ld({**STATED, "dateModified": "2026-03-05T10:00:00Z"})
    assert article(html(head), updated="2026-03-05T09:00:00Z").hints == (
        DateHint("2026-03-05", "modified"),
    )


def test_a_saved_page_without_item_is_as_it_was() -> None:
    (result,) = extract_page(fetched(html(), item=None))
    assert isinstance(result, Article)
    assert (result.guid, result.published, result.section) == (None, None, None)


# ── dates ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stated", "fed", "surest"),
    [
        # The feed knows the hour of the day that the page states, in whatever zone it does.
        (date("2026-03-02", "json-ld"), date("2026-03-02T07:30:00Z", "feed"), "feed"),
        (date("2026-03-02", "url"), date("2026-03-01T23:30:00Z", "feed"), "feed"),
        (date("2026-03-02", "date-line"), date("2026-03-03T03:00:00Z", "feed"), "feed"),
        (date("2026-03", "meta"), date("2026-03-19T03:00:00Z", "feed"), "feed"),
        (date("2026-03-02T07:30:00Z", "json-ld"), date("2026-03-02", "feed"), "json-ld"),
        (date("2026-03-02", "meta"), date("2026-03-02", "feed"), "meta"),
        # A later date of the feed is that of an update.
        (date("2026-03-02T07:30:00Z", "json-ld"), date("2026-03-04T07:30:00Z", "feed"), "json-ld"),
        (date("2026-03-02", "json-ld"), date("2026-03-03T15:00:00Z", "feed"), "json-ld"),
        (date("2026-03-02", "url"), date("2026-03-05T07:30:00Z", "feed"), "url"),
        # Feeds leave out their time zone; pages rarely do in JSON-LD.
        (date("2026-03-02T07:30:00Z", "meta"), date("2026-03-02T06:30:00Z", "feed"), "meta"),
        # An address is made before, a line of text may tell of another day.
        (date("2026-03-12", "url"), date("2026-03-05T07:30:00Z", "feed"), "feed"),
        (date("2026-01-12", "date-line"), date("2026-03-05T07:30:00Z", "feed"), "feed"),
    ],
)
def test_of_two_dates_the_surer_is_taken(
    stated: PublicationDate, fed: PublicationDate, surest: str
) -> None:
    found = reconcile_dates(stated, fed)
    assert found is not None
    assert found.source == surest


def test_an_item_was_not_published_after_it_was_first_listed() -> None:
    seen = date("2026-03-02T12:00:00Z", "first-seen")
    republished = date("2026-05-01T08:00:00Z", "json-ld")
    fed = date("2026-03-02T07:30:00Z", "feed")
    assert reconcile_dates(republished, fed, seen) == fed
    later = date("2026-05-01T08:00:00Z", "feed")
    stated = date("2026-03-01", "date-line")
    assert reconcile_dates(stated, later, seen) == stated


DATES = st.one_of(
    st.none(),
    st.builds(
        PublicationDate,
        st.integers(0, 1_700_000_000).map(lambda seconds: Timestamp(seconds=seconds)),
        st.sampled_from(["year", "month", "day", "hour", "minute", "second"]),
        st.sampled_from(["json-ld", "meta", "url", "date-line", "feed"]),
    ),
)


@given(DATES, DATES, DATES)
def test_a_reconciled_date_is_one_of_the_two(
    stated: PublicationDate | None, fed: PublicationDate | None, seen: PublicationDate | None
) -> None:
    found = reconcile_dates(stated, fed, seen)
    assert found in (stated, fed)
    assert (found is None) == (stated is None and fed is None)


def test_a_page_without_date_has_that_of_the_feed() -> None:
    result = article(html(), published="2026-06-29T07:30:00Z")
    assert result.published == date("2026-06-29T07:30:00Z", "feed")
    assert sources_of(result, "published") == ["feed"]


def test_a_date_of_the_feed_in_the_future_is_none() -> None:
    result = article(html(), published="2026-12-24T18:00:00Z")
    assert result.published is not None
    assert result.published.source == "first-seen"


def test_an_undated_item_of_a_live_feed_has_the_day_it_was_first_seen_on() -> None:
    found = article(html()).published
    day = PublicationDate(Timestamp.from_rfc3339("2026-06-30T00:00:00Z"), "day", "first-seen")
    assert found == day
    page = dataclasses.replace(fetched(PARAGRAPHS[0]), kind="feed-item")
    (item,) = extract_feed_item(page)
    assert isinstance(item, Article)
    assert (item.published, sources_of(item, "published")) == (day, ["first-seen"])


def test_an_undated_item_of_a_saved_feed_stays_undated() -> None:
    assert article(html(), first_seen=None).published is None
    saved = dataclasses.replace(ITEM, first_seen=None)
    (item,) = extract_feed_item(dataclasses.replace(fetched(PARAGRAPHS[0], saved)))
    assert isinstance(item, Article)
    assert item.published is None


def test_a_date_in_the_text_is_surer_than_the_day_of_the_poll() -> None:
    story = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
    dated = html("", f"<h1>Bridge reopens</h1><p>2 March 2026, 08:30</p>{story}")
    result = article(dated)
    assert result.published is not None
    assert result.published.at.to_rfc3339()[:10] == "2026-03-02"


def test_a_feed_s_item_has_the_topic_of_its_subscription_as_section() -> None:
    item = dataclasses.replace(ITEM, topic_hint="sport")
    (result,) = extract_feed_item(fetched(PARAGRAPHS[0], item))
    assert isinstance(result, Article)
    assert (result.section, sources_of(result, "section")) == ("sport", ["subscription"])


def test_the_topic_of_a_subscription_decides_where_the_text_cannot() -> None:
    told = article(html(language="fi"), topic_hint="sport")
    scores = classify_topics(
        TopicModel.load(), told.title, told.body, "fi", told.tags, told.section
    )
    assert scores.best == "sport"


@pytest.mark.parametrize(
    "unset", ["1970-01-01", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"]
)
def test_the_first_moment_of_unix_time_is_no_date(unset: str) -> None:
    stated = {**STATED, "datePublished": unset, "dateModified": unset}
    result = article(html(json_ld(stated)), published="2026-06-29T07:30:00Z")
    assert (result.published, result.hints) == (date("2026-06-29T07:30:00Z", "feed"), ())
    by_meta = html(meta(article__published_time=unset))
    assert article(by_meta, published=unset, first_seen=None).published is None


def test_the_year_that_unix_time_begins_with_is_one() -> None:
    found = article(html(json_ld({**STATED, "datePublished": "1970"}))).published
    assert found is not None
    assert (found.at, found.precision) == (Timestamp(0), "year")


def test_when_an_undated_item_was_changed_does_not_date_it() -> None:
    changed = dataclasses.replace(ITEM, updated="2026-06-12T09:00:00Z")
    (item,) = extract_feed_item(fetched(PARAGRAPHS[0], changed))
    (page,) = extract_page(fetched(html(), changed))
    for result in (item, page):
        assert isinstance(result, Article)
        assert result.hints == (DateHint("2026-06-12", "modified"),)
        assert sources_of(result, "published") == ["first-seen"]


# ── copies and identity ─────────────────────────────────────────────────────────────────────────


def test_the_day_of_the_poll_gives_way_to_the_date_of_a_copy(
    make_article: Callable[..., Article],
) -> None:
    polled = article(html())
    copy = make_article("text", "b", published=date("2026-03-02T07:30:00Z", "meta"))
    merged = merge_article(polled, [("exact", copy)])
    assert merged.published == PublicationDate(copy.published.at, "second", "sibling")  # type: ignore[union-attr]
    assert sources_of(merged, "published") == ["sibling"]


def test_an_undated_text_takes_the_day_of_the_poll_for_what_it_is(
    make_article: Callable[..., Article],
) -> None:
    merged = merge_article(make_article("text", "a"), [("exact", article(html()))])
    assert merged.published is not None
    assert merged.published.source == "first-seen"


def test_the_day_of_the_poll_makes_a_text_no_more_complete() -> None:
    undated, polled = (
        fingerprint_article(article(html(), first_seen=first_seen))
        for first_seen in (None, ITEM.first_seen)
    )
    assert (polled.completeness, polled.published_at) == (undated.completeness, None)


def test_a_story_is_one_work_whether_saved_or_polled() -> None:
    content = html(f'<link rel="canonical" href="{URL}">')
    (saved,) = extract_page(
        Page("/pages/a.html", "/pages/a.html", "html", content.encode(), SEEN, url=None)
    )
    assert isinstance(saved, Article)
    polled = article(content)
    assert fingerprint_article(saved).article_id == fingerprint_article(polled).article_id


def test_a_guid_is_one_only_within_its_feed(make_article: Callable[..., Article]) -> None:
    one, other = (
        fingerprint_article(make_article("text", guid="12345", feed_url=feed))
        for feed in (FEED, "https://www.other.example/feed")
    )
    assert one.article_id != other.article_id


# ── pages instead of the item's page ───────────────────────────────────────────────────────────


def front_page(head: str = "") -> str:
    topics = ["Ferry sold", "Mayor walks", "Lorries full", "Arch tested", "Lake calm", "Bus late"]
    items = "".join(
        f"<h3><a href='/{number}'>{topic} in the town by the river on Monday</a></h3><p>Nobody had "
        f"expected it, but for the {number}th time the town took the news with much calm.</p>"
        for number, topic in enumerate(topics)
    )
    return html(f"<title>The Daily Example</title>{head}", f"<h1>Today</h1>{items}")


def test_a_front_page_instead_of_the_item_s_page_is_no_article() -> None:
    dated = front_page(meta(article__published_time="2026-06-30T06:00:00Z"))
    item = dataclasses.replace(ITEM, title="Councillor resigns")
    assert rejected(dated, item).reason == "no-article"


def test_a_page_that_led_to_the_front_page_of_its_site_is_no_article() -> None:
    item = dataclasses.replace(ITEM, title="Councillor resigns")
    failed = rejected(html(), item, url="https://www.news.example/")
    assert failed.reason == "no-article"
    assert "front page" in failed.message


def test_an_item_may_stand_on_the_front_page_of_its_site() -> None:
    (result,) = extract_page(fetched(html(), ITEM, url="https://www.news.example/"))
    assert isinstance(result, Article)
