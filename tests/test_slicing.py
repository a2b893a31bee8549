"""Staging: a stream is patient with its store, a batch is run again."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
from apache_beam.transforms.window import IntervalWindow
from stream_factory import NOON

from schemas.records import Failure, StagedBlock
from transforms.slicing import _FAILURES, _Stage
from transforms.storage import Store, StoreError, open_store

WINDOW = IntervalWindow(NOON, NOON + 60)
FAILURE = Failure(
    "rejected", "fetch", "gone", "it is gone", "o", "o", NOON, b"", "https://a.example/"
)


class AwayStore:
    """Writes failures, but for the first few times."""

    def __init__(self, away: int) -> None:
        self.away = away

    def write(self, store: Store, folder: str, failures: list[Failure]) -> StagedBlock:
        if self.away:
            self.away -= 1
            raise StoreError(errno.EIO, "it does not answer")
        return _FAILURES.write(store, folder, failures)


def staged(tmp_path: Path, away: int, patience_seconds: Sequence[float]) -> list[StagedBlock]:
    kind = _FAILURES._replace(write=AwayStore(away).write)
    stage = _Stage(open_store(str(tmp_path)), "staged", kind, patience_seconds)
    stage.start_bundle()
    assert list(stage.process(FAILURE, WINDOW)) == []
    return [one.value for one in stage.finish_bundle() if hasattr(one, "windows")]


def test_a_stream_writes_again_what_its_store_refused(tmp_path: Path) -> None:
    (block,) = staged(tmp_path, away=2, patience_seconds=(0.0, 0.0))
    assert block.rows == 1


def test_patience_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        staged(tmp_path, away=3, patience_seconds=(0.0, 0.0))
