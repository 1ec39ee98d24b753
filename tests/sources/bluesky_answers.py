"""Answers of an AppView, a host and a directory, in the forms of real ones, written here.

`absent()` is a network in which the AppView leaves one post out; tests change one answer of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from hypothesis import strategies as st

from tests.sources.signed_repo import DID, car, document, make_repo
from vanished.model import Cause, Fault, Post, Signal
from vanished.net.exchange import Exchange
from vanished.sources.bluesky import BlueskySource

VIEW = "https://view.example.org"
PLC = "https://plc.example.org"
LABELER = "did:plc:" + "m" * 24
RKEY = "3kaaaaaaaaa2b"
URI = f"at://{DID}/app.bsky.feed.post/{RKEY}"
OTHER = f"at://{DID}/app.bsky.feed.post/3kaaaaaaaaa2c"
PATH = f"app.bsky.feed.post/{RKEY}"
AUTHOR_OR_PLATFORM = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})

Answer = tuple[int, Any]
Form = Answer | list[Answer] | Callable[[str], Answer]


@dataclass
class Answers:
    """A `Fetch` that answers by the last part of the path; a list is used up one by one."""

    by_path: dict[str, Form]
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        assert (method, body, private) == ("GET", None, False)
        self.asked.append((url, headers or {}))
        path = unquote(urlsplit(url).path).rpartition("/")[2]
        found: Any = self.by_path.get(path, (404, b"<h1>Not Found</h1>"))
        found = found.pop(0) if isinstance(found, list) else found
        status, content = found(url) if callable(found) else found
        now = 1_000_000 * len(self.asked)
        exchange = Exchange(url, now, now + 1000, status)
        if isinstance(content, Fault):
            return replace(exchange, fault=content, words="it failed")
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return replace(exchange, body=raw, headers={"atproto-content-labelers": HEADER})

    def paths(self) -> list[str]:
        return [urlsplit(url).path.rpartition("/")[2] for url, _ in self.asked]


HEADER = f"{LABELER};redact"


def name(platform: str, native_id: str) -> str:
    return f"{platform}-{native_id}"


def shown(uri: str = URI, text: object = "a sentence", **more: Any) -> dict[str, Any]:
    record = {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-01T08:00:00.000Z"}
    author = {"did": uri.split("/")[2], "handle": "ann.example.org"}
    view = {"uri": uri, "cid": "bafy", "author": author, "record": record}
    return {**view, "indexedAt": "2026-11-01T08:00:01.000Z", "labels": [], **more}


def label(value: str, by: str = LABELER, **more: Any) -> dict[str, Any]:
    return {"src": by, "uri": URI, "val": value, "cts": "2026-11-01T08:00:02.000Z", **more}


def posts(*views: Any) -> Answer:
    return 200, {"posts": list(views)}


def feed(*views: Any, cursor: str = "") -> Answer:
    return 200, {"feed": [{"post": v} for v in views], **({"cursor": cursor} if cursor else {})}


def error(code: str, message: str = "", status: int = 400) -> Answer:
    return status, {"error": code, "message": message}


PROFILE: Answer = (200, {"did": DID, "handle": "ann.example.org", "labels": []})
DENIED = error("RecordNotFound", f"Could not locate record: {URI}")
SERVED: Answer = (200, {"uri": URI, "cid": "bafy", "value": {"text": "a sentence"}})
HELD = car(*make_repo({PATH: {"text": "a sentence"}, "app.bsky.actor.profile/self": {}}))
LACKS = car(*make_repo({"app.bsky.actor.profile/self": {}}))
NOT_FOUND = error("InvalidRequest", "Profile not found")


def absent(**more: Form) -> dict[str, Form]:
    """A network in which the AppView leaves one post out; `more` by the method's last word."""
    base: dict[str, Form] = {
        "app.bsky.feed.getPosts": lambda url: posts(shown(OTHER)) if OTHER in url else posts(),
        "app.bsky.actor.getProfile": PROFILE,
        "app.bsky.feed.getAuthorFeed": feed(shown(OTHER)),
        DID: (200, document()),
        "com.atproto.repo.getRecord": SERVED,
        "com.atproto.sync.getRecord": (200, HELD),
        "com.atproto.sync.getRepoStatus": (200, {"did": DID, "active": True, "rev": "3k"}),
    }
    methods = {key.rpartition(".")[2]: key for key in base if "sync.getRecord" not in key}
    names = {**methods, "car": "com.atproto.sync.getRecord", "plc": DID}
    return base | {names[short]: form for short, form in more.items()}


def post(uri: str = URI) -> Post:
    return Post(f"key-{uri}", "account", "bluesky", uri, f"{VIEW}/xrpc/app.bsky.feed.getPosts")


async def looked(source: BlueskySource, by_path: dict[str, Form], uri: str = URI) -> Signal:
    (look,) = await source.look([post(uri)], Answers(by_path))
    return look.observation.signal


def rule_of(signal: Signal) -> str:
    return signal.rule.partition("/")[2].partition("@")[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([URI, DID]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["uri", "author", "did", "record", "text", "labels", "embed", "images"])
            | st.sampled_from(
                ["media", "external", "val", "src", "createdAt", "post", "posts", "feed"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
