"""What is listed of a file, so that it need not be opened, and how keys are looked for in it."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.compaction import DamagedFileError
from transforms.file_keys import (
    FileKeys,
    WantedKeys,
    article_key,
    decode_keys,
    encode_keys,
    failure_key,
    keys_of_file,
    text_key,
    to_keys,
)
from transforms.storage import LocalStore

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
NOON_MICROS = 1_795_176_000_000_000
HOUR_MICROS = 3_600_000_000
ARTICLES = "articles/date=2026-11-20/topic=sport/a.parquet"
COPIES = "duplicates/date=2026-11-20/a.parquet"
FAILURES = "failures/date=2026-11-20/a.parquet"

_KEYS = st.integers(0, 2**32 - 1)
_KEY_SETS = st.sets(_KEYS, max_size=20).map(to_keys)
_MICROS = st.integers(-(2**60), 2**60)
_RANGES = st.none() | st.tuples(_MICROS, _MICROS).map(lambda pair: (min(pair), max(pair)))
_FILES = st.lists(
    st.builds(FileKeys, st.text(max_size=9), st.text(max_size=9), _RANGES, _KEY_SETS), max_size=4
)


def plain(files: list[FileKeys]) -> list[tuple[object, ...]]:
    """Listings that can be compared."""
    return sorted(
        (it.path, it.sha256, str(it.observed_micros), tuple(it.keys.tolist())) for it in files
    )


def listed(folder: Path, path: str, **columns: list[object]) -> FileKeys:
    """What is listed of a file with these columns, of which the rows were seen hour by hour."""
    rows = len(next(iter(columns.values())))
    times = [NOON + datetime.timedelta(hours=hour) for hour in range(rows)]
    table = pa.table({**columns, "observed_at": pa.array(times, pa.timestamp("us", "UTC"))})
    (folder / path).parent.mkdir(parents=True)
    pq.write_table(table, folder / path)
    return keys_of_file(LocalStore(str(folder)), path, path, "77ab")


# ── what is listed ──────────────────────────────────────────────────────────────────────────────


def test_articles_are_listed_by_work_and_by_text_and_file(tmp_path: Path) -> None:
    columns = {"article_id": ["a", "a"], "content_hash": ["x", "y"], "source_uri": ["f", "g"]}
    keys = {article_key("a"), text_key("x", "f"), text_key("y", "g")}
    assert listed(tmp_path, ARTICLES, **columns).keys.tolist() == sorted(keys)


def test_copies_are_listed_by_text_and_file_alone(tmp_path: Path) -> None:
    columns = {"article_id": ["a"], "content_hash": ["x"], "source_uri": ["f"]}
    assert listed(tmp_path, COPIES, **columns).keys.tolist() == [text_key("x", "f")]


def test_failures_are_listed_by_id(tmp_path: Path) -> None:
    keys = sorted([failure_key("a"), failure_key("b")])
    assert listed(tmp_path, FAILURES, failure_id=["b", "a", "b"]).keys.tolist() == keys


def test_the_first_and_the_last_time_of_a_file_are_listed(tmp_path: Path) -> None:
    file = listed(tmp_path, FAILURES, failure_id=["a", "b", "c"])
    assert file.observed_micros == (NOON_MICROS, NOON_MICROS + 2 * HOUR_MICROS)


def test_a_file_without_rows_has_no_times_and_no_keys(tmp_path: Path) -> None:
    file = listed(tmp_path, FAILURES, failure_id=pa.array([], pa.string()))
    assert file.observed_micros is None
    assert file.keys.tolist() == []


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no Parquet file")
    with pytest.raises(DamagedFileError, match=r"a\.parquet is damaged"):
        keys_of_file(LocalStore(str(tmp_path)), "a.parquet", FAILURES, "77ab")


def test_one_word_gives_another_key_of_each_kind() -> None:
    assert len({article_key("a"), failure_key("a"), text_key("a", ""), text_key("", "a")}) == 4


# ── looking for keys ────────────────────────────────────────────────────────────────────────────


@given(st.sets(_KEYS, max_size=30), st.sets(_KEYS, max_size=30), st.sets(_KEYS, max_size=5))
def test_whatever_is_listed_is_found_and_nothing_else(
    wanted: set[int], listed: set[int], common: set[int]
) -> None:
    found = WantedKeys(to_keys(wanted | common)).among(to_keys(listed | common))
    assert set(found.tolist()) == (wanted | common) & (listed | common)


@given(st.integers(0, 2**24 - 1), st.sets(st.integers(0, 255), max_size=9), st.integers(0, 255))
def test_keys_that_begin_alike_are_told_apart(first: int, rests: set[int], rest: int) -> None:
    found = WantedKeys(to_keys([first << 8 | rest])).among(
        to_keys(first << 8 | other for other in rests)
    )
    assert found.tolist() == [first << 8 | rest] * (rest in rests)


# ── key files ───────────────────────────────────────────────────────────────────────────────────


@given(_FILES)
def test_a_key_file_is_read_as_it_was_written(files: list[FileKeys]) -> None:
    assert plain(decode_keys(encode_keys(files))) == plain(files)


@given(_FILES, st.randoms())
def test_a_key_file_is_the_same_in_whatever_order_files_come(
    files: list[FileKeys], random: object
) -> None:
    apart = {(file.path, file.sha256): file for file in files}
    shuffled = list(apart.values())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert encode_keys(shuffled) == encode_keys(apart.values())


@given(_FILES, st.data())
def test_a_key_file_that_was_cut_or_has_flipped_bytes_is_never_read_as_another(
    files: list[FileKeys], data: st.DataObject
) -> None:
    content = bytearray(encode_keys(files))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_keys(bytes(content))
    except ValueError:
        return
    assert plain(read) == plain(files)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]\n[]\n", b'{"format": 2, "sha256": ""}\n[]\n', b"[" * 100_000]
)
def test_what_is_no_key_file_is_damaged(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_keys(content)


def test_the_keys_of_a_file_are_numbers_in_place() -> None:
    """Nothing is copied of what may be all keys of a dataset."""
    [file] = decode_keys(encode_keys([FileKeys("a", "b", (1, 2), to_keys(range(1000)))]))
    assert not file.keys.flags.owndata
    assert file.keys.flags.aligned
    assert np.array_equal(file.keys, np.arange(1000, dtype=np.uint32))
