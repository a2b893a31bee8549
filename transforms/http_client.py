"""The HTTP client that polls feeds and fetches pages: polite, bounded, and kept off private hosts.

A URL → a ``Response``, or a ``FetchError`` that says in one sentence what was wrong::

    get ─► robots.txt ─► turn ─► connect ─► read ─► redirect? ─┐
            ▲ (pages)    │       │          │ bounded bodies   │
            │            │       └ checked addresses only      │
            │            └ 2 per host, 64 in all, crawl delay  │
            └──────────────────────────────────────────────────┘

One client keeps its connections for its life, speaks HTTP/2 where a server offers it (ALPN), and
asks once for each call: whether and when to ask again is decided by who calls
(``transforms.http_caching``), by what is remembered. The one exception is a kept connection that
its server closed meanwhile, which is no failure of anybody. Cookies are neither kept nor sent.
Proxies that the environment names are not used: addresses could not be checked behind them. The
certificates that it names (``SSL_CERT_FILE``, ``SSL_CERT_DIR``) are.

What is wrong with a server, or the way to it, is a ``FetchError``, whatever a library calls it:
``transforms.connections.CONNECTION_ERRORS``, httpcore's timeouts, and the errors of
``transforms.content_codings``. Anything else is a bug and is raised as it is.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from types import TracebackType
from urllib.parse import urlsplit

import httpcore
import httpx

from transforms.addresses import (
    CheckedUrl,
    ForbiddenAddress,
    check_url,
    forbidden_address,
    may_share_secrets,
)
from transforms.connections import (
    CONNECTION_ERRORS,
    MAX_LOOKUPS,
    CheckedBackend,
    Forbids,
    OneAtATimePool,
    Resolve,
    SystemResolver,
    TooManyLookups,
    in_words,
)
from transforms.content_codings import (
    ACCEPTED_CODINGS,
    BoundedBody,
    ContentDecoder,
    CorruptContent,
    OversizedContent,
    TruncatedContent,
)
from transforms.http_caching import parse_http_date, parse_retry_after
from transforms.robots import (
    ALLOW_ALL,
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    RobotsRules,
    parse_robots,
)
from transforms.turns import HostTurns, PutOff

DEFAULT_USER_AGENT = f"newsbeam/{version('newsbeam')} (+https://github.com/newsbeam/newsbeam)"
"""What a server reads; a user puts a page about themselves in place of the last part."""
KEPT_SECONDS = 30.0
"""How long a connection that is not used is kept."""
MAX_DRAINED_BYTES = 16 * 1024
"""The largest body of an error or a redirect that is read, so that its connection can be kept."""
MAX_DRAINED_SECONDS = 1.0
"""For how long it is read; and for half of what the whole call may still take."""
MAX_KEPT_ROBOTS = 4_096
"""Of how many sites the rules are kept; and of no more than ``MAX_KEPT_ROBOTS_BYTES``."""
MAX_KEPT_ROBOTS_BYTES = 16 << 20
_LONG_ROBOTS_BYTES = 100 * 1024
"""A longer robots.txt is read in a thread, because others would wait."""
_PERMANENT = frozenset({301, 308})
_REDIRECTS = _PERMANENT | {302, 303, 307}
_ASK_AGAIN = frozenset({408, 425, 429})
"""Of the statuses that say that the request is wrong, those that may change by themselves."""
_VALIDATORS = ("If-None-Match", "If-Modified-Since")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_NOT_FOR_USERS = frozenset(
    {"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';]+)", re.IGNORECASE)


@dataclass(frozen=True)
class HttpSettings:
    """How a client behaves."""

    user_agent: str = DEFAULT_USER_AGENT
    """Should name a page where the owner of a server learns who asks."""
    allow_private_hosts: bool = False
    """Whether this machine and its network may be asked."""
    connect_seconds: float = 10
    """For a name to be resolved and a connection made; and so much again for TLS."""
    read_seconds: float = 20
    """Between two pieces of an answer."""
    whole_seconds: float = 60
    """For one call, redirects and robots.txt included, waiting for one's turn not."""
    requests_per_host: int = 2
    """How many there are at once to one host and port."""
    requests_in_all: int = 64
    """How many there are at once."""
    max_body_bytes: int = 16 << 20
    """Of a body, as sent and decompressed."""
    max_redirects: int = 10
    """In one call."""
    max_crawl_delay_seconds: float = 30
    """What a longer Crawl-delay of a robots.txt is taken for."""
    max_host_failures: int = 3
    """How often in a row a host may fail to answer, or say that it is asked too much but not how
    long to wait, before the client leaves it alone."""
    leave_host_seconds: float = math.inf
    """For how long it does."""
    robots_seconds: float = math.inf
    """How long a robots.txt counts before it is asked for again; RFC 9309, 2.4, allows a day."""
    max_host_seconds: float = 600
    """How long one host is asked: the time in which a request is under way or its crawl delay
    waited for."""


