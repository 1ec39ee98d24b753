"""How much a contact with a target may cost the volunteer: three classes.

In: a category of Citizen Lab's test lists, or none. Out: a `Risk`. A target of which nothing is
known has the highest. The classes order targets by what a contact says about who made it, as seen
by whoever watches the network; they know no country, so the volunteer decides how high to go.
"""

from __future__ import annotations

from enum import Enum

from vanished.errors import UsageError


class Risk(Enum):
    """From the least to the most telling contact."""

    APPS = "apps"
    NEWS = "news"
    SENSITIVE = "sensitive"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Risk).index(self)

    @property
    def says(self) -> str:
        """What belongs to the class."""
        return _SAYS[self]


_SAYS = {
    Risk.APPS: "servers of apps and everyday services, which a phone contacts by itself",
    Risk.NEWS: "news, culture, public bodies, media and social networks",
    Risk.SENSITIVE: "politics, rights, religion, sexuality, circumvention tools, and all whose kind"
    " is not known",
}
_APPS = ("COMT", "SRCH", "COMM", "CTRL", "GAME", "HOST")
_NEWS = ("NEWS", "CULTR", "ECON", "ENV", "GOVT", "GRP", "IGO", "MMED", "PUBH")


def risk_of(category: str) -> Risk:
    """The class of a category code of Citizen Lab's lists; SENSITIVE where it is not listed."""
    code = category.strip().upper()
    if code in _APPS:
        return Risk.APPS
    return Risk.NEWS if code in _NEWS else Risk.SENSITIVE


def parse_risk(given: str) -> Risk:
    """The class of that name. Raises UsageError."""
    try:
        return Risk(given.strip().lower())
    except ValueError:
        known = ", ".join(risk.value for risk in Risk)
        raise UsageError(f"'{given}' is no class of risk; choose one of: {known}.") from None
