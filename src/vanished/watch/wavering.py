"""Whom an answer of a canary, or a network's word, may decide.

In: rows as they were judged. Out: those to be judged again when a canary has answered. Judges
nobody and asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vanished.archive.rows import AccountRow, Row
from vanished.model import State, Verdict

WAVERING: Final = (State.SUSPECTED, State.FLICKERING)
"""States that a right or wrong answer of a canary may change at once."""

LOST: Final = (*WAVERING, State.GONE)
"""States whose causes a network's word may change."""

AWAITING: Final = "judge/awaiting-canary"
"""The judge's rule that a right answer must come before a loss is believed."""


class Wavering:
    """Subjects in a state of `WAVERING`, by platform."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Row]] = {}  # by platform and key
        self._awaiting: set[str] = set()  # those of them that a right answer may decide

    def take_up(self, rows: Sequence[Row]) -> None:
        """At the start of a watch: a right answer may decide any of these."""
        for row in rows:
            self._rows.setdefault(platform_of(row), {})[row.subject] = row
            self._awaiting.add(row.subject)

    def judged(self, row: Row, verdict: Verdict | None) -> None:
        """Remember `row`, or forget it, as it now stands."""
        rows = self._rows.setdefault(platform_of(row), {})
        if row.track.state in WAVERING:
            rows[row.subject] = row
        else:
            rows.pop(row.subject, None)
        self._awaiting.discard(row.subject)
        if verdict is not None and AWAITING in verdict.rules:
            self._awaiting.add(row.subject)

    def of(self, platform: str, *, everybody: bool) -> list[Row]:
        """Those of a platform that wait for a right answer, or everybody."""
        found = self._rows.get(platform, {})
        return [row for key, row in found.items() if everybody or key in self._awaiting]


def url_of(row: Row) -> str:
    """Where `row` is at its platform."""
    return row.account.url if isinstance(row, AccountRow) else row.post.url


def platform_of(row: Row) -> str:
    """The platform that `row` is on."""
    return row.account.platform if isinstance(row, AccountRow) else row.post.platform
