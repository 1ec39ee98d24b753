"""How losses are spread over accounts, and what becomes of accounts after one: never who.

In: posts, accounts, and kinds of accounts as the user labels them. Out: `Who`: how concentrated
removals are and would be by chance, how many accounts are removed within days of their first
removed post against matched ones without, and the removed share by kind. No account is named,
ranked or scored, and no cell rests on fewer than five accounts, nor can one be computed from
others. The parts: `concentration`, `after_removal`, `kinds`, `withheld`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.explain.after_removal import AFTER, FAR, Facts, after_removal
from vanished.explain.charts import band, channel, chart, line
from vanished.explain.concentration import LORENZ, concentration
from vanished.explain.contrast import codes
from vanished.explain.kinds import kind_rows, labelled
from vanished.explain.removal_rate import Moments, moments
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K
from vanished.explain.who_settings import COLUMNS, WhoSettings

__all__ = ["COLUMNS", "Who", "WhoSettings", "who"]

METHOD: Final = "who/1"
CAVEATS: Final = (
    "Accounts are watched ones, counted and never named; a concentration says how losses are spread"
    " among them, not why.",
    "A few removals fall on few accounts by chance alone: compare the Gini coefficient with what it"
    " would be if removals fell on posts at random. It is still higher where posts of one story go"
    " together.",
    "Intervals are called 95 %. That of the share of the accounts at the very top is too short"
    " where these are few: of 25 accounts it held the truth in 87 % of simulations.",
    "Accounts count as removed only where the facts leave nobody but platform or law; one that its"
    " author may have closed ends as something else.",
    "What follows a removal is compared with accounts of the same platform and about as many posts"
    " that had none by then; they may differ in other ways, so it is associated, not shown to be"
    " caused. A removal before the watch began is not known.",
    "Kinds are the labels of whoever made the table; kinds with too few accounts are put together.",
    f"Figures of fewer than {K} accounts are withheld, and others with them, from which these could"
    " be computed.",
)


@dataclass(frozen=True, slots=True)
class Who:
    """The result; `lorenz` is the Lorenz curve of removals (`concentration.LORENZ`), empty where
    fewer than five accounts had one."""

    settings: WhoSettings
    basis: Basis
    rows: pa.Table
    lorenz: pa.Table
    caveats: Sequence[str] = CAVEATS
    method: str = METHOD

    def table(self) -> pa.Table:
        """Concentration, accounts removed after a removal, kinds: `COLUMNS`."""
        return self.rows

    def chart(self) -> Chart:
        """The Lorenz curve of removals over accounts."""
        rows = [row | {"even": row["accounts"]} for row in self.lorenz.to_pylist()]
        percent = {"format": ".0%"}
        x = channel("accounts", "share of accounts, those with fewest removals first",
                    axis=percent)  # fmt: skip
        title = "share of removed posts"
        curve = line(x, channel("removals", title, axis=percent))
        even = line(x, channel("even", title, axis=percent))
        even["mark"] |= {"strokeDash": [4, 3], "color": "#999"}
        area = band(x, "low", "high")
        area["encoding"]["y"]["title"] = title
        concentrated = [row for row in self.rows.to_pylist() if row["row"] == "concentration"]
        counted = "".join(
            f"; {row['removed']} removed posts of {row['accounts']} accounts whose fate is known"
            for row in concentrated[:1]
        )
        under = (
            f"{self.basis.text()}; pale: 95 %; dashed: if all accounts lost alike; points at least"
            f" {K} accounts apart{counted}"
        )
        return chart("How removals are spread over accounts", under, rows, [area, even, curve])

    def text(self) -> str:
        """Numbers first."""
        lines = [_said(row) for row in self.rows.to_pylist() if row["low"] is not None]
        return "\n".join(lines) or f"Fewer than {K} accounts had a removal: nothing is said."


def who(
    posts: pa.Table,
    accounts: pa.Table,
    kinds: pa.Table | None = None,
    settings: WhoSettings | None = None,
) -> Who:
    """Spread over the accounts of `posts` (`archive.arrow.POSTS`), given `ACCOUNTS`.

    `kinds` has the columns account and kind, an account at most once; others are "unlabelled".
    Raises UsageError where an account is labelled twice, or settings make no sense.
    """
    settings = settings or WhoSettings()
    settings.check()
    rng = np.random.default_rng(settings.seed)
    times = moments(posts, open_too=settings.open_too)
    known = np.flatnonzero(times.known)
    used = posts.take(pa.array(known))
    author = codes(used["account"]).astype(np.int64)
    gone = times.removed[known]
    number = int(author.max(initial=-1)) + 1
    written = np.bincount(author, minlength=number).astype(np.int64)
    removed = np.bincount(author[gone], minlength=number).astype(np.int64)
    row_of = np.zeros(number, np.int64)
    row_of[author] = np.arange(len(author))
    names, platform = (used[c].combine_chunks().take(pa.array(row_of))
                       for c in ("account", "platform"))  # fmt: skip
    rows: list[dict[str, Any]] = []
    lorenz = LORENZ.empty_table()
    if (removed > 0).sum() >= K:
        found, lorenz = concentration(removed, written, rng, settings)
        first = _first(times, known[gone], author[gone], number)
        facts = Facts.of(names, codes(used["platform"])[row_of], first, accounts,
                         open_too=settings.open_too)  # fmt: skip
        rows = found + after_removal(facts, author, times.born[known], rng, settings)
    if kinds is not None:
        of = labelled(names, platform, written, removed, kinds)
        rows += kind_rows(of) if of else []
    return Who(settings, Basis.of(posts), pa.Table.from_pylist(rows, schema=COLUMNS), lorenz)


def _first(
    times: Moments, rows: NDArray[np.int64], author: NDArray[np.int64], number: int
) -> NDArray[np.int64]:
    """The middle of the interval of each account's first removal; `FAR` where it had none."""
    first = np.full(number, FAR)
    np.minimum.at(first, author, times.middle[rows])
    return first


def _said(row: dict[str, Any]) -> str:
    """A row in a sentence."""
    plain = "Gini" in row["name"] or row["name"].startswith("the same")
    value, low, high = (
        "" if v is None else (f"{v:.2f}" if plain else f"{v:.1%}")
        for v in (row["value"], row["low"], row["high"])
    )
    name = row["name"][0].upper() + row["name"][1:]
    p = "" if row["p"] is None else f", p = {row['p']:.3g}"
    if row["row"].startswith("kind"):
        return (
            f"{name}: {row['removed']} of {row['posts']} posts of {row['accounts']} accounts"
            f" removed, {value} ({low} to {high})."
        )
    if row["row"] == AFTER and row["value"] is None:
        return f"{name}: fewer than {K} of {row['accounts']} accounts, at most {high}."
    if row["row"] == AFTER and row["removed"] is not None:
        return (
            f"{name}: {value} (95 % interval {low} to {high}; {row['removed']} of"
            f" {row['accounts']} accounts were)."
        )
    return f"{name}: {value} (95 % interval of it {low} to {high}{p})."
