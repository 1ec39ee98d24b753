"""Where pages stand, for a server; the static site has its own.

In: what a page is about. Out: its address. Templates never write an address themselves, so that the
same page can stand on a server and in a folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from vanished.publish.shelf.filters import Filter

PLACES: Final = {"timeline": "reach"}
"""Analyses whose page has another name than they have."""
EVERYTHING: Final = Filter()


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses on a server."""

    here: str = "/"  # of the page that is being made, with its query

    def home(self) -> str:
        return "/"

    def losses(self, asked: Filter = EVERYTHING, form: str = "", **changes: str) -> str:
        """The list; as "csv" or "json" where that is asked for."""
        return f"/losses{'.' + form if form else ''}{asked.address(**changes)}"

    def loss(self, post: str) -> str:
        return f"/losses/{quote(post)}"

    def translation(self, post: str) -> str:
        """The same page, with a machine's translation of its words."""
        return f"/losses/{quote(post)}?translate=1#translation"

    def accounts(self) -> str:
        return "/accounts"

    def account(self, key: str) -> str:
        return f"/accounts/{quote(key)}"

    def findings(self) -> str:
        return "/findings"

    def finding(self, name: str, **query: str) -> str:
        """The page of one analysis, by its name."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"/{PLACES.get(name, name)}{asked}"

    def finding_chart(self, name: str, tag: str) -> str:
        return f"/findings/{name}.svg?{urlencode({'lang': tag})}"

    def finding_table(self, name: str) -> str:
        """The whole table as CSV."""
        return f"/findings/{name}.csv"

    def story(self, key: str) -> str:
        return f"/story/{quote(key)}"

    def go_arounds(self) -> str:
        return "/go-arounds"

    def review(self, **query: str) -> str:
        asked = f"?{urlencode(query)}" if query else ""
        return f"/review{asked}"

    def spread(self, post: str, tag: str) -> str:
        """The counters of a post as a picture."""
        return f"/losses/{quote(post)}/spread.svg?{urlencode({'lang': tag})}"

    def spread_table(self, post: str) -> str:
        return f"/losses/{quote(post)}/spread.csv"

    def copies(self, post: str) -> str:
        return f"/losses/{quote(post)}/copies"

    def operate(self) -> str:
        return "/operate"

    def about(self) -> str:
        return "/about"

    def chart(self, name: str, tag: str) -> str:
        return f"/charts/{name}.svg?{urlencode({'lang': tag})}"

    def table(self, name: str) -> str:
        """What is behind a chart, as CSV."""
        return f"/charts/{name}.csv"

    def static(self, name: str) -> str:
        return f"/static/{name}"

    def language(self, tag: str) -> str:
        """The same page in another language."""
        return f"/language/{tag}?{urlencode({'to': self.here})}"
