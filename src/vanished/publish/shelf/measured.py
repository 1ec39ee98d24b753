"""The shelf's measurements of networks: what was reached from where, under names that may be shown.

In: an open observatory. Out: the rows of the shelf's table `measured`, each measurement once with
the verdict that was reached last. The site of a few known accounts has a pseudonym here, as in
reports. A copy that was opened without its key has none: its targets are sealed.
"""

from __future__ import annotations

import json
import sqlite3

import duckdb

from vanished.archive.kept_measurements import measurements, shown_names
from vanished.archive.observatory import Observatory
from vanished.errors import ObservatoryError

SEALED = "sealed"
_COUNTED = "select count(*), max(kept_at), max(ruleset) from measurements"


def put_measured(
    observatory: Observatory,
    past: duckdb.DuckDBPyConnection,
    shelf: sqlite3.Connection,
    before: str,
) -> str:
    """Write them where they are not those of `before`; returns what says which they are."""
    if not observatory.has_rows("measurements"):
        shelf.execute("delete from measured")
        return ""
    stamp = json.dumps(past.execute(_COUNTED).fetchone())
    if stamp == before:
        return before
    shelf.execute("delete from measured")
    try:
        found = measurements(observatory)
        names = shown_names(observatory, found)
    except ObservatoryError:
        return SEALED
    shelf.executemany(
        "insert into measured (digest, measured_at, asn, cc, test, target, state, layer,"
        f" mechanism, extent, rules, ruleset, capture) values ({', '.join('?' * 13)})",
        (
            (
                *(one.digest, one.measured_at, one.asn, one.cc, one.test),
                *(names[one.test, one.target], one.state, one.layer, one.mechanism, one.extent),
                *(json.dumps(list(one.rules)), one.ruleset, one.capture),
            )
            for one in found
        ),
    )
    return stamp
