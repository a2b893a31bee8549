"""A stream for as long as one likes: ``python -m benchmarks.soak [--minutes 20]`` (``make soak``).

Serves 200 feeds on 20 loopback hosts that grow by two items a second (``benchmarks.soak_sites``):
new texts, copies of other sites' texts, changed texts, some with their whole text in the feed. Runs
``newsbeam stream`` on them as a user would, on Prism, with a poll of each feed every 20 seconds
and a commit every 15; looks every few seconds at the memory of the launching process, in which the
workers are, and of the engine, at what is on its way to a commit, and at the dataset's files. Then
it asks the stream to end, and holds the dataset against the server's log.

Prints lags from publication, by the server's log, to the manifest's moment (p50, p95, p99) and the
memory, and writes a plot. Exits with 1 if

- a version that was given away is in no row, or in more than one;
- a version that was published long enough before the end is in no row;
- memory of the last third of the time is beyond ``MAX_GROWTH`` times that of the first third, both
  after ``WARM_UP_SHARE`` of the time;
- the stream does not come to its end.

Options that it does not know go to the stream: ``--runner=…``, ``--prism_location=…``. Without one
of these Prism is found or built as the tests have it (``tests/engines.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import psutil
import pyarrow.parquet as pq

from benchmarks.soak_sites import ITEMS_A_SECOND, Newsroom, SoakSites, Version, changes_in
from pipelines.dataset import COMMITS, STAGING

ROOT = Path(__file__).resolve().parent.parent
PLOT = ROOT / "docs" / "soak.svg"
POLL_SECONDS = 20
COMMIT_SECONDS = 15
COMPACT_AFTER = 20
"""Files of a partition: few enough for compaction to have its part in a soak."""
SAMPLE_SECONDS = 3.0
MAX_GROWTH = 1.15
WARM_UP_SHARE = 0.2
GRACE_SECONDS = 120.0
"""What was published at least this long before the end has to be there."""
DRAIN_SECONDS = 180.0
_QUANTILES = (0.5, 0.95, 0.99)


# ── what is judged ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment."""

    seconds: float
    """Since the stream was started."""
    launcher_bytes: int
    """Resident memory of the launching process, with the workers in it."""
    engine_bytes: int
    """Resident memory of all that it has started."""
    staged_bytes: int
    """What is on its way to a commit."""
    files: int
    """Data files of the dataset."""
    commits: int

    @property
    def memory_bytes(self) -> int:
        return self.launcher_bytes + self.engine_bytes


@dataclass(frozen=True)
class Row:
    """What the dataset has of a version."""

    version: Version
    run_id: str


@dataclass(frozen=True)
class Verdict:
    """The server's log against the rows."""

    lost: tuple[Version, ...]
    doubled: tuple[Version, ...]
    strange: tuple[Version, ...]
    """In a row, and not in the log."""

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.doubled or self.strange)


def judge(
    published: Mapping[Version, float],
    served: Iterable[Version],
    rows: Iterable[Row],
    *,
    ended_at: float,
    grace_seconds: float = GRACE_SECONDS,
) -> Verdict:
    """Hold the log against the rows.

    All that was given away has to be there, and all that had time enough to be: what was changed
    before anybody asked for it has not.
    """
    counts = Counter(row.version for row in rows)
    given = set(served)
    until = ended_at - grace_seconds
    expected = given | {
        version
        for version, at in published.items()
        if at < until and published.get((version[0], version[1] + 1), ended_at) > at + grace_seconds
    }
    return Verdict(
        tuple(sorted(expected - set(counts))),
        tuple(sorted(version for version, count in counts.items() if count > 1)),
        tuple(sorted(set(counts) - given)),
    )


