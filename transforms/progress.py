"""Progress that a person can watch while the graph runs.

``TallyProgress`` passes its elements through and adds one byte for each to a file in a folder that
the machine's processes share, so that the size of the folder's files is the count. Beam's own
metrics reach the launching process only when a stage has ended. For a person only: the account of
a run is the ledger's, for a retried bundle is tallied twice.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection


def read_progress(folder: str) -> Counter[str]:
    """How many elements have passed each tallied step, by the step's name."""
    counts: Counter[str] = Counter()
    with os.scandir(folder) as entries:
        for entry in entries:
            counts[entry.name.partition("-")[0]] += entry.stat().st_size
    return counts


def tally(folder: str, step: str, count: int) -> None:
    """Count elements that passed a step before this run, or outside its graph."""
    with (Path(folder) / f"{step}-{uuid.uuid4().hex}").open("wb") as file:
        file.truncate(count)


class _Tally(beam.DoFn):
    def __init__(self, step: str, folder: str) -> None:
        self._step = step
        self._folder = folder

    def setup(self) -> None:
        path = Path(self._folder) / f"{self._step}-{uuid.uuid4().hex}"
        self._file = path.open("ab", buffering=0)

    def process(self, element: Any) -> Iterator[Any]:
        self._file.write(b".")
        yield element

    def teardown(self) -> None:
        self._file.close()


@dataclass
class TallyProgress(beam.PTransform):
    """Pass elements through, counting them under ``step`` in ``folder``; no folder, no count."""

    step: str
    folder: str | None

    def expand(self, elements: PCollection[Any]) -> PCollection[Any]:
        """Add the tally, where there is a folder for it."""
        if self.folder is None:
            return elements
        tally = beam.ParDo(_Tally(self.step, self.folder))
        return elements | tally.with_output_types(elements.element_type)
