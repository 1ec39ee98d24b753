"""What a host allows and nobody's date asks for: requests left over, and the share of the census.

In: how many requests each host allowed and got. Out: how many more it may be given, of both kinds.
Unused requests are saved up for as long as a host's bucket saves them. Pure.
"""

from __future__ import annotations

import numpy as np

from vanished.watch.columns import Floats, Ids

SAVED_S = 10.0


class Leftovers:
    """By host number: requests saved up, and looks at posts drawn at random that are owed."""

    def __init__(self, census: float) -> None:
        self._share = census
        self._saved = np.zeros(0)
        self._owed = np.zeros(0)
        self._taken = np.zeros(0)

    def _know(self, hosts: int) -> None:
        more = hosts - len(self._saved)
        if more > 0:
            self._saved, self._owed, self._taken = (
                np.concatenate([column, np.zeros(more)])
                for column in (self._saved, self._owed, self._taken)
            )

    def took(self, hosts: Ids, cost: Floats) -> None:
        """Looks were taken at these hosts, each for a part of a request."""
        if len(hosts):
            self._know(int(hosts.max()) + 1)
            self._taken += np.bincount(hosts, weights=cost, minlength=len(self._taken))

    def pass_(self, per_s: Floats, for_s: float, busy: Ids) -> tuple[Ids, Ids]:
        """Some seconds have passed: (spare requests, looks for the census) of each host now.

        `busy` hosts have more to ask than they allow, so they have nothing to spare.
        """
        self._know(len(per_s))
        gained = per_s * for_s - self._taken[: len(per_s)]
        most = np.maximum(SAVED_S * per_s, 1.0)
        self._saved = np.clip(self._saved + gained, 0.0, most)
        self._owed = np.minimum(self._owed + self._share * self._taken, np.maximum(most, 10.0))
        self._saved[busy] = 0.0
        self._taken[:] = 0.0
        return self._saved.astype(np.int64), self._owed.astype(np.int64)

    def spent(self, spare: Ids, census: Ids) -> None:
        """So many of them were given away, by host."""
        self._saved -= spare
        self._owed -= census


def first_of_each(hosts: Ids, key: Floats, quota: Ids) -> Ids:
    """Places of the rows with the smallest `key`s of each host, as many as its quota."""
    order = np.lexsort((key, hosts))
    hosts = hosts[order]
    begins = np.r_[True, np.diff(hosts) > 0][: len(hosts)]
    starts = np.flatnonzero(begins)
    place = np.arange(len(hosts)) - starts[np.cumsum(begins) - 1] if len(hosts) else hosts
    chosen: Ids = order[place < quota[hosts]]
    return chosen
