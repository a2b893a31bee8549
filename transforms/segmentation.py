"""Find the articles in a text dump, keep their bodies and read what stands around them.

Input is one page as plain text, as a browser's "select all" or a naive converter leaves it: one
article or several, among navigation, captions (often twice), widgets, notices and lists of
links. Output is one ``Article`` for each story, or one ``Failure`` where there is none.

The rules look at the shape of lines, their repetition and their neighbours, and at the language
of bylines and notices; none knows a site. In four steps:

1. every line gets a kind (prose, short, caption, date line, notice …) and a score;
2. runs of lines whose score adds up are stretches of body text (a maximal scoring subsequence
   with a bounded drop, found in one pass);
3. stretches are joined into stories: a new one begins where a headline stands;
4. within a story, the lines that belong to the body are kept and the rest read for metadata.

All steps take time linear in the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise

from schemas.records import Article, Extraction, Failure, Page, Provenance
from transforms.bylines import (
    Byline,
    Dateline,
    parse_agency,
    parse_byline,
    parse_dateline,
    parse_reporting_credit,
)
from transforms.dates import DateLine, DatelineDay, date_article, parse_date_line
from transforms.lines import (
    ADDRESS,
    IDEOGRAPHS,
    MAX_HEADLINE_WORDS,
    MIN_PROSE_WORDS,
    RIGHTS,
    SENTENCE_END,
    SPEECH,
    Kind,
    Line,
    read_lines,
    word_count,
)

MAX_PAYLOAD_BYTES = 64 * 1024
"""So much of a rejected text is kept in its failure."""

MIN_BODY_WORDS = 30
"""Less prose than this is no article."""

MIN_SECOND_BODY_WORDS = 80
"""A second story needs so much prose: less is a teaser."""

MIN_SECOND_PARAGRAPHS = 3
"""And so many paragraphs of it."""


@dataclass
class _Stretch:
    """Lines ``start`` to ``end`` (exclusive) that are mostly body text."""

    start: int
    end: int
    words: int = 0
    paragraphs: int = 0


@dataclass
class _Story:
    """The stretches of one story, and where the lines about it begin."""

    first: int
    stretches: list[_Stretch]
    terms: Counter[str]
    headline: int | None = None
    parted: bool = False
    """Whether a headline or a break, not only a notice or a gap, parts it from the one before."""
    alien: bool = False
    """Whether it has next to no term in common with the one before."""

    def add(self, stretch: _Stretch, terms: Counter[str]) -> None:
        """Go on with a further stretch."""
        self.stretches.append(stretch)
        if self.terms.total() < _MAX_TERMS:
            self.terms += terms

    @property
    def words(self) -> int:
        return sum(stretch.words for stretch in self.stretches)


@dataclass
class _Matter:
    """What the lines around a body say of it."""

    title: str | None = None
    description: str | None = None
    authors: list[str] = field(default_factory=list)
    agency: str | None = None
    place: str | None = None
    site: str | None = None
    rights: str | None = None
    date_lines: list[DateLine] = field(default_factory=list)
    days: list[DatelineDay] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, source: str) -> None:
        """Remember where a field's value comes from; the first source stands."""
        self.provenance.setdefault(name, source)


# ── stretches of body ────────────────────────────────────────────────────────────────────────────

_MAX_LINE_SCORE = 40
_SCORES = {
    Kind.SHORT: -3,
    Kind.CRUMB: -2,
    Kind.CAPTION: 0,
    Kind.CREDIT: -1,
    Kind.NOTICE: -25,
    Kind.LINK_HEADING: -12,
    Kind.DESK: -12,
    Kind.CONTACT: -12,
    Kind.SEPARATOR: -2,
    Kind.PROMOTION: -3,
}
_MAX_DROP = 60
"""A stretch ends where its score has fallen so far below its peak: some twenty short lines."""


_WEAK_SCORE = 2
_MIN_ALONE_WORDS = 30
_ALONE_SHARE = 0.25
"""A shorter paragraph without another beside it counts so much: teasers stand like that."""


