"""Questions to Weibo's two sites, with the pass that Weibo gives to every visitor.

In: a `Fetch`, which servers to ask, a cookie of one's own if there is one. Out: the answers, and
the posts of an account's list. A pass is asked for when an answer calls for one, used for that one
reading or look, and forgotten. It could log somebody in as this visitor, so the exchange that gives
it is private: no byte of it is kept. What an answer means is the business of `weibo_answer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from vanished.model import NO_COUNTS, SECOND, Counts, Observation, Signal, Version, Via
from vanished.net.exchange import Exchange, Fetch
from vanished.sources.page import observation
from vanished.sources.weibo_answer import (
    Status,
    needs_visitor,
    posts_of,
    read_status,
    refusal,
    status_in,
    visitor_pass,
)

MOST_PAGES = 5  # of one reading

MOBILE, DESKTOP = "mobile", "desktop"


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks Weibo's servers for one reading or look, and keeps what they answered, in order."""

    fetch: Fetch
    servers: Mapping[str, str]
    passports: Mapping[str, str]
    cookie: str = field(repr=False)
    visitor: bool
    passes: dict[str, str] = field(default_factory=dict, repr=False)
    exchanges: list[Exchange] = field(default_factory=list)

    async def get(self, side: str, path: str, **query: str | int) -> Exchange:
        """Ask; once more with a visitor's pass if the answer calls for one."""
        url = f"{self.servers[side]}{path}" + (f"?{urlencode(query)}" if query else "")
        exchange = await self._get(side, url)
        if self.cookie or not self.visitor or side in self.passes:
            return exchange
        if not needs_visitor(refusal(exchange)) or status_in(exchange):
            return exchange
        self.passes[side] = visitor_pass(await self._enter(side))
        return await self._get(side, url) if self.passes[side] else exchange

    async def _get(self, side: str, url: str) -> Exchange:
        headers = {
            "Accept": "application/json, text/plain, */*",
            "Accept-Language": "zh-CN,zh;q=0.9",  # most notices are known in Chinese only
            "X-Requested-With": "XMLHttpRequest",
        }
        if side == MOBILE:
            headers["MWeibo-Pwa"] = "1"
        cookie = self.cookie or self.passes.get(side, "")
        if cookie:
            headers["Cookie"] = cookie
        exchange = await self.fetch.request("GET", url, headers=headers)
        self.exchanges.append(exchange)
        return exchange

    async def _enter(self, side: str) -> Exchange:
        body = urlencode({"cb": "visitor_gray_callback", "tid": "", "from": "weibo"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.passports[side]}/visitor/genvisitor2"
        return await self.fetch.request("POST", url, headers=headers, body=body, private=True)

    def seen(
        self,
        subject: str,
        signal: Signal,
        via: Via,
        version: Version | None = None,
        counts: Counts = NO_COUNTS,
    ) -> Observation:
        """The look that all exchanges together are."""
        first, last = self.exchanges[0], self.exchanges[-1]
        hashed = version.hash if version else ""
        return observation(subject, last, signal, via, hashed, counts, first=first)


# -- an account's list -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A post as a list shows it, and the answer that it stands in."""

    status: Status
    side: str
    exchange: Exchange


async def read_list(ask: Asker, user: str, newest: int) -> tuple[list[Listed], list[Exchange]]:
    """The posts of the account back to the number `newest`, in the order of the list; and the
    answers that held none. The desktop is asked where the mobile list shows nothing.
    """
    refusals: list[Exchange] = []
    for side in (MOBILE, DESKTOP):
        found: dict[str, Listed] = {}
        for page in range(1, MOST_PAGES + 1 if newest else 2):
            if side == MOBILE:
                query = {"type": "uid", "value": user, "containerid": f"107603{user}"}
                exchange = await ask.get(side, "/api/container/getIndex", **query, page=page)
            else:
                exchange = await ask.get(
                    side, "/ajax/statuses/mymblog", uid=user, page=page, feature=0
                )
            items = posts_of(exchange)
            statuses = [status for item in items or () if (status := read_status(item))]
            fresh = [s for s in statuses if s.user == user and s.mid not in found]
            if not fresh:
                if not found:
                    refusals.append(exchange)
                break
            found.update({s.mid: Listed(s, side, exchange) for s in fresh})
            unpinned = [int(s.mid) for s in fresh if not s.pinned]
            if unpinned and min(unpinned) <= newest:
                break
        if found:
            return list(found.values()), []
    return [], refusals


def complete_since(listed: Sequence[Listed]) -> int | None:
    """Since when the list claims to hold every post: it does if it is in order, without gaps that
    it would show; None if a date is missing or a post stands out of its order.
    """
    ordered = [entry.status for entry in listed if not entry.status.pinned]
    dates = [status.published_at for status in ordered if status.published_at is not None]
    numbers = [int(status.mid) for status in ordered]
    if len(dates) != len(ordered) or len(dates) < 2 or numbers != sorted(numbers, reverse=True):
        return None
    return min(dates) + SECOND
