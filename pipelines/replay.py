"""Replay: trying the failures of a dataset again, and accounting for each.

What is found in them now goes the way of any run: it is compared with the dataset and with each
other, enriched and published. The same commit marks the failures that became articles as resolved,
by replacing the files of their partitions. A failure that fails again stays open, and adds no row
unless it fails in another way. A feed that could not be polled stays open, too, unless its row
keeps an answer that can be read now: the next run over the feeds asks it anyway.
"""

from __future__ import annotations

import datetime
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.timestamp import Timestamp

from pipelines.config import IngestConfig
from pipelines.dataset import STAGING, DataFile, Dataset, DatasetError, Snapshot
from pipelines.ingest import build_replay
from pipelines.run import RunReport, data_files, new_run_id, planned, utc_now
from pipelines.staged import RunState
from pipelines.steps import Outcome, Steps, Watch, noticing_refusals
from schemas.records import Failure, Page, Retry, Source, StagedBlock
from transforms.compaction import (
    SORT_KEYS,
    DamagedFileError,
    merge_sorted,
    open_parquet,
    read_sorted,
    write_files,
)
from transforms.ledger import add_balances
from transforms.reading import ReadLimits, read_content, read_source
from transforms.replaying import can_be_read, read_retries, tried_origin
from transforms.staging import PRINTS, failure_ids_of_block, read_columns
from transforms.storage import Store

_KIND = "replay"
_COLUMNS = ["failure_id", "origin", "stage", "kind", "reason", "observed_at"]
_IDS_PER_RETRY = 200
"""From how many on a ``Retry`` ends with the file that its failures are in."""
_MAX_IDS_PER_RETRY = 10_000
"""A file in which more failed is read again once for each so many."""
_NOTHING = ReadLimits(max_input_bytes=0, max_record_bytes=0, max_payload_bytes=0)
_ARTICLE_NUMBER = re.compile(r"#[0-9]+\Z")
Clock = Callable[[], datetime.datetime]


@dataclass(frozen=True)
class Selection:
    """Which failures are tried again: of all that are open, those that fit each that is given."""

    stages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    since: datetime.date | None = None
    """UTC day of observation."""
    until: datetime.date | None = None
    """UTC day of observation, itself included."""

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of ``failures`` is to be tried again."""
        day = row["observed_at"].astimezone(datetime.UTC).date()
        return (
            row.get("resolved_at") is None
            and (not self.stages or row["stage"] in self.stages)
            and (not self.kinds or row["kind"] in self.kinds)
            and (not self.reasons or row["reason"] in self.reasons)
            and (self.since is None or day >= self.since)
            and (self.until is None or day <= self.until)
        )


@dataclass(frozen=True)
class _Open:
    """A failure that is to be tried again."""

    path: str
    failure_id: str
    origin: str
    stage: str
    observed_at: datetime.datetime

    @property
    def tried(self) -> str:
        """The origin of what is tried again."""
        return tried_origin(self.origin, self.stage)

    @property
    def file(self) -> str:
        """The file that it is, or is in."""
        return _file_of(self.origin)


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did."""

    run: RunReport
    retried: int
    """Failures that were tried again."""
    resolved: int
    """Of these, how many gave an article."""

    def summary(self) -> dict[str, Any]:
        """The report as plain values, for ``--json`` and the manifest."""
        return {
            **self.run.summary(),
            "retried": self.retried,
            "resolved": self.resolved,
            "still_open": self.retried - self.resolved,
        }


def replay(
    dataset: Dataset, selection: Selection, config: IngestConfig, *, clock: Clock = utc_now
) -> ReplayReport:
    """Try the selected failures again; the caller holds ``dataset.writing``.

    ``config`` says how texts are compared and which limits hold; its sources are not read.

    Raises:
        DatasetError: if the dataset is damaged; nothing is changed.
        RunFailedError: if the replay could not be finished; nothing is changed.
        PublishError: if the store refuses; what is decided the next writer finishes.
    """
    with noticing_refusals(dataset.store):
        return _replay(dataset, selection, config, clock().astimezone(datetime.UTC))


