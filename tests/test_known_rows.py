"""Which files a run looks into: those that may hold what it looks for, and no others."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import IngestConfig
from pipelines.dataset import STAGING, DataFile, Dataset, local_dataset
from pipelines.key_files import KEYS
from pipelines.known_rows import LookedInto, known_failures, known_files
from pipelines.run import RunReport, ingest
from pipelines.steps import RunFailedError
from schemas.records import Failure, Fingerprint, KnownFile, StagedBlock
from transforms.staging import failure_id, write_failures, write_prints
from transforms.storage import LocalStore

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
HORIZON_DAYS = 7


@dataclass(frozen=True)
class RecordingStore(LocalStore):
    """A store that remembers which files were opened."""

    opened: list[str] = field(default_factory=list, compare=False)

    def open(self, path: str) -> pa.NativeFile:
        self.opened.append(path)
        return super().open(path)


@dataclass(frozen=True)
class Row:
    """A row of ``articles`` or ``duplicates``, or a text of a run."""

    work: int
    """Of which it is, or a copy."""
    text: int = 0
    uri: str = "f"
    days_ago: float = 0

    @property
    def article_id(self) -> str:
        return f"{self.work:032x}"

    @property
    def observed_at(self) -> datetime.datetime:
        return NOON - datetime.timedelta(days=self.days_ago)


def article(row: Row) -> dict[str, object]:
    return {
        "article_id": row.article_id,
        "content_hash": f"{row.text:064x}",
        "source_uri": row.uri,
        "observed_at": row.observed_at,
    }


def copy(row: Row) -> dict[str, object]:
    rest = {name: value for name, value in article(row).items() if name != "article_id"}
    return {"canonical_id": row.article_id, **rest}


def failure(number: int) -> Failure:
    at = Timestamp.from_utc_datetime(NOON)
    return Failure("failed", "read", "truncated", "It ends early.", f"{number}", f"{number}", at)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty dataset that remembers which of its files were opened."""
    return Dataset(RecordingStore(str(tmp_path)))


def publish(dataset: Dataset, path: str, rows: list[dict[str, object]], *, lists: bool) -> None:
    snapshot = dataset.snapshot()
    run_id = f"run-{snapshot.head}"
    staging = f"{STAGING}/{run_id}/files"
    with dataset.store.writer(f"{staging}/{path}") as file:
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    files = [DataFile(path, len(rows), file.size_bytes, file.sha256)]
    if lists:
        files = dataset.with_statistics(snapshot, staging, files)
    dataset.publish("ingest", run_id, snapshot.head, staging, files)


def add_articles(dataset: Dataset, name: str, *rows: Row, lists: bool = True) -> None:
    publish(dataset, f"articles/{name}.parquet", list(map(article, rows)), lists=lists)


def add_copies(dataset: Dataset, name: str, *rows: Row, lists: bool = True) -> None:
    publish(dataset, f"duplicates/{name}.parquet", list(map(copy, rows)), lists=lists)


def add_failures(dataset: Dataset, name: str, *numbers: int, lists: bool = True) -> None:
    rows = [{"failure_id": failure_id(failure(it)), "observed_at": NOON} for it in numbers]
    publish(dataset, f"failures/{name}.parquet", rows, lists=lists)


def staged(dataset: Dataset, rows: Iterable[Row]) -> StagedBlock:
    """A block of the texts of a run."""
    prints = [
        Fingerprint(
            origin=f"text-{number}",
            article_id=row.article_id,
            content_hash=f"{row.text:064x}",
            source_uri=row.uri,
            observed_at=Timestamp.from_utc_datetime(row.observed_at),
            word_count=2,
            signature=b"",
        )
        for number, row in enumerate(rows)
    ]
    block = write_prints(dataset.store, f"{STAGING}/now", prints)
    return dataclasses.replace(block, kind="articles")


def looked_into(dataset: Dataset, *rows: Row) -> LookedInto:
    """Where a run with these texts looks, and what for in all files."""
    blocks = [staged(dataset, rows)]
    opened_before = len(dataset.store.opened)  # type: ignore[attr-defined]
    found = known_files(dataset.store, dataset.snapshot(), blocks, HORIZON_DAYS * 86_400)
    del dataset.store.opened[:opened_before]  # type: ignore[attr-defined]
    return found


def known(dataset: Dataset, *rows: Row) -> dict[str, KnownFile]:
    """By name, the files that a run with these texts looks into."""
    return by_name(looked_into(dataset, *rows).files)


