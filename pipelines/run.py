"""Carrying out one run: list the sources, take the steps, check the account, publish.

A run is worked through in slices, and each step is durable before the next begins, so that memory
follows the slice, and a killed run goes on where it was.
"""

from __future__ import annotations

import datetime
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from pipelines.compact import compact
from pipelines.config import IngestConfig
from pipelines.dataset import DataFile, Dataset, DatasetError, PublishError
from pipelines.feed_memory import encode_memory, memory_path, memory_to_go_on
from pipelines.ingest import RunPlan, build_extraction
from pipelines.live import FeedCounts, Live, LiveFeeds, rows_by_feed, with_rows
from pipelines.slices import plan_slices, worked_bytes
from pipelines.sources import list_sources
from pipelines.staged import RunState, begin_or_resume, hash_of_sources, options_key
from pipelines.steps import (
    Outcome,
    RunFailedError,
    Steps,
    Watch,
    Watching,
    check_engine,
    known_files,
    noticing_refusals,
)
from schemas.arrow import SCHEMA_VERSION
from schemas.records import Balance, Source, WrittenFile
from transforms.ledger import add_balances
from transforms.reading import ReadLimits
from transforms.storage import open_store

Clock = Callable[[], datetime.datetime]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class RunReport:
    """What a run did."""

    run_id: str
    output: str
    started_at: datetime.datetime
    seconds: float
    balance: Balance
    files: list[WrittenFile] = field(default_factory=list)
    sources: int = 0
    """Files that the run was told to read."""
    slices: int = 1
    resumed_slices: int = 0
    """How many of the slices an earlier, killed process had done."""
    parts: int = 1
    """In how many commits the run was published; none if its account does not balance, or if no
    feed was due."""
    feeds: FeedCounts | None = None
    """What became of the feeds; None where none were to be polled."""

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
        outcomes = (*OUTCOMES, *(["deferred"] if self.count("deferred") else []))
        return {
            "run_id": self.run_id,
            "output": self.output,
            "schema_version": SCHEMA_VERSION,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "sources": self.sources,
            "pages": self.balance.pages,
            "units": self.balance.units,
            "outcomes": {outcome: self.count(outcome) for outcome in outcomes},
            "duplicates_by_kind": self.details("duplicate"),
            "rejected_by_reason": self.details("rejected"),
            "failed_by_reason": self.details("failed"),
            "slices": self.slices,
            "resumed_slices": self.resumed_slices,
            "parts": self.parts,
            **({"feeds": self.feeds.summary()} if self.feeds else {}),
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


OUTCOMES = ("article", "revision", "duplicate", "unchanged", "rejected", "failed")
"""How a unit ends. That a page was put off to the next run, ``deferred``, is no end."""


def utc_now() -> datetime.datetime:
    """The time now, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def new_run_id(started_at: datetime.datetime) -> str:
    """A name for a run that sorts by time and that no two runs share."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def ingest(
    config: IngestConfig,
    *,
    clock: Clock = utc_now,
    watching: Watching | None = None,
    notify: Notify = lambda _: None,
) -> RunReport:
    """Carry out a run.

    ``watching`` is called once the sources are listed, with where to read the progress; it gives a
    context manager that is open while the graphs run. ``clock`` says when the run starts;
    ``notify`` is told what a person should know at once, such as whom the run waits for.

    Raises:
        UsageError: if the sources or the output cannot be used as given.
        DatasetError: if the dataset is damaged, or another run writes to it.
        RunFailedError: if the run could not be finished; the dataset is as it was, but for the
            parts that the message says are published.
        PublishError: if it could not be published; the message says how much of it was.
        KeyboardInterrupt: if it was interrupted; with what was published before, if anything was.
    """
    dataset = Dataset(open_store(config.output))
    with noticing_refusals(dataset.store):
        sources = list_sources(config.sources, dataset.store) if config.sources else []
        check_engine(config)
        waiting = {"wait_seconds": config.wait_seconds, "notify": notify}
        with dataset.writing("newsbeam ingest", **waiting):
            parts = _parts(sources, config)
            if len(parts) > 1:
                notify(f"the run is published in {len(parts)} parts, for it is larger than "
                       f"--publish-every {config.publish_every_bytes:,}")  # fmt: skip
            hashes = [hash_of_sources(part) for part in parts]
            reports: list[RunReport] = []
            for part in parts:
                before = f"{len(reports)} of {len(parts)} parts are published"
                with _after(before, dataset) if reports else nullcontext():
                    reports.append(
                        _carry_out(
                            part,
                            config,
                            dataset,
                            clock,
                            watching=watching,
                            notify=notify,
                            parts=hashes,
                            polls=not reports,  # all feeds in the first part
                        )
                    )
                if reports[-1].balance.fault_count:
                    break  # what is wrong with this part may be wrong with the rest
            if config.compact_after is not None and not reports[-1].balance.fault_count:
                notify("compacting")
                with _after("the run is published, but not compacted", dataset):
                    compact(dataset, min_files=config.compact_after)
    files = len({source.uri for source in sources})
    return reports[0] if len(reports) == 1 else _joined(reports, files)


