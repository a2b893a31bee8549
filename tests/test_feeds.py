from __future__ import annotations

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import Failure, FeedItem, Page
from transforms.feeds import (
    EmptyFeed,
    FeedEntry,
    MalformedFeed,
    ParsedFeed,
    is_whole_article,
    parse_feed,
    read_feed,
)
from transforms.parsed_feeds import normal_date

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


def test_an_address_takes_no_other_author_away() -> None:
    item = only_item(
        rss(
            "<link>https://news.example/1</link><dc:creator>Ana Example</dc:creator>"
            "<dc:creator>Bo Sample @bosample</dc:creator><author>desk@news.example</author>"
            "<author>cy@news.example (Cy Test)</author>"
        )
    )
    assert item.authors == ("Ana Example", "Bo Sample", "Cy Test")


@pytest.mark.parametrize(
    "name",
    [
        *("authors", "links", "contributors", "tags", "content", "summary_detail", "title_detail"),
        *("media_content", "media_thumbnail", "published_parsed", "enclosures", "image", "where"),
    ],
)
@pytest.mark.parametrize("attribute", ["", " a='1'"])
def test_an_element_may_have_any_name(name: str, attribute: str) -> None:
    element = f"<{name}{attribute}>A</{name}>"
    item = "<title>One</title><link>https://news.example/1</link><author>Ana Example</author>"
    for feed in (rss(element + item), rss(item + element), rss(item, channel=element)):
        page = only_page(feed)
        assert page.url == "https://news.example/1"
        assert page.item is not None
        assert page.item.authors == ("Ana Example",)


def test_a_bare_ampersand_stays_what_it_is() -> None:
    page = only_page(
        rss(
            "<title>AT&T buys B&O; caf&eacute;s</title><link>https://news.example/?a=1&b=2&copy=3"
            "</link><description><![CDATA[<p>R&amp;D</p>]]></description>"
        )
    )
    assert page.url == "https://news.example/?a=1&b=2&copy=3"
    assert page.content == b"<p>R&amp;D</p>"
    assert page.item is not None
    assert page.item.title == "AT&T buys B&O; cafés"


def test_what_is_no_tag_stays_in_a_title() -> None:
    title = only_item(
        rss("<title><![CDATA[<b>Growth</b> < 2% but > 1%]]></title><description>T</description>")
    ).title
    assert title == "Growth < 2% but > 1%"


def test_a_title_that_atom_calls_text_keeps_its_angle_brackets() -> None:
    (entry,) = parse(
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>'
        '<title type="text">The &lt;b&gt; element</title></entry></feed>'
    ).entries
    assert entry.about.title == "The <b> element"


CAPTION = (
    "<media:content url='https://news.example/1.jpg'><media:description type='plain'>"
    "A caption that is much longer than the text of the item itself.</media:description>"
    "</media:content>"
)


@pytest.mark.parametrize("element", ["description", "content:encoded"])
def test_a_caption_is_not_the_text(element: str) -> None:
    text = f"<{element}>Short text.</{element}>"
    for item in (text + CAPTION, CAPTION + text):
        (entry,) = parse(rss(item)).entries
        assert (entry.content, entry.about.summary) == ("Short text.", None)


def test_a_caption_is_better_than_no_text() -> None:
    (entry,) = parse(rss(CAPTION)).entries
    assert entry.content.startswith("<p>A caption that")
    assert not entry.is_full_text


def test_an_item_without_text_has_none() -> None:
    (entry,) = parse(rss("<link>https://news.example/1</link>")).entries
    assert (entry.content, entry.is_full_text) == ("", False)


@pytest.mark.parametrize("guid", ["48213", "item/7", "n-17"])
def test_a_guid_that_is_no_address_is_no_link(guid: str) -> None:
    for channel in ("", "<atom:link rel='self' href='https://news.example/feed'/>"):
        content = rss(f"<guid>{guid}</guid><description>Text</description>", channel=channel)
        for feed in (content, content.replace("<rss ", "<rss xml:base='https://news.example/' ")):
            (entry,) = parse(feed, "https://news.example/feed").entries
            assert (entry.item_id, entry.url) == (guid, None)


