"""An early warning for accounts that asked for it: will a post cross a line within some hours?

In: posts and counts, the accounts that consent, a line, a time. Out: for each of their posts that
is alive and not yet over the line, the probability of crossing before removal, with its interval
and the calibration it rests on. Accounts that did not consent are refused: it is no means to watch
others, and it is not for publication.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.charts import channel, chart, whiskers
from vanished.explain.crossing import NEVER, Looks, looks
from vanished.explain.exposure import exposure, hazards, lives
from vanished.explain.fate import Fate, fates
from vanished.explain.forecast import Model, Removal, forecast
from vanished.explain.forecast_prior import prior
from vanished.explain.growth import History
from vanished.explain.result import Basis, Chart
from vanished.explain.thresholds import Threshold, known
from vanished.model import HOUR, Micros, at

Ints = NDArray[np.int64]
METHOD: Final = "alert/1"
CAVEATS: Final = (
    "For the account's own eyes: it names single posts and is not for publication.",
    "A probability is a share of similar posts in the past; it is no promise.",
    "The interval has the counter's rounding and the calibration in it, not that posts of today may"
    " spread otherwise than those that were learned from.",
    "Removal is counted by the rate of all watched posts of the same age that had not crossed.",
    "A counter without a model is not forecast; the line can be crossed by it unseen.",
)
SCHEMA: Final = pa.schema(
    [
        ("post", pa.string()),
        ("account", pa.string()),
        ("counter", pa.string()),
        ("number", pa.int64()),  # of the line
        ("counted_low", pa.int64()),  # at the last look
        ("counted_high", pa.int64()),  # null: open above
        ("looked_at", pa.int64()),  # microseconds, UTC
        ("hours", pa.float64()),  # from the asking on
        ("crossing", pa.float64()),  # probability, before removal
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("removed_first", pa.float64()),
        ("unremoved", pa.float64()),  # of crossing, if nothing were removed
    ]
)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What is asked."""

    threshold: str = "cn-defamation-2013"  # id of the line
    hours: Sequence[float] = (1, 3, 6, 24)
    fresh_h: float = 2.0  # a post whose last look is older is not forecast
    ages_h: Sequence[float] = (1, 3, 6, 12, 24, 48, 96, 168)  # parts of age with a rate of removal


@dataclass(frozen=True, slots=True)
class Alert:
    """The result; `stale` posts were not counted lately enough to say anything."""

    basis: Basis
    line: Threshold
    asked_at: Micros
    rows: pa.Table
    stale: int
    origins: Mapping[str, str]  # by counter, what its model was learned from
    settings: AlertSettings = AlertSettings()
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """A row for each post, counter and time ahead, likeliest posts first: `SCHEMA`."""
        return self.rows

    def chart(self) -> Chart:
        """The probability of each post at the last time ahead, for the twenty likeliest."""
        last = max(self.settings.hours)
        rows = [r for r in self.rows.to_pylist() if r["hours"] == last][:20]
        rows = [row | {"name": f"{row['post'][:16]} ({row['counter']})"} for row in rows]
        name = channel("name", None, "nominal", sort=None)
        title = f"probability of crossing within {last:g} h, 95 % interval"
        x = channel("crossing", title, scale={"domain": [0, 1]}, axis={"format": ".0%"})
        dots: Chart = {"mark": {"type": "point", "filled": True, "size": 70},
                       "encoding": {"x": x, "y": name}}  # fmt: skip
        ends = whiskers(name, "low", "high", lying=True)
        ends["encoding"]["x"]["title"] = title  # Vega-Lite leaves all titles out where one is null
        under = f"{self.basis.text()}; asked at {at(self.asked_at):%Y-%m-%d %H:%M} UTC"
        found = chart(f"Will it cross {self.line.name}?", under, rows, [ends, dots])
        found["height"] = max(60, 24 * len(rows))
        return found

    def text(self) -> str:
        """One sentence a post and time ahead, likeliest first, and what it rests on."""
        rows = self.rows.to_pylist()
        lines = [_said(row) for row in rows]
        if not rows:
            lines = ["No post of these accounts can be forecast now."]
        if self.stale:
            lines.append(f"{self.stale} posts were not counted in the last"
                         f" {self.settings.fresh_h:g} h.")  # fmt: skip
        return "\n".join(lines + [f"The forecast of {c} rests on {o}." for c, o in
                                  self.origins.items()])  # fmt: skip


