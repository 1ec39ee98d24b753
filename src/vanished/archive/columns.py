"""The tables of the journal: their columns, and the way of each noun to a row and back.

In: nouns of `model` (and the few facts below that only the past has). Out: rows, and through
`table` columns. Each table is stated once, here: the types of DuckDB, Parquet and the present's
tail follow from it. Nothing is read or written.

Native ids, names and addresses have no column: what identifies an author stays in the present.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vanished.archive.measured import MEASUREMENTS
from vanished.archive.table import FLAG, INT, MAYBE_INT, MAYBE_TEXT, TEXT
from vanished.archive.table import Columns as Columns
from vanished.archive.table import Table as Table
from vanished.model import (
    Account,
    Cause,
    Confidence,
    Count,
    Counts,
    Fault,
    Interval,
    Kind,
    Micros,
    Observation,
    Picture,
    Post,
    Signal,
    State,
    Strength,
    Verdict,
    Version,
    Via,
)

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a post read at one sight; the hash in `version` is repeated by the observations."""

    post: str
    seen_at: Micros
    version: Version


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and when it was reached."""

    judged_at: Micros
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the past knows of an account."""

    key: str
    platform: str
    added_at: Micros

    @classmethod
    def of(cls, account: Account) -> AccountFacts:
        return cls(account.key, account.platform, account.added_at)


@dataclass(frozen=True, slots=True)
class PostFacts:
    """What the past knows of a post. `published_at` is the platform's claim."""

    key: str
    account: str
    platform: str
    published_at: Micros | None
    first_seen_at: Micros

    @classmethod
    def of(cls, post: Post) -> PostFacts:
        return cls(post.key, post.account, post.platform, post.published_at, post.first_seen_at)


WATCHED: Final = "watched"
GAP: Final = "gap"

