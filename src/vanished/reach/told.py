"""A verdict in one line: state, layer, mechanism, what was seen, and why, in plain words.

In: a measurement and its verdict. Out: text. Failures are OONI's strings, counted over the steps
that the verdict rests on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from vanished.reach.record import Measurement, TestKeys
from vanished.reach.verdict import PARTIAL, Verdict

_NAMES = {
    "queries": "look-up",
    "tcp_connect": "connect",
    "tls_handshakes": "TLS",
    "quic_handshakes": "QUIC",
    "requests": "request",
    "x_dns_duplicate_responses": "second answer",
}
MOST_SEEN = 4


def line(measurement: Measurement, said: Verdict) -> str:
    """The verdict on one target as one line without control characters."""
    where = "/".join(filter(None, (said.layer, said.mechanism))) or "-"
    partly = ", in part" if said.extent == PARTIAL else ""
    shown = seen(measurement.keys, said.evidence)
    told = f"{said.state.value:14} {where:22} {said.target}{partly}: {said.says}"
    return printable(told + (f" Seen: {shown}." if shown else ""))


def seen(keys: TestKeys, evidence: Sequence[str]) -> str:
    """What the steps of the evidence came to, such as "3 x TLS connection_reset"."""
    counts = Counter(filter(None, (_one(keys, step) for step in evidence)))
    shown = [f"{count} x {words}" for words, count in counts.most_common(MOST_SEEN)]
    return ", ".join(shown)


def _one(keys: TestKeys, step: str) -> str:
    """A step by its id, in words; "" for one that is not there."""
    kind, _, number = step.partition("/")
    if kind not in _NAMES or not number.isdigit():
        return ""
    steps: Sequence[object] = getattr(keys, kind) or ()
    if int(number) >= len(steps):
        return ""
    return f"{_NAMES[kind]} {_ended(steps[int(number)])}"


def _ended(step: object) -> str:
    failure = getattr(step, "failure", None)
    if failure:
        return str(failure)
    addresses: Iterable[str] = getattr(step, "addresses", ())
    if addresses:
        return " ".join(addresses)
    response = getattr(step, "response", None)
    return f"status {response.code}" if response is not None else "worked"


def printable(words: str) -> str:
    """`words` as one line that steers no terminal."""
    return "".join(one if one.isprintable() else "?" for one in words)
