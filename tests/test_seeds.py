"""The sample input holds the shapes that it is there for, and its expectations fit it."""

from __future__ import annotations

import gzip
import html
import itertools
import json
import re
import runpy
import zlib
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator

REPOSITORY = Path(__file__).resolve().parent.parent
SEEDS = REPOSITORY / "seeds"
SCRIPT = runpy.run_path(str(REPOSITORY / "benchmarks" / "make_seeds.py"))
EXPECTED: dict[str, Any] = json.loads(
    (REPOSITORY / "tests" / "seeds_expected.json").read_text(encoding="utf-8")
)
UNITS = [(name, unit) for name, units in EXPECTED["files"].items() for unit in units]
TEXTS = [(name, unit) for name, unit in UNITS if unit["outcome"] in ("article", "duplicate")]

TOPICS = {
    "arts-culture-entertainment-and-media",
    "conflict-war-and-peace",
    "crime-law-and-justice",
    "disaster-accident-and-emergency-incident",
    "economy-business-and-finance",
    "education",
    "environment",
    "health",
    "human-interest",
    "labour",
    "lifestyle-and-leisure",
    "politics",
    "religion",
    "science-and-technology",
    "society",
    "sport",
    "weather",
}
REASONS = {
    "empty",
    "binary",
    "truncated",
    "no-article",
    "challenge-page",
    "empty-item",
    "teaser-only",
    "http-status",
    "not-a-page",
}


def readable(name: str) -> str:
    """All text of a seed without markup, runs of whitespace made one space."""
    path = SEEDS / name
    if name.endswith(".warc.gz"):
        with path.open("rb") as stream:
            raw = b" ".join(record.reader.read() for record in ArchiveIterator(stream))
    elif name.endswith(".gz"):
        raw = gzip.decompress(path.read_bytes())
    else:
        raw = path.read_bytes()
    text = raw.decode("windows-1252" if "1252" in name else "utf-8", errors="replace")
    if not name.endswith(".txt"):
        text = re.sub(r"<!\[CDATA\[|\]\]>", " ", text)
        for _ in range(2):  # a feed's HTML may be escaped inside its XML
            text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return " ".join(text.split())


def bodies(name: str) -> list[str]:
    """The texts of a seed as its expectations delimit them, in their order."""
    text = readable(name)
    found, at = [], 0
    for unit in EXPECTED["files"][name]:
        if "body_starts" not in unit:
            continue
        begin = text.index(unit["body_starts"], at)
        at = text.index(unit["body_ends"], begin) + len(unit["body_ends"])
        found.append(text[begin:at])
    return found


BODIES = {
    (name, unit["title"]): body
    for name, units in EXPECTED["files"].items()
    if any("body_starts" in unit for unit in units)
    for unit, body in zip(
        [unit for unit in units if "body_starts" in unit], bodies(name), strict=True
    )
}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + 3]) for start in range(len(found) - 2)}


def jaccard(left: str, right: str) -> float:
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b)


def containment(part: str, whole: str) -> float:
    a, b = shingles(part), shingles(whole)
    return len(a & b) / len(a)


def copies(kind: str) -> list[tuple[str, str]]:
    return [
        (BODIES[name, unit["title"]], BODIES[unit["of_file"], unit["of"]])
        for name, unit in TEXTS
        if unit.get("kind") == kind
    ]


def test_every_seed_is_expected_and_nothing_else_lies_in_the_folder() -> None:
    assert sorted(path.name for path in SEEDS.iterdir()) == sorted(EXPECTED["files"])


def test_units_end_in_every_way_that_a_first_run_knows() -> None:
    assert {unit["outcome"] for _, unit in UNITS} == {"article", "duplicate", "rejected", "failed"}
    assert {unit["kind"] for _, unit in TEXTS if "kind" in unit} == {"exact", "near", "abridged"}
    assert {unit["reason"] for _, unit in UNITS if "reason" in unit} == REASONS


def test_articles_cover_all_top_level_topics() -> None:
    assert {unit["topic"] for _, unit in TEXTS} == TOPICS


def test_texts_are_in_several_languages() -> None:
    assert {unit["language"] for _, unit in TEXTS} == {"en", "de", "fr", "es", "ar"}


def test_dumps_hold_one_to_four_articles() -> None:
    sizes = Counter(len(units) for name, units in EXPECTED["files"].items() if "_dump_" in name)
    assert set(sizes) == {1, 2, 3, 4}


def test_dates_lie_between_2024_and_the_middle_of_2026() -> None:
    dates = [date.fromisoformat(unit["date"]) for _, unit in TEXTS if unit["date"]]
    assert date(2024, 1, 1) <= min(dates)
    assert max(dates) <= date(2026, 6, 30)


def test_a_date_has_a_source_and_an_undated_text_has_none() -> None:
    for name, unit in TEXTS:
        assert bool(unit["date"]) == bool(unit["date_source"]), (name, unit["title"])


@pytest.mark.parametrize(("name", "unit"), TEXTS)
def test_title_authors_and_agency_stand_in_the_file(name: str, unit: dict[str, Any]) -> None:
    text = readable(name)
    for value in [unit["title"], *unit["authors"], *filter(None, [unit["agency"]])]:
        assert value in text


@pytest.mark.parametrize(("name", "unit"), [item for item in TEXTS if item[1].get("hints")])
def test_a_hint_is_in_the_file_but_dates_nothing(name: str, unit: dict[str, Any]) -> None:
    assert unit["date"] is None
    for hint in map(date.fromisoformat, unit["hints"]):
        assert f"{hint:%B} {hint.day}, {hint.year}" in readable(name)


