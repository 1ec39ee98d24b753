"""A go-around: a way past a block that a person has, with what its client needs.

In: a TOML of the user's, which holds credentials and must be readable by its owner only. Out:
`GoAround`s, or a ConfigError with file and line. A key of a secret may be left to an environment
variable (`password_env`). Records and advice never carry a secret, nor a server's address: they
name a go-around by its hash, since publishing a bridge burns it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vanished.archive.toml import Reader
from vanished.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of go-around needs to be told, and how it speaks.

    `flight` is what its first bytes look like, "" where that is TLS or cannot be imitated;
    `transport` is "tcp", "tls" or "udp"; `programs` are those it needs, with Debian's packages.
    """

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    transport: str = "tcp"
    flight: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    test_name: str = "vanished_go_around"
    proxies: bool = True  # whether a client of it gives a local proxy


_UDP_PROGRAMS: Final = {"ip": "iproute2", "unshare": "util-linux"}
_TLS: Final = ("sni", "authorities")
KINDS: Final[Mapping[str, Kind]] = {
    "shadowsocks": Kind(
        ("server", "port", "method", "password"), secret=("password",), flight="fully_encrypted",
        programs={"ss-local": "shadowsocks-libev"},
    ),
    "ssh": Kind(
        ("server", "port", "user", "key", "known_hosts"), flight="ssh",
        programs={"ssh": "openssh-client"},
    ),
    "openvpn": Kind(
        ("server", "port"), ("config", "certificate", "peer_fingerprint", "dns", "protocol"),
        transport="udp", flight="openvpn", programs={"openvpn": "openvpn", **_UDP_PROGRAMS},
        test_name="openvpn",
    ),
    "wireguard": Kind(
        ("server", "port", "private_key", "public_key", "address"), ("preshared_key", "dns"),
        ("private_key", "preshared_key"), "udp", "wireguard",
        {"wireguard-go": "wireguard-go", "wg": "wireguard-tools", **_UDP_PROGRAMS},
    ),
    "trojan": Kind(
        ("server", "port", "password"), _TLS, ("password",), "tls", programs={"trojan": "trojan"}
    ),
    "v2ray": Kind(
        ("server", "port", "id"), (*_TLS, "path", "over"), ("id",), "tls",
        programs={"v2ray": "v2ray"},
    ),
    "http_proxy": Kind(("server", "port"), ("user", "password"), ("password",), flight="http"),
    "socks_proxy": Kind(("server", "port"), ("user", "password"), ("password",), flight="socks"),
    "tor": Kind(
        (), ("pluggable", "bridges", "authorities_of_tor", "torrc"), ("bridges",),
        programs={"tor": "tor"}, test_name="vanilla_tor",
    ),
    "dot": Kind(("server",), ("port", *_TLS), transport="tls", proxies=False),
    "doh": Kind(("server",), ("port", *_TLS, "path"), transport="tls", proxies=False),
    "endpoint": Kind(("server", "port"), (*_TLS, "protocol"), proxies=False),
}  # fmt: skip
"""`endpoint` is a server of any kind, of which only the way to it is looked at."""

PLUGGABLE: Final = {
    "obfs4": ("obfs4proxy", "obfs4proxy"),
    "meek_lite": ("obfs4proxy", "obfs4proxy"),
    "snowflake": ("snowflake-client", "snowflake-client"),
    "webtunnel": ("webtunnel-client", "the Tor Project's packages"),
}
"""Tor's pluggable transports: the program, and where Debian has it."""

_COMMON: Final = ("name", "kind", "local", "public", "note")
_FILES: Final = ("key", "known_hosts", "config", "certificate", "authorities")