def alert(
    posts: pa.Table,
    counts: pa.Table,
    accounts: Sequence[str],
    consenting: Collection[str],
    now: Micros,
    settings: AlertSettings = AlertSettings(),
    models: Sequence[Model] | None = None,
    lines: Mapping[str, Threshold] | None = None,
) -> Alert:
    """Probabilities of crossing for the posts of `accounts` that are alive and under the line.

    `posts` and `counts` (`archive.arrow`) are of all watched accounts: the rate of removal comes
    from all of them. `consenting` are the keys of the accounts that agreed to be forecast; `now` is
    the time of the asking. `models` has one a counter, the prior alone if None; counters without a
    model are left out. Raises UsageError for an account that did not consent or is not watched, an
    unknown line, or hours that a model was not learned for.
    """
    _refuse(posts, accounts, consenting)
    lines, models = lines or known(), models or [prior()]
    if settings.threshold not in lines:
        raise UsageError(f"No threshold is named '{settings.threshold}'; known are"
                         f" {', '.join(lines)}.")  # fmt: skip
    line = lines[settings.threshold]
    usable = {m.counter: m for m in models if m.counter in line.reaches}
    if not usable:
        raise UsageError(f"No model forecasts a counter of '{line.id}'; fit one.")
    counts = counts.filter(pc.less_equal(counts["at"], now))
    fate = fates(posts)
    mine = pc.is_in(posts["account"], pa.array(list(accounts), pa.string()))
    own = posts.filter(pc.and_(mine, pa.array(fate == Fate.SURVIVED)))
    removal = _removal(posts, counts, line, settings)
    rows: list[dict[str, Any]] = []
    stale = 0
    for counter, model in usable.items():
        found = looks(own, counts, {counter: line.reaches[counter]})
        more, old = _forecasts(own, found, model, line.reaches[counter], now, removal, settings)
        rows, stale = rows + more, stale + old
    return Alert(
        Basis.of(posts.filter(mine)), line, now, pa.Table.from_pylist(_likeliest(rows), SCHEMA),
        stale, {name: f"{m.cascades} cascades, {m.origin}" for name, m in usable.items()}, settings,
    )  # fmt: skip


def _said(row: Mapping[str, Any]) -> str:
    """The sentence of one row."""
    return (f"{row['crossing']:.0%} ({row['low']:.0%} to {row['high']:.0%}) that {row['post']}"
            f" reaches {row['number']:,} {row['counter']} within {row['hours']:g} h;"
            f" {row['removed_first']:.0%} that it is removed first.")  # fmt: skip


def _refuse(posts: pa.Table, accounts: Sequence[str], consenting: Collection[str]) -> None:
    """Raises UsageError unless every account is watched and agreed."""
    if not accounts:
        raise UsageError("Name the accounts to be warned; each has to have consented.")
    watched = set(pc.unique(posts["account"]).to_pylist())
    for account in accounts:
        if account not in consenting:
            raise UsageError(f"The account {account} did not consent to be forecast; warnings are"
                             " only for accounts that asked for them.")  # fmt: skip
        if account not in watched:
            raise UsageError(f"No post of the account {account} was watched.")


def _removal(
    posts: pa.Table, counts: pa.Table, line: Threshold, settings: AlertSettings
) -> Removal:
    """Removals an hour by age, of all posts that had not crossed."""
    found = exposure(lives(posts), looks(posts, counts, line.reaches), settings.ages_h)
    return Removal(settings.ages_h, hazards(found, len(settings.ages_h) + 1))


def _forecasts(
    own: pa.Table,
    found: Looks,
    model: Model,
    number: int,
    now: Micros,
    removal: Removal,
    settings: AlertSettings,
) -> tuple[list[dict[str, Any]], int]:
    """Rows of the posts under the line, and how many were not counted lately enough."""
    rows, stale = [], 0
    born = lives(own).born
    names = zip(own["post"].to_pylist(), own["account"].to_pylist(), strict=True)
    for index, (post, account) in enumerate(names):
        here = slice(*np.searchsorted(found.post, [index, index + 1]))
        low, high = found.low[model.counter][here], found.high[model.counter][here]
        seen = np.minimum(found.until[here], now)
        if not len(low) or seen[-1] < now - settings.fresh_h * HOUR:
            stale += 1
            continue
        if low.max() >= number:
            continue
        history = _history(int(born[index]), found.at[here], seen, low, high)
        waited = max(0.0, (now - history.born) / HOUR - float(history.ages_h[-1]))
        what = {
            "post": post, "account": account, "counter": model.counter, "number": number,
            "counted_low": int(low[-1]),
            "counted_high": None if high[-1] == NEVER else int(high[-1]),
            "looked_at": int(seen[-1]),
        }  # fmt: skip
        chances = forecast(model, history, number, settings.hours, removal, waited)
        rows += [what | asdict(one) for one in chances]
    return rows, stale


def _history(born: Micros, at: Ints, until: Ints, low: Ints, high: Ints) -> History:
    """Looks as a history: each count at the first and the last look that showed it. A count that
    fell had been reached, so the lower end never falls."""
    times = np.maximum(np.stack([at, until], axis=1).ravel(), born)
    ages = np.maximum.accumulate((times - born) / HOUR)
    least = np.maximum.accumulate(low).astype(float)
    most = np.where(high == NEVER, np.inf, np.maximum(high, least))
    return History(born, ages, np.repeat(least, 2), np.repeat(most, 2))


def _likeliest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the likeliest posts first, each post's by time ahead."""
    best: dict[str, float] = {}
    for row in rows:
        best[row["post"]] = max(best.get(row["post"], 0.0), row["crossing"])
    return sorted(rows, key=lambda row: (-best[row["post"]], row["post"], row["hours"]))
