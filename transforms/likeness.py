"""How alike two texts are, and whether one is a copy of the other.

Pure. All is computed on fingerprints, exactly: on shingles, not on signatures. The answers:

- ``exact``: the same words.
- ``near``: the Jaccard similarity of the shingles reaches the threshold (Broder, 1997).
- ``abridged``: the longer text holds nearly all of the shorter one, and it is the story that they
  share: the shorter one begins as the longer one does, as wire copy does that was cut from its
  end, or a teaser; or it is a large part of it.
- nothing: different texts, however much they share.

Similar words are not enough, for news is full of forms. Two texts are *not* copies

- if they have many numbers or names, and other ones: two issues of one form, such as weather
  reports or obituaries;
- if each has a long passage of its own: two stories with one background, or one disclaimer.

What only more than two texts can tell is in ``clusters``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.records import Fingerprint
from transforms.shingles import MIN_COMPARED_WORDS

DEFAULT_THRESHOLD = 0.45
"""Jaccard similarity of three-word shingles from which two texts are near copies. Measured by
``benchmarks.dedup``: a tenth of the words replaced leaves .57 on average and less in short texts;
different articles stay below .1; what lies between are forms, which their numbers tell apart."""
CONTAINMENT = 0.9
"""Share of the shorter text's shingles that the longer one must hold for it to be abridged."""
STRAY_SHINGLES = 4
"""As many may be missing from a short one whatever their share: "… Read more" makes that many."""
WHOLE_TEXT_SHARE = 0.9
"""A text with this share of another's words is as whole as that; a shorter one is cut."""
LEAD_SHINGLES = 40
"""A text's lead, of which one half must be there for another text to begin as it does."""
LARGE_SHARE = 0.4
"""A text that begins otherwise is abridged only if it is as large a part of the longer one."""
MIN_FACTS = 3
"""From so many numbers on in both texts, or one name more, it counts whether they are the same …"""
WORDS_PER_FACT = 50
"""… if there is at least one for so many words: tolls that rise make no other story …"""
MANY_FACTS = 6
"""… and from so many on even in texts that are otherwise …"""
SAME_WORDS = 0.9
"""… of this Jaccard similarity."""
SAME_FACTS = 0.5
"""Share of the numbers, or names, of the text with fewer that the other must have, too."""
OWN_PASSAGE_SHINGLES = 30
"""From so many shingles in a row on, that the other text has not, a passage is a text's own …"""
OWN_PASSAGE_SHARE = 0.15
"""… if it is such a share of the text."""

Shingles = npt.NDArray[np.uint32]


