"""Measurements that an observatory keeps, read back for the watch, for reports and to judge again.

In: an open observatory. Out: each measurement once, with the verdict that was reached last, and its
target opened; the names under which targets may be shown; or the digests that are known, each with
the rulesets that judged it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vanished.archive.measured import MEASUREMENTS, TARGET, Measured
from vanished.archive.observatory import Observatory
from vanished.net.address import host_of

FEW: Final = 5
"""A site of fewer accounts that we know is shown by a pseudonym: to name it would name them."""

_LATEST = f"""
select {", ".join(MEASUREMENTS.fields)} from measurements
qualify row_number() over (partition by digest order by kept_at desc, ruleset desc) = 1
order by measured_at, digest
"""


def measurements(observatory: Observatory) -> list[Measured]:
    """All, oldest first. Raises ObservatoryError in a copy that was opened without its key."""
    if not observatory.has_rows(MEASUREMENTS.name):
        return []
    with observatory.past() as past:
        found = MEASUREMENTS.decode(past.execute(_LATEST).fetchnumpy())
    opened = observatory.vault.open_word
    return [replace(one, target=opened(one.target, TARGET)) for one in found]


def judged(observatory: Observatory) -> set[tuple[str, str]]:
    """Digest and ruleset of every verdict that is kept."""
    if not observatory.has_rows(MEASUREMENTS.name):
        return set()
    with observatory.past() as past:
        rows = past.execute("select digest, ruleset from measurements").fetchall()
    return {(digest, ruleset) for digest, ruleset in rows}


def shown_names(
    observatory: Observatory, measured: Iterable[Measured]
) -> dict[tuple[str, str], str]:
    """How a test's target is shown, by test and target: as it is, or a pseudonym where it is the
    site of a few accounts that this observatory knows. A test without a target has its own name."""
    known = observatory.accounts_by_host()
    found: dict[tuple[str, str], str] = {}
    for one in measured:
        key = one.test, one.target
        if key not in found:
            few = 0 < known.get(host_of(one.target), 0) < FEW
            alias = f"site {observatory.naming('reach', one.target)}" if few else one.target
            found[key] = alias or one.test
    return found
