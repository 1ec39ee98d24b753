"""Forecasts of crossing: a number that is sure of itself and wrong gets somebody into trouble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench.explain_spread import CED, asked, auc, came, ece

from tests.explain.test_spread import counted
from tests.explain.test_window import table
from tests.needs import needs_shared
from vanished.errors import UsageError
from vanished.explain.alert import AlertSettings, alert
from vanished.explain.forecast import NO_REMOVAL, Model, Removal, forecast
from vanished.explain.forecast_fit import Cascade, FitSettings, fit
from vanished.explain.forecast_prior import model_json, prior, read_model
from vanished.explain.growth import QUIET, History, active_hours, kernel_mass, self_exciting
from vanished.lab.cascades import Cascades, CascadeWorld, cascade, cascades
from vanished.lab.weibo_cascades import ced
from vanished.model import DAY, HOUR
from vanished.publish.drawing import svg

LOOKS = np.concatenate([np.arange(1, 48) / 4, np.arange(12, 49)])


def history(*counts: float, high: float | None = None) -> History:
    """Counts a quarter of an hour apart; `high` is the upper end of the last."""
    low = np.asarray(counts, float)
    most = low.copy()
    most[-1] = low[-1] if high is None else high
    return History(20_000 * DAY, np.arange(1, len(low) + 1) / 4, low, most)


def simulated(seed: int, number: int, removal_per_h: float = 0.0) -> list[Cascade]:
    """Cascades of the lab, cut where they were removed; and their whole course, unseen by `fit`."""
    rng, found = np.random.default_rng(seed), []
    world = CascadeWorld(most=900)
    for _ in range(number):
        events = cascade(rng, world, 50.0)
        ended = rng.exponential(1 / removal_per_h) if removal_per_h else 50.0
        seen = LOOKS[ended >= LOOKS]
        if len(seen):
            counts = np.searchsorted(events, seen, side="right").astype(float)
            born = (20_000 * 24 + int(rng.integers(0, 720))) * HOUR
            found.append(Cascade(History(born, seen, counts, counts), float(seen[-1])))
    return found


def outcome(model: Model, cascades_: list[Cascade], hours: float) -> tuple[np.ndarray, np.ndarray]:
    """Chances after an hour and whether it came, of cascades that were under 300 then."""
    p, y = [], []
    for one in cascades_:
        known = one.history.until(1.0)
        if known is not None and known.low[-1] < 300:
            p.append(forecast(model, known, 300, [hours])[0].crossing)
            y.append(float(one.history.until(1 + hours).low[-1] >= 300))  # type: ignore[union-attr]
    return np.asarray(p), np.asarray(y)


@pytest.fixture(scope="module")
def learned() -> Model:
    return fit(simulated(1, 900), FitSettings(number=300, ages_h=(1, 3), horizons_h=(3, 12)))


def test_chances_are_what_comes_and_tell_posts_apart(learned: Model) -> None:
    p, y = outcome(learned, simulated(2, 700), 12)
    assert 0.03 < y.mean() < 0.4
    assert auc(y, p) > 0.9
    assert ece(y, p) < 0.04


def test_removal_does_not_teach_that_posts_stay_small(learned: Model) -> None:
    """A censor that takes half of the posts within hours: forecasts without it stay the same."""
    settings = FitSettings(number=300, ages_h=(1, 3), horizons_h=(3, 12))
    cut = simulated(1, 1800, removal_per_h=0.06)
    fair = fit(cut, settings)
    # what would be learned if a removed post counted as one that did not cross
    stays = [
        Cascade(
            replace(
                one.history,
                ages_h=np.append(one.history.ages_h, 50.0),
                low=np.append(one.history.low, one.history.low[-1]),
                high=np.append(one.history.high, one.history.high[-1]),
            ),
            50.0,
        )
        for one in cut
    ]
    naive = fit(stays, settings)
    later = simulated(2, 900)
    means = []
    for model in (learned, fair, naive):
        p, y = outcome(model, later, 12)
        means.append(p.mean() / y.mean())
    assert means[0] == pytest.approx(1, abs=0.2)
    assert means[1] == pytest.approx(1, abs=0.2)
    assert means[2] < 0.8, "the trap that this is about would not be seen here"


def test_removal_competes_with_crossing(learned: Model) -> None:
    given = history(60, 120, 170, 220)
    hours = [1.0, 3.0, 12.0]
    free = forecast(learned, given, 300, hours)
    taken = forecast(learned, given, 300, hours, Removal((2.0,), (0.5, 0.02)))
    for one, other in zip(free, taken, strict=True):
        assert one.crossing == one.unremoved == other.unremoved
        assert one.removed_first == 0
        assert other.crossing < one.crossing
        stays = 1 - other.crossing - other.removed_first
        alive = np.exp(-Removal((2.0,), (0.5, 0.02)).total(np.array([1 + one.hours])) + 0.5)[0]
        assert stays == pytest.approx((1 - one.unremoved) * alive, abs=0.02)
    assert [f.crossing for f in taken] == sorted(f.crossing for f in taken)


def test_a_rounded_counter_widens_the_interval(learned: Model) -> None:
    sure = forecast(learned, history(50, 90, 120, 140), 300, [3.0])[0]
    rounded = forecast(learned, history(50, 90, 120, 140, high=190), 300, [3.0])[0]
    capped = forecast(learned, history(50, 90, 120, 140, high=np.inf), 300, [3.0])[0]
    assert rounded.high > sure.high
    assert rounded.low <= rounded.crossing <= rounded.high
    assert capped.high == 1, "140 and more may be 300 already"
    assert forecast(learned, history(60, 310), 300, [3.0])[0].crossing == 1


def test_a_post_that_was_not_looked_at_for_long_is_less_sure(learned: Model) -> None:
    given = history(60, 120, 170, 220)
    now, later = (forecast(learned, given, 300, [1.0], NO_REMOVAL, w)[0] for w in (0.0, 2.0))
    assert later.crossing > now.crossing, "it may have crossed since"
    with pytest.raises(UsageError, match="learned for 12 h"):
        forecast(learned, given, 300, [11.0], NO_REMOVAL, 2.0)


def test_expected_growth_is_that_of_the_process() -> None:
    """Cascades whose virality is known: the estimate of growth is right in the middle."""
    rng = np.random.default_rng(4)
    world = CascadeWorld(virality=(0.7, 0.0), root=(np.log(60.0), 0.0))
    off = []
    for _ in range(300):
        events = cascade(rng, world, 9.0)
        looks = np.arange(1, 61) / 60
        counts = np.searchsorted(events, looks, side="right").astype(float)
        more = self_exciting(looks, counts, 60.0, np.asarray([8.0]))[0]
        off.append((counts[-1] + more) / max(1, len(events)))
    assert np.median(off) == pytest.approx(1, abs=0.12)
    assert kernel_mass(np.asarray([-1.0, 0.0, 1e12]))[2] == pytest.approx(1, abs=0.01)


def test_the_night_counts_less() -> None:
    night = [0.1] * 6 + [1.3] * 18
    passed = active_hours(night, 2 * HOUR, np.asarray([0.0, 4.0, 5.0, 24.0]))
    assert passed == pytest.approx([0, 0.4, 1.7, 24.0])
    assert active_hours(QUIET, 5 * HOUR, np.asarray([30.0])) == pytest.approx([30.0])


def test_a_model_survives_its_file() -> None:
    model = prior()
    assert read_model(model_json(model)) == model
    assert model.counter == "reposts"
    for bad in ("{}", "[1]", "{", model_json(replace(model, activity=(1.0,)))):
        with pytest.raises(UsageError):
            read_model(bad)


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(UsageError, match="needs 100 cascades"):
        fit(simulated(1, 20))
    with pytest.raises(UsageError, match="either all or none"):
        fit(simulated(1, 120), FitSettings(number=10**6))
    with pytest.raises(UsageError, match="must rise"):
        History(0, np.asarray([2.0, 1.0]), np.zeros(2), np.zeros(2))


@pytest.fixture(scope="module")
def world() -> Cascades:
    return cascades(5, CascadeWorld(posts=300, removal_per_h=0.01))


def test_only_accounts_that_consented_are_warned(world: Cascades) -> None:
    now = world.counts["at"][0].as_py() + HOUR
    with pytest.raises(UsageError, match="did not consent"):
        alert(world.posts, world.counts, ["account1", "account2"], {"account1"}, now)
    with pytest.raises(UsageError, match="Name the accounts"):
        alert(world.posts, world.counts, [], {"account1"}, now)
    with pytest.raises(UsageError, match="No post of the account"):
        alert(world.posts, world.counts, ["me"], {"me"}, now)
    with pytest.raises(UsageError, match="Name the accounts"):
        alert(table(), counted(), [], [], now)


def test_a_warning_is_of_own_posts_that_can_still_cross(world: Cascades) -> None:
    own = "account7"
    posts = world.posts
    named = {row["post"]: row for row in posts.to_pylist()}
    looks = [c for c in world.counts.to_pylist() if named[c["post"]]["account"] == own]
    young = next(c for c in looks if named[c["post"]]["state"] == "alive"
                 and c["at"] - named[c["post"]]["published_at"] >= 2 * HOUR)  # fmt: skip
    found = alert(posts, world.counts, [own], [own], young["at"])
    rows = found.table().to_pylist()
    assert {row["account"] for row in rows} == {own}
    mine = [row for row in rows if row["post"] == young["post"]]
    assert [row["hours"] for row in mine] == [1, 3, 6, 24]
    assert mine[0]["looked_at"] == young["at"], "nothing that came after the asking is used"
    assert mine[0]["counted_low"] == young["reposts_low"]
    for row in mine:
        assert 0 <= row["low"] <= row["crossing"] <= row["high"] <= 1
        assert 0 < row["removed_first"] < 1 - row["crossing"]
    assert "The forecast of reposts rests on" in found.text()
    assert "within 24 h" in svg(found.chart())
    late = alert(posts, world.counts, [own], [own], young["at"] + 400 * DAY, AlertSettings())
    assert not late.table().num_rows
    assert late.stale


def test_the_forecast_that_is_shipped_holds_on_later_weibo_cascades() -> None:
    needs_shared("weibo-ced")
    recorded = ced(CED)
    later = recorded[int(0.6 * len(recorded)) :]
    later = [one for one in later if one.crossed_h(500) > 1]  # the others are no forecast
    hours = (1.0, 3.0, 6.0, 24.0)
    p, y = asked(prior(), later, hours), came(later, hours)
    for number in range(3):
        assert auc(y[:, number], p[:, number]) >= 0.9
        assert ece(y[:, number], p[:, number]) <= 0.05
    assert ece(y[:, 3], p[:, 3]) <= 0.05
    assert auc(y.ravel(), p.ravel()) >= 0.9
