"""What engines say, kept in a file: too much for a terminal, and needed where something fails.

An engine's process logs each step it takes; Beam's threads print a traceback each when an engine
goes; a worker in this process (``LOOPBACK``) prints each error's whole traceback, and the engine
gives it back. People are told a sentence, and where the rest is: ``newsbeam-engine-….log`` in the
folder for temporary files. It is removed in the end if nobody was told of it, and holds the last
``_KEPT_BYTES`` at least.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO, cast

import grpc
from apache_beam.utils import thread_pool_executor

TRACEBACK = "Traceback (most recent call last):"
_KEPT_BYTES = 8 << 20
_PRISM = "PrismRunner"
"""Who Beam says has logged what comes from Prism's process."""
_BEAMS_MESSAGES = "portable_runner"
"""The module of Beam that logs, as root, what an engine says of a job."""


class EngineLog:
    """The log of this process's engines; it begins with the first line."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="newsbeam-engine-", suffix=".log")
        os.close(descriptor)
        self._path = Path(name)
        self._handler = RotatingFileHandler(self._path, maxBytes=_KEPT_BYTES, backupCount=1)
        self._handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        )
        self._heard: set[str] = set()
        self._is_told = False
        self._is_closed = False
        self._last = ""
        self._worker_error = ""
        self._handler.addFilter(self._hear_line)
        self._print_error = threading.excepthook
        threading.excepthook = self._hear_thread
        logging.getLogger().addFilter(self._hear_root)
        sys.stderr = cast(TextIO, _Unheard(sys.stderr, self.add))

    @property
    def last_line(self) -> str:
        """What was kept last; empty if nothing was."""
        return self._last

    @property
    def worker_error(self) -> str:
        """The first record in which Prism tells of a worker's error; empty if there is none."""
        return self._worker_error

    def tell(self) -> str:
        """Where it is, for a person; from now on it stays."""
        self._is_told = True
        return str(self._path)

    def hear(self, name: str) -> logging.Logger:
        """Keep all that a logger is given, instead of showing it; gives the logger."""
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        if name not in self._heard:
            self._heard.add(name)
            logger.addHandler(self._handler)
        return logger

    def add(self, text: str) -> None:
        """Keep a text."""
        self._keep(logging.LogRecord("newsbeam", logging.ERROR, __file__, 0, text, None, None))

    def close(self) -> None:
        """Hear no more, and remove the file if nobody was told of it."""
        self._is_closed = True
        for name in self._heard:
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()
        if not self._is_told:
            for path in (self._path, Path(f"{self._path}.1")):
                with suppress(FileNotFoundError):
                    path.unlink()

    def _hear_thread(self, error: threading.ExceptHookArgs) -> None:
        """Keep a traceback of a thread that has lost its engine; other threads' are printed."""
        if not issubclass(error.exc_type, grpc.RpcError):
            self._print_error(error)
            return
        self.add(f"in thread {error.thread.name if error.thread else '?'}: {error.exc_value}")

    def _hear_line(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        self._last = (text.strip().splitlines() or [""])[-1]
        if record.name == _PRISM and TRACEBACK in text and not self._worker_error:
            self._worker_error = text
        return True

    def _hear_root(self, record: logging.LogRecord) -> bool:
        if record.module != _BEAMS_MESSAGES:
            return True
        self._keep(record)
        return False

    def _keep(self, record: logging.LogRecord) -> None:
        if not self._is_closed:  # it would make the file anew
            self._handler.handle(record)


class _Unheard:
    """Standard error, but for what the threads of Beam's workers write to it."""

    def __init__(self, stream: TextIO, keep: Callable[[str], None]) -> None:
        self._stream = stream
        self._keep = keep

    def write(self, text: str) -> int:
        if not isinstance(threading.current_thread(), thread_pool_executor._Worker):
            return self._stream.write(text)
        if text.strip():
            self._keep(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
