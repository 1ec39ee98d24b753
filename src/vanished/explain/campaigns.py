"""Campaigns: when removals rose, against which words or stories, and with which accounts.

In: posts, accounts, and when nobody looked. Out: `Campaigns`, of three kinds. "rate": stretches in
which more of all posts were removed (`change_points`). "words": words that were suddenly removed
(`bursts`). "accounts": stretches in which more accounts were lost. Each has a begin, an end, and
its rise over controls. A stretch in which nobody looked is in none of them, whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.explain.bursts import Burst, BurstSettings, Windows, bursts, windows
from vanished.explain.change_points import (
    Changes,
    ChangeSettings,
    as_rate,
    change_points,
    dispersion,
    stabilized,
)
from vanished.explain.charts import channel, chart, line
from vanished.explain.contrast import codes
from vanished.explain.online import Online, OnlineSettings, online
from vanished.explain.removal_rate import (
    Floats,
    Moments,
    RateSettings,
    RemovalRate,
    denominator,
    gaps_within,
    moments,
    removal_rate,
)
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K
from vanished.model import DAY, Micros, State, at

METHOD: Final = "campaigns/1"
COLUMNS: Final = pa.schema(
    [
        ("kind", pa.string()),  # rate, words or accounts
        ("begin", pa.int64()),  # microseconds
        ("end", pa.int64()),
        ("targets", pa.list_(pa.string())),  # words, the clearest first
        ("posts", pa.int64()),  # that could have been removed; of kind accounts, accounts
        ("removed", pa.int64()),
        ("accounts", pa.int64()),  # behind the removed posts
        ("share", pa.float64()),  # removed
        ("control_share", pa.float64()),
        ("controls", pa.string()),  # what it is compared with
        ("rise", pa.float64()),  # share over control share
        ("rise_low", pa.float64()),  # 95 %, accounts as clusters
        ("rise_high", pa.float64()),
        ("p", pa.float64()),  # of kind words; change points have none
        ("q", pa.float64()),
        ("beside_gap", pa.bool_()),  # nobody looked right before or after: the dates may be off
    ]
)


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """How campaigns are looked for."""

    rate: RateSettings = field(default_factory=RateSettings)
    changes: ChangeSettings = field(default_factory=ChangeSettings)
    words: BurstSettings = field(default_factory=BurstSettings)
    online: OnlineSettings = field(default_factory=OnlineSettings)
    rise: float = 1.5  # of a level over the calm one, to be a campaign
    at_risk: int = 20  # posts in a bin, below which it is missing
    accounts: int = K  # behind the removed posts
    controls: int = 20  # posts of the same accounts, to be the controls
    resamples: int = 400
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Campaigns:
    """The campaigns found, the clearest words first."""

    settings: CampaignSettings
    basis: Basis
    caveats: Sequence[str]
    rows: pa.Table
    rate: RemovalRate
    changes: Changes
    tests: int  # strings and windows
    heard: Online  # what the online detector says of each bin; for alerts only
    method: str = METHOD

    def table(self) -> pa.Table:
        """A row a campaign: `COLUMNS`."""
        return self.rows

    def chart(self) -> Chart:
        """The removed share by bin, its levels, and where nobody looked."""
        removed, of = self.rate.known()
        share = np.divide(removed, of, out=np.full(len(of), np.nan), where=np.nan_to_num(of) > 0)
        levels = _levels(self.changes, len(of))
        edges = self.rate.begin // 1000
        rows = [
            {"t": int(edges[i]), "share": _number(share[i]), "level": _number(levels[i])}
            for i in range(len(of))
        ]
        x = channel("t", None, "temporal")
        y = channel(
            "share", f"removed, share of {self.rate.of.value} a bin", axis={"format": ".1%"}
        )
        dots = {"mark": {"type": "point", "size": 9, "opacity": 0.5}, "encoding": {"x": x, "y": y}}
        steps = line(x, channel("level", y["title"]), step=True)
        steps["mark"] |= {"color": "#d1603d", "strokeWidth": 2.5}
        gaps = [{"from": int(edges[i]), "to": int(edges[i + 1])}
                for i in np.flatnonzero(self.rate.missing)]  # fmt: skip
        grey = {
            "data": {"values": gaps},
            "mark": {"type": "rect", "color": "#999", "opacity": 0.3},
            "encoding": {"x": channel("from", None, "temporal"), "x2": {"field": "to"}},
        }
        under = f"{self.basis.text()}; line: levels that differ; grey: nobody looked"
        return chart("Removals over time", under, rows, [*([grey] if gaps else []), dots, steps])

    def text(self) -> str:
        """One sentence a campaign."""
        rows = self.rows.to_pylist()
        lines = [f"{len(rows)} campaigns were found." if rows else "No campaign was found."]
        for row in rows[:10]:
            beside = ["It lies beside a gap in the record."] if row["beside_gap"] else []
            lines.append(" ".join([_said(row), *beside]))
        if (alert := self.alert()) is not None:
            lines.append(
                f"Alert: since about {at(alert):%Y-%m-%d %H:%M} UTC more may be removed than"
                " before. Of such alerts many are taken back; it is no finding."
            )
        return "\n".join(lines)

    def alert(self) -> Micros | None:
        """Since when the online detector has been alert, if it began within the last bins."""
        last = np.flatnonzero(self.heard.alert)
        recent = len(self.heard.alert) - self.settings.online.recent_bins
        return int(self.rate.begin[last[-1]]) if len(last) and last[-1] >= recent else None


def campaigns(
    posts: pa.Table,
    coverage: pa.Table,
    accounts: pa.Table,
    stories: pa.Table | None = None,
    settings: CampaignSettings | None = None,
) -> Campaigns:
    """The campaigns among `posts` (`archive.arrow.POSTS`), given `COVERAGE` and `ACCOUNTS`.

    `stories` has the columns post and story; what one account posts of one story counts once.
    """
    settings = settings or CampaignSettings()
    times = _outside_gaps(moments(posts, open_too=settings.rate.open_too), coverage)
    author, story = codes(posts["account"]), _stories(posts, stories)
    rng = np.random.default_rng(settings.seed)
    rate = removal_rate(posts, coverage, settings.rate)
    changes = _changes(rate, settings)
    of = denominator(times, settings.rate.of)
    found = windows(times, of, settings.words, settings.rate.age_days)
    missing = gaps_within(coverage, found.begin) > 1 - settings.rate.covered
    words, tests = bursts(posts, found, author, story, missing, settings.words)
    rows = [_words(b, found, times, author, missing, settings, rng) for b in words]
    rows += _rates(rate, changes, times, author, settings, rng)
    rows += _accounts(accounts, coverage, settings)
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    caveats = _caveats(rate, changes, settings)
    heard = online(*_enough(rate, settings), settings.online)
    return Campaigns(settings, Basis.of(posts), caveats, table, rate, changes, tests, heard)


def _outside_gaps(times: Moments, coverage: pa.Table) -> Moments:
    """A loss whose middle lies where nobody looked has no date: it is left out."""
    dated = np.ones(len(times.lost), bool)
    for row in coverage.to_pylist():
        if row["what"] == "gap":
            dated &= ~((times.middle > row["since"]) & (times.middle < row["until"]) & times.lost)
    return replace(times, known=times.known & dated)


def _stories(posts: pa.Table, stories: pa.Table | None) -> NDArray[np.int64]:
    """The story of each post; each its own where there is none."""
    own = np.arange(posts.num_rows, dtype=np.int64)
    if stories is None or not stories.num_rows:
        return own
    named = codes(stories["story"]).astype(np.int64) + posts.num_rows
    place = pc.index_in(posts["post"], stories["post"].combine_chunks())
    row = np.asarray(place.fill_null(-1).to_numpy(), np.int64)
    return np.where(row >= 0, named[row], own)


def _changes(rate: RemovalRate, settings: CampaignSettings) -> Changes:
    removed, of = rate.known()
    return change_points(stabilized(removed, of, settings.at_risk), settings.changes)


def _enough(rate: RemovalRate, settings: CampaignSettings) -> tuple[Floats, Floats]:
    """Removed and at risk of the bins that hold enough posts, NaN in the others."""
    removed, of = rate.known()
    enough = np.nan_to_num(of) >= settings.at_risk
    return np.where(enough, removed, np.nan), np.where(enough, of, np.nan)


def _levels(changes: Changes, bins: int) -> NDArray[np.float64]:
    """The rate of each bin's level."""
    if not changes.levels:
        return np.full(bins, np.nan)
    number = np.searchsorted(np.asarray(changes.at, np.int64), np.arange(bins), "right")
    return np.asarray([as_rate(changes.levels[n]) for n in number.tolist()], float)


