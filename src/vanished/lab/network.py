"""A network with a censor, of real tools, on one machine and with no way out of it.

    with NetworkLab(seed=1) as lab:
        lab.censor("sni_reset", "news.example", partial="residual")
        lab.client_run(["curl", "--cacert", lab.ca, "https://news.example/"])
        lab.truth("news.example")        # blocked: layer sni, mechanism reset
        lab.clear()

Client, censor's router, servers and control stand in namespaces of their own (`network_place`).
The router runs iptables on nftables, dnsmasq and tc; an injector of ours forges packets
(`network_injector`). In: forms by name, as `network_forms` lists them. Out: a network in which a
probe can be run, and what a right verdict on it says. No probe and no verdict is here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from vanished.errors import UsageError
from vanished.lab import network_certificates as certificates
from vanished.lab import network_dns as dns
from vanished.lab import network_rules
from vanished.lab.network_forms import THROTTLE_BYTES_S, Condition, Partial, Truth, condition, truth
from vanished.lab.network_leftovers import clean
from vanished.lab.network_map import (
    BLOCK_PAGE,
    BYSTANDER,
    CANARY,
    CLIENT,
    CONTROL,
    INTERCEPTOR,
    ISP_RESOLVER,
    LIES_PORT,
    OTHERS,
    PORTAL,
    RESOLVERS,
    TARGETS,
    WORD,
    layout,
)
from vanished.lab.network_place import READY_S, Place, Role, why_not

__all__ = ["NetworkLab", "clean", "has_quic", "why_not"]
_T = TypeVar("_T")


def has_quic() -> bool:
    """Whether a lab made here has QUIC servers: they need the extra `reach`."""
    return importlib.util.find_spec("aioquic") is not None


class NetworkLab:
    """The lab, from `with` to its end; belongs to the thread that entered it.

    `seed` decides which flows the partial kind "some" stops. `hosts` are further names with their
    addresses, served and certified as the targets are: a probe for a real app can so meet the
    app's own names and addresses in here, where nothing real can be reached.
    """

    canary, bystander, word = CANARY, BYSTANDER, WORD
    client_address, control_address, isp_resolver = CLIENT, CONTROL, ISP_RESOLVER
    resolvers: Mapping[str, str] = RESOLVERS

    def __init__(
        self, *, seed: int = 0, hosts: Mapping[str, Sequence[str]] | None = None, quic: bool = True
    ) -> None:
        self.seed = seed
        self.targets: dict[str, Sequence[str]] = {**TARGETS, **(hosts or {})}
        self.addresses: dict[str, Sequence[str]] = {**self.targets, **OTHERS}
        self.conditions: tuple[Condition, ...] = ()
        self.quic = quic and has_quic()
        self._lies: subprocess.Popen[bytes] | None = None
        self._queue: subprocess.Popen[bytes] | None = None
        self._told: dict[str, Any] = {"forgeries": [], "behaviour": {}, "server": ""}

    def __enter__(self) -> NetworkLab:
        """Make it: about a second. Raises UsageError where namespaces cannot be made."""
        served = [a for given in self.addresses.values() for a in given]
        others = [BLOCK_PAGE, PORTAL, INTERCEPTOR]
        resolver = next(iter(RESOLVERS.values()))
        self.place = Place(
            {"client": ISP_RESOLVER, "server": resolver, "control": resolver},
            layout([*served, *others]),
        )
        try:
            self._furnish(resolver)
        except BaseException:
            self.place.end()
            raise
        return self

    def _furnish(self, resolver: str) -> None:
        """Servers, router's tools and injector, all ready when this returns."""
        folder = self.place.folder
        certificates.write(folder, self.addresses)
        told = {
            "addresses": {name: list(given) for name, given in self.addresses.items()},
            "resolvers": list(RESOLVERS.values()),
            "control": CONTROL,
            "client": CLIENT,
        }
        (folder / "servers.json").write_text(json.dumps(told))
        self._servers = self._python("server", "network_servers", str(folder))
        self._injector = self._python("router", "network_injector", "to-client")
        quic = self._python("server", "network_quic", str(folder)) if self.quic else None
        router, server = network_rules.foundation()
        self._restore("router", router)
        self._restore("server", server)
        rate = THROTTLE_BYTES_S * 8
        for line in (
            "qdisc add dev to-client root handle 1: htb default 1",
            "class add dev to-client parent 1: classid 1:1 htb rate 10gbit quantum 60000",
            f"class add dev to-client parent 1: classid 1:10 htb rate {rate}bit burst 8kb",
            "qdisc add dev to-client parent 1:10 pfifo limit 8",  # no seconds of backlog
        ):
            self.place.run("router", ["tc", *line.split()], check=True)
        self._dnsmasq(53, [f"--server={resolver}"])
        for process in (self._servers, self._injector, *([quic] if quic else [])):
            self._await(process)
        self._answers(53)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.place.end()

    @property
    def ca(self) -> str:
        """The file of the authority that signed the servers' certificates."""
        return str(self.place.folder / "ca.pem")

    # What is in force

    def censor(self, form: str, target: str = "", partial: Partial = "") -> Condition:
        """Put a blocking form or an outage in force, beside those that are; well under a second.

        UsageError where there is no such form, target or partial kind.
        """
        if target and target not in self.addresses:
            raise UsageError(f"The lab has no host '{target}'.")
        made = condition(form, target, partial)
        if partial == "one_address" and len(self.addresses[target]) < 2:
            raise UsageError(f"The lab's host '{target}' has one address only.")
        self._apply((*self.conditions, made))
        return made

    def clear(self) -> None:
        """Put nothing in force: the clean network."""
        self._apply(())

    def truth(self, target: str) -> Truth:
        """What a right verdict on `target` says now."""
        return truth(target, self.conditions)

    def _apply(self, conditions: tuple[Condition, ...]) -> None:
        """Bring the tools from the rules in force to those of `conditions`."""
        rules = network_rules.rules(conditions, self.addresses, self.seed)
        self._restore("router", rules.router_text())
        if rules.server_text() != self._told["server"]:
            self._restore("server", rules.server_text())
            self._told["server"] = rules.server_text()
        if rules.forgeries != self._told["forgeries"]:
            self._tell(self._injector, rules.forgeries)
            self._told["forgeries"] = rules.forgeries
        if rules.behaviour != self._told["behaviour"]:
            self._tell(self._servers, rules.behaviour)
            self._told["behaviour"] = rules.behaviour
        if rules.queued and self._queue is None:
            self._queue = self._python("router", "network_queue")
            self._await(self._queue)
        if self._lies is not None:
            self.place.stop(self._lies)
            self._lies = None
        if rules.lies:
            honest = next(iter(RESOLVERS.values()))
            own = [] if "--no-resolv" in rules.lies else [f"--server={honest}"]
            self._lies = self._dnsmasq(LIES_PORT, [*own, *dict.fromkeys(rules.lies)])
            self._answers(LIES_PORT)
        self.conditions = conditions

    # Running things in it

    def client_run(
        self, argv: Sequence[str], *, given: bytes = b"", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command where the client stands and wait for it; paths must be absolute."""
        return self.place.run("client", argv, given=given, timeout_s=timeout_s)

    def control_run(
        self, argv: Sequence[str], *, given: bytes = b"", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """The same where the control stands: behind the servers, with an honest resolver."""
        return self.place.run("control", argv, given=given, timeout_s=timeout_s)

    def start(self, role: Role, argv: Sequence[str], **given: Any) -> subprocess.Popen[bytes]:
        """Start a command in the place of `role`; `given` goes to Popen. It ends with the lab."""
        return self.place.start(role, argv, **given)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that `start` gave."""
        self.place.stop(process)

    def call(self, role: Role, function: Callable[..., _T], *args: object) -> _T:
        """Call `function` in this process, with the network of `role`; its result or its error.

        It runs on a thread of its own; sockets that it and its threads open are the role's.
        """
        return self.place.call(role, function, *args)

    def client_python(self, function: str, *args: Any, timeout_s: float = 60.0) -> Any:
        """Call "module:function" in a new Python where the client stands; values pass as JSON."""
        argv = [sys.executable, "-m", "vanished.lab.network_call", function]
        done = self.client_run(argv, given=json.dumps(args).encode(), timeout_s=timeout_s)
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise UsageError(f"'{function}' failed where the lab's client stands: {last}")
        return json.loads(done.stdout)

    # Its own tools

    def python(self, module: str, *argv: str) -> tuple[str, ...]:
        """The command that runs a module of the lab."""
        return (sys.executable, "-m", f"vanished.lab.{module}", *argv)

    def _python(self, role: Role, module: str, *argv: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return self.place.start(role, self.python(module, *argv), stdin=pipe, stdout=pipe)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise UsageError(f"A server of the network lab did not come up: {process.args!r}.")

    def _tell(self, process: subprocess.Popen[bytes], what: object) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(what).encode() + b"\n")
        process.stdin.flush()
        self._await(process)

    def _restore(self, role: Role, text: str) -> None:
        argv = ["iptables-restore", "--noflush"]
        self.place.run(role, argv, given=text.encode(), check=True)

    def _dnsmasq(self, port: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
        """The ISP's resolver, or its lying double; no cache, so that a change shows at once."""
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv"]
        argv += ["--no-hosts", "--cache-size=0", "--no-daemon", f"--port={port}", "--user=root"]
        argv += [f"--listen-address={ISP_RESOLVER}", "--bind-interfaces", "--pid-file"]
        quiet = subprocess.DEVNULL
        return self.place.start("router", [*argv, *options], stdout=quiet, stderr=quiet)

    def _answers(self, port: int) -> None:
        """Wait until the resolver on the router answers."""

        def asking() -> bool:
            ends = time.monotonic() + READY_S
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                own.settimeout(0.1)
                while time.monotonic() < ends:
                    with contextlib.suppress(OSError):
                        own.sendto(dns.ask(CANARY), (ISP_RESOLVER, port))
                        if own.recv(512):
                            return True
                    time.sleep(0.01)
            return False

        if not self.place.call("router", asking):
            raise UsageError("The resolver of the network lab's router did not come up.")

    def folder(self, name: str) -> Path:
        """A new folder of that name that goes with the lab."""
        made = self.place.folder / name
        made.mkdir(parents=True, exist_ok=True)
        return made