def test_a_relative_link_may_be_the_guid_as_well() -> None:
    page = only_page(rss("<link>/17.html</link><guid>/17.html</guid>"))
    assert page.url == "https://news.example/17.html"


def test_a_guid_that_is_an_address_is_the_link() -> None:
    page = only_page(rss("<guid>https://news.example/17</guid>"))
    assert page.url == "https://news.example/17"


def test_a_relative_link_is_resolved_against_the_site_before_the_feeds_own_address() -> None:
    feed = rss(
        "<link>/17.html</link>",
        channel="<atom:link rel='self' href='https://proxy.example/feed'/>",
    )
    (entry,) = parse(feed, "https://mirror.example/feed").entries
    assert entry.url == "https://news.example/17.html"
    siteless = feed.replace("<link>https://news.example/</link>", "")
    (entry,) = parse(siteless, "https://mirror.example/feed").entries
    assert entry.url == "https://mirror.example/17.html"


def test_a_long_summary_is_cut_at_a_word() -> None:
    summary = only_item(
        rss(
            f"<description>{'word ' * 1_000}</description>"
            f"<content:encoded>{'text ' * 2_000}</content:encoded>"
        )
    ).summary
    assert summary is not None
    assert len(summary) <= 2_000
    assert summary.endswith("word")


def test_what_a_broken_server_wrote_before_a_feed_is_left_out() -> None:
    stray = "<br />\n<b>Warning</b>: no such file in <b>/srv/feed.php</b> on line 3<br />\n"
    sitemap = "<urlset><url><loc>https://news.example/1</loc></url></urlset>"
    for content in (rss("<link>https://news.example/1</link>"), sitemap):
        feed = parse(stray + content)
        assert [entry.url for entry in feed.entries] == ["https://news.example/1"]
        assert "characters before it were left out" in feed.notes[0]


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


# ── a feed as a whole ───────────────────────────────────────────────────────────────────────────


def parse(content: str, url: str | None = None) -> ParsedFeed:
    return parse_feed(content.encode(), url=url)


def test_a_feed_says_what_it_is_and_when_to_come_back() -> None:
    feed = parse(
        rss(
            channel="<atom:link rel='self' href='https://news.example/feed'/><ttl>90</ttl>"
            "<skipHours><hour>24</hour><hour>3</hour></skipHours>"
            "<skipDays><day>Sunday</day><day>monday</day></skipDays>"
        )
    )
    assert feed == ParsedFeed(
        format="RSS 2.0",
        title="Example News",
        self_url="https://news.example/feed",
        entries=(),
        ttl_seconds=5_400,
        skip_hours=(0, 3),
        skip_days=("Monday", "Sunday"),
    )


def test_the_syndication_module_says_when_to_come_back() -> None:
    feed = rss(channel="<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4")
    feed = feed.replace("<rss ", "<rss xmlns:sy='http://purl.org/rss/1.0/modules/syndication/' ")
    closed = feed.replace("</channel>", "</sy:updateFrequency></channel>")
    assert parse(closed).ttl_seconds == 6 * 3_600


def test_a_relative_link_is_resolved_against_the_address_where_nothing_else_is_known() -> None:
    content = rss("<link>/17.html</link>").replace("<link>https://news.example/</link>", "")
    (entry,) = parse(content, "https://news.example/feeds/all").entries
    assert entry.url == "https://news.example/17.html"


