"""A control that stands in the lab, for tests of probes that need none over a network.

In: a lab. Out: `reach.controlling.Controlling`: the control's steps, made where the lab's control
stands. The control that is asked over HTTP is `reach.control_server`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from vanished.lab.network import NetworkLab
from vanished.net.address import networks
from vanished.reach.control_steps import ControlSettings, control_of
from vanished.reach.controlling import ControlFailedError
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control
from vanished.reach.run import Limits, Run
from vanished.reach.throughput import rate
from vanished.reach.ways import Asked
from vanished.reach.web_settings import WebSettings

_T = TypeVar("_T")
FAST = 2000.0  # sockets a second: the lab is nobody's network


def lab_door() -> Door:
    """A door for probes in the lab: its client's network is private, and nobody is to be spared."""
    return Door(allow=networks(["10.77.0.0/24"]), per_s=FAST, burst=500)


def lab_settings(lab: NetworkLab, *, fine_tries: int = 3, rate_path: str = "") -> WebSettings:
    """A web test as the lab wants it: its resolvers, its authority, its names."""
    first, second = lab.resolvers.values()
    return WebSettings(
        canary=f"https://{lab.canary}/",
        bystander=lab.bystander,
        resolvers=(
            Resolver.parse(lab.isp_resolver),
            Resolver.parse(first),
            Resolver.parse(f"dot://{second}#dns2.example"),
        ),
        authorities=lab.ca,
        fine_tries=fine_tries,
        residual_s=5.5,
        rate_path=rate_path,
        rate_canary=f"https://{lab.canary}{rate_path}" if rate_path else "",
        canary_s=0.0,
    )


class LabControl:
    """The control of a lab: a loop on a thread that stands there, from `with` to its end.

    Enter it where the lab was entered; it may be asked from any loop of this process.
    """

    vantage = "lab"

    def __init__(self, lab: NetworkLab) -> None:
        self.lab = lab
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=lab.call, args=("control", self._loop.run_forever), daemon=True
        )

    def __enter__(self) -> LabControl:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def there(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do some work where the control stands."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        """What is seen where the lab's control stands."""
        if any(one.form == "control_down" for one in self.lab.conditions):
            raise ControlFailedError("connection_refused")
        first = next(iter(self.lab.resolvers.values()))
        settings = ControlSettings(Resolver.parse(first), self.lab.ca)
        return await self.there(control_of(url, places, lab_door(), settings, with_quic=quic))

    async def rate(self, url: str, seconds: float) -> float | None:
        """The rate where the lab's control stands, from the target's first address."""
        host = url.partition("://")[2].partition("/")[0]
        run = Run(lab_door(), Limits())
        asked = Asked(url, authorities=self.lab.ca)
        return await self.there(rate(run, self.lab.addresses[host][0], asked, seconds))
