"""What a stream has come to, for whoever watches it: in a file, over HTTP, on a terminal.

::

    commits ─┬─► StreamMetrics ─┬─► MetricsLog      JSON lines, one a commit
    engine  ─┘                  ├─► metrics_server  Prometheus asks
                                └─► stream_view     a person looks

Two sources: the manifests of commits, which are the truth about rows and come by any engine; and
Beam's counters, which the engine is asked for (``beam_metrics``), and which a bundle that is tried
again may add to twice. Where both tell of a name, the manifests count.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from apache_beam.runners.runner import PipelineResult

from pipelines.beam_metrics import EngineQuestions, Measured, from_plain
from pipelines.config import UsageError
from pipelines.dataset import Commit
from pipelines.run import Clock, utc_now
from transforms.measures import LAG_BOUNDS_SECONDS, quantile_of_counts

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_RATE_SECONDS = 600.0

_logger = logging.getLogger("newsbeam")


# ── what is known ───────────────────────────────────────────────────────────────────────────────


class _Lags:
    """Lags of rows, of all commits together, and of the last that had any."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.up_to = [0] * len(LAG_BOUNDS_SECONDS)
        self.of_last: dict[str, float] = {}

    def add(self, lags: Mapping[str, Any]) -> None:
        if not lags.get("count"):
            return
        self.count += lags["count"]
        self.sum += lags["sum"]
        self.up_to = [a + b for a, b in zip(self.up_to, lags["up_to"], strict=True)]
        self.of_last = {name: lags[name] for name in ("count", *_QUANTILES, "max")}

    def plain(self) -> dict[str, Any]:
        """Quantiles over the stream are read off the counts up to each bound."""
        whole: dict[str, Any] = {"count": self.count, "sum": round(self.sum, 3)}
        for name, share in _QUANTILES.items():
            value = quantile_of_counts(self.up_to, self.count, share)
            if value is not None:
                whole[name] = round(value, 3)
        return {"of_last_commit": dict(self.of_last), "of_stream": whole}


