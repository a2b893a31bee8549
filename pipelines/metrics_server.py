"""Where Prometheus asks what a stream has come to: ``GET /metrics``.

In: ``StreamMetrics``. Out: Prometheus' text format, or OpenMetrics where that is asked for, made
anew for each question. Names and units follow Prometheus' own advice
(https://prometheus.io/docs/practices/naming/): totals end with ``_total``, times are in seconds.

Whoever can reach the address can read how many articles there are, and no more: by default that is
this machine alone. There is no password and no TLS.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from pipelines.config import UsageError
from pipelines.stream_metrics import StreamMetrics
from transforms.measures import LAG_BOUNDS_SECONDS, MEASURES

DEFAULT_ADDRESS = "127.0.0.1"


class Exposed(NamedTuple):
    """A metric as Prometheus asks for it."""

    name: str
    kind: str
    """``counter``, ``gauge``, ``histogram`` or ``summary``."""
    labels: tuple[str, ...]
    meaning: str


def _exposed_stages() -> Iterator[Exposed]:
    for measure in MEASURES.values():
        about = f"{measure.stage}: {measure.meaning}"
        if measure.kind == "counter":
            yield Exposed(f"newsbeam_stage_{measure.name}_total", "counter", (), about)
        else:
            name, _ = _in_base_unit(measure.name)
            yield Exposed(f"newsbeam_stage_{name}", "summary", (), about)


def _in_base_unit(name: str) -> tuple[str, float]:
    """A distribution's name as Prometheus has it, and by what its values are multiplied."""
    stem, _, unit = name.rpartition("_")
    return (f"{stem}_seconds", 1e-3) if unit == "milliseconds" else (name, 1.0)


EXPOSED: Mapping[str, Exposed] = {
    one.name: one
    for one in (
        Exposed(
            "newsbeam_stream_info",
            "gauge",
            ("stream_id", "engine"),
            "1; which stream this is, and what runs it",
        ),
        Exposed("newsbeam_start_timestamp_seconds", "gauge", (), "when the stream began"),
        Exposed("newsbeam_commits_total", "counter", (), "commits of the stream"),
        Exposed(
            "newsbeam_commit_seconds", "summary", (), "time that a commit took, from its first step"
        ),
        Exposed(
            "newsbeam_last_commit_timestamp_seconds",
            "gauge",
            (),
            "when the last commit was seen",
        ),
        Exposed(
            "newsbeam_articles_total",
            "counter",
            ("kind",),
            "rows of articles: `article` for new works, `revision` for new texts of known ones",
        ),
        Exposed("newsbeam_duplicates_total", "counter", ("kind",), "copies, by how alike they are"),
        Exposed(
            "newsbeam_units_unchanged_total",
            "counter",
            (),
            "items and texts that the dataset has as they are",
        ),
        Exposed(
            "newsbeam_units_rejected_total", "counter", ("reason",), "what is no article, by reason"
        ),
        Exposed(
            "newsbeam_units_failed_total",
            "counter",
            ("reason",),
            "what could not be read, by reason",
        ),
        Exposed("newsbeam_rows_total", "counter", ("table",), "rows added, by table"),
        Exposed("newsbeam_feeds_subscribed", "gauge", (), "feeds of the stream"),
        Exposed("newsbeam_feeds_failing", "gauge", (), "feeds whose last poll failed"),
        Exposed("newsbeam_polls_total", "counter", (), "polls of feeds"),
        Exposed("newsbeam_polls_unchanged_total", "counter", (), "polls that found nothing new"),
        Exposed("newsbeam_polls_failed_total", "counter", (), "polls that failed"),
        Exposed("newsbeam_links_followed_total", "counter", (), "links that came to an end"),
        Exposed(
            "newsbeam_pages_total",
            "counter",
            (),
            "pages and feed items, those that were unchanged with them",
        ),
        Exposed(
            "newsbeam_watermark_lag_seconds",
            "gauge",
            (),
            "time since the end of the last window that is committed",
        ),
        Exposed(
            "newsbeam_commit_delay_seconds",
            "gauge",
            (),
            "of the last commit: from the end of its window until it was ready",
        ),
        Exposed(
            "newsbeam_observed_lag_seconds",
            "histogram",
            (),
            "from when an answer came until its rows were Parquet",
        ),
        Exposed(
            "newsbeam_feed_lag_seconds",
            "histogram",
            (),
            "from publication until it was Parquet, where the time of publication is known to the "
            "minute, and is of the last day",
        ),
        Exposed(
            "newsbeam_engine_answer_timestamp_seconds",
            "gauge",
            (),
            "when the engine last told its counters, those of the stages",
        ),
        *_exposed_stages(),
    )
}
"""All metrics by name, in the order in which they are told."""

_FAMILIES = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "summary": SummaryMetricFamily,
}


