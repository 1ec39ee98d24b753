"""Canaries: posts whose fate is known, asked in rounds through each route, to know the source.

In: the canaries of each platform, its routes, answers as they come. Out: which canary to ask when,
and what a whole round says. Asks nobody, keeps no time and no fact itself: the loop does. What a
wrong round means is the judge's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vanished.archive.settings_asking import Addresses
from vanished.errors import ConfigError, UsageError
from vanished.judge import Check
from vanished.model import SECOND, Kind, Micros, Observation, Post
from vanished.net.address import host_of
from vanished.net.exchange import Fetch
from vanished.sources import Source

SPACING: Micros = 60 * SECOND  # between rounds that are asked for out of turn, or that failed
LONGEST_RETRY: Micros = 15 * SPACING

Way = tuple[str, str]
"""A platform, and the name of a route to it."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One post whose fate is known."""

    name: str  # for the operator: its place in the settings, not its address
    alive: bool
    subject: Post

    @property
    def host(self) -> str:
        return host_of(self.subject.url)

    def verdict(self, seen: Observation) -> bool | None:
        """Whether this answer is right; None where it proves nothing."""
        if seen.signal.kind is Kind.ALIVE:
            return self.alive
        return not self.alive if seen.signal.gone else None


def canaries_of(source: Source, addresses: Addresses) -> list[Canary]:
    """The canaries of `source`. Raises ConfigError for an address that it does not know."""
    found = []
    for kind, listed in (("alive", addresses.alive), ("gone", addresses.gone)):
        for number, address in enumerate(listed, 1):
            try:
                subject = source.post(address)
            except UsageError as error:
                raise ConfigError(
                    f"[sources.{source.platform}] canaries: {kind} number {number}: {error}"
                ) from None
            found.append(Canary(f"{kind} canary {number}", kind == "alive", subject))
    return found


async def ask(source: Source, canary: Canary, fetch: Fetch) -> Observation:
    """One look at `canary`, just as the watch looks at what it watches."""
    (look,) = await source.look([canary.subject], fetch)
    return look.observation


@dataclass(slots=True)
class _Round:
    left: list[Canary]
    under_way: int = 0
    answers: list[tuple[Canary, Observation]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that ended. No `check`: too few canaries answered to say anything."""

    way: Way
    check: Check | None
    words: str  # for the operator


def concluded(answers: Sequence[tuple[Canary, Observation]]) -> tuple[Check | None, str]:
    """What a round's answers say together, and a sentence for the operator.

    One wrong answer makes it wrong. Else it is right if of each kind that there is (alive, gone)
    at least one answered; failed looks are neither.
    """
    said = [(canary, seen, canary.verdict(seen)) for canary, seen in answers]
    definite = [seen for _, seen, right in said if right is not None]
    wrong = [(canary, seen) for canary, seen, right in said if right is False]
    kinds = {canary.alive for canary, _ in answers}
    heard = {canary.alive for canary, _, right in said if right}
    if not definite or (not wrong and heard != kinds):
        faults = sorted({seen.signal.fault for _, seen, _ in said if seen.signal.fault is not None})
        return None, f"too few canaries answered ({', '.join(faults) or 'nothing definite'})"
    check = Check(
        min(seen.asked_at for seen in definite),
        max(seen.last_answered_at for seen in definite),
        not wrong,
    )
    words = "; ".join(
        f"{canary.name} answered {seen.signal.kind}"
        + (f" ({seen.signal.rule})" if seen.signal.rule else "")
        for canary, seen in wrong
    )
    return check, words


class Rounds:
    """When to ask which canary. `every` microseconds, sooner where a loss waits for one."""

    def __init__(
        self, canaries: Mapping[str, Sequence[Canary]], routes: Mapping[str, Sequence[str]],
        every: Micros,
    ) -> None:  # fmt: skip
        self._canaries = canaries
        self._every = every
        self._due: dict[Way, Micros] = {
            (platform, route): 0
            for platform, found in canaries.items()
            if found
            for route in routes[platform]
        }
        self._rounds: dict[Way, _Round] = {}
        self._wanted: dict[Way, Micros] = {}  # a round must begin after this
        self._ended: dict[Way, Micros] = {}
        self._failed: dict[Way, int] = {}

    def guarded(self, platform: str) -> bool:
        """Whether `platform` has canaries."""
        return bool(self._canaries.get(platform))

    def take(self, now: Micros, room: Callable[[str], int], most: int) -> list[tuple[Way, Canary]]:
        """At most `most` canaries to ask now, where their host has room; each is then under way."""
        taken: list[tuple[Way, Canary]] = []
        spent: dict[str, int] = {}
        for way, due in self._due.items():
            if way not in self._rounds and due <= now:
                self._rounds[way] = _Round(list(self._canaries[way[0]]))
            current = self._rounds.get(way)
            while current is not None and current.left and len(taken) < most:
                host = current.left[0].host
                if room(host) - spent.get(host, 0) < 1:
                    break
                spent[host] = spent.get(host, 0) + 1
                current.under_way += 1
                taken.append((way, current.left.pop(0)))
        return taken

    def answered(self, way: Way, canary: Canary, seen: Observation, now: Micros) -> Outcome | None:
        """Take in one answer; the outcome if it was the last one of its round."""
        current = self._rounds[way]
        current.under_way -= 1
        current.answers.append((canary, seen))
        if current.left or current.under_way:
            return None
        del self._rounds[way]
        check, words = concluded(current.answers)
        self._ended[way] = now
        self._date(way, check, now)
        return Outcome(way, check, words)

    def _date(self, way: Way, check: Check | None, now: Micros) -> None:
        """After a right round the usual time; else soon, and ever later while nobody answers."""
        self._failed[way] = 0 if check is not None else self._failed.get(way, 0) + 1
        if check is None:
            wait = min(LONGEST_RETRY, SPACING * 2 ** min(self._failed[way] - 1, 10))
        else:
            wait = self._every if check.right else SPACING
        wanted = self._wanted.pop(way, None)
        if wanted is not None and (check is None or check.asked_at < wanted):
            wait = min(wait, SPACING)
            self._wanted[way] = wanted
        self._due[way] = now + min(wait, self._every)

    def want(self, way: Way, after: Micros, now: Micros) -> None:
        """A loss waits for a round that begins after the moment `after`."""
        if way not in self._due:
            return
        self._wanted[way] = max(after, self._wanted.get(way, 0))
        if way not in self._rounds and not self._failed.get(way):
            soonest = max(now, self._ended.get(way, 0) + SPACING)
            self._due[way] = min(self._due[way], soonest)

    def next_at(self, now: Micros, ready_at: Callable[[str], Micros]) -> Micros | None:
        """When `take` may find something; None if there are no canaries, or all are under way."""
        dates = []
        for way, due in self._due.items():
            current = self._rounds.get(way)
            if current is None:
                dates.append(max(due, ready_at(self._canaries[way[0]][0].host)))
            elif current.left:
                dates.append(max(now, ready_at(current.left[0].host)))
        return min(dates, default=None)
