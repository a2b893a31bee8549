"""Say which of the 17 top-level IPTC Media Topics an article is about.

Text, tags and section in → a score for each concept out. No failures: a text with too little
evidence is ``unclassified``, with the reason. Pure functions over an immutable model; the same
input always gives the same scores, whatever was classified before it.

The method is a weighted lexicon, chosen because every decision can be explained by pointing at
words, and because no weight in it was computed from anyone's corpus: the terms and weights in
``transforms/data/topics_*`` are written by hand. In short::

    words ─► terms (longest match) ─► saturated counts ─► sum of weights ─► softmax ─► scores
              title and lead count more                     per concept

- Repeats of a term count ever less, as ``tf / (tf + k)`` does in BM25 (Robertson and Zaragoza,
  "The Probabilistic Relevance Framework", 2009).
- A term that speaks for several concepts counts less for each, as a term found in many documents
  does under inverse document frequency.
- Sums are divided by the Euclidean length of the counts, so that a long text is no surer of itself
  than its mix of terms allows. Some doubt is added to that length, so that a text in which one word
  happens to be known is not sure at all.

**What a score means.** Scores are the softmax over 17 concepts: above 0, summing to 1 over all of
them. A score is the share of belief the evidence gives a concept *against the others*, not a
calibrated probability: 0.9 is a clear case, 0.4 the best of several that fit.

Source of the concepts: IPTC Media Topics NewsCodes (https://iptc.org/standards/media-topics/),
CC BY 4.0, see ``transforms/data/topics.NOTICE.md``.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from schemas.records import Topic

MODEL_VERSION = "newsbeam-lexicon==2"
"""Name and version of the lexicons with the constants below; it grows whenever either changes what
a text comes out as."""

UNCLASSIFIED = "unclassified"
"""The slug of an article that no concept fits well enough."""

SCORE_FLOOR = 0.13
"""Least score of the best concept; below it the article is unclassified. On the tuning half of
``benchmarks/topics.py`` fewer than half of the guesses below it were right."""

EVIDENCE_FLOOR = 1.5
"""Least sum of term weights behind the best concept: one telling word, or two that hint."""

REPORTED_SCORE = 0.05
"""Concepts that score less are not listed: they are noise to a reader."""

MAX_BODY_CHARACTERS = 5_000
"""Length of a body that is read; news says what it is about well before that."""

LEAD_WORDS = 60
"""Length of the lead, whose words count more (the inverted pyramid of news writing)."""

TITLE_FACTOR = 2.0
"""How much more a term says that stands in the title."""
LEAD_FACTOR = 1.4
"""How much more a term says that stands in the lead, not in the title."""
SATURATION = 1.2
"""Occurrences at which a term has given about half of what it ever can (k1 of BM25)."""
DOUBT = 8.0
"""Squared count of evidence for nothing that every text is taken to hold beside its own: one
telling word among a hundred that tell nothing is no more than a hint."""
SHARPNESS = 1.3
"""Inverse temperature of the softmax: how fast a lead in evidence becomes a lead in score."""

TAG_FACTOR = 1.4
SECTION_FACTOR = 3.0
"""How much more the section says that an editor filed the article under."""
IPTC_NAME_WEIGHT = 3.0
"""What a tag or section says that is the very name of a concept."""

_WORD = re.compile(r"\d{1,3}[-–]\d{1,3}(?!\d)|[^\W_]+(?:['’][^\W_]+)*|[%$£€]")
_SCORE_LINE = re.compile(r"\d{1,3}[-–]\d{1,3}")
_SCORE_TOKEN = "#score"
_MIN_PREFIX_LETTERS = 4
_MAX_ACRONYM_LETTERS = 5
_TERM_LINE = re.compile(r"(\d+(?:\.\d+)?):\s*(.*)")
_PARENTHESIS = re.compile(r"\s*\([^)]*\)")


PRIORS = {
    "conflict-war-and-peace": 0.1,
    "crime-law-and-justice": -0.1,
    "economy-business-and-finance": 0.1,
    "education": -0.2,
    "environment": -0.1,
    "human-interest": -0.2,
    "labour": -0.3,
    "lifestyle-and-leisure": -0.2,
    "politics": 0.3,
    "science-and-technology": 0.3,
    "society": -0.3,
    "sport": 0.25,
    "weather": -0.3,
}
"""Head start of a concept, in units of evidence: much of the news is politics or sport, and
families or jobs are mentioned in news of every kind."""


@dataclass(frozen=True)
class TopicScores:
    """What an article is about."""

    topics: tuple[Topic, ...]
    """Best first; those that score at least ``REPORTED_SCORE``. Empty without any evidence."""
    best: str
    """Slug of the best topic, or ``unclassified``."""
    note: str = ""
    """Why the article is unclassified; empty where it is not."""


@dataclass(frozen=True)
class Concept:
    """A top-level concept of the vocabulary."""

    code: str
    name: str
    slug: str


@dataclass(frozen=True)
class Lexicon:
    """The terms of one language, each with its weight for every concept (aligned, 0 for none)."""

    language: str
    """Primary subtag, such as ``en``."""
    words: Mapping[str, int]
    """Normalised single word, acronym in capitals, or form pinned as it is written → term."""
    prefixes: Mapping[str, tuple[tuple[str, int], ...]]
    """First four letters → the prefixes that begin so, longest first, with their terms."""
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], int], ...]]
    """First word → the phrases that begin with it, longest first, with their terms."""
    weights: tuple[tuple[tuple[int, float], ...], ...]
    """For each term its (concept, weight) pairs, damped for terms of several concepts."""


@dataclass(frozen=True)
class TopicModel:
    """The vocabulary and the lexicons; load it once a worker."""

    concepts: tuple[Concept, ...]
    lexicons: Mapping[str, Lexicon]
    """By primary language subtag."""
    labels: Mapping[str, int]
    """Folded name or code of any Media Topic, or usual section name → its top-level concept."""

    @classmethod
    def load(cls) -> TopicModel:
        """Read the model that ships with the package.

        Raises ``ValueError`` naming the file and line where a data file is malformed.
        """
        data = files("transforms").joinpath("data")
        vocabulary = [
            line.split("\t")
            for line in data.joinpath("topics_iptc.tsv").read_text("utf-8").splitlines()
            if line and not line.startswith("#")
        ]
        concepts = tuple(
            Concept(code, name, slug_of(name)) for code, top, name in vocabulary if code == top
        )
        index = {concept.code: place for place, concept in enumerate(concepts)}
        slugs = {concept.slug: place for place, concept in enumerate(concepts)}
        labels = {}
        for code, top, name in vocabulary:
            labels[_fold(code)] = index[top]
            labels.setdefault(_fold(_PARENTHESIS.sub("", name)), index[top])
        sections = parse_terms(data.joinpath("topics_sections.txt").read_text("utf-8"), slugs)
        labels.update((_fold(label), place) for label, place, _ in sections)
        lexicons = {
            entry.name[len("topics_") : -len(".txt")]: entry
            for entry in data.iterdir()
            if re.fullmatch(r"topics_[a-z]{2}\.txt", entry.name)
        }
        return cls(
            concepts=concepts,
            lexicons={
                language: build_lexicon(
                    language, parse_terms(entry.read_text("utf-8"), {**slugs, "-": -1})
                )
                for language, entry in sorted(lexicons.items())
            },
            labels=labels,
        )


def slug_of(name: str) -> str:
    """Turn a concept's name into its slug.

    >>> slug_of("Conflict, war and peace")
    'conflict-war-and-peace'
    """
    return "-".join(re.findall(r"\w+", name.lower()))


def parse_terms(text: str, slugs: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Read a term file into (term, concept, weight) triples.

    ``slugs`` maps each section heading the file may have to its concept. A line without a weight
    continues the one above. Raises ``ValueError`` with the line number for a heading that is none
    of them, for terms before the first heading, and for a line that goes on where the one above
    did not end in a comma (a term broken in two would never match).
    """
    terms: list[tuple[str, int, float]] = []
    place = None
    weight = 0.0
    open_ended = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if line.strip("[]") not in slugs:
                raise ValueError(f"line {number}: no concept has the slug {line!r}")
            place = slugs[line.strip("[]")]
            continue
        if match := _TERM_LINE.match(line):
            weight, line = float(match[1]), match[2]
        elif terms and not open_ended:
            raise ValueError(f"line {number}: the line before does not end in a comma: {line!r}")
        open_ended = line.endswith(",")
        if place is None:
            raise ValueError(f"line {number}: terms before the first [concept]: {line!r}")
        terms += [
            (term.strip().strip('"'), place, weight) for term in line.split(",") if term.strip()
        ]
    return terms


