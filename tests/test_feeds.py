from __future__ import annotations

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Failure, FeedItem, Page
from transforms.feeds import EmptyFeed, MalformedFeed, read_feed

SEEN = Timestamp.from_rfc3339("2026-11-20T00:00:00Z")
URI = "/feeds/news.xml"


def read(content: str | bytes) -> list[Page | Failure]:
    encoded = content.encode() if isinstance(content, str) else content
    return list(read_feed(encoded, URI, SEEN, max_payload_bytes=100))


def rss(*items: str, channel: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"'
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:atom="http://www.w3.org/2005/Atom"'
        ' xmlns:media="http://search.yahoo.com/mrss/"'
        ' xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0">'
        f"<channel><title>Example News</title><link>https://news.example/</link>{channel}"
        + "".join(f"<item>{item}</item>" for item in items)
        + "</channel></rss>"
    )


def only_page(content: str) -> Page:
    (unit,) = read(content)
    assert isinstance(unit, Page), unit
    return unit


def only_item(content: str) -> FeedItem:
    item = only_page(content).item
    assert item is not None
    return item


def test_an_rss_item_becomes_a_page() -> None:
    page = only_page(
        rss(
            "<guid isPermaLink='false'>n-17</guid><title>Bridge &amp;amp; road reopen</title>"
            "<link>https://news.example/17</link><dc:creator>Ana Example</dc:creator>"
            "<pubDate>Tue, 14 Jan 2020 12:20:30 +0200</pubDate><category>Traffic</category>"
            "<description>&lt;p&gt;Short.&lt;/p&gt;</description>"
            "<media:thumbnail url='https://news.example/17.jpg'/>",
            channel="<language>en-GB</language><copyright>© Example</copyright>"
            "<atom:link rel='self' href='https://news.example/feed'/>",
        )
    )
    assert page == Page(
        origin=f"{URI}#n-17",
        source_uri=URI,
        kind="feed-item",
        content=b"<p>Short.</p>",
        observed_at=SEEN,
        charset="utf-8",
        url="https://news.example/17",
        feed_url="https://news.example/feed",
        item=FeedItem(
            guid="n-17",
            title="Bridge & road reopen",
            authors=("Ana Example",),
            published="2020-01-14T10:20:30Z",
            summary="Short.",
            tags=("Traffic",),
            image_url="https://news.example/17.jpg",
            language="en-GB",
            feed_title="Example News",
            rights="© Example",
        ),
    )


def test_an_atom_entry_becomes_a_page() -> None:
    page = only_page(
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://news.example/">'
        "<title>Example</title><entry><id>tag:news.example,2020:1</id><title>One</title>"
        '<link rel="alternate" href="one.html"/><published>2020-01-14T10:20:30Z</published>'
        "<updated>2020-02-01T00:00:00Z</updated><author><name>Bo Sample</name></author>"
        '<content type="html">&lt;p&gt;All of it.&lt;/p&gt;</content></entry></feed>'
    )
    assert page.url == "https://news.example/one.html"
    assert page.content == b"<p>All of it.</p>"
    assert page.item is not None
    assert page.item.published == "2020-01-14T10:20:30Z"


def test_an_rdf_item_becomes_a_page() -> None:
    page = only_page(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        '<channel rdf:about="https://news.example/"><title>Example</title></channel>'
        '<item rdf:about="https://news.example/1"><title>One</title>'
        "<link>https://news.example/1</link><dc:date>2020-01-14T10:20:30+00:00</dc:date></item>"
        "</rdf:RDF>"
    )
    assert page.url == "https://news.example/1"
    assert page.item is not None
    assert page.item.published == "2020-01-14T10:20:30Z"


def test_the_full_text_is_taken_before_the_summary() -> None:
    page = only_page(
        rss(
            "<link>https://news.example/1</link><description>Teaser.</description>"
            "<content:encoded>&lt;p&gt;The full text of it.&lt;/p&gt;</content:encoded>"
        )
    )
    assert page.content == b"<p>The full text of it.</p>"


def test_a_relative_link_is_resolved_against_the_feed() -> None:
    assert only_page(rss("<link>/17.html</link>")).url == "https://news.example/17.html"


