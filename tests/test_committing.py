"""The end of a stream: each window a commit, each row once, whatever comes late or twice."""

from __future__ import annotations

import datetime
import errno
import pickle
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from near_copies import VARIANTS
from near_copies import make_story as make_long_story
from source_factory import Story, make_story
from stream_factory import (
    FEED,
    NOON,
    ScriptedStream,
    Staged,
    failed_reading,
    link_to,
    passed,
    quiet_poll,
    reading_of,
    windows_with,
)

from pipelines.commit_summary import lags
from pipelines.committing import (
    CommitPlan,
    Committer,
    Published,
    StreamOrphanedError,
    begin_commits,
    end_commits,
    in_a_thread,
    latest_memories,
    remember,
)
from pipelines.dataset import Commit, Dataset, PublishError, local_dataset
from pipelines.feed_memory import read_memory
from pipelines.lock import hold_lease
from pipelines.recall import drained_path, stream_folder
from pipelines.steps import RunFailedError
from pipelines.verify import verify
from pipelines.waiting_windows import Window, pack, unpack
from schemas.records import FeedMemory, FetchedLink, LedgerEntry, PolledFeed, SeenItem
from transforms.staging import paths_of_block
from transforms.storage import StoreError


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptedStream]:
    stream = ScriptedStream(tmp_path / "dataset")
    yield stream
    if stream.commits():
        assert verify(local_dataset(str(stream.folder))).clean


# ── windows ─────────────────────────────────────────────────────────────────────────────────────


def test_each_window_is_extracted_and_committed_and_copies_are_linked_over_its_border(
    run: ScriptedStream,
) -> None:
    run.play_readings(
        reading_of(make_story(1), 10),
        reading_of(make_story(2), 50),
        passed(60),
        reading_of(make_story(1), 61, "copied.example"),
        failed_reading("none", 62),
        passed(120),
    )
    assert run.committed_until() == [60, 120]
    first, _ = run.rows("articles")
    (copy,) = run.rows("duplicates")
    assert (copy["kind"], copy["canonical_id"]) == ("exact", first["article_id"])
    assert [row["reason"] for row in run.rows("failures")] == ["not-found"]


def test_windows_that_close_together_are_both_committed(run: ScriptedStream) -> None:
    run.play_readings(
        quiet_poll(10),
        reading_of(make_story(1), 11),
        quiet_poll(70),
        reading_of(make_story(2), 71),
        passed(120),
    )
    assert len(run.rows("articles")) == 2


def test_what_is_staged_is_removed_once_it_is_committed(run: ScriptedStream) -> None:
    run.play(run.stage(reading_of(make_story(1), 10)), passed(60))
    left = run.dataset.store.list_files(stream_folder(run.stream_id))
    assert [file.path for file in left if file.size_bytes] == []


def test_what_is_behind_the_watermark_is_committed_and_linked(run: ScriptedStream) -> None:
    run.play(
        run.stage(reading_of(make_story(1), 70)),
        passed(120),
        run.stage(reading_of(make_story(1), 20, "copied.example")),
        run.stage(reading_of(make_story(2), 30)),
        passed(180),
    )
    assert run.committed_until()[0] == 120
    first, second = sorted(run.rows("articles"), key=lambda row: str(row["title"]))
    (copy,) = run.rows("duplicates")
    assert copy["canonical_id"] in {first["article_id"], second["article_id"]}
    assert len(run.rows("articles")) == 2


def test_windows_without_news_share_the_next_commit(run: ScriptedStream) -> None:
    run.play(
        run.stage(reading_of(make_story(1), 10)),
        passed(60),
        run.stage(quiet_poll(70)),
        passed(120),
        run.stage(quiet_poll(130)),
        passed(180),
        run.stage(reading_of(make_story(2), 190)),
        passed(240),
    )
    assert run.committed_until() == [60, 240]
    assert run.commits()[1].details["feeds"]["polled"] == 1


def test_windows_without_news_are_committed_at_the_end(run: ScriptedStream) -> None:
    run.play(
        run.stage(reading_of(make_story(1), 10)), passed(60), run.stage(quiet_poll(70)), passed(120)
    )
    assert run.committed_until() == [60, 120]


