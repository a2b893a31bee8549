"""Segmentation: which lines of a text dump are stories, and what the others say of them."""

from __future__ import annotations

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Article, DateHint, Failure, Page
from transforms.segmentation import MAX_PAYLOAD_BYTES, segment_dump

OBSERVED_AT = Timestamp.from_rfc3339("2026-11-20T07:00:00Z")
PAGE = Page("file:///dumps/one.txt", "file:///dumps/one.txt", "text", b"", OBSERVED_AT)

BRIDGE = "Council Votes to Rebuild the Old Mill Bridge"
BRIDGE_BODY = [
    "The council of Lower Wickham voted on Monday to rebuild the bridge at the old mill, which"
    " the river carried away in the spring flood.",
    "Work will start before the winter, the mayor told reporters after the vote, and traffic will"
    " be led over the ferry until then.",
    '"We have waited long enough," she said.',
    "Opponents had asked for a tunnel, which the engineers of the province called twice as dear as"
    " a bridge and no safer in a flood.",
    "The ferry company said it would run two boats an hour while the bridge is being rebuilt.",
]
HARVEST = "Dry Summer Halves the Apple Harvest in the Valley"
HARVEST_BODY = [
    "Growers in the valley expect to pick half as many apples as last year after eleven weeks"
    " without rain, their association announced on Thursday.",
    "Younger trees suffered most because their roots do not reach the ground water, a pomologist"
    " at the research station explained.",
    "Cider makers have begun to buy fruit from abroad, and the price of juice has gone up by a"
    " third since August.",
    "The ministry of agriculture promised loans for orchards that want to lay pipes before the"
    " next dry season comes.",
]
CAPTION = "The mill and what is left of its crossing, November 11, 2019. (Wickham Press Office)"


def segment(text: str) -> list[Article]:
    found = segment_dump(PAGE, text, "utf-8", False)
    assert all(isinstance(one, Article) for one in found), found
    return [one for one in found if isinstance(one, Article)]


def one(text: str) -> Article:
    (article,) = segment(text)
    return article


def paragraphs(lines: list[str]) -> str:
    return "\n\n".join(lines)


def widget_page(title: str, caption: str, body: list[str]) -> str:
    """A story as a page with a gallery widget dumps it."""
    pair = f"{caption}\n{caption}"
    return f"{title}\n\n{pair}\nTT\n20\n\n{title}\n\n{pair}\n\n{paragraphs(body)}"


def test_headline_captions_and_crumbs_leave_the_body_alone() -> None:
    article = one(widget_page(BRIDGE, CAPTION, BRIDGE_BODY))
    assert article.title == BRIDGE
    assert article.body == paragraphs(BRIDGE_BODY)


def test_two_stories_in_one_dump_are_two_articles_in_order() -> None:
    second = "Baskets of windfall under the trees (Valley Growers)"
    text = "\n\n\n\n".join(
        [widget_page(BRIDGE, CAPTION, BRIDGE_BODY), widget_page(HARVEST, second, HARVEST_BODY)]
    )
    articles = segment(text)
    assert [article.title for article in articles] == [BRIDGE, HARVEST]
    assert [article.body for article in articles] == [
        paragraphs(BRIDGE_BODY),
        paragraphs(HARVEST_BODY),
    ]


def test_articles_are_numbered_from_one_under_the_origin_of_their_page() -> None:
    article = one(widget_page(BRIDGE, CAPTION, BRIDGE_BODY))
    assert article.origin == "file:///dumps/one.txt#1"
    assert article.page_origin == "file:///dumps/one.txt"


def test_plain_stories_are_parted_by_many_empty_lines_and_other_words() -> None:
    text = "\n\n\n\n".join(
        [f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}", f"{HARVEST}\n\n{paragraphs(HARVEST_BODY)}"]
    )
    assert [article.title for article in segment(text)] == [BRIDGE, HARVEST]


def test_the_same_story_printed_again_and_again_is_found_each_time() -> None:
    page = widget_page(BRIDGE, CAPTION, BRIDGE_BODY)
    articles = segment("\n\n\n\n".join([page] * 5))
    assert [article.body for article in articles] == [paragraphs(BRIDGE_BODY)] * 5


def test_a_caption_dates_nothing_and_is_kept_as_a_hint() -> None:
    article = one(widget_page(BRIDGE, CAPTION, BRIDGE_BODY))
    assert article.published is None
    assert article.hints == (DateHint("2019-11-11", "caption"),)


