"""What compaction is worth to a reader: ``python -m benchmarks.small_files [FILES]``.

Writes a dataset of 5,000 files as feeds that are polled every hour leave it (25 files a partition,
four short articles a file), times three scans of it by DuckDB, Polars and PyArrow, compacts it, and
times them again: the number of articles by date and topic, the titles of one day, and the bodies
that hold a word. Prints the median of five runs each, and the ratio of uncompacted to compacted,
which is the number to look at: seconds are this machine's.
"""

from __future__ import annotations

import datetime
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines.compact import compact
from pipelines.dataset import DataFile, Dataset
from schemas.arrow import TABLES, to_table
from transforms.compaction import SORT_KEYS, sort_rows, write_files
from transforms.storage import LocalStore

FILES = 5_000
FILES_PER_PARTITION = 25
ROWS_PER_FILE = 4
TOPICS = ("politics", "sport", "health", "weather", "labour")
REPEATS = 5
_START = datetime.date(2026, 1, 1)
_WORDS = (
    *("harbour", "council", "river", "market", "school", "doctor", "village", "budget", "bridge"),
    *("ferry", "museum", "nurse", "farmer", "engineer", "mayor", "court", "winter", "spring"),
    *("field", "road"),
)

Scan = Callable[[str], Any]


def row(number: int, day: datetime.date) -> dict[str, Any]:
    body = " ".join(_WORDS[(number * 7 + place * place) % len(_WORDS)] for place in range(300))
    moment = datetime.datetime.combine(day, datetime.time(number % 24), datetime.UTC)
    digest = hashlib.sha256(f"{number} {body}".encode()).hexdigest()
    return {
        "article_id": digest[:32],
        "revision": 0,
        "origin": f"feed.xml#{number}",
        "source_uri": "feed.xml",
        "title": f"Report {number} on the {_WORDS[number % len(_WORDS)]}",
        "source": "The Example",
        "language": "en",
        "body": body,
        "published_at": moment,
        "observed_at": moment,
        "word_count": 300,
        "content_hash": digest,
        "fingerprint": hashlib.shake_256(digest.encode()).digest(512),
        "copies": 0,
        "run_id": "generated",
    }


def write_dataset(root: Path, files: int) -> Dataset:
    store = LocalStore(str(root))
    dataset = Dataset(store)
    written: list[DataFile] = []
    for number in range(files):
        partition = number // FILES_PER_PARTITION
        day = _START + datetime.timedelta(days=partition // len(TOPICS))
        rows = [row(number * ROWS_PER_FILE + place, day) for place in range(ROWS_PER_FILE)]
        folder = f"articles/date={day}/topic={TOPICS[partition % len(TOPICS)]}"
        table = sort_rows(to_table(rows, TABLES["articles"]), SORT_KEYS["articles"])
        name = f"hour-{number % FILES_PER_PARTITION:03d}-{{}}.parquet".format
        made = write_files(store, "_newsbeam/staging/made", folder, name, [table], "articles")
        written += [DataFile(it.path, it.rows, it.size_bytes, it.sha256) for it in made]
    with dataset.writing("benchmark"):
        dataset.publish("ingest", "generated", 0, "_newsbeam/staging/made", written)
    return dataset


def _duckdb(sql: str) -> Scan:
    def scan(root: str) -> Any:
        files = f"read_parquet('{root}/articles/**/*.parquet', hive_partitioning = true)"
        return duckdb.sql(sql.format(files=files)).fetchall()

    return scan


def _polars(ask: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Scan:
    def scan(root: str) -> Any:
        files = pl.scan_parquet(f"{root}/articles/**/*.parquet", hive_partitioning=True)
        return ask(files).collect()

    return scan


def _pyarrow(ask: Callable[[ds.Dataset], Any]) -> Scan:
    def scan(root: str) -> Any:
        return ask(ds.dataset(f"{root}/articles", partitioning="hive"))

    return scan


DAY = _START + datetime.timedelta(days=3)
SCANS: dict[str, dict[str, Scan]] = {
    "count by date and topic": {
        "DuckDB": _duckdb("SELECT date, topic, count(*) FROM {files} GROUP BY ALL"),
        "Polars": _polars(lambda rows: rows.group_by("date", "topic").len()),
        "PyArrow": _pyarrow(
            lambda rows: (
                rows.to_table(columns=["date", "topic"])
                .group_by(["date", "topic"])
                .aggregate([([], "count_all")])
            )
        ),
    },
    "titles of one day": {
        "DuckDB": _duckdb(f"SELECT title FROM {{files}} WHERE date = DATE '{DAY}'"),
        "Polars": _polars(lambda rows: rows.filter(pl.col("date") == DAY).select("title")),
        "PyArrow": _pyarrow(
            lambda rows: rows.to_table(columns=["title"], filter=ds.field("date") == str(DAY))
        ),
    },
    "bodies with a word": {
        "DuckDB": _duckdb("SELECT count(*) FROM {files} WHERE contains(body, 'ferry bridge')"),
        "Polars": _polars(
            lambda rows: rows.filter(
                pl.col("body").str.contains("ferry bridge", literal=True)
            ).select(pl.len())
        ),
        "PyArrow": _pyarrow(
            lambda rows: rows.count_rows(
                filter=pc.match_substring(ds.field("body"), "ferry bridge")
            )
        ),
    },
}


def seconds(scan: Scan, root: str) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        scan(root)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with tempfile.TemporaryDirectory(prefix="newsbeam-small-files-") as name:
        root = Path(name) / "news"
        dataset = write_dataset(root, files)
        before = {
            (question, reader): seconds(scan, str(root))
            for question, scans in SCANS.items()
            for reader, scan in scans.items()
        }
        with dataset.writing("benchmark"):
            report = compact(dataset)
        change = report.tables["articles"]
        print(
            f"{change.files_before:,} files, {change.bytes_before / 2**20:.1f} MiB -> "
            f"{change.files_after:,} files, {change.bytes_after / 2**20:.1f} MiB "
            f"in {report.seconds:.1f} s"
        )
        print(f"{'question':25}  {'reader':8}  {'before s':>8}  {'after s':>8}  {'ratio':>6}")
        for (question, reader), taken in before.items():
            after = seconds(SCANS[question][reader], str(root))
            ratio = taken / after
            print(f"{question:25}  {reader:8}  {taken:8.3f}  {after:8.3f}  {ratio:6.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
