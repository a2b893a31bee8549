"""A whole run over the seeds does what ``tests/seeds_expected.json`` says, and keeps its promises.

The runs are real: Beam's local engine, the models, Parquet on disk. One run over the seeds is
shared by the tests that only look at it.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import random
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.config import IngestConfig
from pipelines.dataset import local_dataset
from pipelines.run import RunReport, ingest
from pipelines.steps import Watch
from pipelines.verify import verify

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "seeds"
EXPECTED = json.loads((ROOT / "tests" / "seeds_expected.json").read_text(encoding="utf-8"))
NOW = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)


def run(
    output: Path, *sources: Path | str, now: datetime.datetime = NOW, **options: Any
) -> RunReport:
    config = IngestConfig(tuple(map(str, sources)), str(output), **{"workers": 1, **options})
    return ingest(config, clock=lambda: now)


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    if not any((output / table).glob("**/*.parquet")):
        return []
    files = f"{output}/{table}/**/*.parquet"
    options = "hive_partitioning = true, union_by_name = true"
    query = f"SELECT * FROM read_parquet('{files}', {options})"
    return duckdb.sql(query).to_arrow_table().to_pylist()


def without_run(table_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stripped = [{k: v for k, v in row.items() if k != "run_id"} for row in table_rows]
    return sorted(stripped, key=lambda row: json.dumps(row, default=str, sort_keys=True))


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunReport]:
    output = tmp_path_factory.mktemp("seeded") / "news"
    return output, run(output, SEEDS)


@pytest.fixture(scope="session")
def units(seeded: tuple[Path, RunReport]) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables by the name of the file they came from."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in ("articles", "duplicates", "failures"):
        for row in rows(seeded[0], table):
            name = Path(row["origin"].partition("#")[0]).name
            found.setdefault(name, []).append({"table": table, **row})
    return found


def expected_units() -> list[Any]:
    return [
        pytest.param(name, unit, id=f"{name}-{number}")
        for name, units in EXPECTED["files"].items()
        for number, unit in enumerate(units, 1)
    ]


def matching(units: list[dict[str, Any]], expected: dict[str, Any]) -> dict[str, Any]:
    if expected["outcome"] in ("rejected", "failed"):
        candidates = [
            unit
            for unit in units
            if unit["table"] == "failures"
            and (unit["kind"], unit["reason"]) == (expected["outcome"], expected["reason"])
        ]
    else:
        candidates = [unit for unit in units if unit.get("title") == expected["title"]]
    assert candidates, f"no row for {expected}; there are {[u.get('title') for u in units]}"
    return candidates[0]


@pytest.mark.parametrize(("name", "expected"), expected_units())
def test_each_unit_of_the_seeds_ends_as_expected(
    units: dict[str, list[dict[str, Any]]], name: str, expected: dict[str, Any]
) -> None:
    unit = matching(units[name], expected)
    if expected["outcome"] in ("rejected", "failed"):
        assert unit["message"]
        return
    table = {"article": "articles", "duplicate": "duplicates"}[expected["outcome"]]
    assert unit["table"] == table
    assert unit["body"].startswith(expected["body_starts"])
    assert unit["body"].endswith(expected["body_ends"])
    merged = {
        field
        for fact in unit.get("provenance") or []
        if fact["source"] == "sibling"
        for field in [fact["field"]]
    }
    if table == "duplicates":
        assert unit["kind"] == expected["kind"]
    else:
        assert unit["language"] == expected["language"]
    if "authors" not in merged:
        assert unit["authors"] == expected["authors"]
    if "agency" not in merged:
        assert unit["agency"] == expected["agency"]
    if "published_at" not in merged:
        date = unit["published_at"] and unit["published_at"].date().isoformat()
        if not (expected.get("date_may_be_null") and date is None):
            assert (date, unit["published_source"]) == (expected["date"], expected["date_source"])


@pytest.mark.parametrize("name", sorted(EXPECTED["noise"]))
def test_no_body_holds_what_stands_around_it(
    units: dict[str, list[dict[str, Any]]], name: str
) -> None:
    bodies = [unit["body"] for unit in units[name] if "body" in unit]
    leaked = [phrase for phrase in EXPECTED["noise"][name] for body in bodies if phrase in body]
    assert not leaked


def test_the_account_of_the_seeds_balances(seeded: tuple[Path, RunReport]) -> None:
    _, report = seeded
    assert not report.balance.faults
    assert report.sources == report.balance.sources == len(EXPECTED["files"])
    assert report.balance.units == sum(len(units) for units in EXPECTED["files"].values())


def test_duplicates_point_to_their_canonical_rows(seeded: tuple[Path, RunReport]) -> None:
    output, _ = seeded
    titles = {row["article_id"]: row["title"] for row in rows(output, "articles")}
    expected = {
        (unit["title"], unit["of"])
        for units in EXPECTED["files"].values()
        for unit in units
        if unit["outcome"] == "duplicate"
    }
    found = {(row["title"], titles[row["canonical_id"]]) for row in rows(output, "duplicates")}
    assert found == expected


def test_the_canonical_row_takes_what_its_copies_know_better(
    seeded: tuple[Path, RunReport],
) -> None:
    output, _ = seeded
    [row] = [row for row in rows(output, "articles") if row["title"].startswith("Monks and Imams")]
    assert row["published_source"] == "sibling"
    assert row["published_at"].date().isoformat() == "2025-08-21"
    assert {"field": "authors", "source": "sibling"}.items() <= next(
        fact.items() for fact in row["provenance"] if fact["field"] == "authors"
    )


def test_most_topics_read_right_to_a_person(seeded: tuple[Path, RunReport]) -> None:
    output, _ = seeded
    english = {
        unit["title"]: unit["topic"]
        for units in EXPECTED["files"].values()
        for unit in units
        if unit["outcome"] == "article" and unit["language"] == "en"
    }
    found = {row["title"]: row["topic"] for row in rows(output, "articles")}
    right = sum(found[title] == topic for title, topic in english.items())
    assert right >= 0.7 * len(english)


def test_partitions_agree_with_their_columns(seeded: tuple[Path, RunReport]) -> None:
    for row in rows(seeded[0], "articles"):
        assert row["date"] == (row["published_at"] and row["published_at"].date())


def test_entities_stand_where_their_offsets_say(seeded: tuple[Path, RunReport]) -> None:
    for row in rows(seeded[0], "articles"):
        for entity in row["entities"]:
            assert entity["count"] == len(entity["offsets"])
            assert all(0 <= offset < len(row["body"]) for offset in entity["offsets"])


def test_a_text_in_a_language_without_a_model_says_why_it_has_no_entities(
    seeded: tuple[Path, RunReport],
) -> None:
    german = [row for row in rows(seeded[0], "articles") if row["language"] == "de"]
    assert german
    assert all(not row["entities"] and "'de'" in row["enrichment"]["entity_note"] for row in german)


def test_the_same_command_again_adds_no_row(seeded: tuple[Path, RunReport], tmp_path: Path) -> None:
    output = tmp_path / "news"
    shutil.copytree(seeded[0], output)
    before = {table: rows(output, table) for table in ("articles", "duplicates", "failures")}
    later = NOW + datetime.timedelta(days=1)
    report = run(output, SEEDS, now=later)
    assert report.files == []
    assert report.count("unchanged") == seeded[1].count("article") + seeded[1].count("duplicate")
    assert report.count("rejected") == seeded[1].count("rejected")
    assert not report.balance.faults
    assert before == {t: rows(output, t) for t in ("articles", "duplicates", "failures")}


def test_a_later_run_finds_copies_of_what_an_earlier_one_wrote(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    output = tmp_path / "news"
    shutil.copytree(seeded[0], output)
    copied = tmp_path / "copied.txt"
    copied.write_bytes((SEEDS / "020_dump_date_line_and_byline.txt").read_bytes())
    report = run(output, copied, now=NOW + datetime.timedelta(days=6))
    assert report.details("duplicate") == {"exact": 1}


def page(path: Path, url: str, paragraphs: list[str]) -> Path:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    link = f'<link rel="canonical" href="{url}">'
    path.write_text(
        f"<html><head><title>Story</title>{link}</head><body><article>{body}</article></body></html>",
        encoding="utf-8",
    )
    return path


def paragraphs(seed: int, count: int = 8) -> list[str]:
    chance = random.Random(seed)
    nouns = ["harbour", "council", "river", "market", "school", "doctor", "village", "budget"]
    verbs = ["opened", "closed", "measured", "promised", "repaired", "counted", "sold", "visited"]
    return [
        " ".join(
            f"The {chance.choice(nouns)} of place{chance.randrange(999)} {chance.choice(verbs)}"
            f" {chance.randrange(99)} things near the {chance.choice(nouns)} on that day."
            for _ in range(4)
        )
        for _ in range(count)
    ]


def test_a_chain_of_runs_links_copies_of_copies(tmp_path: Path) -> None:
    text = paragraphs(1)
    changed = [text[0].replace("The", "A", 2), *text[1:]]
    runs = [
        (0, page(tmp_path / "a.html", "https://a.example/1", text)),
        (6, page(tmp_path / "b.html", "https://b.example/1", changed)),
        (12, page(tmp_path / "c.html", "https://c.example/1", changed)),
    ]
    for day, source in runs:
        run(tmp_path / "news", source, now=NOW + datetime.timedelta(days=day))
    [article] = rows(tmp_path / "news", "articles")
    copies = rows(tmp_path / "news", "duplicates")
    # Each is labelled by what it is to the article, as if one run had seen them all.
    assert sorted(copy["kind"] for copy in copies) == ["near", "near"]
    assert {copy["canonical_id"] for copy in copies} == {article["article_id"]}


def test_a_teaser_in_a_later_run_is_an_abridged_copy(tmp_path: Path) -> None:
    text = paragraphs(2)
    run(tmp_path / "news", page(tmp_path / "a.html", "https://a.example/1", text))
    teaser = page(tmp_path / "b.html", "https://b.example/1", text[:2])
    report = run(tmp_path / "news", teaser, now=NOW + datetime.timedelta(days=1))
    assert report.details("duplicate") == {"abridged": 1}


def test_a_changed_page_in_a_later_run_is_a_revision(tmp_path: Path) -> None:
    text = paragraphs(3)
    url = "https://a.example/1"
    run(tmp_path / "news", page(tmp_path / "a.html", url, text))
    text[3] = text[3].replace("The", "That")
    later = NOW + datetime.timedelta(days=1)
    report = run(tmp_path / "news", page(tmp_path / "a.html", url, text), now=later)
    assert report.count("revision") == 1
    found = [(row["article_id"], row["revision"]) for row in rows(tmp_path / "news", "articles")]
    assert len({article_id for article_id, _ in found}) == 1
    assert sorted(revision for _, revision in found) == [0, 1]


def test_a_copy_beyond_the_horizon_is_not_sought(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    output = tmp_path / "news"
    shutil.copytree(seeded[0], output)
    copied = tmp_path / "copied.txt"
    text = (SEEDS / "120_page_without_metadata.html").read_bytes()
    copied = copied.with_suffix(".html")
    copied.write_bytes(text.replace(b" the ", b" this ", 3))
    report = run(output, copied, now=NOW + datetime.timedelta(days=30))
    assert report.count("duplicate") == 0


def test_order_and_repetition_of_sources_do_not_matter(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    files = sorted(SEEDS.iterdir(), reverse=True)
    run(tmp_path / "news", *files, SEEDS, f"{SEEDS}/0*")
    for table in ("articles", "duplicates", "failures"):
        assert without_run(rows(tmp_path / "news", table)) == without_run(rows(seeded[0], table))


@pytest.mark.slow
def test_the_number_of_workers_does_not_show_in_the_result(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    run(tmp_path / "news", SEEDS, workers=2)
    for table in ("articles", "duplicates", "failures"):
        assert without_run(rows(tmp_path / "news", table)) == without_run(rows(seeded[0], table))


def test_a_run_without_a_single_article_balances(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    shutil.copytree(seeded[0], tmp_path / "news")
    (tmp_path / "empty.txt").write_bytes(b"")
    report = run(tmp_path / "news", tmp_path / "empty.txt")
    assert (report.balance.units, report.details("rejected")) == (1, {"empty": 1})
    assert not report.balance.faults


def test_an_empty_folder_is_a_run_with_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    report = run(tmp_path / "news", tmp_path / "in")
    assert (report.balance.sources, report.balance.units, report.files) == (0, 0, [])


def test_the_manifest_lists_what_was_published(seeded: tuple[Path, RunReport]) -> None:
    output, report = seeded
    [path] = (output / "_newsbeam" / "commits").iterdir()
    manifest = json.loads(path.read_text(encoding="utf-8"))
    listed = {file["path"]: (file["rows"], file["sha256"]) for file in manifest["files"]}
    on_disk = {
        str(file.relative_to(output)): (
            pq.read_metadata(file).num_rows,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for table in ("articles", "duplicates", "failures")
        for file in (output / table).glob("**/*.parquet")
    }
    assert listed == on_disk
    assert manifest["new_rows"]["articles"] == len(rows(output, "articles"))
    assert manifest["run_id"] == report.run_id


@pytest.mark.parametrize(
    "options", [{"slice_files": 1}, {"slice_files": 5}, {"slice_bytes": 9_000}]
)
def test_slices_do_not_show_in_the_result(
    seeded: tuple[Path, RunReport], tmp_path: Path, options: dict[str, int]
) -> None:
    report = run(tmp_path / "news", SEEDS, **options)
    assert report.slices > 3
    assert not report.balance.faults
    assert report.balance == seeded[1].balance
    for table in ("articles", "duplicates", "failures"):
        assert without_run(rows(tmp_path / "news", table)) == without_run(rows(seeded[0], table))


def test_a_run_that_is_published_in_parts_says_so(
    seeded: tuple[Path, RunReport], tmp_path: Path
) -> None:
    """Across parts, copies are found as across runs: what is published stays canonical."""
    said: list[str] = []
    config = IngestConfig(
        (str(SEEDS),), str(tmp_path / "news"), publish_every_bytes=60_000, workers=1
    )
    report = ingest(config, clock=lambda: NOW, notify=said.append)
    assert report.parts > 1
    assert any(f"published in {report.parts} parts" in sentence for sentence in said)
    assert len(list((tmp_path / "news/_newsbeam/commits").iterdir())) == report.parts
    assert report.balance.units == seeded[1].balance.units
    assert not report.balance.faults
    found = rows(tmp_path / "news", "articles")
    assert {row["content_hash"] for row in found} == {
        row["content_hash"] for row in rows(seeded[0], "articles")
    }


def test_an_archive_that_is_published_in_parts_counts_as_one_file(tmp_path: Path) -> None:
    archive = str(SEEDS / "190_archive.warc.gz")
    config = IngestConfig((archive,), str(tmp_path / "news"), publish_every_bytes=5_000, workers=1)
    report = ingest(config, clock=lambda: NOW)
    assert report.parts > 1
    assert report.sources == report.balance.sources == 1


def test_a_page_read_again_shorter_does_not_hide_its_article_from_later_copies(
    tmp_path: Path,
) -> None:
    """Then two rows of the dataset have the same origin, article id and revision."""
    output = tmp_path / "news"
    text = paragraphs(1, count=10)
    for day, (name, lines) in enumerate([("a", text), ("a", text[:6]), ("b", text)]):
        source = page(tmp_path / f"{name}.html", f"https://{name}.example/1", lines)
        report = run(output, source, now=NOW + datetime.timedelta(days=day))
    assert (len(rows(output, "articles")), len(rows(output, "duplicates"))) == (1, 2)
    assert not report.balance.faults


def test_a_part_of_an_archive_is_shown_with_its_own_size(tmp_path: Path) -> None:
    archive = tmp_path / "a.warc"
    archive.write_bytes(gzip.decompress((SEEDS / "190_archive.warc.gz").read_bytes()))
    config = IngestConfig(
        (str(archive),), str(tmp_path / "news"), publish_every_bytes=5_000, workers=1
    )
    sizes: list[int] = []

    def watching(watch: Watch) -> nullcontext[None]:
        sizes.append(watch.input_bytes)
        return nullcontext()

    ingest(config, clock=lambda: NOW, watching=watching)
    assert len(sizes) > 1
    assert 0 < sum(sizes) <= archive.stat().st_size


def test_an_archive_beyond_the_limit_feeds_workers_whatever_the_case_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[int] = []

    def local_workers(_: IngestConfig, input_bytes: int) -> int:
        fed.append(input_bytes)
        return 1

    monkeypatch.setattr(IngestConfig, "local_workers", local_workers)
    for name in ("big.warc.gz", "BIG.WARC.GZ"):
        archive = Path(shutil.copy(SEEDS / "190_archive.warc.gz", tmp_path / name))
        run(tmp_path / f"{name}-news", archive, max_input_bytes=1_000)
    assert fed[0] == fed[1] >= archive.stat().st_size


def test_partitions_with_many_files_are_compacted_when_asked(tmp_path: Path) -> None:
    for number in range(3):
        source = page(
            tmp_path / f"{number}.html", f"https://a.example/{number}", paragraphs(number)
        )
        run(tmp_path / "news", source, now=NOW + datetime.timedelta(days=number), compact_after=3)
    [path, *others] = (tmp_path / "news/articles").glob("**/*.parquet")
    assert not others
    assert pq.read_metadata(path).num_rows == 3


def test_a_dataset_of_version_1_is_read_and_added_to(tmp_path: Path) -> None:
    """Its texts are recognised as copies, and its rows stay as they were."""
    output = tmp_path / "news"
    shutil.copytree(ROOT / "tests" / "data" / "dataset_v1", output)
    before = {table: rows(output, table) for table in ("articles", "duplicates")}
    report = run(output, SEEDS, now=NOW + datetime.timedelta(days=3))
    assert report.count("article") == 0
    assert set(report.details("duplicate")) <= {"exact", "near", "abridged"}
    assert not report.balance.faults
    assert rows(output, "articles") == before["articles"]
    assert len(rows(output, "duplicates")) == len(before["duplicates"]) + report.count("duplicate")
    assert verify(local_dataset(str(output))).clean


def test_nothing_is_left_in_staging(seeded: tuple[Path, RunReport]) -> None:
    assert not list((seeded[0] / "_newsbeam" / "staging").iterdir())
