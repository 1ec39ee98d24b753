"""What a request gives back, and the seam through which sources ask.

A request never raises for what the network or the server did: the `Exchange` carries a `Fault`.
A test double of `Fetch` is ten lines: a class with `request` that returns prepared exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vanished.model import Fault, Micros

Fields = tuple[tuple[str, str], ...]
"""Header fields as sent: names in their case, in their order, repeated where repeated.

Bytes are read as Latin-1, which loses none: `.encode("latin-1")` gives them back.
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One request on the wire and what came back: an exchange is one, and one more a redirect.

    For evidence, so everything is as it was sent, but for secrets: a header that could log
    somebody in, or gives a cookie, has the value "[withheld]". `body` is the answer's, before
    content decoding.
    """

    method: str
    url: str
    sent: Fields
    sent_body: bytes
    asked_at: Micros
    answered_at: Micros
    status: int
    reason: str
    headers: Fields
    body: bytes
    http_version: str = "1.1"
    complete: bool = True  # False: a fault ended the body early
    address: str = ""  # the IP address that answered
    certificates: tuple[bytes, ...] = ()  # DER, the server's own first; empty without TLS


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answered or failed request, redirects followed.

    `fault` is set when the answer cannot be read as one: transport faults, 429 (RATE_LIMITED),
    5xx (SERVER), a body shorter than announced (TRUNCATED), over a cap (TOO_LARGE). 401, 403, 404,
    410 and 451 are answers: the source reads them. `body` is decoded (gzip, deflate), `wire` the
    bytes as they came.
    """

    url: str  # the address that answered, after redirects
    asked_at: Micros
    answered_at: Micros
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    wire: bytes = b""
    hops: tuple[str, ...] = ()  # the addresses that redirected, in order
    fault: Fault | None = None
    words: str = ""  # about the fault, in a sentence
    address: str = ""  # the IP address that answered
    vantage: str = "here"
    legs: Sequence[Leg] = ()  # what went over the wire and was answered, in order

    def text(self) -> str:
        """The body as text: charset of the header, else UTF-8; undecodable bytes are replaced."""
        kind = self.headers.get("content-type", "")
        _, _, charset = kind.partition("charset=")
        name = charset.split(";")[0].strip(" \"'") or "utf-8"
        try:
            return self.body.decode(name, errors="replace")
        except LookupError:
            return self.body.decode("utf-8", errors="replace")


class Fetch(Protocol):
    """The fetcher as a source sees it."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        """Ask `url`; http and https only, addresses checked at connect time on every hop.

        `private`: the answer is for us alone, such as a pass, and no evidence of anything. It is
        not kept: the exchange has no legs, and stands in no list of what was asked for a look.
        """
        ...
