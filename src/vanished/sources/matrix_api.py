"""Questions to a Matrix homeserver, and what one answer says, without deciding what to ask next.

In: a `Fetch` and the parts of a question. Out: events, the signal and wording of one event, the
signal of a refusal. Client-server API v1.11; every answer is taken for hostile until it has the
form that is expected. Which questions are asked when is the business of `sources/matrix.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from vanished.model import ALIVE, Fault, Observation, Signal, Version, Via, failed, version_hash
from vanished.net.exchange import Exchange, Fetch
from vanished.net.login import Login
from vanished.sources.notice import load_pack

PAGE = 100  # events of one request; Synapse gives at most 1000

_CLIENT = "/_matrix/client/v3"
_FILTER = json.dumps({"types": ["m.room.message", "m.room.redaction", "m.room.tombstone"]})
_NOTHING = json.dumps(
    {"room": {"rooms": []}, "presence": {"types": []}, "account_data": {"types": []}}
)
_EVENT = re.compile(r"\$[!-~]{1,254}")
_NAMES = re.compile(r"[@#!][^\s:,]+:[^\s,]+|![A-Za-z0-9_-]{43}")
_YEAR_9999_MS = 253_370_764_800_000
_LOGIN_LOST = frozenset(
    {"M_MISSING_TOKEN", "M_UNKNOWN_TOKEN", "M_USER_DEACTIVATED", "M_USER_LOCKED"}
)
"""The observer's own access is gone, whatever is asked."""

Event = Mapping[str, Any]


# -- asking ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks one homeserver for one reading or look, and keeps what it answered, in order."""

    fetch: Fetch
    base: str
    token: str = field(repr=False)
    variable: str
    login: Login | None = field(default=None, repr=False)
    exchanges: list[Exchange] = field(default_factory=list)

    async def get(self, path: str, **query: str | int) -> Exchange:
        return await self._ask("GET", path + (f"?{urlencode(query)}" if query else ""), None)

    async def post(self, path: str) -> Exchange:
        return await self._ask("POST", path, b"{}")

    async def _ask(self, method: str, path: str, body: bytes | None) -> Exchange:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        exchange = await self.fetch.request(method, self.base + path, headers=headers, body=body)
        self.exchanges.append(exchange)
        if self.login is not None and exchange.status in (401, 403):
            code = text_of(json_of(exchange).get("errcode"))
            if code in _LOGIN_LOST:
                self.login.refused(self.token, exchange.answered_at, code)
        return exchange

    def failed(self, exchange: Exchange) -> Signal:
        """The failed look of an answer that is not what was asked for."""
        if exchange.fault is not None:
            return failed(exchange.fault, status=exchange.status, words=exchange.words)
        answer = json_of(exchange)
        code, said = text_of(answer.get("errcode")), text_of(answer.get("error"))
        words = f"{code}: {said}" if code else "the answer is not of a Matrix homeserver"
        if code in ("M_MISSING_TOKEN", "M_UNKNOWN_TOKEN"):
            given = "was not accepted" if self.token else "is missing or is for another server"
            words = f"{code}: the access token {given}; put it into {self.variable}"
        known = matched("errcode", code) if code else None
        if known is not None:
            return replace(known, status=exchange.status, words=masked(words))
        fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
        return failed(fault, status=exchange.status, words=masked(words))

    def seen(
        self, subject: str, signal: Signal, via: Via, version: Version | None = None
    ) -> Observation:
        """The look that all exchanges together are."""
        return observed(subject, self.exchanges[0], self.exchanges[-1], signal, via, version)


