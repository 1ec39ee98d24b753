"""Crossing 500 reposts: forecasts after one hour beside what came, and losses beside their truth.

In: 2,245 public Weibo cascades of 2010 to 2014 and 30 of 2016 that lie beside the checkout, and
simulated worlds. Out: claims. The model is learned from the earliest 60 % of the cascades and asked
about the later ones. "Within h hours" is by the recorded reposts, "ever" by the final counter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from vanished.explain.forecast import Model, forecast
from vanished.explain.forecast_fit import Cascade, FitSettings, fit
from vanished.explain.forecast_prior import prior
from vanished.explain.spread import spread
from vanished.explain.spread_rows import RATIO
from vanished.lab.cascades import CascadeWorld, cascades
from vanished.lab.weibo_cascades import Recorded, casflow, ced, watched

DATA = ROOT.parent / "shared/data"
CED = DATA / "weibo-ced/ced_cascades.jsonl.gz"
CASFLOW = DATA / "casflow-sample/dataset/sample/dataset.txt"
LINE = 500
HOURS = (1.0, 3.0, 6.0, 24.0)
TRAINED = 0.6  # of the cascades, by time
REPEATS = 200
EFFECT = 3.0

Floats = NDArray[np.float64]


def run() -> tuple[list[Claim], list[Peer]]:
    """The claims on real and simulated cascades. Takes about four minutes."""
    recorded = _read(CED, ced)
    cut = int(TRAINED * len(recorded))
    later = recorded[cut:]
    model = fit([watched(one) for one in recorded[:cut]], FitSettings())
    claims = _shipped(model)
    claims += _forecast("Weibo cascades, learned earlier and asked later", model, later)
    claims += _ever(recorded, cut)
    claims += _casflow(prior())
    return claims + _rates(), []


def _read(path: Path, read: object) -> Sequence[Recorded]:
    if not path.exists():
        raise BenchError(f"the cascades '{path.name}' are not beside this checkout")
    found: Sequence[Recorded] = read(path)  # type: ignore[operator]
    return found


def _shipped(model: Model) -> list[Claim]:
    """The prior is the model that the committed script learned: its numbers agree."""
    pairs = [
        (a, b)
        for ours, theirs in zip(prior().horizons, model.horizons, strict=True)
        for a, b in zip(ours.weights, theirs.weights, strict=True)
    ]
    return [at_most("the model that is shipped, to the one learned here", max(
        abs(a - b) for a, b in pairs), "largest difference of a weight", 0.01)]  # fmt: skip


def asked(model: Model, recorded: Sequence[Recorded], hours: Sequence[float]) -> Floats:
    """The forecast after one hour: shape (cascades, hours)."""
    rows = []
    for one in recorded:
        history = watched(one).history.until(1.0)
        assert history is not None
        rows.append([found.crossing for found in forecast(model, history, LINE, hours)])
    return np.asarray(rows)


def came(recorded: Sequence[Recorded], hours: Sequence[float]) -> Floats:
    """Whether the line had been reached within each of `hours` after the first."""
    crossed = np.asarray([one.crossed_h(LINE) for one in recorded])
    return np.asarray(crossed[:, None] <= 1 + np.asarray(hours)[None, :], float)


def _forecast(what: str, model: Model, recorded: Sequence[Recorded]) -> list[Claim]:
    """AUC and calibration by time ahead, of cascades under the line after one hour, and of all."""
    chances, truth = asked(model, recorded, HOURS), came(recorded, HOURS)
    under = np.asarray([one.crossed_h(LINE) > 1 for one in recorded])
    claims = []
    for number, hours in enumerate(HOURS):
        p, y = chances[:, number], truth[:, number]
        base = f"{what}: {LINE} within {hours:g} h, {int(y[under].sum())} of {int(under.sum())}"
        claims.append(at_least(f"{base}, AUC", auc(y[under], p[under]), "AUC", 0.9))
        claims.append(at_most(f"{base}, calibration error", ece(y[under], p[under]), "ECE", 0.05))
        with_crossed = f"with the {int((~under).sum())} that had crossed"
        claims.append(at_least(f"{base}, {with_crossed}", auc(y, p), "AUC", 0.9))
    p, y = chances[under].ravel(), truth[under].ravel()
    claims.append(at_least(f"{what}: all four times ahead together", auc(y, p), "AUC", 0.9))
    claims.append(at_most(f"{what}: all four times ahead together", ece(y, p), "ECE", 0.05))
    return claims


def _ever(recorded: Sequence[Recorded], cut: int) -> list[Claim]:
    """Crossing at any time, by the final counter: learned with that label."""
    forever = 24.0 * 365
    known = [_ended(one, forever) for one in recorded[:cut]]
    model = fit(known, replace(FitSettings(), ages_h=(1,), horizons_h=(24, forever - 24)))
    later = recorded[cut:]
    p = asked(model, later, (forever - 24,))[:, 0]
    y = np.asarray([one.final >= LINE for one in later], float)
    under = np.asarray([one.crossed_h(LINE) > 1 for one in later])
    what = f"Weibo cascades: {LINE} at any time, by the final counter"
    return [
        at_least(f"{what}, {int(y[under].sum())} of {int(under.sum())}, AUC",
                 auc(y[under], p[under]), "AUC", 0.9),
        at_least(f"{what}, with those that had crossed, AUC", auc(y, p), "AUC", 0.9),
        at_most(f"{what}, calibration error", ece(y[under], p[under]), "ECE", 0.05),
        at_least(f"{what}, by the count after 24 h instead of 1 h", auc(y, np.asarray(
            [float((one.events_h <= 24).sum()) for one in later])), "AUC", 0.9),
    ]  # fmt: skip


def _ended(one: Recorded, forever: float) -> Cascade:
    """A cascade whose last look, years later, shows the final counter."""
    found = watched(one)
    history = found.history
    last = float(max(one.final, history.low[-1]))
    longer = replace(
        history,
        ages_h=np.append(history.ages_h, forever),
        low=np.append(history.low, last),
        high=np.append(history.high, last),
    )
    return Cascade(longer, forever)


def _casflow(model: Model) -> list[Claim]:
    """The shipped model on cascades of another year, small ones too: crossings it expects."""
    recorded = [one for one in _read(CASFLOW, casflow) if one.crossed_h(LINE) > 1]
    came_ = int(came(recorded, (24.0,)).sum())
    expected = float(asked(model, recorded, (24.0,)).sum())
    return [at_most(f"DeepHawkes sample of 2016: {LINE} within 24 h, {came_} of {len(recorded)}"
                    " came, expected off by", abs(expected - came_), "posts", 2)]  # fmt: skip


def _rates() -> list[Claim]:
    """How often the interval of the rate ratio holds the truth, without an effect and with one."""
    claims = []
    for effect in (1.0, EFFECT):
        held, positive, logs = 0, 0, []
        for seed in range(REPEATS):
            world = CascadeWorld(after=effect, uneven=0.8, posts=600, accounts=60, most=520)
            made = cascades(seed, world)
            rows = spread(made.posts, made.counts).table().to_pylist()
            row = next(row for row in rows if row["finding"] == RATIO)
            if row["low"] is None:
                raise BenchError("a world had too few removals to compare")
            held += row["low"] <= effect <= row["high"]
            positive += row["p"] < 0.05
            logs.append(math.log(row["value"]))
        what = f"rate of removal after crossing, {effect:g} times, in {REPEATS} worlds"
        claims.append(at_least(f"{what}: 95 % interval holds it", held / REPEATS, "share", 0.92))
        claims.append(at_most(f"{what}: median ratio, off by", abs(
            math.exp(float(np.median(logs))) / effect - 1), "share", 0.08))  # fmt: skip
        if effect == 1.0:
            claims.append(at_most(f"{what}: false positives at 5 %", positive / REPEATS, "share",
                                  0.08))  # fmt: skip
    return claims


def auc(crossed: Floats, chances: Floats) -> float:
    """The share of pairs in the right order; ties count half (Mann and Whitney 1947)."""
    values, place = np.unique(chances, return_inverse=True)
    yes = np.bincount(place, crossed, len(values))
    no = np.bincount(place, 1 - crossed, len(values))
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


def ece(crossed: Floats, chances: Floats, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    off = np.bincount(place, crossed - chances, bins)
    return float(np.abs(off).sum() / len(crossed))