def test_windows_without_news_wait_ten_minutes_at_most(run: ScriptedStream) -> None:
    polls = [step for at in range(70, 790, 60) for step in (run.stage(quiet_poll(at)), passed(at))]
    run.play(run.stage(quiet_poll(10)), passed(60), *polls)
    assert run.committed_until()[:2] == [60, 660]


def test_windows_without_news_do_not_wait_for_a_poll_that_is_far_off(run: ScriptedStream) -> None:
    run.play(run.stage(quiet_poll(10)), passed(60), passed(660), run.stage(quiet_poll(3_610)))
    assert run.committed_until() == [60, 3_660]


def test_a_stream_of_nothing_comes_to_its_end(run: ScriptedStream) -> None:
    run.play(passed(60))
    assert run.dataset.store.exists(drained_path(run.stream_id))


def test_a_stream_of_nothing_commits_nothing(run: ScriptedStream) -> None:
    run.play(passed(60), passed(120))
    assert run.commits() == []


def _as_source(number: int, variant: str) -> Story:
    """A story of ``near_copies``, or a variant of it, as the site has it."""
    story = VARIANTS[variant](make_long_story(number), random.Random(number))
    return Story(number, story.title, story.paragraphs, story.author, "Lima", None)


def _check_linked(run: ScriptedStream, seconds: list[float], variant: str) -> None:
    ordered = sorted(seconds)
    steps = []
    for number, at in enumerate(ordered):
        story = _as_source(3, variant if number else "same")
        steps += [run.stage(reading_of(story, at, f"site-{number}.example")), passed(at)]
    run.play(run.stage(reading_of(make_story(1), 0)), *steps, passed(ordered[-1] + 60))
    assert len(run.rows("articles")) == 2
    canonical = {row["article_id"] for row in run.rows("articles")}
    assert {row["canonical_id"] for row in run.rows("duplicates")} < canonical
    assert len({row["canonical_id"] for row in run.rows("duplicates")}) == 1
    assert len(run.rows("duplicates")) == len(seconds) - 1


def test_copies_on_both_sides_of_a_border_are_linked(run: ScriptedStream) -> None:
    _check_linked(run, [59.999, 60, 119.999], "edited-3")


@pytest.mark.slow
@given(
    st.lists(st.integers(1, 300_000), min_size=2, max_size=4, unique=True),
    st.sampled_from(["same", "edited-3", "updated"]),
)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_copies_are_linked_wherever_the_borders_are(
    tmp_path_factory: pytest.TempPathFactory, millis: list[int], variant: str
) -> None:
    run = ScriptedStream(tmp_path_factory.mktemp("stream") / "dataset")
    _check_linked(run, [one / 1_000 for one in millis], variant)


# ── late, and behind ────────────────────────────────────────────────────────────────────────────


def test_what_comes_late_bit_by_bit_is_committed_once_its_account_balances(
    run: ScriptedStream,
) -> None:
    late = run.stage(reading_of(make_story(1), 20))
    run.play(
        run.stage(reading_of(make_story(2), 70)),
        passed(120),
        late.part(0, 3),
        run.stage(reading_of(make_story(3), 130)),
        passed(180),
        late.part(3),
        run.stage(reading_of(make_story(4), 190)),
        passed(240),
    )
    assert [commit.details["outcomes"]["article"] for commit in run.commits()] == [1, 1, 2]


def test_while_a_window_waits_for_its_rest_the_stream_is_not_committed_beyond_it(
    run: ScriptedStream,
) -> None:
    broken = run.stage(reading_of(make_story(1), 70))
    run.play(
        run.stage(quiet_poll(10)),
        run.stage(reading_of(make_story(2), 20)),
        passed(60),
        broken.part(1),
        passed(120),
        run.stage(reading_of(make_story(3), 130)),
        passed(180),
        broken.part(0, 1),
        run.stage(reading_of(make_story(4), 190)),
        passed(240),
    )
    assert run.committed_until() == [60, 60, 120, 240]