class _Families(Collector):
    """Makes what Prometheus reads of a snapshot, each time that it asks."""

    def __init__(self, metrics: StreamMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        shot, lags = self._metrics.snapshot(), self._metrics.lag_counts()
        values = {**_gauges(shot), **_counters(shot), **_summaries(shot)}
        for name, one in EXPOSED.items():
            family = _FAMILIES[one.kind](name, one.meaning, labels=one.labels)
            if one.kind == "histogram":
                count, total, up_to = lags[name.removeprefix("newsbeam_").partition("_")[0]]
                bounds = [*map(str, map(float, LAG_BOUNDS_SECONDS)), "+Inf"]
                family.add_metric([], list(zip(bounds, [*up_to, count], strict=True)), total)
            elif one.kind == "summary":
                count, total = values.get(name, (0, 0.0))
                family.add_metric([], count, total)
            elif isinstance(labelled := values.get(name), Mapping):
                for labels, value in labelled.items():
                    family.add_metric(labels, value)
            elif labelled is not None:
                family.add_metric([], labelled)
            yield family


def _gauges(shot: Mapping[str, Any]) -> dict[str, Any]:
    last = shot["last_commit"]
    return {
        "newsbeam_stream_info": {(shot["stream_id"], shot["engine"]): 1},
        "newsbeam_start_timestamp_seconds": _epoch_seconds(shot["began_at"]),
        "newsbeam_last_commit_timestamp_seconds": _epoch_seconds(last["at"]) if last else None,
        "newsbeam_feeds_subscribed": shot["feeds_subscribed"],
        "newsbeam_feeds_failing": shot["feeds_failing"],
        "newsbeam_watermark_lag_seconds": shot["watermark_lag_seconds"],
        "newsbeam_commit_delay_seconds": last["watermark_lag_seconds"] if last else None,
        "newsbeam_engine_answer_timestamp_seconds": (
            None
            if shot["engine_answer_age_seconds"] is None
            else _epoch_seconds(shot["at"]) - shot["engine_answer_age_seconds"]
        ),
    }


def _counters(shot: Mapping[str, Any]) -> dict[str, Any]:
    outcomes = shot["outcomes"]
    stages = shot["stages"]["counters"]
    return {
        "newsbeam_commits_total": shot["commits"],
        "newsbeam_articles_total": {
            (kind,): outcomes.get(kind, 0) for kind in ("article", "revision")
        },
        "newsbeam_duplicates_total": _labelled(shot["duplicates_by_kind"]),
        "newsbeam_units_unchanged_total": outcomes.get("unchanged", 0),
        "newsbeam_units_rejected_total": _labelled(shot["rejected_by_reason"]),
        "newsbeam_units_failed_total": _labelled(shot["failed_by_reason"]),
        "newsbeam_rows_total": _labelled(shot["new_rows"]),
        "newsbeam_polls_total": shot["polls"],
        "newsbeam_polls_unchanged_total": shot["polls_unchanged"],
        "newsbeam_polls_failed_total": shot["polls_failed"],
        "newsbeam_links_followed_total": shot["links_followed"],
        "newsbeam_pages_total": shot["pages"],
        **{f"newsbeam_stage_{name}_total": count for name, count in stages.items()},
    }


def _summaries(shot: Mapping[str, Any]) -> dict[str, tuple[int, float]]:
    found = {"newsbeam_commit_seconds": (shot["commits"], shot["commit_seconds"])}
    for name, values in shot["stages"]["distributions"].items():
        exposed, factor = _in_base_unit(name)
        found[f"newsbeam_stage_{exposed}"] = (values["count"], values["sum"] * factor)
    return found


def _labelled(counts: Mapping[str, int]) -> dict[tuple[str], int]:
    return {(key,): count for key, count in sorted(counts.items())}


def _epoch_seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


class Endpoint(NamedTuple):
    """Where Prometheus may ask."""

    address: str
    port: int
    """0 for any that is free."""

    @property
    def url(self) -> str:
        """Of the metrics."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}/metrics"


def parse_endpoint(text: str) -> Endpoint:
    """``9464``, for this machine alone; ``0.0.0.0:9464`` or ``[::]:9464``, for all who reach it.

    Raises:
        UsageError: if it is neither.
    """
    address, colon, port = text.strip().rpartition(":")
    address = address.removeprefix("[").removesuffix("]") if colon else DEFAULT_ADDRESS
    if not (port.isascii() and port.isdecimal() and int(port[:6]) < 1 << 16) or not address:
        raise UsageError(f"--metrics-port {text!r} is no port; write 9464, or 0.0.0.0:9464")
    return Endpoint(address, int(port))


@contextmanager
def serving_metrics(metrics: StreamMetrics, endpoint: Endpoint) -> Iterator[Endpoint]:
    """Answer Prometheus while the block runs; gives where, with the port that was found.

    Raises:
        UsageError: if the port is taken, or the address is none of this machine.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(metrics))
    try:
        server, thread = start_http_server(endpoint.port, endpoint.address, registry)
    except OSError as error:
        raise UsageError(
            f"--metrics-port: cannot listen at {endpoint.address}, port {endpoint.port}: "
            f"{error.strerror}"
        ) from error
    try:
        yield Endpoint(endpoint.address, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
