"""The past of a folder as Arrow tables, within a window of time, for whoever explains it.

In: an observatory's folder and a window. Out: tables, read one at a time, when they are asked for:
all of them together would not fit where one does. Only the past is read, never the present.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from vanished.archive.observatory import Observatory
from vanished.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from vanished.explain.window import Window

MISSING: Final = (
    "explaining needs more than the core install has ({name}); add it with:"
    " pip install 'vanished[explain]'."
)

MEMORY: Final = "512MB"
"""Of DuckDB, beside the tables that it hands out."""


@dataclass(frozen=True, slots=True)
class Past:
    """An open past. `sealed`: the words of posts lie only in sealed captures."""

    observatory: str  # its id
    sealed: bool
    window: Window
    _past: duckdb.DuckDBPyConnection
    _of: Observatory

    def posts(self) -> pa.Table:
        """Posts that were first met in the window, as they were known at its end."""
        from vanished.archive import arrow
        from vanished.explain.window import met_within

        return met_within(arrow.posts(self._past), self.window)

    def posts_today(self) -> pa.Table:
        """The same posts as they are known today, whatever the window's end."""
        import pyarrow.compute as pc

        from vanished.archive import arrow
        from vanished.explain.window import met_within

        posts = met_within(arrow.posts(self._past), replace(self.window, until=None))
        if self.window.until is None:
            return posts
        return posts.filter(pc.less(posts["first_seen_at"], self.window.until))

    def of_platform(self, platform: str) -> pa.Table:
        """Posts of this platform instead of the window's."""
        from vanished.archive import arrow
        from vanished.explain.window import met_within

        return met_within(arrow.posts(self._past), replace(self.window, platforms=(platform,)))

    def counts(self, posts: pa.Table, counters: Collection[str]) -> pa.Table:
        """What these counters of these posts showed before the window's end; the others are null.

        The counts of a large past are its largest table: name only what is needed.
        """
        from vanished.archive import arrow

        wanted = [counter for counter in arrow.COUNTERS if counter in counters]
        return arrow.counts(self._past, posts, self.window.until, wanted)

    def pictures(self, posts: pa.Table) -> pa.Table:
        """The pictures of these posts."""
        from vanished.archive import arrow

        return arrow.pictures(self._past, posts)

    def accounts(self) -> pa.Table:
        """Every account."""
        from vanished.archive import arrow

        return arrow.accounts(self._past)

    def coverage(self) -> pa.Table:
        """When subjects and vantages were watched, and when not."""
        from vanished.archive import arrow

        return arrow.coverage(self._past)

    def looks(self, posts: pa.Table) -> pa.Table:
        """How often these posts were looked at, by day."""
        from vanished.archive import arrow

        return arrow.looks(self._past, posts)

    def measurements(self) -> pa.Table:
        """What was measured of networks in the window. The present is asked which sites are those
        of a few accounts, so that none of these is named."""
        from vanished.archive import arrow
        from vanished.archive.kept_measurements import measurements, shown_names

        since, until = self.window.since, self.window.until
        found = [
            one
            for one in measurements(self._of)
            if (since is None or one.measured_at >= since)
            and (until is None or one.measured_at < until)
        ]
        return arrow.measurements(found, shown_names(self._of, found))


@contextmanager
def past_of(folder: Path, window: Window) -> Iterator[Past]:
    """The past of the observatory in `folder`. Raises UsageError without the extra `explain`."""
    need_extra()
    with Observatory.open(folder) as observatory, observatory.past() as past:
        past.execute(f"set memory_limit = '{MEMORY}'")  # what needs more spills
        yield Past(observatory.settings.id, observatory.sealed, window, past, observatory)


def need_extra() -> None:
    """Raises UsageError, naming what is missing, where the extra `explain` is not installed."""
    import importlib.util

    for name in ("pyarrow", "scipy", "vl_convert"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(MISSING.format(name=name))
