"""What only the operator is told: findings of the doctor and of canaries, logins that expired.

In: a folder and the day. Out: events, one a finding and UTC day: what stays wrong is told once a
day. Channels lie on other people's machines, so a finding goes out without hosts, addresses, paths
and quoted words: these stand in `vanished doctor`, where its operator reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from vanished.model import DAY, Micros
from vanished.publish.alerts.event import Event, Kind, identity
from vanished.watch.doctor import attend
from vanished.watch.finding import Finding

HIDDEN: Final = "…"
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|\([^)]*\)")
_KEY: Final = re.compile(r"[a-z]{2,20}\.[a-z_]{2,20}")  # of settings, such as judge.fresh_s
_SETTINGS: Final = frozenset({"watch", "hosts", "net", "judge", "capture", "log", "stamps"})


def operating(folder: Path, now: Micros) -> list[Event]:
    """The findings of now, as events."""
    return findings_as_events(attend(folder), now)


def findings_as_events(findings: Iterable[Finding], now: Micros) -> list[Event]:
    """One event for each that reads differently, whatever its numbers."""
    found: dict[str, Event] = {}
    for finding in findings:
        where, what = discreet(_place(finding.where)), discreet(finding.what)
        own = identity(Kind.OPERATOR, now // DAY, finding.where, re.sub(r"\d+", "0", finding.what))
        detail = MappingProxyType({"where": where, "what": what})
        found.setdefault(own, Event(own, Kind.OPERATOR, now, detail=detail))
    return list(found.values())


def _place(where: str) -> str:
    """Hosts are named by what they are; from where one looks is nobody's business."""
    if where.startswith("host "):
        return "a host"
    return re.sub(r" from .*", f" from {HIDDEN}", where)


def discreet(text: str) -> str:
    """`text` without what could name somebody or some place: see the module."""
    text = _QUOTED.sub(HIDDEN, " ".join(text.split()))
    return " ".join(HIDDEN if _names(word) else word for word in text.split(" "))


def _names(word: str) -> bool:
    """Whether a word may be an address, a path, a host, an account or a name in another script."""
    bare = word.strip(".,;:!?…[]")
    if _KEY.fullmatch(bare) and bare.partition(".")[0] in _SETTINGS:
        return False
    if any(sign in bare for sign in "/\\@#~$%&=<>") or not bare.isascii():
        return bool(bare)
    return ("." in bare and not re.fullmatch(r"\d+\.\d+", bare)) or ":" in bare
