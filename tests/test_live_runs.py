"""Whole runs over live feeds: from a server to rows, and what the next run makes of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from feed_site import FeedSite
from source_factory import make_story
from web_server import WebServer

from pipelines.config import BYTES_PER_WORKER, IngestConfig
from pipelines.dataset import local_dataset
from pipelines.feed_memory import read_memory
from pipelines.live import Live
from pipelines.run import RunReport, ingest
from pipelines.verify import verify
from schemas.records import FeedMemory, StagedBlock, Subscription
from transforms.http_client import HttpSettings

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def site(server: WebServer) -> FeedSite:
    return FeedSite(server)


class Runs:
    """Runs on one dataset, each an hour after the last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._now = NOON

    def run(
        self, *feeds: str | Subscription, after: datetime.timedelta = HOUR, **options: Any
    ) -> RunReport:
        subscriptions = tuple(
            feed if isinstance(feed, Subscription) else Subscription(feed) for feed in feeds
        )
        config = IngestConfig(
            options.pop("sources", ()),
            str(self.folder),
            subscriptions=subscriptions,
            http=HttpSettings(allow_private_hosts=True),
            workers=1,
            **options,
        )
        report = ingest(config, clock=lambda: self._now)
        self._now += after
        assert not report.balance.fault_count, report.balance.faults
        return report

    def rows(self, table: str) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob(f"{table}/**/*.parquet"))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def memory(self, url: str) -> FeedMemory:
        dataset = local_dataset(str(self.folder))
        return read_memory(dataset, dataset.snapshot())[0][url]

    def forget(self) -> None:
        """Lose the memory of the feeds."""
        for file in (self.folder / "_newsbeam" / "feeds").iterdir():
            file.unlink()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "news")


def test_a_feed_becomes_articles_and_then_nothing_until_it_changes(
    server: WebServer, site: FeedSite, runs: Runs
) -> None:
    site.publish(1, 2)
    first = runs.run(site.feed_url)
    assert first.count("article") == 2
    rows = runs.rows("articles")
    assert {row["title"] for row in rows} == {make_story(1).title, make_story(2).title}
    assert {row["feed_url"] for row in rows} == {site.feed_url}
    assert {row["source_uri"] for row in rows} == {site.page_url(1), site.page_url(2)}
    assert {row["published_source"] for row in rows} == {"feed"}

    second = runs.run(site.feed_url)
    assert second.balance.units == 0
    assert [visit.status for visit in server.visits(site.feed_path)] == [200, 304]

    site.publish(3)
    third = runs.run(site.feed_url)
    assert (third.count("article"), third.details("unchanged")) == (1, {"unchanged-item": 2})
    assert server.paths.count(site.page_path(1)) == 1
    assert verify(local_dataset(str(runs.folder))).clean