def test_what_never_becomes_whole_is_a_bug_and_keeps_nothing_else_back(
    run: ScriptedStream,
) -> None:
    lost = run.stage(reading_of(make_story(1), 20)).part(0, -1)
    with pytest.raises(AssertionError, match=r"window until 2026-11-20T12:01:00Z does not"):
        run.play(lost, passed(60), run.stage(reading_of(make_story(2), 70)), passed(120))
    assert [row["title"] for row in run.rows("articles")] == [make_story(2).title]


def test_a_window_that_is_not_whole_when_nothing_more_of_it_can_come_ends_the_stream(
    run: ScriptedStream,
) -> None:
    lost = run.stage(reading_of(make_story(1), 20)).part(0, -1)
    in_time, too_late, after = (make_story(number) for number in (2, 3, 4))
    with pytest.raises(AssertionError, match=r"window until 2026-11-20T12:01:00Z does not"):
        run.play(
            lost,
            run.stage(reading_of(in_time, 3_650)),
            passed(3_660),
            run.stage(reading_of(too_late, 3_710)),
            passed(3_720),
            run.stage(reading_of(after, 3_770)),
            passed(3_780),
        )
    assert [row["title"] for row in run.rows("articles")] == [in_time.title, too_late.title]


def test_a_block_that_the_account_does_not_know_is_a_bug(run: ScriptedStream) -> None:
    unknown = run.stage(reading_of(make_story(1), 20)).part(0, 1)
    with pytest.raises(AssertionError, match="has 0 units, but the blocks hold 1"):
        run.play(unknown, passed(60))


def test_what_is_later_than_a_stream_waits_for_is_not_silently_dropped(
    run: ScriptedStream,
) -> None:
    with pytest.raises(AssertionError, match=r"window until 2026-11-20T12:01:00Z does not"):
        run.play_readings(
            reading_of(make_story(1), 70),
            passed(2 * 3_600),
            reading_of(make_story(2), 20),
            passed(2 * 3_600 + 60),
        )


def test_a_stream_that_is_behind_makes_one_commit_of_the_windows_that_are_closed(
    run: ScriptedStream,
) -> None:
    run.play(
        run.stage(reading_of(make_story(1), 10)),
        run.stage(reading_of(make_story(2), 70)),
        run.stage(reading_of(make_story(3), 130)),
        passed(180),
    )
    assert run.committed_until() == [180]
    assert len(run.rows("articles")) == 3


def test_a_stream_that_is_far_behind_makes_a_commit_of_ten_minutes_at_most(
    run: ScriptedStream,
) -> None:
    run.play(
        run.stage(reading_of(make_story(1), 10)),
        run.stage(reading_of(make_story(2), 610)),
        run.stage(reading_of(make_story(3), 670)),
        passed(3_600),
    )
    assert run.committed_until() == [660, 720]


def test_what_failed_twice_is_in_two_commits_though_its_windows_close_together(
    run: ScriptedStream,
) -> None:
    run.play(
        run.stage(failed_reading("none", 10)), run.stage(failed_reading("none", 70)), passed(120)
    )
    assert run.committed_until() == [60, 120]


# What a stream's end hands to a commit, by a committer that only writes it down.


class Recorder(Committer):
    """Writes down what it is to commit, and fails the first time."""

    def __init__(self, plan: CommitPlan) -> None:
        super().__init__(plan)
        self._store = plan.store
        self._failures = 1

    def commit(self, windows: Sequence[Window], until: Timestamp) -> None:
        if self._failures:
            self._failures -= 1
            raise RunFailedError("the store is out of reach")
        assert all(window.is_whole for window in windows)
        number = len(self._store.names("handed"))
        self._store.write(f"handed/{number:04d}", pickle.dumps(list(windows)))


def handed(run: ScriptedStream) -> list[list[Window]]:
    """What was committed, commit by commit."""
    store = run.dataset.store
    return [pickle.loads(store.read(f"handed/{name}")) for name in sorted(store.names("handed"))]


def recorded(folder: Path) -> ScriptedStream:
    return ScriptedStream(folder, make_committer=Recorder, patience_seconds=(0.0,))


