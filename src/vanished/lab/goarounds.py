"""Real go-arounds from Debian, run inside a `NetworkLab`: server abroad, client behind the censor.

    with serving(lab, "shadowsocks") as served:
        served.settings                      # what a client needs
        with served.connected() as proxy:    # "socks5h://127.0.0.1:1080", None for a tunnel
            ...

In: a lab and a kind of `KINDS`. Out: a running server, on demand its ordinary client. Keys are made
for each use and go with the lab. Tor, which is a network and not a server, is in `goaround_tor`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from vanished.errors import UsageError
from vanished.lab import network_certificates as certificates
from vanished.lab.network import NetworkLab
from vanished.lab.network_map import GO_AROUND, GO_AROUND_HOST
from vanished.lab.network_place import SEARCHED, Role

LOCAL = "127.0.0.1"
READY_S = 30.0
TUNNELLED = "44.128.76.0/22"
"""What the tunnels carry: the addresses of the lab's targets."""


@dataclass(frozen=True)
class Step:
    """One command, and how to know that it has done its part.

    `port` is a (host, port) that must accept, `line` words that its output must hold; with neither
    it must end well.
    """

    argv: tuple[str, ...]
    port: tuple[str, int] | None = None
    line: str | None = None


@dataclass(frozen=True)
class Plan:
    """How one go-around runs: `settings` are those of any client of it, ours or a probe's."""

    server: tuple[Step, ...]
    client: tuple[Step, ...]
    settings: Mapping[str, str | int]
    proxy: str | None = None


class Served:
    """A go-around whose server runs; belongs to the `with` that made it."""

    def __init__(self, lab: NetworkLab, kind: str, folder: Path) -> None:
        self.kind, self.lab, self.folder = kind, lab, folder
        self._plan = KINDS[kind].plan(lab, folder)
        self.settings = self._plan.settings

    @contextlib.contextmanager
    def connected(self, ready_s: float = READY_S) -> Iterator[str | None]:
        """Run the go-around's own client; its proxy's address, None where it is a tunnel.

        UsageError where it does not come up in `ready_s` seconds, with the end of what it said.
        """
        with running(self.lab, "client", self._plan.client, self.folder, ready_s):
            yield self._plan.proxy


@contextlib.contextmanager
def serving(lab: NetworkLab, kind: str) -> Iterator[Served]:
    """Run the server of `kind` abroad. UsageError for an unknown kind or a missing program."""
    if kind not in KINDS:
        raise UsageError(f"The lab has no go-around '{kind}'; it has {', '.join(KINDS)}.")
    require(kind, KINDS[kind].programs)
    served = Served(lab, kind, lab.folder(f"go-around-{kind}-{secrets.token_hex(4)}"))
    with running(lab, "server", served._plan.server, served.folder, READY_S):
        yield served


def require(kind: str, programs: Mapping[str, str]) -> None:
    """UsageError where a program of that go-around is not here, with its Debian package."""
    for package in absent(programs):
        raise UsageError(f"The go-around '{kind}' lacks a program: apt-get install {package}")


def absent(programs: Mapping[str, str]) -> list[str]:
    """The Debian packages of those programs that are not here."""
    missing = [p for name, p in programs.items() if shutil.which(name, path=SEARCHED) is None]
    return list(dict.fromkeys(missing))


@contextlib.contextmanager
def running(
    lab: NetworkLab, role: Role, steps: tuple[Step, ...], folder: Path, ready_s: float
) -> Iterator[None]:
    """Do the steps one after the other; what keeps running is ended at the end, last first."""
    begun: list[subprocess.Popen[bytes]] = []
    try:
        for number, step in enumerate(steps):
            log = folder / f"{role}-{number}.log"
            with log.open("wb") as out:
                process = lab.start(role, step.argv, stdout=out, stderr=out)
            begun.append(process)
            _settle(lab, role, step, process, log, ready_s)
        yield
    finally:
        for process in reversed(begun):
            lab.stop(process)


def _settle(
    lab: NetworkLab,
    role: Role,
    step: Step,
    process: subprocess.Popen[bytes],
    log: Path,
    ready_s: float,
) -> None:
    """Wait until the step has done its part."""
    ends = time.monotonic() + ready_s
    while time.monotonic() < ends:
        ended = process.poll()
        if step.port is not None and lab.call(role, _accepts, *step.port):
            return
        if step.line is not None and step.line.encode() in log.read_bytes():
            return
        if ended == 0 and step.port is None and step.line is None:
            return
        if ended is not None:
            break
        time.sleep(0.05)
    said = " ".join(log.read_text(errors="replace").split())[-300:]
    raise UsageError(f"'{step.argv[0]}' did not come up in the network lab; it said: {said}")


def _accepts(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1.0):
        return True
    return False


# The kinds


