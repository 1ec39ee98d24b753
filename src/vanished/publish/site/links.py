"""Where the pages of a static site stand, as relative addresses between its files.

In: what a page is about. Out: its address from the page that is being made. `desk.links` says the
same for a server; templates never write an address themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VOLUME: Final = 25
"""Losses whose numbers follow each other and which stand on one page in full."""


def volume_of(number: int) -> int:
    """The volume that the loss of this number stands in."""
    return (number - 1) // VOLUME


@dataclass(frozen=True, slots=True)
class StaticLinks:
    """Addresses from the page `here`, a path of the site such as `en/list/all.html`."""

    here: str

    @property
    def root(self) -> str:
        """The way up to the site's folder."""
        return "../" * self.here.count("/")

    @property
    def _tongue(self) -> str:
        return self.root + self.here.partition("/")[0]

    def home(self) -> str:
        return f"{self._tongue}/index.html"

    def search(self) -> str:
        return f"{self._tongue}/search.html"

    def lists(self) -> str:
        return f"{self._tongue}/lists.html"

    def about(self) -> str:
        return f"{self._tongue}/about.html"

    def listed(self, key: str, page: int | None = None) -> str:
        """A list; its newest page, or the older one of this number."""
        return f"{self._tongue}/{list_path(key, page)}"

    def loss(self, number: int, post: str) -> str:
        return f"{self._tongue}/{volume_path(volume_of(number))}#{post}"

    def volume(self, volume: int) -> str:
        return f"{self._tongue}/{volume_path(volume)}"

    def feed(self, key: str, form: str) -> str:
        return f"{self._tongue}/feeds/{key}.{form}"

    def chart(self, name: str, tag: str) -> str:
        return f"{self.root}{tag}/charts/{name}.svg"

    def table(self, name: str) -> str:
        """What is behind a chart, as CSV."""
        return f"{self._tongue}/charts/{name}.csv"

    def static(self, name: str) -> str:
        return f"{self.root}static/{name}"

    def file(self, name: str) -> str:
        """A file that is the same in all languages."""
        return f"{self.root}{name}"

    def replay(self, shard: str) -> str:
        """The page that shows what is in a file of captures; from a server it opens that one."""
        return f"{self._tongue}/replay.html?shard={shard}"

    def language(self, tag: str) -> str:
        """The same page in another language."""
        return f"{self.root}{tag}/{self.here.partition('/')[2]}"


def list_path(key: str, page: int | None = None) -> str:
    return f"list/{key}.html" if page is None else f"list/{key}-{page:06d}.html"


def volume_path(volume: int) -> str:
    return f"loss/{volume:06d}.html"
