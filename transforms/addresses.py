"""Where no request may go: this machine, its network, and what is not the public web.

A URL, or an address that a name resolved to → whether it may be asked, and if not, why. A name is
checked twice: as it is written here, and by the address that is connected to, which is the one
that counts (``transforms.connections``).

What is refused follows the IANA registries of special-purpose addresses (RFC 6890) for IPv4; of
IPv6, all but global unicast (RFC 4291, 2.4). An IPv4 address that stands within one of IPv6
(mapped, NAT64, 6to4 …) is judged for itself.

    >>> forbidden_address("169.254.169.254")
    'link-local, where clouds keep their metadata'
    >>> forbidden_address("::ffff:10.0.0.1")
    '10.0.0.1 is private'
    >>> forbidden_address("93.184.215.14")
    >>> check_url("https://News.Example:443/feed#top").url
    'https://news.example/feed'
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin

import httpx

MAX_URL_CHARS = 8_192
"""Longer ones are refused: RFC 9110, 4.1, asks for 8,000 octets to be understood."""

_FORBIDDEN_V4 = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this machine"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by the customers of a provider, and private"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "where a cloud keeps its metadata"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation only"),
        ("192.88.99.0/24", "reserved for relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for tests of networks only"),
        ("198.51.100.0/24", "for documentation only"),
        ("203.0.113.0/24", "for documentation only"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_FORBIDDEN_V6 = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "this machine"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "for translation within a network"),
        ("2001:db8::/32", "for documentation only"),
        ("2001::/23", "reserved for protocols"),
        ("3fff::/20", "for documentation only"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_EMBEDDED_V4 = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::/96", 0),  # compatible (RFC 4291, 2.5.5.1)
        ("::ffff:0:0/96", 0),  # mapped (2.5.5.2)
        ("::ffff:0:0:0/96", 0),  # translated (RFC 2765)
        ("64:ff9b::/96", 0),  # NAT64 (RFC 6052)
        ("2002::/16", 80),  # 6to4 (RFC 3056)
    )
)
"""Networks whose addresses hold one of IPv4, and how many bits are to its right."""
_OWN_NAME = re.compile(r"(?:.*\.)?localhost", re.IGNORECASE)
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_-])?", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What stands for itself, escaped or not (RFC 3986, 2.3)."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
_MAX_SHOWN_CHARS = 200


class ForbiddenAddress(ValueError):  # noqa: N818 - it is what the address is
    """No request may go there; the message says where and why."""


@dataclass(frozen=True)
class CheckedUrl:
    """A URL that may be asked, as far as it can be told from how it is written."""

    url: str
    """The one spelling of its address (RFC 3986, 6.2): in ASCII, with a path, without a default
    port, a trailing dot of the host, or a fragment; escapes only where needed, in upper case."""
    scheme: str
    """``http`` or ``https``."""
    host: str
    """In lower case and ASCII, without a trailing dot; an address in its usual spelling, that of
    IPv6 without brackets."""
    port: int
    request_target: str = field(compare=False)
    """Path and query as they are asked for: escapes are as they were written, because there are
    servers to which ``%e2`` and ``%E2`` are two pages."""

    @property
    def authority(self) -> str:
        """``host:port``, whatever the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def asked_url(self) -> str:
        """``url``, but for path and query, which are as they are asked for."""
        return f"{_site(self.scheme, self.host, self.port)}{self.request_target}"

    @property
    def origin(self) -> str:
        """``scheme://host:port``."""
        return f"{self.scheme}://{self.authority}"


def check_url(
    url: str, *, base: str | None = None, allow_private_hosts: bool = False
) -> CheckedUrl:
    """Read a URL as it would be sent, or say why it cannot be.

    Args:
        url: as a user, a feed or a redirect has it.
        base: what it is relative to, itself a URL.
        allow_private_hosts: do not look at the host, if it is one at all.

    Raises:
        ForbiddenAddress: its scheme is not http or https, it names a user, its host or port cannot
            be, or its host is an address or a name that no request may go to.
    """
    parsed = _parse(url, base)
    if parsed.scheme not in _DEFAULT_PORTS:
        scheme = parsed.scheme or "no scheme"
        raise ForbiddenAddress(f"{_shown(url)} is neither http nor https, but {scheme[:20]}")
    # Not repeated in the message: it may hold a password.
    if parsed.userinfo:
        raise ForbiddenAddress(
            f"a URL at {_shown(_ascii_host(parsed))} names a user before the host, "
            f"which belongs into a header"
        )
    port = _DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
    if not 0 < port <= _MAX_PORT:
        raise ForbiddenAddress(f"{_shown(url)} has the port {port}, which cannot be")
    host = _checked_host(_ascii_host(parsed).rstrip("."), url, allow_private_hosts)
    target = parsed.raw_path.decode("ascii")
    site = _site(parsed.scheme, host, port)
    # Read once more: an escaped dot may have made a segment that leads elsewhere (6.2.2.3).
    path = httpx.URL(site + _ESCAPE.sub(_unescaped, target)).raw_path.decode("ascii")
    return CheckedUrl(site + path, parsed.scheme, host, port, target)


