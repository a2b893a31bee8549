"""Handing a graph to an engine of the user's choice, and what is said where that cannot be had.

The local runner is part of Beam and always there (``pipelines.local``). Prism, Flink and the others
are programs of their own: not installed, not reachable, not willing, or killed. That is no bug of
newsbeam, and a person should hear it in a sentence, with the rest in a file (``engine_log``).

Of Prism and of the job servers of Flink and Spark Beam starts a process on this machine. Here it is
``engine_process`` that starts it, so that Ctrl-C and signals to our process group are ours alone to
answer, and nothing is left of it when we are killed. One process serves all graphs with the same
options; ``stop_engines`` ends it, at the latest when this process does.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners import create_runner
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, SwitchingDirectRunner
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.job_server import StopOnExitJobServer, SubprocessJobServer
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner
from apache_beam.runners.portability.spark_runner import SparkJarJobServer, SparkRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from apache_beam.utils.subprocess_server import SubprocessServer

from pipelines import engine_process
from pipelines.config import UsageError
from pipelines.engine_log import TRACEBACK, EngineLog

_REFUSALS = (
    RuntimeError,
    ValueError,
    OSError,
    HTTPException,
    zipfile.BadZipFile,
    grpc.FutureTimeoutError,
    grpc.RpcError,
)
"""What Beam raises when it cannot get, start or reach an engine. It has no errors of its own."""
_OWN_FAULTS = ("Unable to pickle", "Cannot pickle", "A transform with label")
"""How texts of ``_REFUSALS`` begin that are about the graph."""
_LOCAL_RUNNERS = (SwitchingDirectRunner, BundleBasedDirectRunner, FnApiRunner)
_CAUSE = "Caused by: "
_HEAD = re.compile(r"^Pipeline \S+ failed in state (?P<state>\w+): ")
"""What Beam puts before the text of an engine."""
_FOR_PEOPLE = re.compile(
    r"(?:pipelines\.[\w.]+|transforms\.storage\.StoreError): (?P<text>.*?)(?: \[while running .*)?$"
)
"""An error whose text is a sentence."""
_NEEDS = "(docs/runners.md has what each engine needs)"
GONE = "the engine is gone"


class EngineError(RuntimeError):
    """The engine could not be had, did not take the job, or failed at it; the message says why.

    Where a worker's error is the reason, the message ends with that error's own line.
    """

    def __init__(self, message: str, *, is_logged: bool = True) -> None:
        super().__init__(message)
        self._is_logged = is_logged
        """Whether there is more in the log."""

    def sentence(self) -> str:
        """For a person: what has happened, and where the rest is."""
        said = _FOR_PEOPLE.sub(r"\g<text>", str(self))
        return f"{said} (all that it said: {_log().tell()})" if self._is_logged else said


def make_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """An empty graph for the engine that the options name.

    An engine that is a process on this machine is got, not started yet: its program is fetched, if
    need be, and its port is free.

    Raises:
        UsageError: if they name none that Beam knows.
        EngineError: if the engine cannot be got.
    """
    runner = _runner(options)
    shelter = _SHELTERS.get(type(runner))
    try:
        return beam.Pipeline(runner=shelter(options) if shelter else runner, options=options)
    except ValueError as error:
        raise UsageError(f"Beam cannot use its options as given: {error}") from error


def _runner(options: PipelineOptions) -> PipelineRunner:
    name = options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"Beam cannot use its options as given: {error}") from error


def runs_on_prism(options: PipelineOptions) -> bool:
    """Whether the engine is Prism, by whatever name. Raises: UsageError, as ``make_pipeline``."""
    return isinstance(_runner(options), PrismRunner)


def runs_on_flink(options: PipelineOptions) -> bool:
    """Whether the engine is Flink, by whatever name. Raises: UsageError, as ``make_pipeline``."""
    return isinstance(_runner(options), FlinkRunner)


def is_local_runner(options: PipelineOptions) -> bool:
    """Whether the runner is one of those in this process, which carry out no streams of ours.

    Raises:
        UsageError: as ``make_pipeline``.
    """
    return isinstance(_runner(options), _LOCAL_RUNNERS)


def start_job(pipeline: beam.Pipeline) -> PipelineResult:
    """Hand a graph to its engine; it is under way then.

    Raises:
        EngineError: if the engine cannot be had.
    """
    _log()  # hears from now on
    try:
        return pipeline.run()
    except _REFUSALS as error:
        said = _said(error)
        if said.startswith(_OWN_FAULTS):
            raise
        _log().add(str(error))
        raise EngineError(f"the engine did not take the job: {said} {_NEEDS}") from error


def finish_job(result: PipelineResult) -> None:
    """Wait until a job has come to its end.

    Raises:
        EngineError: if it failed, was cancelled by somebody, or its engine is gone.
    """
    try:
        result.wait_until_finish()
    except (RuntimeError, grpc.RpcError) as error:
        _log().add(str(error))
        if isinstance(error, grpc.RpcError):
            raise EngineError(GONE) from error
        head = _HEAD.match(str(error))
        if head and head["state"] == PipelineState.CANCELLED:
            raise EngineError("the engine's job was cancelled") from error
        text = str(error)
        if TRACEBACK not in text:
            # Prism has nothing to do then, fails a second time, and gives that as the reason.
            text = _log().worker_error or text
        reason = what_went_wrong(text)
        raise EngineError(f"the engine's job has failed: {reason}") from error


def stop_engines() -> None:
    """End the processes of all engines that this process has started."""
    while _ENGINES:
        _, engine = _ENGINES.popitem()
        engine.stop()


def _stop_at_exit() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # it takes a second; nobody is left to answer one
    stop_engines()


def what_went_wrong(text: str) -> str:
    """The line of an engine's error that says what it was.

    A worker's error comes as the traceback of what it met last, with those of what it met before in
    front, and maybe in the words of an engine that put it into an error of its own: Prism's
    ``bundle inst001 stage-001 failed:Traceback …``, Flink's ``java.lang.RuntimeException: Error
    received from SDK harness for instruction 1: Traceback …``. An error of Java's own names its
    cause last.
    """
    text = _HEAD.sub("", text.strip())
    _, is_python, frames = text.rpartition(TRACEBACK)
    lines = [line for line in (frames if is_python else text).splitlines() if line.strip()]
    errors = [line for line in lines if not line[0].isspace()]
    if not is_python:
        causes = [line.removeprefix(_CAUSE) for line in errors if line.startswith(_CAUSE)]
        errors = causes[-1:] or errors
    return (errors or lines or ["it does not say why"])[0].strip()


def _said(error: BaseException) -> str:
    """What Beam's error about an engine says, in one line."""
    if isinstance(error, grpc.FutureTimeoutError):
        return "it does not answer"
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return what_went_wrong(error.details() or error.code().name)
    return what_went_wrong(str(error) or type(error).__name__)


