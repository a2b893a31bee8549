"""Pages that could not be fetched are tried again: asked for once more, or read from their rows.

The sites are on loopback, served by ``web_server``.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import pytest
from apache_beam.utils.timestamp import Timestamp
from feed_site import FeedSite, story_page
from source_factory import make_story
from web_server import WebServer

from pipelines.cli import DONE, main
from pipelines.config import IngestConfig
from pipelines.dataset import local_dataset
from pipelines.ingest import build_replay
from pipelines.replay import ReplayReport, Selection, replay
from pipelines.run import ingest
from pipelines.verify import verify
from schemas.records import Failure, FeedItem, LinkedItem, Page, Retry, Source, Subscription
from transforms.http_client import HttpSettings
from transforms.reading import ReadLimits, read_content
from transforms.replaying import Unit, can_be_read, retry_failures

NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
OBSERVED_AT = Timestamp.from_utc_datetime(NOW)
SECRET = "Authorization: Bearer swordfish"
FEED = "https://gulls.example/feed"
STORY = "https://gulls.example/stories/1"
ITEM = FeedItem(guid="story-1", title="Gulls counted", authors=("A. Keeper",), first_seen="then")


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def site(server: WebServer) -> FeedSite:
    """Two stories, of which the second's page is broken."""
    site = FeedSite(server)
    site.publish(1, 2)
    server.set(site.page_path(2), "try later", status=500)
    return site


def mend(site: FeedSite) -> None:
    site.server.set(site.page_path(2), story_page(make_story(2)))


def config(site: FeedSite, root: Path, headers: tuple[str, ...] = ()) -> IngestConfig:
    return IngestConfig(
        (),
        str(root),
        subscriptions=(Subscription(site.feed_url, headers=headers),),
        http=HttpSettings(allow_private_hosts=True),
        polls_all=True,
        workers=1,
    )


def poll(site: FeedSite, root: Path, days: int = 0, **options: Any) -> None:
    now = NOW + datetime.timedelta(days=days)
    ingest(config(site, root, **options), clock=lambda: now)


def retry(site: FeedSite, root: Path, days: int = 1) -> ReplayReport:
    """Replay; whatever it finds, its account balances and the dataset keeps its promises."""
    dataset = local_dataset(str(root))
    now = NOW + datetime.timedelta(days=days)
    with dataset.writing("test"):
        report = replay(dataset, Selection(), config(site, root), clock=lambda: now)
    assert not report.run.balance.faults
    assert report.run.balance.sources == report.run.sources
    found = verify(dataset)
    assert found.clean, found.summary()
    return report


def rows(root: Path, table: str) -> list[dict[str, Any]]:
    if not any((root / table).glob("**/*.parquet")):
        return []
    files = f"{root}/{table}/**/*.parquet"
    return duckdb.read_parquet(files, union_by_name=True).to_arrow_table().to_pylist()


def counts(report: ReplayReport) -> tuple[int, int]:
    return report.retried, report.resolved


# ── asked for once more ─────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_page_that_is_there_again_gives_the_row_that_ingest_would_have_given(
    site: FeedSite, tmp_path: Path
) -> None:
    replayed, polled = tmp_path / "replayed", tmp_path / "polled"
    for root in (replayed, polled):
        poll(site, root)
    mend(site)
    poll(site, polled, days=1)
    assert counts(retry(site, replayed)) == (1, 1)
    row, expected = (
        next(row for row in rows(root, "articles") if row["origin"] == site.page_url(2))
        for root in (replayed, polled)
    )
    assert row | {"run_id": ""} == expected | {"run_id": ""}
    [failure] = rows(replayed, "failures")
    assert failure["resolved_by"] == row["run_id"]


def test_a_page_that_is_still_broken_stays_open_and_adds_no_row(
    site: FeedSite, tmp_path: Path
) -> None:
    poll(site, tmp_path)
    before, asked = rows(tmp_path, "failures"), len(site.server.paths)
    assert counts(retry(site, tmp_path)) == (1, 0)
    assert rows(tmp_path, "failures") == before
    assert site.server.paths[asked:] == ["/robots.txt", site.page_path(2)]


@pytest.mark.slow
def test_a_page_that_robots_may_not_have_stays_rejected(site: FeedSite, tmp_path: Path) -> None:
    rules = f"User-agent: *\nDisallow: {site.page_path(2)}\n"
    site.server.set("/robots.txt", rules, content_type="text/plain")
    mend(site)
    poll(site, tmp_path)
    before = rows(tmp_path, "failures")
    assert counts(retry(site, tmp_path)) == (1, 0)
    assert rows(tmp_path, "failures") == before
    assert [(row["kind"], row["reason"]) for row in before] == [("rejected", "robots")]
    assert site.server.visits(site.page_path(2)) == []