def _shadowsocks(lab: NetworkLab, folder: Path) -> Plan:
    """Shadowsocks with an AEAD cipher (shadowsocks-libev)."""
    del lab, folder
    port, local, password, method = 8388, 1081, secrets.token_urlsafe(12), "chacha20-ietf-poly1305"
    common = ("-s", GO_AROUND, "-p", str(port), "-k", password, "-m", method)
    own = ("-b", LOCAL, "-l", str(local))
    return Plan(
        (Step(("ss-server", *common), port=(GO_AROUND, port)),),
        (Step(("ss-local", *common, *own), port=(LOCAL, local)),),
        {"server": GO_AROUND, "port": port, "password": password, "method": method},
        f"socks5h://{LOCAL}:{local}",
    )


def _ssh(lab: NetworkLab, folder: Path) -> Plan:
    """OpenSSH with dynamic forwarding (`ssh -D`)."""
    port, local = 22, 1082
    for name in ("host", "user"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        lab.client_run(argv)
    public = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"{GO_AROUND} {public[0]} {public[1]}\n")
    allowed = folder / "user.pub"
    (folder / "sshd").write_text(
        f"ListenAddress {GO_AROUND}:{port}\nHostKey {folder / 'host'}\nUsePAM no\nPidFile none\n"
        f"AuthorizedKeysFile {allowed}\nStrictModes no\nPermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\nAllowTcpForwarding yes\n"
    )
    client: tuple[str, ...] = ("ssh", "-F", "none", "-N", "-D", f"{LOCAL}:{local}", "-p", str(port))
    client += ("-i", str(folder / "user"), "-o", f"UserKnownHostsFile={folder / 'known'}")
    client += ("-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes", f"root@{GO_AROUND}")
    return Plan(
        (
            Step(("mkdir", "-p", "/run/sshd")),
            Step(("/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd")), line="listening on"),
        ),
        (Step(client, port=(LOCAL, local)),),
        {
            "server": GO_AROUND,
            "port": port,
            "user": "root",
            "key": str(folder / "user"),
            "known_hosts": str(folder / "known"),
        },
        f"socks5h://{LOCAL}:{local}",
    )


def _openvpn(lab: NetworkLab, folder: Path) -> Plan:
    """OpenVPN over UDP, each end known by its certificate's fingerprint."""
    del lab
    port, prints = 1194, {}
    for name in ("server", "client"):
        pem = certificates.self_signed(f"{name}.vpn.example")
        (folder / f"{name}.pem").write_bytes(pem)
        made = x509.load_pem_x509_certificate(pem)
        prints[name] = made.fingerprint(hashes.SHA256()).hex(":").upper()

    def common(name: str, peer: str) -> tuple[str, ...]:
        file = str(folder / f"{name}.pem")
        options = ("--dev", f"vpn-{name}", "--dev-type", "tun", "--proto", "udp", "--verb", "3")
        return (*options, "--cert", file, "--key", file, "--peer-fingerprint", prints[peer])

    server: tuple[str, ...] = ("openvpn", *common("server", "client"), "--tls-server")
    server += ("--dh", "none")
    server += ("--local", GO_AROUND, "--port", str(port), "--server", "10.9.0.0", "255.255.255.0")
    client: tuple[str, ...] = ("openvpn", *common("client", "server"), "--client", "--nobind")
    client += ("--remote", GO_AROUND, str(port), "--route", "44.128.76.0", "255.255.252.0")
    done = "Initialization Sequence Completed"
    return Plan(
        (Step(server, line=done),),
        (Step(client, line=done),),
        {
            "server": GO_AROUND,
            "port": port,
            "certificate": str(folder / "client.pem"),
            "peer_fingerprint": prints["server"],
        },
    )


def _wireguard(lab: NetworkLab, folder: Path) -> Plan:
    """WireGuard in user space (wireguard-go): the kernel need not have it."""
    port, keys = 51820, {}
    for name in ("server", "client"):
        private = lab.client_run(["wg", "genkey"]).stdout
        public = lab.client_run(["wg", "pubkey"], given=private).stdout
        keys[name] = (private.decode().strip(), public.decode().strip())
    peers = {"server": "AllowedIPs = 10.8.0.2/32\n", "client": f"AllowedIPs = {TUNNELLED}\n"}
    peers["client"] += f"Endpoint = {GO_AROUND}:{port}\n"
    steps = {}
    for number, (name, other) in enumerate((("server", "client"), ("client", "server")), 1):
        file, link = folder / f"{name}.conf", f"wg-{name}"
        listen = f"ListenPort = {port}\n" if name == "server" else ""
        own, peer = keys[name][0], keys[other][1]
        file.write_text(
            f"[Interface]\nPrivateKey = {own}\n{listen}[Peer]\nPublicKey = {peer}\n{peers[name]}"
        )
        route = f" && ip route add {TUNNELLED} dev {link}" if name == "client" else ""
        up = (
            f"wg setconf {link} {file} && ip address add 10.8.0.{number}/24 dev {link}"
            f" && ip link set {link} up{route}"
        )
        run = ("env", "LOG_LEVEL=verbose", "wireguard-go", "-f", link)
        steps[name] = (Step(run, line="UAPI listener started"), Step(("sh", "-c", up)))
    settings: dict[str, str | int] = {"server": GO_AROUND, "port": port}
    settings["private_key"] = keys["client"][0]
    settings |= {"public_key": keys["server"][1], "address": "10.8.0.2/24", "allowed": TUNNELLED}
    return Plan(steps["server"], steps["client"], settings)


