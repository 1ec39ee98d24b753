"""The Bluesky source against answers written here: hostile, broken and rare ones.

What real servers say is tested in test_atproto.py; the forms here are theirs, with other contents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.signed_repo import DID, HOST, P256, car, document, make_repo
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    Cause,
    Count,
    Discovery,
    Fault,
    Kind,
    Look,
    Post,
    Signal,
    Strength,
    Via,
    micros,
)
from vanished.net.exchange import Exchange
from vanished.sources import at_firehose, at_identity
from vanished.sources import bluesky_api as api
from vanished.sources.bluesky import MOST_PAGES, BlueskySource
from vanished.sources.notice import load_pack

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


@pytest.fixture
def source() -> BlueskySource:
    return BlueskySource(name, {"appview": VIEW, "plc": PLC})


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


# -- what a person writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "actor"),
    [
        ("news.example.org", "news.example.org"),
        ("@News.example.ORG", "news.example.org"),
        (" https://bsky.app/profile/news.example.org ", "news.example.org"),
        (f"https://bsky.app/profile/{DID}/", DID),
        (DID, DID),
        (f"at://{DID}", DID),
        ("did:web:example.org", "did:web:example.org"),
        ("did:web:localhost%3A2583", "did:web:localhost%3A2583"),
    ],
)
def test_accounts_are_taken_by_handle_did_or_profile(
    source: BlueskySource, address: str, actor: str
) -> None:
    account = source.account(address)
    assert (account.native_id, account.key) == (actor, f"bluesky-{actor}")
    assert account.url.startswith(f"{VIEW}/xrpc/")
    assert parse_qs(urlsplit(account.url).query) == {"actor": [actor]}


@pytest.mark.parametrize(
    "address",
    [
        *("", "news", "two words.example.org", "did:key:z6Mk", "did:plc:short", "-a.example.org"),
        *("https://example.org/profile", "a." * 130 + "org", "did:web:example.org/path", URI),
    ],
)
def test_what_is_no_account_is_refused_with_an_example(source: BlueskySource, address: str) -> None:
    with pytest.raises(UsageError, match="news\\.example\\.org"):
        source.account(address)


@pytest.mark.parametrize("key", ["appview", "plc"])
@pytest.mark.parametrize("value", ["", "view.example.org", "https://user:pass@x.org", 7])
def test_an_address_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key) as refused:
        BlueskySource(name, {key: value})
    assert "pass" not in str(refused.value)


# -- failed looks ------------------------------------------------------------------------------

FAILURES: list[tuple[Answer, Fault]] = [
    ((0, Fault.TIMEOUT), Fault.TIMEOUT),
    ((200, Fault.TRUNCATED), Fault.TRUNCATED),
    ((502, Fault.SERVER), Fault.SERVER),
    ((429, Fault.RATE_LIMITED), Fault.RATE_LIMITED),
    (error("RateLimitExceeded", status=400), Fault.RATE_LIMITED),
    (error("AuthMissing", status=401), Fault.FORBIDDEN),
    (error("AuthenticationRequired", status=400), Fault.FORBIDDEN),
    ((403, b"<html>Checking your browser</html>"), Fault.FORBIDDEN),
    ((200, b"<html>Post not found. AccountTakedown</html>"), Fault.UNREADABLE),
    ((200, b'{"posts": [{"uri": "at://'), Fault.UNREADABLE),
    ((200, b'{"feed": [' + b"[" * 100_000), Fault.UNREADABLE),
    ((200, b""), Fault.UNREADABLE),
    ((200, []), Fault.UNREADABLE),
    ((200, {"error": "AccountTakedown", "message": "an error with status 200"}), Fault.UNREADABLE),
    ((404, b"<h1>404 Not Found</h1>"), Fault.UNREADABLE),
    (error("MethodNotImplemented", status=501), Fault.UNREADABLE),
    (error("InvalidRequest", "Error: uris must be valid"), Fault.UNREADABLE),
    ((410, {"error": "AccountTakedown"}), Fault.UNREADABLE),
]


@pytest.mark.parametrize(("answer", "fault"), FAILURES)
@pytest.mark.parametrize("where", ["getPosts", "getProfile", "getAuthorFeed", "again"])
async def test_a_failed_look_is_no_removal(
    source: BlueskySource, answer: Answer, fault: Fault, where: str
) -> None:
    """Captchas, proxies, limits and broken answers would else be reported as censorship."""
    asked: Form = [posts(), answer] if where == "again" else answer
    by_path = absent(**{"getPosts" if where == "again" else where: asked})
    signal = await looked(source, by_path)
    assert (signal.kind, signal.fault) == (Kind.ERROR, fault)


@pytest.mark.parametrize(("answer", "fault"), FAILURES)
@pytest.mark.parametrize("before", ["", json.dumps({"did": DID, "newest": 5})])
async def test_a_failed_reading_loses_nothing_and_is_taken_up_again(
    source: BlueskySource, answer: Answer, fault: Fault, before: str
) -> None:
    answers = Answers(absent(getAuthorFeed=answer))
    found = await source.discover(source.account(DID), before, answers)
    assert (found.observation.signal.kind, found.observation.signal.fault) == (Kind.ERROR, fault)
    assert found.sightings == ()
    assert found.complete_since is None
    assert json.loads(found.cursor)["newest"] == (5 if before else 0)


@pytest.mark.parametrize(
    "view",
    [
        shown(text=7),
        {**shown(), "record": "a text"},
        {**shown(), "author": {"did": "did:plc:" + "z" * 24}},
        {**shown(), "uri": None},
        "a text",
        None,
    ],
)
async def test_a_post_in_a_form_that_nobody_knows_is_there_and_not_left_out(
    source: BlueskySource, view: object
) -> None:
    """A new version of the AppView would else have hidden every post."""
    signal = await looked(source, absent(getPosts=posts(view, shown(OTHER))))
    assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)


# -- the layers ----------------------------------------------------------------------------------

BROKEN = bytearray(HELD)
BROKEN[-3] ^= 1

LAYERS: list[tuple[dict[str, Form], str, frozenset[Cause], Strength]] = [
    ({}, "hidden-by-appview", PLATFORM, Strength.WEAK),
    ({"getRecord": DENIED}, "withheld-by-host", PLATFORM, Strength.STRONG),
    ({"getRecord": (502, Fault.SERVER)}, "hidden-by-appview", PLATFORM, Strength.WEAK),
    (
        {"getRecord": DENIED, "car": (200, LACKS)},
        "deleted-from-repository",
        AUTHOR_OR_PLATFORM,
        Strength.STRONG,
    ),
    ({"getRecord": SERVED, "car": (200, LACKS)}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"getRecord": DENIED, "car": (200, bytes(BROKEN))}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"getRecord": DENIED, "car": (200, HELD[:-9])}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"getRecord": DENIED, "car": (0, Fault.TIMEOUT)}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"getRecord": DENIED, "car": DENIED}, "post-not-found", UNKNOWN, Strength.WEAK),
    (
        {"getRecord": DENIED, "plc": (200, document(P256))},  # the key was changed since
        "post-not-found",
        UNKNOWN,
        Strength.WEAK,
    ),
    ({"plc": (200, {**document(), "service": []})}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"plc": (200, {**document(), "id": LABELER})}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"plc": (0, Fault.DNS)}, "post-not-found", UNKNOWN, Strength.WEAK),
    ({"plc": (200, document(host="file:///etc"))}, "post-not-found", UNKNOWN, Strength.WEAK),
    (
        {"car": error("RepoTakendown")},
        "account-taken-down-by-host",
        PLATFORM,
        Strength.STRONG,
    ),
    ({"car": error("RepoSuspended")}, "account-suspended-by-host", PLATFORM, Strength.STRONG),
    ({"car": error("RepoNotFound")}, "repository-deleted", AUTHOR_OR_PLATFORM, Strength.WEAK),
    (
        {"plc": (404, {"message": f"DID not available: {DID}"})},
        "identity-tombstoned",
        AUTHOR_OR_PLATFORM,
        Strength.STRONG,
    ),
    (
        {"plc": (404, {"message": f"DID not registered: {DID}"})},
        "post-not-found",
        UNKNOWN,
        Strength.WEAK,
    ),
]


@pytest.mark.parametrize(("more", "rule", "causes", "strength"), LAYERS)
async def test_a_post_that_is_not_shown_is_told_by_what_its_layers_say(
    source: BlueskySource,
    more: dict[str, Form],
    rule: str,
    causes: frozenset[Cause],
    strength: Strength,
) -> None:
    """What one layer alone would say is wrong for somebody: author, host or AppView."""
    signal = await looked(source, absent(**more))
    assert (rule_of(signal), signal.causes, signal.strength) == (rule, causes, strength)
    assert DID not in signal.words


@pytest.mark.parametrize(
    ("word", "signed", "kind"),
    [
        (DENIED, (200, HELD), Kind.GONE),
        (SERVED, (200, HELD), Kind.ALIVE),
        (DENIED, (200, LACKS), Kind.ALIVE),  # deleted just now: the AppView has yet to hear of it
        (DENIED, (200, HELD[:-9]), Kind.ALIVE),
        (DENIED, error("RepoDeactivated"), Kind.ALIVE),
        ((502, Fault.SERVER), (200, HELD), Kind.ALIVE),
        ((404, b"<h1>Not Found</h1>"), (200, HELD), Kind.ALIVE),
    ],
)
async def test_a_post_that_its_host_alone_denies_is_lost_only_to_those_who_want_to_know(
    source: BlueskySource, word: Answer, signed: Answer, kind: Kind
) -> None:
    """What everybody can read is alive; a host's single slip must not be a strong notice."""
    by_path = absent(getPosts=posts(shown()), getRecord=word, car=signed)
    strict = BlueskySource(name, {"appview": VIEW, "plc": PLC, "ask_host": True})
    assert (await looked(source, dict(by_path))).kind is Kind.ALIVE
    signal = await looked(strict, dict(by_path))
    assert signal.kind is kind
    if kind is Kind.GONE:
        assert (rule_of(signal), signal.causes) == ("withheld-by-host-alone", PLATFORM)
        assert signal.strength is Strength.WEAK


