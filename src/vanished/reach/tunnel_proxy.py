"""A SOCKS5 proxy between two networks: it listens in one and connects in the other.

    python -m vanished.reach.tunnel_proxy HANDLE DNS

runs in a new network namespace and inherits a listening socket of the old one. In: a line of JSON
on standard input with the link that was moved here and its address. Out: the lines "ready" and
"furnished", then a proxy (RFC 1928, CONNECT, no password) whose connections leave by that link.
Names are asked of DNS, a resolver behind the tunnel; without one they are refused. It ends when
its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
from ipaddress import ip_address

from vanished.net.address import networks
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver, look_up
from vanished.reach.run import Run

_CONNECT_S = 20.0
_CHUNK = 1 << 16
_REFUSED, _UNREACHABLE = b"\x05", b"\x04"


def furnish(link: str, address: str) -> None:
    """Give the link its address and all routes. Raises CalledProcessError."""
    for line in (
        "link set lo up",
        f"address add {address} dev {link}",
        f"link set {link} up",
        f"route add default dev {link}",
    ):
        subprocess.run(["ip", *line.split()], check=True, capture_output=True)  # noqa: S603, S607


async def resolved(name: str, dns: str) -> str | None:
    """An address of `name` by the resolver behind the tunnel; None if there is none."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if not dns:
        return None
    run = Run(Door(allow=networks([f"{dns}/{128 if ':' in dns else 32}"]), per_s=1000, burst=1000))
    for _ in range(3):
        found = await look_up(run, name, Resolver("udp", dns, 53))
        if found.addresses:
            return found.addresses[0]
    return None


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """The host and port that the client wants. Raises ValueError for what is no CONNECT."""
    version, count = await reader.readexactly(2)
    await reader.readexactly(count)
    if version != 5:
        raise ValueError("not SOCKS5")
    writer.write(b"\x05\x00")
    _, command, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = socket.inet_ntoa(await reader.readexactly(4))
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
    else:
        (size,) = await reader.readexactly(1)
        host = (await reader.readexactly(size)).decode("ascii")
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    if command != 1:
        raise ValueError("not CONNECT")
    return host, port


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes one way, to the end."""
    with contextlib.suppress(OSError):
        while got := await reader.read(_CHUNK):
            writer.write(got)
            await writer.drain()
    writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dns: str) -> None:
    """One client."""
    rest = b"\x00\x01" + bytes(6)
    try:
        host, port = await asked(reader, writer)
        address = await resolved(host, dns)
        if address is None:
            raise OSError("no address")
        far = await asyncio.wait_for(asyncio.open_connection(address, port), _CONNECT_S)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        refused = isinstance(error, ConnectionRefusedError)
        writer.write(b"\x05" + (_REFUSED if refused else _UNREACHABLE) + rest)
        writer.close()
        return
    writer.write(b"\x05\x00" + rest)
    await asyncio.gather(copy(reader, far[1]), copy(far[0], writer))


async def main(handle: int, dns: str) -> None:
    """Serve until standard input ends."""
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    if not line:
        return
    told = json.loads(line)
    furnish(told["link"], told["address"])
    door = socket.socket(fileno=handle)
    door.setblocking(False)
    server = await asyncio.start_server(lambda r, w: serve(r, w, dns), sock=door)
    print("furnished", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
