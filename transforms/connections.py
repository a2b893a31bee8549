"""Connections of the HTTP client, which go to no address that was not checked.

The name of a host is resolved once; the addresses it has are checked
(``transforms.addresses``), and one that passes is connected to by its number. A name that resolves
to something else a moment later (DNS rebinding) so changes nothing. TLS still verifies the name.

A connection is used by one request at a time, over HTTP/2 too: of several streams on one, the
first that hangs, or is given up, takes the others with it in httpcore.

``CONNECTION_ERRORS`` are what a server, or the network, can cause to be raised.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import h2.exceptions
import httpcore

from transforms.addresses import ForbiddenAddress, literal_address

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""From a host's name and a port to its IP addresses, the one to be tried first first.

Raises:
    OSError: it has none.
    TooManyLookups: it cannot be said now.
"""
Forbids = Callable[[str], str | None]
"""Why an IP address may not be connected to, or None; as ``addresses.forbidden_address``."""
CONNECTION_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    h2.exceptions.H2Error,
    ssl.SSLError,
)
"""What reading from, or writing to, a server raises that breaks off, or speaks no HTTP.

httpcore turns most of what h11, h2, ssl and sockets raise into its own errors, but not what h2
raises within a body, nor what ssl raises after the handshake.
"""
MAX_LOOKUPS = 256
"""How many names are looked up at once by one client: some systems take minutes for a dead one."""
MAX_ADDRESSES = 6
"""How many addresses of one name are tried."""
_SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class TooManyLookups(Exception):  # noqa: N818 - it is what there is
    """A name was not looked up, because of the others; which says nothing about its host."""


class SystemResolver:
    """Resolves names as the system does, in one event loop: a dead name holds up no other.

    Each lookup has a thread of its own, which cannot be stopped, but holds up no exit either.
    Those who ask for the same name share one.

    Args:
        max_lookups: how many there are at once.
        look_up: gives the addresses of a name, in a thread; raises OSError or UnicodeError.
    """

    def __init__(
        self, max_lookups: int = MAX_LOOKUPS, look_up: Callable[[str, int], list[str]] | None = None
    ) -> None:
        self._max_lookups = max_lookups
        self._look_up = look_up or _system_addresses
        self._running: dict[str, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Its addresses, in the system's order.

        Raises:
            OSError: there is no such name, or no answer.
            TooManyLookups: so many names are looked up that this one was not.
        """
        running = self._running.get(host)
        if running is None:
            if len(self._running) >= self._max_lookups:
                raise TooManyLookups(f"{self._max_lookups} names are being looked up already")
            running = self._running[host] = self._start(host, port)
        # Not awaited itself: who is cancelled must not cancel it for the others.
        await asyncio.wait([running])
        try:
            return running.result()
        except UnicodeError as error:  # a label of more than 63 characters
            raise OSError(f"{host[:80]!r} is no name that can be resolved") from error

    def _start(self, host: str, port: int) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str] | BaseException) -> None:
            del self._running[host]
            if isinstance(addresses, BaseException):
                found.set_exception(addresses)
                found.exception()  # seen, even if nobody waits any more
            else:
                found.set_result(addresses)

        def run() -> None:
            outcome: list[str] | BaseException
            try:
                outcome = self._look_up(host, port)
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                outcome = error
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, outcome)

        try:
            threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            raise TooManyLookups(str(error)) from error
        return found


class OneAtATimePool(httpcore.AsyncConnectionPool):
    """Connections over which one request goes at a time, whatever they speak.

    Args:
        tls: verifies servers.
        backend: makes the connections.
        max_kept: how many are kept that are not used.
        kept_seconds: for how long.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        backend: httpcore.AsyncNetworkBackend,
        max_kept: int,
        kept_seconds: float,
    ) -> None:
        super().__init__(max_connections=None, max_keepalive_connections=max_kept)
        self._tls = tls
        self._backend = backend
        self._kept_seconds = kept_seconds

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """A connection to a site, not made yet."""
        return _OneAtATime(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=self._kept_seconds,
            http1=True,
            http2=True,
            network_backend=self._backend,
        )


class _OneAtATime(httpcore.AsyncHTTPConnection):
    _is_asking = False
    _was_asked = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        # The pool may have given it to two before the first has begun.
        if self._is_asking or (self._was_asked and not self.is_idle()):
            raise httpcore.ConnectionNotAvailable
        self._is_asking = self._was_asked = True
        try:
            return await super().handle_async_request(request)
        except BaseException as error:
            # What may still come of it would be in the way of the next.
            await self.aclose()
            if isinstance(error, ValueError) and not isinstance(error, ForbiddenAddress):
                # Of an HTTP/2 status that is no number.
                raise httpcore.RemoteProtocolError(str(error)) from error
            raise
        finally:
            self._is_asking = False

    def is_available(self) -> bool:
        return not self._is_asking and self.is_idle() and super().is_available()


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, to checked addresses only.

    Args:
        resolve: used for every name, once for each connection.
        forbids: says of an IP address why it may not be connected to, or None if it may.
    """

    def __init__(self, resolve: Resolve, forbids: Forbids) -> None:
        self._resolve = resolve
        self._forbids = forbids
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers.

        Args:
            host: a name, or an address in any spelling.
            port: of TCP.
            timeout: in seconds, for resolving and all addresses together.
            local_address: as httpcore gives it.
            socket_options: as httpcore gives them.

        Raises:
            ForbiddenAddress: no address of it may be connected to.
            TooManyLookups: as ``Resolve`` says.
            httpcore.ConnectError: it has no address, or none answers.
            httpcore.ConnectTimeout: it took too long.
        """
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        addresses = await self._addresses(host, port, timeout)
        for left in range(len(addresses), 0, -1):
            try:
                return await self._backend.connect_tcp(
                    addresses[-left],
                    port,
                    timeout=_share(deadline, left),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse.

        Raises:
            ForbiddenAddress: always.
        """
        raise ForbiddenAddress(f"{path} is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Sleep, between attempts of httpcore's own."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            literal = literal_address(host)
        except ValueError as error:
            raise ForbiddenAddress(str(error)) from error
        found = [literal] if literal else await self._resolved(host, port, timeout)
        reasons = {address: self._forbids(address) for address in found}
        allowed = [address for address, why in reasons.items() if why is None]
        if found and not allowed:
            address, why = next(iter(reasons.items()))
            raise ForbiddenAddress(f"{host} has the address {address}, which is {why}")
        return allowed[:MAX_ADDRESSES]

    async def _resolved(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                return await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from error
        except OSError as error:
            why = error.strerror or str(error)
            raise httpcore.ConnectError(f"the name {host} has no address: {why}") from error


def in_words(error: BaseException) -> str:
    """What an error of a connection says, without what is about Python."""
    # httpcore hands the error that it stands for on as an argument.
    inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error.strerror or 'broken off'})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if inner is not None:
        return in_words(inner)
    text = " ".join(str(error).split())[:200].rstrip(".")
    return text or "the connection was broken off"


def _system_addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _share(deadline: float | None, left: int) -> float | None:
    """Of the time until a deadline, what one of the addresses that are left gets, in seconds."""
    if deadline is None:
        return None
    return max(0.0, deadline - asyncio.get_running_loop().time()) / left