def test_nothing_is_kept_of_what_is_committed_and_a_commit_that_fails_is_made_again(
    tmp_path: Path,
) -> None:
    run = recorded(tmp_path)
    first, second = (run.stage(reading_of(make_story(n), 60 * n)) for n in (0, 1))
    run.play(first, passed(60), second, passed(120), passed(3_600))
    assert [[set(it.entries) for it in one] for one in handed(run)] == [
        [{it for it in staged.records if isinstance(it, LedgerEntry)}] for staged in (first, second)
    ]


ARRIVALS = st.lists(st.integers(0, 4), min_size=24, max_size=24)
"""For each record of three readings, before which of some steps of the watermark it comes."""


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ARRIVALS, st.randoms(use_true_random=False))
def test_each_record_is_in_one_commit_with_all_of_its_window_whenever_it_comes(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[int], chance: random.Random
) -> None:
    run = recorded(tmp_path_factory.mktemp("stream"))
    staged = [run.stage(reading_of(make_story(n), 60 * n)) for n in range(3)]
    records = [it.part(n, n + 1) for it in staged for n in range(len(it.records))]
    comings = list(zip(arrivals, records, strict=True))
    chance.shuffle(comings)
    steps: list[Staged | passed] = []
    for step in range(5):
        steps += [record for at, record in comings if at == step]
        steps.append(passed(60 * step + 60))
    run.play(*steps)
    windows = [window for one in handed(run) for window in one]
    found = Counter(it for window in windows for it in (*window.blocks, *window.entries))
    assert found == Counter(it for one in staged for it in one.records)


# ── each row once ───────────────────────────────────────────────────────────────────────────────


def test_a_stream_that_is_brought_again_from_its_start_adds_nothing(run: ScriptedStream) -> None:
    steps = (
        run.stage(reading_of(make_story(1), 10)),
        passed(60),
        run.stage(reading_of(make_story(1), 70, "copied.example")),
        run.stage(failed_reading("none", 71)),
        passed(120),
    )
    run.play(*steps)
    before = run.commits(), run.rows("articles"), run.rows("duplicates"), run.rows("failures")
    run.play(*steps)
    assert before == (
        run.commits(),
        run.rows("articles"),
        run.rows("duplicates"),
        run.rows("failures"),
    )


def test_of_windows_that_are_brought_again_those_are_committed_that_are_not_yet(
    run: ScriptedStream,
) -> None:
    first = (run.stage(reading_of(make_story(1), 10)), passed(60))
    run.play(*first)
    run.play(
        *first,
        run.stage(quiet_poll(70)),
        passed(120),
        run.stage(reading_of(make_story(2), 130)),
        passed(180),
    )
    assert run.committed_until() == [60, 180]
    assert len(run.rows("articles")) == 2


def test_the_next_stream_that_asks_again_for_what_is_committed_adds_nothing(
    run: ScriptedStream,
) -> None:
    run.play(run.stage(reading_of(make_story(1), 10)), passed(60))
    again = ScriptedStream(run.folder, "20261120T130000Z-000001")
    again.play(again.stage(reading_of(make_story(1), 3_600)), passed(3_660))
    assert len(run.rows("articles")) == 1
    assert run.rows("duplicates") == []
    assert run.commits()[1].details["outcomes"]["unchanged"] == 1


def test_no_block_is_in_two_commits(run: ScriptedStream) -> None:
    readings = [run.stage(reading_of(make_story(n), 40 * n)) for n in range(4)]
    run.play(*readings[:2], passed(60), readings[2], passed(120), readings[3], passed(180))
    blocks = [name for one in run.commits() for name in one.details["stream"]["blocks"]]
    assert len(run.commits()) == 3
    assert sorted(blocks) == sorted(set(blocks))


# ── the horizon ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("later_seconds", "articles"), [(119, 1), (241, 2)], ids=["within", "beyond"]
)
def test_a_copy_after_the_horizon_is_an_article_of_its_own(
    tmp_path: Path, later_seconds: int, articles: int
) -> None:
    run = ScriptedStream(tmp_path / "dataset", options={"dedup_horizon_seconds": 120})
    run.play(
        run.stage(reading_of(make_story(1), 10)),
        passed(60),
        run.stage(reading_of(make_story(1), 10 + later_seconds, "copied.example")),
        passed(600),
    )
    assert len(run.rows("articles")) == articles
    assert len(run.rows("duplicates")) == 2 - articles


