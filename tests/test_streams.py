"""Whole streams on real engines, by the real command, against a live server.

What a stream leaves is held against what batches over the same states of the server leave. What
may differ is written down in docs/streaming.md: which run a row names, when it was observed, and in
which file it lies. The server goes on to its next state when the rows of the last one are there; so
nothing is compared that depends on how long an engine takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engines
import psutil
import pyarrow.parquet as pq
import pytest
from growing_sites import STATES_OF_A_ROUND, GrowingSites, State, script
from web_server import Gate, WebServer

from pipelines.config import IngestConfig
from pipelines.dataset import local_dataset
from pipelines.run import ingest
from pipelines.verify import verify
from schemas.records import Subscription
from transforms.http_client import HttpSettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engines")]

PATIENCE_SECONDS = 300.0
"""How long anything is waited for."""
LONG_ROUNDS = 3
"""A stream over so many takes some minutes."""
ROUND = script(1)
_OF_A_RUN = frozenset({"run_id", "observed_at"})
Row = dict[str, Any]
Counts = dict[str, int]


@dataclass(frozen=True)
class Batches:
    """What batches make of the sites, a run over each state."""

    folders: list[Path]
    """The datasets after each round."""
    counts: list[Counts]
    """How many rows there are after each state."""
    sites: GrowingSites

    def steps(self, rounds: int = 1) -> list[tuple[State, Counts]]:
        """The states of some rounds, and the rows that there are after each."""
        states = script(rounds)
        return list(zip(states, self.counts[: len(states)], strict=True))


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    # One server for all tests: its port is part of what they compare.
    with WebServer() as server:
        sites = GrowingSites(server)
        folder = tmp_path_factory.mktemp("batches")
        folders, counts = [], []
        for number, counted in enumerate(run_over(sites, folder / "news"), 1):
            counts.append(counted)
            if number % STATES_OF_A_ROUND == 0:
                folders.append(folder / f"after-{number}")
                shutil.copytree(folder / "news", folders[-1])
        yield Batches(folders, counts, sites)


@pytest.fixture
def sites(batches: Batches) -> GrowingSites:
    batches.sites.start()
    return batches.sites


def read_rows(folder: Path, table: str) -> list[Row]:
    files = sorted(folder.glob(f"{table}/**/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def what_is_in(folder: Path) -> dict[str, list[str]]:
    """All rows, but for what tells of the run that wrote them."""
    return {
        table: sorted(
            repr(sorted((name, value) for name, value in row.items() if name not in _OF_A_RUN))
            for row in read_rows(folder, table)
        )
        for table in ("articles", "duplicates")
    } | {
        "failures": sorted(
            repr([row[name] for name in ("origin", "stage", "kind", "reason", "message")])
            for row in read_rows(folder, "failures")
        )
    }


def count_rows(folder: Path) -> Counts:
    snapshot = local_dataset(str(folder)).snapshot()
    return {
        table: sum(file.rows for file in snapshot.table(table))
        for table in ("articles", "duplicates", "failures")
    }


def run_over(sites: GrowingSites, folder: Path) -> Iterator[Counts]:
    """A run over each state of the server; how many rows there are after each."""
    for state in script(LONG_ROUNDS):
        state(sites)
        yield run_once(sites, folder)


def run_once(sites: GrowingSites, folder: Path) -> Counts:
    """A run over the server as it is; how many rows there are then."""
    report = ingest(
        IngestConfig(
            (),
            str(folder),
            subscriptions=tuple(Subscription(url) for url in sites.feed_urls),
            http=HttpSettings(allow_private_hosts=True),
            polls_all=True,
            workers=1,
        )
    )
    assert not report.balance.fault_count
    return count_rows(folder)


@dataclass
class Stream:
    """``newsbeam stream`` as a process of its own; what it prints lies beside its dataset."""

    folder: Path
    feeds: Path
    options: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    name: str = "stream"

    def start(self) -> None:
        # Files, not pipes: nobody reads while it is at work.
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "pipelines", "stream", "--output", str(self.folder)),
                    *("--feeds", str(self.feeds), "--commit-every", "2s", "--poll-all", "--json"),
                    *("--allow-private-hosts", *self.arguments, *self.options),
                ],
                cwd=Path(__file__).parent.parent,
                env={**os.environ, **self.environment},
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def _out(self) -> Path:
        return self.folder.with_name(f"{self.name}.out")

    @property
    def _errors(self) -> Path:
        return self.folder.with_name(f"{self.name}.errors")

    @property
    def said(self) -> str:
        """The end of what it wrote to stderr since it was started."""
        return self._errors.read_text(encoding="utf-8", errors="replace")[-8_000:]

    def wait_until(self, holds: Callable[[], bool], what: Callable[[], str] | str) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the stream ended: {self.said}")
            if time.monotonic() > ends_at:
                waited_for = what if isinstance(what, str) else what()
                raise AssertionError(f"waited in vain for {waited_for}: {self.said}")
            time.sleep(0.2)

    def wait_for_rows(self, expected: Counts) -> None:
        self.wait_until(
            lambda: count_rows(self.folder) == expected,
            lambda: f"rows {expected}, with {count_rows(self.folder)}",
        )

    def ask_to_end(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for its end."""
        assert self.process is not None
        self.process.wait(timeout=PATIENCE_SECONDS)
        code = self.process.returncode
        self.process = None
        return code

    def end(self) -> dict[str, Any]:
        """Ask it to end; its summary."""
        self.ask_to_end()
        return self.summary()

    def summary(self) -> dict[str, Any]:
        """Wait for its end, which is as it should be; what it said."""
        assert self.exit_code() == 0, self.said
        return dict(json.loads(self._out.read_text(encoding="utf-8")))

    def kill(self) -> None:
        """End it, and the engine that it has started, as a machine does that loses its power."""
        assert self.process is not None
        descendants: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # as where it has failed
            descendants = psutil.Process(self.process.pid).children(recursive=True)
        for process in (*descendants, self.process):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
        self.process.wait()
        self.process = None


