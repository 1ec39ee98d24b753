"""How far posts and stories spread, and whether they vanished before or after they crossed a line.

In: tables of posts and counts, and of stories if there are any. Out: how many crossed and when,
what became of them, removals before and after crossing among posts of the same account and age, and
a counter by age. Removal ends a cascade: what a removed post would have reached is not said here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from vanished.errors import UsageError
from vanished.explain.crossing import NEVER, Crossings, Looks, crossings, looks, story_above
from vanished.explain.exposure import Lives, exposure, lives
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K
from vanished.explain.spread_chart import curves, drawn
from vanished.explain.spread_rows import (
    AFTER,
    AGE,
    BEFORE,
    RATIO,
    SCHEMA,
    SEEN,
    SUMMED,
    Row,
    post_rows,
    rate_rows,
    story_rows,
)
from vanished.explain.thresholds import Threshold, known

METHOD: Final = "spread/1"
CAVEATS: Final = (
    "Removal ends a cascade: a post that was removed below the line might have crossed it.",
    "A post counts as crossed only where a look proved it; one that was lost soon after its last"
    " look may have crossed unseen.",
    "A counter that the platform does not show proves nothing: a post can have crossed by its views"
    " where only reposts are shown.",
    "The sum over a story is a lower bound: copies that nobody watched are not in it.",
    "Rates before and after crossing are compared among posts of the same account and age, or"
    " platform and age if so set; what spreads far also differs in content, so the ratio is an"
    " association.",
    "Only removals by platform or law count, and with open causes where that was asked for.",
    "Counts are what a platform showed. Whether a post was unlawful is not asked here.",
    f"Groups of fewer than {K} accounts are counted together with others, or not shown.",
)


AGES_H: Final = (
    0.5, 1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 30, 36, 42, 48, 60, 72, 84, 96, 120, 144, 168, 240, 336,
    504, 720,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """How spread is counted. Raises UsageError for ages that do not rise."""

    threshold: str = "cn-defamation-2013"  # id of the line
    ages_h: Sequence[float] = AGES_H
    """Hours of age that part the strata in which removals are compared. Wide ones compare young
    posts with older ones; narrow ones cost nearly no precision."""
    within_accounts: bool = True  # compare posts of one account; or else of one platform
    open_too: bool = False  # losses with an open cause count as removed as well

    def __post_init__(self) -> None:
        ages = np.asarray(self.ages_h, float)
        if not (len(ages) and (ages > 0).all() and (np.diff(ages) > 0).all()):
            raise UsageError("ages_h must be hours above zero in rising order.")


@dataclass(frozen=True, slots=True)
class Spread:
    """The result. `each` and `stories` have one row a post and a story, for the observatory's own
    eyes: they are not in `table()`, since a single post can be recognised."""

    basis: Basis
    line: Threshold
    rows: pa.Table
    each: pa.Table
    stories: pa.Table
    curves: Sequence[Mapping[str, Any]]
    counter: str  # of the curves
    before_law: int  # posts that began while the line was not in force
    settings: SpreadSettings = SpreadSettings()
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """Shares, ages and rates: `spread_rows.SCHEMA`."""
        return self.rows

    def chart(self) -> Chart:
        """A counter by age of removed and of other posts, with the line."""
        return drawn(self.curves, self.line, self.counter, self.basis)

    def text(self) -> str:
        """Numbers first."""
        rows = {(row["unit"], row["finding"]): row for row in self.rows.to_pylist()}
        seen = rows["post", SEEN]
        if not seen["n"]:
            return f"No counter of the line ({self.line.name}) was seen of enough accounts."
        lines = [f"{seen['n']:.0f} of {seen['of']:.0f} posts of watched accounts showed a counter"
                 f" of the line ({self.line.name})."]  # fmt: skip
        lines += [_share_said(row) for row in rows.values() if row["measure"] == "share"
                  and row["unit"] == "post" and row["finding"] != SEEN]  # fmt: skip
        when = rows["post", AGE]
        if when["n"]:
            lines.append(f"The median age at crossing of {when['n']:.0f} posts lies between"
                         f" {when['low']:.1f} and {when['high']:.1f} h.")  # fmt: skip
        group = "account" if self.settings.within_accounts else "platform"
        lines.append(_compared(rows, group))
        summed = rows.get(("story", SUMMED))
        if summed and summed["of"]:
            lines.append(f"{summed['n']:.0f} of {summed['of']:.0f} stories crossed by the sum over"
                         " their watched posts, a lower bound.")  # fmt: skip
        if self.before_law:
            lines.append(f"{self.before_law} posts began while the line was not in force.")
        return "\n".join(line for line in lines if line)


def spread(
    posts: pa.Table,
    counts: pa.Table,
    stories: pa.Table | None = None,
    settings: SpreadSettings = SpreadSettings(),
    lines: Mapping[str, Threshold] | None = None,
) -> Spread:
    """What crossed the line, when, and what was removed before and after.

    `posts` and `counts` as `archive.arrow`; `stories` with columns post and story; `lines` are the
    thresholds by id, those of `thresholds.toml` if None. Raises UsageError for an unknown line, a
    table with a post twice, or a counter that is no interval.
    """
    lines = known() if lines is None else lines
    if settings.threshold not in lines:
        raise UsageError(f"No threshold is named '{settings.threshold}'; known are"
                         f" {', '.join(lines)}.")  # fmt: skip
    line = lines[settings.threshold]
    found = looks(posts, counts, line.reaches)
    del counts  # the largest table of a past; what is needed of it is in `found`
    crossed, of = crossings(posts.num_rows, found), lives(posts, open_too=settings.open_too)
    at_risk = exposure(of, found, settings.ages_h, within_accounts=settings.within_accounts)
    rows = post_rows(crossed, of) + rate_rows(at_risk)
    by_story, more = _stories(posts, found, stories, line, of)
    counter = max(line.reaches, key=lambda name: int(found.low[name].max(initial=0) > 0))
    return Spread(
        Basis.of(posts), line, pa.Table.from_pylist(rows + more, schema=SCHEMA),
        _each(posts, crossed, of), by_story, curves(of, found, counter), counter,
        len(of.born) - int(line.in_force(of.born).sum()), settings,
    )  # fmt: skip


def _stories(
    posts: pa.Table, found: Looks, stories: pa.Table | None, line: Threshold, of: Lives
) -> tuple[pa.Table, list[Row]]:
    """One row a story with its time, and the rows of the table."""
    given = {} if stories is None else dict(
        zip(stories["post"].to_pylist(), stories["story"].to_pylist(), strict=True)
    )  # fmt: skip
    if stories is not None and len(given) < stories.num_rows:
        raise UsageError("The table of stories has a post twice; a post is in one story.")
    mine = [given.get(post) for post in posts["post"].to_pylist()]
    number = {name: n for n, name in enumerate(sorted({m for m in mine if m is not None}))}
    story = np.asarray([-1 if m is None else number[m] for m in mine], np.int64)
    above = story_above(posts.num_rows, found, story, line.reaches)
    inside, seen = story >= 0, np.zeros(len(number), bool)
    seen[story[found.post[inside[found.post]]]] = True
    gone = np.bincount(story[inside & of.removed], minlength=len(number))
    pairs = np.unique(np.stack([story[inside], of.account[inside]]), axis=1)
    each = pa.table(
        {
            "story": pa.array(list(number)) if number else pa.array([], pa.string()),
            "posts": np.bincount(story[inside], minlength=len(number)),
            "accounts": np.bincount(pairs[0], minlength=len(number)),
            "crossed_by": pa.array(above, mask=above == NEVER),
            "removed": gone,
        }
    )
    return each, story_rows(story[inside], of.account[inside], above, seen, gone) if number else []


def _each(posts: pa.Table, crossed: Crossings, of: Lives) -> pa.Table:
    """One row a post: between when it crossed, and on which side of the line it was last."""
    names = np.asarray(["below", "crossed", "open"], object)
    state = np.where(crossed.looks > 0, names[crossed.last], "not counted")
    return pa.table(
        {
            "post": posts["post"],
            "below_until": pa.array(crossed.below, mask=crossed.below < 0),
            "above_by": pa.array(crossed.above, mask=crossed.above == NEVER),
            "looks": crossed.looks,
            "line": pa.array(state.tolist(), pa.string()),
            "removed": of.removed,
        }
    )


def _share_said(row: Mapping[str, Any]) -> str:
    """The sentence of a share; none where it has no numbers."""
    if row["value"] is None:
        return ""
    between = "" if row["low"] is None else f"; 95 % interval {row['low']:.1%} to {row['high']:.1%}"
    return (
        f"{row['n']:.0f} of {row['of']:.0f} posts: {row['finding']} ({row['value']:.1%} of"
        f" them{between})."
    )


def _compared(rows: Mapping[tuple[str, str], Mapping[str, Any]], group: str) -> str:
    """The sentence on removals before and after."""
    both = rows["post", RATIO]
    if both["value"] is None:
        return "Too little was removed on one side of the line to compare the two."
    before, after = (rows["post", side]["value"] for side in (BEFORE, AFTER))
    between = "" if both["low"] is None else (
        f"; 95 % interval {both['low']:.2f} to {both['high']:.2f}, p = {both['p']:.2g}"
    )  # fmt: skip
    return (f"{after:.2f} removals per 1,000 post-hours after crossing, {before:.2f} before; at the"
            f" same {group} and age crossing is associated with {both['value']:.2f} times the rate"
            f"{between}.")  # fmt: skip