class StreamMetrics:
    """What a stream has come to so far. Any thread may tell it, any may ask it.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stream_id = ""
        self._engine = ""
        self._began_at = clock()
        self._ended_at: datetime.datetime | None = None
        self._commits = 0
        self._commit_seconds = 0.0
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
        self._totals: Counter[str] = Counter()
        self._feeds_subscribed = 0
        self._feeds_failing = 0
        self._last: dict[str, Any] = {}
        self._last_at: datetime.datetime | None = None
        self._committed_until: float | None = None
        self._recent: list[tuple[datetime.datetime, int]] = []
        """When commits came, and with how many articles, of the last ten minutes."""
        self._lags = {"observed": _Lags(), "feed": _Lags()}
        self._of_commits = Measured()
        self._of_engine = Measured()
        self._engine_answered_at: datetime.datetime | None = None

    def begin(self, stream_id: str, engine: str, feeds: int) -> None:
        """A stream has begun, on an engine, with as many feeds."""
        with self._lock:
            self._stream_id, self._engine, self._feeds_subscribed = stream_id, engine, feeds
            self._began_at = self._clock()

    def end(self) -> None:
        """It has ended; time stands still."""
        with self._lock:
            self._ended_at = self._clock()

    def update_commit(self, commit: Commit) -> None:
        """Take in a commit of the stream."""
        details, stream = commit.details, commit.details["stream"]
        with self._lock:
            now = self._now()
            self._commits += 1
            self._commit_seconds += details["seconds"]
            for name, counts in self._counts.items():
                counts.update(details[name])
            polls = stream["polls"]
            self._totals.update(
                polls=polls["count"],
                polls_unchanged=polls["unchanged"],
                polls_failed=polls["failed"],
                links_followed=details["feeds"]["links"],
                pages=details["pages"],
            )
            self._feeds_subscribed = details["feeds"]["subscribed"]
            self._feeds_failing = stream["feeds_failing"]
            self._last = {
                "number": commit.number,
                "run_id": commit.run_id,
                "seconds": details["seconds"],
                "watermark_lag_seconds": max(stream["watermark_lag_seconds"], 0.0),
                "outcomes": dict(details["outcomes"]),
            }
            self._last_at = now
            self._committed_until = stream["until_micros"] / 1e6
            outcomes = details["outcomes"]
            since = now - datetime.timedelta(seconds=_RATE_SECONDS)
            self._recent = [(at, articles) for at, articles in self._recent if at >= since]
            self._recent.append((now, outcomes["article"] + outcomes["revision"]))
            for name, lags in self._lags.items():
                lags.add(stream[f"{name}_lag_seconds"])
            self._of_commits += from_plain(stream["measured"])

    def update_engine(self, measured: Measured) -> None:
        """Take in what the engine's counters stand at."""
        with self._lock:
            self._of_engine = measured
            self._engine_answered_at = self._now()

    def _now(self) -> datetime.datetime:
        return self._ended_at or self._clock()

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values; what is not known yet is None, or empty."""
        with self._lock:
            now = self._now()
            seconds = max((now - self._began_at).total_seconds(), 0.0)
            until = self._committed_until
            last_at = self._last_at
            measured = self._of_commits.over(self._of_engine)
            answered_at = self._engine_answered_at
            return {
                "stream_id": self._stream_id,
                "engine": self._engine,
                "at": _text(now),
                "began_at": _text(self._began_at),
                "seconds": round(seconds, 3),
                "is_over": self._ended_at is not None,
                "commits": self._commits,
                "commit_seconds": round(self._commit_seconds, 3),
                "articles_per_minute": round(self._articles_per_minute(now, seconds), 2),
                **{name: dict(counts) for name, counts in self._counts.items()},
                **{name: self._totals[name] for name in _TOTALS},
                "feeds_subscribed": self._feeds_subscribed,
                "feeds_failing": self._feeds_failing,
                "last_commit": {**self._last, "at": _text(last_at)} if last_at else None,
                "last_commit_age_seconds": _seconds(now, last_at),
                "watermark_lag_seconds": (
                    None if until is None else round(max(now.timestamp() - until, 0.0), 3)
                ),
                **{f"{name}_lag_seconds": lags.plain() for name, lags in self._lags.items()},
                "stages": measured.plain(),
                "engine_answer_age_seconds": _seconds(now, answered_at),
            }

    def _articles_per_minute(self, now: datetime.datetime, seconds: float) -> float:
        """Over the last ten minutes, or since it began."""
        since = now - datetime.timedelta(seconds=_RATE_SECONDS)
        recent = sum(articles for at, articles in self._recent if at >= since)
        return 60.0 * recent / min(max(seconds, 1.0), _RATE_SECONDS)

    def lag_counts(self) -> dict[str, tuple[int, float, tuple[int, ...]]]:
        """By kind of lag: how many rows, seconds in all, and rows up to each bound."""
        with self._lock:
            return {
                name: (lags.count, lags.sum, tuple(lags.up_to)) for name, lags in self._lags.items()
            }


_COUNTED = (
    "outcomes",
    "duplicates_by_kind",
    "rejected_by_reason",
    "failed_by_reason",
    "new_rows",
)
"""Of the details of commits: what is added up by its keys."""
_TOTALS = ("polls", "polls_unchanged", "polls_failed", "links_followed", "pages")


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _seconds(now: datetime.datetime, then: datetime.datetime | None) -> float | None:
    return None if then is None else round(max((now - then).total_seconds(), 0.0), 3)


Hear = Callable[[Commit | None], None]
"""Is told that the metrics have changed: with a commit, and, once all is over, without one."""


class StreamObserver:
    """What the launching process tells of its stream.

    Args:
        metrics: where it is kept.
        hear: who is told, after that, of each commit and of the end.
        questions: how often the engine is asked.
    """

    def __init__(
        self,
        metrics: StreamMetrics | None = None,
        hear: Sequence[Hear] = (),
        questions: EngineQuestions | None = None,
    ) -> None:
        self.metrics = metrics or StreamMetrics()
        self._hear = tuple(hear)
        self._questions = questions or EngineQuestions()

    def begin(self, stream_id: str, engine: str, feeds: int) -> None:
        """The engine has taken the job."""
        self.metrics.begin(stream_id, engine, feeds)

    def tell(self, commit: Commit) -> None:
        """A commit has come."""
        self.metrics.update_commit(commit)
        for hear in self._hear:
            hear(commit)

    def look(self, result: PipelineResult, *, is_last: bool = False) -> None:
        """Ask the engine, if it is time; or a last time, when the job has ended.

        Flink tells only then. A result that was waited for, or cancelled, can be asked no more.
        """
        measured = self._questions.ask(result, at_once=is_last)
        if measured is not None:
            self.metrics.update_engine(measured)

    def end(self) -> None:
        """All is over, whether well or not."""
        self.metrics.end()
        for hear in self._hear:
            hear(None)


# ── JSON lines ──────────────────────────────────────────────────────────────────────────────────


class MetricsLog:
    """A file to which a line is added for each commit, and one at the end.

    A line is a JSON object: ``event`` (``commit`` or ``end``), ``commit`` (what is new in it, or
    null), and ``totals`` (``StreamMetrics.snapshot``). Should the file take no line, a warning
    says so, and the stream goes on.

    Raises:
        UsageError: if the file cannot be opened.
    """

    def __init__(self, path: Path, metrics: StreamMetrics) -> None:
        self._path = path
        self._metrics = metrics
        self._is_torn = False
        """Whether the last line may have been written in part."""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot write --metrics-log {path}: {error.strerror}") from error

    def hear(self, commit: Commit | None) -> None:
        """Add the line of a commit, or the last one."""
        line = {
            "event": "end" if commit is None else "commit",
            "commit": None if commit is None else _line_of(commit),
            "totals": self._metrics.snapshot(),
        }
        text = json.dumps(line) + "\n"
        content = (b"\n" if self._is_torn else b"") + text.encode()
        try:
            self._is_torn = self._file.write(content) != len(content)
        except OSError as error:
            self._is_torn = True
            _logger.warning("no line was added to %s: %s", self._path, error.strerror)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_OF_COMMIT = (
    "started_at",
    "seconds",
    "pages",
    "units",
    "outcomes",
    "duplicates_by_kind",
    "rejected_by_reason",
    "failed_by_reason",
    "feeds",
    "new_rows",
)
_OF_STREAM = (
    "id",
    "until_micros",
    "polls",
    "feeds_failing",
    "watermark_lag_seconds",
    "observed_lag_seconds",
    "feed_lag_seconds",
)


def _line_of(commit: Commit) -> dict[str, Any]:
    details, stream = commit.details, commit.details["stream"]
    return {
        "number": commit.number,
        "run_id": commit.run_id,
        **{name: details[name] for name in _OF_COMMIT},
        "stream": {name: stream[name] for name in _OF_STREAM},
    }
