"""Lifetimes of posts with known truth, as a watch of a given rhythm would have them.

In: a seeded generator, which causes take how many posts after what time, and when the watch looks.
Out: a table of posts (`archive.arrow.POSTS`), and what is true of every age. A post that went
before its first sight is in no table, as in life. Nobody wrote these posts; they have no words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from vanished.archive.arrow import POSTS
from vanished.model import DAY, HOUR, Cause, State

Floats = NDArray[np.float64]

FRONT_LOADED: Final = (1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 36.0, 48.0)  # hours after first sight
EVERY_12_HOURS: Final = (12.0, 24.0, 36.0, 48.0)
DENSE: Final = (*(minutes / 60 for minutes in range(5, 60, 5)), *FRONT_LOADED)
"""A look every five minutes of the first hour, as a watch of few accounts can afford."""
LONG: Final = (*DENSE, 72.0, 96.0, 168.0, 240.0, 288.0)

START: Final = 1_700_000_000_000_000  # an arbitrary moment, in microseconds


class Law(Protocol):
    """When the posts that a cause takes are gone; ages in hours."""

    def by(self, age: Floats) -> Floats:
        """The share of them that is gone by that age."""

    def age(self, share: Floats) -> Floats:
        """The age by which that share of them is gone."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Ages whose logarithm is normal."""

    median_h: float
    sigma: float

    def by(self, age: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            found: Floats = ndtr(np.log(age / self.median_h) / self.sigma)
        return found

    def age(self, share: Floats) -> Floats:
        found: Floats = self.median_h * np.exp(self.sigma * ndtri(share))
        return found


@dataclass(frozen=True, slots=True)
class Pieces:
    """Shares gone by given ages, straight lines between them."""

    ages_h: tuple[float, ...]  # rising, from 0
    shares: tuple[float, ...]  # rising, from 0 to 1

    def by(self, age: Floats) -> Floats:
        return np.interp(age, self.ages_h, self.shares)

    def age(self, share: Floats) -> Floats:
        return np.interp(share, self.shares, self.ages_h)


ZHU_2013: Final = Pieces(
    (0.0, 5 / 60, 0.5, 1.0, 6.0, 24.0, 240.0), (0.0, 0.05, 0.35, 0.48, 0.75, 0.90, 1.0)
)
"""Deletions of original posts on Sina Weibo, as far as Zhu et al. 2013 ("The Velocity of
Censorship", USENIX Security) publish them in the abstract: nearly 30 % fall into minutes 5 to 30,
nearly 90 % into the first 24 hours, most into the first hour. What is between is a guess."""


@dataclass(frozen=True, slots=True)
class Life:
    """What becomes of posts: `taken[cause]` is the share that it takes in the end, and when."""

    taken: Mapping[Cause, tuple[float, Law]]

    def gone(self, age: Floats, cause: Cause | None = None) -> Floats:
        """The share of all posts that `cause` (None: any) has taken by that age in hours."""
        laws = [v for c, v in self.taken.items() if cause in (None, c)]
        found: Floats = np.sum([share * law.by(age) for share, law in laws], axis=0)
        return found


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a watch looks."""

    looks_h: tuple[float, ...] = FRONT_LOADED
    jitter: float = 0.1  # each look is early or late by up to this part of its own delay
    missed: float = 0.1  # share of looks that fail
    first_median_h: float = 0.05  # first sight after publication: log-normal
    first_sigma: float = 1.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who posts. With `alike`, accounts differ: their shares of loss are drawn from a Beta law
    whose two parameters sum to it. None: all accounts are treated alike."""

    posts: int = 2000
    accounts: int = 100
    alike: float | None = None


def watched(
    rng: np.random.Generator,
    life: Life,
    rhythm: Rhythm | None = None,
    crowd: Crowd | None = None,
    platform: str = "lab",
) -> pa.Table:
    """The posts of `crowd` that the watch saw alive, as `archive.arrow.posts` would return them."""
    rhythm, crowd = rhythm or Rhythm(), crowd or Crowd()
    account = rng.integers(0, crowd.accounts, crowd.posts)
    cause, age = _ends(rng, life, crowd, account)
    first = rhythm.first_median_h * np.exp(rhythm.first_sigma * rng.standard_normal(crowd.posts))
    seen = first < age
    cause, age, first, account = cause[seen], age[seen], first[seen], account[seen]
    delay = np.asarray(rhythm.looks_h)
    shape = (first.size, delay.size)
    look = first[:, None] + delay * (1 + rng.uniform(-rhythm.jitter, rhythm.jitter, shape))
    answered = rng.random(shape) >= rhythm.missed
    there = answered & (look < age[:, None])
    last = np.maximum(first, np.where(there, look, 0).max(1, initial=0))
    lost = np.where(answered & (look >= age[:, None]), look, np.inf).min(1, initial=np.inf)
    born = START + rng.integers(0, 30 * DAY, first.size)
    return _table(born, account, (first, last, lost), cause, answered, platform)


def _ends(
    rng: np.random.Generator, life: Life, crowd: Crowd, account: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Of each post the number of its cause in `life.taken` and its age then; never: infinite."""
    shares = np.array([share for share, _ in life.taken.values()])
    scale = np.ones(crowd.accounts)
    if crowd.alike is not None:
        total = shares.sum()
        scale = rng.beta(total * crowd.alike, (1 - total) * crowd.alike, crowd.accounts) / total
    drawn = rng.random(account.size) / np.maximum(scale[account], 1e-12)
    cause = np.searchsorted(np.cumsum(shares), drawn, side="right")
    age = np.full(account.size, np.inf)
    for number, (_, law) in enumerate(life.taken.values()):
        taken = cause == number
        age[taken] = law.age(rng.random(int(taken.sum())))
    names = [list(Cause).index(c) for c in life.taken]
    return np.array([*names, -1])[cause], age


def _table(
    born: NDArray[np.int64],
    account: NDArray[np.int64],
    ages: tuple[Floats, Floats, Floats],
    cause: NDArray[np.int64],
    answered: NDArray[np.bool_],
    platform: str,
) -> pa.Table:
    first, last, lost = ages
    gone = np.isfinite(lost)
    number = born.size
    moments = [born + (hours * HOUR).astype(np.int64) for hours in (first, last)]
    gone_by = born + np.where(gone, lost * HOUR, 0).astype(np.int64)
    names = np.array([c.value for c in Cause])
    columns = {
        "post": pa.array([f"post-{i}" for i in range(number)]),
        "account": pa.array(np.char.add("account-", account.astype(str))),
        "platform": pa.array([platform] * number),
        "published_at": pa.array(born),
        "first_seen_at": pa.array(moments[0]),
        "alive_from": pa.array(moments[0]),
        "alive_until": pa.array(moments[1]),
        "gone_by": pa.array(gone_by, mask=~gone),
        "state": pa.array(np.where(gone, State.GONE.value, State.ALIVE.value)),
        "causes": pa.array(np.where(gone, names[cause], "")),
        "looks": pa.array(1 + answered.shape[1] * np.ones(number, np.int64)),
        "failed": pa.array((~answered).sum(1).astype(np.int64)),
        "explained_by": pa.nulls(number, pa.string()),
    }
    empty = pa.array([""] * number)
    return pa.table([columns.get(name, empty) for name in POSTS.names], POSTS.names).cast(POSTS)
