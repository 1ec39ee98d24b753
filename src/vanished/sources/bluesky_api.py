"""Questions to an AppView, a host and a directory of identities, and what one answer says.

In: a `Fetch` and the parts of a question. Out: posts, wordings, signals of refusals, proofs. Every
answer is taken for hostile until it has the form that the lexicons give it. Which questions are
asked when, and what several answers mean together, is the business of `sources/bluesky.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from vanished.model import (
    ALIVE,
    Count,
    Counts,
    Fault,
    Micros,
    Observation,
    Signal,
    Version,
    Via,
    failed,
    version_hash,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources.answer import list_of, moment, parsed, table_of, text_of, web_media
from vanished.sources.at_identity import DID
from vanished.sources.notice import load_pack
from vanished.sources.page import observation

POSTS = 25  # addresses that getPosts takes at once
PAGE = 100  # posts of one page of getAuthorFeed
COLLECTION = "app.bsky.feed.post"
TAKEDOWN_LABELS = ("!takedown", "!suspend")

_RKEY = r"[A-Za-z0-9._:~-]{1,512}"
_URI = re.compile(rf"at://({DID.pattern})/{re.escape(COLLECTION)}/({_RKEY})")
_NAMES = re.compile(r"(?:at://|did:[a-z]+:)\S+|@?(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?=\s|$|[,;:])")

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for one reading or look, and keeps what was answered, in order."""

    fetch: Fetch
    appview: str
    exchanges: list[Exchange] = field(default_factory=list)

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        sent = {"Accept": "application/json", **(headers or {})}
        exchange = await self.fetch.request("GET", url, headers=sent)
        self.exchanges.append(exchange)
        return exchange

    async def view(self, method: str, headers: Any = None, **query: Any) -> Exchange:
        """One XRPC query to the AppView; a list becomes a repeated parameter."""
        return await self.get(xrpc(self.appview, method, **query), headers)

    async def posts(self, uris: Sequence[str], labelers: str = "") -> Exchange:
        """getPosts; `labelers` replaces whose labels count, and who is obeyed."""
        headers = {"atproto-accept-labelers": labelers} if labelers else None
        return await self.view("app.bsky.feed.getPosts", headers, uris=list(uris))

    async def car(self, host: str, did: str, rkey: str) -> Exchange:
        """The signed proof of a record; the answer of an error is JSON."""
        query = {"did": did, "collection": COLLECTION, "rkey": rkey}
        url = xrpc(host, "com.atproto.sync.getRecord", **query)
        return await self.get(url, {"Accept": "application/vnd.ipld.car, application/json"})

    def seen(self, subject: str, signal: Signal, via: Via) -> Observation:
        """The look that all exchanges together are."""
        first, last = self.exchanges[0], self.exchanges[-1]
        return observation(subject, last, signal, via, first=first)


def xrpc(base: str, method: str, **query: Any) -> str:
    return f"{base}/xrpc/{method}?{urlencode(query, doseq=True, safe=':/')}"


# -- reading posts ------------------------------------------------------------------------------


def posts_of(exchange: Exchange) -> dict[str, Answer] | None:
    """The posts that getPosts answered with, by address; None if it did not answer.

    A post in a form that we cannot read is there, as {}: it is not one that was left out.
    """
    shown = json_of(exchange).get("posts")
    if exchange.status != 200 or not isinstance(shown, list):
        return None
    posts = {}
    for view in shown:
        uri = text_of(table_of(view).get("uri"))
        if not _URI.fullmatch(uri):
            return None
        posts[uri] = view if uri_of(view) else {}
    return posts


def uri_of(post: object) -> str:
    """The address of a post that an AppView shows whole, and by the author it names; else ""."""
    view = table_of(post)
    found = _URI.fullmatch(text_of(view.get("uri")))
    shown = found and table_of(view.get("author")).get("did") == found[1]
    return found[0] if found and shown and isinstance(view.get("record"), dict) else ""


def split_uri(uri: str) -> tuple[str, str]:
    """DID and record key of a post's address, ("", "") if it is none."""
    found = _URI.fullmatch(uri)
    return (found[1], found[2]) if found else ("", "")


def reading(post: Answer) -> tuple[Signal, Version | None, Counts]:
    """What a shown post proves, its wording and its counts.

    Labels such as !hide and !warn ask clients to cover the post; the AppView serves it, so it is
    alive, and the labels are kept as the signal's words.
    """
    text = table_of(post.get("record")).get("text")
    if not isinstance(text, str):
        return failed(Fault.UNREADABLE, status=200, words="a post without a text"), None, Counts()
    text = text_of(text)
    version = Version(version_hash("", text), text=text, media=media_of(post.get("embed")))
    return _labelled(post), version, counts_of(post)


def labels_of(post: Answer) -> set[str]:
    """The labels that others gave it; what authors say of their own posts is no moderation."""
    author = table_of(post.get("author")).get("did") or post.get("did")
    return {
        text_of(label.get("val"))
        for label in list_of(post.get("labels"))
        if isinstance(label, dict) and label.get("src") != author and not label.get("neg")
    } - {""}


def _labelled(post: Answer) -> Signal:
    labels = sorted(label for label in labels_of(post) if label.startswith("!"))
    if not labels:
        return ALIVE
    return replace(ALIVE, words=f"labelled {', '.join(labels)}"[:200], by="labeler")


