"""The Bluesky source against answers written here: hostile, broken and rare ones.

What real servers say is tested in test_atproto.py; the forms here are theirs, with other contents.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sources.bluesky_answers import (
    AUTHOR_OR_PLATFORM,
    DENIED,
    HELD,
    LABELER,
    LACKS,
    NOT_FOUND,
    OTHER,
    PLATFORM,
    PLC,
    SERVED,
    UNKNOWN,
    URI,
    VIEW,
    Answer,
    Answers,
    Form,
    absent,
    error,
    feed,
    label,
    looked,
    name,
    post,
    posts,
    rule_of,
    shown,
)
from tests.sources.signed_repo import DID, P256, document
from vanished.errors import ConfigError, UsageError
from vanished.model import Cause, Fault, Kind, Signal, Strength
from vanished.sources.bluesky import BlueskySource
from vanished.sources.notice import load_pack


@pytest.fixture
def source() -> BlueskySource:
    return BlueskySource(name, {"appview": VIEW, "plc": PLC})


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


def test_every_rule_of_the_pack_is_reached_by_a_test_here_or_on_the_live_network() -> None:
    """A rule that no test reaches is one that nobody has seen."""
    reached = {rule for _, rule, _, _ in LAYERS} | {rule for _, _, rule, _ in STANDINGS}
    reached |= {"withheld-by-host-alone", "label-takedown", "asked-too-often", "not-admitted"}
    assert reached == {notice.id for notice in load_pack("bluesky").notices}
