"""The rows of the present: an account or a post together with how we are tracking it.

Mutable on purpose and shared by nobody: the watch loop owns a row from the moment it takes a
subject until the commit that keeps what was learnt (one writer, one thread).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vanished.archive.capture.manifest import Subject
from vanished.archive.columns import Coverage, Judgement, Wording
from vanished.archive.measured import Measured
from vanished.model import Account, Micros, Observation, Picture, Post, State
from vanished.net.address import host_of
from vanished.net.exchange import Exchange

__all__ = [
    "NO_PICTURES",
    "AccountRow",
    "Change",
    "Entry",
    "Evidence",
    "PictureSet",
    "PostRow",
    "Row",
    "Scheduled",
    "Silence",
    "StreamPlace",
    "Track",
    "host_of",
]


@dataclass(slots=True)
class Track:
    """What the schedule and the judge need to know of a subject without reading the past.

    The alive looks before a first "gone" answer are kept as one run (first, last, how many):
    nothing else was observed between them, so the judge sees what the journal would show it.
    """

    due: Micros = 0
    state: State = State.UNKNOWN
    first_alive_at: Micros | None = None
    first_alive_answered_at: Micros | None = None
    last_alive_at: Micros | None = None  # start of the last request that proved it alive
    last_alive_answered_at: Micros | None = None
    alive_looks: int = 0
    gone_looks: int = 0  # since the last alive answer
    failures: int = 0  # failed looks in a row
    absent: bool = False  # missing from the list when that was last read
    said: int = 0  # digest of what the last look said
    last_asked_at: Micros = 0
    run: int | None = None  # row of the tail that holds the run of the last look
    has_case: bool = False  # a definite answer other than "alive" was seen once
    proven: bool = False  # an answer of its own, not only a list's, is kept as a capture


@dataclass(slots=True)
class AccountRow:
    id: int
    account: Account
    cursor: str
    track: Track
    watched: bool = True  # False: known from an import only

    @property
    def subject(self) -> str:
        return self.account.key


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Which pictures of a post were fetched last, and which of them are still to be.

    `name` is the pseudonym of all their addresses together; `awaited` has places and addresses.
    """

    name: str = ""
    awaited: tuple[tuple[int, str], ...] = ()


NO_PICTURES = PictureSet()


@dataclass(slots=True)
class PostRow:
    id: int
    post: Post
    account_id: int
    track: Track
    host: str = ""  # of the post's url: whose budget a question about it spends
    pictures: PictureSet = NO_PICTURES  # as the last commit that touched it left it

    def __post_init__(self) -> None:
        self.host = self.host or host_of(self.post.url)

    @property
    def subject(self) -> str:
        return self.post.key


Row = AccountRow | PostRow


@dataclass(frozen=True, slots=True)
class Scheduled:
    """All posts that are scheduled, as columns. Times are in microseconds."""

    ids: npt.NDArray[np.int64]
    hosts: npt.NDArray[np.int32]
    due: npt.NDArray[np.int64]
    born: npt.NDArray[np.int64]  # claimed publication, else first sight
    last: npt.NDArray[np.int64]  # start of the last request that proved it alive, else first sight
    account: npt.NDArray[np.int64]
    platform: npt.NDArray[np.int32]  # its place in `platforms`
    failures: npt.NDArray[np.int64]
    plain: npt.NDArray[np.bool_]  # nothing but "alive" was ever said, or is said now
    platforms: tuple[str, ...]

    def numbered(
        self, number: Callable[[str, int], int], rows: npt.NDArray[np.int64] | slice = slice(None)
    ) -> npt.NDArray[np.int64]:
        """Of these rows: what `number(platform, host)` calls the two, asked once for each pair."""
        keys = self.platform[rows].astype(np.int64) << 32 | self.hosts[rows]
        each, at = np.unique(keys, return_inverse=True)
        found = [number(self.platforms[key >> 32], key & 0xFFFFFFFF) for key in each.tolist()]
        return np.array(found, dtype=np.int64)[at]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that changed, with the look that changed it; `row` already carries the new state.

    `run` is the row of the tail that holds the look: an old one that it extends, since it says the
    same as the look before it, or a new one.
    """

    row: Row
    observation: Observation | None = None
    extends: bool = False
    case: tuple[Observation, ...] | None = None  # the definite facts, when there is a case
    run: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look, list reading or import leaves to be kept and proven, as leaf `index`.

    `facts` say what was read from the bytes, with native ids and words; they are kept only with
    the bytes. `beside` are the keys of others that the bytes show without news of them: who is
    forgotten takes these bytes along.
    """

    index: int
    at: Micros
    vantage: str
    subjects: tuple[Subject, ...]
    facts: Mapping[str, object]
    exchanges: tuple[Exchange, ...] = ()  # none: a peer's record, which is all in the facts
    beside: frozenset[str] = frozenset()
    whole: bool = False  # hold all bytes, also those that a capture of another subject has


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """How far a stream of changes was read: message `seq` of the one at `address`, by `at`."""

    address: str
    seq: int
    at: Micros


@dataclass(frozen=True, slots=True)
class Silence:
    """An origin (scheme, host, port) that gave no answer from `vantage`, `failures` times in a row.

    `failures` 0: it answered again, and there is nothing to test.
    """

    origin: str
    vantage: str
    since: Micros  # of the first of these failures
    last_at: Micros
    failures: int


@dataclass(slots=True)
class Entry:
    """What one commit keeps, all or nothing; in order of arrival. The commit uses it up."""

    changes: list[Change] = field(default_factory=list)
    new_accounts: list[AccountRow] = field(default_factory=list)
    new_posts: list[PostRow] = field(default_factory=list)
    versions: list[Wording] = field(default_factory=list)
    verdicts: dict[str, Judgement] = field(default_factory=dict)
    coverage: list[Coverage] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    record: Sequence[Evidence] = ()  # a peer's, after `evidence`; each is asked for once, in order
    pictures: list[Picture] = field(default_factory=list)
    picture_sets: dict[str, PictureSet] = field(default_factory=dict)  # by post
    streams: dict[str, StreamPlace] = field(default_factory=dict)  # by platform
    measurements: list[Measured] = field(default_factory=list)
    silences: dict[tuple[str, str], Silence] = field(default_factory=dict)  # by origin and vantage
    session: Micros | None = None  # a watch begins to look: what came before is in `coverage`

    def clear(self) -> None:
        """Let go of what it held."""
        for each in (self.changes, self.new_accounts, self.new_posts, self.versions):
            each.clear()
        self.verdicts.clear()
        self.evidence.clear()
        self.record = ()
