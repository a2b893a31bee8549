"""The launching process and its engine: who ends whom, when, and what a person is told of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import engines
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from feed_site import FeedSite
from web_server import WebServer

from pipelines import engine_process
from pipelines.config import IngestConfig, UsageError
from pipelines.dataset import local_dataset
from pipelines.engine import EngineError, make_pipeline, what_went_wrong
from pipelines.stream import Patience, StreamConfig, _Requests, stream
from schemas.records import Subscription

PATIENCE_SECONDS = 120.0
"""How long anything is waited for."""


def wait_until(holds: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends_at, f"waited in vain for {what}"
        time.sleep(0.05)


# ── what an engine says ─────────────────────────────────────────────────────────────────────────

_FRAMES = """\
Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
  File "somewhere.py", line 10, in bad
    {}["k"]
    ~~^^^^^
"""
_WORKERS_ERROR = f"""\
{_FRAMES}KeyError: 'k'

The above exception was the direct cause of the following exception:

{_FRAMES}pipelines.steps.RunFailedError: The disk is full.
Nothing was added. [while running 'Commit']
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "Pipeline job-001 failed in state FAILED: bundle inst001 stage-001 failed:"
            f"{_WORKERS_ERROR}",
            "pipelines.steps.RunFailedError: The disk is full.",
            id="prism",
        ),
        pytest.param(
            "Pipeline BeamApp-1_2 failed in state FAILED: java.lang.RuntimeException: Error "
            f"received from SDK harness for instruction 1: {_WORKERS_ERROR}",
            "pipelines.steps.RunFailedError: The disk is full.",
            id="flink",
        ),
        pytest.param(
            f"{_FRAMES}RuntimeError: of a graph within: {_FRAMES}OSError: [Errno 28] No space left",
            "OSError: [Errno 28] No space left",
            id="an error that tells of another",
        ),
        pytest.param(
            "java.lang.RuntimeException: The job failed.\n\tat a.b(C.java:1)\n"
            "Caused by: java.io.IOException: Too many open files\n\tat d.e(F.java:2)\n\t... 3 more",
            "java.io.IOException: Too many open files",
            id="java",
        ),
        pytest.param(
            "Pipeline job-001 failed in state FAILED: unknown error", "unknown error", id="silent"
        ),
        pytest.param("", "it does not say why", id="empty"),
    ],
)
def test_of_an_engines_error_the_line_is_told_that_says_what_went_wrong(
    text: str, reason: str
) -> None:
    assert what_went_wrong(text) == reason


def test_an_error_of_this_package_is_told_as_the_sentence_that_it_is() -> None:
    error = EngineError(
        "the engine's job has failed: pipelines.committing.StreamOrphanedError: the dataset has "
        "another writer now [while running 'CommitWindows/Commit']",
        is_logged=False,
    )
    assert error.sentence() == "the engine's job has failed: the dataset has another writer now"


# ── engines that cannot be had ──────────────────────────────────────────────────────────────────


def test_a_program_that_is_missing_is_a_sentence_before_anything_begins(tmp_path: Path) -> None:
    program = tmp_path / "prism"
    options = PipelineOptions(["--runner=PrismRunner", f"--prism_location={program}"])
    with pytest.raises(EngineError, match=r"^the engine cannot be had: .*make sure the file exis"):
        make_pipeline(options)


def test_a_port_that_is_taken_is_a_sentence_before_anything_begins(tmp_path: Path) -> None:
    program = tmp_path / "prism"
    program.touch()
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        options = PipelineOptions(
            ["--runner=PrismRunner", f"--prism_location={program}", f"--job_port={port}"]
        )
        with pytest.raises(EngineError, match=f"cannot have port {port}: "):
            make_pipeline(options)


# ── a store that is out of reach ────────────────────────────────────────────────────────────────


class Store:
    """Out of reach until it is told otherwise."""

    is_there = False

    def look(self) -> None:
        if not self.is_there:
            raise OSError("out of reach")


def config_of(feed: str, *options: str, output: Path = Path("news")) -> StreamConfig:
    ingest = IngestConfig(
        sources=(), output=str(output), subscriptions=(Subscription(feed),), beam_options=options
    )
    return StreamConfig(ingest)


@pytest.mark.parametrize("name", ["PrismRunner", "prism", "prismrunner"])
def test_a_stream_keeps_prism_from_splitting_bundles_by_whatever_name_it_is_called(
    name: str,
) -> None:
    options = config_of("https://a.example/feed", f"--runner={name}").beam_options
    assert options == ["--experiments=prism_disable_sdf_split", f"--runner={name}"]
    assert config_of("https://a.example/feed").beam_options[0] == options[0]


