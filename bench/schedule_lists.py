"""How soon losses are noticed when lists compete by price with looks, or are read every 300 s.

In: nothing but seeds. Out: claims and a table on standard error. A post is unknown until a list
shows it; one that is lost before counts as noticed half a day late (CAP_S), as does one that is
never noticed. The watch's own schedule (`Priced` with its `Lists`, the learner) runs on both sides,
at the same budget, kept in every second as a token bucket: one side reads every account's list
every 300 s as a wish, as the first watch did, and gives looks what is left; the other lets lists
compete. "proving" lists show a post's words, so that a reading proves all posts on its page, and
need no look at a new one; "naming" lists only name posts. Either asks at once about a known post
that its page lacks. Takes about fifteen minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.harness import Claim, Peer, at_least, at_most
from bench.schedule_world import CURVE, DAY, HORIZON, PAGE, Ints, Shape, Tally, World
from vanished.watch.hazard import CAP_S, Floats
from vanished.watch.learning import Learner
from vanished.watch.priced import Priced

SEEDS = (1, 2, 3)
SHAPE = Shape("lists", 300, 1800, 1.5, int(2.5 * DAY), 10)
FIXED_S = 300.0
BURST_S = 10.0
BEYOND = 20  # posts beyond a page that are looked through for those that are still there


@dataclass(frozen=True, slots=True)
class Outcome:
    """Delays in seconds of the losses that count, capped; requests for lists and for looks."""

    delays_s: Floats
    mean_min: float  # the mean delay that the run has in expectation, see `Tally`
    unseen: float  # the share of losses before first sight, in expectation
    lists: int
    looks: int


class Observed:
    """One run: a world, the schedule, and what has been seen of the world's posts."""

    def __init__(self, world: World, *, proving: bool, every_s: float | None) -> None:
        self.world, self.proving, self.every_s = world, proving, every_s
        self.learner = Learner(1)
        self.made = Priced(self.learner, lambda host: world.shape.requests_per_s, seed=world.seed)
        self.made.arm(0, 0)
        accounts = np.arange(world.shape.accounts)
        self.made.lists.add(accounts, np.zeros(len(accounts), np.int32), np.zeros(len(accounts)))
        self.made.lists.wish(accounts, np.zeros(len(accounts)))
        order = np.argsort(world.account, kind="stable")
        starts = np.searchsorted(world.account[order], np.arange(world.shape.accounts + 1))
        self.of = [order[a:b] for a, b in pairwise(starts)]
        self.met_s = np.full(len(world.born_s), np.inf)
        self.noticed_s = np.full(len(world.born_s), np.inf)
        self.proven_s = np.zeros(len(world.born_s))
        self.there_s = np.zeros(len(world.born_s))  # when last proven, or only listed
        self.missed = np.zeros(len(world.born_s), dtype=bool)  # on a page, and to be asked about
        self.tally = Tally(world)
        self.undiscovered = 0.0  # of the tally's losses
        self.read_s = np.full(world.shape.accounts, np.nan)
        self.chance = np.random.default_rng([world.seed, 11])

    def answered(self, posts: Ints, now: float) -> None:
        """Definite answers about known posts, of looks or of pages."""
        posts = posts[~np.isfinite(self.noticed_s[posts])]
        self.checked(posts[~self.missed[posts]], now)
        lost = self.world.lost_s[posts] <= now
        born = self.world.born_s[posts]
        self.learner.observe(
            now, self.proven_s[posts] - born, now - born, self.world.account[posts],
            np.zeros((len(posts), 1), np.int64), lost,
        )  # fmt: skip
        self.noticed_s[posts[lost]] = now
        self.made.drop(posts[lost])
        alive = posts[~lost]
        self.proven_s[alive] = now
        if len(alive):
            self.made.alive(alive, np.full(len(alive), now), now)

    def checked(self, posts: Ints, now: float) -> None:
        """A loss of these since they were last there is noticed now: count what is expected."""
        self.tally.add(posts, self.there_s[posts], np.full(len(posts), now))
        self.there_s[posts] = now

    def discovered(self, posts: Ints, now: float) -> None:
        """These were born since the last reading; those lost before this one stay unseen."""
        shape = self.world.shape
        if len(posts) and shape.warm_s < now <= shape.last_s:
            age = now - self.world.born_s[posts]
            chance = float((self.world.p[self.world.account[posts]] * CURVE.cdf(age)).sum())
            self.tally.chance += chance
            self.tally.waited += chance * CAP_S
            self.undiscovered += chance

    def read(self, accounts: Ints, now: float) -> None:
        """Readings of lists: pages of the newest posts that are there."""
        new, pages, shown_all, missed = [], {}, [], []
        for account in accounts.tolist():
            posts = self.of[account]
            posts = posts[: np.searchsorted(self.world.born_s[posts], now, side="right")]
            posts = posts[-PAGE - BEYOND :]
            there = self.world.lost_s[posts] > now
            page = posts[there][-PAGE:]
            fresh = page[~np.isfinite(self.met_s[page])]
            before = self.read_s[account]
            self.discovered(posts[self.world.born_s[posts] > before], now)
            new.append(int((self.world.born_s[fresh] >= before).sum()))
            self.meet(fresh, now)
            if len(page):
                within = posts[~there & (posts >= page[0]) & np.isfinite(self.met_s[posts])]
                missed.append(within[~np.isfinite(self.noticed_s[within])])
            shown_all.append(page)
            pages[account] = page[::-1] if self.proving else page[:0]
        shown = np.concatenate(shown_all)
        absent = np.concatenate(missed) if missed else shown[:0]
        if self.proving:
            self.answered(shown, now)
        else:
            self.checked(shown, now)
        absent = absent[~self.missed[absent]]
        if len(absent):
            self.checked(absent, now)
            self.missed[absent] = True
            self.made.wish(absent, np.full(len(absent), now))
        lists, asked = self.made.lists, np.full(len(accounts), now)
        lists.read(accounts, asked, self.read_s[accounts], new, pages, now)
        if self.every_s is not None:
            wait = self.every_s * self.chance.uniform(0.95, 1.05, len(accounts))
            lists.wish(accounts, now + wait)
        self.read_s[accounts] = now

    def meet(self, posts: Ints, now: float) -> None:
        """Posts seen for the first time; where the list proves nothing they are asked at once."""
        if not len(posts):
            return
        born, there = self.world.born_s[posts].astype(float), np.full(len(posts), now)
        self.met_s[posts], self.proven_s[posts], self.there_s[posts] = now, now, now
        self.made.add(posts, born=born, last=there, account=self.world.account[posts], arm=0)
        if not self.proving:
            self.made.wish(posts, there)


