from __future__ import annotations

import json

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from page_factory import PARAGRAPHS, SEEN, URL, html, json_ld, meta
from trafilatura.utils import load_html

from schemas.records import DateHint, Provenance
from transforms.page_metadata import (
    PageMetadata,
    clean_authors,
    read_metadata,
    text_lines,
    url_date,
    without_site_name,
)


def read(content: str, url: str | None = URL) -> PageMetadata:
    return read_metadata(load_html(content), content, url, SEEN)


def source_of(result: PageMetadata, field: str) -> str | None:
    return next((item.source for item in result.provenance if item.field == field), None)


# ── metadata ────────────────────────────────────────────────────────────────────────────────────

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


def test_json_ld_states_all_metadata() -> None:
    result = read(html(json_ld(STORY)))
    assert result.title == "Bridge reopens after two years"
    assert result.authors == ("Ana Example", "Bo Sample")
    assert result.published is not None
    assert result.published.at == Timestamp.from_rfc3339("2026-03-02T07:30:00Z")
    assert result.published.source == "json-ld"
    assert result.hints == (DateHint("2026-03-05", "modified"),)
    assert result.site == "The Daily Example"
    assert result.image_url == "https://www.news.example/img/bridge.jpg"
    assert result.section == "City"
    assert result.tags == ("bridges", "traffic")
    assert result.language == "en-GB"
    assert result.description == "The old bridge is open again."
    assert result.rights == "https://creativecommons.org/licenses/by/4.0/"


def test_each_value_has_its_provenance() -> None:
    result = read(html(json_ld(STORY) + meta(og__site_name="Example")))
    assert Provenance("title", "json-ld") in result.provenance
    assert Provenance("site", "opengraph") in result.provenance
    assert Provenance("published", "json-ld") in result.provenance
    named = [item.field for item in result.provenance]
    assert len(named) == len(set(named))
    assert "agency" not in named


@pytest.mark.parametrize(
    "wrapped",
    [
        json_ld({"@context": "https://schema.org", "@graph": [{"@type": "WebSite"}, STORY]}),
        json_ld({"@type": "WebSite"}, STORY),
        json_ld({"@type": "WebPage", "mainEntity": STORY}),
        json_ld(STORY).replace('"NewsArticle"', '["Thing", "https://schema.org/NewsArticle"]'),
        json_ld(STORY).replace('"NewsArticle"', '"BlogPosting"'),
        json_ld(STORY).replace("}</script>", ",}</script>"),
        json_ld(STORY).replace("two years", "two\nyears"),
        json_ld(STORY).replace(">{", "><!--\n{").replace("}<", "}\n-->;<"),
        "<script type='application/ld+json'>not json</script>" + json_ld(STORY),
    ],
)
def test_json_ld_is_read_in_the_shapes_it_comes_in(wrapped: str) -> None:
    assert read(html(wrapped)).title == "Bridge reopens after two years"


def test_the_story_of_the_page_is_told_from_others_in_its_json_ld() -> None:
    other = {**STORY, "headline": "Ferry sold", "url": "https://www.news.example/city/ferry"}
    own = {**STORY, "mainEntityOfPage": {"@type": "WebPage", "@id": URL}}
    assert read(html(json_ld(other, own))).title == "Bridge reopens after two years"


def test_an_author_by_reference_is_looked_up() -> None:
    person = {"@type": "Person", "@id": "#ana", "name": "Ana Example"}
    graph = {"@graph": [{**STORY, "author": {"@id": "#ana"}}, person]}
    assert read(html(json_ld(graph))).authors == ("Ana Example",)


def test_an_author_may_be_given_in_parts() -> None:
    person = {"@type": "Person", "givenName": "Ana Maria", "familyName": "Example"}
    assert read(html(json_ld({**STORY, "author": [person]}))).authors == ("Ana Maria Example",)


def test_opengraph_and_meta_stand_in_for_json_ld() -> None:
    head = meta(
        og__title="Bridge reopens | Daily Example",
        og__site_name="Daily Example",
        article__published_time="2026-03-02T08:30:00Z",
        og__image="https://img.example/1.jpg",
        article__section="City",
        article__tag="bridges",
        author="By Ana Example",
        og__locale="en_GB",
    )
    result = read(html(head))
    assert result.title == "Bridge reopens"
    assert source_of(result, "title") == "opengraph"
    assert result.authors == ("Ana Example",)
    assert result.published is not None
    assert (result.published.source, result.published.precision) == ("meta", "second")
    assert result.language == "en-GB"
    assert result.tags == ("bridges",)


def test_the_heading_is_the_title_where_nothing_else_states_one() -> None:
    result = read(html())
    assert (result.title, source_of(result, "title")) == ("Bridge reopens", "headline")


