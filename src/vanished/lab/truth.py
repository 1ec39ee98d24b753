"""The truth of a world as a file, and how well a watch's verdicts agree with it.

In: a world, or its `truth.jsonl`; verdicts by pseudonym key. Out: the file; a `Score`. A removal
reaches the replicas of the platform one after the other, so its true time is a span: from the
removal to when the last replica has it. A form that leaves several causes open is read rightly
when the verdict leaves open just those. Nothing here asks or judges.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vanished.errors import InputError
from vanished.lab.nouns import Loss
from vanished.lab.source import PLATFORM
from vanished.lab.world import MOST_LAG, World
from vanished.model import SECOND, Cause, Micros, State, Verdict
from vanished.sources import Naming

VERSION = 1
LOST = (State.GONE, State.MOVED, State.RETURNED)
"""The states of a verdict that claim a loss."""


@dataclass(frozen=True, slots=True)
class Fate:
    """A loss as it really was. `open`: the causes that its shown form leaves open."""

    removed_at: Micros
    gone_everywhere_at: Micros  # when the last replica has it
    cause: Cause
    by: str
    rule: tuple[str, ...]
    form: str
    words: str
    open: frozenset[Cause]
    returned_at: Micros | None = None

    @classmethod
    def of(cls, loss: Loss) -> Fate:
        form, everywhere, by = loss.form, loss.at + MOST_LAG, loss.by.value
        shown = (form.name, form.words, form.open)
        return cls(loss.at, everywhere, loss.cause, by, loss.rule, *shown, loss.returned_at)


@dataclass(frozen=True, slots=True)
class Subject:
    """A post or an account of the truth, by native id. `account` is "" for an account."""

    id: str
    account: str = ""
    published_at: Micros = 0  # 0 for an account
    topic: str = ""
    repeats: str | None = None
    edited_at: Micros | None = None
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    seed: int
    start: Micros
    end: Micros
    accounts: tuple[Subject, ...]
    posts: tuple[Subject, ...]


def truth_of(world: World) -> Truth:
    """Everything that happens in `world`, from its beginning to its end."""
    accounts = tuple(
        Subject(account.id, fate=Fate.of(account.loss) if account.loss else None)
        for account in world.accounts
    )
    posts = tuple(
        Subject(
            post.id,
            world.accounts[post.account].id,
            post.published_at,
            post.topic,
            None if post.repeats is None else world.posts[post.repeats].id,
            post.edited_at,
            Fate.of(post.loss) if post.loss else None,
        )
        for post in world.posts
    )
    return Truth(world.seed, world.start, world.end, accounts, posts)


# -- the file ------------------------------------------------------------------------------------


def write_truth(world: World, path: Path) -> None:
    """Write the truth of `world` as JSON lines: a head, accounts, posts. Replaces `path`."""
    truth = truth_of(world)
    head = {"kind": "truth", "version": VERSION, "seed": truth.seed}
    head |= {"start": truth.start, "end": truth.end}
    lines = [head]
    lines += [{"kind": "account", **_written(subject)} for subject in truth.accounts]
    lines += [{"kind": "post", **_written(subject)} for subject in truth.posts]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def read_truth(path: Path) -> Truth:
    """The truth in `path`; InputError names the line that is not one of ours."""
    head: Mapping[str, Any] = {}
    found: dict[str, list[Subject]] = {"account": [], "post": []}
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):  # noqa: B007  the error names it
                record = json.loads(line)
                kind = record.pop("kind")
                if kind == "truth" and record["version"] == VERSION:
                    head = record
                else:
                    found[kind].append(_read(record))
        return Truth(
            head["seed"], head["start"], head["end"], tuple(found["account"]), tuple(found["post"])
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path}:{number}: this is no line of a lab's truth; write the file anew."
        ) from None


def _written(subject: Subject) -> dict[str, Any]:
    record = {name: getattr(subject, name) for name in Subject.__slots__}
    fate = record.pop("fate")
    if fate is not None:
        record["fate"] = {name: getattr(fate, name) for name in Fate.__slots__}
        record["fate"]["open"] = sorted(fate.open)
    return record


def _read(record: dict[str, Any]) -> Subject:
    fate = record.pop("fate", None)
    if fate is None:
        return Subject(**record)
    fate |= {
        "cause": Cause(fate["cause"]),
        "rule": tuple(fate["rule"]),
        "open": frozenset(map(Cause, fate["open"])),
    }
    return Subject(**record, fate=Fate(**fate))


# -- the score -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts on posts, or on accounts, against the truth; lists are of keys."""

    lost: int = 0  # losses that could have been noticed
    late: int = 0  # losses in the time of grace at the end, which count for nothing else
    missed: tuple[str, ...] = ()
    wrong_cause: tuple[str, ...] = ()
    wrong_interval: tuple[str, ...] = ()  # holds no moment of the span of the loss
    beside_removal: tuple[str, ...] = ()  # holds some, but not that of the removal itself
    false_losses: tuple[str, ...] = ()  # called lost, and never were by then

    @property
    def noticed(self) -> int:
        return self.lost - len(self.missed)

    @property
    def noticed_share(self) -> float:
        return self.noticed / self.lost if self.lost else 1.0

    @property
    def cause_right_share(self) -> float:
        return self._without(len(self.wrong_cause))

    @property
    def interval_right_share(self) -> float:
        return self._without(len(self.wrong_interval))

    @property
    def interval_strict_share(self) -> float:
        return self._without(len(self.wrong_interval) + len(self.beside_removal))

    def _without(self, wrong: int) -> float:
        """The share of the noticed losses that is not `wrong`; 1 if there were none."""
        return 1.0 - wrong / self.noticed if self.noticed else 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """How well verdicts agree with the truth. Shares are from 0 to 1, delays in seconds."""

    posts: Tally
    accounts: Tally
    called_platform: int  # verdicts on posts that name the platform alone
    false_platform: tuple[str, ...]  # of these, the keys for which it was not
    delays_s: tuple[float, ...]  # from removal to the first gone answer, rising
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def false_platform_share(self) -> float:
        return len(self.false_platform) / self.called_platform if self.called_platform else 0.0

    def delay_s(self, quantile: float) -> float:
        """That quantile of the delays; 0 if nothing was noticed."""
        last = len(self.delays_s) - 1
        return self.delays_s[round(quantile * last)] if self.delays_s else 0.0

    def matrix(self) -> str:
        """The confusion matrix as text: true cause by row, called by column."""
        rows = sorted({row for row, _ in self.confusion})
        columns = sorted({column for _, column in self.confusion})
        width = max([len(row) for row in rows], default=0)
        lines = [" " * width + "".join(f"  {column}" for column in columns)]
        for row in rows:
            cells = (f"{self.confusion.get((row, c), 0) or '.':>{len(c) + 2}}" for c in columns)
            lines.append(f"{row:<{width}}{''.join(cells)}")
        return "\n".join(lines)

    def text(self) -> str:
        """The whole score as a few lines for a person."""
        lines = []
        for name, tally in (("posts", self.posts), ("accounts", self.accounts)):
            lines.append(
                f"{name}: {tally.lost} lost, {tally.noticed} noticed ({tally.noticed_share:.2%}),"
                f" cause right {tally.cause_right_share:.2%}, interval right"
                f" {tally.interval_right_share:.2%} (strictly {tally.interval_strict_share:.2%}),"
                f" {len(tally.false_losses)} false losses, {tally.late} too late to count"
            )
        lines.append(
            f"called platform: {self.called_platform}, wrongly {len(self.false_platform)}"
            f" ({self.false_platform_share:.2%})"
        )
        lines.append(f"delay: median {self.delay_s(0.5):.0f} s, 90 % {self.delay_s(0.9):.0f} s")
        return "\n".join([*lines, self.matrix()])


