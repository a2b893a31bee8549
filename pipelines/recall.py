"""What a stream's reader is told of the dataset, commit by commit.

The dataset is the memory of a stream as it is that of a run: which items of a feed are seen, which
links wait, which pages there are. A reader begins with that, and hears of each commit that follows,
so that what it has given away can be let go of.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from apache_beam.utils.timestamp import Timestamp

from pipelines.dataset import STAGING, Dataset, Snapshot
from pipelines.feed_memory import read_memory
from schemas.arrow import TABLES
from schemas.records import FeedMemory
from transforms.seen_pages import SeenPages
from transforms.storage import Store

COMPACTION_SECONDS = 60.0
"""For how long a file may be gone before the commit that removed it is listed."""
_LOOK_SECONDS = 0.2
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

    def refresh(self) -> bool:
        """Look for newer commits; whether there are any."""
        if self._snapshot is None:
            self._snapshot = self._dataset.snapshot()
            return True
        is_new = False
        while (commit := self._dataset.commit(self._snapshot.head + 1)) is not None:
            self._snapshot = self._snapshot.plus([commit])
            stream = commit.details.get("stream", {})
            if stream.get("id") == self._stream_id:
                self._until = max(self._until, Timestamp(micros=int(stream["until_micros"])))
            is_new = self._is_stale = True
        return is_new

    def memories(self) -> Mapping[str, FeedMemory]:
        """Of feeds, by URL."""
        return read_memory(self._dataset, self._known())[0]

    def committed_until(self) -> Timestamp:
        """Until when all that this stream has observed is in the dataset."""
        return self._until

    def seen(self, urls: Iterable[str]) -> Mapping[str, int]:
        """Of pages that the dataset has: when each was last seen, microseconds since 1970."""
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
            except FileNotFoundError:
                # The commit that removed it is listed once it is whole.
                if time.monotonic() > ends_at:
                    raise
                time.sleep(_LOOK_SECONDS)
                self.refresh()
            else:
                return

    def is_over(self) -> bool:
        """Whether somebody has asked the stream to end."""
        return self._dataset.store.exists(stop_path(self._stream_id))

    def _known(self) -> Snapshot:
        if self._snapshot is None:
            self.refresh()
        return self._snapshot or replace(Snapshot(0, {}))
