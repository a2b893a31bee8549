"""What the sources on the command line stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import UsageError
from pipelines.sources import list_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "deep/er/c.html", ".hidden.txt", "deep/.git/d.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return tmp_path / "in"


def names(folder: Path, *given: str, output: Path = Path("none")) -> list[str]:
    return [str(Path(s.uri).relative_to(folder)) for s in list_sources(given, output)]


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


def test_the_output_is_no_source_of_itself(folder: Path) -> None:
    output = folder / "deep"
    assert names(folder, str(folder), output=output) == ["a.txt", "b.txt"]


def test_a_name_with_glob_characters_is_taken_literally_if_it_exists(tmp_path: Path) -> None:
    (tmp_path / "what[1].txt").write_text("text")
    assert names(tmp_path, f"{tmp_path}/what[1].txt") == ["what[1].txt"]


def test_a_file_url_is_a_local_path(folder: Path) -> None:
    assert names(folder, f"file://{folder}/a.txt") == ["a.txt"]


def test_what_is_missing_stays_in_the_list_to_be_accounted_for(folder: Path) -> None:
    sources = list_sources((str(folder / "a.txt"), str(folder / "missing.txt")), Path("none"))
    assert [source.size_bytes for source in sources] == [4, -1]


def test_sources_that_name_nothing_at_all_are_bad_usage(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt"):
        list_sources((str(folder / "missing.txt"), f"{folder}/*.warc"), Path("none"))


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    name = tmp_path / b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    name.write_text("text")
    [source] = list_sources((str(tmp_path),), Path("none"))
    assert source.uri.endswith(r"caf\xe9.txt")