def score(
    truth: Truth,
    verdicts: Iterable[Verdict],
    seen: Collection[str],
    name: Naming,
    *,
    until: Micros | None = None,
    grace: Micros = 0,
) -> Score:
    """Compare `verdicts` (the last one a subject counts) with what happened by `until`.

    `seen`: the keys of the posts that the watch ever saw; a loss of another is nobody's fault.
    `name` makes a key of a platform's name and a native id. `until` is when the watch ended (the
    world's end unless given); losses in the last `grace` microseconds before are only counted as
    late, since a bare "not found" needs hours to be believed. Accounts are all taken as watched.
    Raises ValueError for a verdict about nobody in the world.
    """
    end = truth.end if until is None else until
    called = {verdict.subject: verdict for verdict in verdicts}
    key = _keys(name)
    posts = {key(subject.id): subject for subject in truth.posts}
    accounts = {key(subject.id): subject for subject in truth.accounts}
    strangers = called.keys() - posts.keys() - accounts.keys()
    if strangers:
        raise ValueError(f"verdicts about {len(strangers)} subjects that are not in this world")
    watched = {k: subject for k, subject in posts.items() if k in seen or k in called}
    cases = list(_cases(watched, called, end, grace, key))
    platform = [
        case
        for case in cases
        if case.claimed is not None and case.claimed.causes == {Cause.PLATFORM}
    ]
    false_platform = [c.key for c in platform if c.fate is None or c.fate.cause != Cause.PLATFORM]
    return Score(
        _tally(cases),
        _tally(_cases(accounts, called, end, grace, key)),
        len(platform),
        tuple(false_platform),
        tuple(sorted(case.delay_s for case in cases if case.noticed)),
        dict(Counter((case.row, case.column) for case in cases if case.counts)),
    )


