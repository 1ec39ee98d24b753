"""What a test of go-arounds asks for, how long it waits, and how long it watches."""

from __future__ import annotations

from dataclasses import dataclass, field

from vanished.reach.web_settings import WebSettings


@dataclass(frozen=True, slots=True)
class GoAroundSettings:
    """Times in seconds.

    `page` has to come through a go-around with a valid certificate; `large` is a page of some size
    on which its rate is measured, "" for none. `lasts_s` is how long a way that works is watched.
    """

    web: WebSettings = field(default_factory=WebSettings)
    page: str = "https://example.com/"
    large: str = ""
    client_s: float = 20.0  # for a client to come up
    tor_s: float = 120.0
    page_s: float = 15.0
    rate_s: float = 4.0
    lasts_s: float = 0.0
    every_s: float = 5.0
    tries: int = 3  # of first bytes, and of the page
