"""What the ways to a platform are known to be worth: from kept facts to what the judge is told.

In: rows of the journal's coverage that speak of routes and canaries, new rounds as they come, and
measurements that were kept. Out: a `Trust` by platform and origin, and the row that a new fact is
kept as. A platform that was only ever asked one way, has no canaries and was never measured is
judged as if this file did not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vanished.archive.columns import (
    CANARIES_GONE,
    CANARIES_SET,
    CANARY_RIGHT,
    CANARY_WRONG,
    ROUTE_BEGUN,
    ROUTE_ENDED,
    Coverage,
)
from vanished.archive.measured import Measured, origin
from vanished.judge import BLIND, Check, NetworkWord, Standing, Trust
from vanished.judge.networks import Sight, words
from vanished.model import Micros

_BETWEEN = " from "
_NEW = Standing()


def subject(platform: str, vantage: str) -> str:
    """How a way to a platform is named in the coverage."""
    return f"{platform}{_BETWEEN}{vantage}"


class Trusting:
    """All ways, by platform and vantage. `fresh`: how long a right round vouches.

    `measured`: what reach says of origins. A platform may have many, so that the word on one says
    nothing of the others.
    """

    def __init__(
        self,
        fresh: Micros,
        past: Iterable[Coverage] = (),
        measured: Iterable[Measured] = (),
    ) -> None:
        self._fresh = fresh
        self._trust: dict[str, Trust] = {}
        self._words = network_words(measured)
        for row in past:
            self._enter(row)

    def trust(self, platform: str, url: str = "") -> Trust:
        """What the judge is to be told of `platform`, and of the networks before `url`."""
        found = self._trust.get(platform, BLIND)
        words = self._words.get(origin(url)) if self._words and url else None
        return Trust(found.vantages, words) if words else found

    def has_word(self, url: str) -> bool:
        """Whether reach has a word on a network before `url`."""
        return bool(self._words) and origin(url) in self._words

    def standing(self, platform: str, vantage: str) -> Standing:
        return self.trust(platform).vantages.get(vantage, _NEW)

    @property
    def in_doubt(self) -> list[tuple[str, str]]:
        """Platforms and vantages whose canaries answered wrongly when last asked."""
        return [(p, v) for p, t in self._trust.items() for v, r in t.vantages.items() if r.in_doubt]

    def begin(
        self, platform: str, vantages: Sequence[str], now: Micros, *, guarded: bool
    ) -> list[Coverage]:
        """A watch begins to ask `platform` from `vantages`: what changed since the last one.

        What is asked in one way only needs no row for that way until there is a second.
        """
        rows = []
        known = self.trust(platform).vantages
        used = vantages if len(vantages) > 1 or known else ()
        for vantage in sorted({*known, *vantages}):
            standing = known.get(vantage, _NEW)
            open_use = bool(standing.used) and standing.used[-1].until is None
            open_guard = bool(standing.guarded) and standing.guarded[-1].until is None
            changes = (
                (ROUTE_BEGUN, vantage in used and not open_use),
                (CANARIES_SET, vantage in vantages and guarded and not open_guard),
                (CANARIES_GONE, open_guard and not (guarded and vantage in vantages)),
                (ROUTE_ENDED, open_use and vantage not in vantages),
            )
            rows += [
                Coverage(subject(platform, vantage), now, now, what)
                for what, happened in changes
                if happened
            ]
        for row in rows:
            self._enter(row)
        return rows

    def checked(self, platform: str, vantage: str, check: Check, why: str) -> Coverage:
        """A round of canaries ended: take it in; the row that it is kept as."""
        what = CANARY_RIGHT if check.right else CANARY_WRONG
        name = subject(platform, vantage)
        row = Coverage(name, check.asked_at, check.answered_at, what, why)
        self._enter(row)
        return row

    def _enter(self, row: Coverage) -> None:
        platform, _, vantage = row.subject.partition(_BETWEEN)
        standing = self.standing(platform, vantage)
        match row.what:
            case what if what == ROUTE_BEGUN:
                standing = standing.begun(row.since, guarded=False)
            case what if what == CANARIES_SET:
                standing = standing.begun(row.since, guarded=True)
            case what if what == ROUTE_ENDED:
                standing = standing.ended(row.since, guarded=False)
            case what if what == CANARIES_GONE:
                standing = standing.ended(row.since, guarded=True)
            case what if what in (CANARY_RIGHT, CANARY_WRONG):
                check = Check(row.since, row.until, row.what == CANARY_RIGHT)
                standing = standing.checked(check, self._fresh)
        old = self.trust(platform)
        vantages: Mapping[str, Standing] = {**old.vantages, vantage: standing}
        self._trust[platform] = Trust(vantages)


def network_words(measured: Iterable[Measured]) -> dict[str, tuple[NetworkWord, ...]]:
    """By origin, when which vantage's network stopped it, or let it through; see judge.networks.

    Only measurements that were kept as made behind a vantage of ours say anything of its looks.
    """
    sights: dict[tuple[str, str], list[Sight]] = {}
    for one in measured:
        about = one.speaks_for if one.vantage else ""
        if about and one.stopped is not None:
            sights.setdefault((about, one.vantage), []).append(Sight(one.measured_at, one.stopped))
    found: dict[str, tuple[NetworkWord, ...]] = {}
    for (about, vantage), seen in sights.items():
        if said := words(vantage, seen):
            found[about] = (*found.get(about, ()), *said)
    return found
