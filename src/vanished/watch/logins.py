"""Whether the observer's own logins still work, and which platforms wait because they do not.

In: the sources, of which some have a `login` (see `net.login`), and what answers said. Out: who may
be asked, when again, and what the operator is to be told. A look that failed for want of a login
proves nothing; this only keeps more of them from being asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vanished.model import Fault, Kind, Micros, Observation
from vanished.net.login import Login
from vanished.sources import Source


class Logins:
    """The logins of a watch, by platform."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        found = {platform: getattr(source, "login", None) for platform, source in sources.items()}
        self._logins = {p: login for p, login in found.items() if isinstance(login, Login)}
        self._paused: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._logins)

    def may_ask(self, platform: str, now: Micros) -> bool:
        """Whether a look at `platform` may start now; asked once a look, just before it starts.

        While paused one look an hour may, which tells whether the login works again.
        """
        login = self._logins.get(platform)
        if login is None or not login.paused:
            return True
        if login.ready_at(now) > now:
            return False
        login.probing(now)
        return True

    def ready_at(self, platform: str, now: Micros) -> Micros:
        """When `platform` may be asked again."""
        login = self._logins.get(platform)
        return now if login is None else login.ready_at(now)

    def heard(
        self, platform: str, observations: Sequence[Observation]
    ) -> Iterator[Mapping[str, object]]:
        """Learn from answers; yields what the operator is to be told, once a change."""
        login = self._logins.get(platform)
        if login is None:
            return
        for seen in observations:
            if seen.signal.fault is Fault.LOGIN_WALL:
                login.walled(seen.answered_at, seen.signal.words)
            elif seen.signal.kind is not Kind.ERROR:
                login.worked()
        if login.paused is not (platform in self._paused):
            (self._paused.add if login.paused else self._paused.discard)(platform)
            yield {
                "platform": platform,
                "paused": login.paused,
                "words": f"{login.words}; put a working secret into {login.variable}"
                if login.paused
                else "the login works again",
            }

    @property
    def troubles(self) -> list[str]:
        """For the line that the operator sees."""
        return [f"login refused: {platform}" for platform in sorted(self._paused)]
