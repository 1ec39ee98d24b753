"""Whose words stay unshown inside the team, unless everything is asked for.

In: the causes that the facts leave. Out: whether the author can be among them. What leaves the
observatory passes `gate`, which is stricter.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from vanished.model import Cause

_AUTHORS: Final = frozenset({Cause.AUTHOR.value, Cause.UNKNOWN.value})


def author_possible(causes: Collection[str]) -> bool:
    """Whether its author may have taken a post down: the facts say so, or say nothing of who."""
    return not _AUTHORS.isdisjoint(causes)