def _scores(lines: Sequence[Line]) -> list[int]:
    """How much each line speaks for a body around it, in words."""
    scores: list[int] = []
    strong = [line.kind is Kind.PROSE and not line.weak for line in lines]
    for index, line in enumerate(lines):
        if line.kind is not Kind.PROSE:
            scores.append(_SCORES[line.kind])
        elif line.loose:
            scores.append(0)
        elif line.weak:
            scores.append(_WEAK_SCORE)
        else:
            alone = not (
                (index > 0 and strong[index - 1]) or (index + 1 < len(lines) and strong[index + 1])
            )
            words = min(line.words, _MAX_LINE_SCORE)
            short = line.words < _MIN_ALONE_WORDS
            scores.append(int(words * _ALONE_SHARE) if alone and short else words)
    return scores


def _stretches(lines: Sequence[Line], cuts: set[int]) -> list[_Stretch]:
    """Runs of lines whose score adds up; a new one begins at each of the cuts."""
    found: list[_Stretch] = []
    start = end = total = peak = 0
    for index, score in enumerate(_scores(lines)):
        if total > 0 and (index in cuts or peak - total > _MAX_DROP):
            found.append(_measured(lines, start, end))
            total = 0
        if total == 0:
            if score <= 0:
                continue
            start, peak = index, 0
        total += score
        if total > peak:
            peak, end = total, index + 1
        if total <= 0:
            found.append(_measured(lines, start, end))
            total = 0
    if total > 0:
        found.append(_measured(lines, start, end))
    return found


def _measured(lines: Sequence[Line], start: int, end: int) -> _Stretch:
    prose = [line for line in lines[start:end] if line.kind is Kind.PROSE]
    return _Stretch(start, end, sum(line.words for line in prose), len(prose))


_MENU_LINES = 6
"""A block with more lines that are no prose is a menu or a list."""

_MAX_HEAD_LINES = 14
"""Between a headline and its text stand at most so many lines."""


def _heads(lines: Sequence[Line]) -> set[int]:
    """Where a story begins: a headline printed twice with no prose between, then prose."""
    heads: set[int] = set()
    last_seen: dict[str, int] = {}
    prose_before = 0
    counts: list[int] = []
    for line in lines:
        counts.append(prose_before)
        prose_before += line.kind is Kind.PROSE
    counts.append(prose_before)
    next_prose = len(lines)
    follows = [0] * len(lines)
    for index in range(len(lines) - 1, -1, -1):
        follows[index] = next_prose
        if lines[index].kind is Kind.PROSE:
            next_prose = index
    chained: dict[int, int] = {}
    for index, line in enumerate(lines):
        if not _is_headline_shape(line) or line.copies < 2 or line.shorts_in_group > _MENU_LINES:
            continue
        before = last_seen.get(line.folded)
        last_seen[line.folded] = index
        if (
            before is not None
            and index - before <= _MAX_HEAD_LINES
            and counts[index] - counts[before] == (line.kind is Kind.PROSE)
        ):
            chained[index] = chained.get(before, before)
            if follows[index] - index <= _MAX_HEAD_LINES:
                heads.add(chained[index])
    return heads


def _is_headline_shape(line: Line) -> bool:
    return line.kind in (Kind.SHORT, Kind.PROSE) and 3 <= line.words <= 30 and len(line.text) <= 250


# ── stories ──────────────────────────────────────────────────────────────────────────────────────

_MAX_PAUSE_LINES = 25
"""A story goes on after so many lines of other matter at most."""

_MAX_TIGHT_LINES = 2
"""With so few lines between, the story goes on in whatever words."""

_BREAK_BLANKS = 3
"""So many empty lines in a row may part two pages, …"""

_MAX_BREAK_SHARE = 0.05
"""… where no larger share of the lines stand behind so many."""

_MAX_KIN = 0.2
"""Two stretches whose terms are less alike than this may be two stories."""

_MAX_KIN_ACROSS_BREAK = 0.3

_MAX_KIN_OF_ALIENS = 0.05

_MAX_KIN_UNDER_HEAD = 0.25
"""Under a line printed twice goes on the same story if it is so much alike, …"""

_MIN_KIN_OF_REPRINT = 0.8
"""… unless it is the same text once more."""

_MIN_KIN_TO_GO_ON = 0.12
"""A story goes on after a pause only with a stretch that shares this much with it."""


