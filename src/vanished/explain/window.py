"""A window of time: the posts that were first seen in it, and what had become of them at its end.

In: tables of `archive.arrow`. Out: the same tables, cut. Posts are chosen by when they were met,
not by when they were lost: a choice by loss would leave out, of the older posts, all that survived.
Losses after the end are taken back, so that a report of last month does not change next month;
a verdict that was corrected later counts as it stands today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from vanished.model import Micros, State


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` on, before `until` (microseconds, UTC); None: open. No platforms: all."""

    since: Micros | None = None
    until: Micros | None = None
    platforms: Sequence[str] = ()


def met_within(posts: pa.Table, window: Window) -> pa.Table:
    """The posts of the window, as they were known at its end."""
    if window.platforms:
        posts = posts.filter(pc.is_in(posts["platform"], pa.array(window.platforms, pa.string())))
    if window.since is not None:
        posts = posts.filter(pc.greater_equal(posts["first_seen_at"], window.since))
    return posts if window.until is None else known_at(posts, window.until)


def known_at(posts: pa.Table, until: Micros) -> pa.Table:
    """The posts that were met before `until`, with what was known of them then.

    What a post lost later was then: alive, if it had been proven alive, or unknown. Of looks only
    the totals to date are known, so `looks` and `failed` stay.
    """
    posts = posts.filter(pc.less(posts["first_seen_at"], until))
    later = pc.fill_null(pc.greater_equal(posts["gone_by"], until), False)
    proven = pc.fill_null(pc.less(posts["alive_from"], until), False)
    was = pc.if_else(proven, State.ALIVE.value, State.UNKNOWN.value)
    nothing = pa.scalar(None, pa.int64())
    changed = {
        "alive_from": pc.if_else(proven, posts["alive_from"], nothing),
        "alive_until": pc.if_else(
            proven,
            pc.min_element_wise(posts["alive_until"], until),
            pc.if_else(later, nothing, pc.min_element_wise(posts["alive_until"], until)),
        ),
        "gone_by": pc.if_else(later, nothing, posts["gone_by"]),
        "state": pc.if_else(later, was, posts["state"]),
        "causes": pc.if_else(later, "", posts["causes"]),
        "explained_by": pc.if_else(later, pa.scalar(None, pa.string()), posts["explained_by"]),
        "notice": pc.if_else(later, "", posts["notice"]),
    }
    for name, column in changed.items():
        posts = posts.set_column(posts.schema.get_field_index(name), posts.field(name), column)
    return posts
