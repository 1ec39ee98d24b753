"""When to read which account's list: one request that proves a page of posts and shows new ones.

In: accounts as columns, what each reading showed, hazards and prices. Out: the lists to read, as
they rank among the looks at posts: by index over price. Pure: times and randomness come in as
arguments, in seconds on the owner's axis, and no I/O is done. What is not done here: taking
(`priced.Priced` takes lists and posts from the same queues), and deciding what a reading means.

The index of a list is what finding its new posts is worth (`hazard.discovery_index`) and the sum of
W over the posts that its last reading proved alive: reading it proves them all again. A list that
only names posts proves none, and is worth its discoveries. In the queues a list stands as ~n, n
being its account's row number, so that it is below 0 and no post's.

How often an account posts is learned by Gamma-Poisson shrinkage from the new posts that readings
showed and the time between those readings; both are forgotten over some weeks. A failed reading
shows nothing: no new post, no time, and no proof.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vanished.watch import columns as c
from vanished.watch.columns import NO_DATE, Columns, Floats, Ids, seconds, seconds_up
from vanished.watch.hazard import CAP_S, Objective, discovery_index, page_index
from vanished.watch.price import Prices
from vanished.watch.queues import Queues
from vanished.watch.thresholds import (
    EARLY,
    FIRST,
    FLOOR_S,
    JITTER,
    RETRY_S,
    REVISED_EVERY_S,
    TAKEN_AT,
)
from vanished.watch.wheel import Wheel
from vanished.watch.worth import Hazards, Worth

LONGEST_S = FLOOR_S  # as with posts: an account without hazard and posts is still seen once a day
MEMORY_S = 21 * 86400.0  # the time constant with which the rate of posting is forgotten
SHAPE = 0.5  # of the Gamma over accounts: rates differ as widely as a log-normal of sigma 1 does
FIRST_PER_S = 3 / 86400  # a new account's rate before anything is learned,
FIRST_POSTS = 10.0  # and the number of posts that this is worth
MISSED_NATS = 4.0  # ln(half a day / 13 minutes): a loss never seen, under the objective "log"
ON_PAGE = 100  # newest posts of a page that are remembered
MOST_WEIGHED = 1000  # of those that wait, at a time: what a page is worth rises slowly
MOST_REVISED = 100  # in a second, at dates that a loop which stood still has missed
STEPS = 12  # ages at which a list's index is computed to date it; between them it is a power law

_TYPES = {
    "host": np.int32,
    "last": np.int32,  # start of the last reading that succeeded; of none: when it was met
    "due": np.int32,
    "flags": np.uint8,  # as in the columns of posts
    "posted": np.float64,  # new posts that readings showed, as far as they are not forgotten,
    "watched": np.float64,  # and the seconds in which they came
    "worth": np.float64,  # in units of the price, when it was weighed last,
    "weighed": np.float64,  # and when that was
}


class Lists:
    """The lists of all accounts, by row number; part of one schedule, whose queues it fills."""

    def __init__(
        self,
        posts: Columns,
        hazards: Hazards,
        prices: Prices,
        worth: Worth,
        queues: Queues,
        chance: np.random.Generator,
        *,
        shortest_s: float,
        objective: Objective = "mean",
        cap_s: float = CAP_S,
    ) -> None:
        self._posts, self._hazards, self._prices = posts, hazards, prices
        self._worth, self._queues, self._chance = worth, queues, chance
        self._shortest_s = shortest_s
        self._log = objective == "log"
        self._missed = MISSED_NATS if self._log else cap_s
        self.host: npt.NDArray[np.int32]
        self.last: npt.NDArray[np.int32]
        self.due: npt.NDArray[np.int32]
        self.flags: npt.NDArray[np.uint8]
        self.posted: Floats
        self.watched: Floats
        self.worth: Floats
        self.weighed: Floats
        for name, kind in _TYPES.items():
            setattr(self, name, np.zeros(0, dtype=kind))
        self.used = 0
        self.mean = FIRST_PER_S
        self._pages: dict[int, npt.NDArray[np.int64]] = {}
        self._wheel = Wheel(self)
        self._waits = np.geomspace(shortest_s, LONGEST_S, STEPS)
        self._round = 0  # of dating all lists anew, one an hour
        self._revised = 0  # accounts below this were revised in this round

    # -- the columns ------------------------------------------------------------------------

    def _use(self, rows: int) -> None:
        if rows > len(self.due):
            more = max(rows, len(self.due) * 3 // 2) - len(self.due)
            for name, kind in _TYPES.items():
                grown = np.concatenate([getattr(self, name), np.zeros(more, dtype=kind)])
                setattr(self, name, grown)
            self.due[-more:] = NO_DATE
        self.used = max(self.used, rows)

    def add(self, accounts: Ids, hosts: npt.ArrayLike, last: Floats) -> None:
        """Enter lists without a date. `last`: see the column; what is known of a rate is kept."""
        if not len(accounts):
            return
        self._use(int(accounts.max()) + 1)
        self.host[accounts], self.last[accounts] = hosts, seconds(last)
        self.flags[accounts] = c.LIVE
        self.due[accounts] = NO_DATE
        self._prices.know(int(self.host[accounts].max()))

    def knows(self, account: int) -> bool:
        """Whether the account was added."""
        return account < self.used and bool(self.flags[account])

    def put(self, accounts: Ids, due: Floats) -> None:
        """Weigh these lists at these times, and read those that are worth their price."""
        self.flags[accounts] &= c.LIVE
        self._date(accounts, due)

    def wish(self, accounts: Ids, due: Floats) -> None:
        """Somebody wants these lists read at these times, whatever it is worth."""
        self.flags[accounts] = (self.flags[accounts] | c.WISHED) & ~(c.QUEUED | c.OUT)
        self._date(accounts, due)

    def _date(self, accounts: Ids, due: Floats) -> None:
        self.due[accounts] = dates = seconds_up(due)
        self._wheel.put(accounts, dates)

    # -- readings ---------------------------------------------------------------------------

    def read(
        self,
        accounts: Ids,
        asked: Floats,
        before: Floats,
        new: npt.ArrayLike,
        shown: Mapping[int, Ids],
        now: Floats | float,
    ) -> None:
        """Readings that succeeded: date the next by what it will be worth.

        They started at `asked`, the last successful ones before them at `before` (nan: none), and
        showed `new` posts that were published in between. `shown`: by account, the posts that were
        proven alive, the newest first.
        """
        span = np.maximum(asked - before, 0.0)
        again = np.isfinite(span)
        known, span = accounts[again], span[again]
        kept = np.exp(-span / MEMORY_S)
        self.posted[known] = self.posted[known] * kept + np.asarray(new, dtype=np.float64)[again]
        self.watched[known] = self.watched[known] * kept + span
        self._learn_mean()
        for account in accounts.tolist():
            page = shown.get(account, np.zeros(0, np.int64))[:ON_PAGE]
            if len(page):
                self._pages[account] = page
            else:
                self._pages.pop(account, None)
        hosts = self.host[accounts].astype(np.int64)
        self._queues.recovered(hosts, self.flags[accounts] & c.FAILED)
        self.last[accounts] = np.maximum(self.last[accounts], seconds(asked))
        self.flags[accounts] = c.LIVE
        self._date(accounts, self.dates(accounts, now))

    def failed(self, accounts: Ids, now: float) -> None:
        """Readings without an answer: nothing was shown, and the next try waits."""
        tries = np.minimum((self.flags[accounts] & c.FAILED) + 1, 15).astype(np.uint8)
        self.flags[accounts] = c.LIVE | tries
        first, longest = RETRY_S
        wait = np.minimum(longest, first * 2.0 ** (tries - 1.0))
        self._date(accounts, now + wait * self._chance.uniform(0.75, 1.25, len(accounts)))

    def rate(self, accounts: Ids) -> Floats:
        """Posts a second of each account."""
        found: Floats = (SHAPE + self.posted[accounts]) / (
            SHAPE / self.mean + self.watched[accounts]
        )
        return found

    def _learn_mean(self) -> None:
        posted = FIRST_POSTS + float(self.posted[: self.used].sum())
        watched = FIRST_POSTS / FIRST_PER_S + float(self.watched[: self.used].sum())
        self.mean = posted / watched

    # -- what a reading is worth --------------------------------------------------------------

    def index(self, accounts: Ids, at: Floats) -> Floats:
        """The index of each list at each of its times: `at` and the result are (lists, times)."""
        times = at.shape[1]
        found = discovery_index(
            self._hazards.curve, self._hazards.chance(accounts)[:, None],
            self.rate(accounts)[:, None], at - self.last[accounts][:, None], miss_s=self._missed,
        )  # fmt: skip
        posts, owner = self._shown(accounts)
        if len(posts):
            worth = self._worth.index(self._worth.of(posts), at[owner])
            place = owner[:, None] * times + np.arange(times)
            whole = page_index(worth.ravel(), place.ravel(), len(accounts) * times)
            found += whole.reshape(found.shape)
        return found

    def _shown(self, accounts: Ids) -> tuple[Ids, Ids]:
        """The posts of these lists that another reading would prove, and whose list it is."""
        pages = [self._pages.get(account) for account in accounts.tolist()]
        sizes = [0 if page is None else len(page) for page in pages]
        if not any(sizes):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        posts = np.concatenate([page for page in pages if page is not None])
        owner = np.repeat(np.arange(len(accounts)), sizes)
        live = (self._posts.flags[posts] & (c.LIVE | c.WISHED)) == c.LIVE
        return posts[live], owner[live]

    def _price(self, accounts: Ids) -> Floats:
        price: Floats = self._prices.by_host[self.host[accounts]]
        return price

    def dates(self, accounts: Ids, now: Floats | float, *, share: float = EARLY) -> Floats:
        """When the index of each will be `share` of its price, jittered and within the bounds."""
        last = self.last[accounts].astype(np.float64)
        index = self.index(accounts, last[:, None] + self._waits)
        waits = _reached(self._waits, index, share * self._price(accounts))
        waits *= self._chance.uniform(1 - JITTER, 1.0, len(waits))
        dates = last + np.clip(waits, self._shortest_s, LONGEST_S)
        return np.maximum(dates, now)

    def opening(self, per_s: Floats) -> tuple[Floats, Ids]:
        """For the price that a host starts at: of each list a constant hazard, and its host.

        The hazard is the one whose index is the list's, were all lists of its host read in turn.
        """
        flags = self.flags[: self.used]
        accounts = np.flatnonzero((flags & (c.LIVE | c.FAILED)) == c.LIVE)
        hosts = self.host[accounts].astype(np.int64)
        turn = np.bincount(hosts, minlength=len(per_s)) / np.maximum(per_s, 1e-9)
        wait = np.clip(turn, 2 * self._shortest_s, LONGEST_S)[hosts]
        found = discovery_index(
            self._hazards.curve, self._hazards.chance(accounts), self.rate(accounts), wait,
            miss_s=self._missed,
        )  # fmt: skip
        return (found / wait if self._log else 2 * found / wait**2), hosts

    # -- the queues ---------------------------------------------------------------------------

    def tick(self, second: int, now: float) -> int:
        """Bring what has come due into the queues; how many were weighed."""
        if not self.used:
            return 0
        self._revise(second, now)
        accounts = self._wheel.pop(second)
        flags = self.flags[accounts]
        waiting = (flags & (c.LIVE | c.QUEUED | c.OUT)) == c.LIVE
        wished = accounts[waiting & ((flags & c.WISHED) > 0)]
        if len(wished):
            wished = wished[np.argsort(self.due[wished], kind="stable")]
            self._queue(wished)
            self._queues.wish(~wished, self.host[wished])
        fresh = accounts[waiting & ((flags & c.WISHED) == 0)]
        self.weigh(fresh, now)
        return len(fresh)

    def _queue(self, accounts: Ids) -> None:
        self.flags[accounts] |= c.QUEUED
        self.due[accounts] = NO_DATE

    def weigh(self, accounts: Ids, now: float) -> None:
        """Rank these among all that waits, or put back into the wheel what can wait."""
        if not len(accounts):
            return
        index = self.index(accounts, np.full((len(accounts), 1), now))[:, 0]
        worth = index / self._price(accounts)
        worth[now - self.last[accounts] >= LONGEST_S] += FIRST
        self.worth[accounts], self.weighed[accounts] = worth, now
        tries = self.flags[accounts] & c.FAILED
        early = (worth < TAKEN_AT) & (tries == 0)
        if early.any():
            self.put(accounts[early], self.dates(accounts[early], now, share=1.0))
            accounts = accounts[~early]
        self._queue(accounts)
        self._rank(accounts)

    def _rank(self, accounts: Ids) -> None:
        hosts = self.host[accounts].astype(np.int64)
        tries = self.flags[accounts] & c.FAILED
        self._queues.rank(~accounts, hosts, self.worth[accounts], tries)

    def carry(self, accounts: Ids, now: float) -> None:
        """Rank again those that were not moved, taken or wished since; weigh a part of them."""
        flags = self.flags[accounts] & ~c.FAILED
        accounts = accounts[flags == (c.LIVE | c.QUEUED)]
        if len(accounts) > MOST_WEIGHED:
            accounts = accounts[np.argpartition(self.weighed[accounts], MOST_WEIGHED)]
            self._rank(accounts[MOST_WEIGHED:])
        self.weigh(accounts[:MOST_WEIGHED], now)

    def take(self, accounts: Ids) -> Ids:
        """These come to the head of their queues: those that are to be read are then OUT."""
        flags = self.flags[accounts]
        accounts = accounts[(flags & (c.LIVE | c.OUT | c.QUEUED)) == (c.LIVE | c.QUEUED)]
        accounts = c.distinct(accounts)
        self.flags[accounts] = (self.flags[accounts] & ~c.QUEUED) | c.OUT
        return accounts

    def redate(self, accounts: Ids, now: float) -> None:
        """Date those of these anew that are dated by their worth alone: hazards have changed."""
        accounts = accounts[accounts < self.used]
        accounts = accounts[self.flags[accounts] == c.LIVE]
        if len(accounts):
            self._date(accounts, self.dates(accounts, now))

    def _revise(self, second: int, now: float) -> None:
        """Each second a part of all lists is dated anew: prices and hazards have changed."""
        round_, passed = second // REVISED_EVERY_S, second % REVISED_EVERY_S + 1
        if round_ != self._round:
            self._round, self._revised = round_, 0
        upto = min(self.used * passed // REVISED_EVERY_S, self._revised + MOST_REVISED)
        if upto > self._revised:
            self.redate(np.arange(self._revised, upto), now)
            self._revised = upto

    def next_due(self) -> int:
        """The second at which `tick` may find something; NO_DATE: never."""
        return self._wheel.next_due()

    # -- over a restart -----------------------------------------------------------------------

    def kept(self) -> dict[str, Floats]:
        """What was learned of each account's rate; pages are shown again by the next readings."""
        return {
            "posted": self.posted[: self.used].copy(), "watched": self.watched[: self.used].copy()
        }  # fmt: skip

    def recall(self, kept: Mapping[str, Floats]) -> None:
        """Know again what one knew that handed out `kept`."""
        if "posted" in kept and len(kept["posted"]):
            self._use(len(kept["posted"]))
            self.posted[: len(kept["posted"])] = kept["posted"]
            self.watched[: len(kept["watched"])] = kept["watched"]
            self._learn_mean()


def _reached(grid: Floats, index: Floats, target: Floats) -> Floats:
    """By row: where on `grid` the index reaches its target; the grid's end where it does not."""
    above = index >= target[:, None]
    high = np.where(above.any(axis=1), np.argmax(above, axis=1), len(grid) - 1)
    low, rows = np.maximum(high - 1, 0), np.arange(len(index))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(index[rows, low]), np.log(index[rows, high])
        part = (np.log(target) - logs[0]) / (logs[1] - logs[0])
        linear = (target - index[rows, low]) / (index[rows, high] - index[rows, low])
    part = np.where(np.isfinite(part), part, np.where(np.isfinite(linear), linear, 1.0))
    found = grid[low] * (grid[high] / grid[low]) ** np.clip(part, 0.0, 1.0)
    return np.asarray(found)
