"""The same graph on other engines: the rows are those of a local run, one by one.

The engines are real ones (see ``engines``), and the command is the one that people type. What a
run cannot share with another, its name and its time, is left out of its rows.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from engines import ENGINES, ROOT, running
from feed_site import FeedSite
from web_server import WebServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engines")]

TABLES = ("articles", "duplicates", "failures")
LOCAL = ["--workers=1"]
COMMAND_SECONDS = 900.0

Rows = dict[str, list[str]]


def ingested(folder: Path, *arguments: str) -> Rows:
    """Run ``newsbeam ingest`` into a new dataset; gives its rows."""
    begin = datetime.datetime.now(datetime.UTC)
    news = folder / "news"
    command = [sys.executable, "-m", "pipelines", "ingest", *arguments, "--output", str(news)]
    done = subprocess.run(
        [*command, "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["balanced"]
    return {table: sorted(_rows(news, table, begin)) for table in TABLES}


def _rows(news: Path, table: str, begin: datetime.datetime) -> Iterator[str]:
    for file in sorted((news / table).glob("**/*.parquet")):
        partition = file.parent.relative_to(news)
        for row in pq.ParquetFile(file).read().to_pylist():
            yield repr((_partition(partition, begin), sorted(_timeless(row, begin).items())))


def _timeless(row: dict[str, Any], begin: datetime.datetime) -> dict[str, Any]:
    """A row without its run, and without when the run saw it, if not an archive did so before."""
    kept = {column: value for column, value in row.items() if column != "run_id"}
    if kept["observed_at"] >= begin:
        kept["observed_at"] = "by the run"
    return kept


def _partition(folder: Path, begin: datetime.datetime) -> list[str]:
    """The folders of a partition; failures lie under the day on which they were seen."""
    days = {f"date={begin + datetime.timedelta(days=after):%Y-%m-%d}" for after in (0, 1)}
    return ["date=of the run" if part in days else part for part in folder.parts]


def assert_same(rows: Rows, expected: Rows) -> None:
    for table in TABLES:
        assert len(rows[table]) == len(expected[table]), table
        assert rows[table] == expected[table]


# ── files ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def seeds_locally(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return ingested(tmp_path_factory.mktemp("seeds"), "seeds", *LOCAL)


def test_the_seeds_have_rows_of_all_kinds(seeds_locally: Rows) -> None:
    assert {table: len(rows) for table, rows in seeds_locally.items()} == {
        "articles": 27, "duplicates": 6, "failures": 11,
    }  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_the_seeds_give_the_same_rows_on_every_engine(
    engine: str, seeds_locally: Rows, tmp_path: Path
) -> None:
    with running(engine, tmp_path) as options:
        assert_same(ingested(tmp_path, "seeds", *options), seeds_locally)


@pytest.mark.parametrize("engine", ["prism", "flink-cluster"])
def test_workers_may_be_processes_that_the_engine_starts(
    engine: str, seeds_locally: Rows, tmp_path: Path
) -> None:
    with running(engine, tmp_path, starts_workers=True) as options:
        assert_same(ingested(tmp_path, "seeds", *options), seeds_locally)


# ── feeds ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def sites() -> Iterator[list[FeedSite]]:
    """Sites of several hosts, so that more than one lane has something to do."""
    with ExitStack() as stack:
        made = [FeedSite(stack.enter_context(WebServer())) for _ in range(4)]
        for number, site in enumerate(made):
            site.publish(10 * number + 1, 10 * number + 2)
            site.publish(10 * number + 3, has_text=True)
            site.publish(99)  # one story on all sites, which was first on one of them
            site.items[99].published = f"Thu, 19 Nov 2026 09:0{number}:00 GMT"
            site.refresh()
        yield made


def _poll(folder: Path, sites: Sequence[FeedSite], *options: str) -> Rows:
    feeds = folder / "feeds.toml"
    listed = (f'[[feed]]\nurl = "{site.feed_url}"\n' for site in sites)
    feeds.write_text("".join(listed), encoding="utf-8")
    return ingested(folder, "--feeds", str(feeds), "--allow-private-hosts", *options)


@pytest.fixture(scope="module")
def feeds_locally(sites: list[FeedSite], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return _poll(tmp_path_factory.mktemp("feeds"), sites, *LOCAL)


def test_feeds_that_are_polled_in_several_lanes_give_the_rows_of_one_lane(
    sites: list[FeedSite], feeds_locally: Rows, tmp_path: Path
) -> None:
    assert len(feeds_locally["articles"]) == 3 * len(sites) + 1
    assert len(feeds_locally["duplicates"]) == len(sites) - 1
    asked = [len(site.server.log) for site in sites]
    with running("prism", tmp_path) as options:
        assert_same(_poll(tmp_path, sites, *options), feeds_locally)
    for site, before in zip(sites, asked, strict=True):
        paths = [visit.path for visit in site.server.log[before:]]
        assert len(paths) == len(set(paths)), "a page was asked for twice"
