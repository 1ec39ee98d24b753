"""Whether campaigns are found and calm is left alone, in known series and annotated ones.

In: simulated series (`lab.removal_series`), and the Turing Change Point Dataset where it lies
beside the checkout. Out: claims. All series are read with the same default settings.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from vanished.explain.change_points import change_points, stabilized
from vanished.explain.online import online
from vanished.lab.change_scores import Score, f_measure, score
from vanished.lab.removal_series import DAYS, removal_series

SEEDS = range(1, 6)
SERIES, NULL = 30, 12  # a seed
MARGIN = 4  # bins of six hours
TCPD = ROOT.parent / "shared/data/tcpd"


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about half a minute."""
    scores = {seed: _simulated(seed) for seed in SEEDS}
    worst = min(found.f1 for found, _ in scores.values())
    whole = sum((found for found, _ in scores.values()), Score())
    alarms = sum(wrong for _, wrong in scores.values()) / (len(scores) * NULL)
    ours, never = _annotated()
    heard, late, wrong = _online()
    return [
        at_least(f"campaigns, F1, {len(SEEDS)} x {SERIES} series", whole.f1, "F1", 0.93),
        at_least(f"the worst {SERIES} of them", worst, "F1", 0.93),
        Claim("precision", whole.precision, "share", "none", True),
        Claim("recall", whole.recall, "share", "none", True),
        at_most(f"false alarms, {len(SEEDS)} x {NULL} null series", alarms, f"in {DAYS} days", 0.1),
        at_least("TCPD, univariate, default settings", ours, "mean F1", 0.70),
        at_least("the same above never alarming", ours - never, "mean F1", 0.0),
        Claim("online: campaigns heard while they last", heard, "share", "none", True),
        Claim("online: median delay", late, "bins of 6 h", "none", True),
        Claim("online: false alerts, null series", wrong, f"in {DAYS} days", "none", True),
    ], []


def _simulated(seed: int) -> tuple[Score, int]:
    """The score of the series with campaigns, and the false alarms in those without."""
    rng = np.random.default_rng(seed)
    total, alarms = Score(), 0
    for number in range(SERIES + NULL):
        series = removal_series(rng, 3 if number < SERIES else 0)
        found = change_points(stabilized(series.removed, series.at_risk)).at
        if series.edges:
            total += score(found, series.edges, MARGIN)
        else:
            alarms += len(found)
    return total, alarms


def _annotated() -> tuple[float, float]:
    """Mean F1 over the univariate series, of ours and of never alarming."""
    if not TCPD.is_dir():
        raise BenchError("the data 'tcpd' are not beside this checkout")
    annotations = json.loads((TCPD / "annotations.json").read_text())
    ours, never = [], []
    for path in sorted(Path(TCPD).glob("datasets/*/*.json")):
        facts = json.loads(path.read_text())
        if facts["n_dim"] != 1:
            continue
        raw = facts["series"][0]["raw"]
        values = np.array([np.nan if v is None else v for v in raw], float)
        ours.append(f_measure(annotations[facts["name"]], change_points(values).at))
        never.append(f_measure(annotations[facts["name"]], ()))
    return float(np.mean(ours)), float(np.mean(never))


def _online() -> tuple[float, float, float]:
    """Share of campaigns heard, median delay in bins, false alerts a null series."""
    rng = np.random.default_rng(99)
    heard, late, wrong = [], [], 0
    for number in range(2 * NULL):
        series = removal_series(rng, 3 if number < NULL else 0)
        alerts = np.flatnonzero(online(series.removed, series.at_risk).alert)
        for begin, end in zip(series.edges[::2], series.edges[1::2], strict=True):
            inside = [int(a) - begin for a in alerts if begin <= a < end]
            heard.append(bool(inside))
            late += inside[:1]
        wrong += 0 if series.edges else len(alerts)
    return float(np.mean(heard)), float(np.median(late)), wrong / NULL
