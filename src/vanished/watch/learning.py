"""What the answers teach about the hazards: the age curve, each account's chance, a topic's excess.

In: the definite answers of looks (alive or lost), each as the interval of age that it covers, with
the post's account and topics. Out: a curve, a chance p per account and an excess hazard per topic,
for `watch/hazard.py`. Failed looks are not handed in: they show nothing, so they are no exposure.
Pure: the present comes in as `now_s`, and the same answers in the same order teach the same. What
is not done here: finding topics in texts (`watch/topics.py`), deciding that an account is gone.

Methods. The curve: expectation-maximisation over interval-censored losses (Turnbull 1976) with a
Dirichlet prior. The accounts: Gamma–Poisson shrinkage towards a mean and shape that maximise the
negative-binomial likelihood of all accounts. The topics: observed against expected losses with
forgetting; a topic is on while the signed root of its Poisson deviance stays high. Formulas and
what was measured: docs/schedule.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vanished.watch.hazard import SURE, AgeCurve, Floats

HORIZON_S = 72 * 3600.0
BINS = 22
PRIOR_LOSSES = 30.0  # what the first, log-uniform curve is worth
FIRST_P = 0.02  # the chance of an account of which nothing is known, before anything is learned
FIRST_SHAPE = 0.5
SHAPES = np.geomspace(0.05, 5.0, 24)  # of the Gamma over accounts
KEPT_LOSSES = 4096  # newest losses whose intervals are split again at each refit
EM_STEPS = 8
REFIT_S = 1800.0
MEMORY_S = 3600.0  # topics forget with this time constant
ON, OFF = 3.5, 1.5  # standard deviations
FEWEST = 5.0  # losses, each of another account than the one before, that switch a topic on
LAG_S = 1200.0  # a sweep has begun about this long before it shows
MASS_S = 3600.0  # losses of an account that is found gone, this far back, were one event


class Learner:
    """Learns from answers in order of time. `topics` is one more than the largest topic number.

    Number 0 means "no topic" and never has an excess. Accounts are row numbers from 0; the columns
    grow as they come. `knots_s` are the ages between which the curve is learned.
    """

    def __init__(self, topics: int, *, knots_s: npt.ArrayLike | None = None) -> None:
        edges = np.geomspace(60.0, HORIZON_S, BINS + 1) if knots_s is None else knots_s
        self._edges = np.array(edges, dtype=np.float64)
        self._wide = np.diff(np.log(self._edges))
        self._prior = self._wide / self._wide.sum()
        self._share = self._prior.copy()  # of all losses, by bin
        self._settled = np.zeros_like(self._prior)  # losses whose intervals are no longer kept
        self._due = np.zeros_like(self._prior)  # losses there would be if all fell into the bin
        self._losses = np.zeros((KEPT_LOSSES, 3))  # ring of: age0, age1, weight
        self._next = 0
        self.curve = self._curve()
        self.mean_p, self.shape = FIRST_P, FIRST_SHAPE
        self._lost = np.zeros(0)  # per account: losses that no sweep explains
        self._exposed = np.zeros(0)  # per account: losses there would be if p were 1
        self._recent = np.zeros(
            (0, 2)
        )  # per account: newest losses not yet seen as one event, when
        self.p = np.zeros(0)
        self._observed = np.zeros(topics)
        self._expected = np.zeros(topics)
        self._seconds = np.zeros(topics)  # post-seconds under which a sweep would have shown
        self._events = np.zeros(topics)
        self._last = np.full(topics, -1, dtype=np.int64)  # whose loss came last
        self.excess = np.zeros(topics)  # hazard per second
        self.began_s = np.full(topics, np.inf)  # since when, of topics that are on
        self._told = np.zeros(topics, dtype=bool)
        self._now_s = -np.inf
        self._refit_s = -np.inf

    # What has been learned

    def chance(self, account: npt.NDArray[np.int64]) -> Floats:
        """p of accounts, also of those of which nothing has been seen."""
        known = account < len(self.p)
        found = np.full(account.shape, min(self.mean_p, SURE))
        found[known] = self.p[account[known]]
        return found

    def excess_of(self, topics: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
        """The largest excess hazard among each post's topics, and since when: rows of numbers."""
        each = self.excess[topics]
        best = np.argmax(each, axis=1)[:, None]
        excess = np.take_along_axis(each, best, axis=1)[:, 0]
        return excess, np.take_along_axis(self.began_s[topics], best, axis=1)[:, 0]

    def switched(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Topics that came on, and that went off, since this was last asked."""
        on = self.excess > 0
        came, went = np.flatnonzero(on & ~self._told), np.flatnonzero(~on & self._told)
        self._told = on
        return came, went

    # Learning

    def observe(
        self,
        now_s: float,
        age0_s: npt.ArrayLike,
        age1_s: npt.ArrayLike,
        account: npt.NDArray[np.int64],
        topics: npt.NDArray[np.integer],
        lost: npt.NDArray[np.bool_],
        *,
        whole: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Learn from definite answers that came at `now_s`, one row each.

        A post was proven alive at age `age0_s`, and at `age1_s` was alive or `lost`. `topics` holds
        a row of topic numbers a post. `whole` marks losses of accounts that are gone as a whole:
        they are one event together with those of the hour before.
        """
        if not len(account):
            return
        age0 = np.maximum(np.asarray(age0_s, dtype=np.float64), 0.0)
        age1 = np.maximum(np.asarray(age1_s, dtype=np.float64), age0)
        self._grow(int(account.max()) + 1)
        self._forget(now_s)
        counted = np.asarray(lost, dtype=np.float64)
        if whole is not None and whole.any():
            counted = self._once(now_s, account, counted, whole)
        p = self.p[account]
        alive0 = 1.0 - p * self.curve.cdf(age0)
        exposed = (self.curve.cdf(age1) - self.curve.cdf(age0)) / alive0
        excess, began = self.excess_of(topics)
        swept = excess * np.clip(now_s - began, 0.0, age1 - age0)
        base = p * exposed
        own = counted * np.where(swept > 0, base / np.maximum(base + swept, 1e-300), 1.0)
        self._learn_accounts(now_s, account, exposed, own)
        self._learn_curve(age0, age1, p / alive0, own)
        self._learn_topics(now_s, age1 - age0, account, topics, base, counted)
        if now_s - self._refit_s >= REFIT_S:
            self.refit()
            self._refit_s = now_s

    def _grow(self, accounts: int) -> None:
        more = accounts - len(self.p)
        if more > 0:
            self._lost = np.concatenate([self._lost, np.zeros(more)])
            self._exposed = np.concatenate([self._exposed, np.zeros(more)])
            self._recent = np.concatenate([self._recent, np.tile([0.0, -np.inf], (more, 1))])
            self.p = np.concatenate([self.p, np.full(more, min(self.mean_p, SURE))])

    def _once(
        self,
        now_s: float,
        account: npt.NDArray[np.int64],
        counted: Floats,
        whole: npt.NDArray[np.bool_],
    ) -> Floats:
        """Weights under which all losses of an account that is gone make one event."""
        rows = np.flatnonzero(whole & (counted > 0))
        gone, first = np.unique(account[rows], return_index=True)
        before, when = self._recent[gone].T
        before = np.where(now_s - when <= MASS_S, before, 0.0)
        self._lost[gone] -= np.maximum(before - 1.0, 0.0)
        weights = counted.copy()
        weights[rows] = 0.0
        weights[rows[first]] = np.where(before > 0, 0.0, 1.0)
        self._recent[gone, 0] = np.minimum(before, 1.0)
        return weights

    def _learn_accounts(
        self, now_s: float, account: npt.NDArray[np.int64], exposed: Floats, own: Floats
    ) -> None:
        np.add.at(self._exposed, account, exposed)
        np.add.at(self._lost, account, own)
        hit = own > 0
        fresh = now_s - self._recent[account[hit], 1] > MASS_S
        self._recent[account[hit][fresh], 0] = 0.0
        np.add.at(self._recent[:, 0], account[hit], own[hit])
        self._recent[account[hit], 1] = now_s
        self.p[account] = self._shrunk(account)

    def _shrunk(self, account: npt.NDArray[np.int64] | slice) -> Floats:
        """The mean of p under its Gamma posterior."""
        rate = self.shape / self.mean_p + self._exposed[account]
        return np.asarray(np.minimum((self.shape + self._lost[account]) / rate, SURE))

    def _learn_curve(self, age0: Floats, age1: Floats, weigh: Floats, own: Floats) -> None:
        self._due += weigh @ self._covered(age0, age1)
        for row in np.flatnonzero(own > 0):  # losses are few
            at = self._next % KEPT_LOSSES
            if self._next >= KEPT_LOSSES:
                self._settled += self._split(self._losses[at : at + 1])
            self._losses[at] = age0[row], age1[row], own[row]
            self._next += 1

    def _covered(self, age0: Floats, age1: Floats) -> Floats:
        """The share of each bin, in log age, that an interval covers: posts × bins."""
        low = np.log(np.maximum(age0, 1e-9))[:, None] - np.log(self._edges[:-1])
        high = np.log(np.maximum(age1, 1e-9))[:, None] - np.log(self._edges[:-1])
        wide = self._wide
        return np.asarray((np.clip(high, 0.0, wide) - np.clip(low, 0.0, wide)) / wide)

    def _split(self, losses: Floats) -> Floats:
        """Losses by bin, each spread over its interval in proportion to the present curve."""
        part = self._covered(losses[:, 0], losses[:, 1]) * self._share
        total = part.sum(axis=1)
        inside = total > 0  # an interval wholly before or after the curve says nothing of it
        return np.asarray((losses[inside, 2] / total[inside]) @ part[inside])

    def _learn_topics(
        self,
        now_s: float,
        wide_s: Floats,
        account: npt.NDArray[np.int64],
        topics: npt.NDArray[np.integer],
        base: Floats,
        counted: Floats,
    ) -> None:
        number = len(self.excess)
        for column in topics.T:
            since = np.where(self.excess > 0, now_s - self.began_s, MEMORY_S)
            shown = np.minimum(wide_s, since[column])
            self._expected += np.bincount(column, base, number)
            self._observed += np.bincount(column, counted, number)
            self._seconds += np.bincount(column, shown, number)
            for row in np.flatnonzero(counted > 0):
                topic = column[row]
                self._events[topic] += self._last[topic] != account[row]
                self._last[topic] = account[row]
        self._switch(now_s)

    def _switch(self, now_s: float) -> None:
        seen, due = self._observed, np.maximum(self._expected, 1e-3)
        rest = np.where(seen > 0, seen * np.log(np.maximum(seen, 1e-9) / due), 0.0)
        above = np.sqrt(np.maximum(2.0 * (rest - seen + due), 0.0)) * (seen > due)
        was = self.excess > 0
        on = np.where(was, above > OFF, (above > ON) & (self._events >= FEWEST))
        on[0] = False
        self.began_s[on & ~was] = now_s - LAG_S
        self.began_s[~on] = np.inf
        self.excess = np.where(on, (seen - due) / np.maximum(self._seconds, 1.0), 0.0)

    def _forget(self, now_s: float) -> None:
        if np.isfinite(self._now_s):
            kept = np.exp(-max(now_s - self._now_s, 0.0) / MEMORY_S)
            for counter in (self._observed, self._expected, self._seconds, self._events):
                counter *= kept
        self._now_s = now_s

    def refit(self) -> None:
        """Fit the curve and the distribution of the accounts to all that was observed."""
        kept = self._losses[: min(self._next, KEPT_LOSSES)]
        for _ in range(EM_STEPS):
            found = self._settled + self._split(kept)
            share = (found + PRIOR_LOSSES * self._prior) / (self._due + PRIOR_LOSSES)
            self._share = share / share.sum()
        self.curve = self._curve()
        if self._exposed.sum() > 0:
            self._fit_accounts()
        self.p = self._shrunk(slice(None))

    def _fit_accounts(self) -> None:
        """The mean and the shape of the Gamma under which the accounts' losses are likeliest."""
        lost, exposed = np.maximum(self._lost, 0.0), self._exposed
        # One loss in 1 / FIRST_P as a prior keeps the mean positive while nothing was lost.
        mean = (lost.sum() + 1.0) / (exposed.sum() + 1.0 / FIRST_P)
        best = (-np.inf, self.shape, self.mean_p)
        for shape in SHAPES:
            fitted = mean
            for _ in range(4):  # the mean at this shape: the average of the posterior means
                rate = shape / fitted + exposed
                fitted = float(np.mean((shape + lost) / rate))
            rate = shape / fitted + exposed
            rising = _log_rising(shape, lost)
            likely = float(
                np.sum(rising + shape * np.log(shape / fitted / rate) - lost * np.log(rate))
            )
            best = max(best, (likely, float(shape), fitted))
        _, self.shape, self.mean_p = best

    def _curve(self) -> AgeCurve:
        return AgeCurve(self._edges, np.minimum(np.concatenate([[0.0], np.cumsum(self._share)]), 1))

    # Keeping it over a restart

    def kept(self) -> dict[str, npt.NDArray[np.float64]]:
        """All that must outlive the process, as arrays; sweeps are found again from the answers."""
        kept = self._losses[: min(self._next, KEPT_LOSSES)]
        hyper = np.array([self.mean_p, self.shape])
        return {
            "edges": self._edges, "share": self._share, "due": self._due,
            "settled": self._settled + self._split(kept), "hyper": hyper,
            "lost": self._lost, "exposed": self._exposed,
        }  # fmt: skip

    @classmethod
    def of(cls, topics: int, kept: Mapping[str, npt.NDArray[np.float64]]) -> Learner:
        """A learner that knows what one knew that handed out `kept`."""
        learner = cls(topics, knots_s=kept["edges"])
        learner._share, learner._due = kept["share"].copy(), kept["due"].copy()
        learner._settled = kept["settled"].copy()
        learner.curve = learner._curve()
        learner.mean_p, learner.shape = (float(x) for x in kept["hyper"])
        learner._grow(len(kept["lost"]))
        learner._lost, learner._exposed = kept["lost"].copy(), kept["exposed"].copy()
        learner.p = learner._shrunk(slice(None))
        return learner


def _log_rising(shape: float, count: Floats) -> Floats:
    """log Γ(shape + count) - log Γ(shape), by Stirling's series after a shift; counts ≥ 0."""
    return _log_gamma(shape + count) - _log_gamma(np.array(shape))


def _log_gamma(x: Floats) -> Floats:
    shifted = x + 8.0
    series = (shifted - 0.5) * np.log(shifted) - shifted + 0.5 * np.log(2 * np.pi)
    series = series + 1 / (12 * shifted) - 1 / (360 * shifted**3)
    return np.asarray(series - sum(np.log(x + k) for k in range(8)))
