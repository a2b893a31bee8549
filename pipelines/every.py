"""A run every so often, on one machine: rounds, each a run of its own in a process of its own.

A round that ends gives all its memory back, and one that dies takes nothing with it: the next goes
on from what it had made durable. What is configured is read anew for each round, so that feeds can
be added while it goes on.

Asked to end (SIGTERM, SIGINT), it lets the round under way come to its commit. Asked again, it ends
the round at once, which is as safe as any kill.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from pipelines import round_process
from pipelines.config import IngestConfig, UsageError
from pipelines.dataset import DatasetError, PublishError
from pipelines.run import ingest
from pipelines.steps import RunFailedError
from transforms.compaction import DamagedFileError
from transforms.storage import StoreError

EXPECTED_ERRORS = (RunFailedError, DatasetError, PublishError, DamagedFileError, StoreError)
"""What a run that cannot be carried out raises; anything else is a bug."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STANDARD_ERROR = 2

MakeConfig = Callable[[], IngestConfig]
"""Reads the configuration; a function that can be sent to another process."""


@dataclass(frozen=True)
class Round:
    """What one round has come to."""

    number: int
    """From 1."""
    outcome: str
    """``done``; ``unbalanced``: its account does not balance; ``failed``; ``usage``: it could not
    be carried out as configured; ``interrupted``; or ``died``."""
    message: str = ""
    summary: dict[str, Any] | None = None
    """Of the run, if there is one."""
    seconds: float = 0.0
    """How long it took, from the start of its process to the end of it."""


def run_every(
    interval_seconds: float,
    make_config: MakeConfig,
    tell: Callable[[Round, float], None],
    *,
    hint: str = "",
) -> bool:
    """Carry out rounds until asked to end; whether the last one was let come to its end.

    A round that takes longer than the interval is followed by the next at once.

    Args:
        interval_seconds: from the start of a round to that of the next.
        make_config: gives what to run.
        tell: is told of each round once it is over, and in how many seconds the next begins.
        hint: a line for standard error, for when it is asked to end while a round is under way.

    Raises:
        UsageError: if the first round cannot be carried out as configured.
    """
    with _Requests(hint) as requests:
        number, is_cut_short = 0, False
        while not requests.count:
            number += 1
            began = time.monotonic()
            done = _carry_out(number, make_config, requests)
            if done.outcome == "usage" and number == 1:
                raise UsageError(done.message)
            is_cut_short = done.outcome == "interrupted"
            seconds = time.monotonic() - began
            left_seconds = max(0.0, interval_seconds - seconds)
            tell(replace(done, seconds=seconds), left_seconds)
            if not requests.count:
                requests.wait(left_seconds)
        return requests.count < 2 and not is_cut_short


class _Requests:
    """How often this process was asked to end; the second time it ends the round itself."""

    def __init__(self, hint: str) -> None:
        self.count = 0
        self._hint = f"{hint}\n".encode() if hint else b""
        self._process: BaseProcess | None = None

    def __enter__(self) -> _Requests:
        # A pipe, for a signal's handler may not take the locks that a waiting thread holds.
        self._heard, self._spoken = os.pipe()
        self._before = [signal.signal(number, self._handle) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)
        os.close(self._heard)
        os.close(self._spoken)

    def _handle(self, _signal: int, _frame: object) -> None:
        self.count += 1
        os.write(self._spoken, b".")
        if self._process is not None and self.count > 1:
            _end(self._process)
        elif self._process is not None and self._hint:
            os.write(_STANDARD_ERROR, self._hint)  # not print: the handler may have cut in on it

    def wait(self, seconds: float) -> None:
        """Wait, or until asked to end."""
        select.select([self._heard], [], [], seconds)

    @contextmanager
    def ending(self, process: BaseProcess) -> Iterator[None]:
        """Let a second request end a process, which is under way, while the block runs."""
        self._process = process
        try:
            if self.count > 1:
                _end(process)
            yield
        finally:
            self._process = None


def _end(process: BaseProcess) -> None:
    """End a round at once. Not by SIGTERM, to which it is deaf: see ``round_process``."""
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGUSR1)


def _carry_out(number: int, make_config: MakeConfig, requests: _Requests) -> Round:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=round_process.main,
        args=(pickle.dumps(make_config), sending),
        name=f"newsbeam-round-{number}",
    )
    resource_tracker.ensure_running()  # starting it would unblock what is blocked here
    # The process is to be deaf to them from its first instant on.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    process.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    sending.close()
    with requests.ending(process), receiving:
        try:
            outcome, message, summary = receiving.recv()
        except EOFError:
            outcome, message, summary = "died", "", None
        process.join()
    if outcome == "died":
        code = process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else "died"
        message = f"its process {how}; the next round goes on from what it had done"
    process.close()
    return Round(number, outcome, message, summary)


def run_round(make_config: MakeConfig) -> tuple[str, str, dict[str, Any] | None]:
    """What the round's process does: outcome, message and summary of the run."""
    signal.signal(signal.SIGUSR1, _interrupt)
    quieten_libraries()
    outcome = _outcome(make_config)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it is done, and has only to be told
    return outcome


def quieten_libraries() -> None:
    """Keep libraries from logging what is told otherwise.

    Beam logs each worker's traceback before it raises the same error; others log what they make of
    single pages, which the dataset's own accounts tell.
    """
    for library in ("apache_beam", "trafilatura", "htmldate", "fastwarc", "charset_normalizer"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _interrupt(_signal: int, _frame: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # should the end of it take too long
    raise KeyboardInterrupt


def _outcome(make_config: MakeConfig) -> tuple[str, str, dict[str, Any] | None]:
    notes: list[str] = []
    try:
        report = ingest(make_config(), notify=notes.append)
    except UsageError as error:
        return "usage", str(error), None
    except EXPECTED_ERRORS as error:
        return "failed", sentence_of(error), None
    except KeyboardInterrupt:
        return "interrupted", "the next run goes on from what it had done", None
    if report.balance.fault_count:
        added = f"{report.parts} parts of it are published" if report.parts else "nothing was added"
        faults = "; ".join(report.balance.faults)
        message = f"its account does not balance, which is a bug ({faults}); {added}"
        return "unbalanced", message, report.summary()
    return "done", "; ".join(notes), report.summary()


def sentence_of(error: Exception) -> str:
    """What an expected error says to a person."""
    return str((error.strerror if isinstance(error, StoreError) else None) or error)
