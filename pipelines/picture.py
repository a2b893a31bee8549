"""What a person sees: progress while a run goes on, and a short picture of what it did."""

from __future__ import annotations

import logging
import re
import shlex
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from pipelines.compact import CompactReport
from pipelines.every import Round
from pipelines.replay import ReplayReport
from pipelines.run import RunReport
from pipelines.steps import Watch
from schemas.arrow import NULL_PARTITION
from transforms.progress import read_progress

MAX_ROWS_SHOWN = 30
_EXPANDED_IN_QUOTES = frozenset('"$`\\!')
_REFRESH_SECONDS = 0.2
_LOG_EVERY_SECONDS = 10.0

_logger = logging.getLogger("newsbeam")


@contextmanager
def progress_bar(console: Console, watch: Watch) -> Iterator[None]:
    """Show files, articles and their rate on a terminal while the block runs."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    feeds = progress.add_task("feeds", total=0, rate="", visible=False)
    links = progress.add_task("links", total=0, rate="", visible=False)
    files = progress.add_task("files", total=watch.sources, rate="")
    enriched = progress.add_task("articles", total=None, rate="")
    began = time.monotonic()

    def show() -> None:
        counts = read_progress(watch.progress_folder)
        for task, step, total in ((feeds, "feeds", watch.feeds), (links, "links", watch.links)):
            progress.update(task, completed=counts[step], total=total, visible=total > 0)
        rate = _rate(counts, began)
        progress.update(files, completed=counts["files"], total=watch.sources, rate=rate)
        progress.update(
            enriched,
            total=watch.unique if watch.unique is not None else counts["articles"] or None,
            completed=counts["enriched"],
            rate=f"enriched · {watch.phase}",
        )

    with progress, _repeating(show, _REFRESH_SECONDS):
        yield


def _rate(counts: Counter[str], began: float) -> str:
    """Articles found a second by this process: those of an earlier one it does not count."""
    found = counts["articles"] - counts["articles_before"]
    return f"{found / max(time.monotonic() - began, 0.001):.1f} articles/s"


@contextmanager
def progress_log(watch: Watch) -> Iterator[None]:
    """Log files, articles and their rate every ten seconds while the block runs."""
    began = time.monotonic()
    if watch.sources:
        _logger.info("reading %d files or parts of one, %s", watch.sources, size(watch.input_bytes))

    def show() -> None:
        counts = read_progress(watch.progress_folder)
        if watch.phase in {"polling", "fetching"}:
            _logger.info(
                "%s: %d of %d feeds, %d of %d links",
                watch.phase,
                counts["feeds"],
                watch.feeds,
                counts["links"],
                watch.links,
            )
            return
        _logger.info(
            "%s: %d of %d files, %d articles found (%s), %d of %s enriched",
            watch.phase,
            counts["files"],
            watch.sources,
            counts["articles"],
            _rate(counts, began),
            counts["enriched"],
            "?" if watch.unique is None else watch.unique,
        )

    with _repeating(show, _LOG_EVERY_SECONDS):
        yield


@contextmanager
def _repeating(show: object, every_seconds: float) -> Iterator[None]:
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every_seconds):
            show()  # type: ignore[operator]

    thread = threading.Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def size(size_bytes: int) -> str:
    """A size for a person: ``812 B``, ``3.4 MiB``."""
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _reasons(details: dict[str, int]) -> str:
    named = [f"{detail} {count}" for detail, count in sorted(details.items()) if detail]
    return f"  ({', '.join(named)})" if named else ""


def query(output: str) -> str:
    """A query on the articles that can be pasted into a shell."""
    named = output if "://" in output else Path(output).as_posix()
    folder = re.sub(r"([*?[])", r"[\1]", named.rstrip("/"))  # taken literally
    files = f"{folder}/articles/**/*.parquet".replace("'", "''")
    sql = (
        f"SELECT date, topic, title, authors FROM read_parquet('{files}', "
        "hive_partitioning = true) ORDER BY date, title"
    )
    quoted = shlex.quote(sql) if set(sql) & _EXPANDED_IN_QUOTES else f'"{sql}"'
    return f"duckdb -c {quoted}"


_PLURALS = {"article": "articles", "revision": "revisions", "duplicate": "duplicates"}


def _counted(count: int, noun: str) -> str:
    """``1 feed``, ``2 feeds``."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def _feeds_line(feeds: Mapping[str, Any]) -> str:
    """What became of the feeds, in a few words."""
    parts = [f"{feeds['polled']} of {_counted(feeds['subscribed'], 'feed')} polled"]
    for key, what in (
        ("unchanged", "unchanged"),
        ("failed", "failed"),
        ("not_due", "not due"),
    ):
        if feeds[key]:
            parts.append(f"{feeds[key]} {what}")
    parts.append(_counted(feeds["links"], "link"))
    if feeds["deferred"]:
        parts.append(f"{feeds['deferred']} put off to the next run")
    return ", ".join(parts)


def round_line(done: Round, left_seconds: float) -> str:
    """One round of several in one line."""
    summary = done.summary or {}
    outcomes = [
        f"{count} {outcome if count == 1 else _PLURALS.get(outcome, outcome)}"
        for outcome, count in summary.get("outcomes", {}).items()
        if count
    ]
    feeds = summary.get("feeds")
    polled = f"{_feeds_line(feeds)}; " if feeds else ""
    message = f"; {done.message}" if done.message else ""
    return (
        f"round {done.number}: {polled}{', '.join(outcomes) or 'nothing new'}; "
        f"{done.seconds:.1f} s, the next in {left_seconds:.0f} s{message}"
    )


