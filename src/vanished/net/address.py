"""Which addresses may be asked: public ones, and the networks that the operator allows.

In: a URL before a request, a socket address at the moment of connecting. Out: nothing, or a
refusal. The deciding check is `guarded_socket`: aiohttp hands it the very sockaddr that it then
connects to, for names, for literals (which no resolver ever sees) and on every hop, so a name
that resolves differently a moment later (DNS rebinding) gains nothing. Any port may be asked.

What it cannot do: where a proxy resolves the name (socks5h, http), no address is known here. Then
`refuse_for_remote` still refuses private literals and names that can only be local.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from yarl import URL

from vanished.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
SockAddr = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""What getaddrinfo gives and a connection is made to."""

# IANA special-purpose address registries (RFC 6890 and its updates), written out: the answer of
# `ipaddress.is_global` changed between patch releases of Python.
_DENIED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(text), why)
    for text, why in [
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    ]
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # the only global unicast there is; all else is denied
_DENIED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(text), why)
    for text, why in [
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
    ]
)
_NAMED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(text), why)
    for text, why in [
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private (ULA)"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    ]
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; 64:ff9b:1::/48 (RFC 8215) is local, so denied

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$")
_LOCAL_NAMES = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private",
    "home.arpa", "in-addr.arpa", "ip6.arpa",
)  # fmt: skip


class Denied(OSError):  # noqa: N818 - reads as what happened to the address
    """The address is not one we may ask. Stays in this room: the door makes it a Fault.REFUSED.

    An OSError, because that is what a connector expects of a connection that cannot be made; with
    EACCES, because all that it keeps of a name whose every address is denied is a common number.
    """

    def __init__(self, words: str) -> None:
        super().__init__(errno.EACCES, words)

    def __str__(self) -> str:
        return str(self.strerror)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks that `texts` name, such as "127.0.0.0/8". Raises ConfigError."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise ConfigError(
                f"allow_networks names {text!r}, which is no network ({error}); write it like"
                ' "127.0.0.0/8" or "fd00::/8".'
            ) from None
    return tuple(found)


def why_denied(address: Address, allowed: Sequence[Network] = ()) -> str:
    """Why `address` may not be asked, in a word ("loopback"); "" if it may."""
    if any(address.version == net.version and address in net for net in allowed):
        return ""
    if isinstance(address, IPv4Address):
        return next((why for net, why in _DENIED_V4 if address in net), "")
    inner = embedded(address)
    if inner:
        return next(filter(None, (why_denied(one, allowed) for one in inner)), "")
    if address not in _GLOBAL_V6:
        return next((why for net, why in _NAMED_V6 if address in net), "reserved")
    return next((why for net, why in _DENIED_V6 if address in net), "")


def embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that a packet to `address` may end up at: mapped, 6to4, NAT64, Teredo."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()


def guarded_socket(allowed: Sequence[Network]) -> Callable[[SockAddr], socket.socket]:
    """A socket factory for aiohttp's connector: it makes no socket for an address we may not ask.

    It raises Denied, on which the connector tries the name's next address, if there is one.
    """

    def make(info: SockAddr) -> socket.socket:
        family, kind, protocol, _, sockaddr = info
        check_address(sockaddr[0], allowed)
        return socket.socket(family, kind, protocol)

    return make


def check_address(text: str, allowed: Sequence[Network]) -> None:
    """Raises Denied if the literal `text` may not be asked, or is no literal address."""
    try:
        address = ip_address(text)
    except ValueError:
        raise Denied(f"{text[:80]!r} is no IP address") from None
    why = why_denied(address, allowed)
    if why:
        raise Denied(f"{address} is {why}; allow_networks does not name its network")


def checked_url(text: str | URL) -> URL:
    """The URL of `text`, for http and https and a host that is a name or a canonical address.

    User name and password of the URL are dropped: a public page needs none, and they must not
    end up in the facts. Raises Denied.
    """
    try:
        url = URL(text) if isinstance(text, str) else text
        host, port = url.raw_host, url.port
    except ValueError:
        raise Denied("that is no URL that can be read") from None
    if url.scheme not in ("http", "https"):
        raise Denied(f"the scheme is {url.scheme[:20] or 'missing'}; only http and https are asked")
    if not host or port == 0:
        raise Denied("the URL names no host and port that can be asked")
    why = "" if ":" in host else _why_no_name(host)
    if why:
        raise Denied(why)
    return url if url.raw_user is None and url.raw_password is None else url.with_user(None)


@lru_cache(maxsize=4096)
def _why_no_name(host: str) -> str:
    """Why `host` is neither a name nor a canonical IPv4 address; "" if it is one of them."""
    if not _HOST.fullmatch(host):
        return f"{host[:80]!r} is no host name"
    # Any host whose last label is a number is an IPv4 address to some resolver (WHATWG URL,
    # "ends in a number checker"): 127.1, 0x7f.1, 2130706433, "127.0.0.1.".
    if _ENDS_IN_NUMBER.search(host) and not _is_canonical_v4(host):
        return f"{host[:80]!r} is an odd way to write an address; write it as 192.0.2.1"
    return ""


def _is_canonical_v4(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def refuse_for_remote(host: str, allowed: Sequence[Network]) -> None:
    """Raises Denied for a host that a proxy must not be asked to reach for us.

    All that can be checked of a name that is resolved elsewhere: literal addresses, names without
    a dot, and the names that are local by convention (RFC 6761, RFC 6762, RFC 8375).
    """
    if ":" in host or _is_canonical_v4(host):
        check_address(host.replace("%25", "%"), allowed)
        return
    name = host.rstrip(".")
    if "." not in name or any(name == end or name.endswith(f".{end}") for end in _LOCAL_NAMES):
        raise Denied(f"{host[:80]!r} is a local name, and the proxy would resolve it")


def host_of(url: str | URL) -> str:
    """The host whose budget a request to `url` spends, in the form the wire has it; "" if none."""
    try:
        host = (URL(url) if isinstance(url, str) else url).raw_host
    except ValueError:
        return ""
    return (host or "").rstrip(".")
