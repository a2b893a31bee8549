"""What the sources on the command line stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.config import UsageError
from pipelines.sources import list_sources
from transforms.reading import local_path
from transforms.storage import open_store

NOWHERE = open_store("none")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "deep/er/c.html", ".hidden.txt", "deep/.git/d.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return tmp_path / "in"


def names(folder: Path, *given: str, output: Path | str = "none") -> list[str]:
    sources = list_sources(given, open_store(str(output)))
    return [str(Path(source.uri).relative_to(folder)) for source in sources]


def test_a_folder_is_searched_through_without_hidden_entries(folder: Path) -> None:
    assert names(folder, str(folder)) == ["a.txt", "b.txt", "deep/er/c.html"]


def test_a_glob_may_reach_into_folders(folder: Path) -> None:
    assert names(folder, f"{folder}/**/*.html") == ["deep/er/c.html"]


def test_a_file_named_twice_is_read_once(folder: Path) -> None:
    given = (str(folder / "a.txt"), f"{folder}/*.txt", str(folder))
    assert names(folder, *given) == ["a.txt", "b.txt", "deep/er/c.html"]


def test_a_relative_name_stands_for_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert names(folder, "a.txt", f"{folder}/a.txt", "./deep/../a.txt") == ["a.txt"]


# ── the dataset ─────────────────────────────────────────────────────────────────────────────────


def write_dataset(output: Path) -> None:
    """What a run leaves behind."""
    for name in (
        "articles/date=2020-01-14/a.parquet",
        "duplicates/b.parquet",
        "failures/c.parquet",
    ):
        (output / name).parent.mkdir(parents=True)
        (output / name).write_bytes(b"PAR1")
    (output / "_newsbeam" / "runs").mkdir(parents=True)
    (output / "_newsbeam" / "runs" / "run.json").write_text("{}")


def test_the_output_is_no_source_of_itself(folder: Path) -> None:
    output = folder / "deep"
    assert names(folder, str(folder), output=output) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    "given", [("a.txt", "b.txt", "deep", "out"), ("*",), ("**",), ("../in",), (".",), ("../*",)]
)
def test_a_second_run_into_a_folder_below_reads_what_the_first_did(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    write_dataset(folder / "out")
    assert names(folder, *given, output=Path("out")) == ["a.txt", "b.txt", "deep/er/c.html"]


@pytest.mark.parametrize(
    "given", [(".",), ("*",), ("**",), ("../in",), ("a.txt", "articles", "b.txt", "deep")]
)
def test_beside_a_dataset_all_but_the_datasets_own_folders_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    write_dataset(folder)
    assert names(folder, *given, output=Path()) == ["a.txt", "b.txt", "deep/er/c.html"]


@pytest.mark.parametrize("given", ["out/articles", "out/**/*.parquet", "out/failures/c.parquet"])
def test_what_a_run_wrote_is_not_read_even_if_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(folder)
    write_dataset(folder / "out")
    assert names(folder, "a.txt", given, output=Path("out")) == ["a.txt"]


def test_the_dataset_is_known_under_every_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write_dataset(folder.parent / "out")
    (folder / "link").symlink_to("../out/articles")
    (folder / "results").symlink_to("../out")
    expected = ["a.txt", "b.txt", "deep/er/c.html"]
    assert names(folder, ".", output=Path("results")) == expected
    assert names(folder, ".", output=folder.parent / "out") == expected


# ── links ───────────────────────────────────────────────────────────────────────────────────────


def test_a_linked_folder_is_searched_through(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "d.txt").write_text("text")
    (folder / "link").symlink_to(outside)
    assert names(folder, str(folder)) == ["a.txt", "b.txt", "deep/er/c.html", "link/d.txt"]


@pytest.mark.parametrize("given", ["", "/*", "/**", "/**/*.*"])
def test_loops_of_links_end_and_each_file_is_read_once(folder: Path, given: str) -> None:
    for link in ("loop", "a_loop", "deep/er/loop"):
        (folder / link).symlink_to(folder)
    (folder / "deep" / "nowhere").symlink_to("nowhere")
    found = names(folder, f"{folder}{given}")
    assert [name for name in found if "nowhere" not in name] == ["a.txt", "b.txt", "deep/er/c.html"]


def test_a_file_is_read_under_its_own_path_whatever_links_lead_to_it(folder: Path) -> None:
    (folder / "a_link.txt").symlink_to("b.txt")
    (folder / "a_folder").symlink_to("deep")
    given = (str(folder / "a_folder"), str(folder / "a_link.txt"), str(folder))
    assert names(folder, *given) == names(folder, *reversed(given))
    assert names(folder, *given) == ["a.txt", "b.txt", "deep/er/c.html"]


def test_a_step_back_from_a_linked_folder_leads_where_the_system_says(folder: Path) -> None:
    (folder / "link").symlink_to("deep/er")
    (folder / "deep" / "a.txt").write_text("the other one")
    assert names(folder, str(folder / "link" / ".." / "a.txt")) == ["deep/a.txt"]


# ── names ───────────────────────────────────────────────────────────────────────────────────────


def test_a_name_with_glob_characters_is_taken_literally_if_it_exists(tmp_path: Path) -> None:
    (tmp_path / "what[1].txt").write_text("text")
    assert names(tmp_path, f"{tmp_path}/what[1].txt") == ["what[1].txt"]


def test_a_file_url_is_a_local_path(folder: Path) -> None:
    assert names(folder, f"file://{folder}/a.txt") == ["a.txt"]


def test_what_is_missing_stays_in_the_list_to_be_accounted_for(folder: Path) -> None:
    sources = list_sources((str(folder / "a.txt"), str(folder / "missing.txt")), NOWHERE)
    assert [source.size_bytes for source in sources] == [4, -1]


def test_the_version_of_a_file_changes_when_it_does(folder: Path) -> None:
    def version() -> str:
        (source,) = list_sources((str(folder / "a.txt"),), NOWHERE)
        return source.version

    os.utime(folder / "a.txt", ns=(1, 1))
    before = version()
    os.utime(folder / "a.txt", ns=(1, 2))
    assert (before, version()) == ("1", "2")


def test_sources_that_name_nothing_at_all_are_bad_usage(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt"):
        list_sources((str(folder / "missing.txt"), f"{folder}/*.warc"), NOWHERE)


def test_an_empty_folder_has_nothing_to_list(tmp_path: Path) -> None:
    assert list_sources((str(tmp_path),), NOWHERE) == []


@pytest.mark.parametrize("given", ["", "file://"])
def test_an_empty_source_is_bad_usage(folder: Path, given: str) -> None:
    with pytest.raises(UsageError, match="an empty source is given"):
        list_sources((str(folder), given), NOWHERE)


@pytest.mark.parametrize("given", ["a\0b", "file:///a%00b", "\ud800", "nosuch://\udce9", "x\0*"])
def test_what_can_be_no_name_is_bad_usage(folder: Path, given: str) -> None:
    with pytest.raises(UsageError):
        list_sources((str(folder), given), NOWHERE)


def test_a_home_of_nobody_is_a_name_like_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "~no such user").mkdir()
    (folder / "~no such user" / "d.txt").write_text("text")
    assert names(folder, "~no such user/*.txt") == ["~no such user/d.txt"]
    with pytest.raises(UsageError, match="names no file that exists"):
        list_sources(("~no such user/x.txt",), NOWHERE)


def test_a_folder_with_glob_characters_may_stand_before_a_glob(tmp_path: Path) -> None:
    (tmp_path / "what[1]").mkdir()
    (tmp_path / "what[1]" / "a.txt").write_text("text")
    assert names(tmp_path, f"{tmp_path}/what[1]/*.txt") == ["what[1]/a.txt"]


def test_a_glob_without_match_stays_in_the_list_as_well(folder: Path) -> None:
    given = (str(folder / "a.txt"), f"{folder}/{'x' * 300}/*.html")
    assert [source.size_bytes for source in list_sources(given, NOWHERE)] == [4, -1]


ODD_NAMES = [
    b"caf\xe9.txt",
    rb"caf\xe9.txt",
    b"caf%E9.txt",
    b"two\nlines.txt",
    b"a#1.txt",
    b"a b.txt",
]


def test_names_that_cannot_be_told_as_text_become_uris_that_lead_back(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    sources = list_sources((str(tmp_path),), NOWHERE)
    assert {source.uri.encode() for source in sources} == {
        b"file://%b/%b" % (os.fsencode(tmp_path), encoded)
        for encoded in (b"caf%E9.txt", b"two%0Alines.txt", b"a%231.txt")
    } | {
        b"%b/%b" % (os.fsencode(tmp_path), name)
        for name in (rb"caf\xe9.txt", b"caf%E9.txt", b"a b.txt")
    }
    assert {Path(local_path(source.uri)).read_bytes() for source in sources} == set(ODD_NAMES)
    for source in sources:
        assert list_sources((source.uri,), NOWHERE) == [source]
