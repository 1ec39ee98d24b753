"""Reports to a collector (OONI's bk-003: open, submit, close), by the way that was told, or none.

In: measurements, of which the published copy is queued in a folder; a collector and a way. Out: how
many were sent and how many wait. Directly only if told so, through a go-around if told so, else
they stay on disk; a go-around that fails sends nothing directly. A measurement leaves the queue
when the collector has said that it has it: a crash in between sends it twice, never not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vanished.archive.durable import make_folder, refusals, write_once
from vanished.errors import UsageError
from vanished.net.address import Network
from vanished.reach.own import Own
from vanished.reach.published import hour, published_line
from vanished.reach.record import DATA_FORMAT, Measurement
from vanished.reach.way_out import FAILURES, WayOut, checked_server, way_failure

SOFTWARE = "vanished"
"""`software_name` of our measurements."""

QUEUE = "reach-reports"
REFUSED = "refused"
"""Folder in the queue for what a collector did not want; it is not sent again."""

_HEAD = (
    "probe_asn",
    "probe_cc",
    "software_name",
    "software_version",
    "test_name",
    "test_version",
)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How reports may leave this machine: not at all, directly, or through `proxy`."""

    direct: bool = False
    proxy: str = ""

    @property
    def held(self) -> bool:
        """Whether they have to wait."""
        return not self.direct and not self.proxy


@dataclass(slots=True)
class Sent:
    """What came of sending; `failure` says why it stopped, if it did."""

    sent: int = 0
    refused: int = 0
    waiting: int = 0
    failure: str | None = None
    said: list[str] = field(default_factory=list)


def enqueue(folder: Path, measurement: Measurement, own: Own) -> bool:
    """Put the published copy of `measurement` into the queue of `folder`; False if it is there.

    Raises StorageError.
    """
    line = published_line(measurement, own)
    queue = folder / QUEUE
    name = hashlib.sha256(line).hexdigest()[:32]
    with refusals(f"queue a report in {queue}"):
        make_folder(queue, mode=0o700)
        return write_once(queue / f"{name}.json", line + b"\n", mode=0o600)


def queued(folder: Path) -> list[Path]:
    """The reports that wait, in a fixed order."""
    return sorted((folder / QUEUE).glob("*.json"))


async def send(
    folder: Path,
    collector: str,
    leaving: Leaving,
    *,
    allow: Sequence[Network] = (),
    authorities: str = "",
    most: int = 1000,
) -> Sent:
    """Send at most `most` of what waits in `folder`. Raises UsageError where no way was told."""
    if leaving.held:
        raise UsageError(
            "Reports wait until you say how they may leave: --via PROXY through a go-around, or"
            " --direct, by which the collector sees your address and your network the collector."
        )
    if leaving.direct and leaving.proxy:
        raise UsageError("Reports leave directly or through a proxy, not both; choose one.")
    checked_server(collector, "collector", allow)
    done = Sent()
    way = WayOut(leaving.proxy, allow=allow, authorities=authorities)
    async with way:
        for group in _groups(queued(folder)[:most], done):
            await _report(way, collector.rstrip("/"), group, done)
            if done.failure:
                break
    done.waiting = len(queued(folder))
    return done


@dataclass(frozen=True, slots=True)
class _Group:
    """Measurements that belong into one report, and its head."""

    head: dict[str, str]
    files: list[tuple[Path, dict[str, Any]]]


def _groups(files: Sequence[Path], done: Sent) -> list[_Group]:
    found: dict[tuple[str, ...], list[tuple[Path, dict[str, Any]]]] = defaultdict(list)
    for file in files:
        try:
            held = json.loads(file.read_bytes())
            found[tuple(str(held[name]) for name in _HEAD)].append((file, held))
        except (OSError, ValueError, KeyError, TypeError):
            _refuse(file, "it cannot be read", done)
    return [_Group(_head(key, rows), rows) for key, rows in found.items()]


def _head(key: tuple[str, ...], rows: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, str]:
    starts = min(hour(str(held.get("measurement_start_time", ""))) for _, held in rows)
    return {
        **dict(zip(_HEAD, key, strict=True)),
        "data_format_version": DATA_FORMAT,
        "format": "json",
        "test_start_time": starts,
    }


async def _report(way: WayOut, collector: str, group: _Group, done: Sent) -> None:
    """Open one report, submit what belongs to it, close it."""
    try:
        status, held = await way.exchange("POST", f"{collector}/report", _bytes(group.head))
        name = _report_id(status, held)
        if not name:
            done.failure = f"the collector opened no report (status {status})"
            return
        for file, content in group.files:
            body = {"content": {**content, "report_id": name}, "format": "json"}
            place = f"{collector}/report/{quote(name, safe='')}"
            status, _ = await way.exchange("POST", place, _bytes(body))
            if status == 200:
                file.unlink(missing_ok=True)
                done.sent += 1
            elif 400 <= status < 500 and status not in (408, 429):
                _refuse(file, f"the collector refused it (status {status})", done)
            else:
                done.failure = f"the collector did not take a measurement (status {status})"
                break
        await way.exchange("POST", f"{collector}/report/{quote(name, safe='')}/close", b"{}")
    except FAILURES as error:
        done.failure = done.failure or f"the collector was not reached ({way_failure(error)})"


def _report_id(status: int, held: bytes) -> str:
    """The id of an opened report; "" if none was opened."""
    if status != 200:
        return ""
    try:
        given = json.loads(held)
    except ValueError:
        return ""
    name = given.get("report_id") if isinstance(given, dict) else None
    formats = given.get("supported_formats", ["json"]) if isinstance(given, dict) else []
    return name if isinstance(name, str) and "json" in formats else ""


def _refuse(file: Path, why: str, done: Sent) -> None:
    """Put a report aside, so that it does not stop those behind it."""
    with refusals(f"put {file} aside"):
        make_folder(file.parent / REFUSED, mode=0o700)
        file.replace(file.parent / REFUSED / file.name)
    done.refused += 1
    done.said.append(f"{file.name}: {why}")


def _bytes(held: object) -> bytes:
    return json.dumps(held, ensure_ascii=False, separators=(",", ":")).encode()
