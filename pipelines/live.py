"""The head of a run over live feeds: which are due, what they gave, and what is remembered of it.

::

    _newsbeam/staging/RUN/rounds/0000/round.json   when its feeds were polled
                                      poll/        pages, failures and polled feeds; report.json
                                      fetch/       pages, failures and fetched links; report.json

A run has one round. One that was killed while it fetched gets another when it goes on: the feeds
are asked once more, with the validators of the first round, so that what has not changed is not
sent again; and pages that lie whole in the first round's folder are not fetched again.

The memory of the feeds becomes that of the dataset with the run's commit, never before: what is
remembered as seen is in the dataset.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.timestamp import Timestamp

from pipelines.config import IngestConfig
from pipelines.feed_memory import without_forgotten
from pipelines.ingest import (
    KnownFiles,
    RunPlan,
    build_fetching,
    build_polling,
    build_staged_extraction,
)
from pipelines.staged import RunState
from pipelines.steps import Steps, blocks_of
from schemas.records import (
    Balance,
    DueFeed,
    Failure,
    FeedMemory,
    FetchedLink,
    LinkedItem,
    Page,
    PolledFeed,
    StagedBlock,
    Tally,
    WrittenFile,
)
from transforms.accounts import GIVES_UNIT
from transforms.addresses import may_share_secrets
from transforms.compaction import open_parquet
from transforms.following import FetchPlan
from transforms.listing import due_links, is_due, with_outcomes
from transforms.polling import PollPlan
from transforms.reading import ReadLimits, read_content
from transforms.slicing import BYTES_PER_BLOCK, FETCHED, PAGES, POLLED
from transforms.staging import RECORDS, is_whole, read_failures, read_records
from transforms.storage import Store
from transforms.writing import Report, read_whole_report

_LANES = 8
"""In how many shares the hosts are spread over the workers of a runner that is not local."""
_PAGE_BYTES = 64 << 10
"""How large a page is taken to be, to tell how many processes are worth their start."""
_SETTLED = {"known": "known-page", "same-page": "same-page"}
"""Outcomes of links that nothing comes of, and what the account calls them."""


@dataclass(frozen=True)
class FeedCounts:
    """What became of the feeds of a run."""

    subscribed: int = 0
    polled: int = 0
    unchanged: int = 0
    """Polled feeds that had not changed since the last time."""
    failed: int = 0
    not_due: int = 0
    links: int = 0
    """Pages that were to be fetched."""
    deferred: int = 0
    """Of them those that were put off to another run, because of their hosts."""
    next_due_at: Timestamp | None = None

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        due = self.next_due_at
        return {**asdict(self), "next_due_at": due.to_rfc3339() if due else None}


@dataclass
class Live:
    """What the feeds of a run have come to."""

    memories: dict[str, FeedMemory] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    """Of polling and fetching; with what could not be polled or fetched."""
    slices: list[tuple[str, list[StagedBlock]]] = field(default_factory=list)
    """Folders, with the pages that are to be extracted there."""
    counts: FeedCounts = field(default_factory=FeedCounts)
    balance: Balance = field(default_factory=lambda: Balance(0, 0, 0, (), (), 0, (), 0))
    """Of what is settled without a row: sources, pages and units beside those extracted."""

    @property
    def is_idle(self) -> bool:
        """Whether no feed was due, and no link."""
        return not self.reports

    @property
    def page_blocks(self) -> int:
        """How many blocks of pages there are to be extracted."""
        return sum(len(blocks) for _, blocks in self.slices)

    @property
    def page_bytes(self) -> int:
        """About how large the pages are that are to be extracted."""
        return _PAGE_BYTES * sum(block.rows for _, blocks in self.slices for block in blocks)

    @property
    def refused(self) -> list[StagedBlock]:
        """Failures of feeds, items and links."""
        return [block for block in blocks_of(self.reports) if block.kind == "failures"]

    def builds(self, plan: RunPlan) -> Iterator[tuple[str, Callable[[beam.Pipeline], None]]]:
        """The slices of pages: folders, and what builds their graphs."""
        for folder, blocks in self.slices:
            yield (
                folder,
                partial(build_staged_extraction, plan=plan, blocks=blocks, folder=folder),
            )


class LiveFeeds:
    """The rounds of a run, done before and still to be done."""

    def __init__(
        self,
        config: IngestConfig,
        plan: RunPlan,
        state: RunState,
        steps: Steps,
        *,
        memories: Mapping[str, FeedMemory],
        known: KnownFiles,
    ) -> None:
        self._config = config
        self._plan = plan
        self._state = state
        self._steps = steps
        self._known = known
        self._store: Store = plan.store
        self._subscriptions = {one.url: one for one in config.subscriptions}
        self._memories = dict(memories)
        self._reports: list[Report] = []
        self._found: list[StagedBlock] = []
        """Pages of a round that was killed, whole as they lie there."""
        self._links: dict[str, LinkedItem] = {}
        """By origin: still to be followed."""
        self._outcomes: list[FetchedLink] = []
        self._polled: dict[str, PolledFeed] = {}
        self._taken: set[str] = set()
        """Origins that the run has."""
        self._faults: list[str] = []
        self._unchanged: dict[str, int] = {}
        """Items that each feed lists as they were."""
        self._retried = 0

    def run(self, now: Timestamp) -> Live:
        """Go on with the rounds there are; poll and fetch what is due, unless that is done."""
        number, is_done = self._take_up()
        due = [] if is_done else self._due(now)
        self._links |= {} if is_done else self._links_due(now)
        if due or self._links:
            self._round(number, due, now)
        return self._live(now)

    # ── rounds that are done ────────────────────────────────────────────────────────────────────

    def _take_up(self) -> tuple[int, bool]:
        """Take up earlier rounds; the number of the next, and whether there need be none."""
        is_done = False
        number = 0
        names = self._store.names(f"{self._state.folder}/rounds")
        for number, name in enumerate(names, start=1):
            folder = f"{self._state.folder}/rounds/{name}"
            began = _round_time(self._store, folder)
            poll = read_whole_report(self._store, f"{folder}/poll/report.json")
            if poll is None or began is None:
                self._store.delete_folder(folder)
                return number - 1, False
            self._links |= self._links_due(began)
            self._apply_poll(poll)
            fetch = read_whole_report(self._store, f"{folder}/fetch/report.json")
            is_done = fetch is not None or not self._links
            if fetch is not None:
                self._apply_fetch(fetch)
            elif self._links:
                self._salvage(f"{folder}/fetch")
        return number, is_done

    def _salvage(self, folder: str) -> None:
        """Take the pages that a killed round has fetched, as far as they are whole."""
        for name in self._store.names(folder):
            if not name.startswith(f"{PAGES}-") or not name.endswith(RECORDS):
                continue
            path = f"{folder}/{name.removesuffix(RECORDS)}"
            if not is_whole(self._store, path + RECORDS):
                continue
            block = StagedBlock(PAGES, path, 0)
            urls = {page.origin for page in read_records(self._store, block, Page)}
            if urls & self._taken:  # of a bundle that was repeated
                continue
            self._found.append(replace(block, rows=len(urls)))
            self._taken |= urls
            taken_for: dict[str, str] = {}
            for link in list(self._links.values()):
                if link.url in urls:
                    first = taken_for.setdefault(link.url, link.origin) == link.origin
                    self._settle(FetchedLink(link, "page" if first else "same-page"))

    # ── a round ─────────────────────────────────────────────────────────────────────────────────

    def _due(self, now: Timestamp) -> list[DueFeed]:
        due = []
        for url, subscription in self._subscriptions.items():
            memory = self._memories.get(url) or FeedMemory(url)
            # What failed in a round that was killed has its failure in the run.
            is_answered = url not in self._polled or not self._polled[url].memory.reason
            if is_answered and is_due(memory, now, polls_all=self._config.polls_all):
                due.append(DueFeed(subscription, memory))
        return due

    def _links_due(self, now: Timestamp) -> dict[str, LinkedItem]:
        """Links of earlier runs that are to be tried now."""
        waiting = {
            link.origin: link
            for url in self._subscriptions
            if (memory := self._memories.get(url)) is not None
            for link in due_links(memory, now)
            # One that is a feed's by now may fail under that very address.
            if link.url not in self._taken and link.url not in self._subscriptions
        }
        self._retried += len(waiting.keys() - self._links.keys())
        return waiting

    def _round(self, number: int, due: list[DueFeed], now: Timestamp) -> None:
        folder = f"{self._state.folder}/rounds/{number:04d}"
        self._store.write(f"{folder}/round.json", json.dumps({"micros": now.micros}).encode())
        self._steps.watch.feeds = len(due)
        lanes = 1 if self._config.is_local else _LANES
        polling = PollPlan(
            self._config.http,
            now,
            lanes,
            taken=frozenset(self._taken),
            feeds=frozenset(self._subscriptions),
        )
        self._apply_poll(
            self._steps.head(
                f"{folder}/poll",
                partial(
                    build_polling,
                    plan=self._plan,
                    feeds=due,
                    polling=polling,
                    folder=f"{folder}/poll",
                ),
                phase="polling",
            )
        )
        self._steps.watch.links = len(self._links)
        links = [self._with_headers(link) for link in self._links.values()]
        if not links:
            return
        fetching = FetchPlan(
            self._config.http, now, partial(_read_page, limits=self._plan.limits), lanes
        )
        fetched = self._steps.head(
            f"{folder}/fetch",
            partial(
                build_fetching,
                plan=self._plan,
                links=links,
                fetching=fetching,
                known_files=self._known,
                folder=f"{folder}/fetch",
            ),
            phase="fetching",
        )
        counted = fetched.balance.sources if fetched.balance else 0
        if counted != len(links):
            self._faults.append(f"{len(links)} links were to be followed, but {counted} were")
        self._apply_fetch(fetched)

    def _with_headers(self, link: LinkedItem) -> LinkedItem:
        subscription = self._subscriptions.get(link.feed_url)
        if subscription is None or not may_share_secrets(subscription.url, link.url):
            return link
        return replace(link, headers=subscription.headers)

    # ── what came of it ─────────────────────────────────────────────────────────────────────────

    def _apply_poll(self, report: Report) -> None:
        self._reports.append(report)
        for block in blocks_of([report]):
            if block.kind == POLLED:
                for polled in read_records(self._store, block, PolledFeed):
                    self._polled[polled.memory.url] = polled
                    pending = (*polled.memory.pending, *polled.links)
                    self._memories[polled.memory.url] = replace(polled.memory, pending=pending)
                    # What the feed listed in an earlier round of the run was counted there.
                    self._unchanged.setdefault(polled.memory.url, polled.unchanged)
                    self._links |= {link.origin: link for link in polled.links}
            elif block.kind == PAGES:
                pages = read_records(self._store, block, Page)
                self._taken |= {page.origin for page in pages}
            else:
                failures = read_failures(self._store, block)
                self._taken |= {failure.origin for _, failure in failures}

    def _apply_fetch(self, report: Report) -> None:
        self._reports.append(report)
        for block in blocks_of([report]):
            if block.kind == FETCHED:
                for fetched in read_records(self._store, block, FetchedLink):
                    self._settle(fetched)

    def _settle(self, fetched: FetchedLink) -> None:
        self._outcomes.append(fetched)
        self._links.pop(fetched.link.origin, None)
        if fetched.outcome in GIVES_UNIT:
            self._taken.add(fetched.link.url)

    def _live(self, now: Timestamp) -> Live:
        return Live(
            memories=self._remembered(now),
            reports=self._reports,
            slices=list(self._slices(self._page_blocks())),
            counts=self._counts(),
            balance=self._balance(),
        )

    def _page_blocks(self) -> list[StagedBlock]:
        return [*(it for it in blocks_of(self._reports) if it.kind == PAGES), *self._found]

    def _slices(self, blocks: Sequence[StagedBlock]) -> Iterator[tuple[str, list[StagedBlock]]]:
        """Blocks of pages, each of bounded size, as many together as are worked through at once."""
        waiting: list[StagedBlock] = []
        waiting_rows = 0
        most_blocks = max(1, self._config.slice_bytes // BYTES_PER_BLOCK)
        for block in blocks:
            is_full = waiting_rows + block.rows > self._config.slice_files
            if waiting and (is_full or len(waiting) >= most_blocks):
                yield self._slice(waiting)
                waiting, waiting_rows = [], 0
            waiting.append(block)
            waiting_rows += block.rows
        if waiting:
            yield self._slice(waiting)

    def _slice(self, blocks: list[StagedBlock]) -> tuple[str, list[StagedBlock]]:
        # Named by what is in it, so that what another process did of it counts as done.
        names = Counter(block.path.rpartition("-")[2][:8] for block in blocks)
        return f"{self._state.folder}/slices/live-{'-'.join(sorted(names))[:80]}", blocks

    def _remembered(self, now: Timestamp) -> dict[str, FeedMemory]:
        """The memory of all feeds, with what became of the links."""
        by_feed: dict[str, list[FetchedLink]] = {}
        for outcome in self._outcomes:
            by_feed.setdefault(outcome.link.feed_url, []).append(outcome)
        memories = {
            url: with_outcomes(memory, by_feed.get(url, ()))
            for url, memory in self._memories.items()
        }
        return without_forgotten(memories, self._subscriptions, now)

    def _counts(self) -> FeedCounts:
        polled = [one for one in self._polled.values() if not one.is_put_off]
        outcomes = Counter(fetched.outcome for fetched in self._outcomes)
        due = [
            memory.due_at
            for url in self._subscriptions
            if (memory := self._memories.get(url)) is not None and memory.due_at is not None
        ]
        return FeedCounts(
            subscribed=len(self._subscriptions),
            polled=len(polled),
            unchanged=sum(one.is_unchanged for one in polled),
            failed=sum(bool(one.memory.reason) for one in polled),
            not_due=len(self._subscriptions) - len(self._polled),
            links=len(self._outcomes),
            deferred=outcomes["deferred"],
            next_due_at=min(due, default=None),
        )

    def _balance(self) -> Balance:
        outcomes = Counter(fetched.outcome for fetched in self._outcomes)
        unchanged = sum(self._unchanged.values())
        settled = Counter({"unchanged-item": unchanged})
        settled.update({detail: outcomes[outcome] for outcome, detail in _SETTLED.items()})
        tallies = [Tally("unchanged", detail, count) for detail, count in settled.items() if count]
        if outcomes["deferred"]:
            tallies.append(Tally("deferred", "", outcomes["deferred"]))
        balances = [report.balance for report in self._reports if report.balance]
        notes = [note for polled in self._polled.values() for note in polled.notes]
        faults = [*self._faults, *(fault for balance in balances for fault in balance.faults)]
        listed = sum(report.balance.pages for report in self._reports if report.balance is not None)
        # Pages that were staged are counted where they are extracted.
        staged = sum(block.rows for block in self._page_blocks())
        return Balance(
            sources=len(self._polled),
            pages=listed + unchanged + self._retried - staged,
            units=sum(tally.count for tally in tallies),
            tallies=tuple(tallies),
            faults=tuple(faults),
            fault_count=len(self._faults) + sum(balance.fault_count for balance in balances),
            notes=tuple(notes),
            note_count=len(notes),
        )


def _read_page(
    content: bytes, url: str, observed_at: Timestamp, *, limits: ReadLimits
) -> list[Page | Failure]:
    return list(read_content(content, url, observed_at, limits))


def _round_time(store: Store, folder: str) -> Timestamp | None:
    try:
        return Timestamp(micros=int(json.loads(store.read(f"{folder}/round.json"))["micros"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def rows_by_feed(
    store: Store, folder: str, files: Iterable[WrittenFile]
) -> dict[str, Counter[str]]:
    """How many rows of each kind the files of a run have for each feed.

    Args:
        store: that they lie in.
        folder: relative to it, where the run keeps them.
        files: the run's.

    Raises:
        OSError: if one cannot be read.
    """
    counts: dict[str, Counter[str]] = {}
    for file in files:
        with open_parquet(store, f"{folder}/{file.path}") as parquet:
            columns = ["kind", "source_uri", "page"] if file.table == "failures" else ["feed_url"]
            for batch in parquet.iter_batches(columns=columns):
                for feed, kind in _feeds_of(batch, file.table):
                    counts.setdefault(feed, Counter())[kind] += 1
    return counts


def _feeds_of(batch: pa.RecordBatch, table: str) -> Iterator[tuple[str, str]]:
    """(feed, field of its memory) of each row; an article of no feed has an empty one."""
    if table != "failures":
        yield from ((feed or "", table) for feed in batch.column("feed_url").to_pylist())
        return
    for row in batch.to_pylist():
        yield (row["page"] or {}).get("feed_url") or row["source_uri"] or "", row["kind"]


def with_rows(
    memories: Mapping[str, FeedMemory], rows: Mapping[str, Mapping[str, int]]
) -> dict[str, FeedMemory]:
    """Memories with the rows that a run has added: counts by feed, by name of the field."""
    changed = {
        url: replace(
            memories[url], **{name: getattr(memories[url], name) + n for name, n in counts.items()}
        )
        for url, counts in rows.items()
        if url in memories
    }
    return {**memories, **changed}
