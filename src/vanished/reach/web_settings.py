"""What a web test asks, how often, and what has to work before anything is said."""

from __future__ import annotations

from dataclasses import dataclass, field

from vanished.reach.facts_settings import VerdictSettings
from vanished.reach.probe_dns import Resolver
from vanished.reach.run import Limits


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of `web_test`. Counts are of tries, times in seconds.

    `canary` is a page that nobody blocks, `bystander` a name that nobody minds, to be shown to the
    target's own address. `fine_tries` is how often a step that works is made: a censor that reacts
    to one try in four is met by more of them.
    """

    canary: str = "https://example.com/"
    bystander: str = "example.com"
    resolvers: tuple[Resolver, ...] = field(default_factory=lambda: (Resolver("system"),))
    authorities: str = ""  # a file of certificates; "" for the system's
    limits: Limits = field(default_factory=Limits)
    verdict: VerdictSettings = field(default_factory=VerdictSettings)
    fine_tries: int = 1
    mixed_tries: int = 8  # where some tries work and others do not
    spacing_s: float = 0.3  # between the starts of tries
    residual_s: float = 0.0  # to wait before another name is shown where one was stopped
    canary_s: float = 60.0  # so long one look at the canary holds
    most_addresses: int = 4
    quic: bool = True
    rate_path: str = ""  # of a large page at the target, to measure how fast it comes
    rate_canary: str = ""  # address of a large page that nobody minds, for what the line carries
    rate_s: float = 4.0
