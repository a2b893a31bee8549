"""What a user names after ``--feeds`` becomes one subscription a feed, or a plain error."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import UsageError
from pipelines.subscriptions import (
    MAX_OUTLINE_DEPTH,
    Subscriptions,
    parse_list,
    parse_opml,
    parse_settings,
    read_subscriptions,
    subscription_url,
)
from schemas.records import Subscription

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "feeds.md"
NEWS = "https://news.example/rss"
SPORT = "https://sport.example/atom"
SECRET = "Bearer s3cret-of-the-test"


def opml(body: str, *, declaration: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    head = "<head><title>Mine</title></head>"
    return f'{declaration}<opml version="2.0">{head}<body>{body}</body></opml>'


def outline(url: str = NEWS, text: str = "News", more: str = "") -> str:
    return f'<outline type="rss" text="{text}" xmlUrl="{url}" {more}/>'


def written(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def settings_of(text: str, **environment: str) -> Subscription:
    """The only feed of a TOML file with these lines for it."""
    read = parse_settings(
        f'[[feed]]\nurl = "{NEWS}"\n{text}'.encode(), "my.toml", environment=environment
    )
    return Subscription(NEWS, **read.feeds[0].settings)


def refused(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_subscriptions(arguments)
    return str(caught.value)


# ── URLs ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("HTTPS://News.Example/RSS", "https://news.example/RSS"),
        ("https://news.example", "https://news.example/"),
        ("https://news.example?all", "https://news.example/?all"),
        ("http://news.example:80/a", "http://news.example/a"),
        ("https://news.example:8443/a", "https://news.example:8443/a"),
        ("https://news.example/a#top", "https://news.example/a"),
        ("https://Bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://news.example/%7Ea%2Fb", "https://news.example/%7Ea%2Fb"),
        ("feed://news.example/a", "http://news.example/a"),
        ("feed:https://news.example/a", "https://news.example/a"),
        ("feed://https://news.example/a", "https://news.example/a"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        (" https://news.example/a\n", "https://news.example/a"),
        ("https://news.example/@desk.rss", "https://news.example/@desk.rss"),
    ],
)
def test_a_url_has_one_form(given: str, url: str) -> None:
    assert subscription_url(given) == url


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "no http or https URL"),
        ("/rss", "no http or https URL"),
        ("news.example/rss", "no http or https URL"),
        ("ftp://news.example/rss", "no http or https URL"),
        ("https://", "no valid host"),
        ("https:///rss", "no valid host"),
        ("https://news..example/", "no valid host"),
        ("https://news.example:99999/", "no valid host and port"),
        ("https://xn--a.example/", "no valid URL"),
        ("https://news.example/a b", "white space"),
        ("https://news.example/a\x1bb", "control character"),
        ("https://news.example/" + "a" * 5_000, "longer than 4000"),
    ],
)
def test_what_is_no_url_of_the_web_is_refused(given: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        subscription_url(given)


@pytest.mark.parametrize(
    "given",
    [
        "https://reader:pass@news.example/",
        "https://reader:pa/ss@news.example/",
        "feed:https://pass@news.example/",
        "ftp://reader:pass@news.example/",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        subscription_url(given)
    assert "…@news.example" in str(caught.value)
    assert "ss@" not in str(caught.value)


@given(st.text(max_size=40), st.sampled_from(["", "https://", "http://a.example/", "feed:"]))
def test_any_text_is_a_url_in_its_one_form_or_refused(text: str, before: str) -> None:
    try:
        url = subscription_url(before + text)
    except UsageError:
        return
    assert url.isascii()
    assert subscription_url(url) == url


# ── lists ───────────────────────────────────────────────────────────────────────────────────────


def test_a_list_has_a_url_a_line_with_comments_and_blank_lines() -> None:
    text = f"# mine\r\n{NEWS}\t# the best\r\n\r\n   {SPORT}#scores   \n# {NEWS}/old\n{NEWS}"
    assert parse_list(text, "my.txt") == [Subscription(NEWS), Subscription(SPORT)]


@pytest.mark.parametrize("end", [",", ";"])
def test_a_list_has_nothing_after_a_url(end: str) -> None:
    with pytest.raises(UsageError, match=r"my\.txt, line 2: .* ends in '" + end):
        parse_list(f"{SPORT}\n{NEWS}{end}\n", "my.txt")


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e"])
def test_a_url_with_a_character_that_cannot_be_seen_is_refused(hidden: str) -> None:
    with pytest.raises(UsageError, match=r"my\.txt, line 1: .* one that cannot be seen"):
        parse_list(f"{NEWS[:-1]}{hidden}{NEWS[-1]}", "my.txt")


@pytest.mark.parametrize("digits", ["9" * 5_000, "0x" + "f" * 5_000])
@pytest.mark.parametrize("key", ["limit", "language", "text"])
def test_a_number_of_any_length_is_refused(key: str, digits: str) -> None:
    with pytest.raises(UsageError, match=r"my\.toml"):
        settings_of(f"{key} = {digits}")


def test_a_bad_line_of_a_list_is_named_with_its_file_and_number() -> None:
    with pytest.raises(UsageError, match=r"my\.txt, line 3: news\.example is no http"):
        parse_list(f"{NEWS}\n\nnews.example\n", "my.txt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_from_a_windows_editor_is_read(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "my.txt", f"{NEWS}\r\n".encode(encoding))
    assert [one.url for one in read_subscriptions([path]).feeds] == [NEWS]


# ── OPML ────────────────────────────────────────────────────────────────────────────────────────


def test_nested_folders_become_tags_outermost_first() -> None:
    inner = f'<outline text="Europe">{outline()}</outline>'
    body = f'<outline text="World">{inner}{outline(SPORT)}</outline>'
    feeds = parse_opml(opml(body).encode(), "my.opml").feeds
    assert [(one.url, one.title, one.tags) for one in feeds] == [
        (NEWS, "News", ("World", "Europe")),
        (SPORT, "News", ("World",)),
    ]


def test_categories_become_tags_too() -> None:
    body = outline(more='category="/Arts/Film,press"')
    assert parse_opml(opml(body).encode(), "my.opml").feeds[0].tags == ("Arts", "Film", "press")


def test_a_feed_in_two_folders_is_one_with_the_tags_of_both() -> None:
    body = (
        f'<outline text="A">{outline()}</outline><outline text="B">{outline(NEWS + "#b")}</outline>'
    )
    feeds, notes = parse_opml(opml(body).encode(), "my.opml")
    assert [(one.url, one.tags) for one in feeds] == [(NEWS, ("A", "B"))]
    assert not notes


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "utf-8-sig"])
def test_opml_is_read_in_the_encoding_it_states(encoding: str) -> None:
    label = encoding.removesuffix("-sig")
    text = opml(
        outline(text="Café &amp; Öl"), declaration=f'<?xml version="1.0" encoding="{label}"?>'
    )
    feeds, notes = parse_opml(text.encode(encoding), "my.opml")
    assert feeds[0].title == "Café & Öl"
    assert not notes


def test_opml_that_is_not_well_formed_is_read_with_a_note() -> None:
    body = outline("https://news.example/?a=1&b=2", text="R & B") + "<br>" + outline(SPORT)
    feeds, notes = parse_opml(opml(body).encode(), "my.opml")
    assert [one.url for one in feeds] == ["https://news.example/?a=1&b=2", SPORT]
    assert "not well-formed" in notes[0]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('<outline text="Odd" xmlUrl=""/>', "names no feed"),
        ('<outline text="Odd"/>', "names no feed"),
        ('<outline text="Odd" xmlUrl="" htmlUrl="https://a.example/"/>', "only the site"),
        ('<outline text="Odd" htmlUrl="https://a.example/"/>', "only the site"),
        ('<outline text="Odd" type="include" url="https://a.example/o"/>', "another list"),
        ('<outline text="Odd" type="source" xmlUrl="https://a.example/o"/>', "another list"),
        ('<outline text="Odd" xmlUrl="/rss"/>', "left out: /rss is no http"),
        ('<outline text="Odd" xmlUrl="https://me:pw@a.example/"/>', "name or password"),
    ],
)
def test_an_odd_entry_is_passed_over_with_a_note(entry: str, why: str) -> None:
    feeds, notes = parse_opml(opml(entry + outline()).encode(), "my.opml")
    assert [one.url for one in feeds] == [NEWS]
    assert len(notes) == 1
    assert "Odd" in notes[0]
    assert why in notes[0]
    assert "pw@" not in notes[0]


def test_entities_that_grow_beyond_measure_are_not_expanded() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = opml(
        outline(text="&e11;") + outline(SPORT, text="Sport"),
        declaration=f'<!DOCTYPE opml [<!ENTITY e0 "haha">{entities}]>',
    )
    feeds, notes = parse_opml(text.encode(), "my.opml")
    assert [one.url for one in feeds] == [NEWS, SPORT]
    assert len(feeds[0].title or "") < 1_000
    assert notes


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    outside = written(tmp_path, "outside.txt", "not to be seen")
    text = opml(
        outline() + "<outline>&x;</outline>",
        declaration=f'<!DOCTYPE opml [<!ENTITY x SYSTEM "file://{outside}">]>',
    )
    assert "not to be seen" not in str(parse_opml(text.encode(), "my.opml"))


@pytest.mark.parametrize("tail", ["", "<"])
def test_folders_nested_too_deep_are_refused(tail: str) -> None:
    depth = MAX_OUTLINE_DEPTH + 1
    body = '<outline text="a">' * depth + "</outline>" * depth + tail
    with pytest.raises(UsageError, match="more than 100 folders"):
        parse_opml(opml(body).encode(), "my.opml")


@given(
    st.lists(
        st.sampled_from(
            [
                *("<outline text='a'>", "</outline>", "<outline", "xmlUrl='https://a.example/'"),
                *("/>", ">", '"', "&amp", "<!--", "-->", "<![CDATA[", "]]>", "<title>", "</body>"),
                *("<foaf:Agent>", "xmlns:foaf='http://xmlns.com/foaf/0.1/'", "\0", "é", "<?x"),
            ]
        ),
        max_size=12,
    )
)
def test_any_opml_is_read_or_refused(pieces: list[str]) -> None:
    try:
        feeds, _ = parse_opml(b"<opml><body>" + " ".join(pieces).encode(), "my.opml")
    except UsageError:
        return
    assert {one.url for one in feeds} <= {"https://a.example/"}


# ── settings ────────────────────────────────────────────────────────────────────────────────────


def test_every_setting_of_a_feed_is_read() -> None:
    text = """