def _stories(lines: Sequence[Line], heads: set[int]) -> list[_Story]:
    """Join the stretches into stories.

    A new one begins where a headline stands, or behind a notice, a wide gap or many empty lines,
    in other words than the story before: a page goes on about one thing.
    """
    stories: list[_Story] = []
    previous_end = 0
    head_places = sorted(heads)
    notices = [line.line for line in lines if line.kind is Kind.NOTICE]
    breaks = _breaks(lines)
    for stretch in _stretches(lines, heads.union(breaks)):
        terms = _terms(lines, stretch)
        if not stories:
            stories.append(_Story(0, [stretch], terms))
            previous_end = stretch.end
            continue
        gap = stretch.start - previous_end
        kin = _likeness(stories[-1].terms, terms)
        head = _first_between(head_places, previous_end, stretch.start + 1)
        notice = _first_between(notices, previous_end, stretch.start) is not None
        broken = _first_between(breaks, previous_end, stretch.start + 1) is not None
        full = (
            stretch.words >= MIN_SECOND_BODY_WORDS and stretch.paragraphs >= MIN_SECOND_PARAGRAPHS
        )
        wide = notice or broken or gap > _MAX_PAUSE_LINES
        far = kin < (_MAX_KIN_ACROSS_BREAK if broken else _MAX_KIN)
        headed = head is not None and (
            not _MAX_KIN_UNDER_HEAD <= kin < _MIN_KIN_OF_REPRINT
            or _is_announced(lines, head, stretch.start)
        )
        if full and (headed or (wide and far)):
            first = previous_end if head is None or not headed else head
            alien = kin < _MAX_KIN_OF_ALIENS
            stories.append(_Story(first, [stretch], terms, parted=headed or broken, alien=alien))
        elif (
            kin >= _MAX_KIN
            or (gap <= _MAX_TIGHT_LINES and not notice)
            or (gap <= _MAX_PAUSE_LINES and not notice and kin >= _MIN_KIN_TO_GO_ON)
        ):
            stories[-1].add(stretch, terms)
        elif stretch.words > stories[-1].words:
            # What came before was no story of its own: a teaser, a banner.
            stories[-1] = _Story(stories[-1].first, [stretch], terms)
        else:
            continue
        previous_end = stretch.end
    return _told(lines, stories, heads)


def _is_announced(lines: Sequence[Line], head: int, start: int) -> bool:
    """Whether a date line, a byline or a caption printed twice stands between headline and text."""
    between = range(head + 1, start + 1)
    captions = sum(lines[index].kind is Kind.CAPTION for index in between)
    return captions > 1 or any(_is_signed(lines, index) for index in between)


_MAX_TERMS = 2_000
_TERM = re.compile(r"[^\s\d.,;:!?\"'()\[\]{}«»“”‘’„…।。、！？：；—–/|-]{6,}")
_TERM_STEM_CHARS = 7
_MAX_TERM_COUNT = 6


def _terms(lines: Sequence[Line], stretch: _Stretch) -> Counter[str]:
    """What a stretch is about: stems of its longer words, or pairs of its ideographs."""
    terms: Counter[str] = Counter()
    taken = 0
    for line in lines[stretch.start : stretch.end]:
        if line.kind is not Kind.PROSE:
            continue
        found = _line_terms(line)
        terms.update(found)
        taken += len(found)
        if taken > _MAX_TERMS:
            break
    return terms


def _line_terms(line: Line) -> list[str]:
    ideographs = "" if line.text.isascii() else "".join(IDEOGRAPHS.findall(line.text))
    if len(ideographs) * 2 > len(line.text):
        return [ideographs[at : at + 2] for at in range(len(ideographs) - 1)]
    return [word[:_TERM_STEM_CHARS] for word in _TERM.findall(line.folded)]


def _likeness(one: Counter[str], two: Counter[str]) -> float:
    """Cosine of two bags of terms, 0 to 1, each term counted six times at most."""
    left = {term: min(count, _MAX_TERM_COUNT) for term, count in one.items()}
    right = {term: min(count, _MAX_TERM_COUNT) for term, count in two.items()}
    shared = sum(count * right[term] for term, count in left.items() if term in right)
    norms = sum(n * n for n in left.values()) * sum(n * n for n in right.values())
    return float(shared / norms**0.5) if norms else 0.0


