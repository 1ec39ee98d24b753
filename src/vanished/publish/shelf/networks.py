"""Read what the shelf has of networks: measurements, and each day's beside the losses.

In: an open shelf, what is asked for. Out: rows as dictionaries, with times in microseconds. A
network is named only as the verdicts name it; nothing is concluded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from vanished.model import DAY, Micros
from vanished.publish.shelf.reading import MOST_ROWS, Page, Shelf, place_of

_STOPPED: Final = "state in ('blocked', 'likely_blocked')"


@dataclass(frozen=True, slots=True)
class Asked:
    """Measurements that fulfil all of it; "" and None ask for nothing. `until` is not included."""

    test: str = ""
    target: str = ""  # as it is shown
    asn: str = ""
    cc: str = ""
    state: str = ""
    since: Micros | None = None
    until: Micros | None = None

    def condition(self) -> tuple[str, dict[str, Any]]:
        """SQL over `measured`, and its values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {name: value for name, value in values.items() if value not in ("", None)}
        signs = {"since": "measured_at >=", "until": "measured_at <"}
        parts = [f"{signs.get(name, f'{name} =')} :{name}" for name in values]
        return " and ".join(parts) or "true", values


def measurements(shelf: Shelf, asked: Asked, rows: int, after: str = "") -> Page:
    """Some measurements, the latest first. Raises UsageError where `after` is no place."""
    where, values = asked.condition()
    total = int(shelf.rows(f"select count(*) as n from measured where {where}", values)[0]["n"])
    if after:
        where = f"({where}) and (measured_at, id) < (:after, :after_id)"
        values |= place_of(after)
    rows = min(rows, MOST_ROWS)
    query = f"select * from measured where {where} order by measured_at desc, id desc limit :rows"
    found = shelf.rows(query, values | {"rows": rows + 1})
    last = found[rows - 1] if len(found) > rows else None
    place = f"{last['measured_at']}.{last['id']}" if last else ""
    return Page([_shown(row) for row in found[:rows]], place, total)


def every_measurement(shelf: Shelf, asked: Asked) -> Iterator[dict[str, Any]]:
    """All of them as they stand now, the latest first."""
    where, values = asked.condition()
    query = f"select * from measured where {where} order by measured_at desc, id desc"
    return map(_shown, shelf.streamed(query, values))


def timeline(shelf: Shelf, asked: Asked, since: Micros, until: Micros) -> list[dict[str, Any]]:
    """By UTC day: measurements, how many found the target stopped or open, and posts lost."""
    where, values = asked.condition()
    measured = shelf.rows(
        f"select measured_at / :day as day, count(*) as measured,"
        f" sum({_STOPPED}) as stopped, sum(state = 'ok') as open from measured"
        f" where {where} and measured_at >= :begin and measured_at < :end group by 1",
        values | {"day": DAY, "begin": since, "end": until},
    )
    found = {
        row["day"]: {
            "day": row["day"], "measured": 0, "stopped": 0, "open": 0,
            "lost": sum(row["causes"].values()),
        }
        for row in shelf.days(since, until)
    }  # fmt: skip
    for row in measured:
        counted = dict(row)
        day = counted.pop("day") * DAY
        if day in found:
            found[day].update(counted)
    return list(found.values())


def _shown(row: Any) -> dict[str, Any]:
    found = dict(row)
    found["rules"] = json.loads(found["rules"])
    return found
