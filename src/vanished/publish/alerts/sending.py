"""Hand messages to couriers: one process a message, several at once, each ended if it takes long.

In: a message, an address, perhaps a proxy. Out: an `Outcome`. The address goes to the courier
through its standard input, never by argument or environment; the courier has no other secret of
ours. One channel that hangs keeps no other from being served.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vanished.net.proxy import ProxyAddress
from vanished.publish.alerts.address import Address
from vanished.publish.alerts.courier import Outcome
from vanished.publish.alerts.message import Message

SEND_S: Final = 90.0
AT_ONCE: Final = 4
_KEPT: Final = (
    "PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
"""Variables that a courier gets: none that names a proxy, and none that holds a secret."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message, and the name that Apprise has for the service."""

    outcome: Outcome
    service: str = ""


@dataclass(slots=True)
class Sender:
    """Sends; `timeout_s` is the whole time that one message may take."""

    timeout_s: float = SEND_S
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def send(self, told: Message, address: Address, proxy: ProxyAddress | None) -> Sent:
        """Send it once, through `proxy` if there is one."""
        job = {"url": address.url, "title": told.title, "body": told.body, "proxy": _given(proxy)}
        return await self._carry(job)

    async def check(self, address: Address) -> Sent:
        """Whether Apprise understands the address; asks nobody."""
        return await self._carry({"url": address.url, "check": True})

    async def _carry(self, job: Mapping[str, object]) -> Sent:
        async with self._room:
            courier = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder that we stand in holds no modules of ours
                "-m",
                "vanished.publish.alerts.courier",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
            )
            try:
                written = json.dumps(job).encode() + b"\n"
                async with asyncio.timeout(self.timeout_s):
                    answer, _ = await courier.communicate(written)
            except TimeoutError:
                return Sent(Outcome.LATE)
            finally:
                if courier.returncode is None:
                    courier.kill()
                    await courier.wait()
        return _read(answer)


def _given(proxy: ProxyAddress | None) -> Mapping[str, object] | None:
    if proxy is None:
        return None
    return {name: getattr(proxy, name) for name in ("scheme", "host", "port", "user", "password")}


def _read(answer: bytes) -> Sent:
    """The courier's line; one that died without a word did not say that it delivered."""
    try:
        facts = json.loads(answer)
        return Sent(Outcome(facts["outcome"]), str(facts["service"])[:60])
    except (ValueError, KeyError, TypeError):
        return Sent(Outcome.REFUSED)
