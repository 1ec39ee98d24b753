"""A world with known truth: accounts, posts, a censor, and everything that will ever happen.

`World.generate(seed)` draws it once; from then on it is immutable, and every question is a pure
function of the world and a time. So several processes can serve the same world, and the truth can
be written down at any moment. What a platform shows of it, and how it fails, stands in `pages`,
`platform` and `traps`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from vanished.lab.genesis import create, default_campaign
from vanished.lab.nouns import LabAccount, LabPost, Recipe
from vanished.model import MINUTE, SECOND, Micros, micros

START: Micros = micros(datetime(2025, 3, 1, tzinfo=UTC))
"""When a world begins unless told otherwise."""

LAGS: tuple[Micros, ...] = (0, 90 * SECOND, 5 * MINUTE)
"""How far each replica of the platform is behind. The first is the one that usually answers."""

MOST_LAG: Micros = max(LAGS)


@dataclass(frozen=True)
class World:
    """Accounts and posts with their truth; `post` and `account` find them by native id."""

    recipe: Recipe
    accounts: tuple[LabAccount, ...]
    posts: tuple[LabPost, ...]  # in order of publication
    post: Mapping[str, int] = field(init=False, repr=False)
    account: Mapping[str, int] = field(init=False, repr=False)
    _of: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    _times: tuple[tuple[Micros, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        of: list[list[int]] = [[] for _ in self.accounts]
        for i, post in enumerate(self.posts):
            of[post.account].append(i)
        times = tuple(tuple(self.posts[i].published_at for i in own) for own in of)
        object.__setattr__(self, "post", {post.id: i for i, post in enumerate(self.posts)})
        object.__setattr__(self, "account", {a.id: i for i, a in enumerate(self.accounts)})
        object.__setattr__(self, "_of", tuple(tuple(own) for own in of))
        object.__setattr__(self, "_times", times)

    @classmethod
    def generate(
        cls,
        seed: int,
        days: int = 31,
        accounts: int = 60,
        posts_per_day: float = 100.0,
        start: Micros = START,
        **shares: Any,
    ) -> World:
        """The world of `seed`. `shares` are further fields of `nouns.Recipe`.

        Unless `campaign` is given (None: no campaign), the default one sweeps from the middle on.
        """
        shares.setdefault("campaign", default_campaign(start, days))
        recipe = Recipe(seed, start, days=days, accounts=accounts, **shares)
        recipe = replace(recipe, posts_per_day=posts_per_day)
        return cls(recipe, *create(recipe))

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def start(self) -> Micros:
        return self.recipe.start

    @property
    def end(self) -> Micros:
        return self.recipe.end

    def is_alive(self, post: int, t: Micros) -> bool:
        """Whether post number `post` is published and not lost at `t`."""
        entry = self.posts[post]
        return entry.published_at <= t and not (entry.loss is not None and entry.loss.gone(t))

    def listed(
        self, account: int, t: Micros, before: Micros | None, limit: int
    ) -> tuple[list[int], bool]:
        """The newest `limit` living posts of an account at `t`, newest first, and whether older
        ones may follow. `before` leaves out what was published at that moment or later.
        """
        own = self._of[account]
        newest = t if before is None else min(t, before - 1)
        found: list[int] = []
        for position in range(bisect_right(self._times[account], newest) - 1, -1, -1):
            if len(found) == limit:
                return found, True
            if self.is_alive(own[position], t):
                found.append(own[position])
        return found, False
