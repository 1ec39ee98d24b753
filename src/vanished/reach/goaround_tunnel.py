"""VPNs without touching this machine's routes: the tunnel stands in a network of its own.

In: an OpenVPN or WireGuard go-around. Out: a local SOCKS proxy whose far side is the tunnel. The
VPN's own program runs here and sends its packets as it always does; its link is then moved into a
new network namespace, in which a small proxy (`tunnel_proxy`) stands that listens out here. Needs
Linux and root; without it, UsageError.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from vanished.errors import UsageError
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_client import LOCAL, Carrying, Child, NoWayError, Step

_DONE: Final = "Initialization Sequence Completed"
_PUSHED: Final = re.compile(r"[,']ifconfig (\S+?) ([0-9.]+)[,']")
_SHAKEN_S: Final = 0.2


@contextlib.asynccontextmanager
async def tunnel_carrying(
    found: GoAround, folder: Path, port: int, limit_s: float, own: Carrying
) -> AsyncIterator[None]:
    """Bring the tunnel up; `own` gets its proxy and whether the handshake was seen."""
    if os.geteuid() != 0:
        raise UsageError(
            f"The go-around '{found.name}' is a tunnel, which only root can make; run as root, or"
            " leave it out."
        )
    own.handshake = False
    link = f"vanished{secrets.token_hex(3)}"
    begun: list[Child] = []
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((LOCAL, port))
        door.listen(64)
        os.set_inheritable(door.fileno(), True)
        try:
            argv = ["unshare", "--net", "--", sys.executable, "-m", "vanished.reach.tunnel_proxy"]
            argv += [str(door.fileno()), found.text("dns")]
            inside = Child(argv, folder / "proxy.log", fds=[door.fileno()], talks=True)
            begun.append(inside)
            await inside.until(Step((), line="ready"), 10.0)
            up = _openvpn if found.kind == "openvpn" else _wireguard
            address = await up(found, folder, link, limit_s, begun, inside)
            own.handshake = True
            if found.kind == "openvpn":
                await _moved(link, address, inside, folder)
            own.proxy = f"socks5h://{LOCAL}:{port}"
            yield
        finally:
            for child in reversed(begun):
                await child.end()


async def _openvpn(
    found: GoAround, folder: Path, link: str, limit_s: float, begun: list[Child], inside: Child
) -> str:
    """Shake hands; the address that the server gave."""
    del inside
    argv = ["openvpn"]
    if found.text("config"):
        argv += ["--config", found.text("config")]
    else:
        file = found.text("certificate")
        argv += ["--client", "--nobind", "--cert", file, "--key", file]
        argv += ["--peer-fingerprint", found.text("peer_fingerprint")]
        argv += ["--proto", found.text("protocol", "udp")]
        argv += ["--remote", found.server, str(found.port)]
    argv += ["--dev", link, "--dev-type", "tun", "--ifconfig-noexec", "--route-noexec"]
    argv += ["--verb", "3", "--auth-nocache", "--script-security", "1"]
    client = Child(argv, folder / "openvpn.log")
    begun.append(client)
    await client.until(Step((), line=_DONE), limit_s)
    pushed = _PUSHED.search(client.said())
    if pushed is None:
        raise NoWayError("the server gave no address")
    first, second = pushed.groups()
    subnet = second.startswith("255.")
    return f"{first}/{ip_network(f'0.0.0.0/{second}').prefixlen}" if subnet else f"{first}/32"


async def _wireguard(
    found: GoAround, folder: Path, link: str, limit_s: float, begun: list[Child], inside: Child
) -> str:
    """Shake hands, which WireGuard does as soon as its link is up and has something to send."""
    file, address = folder / "wireguard.conf", found.text("address")
    lines = f"[Interface]\nPrivateKey = {found.text('private_key')}\n[Peer]\n"
    lines += f"PublicKey = {found.text('public_key')}\nEndpoint = {found.server}:{found.port}\n"
    lines += "AllowedIPs = 0.0.0.0/0, ::/0\nPersistentKeepalive = 5\n"
    if found.text("preshared_key"):
        lines += f"PresharedKey = {found.text('preshared_key')}\n"
    file.write_text(lines)
    env = {"LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
    client = Child(["wireguard-go", "-f", link], folder / "wireguard.log", env)
    begun.append(client)
    ends = time.monotonic() + limit_s
    while not Path(f"/var/run/wireguard/{link}.sock").exists():
        if client.process.poll() is not None or time.monotonic() > ends:
            raise NoWayError(" ".join(client.said().split())[-300:])
        await asyncio.sleep(0.05)
    await _do(["wg", "setconf", link, str(file)], folder)
    await _moved(link, address, inside, folder)
    while not await _shaken(link, folder):
        if time.monotonic() > ends:
            raise NoWayError("no handshake")
        await asyncio.sleep(_SHAKEN_S)
    return address


async def _shaken(link: str, folder: Path) -> bool:
    said = await _do(["wg", "show", link, "latest-handshakes"], folder)
    return any(word.isdigit() and int(word) > 0 for word in said.split()[1:])


async def _moved(link: str, address: str, inside: Child, folder: Path) -> None:
    """Move the link into the proxy's network, and have it furnished there."""
    await _do(["ip", "link", "set", "dev", link, "netns", str(inside.process.pid)], folder)
    told = json.dumps({"link": link, "address": address}) + "\n"
    assert inside.process.stdin is not None
    inside.process.stdin.write(told.encode())
    inside.process.stdin.flush()
    await inside.until(Step((), line="furnished"), 10.0)


async def _do(argv: list[str], folder: Path) -> str:
    """Run a short command to its end. Raises NoWayError."""
    child = Child(argv, folder / f"{argv[0]}-{secrets.token_hex(3)}.log")
    try:
        await child.until(Step(()), 10.0)
        return child.said()
    finally:
        await child.end()
