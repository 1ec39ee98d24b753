"""What a request budget buys: the delay until a loss is noticed, before a single request is spent.

In: the hazards of posts, what a look at each costs, and how many requests a second each host may be
asked. Out: for each host how often its posts would be looked at, and from that the mean delay and
the share of losses noticed within a time. Pure: no I/O, no clock, columns only.

The density form of docs/schedule.md: at a price λ a post of hazard h whose look takes `cost`
requests is looked at n = √(h / 2 λ cost) times a second (n = h / λ cost for the objective "log"),
no more often than the schedule's shortest wait, and not at all where n would stay below one look in
`cap_s`: there it retires. λ is found by bisection, so that the looks take what the host has for
them; the census gives every post a little on top. A loss falls anywhere in the interval 1/n.

What is not counted: that hazards change while nobody looks (each is taken as it is now and as
constant until the next look), sweeps that begin later, looks that fail, and losses that a list or a
stream shows before a look does. So the delays are those of a schedule that sets every look at its
best moment; docs/schedule.md says how near the real one comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Floats, Ids
from vanished.watch.hazard import Objective
from vanished.watch.priced import Conditions

WITHIN_S = (600.0, 3600.0, 86_400.0)  # 10 min, 1 h, 24 h
CLASS = 0.01  # of the logarithm: posts whose hazards differ by less are one row
LEAST_HAZARD = 1e-15  # a second: below, a post is lost once in 30 million years
BISECTIONS = 48
_TINY = 1e-300  # instead of 0, where a logarithm or a quotient follows


@dataclass(frozen=True, slots=True)
class Risks:
    """Posts as columns: a row for those of one arm whose hazards are nearly alike.

    An arm is one kind of request at a host, as in `price.Prices`.
    """

    arm: Ids
    hazard: Floats  # of a loss, a second
    posts: Floats  # how many
    host: Ids  # by arm
    cost: Floats  # by arm: requests that a look at one post takes, less than 1 where they share one

    @property
    def hosts(self) -> Ids:
        """By row."""
        return self.host[self.arm]

    @property
    def costs(self) -> Floats:
        """By row."""
        return self.cost[self.arm]


def grouped(arm: Ids, hazard: Floats, host: Ids, cost: Floats) -> Risks:
    """Posts, one an element of `arm` and `hazard`, as rows of hazards within 1 %.

    Sums of hazards are kept. Millions of posts become some thousand rows an arm.
    """
    if not len(arm):
        return Risks(arm, hazard, hazard, host, cost)
    steps = np.round(np.log(np.maximum(hazard, LEAST_HAZARD)) / CLASS).astype(np.int64)
    steps -= steps.min()
    wide = int(steps.max()) + 1
    keys, row = np.unique(arm * wide + steps, return_inverse=True)
    posts = np.bincount(row).astype(np.float64)
    return Risks(keys // wide, np.bincount(row, weights=hazard) / posts, posts, host, cost)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a budget buys, by arm. Rates are a second, over all posts of the arm."""

    posts: Floats
    retired: Floats  # posts that only the census asks about
    losses: Floats  # expected, a second
    looks: Floats
    requests: Floats  # that the looks take, those of the census with them
    late_s: Floats  # delays of the losses expected in a second, added up
    within: Floats  # losses expected a second that are noticed within WITHIN_S: times × arms

    def of(self, arms: npt.ArrayLike) -> Buys:
        """What it buys at these arms together."""
        chosen = np.asarray(arms, dtype=np.int64)
        posts, retired, losses, looks, requests, late_s = (
            float(column[chosen].sum())
            for column in (
                self.posts, self.retired, self.losses, self.looks, self.requests, self.late_s
            )
        )  # fmt: skip
        sums = self.within[:, chosen].sum(axis=1)
        shares = tuple((sums / losses).tolist()) if losses else None
        return Buys(
            posts, retired, losses, looks, requests, late_s / losses if losses else None, shares
        )

    def all(self) -> Buys:
        """What it buys altogether."""
        return self.of(np.arange(len(self.posts)))


@dataclass(frozen=True, slots=True)
class Buys:
    """Sums over arms. No delay and no shares where no loss is expected."""

    posts: float
    retired: float
    losses_per_s: float
    looks_per_s: float
    requests_per_s: float
    delay_s: float | None  # mean; a loss noticed later than `cap_s` counts as `cap_s`
    within: tuple[float, ...] | None  # shares of the losses, by WITHIN_S


