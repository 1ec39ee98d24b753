"""Everything that makes a wrong observer see a removal where there is none.

In: a seed, a path, how often that path was asked, a time. Out: which trap, if any, this answer
falls into. Traps are drawn from a hash, so the same question at the same turn meets the same
trap, in whatever order the questions come. Bursts of false "not found" last for a time and are
drawn once. No trap changes the world: none of them ever stands in its truth.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

import numpy as np

from vanished.lab.world import World
from vanished.model import DAY, MINUTE, SECOND, Micros


class Trap(StrEnum):
    RATE_LIMITED = "rate_limited"  # 429 with Retry-After
    SERVER = "server"  # 500, 502 or 503
    CAPTCHA = "captcha"  # a challenge, as 200
    LOGIN_PAGE = "login_page"  # a login form, as 200
    LOGIN_REDIRECT = "login_redirect"  # 302 to the login form
    EMPTY = "empty"  # a list with nothing in it; a page without its content
    SHORT = "short"  # fewer bytes than Content-Length announces
    CUT = "cut"  # the length is right, the document is not whole
    RESET = "reset"  # the connection is reset before the answer
    SLOW = "slow"  # the right answer, late
    STALE = "stale"  # the right answer of a replica that is behind


WEIGHTS: Mapping[Trap, float] = {
    Trap.RATE_LIMITED: 0.12,
    Trap.SERVER: 0.18,
    Trap.CAPTCHA: 0.12,
    Trap.LOGIN_PAGE: 0.07,
    Trap.LOGIN_REDIRECT: 0.06,
    Trap.EMPTY: 0.10,
    Trap.SHORT: 0.08,
    Trap.CUT: 0.07,
    Trap.RESET: 0.05,
    Trap.SLOW: 0.05,
    Trap.STALE: 0.10,
}
"""What part of the traps each one is."""

_ORDER = tuple(WEIGHTS)
_EDGES = tuple(accumulate(WEIGHTS.values()))

RETRY_AFTER_S = (5, 60)
SLOW: tuple[Micros, Micros] = (5 * SECOND, 180 * SECOND)
BURST: tuple[Micros, Micros] = (5 * MINUTE, 40 * MINUTE)
HOST_BURSTS_A_DAY = 2 / 31
ACCOUNT_BURSTS_A_DAY = 0.4 / 31


@dataclass(frozen=True, slots=True)
class Draw:
    """One answer's luck: a trap or none, and a number in [0, 1) for whatever else is open."""

    trap: Trap | None
    u: float

    def between(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int(self.u * (high - low + 1))


NO_TRAP = Draw(None, 0.0)


@dataclass(frozen=True, slots=True)
class Burst:
    start: Micros
    end: Micros
    account: int | None  # None: the whole host


@dataclass(frozen=True)
class Traps:
    """The traps of one platform: `share` of all answers, and bursts in proportion to it."""

    world: World
    share: float = 0.2
    bursts: tuple[Burst, ...] = field(init=False)
    _starts: Mapping[int | None, tuple[Micros, ...]] = field(init=False, repr=False)
    _by: Mapping[int | None, tuple[Burst, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"the share of traps is {self.share}; it must be from 0 to 1")
        bursts = _draw_bursts(self.world, self.share / 0.2)
        by: dict[int | None, list[Burst]] = {}
        for burst in bursts:
            by.setdefault(burst.account, []).append(burst)
        object.__setattr__(self, "bursts", bursts)
        object.__setattr__(self, "_by", {key: tuple(found) for key, found in by.items()})
        object.__setattr__(
            self, "_starts", {key: tuple(b.start for b in found) for key, found in by.items()}
        )

    def draw(self, path: str, turn: int) -> Draw:
        """The luck of the `turn`-th request for `path`."""
        if not self.share:
            return NO_TRAP
        seed = f"{self.world.seed} {path} {turn}".encode()
        digest = hashlib.blake2b(seed, digest_size=16).digest()
        first = int.from_bytes(digest[:8], "big") / 2**64
        u = int.from_bytes(digest[8:], "big") / 2**64
        if first >= self.share:
            return Draw(None, u)
        which = bisect_right(_EDGES, first / self.share * _EDGES[-1])
        return Draw(_ORDER[min(which, len(_ORDER) - 1)], u)

    def denied(self, account: int, t: Micros) -> bool:
        """Whether a burst makes everything of `account` answer a bare "not found" at `t`."""
        return self._within(None, t) or self._within(account, t)

    def _within(self, key: int | None, t: Micros) -> bool:
        starts = self._starts.get(key)
        if not starts:
            return False
        position = bisect_right(starts, t) - 1
        return position >= 0 and t < self._by[key][position].end


def _draw_bursts(world: World, scale: float) -> tuple[Burst, ...]:
    """Bursts in order of start; two of the same account or host never overlap."""
    rng = np.random.default_rng([world.seed, 404])
    days = (world.end - world.start) / DAY
    bursts = []
    for account in (None, *range(len(world.accounts))):
        a_day = HOST_BURSTS_A_DAY if account is None else ACCOUNT_BURSTS_A_DAY
        count = int(rng.poisson(scale * a_day * days))
        starts = sorted(world.start + int(x * days * DAY) for x in rng.random(count))
        free = world.start
        for start in starts:
            begin = max(start, free)
            free = begin + int(rng.integers(BURST[0], BURST[1]))
            bursts.append(Burst(begin, free, account))
    return tuple(sorted(bursts, key=lambda burst: (burst.start, burst.end)))
