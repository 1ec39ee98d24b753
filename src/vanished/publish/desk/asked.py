"""What every page is given, and what it gives back.

In: a request. Out: the name of a template with its values, or a file. What a page does in between
is its own business; what cannot be shown looks the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.responses import Response, StreamingResponse

from vanished.model import SECOND
from vanished.publish.desk.links import Links
from vanished.publish.desk.state import Desk
from vanished.publish.desk.words import group
from vanished.publish.tongues import Tongue


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a page needs it."""

    desk: Desk
    tongue: Tongue
    links: Links
    query: Mapping[str, str]
    path: Mapping[str, str]
    host: str = ""  # the name by which we were asked, without a port
    cookie: str = ""  # of the browser, see `forms`
    foreign: bool = False  # a page elsewhere made the browser ask

    @property
    def token(self) -> str:
        """What a form on this page has to send back."""
        return self.desk.forms.token(self.cookie)


@dataclass(frozen=True, slots=True)
class Shown:
    """A template and what it says."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


Page = Callable[[Asked], Shown | Response]


def failed(asked: Asked, status: int = 404, why: str = "") -> Shown:
    """What a page says that cannot be shown."""
    phrase = HTTPStatus(status).phrase
    return Shown("failed", {"status": status, "phrase": phrase, "why": why}, status)


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A loss with what its page says of it."""
    alive, gone, published = row["last_alive_at"], row["first_gone_at"], row["published_at"]
    stood: tuple[float | None, float | None] = (None, None)
    if gone is not None and published is not None:
        stood = ((max(0, alive - published) / SECOND) if alive is not None else None,
                 max(0, gone - published) / SECOND)  # fmt: skip
    return {
        **row,
        "group": group(row["causes"]),
        "stood": stood,
        "width": None if alive is None or gone is None else (gone - alive) / SECOND,
    }


def download(lines: Iterator[str], kind: str, name: str) -> Response:
    """A file that a browser saves."""
    return StreamingResponse(
        lines, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
