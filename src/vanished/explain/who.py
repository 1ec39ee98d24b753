"""How losses are spread over accounts, and what becomes of accounts after one: never who.

In: posts, accounts, and kinds of accounts as the user labels them. Out: `Who`: how concentrated
removals are, how many accounts are lost within a month of their first removed post against matched
ones without, and the removed share by kind. No account is named, ranked or scored, and no cell
rests on fewer than five accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.cells import NONE, OTHER, folded
from vanished.explain.charts import channel, chart, line
from vanished.explain.contrast import codes
from vanished.explain.removal_rate import moments
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K, share
from vanished.model import DAY, State

METHOD: Final = "who/1"
Floats = NDArray[np.float64]
COLUMNS: Final = pa.schema(
    [
        ("row", pa.string()),  # concentration, after a removal, or kind
        ("name", pa.string()),
        ("accounts", pa.int64()),
        ("posts", pa.int64()),
        ("removed", pa.int64()),  # posts; accounts lost, of row "after a removal"
        ("value", pa.float64()),  # Gini coefficient, or share
        ("low", pa.float64()),  # 95 %
        ("high", pa.float64()),
    ]
)
CAVEATS: Final = (
    "Accounts are counted, never named; a concentration says how losses are spread, not why.",
    "Accounts with many posts have more to lose: the Gini coefficient of posts stands beside that"
    " of removals.",
    "Accounts lost after a removal are compared with accounts of the same platform and about as"
    " many posts that had none by then; they may differ in other ways.",
    "Kinds are the labels of whoever made the table; kinds with too few accounts are put together.",
)


@dataclass(frozen=True, slots=True)
class WhoSettings:
    """What is counted."""

    within_days: float = 30.0  # of an account's first removed post
    controls: int = 5  # matched accounts, for each with a removal
    open_too: bool = False
    resamples: int = 1000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Who:
    """`lorenz`: share of removals in the share of accounts with the fewest, at 101 points."""

    settings: WhoSettings
    basis: Basis
    rows: pa.Table
    lorenz: Floats
    caveats: Sequence[str] = CAVEATS
    method: str = METHOD

    def table(self) -> pa.Table:
        """Concentration, accounts lost after a removal, kinds: `COLUMNS`."""
        return self.rows

    def chart(self) -> Chart:
        """The Lorenz curve of removals over accounts."""
        points = np.linspace(0, 1, len(self.lorenz))
        rows = [
            {"accounts": float(a), "removals": float(r), "even": float(a)}
            for a, r in zip(points, self.lorenz, strict=True)
        ]
        percent = {"format": ".0%"}
        x = channel("accounts", "share of accounts, those with fewest removals first",
                    axis=percent)  # fmt: skip
        curve = line(x, channel("removals", "share of removed posts", axis=percent))
        even = line(x, channel("even", "share of removed posts", axis=percent))
        even["mark"] |= {"strokeDash": [4, 3], "color": "#999"}
        under = f"{self.basis.text()}; dashed: if all accounts lost alike"
        return chart("How removals are spread over accounts", under, rows, [even, curve])

    def text(self) -> str:
        """Numbers first."""
        rows = self.rows.to_pylist()
        lines = [_said(row) for row in rows if row["value"] is not None]
        return "\n".join(lines) or f"Fewer than {K} accounts had a removal: nothing is said."


def who(
    posts: pa.Table,
    accounts: pa.Table,
    kinds: pa.Table | None = None,
    settings: WhoSettings | None = None,
) -> Who:
    """Spread over the accounts of `posts` (`archive.arrow.POSTS`), given `ACCOUNTS`.

    `kinds` has the columns account and kind, an account at most once; others are "unlabelled".
    Raises UsageError where an account is labelled twice.
    """
    settings = settings or WhoSettings()
    rng = np.random.default_rng(settings.seed)
    times = moments(posts, open_too=settings.open_too)
    known = np.flatnonzero(times.known)
    used = posts.take(pa.array(known))
    author = codes(used["account"])
    removed = times.removed[known]
    number = int(author.max(initial=-1)) + 1
    n = np.bincount(author, minlength=number).astype(float)
    x = np.bincount(author, weights=removed, minlength=number).astype(float)
    rows: list[dict[str, Any]] = []
    lorenz = np.linspace(0, 1, 101)
    if (x > 0).sum() >= K:
        lorenz = _lorenz(x)
        rows += _concentration(x, n, rng, settings.resamples)
        rows += _after(used, times.middle[known], removed, author, n, accounts, rng, settings)
    if kinds is not None:
        rows += _kinds(used, author, removed, kinds)
    return Who(settings, Basis.of(posts), pa.Table.from_pylist(rows, schema=COLUMNS), lorenz)


def gini(x: Floats) -> float:
    """The Gini coefficient (Gini 1912) of non-negative numbers, of n accounts as a sample of more:
    n / (n - 1) times that of the sample. 0 if all are alike, 1 if one has everything."""
    ordered, n = np.sort(x), len(x)
    total = float(ordered.sum())
    if n < 2 or not total:
        return 0.0
    ranks = np.arange(1, n + 1)
    plain = float((2 * ranks - n - 1) @ ordered) / (n * total)
    return min(1.0, plain * n / (n - 1))


def _lorenz(x: Floats) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(np.sort(x))]) / x.sum()
    return np.asarray(np.interp(np.linspace(0, 1, 101), np.linspace(0, 1, len(sums)), sums), float)


def _top(x: Floats, part: float) -> float:
    """The share of all that the `part` with the most has; never of fewer than `K` accounts."""
    number = max(K, int(np.ceil(part * len(x))))
    return float(np.sort(x)[-number:].sum() / x.sum()) if x.sum() else 0.0


def _concentration(
    x: Floats, n: Floats, rng: np.random.Generator, resamples: int
) -> list[dict[str, Any]]:
    """Gini coefficients and the tenth with the most, with bootstrap intervals over accounts."""
    drawn = rng.integers(0, len(x), (resamples, len(x)))
    measures: list[tuple[str, Floats, Callable[[Floats], float]]] = [
        ("Gini coefficient of removals over accounts", x, gini),
        ("Gini coefficient of posts over accounts", n, gini),
        ("share of removals in the tenth of accounts with the most", x, lambda a: _top(a, 0.1)),
    ]
    rows = []
    for name, values, measure in measures:
        found = [measure(values[row]) for row in drawn if values[row].sum()]
        low, high = np.quantile(found, (0.025, 0.975))
        rows.append(_row("concentration", name, len(x), int(n.sum()), int(x.sum()),
                         measure(values), float(low), float(high)))  # fmt: skip
    return rows


def _after(
    used: pa.Table,
    middle: NDArray[np.int64],
    removed: NDArray[np.bool_],
    author: NDArray[np.int32],
    n: Floats,
    accounts: pa.Table,
    rng: np.random.Generator,
    settings: WhoSettings,
) -> list[dict[str, Any]]:
    """Accounts lost soon after their first removed post, and matched ones after the same day."""
    far = np.int64(1) << 62
    number = len(n)
    first = np.full(number, far)
    np.minimum.at(first, author[removed], middle[removed])
    names = used["account"].combine_chunks()
    row_of = np.zeros(number, np.int64)
    row_of[author] = np.arange(len(author))
    platform = codes(used["platform"])[row_of]
    gone = _gone(names.take(pa.array(row_of)), accounts)
    within = round(settings.within_days * DAY)
    cases, controls = [], []
    for one in np.flatnonzero((first < far) & (gone > first)).tolist():
        day = first[one]
        like = (platform == platform[one]) & (first > day) & (gone > day)
        like &= (n >= n[one] / 2) & (n <= n[one] * 2)
        chosen = np.flatnonzero(like)
        if len(chosen) >= settings.controls:
            cases.append(bool(gone[one] <= day + within))
            drawn = rng.choice(chosen, settings.controls, replace=False)
            controls += (gone[drawn] <= day + within).tolist()
    if len(cases) < K:
        return []
    rows = []
    for name, lost in (
        (f"accounts lost within {settings.within_days:g} days of a first removed post", cases),
        ("matched accounts without one, after the same days", controls),
    ):
        found = share(np.asarray(lost, float), np.ones(len(lost)))
        rows.append(_row("after a removal", name, len(lost), None, found.n, found.share, found.low,
                         found.high))  # fmt: skip
    return rows


def _gone(names: pa.Array, accounts: pa.Table) -> NDArray[np.int64]:
    """When each account was lost by; far away if it was not."""
    lost = accounts.filter(pc.equal(accounts["state"], State.GONE.value))
    place = pc.index_in(names, lost["account"].combine_chunks())
    when = lost["gone_by"].combine_chunks().take(place)
    return np.asarray(when.fill_null(1 << 62).to_numpy(zero_copy_only=False), np.int64)


def _kinds(
    used: pa.Table, author: NDArray[np.int32], removed: NDArray[np.bool_], kinds: pa.Table
) -> list[dict[str, Any]]:
    """The removed share of each kind; small kinds together, and withheld if still too few."""
    if not {"account", "kind"} <= set(kinds.column_names):
        raise UsageError("Kinds of accounts need the columns account and kind; name them so.")
    if pc.count_distinct(kinds["account"]).as_py() < kinds.num_rows:
        raise UsageError("An account has two kinds; give each account one.")
    place = pc.index_in(used["account"], kinds["account"].combine_chunks())
    label = pc.fill_null(kinds["kind"].cast(pa.string()).take(place), "unlabelled")
    names = sorted(set(label.to_pylist()))
    code = np.asarray(pc.index_in(label, pa.array(names)).to_numpy(), np.int64)
    group = folded(code, author.astype(np.int64), accounts=K)
    rows = []
    for each in sorted(set(group.tolist()) - {NONE}, reverse=True):
        here = group == each
        size = int(author[here].max()) + 1
        found = share(
            np.bincount(author[here], weights=removed[here], minlength=size),
            np.bincount(author[here], minlength=size),
        )
        name = "other kinds" if each == OTHER else names[each]
        rows.append(_row("kind", name, len(np.unique(author[here])), found.of, found.n,
                         found.share, found.low, found.high))  # fmt: skip
    return rows


def _row(
    row: str,
    name: str,
    accounts: int,
    posts: int | None,
    removed: int,
    value: float | None,
    low: float | None,
    high: float | None,
) -> dict[str, Any]:
    return dict(zip(COLUMNS.names, (row, name, accounts, posts, removed, value, low, high),
                    strict=True))  # fmt: skip


def _said(row: dict[str, Any]) -> str:
    """A row in a sentence."""
    plain = row["name"].startswith("Gini")
    value, low, high = (
        "" if v is None else (f"{v:.2f}" if plain else f"{v:.1%}")
        for v in (row["value"], row["low"], row["high"])
    )
    between = f" ({low} to {high})" if low else ""
    if row["row"] == "kind":
        return f"{row['name']}: {row['removed']} of {row['posts']} posts removed, {value}{between}."
    if row["row"] == "after a removal":
        name = row["name"][0].upper() + row["name"][1:]
        return f"{name}: {row['removed']} of {row['accounts']}, {value}{between}."
    return f"{row['name'][0].upper()}{row['name'][1:]}: {value}{between}."
