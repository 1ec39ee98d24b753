"""Reddit's removal fields, X's tombstones and withheld posts, YouTube's player statuses.

In: the address of one post, comment or video, and a `Fetch`. Out: what its answer proves, which
`recorded_answer` reads, of a recorded answer just as well. Each post is its own account, as a web
page is: these platforms give no list of an account's posts to whom is not signed in.

NOT TRIED LIVE: the forms are those that public clients describe; the tests write the answers. No
request to any of the three was ever made, and all three may well refuse a reader like this one,
which is a failed look and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

from vanished.errors import UsageError
from vanished.model import (
    ABSENT,
    Account,
    Discovery,
    Look,
    Observation,
    Post,
    Sighting,
    Via,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import server_of
from vanished.sources.page import web_address
from vanished.sources.recorded_answer import Reading, read_reddit, read_x, read_youtube

KEYS: Mapping[str, type] = {"server": str}
"""`server`: whom to ask in place of the platform's own, such as a relay. The same for all three."""

HEADERS: Mapping[str, str] = {"Accept-Language": "en"}  # the notices are known in English only

_REDDIT_PATH = re.compile(
    r"(?:/r/\w{2,24})?/comments/([a-z0-9]{4,13})(?:/[^/]*)?(?:/([a-z0-9]{4,13}))?/?", re.I
)
_X_PATH = re.compile(r"/(?:\w{1,20}|i/web)/status(?:es)?/(\d{1,20})(?:/.*)?")
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")


@dataclass(frozen=True, slots=True)
class Form:
    """How one platform names a post, where it is asked for, and how its answer is read."""

    platform: str
    server: str
    example: str
    named: Callable[[str], str]  # the native id in an address, "" if there is none
    path: Callable[[str], str]  # where a native id is asked for
    read: Callable[[Exchange, str], Reading]


class RecordedSource:
    """One post of Reddit, X or YouTube at a time; see `sources.Source`.

    What is ambiguous here. Reddit: a removal by Reddit's own filter can show as a moderator's, and
    a text that is nothing but "[removed]" can be the mark or what the author wrote. X: an account
    that "no longer exists" was closed by its owner or by X; a post that is withheld in some
    countries but shown here is alive here. YouTube: "Video unavailable" is said of whatever is not
    shown, and a block in this country says nothing of the others.
    """

    batch = 1

    def __init__(self, form: Form, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        self.platform = form.platform
        given = (settings or {}).get("server", form.server)
        self._server = server_of(given, form.platform, "server")
        self._form = form
        self._name = name

    def account(self, address: str) -> Account:
        """The post at `address`, as its own account; UsageError if it can be none."""
        native_id = self._form.named(web_address(address, f"{self.platform} post"))
        if not native_id:
            raise UsageError(
                f"'{address.strip()[:80]}' is no address of a post on {self.platform}; give one"
                f" such as {self._form.example}."
            )
        url = self._server + self._form.path(native_id)
        own = f"{self.platform}:{native_id}"
        return Account(self._name(self.platform, own), self.platform, own, url, url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The one post, with a look at it. The cursor is the hash of the wording last handed over.

        A lost post is only "absent" from its account: see `page.PageSource.discover`.
        """
        native_id = account.native_id.removeprefix(f"{self.platform}:")
        exchange = await self._ask(account.url, fetch)
        reading = self._form.read(exchange, native_id)
        post = Post(
            self._name(self.platform, native_id),
            account.key,
            self.platform,
            native_id,
            account.url,
            published_at=reading.published_at,
            repeats=reading.repeats,
        )
        version = reading.version
        seen = _observed(post.key, exchange, reading)
        about = _observed(account.key, exchange, Reading(ABSENT), Via.TIMELINE)
        if not reading.signal.gone:
            about = replace(about, signal=reading.signal)
        new = version if version and version.hash != cursor else None
        cursor = version.hash if version else cursor
        return Discovery(about, (Sighting(post, seen, new),), cursor=cursor, sole=True)

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request a post."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        exchange = await self._ask(post.url, fetch)
        reading = self._form.read(exchange, post.native_id)
        version = reading.version
        seen = _observed(post.key, exchange, reading)
        return Look(seen, version if version and version.hash != post.version else None)

    async def _ask(self, url: str, fetch: Fetch) -> Exchange:
        return await fetch.request("GET", url, headers=HEADERS)


def _observed(
    subject: str, exchange: Exchange, reading: Reading, via: Via = Via.DIRECT
) -> Observation:
    return Observation(
        subject,
        exchange.asked_at,
        exchange.answered_at,
        reading.signal,
        via,
        exchange.vantage,
        reading.version.hash if reading.version else "",
        reading.counts,
    )


# -- the three platforms -------------------------------------------------------------------------


def _on(url: str, *hosts: str) -> bool:
    host = urlsplit(url).hostname or ""
    return any(host == known or host.endswith(f".{known}") for known in hosts)


def _reddit_named(url: str) -> str:
    found = _REDDIT_PATH.fullmatch(urlsplit(url).path) if _on(url, "reddit.com") else None
    if found is None:
        return ""
    post, comment = found[1].lower(), found[2]
    return f"t3_{post}/t1_{comment.lower()}" if comment else f"t3_{post}"


def _reddit_path(native_id: str) -> str:
    post, _, comment = native_id.partition("/")
    rest = f"/_/{comment[3:]}" if comment else ""
    return f"/comments/{post[3:]}{rest}.json?raw_json=1"


def _x_named(url: str) -> str:
    on = _on(url, "x.com", "twitter.com")
    found = _X_PATH.fullmatch(urlsplit(url).path) if on else None
    return found[1] if found else ""


def _youtube_named(url: str) -> str:
    parts = urlsplit(url)
    ident = ""
    if _on(url, "youtu.be"):
        ident = parts.path[1:]
    elif _on(url, "youtube.com"):
        head, _, rest = parts.path[1:].partition("/")
        ident = parse_qs(parts.query).get("v", [""])[0] if head == "watch" else rest
        ident = ident if head in ("watch", "shorts", "live", "embed") else ""
    return ident if _VIDEO.fullmatch(ident) else ""


REDDIT = Form(
    "reddit",
    "https://www.reddit.com",
    "https://www.reddit.com/r/example/comments/abc123/title/",
    _reddit_named,
    _reddit_path,
    read_reddit,
)
X = Form(
    "x",
    "https://cdn.syndication.twimg.com",
    "https://x.com/example/status/1234567890123456789",
    _x_named,
    lambda native_id: f"/tweet-result?id={native_id}&lang=en&token=a",
    read_x,
)
YOUTUBE = Form(
    "youtube",
    "https://www.youtube.com",
    "https://www.youtube.com/watch?v=abcdefghijk",
    _youtube_named,
    lambda native_id: f"/watch?v={native_id}&hl=en",
    read_youtube,
)
FORMS: Mapping[str, Form] = {form.platform: form for form in (REDDIT, X, YOUTUBE)}
