"""Our verdict on a measurement beside the one that its maker drew.

In: a measurement, OONI's or ours. Out: a `Row`: what, when, where, our verdict, theirs as it stands
in the record, and theirs drawn again by `reach.classic`. Nothing is read from files here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from vanished.reach.classic import classic
from vanished.reach.record import Measurement
from vanished.reach.verdict import verdict

WEB = "web_connectivity"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `theirs` is "blocked", "accessible", "down" or "" where nothing is said."""

    time: str
    network: str
    country: str
    test: str
    target: str
    state: str
    layer: str
    mechanism: str
    extent: str
    theirs: str
    reason: str  # of theirs: "dns", "tcp_ip", "http-failure", "http-diff"
    again: str  # theirs, drawn again from the steps
    rules: str
    says: str
    ruleset: str

    def facts(self) -> dict[str, str]:
        """As a line of JSON has it."""
        return asdict(self)

    @property
    def agrees(self) -> bool | None:
        """Whether both say blocked, or both do not; None where one says nothing."""
        if not self.theirs or self.state == "insufficient":
            return None
        return (self.state in ("blocked", "likely_blocked")) == (self.theirs == "blocked")


def beside(measurement: Measurement) -> Row:
    """The row of `measurement`."""
    said = verdict(measurement)
    keys = measurement.keys
    again = reason = theirs = ""
    if measurement.test_name == WEB:
        drawn = classic(measurement)
        again = _word(drawn.blocking, drawn.accessible)
        theirs = _word(keys.blocking, keys.accessible)
        reason = keys.blocking if isinstance(keys.blocking, str) else ""
    return Row(
        time=measurement.measurement_start_time,
        network=measurement.probe_asn,
        country=measurement.probe_cc,
        test=measurement.test_name,
        target=measurement.target,
        state=said.state.value,
        layer=said.layer or "",
        mechanism=said.mechanism or "",
        extent=said.extent,
        theirs=theirs,
        reason=reason,
        again=again,
        rules=" ".join(said.rules),
        says=said.says,
        ruleset=said.ruleset,
    )


def _word(blocking: str | bool | None, accessible: bool | None) -> str:
    if isinstance(blocking, str) and blocking:
        return "blocked"
    if accessible is True:
        return "accessible"
    return "down" if blocking is False and accessible is False else ""


@dataclass(slots=True)
class Compared:
    """Counts over rows; every share has its denominator beside it."""

    rows: int = 0
    states: Counter[str] = field(default_factory=Counter)
    compared: int = 0  # both said something
    agree: int = 0

    def add(self, row: Row) -> None:
        """Count a row."""
        self.rows += 1
        self.states[row.state] += 1
        if row.agrees is not None:
            self.compared += 1
            self.agree += row.agrees

    def text(self) -> str:
        """The counts in a sentence."""
        states = ", ".join(f"{state} {count}" for state, count in sorted(self.states.items()))
        told = f"{self.rows} measurements: {states or 'none'}."
        if self.compared:
            told += (
                f" Where both verdicts say something, {self.agree} of {self.compared} agree"
                " whether the target was blocked."
            )
        return told