# ── one commit ──────────────────────────────────────────────────────────────────────────────────


def test_the_same_window_is_committed_once(run: ScriptedStream) -> None:
    windows = windows_with(run.stage(reading_of(make_story(1), 10)), until=60)
    committer = Committer(run.plan)
    first = committer.commit(windows, NOON + 60)
    assert isinstance(first, Published)
    assert first.number == 1
    assert first.summary["stream"]["id"] == run.stream_id
    assert committer.commit(windows, NOON + 60) is None
    assert Committer(run.plan).commit(windows, NOON + 60) is None


def test_of_a_window_that_is_brought_again_with_more_the_rest_is_committed(
    run: ScriptedStream,
) -> None:
    first, second = (run.stage(reading_of(make_story(n), n)) for n in (1, 2))
    committer = Committer(run.plan)
    committer.commit(windows_with(first, until=60), NOON + 60)
    published = committer.commit(windows_with(first, second, until=60), NOON + 60)
    assert published is not None
    assert published.summary["new_rows"]["articles"] == 1
    assert len(run.rows("articles")) == 2


def test_a_commit_that_was_killed_before_its_blocks_were_removed_adds_nothing_when_made_again(
    run: ScriptedStream,
) -> None:
    readings = reading_of(make_story(1), 10), failed_reading("none", 20), quiet_poll(30)
    windows = windows_with(*map(run.stage, readings), until=60)
    Committer(run.plan).commit(windows, NOON + 60)
    before = run.rows("articles"), run.rows("failures")
    for reading in readings:  # the blocks are there again
        run.stage(reading)
    Committer(run.plan).commit(windows, NOON + 60)
    assert (run.rows("articles"), run.rows("failures")) == before
    assert run.rows("duplicates") == []


class CutShort(Dataset):
    """Decides a commit, and is cut short before it is carried out."""

    is_cut = False

    def _carry_out(self, commit: Commit) -> None:
        if not CutShort.is_cut:
            CutShort.is_cut = True
            raise StoreError(errno.EIO, "it does not answer")
        super()._carry_out(commit)


def test_a_commit_that_was_decided_and_cut_short_is_finished_and_not_made_twice(
    run: ScriptedStream,
) -> None:
    windows = windows_with(run.stage(reading_of(make_story(1), 10)), until=60)
    committer = Committer(run.plan)
    committer._dataset = CutShort(run.dataset.store)
    with pytest.raises(PublishError, match="the commit is decided"):
        committer.commit(windows, NOON + 60)
    later = windows_with(run.stage(reading_of(make_story(2), 70)), until=120)
    assert committer.commit(windows, NOON + 60) is None
    assert committer.commit(later, NOON + 120) is not None
    assert [commit.number for commit in run.commits()] == [1, 2]
    assert len(run.rows("articles")) == 2
    assert not any(run.dataset.store.exists(path) for path in paths_of_block(windows[0].blocks[0]))


def test_where_nothing_is_gone_only_the_newest_commit_is_asked_whether_it_has_a_block(
    run: ScriptedStream,
) -> None:
    """The log of batches may be long."""
    for number in range(3):
        run.dataset.publish("ingest", f"20261120T11000{number}Z-000000", number, "", [])
    read: list[int] = []

    class Counting(Dataset):
        def _commit(self, folder: str, number: int) -> Commit:
            read.append(number)
            return super()._commit(folder, number)

    committer = Committer(run.plan)
    committer._dataset = Counting(run.dataset.store)
    committer._newest()
    read.clear()
    (window,) = windows_with(run.stage(reading_of(make_story(4), 190)), until=240)
    assert committer._committed(window.blocks) == []
    assert read == [3]


def test_no_commit_begins_after_the_stream_has_ended(run: ScriptedStream) -> None:
    end_commits()
    try:
        with pytest.raises(StreamOrphanedError, match="the stream has ended"):
            run.play(run.stage(reading_of(make_story(1), 10)), passed(60))
    finally:
        begin_commits()
    assert run.commits() == []