def _breaks(lines: Sequence[Line]) -> list[int]:
    """The lines that stand behind a rule, or behind an unusual number of empty ones."""
    counts = Counter(line.blanks for line in lines)
    least = _BREAK_BLANKS
    while sum(n for blanks, n in counts.items() if blanks >= least) > max(
        2, _MAX_BREAK_SHARE * len(lines)
    ):
        least = min(blanks for blanks in counts if blanks >= least) + 1
    return [
        line.line
        for line in lines
        if line.line > 0 and (line.blanks >= least or lines[line.line - 1].kind is Kind.SEPARATOR)
    ]


def _first_between(places: Sequence[int], start: int, end: int) -> int | None:
    """The first of some sorted places in ``range(start, end)``, or None."""
    at = bisect_left(places, start)
    return places[at] if at < len(places) and places[at] < end else None


_MIN_SHARE = 0.25
"""A story without headline of its own needs this share of the longest one's words."""


_COOKIE = re.compile(r"cookie|local ?storage")
_CONSENT = re.compile(
    r"third part(?:y|ies)|personal(?:ly)? (?:data|information|identifiable)|opt(?:ing)?[- ]out"
    r"|consent|privacy|einwilligung|personenbezogen|données personnelles|consentement"
    r"|datos personales|consentimiento|dados pessoais|consentimento|dati personali|consenso"
    r"|persoonsgegevens|toestemming|персональн\w+ данн|данных пользовател"
    r"|dane osobowe|danych osobowych"
)
_MIN_CONSENT_SHARE = 0.3


def _is_consent_dialog(lines: Sequence[Line], story: _Story) -> bool:
    """Whether a story is what pages ask consent with: paragraphs of cookies and of your data.

    An article on the subject quotes people and does not address its reader.
    """
    prose = [
        line.folded
        for stretch in story.stretches
        for line in lines[stretch.start : stretch.end]
        if line.kind is Kind.PROSE
    ][:_MAX_LINES_TO_COMPARE]
    asking = sum(
        SPEECH.search(text) is None
        and bool(_COOKIE.search(text) or (_CONSENT.search(text) and ADDRESS.search(text)))
        for text in prose
    )
    return asking > _MIN_CONSENT_SHARE * len(prose)


def _told(lines: Sequence[Line], stories: list[_Story], heads: set[int]) -> list[_Story]:
    """Those of the candidates that are stories, with their headlines."""
    stories = [story for story in stories if story.words >= MIN_BODY_WORDS]
    stories = [story for story in stories if not _is_consent_dialog(lines, story)] or stories
    longest = max((story.words for story in stories), default=0)
    kept: list[_Story] = []
    for story in stories:
        story.headline = _headline(lines, story, heads)
        story.parted = story.parted or (story.alien and _is_signed_below(lines, story.headline))
    for number, story in enumerate(stories):
        following = stories[number + 1] if number + 1 < len(stories) else None
        parted = story.parted or (number == 0 and following is not None and following.parted)
        large = story.words >= (MIN_SECOND_BODY_WORDS if parted else _MIN_SHARE * longest)
        if story.words == longest or (story.headline is not None and large):
            kept.append(story)
    return kept


_MAX_LINES_TO_SIGNATURE = 5


def _is_signed_below(lines: Sequence[Line], headline: int | None) -> bool:
    """Whether a date line, a dateline or a byline follows a headline."""
    if headline is None:
        return False
    below = range(headline + 1, headline + 1 + _MAX_LINES_TO_SIGNATURE)
    return any(_is_signed(lines, index) for index in below)


_MAX_HEADLINE_DISTANCE = 40
_MAX_LINES_TO_HEADLINE = 15
"""A headline stands so far above the first prose at most, or so far below it."""

_MAX_LINES_TO_COMPARE = 80
_WORD = re.compile(r"[^\W_]{2,}")
_SEPARATORS = re.compile(r"[|›»>/→]")


