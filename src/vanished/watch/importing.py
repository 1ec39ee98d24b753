"""Take over a peer's record: its accounts, posts and losses become ours, marked as the peer's.

In: a file that a reader in `sources/imports/` understands. Out: one commit, all or nothing. A
record that we hold already is left alone, so that importing twice changes nothing. Imported posts
are not asked again: their addresses are not in such records.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from vanished.archive.columns import GAP, OBSERVATIONS, Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, Evidence, PostRow, Track
from vanished.archive.uncollected import uncollected
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import Micros, Observation, Post, State, at
from vanished.sources.imports import Imported, snapshots, wechatscope
from vanished.watch.absorb import absorb, decide
from vanished.watch.evidence import IMPORT, Gathering
from vanished.watch.schedule import NEVER

PEERS = ("snapshots", "wechatscope")


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What an import added, and what it found."""

    peer: str
    accounts: int
    posts: int
    observations: int
    known: int  # records that we held already
    notices: Mapping[str, int]  # notice as the peer recorded it -> how many records
    causes: Mapping[str, int]  # posts by the causes left open
    conflicts: int
    gaps: Sequence[tuple[Micros, Micros]]

    def facts(self) -> dict[str, object]:
        return {
            "peer": self.peer,
            "accounts": self.accounts,
            "posts": self.posts,
            "observations": self.observations,
            "known": self.known,
            "notices": dict(self.notices),
            "causes": dict(self.causes),
            "conflicts": self.conflicts,
            "gaps": [[at(since).isoformat(), at(until).isoformat()] for since, until in self.gaps],
        }

    def text(self) -> str:
        lines = [
            f"Took over {self.observations} records of {self.posts} posts of {self.accounts}"
            f" accounts from {self.peer}; {self.known} were known already."
        ]
        lines += [f"  {n:6}  {notice}" for notice, n in self.notices.items()]
        lines.append(f"{self.conflicts} posts carry notices that contradict each other.")
        if self.gaps:
            lines.append(f"The record has {len(self.gaps)} gaps, which are no calm:")
            lines += [
                f"  {at(since):%Y-%m-%d %H:%M} to {at(until):%Y-%m-%d %H:%M}"
                for since, until in self.gaps
            ]
        return "\n".join(lines)


def read_record(observatory: Observatory, peer: str, file: Path) -> Imported:
    """The record of `peer` in `file`; UsageError if we do not read that peer's."""
    if peer not in PEERS:
        raise UsageError(f"No reader is called '{peer}'; there are: {', '.join(PEERS)}.")
    if peer == "snapshots":
        return snapshots.read(file, observatory.naming)
    return wechatscope.read(file, observatory.naming)


def take_over(observatory: Observatory, peer: str, file: Path) -> TakenOver:
    """Read the whole of `file`, then keep it in one commit."""
    with uncollected():
        return _take_over(observatory, peer, file)


def _take_over(observatory: Observatory, peer: str, file: Path) -> TakenOver:
    record = read_record(observatory, peer, file)
    now = SystemClock().now()
    entry = Entry()
    accounts = _accounts(observatory, record, entry, now)
    by_post: dict[str, list[Observation]] = {}
    for observation in record.observations:
        by_post.setdefault(observation.subject, []).append(observation)
    record = replace(record, observations=())  # what is told of a post is taken from it once
    known_rows = observatory.post_rows_by_key([post.key for post in record.posts])
    held = _held(observatory)
    known = 0
    causes: Counter[str] = Counter()
    conflicts = 0
    forgotten = observatory.is_forgotten([p.key for p in record.posts if p.key not in known_rows])
    for post in record.posts:
        if post.key in forgotten:  # and stays so
            continue
        row = known_rows.get(post.key) or _new_post(observatory, accounts, post, entry)
        case = observatory.case(post.key) if row.track.has_case else []
        before = held.get(post.key, ())
        said = by_post.pop(post.key, [])
        fresh = [seen for seen in said if not _stands_in(before, seen)]
        known += len(said) - len(fresh)
        if not fresh:
            continue
        judgement = _enter(observatory, row, case, fresh, entry, now)
        if judgement is not None and judgement.verdict.state is State.GONE:
            causes[" or ".join(sorted(judgement.verdict.causes))] += 1
            conflicts += bool(judgement.verdict.conflicts)
    new = {row.subject for row in entry.new_posts}
    entry.versions += [Wording(p, seen, v) for p, seen, v in record.versions if p in new]
    if observatory.proof is not None:
        source = {"peer": peer, "file_sha256": _digest(file)}
        entry.record = _Record(entry, source, observatory.next_leaf, now)
    taken = TakenOver(
        peer=peer,
        accounts=len(entry.new_accounts),
        posts=len(entry.new_posts),
        observations=sum(change.observation is not None for change in entry.changes),
        known=known,
        notices=record.notices,
        causes=dict(causes.most_common()),
        conflicts=conflicts,
        gaps=[(gap.since, gap.until) for gap in record.coverage if gap.what == GAP],
    )
    if entry.changes:
        entry.coverage += record.coverage
        del record, by_post, known_rows
        observatory.commit(entry, now)
    return taken


