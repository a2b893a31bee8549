"""How feeds do, as a table for a person and as plain values."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipelines.feed_health import (
    FeedState,
    feed_state,
    feeds_summary,
    shortened,
    show_feeds,
    summary_line,
)
from schemas.records import FeedItem, FeedMemory, LinkedItem

NOW = datetime.datetime(2026, 3, 20, 12, tzinfo=datetime.UTC)
URL = "https://news.example/rss"
LINK = LinkedItem(f"{URL}#1", "https://news.example/1", URL, FeedItem(), "a", "b")


def before(**ago: int) -> Timestamp:
    return Timestamp.from_utc_datetime(NOW - datetime.timedelta(**ago))


def after(**ahead: int) -> Timestamp:
    return Timestamp.from_utc_datetime(NOW + datetime.timedelta(**ahead))


def feed(url: str = URL, **changes: Any) -> FeedMemory:
    """A feed that brought new items five minutes ago, or as it is told."""
    polled = before(minutes=5)
    usual = {"polled_at": polled, "succeeded_at": polled, "changed_at": polled}
    return FeedMemory(url, **{**usual, "due_at": after(minutes=10), "status": 200, **changes})


FAILING = feed(
    "https://b.example/atom",
    polled_at=before(minutes=2),
    succeeded_at=before(hours=3),
    due_at=after(hours=2),
    reason="timeout",
    message="no answer in 30 s",
    failures=3,
)
RETIRED = feed(
    "https://c.example/", is_retired=True, failures=1, reason="gone", succeeded_at=None, due_at=None
)
SILENT = feed("https://d.example/", changed_at=before(days=8))
REJECTED = feed("https://e.example/", rejected=2, failed=1)


def shown(memories: list[FeedMemory], width: int = 120) -> str:
    out = io.StringIO()
    show_feeds(Console(file=out, width=width, highlight=False), memories, NOW)
    return out.getvalue()


@pytest.mark.parametrize(
    ("memory", "state"),
    [
        (FeedMemory(URL), FeedState("never polled", "never polled")),
        (feed(), FeedState("ok", "ok")),
        (feed(changed_at=before(days=6)), FeedState("unchanged", "unchanged")),
        (FAILING, FeedState("failing", "failing ×3: timeout")),
        (RETIRED, FeedState("retired", "retired (gone)")),
        (SILENT, FeedState("silent", "silent since 2026-03-12")),
        (feed(changed_at=None), FeedState("silent", "silent: no item yet")),
        (REJECTED, FeedState("only rejections", "only rejections")),
        (feed(rejected=2), FeedState("ok", "ok")),
        (feed(rejected=9, duplicates=1), FeedState("ok", "ok")),
    ],
)
def test_a_feed_is_in_one_state(memory: FeedMemory, state: FeedState) -> None:
    assert feed_state(memory, NOW) == state


def test_a_failing_feed_is_not_called_silent() -> None:
    memory = feed(changed_at=before(days=30), failures=1, reason="no-connection")
    assert feed_state(memory, NOW).name == "failing"


def test_the_table_has_a_row_a_feed_sorted_by_url() -> None:
    healthy = feed(
        title="The News", listed=30, articles=12, duplicates=4, rejected=1, pending=(LINK, LINK)
    )
    rows = [line.split() for line in shown([healthy, FAILING, RETIRED, SILENT]).splitlines()]
    table = [" ".join(row) for row in rows]
    assert table[0] == (
        "feed state last success items articles duplicates rejected failed waiting next due"
    )
    assert table[1] == "b.example/atom failing ×3: 3 h ago 0 0 0 0 0 0 in 2 h"
    assert table[2] == "timeout"
    assert table[3] == "c.example/ retired (gone) never 0 0 0 0 0 0 never"
    assert table[4] == "d.example/ silent since 5 min ago 0 0 0 0 0 0 in 10 min"
    assert table[5] == "2026-03-12"
    assert table[6] == "The News ok 5 min ago 30 12 4 1 0 2 in 10 min"
    assert table[7] == "news.example/rss"


def test_a_failing_feed_says_why() -> None:
    assert "https://b.example/atom: no answer in 30 s" in shown([feed(), FAILING])


def test_the_last_line_sums_up() -> None:
    memories = [feed(), feed(URL + "2", changed_at=before(days=1)), FAILING, SILENT, REJECTED]
    line = "5 feeds: 2 ok, 1 failing, 1 silent, 1 only gives rejections; next poll in 10 min"
    assert summary_line(memories, NOW) == line
    assert shown(memories).splitlines()[-1] == line


def test_a_feed_that_is_due_is_next_now_and_a_retired_one_never() -> None:
    late = feed(due_at=before(hours=1))
    assert summary_line([late, FAILING], NOW) == "2 feeds: 1 ok, 1 failing; next poll now"
    assert summary_line([RETIRED], NOW) == "1 feed: 1 retired"


def test_without_feeds_a_sentence_says_so() -> None:
    assert "no feed was polled into this dataset yet" in shown([])


@pytest.mark.parametrize("width", [60, 80, 100, 111, 120, 200])
def test_long_titles_and_urls_break_no_line(width: int) -> None:
    long = feed(f"https://news.example/{'path/' * 40}end.xml", title="新聞" * 100, articles=123_456)
    lines = shown([long, feed()], width).splitlines()
    assert all(cell_len(line) <= width for line in lines if "next poll" not in line)
    assert any("end.xml" in line for line in lines)
    assert any("123456" in line for line in lines)


def test_a_narrow_terminal_is_told_where_the_counts_are() -> None:
    assert "all counts: from 100 columns on, or --json" in shown([feed()], 80)
    assert "rejected" not in shown([feed()], 80)
    assert "all counts" not in shown([feed()], 100)


def test_what_a_feed_says_moves_no_cursor_and_is_no_markup() -> None:
    text = "[red]a[/red]\x1b[2J\r\n\u202eb\ud800 :smile:"
    out = shown([feed("https://news.example/\x1b]0;x\x07", title=text, failures=1, message=text)])
    assert not {"\x1b", "\x07", "\r", "\u202e", "\ud800"} & set(out)
    assert "[red]a[/red]" in out
    assert ":smile:" in out


def test_the_same_is_had_as_plain_values() -> None:
    healthy = feed(title="The News", listed=30, articles=12, pending=(LINK,), format="RSS 2.0")
    first, second = feeds_summary([healthy, FAILING], NOW)
    assert (first["url"], first["state"], first["failures"]) == (FAILING.url, "failing", 3)
    assert second == {
        "url": URL,
        "address": URL,
        "title": "The News",
        "format": "RSS 2.0",
        "state": "ok",
        "status": 200,
        "failures": 0,
        "reason": "",
        "message": "",
        "last_poll": "2026-03-20T11:55:00+00:00",
        "last_success": "2026-03-20T11:55:00+00:00",
        "last_new_item": "2026-03-20T11:55:00+00:00",
        "next_due": "2026-03-20T12:10:00+00:00",
        "items": 30,
        "articles": 12,
        "duplicates": 0,
        "rejected": 0,
        "failed": 0,
        "waiting": 1,
    }
    assert json.loads(json.dumps(second)) == second


def test_a_retired_feed_is_not_due_again() -> None:
    assert feeds_summary([feed(is_retired=True)], NOW)[0]["next_due"] is None


@given(st.text(), st.integers(2, 60))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert cell_len(shortened(text, width)) <= width


def test_a_shortened_text_keeps_its_end() -> None:
    text = "news.example/a/rather/long/path/rss.xml"
    assert shortened(text, 20) == "news.e…/path/rss.xml"
    assert shortened(text, 80) == text
