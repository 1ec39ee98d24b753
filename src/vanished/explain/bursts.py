"""Which words were suddenly removed: strings whose removals rise, in weeks that are found here too.

In: posts with their words. Out: strings with the window in which they were removed more often than
the other posts of that window, and more often than at other times. Both must hold: the first alone
finds words that are always removed, the second alone finds what everybody wrote about. Strings that
name the same removed posts are one finding. What one author posts of one story counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, hypergeom

from vanished.explain.removal_rate import Flags, Moments, Of
from vanished.explain.shares import K
from vanished.explain.strings import Strings, closed_strings
from vanished.explain.symbols import Stream, stream
from vanished.model import DAY

Ints = NDArray[np.int64]
MONDAY: Final = -3 * DAY  # of the week that the epoch lies in


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """Which strings and windows are tested."""

    window_days: int = 7
    posts: int = 8  # of a string, at least
    in_window: int = 5  # posts of a string in a window, for it to be tested there
    accounts: int = K  # behind the removed posts of a finding
    closure: float = 0.85  # a longer string with this share of a string's posts replaces it
    same: float = 0.5  # share of removed posts that two strings of one finding have in common
    q: float = 0.05
    rise: float = 1.5  # of the removed share over the other posts of the window
    forms: int = 8  # strings that are named of one finding


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """`window`: number of the first and of the last window. `removed` and `posts` are row numbers
    of the table, in those windows; `p` is the larger of the two tests', of the best string."""

    strings: tuple[str, ...]
    window: tuple[int, int]
    posts: Ints
    removed: Ints
    p: float
    q: float


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Which posts could have been removed in which window, and which were."""

    begin: Ints  # microseconds; the window after the last begins at its end
    at: Ints  # one entry for each post of each window: the window
    post: Ints  # row of the table
    removed: Flags


def windows(times: Moments, of: Of, settings: BurstSettings, age_days: float) -> Windows:
    """The windows of a table whose times these are. Among losses, each post stands in the window of
    its loss; among posts at risk, in those of its first days, until it is lost."""
    width = settings.window_days * DAY
    first_known = int(times.start[times.known].min()) if times.known.any() else 0
    origin = MONDAY + (first_known - MONDAY) // width * width
    at = (times.middle - origin) // width
    rows = np.flatnonzero(times.known & (times.lost if of is Of.LOSSES else True))
    if of is Of.LOSSES:
        pairs = at[rows], rows
    else:
        end = np.minimum(times.middle, times.born + round(age_days * DAY))
        rows = rows[end[rows] >= times.start[rows]]
        first = (times.start[rows] - origin) // width
        count = (end[rows] - origin) // width - first + 1
        owner = np.repeat(np.arange(len(rows)), count)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        pairs = first[owner] + step, rows[owner]
    low = int(pairs[0].min(initial=0))
    last = int(pairs[0].max(initial=-1))
    begin = origin + width * np.arange(low, last + 2, dtype=np.int64)
    removed = times.removed[pairs[1]] & (at[pairs[1]] == pairs[0])
    return Windows(begin, pairs[0] - low, pairs[1], np.asarray(removed, bool))


def bursts(
    posts: pa.Table,
    found: Windows,
    account: NDArray[np.int32],
    story: Ints,
    missing: Flags,
    settings: BurstSettings,
) -> tuple[list[Burst], int]:
    """The bursts of a table of posts, and how many strings and windows were tested.

    `account` and `story` number those of each row; `missing` windows are passed over, both as
    findings and as what others are compared with. Each pair of a string and a window has two
    hypergeometric tests, and the larger p-value counts (an intersection-union test, Berger 1982);
    Benjamini and Hochberg over all pairs that could be tested, whatever was removed of them.
    """
    kept = _counted_once(found, account, story) & ~missing[found.at]
    at, post, removed = found.at[kept], found.post[kept], found.removed[kept]
    texts = _texts(posts)
    symbols = stream(texts, settings.posts)
    strings = closed_strings(
        symbols, account, least=settings.posts, least_authors=settings.accounts,
        closure=settings.closure,
    )  # fmt: skip
    tests = _tested(strings, at, post, removed, len(missing), settings)
    if not len(tests.p):
        return [], 0
    q = false_discovery_control(tests.p)
    chosen = np.flatnonzero((q <= settings.q) & (tests.lift >= settings.rise))
    chosen = chosen[np.lexsort((tests.string[chosen], tests.p[chosen]))]
    made = _grouped(chosen, tests, q, symbols, strings, (at, post, removed), account, settings)
    return _joined(made, settings), len(tests.p)


def _counted_once(found: Windows, account: NDArray[np.int32], story: Ints) -> Flags:
    """One entry for each author, story and window; a removed one if there is any."""
    order = np.lexsort((~found.removed, found.at, story[found.post], account[found.post]))
    keys = np.stack([found.at, story[found.post], account[found.post].astype(np.int64)])[:, order]
    first = np.ones(len(order), bool)
    first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    kept = np.zeros(len(order), bool)
    kept[order[first]] = True
    return kept


def _texts(posts: pa.Table) -> list[str]:
    title, text = posts["title"].to_pylist(), posts["text"].to_pylist()
    return [f"{a}\n{b}" for a, b in zip(title, text, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """One entry for each tested pair."""

    string: Ints
    window: Ints
    p: NDArray[np.float64]
    lift: NDArray[np.float64]


def _tested(
    strings: Strings, at: Ints, post: Ints, removed: Flags, number: int, settings: BurstSettings
) -> _Tests:
    """Both tests of each string in each window where it has enough posts."""
    of_window = np.bincount(at, minlength=number)
    removals = np.bincount(at, weights=removed, minlength=number).astype(np.int64)
    order = np.argsort(post, kind="stable")
    bounds = np.searchsorted(post[order], np.arange(int(post.max(initial=-1)) + 2))
    parts: list[tuple[Ints, ...]] = []
    for begin in range(0, len(strings), _AT_ONCE):
        which = np.arange(begin, min(begin + _AT_ONCE, len(strings)))
        starts, members = strings.members(which)
        owner = np.repeat(which, np.diff(starts))
        inside = members < len(bounds) - 1
        owner, members = owner[inside], members[inside]
        sizes = bounds[members + 1] - bounds[members]
        entry = np.repeat(np.arange(len(members)), sizes)
        step = np.arange(len(entry)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        entries = order[bounds[members][entry] + step]
        key = owner[entry] * number + at[entries]
        pairs, place = np.unique(key, return_inverse=True)
        n = np.bincount(place)
        k = np.bincount(place, weights=removed[entries]).astype(np.int64)
        string = pairs // number
        whole = np.bincount(string - begin, weights=k, minlength=len(which)).astype(np.int64)
        parts.append((string, pairs % number, n, k, whole[string - begin]))
    if not parts:
        none = np.zeros(0, np.int64)
        return _Tests(none, none, np.zeros(0), np.zeros(0))
    string, window, n, k, whole = (np.concatenate(part) for part in zip(*parts, strict=True))
    enough = n >= settings.in_window
    string, window, n, k, whole = (a[enough] for a in (string, window, n, k, whole))
    within = hypergeom.sf(k - 1, of_window[window], removals[window], n)
    # At other times: its neighbours may hold a part of the same burst, and are left out.
    padded = np.pad(removals, 1)
    near = padded[window] + padded[window + 2]
    keys = zip(string.tolist(), window.tolist(), strict=True)
    index = dict(zip(keys, k.tolist(), strict=True))
    beside = np.array(
        [index.get((s, w - 1), 0) + index.get((s, w + 1), 0)
         for s, w in zip(string.tolist(), window.tolist(), strict=True)], np.int64,
    )  # fmt: skip
    of_all = removals.sum() - near
    over = hypergeom.sf(k - 1, of_all, removals[window], whole - np.minimum(beside, whole - k))
    others = (removals[window] - k) / np.maximum(of_window[window] - n, 1)
    lift = (k / n) / np.maximum(others, 1 / np.maximum(of_window[window], 1))
    p = np.maximum(within, over)  # not a number where there is nothing to draw from: no evidence
    return _Tests(string, window, np.where(np.isnan(p), 1.0, p), lift)


_AT_ONCE: Final = 20_000  # strings


def _grouped(
    chosen: Ints,
    tests: _Tests,
    q: NDArray[np.float64],
    symbols: Stream,
    strings: Strings,
    entries: tuple[Ints, Ints, Flags],
    account: NDArray[np.int32],
    settings: BurstSettings,
) -> list[Burst]:
    """Findings, the best first; a string whose removed posts another names joins it."""
    at, post, removed = entries
    made: list[tuple[Burst, set[int]]] = []
    for pair in chosen.tolist():
        string, window = int(tests.string[pair]), int(tests.window[pair])
        holders = strings.members(np.array([string]))[1]
        here = (at == window) & np.isin(post, holders)
        lost = post[here & removed]
        if len(np.unique(account[lost])) < settings.accounts:
            continue
        name = symbols.surface(strings.at(string), int(strings.length[string]))
        for number, (known, rows) in enumerate(made):
            common = len(rows.intersection(lost.tolist()))
            if known.window[0] == window and common >= settings.same * len(lost):
                names = tuple(dict.fromkeys([*known.strings, name]))[: settings.forms]
                made[number] = _widened(known, names, post[here], lost), rows | set(lost.tolist())
                break
        else:
            burst = Burst(
                (name,), (window, window), np.unique(post[here]), np.unique(lost),
                float(tests.p[pair]), float(q[pair]),
            )  # fmt: skip
            made.append((burst, set(lost.tolist())))
    return [burst for burst, _ in made]


def _widened(burst: Burst, names: tuple[str, ...], posts: Ints, removed: Ints) -> Burst:
    return Burst(
        names, burst.window, np.union1d(burst.posts, posts), np.union1d(burst.removed, removed),
        burst.p, burst.q,
    )  # fmt: skip


def _joined(made: Sequence[Burst], settings: BurstSettings) -> list[Burst]:
    """Bursts of neighbouring windows that share a string are one."""
    joined: list[Burst] = []
    for burst in sorted(made, key=lambda b: b.window):
        for number, known in enumerate(joined):
            near = burst.window[0] == known.window[1] + 1
            if near and set(known.strings) & set(burst.strings):
                better = min((known, burst), key=lambda b: b.p)
                names = tuple(dict.fromkeys([*known.strings, *burst.strings]))[: settings.forms]
                joined[number] = Burst(
                    names, (known.window[0], burst.window[1]),
                    np.union1d(known.posts, burst.posts),
                    np.union1d(known.removed, burst.removed), better.p, better.q,
                )  # fmt: skip
                break
        else:
            joined.append(burst)
    return sorted(joined, key=lambda b: (b.p, b.strings))
