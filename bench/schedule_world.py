"""A simulated platform for schedules, with the truth, and the delay that no schedule can go below.

In: a size and a seed. Out: posts with their moments of loss, and the run of a policy against them
under a budget kept in every tick. Accounts' chances of loss are Gamma (shape 0.35, mean 5 %), their
rates of posting log-normal, the ages of losses after Zhu et al. 2013 (2 min/0, 8 min/5 %, 30 min/
30 %, 24 h/90 %, 72 h/100 %); a campaign adds 8 % an hour to all posts of one topic in 20 for eight
hours. Policies stand in `schedule_policies.py`, lower bounds in `schedule_bounds.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vanished.watch.hazard import CAP_S, AgeCurve, Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAY = 86_400
HORIZON = 3 * DAY
CURVE = AgeCurve([120.0, 480.0, 1800.0, DAY, HORIZON], [0.0, 0.05, 0.30, 0.90, 1.0])
TOPICS = 20
PAGE = 20
SWEPT_TOPIC = 0
SWEEP_HAZARD = 0.08 / 3600
SWEEP_S = 8 * 3600
OLDEST = HORIZON + int(CAP_S)
# Simpson's rule on 33 nodes, for what has no closed form.
NODES = np.linspace(0.0, 1.0, 33)
WEIGHTS = np.array([1.0, *[4.0, 2.0] * 15, 4.0, 1.0]) / 96


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a world. Losses count that happen from `warm_s` to half a day before `end_s`, so
    that each has the time after which a loss counts as unnoticed."""

    name: str
    accounts: int
    posts_a_day: int
    requests_per_s: float
    end_s: int
    tick_s: int
    warm_s: int = DAY

    @property
    def last_s(self) -> int:
        return self.end_s - int(CAP_S)


LARGE = Shape("large", 1500, 9000, 5.0, int(4.5 * DAY), 30)
SMALL = Shape("small", 1000, 6000, 10 / 3, 3 * DAY, 60)
PAGES = Shape("pages", 1000, 6000, 1 / 3, 3 * DAY, 60)


