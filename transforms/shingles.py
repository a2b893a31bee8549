"""What is compared instead of texts: hashes, shingles, signatures and anchors of their words.

Six views of one body, each made to find another kind of copy, or to tell one from what it is not:

- **content hash**: SHA-256 of the normalised words; equal for exact copies, whatever happened to
  case, spacing, punctuation and typographic characters.
- **shingles**: hashes of all runs of three words (Broder, "On the resemblance and containment of
  documents", 1997), in the order of the text. Jaccard similarity and containment are computed on
  them as a set; their order says where in the texts the difference lies.
- **signature**: MinHash of the shingles (Broder et al., "Min-wise independent permutations", 2000)
  under 128 multiply-shift hash functions (Dietzfelbinger et al., 1997), from which LSH bands are
  cut. It is also kept in the dataset, so it must never change: it is written here, on NumPy,
  rather than taken from a library whose next release might hash otherwise.
- **anchors**: winnowed hashes of runs of eight words (Schleimer, Wilkerson, Aiken, "Winnowing",
  2003). Any run of 31 words that two texts share gives them a common anchor, whatever else they
  hold, which is how a teaser finds its story.
- **numbers** and **names**: hashes of the words that begin with a digit, and of those that have a
  capital within a sentence. Two issues of one form (a weather report, an obituary) share most of
  their words, and hardly a number or a name.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from schemas.records import SIGNATURE_LENGTH

Hashes = npt.NDArray[np.uint64]

SHINGLE_WORDS = 3
ANCHOR_WORDS = 8
WINNOWING_WINDOW = 24
"""Consecutive anchor candidates of which the least is kept; a shared run of
``WINNOWING_WINDOW + ANCHOR_WORDS - 1`` words is guaranteed a common anchor."""
MIN_COMPARED_WORDS = 20
"""Shorter texts are compared by content hash alone: their shingles say too little."""

# Scripts that put no spaces between words: each character counts as a word there.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# A word goes on over combining marks: in Devanagari and its relatives they are its vowels.
_WORD = regex.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\w\p{{M}}])+")
# Left out, for one publisher writes them and the next does not: soft hyphens, joiners and
# directional marks; the points and vowel signs of Hebrew and Arabic, and the Arabic stretch.
_UNWRITTEN = regex.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670]+"
)
_NAME = regex.compile(r"(?<=[\p{L}\p{M}\d,;] )\p{Lu}[\p{L}\p{M}]+")
_MASK = (1 << 64) - 1
_MINHASH_BLOCK = 4096


def normalised_words(text: str) -> list[str]:
    """The words of a text after NFKC and case folding, without punctuation (UAX #15, #29)."""
    plain = _UNWRITTEN.sub("", unicodedata.normalize("NFKC", text))
    return list(_WORD.findall(plain.casefold()))


def title_key(title: str | None) -> str:
    """A hash of a title's normalised words, 16 hex digits; empty where there are none."""
    words = normalised_words(title or "")
    return content_hash(words)[:16] if words else ""


def content_hash(words: list[str]) -> str:
    """SHA-256 of normalised words, 64 hex digits."""
    return hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _splitmix64(state: int) -> Iterator[int]:
    """Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        yield z ^ (z >> 31)


@functools.cache
def _permutations() -> tuple[Hashes, Hashes]:
    numbers = _splitmix64(20240229)
    factors = [next(numbers) | 1 for _ in range(SIGNATURE_LENGTH)]
    addends = [next(numbers) for _ in range(SIGNATURE_LENGTH)]
    return np.array(factors, np.uint64)[:, None], np.array(addends, np.uint64)[:, None]


@functools.lru_cache(maxsize=200_000)
def _word_hash(word: str) -> int:
    encoded = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


def _run_hashes(word_hashes: Hashes, run_words: int) -> Hashes:
    """A 64-bit hash of each run of ``run_words`` words, in text order."""
    runs = word_hashes.size - run_words + 1
    if runs < 1:
        return np.empty(0, np.uint64)
    mixed = np.zeros(runs, np.uint64)
    for place in range(run_words):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + word_hashes[place : place + runs]
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


def word_hashes(words: list[str]) -> Hashes:
    """A 64-bit hash of each word, in text order."""
    return np.array([_word_hash(word) for word in words], np.uint64)


def shingle_hashes(hashes: Hashes) -> npt.NDArray[np.uint32]:
    """32-bit hashes of all runs of ``SHINGLE_WORDS`` words, in text order."""
    return (_run_hashes(hashes, SHINGLE_WORDS) >> np.uint64(32)).astype(np.uint32)


def number_hashes(words: list[str]) -> npt.NDArray[np.uint32]:
    """Sorted distinct hashes of normalised words that begin with a digit."""
    return _word_set(word for word in words if word[0].isdigit())


def name_hashes(text: str) -> npt.NDArray[np.uint32]:
    """Sorted distinct hashes of the words that have a capital where no sentence begins."""
    found = _NAME.findall(unicodedata.normalize("NFKC", text))
    return _word_set(word.casefold() for word in found)


def _word_set(words: Iterable[str]) -> npt.NDArray[np.uint32]:
    return np.array(sorted({_word_hash(word) >> 32 for word in words}), np.uint32)


def anchor_hashes(hashes: Hashes) -> Hashes:
    """Sorted distinct winnowed hashes of runs of ``ANCHOR_WORDS`` words.

    The least of each window, and of each beginning of ``MIN_COMPARED_WORDS`` words or more.
    """
    runs = _run_hashes(hashes, ANCHOR_WORDS)
    if runs.size == 0:
        return runs
    window = min(WINNOWING_WINDOW, runs.size)
    minima = np.lib.stride_tricks.sliding_window_view(runs, window).min(axis=1)
    # A teaser may be shorter than a window: so that any beginning meets its text, whatever follows.
    beginnings = np.minimum.accumulate(runs[:WINNOWING_WINDOW])
    return np.unique(np.concatenate([minima, beginnings[MIN_COMPARED_WORDS - ANCHOR_WORDS :]]))


def minhash(shingles: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """MinHash signature of shingle hashes, as a set: ``SIGNATURE_LENGTH`` minima."""
    factors, addends = _permutations()
    minima = np.full(SIGNATURE_LENGTH, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, shingles.size, _MINHASH_BLOCK):  # so that memory does not follow length
        block = shingles[start : start + _MINHASH_BLOCK].astype(np.uint64)
        hashed = (block[None, :] * factors + addends) >> np.uint64(32)
        minima = np.minimum(minima, hashed.min(axis=1).astype(np.uint32))
    return minima


@dataclass(frozen=True)
class TextPrint:
    """The fingerprints of one text, as ``schemas.records.Fingerprint`` keeps them."""

    content_hash: str
    word_count: int
    signature: bytes
    shingles: bytes
    anchors: bytes
    numbers: bytes
    names: bytes


def print_text(body: str) -> TextPrint:
    """Take the fingerprints of a text."""
    words = normalised_words(body)
    hashes = word_hashes(words)
    shingles = shingle_hashes(hashes)
    signature = anchors = b""
    if len(words) >= MIN_COMPARED_WORDS:
        signature = minhash(np.unique(shingles)).astype("<u4").tobytes()
        anchors = anchor_hashes(hashes).astype("<u8").tobytes()
    return TextPrint(
        content_hash=content_hash(words),
        word_count=len(words),
        signature=signature,
        shingles=shingles.astype("<u4").tobytes(),
        anchors=anchors,
        numbers=number_hashes(words).astype("<u4").tobytes(),
        names=name_hashes(body).astype("<u4").tobytes(),
    )
