"""A platform's stream of changes, as far as the watch knows of it: an optional part of a source.

In: the messages of a WebSocket. Out: `Hint`s at accounts that are watched. A hint is never a fact:
whoever serves a stream can leave out, repeat and invent, so a "delete" says no more than "ask now".
Of all others nothing may be kept or told. A source that has a stream is a `Streaming`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Container
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vanished.model import Account, Micros


@dataclass(frozen=True, slots=True)
class Hint:
    """One reason to look at once: at the post of the native id `post`, or at the whole account."""

    account: str  # as the stream names it, see `Streaming.streamed_as`
    post: str = ""
    said: str = ""  # as the stream has it
    new: bool = False  # the post may be one that nobody has seen: then the list shows it


class Follower(Protocol):
    """One stream that is being read, over as many connections as it takes."""

    seq: int  # number of the last message that was read, -1 before any
    words: str  # what the stream said of itself that the operator is to know: an end, a gap

    @property
    def url(self) -> str:
        """Where the stream is opened to go on after `seq`."""
        ...

    @property
    def told_at(self) -> Micros | None:
        """When the last message that was read was made, as it claims."""
        ...

    def hints(self, frames: AsyncIterable[bytes]) -> AsyncIterator[Hint]:
        """The hints of one connection's messages, at accounts that are watched."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """What a source has besides, if its platform streams its changes."""

    stream: str  # where, as the settings name it; "": it is not to be used

    def streamed_as(self, account: Account, cursor: str) -> str:
        """What the stream calls `account`, "" while that is not known; `cursor`: its last one."""
        ...

    def follow(self, watched: Container[str], seq: int) -> Follower:
        """Follow the stream after message `seq`, -1 for from now on, for those in `watched`."""
        ...