class World:
    """Posts in order of birth, with the truth. Times are seconds; the run begins at 0.

    Public, what a policy may read: `born_s`, `account`, `topic`, `page`, of posts born by now.
    Truth: `p` of each account, `lost_s` of each post (inf: never), and when the sweep begins.
    """

    def __init__(self, shape: Shape, seed: int, *, campaign: bool = False) -> None:
        rng = np.random.default_rng([seed, 5])
        self.shape, self.seed = shape, seed
        self.p = np.minimum(rng.gamma(0.35, 0.05 / 0.35, shape.accounts), 0.95)
        rate = rng.lognormal(0.0, 1.0, shape.accounts)
        number = rng.poisson(shape.posts_a_day * (shape.end_s + HORIZON) / DAY)
        born = np.sort(rng.integers(-HORIZON, shape.end_s, number))
        account = rng.choice(shape.accounts, number, p=rate / rate.sum())
        # Half of an account's posts are on a topic of its own.
        home = rng.integers(0, TOPICS, shape.accounts)
        topic = np.where(rng.random(number) < 0.5, home[account], rng.integers(0, TOPICS, number))
        lost = born + _ages(rng, self.p[account])
        self.sweep_s = shape.warm_s + (shape.last_s - shape.warm_s) // 3 if campaign else None
        if self.sweep_s is not None:
            lasts = min(SWEEP_S, shape.last_s - self.sweep_s)
            begin = np.maximum(born, self.sweep_s)
            swept = begin + rng.exponential(1 / SWEEP_HAZARD, number)
            ends = np.minimum(self.sweep_s + lasts, born + HORIZON)
            hit = (topic == SWEPT_TOPIC) & (swept < ends)
            lost = np.where(hit, np.minimum(lost, swept), lost)
            self.sweep_end_s = self.sweep_s + lasts
        here = lost > np.maximum(born, 0)
        self.born_s: Ints = born[here]
        self.account: Ints = account[here]
        self.topic: Ints = topic[here]
        self.lost_s: Floats = lost[here]
        order = np.argsort(self.account, kind="stable")
        starts = np.searchsorted(self.account[order], np.arange(shape.accounts))
        place = np.empty(len(order), dtype=np.int64)  # of a post among those of its account
        place[order] = np.arange(len(order)) - starts[self.account[order]]
        key = self.account * (int(place.max()) + 1) + place // PAGE
        self.page: Ints = np.unique(key, return_inverse=True)[1]
        self.pages = int(self.page.max()) + 1

    def live(self, now: int) -> slice:
        """The posts born by now that may still be asked about: a loss just before the horizon
        counts as unnoticed only after CAP_S. Who was proven alive beyond the horizon is done."""
        edges = np.searchsorted(self.born_s, [now - OLDEST, now], side="right")
        return slice(int(edges[0]), int(edges[1]))

    def expected(self, posts: Ints, proven_s: Floats, now_s: Floats) -> tuple[Floats, Floats]:
        """Of posts alive at `proven_s`: the chance of a loss by `now_s`, and that chance times the
        mean delay until then (the chance integrated over the time from the proof), in seconds."""
        born = self.born_s[posts]
        age0, tau = proven_s - born, now_s - proven_s
        p = self.p[self.account[posts]]
        alive0 = 1.0 - p * CURVE.cdf(age0)
        cdf1, area1 = CURVE.both(age0 + tau)
        chance = p * (cdf1 - CURVE.cdf(age0)) / alive0
        waited = p * (area1 - CURVE.integral(age0) - tau * CURVE.cdf(age0)) / alive0
        if self.sweep_s is not None:
            hit = (self.topic[posts] == SWEPT_TOPIC) & (now_s > self.sweep_s)
            hit &= (proven_s < self.sweep_end_s) & (proven_s < born + HORIZON)
            if hit.any():
                at = proven_s[hit, None] + tau[hit, None] * NODES
                end = np.minimum(self.sweep_end_s, born[hit] + HORIZON)[:, None]
                begin = np.maximum(self.sweep_s, proven_s[hit])[:, None]
                age = at - born[hit, None]
                known = 1.0 - p[hit, None] * CURVE.cdf(age)
                acted = np.clip(np.minimum(at, end) - begin, 0.0, None)
                gone = 1.0 - known / alive0[hit, None] * np.exp(-SWEEP_HAZARD * acted)
                chance[hit], waited[hit] = gone[:, -1], (gone * WEIGHTS).sum(axis=1) * tau[hit]
        return chance, waited

    def counted(self) -> Bools:
        """The losses that count."""
        return (self.lost_s > self.shape.warm_s) & (self.lost_s <= self.shape.last_s)

    def swept(self) -> Bools:
        """Posts of the swept topic that were lost while the sweep lasted."""
        if self.sweep_s is None:
            return np.zeros(len(self.born_s), dtype=bool)
        during = (self.lost_s > self.sweep_s) & (self.lost_s <= self.sweep_end_s)
        return np.asarray(during & (self.topic == SWEPT_TOPIC))


def _ages(rng: np.random.Generator, p: Floats) -> Floats:
    """Ages at loss; inf for posts that stay."""
    logs = np.interp(rng.random(len(p)), CURVE.values, np.log(CURVE.knots_s))
    return np.where(rng.random(len(p)) < p, np.exp(logs), np.inf)


class Policy(Protocol):
    """Chooses whom to ask. `by_page` policies spend a request a page, others one a post."""

    by_page: bool

    def take(self, now: int, room: int) -> Ints:
        """The posts that at most `room` requests at `now` ask about."""
        ...

    def answered(self, now: int, posts: Ints, lost: Bools) -> None:
        """The definite answers to some of the posts just asked; failed looks are not among them."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Delays of the losses that count, capped, and the width of the brackets of those noticed."""

    delays_s: Floats
    brackets_s: Floats
    swept_s: Floats  # the delays of losses in the swept topic
    requests: int
    expected_min: float  # the mean delay under the truth, over all looks: see `Tally`

    @property
    def mean_min(self) -> float:
        return float(self.delays_s.mean() / 60)

    @property
    def error_min(self) -> float:
        return float(self.delays_s.std() / np.sqrt(len(self.delays_s)) / 60)

    def within(self, seconds: float) -> float:
        return float(np.mean(self.delays_s <= seconds))


