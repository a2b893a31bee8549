"""Connections of the HTTP client, which go to no address that was not checked.

The name of a host is resolved once; the addresses it has are checked
(``transforms.addresses``), and one that passes is connected to by its number. A name that resolves
to something else a moment later (DNS rebinding) so changes nothing. TLS still verifies the name.

``CONNECTION_ERRORS`` are what a server, or the network, can cause to be raised.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import h2.exceptions
import httpcore

from transforms.addresses import ForbiddenAddress, literal_address

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""From a host's name and a port to its IP addresses, the one to be tried first first.

Raises:
    OSError: it has none.
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
MAX_ADDRESSES = 6
"""How many addresses of one name are tried."""
_SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class SystemResolver:
    """Resolves names as the system does, in threads of its own: a dead name holds up no other.

    Args:
        threads: how many names are resolved at a time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Its addresses, in the system's order.

        Raises:
            OSError: there is no such name, or no answer.
        """
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_STREAM
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=kind)
            )
        except UnicodeError as error:  # a label of more than 63 characters
            raise OSError(f"{host[:80]!r} is no name that can be resolved") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Wait for nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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


def _share(deadline: float | None, left: int) -> float | None:
    """Of the time until a deadline, what one of the addresses that are left gets, in seconds."""
    if deadline is None:
        return None
    return max(0.0, deadline - asyncio.get_running_loop().time()) / left