def observed(
    subject: str,
    first: Exchange,
    last: Exchange,
    signal: Signal,
    via: Via,
    version: Version | None,
) -> Observation:
    return Observation(
        subject,
        first.asked_at,
        last.answered_at,
        signal,
        via,
        last.vantage,
        version.hash if version else "",
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Events as one answer showed them, oldest first. `end` is "" where nothing lies beyond."""

    exchange: Exchange
    events: Sequence[Event]
    start: str = ""
    end: str = ""
    single: bool = False  # the answer to a question about just this event


async def position(ask: Asker) -> str | Exchange:
    """A token for "now" in the server's order of arrival, or the refusal.

    Tokens of /messages follow the room's own order, in which an event may come to lie far before
    others that we have read: one from a server that was cut off, or each redaction of Synapse's
    bulk redaction. A token of /sync used with /messages finds these, too. This call reads no room
    and leaves the observer offline.
    """
    exchange = await ask.get(f"{_CLIENT}/sync", filter=_NOTHING, timeout=0, set_presence="offline")
    token = text_of(json_of(exchange).get("next_batch"))
    return token if exchange.status == 200 and token else exchange


async def read_page(ask: Asker, room: str, direction: str, start: str) -> Page | Exchange:
    """One page from `start` ("": the newest) forward ("f") or back ("b"); else the refusal."""
    query: dict[str, str | int] = {"dir": direction, "limit": PAGE, "filter": _FILTER}
    if start:
        query["from"] = start
    exchange = await ask.get(f"{room_path(room)}/messages", **query)
    answer = json_of(exchange)
    chunk = answer.get("chunk")
    if exchange.status != 200 or not isinstance(chunk, list):
        return exchange
    events = [e for e in chunk if isinstance(e, dict) and ident_of(e.get("event_id"))]
    if direction == "b":
        events.reverse()
    return Page(exchange, events, text_of(answer.get("start")), text_of(answer.get("end")))


# -- reading events ----------------------------------------------------------------------------


def reading(event: Event) -> tuple[Signal, Version | None]:
    """What an event proves about the post that it is, and its latest wording."""
    unsigned, content = table_of(event.get("unsigned")), table_of(event.get("content"))
    because = table_of(unsigned.get("redacted_because"))
    if isinstance(because.get("sender"), str):
        own = because["sender"] == event.get("sender")
        reason = text_of(table_of(because.get("content")).get("reason"))
        said = rule("redacted_because.sender", "author" if own else "another", words=reason)
        return replace(said, by="author" if own else "moderator"), None
    if not content:
        return rule("content", "empty"), None
    newest = table_of(table_of(unsigned.get("m.relations")).get("m.replace"))
    replacement = table_of(table_of(newest.get("content")).get("m.new_content"))
    if replacement and newest.get("sender") == event.get("sender"):
        content = replacement
    text = text_of(content.get("body"))
    media = text_of(content.get("url")) or text_of(table_of(content.get("file")).get("url"))
    return ALIVE, Version(version_hash("", text), text=text, media=(media,) if media else ())


def edited(event: Event) -> str:
    """The id of the event that this one replaces, "" if it is no edit."""
    relation = table_of(table_of(event.get("content")).get("m.relates_to"))
    return ident_of(relation.get("event_id")) if relation.get("rel_type") == "m.replace" else ""


def redacted(event: Event) -> str:
    """The id of the event that this redaction removes; it moved into content with version 11."""
    return ident_of(event.get("redacts")) or ident_of(table_of(event.get("content")).get("redacts"))


def successor(event: Event) -> str:
    """The words of a tombstone that names a new room, "" for any other."""
    content = table_of(event.get("content"))
    if event.get("state_key") != "" or not text_of(content.get("replacement_room")):
        return ""
    return masked(text_of(content.get("body")) or "replaced")


def shown_inside(event: Event) -> bool:
    """Whether the asker was in the room at this event; taken for granted by older servers."""
    return bool(table_of(event.get("unsigned")).get("membership", "join") == "join")


def milliseconds(event: Event) -> int | None:
    date = event.get("origin_server_ts")
    return date if isinstance(date, int) and 0 <= date < _YEAR_9999_MS else None


def published(event: Event) -> int | None:
    date = milliseconds(event)
    return None if date is None else date * 1000


def matched(place: str, text: str) -> Signal | None:
    """The signal of the rule for `text` at field:`place`, if there is one."""
    return load_pack("matrix").match_field(place, text)


def rule(place: str, text: str, *, words: str = "", status: int | None = None) -> Signal:
    """The signal of a rule that is in the pack."""
    signal = matched(place, text)
    assert signal is not None, f"notices/matrix.toml has no rule for {text} at field:{place}"
    return replace(signal, words=masked(words), status=status)


def json_of(exchange: Exchange) -> Event:
    """The JSON object of an answer, {} if there is none."""
    if exchange.fault is not None:
        return {}
    try:
        return table_of(json.loads(exchange.body))
    except (ValueError, RecursionError):
        return {}


def ident_of(value: object) -> str:
    """An event's id that can be asked for; else ""."""
    return value if isinstance(value, str) and _EVENT.fullmatch(value) else ""


def table_of(value: object) -> Event:
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """A string of JSON without the lone surrogates that no file or database takes; else ""."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def masked(words: str) -> str:
    """At most 200 characters of one line, without the names of users and rooms."""
    return " ".join(_NAMES.sub("…", words).split())[:200]


# -- addresses --------------------------------------------------------------------------------


def alias_path(alias: str) -> str:
    return f"{_CLIENT}/directory/room/{quote(alias, safe='')}"


def room_path(room: str) -> str:
    return f"{_CLIENT}/rooms/{quote(room, safe='')}"


def event_path(room: str, ident: str) -> str:
    return f"{room_path(room)}/event/{quote(ident, safe='')}"


def summary_path(room: str) -> str:
    return f"/_matrix/client/v1/room_summary/{quote(room, safe='')}"


def join_path(room: str) -> str:
    """Where to enter a room; an id of another server is looked for on that server."""
    path = f"{_CLIENT}/join/{quote(room, safe='')}"
    server = room.partition(":")[2] if room.startswith("!") else ""
    return f"{path}?{urlencode({'server_name': server, 'via': server})}" if server else path
