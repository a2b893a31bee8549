"""The memory of feeds: what is written comes back, and what is lost of it costs requests alone."""

from __future__ import annotations

import gzip
import json
import types
import typing
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset import Dataset, Snapshot, local_dataset
from pipelines.feed_memory import (
    FORMAT,
    KEPT_SECONDS,
    MemoryEncoder,
    decode_memory,
    encode_memory,
    load_memory,
    memory_path,
    read_memory,
    without_forgotten,
)
from schemas.records import FeedItem, FeedMemory, LinkedItem, SeenItem

URL = "https://harbour.example/feed.xml"
MOMENT = Timestamp.from_rfc3339("2026-03-01T09:30:00.000005Z")
LINK = LinkedItem(
    f"{URL}#ferry-7",
    "https://harbour.example/ferry-7",
    URL,
    FeedItem("ferry-7", "The ferry is back", authors=("Ana Barros",), tags=("ferries", "harbour")),
    "0123456789abcdef",
    "01234567",
    attempts=2,
    retry_at=MOMENT,
    headers=("Authorization: Basic aW52ZW50ZWQ=",),
)
MEMORY = FeedMemory(
    URL,
    etag='"7"',
    polled_at=MOMENT,
    status=200,
    is_retired=True,
    seen=(SeenItem("0123456789abcdef", "01234567", 7), SeenItem("fedcba9876543210", "76543210")),
    pending=(LINK,),
)
RECORDS = (FeedItem, FeedMemory, LinkedItem, SeenItem)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type may hold."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(argument) for argument in arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if kind in RECORDS:
        hints = typing.get_type_hints(kind)
        given_values = {name: values(hint) for name, hint in hints.items() if name != "headers"}
        return st.builds(kind, **given_values)
    return {
        str: st.text(max_size=8),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        type(None): st.none(),
        Timestamp: st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999).map(
            lambda micros: Timestamp(micros=micros)
        ),
    }[kind]


def lines_of(content: bytes) -> list[Any]:
    """The lines of a file, as JSON."""
    return [json.loads(line) for line in gzip.decompress(content).splitlines()]