@dataclass(frozen=True, slots=True)
class GoAround:
    """One go-around. `local` is the port on which its client is to listen on this machine, 0: any.

    `public`: its address is no secret, as a public resolver's; records may name it.
    """

    name: str
    kind: str
    server: str = field(default="", repr=False)
    port: int = 0
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    local: int = 0
    public: bool = False
    password_env: str = ""  # the variable that holds the password, where one does

    def text(self, key: str, default: str = "") -> str:
        """An option as text."""
        return str(self.options.get(key, default))

    def texts(self, key: str) -> tuple[str, ...]:
        """An option that is a list."""
        return tuple(self.options.get(key, ()))

    @property
    def sort(self) -> Kind:
        return KINDS[self.kind]

    @property
    def tunnel(self) -> bool:
        """Whether it is a VPN."""
        return self.kind in ("openvpn", "wireguard")

    @property
    def transport(self) -> str:
        """What its packets go over: "tcp", "tls" or "udp"."""
        if self.kind in ("openvpn", "endpoint") and self.text("protocol"):
            return self.text("protocol")
        if self.kind == "v2ray" and "tls" not in self.text("over", "ws+tls"):
            return "tcp"
        return self.sort.transport

    @property
    def flight(self) -> str:
        """What its first bytes look like, where that is not TLS."""
        if self.kind == "v2ray" and self.text("over") == "tcp":
            return "fully_encrypted"
        if self.pluggable == "obfs4":
            return "fully_encrypted"
        return self.sort.flight

    @property
    def pluggable(self) -> str:
        """Tor's transport, "" for none."""
        return self.text("pluggable")

    @property
    def label(self) -> str:
        """What it is, for people: its kind, and Tor's transport."""
        return f"{self.kind} with {self.pluggable}" if self.pluggable else self.kind

    @property
    def hash(self) -> str:
        """What records and advice name it by."""
        whole = "|".join([self.kind, self.server, str(self.port), *self.texts("bridges")])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    @property
    def hidden(self) -> tuple[str, ...]:
        """Texts that must stand in no record: secrets, and what leads to the server."""
        found = [self.text(key) for key in self.sort.secret if key != "bridges"]
        if not self.public:
            found += [self.server, self.text("sni"), self.text("path"), self.text("user")]
            for bridge in self.texts("bridges"):
                words = bridge.split()
                found += [bridge, *words[1:], *(place.rpartition(":")[0] for place in words[1:2])]
        return tuple(sorted({one for one in found if len(one) > 2}, key=len, reverse=True))


def read_go_arounds(path: Path) -> list[GoAround]:
    """The go-arounds of a TOML file. Raises UsageError and ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read; name the TOML file of your go-arounds.") from None
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from None
    reader = Reader(path, text)
    reader.keys("", given, ["go_around"])
    listed = given.get("go_around")
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{path}: there is no go-around; write each as [[go_around]].")
    found = [_go_around(reader, one, path.parent) for one in listed]
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{path}: two go-arounds are called '{twice}'; rename one.")
    if mode & 0o077 and any(key in one for one in listed for key in _secret_keys(one)):
        raise UsageError(f"{path} holds secrets and others may read it; run chmod 600 {path}.")
    return found


def _secret_keys(given: Mapping[str, Any]) -> tuple[str, ...]:
    return KINDS[given["kind"]].secret


def _go_around(reader: Reader, given: Any, folder: Path) -> GoAround:
    if not isinstance(given, dict):
        raise reader.fail("", "go_around", "write each go-around as [[go_around]].")
    kind = str(given.get("kind"))
    if kind not in KINDS:
        raise reader.fail("go_around", "kind", f"kind is one of {', '.join(KINDS)}.")
    sort = KINDS[kind]
    known = [*_COMMON, *sort.needs, *sort.may, *(f"{key}_env" for key in sort.secret)]
    reader.keys("go_around", given, known)
    name = given.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[\w .-]{1,60}", name):
        raise reader.fail("go_around", "name", "name is missing, or not 1 to 60 plain letters.")
    options = dict(given)
    for key in sort.secret:
        if f"{key}_env" in given:
            options[key] = _held(reader, str(given[f"{key}_env"]), f"{key}_env")
    for key in sort.needs:
        if not options.get(key):
            raise reader.fail("go_around", "kind", f"'{name}' ({kind}) needs {key}.")
    for key in _FILES:
        if key in options:
            options[key] = _file(reader, folder, key, str(options[key]))
    if kind == "openvpn" and not (options.get("config") or options.get("certificate")):
        raise reader.fail("go_around", "kind", f"'{name}' needs config, or certificate.")
    if options.get("pluggable") and options["pluggable"] not in PLUGGABLE:
        raise reader.fail("go_around", "pluggable", f"pluggable is one of {', '.join(PLUGGABLE)}.")
    ports = [options.get("port", {"dot": 853, "doh": 443}.get(kind, 0)), options.get("local", 0)]
    for port in ports:
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise reader.fail("go_around", "port", "a port is a number up to 65535.")
    return GoAround(
        name=name, kind=kind, server=str(options.get("server", "")), port=ports[0],
        options={k: v for k, v in options.items() if k not in (*_COMMON, "server", "port")},
        local=ports[1], public=options.get("public") is True,
        password_env=str(given.get("password_env", "")),
    )  # fmt: skip


def _held(reader: Reader, variable: str, key: str) -> str:
    if variable not in os.environ:
        raise reader.fail("go_around", key, f"{variable} is not set; set it, or remove {key}.")
    return os.environ[variable]


def _file(reader: Reader, folder: Path, key: str, name: str) -> str:
    path = folder / Path(name).expanduser()
    if not path.is_file():
        raise reader.fail("go_around", key, f"there is no file {path}.")
    return str(path.resolve())
