"""Many requests at a time, from a worker that takes one element after the other.

Jobs, each for a host → their results, in the order in which they are done. Each host has a few
workers of its own, so that a slow one holds up none but itself; the client keeps to its limits for
each host and in all. Bounded: a job begins only when the results that wait to be taken leave room.

Feeds and links are spread over *lanes* by their host: a lane is what one worker takes at a time,
and all of a host's are in the same lane, however many workers there are. Every lane has a client of
its own, with its share of the requests.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from transforms.http_client import HttpClient, HttpSettings

Job = TypeVar("Job")
Result = TypeVar("Result")

_HELD_PER_REQUEST = 4
"""Jobs begun, but not yet taken from, for each request that may be under way."""


def authority_of(url: str) -> str:
    """Host and port of a URL, in lower case; empty where it has none.

    >>> authority_of("https://News.example/feed"), authority_of("http://[::1]:80/")
    ('news.example', '[::1]:80')
    """
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:  # an unclosed bracket in the host
        return ""


def lane_of(url: str, lanes: int) -> int:
    """The lane of a URL's host, among a number of lanes."""
    return zlib.crc32(authority_of(url).encode("utf-8", "replace")) % lanes


def share_of(settings: HttpSettings, lanes: int) -> HttpSettings:
    """The settings of each of several clients that together keep to them."""
    in_all = max(1, settings.requests_in_all // lanes)
    return replace(
        settings,
        requests_in_all=in_all,
        requests_per_host=min(settings.requests_per_host, in_all),
    )


def run_over_hosts(
    jobs: Iterable[tuple[str, Job]],
    do: Callable[[HttpClient, Job], Awaitable[Result]],
    settings: HttpSettings,
) -> Iterator[Result]:
    """Do jobs for URLs, many hosts at a time; results come as they are done.

    Whatever a job raises ends the rest and is raised here. Where the caller takes no more results,
    the rest is cancelled.

    Args:
        jobs: (URL that says for which host, job); those of one host begin in this order.
        do: carries out a job with the client, in an event loop of its own.
        settings: of the client.
    """
    by_host: dict[str, deque[Job]] = {}
    for url, job in jobs:
        by_host.setdefault(authority_of(url), deque()).append(job)
    if not by_host:
        return
    lane = _Lane(list(by_host.values()), do, settings)
    lane.start()
    try:
        while (result := lane.next()) is not None:
            yield result[0]
    finally:
        lane.stop()


def _first_of(error: BaseException) -> BaseException:
    """The error itself, or the first of a task group's."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class _Lane(Generic[Job, Result]):
    """An event loop in a thread of its own, with the jobs of some hosts."""

    def __init__(
        self,
        hosts: Sequence[deque[Job]],
        do: Callable[[HttpClient, Job], Awaitable[Result]],
        settings: HttpSettings,
    ) -> None:
        self._hosts = hosts
        self._do = do
        self._settings = settings
        self._results: SimpleQueue[tuple[Result] | BaseException | None] = SimpleQueue()
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="newsbeam-lane", daemon=True)

    def start(self) -> None:
        """Begin with the jobs."""
        self._thread.start()

    def next(self) -> tuple[Result] | None:
        """The next result, waited for; None after the last."""
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            with suppress(RuntimeError):  # all jobs are done, and the loop is closed
                self._loop.call_soon_threadsafe(self._room.release)
        return result

    def stop(self) -> None:
        """Cancel what is still under way, and wait for it to end."""
        self._is_running.wait()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            self._results.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where results are taken
            self._results.put(_first_of(error))
        else:
            self._results.put(None)
        finally:
            self._is_running.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.ensure_future(self._all())
        self._room = asyncio.Semaphore(_HELD_PER_REQUEST * self._settings.requests_in_all)
        self._is_running.set()
        await self._work

    async def _all(self) -> None:
        async with HttpClient(self._settings) as client, asyncio.TaskGroup() as group:
            for jobs in self._hosts:
                for _ in range(min(len(jobs), self._settings.requests_per_host)):
                    group.create_task(self._take(client, jobs))

    async def _take(self, client: HttpClient, jobs: deque[Job]) -> None:
        while jobs:
            await self._room.acquire()
            if not jobs:  # the host's other workers took the last
                self._room.release()
                return
            self._results.put((await self._do(client, jobs.popleft()),))
