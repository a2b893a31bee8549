"""Holding a dataset against its promises, and saying what is wrong with it.

In: a dataset in a store. Out: a ``VerifyReport``. No lease is taken and nothing is written: a
writer may be at work meanwhile. A commit that is decided but not carried out counts as part of the
dataset, with its files where they lie, for the next writer finishes it.

Each row is read once. In memory are a batch of rows, and of all rows what must be compared between
files: 64 bytes for an article, 40 for a copy or failure.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import itertools
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.config import UsageError
from pipelines.dataset import (
    COMMITS,
    MEMORY,
    PENDING,
    STAGING,
    Commit,
    DataFile,
    Dataset,
    DatasetError,
    Snapshot,
    checkpoint_path,
)
from pipelines.feed_memory import read_memory
from pipelines.key_files import counts, examine_keys, number_of
from schemas.arrow import NULL_PARTITION, SCHEMA_VERSION, TABLES
from schemas.records import REASONS, SIGNATURE_LENGTH
from transforms.compaction import SORT_KEYS, DamagedFileError, Key, open_parquet
from transforms.compaction import row_keys as order_keys
from transforms.dates import MAX_ZONE_HOURS
from transforms.file_keys import FileKeys, Keys, joined, row_keys, row_times, spanned
from transforms.shingles import content_hash, normalised_words, title_key
from transforms.storage import PARTIAL, Store
from transforms.topics import UNCLASSIFIED, TopicModel, slug_of

CHECKS = {
    "manifests": "every manifest is there, can be read, and its account balances",
    "files": "what is listed is there, unharmed to the last page, in its schema; no more",
    "counts": "files have the rows that are listed, and commits add what they say",
    "partitions": "date and topic in the path agree with the rows",
    "identity": "no row is there twice, no revision is left out, and what is pointed to is there",
    "columns": "values mean what the schema says: hashes, dates, offsets, vocabularies",
    "order": "rows are sorted, so that filters prune",
    "statistics": "what is listed of a file's times and keys is what its rows have",
}
"""Every check, in order, and what it holds the dataset to."""
MAX_LISTED = 20
"""How many faults of a check are spelt out; all are counted."""
MAX_READINGS = 3
"""How often the dataset is read, if writers change it meanwhile."""
_ROWS_PER_BATCH = 512
_ROWS_NAMED = 3
_NAME_CHARACTERS = 120

Mask = npt.NDArray[np.bool_]
"""True for each row of a batch that is wrong."""


@dataclass(frozen=True)
class Check:
    """One check, and what it found."""

    name: str
    promise: str
    faults: tuple[str, ...]
    """A sentence each, at most ``MAX_LISTED``."""
    fault_count: int


@dataclass(frozen=True)
class TableCount:
    """What a table holds, as far as it can be read."""

    table: str
    files: int
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class VerifyReport:
    """What ``verify`` found."""

    output: str
    head: int
    """The number of the last commit, also of one that is only decided."""
    commits: int
    """How many manifests could be read, also those of schema version 1, which have no number."""
    tables: tuple[TableCount, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    """What a person should hear that is no fault."""
    disturbed: bool
    """Whether there are faults, and writers changed the dataset each time it was read."""
    seconds: float

    @property
    def fault_count(self) -> int:
        """The faults of all checks."""
        return sum(check.fault_count for check in self.checks)

    @property
    def clean(self) -> bool:
        """Whether no check found a fault."""
        return not self.fault_count

    def summary(self) -> dict[str, Any]:
        """The report as plain values, for ``--json``."""
        return {
            "output": self.output,
            "schema_version": SCHEMA_VERSION,
            "clean": self.clean,
            "fault_count": self.fault_count,
            "disturbed": self.disturbed,
            "head": self.head,
            "commits": self.commits,
            "tables": {
                count.table: {
                    "files": count.files,
                    "rows": count.rows,
                    "size_bytes": count.size_bytes,
                }
                for count in self.tables
            },
            "checks": {
                check.name: {
                    "promise": check.promise,
                    "fault_count": check.fault_count,
                    "faults": list(check.faults),
                }
                for check in self.checks
            },
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def verify(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Check every promise of a dataset.

    ``progress`` is called with how many files are read, and how many there are. If there are
    faults, and commits came or were carried out meanwhile, the dataset is read again, up to
    ``MAX_READINGS`` times: what is a fault to one who looks twice may be a commit to the writer.

    Raises:
        UsageError: if there is no dataset, or it is out of reach.
    """
    began = time.monotonic()
    require_dataset(dataset)
    for _ in range(MAX_READINGS):
        before = _state(dataset.store)
        reading = _Reading(dataset, progress or (lambda done, total: None))
        reading.carry_out()
        changed = _state(dataset.store) != before
        faults = reading.findings.count()
        if not (changed and faults):
            break
    notes = reading.notes
    if not changed:  # else a writer may have replaced it
        notes += reading.memory_notes
    if changed:
        notes.append(
            "writers changed the dataset each time it was read, and what is wrong may be what they "
            "were about to change: verify it again when they are done"
            if faults
            else f"commits came while the dataset was read; it was checked up to {reading.head}"
        )
    return VerifyReport(
        output=dataset.store.url,
        head=reading.head,
        commits=len(reading.commits),
        tables=reading.counts(),
        checks=reading.findings.checks(),
        notes=tuple(notes),
        disturbed=bool(changed and faults),
        seconds=time.monotonic() - began,
    )


def require_dataset(dataset: Dataset) -> None:
    """Raise ``UsageError`` if there is no dataset, or it is out of reach."""
    url = dataset.store.url
    try:
        names = dataset.store.names("")
    except OSError as error:
        raise UsageError(f"cannot read {url}: {error.strerror or error}") from error
    if not {MEMORY, *TABLES} & set(names):
        raise UsageError(f"{url} holds no dataset: neither {MEMORY} nor {', '.join(TABLES)}")


def _state(store: Store) -> list[list[str]]:
    """What tells whether a writer has decided or finished something."""
    return [_names(store, folder) for folder in (COMMITS, PENDING, f"{MEMORY}/runs")]


def _names(store: Store, folder: str) -> list[str]:
    try:
        return store.names(folder)
    except OSError:
        return []  # the reading itself meets the same refusal, and reports it