@contextlib.contextmanager
def streaming(
    sites: GrowingSites, tmp_path: Path, options: Sequence[str], *arguments: str
) -> Iterator[Stream]:
    feeds = tmp_path / "feeds.toml"
    listed = "".join(f'[[feed]]\nurl = "{url}"\n' for url in sites.feed_urls)
    feeds.write_text(f'[defaults]\ninterval = "1s"\n{listed}', encoding="utf-8")
    stream = Stream(tmp_path / "stream", feeds, options, arguments=arguments)
    stream.start()
    try:
        yield stream
    finally:
        if stream.process is not None:
            stream.kill()


def assert_same(stream: Path, batch: Path) -> None:
    assert what_is_in(stream) == what_is_in(batch)
    assert verify(local_dataset(str(stream))).clean


def hold(sites: GrowingSites, number: int) -> Gate:
    """Let nobody have the page of a story of the north, until the gate is opened."""
    return sites.server.hold(sites.north.page_path(number))


def test_the_script_has_what_streams_meet(batches: Batches) -> None:
    articles = read_rows(batches.folders[0], "articles")
    by_path = {row["origin"].partition(str(batches.sites.server.port))[2]: row for row in articles}
    ids = {path: row["article_id"] for path, row in by_path.items()}
    # Copied, over the border of a state; the one came late.
    assert {
        row["origin"].rpartition("/")[2]: row["canonical_id"]
        for row in read_rows(batches.folders[0], "duplicates")
    } == {"21": ids["/north/stories/1"], "22": ids["/north/stories/5"]}
    # Changed.
    changed = [row for row in articles if row["article_id"] == ids["/north/stories/2"]]
    assert sorted(row["revision"] for row in changed) == [0, 1]
    assert len({row["body"] for row in changed}) == 2
    # Late.
    assert str(by_path["/north/stories/7"]["published_at"]).startswith("2026-11-09")
    # Malformed; and with its text in the feed.
    assert "/odd/0/1" in by_path
    assert "/south/feed.xml#story-13" in by_path
    assert {row["reason"] for row in read_rows(batches.folders[0], "failures")} == {
        "empty-item", "gone", "no-article", "http-status",
    }  # fmt: skip
    # New.
    assert [counts["articles"] for _, counts in batches.steps()] == [6, 9, 11, 12, 15]


