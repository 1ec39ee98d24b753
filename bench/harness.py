"""What a benchmark hands in, and how it is kept: claims with their bars, peers, the machine.

In: the claims that a benchmark measured and the peers that it measured against. Out:
`bench/results/NAME.json` and the same as a table. It measures nothing itself.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"


class BenchError(Exception):
    """A benchmark could not be measured; the text is one sentence."""


class Peer(TypedDict):
    """A program that we measured ourselves against."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of an issue's table: what is claimed, what was measured, and whether it holds.

    `bar` is the bound as shown ("≥ 10"). Use `at_least` and `at_most`, so that `holds` cannot
    disagree with it, unless the bar is no bound.
    """

    claim: str
    value: float
    unit: str
    bar: str
    holds: bool


def at_least(claim: str, value: float, unit: str, bar: float) -> Claim:
    """A claim that holds if `value` is `bar` or more."""
    return Claim(claim, value, unit, f"≥ {bar:g}", value >= bar)


def at_most(claim: str, value: float, unit: str, bar: float) -> Claim:
    """A claim that holds if `value` is `bar` or less."""
    return Claim(claim, value, unit, f"≤ {bar:g}", value <= bar)


def write(
    name: str, claims: Sequence[Claim], peers: Sequence[Peer], folder: Path = RESULTS
) -> bool:
    """Keep and print what benchmark `name` measured; whether every claim holds.

    Raises BenchError if there is no claim, or one whose value is no number: neither is a result.
    """
    if not claims:
        raise BenchError(f"the benchmark '{name}' measured nothing; it must return claims")
    for claim in claims:
        if claim.value - claim.value != 0:  # not a number, or infinite
            raise BenchError(f"'{claim.claim}' measured {claim.value}, which is no figure")
    result = {
        "name": name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "peers": list(peers),
        "claims": [asdict(claim) | {"value": rounded(claim.value)} for claim in claims],
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    new = folder / f"{name}.json.new"
    new.write_text(text, encoding="utf-8")
    new.replace(folder / f"{name}.json")
    show(name, claims, peers)
    return all(claim.holds for claim in claims)


def show(name: str, claims: Sequence[Claim], peers: Sequence[Peer]) -> None:
    """Print the claims as a table."""
    against = ", ".join(f"{peer['name']} {peer['version']}" for peer in peers)
    table = Table(title=name, caption=f"{machine()}{against and '; against ' + against}")
    for heading in ("claim", "measured", "unit", "bar", "holds"):
        table.add_column(heading, justify="right" if heading == "measured" else "left")
    for claim in claims:
        shown = f"{rounded(claim.value):,}"
        holds = "yes" if claim.holds else "[bold red]NO[/]"
        table.add_row(claim.claim, shown, claim.unit, claim.bar, holds)
    Console(highlight=False).print(table)


def rounded(value: float) -> float:
    """`value` with four significant digits; integers as they are. More would be noise."""
    return value if isinstance(value, int) else float(f"{value:.4g}")


def machine() -> str:
    """Processor, cores, memory, Python and kernel in one line, with no name of the host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = re.match(r"[\d.]*\d", platform.release())  # what follows may name a site
    parts = (
        _processor(),
        f"{len(os.sched_getaffinity(0))} cores",
        f"{memory:.0f} GiB",
        f"Python {platform.python_version()}",
        f"{platform.system()} {kernel.group() if kernel else ''}".strip(),
    )
    return ", ".join(parts)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return model.group(1).strip() if model else platform.machine()


def commit() -> str:
    """The commit that was measured, with "+" if the tree differs from it; results do not count."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!bench/results")
    return f"{head}{'+' if changed else ''}" if head else "unknown"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
