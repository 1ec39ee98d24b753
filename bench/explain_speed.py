"""How well `explain speed` finds the true lifetimes of simulated posts, and how much it can carry.

In: worlds of `lab.lifetimes`. Out: claims. Errors and coverage are of the shares of posts still
there at ages of 1 to 24 hours, of posts alive at the first age told of. The worlds of coverage
have accounts that differ. Nothing else does this: surpyval, which the tests compare, has neither
competing causes of interval-censored lives nor resamples of clusters.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.harness import Claim, Peer, at_least, at_most
from vanished.explain.speed import Speed, SpeedSettings, speed
from vanished.lab.lifetimes import (
    EVERY_12_HOURS,
    FRONT_LOADED,
    LONG,
    ZHU_2013,
    Crowd,
    Life,
    LogNormal,
    Rhythm,
    watched,
)
from vanished.model import Cause

Floats = NDArray[np.float64]

AGES_H = (1.0, 2.0, 4.0, 8.0, 12.0, 24.0)
LIFE = Life({Cause.PLATFORM: (0.4, LogNormal(3.0, 1.6))})  # the world of our study's comparison
REPEATS = 200
RHYTHMS = {"front-loaded looks": FRONT_LOADED, "looks every 12 h": EVERY_12_HOURS}
ERRORS = {"front-loaded looks": 0.010, "looks every 12 h": 0.020}
MILLION = 1_000_000


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about ten minutes."""
    claims = []
    for name, looks in RHYTHMS.items():
        claims.append(
            at_most(f"error of survival, {name}", error(looks), "mean abs.", ERRORS[name])
        )
        data, curve = coverage(looks)
        claims.append(at_least(f"95 % band of the data covers, {name}", data, "share", 0.93))
        claims.append(at_least(f"95 % band of the curve covers, {name}", curve, "share", 0.93))
    claims += zhu()
    claims += million()
    return claims, []


def error(looks: tuple[float, ...], repeats: int = REPEATS) -> float:
    """Mean absolute error of the fitted survival of 2,000 posts of accounts that are alike."""
    settings = SpeedSettings(ages_h=AGES_H, resamples=10)
    found = []
    for seed in range(repeats):
        posts = watched(np.random.default_rng(seed), LIFE, Rhythm(looks))
        result = speed(posts, settings=settings)
        curve = result.groups["all"].curves["any"]
        assert curve.fit is not None
        found.append(np.abs(curve.fit - truth(result)).mean())
    return float(np.mean(found))


def coverage(looks: tuple[float, ...], repeats: int = REPEATS) -> tuple[float, float]:
    """Shares of true values inside the band of the data, and inside that of the curve."""
    crowd = Crowd(alike=20.0)
    inside = []
    for seed in range(repeats):
        posts = watched(np.random.default_rng(10_000 + seed), LIFE, Rhythm(looks), crowd)
        result = speed(posts, settings=SpeedSettings(ages_h=AGES_H, seed=seed))
        curve, true = result.groups["all"].curves["removed"], truth(result)
        assert curve.fit_low is not None
        assert curve.fit_high is not None
        by_data = (curve.low <= true) & (true <= curve.high)
        by_curve = (curve.fit_low <= true) & (true <= curve.fit_high)
        inside.append((by_data.mean(), by_curve.mean()))
    data, curve_share = np.mean(inside, axis=0).tolist()
    return data, curve_share


def truth(result: Speed, life: Life = LIFE) -> Floats:
    """The true share gone by each age, of posts alive where the result begins."""
    group = result.groups["all"]
    before = life.gone(np.array([group.since_h]))
    found: Floats = (life.gone(group.ages_h) - before) / (1 - before)
    return found


def zhu() -> list[Claim]:
    """The shares that Zhu et al. 2013 publish, of a platform set to them and looked at often."""
    life = Life({Cause.PLATFORM: (0.12, ZHU_2013), Cause.AUTHOR: (0.05, LogNormal(20.0, 1.5))})
    rhythm = Rhythm(LONG, first_median_h=1 / 60, first_sigma=0.7)
    crowd = Crowd(posts=40_000, accounts=2_000, alike=20.0)
    posts = watched(np.random.default_rng(2013), life, rhythm, crowd)
    ages_h = (1 / 12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 48.0, 96.0, 168.0, 240.0)
    group = speed(posts, settings=SpeedSettings(ages_h=ages_h)).groups["all"]
    share = {round(age * 60): found.value for age, found in group.within}
    median = float(ZHU_2013.age(np.array([0.5]))[0])
    held = group.median_h.low <= median <= group.median_h.high
    early, day = share[30] - share[5], share[24 * 60]
    wrong = group.fitted is None or group.fitted.holds
    return [
        at_most("Zhu 2013: removals in minutes 5 to 30, off 30 %", abs(early - 0.3), "share", 0.04),
        at_most("Zhu 2013: removals within 24 h, off 90 %", abs(day - 0.9), "share", 0.03),
        Claim("that world's median age at removal is inside", float(held), "", "= 1", held),
        at_most("a curve of the wrong family is said to hold", float(wrong), "", 0),
    ]


def million() -> list[Claim]:
    """Seconds for a million posts, and the most memory of a process that makes them and counts."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.explain_speed"], capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    return [
        at_most("10^6 posts of 20,000 accounts", seconds, "s", 60),
        at_most("its process, with the making of the posts", megabytes, "MB", 1000),
    ]


def _one_million() -> None:
    life = replace(LIFE, taken={**LIFE.taken, Cause.AUTHOR: (0.05, LogNormal(20.0, 1.5))})
    posts = watched(np.random.default_rng(1), life, crowd=Crowd(MILLION, 20_000, 20.0))
    began = time.perf_counter()
    speed(posts)
    taken = time.perf_counter() - began
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


if __name__ == "__main__":
    _one_million()