def _replay(
    dataset: Dataset, selection: Selection, config: IngestConfig, now: datetime.datetime
) -> ReplayReport:
    began = time.monotonic()
    store = dataset.store
    for name in store.names(STAGING):
        if name.startswith(f"{_KIND}-"):
            store.delete_folder(f"{STAGING}/{name}")
    snapshot = dataset.checked_snapshot()
    try:
        selected = list(_select(store, snapshot, selection))
        retried = _once(selected, partial(_can_be_read, store, now=now))
    except DamagedFileError as error:
        raise DatasetError(str(error.strerror)) from error
    state = RunState(f"{_KIND}-{new_run_id(now)}", now.isoformat(), "")
    outcome = _carry_out(dataset, state, retried, config, snapshot)
    resolved = set(_resolved(store, selected, retried, outcome.blocks))
    report = ReplayReport(
        run=RunReport(
            run_id=state.run_id,
            output=config.output,
            started_at=now,
            seconds=time.monotonic() - began,
            balance=outcome.balance,
            files=outcome.files,
            sources=len(retried),
        ),
        retried=len(selected),
        resolved=len(resolved),
    )
    if retried and not outcome.balance.fault_count:
        marked = _mark(store, state, snapshot, resolved)
        files = [*data_files(outcome), *marked.files]
        dataset.publish(
            _KIND,
            state.run_id,
            snapshot.head,
            state.files,
            dataset.with_statistics(snapshot, state.files, files, marked.removed),
            removed=marked.removed,
            replaces=marked.replaces,
            details={**report.summary(), "options": config.summary()},
        )
    store.delete_folder(state.folder)
    return report


def _select(store: Store, snapshot: Snapshot, selection: Selection) -> Iterator[_Open]:
    for file in snapshot.table("failures"):
        with open_parquet(store, file.path) as parquet:
            names = parquet.schema_arrow.names
            columns = [*_COLUMNS, *({"resolved_at"} & set(names))]
            for batch in parquet.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    if selection.fits(row):
                        yield _Open(
                            file.path,
                            row["failure_id"],
                            row["origin"],
                            row["stage"],
                            row["observed_at"],
                        )


def _file_of(origin: str) -> str:
    return origin.partition("#")[0]


def _can_be_read(store: Store, failure: _Open, now: datetime.datetime) -> bool:
    """Whether a failure's content is kept, or its source is there.

    Raises:
        DamagedFileError: if its row cannot be read.
    """
    observed_at = Timestamp.from_utc_datetime(now)

    def glance(source: Source) -> Iterator[Page | Failure]:
        return read_source(source, observed_at, _NOTHING)

    def read(content: bytes, uri: str, observed: Timestamp) -> Iterator[Page | Failure]:
        return read_content(content, uri, observed, _NOTHING)

    rows = read_retries(store, Retry(failure.path, (failure.failure_id,)))
    return any(can_be_read(row, glance, read) for _, row in rows)


def _once(selected: Iterable[_Open], can_be_read: Callable[[_Open], bool]) -> list[_Open]:
    """Of failures of one origin the last, for what one origin gives is counted once.

    Where a whole file is tried again, so is what failed in it; where there is nothing of the file
    to be read any more, each of them is tried for itself. Those of one file stand together.
    """
    last: dict[str, _Open] = {}
    for failure in sorted(selected, key=lambda failure: (failure.observed_at, failure.failure_id)):
        last[failure.tried] = failure
    around = {failure.file for tried, failure in last.items() if "#" in tried} & last.keys()
    read_again = {file for file in around if can_be_read(last[file])}
    return [
        failure
        for tried, failure in sorted(last.items(), key=lambda entry: (entry[1].file, entry[0]))
        if "#" not in tried or failure.file not in read_again
    ]


def _retries(retried: Iterable[_Open]) -> Iterator[Retry]:
    """The failures of each file of the dataset, those of one source together.

    Pages that are to be fetched are kept together as far as that goes: hosts are asked side by
    side, and one that does not answer is left alone.
    """
    by_path: dict[str, list[_Open]] = defaultdict(list)
    for failure in retried:
        by_path[failure.path].append(failure)
    for path, failures in sorted(by_path.items()):
        ids: list[str] = []
        file = ""
        for failure in failures:
            may_end = failure.file != file and failure.stage != "fetch"
            is_full = len(ids) >= _IDS_PER_RETRY and may_end
            if is_full or len(ids) >= _MAX_IDS_PER_RETRY:
                yield Retry(path, tuple(ids))
                ids = []
            ids.append(failure.failure_id)
            file = failure.file
        yield Retry(path, tuple(ids))