async def test_an_appview_that_shows_nothing_at_all_loses_nobodys_posts(
    source: BlueskySource,
) -> None:
    """An index that was lost for an hour would else be the takedown of everything."""
    signal = await looked(source, absent(getPosts=posts()))
    assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.EMPTY)


async def test_replicas_that_disagree_prove_nothing(source: BlueskySource) -> None:
    """One of two that lags would else make a live post a lost one."""
    again = await looked(source, absent(getPosts=[posts(), posts(shown(), shown(OTHER))]))
    listed = await looked(source, absent(getAuthorFeed=feed(shown(), shown(OTHER))))
    for signal in (again, listed):
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)


async def test_a_label_takedown_is_seen_by_asking_without_obeying(source: BlueskySource) -> None:
    views = [posts(), posts(shown(labels=[label("!takedown")]), shown(OTHER))]
    answers = Answers(absent(getPosts=views))
    (look,) = await source.look([post()], answers)
    signal = look.observation.signal
    assert (rule_of(signal), signal.causes, signal.words) == (
        "label-takedown",
        PLATFORM,
        "!takedown",
    )
    sent = [h.get("atproto-accept-labelers") for url, h in answers.asked if "getPosts" in url]
    assert sent == [None, LABELER]
    assert "com.atproto.sync.getRecord" not in answers.paths()