def test_the_original_link_is_taken_before_that_of_a_redirecting_service() -> None:
    page = only_page(
        rss(
            "<link>https://feeds.example/~r/17</link>"
            "<feedburner:origLink>https://news.example/17</feedburner:origLink>"
        )
    )
    assert page.url == "https://news.example/17"


def test_a_link_that_is_no_url_is_none() -> None:
    page = only_page(
        rss("<guid>g</guid><link>http://[broken</link><description>Text</description>")
    )
    assert page.url is None


def test_a_date_without_time_of_day_gets_none() -> None:
    item = only_item(rss("<link>https://news.example/1</link><pubDate>2020-01-14</pubDate>"))
    assert item.published == "2020-01-14"


def test_an_unusable_date_is_none() -> None:
    item = only_item(rss("<link>https://news.example/1</link><pubDate>last Tuesday</pubDate>"))
    assert item.published is None


def test_an_address_is_no_author() -> None:
    item = only_item(rss("<link>https://news.example/1</link><author>desk@news.example</author>"))
    assert item.authors == ()


def test_items_are_told_apart_by_guid_then_link_then_content() -> None:
    origins = [
        unit.origin.removeprefix(URI)
        for unit in read(
            rss(
                "<guid isPermaLink='false'>n-1</guid><link>https://news.example/1</link>",
                "<link>https://news.example/2</link>",
                "<title>Three</title><description>Three</description>",
            )
        )
    ]
    assert origins[:2] == ["#n-1", "#https://news.example/2"]
    assert len(origins[2]) == 17


def test_a_second_item_with_the_same_guid_has_an_origin_of_its_own() -> None:
    item = "<guid isPermaLink='false'>n-1</guid><description>Text</description>"
    one, two = read(rss(item, item))
    assert (one.origin, two.origin) == (f"{URI}#n-1", f"{URI}#n-1;2")


def test_a_guid_that_looks_like_a_repeated_one_keeps_its_own_origin() -> None:
    items = [f"<guid>{guid}</guid><description>Text</description>" for guid in ("a", "a", "a;2")]
    names = [unit.origin.rpartition("#")[2] for unit in read(rss(*items))]
    assert names == ["a", "a;2", "a;2;2"]


def test_an_origin_is_one_line_whatever_the_guid() -> None:
    one, other = read(
        rss(*(f"<guid>n{part}1</guid><description>T</description>" for part in ("\n", "%0A")))
    )
    assert (one.origin, other.origin) == (f"{URI}#n%0A1", f"{URI}#n%250A1")


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("&#xD800;", "\ufffd"),
        ("&#55296;", "\ufffd"),
        ("&#XdfFF;", "\ufffd"),
        ("&#xD83D;&#xDE00;", "😀"),
        ("&#55357;&#56832;", "😀"),
        ("&#0;", "\ufffd"),
        ("&#x1F;", "\ufffd"),
        ("&#11;", " "),
        ("&#xFFFE;", "\ufffd"),
        ("&#x110000;", "\ufffd"),
        pytest.param(f"&#{'9' * 5_000};", "\ufffd", id="5,000 digits"),
        pytest.param(f"&#x{'0' * 5_000}41;", "A", id="5,000 zeros"),
        ("&amp;#xD800;", "\ufffd"),
        pytest.param(f"&amp;#{'9' * 5_000};", "\ufffd", id="5,000 digits, escaped twice"),
        ("\x02", "\ufffd"),
        ("\x0c", " "),
        ("&#x1F600;", "😀"),
        ("&#150;", "–"),
        ("&#xZ; &#;", "&#xZ; &#;"),
    ],
)
def test_a_character_that_xml_forbids_is_replaced(written: str, read_as: str) -> None:
    item = only_item(rss(f"<title>Up{written}down</title><description>Text</description>"))
    assert item.title == f"Up{read_as}down"


