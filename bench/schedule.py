"""How soon schedules notice a loss in a simulated world, beside a bound that nothing can beat.

In: nothing but seeds. Out: claims, a table and two pictures beside the results. Every policy gets
the same budget, kept in every tick; means over seeds 1 to 3. A mean is the expectation over all
looks under the truth (`Tally`), so that 1,400 losses do not decide by luck; medians and shares are
of the losses that happened. A policy that beats the bound by more than three standard errors has
seen the truth, and fails the benchmark. The wheel is what `watch` runs; the others rank all posts
exactly. Takes about half an hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.harness import RESULTS, BenchError, Claim, Peer, at_least, at_most
from bench.schedule_bounds import bound_min, page_bound_min
from bench.schedule_pictures import bars, curves
from bench.schedule_policies import (
    Known,
    Learned,
    Rank,
    Ranked,
    Weighed,
    age_buckets,
    doubling,
    round_robin,
)
from bench.schedule_texts import texts
from bench.schedule_wheel import Wheel
from bench.schedule_world import CURVE, LARGE, PAGES, Ints, Outcome, Policy, Shape, World, simulate
from vanished.watch.topics import WIDTH, Topics

SEEDS = (1, 2, 3)
FAILING = 0.2
EARLIER = 45_000  # texts, five days of them, that the topics have read when the run begins
POLICIES: Mapping[str, Callable[[World], Rank]] = {
    "round-robin": round_robin,
    "age back-off": age_buckets,
    "doubling": doubling,
    "W, age only": Weighed,
    "mass threshold, known": lambda world: Known(world, log=True),
    "W, known": Known,
    "W, learned": Learned,
}
WHEELS: Mapping[str, Callable[[World], Policy]] = {
    "watch's wheel, known": Wheel,
    "watch's wheel, learned": lambda world: Wheel(world, learned=True),
}
BY_PAGE = ("round-robin", "age back-off", "W, age only", "W, known", "W, learned")
# These rank a page by its most urgent post: a sum of waits or ages would prefer full pages.
MOST_URGENT = ("round-robin", "age back-off")


@dataclass(frozen=True, slots=True)
class Row:
    """A policy in a world, over all seeds."""

    outcomes: tuple[Outcome, ...]
    bounds_min: tuple[float, ...]

    @property
    def mean_min(self) -> float:
        return float(np.mean([one.expected_min for one in self.outcomes]))

    @property
    def to_bound(self) -> float:
        pairs = zip(self.outcomes, self.bounds_min, strict=True)
        return float(np.mean([one.expected_min / bound for one, bound in pairs]))

    @property
    def delays_min(self) -> np.typing.NDArray[np.float64]:
        return np.concatenate([one.delays_s for one in self.outcomes]) / 60

    @property
    def swept_min(self) -> float:
        return float(np.mean(np.concatenate([one.swept_s for one in self.outcomes])) / 60)

    def within(self, minutes: float) -> float:
        return float(np.mean([one.within(minutes * 60) for one in self.outcomes]))


def run() -> tuple[list[Claim], list[Peer]]:
    """Delays of all policies, quiet and in a campaign, by post and by page."""
    by_post = {name: _ranked(name, rank) for name, rank in POLICIES.items()} | dict(WHEELS)
    with_texts: dict[str, Callable[[World], Policy]] = {
        "W, learned, texts": lambda world: Ranked(world, Learned(world, topics=topics_of(world))),
        "watch's wheel, texts": lambda world: Wheel(world, learned=True, topics=topics_of(world)),
    }
    quiet = _rows(LARGE, by_post)
    campaign = _rows(LARGE, by_post | with_texts, campaign=True)
    by_page = {name: _ranked(name, POLICIES[name], by_page=True) for name in BY_PAGE}
    pages = _rows(PAGES, by_page, by_page=True)
    tables = {"quiet": quiet, "campaign": campaign, "pages": pages}
    _show(tables)
    _draw(quiet, campaign)
    known, learned = "W, known", "W, learned"
    in_quiet, in_campaign, in_pages = quiet[learned], campaign[learned], pages[learned]

    def against(name: str, rows: Mapping[str, Row], peer: str, bar: float) -> Claim:
        claim = f"hazards learned, {name}: mean delay to {peer}"
        return at_most(claim, rows[learned].mean_min / rows[peer].mean_min, "times", bar)

    def wheel(name: str, rows: Mapping[str, Row], what: str) -> Claim:
        ratio = rows[f"watch's wheel, {what}"].mean_min / rows[f"W, {what}"].mean_min
        return at_most(f"watch's wheel to exact ranking, {what}, {name}", ratio, "times", 1.03)

    p_bias, curve_bias = _bias_with_failures()
    return [
        at_most("hazards known, quiet: mean delay to bound", quiet[known].to_bound, "times", 1.15),
        at_most("hazards known, campaign", campaign[known].to_bound, "times", 1.30),
        at_most("hazards learned, quiet: mean delay to bound", in_quiet.to_bound, "times", 1.60),
        at_most("hazards learned, campaign", in_campaign.to_bound, "times", 1.75),
        against("quiet", quiet, "round-robin", 0.33),
        against("quiet", quiet, "age back-off", 0.45),
        against("campaign", campaign, "round-robin", 0.30),
        against("campaign", campaign, "age back-off", 0.22),
        at_least("hazards learned, quiet: noticed within 10 min", in_quiet.within(10), "", 0.62),
        at_least("hazards learned, quiet: noticed within 1 h", in_quiet.within(60), "", 0.94),
        *(
            at_most(f"swept topic, {name}", campaign[name].swept_min, "min", 15)
            for name in with_texts
        ),
        *(
            wheel(name, rows, what)
            for name, rows in (("quiet", quiet), ("campaign", campaign))
            for what in ("known", "learned")
        ),
        at_most("pages, known: mean delay to page bound", pages[known].to_bound, "times", 1.6),
        at_most("pages, learned: mean delay to page bound", in_pages.to_bound, "times", 2.2),
        against("pages", pages, "round-robin", 0.58),
        at_most("20 % failed answers: learned chances off by", p_bias, "", 0.10),
        at_most("20 % failed answers: learned age curve off by", curve_bias, "", 0.10),
    ], []


def _rows(
    shape: Shape,
    policies: Mapping[str, Callable[[World], Policy]],
    *,
    campaign: bool = False,
    by_page: bool = False,
) -> dict[str, Row]:
    """Every policy over all seeds. Raises BenchError if one beats the bound: it saw the truth."""
    found: dict[str, list[Outcome]] = {name: [] for name in policies}
    bounds = []
    for seed in SEEDS:
        world = World(shape, seed, campaign=campaign)
        bounds.append((page_bound_min if by_page else bound_min)(world))
        for name, policy in policies.items():
            began = time.monotonic()
            outcome = simulate(world, policy(world))
            found[name].append(outcome)
            print(
                f"  {shape.name}, seed {seed}{', campaign' * campaign}: {name}: "
                f"{outcome.expected_min:.1f} min, bound {bounds[-1]:.1f} "
                f"({time.monotonic() - began:.0f} s)",
                file=sys.stderr,
            )
            least = min(outcome.mean_min, outcome.expected_min)
            if least < bounds[-1] - 3 * outcome.error_min:
                raise BenchError(f"'{name}' beats the bound of seed {seed}: the truth leaks")
    return {name: Row(tuple(outcomes), tuple(bounds)) for name, outcomes in found.items()}


def _ranked(
    name: str, rank: Callable[[World], Rank], *, by_page: bool = False
) -> Callable[[World], Policy]:
    best = by_page and name in MOST_URGENT
    return lambda world: Ranked(world, rank(world), by_page=by_page, best=best)


@lru_cache(maxsize=1)
def topics_of(world: World, *, silent: float = 0.0, earlier: int = EARLIER) -> Ints:
    """A row with the topic numbers that each post's text gets as it comes."""
    topics = Topics()
    stream = texts(world, silent=silent, earlier=earlier)
    for text in islice(stream, earlier):
        topics.of(text)
    rows = np.zeros((len(world.topic), WIDTH), dtype=np.int64)
    for row, text in zip(rows, stream, strict=True):
        numbers = topics.of(text)
        row[: len(numbers)] = numbers
    return rows


