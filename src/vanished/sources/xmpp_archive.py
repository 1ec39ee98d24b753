"""A room's archive (XEP-0313): how to ask for it, and what one stored message is.

In: an open visit, a room, and what is wanted. Out: stored messages as they stand in the archive
now, with the room's own word about itself. Decides nothing about what a loss is; that is for
`sources/xmpp.py` and `notices/xmpp.toml`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from vanished.model import SECOND, Fault, Micros, Signal, at, failed
from vanished.sources import xmpp_xml as xml
from vanished.sources.answer import moment
from vanished.sources.xmpp_session import Visit, answers, replies
from vanished.sources.xmpp_xml import Element, attribute, condition, first, of_any, text_at

PAGE = 50  # messages of one answer; Prosody gives no more


# -- a stored message ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Removal:
    """What somebody said about an earlier message: take it back, or away."""

    target: str  # the stanza-id that it speaks of; with older clients the message's own id
    by: str  # occupant id of whoever did it, "" if the room shows none
    nick: str  # the room's address of whoever did it
    reason: str
    moderated: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as the archive has it."""

    ident: str  # its stanza-id
    stamp: Micros
    sender: str  # room/nick; just the room for what the room itself says
    occupant: str  # occupant id (XEP-0421), "" if the room shows none
    own_id: str  # as its sender's client called it
    body: str
    corrects: str = ""  # the own id of the message that this one replaces (XEP-0308)
    removes: Removal | None = None  # this message takes another one back or away
    removed: Removal | None = None  # this is what is left of a message (a tombstone)

    @property
    def author(self) -> str:
        """Who wrote it, for comparison: the occupant id, else the nick, which may change hands."""
        return self.occupant or self.sender


def stored(room: str, result: Element) -> Stored | None:
    """The message in one <result>; None for what is no message of this room."""
    forwarded = first(result, (xml.FORWARD, "forwarded"))
    message = first(forwarded, (xml.CLIENT, "message"))
    delay = first(forwarded, (xml.DELAY, "delay"))
    ident = result.get("id", "")
    stamp = moment(delay.get("stamp", "")) if delay is not None else None
    if message is None or stamp is None or not ident or len(ident) > 512:
        return None
    sender = message.get("from", "")
    if sender.partition("/")[0].lower() != room:
        return None
    body = text_at(message, (xml.CLIENT, "body"))
    removed = None if body else _tombstone(message)
    correct = first(message, (xml.CORRECT, "replace"))
    occupant = first(message, (xml.OCCUPANT, "occupant-id"))
    return Stored(
        ident,
        stamp,
        sender,
        "" if occupant is None else occupant.get("id", ""),
        message.get("id", ""),
        body,
        "" if correct is None else correct.get("id", ""),
        None if removed else _removal(message, room, sender),
        removed,
    )


def _tombstone(message: Element) -> Removal | None:
    """What a tombstone says: XEP-0425 0.2 and 0.3, or XEP-0424's alone."""
    retracted = of_any(message, xml.RETRACT, "retracted")
    moderated = of_any(message, xml.MODERATE, "moderated")
    if moderated is None and retracted is not None:
        moderated = of_any(retracted, xml.MODERATE, "moderated")
    if moderated is not None:
        parts = [part for part in (moderated, retracted, message) if part is not None]
        return _moderation("", moderated, parts)
    return None if retracted is None else Removal("", "", "", "", moderated=False)


def _removal(message: Element, room: str, sender: str) -> Removal | None:
    """A retraction by an occupant, or a moderation, which only the room itself can announce."""
    of_room = sender.lower() == room
    attached = first(message, (xml.FASTEN, "apply-to"))
    retract = of_any(message, xml.RETRACT, "retract")
    outer = attached if retract is None else retract
    if outer is None:
        return None
    target = outer.get("id", "")
    moderated = of_any(outer, xml.MODERATE, "moderated")
    inner = retract
    if inner is None and moderated is not None:
        inner = of_any(moderated, xml.RETRACT, "retract")
    if inner is None:
        inner = of_any(outer, xml.RETRACT, "retract")
    if inner is None or not target:
        return None
    if of_room and moderated is not None:
        return _moderation(target, moderated, [moderated, outer])
    if of_room or moderated is not None:
        return None
    occupant = first(message, (xml.OCCUPANT, "occupant-id"))
    by = "" if occupant is None else occupant.get("id", "")
    return Removal(target, by, sender, "", moderated=False)


def _moderation(target: str, moderated: Element, parts: Sequence[Element]) -> Removal:
    occupant = first(moderated, (xml.OCCUPANT, "occupant-id"))
    reasons = [
        text_at(part, (space, "reason"))
        for part in parts
        for space in (*xml.MODERATE, *xml.RETRACT, xml.CLIENT, xml.FASTEN)
    ]
    return Removal(
        target,
        "" if occupant is None else occupant.get("id", ""),
        moderated.get("by", ""),
        next(filter(None, reasons), ""),
        moderated=True,
    )


# -- asking ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """One question to the archive. `stanza` is the iq, `ident` its id and the query's."""

    stanza: str
    ident: str

    def again(self) -> Query:
        """The same question under another id."""
        ident = secrets.token_hex(8)
        return Query(self.stanza.replace(self.ident, ident), ident)


@dataclass(slots=True)
class Page:
    """The answer to a query: messages oldest first, or the error."""

    messages: list[Stored] = field(default_factory=list)
    complete: bool = False
    stable: bool = True
    first: str = ""  # archive ids between which the page lies
    last: str = ""
    error: str = ""
    words: str = ""
    whole: bool = True  # False: an answer on the way lost messages that it names


