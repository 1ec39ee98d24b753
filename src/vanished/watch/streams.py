"""Streams of changes beside the loop: what they hint at is looked at at once.

In: the sources, of which some stream (see `sources.streaming`), the door, the watched accounts.
Out: subjects that are due now, at the next commit, and with it the place in the stream; the state
of each stream for the operator. A hint never is a fact and changes no coverage: a stream that is
down costs time, and nothing else. What it says of anybody who is not watched is dropped unread.

One task reads each stream. Only the loop enters what they found, so it stays the only writer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Row, StreamPlace
from vanished.clock import Clock, span
from vanished.model import DAY, ENDED, SECOND, Micros, State
from vanished.net.door import Door
from vanished.net.stream import Messages, Stream
from vanished.sources import Source
from vanished.sources.streaming import Follower, Hint, Streaming
from vanished.watch.hints import LOOKS, Mark, Marks, Subject
from vanished.watch.ledger import Ledger
from vanished.watch.progress import Event
from vanished.watch.schedule import NEVER

RESUMED: Micros = DAY  # a place left longer ago is not gone back to: what it hints at was asked
BEHIND: Micros = 60 * SECOND  # what a stream tells later than that is told late

CONNECTED: Final = "connected"
LATE: Final = "behind"
DOWN: Final = "reconnecting"

Due = tuple[Subject, Mark]
_NOTICED = (State.SUSPECTED, *ENDED)


@dataclass
class _Followed:
    """One platform's stream. `accounts` are those whom it may hint at, by its names for them."""

    platform: str
    source: Streaming
    follower: Follower
    stream: Stream
    accounts: dict[str, AccountRow]
    marks: Marks = field(default_factory=Marks)
    kept: int = -1  # the message up to which hints were entered
    state: str = ""
    words: str = ""
    checked_at: Micros = 0
    known: asyncio.Event = field(default_factory=asyncio.Event)  # of whom is anybody