@pytest.mark.parametrize("name", ["FlinkRunner", "flink"])
def test_a_stream_keeps_flink_from_checkpoints_within_a_bundle(name: str) -> None:
    options = config_of("https://a.example/feed", f"--runner={name}").beam_options
    assert options == ["--finish_bundle_before_checkpointing", f"--runner={name}"]


@pytest.mark.parametrize("name", ["DirectRunner", "direct", "BundleBasedDirectRunner"])
def test_a_stream_on_the_local_runner_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    config = config_of("https://a.example/feed", f"--runner={name}", output=tmp_path / "news")
    with pytest.raises(UsageError, match="has no streams: leave --runner out"):
        stream(config)
    assert not (tmp_path / "news").exists()


def test_signals_that_come_together_are_one_request() -> None:
    with _Requests() as requests:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
    assert requests.count == 1


def test_a_store_may_be_out_of_reach_for_as_long_as_a_lease_lasts() -> None:
    now, store = 0.0, Store()
    patience = Patience(60, clock=lambda: now)
    for now in (0.0, 30.0, 60.0):  # noqa: B007 - the clock shows it
        assert not patience.has_reached(store.look)
    now = 61.0
    with pytest.raises(OSError, match="out of reach"):
        patience.has_reached(store.look)


def test_a_store_that_comes_back_may_be_out_of_reach_as_long_again() -> None:
    now, store = 0.0, Store()
    patience = Patience(60, clock=lambda: now)
    assert not patience.has_reached(store.look)
    store.is_there = True
    assert patience.has_reached(store.look)
    now, store.is_there = 1_000.0, False
    assert not patience.has_reached(store.look)


# ── the process of an engine ────────────────────────────────────────────────────────────────────

LAUNCHER = [sys.executable, "-I", str(engine_process.__file__)]