def outlook(risks: Risks, per_s: Floats, conditions: Conditions) -> Outlook:
    """What the budget `per_s` (requests a second for looks, by host number) buys."""
    host, cost, hazard = risks.hosts, risks.costs, risks.hazard
    # As the schedule does: a census look for each so many requests, however many posts share one.
    drawn = conditions.census * per_s / np.maximum(_sums(host, risks.posts, len(per_s)), 1.0)
    census = drawn[host]
    left = per_s - _sums(host, risks.posts * cost * census, len(per_s))
    often = looks(risks, np.maximum(left, 0.0), conditions)
    kept = np.minimum(often * conditions.cap_s, 1.0)  # the part of a row that has not retired
    most = 1.0 / conditions.shortest_s
    rate = np.minimum(np.maximum(often, 1.0 / conditions.cap_s) + census, most)
    census = np.minimum(census, most)

    def by_arm(of_kept: Floats, of_retired: Floats) -> Floats:
        column = risks.posts * (kept * of_kept + (1.0 - kept) * of_retired)
        return _sums(risks.arm, column, len(risks.host))

    none, one = np.zeros(len(host)), np.ones(len(host))
    late = [hazard * delay_s(each, conditions.cap_s) for each in (rate, census)]
    within = [
        [hazard * np.minimum(each * time, 1.0) for each in (rate, census)] for time in WITHIN_S
    ]
    return Outlook(
        posts=by_arm(one, one),
        retired=by_arm(none, one),
        losses=by_arm(hazard, hazard),
        looks=by_arm(rate, census),
        requests=by_arm(rate * cost, census * cost),
        late_s=by_arm(*late),
        within=np.stack([by_arm(*each) for each in within]),
    )


def _sums(place: Ids, column: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(place, weights=column, minlength=size), dtype=np.float64)


def delay_s(rate: Floats, cap_s: float) -> Floats:
    """The mean delay at `rate` looks a second, where none is longer than `cap_s`.

    A loss falls anywhere between two looks: half the interval, and cap − cap²·rate/2 where that is
    longer than the cap.
    """
    with np.errstate(divide="ignore"):
        return np.where(rate * cap_s >= 1.0, 0.5 / rate, cap_s - cap_s * cap_s * rate / 2.0)


def looks(risks: Risks, per_s: Floats, conditions: Conditions) -> Floats:
    """How often each row's posts are looked at, a second, so that hosts get `per_s` requests.

    By host the price is the lowest that the budget pays for. Where the next lower one would bring
    posts back that have retired, more than can be paid, so many of them are looked at as can be:
    between retired and once in `cap_s` all are worth the same.
    """
    host, spends, hosts = risks.hosts, risks.costs * risks.posts, len(per_s)
    # A row is looked at most often below `low`, and not at all above `high`.
    unit = risks.hazard / risks.costs
    low, high = np.full(hosts, np.inf), np.zeros(hosts)
    bounds = [
        _price(unit, wait, conditions.objective)
        for wait in (conditions.shortest_s, conditions.cap_s)
    ]
    np.minimum.at(low, host, np.maximum(bounds[0], _TINY))
    np.maximum.at(high, host, np.maximum(bounds[1], _TINY))
    high = np.maximum(high, _TINY)
    low, high = np.log(np.minimum(low, high)) - 1.0, np.log(high) + 1.0

    def rates(price: Floats) -> tuple[Floats, Floats]:
        """At these logarithms of prices: rates, and what they take by host."""
        often = _often(unit, np.exp(price)[host], conditions)
        return often, _sums(host, often * spends, hosts)

    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        paid = rates(middle)[1] <= per_s
        low, high = np.where(paid, low, middle), np.where(paid, middle, high)
    (more, most), (fewer, least) = rates(low), rates(high)
    part = np.clip((per_s - least) / np.maximum(most - least, _TINY), 0.0, 1.0)
    often: Floats = fewer + part[host] * (more - fewer)
    return often


def _price(unit: Floats, wait_s: float, objective: Objective) -> Floats:
    """The price at which a look comes every `wait_s` seconds."""
    return unit * (wait_s if objective == "log" else wait_s * wait_s / 2.0)


def _often(unit: Floats, price: Floats, conditions: Conditions) -> Floats:
    """Looks a second at this price; `unit` is the hazard a request."""
    ratio = unit / price
    often = ratio if conditions.objective == "log" else np.sqrt(ratio / 2.0)
    return np.where(
        often * conditions.cap_s < 1.0, 0.0, np.minimum(often, 1.0 / conditions.shortest_s)
    )
