"""What a stream's reader is told of the dataset: commit by commit, and while it is compacted."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp
from stream_factory import FEED, NOON, ScriptedStream, failed_reading, quiet_poll, windows_with

from pipelines.committing import Committer
from pipelines.compact import compact
from pipelines.dataset import DatasetError
from pipelines.recall import STREAMS, DatasetRecall, clock_now, stop_path, stream_folder
from transforms.compaction import DamagedFileError
from transforms.feed_session import OutOfReachError
from transforms.seen_pages import SeenPages
from transforms.storage import LocalStore, StoreError

HORIZON_SECONDS = 100 * 366 * 86_400
"""So that whatever the day, what tests commit is within it."""


@pytest.fixture
def run(tmp_path: Path) -> ScriptedStream:
    return ScriptedStream(tmp_path / "dataset")


def recall_of(run: ScriptedStream, stream_id: str = "") -> DatasetRecall:
    return DatasetRecall(run.dataset.store, stream_id or run.stream_id, HORIZON_SECONDS)


def commit(run: ScriptedStream, number: int) -> str:
    """Commit a page that was rejected, and a poll, in a window; gives the page's address."""
    end = 60 * (number + 1)
    reading = failed_reading(f"stories/{number}", end - 10)
    staged = [run.stage(reading), run.stage(quiet_poll(end - 5))]
    assert Committer(run.plan).commit(windows_with(*staged, until=end), NOON + end)
    return f"https://press.example/stories/{number}"


def test_a_dataset_that_is_not_there_yet_remembers_nothing(run: ScriptedStream) -> None:
    recall = recall_of(run)
    assert recall.refresh()
    assert not recall.refresh()
    assert recall.memories() == {}
    assert recall.seen(["https://press.example/stories/1"]) == {}
    assert recall.committed_until() == Timestamp(0)


def test_each_new_commit_is_heard_of_once(run: ScriptedStream) -> None:
    recall = recall_of(run)
    recall.refresh()
    for number in range(2):
        url = commit(run, number)
        assert recall.seen([url]) == {}  # not before it is looked for
        assert recall.refresh()
        assert not recall.refresh()
        assert recall.seen([url, "https://press.example/no"]) == {
            url: (NOON + 60 * (number + 1) - 10).micros
        }
        assert recall.committed_until() == NOON + 60 * (number + 1)
        assert recall.memories()[FEED].polled_at == NOON + 60 * (number + 1) - 5


def test_what_was_committed_before_is_known_from_the_start(run: ScriptedStream) -> None:
    url = commit(run, 0)
    recall = recall_of(run)
    assert recall.seen([url])
    assert recall.memories()[FEED].polled_at == NOON + 55


def test_a_page_that_was_seen_before_the_horizon_is_not_known(run: ScriptedStream) -> None:
    url = commit(run, 0)
    seconds = int((clock_now() - NOON).micros / 1e6)
    store = run.dataset.store
    assert not DatasetRecall(store, run.stream_id, max(1, seconds - 3_600)).seen([url]) or (
        seconds < 3_600
    )


def test_only_its_own_commits_tell_a_stream_what_of_it_is_committed(run: ScriptedStream) -> None:
    recall, others = recall_of(run), recall_of(run, "20261120T130000Z-000009")
    recall.refresh()
    others.refresh()
    commit(run, 0)
    assert others.refresh()
    assert others.committed_until() == Timestamp(0)
    recall.refresh()
    assert recall.committed_until() == NOON + 60


def test_a_second_reader_of_a_stream_knows_until_when_the_first_ones_batches_are_committed(
    run: ScriptedStream,
) -> None:
    commit(run, 0)
    recall, others = recall_of(run), recall_of(run, "20261120T130000Z-000009")
    recall.refresh()
    others.refresh()
    assert recall.committed_until() == NOON + 60
    assert others.committed_until() == Timestamp(0)


def test_a_window_that_is_committed_late_does_not_set_back_until_when_all_is(
    run: ScriptedStream,
) -> None:
    recall = recall_of(run)
    recall.refresh()
    commit(run, 3)
    commit(run, 1)
    recall.refresh()
    assert recall.committed_until() == NOON + 240


def test_pages_are_known_also_where_files_are_compacted(run: ScriptedStream) -> None:
    recall = recall_of(run)
    recall.refresh()
    urls = [commit(run, number) for number in range(3)]
    recall.refresh()
    assert len(recall.seen(urls)) == 3
    assert compact(run.dataset).rewritten
    assert len(recall.seen(urls)) == 3
    assert recall.refresh()
    assert len(recall.seen(urls)) == 3
    assert recall.committed_until() == NOON + 180


def test_a_file_that_is_compacted_before_it_is_read_is_found_in_the_next_commit(
    run: ScriptedStream,
) -> None:
    recall = recall_of(run)
    recall.refresh()
    urls = [commit(run, number) for number in range(3)]
    recall.refresh()
    assert compact(run.dataset).rewritten  # the recall's files are gone
    assert len(recall.seen(urls)) == 3


def test_a_file_that_vanishes_is_told_of_when_it_is_long_enough_gone(
    run: ScriptedStream,
) -> None:
    url = commit(run, 0)
    for file in run.folder.glob("failures/**/*.parquet"):
        file.unlink()
    recall = DatasetRecall(run.dataset.store, run.stream_id, HORIZON_SECONDS, patience_seconds=0)
    with pytest.raises(DatasetError, match="a file of the dataset is missing"):
        recall.seen([url])


