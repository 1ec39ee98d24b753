"""Pages that the lab's servers and its censor show: generated wording, nobody's real page.

In: a host's name. Out: a `Page` with its bytes as HTTP/1.1 sends them. Pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True)
class Page:
    """One answer of an HTTP server."""

    status: int
    body: bytes
    type: str = "text/html; charset=utf-8"
    fields: tuple[tuple[str, str], ...] = field(default=())

    def bytes(self, with_body: bool = True) -> bytes:
        """Status line, fields and, unless the request was HEAD, the body; the connection closes."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.type}",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.fields),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (self.body if with_body else b"")


def _html(title: str, *paragraphs: str) -> bytes:
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    ).encode()


def home_page(name: str) -> Page:
    """The ordinary page of a host: about 4 kB, always the same, with the host's own words."""
    topics = ("harbour", "orchard", "railway", "weather", "theatre", "market", "library", "river")
    mixed = hashlib.sha256(name.encode()).digest()
    paragraphs = [
        f"{name}: notes on the {topics[byte % 8]} and the {topics[byte // 8 % 8]}, part {number}. "
        "What was seen there this week, who was met and what the evening paper wrote about it."
        for number, byte in enumerate(mixed[:20], 1)
    ]
    return Page(200, _html(f"Welcome to {name}", *paragraphs), fields=(("Server", "lab"),))


BLOCKED_PAGE = Page(
    403,
    _html(
        "Access to this site has been blocked",
        "Access to the requested site has been blocked in accordance with the law and by order of "
        "the competent authority.",
        "If you believe that this is a mistake, write to your Internet service provider.",
    ),
)
PORTAL_PAGE = Page(
    200,
    _html(
        "Guest network: sign in",
        "Please accept the terms of use of this wireless network to go online.",
        "Enter your room number and surname, then choose Connect.",
    ),
)
CAPTCHA_PAGE = Page(
    403,
    _html(
        "Just a moment...",
        "Checking if the site connection is secure. Complete the security check to continue: "
        "please confirm that you are human.",
        "This process is automatic. Enable JavaScript and cookies to continue. Ray ID: 1a2b3c.",
    ),
    fields=(("Server", "lab-cdn"), ("Cache-Control", "no-store")),
)
ERROR_PAGE = Page(
    503, _html("503 Service Unavailable", "The server is temporarily unable to answer.")
)
