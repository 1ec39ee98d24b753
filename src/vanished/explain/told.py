"""What became of each story: its posts, accounts and losses, counted.

In: posts in the order of first sight and the story of each. Out: a row for each story that enough
accounts tell, and totals. A text is given only if no author may have taken a post of it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.explain.fate import Fate, fates
from vanished.explain.folding import stripped
from vanished.model import State

LEAST_ACCOUNTS: Final = 5
"""Accounts that must tell a story before anything is said of it: no author stands alone."""
WORDS: Final = 140  # characters of a text that are shown
_OPEN_TEXT: Final = (Fate.SURVIVED, Fate.REMOVED)
_Z: Final = 1.959964  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Told:
    """Totals over all stories, also those that are not shown."""

    posts: int
    stories: int
    repeated: int  # stories of more than one post
    in_repeated: int  # posts of these
    withheld: int  # of the repeated, those of too few accounts
    merged: int  # stories of several tellings
    closed: int  # stories that are shown without their words
    wide_removed: int  # posts in the stories that are shown: removed, and removed or survived
    wide_known: int
    single_removed: int  # the same of posts that are a story of their own
    single_known: int


def count(
    posts: pa.Table, story: NDArray[np.int64], copies: NDArray[np.int64]
) -> tuple[list[dict[str, Any]], Told]:
    """The rows of the shown stories, those of most accounts first, and the totals.

    `story` and `copies` number the story and the group of near-copies of each post; the latter is
    the number of its central post.
    """
    _, first, of = np.unique(story, return_index=True, return_inverse=True)
    fate = fates(posts)
    account = np.asarray(pc.rank(posts["account"], tiebreaker="dense"), np.int64)
    pairs, many = np.unique(np.stack([of, account], axis=1), axis=0, return_counts=True)
    largest = np.zeros(len(first), np.int64)
    np.maximum.at(largest, pairs[:, 0], many)
    size, accounts = np.bincount(of), np.bincount(pairs[:, 0], minlength=len(first))
    tellings = np.bincount(np.unique(np.stack([of, copies], axis=1), axis=0)[:, 0])
    removed = np.bincount(of, fate == Fate.REMOVED).astype(np.int64)
    survived = np.bincount(of, fate == Fate.SURVIVED).astype(np.int64)
    gone = np.asarray(pc.equal(posts["state"], State.GONE.value).combine_chunks(), bool)
    lost = np.bincount(of, gone).astype(np.int64)
    closed = np.bincount(of, ~np.isin(fate, _OPEN_TEXT)) > 0
    wide = np.flatnonzero((accounts >= LEAST_ACCOUNTS) & (size > 1))
    wide = wide[np.lexsort((first[wide], -size[wide], -accounts[wide]))]
    order = np.argsort(of, kind="stable")
    begin = np.searchsorted(of[order], np.arange(len(first) + 1))
    seen = posts["first_seen_at"]
    rows: list[dict[str, Any]] = []
    central = []
    for number in wide.tolist():
        members = order[begin[number] : begin[number + 1]]
        known = int(removed[number] + survived[number])
        low, high = wilson(int(removed[number]), known) if known else (None, None)
        platforms = pc.unique(posts["platform"].take(pa.array(members))).to_pylist()
        rows.append(
            {
                "story": posts["post"][int(first[number])].as_py(),
                "posts": int(size[number]),
                "accounts": int(accounts[number]),
                "largest": float(largest[number] / size[number]),
                "platforms": ",".join(sorted(platforms)),
                "tellings": int(tellings[number]),
                "first": seen[int(members[0])].as_py(),
                "last": seen[int(members[-1])].as_py(),
                "lost": int(lost[number]),
                "removed": int(removed[number]),
                "survived": int(survived[number]),
                "share": int(removed[number]) / known if known else None,
                "low": low,
                "high": high,
            }
        )
        tellers, counts = np.unique(copies[members], return_counts=True)
        central.append(int(tellers[np.argmax(counts)]))
    for row, number, words in zip(rows, wide.tolist(), _words(posts, central), strict=True):
        row["text"] = None if closed[number] else words
    shown, single = np.isin(of, wide), size[of] == 1
    answered = np.isin(fate, _OPEN_TEXT)
    return rows, Told(
        posts=posts.num_rows,
        stories=len(first),
        repeated=int((size > 1).sum()),
        in_repeated=int(size[size > 1].sum()),
        withheld=int((size > 1).sum() - len(wide)),
        merged=int((tellings > 1).sum()),
        closed=int(closed[wide].sum()),
        wide_removed=int((shown & (fate == Fate.REMOVED)).sum()),
        wide_known=int((shown & answered).sum()),
        single_removed=int((single & (fate == Fate.REMOVED)).sum()),
        single_known=int((single & answered).sum()),
    )


def _words(posts: pa.Table, central: list[int]) -> list[str]:
    """The beginning of the title, or else of the text, of these posts, without links and names."""
    rows = posts.take(pa.array(central, pa.int64()))
    found = []
    for title, text in zip(
        *(stripped(rows[name]).to_pylist() for name in ("title", "text")), strict=True
    ):
        words = " ".join(title.split()) or " ".join(text.split())
        found.append(words if len(words) <= WORDS else words[: WORDS - 1] + "…")
    return found


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, square = hits / of, _Z**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * (share * (1 - share) / of + square / (4 * of**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)
