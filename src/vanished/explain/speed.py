"""How fast posts go, and by whom: the cumulative incidence of each cause of loss over age.

In: posts, and topics of posts where they are grouped by them. Out: `Speed`, a curve for each group
and cause. Losses are known to intervals, posts are seen only from their first sight on, and causes
compete: a post that its author took down can no longer be removed. So no curve here is one minus a
Kaplan-Meier estimate. The parts: `ages`, `counted`, `turnbull`, `limited`, `lives`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vanished.errors import UsageError
from vanished.explain import speed_shown
from vanished.explain.ages import Ages, Flags, Ints, Latency, ages, births
from vanished.explain.cells import NONE, OTHER, folded
from vanished.explain.fate import Fate
from vanished.explain.lives import Lives, lives
from vanished.explain.result import Basis, Chart
from vanished.explain.speed_settings import By, SpeedSettings

__all__ = ["By", "Speed", "SpeedSettings", "speed"]

METHOD: Final = "speed/1"
_WORDS: Final = {
    Fate.REMOVED: "removed",
    Fate.ACCOUNT: "account",
    Fate.AUTHOR: "author",
    Fate.OPEN: "open",
}
OTHERS: Final = "other"  # groups or causes put together, so that none rests on few accounts


@dataclass(frozen=True, slots=True)
class Speed:
    """The groups by name, the largest first; "all" if they were not grouped."""

    settings: SpeedSettings
    basis: Basis
    caveats: Sequence[str]
    latency: Latency
    groups: dict[str, Lives]
    method: str = METHOD

    def table(self) -> pa.Table:
        """A row for each group, cause and age: `speed_shown.COLUMNS`."""
        return speed_shown.table(self.groups)

    def groups_table(self) -> pa.Table:
        """A row a group, about its removals: `speed_shown.GROUP_COLUMNS`."""
        return speed_shown.groups_table(self.groups)

    def chart(self) -> Chart:
        """Shares gone by age: by cause of all posts, or removals by group."""
        return speed_shown.chart(self.groups, self.latency.posts)

    def text(self) -> str:
        """How many were removed, how fast, after what first sight."""
        median = self.latency.quantiles_h[1]
        return speed_shown.text(self.groups, median, self.latency.posts)


def speed(
    posts: pa.Table, topics: pa.Table | None = None, settings: SpeedSettings | None = None
) -> Speed:
    """How long `posts` (`archive.arrow.POSTS`) live. `topics` has columns post and topic, a post at
    most once, and is needed to group by topic.

    Raises UsageError if a column is missing, times contradict each other, or settings make no
    sense.
    """
    settings = settings or SpeedSettings()
    _check(settings)
    found = ages(posts, settings.entry_within_h)
    used = posts.take(pa.array(found.rows))
    account = _codes(used["account"])[0]
    cause = _causes(found, settings)
    group, names = _groups(used, topics, settings)
    inside = settings.by is By.ACCOUNT
    group = folded(
        group,
        account,
        accounts=1 if inside else settings.least_accounts,
        posts=1 if settings.by is By.ALL else settings.least_posts,
        most=settings.most_groups,
    )
    rng = np.random.default_rng(settings.seed)
    groups, silent = {}, 0
    for code in sorted(set(group[group != NONE].tolist()), key=lambda c: -int((group == c).sum())):
        own = group == code
        made = _lives(found, own, cause, account, settings, rng)
        if made is None:
            silent += 1
        else:
            groups[OTHERS if code == OTHER else names[code]] = made
    latency = Latency.of(found)
    caveats = speed_shown.caveats(
        groups, latency, silent=silent, withheld=int((group == NONE).sum()),
        open_too=settings.open_too, inside=inside or settings.least_accounts < 5,
    )  # fmt: skip
    return Speed(settings, Basis.of(posts), caveats, latency, groups)


def _check(settings: SpeedSettings) -> None:
    if not settings.ages_h or min(settings.ages_h) <= 0:
        raise UsageError("Ages to report must be hours above 0; name at least one.")
    if min(settings.at_risk, settings.resamples, settings.cells, settings.least_posts) < 10:
        raise UsageError("Posts at risk, posts of a group, resamples and cells must be 10 or more.")


def _causes(found: Ages, settings: SpeedSettings) -> Ints:
    """The fate that ends each life; -1 where none does. With `open_too`, open counts as removed."""
    cause = np.where(found.fate == Fate.SURVIVED, -1, found.fate).astype(np.int64)
    if settings.open_too:
        cause[cause == Fate.OPEN] = Fate.REMOVED
    return cause


def _lives(
    found: Ages,
    own: Flags,
    cause: Ints,
    account: Ints,
    settings: SpeedSettings,
    rng: np.random.Generator,
) -> Lives | None:
    """One group, its causes put together or withheld so that none rests on few accounts."""
    inside = settings.by is By.ACCOUNT
    mine, authors = cause[own], account[own]
    lost = mine >= 0
    least = 1 if inside else settings.least_accounts
    shown = folded(mine[lost], authors[lost], accounts=least, keep=(Fate.REMOVED,))
    removals = bool((mine == Fate.REMOVED).any())
    told = not removals or bool((shown == Fate.REMOVED).any())
    codes = [Fate.REMOVED, *sorted(set(shown.tolist()) - {Fate.REMOVED}, reverse=True)]
    names = [_WORDS[Fate(code)] if code >= 0 else OTHERS for code in codes]
    number = np.full(mine.size, -1)
    number[lost] = [codes.index(code) for code in shown.tolist()]
    part = found.of(own)
    cluster = authors if np.unique(authors).size > 1 else np.arange(mine.size)
    made = lives(part, number, names, authors, settings, rng, cluster)
    if made is None or ((shown != NONE).all() and told):
        return made
    return made.without_first() if (shown != NONE).all() else made.without_curves()


def _groups(
    used: pa.Table, topics: pa.Table | None, settings: SpeedSettings
) -> tuple[Ints, list[str]]:
    """The number of each post's group, and the groups' names."""
    number = used.num_rows
    if settings.by is By.ALL:
        return np.zeros(number, np.int64), [By.ALL.value]
    if settings.by is By.WEEK:
        return _weeks(births(used))
    if settings.by is By.TOPIC:
        return _codes(_topics(used, topics))
    return _codes(used[settings.by.value])


def _topics(used: pa.Table, topics: pa.Table | None) -> pa.ChunkedArray:
    """The topic of each post, "none" where `topics` has none."""
    if topics is None or not {"post", "topic"} <= set(topics.column_names):
        raise UsageError("To group by topic, give a table with the columns post and topic.")
    if pc.count_distinct(topics["post"]).as_py() < topics.num_rows:
        raise UsageError("A post stands in the table of topics twice; give each post one topic.")
    place = pc.index_in(used["post"], topics["post"].combine_chunks())
    return pc.fill_null(topics["topic"].take(place), "none")


def _weeks(born: Ints) -> tuple[Ints, list[str]]:
    """The ISO week of each moment, such as 2024-W05."""
    dates = pc.iso_calendar(pa.array(born, pa.timestamp("us", "UTC")))
    weeks = np.asarray(pc.struct_field(dates, "iso_year")) * 100 + np.asarray(
        pc.struct_field(dates, "iso_week")
    )
    known, code = np.unique(weeks, return_inverse=True)
    return code.astype(np.int64), [f"{w // 100}-W{w % 100:02d}" for w in known.tolist()]


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """The number of each row's value, and the values."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return np.asarray(coded.indices).astype(np.int64), coded.dictionary.to_pylist()