def is_alive(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_an_engine_has_a_session_of_its_own() -> None:
    tell = "import os; print(os.getsid(0) == os.getpid())"
    done = subprocess.run(
        [*LAUNCHER, str(os.getpid()), sys.executable, "-c", tell],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "True\n"


def test_a_program_that_cannot_be_started_is_told() -> None:
    command = [*LAUNCHER, str(os.getpid()), "/nowhere/prism"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "cannot start /nowhere/prism: No such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel sees to it")
def test_an_engine_is_ended_with_the_process_that_started_it() -> None:
    launch = (
        "import os, subprocess, sys; "
        "process = subprocess.Popen([*sys.argv[1:4], str(os.getpid()), 'sleep', '600']); "
        "print(process.pid, flush=True); process.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launch, *LAUNCHER], stdout=subprocess.PIPE, text=True
    ) as launching:
        assert launching.stdout is not None
        engine = int(launching.stdout.readline())
        name = Path(f"/proc/{engine}/comm")
        wait_until(lambda: name.read_text(encoding="utf-8") == "sleep\n", "the engine")
        launching.kill()
    wait_until(lambda: not is_alive(engine), "the end of the engine")


# ── whole commands, on Prism ────────────────────────────────────────────────────────────────────


@dataclass
class Command:
    """``newsbeam`` as a process of its own, in a session of its own."""

    process: subprocess.Popen[str]

    def engine(self) -> int:
        """The process id of the engine, once it has one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")

        def found() -> list[int]:
            assert self.process.poll() is None, self.process.communicate()
            ids = [int(text) for text in children.read_text(encoding="utf-8").split()]
            # As long as it is the launcher, it is in our session.
            return [one for one in ids if is_alive(one) and os.getsid(one) == one]

        wait_until(lambda: bool(found()), "an engine")
        return found()[0]

    def end(self) -> tuple[int, str, str]:
        """Its exit status, and what it has printed on standard output and standard error."""
        out, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, errors


@contextlib.contextmanager
def running(command: str, folder: Path, *arguments: str) -> Iterator[Command]:
    """``newsbeam COMMAND`` into ``folder/news`` while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", command, "--output", f"{folder}/news", *arguments],
        cwd=engines.ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Command(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def site() -> Iterator[FeedSite]:
    with WebServer() as server:
        made = FeedSite(server)
        made.publish(1, 2, 3)
        yield made


def streaming(folder: Path, site: FeedSite, options: Sequence[str]) -> list[str]:
    """The arguments for a stream over a site."""
    feeds = folder / "feeds.toml"
    listed = f'[defaults]\ninterval = "1s"\n[[feed]]\nurl = "{site.feed_url}"\n'
    feeds.write_text(listed, encoding="utf-8")
    return [
        "--feeds", str(feeds), "--commit-every", "2s", "--poll-all", "--allow-private-hosts",
        "--json", *options,
    ]  # fmt: skip


def has_rows(folder: Path) -> bool:
    return bool(local_dataset(f"{folder}/news").snapshot().table("articles"))


@contextlib.contextmanager
def stream_at_work(folder: Path, site: FeedSite, engine: str = "prism") -> Iterator[Command]:
    """A stream that has committed something."""
    arguments = streaming(folder, site, engines.options(engine, folder))
    with running("stream", folder, *arguments) as stream:
        wait_until(
            lambda: has_rows(folder) or stream.process.poll() is not None, "the first commit"
        )
        assert stream.process.poll() is None, stream.process.communicate()
        yield stream


def logs(folder: Path) -> list[str]:
    return [log.read_text(encoding="utf-8") for log in folder.glob("newsbeam-engine-*.log")]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["prism", "flink-embedded"])
def test_ctrl_c_in_a_terminal_drains_a_stream_and_prints_nothing_but_the_summary(
    engine: str, site: FeedSite, tmp_path: Path
) -> None:
    with stream_at_work(tmp_path, site, engine) as stream:
        process_id = stream.engine()
        os.killpg(stream.process.pid, signal.SIGINT)
        code, out, errors = stream.end()
    assert (code, errors) == (0, "")
    assert '"drained": true' in out
    assert not is_alive(process_id)
    assert logs(tmp_path) == []


@pytest.mark.slow
def test_where_a_stream_is_killed_no_engine_is_left(site: FeedSite, tmp_path: Path) -> None:
    with stream_at_work(tmp_path, site) as stream:
        process_id = stream.engine()
        stream.process.kill()
        wait_until(lambda: not is_alive(process_id), "the end of the engine")


@pytest.mark.slow
def test_three_requests_to_end_give_no_traceback_and_leave_no_engine(
    site: FeedSite, tmp_path: Path
) -> None:
    with stream_at_work(tmp_path, site) as stream:
        process_id = stream.engine()
        for _ in range(3):
            stream.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                stream.process.wait(0.3)
        code, _, errors = stream.end()
    assert code in (130, -signal.SIGTERM)
    assert errors == ""
    wait_until(lambda: not is_alive(process_id), "the end of the engine")


@pytest.mark.slow
def test_a_stream_whose_engine_is_killed_ends_with_a_sentence(
    site: FeedSite, tmp_path: Path
) -> None:
    with stream_at_work(tmp_path, site) as stream:
        os.kill(stream.engine(), signal.SIGKILL)
        code, out, errors = stream.end()
    assert (code, out) == (1, "")
    assert errors.startswith("newsbeam: stream failed: the engine is gone (all that it said: ")
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_a_stream_whose_lease_is_anothers_ends_with_a_sentence_and_a_log(
    site: FeedSite, tmp_path: Path
) -> None:
    with stream_at_work(tmp_path, site) as stream:
        leases = sorted((tmp_path / "news" / "_newsbeam" / "leases").glob("*.json"))
        leases[-1].with_name("00000099.json").write_bytes(leases[-1].read_bytes())
        site.publish(4, 5)
        code, _, errors = stream.end()
    assert code == 1
    assert "the engine's job has failed: the dataset" in errors
    assert "has another writer now; this stream ends (all that it said: " in errors
    assert errors.count("\n") == 1
    [log] = logs(tmp_path)
    assert "StreamOrphanedError: " in log


@pytest.mark.slow
def test_a_batch_whose_engine_is_killed_ends_with_a_sentence(tmp_path: Path) -> None:
    options = engines.options("prism", tmp_path)
    with running("ingest", tmp_path, "seeds", "--json", *options) as batch:
        process_id = batch.engine()
        # Where it is killed before it has a job, it is started anew.
        wait_until(lambda: any(tmp_path.glob("news/**/report.json")), "the end of the first step")
        os.kill(process_id, signal.SIGKILL)
        code, out, errors = batch.end()
    assert (code, out) == (1, "")
    assert errors.startswith("newsbeam: ingest failed: the engine ")
    assert "nothing was added to the dataset" in errors
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_the_second_request_cuts_the_start_of_an_engine_short(
    site: FeedSite, tmp_path: Path
) -> None:
    program = tmp_path / "prism"
    program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    program.chmod(0o755)
    options = ["--runner=PrismRunner", f"--prism_location={program}"]
    with running("stream", tmp_path, *streaming(tmp_path, site, options)) as stream:
        process_id = stream.engine()
        for _ in range(2):
            stream.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                stream.process.wait(0.3)
        code, _, errors = stream.end()
    assert code == 130
    assert errors.startswith("newsbeam: interrupted; nothing was added to the dataset")
    assert not is_alive(process_id)
