"""A measurement without what is the volunteer's: OONI's way, and again from the bytes.

In: a measurement and an `Own`. Out: the same measurement, and the line that may be kept, with
[scrubbed] for addresses of the volunteer and of its resolver, credentials, cookies, and bridges.
First every field of the record is gone through, bodies, certificates and raw DNS answers too (OONI
does so); then every string of the finished JSON again, because a field that is added tomorrow must
not leak because of a walk written today. What it cannot find: an address that nobody told it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from vanished.reach.dns_subnet import without_client_subnet
from vanished.reach.ooni_json import to_json
from vanished.reach.own import SCRUBBED, Own
from vanished.reach.record import ControlPage, Measurement, TestKeys, TorTarget
from vanished.reach.steps import Binary, Query, Request, Response, Words, raw, text, words

CREDENTIALS = frozenset(
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "cookie2",
        "set-cookie",
        "set-cookie2",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "forwarded",
        "true-client-ip",
        "cf-connecting-ip",
    ]
)
"""Headers whose values say who asked, or are secret."""

RELAYS = frozenset(["dir_port", "or_port", "or_port_dirauth"])
"""Protocols of the targets of `tor` that are public: directory authorities."""

_TRANSPORT = r"(?:obfs[2-5]|scramblesuit|meek(?:_lite)?|snowflake|webtunnel|conjure|dnstt)"
_BRIDGE = re.compile(
    rf"(?i)(?:\bbridge\s+)?\b{_TRANSPORT}\s+\[?[0-9a-f.:]+\]?:\d+(?:\s+[0-9a-f]{{40}})?"
    r"(?:\s+[\w-]+=\S+)*"
    r"|\bbridge\s+\[?[0-9a-f.:]+\]?:\d+(?:\s+[0-9a-f]{40})?"
    r"|\bcert=[0-9a-z+/]{60,}={0,2}"
    r"|\b(?:ss|ssr|vmess|vless|trojan|hysteria2?|hy2|tuic|snell|juicity)://[^\s\"'<>]+"
    r"|\b(?:private|preshared)key\s*=\s*[0-9a-z+/]{42,44}=?"
)
_USER = re.compile(r"(?<=://)[^/\s@\"'<>?#]{1,512}@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[0-9a-z._~+/-]{8,}=*")
_PARAMETER = re.compile(
    r"(?i)\b((?:access_|auth_|api_|session_)?(?:token|key|secret|password|passwd|session|sid))="
    r"[^&\s\"'<>;]{4,}"
)
_FINGERPRINT = re.compile(r"\b[0-9A-Fa-f]{40}\b")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_FOUR_HUNDRED = re.compile(r"[0-9a-f]{40,64}")


def bridge_hash(line: str, key: bytes) -> str:
    """A name for a bridge that does not give it away.

    With a fingerprint: the SHA-1 of it, upper case, by which Tor's own statistics call a bridge.
    Without: a keyed hash (HMAC-SHA-256, 40 digits), because addresses are few enough to be tried;
    `key` stays on this machine.
    """
    found = _FINGERPRINT.search(line)
    if found:
        return hashlib.sha1(bytes.fromhex(found[0])).hexdigest().upper()  # noqa: S324 - Tor's choice
    return hmac.new(key, " ".join(line.split()).encode(), hashlib.sha256).hexdigest()[:40]


def scrubbed(measurement: Measurement, own: Own) -> Measurement:
    """`measurement` without what is the volunteer's, credentials and bridges."""
    made: Measurement = _walked(measurement, own)
    return made


def local_line(measurement: Measurement, own: Own) -> bytes:
    """The line to keep on this machine, without its end: scrubbed, and scrubbed again."""
    return scrubbed_bytes(to_json(scrubbed(measurement, own)), own)


def scrubbed_bytes(line: bytes, own: Own) -> bytes:
    """A line of JSON with every string in it scrubbed; numbers and structure stay."""
    return _STRING.sub(
        lambda found: '"' + own.text(_without_bridges(found[0][1:-1])) + '"',
        line.decode("utf-8", "surrogatepass"),
    ).encode("utf-8", "surrogatepass")


