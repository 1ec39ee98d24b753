"""What a request budget buys an observatory, and what the next step would, as numbers and JSON.

In: a folder, and steps as multiples of today's budget. Out: a `Plan`; `plan_shown` prints and draws
it. The estimates are `watch.planning`'s. It only reads, also beside a running watch, and asks
nobody. Hosts have numbers unless names are asked for: a host can be one author's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vanished.archive.observatory import Observatory
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import DAY, SECOND, Micros, at
from vanished.sources.registry import sources
from vanished.watch.columns import Floats, Ids
from vanished.watch.demand import Demand, demand
from vanished.watch.learning import FIRST_P, HORIZON_S, PRIOR_LOSSES
from vanished.watch.live import conditions_of
from vanished.watch.planning import Buys, Outlook, outlook

METHOD = "plan/1"
STEPS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MOST_STEPS = 20
DAY_S = DAY / SECOND


@dataclass(frozen=True, slots=True)
class Step:
    """One budget for all hosts, as a multiple of today's, and what it buys."""

    times: float
    budget_per_s: float
    buys: Buys

    def facts(self) -> dict[str, object]:
        return {
            "times": self.times,
            "budget_per_day": self.budget_per_s * DAY_S,
            **_bought(self.buys),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """What one host costs and gets at today's budget; or all hosts of a platform together."""

    platform: str
    host: str
    accounts: int  # whose lists are read there
    budget_per_s: float
    lists_per_s: float
    canaries_per_s: float
    buys: Buys

    @property
    def starved(self) -> bool:
        """Whether lists and canaries leave nothing for looks."""
        return self.lists_per_s + self.canaries_per_s >= self.budget_per_s

    def facts(self) -> dict[str, object]:
        return {
            "platform": self.platform,
            "host": self.host,
            "accounts": self.accounts,
            "budget_per_day": self.budget_per_s * DAY_S,
            "lists_per_day": self.lists_per_s * DAY_S,
            "canaries_per_day": self.canaries_per_s * DAY_S,
            **_bought(self.buys),
        }


def _bought(buys: Buys) -> dict[str, object]:
    within = buys.within
    return {
        "posts": round(buys.posts),
        "retired": round(buys.retired),
        "losses_expected_per_day": buys.losses_per_s * DAY_S,
        "looks_per_day": buys.looks_per_s * DAY_S,
        "requests_for_looks_per_day": buys.requests_per_s * DAY_S,
        "mean_delay_s": buys.delay_s,
        "noticed_within": (
            None if within is None else dict(zip(("10min", "1h", "24h"), within, strict=True))
        ),
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every number of it with its denominator."""

    observatory: str
    at: Micros
    posts: int
    of_accounts: int
    other_posts: int
    rests_on: str
    learnt: bool
    losses: float
    looks: int
    lists_per_s: float
    canaries_per_s: float
    steps: Sequence[Step]
    hosts: Sequence[Place]
    platforms: Sequence[Place]
    remarks: Sequence[str] = ()

    @property
    def today(self) -> Step:
        return next(step for step in self.steps if step.times == 1)

    def facts(self) -> dict[str, object]:
        return {
            "observatory": self.observatory,
            "method": METHOD,
            "at": at(self.at).isoformat(),
            "posts": self.posts,
            "accounts_of_posts": self.of_accounts,
            "posts_not_planned": self.other_posts,
            "learnt": self.learnt,
            "losses_learnt_from": self.losses,
            "looks_so_far": self.looks,
            "rests_on": self.rests_on,
            "lists_per_day": self.lists_per_s * DAY_S,
            "canaries_per_day": self.canaries_per_s * DAY_S,
            "steps": [step.facts() for step in self.steps],
            "platforms": [place.facts() for place in self.platforms],
            "hosts": [place.facts() for place in self.hosts],
            "remarks": list(self.remarks),
        }


def parse_steps(text: str | None) -> tuple[float, ...]:
    """The multiples in a text such as "0.5,1,2", rising, with today's budget among them."""
    if text is None:
        return STEPS
    try:
        given = {float(word) for word in text.replace(",", " ").split()}
    except ValueError:
        given = {0.0}
    if not all(1e-3 <= times <= 1e3 for times in given) or not 0 < len(given) <= MOST_STEPS:
        raise UsageError(
            f"--steps '{text}' is not understood; write 1 to {MOST_STEPS} multiples of today's"
            " budget between 0.001 and 1000, such as 0.5,1,2,4."
        )
    return tuple(sorted(given | {1.0}))


def make_plan(folder: Path, *, steps: Sequence[float] = STEPS, names: bool = False) -> Plan:
    """Plan for the observatory in `folder`. Raises UsageError if nothing was proven alive yet."""
    with Observatory.open(folder) as observatory:
        settings = observatory.settings
        watched = {row.account.platform for row in observatory.account_rows()}
        chosen = sources(watched, observatory.naming, settings)
        wanted = demand(observatory, chosen, SystemClock().now())
        if not wanted.posts:
            raise UsageError(
                "There is nothing to plan for: this observatory holds no post that a source of"
                " its platform has proven alive; run vanished watch for a while first."
            )
        conditions = conditions_of(settings)
        budget, beside = wanted.arms.budget_per_s(), wanted.arms.beside_per_s

        def bought(times: float) -> Outlook:
            left = np.maximum(budget * times - beside(times), 0.0)
            return outlook(wanted.risks, left, conditions)

        now = bought(1.0)
        hosts, platforms = _places(wanted, now, budget, names=names)
        return Plan(
            observatory=settings.id,
            at=wanted.at,
            posts=wanted.posts,
            of_accounts=wanted.of_accounts,
            other_posts=wanted.other_posts,
            rests_on=_rests_on(wanted),
            learnt=wanted.learnt,
            losses=wanted.losses,
            looks=wanted.looks,
            lists_per_s=sum(wanted.arms.lists_per_s),
            canaries_per_s=sum(wanted.arms.canaries_per_s),
            steps=[
                Step(times, float(budget.sum()) * times, bought(times).all()) for times in steps
            ],
            hosts=hosts,
            platforms=platforms,
            remarks=_remarks(
                hosts, now.all(), budget, beside(), by_age=bool(settings.watch.look_every_s)
            ),
        )


def _places(
    wanted: Demand, now: Outlook, budget: Floats, *, names: bool
) -> tuple[list[Place], list[Place]]:
    """By platform and host, the most expected losses first; and platforms that have many hosts."""
    arms = wanted.arms
    host, lists, canaries, accounts = (
        np.array(each) for each in (arms.host, arms.lists_per_s, arms.canaries_per_s, arms.accounts)
    )

    def place(chosen: Ids, name: str) -> Place:
        return Place(
            platform=" and ".join(sorted({arms.platform[arm] for arm in chosen.tolist()})),
            host=name,
            accounts=int(accounts[chosen].sum()),
            budget_per_s=float(budget[np.unique(host[chosen])].sum()),
            lists_per_s=float(lists[chosen].sum()),
            canaries_per_s=float(canaries[chosen].sum()),
            buys=now.of(chosen),
        )

    losses = np.bincount(host, now.losses, len(budget))
    order = np.argsort(-losses, kind="stable")
    hosts = [
        place(np.flatnonzero(host == number), arms.hosts[number] if names else f"host {rank}")
        for rank, number in enumerate(order.tolist(), 1)
    ]
    of = np.array(arms.platform)
    by_platform = {name: np.flatnonzero(of == name) for name in set(arms.platform)}
    platforms = [
        place(chosen, f"all {len(chosen)} hosts")
        for name, chosen in sorted(by_platform.items())
        if len(chosen) > 1
    ]
    return hosts, platforms


def _rests_on(wanted: Demand) -> str:
    """What is known of the hazards, and what is assumed."""
    assumed = (
        f"that {FIRST_P:.0%} of posts are lost, as many in each doubling of their age up to"
        f" {HORIZON_S / 3600:.0f} hours"
    )
    seen = f"{wanted.losses:.0f} losses in {wanted.looks} looks"
    if not wanted.learnt:
        return f"Nothing has been learnt yet: every number rests on the assumption {assumed}."
    if wanted.losses < PRIOR_LOSSES:
        return f"Hazards rest on {seen} so far, and still more on the assumption {assumed}."
    return f"Hazards rest on {seen} so far."


def _remarks(
    hosts: Sequence[Place], now: Buys, budget: Floats, beside: Floats, *, by_age: bool
) -> list[str]:
    found = []
    if by_age:
        found.append(
            "observatory.toml names look_every_s: looks go by age there, and these numbers are of"
            " the schedule by price."
        )
    starved = sum(place.starved for place in hosts)
    if starved:
        found.append(
            f"At {starved} of {len(hosts)} hosts lists and canaries alone take all of today's"
            " budget; read lists less often (watch.discover_every_s), or allow those hosts more."
        )
    left = float(np.maximum(budget - beside, 0.0).sum())
    if now.requests_per_s < 0.9 * left:
        found.append(
            f"{1 - now.requests_per_s / left:.0%} of today's budget for looks is to spare: some"
            " hosts' posts are all looked at as often as watch.shortest_s allows, or retired."
        )
    return found