def test_a_date_line_dates_and_a_byline_signs() -> None:
    article = one(
        f"{BRIDGE}\n\n{BRIDGE}\n\nTuesday, 14 January, 2020 - 07:15\n{CAPTION}\n"
        f"Paris, Rome - Ann Lee and The Morning Paper\n\n{paragraphs(BRIDGE_BODY)}\n\nEditor Picks"
    )
    assert article.published is not None
    assert article.published.at.to_rfc3339() == "2020-01-14T00:00:00Z"
    assert article.published.precision == "day"
    assert article.published.source == "date-line"
    assert article.authors == ("Ann Lee", "The Morning Paper")
    assert article.dateline == "Paris, Rome"
    assert article.body == paragraphs(BRIDGE_BODY)


def test_a_line_of_place_agency_and_day_is_a_dateline() -> None:
    article = one(
        f"Rocket News - Your Rockets Today\n{BRIDGE}\nBaghdad, March 14 (AFP) Mar 14, 2025\n"
        f"{paragraphs(BRIDGE_BODY)}\n\nabc-de/fg\n\nX\n\n\nADVERTISEMENT"
    )
    assert (article.dateline, article.agency, article.site) == ("Baghdad", "AFP", "Rocket News")
    assert article.published is not None
    assert article.published.at.to_rfc3339() == "2025-03-14T00:00:00Z"
    assert article.published.source == "dateline"
    assert article.body == paragraphs(BRIDGE_BODY)


def test_a_dateline_before_the_first_sentence_moves_into_its_field() -> None:
    body = [f"OSLO, May 2 (Reuters) - {BRIDGE_BODY[0]}", *BRIDGE_BODY[1:]]
    article = one(f"{BRIDGE}\n\n{paragraphs(body)}")
    assert (article.dateline, article.agency, article.published) == ("OSLO", "Reuters", None)
    assert article.body == paragraphs(BRIDGE_BODY)


def test_every_value_read_from_the_text_says_where_it_comes_from() -> None:
    article = one(f"{BRIDGE}\n\nBy Ann Lee\n\n3 January 2024\n\n{paragraphs(BRIDGE_BODY)}")
    sources = {provenance.field: provenance.source for provenance in article.provenance}
    assert sources == {"title": "headline", "authors": "byline", "published": "date-line"}


@pytest.mark.parametrize("heading", ["Efforts to Keep the Ferry Running", "- Tunnel too dear -"])
def test_a_subheading_belongs_to_the_body(heading: str) -> None:
    body = [*BRIDGE_BODY[:2], heading, *BRIDGE_BODY[2:]]
    assert one(f"{BRIDGE}\n\n{paragraphs(body)}").body == paragraphs(body)


def test_lists_of_links_and_the_notice_below_are_no_body() -> None:
    links = (
        "Space News Coverage\nProbe sends pictures of a distant moon\n"
        "Agency and start-up agree on launches from the northern island\n\n"
        "Energy News Coverage\nStudy links tides to the price of power in coastal towns"
    )
    notice = "All rights reserved. Copyright Wickham Press. You may not copy any of the content."
    article = one(f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}\n\n\n{links}\n\n\n\n{notice}")
    assert article.body == paragraphs(BRIDGE_BODY)
    assert article.rights == notice


def test_navigation_and_a_cookie_banner_above_are_no_body() -> None:
    menu = "\n".join(["Home", "News", "Sport", "Culture", "Weather", "Jobs", "Log in", "Search"])
    banner = "We use cookies to make this site better. Read our privacy policy to learn more."
    article = one(f"{menu}\n\n{banner}\n\n{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}")
    assert article.title == BRIDGE
    assert article.body == paragraphs(BRIDGE_BODY)


def test_widgets_inside_the_body_are_dropped() -> None:
    lines = [*BRIDGE_BODY[:2], "ADVERTISEMENT", "Share", "20", "Read more", *BRIDGE_BODY[2:]]
    assert one(f"{BRIDGE}\n\n{paragraphs(lines)}").body == paragraphs(BRIDGE_BODY)


def test_a_standfirst_above_the_byline_is_the_description() -> None:
    standfirst = "The province pays two thirds of the cost, and the ferry gets a second boat."
    article = one(f"{BRIDGE}\n\n{standfirst}\n\nBy Ann Lee\n\n{paragraphs(BRIDGE_BODY)}")
    assert article.description == standfirst
    assert article.body == paragraphs(BRIDGE_BODY)