async def test_an_author_who_labels_the_own_post_takes_nothing_down(source: BlueskySource) -> None:
    """Anybody can write "!takedown" on a post of one's own."""
    own = shown(labels=[label("!takedown", by=DID), label("!hide", neg=True), 7, {"val": 7}])
    assert await looked(source, absent(getPosts=posts(own))) == Signal(Kind.ALIVE)
    again = [posts(), posts(own, shown(OTHER))]
    assert (await looked(source, absent(getPosts=again))).kind is Kind.ERROR


async def test_a_batch_is_one_request_and_each_post_has_its_own_answer(
    source: BlueskySource,
) -> None:
    uris = [f"at://{DID}/app.bsky.feed.post/3kaaaaaaaa{n:03}" for n in range(25)]
    lost = set(uris[::2])

    def answer(url: str) -> Answer:
        asked = parse_qs(urlsplit(url).query)["uris"]
        assert len(asked) <= 25
        return posts(*(shown(u, f"text of {u}") for u in asked if u not in lost))

    answers = Answers(absent(getPosts=answer))
    looks = await source.look([post(uri) for uri in uris], answers)
    assert [look.observation.subject for look in looks] == [f"key-{uri}" for uri in uris]
    for uri, look in zip(uris, looks, strict=True):
        assert look.observation.signal.gone == (uri in lost)
        assert (look.version is None) == (uri in lost)
        if look.version:
            assert look.version.text == f"text of {uri}"
    counted = answers.paths()
    assert counted.count("app.bsky.feed.getPosts") == 2
    assert counted.count("app.bsky.actor.getProfile") == counted.count(DID) == 1
    alive = await source.look([post(uri) for uri in uris if uri not in lost], one := Answers({
        "app.bsky.feed.getPosts": answer
    }))  # fmt: skip
    assert {look.observation.signal for look in alive} == {Signal(Kind.ALIVE)}
    assert len(one.asked) == 1