def content_of(*lines: Any) -> bytes:
    """A file of these lines, which stand as they are if they are bytes."""
    encoded = (it if isinstance(it, bytes) else json.dumps(it).encode() for it in lines)
    return gzip.compress(b"\n".join(encoded), mtime=0)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A dataset with nothing in it."""
    return local_dataset(str(tmp_path / "news"))


def read(dataset: Dataset, content: bytes) -> tuple[dict[str, FeedMemory], str]:
    """What is read of a file that is in force."""
    dataset.store.write(memory_path("run"), content)
    return read_memory(dataset, Snapshot(1, {}, memory_path("run")))


# ── what is written comes back ──────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(st.lists(values(FeedMemory), max_size=4))
def test_a_memory_is_read_as_it_was_written(memories: list[FeedMemory]) -> None:
    assert decode_memory(encode_memory(memories)) == sorted(memories, key=lambda it: it.url)


@settings(deadline=None)
@given(st.lists(values(FeedMemory), max_size=4, unique_by=lambda it: it.url), st.randoms())
def test_equal_memories_are_equal_bytes(memories: list[FeedMemory], random: Any) -> None:
    shuffled = random.sample(memories, len(memories))
    assert encode_memory(shuffled) == encode_memory(memories)


@settings(deadline=None)
@given(st.lists(st.lists(values(FeedMemory), max_size=3, unique_by=lambda it: it.url), max_size=4))
def test_one_encoder_for_many_memories_gives_what_one_for_each_gives(
    memories: list[list[FeedMemory]],
) -> None:
    encoder = MemoryEncoder()
    for each in [*memories, *memories]:
        assert encoder.encode(each) == encode_memory(each)


def test_a_feed_that_has_not_changed_is_not_encoded_again() -> None:
    encoder = MemoryEncoder()
    feeds = [replace(MEMORY, url=f"{URL}?{number}") for number in range(3)]
    encoder.encode(feeds)
    before = dict(encoder._kept)
    encoder.encode([replace(feeds[0], status=304), replace(feeds[1])])  # the third is forgotten
    assert encoder._kept.keys() == {feeds[0].url, feeds[1].url}
    assert encoder._kept[feeds[1].url][1] is before[feeds[1].url][1]
    assert encoder._kept[feeds[0].url][1] != before[feeds[0].url][1]


def test_it_is_one_member_of_gzip() -> None:
    content = encode_memory([MEMORY, replace(MEMORY, url=f"{URL}?2")])
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert inflater.decompress(content).count(b"\n") == 3
    assert inflater.eof
    assert not inflater.unused_data


def test_a_line_holds_what_is_not_as_by_default() -> None:
    header, line = lines_of(encode_memory([MEMORY]))
    assert header == {"format": FORMAT}
    assert line == {
        "url": URL,
        "etag": '"7"',
        "polled_at": "2026-03-01T09:30:00.000005Z",
        "status": 200,
        "is_retired": True,
        "seen": [["0123456789abcdef", "01234567", 7], ["fedcba9876543210", "76543210", 0]],
        "pending": [
            {
                "origin": f"{URL}#ferry-7",
                "url": "https://harbour.example/ferry-7",
                "feed_url": URL,
                "item": {
                    "guid": "ferry-7",
                    "title": "The ferry is back",
                    "authors": ["Ana Barros"],
                    "tags": ["ferries", "harbour"],
                },
                "key": "0123456789abcdef",
                "version": "01234567",
                "attempts": 2,
                "retry_at": "2026-03-01T09:30:00.000005Z",
            }
        ],
    }


def test_headers_are_neither_written_nor_read() -> None:
    """They may hold a password; a run takes them from the subscription."""
    content = encode_memory([MEMORY])
    assert b"aW52ZW50ZWQ=" not in gzip.decompress(content)
    header, line = lines_of(content)
    line["pending"][0]["headers"] = ["Cookie: invented"]
    [memory] = decode_memory(content_of(header, line))
    assert memory.pending[0].headers == ()


def test_a_field_that_is_unknown_is_passed_over(dataset: Dataset) -> None:
    line = {"url": URL, "mood": "good", "pending": [], "etag": "7"}
    assert read(dataset, content_of({"format": 1, "by": "newer"}, line)) == (
        {URL: FeedMemory(URL, etag="7")},
        "",
    )


# ── what is lost costs requests ─────────────────────────────────────────────────────────────────


def test_before_there_is_a_memory_nothing_is_remembered(dataset: Dataset) -> None:
    assert read_memory(dataset, dataset.snapshot()) == ({}, "")


def test_a_memory_that_is_missing_is_noted(dataset: Dataset) -> None:
    memories, note = read_memory(dataset, Snapshot(1, {}, memory_path("run")))
    assert memories == {}
    assert note.endswith("_newsbeam/feeds/run.jsonl.gz is missing; all feeds are asked for again")


def test_a_memory_that_the_disk_does_not_give_is_noted(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "news" / memory_path("run")).mkdir(parents=True)
    memories, note = read_memory(dataset, Snapshot(1, {}, memory_path("run")))
    assert memories == {}
    assert "run.jsonl.gz cannot be read ([Errno" in note


def test_a_memory_of_a_newer_newsbeam_is_noted_and_left_alone(dataset: Dataset) -> None:
    memories, note = read(dataset, content_of({"format": FORMAT + 1}, {"url": URL}))
    assert memories == {}
    assert f"is of format {FORMAT + 1}, newer than {FORMAT}" in note


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        encode_memory([MEMORY])[:-9],
        gzip.compress(b"", mtime=0),
        content_of([]),
        content_of({}),
        content_of({"format": "1"}),
        content_of(b"\xff"),
        content_of(b"[" * 100_000),
    ],
)
def test_of_a_damaged_file_nothing_is_remembered(dataset: Dataset, content: bytes) -> None:
    memories, note = read(dataset, content)
    assert memories == {}
    assert "run.jsonl.gz is damaged (" in note
    assert "\n" not in note


DAMAGED_LINES = {
    "no JSON": b'{"url": "https',
    "no object": ["url"],
    "no URL": {"etag": "7"},
    "a number for a text": {"url": 7},
    "a text for a number": {"url": "x", "status": "200"},
    "a truth for a number": {"url": "x", "status": True},
    "a fraction for a number": {"url": "x", "status": 200.0},
    "a number that no record carries": {"url": "x", "status": 2**63},
    "a number for a truth": {"url": "x", "is_retired": 1},
    "no list": {"url": "x", "seen": "0123456789abcdef"},
    "half an item": {"url": "x", "seen": [["0123456789abcdef"]]},
    "an item without its link": {"url": "x", "pending": [{"key": "0"}]},
    "a moment that is none": {"url": "x", "due_at": "tomorrow"},
    "a moment without a zone": {"url": "x", "due_at": "2026-03-01T09:30:00"},
    "nothing where something must be": {"url": "x", "address": None},
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("line", DAMAGED_LINES.values(), ids=DAMAGED_LINES)
def test_a_damaged_line_loses_that_feed_alone(dataset: Dataset, line: Any) -> None:
    header, whole = lines_of(encode_memory([FeedMemory(URL, etag="7")]))
    memories, note = read(dataset, content_of(header, whole, line, {"url": "z"}))
    assert memories == {URL: FeedMemory(URL, etag="7"), "z": FeedMemory("z")}
    assert "run.jsonl.gz is damaged at line 3 (" in note
    assert note.endswith("; feeds that are asked for again: 1")


def test_of_many_damaged_lines_some_are_told_and_all_are_counted(dataset: Dataset) -> None:
    _, note = read(dataset, content_of({"format": 1}, *[{"url": None}] * 5))
    assert "line 2 (" in note
    assert "line 4 (" in note
    assert "line 5 (" not in note
    assert note.endswith(" …; feeds that are asked for again: 5")


@given(st.data())
def test_whatever_a_line_holds_it_never_raises(data: st.DataObject) -> None:
    """A whole file, of which what is in it makes no sense."""
    _, line = lines_of(encode_memory([MEMORY]))
    name = data.draw(st.sampled_from(sorted(line)))
    line[name] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        )
    )
    assert len(decode_memory(content_of({"format": FORMAT}, line))) <= 1


@given(st.data())
def test_a_file_that_was_cut_or_has_flipped_bytes_never_raises(data: st.DataObject) -> None:
    content = bytearray(encode_memory([MEMORY, FeedMemory("https://quay.example/")]))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    kept = bytes(content[: data.draw(st.integers(0, len(content)))])
    assert len(decode_memory(kept)) in (0, 2)


# ── what it is read for ─────────────────────────────────────────────────────────────────────────


def test_who_writes_the_next_memory_is_told_of_one_that_cannot_be_read(dataset: Dataset) -> None:
    snapshot = Snapshot(1, {}, memory_path("run"))
    with pytest.raises(FileNotFoundError):
        load_memory(dataset, snapshot)
    dataset.store.write(f"{memory_path('run')}/file", b"")  # a folder is where it should be
    with pytest.raises(IsADirectoryError):
        load_memory(dataset, snapshot)
    assert "cannot be read" in read_memory(dataset, snapshot)[1]
    assert load_memory(dataset, Snapshot(0, {})) == ({}, "")


# ── what is forgotten ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("polled_at", "is_subscribed", "is_kept"),
    [
        (MOMENT, False, True),
        (MOMENT - KEPT_SECONDS, False, True),
        (MOMENT - KEPT_SECONDS - 1, False, False),
        (MOMENT - KEPT_SECONDS - 1, True, True),
        (None, False, False),
        (None, True, True),
    ],
)
def test_a_feed_is_forgotten_that_nobody_subscribes_to_and_nobody_has_polled_for_90_days(
    polled_at: Timestamp | None, is_subscribed: bool, is_kept: bool
) -> None:
    assert KEPT_SECONDS == 90 * 86_400
    memories = {URL: replace(MEMORY, polled_at=polled_at)}
    subscribed = {URL} if is_subscribed else set()
    assert bool(without_forgotten(memories, subscribed, MOMENT)) is is_kept
