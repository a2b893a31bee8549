"""Which text of a cluster stands for which: components of links, and how each is settled.

Pure. A component holds all texts that are joined by links, directly or through others. It is
settled by rules that do not depend on any order:

1. **Compilations** are set aside: a text that holds two different ones, each substantial, is a
   digest, or two articles glued together. It must not join what it holds.
2. **Rows of the dataset** come first, for they are published. A text that is a copy of one counts
   as that; if what it resembles is itself a copy, it must also be one of the row which that
   copies. A changed text of a work that has a row is a revision.
3. **The rest** are settled among themselves: ``choose_canonical`` picks the text that stands for
   the others, and those that are copies of *it* are its cluster. What is left is settled likewise.
   So each copy is verified against the text it is a copy of, and no chain of small steps joins
   different stories.
4. A **compilation** of which nearly all is in other texts is a copy of the one it has most of; any
   other is an article of its own.

**Forms.** Weather reports, programme guides and the like share most of their words, and are no
copies. Two texts are issues of one form if others, two at least, hold what the two share, and have
passages of their own in the places where these two have theirs.

**Shared parts.** A text that begins as none of those that hold it, and is held by several which are
no copies of one another, is a disclaimer or another part that they share, and abridges none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.records import Assignment, Fingerprint
from transforms.likeness import (
    DIFFERENT,
    EXACT,
    WHOLE_TEXT_SHARE,
    ComparedText,
    Likeness,
    Shingles,
    TextArrays,
    begins_as,
    compare,
    is_contained,
    kind_of,
    shared_count,
)

SUBSTANTIAL_WORDS = 60
"""Two texts that are shorter make no compilation of the one that holds them: they are teasers."""
DISJOINT = 0.2
"""Texts that share a lesser part of the smaller one are about different things."""
COVERED = 0.8
"""Share of a compilation that other texts must hold for it to add nothing."""
FORM_SHARE = 0.9
"""Share of what two texts have in common that another must hold to be of the same form."""
SWALLOWING_SHARE = 2 / 3
"""A text that is part of another may stand for it if it has such a share of its words."""
OWN_SHARE = 0.12
"""Share of an issue of a form that is its own, at least."""
MIN_ISSUES = 4
"""From as many texts on it can be told that they are issues of a form."""
_EXAMINED = 64
"""As many texts of a component are asked whether they are of a form."""
_TRIED = 8
"""As many texts of a component are tried as canonical for what they are, and for their place."""
_FEW = 12
"""From as many texts on they are compared together."""

Counts = npt.NDArray[np.int64]


def connected_components(links: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(component, text) of each linked text, sorted; a component is named by its least text.

    ``links`` are n × 2 references (union-find with path halving: Tarjan, van Leeuwen, 1984).
    """
    texts, ends = np.unique(links, return_inverse=True)
    parent = list(range(texts.size))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for left, right in ends.reshape(-1, 2).tolist():
        one, other = root(left), root(right)
        if one < other:
            parent[other] = one
        else:
            parent[one] = other
    roots = texts[[root(place) for place in range(texts.size)]] if texts.size else texts
    order = np.lexsort((texts, roots))
    return np.stack([roots[order], texts[order]], axis=1).astype(np.int64)


class _Comparison(NamedTuple):
    """How each content of a component is like one of them."""

    kinds: list[str]
    alike: list[Likeness]
    links: npt.NDArray[np.bool_]
    """Where there is a kind."""


def _index(sets: Sequence[Shingles]) -> tuple[Shingles, Counts]:
    """All members of some sets, sorted, and of which set each is."""
    owners = np.repeat(np.arange(len(sets)), [one.size for one in sets])
    values = np.concatenate(sets) if sets else np.empty(0, np.uint32)
    order = np.argsort(values, kind="stable")
    return values[order], owners[order]


@dataclass(frozen=True)
class Match:
    """A text that another is a copy, or a revision, of."""

    original: Fingerprint
    kind: str
    similarity: float


