"""The main job: drive sources, archive and judge until told to stop.

One task runs the loop and is the only writer; each look is a task of its own that asks and reads.
An answer counts once `Observatory.commit` returned: a crash before that repeats the look, and a
crash after it repeats nothing. Nothing here knows a platform, a notice or a rule of the judge.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, PostRow, host_of
from vanished.clock import Clock
from vanished.judge import DEFAULT, JudgeSettings
from vanished.model import (
    SECOND,
    Discovery,
    Fault,
    Look,
    Micros,
    Observation,
    Via,
    failed,
)
from vanished.net.door import Door, Fetcher
from vanished.net.exchange import Exchange
from vanished.sources import Source
from vanished.watch.ledger import Event, Ledger, Progress
from vanished.watch.pictures import Fetched, Job, Pictures
from vanished.watch.schedule import NEVER, Schedule

COLLECT = (50_000, 20, 20)  # objects made between collections of the first, second, third age
MOST_BYTES = 64 * 1024 * 1024  # of pictures that wait for a commit
MOST_AT_ONCE = 500  # looks a commit holds at most: bounds what a crash has to ask again


@dataclass(slots=True)
class _Answered:
    """What a task brings back; the loop enters it into the present."""

    account: AccountRow | None = None
    discovery: Discovery | None = None
    posts: Sequence[PostRow] = ()
    looks: Sequence[Look] = ()
    exchanges: Sequence[Exchange] = ()
    picture: Fetched | None = None


@dataclass
class Watch:
    """One watch over one observatory. `run` may be called once."""

    observatory: Observatory
    sources: Mapping[str, Source]
    door: Door
    clock: Clock
    schedule: Schedule
    concurrency: int = 64
    discover_every: Micros = 300 * SECOND
    commit_every: Micros = SECOND // 2
    proxied: frozenset[str] = frozenset()  # platforms that are asked through a proxy of their own
    judged_by: JudgeSettings = DEFAULT
    pictures: Pictures | None = None  # None: none are fetched
    seed: int = 0
    tell: Callable[[Event], None] = lambda event: None

    def __post_init__(self) -> None:
        self.progress = Progress()
        self._held: dict[int, PostRow] = {}  # posts under way, by row number
        self._ledger = Ledger(
            self.observatory,
            self.schedule,
            self.discover_every,
            random.Random(self.seed),  # noqa: S311  jitter, not a secret
            self.progress,
            self.tell,
            self._held,
            self.judged_by,
            self.pictures,
        )
        self._wake = asyncio.Event()
        self._stop = False
        self._answered: list[_Answered] = []
        self._picture_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._hosts: dict[str, int] = {}
        self._names: list[str] = []
        self._accounts: dict[int, AccountRow] = {}
        self._reading: set[int] = set()  # accounts whose list is being read
        self._last_commit: Micros = 0
        self._next_list: Micros = 0
        # Turns of the loop are not free: look for new work when a quarter of the places are.
        self._refill = self.concurrency * 3 // 4

    def stop(self) -> None:
        """Ask the loop to end after what is under way; safe from a signal handler."""
        self._stop = True
        self._wake.set()

    def measure(self) -> None:
        """Bring backlog and next date into `progress`."""
        now = self.clock.now()
        dates = [row.track.due for row in self._accounts.values()]
        self.progress.backlog = self.schedule.backlog(now)
        self.progress.next_due = min([self.schedule.next_due(now), *dates])

    # -- the loop ---------------------------------------------------------------------------

    async def run(self, until: Micros | None = None) -> Progress:
        """Watch until `stop()` or the clock reaches `until`."""
        self._begin()
        limits = gc.get_threshold()
        gc.freeze()  # a watch makes many short-lived objects in few cycles: a fifth of its time
        gc.set_threshold(*COLLECT)
        try:
            while not self._stop and (until is None or self.clock.now() < until):
                self._dispatch(self.clock.now())
                if self.observatory.proof is not None:
                    self.observatory.proof.sign_if_due(self.clock.now())
                if self._answered and self._must_commit(self.clock.now()):
                    self._commit(self.clock.now())  # and ask again what that made due
                else:
                    await self._rest(until)
        finally:
            gc.set_threshold(*limits)
            gc.unfreeze()
            await self._end()
            if self.pictures is not None:
                await self.pictures.close()
        return self.progress

    def _begin(self) -> None:
        now = self.clock.now()
        self._last_commit = now
        self.observatory.begin_session(now)
        for row in self.observatory.account_rows():
            self._accounts[row.id] = row
        ids, hosts, due = self.observatory.schedule_columns(self._host)
        self.schedule.put_all(ids, hosts, due)

    def _host(self, name: str) -> int:
        number = self._hosts.get(name)
        if number is None:
            number = self._hosts[name] = len(self._names)
            self._names.append(name)
        return number

    def _room(self, host: int) -> int:
        return self.door.politeness.room(self._names[host], self.clock.now())

    def _must_commit(self, now: Micros) -> bool:
        return (
            len(self._answered) >= MOST_AT_ONCE
            or self._picture_bytes >= MOST_BYTES
            or now - self._last_commit >= self.commit_every
            or not self._tasks
        )

    async def _rest(self, until: Micros | None) -> None:
        """Wait for an answer or for the next date, whichever is first."""
        self._wake.clear()
        if self._stop:
            return
        now = self.clock.now()
        free = len(self._tasks) <= self._refill
        dates = [until] if until is not None else []
        if self._answered:
            dates.append(self._last_commit + self.commit_every)
        if self.observatory.proof is not None and self.observatory.proof.sign_at is not None:
            dates.append(self.observatory.proof.sign_at)
        if free:
            dates.append(self.schedule.next_due(now))
            dates += [
                self.door.politeness.ready_at(self._names[h], now) for h in self.schedule.waiting()
            ]
            dates.append(self._next_list)
            if self.pictures is not None:
                ready = self.pictures.ready_at(now, self.door.politeness.ready_at)
                dates += [] if ready is None else [ready]
        await self.clock.wait(self._wake, min(dates, default=now + SECOND), busy=bool(self._tasks))

    def _date_lists(self, now: Micros) -> None:
        """Note when the next list can be read: its date, and room at its host."""
        dates = [
            max(row.track.due, self.door.politeness.ready_at(host_of(row.account.url), now))
            for row in self._accounts.values()
            if row.id not in self._reading and row.account.platform in self.sources
        ]
        self._next_list = min(dates, default=NEVER)

    # -- asking -----------------------------------------------------------------------------

    def _dispatch(self, now: Micros) -> None:
        """Start what is due, as far as budgets and concurrency allow. Lists go first."""
        if self._next_list <= now:
            self._read_lists(now)
        free = self.concurrency - len(self._tasks)
        if free <= 0:
            return
        taken = self.schedule.take(now, self._room, free)
        if taken:
            self._ask(self.observatory.post_rows(taken), now)
        if self.pictures is not None and len(self._tasks) < self.concurrency:
            for job in self.pictures.take(now, self.door.politeness.room):  # looks go first
                self.door.politeness.spend(job.host, now)
                self._start(self._picture(job, self.pictures))

    def _read_lists(self, now: Micros) -> None:
        for row in self._accounts.values():
            if row.track.due > now or row.id in self._reading:
                continue
            if len(self._tasks) >= self.concurrency:
                return
            host = host_of(row.account.url)
            source = self.sources.get(row.account.platform)
            if source is not None and self.door.politeness.room(host, now) >= 1:
                self.door.politeness.spend(host, now)
                self._reading.add(row.id)
                self._start(self._discover(source, row))
        self._date_lists(now)

    def _ask(self, rows: Sequence[PostRow], now: Micros) -> None:
        """Start looks at `rows`, as many posts to a request as the source's endpoint serves."""
        groups: dict[tuple[str, str], list[PostRow]] = {}
        for row in rows:
            self._held[row.id] = row
            groups.setdefault((row.post.platform, row.host), []).append(row)
        for (platform, host), group in groups.items():
            source = self.sources.get(platform)
            if source is None:  # its source was taken out of this run; the post keeps its date
                for row in group:
                    self._held.pop(row.id, None)
                continue
            for start in range(0, len(group), source.batch):
                self.door.politeness.spend(host, now)
                self._start(self._look(source, group[start : start + source.batch]))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if len(self._tasks) <= self._refill or len(self._answered) >= MOST_AT_ONCE:
            self._wake.set()

    def _fetcher(self, platform: str) -> Fetcher:
        """One look's fetcher; the request that starts it was spent when it was dispatched."""
        return self.door.fetcher(1, platform if platform in self.proxied else None)

    async def _discover(self, source: Source, row: AccountRow) -> None:
        account = row.account
        fetch = self._fetcher(account.platform)
        asked = self.clock.now()
        try:
            discovery = await source.discover(account, row.cursor, fetch)
        except Exception as error:  # a source's fault must not end the watch, nor prove anything
            self._source_error(account.platform, account.key, error)
            discovery = Discovery(self._broken(account.key, asked, Via.TIMELINE), cursor=row.cursor)
        self._answered.append(
            _Answered(account=row, discovery=discovery, exchanges=fetch.exchanges)
        )

    async def _look(self, source: Source, rows: Sequence[PostRow]) -> None:
        fetch = self._fetcher(source.platform)
        asked = self.clock.now()
        try:
            looks = await source.look([row.post for row in rows], fetch)
            if len(looks) != len(rows):
                raise RuntimeError(f"{len(looks)} answers for {len(rows)} posts")
        except Exception as error:
            self._source_error(source.platform, rows[0].post.key, error)
            looks = [Look(self._broken(row.post.key, asked, Via.DIRECT)) for row in rows]
        self._answered.append(_Answered(posts=rows, looks=looks, exchanges=fetch.exchanges))

    async def _picture(self, job: Job, pictures: Pictures) -> None:
        fetch = self._fetcher(job.row.post.platform)
        try:
            fetched = await pictures.fetch(job, fetch)
        except Exception as error:
            self._source_error(job.row.post.platform, job.row.subject, error)
            fetched = Fetched(job)
        finally:
            pictures.ended(job)
        kept = fetch.exchanges if fetched.seen is not None else ()
        self._picture_bytes += sum(len(each.body) + len(each.wire) for each in kept)
        self._answered.append(_Answered(picture=fetched, exchanges=kept))

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

    # -- keeping ----------------------------------------------------------------------------

    def _commit(self, now: Micros) -> None:
        """Enter every answer into the present, in one transaction, then put the dates back."""
        answered, self._answered = self._answered, []
        self._picture_bytes = 0
        for answer in answered:
            gathering = self._ledger.gather(answer.exchanges)
            if answer.account is not None and answer.discovery is not None:
                self._reading.discard(answer.account.id)
                self._ledger.discovery(answer.account, answer.discovery, now, gathering)
            for row, look in zip(answer.posts, answer.looks, strict=True):
                self._held.pop(row.id, None)
                self._ledger.look(row, look.observation, look.version, now, gathering)
            if answer.picture is not None:
                self._ledger.picture(answer.picture, gathering)
            self._ledger.gathered(gathering, now)
        if any(answer.discovery is not None for answer in answered):
            self._next_list = 0  # dates of lists have changed
        for row in self._ledger.commit(now):
            if row.id not in self._held:
                self.schedule.put(row.id, self._host(row.host), row.track.due)
        self._last_commit = self.clock.now()

    async def _end(self) -> None:
        """Let what is under way finish (bounded by the fetcher's timeout), keep it, say so."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.door.settings.timeout_s + 1)
        for task in list(self._tasks):
            task.cancel()
        if self._answered:
            self._commit(self.clock.now())
        self.observatory.end_session(self.clock.now())
        self.tell(Event("stopped", self.clock.now(), {"looks": self.progress.looks}))
