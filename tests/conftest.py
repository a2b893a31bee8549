"""What several tests need: records with little to say, and the material beside the checkout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import settings

from schemas.records import Article, Extraction, Page

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
OBSERVED_AT = Timestamp.from_rfc3339("2026-06-30T12:00:00Z")

# Beam logs what it does to the root logger, which pytest would show for every failing test.
logging.getLogger("apache_beam").setLevel(logging.ERROR)

# How long an example takes says how much else the machine does.
settings.register_profile("newsbeam", deadline=None)
settings.load_profile("newsbeam")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep slow tests that share fixtures in one process; engines, the longest, go first."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
    items.sort(key=lambda item: not _is_of_engines(item))


def _is_of_engines(item: pytest.Item) -> bool:
    group = item.get_closest_marker("xdist_group")
    return group is not None and "engines" in group.args


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real material; tests that need it are skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the shared material is not beside this checkout")
    return SHARED


@pytest.fixture
def make_article() -> Callable[..., Article]:
    """Make an article from its body and whatever else matters to a test."""

    def make(body: str, origin: str = "file.txt#1", **fields: object) -> Article:
        return Article(
            **{
                "origin": origin,
                "page_origin": origin.partition("#")[0],
                "source_uri": origin.partition("#")[0],
                "body": body,
                "observed_at": OBSERVED_AT,
                "extraction": Extraction("test", "test==1", 1.0, "utf-8"),
                **fields,
            }
        )

    return make


@pytest.fixture
def make_page() -> Callable[..., Page]:
    """Make a page from its content."""

    def make(content: bytes | str, kind: str = "text", **fields: object) -> Page:
        raw = content.encode() if isinstance(content, str) else content
        return Page(
            **{
                "origin": "file.txt",
                "source_uri": "file.txt",
                "kind": kind,
                "content": raw,
                "observed_at": OBSERVED_AT,
                **fields,
            }
        )

    return make


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that was asked to be quiet leaves the log so, and tests share a process."""
    logger = logging.getLogger("newsbeam")
    level = logger.level
    yield
    logger.setLevel(level)
