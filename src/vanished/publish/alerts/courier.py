"""Carries one message to one channel by Apprise, in a process of its own.

In: a line of JSON on standard input with the channel's secret URL, the message and perhaps a proxy.
Out: a line of JSON on standard output with an `Outcome` and the service's name, and nothing else.
Whatever Apprise and its plugins print, log or raise may hold the URL or parts of it, so it ends
here. Where a proxy is demanded, connections go through it or are refused; none goes direct. No
other program is started.
"""

from __future__ import annotations

import json
import os
import smtplib
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

CONNECT_S: Final = 20.0


class Outcome(StrEnum):
    """What became of a message. Only the first means that a service took it."""

    DELIVERED = "delivered"
    MISSING = "missing"  # the channel's address is not where the settings say
    ADDRESS = "address"  # Apprise does not understand it
    INSTALL = "install"  # Apprise is not installed
    DIRECT = "direct"  # its plugin would have gone round the proxy, and was stopped
    PROXY = "proxy"  # the proxy did not answer or did not let us through
    UNREACHABLE = "unreachable"
    LOGIN = "login"  # the service refused the secret
    ABSENT = "absent"  # there is no such room, list or hook
    LIMITED = "limited"  # too many messages
    SERVICE = "service"  # its server failed
    REFUSED = "refused"  # any other refusal
    LATE = "late"  # no answer in time; it may have been delivered


class WentDirectError(OSError):
    """A connection that the proxy would not have carried."""


@dataclass(slots=True)
class Noticed:
    """What happened on the way, worst last; never a word that a service or library used."""

    outcomes: list[Outcome] = field(default_factory=list)

    def status(self, code: int) -> None:
        """An answer of a service of HTTP."""
        if code >= 400:
            known = {401: Outcome.LOGIN, 403: Outcome.LOGIN, 404: Outcome.ABSENT,
                     407: Outcome.PROXY, 410: Outcome.ABSENT, 429: Outcome.LIMITED}  # fmt: skip
            self.outcomes.append(
                known.get(code, Outcome.SERVICE if code >= 500 else Outcome.REFUSED)
            )

    def reply(self, code: int) -> None:
        """An answer of a service of SMTP (RFC 5321, 4.2; RFC 4954, 6)."""
        if code in (530, 534, 535, 538):
            self.outcomes.append(Outcome.LOGIN)
        elif code >= 400:
            self.outcomes.append(Outcome.SERVICE if code < 500 else Outcome.REFUSED)

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1] if self.outcomes else Outcome.REFUSED


Connect = Callable[..., socket.socket]


