"""What a person sees of a stream: a picture that is kept up to date, or a line for each commit.

In: ``StreamMetrics``. The picture is for a terminal; where there is none, the lines are logged. And
``watching_stream``, which opens all that the command line asks for: picture, file and server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.dataset import Commit
from pipelines.metrics_server import Endpoint, parse_endpoint, serving_metrics
from pipelines.run import Notify
from pipelines.stream_metrics import Hear, MetricsLog, StreamMetrics, StreamObserver

_REFRESHES_A_SECOND = 2
_OUTCOMES = (
    ("articles", "article", None),
    ("revisions", "revision", None),
    ("duplicates", "duplicate", "duplicates_by_kind"),
    ("unchanged", "unchanged", None),
    ("rejected", "rejected", "rejected_by_reason"),
    ("failed", "failed", "failed_by_reason"),
)
_LAGS = (("published → Parquet", "feed"), ("fetched → Parquet", "observed"))
_QUANTILES = ("p50", "p95", "p99")
_STAGES_SHOWN = ("feeds_polled", "pages_fetched", "articles_found", "rows_staged")

_logger = logging.getLogger("newsbeam")


# ── words ───────────────────────────────────────────────────────────────────────────────────────


def span(seconds: float | None) -> str:
    """A time for a person: ``–``, ``0.8 s``, ``42 s``, ``3 min 20 s``, ``5 h 12 min``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600:,} h {whole % 3_600 // 60} min"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()) if count)


def commit_line(commit: Commit) -> str:
    """One commit in one line."""
    outcomes = commit.details["outcomes"]
    new = ", ".join(
        f"{outcomes[key]:,} {key if outcomes[key] == 1 else name}"
        for name, key, _ in _OUTCOMES
        if outcomes[key]
    )
    stream = commit.details["stream"]
    polls = stream["polls"]
    polled = f"{polls['count']:,} {'poll' if polls['count'] == 1 else 'polls'}"
    failed = f", {polls['failed']:,} of them failed" if polls["failed"] else ""
    lag = stream["feed_lag_seconds"]
    published = f", published {span(lag['p50'])} before (p50)" if lag["count"] else ""
    delay_seconds = max(stream["watermark_lag_seconds"], 0.0)
    return (
        f"commit {commit.number}: {new or 'nothing new'}; {polled}{failed}; "
        f"{span(delay_seconds)} after its window{published}"
    )


# ── the picture ─────────────────────────────────────────────────────────────────────────────────


def picture(shot: Mapping[str, Any]) -> RenderableType:
    """What ``StreamMetrics.snapshot`` gave, on a dozen lines."""
    head = Text.assemble(
        ("newsbeam stream", "bold"),
        f" {shot['stream_id']} on {shot['engine']}, {'ran' if shot['is_over'] else 'for'} "
        f"{span(shot['seconds'])}, since {shot['began_at']}",
    )
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("commits", f"{shot['commits']:,}", Text(_last_commit(shot)))
    for name, outcome, reasons in _OUTCOMES:
        about = _reasons(shot[reasons]) if reasons else ""
        if outcome == "article":
            about = f"{shot['articles_per_minute']:,.1f} a minute, with revisions"
        table.add_row(name, f"{shot['outcomes'].get(outcome, 0):,}", Text(about))
    table.add_row("feeds", f"{shot['feeds_subscribed']:,}", Text(_feeds(shot)))
    table.add_row("watermark", span(shot["watermark_lag_seconds"]), Text("behind, as committed"))
    for name, kind in _LAGS:
        lags = shot[f"{kind}_lag_seconds"]
        table.add_row(name, *_quantiles(lags))
    if stages := _stages(shot):
        table.add_row("stages", "", Text(stages))
    return Group(head, table)


def _last_commit(shot: Mapping[str, Any]) -> str:
    last = shot["last_commit"]
    if last is None:
        return "none yet"
    age = span(shot["last_commit_age_seconds"])
    return f"the last, {last['number']}, {age} ago; it took {span(last['seconds'])}"


def _feeds(shot: Mapping[str, Any]) -> str:
    polled = f"{shot['polls']:,} polls, {shot['links_followed']:,} links followed"
    return f"{polled}, {shot['feeds_failing']:,} failing" if shot["feeds_failing"] else polled


def _quantiles(lags: Mapping[str, Any]) -> tuple[str, Text]:
    """The median over the stream, and the others beside it with those of the last commit."""
    whole, last = lags["of_stream"], lags["of_last_commit"]
    if not whole["count"]:
        return "–", Text("no row yet whose time is known")
    rest = " · ".join(f"{name} {span(whole[name])}" for name in _QUANTILES[1:])
    newest = " · ".join(f"{name} {span(last[name])}" for name in _QUANTILES)
    return span(whole["p50"]), Text(f"p50 · {rest}; last commit: {newest}")


def _stages(shot: Mapping[str, Any]) -> str:
    """What the engine says is under way; nothing, where it does not tell."""
    counters = shot["stages"]["counters"]
    return ", ".join(
        f"{counters[name]:,} {name.replace('_', ' ')}" for name in _STAGES_SHOWN if name in counters
    )


@contextmanager
def live_picture(console: Console, metrics: StreamMetrics) -> Iterator[None]:
    """Keep the picture on a terminal up to date while the block runs; it stays there at the end."""
    with Live(
        get_renderable=lambda: picture(metrics.snapshot()),
        console=console,
        refresh_per_second=_REFRESHES_A_SECOND,
        redirect_stdout=False,  # that may be a file
    ):
        yield


def log_commit(commit: Commit | None) -> None:
    """Log one line for a commit."""
    if commit is not None:
        _logger.info("%s", commit_line(commit))


# ── all that was asked for ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class StreamWatch:
    """How a stream is to be watched."""

    log: Path | None = None
    """Where a line is added for each commit."""
    endpoint: Endpoint | None = None
    """Where Prometheus may ask."""


def to_stream_watch(metrics_log: str | None, metrics_port: str | None) -> StreamWatch:
    """What ``--metrics-log`` and ``--metrics-port`` stand for.

    Raises:
        UsageError: if the endpoint can be none.
    """
    return StreamWatch(
        None if metrics_log is None else Path(metrics_log),
        None if metrics_port is None else parse_endpoint(metrics_port),
    )


@contextmanager
def watching_stream(
    watch: StreamWatch, console: Console | None, notify: Notify
) -> Iterator[StreamObserver]:
    """Show, log and serve what the observer is told, while the block runs.

    Args:
        watch: what is asked for.
        console: where a person looks; None if nobody does.
        notify: is told where Prometheus may ask.

    Raises:
        UsageError: if the file or the port cannot be had.
    """
    metrics = StreamMetrics()
    hear: list[Hear] = []
    with ExitStack() as opened:
        if watch.log is not None:
            log = MetricsLog(watch.log, metrics)
            opened.callback(log.close)
            hear.append(log.hear)
        if watch.endpoint is not None:
            endpoint = opened.enter_context(serving_metrics(metrics, watch.endpoint))
            notify(f"metrics are at {endpoint.url}")
        if console is not None and console.is_terminal:
            opened.enter_context(live_picture(console, metrics))
        elif console is not None:
            hear.append(log_commit)
        yield StreamObserver(metrics, hear)
