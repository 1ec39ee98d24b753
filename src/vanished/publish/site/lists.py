"""The lists of a static site, made beforehand: all, by cause, by platform, by month.

In: losses. Out: for each list its key, which is a part of addresses, and its losses. A list grows
at its end only; full pages of 100 do not change when something is added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from vanished.model import Micros, at
from vanished.publish.desk.words import group
from vanished.publish.site.ledger import Loss

PAGE: Final = 100  # losses on one page of a list
ALL: Final = "all"
CAUSE: Final = "cause"
PLATFORM: Final = "platform"
MONTH: Final = "month"
UNDATED: Final = ""
"""The month of losses whose times are not told."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: `kind` and `value` say what its losses have in common."""

    kind: str
    value: str
    losses: tuple[Loss, ...]

    @property
    def key(self) -> str:
        """Its part of an address: letters, digits and "-" only."""
        if self.kind == ALL:
            return ALL
        return f"{self.kind}-{_plain(self.value)}"

    def pages(self) -> list[tuple[int | None, Sequence[Loss]]]:
        """Number and losses of each page, the oldest first; the newest has no number."""
        full = max(0, (len(self.losses) - 1) // PAGE)
        found: list[tuple[int | None, Sequence[Loss]]] = [
            (page, self.losses[page * PAGE : (page + 1) * PAGE]) for page in range(full)
        ]
        return [*found, (None, self.losses[full * PAGE :])]


def listings(losses: Sequence[Loss]) -> list[Listing]:
    """All lists: everything first, then those of each kind in the order of their values."""
    found: dict[tuple[str, str], list[Loss]] = {}
    for loss in losses:
        for what in _lists(loss):
            found.setdefault(what, []).append(loss)
    order = (CAUSE, PLATFORM, MONTH)
    kinds = sorted(found, key=lambda what: (order.index(what[0]), what[1]))
    rest = [Listing(*what, tuple(found[what])) for what in kinds]
    return [Listing(ALL, "", tuple(losses)), *rest]


def cause_of(loss: Loss) -> str:
    """The class that a loss is listed under: one cause, "open", or "" where none is told."""
    return group(sorted(loss.row.causes)) if loss.row.causes else ""


def _lists(loss: Loss) -> Iterable[tuple[str, str]]:
    yield CAUSE, cause_of(loss)
    yield PLATFORM, loss.row.platform
    by = loss.row.gone_by
    yield MONTH, UNDATED if by is None else _month(by)


@lru_cache(1 << 16)  # times are rounded, so that there are few
def _month(t: Micros) -> str:
    return at(t).strftime("%Y-%m")


def _plain(value: str) -> str:
    if re.fullmatch(r"[a-z0-9-]+", value):
        return value
    return f"x{sha256(value.encode()).hexdigest()[:12]}" if value else "untold"
