"""What answers show: the page, a block page, a captcha, a redirect that leads nowhere.

In: an `Observation`. Out: facts, each with the answers that show it. What the site itself sent over
TLS is never a block page by the network, whatever it says.
"""

from __future__ import annotations

from collections import defaultdict

from vanished.reach.block_pages import Page, examine
from vanished.reach.facts_settings import Facts
from vanished.reach.failures import Kind, kind
from vanished.reach.likeness import Likeness, compare
from vanished.reach.observation import Observation, Way
from vanished.reach.record import ControlPage
from vanished.reach.steps import Response

_BROKEN = ("http_invalid_redirect", "http_too_many_redirects", "unknown_failure: stopped after")


def page_facts(seen: Observation) -> Facts:
    """What the target's answers show."""
    found: dict[str, list[str]] = defaultdict(list)
    page = seen.control.http_request if seen.control else None
    ways = [way for way in seen.ways if way.exchange and not way.purpose]
    for way in ways:
        failure = (way.exchange.failure if way.exchange else None) or ""
        if failure.startswith(_BROKEN):
            found["broken_redirect"].append(way.exchange_id)
        before = (one for one in ways if one.depth < way.depth)
        _answer(way, page, found, certain=way.secure and all(one.secure for one in before))
    return {name: tuple(steps) for name, steps in found.items()}


def _answer(
    way: Way, page: ControlPage | None, found: dict[str, list[str]], *, certain: bool
) -> None:
    """Enter what one answer shows; `certain` if every answer before it came over TLS, too."""
    exchange = way.exchange
    if exchange is None or exchange.response is None or kind(exchange.failure) is Kind.TIMEOUT:
        return
    like = compare(exchange.response, page)
    if certain:
        if way.answered:
            found["reached_secure"].append(way.exchange_id)
        return
    what = _what(exchange.response, like, page)
    if what is Page.BLOCK:
        found["page_block"].append(way.exchange_id)
    elif what is Page.SERVER_CHECK:
        found["server_check"].append(way.exchange_id)
    elif what is Page.DENIAL and _unlike(way, like):
        found["page_denial"].append(way.exchange_id)
    elif way.answered and way.secure:
        found["reached_secure"].append(way.exchange_id)
    elif way.answered:
        found["reached_plain"].append(way.exchange_id)
        if like.same_page:
            found["page_alike"].append(way.exchange_id)


def _what(answer: Response, like: Likeness, page: ControlPage | None) -> Page:
    """What the page is. Signs alone make no block page of what has the control's own title."""
    titled = bool(like.title and page and page.title)
    if like.same_page and like.body and titled:
        return Page.ORDINARY
    found = examine(answer)
    if titled and found.page in (Page.BLOCK, Page.DENIAL) and not found.fingerprint:
        return Page.ORDINARY
    return found.page


def _unlike(way: Way, like: Likeness) -> bool:
    """A plain answer that says "fine" (200) and is not the page: servers say 403."""
    return way.answered and not way.secure and way.code == 200 and like.other_page
