"""Language of an article's text: title and body in, code, score and source out.

The identifier is py3langid (BSD; 139 languages; model of 4.6 MB in its wheel), a naive Bayes
classifier over byte n-grams (Lui and Baldwin, "langid.py", ACL 2012 demonstrations). This module
knows no Beam. A text too short or too mixed to tell gets no language rather than a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from babel.core import get_global
from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_LETTERS = 20
"""Texts of fewer letters are not identified."""
MAX_TEXT_CHARACTERS = 8_000
"""Only so much of title and body is read; more changes no decision and costs time."""
MIN_SCORE = 0.5
"""A language less probable than this is not stated."""
MIN_DECLARED_PROBABILITY = 0.1
"""A declared language holds against the likeliest one from this probability on: between close
relatives (Croatian and Bosnian, Danish and Norwegian) the page knows better than n-grams."""

# Varieties that the model tells apart and written news does not: spoken Arabics against the
# standard, Wu and Cantonese against written Chinese, Southern Uzbek against Uzbek, biblical Hebrew
# and Greek against the modern ones.
_FOLDED_VARIETIES = {
    "arz": "ar",
    "ary": "ar",
    "wuu": "zh",
    "yue": "zh",
    "nb": "no",
    "uzs": "uz",
    "hbo": "he",
    "grc": "el",
}
_NO_LANGUAGE = frozenset({"zxx", "und", "mul", "mis", "x"})
_PRIMARY_SUBTAG = re.compile(r"^\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]+)*\s*$")


class Identifier(Protocol):
    """What ranks languages: py3langid's ``LanguageIdentifier``, or a fake in a test."""

    def rank(self, text: str) -> list[tuple[str, float]]:
        """Give every language with its probability, likeliest first."""
        ...


@dataclass(frozen=True, slots=True)
class Language:
    """The language of a text, or that it could not be told."""

    code: str | None
    """ISO 639-1, or ISO 639-3 where that has none; None where it could not be told."""
    score: float
    """Probability of ``code`` by the text, 0 to 1; 0 where the text did not decide."""
    source: str
    """``text``, ``declared`` or ``none``."""


def load_identifier() -> Identifier:
    """Load the model, with probabilities normalised; once a worker (half a second, 70 MB)."""
    identifier: Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier


def normalise_language_tag(tag: str | None) -> str | None:
    """Reduce a BCP 47 tag (RFC 5646) to the code this module uses, or None where it has none.

    >>> normalise_language_tag("en-GB"), normalise_language_tag("und")
    ('en', None)
    """
    match = _PRIMARY_SUBTAG.match(tag or "")
    if not match:
        return None
    subtag = match[1].lower()
    if subtag in _NO_LANGUAGE:
        return None
    subtag = _FOLDED_VARIETIES.get(subtag, subtag)
    if subtag in {"no", "nor"}:
        return "no"  # CLDR reads the macrolanguage as Bokmål; the model says "no"
    code: str = get_global("language_aliases").get(subtag, subtag)
    code = re.split("[-_]", code)[0]
    return _FOLDED_VARIETIES.get(code, code)


def identify_language(
    identifier: Identifier, title: str | None, body: str, declared: str | None
) -> Language:
    """Identify the language of an article.

    The text decides. What the page or feed declares decides only where the text is too short, and
    between languages that the text leaves open.

    Args:
        identifier: As :func:`load_identifier` gives it.
        title: The article's title, if it has one.
        body: The article's text.
        declared: A BCP 47 tag that the page or feed states; anything else in it is ignored.
    """
    text = f"{title or ''}\n{body}"[:MAX_TEXT_CHARACTERS]
    stated = normalise_language_tag(declared)
    if sum(map(str.isalpha, text)) < MIN_LETTERS:
        return _by_declaration(stated)
    probabilities: dict[str, float] = {}
    for label, probability in identifier.rank(text):
        code = _FOLDED_VARIETIES.get(label, label)
        probabilities[code] = probabilities.get(code, 0.0) + probability
    if stated and probabilities.get(stated, 0.0) >= MIN_DECLARED_PROBABILITY:
        best = max(probabilities, key=lambda code: (probabilities[code], code))
        source = "text" if best == stated else "declared"
        return Language(stated, min(probabilities[stated], 1.0), source)
    best = max(probabilities, key=lambda code: (probabilities[code], code))
    if best in _NO_LANGUAGE or probabilities[best] < MIN_SCORE:
        return _by_declaration(stated)
    return Language(best, min(probabilities[best], 1.0), "text")


def _by_declaration(stated: str | None) -> Language:
    return Language(stated, 0.0, "declared" if stated else "none")
