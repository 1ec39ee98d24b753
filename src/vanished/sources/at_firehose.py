"""The AT Protocol's stream of changes (`com.atproto.sync.subscribeRepos`), read as hints.

In: the frames of the stream, one WebSocket message each, and the DIDs that are watched. Out:
hints: what to look at at once. Nothing in a frame is checked: a relay can leave out, repeat and
invent. The signed blocks that come along are not read. It opens no connection, see `net.stream`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Container, Mapping
from dataclasses import dataclass
from typing import Any

from vanished.model import Micros
from vanished.sources.answer import moment, server_of, text_of
from vanished.sources.bluesky_api import COLLECTION, split_uri
from vanished.sources.streaming import Hint

LARGEST = 5_000_000  # bytes of a frame that a relay may send


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    `error` is the code with which the server ends the stream, `info` that of what it has to say of
    it (OutdatedCursor: messages before this one are missing); mostly both are "".
    """

    seq: int = -1
    hints: tuple[Hint, ...] = ()
    error: str = ""
    info: str = ""
    time: str = ""  # when it was made, as it claims


UNREADABLE = Frame()


def stream_of(given: object) -> str:
    """The relay or host that a setting names, "" for none. Raises ConfigError."""
    text = str(given)
    if not text:
        return ""
    scheme, colon, rest = text.partition("://")
    if scheme not in ("ws", "wss") or not colon:
        rest = ""  # no server
    web = server_of(f"http{scheme[2:]}://{rest}", "bluesky", "stream", "wss://bsky.network")
    return web.replace("http", "ws", 1)


def stream_url(base: str, seq: int = -1) -> str:
    """Where the relay or host `base` streams what happened after `seq`, or from now on."""
    query = f"?cursor={seq}" if seq >= 0 else ""
    return f"{base}/xrpc/com.atproto.sync.subscribeRepos{query}"


def read_frame(raw: bytes) -> Frame:
    """The hints of one message; `UNREADABLE` for what is none."""
    import libipld

    if len(raw) > LARGEST:
        return UNREADABLE
    try:
        header, body = libipld.decode_dag_cbor_multi(raw)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(header, dict) or not isinstance(body, dict):
        return UNREADABLE
    if header.get("op") == -1:
        return Frame(error=_code(body.get("error")))
    if header.get("op") == 1 and header.get("t") == "#info":
        return Frame(info=_code(body.get("name")))
    seq, time = body.get("seq"), text_of(body.get("time"))
    if header.get("op") != 1 or type(seq) is not int or seq < 0:
        return UNREADABLE
    match header.get("t"):
        case "#commit":
            return Frame(seq, _of_commit(body), time=time)
        case "#account" | "#sync" | "#identity" as kind:
            state = "active" if body.get("active") is True else str(body.get("status", "inactive"))
            said = state[:100] if kind == "#account" else kind[1:]
            did = body.get("did")
            hints = (Hint(did, "", said),) if isinstance(did, str) else ()
            return Frame(seq, hints, time=time)
    return Frame(seq, time=time)


def _code(given: object) -> str:
    """The code of an error or info; what stands there may be anything."""
    text = text_of(given)
    return text if re.fullmatch(r"[A-Za-z]{1,40}", text) else "something without a name"


def _of_commit(body: Mapping[str, Any]) -> tuple[Hint, ...]:
    did, ops = body.get("repo"), body.get("ops")
    if not isinstance(did, str) or not isinstance(ops, list):
        return ()
    if body.get("tooBig") is True:
        return (Hint(did, "", "too big"),)
    hints = []
    for op in ops:
        match op:
            case {"action": "create" | "update" | "delete" as action, "path": str(path)}:
                uri = f"at://{did}/{path}"
                if path.startswith(f"{COLLECTION}/") and split_uri(uri)[0]:
                    hints.append(Hint(did, uri, action, action == "create"))
    return tuple(hints)


@dataclass(slots=True)
class Follower:
    """Follows the stream of `base` for the accounts in `watched`; see `sources.streaming`."""

    watched: Container[str]
    seq: int = -1
    base: str = ""
    words: str = ""  # the last error or info
    unreadable: int = 0
    _time: str = ""

    @property
    def url(self) -> str:
        return stream_url(self.base, self.seq)

    @property
    def told_at(self) -> Micros | None:
        return moment(self._time)

    async def hints(self, frames: AsyncIterable[bytes]) -> AsyncIterator[Hint]:
        """The hints of `frames` until they end; what was read before is not said again."""
        async for raw in frames:
            frame = read_frame(raw)
            if frame.error:
                self.words = frame.error
                if frame.error == "FutureCursor":  # its numbers began anew
                    self.seq = -1
                return
            if frame.info:
                self.words = frame.info
                continue
            if frame.seq < 0:
                self.unreadable += 1
                continue
            if frame.seq <= self.seq:
                continue
            self.seq = frame.seq
            self._time = frame.time
            for hint in frame.hints:
                if hint.account in self.watched:
                    yield hint
