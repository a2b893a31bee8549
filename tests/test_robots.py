"""What a robots.txt says to newsbeam, and to nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.robots import ALLOW_ALL, MAX_ROBOTS_BYTES, parse_robots

STORY = "https://news.example/story"


def test_without_a_robots_txt_all_is_allowed() -> None:
    assert ALLOW_ALL.allows(STORY)
    assert ALLOW_ALL.crawl_delay_seconds == 0.0


def test_what_everybody_is_denied_newsbeam_is_denied() -> None:
    assert not parse_robots(b"User-agent: *\nDisallow: /").allows(STORY)


def test_its_own_group_outranks_that_for_everybody() -> None:
    rules = parse_robots(b"User-agent: *\nDisallow: /\n\nUser-agent: NewsBeam\nAllow: /story")
    assert rules.allows(STORY)


@pytest.mark.parametrize("name", ["newsbeam/2.0", "newsbeam # ours", "NEWSBEAM"])
def test_its_group_is_known_whatever_follows_the_name(name: str) -> None:
    assert not parse_robots(f"User-agent: {name}\nDisallow: /".encode()).allows(STORY)


@pytest.mark.parametrize("name", ["news", "newsbeam-images", "newsbeamer", "beam"])
def test_a_group_with_a_similar_name_is_not_its_own(name: str) -> None:
    assert parse_robots(f"User-agent: {name}\nDisallow: /".encode()).allows(STORY)


def test_the_longest_rule_that_matches_counts() -> None:
    rules = parse_robots(b"User-agent: *\nDisallow: /s\nAllow: /story")
    assert rules.allows(STORY)
    assert not rules.allows("https://news.example/search")


def test_wildcards_and_ends_are_understood() -> None:
    rules = parse_robots(b"User-agent: *\nDisallow: /*.pdf$\nDisallow: /*?print=")
    assert not rules.allows("https://news.example/a.pdf")
    assert rules.allows("https://news.example/a.pdf.html")
    assert not rules.allows("https://news.example/a?print=1")


def test_the_delay_is_that_of_the_group_that_counts() -> None:
    content = b"User-agent: *\nCrawl-delay: 9\n\nUser-agent: newsbeam\nCrawl-delay: 1.5"
    assert parse_robots(content).crawl_delay_seconds == 1.5


@pytest.mark.parametrize("delay", ["soon", "-1", "nan", "inf", ""])
def test_a_delay_that_cannot_be_is_none(delay: str) -> None:
    content = f"User-agent: *\nCrawl-delay: {delay}\nDisallow: /x".encode()
    assert parse_robots(content).crawl_delay_seconds == 0.0


def test_what_is_beyond_the_limit_is_not_looked_at() -> None:
    content = b"User-agent: *\n".ljust(MAX_ROBOTS_BYTES, b"#") + b"\nDisallow: /"
    assert parse_robots(content).allows(STORY)


def test_a_page_served_for_a_robots_txt_denies_nothing() -> None:
    assert parse_robots(b"<!doctype html><title>Not here</title>").allows(STORY)


def test_many_wildcards_do_not_take_long() -> None:
    pattern = b"Disallow: /" + b"*a" * 3_000 + b"b"
    rules = parse_robots(b"User-agent: *\n" + pattern)
    assert rules.allows("https://news.example/" + "a" * 8_000)


@given(content=st.binary(max_size=300), path=st.text(max_size=60))
def test_no_bytes_and_no_path_make_it_fail(content: bytes, path: str) -> None:
    rules = parse_robots(b"User-agent: *\nDisallow: " + content)
    assert rules.crawl_delay_seconds >= 0.0
    assert rules.allows("https://news.example/" + path) in {True, False}