def _headline(lines: Sequence[Line], story: _Story, heads: set[int]) -> int | None:
    """The line that is the story's headline, or None.

    Each line around the start of the body is weighed by what tells headlines apart: its words
    come back in the body, a date line or byline follows, it stands alone, it has some length.
    The weights are rounded from a softmax regression over public pages.
    """
    start = story.stretches[0].start
    body: set[str] = set()
    for line in lines[start : min(story.stretches[-1].end, start + _MAX_LINES_TO_COMPARE)]:
        if line.kind is Kind.PROSE:
            body.update(_WORD.findall(line.folded))
    floor = max(story.first, start - _MAX_HEADLINE_DISTANCE)
    ceiling = min(start + _MAX_LINES_TO_HEADLINE, story.stretches[-1].end)
    signed = {index for index in range(floor, ceiling + 4) if _is_signed(lines, index)}
    best: tuple[float, int] | None = None
    prose_before = 0
    for index in range(floor, ceiling):
        line = lines[index]
        plain = line.kind is Kind.SHORT or line.weak
        if plain and 2 <= line.words <= MAX_HEADLINE_WORDS + 5 and index not in signed:
            value = _headline_value(line, body)
            value += 0.75 * (index in heads)
            value -= 0.06 * max(0, start - index) + 1.8 * min(prose_before, 5)
            value += 2.2 * any(at in signed for at in range(index + 1, index + 5))
            value += 0.4 * any(at in signed for at in range(index - 2, index))
            if best is None or value > best[0]:
                best = (value, index)
        prose_before += line.kind is Kind.PROSE and not line.weak and index >= start
    return best[1] if best and best[0] > _MIN_HEADLINE_VALUE else None


_MIN_HEADLINE_VALUE = 0.0


def _is_signed(lines: Sequence[Line], index: int) -> bool:
    """Whether a line says when or by whom."""
    if index >= len(lines) or lines[index].words > MAX_HEADLINE_WORDS:
        return False
    text = lines[index].text
    if parse_date_line(text) or parse_dateline(text):
        return True
    byline = parse_byline(text)
    return byline is not None and byline.explicit


def _headline_value(line: Line, body: set[str]) -> float:
    """How much a line looks like the headline of a body with these words."""
    words = set(_WORD.findall(line.folded))
    if not words:
        return -9.0
    shared = len(words & body) / len(words)
    rare = sum(1 for word in words & body if len(word) > 4) / len(words)
    count = len(line.text.split())
    value = 2.4 * shared + 2.7 * shared * min(len(words), 8) / 8 + 0.8 * rare
    value += 0.3 * (line.copies > 2) + 0.6 * (count >= 6) - 1.6 * (count < 4)
    value -= 0.7 * (line.words > 18) + 0.7 * line.text[0].islower()
    value -= 1.4 * bool(_SEPARATORS.search(line.text)) + 0.7 * (line.kind is Kind.PROSE)
    value -= 0.3 * line.text.endswith((".", "!", ":"))
    value += 0.35 * line.text.endswith("?") + 0.6 * line.text[0].isdigit()
    if line.shorts_in_group > _MENU_LINES:
        return value - 2.1
    return value - 1.2 * (line.shorts_in_group >= 3)


# ── one story ────────────────────────────────────────────────────────────────────────────────────

_MAX_MATTER_LINES = 12
_MAX_TAIL_LINES = 12
_MAX_DESCRIPTION_WORDS = 70


def _body(
    lines: Sequence[Line], story: _Story, start: int, matter: _Matter
) -> tuple[list[str], float]:
    """The body's paragraphs and the share of its words that stand in prose."""
    kept = _kept(lines, story, start, matter)
    _cut_sparse_end(lines, kept)
    _cut_portrait(kept, matter.authors)
    _trim_tail(kept)
    total = sum(line.words for line in kept)
    prose = sum(line.words for line in kept if line.kind is Kind.PROSE)
    return [line.text for line in kept], prose / total if total else 0.0


def _kept(lines: Sequence[Line], story: _Story, start: int, matter: _Matter) -> list[Line]:
    """The lines of a story's stretches that may belong to its body; captions go to ``matter``."""
    headline = lines[story.headline].folded if story.headline is not None else None
    kept: list[Line] = []
    pending: list[Line] = []
    in_links = False
    seen: set[str] = set()
    for stretch in story.stretches:
        for line in lines[max(stretch.start, start) : stretch.end]:
            if line.folded == headline:
                continue
            if line.kind is Kind.PROSE:
                if line.folded in seen:
                    continue
                beside = line.line + 1 < len(lines) and lines[line.line + 1].kind is Kind.PROSE
                if not in_links or line.words >= (
                    MIN_PROSE_WORDS * 2 if beside else _MIN_ALONE_WORDS
                ):
                    if len(pending) <= _MAX_LIST_LINES:
                        kept.extend(pending)
                    in_links = False
                    kept.append(line)
                    seen.add(line.folded)
                pending = []
            elif line.kind is Kind.LINK_HEADING:
                in_links, pending = True, []
            elif line.kind is Kind.CAPTION:
                matter.captions.append(line.text)
            elif (
                line.kind is Kind.SHORT
                and not in_links
                and not line.loose
                and line.folded not in seen
            ):
                pending.append(line)
    return kept


