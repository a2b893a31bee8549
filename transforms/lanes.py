"""Many requests at a time, from a worker that takes one element after the other.

Jobs, each for a host → their results, in the order in which they are done. Each host has a few
workers of its own, so that a slow one holds up none but itself; the client keeps to its limits for
each host and in all. Bounded: no job begins while the results that wait to be taken hold more than
``MAX_WAITING_BYTES``; what is under way then is bounded by the client.

Feeds and links are spread over *lanes* by their host: a lane is what one worker takes at a time,
and all of a host's are in the same lane, however many workers there are. Every lane has a client of
its own, with its share of the requests. Of a redirect from one lane's host to another's the limits
of both clients hold, each by itself.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from transforms.addresses import authority_of
from transforms.http_client import HttpClient, HttpSettings

Job = TypeVar("Job")
Result = TypeVar("Result")

MAX_WAITING_BYTES = 64 << 20
"""Of results that are done and not taken yet, before no further job begins."""
_RESULT_BYTES = 1_024
"""What a result takes beside what is large in it, about."""


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


@dataclass(frozen=True)
class Work(Generic[Job, Result]):
    """What is to be done with each job."""

    do: Callable[[HttpClient, Job], Awaitable[Result]]
    """Carries a job out with the client, in an event loop of its own."""
    size_bytes: Callable[[Result], int]
    """How large a result is."""
    too_late: Callable[[Job], Result] | None = None
    """What is given for a job that does not begin in time."""
    begin_within_seconds: float = float("inf")
    """How long after the start jobs still begin."""


def run_over_hosts(
    jobs: Iterable[tuple[str, Job]], work: Work[Job, Result], settings: HttpSettings
) -> Iterator[Result]:
    """Do jobs for URLs, many hosts at a time; results come as they are done.

    Whatever a job raises ends the rest and is raised here. Where the caller takes no more results,
    the rest is cancelled.

    Args:
        jobs: (URL that says for which host, job); those of one host begin in this order.
        work: what to do with them.
        settings: of the client.
    """
    by_host: dict[str, deque[Job]] = {}
    for url, job in jobs:
        by_host.setdefault(authority_of(url), deque()).append(job)
    if not by_host:
        return
    lane = _Lane(list(by_host.values()), work, settings)
    lane.start()
    try:
        while (done := lane.next()) is not None:
            yield done.result
    finally:
        lane.stop()


def _first_of(error: BaseException) -> BaseException:
    """The error itself, or the first of a task group's."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class _Done(NamedTuple, Generic[Result]):
    result: Result
    size_bytes: int


class _Lane(Generic[Job, Result]):
    """An event loop in a thread of its own, with the jobs of some hosts."""

    def __init__(
        self, hosts: Sequence[deque[Job]], work: Work[Job, Result], settings: HttpSettings
    ) -> None:
        self._hosts = hosts
        self._todo = work
        self._settings = settings
        self._waiting_bytes = 0
        self._results: SimpleQueue[_Done[Result] | BaseException | None] = SimpleQueue()
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="newsbeam-lane", daemon=True)

    def start(self) -> None:
        """Begin with the jobs."""
        self._thread.start()

    def next(self) -> _Done[Result] | None:
        """The next result, waited for; None after the last."""
        done = self._results.get()
        if isinstance(done, BaseException):
            raise done
        if done is not None:
            with suppress(RuntimeError):  # all jobs are done, and the loop is closed
                self._loop.call_soon_threadsafe(self._account, -done.size_bytes)
        return done

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
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._ends_at = self._loop.time() + self._todo.begin_within_seconds
        self._is_running.set()
        await self._work

    async def _all(self) -> None:
        async with HttpClient(self._settings) as client, asyncio.TaskGroup() as group:
            for jobs in self._hosts:
                for _ in range(min(len(jobs), self._settings.requests_per_host)):
                    group.create_task(self._take(client, jobs))

    async def _take(self, client: HttpClient, jobs: deque[Job]) -> None:
        while jobs:
            await self._has_room.wait()
            if not jobs:  # the host's other workers took the last
                return
            result = await self._carry_out(client, jobs.popleft())
            size_bytes = self._todo.size_bytes(result) + _RESULT_BYTES
            self._account(size_bytes)
            self._results.put(_Done(result, size_bytes))

    async def _carry_out(self, client: HttpClient, job: Job) -> Result:
        too_late = self._todo.too_late
        if too_late is not None and self._loop.time() > self._ends_at:
            return too_late(job)
        return await self._todo.do(client, job)

    def _account(self, size_bytes: int) -> None:
        self._waiting_bytes += size_bytes
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._has_room.clear()
        else:
            self._has_room.set()
