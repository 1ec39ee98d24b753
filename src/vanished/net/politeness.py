"""How fast a host may be asked: one token bucket a host, slowed by the host itself.

In: the configured rates, the time, and what hosts answered. Out: whether a request may start now,
or when. Pure: no I/O, no clock. It does not wait and does not queue; the watch does. A host is
whatever string the caller keeps budgets by (`net.address.host_of` makes one of a URL).

A bucket fills with the host's present rate, never above `burst_s` seconds of it (at least one
request). Requests that nobody dispatched (redirect hops, retries) may overdraw it; nothing new
starts until that debt is paid. A host that says "too many requests" has its rate halved, and gets
it back by 5 % of the configured rate a minute (additive increase, multiplicative decrease: Chiu &
Jain 1989).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from vanished.errors import ConfigError
from vanished.model import SECOND, Fault, Micros

RECOVERED_PER_S = 0.05 / 60
"""Share of the configured rate that a slowed host gets back a second."""
FLOOR = 1 / 64
"""Share of the configured rate that is left to a host that refuses again and again."""
LONGEST_RETRY_AFTER_S = 86_400.0
"""A host may send us away for a day at most; a typing error must not blind us for a century."""
CROWD = 4096
"""Hosts remembered before those that are as good as new are forgotten."""
_EPSILON = 1e-6  # of a request: what rounding may take from a bucket that is just full enough


@dataclass(slots=True)
class _Bucket:
    """What a host may be asked as of `then`, which lies in the future while it sends us away."""

    tokens: float
    then: Micros
    rate: float  # requests a second at `then`
    full_rate: float  # as configured
    halved_at: Micros | None = None


class Politeness:
    """The budgets of all hosts. One owner; not for use from several threads."""

    def __init__(
        self,
        per_second: float,
        per_host: Mapping[str, float] | None = None,
        burst_s: float = 10,
    ) -> None:
        """`per_second`: requests a second to any host that `per_host` does not name.

        Raises ConfigError for a rate that is not above zero or a burst below zero.
        """
        self._per_second = per_second
        self._per_host = dict(per_host or {})
        self._burst_s = burst_s
        self._buckets: dict[str, _Bucket] = {}
        self._crowd = CROWD
        for host, rate in [("any host", per_second), *self._per_host.items()]:
            if not (rate > 0 and math.isfinite(rate)):
                raise ConfigError(
                    f"The rate for {host} is {rate} requests a second; give a number above 0,"
                    " such as 0.2 for one request in five seconds."
                )
        if not (burst_s >= 0 and math.isfinite(burst_s)):
            raise ConfigError(f"The burst is {burst_s} seconds; give 0 or more.")

    def room(self, host: str, now: Micros) -> int:
        """Whole requests to `host` that may start now."""
        bucket = self._buckets.get(host)
        tokens = self._capacity(self._rate(host)) if bucket is None else self._at(bucket, now)[0]
        return max(0, int(tokens + _EPSILON))

    def per_s(self, host: str, now: Micros) -> float:
        """Requests a second that `host` allows now; nothing while it sends us away."""
        bucket = self._buckets.get(host)
        if bucket is None:
            return self._rate(host)
        return 0.0 if bucket.then > now else self._at(bucket, now)[1]

    def ready_at(self, host: str, now: Micros) -> Micros:
        """When the next request to `host` may start: `now` if it may at once."""
        bucket = self._buckets.get(host)
        if bucket is None:
            return now
        tokens, rate = self._at(bucket, now)
        if tokens + _EPSILON >= 1:
            return now
        # Ceiling plus one: at the date that we name, `room` must not be short by a rounding.
        wait_s = _seconds_until(1 - tokens, rate, bucket.full_rate)
        return max(now, bucket.then) + math.ceil(wait_s * SECOND) + 1

    def sent_away(self, host: str, now: Micros) -> bool:
        """Whether `host` told us to stay away until later than `now`."""
        bucket = self._buckets.get(host)
        return bucket is not None and bucket.then > now

    def spend(self, host: str, now: Micros, n: int = 1) -> None:
        """Note that `n` requests to `host` start now, whether or not there was room."""
        self._advanced(host, now).tokens -= n

    def answered(
        self,
        host: str,
        now: Micros,
        status: int | None,
        retry_after_s: float | None = None,
        fault: Fault | None = None,
        *,
        asked_at: Micros | None = None,
    ) -> None:
        """Learn from an answer: 429, RATE_LIMITED, or 503 with Retry-After slow `host` down.

        With `asked_at`, the answers to requests that had all started before the last halving
        count as one message: twenty of them must not halve the rate twenty times.
        """
        limited = status == 429 or fault is Fault.RATE_LIMITED
        if not limited and not (status == 503 and retry_after_s is not None):
            return
        bucket = self._advanced(host, now)
        same_message = (
            asked_at is not None and bucket.halved_at is not None and asked_at <= bucket.halved_at
        )
        if not same_message:
            bucket.rate = max(bucket.rate / 2, bucket.full_rate * FLOOR)
            bucket.halved_at = now
        bucket.tokens = min(bucket.tokens, 0.0)  # whatever was saved up is gone: no burst
        if retry_after_s is not None and retry_after_s > 0:
            wait_s = min(retry_after_s, LONGEST_RETRY_AFTER_S)
            bucket.then = max(bucket.then, now + math.ceil(wait_s * SECOND))

    def _rate(self, host: str) -> float:
        return self._per_host.get(host, self._per_second)

    def _capacity(self, rate: float) -> float:
        return max(1.0, self._burst_s * rate)

    def _at(self, bucket: _Bucket, now: Micros) -> tuple[float, float]:
        """Tokens and rate at `now`, as if nothing was spent since `bucket.then`."""
        if now <= bucket.then:
            return bucket.tokens, bucket.rate
        elapsed_s = (now - bucket.then) / SECOND
        rate = min(bucket.full_rate, bucket.rate + bucket.full_rate * RECOVERED_PER_S * elapsed_s)
        gained = _gained(elapsed_s, bucket.rate, bucket.full_rate)
        return min(self._capacity(rate), bucket.tokens + gained), rate

    def _advanced(self, host: str, now: Micros) -> _Bucket:
        """The bucket of `host`, brought forward to `now`."""
        bucket = self._buckets.get(host)
        if bucket is None:
            if len(self._buckets) >= self._crowd:
                self._forget(now)
                self._crowd = max(CROWD, 2 * len(self._buckets))
            rate = self._rate(host)
            bucket = self._buckets[host] = _Bucket(self._capacity(rate), now, rate, rate)
        elif now > bucket.then:
            bucket.tokens, bucket.rate = self._at(bucket, now)
            bucket.then = now
        return bucket

    def _forget(self, now: Micros) -> None:
        """Drop the buckets that no later question could tell from new ones."""
        for host, bucket in list(self._buckets.items()):
            if now > bucket.then:
                tokens, rate = self._at(bucket, now)
                if rate >= bucket.full_rate and tokens >= self._capacity(rate):
                    del self._buckets[host]


def _gained(elapsed_s: float, rate: float, full_rate: float) -> float:
    """Requests that a recovering rate brings in `elapsed_s`: the integral of a ramp, then flat."""
    slope = full_rate * RECOVERED_PER_S
    ramp_s = min(elapsed_s, (full_rate - rate) / slope)
    return rate * ramp_s + slope * ramp_s * ramp_s / 2 + full_rate * (elapsed_s - ramp_s)


def _seconds_until(need: float, rate: float, full_rate: float) -> float:
    """The inverse of `_gained`: how long until it brings `need`."""
    slope = full_rate * RECOVERED_PER_S
    ramp_s = (full_rate - rate) / slope
    on_ramp = _gained(ramp_s, rate, full_rate)
    if need >= on_ramp:
        return ramp_s + (need - on_ramp) / full_rate
    # The stable root of slope/2 * t**2 + rate * t = need: no cancellation for a small slope.
    return 2 * need / (rate + math.sqrt(rate * rate + 2 * slope * need))


def retry_after_s(headers: Mapping[str, str], now: Micros) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None if there is none.

    `headers` has its names in lower case. A date is read against the answer's own Date, if it has
    one, so that no wrong clock on either side turns a minute into an hour.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(headers.get("date", ""))
    return max(0.0, until - (now / SECOND if since is None else since))


def _http_date(text: str) -> float | None:
    """Seconds since the epoch."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError):
        return None
