from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import FeedItem
from transforms.feeds import FeedEntry, MalformedFeed, ParsedFeed, parse_feed
from transforms.json_feeds import parse_json_feed, states_json_feed

VERSION = "https://jsonfeed.org/version/1.1"


def parse(*items: Any, **members: Any) -> ParsedFeed:
    document = {"version": VERSION, "title": "Example News", "items": list(items), **members}
    return parse_feed(json.dumps(document).encode(), url="https://news.example/feed.json")


def only_entry(item: dict[str, Any], **members: Any) -> FeedEntry:
    (entry,) = parse(item, **members).entries
    return entry


def test_an_item_is_read_with_all_it_says() -> None:
    feed = parse(
        {
            "id": "n-17",
            "url": "https://news.example/17",
            "title": "Bridge & road reopen",
            "content_html": "<p>The bridge is open.</p>",
            "summary": "It is open.",
            "image": "/17.jpg",
            "date_published": "2020-01-14T12:20:30+02:00",
            "date_modified": "2020-01-15T00:00:00Z",
            "authors": [{"name": "Ana Example"}, {"name": "Bo Sample"}],
            "tags": ["Traffic", "Traffic", "Rivers"],
            "language": "en-GB",
        },
        feed_url="https://news.example/feed.json",
    )
    assert feed == ParsedFeed(
        format="JSON Feed 1.1",
        title="Example News",
        self_url="https://news.example/feed.json",
        entries=(
            FeedEntry(
                "n-17",
                "https://news.example/17",
                "<p>The bridge is open.</p>",
                True,
                FeedItem(
                    guid="n-17",
                    title="Bridge & road reopen",
                    authors=("Ana Example", "Bo Sample"),
                    published="2020-01-14T10:20:30Z",
                    summary="It is open.",
                    tags=("Traffic", "Rivers"),
                    image_url="https://news.example/17.jpg",
                    language="en-GB",
                    feed_title="Example News",
                    updated="2020-01-15T00:00:00Z",
                ),
            ),
        ),
    )


def test_version_1_names_a_single_author() -> None:
    entry = only_entry(
        {"id": "1", "author": {"name": "Ana Example"}}, version="https://jsonfeed.org/version/1"
    )
    assert entry.about.authors == ("Ana Example",)


def test_what_an_item_leaves_out_is_taken_from_the_feed() -> None:
    entry = only_entry({"id": "1"}, authors=[{"name": "The Desk"}], language="de")
    assert (entry.about.authors, entry.about.language) == (("The Desk",), "de")


def test_plain_text_becomes_paragraphs() -> None:
    entry = only_entry({"id": "1", "content_text": "One < two.\n\nThree."})
    assert entry.content == "<p>One &lt; two.</p><p>Three.</p>"
    assert entry.is_full_text


def test_a_summary_alone_is_no_full_text() -> None:
    entry = only_entry({"id": "1", "summary": "In short."})
    assert (entry.content, entry.is_full_text) == ("<p>In short.</p>", False)


def test_an_external_link_stands_in_for_a_missing_one() -> None:
    entry = only_entry({"id": "1", "external_url": "https://other.example/1"})
    assert entry.url == "https://other.example/1"


def test_an_address_that_is_a_number_is_noted_and_not_used() -> None:
    feed = parse({"id": 17, "url": 17, "content_text": "Text"})
    assert (feed.entries[0].item_id, feed.entries[0].url) == ("17", None)
    assert feed.notes == ("url of item 1 is a number, not a string",)


def test_a_title_is_plain_text() -> None:
    title = only_entry({"id": "1", "title": "The <b> element: 1 < 2"}).about.title
    assert title == "The <b> element: 1 < 2"


def test_a_summary_that_repeats_the_text_is_none() -> None:
    entry = only_entry({"id": "1", "summary": "In short.", "content_html": "<p>In short.</p>"})
    assert entry.about.summary is None


def test_a_time_without_a_zone_is_left_out() -> None:
    entry = only_entry({"id": "1", "date_published": "2020-01-14T12:20:30"})
    assert entry.about.published == "2020-01-14"


def test_an_attached_recording_is_known() -> None:
    attached = [{"url": "/sound.mp3", "mime_type": "audio/mpeg"}]
    assert only_entry({"id": "1", "attachments": attached}).has_recording


