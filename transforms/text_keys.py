"""The keys under which texts meet, taken of many texts at once, and sketches to compare them by.

In: a table of fingerprints, as a block of them is staged. Out: ``KeyedTexts``, arrays. Pure.

A text has one key for its content, one for each LSH band of its signature, and one for each of its
anchors: some 70 for a text of 300 words. The lowest two bits of a key say of which kind it is.

Its *sketch* are the two lowest bits of each place of its signature, 256 bits in all (Li and König,
"b-Bit Minwise Hashing", 2010, with b = 2). Where two texts have a Jaccard similarity J, a place of
their sketches differs with a probability of 3/4 (1 − J), so that counting those that do tells
unrelated texts, which meet under a band by chance, from copies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.records import SIGNATURE_LENGTH

Keys = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Texts = npt.NDArray[np.void]
Sketches = npt.NDArray[np.uint64]

KEY_COLUMNS = ("origin", "content_hash", "observed_micros", "signature", "anchors")
"""What of a fingerprint its keys are made from."""

BAND, CONTENT, ANCHOR = 0, 1, 2
"""Kinds of keys, in their lowest two bits."""
_KIND_BITS = np.uint64(3)

TEXT = np.dtype(
    [
        ("ref", "<i8"),
        ("observed_micros", "<i8"),
        ("content", "<u8"),
        ("origin", "<u8"),
        ("sketch", "<u8", (4,)),
    ]
)
"""What is known of a text where keys meet: its reference, when it was observed, the first 64 bits
of its content hash, a hash of its origin, its sketch (the lowest bits, then the others). With the
origin texts are ordered that were observed at one time: it does not change with the blocks that a
run was cut into."""

_CANDIDATE_RECALL = 0.98
_SKETCH_RECALL = 0.995
_HASH_DIGITS = 64


def lsh_shape(threshold: float) -> tuple[int, int]:
    """Bands and rows of the LSH for a threshold (Leskovec et al., Mining of Massive Datasets, 3).

    The most rows (fewest false candidates) with which a pair exactly at the threshold still shares
    a band with a probability of at least 0.98.
    """
    for rows in range(16, 1, -1):
        bands = SIGNATURE_LENGTH // rows
        if 1 - (1 - threshold**rows) ** bands >= _CANDIDATE_RECALL:
            return bands, rows
    return SIGNATURE_LENGTH, 1


def most_differing_places(threshold: float) -> int:
    """In how many places of their sketches two texts may differ that met under a band.

    The least number that a pair exactly at the threshold does not exceed with a probability of at
    least 0.995: 67 of 128 for 0.45. Of unrelated pairs (J = 0.02), which differ in 94 on average,
    fewer than one in a million does not.
    """
    differs = (1 - threshold) * 3 / 4
    likely = 0.0
    for places in range(SIGNATURE_LENGTH):
        ways = math.comb(SIGNATURE_LENGTH, places)
        likely += ways * differs**places * (1 - differs) ** (SIGNATURE_LENGTH - places)
        if likely >= _SKETCH_RECALL:
            return places
    return SIGNATURE_LENGTH


def differing_places(one: Sketches, other: Sketches) -> Places:
    """In how many places sketches differ, row by row."""
    differing = one ^ other
    counts: Places = np.bitwise_count(differing[:, :2] | differing[:, 2:]).sum(
        axis=1, dtype=np.int64
    )
    return counts


@dataclass(frozen=True)
class KeyedTexts:
    """Texts with their keys."""

    texts: Texts
    """``TEXT`` for each text."""
    keys: Keys
    owners: Places
    """For each key the place of its text in ``texts``."""


def _binary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], Places]:
    """The bytes of a column of strings or bytes, one after the other, and each row's length."""
    whole = pa.concat_arrays([pa.array([], column.type), *column.chunks])
    values = pc.fill_null(pc.cast(whole, pa.large_binary()), b"")
    _, offset_buffer, data = values.buffers()
    offsets = np.frombuffer(offset_buffer, "<i8")[values.offset :][: len(values) + 1]
    if data is None:
        return np.empty(0, np.uint8), np.zeros(len(values), np.int64)
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]], np.diff(offsets)


def _content_numbers(column: pa.ChunkedArray) -> Keys:
    """The first 64 bits of content hashes of 64 hex digits."""
    digits = _binary(column)[0].reshape(-1, _HASH_DIGITS)[:, :16]
    nibbles = (digits & 15) + 9 * (digits >> 6)  # ASCII: "0" is 0x30, "a" is 0x61
    octets = np.ascontiguousarray(nibbles[:, 0::2] << 4 | nibbles[:, 1::2], np.uint8)
    return octets.view(">u8")[:, 0].astype(np.uint64)


def _origin_number(origin: str) -> int:
    digest = hashlib.blake2b(origin.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _of_kind(keys: Keys, kind: int) -> Keys:
    return (keys & ~_KIND_BITS) | np.uint64(kind)


def kind_of(keys: Keys) -> npt.NDArray[np.uint8]:
    """The kind of each key."""
    return (keys & _KIND_BITS).astype(np.uint8)


def band_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> Keys:
    """A 64-bit hash of each band of each signature: texts × bands."""
    hashed = np.empty((len(signatures), bands), np.uint64)
    hashed[:] = np.arange(1, bands + 1)  # so that bands do not meet each other
    cut = signatures[:, : bands * rows].reshape(-1, bands, rows)
    for row in range(rows):
        hashed ^= cut[:, :, row]
        hashed *= np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(32)
    return hashed


def key_texts(prints: pa.Table, refs: Places, bands: int, rows: int) -> KeyedTexts:
    """The keys of all texts of a table with ``KEY_COLUMNS``; ``refs`` are the texts' references.

    A text without a signature has no sketch but zeros, and no key but that of its content.
    """
    texts = np.zeros(prints.num_rows, TEXT)
    texts["ref"] = refs
    texts["observed_micros"] = prints["observed_micros"].to_numpy()
    texts["content"] = _content_numbers(prints["content_hash"])
    texts["origin"] = [_origin_number(origin) for origin in prints["origin"].to_pylist()]
    data, lengths = _binary(prints["signature"])
    signed = np.flatnonzero(lengths)
    signatures = data.view("<u4").reshape(-1, SIGNATURE_LENGTH)
    bits = [(signatures & np.uint32(1 << bit)).astype(bool) for bit in range(2)]
    texts["sketch"][signed] = np.packbits(np.hstack(bits), axis=1).view("<u8")
    data, lengths = _binary(prints["anchors"])
    anchors = data.view("<u8").astype(np.uint64)
    places = np.arange(len(texts))
    return KeyedTexts(
        texts=texts,
        keys=np.concatenate(
            [
                _of_kind(texts["content"], CONTENT),
                _of_kind(band_keys(signatures, bands, rows), BAND).ravel(),
                _of_kind(anchors, ANCHOR),
            ]
        ),
        owners=np.concatenate(
            [places, np.repeat(signed, bands), np.repeat(places, lengths // anchors.itemsize)]
        ),
    )


def join_texts(parts: Sequence[KeyedTexts]) -> KeyedTexts:
    """Several lots of texts as one."""
    starts = np.cumsum([0, *(len(part.texts) for part in parts)])
    return KeyedTexts(
        np.concatenate([np.empty(0, TEXT), *(part.texts for part in parts)]),
        np.concatenate([np.empty(0, np.uint64), *(part.keys for part in parts)]),
        np.concatenate(
            [
                np.empty(0, np.int64),
                *(part.owners + start for part, start in zip(parts, starts, strict=False)),
            ]
        ),
    )
