"""Which looks leave evidence: first sights, changed wordings, notices, returns; and what it says.

Pure bookkeeping between a look and the archive: it says what a look shows that no capture shows
yet, and gathers what the bytes of one answer are evidence of. A look that says what is known
already leaves nothing, so that unchanged posts cost no bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vanished.archive.capture.manifest import Subject
from vanished.archive.rows import AccountRow, Evidence, PostRow, Row
from vanished.model import Count, Kind, Micros, Observation, Post, Version, Via
from vanished.net.exchange import Exchange
from vanished.watch.absorb import digest

FIRST: Final = "first"
VERSION: Final = "version"
NOTICE: Final = "notice"
RETURNED: Final = "returned"
PICTURE: Final = "picture"
IMPORT: Final = "import"
"""Why bytes are kept; `Subject.what`."""
NOWHERE: Final = "import"
"""The vantage of what we have not seen ourselves."""


def worth(row: Row, seen: Observation, version: Version | None) -> str | None:
    """Why the bytes of this look should be kept, before it is entered; None if they need not be.

    A list proves a first sight, but shows other posts as well and goes when one of those is
    forgotten; so a post's first answer of its own is kept too.
    """
    track = row.track
    if seen.signal.gone:
        return NOTICE if digest(seen) != track.said else None
    if seen.signal.kind is not Kind.ALIVE:
        return None
    if track.gone_looks:
        return RETURNED
    if isinstance(row, AccountRow):
        return None
    if version is not None and version.hash != row.post.version:
        return VERSION if row.post.version else FIRST
    return FIRST if seen.via is Via.DIRECT and not track.proven else None


@dataclass(slots=True)
class Gathering:
    """What the exchanges of one answer turn out to show. `next_index` gives a free leaf."""

    exchanges: Sequence[Exchange]
    next_index: Callable[[], int]
    source: Mapping[str, str] = field(default_factory=dict)  # of a peer's record: whose, which file
    index: int | None = None
    subjects: list[Subject] = field(default_factory=list)
    facts: list[dict[str, object]] = field(default_factory=list)
    beside: frozenset[str] = frozenset()  # whom the bytes show, with news of them or without
    whole: bool = False  # see `Evidence.whole`
    withheld: bool = False  # they show somebody who was forgotten: only the facts are kept

    def keep(
        self, row: Row, what: str, seen: Observation | None, version: Version | None, at: Micros
    ) -> int:
        """Note that the bytes are to be kept for `row`; the leaf that they will be."""
        if self.index is None:
            self.index = self.next_index()
        self.subjects.append(Subject(row.subject, what, at))
        self.facts.append(_facts(row, what, seen, version, at))
        return self.index

    def weigh(self, row: Row, seen: Observation, version: Version | None) -> Observation:
        """`seen`, with the capture that holds its bytes if they are worth keeping."""
        if not self.exchanges:
            return seen
        self.beside |= {row.subject}  # the answer to a batch shows all of it, news or not
        what = worth(row, seen, version)
        if what is None:
            return seen
        if seen.via is Via.DIRECT:
            row.track.proven = True
        index = self.keep(row, what, seen, version, seen.answered_at)
        return replace(seen, capture=str(index))

    def finish(self, at: Micros) -> Evidence | None:
        """The evidence, or None if nothing was worth keeping."""
        if self.index is None:
            return None
        facts: dict[str, object] = {**self.source, "subjects": self.facts}
        if self.withheld:
            facts["left_out"] = "the bytes show a post that was forgotten"
        return Evidence(
            self.index,
            at,
            self.exchanges[-1].vantage if self.exchanges else NOWHERE,
            tuple(self.subjects),
            facts,
            () if self.withheld else tuple(self.exchanges),
            self.beside,
            self.whole,
        )


def _facts(
    row: Row, what: str, seen: Observation | None, version: Version | None, at: Micros
) -> dict[str, object]:
    facts: dict[str, object] = {"what": what, "seen_at": at}
    facts |= _post(row.post) if isinstance(row, PostRow) else _account(row)
    if seen is not None:
        facts |= {"via": seen.via.value, "signal": _signal(seen), "counts": _counts(seen)}
        facts |= {"asked_at": seen.asked_at, "answered_at": seen.answered_at}
    if version is not None:
        facts["wording"] = {
            "hash": version.hash,
            "title": version.title,
            "text": version.text,
            "media": list(version.media),
        }
    return facts


def _account(row: AccountRow) -> dict[str, object]:
    account = row.account
    return {
        "noun": "account",
        "key": account.key,
        "platform": account.platform,
        "native_id": account.native_id,
        "name": account.name,
        "url": account.url,
    }


def _post(post: Post) -> dict[str, object]:
    return {
        "noun": "post",
        "key": post.key,
        "account": post.account,
        "platform": post.platform,
        "native_id": post.native_id,
        "url": post.url,
        "published_at": post.published_at,
        "repeats": post.repeats,
    }


def _signal(seen: Observation) -> dict[str, object]:
    signal = seen.signal
    return {
        "kind": signal.kind.value,
        "causes": sorted(cause.value for cause in signal.causes),
        "rule": signal.rule,
        "strength": signal.strength.value,
        "status": signal.status,
        "words": signal.words,
        "by": signal.by,
        "account_level": signal.account_level,
    }


def _counts(seen: Observation) -> dict[str, object]:
    names = ("views", "likes", "reposts", "comments")
    found: dict[str, object] = {}
    for name in names:
        count: Count | None = getattr(seen.counts, name)
        if count is not None:
            found[name] = [count.low, count.high]
    return found
