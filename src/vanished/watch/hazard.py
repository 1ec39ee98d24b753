"""How much a look at a post is worth: the hazard of its loss, the index W, and when W is reached.

In: an age curve (how the losses of a platform's posts fall over their age), the chance p that a
post is lost at all, the age at which it was last proven alive, the seconds since. Out: the index in
seconds, and the seconds until the index repays a request. Pure numpy over whole columns: no I/O, no
clock, no loop over posts. What is not done here: estimating p, the curve or an excess
(`watch/learning.py`), and choosing the price (`watch/schedule.py`).

The index is the elapsed-weighted undetected mass, W(τ) = ∫₀^τ s dM(s), where M(s) is the chance
that the post was lost within s of its last proof. It follows from the inspection problem (Barlow,
Hunter and Proschan 1963; Keller 1974, Management Science 21:256): looks that minimise the mean
delay of notice at a given cost a look are due where W equals that cost. Derivation:
docs/schedule.md.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FloatsLike = npt.ArrayLike
Objective = Literal["mean", "log"]

CAP_S = 43_200.0  # a loss noticed later than this is as good as not noticed
SURE = 0.999  # no post is more certain to be lost than this: 1 - p F stays positive
GUESSES = 2  # closed forms that come down on the wait from the right, without a logarithm
NEWTON_STEPS = 4  # the rest of the way; tests hold the result to brute force


class AgeCurve:
    """The share of all losses that happen by an age: F, log-linear between knots.

    `knots_s` are ages in seconds, positive and rising; `cdf` is F at them, from 0, never falling,
    at most 1. Below the first knot F is 0 and beyond the last it stays.
    """

    def __init__(self, knots_s: FloatsLike, cdf: FloatsLike) -> None:
        self.knots_s = np.array(knots_s, dtype=np.float64)
        self.values = np.array(cdf, dtype=np.float64)
        if (
            self.knots_s.ndim != 1
            or self.knots_s.shape != self.values.shape
            or len(self.values) < 2
        ):
            raise ValueError("an age curve needs as many values as knots, and two at least")
        if self.knots_s[0] <= 0 or np.any(np.diff(self.knots_s) <= 0):
            raise ValueError("the knots of an age curve are positive and rise")
        if self.values[0] != 0 or np.any(np.diff(self.values) < 0) or self.values[-1] > 1 + 1e-9:
            raise ValueError("an age curve starts at 0, never falls and ends at 1 at most")
        wide = np.diff(self.knots_s)
        slope = np.diff(self.values) / np.log(self.knots_s[1:] / self.knots_s[:-1])
        # Piece j lies below knot j; the first and the last are flat. `_at` is where a piece begins.
        self._slope = np.concatenate([[0.0], slope, [0.0]])
        self._at = np.concatenate([self.knots_s[:1], self.knots_s])
        self._low = np.concatenate([[0.0], self.values])
        # ∫ (F_k + s ln(a/t_k)) da over a piece = (F_{k+1}) t_{k+1} - F_k t_k - s (t_{k+1} - t_k)
        rise = np.diff(self.values * self.knots_s) - slope * wide
        self._area = np.concatenate([[0.0, 0.0], np.cumsum(rise)])

    def piece(self, age_s: FloatsLike) -> npt.NDArray[np.int64]:
        """The number of the piece that an age falls into: how many knots lie at or below it."""
        return np.asarray(np.searchsorted(self.knots_s, age_s, side="right"), dtype=np.int64)

    def cdf(self, age_s: FloatsLike) -> Floats:
        """F at ages in seconds, shaped like them."""
        age = np.asarray(age_s, dtype=np.float64)
        j = self.piece(age)
        logs = np.log(
            np.maximum(age, self.knots_s[0]) / self._at[j]
        )  # 0 slope below the first knot
        return np.asarray(self._low[j] + self._slope[j] * logs)

    def integral(self, age_s: FloatsLike) -> Floats:
        """G, the integral of F from 0 to the age, in seconds."""
        return self.both(age_s)[1]

    def density(self, age_s: FloatsLike) -> Floats:
        """f, the derivative of F, per second; at a knot that of the piece above it."""
        age = np.asarray(age_s, dtype=np.float64)
        return np.asarray(self._slope[self.piece(age)] / np.maximum(age, self.knots_s[0]))

    def both(self, age_s: FloatsLike) -> tuple[Floats, Floats]:
        """F and G, one search for both."""
        age = np.asarray(age_s, dtype=np.float64)
        j = self.piece(age)
        at, low, slope = self._at[j], self._low[j], self._slope[j]
        above = np.maximum(age, at)
        cdf = np.where(j == 0, 0.0, low + slope * np.log(above / at))
        # ∫_t^a (F_k + s ln(x/t)) dx = a F(a) - t F_k - s (a - t)
        area = self._area[j] + np.where(j == 0, 0.0, above * cdf - at * low - slope * (above - at))
        return np.asarray(cdf), np.asarray(area)


def factor(curve: AgeCurve, p: FloatsLike, age0_s: FloatsLike) -> Floats:
    """p / (1 - p F(a0)): what a unit of the curve weighs for a post proven alive at age a0."""
    sure = np.minimum(np.asarray(p, dtype=np.float64), SURE)
    return np.asarray(sure / (1.0 - sure * curve.cdf(age0_s)))


def mass(
    curve: AgeCurve,
    p: FloatsLike,
    age0_s: FloatsLike,
    tau_s: FloatsLike,
    *,
    excess: FloatsLike = 0.0,
    excess_tau_s: FloatsLike | None = None,
) -> Floats:
    """M(τ): the expected number of losses within τ seconds of a proof at age a0 (at most small
    numbers: a chance). `excess` is an additive hazard per second that has acted for the last
    `excess_tau_s` of the τ seconds; all of them if None.
    """
    age0, tau = _ages(age0_s, tau_s)
    acted = tau if excess_tau_s is None else np.minimum(tau, excess_tau_s)
    rise = curve.cdf(age0 + tau) - curve.cdf(age0)
    return np.asarray(factor(curve, p, age0) * rise + np.asarray(excess) * acted)


def index(
    curve: AgeCurve,
    p: FloatsLike,
    age0_s: FloatsLike,
    tau_s: FloatsLike,
    *,
    excess: FloatsLike = 0.0,
    excess_tau_s: FloatsLike | None = None,
    objective: Objective = "mean",
) -> Floats:
    """W of posts last proven alive at age `age0_s`, `tau_s` seconds ago: what a look now is worth.

    For "mean" W is in seconds: p/(1 - p F(a0)) · [τ F(a1) - (G(a1) - G(a0))], and c·τ²/2 for an
    excess hazard c per second, or c·(τ² - (τ - e)²)/2 where it has acted for the last e =
    `excess_tau_s` seconds only. For "log" (the mean logarithm of the delay: a better median, a
    worse tail) it is the mass M itself, a number without unit. Negative ages count as 0.
    """
    if objective == "log":
        return mass(curve, p, age0_s, tau_s, excess=excess, excess_tau_s=excess_tau_s)
    age0, tau = _ages(age0_s, tau_s)
    cdf0, area0 = curve.both(age0)
    cdf1, area1 = curve.both(age0 + tau)
    sure = np.minimum(np.asarray(p, dtype=np.float64), SURE)
    before = 0.0 if excess_tau_s is None else np.maximum(tau - np.asarray(excess_tau_s), 0.0)
    swept = np.asarray(excess) * (tau * tau - before * before) / 2.0
    # Rounding leaves specks below 0 where the curve is flat.
    known = np.maximum(tau * cdf1 - (area1 - area0), 0.0)
    return np.asarray(sure / (1.0 - sure * cdf0) * known + swept)


def wait_s(
    curve: AgeCurve,
    p: FloatsLike,
    age0_s: FloatsLike,
    price: FloatsLike,
    *,
    excess: FloatsLike = 0.0,
    excess_from_s: FloatsLike = 0.0,
    share: float = 0.8,
    objective: Objective = "mean",
    cap_s: float = CAP_S,
) -> Floats:
    """Seconds from the last proof until W = share · price; inf where the post retires.

    A post retires where its index stays below the price even after `cap_s` seconds: no wait repays
    a look. `excess` begins `excess_from_s` seconds after the proof, and the cap is counted from
    there: what retired long ago is wanted again. All arguments broadcast.
    """
    age0 = np.maximum(np.asarray(age0_s, dtype=np.float64), 0.0)
    weigh, price_, hazard, begins, age0 = np.broadcast_arrays(
        factor(curve, p, age0), np.asarray(price, float), excess, excess_from_s, age0
    )
    hazard, begins = np.asarray(hazard, float), np.asarray(begins, float)
    problem = _Problem(curve, weigh, age0, hazard, begins, objective)
    longest = cap_s + np.where(hazard > 0, begins, 0.0)
    at_cap = problem.value(longest)
    wait = np.minimum(problem.solve(share * price_), longest)
    return np.asarray(np.where(at_cap < price_, np.inf, wait))


class _Problem:
    """W as a function of the wait, for posts as columns; on a piece of the curve it is convex."""

    def __init__(
        self,
        curve: AgeCurve,
        weigh: Floats,
        age0: Floats,
        excess: Floats,
        begins: Floats,
        objective: Objective,
    ) -> None:
        self._curve, self._weigh, self._age0 = curve, weigh, age0
        self._excess, self._begins = excess, begins
        self._log = objective == "log"
        self._cdf0, self._area0 = curve.both(age0)

    def _known(self, tau: Floats, cdf: Floats, area: Floats) -> Floats:
        """The index at a wait for which F and G are known."""
        acted = np.maximum(tau - self._begins, 0.0)
        if self._log:
            return np.asarray(self._weigh * (cdf - self._cdf0) + self._excess * acted)
        swept = self._excess * acted * (acted + 2.0 * self._begins) / 2.0
        return np.asarray(self._weigh * (tau * cdf - (area - self._area0)) + swept)

    def value(self, tau: Floats) -> Floats:
        return self._known(tau, *self._curve.both(self._age0 + tau))

    def solve(self, target: Floats) -> Floats:
        """The first wait at which the index is `target`; inf if there is none."""
        knots, values = self._curve.knots_s, self._curve.values
        areas = self._curve._area[1:]
        # The last knot at which the index is still below the target, by bisection over the knots.
        low = self._curve.piece(self._age0) - 1  # -1: the age itself, where the wait is 0
        high = np.full(low.shape, len(knots), dtype=np.int64)
        for _ in range(len(knots).bit_length()):
            middle = np.maximum((low + high) // 2, 0)
            tau = np.maximum(knots[middle] - self._age0, 0.0)
            below = self._known(tau, values[middle], areas[middle]) < target
            open_ = high - low > 1
            low = np.where(open_ & below, middle, low)
            high = np.where(open_ & ~below, middle, high)
        begin = np.where(low < 0, 0.0, np.maximum(knots[np.maximum(low, 0)] - self._age0, 0.0))
        slope = self._weigh * self._curve._slope[low + 1]
        last = len(knots) - 1
        end = np.where(low < last, knots[np.minimum(low + 1, last)] - self._age0, np.inf)
        return self._newton(target - self.value(begin), begin, end, slope)

    def _newton(self, need: Floats, begin: Floats, end: Floats, slope: Floats) -> Floats:
        """The wait in [begin, end] at which the index has risen by `need`, from the right."""
        start = np.maximum(begin, self._begins)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # The excess alone reaches the target later than both together, and has a closed form.
            alone = self._reached(need, start, self._excess)
            alone = np.where(self._excess > 0, alone, np.inf)
            endless = np.isinf(end)  # where the piece has no end, only the excess is left
            tau = np.where(endless, start, np.minimum(end, alone))
            # So does the curve alone, and the lowest hazard up to a wait known to be too long.
            for _ in range(GUESSES):
                longer = self._known_alone(need, begin, slope, tau)
                tau = np.where(longer < tau, longer, tau)
            for _ in range(NEWTON_STEPS):
                age = np.maximum(self._age0 + tau, 1e-9)
                logs = np.log(age / np.maximum(self._age0 + begin, 1e-9))
                swept = self._swept(np.maximum(tau, start)) - self._swept(start)
                hazard = slope / age + self._excess * (tau >= start)
                if self._log:
                    rise, speed = slope * logs + swept, hazard
                else:
                    rise, speed = slope * (tau - begin - self._age0 * logs) + swept, tau * hazard
                step = np.where(speed > 0, (rise - need) / speed, 0.0)
                tau = np.clip(tau - step, begin, np.where(endless, tau, end))
            return np.where(endless, alone, tau)

    def _known_alone(self, need: Floats, begin: Floats, slope: Floats, tau: Floats) -> Floats:
        """No earlier than when the curve alone raises the index by `need`, if that is by `tau`."""
        if self._log:
            return np.asarray((self._age0 + begin) * np.exp(need / slope) - self._age0)
        return self._reached(need, begin, slope / (self._age0 + tau))

    def _reached(self, need: Floats, begin: Floats, hazard: Floats) -> Floats:
        """When a constant hazard, counted from `begin`, has raised the index by `need`."""
        if self._log:
            return begin + need / hazard
        return np.sqrt(begin * begin + 2.0 * need / hazard)

    def _swept(self, tau: Floats) -> Floats:
        """The index of the excess after a wait of at least `begins`, up to a constant."""
        return self._excess * (tau if self._log else tau * tau / 2.0)


def page_index(index_s: Floats, page: npt.NDArray[np.int64], pages: int) -> Floats:
    """The index of each request that answers for several posts: the sum over its posts.

    `page[i]` in [0, pages) is the request that answers for post i. A call whose ids may be chosen
    freely takes the posts with the largest W; each of K ids then costs a K-th of the price.
    """
    return np.asarray(np.bincount(page, weights=index_s, minlength=pages), dtype=np.float64)


def discovery_index(
    curve: AgeCurve,
    p: FloatsLike,
    posts_per_s: FloatsLike,
    tau_s: FloatsLike,
    *,
    miss_s: float = CAP_S,
) -> Floats:
    """What asking for new posts is worth, in the same seconds, `tau_s` after the last time.

    An account that posts at a rate r loses r·p·F(s) posts a second before their first sight once s
    seconds have passed; each counts as noticed `miss_s` late: r·miss·p·(τ F(τ) - G(τ)).
    """
    tau = np.maximum(np.asarray(tau_s, dtype=np.float64), 0.0)
    cdf, area = curve.both(tau)
    known = np.maximum(tau * cdf - area, 0.0)
    return np.asarray(np.asarray(posts_per_s) * miss_s * np.asarray(p) * known)


def _ages(age0_s: FloatsLike, tau_s: FloatsLike) -> tuple[Floats, Floats]:
    age0 = np.maximum(np.asarray(age0_s, dtype=np.float64), 0.0)
    return age0, np.maximum(np.asarray(tau_s, dtype=np.float64), 0.0)
