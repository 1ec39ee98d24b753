"""How often a client may ask: a bucket of tokens for each.

In: a client's address and the time. Out: whether it may ask now, and else in how many seconds.
Buckets of clients that were seen long ago are forgotten, so memory is bounded. Behind another
server all requests come from that server: let it count, too.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

MOST_CLIENTS: Final = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens that come a second, and how many fit into the bucket."""

    per_s: float
    most: float


OTHERS: Final = Rate(5, 60)
HERE: Final = Rate(500, 5000)
"""A client on this machine is the team's own notebook."""


@dataclass(slots=True)
class Rates:
    """The buckets. May be used by several threads."""

    here: Rate = HERE
    others: Rate = OTHERS
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def wait_s(self, client: str, now_s: float, cost: float = 1) -> float:
        """0 if `client` may ask now, and its tokens are taken; else the seconds until it may.

        `now_s` is a monotonic clock's.
        """
        rate = self.here if _is_here(client) else self.others
        with self._lock:
            left, seen_s = self._buckets.pop(client, (rate.most, now_s))
            left = min(rate.most, left + (now_s - seen_s) * rate.per_s)
            wait = max(0.0, (cost - left) / rate.per_s)
            self._buckets[client] = (left if wait else left - cost, now_s)
            while len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return wait


def _is_here(client: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return not client  # a socket in the file system has no address
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
