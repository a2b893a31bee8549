"""What is measured: the names of Beam's counters and distributions, and how lags are summed up.

Each stage counts under ``NAMESPACE``; here is what each name means, for the documentation, the
terminal and Prometheus. A *counter* begins with what it counts, a *distribution* ends with its
unit. A bundle that is tried again may be counted twice: the account of a run is the ledger's.

>>> MEASURES["page_bytes"].unit
'bytes'
>>> summed_lags([0.5, 70.0])["p50"]
70.0
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

NAMESPACE = "newsbeam"


class Measure(NamedTuple):
    """A counter or distribution of Beam's."""

    name: str
    kind: str
    """``counter`` or ``distribution``."""
    unit: str
    stage: str
    """Where it is counted: a module of ``transforms`` or ``pipelines``, or several."""
    meaning: str


def _counter(name: str, stage: str, meaning: str) -> Measure:
    return Measure(name, "counter", name.partition("_")[0], stage, meaning)


def _distribution(name: str, stage: str, meaning: str) -> Measure:
    return Measure(name, "distribution", name.rpartition("_")[2], stage, meaning)


_LIVE = "feed_source, polling"
_FOLLOWED = "feed_source, fetching"

MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        _counter("feeds_polled", _LIVE, "answers of feeds, those that failed with them"),
        _counter("feeds_failed", _LIVE, "polls that failed"),
        _counter("links_followed", _FOLLOWED, "links of feed items that came to an end"),
        _counter("pages_fetched", _FOLLOWED, "links that led to a page"),
        _counter("sources_read", "reading", "files that were read, or parts of an archive"),
        _counter("pages_extracted", "extraction", "pages and feed items that were looked into"),
        _distribution("page_bytes", "extraction", "size of a page"),
        _distribution("extract_milliseconds", "extraction", "time that a page took"),
        _counter("articles_found", "extraction", "articles in pages"),
        _counter("failures_found", "extraction", "rejections and failures in pages"),
        _counter("articles_fingerprinted", "fingerprints", "articles that can be compared"),
        _counter("blocks_staged", "slicing", "blocks made durable"),
        _counter("rows_staged", "slicing", "articles, failures, polls … in these blocks"),
        _counter("files_searched", "known", "files of the dataset that were looked into"),
        _counter("pairs_found", "candidates", "pairs of texts that share something rare"),
        _counter("pairs_compared", "deduplication", "pairs of which both texts were compared"),
        _counter("pairs_linked", "deduplication", "pairs of which one is a copy of the other"),
        _counter("articles_unchanged", "merging", "articles that the dataset has as they are"),
        _counter("articles_merged", "merging", "articles and revisions that get a row"),
        _counter("copies_merged", "merging", "copies of others"),
        _counter("articles_enriched", "enrichment", "articles that were enriched"),
        _distribution("enrich_milliseconds", "enrichment", "time that a batch of articles took"),
        _counter("entities_found", "enrichment", "mentions of persons, places …"),
        _counter("rows_written", "writing", "rows on their way to their partition"),
        _counter("files_assembled", "writing", "Parquet files of partitions"),
        _distribution("file_bytes", "writing", "size of a Parquet file"),
        _counter("commits_published", "committing", "commits of the stream"),
        _distribution("commit_milliseconds", "committing", "time that a commit's steps took"),
    )
}
"""By name, in the order of the flow."""

# ── lags ────────────────────────────────────────────────────────────────────────────────────────

LAG_BOUNDS_SECONDS = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_200, 3_600, 14_400)
"""Lags are counted up to each of these; one above the last is in none of them."""
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def summed_lags(lags_seconds: Iterable[float]) -> dict[str, Any]:
    """Lags as a manifest keeps them: count, sum, quantiles, and how many there are up to a bound.

    Gives:
        ``count``; ``sum``; ``up_to``, for each of ``LAG_BOUNDS_SECONDS`` the count of lags that
        are not above it; and ``p50``, ``p95``, ``p99`` and ``max``, where there is any lag. All
        but counts in seconds.
    """
    ordered = sorted(lags_seconds)
    found: dict[str, Any] = {
        "count": len(ordered),
        "sum": round(sum(ordered), 3),
        "up_to": [bisect.bisect_right(ordered, bound) for bound in LAG_BOUNDS_SECONDS],
    }
    for name, share in _QUANTILES.items():
        if ordered:
            found[name] = round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3)
    return found


def quantile_of_counts(up_to: Iterable[int], count: int, share: float) -> float | None:
    """A quantile of lags of which only ``up_to`` is known, in seconds; None where there are none.

    Between two bounds it is interpolated, as Prometheus' ``histogram_quantile`` does; a quantile
    above the last bound is given as that bound.
    """
    if not count:
        return None
    wanted = share * count
    bounds = (0, *LAG_BOUNDS_SECONDS)
    for (low, high), (below, until) in zip(
        itertools.pairwise(bounds), itertools.pairwise((0, *up_to)), strict=True
    ):
        if until >= wanted and until > below:
            return low + (high - low) * (wanted - below) / (until - below)
    return float(LAG_BOUNDS_SECONDS[-1])