def _bias_with_failures() -> tuple[float, float]:
    """Relative error of the learned chances, weighed by posts, and the largest error of the curve,
    when a fifth of the answers failed; means over the seeds."""
    chances, curves_ = [], []
    for seed in SEEDS:
        world = World(LARGE, seed)
        rank = Learned(world)
        simulate(world, Ranked(world, rank), failing=FAILING)
        learned, true = rank.chances()[world.account], world.p[world.account]
        chances.append(learned.mean() / true.mean() - 1)
        at = np.array([600.0, 1800.0, 7200.0, 28_800.0, 86_400.0])
        curves_.append(rank.learner.curve.cdf(at) - CURVE.cdf(at))
    return abs(float(np.mean(chances))), float(np.abs(np.mean(curves_, axis=0)).max())


def _show(tables: Mapping[str, Mapping[str, Row]]) -> None:
    """Print every policy; the same as a page of Markdown beside the results."""
    heads = ("policy", "mean min", "to bound", "median", "p90", "10 min", "1 h", "12 h",
             "bracket", "swept")  # fmt: skip
    lines = ["# Schedules at equal budget, simulated; means over seeds 1 to 3", ""]
    for title, rows in tables.items():
        table = Table(
            title=f"{title}, bound {np.mean(next(iter(rows.values())).bounds_min):.1f} min"
        )
        lines += [f"## {table.title}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for head in heads:
            table.add_column(head, justify="left" if head == "policy" else "right")
        for name, row in rows.items():
            cells = _cells(name, row)
            table.add_row(*cells)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
        Console(highlight=False).print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "schedule.md").write_text("\n".join(lines), encoding="utf-8")