def by_name(files: list[KnownFile]) -> dict[str, KnownFile]:
    assert [file.number for file in files] == list(range(len(files)))
    assert all(file.table == file.path.partition("/")[0] for file in files)
    return {file.path.rpartition("/")[2].removesuffix(".parquet"): file for file in files}


def why(files: dict[str, KnownFile]) -> dict[str, str]:
    """Why each file is looked into."""
    return {
        name: " ".join(
            ["holds"] * file.may_hold + ["near"] * file.is_near
            + ["canonical"] * (bool(file.canonical_ids) or file.may_hold_canonicals)
        )
        for name, file in files.items()
    }  # fmt: skip


def harm(dataset: Dataset, path: str) -> None:
    """Make sure that who opens a file notices."""
    size_bytes = len(dataset.store.read(path))
    dataset.store.write(path, b"x" * size_bytes)


NEW = Row(work=99, text=99)


# ── what a run looks into ───────────────────────────────────────────────────────────────────────


def test_a_file_that_serves_nothing_is_left_out(dataset: Dataset) -> None:
    add_articles(dataset, "old", Row(1, days_ago=30))
    add_copies(dataset, "old-too", Row(1, days_ago=30))
    assert known(dataset, NEW) == {}


def test_rows_observed_within_the_horizon_are_near(dataset: Dataset) -> None:
    for days in (6.9, 7, 7.1, -7, -7.1):
        add_articles(dataset, f"{days}", Row(1, days_ago=days))
    assert why(known(dataset, NEW)) == {"6.9": "near", "7": "near", "-7": "near"}


def test_a_file_whose_rows_are_from_before_and_after_is_near(dataset: Dataset) -> None:
    add_copies(dataset, "long", Row(1, days_ago=30), Row(2, days_ago=-30))
    assert why(known(dataset, NEW)) == {"long": "near"}


def test_times_between_texts_that_lie_far_apart_are_not_near(dataset: Dataset) -> None:
    """A run over an archive of many years need not read all that was seen in them."""
    for days in (0, 50, 100):
        add_articles(dataset, f"{days}", Row(1, days_ago=days))
    texts = [Row(99, 99, days_ago=1), Row(99, 99, days_ago=95), Row(99, 99, days_ago=99)]
    assert why(known(dataset, *texts)) == {"0": "near", "100": "near"}


@pytest.mark.parametrize("days", [8, 4000])
def test_a_text_that_was_read_before_is_looked_for_at_any_age(dataset: Dataset, days: int) -> None:
    add_articles(dataset, "a", Row(1, text=5, days_ago=days), Row(2, text=6, days_ago=days))
    add_copies(dataset, "b", Row(1, text=5, uri="g", days_ago=days))
    assert why(known(dataset, Row(3, text=5, uri="f"))) == {"a": "holds"}
    assert why(known(dataset, Row(3, text=5, uri="g"))) == {"b": "holds"}
    assert known(dataset, Row(3, text=5, uri="elsewhere")) == {}


def test_texts_of_a_work_are_looked_for_at_any_age(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1, days_ago=4000))
    add_copies(dataset, "copies", Row(1, uri="g", days_ago=4000))
    assert why(known(dataset, Row(1, text=7))) == {"a": "holds"}


def test_a_file_may_serve_for_several_reasons(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1), Row(2, days_ago=30))
    add_copies(dataset, "b", Row(2, text=3))
    assert why(known(dataset, Row(1, text=7))) == {"a": "holds near canonical", "b": "near"}


def test_a_run_without_texts_looks_for_none(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1))
    block = write_failures(dataset.store, f"{STAGING}/now", [failure(1)])
    assert known_files(dataset.store, dataset.snapshot(), [block], 1) == ([], b"")


# ── works from before the horizon ───────────────────────────────────────────────────────────────


def test_a_work_is_looked_for_that_only_a_copy_is_near_of(dataset: Dataset) -> None:
    add_articles(dataset, "canonical", Row(1, days_ago=30), Row(2, days_ago=30))
    add_articles(dataset, "other", Row(3, days_ago=30))
    add_copies(dataset, "copies", Row(1, text=5, days_ago=1), Row(3, text=6, days_ago=20))
    files = known(dataset, NEW)
    assert why(files) == {"canonical": "canonical", "copies": "near"}
    assert files["canonical"].canonical_ids == bytes.fromhex(Row(1).article_id)


