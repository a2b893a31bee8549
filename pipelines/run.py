"""Carrying out one run: list the sources, run the graph, check the account, publish."""

from __future__ import annotations

import datetime
import errno
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.utils.timestamp import Timestamp

from pipelines.config import IngestConfig
from pipelines.dataset import Dataset, known_files
from pipelines.ingest import RunPlan, build_graph
from pipelines.local import local_runner
from pipelines.sources import list_sources
from schemas.arrow import SCHEMA_VERSION
from schemas.records import Balance, Source, WrittenFile
from transforms.reading import ReadLimits
from transforms.writing import read_report

Clock = Callable[[], datetime.datetime]

_REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)


class RunFailedError(RuntimeError):
    """The run failed for a reason outside the program; nothing was published."""


@dataclass(frozen=True)
class RunReport:
    """What a run did."""

    run_id: str
    output: str
    started_at: datetime.datetime
    seconds: float
    balance: Balance
    files: list[WrittenFile] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many units ended as ``outcome``."""
        return sum(tally.count for tally in self.balance.tallies if tally.outcome == outcome)

    def details(self, outcome: str) -> dict[str, int]:
        """How many units ended as ``outcome``, by kind or reason."""
        return {
            tally.detail: tally.count for tally in self.balance.tallies if tally.outcome == outcome
        }

    def rows(self, table: str) -> int:
        """How many rows the run added to a table."""
        return sum(file.rows for file in self.files if file.table == table)

    def partitions(self) -> Counter[tuple[str, str]]:
        """Rows the run added to ``articles``, by (date, topic)."""
        counts: Counter[tuple[str, str]] = Counter()
        for file in self.files:
            match = re.match(r"articles/date=([^/]+)/topic=([^/]+)/", file.path)
            if match:
                counts[match[1], match[2]] += file.rows
        return counts

    def summary(self) -> dict[str, Any]:
        """The report as plain values, for ``--json`` and the manifest."""
        outcomes = ("article", "revision", "duplicate", "unchanged", "rejected", "failed")
        return {
            "run_id": self.run_id,
            "output": self.output,
            "schema_version": SCHEMA_VERSION,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "sources": self.balance.sources,
            "pages": self.balance.pages,
            "units": self.balance.units,
            "outcomes": {outcome: self.count(outcome) for outcome in outcomes},
            "duplicates_by_kind": self.details("duplicate"),
            "rejected_by_reason": self.details("rejected"),
            "failed_by_reason": self.details("failed"),
            "balanced": not self.balance.fault_count,
            "faults": list(self.balance.faults),
            "notes": list(self.balance.notes),
            "new_rows": {
                table: self.rows(table) for table in ("articles", "duplicates", "failures")
            },
            "articles_by_partition": [
                {"date": date, "topic": topic, "rows": rows}
                for (date, topic), rows in sorted(self.partitions().items())
            ],
        }


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def new_run_id(started_at: datetime.datetime) -> str:
    """A name for a run that sorts by time and that no two runs share."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Watch:
    """Where a run can be watched from while it goes on."""

    progress_folder: str
    sources: int
    input_bytes: int


Watching = Callable[[Watch], AbstractContextManager[Any]]


