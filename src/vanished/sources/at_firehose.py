"""The AT Protocol's stream of changes (`com.atproto.sync.subscribeRepos`), read as hints.

In: the frames of the stream, one WebSocket message each, and the DIDs that are watched. Out:
`Hint`s: what to look at at once. A hint is never a fact: nothing in a frame is checked, a relay can
leave out, repeat and invent, so a "delete" says no more than "ask now". The signed blocks that come
along are not read.

It opens no connection, and no part of `net` speaks WebSocket yet. What the watch needs to use it:
- from `net`, `Door.stream(url) -> AsyncIterator[bytes]`: binary messages under a cap, addresses
  checked as for any request, the host's budget paid once a connection, an end instead of an error;
- in the watch, one task a stream that hands each hint's subject to the schedule as due now
  (`schedule.put(row, host, now)` for a post; the account's `track.due = now` for an account), keeps
  `Follower.seq` beside the cursors, and opens the stream anew at `stream_url(base, seq)`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Container, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from vanished.sources.bluesky_api import COLLECTION, split_uri

LARGEST = 5_000_000  # bytes of a frame that a relay may send


@dataclass(frozen=True, slots=True)
class Hint:
    """One reason to look at once: at the post at `uri`, or at the whole account if that is ""."""

    did: str
    uri: str
    said: str  # as the stream has it: "create", "update", "delete", "deactivated", ...
    seq: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `error` is the code with which the server ends the stream, "" mostly."""

    seq: int = -1
    hints: tuple[Hint, ...] = ()
    error: str = ""


UNREADABLE = Frame()


def stream_url(base: str, seq: int = -1) -> str:
    """Where a relay or host streams what happened after `seq`, or from now on."""
    parts = urlsplit(base)
    scheme = "wss" if parts.scheme == "https" else "ws"
    query = f"cursor={seq}" if seq >= 0 else ""
    path = "/xrpc/com.atproto.sync.subscribeRepos"
    return urlunsplit((scheme, parts.netloc, path, query, ""))


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
        return Frame(error=str(body.get("error", "an error without a name"))[:100])
    seq = body.get("seq")
    if header.get("op") != 1 or type(seq) is not int or seq < 0:
        return UNREADABLE
    match header.get("t"):
        case "#commit":
            return Frame(seq, _of_commit(body, seq))
        case "#account" | "#sync" | "#identity" as kind:
            state = "active" if body.get("active") is True else str(body.get("status", "inactive"))
            said = state[:100] if kind == "#account" else kind[1:]
            did = body.get("did")
            return Frame(seq, (Hint(did, "", said, seq),) if isinstance(did, str) else ())
    return Frame(seq)


def _of_commit(body: Mapping[str, Any], seq: int) -> tuple[Hint, ...]:
    did, ops = body.get("repo"), body.get("ops")
    if not isinstance(did, str) or not isinstance(ops, list):
        return ()
    if body.get("tooBig") is True:
        return (Hint(did, "", "too big", seq),)
    hints = []
    for op in ops:
        match op:
            case {"action": "create" | "update" | "delete" as action, "path": str(path)}:
                uri = f"at://{did}/{path}"
                if path.startswith(f"{COLLECTION}/") and split_uri(uri)[0]:
                    hints.append(Hint(did, uri, action, seq))
    return tuple(hints)


@dataclass(slots=True)
class Follower:
    """Follows one stream for the accounts in `watched`. `seq` is the last message that was read."""

    watched: Container[str]
    seq: int = -1
    error: str = ""
    unreadable: int = field(default=0)

    async def hints(self, frames: AsyncIterable[bytes]) -> AsyncIterator[Hint]:
        """The hints of `frames` until they end; what was read before is not said again."""
        async for raw in frames:
            frame = read_frame(raw)
            if frame.error:
                self.error = frame.error
                return
            if frame.seq < 0:
                self.unreadable += 1
                continue
            if frame.seq <= self.seq:
                continue
            self.seq = frame.seq
            for hint in frame.hints:
                if hint.did in self.watched:
                    yield hint
