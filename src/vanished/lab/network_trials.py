"""Trials of the web test in the lab's network: what was in force, what it said, what is right.

In: conditions by target, a seed. Out: a `Trial` a target. Conditions of several targets are in
force at once, and all targets are tested side by side, so that one lab tries six forms in the time
of one. Throttled targets share their rate, and are tested one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vanished.lab.network import NetworkLab
from vanished.lab.network_control import LabControl, lab_door, lab_settings
from vanished.lab.network_forms import FORMS, OUTAGES, Partial, Truth
from vanished.reach.record import Measurement
from vanished.reach.run import Limits
from vanished.reach.verdict import Verdict, verdict
from vanished.reach.web_test import WebTest

SHORT = Limits(dns_s=1.5, connect_s=2.5, tls_s=5.2, http_s=5.2, quic_s=2.0)
"""For the lab, whose ways are short. Handshakes and pages wait as long as a single timeout has to,
to count: where a censor remembers, no second one is let through to the same step."""
RATE_PATH = "/bytes/300000"
SLOW = ("throttling", "slow_server")

WEB_FORMS: Sequence[tuple[str, Partial]] = tuple(
    (name, partial)
    for name, form in FORMS.items()
    if form.layer != "protocol"
    for partial in sorted(form.partials)
)
"""Every form that stops pages, in every partial kind."""
HERE: Sequence[str] = tuple(name for name, outage in OUTAGES.items() if not outage.whole)
WHOLE: Sequence[str] = tuple(name for name, outage in OUTAGES.items() if outage.whole)


@dataclass(frozen=True, slots=True)
class Trial:
    """One target under one condition. `form` is "" for the clean network."""

    form: str
    partial: str
    target: str
    right: Truth
    said: Verdict
    measurement: Measurement

    @property
    def holds(self) -> bool:
        """Whether the verdict is right: its state, and layer and mechanism where it names them."""
        if self.said.state.value not in self.right.states:
            return False
        if not self.right.blocking:
            return not self.said.stopped
        return (self.said.layer, self.said.mechanism) == (self.right.layer, self.right.mechanism)

    @property
    def false_alarm(self) -> bool:
        """Whether blocking is named where nobody blocks."""
        return self.said.stopped and not self.right.blocking


def url_of(lab: NetworkLab, form: str, target: str) -> str:
    """What is asked of a target, so that the form can show itself."""
    scheme = "http" if form.startswith("http") else "https"
    return f"{scheme}://{target}/{lab.word if 'word' in form else ''}"


def trials(
    lab: NetworkLab,
    control: LabControl,
    conditions: Mapping[str, tuple[str, Partial]],
    *,
    whole: str = "",
    fine_tries: int = 3,
    limits: Limits = SHORT,
) -> list[Trial]:
    """Put the conditions in force, test their targets, and clear the lab.

    `whole` is an outage of the whole network, beside them. A condition "" is none.
    """
    if whole:
        lab.censor(whole)
    for target, (form, partial) in conditions.items():
        if form:
            lab.censor(form, target, partial)
    slow = {t: c for t, c in conditions.items() if c[0] in SLOW}
    asked = {url_of(lab, form, t): t for t, (form, _) in conditions.items() if t not in slow}
    late = {url_of(lab, form, t): t for t, (form, _) in slow.items()}
    try:
        done = lab.call(
            "client", lambda: asyncio.run(_measured(lab, control, [*asked], fine_tries, limits))
        )
        for url in late:
            done += lab.call(
                "client",
                lambda url=url: asyncio.run(
                    _measured(lab, control, [url], fine_tries, limits, rate_path=RATE_PATH)
                ),
            )
        found = []
        for measurement in done:
            target = {**asked, **late}[measurement.target]
            form, partial = conditions[target]
            said = verdict(measurement)
            found.append(
                Trial(form or whole, partial, target, lab.truth(target), said, measurement)
            )
        return found
    finally:
        lab.clear()


async def _measured(
    lab: NetworkLab,
    control: LabControl,
    urls: Sequence[str],
    fine_tries: int,
    limits: Limits,
    rate_path: str = "",
) -> list[Measurement]:
    settings = replace(
        lab_settings(lab, fine_tries=fine_tries, rate_path=rate_path), limits=limits, rate_s=2.0
    )
    test = WebTest(settings, lab_door(), control)
    return [found async for found in test.each(urls, at_once=len(urls) or 1)]
