"""What the verdicts on the servers of an app say of the app.

In: the parts of a record's block. Out: facts, each with the servers that show it. A server that the
control cannot reach either, or of which nothing can be said, is stale: it speaks neither for nor
against its part. A part that needs all works if every server that is not stale does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from vanished.reach.facts_settings import Facts
from vanished.reach.record import Part

STALE = ("down", "insufficient")
STOPPED = ("blocked", "likely_blocked")


def part_facts(parts: Sequence[Part]) -> Facts:
    """The facts of an app, from its servers' verdicts."""
    groups: dict[str, list[tuple[str, Part]]] = defaultdict(list)
    for i, one in enumerate(parts):
        if one.needs != "none":
            groups[one.part].append((f"parts/{i}", one))
    found: dict[str, list[str]] = defaultdict(list)
    for servers in groups.values():
        name, steps = _part(servers)
        found[name] += steps
    return {name: tuple(steps) for name, steps in found.items()}


def _part(servers: Sequence[tuple[str, Part]]) -> tuple[str, list[str]]:
    """What one part shows, and the servers that show it."""
    live = [(i, one) for i, one in servers if one.state not in STALE]
    if not live:
        return "app_part_stale", [i for i, _ in servers]
    stopped = [(i, one) for i, one in live if one.state in STOPPED]
    needed = stopped if servers[0][1].needs == "all" else _if_all(stopped, live)
    if needed:
        sure = [i for i, one in needed if one.state == "blocked"]
        return ("app_part_blocked", sure) if sure else ("app_part_likely", [i for i, _ in needed])
    impaired = [(i, one) for i, one in live if one.state == "impaired"]
    left = impaired if servers[0][1].needs == "all" else _if_all([*impaired, *stopped], live)
    if left:
        return "app_part_impaired", [i for i, one in left if one.state == "impaired"]
    return "app_part_works", [i for i, one in live if one.state == "ok"]


def _if_all(
    some: list[tuple[str, Part]], live: Sequence[tuple[str, Part]]
) -> list[tuple[str, Part]]:
    return some if len(some) == len(live) else []


def blamed(parts: Sequence[Part], steps: Iterable[str]) -> tuple[str | None, str | None]:
    """Layer and mechanism that most of the servers named in `steps` share."""
    counted: dict[tuple[str | None, str | None], int] = defaultdict(int)
    for step in steps:
        kind, _, number = step.partition("/")
        if kind == "parts":
            one = parts[int(number)]
            counted[one.layer, one.mechanism] += 1
    return max(counted, key=lambda pair: counted[pair], default=(None, None))
