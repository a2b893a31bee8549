"""How sources are grouped to be worked through."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.slices import plan_slices, worked_bytes
from schemas.records import Source

HTML = b"<!DOCTYPE html><html><body><p>The bridge is open again.</p></body></html>"


def plan(
    *sources: Source, slice_bytes: int = 1_000, slice_files: int = 100, max_input_bytes: int = 5_000
) -> list[list[Source]]:
    slices = plan_slices(
        sources,
        slice_bytes=slice_bytes,
        slice_files=slice_files,
        max_input_bytes=max_input_bytes,
    )
    return [list(one.sources) for one in slices]


def record(number: int) -> bytes:
    return (
        b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:%d>\r\n"
        b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n%b\r\n\r\n"
        % (number, len(HTML), HTML)
    )


A, B, C = (Source(f"/in/{name}.txt", 400) for name in "abc")


def test_a_slice_holds_as_many_bytes_as_it_may() -> None:
    assert plan(A, B, C) == [[A, B], [C]]


def test_a_slice_holds_as_many_files_as_it_may() -> None:
    assert plan(A, B, C, slice_files=1) == [[A], [B], [C]]


def test_a_source_larger_than_a_slice_has_one_to_itself() -> None:
    large = Source("/in/b.txt", 3_000)
    assert plan(A, large, C) == [[A], [large], [C]]


def test_compressed_files_are_taken_to_be_six_times_as_large() -> None:
    small, large = Source("/in/a.txt.gz", 100), Source("/in/b.html.GZ", 67)
    assert plan(small, A) == [[small, A]]
    assert plan(small, large) == [[small], [large]]


def test_what_is_refused_for_its_size_takes_no_room() -> None:
    refused = Source("/in/b.txt", 6_000)
    assert plan(A, refused, C) == [[A, refused, C]]


def test_compressed_files_take_no_more_room_than_is_read_of_them() -> None:
    assert plan(A, Source("/in/b.txt.gz", 9_000), C, max_input_bytes=100) == [
        [A, Source("/in/b.txt.gz", 9_000), C]
    ]


@pytest.mark.parametrize("name", ["big.warc", "BIG.WARC"])
def test_an_archive_is_worked_through_whatever_its_size_and_the_case_of_its_name(name: str) -> None:
    assert worked_bytes(Source(f"/in/{name}", 6_000), max_input_bytes=5_000) == 6_000


def test_of_a_part_of_an_archive_only_the_part_is_worked_on() -> None:
    part = Source("/in/a.warc", 6_000, end=700, known_bytes=700)
    assert worked_bytes(part, max_input_bytes=500) == 700


def test_a_file_of_unknown_size_counts_as_a_file() -> None:
    unknown = [Source(f"/in/{number}.txt", -1) for number in range(3)]
    assert plan(*unknown, slice_files=2) == [unknown[:2], unknown[2:]]


def test_without_sources_there_is_one_empty_slice() -> None:
    assert plan() == [[]]


@pytest.mark.parametrize("name", ["a.warc", "a.html"])
def test_a_large_archive_is_spread_over_slices_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"".join(map(record, range(20))))
    slices = plan(Source(str(path), path.stat().st_size), C)
    *parts, last = [one for group in slices for one in group]
    assert last == C
    assert len(slices) > 3
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == -1


def test_parts_of_an_archive_take_the_room_of_their_content(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(gzip.compress(record(number)) for number in range(20)))
    archive = Source(str(path), path.stat().st_size)
    parts = [part for group in plan(archive, slice_bytes=1_000) for part in group]
    assert len(parts) > 3
    assert plan(*parts, slice_bytes=10_000) == [parts]
    assert plan(*parts, slice_bytes=1_000) == [[part] for part in parts]


SOURCES = st.lists(
    st.builds(
        Source,
        st.sampled_from(["/no/a.txt", "/no/b.html.gz", "/no/c.warc", "/no/d"]),
        st.integers(-1, 3_000),
    ),
    max_size=20,
)


@given(SOURCES, st.integers(1, 2_000), st.integers(1, 5))
def test_every_source_is_in_one_slice_and_no_slice_is_too_large(
    sources: list[Source], slice_bytes: int, slice_files: int
) -> None:
    slices = plan(*sources, slice_bytes=slice_bytes, slice_files=slice_files)
    assert [source for group in slices for source in group] == sources
    for group in slices:
        sizes = [max(0, one.size_bytes) * (6 if one.uri.endswith(".gz") else 1) for one in group]
        assert len(group) <= slice_files
        assert len(group) <= 1 or sum(min(size, 5_000) for size in sizes) <= slice_bytes


def test_the_same_sources_give_the_same_slices(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(map(record, range(20))))
    listed = [A, Source(str(path), path.stat().st_size), C]
    assert plan(*listed) == plan(*listed)
