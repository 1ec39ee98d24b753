"""The peer of the schedule's speed: the same decisions, post by post, from a heap.

In: a filled schedule of `watch`. Out: a schedule over Python's `heapq` that takes the post whose
date is first, weighs it, and takes it for a look or puts it back, and dates it again when it is
proven alive. It has the numbers of the other: the same posts, dates, chances and price. Two ways to
reckon: with scalar arithmetic written for it, the closed form and two Newton steps; or with the
functions of `watch.hazard`, called for one post, as one who wants no second version of the method
would. What it leaves out is in its favour: one host, one price that stays, no jitter, no failures,
no census, no retries, and nothing is ranked: the first in time goes first.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass

from vanished.watch.columns import Floats
from vanished.watch.hazard import AgeCurve, index, wait_s
from vanished.watch.priced import Priced
from vanished.watch.thresholds import EARLY, FLOOR_S, TAKEN_AT


@dataclass(slots=True)
class Post:
    """What is known of a post."""

    born: float
    last: float
    p: float


class HeapSchedule:
    """Posts by the date of their next look."""

    def __init__(self, made: Priced, chances: Floats, curve: AgeCurve) -> None:
        columns, used = made.columns, made.columns.used
        self.price = float(made.prices.by_host[0])
        self.weighed = 0
        self._posts = [
            Post(float(born), float(last), p)
            for born, last, p in zip(
                columns.born[:used].tolist(),
                columns.last[:used].tolist(),
                chances[columns.account[:used]].tolist(),
                strict=True,
            )
        ]
        self._heap = [(float(due), post) for post, due in enumerate(columns.due[:used].tolist())]
        heapq.heapify(self._heap)
        self._curve = curve
        self._knots, self._values = curve.knots_s.tolist(), curve.values.tolist()
        self._areas = curve.integral(curve.knots_s).tolist()
        self._slopes = [
            (high - low) / math.log(end / begin)
            for low, high, begin, end in zip(
                self._values, self._values[1:], self._knots, self._knots[1:], strict=False
            )
        ]

    def take(self, now: float, room: int) -> list[int]:
        """At most `room` posts to look at."""
        taken: list[int] = []
        while len(taken) < room and self._heap and self._heap[0][0] <= now:
            _, number = heapq.heappop(self._heap)
            post = self._posts[number]
            self.weighed += 1
            if self.index(post, now) >= TAKEN_AT * self.price:
                taken.append(number)
            else:
                due = max(post.last + self.wait(post, 1.0), now + 1)
                heapq.heappush(self._heap, (due, number))
        return taken

    def alive(self, taken: list[int], asked: float) -> None:
        for number in taken:
            post = self._posts[number]
            post.last = asked
            heapq.heappush(self._heap, (asked + self.wait(post, EARLY), number))

    def index(self, post: Post, now: float) -> float:
        age0 = max(post.last - post.born, 0.0)
        tau = now - post.last
        cdf0, area0 = self._both(age0)
        cdf1, area1 = self._both(age0 + tau)
        return post.p / (1 - post.p * cdf0) * (tau * cdf1 - (area1 - area0))

    def wait(self, post: Post, share: float) -> float:
        age0 = max(post.last - post.born, 0.0)
        cdf0, area0 = self._both(age0)
        target = share * self.price * (1 - post.p * cdf0) / post.p
        density = self._density(age0)
        wait = math.sqrt(2 * target / density) if density > 0 else FLOOR_S
        for _ in range(2):
            cdf1, area1 = self._both(age0 + wait)
            density = self._density(age0 + wait)
            if density > 0:
                wait -= (wait * cdf1 - (area1 - area0) - target) / (wait * density)
            wait = min(max(wait, 60.0), FLOOR_S)
        return wait

    def _both(self, age: float) -> tuple[float, float]:
        """F and its integral."""
        k = bisect_right(self._knots, age) - 1
        if k < 0:
            return 0.0, 0.0
        begin = self._knots[k]
        if k == len(self._slopes):
            return self._values[k], self._areas[k] + self._values[k] * (age - begin)
        cdf = self._values[k] + self._slopes[k] * math.log(age / begin)
        fallen = age * cdf - begin * self._values[k] - self._slopes[k] * (age - begin)
        return cdf, self._areas[k] + fallen

    def _density(self, age: float) -> float:
        k = bisect_right(self._knots, age) - 1
        return self._slopes[k] / age if 0 <= k < len(self._slopes) else 0.0


class ByFunctions(HeapSchedule):
    """The same with the functions of `watch.hazard`."""

    def index(self, post: Post, now: float) -> float:
        return float(index(self._curve, post.p, post.last - post.born, now - post.last))

    def wait(self, post: Post, share: float) -> float:
        wait = wait_s(self._curve, post.p, post.last - post.born, self.price, share=share)
        return min(max(float(wait), 60.0), FLOOR_S)
