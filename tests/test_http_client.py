"""The client against a real server on loopback: what it asks, what it takes, what it tells."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
import trustme
from web_server import Answer, Request, WebServer, WebServers, Wire

from transforms.connections import TooManyLookups
from transforms.http_client import (
    DEFAULT_USER_AGENT,
    MAX_KEPT_ROBOTS_BYTES,
    FetchError,
    HttpClient,
    HttpSettings,
    Response,
    parse_headers,
)

T = TypeVar("T")

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = HttpSettings(allow_private_hosts=True)
HURRIED = replace(SETTINGS, connect_seconds=5, read_seconds=0.05, whole_seconds=5)
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Most tests speak no TLS, and reading the usual certificates takes longer than they do."""
FEED = b"<rss><channel/></rss>"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


async def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def with_client(
    use: Callable[[HttpClient], Awaitable[T]], settings: HttpSettings = SETTINGS, **options: object
) -> T:
    async def run() -> T:
        async with HttpClient(
            settings, **{"resolve": to_loopback, "tls": TRUSTS_NOBODY, **options}
        ) as client:
            return await use(client)

    return asyncio.run(run())


def ask(url: str, settings: HttpSettings = SETTINGS, **options: object) -> Response:
    return with_client(lambda client: client.get(url, now=NOON, **options), settings)


