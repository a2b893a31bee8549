"""Body F1 as the public article-extraction benchmark has it (scrapinghub, 2020).

For each page, precision and recall over the multiset of 4-word shingles; both are averaged over the
pages, and F1 is that of the averages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

SHINGLE_WORDS = 4


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """The multiset of a text's 4-word shingles; a shorter text is one shingle."""
    words = re.findall(r"\w+", text)
    if not words:
        return Counter()
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    return Counter(tuple(words[at : at + SHINGLE_WORDS]) for at in range(count))


def precision_recall(found: str, true: str) -> tuple[float, float]:
    """Precision and recall of a text's shingles; both 1 where both texts are empty."""
    ours, theirs = shingles(found), shingles(true)
    shared = (ours & theirs).total()
    precision = shared / ours.total() if ours else float(not theirs)
    recall = shared / theirs.total() if theirs else 1.0
    return precision, recall


def f1(pairs: Iterable[tuple[float, float]]) -> float:
    """F1 of the mean precision and the mean recall."""
    rows = list(pairs)
    precision = sum(row[0] for row in rows) / len(rows)
    recall = sum(row[1] for row in rows) / len(rows)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
