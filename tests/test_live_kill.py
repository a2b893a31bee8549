"""A run over live feeds, killed with -9 and run again: nothing lost, nothing twice.

The run that is killed is the command in a process of its own, and its feeds and pages come over
sockets. ``Gate`` holds requests in the server, so that each kill is at a known point.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from feed_site import FeedSite, story_page
from source_factory import make_story
from web_server import Gate, Visit, WebServer, WebServers

from pipelines.cli import main
from pipelines.dataset import FEEDS, STAGING, local_dataset
from pipelines.verify import verify
from schemas.records import Page, StagedBlock
from transforms.slicing import BYTES_PER_BLOCK
from transforms.staging import RECORDS, is_whole, read_records
from transforms.storage import open_store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 120.0
LARGE_PAGES = 20
PAGES_PER_BLOCK = 8
"""How many of the large pages fill a block of what is staged."""
COLUMNS = {
    "articles": ["article_id", "origin", "title", "content_hash", "feed_url"],
    "duplicates": ["origin", "title", "content_hash", "feed_url"],
    "failures": ["origin", "kind", "stage", "reason"],
}


# ── the sites ───────────────────────────────────────────────────────────────────────────────────


class Web:
    """Two hosts with three feeds: large pages; small ones; and copies of some items of the first.

    Among the small ones are a page that is not there, and an item with its whole text.
    """

    def __init__(self, first: WebServer, second: WebServer) -> None:
        self.servers = (first, second)
        self.large = FeedSite(first)
        self.small = FeedSite(second)
        self.publish_large(*range(1, LARGE_PAGES + 1))
        self.small.publish(51, 52, 53)
        self.small.publish(54, has_text=True)
        second.set(self.small.page_path(53), "not here", status=410)
        copied = FeedSite(first)
        copied.items = {number: self.large.items[number] for number in (1, 2, 3)}
        self.copy_url = self._serve_copy(second, copied.feed())

    def _serve_copy(self, server: WebServer, feed: str) -> str:
        etag = f'"{hashlib.sha256(feed.encode()).hexdigest()[:12]}"'
        server.set("/copy.xml", feed, content_type="application/rss+xml", etag=etag)
        return server.url("/copy.xml")

    def publish_large(self, *numbers: int) -> None:
        """Put stories online whose pages are large for what no reader sees."""
        self.large.publish(*numbers)
        unseen = f"<!--{'x' * (BYTES_PER_BLOCK // PAGES_PER_BLOCK)}-->"
        for number in numbers:
            page = story_page(make_story(number), unseen)
            self.servers[0].set(self.large.page_path(number), page)

    @property
    def feeds(self) -> list[str]:
        return [self.large.feed_url, self.small.feed_url, self.copy_url]

    @contextmanager
    def asked(self) -> Iterator[list[Visit]]:
        """The requests that came while the block ran, but those for robots.txt; once it is over."""
        before = [len(server.log) for server in self.servers]
        visits: list[Visit] = []
        yield visits
        for server, count in zip(self.servers, before, strict=True):
            visits += [it for it in server.log[count:] if it.path != "/robots.txt"]


def is_feed(visit: Visit) -> bool:
    return visit.path.endswith(".xml")


def feed_statuses(visits: list[Visit]) -> list[int]:
    return [visit.status for visit in visits if is_feed(visit)]


def page_urls(visits: list[Visit]) -> list[str]:
    return [f"http://{visit.host}{visit.path}" for visit in visits if not is_feed(visit)]


@pytest.fixture
def web() -> Iterator[Web]:
    with WebServers(2) as servers:
        yield Web(*servers)


@pytest.fixture(scope="module")
def steady_web() -> Iterator[Web]:
    """For tests that do not change it."""
    with WebServers(2) as servers:
        yield Web(*servers)


@pytest.fixture(scope="module")
def undisturbed(steady_web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nobody kills makes of it."""
    output = tmp_path_factory.mktemp("undisturbed") / "news"
    ingest(steady_web, output)
    return output


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def arguments(web: Web, output: Path, workers: str = "--workers=1") -> list[str]:
    options = ["--output", str(output), "--allow-private-hosts", workers]
    return ["ingest", "--feeds", *web.feeds, *options]