def test_single_line_breaks_part_paragraphs_as_well() -> None:
    article = one(f"{BRIDGE}\n\n" + "\n".join(BRIDGE_BODY))
    assert article.body == paragraphs(BRIDGE_BODY)


def test_other_languages_and_scripts_are_segmented_as_well() -> None:
    body = [
        "Совет посёлка Нижний Уикем проголосовал в понедельник за восстановление моста у старой"
        " мельницы, который весной унесла река.",
        "Работы начнутся до зимы, сообщила журналистам глава посёлка после голосования, а до тех"
        " пор движение пойдёт через паром.",
        "Противники требовали построить тоннель, который инженеры сочли вдвое более"
        " дорогим и ничуть"
        " не более надёжным.",
    ]
    title = "Совет решил восстановить мост у мельницы"
    article = one(
        f"Главная\nНовости\nСпорт\n\n{title}\n\n14 января 2020, 10:30\n\n{paragraphs(body)}"
    )
    assert article.title == title
    assert article.body == paragraphs(body)
    assert article.published is not None
    assert article.published.at.to_rfc3339() == "2020-01-14T00:00:00Z"


@pytest.mark.parametrize("separator", ["* * *", "---", "________", "＊＊＊", "~ ~ ~"])
def test_a_rule_parts_two_stories_whose_headlines_are_printed_once(separator: str) -> None:
    stories = [f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}", f"{HARVEST}\n\n{paragraphs(HARVEST_BODY)}"]
    articles = segment(f"\n\n{separator}\n\n".join(stories))
    assert [article.title for article in articles] == [BRIDGE, HARVEST]
    assert [article.body for article in articles] == [
        paragraphs(BRIDGE_BODY),
        paragraphs(HARVEST_BODY),
    ]


def test_a_rule_inside_a_story_does_not_part_it() -> None:
    more = [line.replace("bridge", "crossing") for line in BRIDGE_BODY]
    text = f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}\n\n* * *\n\n{paragraphs(more)}"
    assert one(text).body == paragraphs(list(dict.fromkeys([*BRIDGE_BODY, *more])))


def test_a_line_printed_twice_inside_a_story_does_not_part_it() -> None:
    more = [line.replace("bridge", "crossing") for line in BRIDGE_BODY]
    label = "The ferry and its timetable"
    lines = [*BRIDGE_BODY, label, "Show", label, *more]
    article = one(f"{BRIDGE}\n\n{paragraphs(lines)}")
    assert article.body.startswith(BRIDGE_BODY[0])
    assert article.body.endswith(more[-1].split(". ")[-1])


@pytest.mark.parametrize(
    "line",
    [
        "Ann Lee is a reporter in Lower Wickham. Write to her at ann.lee@example.org",
        "Subscribe to the Morning Paper for two coins a week.",
        "Our newsletter brings you the valley's news at seven every morning.",
        "Abonnieren Sie unseren Newsletter und verpassen Sie keine Nachricht aus dem Tal.",
        "Подписывайтесь на наш канал и читайте новости долины первыми.",
        "The mill and what is left of the crossing over the river. A. LEE / VALLEY PRESS",
        "The mill and what is left of its crossing over the riverCredit: Valley Press",
        "Bildunterschrift: Die Mühle und was von der Brücke nach der Flut übrig ist.",
        "— Ann Lee (@annlee) May 2, 2024",
    ],
)
def test_contacts_requests_and_captions_are_no_body(line: str) -> None:
    lines = [*BRIDGE_BODY[:2], line, *BRIDGE_BODY[2:]]
    assert one(f"{BRIDGE}\n\n{paragraphs(lines)}").body == paragraphs(BRIDGE_BODY)


def test_a_quoted_wish_is_no_request_to_the_reader() -> None:
    wish = '"Nobody will read your newsletter before the bridge stands again," the mayor said.'
    lines = [*BRIDGE_BODY[:2], wish, *BRIDGE_BODY[2:]]
    assert wish in one(f"{BRIDGE}\n\n{paragraphs(lines)}").body


def test_what_the_last_paragraph_tells_of_the_author_is_no_body() -> None:
    portrait = "Ann Lee has written on rivers and their bridges for twenty years."
    article = one(f"{BRIDGE}\n\nBy Ann Lee\n\n{paragraphs([*BRIDGE_BODY, portrait])}")
    assert article.authors == ("Ann Lee",)
    assert article.body == paragraphs(BRIDGE_BODY)


