"""Words and prose: how long a text is, and whether it is one. Pure, and bounded by its input."""

from __future__ import annotations

import re
from collections.abc import Iterable

MIN_BODY_WORDS = 25
"""A text with fewer words is no article: a caption, a notice, a page's furniture."""

PROSE_WORDS = 12
"""A line with fewer words is no prose: a heading, a label, a button."""

_WORD = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*")
# Scripts that are written without spaces; two characters make a word, roughly.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_END = re.compile('[.!?…。！？।؟]["\'”’»«)\\]]*$|["”’»]$')


def count_words(text: str) -> int:
    """Number of words; in a script without spaces, half the number of characters."""
    unspaced, spaced_only = len(_UNSPACED.findall(text)), text
    if unspaced:
        spaced_only = _UNSPACED.sub(" ", text)
    return sum(1 for _ in _WORD.finditer(spaced_only)) + (unspaced + 1) // 2


def count_unspaced(texts: Iterable[str]) -> int:
    """Number of characters in scripts without spaces, by which such texts are measured, too."""
    return sum(len(_UNSPACED.findall(text)) for text in texts)


def is_prose(line: str) -> bool:
    """Whether a line is prose: a dozen words or more that end a sentence."""
    return count_words(line) >= PROSE_WORDS and _SENTENCE_END.search(line) is not None


def prose_share(paragraphs: Iterable[str]) -> float:
    """Share of the words that stand in prose: paragraphs of a dozen words that end a sentence."""
    words = prose = 0
    for paragraph in paragraphs:
        count = count_words(paragraph)
        words += count
        if count >= PROSE_WORDS and _SENTENCE_END.search(paragraph):
            prose += count
    return round(prose / words, 3) if words else 0.0


def words_in(texts: Iterable[str]) -> int:
    """Number of words of several texts."""
    return sum(map(count_words, texts))


def title_words(title: str) -> set[str]:
    """The words of a title that may tell it from others; in unspaced scripts its characters."""
    folded = title.casefold()
    words = (match.group() for match in _WORD.finditer(_UNSPACED.sub(" ", folded)))
    return {word for word in words if len(word) > 3} | set(_UNSPACED.findall(folded))


def line_key(text: str) -> str:
    """A line as it is compared with others: its letters and digits, without case.

    >>> line_key("- Read: Bridge re-opens!")
    'readbridgereopens'
    """
    return _NOT_ALNUM.sub("", text.casefold())


_NOT_ALNUM = re.compile(r"[\W_]+")

_SAID = re.compile(
    r"\b(?:said|says|told|tells|announced|reported (?:that|on|by)"
    r"|according to (?!our|your|you\b|the (?:choices|settings))|found that|ruled"
    r"|stated that|argued|warned that|added that"
    r"|sagten?|sagt|teilten?\b.{1,60}\bmit|erklärten?|meldet(?:en?)?|berichtet(?:en?)?"
    r"|entschied(?:en)?|heißt es|kritisiert(?:en?)?|kündigten?\b.{1,60}\ban"
    r"|(?:a|ont) (?:dit|déclaré|annoncé|indiqué|expliqué|affirmé|jugé|précisé)"
    r"|dijo|dijeron|afirmó|anunció|explicó|informó|señaló|aseguró"
    r"|disse(?:ram)?|afirmou|anunciou|explicou|informou"
    r"|(?:ha|hanno) (?:detto|dichiarato|annunciato|spiegato|affermato)"
    r"|zegt|zei(?:den)?|meldt|aldus|vertelt|liet weten"
    r"|säger|sade|sier|opplyser|siger|sagde|oplyser|sanoi|kertoi"
    r"|powiedzia\w+|poinformowa\w+|oświadczy\w+|řekl\w*|uvedl\w*|povedal\w*"
    r"|mondta|közölte|a spus|a declarat|a anunțat|dedi|söyledi|açıkladı"
    r"|сказал\w*|заявил\w*|сообщил\w*|сообща[ею]т|рассказал\w*|заявив|заявила|повідоми\w+"
    r"|είπε|δήλωσε|ανακοίνωσε|mengatakan|(?<!vui lòng )cho biết)\b"
    r"|述べ|発表し|話した|によると|明らかにした|报道|指出|宣布|表示[，,：:]|報導|밝혔|말했|따르면"
    r"|\bقال|\bأعلن",
    re.IGNORECASE,
)
_QUOTATION = re.compile(r"[“„«「『\"]([^“”„«»「」『』\"]{4,2000})[”“»」』\"]")
_MIN_QUOTED_WORDS = 6


def tells_what_was_said(text: str) -> bool:
    """Whether a text has a verb of speech, or quotes more than the label of a button.

    News do so all the time; a page that speaks for itself does not.
    """
    if _SAID.search(text):
        return True
    quoted = (match[1] for match in _QUOTATION.finditer(text))
    return any(count_words(words) >= _MIN_QUOTED_WORDS for words in quoted)