@contextmanager
def _after(done: str, dataset: Dataset) -> Iterator[None]:
    """Say what is done already before what an error says of the rest."""
    try:
        with noticing_refusals(dataset.store):
            yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(done) from error
    except (RunFailedError, DatasetError, PublishError) as error:
        # Whoever raised it knows only of the rest.
        rest = str(error).replace("nothing was added", "nothing more was added")
        raise type(error)(f"{done}; then: {rest}") from error


def _parts(sources: Sequence[Source], config: IngestConfig) -> list[Sequence[Source]]:
    if config.publish_every_bytes is None:
        return [sources]
    slices = plan_slices(
        sources,
        slice_bytes=config.publish_every_bytes,
        slice_files=len(sources),
        max_input_bytes=config.max_input_bytes,
    )
    return [one.sources for one in slices]


def _joined(reports: Sequence[RunReport], sources: int) -> RunReport:
    """The report of all parts; a file whose records are in several of them counts once."""
    return RunReport(
        run_id=reports[0].run_id,
        output=reports[0].output,
        started_at=reports[0].started_at,
        seconds=sum(report.seconds for report in reports),
        balance=replace(add_balances(report.balance for report in reports), sources=sources),
        files=[file for report in reports for file in report.files],
        sources=sources,
        slices=sum(report.slices for report in reports),
        resumed_slices=sum(report.resumed_slices for report in reports),
        parts=sum(report.parts for report in reports),
        feeds=reports[0].feeds,
    )


@contextmanager
def planned(config: IngestConfig, dataset: Dataset, state: RunState) -> Iterator[RunPlan]:
    """A run's plan; if it is local, its progress can be watched while the block runs."""
    folder = tempfile.mkdtemp(prefix="newsbeam-progress-") if config.is_local else None
    try:
        yield RunPlan(
            run_id=state.run_id,
            store=dataset.store,
            folder=state.folder,
            limits=ReadLimits(max_input_bytes=config.max_input_bytes),
            dedup_threshold=config.dedup_threshold,
            dedup_horizon_seconds=config.dedup_horizon_seconds,
            progress_folder=folder,
        )
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def data_files(outcome: Outcome) -> list[DataFile]:
    """A run's files as a manifest lists them."""
    return [DataFile(file.path, file.rows, file.size_bytes, file.sha256) for file in outcome.files]