def refused(url: str, settings: HttpSettings = SETTINGS, **options: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        ask(url, settings, **options)
    assert str(caught.value) == caught.value.message
    assert not caught.value.message.endswith(".")
    return caught.value


async def outcome(client: HttpClient, url: str, **options: object) -> Response | FetchError:
    try:
        return await client.get(url, now=NOON, **options)
    except FetchError as error:
        return error


# ── what is asked ───────────────────────────────────────────────────────────────────────────────


def test_a_server_reads_who_asks_and_what_is_wanted(server: WebServer) -> None:
    server.set("/feed", FEED)
    ask(server.url("/feed"), accept="application/rss+xml")
    headers = server.log[0].headers
    assert headers["user-agent"] == DEFAULT_USER_AGENT
    assert headers["accept"] == "application/rss+xml"
    assert headers["accept-encoding"] == "gzip, deflate, br, zstd"
    assert headers["host"] == server.authority


def test_the_contact_in_the_user_agent_is_the_users_to_set(server: WebServer) -> None:
    ours = "newsbeam (+https://reader.example/about)"
    server.set("/feed", FEED)
    ask(server.url("/feed"), replace(SETTINGS, user_agent=ours))
    assert server.log[0].headers["user-agent"] == ours


def test_proxies_of_the_environment_are_not_used(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.set("/feed", FEED)
    assert ask(server.url("/feed")).status == 200


@pytest.mark.parametrize("path", ["/story;v=1", "/story?", "/story;a=1?b;c", "/%e2%7E", "/a//b"])
def test_a_path_is_asked_for_as_it_is_written(server: WebServer, path: str) -> None:
    server.set(path, FEED)
    answer = ask(server.url(path))
    assert server.paths == [path]
    assert answer.url == server.url(path)


def test_cookies_are_not_sent_back(server: WebServer) -> None:
    server.set("/feed", FEED, headers={"Set-Cookie": "id=1"})

    async def twice(client: HttpClient) -> None:
        await client.get(server.url("/feed"), now=NOON)
        await client.get(server.url("/feed"), now=NOON)

    with_client(twice)
    assert "cookie" not in server.log[1].headers


def test_a_users_headers_replace_the_clients(server: WebServer) -> None:
    server.set("/feed", FEED)
    ask(server.url("/feed"), headers=["user-agent: me", "X-Key: 1:2"])
    assert server.log[0].headers["user-agent"] == "me"
    assert server.log[0].headers["x-key"] == "1:2"


def test_a_users_headers_go_to_no_other_host(server: WebServer) -> None:
    with WebServer() as other:
        other.set("/feed", FEED)
        server.redirect("/here", "/there")
        server.redirect("/there", other.url("/feed"))
        ask(server.url("/here"), headers=["Authorization: secret"])
        assert [visit.headers.get("authorization") for visit in server.log] == ["secret"] * 2
        assert "authorization" not in other.log[0].headers


@pytest.mark.parametrize(
    "line",
    ["no colon", ": nameless", "two words: x", "Host: other", "X: a\r\nY: b", "X: \0", "X: \ud800"],
)
def test_a_header_that_cannot_be_sent_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="header"):
        parse_headers([line])


# ── answers ─────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_has_its_body_and_what_is_said_of_it(server: WebServer) -> None:
    server.set(
        "/feed",
        FEED,
        content_type="Application/RSS+XML; Charset='ISO-8859-1'",
        etag='"1"',
        last_modified="Fri, 20 Nov 2026 08:00:00 GMT",
        headers={"Cache-Control": "max-age=60"},
    )
    answer = ask(server.url("/feed"))
    assert (answer.status, answer.body) == (200, FEED)
    assert (answer.content_type, answer.charset) == ("application/rss+xml", "ISO-8859-1")
    assert (answer.etag, answer.last_modified) == ('"1"', "Fri, 20 Nov 2026 08:00:00 GMT")
    assert answer.headers["cache-control"] == "max-age=60"
    assert (answer.url, answer.permanent_url) == (server.url("/feed"), None)


def test_a_wrong_charset_is_given_as_it_is_stated(server: WebServer) -> None:
    server.set("/feed", "Zürich", content_type="text/html; charset=klingon")
    answer = ask(server.url("/feed"))
    assert (answer.charset, answer.body) == ("klingon", "Zürich".encode())


def test_an_answer_need_not_say_what_it_is(server: WebServer) -> None:
    server.set("/feed", FEED, content_type=None)
    answer = ask(server.url("/feed"))
    assert (answer.content_type, answer.charset, answer.etag) == (None, None, None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_body_is_decompressed(server: WebServer, encoding: str) -> None:
    server.set("/feed", FEED * 10_000, encoding=encoding)
    assert ask(server.url("/feed")).body == FEED * 10_000


def test_a_body_without_a_length_is_read_to_its_end(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200)
        wire.send(FEED)

    server.set("/feed", answer)
    assert ask(server.url("/feed")).body == FEED


def test_a_feed_that_has_not_changed_by_its_tag_is_not_sent_again(server: WebServer) -> None:
    server.set("/feed", FEED, etag='W/"1"')
    assert ask(server.url("/feed")).status == 200
    answer = ask(server.url("/feed"), etag='W/"1"')
    assert (answer.status, answer.body, answer.etag) == (304, b"", 'W/"1"')


def test_a_feed_that_has_not_changed_by_its_date_is_not_sent_again(server: WebServer) -> None:
    date = "Fri, 20 Nov 2026 08:00:00 GMT"
    server.set("/feed", FEED, last_modified=date)
    answer = ask(server.url("/feed"), last_modified=date)
    assert (answer.status, answer.last_modified) == (304, date)


@pytest.mark.parametrize("tag", [b'"caf\xe9"', b'"caf\xc3\xa9"', b'W/"1"'])
def test_a_tag_is_sent_back_byte_by_byte(server: WebServer, tag: bytes) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: " + tag + b"\r\n\r\n")

    server.set("/feed", answer)
    ask(server.url("/feed"), etag=ask(server.url("/feed")).etag)
    assert server.log[1].headers["if-none-match"] == tag.decode("latin-1")


def test_a_part_that_nobody_asked_for_is_no_answer(server: WebServer) -> None:
    server.set("/feed", FEED, status=206, headers={"Content-Range": "bytes 0-20/100"})
    error = refused(server.url("/feed"))
    assert (error.reason, error.status) == ("http-status", 206)


def test_a_304_that_nobody_asked_for_is_no_answer(server: WebServer) -> None:
    server.set("/feed", status=304)
    error = refused(server.url("/feed"))
    assert (error.reason, error.status) == ("http-status", 304)


def test_a_connection_is_used_again(server: WebServer) -> None:
    server.set("/feed", FEED, etag='"1"')
    server.redirect("/old", "/feed")

    async def several(client: HttpClient) -> None:
        for path in ("/feed", "/old", "/missing", "/feed"):
            await outcome(client, server.url(path), etag='"1"')

    with_client(several)
    assert server.paths == ["/feed", "/old", "/feed", "/missing", "/feed"]
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_no_failure(server: WebServer) -> None:
    visits = 0

    def close_the_second(_: Request, wire: Wire) -> Answer | None:
        nonlocal visits
        visits += 1
        return None if visits == 2 else Answer(FEED)

    server.set("/feed", close_the_second)

    async def twice(client: HttpClient) -> list[bytes]:
        return [(await client.get(server.url("/feed"), now=NOON)).body for _ in range(2)]

    assert with_client(twice) == [FEED, FEED]
    assert [visit.connection for visit in server.log] == [0, 0, 1]


# ── statuses ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "reason", "is_final"),
    [
        (400, "http-status", True),
        (401, "http-status", True),
        (403, "http-status", True),
        (404, "not-found", True),
        (408, "http-status", False),
        (410, "gone", True),
        (425, "http-status", False),
        (429, "rate-limited", False),
        (451, "http-status", True),
        (500, "http-status", False),
        (502, "http-status", False),
        (503, "rate-limited", False),
        (300, "http-status", True),
    ],
)
def test_a_status_is_told(server: WebServer, status: int, reason: str, is_final: bool) -> None:
    server.set("/feed", b"sorry", status=status)
    error = refused(server.url("/feed"))
    assert (error.reason, error.status, error.is_final) == (reason, status, is_final)
    assert error.url == server.url("/feed")
    assert str(status) in error.message


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["120", "Fri, 20 Nov 2026 12:02:00 GMT"], ids=["seconds", "date"])
def test_a_server_may_ask_to_wait_in_both_forms(server: WebServer, status: int, value: str) -> None:
    server.set("/feed", status=status, headers={"Retry-After": value})
    error = refused(server.url("/feed"))
    assert (error.reason, error.retry_after_seconds) == ("rate-limited", 120.0)


def test_a_date_to_wait_for_is_read_by_the_servers_own_clock(server: WebServer) -> None:
    server.set(
        "/feed",
        status=503,
        headers={
            "Date": "Tue, 20 Nov 2001 12:00:00 GMT",
            "Retry-After": "Tue, 20 Nov 2001 12:00:30 GMT",
        },
    )
    assert refused(server.url("/feed")).retry_after_seconds == 30.0


def test_a_host_that_asks_to_wait_is_not_asked_meanwhile(server: WebServer) -> None:
    server.set("/feed", status=429, headers={"Retry-After": "600"})

    async def twice(client: HttpClient) -> Response | FetchError:
        await outcome(client, server.url("/feed"))
        return await outcome(client, server.url("/other"))

    error = with_client(twice)
    assert isinstance(error, FetchError)
    assert (error.reason, error.is_put_off, error.is_final) == ("rate-limited", True, False)
    assert error.retry_after_seconds == pytest.approx(600, abs=60)
    assert server.paths == ["/feed"]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}])