@pytest.mark.parametrize(
    ("element", "is_full"), [("content:encoded", True), ("description", False)]
)
def test_an_entry_says_whether_its_text_is_meant_to_be_all(element: str, is_full: bool) -> None:
    (entry,) = parse(rss(f"<{element}>&lt;p&gt;Text.&lt;/p&gt;</{element}>")).entries
    assert (entry.content, entry.is_full_text) == ("<p>Text.</p>", is_full)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("Tue, 14 Jan 2020 12:20:30 +0200", "2020-01-14T10:20:30Z"),
        ("Tue, 14 Jan 2020 12:20:30 EST", "2020-01-14T17:20:30Z"),
        ("14 Jan 2020 12:20 GMT", "2020-01-14T12:20:00Z"),
        ("2020-01-14T12:20:30.123+02:00", "2020-01-14T10:20:30Z"),
        ("Tue Jan 14 12:20:30 UTC 2020", "2020-01-14T12:20:30Z"),
        ("14.01.2020", "2020-01-14"),
        ("14 de enero de 2020", "2020-01-14"),
        ("2020-01", "2020-01"),
        ("1579004430", "2020-01-14T12:20:30Z"),
        ("1579004430000", "2020-01-14T12:20:30Z"),
        ("2020年1月14日 12:20", "2020-01-14"),
        ("Sáb, 11 Ene 2020 12:00:00 CET", "2020-01-11T11:00:00Z"),
        ("Tue, 14 Jan 2020 12:20:30 GMT+0200", "2020-01-14T10:20:30Z"),
    ],
)
def test_dates_are_read_in_the_forms_that_feeds_have(written: str, read_as: str | None) -> None:
    item = only_item(rss(f"<link>https://news.example/1</link><pubDate>{written}</pubDate>"))
    assert item.published == read_as


def published(written: str) -> str | None:
    item = only_item(rss(f"<link>https://news.example/1</link><pubDate>{written}</pubDate>"))
    return item.published


@pytest.mark.parametrize(
    "written",
    [
        "2020-01-14 12:20:30",
        "2020/01/14 10:00",
        "14.01.2020 10:00",
        "Tue, 14 Jan 2020 12:20:30",
        "Tue, 14 Jan 2020 12:20:30 BST",
        "Tue, 14 Jan 2020 12:20:30 IST",
        "Tue, 14 Jan 2020 12:20:30 Europe/Berlin",
        "Tue, 14 Jan 2020 10:00:00 PM",
        "2020-01-14T10:00:00+99:00",
        "2020-01-14T10:00:00 America/New_York",
    ],
)
def test_a_time_whose_zone_is_not_known_is_left_out(written: str) -> None:
    assert published(written) == "2020-01-14"


@pytest.mark.parametrize(
    "written",
    [
        "10:00",
        "10:00:00 GMT",
        "14 Jan",
        "01-05-2026",
        "05/01/2026",
        "26-01-05",
        "2026-13-45",
        "Tue, 31 Feb 2026 10:00:00 +0000",
        "99999999999999999999999",
        "0000-00-00 00:00:00",
    ],
)
def test_a_date_that_is_not_clearly_stated_is_none(written: str) -> None:
    assert published(written) is None


@pytest.mark.parametrize(
    "written",
    ["1970-01-01", "Thu, 01 Jan 1970 00:00:00 +0000", "Wed, 31 Dec 1969 16:00:00 -0800"],
)
def test_a_null_date_is_none(written: str) -> None:
    assert published(written) is None


@settings(deadline=None)
@given(st.text("0123456789-/.: TZ+年月日", max_size=20))
def test_a_year_is_never_made_up(written: str) -> None:
    read_as = normal_date(written)
    is_epoch = written.strip().isdigit() and len(written.strip()) >= 10
    # A zone may carry the turn of a year into the next or the last.
    years = [] if read_as is None else [str(int(read_as[:4]) + step) for step in (-1, 0, 1)]
    assert read_as is None or is_epoch or any(year in written for year in years)


def test_an_atom_entry_that_was_only_updated_has_no_publication() -> None:
    (entry,) = parse(
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>'
        "<updated>2020-01-15T10:00:00Z</updated></entry></feed>"
    ).entries
    assert (entry.about.published, entry.about.updated) == (None, "2020-01-15T10:00:00Z")


