"""Read what other observatories recorded. One file a peer, each with a pure `read`.

In: a peer's file. Out: an `Imported`, in our nouns and marked as the peer's (`Via.IMPORT`, the
peer's name as vantage). Nothing is written, and a broken file gives nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vanished.archive.columns import Coverage
from vanished.model import Account, Micros, Observation, Post, Version


@dataclass(frozen=True, slots=True)
class Imported:
    """A peer's record as facts. Observations are in the order of their times."""

    accounts: tuple[Account, ...]
    posts: tuple[Post, ...]
    versions: tuple[tuple[str, Micros, Version], ...]  # post, known by then, wording
    observations: tuple[Observation, ...]
    coverage: tuple[Coverage, ...]  # the record's span: stretches watched, and gaps
    notices: Mapping[str, int]  # notice as recorded -> rows, the commonest first
    rows: int = 0
    repeated: int = 0  # rows that say again, to the second, what another row says
    backwards: int = 0  # posts noticed lost before their claimed day of publication