@dataclass(frozen=True)
class Response:
    """An answer: 200 to 299 but for 206, which is only a part, or 304 to a conditional request."""

    url: str
    """Where it came from, after redirects."""
    permanent_url: str | None
    """Where the URL asked for has moved for good: through 301 and 308, up to the first temporary
    redirect. None if it has not."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of the same name joined by commas."""
    body: bytes
    """Decompressed."""
    charset: str | None
    """As ``Content-Type`` states it."""
    content_type: str | None
    """In lower case, without parameters."""
    etag: str | None
    """As the server sent it, each byte a character (ISO 8859-1)."""
    last_modified: str | None


class FetchError(Exception):
    """There is no such answer. The message is one sentence for the user."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        url: str,
        is_final: bool = False,
        is_put_off: bool = False,
        retry_after_seconds: float | None = None,
        status: int = 0,
        permanent_url: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        """Slug of ``schemas.records.REASONS``."""
        self.message = message
        self.url = url
        """Where it happened: of the last redirect."""
        self.is_final = is_final
        """Whether asking again will not help soon."""
        self.is_put_off = is_put_off
        """Whether it was not asked at all: its host is down, asked us to wait, or over its time."""
        self.retry_after_seconds = retry_after_seconds
        """What the server asks us to wait."""
        self.status = status
        """Of the answer; 0 if there was none."""
        self.permanent_url = permanent_url
        """As in ``Response``."""


class HttpClient:
    """Asks web servers; used with ``async with``, in one event loop.

    Args:
        settings: how it behaves.
        resolve: gives the addresses of a name; the system's if not given.
        tls: verifies servers; the usual certificates if not given.
        forbids: of an address that a name has, why it may not be asked; not looked at if private
            hosts may be.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        forbids: Forbids = forbidden_address,
    ) -> None:
        _check_value("User-Agent", settings.user_agent)
        self._settings = settings
        self._pool = OneAtATimePool(
            tls=tls or httpx.create_ssl_context(),
            backend=CheckedBackend(
                resolve or SystemResolver(MAX_LOOKUPS),
                _allow_any if settings.allow_private_hosts else forbids,
            ),
            max_kept=settings.requests_in_all,
            kept_seconds=KEPT_SECONDS,
        )
        self._turns = HostTurns(
            per_host=settings.requests_per_host,
            in_all=settings.requests_in_all,
            max_failures=settings.max_host_failures,
            max_host_seconds=settings.max_host_seconds,
            leave_seconds=settings.leave_host_seconds,
        )
        self._robots: OrderedDict[str, _Robots] = OrderedDict()
        """By origin, that of the site last asked last."""
        self._patience_seconds = min(settings.read_seconds, settings.whole_seconds)
        """What a host is given to answer before it counts as one that does not."""
        self._timeouts = {
            "connect": settings.connect_seconds,
            "read": settings.read_seconds,
            "write": settings.read_seconds,
        }

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.aclose()

    async def get(
        self,
        url: str,
        *,
        now: datetime,
        etag: str | None = None,
        last_modified: str | None = None,
        headers: Sequence[str] = (),
        obeys_robots: bool = False,
        max_body_bytes: int | None = None,
        accept: str | None = None,
    ) -> Response:
        """Ask for a URL once, following redirects.

        Args:
            url: of http or https.
            now: aware; what a date in Retry-After is compared with if the answer has no date.
            etag: of what is had already, for ``If-None-Match``.
            last_modified: the same, for ``If-Modified-Since``.
            headers: ``Name: value``, sent to the host of ``url`` alone; they replace the client's.
            obeys_robots: ask the site's robots.txt first, at each hop.
            max_body_bytes: instead of the settings'.
            accept: for ``Accept``.

        Raises:
            FetchError: there is no answer that could be used, with what is wrong.
            ValueError: one of ``headers`` cannot be sent.
        """
        stated = {"Accept": accept or "*/*"}
        for name, value in zip(_VALIDATORS, (etag, last_modified), strict=True):
            if value and not _UNSENDABLE.search(value):
                stated[name] = value.strip(" \t")
        call = _Call(
            common=stated,
            own=parse_headers(headers),
            max_bytes=self._settings.max_body_bytes if max_body_bytes is None else max_body_bytes,
            max_redirects=self._settings.max_redirects,
            obeys_robots=obeys_robots,
            now=now,
            left_seconds=self._settings.whole_seconds,
        )
        return await self._follow(url, call)

    async def _follow(self, url: str, call: _Call) -> Response:
        try:
            target = self._checked(url, None)
            call.first = target
            while True:
                answer = await self._ask_politely(target, call)
                if answer.status not in _REDIRECTS:
                    return _response(answer, call)
                target = self._redirected(answer, call)
        except FetchError as error:
            error.permanent_url = call.permanent_url
            raise

    def _checked(self, url: str, base: str | None) -> CheckedUrl:
        try:
            allowed = self._settings.allow_private_hosts
            return check_url(url, base=base, allow_private_hosts=allowed)
        except ForbiddenAddress as error:
            where = base or re.sub(r"//[^/?#]*@", "//", url)
            raise FetchError("forbidden-address", str(error), url=where, is_final=True) from error

    def _redirected(self, answer: _Answer, call: _Call) -> CheckedUrl:
        """Where a redirect leads."""
        location = answer.headers.get("location")
        if not location:
            message = f"it answered {answer.status}, a redirect, but not to where"
            raise _redirect_error(answer, message)
        target = self._checked(location, answer.target.asked_url)
        call.hops.append(answer.target.asked_url)
        if target.asked_url in call.hops:
            raise _redirect_error(answer, f"it redirects in a circle, back to {target.asked_url}")
        if len(call.hops) > call.max_redirects:
            message = f"it redirects more than {call.max_redirects} times"
            raise _redirect_error(answer, message)
        call.is_permanent = call.is_permanent and answer.status in _PERMANENT
        if call.is_permanent:
            call.permanent_url = target.asked_url
        return target

    async def _ask_politely(self, target: CheckedUrl, call: _Call) -> _Answer:
        if call.obeys_robots:
            await self._check_robots(target, call)
        name = target.authority
        try:
            # The outcome is noted before the turn is over: the next in line must know.
            async with self._turns.turn(name, is_delayed=not call.is_robots):
                own_seconds = call.left_seconds + call.spent_seconds[name]
                is_hurried = own_seconds < self._patience_seconds
                try:
                    answer = await self._ask(target, call)
                    _raise_for_status(answer, call)
                except FetchError as error:
                    # Of a host whose time others have used up, nothing is learnt.
                    if not error.is_put_off and not (is_hurried and error.reason == "timeout"):
                        self._turns.note_failure(name, error.reason, error.retry_after_seconds)
                    raise
                self._turns.note_answer(name)
                return answer
        except PutOff as error:
            raise FetchError(
                error.reason,
                str(error),
                url=target.asked_url,
                is_put_off=True,
                retry_after_seconds=error.retry_after_seconds,
            ) from None

    async def _ask(self, target: CheckedUrl, call: _Call) -> _Answer:
        """Ask once.

        Raises:
            FetchError: there is no whole answer.
        """
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        url = target.asked_url
        try:
            async with asyncio.timeout(call.left_seconds) as limit:
                return await self._exchange(target, call, limit)
        except (OversizedContent, CorruptContent, TruncatedContent, _BrokenOffError) as error:
            raise _body_error(error, target) from error
        except ForbiddenAddress as error:
            raise FetchError("forbidden-address", str(error), url=url, is_final=True) from error
        except TooManyLookups as error:
            message = f"{target.authority} was not asked: {error}"
            raise FetchError("no-connection", message, url=url, is_put_off=True) from error
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise self._timeout_error(error, target, call) from error
        except CONNECTION_ERRORS as error:
            message = f"{target.authority} could not be asked: {in_words(error)}"
            raise FetchError("no-connection", message, url=url) from error
        finally:
            call.spend(target, loop.time() - started_at)

    def _timeout_error(self, error: Exception, target: CheckedUrl, call: _Call) -> FetchError:
        settings = self._settings
        if isinstance(error, httpcore.ConnectTimeout):
            what = f"no connection within {settings.connect_seconds:g} seconds"
        elif isinstance(error, httpcore.TimeoutException):
            what = f"nothing for {settings.read_seconds:g} seconds"
        else:
            what = f"no whole answer within {settings.whole_seconds:g} seconds"
            what += ", with the redirects to it" if call.hops else ""
        return FetchError("timeout", f"{target.authority} gave {what}", url=target.asked_url)

    async def _exchange(self, target: CheckedUrl, call: _Call, limit: asyncio.Timeout) -> _Answer:
        # A kept connection that its server closed fails before anything is answered; each that
        # fails is dropped, so that the last try is on a new one.
        for tries_left in range(self._settings.requests_per_host, -1, -1):
            trace = _Trace()
            request = httpcore.Request(
                b"GET",
                # In parts: of a whole URL, httpcore loses what it takes for parameters.
                httpcore.URL(
                    scheme=target.scheme,
                    host=target.host,
                    port=target.port,
                    target=target.request_target,
                ),
                headers=self._headers(target, call),
                extensions={"timeout": self._timeouts, "trace": trace},
            )
            try:
                response = await self._pool.handle_async_request(request)
            except CONNECTION_ERRORS:
                if trace.is_new_connection or not tries_left:
                    raise
                continue
            return await _read(response, target, call, limit)
        raise AssertionError("the last try either answers or raises")

    def _headers(self, target: CheckedUrl, call: _Call) -> list[tuple[bytes, bytes]]:
        headers = {
            "Host": httpx.URL(target.url).netloc.decode("ascii"),
            "User-Agent": self._settings.user_agent,
            "Accept-Encoding": ACCEPTED_CODINGS,
            **call.common,
        }
        merged = {name.lower(): (name, value) for name, value in headers.items()}
        if call.first is not None and may_share_secrets(call.first.url, target.url):
            merged.update((name.lower(), (name, value)) for name, value in call.own)
        return [(name.encode("ascii"), _encoded(name, value)) for name, value in merged.values()]

    # ── robots.txt ──────────────────────────────────────────────────────────────────────────────

    async def _check_robots(self, target: CheckedUrl, call: _Call) -> None:
        """Raises: FetchError, if the site's robots.txt denies a URL or cannot be read."""
        if urlsplit(target.asked_url).path == "/robots.txt":
            return
        robots = self._robots_of(target)
        asked_before = robots.asked_seconds
        try:
            async with robots.lock:
                rules = robots.rules or await self._read_robots(robots, target, call)
        finally:
            call.spend(target, robots.asked_seconds - asked_before)
        if isinstance(rules, FetchError):
            is_down = rules.reason in {"no-connection", "timeout"}
            is_put_off, robots.is_told = robots.is_told, robots.is_told or not is_down
            raise FetchError(
                rules.reason if is_down else "robots",
                f"its site's robots.txt could not be read, which is taken for a no: {rules}",
                url=target.asked_url,
                is_put_off=is_put_off,
                retry_after_seconds=rules.retry_after_seconds,
                status=rules.status,
            )
        delay = min(rules.crawl_delay_seconds, self._settings.max_crawl_delay_seconds)
        self._turns.set_delay(target.authority, delay)
        if not rules.allows(target.asked_url):
            message = f"the robots.txt of {target.authority} asks not to fetch it"
            raise FetchError("robots", message, url=target.asked_url, is_final=True)

    def _robots_of(self, target: CheckedUrl) -> _Robots:
        """What is known of a site's robots.txt; what is known longest may be forgotten for it."""
        now = asyncio.get_running_loop().time()
        known = self._robots.get(target.origin)
        if known is None or now > known.since + self._settings.robots_seconds:
            self._robots[target.origin] = _Robots(now)
        robots = self._robots[target.origin]
        self._robots.move_to_end(target.origin)
        if len(self._robots) > MAX_KEPT_ROBOTS:
            self._robots.popitem(last=False)
        return robots

    def _bound_robots(self) -> None:
        kept_bytes = sum(one.size_bytes for one in self._robots.values())
        while kept_bytes > MAX_KEPT_ROBOTS_BYTES:
            kept_bytes -= self._robots.popitem(last=False)[1].size_bytes

    async def _read_robots(
        self, robots: _Robots, target: CheckedUrl, page: _Call
    ) -> RobotsRules | FetchError:
        """The rules of a site, or why they cannot be read (RFC 9309, 2.3.1); kept for later.

        Raises:
            FetchError: it was not asked for.
        """
        call = _Call(
            common={"Accept": "text/plain, */*;q=0.5"},
            own=[],
            max_bytes=MAX_ROBOTS_BYTES,
            max_redirects=MAX_ROBOTS_REDIRECTS,
            obeys_robots=False,
            now=page.now,
            left_seconds=page.left_seconds,
            spent_seconds=page.spent_seconds.copy(),
            is_robots=True,
        )
        rules: RobotsRules | FetchError
        try:
            body = (await self._follow(f"{target.origin}/robots.txt", call)).body
            is_long = len(body) > _LONG_ROBOTS_BYTES
            rules = await asyncio.to_thread(parse_robots, body) if is_long else parse_robots(body)
            robots.size_bytes = len(body)
            self._bound_robots()
        except FetchError as error:
            if error.is_put_off:
                raise
            if error.reason == "forbidden-address" and not call.hops:
                return ALLOW_ALL  # the request itself will tell
            if error.reason in {"no-connection", "timeout"}:
                return error  # not kept: a host that is down is soon put off as such
            is_absent = 400 <= error.status < 500 and error.status != 429
            rules = ALLOW_ALL if is_absent or error.reason == "redirects" else error
            error.with_traceback(None)  # kept for long, but not all that it was raised in
        finally:
            robots.asked_seconds += page.left_seconds - call.left_seconds
        robots.rules = rules
        return rules


