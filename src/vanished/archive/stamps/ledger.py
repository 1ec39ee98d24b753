"""Which checkpoints are stamped, by whom, and what is to be tried next.

In: the folder `log/stamps/`, the newest checkpoint, the time, settings, a way to fetch. Out: the
folder with the stamps that could be had, and a report. Nobody who does not answer is fatal: what
failed is tried again later, until a later checkpoint, which covers this one, is stamped instead.
One process at a time may call `due_work` on a folder. No time that a stamp proves enters a verdict.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vanished.archive.stamps import kept, ots, rfc3161
from vanished.archive.stamps.kept import Attempt, Kind, Progress, Stamped, folder_of
from vanished.archive.stamps.rfc3161 import Authority, Status
from vanished.errors import ConfigError, EvidenceError, UsageError
from vanished.model import DAY, HOUR, MINUTE, SECOND, Micros, at
from vanished.net.exchange import Fetch

GIVE_UP_AFTER: Final = 30 * DAY
"""Age of a checkpoint at which calendars that named no block are given up."""
_FIRST_RETRY: Final = MINUTE
_LAST_RETRY: Final = 6 * HOUR
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What an authority or a witness may be called: its name becomes a file's."""
_SUPERSEDED: Final = "a later checkpoint, which covers this one, is stamped instead"


@dataclass(frozen=True, slots=True)
class StampSettings:
    """Who stamps the log and how often. Raises ConfigError for what cannot work."""

    authorities: tuple[Authority, ...] = ()
    calendars: tuple[str, ...] = ()  # URLs
    every_s: float = 3600  # between two stamped checkpoints
    upgrade_every_s: float = 3600  # between two questions to the calendars about one checkpoint
    headers: Path | None = None  # Bitcoin block headers, see ots.header_file

    def __post_init__(self) -> None:
        names = [authority.name for authority in self.authorities]
        for name in names:
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"The time-stamping authority {name!r} cannot be called that; "
                    "use lower-case letters, digits and dashes."
                )
        if len(set(names)) < len(names) or len(set(self.calendars)) < len(self.calendars):
            raise ConfigError("Two time-stamping authorities or calendars are the same; drop one.")
        for url in (*(authority.url for authority in self.authorities), *self.calendars):
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"{url!r} is no URL of a time stamper; write https://...")
        if not (self.every_s > 0 and self.upgrade_every_s > 0):
            raise ConfigError("Stamps are wanted every 0 seconds or less; give 3600 or so.")

    def check(self) -> None:
        """Whether all that is needed is here, before work starts. Raises UsageError."""
        for authority in self.authorities:
            rfc3161.read_root(authority.root)
        if self.calendars:
            ots.require()
        if self.headers is not None:
            ots.header_file(self.headers)


@dataclass(frozen=True, slots=True)
class Done:
    """One attempt of this call, and how it went."""

    size: int  # of the checkpoint
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class StampReport:
    """What one call did. `troubles` are sentences about the folder itself."""

    done: tuple[Done, ...]
    troubles: tuple[str, ...]
    next_at: Micros | None  # when to call again; None: when the log has grown


async def due_work(
    folder: Path, checkpoint: bytes, now: Micros, settings: StampSettings, fetch: Fetch
) -> StampReport:
    """Do what is due by `now` for the stamps in `folder` (log/stamps); `checkpoint` is the newest.

    Stamps `checkpoint` if the one stamped last is old enough, tries again what failed, asks the
    calendars about pending proofs. Raises StorageError alone.
    """
    troubles: list[str] = []
    done: list[Done] = []
    if not settings.authorities and not settings.calendars:
        return StampReport((), (), None)
    states = await asyncio.to_thread(_open, folder, now, troubles)
    begun = None
    try:
        begun = await asyncio.to_thread(_begin_if_due, folder, states, checkpoint, now, settings)
    except EvidenceError as error:
        troubles.append(str(error))
    if begun is not None:
        states.append(begun)
    work = _Work(folder, now, settings, fetch)
    for place, state in enumerate(states):
        newest = place == len(states) - 1
        try:
            states[place] = await work.do(state, newest=newest, checkpoint=checkpoint)
        except EvidenceError as error:
            troubles.append(str(error))
            continue
        done += [
            Done(state.size, after)
            for before, after in zip(state.attempts, states[place].attempts, strict=True)
            if before != after
        ]
    return StampReport(tuple(done), tuple(troubles), _next_at(states, now, settings))