def budget(room: int) -> Callable[[int], int]:
    """The same room whatever the host."""
    return lambda host: room


def observe(world: World, *, proving: bool, every_s: float | None) -> Outcome:
    """Run the world from beginning to end; AssertionError if a second exceeds the bucket."""
    run_, shape = Observed(world, proving=proving, every_s=every_s), world.shape
    tokens, spent = BURST_S * shape.requests_per_s, [0, 0]
    for now in range(shape.tick_s, shape.end_s + 1, shape.tick_s):
        most = max(1.0, BURST_S * shape.requests_per_s)
        tokens = min(most, tokens + shape.requests_per_s * shape.tick_s)
        room = int(tokens)
        rows = run_.made.take(float(now), budget(room), 10**6)
        assert len(rows) <= room, "the bucket was exceeded"
        tokens -= len(rows)
        lists, posts = ~rows[rows < 0], rows[rows >= 0]
        spent[0] += len(lists)
        spent[1] += len(posts)
        if len(posts):
            run_.answered(posts, float(now))
        if len(lists):
            run_.read(lists, float(now))
    left = np.isfinite(run_.met_s) & ~np.isfinite(run_.noticed_s)
    rest = np.flatnonzero(left & (run_.there_s < world.born_s + HORIZON))
    run_.tally.unseen(rest, run_.there_s[rest])
    counted = world.counted() & (world.born_s >= 0)
    late = run_.noticed_s[counted] - world.lost_s[counted]
    tally = run_.tally
    return Outcome(
        np.minimum(late, CAP_S), tally.waited / tally.chance / 60,
        run_.undiscovered / tally.chance, spent[0], spent[1],
    )  # fmt: skip


def run(seeds: tuple[int, ...] = SEEDS) -> tuple[list[Claim], list[Peer]]:
    """Both kinds of list, both ways to date them."""
    mean: dict[tuple[bool, bool], float] = {}
    shares: list[float] = []
    for proving in (True, False):
        for priced in (False, True):
            found = []
            for seed in seeds:
                began = time.monotonic()
                world = World(SHAPE, seed)
                one = observe(world, proving=proving, every_s=None if priced else FIXED_S)
                found.append(one)
                kind, way = "proving" if proving else "naming", "price" if priced else "300 s"
                print(
                    f"{kind:8} {way:6} seed {seed}: mean {one.mean_min:5.2f} min expected,"
                    f" median {np.median(one.delays_s) / 60:.1f} of {len(one.delays_s)} losses,"
                    f" {one.unseen:.4f} lost before first sight, {one.lists} lists,"
                    f" {one.looks} looks, {time.monotonic() - began:.0f} s",
                    file=sys.stderr,
                )
            mean[proving, priced] = float(np.mean([one.mean_min for one in found]))
            if priced:
                shares += [one.lists / (one.lists + one.looks) for one in found]
    return [
        at_most("proving lists by price: mean delay to lists every 300 s",
                mean[True, True] / mean[True, False], "times", 0.65),
        at_most("naming lists by price: mean delay to lists every 300 s",
                mean[False, True] / mean[False, False], "times", 0.90),
        at_least("share of requests that lists get by price, the least", min(shares), "", 0.02),
        at_most("share of requests that lists get by price, the most", max(shares), "", 0.98),
    ], []  # fmt: skip
