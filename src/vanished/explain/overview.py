"""What was watched and what became of it: the numbers that every other finding stands on.

In: a table of posts. Out: by platform the posts, accounts and losses, split by what the facts say
of their cause, with intervals and with how well the time of loss is known. It compares nothing,
and tests nothing. Platforms with fewer than five accounts are counted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.clock import span
from vanished.explain.charts import bars, channel, chart
from vanished.explain.contrast import codes
from vanished.explain.fate import Fate, fates
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K, share
from vanished.model import SECOND

METHOD: Final = "overview/1"
ALL: Final = "all platforms"
OTHER: Final = "other platforms"
NAMES: Final = {
    Fate.REMOVED: "by platform or law",
    Fate.ACCOUNT: "with the account",
    Fate.AUTHOR: "by the author",
    Fate.OPEN: "cause open",
}
CAVEATS: Final = (
    "Shares are of the posts that were met; what vanished before anybody here saw it is in none of"
    " these numbers.",
    "A loss counts as by platform or law only where the facts leave nobody else; who else it may"
    " have been is under cause open.",
    "Intervals are 95 %, and take posts of one account as going together.",
    f"Platforms with fewer than {K} watched accounts are counted together.",
)


@dataclass(frozen=True, slots=True)
class OverviewSettings:
    """Nothing can be set."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The result; `rows` has one row a platform, the whole first."""

    basis: Basis
    rows: pa.Table
    widths_s: tuple[float, float] | None  # of intervals of loss: median, 90 %
    settings: OverviewSettings = OverviewSettings()
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """platform, posts, accounts, looks, failed; lost with its share and interval; by fate."""
        return self.rows

    def chart(self) -> Chart:
        """Losses by platform, split by fate."""
        rows = [
            {"platform": row["platform"], "fate": name, "losses": row[name.replace(" ", "_")]}
            for row in self.rows.to_pylist()
            if row["platform"] != ALL or self.rows.num_rows == 1
            for name in NAMES.values()
        ]
        under = self.basis.text()
        lying = bars(
            channel("losses", "posts lost"),
            channel("platform", None, "nominal"),
            channel("fate", None, "nominal", sort=list(NAMES.values())),
        )
        found = chart("What was lost, and to whom", under, rows, [lying])
        found["height"] = max(60, 34 * len({row["platform"] for row in rows}))
        return found

    def text(self) -> str:
        """Numbers first."""
        whole = self.rows.to_pylist()[0]
        if not whole["lost"]:
            return f"Nothing was lost among {whole['posts']} posts."
        low, high = whole["lost_low"], whole["lost_high"]
        between = "" if low is None else f"; 95 % interval {low:.1%} to {high:.1%}"
        lines = [
            f"{whole['lost']} of {whole['posts']} posts were lost"
            f" ({whole['lost_share']:.1%}{between})."
        ]
        law, account, author, left_open = (whole[n.replace(" ", "_")] for n in NAMES.values())
        lines.append(
            f"Of them {law} by platform or law, {account} with the account, {author} by the author,"
            f" {left_open} cause open; {whole['elsewhere']} more moved."
        )
        if self.widths_s:
            median, p90 = self.widths_s
            lines.append(f"The time of loss is known to within {span(median)} (median) and"
                         f" {span(p90)} (90 %).")  # fmt: skip
        if whole["looks"]:
            failed = whole["failed"] / whole["looks"]
            lines.append(f"{whole['looks']} looks, of which {failed:.1%} failed and prove nothing.")
        if self.basis.never_alive:
            lines.append(f"{self.basis.never_alive} losses were never proven alive here.")
        return "\n".join(lines)


def overview(posts: pa.Table) -> Overview:
    """What was watched and lost (`archive.arrow.POSTS`)."""
    fate, account = fates(posts), codes(posts["account"])
    places = _places(posts["platform"], account)
    rows = [_row(ALL, np.ones(posts.num_rows, bool), posts, fate, account)]
    names = sorted(set(places.tolist()))
    if len(names) > 1:
        rows += [_row(name, places == name, posts, fate, account) for name in names]
    return Overview(Basis.of(posts), pa.Table.from_pylist(rows), _widths(posts))


def _places(platform: pa.ChunkedArray, account: NDArray[np.int32]) -> NDArray[np.object_]:
    """The platform of each post, small ones under one name: never fewer than `K` accounts."""
    names = np.asarray(platform.to_pylist(), object)
    sizes = {name: len(np.unique(account[names == name])) for name in set(names.tolist())}
    pooled: list[str] = []
    for name, size in sorted(sizes.items(), key=lambda pair: pair[1]):
        if size >= K and (not pooled or sum(sizes[p] for p in pooled) >= K):
            break
        pooled.append(name)
    if len(pooled) > 1:
        names[np.isin(names, np.asarray(pooled, object))] = OTHER
    return names


def _row(
    name: str,
    here: NDArray[np.bool_],
    posts: pa.Table,
    fate: NDArray[np.int8],
    account: NDArray[np.int32],
) -> dict[str, Any]:
    """One platform's numbers; of fewer than `K` accounts only what was watched."""
    accounts = np.unique(account[here])
    lost = here & np.isin(fate, list(NAMES))
    each = np.bincount(account[here], minlength=1)
    found = share(np.bincount(account[lost], minlength=len(each)), each)
    looks, failed = (int(np.asarray(posts[c])[here].sum()) for c in ("looks", "failed"))
    row: dict[str, Any] = {
        "platform": name, "posts": int(here.sum()), "accounts": len(accounts), "lost": found.n,
        "lost_share": found.share, "lost_low": found.low, "lost_high": found.high,
    }  # fmt: skip
    row |= {NAMES[f].replace(" ", "_"): int((here & (fate == f)).sum()) for f in NAMES}
    row |= {
        "elsewhere": int((here & (fate == Fate.ELSEWHERE)).sum()),
        "unproven": int((here & (fate == Fate.UNPROVEN)).sum()), "looks": looks, "failed": failed,
    }  # fmt: skip
    return row


def _widths(posts: pa.Table) -> tuple[float, float] | None:
    """Median and 90 % of the widths of intervals of loss, in seconds."""
    known = posts.filter(pc.and_(posts["gone_by"].is_valid(), posts["alive_until"].is_valid()))
    if not known.num_rows:
        return None
    widths = pc.subtract(known["gone_by"], known["alive_until"]).to_numpy() / SECOND
    return float(np.median(widths)), float(np.quantile(widths, 0.9))
