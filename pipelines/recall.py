"""What a stream's reader is told of the dataset, commit by commit.

The dataset is the memory of a stream as it is that of a run: which items of a feed are seen, which
links wait, which pages there are. A reader begins with that, and hears of each commit that follows,
so that what it has given away can be let go of.

A store that is out of reach, or refuses, is an ``OutOfReachError``, and the reader waits for it. A
dataset that is damaged is a ``DatasetError`` or ``DamagedFileError``, which ends the reader.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import STAGING, Dataset, DatasetError, Snapshot
from pipelines.feed_memory import load_memory
from schemas.arrow import TABLES
from schemas.records import FeedMemory
from transforms.compaction import DamagedFileError
from transforms.feed_session import OutOfReachError
from transforms.seen_pages import SeenPages
from transforms.storage import Store

COMPACTION_SECONDS = 60.0
"""For how long a file may be gone before the commit that removed it is listed."""
_LOOK_SECONDS = 0.2
_logger = logging.getLogger("newsbeam")
T = TypeVar("T")
STREAMS = "stream-"
"""What the names of streams' folders begin with, among those of runs that begin with a digit."""


def stream_folder(stream_id: str) -> str:
    """Where a stream keeps what is not committed yet, relative to the dataset."""
    return f"{STAGING}/{STREAMS}{stream_id}"


def stop_path(stream_id: str) -> str:
    """The file that asks a stream to end, relative to the dataset."""
    return f"{stream_folder(stream_id)}/stop"


def drained_path(stream_id: str) -> str:
    """The file that says that all of a stream is committed, relative to the dataset."""
    return f"{stream_folder(stream_id)}/drained"


def clock_now() -> Timestamp:
    """The time now."""
    return Timestamp.from_utc_datetime(datetime.datetime.now(datetime.UTC))


class DatasetRecall:
    """``feed_session.Recall``, read from the dataset.

    Args:
        store: of the dataset.
        stream_id: of the stream.
        horizon_seconds: for how long a page counts as known.
        patience_seconds: how long a file that is gone is looked for in commits to come.
    """

    def __init__(
        self,
        store: Store,
        stream_id: str,
        horizon_seconds: int,
        *,
        patience_seconds: float = COMPACTION_SECONDS,
    ) -> None:
        self._dataset = Dataset(store)
        self._stream_id = stream_id
        self._horizon_seconds = horizon_seconds
        self._patience_seconds = patience_seconds
        self._snapshot: Snapshot | None = None
        self._until = Timestamp(0)
        self._pages = SeenPages(store)
        self._is_stale = True
        self._is_out_of_reach = False

    def refresh(self) -> bool:
        """Look for newer commits; whether there are any.

        Raises:
            OutOfReachError: if the store cannot be read now.
            DatasetError: if a manifest is damaged.
        """
        return self._reached(self._refresh)

    def _refresh(self) -> bool:
        if self._snapshot is None:
            self._snapshot = self._dataset.snapshot()
            self._until = self._own_until(self._snapshot.head)
            return True
        is_new = False
        while (commit := self._dataset.commit(self._snapshot.head + 1)) is not None:
            self._snapshot = self._snapshot.plus([commit])
            stream = commit.details.get("stream", {})
            if stream.get("id") == self._stream_id:
                self._until = max(self._until, Timestamp(micros=int(stream["until_micros"])))
            is_new = self._is_stale = True
        return is_new

    def _own_until(self, head: int) -> Timestamp:
        """Until when this stream has committed, by its newest commit."""
        while (commit := self._dataset.commit(head)) is not None:
            stream = commit.details.get("stream", {})
            if stream.get("id") == self._stream_id:
                return Timestamp(micros=int(stream["until_micros"]))
            if commit.kind != "compact":
                break
            head -= 1
        return Timestamp(0)

    def memories(self) -> Mapping[str, FeedMemory]:
        """Of feeds, by URL; what is lost of them is told to the log.

        Raises:
            OutOfReachError: if the store cannot be read now.
            DatasetError: if a manifest is damaged.
        """
        return self._reached(self._memories)

    def _memories(self) -> Mapping[str, FeedMemory]:
        while True:
            snapshot = self._known()
            try:
                memories, note = load_memory(self._dataset, snapshot)
            except FileNotFoundError:
                # A commit puts another in its place, and removes it once the commit is listed.
                if self._refresh() and self._known().memory != snapshot.memory:
                    continue
                where = self._dataset.store.locate(snapshot.memory)
                note = f"the memory of feeds {where} is missing; all feeds are asked for again"
                memories = {}
            if note:
                _logger.warning("%s", note)
            return memories

    def committed_until(self) -> Timestamp:
        """Until when all that this stream has observed is in the dataset."""
        return self._until

    def seen(self, urls: Iterable[str]) -> Mapping[str, int]:
        """Of pages that the dataset has: when each was last seen, microseconds since 1970.

        Raises:
            OutOfReachError: if the store cannot be read now.
            DamagedFileError: if a file of the dataset is damaged.
            DatasetError: if one is missing, or a manifest is damaged.
        """
        return self._reached(partial(self._seen, urls))

    def _seen(self, urls: Iterable[str]) -> Mapping[str, int]:
        if self._is_stale:
            since = clock_now() - self._horizon_seconds
            self._keep(since)
            self._is_stale = False
        return self._pages.seen(urls)

    def _keep(self, since: Timestamp) -> None:
        """Have the addresses in recent files at hand, though files may be compacted meanwhile."""
        ends_at = time.monotonic() + self._patience_seconds
        while True:
            recent = self._known().since(since.micros)
            files = [(table, file.path) for table in TABLES for file in recent.table(table)]
            try:
                self._pages.keep(files, since)
            except FileNotFoundError as error:
                # The commit that removed it is listed once it is whole.
                if time.monotonic() > ends_at:
                    raise DatasetError(
                        f"a file of the dataset is missing ({error}); put it back from a copy of "
                        "the dataset"
                    ) from error
                time.sleep(_LOOK_SECONDS)
                self._refresh()
            else:
                return

    def is_over(self) -> bool:
        """Whether somebody has asked the stream to end.

        Raises:
            OutOfReachError: if the store cannot be read now.
        """
        path = stop_path(self._stream_id)
        return self._reached(partial(self._dataset.store.exists, path))

    def _reached(self, ask: Callable[[], T]) -> T:
        """What the dataset says.

        Raises:
            OutOfReachError: if the store refuses, or cannot be reached.
        """
        try:
            found = ask()
        except DamagedFileError:
            raise
        except OSError as error:
            if not self._is_out_of_reach:
                _logger.warning("the reader waits for the dataset: %s", error)
            self._is_out_of_reach = True
            raise OutOfReachError(f"the dataset cannot be read: {error}") from error
        if self._is_out_of_reach:
            _logger.info("the dataset can be read again")
        self._is_out_of_reach = False
        return found

    def _known(self) -> Snapshot:
        if self._snapshot is None:
            self._refresh()
        return self._snapshot or replace(Snapshot(0, {}))
