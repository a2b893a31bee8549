from __future__ import annotations

import pytest
from page_factory import PARAGRAPHS

from transforms.prose import count_words, prose_share, tells_what_was_said


def test_words_are_counted_in_scripts_without_spaces_too() -> None:
    assert count_words("It’s 20 minutes to well-known places.") == 6
    assert count_words("市議会は予算案を可決した") == 6


def test_prose_is_what_stands_in_sentences() -> None:
    assert prose_share(PARAGRAPHS) == 1.0
    assert prose_share(["Home", "Sport", "Contact us"]) == 0.0
    assert prose_share([]) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "The bridge is safe, the mayor said.",
        "“We have waited for this bridge for two years.”",
        "Die Brücke sei sicher, sagte die Bürgermeisterin.",
        "Le maire a déclaré que le pont est sûr.",
        "町長は橋が安全だと述べた。",
    ],
)
def test_news_tell_what_was_said(text: str) -> None:
    assert tells_what_was_said(text)


@pytest.mark.parametrize(
    "text",
    [
        "Click on “Accept all” to go on.",
        "Sie haben bereits ein Abo? Dann melden Sie sich an.",
        "继续浏览即表示您同意。",
    ],
)
def test_pages_that_speak_for_themselves_do_not(text: str) -> None:
    assert not tells_what_was_said(text)
