"""The addresses of this machine and of its resolver, without sending a packet.

In: nothing, or the files of another system for a test. Out: an `Own` for `reach.scrub`. Which
address the world sees behind a NAT is not known here: the control says it, or the user does.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from vanished.reach.own import Own

RESOLV_CONF = Path("/etc/resolv.conf")
IF_INET6 = Path("/proc/net/if_inet6")

PUBLIC_RESOLVERS = frozenset(
    [
        "1.1.1.1",
        "1.0.0.1",
        "8.8.8.8",
        "8.8.4.4",
        "9.9.9.9",
        "9.9.9.10",
        "149.112.112.112",
        "208.67.222.222",
        "208.67.220.220",
        "94.140.14.14",
        "94.140.15.15",
        "223.5.5.5",
        "119.29.29.29",
        "114.114.114.114",
        "77.88.8.8",
        "2606:4700:4700::1111",
        "2606:4700:4700::1001",
        "2001:4860:4860::8888",
        "2001:4860:4860::8844",
        "2620:fe::fe",
        "2620:fe::10",
    ]
)
"""Resolvers that anybody uses, so that their addresses say nothing of the volunteer."""

_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation: connecting a datagram socket to one sends nothing."""


def own_here(
    seen: Iterable[str] = (),
    secrets: Iterable[str] = (),
    resolv_conf: Path = RESOLV_CONF,
    if_inet6: Path = IF_INET6,
) -> Own:
    """What is this machine's, with addresses `seen` by others and `secrets` of the settings."""
    resolvers = [one for one in nameservers(resolv_conf) if one not in PUBLIC_RESOLVERS]
    return Own.of([*addresses(if_inet6), *seen], resolvers, [socket.gethostname()], secrets)


def addresses(if_inet6: Path = IF_INET6) -> list[str]:
    """The addresses of this machine's interfaces, as far as the system tells without asking."""
    found: list[str] = []
    for family, somewhere in _SOMEWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((somewhere, 9))
            found.append(str(one.getsockname()[0]))
    with contextlib.suppress(OSError):
        lines = if_inet6.read_text(encoding="ascii").splitlines()
        found += [str(ip_address(bytes.fromhex(line.split()[0]))) for line in lines]
    with contextlib.suppress(OSError):
        for _, name in socket.if_nameindex():
            found += _interface_v4(name)
    return list(dict.fromkeys(one for one in found if not ip_address(one).is_loopback))


def _interface_v4(name: str) -> list[str]:
    """The IPv4 address of an interface (Linux: SIOCGIFADDR); [] where it has none."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        held = fcntl.ioctl(one.fileno(), 0x8915, name.encode()[:15].ljust(256, b"\0"))
        return [socket.inet_ntoa(held[20:24])]
    return []


def nameservers(resolv_conf: Path = RESOLV_CONF) -> list[str]:
    """The resolvers that the system asks (resolv.conf(5)), without zones; [] if none is named."""
    found = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in resolv_conf.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                with contextlib.suppress(ValueError):
                    found.append(str(ip_address(words[1].split("%")[0])))
    return found
