"""The engine of a local run: Beam's in-process runner, with worker processes where they pay.

This is the half of Beam's ``DirectRunner`` that runs batches. ``DirectRunner`` itself first tries
to download Prism and runs in process only where it cannot, so that one command would run on two
engines on two machines. Any other runner is named on the command line with ``--runner``.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker
from apache_beam.transforms.environments import SubprocessSDKEnvironment


class WorkerLostError(RuntimeError):
    """A worker process was killed, by the system for want of memory or by somebody."""


def local_runner(workers: int) -> FnApiRunner:
    """The runner: one worker in this process, or several in processes of their own."""
    if workers == 1:
        return FnApiRunner()
    command = f"exec {shlex.quote(sys.executable)} -m pipelines.worker {os.getpid()}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


@contextmanager
def noticing_lost_workers() -> Iterator[None]:
    """Make a ``WorkerLostError`` of what Beam raises when a worker process is killed.

    The threads that were listening to the process fail, too; what they would print tells no more.
    """
    _LOST.clear()
    print_error = threading.excepthook

    def print_others(error: threading.ExceptHookArgs) -> None:
        if error.thread is None or error.thread.name not in _LISTENERS:
            print_error(error)

    threading.excepthook = print_others
    try:
        yield
    except RuntimeError as error:
        # The runner has waited for its workers' ends by now.
        killed_by = [-code for code in _LOST if code < 0]
        if not killed_by:
            raise
        name = signal.Signals(killed_by[0]).name
        raise WorkerLostError(
            f"a worker process was killed ({name}), as the system does when memory runs out: "
            f"fewer --workers need less of it"
        ) from error
    finally:
        threading.excepthook = print_error


_LISTENERS = frozenset({"beam_control_read", "read_grpc_client_inputs", "read_state"})
"""Names of Beam's threads that listen to a worker process."""
_LOST: list[int] = []
"""How worker processes ended that should not have: an exit status, or minus a signal's number."""


@WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class _WatchedWorker(SubprocessSdkWorkerHandler):
    """Beam's own worker process, but for that its early end is noticed.

    Beam waits for ever for the answers of a process that died before it connected.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.control_conn: Any = _AnsweringConnection(self.control_conn)

    def start_worker(self) -> None:
        self.worker = SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(name="run_worker", target=self._run)
        self.worker_thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except RuntimeError as error:  # with the exit status in its text, and nowhere else
            _LOST.append(int(str(error).rpartition(" ")[2]))
        finally:
            self.control_conn.answer_all("the worker process has ended")


class _AnsweringConnection:
    """A control connection to a worker, which can be answered in the worker's place."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._asked: list[Any] = []
        self._error = ""

    def push(self, request: Any) -> Any:
        future = self._connection.push(request)
        with self._lock:
            self._asked = [one for one in self._asked if not one.is_done()]
            if future is not None:
                self._asked.append(future)
            is_over = bool(self._error)
        if is_over:
            self.answer_all(self._error)
        return future

    def answer_all(self, error: str) -> None:
        """Answer all that was and will be asked with an error."""
        with self._lock:
            self._error = error
            waiting, self._asked = self._asked, []
        for future in waiting:
            if not future.is_done():
                future.set(beam_fn_api_pb2.InstructionResponse(error=error))

    def close(self) -> None:
        self._connection.close()