@pytest.mark.parametrize("engine", ["prism", "flink-embedded"])
def test_a_stream_of_some_minutes_leaves_what_batches_leave(
    engine: str, sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with (
        engines.running(engine, tmp_path) as options,
        streaming(sites, tmp_path, options, "--commit-every", "5s") as stream,
    ):
        for state, counts in batches.steps(LONG_ROUNDS):
            state(sites)
            stream.wait_for_rows(counts)
        summary = stream.end()
    assert summary["drained"]
    assert_same(stream.folder, batches.folders[-1])


@pytest.mark.parametrize("engine", ["prism", "flink-embedded"])
def test_what_is_under_way_when_a_stream_is_asked_to_end_is_committed(
    engine: str, sites: GrowingSites, tmp_path: Path
) -> None:
    gate = hold(sites, 1)
    with (
        engines.running(engine, tmp_path) as options,
        streaming(sites, tmp_path, options) as stream,
    ):
        ROUND[0](sites)
        stream.wait_until(lambda: gate.waiting > 0, "a request")
        stream.ask_to_end()
        gate.release()
        summary = stream.summary()
    assert summary["drained"]
    origins = [row["origin"] for row in read_rows(stream.folder, "articles")]
    assert sites.north.page_url(1) in origins
    assert run_once(sites, stream.folder)["articles"] == 6
    origins = [row["origin"] for row in read_rows(stream.folder, "articles")]
    assert len(origins) == len(set(origins)) == 6


def test_a_stream_that_is_killed_is_taken_up_by_the_next(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    # Of each state a page that is being fetched when the stream is killed.
    held = (1, 5, None, 7, 10)
    with streaming(sites, tmp_path, engines.options("prism", tmp_path)) as stream:
        for (state, counts), number in zip(batches.steps(), held, strict=True):
            gate = hold(sites, number) if number else None
            state(sites)
            if gate:
                stream.wait_until(lambda: gate.waiting > 0, "a request")  # noqa: B023
            stream.kill()
            if gate:
                gate.release()
            stream.start()
            stream.wait_for_rows(counts)
        stream.end()
    assert_same(stream.folder, batches.folders[0])


def test_a_second_stream_on_a_dataset_is_refused(sites: GrowingSites, tmp_path: Path) -> None:
    ROUND[0](sites)
    with streaming(sites, tmp_path, engines.options("prism", tmp_path)) as stream:
        stream.wait_until(lambda: count_rows(stream.folder)["articles"] > 0, "the first rows")
        second = Stream(
            stream.folder, stream.feeds, engines.options("prism", tmp_path), name="second"
        )
        second.start()
        assert second.exit_code() == 1
        assert "is locked" in second.said
        assert "Traceback" not in second.said
        assert stream.end()["drained"]


def busy_task_manager(cluster: engines.FlinkCluster) -> int:
    """The number of one that is alive and has tasks of the job."""
    alive = set(cluster.alive())
    slots = [
        (one["slotsNumber"] - one["freeSlots"], int(one["id"].rpartition("-")[2]))
        for one in cluster.ask("/taskmanagers")["taskmanagers"]
    ]
    # One that was killed a moment ago may still be counted.
    return max(place for place in slots if place[1] in alive)[1]


@contextlib.contextmanager
def streaming_on_cluster(
    sites: GrowingSites, tmp_path: Path
) -> Iterator[tuple[Stream, engines.FlinkCluster]]:
    with (
        engines.flink_cluster(tmp_path / "cluster") as cluster,
        engines.worker_pool(tmp_path / "workers") as pool,
    ):
        options = engines.options("flink-cluster", tmp_path, cluster=cluster, workers=pool.address)
        with streaming(sites, tmp_path, [*options, "--checkpointing_interval=2000"]) as stream:
            yield stream, cluster


def test_a_stream_recovers_from_its_checkpoint_where_a_task_manager_is_killed(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    held = {1: 5, 3: 7}
    with streaming_on_cluster(sites, tmp_path) as (stream, cluster):
        for number, (state, counts) in enumerate(batches.steps()):
            if number not in held:
                state(sites)
                stream.wait_for_rows(counts)
                continue
            gate = hold(sites, held[number])
            state(sites)
            stream.wait_until(lambda: gate.waiting > 0, "a request")  # noqa: B023
            job = cluster.jobs()[-1]["jid"]
            before = cluster.checkpoints(job)["counts"]
            stream.wait_until(
                lambda: cluster.checkpoints(job)["counts"]["completed"] > before["completed"],  # noqa: B023
                "another checkpoint",
            )
            cluster.kill_task_manager(busy_task_manager(cluster))
            gate.release()
            cluster.start_task_manager()
            stream.wait_until(
                lambda: cluster.checkpoints(job)["counts"]["restored"] > before["restored"],  # noqa: B023
                "the job to be restored",
            )
            stream.wait_for_rows(counts)
        assert [one["jid"] for one in cluster.jobs()] == [job], "the job is still the same one"
        summary = stream.end()
    assert summary["drained"]
    assert_same(stream.folder, batches.folders[0])


def test_a_stream_goes_on_from_a_savepoint(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with streaming_on_cluster(sites, tmp_path) as (stream, cluster):
        for number, (state, counts) in enumerate(batches.steps()):
            state(sites)
            if number == 2:
                savepoint = cluster.cancel_with_savepoint(cluster.jobs()[-1]["jid"])
                assert stream.exit_code() == 1  # its job was taken away
                stream.options = [*stream.options, f"--savepoint_path={savepoint}"]
                stream.start()
            stream.wait_for_rows(counts)
        restored = cluster.checkpoints(cluster.jobs()[-1]["jid"])["latest"]["restored"]
        assert restored["is_savepoint"]
        assert stream.end()["drained"]
    assert_same(stream.folder, batches.folders[0])