_MAX_LIST_LINES = 12


_SPARSE_GAP_LINES = 6
_TOLD_GAP_LINES = 2
_MAX_SPARSE_SHARE = 0.3
_AFTERMATH = (Kind.LINK_HEADING, Kind.NOTICE, Kind.CONTACT)


def _cut_sparse_end(lines: Sequence[Line], kept: list[Line]) -> None:
    """Cut what follows a gap in which no two paragraphs stand together: summaries under links."""
    prose = [line for line in kept if line.kind is Kind.PROSE and not line.weak]
    total = sum(line.words for line in prose)
    below = 0
    cut = None
    for one, two in reversed(list(pairwise(prose))):
        below += two.words
        gap = two.line - one.line - 1
        if not gap or below > _MAX_SPARSE_SHARE * total:
            break
        told = any(line.kind in _AFTERMATH for line in lines[one.line + 1 : two.line])
        if gap >= (_TOLD_GAP_LINES if told else _SPARSE_GAP_LINES):
            cut = one
    if cut is not None:
        del kept[kept.index(cut) + 1 :]


_MAX_PORTRAIT_PARAGRAPHS = 5
_MAX_PORTRAIT_SHARE = 0.25


def _cut_portrait(kept: list[Line], authors: Sequence[str]) -> None:
    """Cut last paragraphs that tell of the author: one that begins with the name, and the rest."""
    names = tuple(f"{author.casefold()} " for author in authors if " " in author)
    total = sum(line.words for line in kept)
    below = 0
    for back in range(1, min(_MAX_PORTRAIT_PARAGRAPHS, len(kept) - 1) + 1):
        line = kept[-back]
        below += line.words
        if below > _MAX_PORTRAIT_SHARE * total:
            return
        if f"{line.folded} ".startswith(names):
            del kept[-back:]
            return


def _trim_tail(kept: list[Line]) -> None:
    """Cut short last lines that share no term with the rest: teasers of other stories.

    Only lines that stand by themselves, in a dump whose paragraphs do not, are cut.
    """
    counts: Counter[str] = Counter()
    own = [_line_terms(line) for line in kept]
    for terms in own:
        counts.update(set(terms))
    while len(kept) > MIN_SECOND_PARAGRAPHS:
        line, terms = kept[-1], own[-1]
        beside = kept[-2].kind is Kind.PROSE and kept[-2].line + 1 == line.line
        if line.kind is Kind.PROSE and (
            beside or line.words >= _MIN_ALONE_WORDS or any(counts[term] > 1 for term in terms)
        ):
            return
        counts.subtract(set(terms))
        kept.pop()
        own.pop()


_MAX_LINES_ABOVE_HEADLINE = 5
_MAX_STANDFIRST_PARAGRAPHS = 2


def _read_above(lines: Sequence[Line], story: _Story, matter: _Matter) -> int:
    """Read the lines around the headline; returns the index at which the body may begin."""
    start = story.stretches[0].start
    top = start - 4 if story.headline is None else story.headline + 1
    if story.headline is not None:
        matter.title = lines[story.headline].text
        matter.note("title", "headline")
        start = max(start, story.headline + 1)
    end = min(max(start, top) + _MAX_MATTER_LINES, story.stretches[-1].end)
    prose: list[int] = []
    last = start
    for index in range(max(top, story.first), end):
        line = lines[index]
        if line.kind is Kind.PROSE and not line.weak:
            if len(prose) == _MAX_STANDFIRST_PARAGRAPHS or parse_dateline(line.text):
                break
            prose.append(index)
        elif _reads(lines, index, matter, after_prose=bool(prose)):
            last = index + 1
    lead = [index for index in prose if index < last]
    if lead and sum(lines[index].words for index in lead) <= _MAX_DESCRIPTION_WORDS:
        # Prose above the byline or date line is a standfirst.
        matter.description = " ".join(lines[index].text for index in lead)
        matter.note("description", "standfirst")
        start = last
    for index in range(top - 2, max(story.first, top - 2 - _MAX_LINES_ABOVE_HEADLINE) - 1, -1):
        if 0 <= index < len(lines) and (date_line := _date_line(lines[index])):
            matter.date_lines.append(date_line)
    return start


