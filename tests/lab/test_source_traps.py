"""Whatever goes wrong on the way must read as a failed look, never as a loss."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.lab.direct import BASE, Always, Direct, account_of, look, naming, world
from vanished.lab.clock import SteppedClock
from vanished.lab.platform import Platform
from vanished.lab.serve import serving
from vanished.lab.source import LabSource
from vanished.lab.traps import Trap
from vanished.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Cause,
    Fault,
    Kind,
    Micros,
    Strength,
)
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Exchange
from vanished.net.politeness import Politeness


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(world().start)


@pytest.fixture
def source() -> LabSource:
    return LabSource(naming, {"url": BASE + "/"})


FAULTS = {
    Trap.RATE_LIMITED: Fault.RATE_LIMITED,
    Trap.SERVER: Fault.SERVER,
    Trap.CAPTCHA: Fault.CAPTCHA,
    Trap.LOGIN_PAGE: Fault.LOGIN_WALL,
    Trap.LOGIN_REDIRECT: Fault.LOGIN_WALL,
    Trap.EMPTY: Fault.EMPTY,
    Trap.SHORT: Fault.TRUNCATED,
    Trap.CUT: Fault.TRUNCATED,
    Trap.RESET: Fault.CONNECT,
}


def a_case(alive_at: Micros) -> tuple[int, int]:
    """A post that lives at that time, and one that is lost with a notice."""
    posts = world().posts
    alive = next(i for i, p in enumerate(posts) if world().is_alive(i, alive_at) and not p.loss)
    lost = next(
        i for i, p in enumerate(posts) if p.loss and p.loss.gone(alive_at) and p.loss.form.words
    )
    return alive, lost


@pytest.mark.parametrize("u", [0.0, 0.3, 0.6, 0.999])
async def test_each_trap_is_a_failed_look_and_never_a_loss(u: float) -> None:
    t = world().start + 6 * DAY
    clock = SteppedClock(t)
    platform = Platform(world(), clock, 0.0)
    settings = DoorSettings(allow_networks=("127.0.0.0/8",))
    alive, lost = a_case(t)
    with serving(platform) as url:
        source = LabSource(naming, {"url": url})
        async with Door(settings, clock, Politeness(1e6)) as door:
            for trap in Trap:
                platform.traps = Always(world(), 1.0, trap, u)
                await clock.pause(100 * SECOND)  # longer than any Retry-After
                for number in (alive, lost):
                    seen = (await look(source, number, door.fetcher(), url)).observation
                    if trap in FAULTS:
                        assert seen.signal.fault is FAULTS[trap], (trap, seen)
                    elif number == alive:
                        assert seen.signal.kind is Kind.ALIVE, (trap, seen)
                    account = account_of(source, world().posts[number].account)
                    found = await source.discover(account, "", door.fetcher())
                    if trap in FAULTS:
                        assert found.observation.signal.fault is FAULTS[trap], (trap, found)
                        assert found.sightings == ()
                        assert found.complete_since is None
                        assert found.cursor == ""


async def test_only_replicas_and_bursts_can_show_a_false_loss_and_it_is_weak() -> None:
    """Four thousand looks at living posts under traps: what says gone says so weakly."""
    clock = SteppedClock(world().start)
    platform = Platform(world(), clock, 0.3)
    source, direct = LabSource(naming, {"url": BASE}), Direct(platform, clock)
    host = next(burst for burst in platform.traps.bursts if burst.account is None)
    false: Counter[str] = Counter()
    for moment in (host.start + MINUTE, *(world().start + d * DAY for d in (2, 9, 16))):
        clock.jump(moment)
        for number, post in enumerate(world().posts):
            now = clock.now()
            if post.published_at <= now and world().is_alive(number, now + HOUR):
                seen = (await look(source, number, direct)).observation
                if seen.signal.kind is Kind.GONE:
                    assert seen.signal.strength is Strength.WEAK
                    assert seen.signal.causes == {Cause.UNKNOWN}
                    denied = platform.traps.denied(post.account, now)
                    false["burst" if denied else "replica"] += 1
    assert false["burst"] > 20


async def test_a_false_404_of_a_replica_that_is_behind_is_weak(clock: SteppedClock) -> None:
    platform = Platform(world(), clock, 0.0)
    platform.traps = Always(world(), 1.0, Trap.STALE, 0.9)
    source, direct = LabSource(naming, {"url": BASE}), Direct(platform, clock)
    number, post = next(
        (i, p) for i, p in enumerate(world().posts) if p.published_at > world().start + DAY
    )
    clock.jump(post.published_at + SECOND)
    signal = (await look(source, number, direct)).observation.signal
    assert (signal.kind, signal.strength) == (Kind.GONE, Strength.WEAK)
    assert signal.causes == {Cause.UNKNOWN}


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html><body>hello</body></html>"),
        (403, "text/html", b"<html><body>no</body></html>"),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"ok":false,"error":{"message":"new wording"}}'),
    ],
)
async def test_what_no_rule_reads_is_unreadable(
    source: LabSource, status: int, kind: str, body: bytes
) -> None:
    class Shows:
        async def request(self, method: str, url: str, **_: object) -> Exchange:
            return Exchange(url, 1, 2, status, {"content-type": kind}, body)

    discovery = await source.discover(account_of(source, 0), "7", Shows())
    assert discovery.observation.signal.fault is Fault.UNREADABLE
    assert discovery.cursor == "7"
    if kind == "text/html":
        seen = (await look(source, 0, Shows())).observation
        assert seen.signal.fault is Fault.UNREADABLE