@pytest.mark.slow
def test_an_item_that_says_it_was_changed_becomes_a_revision(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    runs.run(site.feed_url)
    site.change(1, updated="2026-11-20T12:30:00Z")
    assert runs.run(site.feed_url).count("revision") == 1
    assert runs.run(site.feed_url).balance.units == 0
    assert server.paths.count(site.page_path(1)) == 2


@pytest.mark.slow
def test_without_its_memory_a_run_asks_again_for_feeds_but_not_for_pages(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    runs.run(site.feed_url)
    runs.forget()
    report = runs.run(site.feed_url)
    assert report.details("unchanged") == {"known-page": 1}
    assert server.paths.count(site.page_path(1)) == 1
    assert [visit.status for visit in server.visits(site.feed_path)] == [200, 200]


@pytest.mark.slow
def test_known_pages_are_not_looked_for_in_files_from_before_the_horizon(
    site: FeedSite, runs: Runs
) -> None:
    site.publish(1)
    runs.run(site.feed_url, after=30 * 24 * HOUR)
    [file] = runs.folder.glob("articles/**/*.parquet")
    file.write_bytes(b"x" * file.stat().st_size)
    site.publish(2)
    assert runs.run(site.feed_url).count("article") == 1


@pytest.mark.slow
def test_a_page_beyond_the_horizon_is_fetched_again(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    runs.run(site.feed_url, after=8 * 24 * HOUR)
    runs.forget()
    report = runs.run(site.feed_url)
    assert report.details("unchanged") == {"": 1}
    assert server.paths.count(site.page_path(1)) == 2


@pytest.mark.slow
def test_a_page_in_two_feeds_is_one_article(site: FeedSite, server: WebServer, runs: Runs) -> None:
    site.publish(1)
    server.set("/other.xml", site.feed(), content_type="application/rss+xml")
    report = runs.run(site.feed_url, server.url("/other.xml"))
    assert report.count("article") == 1
    assert report.details("unchanged") == {"same-page": 1}
    assert server.paths.count(site.page_path(1)) == 1


@pytest.mark.slow
def test_an_item_whose_text_is_in_the_feed_is_not_fetched(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1, has_text=True)
    assert runs.run(Subscription(site.feed_url, text="feed")).count("article") == 1
    assert server.paths == [site.feed_path]
    (row,) = runs.rows("articles")
    assert row["origin"] == f"{site.feed_url}#story-1"


@pytest.mark.slow
def test_a_page_that_failed_is_tried_again_though_the_feed_has_not_changed(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    server.set(site.page_path(1), status=500)
    first = runs.run(site.feed_url)
    assert first.details("failed") == {"http-status": 1}
    assert len(runs.memory(site.feed_url).pending) == 1
    site.publish(1)
    second = runs.run(site.feed_url)
    assert [visit.status for visit in server.visits(site.feed_path)] == [200, 304]
    assert second.count("article") == 1
    assert runs.memory(site.feed_url).pending == ()


@pytest.mark.slow
def test_a_page_that_is_no_article_is_not_asked_for_again(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    server.set(site.page_path(1), "<html><body><p>Soon.</p></body></html>")
    assert runs.run(site.feed_url).count("rejected") == 1
    site.publish(2)
    server.set(site.page_path(1), "<html><body><p>Soon.</p></body></html>")
    runs.run(site.feed_url)
    runs.forget()
    runs.run(site.feed_url)
    assert server.paths.count(site.page_path(1)) == 1


def test_a_feed_that_asks_for_patience_is_left_alone_until_then(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.ttl_minutes = 90
    site.publish(1)
    runs.run(site.feed_url)
    report = runs.run(site.feed_url)
    assert report.feeds is not None
    assert (report.feeds.polled, report.feeds.not_due, report.parts) == (0, 1, 0)
    assert runs.run(site.feed_url).parts == 1
    assert len(server.visits(site.feed_path)) == 2


@pytest.mark.slow
def test_a_feed_that_is_not_due_is_polled_on_demand(site: FeedSite, runs: Runs) -> None:
    site.ttl_minutes = 90
    site.publish(1)
    runs.run(site.feed_url)
    report = runs.run(site.feed_url, polls_all=True)
    assert report.feeds is not None
    assert report.feeds.polled == 1


@pytest.mark.slow
def test_a_page_that_becomes_a_subscription_is_no_page_any_more(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    """Both may fail under the same address, in one run."""
    site.publish(1)
    server.set(site.page_path(1), status=500)
    runs.run(site.feed_url)
    runs.run(site.feed_url, site.page_url(1))
    server.set(site.page_path(1), status=404)
    assert runs.run(site.feed_url, site.page_url(1)).count("failed") <= 1


@pytest.mark.slow
def test_a_larger_limit_is_heeded_although_the_feed_has_not_changed(
    site: FeedSite, runs: Runs
) -> None:
    site.publish(1, 2, 3)
    assert runs.run(Subscription(site.feed_url, limit=1)).count("article") == 1
    assert runs.run(Subscription(site.feed_url, limit=3)).count("article") == 2


@pytest.mark.slow
def test_a_feed_that_was_polled_by_a_clock_that_was_ahead_is_due(
    site: FeedSite, runs: Runs
) -> None:
    site.ttl_minutes = 90
    site.publish(1)
    runs.run(site.feed_url, after=-24 * HOUR)
    report = runs.run(site.feed_url)
    assert report.feeds is not None
    assert report.feeds.polled == 1


@pytest.mark.slow
def test_feeds_and_files_go_into_one_run(site: FeedSite, runs: Runs, tmp_path: Path) -> None:
    site.publish(1)
    story = make_story(7)
    dump = tmp_path / "dump.txt"
    dump.write_text("\n".join([story.title, "", *story.paragraphs]), encoding="utf-8")
    report = runs.run(site.feed_url, sources=(str(dump),))
    assert report.count("article") == 2
    assert report.balance.sources == 2


@pytest.mark.slow
def test_a_copy_of_a_page_on_another_site_is_a_duplicate(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    with WebServer() as second:
        other = FeedSite(second)
        site.publish(1)
        other.publish(1)
        runs.run(site.feed_url)
        assert runs.run(other.feed_url).count("duplicate") == 1


def test_what_a_header_keeps_secret_is_written_nowhere(site: FeedSite, runs: Runs) -> None:
    site.publish(1, 2)
    site.server.set(site.page_path(2), status=500)
    runs.run(Subscription(site.feed_url, headers=("X-Key: open-sesame",)))
    assert site.server.visits(site.page_path(1))[0].headers["x-key"] == "open-sesame"
    files = [file for file in runs.folder.rglob("*") if file.is_file()]
    assert files
    assert all(b"open-sesame" not in file.read_bytes() for file in files)
    assert runs.memory(site.feed_url).pending[0].headers == ()


@pytest.mark.slow
def test_an_undated_item_takes_the_day_on_which_it_was_first_seen(
    site: FeedSite, runs: Runs
) -> None:
    site.publish(1)
    site.items[1].published = ""
    site.refresh()
    runs.run(site.feed_url)
    (row,) = runs.rows("articles")
    assert row["published_source"] == "first-seen"
    assert row["published_at"].date() == NOON.date()


@pytest.mark.slow
def test_what_a_subscription_says_reaches_its_articles(site: FeedSite, runs: Runs) -> None:
    site.publish(1)
    runs.run(Subscription(site.feed_url, tags=("regional",), language="en"))
    (row,) = runs.rows("articles")
    assert "regional" in row["tags"]


@pytest.mark.slow
def test_a_feed_counts_what_it_has_given(site: FeedSite, server: WebServer, runs: Runs) -> None:
    site.publish(1, 2, 3)
    server.set(site.page_path(2), status=403)
    server.set(site.page_path(3), status=500)
    runs.run(site.feed_url)
    memory = runs.memory(site.feed_url)
    assert (memory.articles, memory.rejected, memory.failed) == (1, 1, 1)


@pytest.mark.slow
def test_a_feed_that_nobody_polls_any_more_is_remembered_for_a_while(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    server.set("/other.xml", site.feed(), content_type="application/rss+xml")
    runs.run(site.feed_url)
    runs.run(server.url("/other.xml"), after=100 * 24 * HOUR)
    assert runs.memory(site.feed_url).articles == 1
    runs.run(server.url("/other.xml"))
    with pytest.raises(KeyError):
        runs.memory(site.feed_url)


@pytest.mark.slow
def test_the_account_of_a_run_says_what_became_of_its_feeds(
    site: FeedSite, server: WebServer, runs: Runs
) -> None:
    site.publish(1)
    server.set("/gone", status=410)
    summary = runs.run(site.feed_url, server.url("/gone")).summary()
    assert summary["feeds"]["polled"] == 2
    assert summary["feeds"]["failed"] == 1
    assert summary["failed_by_reason"] == {"gone": 1}
    json.dumps(summary)


def test_the_secret_of_a_header_does_not_keep_a_run_from_going_on() -> None:
    subscription = Subscription("https://news.example/feed", headers=("X-Key: one",))
    renewed = replace(subscription, headers=("X-Key: two",))
    options = [
        IngestConfig((), "news", subscriptions=(it,)).staging_options()
        for it in (subscription, renewed)
    ]
    assert options[0] == options[1]


def test_as_many_processes_work_on_pages_as_on_files_of_their_size() -> None:
    live = Live(slices=[("slices/live", [StagedBlock("pages", "rounds/0000/fetch/pages-1", 100)])])
    assert live.page_bytes > BYTES_PER_WORKER