def _carry_out(
    dataset: Dataset,
    state: RunState,
    retried: Sequence[_Open],
    config: IngestConfig,
    snapshot: Snapshot,
) -> Outcome:
    if not retried:
        return Outcome(add_balances([]), [], [])
    retries = list(_retries(retried))
    with planned(config, dataset, state) as plan:
        watch = Watch(plan.progress_folder or "", len(retried), 0)
        steps = Steps(config, plan, state, watch, workers=1)
        slice_folder = f"{state.folder}/slices/0000"
        observed_at = Timestamp.from_rfc3339(state.started_at.replace("+00:00", "Z"))
        build = partial(
            build_replay,
            plan=plan,
            retries=retries,
            observed_at=observed_at,
            folder=slice_folder,
            http=config.http,
        )
        extracted = steps.extract(slice_folder, build)
        return steps.finish([extracted], len(retried), snapshot)


def _resolved(
    store: Store,
    selected: Iterable[_Open],
    retried: Iterable[_Open],
    blocks: Iterable[StagedBlock],
) -> Iterator[_Open]:
    """The failures of whose origin an article came, and that did not fail in the same way."""
    tried = set(retried)
    gave: set[str] = set()
    failed: set[str] = set()
    for block in blocks:
        if block.kind == "failures":
            failed.update(failure_ids_of_block(store, block))
            continue
        for origin in read_columns(store, block.path + PRINTS, ["origin"])["origin"].to_pylist():
            # The article, the page that it is one of several of, and the file. What an item is
            # called may hold a ``#`` of its own, before which another item's name may stand.
            gave.update((origin, _ARTICLE_NUMBER.sub("", origin), _file_of(origin)))
    for failure in selected:
        # What a feed gave at one time says nothing of another time, when it could not be polled.
        is_tried = failure.stage != "poll" or failure in tried
        if is_tried and failure.tried in gave and failure.failure_id not in failed:
            yield failure


@dataclass(frozen=True)
class _Marked:
    """Files of ``failures`` with their resolved rows marked, staged to replace others."""

    files: list[DataFile]
    removed: list[str]
    replaces: list[str]


def _mark(store: Store, state: RunState, snapshot: Snapshot, resolved: Iterable[_Open]) -> _Marked:
    """Stage the files that hold the failures, marked."""
    ids: dict[str, set[str]] = defaultdict(set)
    for failure in resolved:
        ids[failure.path].add(failure.failure_id)
    files: list[DataFile] = []
    replaces = []
    for partition in sorted({snapshot.files[path].partition for path in ids}):
        there = [file for file in snapshot.table("failures") if file.partition == partition]
        for number, file in enumerate(file for file in there if file.path in ids):
            name = f"{state.run_id}-marked-{number:03d}-{{:03d}}.parquet".format
            files += _marked_file(store, state, file, ids[file.path], name)
        kept = [file for file in there if file.path not in ids]
        # With what is not of the dataset in it, a folder is not swapped: that would be lost.
        is_ours = len(store.list_files(partition)) == len(there)
        if is_ours and all(store.link(it.path, f"{state.files}/{it.path}") for it in kept):
            replaces.append(partition)
            files += kept
    return _Marked(files, sorted(ids), replaces)


def _marked_file(
    store: Store, state: RunState, file: DataFile, ids: set[str], name: Callable[[int], str]
) -> list[DataFile]:
    wanted = pa.array(sorted(ids), pa.string())
    moment = datetime.datetime.fromisoformat(state.started_at)

    def mark(batch: pa.RecordBatch) -> pa.RecordBatch:
        hit = pc.is_in(batch.column("failure_id"), value_set=wanted)
        for column, value in (("resolved_at", moment), ("resolved_by", state.run_id)):
            place = batch.schema.get_field_index(column)
            field = batch.schema.field(place)
            marked = pc.if_else(hit, pa.scalar(value, field.type), batch.column(place))
            batch = batch.set_column(place, field, marked)
        return batch

    keys = SORT_KEYS["failures"]
    rows = merge_sorted([map(mark, read_sorted(store, file.path, keys))], keys)
    written = write_files(store, state.files, file.partition, name, rows, "failures")
    return [DataFile(one.path, one.rows, one.size_bytes, one.sha256) for one in written]
