"""Works and their texts: which text is a new revision of a work, and what it has changed.

A *work* is what an ``article_id`` names. In: the texts that a run has of a work, and the rows that
the dataset has of it. Out: for each text the revision that it is. Pure: ``known`` finds the rows,
``merging`` carries out what is decided here.

Two texts have the same *words* if their content hashes are equal, and the same *title* if their
title keys are: case, punctuation, spacing and typography do not count, so that a corrected comma
changes nothing. Then, in the order in which the texts were observed:

- A text with words that the work does not have yet is a new revision.
- A text with words that it has is a copy, if it has no title, or a title that the work has had with
  those words, or if none of them had a title, or if it was observed at the same moment as one of
  them, as an item of a feed and the page that it links to may be.
- Otherwise its title was changed, which is a new revision too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

WORK = np.dtype(
    [
        ("article_id", "V16"),
        ("content_hash", "V16"),
        ("title_key", "V8"),
        ("revision", "<i4"),
        ("file", "<i4"),
        ("row", "<i8"),
    ]
)
"""A row of ``articles`` with an article id of the run; rows stand one after the other.

``content_hash`` is the first half of it, ``title_key`` that of the title as it stands in the row,
``file`` the number of the ``KnownFile``, and ``row`` the place in it, from 0 over all row groups.
"""

NO_TITLE = bytes(8)
"""The ``title_key`` of a text without a title."""


def pack_title_key(title_key: str) -> bytes:
    """``Fingerprint.title_key``, as it stands in ``WORK``."""
    return bytes.fromhex(title_key) or NO_TITLE


class KnownRow(NamedTuple):
    """Where a row of the dataset stands."""

    file: int
    """Number of the ``KnownFile``."""
    row: int
    """Its place in the file, from 0 over all row groups."""


class Revision(NamedTuple):
    """A numbered text of a work, of the dataset or of this run."""

    number: int
    content: bytes
    """First 16 bytes of its content hash."""
    title: bytes
    """``NO_TITLE`` where it has none."""
    ref: int = -1
    """Of a text of this run; -1 for a row of the dataset."""
    place: KnownRow | None = None
    """Of a row of the dataset."""
    observed_micros: int = -1
    """Of a text of this run, microseconds since 1970."""


class WorkText(NamedTuple):
    """A text of this run that is to be numbered."""

    ref: int
    content: bytes
    title: bytes
    """As in ``Revision``."""
    observed_micros: int
    word_count: int
    origin: str


class Numbered(NamedTuple):
    """What became of a text."""

    ref: int
    revision: Revision
    """Its own, which has its reference; or the one that it is a copy of."""
    before: Revision | None
    """The revision that its own came after; None for a copy, and for the first text of a work."""


def unpack_works(packed: Iterable[bytes]) -> list[Revision]:
    """The revisions that stand in rows of ``WORK``."""
    return [
        Revision(
            number=int(row["revision"]),
            content=row["content_hash"].tobytes(),
            title=row["title_key"].tobytes(),
            place=KnownRow(int(row["file"]), int(row["row"])),
        )
        for row in np.frombuffer(b"".join(packed), WORK)
    ]


def number_texts(texts: Iterable[WorkText], known: Iterable[Revision]) -> Iterator[Numbered]:
    """Number the texts of one work, after those the dataset already holds.

    Of texts observed at one moment the fuller is the later, so that the newest revision is the one
    to read.
    """
    with_words: dict[bytes, list[Revision]] = {}
    last: Revision | None = None
    for revision in sorted(known, key=lambda revision: revision.number):
        with_words.setdefault(revision.content, []).append(revision)
        last = revision
    ordered = sorted(
        texts,
        key=lambda text: (text.observed_micros, text.word_count, text.content, text.origin),
    )
    for text in ordered:
        same = _same_revision(text, with_words.get(text.content, ()))
        if same is not None:
            yield Numbered(text.ref, same, None)
            continue
        number = last.number + 1 if last is not None else 0
        revision = Revision(
            number, text.content, text.title, text.ref, observed_micros=text.observed_micros
        )
        yield Numbered(text.ref, revision, last)
        with_words.setdefault(text.content, []).append(revision)
        last = revision


def _same_revision(text: WorkText, having: Sequence[Revision]) -> Revision | None:
    """Of the revisions that have a text's words the one that it is a copy of, if it is one."""
    for revision in reversed(having):
        is_simultaneous = revision.observed_micros == text.observed_micros
        if is_simultaneous or text.title in (NO_TITLE, revision.title):
            return revision
    titled = any(revision.title != NO_TITLE for revision in having)
    return having[-1] if having and not titled else None


def is_title_changed(before: Revision, now: Revision) -> bool:
    """Whether both have a title, and the titles differ in a word."""
    return NO_TITLE not in (before.title, now.title) and before.title != now.title


def shingles_kept(before: bytes, now: bytes) -> float:
    """Share of a text's distinct shingles that the next one still has; -1 where it has none.

    Both are ``Fingerprint.shingles``.
    """
    had, has = (np.unique(np.frombuffer(shingles, "<u4")) for shingles in (before, now))
    if not had.size:
        return -1.0
    return np.intersect1d(had, has, assume_unique=True).size / had.size