async def test_a_lost_batch_of_25_is_asked_for_with_a_control_each_time(
    source: BlueskySource,
) -> None:
    uris = [f"at://{DID}/app.bsky.feed.post/3kaaaaaaaa{n:03}" for n in range(25)]
    answers = Answers(absent())
    looks = await source.look([post(uri) for uri in uris], answers)
    assert {look.observation.signal.kind for look in looks} == {Kind.GONE}
    for url, _ in answers.asked:
        assert len(parse_qs(urlsplit(url).query).get("uris", [])) <= 25


# -- accounts ------------------------------------------------------------------------------------

TAKEN = error("AccountTakedown", "Account has been suspended")
SLEEPS = error("AccountDeactivated", "Account is deactivated")


def status(word: str) -> Answer:
    return 200, {"did": DID, "active": False, "status": word}


STANDINGS: list[tuple[Answer, Answer, str, frozenset[Cause]]] = [
    (TAKEN, status("takendown"), "account-taken-down-by-host", PLATFORM),
    (TAKEN, status("suspended"), "account-suspended-by-host", PLATFORM),
    (TAKEN, status("deactivated"), "account-taken-down", PLATFORM),
    (TAKEN, (0, Fault.TIMEOUT), "account-taken-down", PLATFORM),
    (SLEEPS, status("deactivated"), "account-deactivated", AUTHOR_OR_PLATFORM),
    (SLEEPS, status("takendown"), "account-taken-down-by-host", PLATFORM),
    (SLEEPS, (0, Fault.CONNECT), "account-deactivated", AUTHOR_OR_PLATFORM),
    (NOT_FOUND, error("RepoNotFound"), "repository-deleted", AUTHOR_OR_PLATFORM),
    (NOT_FOUND, status("deleted"), "repository-deleted", AUTHOR_OR_PLATFORM),
    (NOT_FOUND, status("desynchronized"), "account-not-found", UNKNOWN),
    (NOT_FOUND, (200, {"did": DID, "active": True}), "account-not-found", UNKNOWN),
    (NOT_FOUND, (0, Fault.DNS), "account-not-found", UNKNOWN),
    (NOT_FOUND, (200, {"did": LABELER, "active": False}), "account-not-found", UNKNOWN),
]


@pytest.mark.parametrize(("view", "host", "rule", "causes"), STANDINGS)
async def test_an_account_is_told_by_what_appview_and_host_say(
    source: BlueskySource, view: Answer, host: Answer, rule: str, causes: frozenset[Cause]
) -> None:
    by_path = absent(getProfile=view, getRepoStatus=host, getAuthorFeed=NOT_FOUND)
    found = await source.discover(source.account(DID), "", Answers(dict(by_path)))
    for signal in (found.observation.signal, await looked(source, by_path)):
        assert (rule_of(signal), signal.causes) == (rule, causes)
        assert signal.account_level
    assert found.sightings == ()