class Findings:
    """The faults found so far."""

    def __init__(self) -> None:
        self._faults: dict[str, list[str]] = {name: [] for name in CHECKS}
        self._counts: Counter[str] = Counter()

    def add(self, check: str, sentence: str) -> None:
        """Count a fault, and keep its sentence if there are not too many."""
        self._counts[check] += 1
        if len(self._faults[check]) < MAX_LISTED:
            self._faults[check].append(sentence)

    def count(self) -> int:
        """How many faults there are."""
        return self._counts.total()

    def checks(self) -> tuple[Check, ...]:
        """Every check with its faults."""
        return tuple(
            Check(name, promise, tuple(self._faults[name]), self._counts[name])
            for name, promise in CHECKS.items()
        )


# ── what the manifests say ──────────────────────────────────────────────────────────────────────


@dataclass
class Listing:
    """What manifests say that the dataset holds."""

    commits: list[Commit | None] = field(default_factory=list)
    """None stands for what cannot be read or is missing."""
    files: dict[str, DataFile] = field(default_factory=dict)
    staged: dict[str, str] = field(default_factory=dict)
    """Where the files of pending commits lie until they are brought to their places."""
    staging: set[str] = field(default_factory=set)
    """The folders of these."""
    removed: dict[str, str] = field(default_factory=dict)
    """Path of a file that was taken out, and by which commit."""
    leaving: set[str] = field(default_factory=set)
    """Files that a pending commit takes out, and that may still be there."""
    memory: str = ""
    """The memory of feeds in force."""

    @property
    def whole(self) -> bool:
        """Whether every manifest could be read."""
        return None not in self.commits

    def apply(self, commit: Commit) -> None:
        """Go on by one commit."""
        for path in commit.removed:
            self.files.pop(path, None)
            self.removed[path] = _name(commit)
        for file in commit.files:
            self.files[file.path] = file
            self.removed.pop(file.path, None)
        self.memory = commit.memory or self.memory
        self.commits.append(commit)


def _name(commit: Commit) -> str:
    return f"commit {commit.number}" if commit.number else f"the manifest of run {commit.run_id}"


def read_manifests(dataset: Dataset, findings: Findings, notes: list[str]) -> Listing:
    """Add up the commits, as far as they can be read, and those that are only decided."""
    listing = Listing()
    try:
        # Before the manifests, so that those that a checkpoint is made of are found.
        checkpoints = read_checkpoints(dataset, notes)
        found = list(dataset.examine())
        pending = list(dataset.pending())
    except OSError as error:
        findings.add("manifests", f"the manifests cannot be listed: {error}")
        listing.commits.append(None)
        return listing
    head = 0
    for position, commit in enumerate([*found, *pending]):
        if isinstance(commit, DatasetError):
            findings.add("manifests", str(commit))
            listing.commits.append(None)
            continue
        if position >= len(found):
            if commit.number not in (0, head + 1):
                findings.add(
                    "manifests",
                    f"{PENDING}/{commit.name} does not follow on commit {head}, the last one",
                )
            notes.append(
                f"{_name(commit)} is decided, but not carried out: a run was killed or is at work; "
                "the next run finishes it"
            )
            listing.staging.add(commit.staging)
            paths = [*(file.path for file in commit.files), commit.memory]
            listing.staged |= {path: f"{commit.staging}/{path}" for path in paths if path}
            listing.leaving |= set(commit.removed)
        head = max(head, commit.number)
        check_account(commit, findings)
        listing.apply(commit)
        if position < len(found) and listing.whole and commit.number in checkpoints:
            check_checkpoint(checkpoints[commit.number], listing, findings)
    for path in [path for path in listing.files if not _is_file_of_table(path)]:
        findings.add("manifests", f"{path!r} is listed, which can be no file of a table")
        del listing.files[path]
    return listing


def read_checkpoints(dataset: Dataset, notes: list[str]) -> dict[int, Snapshot]:
    """The checkpoints that snapshots begin with; the others do no harm, and are noted."""
    checkpoints = {}
    for number in dataset.checkpoints():
        try:
            checkpoints[number] = dataset.checkpoint(number).snapshot
        except FileNotFoundError:
            continue  # a writer has removed it since
        except (OSError, DatasetError) as error:
            notes.append(f"{error}: it is passed over; more manifests are read meanwhile")
    return checkpoints


def check_checkpoint(checkpoint: Snapshot, listing: Listing, findings: Findings) -> None:
    """A checkpoint is what the manifests up to it add up to."""
    paths = checkpoint.files.keys() | listing.files.keys()
    wrong = sorted(path for path in paths if checkpoint.files.get(path) != listing.files.get(path))
    wrong += [listing.memory or checkpoint.memory] * (checkpoint.memory != listing.memory)
    if wrong:
        more = " …" if len(wrong) > _ROWS_NAMED else ""
        findings.add(
            "manifests",
            f"{checkpoint_path(checkpoint.head)} is not what the manifests up to it add up to "
            f"({', '.join(wrong[:_ROWS_NAMED])}{more}); remove it",
        )


def _is_file_of_table(path: str) -> bool:
    parts = path.split("/")
    plain = path.isascii() and path.isprintable() and not {"", ".", ".."} & set(parts)
    return plain and parts[0] in TABLES and path.endswith(".parquet")


def check_account(commit: Commit, findings: Findings) -> None:
    """Each unit of a run ended in one way, and each way but ``unchanged`` leaves its rows."""
    details = commit.details
    if not {"units", "outcomes", "new_rows"} <= details.keys():
        return  # a commit of files alone, or a manifest of before there were accounts
    units, outcomes, new = details["units"], details["outcomes"], details["new_rows"]
    if not (isinstance(units, int) and _are_counts(outcomes) and _are_counts(new)):
        findings.add("manifests", f"the account of {_name(commit)} cannot be read")
        return
    ended, added = Counter(outcomes), Counter(new)
    if details.get("balanced") is False:
        findings.add("manifests", f"the account of {_name(commit)} says that it does not balance")
    if ended.total() != units:
        findings.add(
            "manifests",
            f"{_name(commit)} accounts for {ended.total():,} units, but its run had {units:,}",
        )
    unread = ended["rejected"] + ended["failed"]
    for table, expected in (
        ("articles", ended["article"] + ended["revision"]),
        ("duplicates", ended["duplicate"]),
        # One that happens again is recorded already.
        ("failures", min(added["failures"], unread)),
    ):
        if added[table] != expected:
            findings.add(
                "manifests",
                f"{_name(commit)} says that it added {added[table]:,} rows to {table}, but "
                f"{expected:,} units ended there",
            )


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(count, int) and count >= 0 for count in value.values()
    )


