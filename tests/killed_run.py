"""Writers that kill themselves with -9 at a point that a test names.

A ``RunServer`` is a process that has all modules and models loaded and forks a child for each run.
In the child an audit hook hears of each operation by which Python changes the dataset's folder,
*before* it happens, and knows what the run is at by the path. At the wanted operation the child
tells where it stands and sends itself SIGKILL. So no point depends on time or on luck: it is the
n-th change of a phase.

The server runs nothing itself, for a process is only safe to fork while it has a single thread.
It needs Linux, which tells of a process's threads and open folders under ``/proc``.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAX_RUN_SECONDS = 300
"""A run that takes longer is stuck, and is ended by an alarm."""

PHASES = (
    "lease",
    "plan",
    "extract",
    "decide",
    "enrich",
    "assemble",
    "pending",  # the commit: decided,
    "move",  # carried out,
    "commit",  # written to the log,
    "clear",  # and what was staged removed
    "compact: rewrite",
    "compact: pending",
    "compact: move",
    "compact: commit",
    "compact: clear",
    "release",
)
"""What a run is at, in order."""


@dataclass(frozen=True)
class Change:
    """An operation on a file or folder of the dataset."""

    phase: str
    number: int
    """Which of its phase, from 0."""
    operation: str
    path: str
    """Relative to the dataset."""


@dataclass(frozen=True)
class Kill:
    """Where a run is to die: before the ``number``-th change of a phase, from 0."""

    phase: str
    """Of any phase, if it is empty."""
    number: int
    torn: bool = False
    """If the change is the renaming of a file that was written: with only half of it written."""


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    signal: int
    """0 if it ended by itself."""
    exit_code: int
    killed_at: Change | None = None
    changes: list[Change] = field(default_factory=list)
    """All of them, if it was not killed."""
    sources_read: list[str] = field(default_factory=list)
    """Paths of the source files that were opened, as often as they were."""
    report: dict[str, Any] = field(default_factory=dict)
    """Its summary, if it came to its end."""


# ── in the child ────────────────────────────────────────────────────────────────────────────────


class _Witness:
    """Hears of every change to the dataset, and kills the process at one of them."""

    def __init__(self, dataset: str, sources: str, kill: Kill | None, answer: int) -> None:
        self._dataset = f"{dataset}/"
        self._sources = f"{sources}/"
        self._kill = kill
        self._answer = answer
        self._counts: Counter[str] = Counter()
        self._compacting = False
        self._begun = False
        self.changes: list[Change] = []
        self.sources_read: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _OPERATIONS or threading.current_thread() is not threading.main_thread():
            return  # the heartbeat keeps its own time
        if event == "open":
            path, mode, flags = arguments
            name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
            is_written = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or "w" in (mode or "")
            if is_written:
                self._change("write", name)
            elif name.startswith(self._sources):
                self.sources_read.append(name)
        elif event in ("os.rename", "os.link"):
            source, target = map(os.fsdecode, arguments[:2])
            self._change(event.removeprefix("os."), target, source)
        elif event == "ctypes.dlsym":
            if arguments[1] == "renameat2":
                self._change("exchange", f"{self._dataset}articles")
        else:
            path = _resolved(os.fsdecode(arguments[0]), arguments[-1])
            if os.path.lexists(path) == (event == "os.mkdir"):
                return  # it is made already, or gone: nothing changes
            self._change(event.removeprefix("os."), path)

    def _change(self, operation: str, path: str, source: str = "") -> None:
        if not path.startswith(self._dataset):
            return
        path = path.removeprefix(self._dataset)
        phase = self._phase(operation, path)
        change = Change(phase, self._counts[phase], operation, path)
        kill = self._kill
        if kill and (kill.phase, kill.number) in ((phase, change.number), ("", len(self.changes))):
            self._die(change, source if kill.torn else "")
        self._counts[phase] += 1
        self.changes.append(change)

    def _phase(self, operation: str, path: str) -> str:
        self._compacting |= path.startswith("_newsbeam/staging/compact-")
        # Staging has a folder for each run.
        place = re.sub(r"^_newsbeam/staging/[^/]+", "_newsbeam/staging", path)
        self._begun |= not place.startswith("_newsbeam/leases")
        if place.startswith("_newsbeam/leases"):
            return "release" if self._begun else "lease"
        if self._compacting:
            prefix, phases = "compact: ", _PHASES_OF_COMPACTION
        else:
            prefix, phases = "", _PHASES_OF_RUN
        is_removed = place.startswith("_newsbeam/staging") and operation in ("remove", "rmdir")
        if is_removed and not place.startswith("_newsbeam/staging/decided/keys"):
            return f"{prefix}clear"
        return prefix + next(phase for start, phase in phases if place.startswith(start))

    def _die(self, change: Change, torn: str) -> None:
        if torn.endswith(".partial"):
            os.truncate(torn, Path(torn).stat().st_size // 2)
        _write_all(self._answer, {"killed_at": asdict(change), "sources_read": self.sources_read})
        os.kill(os.getpid(), signal.SIGKILL)


_PHASES_OF_COMMIT = (
    ("_newsbeam/pending", "pending"),
    ("_newsbeam/commits", "commit"),
    ("", "move"),
)
_PHASES_OF_COMPACTION = (("_newsbeam/staging", "rewrite"), *_PHASES_OF_COMMIT)
_PHASES_OF_RUN = (
    ("_newsbeam/staging/slices", "extract"),
    ("_newsbeam/staging/decided", "decide"),
    ("_newsbeam/staging/rows", "enrich"),
    ("_newsbeam/staging/files", "assemble"),
    ("_newsbeam/staging/assembled.json", "assemble"),
    ("_newsbeam/staging", "plan"),
    *_PHASES_OF_COMMIT,
)
"""What a run is at while it changes a path that begins so; the first that fits."""
_OPERATIONS = frozenset(
    {
        "open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "ctypes.dlsym",
    }
)  # fmt: skip
"""Audit events of what a local store does; ``ctypes`` tells of ``renameat2`` by its name."""


def _resolved(path: str, folder_descriptor: int) -> str:
    if folder_descriptor < 0:
        return path
    return str(Path(f"/proc/self/fd/{folder_descriptor}").readlink() / path)


def _write_all(descriptor: int, answer: Mapping[str, Any]) -> None:
    with os.fdopen(os.dup(descriptor), "w") as file:
        json.dump(answer, file)


def _ingest(order: Mapping[str, Any]) -> dict[str, Any]:
    from pipelines.config import IngestConfig
    from pipelines.run import ingest

    sources = tuple(order["sources"])
    config = IngestConfig(sources, order["output"], workers=1, **order["options"])
    now = datetime.datetime.fromisoformat(order["now"])
    return ingest(config, clock=lambda: now).summary()


def _replay(order: Mapping[str, Any]) -> dict[str, Any]:
    from pipelines.config import IngestConfig
    from pipelines.dataset import local_dataset
    from pipelines.replay import Selection, replay

    dataset = local_dataset(order["output"])
    config = IngestConfig((order["output"],), order["output"], workers=1)
    now = datetime.datetime.fromisoformat(order["now"])
    with dataset.writing("newsbeam replay"):
        return replay(dataset, Selection(), config, clock=lambda: now).summary()


def _publish(order: Mapping[str, Any]) -> dict[str, Any]:
    from pipelines.dataset import DataFile, local_dataset

    dataset = local_dataset(order["output"])
    files = [DataFile(**file) for file in order["files"]]
    with dataset.writing("a test"):
        dataset.publish("compact", *order["run"], files, **order["change"])
    return {}


_ACTIONS = {"ingest": _ingest, "replay": _replay, "publish": _publish}


def _carry_out(order: Mapping[str, Any], answer: int) -> None:
    kill = Kill(**order["kill"]) if order["kill"] else None
    witness = _Witness(order["output"], [*order["sources"], "?"][0], kill, answer)
    sys.addaudithook(witness)
    report = _ACTIONS[order["action"]](order)
    _write_all(
        answer,
        {
            "changes": [asdict(change) for change in witness.changes],
            "sources_read": witness.sources_read,
            "report": report,
        },
    )


# ── in the server ───────────────────────────────────────────────────────────────────────────────


def _warm_up() -> object:
    """Load what a run would load at its first article; what is given must be kept."""
    from apache_beam.utils.timestamp import Timestamp
    from source_factory import example_files

    import pipelines.replay  # noqa: F401 - for the children
    from schemas.records import Page
    from transforms.enrichment import _SHARED_MODELS, load_models
    from transforms.extraction import extract_articles

    for name, content in example_files():
        kind = "html" if name.endswith(".html") else "text"
        extract_articles(Page(name, name, kind, content, Timestamp(0)))
    models = _SHARED_MODELS.acquire(load_models)
    models.recognizer.find_entities(["Ana Barros was in Lisbon."], ["en"])
    return models


def _fork_run(order: Mapping[str, Any]) -> dict[str, Any]:
    answer, to_server = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(answer)
            os.dup2(2, 1)  # standard output is the server's
            signal.alarm(MAX_RUN_SECONDS)
            _carry_out(order, to_server)
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not go on as a second server
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(to_server)
    with os.fdopen(answer) as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"signal": max(0, -code), "exit_code": max(0, code), **json.loads(said or "{}")}


def serve(*, ingests: bool) -> None:
    """Carry out an order for each line of standard input; a line of standard output answers."""
    import pipelines.dataset  # noqa: F401 - for the children

    kept = _warm_up() if ingests else None
    for line in sys.stdin:
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are enough
        if threads != 1:
            raise RuntimeError(f"the server has {threads} threads, and cannot be forked safely")
        print(json.dumps(_fork_run(json.loads(line))), flush=True)
    del kept


# ── in the test ─────────────────────────────────────────────────────────────────────────────────


class RunServer:
    """The test's end of a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ingest(
        self,
        sources: Path,
        output: Path,
        now: datetime.datetime,
        kill: Kill | None = None,
        **options: Any,
    ) -> Ending:
        """Ingest a folder at such a time; ``options`` are those of ``IngestConfig``."""
        order = {"sources": [str(sources)], "now": now.isoformat(), "options": options}
        return self._order("ingest", output, kill, order)

    def replay(self, output: Path, now: datetime.datetime, kill: Kill | None = None) -> Ending:
        """Try all failures of a dataset again, at such a time."""
        return self._order("replay", output, kill, {"sources": [], "now": now.isoformat()})

    def publish(
        self,
        output: Path,
        run: tuple[str, int, str],
        files: Iterable[Mapping[str, Any]],
        kill: Kill | None = None,
        **change: list[str],
    ) -> Ending:
        """Publish staged files; the arguments are those of ``Dataset.publish``, after its kind."""
        order = {"sources": [], "run": run, "files": list(files), "change": change}
        return self._order("publish", output, kill, order)

    def _order(
        self, action: str, output: Path, kill: Kill | None, order: Mapping[str, Any]
    ) -> Ending:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        whole = {"action": action, "output": str(output), "kill": kill and asdict(kill), **order}
        print(json.dumps(whole), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the server is gone"
        ending = json.loads(answer)
        killed_at = ending.pop("killed_at", None)
        changes = [Change(**change) for change in ending.pop("changes", [])]
        return Ending(killed_at=killed_at and Change(**killed_at), changes=changes, **ending)


@contextmanager
def run_server(folder: Path, *, ingests: bool) -> Iterator[RunServer]:
    """Start a server, and end it with the block.

    ``folder`` is for temporary files. A server that only publishes is started sooner.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "TMPDIR": str(folder),
        # These libraries would start threads of their own when they are imported.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    command = [sys.executable, "-c", f"from killed_run import serve; serve(ingests={ingests})"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield RunServer(process)