def parse_headers(headers: Sequence[str]) -> list[tuple[str, str]]:
    """Names and values of ``Name: value`` lines.

    Raises:
        ValueError: one is no such line, or is not for a user to set; its value is not repeated.
    """
    parsed = []
    for line in headers:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise ValueError(f"a header has to be 'Name: value', not {name[:40]!r} …")
        if name.strip().lower() in _NOT_FOR_USERS:
            raise ValueError(f"the header {name.strip()} is the client's own to set")
        _check_value(name.strip(), value)
        parsed.append((name.strip(), value.strip()))
    return parsed


@dataclass
class _Robots:
    """What is known of the robots.txt of one site."""

    since: float
    """When it was first asked for, by the event loop's clock."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who asks for it."""
    rules: RobotsRules | FetchError | None = None
    size_bytes: int = 0
    asked_seconds: float = 0.0
    """How long it has been asked for, which all who waited are charged."""
    is_told: bool = False
    """Whether a call was told already that it cannot be read."""


# ── one call ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Call:
    """What is asked for, and what has come of it so far."""

    common: Mapping[str, str]
    """Headers for every hop."""
    own: Sequence[tuple[str, str]]
    """Headers for the first host only."""
    max_bytes: int
    max_redirects: int
    obeys_robots: bool
    now: datetime
    left_seconds: float
    spent_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """On each host and port."""
    is_robots: bool = False
    """A robots.txt: what is beyond ``max_bytes`` is not read, and no crawl delay waited for."""
    first: CheckedUrl | None = None
    hops: list[str] = field(default_factory=list)
    """URLs that redirected."""
    is_permanent: bool = True
    """Whether all have done so for good."""
    permanent_url: str | None = None

    def spend(self, target: CheckedUrl, seconds: float) -> None:
        self.left_seconds -= seconds
        self.spent_seconds[target.authority] += seconds