def test_articles_have_200_to_450_words_but_for_a_summary_in_a_feed() -> None:
    counts = {
        key: len(BODIES[key].split())
        for name, unit in TEXTS
        if unit["outcome"] == "article"
        for key in [(name, unit["title"])]
    }
    short = {name for (name, _), count in counts.items() if count < 200}
    assert short <= {"170_feed_rss.xml"}
    assert min(counts.values()) >= 25
    assert max(counts.values()) <= 450


@pytest.mark.parametrize("name", EXPECTED["noise"])
def test_noise_stands_on_the_page_and_in_no_body(name: str) -> None:
    noise = EXPECTED["noise"][name]
    assert [phrase for phrase in noise if phrase not in readable(name)] == []
    if name.endswith(".txt"):  # in a page, boxes stand between the paragraphs
        for body in bodies(name):
            assert [phrase for phrase in noise if phrase in body] == []


def test_every_file_with_a_text_names_its_noise_unless_it_has_none() -> None:
    assert set(EXPECTED["noise"]) == {name for name, _ in TEXTS}


def test_exact_copies_have_the_same_words() -> None:
    pairs = copies("exact")
    assert pairs
    for copy, canonical in pairs:
        assert copy == canonical


def test_near_copies_differ_in_some_words() -> None:
    pairs = copies("near")
    assert pairs
    for copy, canonical in pairs:
        assert 0.6 < jaccard(copy, canonical) < 0.95


def test_abridged_copies_are_the_front_part_of_a_text() -> None:
    pairs = copies("abridged")
    assert {len(copy.split()) > 100 for copy, _ in pairs} == {True, False}
    for copy, canonical in pairs:
        assert len(copy.split()) >= 60
        assert len(copy.split()) < 0.7 * len(canonical.split())
        assert containment(copy, canonical) > 0.95


def test_texts_that_are_no_copies_share_next_to_nothing() -> None:
    related = {
        frozenset([(name, unit["title"]), (unit["of_file"], unit["of"])])
        for name, unit in TEXTS
        if "kind" in unit
    }
    # The archive's text that is a copy but for the time at which it was seen.
    related |= {
        frozenset([(name, unit["title"]), (other, twin["title"])])
        for name, unit in TEXTS
        if "note" in unit
        for other, twin in TEXTS
        if twin["body_starts"] == unit["body_starts"]
    }
    for left, right in itertools.combinations(BODIES, 2):
        if frozenset([left, right]) not in related:
            assert jaccard(BODIES[left], BODIES[right]) < 0.03, (left, right)


def test_a_canonical_row_lacks_what_it_takes_from_its_copy() -> None:
    assert {merge["field"] for merge in EXPECTED["merged"]} == {"agency", "date", "authors"}
    for merge in EXPECTED["merged"]:
        (own,) = [u for u in EXPECTED["files"][merge["file"]] if u["title"] == merge["title"]]
        (copy,) = [u for u in EXPECTED["files"][merge["from"]] if u.get("of") == merge["title"]]
        assert not own[merge["field"]]
        assert copy[merge["field"]] == merge["value"]


def test_archive_captures_two_copies_within_a_week_and_one_far_from_any_run() -> None:
    with (SEEDS / "190_archive.warc.gz").open("rb") as stream:
        records = [
            (record.headers["WARC-Target-URI"], record.record_date.strftime("%Y-%m-%dT%H:%M:%SZ"))
            for record in ArchiveIterator(stream)
            if "WARC-Target-URI" in record.headers
        ]
    units = EXPECTED["files"]["190_archive.warc.gz"]
    assert records == [(unit["url"], unit["observed_at"]) for unit in units]


def test_broken_files_are_broken_in_the_way_that_their_names_say() -> None:
    assert (SEEDS / "200_empty.txt").stat().st_size == 0
    assert not (SEEDS / "210_whitespace.txt").read_text(encoding="utf-8").strip()
    assert (SEEDS / "220_picture_named_text.txt").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(EOFError):
        gzip.decompress((SEEDS / "240_page_truncated.html.gz").read_bytes())
    mixed = (SEEDS / "230_dump_broken_encoding.txt").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        mixed.decode("utf-8")
    assert "São Luís" in mixed.decode("utf-8", errors="replace")
    page = (SEEDS / "130_page_windows_1252.html").read_bytes()
    assert "œ".encode("windows-1252") in page
    assert b"charset=windows-1252" in page


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng compresses otherwise")
def test_script_writes_the_generated_seeds_byte_for_byte() -> None:
    for name, content in SCRIPT["generated_seeds"]().items():
        assert (SEEDS / name).read_bytes() == content, name


def test_documented_table_is_that_of_the_expectations() -> None:
    page = (REPOSITORY / "docs" / "seeds.md").read_text(encoding="utf-8")
    assert SCRIPT["with_table"](page, SCRIPT["expectation_table"](EXPECTED)) == page


def test_documented_totals_are_those_of_the_expectations() -> None:
    outcomes = Counter(unit["outcome"] for _, unit in UNITS)
    page = (REPOSITORY / "docs" / "seeds.md").read_text(encoding="utf-8")
    assert (
        f"{len(UNITS)} units: {outcomes['article']} articles, {outcomes['duplicate']} duplicates, "
        f"{outcomes['rejected']} rejections, {outcomes['failed']} failure." in page
    )
    assert f"{len(EXPECTED['files'])} files" in page
