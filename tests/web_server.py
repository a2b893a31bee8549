"""A real web server on loopback for tests: HTTP/1.1 over sockets, scripted path by path.

::

    with WebServer() as server:
        server.set("/feed", b"<rss/>", content_type="application/rss+xml", etag='"1"')
        server.sequence("/shaky", [Answer(status=500), Answer(b"at last")])
        server.set("/endless", send_without_end)      # a handler, see below
        ask(server.url("/feed"))
        server.log[0].headers["user-agent"]

A path that was not set is answered 404, so there is no robots.txt unless a test sets one. An
answer with an entity tag or a date is turned into a 304 where the request names it
(RFC 9110, 13.1). One server is as many hosts as a test has names for: what is set with ``host=``
outranks what is set for all, and ``server.url(path, host="news.example")`` makes the URL; the
client has to resolve that name to ``127.0.0.1``.

A handler is called with the ``Request`` and the ``Wire`` it came by. It gives an ``Answer``, or it
writes to the wire whatever it likes and gives None, and then the connection is closed.

``server.hold()`` makes requests wait in the server until a test lets them go, so that what is in
flight at once is proven without a sleep::

    gate = server.hold("/page")
    ...                      # start asking, in another thread or task
    gate.wait_for(2)         # two are in the server now
    gate.release()

Each request is in ``server.log``, in the order of arrival, with how many for its host were in
flight when it came. One is in flight until just before the last byte of its answer is sent: a
client that asks on as soon as it has an answer is never counted twice.

Nothing here sleeps, and every wait ends after ``WAIT_SECONDS`` at the latest, as a failure.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BufferedReader
from types import TracebackType
from typing import Union

import brotli
from backports import zstd

WAIT_SECONDS = 20.0
"""How long anything waits for anything else."""
_TLS_HANDSHAKE = b"\x16"
_CLIENT_LEFT = (OSError, ssl.SSLError, ValueError)
"""What a socket raises whose other end went away, or that ``close`` has closed."""


@dataclass(frozen=True)
class Answer:
    """What is sent for a request."""

    body: bytes = b""
    """Before ``encoding``."""
    status: int = 200
    content_type: str | None = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Others; one of the same name as another field's header replaces it."""
    etag: str | None = None
    """As in the header, with its quotes."""
    last_modified: str | None = None
    """As in the header, such as ``Sun, 01 Nov 2026 08:00:00 GMT``."""
    encoding: str | None = None
    """``gzip``, ``br``, ``zstd`` or ``deflate``: the body is compressed, and the header says so."""


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        """The ``Host`` header, with the port; empty if there was none."""
        return self.headers.get("host", "")


@dataclass
class Visit:
    """A request in the server's log."""

    host: str
    """The ``Host`` header, with the port."""
    path: str
    method: str
    headers: Mapping[str, str]
    in_flight: int
    """How many requests with this ``Host`` were in the server when it came, itself included."""
    in_flight_in_all: int
    """The same, whatever their ``Host``."""
    connection: int
    """Which connection it came by, counted from 0."""
    at: float
    """When it came, in seconds of ``time.monotonic``."""
    status: int = 0
    """Of the answer; 0 as long as none was sent."""


class Wire:
    """The connection a request came by, for handlers that misbehave."""

    def __init__(self, connection: socket.socket, server: WebServer, visit: Visit) -> None:
        self._connection = connection
        self._server = server
        self._visit = visit
        self._is_settled = False

    def send(self, content: bytes) -> None:
        """Send these bytes as they are; the first must be a status line for it to be logged."""
        if not self._visit.status and content.startswith(b"HTTP/1."):
            status = content[9:12]
            self._visit.status = int(status) if status.isdigit() else 0
        self._connection.sendall(content)

    def send_head(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send a status line and headers, just these."""
        self.send(_head(status, headers or {}))

    def send_answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        self._visit.status = answer.status
        sent = _encode(answer)
        # Settled before the client can have all of it, or it could ask again and be counted twice.
        self._connection.sendall(sent[:-1])
        self.settle()
        self._connection.sendall(sent[-1:])

    def wait_for_client_to_leave(self) -> None:
        """Say no more, and wait until the client closes the connection or the server ends."""
        with suppress(*_CLIENT_LEFT):
            while self._connection.recv(4096):
                pass

    def reset(self) -> None:
        """Break the connection off (RST) instead of closing it."""
        self.settle()
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def settle(self) -> None:
        """Count the request as not in flight any more."""
        if not self._is_settled:
            self._is_settled = True
            self._server._leave(self._visit)


Handler = Callable[[Request, Wire], "Answer | None"]
Scripted = Union[Answer, bytes, Handler]


class Gate:
    """Holds requests in the server until it is opened."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._waiting = 0
        self._places = 0
        self._is_open = False

    def wait_for(self, count: int) -> None:
        """Wait until at least so many requests wait here.

        Raises:
            TimeoutError: they have not come.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting >= count, WAIT_SECONDS):
                raise TimeoutError(f"{self._waiting} of {count} requests came")

    @property
    def waiting(self) -> int:
        """How many requests wait here now."""
        with self._changed:
            return self._waiting

    def let_go(self, count: int = 1) -> None:
        """Let so many requests pass, and hold those after them."""
        with self._changed:
            self._places += count
            self._changed.notify_all()

    def release(self) -> None:
        """Let all requests pass, now and from now on."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def _pass(self, path: str) -> None:
        if self._path is not None and path != self._path:
            return
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open or self._places > 0, WAIT_SECONDS)
            if not self._is_open:
                self._places -= 1
            self._waiting -= 1