def test_texts_of_a_work_from_before_are_looked_for_though_it_has_one_within_the_horizon(
    dataset: Dataset,
) -> None:
    """It may be the older one that was copied."""
    add_articles(dataset, "before", Row(1, days_ago=30))
    add_articles(dataset, "revised", Row(1, text=2, days_ago=2))
    add_copies(dataset, "copies", Row(1, text=5, days_ago=1))
    reasons = {"before": "canonical", "copies": "near", "revised": "near canonical"}
    assert why(known(dataset, NEW)) == reasons


def test_works_of_which_nobody_knows_where_they_are_are_looked_for_in_every_file(
    dataset: Dataset,
) -> None:
    add_articles(dataset, "a", Row(1, days_ago=30), lists=False)
    add_articles(dataset, "b", Row(2, days_ago=30), lists=False)
    add_copies(dataset, "copies", Row(1, text=5), Row(2, text=5), lists=False)
    found = looked_into(dataset, NEW)
    files = by_name(found.files)
    assert [files[name].may_hold_canonicals for name in ("a", "b", "copies")] == [True, True, False]
    assert found.canonical_ids == bytes.fromhex(Row(1).article_id + Row(2).article_id)


def test_works_are_not_listed_with_each_file_that_may_hold_any(dataset: Dataset) -> None:
    """Of thousands of files and works, that would be a gigabyte."""
    for number in range(3):
        add_articles(dataset, f"{number}", Row(number, days_ago=30), lists=False)
    add_copies(dataset, "copies", *(Row(number, text=5) for number in range(3)), lists=False)
    assert not any(file.canonical_ids for file in known(dataset, NEW).values())


def test_row_groups_between_late_texts_and_fresh_ones_are_not_read(dataset: Dataset) -> None:
    """Nothing can be read of the second."""
    days = (0, 0, 50, 50, 100)
    add_copies(dataset, "copies", *(Row(it, text=5, days_ago=it) for it in days), lists=False)
    path = Path(dataset.store.url) / "duplicates/copies.parquet"
    group = pq.read_metadata(path).row_group(1)
    content = bytearray(path.read_bytes())
    for column in map(group.column, range(group.num_columns)):
        first, size = column.dictionary_page_offset, column.total_compressed_size
        content[first : first + size] = b"\xff" * size
    path.write_bytes(content)
    found = looked_into(dataset, NEW, dataclasses.replace(NEW, days_ago=100))
    assert found.canonical_ids == bytes.fromhex(Row(0).article_id + Row(100).article_id)


# ── failures ────────────────────────────────────────────────────────────────────────────────────


def recorded(dataset: Dataset, *numbers: int) -> list[str]:
    block = write_failures(dataset.store, f"{STAGING}/now", list(map(failure, numbers)))
    return known_failures(dataset.store, dataset.snapshot(), [block])


def test_a_failure_is_looked_for_where_it_may_be(dataset: Dataset) -> None:
    add_failures(dataset, "a", 1, 2)
    add_failures(dataset, "b", 3)
    add_failures(dataset, "unknown", 4, lists=False)
    assert recorded(dataset, 2, 7) == ["failures/a.parquet", "failures/unknown.parquet"]


def test_a_run_without_failures_looks_for_none(dataset: Dataset) -> None:
    add_failures(dataset, "unknown", 4, lists=False)
    block = staged(dataset, [NEW])
    assert known_failures(dataset.store, dataset.snapshot(), [block]) == []


# ── what it does not open ───────────────────────────────────────────────────────────────────────


def test_no_file_is_opened_but_copies_within_the_horizon(dataset: Dataset) -> None:
    add_articles(dataset, "old", Row(1, days_ago=30))
    add_articles(dataset, "near", Row(2, days_ago=1))
    add_copies(dataset, "old-copies", Row(1, text=5, days_ago=30))
    add_copies(dataset, "copies", Row(1, text=5, days_ago=1))
    for path in ("articles/old", "articles/near", "duplicates/old-copies"):
        harm(dataset, f"{path}.parquet")
    assert why(known(dataset, NEW)) == {"old": "canonical", "near": "near", "copies": "near"}
    opened = [it for it in dataset.store.opened if not it.startswith("_")]  # type: ignore[attr-defined]
    assert opened == ["duplicates/copies.parquet"]


def story(number: int) -> str:
    return f"Ferry {number} is back\n\n" + " ".join(
        f"On day {number * 100 + day} the ferry of line {number} came back to its pier at {day}."
        for day in range(1, 15)
    )