def _carry_out(
    sources: Sequence[Source],
    config: IngestConfig,
    dataset: Dataset,
    clock: Clock,
    *,
    watching: Watching | None,
    notify: Notify,
    parts: Collection[str],
    polls: bool,
) -> RunReport:
    """One run, or one part of it: what is published with one commit."""
    began = time.monotonic()
    now = clock().astimezone(datetime.UTC)
    snapshot = dataset.checked_snapshot()
    state = begin_or_resume(
        dataset,
        RunState(new_run_id(now), now.isoformat(), options_key(config.staging_options())),
        sources,
        partial(
            plan_slices,
            slice_bytes=config.slice_bytes,
            slice_files=config.slice_files,
            max_input_bytes=config.max_input_bytes,
        ),
        Timestamp.from_utc_datetime(now),
        parts=parts,
    )
    if state.resumed:
        notify(
            f"going on with run {state.run_id}, which was cut short: {state.resumed} of "
            f"{len(state.slices)} slices are done"
        )
    files = {source.uri for source in sources}
    with planned(config, dataset, state) as plan:
        input_bytes = sum(map(_listed_bytes, sources))
        sources_planned = sum(len(one.sources) for one in state.slices)
        watch = Watch(plan.progress_folder or "", sources_planned, input_bytes)
        work_bytes = sum(worked_bytes(source, config.max_input_bytes) for source in sources)
        steps = Steps(config, plan, state, watch, config.local_workers(work_bytes))
        with watching(watch) if watching and plan.progress_folder else nullcontext():
            live = Live()
            if config.subscriptions and polls:
                memories, note = memory_to_go_on(dataset, snapshot)
                if note:
                    notify(note)
                begins = Timestamp.from_utc_datetime(now)
                recent = snapshot.since((begins - plan.dedup_horizon_seconds).micros)
                feeds = LiveFeeds(
                    config, plan, state, steps, memories=memories, known=known_files(recent)
                )
                live = feeds.run(begins)
                steps.workers = config.local_workers(work_bytes + live.page_bytes)
            builds = [
                (
                    one.folder,
                    partial(
                        build_extraction,
                        plan=plan,
                        sources=one.sources,
                        observed_at=one.observed_at,
                        folder=one.folder,
                    ),
                )
                for one in state.slices
            ] + list(live.builds(plan))
            watch.sources += live.page_blocks
            extracted = [steps.extract(folder, build) for folder, build in builds]
            outcome = steps.finish(
                extracted,
                sources_planned + live.page_blocks,
                snapshot,
                refused=live.refused,
                settled=live.balance,
            )
    is_sound = not outcome.balance.fault_count
    is_idle = not sources and live.is_idle
    report = RunReport(
        run_id=state.run_id,
        output=config.output,
        started_at=datetime.datetime.fromisoformat(state.started_at),
        seconds=time.monotonic() - began,
        balance=replace(outcome.balance, sources=len(files) + live.balance.sources),
        files=outcome.files if is_sound else [],
        sources=len(files),
        slices=len(builds),
        resumed_slices=state.resumed,
        parts=int(is_sound and not is_idle),
        feeds=live.counts if config.subscriptions and polls else None,
    )
    if is_idle or (not is_sound and live.reports):
        # What was polled would not balance the next time either; the feeds are asked anew.
        dataset.store.delete_folder(state.folder)
    elif is_sound:
        dataset.publish(
            "ingest",
            state.run_id,
            snapshot.head,
            state.files,
            dataset.with_statistics(snapshot, state.files, data_files(outcome)),
            details={**report.summary(), "options": config.summary()},
            memory=_stage_memory(dataset, state, live, outcome),
        )
    return report


def _stage_memory(dataset: Dataset, state: RunState, live: Live, outcome: Outcome) -> str:
    """Stage the memory of the feeds; its path, empty if no feed was polled."""
    if live.is_idle:
        return ""
    rows = rows_by_feed(dataset.store, state.files, outcome.files)
    path = memory_path(state.run_id)
    content = encode_memory(with_rows(live.memories, rows).values())
    dataset.store.write(f"{state.files}/{path}", content)
    return path


def _listed_bytes(source: Source) -> int:
    """The size of a file, or of the part of an archive; 0 where it is unknown."""
    return max(0, source.size_bytes if source.known_bytes < 0 else source.known_bytes)