def _open(folder: Path, now: Micros, troubles: list[str]) -> list[Stamped]:
    """The newest checkpoint's state and those that may want work, oldest first.

    Work goes from old to new, so the first finished one that is too old for calendars proves that
    all before it are finished as well, and a year of stamps is not read every hour.
    """
    states: list[Stamped] = []
    for state in kept.newest_first(folder):
        if isinstance(state, EvidenceError):
            troubles.append(str(state))
            continue
        if state.wanted or not states:
            states.append(state)
        elif state.begun_at < now - GIVE_UP_AFTER:
            break
    return states[::-1]


def _begin_if_due(
    folder: Path, states: Sequence[Stamped], checkpoint: bytes, now: Micros, settings: StampSettings
) -> Stamped | None:
    size, root = kept.read_checkpoint(checkpoint)
    if size == 0:
        return None
    taken = kept.sizes(folder)
    if states and states[-1].size == size and states[-1].root != root:
        raise EvidenceError(
            f"the log has another root at size {size} than {folder_of(folder, size)} has: it was "
            "rewritten; nothing is stamped"
        )
    if taken and size < taken[-1]:
        raise EvidenceError(
            f"the log has {size} entries, but {folder_of(folder, taken[-1])} was stamped with "
            f"{taken[-1]}: it was cut; nothing is stamped"
        )
    if size in taken and kept.read_file(folder_of(folder, size) / kept.STATE) is not None:
        return None
    if states and 0 <= now - states[-1].begun_at < settings.every_s * SECOND:
        return None
    attempts = [Attempt(Kind.RFC3161, authority.name, now) for authority in settings.authorities]
    attempts += [Attempt(Kind.CALENDAR, url, now) for url in settings.calendars]
    if settings.calendars:
        first = now + int(settings.upgrade_every_s * SECOND)
        attempts.append(Attempt(Kind.UPGRADE, "", first))
    return kept.begin(folder, Stamped(size, root, now, tuple(attempts)), checkpoint)


def _next_at(states: Sequence[Stamped], now: Micros, settings: StampSettings) -> Micros | None:
    times = [a.next_at for state in states for a in state.wanted if a.next_at is not None]
    if states:
        due = states[-1].begun_at + int(settings.every_s * SECOND)
        times += [due] if due > now else []
    return min(times, default=None)


