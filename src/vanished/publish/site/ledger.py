"""What a site has told: each loss with its number and when it was told, as lines of JSON.

In: a release's rows and the ledger of the build before. Out: the ledger of this build. A number is
given once, so that a page's address stays; a loss that was withdrawn leaves a gap. New losses are
numbered in the order of the times that are told of them, which therefore tells nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from vanished.errors import EvidenceError
from vanished.explain.fate import Fate
from vanished.model import SECOND, Cause, Micros, State, at, micros
from vanished.publish.batches import Told
from vanished.publish.gate import NoWords, Passed

LEDGER: Final = "losses.jsonl"
_TIMES: Final = ("published_from", "alive_until", "gone_by")
_FATES: Final = {one.name.lower(): one for one in Fate}
_STATES: Final = {one.value: one for one in State}
_NO_WORDS: Final = {one.name.lower(): one for one in NoWords}


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss of a site. `told_at`: when a build first told it as it is, whatever became of its
    words, to the second; `read`: its line, where it was read from a ledger."""

    number: int
    told_at: Micros
    row: Passed
    shard: str = ""  # the file with its captures, if they leave
    read: str = field(default="", compare=False, repr=False)

    @property
    def line(self) -> str:
        """It as a line of the ledger."""
        return self.read or self._line()

    def _line(self) -> str:
        row = self.row
        facts: dict[str, Any] = {
            "number": self.number,
            "told_at": _iso(self.told_at),
            "post": row.post,
            "account": row.account,
            "platform": row.platform,
            "outcome": row.fate.name.lower(),
            "state": row.state.value,
            "causes": sorted(row.causes),
            "confidence": row.confidence,
            **{name: _iso(getattr(row, name)) for name in _TIMES},
            "rounded_s": row.rounded // SECOND,
            "title": row.title,
            "text": row.text,
            "no_words": row.no_words.name.lower() if row.no_words else None,
            "ground": row.ground,
        }
        if self.shard:
            facts["captures"] = self.shard
        return json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Ledger:
    """All losses in the order of their numbers; `next` is the number of the next new one."""

    losses: tuple[Loss, ...] = ()
    next: int = 1

    def encoded(self) -> bytes:
        return "".join(f"{loss.line}\n" for loss in self.losses).encode()

    def told(self, *, words: bool) -> Told:
        """What `read_release` takes; with `words`, words that left are not scrubbed again."""
        left = {
            loss.row.post: (loss.row.title or "", loss.row.text)
            for loss in self.losses
            if words and loss.row.text is not None
        }
        return Told({loss.row.post: (loss.row, loss.told_at) for loss in self.losses}, left)


def parsed(content: bytes, following: int, where: str) -> Ledger:
    """The ledger in these bytes. Raises EvidenceError, which says `where` they lie."""
    try:
        lines = content.decode().split("\n")[:-1]  # words may hold other ends of lines
        return Ledger(tuple(map(_loss, lines)), following)
    except (ValueError, KeyError, TypeError):
        raise EvidenceError(f"{where} is no ledger of a site") from None


def continued(before: Ledger, rows: Sequence[Passed], now: Micros) -> Ledger:
    """The ledger that tells `rows`, after `before`; what it tells anew is told at `now`."""
    known: Mapping[str, Loss] = {loss.row.post: loss for loss in before.losses}
    now = now // SECOND * SECOND
    losses, fresh = [], []
    for row in rows:
        old = known.get(row.post)
        if old is None:
            fresh.append(row)
        elif old.row == row:
            losses.append(old)
        else:
            told_at = old.told_at if _like(old.row, row) else now
            losses.append(Loss(old.number, told_at, row))
    fresh.sort(key=lambda row: (row.gone_by or row.published_from or 0, row.post))
    losses += [Loss(number, now, row) for number, row in enumerate(fresh, before.next)]
    losses.sort(key=lambda loss: loss.number)
    return Ledger(tuple(losses), before.next + len(fresh))


def _like(old: Passed, new: Passed) -> bool:
    """Whether all but the words is told as it was: then it stays in the crowd it was told with."""
    return old == replace(
        new, title=old.title, text=old.text, no_words=old.no_words, ground=old.ground
    )


def with_captures(ledger: Ledger, shards: Mapping[str, str]) -> Ledger:
    """The same, saying in which file the captures of each are: path by pseudonym."""
    losses = (
        loss if loss.shard == shards.get(loss.row.post, "")
        else replace(loss, shard=shards.get(loss.row.post, ""), read="")
        for loss in ledger.losses
    )  # fmt: skip
    return Ledger(tuple(losses), ledger.next)


@lru_cache(1 << 16)  # times are rounded, so that there are few
def _iso(t: Micros | None) -> str | None:
    return None if t is None else at(t).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(1 << 16)
def _micros(text: str | None) -> Micros | None:
    return None if text is None else micros(datetime.fromisoformat(text))


@lru_cache(256)
def _causes(*names: str) -> frozenset[Cause]:
    return frozenset(map(Cause, names))


def _loss(line: str) -> Loss:
    facts = json.loads(line)
    told_at = _micros(facts["told_at"])
    if told_at is None:
        raise ValueError("it was told at no time")
    row = Passed(
        post=facts["post"],
        account=facts["account"],
        platform=facts["platform"],
        fate=_FATES[facts["outcome"]],
        state=_STATES[facts["state"]],
        causes=_causes(*facts["causes"]),
        confidence=facts["confidence"],
        published_from=_micros(facts["published_from"]),
        alive_until=_micros(facts["alive_until"]),
        gone_by=_micros(facts["gone_by"]),
        rounded=facts["rounded_s"] * SECOND,
        title=facts["title"],
        text=facts["text"],
        no_words=_NO_WORDS[facts["no_words"]] if facts["no_words"] else None,
        ground=facts["ground"],
        captures="captures" in facts,
    )
    return Loss(facts["number"], told_at, row, facts.get("captures", ""), line)