title = "The  News"
tags = ["world", "daily", "world"]
topic = "politics"
language = "pt-BR"
text = "page"
interval = "1h"
limit = 50
headers = { X-Desk = "a b", Authorization = "env:NEWS_TOKEN" }
"""
    assert settings_of(text, NEWS_TOKEN=SECRET) == Subscription(
        NEWS,
        title="The News",
        tags=("world", "daily"),
        topic="politics",
        language="pt-BR",
        text="page",
        interval_seconds=3_600,
        limit=50,
        headers=(f"Authorization: {SECRET}", "X-Desk: a b"),
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('colour = "red"', "colour is not known here; there are url, title, tags"),
        ("title = 3", "title: it is no line of text"),
        ('title = "a\\u0007"', "title: it is no line of text"),
        ('tags = "world"', r"tags: it is no list"),
        ("tags = [1]", "tags: it is no line of text"),
        ('topic = " "', "topic: it is no line of text"),
        ('language = "German!"', "language: German! is no language tag"),
        ('text = "full"', "text: full is none of feed, page and auto"),
        ("interval = 30", "interval: it is no duration in quotation marks"),
        ('interval = "often"', "interval: 'often' is no duration"),
        ("limit = true", "limit: True is no whole number"),
        ("limit = -1", "limit: -1 is no whole number"),
        ('headers = "a: b"', "headers: it is no table"),
        ('headers = { "a b" = "c" }', "headers: 'a b' is no name of a header"),
        ("headers = { A = 1 }", "headers: the value of A is no text"),
        ('headers = { HOST = "a" }', "headers: HOST is set by newsbeam itself"),
        ('headers = { A = "x", a = "y" }', "headers: a is there twice"),
        ('headers = { A = "env:NOT_THERE" }', "environment variable NOT_THERE, for A, is not set"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_feed_and_file(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^my\.toml: feed {NEWS}: ") as caught:
        settings_of(line)
    assert why in str(caught.value)


@pytest.mark.parametrize("value", ["a\\nX: b", "", "café", "a\\u0000"])
def test_a_header_with_anything_but_printable_ascii_is_refused_unseen(value: str) -> None:
    with pytest.raises(UsageError, match="empty or holds something else") as caught:
        settings_of(f'headers = {{ A = "{value}{SECRET if value else ""}" }}')
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("feed = 3", r"write \[\[feed\]\]"),
        ("[feed]\nurl = 'x'", r"write \[\[feed\]\]"),
        ("defaults = 3", r"write \[defaults\]"),
        ("include = 'a.opml'", "no list of file names"),
        ("feeds = []", "feeds is not known"),
        ("[[feed]]\ntitle = 'x'", "feed 1 has no url"),
        ("[[feed]]\nurl = '/rss'", "feed 1: url: /rss is no http"),
        ("[defaults]\ntitle = 'x'", "title is not known here"),
        ("a = ", r"no valid TOML: .*\(at end of document\)|no valid TOML: .*line 1"),
    ],
)
def test_a_settings_file_of_another_form_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_settings(text.encode(), "my.toml")


def test_settings_show_no_header() -> None:
    headers = f'headers = {{ A = "{SECRET}" }}'
    text = f'[defaults]\n{headers}\n[[feed]]\nurl = "{NEWS}"\n{headers}'
    assert SECRET not in repr(parse_settings(text.encode(), "my.toml"))


def test_defaults_are_for_the_feeds_of_the_file_and_those_it_includes(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    written(tmp_path / "lists", "my.opml", opml(outline()))
    text = f"""
