"""What a start makes of the columns that a watch left, beside what the present says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vanished.archive.observatory import Observatory
from vanished.model import SECOND, Micros, State
from vanished.watch import columns as c
from vanished.watch.by_price import ORIGIN, ByPrice
from vanished.watch.resuming import Keeper


def columns_of(schedule: ByPrice, names: dict[str, int]) -> dict[str, list[Any]]:
    """What is known of each live row, by row; `last` of the proof, the host's name of the arm."""
    found = schedule.priced.columns
    live = np.flatnonzero(found.flags[: found.used] & c.LIVE)
    name_of = {number: name for name, number in names.items()}
    arms = [(platform, name_of[host]) for platform, host in schedule.arms]
    columns = {name: getattr(found, name)[live].tolist() for name in ("born", "last", "account")}
    return {"row": live.tolist(), "arm": [arms[n] for n in found.arm[live].tolist()]} | columns


def begun(
    folder: Path, at: Micros, platform: str = "page"
) -> tuple[dict[str, list[Any]], dict[str, list[Any]], str]:
    """The columns of a start over `folder`, those made from its present, and why they were made.

    Dates that the judge or others wished for are checked: they are the present's, or have come.
    """
    with Observatory.open(folder, write=True) as observatory:
        keeper = Keeper(observatory)
        schedule = ByPrice({platform: 1}, columns=keeper.columns)
        names: dict[str, int] = {}

        def numbered(name: str) -> int:
            return names.setdefault(name, len(names))

        why = keeper.begin(schedule, numbered, lambda host: 1.0, at)
        anew, present = ByPrice({platform: 1}), observatory.schedule_columns(numbered)
        anew.begin(present, lambda host: 1.0, at)
        found, made = keeper.columns, anew.priced.columns
        now = int((at - ORIGIN) // SECOND)
        for post in observatory.rows_in((State.SUSPECTED, State.GONE), [platform]):
            if not post.track.failures:
                assert found.flags[post.id] & c.WISHED
                assert found.due[post.id] in (made.due[post.id], now)
        assert not (found.flags[: found.used] & (c.QUEUED | c.OUT)).any()
        return columns_of(schedule, names), columns_of(anew, names), why
