"""The price of a request at each host, in seconds of delay: asked is what is worth the price.

In: how many looks were wanted and how many the host's allowance paid for. Out: a price a host, so
that what is wanted fills the allowance. Pure: no clock, no I/O.

A price starts where it would belong if every post were looked at as often as its hazard asks for,
and then follows what is measured, by 5 % a minute at most. Spacing looks so that h Δ²/2 = λ makes
Σ √(h/2λ) looks a second; hence the start λ = (Σ √h)² / 2B², with no spacing below the shortest
for all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vanished.watch.columns import Floats, Ids
from vanished.watch.hazard import Objective

GAIN = 0.25
MOST_STEP = 0.05  # of the logarithm, a minute
FAR = 30.0  # a price strays from what the hazards alone would make it by this factor at most
LEAST = 1e-9
WAITING = 0.15  # of a minute's allowance is left waiting, so that no request is left unspent


def opening(
    hazard: Floats,
    cost: Floats,
    host: Ids,
    per_s: Floats,
    shortest_s: float,
    *,
    weight: Floats | float = 1.0,
    objective: Objective = "mean",
) -> tuple[Ids, Floats]:
    """Hosts, and the price at each at which its posts want its allowance `per_s`.

    `hazard` (per second), `cost` and `host` are columns of posts; `cost` is the requests that one
    look takes, less than one where a request answers for several. `per_s` is by host number; a row
    stands for `weight` posts like it. No price is so low that every post would be looked at more
    often than each `shortest_s` seconds.
    """
    live = hazard > 0
    weight = np.broadcast_to(weight, hazard.shape)[live]
    hazard, cost, host = hazard[live], cost[live], host[live]
    if not len(host):
        return host, np.zeros(0)
    # A look is due where h Δ²/2 = λ·cost, so a post makes √(h / 2 λ cost) looks of `cost` requests;
    # by the mean logarithm where h Δ = λ·cost, which makes h / (λ cost).
    log = objective == "log"
    spends = np.bincount(host, weights=weight * (hazard if log else np.sqrt(hazard * cost / 2)))
    least = np.full(len(spends), np.inf)
    np.minimum.at(least, host, hazard / cost * (shortest_s if log else shortest_s**2 / 2))
    hosts = np.flatnonzero(np.isfinite(least))
    price = spends[hosts] / np.maximum(per_s[hosts], 1e-9)
    price = price if log else price**2
    return hosts, np.maximum(np.maximum(price, least[hosts]), LEAST)


class Prices:
    """One price a host. Hosts and arms are small numbers; a new host starts at `first`.

    An arm is one kind of request at a host; it may answer for several posts at once, whose price
    is then a part of the request's.
    """

    def __init__(self, first: float = 1.0) -> None:
        self._first = first
        self.by_host = np.zeros(0)
        self.host_of_arm: Ids = np.zeros(0, np.int64)
        self.serves: Ids = np.ones(0, np.int64)  # posts that a request of an arm answers for
        self._of_arms: Floats | None = None

    def arm(self, number: int, host: int, serves: int = 1) -> None:
        """Arm `number` is asked at `host`; one of its requests answers for `serves` posts."""
        if number >= len(self.host_of_arm):
            more = number + 1 - len(self.host_of_arm)
            self.host_of_arm = np.concatenate([self.host_of_arm, np.zeros(more, np.int64)])
            self.serves = np.concatenate([self.serves, np.ones(more, np.int64)])
        self.host_of_arm[number], self.serves[number] = host, serves
        self._know(host + 1)

    def know(self, host: int) -> None:
        """`host` has a price, though no arm asks there about posts."""
        self._know(host + 1)

    def of_arms(self) -> Floats:
        """By arm number: the price of a look at one post."""
        if self._of_arms is None:
            self._of_arms = self.by_host[self.host_of_arm] / self.serves
        return self._of_arms

    def _know(self, hosts: int) -> None:
        if hosts > len(self.by_host):
            new = np.full(hosts - len(self.by_host), self._first)
            self.by_host = np.concatenate([self.by_host, new])
        self._of_arms = None

    def open(self, host: int, price: float) -> None:
        """Begin at `price`, after a start or when everything has changed."""
        self._know(host + 1)
        self.by_host[host] = max(price, LEAST)

    def steer(
        self,
        demand: Mapping[int, float],
        allowance: Mapping[int, float],
        middle: Mapping[int, float],
    ) -> None:
        """A minute has passed: move each host's price towards where the two are equal.

        Both in requests. `middle` is what `opening` says of the host now: the price stays within a
        factor of 30 of it, so that an idle night or an outage cannot lead it astray.
        """
        for host, allowed in allowance.items():
            self._know(host + 1)
            if allowed > 0:
                off = demand.get(host, 0.0) / allowed - 1.0 - WAITING
                step = float(np.clip(GAIN * off, -MOST_STEP, MOST_STEP))
                self.by_host[host] *= np.exp(step)
            if host in middle:
                self.by_host[host] = np.clip(
                    self.by_host[host], middle[host] / FAR, middle[host] * FAR
                )
            self.by_host[host] = max(self.by_host[host], LEAST)
