"""Hosts in lanes: what one worker takes at a time, and what it does with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.http_client import HttpClient, HttpSettings
from transforms.lanes import Work, lane_of, run_over_hosts, share_of

JOBS = [(f"https://{host}.example/{number}", number) for number, host in enumerate("aabbc")]


def run(do: Callable[[int], int], *, begin_within_seconds: float = float("inf")) -> list[int]:
    async def done(_: HttpClient, job: int) -> int:
        return do(job)

    work: Work[int, int] = Work(
        done,
        size_bytes=lambda _: 0,
        too_late=lambda job: -job,
        begin_within_seconds=begin_within_seconds,
    )
    return sorted(run_over_hosts(JOBS, work, HttpSettings()))


@given(st.integers(1, 64))
def test_all_of_a_host_are_in_one_lane_however_it_is_spelt(lanes: int) -> None:
    spellings = ("https://news.example/a", "https://NEWS.example:443/b?c", "https://news.example.")
    assert len({lane_of(url, lanes) for url in spellings}) == 1


@given(st.integers(1, 64))
def test_every_host_has_a_lane(lanes: int) -> None:
    found = {lane_of(f"https://{number}.example/", lanes) for number in range(2_000)}
    assert found == set(range(lanes))


@given(st.integers(1, 64), st.integers(1, 256), st.integers(1, 16))
def test_lanes_together_ask_no_more_than_one_would(lanes: int, in_all: int, per_host: int) -> None:
    """But for one request each, without which a lane would stand still."""
    share = share_of(HttpSettings(requests_in_all=in_all, requests_per_host=per_host), lanes)
    assert share.requests_in_all * lanes <= max(in_all, lanes)
    assert 1 <= share.requests_per_host <= min(per_host, share.requests_in_all)


def test_every_job_is_done_once() -> None:
    assert run(lambda job: job) == [0, 1, 2, 3, 4]


def test_what_does_not_begin_in_time_is_told() -> None:
    assert run(lambda job: job, begin_within_seconds=-1) == [-4, -3, -2, -1, 0]


def test_what_a_job_raises_is_raised_where_results_are_taken() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda job: 1 // (job - 3))


def test_no_jobs_are_no_work() -> None:
    async def never(_: HttpClient, __: int) -> int:
        raise AssertionError

    nothing: Work[int, int] = Work(never, size_bytes=lambda _: 0)
    assert list(run_over_hosts([], nothing, HttpSettings())) == []
