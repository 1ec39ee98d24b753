"""What became of each post, as analyses compare it: removed, survived, or neither.

In: a table of posts. Out: one code a post. A post whose facts leave the author open as the cause is
never counted as removed: false "censored" harms the truth. Analyses that want to know what that
choice does to them run again with `open_too`.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.model import Cause, State


class Fate(IntEnum):
    """The codes."""

    SURVIVED = 0  # proven alive when it was last asked, and not lost since
    REMOVED = 1  # by platform or law, and nobody else can have done it
    ACCOUNT = 2  # went with its account
    AUTHOR = 3  # taken down by its author
    OPEN = 4  # lost, and the facts leave several causes or all of them open
    ELSEWHERE = 5  # moved, or out of reach by the network
    UNPROVEN = 6  # suspected, flickering, or never answered: says nothing


_BY_CAUSES: Final = {
    frozenset({Cause.PLATFORM}): Fate.REMOVED,
    frozenset({Cause.LEGAL}): Fate.REMOVED,
    frozenset({Cause.PLATFORM, Cause.LEGAL}): Fate.REMOVED,
    frozenset({Cause.ACCOUNT}): Fate.ACCOUNT,
    frozenset({Cause.AUTHOR}): Fate.AUTHOR,
    frozenset({Cause.MOVED}): Fate.ELSEWHERE,
    frozenset({Cause.NETWORK}): Fate.ELSEWHERE,
}


@cache  # of few combinations, asked for each of many posts
def fate(state: str, causes: str, explained: bool) -> Fate:
    """The fate of one post: its state, its causes joined by commas, whether its account's loss
    explains it."""
    if state in (State.ALIVE.value, State.RETURNED.value):
        return Fate.SURVIVED
    if state == State.MOVED.value:
        return Fate.ELSEWHERE
    if state != State.GONE.value:
        return Fate.UNPROVEN
    if explained:
        return Fate.ACCOUNT
    return _BY_CAUSES.get(frozenset(Cause(word) for word in causes.split(",") if word), Fate.OPEN)


def fates(posts: pa.Table) -> NDArray[np.int8]:
    """The `Fate` of each row of a table of posts (`archive.arrow.POSTS`)."""
    known: dict[tuple[str, str, bool], Fate] = {}
    found = np.empty(posts.num_rows, np.int8)
    explained = posts["explained_by"].is_valid().to_pylist()
    rows = zip(posts["state"].to_pylist(), posts["causes"].to_pylist(), explained, strict=True)
    for number, row in enumerate(rows):
        code = known.get(row)
        if code is None:
            code = known[row] = fate(*row)
        found[number] = code
    return found
