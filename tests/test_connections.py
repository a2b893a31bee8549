"""Names are looked up in threads that hold up nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from transforms.connections import SystemResolver, TooManyLookups


class Names:
    """A system that gives any name an address, but those that begin with ``dead`` late."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.are_daemons: list[bool] = []
        self.release = threading.Event()

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        self.are_daemons.append(threading.current_thread().daemon)
        if host.startswith("dead"):
            self.release.wait(10)
            raise OSError("no such name")
        return ["192.0.2.1"]


@pytest.fixture
def names() -> Iterator[Names]:
    system = Names()
    yield system
    system.release.set()


def test_dead_names_hold_up_no_other(names: Names) -> None:
    async def use() -> list[str]:
        resolve = SystemResolver(look_up=names)
        dead = [asyncio.create_task(resolve(f"dead-{number}", 80)) for number in range(70)]
        await asyncio.sleep(0)
        found = await resolve("news.example", 80)
        for one in dead:
            one.cancel()
        await asyncio.wait(dead)
        return found

    assert asyncio.run(use()) == ["192.0.2.1"]
    assert all(names.are_daemons)


def test_those_who_ask_for_one_name_share_a_lookup(names: Names) -> None:
    async def use() -> None:
        resolve = SystemResolver(look_up=names)
        asked = [asyncio.create_task(resolve("dead", port)) for port in (80, 443, 8080)]
        await asyncio.sleep(0)
        asked[0].cancel()
        names.release.set()
        first, second, third = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert isinstance(second, OSError)
        assert isinstance(third, OSError)

    asyncio.run(use())
    assert names.asked == ["dead"]


def test_a_name_is_looked_up_anew_when_it_is_asked_for_again(names: Names) -> None:
    async def use() -> None:
        resolve = SystemResolver(look_up=names)
        for _ in range(2):
            await resolve("news.example", 80)

    asyncio.run(use())
    assert names.asked == ["news.example"] * 2


def test_there_are_no_more_lookups_than_the_limit(names: Names) -> None:
    async def use() -> None:
        resolve = SystemResolver(1, look_up=names)
        dead = asyncio.create_task(resolve("dead", 80))
        await asyncio.sleep(0)
        with pytest.raises(TooManyLookups):
            await resolve("news.example", 80)
        names.release.set()
        await asyncio.wait([dead])
        assert await resolve("news.example", 80) == ["192.0.2.1"]
        with pytest.raises(OSError, match="no such name"):
            await dead

    asyncio.run(use())


def test_a_name_with_a_label_that_is_too_long_has_no_address() -> None:
    with pytest.raises(OSError, match="no name that can be resolved"):
        asyncio.run(SystemResolver()("a" * 64 + ".example", 80))
