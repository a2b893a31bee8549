from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.feed_markup import repaired

ORDINARY = (
    '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
    "<title>A &amp; B</title><link>https://news.example/?a=1&amp;b=2</link><!-- a --><item>"
    '<guid isPermaLink="false">n-1</guid><dc:creator>Ana Example</dc:creator>'
    "<author><name>Bo Sample</name></author>"
    "<description><![CDATA[<p>R&D, desk@news.example</p>]]></description></item></channel></rss>"
)


def test_an_ordinary_feed_stays_as_it_is() -> None:
    assert repaired(ORDINARY) == ORDINARY


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("<title>A & B</title>", "<title>A &amp; B</title>"),
        ("<title>A&nbsp;B &B;</title>", "<title>A\xa0B &amp;B;</title>"),
        ("<title>&AMP; &LT;</title>", "<title>&amp; &lt;</title>"),
        ("<p><![CDATA[A & B]]></p>", "<p><![CDATA[A & B]]></p>"),
        ("<links>A</links>", "<_inks>A</_inks>"),
        ("<a:published_parsed/>", "<a:_ublished_parsed/>"),
        ("<guid>17</guid>", '<guid isPermaLink="false">17</guid>'),
        ("<guid ispermalink='true'>a/b</guid>", '<guid isPermaLink="false">a/b</guid>'),
        ("<guid>http://a.example/</guid>", "<guid>http://a.example/</guid>"),
        ("<dc:date a='1'>2020</dc:date>", "<dc:issued>2020</dc:issued>"),
        ("<media:description type='plain'/>", "<media:caption/>"),
        ("<author>desk@news.example</author>", "<author></author>"),
        ("<author><b>Ana</b> Example</author>", "<author>Ana Example</author>"),
        ("<item><author>Ana</item>", "<item><author>Ana</author></item>"),
        ("<author><name>Ana</author>", "<author><name>Ana</name></author>"),
    ],
)
def test_what_feedparser_would_misread_is_put_right(written: str, read_as: str) -> None:
    assert repaired(written) == read_as


PIECES = ["<author>", "</author>", "<name>", "</name>", "<b>", "</b>", "<item>", "</item>", "<!--"]
PIECES += ["-->", "<![CDATA[", "]]>", "<author a='>'>", "</dc:creator>", "<dc:creator>", "a" * 700]
PIECES += ["<author/>", "&#97;" * 200, "<", ">", "'"]


@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_no_author_is_long_whatever_the_markup(pieces: list[str]) -> None:
    held = re.findall(r"<author>((?:(?!</author>|<author).)*)</author>", repaired("".join(pieces)))
    assert all(len(re.sub(r"<[^<>]*>", "", text)) <= 1_000 for text in held)
