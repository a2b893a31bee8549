"""Runs on an S3 store in processes of their own, which stop at a request that a test names.

Each process is forked from one that has all modules and models loaded. There each request that
changes something is heard of *before* it is sent, and what the run is at is known by the key. At
the wanted one the process kills itself with -9, or waits until the test lets it go on. So nothing
depends on time or on luck.

s3fs has a thread of its own as soon as it is used, after which a process must not be forked. The
test uses it, and so do the runs; the process between them does not.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import multiprocessing
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_RUN_SECONDS = 300
"""A run that takes longer is stuck, and is ended by an alarm."""
_FORKING = multiprocessing.get_context("forkserver")
_SINGLE_THREADED = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""What keeps libraries from starting threads when they are imported."""
_CHANGES = frozenset({"PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload"})

PHASES = (
    "lease",
    "seal",  # keeping a dead owner from committing
    "plan",
    "extract",
    "decide",
    "enrich",
    "assemble",
    "rewrite",  # a compaction's files
    "tidy",  # removing what was staged before, and is made anew
    "pending",  # the commit is decided,
    "copy",  # its files are brought to their places,
    "unstage",  # and are no longer staged;
    "remove",  # what they replace is removed;
    "commit",  # it is put into the log;
    "clear",  # what else was staged is removed,
    "done",  # and that it is pending
)
"""What a run is at."""
_MADE = tuple(
    (re.compile(f"_newsbeam/{pattern}"), phase)
    for pattern, phase in (
        ("leases/", "lease"),
        ("staging/compact-", "rewrite"),
        ("staging/[^/]+/plan", "plan"),
        ("staging/[^/]+/slices/", "extract"),
        ("staging/[^/]+/decided/", "decide"),
        ("staging/[^/]+/rows/", "enrich"),
        ("staging/[^/]+/(?:files/|assembled)", "assemble"),
        ("pending/", "pending"),
        ("commits/", "commit"),
    )
)
_REMOVED = (("_newsbeam/leases/", "lease"), ("_newsbeam/pending/", "done"))


@dataclass(frozen=True)
class Stop:
    """Where a run stops: before the ``number``-th change of a phase, from 0."""

    phase: str
    number: int = 0
    kill: bool = True
    """Else it waits there."""

    def __str__(self) -> str:
        return f"{self.phase}-{self.number}".replace(" ", "-")


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    exit_code: int
    """Minus the number of the signal that ended it."""
    said: str
    """What it printed, on standard error too."""
    requests: Counter[str] = field(default_factory=Counter)
    """How many it made of each kind, if it was not killed."""


# ── in the process ──────────────────────────────────────────────────────────────────────────────


class _Witness:
    """Hears of every request, and stops the process at one of them."""

    def __init__(self, prefix: str, stop: Stop | None, reached: Connection, go_on: Event) -> None:
        self._prefix = prefix
        self._stop = stop
        self._reached = reached
        self._go_on = go_on
        self._counts: Counter[str] = Counter()
        self._is_decided = self._is_committed = False
        self.requests: Counter[str] = Counter()

    def listen(self) -> None:
        """Be told of the requests of every client of botocore."""
        from aiobotocore.client import AioBaseClient

        send = AioBaseClient._make_api_call

        async def tell_and_send(client: Any, operation: str, given: Mapping[str, Any]) -> Any:
            await self._hear(operation, given)
            return await send(client, operation, given)

        AioBaseClient._make_api_call = tell_and_send

    async def _hear(self, operation: str, given: Mapping[str, Any]) -> None:
        self.requests[operation] += 1
        key = str(given.get("Key", ""))
        if operation not in _CHANGES or not key.startswith(self._prefix):
            return
        phase = self._phase(operation, key.removeprefix(self._prefix), given.get("Body", b""))
        number = self._counts[phase]
        self._counts[phase] += 1
        if self._stop is None or (phase, number) != (self._stop.phase, self._stop.number):
            return
        if self._stop.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        self._reached.send(phase)
        await asyncio.get_running_loop().run_in_executor(None, self._go_on.wait)

    def _phase(self, operation: str, path: str, body: bytes) -> str:
        if operation == "DeleteObject":
            if path.startswith("_newsbeam/staging/"):
                return "clear" if self._is_committed else "unstage" if self._is_decided else "tidy"
            return next((phase for start, phase in _REMOVED if path.startswith(start)), "remove")
        phase = next((phase for made, phase in _MADE if made.match(path)), "copy")
        if phase in ("pending", "commit") and b'"kind": "seal"' in body:
            return "seal"
        self._is_decided |= phase == "pending"
        self._is_committed |= phase == "commit"
        return phase


