"""Apps and go-arounds in plain words: what works, what is stopped, and by what.

In: what was seen. Out: lines for people, and the same as facts. Counts carry what they are of.
"""

from __future__ import annotations

from dataclasses import asdict

from vanished.archive.advice import Advised
from vanished.reach.app_test import AppSeen
from vanished.reach.facts_parts import STALE
from vanished.reach.record import Ours, Part


def _parts(seen: AppSeen) -> tuple[Part, ...]:
    block = seen.measurement.keys.x_vanished or Ours()
    return tuple(one for one in block.parts or () if one.needs != "none")


def app_lines(seen: AppSeen) -> list[str]:
    """One line for the app, and one for each server that was not reached."""
    said, parts = seen.verdict, _parts(seen)
    stale = sum(one.state in STALE for one in parts)
    reached = sum(one.state == "ok" for one in parts)
    how = f" by {said.layer}: {said.mechanism}" if said.layer else ""
    lines = [
        f"{said.state.value}{how}: {seen.app.title}. {said.says} {reached} of {len(parts)} servers"
        f" reached, {stale} stale or unknown (list of {seen.app.dated})."
    ]
    for one in parts:
        if one.state != "ok":
            why = f" by {one.layer}: {one.mechanism}" if one.layer else ""
            lines.append(f"  {one.state}{why}: {one.url}")
    return lines


def app_facts(seen: AppSeen) -> dict[str, object]:
    """The same for programs."""
    said, parts = seen.verdict, _parts(seen)
    return {
        "app": seen.app.name,
        "server": seen.app.server or None,
        "list_dated": str(seen.app.dated),
        "state": said.state.value,
        "layer": said.layer,
        "mechanism": said.mechanism,
        "extent": said.extent,
        "rules": list(said.rules),
        "ruleset": said.ruleset,
        "says": said.says,
        "servers": len(parts),
        "reached": sum(one.state == "ok" for one in parts),
        "stale": sum(one.state in STALE for one in parts),
        "parts": [asdict(one) for one in parts],
    }


def advised_line(made: Advised) -> str:
    """One go-around in a line."""
    if made.works:
        rate = f", {made.bytes_s / 1000:.0f} kB/s" if made.bytes_s else ""
        first = f", first page after {made.first_page_s:.1f} s" if made.first_page_s else ""
        lasted = f", watched for {made.lasted_s:.0f} s" if made.lasted_s else ""
        used = f", usable at {made.proxy}" if made.proxy else ""
        return f"works: {made.name} ({made.kind}){first}{rate}{lasted}{used}."
    how = f" by {made.layer}: {made.mechanism}" if made.layer else ""
    return f"{made.state}{how}: {made.name} ({made.kind}). {made.says}"