def _cells(name: str, row: Row) -> tuple[str, ...]:
    half, most = np.quantile(row.delays_min, [0.5, 0.9])
    brackets = np.concatenate([one.brackets_s for one in row.outcomes]) / 60
    swept = any(len(one.swept_s) for one in row.outcomes)
    return (
        name, f"{row.mean_min:.1f}", f"{row.to_bound:.2f}", f"{half:.1f}", f"{most:.0f}",
        f"{row.within(10):.2f}", f"{row.within(60):.3f}", f"{row.within(719.9):.4f}",
        f"{np.median(brackets):.0f}", f"{row.swept_min:.1f}" if swept else "",
    )  # fmt: skip


def _draw(quiet: Mapping[str, Row], campaign: Mapping[str, Row]) -> None:
    rows = {
        name: {"quiet": quiet[name].mean_min, "campaign": campaign[name].mean_min}
        for name in POLICIES
    }
    rows["lower bound"] = {
        "quiet": float(np.mean(quiet["W, known"].bounds_min)),
        "campaign": float(np.mean(campaign["W, known"].bounds_min)),
    }
    picture = bars("Mean delay until a loss is noticed", "minutes, equal budget", rows)
    (RESULTS / "schedule-means.svg").write_text(picture, encoding="utf-8")
    minutes = np.geomspace(1, 719, 80)
    series = {
        name: [(float(at), quiet[name].within(at)) for at in minutes]
        for name in POLICIES
        if name != "doubling"
    }
    picture = curves("Share of losses noticed within a time (quiet)", series)
    (RESULTS / "schedule-shares.svg").write_text(picture, encoding="utf-8")
