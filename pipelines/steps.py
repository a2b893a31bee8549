"""The steps of a run, each durable before the next begins, whatever it was that began it.

What is done already is passed over: that is how a killed run goes on. Where a report lies, all that
it lists is there (see ``pipelines.staged`` for the folders).
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from pipelines import known_rows
from pipelines.beam_metrics import Measured, read_metrics
from pipelines.config import IngestConfig
from pipelines.dataset import DatasetError, PublishError, Snapshot
from pipelines.engine import EngineError, finish_job, make_pipeline, start_job
from pipelines.ingest import (
    KEYS,
    KnownDataset,
    KnownFiles,
    RunPlan,
    build_assembly,
    build_decision,
    build_rows,
)
from pipelines.local import WorkerLostError, local_runner, noticing_lost_workers
from pipelines.staged import RunState
from schemas.arrow import TABLES
from schemas.records import Balance, StagedBlock, StagedRun, WrittenFile
from transforms.ledger import MAX_LISTED, add_balances
from transforms.progress import tally
from transforms.staging import is_whole
from transforms.storage import Store, StoreError
from transforms.verdicts import path_of_verdicts
from transforms.writing import Report, merge_runs, plan_assembly, read_report, read_whole_report

ROWS_PER_GROUP = 4_000
"""Articles and failures that are enriched and written before the next begin."""
_RANGES = 8
"""Into about how many ranges of partitions the assembly is cut."""
_ROWS_PER_RANGE = 1_000
_REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNCHANGED = "nothing was added to the dataset, and the same command goes on from here"


class RunFailedError(RuntimeError):
    """The run failed for a reason outside the program; nothing was published.

    What it had staged stays: the same run goes on from it once the reason is gone.
    """


@dataclass
class Watch:
    """Where a run can be watched from while it goes on."""

    progress_folder: str
    """With what ``transforms.progress`` counts: ``files``, ``articles`` and ``enriched``; and how
    many of the articles an earlier process had found, ``articles_before``."""
    sources: int
    """Files, an archive that is read in parts counted once for each; blocks of fetched pages."""
    input_bytes: int
    """Of the files as they are stored; of a part of an archive about its size, decompressed."""
    phase: str = "reading"
    """What the run is at."""
    feeds: int = 0
    """Feeds that are polled; with ``transforms.progress`` as ``feeds``."""
    links: int = 0
    """Links to pages that are followed; with ``transforms.progress`` as ``links``."""
    unique: int | None = None
    """How many articles there will be to enrich, once that is decided."""


Watching = Callable[[Watch], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Outcome:
    """What the steps of a run have come to, before it is published."""

    balance: Balance
    blocks: list[StagedBlock]
    files: list[WrittenFile]
    measured: Measured = field(default_factory=Measured)
    """What the graphs of these steps have counted."""


def check_engine(config: IngestConfig) -> None:
    """See that the engine can be had that the options name, before anything is written.

    Raises:
        UsageError: if they name none that Beam knows.
        RunFailedError: if it cannot be had.
    """
    if config.is_local:
        return
    try:
        make_pipeline(PipelineOptions(list(config.beam_options)))
    except EngineError as error:
        raise RunFailedError(f"{error.sentence()}; {_UNCHANGED}") from error


class Steps:
    """The steps that follow extraction, for one run, and how any step's graph is run."""

    def __init__(
        self, config: IngestConfig, plan: RunPlan, state: RunState, watch: Watch, workers: int
    ) -> None:
        self._config = config
        self._plan = plan
        self._state = state
        self._watch = watch
        self.workers = workers
        """Local processes for what follows."""
        self._store: Store = plan.store
        self._measured = Measured()

    @property
    def watch(self) -> Watch:
        """Where the run is watched from."""
        return self._watch

    def head(self, folder: str, build: Callable[[beam.Pipeline], None], phase: str) -> Report:
        """Poll feeds or follow links: run the graph, in one process, for it mostly waits."""
        self._watch.phase = phase
        self._run(build, workers=1)
        return self._report(f"{folder}/report.json")

    def extract(self, folder: str, build: Callable[[beam.Pipeline], None]) -> Report:
        """One slice: run its graph, unless that was done before."""
        path = f"{folder}/report.json"
        done = read_whole_report(self._store, path)
        if done is None:
            self._watch.phase = "reading"
            # With what may rest on an earlier, damaged extraction of the slice.
            for outdated in (folder, self._state.decided, self._state.rows):
                self._store.delete_folder(outdated)
            self._run(build)
            return self._report(path)
        if self._plan.progress_folder and done.balance:
            tally(self._plan.progress_folder, "files", done.balance.sources)
            found = sum(block.rows for block in blocks_of([done]) if block.kind == "articles")
            tally(self._plan.progress_folder, "articles", found)
            tally(self._plan.progress_folder, "articles_before", found)
        return done

    def finish(
        self,
        extracted: Sequence[Report],
        sources: int,
        snapshot: Snapshot,
        *,
        refused: Sequence[StagedBlock] = (),
        settled: Balance | None = None,
    ) -> Outcome:
        """Decide over all that was extracted, enrich, write rows, and assemble the files.

        Args:
            extracted: the reports of all slices.
            sources: how many sources, or parts of them, the slices have together.
            snapshot: of the dataset.
            refused: blocks of failures that arose before anything was extracted.
            settled: the account of what needed no extraction.
        """
        blocks = [
            replace(block, number=number)
            for number, block in enumerate([*blocks_of(extracted), *refused])
        ]
        if not blocks:
            balance = _balance(sources, extracted, refused, [], [])
            return Outcome(add_balances([balance, settled]) if settled else balance, [], [])
        self._watch.phase = "comparing"
        self._watch.unique = self._decide(blocks, snapshot)
        written = list(self._write_rows(blocks))
        self._watch.phase = "writing"
        files = self._assemble(written)
        balance = _balance(sources, extracted, refused, written, files)
        if settled is not None:
            balance = add_balances([balance, settled])
        return Outcome(balance, blocks, files, self._measured)

    def _decide(self, blocks: list[StagedBlock], snapshot: Snapshot) -> int:
        state = self._state
        base_path = f"{state.decided}/base.json"
        base = _base(snapshot)
        verdicts = [path_of_verdicts(state.decided, block) for block in blocks]
        is_done = _read_json(self._store, base_path).get("base") == base
        if not (is_done and all(is_whole(self._store, path) for path in verdicts)):
            for folder in (state.decided, state.rows, state.files):
                self._store.delete_folder(folder)
            known = self._known(blocks, snapshot)
            self._run(
                lambda pipeline: build_decision(pipeline, self._plan, blocks, known, state.decided),
                workers=1,
            )
            self._store.delete_folder(f"{state.decided}/{KEYS}")
            self._store.write(base_path, json.dumps({"base": base}).encode())
        return int(_read_json(self._store, f"{state.decided}/unique.json").get("unique", 0))

    def _known(self, blocks: list[StagedBlock], snapshot: Snapshot) -> KnownDataset:
        horizon_seconds = self._plan.dedup_horizon_seconds
        looked_into = known_rows.known_files(self._store, snapshot, blocks, horizon_seconds)
        rows = {file.path: file.rows for file in snapshot.files.values()}
        return KnownDataset(
            looked_into.files,
            looked_into.canonical_ids,
            known_rows.known_failures(self._store, snapshot, blocks),
            near_rows=sum(max(0, rows[file.path]) for file in looked_into.files if file.is_near),
        )

    def _write_rows(self, blocks: list[StagedBlock]) -> Iterator[Report]:
        articles = [block for block in blocks if block.kind == "articles"]
        for number, group in enumerate(_groups(blocks)):
            yield self._write_group(f"{self._state.rows}/{number:04d}", group, articles)

    def _write_group(
        self, folder: str, group: list[StagedBlock], articles: list[StagedBlock]
    ) -> Report:
        path = f"{folder}/report.json"
        done = read_whole_report(self._store, path)
        if done is None:
            self._watch.phase = "enriching"
            self._store.delete_folder(folder)
            verdicts = self._state.decided
            self._run(
                lambda pipeline: build_rows(
                    pipeline, self._plan, group, articles, folder=folder, verdicts=verdicts
                )
            )
            return self._report(path)
        if self._plan.progress_folder:
            enriched = sum(run.rows for run in _runs([done]) if run.table == "articles")
            tally(self._plan.progress_folder, "enriched", enriched)
        return done

    def _assemble(self, written: Sequence[Report]) -> list[WrittenFile]:
        folder, path = self._state.files, f"{self._state.folder}/assembled.json"
        merged = f"{self._state.folder}/merged"
        for outdated in (folder, merged):
            self._store.delete_folder(outdated)
        runs = merge_runs(self._store, _runs(written), merged)
        if not runs:
            return []
        rows = sum(run.rows for run in runs)
        ranges = plan_assembly(
            self._store, runs, rows_per_range=max(rows // _RANGES, _ROWS_PER_RANGE)
        )
        self._store.delete([path])
        self._run(
            lambda pipeline: build_assembly(
                pipeline, self._plan, runs, ranges, folder=folder, report=path
            ),
            workers=1,
        )
        return [one for one in self._report(path).made if isinstance(one, WrittenFile)]

    # ── running a graph ─────────────────────────────────────────────────────────────────────────

    def _run(self, build: Callable[[beam.Pipeline], None], workers: int | None = None) -> None:
        options = PipelineOptions(list(self._config.beam_options))
        if not self._config.is_local:
            self._run_elsewhere(options, build)
            return
        workers = workers or self.workers
        options.view_as(DirectOptions).direct_num_workers = workers
        pipeline = beam.Pipeline(runner=local_runner(workers), options=options)
        build(pipeline)
        with noticing_refusals(self._store), noticing_lost_workers():
            result = pipeline.run()
            result.wait_until_finish()
        # In process, or in processes that have told all by now.
        self._measured += read_metrics(result.metrics())

    def _run_elsewhere(
        self, options: PipelineOptions, build: Callable[[beam.Pipeline], None]
    ) -> None:
        # A full disk of a worker's is told as that of a local run is, and all else as the engine's.
        try:
            pipeline = make_pipeline(options)
            build(pipeline)
            with noticing_refusals(self._store):
                finish_job(start_job(pipeline))
        except EngineError as error:
            raise RunFailedError(f"{error.sentence()}; {_UNCHANGED}") from error

    def _report(self, path: str) -> Report:
        report = read_report(self._store, path)
        if report is None:
            raise RunFailedError(
                f"a step of the run left no report at {self._store.locate(path)}; {_UNCHANGED}"
            )
        return report


def known_files(snapshot: Snapshot) -> KnownFiles:
    """The dataset's Parquet files, by table."""
    return KnownFiles(*([file.path for file in snapshot.table(table)] for table in TABLES))


def _base(snapshot: Snapshot) -> str:
    """What a decision rests on: the dataset's files."""
    return hashlib.sha256("\n".join(sorted(snapshot.files)).encode()).hexdigest()


def _read_json(store: Store, path: str) -> dict[str, Any]:
    """The object in a file; none if the file is not there, or was cut short."""
    try:
        return dict(json.loads(store.read(path)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def blocks_of(reports: Iterable[Report]) -> list[StagedBlock]:
    """The blocks that were staged, in order."""
    made = (one for report in reports for one in report.made)
    return [one for one in made if isinstance(one, StagedBlock)]


def _runs(reports: Iterable[Report]) -> list[StagedRun]:
    made = (one for report in reports for one in report.made)
    return [one for one in made if isinstance(one, StagedRun)]


def _groups(blocks: Sequence[StagedBlock]) -> Iterator[list[StagedBlock]]:
    group: list[StagedBlock] = []
    for block in blocks:
        if group and sum(one.rows for one in group) + block.rows > ROWS_PER_GROUP:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _balance(
    sources: int,
    extracted: Sequence[Report],
    refused: Sequence[StagedBlock],
    written: Sequence[Report],
    files: Sequence[WrittenFile],
) -> Balance:
    """The account of the run: of its slices, of its rows, and that each step took up all it got."""
    opened = add_balances(report.balance for report in extracted if report.balance)
    closed = add_balances(report.balance for report in written if report.balance)
    staged = sum(block.rows for block in blocks_of(extracted))
    taken_up = staged + sum(block.rows for block in refused)
    rows = sum(run.rows for run in _runs(written))
    faults = [*opened.faults, *closed.faults]
    for what, given, counted in (
        ("sources were planned", sources, opened.sources),
        ("units were extracted", opened.units, staged),
        ("units were staged", taken_up, closed.units),
        ("rows were made", rows, sum(file.rows for file in files)),
    ):
        if given != counted:
            faults.append(f"{given} {what}, but the next step counted {counted}")
    return Balance(
        sources=opened.sources,
        pages=opened.pages,
        units=closed.units,
        tallies=closed.tallies,
        faults=tuple(faults[:MAX_LISTED]),
        fault_count=max(len(faults), opened.fault_count + closed.fault_count),
        notes=closed.notes,
        note_count=closed.note_count,
    )


@contextmanager
def noticing_refusals(store: Store) -> Iterator[None]:
    """Make a ``RunFailedError`` of what the machine or the store refuses; a bug stays what it is.

    A file of the dataset's folder that is not there when it is needed was removed by somebody.
    """
    try:
        yield
    except (RunFailedError, DatasetError, PublishError):
        raise
    except WorkerLostError as error:
        raise RunFailedError(f"{error}; {_UNCHANGED}") from error
    except (OSError, RuntimeError) as error:
        if _last_line(error).startswith("KeyboardInterrupt"):  # as Beam wraps it
            raise KeyboardInterrupt from error
        reason = _refusal(error) or _missing(error, store)
        if reason is None:
            raise
        raise RunFailedError(f"{reason}{_free_space(error, store)}; {_UNCHANGED}") from error


def _last_line(error: BaseException) -> str:
    """What an error says in the end: a runner's error holds a worker's whole traceback as text."""
    return (str(error).strip().splitlines() or [""])[-1]


def _refusal(error: OSError | RuntimeError) -> str | None:
    """What the operating system refused (space, permission), or None if the error is a bug.

    A runner of several processes gives back the text of a worker's error, not the error itself.
    Only its last line counts: an error on the way to a bug may have been such a refusal.
    """
    last = _last_line(error)
    is_of_store = isinstance(error, StoreError) or re.match(r"[\w.]*\bStoreError: ", last)
    if _number(error) not in _REFUSALS and not is_of_store:
        return None
    return re.sub(r"^.*?\[Errno \d+\] | \[while running .*$", "", last)


def _number(error: OSError | RuntimeError) -> int | None:
    """The operating system's number of an error."""
    match = re.search(r"\[Errno (\d+)\] ", _last_line(error))
    return error.errno if isinstance(error, OSError) else int(match[1]) if match else None


def _missing(error: OSError | RuntimeError, store: Store) -> str | None:
    """Which file of the dataset's folder is missing; None if the error is about something else."""
    path = re.search(re.escape(store.url) + r"/[\w=./-]+\w", _last_line(error))
    if _number(error) != errno.ENOENT or path is None:
        return None
    return f"{path[0]} is gone: somebody has removed it while the run was at work"


def _free_space(error: OSError | RuntimeError, store: Store) -> str:
    """How much space there is, if the lack of it is what the error is about."""
    root = store.local_root
    if _number(error) not in _FULL or root is None or not root.exists():
        return ""
    usage = shutil.disk_usage(root)
    return f" ({usage.free:,} of {usage.total:,} bytes free at {root})"
