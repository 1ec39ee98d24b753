"""Keep measurements in an observatory: each once, with our verdict, its record as evidence.

In: files of OONI's measurements, ours or downloaded; or the captures of those that are kept. Out:
rows of the past, captures that hold the records, counts. A record that is held already is left
alone, unless a later version of the rules judges it: that adds a row and changes none. Nothing is
measured here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vanished.archive.capture import Identities, read_at
from vanished.archive.capture.manifest import Subject
from vanished.archive.kept_measurements import judged, measurements
from vanished.archive.leaves import MEASUREMENT, leaves, opened
from vanished.archive.measured import Measured
from vanished.archive.observatory import Observatory
from vanished.archive.proof import CAPTURES
from vanished.archive.rows import Entry, Evidence
from vanished.archive.settings import Settings
from vanished.archive.settings_asking import DIRECT
from vanished.errors import EvidenceError, InputError, UsageError
from vanished.model import Micros, micros
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.reading import Tally
from vanished.reach.reading import measurements as read_file
from vanished.reach.record import Measurement, Ours
from vanished.reach.rules import Reach, ruleset
from vanished.reach.verdict import Verdict, verdict

AT_ONCE: Final = 200
"""Measurements of one commit; a crash loses none of those before it."""

AT_ONCE_BYTES: Final = 32 << 20
"""Bytes of records after which a commit is made sooner."""

LARGEST: Final = 8 << 20
"""Bytes of the longest record that is kept beside its row."""


_ASN = re.compile(r"AS\d{1,10}")
_CC = re.compile(r"[A-Z]{2}")


@dataclass(slots=True)
class Kept:
    """What a keeping came to; counts of measurements."""

    new: int = 0
    known: int = 0
    dateless: int = 0  # without a time that can be read: kept nowhere
    unrecorded: int = 0  # kept as a row only: no captures here, or the record is too long
    states: Counter[str] = field(default_factory=Counter)  # of the new ones
    tally: Tally = field(default_factory=Tally)

    def facts(self) -> dict[str, object]:
        """For JSON."""
        return {
            "new": self.new,
            "known": self.known,
            "without_time": self.dateless,
            "without_record": self.unrecorded,
            "states": dict(sorted(self.states.items())),
            "read": self.tally.read,
            "skipped": self.tally.skipped,
            "mended": self.tally.mended,
            "said": list(self.tally.said),
        }

    def text(self) -> str:
        """Sentences, numbers first."""
        lines = [f"Kept {self.new} of {self.tally.read} measurements; {self.known} were known."]
        if self.new:
            said = (f"{count} {state}" for state, count in self.states.most_common())
            lines.append(f"Of the new ones: {', '.join(said)}.")
        if self.dateless:
            lines.append(f"{self.dateless} say no time and were left out.")
        if self.unrecorded:
            lines.append(f"Of {self.unrecorded} only the verdict is kept, not the record.")
        if self.tally.skipped:
            lines.append(f"{self.tally.skipped} lines could not be read:")
            lines += [f"  {sentence}" for sentence in self.tally.said]
        return "\n".join(lines)


def vantage_of(settings: Settings, route: str | None) -> str:
    """The vantage of looks by this route of the observatory; "" for None.

    Raises UsageError for a route that the settings do not name.
    """
    here = settings.net.vantage
    if route is None:
        return ""
    if route == DIRECT:
        return here
    own = (name for name, table in settings.sources.items() if {"proxy", "proxy_env"} & {*table})
    names = sorted({*settings.net.proxies.names, *own})
    if route not in names:
        raise UsageError(
            f"observatory.toml names no route '{route}'; give one of {', '.join([DIRECT, *names])}."
        )
    return f"{here} via {route}"


def keep(observatory: Observatory, files: Sequence[Path], now: Micros, vantage: str = "") -> Kept:
    """Keep what stands in `files`, in commits of many; keeping them again changes nothing.

    `vantage`: the observatory's, if these were measured in the network behind it. Raises InputError
    if a file cannot be opened, before anything is kept.
    """
    for path in files:
        _open(path)
    kept, known = Kept(), judged(observatory)
    version = ruleset().version
    waiting = _Waiting(observatory, now)
    for path in files:
        for measurement in read_file(path, kept.tally):
            name = digest(measurement)
            if (name, version) in known:
                kept.known += 1
                continue
            row = _row(measurement, verdict(measurement), name, vantage, now)
            if row is None:
                kept.dateless += 1
                continue
            known.add((name, version))
            kept.new += 1
            kept.states[row.state] += 1
            kept.unrecorded += not waiting.add(row, to_json(measurement))
    waiting.commit()
    return kept


def judge_again(
    observatory: Observatory, now: Micros, identities: Identities | None = None
) -> Kept:
    """Judge the records that are kept by the rules of today, where others judged them last.

    Raises UsageError where the records are sealed and no identity is given, EvidenceError at one
    that is damaged.
    """
    kept, known = Kept(), judged(observatory)
    version = ruleset().version
    entry = Entry()
    rows = [one for one in measurements(observatory) if (one.digest, version) not in known]
    for one, line in _records(observatory, rows, identities):
        if line is None:
            kept.unrecorded += 1
            continue
        measurement = from_json(line)
        kept.tally.read += 1
        row = _row(measurement, verdict(measurement), one.digest, one.vantage, now)
        if row is None:
            kept.dateless += 1
            continue
        kept.new += 1
        kept.states[row.state] += 1
        entry.measurements.append(replace(row, capture=one.capture))
    if entry.measurements:
        observatory.commit(entry, now)
    return kept


def digest(measurement: Measurement) -> str:
    """SHA-256 of the record without any verdict in it, hexadecimal: the same for the same record,
    however often it was judged."""
    keys = measurement.keys
    block = keys.x_vanished
    if block is not None:
        bare = Ours(attempts=block.attempts, canary=block.canary, throughput=block.throughput)
        keys = replace(keys, x_vanished=None if bare == Ours() else bare)
        measurement = replace(measurement, test_keys=keys)
    return hashlib.sha256(to_json(measurement)).hexdigest()


class _Waiting:
    """Rows and evidence of the next commit."""

    def __init__(self, observatory: Observatory, now: Micros) -> None:
        self._observatory, self._now = observatory, now
        self._entry, self._bytes = Entry(), 0

    def add(self, row: Measured, record: bytes) -> bool:
        """Take in one; whether its record is kept with it."""
        whole = self._observatory.proof is not None and len(record) <= LARGEST
        if whole:
            leaf = self._observatory.next_leaf()
            row = replace(row, capture=str(leaf))
            self._entry.evidence.append(
                Evidence(
                    leaf,
                    self._now,
                    row.vantage or row.network,
                    (Subject(row.digest, MEASUREMENT, row.measured_at),),
                    {MEASUREMENT: record.decode()},
                )
            )
            self._bytes += len(record)
        self._entry.measurements.append(row)
        if len(self._entry.measurements) >= AT_ONCE or self._bytes >= AT_ONCE_BYTES:
            self.commit()
        return whole

    def commit(self) -> None:
        if self._entry.measurements:
            entry, self._entry, self._bytes = self._entry, Entry(), 0
            self._observatory.commit(entry, self._now)


def _row(
    measurement: Measurement, said: Verdict, name: str, vantage: str, now: Micros
) -> Measured | None:
    """The row of a measurement; None if it does not say when it was made."""
    when = _moment(measurement.measurement_start_time or measurement.test_start_time)
    if when is None:
        return None
    return Measured(
        digest=name,
        measured_at=when,
        kept_at=now,
        vantage=vantage,
        asn=measurement.probe_asn if _ASN.fullmatch(measurement.probe_asn) else "AS0",
        cc=measurement.probe_cc if _CC.fullmatch(measurement.probe_cc) else "ZZ",
        test=measurement.test_name,
        target=measurement.target,
        state=Reach(said.state).value,
        layer=said.layer,
        mechanism=said.mechanism,
        extent=said.extent,
        rules=said.rules,
        ruleset=said.ruleset,
        capture="",
    )


def _moment(written: str) -> Micros | None:
    """A time as OONI writes it, "YYYY-MM-DD HH:MM:SS" in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return micros(found if found.tzinfo else found.replace(tzinfo=UTC))


def _open(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as fault:
        raise InputError(f"'{path}' cannot be read: {fault.strerror or fault}") from None


def _records(
    observatory: Observatory, rows: Sequence[Measured], identities: Identities | None
) -> Iterator[tuple[Measured, str | None]]:
    """Each of `rows` with the line of its record; None if none is kept."""
    wanted = {int(one.capture) for one in rows if one.capture}
    with opened(observatory.folder) as connection:
        places = {leaf.index: leaf.place for leaf in leaves(connection) if leaf.index in wanted}
    for one in rows:
        place = places.get(int(one.capture)) if one.capture else None
        if place is None:
            yield one, None
            continue
        facts = read_at(observatory.folder / CAPTURES, place, identities).facts
        line = facts.get("facts", {}).get(MEASUREMENT)
        if not isinstance(line, str):
            raise EvidenceError(f"capture {one.capture} holds no measurement, though a row says so")
        yield one, line