_UNDATED = (Kind.NOTICE, Kind.CAPTION, Kind.CREDIT, Kind.PROMOTION, Kind.CONTACT)
"""What has a date of its own."""


def _date_line(line: Line) -> DateLine | None:
    if line.kind in _UNDATED or line.words > 25:
        return None
    return parse_date_line(line.text)


def _reads(lines: Sequence[Line], index: int, matter: _Matter, *, after_prose: bool) -> bool:
    """Read a line for metadata; whether it says when or by whom."""
    line = lines[index]
    if line.kind is Kind.CAPTION:
        matter.captions.append(line.text)
        return False
    if line.kind is Kind.SHORT and (dateline := parse_dateline(line.text)):
        _take_dateline(dateline, matter)
        return True
    if date_line := _date_line(line):
        matter.date_lines.append(date_line)
        byline = parse_byline(date_line.rest) if date_line.rest else None
        if byline and len(matter.authors) < _MAX_AUTHORS:
            _take_byline(byline, matter)
        return True
    if line.kind is not Kind.SHORT or line.words > 25:
        return False
    byline = parse_byline(line.text)
    in_menu = line.shorts_in_group > _MENU_LINES
    if (
        byline is None
        or len(matter.authors) >= _MAX_AUTHORS
        or (in_menu and (matter.authors or not byline.explicit))
    ):
        return False
    # A bare name is an author's between headline and text, or beside a date line.
    beside = any(
        0 <= at < len(lines) and _date_line(lines[at])
        for at in (index - 2, index - 1, index + 1, index + 2)
    )
    if byline.explicit or beside or not (after_prose or matter.authors):
        _take_byline(byline, matter)
    return byline.explicit


_MAX_AUTHORS = 6


def _take_byline(byline: Byline, matter: _Matter) -> None:
    for author in byline.authors:
        if author not in matter.authors:
            matter.authors.append(author)
            matter.note("authors", "byline")
    if byline.agency and not matter.agency:
        matter.agency = byline.agency
        matter.note("agency", "byline")
    if byline.place and not matter.place:
        matter.place = byline.place
        matter.note("dateline", "byline")


def _take_dateline(dateline: Dateline, matter: _Matter) -> None:
    if not matter.place:
        matter.place = dateline.place
        matter.note("dateline", "dateline")
    if dateline.agency and not matter.agency:
        matter.agency = dateline.agency
        matter.note("agency", "dateline")
    if dateline.day:
        matter.days.append(dateline.day)


def _read_below(lines: Sequence[Line], end: int, limit: int, matter: _Matter) -> None:
    """Read the lines after a body: reporters, agency, notices."""
    for line in lines[end : min(end + _MAX_TAIL_LINES, limit)]:
        if credit := parse_reporting_credit(line.text):
            _take_byline(credit, matter)
        elif (agency := parse_agency(line.text)) and not matter.agency:
            matter.agency = agency
            matter.note("agency", "credit")
    for line in lines[end:limit]:
        if line.kind is Kind.NOTICE and RIGHTS.search(line.text):
            matter.rights = line.text
            matter.note("rights", "notice")
            break


_MASTHEAD = re.compile(r"^(.{2,40}?)\s(?:[-–—|:])\s.{2,80}$")


def _read_masthead(lines: Sequence[Line], story: _Story, matter: _Matter) -> None:
    """A first line such as "Rocket News - Your Rockets Today" names the site."""
    top = story.headline if story.headline is not None else story.stretches[0].start
    if not 0 < top - story.first <= 3:
        return
    line = lines[story.first]
    if line.kind is not Kind.SHORT or line.folded == lines[top].folded:
        return
    if parse_byline(line.text) or parse_date_line(line.text) or parse_dateline(line.text):
        return
    match = _MASTHEAD.match(line.text)
    if match and not SENTENCE_END.search(line.text):
        matter.site = match[1].strip()
        matter.note("site", "masthead")


