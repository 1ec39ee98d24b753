"""A folder to alert about: generated posts of generated accounts, judged as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vanished.archive.columns import Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.model import (
    ALIVE,
    HOUR,
    MINUTE,
    SECOND,
    Account,
    Cause,
    Confidence,
    Count,
    Counts,
    Fault,
    Interval,
    Micros,
    Observation,
    Post,
    State,
    Verdict,
    Version,
    failed,
)

NOW: Micros = 1_790_000_000 * SECOND
KEY = "ab" * 32
NAME = "Aurelio Quillfeather"  # of nobody
WORDS = "zorblax festival"


@dataclass
class Standing:
    """A clock that stands until a test moves it."""

    at: Micros = NOW

    def now(self) -> Micros:
        return self.at

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        del busy
        self.at = max(self.at, until)
        await asyncio.sleep(0)
        del wake


@dataclass
class World:
    """An observatory of `accounts` accounts with four posts each; `keys` are their pseudonyms."""

    folder: Path
    clock: Standing = field(default_factory=Standing)
    keys: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, accounts: int = 3, words: str = WORDS) -> World:
        world = cls(folder)
        with Observatory.create(folder) as observatory:
            entry = Entry()
            for a in range(accounts):
                key = observatory.naming("weibo", f"a{a}")
                account = Account(key, "weibo", f"native{a}", NAME, f"https://w.example/{a}", NOW)
                owner = AccountRow(observatory.next_account_id(), account, "", Track())
                entry.new_accounts.append(owner)
                world.keys.append(key)
                for n in range(4):
                    world._post(observatory, entry, owner, f"{a}{n}", words)
            observatory.commit(entry, NOW)
        return world

    def _post(
        self, observatory: Observatory, entry: Entry, owner: AccountRow, name: str, words: str
    ) -> None:
        key = observatory.naming("weibo", f"p{name}")
        url = f"https://w.example/p{name}"
        post = Post(key, owner.subject, "weibo", f"n{name}", url, NOW - HOUR, NOW - HOUR)
        row = PostRow(observatory.next_post_id(), post, owner.id, Track())
        entry.new_posts.append(row)
        entry.versions.append(Wording(key, NOW - HOUR, Version("h", f"{words} {name}", "")))
        for signal in (ALIVE, failed(Fault.TIMEOUT)):
            seen = Observation(key, NOW - MINUTE, NOW - MINUTE + SECOND, signal)
            entry.changes.append(Change(row, seen, run=observatory.next_run()))
        self.posts.append(key)

    def judge(self, *verdicts: Verdict) -> None:
        """Reach these verdicts at the clock's time."""
        now = self.clock.at
        with Observatory.open(self.folder, write=True) as observatory:
            entry = Entry(verdicts={v.subject: Judgement(now, v) for v in verdicts})
            observatory.commit(entry, now)

    def counted(self, post: str, reposts: int) -> None:
        """A look that shows this many reposts."""
        with Observatory.open(self.folder, write=True) as observatory:
            row = observatory.post_rows_by_key([post])[post]
            counts = Counts(reposts=Count(reposts, None))
            seen = Observation(post, self.clock.at, self.clock.at, ALIVE, counts=counts)
            change = Change(row, seen, run=observatory.next_run())
            observatory.commit(Entry(changes=[change]), self.clock.at)

    def lost(
        self,
        subject: str,
        causes: Iterable[Cause] = (Cause.PLATFORM,),
        confidence: Confidence = Confidence.HIGH,
        explained_by: str | None = None,
        state: State = State.GONE,
    ) -> Verdict:
        """A verdict on a loss of the last minutes."""
        interval = Interval(self.clock.at - 10 * MINUTE, self.clock.at - MINUTE)
        return Verdict(
            subject, state, frozenset(causes), interval, confidence, ("t/rule@1",), (),
            explained_by, "a notice", 3, "t/1",
        )  # fmt: skip

    def alerts(self, text: str) -> None:
        """Write alerts.toml."""
        (self.folder / "alerts.toml").write_text(text, encoding="utf-8")
