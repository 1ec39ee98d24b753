"""How `speed` estimates: its settings, with their defaults and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class By(StrEnum):
    """What posts are grouped by."""

    ALL = "all"
    PLATFORM = "platform"
    ACCOUNT = "account"  # for eyes inside the team: a group is one author
    TOPIC = "topic"
    WEEK = "week"  # ISO week of publication, UTC


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    """How to estimate."""

    by: By = By.ALL
    ages_h: tuple[float, ...] = (1 / 12, 0.25, 0.5, 1, 2, 4, 8, 12, 24, 48, 96, 168, 336)
    open_too: bool = False  # count losses of several possible causes as removals: an upper bound
    entry_within_h: float = 48.0  # a post first seen later is no witness of how posts begin
    least_accounts: int = 5  # in every cell; 1 for eyes inside the team
    least_posts: int = 50  # of a group; smaller ones are put together
    most_groups: int = 60  # the smaller ones are put together
    at_risk: int = 30  # posts; below it, nothing is said of an age
    tail: float = 0.05  # or below that part of the group's posts
    least_losses: int = 20  # removals; below it, no curve is fitted
    resamples: int = 200
    cells: int = 300  # of age, see `ages.Grid`
    tolerance: float = 0.01  # a fitted curve may leave the band by that share of the removals
    margin: float = 4.0  # of AIC, by which a family must beat the lognormal
    seed: int = 1
