"""The nouns of the observatory, and nothing else.

No I/O, no clock, no import of ours. Every noun is a plain frozen dataclass; times are integer
microseconds since the Unix epoch, UTC (columns stay integers; `at()` makes an aware datetime at
the edges). A count that a platform rounds ("100k+") is an interval, never a point.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

Micros = int
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR


def at(t: Micros) -> datetime:
    """The aware UTC datetime of `t` microseconds."""
    return datetime.fromtimestamp(t // SECOND, UTC).replace(microsecond=t % SECOND)


def micros(moment: datetime) -> Micros:
    """Microseconds of an aware datetime; a naive one is refused: its zone would be a guess."""
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment.isoformat()} has no zone; give one with an offset")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


class Cause(StrEnum):
    """Who or what made a post unreachable. An error is no cause."""

    AUTHOR = "author"
    PLATFORM = "platform"  # platform, server operator or room moderator
    ACCOUNT = "account"  # the whole account was lost; the account's own verdict says to whom
    LEGAL = "legal"
    NETWORK = "network"
    MOVED = "moved"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What an answer proves about its subject."""

    ALIVE = "alive"
    GONE = "gone"
    MOVED = "moved"
    ABSENT = "absent"  # missing from a list: asks for a direct look, proves nothing
    ERROR = "error"  # a failed look: proves nothing


class Fault(StrEnum):
    """Why a look failed. None of these is ever evidence of a removal."""

    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    REFUSED = "refused"  # the address is not one we may ask
    RATE_LIMITED = "rate_limited"
    SERVER = "server"  # 5xx
    FORBIDDEN = "forbidden"  # 401, 403, 407 without a notice
    CAPTCHA = "captcha"
    LOGIN_WALL = "login_wall"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    REDIRECTS = "redirects"
    EMPTY = "empty"
    UNREADABLE = "unreadable"  # answered, but in a form that no rule knows


class Via(StrEnum):
    """How a subject was seen. A list and a single answer are different facts."""

    DIRECT = "direct"
    TIMELINE = "timeline"
    IMPORT = "import"  # a peer's record


class Strength(StrEnum):
    """How much one "gone" answer says.

    STRONG: a notice in the place where the platform puts it, or a signed event.
    WEAK: a bare status or a soft "not found", which false 404 bursts and lagging replicas produce
    as well; it needs more looks, further apart, before a verdict.
    """

    STRONG = "strong"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as an interval: `low` ≤ true value ≤ `high` (None: open above)."""

    low: int
    high: int | None = None

    @classmethod
    def exact(cls, n: int) -> Count:
        return cls(n, n)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a platform shows beside a post; None where it shows nothing."""

    views: Count | None = None
    likes: Count | None = None
    reposts: Count | None = None
    comments: Count | None = None


NO_COUNTS = Counts()


@dataclass(frozen=True, slots=True)
class Account:
    """A watched public account, channel, room, feed or page.

    `key` is the pseudonym (see `archive.pseudonyms`) and the only name that leaves the present.
    """

    key: str
    platform: str
    native_id: str
    name: str = ""
    url: str = ""
    added_at: Micros = 0


@dataclass(frozen=True, slots=True)
class Post:
    """One item of an account. `key` is its pseudonym, `account` the account's."""

    key: str
    account: str
    platform: str
    native_id: str
    url: str
    published_at: Micros | None = None  # as the platform claims; may be wrong or in our future
    first_seen_at: Micros = 0
    repeats: str | None = None  # native id of the post that this one repeats
    version: str = ""  # hash of the latest version that we know ("" if none)


