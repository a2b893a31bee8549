"""No request goes to this machine, its network, or anything but the public web."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.addresses import (
    ForbiddenAddress,
    authority_of,
    check_url,
    forbidden_address,
    literal_address,
    may_share_secrets,
)

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "3fff::1",
    "4000::1",
    "64:ff9b:1::1",
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]


@pytest.mark.parametrize("ip", PRIVATE)
def test_an_address_that_is_not_of_the_public_internet_is_refused(ip: str) -> None:
    assert forbidden_address(ip)


@pytest.mark.parametrize("ip", PUBLIC)
def test_an_address_of_the_public_internet_is_not(ip: str) -> None:
    assert forbidden_address(ip) is None


EMBEDDINGS = {
    "compatible": lambda v4: v4,
    "mapped": lambda v4: 0xFFFF << 32 | v4,
    "translated": lambda v4: 0xFFFF << 48 | v4,
    "nat64": lambda v4: 0x64FF9B << 96 | v4,
    "6to4": lambda v4: 0x2002 << 112 | v4 << 80,
}


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@given(v4=st.ip_addresses(v=4).filter(lambda address: int(address) > 0xFFFF))
def test_an_ipv4_address_within_one_of_ipv6_is_judged_for_itself(
    embedding: str, v4: IPv4Address
) -> None:
    within = IPv6Address(EMBEDDINGS[embedding](int(v4)))
    assert (forbidden_address(str(within)) is None) == (forbidden_address(str(v4)) is None)


@given(st.ip_addresses())
def test_what_python_knows_not_to_be_global_is_refused(
    address: IPv4Address | IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast:
        # Of embedded addresses, Python judges the network instead of what stands in it.
        assert forbidden_address(str(address)) or str(address).startswith(("64:ff9b::", "2002:"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST.",
        "www.localhost",
        "169.254.169.254",
        "0",
        "0.0.0.0",
    ],
)
def test_no_spelling_of_a_private_host_passes(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://news.example/feed",
        "file:///etc/passwd",
        "gopher://news.example/",
        "javascript:alert(1)",
        "data:text/plain,feed",
        "unix:/run/docker.sock",
        "//news.example/feed",
        "/feed",
        "feed",
        "",
        "http://",
        "http:///feed",
        "http://news.example:0/",
        "http://news.example:65536/",
        "http://news.example:port/",
        "http://news..example/",
        "http://-news.example/",
        "http://news.example\\@10.0.0.1/",
        "http://news.exa mple/",
        "http://news.example/\r\nHost: other",
        "http://news%2eexample/",
        "http://[::1/",
        "http://[v1.fe80]/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://news.0x1f/",
        "http://１２７.0.0.1/",
        "http://xn--a\ud800.example/",
        "http://news.example/" + "a" * 9_000,
    ],
)
def test_what_is_no_url_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(url)
    with pytest.raises(ForbiddenAddress):
        check_url(url, allow_private_hosts=True)


def test_a_url_that_names_a_user_is_refused_and_the_password_not_repeated() -> None:
    with pytest.raises(ForbiddenAddress, match="names a user") as caught:
        check_url("http://reader:secret@news.example/")
    assert "secret" not in str(caught.value)


def test_a_url_is_brought_into_its_usual_form() -> None:
    checked = check_url("  HTTPS://News.Example:443/a b?q=ä#top ")
    assert checked.url == "https://news.example/a%20b?q=%C3%A4"
    assert checked.authority == "news.example:443"
    assert checked.origin == "https://news.example:443"


def test_a_name_in_other_letters_becomes_ascii() -> None:
    checked = check_url("http://zürich.example/")
    assert (checked.host, checked.url) == ("xn--zrich-kva.example", "http://xn--zrich-kva.example/")


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("/feed", "https://news.example/feed"),
        ("feed", "https://news.example/a/feed"),
        ("//other.example/feed", "https://other.example/feed"),
        ("http://other.example", "http://other.example/"),
        ("?page=2", "https://news.example/a/b?page=2"),
    ],
)
def test_a_redirect_may_be_relative(link: str, leads_to: str) -> None:
    assert check_url(link, base="https://news.example/a/b").url == leads_to


def test_an_ipv6_address_keeps_its_brackets() -> None:
    checked = check_url("http://[2606:4700::1111]/feed")
    assert (checked.host, checked.authority) == ("2606:4700::1111", "[2606:4700::1111]:80")


def test_private_hosts_may_be_allowed() -> None:
    checked = check_url("http://127.1:8080/feed", allow_private_hosts=True)
    assert checked.authority == "127.0.0.1:8080"


@pytest.mark.parametrize(
    "spelling",
    [
        "https://news.example:443/~a/b%2Fc?q=%C3%A4",
        "HTTPS://NEWS.example./~a/b%2Fc?q=ä",
        "https://news.example/%7Ea/b%2fc?q=%c3%a4#top",
        " https://news.example/x/../%7ea/./b%2Fc?q=%C3%A4 ",
        "https://news.example/x/%2e%2E/%7ea/b%2Fc?q=%C3%A4",
    ],
)
def test_an_address_has_one_spelling(spelling: str) -> None:
    assert check_url(spelling).url == "https://news.example/~a/b%2Fc?q=%C3%A4"


@given(path=st.text(max_size=20), query=st.text(max_size=20))
def test_an_address_has_one_spelling_however_much_of_it_is_escaped(path: str, query: str) -> None:
    def everything(text: str) -> str:
        return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))

    def as_needed(text: str) -> str:
        return quote(text.encode("utf-8", "replace"), safe="")

    site = "http://news.example"
    escaped = check_url(f"{site}/{everything(path)}?{everything(query)}")
    plain = check_url(f"{site}/{as_needed(path)}?{as_needed(query)}")
    assert escaped.url == plain.url
    assert check_url(escaped.url).url == escaped.url


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://news.example/a", "https://news.example/a"),
        ("http://news.example/a", "http://news.example/a/"),
        ("http://news.example/a", "http://news.example/a;b"),
        ("http://news.example/a", "http://news.example/a?"),
        ("http://news.example/a/b", "http://news.example/a%2Fb"),
        ("http://news.example/a?b=c&d", "http://news.example/a?b=c%26d"),
        ("http://news.example/a", "http://news.example:8080/a"),
    ],
)
def test_other_addresses_have_another(first: str, second: str) -> None:
    assert check_url(first).url != check_url(second).url


def test_a_page_is_asked_for_as_its_address_was_written() -> None:
    checked = check_url("https://news.example/%e2%7E;v=1?")
    assert checked.request_target == "/%e2%7E;v=1?"
    assert checked.asked_url == "https://news.example/%e2%7E;v=1?"
    assert checked.url == "https://news.example/%E2~;v=1?"


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://News.Example./a", "news.example:443"),
        ("http://zürich.example", "xn--zrich-kva.example:80"),
        ("http://127.1:8080/", "127.0.0.1:8080"),
        ("http://[::0001]/", "[::1]:80"),
        ("ftp://news.example/", ""),
        ("http://[", ""),
    ],
)
def test_turns_are_kept_by_host_and_port(url: str, authority: str) -> None:
    assert authority_of(url) == authority


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("http://news.example/other", True),
        ("http://NEWS.example.:80/", True),
        ("https://news.example/", True),
        ("https://news.example:8443/", False),
        ("http://news.example:8080/", False),
        ("http://www.news.example/", False),
        ("ftp://news.example/", False),
    ],
)
def test_a_secret_goes_to_its_own_host_only(url: str, may: bool) -> None:
    assert may_share_secrets("http://news.example/feed", url) == may


def test_a_secret_does_not_go_from_tls_to_none() -> None:
    assert not may_share_secrets("https://news.example/", "http://news.example/")
    assert not may_share_secrets("nothing", "nothing")


def test_a_name_is_no_literal_address() -> None:
    assert literal_address("news.example") is None
    assert literal_address("127.1") == "127.0.0.1"
    assert literal_address("::FFFF:1") == "::ffff:1"


@given(st.text(max_size=80))
def test_no_text_makes_the_check_fail(text: str) -> None:
    for url in (text, f"http://{text}", f"http://news.example/{text}"):
        with suppress(ForbiddenAddress):
            checked = check_url(url)
            assert checked.url.isascii()
            again = check_url(checked.url)
            assert (again, again.url) == (checked, checked.url)
            assert authority_of(checked.url) == checked.authority
