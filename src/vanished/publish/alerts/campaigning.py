"""Campaigns as events: found by `explain.campaigns`, and known again when their dates move.

In: the past of a folder, and the campaigns that are known. Out: events. A change point shifts as
days come in, so a campaign is the same if its kind is, its time overlaps and, of words, one of them
is shared. Of targets only hashes are kept. Nothing in it rests on fewer than five accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from vanished.model import DAY, Micros
from vanished.publish.alerts.event import Event, Kind, identity

LIVE: Final[Micros] = 7 * DAY
"""A campaign that ended longer ago is no news."""

Known = tuple[str, str, Micros, Micros, frozenset[str]]
Span = tuple[str, Micros, Micros, frozenset[str]]


def campaigns_of(folder: Path, now: Micros) -> list[Mapping[str, Any]]:
    """The campaigns of the last 60 days that are live, as `explain.campaigns` has their rows.

    Raises UsageError without the extra `explain`.
    """
    from vanished.explain.campaigns import campaigns
    from vanished.explain.window import Window
    from vanished.publish.past import past_of

    with past_of(folder, Window(since=now - 60 * DAY)) as past:
        posts = past.posts()
        if not posts.num_rows:
            return []
        found = campaigns(posts, past.coverage(), past.accounts())
        rows: list[Mapping[str, Any]] = found.table().to_pylist()
        return [row for row in rows if row["end"] >= now - LIVE]


def recognized(
    rows: Sequence[Mapping[str, Any]], known: Sequence[Known]
) -> tuple[list[Event], dict[str, Span]]:
    """An event for each row, and what is to be kept of it to know it again."""
    events: list[Event] = []
    kept: dict[str, Span] = {}
    for row in rows:
        hashes = frozenset(identity("target", word) for word in row["targets"] or ())
        span = (str(row["kind"]), int(row["begin"]), int(row["end"]), hashes)
        same = next((each for each in known if _same(span, each)), None)
        own = same[0] if same else identity(Kind.CAMPAIGN, *span[:3], *sorted(hashes))
        if own in kept:  # two of one that is known: told once
            continue
        if same:  # a stretch that grows is still known by its older part
            merged = (span[0], min(span[1], same[2]), max(span[2], same[3]), hashes | same[4])
            kept[own] = merged
        else:
            kept[own] = span
        events.append(_event(own, row))
    return events, kept


def _same(span: Span, known: Known) -> bool:
    kind, begin, end, hashes = span
    _, other, since, until, others = known
    if kind != other or begin > until + DAY or since > end + DAY:
        return False
    return kind != "words" or bool(hashes & others)


def _event(own: str, row: Mapping[str, Any]) -> Event:
    detail: dict[str, str | int | None] = {
        "form": str(row["kind"]), "begin": int(row["begin"]), "end": int(row["end"]),
        "removed": int(row["removed"]), "of": int(row["posts"]), "accounts": int(row["accounts"]),
        "words": ", ".join((row["targets"] or [])[:3]),
        "rise": "" if row["rise"] is None else f"{row['rise']:.1f}",
        "beside_gap": int(bool(row["beside_gap"])),
    }  # fmt: skip
    return Event(own, Kind.CAMPAIGN, int(row["end"]), detail=MappingProxyType(detail))
