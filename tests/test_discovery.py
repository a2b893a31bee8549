from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.discovery import find_feed_links

PAGE = "https://www.news.example/section/page.html"


def link(href: str, kind: str = "application/rss+xml", title: str = "News") -> str:
    return f'<link rel="alternate" type="{kind}" title="{title}" href="{href}">'


def find(html: str, url: str = PAGE) -> list[str]:
    return find_feed_links(f"<html><head>{html}</head><body></body></html>", url)


@pytest.mark.parametrize(
    "kind",
    [
        "application/rss+xml",
        "application/atom+xml",
        "application/rdf+xml",
        "application/feed+json",
        "application/json",
        " Application/RSS+XML; charset=utf-8",
    ],
)
def test_a_page_names_its_feed(kind: str) -> None:
    assert find(link("/feed", kind)) == ["https://www.news.example/feed"]


@pytest.mark.parametrize(
    "element",
    [
        link("/style.css", "text/css"),
        link("/wp-json/posts/1", "application/json", "JSON"),
        '<link rel="alternate" hreflang="de" href="/de/">',
        '<link rel="stylesheet" type="application/rss+xml" href="/feed">',
        link("http://[broken"),
        link("javascript:void(0)"),
        link(""),
    ],
)
def test_another_link_is_no_feed(element: str) -> None:
    assert find(element) == []


def test_addresses_are_relative_to_the_page_or_the_base_that_it_states() -> None:
    assert find(link("feed")) == ["https://www.news.example/section/feed"]
    assert find('<base href="/other/">' + link("feed")) == ["https://www.news.example/other/feed"]


def test_feeds_of_comments_come_last_and_xml_before_json() -> None:
    html = (
        link("/comments/feed")
        + link("/feed.json", "application/feed+json")
        + link("/two.xml", "application/atom+xml")
        + link("/one.xml")
        + link("/talk", title="Example » Comments")
    )
    names = [url.removeprefix("https://www.news.example") for url in find(html)]
    assert names == ["/two.xml", "/one.xml", "/feed.json", "/comments/feed", "/talk"]


def test_a_feed_that_is_named_twice_is_given_once_without_its_fragment() -> None:
    assert find(link("/feed#top") + link("/feed?")) == ["https://www.news.example/feed"]


def test_references_in_an_address_are_resolved() -> None:
    assert find(link("/?feed=rss&amp;section=2")) == [
        "https://www.news.example/?feed=rss&section=2"
    ]


@pytest.mark.parametrize(
    ("address", "is_feed"),
    [
        ("/rss", True),
        ("/section/feed/", True),
        ("/world.rss", True),
        ("/rss/world.xml", True),
        ("/newsfeed.xml", True),
        ("/?feed=rss2", True),
        ("https://feeds.news.example/atom", True),
        ("https://news.example/rss", True),
        ("/sitemap.xml", False),
        ("/about-our-rss-feeds.html", False),
        ("/feeding-time", False),
        ("https://other.example/rss", False),
        ("mailto:rss@news.example", False),
    ],
)
def test_a_link_in_the_text_may_look_like_a_feed(address: str, is_feed: bool) -> None:
    found = find_feed_links(f'<body><a href="{address}">Follow us</a></body>', PAGE)
    assert bool(found) == is_feed


def test_links_in_the_text_count_only_where_the_head_names_no_feed() -> None:
    html = f'<a href="/rss">All</a>{link("/feed")}'
    assert find_feed_links(html, PAGE) == ["https://www.news.example/feed"]


@pytest.mark.parametrize("html", ["", " ", "no markup", "\0\ud800<", "<div>" * 50_000, "<a " * 9])
def test_a_page_of_any_kind_can_be_looked_through(html: str) -> None:
    assert find_feed_links(html, PAGE) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<a href='/rss", "<base href='//", link("x"), "'>", "</a>", "["])))
def test_every_address_is_absolute(pieces: list[str]) -> None:
    assert all(url.startswith(("http://", "https://")) for url in find("".join(pieces)))