def _trojan(lab: NetworkLab, folder: Path) -> Plan:
    """Trojan: a password inside real TLS."""
    port, local, password = 8443, 1083, secrets.token_urlsafe(12)
    pem = str(Path(lab.ca).parent / f"{GO_AROUND_HOST}.pem")
    server = {
        "run_type": "server",
        "local_addr": GO_AROUND,
        "local_port": port,
        "remote_addr": GO_AROUND,
        "remote_port": 80,
        "password": [password],
        "ssl": {"cert": pem, "key": pem, "alpn": ["http/1.1"]},
    }
    client = {
        "run_type": "client",
        "local_addr": LOCAL,
        "local_port": local,
        "remote_addr": GO_AROUND,
        "remote_port": port,
        "password": [password],
        "ssl": {
            "verify": True,
            "verify_hostname": True,
            "cert": lab.ca,
            "sni": GO_AROUND_HOST,
            "alpn": ["http/1.1"],
        },
    }
    return Plan(
        (Step(("trojan", _json(folder, "server", server)), port=(GO_AROUND, port)),),
        (Step(("trojan", _json(folder, "client", client)), port=(LOCAL, local)),),
        {"server": GO_AROUND, "port": port, "password": password, "sni": GO_AROUND_HOST},
        f"socks5h://{LOCAL}:{local}",
    )


def _v2ray(lab: NetworkLab, folder: Path) -> Plan:
    """V2Ray: VMess in a WebSocket in TLS."""
    port, local, path = 8444, 1084, "/" + secrets.token_urlsafe(6)
    user = secrets.token_hex(16)
    user = f"{user[:8]}-{user[8:12]}-4{user[13:16]}-a{user[17:20]}-{user[20:]}"
    pem = str(Path(lab.ca).parent / f"{GO_AROUND_HOST}.pem")
    stream = {"network": "ws", "security": "tls", "wsSettings": {"path": path}}
    server_tls = {"certificates": [{"certificateFile": pem, "keyFile": pem}]}
    authority = {"usage": "verify", "certificateFile": lab.ca}
    client_tls = {"serverName": GO_AROUND_HOST, "disableSystemRoot": True}
    inbound = {
        "listen": GO_AROUND,
        "port": port,
        "protocol": "vmess",
        "settings": {"clients": [{"id": user, "alterId": 0}]},
        "streamSettings": {**stream, "tlsSettings": server_tls},
    }
    outbound = {
        "protocol": "vmess",
        "settings": {
            "vnext": [{"address": GO_AROUND, "port": port, "users": [{"id": user, "alterId": 0}]}]
        },
        "streamSettings": {**stream, "tlsSettings": {**client_tls, "certificates": [authority]}},
    }
    socks = {"listen": LOCAL, "port": local, "protocol": "socks", "settings": {"auth": "noauth"}}
    server = {"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}]}
    client = {"inbounds": [socks], "outbounds": [outbound]}
    return Plan(
        (Step(("v2ray", "-config", _json(folder, "server", server)), port=(GO_AROUND, port)),),
        (Step(("v2ray", "-config", _json(folder, "client", client)), port=(LOCAL, local)),),
        {
            "server": GO_AROUND,
            "port": port,
            "id": user,
            "path": path,
            "sni": GO_AROUND_HOST,
            "transport": "ws+tls",
        },
        f"socks5h://{LOCAL}:{local}",
    )


def _proxy(scheme: str, port: int) -> Callable[[NetworkLab, Path], Plan]:
    """A plain HTTP or SOCKS proxy abroad; its client is whoever speaks to it."""

    def plan(lab: NetworkLab, folder: Path) -> Plan:
        del folder
        step = Step(lab.python("network_proxy", GO_AROUND, str(port)), port=(GO_AROUND, port))
        url = f"{scheme}://{GO_AROUND}:{port}"
        return Plan((step,), (), {"server": GO_AROUND, "port": port}, url)

    return plan


def _json(folder: Path, name: str, what: object) -> str:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(what, indent=1))
    return str(file)


@dataclass(frozen=True)
class Kind:
    """A kind of go-around: how to plan one, and the programs with their Debian packages."""

    plan: Callable[[NetworkLab, Path], Plan]
    programs: Mapping[str, str]


KINDS: Mapping[str, Kind] = {
    "shadowsocks": Kind(_shadowsocks, {"ss-server": "shadowsocks-libev"}),
    "ssh": Kind(_ssh, {"sshd": "openssh-server", "ssh": "openssh-client"}),
    "openvpn": Kind(_openvpn, {"openvpn": "openvpn"}),
    "wireguard": Kind(_wireguard, {"wireguard-go": "wireguard-go", "wg": "wireguard-tools"}),
    "trojan": Kind(_trojan, {"trojan": "trojan"}),
    "v2ray": Kind(_v2ray, {"v2ray": "v2ray"}),
    "http_proxy": Kind(_proxy("http", 3128), {}),
    "socks_proxy": Kind(_proxy("socks5h", 1080), {}),
}