def test_a_window_of_no_blocks_is_no_commit(run: ScriptedStream) -> None:
    assert Committer(run.plan).commit([], NOON + 60) is None


def test_a_block_that_nobody_has_committed_and_that_is_gone_is_told(run: ScriptedStream) -> None:
    staged = run.stage(reading_of(make_story(1), 10))
    run.dataset.store.delete(paths_of_block(staged.records[0]))
    with pytest.raises(RunFailedError, match="is gone, and no commit of the stream has it"):
        Committer(run.plan).commit(windows_with(staged, until=60), NOON + 60)


def test_a_stream_whose_lease_is_anothers_ends(run: ScriptedStream) -> None:
    windows = windows_with(run.stage(reading_of(make_story(1), 10)), until=60)
    committer = Committer(run.plan)
    with (
        hold_lease(run.dataset.store, "newsbeam ingest"),
        pytest.raises(StreamOrphanedError, match="has another writer now"),
    ):
        committer.commit(windows, NOON + 60)
    assert run.commits() == []


def test_an_account_that_does_not_balance_is_a_bug(run: ScriptedStream) -> None:
    staged = run.stage(reading_of(make_story(1), 10))
    (window,) = windows_with(staged, until=60)
    kept = tuple(entry for entry in window.entries if entry.outcome != "staged")
    with pytest.raises(AssertionError, match="opened 1 times and closed 0 times"):
        Committer(run.plan).commit([replace(window, entries=kept)], NOON + 60)
    assert run.commits() == []


def test_a_commit_has_the_memory_of_the_feeds(run: ScriptedStream) -> None:
    windows = windows_with(
        run.stage(quiet_poll(5)), run.stage(reading_of(make_story(1), 10)), until=60
    )
    Committer(run.plan).commit(windows, NOON + 60)
    memory = read_memory(run.dataset, run.dataset.snapshot())[0][FEED]
    assert memory.polled_at == NOON + 5
    assert memory.articles == 1
    assert len(memory.seen) == 1


def test_what_a_feed_has_given_adds_up_over_commits(run: ScriptedStream) -> None:
    committer = Committer(run.plan)
    for number in (1, 2):
        staged = run.stage(reading_of(make_story(number), 60 * number - 1))
        committer.commit(windows_with(staged, until=60 * number), NOON + 60 * number)
    memory = read_memory(run.dataset, run.dataset.snapshot())[0][FEED]
    assert memory.articles == 2


def test_lags_count_from_the_window_and_from_the_observation(run: ScriptedStream) -> None:
    windows = windows_with(run.stage(reading_of(make_story(1), 10)), until=60)
    published = Committer(run.plan).commit(windows, NOON + 60)
    assert published is not None
    stream = published.summary["stream"]
    assert stream["watermark_lag_seconds"] == 3_540
    assert stream["observed_lag_seconds"]["p50"] == 3_590
    assert stream["feed_lag_seconds"]["count"] == 0  # no date is known


def test_a_window_that_ends_before_its_time_is_not_late(run: ScriptedStream) -> None:
    now = datetime.datetime(2026, 11, 20, 12, 0, 30, tzinfo=datetime.UTC)
    assert lags(run.dataset.store, "", [], NOON + 60, now)["watermark_lag_seconds"] == 0


def test_no_files_have_no_lags(run: ScriptedStream) -> None:
    now = datetime.datetime(2026, 11, 20, 12, 2, tzinfo=datetime.UTC)
    found = lags(run.dataset.store, "", [], NOON + 60, now)
    assert found["watermark_lag_seconds"] == 60
    for lag in (found["observed_lag_seconds"], found["feed_lag_seconds"]):
        assert lag["count"] == 0
        assert "p50" not in lag


def test_polls_are_no_news_but_what_came_of_them_is(run: ScriptedStream) -> None:
    (asked,) = windows_with(run.stage(quiet_poll(5)), until=60)
    (page,) = windows_with(run.stage(reading_of(make_story(1), 10)), until=60)
    assert not asked.has_news
    assert page.has_news


def test_a_record_comes_back_from_its_item() -> None:
    entry = LedgerEntry("unit", "u", 1, 0)
    key, (end_micros, item) = pack(entry, 7)
    assert (key, end_micros, unpack(item)) == (b"", 7, entry)