def build_lexicon(language: str, triples: Iterable[tuple[str, int, float]]) -> Lexicon:
    """Index terms for look-up and damp those that speak for several concepts.

    A term with weights w over its concepts keeps ``w * sqrt(w / sum(w))`` for each. A concept of
    -1 means none: the term only keeps its words from being read singly. Raises ``ValueError`` for
    a prefix of fewer than four letters, which would match too much.
    """
    merged: dict[tuple[str, ...], dict[int, float]] = {}
    for term, place, weight in triples:
        key = _term_key(term, language)
        by_concept = merged.setdefault(key, {})
        if place >= 0:
            by_concept[place] = max(weight, by_concept.get(place, 0.0))
    words: dict[str, int] = {}
    prefixes: dict[str, list[tuple[str, int]]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    weights = []
    for number, (key, by_concept) in enumerate(sorted(merged.items())):
        total = sum(by_concept.values())
        weights.append(
            tuple((place, w * math.sqrt(w / total)) for place, w in sorted(by_concept.items()))
        )
        if len(key) > 1:
            phrases.setdefault(key[0], []).append((key, number))
        elif key[0].endswith("*"):
            prefix = key[0][:-1]
            if len(prefix) < _MIN_PREFIX_LETTERS:
                raise ValueError(f"prefix {key[0]!r} has fewer than {_MIN_PREFIX_LETTERS} letters")
            prefixes.setdefault(prefix[:_MIN_PREFIX_LETTERS], []).append((prefix, number))
        else:
            words[key[0]] = number
    return Lexicon(
        language=language,
        words=words,
        prefixes={
            k: tuple(sorted(v, key=lambda p: (-len(p[0]), p[0]))) for k, v in prefixes.items()
        },
        phrases={k: tuple(sorted(v, key=lambda p: (-len(p[0]), p[0]))) for k, v in phrases.items()},
        weights=tuple(weights),
    )


def classify_topics(  # noqa: PLR0917 - the parts of an article, in the order it has them
    model: TopicModel,
    title: str | None,
    body: str,
    language: str | None,
    tags: Sequence[str] = (),
    section: str | None = None,
) -> TopicScores:
    """Score an article against the 17 concepts.

    ``language`` is a BCP 47 tag; None is read as English, the floor being there to catch a text
    that is not. Where the language has no lexicon, only ``tags`` and ``section`` speak: names of
    Media Topics, their codes, and the usual names of newspaper sections.
    """
    code = (language or "en").replace("_", "-").split("-")[0].lower()
    lexicon = model.lexicons.get(code)
    evidence = [0.0] * len(model.concepts)
    squares = 0.0
    for place, count in _label_counts(model, tags, section).items():
        evidence[place] += IPTC_NAME_WEIGHT * count
        squares += count * count
    if lexicon is not None:
        for term, count in _term_counts(lexicon, title, body, tags).items():
            pairs = lexicon.weights[term]
            if pairs:
                squares += count * count
            for place, weight in pairs:
                evidence[place] += weight * count
    if not squares:
        reason = (
            f"no lexicon for language {code!r} and no section or tag that names a topic"
            if lexicon is None
            else "no term of any topic"
        )
        return TopicScores((), UNCLASSIFIED, reason)
    return _decide(model, evidence, math.sqrt(squares + DOUBT))


def _decide(model: TopicModel, evidence: Sequence[float], length: float) -> TopicScores:
    logits = [
        SHARPNESS * (value / length + PRIORS.get(concept.slug, 0.0))
        for value, concept in zip(evidence, model.concepts, strict=True)
    ]
    peak = max(logits)
    powers = [math.exp(logit - peak) for logit in logits]
    total = math.fsum(powers)
    ranked = sorted(
        (
            Topic(concept.code, concept.name, concept.slug, round(power / total, 4))
            for concept, power in zip(model.concepts, powers, strict=True)
        ),
        key=lambda topic: (-topic.score, topic.code),
    )
    topics = tuple(topic for topic in ranked if topic.score >= REPORTED_SCORE)
    highest = evidence[powers.index(max(powers))]
    if highest < EVIDENCE_FLOOR:
        note = f"evidence {highest:.2f} for {ranked[0].slug!r} is below {EVIDENCE_FLOOR}"
    elif ranked[0].score < SCORE_FLOOR:
        note = f"best score {ranked[0].score:.2f} for {ranked[0].slug!r} is below {SCORE_FLOOR}"
    else:
        return TopicScores(topics, ranked[0].slug)
    return TopicScores(topics, UNCLASSIFIED, note)


def _label_counts(model: TopicModel, tags: Sequence[str], section: str | None) -> dict[int, float]:
    """Return how much tags and section speak for each concept that they name outright."""
    counts: dict[int, float] = {}
    for label, factor in [*((tag, TAG_FACTOR) for tag in tags), (section or "", SECTION_FACTOR)]:
        place = model.labels.get(_fold(label))
        if place is not None:
            counts[place] = max(counts.get(place, 0.0), factor)
    return counts


def _term_counts(
    lexicon: Lexicon, title: str | None, body: str, tags: Sequence[str]
) -> dict[int, float]:
    """Return how much each term counts: its saturated number times the factor of its best place."""
    numbers: dict[int, int] = {}
    factors: dict[int, float] = {}
    for text, factor in [(title or "", TITLE_FACTOR), *((tag, TAG_FACTOR) for tag in tags)]:
        for term, _ in _matches(lexicon, _spellings(text, lexicon.language)):
            numbers[term] = numbers.get(term, 0) + 1
            factors[term] = max(factor, factors.get(term, 0.0))
    words = _spellings(body[:MAX_BODY_CHARACTERS], lexicon.language)
    for term, position in _matches(lexicon, words):
        numbers[term] = numbers.get(term, 0) + 1
        if term not in factors:
            factors[term] = LEAD_FACTOR if position < LEAD_WORDS else 1.0
    return {
        term: factors[term] * number * (1 + SATURATION) / (number + SATURATION)
        for term, number in numbers.items()
    }


def _matches(lexicon: Lexicon, words: Sequence[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """Yield (term, position) of the terms in a text, the longest at each place, no two sharing."""
    past = 0
    for position, (original, word) in enumerate(words):
        if position < past:
            continue
        for phrase, term in lexicon.phrases.get(word, ()):
            if _continues(phrase, words, position):
                yield term, position
                past = position + len(phrase)
                break
        else:
            for spelling in (original, original.lower(), word):
                found = lexicon.words.get(spelling)
                if found is not None:
                    break
            if found is not None:
                yield found, position
                continue
            for prefix, term in lexicon.prefixes.get(word[:_MIN_PREFIX_LETTERS], ()):
                if word.startswith(prefix):
                    yield term, position
                    break


def _continues(phrase: tuple[str, ...], words: Sequence[tuple[str, str]], start: int) -> bool:
    if start + len(phrase) > len(words):
        return False
    for offset in range(1, len(phrase)):
        wanted, word = phrase[offset], words[start + offset][1]
        if wanted != word and not (wanted[-1] == "*" and word.startswith(wanted[:-1])):
            return False
    return True


def _spellings(text: str, language: str) -> list[tuple[str, str]]:
    """Return each word twice: as written, and normalised."""
    if text.isupper():
        text = text.lower()
    return [_spell(word, language) for word in _WORD.findall(text)]


@lru_cache(maxsize=1 << 16)
def _spell(word: str, language: str) -> tuple[str, str]:
    # A long word in capitals is shouted, not an acronym.
    shouted = len(word) > _MAX_ACRONYM_LETTERS and word.isupper()
    return (word.lower() if shouted else word).replace("’", "'"), normalise_word(word, language)


_ELISION = re.compile(r"^\w{1,5}'(?=\w)")
"""What French and Italian join to a word by an apostrophe: l'école, dell'anno."""
_ARABIC_SIGNS = re.compile("[\u064b-\u0652\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")
_ARABIC_PARTICLES = re.compile(r"^(?:[وف]?(?:[بك]?ال|لل)|و(?=\w{4}))(?=\w{2})")
"""Conjunction, preposition and article, which Arabic writes as one word with the noun."""


def normalise_word(word: str, language: str) -> str:
    """Fold a word to the spelling under which lexicons list it.

    Lower case, no possessive, and in English no plural ending (the S-stemmer of Harman, "How
    effective is suffixing?", JASIS 1991, with the ``-es`` of sibilants). In Arabic no vowel signs,
    one form of alef, and no article or particle before it (as in the light stemmers of Larkey,
    Ballesteros and Connell, SIGIR 2002); elsewhere no elided word before an apostrophe. A pair
    such as ``3-1`` becomes one token, since all score lines mean the same.

    >>> [normalise_word(word, "en") for word in ("Parties", "coaches", "3-1")]
    ['party', 'coach', '#score']
    """
    if _SCORE_LINE.fullmatch(word):
        return _SCORE_TOKEN
    word = unicodedata.normalize("NFC", word).lower().replace("’", "'")
    if language == "ar":
        word = _ARABIC_SIGNS.sub("", word).translate(_ARABIC_LETTERS)
        return _ARABIC_PARTICLES.sub("", word)
    if language != "en":
        return _ELISION.sub("", word)
    return _without_plural(word.removesuffix("'s"))


def _without_plural(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return word[:-2]
    return word[:-1]


def _term_key(term: str, language: str) -> tuple[str, ...]:
    """Spell a lexicon's term as the words of a text are spelled."""
    if term == _SCORE_TOKEN:
        return (term,)
    if term.startswith("="):
        return (term[1:],)
    if len(term) > 1 and term[:2].isupper() and " " not in term:
        return (term,)
    stem = term.removesuffix("*")
    key = tuple(normalise_word(match[0], language) for match in _WORD.finditer(stem))
    if term.endswith("*"):
        last = unicodedata.normalize("NFC", _WORD.findall(stem)[-1]).lower().replace("’", "'")
        return (*key[:-1], last + "*")
    return key


def _fold(label: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", label).casefold()))