def segment_dump(page: Page, text: str, encoding: str, repaired: bool) -> list[Article | Failure]:
    """Find the articles in a page's text.

    Args:
        page: the page; its own ``content`` is not read again.
        text: the page's decoded text.
        encoding: the character encoding it was decoded with.
        repaired: whether decoding had to repair it.

    Returns:
        The articles in the order of the text, or one ``Failure`` of kind ``rejected`` with the
        reason ``empty`` or ``no-article``; never an empty list.
    """
    lines = read_lines(text)
    if not lines:
        return [_rejected(page, text, "empty", "The text holds nothing but white space.")]
    heads = _heads(lines)
    stories = _stories(lines, heads)
    articles: list[Article | Failure] = []
    for number, story in enumerate(stories):
        limit = stories[number + 1].first if number + 1 < len(stories) else len(lines)
        matter = _Matter()
        paragraphs, quality = _read_story(lines, story, limit, matter)
        if not paragraphs:
            continue
        extraction = Extraction(
            method="text-dump",
            versions=f"newsbeam=={version('newsbeam')}",
            quality=round(quality, 4),
            encoding=encoding,
            repaired=repaired,
        )
        articles.append(_article(page, len(articles) + 1, matter, paragraphs, extraction))
    if articles:
        return articles
    message = (
        f"No article found: nowhere in its {len(lines)} lines do {MIN_BODY_WORDS} words of prose"
        " stand together."
    )
    return [_rejected(page, text, "no-article", message)]


_MAX_PARAGRAPHS_ABOVE_DATELINE = 3
_NO_LETTERS = re.compile(r"[\W\d_]+")
"""Between words; a body of numbers and signs has none."""


def _read_story(
    lines: Sequence[Line], story: _Story, limit: int, matter: _Matter
) -> tuple[list[str], float]:
    """Read a story into ``matter``; its paragraphs, none where they are too few, and quality.

    ``limit`` is the line at which the next story begins.
    """
    start = _read_above(lines, story, matter)
    _read_masthead(lines, story, matter)
    paragraphs, quality = _body(lines, story, start, matter)
    above = 0
    for index, paragraph in enumerate(paragraphs[:_MAX_PARAGRAPHS_ABOVE_DATELINE]):
        dateline = parse_dateline(paragraph)
        if dateline and (index == 0 or dateline.agency or dateline.day):
            # What stands above a dateline is a caption or a standfirst.
            _take_dateline(dateline, matter)
            paragraphs = [paragraph[dateline.end :].strip(), *paragraphs[index + 1 :]]
            break
        above += word_count(paragraph)
        if above > _MAX_DESCRIPTION_WORDS:
            break
    paragraphs = [paragraph for paragraph in paragraphs if paragraph]
    if sum(word_count(_NO_LETTERS.sub(" ", text)) for text in paragraphs) < MIN_BODY_WORDS:
        return [], 0.0
    _read_below(lines, story.stretches[-1].end, limit, matter)
    return paragraphs, quality


def _article(
    page: Page, number: int, matter: _Matter, paragraphs: Sequence[str], extraction: Extraction
) -> Article:
    published, hints = date_article(
        matter.date_lines, matter.days, matter.captions, paragraphs, page.observed_at
    )
    if published:
        matter.note("published", published.source)
    return Article(
        origin=f"{page.origin}#{number}",
        page_origin=page.origin,
        source_uri=page.source_uri,
        body="\n\n".join(paragraphs),
        observed_at=page.observed_at,
        extraction=extraction,
        title=matter.title,
        url=page.url,
        site=matter.site,
        feed_url=page.feed_url,
        authors=tuple(matter.authors),
        agency=matter.agency,
        dateline=matter.place,
        description=matter.description,
        published=published,
        hints=hints,
        rights=matter.rights,
        provenance=tuple(
            Provenance(field=name, source=source) for name, source in matter.provenance.items()
        ),
    )


def _rejected(page: Page, text: str, reason: str, message: str) -> Failure:
    return Failure(
        kind="rejected",
        stage="extract",
        reason=reason,
        message=message,
        origin=page.origin,
        source_uri=page.source_uri,
        observed_at=page.observed_at,
        payload=page.content[:MAX_PAYLOAD_BYTES],
        url=page.url,
    )