def quantiles(values: Sequence[float]) -> list[float]:
    """p50, p95 and p99; none of no values."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[min(int(share * len(ordered)), last)] for share in _QUANTILES if ordered]


def growth(samples: Sequence[Sample], warm_up_share: float = WARM_UP_SHARE) -> float:
    """Memory in the last third of the time to that in the first third, medians, after a warm-up."""
    ends_at = samples[-1].seconds
    warm = [one for one in samples if one.seconds >= warm_up_share * ends_at]
    third = max(1, len(warm) // 3)
    first, last = (
        statistics.median(one.memory_bytes for one in part)
        for part in (warm[:third], warm[-third:])
    )
    return last / first


# ── what is looked at ───────────────────────────────────────────────────────────────────────────


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory; 0 once it has gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, from which some may vanish meanwhile."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return size


def look(process: psutil.Process, dataset: Path, seconds: float) -> Sample:
    """One sample."""
    try:
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    tables = [dataset / name for name in ("articles", "duplicates", "failures")]
    return Sample(
        seconds,
        resident_bytes(process),
        sum(map(resident_bytes, children)),
        folder_bytes(dataset / STAGING),
        sum(len(names) for table in tables for _, _, names in os.walk(table)),
        len(manifests(dataset)),
    )


def manifests(dataset: Path) -> list[Path]:
    """Of all commits, in order."""
    return sorted((dataset / COMMITS).glob("[0-9]*.json"))


def commit_moments(dataset: Path) -> dict[str, float]:
    """When the commit of a run became visible, by the run's id."""
    return {
        json.loads(path.read_text(encoding="utf-8"))["run_id"]: path.stat().st_mtime
        for path in manifests(dataset)
    }


def read_rows(dataset: Path) -> tuple[list[Row], Counter[str]]:
    """All rows of articles and duplicates, and how many there are in each table."""
    rows = []
    counts: Counter[str] = Counter()
    for table in ("articles", "duplicates", "failures"):
        for path in sorted(dataset.glob(f"{table}/**/*.parquet")):
            columns = [] if table == "failures" else ["url", "body", "run_id"]
            content = pq.ParquetFile(path).read(columns=columns)
            counts[table] += pq.read_metadata(path).num_rows
            for one in content.to_pylist() if columns else []:
                number = int(one["url"].rpartition("/")[2])
                rows.append(Row((number, changes_in(one["body"])), one["run_id"]))
    return rows, counts


# ── the plot ────────────────────────────────────────────────────────────────────────────────────

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 760, 150, 70, 40, 60
_COLOURS = ("#1f5fa8", "#c2571a", "#4a7d3a")
Series = Mapping[str, Sequence[tuple[float, float]]]


