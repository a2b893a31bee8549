"""Which pages the dataset has already, and which are fetched although it has them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.utils.timestamp import Timestamp

from schemas.arrow import TABLES
from schemas.records import FeedItem, LinkedItem
from transforms.seen_pages import find_pages, is_known
from transforms.storage import LocalStore

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
SINCE = Timestamp.from_utc_datetime(NOON - datetime.timedelta(days=7))
PAGE = "https://news.example/a"


def found(folder: Path, table: str = "articles", wanted: str = PAGE, **row: object) -> list[str]:
    """Which of the wanted pages a file of one row makes known."""
    columns = {"origin": "/saved.html", "url": None, "observed_at": NOON}
    columns |= (
        {"kind": "rejected", "stage": "fetch"} if table == "failures" else {"canonical_url": None}
    )
    schema = pa.schema([TABLES[table].field(name) for name in columns])
    pq.write_table(pa.Table.from_pylist([columns | row], schema), folder / "rows.parquet")
    urls = pa.array([wanted], pa.string())
    return [
        url for url, _ in find_pages(LocalStore(str(folder)), table, "rows.parquet", urls, SINCE)
    ]


@pytest.mark.parametrize("column", ["origin", "url"])
def test_a_page_is_known_by_where_it_was_asked_for_and_where_it_was(
    tmp_path: Path, column: str
) -> None:
    assert found(tmp_path, **{column: PAGE}) == [PAGE]


def test_a_page_is_known_by_the_address_it_states_on_its_own_host(tmp_path: Path) -> None:
    assert found(tmp_path, url=f"{PAGE}?from=feed", canonical_url=PAGE) == [PAGE]


def test_what_a_page_says_of_another_host_makes_nothing_known(tmp_path: Path) -> None:
    """Else any page could keep another site's from being read."""
    assert found(tmp_path, url="https://copycat.example/a", canonical_url=PAGE) == []


def test_what_was_seen_before_the_horizon_is_not_known(tmp_path: Path) -> None:
    long_ago = NOON - datetime.timedelta(days=8)
    assert found(tmp_path, url=PAGE, observed_at=long_ago) == []


def test_a_page_that_was_rejected_is_known(tmp_path: Path) -> None:
    assert found(tmp_path, "failures", url=PAGE) == [PAGE]
    assert found(tmp_path, "failures", url=PAGE, stage="extract") == [PAGE]


def test_a_page_that_failed_is_not_known(tmp_path: Path) -> None:
    assert found(tmp_path, "failures", url=PAGE, kind="failed") == []


def test_an_address_where_a_feed_was_looked_for_in_vain_is_no_known_page(tmp_path: Path) -> None:
    assert found(tmp_path, "failures", url=PAGE, stage="poll") == []


def link(*, updated: str | None = None, is_update: bool = False) -> LinkedItem:
    item = FeedItem(guid="a", updated=updated)
    return LinkedItem("f#a", PAGE, "f", item, key="a", version="1", is_update=is_update)


SEEN = Timestamp.from_utc_datetime(NOON).micros


def test_a_page_that_was_never_seen_is_fetched() -> None:
    assert not is_known(link(), None)


def test_a_page_is_fetched_again_if_its_item_was_changed_since() -> None:
    assert is_known(link(updated="2026-11-20T11:59:00Z"), SEEN)
    assert not is_known(link(updated="2026-11-20T12:01:00Z"), SEEN)


def test_a_page_is_fetched_again_if_its_item_says_something_else_than_last_time() -> None:
    assert not is_known(link(is_update=True), SEEN)
