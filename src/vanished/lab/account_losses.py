"""Accounts whose posts and selves are removed, with known truth.

In: a seeded generator, and how unequal accounts are. Out: tables of posts, accounts and kinds
(`archive.arrow`), and what is true of them: how concentrated removals are in the population that
the accounts are drawn from, and how many accounts are lost after a removed post and without one.
Accounts that post much are removed more often for that alone, and so are those of one platform:
who compares without matching is misled. Nobody wrote these posts; they have no words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.archive.arrow import ACCOUNTS, POSTS
from vanished.model import DAY, Cause, State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

START: Final = 1_700_000_000_000_000  # an arbitrary moment, in microseconds
NEVER: Final = np.inf
PLATFORMS: Final = ("lab", "strict lab")
KINDS: Final = ("reader", "shop", "press", "lawyer", "poet")


@dataclass(frozen=True, slots=True)
class Population:
    """What accounts are drawn from. Hazards are a day, of an account of the middle number of posts;
    those of removal grow with the square root of that number."""

    days: float = 120.0
    posts_median: float = 20.0  # an account in all these days
    posts_sigma: float = 0.8  # of its logarithm: log-normal
    removed: float = 0.03  # mean chance of a post to be removed
    alike: float = 5.0  # parameters of the Beta law of these chances sum to it
    delay_h: float = 12.0  # mean age at removal: exponential
    base: float = 0.001  # hazard of removal of an account that had no post removed
    more: float = 0.010  # the same after its first removed post is this much higher
    closed: float = 0.0005  # hazard of being closed by its own author
    strict: float = 0.3  # share of accounts on the strict platform
    times: float = 3.0  # by which hazards and removals are higher there
    look_h: float = 24.0  # between looks at an account
    post_look_h: float = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Lives:
    """What became of accounts. Moments are days since the start, never: infinite."""

    strict: Flags
    first: Floats  # first removed post
    base: Floats  # hazard of removal without one
    end: Floats  # loss of the account
    by_author: Flags  # of that loss
    removed: Ints  # posts
    owner: Ints  # of each post that was published
    born: Floats  # each post
    taken: Floats  # each post: its removal


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What a watch knows, and what is true."""

    posts: pa.Table
    accounts: pa.Table
    kinds: pa.Table  # account, kind
    population: Population
    lives: Lives

    def lost_within(self, days: float) -> tuple[float, float]:
        """Shares of accounts removed within `days` of a first removed post: of those that had one,
        and of the same accounts had they had none."""
        had = np.isfinite(self.lives.first)
        base, closed = self.lives.base[had], self.population.closed
        more = self.population.more * np.where(self.lives.strict[had], self.population.times, 1)
        shares = []
        for hazard in (base + more, base):
            total = hazard + closed
            shares.append(float((hazard / total * -np.expm1(-total * days)).mean()))
        return shares[0], shares[1]


def world(rng: np.random.Generator, accounts: int = 400, of: Population | None = None) -> World:
    """`accounts` drawn from a population, and what a watch of all of them recorded."""
    of = of or Population()
    found = lives(rng, accounts, of)
    names = np.char.add("account-", np.arange(accounts).astype(str))
    kind = np.array(KINDS)[np.minimum(rng.geometric(0.55, accounts) - 1, len(KINDS) - 1)]
    kinds = pa.table({"account": pa.array(names), "kind": pa.array(kind)})
    return World(_posts(rng, found, names, of), _accounts(rng, found, names, of), kinds, of, found)