@pytest.mark.slow
def test_a_page_that_a_later_run_has_fetched_is_unchanged_and_its_failure_resolved(
    site: FeedSite, tmp_path: Path
) -> None:
    poll(site, tmp_path)
    mend(site)
    poll(site, tmp_path, days=1)
    before = rows(tmp_path, "articles")
    assert site.page_url(2) in {row["origin"] for row in before}
    report = retry(site, tmp_path, days=2)
    assert counts(report) == (1, 1)
    assert rows(tmp_path, "articles") == before
    assert rows(tmp_path, "duplicates") == []
    assert [row["resolved_by"] for row in rows(tmp_path, "failures")] == [report.run.run_id]


@pytest.mark.slow
def test_the_secrets_of_a_feed_are_not_kept_with_its_failures(
    site: FeedSite, tmp_path: Path
) -> None:
    """So a page is asked for again without them."""
    poll(site, tmp_path, headers=(SECRET,))
    retry(site, tmp_path)
    assert "swordfish" not in str(rows(tmp_path, "failures"))
    assert b"swordfish" not in b"".join(
        file.read_bytes() for file in (tmp_path / "_newsbeam").rglob("*") if file.is_file()
    )
    sent = [visit.headers.get("authorization") for visit in site.server.visits(site.page_path(2))]
    assert sent == ["Bearer swordfish", None]


@pytest.mark.slow
def test_a_feed_that_could_not_be_polled_stays_open_and_is_not_asked(
    site: FeedSite, tmp_path: Path
) -> None:
    site.server.set(site.feed_path, "try later", status=500)
    poll(site, tmp_path)
    before, asked = rows(tmp_path, "failures"), len(site.server.paths)
    assert counts(retry(site, tmp_path)) == (1, 0)
    assert rows(tmp_path, "failures") == before
    assert site.server.paths[asked:] == []


@pytest.mark.slow
def test_the_command_asks_as_it_is_told_to(site: FeedSite, tmp_path: Path) -> None:
    poll(site, tmp_path)
    mend(site)
    options = ["--allow-private-hosts", "--contact", "https://desk.example", "--quiet"]
    assert main(["replay", str(tmp_path), *options]) == DONE
    assert [row["resolved_by"] is not None for row in rows(tmp_path, "failures")] == [True]
    last = site.server.visits(site.page_path(2))[-1]
    assert last.headers["user-agent"].endswith("(+https://desk.example)")


