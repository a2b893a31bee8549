"""What can be said of a file of the dataset without opening it: the keys and times of its rows.

In: Parquet files of the tables. Out: ``FileKeys``, many of them in one *key file*, and back; and
``WantedKeys``, by which is told what files may hold. As with the Bloom filters of a Parquet file or
the column statistics of Apache Hudi's metadata table, a key that is not listed is not in the file,
and one that is listed almost certainly is: keys are hashes of 32 bits. Each is salted by what it is
of:

- the work of a row of ``articles`` (``article_id``);
- the text of a row of ``articles`` or ``duplicates`` and the file that it was read from
  (``content_hash`` and ``source_uri``);
- the failure of a row of ``failures`` (``failure_id``).

A key file is two lines of JSON, and the keys of all its files, one after the other, each an
unsigned number of four bytes, least significant first::

    {"format": 1, "sha256": "9f2c…"}
    [["articles/date=…/a.parquet", "77ab…", 1840, 1772357400000000, 1772443800000000], …]
    0c 1f 00 00 …

``sha256`` is that of all that follows the first line. A file is listed with its own SHA-256, the
number of its keys, and the least and greatest ``observed_at`` (microseconds since 1970; null if it
has none). What is listed of a file with another SHA-256 is not about it.

What grows with the age of a dataset is 8 bytes for each row of ``articles`` and 4 for each of the
others, and about 200 for each file. For 4 million articles in 10,000 files that is 34 MB, which are
read and checked in 0.04 s (on a local disk) and looked through for the keys of a run in 0.2 s. Of
the files a run of 1,000 texts looks in vain into about 4 then, one of 50,000 into about 200.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.compaction import open_parquet
from transforms.storage import Store

FORMAT = 1
"""Raised when an older newsbeam could not make sense of what is written."""
KEY_BYTES = 4
OBSERVED_AT = "observed_at"
KEY_COLUMNS = {
    "articles": ("article_id", "content_hash", "source_uri"),
    "duplicates": ("content_hash", "source_uri"),
    "failures": ("failure_id",),
}
"""By table, of what columns the keys of a row are made."""
_BATCH_ROWS = 10_000
_PREFIX_BITS = 24
_REST_BITS = 8 * KEY_BYTES - _PREFIX_BITS

Keys = npt.NDArray[np.uint32]
MicrosRange = tuple[int, int]
"""Least and greatest of some observation times, in microseconds since 1970."""


@dataclass(frozen=True, eq=False)
class FileKeys:
    """What is listed of one file."""

    path: str
    """Relative to the dataset."""
    sha256: str
    """Of the file's bytes, 64 hex digits."""
    observed_micros: MicrosRange | None
    """None if it has no rows."""
    keys: Keys
    """Of its rows, sorted, each once."""


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


def _key(what: bytes, *parts: str) -> int:
    identity = "\n".join(parts).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(identity, digest_size=KEY_BYTES, person=what).digest()
    return int.from_bytes(digest, "little")


def article_key(article_id: str) -> int:
    """The key of a work."""
    return _key(b"article", article_id)


def text_key(content_hash: str, source_uri: str) -> int:
    """The key of a text that was read from a file."""
    return _key(b"text", content_hash, source_uri)


def failure_key(failure_id: str) -> int:
    """The key of a failure."""
    return _key(b"failure", failure_id)


def to_keys(keys: Iterable[int]) -> Keys:
    """Keys as they are listed: sorted, each once."""
    return np.unique(np.fromiter(keys, np.uint32))


def row_keys(batch: pa.RecordBatch, table: str) -> Keys:
    """The keys of some rows of a table, of which the batch has the ``KEY_COLUMNS``."""
    columns = [batch.column(name).to_pylist() for name in KEY_COLUMNS[table]]
    if table == "failures":
        return to_keys(map(failure_key, columns[0]))
    texts = to_keys(map(text_key, *columns[-2:]))
    works = to_keys(map(article_key, columns[0])) if table == "articles" else texts[:0]
    return np.union1d(works, texts)