@dataclass(frozen=True, slots=True)
class Version:
    """The wording of a post as it stood at one sight. `hash` is over title and text."""

    hash: str
    title: str = ""
    text: str = ""
    media: tuple[str, ...] = ()  # urls


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a post as its bytes came once.

    `place` is its place among the post's media, from 0; `address` the pseudonym of where it was
    asked for. `sha256` names its bytes exactly. `hash` names what is seen, by the named `method`:
    hashes of copies differ in few bits. Both are "" where there was nothing to make it with, or
    the bytes could not be decoded. Below a `quality` of 50 (of 100) it is too plain to compare.
    """

    post: str
    seen_at: Micros
    place: int
    address: str
    sha256: str
    size: int  # bytes
    form: str  # "jpeg", "png", ... by its bytes, whatever the answer's headers say
    method: str = ""
    hash: str = ""  # hexadecimal
    quality: int | None = None
    capture: str = ""  # leaf of the log that proves the bytes, "" where none is kept


def version_hash(title: str, text: str) -> str:
    """`Version.hash` of this wording: SHA-256, hexadecimal; what is no Unicode counts as "?"."""
    return hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Signal:
    """What an answer said, read but not yet judged.

    `causes` is the set of causes that this answer leaves open ({UNKNOWN}: all of them); it is
    empty unless `kind` is GONE or MOVED. `rule` names the notice rule with its version, such as
    "wechat/violation@2018-04"; `words` is the notice as shown (at most 200 characters).
    """

    kind: Kind
    causes: frozenset[Cause] = frozenset()
    rule: str = ""
    strength: Strength = Strength.STRONG
    fault: Fault | None = None
    status: int | None = None  # HTTP status, where there was one
    words: str = ""
    by: str = ""  # visible actor as the platform names it, in a pseudonym or role ("moderator")
    account_level: bool = False  # the notice speaks of the account, not of the post

    def __post_init__(self) -> None:
        if self.gone != bool(self.causes):
            raise ValueError(f"a signal of kind {self.kind} with causes {set(self.causes) or '{}'}")
        if (self.kind is Kind.ERROR) != (self.fault is not None):
            raise ValueError("a fault belongs to signals of kind error, and to those only")

    @property
    def gone(self) -> bool:
        """Whether it says that its subject is no longer where it was: gone, or moved."""
        return self.kind in (Kind.GONE, Kind.MOVED)


ALIVE = Signal(Kind.ALIVE)
ABSENT = Signal(Kind.ABSENT)


def failed(fault: Fault, *, status: int | None = None, words: str = "") -> Signal:
    """The signal of a look that failed."""
    return Signal(Kind.ERROR, fault=fault, status=status, words=words[:200])


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a post or an account, or an unbroken run of looks that all answered the same.

    Nothing else was observed of the subject between the first and the last look of a run, so a
    run can stand for its looks in every judgement. For a single look `last_asked_at == asked_at`
    and `last_answered_at == answered_at`.
    """

    subject: str  # key of a post or an account
    asked_at: Micros  # start of the (first) request
    answered_at: Micros  # end of the (first) answer
    signal: Signal
    via: Via = Via.DIRECT
    vantage: str = "here"
    version: str = ""  # hash of the wording seen, "" if none was
    counts: Counts = NO_COUNTS
    capture: str = ""  # leaf of the log that proves the first look's bytes, "" where none is kept
    last_asked_at: Micros = -1
    last_answered_at: Micros = -1
    looks: int = 1

    def __post_init__(self) -> None:
        if self.last_asked_at < 0:
            object.__setattr__(self, "last_asked_at", self.asked_at)
        if self.last_answered_at < 0:
            object.__setattr__(self, "last_answered_at", self.answered_at)
        if not (
            self.asked_at <= self.answered_at
            and self.asked_at <= self.last_asked_at <= self.last_answered_at
        ):
            raise ValueError(f"observation of {self.subject}: its times are out of order")

    def says(self) -> tuple[object, ...]:
        """What was seen, without when or its proof: equal for looks that may share a run."""
        return (self.signal, self.via, self.vantage, self.version, self.counts)

    def extended(self, later: Observation) -> Observation:
        """This run with `later` at its end; the caller has checked that `says()` agree."""
        return replace(
            self,
            last_asked_at=later.last_asked_at,
            last_answered_at=later.last_answered_at,
            looks=self.looks + later.looks,
        )


class State(StrEnum):
    """What became of a subject, as far as the facts say."""

    UNKNOWN = "unknown"  # never answered definitely
    ALIVE = "alive"
    SUSPECTED = "suspected"  # seen gone, not yet confirmed
    GONE = "gone"
    MOVED = "moved"
    RETURNED = "returned"  # was gone by verdict, is alive again
    FLICKERING = "flickering"  # answers alternate; neither is believed


ENDED = (State.GONE, State.MOVED)
"""States of a subject that is no longer asked but for its return."""


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Interval:
    """When a subject was lost: after `last_alive_at`, by `first_gone_at` (both outer, safe ends).

    `last_alive_at` is before the start of the last request that proved it alive, by the age that a
    stale copy may have; None if it never was proven alive to us. `first_gone_at` is the end of the
    first answer that said gone and cannot belong to a burst of false ones.
    """

    last_alive_at: Micros | None
    first_gone_at: Micros


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened to a subject: derived, never a fact, and derivable again."""

    subject: str
    state: State
    causes: frozenset[Cause] = frozenset()
    interval: Interval | None = None
    confidence: Confidence = Confidence.LOW
    rules: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    explained_by: str | None = None  # key of the account whose loss explains this post's
    words: str = ""  # the notice that decided
    looks: int = 0  # definite looks that the verdict rests on
    method: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A post as a source met it: who it is, how it read, and what that answer proves.

    `observation` is None where the list only names the post (a feed's link): being listed proves
    nothing about the post itself.
    """

    post: Post
    observation: Observation | None = None
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """One reading of an account's list.

    `observation` is about the account itself. `cursor` is opaque to all but the source and is
    handed back at the next reading. An empty or failed list discovers nothing and loses nothing.
    `complete_since` is set only where the list claims to hold every post published since then: a
    known later post that it lacks is asked for directly at once (its absence proves nothing).
    `sole` says that the account is its one post, such as a page: the post's own dates then suffice.
    """

    observation: Observation
    sightings: tuple[Sighting, ...] = ()
    complete_since: Micros | None = None
    cursor: str = ""
    sole: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """One answer about one post, to a question about that post."""

    observation: Observation
    version: Version | None = None
