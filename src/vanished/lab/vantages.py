"""The simulated platform seen from several vantages, one of which may be lied to.

In: a world, a clock, who is told false "not found" and when. Out: a door whose routes lead straight
into the platform's own function, without sockets: ten thousand looks take seconds. A lie changes
what a vantage is shown, never the world: none of them stands in its truth.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.lab.clock import SteppedClock
from vanished.lab.month import watch_world
from vanished.lab.pages import BARE_404, Answer
from vanished.lab.platform import Platform
from vanished.lab.source import LabSource
from vanished.lab.traps import Trap
from vanished.lab.world import MOST_LAG, World
from vanished.model import MINUTE, SECOND, Fault, Micros
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Exchange
from vanished.net.fetcher import Fetcher
from vanished.net.politeness import Politeness
from vanished.watch.progress import Event, Progress

BASE = "http://lab.invalid"
SECOND_ROUTE = "second"
STRIDE: Micros = 5 * MINUTE  # what is due within it is asked together: a faster month
NEVER_WAS = "p0000000"  # a post that no world has, as a canary that is gone
HERE, THERE = "here", f"here via {SECOND_ROUTE}"

SETTINGS = """\
# An observatory of the lab's simulated platform, from more than one vantage.
[observatory]
id = "{id}"

[watch]
discover_every_s = 21600
commit_every_s = 1800
look_every_s = [[21600, 3600], [86400, 14400], [259200, 28800], [2678400, 86400]]

[net.proxies]
{route} = "socks5h://127.0.0.1:9"

[judge]
stale_s = {stale_s}

[capture]
keep = false

[sources.lab]
url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Lie:
    """False "not found": a `share` of the answers to `vantage` ("": everybody), for a time.

    `by_post`: the same posts are always denied, as a country's block or a lost replica does it;
    else every answer is drawn afresh.
    """

    share: float
    vantage: str = ""
    by_post: bool = False
    since: Micros = 0
    until: Micros = 2**62

    def told(self, vantage: str, path: str, turn: int, now: Micros) -> bool:
        if self.vantage not in ("", vantage) or not self.since <= now < self.until:
            return False
        drawn = f"lie {path} {vantage} {'' if self.by_post else turn}".encode()
        digest = hashlib.blake2b(drawn, digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < self.share


class LabDoor(Door):
    """Routes into the platform; counts the looks of each vantage, and the lies among them.

    Requests for the `unwatched` paths (canaries) are answered alike and not counted.
    """

    def __init__(
        self,
        platform: Platform,
        clock: SteppedClock,
        lies: Sequence[Lie] = (),
        unwatched: frozenset[str] = frozenset(),
    ) -> None:
        proxies = {SECOND_ROUTE: "socks5h://127.0.0.1:9"}
        settings = DoorSettings(timeout_s=5, vantage=HERE, proxies=proxies)
        super().__init__(settings, clock, Politeness(1e6))
        self.platform = platform
        self.lies = lies
        self.unwatched = unwatched
        self.looks: dict[str, int] = {}
        self.lied: dict[str, int] = {}
        self._turns: dict[tuple[str, str], int] = {}

    def fetcher(self, prepaid: int = 1, proxy: str | None = None) -> Fetcher:
        del prepaid
        return _Straight(self, self.vantage(proxy))

    def answer(self, vantage: str, url: str) -> Exchange:
        """What `vantage` is shown of `url` now; redirects are followed."""
        asked_at, hops = self.clock.now(), list[str]()
        shown, fault = self._step(vantage, url)
        while shown.status == 302 and len(hops) < self.settings.max_redirects:
            hops.append(url)
            url = urljoin(url, dict(shown.headers)["location"])
            shown, fault = self._step(vantage, url)
        return Exchange(
            url,
            asked_at,
            self.clock.now(),
            shown.status,
            {"content-type": shown.type},
            b"" if fault is Fault.TRUNCATED else shown.body,
            hops=tuple(hops),
            fault=fault,
            vantage=vantage,
        )

    def _step(self, vantage: str, url: str) -> tuple[Answer, Fault | None]:
        parts, now = urlsplit(url), self.clock.now()
        path = parts.path
        turn = self._turns.get((vantage, path), 0)
        self._turns[vantage, path] = turn + 1
        counted = path not in self.unwatched
        self.looks[vantage] = self.looks.get(vantage, 0) + counted
        delivery = self.platform.answer(path, parts.query, turn, now)
        if delivery.trap in (Trap.SHORT, Trap.RESET):
            return delivery.answer, Fault.TRUNCATED
        status = delivery.answer.status
        if status == 429 or status >= 500:
            return delivery.answer, Fault.RATE_LIMITED if status == 429 else Fault.SERVER
        if any(lie.told(vantage, path, turn, now) for lie in self.lies):
            self.lied[vantage] = self.lied.get(vantage, 0) + counted
            return BARE_404, None
        return delivery.answer, None


class _Straight(Fetcher):
    """A fetcher that calls the platform's own function."""

    __slots__ = ("_from", "_to")

    def __init__(self, door: LabDoor, vantage: str) -> None:
        self.exchanges = []
        self._to = door
        self._from = vantage

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        del method, headers, body, private
        await asyncio.sleep(0)
        exchange = self._to.answer(self._from, url)
        self.exchanges.append(exchange)
        return exchange


def living(world: World, many: int = 3) -> list[str]:
    """Posts from before the world's beginning that live through it: they make alive canaries."""
    old = (p.id for p in world.posts if p.loss is None and p.published_at < world.start)
    return list(islice(old, many))


def watch_from(
    folder: Path,
    world: World,
    until: Micros,
    *,
    lies: Sequence[Lie] = (),
    routes: Sequence[str] = (),
    canaries: bool = True,
    traps: float = 0.0,
    events: list[Event] | None = None,
) -> tuple[Progress, LabDoor]:
    """Watch `world` through `routes` ("direct", "second") until `until`, in a new folder."""
    clock = SteppedClock(world.start, stride=STRIDE)
    known = [*living(world), NEVER_WAS] if canaries else []
    unwatched = frozenset(f"/p/{ident}" for ident in known)
    door = LabDoor(Platform(world, clock, traps), clock, lies, unwatched)
    with Observatory.create(folder) as observatory:
        text = SETTINGS.format(
            id=observatory.settings.id, route=SECOND_ROUTE, stale_s=MOST_LAG / SECOND, url=BASE
        )
        text += f"routes = {list(routes)}\n".replace("'", '"')
        if known:
            text += f"canaries = {{ alive = {known[:-1]}, gone = {known[-1:]} }}\n".replace(
                "'", '"'
            )
        (folder / FILE).write_text(text, encoding="utf-8")
        source = LabSource(observatory.naming, {"url": BASE})
        for account in world.accounts:
            observatory.add_account(source.account(account.id), clock.now())
    told = [] if events is None else events
    with Observatory.open(folder, write=True) as observatory:
        progress = asyncio.run(watch_world(observatory, clock, until, tell=told.append, door=door))
    return progress, door