def test_dublin_core_dates_a_publication_beside_an_update() -> None:
    item = only_item(
        rss(
            "<link>https://news.example/1</link><dc:date>2020-01-14</dc:date>"
            "<atom:updated>2020-01-15T10:00:00Z</atom:updated>"
        )
    )
    assert (item.published, item.updated) == ("2020-01-14", "2020-01-15T10:00:00Z")


def test_an_update_is_no_publication() -> None:
    (entry,) = parse(
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>'
        "<published>2020-01-14T10:00:00Z</published><updated>2020-01-15T10:00:00Z</updated>"
        "</entry></feed>"
    ).entries
    assert entry.about.published == "2020-01-14T10:00:00Z"
    assert entry.about.updated == "2020-01-15T10:00:00Z"


def test_what_is_wrong_with_a_feed_that_can_be_read_is_noted() -> None:
    (note,) = parse(rss("<link>https://news.example/1</link>") + "<").notes
    assert "it is not well-formed" in note
    assert "line 1, column" in note


def test_rss_11_is_read() -> None:
    feed = parse(
        '<Channel xmlns="http://purl.org/net/rss1.1#" xmlns:r="http://purl.org/net/rss1.1#">'
        "<title>Example</title><items><item><title>One</title>"
        "<link>https://news.example/1</link></item></items></Channel>"
    )
    assert (feed.format, len(feed.entries)) == ("RSS 1.1", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        (" ", "nothing but white space"),
        ("<!DOCTYPE html><html><body><p>No feed</p></body></html>", "an HTML page"),
        ("<inventory><part/></inventory>", "root element <inventory>"),
    ],
)
def test_what_is_no_feed_says_what_it_is(content: str, message: str) -> None:
    with pytest.raises(MalformedFeed, match=message):
        parse(content)


# ── what may not cost too much ──────────────────────────────────────────────────────────────────


def test_items_beyond_the_limit_are_left_with_a_note() -> None:
    feed = parse(rss(*["<title>T</title>"] * 20_005))
    assert len(feed.entries) == 20_000
    assert feed.notes == ("only its first 20,000 of 20,005 items are read",)


def entities(*declared: str) -> str:
    return f"<!DOCTYPE rss [{''.join(f'<!ENTITY {one}>' for one in declared)}]>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            entities('e0 "ha"', *(f'e{n} "{f"&e{n - 1};" * 10}"' for n in range(1, 10)))
            + rss("<title>&e9;</title>").partition("?>")[2],
            "its entities stand for",
            id="a billion laughs",
        ),
        pytest.param(
            entities(f'a "{"ha" * 5_000}"') + rss(f"<title>{'&a;' * 2_000}</title>"),
            "its entities stand for",
            id="a quadratic blowup",
        ),
        pytest.param(rss("<b>" * 60_000), "nested more than 50,000 deep", id="deep nesting"),
        pytest.param(rss("<category/>" * 500_001), "500,0.. elements", id="many elements"),
        pytest.param(
            rss("<b " + " ".join(f"a{n}='>'" for n in range(1_001)) + "/>"),
            "more than 1,000 attributes, at line 1",
            id="many attributes",
        ),
        pytest.param("<rss>" + "<![CDATA[" * 200_000, "no item", id="open CDATA"),
    ],
)
def test_an_attack_is_malformed(content: str, message: str) -> None:
    with pytest.raises(MalformedFeed, match=message):
        parse(content)