async def test_an_empty_list_of_a_hidden_account_is_not_an_account_without_posts(
    source: BlueskySource,
) -> None:
    """A label on the account empties its list with status 200."""
    found = await source.discover(
        source.account(DID), "", Answers(absent(getProfile=TAKEN, getAuthorFeed=feed()))
    )
    assert rule_of(found.observation.signal) == "account-taken-down"
    found = await source.discover(source.account(DID), "", Answers(absent(getAuthorFeed=feed())))
    assert found.observation.signal == Signal(Kind.ALIVE)
    assert found.complete_since is None


async def test_an_account_that_only_the_appview_calls_asleep_is_unknown(
    source: BlueskySource,
) -> None:
    signal = await looked(source, absent(getProfile=SLEEPS))
    assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)


# -- lists ---------------------------------------------------------------------------------------


def dated(number: int, **more: Any) -> dict[str, Any]:
    day = f"2026-11-{30 - number:02}T08:00:00Z"
    view = shown(f"at://{DID}/app.bsky.feed.post/3kaaaaaaaa{number:03}", f"sentence {number}")
    return {**view, "record": {**view["record"], "createdAt": day}, "indexedAt": day, **more}


async def read(source: BlueskySource, *pages: Answer, cursor: str = "") -> Discovery:
    by_path = absent(getAuthorFeed=list(pages))
    return await source.discover(source.account(DID), cursor, Answers(by_path))


async def test_pages_are_read_until_what_is_known(source: BlueskySource) -> None:
    first = await read(
        source, feed(dated(4), dated(5), cursor="x"), feed(dated(6), cursor="y"), feed()
    )
    assert len(first.sightings) == 3
    second = await read(
        source,
        feed(dated(1), dated(2), cursor="x"),
        feed(dated(3), dated(4), dated(5), cursor="y"),
        cursor=first.cursor,
    )
    assert [s.post.native_id[-1] for s in second.sightings] == ["1", "2", "3", "4", "5"]
    assert second.complete_since == api.published(dated(5))
    for sighting in second.sightings:
        assert sighting.observation is not None
        assert sighting.observation.via is Via.TIMELINE
        assert sighting.post.url.startswith(f"{VIEW}/xrpc/app.bsky.feed.getPosts?uris=at://")


async def test_reposts_pins_and_others_posts_are_no_posts_of_the_account(
    source: BlueskySource,
) -> None:
    """An old post that is pinned would else claim that the list is whole since then."""
    theirs = shown(f"at://{LABELER}/app.bsky.feed.post/{RKEY}")
    repost = {"post": dated(20), "reason": {"$type": "app.bsky.feed.defs#reasonRepost"}}
    items = [repost, {"post": dated(1)}, {"post": theirs}, {"post": dated(2)}, 7, {"post": None}]
    found = await read(source, (200, {"feed": items}))
    assert [s.post.native_id[-1] for s in found.sightings] == ["1", "2"]
    assert found.complete_since == api.published(dated(2))


async def test_a_reading_that_breaks_off_is_taken_up_again(source: BlueskySource) -> None:
    found = await read(source, feed(dated(1), cursor="x"), (0, Fault.TIMEOUT))
    assert len(found.sightings) == 1
    assert found.observation.signal.kind is Kind.ERROR
    assert json.loads(found.cursor)["newest"] == 0


async def test_a_list_without_an_end_is_left_after_some_pages(source: BlueskySource) -> None:
    pages = iter(range(1000))
    by_path = absent(getAuthorFeed=lambda url: feed(dated(9), cursor=f"c{next(pages)}"))
    answers = Answers(by_path)
    await source.discover(source.account(DID), "", answers)
    assert len(answers.asked) == MOST_PAGES


