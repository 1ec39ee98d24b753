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
from dataclasses import dataclass, field

from vanished.archive.kept_measurements import measurements
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, PostRow, Row, host_of
from vanished.archive.settings_asking import DIRECT
from vanished.clock import Clock
from vanished.judge import DEFAULT, JudgeSettings
from vanished.model import SECOND, Micros, Observation
from vanished.net.door import Door
from vanished.sources import Source
from vanished.watch.asking import Asking
from vanished.watch.by_price import ByPrice
from vanished.watch.canaries import Canary, Rounds, Way
from vanished.watch.ledger import Ledger
from vanished.watch.logins import Logins
from vanished.watch.pictures import Pictures
from vanished.watch.progress import Event, Progress
from vanished.watch.resuming import Keeper
from vanished.watch.routing import Route, choose
from vanished.watch.schedule import NEVER, Schedule
from vanished.watch.silences import Silences
from vanished.watch.streams import Streams
from vanished.watch.trusting import Trusting
from vanished.watch.wavering import LOST, WAVERING, url_of

COLLECT = (50_000, 20, 20)  # objects made between collections of the first, second, third age
_DIRECT = Route(DIRECT, "here")
MOST_BYTES = 64 * 1024 * 1024  # of pictures that wait for a commit
KEEP_EVERY: Micros = 900 * SECOND
MOST_AT_ONCE = 500  # looks a commit holds at most: bounds what a crash has to ask again


