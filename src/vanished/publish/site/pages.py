"""The pages of a static site in one language: what each shows, said by templates.

In: losses, numbers, and what the site says of itself. Out: the bytes of a page. The frame of all
pages is the dashboard's; addresses are relative; nothing may be loaded from anywhere else and no
script is needed. A row of a list is rendered once for all lists that it stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from vanished.model import SECOND, Micros
from vanished.publish.desk import words
from vanished.publish.site.figures import OUTCOMES
from vanished.publish.site.ledger import Loss
from vanished.publish.site.links import StaticLinks
from vanished.publish.site.lists import ALL, CAUSE, MONTH, Listing, cause_of
from vanished.publish.templates import environment
from vanished.publish.tongues import NAMES, Tongue

POLICY: Final = (
    "default-src 'none'; style-src 'self' file:; img-src 'self' file: data:;"
    " script-src 'self' file:; base-uri 'none'; form-action 'none'"
)
"""For a <meta>; `file:` is what "self" does not say everywhere of a page that lies on a disk."""
REPLAY_POLICY: Final = (
    f"{POLICY}; connect-src 'self'".replace("style-src", "style-src 'unsafe-inline'")
    .replace("img-src 'self' file: data:", "img-src data:")
)  # fmt: skip
"""Of the page that shows captures. A frame without an address of its own inherits it, so that
nothing of a capture can ask for anything; its own policy is stricter still."""
BRIEF: Final = 90  # signs of a loss's words on a list


@dataclass(frozen=True, slots=True)
class Site:
    """What a site says of itself on its pages."""

    observatory: str
    release: str
    title: str
    publisher: str
    contact: str
    k: int
    round_s: float
    base: str = ""  # the address that it will stand at, with a slash at the end; "": not known


class Room:
    """Templates in one language, and the rows that were rendered with them."""

    def __init__(self, tag: str, site: Site) -> None:
        self.tongue = Tongue(tag)
        self.site = site
        self._environment = environment(tag, "vanished.publish.site", "vanished.publish.desk")
        self._parts: Any = self._environment.get_template("parts.html").make_module(
            {"t": self.tongue, "w": words, "site": site}
        )
        self._rows: dict[tuple[int, str], Markup] = {}
        self._moments: dict[Micros, str] = {}

    def page(self, template: str, here: str, name: str = "", **values: Any) -> bytes:
        """The page at `here`, a path of the site; `name` is its place in the navigation."""
        context = {
            "t": self.tongue, "link": StaticLinks(here), "w": words, "languages": NAMES,
            "trouble": "", "everything": False, "page": name, "site": self.site, "policy": POLICY,
            "feeds": (), **values,
        }  # fmt: skip
        text = self._environment.get_template(template).render(context)
        return text.encode("utf-8", "replace")

    def row(self, loss: Loss, here: str) -> Markup:
        """A loss as a row of a list on the page at `here`."""
        links = StaticLinks(here)
        key = loss.number, links.root
        found: Markup | None = self._rows.get(key)
        if found is None:
            seen = self.view(loss) | {"link": links.loss(loss.number, loss.row.post)}
            found = self._rows[key] = self._parts.row(seen)
        return found

    def whole(self, loss: Loss, here: str) -> Markup:
        """Everything that is told of a loss, for the page at `here`."""
        links, seen = StaticLinks(here), self.view(loss)
        if loss.shard:
            seen |= {"shard": links.file(loss.shard), "replay": links.replay(loss.shard)}
        whole: Markup = self._parts.whole(seen)
        return whole

    def view(self, loss: Loss) -> dict[str, Any]:
        """A loss as templates take it."""
        row = loss.row
        causes = sorted(cause.value for cause in row.causes)
        return {
            "post": row.post,
            "account": row.account,
            "platform": row.platform,
            "causes": causes,
            "group": cause_of(loss),
            "says": [self.tongue.say(words.CAUSES[cause]) for cause in causes],
            "outcome": OUTCOMES[row.fate.name.lower()],
            "state": row.state.value,
            "confidence": row.confidence,
            "published": self.moment(row.published_from),
            "alive": self.moment(row.alive_until),
            "gone": self.moment(row.gone_by),
            "rounded": row.rounded // SECOND,
            "told": self.moment(loss.told_at),
            "title": row.title or "",
            "text": row.text or "",
            "words": bool(row.title or row.text),
            "no_words": row.no_words.value if row.no_words else "no words are known here",
            "shard": "",
            "brief": _brief(row.title or row.text or ""),
        }

    def moment(self, t: Micros | None) -> str:
        """A moment in words; "" where none is told."""
        if t is None:
            return ""
        if t not in self._moments:
            self._moments[t] = self.tongue.moment(t)
        return self._moments[t]

    def title(self, listing: Listing) -> str:
        """What a list is called."""
        tongue = self.tongue
        if listing.kind == ALL:
            return tongue.say("All losses")
        kind = tongue.say("cause" if listing.kind == CAUSE else
                          "month" if listing.kind == MONTH else "platform")  # fmt: skip
        return f"{kind}: {self.value(listing)}"

    def value(self, listing: Listing) -> str:
        """What the losses of a list have in common, in words."""
        if not listing.value:
            return self.tongue.say("not told")
        if listing.kind == CAUSE:
            return self.tongue.say(words.SHORT[listing.value])
        return listing.value

    def list_page(
        self, listing: Listing, here: str, number: int | None, losses: Sequence[Loss], fed: bool
    ) -> bytes:
        """One page of a list, newest first."""
        links, full = StaticLinks(here), len(listing.pages()) - 1
        at = full if number is None else number
        says = self.title(listing)
        newer = None if number is None else links.listed(
            listing.key, at + 1 if at + 1 < full else None
        )  # fmt: skip
        return self.page(
            "list.html", here, says=says, key=listing.key,
            rows=[self.row(loss, here) for loss in reversed(losses)],
            newer=newer, older=links.listed(listing.key, at - 1) if at else None,
            feeds=[(listing.key, says)] if fed else [],
        )  # fmt: skip


def _brief(text: str) -> str:
    return text if len(text) <= BRIEF else f"{text[:BRIEF]}…"
