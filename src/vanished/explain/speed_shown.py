"""The findings of `speed` as tables, a chart, sentences and caveats.

In: lives by group. Out: what people and programs read of them. Nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from vanished.explain.ages import Latency
from vanished.explain.charts import band, channel, line
from vanished.explain.charts import chart as layered
from vanished.explain.lives import Curve, Estimate, Lives
from vanished.explain.result import Chart

_NUMBER: Final = pa.float64()
COLUMNS: Final = pa.schema(
    [
        ("group", pa.string()),
        ("cause", pa.string()),  # "removed", "account", "author", "open", "other"; "any": all
        ("age_h", _NUMBER),  # since publication
        ("since_h", _NUMBER),  # all shares are of posts alive at this age
        ("posts", pa.int64()),  # of the group
        ("accounts", pa.int64()),
        ("at_risk", pa.int64()),  # posts at this age
        ("losses", pa.int64()),  # by this cause, at any age
        ("loss_accounts", pa.int64()),  # that had them
        ("share", _NUMBER),  # gone by this cause by this age: nonparametric estimate
        ("least", _NUMBER),  # what looks leave open lies between these two
        ("most", _NUMBER),
        ("low", _NUMBER),  # 95 % band of these two
        ("high", _NUMBER),
        ("fit", _NUMBER),  # by the fitted curve, with its 95 % band
        ("fit_low", _NUMBER),
        ("fit_high", _NUMBER),
        ("fit_holds", pa.bool_()),  # it stays in the band, at all ages
    ]
)
GROUP_COLUMNS: Final = pa.schema(
    [
        ("group", pa.string()),
        ("posts", pa.int64()),
        ("accounts", pa.int64()),
        ("removals", pa.int64()),
        ("since_h", _NUMBER),
        ("until_h", _NUMBER),  # the last age that is told of
        ("median_h", _NUMBER),  # half of the removals until then had happened by this age
        ("median_low", _NUMBER),
        ("median_high", _NUMBER),
        ("family", pa.string()),  # of the fitted curve
        ("fit_off", _NUMBER),  # by which share of posts it leaves the band, at most
        ("fit_holds", pa.bool_()),
        ("ever", _NUMBER),  # share of posts removed in the end, by the curve
        ("ever_low", _NUMBER),
        ("ever_high", _NUMBER),
        ("fit_median_h", _NUMBER),  # by it half of all that are ever removed are gone
        ("fit_median_low", _NUMBER),
        ("fit_median_high", _NUMBER),
    ]
)
_MOST_GROUPS: Final = 7  # in a chart
_CURVE: Final = 60  # points of a drawn line
_ASIDE: Final = 1.06  # times the age, between the marks of two causes or groups at one age
_TOLD_H: Final = (0.5, 1.0, 24.0)
_VAGUE: Final = 0.3  # an interval as wide is not worth a sentence


def table(groups: Mapping[str, Lives]) -> pa.Table:
    """`COLUMNS`, by group, cause and age."""
    rows = [
        _row(name, group, cause, curve, place)
        for name, group in groups.items()
        for cause, curve in group.curves.items()
        for place in range(group.ages_h.size)
    ]
    return pa.Table.from_pylist(rows, COLUMNS)


def _row(name: str, group: Lives, cause: str, curve: Curve, place: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "group": name,
        "cause": cause,
        "age_h": float(group.ages_h[place]),
        "since_h": group.since_h,
        "posts": group.posts,
        "accounts": group.accounts,
        "at_risk": int(group.at_risk[place]),
        "losses": curve.losses,
        "loss_accounts": curve.accounts,
        "share": float(curve.estimate[place]),
        "fit_holds": group.fitted.holds if group.fitted and curve.fit is not None else None,
    }
    for field in ("least", "most", "low", "high", "fit", "fit_low", "fit_high"):
        values = getattr(curve, field)
        row[field] = None if values is None else float(values[place])
    return row


def groups_table(groups: Mapping[str, Lives]) -> pa.Table:
    """`GROUP_COLUMNS`."""
    rows = []
    for name, group in groups.items():
        fitted, removed = group.fitted, group.curves.get("removed")
        row = {
            "group": name,
            "posts": group.posts,
            "accounts": group.accounts,
            "removals": removed.losses if removed else None,
            "since_h": group.since_h,
            "until_h": float(group.ages_h[-1]),
            "family": fitted.family if fitted else None,
            "fit_off": fitted.off if fitted else None,
            "fit_holds": fitted.holds if fitted else None,
        } | _interval("median_h", group.median_h)
        if fitted:
            row |= _interval("ever", fitted.ever) | _interval("fit_median_h", fitted.median_h)
        rows.append(row)
    return pa.Table.from_pylist(rows, GROUP_COLUMNS)


def _interval(name: str, found: Estimate) -> dict[str, float | None]:
    stem = name.removesuffix("_h")
    values = {name: found.value, f"{stem}_low": found.low, f"{stem}_high": found.high}
    return {key: value if np.isfinite(value) else None for key, value in values.items()}


# -- the chart -----------------------------------------------------------------------------------


def chart(groups: Mapping[str, Lives], posts: int) -> Chart:
    """Shares gone by age. One group: its causes. Several: their removals."""
    shown = dict(list(groups.items())[:_MOST_GROUPS])
    several = len(groups) > 1
    marks, fits = [], []
    drawn = [
        (f"{name} ({group.posts} posts)" if several else cause, group, curve)
        for name, group in shown.items()
        for cause, curve in group.curves.items()
        if cause == "removed" or not (several or cause == "any")
    ]
    for place, (what, group, curve) in enumerate(drawn):
        marks += _points(what, group, curve, _ASIDE ** (place - (len(drawn) - 1) / 2))
        fits += _line(what, group, curve)
    accounts = sum(group.accounts for group in groups.values())
    under = [
        "thick: what the looks leave open; thin: 95 % band; line and shade: fitted curve",
        _denominators(groups, posts, accounts, several, len(groups) - len(shown)),
    ]
    ages_h = [float(age) for age in next(iter(shown.values())).ages_h] if shown else []
    axis = channel(
        "age_h",
        "age of the post (hours, logarithmic)",
        scale={"type": "log", "nice": False},
        axis={"values": ages_h, "format": ".3~r"},
    )
    legend = {"symbolOpacity": 1}
    colour = channel("what", "group" if several else "cause", "nominal", legend=legend, sort=None)
    fitted = line(axis, _share("fit"), colour)
    shade = band(axis, "fit_low", "fit_high", colour)
    shade["encoding"]["y"] = _share("fit_low")
    point = {"mark": {"type": "point", "filled": True, "size": 28}}
    layers = [
        shade,
        fitted,
        _rule(axis, "low", "high", colour, 1),
        _rule(axis, "least", "most", colour, 5),
        point | {"encoding": {"x": axis, "y": _share("share"), "color": colour}},
    ]
    rows = [*fits, *marks]
    for layer, kind in zip(layers, ("fit", "fit", "mark", "mark", "mark"), strict=True):
        layer["transform"] = [{"filter": f"datum.kind == '{kind}'"}]
    found = layered("How long posts live", "", rows, layers)
    found["title"]["subtitle"] = under
    return found


def _denominators(
    groups: Mapping[str, Lives], posts: int, accounts: int, several: bool, hidden: int
) -> str:
    if not several:
        since = next(iter(groups.values())).since_h if groups else 0
        return f"{posts} posts of {accounts} watched accounts, alive at age {duration(since)}"
    more = f"; {hidden} smaller groups not shown" if hidden else ""
    return f"{posts} posts of watched accounts; removals by group{more}"


def _share(field: str) -> Chart:
    return channel(field, "share of posts gone by then (%)", axis={"format": "%"})


def _rule(x: Chart, low: str, high: str, colour: Chart, width: float) -> Chart:
    ends: Chart = {"x": x, "y": _share(low), "y2": {"field": high}, "color": colour}
    return {"mark": {"type": "rule", "strokeWidth": width, "opacity": 0.6}, "encoding": ends}


def _points(what: str, group: Lives, curve: Curve, aside: float) -> list[dict[str, Any]]:
    return [
        {
            "kind": "mark",
            "what": what,
            "age_h": round(float(age) * aside, 4),
            "share": float(curve.estimate[place]),
            "least": float(curve.least[place]),
            "most": float(curve.most[place]),
            "low": float(curve.low[place]),
            "high": float(curve.high[place]),
        }
        for place, age in enumerate(group.ages_h)
    ]


def _line(what: str, group: Lives, curve: Curve) -> list[dict[str, Any]]:
    if curve.fit is None or curve.fit_low is None or curve.fit_high is None:
        return []
    log = np.log(group.ages_h)
    at = np.linspace(log[0], log[-1], _CURVE)
    drawn = {
        name: np.interp(at, log, values)
        for name, values in (
            ("fit", curve.fit),
            ("fit_low", curve.fit_low),
            ("fit_high", curve.fit_high),
        )
    }
    return [
        {"kind": "fit", "what": what, "age_h": float(np.exp(x))}
        | {name: float(values[place]) for name, values in drawn.items()}
        for place, x in enumerate(at)
    ]


# -- words ---------------------------------------------------------------------------------------


def text(groups: Mapping[str, Lives], latency_h: float, posts: int) -> str:
    """Sentences a group; at most `_MOST_GROUPS`."""
    if not groups:
        return f"{posts} posts were seen alive: too few to say how long posts live."
    said = [
        f"Half of the {posts} posts were first seen within {duration(latency_h)} of publication; "
        "what went before its first sight is not in these numbers."
    ]
    for name, group in list(groups.items())[:_MOST_GROUPS]:
        said.append(_said(name if len(groups) > 1 else "", group))
    return "\n".join(said)


def _said(name: str, group: Lives) -> str:
    head = f"{name}: " if name else ""
    curve = group.curves.get("removed")
    if curve is None:
        return f"{head}{group.posts} posts; removals rest on too few accounts to be told."
    end = duration(float(group.ages_h[-1]))
    said = [
        f"{head}{_percent(curve.estimate[-1])} of {group.posts} posts of {group.accounts} watched "
        f"accounts, alive at {duration(group.since_h)}, were removed by age {end} (95 % band "
        f"{_percent(curve.low[-1])} to {_percent(curve.high[-1])}; {curve.losses} removals)."
    ]
    if np.isfinite(group.median_h.value):
        m = group.median_h
        said.append(
            f"Half of these were gone by {duration(m.value)} (from {duration(m.low)} to "
            f"{duration(m.high)})."
        )
        said += [
            f"Between {_percent(e.low)} and {_percent(e.high)} were gone by {duration(age)}."
            for age, e in group.within
            if age in _TOLD_H and age < group.ages_h[-1] and e.high - e.low < _VAGUE
        ]
    if group.fitted:
        fitted = group.fitted
        word = "holds" if fitted.holds else f"does not hold (off by {_percent(fitted.off)})"
        said.append(
            f"A {fitted.family} curve {word}: by it {_percent(fitted.ever.value)} are removed in "
            f"the end ({_percent(fitted.ever.low)} to {_percent(fitted.ever.high)})."
        )
    return " ".join(said)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def duration(hours: float) -> str:
    """Hours in the unit that suits them."""
    if not np.isfinite(hours):
        return "an unknown time"
    if hours < 1:
        minutes = hours * 60
        return f"{minutes:.0f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"
    return f"{hours:.3g} h" if hours < 72 else f"{hours / 24:.3g} days"


def caveats(
    groups: Mapping[str, Lives],
    latency: Latency,
    *,
    silent: int,
    withheld: int,
    open_too: bool,
    inside: bool,
) -> Sequence[str]:
    """What the numbers do not say."""
    found = [
        "Among watched accounts: they are no sample of a platform's posts.",
        "A post lost before its first sight is in no number, and nor is one that never appeared.",
        "What ends a life is the cause that facts prove; losses with several possible causes are "
        "counted as removals here, which bounds them from above."
        if open_too
        else "What ends a life is the cause that facts prove; losses with several possible causes "
        "are a cause of their own, open.",
    ]
    if latency.never_alive:
        found.append(f"{latency.never_alive} posts that nobody here saw alive are left out.")
    if latency.late:
        found.append(
            f"{latency.late} posts that were first seen too long after publication are left out."
        )
    if latency.unclaimed:
        found.append(
            f"Of {latency.unclaimed} posts no usable publication time is known: their age counts "
            "from first sight, so they are older than it says."
        )
    if any(group.fitted and not group.fitted.holds for group in groups.values()):
        found.append("A fitted curve leaves the band of the data: do not quote it where it does.")
    if any(group.fitted for group in groups.values()):
        found.append(
            "Shares removed in the end reach beyond the ages that were looked at: a guess."
        )
        found.append(
            "Between looks that are far apart any curve passes the check: the band is what holds."
        )
    if silent:
        found.append(f"{silent} groups had too few posts at risk to say anything.")
    if withheld:
        found.append(f"{withheld} posts stand in groups of too few accounts, and are withheld.")
    if any("removed" not in group.curves for group in groups.values()):
        found.append("Losses that rest on too few accounts are put together or withheld.")
    if inside:
        found.append("For eyes inside the team: cells rest on fewer than five accounts.")
    return tuple(found)