def _inputs(report: RunReport) -> str:
    """What the run was told to read."""
    if report.feeds is None:
        return f"{report.sources} files"
    feeds = _counted(report.feeds.subscribed, "feed")
    return f"{report.sources} files and {feeds}" if report.sources else feeds


def show_report(console: Console, report: RunReport) -> None:
    """Print the account of a run, what it added, and how to go on from there."""
    balance = report.balance
    seconds = max(report.seconds, 0.001)
    console.print(
        f"[bold]newsbeam[/] {report.run_id}: {_inputs(report)}, {balance.pages} pages, "
        f"{balance.units} units in {seconds:.1f} s ({balance.units / seconds:.1f}/s)"
    )
    if report.feeds is not None:
        console.print(f"  {_feeds_line(report.feeds.summary())}")
        if not report.parts and not balance.fault_count:
            due = report.feeds.next_due_at
            when = f"; the next is due at {due.to_rfc3339()}" if due else ""
            console.print(f"  nothing was due{when} (--poll-all polls all the same)")
            return
    if report.slices > 1 or report.parts > 1:
        resumed = f", {report.resumed_slices} of them done before" if report.resumed_slices else ""
        parts = f", published in {report.parts} parts" if report.parts > 1 else ""
        console.print(f"  in {report.slices} slices{resumed}{parts}")
    account = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2))
    account.add_column(justify="left")
    account.add_column(justify="right")
    account.add_column(justify="left")
    for name, outcome in (
        ("articles", "article"),
        ("revisions", "revision"),
        ("duplicates", "duplicate"),
        ("unchanged", "unchanged"),
        ("rejected", "rejected"),
        ("failed", "failed"),
        *([("put off", "deferred")] if report.count("deferred") else []),
    ):
        account.add_row(name, str(report.count(outcome)), _reasons(report.details(outcome)))
    total = sum(tally.count for tally in balance.tallies)
    verdict = "[green]balanced[/]" if not balance.fault_count else "[red]does not balance[/]"
    account.add_row("total", str(total), f"of {balance.units} units: {verdict}")
    console.print(account)
    _show_partitions(console, report)
    for label, sentences, count in (
        ("faults", balance.faults, balance.fault_count),
        ("notes", balance.notes, balance.note_count),
    ):
        if sentences:
            console.print(f"\n[bold]{label}[/]")
            for sentence in sentences:
                console.print(Text(f"  {sentence}"), soft_wrap=True)
            if count > len(sentences):
                console.print(f"  … and {count - len(sentences)} more")
    folder = report.output if "://" in report.output else Path(report.output)
    console.print(Text(f"\nfiles   {folder}/{{articles,duplicates,failures}}/"), soft_wrap=True)
    console.print(Text(f"query   {query(report.output)}"), soft_wrap=True)


def show_replay(console: Console, report: ReplayReport) -> None:
    """Print what became of the failures that were tried again."""
    console.print(
        f"[bold]newsbeam[/] {report.run.run_id}: {report.retried} failures tried again, "
        f"{report.resolved} resolved, {report.retried - report.resolved} still open"
    )
    if report.retried:
        show_report(console, report.run)


def show_compaction(console: Console, report: CompactReport) -> None:
    """Print what a compaction made of the files of each table."""
    if not report.run_id:
        console.print("[bold]newsbeam[/] compact: nothing to do")
        return
    console.print(
        f"[bold]newsbeam[/] {report.run_id}: {report.rewritten} of {report.partitions} partitions "
        f"rewritten in {report.seconds:.1f} s"
    )
    table = Table(box=None, padding=(0, 2))
    for name in ("", "files before", "after", "bytes before", "after"):
        table.add_column(name, justify="left" if not name else "right")
    for name, change in report.tables.items():
        table.add_row(
            name,
            str(change.files_before),
            str(change.files_after),
            size(change.bytes_before),
            size(change.bytes_after),
        )
    console.print(table)


def _rows_by(
    period_length: int, partitions: Counter[tuple[str, str]]
) -> list[tuple[tuple[str, str], int]]:
    counts: Counter[tuple[str, str]] = Counter()
    for (date, topic), rows in partitions.items():
        period = "unknown" if date == NULL_PARTITION else date[:period_length]
        counts[period, topic] += rows
    return sorted(counts.items())


def _show_partitions(console: Console, report: RunReport) -> None:
    partitions = report.partitions()
    if not partitions:
        console.print("\nno new articles")
        return
    period, counts = "date", _rows_by(len("2026-02-13"), partitions)
    for coarser, length in (("month", len("2026-02")), ("year", len("2026"))):
        if len(counts) > MAX_ROWS_SHOWN:
            period, counts = coarser, _rows_by(length, partitions)
    table = Table(box=None, padding=(0, 2), title="new articles", title_justify="left")
    table.add_column(period)
    table.add_column("topic")
    table.add_column("rows", justify="right")
    hidden = counts[:-MAX_ROWS_SHOWN]  # the newest are what a person looks for
    for (date, topic), rows in counts[-MAX_ROWS_SHOWN:]:
        table.add_row(date, topic, str(rows))
    console.print()
    console.print(table)
    if hidden:
        rows = sum(count for _, count in hidden)
        console.print(f"  … and {rows} rows of {hidden[0][0][0]} to {hidden[-1][0][0]}")
