"""Half a year of posts around episodes in which removals rise, or in which only writing changes.

In: a seed's generator and what the episodes do. Out: a table of posts (`archive.arrow.POSTS`), and
which days belong to episodes. Accounts differ in how often they are removed, and the hazard of all
remembers yesterday, so that days are no independent draws. The posts have no words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.archive.arrow import POSTS
from vanished.model import DAY, HOUR, Micros

BEGIN: Final[Micros] = 20_000 * DAY  # a midnight, UTC
DAYS: Final = 180
ACCOUNTS: Final = 100
RISKY: Final = 10  # of them, the most often removed
EPISODES: Final = (30, 65, 100, 140)  # first days
LONG: Final = 7  # days


@dataclass(frozen=True, slots=True)
class Tension:
    """What an episode multiplies, and how the world is without any. 1 is no change."""

    removals: float = 1.0  # the hazard of a post: the effect that is looked for
    volume: float = 1.0  # posts of all
    risky: float = 1.0  # posts of the accounts that are removed most
    posts_a_day: float = 60.0
    share: float = 0.03  # of posts, removed
    spread: float = 1.0  # standard deviation of the logarithm of accounts' risks
    restless: float = 0.3  # the same, of days'
    memory: float = 0.7  # correlation of a day's with the one before


def tense_posts(rng: np.random.Generator, tension: Tension) -> tuple[pa.Table, NDArray[np.bool_]]:
    """The posts, a removal coming within a day, and a mask of the `DAYS` days."""
    inside = np.zeros(DAYS, bool)
    for first in EPISODES:
        inside[first : first + LONG] = True
    risk = np.sort(np.exp(rng.normal(size=ACCOUNTS) * tension.spread))
    risk /= risk.mean()
    writes = rng.gamma(2.0, size=ACCOUNTS)
    writes /= writes.sum()
    storm = np.where(inside[:, None], tension.volume, 1.0) * np.ones(ACCOUNTS)
    storm[inside, -RISKY:] *= tension.risky
    number = rng.poisson(tension.posts_a_day * writes * storm)
    day, account = (np.repeat(part.ravel(), number.ravel()) for part in np.indices(number.shape))
    born = BEGIN + day * DAY + rng.integers(0, DAY, day.size)
    gone = born + rng.integers(HOUR, DAY, day.size)
    when = np.minimum((gone - BEGIN) // DAY, DAYS - 1)
    hazard = _hazard(rng, tension) * np.where(inside, tension.removals, 1.0)
    lost = rng.random(day.size) < 1 - np.exp(-tension.share * risk[account] * hazard[when])
    return _table(born, gone, lost, account), inside


def _hazard(rng: np.random.Generator, tension: Tension) -> NDArray[np.float64]:
    """Each day's, of mean one."""
    log = np.empty(DAYS)
    log[0] = rng.normal()
    fresh = np.sqrt(1 - tension.memory**2)
    for day in range(1, DAYS):
        log[day] = tension.memory * log[day - 1] + fresh * rng.normal()
    return np.exp(tension.restless * log - tension.restless**2 / 2)


def _table(
    born: NDArray[np.int64],
    gone: NDArray[np.int64],
    lost: NDArray[np.bool_],
    account: NDArray[np.int64],
) -> pa.Table:
    seen = born + HOUR // 2
    end = BEGIN + (DAYS + 8) * DAY
    many = born.size
    columns = {
        "post": pa.array([f"p{number}" for number in range(many)]),
        "account": pa.array([f"a{each}" for each in account.tolist()]),
        "platform": pa.repeat("invented", many),
        "published_at": born,
        "first_seen_at": seen,
        "alive_from": seen,
        "alive_until": np.where(lost, gone - HOUR // 2, end),
        "gone_by": pa.array(gone, mask=~lost),
        "state": pa.array(np.where(lost, "gone", "alive")),
        "causes": pa.array(np.where(lost, "platform", "")),
        "confidence": pa.repeat("high", many),
        "explained_by": pa.nulls(many, pa.string()),
        "notice": pa.repeat("", many),
        "looks": np.full(many, 9),
        "failed": np.zeros(many, np.int64),
        "title": pa.repeat("", many),
        "text": pa.repeat("", many),
    }
    return pa.table(columns, schema=POSTS)
