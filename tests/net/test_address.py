"""Addresses: an observer that can be talked into asking its own network is a weapon."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from vanished.errors import ConfigError
from vanished.net.address import (
    Denied,
    checked_url,
    guarded_socket,
    host_of,
    networks,
    refuse_for_remote,
    why_denied,
)

NON_PUBLIC = [
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("10.0.0.1", "private"),
    ("100.64.0.1", "shared (CGNAT)"),
    ("100.127.255.255", "shared (CGNAT)"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "link-local"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.192", "reserved"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.251", "multicast"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("fd00::1", "private (ULA)"),
    ("fe80::1", "link-local"),
    ("fec0::1", "reserved"),
    ("ff02::1", "multicast"),
    ("100::1", "reserved"),
    ("2001:db8::1", "documentation"),
    ("2001:10::1", "reserved"),
    ("::127.0.0.1", "reserved"),
]
EMBEDDINGS = ["::ffff:{0}", "64:ff9b::{0}"]
PUBLIC = ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "9.9.9.9", "2606:4700::1111"]


@pytest.mark.parametrize(("text", "why"), NON_PUBLIC)
def test_no_address_that_is_not_public_is_asked(text: str, why: str) -> None:
    assert why_denied(ip_address(text)) == why


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_asked(text: str) -> None:
    assert why_denied(ip_address(text)) == ""


def wrapped(inner: IPv4Address) -> list[IPv6Address]:
    """Every IPv6 address by which a packet can end up at `inner`."""
    number = int(inner)
    return [
        *(IPv6Address(form.format(inner)) for form in EMBEDDINGS),
        IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
        # Teredo: the server (here a public one) and the client's address, inverted.
        IPv6Address((0x20010000 << 96) | (0x01010101 << 64) | (number ^ 0xFFFFFFFF)),
        IPv6Address((0x20010000 << 96) | (number << 64) | (0x01010101 ^ 0xFFFFFFFF)),
    ]


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_like_the_bare_one(inner: IPv4Address) -> None:
    for outer in wrapped(inner):
        assert why_denied(outer) == why_denied(inner), outer
        assert why_denied(outer, networks(["0.0.0.0/0"])) == ""


@given(st.ip_addresses(v=6))
def test_only_global_unicast_and_embeddings_pass(address: IPv6Address) -> None:
    if why_denied(address) == "":
        embedding = address.ipv4_mapped or str(address).startswith("64:ff9b::")
        assert embedding or address in networks(["2000::/3"])[0]
        assert not address.is_multicast
        assert not address.is_link_local


def test_the_allow_list_opens_its_networks_and_no_others() -> None:
    allowed = networks(["127.0.0.0/8", "fd00::/8"])
    for text in ("127.0.0.1", "::ffff:127.0.0.1", "fd12::1"):
        assert why_denied(ip_address(text), allowed) == ""
    for text in ("10.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254"):
        assert why_denied(ip_address(text), allowed)


def test_a_network_that_is_none_is_said_so() -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1/8"):
        networks(["10.0.0.1/8"])


@pytest.mark.parametrize(
    "text",
    [
        "http://2130706433/",
        "http://127.1/",
        "http://0/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://0X7F.0.0.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1./",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://example.1/",
        "http://127.0.0.1%00.example/",
        "http://ex%61mple.org/",
        "http://a b/",
        "http://a..b/",
        "http://.a/",
        "http:///x",
        "http://[::1",
        "http://h:99999/",
        "http://h:0/",
        "http:/h/",
        "//h/x",
        "",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "javascript:alert(1)",
    ],
)
def test_odd_urls_are_refused_before_anything_resolves_them(text: str) -> None:
    with pytest.raises(Denied):
        checked_url(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://example.org/a?b=%2F", "example.org"),
        ("HTTPS://EXAMPLE.ORG:8443/", "example.org"),
        ("http://example.org./", "example.org."),
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://１２７.0.0.1/", "127.0.0.1"),  # what the wire sees, checked when connecting
        ("http://[::ffff:127.0.0.1]/", "::ffff:7f00:1"),
        ("http://例え.example/", "xn--r8jz45g.example"),
        ("http://_dmarc.x-y.example/", "_dmarc.x-y.example"),
        ("http://0x.example/", "0x.example"),
    ],
)
def test_ordinary_urls_pass(text: str, host: str) -> None:
    assert checked_url(text).raw_host == host


def test_user_and_password_of_a_url_are_dropped() -> None:
    assert str(checked_url("http://user:secret@example.org/@x")) == "http://example.org/@x"
    assert str(checked_url("http://:secret@example.org/")) == "http://example.org/"


@given(st.text(max_size=40))
def test_no_text_makes_the_check_fail_in_another_way(text: str) -> None:
    for url in (text, f"http://{text}/", f"http://h/{text}"):
        try:
            assert checked_url(url).scheme in ("http", "https")
        except Denied:
            continue
        finally:
            host_of(url)


def test_the_socket_factory_makes_no_socket_for_a_denied_address() -> None:
    import socket

    make = guarded_socket(networks(["127.0.0.2/32"]))
    with pytest.raises(Denied, match="loopback"):
        make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80)))
    with pytest.raises(Denied, match="no IP address"):
        make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("localhost", 80)))
    make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.2", 80))).close()


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "db.localhost", "router", "printer.local", "vault.internal",
     "nas.home.arpa", "127.0.0.1", "::1", "::ffff:7f00:1", "fe80::1%25eth0", "10.1.2.3"],
)  # fmt: skip
def test_a_proxy_is_not_asked_for_what_is_local_to_it(host: str) -> None:
    with pytest.raises(Denied):
        refuse_for_remote(host, ())


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example", "x.onion", "1.1.1.1", "notlocal.example"]
)
def test_a_proxy_is_asked_for_public_names(host: str) -> None:
    refuse_for_remote(host, ())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.ORG:8443/x", "example.org"),
        ("https://example.org./x", "example.org"),
        ("https://例え.example/", "xn--r8jz45g.example"),
        ("http://[::1]:80/", "::1"),
        ("http://h:99999/", ""),
        ("nonsense", ""),
    ],
)
def test_spellings_of_a_host_share_one_budget(url: str, host: str) -> None:
    assert host_of(url) == host
    if host:
        assert host_of(URL(url)) == host