def row_times(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """When each row was observed, in microseconds since 1970."""
    times = batch.column(OBSERVED_AT).cast(pa.timestamp("us", "UTC"))
    micros: npt.NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
    return micros


def joined(parts: Sequence[Keys]) -> Keys:
    """The keys of several batches as those of one file."""
    return np.unique(np.concatenate([np.zeros(0, np.uint32), *parts]))


def spanned(parts: Iterable[npt.NDArray[np.int64]]) -> MicrosRange | None:
    """The least and greatest of several batches' times; None if there are none."""
    ranges = [(int(part.min()), int(part.max())) for part in parts if part.size]
    if not ranges:
        return None
    return min(least for least, _ in ranges), max(greatest for _, greatest in ranges)


def keys_of_file(
    store: Store, where: str, path: str, sha256: str, *, checks_hash: bool = False
) -> FileKeys:
    """What is to be listed of a Parquet file.

    Args:
        store: that it lies in.
        where: in the store; other than ``path`` while it is staged.
        path: relative to the dataset, which tells its table.
        sha256: of its bytes.
        checks_hash: whether the file may be another by now, and is read whole to see.

    Raises:
        OSError: if it cannot be read, or is damaged.
    """
    table = path.partition("/")[0]
    keys: list[Keys] = []
    times: list[npt.NDArray[np.int64]] = []
    with open_parquet(store, where, sha256 if checks_hash else "") as parquet:
        columns = [*KEY_COLUMNS[table], OBSERVED_AT]
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            keys.append(row_keys(batch, table))
            times.append(row_times(batch))
    return FileKeys(path, sha256, spanned(times), joined(keys))


# ── looking for some ────────────────────────────────────────────────────────────────────────────


class WantedKeys:
    """Keys that are looked for.

    Most keys of a file are ruled out by their first 24 bits, each with one look into a table that
    fits into a processor's cache; what is left is searched for.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = np.unique(keys)
        self._prefixes = np.zeros(1 << _PREFIX_BITS, bool)
        self._prefixes[self._keys >> _REST_BITS] = True

    def among(self, keys: Keys) -> Keys:
        """Which of them a file has."""
        if not self._keys.size:
            return self._keys
        likely = keys[self._prefixes[keys >> _REST_BITS]]
        places = np.searchsorted(self._keys, likely).clip(max=self._keys.size - 1)
        found: Keys = likely[self._keys[places] == likely]
        return found


# ── key files ───────────────────────────────────────────────────────────────────────────────────


def encode_keys(files: Iterable[FileKeys]) -> bytes:
    """The key file that lists some files; the same for the same in any order."""
    ordered = sorted(files, key=lambda file: (file.path, file.sha256))
    listing = [
        (file.path, file.sha256, file.keys.size, *(file.observed_micros or (None, None)))
        for file in ordered
    ]
    lines = [json.dumps(listing, separators=(",", ":")).encode(), b"\n"]
    content = b"".join([*lines, *(file.keys.astype("<u4").tobytes() for file in ordered)])
    stated = {"format": FORMAT, "sha256": hashlib.sha256(content).hexdigest()}
    header = json.dumps(stated).encode()
    # With spaces before the end of the first line, so that the numbers lie where processors like.
    padding = b" " * (-(len(header) + 1 + sum(map(len, lines))) % KEY_BYTES)
    return b"".join([header, padding, b"\n", content])


def decode_keys(encoded: bytes) -> list[FileKeys]:
    """The files that a key file lists.

    Raises:
        ValueError: if it is damaged, or of a format that is unknown; the message says which.
    """
    try:
        return list(_decode(encoded))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _decode(encoded: bytes) -> Iterator[FileKeys]:
    end = encoded.find(b"\n") + 1
    header = json.loads(encoded[:end])
    if header["format"] != FORMAT:
        raise ValueError(f"its format is {header['format']!r}, which is unknown")
    content = memoryview(encoded)[end:]
    if header["sha256"] != hashlib.sha256(content).hexdigest():
        raise ValueError("it has another SHA-256 than it says")
    start = encoded.find(b"\n", end) + 1
    listing: list[Any] = json.loads(encoded[end:start])
    every_key = np.frombuffer(memoryview(encoded)[start:], "<u4")
    at = 0
    for path, sha256, count, least, greatest in listing:
        keys = every_key[at : at + count]
        at += count
        observed = None if least is None else (int(least), int(greatest))
        yield FileKeys(str(path), str(sha256), observed, keys)
    if at != every_key.size:
        raise ValueError(f"it has {every_key.size:,} keys, and lists {at:,}")