def test_an_attached_image_is_the_image() -> None:
    attached = [
        {"url": "/sound.mp3", "mime_type": "audio/mpeg"},
        {"url": "/photo", "mime_type": "image/webp"},
    ]
    entry = only_entry({"id": "1", "attachments": attached})
    assert entry.about.image_url == "https://news.example/photo"


@pytest.mark.parametrize("digits", ["17", "1.50", pytest.param("1" * 6_000, id="6,000 digits")])
def test_a_number_is_an_id_as_it_is_written(digits: str) -> None:
    feed = parse_json_feed(f'{{"version": "{VERSION}", "items": [{{"id": {digits}}}]}}')
    assert feed.entries[0].item_id == digits


def test_items_without_an_id_are_told_apart_by_link_then_content() -> None:
    one, two = parse({"url": "/1"}, {"content_text": "Text"}).entries
    assert one.item_id == "https://news.example/1"
    assert len(two.item_id) == 16


def test_a_member_of_a_wrong_type_costs_that_member_and_is_noted() -> None:
    feed = parse(
        {"id": "1", "title": ["No"], "content_html": True, "tags": "No", "authors": {}},
        {"id": "2", "title": {}, "content_text": "Text"},
    )
    assert [entry.item_id for entry in feed.entries] == ["1", "2"]
    assert "title of item 1 is a list, not a string" in feed.notes
    assert "content_html of item 1 is a truth value, not a string" in feed.notes
    assert sum(note.startswith("title of item") for note in feed.notes) == 1


def test_an_item_that_is_no_object_is_left_out_with_a_note() -> None:
    feed = parse("No", {"id": "2"})
    assert [entry.item_id for entry in feed.entries] == ["2"]
    assert feed.notes == ("item 1 is a string, not an object",)


def test_a_feed_without_items_gives_none() -> None:
    assert parse().entries == ()


def test_an_unknown_version_is_noted() -> None:
    assert parse(version="https://jsonfeed.org/version/7").notes
    assert parse(version=None).notes == ("it states no version of JSON Feed",)


def test_a_byte_order_mark_costs_nothing() -> None:
    content = json.dumps({"version": VERSION, "items": [{"id": "1"}]})
    for mark in (b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2):
        assert parse_feed(mark + content.encode()).notes == ()


def test_half_a_pair_of_surrogates_is_replaced() -> None:
    (entry,) = parse({"id": "\ud83d", "url": "https://a.example/\udc00"}).entries
    assert (entry.item_id, entry.url) == ("\ufffd", "https://a.example/\ufffd")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"items": [\n  {"id": "1"},\n]}', r"at line (2, column 14|3, column 1)"),
        ('{"version": "' + VERSION, "line 1, column 13"),
        ("[[]]", "not an object"),
        ('{"name": "No feed"}', "it has no list of items"),
        (f'{{"version": "{VERSION}", "items": {{}}}}', "items that are an object, not a list"),
        (f'{{"version": "{VERSION}"}}', "has no items"),
        (f'{{"version": "{VERSION}", "items": [1]}}', "item 1 is a number"),
        ('{"items":' + "[" * 100_000, "nested too deeply"),
        ('{"items": [' + "[]," * 600_000, "parts"),
    ],
)
def test_what_is_no_json_feed_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(MalformedFeed, match=message):
        parse_feed(text.encode())


def test_items_beyond_the_limit_are_left_with_a_note() -> None:
    feed = parse(*({"id": str(number)} for number in range(20_001)))
    assert len(feed.entries) == 20_000
    assert feed.notes == ("only its first 20,000 of 20,001 items are read",)


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ('{"version" : "http://www.jsonfeed.org/version/1"}', True),
        (r'{"version": "https:\/\/jsonfeed.org\/version\/1.1"}', True),
        ('{"version": "1.1"}', False),
        (r'{"text": "\"version\": \"https://jsonfeed.org/version/1\""}', False),
    ],
)
def test_a_json_feed_states_its_version(text: str, states: bool) -> None:
    assert states_json_feed(text) == states


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = ["id", "url", "title", "content_html", "summary", "authors", "author", "tags", "image"]
MEMBERS += ["attachments", "date_published", "date_modified", "language", "external_url"]


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(MEMBERS), ANY_JSON), min_size=1, max_size=3))
def test_whatever_the_types_each_item_is_given(items: list[dict[str, Any]]) -> None:
    feed = parse(*items)
    assert len(feed.entries) == len(items)
    assert all(entry.item_id for entry in feed.entries)