def check_growth(listing: Listing, read: Mapping[str, int], findings: Findings) -> None:
    """A run adds the rows that it says; a compaction keeps as many as there were.

    ``read`` are the rows of the files that could be read, which stand in where a manifest does not
    list them. Where neither is known, the tables are held against the sum later on.
    """
    held: dict[str, int | None] = {}
    sums: Counter[str] = Counter()
    unknown: Counter[str] = Counter()

    def count(path: str, sign: int) -> None:
        table, rows = path.partition("/")[0], held[path]
        unknown[table] += sign * (rows is None)
        sums[table] += sign * (rows or 0)

    expected: dict[str, int | None] = dict.fromkeys(TABLES, 0)
    for commit in listing.commits:
        if commit is None:
            expected = dict.fromkeys(TABLES)
            continue
        strays = {path.partition("/")[0] for path in commit.removed if path not in held}
        for path in {*commit.removed, *(file.path for file in commit.files)} & held.keys():
            count(path, -1)
            del held[path]
        for file in commit.files:
            held[file.path] = file.rows if file.rows >= 0 else read.get(file.path)
            count(file.path, +1)
        for table, before in expected.items():
            grown = _growth(commit, table)
            should = None if before is None or grown is None or table in strays else before + grown
            there = None if unknown[table] else sums[table]
            if should is not None and there is not None and should != there:
                findings.add(
                    "counts",
                    f"after {_name(commit)} there should be {should:,} rows in {table}, but its "
                    f"files have {there:,}",
                )
            expected[table] = should if there is None else there


def _growth(commit: Commit, table: str) -> int | None:
    """How many rows a commit says that it adds to a table; None if it does not say."""
    if commit.kind in ("compact", "seal"):
        return 0
    new = commit.details.get("new_rows")
    count = new.get(table) if isinstance(new, dict) else None
    return count if isinstance(count, int) else None


# ── what each row is held to ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rows:
    """Some rows of a file, with what they are held against."""

    batch: pa.RecordBatch
    path: str
    """Where the file belongs."""
    version: int
    """Of the schema."""
    runs: pa.Array | None
    """Every run that a manifest lists; None where a manifest is missing."""

    @property
    def table(self) -> str:
        """The table that the file is of."""
        return self.path.partition("/")[0]

    def has(self, *columns: str) -> bool:
        """Whether the file has columns."""
        return set(columns) <= set(self.batch.schema.names)

    def partition(self, key: str) -> str | None:
        """A partition's value, as the path has it."""
        match = re.search(rf"/{key}=([^/]*)/", self.path)
        return match[1] if match else None

    def micros(self, column: str) -> tuple[npt.NDArray[np.int64], Mask]:
        """A time in microseconds since 1970, and where there is one."""
        values = self.batch.column(column)
        there = values.is_valid().to_numpy(zero_copy_only=False)
        return pc.fill_null(values.view(pa.int64()), 0).to_numpy(zero_copy_only=False), there


Found = Iterator[tuple[str, Mask]]
"""What is wrong, and in which rows."""

_IDENTITY = {"articles": "article_id", "duplicates": "canonical_id", "failures": "failure_id"}
_NAMED_BY = {"articles": "article_id", "duplicates": "origin", "failures": "failure_id"}
_MICROS_PER_DAY = 86_400_000_000


def _values(*texts: str) -> pa.Array:
    return pa.array(sorted(texts), pa.string())


_TIMED = _values("hour", "minute", "second")
_PRECISIONS = _values("year", "month", "day", *_TIMED.to_pylist())
_VOCABULARIES = (
    ("duplicates", "kind", _values("exact", "near", "abridged")),
    ("failures", "kind", _values("rejected", "failed")),
    ("failures", "reason", _values(*REASONS)),
    ("articles", "published_precision", _PRECISIONS),
    ("duplicates", "published_precision", _PRECISIONS),
)


def _mask(array: pa.Array) -> Mask:
    mask: Mask = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
    return mask


def _is_one_of(column: pa.Array, values: pa.Array) -> Mask:
    return _mask(pc.is_in(column, value_set=values))


def _is_hex(column: pa.Array, digits: int) -> Mask:
    return _mask(pc.match_substring_regex(column, f"^[0-9a-f]{{{digits}}}$"))


