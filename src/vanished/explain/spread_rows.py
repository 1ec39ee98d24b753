"""The rows of a table of spread, in cells that nobody can be recognised in.

In: what is known of each post or story as arrays. Out: rows, each with its denominator. A cell of
fewer than `shares.K` accounts is counted together with others or has no numbers, and no shown cell
gives it away by subtraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.explain.crossing import NEVER, Crossings, Proof
from vanished.explain.exposure import Exposure, Lives, rate, ratio
from vanished.explain.shares import K, share
from vanished.model import HOUR

Row = dict[str, Any]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SCHEMA: Final = pa.schema(
    [
        ("unit", pa.string()),  # post or story
        ("finding", pa.string()),
        ("measure", pa.string()),  # of value, low and high
        ("n", pa.float64()),  # posts, stories or losses; null: too few accounts
        ("of", pa.float64()),  # posts, stories or post-hours
        ("accounts", pa.int64()),  # behind n
        ("value", pa.float64()),
        ("low", pa.float64()),  # 95 % interval; of ages: the ends between which the median lies
        ("high", pa.float64()),
        ("p", pa.float64()),
    ]
)
SEEN: Final = "counter seen"
CROSSED: Final = "crossed"
AGE: Final = "age at crossing"
BEFORE, AFTER = "before crossing", "after crossing"
RATIO: Final = "after to before, at the same age"
SUMMED: Final = "crossed by the sum of its posts"
STATES: Final = {
    CROSSED: Proof.ABOVE,
    "below the line when last counted": Proof.BELOW,
    "counter left it open": Proof.UNSURE,
}


def post_rows(crossed: Crossings, lives: Lives) -> list[Row]:
    """Posts with a counter, by what it last proved, and of these the removed."""
    counted, account = crossed.looks > 0, lives.account
    rows = [_share("post", SEEN, counted, np.ones(len(counted), bool), account)]
    groups = {name: counted & (crossed.last == proof) for name, proof in STATES.items()}
    for name, here in _merged(groups, account).items():
        if name != CROSSED and not here.any():
            continue
        rows.append(_share("post", name, here, counted, account))
        gone, stays = here & lives.removed, here & ~lives.removed
        if name in STATES and not any(0 < _accounts(account, part) < K for part in (gone, stays)):
            rows.append(_share("post", f"{name}, and then removed", gone, here, account))
    return [*rows, _age(crossed, lives)]


def rate_rows(found: Exposure) -> list[Row]:
    """Removals an hour before and after, and their ratio in the strata."""
    rows, shown = [], True
    for name in (BEFORE, AFTER):
        side = rate(found, after=name == AFTER)
        row = _row("post", name, "removals per 1,000 post-hours")
        if side.accounts < K or 0 < side.losing < K:
            shown = False
        else:
            row |= {"n": side.losses, "of": side.hours, "accounts": side.accounts,
                    "value": side.per_1000_h}  # fmt: skip
        rows.append(row)
    row = _row("post", RATIO, "rate ratio")
    if shown:
        both = ratio(found)
        row |= {"n": float(found.losses.sum()), "of": float(found.hours.sum()),
                "accounts": len(np.unique(found.account)), "value": both.value, "low": both.low,
                "high": both.high, "p": both.p}  # fmt: skip
    return [*rows, row]


def story_rows(story: Ints, account: Ints, above: Ints, seen: Flags, gone: Ints) -> list[Row]:
    """Stories that crossed by the sum over their posts, and those that lost a post.

    `story` and `account` of each post in a story; by number of story, when the sum crossed,
    whether any counter was seen, and how many posts were removed.
    """
    crossed = seen & (above < NEVER)
    rows = []
    for finding, here, among in (
        (SUMMED, crossed, seen),
        (f"{SUMMED}, and one was removed", crossed & (gone > 0), crossed),
        ("not proven to have crossed, and a post was removed", seen & ~crossed & (gone > 0),
         seen & ~crossed),
    ):  # fmt: skip
        row = _row("story", finding, "share")
        sizes = [len(np.unique(account[part[story]])) for part in (here, among & ~here)]
        if not any(0 < size < K for size in sizes):
            n, of = int(here.sum()), int(among.sum())
            row |= {"n": n, "of": of, "accounts": sizes[0], "value": n / of if of else None}
        rows.append(row)
    return rows


def _merged(groups: Mapping[str, Flags], account: Ints) -> dict[str, Flags]:
    """The groups, those of few accounts as one: with the next smallest if it takes that."""
    size = {name: int(here.sum()) for name, here in groups.items()}
    few = [name for name in groups if 0 < _accounts(account, groups[name]) < K]
    if not few:
        return dict(groups)
    rest = sorted((name for name in groups if name not in few and size[name]), key=size.__getitem__)
    while rest and (len(few) == 1 or _accounts(account, _any(groups, few)) < K):
        few.append(rest.pop(0))
    kept = {name: here for name, here in groups.items() if name not in few}
    return kept | {_either(few): _any(groups, few)}


def _either(names: list[str]) -> str:
    first, *more = names
    if not more:
        return first
    if len(more) == 1:
        return f"either {first}, or else {more[0]}"
    return f"either {first}, or {more[0]}, or else {more[1]}"


def _any(groups: Mapping[str, Flags], names: list[str]) -> Flags:
    return np.asarray(np.any([groups[name] for name in names], axis=0), bool)


def _share(unit: str, finding: str, here: Flags, among: Flags, account: Ints) -> Row:
    """A row of the table; without numbers if fewer than `K` accounts are among its posts."""
    row, accounts = _row(unit, finding, "share"), _accounts(account, here)
    if 0 < accounts < K:
        return row
    size = int(account.max(initial=0)) + 1
    found = share(np.bincount(account[here], minlength=size),
                  np.bincount(account[among], minlength=size))  # fmt: skip
    return row | {"n": found.n, "of": found.of, "accounts": accounts, "value": found.share,
                  "low": found.low, "high": found.high}  # fmt: skip


def _age(crossed: Crossings, lives: Lives) -> Row:
    """Between what ages, in hours, half of the crossings had come."""
    here = crossed.above < NEVER
    row, accounts = _row("post", AGE, "hours, median between"), _accounts(lives.account, here)
    if accounts < K:
        return row
    born, n = lives.born[here], int(here.sum())
    low = np.median(np.maximum(crossed.below[here], born) - born) / HOUR
    high = np.median(crossed.above[here] - born) / HOUR
    return row | {"n": n, "of": n, "accounts": accounts, "low": float(low), "high": float(high)}


def _accounts(account: Ints, here: Flags) -> int:
    return len(np.unique(account[here]))


def _row(unit: str, finding: str, measure: str) -> Row:
    return {"unit": unit, "finding": finding, "measure": measure}
