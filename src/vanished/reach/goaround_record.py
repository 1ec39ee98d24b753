"""The record of a go-around's test, without what must not leave: secrets, and where its server is.

In: the steps of the way to its server, and how far it came. Out: a `Measurement` with our verdict,
in which the server's address and names stand as its hash. Certificates and raw answers, which
repeat them in other spellings, are left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from vanished.reach.goaround import GoAround
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.record import GoAroundSeen, Measurement, Ours, TorTarget
from vanished.reach.verdict import noted, verdict


def recorded(found: GoAround, base: Measurement, seen: GoAroundSeen) -> Measurement:
    """`base`, the record of the way to the server, as that of the go-around."""
    keys = base.keys
    block = keys.x_vanished or Ours()
    worked = seen.traffic is True and not seen.ended
    more: dict[str, Any] = {}
    if found.kind == "tor":
        more["transport_name"] = found.pluggable or "vanilla"
    if found.kind == "openvpn":
        more["success_handshake"] = seen.handshake is True
    measured = replace(
        base,
        test_name=_test_name(found),
        test_version="0.1.0",
        input=f"{found.kind}:{found.hash}",
        test_keys=replace(
            keys, success=worked, failure=None if worked else seen.failure or "unknown_failure",
            x_vanished=replace(block, go_around=seen, unexpected=None), **more,
        ),
    )  # fmt: skip
    return hidden(found, noted(measured, verdict(measured)))


def _test_name(found: GoAround) -> str:
    return "torsf" if found.pluggable == "snowflake" else found.sort.test_name


def hidden(found: GoAround, measured: Measurement) -> Measurement:
    """`measured` with a hash wherever the server or a secret stood."""
    keys = measured.keys
    if found.hidden:
        keys = replace(
            keys,
            queries=tuple(replace(one, raw_response=None) for one in keys.queries or ()),
            tls_handshakes=tuple(
                replace(one, peer_certificates=None) for one in keys.tls_handshakes or ()
            ),
        )
    line = to_json(replace(measured, test_keys=keys))
    for text in found.hidden:
        line = line.replace(_quoted(text), f"go-around-{found.hash}".encode())
    return from_json(line)


def _quoted(text: str) -> bytes:
    """`text` as it stands inside a JSON string."""
    return msgspec.json.encode(text)[1:-1]


def tor_record(found: GoAround, base: Measurement) -> Measurement:
    """OONI's test `tor` (ts-023) from the same steps: each authority or bridge as a target."""
    parts = (base.keys.x_vanished or Ours()).parts or ()
    protocol = found.pluggable or ("or_port" if found.texts("bridges") else "or_port_dirauth")
    targets = {
        one.url.partition("://")[2]: TorTarget(
            target_address=one.url.partition("://")[2],
            target_protocol=protocol,
            failure=None if one.state == "ok" else _failure(base, one.url),
        )
        for one in parts
    }
    keys = replace(base.keys, targets=targets, success=None, failure=None)
    measured = replace(base, test_name="tor", test_version="0.4.0", input=None, test_keys=keys)
    return hidden(found, noted(measured, verdict(measured)))


def _failure(base: Measurement, url: str) -> str:
    """OONI's word for why a target was not reached."""
    place = url.partition("://")[2]
    for step in base.keys.tcp_connect or ():
        if place in (f"{step.ip}:{step.port}", f"[{step.ip}]:{step.port}") and step.failure:
            return step.failure
    return "unknown_failure"