def ingest(
    config: IngestConfig,
    *,
    clock: Clock = _utc_now,
    watching: Watching | None = None,
) -> RunReport:
    """Carry out a run.

    ``watching`` is called once the sources are listed, with where to read the progress; it gives a
    context manager that is open while the graph runs. ``clock`` says when the run starts.

    Raises:
        UsageError: if the sources or the output cannot be used as given.
        DatasetError: if the dataset is damaged, or another run writes to it.
        RunFailedError: if the run could not be finished; the dataset is as it was.
        PublishError: if it could not be published; the message says how much of it was.
    """
    started_at = clock().astimezone(datetime.UTC)
    began = time.monotonic()
    run_id = new_run_id(started_at)
    FileSystems.set_options(PipelineOptions(list(config.beam_options)))  # credentials, endpoints
    sources = list_sources(config.sources, config.output)
    dataset = Dataset(config.output.absolute())
    progress_folder = tempfile.mkdtemp(prefix="newsbeam-progress-") if config.is_local else None
    try:
        with dataset.lock(), dataset.staged(run_id) as staging:
            known = known_files(dataset)
            plan = RunPlan(
                run_id=run_id,
                observed_at=Timestamp.from_utc_datetime(started_at),
                sources=sources,
                known_articles=known["articles"],
                known_duplicates=known["duplicates"],
                known_failures=known["failures"],
                staging=str(staging),
                report_path=str(staging / "report.json"),
                limits=ReadLimits(max_input_bytes=config.max_input_bytes),
                dedup_threshold=config.dedup_threshold,
                dedup_horizon_seconds=config.dedup_horizon_seconds,
                progress_folder=progress_folder,
            )
            with _watched(watching, progress_folder, sources):
                _run_graph(plan, config)
            balance, files = _checked_report(Path(plan.report_path), config.output)
            report = RunReport(
                run_id=run_id,
                output=str(config.output),
                started_at=started_at,
                seconds=time.monotonic() - began,
                balance=balance,
                files=files,
            )
            if not balance.fault_count:
                manifest = {**report.summary(), "options": config.summary()}
                dataset.publish(run_id, files, manifest)
            return report
    finally:
        if progress_folder:
            shutil.rmtree(progress_folder, ignore_errors=True)


def _watched(
    watching: Watching | None, progress_folder: str | None, sources: list[Source]
) -> AbstractContextManager[Any]:
    if watching is None or progress_folder is None:
        return nullcontext()
    input_bytes = sum(max(0, source.size_bytes) for source in sources)
    return watching(Watch(progress_folder, len(sources), input_bytes))


def _readable_bytes(sources: Sequence[Source], max_input_bytes: int) -> int:
    """How much of the input will be read: a file beyond the limit is refused, but for archives."""
    return sum(
        max(0, source.size_bytes)
        for source in sources
        if source.size_bytes <= max_input_bytes or ".warc" in source.uri
    )


def _run_graph(plan: RunPlan, config: IngestConfig) -> None:
    options = PipelineOptions(list(config.beam_options))
    runner = None
    if config.is_local:
        workers = config.local_workers(_readable_bytes(plan.sources, config.max_input_bytes))
        options.view_as(DirectOptions).direct_num_workers = workers
        runner = local_runner(workers)
    pipeline = beam.Pipeline(runner=runner, options=options)
    build_graph(pipeline, plan)
    try:
        pipeline.run().wait_until_finish()
    except (OSError, RuntimeError) as error:
        if _last_line(error).startswith("KeyboardInterrupt"):  # as Beam wraps it
            raise KeyboardInterrupt from error
        reason = _refusal(error)
        if reason is None:
            raise
        raise RunFailedError(f"{reason} ({_free_space(Path(plan.staging))})") from error


def _last_line(error: BaseException) -> str:
    """What an error says in the end: a runner's error holds a worker's whole traceback as text."""
    return (str(error).strip().splitlines() or [""])[-1]


def _refusal(error: OSError | RuntimeError) -> str | None:
    """What the operating system refused (space, permission), or None if the error is a bug.

    A runner of several processes gives back the text of a worker's error, not the error itself.
    Only its last line counts: an error on the way to a bug may have been such a refusal.
    """
    last = _last_line(error)
    match = re.search(r"\[Errno (\d+)\] ", last)
    number = error.errno if isinstance(error, OSError) else int(match[1]) if match else None
    if number not in _REFUSALS:
        return None
    return re.sub(r"^.*?\[Errno \d+\] | \[while running .*$", "", last)


def _free_space(folder: Path) -> str:
    usage = shutil.disk_usage(folder)
    return f"{usage.free:,} of {usage.total:,} bytes free at {folder}"


def _checked_report(path: Path, output: Path) -> tuple[Balance, list[WrittenFile]]:
    try:
        balance, files = read_report(path)
    except OSError as error:
        raise RunFailedError(
            f"the run left no report in {output}: {error.strerror} ({_free_space(output)})"
        ) from error
    errors = [file.error for file in files if file.error]
    if errors:
        more = f" (and {len(errors) - 1} files more)" if len(errors) > 1 else ""
        raise RunFailedError(f"{errors[0]}{more}; nothing was added to the dataset")
    return balance, files