class ComparedText:
    """A fingerprint, unpacked for comparisons."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        self.fingerprint = fingerprint
        self.sequence: Shingles = np.frombuffer(fingerprint.shingles, "<u4")
        """Shingles in the order of the text."""

    @functools.cached_property
    def shingles(self) -> Shingles:
        """Sorted distinct shingles."""
        return np.unique(self.sequence)

    @functools.cached_property
    def lead(self) -> Shingles:
        """Sorted distinct shingles of the beginning."""
        return np.unique(self.sequence[:LEAD_SHINGLES])

    @functools.cached_property
    def numbers(self) -> Shingles:
        """Sorted distinct hashes of its numbers."""
        return np.frombuffer(self.fingerprint.numbers, "<u4")

    @functools.cached_property
    def names(self) -> Shingles:
        """Sorted distinct hashes of its names."""
        return np.frombuffer(self.fingerprint.names, "<u4")

    @property
    def words(self) -> int:
        """Its length."""
        return self.fingerprint.word_count

    @property
    def is_comparable(self) -> bool:
        """Whether it says enough for its shingles to be compared."""
        return self.words >= MIN_COMPARED_WORDS


@dataclass(frozen=True)
class Likeness:
    """How alike two texts are."""

    exact: bool
    jaccard: float
    containment: float
    """Share of the smaller shingle set that the larger holds; 0 where it cannot be told."""

    @classmethod
    def of_sets(cls, shared: int, one: int, other: int) -> Likeness:
        """By how many shingles two sets share, and how many they have."""
        return cls(False, shared / (one + other - shared), shared / min(one, other))


EXACT = Likeness(exact=True, jaccard=1.0, containment=1.0)
DIFFERENT = Likeness(exact=False, jaccard=0.0, containment=0.0)


def is_in(values: Shingles, members: Shingles) -> npt.NDArray[np.bool_]:
    """For each value, whether it is in a sorted set; ``numpy.isin`` takes ten times as long."""
    if not members.size:
        return np.zeros(values.size, bool)
    places = np.minimum(np.searchsorted(members, values), members.size - 1)
    return np.asarray(members[places] == values, bool)


def shared_count(one: Shingles, other: Shingles) -> int:
    """How many shingles two sorted sets share."""
    return int(np.count_nonzero(is_in(one, other)))


def likeness(left: Fingerprint, right: Fingerprint) -> Likeness:
    """Compare two fingerprints."""
    return compare(ComparedText(left), ComparedText(right))


def compare(left: ComparedText, right: ComparedText) -> Likeness:
    """Compare two texts; one of less than ``MIN_COMPARED_WORDS`` words by its hash alone."""
    if left.fingerprint.content_hash == right.fingerprint.content_hash:
        return EXACT
    if not (left.is_comparable and right.is_comparable):
        return DIFFERENT
    shared = shared_count(left.shingles, right.shingles)
    return Likeness.of_sets(shared, left.shingles.size, right.shingles.size)


def copy_kind(left: Fingerprint, right: Fingerprint, threshold: float) -> str:
    """``exact``, ``abridged``, ``near``, or an empty string for different texts."""
    one, other = ComparedText(left), ComparedText(right)
    return kind_of(one, other, compare(one, other), threshold)


def kind_of(left: ComparedText, right: ComparedText, alike: Likeness, threshold: float) -> str:
    """What ``alike`` makes of two texts: ``exact``, ``abridged``, ``near``, or nothing."""
    if alike.exact:
        return "exact"
    shorter, longer = (left, right) if left.words <= right.words else (right, left)
    is_cut = shorter.words < WHOLE_TEXT_SHARE * longer.words
    if is_cut and is_contained(shorter, alike) and _is_of_story(shorter, longer):
        return "" if facts_differ(left, right, alike.jaccard) else "abridged"
    if alike.jaccard < threshold or facts_differ(left, right, alike.jaccard):
        return ""
    return "" if have_own_passages(left, right) else "near"


def is_contained(shorter: ComparedText, alike: Likeness) -> bool:
    """Whether nearly all of the shorter text is in the longer one."""
    missing = (1 - alike.containment) * shorter.shingles.size
    return alike.containment >= CONTAINMENT or (
        missing <= STRAY_SHINGLES and alike.containment >= CONTAINMENT - 0.1
    )


def begins_as(shorter: ComparedText, longer: ComparedText) -> bool:
    """Whether the shorter text holds most of the lead of the longer one."""
    return 2 * shared_count(shorter.shingles, longer.lead) >= longer.lead.size


def _is_of_story(shorter: ComparedText, longer: ComparedText) -> bool:
    return shorter.words >= LARGE_SHARE * longer.words or begins_as(shorter, longer)


def facts_differ(left: ComparedText, right: ComparedText, jaccard: float) -> bool:
    """Whether two texts of a Jaccard similarity say what they say with other numbers or names."""
    words = min(left.words, right.words)
    for one, other, names in ((left.numbers, right.numbers, 0), (left.names, right.names, 1)):
        fewer = min(one.size, other.size)
        least = names + (MIN_FACTS if jaccard < SAME_WORDS else MANY_FACTS)
        counts = fewer >= least and fewer * WORDS_PER_FACT >= words
        if counts and shared_count(one, other) < SAME_FACTS * fewer:
            return True
    return False


def have_own_passages(left: ComparedText, right: ComparedText) -> bool:
    """Whether each of two texts has a long passage of its own."""
    return all(
        own >= max(OWN_PASSAGE_SHINGLES, OWN_PASSAGE_SHARE * text.sequence.size)
        for text, own in (
            (left, longest_own_passage(left, right)),
            (right, longest_own_passage(right, left)),
        )
    )


def longest_own_passage(text: ComparedText, other: ComparedText) -> int:
    """How many shingles in a row of a text another has none of, at most."""
    shared = np.flatnonzero(is_in(text.sequence, other.shingles))
    borders = np.concatenate([[-1], shared, [text.sequence.size]])
    return int(np.diff(borders).max()) - 1


class TextArrays:
    """Many texts, laid out so that one is compared with all of them at once.

    It decides as ``compare`` and ``kind_of`` do, but for passages of their own, which are for the
    caller to ask for (``have_own_passages``).
    """

    def __init__(self, texts: Sequence[ComparedText]) -> None:
        self._texts = texts
        self._words = np.array([text.words for text in texts])
        self._comparable = np.array([text.is_comparable for text in texts])
        self._sizes = np.array([text.shingles.size for text in texts])
        self._sequences, self._owners = _owned([text.sequence for text in texts])
        self._lengths = np.array([text.sequence.size for text in texts])
        self._leads, self._lead_owners = _owned([text.lead for text in texts])
        self._lead_sizes = np.array([text.lead.size for text in texts])
        self._facts = [
            (_owned(sets), np.array([one.size for one in sets]))
            for sets in ([text.numbers for text in texts], [text.names for text in texts])
        ]

    def compare(
        self, place: int, held: npt.NDArray[np.bool_], threshold: float
    ) -> tuple[list[Likeness], list[str]]:
        """Likeness and kind of each text to one.

        Args:
            place: which one.
            held: for each of its distinct shingles, sorted, which texts hold it.
            threshold: Jaccard similarity from which texts are near copies.
        """
        text, count = self._texts[place], len(self._texts)
        size = text.shingles.size
        shared = held.sum(axis=0)
        jaccard = shared / np.maximum(1, size + self._sizes - shared)
        containment = shared / np.maximum(1, np.minimum(size, self._sizes))
        smaller = np.where(self._words < text.words, self._sizes, size)
        contained = (containment >= CONTAINMENT) | (
            ((1 - containment) * smaller <= STRAY_SHINGLES) & (containment >= CONTAINMENT - 0.1)
        )
        shorter = np.minimum(self._words, text.words)
        longer = np.maximum(self._words, text.words)
        cut = shorter < WHOLE_TEXT_SHARE * longer
        of_story = (shorter >= LARGE_SHARE * longer) | self._begin_alike(place, held)
        differ = self._facts_differ(place, jaccard)
        abridged = cut & contained & of_story
        near = ~abridged & (jaccard >= threshold) & ~differ
        kinds = np.full(count, "", object)
        kinds[near & self._comparable] = "near"
        kinds[abridged & ~differ & self._comparable] = "abridged"
        kinds[place] = "exact"
        alike = [
            Likeness(False, one, other) if comparable else DIFFERENT
            for one, other, comparable in zip(
                jaccard.tolist(), containment.tolist(), self._comparable.tolist(), strict=True
            )
        ]
        alike[place] = EXACT
        return alike, kinds.tolist()

    def have_own_passages(self, place: int) -> npt.NDArray[np.bool_]:
        """For each text, whether it and one of them have long passages of their own."""
        text = self._texts[place]
        theirs = _longest_runs(
            ~is_in(self._sequences, text.shingles), self._owners, len(self._texts)
        )
        own = np.zeros(len(self._texts), np.int64)
        long = theirs >= np.maximum(OWN_PASSAGE_SHINGLES, OWN_PASSAGE_SHARE * self._lengths)
        for other in np.flatnonzero(long).tolist():
            own[other] = longest_own_passage(text, self._texts[other])
        least = max(OWN_PASSAGE_SHINGLES, OWN_PASSAGE_SHARE * text.sequence.size)
        return np.asarray(long & (own >= least), bool)

    def _begin_alike(self, place: int, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """For each text, whether the shorter of it and one holds most of the longer one's lead."""
        text = self._texts[place]
        in_lead = is_in(text.shingles, text.lead)
        of_its = held[in_lead].sum(axis=0)
        of_theirs = _counts(self._leads, self._lead_owners, text.shingles, len(self._texts))
        return np.where(
            self._words <= text.words,
            2 * of_its >= text.lead.size,
            2 * of_theirs >= self._lead_sizes,
        )

    def _facts_differ(self, place: int, jaccard: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        text = self._texts[place]
        words = np.minimum(self._words, text.words)
        differ = np.zeros(len(self._texts), bool)
        for names, own in enumerate((text.numbers, text.names)):
            (members, owners), sizes = self._facts[names]
            shared = _counts(members, owners, own, len(self._texts))
            fewer = np.minimum(sizes, own.size)
            least = names + np.where(jaccard < SAME_WORDS, MIN_FACTS, MANY_FACTS)
            enough = (fewer >= least) & (fewer * WORDS_PER_FACT >= words)
            differ |= enough & (shared < SAME_FACTS * fewer)
        return differ


def _owned(sets: Sequence[Shingles]) -> tuple[Shingles, npt.NDArray[np.int64]]:
    """Sets one after the other, and of which set each member is."""
    owners = np.repeat(np.arange(len(sets)), [one.size for one in sets])
    return np.concatenate(sets), owners


def _counts(
    members: Shingles, owners: npt.NDArray[np.int64], wanted: Shingles, texts: int
) -> npt.NDArray[np.int64]:
    """How many of each owner's members are wanted."""
    return np.bincount(owners[is_in(members, wanted)], minlength=texts)


def _longest_runs(
    marked: npt.NDArray[np.bool_], owners: npt.NDArray[np.int64], texts: int
) -> npt.NDArray[np.int64]:
    """How many places in a row are marked, at most, of those of each owner."""
    longest = np.zeros(texts, np.int64)
    if not marked.size:
        return longest
    places = np.arange(marked.size)
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    before = np.where(marked, -1, places)  # the last place that is not marked, or of another owner
    before[begins] = np.maximum(before[begins], begins - 1)
    runs = places - np.maximum.accumulate(before)
    longest[owners[begins]] = np.maximum.reduceat(runs, begins)
    return longest
