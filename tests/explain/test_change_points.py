"""A campaign that is missed is a story lost; one that is invented is a false accusation."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from tests.needs import needs_shared
from vanished.explain.change_points import (
    ChangeSettings,
    as_rate,
    change_points,
    dispersion,
    stabilized,
)  # fmt: skip
from vanished.explain.online import OnlineSettings, online
from vanished.lab.change_scores import Score, f_measure, hits, score
from vanished.lab.removal_series import removal_series


def test_campaigns_are_found_and_calm_is_left_alone() -> None:
    rng = np.random.default_rng(7)
    total, alarms = Score(), 0
    for number in range(15):
        series = removal_series(rng, 3 if number < 10 else 0)
        found = change_points(stabilized(series.removed, series.at_risk)).at
        if series.edges:
            total += score(found, series.edges, 4)
        else:
            alarms += len(found)
    assert total.f1 >= 0.92
    assert alarms == 0


def test_levels_come_back_as_rates() -> None:
    series = removal_series(np.random.default_rng(1), 1)
    found = change_points(stabilized(series.removed, series.at_risk))
    assert len(found.at) == 2
    calm, storm, after = (as_rate(level) for level in found.levels)
    assert calm == pytest.approx(0.02, abs=0.003)
    assert after == pytest.approx(0.02, abs=0.003)
    assert storm > 1.7 * calm
    assert 0 <= found.correlation < 0.3
    assert found.noise > 0


def test_a_gap_is_neither_calm_nor_storm() -> None:
    series = removal_series(np.random.default_rng(4), 0)
    values = stabilized(series.removed, series.at_risk)
    values[200:320] = np.nan
    found = change_points(values)
    assert found.at == ()
    assert found.missing == 120
    stormy = removal_series(np.random.default_rng(1), 1)
    begin, end = stormy.edges
    values = stabilized(stormy.removed, stormy.at_risk)
    values[begin - 20 : begin] = np.nan
    (first, second) = change_points(values).at
    assert abs(first - begin) <= 2, "a change in a gap is dated to its end"
    assert abs(second - end) <= 4


def test_drifting_noise_is_no_change() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(20):
        noise = np.zeros(400)
        for t in range(1, 400):
            noise[t] = 0.8 * noise[t - 1] + rng.normal()
        alarms += len(change_points(noise).at)
    assert alarms <= 4, "correlated noise looks like changes to whoever takes it as independent"


def test_what_holds_no_change_is_no_error() -> None:
    for values in ([], [1.0], [3.0] * 50, [np.nan] * 9, [1, 2, 1]):
        assert change_points(values).at == ()
    assert change_points([0.0] * 30 + [9.0] * 30).at == (30,)
    few = stabilized([0, 1, 2], [0, 4, 9], least=5)
    assert np.isnan(few[:2]).all()
    assert few[2] == pytest.approx(2 * np.arcsin(np.sqrt(2 / 9)))
    wide = change_points(np.r_[np.zeros(10), 1, 1, 1, np.zeros(10)], ChangeSettings(least_bins=5))
    assert 3 not in np.diff([0, *wide.at, 23])


def test_dispersion_tells_bursts_from_independent_posts() -> None:
    rng = np.random.default_rng(3)
    n = rng.poisson(400, 700)
    assert dispersion(rng.binomial(n, 0.02), n) == pytest.approx(1, abs=0.15)
    together = rng.binomial(n, rng.beta(3, 147, 700))  # 1 + 399 / 151 times the variance
    assert dispersion(together, n) == pytest.approx(3.6, rel=0.25)
    assert dispersion([1, 2], [9, 9]) == 1


def test_alerts_come_soon_and_seldom_for_nothing() -> None:
    rng = np.random.default_rng(99)
    found, late, wrong = 0, [], 0
    for number in range(10):
        series = removal_series(rng, 3 if number < 6 else 0)
        alerts = np.flatnonzero(online(series.removed, series.at_risk).alert)
        spans = list(zip(series.edges[::2], series.edges[1::2], strict=True))
        for begin, end in spans:
            inside = [a - begin for a in alerts if begin <= a < end]
            found += bool(inside)
            late += inside[:1]
        wrong += sum(not any(b <= a < e for b, e in spans) for a in alerts)
    assert found >= 13, "of 18 campaigns"
    assert np.median(late) <= 4, "bins of six hours"
    assert wrong <= 25, "in ten times 180 days"


def test_an_alert_uses_nothing_that_came_later() -> None:
    series = removal_series(np.random.default_rng(6), 2)
    x, n = series.removed.astype(float), series.at_risk.astype(float)
    x[50:60] = np.nan
    whole = online(x, n, OnlineSettings())
    part = online(x[:300], n[:300], OnlineSettings())
    np.testing.assert_allclose(part.chance, whole.chance[:300])
    np.testing.assert_array_equal(part.alert, whole.alert[:300])
    assert not whole.alert[50:60].any()


def test_scores_are_those_of_their_definition() -> None:
    assert score([10, 50], [12, 90], 4) == Score(1, 1, 1)
    assert hits([10, 12], [11], 5) == {10}, "one found change hits one true one"
    assert f_measure({"1": [], "2": []}, []) == 1
    # Found 0 and 20: 0 and 22 of {0, 22, 60} are hit, so P = 1; R = (2/2 + 2/3) / 2.
    assert f_measure({"1": [22], "2": [22, 60]}, [20]) == pytest.approx(2 * (5 / 6) / (1 + 5 / 6))
    assert Score().f1 == 1


def test_annotated_series_are_read_better_than_by_never_alarming() -> None:
    annotations = json.loads(needs_shared("tcpd/annotations.json").read_text())
    ours, never = [], []
    for path in sorted(needs_shared("tcpd").glob("datasets/*/*.json")):
        facts = json.loads(path.read_text())
        if facts["n_dim"] == 1:
            raw = facts["series"][0]["raw"]
            values = np.array([np.nan if v is None else v for v in raw], float)
            marked = annotations[facts["name"]]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                ours.append(f_measure(marked, change_points(values).at))
            never.append(f_measure(marked, []))
    assert len(ours) == 31
    assert np.mean(never) == pytest.approx(0.663, abs=0.001)
    assert np.mean(ours) >= 0.70