def connecting(proxy: Mapping[str, Any] | None, noticed: Noticed) -> Connect:
    """What stands for `socket.create_connection`: direct, or through `proxy`.

    A proxy resolves the names, whatever it speaks, so that no question of ours goes round it.
    """
    plain = socket.create_connection
    if proxy is None:

        def direct(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
            try:
                return plain(address, *args, **more)
            except OSError:
                noticed.outcomes.append(Outcome.UNREACHABLE)
                raise

        return direct

    from python_socks import ProxyError, ProxyType
    from python_socks.sync import Proxy

    kind = ProxyType.HTTP if proxy["scheme"] == "http" else ProxyType.SOCKS5
    place = (str(proxy["host"]), int(proxy["port"]))

    def through(
        address: tuple[str, int], timeout: Any = None, *args: Any, **more: Any
    ) -> socket.socket:
        if address[:2] == place:  # the proxy's own library
            return plain(address, timeout, *args, **more)
        wait = timeout if isinstance(timeout, int | float) else CONNECT_S
        way = Proxy(kind, *place, proxy["user"] or None, proxy["password"] or None, rdns=True)
        try:
            return way.connect(address[0].strip("[]"), address[1], timeout=wait)
        except (ProxyError, OSError, ValueError):
            noticed.outcomes.append(Outcome.PROXY)
            raise OSError("the proxy did not let it through") from None

    return through


_PROGRAMS: Final = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_ASKS: Final = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_SENDS: Final = ("socket.sendto", "socket.sendmsg", "socket.getnameinfo")


def guard(proxy: Mapping[str, Any] | None, noticed: Noticed) -> None:
    """Stop programs from being started and, with a proxy, whatever would go round it.

    By an audit hook (PEP 578), which sees what every plugin does and cannot be taken off again.
    """
    own: set[str] = set()
    if proxy is not None:
        own.add(str(proxy["host"]))
        own |= {str(found[4][0]) for found in socket.getaddrinfo(proxy["host"], proxy["port"])}

    def stop(outcome: Outcome, words: str) -> None:
        noticed.outcomes.append(outcome)
        raise WentDirectError(words)

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            stop(Outcome.REFUSED, "no program is started for an alert")
        if proxy is None or not event.startswith("socket."):
            return
        if event == "socket.connect":
            at = args[1]
            if not (isinstance(at, tuple) and at[0] in own and at[1] == int(proxy["port"])):
                stop(Outcome.DIRECT, "this would go round the proxy")
        elif event in _ASKS:
            asked = args[0].decode() if isinstance(args[0], bytes) else args[0]
            if asked not in own:
                stop(Outcome.DIRECT, "this would ask for a name outside the proxy")
        elif event in _SENDS:
            stop(Outcome.DIRECT, "this would go round the proxy")

    sys.addaudithook(heard)


def listen(noticed: Noticed) -> None:
    """Note the codes that services answer with."""
    import requests

    send, getreply = requests.Session.send, smtplib.SMTP.getreply

    def sent(self: requests.Session, *args: Any, **more: Any) -> requests.Response:
        answer = send(self, *args, **more)
        noticed.status(answer.status_code)
        return answer

    def replied(self: smtplib.SMTP) -> tuple[int, bytes]:
        code, words = getreply(self)
        noticed.reply(code)
        return code, words

    requests.Session.send = sent  # type: ignore[method-assign]
    smtplib.SMTP.getreply = replied  # type: ignore[method-assign]


def carry(job: Mapping[str, Any]) -> dict[str, str]:
    """Send, or with `check` only see whether Apprise understands the address."""
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat
    except ImportError:
        return {"outcome": Outcome.INSTALL, "service": ""}
    asset = AppriseAsset(
        async_mode=False,
        storage_mode="memory",  # what a plugin would keep could hold the secret
        pgp_autogen=False,
        pem_autogen=False,
        http_redirects=False,  # a redirect would carry the secret elsewhere
        image_url_mask="",  # the reader's program would fetch it from a stranger
        image_path_mask="",
        app_id="Vanished",
        app_desc="Vanished",
        app_url="",
        language="en",
    )
    courier = Apprise(asset=asset)
    if not courier.add(str(job["url"])) or len(courier) == 0:
        return {"outcome": Outcome.ADDRESS, "service": ""}
    service = str(courier[0].service_name)
    if job.get("check"):
        return {"outcome": Outcome.DELIVERED, "service": service}
    noticed = Noticed()
    _prepare(job.get("proxy"), noticed)
    done = courier.notify(
        title=str(job["title"]), body=str(job["body"]), body_format=NotifyFormat.TEXT
    )
    return {"outcome": Outcome.DELIVERED if done else noticed.last, "service": service}


def _prepare(proxy: Mapping[str, Any] | None, noticed: Noticed) -> None:
    import urllib3.util.connection

    connect = connecting(proxy, noticed)
    listen(noticed)
    # A mail program says its machine's name to the server, and in every message.
    socket.getfqdn = lambda name="": "localhost.localdomain"
    guard(proxy, noticed)
    socket.create_connection = connect
    urllib3.util.connection.create_connection = _of_urllib3(connect, proxy is None)


def _of_urllib3(connect: Connect, direct: bool) -> Connect:
    """urllib3 sets options on its sockets, which the standard library's function does not take."""

    def made(
        address: tuple[str, int],
        timeout: Any = None,
        source_address: Any = None,
        socket_options: Any = (),
    ) -> socket.socket:
        del source_address
        wait = timeout if isinstance(timeout, int | float) else CONNECT_S
        found = connect((address[0].strip("[]"), address[1]), wait)
        for option in socket_options or () if direct else ():
            found.setsockopt(*option)
        return found

    return made


def main() -> None:
    """Read the job, do it, say what became of it. Nothing else reaches the standard streams."""
    import logging
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the secret
    job = json.loads(sys.stdin.readline())
    told = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.disable(logging.CRITICAL)
    try:
        answer = carry(job)
    except Exception:  # whatever a plugin raises may quote the secret
        answer = {"outcome": Outcome.REFUSED, "service": ""}
    told.write(json.dumps(answer) + "\n")
    told.flush()
    os._exit(0)  # threads of plugins are not waited for


if __name__ == "__main__":
    main()
