"""Whole streams on real engines, by the real command, against a live server.

What a stream leaves is held against what batches over the same states of the server leave. What
may differ is written down in docs/streaming.md: which run a row names, when it was observed, and in
which file it lies.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engines
import pyarrow.parquet as pq
import pytest
from growing_sites import STATES, GrowingSites
from web_server import WebServer

from pipelines.config import IngestConfig
from pipelines.dataset import local_dataset
from pipelines.run import ingest
from pipelines.verify import verify
from schemas.records import Subscription
from transforms.http_client import HttpSettings

PATIENCE_SECONDS = 180.0
"""How long anything is waited for."""
_OF_A_RUN = frozenset({"run_id", "observed_at", "provenance", "published_hints"})
Row = dict[str, Any]
Counts = dict[str, int]


@dataclass(frozen=True)
class Batches:
    """What batches make of the sites, a run over each state."""

    folder: Path
    counts: list[Counts]
    """How many rows there are after each state."""
    sites: GrowingSites


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    # One server for all tests: its port is part of what they compare.
    with WebServer() as server:
        sites = GrowingSites(server)
        folder = tmp_path_factory.mktemp("batches") / "news"
        yield Batches(folder, list(run_over(sites, folder)), sites)


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
            repr((row["origin"], row["stage"], row["kind"], row["reason"]))
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
    for state in STATES:
        state(sites)
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
        yield count_rows(folder)


@dataclass
class Stream:
    """``newsbeam stream`` as a process of its own."""

    folder: Path
    feeds: Path
    options: Sequence[str]
    process: subprocess.Popen[str] | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "pipelines", "stream", "--output", str(self.folder)),
                *("--feeds", str(self.feeds), "--commit-every", "2s", "--poll-all", "--json"),
                *("--allow-private-hosts", *self.arguments, *self.options),
            ],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the stream ended: {self.process.communicate()}")
            assert time.monotonic() < ends_at, f"waited in vain for {what}"
            time.sleep(0.2)

    def wait_for_rows(self, expected: Counts) -> None:
        self.wait_until(lambda: count_rows(self.folder) == expected, f"rows {expected}")

    def end(self) -> dict[str, Any]:
        """Ask it to end; its summary."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        out, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, errors
        self.process = None
        return dict(json.loads(out))

    def kill(self) -> None:
        """End it, and the engine that it has started, as a machine does that loses its power."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):  # it has ended, and all that it started
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
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


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["prism", "flink-embedded"])
def test_a_stream_leaves_what_batches_leave(
    engine: str, sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with (
        engines.running(engine, tmp_path) as options,
        streaming(sites, tmp_path, options) as stream,
    ):
        for state, counts in zip(STATES, batches.counts, strict=True):
            state(sites)
            stream.wait_for_rows(counts)
        summary = stream.end()
    assert summary["drained"]
    assert_same(stream.folder, batches.folder)


@pytest.mark.slow
def test_a_stream_that_is_killed_is_taken_up_by_the_next(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with streaming(sites, tmp_path, engines.options("prism", tmp_path)) as stream:
        for state, counts in zip(STATES, batches.counts, strict=True):
            state(sites)
            stream.kill()
            stream.start()
            stream.wait_for_rows(counts)
        stream.end()
    assert_same(stream.folder, batches.folder)


@pytest.mark.slow
def test_a_second_stream_on_a_dataset_is_refused(sites: GrowingSites, tmp_path: Path) -> None:
    STATES[0](sites)
    with streaming(sites, tmp_path, engines.options("prism", tmp_path)) as stream:
        stream.wait_until(lambda: count_rows(stream.folder)["articles"] > 0, "the first rows")
        second = Stream(stream.folder, stream.feeds, engines.options("prism", tmp_path))
        second.start()
        _, errors = second.process.communicate(timeout=PATIENCE_SECONDS)
        assert second.process.returncode == 1
        assert "is locked" in errors
        assert "Traceback" not in errors
        stream.end()


def busy_task_manager(cluster: engines.FlinkCluster) -> int:
    """The number of one on which the job's tasks run."""
    slots = [
        (one["slotsNumber"] - one["freeSlots"], int(one["id"].rpartition("-")[2]))
        for one in cluster.ask("/taskmanagers")["taskmanagers"]
    ]
    return max(slots)[1]


@pytest.mark.slow
def test_a_stream_recovers_from_its_checkpoint_where_a_task_manager_is_killed(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with (
        engines.flink_cluster(tmp_path / "cluster") as cluster,
        engines.worker_pool(tmp_path / "workers") as pool,
    ):
        options = engines.options("flink-cluster", tmp_path, cluster=cluster, workers=pool.address)
        with streaming(sites, tmp_path, [*options, "--checkpointing_interval=2000"]) as stream:
            for number, (state, counts) in enumerate(zip(STATES, batches.counts, strict=True)):
                state(sites)
                if number in (1, 3):
                    job = cluster.jobs()[-1]["jid"]
                    done = cluster.checkpoints(job)["counts"]["completed"]
                    stream.wait_until(
                        lambda: cluster.checkpoints(job)["counts"]["completed"] > done,  # noqa: B023
                        "another checkpoint",
                    )
                    cluster.kill_task_manager(busy_task_manager(cluster))
                    cluster.start_task_manager()
                stream.wait_for_rows(counts)
            assert cluster.checkpoints(job)["counts"]["restored"] == 2
            summary = stream.end()
    assert summary["drained"]
    assert_same(stream.folder, batches.folder)


@pytest.mark.slow
def test_a_stream_goes_on_from_a_savepoint(
    sites: GrowingSites, batches: Batches, tmp_path: Path
) -> None:
    with (
        engines.flink_cluster(tmp_path / "cluster") as cluster,
        engines.worker_pool(tmp_path / "workers") as pool,
    ):
        options = engines.options("flink-cluster", tmp_path, cluster=cluster, workers=pool.address)
        with streaming(sites, tmp_path, [*options, "--checkpointing_interval=2000"]) as stream:
            for number, (state, counts) in enumerate(zip(STATES, batches.counts, strict=True)):
                state(sites)
                if number == 2:
                    savepoint = cluster.cancel_with_savepoint(cluster.jobs()[-1]["jid"])
                    assert stream.process.wait(timeout=PATIENCE_SECONDS) == 1
                    stream.kill()
                    stream.options = [*stream.options, f"--savepoint_path={savepoint}"]
                    stream.start()
                stream.wait_for_rows(counts)
            restored = cluster.checkpoints(cluster.jobs()[-1]["jid"])["latest"]["restored"]
            assert restored["is_savepoint"]
            stream.end()
    assert_same(stream.folder, batches.folder)