def _stretches(changes: Changes, missing: NDArray[np.bool_], rise: float) -> list[tuple[int, int]]:
    """First and last bin of each run of levels that lie `rise` above the calm one.

    The calm level is the median over the bins: campaigns are the smaller part of the time.
    """
    levels = _levels(changes, len(missing))
    if not np.isfinite(levels[~missing]).any() or len(changes.levels) < 2:
        return []
    calm = float(np.median(levels[~missing]))
    high = (levels >= rise * calm) & (levels > 0)
    edges = np.flatnonzero(np.diff(np.r_[False, high, False]))
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def _beside_gap(missing: NDArray[np.bool_], first: int, last: int) -> bool:
    padded = np.pad(missing, 1)
    return bool(padded[first] or padded[last + 2])


def _rates(
    rate: RemovalRate,
    changes: Changes,
    times: Moments,
    author: NDArray[np.int32],
    settings: CampaignSettings,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Campaigns in the rate of all posts; the controls are the calm bins."""
    stretches = _stretches(changes, rate.missing, settings.rise)
    calm = ~rate.missing
    for first, last in stretches:
        calm[first : last + 1] = False
    rows = []
    for first, last in stretches:
        begin, end = int(rate.begin[first]), int(rate.begin[last + 1])
        lost = times.removed & times.known & (times.middle >= begin) & (times.middle < end)
        if len(np.unique(author[lost])) < settings.accounts:
            continue
        here = np.zeros(len(calm), bool)
        here[first : last + 1] = True
        here &= ~rate.missing
        rows.append(
            _row("rate", begin, end, (), int(lost.sum()), len(np.unique(author[lost])))
            | _of_bins(rate, here, calm, rng, settings.resamples)
            | {"beside_gap": _beside_gap(rate.missing, first, last)}
        )
    return rows


def _of_bins(
    rate: RemovalRate,
    here: NDArray[np.bool_],
    calm: NDArray[np.bool_],
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    """Shares in and outside a stretch; the interval by resampling bins."""
    share = rate.removed[here].sum() / max(rate.at_risk[here].sum(), 1e-9)
    control = rate.removed[calm].sum() / max(rate.at_risk[calm].sum(), 1e-9)
    ratios = []
    inside, outside = np.flatnonzero(here), np.flatnonzero(calm)
    for _ in range(resamples if len(inside) and len(outside) else 0):
        a, b = rng.choice(inside, len(inside)), rng.choice(outside, len(outside))
        one = rate.removed[a].sum() / max(rate.at_risk[a].sum(), 1e-9)
        other = rate.removed[b].sum() / max(rate.at_risk[b].sum(), 1e-9)
        ratios.append(one / max(other, 1e-9))
    return {
        "posts": round(float(rate.at_risk[here].mean())), "share": float(share),
        "control_share": float(control), "controls": "calm bins",
    } | _interval(float(share / max(control, 1e-9)), ratios)  # fmt: skip


def _interval(rise: float, ratios: Sequence[float]) -> dict[str, Any]:
    if not ratios:
        return {"rise": rise, "rise_low": None, "rise_high": None}
    low, high = np.quantile(ratios, (0.025, 0.975))
    return {"rise": rise, "rise_low": float(low), "rise_high": float(high)}


def _words(
    burst: Burst,
    found: Windows,
    times: Moments,
    author: NDArray[np.int32],
    missing: NDArray[np.bool_],
    settings: CampaignSettings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """A burst of words; the controls are other posts of the same accounts and windows, or of all
    accounts where those are few."""
    first, last = burst.window
    inside = (found.at >= first) & (found.at <= last)
    other = inside & ~np.isin(found.post, burst.posts)
    own = other & np.isin(author[found.post], np.unique(author[burst.posts]))
    same = len(np.unique(found.post[own])) >= settings.controls
    controls = np.unique(found.post[own if same else other])
    lost = times.removed & (times.middle >= found.begin[first])
    lost &= times.middle < found.begin[last + 1]
    moments_ = np.sort(times.middle[burst.removed])
    row = _row("words", int(moments_[0]), int(moments_[-1]), burst.strings, len(burst.removed),
               len(np.unique(author[burst.removed])))  # fmt: skip
    number = int(author.max()) + 1
    counts = [
        np.bincount(author[rows], weights=which, minlength=number)
        for rows in (burst.posts, controls)
        for which in (lost[rows].astype(float), np.ones(len(rows)))
    ]
    share = counts[0].sum() / counts[1].sum()
    control = counts[2].sum() / max(counts[3].sum(), 1)
    active = np.flatnonzero(counts[1] + counts[3])
    ratios = []
    for _ in range(settings.resamples):
        drawn = rng.choice(active, len(active))
        x, n, y, m = (float(c[drawn].sum()) for c in counts)
        if n and m:
            ratios.append((x / n) / max((y + 0.5) / (m + 1), 1e-9))
    return row | {
        "posts": len(burst.posts), "share": float(share), "control_share": float(control),
        "controls": "same accounts, same weeks" if same else "same weeks",
        "p": burst.p, "q": burst.q, "beside_gap": _beside_gap(missing, first, last),
    } | _interval(float(share / max(control, 0.5 / (counts[3].sum() + 1))), ratios)  # fmt: skip


def _accounts(
    accounts: pa.Table, coverage: pa.Table, settings: CampaignSettings
) -> list[dict[str, Any]]:
    """Stretches in which more accounts were lost than else, by days."""
    gone = accounts.filter(
        pc.and_(pc.equal(accounts["state"], State.GONE.value), accounts["gone_by"].is_valid())
    )
    if gone.num_rows < settings.accounts:
        return []
    by = np.asarray(gone["gone_by"].to_numpy(), np.int64)
    last = gone["alive_until"].fill_null(-1).to_numpy()
    middle = np.where(last >= 0, last + (by - last) // 2, by)
    first = int(middle.min()) // DAY * DAY - 14 * DAY  # calm days before the first, for contrast
    edges = first + DAY * np.arange((int(middle.max()) - first) // DAY + 2, dtype=np.int64)
    lost = np.histogram(middle, edges)[0].astype(float)
    missing = gaps_within(coverage, edges) > 1 - settings.rate.covered
    there = np.full(len(lost), float(accounts.num_rows))
    values = stabilized(np.where(missing, np.nan, lost), there)
    changes = change_points(values, settings.changes)
    rows = []
    for a, b in _stretches(changes, missing, settings.rise):
        number = int(lost[a : b + 1].sum())
        if number < settings.accounts:
            continue
        outside = np.ones(len(lost), bool)
        outside[a : b + 1] = False
        outside &= ~missing
        share = number / (b + 1 - a) / accounts.num_rows
        control = float(lost[outside].mean()) / accounts.num_rows if outside.any() else 0.0
        rows.append(
            _row("accounts", int(edges[a]), int(edges[b + 1]), (), number, number)
            | {"posts": accounts.num_rows, "share": share, "control_share": control,
               "controls": "calm days", "rise": share / control if control else None,
               "beside_gap": _beside_gap(missing, a, b)}
        )  # fmt: skip
    return rows


def _row(
    kind: str, begin: Micros, end: Micros, targets: Sequence[str], removed: int, accounts: int
) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS.names) | {
        "kind": kind, "begin": begin, "end": end, "targets": list(targets), "removed": removed,
        "accounts": accounts,
    }  # fmt: skip


def _said(row: dict[str, Any]) -> str:
    """A campaign in a sentence."""
    when = f"{at(row['begin']):%Y-%m-%d} to {at(row['end']):%Y-%m-%d}"
    low = row["rise_low"]
    rise = "" if row["rise"] is None else (
        f", {row['rise']:.1f} times the share of {row['controls']}"
        if low is None
        else f", {row['rise']:.1f} times ({low:.1f} to {row['rise_high']:.1f}) the share of"
             f" {row['controls']}"
    )  # fmt: skip
    if row["kind"] == "accounts":
        return f"{when}: {row['removed']} of {row['posts']} accounts were lost{rise}."
    share = f"{row['share']:.1%}"
    if row["kind"] == "rate":
        return (
            f"{when}: {row['removed']} posts of {row['accounts']} accounts; {share} were"
            f" removed{rise}."
        )
    words = ", ".join(row["targets"][:3])
    return (
        f"{when}: {row['removed']} of {row['posts']} posts with {words}, of {row['accounts']}"
        f" accounts; {share} were removed{rise}."
    )


def _caveats(rate: RemovalRate, changes: Changes, settings: CampaignSettings) -> tuple[str, ...]:
    removed, of = rate.known()
    phi = dispersion(removed, of)
    return (
        f"Shares are of {rate.of.value}. Removals of one bin go together {phi:.1f} times as much"
        " as independent ones would, which was taken into account.",
        f"{int(rate.missing.sum())} of {len(of)} bins are missing, since nobody looked, and"
        f" {changes.missing - int(rate.missing.sum())} hold fewer than {settings.at_risk} posts.",
        "A rise is associated with its words and dates. Who ordered what is not shown by it.",
        f"Nothing rests on fewer than {settings.accounts} accounts.",
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