def test_entities_in_metadata_are_text() -> None:
    head = meta(og__title="Bridge &amp;amp; ferry &amp;#8211; what now")
    assert read(html(head)).title == "Bridge & ferry – what now"


def test_entities_escaped_twice_are_text() -> None:
    story = {**STORY, "headline": "Bridge reopens&amp;#8230; after two years"}
    assert read(html(json_ld(story))).title == "Bridge reopens… after two years"


def test_a_title_that_was_cut_is_given_in_full() -> None:
    whole = "Bridge over the river reopens two years after a flood washed away its middle arch and "
    whole += "cut the town in two"
    head = json_ld({**STORY, "headline": whole[:100]}) + meta(og__title=f"{whole} | Daily Example")
    assert read(html(head, f"<h1>{whole}</h1>")).title == whole


def test_the_site_is_the_host_where_no_name_is_given() -> None:
    result = read(html())
    assert (result.site, source_of(result, "site")) == ("news.example", "url")


@pytest.mark.parametrize(
    ("below", "authors"),
    [
        ("<p>By Ana Example</p>", ("Ana Example",)),
        ("<p>By Ana Example | 2 March 2026</p>", ("Ana Example",)),
        ("<p>Ana Example</p><p>2 March 2026</p>", ("Ana Example",)),
        ("<p>2 March 2026</p><p>Ana Example, Bo Sample</p>", ("Ana Example", "Bo Sample")),
        ("<p>Ana Example</p>", ()),
        ("<h2>River Town</h2><p>2 March 2026</p>", ()),
    ],
)
def test_a_line_below_the_headline_names_the_authors(below: str, authors: tuple[str, ...]) -> None:
    story = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
    assert read(html("", f"<h1>Bridge reopens</h1>{below}{story}")).authors == authors


def test_an_author_is_told_from_the_box_about_the_author() -> None:
    box = (
        "<div itemprop=author><span itemprop=name>Ana Example</span> grew up by the river, and "
        "writes about bridges.</div>"
    )
    result = read(html("", f"<h1>Bridge reopens</h1>{box}"))
    assert (result.authors, source_of(result, "authors")) == (("Ana Example",), "markup")


def test_an_agency_among_the_authors_is_named() -> None:
    story = {**STORY, "author": {"@type": "Organization", "name": "Reuters"}}
    result = read(html(json_ld(story)))
    assert (result.agency, source_of(result, "agency")) == ("Reuters", "json-ld")


# ── dates ───────────────────────────────────────────────────────────────────────────────────────


def day_of(result: PageMetadata) -> str | None:
    return result.published.at.to_rfc3339()[:10] if result.published else None


def test_a_date_of_modification_is_no_publication_date() -> None:
    result = read(html(meta(article__modified_time="2026-03-05T10:00:00Z")))
    assert result.published is None
    assert result.hints == (DateHint("2026-03-05", "modified"),)


def test_the_url_dates_a_page_that_does_not() -> None:
    result = read(html(), url="https://www.news.example/2026/03/02/bridge")
    assert day_of(result) == "2026-03-02"
    assert source_of(result, "published") == "url"


def test_a_line_beside_the_headline_dates_a_page_that_states_no_date() -> None:
    story = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
    result = read(html("", f"<h1>Bridge reopens</h1><div>2 March 2026</div>{story}"))
    assert day_of(result) == "2026-03-02"
    assert source_of(result, "published") == "date-line"


def test_a_date_in_the_story_does_not_date_it() -> None:
    story = "".join(f"<p>{paragraph} It was 2 March 2024.</p>" for paragraph in PARAGRAPHS)
    assert read(html("", f"<h1>Bridge reopens</h1>{story}")).published is None


def test_a_time_of_day_is_taken_from_whoever_knows_it() -> None:
    head = json_ld({**STORY, "datePublished": "2026-03-02"}) + meta(
        article__published_time="2026-03-02T08:30:00Z"
    )
    published = read(html(head)).published
    assert published is not None
    assert (published.precision, published.source) == ("second", "meta")


def test_no_date_is_in_the_future() -> None:
    assert read(html(json_ld({**STORY, "datePublished": "2031-01-01"}))).published is None


@pytest.mark.parametrize(
    ("url", "date"),
    [
        ("https://n.example/2026/03/02/bridge", "2026-03-02"),
        ("https://n.example/news-20260302-bridge.html", "2026-03-02"),
        ("https://n.example/2026-03-02", "2026-03-02"),
        ("https://n.example/2026/03/bridge", None),
        ("https://n.example/id/120260302", None),
        ("https://n.example/a?d=2026-03-02", None),
        (None, None),
    ],
)
def test_only_a_whole_date_in_the_path_of_a_url_is_one(url: str | None, date: str | None) -> None:
    assert url_date(url) == date


