"""Enter answers into the present: who was seen, what changed, what the judge says of it.

In: what sources brought back, in order of arrival. Out: one commit of the archive, and the posts
whose dates changed. Asks nobody and decides nothing about dates or causes itself: `absorb` keeps
the books of one subject, the judge judges.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vanished.archive.columns import Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import (
    AccountRow,
    Change,
    Entry,
    PostRow,
    Row,
    StreamPlace,
    Track,
)
from vanished.judge import DEFAULT, Check, JudgeSettings
from vanished.model import (
    ABSENT,
    ENDED,
    HOUR,
    Cause,
    Discovery,
    Kind,
    Micros,
    Observation,
    Post,
    Sighting,
    State,
    Verdict,
    Version,
    Via,
)
from vanished.net.address import host_of
from vanished.net.exchange import Exchange
from vanished.watch.absorb import RETURN_CHECK, absorb, decide, is_news, next_date
from vanished.watch.evidence import FIRST, PICTURE, Gathering
from vanished.watch.pictures import Fetched, Pictures
from vanished.watch.progress import Event, Progress
from vanished.watch.schedule import NEVER, Reading, Schedule, Seen
from vanished.watch.silences import Silences
from vanished.watch.trusting import Trusting
from vanished.watch.wavering import AWAITING, Wavering, platform_of, url_of

MANY, AT_ONCE = 3, HOUR
"""So many posts suspected within so long ask for a look at their account."""

_TOLD = ("place", "sha256", "size", "form", "method", "hash", "quality")
"""What a capture's facts say of its picture."""