def _keys(name: Naming) -> Callable[[str], str]:
    return lambda native_id: name(PLATFORM, native_id)


@dataclass(frozen=True, slots=True)
class _Case:
    """One subject: what happened to it by the end, and the loss that was claimed, if any."""

    key: str
    account: str  # key of the post's account
    fate: Fate | None
    claimed: Verdict | None
    late: bool

    @property
    def noticed(self) -> bool:
        return self.fate is not None and self.claimed is not None and not self.late

    @property
    def counts(self) -> bool:
        return (self.fate is not None and not self.late) or (
            self.fate is None and self.claimed is not None
        )

    @property
    def cause_right(self) -> bool:
        assert self.fate is not None
        assert self.claimed is not None
        if self.fate.cause is Cause.ACCOUNT and self.claimed.explained_by == self.account:
            return True
        return self.claimed.causes in (self.fate.open, frozenset({self.fate.cause}))

    @property
    def holds_removal(self) -> bool:
        assert self.fate is not None
        return self._holds(self.fate.removed_at, self.fate.removed_at)

    @property
    def holds_some(self) -> bool:
        assert self.fate is not None
        return self._holds(self.fate.removed_at, self.fate.gone_everywhere_at)

    def _holds(self, first: Micros, last: Micros) -> bool:
        """Whether the claimed bracket holds a moment from `first` to `last`."""
        bracket = self.claimed.interval if self.claimed is not None else None
        if bracket is None:
            return False
        after = bracket.last_alive_at is None or bracket.last_alive_at < last
        return after and first <= bracket.first_gone_at

    @property
    def delay_s(self) -> float:
        assert self.fate is not None
        bracket = self.claimed.interval if self.claimed is not None else None
        seen_at = bracket.first_gone_at if bracket is not None else self.fate.removed_at
        return (seen_at - self.fate.removed_at) / SECOND

    @property
    def row(self) -> str:
        if self.fate is None:
            return "(not lost)"
        cause, shown = self.fate.cause.value, "|".join(sorted(self.fate.open))
        return cause if shown == cause else f"{cause}, shown as {shown}"

    @property
    def column(self) -> str:
        return "|".join(sorted(self.claimed.causes)) if self.claimed else "(not noticed)"


def _cases(
    subjects: Mapping[str, Subject],
    called: Mapping[str, Verdict],
    end: Micros,
    grace: Micros,
    key: Callable[[str], str],
) -> Iterator[_Case]:
    for k, subject in subjects.items():
        fate = subject.fate
        if fate is not None and fate.removed_at > end:
            fate = None
        verdict = called.get(k)
        yield _Case(
            k,
            key(subject.account) if subject.account else "",
            fate,
            verdict if verdict is not None and verdict.state in LOST else None,
            fate is not None and fate.removed_at > end - grace,
        )


def _tally(cases: Iterable[_Case]) -> Tally:
    cases = list(cases)
    due = [case for case in cases if case.fate is not None and not case.late]
    noticed = [case for case in due if case.claimed is not None]
    beside = [case for case in noticed if not case.holds_removal]
    return Tally(
        lost=len(due),
        late=sum(case.late for case in cases),
        missed=tuple(case.key for case in due if case.claimed is None),
        wrong_cause=tuple(case.key for case in noticed if not case.cause_right),
        wrong_interval=tuple(case.key for case in beside if not case.holds_some),
        beside_removal=tuple(case.key for case in beside if case.holds_some),
        false_losses=tuple(c.key for c in cases if c.fate is None and c.claimed is not None),
    )