def check_date(rows: Rows) -> Found:
    """``date`` is the UTC day of publication, of a failure that of its observation."""
    column = "observed_at" if rows.table == "failures" else "published_at"
    date = rows.partition("date")
    micros, there = rows.micros(column)
    if date == NULL_PARTITION:
        yield f"{column} is known, but the partition is that of unknown dates", there
    elif date is not None and _is_day(date):
        day = datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)
        wrong = (micros // _MICROS_PER_DAY != day.days) | ~there
        yield f"{column} is not on the day of the partition", wrong


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def check_topic(rows: Rows) -> Found:
    """``topic`` is the slug of the best topic, or a note says why there is none that fits."""
    slug = rows.partition("topic")
    if rows.table != "articles" or slug is None:
        return
    first = pc.list_slice(rows.batch.column("topics"), 0, 1)
    names = pc.struct_field(pc.list_flatten(first), "name").to_pylist()
    best = np.full(rows.batch.num_rows, "", object)
    for row, name in zip(pc.list_parent_indices(first).to_pylist(), names, strict=True):
        best[row] = _slug(name or "")
    if slug == UNCLASSIFIED:
        note = pc.struct_field(rows.batch.column("enrichment"), "topic_note")
        wrong = (best != "").astype(bool) & ~note.is_valid().to_numpy(zero_copy_only=False)
        yield "the partition is unclassified, but a topic was found", wrong
    else:
        yield "the best of topics is not that of the partition", (best != slug).astype(bool)


@functools.lru_cache(maxsize=1024)
def _slug(name: str) -> str:
    return slug_of(name)


def check_identifiers(rows: Rows) -> Found:
    """Ids are 32 hex digits."""
    name = _IDENTITY[rows.table]
    yield f"{name} is not 32 hex digits", ~_is_hex(rows.batch.column(name), 32)


def check_body(rows: Rows) -> Found:
    """``content_hash`` and ``word_count`` are those of the body."""
    if not rows.has("body"):
        return
    words = [normalised_words(body) for body in rows.batch.column("body").to_pylist()]
    hashes = np.array([content_hash(one) for one in words], object)
    stated = np.array(rows.batch.column("content_hash").to_pylist(), object)
    yield "content_hash is not that of body", (hashes != stated).astype(bool)
    if rows.has("word_count"):
        counted = np.array([len(one) for one in words])
        wrong = counted != rows.batch.column("word_count").to_numpy()
        yield "word_count is not that of body", wrong


def check_publication(rows: Rows) -> Found:
    """A date has a precision and a source, and is not in the future of its observation.

    A day of which no zone is stated may have begun at the publisher's up to 14 hours before it
    begins in UTC, under which it is filed.
    """
    if not rows.has("published_at"):
        return
    published, there = rows.micros("published_at")
    for column in ("published_precision", "published_source"):
        stated = rows.batch.column(column).is_valid().to_numpy(zero_copy_only=False)
        yield f"only one of published_at and {column} is known", there != stated
    timed = _is_one_of(rows.batch.column("published_precision"), _TIMED)
    observed, _ = rows.micros("observed_at")
    latest = observed + np.where(timed, 0, MAX_ZONE_HOURS * 3_600_000_000)
    yield "published_at is after observed_at", there & (published > latest)


def check_vocabularies(rows: Rows) -> Found:
    """Where a column has few values, it has one of them."""
    for table, name, values in _VOCABULARIES:
        if rows.table == table:
            column = rows.batch.column(name)
            known = _is_one_of(column, values) | _mask(column.is_null())
            yield f"{name} is none of {', '.join(values.to_pylist())}", ~known


def check_numbers(rows: Rows) -> Found:
    """A similarity is 0 to 1, copies are not negative, a signature has all its places."""
    if rows.has("similarity"):
        similarity = rows.batch.column("similarity").to_numpy(zero_copy_only=False)
        yield "similarity is not between 0 and 1", ~((similarity >= 0) & (similarity <= 1))
    if rows.has("copies"):
        yield "copies is negative", _mask(pc.less(rows.batch.column("copies"), 0))
    if rows.has("fingerprint"):
        length = pc.binary_length(rows.batch.column("fingerprint"))
        yield (
            f"fingerprint is not {SIGNATURE_LENGTH} numbers of 4 bytes",
            _mask(pc.not_equal(length, 4 * SIGNATURE_LENGTH)),
        )


def check_changes(rows: Rows) -> Found:
    """``changes`` says what a revision changed, and nothing of a first text."""
    if not rows.has("changes"):
        return
    changes = rows.batch.column("changes")
    told = changes.is_valid().to_numpy(zero_copy_only=False)
    is_revision = rows.batch.column("revision").to_numpy() > 0
    # Rows of before schema version 3 have neither anchors nor changes.
    is_new = rows.batch.column("anchors").is_valid().to_numpy(zero_copy_only=False)
    yield "changes is known of revision 0", told & ~is_revision
    yield "changes of a revision is not known", ~told & is_revision & is_new
    kept = pc.struct_field(changes, "shingles_kept").to_numpy(zero_copy_only=False)
    yield "shingles_kept is not between 0 and 1", told & ((kept < 0) | (kept > 1))


def check_entities(rows: Rows) -> Found:
    """An entity has as many offsets as mentions: ascending, and within the body."""
    if not rows.has("entities"):
        return
    entities = rows.batch.column("entities")
    row_of_entity = pc.list_parent_indices(entities).to_numpy()
    flat = pc.list_flatten(entities)
    offsets = pc.struct_field(flat, "offsets")
    lengths = pc.fill_null(pc.list_value_length(offsets), 0)
    miscounted = ~_mask(pc.equal(pc.struct_field(flat, "count"), lengths))
    wrong = np.zeros(rows.batch.num_rows, bool)
    wrong[row_of_entity[miscounted]] = True
    yield "count of an entity is not the number of its offsets", wrong
    entity = pc.list_parent_indices(offsets).to_numpy()
    places = pc.fill_null(pc.list_flatten(offsets), -1).to_numpy()
    row = row_of_entity[entity]
    body_lengths = pc.utf8_length(rows.batch.column("body")).to_numpy()
    misplaced = (places < 0) | (places >= body_lengths[row])
    misplaced[1:] |= (entity[1:] == entity[:-1]) & (places[1:] < places[:-1])
    wrong = np.zeros(rows.batch.num_rows, bool)
    wrong[row[misplaced]] = True
    yield "offsets of an entity are not ascending places in body", wrong


def check_resolution(rows: Rows) -> Found:
    """A failure that was resolved says when and by which run."""
    if not rows.has("resolved_at", "resolved_by"):
        return
    at, by = (
        rows.batch.column(name).is_valid().to_numpy(zero_copy_only=False)
        for name in ("resolved_at", "resolved_by")
    )
    yield "only one of resolved_at and resolved_by is known", at != by


def check_runs(rows: Rows) -> Found:
    """Every run that a row names is one that a manifest lists."""
    for name in ("run_id", "resolved_by"):
        if rows.runs is not None and rows.has(name):
            column = rows.batch.column(name)
            known = _is_one_of(column, rows.runs) | _mask(column.is_null())
            yield f"{name} is no run that a manifest lists", ~known


ROW_CHECKS: tuple[tuple[str, Callable[[Rows], Found]], ...] = (
    ("partitions", check_date),
    ("partitions", check_topic),
    ("identity", check_runs),
    ("columns", check_identifiers),
    ("columns", check_body),
    ("columns", check_publication),
    ("columns", check_vocabularies),
    ("columns", check_numbers),
    ("columns", check_changes),
    ("columns", check_entities),
    ("columns", check_resolution),
)
"""To which check each function belongs."""


def sort_keys(rows: Rows) -> list[Key]:
    """What the rows of a file are sorted by."""
    keys = order_keys(rows.batch, SORT_KEYS[rows.table])
    if rows.version > 1 or rows.table != "articles":
        return keys
    # Version 1 sorted times as RFC 3339 text, in which 12:00:00.5Z comes before 12:00:00Z.
    micros, _ = rows.micros("published_at")
    return [
        (key[0], at // 1_000_000, at % 1_000_000 == 0, at % 1_000_000, *key[2:])
        for key, at in zip(keys, micros.tolist(), strict=True)
    ]


# ── what a file is held to ──────────────────────────────────────────────────────────────────────


class _DamagedError(Exception):
    """A file cannot be read, or is not what it should be; the message goes on after its name."""


class _MissingError(_DamagedError):
    """A file is not there, or no longer."""


def read_rows(
    store: Store, where: str, listed: DataFile, size_bytes: int, runs: pa.Array | None
) -> Iterator[Rows]:
    """Every row of a file, down to its last page, whose checksums are verified.

    Before that the size that it has (-1 if unknown) and its SHA-256 are held against its manifest,
    as far as that lists them.

    Raises:
        _MissingError: if it is not there; also after some rows, where each read is a request.
        _DamagedError: if it cannot be read, or is of another schema than its table.
    """
    if -1 not in (size_bytes, listed.size_bytes) and size_bytes != listed.size_bytes:
        raise _DamagedError(
            f"is damaged: it has {size_bytes:,} bytes, but its manifest says "
            f"{listed.size_bytes:,}; put it back from a copy of the dataset"
        )
    try:
        with open_parquet(store, where, listed.sha256) as parquet:
            version = check_schema(parquet.schema_arrow, listed.table)
            for batch in parquet.iter_batches(_ROWS_PER_BATCH, use_threads=False):
                batch.validate(full=True)
                yield Rows(batch, listed.path, version, runs)
    except FileNotFoundError as error:
        raise _MissingError("is missing; put it back from a copy of the dataset") from error
    except DamagedFileError as error:
        reason = str(error.strerror).removeprefix(store.locate(where)).strip()
        raise _DamagedError(f"{reason}; put it back from a copy of the dataset") from error
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _DamagedError(f"cannot be read: {_first_line(error)}") from error


def check_schema(schema: pa.Schema, table: str) -> int:
    """A file has the columns of its table; an older one may lack some. Gives its version.

    That columns which must not be null say so is enough: Parquet has no place for a null in them.

    Raises:
        _DamagedError: if it is of another table, version, column or type.
    """
    metadata = schema.metadata or {}
    stated = metadata.get(b"newsbeam.schema_version", b"").decode()
    if not (stated.isascii() and stated.isdigit() and 1 <= int(stated) <= SCHEMA_VERSION):
        raise _DamagedError(
            f"is of schema version {stated or 'unknown'}; this newsbeam knows 1 to {SCHEMA_VERSION}"
        )
    if metadata.get(b"newsbeam.table", b"").decode() != table:
        raise _DamagedError(f"is no file of {table}, by what its metadata say")
    newest = TABLES[table]
    expected = list(newest)
    if int(stated) < SCHEMA_VERSION:
        # Columns are only ever added at the end, and rows of before them have none.
        expected = [
            item for place, item in enumerate(newest) if place < len(schema) or not item.nullable
        ]
    for column, should in itertools.zip_longest(schema, expected):
        if column is None or should is None or not column.equals(should):
            raise _DamagedError(
                f"is not in the schema of {table}: it has {_describe(column)} where "
                f"{_describe(should)} should be"
            )
    return int(stated)


def _describe(column: pa.Field | None) -> str:
    return "no further column" if column is None else f"({column})"


def check_path(path: str) -> str | None:
    """A file lies in a partition of its table; else what is wrong."""
    topic = "/topic=(?P<topic>[^/]+)" if path.startswith("articles/") else ""
    match = re.fullmatch(rf"\w+/date=(?P<date>[^/]+){topic}/[^/]+", path)
    if match is None:
        return f"{path} lies in no partition of its table"
    if not (_is_day(match["date"]) or match["date"] == NULL_PARTITION):
        return f"{path} has a date that is no day"
    if topic and match["topic"] not in _topics():
        return f"{path} has a topic that is none of the {len(_topics()) - 1}, nor {UNCLASSIFIED}"
    return None


@functools.cache
def _topics() -> frozenset[str]:
    return frozenset({UNCLASSIFIED, *(concept.slug for concept in TopicModel.load().concepts)})


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class RowFaults:
    """What is wrong with the rows of one file."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._names: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, check: str, what: str, rows: Rows, wrong: Mask) -> None:
        """Take in some rows, and keep the names of the first."""
        count = int(np.count_nonzero(wrong))
        if not count:
            return
        self._counts[check, what] += count
        named = self._names[check, what]
        for row in np.flatnonzero(wrong)[: _ROWS_NAMED - len(named)].tolist():
            named.append(str(rows.batch.column(_NAMED_BY[rows.table])[row])[:_NAME_CHARACTERS])

    def tell(self, where: str, table: str, findings: Findings) -> None:
        """One sentence for each thing that is wrong."""
        for (check, what), count in self._counts.items():
            names = ", ".join(self._names[check, what])
            more = " …" if count > len(self._names[check, what]) else ""
            rows = "1 row" if count == 1 else f"{count:,} rows"
            findings.add(check, f"{where}: {what} in {rows} ({_NAMED_BY[table]} {names}{more})")


# ── what rows of different files are held to ────────────────────────────────────────────────────


class Statistics:
    """What is to be listed of a file, gathered from its rows."""

    def __init__(self) -> None:
        self._keys: list[Keys] = []
        self._times: list[npt.NDArray[np.int64]] = []

    def add(self, rows: Rows) -> None:
        """Take in some rows."""
        self._keys.append(row_keys(rows.batch, rows.table))
        self._times.append(row_times(rows.batch))

    def check(
        self, where: str, listed: DataFile, keys: Sequence[tuple[str, FileKeys]], findings: Findings
    ) -> None:
        """Hold them against the manifest and the key files that list the file."""
        observed = spanned(self._times)
        if listed.observed_micros not in (None, observed):
            findings.add(
                "statistics",
                f"{where}: its rows were observed at other times than its manifest says; put the "
                "manifest back from a copy of the dataset",
            )
        every_key = joined(self._keys)
        for path, file in keys:
            if file.observed_micros != observed or not np.array_equal(file.keys, every_key):
                findings.add(
                    "statistics",
                    f"{path} lists other times or keys of {where} than its rows have; remove it",
                )


_POINTER = np.dtype([("id", "S16"), ("unit", "S16"), ("file", "<i4")])
_REVISION = np.dtype([*_POINTER.descr, ("text", "S16"), ("revision", "<i4")])


class Identities:
    """What identifies each row, packed into 16 bytes each: its id, its text and title, its unit.

    The unit is what a run read: each ends as one row, in whichever table, or as none.
    """

    def __init__(self) -> None:
        self._parts = {
            table: [np.zeros(0, _REVISION if table == "articles" else _POINTER)] for table in TABLES
        }
        self.paths: list[str] = []

    def add(self, rows: Rows) -> None:
        """Take in rows of the last of the paths; those without a proper id are left out."""
        articles = rows.table == "articles"
        proper = _is_hex(rows.batch.column(_IDENTITY[rows.table]), 32)
        if articles:
            proper &= _is_hex(rows.batch.column("content_hash"), 64)
        batch = rows.batch.filter(pa.array(proper))
        part = np.zeros(batch.num_rows, _REVISION if articles else _POINTER)
        part["id"] = _packed(batch.column(_IDENTITY[rows.table]))
        part["unit"] = _units(batch)
        part["file"] = len(self.paths) - 1
        if articles:
            part["text"] = _texts(batch)
            part["revision"] = batch.column("revision").to_numpy()
        self._parts[rows.table].append(part)

    def table(self, name: str) -> npt.NDArray[Any]:
        """What identifies the rows of a table."""
        self._parts[name] = [np.concatenate(self._parts[name])]
        return self._parts[name][0]

    def places(self, rows: npt.NDArray[Any]) -> str:
        """Which files rows are in."""
        files = [self.paths[number] for number in np.unique(rows["file"]).tolist()]
        return ", ".join(files[:_ROWS_NAMED]) + (" …" if len(files) > _ROWS_NAMED else "")


def _packed(column: pa.Array) -> npt.NDArray[Any]:
    digits = "".join(value[:32] for value in column.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), "S16")


def _texts(batch: pa.RecordBatch) -> list[bytes]:
    """Of each row what no two revisions of a work have in common."""
    titles = batch.column("title").to_pylist() if "title" in batch.schema.names else []
    hashes = batch.column("content_hash").to_pylist()
    return [
        hashlib.blake2b(f"{content}\0{title_key(title)}".encode(), digest_size=16).digest()
        for content, title in itertools.zip_longest(hashes, titles)
    ]


def _units(batch: pa.RecordBatch) -> list[bytes]:
    runs, origins = (batch.column(name).to_pylist() for name in ("run_id", "origin"))
    return [
        hashlib.blake2b(f"{run}\0{origin}".encode(), digest_size=16).digest()
        for run, origin in zip(runs, origins, strict=True)
    ]


def _hex(packed: bytes) -> str:
    return packed.ljust(16, b"\0").hex()  # NumPy takes zeros at the end for padding


def _groups(rows: npt.NDArray[Any], *keys: str, least_rows: int = 1) -> Iterator[npt.NDArray[Any]]:
    """Rows with equal keys, so many or more, group by group in the order of the keys."""
    ordered = rows[np.lexsort([rows[key] for key in reversed(keys)])]
    starts = np.flatnonzero(_starts(ordered, *keys))
    ends = np.append(starts[1:], rows.size)
    large = ends[: starts.size] - starts >= least_rows
    for start, end in zip(starts[large].tolist(), ends[large].tolist(), strict=True):
        yield ordered[start:end]


def _distinct(rows: npt.NDArray[Any], *keys: str) -> npt.NDArray[Any]:
    """One of the rows with equal keys."""
    ordered = rows[np.lexsort([rows[key] for key in reversed(keys)])]
    return ordered[_starts(ordered, *keys)]


def _starts(ordered: npt.NDArray[Any], *keys: str) -> Mask:
    """Whether a row has other keys than the one before it."""
    starts = np.zeros(ordered.size, bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= ordered[key][1:] != ordered[key][:-1]
    return starts


def check_unique(identities: Identities, findings: Findings) -> None:
    """No revision of an article, no text of a work and no failure is there twice."""
    articles = identities.table("articles")
    for same in _groups(articles, "id", "revision", least_rows=2):
        findings.add(
            "identity",
            f"revision {same[0]['revision']} of article {_hex(same[0]['id'])} is there "
            f"{len(same)} times, in {identities.places(same)}",
        )
    for same in _groups(articles, "id", "text", least_rows=2):
        if len(np.unique(same["revision"])) > 1:
            numbers = ", ".join(map(str, same["revision"].tolist()))
            findings.add(
                "identity",
                f"revisions {numbers} of article {_hex(same[0]['id'])} have one content_hash and "
                f"title, in {identities.places(same)}",
            )
    for same in _groups(identities.table("failures"), "id", least_rows=2):
        findings.add(
            "identity",
            f"failure {_hex(same[0]['id'])} is there {len(same)} times, in "
            f"{identities.places(same)}",
        )


def check_units(identities: Identities, findings: Findings) -> None:
    """What a run read ended as one row, in whichever table."""
    articles, failures = identities.table("articles"), identities.table("failures")
    apart = [
        # Of those that are there twice as they are, it is said already.
        _distinct(articles, "id", "revision"),
        _distinct(failures, "id"),
        identities.table("duplicates"),
    ]
    rows = np.concatenate([part[["id", "unit", "file"]] for part in apart])
    for same in _groups(rows, "unit", least_rows=2):
        ids = ", ".join(_hex(identity) for identity in same["id"][:_ROWS_NAMED])
        findings.add(
            "identity",
            f"{len(same)} rows come from one origin in one run (with the ids {ids}), in "
            f"{identities.places(same)}",
        )


def check_revisions(identities: Identities, findings: Findings) -> None:
    """The revisions of a work are 0, 1, 2 and so on."""
    articles = identities.table("articles")
    ordered = articles[np.lexsort([articles["revision"], articles["id"]])]
    first = _starts(ordered, "id")
    before = np.concatenate([[0], ordered["revision"]])[: ordered.size]
    skipped = np.where(first, ordered["revision"] != 0, ordered["revision"] > before + 1)
    gapped = ordered[np.isin(ordered["id"], ordered["id"][skipped])]
    for work in _groups(gapped, "id"):
        numbers = ", ".join(map(str, np.unique(work["revision"])[:MAX_LISTED].tolist()))
        findings.add(
            "identity",
            f"article {_hex(work[0]['id'])} has the revisions {numbers}, and not those before or "
            f"between, in {identities.places(work)}",
        )


def check_copies(identities: Identities, findings: Findings) -> None:
    """Every copy points to an article."""
    copies = identities.table("duplicates")
    lost = copies[~np.isin(copies["id"], identities.table("articles")["id"])]
    for same in _groups(lost, "id"):
        findings.add(
            "identity",
            f"there is no article {_hex(same[0]['id'])}, which is the canonical_id of "
            f"{len(same):,} {'copy' if len(same) == 1 else 'copies'} in {identities.places(same)}",
        )


# ── reading a dataset ───────────────────────────────────────────────────────────────────────────


class _Reading:
    """One look at the whole dataset."""

    def __init__(self, dataset: Dataset, progress: Callable[[int, int], None]) -> None:
        self._store = dataset.store
        self._dataset = dataset
        self._progress = progress
        self.findings = Findings()
        self.notes: list[str] = []
        self.memory_notes: list[str] = []
        """What cannot be read of the memory of feeds, and of key files, unless a writer has
        replaced them."""
        self._listing = Listing()
        self._there: dict[str, int] = {}
        self._identities = Identities()
        self._keys: dict[str, list[tuple[str, FileKeys]]] = {}
        """By path of a file, what key files list of it, and which."""
        self._unread: set[str] = set()
        """Tables of which a file could not be read."""
        self._rows: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._versions: Counter[int] = Counter()

    @property
    def commits(self) -> list[Commit]:
        """Every commit that could be read."""
        return [commit for commit in self._listing.commits if commit is not None]

    @property
    def head(self) -> int:
        """The number of the last of them; 0 if none has a number."""
        return max((commit.number for commit in self.commits), default=0)

    def counts(self) -> tuple[TableCount, ...]:
        """What could be read of each table."""
        tables: dict[str, list[str]] = {table: [] for table in TABLES}
        for path in self._rows:
            tables[path.partition("/")[0]].append(path)
        return tuple(
            TableCount(
                table,
                files=len(paths),
                rows=sum(self._rows[path] for path in paths),
                size_bytes=sum(self._sizes[path] for path in paths),
            )
            for table, paths in tables.items()
        )

    def carry_out(self) -> None:
        """Do every check."""
        # What lies there first: a file that comes after this one is listed when it is looked up.
        for table in TABLES:
            self._list_files(table)
        self._listing = read_manifests(self._dataset, self.findings, self.notes)
        for folder in sorted(self._listing.staging):
            self._list_files(folder)
        self._read_memory()
        self._read_keys()
        files = {**self._strays(), **self._listing.files}
        runs = None
        if self._listing.whole:
            runs = _values(*{commit.run_id for commit in self.commits})
        for done, path in enumerate(sorted(files), start=1):
            self._read(files[path], runs)
            self._progress(done, len(files))
        check_growth(self._listing, self._rows, self.findings)
        check_unique(self._identities, self.findings)
        check_units(self._identities, self.findings)
        self._check_what_others_point_to()
        self._note_leftovers()

    def _list_files(self, folder: str) -> None:
        try:
            found = self._store.list_files(folder)
        except OSError as error:
            self.findings.add("files", f"{folder} cannot be listed: {_first_line(error)}")
        else:
            self._there |= {file.path: file.size_bytes for file in found}

    def _strays(self) -> dict[str, DataFile]:
        """Parquet files that no manifest lists; whoever reads the folders sees their rows, too."""
        strays = {
            path: DataFile(path)
            for path in self._there
            if path.endswith(".parquet")
            and path.partition("/")[0] in TABLES
            and path not in self._listing.files
            and path not in self._listing.leaving
        }
        for path in sorted(strays):
            if path in self._listing.removed:
                why = f"was taken out of the dataset by {self._listing.removed[path]}: remove it"
            elif self._listing.whole:
                why = "is listed by no manifest: it came from elsewhere"
            else:
                why = "is listed by no manifest that can be read"
            self.findings.add("files", f"{path} {why}")
        return strays

    def _read(self, listed: DataFile, runs: pa.Array | None) -> None:
        wrong = check_path(listed.path)
        if wrong:
            self.findings.add("partitions", wrong)
        self._identities.paths.append(listed.path)
        faults = RowFaults()
        statistics = Statistics()
        count = 0
        unsorted = False
        last: list[Key] = []
        versions = set()
        try:
            for rows in self._rows_of(listed, runs):
                for check, function in ROW_CHECKS:
                    for what, mask in function(rows):
                        faults.add(check, what, rows, mask)
                self._identities.add(rows)
                statistics.add(rows)
                keys = [*last, *sort_keys(rows)]
                unsorted = unsorted or any(a > b for a, b in itertools.pairwise(keys))
                last = keys[-1:]
                count += rows.batch.num_rows
                versions.add(rows.version)
        except _DamagedError as error:
            where = self._identities.paths[-1]
            self.findings.add("files", f"{where} {error}")
            self._unread.add(listed.table)
        else:
            where = self._identities.paths[-1]
            self._rows[listed.path] = count
            sizes = (self._there.get(place, 0) for place in self._places(listed.path))
            self._sizes[listed.path] = max(*sizes, listed.size_bytes, 0)
            self._versions.update(versions)
            statistics.check(where, listed, self._keys.get(listed.path, ()), self.findings)
            if listed.rows not in (-1, count):
                self.findings.add(
                    "counts", f"{where} has {count:,} rows, but its manifest says {listed.rows:,}"
                )
        if unsorted:
            by = ", ".join(SORT_KEYS[listed.table])
            self.findings.add("order", f"{where} is not sorted by {by}")
        faults.tell(where, listed.table, self.findings)

    def _rows_of(self, listed: DataFile, runs: pa.Array | None) -> Iterator[Rows]:
        """Every row of a file, whose path in ``Identities`` becomes that where it is read."""
        batches = 0
        places = self._places(listed.path)
        for where in places:
            self._identities.paths[-1] = where
            size_bytes = self._there.get(where, -1)
            try:
                found = read_rows(self._store, where, listed, size_bytes, runs)
                # What was read of it before a writer moved it is not read twice.
                for rows in itertools.islice(found, batches, None):
                    batches += 1
                    yield rows
            except _MissingError:
                if where == places[-1]:
                    self._identities.paths[-1] = listed.path
                    raise
            else:
                return

    def _places(self, path: str) -> tuple[str, ...]:
        """Where a file may lie, likeliest first: at its place, or still staged.

        A writer that carries out a pending commit brings it from there to its place meanwhile.
        """
        staged = self._listing.staged.get(path)
        if staged not in self._there:
            return (path,)
        return (path, staged) if path in self._there else (staged, path)

    def _read_memory(self) -> None:
        """Note what is wrong with the memory of feeds, which costs requests and no rows."""
        for place in self._places(self._listing.memory):
            _, wrong = read_memory(self._dataset, Snapshot(0, {}, place))
            if not wrong:
                return
        self.memory_notes.append(wrong)

    def _read_keys(self) -> None:
        """Take what key files list of the files; note what is of no use, which costs time alone."""
        hashes = {path: file.sha256 for path, file in self._listing.files.items()}
        try:
            found = list(examine_keys(self._store))
        except OSError as error:
            self.memory_notes.append(f"the key files cannot be listed: {_first_line(error)}")
            return
        for path, listed in found:
            if isinstance(listed, FileNotFoundError):
                continue  # a writer has merged it since
            if not isinstance(listed, list):
                self.memory_notes.append(
                    f"{self._store.locate(path)} is damaged or cannot be read "
                    f"({_first_line(listed)}): it is passed over; more files are looked into"
                )
                continue
            if number_of(path) > self.head:
                self.memory_notes.append(
                    f"{path} is of a commit that is not there; it does no harm, and may be removed"
                )
            for file in listed:
                if counts(file, hashes):
                    self._keys.setdefault(file.path, []).append((path, file))
        self._note_unlisted()

    def _note_unlisted(self) -> None:
        unlisted = self._listing.files.keys() - self._keys.keys() - self._listing.staged.keys()
        if unlisted:
            self.memory_notes.append(
                f"files of which no key file lists what they may hold: {len(unlisted):,}; runs "
                "look into them until one of the next commits has listed them, or compaction has "
                "rewritten those of which no manifest has a SHA-256"
            )

    def _check_what_others_point_to(self) -> None:
        if "articles" in self._unread:
            self.notes.append(
                "not checked, for not every file of articles can be read: whether copies point to "
                "an article, and whether revisions are left out"
            )
        else:
            check_revisions(self._identities, self.findings)
            check_copies(self._identities, self.findings)
        if not self._listing.whole:
            self.notes.append(
                "not checked, for not every manifest can be read: whether each run is listed"
            )

    def _note_leftovers(self) -> None:
        """What is not as new, but harms nobody."""
        for version, files in sorted(self._versions.items()):
            if version < SCHEMA_VERSION:
                self.notes.append(
                    f"files of schema version {version}: {files:,} (the newest is "
                    f"{SCHEMA_VERSION}); they stay readable as they are"
                )
        for name in _names(self._store, STAGING):
            self.notes.append(
                f"{STAGING}/{name} holds what a run has made: one that was killed or is at work; "
                "the next run goes on with it or removes it"
            )
        self._note_files(
            "no Parquet files, which readers may stumble over",
            [
                path
                for path in self._there
                if not path.endswith(".parquet") and path.partition("/")[0] in TABLES
            ],
        )
        root = self._store.local_root
        if root is not None:
            partial = [
                path.relative_to(root).as_posix()
                for table in TABLES
                for path in (root / table).rglob(f"*{PARTIAL}")
            ]
            self._note_files("left half written by a killed process; they may be removed", partial)

    def _note_files(self, what: str, paths: Sequence[str]) -> None:
        if paths:
            more = " …" if len(paths) > _ROWS_NAMED else ""
            names = ", ".join(sorted(paths)[:_ROWS_NAMED])
            self.notes.append(f"in the tables' folders, {what}: {len(paths):,} ({names}{more})")


# ── what a person sees ──────────────────────────────────────────────────────────────────────────


def show_verify(console: Console, report: VerifyReport) -> None:
    """Print what was checked, what is wrong, and the verdict."""
    console.print(
        f"[bold]newsbeam verify[/]: commits {report.commits}, read in {report.seconds:.1f} s"
    )
    held = Table(box=None, padding=(0, 2))
    held.add_column("table")
    for column in ("files", "rows", "bytes"):
        held.add_column(column, justify="right")
    for count in report.tables:
        held.add_row(count.table, f"{count.files:,}", f"{count.rows:,}", f"{count.size_bytes:,}")
    console.print(held)
    console.print()
    checks = Table(box=None, show_header=False, padding=(0, 2))
    for check in report.checks:
        faults = f"[red]faults {check.fault_count:,}[/]" if check.fault_count else "[green]ok[/]"
        checks.add_row(check.name, faults, check.promise)
    console.print(checks)
    for check in report.checks:
        if check.faults:
            _show_sentences(console, check.name, check.faults, check.fault_count)
    if report.notes:
        _show_sentences(console, "notes", report.notes, len(report.notes))
    verdict = "[green]clean[/]" if report.clean else f"[red]faults: {report.fault_count:,}[/]"
    if report.disturbed:
        verdict += ", but writers were at work: verify it again when they are done"
    console.print()
    console.print(Text(report.output), Text("is"), verdict, soft_wrap=True)


def _show_sentences(console: Console, label: str, sentences: Sequence[str], count: int) -> None:
    console.print(f"\n[bold]{label}[/]")
    for sentence in sentences:
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    if count > len(sentences):
        console.print(f"  … and {count - len(sentences):,} more")
