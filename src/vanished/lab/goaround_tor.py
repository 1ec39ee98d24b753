"""A private Tor network inside a `NetworkLab`: directory authorities, exits, an obfs4 bridge.

    with tor_network(lab) as tor:
        tor.bridge                              # the bridge line, as a client's torrc has it
        with tor.connected(obfs4=True) as proxy:
            ...

In: a lab. Out: a network of real tor processes in which a client has a circuit in seconds once
it has voted. It knows only its own three authorities, and the namespaces have no way out: nothing
reaches the real Tor network. The authorities' keys are made once for this process, never stored.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vanished.errors import UsageError
from vanished.lab.goarounds import LOCAL, Step, require, running
from vanished.lab.network import NetworkLab
from vanished.lab.network_map import TOR, TOR_BRIDGE

PROGRAMS = {"tor": "tor", "tor-gencert": "tor", "obfs4proxy": "obfs4proxy"}
SOCKS_PORT = 9050
READY_S = 150.0
_OR, _DIR, _OBFS4 = 9001, 9030, 9443
_AUTHORITIES, _EXITS = TOR[:3], TOR[3:]
_VOTING_S, _DELAY_S = 10, 2  # the shortest that tor takes; its two delays must fit in half a round
_UP = "Opened OR listener"


@dataclass(frozen=True)
class TorNetwork:
    """A running network: what a client's configuration needs, and clients of its own."""

    lab: NetworkLab
    folder: Path
    common: str
    """The lines of torrc that make a tor know this network and no other."""
    bridge: str
    """The obfs4 bridge: what follows `Bridge` in torrc."""

    @contextlib.contextmanager
    def connected(self, *, obfs4: bool = False, ready_s: float = READY_S) -> Iterator[str]:
        """Run a fresh client until it has a circuit; its proxy's address.

        UsageError where it has none after `ready_s` seconds, with the end of what tor said.
        """
        own = self.folder / f"client-{secrets.token_hex(4)}"
        lines = f"SocksPort {LOCAL}:{SOCKS_PORT}\nClientRejectInternalAddresses 0\n"
        if obfs4:
            lines += "UseBridges 1\nClientTransportPlugin obfs4 exec /usr/bin/obfs4proxy\n"
            lines += f"Bridge {self.bridge}\n"
        step = Step(_torrc(own, self.common + lines), line="Bootstrapped 100%")
        with running(self.lab, "client", (step,), own, ready_s):
            yield f"socks5h://{LOCAL}:{SOCKS_PORT}"


@contextlib.contextmanager
def tor_network(lab: NetworkLab) -> Iterator[TorNetwork]:
    """Start the network abroad and wait until its authorities have agreed on all exits.

    That takes one vote or two of ten seconds. UsageError where they have not after `READY_S`.
    """
    require("tor", PROGRAMS)
    folder = lab.folder("tor")
    common = "TestingTorNetwork 1\nAssumeReachable 1\nRunAsDaemon 0\nLog notice stdout\n"
    steps = []
    for address, files in zip(_AUTHORITIES, _keys(), strict=True):
        keys = folder / address / "tor" / "keys"
        keys.mkdir(parents=True)
        for name, content in files.items():
            (keys / name).write_bytes(content)
        certificate = files["authority_certificate"].decode()
        v3 = next(x for x in certificate.splitlines() if x.startswith("fingerprint ")).split()[1]
        known = f"DirAuthority {_nickname(address)} orport={_OR} v3ident={v3} {address}:{_DIR}"
        common += f"{known} {_fingerprint(lab, folder / address)}\n"
    for address in _AUTHORITIES:
        lines = f"AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\n{_VOTES}"
        lines += f"DirPort {address}:{_DIR}\nExitRelay 0\n"
        steps.append(Step(_torrc(folder / address, common + _relay(address) + lines), line=_UP))
    resolver = f"ServerDNSResolvConfFile {lab.place.folder / 'resolv-server'}\n"
    for address in _EXITS:
        lines = f"ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept *:*\n{resolver}"
        lines += "ServerDNSDetectHijacking 0\n"
        steps.append(Step(_torrc(folder / address, common + _relay(address) + lines), line=_UP))
    lines = "BridgeRelay 1\nPublishServerDescriptor 0\nBridgeDistribution none\nExitRelay 0\n"
    lines += "ExtORPort auto\nServerTransportPlugin obfs4 exec /usr/bin/obfs4proxy\n"
    lines += f"ServerTransportListenAddr obfs4 {TOR_BRIDGE}:{_OBFS4}\n"
    bridge = folder / TOR_BRIDGE
    registered = "Registered server transport 'obfs4'"
    steps.append(Step(_torrc(bridge, common + _relay(TOR_BRIDGE) + lines), line=registered))
    with running(lab, "server", tuple(steps), folder, 30.0):
        _agreed(folder / _AUTHORITIES[0] / "tor" / "cached-consensus")
        yield TorNetwork(lab, folder, common, _bridge_line(bridge))


