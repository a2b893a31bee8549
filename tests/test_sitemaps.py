from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import FeedItem
from transforms.feeds import FeedEntry, MalformedFeed, ParsedFeed, parse_feed

NAMESPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    ' xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"'
    ' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
)


def sitemap(*entries: str, spaces: str = NAMESPACES) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {spaces}>'
        + "".join(f"<url>{entry}</url>" for entry in entries)
        + "</urlset>"
    )


def index(*entries: str) -> str:
    held = "".join(f"<sitemap>{entry}</sitemap>" for entry in entries)
    return f"<sitemapindex {NAMESPACES}>{held}</sitemapindex>"


def parse(text: str) -> ParsedFeed:
    return parse_feed(text.encode(), url="https://news.example/sitemap.xml")


def loc(path: str) -> str:
    return f"<loc>https://news.example/{path}</loc>"


NEWS = (
    "<lastmod>2020-01-15</lastmod><news:news><news:publication><news:name>Example News</news:name>"
    "<news:language>en</news:language></news:publication>"
    "<news:publication_date>2020-01-14T12:20+02:00</news:publication_date>"
    "<news:title>Bridge &amp; <![CDATA[road & rail]]></news:title>"
    "<news:keywords>Traffic, Rivers,Traffic</news:keywords></news:news>"
    "<image:image><image:loc>/17.jpg</image:loc></image:image>"
    "<image:image><image:loc>/18.jpg</image:loc></image:image>"
)


def test_an_entry_of_a_news_sitemap_is_read_with_all_it_says() -> None:
    assert parse(sitemap(loc("17") + NEWS)) == ParsedFeed(
        format="sitemap",
        title="Example News",
        self_url=None,
        entries=(
            FeedEntry(
                "https://news.example/17",
                "https://news.example/17",
                "",
                False,
                FeedItem(
                    title="Bridge & road & rail",
                    published="2020-01-14T10:20:00Z",
                    tags=("Traffic", "Rivers"),
                    image_url="https://news.example/17.jpg",
                    language="en",
                    feed_title="Example News",
                    updated="2020-01-15",
                ),
            ),
        ),
    )


def test_an_entry_without_news_is_a_link() -> None:
    (entry,) = parse(sitemap(loc("about"), spaces="")).entries
    assert (entry.url, entry.about) == ("https://news.example/about", FeedItem())


def test_prefixes_that_are_not_declared_cost_nothing() -> None:
    (entry,) = parse(sitemap(loc("17") + NEWS, spaces="")).entries
    assert entry.about.title == "Bridge & road & rail"


def test_a_relative_address_is_resolved_against_the_sitemap() -> None:
    (entry,) = parse(sitemap("<loc> /17 </loc>")).entries
    assert entry.url == "https://news.example/17"


def test_a_bare_ampersand_stays_in_the_address() -> None:
    (entry,) = parse(sitemap(loc("?a=1&b=2&amp;c=3"))).entries
    assert entry.url == "https://news.example/?a=1&b=2&c=3"


def test_a_page_that_is_listed_twice_is_one_entry() -> None:
    assert len(parse(sitemap(loc("1"), loc("2"), loc("1"))).entries) == 2


def test_an_entry_without_an_address_is_noted() -> None:
    feed = parse(sitemap(loc("1"), "<lastmod>2020-01-14</lastmod>"))
    assert len(feed.entries) == 1
    assert feed.notes == ("1 of its entries have no usable <loc>",)


def test_an_index_gives_its_sitemaps_the_last_changed_first() -> None:
    feed = parse(
        index(
            loc("old.xml") + "<lastmod>2019-01-01</lastmod>",
            loc("undated.xml"),
            loc("new.xml") + "<lastmod>2020-01-14T10:00:00Z</lastmod>",
        )
    )
    assert (feed.format, feed.entries) == ("sitemap index", ())
    assert [url.rpartition("/")[2] for url in feed.sitemaps] == [
        "new.xml",
        "old.xml",
        "undated.xml",
    ]


def test_a_sitemap_without_entries_gives_none() -> None:
    assert parse("<urlset/>").entries == ()


@pytest.mark.parametrize("cut", ["<url><loc>https://news.exam", "<url><lastm", "<!-- and"])
def test_what_stands_before_damage_is_given_with_a_note(cut: str) -> None:
    whole = sitemap(loc("1"), loc("2"))
    feed = parse(whole.replace("</urlset>", cut))
    assert [entry.url for entry in feed.entries] == [
        "https://news.example/1",
        "https://news.example/2",
    ]
    assert "it is not well-formed XML" in feed.notes[0]
    assert "line 2, column" in feed.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<urlset", "line 1, column"),
        ("<urlset><url><loc>https://news.exam", "line 1, column"),
        (sitemap("<loc>no address:</loc>".replace("no", "mailto:no")), "none of its 1 entries"),
    ],
)
def test_a_hopeless_sitemap_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(MalformedFeed, match=message):
        parse(text)


def test_no_entity_is_expanded() -> None:
    declared = '<!DOCTYPE urlset [<!ENTITY a "aaaa"><!ENTITY f SYSTEM "file:///etc/hostname">]>'
    text = sitemap(loc("1") + "<news:news><news:title>&a;&f;</news:title></news:news>")
    (entry,) = parse(text.replace("<urlset", f"{declared}<urlset")).entries
    assert entry.about.title == "&a;&f;"


@pytest.mark.parametrize("tag", ["<a ", '<a b="', "</a "])
def test_tags_that_are_never_closed_are_text(tag: str) -> None:
    feed = parse(sitemap(loc("1")).replace("</urlset>", tag * 500_000 + "</urlset>"))
    assert [entry.url for entry in feed.entries] == ["https://news.example/1"]
    assert "not well-formed" in feed.notes[0]


def test_a_tag_without_end_is_refused() -> None:
    with pytest.raises(MalformedFeed, match="more than 65,536 characters, at line 2"):
        parse(sitemap(loc("1"), "<a" + " b" * 40_000 + "/>"))


def test_deep_nesting_ends_in_what_stands_before_it() -> None:
    feed = parse(sitemap(loc("1"), "<a>" * 100_000))
    assert len(feed.entries) == 1


def test_entries_beyond_the_limit_are_left_with_a_note() -> None:
    feed = parse(sitemap(*(loc(str(number)) for number in range(20_001))))
    assert len(feed.entries) == 20_000
    assert feed.notes == ("only its first 20,000 entries are read",)


@settings(deadline=None)
@given(st.integers(0, 900), st.text(max_size=8))
def test_damage_gives_entries_or_a_declared_error(at: int, noise: str) -> None:
    whole = sitemap(loc("1") + NEWS, loc("2"))
    try:
        parse_feed((whole[:at] + noise + whole[at + len(noise) :]).encode("utf-8", "replace"))
    except MalformedFeed:
        return
