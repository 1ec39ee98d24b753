"""Through which of its routes a platform is asked about one subject.

Pure: the routes, what is known of them, what the subject's case holds. The choice keeps no state of
its own: a failed look counts in the subject's row, and so leads to the next route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vanished.archive.rows import Track
from vanished.archive.settings_asking import DIRECT
from vanished.judge import Trust
from vanished.model import Micros, Observation, State

DISPUTED = (State.SUSPECTED, State.FLICKERING, State.GONE, State.MOVED)
"""States that stand, or fall, with what the other routes say."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a platform, and the vantage that its answers carry."""

    name: str
    vantage: str

    @property
    def proxy(self) -> str | None:
        return None if self.name == DIRECT else self.name


def choose(
    routes: Sequence[Route], trust: Trust, track: Track, case: Sequence[Observation]
) -> Route:
    """The route for the next look: the first one, unless the subject is disputed.

    A disputed subject is asked where its last definite answer is oldest, so that all routes have
    their say in turn. Routes in doubt are left out while there are others.
    """
    if len(routes) == 1:
        return routes[0]
    sound = [r for r in routes if r.vantage not in trust.vantages or not _in_doubt(r, trust)]
    usable = list(sound or routes)
    if track.state in DISPUTED:
        told: dict[str, Micros] = {}
        for seen in case:
            told[seen.vantage] = max(told.get(seen.vantage, 0), seen.last_answered_at)
        usable.sort(key=lambda route: told.get(route.vantage, 0))
    return usable[track.failures % len(usable)]


def _in_doubt(route: Route, trust: Trust) -> bool:
    return trust.vantages[route.vantage].in_doubt