@dataclass(frozen=True)
class _Answer:
    target: CheckedUrl
    status: int
    headers: Mapping[str, str]
    body: bytes


class _BrokenOffError(Exception):
    """A body broke off."""


class _Trace:
    """Hears from httpcore whether a request goes over a new connection."""

    def __init__(self) -> None:
        self.is_new_connection = False

    async def __call__(self, event: str, _: object) -> None:
        if event == "connection.connect_tcp.started":
            self.is_new_connection = True


async def _read(
    response: httpcore.Response, target: CheckedUrl, call: _Call, limit: asyncio.Timeout
) -> _Answer:
    """Take what is needed of a response, and close it."""
    headers = dict(httpx.Headers(response.headers).items())
    # To be sent back byte by byte, whatever the others are written in.
    latin = httpx.Headers(response.headers, encoding="latin-1")
    headers |= {name: latin[name] for name in ("etag", "last-modified") if name in latin}
    is_whole = False
    try:
        if _is_success(response.status):
            body, is_whole = await _read_body(response, headers, call)
        else:
            limit.reschedule(None)  # the answer is here; the rest has its own, short time
            body, is_whole = b"", await _drain(response, headers, call.left_seconds)
        return _Answer(target, response.status, headers, body)
    finally:
        # httpcore would let the rest of a body come over HTTP/2 and fill the connection's window,
        # until nothing else comes through. No other request goes over this connection.
        if not is_whole and response.extensions.get("http_version") == b"HTTP/2":
            await response.extensions["network_stream"].aclose()
        await response.aclose()


