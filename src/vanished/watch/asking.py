"""One look each: ask a source over the door, and bring back what it read.

In: rows, canaries and pictures to ask for, and the route. Out: answers, in the order in which they
came, for whoever enters them. A source's own mistake is a failed look: it ends no watch and proves
nothing. Decides neither who is asked nor when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vanished.archive.rows import AccountRow, PostRow
from vanished.clock import Clock
from vanished.model import Discovery, Fault, Look, Micros, Observation, Via, failed
from vanished.net.door import Door
from vanished.net.exchange import Exchange
from vanished.net.fetcher import Fetcher
from vanished.sources import Source
from vanished.watch.canaries import Canary, Way, ask
from vanished.watch.pictures import Fetched, Job, Pictures
from vanished.watch.progress import Event
from vanished.watch.routing import Route


@dataclass(slots=True)
class Answered:
    """What one request brought back."""

    account: AccountRow | None = None
    discovery: Discovery | None = None
    posts: Sequence[PostRow] = ()
    looks: Sequence[Look] = ()
    exchanges: Sequence[Exchange] = ()
    canary: tuple[Way, Canary, Observation] | None = None
    picture: Fetched | None = None


@dataclass
class Asking:
    """The looks of one watch. `answered` waits to be taken, with `picture_bytes` in it."""

    sources: Mapping[str, Source]
    door: Door
    clock: Clock
    tell: Callable[[Event], None]
    answered: list[Answered] = field(default_factory=list)
    picture_bytes: int = 0

    def taken(self) -> list[Answered]:
        """What came since the last time."""
        answered, self.answered, self.picture_bytes = self.answered, [], 0
        return answered

    async def discover(self, source: Source, row: AccountRow, route: Route) -> None:
        """Read the list of an account."""
        account = row.account
        fetch = self._fetcher(route)
        asked = self.clock.now()
        try:
            discovery = await source.discover(account, row.cursor, fetch)
        except Exception as error:  # a source's fault must not end the watch, nor prove anything
            self._source_error(account.platform, account.key, error)
            discovery = Discovery(self._broken(account.key, asked, Via.TIMELINE), cursor=row.cursor)
        self.answered.append(Answered(account=row, discovery=discovery, exchanges=fetch.exchanges))

    async def look(self, source: Source, rows: Sequence[PostRow], route: Route) -> None:
        """Look at posts that one request of their source answers for."""
        fetch = self._fetcher(route)
        asked = self.clock.now()
        try:
            looks = await source.look([row.post for row in rows], fetch)
            if len(looks) != len(rows):
                raise RuntimeError(f"{len(looks)} answers for {len(rows)} posts")
        except Exception as error:
            self._source_error(source.platform, rows[0].post.key, error)
            looks = [Look(self._broken(row.post.key, asked, Via.DIRECT)) for row in rows]
        self.answered.append(Answered(posts=rows, looks=looks, exchanges=fetch.exchanges))

    async def look_at_canary(self, way: Way, canary: Canary, route: Route) -> None:
        """Look at a post whose fate is known; `route` is that of `way`."""
        asked = self.clock.now()
        try:
            seen = await ask(self.sources[way[0]], canary, self._fetcher(route))
        except Exception as error:
            self._source_error(way[0], canary.name, error)
            seen = self._broken(canary.subject.key, asked, Via.DIRECT)
        self.answered.append(Answered(canary=(way, canary, seen)))

    async def picture(self, job: Job, pictures: Pictures, route: Route) -> None:
        """Fetch one picture of a post."""
        fetch = self._fetcher(route)
        try:
            fetched = await pictures.fetch(job, fetch)
        except Exception as error:
            self._source_error(job.row.post.platform, job.row.subject, error)
            fetched = Fetched(job)
        finally:
            pictures.ended(job)
        kept = fetch.exchanges if fetched.seen is not None else ()
        self.picture_bytes += sum(len(each.body) + len(each.wire) for each in kept)
        self.answered.append(Answered(picture=fetched, exchanges=kept))

    def _fetcher(self, route: Route) -> Fetcher:
        """One look's fetcher; the request that starts it was spent when it was dispatched."""
        return self.door.fetcher(1, route.proxy)

    def _broken(self, subject: str, asked: Micros, via: Via) -> Observation:
        signal = failed(Fault.UNREADABLE, words="the source could not read the answer")
        return Observation(subject, asked, max(asked, self.clock.now()), signal, via)

    def _source_error(self, platform: str, subject: str, error: Exception) -> None:
        facts = {
            "platform": platform,
            "subject": subject,
            "error": f"{type(error).__name__}: {error}",
        }
        self.tell(Event("source-error", self.clock.now(), facts))
