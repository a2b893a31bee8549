"""What a run has made durable, and how the next one goes on from it after a kill.

::

    _newsbeam/staging/RUN/plan.json            slices, with their sources and when they were seen
                          slices/0003/         blocks of the slice; report.json when it is done
                          decided/             verdicts by block; base.json when it is done
                          rows/0003/           runs of rows; report.json when it is done
                          files/               the files as they will lie in the dataset

A run begins by looking for one that was killed. If it was told to do the same, it goes on as that
one. If its sources have changed meanwhile, it takes over the slices whose sources are all still
there and unchanged, and slices the rest anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import STAGING, Dataset
from pipelines.slices import Slice
from schemas.records import Source
from transforms.storage import Store

FORMAT = 2
"""Raised when what is staged changes, so that a newer newsbeam does not go on from an older's."""
_MAKERS = ("newsbeam", "apache-beam", "trafilatura", "spacy", "feedparser", "pyarrow")


@dataclass(frozen=True)
class PlannedSlice:
    """A slice of a run."""

    folder: str
    """Relative to the store."""
    observed_at: Timestamp
    """When its sources were listed."""
    sources: tuple[Source, ...]

    @property
    def report(self) -> str:
        """Where it says that it is done."""
        return f"{self.folder}/report.json"


@dataclass(frozen=True)
class RunState:
    """A run under way, in its folder."""

    run_id: str
    started_at: str
    """ISO 8601, UTC."""
    options: str
    """All that decides what is staged: equal for runs that may go on from one another."""
    listed: str = ""
    """What it was told to read, each file with its version: a hash."""
    slices: tuple[PlannedSlice, ...] = ()
    resumed: int = 0
    """How many slices an earlier process had done."""

    @property
    def folder(self) -> str:
        """Its folder, relative to the store."""
        return f"{STAGING}/{self.run_id}"

    @property
    def decided(self) -> str:
        """The folder of its verdicts."""
        return f"{self.folder}/decided"

    @property
    def rows(self) -> str:
        """The folder of its rows."""
        return f"{self.folder}/rows"

    @property
    def files(self) -> str:
        """The folder of its files."""
        return f"{self.folder}/files"

    def save(self, store: Store) -> None:
        """Write the plan."""
        slices = [
            {
                "folder": one.folder,
                "observed_micros": one.observed_at.micros,
                "sources": [dataclasses.astuple(source) for source in one.sources],
            }
            for one in self.slices
        ]
        plan = {**dataclasses.asdict(self), "slices": slices}
        store.write(f"{self.folder}/plan.json", json.dumps(plan).encode())


def options_key(options: dict[str, Any]) -> str:
    """What decides what is staged: the options, and the versions of what makes it."""
    makers = {name: version(name) for name in _MAKERS} | {"python": platform.python_version()}
    return json.dumps([FORMAT, options, makers], sort_keys=True)


def _read_plan(store: Store, run_id: str) -> RunState | None:
    """The plan of a run, or None if it was killed before it had one, or another version made it."""
    try:
        plan = json.loads(store.read(f"{STAGING}/{run_id}/plan.json"))
        slices = tuple(
            PlannedSlice(
                one["folder"],
                Timestamp(micros=one["observed_micros"]),
                tuple(Source(*source) for source in one["sources"]),
            )
            for one in plan["slices"]
        )
        return RunState(plan["run_id"], plan["started_at"], plan["options"], plan["listed"], slices)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None


def begin_or_resume(
    dataset: Dataset,
    new: RunState,
    sources: Sequence[Source],
    plan_slices: Callable[[Sequence[Source]], Iterable[Slice]],
    observed_at: Timestamp,
    *,
    parts: Collection[str] = (),
) -> RunState:
    """The run to carry out: one that was killed, as far as it is this one, or the ``new`` one.

    ``parts`` are the hashes of what all parts of the run are told to read, where it is published in
    parts. Whatever else is staged is removed, but for what other commands keep there.

    Raises:
        OSError: if the store refuses.
    """
    store = dataset.store
    # Those of other commands begin with the command's name.
    names = [name for name in store.names(STAGING) if name[:1].isdigit() and name != new.run_id]
    committed = {commit.run_id for commit in dataset.commits()} if names else set()
    run, same = new, None
    for name in names:
        found = _read_plan(store, name) if name not in committed else None
        if found is not None and found.options == new.options:
            if found.listed in parts and found.listed != hash_of_sources(sources):
                continue  # another part of this very run, whose turn will come
            kept = _taken_over(store, found, sources) if same is None else None
            if kept is found:
                same = found
                continue
            if kept is not None and kept.slices and run is new:
                run = kept
                for folder in (run.decided, run.rows, run.files):
                    store.delete_folder(folder)
                continue
        store.delete_folder(f"{STAGING}/{name}")
    if same is not None:
        if run is not new:
            store.delete_folder(run.folder)
        done = sum(store.exists(one.report) for one in same.slices)
        return dataclasses.replace(same, resumed=done)
    taken = {source for one in run.slices for source in one.sources}
    rest = [source for source in sources if source not in taken]
    first = max((int(one.folder.rpartition("/")[2]) + 1 for one in run.slices), default=0)
    planned = [
        PlannedSlice(f"{run.folder}/slices/{number:04d}", observed_at, tuple(one.sources))
        for number, one in enumerate(plan_slices(rest) if rest else (), start=first)
    ]
    run = dataclasses.replace(
        run,
        listed=hash_of_sources(sources),
        slices=(*run.slices, *planned),
        resumed=len(run.slices),
    )
    run.save(store)
    return run


def hash_of_sources(sources: Sequence[Source]) -> str:
    """What is to be read, each file with its version, as 64 hex digits."""
    listed = json.dumps([dataclasses.astuple(source) for source in sources])
    return hashlib.sha256(listed.encode()).hexdigest()


def _taken_over(store: Store, run: RunState, sources: Sequence[Source]) -> RunState:
    """The run itself if it was told to read the same, else with the slices that can be kept."""
    if run.listed == hash_of_sources(sources):
        return run
    there = set(sources)
    # A slice with a part of an archive is not kept: the other parts may not be done.
    kept = tuple(
        one for one in run.slices if store.exists(one.report) and there.issuperset(one.sources)
    )
    for one in run.slices:
        if one not in kept:
            store.delete_folder(one.folder)
    return dataclasses.replace(run, slices=kept)