@pytest.mark.parametrize(
    "element",
    [
        "<gml:pos>1 2</gml:pos>",
        "<psc:chapters version='1.2'><psc:chapter title='One'/></psc:chapters>",
    ],
)
def test_an_element_of_no_concern_that_the_parser_fails_on_costs_no_item(element: str) -> None:
    feed = rss(
        f"<title>One</title>{element}<description>Text</description>",
        "<media:thumbnail url='https://news.example/2.jpg'/><description>Two</description>",
    )
    spaces = "xmlns:gml='http://www.opengis.net/gml' xmlns:psc='http://podlove.org/simple-chapters'"
    one, two = read(feed.replace("<rss ", f"<rss {spaces} "))
    assert isinstance(one, Page)
    assert isinstance(two, Page)
    assert one.content == b"Text"
    assert two.item is not None
    assert two.item.image_url == "https://news.example/2.jpg"


def test_a_feed_whose_parser_fails_on_all_of_it_is_malformed() -> None:
    feed = rss("<gml:pos>1 2</gml:pos>").replace("item>", "gml:item>")
    with pytest.raises(MalformedFeed, match=r"cannot take its markup \(KeyError: 'where'\)"):
        read(feed.replace("<rss ", "<rss xmlns:gml='http://www.opengis.net/gml' "))


def test_an_item_without_link_and_text_is_rejected() -> None:
    failure, page = read(rss("<title>Only a title</title>", "<description>Text</description>"))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == ("rejected", "empty-item")
    assert "'Only a title'" in failure.message
    assert isinstance(page, Page)


def test_a_feed_without_items_is_empty() -> None:
    with pytest.raises(EmptyFeed, match=r"the RSS 2\.0 feed has no items"):
        read(rss())


def test_a_broken_feed_gives_the_items_that_can_be_read() -> None:
    whole = rss("<link>https://news.example/1</link>", "<link>https://news.example/2</link>")
    assert len(read(whole[: whole.rindex("</item>")])) == 2
    assert len(read(whole.replace("<channel>", "<channel>&nbsp;&undefined;"))) == 2


def test_a_feed_of_which_nothing_can_be_read_says_what_is_wrong_and_where() -> None:
    with pytest.raises(MalformedFeed, match="line 1, column"):
        read('<?xml version="1.0"?><rss version="2.0"><channel><tit')


def test_another_xml_document_is_no_feed() -> None:
    with pytest.raises(MalformedFeed):
        read("<urlset><url>https://news.example/</url></urlset>")


def test_content_that_names_a_file_is_not_opened() -> None:
    with pytest.raises(MalformedFeed):
        read(__file__.encode())


def test_a_title_that_its_entities_make_enormous_is_cut() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 5))
    feed = rss("<title>&e4;</title><link>https://news.example/1</link>")
    bomb = f'<!DOCTYPE rss [<!ENTITY e0 "ha">{entities}]>' + feed.partition("?>")[2]
    assert len(only_item(bomb).title or "") <= 2_000


def test_a_feed_in_a_legacy_encoding_is_read() -> None:
    content = rss("<title>Müde Fahrgäste</title><link>https://news.example/1</link>")
    encoded = content.replace("UTF-8", "ISO-8859-1").encode("latin-1")
    (page,) = read(encoded)
    assert isinstance(page, Page)
    assert page.item is not None
    assert page.item.title == "Müde Fahrgäste"


TRAPS = ["&#xD800;", "&#0;", "&lt;", "&nbsp;", "<![CDATA[", "]]>", "<!--", "</", ">", '"', "\n"]
TRAPS += ["</georss:point>", "<textinput>", "</textInput>", "<psc:chapter/>", "<dc:date>9999-99-99"]
TRAPS += ["<link>http://[", "<category/>", "<image>", "<item>", "</item>", "<guid>", "<content/>"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(TRAPS)), min_size=1, max_size=5))
def test_broken_markup_gives_items_or_a_declared_error(insertions: list[tuple[int, str]]) -> None:
    feed = rss("<guid>a</guid><title>One</title><description>Text</description>", "<link>b</link>")
    for at, trap in insertions:
        feed = feed[:at] + trap + feed[at:]
    try:
        units = read(feed)
    except (MalformedFeed, EmptyFeed):
        return
    assert len({unit.origin.encode() for unit in units}) == len(units)


@settings(deadline=None)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_damage_gives_items_or_a_declared_error(at: int, noise: bytes) -> None:
    whole = rss("<title>One</title><link>https://news.example/1</link>").encode()
    try:
        units = read(whole[:at] + noise + whole[at + len(noise) :])
    except (MalformedFeed, EmptyFeed):
        return
    assert units