include = ["lists/my.opml"]
[defaults]
interval = "30m"
language = "de"
tags = ["daily"]
[[feed]]
url = "{SPORT}"
language = "en"
"""
    path = written(tmp_path, "my.toml", text)
    other = "https://other.example/"
    assert read_subscriptions([path, other]).feeds == (
        Subscription(NEWS, title="News", tags=("daily",), language="de", interval_seconds=1_800),
        Subscription(other),
        Subscription(SPORT, tags=("daily",), language="en", interval_seconds=1_800),
    )


def test_a_file_is_not_read_for_an_include_that_is_settings_or_remote(tmp_path: Path) -> None:
    path = written(tmp_path, "my.toml", 'include = ["other.TOML"]')
    assert "no TOML file can include" in refused(path)
    path = written(tmp_path, "my.toml", 'include = ["https://news.example/my.opml"]')
    assert "read from local files only" in refused(path)


def test_the_documented_settings_are_read() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    example = next(block for block in blocks if "[[feed]]" in block)
    read = parse_settings(example.encode(), "example", environment={"NEWS_TOKEN": SECRET})
    assert {*read.feeds[0].settings} == {one.name for one in fields(Subscription)} - {"url"}
    assert read.include


# ── together ────────────────────────────────────────────────────────────────────────────────────


def test_feeds_are_sorted_and_each_is_there_once(tmp_path: Path) -> None:
    path = written(tmp_path, "my.txt", f"{SPORT}\n{NEWS}")
    given = [path, "HTTPS://NEWS.example:443/rss#x", SPORT]
    assert read_subscriptions(given) == Subscriptions((Subscription(NEWS), Subscription(SPORT)), ())
    assert read_subscriptions(given) == read_subscriptions(given[::-1])
    assert read_subscriptions([]) == Subscriptions((), ())


def test_a_stated_feed_overrides_other_arguments_and_unites_tags(tmp_path: Path) -> None:
    listed = written(tmp_path, "my.opml", opml(f'<outline text="World">{outline()}</outline>'))
    stated = written(
        tmp_path, "my.toml", f'[[feed]]\nurl = "{NEWS}"\ntitle = "Mine"\ntags = ["daily"]'
    )
    assert read_subscriptions([NEWS, listed, stated]).feeds == (
        Subscription(NEWS, title="Mine", tags=("World", "daily")),
    )
    assert read_subscriptions([stated, listed]).feeds == (
        Subscription(NEWS, title="Mine", tags=("daily", "World")),
    )


def test_equally_explicit_settings_that_disagree_are_refused(tmp_path: Path) -> None:
    feed = f'[[feed]]\nurl = "{NEWS}"\n'
    one = written(tmp_path, "1.toml", f'{feed}headers = {{ A = "{SECRET}" }}')
    two = written(tmp_path, "2.toml", f'{feed}headers = {{ A = "x" }}')
    message = refused(one, two)
    assert "1.toml and" in message
    assert f"state different headers for {NEWS}" in message
    assert SECRET not in message
    assert len(read_subscriptions([one, one]).feeds) == 1
    assert "is there 2 times" in refused(written(tmp_path, "3.toml", feed + feed))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.xml", "<rss version='2.0'><channel/></rss>", "itself a feed"),
        ("a.xml", "<?xml version='1.0'?><!-- a -->\n<feed xmlns='a'/>", "itself a feed"),
        ("a.xml", "<rdf:RDF xmlns:rdf='a'/>", "itself a feed"),
        ("a.json", '{"version": "https://jsonfeed.org/version/1.1", "items": []}', "itself a feed"),
        ("a.json", '{"feeds": []}', "is JSON"),
        ("a.html", "<!DOCTYPE html><html></html>", "neither OPML nor a list of URLs"),
        ("a.txt", "# nothing yet\n", "names no feed"),
        ("a.txt", "", "names no feed"),
        ("a.toml", "[defaults]\nlimit = 3", "names no feed"),
        ("a.opml", "<opml><body/></opml>", "names no feed"),
        ("a.opml", "<opml><body><outline text='Odd'/></body></opml>", "the entry Odd"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "is binary"),
        ("a.toml", b"title = '\xff'", "is not in UTF-8"),
    ],
)
def test_a_file_without_subscriptions_is_refused(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    message = refused(written(tmp_path, name, content))
    assert why in message
    assert name in message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refused(str(tmp_path))
    assert "neither a file with feeds nor a URL" in refused(str(tmp_path / "none.txt"))
    assert "neither a file with feeds nor a URL" in refused("news.example/rss")
    assert "local files only" in refused("s3://bucket/my.opml")
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file" in refused(str(tmp_path / "pipe"))


def test_notes_are_given_once(tmp_path: Path) -> None:
    path = written(tmp_path, "my.opml", opml(outline() + '<outline text="Odd"/>'))
    assert len(read_subscriptions([path, path]).notes) == 1
