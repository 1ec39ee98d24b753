"""Ask the lab's platform without a socket, or with the trap that a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from vanished.lab.clock import SteppedClock
from vanished.lab.platform import Delivery, Platform
from vanished.lab.source import LabSource
from vanished.lab.traps import Draw, Trap, Traps
from vanished.lab.world import World
from vanished.model import Account, Look, Micros, Post
from vanished.net.exchange import Exchange, Fetch

BASE = "http://lab.invalid"


def naming(platform: str, native_id: str) -> str:
    return f"{platform}-{native_id}"


@dataclass(frozen=True)
class Always(Traps):
    """Every answer falls into `trap`; there are no bursts."""

    trap: Trap | None = None
    u: float = 0.5

    def draw(self, path: str, turn: int) -> Draw:
        return Draw(self.trap, self.u)

    def denied(self, account: int, t: Micros) -> bool:
        return False


class Direct:
    """A `Fetch` that calls the platform's own function; follows redirects."""

    def __init__(self, platform: Platform, clock: SteppedClock) -> None:
        self.platform = platform
        self.clock = clock
        self.paths: list[str] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        asked_at = self.clock.now()
        delivery = self.step(url)
        hops = []
        while delivery.answer.status == 302:
            hops.append(url)
            url = BASE + dict(delivery.answer.headers)["location"]
            delivery = self.step(url)
        answer = delivery.answer
        return Exchange(
            url,
            asked_at,
            self.clock.now(),
            status=answer.status,
            headers={"content-type": answer.type},
            body=answer.body,
            wire=answer.body,
            hops=tuple(hops),
        )

    def step(self, url: str) -> Delivery:
        parts = urlsplit(url)
        self.paths.append(parts.path)
        return self.platform.answer(parts.path, parts.query, 0, self.clock.now())


@cache
def world() -> World:
    """The world that most tests share: drawing it takes half a second."""
    return World.generate(1)


def post_of(number: int, base: str = BASE) -> Post:
    post = world().posts[number]
    account = naming("lab", world().accounts[post.account].id)
    return Post(naming("lab", post.id), account, "lab", post.id, f"{base}/p/{post.id}")


async def look(source: LabSource, number: int, fetch: Fetch, base: str = BASE) -> Look:
    [answer] = await source.look([post_of(number, base)], fetch)
    return answer


def account_of(source: LabSource, number: int) -> Account:
    return source.account(world().accounts[number].id)