def plot(title: str, panels: Mapping[str, Series]) -> str:
    """Lines over minutes as SVG, a panel below the other, each from 0 to its highest value."""
    minutes = max(
        (x for panel in panels.values() for points in panel.values() for x, _ in points), default=0
    )
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 30} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for number, (name, panel) in enumerate(panels.items()):
        top = _TOP + 20 + number * (_HEIGHT + _GAP)
        parts += _panel(name, panel, top, max(minutes, 1e-9))
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, panel: Series, top: int, minutes: float) -> Iterable[str]:
    highest = max((y for points in panel.values() for _, y in points), default=0.0) or 1.0
    yield f'<text x="{_LEFT}" y="{top - 6}">{escape(name)}</text>'
    for share in (0.0, 0.5, 1.0):
        y = top + _HEIGHT * (1 - share)
        yield f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#ddd"/>'
        said = f"{highest * share:,.4g}"
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{said}</text>'
        x = _LEFT + _WIDTH * share
        bottom = top + _HEIGHT + 16
        said = f"{minutes * share:.1f} min"
        yield f'<text x="{x:.1f}" y="{bottom}" text-anchor="middle">{said}</text>'
    for number, (label, points) in enumerate(panel.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        at = " ".join(
            f"{_LEFT + _WIDTH * x / minutes:.1f},{top + _HEIGHT * (1 - y / highest):.1f}"
            for x, y in points
        )
        yield f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        x = _LEFT + _WIDTH - 170 * (len(panel) - 1 - number)
        yield (
            f'<text x="{x}" y="{top - 6}" text-anchor="end" fill="{colour}">{escape(label)}</text>'
        )


# ── a soak ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Soak:
    """What came of it."""

    newsroom: Newsroom
    samples: Sequence[Sample]
    began_at: float
    """When the stream was started, seconds since 1970."""
    ended_at: float
    """When it was asked to end."""
    drain_seconds: float
    exit_code: int
    commit_lines: Sequence[Mapping[str, Any]]
    """Of the metrics log."""


def engine_options(given: Sequence[str]) -> list[str]:
    """The options for the engine that are given; else those for Prism as the tests have it."""
    if any(option.startswith(("--runner", "--prism_location")) for option in given):
        return list(given)
    sys.path.append(str(ROOT / "tests"))
    from engines import find_prism  # noqa: PLC0415 - only where none is named

    return ["--runner=PrismRunner", f"--prism_location={find_prism()}", *given]


def soak(folder: Path, minutes: float, options: Sequence[str]) -> Soak:
    """Let a stream run for that long, into ``folder/news``."""
    samples: list[Sample] = []
    dataset = folder / "news"
    with (
        SoakSites(Newsroom(seed=6)) as sites,
        (folder / "stderr").open("wb") as errors,
        (folder / "summary.json").open("wb") as out,
    ):
        listed = "".join(f'[[feed]]\nurl = "{url}"\n' for url in sites.feed_urls)
        (folder / "feeds.toml").write_text(
            f'[defaults]\ninterval = "{POLL_SECONDS}s"\n{listed}', encoding="utf-8"
        )
        began_at = time.time()
        process = psutil.Popen(
            [
                *(sys.executable, "-m", "pipelines", "stream", "--output", str(dataset)),
                *("--feeds", str(folder / "feeds.toml"), "--commit-every", f"{COMMIT_SECONDS}s"),
                *("--metrics-log", str(folder / "metrics.jsonl"), "--allow-private-hosts"),
                *("--compact-after", str(COMPACT_AFTER), "--json", *options),
            ],
            cwd=ROOT,
            stdout=out,
            stderr=errors,
        )
        while process.poll() is None and time.time() < began_at + 60 * minutes:
            samples.append(look(process, dataset, time.time() - began_at))
            time.sleep(SAMPLE_SECONDS)
        ended_at = time.time()
        exit_code = _end(process)
        drain_seconds = time.time() - ended_at
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    told = [line["commit"] for line in map(json.loads, lines) if line["event"] == "commit"]
    return Soak(sites.newsroom, samples, began_at, ended_at, drain_seconds, exit_code, told)


def _end(process: psutil.Popen) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return int(process.wait(timeout=DRAIN_SECONDS))
    except subprocess.TimeoutExpired:
        for one in (*process.children(recursive=True), process):
            one.kill()
        return int(process.wait())


def mib(count: float) -> float:
    return count / 2**20


def report(result: Soak, dataset: Path, plot_path: Path | None) -> bool:
    """Print what came of it, write the plot; whether all is well."""
    newsroom, samples = result.newsroom, result.samples
    rows, counts = read_rows(dataset)
    moments = commit_moments(dataset)
    verdict = judge(newsroom.published, newsroom.served, rows, ended_at=result.ended_at)
    lags = [
        (moments[row.run_id], moments[row.run_id] - newsroom.published[row.version])
        for row in rows
        if newsroom.published.get(row.version, 0.0) > result.began_at
    ]
    warm_at = result.began_at + WARM_UP_SHARE * (result.ended_at - result.began_at)
    warm = [lag for at, lag in lags if at - lag > warm_at]
    print(f"{result.ended_at - result.began_at:.0f} s, drained in {result.drain_seconds:.1f} s")
    print(f"published {len(newsroom.published):,} versions, given away {len(newsroom.served):,}")
    print(f"rows: {', '.join(f'{count:,} {table}' for table, count in sorted(counts.items()))}")
    print(
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, strange {len(verdict.strange)}"
    )
    for name, versions in vars(verdict).items():
        if versions:
            print(f"  {name}: {versions[:10]}")
    print(_quantile_line("publication to commit, all", [lag for _, lag in lags]))
    print(_quantile_line("publication to commit, warm", warm))
    feed_lags = [line["stream"]["feed_lag_seconds"] for line in result.commit_lines]
    medians = [one["p50"] for one in feed_lags if one.get("count")]
    print(_quantile_line("feed_lag_seconds p50 of commits", medians))
    took = [line["seconds"] for line in result.commit_lines]
    print(_quantile_line("seconds of a commit", took))
    half = len(took) // 2
    if half:
        print(
            f"  first half {statistics.median(took[:half]):.2f} s,"
            f" second half {statistics.median(took[half:]):.2f} s, {len(took)} commits"
        )
    for name in ("launcher_bytes", "engine_bytes", "staged_bytes"):
        values = [mib(getattr(one, name)) for one in samples]
        print(f"{name[:-6]}: at most {max(values):,.1f} MiB, at the end {values[-1]:,.1f} MiB")
    ratio = growth(samples)
    print(f"memory, last third to first third: {ratio:.3f} (at most {MAX_GROWTH})")
    print(f"files {samples[-1].files:,}, commits {samples[-1].commits:,}")
    if plot_path is not None:
        plot_path.write_text(_picture(result, lags, moments), encoding="utf-8", newline="\n")
        print(f"plot: {plot_path}")
    return verdict.is_well and ratio <= MAX_GROWTH and result.exit_code == 0


def _quantile_line(name: str, values: Sequence[float]) -> str:
    found = zip(("p50", "p95", "p99"), quantiles(values), strict=False)
    return f"{name}: " + (", ".join(f"{q} {value:.1f} s" for q, value in found) or "none")


def _picture(
    result: Soak, lags: Sequence[tuple[float, float]], moments: Mapping[str, float]
) -> str:
    """Of memory, what is staged, lags (with the commit's moment), commits, and files."""
    by_commit: dict[float, list[float]] = {}
    for at, lag in lags:
        by_commit.setdefault((at - result.began_at) / 60, []).append(lag)
    minutes = [one.seconds / 60 for one in result.samples]

    def series(*values: float) -> list[tuple[float, float]]:
        return list(zip(minutes, values, strict=True))

    panels = {
        "resident memory, MiB": {
            "stream with its workers": series(*(mib(it.launcher_bytes) for it in result.samples)),
            "Prism": series(*(mib(it.engine_bytes) for it in result.samples)),
        },
        "on its way to a commit, MiB": {
            "staged": series(*(mib(it.staged_bytes) for it in result.samples))
        },
        "publication to commit, seconds": {
            name: [(at, quantiles(them)[index]) for at, them in sorted(by_commit.items())]
            for index, name in enumerate(("p50 of a commit", "p95 of a commit"))
        },
        "seconds that a commit takes": {
            "commit": [
                ((moments[line["run_id"]] - result.began_at) / 60, line["seconds"])
                for line in result.commit_lines
            ]
        },
        "data files": {"files": series(*(it.files for it in result.samples))},
    }
    span = (result.ended_at - result.began_at) / 60
    return plot(
        f"newsbeam stream on Prism: {result.newsroom.feeds} feeds, {ITEMS_A_SECOND:g} items a"
        f" second, {span:.0f} minutes",
        panels,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the plot is written")
    parser.add_argument("--keep", type=Path, help="a new folder for the dataset, which is kept")
    arguments, others = parser.parse_known_args()
    options = engine_options(others)
    with tempfile.TemporaryDirectory(prefix="newsbeam-soak-") as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        result = soak(folder, arguments.minutes, options)
        if result.exit_code:
            print((folder / "stderr").read_text(encoding="utf-8", errors="replace")[-4_000:])
            print(f"the stream ended with {result.exit_code}")
        return 0 if report(result, folder / "news", arguments.plot) else 1


if __name__ == "__main__":
    sys.exit(main())