def test_a_host_that_is_asked_too_much_is_left_alone_though_it_does_not_say_how_long(
    server: WebServer, headers: dict[str, str]
) -> None:
    for number in range(5):
        server.set(f"/{number}", status=429, headers=headers)

    async def often(client: HttpClient) -> list[Response | FetchError]:
        return [await outcome(client, server.url(f"/{number}")) for number in range(5)]

    errors = [error for error in with_client(often) if isinstance(error, FetchError)]
    assert [error.reason for error in errors] == ["rate-limited"] * 5
    assert [error.is_put_off for error in errors] == [False, False, False, True, True]
    assert server.paths == ["/0", "/1", "/2"]


def test_only_answers_in_a_row_show_that_a_host_is_asked_too_much(server: WebServer) -> None:
    server.sequence("/feed", [*[Answer(status=429)] * 2, Answer(FEED), *[Answer(status=429)] * 2])

    async def often(client: HttpClient) -> list[int]:
        return [(await outcome(client, server.url("/feed"))).status for _ in range(5)]

    assert with_client(often) == [429, 429, 200, 429, 429]


def test_a_failure_is_not_asked_again_by_itself(server: WebServer) -> None:
    server.sequence("/feed", [Answer(status=500), Answer(FEED)])

    async def twice(client: HttpClient) -> list[Response | FetchError]:
        return [await outcome(client, server.url("/feed")) for _ in range(2)]

    first, second = with_client(twice)
    assert isinstance(first, FetchError)
    assert isinstance(second, Response)
    assert second.body == FEED


# ── redirects ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statuses", "moved_to"),
    [
        ([301], "/1"),
        ([308, 301], "/2"),
        ([301, 302, 301], "/1"),
        ([302], None),
        ([307, 308], None),
        ([303], None),
    ],
)
def test_what_has_moved_for_good_is_told_up_to_the_first_that_has_not(
    server: WebServer, statuses: list[int], moved_to: str | None
) -> None:
    for place, status in enumerate(statuses):
        server.redirect(f"/{place}", f"/{place + 1}", status=status)
    server.set(f"/{len(statuses)}", FEED)
    answer = ask(server.url("/0"))
    assert answer.url == server.url(f"/{len(statuses)}")
    assert answer.permanent_url == (moved_to and server.url(moved_to))


def test_where_it_has_moved_is_told_with_a_failure_too(server: WebServer) -> None:
    server.redirect("/old", "/new")
    server.set("/new", status=410)
    error = refused(server.url("/old"))
    assert (error.reason, error.url) == ("gone", server.url("/new"))
    assert error.permanent_url == server.url("/new")


def test_a_circle_of_redirects_is_told(server: WebServer) -> None:
    server.redirect("/a", "/b")
    server.redirect("/b", "/a")
    error = refused(server.url("/a"))
    assert (error.reason, error.is_final) == ("redirects", True)
    assert "circle" in error.message
    assert server.paths == ["/a", "/b"]


def test_two_spellings_of_an_address_are_no_circle(server: WebServer) -> None:
    server.redirect("/%C3%A4", "/%c3%a4")
    server.set("/%c3%a4", FEED)
    assert ask(server.url("/%C3%A4")).permanent_url == server.url("/%c3%a4")


def test_too_many_redirects_are_told(server: WebServer) -> None:
    for place in range(4):
        server.redirect(f"/{place}", f"/{place + 1}", status=302)
    error = refused(server.url("/0"), replace(SETTINGS, max_redirects=3))
    assert (error.reason, error.message) == ("redirects", "it redirects more than 3 times")


def test_a_redirect_to_nowhere_is_told(server: WebServer) -> None:
    server.set("/feed", status=302)
    assert refused(server.url("/feed")).reason == "redirects"


@pytest.mark.parametrize("location", ["ftp://files.example/feed", "http://a b/", "mailto:a@b"])
def test_a_redirect_out_of_the_web_is_not_followed(server: WebServer, location: str) -> None:
    server.redirect("/feed", location)
    error = refused(server.url("/feed"))
    assert (error.reason, error.url) == ("forbidden-address", server.url("/feed"))


# ── addresses ───────────────────────────────────────────────────────────────────────────────────

PUBLIC = HttpSettings()


def test_no_request_goes_to_this_machine(server: WebServer) -> None:
    error = refused(server.url("/feed"), PUBLIC)
    assert (error.reason, error.is_final, error.status) == ("forbidden-address", True, 0)
    assert server.connections == 0


def test_no_request_goes_to_a_name_that_resolves_to_this_machine(server: WebServer) -> None:
    error = refused(server.url("/feed", host="news.example"), PUBLIC)
    assert (error.reason, error.is_final) == ("forbidden-address", True)
    assert "127.0.0.1, which is loopback" in error.message
    assert server.connections == 0


def forbids_others(ip: str) -> str | None:
    """Stands for the rule: the servers of these tests are public, and all else is not."""
    return None if ip == "127.0.0.1" else "private"