def lives(rng: np.random.Generator, accounts: int, of: Population) -> Lives:
    """What becomes of `accounts` drawn from a population, unseen by anybody."""
    strict = rng.random(accounts) < of.strict
    times = np.where(strict, of.times, 1.0)
    mean = of.posts_median * np.exp(of.posts_sigma * rng.standard_normal(accounts))
    chance = rng.beta(of.removed * of.alike, (1 - of.removed) * of.alike, accounts)
    owner = np.repeat(np.arange(accounts), rng.poisson(mean))
    born = rng.uniform(0, of.days, owner.size)
    falls = rng.random(owner.size) < np.minimum(chance * times, 1)[owner]
    taken = np.where(falls, born + rng.exponential(of.delay_h / 24, owner.size), NEVER)
    taken[taken > of.days] = NEVER
    first = np.full(accounts, NEVER)
    np.minimum.at(first, owner, taken)
    base = of.base * times * np.sqrt(mean / of.posts_median)
    platform = rng.exponential(1 / base)
    raised = first + rng.exponential(1 / np.maximum(of.more * times, 1e-12))
    author = rng.exponential(1 / of.closed, accounts)
    end = np.minimum(np.minimum(platform, raised), author)
    by_author = end == author
    first = np.where(first < end, first, NEVER)
    end = np.where(end < of.days, end, NEVER)
    there = born < end[owner]
    owner, born, taken = owner[there], born[there], taken[there]
    taken = np.where(taken < end[owner], taken, NEVER)
    removed = np.bincount(owner[np.isfinite(taken)], minlength=accounts).astype(np.int64)
    return Lives(strict, first, base, end, by_author, removed, owner, born, taken)


def _micros(days: Floats) -> Ints:
    found: Ints = START + np.rint(np.where(np.isfinite(days), days, 0) * DAY).astype(np.int64)
    return found


def _seen(
    rng: np.random.Generator, at: Floats, since: Floats, look_h: float, end: float
) -> tuple[Floats, Floats]:
    """Last proof of life and first sight of the loss at `at`, of looks every `look_h` until `end`;
    the last one infinite where nobody saw a loss."""
    phase, width = rng.random(at.size), look_h / 24
    known = at + (1 - phase) * width
    lost = np.isfinite(at) & (known <= end)
    last = np.where(lost, at, np.minimum(at, end)) - phase * width
    return np.maximum(last, since), np.where(lost, known, NEVER)


def _posts(
    rng: np.random.Generator, found: Lives, names: NDArray[np.str_], of: Population
) -> pa.Table:
    owner, born = found.owner, found.born
    removed = np.isfinite(found.taken)
    at = np.minimum(found.taken, found.end[owner])
    last, gone = _seen(rng, at, born, of.post_look_h, of.days)
    lost = np.isfinite(gone)
    cause = np.where(removed, Cause.PLATFORM.value, Cause.ACCOUNT.value)
    columns = {
        "post": pa.array(np.char.add("post-", np.arange(owner.size).astype(str))),
        "account": pa.array(names[owner]),
        "platform": pa.array(np.where(found.strict[owner], PLATFORMS[1], PLATFORMS[0])),
        "published_at": pa.array(_micros(born)),
        "first_seen_at": pa.array(_micros(born)),
        "alive_from": pa.array(_micros(born)),
        "alive_until": pa.array(_micros(last)),
        "gone_by": pa.array(_micros(gone), mask=~lost),
        "state": pa.array(np.where(lost, State.GONE.value, State.ALIVE.value)),
        "causes": pa.array(np.where(lost, cause, "")),
        "explained_by": pa.array(names[owner], mask=removed | ~lost),
        "looks": pa.array(np.full(owner.size, 3)),
        "failed": pa.array(np.zeros(owner.size, np.int64)),
    }
    empty = pa.array([""] * owner.size, pa.string())
    return pa.table([columns.get(n, empty) for n in POSTS.names], POSTS.names).cast(POSTS)


def _accounts(
    rng: np.random.Generator, found: Lives, names: NDArray[np.str_], of: Population
) -> pa.Table:
    number = found.end.size
    last, gone = _seen(rng, found.end, np.zeros(number), of.look_h, of.days)
    lost = np.isfinite(gone)
    cause = np.where(found.by_author, Cause.AUTHOR.value, Cause.PLATFORM.value)
    columns = {
        "account": pa.array(names),
        "platform": pa.array(np.where(found.strict, PLATFORMS[1], PLATFORMS[0])),
        "added_at": pa.array(np.full(number, START)),
        "alive_until": pa.array(_micros(last)),
        "gone_by": pa.array(_micros(gone), mask=~lost),
        "state": pa.array(np.where(lost, State.GONE.value, State.ALIVE.value)),
        "causes": pa.array(np.where(lost, cause, "")),
        "notice": pa.array([""] * number),
    }
    return pa.table([columns[n] for n in ACCOUNTS.names], ACCOUNTS.names).cast(ACCOUNTS)
