"""Whose turn it is to ask a host, by a clock that the tests set."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import pytest

from transforms.turns import FORGOTTEN_SECONDS, HostTurns, PutOff


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time is also moved on by hand."""

    passed_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.passed_seconds


def let_pass(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    loop.passed_seconds += seconds


def run(use: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(use)


def turns(*, in_all: int = 4) -> HostTurns:
    return HostTurns(per_host=2, in_all=in_all, max_failures=3, max_host_seconds=600)


def test_the_time_in_which_a_host_is_not_asked_is_not_counted() -> None:
    async def use() -> None:
        host = turns()
        for _ in range(3):
            async with host.turn("a:80"):
                let_pass(100)
            let_pass(1_000)
        async with host.turn("a:80"):
            pass

    run(use())


def test_the_time_in_which_a_host_is_asked_is() -> None:
    async def use() -> None:
        host = turns()
        async with host.turn("a:80"):
            let_pass(601)
        with pytest.raises(PutOff, match="600 seconds"):
            async with host.turn("a:80"):
                pass

    run(use())


def test_the_time_of_two_requests_at_once_is_counted_once() -> None:
    async def use() -> None:
        host = turns()
        async with host.turn("a:80"), host.turn("a:80"):
            let_pass(400)
        async with host.turn("a:80"):
            pass

    run(use())


def test_the_time_in_which_others_are_waited_for_is_not_counted() -> None:
    async def use() -> None:
        host = turns(in_all=1)
        waiting = asyncio.Event()

        async def wait_for_one() -> None:
            waiting.set()
            async with host.turn("b:80"):
                pass

        async with host.turn("a:80"):
            second = asyncio.create_task(wait_for_one())
            await waiting.wait()
            let_pass(599)
        await second
        async with host.turn("b:80"):
            let_pass(599)
        async with host.turn("b:80"):
            pass

    run(use())


def test_a_crawl_delay_that_is_waited_for_is_counted() -> None:
    async def use() -> None:
        host = turns()
        host.set_delay("a:80", 400)
        async with host.turn("a:80"):
            let_pass(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(_take(host))
            await asyncio.sleep(0)
            let_pass(400)
        with pytest.raises(PutOff, match="600 seconds"):
            await _take(host)

    run(use())


async def _take(host: HostTurns, name: str = "a:80") -> None:
    async with host.turn(name):
        pass


# ── what is forgotten ───────────────────────────────────────────────────────────────────────────


def endless_turns() -> HostTurns:
    """As those of a stream's client."""
    return HostTurns(
        per_host=2, in_all=4, max_failures=3, max_host_seconds=math.inf, leave_seconds=300
    )


async def _meet_others(host: HostTurns, count: int = 5_000) -> None:
    for number in range(count):
        await _take(host, f"other-{number}:80")


def test_hosts_that_were_not_asked_for_a_day_are_forgotten() -> None:
    async def use() -> None:
        host = endless_turns()
        for _ in range(4):
            await _meet_others(host, 2_000)
            let_pass(FORGOTTEN_SECONDS + 1)
        assert len(host._hosts) <= 2_000

    run(use())


def test_a_host_that_was_asked_within_a_day_keeps_its_crawl_delay() -> None:
    async def use() -> None:
        host = endless_turns()
        host.set_delay("a:80", 30)
        await _take(host)
        let_pass(FORGOTTEN_SECONDS - 60)
        await _meet_others(host)
        assert host._hosts["a:80"].delay_seconds == 30

    run(use())


def test_a_host_that_asked_to_be_left_alone_for_days_is_not_forgotten_before() -> None:
    async def use() -> None:
        host = endless_turns()
        host.note_failure("a:80", "rate-limited", 3 * FORGOTTEN_SECONDS)
        let_pass(2 * FORGOTTEN_SECONDS)
        await _meet_others(host)
        with pytest.raises(PutOff, match="left alone"):
            await _take(host)

    run(use())


def test_a_host_that_is_being_asked_is_not_forgotten() -> None:
    async def use() -> None:
        host = endless_turns()
        async with host.turn("a:80"), host.turn("a:80"):
            let_pass(2 * FORGOTTEN_SECONDS)
            await _meet_others(host)
            third = asyncio.create_task(_take(host))
            await asyncio.sleep(0)
            assert not third.done()
        await third

    run(use())


def test_time_that_is_counted_for_a_whole_run_is_never_forgotten() -> None:
    async def use() -> None:
        host = turns()
        async with host.turn("a:80"):
            let_pass(601)
        let_pass(2 * FORGOTTEN_SECONDS)
        await _meet_others(host)
        with pytest.raises(PutOff, match="600 seconds"):
            await _take(host)

    run(use())