@pytest.mark.parametrize(
    "inside",
    [
        "http://inside.example/secrets",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://localhost/",
        "//0x7f.1/",
    ],
)
def test_a_redirect_to_a_private_address_is_not_followed(server: WebServer, inside: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1" if host == "inside.example" else "127.0.0.1"]

    server.redirect("/feed", inside)
    url = server.url("/feed", host="news.example")
    error = with_client(
        lambda client: outcome(client, url), PUBLIC, resolve=resolve, forbids=forbids_others
    )
    assert isinstance(error, FetchError)
    assert (error.reason, error.is_final) == ("forbidden-address", True)
    assert server.paths == ["/feed"]


def test_a_name_that_turns_to_a_private_address_is_not_asked_again(server: WebServer) -> None:
    addresses = iter(["127.0.0.1", "10.0.0.1"])

    async def resolve(host: str, port: int) -> list[str]:
        return [next(addresses)]

    server.set("/feed", FEED, headers={"Connection": "close"})
    url = server.url("/feed", host="rebinding.example")

    async def twice(client: HttpClient) -> list[Response | FetchError]:
        return [await outcome(client, url) for _ in range(2)]

    first, second = with_client(twice, PUBLIC, resolve=resolve, forbids=forbids_others)
    assert isinstance(first, Response)
    assert isinstance(second, FetchError)
    assert second.reason == "forbidden-address"


def test_of_several_addresses_the_private_ones_are_passed_over(server: WebServer) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1", "127.0.0.1", "fe80::1"]

    server.set("/feed", FEED)
    url = server.url("/feed", host="news.example")
    answer = with_client(
        lambda client: outcome(client, url), PUBLIC, resolve=resolve, forbids=forbids_others
    )
    assert isinstance(answer, Response)


def test_a_name_is_resolved_once_for_a_connection(server: WebServer) -> None:
    """A second answer, which may be another, is never asked for: the first is connected to."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    server.set("/feed", FEED)

    async def twice(client: HttpClient) -> None:
        for _ in range(2):
            await client.get(server.url("/feed", host="rebinding.example"), now=NOON)

    with_client(twice, resolve=resolve)
    assert (asked, server.connections) == (["rebinding.example"], 1)


def test_of_several_addresses_the_next_is_tried(server: WebServer) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.77", "127.0.0.1"]  # nothing listens at the first

    server.set("/feed", FEED)
    url = server.url("/feed", host="news.example")
    answer = with_client(lambda client: client.get(url, now=NOON), resolve=resolve)
    assert answer.status == 200


def test_a_name_without_an_address_is_told() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    error = with_client(lambda client: outcome(client, "http://no.example/"), resolve=resolve)
    assert isinstance(error, FetchError)
    assert (error.reason, error.is_final) == ("no-connection", False)
    assert "the name no.example has no address: Name or service not known" in error.message


def test_a_name_that_is_not_resolved_in_time_is_told() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    settings = replace(SETTINGS, connect_seconds=0.05)
    error = with_client(
        lambda client: outcome(client, "http://slow.example/"), settings, resolve=resolve
    )
    assert isinstance(error, FetchError)
    assert error.reason == "timeout"
    assert "no connection within 0.05 seconds" in error.message


def test_a_name_that_is_not_looked_up_for_others_is_put_off(server: WebServer) -> None:
    server.set("/feed", FEED)
    is_busy = True

    async def resolve(host: str, port: int) -> list[str]:
        if is_busy:
            raise TooManyLookups("256 names are being looked up already")
        return ["127.0.0.1"]

    async def often(client: HttpClient) -> list[Response | FetchError]:
        nonlocal is_busy
        url = server.url("/feed", host="news.example")
        answers = [await outcome(client, url) for _ in range(4)]
        is_busy = False
        return [*answers, await outcome(client, url)]

    *busy, last = with_client(often, resolve=resolve)
    assert [isinstance(one, FetchError) and one.is_put_off for one in busy] == [True] * 4
    assert isinstance(last, Response)


def test_names_and_certificates_are_the_systems_if_nothing_else_is_said(server: WebServer) -> None:
    server.set("/feed", FEED)
    url = server.url("/feed", host="localhost")
    assert (
        with_client(lambda client: client.get(url, now=NOON), resolve=None, tls=None).status == 200
    )


def test_a_password_in_a_url_is_not_repeated() -> None:
    error = refused("http://reader:secret@news.example/feed")
    assert (error.reason, error.url) == ("forbidden-address", "http://news.example/feed")
    assert "secret" not in error.message


# ── servers that misbehave ──────────────────────────────────────────────────────────────────────


def test_a_port_where_nobody_listens_is_told() -> None:
    with WebServer() as gone:
        url = gone.url("/feed")
    error = refused(url)
    assert (error.reason, error.is_final, error.status) == ("no-connection", False, 0)
    assert "could not be asked" in error.message


def test_slow_headers_are_given_up(server: WebServer) -> None:
    server.set("/feed", lambda _, wire: wire.wait_for_client_to_leave())
    error = refused(server.url("/feed"), HURRIED)
    assert (error.reason, error.is_final) == ("timeout", False)
    assert error.message == f"{server.authority} gave nothing for 0.05 seconds"


def test_a_slow_body_is_given_up(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200, {"Content-Length": "100"})
        wire.send(b"<rss>")
        wire.wait_for_client_to_leave()

    server.set("/feed", answer)
    assert refused(server.url("/feed"), HURRIED).reason == "timeout"


def drip(wire: Wire) -> None:
    """Send a byte now and then, for as long as somebody listens."""
    pause = threading.Event()
    while True:
        wire.send(b" ")
        pause.wait(0.01)


def test_a_server_that_never_comes_to_an_end_is_given_up(server: WebServer) -> None:
    """Each byte in time, but not the whole."""

    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200)
        drip(wire)

    server.set("/feed", answer)
    error = refused(server.url("/feed"), replace(SETTINGS, whole_seconds=0.2))
    assert (error.reason, "within 0.2 seconds" in error.message) == ("timeout", True)


def test_an_error_whose_body_never_comes_to_an_end_keeps_its_status(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(410, {"Content-Length": "10000"})
        drip(wire)

    server.set("/feed", answer)
    error = refused(server.url("/feed"), replace(SETTINGS, whole_seconds=1))
    assert (error.reason, error.status) == ("gone", 410)


def test_a_redirect_whose_body_never_comes_to_an_end_is_followed(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(301, {"Location": "/feed", "Content-Length": "10000"})
        drip(wire)

    server.set("/old", answer)
    server.set("/feed", FEED)
    assert ask(server.url("/old"), replace(SETTINGS, whole_seconds=2)).body == FEED


def test_a_host_is_not_blamed_for_the_time_that_others_used_up(server: WebServer) -> None:
    server.redirect("/old", server.url("/slow", host="target.example"))
    server.set("/slow", lambda _, wire: wire.wait_for_client_to_leave())
    server.set("/feed", FEED)

    async def both(client: HttpClient) -> list[Response | FetchError]:
        old = server.url("/old", host="news.example")
        return [
            await outcome(client, old),
            await outcome(client, server.url("/feed", host="target.example")),
        ]

    first, second = with_client(both, replace(SETTINGS, whole_seconds=0.5, max_host_failures=1))
    assert isinstance(first, FetchError)
    assert (first.reason, "with the redirects" in first.message) == ("timeout", True)
    assert isinstance(second, Response)


def test_an_endless_body_is_given_up_at_the_limit(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200)
        while True:
            wire.send(bytes(65_536))

    server.set("/feed", answer)
    error = refused(server.url("/feed"), max_body_bytes=1 << 20)
    assert (error.reason, error.is_final) == ("too-large", True)
    assert "1048576 bytes" in error.message


def test_a_body_that_is_said_to_be_too_large_is_not_read(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200, {"Content-Length": "5000000000"})
        wire.wait_for_client_to_leave()

    server.set("/feed", answer)
    assert refused(server.url("/feed")).reason == "too-large"


def test_a_bomb_is_not_set_off(server: WebServer) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    server.set("/feed", bomb, headers={"Content-Encoding": "gzip"})
    error = refused(server.url("/feed"), replace(SETTINGS, max_body_bytes=1 << 20))
    assert (error.reason, "decompresses to more" in error.message) == ("too-large", True)


def test_what_is_not_compressed_as_said_is_corrupt(server: WebServer) -> None:
    server.set("/feed", FEED, headers={"Content-Encoding": "gzip"})
    error = refused(server.url("/feed"))
    assert (error.reason, error.is_final) == ("corrupt", False)


def test_a_body_shorter_than_its_length_is_truncated(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200, {"Content-Length": "100"})
        wire.send(b"<rss>")

    server.set("/feed", answer)
    assert refused(server.url("/feed")).reason == "truncated"


def test_a_body_that_is_reset_is_truncated(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send_head(200, {"Transfer-Encoding": "chunked"})
        wire.send(b"5\r\n<rss>\r\n")
        wire.reset()

    server.set("/feed", answer)
    assert refused(server.url("/feed")).reason == "truncated"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00\x01\x02\r\n\r\n",
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: mystery\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 40_000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_failure_like_any_other(server: WebServer, sent: bytes) -> None:
    server.set("/feed", lambda _, wire: wire.send(sent))
    error = refused(server.url("/feed"))
    assert error.reason in {"no-connection", "http-status"}


def test_headers_that_are_not_ascii_are_read(server: WebServer) -> None:
    def answer(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 302 Gefunden\r\nContent-Length: 0\r\n")
        wire.send("Location: /übersicht\r\nX-Latin: caf".encode() + b"\xe9\r\n\r\n")

    server.set("/feed", answer)
    server.set("/%C3%83%C2%BCbersicht", FEED)
    server.set("/%C3%BCbersicht", FEED)
    assert ask(server.url("/feed")).status == 200


def test_a_host_that_is_down_is_left_alone() -> None:
    with WebServer() as gone:
        url = gone.url("/feed")

    async def often(client: HttpClient) -> list[bool]:
        errors = [await outcome(client, f"{url}/{number}") for number in range(5)]
        return [isinstance(error, FetchError) and error.is_put_off for error in errors]

    assert with_client(often) == [False, False, False, True, True]


def test_an_answer_of_any_kind_shows_that_a_host_is_up(server: WebServer) -> None:
    def hang_up(_: Request, wire: Wire) -> None:
        """Give no answer at all."""

    closing = Answer(status=500, headers={"Connection": "close"})
    server.sequence("/feed", [hang_up, hang_up, closing, hang_up, hang_up, Answer(FEED)])

    async def often(client: HttpClient) -> list[int]:
        return [(await outcome(client, server.url("/feed"))).status for _ in range(6)]

    assert with_client(often) == [0, 0, 500, 0, 0, 200]


def test_a_host_is_not_asked_for_longer_than_its_time(server: WebServer) -> None:
    server.set("/feed", FEED)

    async def twice(client: HttpClient) -> list[Response | FetchError]:
        return [await outcome(client, server.url("/feed")) for _ in range(2)]

    first, second = with_client(twice, replace(SETTINGS, max_host_seconds=1e-9))
    assert isinstance(first, Response)
    assert isinstance(second, FetchError)
    assert (second.reason, second.is_put_off) == ("timeout", True)
    assert "the rest is put off" in second.message


# ── turns ───────────────────────────────────────────────────────────────────────────────────────


def test_no_host_is_asked_more_than_two_things_at_once() -> None:
    """Ten hosts, fifty URLs; each request is held until as many are in as will come."""
    with WebServers(10) as servers:
        gates = [server.hold() for server in servers]
        urls = [server.url(f"/{number}") for number in range(5) for server in servers]
        for server in servers:
            for number in range(5):
                server.set(f"/{number}", FEED)

        async def use(client: HttpClient) -> None:
            asked = [asyncio.create_task(client.get(url, now=NOON)) for url in urls]
            for gate in gates:
                await asyncio.to_thread(gate.wait_for, 2)
            for gate in gates:
                gate.release()
            await asyncio.gather(*asked)

        with_client(use)
        for server in servers:
            assert server.most_in_flight() == {server.authority: 2}
            assert len(server.log) == 5


def test_no_more_requests_than_the_limit_are_made_in_all(server: WebServer) -> None:
    gate = server.hold()
    urls = [server.url("/feed", host=f"host-{number}.example") for number in range(12)]

    async def use(client: HttpClient) -> None:
        asked = [asyncio.create_task(outcome(client, url)) for url in urls]
        await asyncio.to_thread(gate.wait_for, 3)
        gate.release()
        await asyncio.gather(*asked)

    with_client(use, replace(SETTINGS, requests_in_all=3))
    assert max(visit.in_flight_in_all for visit in server.log) == 3
    assert len(server.log) == 12


def test_those_who_wait_for_a_host_are_served_in_order(server: WebServer) -> None:
    async def use(client: HttpClient) -> None:
        await asyncio.gather(*(outcome(client, server.url(f"/{number}")) for number in range(20)))

    with_client(use, replace(SETTINGS, requests_per_host=1))
    assert server.paths == [f"/{number}" for number in range(20)]


def test_a_call_that_is_given_up_gives_its_place_back(server: WebServer) -> None:
    server.set("/feed", FEED)
    server.set("/slow", lambda _, wire: wire.wait_for_client_to_leave())

    async def use(client: HttpClient) -> int:
        slow = asyncio.create_task(client.get(server.url("/slow"), now=NOON))
        while "/slow" not in server.paths:
            await asyncio.sleep(0)
        slow.cancel()
        await asyncio.wait([slow])
        return (await client.get(server.url("/feed"), now=NOON)).status

    assert with_client(use, replace(SETTINGS, requests_per_host=1, requests_in_all=1)) == 200


# ── robots.txt ──────────────────────────────────────────────────────────────────────────────────


def robots(server: WebServer, text: str) -> None:
    server.set("/robots.txt", text, content_type="text/plain")


def test_feeds_are_polled_without_asking_the_robots_txt(server: WebServer) -> None:
    robots(server, "User-agent: *\nDisallow: /")
    server.set("/feed", FEED)
    assert ask(server.url("/feed")).status == 200
    assert server.paths == ["/feed"]


def test_a_page_that_the_robots_txt_denies_is_not_asked_for(server: WebServer) -> None:
    robots(server, "User-agent: newsbeam\nDisallow: /private")
    error = refused(server.url("/private/page"), obeys_robots=True)
    assert (error.reason, error.is_final, error.status) == ("robots", True, 0)
    assert server.paths == ["/robots.txt"]


def test_a_robots_txt_is_asked_for_once(server: WebServer) -> None:
    robots(server, "User-agent: *\nDisallow: /private")
    server.set("/page", FEED)

    async def often(client: HttpClient) -> None:
        url = server.url("/page")
        await asyncio.gather(*(client.get(url, now=NOON, obeys_robots=True) for _ in range(5)))

    with_client(often)
    assert server.paths == ["/robots.txt", *["/page"] * 5]


def test_the_robots_txt_of_every_hop_counts(server: WebServer) -> None:
    with WebServer() as other:
        robots(other, "User-agent: *\nDisallow: /")
        server.redirect("/page", other.url("/page"))
        error = refused(server.url("/page"), obeys_robots=True)
        assert (error.reason, error.url) == ("robots", other.url("/page"))
        assert other.paths == ["/robots.txt"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_site_without_a_robots_txt_denies_nothing(server: WebServer, status: int) -> None:
    server.set("/robots.txt", status=status)
    server.set("/page", FEED)
    assert ask(server.url("/page"), obeys_robots=True).status == 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_robots_txt_that_cannot_be_read_denies_all_for_now(
    server: WebServer, status: int
) -> None:
    server.set("/robots.txt", status=status)
    error = refused(server.url("/page"), obeys_robots=True)
    assert (error.reason, error.is_final, error.is_put_off) == ("robots", False, False)
    assert str(status) in error.message


def test_that_a_robots_txt_cannot_be_read_is_told_once(server: WebServer) -> None:
    server.set("/robots.txt", status=500)

    async def often(client: HttpClient) -> list[Response | FetchError]:
        urls = [server.url(f"/{number}") for number in range(5)]
        return await asyncio.gather(*(outcome(client, url, obeys_robots=True) for url in urls))

    errors = [error for error in with_client(often) if isinstance(error, FetchError)]
    assert [error.reason for error in errors] == ["robots"] * 5
    assert [error.is_put_off for error in errors] == [False, True, True, True, True]
    assert server.paths == ["/robots.txt"]


def test_a_slow_robots_txt_takes_of_the_time_of_a_call(server: WebServer) -> None:
    """Each in time, but not all of them."""
    hosts = [f"host-{number}.example" for number in range(4)]

    def allow_slowly(_: Request, __: Wire) -> Answer:
        threading.Event().wait(0.2)
        return Answer(b"")

    server.set("/robots.txt", allow_slowly)
    for host, following in pairwise(hosts):
        server.redirect("/page", server.url("/page", host=following), host=host)
    server.set("/page", FEED, host=hosts[-1])
    first = server.url("/page", host=hosts[0])
    settings = replace(SETTINGS, whole_seconds=0.5)
    error = with_client(lambda client: outcome(client, first, obeys_robots=True), settings)
    assert isinstance(error, FetchError)
    assert error.reason == "timeout"


def test_the_longest_known_rules_are_forgotten_when_they_are_too_many(server: WebServer) -> None:
    robots(server, "User-agent: *\nDisallow: /private\n" + ("#" * 999 + "\n") * 480)
    count = MAX_KEPT_ROBOTS_BYTES // 480_000 + 1
    hosts = [f"host-{number}.example" for number in range(count)]
    server.set("/page", FEED)

    async def use(client: HttpClient) -> None:
        for host in [*hosts, hosts[-1], hosts[0]]:
            await client.get(server.url("/page", host=host), now=NOON, obeys_robots=True)

    with_client(use)
    asked = [visit.host.partition(":")[0] for visit in server.visits("/robots.txt")]
    assert asked == [*hosts, hosts[0]]


def test_a_host_that_cannot_be_reached_denies_all_for_now() -> None:
    with WebServer() as gone:
        url = gone.url("/page")
    error = refused(url, obeys_robots=True)
    assert (error.reason, error.is_final, error.is_put_off) == ("no-connection", False, False)
    assert "robots.txt could not be read" in error.message
    assert error.url == url


def test_a_host_that_is_down_is_left_alone_whatever_its_robots_txt_would_say() -> None:
    with WebServer() as gone:
        url = gone.url("/page")

    async def often(client: HttpClient) -> list[tuple[str, bool]]:
        errors = [await outcome(client, url, obeys_robots=True) for _ in range(4)]
        return [(e.reason, e.is_put_off) for e in errors if isinstance(e, FetchError)]

    assert with_client(often) == [*[("no-connection", False)] * 3, ("no-connection", True)]


def test_a_robots_txt_may_be_elsewhere(server: WebServer) -> None:
    server.redirect("/robots.txt", "/rules")
    server.set("/rules", "User-agent: *\nDisallow: /page")
    assert refused(server.url("/page"), obeys_robots=True).is_final


def test_a_robots_txt_too_many_redirects_away_denies_nothing(server: WebServer) -> None:
    server.redirect("/robots.txt", "/0")
    for place in range(6):
        server.redirect(f"/{place}", f"/{place + 1}")
    server.set("/page", FEED)
    assert ask(server.url("/page"), obeys_robots=True).status == 200
    assert "/5" not in server.paths


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_very_long_robots_txt_is_read_up_to_a_point(
    server: WebServer, encoding: str | None
) -> None:
    text = "User-agent: *\nDisallow: /page\n" + "# more\n" * 200_000
    server.set("/robots.txt", text, encoding=encoding)
    assert refused(server.url("/page"), obeys_robots=True).reason == "robots"


def test_a_private_host_is_told_as_such_and_not_by_its_robots_txt(server: WebServer) -> None:
    error = refused(server.url("/page", host="news.example"), PUBLIC, obeys_robots=True)
    assert (error.reason, error.is_final) == ("forbidden-address", True)
    assert error.url.endswith("/page")


def test_a_crawl_delay_keeps_requests_apart_and_one_at_a_time(server: WebServer) -> None:
    robots(server, "User-agent: *\nCrawl-delay: 3600")
    server.set("/page", FEED)
    settings = replace(SETTINGS, max_crawl_delay_seconds=0.1)

    async def often(client: HttpClient) -> float:
        loop, url = asyncio.get_running_loop(), server.url("/page")
        started_at = loop.time()
        await asyncio.gather(*(client.get(url, now=NOON, obeys_robots=True) for _ in range(4)))
        return loop.time() - started_at

    # However slow the machine: the last three each wait for a delay after the one before.
    assert with_client(often, settings) >= 0.3
    assert [visit.in_flight for visit in server.visits("/page")] == [1, 1, 1, 1]


def test_what_a_crawl_delay_moves_beyond_a_hosts_time_is_put_off(server: WebServer) -> None:
    robots(server, "User-agent: *\nCrawl-delay: 20")
    server.set("/page", FEED)

    async def twice(client: HttpClient) -> list[Response | FetchError]:
        url = server.url("/page")
        return [await outcome(client, url, obeys_robots=True) for _ in range(2)]

    first, second = with_client(twice, replace(SETTINGS, max_host_seconds=10))
    assert isinstance(first, Response)
    assert isinstance(second, FetchError)
    assert second.is_put_off


# ── TLS and HTTP/2 ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_tls(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("news.example").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context


def test_a_server_is_verified_by_its_name_though_it_is_asked_by_number(
    authority: trustme.CA,
) -> None:
    with WebServer(tls=server_tls(authority, "http/1.1")) as server:
        server.set("/feed", FEED)

        async def both(client: HttpClient) -> list[Response | FetchError]:
            hosts = ("news.example", "other.example")
            return [await outcome(client, server.url("/feed", host=host)) for host in hosts]

        right, wrong = with_client(both, tls=client_tls(authority))
    assert isinstance(right, Response)
    assert isinstance(wrong, FetchError)
    assert wrong.reason == "no-connection"
    assert "certificate is not accepted (Hostname mismatch" in wrong.message


def test_a_name_with_a_dot_at_its_end_is_verified_without_it(authority: trustme.CA) -> None:
    with WebServer(tls=server_tls(authority, "http/1.1")) as server:
        server.set("/feed", FEED)
        url = server.url("/feed", host="news.example.")
        answer = with_client(lambda client: outcome(client, url), tls=client_tls(authority))
    assert isinstance(answer, Response)
    assert answer.url == server.url("/feed", host="news.example")


def test_a_server_of_an_unknown_authority_is_told(authority: trustme.CA) -> None:
    with WebServer(tls=server_tls(authority)) as server:
        error = refused(server.url("/feed", host="news.example"))
    assert (error.reason, error.is_final) == ("no-connection", False)
    assert "certificate is not accepted" in error.message


def test_a_server_that_speaks_no_tls_is_told(server: WebServer) -> None:
    error = refused(server.url("/feed").replace("http:", "https:"))
    assert (error.reason, error.is_final) == ("no-connection", False)


Serve = Callable[[h2.connection.H2Connection, h2.events.RequestReceived], None]


@contextmanager
def http2_server(authority: trustme.CA, serve: Serve) -> Iterator[WebServer]:
    """A server that speaks HTTP/2 with whoever connects; ``serve`` answers a request."""

    class Http2Server(WebServer):
        def _answer_one(self, number, connection, stream) -> bool:  # type: ignore[no-untyped-def]
            wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            wire.initiate_connection()
            connection.sendall(wire.data_to_send())
            # What comes after it has closed the connection itself is an error to it.
            with suppress(h2.exceptions.ProtocolError):
                while content := connection.recv(65_536):
                    for event in wire.receive_data(content):
                        if isinstance(event, h2.events.RequestReceived):
                            serve(wire, event)
                    connection.sendall(wire.data_to_send())
            return False

    with Http2Server(tls=server_tls(authority, "h2")) as server:
        yield server


def test_http_2_is_spoken_where_a_server_offers_it(authority: trustme.CA) -> None:
    seen: list[dict[bytes, bytes]] = []

    def serve(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
        seen.append(dict(event.headers))
        headers = [(":status", "200"), ("etag", '"2"'), ("content-type", "text/xml")]
        wire.send_headers(event.stream_id, headers)
        wire.send_data(event.stream_id, FEED, end_stream=True)

    with http2_server(authority, serve) as server:
        url = server.url("/feed", host="news.example")

        async def often(client: HttpClient) -> list[Response]:
            return [await client.get(url, now=NOON, headers=["X-Key: 1"]) for _ in range(3)]

        answers = with_client(often, tls=client_tls(authority))
        assert server.connections == 1
    assert [(answer.body, answer.etag) for answer in answers] == [(FEED, '"2"')] * 3
    assert (seen[0][b"x-key"], seen[0][b":path"]) == (b"1", b"/feed")


def test_a_body_given_up_over_http_2_does_not_stop_those_after_it(authority: trustme.CA) -> None:
    def serve(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
        is_large = dict(event.headers)[b":path"] == b"/large"
        wire.send_headers(event.stream_id, [(":status", "200")])
        for _ in range(60 if is_large else 1):
            wire.send_data(event.stream_id, bytes(1_000))
        wire.end_stream(event.stream_id)

    with http2_server(authority, serve) as server:

        async def use(client: HttpClient) -> list[Response | FetchError]:
            urls = [server.url(path, host="news.example") for path in ("/large", "/small")]
            return [await outcome(client, url, max_body_bytes=10_000) for url in urls]

        large, small = with_client(use, tls=client_tls(authority))
        assert server.connections == 2
    assert isinstance(large, FetchError)
    assert large.reason == "too-large"
    assert isinstance(small, Response)
    assert len(small.body) == 1_000


def test_what_becomes_of_a_request_over_http_2_does_not_touch_those_beside_it(
    authority: trustme.CA,
) -> None:
    has_come, may_be_answered = threading.Event(), threading.Event()

    def serve(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
        is_large = dict(event.headers)[b":path"] == b"/large"
        if not is_large:
            has_come.set()
            may_be_answered.wait(30)
        wire.send_headers(event.stream_id, [(":status", "404" if is_large else "200")])
        wire.send_data(event.stream_id, bytes(10_000), end_stream=not is_large)
        if is_large:
            wire.send_data(event.stream_id, bytes(10_000))

    with http2_server(authority, serve) as server:

        async def use(client: HttpClient) -> list[Response | FetchError]:
            url = server.url("/feed", host="news.example")
            feed = asyncio.create_task(outcome(client, url))
            await asyncio.to_thread(has_come.wait)
            large = await outcome(client, server.url("/large", host="news.example"))
            may_be_answered.set()
            return [await feed, large]

        hurried = replace(SETTINGS, read_seconds=10, whole_seconds=20)
        feed, large = with_client(use, hurried, tls=client_tls(authority))
    assert isinstance(feed, Response)
    assert isinstance(large, FetchError)
    assert large.status == 404


def test_a_short_error_over_http_2_leaves_its_connection_in_use(authority: trustme.CA) -> None:
    def serve(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
        wire.send_headers(event.stream_id, [(":status", "404")])
        wire.send_data(event.stream_id, b"not here", end_stream=True)

    with http2_server(authority, serve) as server:
        url = server.url("/feed", host="news.example")

        async def often(client: HttpClient) -> list[int]:
            return [(await outcome(client, url)).status for _ in range(3)]

        assert with_client(often, tls=client_tls(authority)) == [404] * 3
        assert server.connections == 1


def _go_away(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    wire.close_connection(error_code=1)


def _reset_stream(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    wire.reset_stream(event.stream_id)


def _reset_body(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    wire.send_headers(event.stream_id, [(":status", "200")])
    wire.send_data(event.stream_id, b"<rss>")
    wire.reset_stream(event.stream_id)


def _wrong_length(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    wire.send_headers(event.stream_id, [(":status", "200"), ("content-length", "9")])
    wire.send_data(event.stream_id, b"<rss>", end_stream=True)


def _no_status(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    wire.send_headers(event.stream_id, [(":status", "many")], end_stream=True)


def _large_headers(wire: h2.connection.H2Connection, event: h2.events.RequestReceived) -> None:
    headers = [(":status", "200"), *((f"x-{number}", "a" * 1_000) for number in range(90))]
    wire.send_headers(event.stream_id, headers, end_stream=True)


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (_go_away, "no-connection"),
        (_reset_stream, "no-connection"),
        (_reset_body, "truncated"),
        (_wrong_length, "no-connection"),
        (_no_status, "no-connection"),
        (_large_headers, "no-connection"),
    ],
)
def test_a_server_that_misbehaves_over_http_2_is_a_failure_like_any_other(
    authority: trustme.CA, serve: Serve, reason: str
) -> None:
    with http2_server(authority, serve) as server:
        url = server.url("/feed", host="news.example")
        error = with_client(lambda client: outcome(client, url), tls=client_tls(authority))
    assert isinstance(error, FetchError)
    assert error.reason == reason