class _Work:
    """One call's work. Knows which calendars did not answer, and does not ask those twice."""

    def __init__(self, folder: Path, now: Micros, settings: StampSettings, fetch: Fetch) -> None:
        self._stamps = folder
        self._now = now
        self._settings = settings
        self._fetch = fetch
        self._authorities = {authority.name: authority for authority in settings.authorities}
        self._down: set[str] = set()

    async def do(self, state: Stamped, *, newest: bool, checkpoint: bytes) -> Stamped:
        """Try what is due for one checkpoint; its new state, saved. Raises EvidenceError."""
        folder = folder_of(self._stamps, state.size)
        before = state
        state = kept.settled(folder, state)
        if kept.CHECKPOINT not in state.files:  # a crash came before the first file
            if not newest or kept.read_checkpoint(checkpoint) != (state.size, state.root):
                return self._given_up(folder, state, _SUPERSEDED)
            state = kept.keep(folder, state, {kept.CHECKPOINT: checkpoint})
        if not newest:
            state = self._superseded(state)
        due = [a for a in state.wanted if a.next_at is not None and a.next_at <= self._now]
        if due:
            message = kept.read_kept(folder, state, kept.CHECKPOINT)
            state = await self._ask_authorities(folder, state, message, due)
            state = await self._ask_calendars(folder, state, message, due)
            if any(a.kind is Kind.UPGRADE for a in due):
                state = await self._upgrade(folder, state, message)
        if state != before:
            kept.save(folder, state)
        return state

    def _superseded(self, state: Stamped) -> Stamped:
        for attempt in state.wanted:
            if attempt.kind is not Kind.UPGRADE or kept.PROOF not in state.files:
                state = state.with_attempt(_end(attempt, Progress.GIVEN_UP, _SUPERSEDED))
        return state

    def _given_up(self, folder: Path, state: Stamped, words: str) -> Stamped:
        for attempt in state.wanted:
            state = state.with_attempt(_end(attempt, Progress.GIVEN_UP, words))
        kept.save(folder, state)
        return state

    # -- RFC 3161 ------------------------------------------------------------------------------

    async def _ask_authorities(
        self, folder: Path, state: Stamped, message: bytes, due: Sequence[Attempt]
    ) -> Stamped:
        attempts = [a for a in due if a.kind is Kind.RFC3161]
        results = await asyncio.gather(*(self._ask_authority(a, message) for a in attempts))
        for attempt, files in results:
            state = state.with_attempt(attempt)
            if files:
                state = kept.keep(folder, state, files)
        return state

    async def _ask_authority(
        self, attempt: Attempt, message: bytes
    ) -> tuple[Attempt, dict[str, bytes]]:
        """The attempt after it was made, and the files to keep of it."""
        authority = self._authorities.get(attempt.by)
        if authority is None:
            words = "the authority is no longer in the settings"
            return _end(attempt, Progress.GIVEN_UP, words), {}
        tried = self._tried(attempt)
        query, reply = await rfc3161.ask(message, authority, self._fetch)
        if isinstance(reply, str):
            return replace(tried, words=reply), {}
        roots, trouble = None, ""
        try:
            roots = rfc3161.read_root(authority.root)
        except ConfigError as error:  # the stamp may still be checked later
            trouble = f"; {error}"
        stamp = await asyncio.to_thread(
            rfc3161.verify, reply, message, roots, query=query, authority=authority.name
        )
        if stamp.status is Status.REFUSED:
            return replace(tried, words=f"the reply was refused: {stamp.why}"), {}
        when = "" if stamp.time is None else f"stamped at {at(stamp.time).isoformat()}: "
        words = f"{when}{stamp.why}{trouble}"
        files = {f"{authority.name}.tsq": query, f"{authority.name}.tsr": reply}
        return _end(tried, Progress.KEPT, words), files

    def _tried(self, attempt: Attempt) -> Attempt:
        """The attempt after one more try; the next one comes later each time."""
        wait = min(_FIRST_RETRY << min(attempt.tries, 20), _LAST_RETRY)
        return replace(
            attempt, tries=attempt.tries + 1, last_at=self._now, next_at=self._now + wait
        )

    # -- OpenTimestamps ------------------------------------------------------------------------

    async def _ask_calendars(
        self, folder: Path, state: Stamped, message: bytes, due: Sequence[Attempt]
    ) -> Stamped:
        attempts = [self._tried(a) for a in due if a.kind is Kind.CALENDAR]
        if not attempts:
            return state
        proof = self._proof(folder, state)
        urls = tuple(attempt.by for attempt in attempts)
        try:
            grown, answers = await ots.submit(message, urls, self._fetch, proof)
        except (UsageError, ValueError) as error:
            grown, answers = proof, tuple(ots.Answered(url, str(error)) for url in urls)
        for attempt, answer in zip(attempts, answers, strict=True):
            ended = _end(attempt, Progress.KEPT, "the calendar took the digest")
            state = state.with_attempt(
                replace(attempt, words=answer.words) if answer.words else ended
            )
        if grown is not None and grown != proof:
            state = kept.keep(folder, state, {kept.PROOF: grown})
        return state

    async def _upgrade(self, folder: Path, state: Stamped, message: bytes) -> Stamped:
        (attempt,) = (a for a in state.attempts if a.kind is Kind.UPGRADE)
        later = self._now + int(self._settings.upgrade_every_s * SECOND)
        tried = replace(attempt, tries=attempt.tries + 1, last_at=self._now, next_at=later)
        old = self._now - state.begun_at >= GIVE_UP_AFTER
        proof = self._proof(folder, state)
        if proof is None:
            words = "no calendar has taken the digest yet"
            return state.with_attempt(self._waiting(tried, words, old=old))
        try:
            better, answers = await ots.upgrade(proof, self._fetch, frozenset(self._down))
            headers = self._settings.headers
            source = None if headers is None else ots.header_file(headers)
            standing = ots.examine(better, message, source)
        except (UsageError, ValueError) as error:
            return state.with_attempt(self._waiting(tried, str(error), old=old))
        self._down |= {a.calendar for a in answers if a.words.startswith(ots.NO_ANSWER)}
        said = "; ".join(f"{a.calendar}: {a.words}" for a in answers if a.words)
        words = f"{standing.words} ({said})" if said else standing.words
        if standing.state is ots.State.CONFIRMED or (
            standing.state is ots.State.ATTESTED and (old or not standing.waiting_for)
        ):
            after = _end(tried, Progress.KEPT, words)
        elif standing.state is ots.State.FAILED:
            after = _end(tried, Progress.GIVEN_UP, words)
        else:
            after = self._waiting(tried, words, old=old)
        state = state.with_attempt(after)
        return kept.keep(folder, state, {kept.PROOF: better}) if better != proof else state

    def _waiting(self, tried: Attempt, words: str, *, old: bool) -> Attempt:
        if not old:
            return replace(tried, words=words)
        days = GIVE_UP_AFTER // DAY
        return _end(tried, Progress.GIVEN_UP, f"still pending after {days} days: {words}")

    def _proof(self, folder: Path, state: Stamped) -> bytes | None:
        if kept.PROOF not in state.files:
            return None
        return kept.read_kept(folder, state, kept.PROOF)


def _end(attempt: Attempt, progress: Progress, words: str) -> Attempt:
    return replace(attempt, progress=progress, next_at=None, words=words)