def ingest(web: Web, output: Path) -> dict[str, Any]:
    """Run the command in this process, where nothing has to be imported; gives its summary."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([*arguments(web, output), "--json"]) == 0
    summary = json.loads(said.getvalue())
    assert summary["balanced"], summary["faults"]
    return summary


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Look again and again at what the command has done."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_when(
    web: Web, output: Path, holds: Callable[[], bool], workers: str = "--workers=1"
) -> None:
    """Run the command in a process of its own, and kill it and all its processes then."""
    command = [sys.executable, "-m", "pipelines", *arguments(web, output, workers), "--quiet"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            wait_until(holds, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@contextmanager
def held(server: WebServer, path: str | None = None, *, after: int = 0) -> Iterator[Gate]:
    """Hold requests after so many, until the block is over."""
    gate = server.hold(path)
    gate.let_go(after)
    try:
        yield gate
    finally:
        gate.release()


# ── what is in a dataset ────────────────────────────────────────────────────────────────────────


def rows(output: Path) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for table, columns in COLUMNS.items():
        for path in (output / table).glob("**/*.parquet"):
            for row in pq.ParquetFile(path).read(columns=columns).to_pylist():
                found[table, *row.values()] += 1
    return found


def commits(output: Path) -> int:
    return len(list(local_dataset(str(output)).commits()))


def faults(output: Path) -> list[str]:
    return [fault for check in verify(local_dataset(str(output))).checks for fault in check.faults]


def pages_on_disk(output: Path) -> set[str]:
    """The URLs of the pages that a run which was cut short has in whole blocks."""
    store = open_store(str(output))
    found = set()
    for path in output.glob(f"{STAGING}/*/rounds/*/fetch/pages-*{RECORDS}"):
        name = str(path.relative_to(output))
        if is_whole(store, name):
            block = StagedBlock("pages", name.removesuffix(RECORDS), 0)
            found |= {page.origin for page in read_records(store, block, Page)}
    return found


def blocks_on_disk(output: Path) -> int:
    return len(list(output.glob(f"{STAGING}/*/rounds/*/fetch/pages-*{RECORDS}")))


def assert_nothing_is_new(web: Web, output: Path) -> None:
    """One more run adds nothing, and asks for nothing but whether the feeds have changed."""
    before = rows(output)
    with web.asked() as visits:
        summary = ingest(web, output)
    assert summary["new_rows"] == {"articles": 0, "duplicates": 0, "failures": 0}
    assert rows(output) == before
    assert feed_statuses(visits) == [304] * len(web.feeds)
    assert page_urls(visits) == []


# ── killed at known points ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Point:
    """Where a run is killed, and what the next one asks the server then."""

    kill: Callable[[Web, Path], None]
    feeds: list[int]
    """How the feeds are answered."""


def kill_in_poll(web: Web, output: Path) -> None:
    """Two feeds are answered, the third is held."""
    first, second = web.servers
    with held(first, web.large.feed_path) as gate:
        others = (web.small.feed_path, "/copy.xml")
        kill_when(
            web,
            output,
            lambda: (
                gate.waiting == 1
                and all(visit.status for path in others for visit in second.visits(path)[-1:])
            ),
        )


def kill_at_first_page(web: Web, output: Path) -> None:
    """The feeds are answered, each host holds the first pages."""
    with ExitStack() as stack:
        # After feeds and robots.txt.
        gates = [
            stack.enter_context(held(server, after=after))
            for server, after in zip(web.servers, (2, 3), strict=True)
        ]
        kill_when(web, output, lambda: all(gate.waiting == 2 for gate in gates))
    assert pages_on_disk(output) == set()


def kill_at_half_of_the_pages(web: Web, output: Path) -> None:
    """A block of pages is written, some are answered and not written, and others are held."""
    with held(web.servers[0], after=2 + PAGES_PER_BLOCK + 2) as gate:
        kill_when(web, output, lambda: gate.waiting == 2 and blocks_on_disk(output) == 1)
    assert len(pages_on_disk(output)) >= PAGES_PER_BLOCK


def kill_after_fetch(web: Web, output: Path) -> None:
    """All pages are there; what is in them is not known yet."""

    def is_fetched() -> bool:
        return any(output.glob(f"{STAGING}/*/rounds/0000/fetch/report.json"))

    kill_when(web, output, is_fetched)


POINTS = {
    "poll": Point(kill_in_poll, [200, 200, 200]),
    "first page": Point(kill_at_first_page, [304, 304, 304]),
    "after the fetch": Point(kill_after_fetch, []),
}


@pytest.mark.parametrize("name", POINTS)
def test_a_run_killed_and_run_again_gives_the_undisturbed_dataset(
    steady_web: Web, undisturbed: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "news"
    POINTS[name].kill(steady_web, output)
    assert commits(output) == 0
    kept = pages_on_disk(output)

    with steady_web.asked() as visits:
        ingest(steady_web, output)
    assert rows(output) == rows(undisturbed)
    assert faults(output) == []
    assert feed_statuses(visits) == POINTS[name].feeds
    again = page_urls(visits)
    assert len(again) == len(set(again))
    assert kept.isdisjoint(again)
    assert_nothing_is_new(steady_web, output)
    assert local_dataset(str(output)).store.names(STAGING) == []


def test_every_page_is_asked_for_once_but_those_a_killed_run_had_not_written(
    steady_web: Web, undisturbed: Path, tmp_path: Path
) -> None:
    """The whole command this time: run again, and verified, in processes of their own."""
    output = tmp_path / "news"
    kill_at_half_of_the_pages(steady_web, output)
    kept = pages_on_disk(output)
    command = [sys.executable, "-m", "pipelines"]
    with steady_web.asked() as visits:
        subprocess.run([*command, *arguments(steady_web, output)], cwd=ROOT, check=True)
    every_page = {
        *(steady_web.large.page_url(number) for number in steady_web.large.items),
        *(steady_web.small.page_url(number) for number in (51, 52, 53)),
    }
    assert sorted(page_urls(visits)) == sorted(every_page - kept)
    assert feed_statuses(visits) == [304, 304, 304]
    assert rows(output) == rows(undisturbed)
    assert_nothing_is_new(steady_web, output)
    assert subprocess.run([*command, "verify", str(output)], cwd=ROOT, check=False).returncode == 0


def test_a_second_run_killed_and_run_again_adds_what_an_undisturbed_one_does(
    web: Web, tmp_path: Path
) -> None:
    """It knows feeds of an earlier commit; one of them has changed since, two have not."""
    output, undisturbed = tmp_path / "news", tmp_path / "undisturbed"
    ingest(web, output)
    web.publish_large(*range(21, 41))
    web.large.change(1, updated="2026-11-20T09:00:00Z")
    shutil.copytree(output, undisturbed)
    ingest(web, undisturbed)

    with held(web.servers[0], after=2 + PAGES_PER_BLOCK + 2) as gate, web.asked() as visits:
        kill_when(
            web, output, lambda: gate.waiting == 2 and blocks_on_disk(output) == 1, "--workers=2"
        )
    assert sorted(feed_statuses(visits)) == [200, 304, 304]
    assert commits(output) == 1
    kept = pages_on_disk(output)
    assert kept
    with web.asked() as visits:
        ingest(web, output)
    assert feed_statuses(visits) == [304, 304, 304]
    assert kept.isdisjoint(page_urls(visits))
    assert rows(output) == rows(undisturbed)
    assert rows(output).total() > 40
    assert faults(output) == []
    assert_nothing_is_new(web, output)


def test_what_a_feed_lists_after_a_kill_is_in_the_next_run(web: Web, tmp_path: Path) -> None:
    output, undisturbed = tmp_path / "news", tmp_path / "undisturbed"
    kill_at_half_of_the_pages(web, output)
    kept = pages_on_disk(output)
    web.large.publish(31)
    web.small.publish(61, 62, has_text=True)
    with web.asked() as visits:
        ingest(web, output)
    assert Counter(feed_statuses(visits)) == {200: 2, 304: 1}
    assert kept.isdisjoint(page_urls(visits))
    ingest(web, undisturbed)
    assert rows(output) == rows(undisturbed)
    assert faults(output) == []
    # Items that the killed run had taken may be listed once more; there is nothing new in them.
    assert ingest(web, output)["new_rows"]["articles"] == 0
    assert_nothing_is_new(web, output)


# ── without a memory ────────────────────────────────────────────────────────────────────────────


def delete(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(b"no memory of anything")


@pytest.mark.parametrize(("spoil", "said"), [(delete, "is missing"), (overwrite, "is damaged")])
def test_a_lost_memory_of_feeds_costs_requests_and_nothing_else(
    steady_web: Web,
    tmp_path: Path,
    undisturbed: Path,
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    output = tmp_path / "news"
    shutil.copytree(undisturbed, output)
    [memory] = (output / FEEDS).iterdir()
    spoil(memory)
    errors = io.StringIO()
    with (
        steady_web.asked() as visits,
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        assert main(arguments(steady_web, output)) == 0
    assert feed_statuses(visits) == [200, 200, 200]
    assert f"{memory.name} {said}" in errors.getvalue()
    assert rows(output) == rows(undisturbed)
    assert faults(output) == []
    assert_nothing_is_new(steady_web, output)
