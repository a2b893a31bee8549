"""What a dataset's age costs a run: ``python -m benchmarks.ageing [--days N]``.

Writes two datasets with the project's own writers and commit log, a run a day: one of 400 days, and
one of the last ten of them. Then the same day's input is ingested into copies of both, in turns, by
a process of its own each time: new articles, copies of the last week's, pages read again from
before the horizon, and changed texts of works from before it. Prints the medians, what each phase
took and read, and the ratio of the old dataset to the young
one, which is the number to look at: seconds are this machine's. Fails if it is above 1.3, or if the
two runs did not come to the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from benchmarks.slices import sentence
from pipelines.config import IngestConfig
from pipelines.dataset import STAGING, Dataset, local_dataset
from pipelines.run import data_files, ingest
from pipelines.steps import Outcome, Watch
from schemas.records import (
    Article,
    Duplicate,
    EnrichedArticle,
    Extraction,
    PublicationDate,
    Topic,
    UniqueArticle,
    Verdict,
    WrittenFile,
)
from transforms.fingerprints import fingerprint_article
from transforms.ledger import add_balances
from transforms.merging import settle_article
from transforms.storage import LocalStore
from transforms.writing import (
    StagedRow,
    assemble_range,
    plan_assembly,
    stage_article,
    stage_duplicate,
    to_run,
    write_run,
)

DAYS = 400
YOUNG_DAYS = 10
ARTICLES_A_DAY = 150
COPIES_A_DAY = 15
TOPICS = (
    Topic("medtop:07000000", "health", "health", 0.9),
    Topic("medtop:09000000", "labour", "labour", 0.9),
    Topic("medtop:14000000", "society", "society", 0.9),
    Topic("medtop:15000000", "sport", "sport", 0.9),
    Topic("medtop:17000000", "weather", "weather", 0.9),
)
REPEATS = 3
MAX_RATIO = 1.3
WHOLE = "whole run"
COPIED, REREAD, REVISED = 10, 5, 2
"""How many of the day's pages are copies of last week's articles, pages that were read before, and
changed pages."""
_REREAD_AGE, _REVISED_AGE = 10, 8
"""Of these, in days: beyond the horizon, within the young dataset."""
_SAMPLE_SECONDS = 0.005
_DAY_SECONDS = 86_400


# ── the datasets ────────────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class Age:
    """Where in time the datasets lie: the last day is a day before the benchmark began."""

    now_seconds: int
    """Since 1970."""
    inbox: str
    """Folder of the input: pages that are read again were read from there."""

    def observed_at(self, age: int) -> Timestamp:
        """When the run of so many days ago saw what it saw."""
        return Timestamp(self.now_seconds - age * _DAY_SECONDS)

    def source_uri(self, age: int, number: int) -> str:
        """The file that an article was read from."""
        if age == _REREAD_AGE and number < REREAD:
            return f"{self.inbox}/reread-{number}.html"
        return f"/pages/{age}/{number}.html"


def paragraphs(age: int, number: int) -> list[str]:
    """The text of an article by its day and number, about 170 words."""
    chance = random.Random(f"{age} {number}")
    return [" ".join(sentence(chance, "de") for _ in range(2)) for _ in range(3)]


def reworded(texts: list[str], seed: str) -> list[str]:
    """A text with three of its words replaced."""
    chance = random.Random(seed)
    changed = []
    for text in texts:
        words = text.split()
        words[chance.randrange(len(words) - 1)] = f"umgeschrieben{chance.randrange(10**6)}"
        changed.append(" ".join(words))
    return changed


def address(age: int, number: int) -> str:
    return f"https://news{number % 97}.example/{age}/{number}"


def make_article(age: Age, days_ago: int, number: int) -> Article:
    at = age.observed_at(days_ago)
    source = age.source_uri(days_ago, number)
    return Article(
        origin=source,
        page_origin=source,
        source_uri=source,
        body="\n\n".join(paragraphs(days_ago, number)),
        observed_at=at,
        extraction=Extraction("trafilatura", "generated", 1.0, "utf-8"),
        title=f"Report {number} of {days_ago} days ago",
        canonical_url=address(days_ago, number),
        site=f"news{number % 97}.example",
        published=PublicationDate(at - 3600, "second", "meta"),
    )


def make_copy(age: Age, days_ago: int, number: int) -> Duplicate:
    """A near copy of the article of that number, at another address."""
    original = make_article(age, days_ago, number)
    source = f"/copies/{days_ago}/{number}.html"
    article = dataclasses.replace(
        original,
        origin=source,
        page_origin=source,
        source_uri=source,
        body="\n\n".join(reworded(paragraphs(days_ago, number), source)),
        canonical_url=f"https://copies.example/{days_ago}/{number}",
        published=PublicationDate(age.observed_at(days_ago) - 1800, "second", "meta"),
    )
    verdict = Verdict(0, "near", fingerprint_article(original).article_id, 0.9)
    copy = settle_article(article, fingerprint_article(article), verdict, ())
    assert isinstance(copy, Duplicate)
    return copy


def enriched(article: Article, topic: Topic) -> EnrichedArticle:
    fingerprint = fingerprint_article(article)
    verdict = Verdict(0, "canonical", fingerprint.article_id, 1.0)
    unique = settle_article(article, fingerprint, verdict, ())
    assert isinstance(unique, UniqueArticle)
    return EnrichedArticle(
        unique=unique,
        language="de",
        language_score=1.0,
        topic=topic.slug,
        topics=(topic,),
        entities=(),
        entity_model=None,
        entity_note="generated",
        topic_model="generated",
        topic_note=None,
    )


def run_id(days_ago: int) -> str:
    return f"generated-{99_999 - days_ago:05d}"


def write_day(root: str, age: Age, articles: int, days_ago: int) -> list[WrittenFile]:
    """Stage the files of a day, as the last two steps of a run do."""
    store, name = LocalStore(root), run_id(days_ago)
    staging = f"{STAGING}/{name}"
    staged: dict[str, list[StagedRow]] = defaultdict(list)
    for number in range(articles):
        row = enriched(make_article(age, days_ago, number), TOPICS[number % len(TOPICS)])
        staged["articles"].append(stage_article(row, name))
    for number in range(min(COPIES_A_DAY, articles)):
        staged["duplicates"].append(stage_duplicate(make_copy(age, days_ago, number), name))
    runs = [
        write_run(store, f"{staging}/rows", table, to_run(table, rows), "0")
        for table, rows in staged.items()
    ]
    return [
        file
        for wanted in plan_assembly(store, runs, rows_per_range=10_000)
        for file in assemble_range(store, runs, wanted, f"{staging}/files", name)
    ]


def write_dataset(root: Path, age: Age, days: int, articles: int) -> Dataset:
    """A dataset of the last days, with a commit for each."""
    dataset = local_dataset(str(root))
    write = partial(write_day, str(root), age, articles)
    spawning = multiprocessing.get_context("spawn")
    with dataset.writing("benchmark"), ProcessPoolExecutor(mp_context=spawning) as pool:
        snapshot = dataset.snapshot()
        for days_ago, files in zip(
            range(days, 0, -1), pool.map(write, range(days, 0, -1)), strict=True
        ):
            staging = f"{STAGING}/{run_id(days_ago)}/files"
            listed = data_files(Outcome(add_balances([]), [], files))
            listed = dataset.with_statistics(snapshot, staging, listed)
            commit = dataset.publish("ingest", run_id(days_ago), snapshot.head, staging, listed)
            snapshot = snapshot.plus([commit])
    return dataset


# ── the day's input ─────────────────────────────────────────────────────────────────────────────


def page(texts: list[str], title: str, url: str) -> str:
    body = "".join(f"<p>{text}</p>" for text in texts)
    return (
        f'<!DOCTYPE html><html lang="de"><head><title>{title}</title>'
        f'<link rel="canonical" href="{url}"></head>'
        f"<body><article><h1>{title}</h1>{body}</article></body></html>"
    )


def pages_of_today(articles: int) -> Iterator[tuple[str, str]]:
    """(name, content) of the files that are ingested."""
    for number in range(articles):
        url = f"https://today.example/{number}"
        if number < COPIED:  # half of them word for word
            days_ago = 1 + number % 6
            texts = paragraphs(days_ago, number)
            texts = reworded(texts, url) if number % 2 else texts
        else:
            texts = paragraphs(0, number)
        yield f"new-{number:04d}.html", page(texts, f"Report {number} of today", url)
    for number in range(REREAD):
        title = f"Report {number} of {_REREAD_AGE} days ago"
        texts = paragraphs(_REREAD_AGE, number)
        yield f"reread-{number}.html", page(texts, title, address(_REREAD_AGE, number))
    for number in range(REVISED):
        title = f"Report {number} of {_REVISED_AGE} days ago"
        texts = reworded(paragraphs(_REVISED_AGE, number), "revised")
        yield f"revised-{number}.html", page(texts, title, address(_REVISED_AGE, number))


def expected_outcomes(articles: int) -> dict[str, int]:
    return {
        "article": articles - COPIED,
        "revision": REVISED,
        "duplicate": COPIED,
        "unchanged": REREAD,
        "rejected": 0,
        "failed": 0,
    }


# ── one run ─────────────────────────────────────────────────────────────────────────────────────


def bytes_read() -> int:
    """What this process has read so far, from files and pipes (Linux, ``proc_pid_io(5)``)."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").split("\n")
    return int(dict(line.split(": ") for line in lines if line)["rchar"])


