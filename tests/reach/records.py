"""What tests of reach share: OONI's records beside the checkout, and whether a verdict is right."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.needs import needs_shared
from vanished.errors import InputError
from vanished.lab.reach_forms import Truth
from vanished.reach.ooni_json import from_json
from vanished.reach.record import Measurement
from vanished.reach.rules import Reach
from vanished.reach.verdict import Verdict

GENERATED = "ooni-fixtures/data/oonipipeline/tests/data/wc05_qa"
SAMPLES = "ooni-fixtures/backend/fastpath/fastpath/tests/data"


def generated() -> dict[str, Measurement]:
    """OONI's simulated measurements, by the cause that is simulated."""
    return dict(_read(needs_shared(GENERATED), ".json"))


def samples() -> dict[str, Measurement]:
    """Measurements of the tests of OONI's backend, by the name of the file."""
    return dict(_read(needs_shared(SAMPLES), ""))


@cache
def _read(folder: Path, suffix: str) -> list[tuple[str, Measurement]]:
    found = []
    for path in sorted(folder.glob(f"*{suffix}")):
        try:
            found.append((path.name.removesuffix(".json"), from_json(path.read_bytes())))
        except InputError:
            continue  # tables and YAML of other times lie there, too
    return found


def right(said: Verdict, truth: Truth, *, partial: bool = False) -> bool:
    """Whether a verdict says what is true; a partial form may be called impaired."""
    if not truth.stopped:
        return said.state in truth.states and said.layer in (truth.layer, said.layer)
    named = (said.layer, said.mechanism) == (truth.layer, truth.mechanism)
    return named and (said.stopped or (partial and said.state is Reach.IMPAIRED))