async def test_a_handle_is_resolved_once_and_only_by_who_may(source: BlueskySource) -> None:
    """A handle that moves on must not carry another person's posts into this account."""
    account = source.account("ann.example.org")
    resolved: dict[str, Form] = {"com.atproto.identity.resolveHandle": (200, {"did": DID})}
    found = await source.discover(account, "", Answers(absent() | resolved))
    assert json.loads(found.cursor)["did"] == DID
    later = Answers(absent())
    await source.discover(account, found.cursor, later)
    assert "com.atproto.identity.resolveHandle" not in later.paths()
    unknown: dict[str, Form] = {
        "com.atproto.identity.resolveHandle": error("InvalidRequest", "Unable to resolve handle")
    }
    own: dict[str, Form] = {"atproto-did": (200, f"{DID}\n".encode())}
    answers = Answers(absent() | unknown | own)
    found = await source.discover(account, "", answers)
    assert json.loads(found.cursor)["did"] == DID
    assert "https://ann.example.org/.well-known/atproto-did" in [url for url, _ in answers.asked]
    for body in (b"did:key:z6Mk", b"<html>", b""):
        answers = Answers(absent() | unknown | {"atproto-did": (200, body)})
        found = await source.discover(account, "", answers)
        assert found.observation.signal.fault is Fault.UNREADABLE
        assert found.cursor == ""


async def test_a_cursor_of_another_version_is_a_first_reading(source: BlueskySource) -> None:
    for cursor in ("nonsense", "[]", '{"other": 1}'):
        found = await read(source, feed(dated(1)), cursor=cursor)
        assert json.loads(found.cursor)["did"] == DID


async def test_a_did_of_the_web_is_asked_of_its_own_host(source: BlueskySource) -> None:
    did = "did:web:ann.example.org"
    uri = URI.replace(DID, did)
    by_path = absent(getProfile=(200, {"did": did}), getAuthorFeed=feed())
    answers = Answers(by_path | {"did.json": (200, {**document(), "id": did})})
    await source.look([post(uri)], answers)
    urls = [url for url, _ in answers.asked]
    assert "https://ann.example.org/.well-known/did.json" in urls
    assert any(url.startswith(f"{HOST}/xrpc/com.atproto.sync.getRecord?") for url in urls)
    assert not any(url.startswith(PLC) for url in urls)
    assert at_identity.document_url("did:web:localhost%3A99", PLC) == (
        "http://localhost:99/.well-known/did.json"
    )


# -- reading a post ------------------------------------------------------------------------------


def test_text_counts_media_and_quotes_are_read() -> None:
    images = {"images": [{"fullsize": "https://cdn.example.org/1"}, {"fullsize": "data:x"}, 7]}
    quote = {"record": {"record": {"uri": OTHER}}}
    view = shown(
        text="two\nlines",
        embed={"media": images, "record": {}},
        likeCount=3,
        repostCount=0,
        replyCount=-1,
        labels=[label("!warn"), label("!hide"), label("porn")],
    )
    view["record"]["embed"] = quote
    signal, version, counts = api.reading(view)
    assert signal == Signal(Kind.ALIVE, words="labelled !hide, !warn", by="labeler")
    assert version is not None
    assert (version.text, version.media) == ("two\nlines", ("https://cdn.example.org/1",))
    assert (counts.likes, counts.reposts, counts.comments) == (
        Count.exact(3),
        Count.exact(0),
        None,
    )
    assert api.quoted(view) == OTHER
    assert api.published(view) == micros_of("2026-11-01T08:00:00+00:00")
    for claimed in ("soon", "2026-11-01", 7, None, "2026-13-01T00:00:00Z"):
        view["record"]["createdAt"] = claimed
        assert api.published(view) is None


def micros_of(text: str) -> int:
    from datetime import datetime

    return micros(datetime.fromisoformat(text))


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


@given(JSON)
@settings(max_examples=300, deadline=None)
async def test_no_form_of_an_answer_stops_the_source_or_loses_a_post(answer: object) -> None:
    source = BlueskySource(name, {"appview": VIEW, "plc": PLC})
    for where in ("getPosts", "getAuthorFeed", "getProfile", "getRecord", "plc", "car"):
        looks: list[Look] = await source.look([post()], Answers(absent(**{where: (200, answer)})))
        signal = looks[0].observation.signal
        strong = signal.gone and signal.strength is Strength.STRONG
        assert not strong, (where, signal)
    found = await source.discover(
        source.account(DID), "", Answers(absent(getAuthorFeed=(200, answer)))
    )
    assert not found.observation.signal.gone