@dataclass
class Watch:
    """One watch over one observatory. `run` may be called once."""

    observatory: Observatory
    sources: Mapping[str, Source]
    door: Door
    clock: Clock
    schedule: Schedule
    concurrency: int = 64
    discover_every: Micros | None = None  # None: as the schedule says
    commit_every: Micros = SECOND // 2
    routes: Mapping[str, Sequence[Route]] = field(default_factory=dict)  # absent: directly
    canaries: Mapping[str, Sequence[Canary]] = field(default_factory=dict)
    canaries_every: Micros = 900 * SECOND
    judged_by: JudgeSettings = DEFAULT
    pictures: Pictures | None = None  # None: none are fetched
    keeper: Keeper | None = None  # of the schedule's columns; None: they are made anew at a start
    seed: int = 0
    tell: Callable[[Event], None] = lambda event: None

    def __post_init__(self) -> None:
        self.progress = Progress()
        names = {p: [route.name for route in found] for p, found in self.routes.items()}
        self._rounds = Rounds(self.canaries, names, self.canaries_every)
        self._logins = Logins(self.sources)
        self._held: dict[int, PostRow] = {}  # posts under way, by row number
        self._ledger = Ledger(
            self.observatory,
            self.schedule,
            self.schedule.lists_every if self.discover_every is None else self.discover_every,
            random.Random(self.seed),  # noqa: S311  jitter, not a secret
            self.progress,
            self.tell,
            self._held,
            self.judged_by,
            pictures=self.pictures,
        )
        self._ledger.want = self._want
        self._streams = Streams(
            self.sources, self.observatory, self.door, self.clock, self.commit_every, self._told
        )
        self._ledger.host = self._host
        self._ledger.hurry = self._hurry
        self._wake = asyncio.Event()
        self._stop = False
        self._asking = Asking(self.sources, self.door, self.clock, self.tell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hosts: dict[str, int] = {}
        self._names: list[str] = []
        self._accounts: dict[int, AccountRow] = {}
        self._reading: set[int] = set()  # accounts whose list is being read
        self._last_commit: Micros = 0
        self._keep_at: Micros = 0  # when what the schedule has learnt is kept next
        # Turns of the loop are not free: look for new work when a quarter of the places are.
        self._refill = self.concurrency * 3 // 4

    def stop(self) -> None:
        """Ask the loop to end after what is under way; safe from a signal handler."""
        self._stop = True
        self._wake.set()

    def measure(self) -> None:
        """Bring backlog and next date into `progress`."""
        now = self.clock.now()
        self.progress.backlog = self.schedule.backlog(now)
        self.progress.next_due = self.schedule.next_due(now)

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
                answered = self._asking.answered and self._must_commit(self.clock.now())
                if answered or self._streams.ready_at <= self.clock.now():
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
        self._last_commit, self._keep_at = now, now + KEEP_EVERY
        for row in self.observatory.account_rows():
            self._accounts[row.id] = row
        watched = [row for row in self._accounts.values() if row.account.platform in self.sources]
        hosts = [self._host(host_of(row.account.url)) for row in watched]
        self.schedule.begin_lists(watched, hosts, now)
        self._take_up_posts(now)
        self.observatory.begin_session(now)
        self._settle()
        self._trust(now)
        proxies = {p: self.routes.get(p, (_DIRECT,))[0].proxy for p in self.sources}
        self._streams.begin(self._accounts.values(), proxies, self._wake.set)

    def _take_up_posts(self, now: Micros) -> None:
        if self.keeper is None or not isinstance(self.schedule, ByPrice):
            self.schedule.begin(self.observatory.schedule_columns(self._host), self._per_s, now)
            return
        why = self.keeper.begin(self.schedule, self._host, self._per_s, now)
        self._ledger.touching = self.keeper.touching
        if why and self.keeper.columns.used:
            self.tell(Event("schedule", now, {"columns": "made from every post", "why": why}))

    def _settle(self) -> None:
        """The schedule's columns are as the present is."""
        if self.keeper is not None and isinstance(self.schedule, ByPrice):
            self.keeper.settled(self.schedule.arms, self._names.__getitem__)

    def _trust(self, now: Micros) -> None:
        """Take over what was known of the routes, and note which of them are used from now on."""
        fresh = int(self.judged_by.fresh_s * SECOND)
        kept = measurements(self.observatory)
        self._ledger.trusting = Trusting(fresh, self.observatory.routes(), kept)
        self._ledger.silences = Silences(self.observatory.silences())
        for platform in self.sources:
            vantages = [route.vantage for route in self.routes.get(platform, (_DIRECT,))]
            guarded = self._rounds.guarded(platform)
            self._ledger.begin(platform, vantages, now, guarded=guarded)
        watched = [p for p in self.sources if self._ledger.trusting.trust(p).vantages]
        posts = self.observatory.rows_in(WAVERING, watched) if watched else ()
        accounts = [row for row in self._accounts.values() if row.track.state in WAVERING]
        self._ledger.waver([*posts, *accounts])
        if kept:
            self._reconsider(now)
        self._tell_troubles()

    def _reconsider(self, now: Micros) -> None:
        """Judge again what disappeared from origins that were measured since."""
        rows: list[Row] = [*self.observatory.rows_in(LOST, list(self.sources))]
        rows += [row for row in self._accounts.values() if row.track.state in LOST]
        told = [row for row in rows if self._ledger.trusting.has_word(url_of(row))]
        self._ledger.reconsider(told, now)

    def _host(self, name: str) -> int:
        number = self._hosts.get(name)
        if number is None:
            number = self._hosts[name] = len(self._names)
            self._names.append(name)
        return number

    def _room(self, host: int) -> int:
        return self.door.politeness.room(self._names[host], self.clock.now())

    def _per_s(self, host: int) -> float:
        return self.door.politeness.per_s(self._names[host], self.clock.now())

    def _must_commit(self, now: Micros) -> bool:
        return (
            len(self._asking.answered) >= MOST_AT_ONCE
            or self._asking.picture_bytes >= MOST_BYTES
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
        dates = [date for date in (until, self._streams.ready_at) if date not in (None, NEVER)]
        if self._asking.answered:
            dates.append(self._last_commit + self.commit_every)
        if self.observatory.proof is not None and self.observatory.proof.sign_at is not None:
            dates.append(self.observatory.proof.sign_at)
        if free:
            dates.append(self.schedule.next_due(now))
            dates += [
                self.door.politeness.ready_at(self._names[h], now) for h in self.schedule.waiting()
            ]
            ready_at = self.door.politeness.ready_at
            dates.append(self._rounds.next_at(now, lambda host: ready_at(host, now)) or NEVER)
            if self.pictures is not None:
                ready = self.pictures.ready_at(now, self.door.politeness.ready_at)
                dates += [] if ready is None else [ready]
        await self.clock.wait(self._wake, min(dates, default=now + SECOND), busy=bool(self._tasks))

    # -- asking -----------------------------------------------------------------------------

    def _dispatch(self, now: Micros) -> None:
        """Start what is due, as far as budgets and concurrency allow."""
        self._ask_canaries(now)
        free = self.concurrency - len(self._tasks)
        if free <= 0:
            return
        taken = self.schedule.take(now, self._room, free)
        self._read_lists([self._accounts[~row] for row in taken if row < 0], now)
        posts = [row for row in taken if row >= 0]
        if posts:
            self._ask(self.observatory.post_rows(posts), now)
        if self.pictures is not None and len(self._tasks) < self.concurrency:
            for job in self.pictures.take(now, self.door.politeness.room):  # looks go first
                self.door.politeness.spend(job.host, now)
                self._start(self._asking.picture(job, self.pictures, self._route(job.row)))

    def _read_lists(self, rows: Sequence[AccountRow], now: Micros) -> None:
        for row in rows:
            platform, host = row.account.platform, host_of(row.account.url)
            if not self._logins.may_ask(platform, now):
                later = self._logins.ready_at(platform, now)
                self.schedule.put(~row.id, self._host(host), later)
                continue
            self.door.politeness.spend(host, now)
            self._reading.add(row.id)
            self._start(self._asking.discover(self.sources[platform], row, self._route(row)))

    def _ask(self, rows: Sequence[PostRow], now: Micros) -> None:
        """Start looks at `rows`, as many posts to a request as the source's endpoint serves."""
        groups: dict[tuple[str, str, Route], list[PostRow]] = {}
        for row in rows:
            if not self._logins.may_ask(row.post.platform, now):
                later = self._logins.ready_at(row.post.platform, now)
                self.schedule.put(row.id, self._host(row.host), later)
                continue
            self._held[row.id] = row
            way = (row.post.platform, row.host, self._route(row))
            groups.setdefault(way, []).append(row)
        for (platform, host, route), group in groups.items():
            source = self.sources.get(platform)
            if source is None:  # its source was taken out of this run; the post keeps its date
                for row in group:
                    self._held.pop(row.id, None)
                continue
            for start in range(0, len(group), source.batch):
                self.door.politeness.spend(host, now)
                self._start(self._asking.look(source, group[start : start + source.batch], route))

    def _route(self, row: Row) -> Route:
        """The way on which `row` is asked about next."""
        platform = row.account.platform if isinstance(row, AccountRow) else row.post.platform
        routes = self.routes.get(platform, (_DIRECT,))
        if len(routes) == 1:
            return routes[0]
        trust = self._ledger.trusting.trust(platform)
        return choose(routes, trust, row.track, self._ledger.case(row))

    def _named(self, way: Way) -> Route:
        return next(r for r in self.routes.get(way[0], (_DIRECT,)) if r.name == way[1])

    def _ask_canaries(self, now: Micros) -> None:
        politeness = self.door.politeness
        most = max(0, self.concurrency - len(self._tasks))
        taken = self._rounds.take(now, lambda host: politeness.room(host, now), most)
        for way, canary in taken:
            politeness.spend(canary.host, now)
            self._start(self._asking.look_at_canary(way, canary, self._named(way)))

    def _want(self, platform: str, vantage: str, after: Micros) -> None:
        """A loss waits for a right answer of the canaries from `vantage`."""
        for route in self.routes.get(platform, (_DIRECT,)):
            if route.vantage == vantage:
                self._rounds.want((platform, route.name), after, self.clock.now())

    def _hurry(self, account: int) -> None:
        """The list of an account is to be read before anything else of it."""
        row = self._accounts.get(account)
        if row is not None and account not in self._reading:
            row.track.due = min(row.track.due, self.clock.now())
            self.schedule.put(~account, self._host(host_of(row.account.url)), row.track.due)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if len(self._tasks) <= self._refill or len(self._asking.answered) >= MOST_AT_ONCE:
            self._wake.set()

    # -- keeping ----------------------------------------------------------------------------

    def _commit(self, now: Micros, *, stopping: bool = False) -> None:
        """Enter every answer into the present, in one transaction, then put the dates back."""
        answered = self._asking.taken()
        kept = False
        for answer in answered:
            if answer.canary is not None:
                kept |= self._canary(*answer.canary, now)
                continue
            kept = True
            gathering = self._ledger.gather(answer.exchanges)
            if answer.account is not None and answer.discovery is not None:
                self._reading.discard(answer.account.id)
                self._ledger.discovery(answer.account, answer.discovery, now, gathering)
                self._streams.met(answer.account)
                platform = answer.account.account.platform
                self._hear(platform, [answer.discovery.observation], now)
            for row, look in zip(answer.posts, answer.looks, strict=True):
                self._held.pop(row.id, None)
                self._ledger.look(row, look.observation, look.version, now, gathering)
                self._hear(row.post.platform, [look.observation], now)
            if answer.picture is not None:
                self._ledger.picture(answer.picture, gathering)
            self._ledger.gathered(gathering, now)
        hinted = self._streams.enter(self._ledger, now, self._held, self._reading)
        if not (kept or hinted or stopping):  # canaries of rounds that are not over
            return
        self._streams.keep(self._ledger, now)
        for row in self._ledger.commit(now):
            if row.id not in self._held:
                self.schedule.put(row.id, self._host(row.host), row.track.due)
        self._settle()
        self._last_commit = self.clock.now()
        if now >= self._keep_at:
            self._keep_learnt(now)

    def _keep_learnt(self, now: Micros) -> None:
        """What a crash before the next time forgets, the schedule learns again."""
        self._keep_at = now + KEEP_EVERY
        learnt = self.schedule.kept()
        if learnt:
            self.observatory.keep_learnt(learnt)

    def _canary(self, way: Way, canary: Canary, seen: Observation, now: Micros) -> bool:
        """Enter a canary's answer; a round that is over is kept (True), and may decide losses."""
        outcome = self._rounds.answered(way, canary, seen, now)
        if outcome is None or outcome.check is None:
            return False
        vantage = self._named(way).vantage
        self._ledger.checked(way[0], vantage, outcome.check, outcome.words, now)
        self._tell_troubles()
        return True

    def _tell_troubles(self) -> None:
        doubts = [f"canary wrong: {p} from {v}" for p, v in self._ledger.trusting.in_doubt]
        self.progress.troubles = [*doubts, *self._logins.troubles, *self._streams.troubles]

    def _told(self, event: Event) -> None:
        """What a stream tells the operator."""
        self.tell(event)
        self._tell_troubles()

    def _hear(self, platform: str, observations: Sequence[Observation], now: Micros) -> None:
        """What answers say of the observer's own login; changes are told to the operator."""
        if not self._logins:
            return
        for facts in self._logins.heard(platform, observations):
            self.tell(Event("login", now, facts))
            self._tell_troubles()

    async def _end(self) -> None:
        """Let what is under way finish (bounded by the fetcher's timeout), keep it, say so."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.door.settings.timeout_s + 1)
        for task in list(self._tasks):
            task.cancel()
        await self._streams.end()
        if self._asking.answered or self._streams.unkept:
            self._commit(self.clock.now(), stopping=True)
        self._keep_learnt(self.clock.now())
        if self.keeper is not None:
            self.keeper.end()
        self.observatory.end_session(self.clock.now())
        self.tell(Event("stopped", self.clock.now(), {"looks": self.progress.looks}))