async def _read_body(
    response: httpcore.Response, headers: Mapping[str, str], call: _Call
) -> tuple[bytes, bool]:
    """The body, decompressed, and whether all of it was read."""
    limit = call.max_bytes
    stated = headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,18}", stated) and int(stated) > limit and not call.is_robots:
        raise OversizedContent(f"it has {stated} bytes, over the limit of {limit}")
    # Of a robots.txt, what is up to the limit is wanted even if there is more.
    decoder = ContentDecoder(headers.get("content-encoding", ""), limit * (1 + call.is_robots))
    body = BoundedBody(limit)
    try:
        async for chunk in _chunks(response):
            for piece in decoder.decode(chunk):
                body.add(piece)
            body.add_sent(chunk)
    except OversizedContent:
        if not call.is_robots:
            raise
        return body.content()[:limit], False
    decoder.finish()
    return body.content(), True


async def _drain(
    response: httpcore.Response, headers: Mapping[str, str], left_seconds: float
) -> bool:
    """Read a short body of no concern, so that the connection can be kept; whether it was read."""
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:18]) > MAX_DRAINED_BYTES and response.status != 304:
        return False
    left_bytes = MAX_DRAINED_BYTES
    try:
        async with asyncio.timeout(min(MAX_DRAINED_SECONDS, left_seconds / 2)):
            async for chunk in _chunks(response):
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    return False
    except (_BrokenOffError, TimeoutError, httpcore.TimeoutException):
        return False
    return True


