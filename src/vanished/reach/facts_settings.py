"""How much it takes before something counts; the defaults and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Facts = Mapping[str, tuple[str, ...]]
"""Facts that hold, by name, with the ids of the steps that show them."""


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """Counts of tries, seconds of patience, shares."""

    tries: int = 3
    """So many failures of a step make a contrast repeated: triggers are probabilistic."""

    dns_drops: int = 5
    """So many unanswered questions by UDP, and none answered, make a drop. With 5 % loss each way
    one question in ten is lost, so that five in a row come once in 100,000 times."""

    patience_s: float = 5.0
    """A connect or handshake that waited so long was retried by the kernel several times, so that
    its one timeout counts. Shorter ones count only if `tries` of them failed and none succeeded."""

    slow: float = 0.1
    """A page is slow if it comes at less than this share of the control's rate."""


DEFAULT = VerdictSettings()

OONI_PATIENCE_S = 10.0
"""What OONI's probes wait for a handshake, and less than they wait for a connect; for records whose
times were removed."""
