"""What is kept of a measurement of a network: a fact like a look, and the verdict on it.

In: nouns. Out: rows of the journal's table of measurements, and back. The record itself lies in a
capture where the observatory keeps any; a later ruleset adds a row for the same digest, and changes
none. The address of who measured is no column. A target may be the site of somebody who is watched,
so its column is sealed. Nothing is measured or judged here: `reach` does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from yarl import URL

from vanished.archive.table import INT, MAYBE_TEXT, TEXT, Table
from vanished.model import Micros
from vanished.net.address import host_of

TARGET: Final = "measurements.target"
"""What the vault binds a target to."""

STOPPED: Final = frozenset({"blocked", "likely_blocked"})
OPEN: Final = "ok"
"""States that say whether a target is stopped; the others (down, impaired, insufficient) do not."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one target, and what one version of the rules says of it.

    `digest` is of the record without any verdict in it (SHA-256, hexadecimal). `vantage` is the
    observatory's own, if whoever kept it said that this was the network behind it; else "".
    `capture` is the leaf that holds the record, "" if none does.
    """

    digest: str
    measured_at: Micros
    kept_at: Micros
    vantage: str
    asn: str  # such as "AS64500"
    cc: str
    test: str
    target: str
    state: str
    layer: str | None
    mechanism: str | None
    extent: str
    rules: tuple[str, ...]  # the deciding one first
    ruleset: str
    capture: str

    @property
    def network(self) -> str:
        """The network as a series names it, such as "AS64500 ZZ"."""
        return f"{self.asn} {self.cc}"

    @property
    def stopped(self) -> bool | None:
        """Whether the target was stopped; None if the verdict does not say."""
        if self.state in STOPPED:
            return True
        return False if self.state == OPEN else None

    @property
    def speaks_for(self) -> str:
        """The origin about which this says whether it is stopped; "" if about none.

        What is stopped in HTTP may be one page or one word of its address, so there only the front
        page speaks for all.
        """
        found = origin(self.target)
        if self.stopped and self.layer == "http":
            return found if self.target.strip().lower() in (found, f"{found}/") else ""
        return found if self.stopped is not None else ""


def origin(url: str) -> str:
    """Scheme, host and port of a web address (RFC 6454), as the wire has them; "" if none."""
    host = host_of(url.strip())
    if not host:
        return ""
    whole = URL(url.strip())
    if whole.scheme not in ("http", "https"):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{whole.scheme}://{shown}" + ("" if whole.is_default_port() else f":{whole.port}")


def _row(one: Measured) -> tuple[object, ...]:
    return (
        *(one.digest, one.measured_at, one.kept_at, one.vantage, one.asn, one.cc, one.test),
        *(one.target, one.state, one.layer, one.mechanism, one.extent),
        *(json.dumps(list(one.rules)), one.ruleset, one.capture),
    )


def _measured(*row: Any) -> Measured:
    rules = tuple(json.loads(row[12]))
    return Measured(*(*row[:12], rules, *row[13:]))


MEASUREMENTS: Final = Table(
    "measurements",
    {
        "digest": TEXT,
        "measured_at": INT,
        "kept_at": INT,
        "vantage": TEXT,
        "asn": TEXT,
        "cc": TEXT,
        "test": TEXT,
        "target": TEXT,  # sealed
        "state": TEXT,
        "layer": MAYBE_TEXT,
        "mechanism": MAYBE_TEXT,
        "extent": TEXT,
        "rules": TEXT,  # JSON list
        "ruleset": TEXT,
        "capture": TEXT,
    },
    _row,
    _measured,
    since="measured_at",
    until="measured_at",
    daily=False,
)
