"""The one shape of every analysis: a table, a chart, a text, and what they rest on.

An analysis is a pure function `(tables..., settings) -> Result`. The tables are those of
`archive.arrow`, the settings a frozen dataclass of its own. It reads no clock and no file, and
draws its random numbers from `settings.seed`. What it finds is associated, not shown to be caused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from vanished.model import Cause, Micros, State, at

Chart = dict[str, Any]
"""A Vega-Lite specification with its values inline; `publish` draws it, a browser could too."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a finding rests on: its denominators."""

    posts: int
    accounts: int
    lost: int  # posts by verdict gone
    unknown: int  # of these, losses whose cause is entirely open
    open: int  # of these, losses that leave several causes open
    never_alive: int  # of the lost, those that nobody here saw alive
    since: Micros | None  # first sight of the first post
    until: Micros | None  # last time anything was proven of any of them

    @classmethod
    def of(cls, posts: pa.Table) -> Basis:
        """The denominators of a table of posts (`archive.arrow.POSTS`)."""
        gone = posts.filter(pc.equal(posts["state"], State.GONE.value))
        causes = gone["causes"]
        several = pc.fill_null(pc.match_substring(causes, ","), False)
        last = [pc.max(posts[name]).as_py() for name in ("alive_until", "gone_by")]
        return cls(
            posts=posts.num_rows,
            accounts=pc.count_distinct(posts["account"]).as_py(),
            lost=gone.num_rows,
            unknown=pc.sum(pc.equal(causes, Cause.UNKNOWN.value)).as_py() or 0,
            open=pc.sum(several).as_py() or 0,
            never_alive=gone["alive_until"].null_count,
            since=pc.min(posts["first_seen_at"]).as_py(),
            until=max((t for t in last if t is not None), default=None),
        )

    def text(self) -> str:
        """One sentence."""
        when = ""
        if self.since is not None and self.until is not None:
            when = f", {at(self.since):%Y-%m-%d} to {at(self.until):%Y-%m-%d} UTC"
        share = (
            f" ({self.unknown / self.lost:.0%} of them by an unknown cause)" if self.lost else ""
        )
        return (
            f"{self.posts} posts of {self.accounts} watched accounts{when}; {self.lost} lost{share}"
        )


class Result(Protocol):
    """What an analysis found. `method` is its name and version, such as "terms/1"."""

    @property
    def method(self) -> str: ...

    @property
    def settings(self) -> Any: ...  # a frozen dataclass

    @property
    def basis(self) -> Basis: ...

    @property
    def caveats(self) -> Sequence[str]: ...  # sentences; what the numbers do not say

    def table(self) -> pa.Table:
        """The findings, a row each, best first, with their counts, intervals and tests."""

    def chart(self) -> Chart:
        """The findings as a picture."""

    def text(self) -> str:
        """The findings in sentences, numbers first; neither basis, method nor caveats."""


def facts(result: Result) -> dict[str, Any]:
    """A result as JSON carries it."""
    return {
        "method": result.method,
        "settings": dataclasses.asdict(result.settings),
        "basis": dataclasses.asdict(result.basis),
        "caveats": list(result.caveats),
        "rows": result.table().to_pylist(),
    }