class PhaseClock:
    """How long a run is at each of its phases, and what it reads there, seen by looking often."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.bytes_read: Counter[str] = Counter()

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Look while the block runs."""
        done = threading.Event()

        def look() -> None:
            seconds, read = time.monotonic(), bytes_read()
            while not done.wait(_SAMPLE_SECONDS):
                phase, now, read_now = watch.phase, time.monotonic(), bytes_read()
                self.seconds[phase] += now - seconds
                self.bytes_read[phase] += read_now - read
                seconds, read = now, read_now

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def ingest_once(inbox: str, output: str) -> dict[str, Any]:
    """The run that is measured, in this process alone."""
    clock = PhaseClock()
    read, began, worked = bytes_read(), time.perf_counter(), time.process_time()
    report = ingest(IngestConfig((inbox,), output, workers=1), watching=clock.watching)
    return {
        "seconds": {WHOLE: time.perf_counter() - began, **clock.seconds},
        "processor_seconds": {WHOLE: time.process_time() - worked},
        "bytes_read": {WHOLE: bytes_read() - read, **clock.bytes_read},
        "outcomes": report.summary()["outcomes"],
        "balanced": not report.balance.fault_count,
    }


def run_on_copy(dataset: Path, inbox: Path) -> dict[str, Any]:
    """Ingest into a copy of a dataset, in a new process."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=dataset.parent) as name:
        output = Path(name) / "news"
        # The files of a dataset are replaced and removed, never written to.
        shutil.copytree(dataset, output, copy_function=os.link)
        command = [sys.executable, "-m", "benchmarks.ageing", "--run", str(inbox), str(output)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


# ── what is printed ─────────────────────────────────────────────────────────────────────────────


def medians(results: list[dict[str, Any]]) -> dict[str, float]:
    """Of the whole and of each phase: seconds, and bytes read."""

    def median(measured: str, phase: str, unit: float) -> float:
        return statistics.median(one[measured].get(phase, 0) for one in results) / unit

    phases = [WHOLE, *sorted({phase for one in results for phase in one["seconds"]} - {WHOLE})]
    return {
        **{f"{phase}, s": median("seconds", phase, 1) for phase in phases},
        f"{WHOLE}, s of processor": median("processor_seconds", WHOLE, 1),
        **{f"{phase}, MiB read": median("bytes_read", phase, 2**20) for phase in phases},
    }


def size_of(dataset: Dataset) -> str:
    files = dataset.snapshot().files.values()
    return (
        f"{sum(file.rows for file in files):,} rows in {len(files):,} files, "
        f"{sum(file.size_bytes for file in files) / 2**20:.0f} MiB"
    )


def measure(root: Path, days: int, articles: int) -> int:
    """Build, run and print; gives the exit status."""
    inbox = root / "in"
    inbox.mkdir()
    for name, content in pages_of_today(articles):
        (inbox / name).write_text(content, encoding="utf-8")
    now = datetime.datetime.now(datetime.UTC)
    age = Age(int(now.timestamp()), str(inbox))
    sizes = {"young": YOUNG_DAYS, "old": days}
    for name, length in sizes.items():
        began = time.perf_counter()
        dataset = write_dataset(root / name, age, length, articles)
        seconds = time.perf_counter() - began
        print(
            f"{name:5}  {length:4} days: {size_of(dataset)}; written in {seconds:.0f} s", flush=True
        )
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sizes}
    for _ in range(REPEATS):
        for name, runs in results.items():
            runs.append(run_on_copy(root / name, inbox))
    return show(results, articles)


def show(results: dict[str, list[dict[str, Any]]], articles: int) -> int:
    """Print what was measured; 1 if it is not as it should be."""
    young, old = (medians(results[name]) for name in ("young", "old"))
    print(f"\n{f'median of {REPEATS}':25}  {'young':>8}  {'old':>8}  {'ratio':>6}")
    for name, value in old.items():
        before = young.get(name, 0.0)
        ratio = f"{value / before:6.2f}" if before else "     –"
        print(f"{name:25}  {before:8.2f}  {value:8.2f}  {ratio}")
    wanted = expected_outcomes(articles)
    for name, runs in results.items():
        for one in runs:
            if not one["balanced"] or one["outcomes"] != wanted:
                print(f"{name}: {one['outcomes']}, but there should be {wanted}")
                return 1
    ratio = old[f"{WHOLE}, s"] / young[f"{WHOLE}, s"]
    comparing = old["comparing, s"] / young["comparing, s"]
    read = old["comparing, MiB read"] / young["comparing, MiB read"]
    print(
        f"\na run on the old dataset takes {ratio:.2f} times as long as on the young one; its "
        f"comparing takes {comparing:.2f} times as long, and reads {read:.2f} times as much (of "
        f"the first and the last at most {MAX_RATIO})"
    )
    return int(max(ratio, read) > MAX_RATIO)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--articles", type=int, default=ARTICLES_A_DAY, help="a day")
    parser.add_argument("--run", nargs=2, metavar=("INPUT", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(ingest_once(*arguments.run)))
        return 0
    if arguments.days < YOUNG_DAYS or arguments.articles < COPIED:
        parser.error(f"at least {YOUNG_DAYS} days and {COPIED} articles a day are needed")
    with tempfile.TemporaryDirectory(prefix="newsbeam-ageing-") as name:
        return measure(Path(name), arguments.days, arguments.articles)


if __name__ == "__main__":
    sys.exit(main())
