"""What an open observatory asks of its hosts: posts with their hazards, lists, canaries, budgets.

In: an observatory, open for reading, and its sources. Out: columns for `planning.outlook`, and by
host what is spent before any look. Hazards are those of one moment, the watch's latest sign of
life: of a watch that stopped long ago, it plans what it watched then. Nothing is asked and nothing
kept; beside a running watch it reads what that committed last.

Sweeps that are under way are not in it: the present does not keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Scheduled, host_of
from vanished.archive.settings import Settings
from vanished.model import SECOND, Micros
from vanished.sources import Source
from vanished.watch.by_price import learner_of
from vanished.watch.canaries import canaries_of
from vanished.watch.columns import Columns, Floats, Ids
from vanished.watch.learning import Learner
from vanished.watch.live import serves
from vanished.watch.planning import Risks, grouped
from vanished.watch.price import Prices
from vanished.watch.worth import Batch, Worth

UNREAD_S = 3600.0  # the longest wait for a list that fails or was never read
CHUNK = 1 << 19  # posts whose hazards are computed at once


@dataclass(slots=True)
class Arms:
    """Platforms at hosts, numbered as they come, with what each asks beside looks."""

    settings: Settings
    hosts: list[str] = field(default_factory=list)
    platform: list[str] = field(default_factory=list)  # by arm
    host: list[int] = field(default_factory=list)  # by arm
    accounts: list[int] = field(default_factory=list)  # by arm: whose lists are read there
    lists_per_s: list[float] = field(default_factory=list)  # by arm
    canaries_per_s: list[float] = field(default_factory=list)  # by arm
    _hosts: dict[str, int] = field(default_factory=dict)
    _arms: dict[tuple[str, int], int] = field(default_factory=dict)

    def host_number(self, name: str) -> int:
        number = self._hosts.setdefault(name, len(self.hosts))
        if number == len(self.hosts):
            self.hosts.append(name)
        return number

    def arm(self, platform: str, host: int) -> int:
        number = self._arms.setdefault((platform, host), len(self.host))
        if number == len(self.host):
            self.platform.append(platform)
            self.host.append(host)
            self.accounts.append(0)
            self.lists_per_s.append(0.0)
            self.canaries_per_s.append(0.0)
        return number

    def budget_per_s(self) -> Floats:
        """Requests a second that the settings allow, by host."""
        hosts = self.settings.hosts
        return np.array([hosts.per_host.get(name, hosts.per_second) for name in self.hosts])

    def beside_per_s(self, times: float = 1.0) -> Floats:
        """Requests a second that lists and canaries take of `times` the budget, by host.

        Lists that are read where that is worth its price take their share of any budget.
        """
        by_price = self.settings.watch.discover_every_s is None
        lists = np.array(self.lists_per_s) * (times if by_price else 1.0)
        both = lists + np.array(self.canaries_per_s)
        sums = np.bincount(np.array(self.host, dtype=np.int64), both, len(self.hosts))
        return np.asarray(sums, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Demand:
    """All that a plan rests on."""

    arms: Arms
    risks: Risks
    at: Micros  # the moment of the hazards
    posts: int  # that were proven alive and are planned for
    of_accounts: int  # theirs
    other_posts: int  # in the schedule, and not planned for: lost, in doubt, or never proven alive
    losses: float  # seen so far, which the hazards rest on; those in sweeps count in part
    looks: int  # kept so far
    learnt: bool  # False: hazards are assumptions


def demand(observatory: Observatory, chosen: Mapping[str, Source], now: Micros) -> Demand:
    """What `observatory` asks for; `now` counts where its watch never ran.

    Posts and accounts of platforms that are not `chosen` are left out: nobody asks about them.
    """
    settings, arms = observatory.settings, Arms(observatory.settings)
    at = observatory.last_looking() or now
    text = observatory.learnt()
    learner = learner_of(text, 1)
    posts = observatory.schedule_columns(arms.host_number)
    asked = np.array([name in chosen for name in posts.platforms], dtype=bool)
    mine = asked[posts.platform] if len(asked) else np.zeros(0, dtype=bool)
    rows = np.flatnonzero(mine & posts.plain)
    arm = posts.numbered(arms.arm, rows)
    _lists(arms, [row for row in observatory.account_rows() if row.account.platform in chosen])
    for platform, source in chosen.items():
        _canaries(arms, settings, platform, source)
    cost = np.array([1.0 / serves(settings, name, chosen[name]) for name in arms.platform])
    host = np.array(arms.host, dtype=np.int64)
    return Demand(
        arms=arms,
        risks=grouped(arm, _hazards(posts, rows, learner, at), host, cost),
        at=at,
        posts=len(rows),
        of_accounts=len(np.unique(posts.account[rows])),
        other_posts=int(np.count_nonzero(mine)) - len(rows),
        losses=float(learner.kept()["lost"].sum()),
        looks=observatory.looks,
        learnt=bool(text),
    )


def _hazards(posts: Scheduled, rows: Ids, learner: Learner, at: Micros) -> Floats:
    """Of a loss a second at `at`, if each was alive until then."""
    worth = Worth(Columns.empty(0), learner, Prices())
    found = np.zeros(len(rows))
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        last = (posts.last[some] - at) / SECOND
        batch = Batch(
            some, last, np.maximum(last - (posts.born[some] - at) / SECOND, 0.0),
            learner.chance(posts.account[some]), np.zeros(0, np.uint32), None, None,
        )  # fmt: skip
        found[start : start + CHUNK] = worth.hazard(batch, 0.0)
    return found


def _lists(arms: Arms, rows: list[AccountRow]) -> None:
    """A request for each reading of a list, as often as it is read: as its date says, and seldom
    where an account is its one post."""
    watch = arms.settings.watch
    regular = watch.shortest_s if watch.discover_every_s is None else watch.discover_every_s
    for row in rows:
        track = row.track
        settled = track.last_asked_at and not track.failures
        unread = UNREAD_S if watch.discover_every_s is None else 0.0
        dated = (track.due - track.last_asked_at) / SECOND if settled else unread
        arm = arms.arm(row.account.platform, arms.host_number(host_of(row.account.url)))
        arms.accounts[arm] += 1
        arms.lists_per_s[arm] += 1.0 / max(regular, dated)


def _canaries(arms: Arms, settings: Settings, platform: str, source: Source) -> None:
    asked = settings.asked(platform)
    for canary in canaries_of(source, asked.canaries):
        arm = arms.arm(platform, arms.host_number(canary.host))
        arms.canaries_per_s[arm] += max(len(asked.routes), 1) / settings.canaries.every_s