@dataclass
class Ledger:
    """Collects one commit at a time. `held` are the posts under way, by row number."""

    observatory: Observatory
    schedule: Schedule
    lists_every: Micros | None  # None: by price
    chance: random.Random
    progress: Progress
    tell: Callable[[Event], None]
    held: Mapping[int, PostRow] = field(default_factory=dict)
    judged_by: JudgeSettings = DEFAULT
    trusting: Trusting = field(default_factory=lambda: Trusting(0))
    silences: Silences = field(default_factory=Silences)
    want: Callable[[str, str, Micros], None] = lambda platform, vantage, after: None
    pictures: Pictures | None = None  # None: none are fetched
    host: Callable[[str], int] = lambda name: 0  # the number of a host
    touching: Callable[[Sequence[PostRow]], None] = lambda rows: None  # a commit will change them
    hurry: Callable[[int], None] = lambda account: None  # its list is to be read now

    def __post_init__(self) -> None:
        self._wavering = Wavering()
        self._suspected: dict[int, deque[Micros]] = {}  # when posts of an account were, last
        self._account_verdicts = self.observatory.account_verdicts()
        self._clear()

    def _clear(self) -> None:
        self._entry = Entry()
        self._rows: dict[str, PostRow] = {}  # posts of this commit, by key
        self._cases: dict[str, Sequence[Observation]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._lost_accounts: list[AccountRow] = []
        self._events: list[Event] = []
        self._seen: list[Seen] = []
        self._readings: list[Reading] = []

    # -- a post -----------------------------------------------------------------------------

    def gather(self, exchanges: Sequence[Exchange]) -> Gathering:
        """Where the looks of one answer note what its bytes are evidence of."""
        kept = exchanges if self.observatory.proof is not None else ()
        return Gathering(kept, self.observatory.next_leaf)

    def look(
        self,
        row: PostRow,
        observation: Observation,
        version: Version | None,
        now: Micros,
        gathering: Gathering,
    ) -> None:
        """Enter one look at a post and date the next."""
        self._rows[row.subject] = row
        observation = gathering.weigh(row, observation, version)
        if version is not None and version.hash != row.post.version:
            self._entry.versions.append(Wording(row.subject, observation.answered_at, version))
        if version is not None and (version.title or version.text):
            self.schedule.read(row.id, f"{version.title}\n{version.text}")
        if self.pictures is not None:
            offered = self.pictures.offer(row, observation, version)
            if offered is not None:
                self._entry.picture_sets[row.subject] = offered
        verdict = self._enter(row, observation, now)
        row.track.due = self._date(row, verdict, observation, now)

    def _enter(self, row: Row, observation: Observation, now: Micros) -> Verdict | None:
        if row.track.run is not None and row.track.run < self.observatory.oldest_run:
            row.track.run = None  # moved into the journal while this row was held
        doubted = self._doubted(row, observation)
        proven_at, state = row.track.last_alive_at, row.track.state
        self._hear(row, observation)
        change = absorb(
            row, observation, self.case(row), self.observatory.next_run, doubted=doubted
        )
        self._entry.changes.append(change)
        self.progress.looks += observation.looks
        self.progress.failed += observation.looks if row.track.failures else 0
        if change.case is not None:
            self._cases[row.subject] = change.case
        verdict = self._judge(row, now)
        if isinstance(row, PostRow):
            self._teach(row, proven_at, state, verdict)
        return verdict

    def _hear(self, row: Row, seen: Observation) -> None:
        """Whether the place that was asked answers at all; a list says nothing of its posts'."""
        if isinstance(row, AccountRow) or seen.via is Via.DIRECT:
            silence = self.silences.heard(url_of(row), seen)
            if silence is not None:
                self._entry.silences[silence.origin, silence.vantage] = silence

    def _teach(
        self, row: PostRow, proven_at: Micros | None, state: State, verdict: Verdict | None
    ) -> None:
        """Tell the schedule what this look proved; failed looks and doubts prove nothing."""
        alive_at = proven_at or row.post.first_seen_at
        last = row.track.last_alive_at
        if last is not None and last > alive_at and state not in ENDED:
            born = row.post.published_at or row.post.first_seen_at
            self._seen.append(Seen(row.id, row.account_id, born, alive_at, last, lost=False))
        self._teach_loss(row, state, verdict)

    def _teach_loss(self, row: PostRow, state: State, verdict: Verdict | None) -> None:
        """Tell the schedule of a loss, once: when it is judged to be one."""
        if row.track.state is not State.GONE or state in ENDED or verdict is None:
            return
        first = row.post.first_seen_at
        alive_at, born = row.track.last_alive_at or first, row.post.published_at or first
        if verdict.interval is not None:
            gone_at = verdict.interval.first_gone_at
            whole = Cause.ACCOUNT in verdict.causes
            self._seen.append(Seen(row.id, row.account_id, born, alive_at, gone_at, True, whole))

    def _doubted(self, row: Row, observation: Observation) -> bool:
        """Whether canaries say that such a look proves nothing now."""
        standing = self.trusting.standing(platform_of(row), observation.vantage)
        times = observation.asked_at, observation.answered_at
        return standing.doubts(*times) and standing.is_guarded(times[1])

    def _date(
        self, row: Row, verdict: Verdict | None, observation: Observation, now: Micros
    ) -> Micros:
        case, doubted = self.case(row), self._doubted(row, observation)
        return next_date(
            row,
            verdict,
            case,
            now,
            self.schedule,
            self.lists_every,
            self.chance,
            doubted=doubted,
        )

    def case(self, row: Row) -> Sequence[Observation]:
        """The definite facts on `row` since its first answer other than "alive"."""
        if row.subject in self._cases:
            return self._cases[row.subject]
        return self.observatory.case(row.subject) if row.track.has_case else ()

    def _judge(self, row: Row, now: Micros) -> Verdict | None:
        """Judge `row` on its case; note the verdict if it is news."""
        case = self.case(row)
        account = self._account_verdicts.get(row.account_id) if isinstance(row, PostRow) else None
        state = row.track.state
        trust = self.trusting.trust(platform_of(row), url_of(row))
        verdict = decide(row, case, account, self.judged_by, trust)
        self._wavering.judged(row, verdict)
        if verdict is None:
            return None
        if AWAITING in verdict.rules:
            self._want_canary(row, case)
        before = self._verdicts.get(row.subject) or self.observatory.verdict(row.subject)
        if is_news(verdict, before):
            self._verdicts[row.subject] = verdict
            self._entry.verdicts[row.subject] = Judgement(now, verdict)
            self._notice(row, state, verdict, now)
        return verdict

    def _want_canary(self, row: Row, case: Sequence[Observation]) -> None:
        """Ask for a right answer of the canaries from each way that saw `row` gone."""
        platform = platform_of(row)
        last = {seen.vantage: seen for seen in case if seen.signal.gone}
        for vantage, seen in last.items():
            if not self.trusting.standing(platform, vantage).vouches(seen.last_answered_at):
                self.want(platform, vantage, seen.last_answered_at)

    def _notice(self, row: Row, state: State, verdict: Verdict, now: Micros) -> None:
        if verdict.state is state:
            return
        if isinstance(row, PostRow):
            if verdict.state is State.SUSPECTED:
                self._suspect(row.account_id, now)
            self.progress.losses += verdict.state is State.GONE
            self.progress.returned += verdict.state is State.RETURNED
        facts = {
            "subject": row.subject,
            "noun": "post" if isinstance(row, PostRow) else "account",
            "state": verdict.state.value,
            "causes": sorted(verdict.causes),
            "confidence": verdict.confidence.value,
        }
        self._events.append(Event("verdict", now, facts))

    def _suspect(self, account: int, now: Micros) -> None:
        """Many posts of an account seem lost at once: perhaps it is, so its list is read first."""
        recent = self._suspected.setdefault(account, deque(maxlen=MANY))
        recent.append(now)
        if len(recent) == MANY and now - recent[0] <= AT_ONCE:
            recent.clear()
            self.hurry(account)

    # -- an account -------------------------------------------------------------------------

    def discovery(
        self, row: AccountRow, discovery: Discovery, now: Micros, gathering: Gathering
    ) -> None:
        """Enter one reading of an account's list."""
        row.cursor = discovery.cursor or row.cursor
        state, before = row.track.state, row.track.last_alive_at
        seen = gathering.weigh(row, discovery.observation, None)
        verdict = self._enter(row, seen, now)
        row.track.due = self._date(row, verdict, seen, now)
        if discovery.sole and not row.track.failures:
            row.track.due = now + RETURN_CHECK
        if verdict is not None:
            self._account_verdicts[row.id] = verdict
            if verdict.state is not state and verdict.state in (State.SUSPECTED, State.GONE):
                self._lost_accounts.append(row)
        new, shown = self._sightings(row, discovery, now, gathering)
        since = [post for post in new if (post.published_at or NEVER) >= (before or 0)]
        host = self.host(host_of(row.account.url))
        self._readings.append(Reading(row, host, before, len(since), tuple(shown)))

    def _sightings(
        self, account: AccountRow, discovery: Discovery, now: Micros, gathering: Gathering
    ) -> tuple[list[Post], list[int]]:
        """Enter the posts of a list: those met for the first time, and the rows it proved alive."""
        keys = [sighting.post.key for sighting in discovery.sightings]
        known = self.known(keys)
        forgotten = self.observatory.is_forgotten([key for key in keys if key not in known])
        gathering.beside = frozenset({account.subject, *keys})
        gathering.withheld = bool(forgotten)
        new: list[Post] = []
        shown: list[int] = []
        for sighting in discovery.sightings:
            row = known.get(sighting.post.key)
            if row is None and sighting.post.key in forgotten:
                continue
            if row is None:
                row = known[sighting.post.key] = self._meet(account, sighting, discovery, now)
                new.append(row.post)
                if sighting.observation is None and gathering.exchanges:
                    gathering.keep(row, FIRST, None, None, discovery.observation.answered_at)
            if row.track.absent:  # listed again
                row.track.absent = False
                self._entry.changes.append(Change(row))
            if sighting.observation is not None:
                self.look(row, sighting.observation, sighting.version, now, gathering)
                if _proven_by(row, sighting.observation):
                    shown.append(row.id)
                if sighting.observation.signal.kind is Kind.ALIVE and row.track.state in ENDED:
                    row.track.due = now  # listed though lost: only a direct look can say it is back
        if discovery.complete_since is not None:
            listed = {sighting.post.key for sighting in discovery.sightings}
            self._absent(account, discovery.complete_since, listed, discovery.observation, now)
        return new, shown

    def known(self, keys: Sequence[str]) -> dict[str, PostRow]:
        """Rows of the posts that we know, each as the one object that this commit works on."""
        rows = self.observatory.post_rows_by_key([key for key in keys if key not in self._rows])
        found = {key: self._the(row) for key, row in rows.items()}
        return found | {key: self._rows[key] for key in keys if key in self._rows}

    def _the(self, row: PostRow) -> PostRow:
        return self._rows.get(row.subject) or self.held.get(row.id) or row

    def _meet(
        self, account: AccountRow, sighting: Sighting, discovery: Discovery, now: Micros
    ) -> PostRow:
        """A post seen for the first time; it is asked for directly at once."""
        seen = discovery.observation.answered_at
        post = replace(sighting.post, account=account.subject, first_seen_at=seen, version="")
        row = PostRow(self.observatory.next_post_id(), post, account.id, Track(due=now))
        self._entry.new_posts.append(row)
        self._rows[row.subject] = row
        self.progress.posts_found += 1
        return row

    def _absent(
        self,
        account: AccountRow,
        since: Micros,
        listed: set[str],
        reading: Observation,
        now: Micros,
    ) -> None:
        """Posts that the list should hold and lacks: note it, ask for them directly, once."""
        for stored in self.observatory.live_rows(account.id, since):
            row = self._the(stored)
            if row.subject in listed or row.track.absent or row.track.has_case:
                continue
            observation = Observation(
                row.subject, reading.asked_at, reading.answered_at, ABSENT, Via.TIMELINE,
                reading.vantage,
            )  # fmt: skip
            self._rows[row.subject] = row
            self._enter(row, observation, now)
            row.track.absent = True
            row.track.due = now

    def picture(self, fetched: Fetched, gathering: Gathering) -> None:
        """Enter what came of one picture of a post; its bytes are always kept."""
        pictures, row = self.pictures, fetched.job.row
        assert pictures is not None
        fact = pictures.fact(fetched, "")
        if fact is not None and gathering.exchanges:
            index = gathering.keep(row, PICTURE, None, None, fact.seen_at)
            fact = replace(fact, capture=str(index))
            gathering.whole = True  # who forgets another post that shows it leaves it here
            gathering.facts[-1]["picture"] = {
                **{name: getattr(fact, name) for name in _TOLD},
                "url": fetched.job.url,
                "why_no_hash": fetched.seen.why if fetched.seen else "",
            }
        if fact is not None:
            self._entry.pictures.append(fact)
        settled = pictures.settled(fetched)
        if settled is not None:
            self._entry.picture_sets[row.subject] = settled

    def gathered(self, gathering: Gathering, now: Micros) -> None:
        """Everything of one answer was entered: keep its bytes if they are evidence."""
        evidence = gathering.finish(now)
        if evidence is not None:
            self._entry.evidence.append(evidence)

    # -- canaries ---------------------------------------------------------------------------

    def begin(self, platform: str, vantages: Sequence[str], now: Micros, *, guarded: bool) -> None:
        """The watch begins to ask `platform` from `vantages`, with canaries or without."""
        rows = self.trusting.begin(platform, vantages, now, guarded=guarded)
        self._entry.coverage += rows

    def waver(self, rows: Sequence[Row]) -> None:
        """Take over, at the start, those whose state an answer of a canary may change."""
        self._wavering.take_up(rows)

    def checked(self, platform: str, vantage: str, check: Check, words: str, now: Micros) -> None:
        """A round of canaries ended: keep it, and judge again whom it may decide."""
        before = self.trusting.standing(platform, vantage).in_doubt
        why = words if check.right else f"a canary answered wrongly: {words}"
        self._entry.coverage.append(self.trusting.checked(platform, vantage, check, why))
        changed = before is check.right  # the doubt began, or ended
        if changed:
            facts = {"platform": platform, "vantage": vantage, "right": check.right, "words": words}
            self._events.append(Event("canary", now, facts))
        self.reconsider(self._wavering.of(platform, everybody=changed), now)

    def reconsider(self, wavering: Sequence[Row], now: Micros) -> None:
        """Judge these again, since what is known of the ways to them has changed."""
        rows: list[Row] = [
            *self.known([row.subject for row in wavering if isinstance(row, PostRow)]).values()
        ]
        rows += [row for row in wavering if isinstance(row, AccountRow)]
        for row in rows:
            if isinstance(row, PostRow):
                self._rows[row.subject] = row
            state = row.track.state
            verdict = self._judge(row, now)
            if isinstance(row, AccountRow) and verdict is not None:
                self._account_verdicts[row.id] = verdict
                if verdict.state is not state and verdict.state is State.GONE:
                    self._lost_accounts.append(row)
            if row.track.state is not state:
                self._entry.changes.append(Change(row))
            if isinstance(row, PostRow):
                self._teach_loss(row, state, verdict)

    # -- streams ----------------------------------------------------------------------------

    def hinted(self, row: Row, now: Micros) -> None:
        """A stream hints at `row`: it is due now. No fact, so its books stay as they are."""
        if isinstance(row, PostRow):
            self._rows[row.subject] = row
        row.track.due = min(row.track.due, now)
        if isinstance(row, AccountRow):
            self.schedule.put(~row.id, self.host(host_of(row.account.url)), row.track.due)
        self._entry.changes.append(Change(row))

    def streamed(self, platform: str, place: StreamPlace) -> None:
        """The stream of `platform` was read up to `place`."""
        self._entry.streams[platform] = place

    # -- the commit -------------------------------------------------------------------------

    def commit(self, now: Micros) -> list[PostRow]:
        """Keep everything entered since the last commit; the posts whose dates changed."""
        for account in self._lost_accounts:
            self._follow(account, now)
        entry = self._entry
        touched = list(self._rows.values())
        self.touching(touched)
        self.schedule.learn(self._seen, now)
        self.schedule.enter(touched, [self.host(row.host) for row in touched], self.held, now)
        self.schedule.enter_lists(self._readings, now)
        seq = self.observatory.commit(entry, now)
        events = self._events
        self._clear()
        self.tell(Event("commit", now, {"seq": seq, "looks": self.progress.looks}))
        for event in events:
            self.tell(event)
        return touched

    def _follow(self, account: AccountRow, now: Micros) -> None:
        """An account seems lost: ask its live posts now, and judge the lost ones again."""
        for stored in self.observatory.open_rows(account.id):
            row = self._the(stored)
            self._rows[row.subject] = row
            if row.track.has_case:
                state = row.track.state
                self._teach_loss(row, state, self._judge(row, now))
            if row.track.state in (State.UNKNOWN, State.ALIVE):  # others have a date that counts
                row.track.due = now
            self._entry.changes.append(Change(row))


def _proven_by(row: PostRow, seen: Observation) -> bool:
    """Whether this look proved `row` alive; it was entered."""
    return seen.signal.kind is Kind.ALIVE and row.track.last_alive_at == seen.last_asked_at
