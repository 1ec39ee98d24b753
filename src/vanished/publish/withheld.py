"""Whose words stay unshown inside the team, unless everything is asked for.

In: the causes that the facts leave. Out: whether the author is among them. Where nothing says who
took a post down, its words are shown here; what leaves the observatory passes `gate`, which is
stricter and withholds those, too.
"""

from __future__ import annotations

from collections.abc import Collection

from vanished.model import Cause


def author_named(causes: Collection[str]) -> bool:
    """Whether the facts name the author, alone or among others."""
    return Cause.AUTHOR.value in causes