def ingest_at(now: datetime.datetime, options: Mapping[str, Any]) -> int:
    """A run of ``ingest`` with such a configuration, at such a time."""
    from pipelines.config import IngestConfig
    from pipelines.run import ingest

    report = ingest(IngestConfig(**options), clock=lambda: now)
    return len(report.balance.faults)


def command(*argv: str) -> int:
    """A run of the command line."""
    from pipelines.cli import main

    return main(argv)


def command_without(module: str, *argv: str) -> int:
    """A run of the command line where a module is not installed."""
    sys.modules[module] = None  # type: ignore[assignment]
    return command(*argv)


def _carry_out(
    work: Callable[..., int],
    arguments: tuple[Any, ...],
    environment: Mapping[str, str],
    folder: Path,
    witness: tuple[str, Stop | None, Connection, Event],
) -> None:
    os.environ.update(environment)
    with (folder / "said").open("wb") as said:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
    signal.alarm(MAX_RUN_SECONDS)
    listening = _Witness(*witness)
    listening.listen()
    try:
        code = work(*arguments)
    finally:
        (folder / "requests").write_text(json.dumps(listening.requests))
    sys.exit(code)


# ── in the test ─────────────────────────────────────────────────────────────────────────────────


class Run:
    """A run that goes on in its process."""

    def __init__(
        self, process: ForkServerProcess, folder: Path, reached: Connection, go_on: Event
    ) -> None:
        self._process = process
        self._folder = folder
        self._reached = reached
        self._go_on = go_on

    @property
    def process_id(self) -> int:
        """Of its process."""
        assert self._process.pid is not None
        return self._process.pid

    def wait_until_it_stops(self) -> None:
        """Wait until it has come to where it was to stop."""
        wait([self._reached, self._process.sentinel])
        assert self._reached.poll(), self.end().said

    def let_go_on(self) -> None:
        """Let it go on from there."""
        self._go_on.set()

    def end(self) -> Ending:
        """Wait for its end."""
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        requests = self._folder / "requests"
        counts = json.loads(requests.read_text()) if requests.exists() else {}
        said = (self._folder / "said").read_text(encoding="utf-8", errors="replace")
        return Ending(code, said, Counter(counts))


class Runs:
    """Starts runs."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._started: list[ForkServerProcess] = []

    def start(
        self,
        work: Callable[..., int],
        *arguments: Any,
        output: str = "",
        stop: Stop | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run, which stops where it changes the dataset at ``output`` so."""
        folder = self._folder / str(len(self._started))
        folder.mkdir()
        prefix = re.sub(r"^\w+://[^/]+/|$", "", output) + "/"
        reached, tell = _FORKING.Pipe(duplex=False)
        go_on = _FORKING.Event()
        process = _FORKING.Process(
            target=_carry_out,
            args=(
                work,
                arguments,
                self._environment if environment is None else environment,
                folder,
                (prefix, stop, tell, go_on),
            ),
        )
        process.start()
        self._started.append(process)
        return Run(process, folder, reached, go_on)

    def run(self, work: Callable[..., int], *arguments: Any, **options: Any) -> Ending:
        """Start a run, and wait for its end."""
        return self.start(work, *arguments, **options).end()

    def stop_all(self) -> None:
        """End what a failed test has left behind."""
        for process in self._started:
            if process.is_alive():
                process.kill()
            process.join()


@contextmanager
def running(environment: Mapping[str, str], folder: Path) -> Iterator[Runs]:
    """Be able to start runs while the block runs; ``folder`` is for what they say."""
    _FORKING.set_forkserver_preload(["killed_run", "warm_runs"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SINGLE_THREADED.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
        runs = Runs(environment, folder)
        try:
            yield runs
        finally:
            runs.stop_all()
