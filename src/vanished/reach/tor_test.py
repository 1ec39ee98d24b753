"""The test of Tor: its directory authorities or bridges, then its client up to a page.

In: a `GoAround` of kind tor, and the test of go-arounds. Out: what was seen, with OONI's tests
`vanilla_tor` (or `torsf`) and `tor` as records. A transport that asks a broker (Snowflake, meek,
webtunnel) is judged by its broker's page where its bridge line names one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vanished.reach.app import App, Endpoint, Part, parse
from vanished.reach.app_test import AppTest
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_client import Carrying
from vanished.reach.goaround_record import recorded, tor_record
from vanished.reach.record import GoAroundSeen

if TYPE_CHECKING:
    from vanished.reach.goaround_test import AroundSeen, GoAroundTest

_PLACE: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[0-9.]+):(\d+)")
_BROKER: Final = re.compile(r"\burl=(https://\S+)")
FRONTED: Final = ("snowflake", "meek_lite", "webtunnel")
"""Transports whose bridge lines carry an address that nothing listens at."""


def servers(found: GoAround) -> App:
    """The servers that a client of this kind asks first, as an app."""
    if not found.texts("bridges"):
        own = found.texts("authorities_of_tor")
        file = files("vanished.reach").joinpath("goarounds", "tor.toml")
        shipped = parse(file.read_text("utf-8"), Path(str(file)))
        if not own:
            return shipped
        part = Part("directory authorities", "any", tuple(Endpoint(f"tcp://{a}") for a in own))
        return replace(shipped, parts=(part,))
    urls = []
    for line in found.texts("bridges"):
        broker, where = _BROKER.search(line), _PLACE.search(line)
        if found.pluggable in FRONTED:
            urls += [broker[1]] if broker else []
        elif where:
            urls.append(f"tcp://{where[0]}")
    part = Part("bridges", "any", tuple(Endpoint(url) for url in urls))
    return App("tor", "Tor's bridges", (part,), date.min, (), test_name="tor")


async def tor_seen(test: GoAroundTest, found: GoAround) -> AroundSeen:
    """Test one way into Tor."""
    from vanished.reach.goaround_test import AroundSeen

    app = servers(found)
    tested = await AppTest(test.settings.web, test.door, test.control).measure(app)
    base = tested.measurement
    canary, _ = await test.canary()
    block = base.keys.x_vanished
    parts = (block.parts if block else None) or ()
    reached = [one.state == "ok" for one in parts]
    seen = GoAroundSeen("tor", reachable=any(reached) if reached else None)
    if not canary.ok:
        seen = replace(seen, failure="canary_failed")
    else:
        own = Carrying()
        seen = await test.carried(found, seen, test.settings.tor_s, own)
        base = replace(
            base,
            test_keys=replace(
                base.keys, tor_progress=own.progress, tor_progress_tag=own.progress_tag or None,
                bootstrap_time=own.up_s,
            ),
        )  # fmt: skip
        if seen.traffic is False and found.flight and parts:
            where = _PLACE.search(parts[0].url)
            assert where is not None
            seen = await test.compared(found, seen, [where[1].strip("[]")], int(where[2]))
        elif seen.traffic is False:
            seen = await test.compared(found, seen, [])
    return AroundSeen(found, seen, recorded(found, base, seen), (tor_record(found, base),))
