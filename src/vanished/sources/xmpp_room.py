"""Questions to one room, and how far it was read.

In: an open visit, a room, and what is known of it. Out: the messages that are new, single messages,
the announcements that speak of given ones, and what the room's answers say of the room itself.
What a message means for a post is the business of `sources/xmpp.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from vanished.model import ALIVE, SECOND, Fault, Micros, Signal, failed
from vanished.sources.notice import load_pack
from vanished.sources.xmpp_archive import (
    About,
    Page,
    Query,
    Stored,
    after,
    ask,
    before,
    enter,
    query,
)
from vanished.sources.xmpp_session import Ended, Visit

MOST_PAGES = 10  # of one reading; what is left over comes with the next
SEARCHED = 4  # pages, from the newest back, that a look searches for a known retraction
OVERLAP: Micros = 10 * SECOND  # read again each time: a server's clock may be set back a little
MOST_KEPT = 200  # messages whose authors' own ids the cursor remembers, to know corrections
AT_ONCE = 20  # questions of one request

_SHUT = frozenset(
    {"forbidden", "not-allowed", "not-authorized", "registration-required", "not-acceptable"}
)
_NAMES = re.compile(r"(?:xmpp:)?[^\s@<>\"']+@[^\s<>\"']+")


@dataclass(slots=True)
class Mark:
    """How far a room was read: what the cursor holds, as JSON."""

    known: bool = False  # whether the archive could ever be read
    at: Micros = 0  # of the last message read
    since: Micros = 0  # of the oldest message of the first reading
    own: dict[str, tuple[str, Micros]] = field(default_factory=dict)
    """(author, the author's own id), as `mark_of` has it -> stanza-id and time."""

    @classmethod
    def load(cls, cursor: str) -> Mark:
        """The mark in `cursor`; a cursor of another version means a first reading."""
        try:
            mark = cls(**json.loads(cursor)) if cursor else cls()
            mark.own = {key: (str(ident), int(at)) for key, (ident, at) in mark.own.items()}
        except (ValueError, TypeError, AttributeError):
            return cls()
        return mark

    def dump(self) -> str:
        own = dict(list(self.own.items())[-MOST_KEPT:])
        return json.dumps(asdict(replace(self, own=own)), separators=(",", ":"))


# -- asking ---------------------------------------------------------------------------------------


async def ask_room(visit: Visit, room: str, queries: Sequence[Query]) -> tuple[list[Page], About]:
    """The room's word about itself and the answers to `queries`. Raises Ended.

    Where the archive is shut to strangers and the observer may enter, it enters and asks again;
    only a room that says it is there, since entering another one would make it.
    """
    pages, about = await ask(visit, room, queries, about=True)
    if visit.observer.nick and not about.error and pages[0].error in _SHUT:
        shut = await enter(visit, room)
        if shut is not None:
            raise Ended(replace(shut, words=masked(shut.words)))
        pages, _ = await ask(visit, room, [query.again() for query in queries])
    return pages, about


async def read_new(visit: Visit, room: str, mark: Mark) -> tuple[list[Stored], About, Signal]:
    """The messages that are new, oldest first, and what the answers say of the room.

    Moves `mark.at` past what was read. It is read on by time, not from the last message, which may
    itself be gone by now.
    """
    first = not mark.known
    since = None if first else max(0, mark.at - OVERLAP)
    asked = query(room, since=since, rsm=before("") if first else "")
    (page,), about = await ask_room(visit, room, [asked])
    signal = standing(about, page, known=mark.known)
    pages = [page]
    while signal == ALIVE and not page.complete and len(pages) < MOST_PAGES:
        edge = page.first if first else page.last
        if not edge:
            break
        asked = query(room, since=since, rsm=before(edge) if first else after(edge))
        (page,), _ = await ask(visit, room, [asked])
        if page.error:
            break  # the message at the edge is gone; what was read counts
        _whole(page)
        pages.append(page)
    messages = [one for page in (pages[::-1] if first else pages) for one in page.messages]
    mark.at = max([mark.at, *(one.stamp for one in messages)])
    return messages, about, signal


async def singles(
    visit: Visit, room: str, wanted: Sequence[tuple[str, Micros | None]], *, extended: bool
) -> list[Page]:
    """A page for each of `wanted` (stanza-id, time), which holds that message if it is there.

    An archive that takes no stanza-ids (without `urn:xmpp:mam:2#extended`) is asked by time; then
    what no time is known of has a page with an error. Raises Ended.
    """
    asked: list[Query] = []
    for ident, stamp in wanted:
        if extended:
            asked.append(query(room, idents=[ident], most=2))
        elif stamp is not None:
            asked.append(query(room, since=stamp, until=stamp + SECOND))
    pages: list[Page] = []
    for start in range(0, len(asked), AT_ONCE):
        pages += (await ask(visit, room, asked[start : start + AT_ONCE]))[0]
    answered = iter(pages)
    nothing = Page(error="feature-not-implemented")
    return [next(answered) if extended or stamp is not None else nothing for _, stamp in wanted]


async def announcements(
    visit: Visit, room: str, wanted: Sequence[Stored], *, extended: bool
) -> dict[str, Stored]:
    """The messages that take those of `wanted` back or away, by the stanza-ids of the latter.

    Searched in the newest pages and right behind each message, privately, since most of what
    comes is of others; what is found is then asked for by itself.
    """
    if not wanted:
        return {}
    found: dict[str, Stored] = {}
    rsm = before("")
    for _ in range(SEARCHED):
        (page,), _about = await ask(visit, room, [query(room, rsm=rsm)], private=True)
        found |= _speaking_of(wanted, page)
        if page.error or page.complete or not page.first or len(found) == len(wanted):
            break
        rsm = before(page.first)
    behind = [query(room, since=one.stamp) for one in wanted if one.ident not in found][:AT_ONCE]
    for page in (await ask(visit, room, behind, private=True))[0] if behind else ():
        found |= _speaking_of(wanted, page)
    proof = [(one.ident, one.stamp) for one in found.values()]
    shown = {
        one.ident: one
        for page in await singles(visit, room, proof, extended=extended)
        for one in page.messages
    }
    return {target: shown[one.ident] for target, one in found.items() if one.ident in shown}


def _speaking_of(wanted: Sequence[Stored], page: Page) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for speaking in page.messages:
        removal = speaking.removes
        if removal is None:
            continue
        for one in wanted:
            own = removal.target == one.own_id and one.author == (removal.by or removal.nick)
            if removal.target == one.ident or own:
                found[one.ident] = speaking
    return found


# -- what became of a room ------------------------------------------------------------------------


def standing(about: About, page: Page, *, known: bool) -> Signal:
    """What a room's word about itself and one answer of its archive say together.

    `known`: its archive could be read before; an address that leads nowhere may be a typo.
    Raises Ended for an answer that is not whole.
    """
    _whole(page)
    said = about.error
    if said == "gone" and known:
        place = "gone-elsewhere" if about.venue else "gone"
        return rule("room", place, words=about.words)
    if said == "item-not-found" and page.error == said and known:
        return rule("room", said, words=about.words)
    if said in ("gone", "item-not-found") and not known:
        words = "no such room; see whether its address is right"
        return failed(Fault.UNREADABLE, words=words)
    if page.error:
        return refusal(page.error, page.words)
    if said and not page.messages:
        return refusal(said, about.words)
    return ALIVE


def refusal(error: str, words: str) -> Signal:
    """The failed look of an error that is no notice."""
    known = load_pack("xmpp").match_field("stanza", error)
    said = masked(f"the room's server says {error} {words}")
    signal = failed(Fault.UNREADABLE) if known is None else known
    return replace(signal, words=said)


def rule(place: str, text: str, *, words: str = "") -> Signal:
    """The signal of a rule that is in the pack."""
    signal = load_pack("xmpp").match_field(place, text)
    assert signal is not None, f"notices/xmpp.toml has no rule for {text} at field:{place}"
    return replace(signal, words=masked(words))


def masked(words: str) -> str:
    """At most 200 characters of one line, without the addresses of people and rooms."""
    return " ".join(_NAMES.sub("…", words).split())[:200]


def _whole(page: Page) -> None:
    if not page.whole:
        raise Ended(failed(Fault.TRUNCATED, words="the archive's answer lacks what it names"))