def authority_of(url: str) -> str:
    """``host:port`` of a URL, as turns are kept by; empty if it cannot be asked at all."""
    try:
        return check_url(url, allow_private_hosts=True).authority
    except ForbiddenAddress:
        return ""


def may_share_secrets(own: str, url: str) -> bool:
    """Whether what is meant for the host of one URL may be sent to another.

    Args:
        own: the URL that it is meant for.
        url: where it would be sent: allowed are the same scheme, host and port, and, from the
            usual port of http, that of https on the same host.
    """
    try:
        first = check_url(own, allow_private_hosts=True)
        second = check_url(url, allow_private_hosts=True)
    except ForbiddenAddress:
        return False
    if first.host != second.host:
        return False
    ports = (first.scheme, first.port), (second.scheme, second.port)
    return ports[0] == ports[1] or ports == (("http", 80), ("https", 443))


def forbidden_address(ip: str) -> str | None:
    """Why no request may go to an IP address, or None if one may.

    Args:
        ip: of IPv4 in four decimal numbers, or of IPv6, with or without a zone.

    Raises:
        ValueError: it is no address.
    """
    address = ip_address(ip.partition("%")[0])
    if isinstance(address, IPv4Address):
        return _forbidden_v4(address)
    for network, why in _FORBIDDEN_V6:
        if address in network:
            return why
    for network, shift in _EMBEDDED_V4:
        if address in network:
            inner = IPv4Address(int(address) >> shift & 0xFFFFFFFF)
            why_inner = _forbidden_v4(inner)
            return f"{inner} is {why_inner}" if why_inner else None
    return None if address in _GLOBAL_UNICAST else "reserved"


def literal_address(host: str) -> str | None:
    """The IP address that a host is written as, in its usual spelling; None for a name.

    Of IPv4, all spellings count that name resolution takes (``inet_aton``): ``127.1``,
    ``0x7f000001``, ``017700000001``, ``2130706433``.

    Raises:
        ValueError: it ends in a number, as no name does, but is no address.
    """
    if ":" in host:
        return str(IPv6Address(host.partition("%")[0]))
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError as error:
        raise ValueError(f"{host!r} ends in a number, but is no IPv4 address") from error


def _forbidden_v4(address: IPv4Address) -> str | None:
    return next((why for network, why in _FORBIDDEN_V4 if address in network), None)


def _parse(url: str, base: str | None) -> httpx.URL:
    stripped = url.strip()
    if len(stripped) > MAX_URL_CHARS:
        raise ForbiddenAddress(
            f"{_shown(url)} has {len(stripped)} characters, over the limit of {MAX_URL_CHARS}"
        )
    try:
        # As the client will read it: two readings of one URL are how such checks are passed by.
        joined = urljoin(base, stripped) if base else stripped
        return httpx.URL(joined).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: brackets, surrogates
        raise ForbiddenAddress(
            f"{_shown(url)} is no URL: {error}"[: 2 * _MAX_SHOWN_CHARS]
        ) from None


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _site(scheme: str, host: str, port: int) -> str:
    """What a URL begins with, in its usual spelling."""
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{shown_host}{shown_port}"


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _checked_host(host: str, url: str, allow_private_hosts: bool) -> str:
    """A host in its usual spelling.

    Raises:
        ForbiddenAddress: it is none, or not to be asked.
    """
    try:
        literal = literal_address(host)
    except ValueError as error:
        raise ForbiddenAddress(f"{_shown(url)} has no host: {error}") from None
    if literal is None and (not _HOST_NAME.fullmatch(host) or ".." in host):
        raise ForbiddenAddress(f"{_shown(url)} has no host that could be, but {host[:80]!r}")
    if allow_private_hosts:
        return literal or host
    if literal is not None and (why := forbidden_address(literal)):
        raise ForbiddenAddress(f"{_shown(url)} leads to {literal}, which is {why}")
    if _OWN_NAME.fullmatch(host):
        raise ForbiddenAddress(f"{_shown(url)} leads to this machine")
    return literal or host


def _shown(url: str) -> str:
    """A URL for a message: not too long, without line ends, and without what may be a password."""
    shown = re.sub(r"//[^/?#]*@", "//", url.strip())
    return repr(shown[:_MAX_SHOWN_CHARS])[1:-1]
