"""Enter answers into the present: who was seen, what changed, what the judge says of it.

In: what sources brought back, in order of arrival. Out: one commit of the archive, and the posts
whose dates changed. Asks nobody and decides nothing about dates or causes itself: `absorb` keeps
the books of one subject, the judge judges.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vanished.archive.columns import Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Row, Track
from vanished.judge import DEFAULT, JudgeSettings
from vanished.model import (
    ABSENT,
    ENDED,
    Discovery,
    Kind,
    Micros,
    Observation,
    Sighting,
    State,
    Verdict,
    Version,
    Via,
)
from vanished.net.exchange import Exchange
from vanished.watch.absorb import RETURN_CHECK, absorb, decide, is_news, next_date
from vanished.watch.evidence import FIRST, PICTURE, Gathering
from vanished.watch.pictures import Fetched, Pictures
from vanished.watch.schedule import NEVER, Schedule

_TOLD = ("place", "sha256", "size", "form", "method", "hash", "quality")
"""What a capture's facts say of its picture."""


@dataclass(slots=True)
class Progress:
    """What the progress line and `--json` show; all since the start of this watch."""

    began_s: float = field(default_factory=time.monotonic)  # real time, also in simulated worlds
    looks: int = 0
    failed: int = 0
    posts_found: int = 0
    losses: int = 0
    returned: int = 0
    backlog: int = 0
    next_due: Micros = NEVER


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling: `kind` is commit, verdict, source-error or stopped."""

    kind: str
    at: Micros
    facts: Mapping[str, object]


@dataclass
class Ledger:
    """Collects one commit at a time. `held` are the posts under way, by row number."""

    observatory: Observatory
    schedule: Schedule
    discover_every: Micros
    chance: random.Random
    progress: Progress
    tell: Callable[[Event], None]
    held: Mapping[int, PostRow] = field(default_factory=dict)
    judged_by: JudgeSettings = DEFAULT
    pictures: Pictures | None = None  # None: none are fetched

    def __post_init__(self) -> None:
        self._account_verdicts = self.observatory.account_verdicts()
        self._clear()

    def _clear(self) -> None:
        self._entry = Entry()
        self._rows: dict[str, PostRow] = {}  # posts of this commit, by key
        self._cases: dict[str, Sequence[Observation]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._lost_accounts: list[AccountRow] = []
        self._events: list[Event] = []

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
        if self.pictures is not None:
            offered = self.pictures.offer(row, observation, version)
            if offered is not None:
                self._entry.picture_sets[row.subject] = offered
        verdict = self._enter(row, observation, now)
        row.track.due = next_date(
            row, verdict, self._case(row), now, self.schedule, self.discover_every, self.chance
        )

    def _enter(self, row: Row, observation: Observation, now: Micros) -> Verdict | None:
        if row.track.run is not None and row.track.run < self.observatory.oldest_run:
            row.track.run = None  # moved into the journal while this row was held
        change = absorb(row, observation, self._case(row), self.observatory.next_run)
        self._entry.changes.append(change)
        self.progress.looks += observation.looks
        self.progress.failed += observation.looks if row.track.failures else 0
        if change.case is not None:
            self._cases[row.subject] = change.case
        return self._judge(row, now)

    def _case(self, row: Row) -> Sequence[Observation]:
        if row.subject in self._cases:
            return self._cases[row.subject]
        return self.observatory.case(row.subject) if row.track.has_case else ()

    def _judge(self, row: Row, now: Micros) -> Verdict | None:
        """Judge `row` on its case; note the verdict if it is news."""
        case = self._case(row)
        account = self._account_verdicts.get(row.account_id) if isinstance(row, PostRow) else None
        state = row.track.state
        verdict = decide(row, case, account, self.judged_by)
        if verdict is None:
            return None
        before = self._verdicts.get(row.subject) or self.observatory.verdict(row.subject)
        if is_news(verdict, before):
            self._verdicts[row.subject] = verdict
            self._entry.verdicts[row.subject] = Judgement(now, verdict)
            self._notice(row, state, verdict, now)
        return verdict

    def _notice(self, row: Row, state: State, verdict: Verdict, now: Micros) -> None:
        if verdict.state is state:
            return
        if isinstance(row, PostRow):
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

    # -- an account -------------------------------------------------------------------------

    def discovery(
        self, row: AccountRow, discovery: Discovery, now: Micros, gathering: Gathering
    ) -> None:
        """Enter one reading of an account's list."""
        row.cursor = discovery.cursor or row.cursor
        state = row.track.state
        seen = gathering.weigh(row, discovery.observation, None)
        verdict = self._enter(row, seen, now)
        row.track.due = next_date(
            row, verdict, self._case(row), now, self.schedule, self.discover_every, self.chance
        )
        if discovery.sole and not row.track.failures:
            row.track.due = now + RETURN_CHECK
        if verdict is not None:
            self._account_verdicts[row.id] = verdict
            if verdict.state is not state and verdict.state in (State.SUSPECTED, State.GONE):
                self._lost_accounts.append(row)
        self._sightings(row, discovery, now, gathering)

    def _sightings(
        self, account: AccountRow, discovery: Discovery, now: Micros, gathering: Gathering
    ) -> None:
        keys = [sighting.post.key for sighting in discovery.sightings]
        known = self._known(keys)
        forgotten = self.observatory.is_forgotten([key for key in keys if key not in known])
        gathering.beside = frozenset({account.subject, *keys})
        gathering.withheld = bool(forgotten)
        for sighting in discovery.sightings:
            row = known.get(sighting.post.key)
            if row is None and sighting.post.key in forgotten:
                continue
            if row is None:
                row = known[sighting.post.key] = self._meet(account, sighting, discovery, now)
                if sighting.observation is None and gathering.exchanges:
                    gathering.keep(row, FIRST, None, None, discovery.observation.answered_at)
            if row.track.absent:  # listed again
                row.track.absent = False
                self._entry.changes.append(Change(row))
            if sighting.observation is not None:
                self.look(row, sighting.observation, sighting.version, now, gathering)
                if sighting.observation.signal.kind is Kind.ALIVE and row.track.state in ENDED:
                    row.track.due = now  # listed though lost: only a direct look can say it is back
        if discovery.complete_since is not None:
            listed = {sighting.post.key for sighting in discovery.sightings}
            self._absent(account, discovery.complete_since, listed, discovery.observation, now)

    def _known(self, keys: Sequence[str]) -> dict[str, PostRow]:
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

    # -- the commit -------------------------------------------------------------------------

    def commit(self, now: Micros) -> list[PostRow]:
        """Keep everything entered since the last commit; the posts whose dates changed."""
        for account in self._lost_accounts:
            self._follow(account, now)
        entry = self._entry
        touched = list(self._rows.values())
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
                self._judge(row, now)
            if row.track.state in (State.UNKNOWN, State.ALIVE):  # others have a date that counts
                row.track.due = now
            self._entry.changes.append(Change(row))
