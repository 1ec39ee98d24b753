"""The web of the list benchmark: which names there are, where they stand, and what is true of them.

In: a number of names. Out: `Site`s, the same in every run and in both processes. All names end in
`.example` and all addresses are loopback, so that nothing can leave the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vanished.reach.rules import Reach

ADDRESSES = 32
"""Addresses that sites share, as on a content network: 127.0.77.1 and so on."""

DOMAINS = 64
"""Names stand under so many domains, each with a certificate of its own."""

NOWHERE = "127.0.78.1"
"""Nobody listens there."""

CANARY = "canary.d0.example"
BYSTANDER = "bystander.d1.example"

_SHARE = 50
_FORMS = {7: "dns_nxdomain", 17: "sni_reset", 27: "block_page", 37: "down"}
"""Of 50 names one each is blocked so, or down; Citizen Lab's lists are mostly open, too."""

_TRUTH = {
    "": (Reach.OK, None),
    "dns_nxdomain": (Reach.BLOCKED, "dns"),
    "sni_reset": (Reach.BLOCKED, "sni"),
    "block_page": (Reach.BLOCKED, "http"),
    "down": (Reach.DOWN, None),
}


@dataclass(frozen=True, slots=True)
class Site:
    """One line of the list."""

    number: int

    @property
    def form(self) -> str:
        """How it is blocked here; "" if it is not, "down" if it is down everywhere."""
        return _FORMS.get(self.number % _SHARE, "")

    @property
    def secure(self) -> bool:
        """Citizen Lab's lists: 24,902 https of 39,194."""
        if self.form in ("sni_reset", "block_page"):
            return self.form == "sni_reset"
        return self.number % 11 < 7

    @property
    def name(self) -> str:
        return f"site{self.number}.d{self.number % DOMAINS}.example"

    @property
    def address(self) -> str:
        if self.form == "down":
            return NOWHERE
        return f"127.0.77.{1 + self.number % ADDRESSES}"

    @property
    def truth(self) -> tuple[Reach, str | None]:
        """The right state, and the right layer where something is blocked."""
        return _TRUTH[self.form]

    def url(self, plain: int, secure: int) -> str:
        """Its address of the web, with the ports of the servers."""
        scheme, port = ("https", secure) if self.secure else ("http", plain)
        return f"{scheme}://{self.name}:{port}/{'news/' if self.number % 3 else ''}"

    def page(self) -> bytes:
        """Its page, of 12 to 36 kB."""
        parts = "".join(
            f"<p>Paragraph {n} of {self.name} says that nothing new was seen here today.</p>\n"
            for n in range(150 + 50 * (self.number % 7))
        )
        title = f"The pages of {self.name}"
        return f"<!doctype html><title>{title}</title><h1>{title}</h1>{parts}".encode()


def sites(number: int) -> Iterator[Site]:
    """The first `number` sites of the list."""
    return map(Site, range(number))


def site_of(name: str) -> Site | None:
    """The site of that name; None where there is none."""
    label, _, rest = name.partition(".")
    digits = label.removeprefix("site")
    if digits == label or not digits.isdecimal():
        return None
    found = Site(int(digits))
    return found if found.name == f"{label}.{rest}" else None