class Tally:
    """The mean delay that the looks of a run have in expectation, given the true hazards.

    When a look comes is settled by what was seen before it, so each look at a post that was proven
    alive τ seconds earlier adds the chance M(τ) of a loss and the mean of its delay, whether or not
    the post was lost. The ratio of the sums has the expectation of the mean over the losses that
    happened, and a fraction of its variance.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.chance = self.waited = 0.0

    def add(self, posts: Ints, proven_s: Floats, now_s: Floats) -> None:
        inside = (now_s > self._world.shape.warm_s) & (now_s <= self._world.shape.last_s)
        posts, proven_s, now_s = posts[inside], proven_s[inside], now_s[inside]
        chance, waited = self._world.expected(posts, proven_s, now_s)
        self.chance += float(chance.sum())
        self.waited += float(waited.sum())
        long = now_s - proven_s > CAP_S  # a delay counts CAP_S at most
        _, over = self._world.expected(posts[long], proven_s[long], now_s[long] - CAP_S)
        self.waited -= float(over.sum())

    def unseen(self, posts: Ints, proven_s: Floats) -> None:
        """Posts about which nobody asked again: their losses count CAP_S."""
        end = self._world.born_s[posts] + HORIZON
        inside = (end > self._world.shape.warm_s) & (end <= self._world.shape.last_s)
        chance, _ = self._world.expected(posts[inside], proven_s[inside], end[inside].astype(float))
        self.chance += float(chance.sum())
        self.waited += float(chance.sum()) * CAP_S


def simulate(world: World, policy: Policy, *, failing: float = 0.0) -> Outcome:
    """Let a policy ask from beginning to end; a share `failing` of the answers shows nothing.

    Raises AssertionError if the policy asks for more than the budget, or for what it cannot know.
    """
    shape = world.shape
    rng = np.random.default_rng([world.seed, 7])
    noticed_s = np.full(len(world.lost_s), np.inf)
    proven_s = np.maximum(world.born_s, 0).astype(np.float64)
    allowance, requests, tally = 0.0, 0, Tally(world)
    for now in range(shape.tick_s, shape.end_s + 1, shape.tick_s):
        allowance = min(allowance, 1.0) + shape.requests_per_s * shape.tick_s
        posts = policy.take(now, int(allowance))
        spent = len(np.unique(world.page[posts])) if policy.by_page else len(posts)
        assert spent <= allowance, "the policy asked for more than the budget"
        early = len(posts) and world.born_s[posts].max() > now
        assert not early, "a post was asked about before its birth"
        allowance -= spent
        requests += spent
        if failing:
            posts = posts[rng.random(len(posts)) >= failing]
        lost = world.lost_s[posts] <= now
        tally.add(posts, proven_s[posts], np.full(len(posts), float(now)))
        noticed_s[posts[lost]] = np.minimum(noticed_s[posts[lost]], now)
        proven_s[posts[~lost]] = now
        policy.answered(now, posts, lost)
    counted = world.counted()
    late = np.full(len(noticed_s), CAP_S)
    np.subtract(noticed_s, world.lost_s, out=late, where=counted)
    delay = np.minimum(late, CAP_S)
    rest = np.flatnonzero(~np.isfinite(noticed_s) & (proven_s < world.born_s + HORIZON))
    tally.unseen(rest, proven_s[rest])
    seen = counted & np.isfinite(noticed_s)
    return Outcome(
        delay[counted],
        (noticed_s - proven_s)[seen],
        delay[counted & world.swept()],
        requests,
        tally.waited / tally.chance / 60,
    )