LETTERS = "a" * 1_000_000
"""In which an address is looked for again at every letter: hours, were they not cut."""


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(f"<author>{LETTERS}</author>", id="author"),
        pytest.param(f"<dc:creator><![CDATA[{LETTERS}]]></dc:creator>", id="CDATA"),
        pytest.param(f"<author><b>{LETTERS}</b>{LETTERS}</author>", id="nested"),
        pytest.param(f"<author><b></author>x</b>{LETTERS}</author>", id="crossed"),
        pytest.param(f"<author><name></author>{LETTERS}</author>", id="open name"),
        pytest.param(f"<author></item><item>{LETTERS}</author>", id="open author"),
        pytest.param(f"<author>{'&#97;' * 1_000_000}</author>", id="references"),
        pytest.param(f"<author>{'a<!-- -->' * 200_000}</author>", id="comments"),
    ],
)
def test_a_name_of_any_length_is_cut(item: str) -> None:
    feed = parse(rss(f"<link>https://news.example/1</link>{item}"))
    assert feed.entries[0].url == "https://news.example/1"
    assert len(str(feed.entries[0].about.authors)) < 2_000


def test_the_name_of_an_editor_is_cut_as_well() -> None:
    channel = "".join(
        f"<{name}>{LETTERS}</{name}>" for name in ("managingEditor", "webMaster", "dc:publisher")
    )
    assert len(parse(rss("<title>One</title>", channel=channel)).entries) == 1


def test_an_entity_makes_no_name_long() -> None:
    content = rss("<author>Ana &a;</author><link>https://news.example/1</link>")
    feed = parse(
        entities(f'b "{LETTERS[:5_000]}"', 'a "&b;&b;&b;&b;"') + content.partition("?>")[2]
    )
    assert feed.entries[0].about.authors == ("Ana",)


def test_an_entity_that_names_a_file_is_not_read() -> None:
    declared = f'<!DOCTYPE rss [<!ENTITY f SYSTEM "file://{__file__}">]>'
    content = declared + rss("<title>&f;</title>").partition("?>")[2]
    (entry,) = parse(content).entries
    assert "pytest" not in str(entry)


# ── whole articles ──────────────────────────────────────────────────────────────────────────────

SENTENCE = "The council opened the old bridge to walkers again on a cold morning in January. "
WHOLE = f"<p>{SENTENCE * 2}</p>" * 8


def entry_of(content: str, *, summary: str | None = None, is_full_text: bool = True) -> FeedEntry:
    return FeedEntry("1", "https://a.example/1", content, is_full_text, FeedItem(summary=summary))


def test_a_long_text_in_paragraphs_is_a_whole_article() -> None:
    assert is_whole_article(entry_of(WHOLE))
    assert is_whole_article(entry_of(WHOLE, summary=SENTENCE))
    assert is_whole_article(entry_of(WHOLE, summary=(SENTENCE * 16).strip()))


def test_lines_are_paragraphs_where_nothing_else_parts_them() -> None:
    assert is_whole_article(entry_of("<br>".join([SENTENCE * 2] * 8)))


def test_a_footer_of_links_does_not_end_a_text() -> None:
    footer = '<p>The post <a href="/1">Bridge opened</a> first stood on <a href="/">Example</a></p>'
    assert is_whole_article(entry_of(WHOLE + footer))