class WebServer:
    """A web server on a free port, from ``with`` to its end. All methods are thread-safe.

    Args:
        address: of this machine, to listen on.
        tls: speak HTTPS, with this context.
    """

    def __init__(self, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._tls = tls
        self._lock = threading.Lock()
        self._scripts: dict[tuple[str | None, str], list[Scripted]] = {}
        self._gates: list[Gate] = []
        self._in_flight: Counter[str] = Counter()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._connections = 0
        self._is_closing = False
        self._log: list[Visit] = []

    def __enter__(self) -> WebServer:
        self._listener = socket.create_server((self.address, 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closing = True
        # Closing a listening socket does not wake the thread that accepts from it; a visit does.
        with suppress(OSError), socket.create_connection((self.address, self.port), 1):
            pass
        self._acceptor.join(WAIT_SECONDS)
        self._listener.close()
        with self._lock:
            gates, connections = list(self._gates), list(self._open.values())
        for gate in gates:
            gate.release()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    @property
    def authority(self) -> str:
        """``127.0.0.1:PORT``, as in the ``Host`` header."""
        return f"{self.address}:{self.port}"

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        """The URL of a path, under the server's address or a name that stands for it."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{host or self.address}:{self.port}{path}"

    def set(
        self,
        path: str,
        body: bytes | str | Handler = b"",
        *,
        host: str | None = None,
        status: int = 200,
        content_type: str | None = "text/html; charset=utf-8",
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
        encoding: str | None = None,
    ) -> None:
        """Say what a path is answered from now on: an ``Answer`` of these fields, or a handler.

        Args:
            path: with the query, if it has one.
            body: text is sent in UTF-8.
            host: only for requests to this name (without the port).
            status: and all others, as in ``Answer``; not looked at with a handler.
        """
        if callable(body):
            self.sequence(path, [body], host=host)
            return
        content = body.encode() if isinstance(body, str) else body
        answer = Answer(content, status, content_type, headers or {}, etag, last_modified, encoding)
        self.sequence(path, [answer], host=host)

    def redirect(
        self, path: str, location: str, *, status: int = 301, host: str | None = None
    ) -> None:
        """Send those who ask for a path to another."""
        self.set(path, status=status, headers={"Location": location}, host=host)

    def sequence(self, path: str, answers: Sequence[Scripted], *, host: str | None = None) -> None:
        """Say what a path is answered, request by request; the last stays."""
        with self._lock:
            self._scripts[host, path] = list(answers)

    def hold(self, path: str | None = None) -> Gate:
        """Make requests wait from now on, those for a path, or all, robots.txt included.

        A request is in flight and in the log while it waits.
        """
        gate = Gate(path)
        with self._lock:
            self._gates.append(gate)
        return gate

    @property
    def log(self) -> list[Visit]:
        """The requests so far, in the order in which they came."""
        with self._lock:
            return list(self._log)

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [visit.path for visit in self.log]

    def visits(self, path: str) -> list[Visit]:
        """Those for one path."""
        return [visit for visit in self.log if visit.path == path]

    @property
    def connections(self) -> int:
        """How many connections have been made."""
        with self._lock:
            return self._connections

    def most_in_flight(self) -> dict[str, int]:
        """How many requests of each ``Host`` there were at once at most."""
        most: dict[str, int] = {}
        for visit in self.log:
            most[visit.host] = max(most.get(visit.host, 0), visit.in_flight)
        return most

    # ── serving ─────────────────────────────────────────────────────────────────────────────────

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with self._lock:
                if self._is_closing:
                    connection.close()
                    return
                number = self._connections
                self._connections += 1
                self._open[number] = connection
            thread = threading.Thread(target=self._serve, args=(number, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Those with whom TLS fails, or who leave in between, are the tests' business.
        try:
            with suppress(*_CLIENT_LEFT):
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                    with self._lock:
                        self._open[number] = connection
                with connection.makefile("rb") as stream:
                    while self._answer_one(number, connection, stream):
                        pass
        finally:
            with self._lock:
                del self._open[number]
            connection.close()

    def _answer_one(self, number: int, connection: socket.socket, stream: BufferedReader) -> bool:
        """Answer the next request; whether there may be another."""
        request = _read_request(stream)
        if request is None:
            return False
        wire = Wire(connection, self, self._enter(number, request))
        try:
            for gate in tuple(self._gates):
                gate._pass(request.path)
            scripted = self._next(request)
            answer = scripted(request, wire) if callable(scripted) else scripted
            if answer is None:
                return False
            if isinstance(answer, bytes):
                answer = Answer(answer)
            wire.send_answer(_conditional(answer, request))
            return answer.headers.get("Connection", "").lower() != "close"
        finally:
            wire.settle()

    def _next(self, request: Request) -> Scripted:
        name = request.host.rpartition(":")[0] or request.host
        with self._lock:
            script = self._scripts.get((name, request.path))
            script = script or self._scripts.get((None, request.path))
            if not script:
                return Answer(b"not here", 404, "text/plain")
            return script.pop(0) if len(script) > 1 else script[0]

    def _enter(self, number: int, request: Request) -> Visit:
        with self._lock:
            self._in_flight[request.host] += 1
            visit = Visit(
                request.host,
                request.path,
                request.method,
                request.headers,
                self._in_flight[request.host],
                self._in_flight.total(),
                number,
                time.monotonic(),
            )
            self._log.append(visit)
        return visit

    def _leave(self, visit: Visit) -> None:
        with self._lock:
            self._in_flight[visit.host] -= 1


@contextmanager
def WebServers(count: int) -> Iterator[list[WebServer]]:  # noqa: N802 - used like the class
    """So many servers, each on a port of its own: to a client, as many hosts."""
    with ExitStack() as stack:
        yield [stack.enter_context(WebServer()) for _ in range(count)]


def _read_request(stream: BufferedReader) -> Request | None:
    if stream.peek(1)[:1] == _TLS_HANDSHAKE:  # there may be no line end to wait for
        return None
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(line[0], line[1], headers)


def _conditional(answer: Answer, request: Request) -> Answer:
    """The answer, or a 304 if the client has it (RFC 9110, 13.2.2: the tag outranks the date)."""
    if answer.status != 200:
        return answer
    known_tag = request.headers.get("if-none-match")
    known_date = request.headers.get("if-modified-since")
    if known_tag is not None:
        is_known = answer.etag is not None and answer.etag in known_tag
    elif known_date is not None and answer.last_modified is not None:
        changed, known = map(parsedate_to_datetime, (answer.last_modified, known_date))
        is_known = changed <= known
    else:
        is_known = False
    if not is_known:
        return answer
    return Answer(b"", 304, None, answer.headers, answer.etag, answer.last_modified)


def compress(content: bytes, encoding: str) -> bytes:
    """Content as ``gzip``, ``br``, ``zstd`` or ``deflate`` (in the zlib format, RFC 9110)."""
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, mtime=0),
        "br": lambda data: brotli.compress(data, quality=4),
        "zstd": zstd.compress,
        "deflate": zlib.compress,
    }
    return compressors[encoding](content)


def _encode(answer: Answer) -> bytes:
    body = compress(answer.body, answer.encoding) if answer.encoding else answer.body
    stated = {
        "Content-Type": answer.content_type,
        "Content-Encoding": answer.encoding,
        "ETag": answer.etag,
        "Last-Modified": answer.last_modified,
        "Content-Length": None if answer.status == 304 else str(len(body)),
    }
    headers = {name: value for name, value in stated.items() if value is not None}
    headers = {**headers, **answer.headers}
    return _head(answer.status, headers) + body


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    known = {item.value for item in HTTPStatus}
    phrase = HTTPStatus(status).phrase if status in known else "Status"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{n}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