def test_what_is_raised_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_a_thread(lambda: 1 // 0)
    assert in_a_thread(lambda: 7) == 7


# ── the memory of feeds ─────────────────────────────────────────────────────────────────────────


def poll(seconds: float, **memory: object) -> PolledFeed:
    return PolledFeed(FeedMemory(FEED, polled_at=NOON + seconds, **memory), listed=0)  # type: ignore[arg-type]


def test_the_latest_poll_counts_whatever_the_order() -> None:
    polls = [poll(20, etag='"2"'), poll(10, etag='"1"')]
    for given_polls in (polls, polls[::-1]):
        assert remember({}, given_polls, [])[FEED].etag == '"2"'


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=12))
def test_only_the_last_poll_of_a_feed_keeps_its_memory_and_that_is_all_there_is_to_remember(
    moments: list[tuple[int, int]],
) -> None:
    polls = [
        PolledFeed(FeedMemory(f"{FEED}?{feed}", polled_at=NOON + at, etag=str(at)), listed=0)
        for at, feed in moments
    ]
    latest = latest_memories(polls)
    assert len(latest) == len(polls)
    assert sum(bool(one.memory.etag) for one in latest) == len({feed for _, feed in moments})
    assert remember({}, latest, []) == remember({}, polls, [])


@pytest.mark.parametrize("seconds", [19, 20])
def test_a_poll_that_the_memory_has_or_is_older_counts_for_nothing(seconds: int) -> None:
    before = {FEED: FeedMemory(FEED, polled_at=NOON + 20, etag='"2"')}
    assert remember(before, [poll(seconds, etag='"1"')], []) == before


def test_a_poll_keeps_what_the_feed_has_given_so_far() -> None:
    before = {FEED: FeedMemory(FEED, polled_at=NOON, articles=5, duplicates=4, failed=1)}
    after = remember(before, [poll(20)], [])[FEED]
    assert (after.articles, after.duplicates, after.rejected, after.failed) == (5, 4, 0, 1)


def test_new_links_wait_until_it_is_known_what_became_of_them() -> None:
    links = (link_to("https://a.example/1"), link_to("https://a.example/2"))
    polled = replace(poll(10), links=links)
    memory = remember({}, [polled], [FetchedLink(links[0], "page")])[FEED]
    assert memory.pending == (links[1],)
    assert [item.key for item in memory.seen] == [links[0].key]
    later = remember({FEED: memory}, [], [FetchedLink(links[1], "known")])[FEED]
    assert later.pending == ()


def test_an_item_that_changed_while_its_earlier_text_was_fetched_stays_pending() -> None:
    earlier = link_to("https://a.example/1")
    changed = replace(earlier, version="00000002", is_update=True)
    memory = remember({}, [replace(poll(10), links=(changed,))], [FetchedLink(earlier, "page")])
    assert memory[FEED].pending == (changed,)
    assert memory[FEED].seen == (SeenItem(earlier.key, earlier.version),)


def test_a_link_that_failed_for_now_stays_pending_with_its_next_time() -> None:
    link = link_to("https://a.example/1")
    again = replace(link, attempts=1, retry_at=NOON + 600)
    memory = remember({}, [replace(poll(10), links=(link,))], [FetchedLink(again, "failed")])
    assert memory[FEED].pending == (again,)
    assert memory[FEED].seen == ()


def test_links_of_a_feed_that_the_memory_does_not_have_are_remembered() -> None:
    link = link_to("https://a.example/1")
    assert remember({}, [], [FetchedLink(link, "page")])[FEED].seen == (
        SeenItem(link.key, link.version),
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=8, unique_by=lambda it: it[0]
    )
)
def test_the_memory_is_the_same_in_one_commit_or_in_many(polls: list[tuple[int, int]]) -> None:
    made = [poll(seconds, etag=f'"{tag}"') for seconds, tag in sorted(polls)]
    known: dict[str, FeedMemory] = {}
    for one in made:
        known = remember(known, [one], [])
    assert known == remember({}, made, [])
    assert remember(known, made, []) == known  # a replay