def _digest(record: Path) -> str:
    """SHA-256 of a file; of a folder, over the list of its files that `sha256sum` would write."""
    if not record.is_dir():
        with record.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in record.rglob("*") if file.is_file() and not file.is_symlink())
    lines = [f"{_digest(file)}  {file.relative_to(record).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


class _Record(Sequence[Evidence]):
    """The evidence of what was taken over: each piece says what the peer's file said, and is made
    when it is asked for, since all at once would be several times the record."""

    def __init__(
        self, entry: Entry, source: Mapping[str, str], next_leaf: Callable[[], int], now: Micros
    ) -> None:
        """Gives every observation of `entry` the leaf that its evidence will be."""
        self._source, self._now = source, now
        self._words = {wording.post: wording.version for wording in entry.versions}
        self._changes: list[Change] = entry.changes
        self._places: list[int] = []
        for place, change in enumerate(entry.changes):
            if change.observation is not None:
                seen = replace(change.observation, capture=str(next_leaf()))
                entry.changes[place] = replace(change, observation=seen)
                self._places.append(place)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> Evidence: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Evidence]: ...

    def __getitem__(self, number: int | slice) -> Evidence | Sequence[Evidence]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        change = self._changes[self._places[number]]
        seen = change.observation
        assert seen is not None
        gathering = Gathering((), lambda: int(seen.capture), self._source)
        version = self._words.get(seen.subject)
        gathering.keep(change.row, IMPORT, replace(seen, capture=""), version, seen.answered_at)
        evidence = gathering.finish(self._now)
        assert evidence is not None
        return evidence


def _held(observatory: Observatory) -> Mapping[str, Sequence[Observation]]:
    """What we hold of peers' records, by post: read from the past, where also failed looks are."""
    with observatory.past() as con:
        found = con.execute("select * from observations where via = 'import'").fetchnumpy()
    held: dict[str, list[Observation]] = {}
    for seen in OBSERVATIONS.decode(found):
        held.setdefault(seen.subject, []).append(seen)
    return held


def _stands_in(runs: Iterable[Observation], seen: Observation) -> bool:
    """Whether one of `runs` holds this record: it says the same, of the same time or around it."""
    return any(
        run.asked_at <= seen.asked_at <= run.last_asked_at and run.says() == seen.says()
        for run in runs
    )


def _accounts(
    observatory: Observatory, record: Imported, entry: Entry, now: Micros
) -> dict[str, int]:
    """Row numbers of the record's accounts; the unknown ones are added, unwatched."""
    numbers = observatory.account_ids()
    for account in record.accounts:
        if account.key not in numbers:
            row = AccountRow(
                observatory.next_account_id(), account, "", Track(due=NEVER), watched=False
            )
            numbers[account.key] = row.id
            entry.new_accounts.append(row)
    return numbers


def _new_post(
    observatory: Observatory, accounts: Mapping[str, int], post: Post, entry: Entry
) -> PostRow:
    row = PostRow(observatory.next_post_id(), post, accounts[post.account], Track(due=NEVER))
    entry.new_posts.append(row)
    return row


def _enter(
    observatory: Observatory,
    row: PostRow,
    case: Sequence[Observation],
    fresh: Iterable[Observation],
    entry: Entry,
    now: Micros,
) -> Judgement | None:
    for seen in fresh:
        change = absorb(row, seen, case, observatory.next_run)
        case = change.case or case
        entry.changes.append(change)
    verdict = decide(row, case, None)
    if verdict is None:
        return None
    judgement = entry.verdicts[row.subject] = Judgement(now, verdict)
    return judgement
