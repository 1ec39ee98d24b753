"""How old each post was when it was first seen, last proven alive, and known to be gone.

In: a table of posts. Out: `Ages` in hours since publication, and a `Grid` on which estimators
count them. A post that nobody here saw alive has no age at entry and is left out, with its number.
Nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.fate import Fate, fates
from vanished.model import HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LOSSES: Final = (Fate.REMOVED, Fate.ACCOUNT, Fate.AUTHOR, Fate.OPEN)
"""Fates that end a life here. A post that moved, that the network hides or that flickers was last
proven alive at some age, and is counted as censored there."""

_NEEDED: Final = (
    "account",
    "published_at",
    "first_seen_at",
    "alive_from",
    "alive_until",
    "gone_by",
)


@dataclass(frozen=True, slots=True)
class Ages:
    """One entry a post that is used; arrays of equal length, ages in hours since publication."""

    entry: Floats  # first proof that it is alive: before it, its loss would have gone unseen
    alive: Floats  # last proof that it is alive
    gone: Floats  # known to be gone; infinite unless it was lost
    fate: NDArray[np.int8]  # one of LOSSES, or SURVIVED: censored at `alive`
    rows: Ints  # its row in the table
    never_alive: int  # posts left out: nobody here saw them alive
    late: int  # posts left out: first seen too long after publication
    unclaimed: int  # posts used whose age counts from first sight: no usable publication time

    def of(self, own: Flags) -> Ages:
        """The same of some of its posts; what is counted beside stays."""
        cut = (self.entry[own], self.alive[own], self.gone[own], self.fate[own], self.rows[own])
        return Ages(*cut, self.never_alive, self.late, self.unclaimed)


@dataclass(frozen=True, slots=True)
class Latency:
    """First sights: how long after publication posts were first proven alive, hours."""

    posts: int
    quantiles_h: tuple[float, float, float]  # 10 %, 50 %, 90 %
    unclaimed: int  # as in `Ages`
    never_alive: int
    late: int

    @classmethod
    def of(cls, found: Ages) -> Latency:
        """Of `found`; quantiles are not a number where there is no post."""
        entry = found.entry if found.entry.size else np.array([np.nan])
        low, middle, high = np.quantile(entry, (0.1, 0.5, 0.9)).tolist()
        known = (found.unclaimed, found.never_alive, found.late)
        return cls(found.entry.size, (low, middle, high), *known)


def ages(posts: pa.Table, entry_within_h: float) -> Ages:
    """The ages of `posts` that were first seen alive at most `entry_within_h` after publication.

    Publication is as the platform claims it; where it claims nothing, or a time after our first
    proof of life, age counts from first sight. Raises UsageError if a column is missing or times
    of a post contradict each other.
    """
    missing = [name for name in _NEEDED if name not in posts.column_names]
    if missing:
        raise UsageError(f"The table of posts has no column '{missing[0]}'; take it from the past.")
    fate = fates(posts)
    lost = np.isin(fate, LOSSES)
    proven = pc.and_(posts["alive_from"].is_valid(), posts["alive_until"].is_valid())
    alive = _flags(proven)
    since, until, gone = (_times(posts[name]) for name in ("alive_from", "alive_until", "gone_by"))
    if (lost & ~_flags(posts["gone_by"].is_valid())).any():
        raise UsageError("A post of the table is gone, but has no time by which it was gone.")
    if (alive & ((until < since) | (lost & (gone <= until)))).any():
        raise UsageError("A post of the table was gone before it was last alive: check its times.")
    claimed, seen = _times(posts["published_at"]), _times(posts["first_seen_at"])
    usable = _flags(posts["published_at"].is_valid()) & (claimed <= since)
    born = np.where(usable, claimed, np.minimum(seen, since))
    entry = (since - born) / HOUR
    early = entry <= entry_within_h
    rows = np.flatnonzero(alive & early)
    return Ages(
        entry=entry[rows],
        alive=(until - born)[rows] / HOUR,
        gone=np.where(lost, (gone - born) / HOUR, np.inf)[rows],
        fate=np.where(lost, fate, Fate.SURVIVED)[rows].astype(np.int8),
        rows=rows,
        never_alive=int((~alive).sum()),
        late=int((alive & ~early).sum()),
        unclaimed=int((~usable)[rows].sum()),
    )


def births(posts: pa.Table) -> Ints:
    """When each post was published, or first seen where that is not claimed; microseconds."""
    return _times(pc.coalesce(posts["published_at"], posts["first_seen_at"]))


def _times(column: pa.ChunkedArray) -> Ints:
    found: Ints = pc.fill_null(column, 0).to_numpy().astype(np.int64)
    return found


def _flags(column: pa.ChunkedArray) -> Flags:
    found: Flags = column.to_numpy(zero_copy_only=False).astype(bool)
    return found


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of age; cell j is (bounds[j], bounds[j + 1]]. `bounds[0]` is 0."""

    bounds: Floats

    @classmethod
    def of(cls, found: Ages, wanted_h: Sequence[float], cells: int) -> Grid:
        """Every age that occurs where these are at most `cells`; otherwise so many cells in equal
        steps of the logarithm from one minute on. `wanted_h` are always among the bounds."""
        gone = found.gone[np.isfinite(found.gone)]
        every = np.unique(np.concatenate([found.entry, found.alive, gone, [0.0]]))
        if every.size > cells + 1:
            top = max(float(every[-1]), 0.1) * (1 + 1e-9)
            every = np.concatenate([[0.0], np.geomspace(1 / 60, top, cells)])
        return cls(np.unique(np.concatenate([every, [0.0], wanted_h])))

    @property
    def cells(self) -> int:
        return self.bounds.size - 1

    def before(self, age: Floats) -> Ints:
        """The number of the last bound at or before each age."""
        return np.searchsorted(self.bounds, age, side="right").astype(np.int64) - 1

    def after(self, age: Floats) -> Ints:
        """The number of the first bound at or after each age."""
        return np.searchsorted(self.bounds, age, side="left").astype(np.int64)
