"""What the test of a go-around shows, stage after stage.

In: the go-around's block of a record. Out: facts. That traffic flows is shown by a page through it.
Against the network speaks only what another network does not show: bytes that are lost here while
others pass to the same place, or a go-around that works elsewhere and, at an address that answers,
not here.
"""

from __future__ import annotations

from vanished.reach.facts_settings import Facts, VerdictSettings
from vanished.reach.failures import Kind, kind
from vanished.reach.flights import TLS
from vanished.reach.record import GoAroundSeen, Knock

_ALIVE = (Kind.NONE, Kind.REFUSED)
_REFUSED = (Kind.REFUSED, Kind.RESET)


ANSWERED = ("acknowledged", "reset")
"""What shows that bytes came through: a server also may reset what it does not speak."""


def go_around_facts(seen: GoAroundSeen, settings: VerdictSettings) -> Facts:
    """The facts of one go-around."""
    found: dict[str, tuple[str, ...]] = {}
    if seen.traffic:
        found["around_cut" if seen.ended else "around_works"] = ()
        return found
    own = [one for one in seen.flights if one.kind != TLS]
    others = [one for one in seen.flights if one.kind == TLS]
    lost = [one for one in own if one.ended == "lost"]
    passes = bool(others) and all(one.ended in ANSWERED for one in others)
    if lost and passes and len(lost) == len(own):
        found["flight_lost"] = tuple(f"flights/{seen.flights.index(one)}" for one in lost)
        if len(lost) >= settings.tries and len(others) >= settings.tries:
            found["flight_lost_repeated"] = found["flight_lost"]
    if seen.elsewhere is False:
        found["around_fails_elsewhere"] = ()
    address = _address(seen.knocks)
    if address in ("silent", "refused", "unreachable"):
        found[f"address_{address}"] = ()
    if seen.elsewhere and address == "answers" and not seen.handshake:
        silent = [one for one in own if one.ended == "silent"]
        if silent:
            found["around_silent"] = ()
            if len(silent) >= settings.tries:
                found["around_silent_repeated"] = ()
    if seen.elsewhere and seen.reachable and seen.traffic is False:
        found["around_stopped"] = ()
    return found


def _address(knocks: tuple[Knock, ...]) -> str:
    """What the address does here where it answers the control: "answers", "refused" where the
    control connects, "unreachable", "silent", or "" where nothing can be said."""
    answers = [one for one in knocks if kind(one.control) in _ALIVE and one.control is not None]
    open_there = [one for one in answers if not one.control]
    if not answers:
        return ""
    if all(kind(each) is Kind.TIMEOUT for one in answers for each in one.here):
        return "silent"
    if all(kind(each) is Kind.UNREACHABLE for one in answers for each in one.here):
        return "unreachable"
    if open_there and all(kind(e) in _REFUSED for one in open_there for e in one.here):
        return "refused"
    return "answers" if any(kind(e) in _ALIVE for one in answers for e in one.here) else ""


def protocol(seen: GoAroundSeen) -> str:
    """What the stopped first bytes look like."""
    return next((one.kind for one in seen.flights if one.kind != TLS), "unknown")