_VOTES = "".join(
    f"{name} {value}\n"
    for name, value in (
        ("V3AuthVotingInterval", _VOTING_S),
        ("V3AuthVoteDelay", _DELAY_S),
        ("V3AuthDistDelay", _DELAY_S),
        ("TestingV3AuthInitialVotingInterval", _VOTING_S),
        ("TestingV3AuthInitialVoteDelay", _DELAY_S),
        ("TestingV3AuthInitialDistDelay", _DELAY_S),
        ("TestingDirAuthVoteGuard", "*"),
        ("TestingDirAuthVoteExit", "*"),
        ("TestingMinExitFlagThreshold", 0),
        ("AuthDirMaxServersPerAddr", 0),
    )
)


def _agreed(consensus: Path) -> None:
    """Wait for a consensus in which all exits run: a client of an earlier one finds no way out."""
    ends = time.monotonic() + READY_S
    while time.monotonic() < ends:
        with contextlib.suppress(FileNotFoundError):
            flags = [x.split() for x in consensus.read_text().splitlines() if x.startswith("s ")]
            if sum({"Exit", "Running"} <= set(words) for words in flags) >= len(_EXITS):
                return
        time.sleep(0.1)
    raise UsageError(f"The lab's Tor network agreed on no consensus within {READY_S:.0f} s.")


def _relay(address: str) -> str:
    return (
        f"Nickname {_nickname(address)}\nAddress {address}\nORPort {address}:{_OR}\nSocksPort 0\n"
    )


def _nickname(address: str) -> str:
    return "lab" + address.replace(".", "")


def _torrc(folder: Path, lines: str) -> tuple[str, ...]:
    """The command that runs a tor with these lines in this folder, and nobody else's defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "torrc").write_text(f"DataDirectory {folder / 'tor'}\n{lines}")
    (folder / "defaults").touch()
    defaults, own = str(folder / "defaults"), str(folder / "torrc")
    return ("tor", "--defaults-torrc", defaults, "-f", own)


def _fingerprint(lab: NetworkLab, folder: Path) -> str:
    """Make the relay's own keys, read their fingerprint."""
    argv = list(_torrc(folder, "SocksPort 0\n"))
    argv.insert(1, "--quiet")
    argv += ["--list-fingerprint", "--ORPort", "1"]
    done = lab.control_run([*argv, "--DirAuthority", f"none 127.0.0.1:1 {'F' * 40}"])
    words = done.stdout.decode().split(maxsplit=1)
    if done.returncode or len(words) != 2:
        raise UsageError(f"tor gave no fingerprint: {done.stderr.decode(errors='replace')[-300:]}")
    return words[1].replace(" ", "").strip()


def _bridge_line(folder: Path) -> str:
    """The bridge's line with its fingerprint and the key of its obfs4."""
    fingerprint = (folder / "tor" / "fingerprint").read_text().split()[1]
    written = (folder / "tor" / "pt_state" / "obfs4_bridgeline.txt").read_text()
    line = next(x for x in written.splitlines() if x.startswith("Bridge obfs4"))
    return f"obfs4 {TOR_BRIDGE}:{_OBFS4} {fingerprint} {line[line.index('cert=') :]}"


@functools.cache
def _keys() -> tuple[Mapping[str, bytes], ...]:
    """Keys and certificates of the three authorities (tor-gencert, a second or two each)."""
    made = []
    for address in _AUTHORITIES:
        with tempfile.TemporaryDirectory() as name:
            folder, argv = Path(name), ["tor-gencert", "--create-identity-key", "-m", "12"]
            argv += ["-i", str(folder / "authority_identity_key")]
            argv += ["-s", str(folder / "authority_signing_key"), "--passphrase-fd", "0"]
            argv += ["-c", str(folder / "authority_certificate"), "-a", f"{address}:{_DIR}"]
            word = secrets.token_hex(8).encode() + b"\n"
            subprocess.run(argv, input=word, check=True, capture_output=True)  # noqa: S603
            made.append({file.name: file.read_bytes() for file in folder.iterdir()})
    return tuple(made)
