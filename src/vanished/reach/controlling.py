"""Who is asked for a control: the protocol that every kind of control speaks.

In: a target and the places that the probe found. Out: what is seen from a network that is not
filtered, or `ControlFailedError`. A control that fails makes a stale test, never a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vanished.reach.record import Control


class ControlFailedError(Exception):
    """No control can be had; `failure` says why in OONI's words."""

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class Controlling(Protocol):
    """A control."""

    @property
    def vantage(self) -> str:
        """Where it stands, for the record: never an address of the volunteer's."""

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        """What it sees of `url` and of these places. Raises ControlFailedError."""

    async def rate(self, url: str, seconds: float) -> float | None:
        """Bytes per second at which it gets `url`; None if it cannot tell."""