def test_summaries_under_links_below_the_story_are_no_body() -> None:
    links = "\n\n".join(
        f"Related\n{title}\n{title} is the subject of a report that fills a page of the paper."
        for title in ("New boats for the lake", "Owls in the tower", "A well runs dry")
    )
    text = f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}\n\n{links}"
    assert one(text).body == paragraphs(BRIDGE_BODY)


def test_a_dialog_that_asks_for_consent_is_no_story() -> None:
    dialog = [
        "We store cookies on your device so that we can show you what may be of interest to you.",
        "You have the right to object to the use of your personal data by third parties.",
        "If you opt out, you will go on seeing advertisements that know nothing of you at all.",
        "Some cookies cannot be switched off because the pages would not work without them.",
        "Your consent is kept for half a year, after which you will be asked for it once more.",
        "The list of all third parties that your data may reach can be read on another page.",
    ]
    text = f"{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}\n\n\n\n\n{paragraphs(dialog)}"
    assert one(text).body == paragraphs(BRIDGE_BODY)


def test_a_menu_joined_to_one_line_is_no_paragraph() -> None:
    menu = "Home News Sport Culture Weather Jobs Valley Lake Hills Town Mayor Council " * 3
    text = f"{menu}\n\n{BRIDGE}\n\n{paragraphs(BRIDGE_BODY)}"
    assert one(text).body == paragraphs(BRIDGE_BODY)


def test_a_caption_above_the_dateline_is_no_body() -> None:
    caption = "People stand on the bank of the river and look at what the flood has left of it."
    body = [caption, f"OSLO, May 2 (Reuters) - {BRIDGE_BODY[0]}", *BRIDGE_BODY[1:]]
    assert one(f"{BRIDGE}\n\n{paragraphs(body)}").body == paragraphs(BRIDGE_BODY)


@pytest.mark.parametrize("text", ["1 " * 400, "12.5 % 3/4 – 77.\n\n" * 60, "-- ** -- ** " * 90])
def test_numbers_and_signs_without_words_are_no_article(text: str) -> None:
    (failure,) = segment_dump(PAGE, text, "utf-8", False)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == ("rejected", "no-article")


def test_extraction_says_how_the_body_was_obtained() -> None:
    (article,) = segment_dump(PAGE, widget_page(BRIDGE, CAPTION, BRIDGE_BODY), "koi8-r", True)
    assert isinstance(article, Article)
    assert article.extraction.method == "text-dump"
    assert article.extraction.versions.startswith("newsbeam==")
    assert article.extraction.quality == 1.0
    assert (article.extraction.encoding, article.extraction.repaired) == ("koi8-r", True)


@pytest.mark.parametrize("text", ["", " \n\t\n\u200b"])
def test_an_empty_text_is_rejected_as_empty(text: str) -> None:
    (failure,) = segment_dump(PAGE, text, "utf-8", False)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.stage, failure.reason) == ("rejected", "extract", "empty")


def test_a_dump_without_story_is_rejected_with_what_was_in_it() -> None:
    text = "Home\nNews\nSport\nÄrger\n" * 4_000
    (failure,) = segment_dump(PAGE, text, "utf-8", False)
    assert isinstance(failure, Failure)
    assert failure.reason == "no-article"
    assert len(failure.payload) <= MAX_PAYLOAD_BYTES
    assert text.encode().startswith(failure.payload)


@given(st.text(max_size=400))
def test_any_text_gives_articles_or_one_failure(text: str) -> None:
    found = segment_dump(PAGE, text, "utf-8", False)
    assert found
    assert len(found) == 1 or all(isinstance(one, Article) for one in found)


SENTENCES = st.sampled_from([*BRIDGE_BODY, *HARVEST_BODY, "Share", "TT", "Home", CAPTION, BRIDGE])


@given(st.lists(SENTENCES, max_size=30))
def test_a_body_holds_nothing_that_is_not_in_the_dump(lines: list[str]) -> None:
    text = "\n\n".join(lines)
    for found in segment_dump(PAGE, text, "utf-8", False):
        if isinstance(found, Article):
            assert all(paragraph in lines for paragraph in found.body.split("\n\n"))


@pytest.mark.parametrize(
    "line", ["(" * 200_000, "a/" * 100_000, "12/" * 100_000, "word. " * 50_000]
)
def test_a_line_without_end_does_not_stall(line: str) -> None:
    assert segment_dump(PAGE, f"{BRIDGE}\n\n{line}", "utf-8", False)
