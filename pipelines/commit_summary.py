"""What a commit of a stream tells of itself: the account of what needed no extraction, and lags.

In: ``PolledFeed`` and ``FetchedLink`` records, and the files of a commit. Out: ``Balance``,
``FeedCounts``, and plain values for the manifest.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.timestamp import Timestamp

from pipelines.config import IngestConfig
from pipelines.live import FeedCounts
from schemas.records import Balance, FeedMemory, FetchedLink, PolledFeed, Tally, WrittenFile
from transforms.compaction import open_parquet
from transforms.measures import summed_lags
from transforms.storage import Store

_DAY_SECONDS = 86_400
_LAG_COLUMNS = ["observed_at", "published_at", "published_precision", "revision"]
_SETTLED = {"known": "known-page", "same-page": "same-page"}


def settled_links(polled: Sequence[PolledFeed], fetched: Sequence[FetchedLink]) -> Balance:
    """The account of what needed no extraction."""
    unchanged = Counter({"unchanged-item": sum(one.unchanged for one in polled)})
    outcomes = Counter(one.outcome for one in fetched)
    unchanged.update({detail: outcomes[outcome] for outcome, detail in _SETTLED.items()})
    tallies = tuple(Tally("unchanged", what, count) for what, count in unchanged.items() if count)
    notes = tuple(note for one in polled for note in one.notes)
    units = sum(tally.count for tally in tallies)
    return Balance(0, units, units, tallies, (), 0, notes, len(notes))


def count_feeds(
    config: IngestConfig,
    memories: Mapping[str, FeedMemory],
    polled: Sequence[PolledFeed],
    fetched: Sequence[FetchedLink],
) -> FeedCounts:
    """What became of the feeds, by their memories after the commit."""
    asked = {one.memory.url for one in polled}
    known = [memories[one.url] for one in config.subscriptions if one.url in memories]
    return FeedCounts(
        subscribed=len(config.subscriptions),
        polled=len(asked),
        unchanged=sum(one.is_unchanged for one in polled),
        failed=len({one.memory.url for one in polled if one.memory.reason}),
        not_due=len(config.subscriptions) - len(asked),
        links=len(fetched),
        next_due_at=min((it.due_at for it in known if it.due_at is not None), default=None),
    )


def lags(
    store: Store,
    folder: str,
    files: Sequence[WrittenFile],
    until: Timestamp,
    now: datetime.datetime,
) -> dict[str, Any]:
    """How late a commit is, in seconds: after its window, its observations, its publications.

    Publication counts where a row's date is to the minute or better, and not before the window's
    day: what a feed lists from before says nothing of the stream.
    """
    moment = Timestamp.from_utc_datetime(now).micros
    observed: list[float] = []
    published: list[float] = []
    for file in files:
        if file.table != "articles":
            continue
        with open_parquet(store, f"{folder}/{file.path}") as parquet:
            table = parquet.read(columns=_LAG_COLUMNS)
        observed += _seconds_before(moment, table.column("observed_at"))
        is_exact = pc.is_in(
            table.column("published_precision"), value_set=pa.array(["second", "minute"])
        )
        # A revision has the date of its work's first text.
        is_first = pc.equal(table.column("revision"), 0)
        recently = table.filter(pc.and_(is_exact, is_first)).column("published_at")
        published += _seconds_before(moment, recently)
    recent = [lag for lag in published if 0 <= lag < _DAY_SECONDS]
    return {
        # Asked to end, a stream commits its last window before that is over.
        "watermark_lag_seconds": max(0.0, round((moment - until.micros) / 1e6, 3)),
        "observed_lag_seconds": summed_lags(observed),
        "feed_lag_seconds": summed_lags(recent),
    }


def _seconds_before(moment: int, column: pa.ChunkedArray) -> list[float]:
    micros = pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.int64()).drop_null()
    return [(moment - at) / 1e6 for at in micros.to_pylist()]