class _Component:
    """The distinct contents of a component, compared with each other as often as is asked."""

    def __init__(self, texts: Iterable[Fingerprint], threshold: float) -> None:
        contents: dict[str, Fingerprint] = {}
        titles: dict[str, set[str]] = {}
        # Not by origin: what a content is must not depend on the names of files.
        for text in sorted(texts, key=lambda text: (text.content_hash, text.names)):
            contents.setdefault(text.content_hash, text)
            titles.setdefault(text.content_hash, set()).add(text.title_key)
        self.place = {content: number for number, content in enumerate(contents)}
        """By content hash, its place among the contents."""
        self.texts = [ComparedText(text) for text in contents.values()]
        self._titles = [titles[content] - {""} for content in contents]
        self._threshold = threshold
        self._sizes = np.array([text.shingles.size for text in self.texts], np.int64)
        self._values, self._owners = _index([text.shingles for text in self.texts])
        self._compared: dict[int, _Comparison] = {}

    @functools.cached_property
    def _all(self) -> TextArrays:
        return TextArrays(self.texts)

    @functools.cached_property
    def centrality(self) -> npt.NDArray[np.float64]:
        """For each content, by how many contents its shingles are held, on average."""
        _, inverse, counts = np.unique(self._values, return_inverse=True, return_counts=True)
        sums = np.bincount(self._owners, counts[inverse], minlength=len(self.texts))
        return np.asarray(sums / np.maximum(1, self._sizes), np.float64)

    def held(self, place: int) -> npt.NDArray[np.bool_]:
        """For each shingle of a content, which contents hold it: |shingles| × |contents|."""
        own = self.texts[place].shingles
        starts = np.searchsorted(self._values, own, "left")
        counts = np.searchsorted(self._values, own, "right") - starts
        rows = np.repeat(np.arange(own.size), counts)
        skipped = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        holders = self._owners[np.arange(rows.size) + skipped]
        held = np.zeros((own.size, len(self.texts)), bool)
        held[rows, holders] = True
        return held

    def compare_all(self, place: int) -> _Comparison:
        """Each content compared to one; forms are told from copies."""
        if place not in self._compared:
            self._compared[place] = self._compare_all(place)
        return self._compared[place]

    def _compare_all(self, place: int) -> _Comparison:
        text = self.texts[place]
        if len(self.texts) < _FEW:
            found = [(compare(text, other), other) for other in self.texts]
            alike = [likeness for likeness, _ in found]
            kinds = [kind_of(text, other, one, self._threshold) for one, other in found]
        elif text.is_comparable:
            alike, kinds = self._all.compare(place, self.held(place), self._threshold)
        else:
            alike = [EXACT if other is text else DIFFERENT for other in self.texts]
            kinds = ["exact" if other is text else "" for other in self.texts]
        linked = [number for number, kind in enumerate(kinds) if kind in ("near", "abridged")]
        if len(self.texts) >= MIN_ISSUES and linked:
            for number in self._of_one_form(place, self.held(place), linked):
                kinds[number] = ""
        if len(self.texts) >= _FEW and "near" in kinds:
            for number in np.flatnonzero(self._all.have_own_passages(place)).tolist():
                kinds[number] = "" if kinds[number] == "near" else kinds[number]
        return _Comparison(kinds, alike, np.array([bool(kind) for kind in kinds]))

    def _of_one_form(
        self, place: int, held: npt.NDArray[np.bool_], linked: Sequence[int]
    ) -> Iterable[int]:
        """Those of the linked contents that are issues of one form with a content."""
        sizes = self._sizes.astype(np.float32)
        size = sizes[place]
        others = [number for number in range(len(self.texts)) if number != place][:_EXAMINED]
        matrix = held.astype(np.float32)
        # common[l, o]: of what linked content l shares with this one, how much o holds.
        common = matrix[:, linked].T @ matrix[:, others]
        both = matrix.sum(axis=0)
        shared = both[linked][:, None]
        own = sizes[linked][:, None] - shared
        has_own = (own >= OWN_SHARE * sizes[linked][:, None]) & (size - shared >= OWN_SHARE * size)
        rest = sizes[others][None, :] - common
        is_other_issue = (
            (common >= FORM_SHARE * shared)
            & (rest >= OWN_SHARE * sizes[others][None, :])
            # It has not what this one has beside, as a copy of this one would.
            & (both[others][None, :] - common <= DISJOINT * (size - shared))
            & (np.array(others)[None, :] != np.array(linked)[:, None])
        )
        issues = is_other_issue.sum(axis=1)
        is_form = has_own[:, 0] & (issues >= MIN_ISSUES - 2)
        return [number for number, form in zip(linked, is_form, strict=True) if form]

    def compilations(self) -> set[int]:
        """Contents that hold two others which are about different things."""
        return {place for place, text in enumerate(self.texts) if self._is_compilation(place, text)}

    def _is_compilation(self, place: int, whole: ComparedText) -> bool:
        candidates = [
            part
            for part, text in enumerate(self.texts)
            if SUBSTANTIAL_WORDS <= text.words < WHOLE_TEXT_SHARE * whole.words
        ]
        if len(candidates) < 2 or whole.words < 2 * SUBSTANTIAL_WORDS:
            return False
        held = self.held(place)
        shared = held.sum(axis=0)
        parts = [
            part
            for part in candidates
            if is_contained(self.texts[part], self._alike(place, part, int(shared[part])))
        ]
        parts.sort(key=lambda part: (-self.texts[part].words, part))
        if len(parts) > _EXAMINED:  # the largest, and those that begin elsewhere
            parts = (
                parts[: _EXAMINED // 2]
                + [part for part in parts if not begins_as(self.texts[part], whole)][
                    : _EXAMINED // 2
                ]
            )
        matrix = held[:, parts].astype(np.float32)
        common = matrix.T @ matrix
        sizes = self._sizes[parts]
        apart = common <= DISJOINT * np.minimum(sizes[:, None], sizes[None, :])
        return any(
            not self._is_one_work(parts[one], parts[other])
            for one, other in np.argwhere(np.triu(apart, 1)).tolist()
        )

    def _is_one_work(self, one: int, other: int) -> bool:
        """Whether two contents go under one title, as the pages of an article do."""
        return bool(self._titles[one] & self._titles[other])

    def coverage(self, place: int, others: Iterable[int]) -> float:
        """Share of a content's shingles that some others hold, taken together."""
        held = self.held(place)[:, sorted(others)]
        return float(held.any(axis=1).mean()) if held.size else 0.0

    def containment(self, place: int, part: int) -> float:
        """Share of a part's shingles that a content holds; 0 if it does not hold nearly all."""
        whole, text = self.texts[place], self.texts[part]
        if not text.is_comparable or text.words >= whole.words:
            return 0.0
        alike = self._alike(place, part, shared_count(whole.shingles, text.shingles))
        return alike.containment if is_contained(text, alike) else 0.0

    def _alike(self, place: int, part: int, shared: int) -> Likeness:
        return Likeness.of_sets(shared, int(self._sizes[place]), int(self._sizes[part]))

    # ── texts ───────────────────────────────────────────────────────────────────────────────────

    def stands_for(self, original: int, other: int) -> bool:
        """Whether one content may stand for another that it is alike.

        A short text must not swallow long ones: of a longer text that holds it, it must be nearly
        the whole, and its beginning.
        """
        return self._may_stand_for(original, other, self.compare_all(original).kinds[other])

    def _may_stand_for(self, original: int, other: int, kind: str) -> bool:
        one, longer = self.texts[original], self.texts[other]
        if kind != "abridged" or one.words >= longer.words:
            return bool(kind)
        return one.words >= SWALLOWING_SHARE * longer.words and begins_as(one, longer)

    def followers(self, place: int, places: npt.NDArray[np.int64]) -> int:
        """How many of some texts, by the places of their contents, one may stand for."""
        linked = np.flatnonzero(self.compare_all(place).links)
        followers = [other for other in linked.tolist() if self.stands_for(place, other)]
        return int(np.isin(places, followers).sum())

    def place_of(self, text: Fingerprint) -> int:
        """The place of a text's content."""
        return self.place[text.content_hash]

    def match(self, text: Fingerprint, original: Fingerprint) -> Match | None:
        """How a text is a copy of another, or None: a longer one is no abridgement of it."""
        one, other = self.place_of(original), self.place_of(text)
        if other in self._compared and one not in self._compared:
            compared, place = self.compare_all(other), one
        else:
            compared, place = self.compare_all(one), other
        kind, alike = compared.kinds[place], compared.alike[place]
        if not self._may_stand_for(one, other, kind):
            return None
        return Match(original, kind, alike.containment if kind == "abridged" else alike.jaccard)


# ── the canonical text ──────────────────────────────────────────────────────────────────────────


def choose_canonical(members: Sequence[Fingerprint], threshold: float) -> Fingerprint:
    """The text that stands for the others, whatever their order.

    In this order: the one of which most others are copies, as that is the one they were made from;
    completeness (a whole text before a cut one; ``Fingerprint.completeness``); originality (the
    publisher is the agency that is credited with the text; published first; observed first);
    cleanliness (``Fingerprint.quality``); last the content hash and origin, so that no tie is left
    to chance.
    """
    return _choose(_ranked(members), _Component(members, threshold))


def _ranked(members: Iterable[Fingerprint]) -> list[Fingerprint]:
    """Texts by completeness, originality and cleanliness, the best first."""
    texts = list(members)
    agencies = {text.agency for text in texts if text.agency}

    def rank(text: Fingerprint) -> tuple[object, ...]:
        return (
            -text.completeness,
            text.publisher not in agencies,
            text.published_at is None,
            text.published_at.micros if text.published_at is not None else 0,
            text.observed_at.micros,
            -text.quality,
            text.content_hash,
            text.origin,
        )

    return sorted(texts, key=rank)


def _choose(ranked: Sequence[Fingerprint], component: _Component) -> Fingerprint:
    places = np.array([component.place_of(text) for text in ranked])
    longest = max(text.word_count for text in ranked)
    first_of_content: dict[int, Fingerprint] = {}
    whole_first = sorted(
        ranked, key=lambda text: text.word_count < WHOLE_TEXT_SHARE * longest
    )  # stable
    for text in whole_first:
        first_of_content.setdefault(component.place_of(text), text)
    order = list(first_of_content)
    tried = order
    if len(order) > 2 * _TRIED:  # the best, and those that are most like the others
        by_centrality = sorted(order, key=lambda place: (-component.centrality[place], place))
        tried = [place for place in order if place in {*order[:_TRIED], *by_centrality[:_TRIED]}]
    followers = [component.followers(place, places) for place in tried]
    return first_of_content[tried[int(np.argmax(followers))]]  # the first of equals


# ── settling ────────────────────────────────────────────────────────────────────────────────────

NONE: Mapping[str, Fingerprint] = MappingProxyType({})


def settle_component(
    members: Iterable[Fingerprint],
    threshold: float,
    canonicals: Mapping[str, Fingerprint] = NONE,
) -> list[Assignment]:
    """Decide each text of a connected component; rows of the dataset get no assignment.

    Args:
        members: texts of the run and rows of the dataset.
        threshold: Jaccard similarity from which texts are near copies.
        canonicals: rows of ``articles`` by article id, for members that are rows of
            ``duplicates``: those are copies of them.
    """
    by_origin = {member.origin: member for member in members}
    return _Settling(list(by_origin.values()), threshold, canonicals).settle()


class _Settling:
    """One component on its way."""

    def __init__(
        self,
        members: Sequence[Fingerprint],
        threshold: float,
        canonicals: Mapping[str, Fingerprint],
    ) -> None:
        self._texts = _ranked(one for one in members if not one.known)
        self._articles = [one for one in members if one.table == "articles"]
        self._duplicates = [one for one in members if one.table == "duplicates"]
        self._canonicals = {one.article_id: one for one in self._articles} | dict(canonicals)
        copied = (self._canonicals.get(one.article_id) for one in self._duplicates)
        everything = [*members, *(one for one in copied if one is not None)]
        self._component = _Component(everything, threshold)
        self._rows: list[Fingerprint] = list(self._articles)
        """Texts that are rows, or will be: what others may be copies of."""
        self._decided: dict[str, Match] = {}
        self._compilations: set[int] = set()

    def settle(self) -> list[Assignment]:
        compilations = self._component.compilations()
        parted: dict[bool, list[Fingerprint]] = {False: [], True: []}
        for text in self._texts:
            parted[self._component.place_of(text) in compilations].append(text)
        self._compilations = compilations
        self._settle_among_themselves(self._with_rows(parted[False]))
        self._settle_among_themselves(self._shared_parts())
        self._place_compilations(parted[True])
        return self._assignments()

    def _settle_among_themselves(self, texts: list[Fingerprint]) -> None:
        while texts:
            texts = self._one_cluster(texts)

    def _with_rows(self, texts: Sequence[Fingerprint]) -> list[Fingerprint]:
        """Decide what belongs to rows of the dataset; the texts that do not."""
        rest = [text for text in texts if not self._decide_revision(text, self._articles)]
        left = []
        for text in rest:
            # Of new texts there are fewer than of rows of a story that goes on.
            self._component.compare_all(self._component.place_of(text))
            match = self._best(text, self._rows) or self._through_duplicates(text)
            if match is None:
                left.append(text)
            else:
                self._decided[text.origin] = match
        return left

    def _decide_revision(self, text: Fingerprint, rows: Sequence[Fingerprint]) -> bool:
        """Whether a text is a changed one of a work that has a row; if so, it is one, too."""
        own = [row for row in rows if row.article_id == text.article_id]
        matches = [
            match
            for row in own
            if (match := self._compared(text, row)) and not _is_stub(text, match)
        ]
        if not any(_is_revision(text, match) for match in matches):
            return False
        if any(match.kind == "exact" and not _is_retitled(text, match) for match in matches):
            return False  # as it was before
        best = _nearest(matches)
        self._decided[text.origin] = Match(text, "revision", best.similarity)
        self._rows.append(text)
        return True

    def _compared(self, text: Fingerprint, row: Fingerprint) -> Match | None:
        """How a text and a row of one work are alike, whichever is longer."""
        compared = self._component.compare_all(self._component.place_of(row))
        place = self._component.place_of(text)
        kind = compared.kinds[place]
        return Match(row, kind, compared.alike[place].jaccard) if kind else None

    def _best(self, text: Fingerprint, rows: Iterable[Fingerprint]) -> Match | None:
        matches = [match for row in rows if (match := self._match(text, row))]
        return _nearest(matches) if matches else None

    def _match(self, text: Fingerprint, row: Fingerprint) -> Match | None:
        match = self._component.match(text, row)
        is_part = match is not None and match.kind == "abridged"
        return None if is_part and self._component.place_of(row) in self._compilations else match

    def _through_duplicates(self, text: Fingerprint) -> Match | None:
        """What a text is a copy of by known copies of it, with which it is in one component."""
        copied = {duplicate.article_id for duplicate in self._duplicates} & self._canonicals.keys()
        rows = [self._canonicals[article_id] for article_id in sorted(copied)]
        if found := self._best(text, rows):
            return found
        same = [
            duplicate
            for duplicate in self._duplicates
            # A row that was removed by hand must not get copies.
            if duplicate.content_hash == text.content_hash and duplicate.article_id in copied
        ]
        return _nearest([Match(one, "exact", 1.0) for one in same]) if same else None

    def _one_cluster(self, remaining: list[Fingerprint]) -> list[Fingerprint]:
        """Settle the canonical text of what remains, and its copies; the rest."""
        canonical = _choose(remaining, self._component)
        self._rows.append(canonical)
        self._decided[canonical.origin] = Match(canonical, "canonical", 1.0)
        others = [text for text in remaining if text is not canonical]
        rows = [canonical]
        left = []
        for text in sorted(others, key=_when):
            if self._decide_revision(text, rows):
                rows.append(text)
            else:
                left.append(text)
        rest = []
        for text in left:
            match = self._best(text, rows)
            if match is None:
                rest.append(text)
            else:
                self._decided[text.origin] = match
        return rest

    def _shared_parts(self) -> list[Fingerprint]:
        """Texts that were taken for abridged, and are parts which different articles share."""
        component = self._component
        found = []
        for text in self._texts:
            match = self._decided.get(text.origin)
            if match is None or match.kind != "abridged":
                continue
            part = ComparedText(text)
            if begins_as(part, ComparedText(match.original)):
                continue
            holders = [
                row
                for row in self._rows
                if component.containment(component.place_of(row), component.place_of(text))
            ]
            if any(not self._are_related(match.original, row) for row in holders):
                found.append(text)
        return found

    def _are_related(self, one: Fingerprint, other: Fingerprint) -> bool:
        if one.article_id == other.article_id:
            return True
        component = self._component
        return bool(component.compare_all(component.place_of(one)).links[component.place_of(other)])

    def _place_compilations(self, compiled: Sequence[Fingerprint]) -> None:
        component = self._component
        places = {component.place_of(text) for text in compiled}
        others = set(range(len(component.texts))) - places
        for text in sorted(compiled, key=_when):
            place = component.place_of(text)
            parts = {other for other in others if component.containment(place, other)}
            rows = [row for row in self._rows if component.place_of(row) in parts]
            same = self._best(
                text, [row for row in self._rows if component.place_of(row) in places]
            )
            if self._decide_revision(text, self._rows):
                continue
            if same is not None:
                self._decided[text.origin] = same
            elif rows and component.coverage(place, parts) >= COVERED:
                largest = min(rows, key=lambda row: (-row.word_count, row.content_hash, row.origin))
                share = component.containment(place, component.place_of(largest))
                self._decided[text.origin] = Match(largest, "abridged", share)
            else:
                self._rows.append(text)
                self._decided[text.origin] = Match(text, "canonical", 1.0)

    def _assignments(self) -> list[Assignment]:
        copies: dict[str, int] = {}
        for match in self._decided.values():
            if match.kind not in ("canonical", "revision"):
                copies[match.original.origin] = copies.get(match.original.origin, 0) + 1
        return [
            Assignment(
                origin=text.origin,
                canonical_origin=match.original.origin,
                canonical_id=match.original.article_id,
                kind=match.kind,
                similarity=match.similarity,
                copies=copies.get(text.origin, 0),
            )
            for text in self._texts
            for match in [self._decided[text.origin]]
        ]


def _nearest(matches: Sequence[Match]) -> Match:
    """The match with the most similar text: an exact one, else by similarity."""
    return min(
        matches,
        key=lambda match: (
            match.kind != "exact",
            -match.similarity,
            -match.original.word_count,
            match.original.observed_at.micros,
            match.original.content_hash,
            match.original.origin,
        ),
    )


def _when(text: Fingerprint) -> tuple[int, int, str, str]:
    return text.observed_at.micros, text.word_count, text.content_hash, text.origin


def _is_revision(text: Fingerprint, match: Match) -> bool:
    """Whether a text is one that its work had at another time.

    Seen twice at one time, in a feed and as a page, it is a copy.
    """
    return (
        text.article_id == match.original.article_id
        and text.observed_at != match.original.observed_at
    )


def _is_stub(text: Fingerprint, match: Match) -> bool:
    """Whether a text is only the beginning of one that its work had.

    That is how a page looks behind a wall, and no reason to read it instead of the whole.
    """
    original = match.original
    return match.kind == "abridged" and text.word_count < SWALLOWING_SHARE * original.word_count


def _is_retitled(text: Fingerprint, match: Match) -> bool:
    """Whether both have titles, and other ones."""
    titles = (text.title_key, match.original.title_key)
    return all(titles) and titles[0] != titles[1]