def _walked(node: Any, own: Own) -> Any:
    """`node` and all in it, of the same types; the very object if nothing had to go."""
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, str):
        return _plain(node, own)
    if isinstance(node, int | float):
        return type(node)(0) if own.number(node) else node
    if isinstance(node, Binary):
        return _binary(node, own)
    if isinstance(node, tuple):
        made = tuple(_walked(one, own) for one in node)
        return node if all(new is old for new, old in zip(made, node, strict=True)) else made
    if isinstance(node, dict):
        return {_walked(key, own): _walked(value, own) for key, value in node.items()}
    assert is_dataclass(node), type(node)
    return _object(node, own)


def _object(node: Any, own: Own) -> Any:
    special = _SPECIAL.get(type(node), {})
    changed = {}
    for one in fields(node):
        held = getattr(node, one.name)
        made = special.get(one.name, _walked)(held, own)
        if made is not held:
            changed[one.name] = made
    return replace(node, **changed) if changed else node


def _plain(held: str, own: Own) -> str:
    shown = _without_bridges(held)
    if "@" in shown:
        shown = _USER.sub("", shown)
    if " " in shown:
        shown = _BEARER.sub(rf"\1 {SCRUBBED}", shown)
    if "=" in shown:
        shown = _PARAMETER.sub(rf"\1={SCRUBBED}", shown)
    return own.text(shown)


def _without_bridges(held: str) -> str:
    """Every form of a bridge has one of these characters."""
    return _BRIDGE.sub(SCRUBBED, held) if ":" in held or "=" in held else held


def _binary(held: Binary, own: Own) -> Binary:
    """Decoded, scrubbed and encoded again; a damaged one is emptied."""
    inside = own.raw(held.held)
    shown = inside.decode("latin-1")
    cut = _BRIDGE.sub(SCRUBBED, shown)
    made = Binary.of(inside if cut == shown else cut.encode("latin-1"))
    return held if made.data == held.data and held.format == "base64" else made


def _body(held: Words | None, own: Own) -> Words | None:
    """A page: what is the volunteer's and bridges go, what else stands in it is the site's."""
    if held is None or isinstance(held, Binary):
        return None if held is None else _binary(held, own)
    return own.text(_without_bridges(held))


def _headers(held: dict[str, Words] | None, own: Own) -> dict[str, Words] | None:
    if held is None:
        return None
    return {
        _plain(name, own): SCRUBBED if name.lower() in CREDENTIALS else _walked(value, own)
        for name, value in held.items()
    }


def _headers_list(held: Any, own: Own) -> Any:
    if held is None:
        return None
    return tuple(
        (
            _walked(name, own),
            SCRUBBED if text(name).lower() in CREDENTIALS else _walked(value, own),
        )
        for name, value in held
    )


def _answer(held: Words | None, own: Own) -> Words | None:
    """A raw DNS answer: without the client's subnet, too (EDNS option 8, RFC 7871)."""
    if held is None:
        return None
    whole = without_client_subnet(raw(held))
    if whole is None:
        return None  # no DNS message: nobody knows what is in it
    made = own.raw(whole)
    return held if made == raw(held) else words(made)


def _targets(held: Any, own: Own) -> Any:
    """The targets of `tor`: of bridges, their hashes only."""
    if isinstance(held, dict):
        shown = {}
        for number, (name, target) in enumerate(held.items()):
            kept = name if _public(target) or _FOUR_HUNDRED.fullmatch(name) else f"bridge {number}"
            shown[_plain(kept, own)] = _target(target, own)
        return shown
    return held if held is None else tuple(_target(one, own) for one in held)


def _public(target: TorTarget) -> bool:
    return target.target_protocol in RELAYS


def _target(target: TorTarget, own: Own) -> TorTarget:
    seen: TorTarget = _object(target, own)
    if _public(target):
        return seen
    return replace(seen, target_address=SCRUBBED, target_name=None)


_SPECIAL: dict[type, dict[str, Callable[[Any, Own], Any]]] = {
    Request: {"headers": _headers, "headers_list": _headers_list, "body": _body},
    Response: {"headers": _headers, "headers_list": _headers_list, "body": _body},
    ControlPage: {"headers": _headers},
    Query: {"raw_response": _answer},
    TestKeys: {"targets": _targets},
}