# What is noted of the ways to a platform; `subject` is then "PLATFORM from VANTAGE". Whoever judges
# the looks again needs it, so it is kept with them; reports show none of it.
ROUTE_BEGUN: Final = "route begun"
ROUTE_ENDED: Final = "route ended"
CANARIES_SET: Final = "canaries set"
CANARIES_GONE: Final = "canaries taken away"
CANARY_RIGHT: Final = "canary right"
CANARY_WRONG: Final = "canary wrong"
ROUTES: Final = (
    ROUTE_BEGUN, ROUTE_ENDED, CANARIES_SET, CANARIES_GONE, CANARY_RIGHT, CANARY_WRONG,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coverage:
    """From `since` until `until`, `subject` was watched, or was not though it should have been.

    `subject` is the key of a post or account, or the vantage of a whole source. `what` is WATCHED
    or GAP, or one of ROUTES; `why` says in a sentence how we know.
    """

    subject: str
    since: Micros
    until: Micros
    what: str
    why: str = ""


# What a stranger's answer holds must fit its column: one absurd value would stop every commit and
# every flush after it. Text that is no Unicode (JSON can carry lone surrogates) is kept with
# U+FFFD in their place; a number beyond 64 bits is unknown, an end of a counter rounded outward.


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _int64(number: int | None) -> int | None:
    return number if number is None or INT64_MIN <= number <= INT64_MAX else None


def _ends(count: Count | None) -> tuple[int | None, int | None]:
    if count is None:
        return None, None
    return max(INT64_MIN, min(count.low, INT64_MAX)), _int64(count.high)


def _causes(causes: frozenset[Cause]) -> str:
    return ",".join(sorted(cause.value for cause in causes))


def _read_causes(joined: str) -> frozenset[Cause]:
    return frozenset(Cause(word) for word in joined.split(",") if word)


def _json(texts: Sequence[str]) -> str:
    return _unicode(json.dumps(list(texts), ensure_ascii=False))


def _read_json(written: str) -> tuple[str, ...]:
    return tuple(json.loads(written))


def _count(low: int | None, high: int | None) -> Count | None:
    return None if low is None else Count(low, high)


def _observation_row(o: Observation) -> tuple[object, ...]:
    s, c = o.signal, o.counts
    return (
        o.subject,
        o.asked_at,
        o.answered_at,
        o.last_asked_at,
        o.last_answered_at,
        o.looks,
        s.kind.value,
        _causes(s.causes),
        s.rule,
        s.strength.value,
        None if s.fault is None else s.fault.value,
        _int64(s.status),
        _unicode(s.words),
        _unicode(s.by),
        s.account_level,
        o.via.value,
        o.vantage,
        o.version,
        *_ends(c.views),
        *_ends(c.likes),
        *_ends(c.reposts),
        *_ends(c.comments),
        o.capture,
    )


def _observation(*row: Any) -> Observation:
    subject, asked_at, answered_at, last_asked_at, last_answered_at, looks = row[:6]
    kind, causes, rule, strength, fault, status, words, by, account_level = row[6:15]
    via, vantage, version, *ends, capture = row[15:]
    return Observation(
        subject,
        asked_at,
        answered_at,
        Signal(
            Kind(kind),
            _read_causes(causes),
            rule,
            Strength(strength),
            None if fault is None else Fault(fault),
            status,
            words,
            by,
            account_level,
        ),
        Via(via),
        vantage,
        version,
        Counts(*(_count(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True))),
        capture,
        last_asked_at,
        last_answered_at,
        looks,
    )


OBSERVATIONS: Final = Table(
    "observations",
    {
        "subject": TEXT,
        "asked_at": INT,
        "answered_at": INT,
        "last_asked_at": INT,
        "last_answered_at": INT,
        "looks": INT,
        "kind": TEXT,
        "causes": TEXT,  # sorted, joined by commas
        "rule": TEXT,
        "strength": TEXT,
        "fault": MAYBE_TEXT,
        "status": MAYBE_INT,
        "words": TEXT,
        "actor": TEXT,  # Signal.by; BY is a word of SQL
        "account_level": FLAG,
        "via": TEXT,
        "vantage": TEXT,
        "version": TEXT,
        "views_low": MAYBE_INT,
        "views_high": MAYBE_INT,
        "likes_low": MAYBE_INT,
        "likes_high": MAYBE_INT,
        "reposts_low": MAYBE_INT,
        "reposts_high": MAYBE_INT,
        "comments_low": MAYBE_INT,
        "comments_high": MAYBE_INT,
        "capture": TEXT,
    },
    _observation_row,
    _observation,
    since="asked_at",
    until="last_answered_at",
)


def _wording_row(w: Wording) -> tuple[object, ...]:
    v = w.version
    return (w.post, w.seen_at, v.hash, _unicode(v.title), _unicode(v.text), _json(v.media))


def _wording(post: str, seen_at: Micros, hash_: str, title: str, text: str, media: str) -> Wording:
    return Wording(post, seen_at, Version(hash_, title, text, _read_json(media)))


VERSIONS: Final = Table(
    "versions",
    {
        "post": TEXT,
        "seen_at": INT,
        "hash": TEXT,
        "title": TEXT,
        "text": TEXT,
        "media": TEXT,  # JSON list of addresses
    },
    _wording_row,
    _wording,
    since="seen_at",
    until="seen_at",
)


def _judgement_row(j: Judgement) -> tuple[object, ...]:
    v = j.verdict
    return (
        v.subject,
        j.judged_at,
        v.state.value,
        _causes(v.causes),
        None if v.interval is None else v.interval.last_alive_at,
        None if v.interval is None else v.interval.first_gone_at,
        v.confidence.value,
        _json(v.rules),
        _json(v.conflicts),
        v.explained_by,
        _unicode(v.words),
        v.looks,
        v.method,
    )


def _judgement(*row: Any) -> Judgement:
    subject, judged_at, state, causes, last_alive_at, first_gone_at, confidence, rules = row[:8]
    conflicts, explained_by, words, looks, method = row[8:]
    interval = None if first_gone_at is None else Interval(last_alive_at, first_gone_at)
    return Judgement(
        judged_at,
        Verdict(
            subject,
            State(state),
            _read_causes(causes),
            interval,
            Confidence(confidence),
            _read_json(rules),
            _read_json(conflicts),
            explained_by,
            words,
            looks,
            method,
        ),
    )


VERDICTS: Final = Table(
    "verdicts",
    {
        "subject": TEXT,
        "judged_at": INT,
        "state": TEXT,
        "causes": TEXT,  # sorted, joined by commas
        "last_alive_at": MAYBE_INT,
        "first_gone_at": MAYBE_INT,  # NULL: no interval
        "confidence": TEXT,
        "rules": TEXT,  # JSON list
        "conflicts": TEXT,  # JSON list
        "explained_by": MAYBE_TEXT,
        "words": TEXT,
        "looks": INT,
        "method": TEXT,
    },
    _judgement_row,
    _judgement,
    since="judged_at",
    until="judged_at",
)

POSTS: Final = Table(
    "posts",
    {
        "key": TEXT,
        "account": TEXT,
        "platform": TEXT,
        "published_at": MAYBE_INT,
        "first_seen_at": INT,
    },
    lambda p: (p.key, p.account, p.platform, _int64(p.published_at), p.first_seen_at),
    PostFacts,
    since="first_seen_at",
    until="first_seen_at",
    daily=False,
)

ACCOUNTS: Final = Table(
    "accounts",
    {"key": TEXT, "platform": TEXT, "added_at": INT},
    lambda a: (a.key, a.platform, a.added_at),
    AccountFacts,
    since="added_at",
    until="added_at",
    daily=False,
)

COVERAGE: Final = Table(
    "coverage",
    {"subject": TEXT, "since": INT, "until": INT, "what": TEXT, "why": TEXT},
    lambda c: (c.subject, c.since, c.until, c.what, c.why),
    Coverage,
    since="since",
    until="until",
    daily=False,
)

PICTURES: Final = Table(
    "pictures",
    {
        "post": TEXT,
        "seen_at": INT,
        "place": INT,
        "address": TEXT,  # a pseudonym
        "sha256": TEXT,
        "size": INT,
        "form": TEXT,
        "method": TEXT,
        "hash": TEXT,
        "quality": MAYBE_INT,
        "capture": TEXT,
    },
    lambda p: (
        *(p.post, p.seen_at, p.place, p.address, p.sha256, p.size, p.form),
        *(p.method, p.hash, p.quality, p.capture),
    ),
    Picture,
    since="seen_at",
    until="seen_at",
)

TABLES: Final[Mapping[str, Table[Any]]] = {
    table.name: table
    for table in (
        *(OBSERVATIONS, VERSIONS, VERDICTS, POSTS, ACCOUNTS, COVERAGE, PICTURES),
        MEASUREMENTS,
    )
}
"""Every table of the journal, by name."""