# ── addresses ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "canonical"),
    [
        ("<link rel=canonical href='/city/bridge'>", "https://www.news.example/city/bridge"),
        ("<link rel='alternate canonical' href='https://a.example/b#c'>", "https://a.example/b"),
        (meta(og__url="https://a.example/b?id=1&amp;p=2"), "https://a.example/b?id=1&p=2"),
        ("<link rel=canonical href='https://www.news.example/'>", None),
        ("<link rel=canonical href='/en/'>" + meta(og__url="/city/b"), f"{URL[:24]}/city/b"),
        ("<link rel=canonical href='http://[broken'>", None),
        ("<link rel=canonical href='javascript:void(0)'>", None),
    ],
)
def test_the_canonical_url_is_absolute_and_no_home_page(head: str, canonical: str | None) -> None:
    assert read(html(head)).canonical_url == canonical


def test_a_page_saved_by_a_browser_may_say_from_where() -> None:
    saved = html().replace("<html", f"<!-- saved from url=(0046){URL} -->\n<html", 1)
    assert read(saved, url=None).page_url == URL


def test_a_url_that_is_none_does_no_harm() -> None:
    assert read(html(), url="http://[broken").canonical_url is None


# ── titles, authors, words ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Bridge reopens - Daily Example", "Bridge reopens"),
        ("Daily Example: Bridge reopens", "Bridge reopens"),
        ("Bridge reopens | City | The Daily Example", "Bridge reopens | City"),
        ("Bridge reopens – dailyexample.com", "Bridge reopens"),
        ("Bridge - and ferry", "Bridge - and ferry"),
        ("The Daily Example", ""),
    ],
)
def test_the_name_of_the_site_is_cut_from_titles(title: str, left: str) -> None:
    assert without_site_name(title, ["Daily Example"]) == left


@pytest.mark.parametrize(
    ("names", "cleaned"),
    [
        (["By Ana Example and Bo Sample"], ("Ana Example", "Bo Sample")),
        (["Ana Example, Bo Sample; Cy Test"], ("Ana Example", "Bo Sample", "Cy Test")),
        (["Von Ana Example"], ("Ana Example",)),
        (["Ana Example", "ana example"], ("Ana Example",)),
        (["Ana Ortega y Gasset"], ("Ana Ortega y Gasset",)),
        (["Ana Example y Bo Sample"], ("Ana Example", "Bo Sample")),
        (["https://news.example/ana", "ana@news.example", "105092"], ()),
        (["Staff Writer", "admin", "Daily Example"], ()),
        (["Ana Example, Chief Political Correspondent"], ("Ana Example",)),
        (["Ana Example March 2, 2026"], ("Ana Example",)),
        (["Ana Example February 8"], ("Ana Example",)),
        (["image.dataset.src", "wp-block-post-author"], ()),
        (["Ana Example, and her dogs"], ("Ana Example",)),
        (["Jan van der Sample", "van der Sample"], ("Jan van der Sample", "van der Sample")),
        (["More about Ana Example"], ("Ana Example",)),
        (["李小明"], ("李小明",)),
    ],
)
def test_authors_are_persons(names: list[str], cleaned: tuple[str, ...]) -> None:
    assert clean_authors(names, ["The Daily Example"]) == cleaned


# ── lines ───────────────────────────────────────────────────────────────────────────────────────


def test_lines_say_how_much_of_them_is_a_link_and_what_time_they_state() -> None:
    page = load_html(
        "<html><body><h2>One</h2><ul><li><a href=/2>Two</a></li></ul>"
        "<p>Th<b>re</b>e<br>four</p><div><time datetime=2026-03-02>today</time></div></body></html>"
    )
    lines = list(text_lines(page))
    assert [line.text for line in lines] == ["One", "Two", "Three", "four", "today"]
    assert [line.linked for line in lines] == [0, 1, 0, 0, 0]
    assert [line.tag for line in lines] == ["h2", "li", "p", "", "div"]
    assert lines[-1].time == "2026-03-02"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*STORY, "name", "@id", "url", "@graph", "mainEntityOfPage"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50)
@given(JSON)
def test_any_json_ld_is_survived(value: object) -> None:
    node = {"@type": "NewsArticle", "x": value, **(value if isinstance(value, dict) else {})}
    script = json.dumps(node)
    head = f'<script type="application/ld+json">{script.replace("<", " ")}</script>'
    assert isinstance(read(html(head)), PageMetadata)