def media_of(embed: object) -> tuple[str, ...]:
    """The addresses of what is embedded: images, a video's list, a link's picture."""
    view = table_of(embed)
    found: list[object] = []
    for part in (view, table_of(view.get("media"))):
        found += [table_of(image).get("fullsize") for image in list_of(part.get("images"))]
        found += [part.get("playlist"), table_of(part.get("external")).get("thumb")]
    return web_media(found)


def quoted(post: Answer) -> str | None:
    """The address of the post that this one quotes."""
    embed = table_of(table_of(post.get("record")).get("embed"))
    reference = table_of(embed.get("record"))
    for each in (reference, table_of(reference.get("record"))):
        if _URI.fullmatch(text_of(each.get("uri"))):
            return text_of(each.get("uri"))
    return None


def counts_of(post: Answer) -> Counts:
    def count(name: str) -> Count | None:
        n = post.get(name)
        return Count.exact(n) if type(n) is int and n >= 0 else None

    return Counts(None, count("likeCount"), count("repostCount"), count("replyCount"))


def published(post: Answer) -> Micros | None:
    """When the author claims to have written it."""
    return moment(table_of(post.get("record")).get("createdAt"))


def sorted_at(post: Answer) -> Micros | None:
    """By which time the AppView lists it: the claimed one, but not after it came."""
    claimed, came = published(post), moment(post.get("indexedAt"))
    return claimed if came is None else came if claimed is None else min(claimed, came)


# -- refusals -----------------------------------------------------------------------------------


def error_of(exchange: Exchange) -> tuple[str, str]:
    """Code and message of an XRPC error (HTTP 400), ("", "") for any other answer."""
    if exchange.fault is not None or exchange.status != 400:
        return "", ""
    answer = json_of(exchange)
    return text_of(answer.get("error")), text_of(answer.get("message"))


def failure(exchange: Exchange, what: str) -> Signal:
    """The failed look of an answer that is not what was asked for."""
    if exchange.fault is not None:
        return failed(exchange.fault, status=exchange.status, words=exchange.words)
    answer = json_of(exchange)
    code, message = text_of(answer.get("error")), text_of(answer.get("message"))
    words = masked(f"{code}: {message}" if code else f"{what} gave no answer of the AT Protocol")
    known = matched("error", code) if code else None
    if known is not None:
        return replace(known, status=exchange.status, words=words)
    fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
    return failed(fault, status=exchange.status, words=words)


def matched(place: str, text: str, *, words: str = "", status: int | None = None) -> Signal | None:
    """The signal of the rule for `text` at field:`place`, if there is one."""
    found = load_pack("bluesky").match_field(place, text) if text else None
    return found and replace(found, words=masked(words or text), status=status)


def rule(place: str, text: str, *, words: str = "", by: str = "") -> Signal:
    """The signal of a rule that is in the pack."""
    found = matched(place, text, words=words)
    assert found is not None, f"notices/bluesky.toml has no rule for {text} at field:{place}"
    return replace(found, by=by)


def profile_signal(exchange: Exchange, did: str) -> Signal:
    """What getProfile says of an account: alive, gone in the AppView's words, or a failed look."""
    profile = json_of(exchange)
    if exchange.status == 200 and profile.get("did") == did and exchange.fault is None:
        return _labelled(profile)
    code, message = error_of(exchange)
    words = f"{code}: {message}"
    said = matched("profile.error", code, words=words, status=400)
    if said is None and code == "InvalidRequest":
        said = matched("profile.message", message, words=words, status=400)
    return replace(said, by="appview") if said else failure(exchange, "the AppView")


# -- forms ---------------------------------------------------------------------------------------


def json_of(exchange: Exchange) -> Answer:
    """The JSON object of an answer, {} if there is none."""
    return table_of(parsed(exchange))


def masked(words: str) -> str:
    """At most 200 characters of one line, without handles, DIDs and addresses."""
    return " ".join(_NAMES.sub("…", words).split())[:200]


def named(address: str) -> str:
    """The handle or DID in what a person gives: itself, with an @, or a profile's address."""
    address = address.strip()
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.path.startswith("/profile/"):
        return parts.path.removeprefix("/profile/").strip("/")
    return address.removeprefix("at://").removeprefix("@")


def named_post(address: str) -> str:
    """The address of the post that a person means by itself or by its page; "" if it is none."""
    parts = urlsplit(address.strip())
    page = re.fullmatch(rf"/profile/({DID.pattern})/post/({_RKEY})/?", parts.path)
    if page and parts.scheme in ("http", "https"):
        return f"at://{page[1]}/{COLLECTION}/{page[2]}"
    return address.strip() if _URI.fullmatch(address.strip()) else ""


def profile_url(appview: str, actor: str) -> str:
    return f"{appview}/xrpc/app.bsky.actor.getProfile?actor={quote(actor, safe=':')}"


# -- the cursor ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an account was read: what the cursor holds, as JSON."""

    did: str = ""
    newest: int = 0  # microseconds; up to there everything was read

    @classmethod
    def load(cls, cursor: str) -> Mark:
        """The mark in `cursor`; a cursor of another version means a first reading."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (ValueError, TypeError):
            return cls()

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))