def test_a_commit_that_comes_while_addresses_are_read_is_not_passed_over(
    run: ScriptedStream,
) -> None:
    recall = recall_of(run)
    recall.refresh()
    urls = [commit(run, number) for number in range(2)]
    recall.refresh()
    assert compact(run.dataset).rewritten
    # It hears of this while it looks for where its files have gone.
    urls.append(commit(run, 2))
    assert len(recall.seen(urls)) == 3
    assert recall.committed_until() == NOON + 180


# ── what fails ──────────────────────────────────────────────────────────────────────────────────


class ShakyStore(LocalStore):
    """A folder that is out of reach at times."""

    is_away = False

    def exists(self, path: str) -> bool:
        self._check(path)
        return super().exists(path)

    def read(self, path: str) -> bytes:
        self._check(path)
        return super().read(path)

    def open(self, path: str) -> pa.NativeFile:
        self._check(path)
        return super().open(path)

    def names(self, folder: str) -> list[str]:
        self._check(folder)
        return super().names(folder)

    def _check(self, path: str) -> None:
        if self.is_away:
            raise StoreError(errno.EIO, f"{path}: it does not answer")


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_store_that_is_out_of_reach_for_a_while_is_told_and_nothing_is_forgotten(
    run: ScriptedStream, has_begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = ShakyStore(str(run.folder))
    recall = DatasetRecall(store, run.stream_id, HORIZON_SECONDS)
    url = commit(run, 0)
    if has_begun:
        recall.refresh()
    store.is_away = True
    asks = [recall.refresh, recall.memories, partial(recall.seen, [url]), recall.is_over]
    for ask in asks:
        with pytest.raises(OutOfReachError, match="it does not answer"):
            ask()
    store.is_away = False
    assert recall.memories()[FEED].polled_at == NOON + 55
    assert recall.seen([url])
    assert not recall.is_over()
    assert caplog.text.count("the reader waits for the dataset") == 1


def test_a_manifest_that_is_damaged_is_told_in_a_sentence(run: ScriptedStream) -> None:
    recall = recall_of(run)
    recall.refresh()
    commit(run, 0)
    (manifest,) = run.folder.glob("_newsbeam/commits/*.json")
    manifest.write_bytes(b"{")
    with pytest.raises(DatasetError, match=r"00000001.json is damaged .*put it back from a copy"):
        recall.refresh()


def test_a_file_that_is_damaged_is_told_in_a_sentence(run: ScriptedStream) -> None:
    url = commit(run, 0)
    for file in run.folder.glob("failures/**/*.parquet"):
        file.write_bytes(b"PAR1")
    with pytest.raises(DamagedFileError, match="is damaged"):
        recall_of(run).seen([url])


def test_files_that_were_read_before_the_store_was_out_of_reach_are_not_read_again(
    run: ScriptedStream,
) -> None:
    commit(run, 0)
    commit(run, 1)
    files = [("failures", file.path) for file in run.dataset.snapshot().table("failures")]
    assert len(files) == 2
    pages = SeenPages(run.dataset.store)
    with pytest.raises(FileNotFoundError):
        pages.keep([*files, ("failures", "failures/none.parquet")], Timestamp(0))
    for file in run.folder.glob("failures/**/*.parquet"):
        file.unlink()
    pages.keep(files, Timestamp(0))
    assert len(pages.seen(["https://press.example/stories/0"])) == 1
    pages.keep([], Timestamp(0))
    assert pages.seen(["https://press.example/stories/0"]) == {}


# ── the memory of feeds ─────────────────────────────────────────────────────────────────────────


def test_a_memory_that_a_commit_has_replaced_meanwhile_is_read_from_that_commit(
    run: ScriptedStream,
) -> None:
    commit(run, 0)
    recall = recall_of(run)
    recall.refresh()
    commit(run, 1)  # removes what the first has written
    commit(run, 2)
    assert recall.memories()[FEED].polled_at == NOON + 175
    assert recall.committed_until() == NOON + 180


def test_a_memory_that_is_lost_is_told_to_the_log_and_all_feeds_are_asked(
    run: ScriptedStream, caplog: pytest.LogCaptureFixture
) -> None:
    commit(run, 0)
    for file in run.folder.glob("_newsbeam/feeds/*"):
        file.unlink()
    assert recall_of(run).memories() == {}
    assert "is missing; all feeds are asked for again" in caplog.text


def test_a_memory_that_is_damaged_is_told_to_the_log(
    run: ScriptedStream, caplog: pytest.LogCaptureFixture
) -> None:
    commit(run, 0)
    for file in run.folder.glob("_newsbeam/feeds/*"):
        file.write_bytes(b"none")
    assert recall_of(run).memories() == {}
    assert "is damaged" in caplog.text


# ── the end, and the rest ───────────────────────────────────────────────────────────────────────


def test_a_stream_is_over_when_its_file_says_so(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    recall = DatasetRecall(store, "a", 1)
    assert not recall.is_over()
    store.write(stop_path("b"), b"")
    assert not recall.is_over()
    store.write(stop_path("a"), b"")
    assert recall.is_over()


def test_the_folders_of_streams_are_told_from_those_of_runs() -> None:
    assert stream_folder("7").rpartition("/")[2].startswith(STREAMS)
    assert stop_path("7").startswith(f"{stream_folder('7')}/")


def test_nothing_is_asked_of_the_dataset_for_no_addresses(run: ScriptedStream) -> None:
    nothing: Iterable[str] = ()
    assert recall_of(run).seen(nothing) == {}
