"""Removed posts by kind of account, as the user labels accounts, and by platform within.

In: posts with their accounts, labels. Out: rows that rest on at least five accounts each. A number
of accounts is withheld where it is small, a number of removed posts where they are of few accounts,
and with each as much as keeps it from being computed back from totals (`withheld`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.cells import NONE, OTHER, folded
from vanished.explain.shares import K, share
from vanished.explain.who_settings import finding
from vanished.explain.withheld import withheld

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

KIND: Final = "kind"
KIND_ON: Final = "kind on a platform"
UNLABELLED: Final = "unlabelled"
_MOST: Final = 20  # groups of a table, the largest; a longer one is no finding


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One entry an account: its kind and platform, posts and removed posts of it."""

    kind: Ints
    platform: Ints
    posts: Ints
    removed: Ints
    kinds: list[str]
    platforms: list[str]

    def accounts(self, which: Flags) -> Ints:
        """(kinds, platforms) How many of `which` accounts there are."""
        found = np.zeros((len(self.kinds), len(self.platforms)), np.int64)
        np.add.at(found, (self.kind[which], self.platform[which]), 1)
        return found


def labelled(
    names: pa.Array, platform: pa.Array, posts: Ints, removed: Ints, kinds: pa.Table
) -> Labelled | None:
    """Accounts by the column kind of `kinds`; small kinds and platforms are put together.

    None if there are fewer than five accounts. Raises UsageError if a column is missing, or an
    account has two kinds.
    """
    if not {"account", "kind"} <= set(kinds.column_names):
        raise UsageError("Kinds of accounts need the columns account and kind; name them so.")
    if pc.count_distinct(kinds["account"]).as_py() < kinds.num_rows:
        raise UsageError("An account has two kinds; give each account one.")
    if len(names) < K:
        return None
    place = pc.index_in(names, kinds["account"].combine_chunks())
    label = kinds["kind"].combine_chunks().cast(pa.string()).take(place)
    kind, kind_names = _grouped(pc.fill_null(label, UNLABELLED), "other kinds")
    where, platform_names = _grouped(platform, "other platforms")
    return Labelled(kind, where, posts, removed, kind_names, platform_names)


def _grouped(column: pa.Array, other: str) -> tuple[Ints, list[str]]:
    """Numbers of groups of at least five accounts, and their names, `other` first."""
    names = sorted(set(column.to_pylist()))
    code = np.asarray(pc.index_in(column, pa.array(names)).to_numpy(), np.int64)
    group = folded(code, np.arange(len(code)), accounts=K, most=_MOST)
    assert not (group == NONE).any(), "five accounts or more can always be put together"
    found, number = np.unique(group, return_inverse=True)
    return number.astype(np.int64), [other if n == OTHER else names[n] for n in found.tolist()]


def kind_rows(of: Labelled) -> list[dict[str, Any]]:
    """Rows of `COLUMNS`: each kind, and each on each platform if there are several."""
    few = withheld(of.accounts(np.ones(len(of.kind), bool)), K)
    losing = of.accounts(of.removed > 0)
    quiet = withheld(losing, K, also=few) | few
    if 0 < losing.sum() < K:
        quiet[:] = True  # all of them together are too few
    rows, inner = [], []
    for number, kind in enumerate(of.kinds):
        own = of.kind == number
        rows.append(_told(of, KIND, kind, own, few[number, -1], quiet[number, -1]))
        for place, platform in enumerate(of.platforms if len(of.platforms) > 1 else []):
            both = own & (of.platform == place)
            if both.any():
                off = few[number, place], quiet[number, place]
                inner.append(_told(of, KIND_ON, f"{kind} on {platform}", both, *off))
    return rows + inner


def _told(
    of: Labelled, row: str, name: str, own: Flags, few: np.bool_, quiet: np.bool_
) -> dict[str, Any]:
    """A row of the accounts `own`; `few`: nothing is told, `quiet`: not what was removed."""
    if few:
        return finding(row, name, None, None, None)
    if quiet:
        return finding(row, name, int(own.sum()), None, None, posts=int(of.posts[own].sum()))
    found = share(of.removed[own], of.posts[own])
    ends = None if found.low is None or found.high is None else (found.low, found.high)
    return finding(row, name, int(own.sum()), found.share, ends, posts=found.of, removed=found.n)
