"""Which pictures are fetched, and when: those that a post names, once for each set of addresses.

In: looks that found a post alive. Out: jobs for the loop, and what came of them: a fact and the
bytes that prove it, or nothing. A picture costs a request of its host's budget like any other and
waits for it behind the looks; an answer that is no picture (an error page, a login) is no fact.
What failed on the way is asked again after a later look, a few times. The present holds what is
still to be fetched, so that a crash loses no picture: the next look at its post asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import urlsplit

from vanished.archive.rows import PictureSet, PostRow, host_of
from vanished.model import Fault, Kind, Micros, Observation, Picture, Version
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming
from vanished.watch.picturing import Picturing, Seen

AT_ONCE: Final = 4  # pictures under way: each is held in memory whole
LONGEST_QUEUE: Final = 10_000
TRIES: Final = 3
T = TypeVar("T")
_REMEMBERED: Final = 100_000
_LONGEST_ADDRESS: Final = 4096
_HEADERS: Final = {"Accept": "image/*"}
_NO_PICTURES: Final = (
    ".mp4", ".m4v", ".m3u8", ".ts", ".webm", ".mov", ".avi", ".flv",
    ".mp3", ".m4a", ".ogg", ".oga", ".opus", ".wav", ".aac", ".amr",
    ".pdf", ".zip", ".js", ".css", ".html", ".htm",
)  # fmt: skip
_PASSING: Final = frozenset(
    {
        Fault.TIMEOUT, Fault.DNS, Fault.CONNECT, Fault.TLS, Fault.RATE_LIMITED, Fault.SERVER,
        Fault.TRUNCATED,
    }
)  # fmt: skip
"""Faults that a later request may not meet."""


@dataclass(slots=True)
class _Set:
    """The pictures of one post that are being fetched."""

    post: str
    name: str
    tries: int
    left: int  # jobs that have not ended
    failed: list[tuple[int, str]] = field(default_factory=list)  # to ask again


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to fetch."""

    row: PostRow
    place: int
    url: str
    host: str
    of: _Set


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a job: `seen` is None where no answer came, or none that is a picture."""

    job: Job
    exchange: Exchange | None = None
    seen: Seen | None = None
    passing: bool = False  # a later request may go better


def wanted(media: Sequence[str], most: int) -> tuple[tuple[int, str], ...]:
    """The addresses among a post's `media` that may be pictures, with their places; the first."""
    found: dict[str, int] = {}
    for place, url in enumerate(media):
        if len(found) == most:
            break
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        fits = parts.scheme in ("http", "https") and len(url) <= _LONGEST_ADDRESS
        if fits and host_of(url) and not parts.path.lower().endswith(_NO_PICTURES):
            found.setdefault(url, place)
    return tuple((place, url) for url, place in found.items())


class Pictures:
    """The queue of one watch. `most` pictures a post; `naming` gives the pseudonyms."""

    def __init__(self, naming: Naming, most: int, picturing: Picturing | None = None) -> None:
        self._naming = naming
        self._most = most
        self._picturing = picturing or Picturing()
        self._queue: deque[Job] = deque()
        self._under_way = 0
        self._sets: dict[str, _Set] = {}  # by post, of those under way
        self._known: dict[str, PictureSet] = {}  # by post; newer than what a row may hold
        self._tries: dict[str, int] = {}  # by post, of a set with failures

    # -- what is to be fetched ----------------------------------------------------------------

    def offer(self, row: PostRow, seen: Observation, version: Version | None) -> PictureSet | None:
        """Queue the pictures of a post that was found alive; what the present is to hold of it.

        None if there is nothing new to fetch. A source names a post's media with each new wording.
        """
        key = row.subject
        if seen.signal.kind is not Kind.ALIVE or key in self._sets:
            return None
        if len(self._queue) >= LONGEST_QUEUE:
            return None
        known = self._known.get(key, row.pictures)
        found = () if version is None else wanted(version.media, self._most)
        if found:
            name = self._naming("pictures", "\n".join(url for _, url in found))
            if name != known.name:
                known = PictureSet(name, found)
                self._tries.pop(key, None)
        if not known.awaited:
            return None
        tries = self._tries.get(key, 0) + 1
        made = self._sets[key] = _Set(key, known.name, tries, len(known.awaited))
        self._queue += [Job(row, place, url, host_of(url), made) for place, url in known.awaited]
        _remember(self._known, key, known)
        return known

    def take(self, now: Micros, room: Callable[[str, Micros], int]) -> list[Job]:
        """Jobs to start now, in order, as far as their hosts have `room`; one a host at a time."""
        taken: list[Job] = []
        passed: list[Job] = []
        hosts: set[str] = set()
        while self._queue and self._under_way + len(taken) < AT_ONCE:
            job = self._queue.popleft()
            if job.host not in hosts and room(job.host, now) >= 1:
                taken.append(job)
            else:
                passed.append(job)
            hosts.add(job.host)
        self._queue.extendleft(reversed(passed))
        self._under_way += len(taken)
        return taken

    def ready_at(self, now: Micros, ready: Callable[[str, Micros], Micros]) -> Micros | None:
        """When the next job may start; None while there is none, or no place for it."""
        if self._under_way >= AT_ONCE or not self._queue:
            return None
        return min(ready(host, now) for host in {job.host for job in self._queue})

    # -- what came of it ------------------------------------------------------------------------

    async def fetch(self, job: Job, fetch: Fetch) -> Fetched:
        """Ask for one picture. Nothing that the network or the bytes do raises."""
        exchange = await fetch.request("GET", job.url, headers=_HEADERS)
        if exchange.fault is not None:
            return Fetched(job, passing=exchange.fault in _PASSING)
        if exchange.status != 200:
            return Fetched(job)
        seen = await self._picturing.look_at(exchange.body)
        return Fetched(job, exchange, seen) if seen.form else Fetched(job)

    def ended(self, job: Job) -> None:
        """A job is no longer under way, however it ended."""
        del job
        self._under_way -= 1

    def settled(self, fetched: Fetched) -> PictureSet | None:
        """Note what came of a job; once its set is through, what the present is to hold of it."""
        job, of = fetched.job, fetched.job.of
        of.left -= 1
        if fetched.passing:
            of.failed.append((job.place, job.url))
        if of.left:
            return None
        self._sets.pop(of.post, None)
        again = bool(of.failed) and of.tries < TRIES
        if again:
            _remember(self._tries, of.post, of.tries)
        else:
            self._tries.pop(of.post, None)
        now = PictureSet(of.name, tuple(sorted(of.failed)) if again else ())
        _remember(self._known, of.post, now)
        return now

    def fact(self, fetched: Fetched, capture: str) -> Picture | None:
        """The fact that a job brought, if it brought a picture."""
        if fetched.seen is None or fetched.exchange is None:
            return None
        job, seen = fetched.job, fetched.seen
        return Picture(
            job.row.subject,
            fetched.exchange.answered_at,
            job.place,
            self._naming("picture", job.url),
            seen.sha256,
            seen.size,
            seen.form,
            seen.method,
            seen.hash,
            seen.quality,
            capture,
        )

    async def close(self) -> None:
        """End the process that decodes."""
        await self._picturing.close()


def _remember(memory: dict[str, T], key: str, value: T) -> None:
    """Put `value` last into `memory`, which forgets its oldest when it is full."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
