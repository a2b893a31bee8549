"""The soak's sites grow the same way each time, and its verdict sees what is wrong."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.soak import Row, Sample, growth, judge, plot, quantiles
from benchmarks.soak_sites import LISTED_ITEMS, Newsroom, changes_in

PUBLISHED = {(0, 0): 10.0, (0, 1): 500.0, (1, 0): 20.0, (2, 0): 990.0}
"""An item that is changed, another one, and one that comes just before the end."""
SERVED = {(0, 0): 30.0, (0, 1): 520.0, (1, 0): 40.0}


def rows(*versions: tuple[int, int]) -> list[Row]:
    return [Row(version, "run") for version in versions]


def grown(seed: int, steps: int = 400) -> Newsroom:
    newsroom = Newsroom(seed, feeds=10)
    newsroom.begin(0.0)
    for step in range(steps):
        newsroom.publish(float(step))
    return newsroom


def test_all_rows_once_are_well() -> None:
    verdict = judge(PUBLISHED, SERVED, rows(*SERVED), ended_at=1000.0)
    assert verdict.is_well


def test_what_was_given_away_and_is_in_no_row_is_lost() -> None:
    verdict = judge(PUBLISHED, SERVED, rows((0, 0), (0, 1)), ended_at=1000.0)
    assert verdict.lost == ((1, 0),)


def test_what_nobody_asked_for_in_time_is_lost() -> None:
    served = {version: at for version, at in SERVED.items() if version != (1, 0)}
    verdict = judge(PUBLISHED, served, rows(*served), ended_at=1000.0)
    assert verdict.lost == ((1, 0),)


def test_what_was_changed_before_anybody_asked_is_not_expected() -> None:
    published = {(0, 0): 10.0, (0, 1): 30.0}
    verdict = judge(published, {(0, 1): 50.0}, rows((0, 1)), ended_at=1000.0)
    assert verdict.is_well


def test_a_row_twice_is_doubled() -> None:
    verdict = judge(PUBLISHED, SERVED, rows(*SERVED, (1, 0)), ended_at=1000.0)
    assert verdict.doubled == ((1, 0),)


def test_a_row_of_what_was_never_given_away_is_strange() -> None:
    verdict = judge(PUBLISHED, SERVED, rows(*SERVED, (7, 0)), ended_at=1000.0)
    assert verdict.strange == ((7, 0),)


def test_quantiles() -> None:
    assert quantiles([float(value) for value in range(100)]) == [50.0, 95.0, 99.0]
    assert quantiles([]) == []


def test_growth_passes_over_the_warm_up() -> None:
    memory = [1, 5, 100, 100, 100, 100, 110, 120, 130, 130]
    samples = [
        Sample(
            float(number), launcher_bytes=value, engine_bytes=0, staged_bytes=0, files=0, commits=0
        )
        for number, value in enumerate(memory)
    ]
    assert growth(samples) == pytest.approx(1.3)


def test_a_newsroom_publishes_the_same_each_time() -> None:
    first, second = grown(6), grown(6)
    assert first.items == second.items
    assert first.published == second.published
    assert grown(7).items != first.items


def test_a_newsroom_has_copies_changes_and_whole_texts() -> None:
    newsroom = grown(6)
    assert any(item.text_of != item.number for item in newsroom.items)
    assert any(item.changes for item in newsroom.items)
    assert any(item.has_text for item in newsroom.items)
    assert len(newsroom.newest(0)) == LISTED_ITEMS


def test_a_copy_has_the_words_of_an_earlier_item_of_another_feed() -> None:
    newsroom = grown(6)
    for item in newsroom.items:
        if item.text_of != item.number:
            original = newsroom.items[item.text_of]
            assert original.feed != item.feed
            assert original.number < item.number
            assert set(item.paragraphs()) <= set(original.paragraphs())


def test_a_text_says_how_often_it_was_changed() -> None:
    changed = next(item for item in grown(6).items if item.changes)
    assert changes_in("\n\n".join(changed.paragraphs())) == changed.changes
    assert changes_in("A report that was never changed.") == 0


def test_the_log_says_which_version_was_given_first_and_when() -> None:
    newsroom = grown(6)
    newsroom.served.clear()
    newsroom.page(3, 1000.0)
    newsroom.page(3, 2000.0)
    assert newsroom.served == {newsroom.items[3].version: 1000.0}


def test_a_feed_lists_its_items_newest_first() -> None:
    newsroom = grown(6)
    feed = newsroom.feed(2, "http://site.example")
    root = ElementTree.fromstring(feed)
    guids = [int(guid.text or "") for guid in root.iter("guid")]
    assert guids == [item.number for item in newsroom.newest(2)]


def test_a_plot_is_well_formed_and_has_a_line_for_each_series() -> None:
    panels = {"memory < MiB": {"a": [(0.0, 1.0), (1.0, 2.0)], "b": [(0.0, 3.0)]}, "empty": {}}
    root = ElementTree.fromstring(plot("A & B", panels))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
