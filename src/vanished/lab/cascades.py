"""Cascades with known truth: self-exciting reposts, a censor that looks at them, polled counters.

In: a seed and what the world is like. Out: the tables that an observatory would have of it, and the
truth: when each post reached the line and when it was removed. Nobody's posts: numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.archive import arrow
from vanished.model import HOUR, Count, State
from vanished.sources.shown_count import shown_count

Floats = NDArray[np.float64]
START = 20_000 * 24 * HOUR  # a midnight


@dataclass(frozen=True, slots=True)
class CascadeWorld:
    """What the world is like. Hours are ages of posts."""

    posts: int = 400
    accounts: int = 40
    line: int = 500  # reposts
    virality: tuple[float, float] = (0.72, 0.16)  # reposts a repost brings: mean and spread
    root: tuple[float, float] = (4.3, 1.0)  # log of what the post itself weighs as: mean, spread
    removal_per_h: float = 0.004  # below the line, from birth on
    after: float = 1.0  # times as much once the line is reached
    uneven: float = 0.0  # spread of the logarithm of an account's rate of removal
    looks_h: Sequence[float] = tuple(np.concatenate(
        [np.arange(0.25, 12, 0.25), np.arange(12, 49, 1), np.arange(60, 169, 12)]))  # fmt: skip
    missed: float = 0.1  # of looks that failed
    exact_below: int = 10_000  # from here on reposts are shown as "1.2万"
    open_from: int | None = None  # from here on they are shown as "so many and more"
    most: int = 3_000  # reposts at which a cascade is no longer followed


@dataclass(frozen=True, slots=True)
class Truth:
    """Ages in hours, one a post; infinite where it never came. `events` has the ages of the reposts
    that would have been made if nothing had been removed."""

    crossed_h: Floats
    removed_h: Floats
    events: Sequence[Floats]


@dataclass(frozen=True, slots=True)
class Cascades:
    """The tables as `archive.arrow` has them, and the truth in the order of `posts`."""

    posts: pa.Table
    counts: pa.Table
    truth: Truth


def cascades(seed: int, world: CascadeWorld = CascadeWorld()) -> Cascades:
    """One run of the world."""
    rng = np.random.default_rng(seed)
    account = rng.integers(0, world.accounts, world.posts)
    rate = np.exp(rng.normal(-(world.uneven**2) / 2, world.uneven, world.accounts))
    last = float(max(world.looks_h))
    events, crossed, removed = [], np.full(world.posts, np.inf), np.full(world.posts, np.inf)
    posts: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for number in range(world.posts):
        ages = cascade(rng, world, last)
        events.append(ages)
        if len(ages) >= world.line:
            crossed[number] = ages[world.line - 1]
        removed[number] = _removed(rng, world, float(rate[account[number]]), crossed[number])
        born = START + int(rng.uniform(0, 30 * 24) * HOUR)
        seen = np.asarray([age for age in world.looks_h if rng.random() >= world.missed])
        post, looked = _watched(f"post{number}", f"account{account[number]}", born, seen,
                                removed[number], ages, world)  # fmt: skip
        posts.append(post)
        counts += looked
    order = np.argsort([row["first_seen_at"] for row in posts], kind="stable")
    return Cascades(
        pa.Table.from_pylist([posts[n] for n in order], schema=arrow.POSTS),
        pa.Table.from_pylist(counts, schema=arrow.COUNTS),
        Truth(crossed[order], removed[order], [events[n] for n in order]),
    )


def cascade(rng: np.random.Generator, world: CascadeWorld, last_h: float) -> Floats:
    """Ages of the reposts of one post, in order: each repost brings others (Hawkes), with the
    memory kernel of Zhao et al. 2015."""
    virality = float(np.clip(rng.normal(*world.virality), 0.05, 0.97))
    parents, weight = np.zeros(1), float(np.exp(rng.normal(*world.root)))
    found = [np.zeros(0)]
    while len(parents) and sum(map(len, found)) < world.most:
        children = rng.poisson(virality * weight, len(parents))
        ages = np.repeat(parents, children) + _delays(rng, int(children.sum()))
        parents, weight = ages[ages <= last_h], 1.0
        found.append(parents)
    return np.sort(np.concatenate(found))


def shown(count: int, world: CascadeWorld) -> Count:
    """The counter as the platform of this world shows it, read back as an interval."""
    text = f"{count}"
    if world.open_from is not None and count >= world.open_from:
        text = f"{world.open_from}+"
    elif count >= world.exact_below:
        text = f"{count / 10_000:.1f}万"
    found = shown_count(text)
    assert found is not None
    return found


def _delays(rng: np.random.Generator, number: int) -> Floats:
    """Hours from a repost to one that it brings: even for five minutes, then a power law."""
    short, theta = 300 / 3600, 0.242
    even = rng.random(number) < theta / (1 + theta)
    late = short * rng.random(number) ** (-1 / theta)
    return np.where(even, rng.uniform(0, short, number), late)


def _removed(rng: np.random.Generator, world: CascadeWorld, rate: float, crossed: float) -> float:
    """The age at which the censor takes the post: its hazard changes once the line is reached."""
    before = world.removal_per_h * rate
    if not before:
        return float(np.inf)
    due = float(rng.exponential())
    if due <= before * crossed:
        return due / before
    return crossed + (due - before * crossed) / (before * world.after)


def _watched(
    post: str,
    account: str,
    born: int,
    seen_h: Floats,
    removed_h: float,
    events: Floats,
    world: CascadeWorld,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A post's row and its counts, from looks at these ages."""
    alive, after = seen_h[seen_h < removed_h], seen_h[seen_h >= removed_h]
    times = [born + int(age * HOUR) for age in alive]
    row = dict.fromkeys(arrow.POSTS.names) | {
        "post": post, "account": account, "platform": "lab", "published_at": born,
        "first_seen_at": born, "causes": "", "confidence": "", "notice": "", "looks": len(seen_h),
        "failed": 0, "title": "", "text": "", "state": State.ALIVE.value if times else
        State.UNKNOWN.value, "alive_from": times[0] if times else None,
        "alive_until": times[-1] if times else None,
    }  # fmt: skip
    if len(after):
        row |= {"state": State.GONE.value, "causes": "platform",
                "gone_by": born + int(after[0] * HOUR)}  # fmt: skip
    counts = []
    for age, time in zip(alive, times, strict=True):
        count = shown(int(np.searchsorted(events, age, side="right")), world)
        counts.append(
            dict.fromkeys(arrow.COUNTS.names)
            | {"post": post, "at": time, "until": time, "reposts_low": count.low,
               "reposts_high": count.high}
        )  # fmt: skip
    return row, counts
