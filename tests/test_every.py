"""``newsbeam ingest --every``: rounds go on whatever happens to one of them, and end when asked to.

The command runs in a process of its own, against servers on loopback. What it says of each round,
a line of JSON, is what the tests wait for; ``Gate`` holds a round while it fetches.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from feed_site import FeedSite
from web_server import Gate, Request, WebServer, WebServers, Wire

from pipelines.cli import main
from pipelines.dataset import local_dataset
from pipelines.verify import verify

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 120.0
MOST_ROUNDS = 20
"""After which what a test waits for has not happened."""
ROUND_MARK = "--multiprocessing-fork"
"""What the command line of a round's process has in it."""


# ── the command ─────────────────────────────────────────────────────────────────────────────────


class Command:
    """A running ``newsbeam ingest --every``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.in_system = psutil.Process(process.pid)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def next_round(self) -> dict[str, Any]:
        """What is said of the next round, once it is over."""
        line = self._lines.get(timeout=DEADLINE_SECONDS)
        assert line, f"it has ended: {self.errors()}"
        return json.loads(line)

    def rounds_until(self, outcome: str) -> list[dict[str, Any]]:
        """The rounds up to the first that ends so."""
        rounds = [self.next_round()]
        while rounds[-1]["outcome"] != outcome:
            assert len(rounds) < MOST_ROUNDS, rounds[-1]
            rounds.append(self.next_round())
        return rounds

    def exit_code(self) -> int:
        """How it ends, which it must do by itself."""
        return self.process.wait(DEADLINE_SECONDS)

    def errors(self) -> str:
        """What is on standard error, once it has ended."""
        assert self.process.stderr is not None
        self.process.wait(DEADLINE_SECONDS)
        return self.process.stderr.read()

    def wait_for(self, gate: Gate) -> None:
        """Wait until a request of a round is held."""
        wait_until(lambda: gate.waiting > 0)

    def processes_of_rounds(self) -> list[psutil.Process]:
        found = []
        for child in self.in_system.children():
            with suppress(psutil.NoSuchProcess):  # it ends meanwhile
                if ROUND_MARK in child.cmdline():
                    found.append(child)
        return found

    def kill(self) -> None:
        """End it and its rounds, if they are not over."""
        with suppress(psutil.NoSuchProcess):
            for child in self.in_system.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        self.process.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def running(output: Path, every: str, *arguments: str) -> Iterator[Command]:
    """The command, which is killed with the block if it has not ended."""
    command = [sys.executable, "-m", "pipelines", "ingest", *arguments, "--output", str(output)]
    command += ["--every", every, "--json", "--workers=1", "--allow-private-hosts"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=pipe, stderr=pipe, text=True
    ) as process:
        started = Command(process)
        try:
            yield started
        finally:
            started.kill()


def ask_process(command: Command) -> None:
    """As a supervisor does."""
    command.process.send_signal(signal.SIGTERM)


def press_ctrl_c(command: Command) -> None:
    """As a terminal does: the signal goes to all processes of the group."""
    os.killpg(command.process.pid, signal.SIGINT)


def ask_twice(command: Command) -> None:
    """Ask once more when the first request was heard: signals that come at once are one."""
    before = waits(command)
    ask_process(command)
    wait_until(lambda: waits(command) > before)
    ask_process(command)


def waits(command: Command) -> int:
    """How often the main thread has gone to sleep: a signal wakes it, and it waits on."""
    return command.in_system.num_ctx_switches().voluntary


# ── the site, and what is in the dataset ────────────────────────────────────────────────────────


@pytest.fixture
def site() -> Iterator[FeedSite]:
    with WebServer() as server:
        site = FeedSite(server)
        site.publish(1, 2)
        yield site


@contextmanager
def held(server: WebServer, path: str) -> Iterator[Gate]:
    gate = server.hold(path)
    try:
        yield gate
    finally:
        gate.release()


def origins(output: Path) -> list[str]:
    """Of all articles, sorted."""
    found: list[str] = []
    for path in (output / "articles").glob("**/*.parquet"):
        found += pq.ParquetFile(path).read(columns=["origin"]).column("origin").to_pylist()
    return sorted(found)


def failures(output: Path) -> set[str]:
    """Reasons."""
    found: set[str] = set()
    for path in (output / "failures").glob("**/*.parquet"):
        found |= set(pq.ParquetFile(path).read(columns=["reason"]).column("reason").to_pylist())
    return found


def stories(site: FeedSite) -> list[str]:
    """The origins of all that a site has published."""
    return sorted(site.page_url(number) for number in site.items)


def commits(output: Path) -> int:
    return len(list(local_dataset(str(output)).commits()))


def faults(output: Path) -> list[str]:
    return [fault for check in verify(local_dataset(str(output))).checks for fault in check.faults]


# ── rounds ──────────────────────────────────────────────────────────────────────────────────────


def break_off(_: Request, wire: Wire) -> None:
    wire.reset()


def serve_trouble(site: FeedSite, reason: str) -> None:
    """Answer for the feed so that it fails for such a reason."""
    if reason == "no-connection":
        site.server.set(site.feed_path, break_off)
        return
    status = {"http-status": 500, "not-found": 404}.get(reason, 200)
    site.server.set(
        site.feed_path, "no feed at all", status=status, content_type="application/rss+xml"
    )


def test_rounds_go_on_for_a_minute_while_feeds_change_and_fail(tmp_path: Path) -> None:
    output = tmp_path / "news"
    with WebServers(3) as servers:
        growing, troubled, steady = sites = [FeedSite(server) for server in servers]
        for number, site in enumerate(sites, start=1):
            site.publish(number)
        troubles = ["http-status", "not-found", "no-connection", "malformed-feed"]
        serve_trouble(troubled, troubles[0])
        rounds: list[dict[str, Any]] = []
        resident_bytes: list[int] = []
        feeds = [site.feed_url for site in sites]
        with running(output, "5s", "--poll-all", "--feeds", *feeds) as command:
            began = time.monotonic()
            while time.monotonic() < began + 60 or stories(troubled)[-1] not in origins(output):
                assert len(rounds) < MOST_ROUNDS, rounds[-1]
                rounds.append(command.next_round())
                resident_bytes.append(command.in_system.memory_info().rss)
                growing.publish(100 + len(rounds))
                if troubles and troubles[0] in rounds[-1]["failed_by_reason"]:
                    del troubles[0]
                    if troubles:
                        serve_trouble(troubled, troubles[0])
                    else:
                        troubled.publish(90)
            ask_process(command)
            assert command.exit_code() == 0
            assert "Traceback" not in command.errors()
        assert {one["outcome"] for one in rounds} == {"done"}
        assert [one["round"] for one in rounds] == [*range(1, len(rounds) + 1)]
        assert not troubles
        assert resident_bytes[-1] <= 1.3 * resident_bytes[1]
        # What was published after the last round may be there, if another had begun by then.
        there = set(origins(output))
        assert {*stories(troubled), *stories(steady), *stories(growing)[:-2]} <= there
        assert len(origins(output)) == len(there)
        assert failures(output) == {"http-status", "not-found", "no-connection", "malformed-feed"}
        assert len(rounds) <= commits(output) <= len(rounds) + 1
        assert faults(output) == []
        statuses = [visit.status for visit in servers[2].visits(steady.feed_path)]
        assert statuses[0] == 200
        assert set(statuses[1:]) == {304}


def test_each_round_reads_anew_which_feeds_there_are(site: FeedSite, tmp_path: Path) -> None:
    output, feeds = tmp_path / "news", tmp_path / "feeds.txt"
    feeds.write_text(f"{site.feed_url}\n")
    other = FeedSite(site.server, "/other")
    other.publish(11)
    with running(output, "1s", "--feeds", str(feeds)) as command:
        assert command.next_round()["outcome"] == "done"
        feeds.rename(tmp_path / "elsewhere.txt")
        told = command.rounds_until("usage")[-1]
        assert "feeds.txt" in told["message"]
        feeds.write_text(f"{site.feed_url}\n{other.feed_url}\n")
        command.rounds_until("done")
        ask_process(command)
        assert command.exit_code() == 0
    assert origins(output) == sorted(stories(site) + stories(other))


def test_a_first_round_that_cannot_be_carried_out_as_configured_is_bad_usage(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "news", "1s", str(tmp_path / "missing.txt")) as command:
        assert command.exit_code() == 2
        assert "missing.txt" in command.errors()


def test_a_round_that_another_writer_keeps_out_is_told_and_followed_by_the_next(
    site: FeedSite, tmp_path: Path
) -> None:
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        with local_dataset(str(output)).writing("another writer"):
            told = command.next_round()
        assert told["outcome"] == "failed"
        assert "another writer" in told["message"]
        command.rounds_until("done")
        ask_process(command)
        assert command.exit_code() == 0
    assert origins(output) == stories(site)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_round_that_may_not_write_is_told_and_followed_by_the_next(
    site: FeedSite, tmp_path: Path
) -> None:
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        command.rounds_until("done")
        leases = output / "_newsbeam" / "leases"
        leases.chmod(0o555)
        site.publish(3)
        command.rounds_until("usage")
        leases.chmod(0o755)
        command.rounds_until("done")
        ask_process(command)
        assert command.exit_code() == 0
    assert origins(output) == stories(site)


def test_a_round_whose_process_is_killed_is_told_and_gone_on_with_by_the_next(
    site: FeedSite, tmp_path: Path
) -> None:
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        with held(site.server, site.page_path(2)) as gate:
            command.wait_for(gate)
            [process] = command.processes_of_rounds()
            process.kill()
            told = command.next_round()
        assert told["outcome"] == "died"
        assert "signal 9" in told["message"]
        assert command.next_round()["outcome"] == "done"
        ask_process(command)
        assert command.exit_code() == 0
    assert origins(output) == stories(site)
    assert faults(output) == []


# ── asked to end ────────────────────────────────────────────────────────────────────────────────


def test_asked_to_end_between_rounds_it_does_without_a_word(site: FeedSite, tmp_path: Path) -> None:
    with running(tmp_path / "news", "1h", "--feeds", site.feed_url) as command:
        assert command.next_round()["outcome"] == "done"
        ask_process(command)
        assert command.exit_code() == 0
        assert command.errors() == ""


@pytest.mark.parametrize("ask", [ask_process, press_ctrl_c])
def test_asked_to_end_during_a_round_it_commits_it_first(
    site: FeedSite, tmp_path: Path, ask: Callable[[Command], None]
) -> None:
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        with held(site.server, site.page_path(2)) as gate:
            command.wait_for(gate)
            ask(command)
        assert command.next_round()["outcome"] == "done"
        assert command.exit_code() == 0
        assert "Traceback" not in command.errors()
    assert origins(output) == stories(site)
    assert commits(output) == 1


def test_asked_to_end_while_a_round_begins_it_commits_it_first(
    site: FeedSite, tmp_path: Path
) -> None:
    """Ctrl-C reaches the round's process, too, which is at its imports still."""
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        wait_until(lambda: bool(command.processes_of_rounds()))
        press_ctrl_c(command)
        assert command.next_round()["outcome"] == "done"
        assert command.exit_code() == 0
        assert "Traceback" not in command.errors()
    assert origins(output) == stories(site)


def test_asked_twice_to_end_it_breaks_the_round_off_and_the_next_run_goes_on(
    site: FeedSite, tmp_path: Path
) -> None:
    output = tmp_path / "news"
    with running(output, "1s", "--feeds", site.feed_url) as command:
        with held(site.server, site.page_path(2)) as gate:
            command.wait_for(gate)
            ask_twice(command)
            told = command.next_round()
            assert command.exit_code() == 130
            # Nobody has waited for the page.
            assert [visit.status for visit in site.server.visits(site.page_path(2))] == [0]
        assert told["outcome"] == "interrupted"
        assert "Traceback" not in command.errors()
    assert faults(output) == []
    assert commits(output) == 0
    run_again = ["ingest", "--feeds", site.feed_url, "--output", str(output)]
    assert main([*run_again, "--allow-private-hosts", "--workers=1", "--quiet"]) == 0
    assert origins(output) == stories(site)
    assert faults(output) == []
