"""The prober of the list benchmark, in a process of its own, so that its memory is its own.

    python -m bench.reach_list_prober FOLDER PORTS NUMBER AT_ONCE

In: the servers' folder and ports. Out: one line of JSON: seconds, processor seconds, peak memory in
bytes, tests, and which verdicts were wrong. Each measurement is written as OONI writes it, too.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.reach_list_world import BYSTANDER, CANARY, Site, site_of, sites
from vanished.net.address import networks
from vanished.reach.controlling import ControlFailedError
from vanished.reach.door import Door
from vanished.reach.ooni_json import to_json
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control, Measurement
from vanished.reach.web_settings import WebSettings
from vanished.reach.web_test import WebTest


class AskedControl:
    """A control that is asked over HTTP, by connections that stay open."""

    vantage = "loopback"

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.url = f"http://127.0.0.1:{port}/"

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        """What it says."""
        asked = msgspec.json.encode({"http_request": url, "tcp_connect": list(places)})
        try:
            async with self.session.post(self.url, data=asked) as answer:
                return msgspec.json.decode(await answer.read(), type=Control)
        except (aiohttp.ClientError, msgspec.DecodeError):
            raise ControlFailedError("connection_refused") from None

    async def rate(self, url: str, seconds: float) -> float | None:
        """No rate is asked for here."""
        return None


def settings(folder: Path, ports: dict[str, int]) -> WebSettings:
    """A web test with two resolvers, as a volunteer has it: the provider's and another."""
    return WebSettings(
        canary=f"https://{CANARY}:{ports['secure']}/",
        bystander=BYSTANDER,
        resolvers=tuple(
            Resolver.parse(f"udp://127.0.0.1:{ports[name]}") for name in ("isp", "honest")
        ),
        authorities=str(folder / "ca.pem"),
    )


async def probe(folder: Path, ports: dict[str, int], number: int, at_once: int) -> dict[str, Any]:
    """Test the list once."""
    door = Door(allow=networks(["127.0.0.0/8"]), per_s=1e6, burst=1000)
    listed = [site.url(ports["plain"], ports["secure"]) for site in sites(number)]
    states: Counter[str] = Counter()
    wrong: list[str] = []
    began, used = time.monotonic(), time.process_time()
    async with aiohttp.ClientSession() as session:
        test = WebTest(settings(folder, ports), door, AskedControl(session, ports["control"]))
        with (folder / "measurements.jsonl").open("wb") as kept:
            async for one in test.each(listed, at_once=at_once):
                kept.write(to_json(one) + b"\n")
                states[_state(one)] += 1
                wrong += _wrong(one)
    return {
        "tests": states.total(),
        "seconds": time.monotonic() - began,
        "processor_s": time.process_time() - used,
        "peak_bytes": peak(),
        "contacted": len(door.contacted),
        "states": states,
        "wrong": wrong,
    }


def _state(one: Measurement) -> str:
    ours = one.keys.x_vanished
    return f"{ours.state} {ours.layer or ''}".strip() if ours else "none"


def _wrong(one: Measurement) -> list[str]:
    """The measurement in a line, if its verdict is not what is true."""
    ours = one.keys.x_vanished
    site = site_of(one.target.split("/")[2].partition(":")[0]) or Site(0)
    state, layer = site.truth
    if ours and ours.state == state.value and (layer is None or ours.layer == layer):
        return []
    return [f"{site.name} {site.form or 'open'}: {_state(one)} {ours.rules if ours else ''}"]


def peak() -> int:
    """The most memory that this process held, in bytes; not what its parent held before it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


if __name__ == "__main__":
    where, told, many, beside = sys.argv[1:5]
    print(json.dumps(asyncio.run(probe(Path(where), json.loads(told), int(many), int(beside)))))
