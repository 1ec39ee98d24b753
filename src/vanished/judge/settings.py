"""What the judge assumes about platforms, as numbers a person can argue with.

Each default is an assumption on how long a wrong answer can last; the verdict is as safe as they
are true. docs/judge.md gives the reason for every one. No rule lives here.
"""

from __future__ import annotations

from dataclasses import dataclass

from vanished.model import SECOND, Micros


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Durations are seconds of the observed world, counts are looks."""

    confirm_strong_s: float = 4.0  # a notice must be seen again at least this much later
    strong_looks: int = 2
    confirm_weak_s: float = 6 * 3600.0  # a bare "not found" must last at least this long
    weak_looks: int = 3  # of which no two can lie in the same burst
    weak_gap_s: float = 48 * 3600.0  # further apart, one bare "not found" confirms no other
    burst_s: float = 3600.0  # longest burst of false "not found"
    stale_s: float = 60.0  # oldest copy that an answer "alive" may come from
    settle_s: float = 24 * 3600.0  # alive answers over this long end a flicker
    settle_looks: int = 3
    flicker_confirm_s: float = 12 * 3600.0  # gone for this long ends a flicker as well
    flicker_looks: int = 4  # the same, unless there was a notice among them
    fresh_s: float = 1800.0  # how long after a look a canary's right answer still vouches for it
    alone_s: float = 24 * 3600.0  # how long a loss waits for the word of every other vantage

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be zero or more")


DEFAULT = JudgeSettings()


def span(seconds: float) -> Micros:
    """Microseconds of a setting."""
    return int(seconds * SECOND)