async def _chunks(response: httpcore.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_stream():
            yield chunk
    except CONNECTION_ERRORS as error:
        raise _BrokenOffError(in_words(error)) from error


def _response(answer: _Answer, call: _Call) -> Response:
    content_type = answer.headers.get("content-type", "")
    charset = _CHARSET.search(content_type)
    return Response(
        url=answer.target.asked_url,
        permanent_url=call.permanent_url,
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        charset=charset[1] if charset else None,
        content_type=content_type.partition(";")[0].strip().lower() or None,
        etag=answer.headers.get("etag") or None,
        last_modified=answer.headers.get("last-modified") or None,
    )


def _is_success(status: int) -> bool:
    """Whether the body is what was asked for; 206 is a part, for which nobody asked."""
    return 200 <= status < 300 and status != 206


def _raise_for_status(answer: _Answer, call: _Call) -> None:
    """Raises: FetchError, for a status that is neither a success nor a redirect."""
    status = answer.status
    is_conditional = not call.common.keys().isdisjoint(_VALIDATORS)
    if _is_success(status) or status in _REDIRECTS or (status == 304 and is_conditional):
        return
    reasons = {404: "not-found", 410: "gone", 429: "rate-limited", 503: "rate-limited"}
    reason = reasons.get(status, "http-status")
    retry_after = None
    if status in _ASK_AGAIN or status >= 500:
        since = parse_http_date(answer.headers.get("date", "")) or call.now
        retry_after = parse_retry_after(answer.headers.get("retry-after", ""), since)
    waits = "" if retry_after is None else f", and asks to wait for {retry_after:g} seconds"
    raise FetchError(
        reason,
        f"{answer.target.authority} answered {status}{waits}",
        url=answer.target.asked_url,
        is_final=status < 500 and status not in _ASK_AGAIN,
        retry_after_seconds=retry_after,
        status=status,
    )


def _redirect_error(answer: _Answer, message: str) -> FetchError:
    return FetchError(
        "redirects", message, url=answer.target.asked_url, is_final=True, status=answer.status
    )


def _body_error(error: Exception, target: CheckedUrl) -> FetchError:
    if isinstance(error, OversizedContent):
        reason, message = "too-large", f"its body is too large: {error}"
    elif isinstance(error, CorruptContent):
        reason, message = "corrupt", f"its body is corrupt: {error}"
    else:
        reason, message = "truncated", f"its body broke off: {error}"
    return FetchError(reason, message, url=target.asked_url, is_final=reason == "too-large")


def _allow_any(_: str) -> None:
    """Forbids nothing."""


def _encoded(name: str, value: str) -> bytes:
    """The value of a header as it is sent: a validator, as it came."""
    try:
        return value.encode("latin-1" if name in _VALIDATORS else "utf-8")
    except UnicodeEncodeError:
        return value.encode()


def _check_value(name: str, value: str) -> None:
    if _UNSENDABLE.search(value):
        raise ValueError(f"the value of the header {name} has a character that cannot be sent")
