"""The documentation says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.generate import documents, parts, with_parts
from schemas.arrow import ARTICLES
from transforms.merging import DATE_TRUST

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA_MODEL = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")


def squeezed(text: str) -> str:
    # argparse breaks its lines differently from one Python to the next
    return " ".join(text.split())


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_generated_parts_are_those_of_the_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert squeezed(text) == squeezed(with_parts(text))


@pytest.mark.parametrize("name", sorted(parts()))
def test_every_generated_part_is_in_some_document(name: str) -> None:
    assert any(f"<!-- {name} -->" in path.read_text(encoding="utf-8") for path in documents())


def test_the_readme_tells_every_column_of_articles() -> None:
    for field in ARTICLES:
        assert f"| `{field.name}` |" in README


def test_every_source_of_a_date_is_explained_in_order_of_trust() -> None:
    explained = re.findall(r"^\| `([a-z-]+)` \| (?:the|a|an|meta|`date)", DATA_MODEL, re.MULTILINE)
    dates = [source for source in explained if source in DATE_TRUST]
    assert tuple(dates) == DATE_TRUST


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = [
        *project["project"]["dependencies"],
        *(name for extra in project["project"]["optional-dependencies"].values() for name in extra),
        *(name for group in project["dependency-groups"].values() for name in group),
    ]
    for requirement in named:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name
        assert f"`{name[0]}`" in text


def test_every_option_of_ingest_is_in_the_readme_beside_its_help() -> None:
    prose = README.partition("<!-- help-ingest -->")[0]
    named = set(re.findall(r"--[a-z-]+", parts()["help-ingest"])) - {"--help", "--name"}
    assert {option for option in named if option not in prose} == set()


def test_every_link_to_a_file_leads_somewhere() -> None:
    for path in (*documents(), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_make_target_that_is_documented_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in (*documents(), ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)", path.read_text("utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_lock_file_holds_an_address() -> None:
    for path in ROOT.glob("requirements*.lock"):
        assert "://" not in path.read_text(encoding="utf-8")
