"""Forms that change something: only from a page of ours, in a browser that we gave the page to.

In: a request that a form was sent with. Out: its fields, or a refusal. There is no login on
loopback, so another site must not be able to send a form in its reader's name: the browser says
where the form stood (Origin, Sec-Fetch-Site), sends a cookie that no other site makes it send, and
a token that only our page holds, which is made of that cookie and a secret of this process.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from vanished.errors import UsageError

COOKIE: Final = "desk"
MOST: Final = 65_536  # bytes of a form
FIELDS: Final = 64
REFUSED: Final = (
    "This form was not sent from a page of this dashboard, or from an old one; open the page again."
)


class ForgedError(UsageError):
    """A form that did not come from a page of ours."""


@dataclass(frozen=True, slots=True)
class Forms:
    """One process's forms."""

    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @staticmethod
    def fresh() -> str:
        """A cookie for a browser that has none."""
        return secrets.token_urlsafe(24)

    def token(self, cookie: str) -> str:
        """What the page that a browser with this cookie reads has to send back."""
        return hmac.new(self._secret, cookie.encode(), "sha256").hexdigest()

    def read(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], body: bytes
    ) -> dict[str, list[str]]:
        """The fields of a form. `headers` by small letters. Raises ForgedError, UsageError."""
        here, origin = headers.get("host", ""), urlsplit(headers.get("origin", ""))
        if not here or origin.scheme not in ("http", "https") or origin.netloc != here:
            raise ForgedError(REFUSED)
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise ForgedError(REFUSED)
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded" or len(body) > MOST:
            raise UsageError("That is no form of this dashboard, or it is too long.")
        try:
            given = parse_qs(body.decode("utf-8"), strict_parsing=True, max_num_fields=FIELDS)
        except ValueError:
            raise UsageError("That form cannot be read; open the page again.") from None
        cookie = cookies.get(COOKIE, "")
        token = given.pop("token", [""])[0]
        if not cookie or not hmac.compare_digest(self.token(cookie).encode(), token.encode()):
            raise ForgedError(REFUSED)
        return given
