"""What a measurement says of its target: the six states, with layer, mechanism and evidence.

In: a measurement, OONI's or ours, and settings. Out: a `Verdict`, the same for the same record. No
I/O, no clock. The order is: what has to work (the canary), the control, artefacts, contrasts, and
last what is only slow or strange; rules.toml has the rules, `reach.facts` what they rest on. OONI's
own verdict on the same record is `reach.classic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vanished.reach.facts import DEFAULT, VerdictSettings, facts
from vanished.reach.facts_goaround import protocol
from vanished.reach.facts_parts import blamed
from vanished.reach.observation import Observation, observe
from vanished.reach.record import ControlSummary, Measurement, Ours
from vanished.reach.rules import Reach, ruleset

WHOLE, PARTIAL = "whole", "partial"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of one target, from one measurement.

    `layer` is where it is stopped ("dns", "ip", "tls", "sni", "http", "quic", "throughput") and
    `mechanism` how. `extent` is "partial" where some way led to the target all the same. `rules`
    are ids of rules.toml, the deciding one first; `evidence` are steps of the record.
    """

    target: str
    test_name: str
    state: Reach
    layer: str | None
    mechanism: str | None
    extent: str
    rules: tuple[str, ...]
    evidence: tuple[str, ...]
    ruleset: str
    says: str
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether the state is `blocked` or `likely_blocked`."""
        return self.state in (Reach.BLOCKED, Reach.LIKELY_BLOCKED)


def verdict(measurement: Measurement, settings: VerdictSettings = DEFAULT) -> Verdict:
    """The verdict on the target of `measurement`."""
    return conclude(observe(measurement), settings)


def conclude(seen: Observation, settings: VerdictSettings = DEFAULT) -> Verdict:
    """The same from what was put together already."""
    found = facts(seen, settings)
    rules = ruleset()
    holding = rules.holding(found)
    first = holding[0]
    reached = "reached_secure" in found or ("reached_plain" in found and "page_alike" in found)
    evidence = dict.fromkeys(
        step for name in sorted(first.all_of) for step in found.get(name, ()) if step
    )
    layer, mechanism = first.layer, first.mechanism
    block = seen.measurement.keys.x_vanished
    if first.of_parts and block and block.parts:
        layer, mechanism = blamed(block.parts, evidence)
        reached = "app_part_works" in found
    if first.of_flight and block and block.go_around:
        mechanism = protocol(block.go_around)
    return Verdict(
        target=seen.measurement.target,
        test_name=seen.measurement.test_name,
        state=first.state,
        layer=layer,
        mechanism=mechanism,
        extent=PARTIAL if reached and layer else WHOLE,
        rules=tuple(rule.id for rule in holding if rule.all_of),
        evidence=tuple(evidence),
        ruleset=rules.version,
        says=first.says,
        facts=found,
    )


def may_name_network(said: Verdict) -> bool:
    """Whether a disappearance may be put down to the network: where it blocks, or likely does."""
    return said.stopped


def noted(measurement: Measurement, said: Verdict) -> Measurement:
    """`measurement` with the verdict in its block `x_vanished`; what stands there else is kept."""
    keys = measurement.keys
    block = keys.x_vanished or Ours()
    summary = block.control
    if summary is None:
        worked = "no_control" not in said.facts
        summary = ControlSummary(ok=worked, failure=keys.control_failure)
    block = replace(
        block,
        ruleset=said.ruleset,
        state=said.state.value,
        layer=said.layer,
        mechanism=said.mechanism,
        rules=said.rules,
        evidence=said.evidence,
        control=summary,
    )
    return replace(measurement, test_keys=replace(keys, x_vanished=block))