class Streams:
    """The streams of a watch, and what they hint at."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        observatory: Observatory,
        door: Door,
        clock: Clock,
        every: Micros,
        tell: Callable[[Event], None],
    ) -> None:
        """`every`: how often what they hint at is entered, at most."""
        self._sources = {p: s for p, s in sources.items() if isinstance(s, Streaming) and s.stream}
        self._observatory = observatory
        self._door = door
        self._clock = clock
        self._every = every
        self._tell = tell
        self._followed: dict[str, _Followed] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._entered_at: Micros = 0
        self._wake: Callable[[], None] = lambda: None

    def begin(
        self,
        accounts: Iterable[AccountRow],
        proxies: Mapping[str, str | None],
        wake: Callable[[], None],
    ) -> None:
        """Read each stream in a task, through its platform's proxy.

        `wake` is called when something is due earlier than was known.
        """
        self._wake = wake
        places = self._observatory.stream_places() if self._sources else {}
        for platform, source in self._sources.items():
            watched: dict[str, AccountRow] = {}
            seq = self._resumed(source, places.get(platform))
            # Not the same waits in every observatory, yet always the same in this one.
            chance = random.Random(self._observatory.naming("stream", platform))  # noqa: S311
            stream = Stream(self._door, chance, proxies.get(platform))
            follower = source.follow(watched, seq)
            self._followed[platform] = _Followed(
                platform, source, follower, stream, watched, kept=seq
            )
        for row in accounts:
            self.met(row)
        self._tasks = [asyncio.create_task(self._read(each)) for each in self._followed.values()]

    def _resumed(self, source: Streaming, place: StreamPlace | None) -> int:
        """The message after which to go on, -1 for now: numbers are those of one server."""
        fresh = place is not None and self._clock.now() - place.at <= RESUMED
        return place.seq if place and fresh and place.address == source.stream else -1

    async def end(self) -> None:
        """Close the streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def met(self, row: AccountRow) -> None:
        """An account was read, or taken over: its stream may know it now."""
        each = self._followed.get(row.account.platform)
        if each is not None and (name := each.source.streamed_as(row.account, row.cursor)):
            each.accounts[name] = row
            each.known.set()

    @property
    def ready_at(self) -> Micros:
        """When there is something to enter."""
        first = min((each.marks.next_at for each in self._followed.values()), default=NEVER)
        return first if first == NEVER else max(first, self._entered_at + self._every)

    @property
    def unkept(self) -> bool:
        """Whether a stream was read beyond the place that is kept."""
        return any(each.follower.seq != each.kept for each in self._followed.values())

    @property
    def troubles(self) -> list[str]:
        """For the line that the operator sees."""
        return [
            f"stream {each.state}: {each.platform}"
            for each in self._followed.values()
            if each.state in (DOWN, LATE)
        ]

    # -- entering ---------------------------------------------------------------------------

    def enter(
        self, ledger: Ledger, now: Micros, held: Container[int], reading: Container[int]
    ) -> bool:
        """Have those who were hinted at looked at; whether anybody is.

        Posts `held` and accounts whose list is being `reading` stay due: that look may have begun
        before what the hint is about.
        """
        if self.ready_at > now:
            return False
        self._entered_at = now
        entered = False
        for each in self._followed.values():
            posts = [(subject, mark) for subject, mark in each.marks.due(now) if subject.post]
            entered |= self._posts(each, posts, ledger, now, held)
            lists = [(subject, mark) for subject, mark in each.marks.due(now) if not subject.post]
            entered |= self._lists(each, lists, ledger, now, reading)
            each.marks.settle()
        return entered

    def keep(self, ledger: Ledger, now: Micros) -> None:
        """Have the places in the streams kept with the commit that `enter` was called for."""
        for each in self._followed.values():
            if each.follower.seq != each.kept:
                each.kept = each.follower.seq
                ledger.streamed(each.platform, StreamPlace(each.source.stream, each.kept, now))

    def _posts(
        self, each: _Followed, due: Sequence[Due], ledger: Ledger, now: Micros, held: Container[int]
    ) -> bool:
        naming = self._observatory.naming
        named = {naming(each.platform, subject.post): (subject, mark) for subject, mark in due}
        rows = ledger.known(list(named)) if named else {}
        entered = False
        for key, (subject, mark) in named.items():
            row = rows.get(key)
            if row is None:  # never seen: only a list can show it, and that only while it is new
                if mark.new:
                    each.marks.note(Subject(subject.account, ""), now, looks=1)
                each.marks.asked(mark, now, again=mark.new)
            elif row.id not in held:
                entered |= _hint(each, mark, row, ledger, now)
        return entered

    def _lists(
        self,
        each: _Followed,
        due: Sequence[Due],
        ledger: Ledger,
        now: Micros,
        reading: Container[int],
    ) -> bool:
        entered = False
        for subject, mark in due:
            row = each.accounts[subject.account]
            if row.id not in reading:
                entered |= _hint(each, mark, row, ledger, now)
        return entered

    # -- reading ----------------------------------------------------------------------------

    async def _read(self, each: _Followed) -> None:
        """Read one stream, over as many connections as it takes."""
        await each.known.wait()
        while True:
            try:
                await self._connection(each)
            except Exception as error:  # whatever a stream sends must not end the watch
                words = f"the stream could not be read ({type(error).__name__})"
            else:
                end = each.stream.end
                words = each.follower.words or ("" if end is None or end.silent else end.words)
                each.follower.words = ""
            pause_s = each.stream.pause_s()
            if words:  # silence is no trouble, unless nobody answers then
                self._say(each, DOWN, words, pause_s)
            until = self._clock.now() + int(pause_s * SECOND)
            await self._clock.wait(asyncio.Event(), until, busy=False)

    async def _connection(self, each: _Followed) -> None:
        def opened() -> None:
            self._say(each, CONNECTED)

        url = each.follower.url
        async with aclosing(each.stream.messages(url, opened)) as messages:
            async for hint in each.follower.hints(self._checked(each, messages)):
                self._note(each, hint)

    def _note(self, each: _Followed, hint: Hint) -> None:
        before = each.marks.next_at
        subject = Subject(hint.account, hint.post)
        each.marks.note(subject, self._clock.now(), new=hint.new)
        if each.marks.next_at < before:
            self._wake()

    async def _checked(self, each: _Followed, messages: Messages) -> AsyncIterator[bytes]:
        """`messages`; once a second it is seen how late they are."""
        async for message in messages:
            yield message
            now = self._clock.now()
            if now - each.checked_at >= SECOND:
                each.checked_at = now
                self._check(each, now)

    def _check(self, each: _Followed, now: Micros) -> None:
        told_at = each.follower.told_at
        late = 0 if told_at is None else now - told_at
        if late > BEHIND:
            self._say(each, LATE, f"it tells what is {span(BEHIND / SECOND)} old, or older")
        elif late < BEHIND // 2:
            self._say(each, CONNECTED)
        if each.follower.words:
            self._tell_of(each, each.follower.words)
            each.follower.words = ""

    def _say(self, each: _Followed, state: str, words: str = "", wait_s: float = 0.0) -> None:
        """Tell the operator of a new state, or of another reason for it."""
        if (state, words) != (each.state, each.words):
            each.state, each.words = state, words
            self._tell_of(each, words, wait_s)

    def _tell_of(self, each: _Followed, words: str, wait_s: float = 0.0) -> None:
        facts: dict[str, object] = {"platform": each.platform, "state": each.state}
        facts |= {"seq": each.follower.seq, "words": words, "wait_s": round(wait_s, 1)}
        self._tell(Event("stream", self._clock.now(), facts))


def _hint(each: _Followed, mark: Mark, row: Row, ledger: Ledger, now: Micros) -> bool:
    """Have `row` asked about if the hint still wants it; whether the ledger changed."""
    wanted = _wanted(mark, row)
    if wanted:
        ledger.hinted(row, now)
    each.marks.asked(mark, now, again=wanted)
    return wanted


def _wanted(mark: Mark, row: Row) -> bool:
    """Whether a look would tell more than is known."""
    first, noticed = mark.looks == LOOKS, row.track.state in _NOTICED
    if mark.new:  # a known post is no news, unless it is back
        return first and noticed
    return first or not noticed
