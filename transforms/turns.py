"""Whose turn it is to ask a host: first come, first served, few at a time, and not at any price.

A request waits for its turn, holds it while it is made, and says what came of it. A host that is
down, asked to be left alone, or has had its time is not asked: ``PutOff``. A host is whatever the
caller calls one, such as ``news.example:443``. Moments are of the event loop's clock.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

_FAILURES_OF_HOST = frozenset({"no-connection", "timeout"})
_NOT_ABOUT_HOST = frozenset({"forbidden-address"})
FORGOTTEN_SECONDS = 86_400.0
"""How long after its last request a host is forgotten: as long as a robots.txt, and with it a crawl
delay, may be kept (RFC 9309, 2.4)."""
_MIN_SWEPT = 1_024
"""Hosts from which on it is looked for some to forget."""


class PutOff(Exception):  # noqa: N818 - it is what becomes of the request
    """A host is not to be asked now; the message says which and why."""

    def __init__(
        self, reason: str, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        """Slug of ``schemas.records.REASONS``."""
        self.retry_after_seconds = retry_after_seconds
        """For how long, if the host said so."""


@dataclass
class _Host:
    slots: asyncio.Semaphore
    lane: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one request at a time, where there is a crawl delay."""
    delay_seconds: float = 0.0
    free_at: float = 0.0
    """When the crawl delay since the last request is over."""
    busy_seconds: float = 0.0
    """For how long it was asked, or its crawl delay waited for, until ``busy_since``."""
    busy_since: float = 0.0
    busy_count: int = 0
    """How many ask it, or wait for its crawl delay, now."""
    wait_until: float = 0.0
    """Until when it asked to be left alone."""
    failures: int = 0
    """How often in a row it did not answer."""
    failed_as: str = ""
    refusals: int = 0
    """How often in a row it said that it is asked too much, but not how long to wait."""
    failed_at: float = 0.0
    """When it last failed to answer, or said so."""
    users: int = 0
    """Requests that have their turn or wait for it."""
    used_at: float = 0.0
    """When the last of them began or ended."""

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it from being forgotten."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
            self.used_at = asyncio.get_running_loop().time()

    def used_seconds(self, now: float) -> float:
        """Of the time that it may be asked."""
        return self.busy_seconds + (now - self.busy_since if self.busy_count else 0.0)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the time."""
        loop = asyncio.get_running_loop()
        if not self.busy_count:
            self.busy_since = loop.time()
        self.busy_count += 1
        try:
            yield
        finally:
            now = loop.time()
            self.busy_seconds = self.used_seconds(now)
            self.busy_since = now
            self.busy_count -= 1


class HostTurns:
    """The turns of all requests of one client; for one event loop.

    Args:
        per_host: how many requests there are at once to one host.
        in_all: how many there are at once.
        max_failures: how often in a row a host may fail to answer, or say that it is asked too much
            and not how long to wait.
        max_host_seconds: how long one host is asked, the time counted in which a request is under
            way or its crawl delay waited for.
        leave_seconds: how long a host is left alone that has failed so often; then it is asked
            once more.
    """

    def __init__(
        self,
        *,
        per_host: int,
        in_all: int,
        max_failures: int,
        max_host_seconds: float,
        leave_seconds: float = math.inf,
    ) -> None:
        self._per_host = per_host
        self._in_all = asyncio.Semaphore(in_all)
        self._max_failures = max_failures
        self._max_host_seconds = max_host_seconds
        self._leave_seconds = leave_seconds
        self._hosts: dict[str, _Host] = {}
        self._swept_from = _MIN_SWEPT
        """Hosts from which on it is looked for some to forget the next time."""

    @asynccontextmanager
    async def turn(self, name: str, *, is_delayed: bool = True) -> AsyncIterator[None]:
        """Wait for one's turn, and hold it.

        Args:
            name: of the host.
            is_delayed: whether the host's crawl delay is kept.

        Raises:
            PutOff: the host is not to be asked.
        """
        host = self._host(name)
        loop = asyncio.get_running_loop()
        self._check(name, host, loop.time())
        async with AsyncExitStack() as held:
            held.enter_context(host.used())
            if host.delay_seconds and is_delayed:
                await held.enter_async_context(host.lane)
                self._check(name, host, max(loop.time(), host.free_at))
                with host.busy():
                    await asyncio.sleep(max(0.0, host.free_at - loop.time()))
            # First the host's: who waits for a slow host takes no place from others.
            await held.enter_async_context(host.slots)
            await held.enter_async_context(self._in_all)
            now = loop.time()
            self._check(name, host, now)
            if is_delayed:
                host.free_at = now + host.delay_seconds
            held.enter_context(host.busy())
            yield

    def set_delay(self, name: str, seconds: float) -> None:
        """Keep requests to a host one at a time, and so far apart; 0 for no such thing."""
        self._host(name).delay_seconds = seconds

    def note_answer(self, name: str) -> None:
        """A host has answered."""
        host = self._host(name)
        host.failures = host.refusals = 0

    def note_failure(self, name: str, reason: str, retry_after_seconds: float | None) -> None:
        """A request to a host has failed.

        Args:
            name: of the host.
            reason: slug of ``schemas.records.REASONS``.
            retry_after_seconds: for how long it asks to be left alone, if it does.
        """
        host = self._host(name)
        host.failed_at = asyncio.get_running_loop().time()
        if reason in _FAILURES_OF_HOST:
            host.failures += 1
            host.failed_as = reason
        elif reason == "rate-limited":
            host.failures = 0
            wait_seconds = retry_after_seconds or 0.0
            host.refusals = 0 if wait_seconds > 0 else host.refusals + 1
            until = asyncio.get_running_loop().time() + wait_seconds
            host.wait_until = max(host.wait_until, until)
        elif reason not in _NOT_ABOUT_HOST:
            host.failures = host.refusals = 0

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= self._swept_from:
                self._forget_idle()
            host = self._hosts[name] = _Host(asyncio.Semaphore(self._per_host))
            host.used_at = asyncio.get_running_loop().time()
        return host

    def _forget_idle(self) -> None:
        """Forget hosts of which nothing that is known counts any more."""
        now = asyncio.get_running_loop().time()
        self._hosts = {name: host for name, host in self._hosts.items() if self._counts(host, now)}
        self._swept_from = max(_MIN_SWEPT, 2 * len(self._hosts))

    def _counts(self, host: _Host, now: float) -> bool:
        has_had_time = math.isfinite(self._max_host_seconds) and host.busy_seconds > 0
        is_recent = now < max(host.used_at, host.failed_at) + FORGOTTEN_SECONDS
        has_failed = host.failures > 0 or host.refusals > 0
        is_left_alone = has_failed and now < host.failed_at + self._leave_seconds
        is_to_wait = now < max(host.free_at, host.wait_until)
        return host.users > 0 or has_had_time or is_recent or is_left_alone or is_to_wait

    def _check(self, name: str, host: _Host, at: float) -> None:
        """Raises: PutOff, if a host is not to be asked at a moment."""
        is_left_alone = at < host.failed_at + self._leave_seconds
        if host.failures >= self._max_failures and is_left_alone:
            times = f"{host.failures} times in a row"
            raise PutOff(
                host.failed_as, f"{name} did not answer {times}, and is left alone for now"
            )
        if host.refusals >= self._max_failures and is_left_alone:
            times = f"{host.refusals} times in a row"
            raise PutOff(
                "rate-limited", f"{name} said {times} that it is asked too much, and is left alone"
            )
        now = asyncio.get_running_loop().time()
        if at < host.wait_until:
            left = host.wait_until - now
            raise PutOff(
                "rate-limited",
                f"{name} asked to be left alone for another {left:.0f} seconds",
                retry_after_seconds=left,
            )
        if host.used_seconds(now) + max(0.0, at - now) >= self._max_host_seconds:
            most = f"{self._max_host_seconds:g} seconds"
            raise PutOff("timeout", f"{name} has been asked for {most}; the rest is put off")