@cache
def _log() -> EngineLog:
    log = EngineLog()
    atexit.register(log.close)
    return log


# ── engines that are processes on this machine ──────────────────────────────────────────────────


class _OwnSession(SubprocessJobServer):
    """A job server of Beam's, as a process that signals to this one's group do not reach."""

    _local_temp_root: str | None

    def __init__(self, options: PipelineOptions) -> None:
        super().__init__(options)
        self._stub: Any = None

    def get(self) -> None:
        """Get the program, and see that it can be started.

        Raises:
            Exception: one of ``_REFUSALS``.
        """
        self._command, endpoint = self.subprocess_cmd_and_endpoint()
        if shutil.which(self._command[0]) is None:
            raise RuntimeError(f"there is no program {self._command[0]}")
        self._port = int(endpoint.rpartition(":")[2])
        _check_port(self._port)

    def local_temp_dir(self, **name: str) -> str:
        if self._local_temp_root is None:
            self._local_temp_root = tempfile.mkdtemp(prefix="newsbeam-engine-")
        return tempfile.mkdtemp(dir=self._local_temp_root, **name)

    def start(self) -> Any:
        if self._stub is None:
            logger = _log().hear(type(self).__name__)
            if self._log_filter is not None:
                logger.addFilter(self._log_filter)
            launcher = [sys.executable, "-I", engine_process.__file__, os.getpid()]
            self._server = SubprocessServer(
                beam_job_api_pb2_grpc.JobServiceStub,
                [*launcher, *self._command],
                port=self._port,
                logger=logger,
            )
            try:
                self._stub = self._server.start()
            except RuntimeError as error:
                said = _log().last_line
                raise RuntimeError(f"{self._command[0]} does not start: {said or error}") from error
        return self._stub

    def stop(self) -> None:
        self._stub = None
        if self._server is not None:
            self._server.stop()
        if self._local_temp_root is not None:
            shutil.rmtree(self._local_temp_root, ignore_errors=True)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as error:
            raise RuntimeError(f"it cannot have port {port}: {error.strerror}") from error


class _Prism(_OwnSession, PrismJobServer):
    pass


class _Flink(_OwnSession, FlinkJarJobServer):
    pass


class _Spark(_OwnSession, SparkJarJobServer):
    pass


_ENGINES: dict[tuple[type[_OwnSession], str], _OwnSession] = {}
"""What was got, and is not stopped."""


def _get(make: type[_OwnSession], options: PipelineOptions) -> _OwnSession:
    """The engine for options; the same for the same options.

    Raises:
        EngineError: if it cannot be had.
    """
    key = (make, str(options))
    if key not in _ENGINES:
        engine = make(options)
        try:
            engine.get()
        except _REFUSALS as error:
            engine.stop()
            raise EngineError(
                f"the engine cannot be had: {_said(error)} {_NEEDS}", is_logged=False
            ) from error
        _log()  # first, for it is to be closed after them
        atexit.unregister(_stop_at_exit)
        atexit.register(_stop_at_exit)
        _ENGINES[key] = engine
    return _ENGINES[key]


class _Sheltered(PortableRunner):
    """A runner of Beam's whose job server has a session of its own.

    Beam's would also end it at SIGINT, which for a stream is too early.
    """

    make_server: type[_OwnSession]

    def __init__(self, options: PipelineOptions) -> None:
        super().__init__()
        is_needed = not options.view_as(PortableOptions).job_endpoint
        is_needed = is_needed and isinstance(
            super().default_job_server(options), StopOnExitJobServer
        )
        self._engine = _get(self.make_server, options) if is_needed else None

    def default_job_server(self, options: PipelineOptions) -> Any:
        return self._engine or super().default_job_server(options)


class _PrismRunner(_Sheltered, PrismRunner):
    make_server = _Prism


class _FlinkRunner(_Sheltered, FlinkRunner):
    make_server = _Flink


class _SparkRunner(_Sheltered, SparkRunner):
    make_server = _Spark


_SHELTERS: dict[type, Callable[[PipelineOptions], PortableRunner]] = {
    PrismRunner: _PrismRunner,
    FlinkRunner: _FlinkRunner,
    SparkRunner: _SparkRunner,
}
