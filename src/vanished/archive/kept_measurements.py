"""Measurements that an observatory keeps, read back for the watch, for reports and to judge again.

In: an open observatory. Out: each measurement once, with the verdict that was reached last, and its
target opened; or the digests that are known, each with the rulesets that judged it.
"""

from __future__ import annotations

from dataclasses import replace

from vanished.archive.measured import MEASUREMENTS, TARGET, Measured
from vanished.archive.observatory import Observatory

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