def test_runs_do_not_notice_what_is_wrong_with_files_they_need_not_look_into(
    tmp_path: Path,
) -> None:
    """An article, a copy and a failure of a month ago; then other texts; then those once more."""
    out = str(tmp_path / "news")

    def run(number: int, days: int) -> RunReport:
        folder = tmp_path / f"{number}"
        folder.mkdir(exist_ok=True)
        (folder / "a.txt").write_text(story(number))
        (folder / "copy.txt").write_text(story(number))
        (folder / "empty.txt").write_text("")
        clock = NOON + datetime.timedelta(days=days)
        return ingest(IngestConfig((str(folder),), out, workers=1), clock=lambda: clock)

    first = run(1, days=0)
    assert {file.table for file in first.files} == {"articles", "duplicates", "failures"}
    for file in first.files:
        harm(local_dataset(out), file.path)
    assert run(2, days=30).count("article") == 1
    assert run(2, days=60).count("unchanged") == 2
    with pytest.raises(RunFailedError, match="damaged"):
        run(1, days=90)


# ── datasets whose files are not listed ─────────────────────────────────────────────────────────


def test_a_file_of_an_older_newsbeam_may_hold_anything(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1, days_ago=30), lists=False)
    add_copies(dataset, "b", Row(1, days_ago=30), lists=False)
    assert why(known(dataset, NEW)) == {"a": "holds near", "b": "holds near"}


def test_the_times_of_a_file_stay_known_if_its_keys_are_lost(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1, days_ago=30))
    dataset.store.delete_folder(KEYS)
    assert why(known(dataset, NEW)) == {"a": "holds"}


def test_a_file_that_was_listed_late_is_left_out_like_any_other(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1, days_ago=30), lists=False)
    add_articles(dataset, "b", Row(2, days_ago=30))
    assert known(dataset, NEW) == {}


def test_a_file_that_was_taken_in_by_hand_may_hold_anything(dataset: Dataset) -> None:
    add_articles(dataset, "a", Row(1, days_ago=30))
    snapshot = dataset.snapshot()
    stray = DataFile("articles/stray.parquet")
    snapshot = dataclasses.replace(snapshot, files={**snapshot.files, stray.path: stray})
    pq.write_table(pa.Table.from_pylist([article(Row(1))]), Path(dataset.store.url) / stray.path)
    files = known_files(dataset.store, snapshot, [staged(dataset, [NEW])], 1).files
    assert [(it.path, it.may_hold, it.is_near) for it in files] == [(stray.path, True, True)]


# ── whatever there is ───────────────────────────────────────────────────────────────────────────

_ROWS = st.lists(
    st.builds(
        Row,
        work=st.integers(1, 4),
        text=st.integers(1, 4),
        uri=st.sampled_from("fg"),
        days_ago=st.integers(-20, 20),
    ),
    min_size=1,
    max_size=4,
)
_FILES = st.lists(
    st.tuples(st.sampled_from(["articles", "duplicates"]), _ROWS, st.booleans()), max_size=6
)


@settings(max_examples=25, deadline=None)
@given(_FILES, _ROWS, st.integers(0, 12))
def test_no_row_is_missed_that_a_run_looks_for(
    files: list[tuple[str, list[Row], bool]], texts: list[Row], harmed: int
) -> None:
    """Whatever is listed, and whichever key file is lost."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(RecordingStore(folder), checkpoint_every=3)
        for number, (table, rows, lists) in enumerate(files):
            add = add_articles if table == "articles" else add_copies
            add(dataset, f"{number}", *rows, lists=lists)
        dataset.store.delete([f"{KEYS}/{name}" for name in dataset.store.names(KEYS)[harmed:]])
        everywhere = looked_into(dataset, *texts)
        found = by_name(everywhere.files)
    works = {row.work for row in texts}
    read = {(row.text, row.uri) for row in texts}

    def is_near(row: Row) -> bool:
        return any(abs(row.days_ago - text.days_ago) <= HORIZON_DAYS for text in texts)

    copies = itertools.chain(*(rows for table, rows, _ in files if table == "duplicates"))
    copied = {row.work for row in copies if is_near(row)}
    for number, (table, rows, _) in enumerate(files):
        file = found.get(f"{number}", KnownFile(0, table, "", may_hold=False, is_near=False))
        for row in rows:
            is_of_work = table == "articles" and row.work in works
            assert file.may_hold or not (is_of_work or (row.text, row.uri) in read)
            assert file.is_near or not is_near(row)
            if table == "articles" and row.work in copied:
                ids = everywhere.canonical_ids if file.may_hold_canonicals else file.canonical_ids
                assert bytes.fromhex(row.article_id) in ids