def test_every_rule_of_the_pack_is_reached_by_a_test_here_or_on_the_live_network() -> None:
    """A rule that no test reaches is one that nobody has seen."""
    reached = {rule for _, rule, _, _ in LAYERS} | {rule for _, _, rule, _ in STANDINGS}
    reached |= {"withheld-by-host-alone", "label-takedown", "asked-too-often", "not-admitted"}
    assert reached == {notice.id for notice in load_pack("bluesky").notices}


# -- the stream ----------------------------------------------------------------------------------


def frame(kind: str, body: Mapping[str, Any], op: int = 1) -> bytes:
    header = {"op": op, **({"t": kind} if kind else {})}
    raw: bytes = libipld.encode_dag_cbor(header) + libipld.encode_dag_cbor(body)
    return raw


def commit(seq: int, *ops: tuple[str, str], did: str = DID, **more: Any) -> bytes:
    listed = [{"action": action, "path": path, "cid": None} for action, path in ops]
    return frame("#commit", {"seq": seq, "repo": did, "ops": listed, "blocks": b"", **more})


async def followed(
    *frames: bytes, seq: int = -1
) -> tuple[list[tuple[str, str]], at_firehose.Follower]:
    async def messages() -> Any:
        for each in frames:
            yield each

    follower = at_firehose.Follower({DID}, seq)
    hints = [(hint.uri, hint.said) async for hint in follower.hints(messages())]
    return hints, follower


async def test_the_stream_gives_hints_of_watched_accounts_only() -> None:
    hints, follower = await followed(
        commit(1, ("create", PATH), ("create", "app.bsky.feed.like/3k")),
        commit(2, ("delete", PATH), did=LABELER),
        commit(3, ("delete", PATH)),
        commit(3, ("delete", PATH)),
        commit(2, ("create", PATH)),
        frame("#account", {"seq": 5, "did": DID, "active": False, "status": "takendown"}),
        frame("#account", {"seq": 6, "did": DID, "active": True}),
        frame("#identity", {"seq": 7, "did": DID}),
        frame("#sync", {"seq": 8, "did": DID}),
        commit(9, tooBig=True),
        frame("#news-of-tomorrow", {"seq": 10, "did": DID}),
        frame("", {"error": "ConsumerTooSlow", "message": "too slow"}, op=-1),
        commit(11, ("delete", PATH)),
    )
    assert hints == [
        (URI, "create"), (URI, "delete"), ("", "takendown"), ("", "active"),
        ("", "identity"), ("", "sync"), ("", "too big"),
    ]  # fmt: skip
    assert (follower.seq, follower.error, follower.unreadable) == (10, "ConsumerTooSlow", 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xa1",
        b"<html>",
        libipld.encode_dag_cbor({"op": 1}),
        frame("#commit", {"seq": -1}),
        frame("#commit", {"seq": "1"}),
        frame("#commit", {"seq": 1}, op=2),
        libipld.encode_dag_cbor([]) * 2,
        b"\x81" * 20_000,
        bytes(at_firehose.LARGEST + 1),
    ],
)
async def test_a_broken_message_is_passed_over(raw: bytes) -> None:
    """One hostile frame must not end the stream for all who are watched."""
    hints, follower = await followed(raw, commit(4, ("delete", PATH)))
    assert hints == [(URI, "delete")]
    assert (follower.seq, follower.unreadable) == (4, 1)


@given(JSON, st.sampled_from(["#commit", "#account", "#sync"]))
@settings(max_examples=100, deadline=None)
def test_no_form_of_a_message_stops_the_stream(body: object, kind: str) -> None:
    mixed = {"seq": 1, **(body if isinstance(body, dict) else {"ops": body, "repo": body})}
    try:
        raw = frame(kind, mixed)
    except (OverflowError, ValueError):  # an integer that DAG-CBOR does not know
        return
    assert at_firehose.read_frame(raw).error == ""


def test_the_stream_is_asked_for_from_where_it_was_left() -> None:
    path = "/xrpc/com.atproto.sync.subscribeRepos"
    assert at_firehose.stream_url("https://relay.example.org") == f"wss://relay.example.org{path}"
    assert at_firehose.stream_url("http://localhost:9", 7) == f"ws://localhost:9{path}?cursor=7"