def test_characters_count_where_words_are_not_parted() -> None:
    paragraph = "<p>" + "橋は今朝再び開かれました。" * 10 + "</p>"
    assert is_whole_article(entry_of(paragraph * 4))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"<p>{SENTENCE}</p>" * 3, id="short"),
        pytest.param(f"<p>{SENTENCE * 16}</p>", id="one paragraph"),
        pytest.param(f"{WHOLE}<p>And then the mayor said…</p>", id="ellipsis"),
        pytest.param(f"{WHOLE}<p>{SENTENCE} [...]</p>", id="brackets"),
        pytest.param(
            f"{WHOLE}<p>And then he told the crowd of some hundred people that</p>", id="cut"
        ),
        pytest.param(f'{WHOLE}<a href="/1">Continue reading</a>', id="continue reading"),
        pytest.param(f"{WHOLE}<p>Weiterlesen auf example.org</p>", id="weiterlesen"),
        pytest.param(f"{WHOLE}<p>続きを読む</p>", id="tsuzuki"),
        pytest.param(f"{WHOLE}<p>Read in full here: news.example/1</p>", id="in full"),
        pytest.param(f'{WHOLE}<p><a href="/1">Read article</a></p>', id="read article"),
        pytest.param(f'{WHOLE}<p><a href="/1">Bridge opened</a></p>', id="a link at the end"),
        pytest.param(f"{WHOLE}<p>Bridge opened →</p>", id="an arrow"),
        pytest.param(f"{WHOLE}<p>The story continues on our site.</p>", id="continues"),
        pytest.param(f"{WHOLE}<p>Visit us for the complete report.</p>", id="complete report"),
        pytest.param(f"{WHOLE}<p>The remainder of this text is elsewhere.</p>", id="remainder"),
        pytest.param(f"{WHOLE}<p>Listen to this episode on your player.</p>", id="episode"),
        pytest.param(f"{WHOLE}<p>This post is for paying subscribers.</p>", id="subscribers"),
        pytest.param(f"{WHOLE}<p>Become a member to see the rest.</p>", id="members"),
        pytest.param(f"{WHOLE}<p>Den ganzen Text gibt es hier.</p>", id="ganzer Text"),
        pytest.param(f"{WHOLE}<p>Nur für Abonnenten.</p>", id="Abonnenten"),
        pytest.param(f"{WHOLE}<p>Article réservé aux abonnés.</p>", id="abonnés"),
        pytest.param(f"{WHOLE}<p>Contenido exclusivo para suscriptores.</p>", id="suscriptores"),
        pytest.param(f"{WHOLE}<p>この記事は有料会員限定です。</p>", id="yuryo"),
        pytest.param(
            f"{WHOLE}<p>{SENTENCE}[…]</p><p>© Example. {SENTENCE}</p>",
            id="a cut before boilerplate",
        ),
        pytest.param(
            f'{WHOLE}<p><a href="/1">Read more</a></p>{"<li>Another story</li>" * 9}',
            id="read more before a list",
        ),
        pytest.param(
            f'<h3><a href="/1">The bridge is open again</a></h3><p>{SENTENCE * 2}</p>' * 8,
            id="a digest",
        ),
        pytest.param(
            f'<p>{SENTENCE}</p><p><a href="/1">{SENTENCE * 2}</a></p>' * 8, id="a list of links"
        ),
    ],
)
def test_a_text_that_may_go_on_elsewhere_is_no_whole_article(content: str) -> None:
    assert not is_whole_article(entry_of(content))


def test_an_appeal_to_subscribe_to_a_newsletter_ends_no_text() -> None:
    assert is_whole_article(entry_of(f"{WHOLE}<p>Subscribe to our newsletter.</p>"))


def test_what_readers_say_may_be_linked_at_the_end() -> None:
    assert is_whole_article(entry_of(f'{WHOLE}<p><a href="#c">12 comments</a></p>'))


@pytest.mark.parametrize("kind", ["audio/mpeg", "video/mp4"])
def test_the_text_beside_a_recording_is_no_whole_article(kind: str) -> None:
    text = f"<content:encoded><![CDATA[{WHOLE}]]></content:encoded>"
    attached = f"<enclosure url='https://news.example/1' type='{kind}' length='1'/>"
    (plain,) = parse(rss(text)).entries
    (recorded,) = parse(rss(text + attached)).entries
    assert (is_whole_article(plain), is_whole_article(recorded)) == (True, False)


def test_a_text_hardly_longer_than_its_summary_is_no_whole_article() -> None:
    assert not is_whole_article(entry_of(WHOLE, summary=SENTENCE * 10))


def test_a_description_must_be_very_clearly_whole() -> None:
    shorter = f"<p>{SENTENCE * 2}</p>" * 6
    assert is_whole_article(entry_of(shorter))
    assert not is_whole_article(entry_of(shorter, is_full_text=False))
    assert is_whole_article(entry_of(WHOLE * 2, is_full_text=False))


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