@dataclass(frozen=True, slots=True)
class About:
    """What a room says of itself."""

    error: str = ""
    words: str = ""
    venue: str = ""  # where a room that is gone is said to go on
    features: frozenset[str] = frozenset()


def query(
    room: str,
    *,
    since: Micros | None = None,
    until: Micros | None = None,
    idents: Sequence[str] = (),
    rsm: str = "",
    most: int = PAGE,
) -> Query:
    """A question for messages in a span of time, or of given stanza-ids. `rsm`: where to page."""
    ident = secrets.token_hex(8)
    fields = [_field("FORM_TYPE", [xml.MAM], " type='hidden'")]
    if since is not None:
        fields.append(_field("start", [_date(since)]))
    if until is not None:
        fields.append(_field("end", [_date(until)]))
    if idents:
        fields.append(_field("ids", idents))
    return Query(
        f"<iq xmlns='{xml.CLIENT}' type='set' id='{ident}' to='{attribute(room)}'>"
        f"<query xmlns='{xml.MAM}' queryid='{ident}'>"
        f"<x xmlns='{xml.FORM}' type='submit'>{''.join(fields)}</x>"
        f"<set xmlns='{xml.RSM}'><max>{most}</max>{rsm}</set></query></iq>",
        ident,
    )


def after(ident: str) -> str:
    return f"<after>{attribute(ident)}</after>"


def before(ident: str) -> str:
    """The page before `ident`; with "" the newest of all."""
    return f"<before>{attribute(ident)}</before>"


def _field(name: str, values: Sequence[str], more: str = "") -> str:
    inner = "".join(f"<value>{attribute(value)}</value>" for value in values)
    return f"<field var='{name}'{more}>{inner}</field>"


def _date(moment_: Micros) -> str:
    return at(moment_ // SECOND * SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")


async def ask(
    visit: Visit,
    room: str,
    queries: Sequence[Query],
    *,
    about: bool = False,
    private: bool = False,
) -> tuple[list[Page], About]:
    """The answers to `queries`, in their order; with `about` the room's word about itself, too.

    All go out in one request, so they are of one moment. Raises Ended.
    """
    idents = [each.ident for each in queries]
    stanzas = [each.stanza for each in queries]
    if about:
        idents.append(secrets.token_hex(8))
        stanzas.insert(
            0,
            f"<iq xmlns='{xml.CLIENT}' type='get' id='{idents[-1]}' to='{attribute(room)}'>"
            f"<query xmlns='{xml.DISCO}'/></iq>",
        )
    done = answers(*idents, sender=room)
    found = await visit.ask("".join(stanzas), done, private=private)
    by_id = {iq.get("id"): iq for iq in replies(found, room)}
    pages = [_page(room, each.ident, by_id[each.ident], found) for each in queries]
    return pages, _about(by_id[idents[-1]]) if about else About()


def _page(room: str, ident: str, iq: Element, found: Sequence[Element]) -> Page:
    if iq.get("type") == "error":
        error, words, _ = condition(iq)
        return Page(error=error or "undefined-condition", words=words)
    fin = first(iq, (xml.MAM, "fin"))
    if fin is None:
        return Page(error="undefined-condition", words="no end of the answer")
    results = [
        result
        for message in xml.kinds(list(found), "message")
        if message.get("from") == room
        for result in message.findall(f"{{{xml.MAM}}}result")
        if result.get("queryid") == ident
    ]
    held = {result.get("id") for result in results}
    ends = (
        text_at(fin, (xml.RSM, "set"), (xml.RSM, "first")),
        text_at(fin, (xml.RSM, "set"), (xml.RSM, "last")),
    )
    messages = [one for result in results if (one := stored(room, result)) is not None]
    return Page(
        messages,
        fin.get("complete") in ("true", "1"),
        fin.get("stable") not in ("false", "0"),
        *ends,
        whole=all(end in held for end in ends if end),
    )


def _about(iq: Element) -> About:
    if iq.get("type") == "error":
        error, words, venue = condition(iq)
        return About(error or "undefined-condition", words, venue)
    features = {f.get("var", "") for f in iq.iter(f"{{{xml.DISCO}}}feature")}
    return About(features=frozenset(features))


async def enter(visit: Visit, room: str) -> Signal | None:
    """Join the room; None if that worked, else the failed look. Everybody in the room sees it."""
    own = f"{room}/{visit.observer.nick}"
    stanza = (
        f"<presence xmlns='{xml.CLIENT}' to='{attribute(own)}'>"
        f"<x xmlns='{xml.MUC}'><history maxstanzas='0'/></x></presence>"
    )

    def said(found: Sequence[Element]) -> list[Element]:
        return [
            presence
            for presence in xml.kinds(list(found), "presence")
            if presence.get("from", "").partition("/")[0] == room
            and (presence.get("type") == "error" or "110" in _codes(presence))
        ]

    presence = said(await visit.ask(stanza, lambda found: bool(said(found))))[0]
    if presence.get("type") is None:
        return None
    error, words, _ = condition(presence)
    return failed(Fault.FORBIDDEN, words=f"the room does not let the observer in: {error} {words}")


def _codes(presence: Element) -> set[str]:
    x = first(presence, (xml.MUC_USER, "x"))
    return set() if x is None else {s.get("code", "") for s in x.iter(f"{{{xml.MUC_USER}}}status")}


def mark_of(author: str, own_id: str) -> str:
    """A short name for (author, message id), for a cursor: it names nobody."""
    return hashlib.blake2b(f"{author}\0{own_id}".encode(), digest_size=9).hexdigest()
