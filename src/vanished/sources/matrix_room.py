"""A Matrix room as a whole: how far it was read, its new pages, and what became of it.

In: an `Asker`, a room, and the `Mark` that a cursor holds. Out: pages of events, and the signal of
the room. What single events say is the business of `matrix_api`, of posts that of `matrix`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from vanished.model import ALIVE, Fault, Kind, Signal, failed
from vanished.net.exchange import Exchange
from vanished.sources import matrix_api as api
from vanished.sources.matrix_api import Asker, Page

MOST_PAGES = 10  # of one reading; what is left over comes with the next
MOST_KEPT = 300  # changed events, and edits, that the cursor remembers

ROOM = re.compile(r"![!-9;-~]+:[!-.0-~]+|![A-Za-z0-9_-]{43}")  # room version 12 names no server


@dataclass(slots=True)
class Mark:
    """How far a room was read: what the cursor holds, as JSON."""

    room: str = ""
    at: str = ""  # pagination token after the last event read; "" before the first reading
    since: int = 0  # date of the oldest event of the first reading, milliseconds
    moved: str = ""  # words of the tombstone
    ask: dict[str, bool] = field(default_factory=dict)  # changed events to ask for; a set in order
    edits: dict[str, str] = field(default_factory=dict)  # edit -> what it edits

    @classmethod
    def load(cls, cursor: str) -> Mark:
        """The mark in `cursor`; a cursor of another version means a first reading."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (ValueError, TypeError):
            return cls()

    def dump(self) -> str:
        ask = dict(list(self.ask.items())[-MOST_KEPT:])
        edits = dict(list(self.edits.items())[-MOST_KEPT:])
        return json.dumps(asdict(replace(self, ask=ask, edits=edits)), separators=(",", ":"))


# -- reading a room --------------------------------------------------------------------------


async def read(ask: Asker, mark: Mark) -> tuple[list[Page], Exchange | None]:
    """The pages that are new, oldest first, and the refusal that ended the reading, if any.

    Moves `mark.at` past what was read. A first reading that breaks off counts for nothing, since
    its pages come newest first and the cursor could not say what is missing.
    """
    first, at = not mark.at, mark.at
    now = await api.position(ask)
    if isinstance(now, Exchange):
        return [], now
    pages: list[Page] = []
    while len(pages) < MOST_PAGES:
        page = await api.read_page(ask, mark.room, "b" if first else "f", at)
        if isinstance(page, Exchange):
            mark.at = "" if first else at
            return ([] if first else pages), page
        pages.append(page)
        if not page.end or page.end == at:
            break
        at = page.end
    else:
        now = now if first else at
    mark.at = now
    return (pages[::-1] if first else pages), None


async def resolve(ask: Asker, alias: str) -> str | Signal:
    """The room id of an alias, or the failed look. An alias that leads nowhere may be a typo."""
    exchange = await ask.get(api.alias_path(alias))
    answer = api.json_of(exchange)
    room = answer.get("room_id")
    if exchange.status == 200 and isinstance(room, str) and ROOM.fullmatch(room):
        return room
    if exchange.status == 404 and answer.get("errcode") == "M_NOT_FOUND":
        words = "no room answers to this alias; see whether it is spelt right"
        return failed(Fault.UNREADABLE, status=404, words=words)
    return ask.failed(exchange)


async def enter(ask: Asker, room: str) -> Signal | None:
    """Join; None if that worked, else the failed look. Everybody in the room sees a join."""
    exchange = await ask.post(api.join_path(room))
    return None if exchange.status == 200 else ask.failed(exchange)


# -- what became of a room ---------------------------------------------------------------------


async def standing(
    ask: Asker,
    mark: Mark,
    alias: str,
    pages: Sequence[Page],
    refusal: Exchange | None,
    *,
    known: bool,
) -> Signal:
    """What one reading says of the room. `known`: it could be read before."""
    if refusal is None:
        if any(api.shown_inside(event) for page in pages for event in page.events):
            return ALIVE
        return await room_now(ask, mark.room, alias, refused=False, known=known)
    if refusal.fault is None and refusal.status == 403:
        signal = await room_now(ask, mark.room, alias, refused=True, known=known)
        return ask.failed(refusal) if signal.kind is Kind.ALIVE else signal
    code = api.json_of(refusal).get("errcode")
    if known and refusal.status == 404 and code == "M_NOT_FOUND":
        return api.rule("messages.errcode", "M_NOT_FOUND", status=404)
    return ask.failed(refusal)


async def room_now(ask: Asker, room: str, alias: str, *, refused: bool, known: bool) -> Signal:
    """Whether a room is still there for others when it is silent, or `refused`, to us.

    An observer who was thrown out is refused like one whose room was taken away. The summary
    tells the two apart: it knows the room as long as anybody on the server is in it.
    """
    summary = await ask.get(api.summary_path(room))
    if summary.fault is not None:
        return ask.failed(summary)
    answer = api.json_of(summary)
    if summary.status == 200:
        membership = answer.get("membership", None if refused else "join")
        if membership == "join" or answer.get("world_readable") is True:
            return ALIVE
    left = api.matched("summary.error", api.text_of(answer.get("error")))
    told = summary.status == 200 or left is not None or answer.get("errcode") == "M_NOT_FOUND"
    if not told and not refused:
        return ALIVE  # a server that has no summaries
    probe = await ask.get(f"{api.room_path(room)}/initialSync", limit=1)
    said = api.text_of(api.json_of(probe).get("error"))
    blocked = api.matched("error", said) if probe.status == 403 else None
    if blocked is not None:
        return replace(blocked, status=403)
    if known and summary.status != 200:
        replaced = await _replaced(ask, room, alias) if alias else None
        if replaced is not None:
            return replaced
        if left is not None:
            return replace(left, status=summary.status)
    return failed(
        Fault.FORBIDDEN,
        status=403,
        words="the observer is not in the room; enter it with the observer's account, or write"
        " join = true in [sources.matrix]",
    )


async def _replaced(ask: Asker, room: str, alias: str) -> Signal | None:
    """The notice of a shutdown, if the lost room's alias now leads to a room that was made so."""
    other = api.text_of(api.json_of(await ask.get(api.alias_path(alias))).get("room_id"))
    if not other or other == room:
        return None
    levels = api.json_of(await ask.get(f"{api.room_path(other)}/state/m.room.power_levels/"))
    least = levels.get("users_default")
    if not isinstance(least, int) or least >= 0:
        return None
    page = await api.read_page(ask, other, "b", "")
    events = () if isinstance(page, Exchange) else page.events
    texts = [
        api.text_of(api.table_of(event.get("content")).get("body")) for event in reversed(events)
    ]
    for text in texts:
        notice = api.matched("alias.message", text)
        if notice is not None:
            return notice
    return api.rule("alias.users_default", "negative", words=texts[0] if texts else "")
