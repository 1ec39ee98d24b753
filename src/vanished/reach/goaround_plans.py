"""What the ordinary clients of go-arounds are told: commands and configurations.

In: a `GoAround`, a private folder, a local port. Out: the steps that bring its client up and the
proxy that it then gives. Configurations with secrets are written to that folder only, which goes
with the client. Tunnels and Tor have rooms of their own.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vanished.reach.goaround import GoAround
from vanished.reach.goaround_client import (
    LOCAL,
    Carrying,
    Step,
    free_port,
    private_folder,
    require,
    running,
)
from vanished.reach.goaround_tor import tor_carrying
from vanished.reach.goaround_tunnel import tunnel_carrying


@contextlib.asynccontextmanager
async def carrying(
    found: GoAround, limit_s: float, port: int = 0, own: Carrying | None = None
) -> AsyncIterator[Carrying]:
    """Run the client of a go-around on a local port (0: any), up to its end.

    `limit_s` is how long each step of it may take; `own` is filled also where it does not come up.
    Raises UsageError and NoWayError.
    """
    require(found)
    own = own or Carrying()
    if found.kind in ("http_proxy", "socks_proxy"):
        own.proxy = _remote(found)
        yield own
        return
    port = port or free_port()
    async with private_folder() as folder:
        if found.kind == "tor":
            async with tor_carrying(found, folder, port, limit_s, own):
                yield own
        elif found.tunnel:
            async with tunnel_carrying(found, folder, port, limit_s, own):
                yield own
        else:
            async with running(_PLANS[found.kind](found, folder, port), folder, limit_s):
                own.handshake = True if found.kind == "ssh" else None
                own.proxy = f"socks5h://{LOCAL}:{port}"
                yield own


def _remote(found: GoAround) -> str:
    """A proxy that is asked itself, with its credentials."""
    scheme = "http" if found.kind == "http_proxy" else "socks5h"
    user, password = found.text("user"), found.text("password")
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    host = f"[{found.server}]" if ":" in found.server else found.server
    return f"{scheme}://{who}{host}:{found.port}"


def _shadowsocks(found: GoAround, folder: Path, port: int) -> tuple[Step, ...]:
    told = {
        "server": found.server, "server_port": found.port, "password": found.text("password"),
        "method": found.text("method"), "local_address": LOCAL, "local_port": port,
    }  # fmt: skip
    return (Step(("ss-local", "-c", _json(folder, told)), port=port),)


def _ssh(found: GoAround, folder: Path, port: int) -> tuple[Step, ...]:
    del folder
    argv = ["ssh", "-F", "none", "-N", "-D", f"{LOCAL}:{port}", "-p", str(found.port)]
    argv += ["-i", found.text("key"), "-o", f"UserKnownHostsFile={found.text('known_hosts')}"]
    for option in (
        "ExitOnForwardFailure=yes", "BatchMode=yes", "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes", "ConnectTimeout=20",
    ):  # fmt: skip
        argv += ["-o", option]
    return (Step((*argv, f"{found.text('user')}@{found.server}"), port=port),)


def _trojan(found: GoAround, folder: Path, port: int) -> tuple[Step, ...]:
    told = {
        "run_type": "client", "local_addr": LOCAL, "local_port": port,
        "remote_addr": found.server, "remote_port": found.port,
        "password": [found.text("password")],
        "ssl": {
            "verify": True, "verify_hostname": True, "cert": found.text("authorities"),
            "sni": found.text("sni") or found.server, "alpn": ["h2", "http/1.1"],
        },
    }  # fmt: skip
    return (Step(("trojan", _json(folder, told)), port=port),)


def _v2ray(found: GoAround, folder: Path, port: int) -> tuple[Step, ...]:
    """VMess, over a WebSocket or bare TCP (`over`), with TLS unless it says "tcp" or "ws" alone."""
    over = found.text("over", "ws+tls")
    stream: dict[str, object] = {"network": "ws" if "ws" in over else "tcp"}
    if "ws" in over:
        stream["wsSettings"] = {"path": found.text("path", "/")}
    if "tls" in over:
        tls: dict[str, object] = {"serverName": found.text("sni") or found.server}
        if found.text("authorities"):
            authority = {"usage": "verify", "certificateFile": found.text("authorities")}
            tls |= {"disableSystemRoot": True, "certificates": [authority]}
        stream |= {"security": "tls", "tlsSettings": tls}
    user = {"id": found.text("id"), "alterId": 0}
    outbound = {
        "protocol": "vmess", "streamSettings": stream,
        "settings": {
            "vnext": [{"address": found.server, "port": found.port, "users": [user]}]
        },
    }  # fmt: skip
    inbound = {"listen": LOCAL, "port": port, "protocol": "socks", "settings": {"auth": "noauth"}}
    told = {"log": {"loglevel": "none"}, "inbounds": [inbound], "outbounds": [outbound]}
    return (Step(("v2ray", "-config", _json(folder, told)), port=port),)


_PLANS: Final[Mapping[str, Callable[[GoAround, Path, int], tuple[Step, ...]]]] = {
    "shadowsocks": _shadowsocks,
    "ssh": _ssh,
    "trojan": _trojan,
    "v2ray": _v2ray,
}


def _json(folder: Path, told: object) -> str:
    file = folder / "client.json"
    file.write_text(json.dumps(told))
    return str(file)