@pytest.mark.slow
def test_pages_that_could_not_be_fetched_are_kept_in_one_batch(
    site: FeedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other batches end after some failures; here a host would be met anew in each."""
    site.server.set(site.page_path(1), "try later", status=500)
    poll(site, tmp_path)
    batches: list[int] = []

    def build(pipeline: beam.Pipeline, *, retries: Sequence[Retry], **options: Any) -> None:
        batches.extend(len(retry.failure_ids) for retry in retries)
        build_replay(pipeline, retries=retries, **options)

    monkeypatch.setattr("pipelines.replay._IDS_PER_RETRY", 1)
    monkeypatch.setattr("pipelines.replay.build_replay", build)
    retry(site, tmp_path)
    assert batches == [2]


# ── what is asked for ───────────────────────────────────────────────────────────────────────────


def no_source(source: Source) -> list[Unit]:
    raise AssertionError(f"{source.uri} is no file")


def read(content: bytes, uri: str, observed_at: Timestamp) -> Iterator[Unit]:
    return read_content(content, uri, observed_at, ReadLimits())


class Web:
    """Pages by URL; what is not there is put off."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self._pages = pages
        self.asked: list[list[LinkedItem]] = []

    def fetch(self, links: Sequence[LinkedItem]) -> Iterator[tuple[str, Unit]]:
        self.asked.append(list(links))
        for link in links:
            if link.url in self._pages:
                page = Page(link.url, link.url, "html", self._pages[link.url], OBSERVED_AT)
                yield link.url, dataclasses.replace(page, feed_url=link.feed_url, item=link.item)


def unfetched(url: str = STORY, **fields: Any) -> Failure:
    page = Page(url, url, "html", b"", OBSERVED_AT, url=url, feed_url=FEED, item=ITEM)
    return Failure(
        **{
            "kind": "failed",
            "stage": "fetch",
            "reason": "http-status",
            "message": "the server answers 500",
            "origin": url,
            "source_uri": url,
            "observed_at": OBSERVED_AT,
            "url": url,
            "page": page,
            **fields,
        }
    )


def unpolled(content: bytes = b"", **fields: Any) -> Failure:
    fields = {"stage": "poll", "reason": "malformed-feed", "page": None, **fields}
    return unfetched(FEED, payload=content, content_bytes=len(content) or -1, **fields)


def retry_one(failure: Failure, web: Web) -> list[Unit]:
    return [unit for _, unit in retry_failures([("id", failure)], no_source, read, web.fetch)]


def test_the_pages_of_a_batch_are_fetched_together() -> None:
    """Whatever stands between them, so that hosts are asked side by side and politely."""
    urls = [f"https://{host}.example/1" for host in "abc"]
    web = Web({url: url.encode() for url in urls})
    failures = [(url, unfetched(url)) for url in urls]
    failures.insert(1, ("feed", unpolled()))
    given = dict(retry_failures(failures, no_source, read, web.fetch))
    assert [[link.url for link in links] for links in web.asked] == [urls]
    assert {name: unit.origin for name, unit in given.items()} == {url: url for url in urls} | {
        "feed": FEED
    }


def test_a_page_comes_with_what_its_feed_said_of_it() -> None:
    [unit] = retry_one(unfetched(), Web({STORY: b"<p>x"}))
    assert isinstance(unit, Page)
    assert (unit.feed_url, unit.item) == (FEED, ITEM)


def test_nothing_is_made_up_of_a_page_of_which_no_feed_has_said_anything() -> None:
    [unit] = retry_one(unfetched(page=None), Web({STORY: b"<p>x"}))
    assert isinstance(unit, Page)
    assert (unit.feed_url, unit.item) == (None, None)


def test_a_page_that_is_put_off_is_the_failure_that_it_was() -> None:
    assert retry_one(unfetched(), Web({})) == [unfetched()]


def test_a_page_that_was_too_large_for_its_row_is_fetched_again() -> None:
    cut = unfetched(stage="extract", reason="no-article", payload=b"<p>", content_bytes=1 << 30)
    [unit] = retry_one(cut, Web({STORY: b"<p>whole"}))
    assert isinstance(unit, Page)
    assert unit.content == b"<p>whole"


def test_an_item_of_a_feed_is_no_page_to_be_fetched() -> None:
    item = unfetched(f"{FEED}#story-1", source_uri=FEED, stage="poll", reason="empty-item")
    web = Web({})
    assert (retry_one(item, web), web.asked) == ([item], [])


# ── read from what the rows keep ────────────────────────────────────────────────────────────────


def kept(content: bytes, **fields: Any) -> Failure:
    fields = {"reason": "binary", "kind": "rejected", **fields}
    return unfetched(payload=content, content_bytes=len(content), **fields)


def test_content_that_is_kept_is_not_fetched_and_fails_as_it_did() -> None:
    picture = kept(b"\x89PNG\r\n\x1a\n" + bytes(100))
    web = Web({})
    assert (retry_one(picture, web), web.asked) == ([picture], [])


def test_content_that_can_be_read_now_is_the_page_of_its_item() -> None:
    failure = kept(b"<!doctype html><p>x</p>")
    assert failure.page is not None
    expected = dataclasses.replace(failure.page, content=failure.payload)
    assert retry_one(failure, Web({})) == [expected]


ITEMS = b"""<rss version="2.0"><channel><title>Gulls</title><item><guid>a</guid>
<link>https://gulls.example/a</link><description>Forty of them.</description></item></channel></rss>
"""


def test_a_feed_in_place_of_a_page_is_no_page() -> None:
    assert retry_one(kept(ITEMS), Web({})) == [kept(ITEMS)]


def test_a_page_in_place_of_a_feed_is_no_article() -> None:
    page = unpolled(b"<!doctype html><title>Gulls</title><p>Our front page</p>", reason="no-feed")
    assert retry_one(page, Web({})) == [page]


@pytest.mark.parametrize("content", [b"<rss version='2.0'><channel>", b'{"items": 3}', b" "])
def test_a_feed_that_still_cannot_be_read_fails_as_it_did(content: bytes) -> None:
    """Whatever such a file that is no feed would be said to be."""
    assert retry_one(unpolled(content), Web({})) == [unpolled(content)]


def test_a_feed_that_can_be_read_now_gives_its_items() -> None:
    [unit] = retry_one(unpolled(ITEMS), Web({}))
    assert isinstance(unit, Page)
    assert (unit.origin, unit.source_uri, unit.feed_url) == (f"{FEED}#a", FEED, FEED)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(unpolled(), False), (unpolled(b"<rss"), False), (unpolled(ITEMS), True)],
    ids=["nothing-kept", "malformed", "readable"],
)
def test_items_are_tried_for_themselves_unless_their_feed_can_be_read(
    failure: Failure, *, expected: bool
) -> None:
    assert can_be_read(failure, no_source, read) is expected
