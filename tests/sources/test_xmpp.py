"""The XMPP source against recorded stanzas: rare, hostile and broken ones, and other versions.

What a real server says is tested in test_prosody.py; here is what no test can make it say.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.xmpp_bosh import (
    ROOM,
    URL,
    Archive,
    Service,
    error,
    failing,
    message,
    page,
    result,
    terminated,
)
from vanished.model import Cause, Discovery, Fault, Kind, Post, Signal, Strength, version_hash
from vanished.net.exchange import Exchange
from vanished.sources.notice import load_pack
from vanished.sources.xmpp import RETRACTED, XmppSource

AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})
LOOK = 4  # number of the request that asks the room: after session, login, restart and address


def name(platform: str, native_id: str) -> str:
    return f"{platform}|{native_id}"


def made(**more: object) -> XmppSource:
    return XmppSource(name, {"server": URL, "account": "reader@example.org", **more})


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> XmppSource:
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", "a secret")
    return made()


def post(source: XmppSource, ident: str = "a", version: str = "") -> Post:
    account = source.account(ROOM)
    native = f"{ROOM}/{ident}"
    url = f"{account.url}/{ident}"
    at = 1_795_514_400_000_000  # 2026-11-24T10:00:00Z
    key = name("xmpp", native)
    return Post(key, account.key, "xmpp", native, url, published_at=at, version=version)


async def looked(source: XmppSource, service: Service, version: str = "") -> Signal:
    (look,) = await source.look([post(source, version=version)], service)
    return look.observation.signal


async def read(source: XmppSource, service: Service, cursor: str = "") -> Discovery:
    return await source.discover(source.account(ROOM), cursor, service)


def of_posts(found: Discovery) -> dict[str, Signal]:
    signals = {}
    for sighting in found.sightings:
        assert sighting.observation is not None
        signals[sighting.post.native_id.rpartition("/")[2]] = sighting.observation.signal
    return signals


def said(found: Discovery) -> dict[str, tuple[str, frozenset[Cause]]]:
    return {k: (s.rule.partition("@")[0], s.causes) for k, s in of_posts(found).items()}


NEW_TOMBSTONE = (
    "<retracted xmlns='urn:xmpp:message-retract:1' id='o1' stamp='2026-11-24T10:05:00Z'>"
    f"<moderated xmlns='urn:xmpp:message-moderate:1' by='{ROOM}/mod'>"
    "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='occupant-of-{}'/></moderated>"
    "<reason>rule 3</reason></retracted>"
)
OLD_TOMBSTONE = (
    f"<moderated xmlns='urn:xmpp:message-moderate:0' by='{ROOM}/{{}}'>"
    "<retracted xmlns='urn:xmpp:message-retract:0' stamp='2026-11-24T10:05:00Z'/>"
    "<reason>rule 3</reason></moderated>"
)
PROSODY_TOMBSTONE = (  # mod_muc_moderation puts the reason inside the element, too
    f"<moderated xmlns='urn:xmpp:message-moderate:0' by='{ROOM}/{{}}'>"
    "<retracted xmlns='urn:xmpp:message-retract:0' stamp='2026-11-24T10:05:00Z'/>"
    "<reason xmlns='urn:xmpp:message-moderate:0'>rule 3</reason></moderated>"
)


def retraction(target: str = "a", nick: str = "ann", occupant: str | None = None) -> str:
    element = f"<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/>"
    return message("I took that back", nick, element, own_id="r1", occupant=occupant)


def announced(target: str = "a", nick: str = "", by: str = "mod", *, old: bool = False) -> str:
    """The room's announcement that a moderator took a message away."""
    if old:
        inner = (
            f"<apply-to xmlns='urn:xmpp:fasten:0' id='{target}'>"
            f"<moderated xmlns='urn:xmpp:message-moderate:0' by='{ROOM}/{by}'>"
            "<retract xmlns='urn:xmpp:message-retract:0'/>"
            "<reason>rule 3</reason></moderated></apply-to>"
        )
    else:
        inner = (
            f"<retract xmlns='urn:xmpp:message-retract:1' id='{target}'>"
            f"<moderated xmlns='urn:xmpp:message-moderate:1' by='{ROOM}/{by}'>"
            f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='occupant-of-{by}'/></moderated>"
            "<reason>rule 3</reason></retract>"
        )
    return message("", nick, inner, own_id="m1")


# -- taken away and taken back -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tombstone", "who"),
    [
        (NEW_TOMBSTONE.format("mod"), f"moderator xmpp|{ROOM}#occupant-of-mod"),
        (OLD_TOMBSTONE.format("mod"), "moderator"),
        (PROSODY_TOMBSTONE.format("mod"), "moderator"),
    ],
)
async def test_a_moderators_hand_is_seen_in_every_version(
    source: XmppSource, tombstone: str, who: str
) -> None:
    """Otherwise a moderator's deletions would pass for expiry, or for nothing at all."""
    archive = Archive()
    archive.put("a", message("", "ann", tombstone))
    signal = await looked(source, Service(archive))
    assert (signal.kind, signal.causes, signal.strength) == (Kind.GONE, PLATFORM, Strength.STRONG)
    assert (signal.words, signal.by) == ("rule 3", who)


@pytest.mark.parametrize("tombstone", [NEW_TOMBSTONE.format("ann"), OLD_TOMBSTONE.format("ann")])
async def test_a_moderator_who_takes_an_own_message_away_is_its_author(
    source: XmppSource, tombstone: str
) -> None:
    archive = Archive()
    archive.put("a", message("", "ann", tombstone))
    assert (await looked(source, Service(archive))).causes == AUTHOR_OR_OPERATOR


async def test_a_tombstone_without_a_moderator_is_the_authors_or_operators(
    source: XmppSource,
) -> None:
    archive = Archive()
    inner = "<retracted xmlns='urn:xmpp:message-retract:1' id='r1' stamp='2026-11-24T10:05:00Z'/>"
    archive.put("a", message("", "ann", inner))
    assert (await looked(source, Service(archive))).causes == AUTHOR_OR_OPERATOR


@pytest.mark.parametrize("old", [False, True])
async def test_an_announcement_is_believed_though_the_archive_keeps_the_wording(
    source: XmppSource, old: bool
) -> None:
    """Servers that store no tombstone would hide every moderation."""
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    archive.put("b", announced(old=old), "2026-11-24T10:05:00Z")
    found = await read(source, Service(archive))
    assert said(found) == {"a": ("xmpp/moderated", PLATFORM)}
    marked = version_hash(RETRACTED, "a word")
    again = await looked(source, Service(archive), marked)
    assert (again.causes, again.words) == (PLATFORM, "rule 3")


async def test_an_authors_retraction_leaves_the_operator_open(source: XmppSource) -> None:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    archive.put("b", message("another", "bob"))
    archive.put("r", retraction(), "2026-11-24T10:05:00Z")
    found = await read(source, Service(archive))
    assert said(found) == {"a": ("xmpp/retracted", AUTHOR_OR_OPERATOR), "b": ("", frozenset())}
    assert of_posts(found)["a"].by == "author"


async def test_a_retraction_may_name_the_authors_own_id(source: XmppSource) -> None:
    """XEP-0424 until 0.3: the id that the author's client gave the message."""
    archive = Archive()
    archive.put("a", message("a word", "ann", own_id="first-of-ann"))
    archive.put("b", message("a word", "bob", own_id="first-of-ann"))
    archive.put("r", retraction("first-of-ann"))
    assert said(await read(source, Service(archive)))["a"][1] == AUTHOR_OR_OPERATOR
    assert said(await read(source, Service(archive)))["b"][1] == frozenset()


@pytest.mark.parametrize(
    "forged",
    [
        retraction(nick="eve"),
        retraction(nick="ann", occupant="occupant-of-eve"),  # eve took ann's nick
        retraction(nick="ann", occupant=""),  # and no occupant id is shown
        announced(nick="eve"),
        announced(nick="eve", old=True),
        message("", "eve", NEW_TOMBSTONE.format("mod")),
    ],
)
async def test_nobody_takes_back_what_another_one_said(source: XmppSource, forged: str) -> None:
    """Anybody in a room could else make us report losses that never were."""
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    archive.put("x", forged)
    assert said(await read(source, Service(archive)))["a"] == ("", frozenset())
    assert {signal.kind for signal in of_posts(await read(source, Service(archive))).values()} == {
        Kind.ALIVE
    }


async def test_without_occupant_ids_a_nick_proves_little(source: XmppSource) -> None:
    archive = Archive()
    archive.put("a", message("a word", "ann", occupant=""))
    archive.put("r", retraction(occupant=""))
    signal = of_posts(await read(source, Service(archive)))["a"]
    assert (signal.causes, signal.strength, signal.by) == (UNKNOWN, Strength.WEAK, "")


async def test_a_message_that_quotes_a_notice_is_alive(source: XmppSource) -> None:
    archive = Archive()
    text = "&lt;moderated by='room/mod'/&gt; This message was retracted. item-not-found gone"
    archive.put("a", message(text, "ann", OLD_TOMBSTONE.format("mod")))
    assert (await looked(source, Service(archive))).kind is Kind.ALIVE
    assert set(said(await read(source, Service(archive))).values()) == {("", frozenset())}


async def test_a_known_retraction_out_of_reach_is_a_failed_look(source: XmppSource) -> None:
    """The archive still has the wording: "alive" would undo a loss that the list proved."""
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    signal = await looked(source, Service(archive), version_hash(RETRACTED, "a word"))
    assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)


async def test_a_known_retraction_is_found_right_behind_its_message(source: XmppSource) -> None:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    archive.put("r", retraction(), "2026-11-24T10:05:00Z")
    for number in range(250):
        archive.put(f"n{number}", message("noise", "bob"), "2026-11-24T11:00:00Z")
    service = Service(archive)
    signal = await looked(source, service, version_hash(RETRACTED, "a word"))
    assert signal.causes == AUTHOR_OR_OPERATOR
    shown = [private for _, body, private in service.asked if b"before" in body]
    assert shown == [True] * 4  # what others wrote is in no evidence


async def test_a_correction_is_a_new_wording_and_no_post(source: XmppSource) -> None:
    archive = Archive()
    archive.put("a", message("a wrod", "ann", own_id="w1"))
    replaces = "<replace xmlns='urn:xmpp:message-correct:0' id='w1'/>"
    archive.put("b", message("words put into ann's mouth", "eve", replaces, own_id="e1"))
    archive.put("c", message("a word", "ann", replaces, own_id="w2"))
    found = await read(source, Service(archive))
    texts = {s.post.native_id[-1]: s.version.text for s in found.sightings if s.version}
    assert texts == {"a": "a word", "b": "words put into ann's mouth"}
    (look,) = await source.look(
        [post(source, version=version_hash("", "a word"))], Service(archive)
    )
    assert (look.observation.signal.kind, look.version) == (Kind.ALIVE, None)


# -- no longer there -------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [Archive().features, ("urn:xmpp:mam:2",)])
async def test_a_message_out_of_the_archive_leaves_everything_open(
    source: XmppSource, features: tuple[str, ...]
) -> None:
    """Expired, purged, lost: the archive does not say, nor whether it ever was."""
    archive = Archive(features=features)
    archive.put("b", message("another", "bob"))
    signal = await looked(source, Service(archive))
    assert (signal.kind, signal.causes, signal.strength) == (Kind.GONE, UNKNOWN, Strength.WEAK)
    archive.put("a", message("a word", "ann"))
    assert (await looked(source, Service(archive))).kind is Kind.ALIVE


async def test_many_messages_are_asked_for_in_one_visit(source: XmppSource) -> None:
    archive = Archive()
    for number in range(0, 20, 2):
        archive.put(str(number), message(f"word {number}", "ann"))
    service = Service(archive)
    posts = [post(source, str(number)) for number in range(20)]
    looks = await source.look(posts, service)
    assert [look.observation.subject for look in looks] == [one.key for one in posts]
    kinds = [look.observation.signal.kind for look in looks]
    assert kinds == [Kind.ALIVE, Kind.GONE] * 10
    assert len(service.asked) == LOOK + 2


@pytest.mark.parametrize(
    "broken",
    [
        Archive(stored=[("a", "2026-11-24T10:00:00Z", message("w", "ann"))], lost=True),
        Archive(fin="stable='false'"),
    ],
)
async def test_an_answer_that_is_not_whole_is_no_absence(
    source: XmppSource, broken: Archive
) -> None:
    assert (await looked(source, Service(broken))).fault is Fault.TRUNCATED


async def test_others_cannot_answer_for_the_room(source: XmppSource) -> None:
    """Anybody may send us stanzas: a forged answer could make losses, or hide them."""
    tombstone = message("", "ann", NEW_TOMBSTONE.format("mod"))
    when = "2026-11-24T10:00:00Z"
    archive = Archive(
        extra=lambda queryid: (
            result(queryid, "a", when, tombstone, "eve@example.org")
            + result("another", "a", when, tombstone)
            + error(queryid, "gone", sender="eve@example.org")
        )
    )
    archive.put("a", message("a word", "ann"))
    assert (await looked(source, Service(archive))).kind is Kind.ALIVE
    assert said(await read(source, Service(archive))) == {"a": ("", frozenset())}


# -- rooms ----------------------------------------------------------------------------------------


async def known(source: XmppSource) -> str:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    return (await read(source, Service(archive))).cursor


@pytest.mark.parametrize(
    ("room", "causes", "strength"),
    [
        (Archive(about="gone", reason="enough"), AUTHOR_OR_OPERATOR, Strength.STRONG),
        (
            Archive(about="gone", reason="enough", venue="xmpp:new@rooms.example.org?join"),
            AUTHOR_OR_OPERATOR | {Cause.MOVED},
            Strength.STRONG,
        ),
        (Archive(about="item-not-found", error="item-not-found"), UNKNOWN, Strength.WEAK),
    ],
)
async def test_a_room_that_is_gone_is_one_loss_of_the_room(
    source: XmppSource, room: Archive, causes: frozenset[Cause], strength: Strength
) -> None:
    """Its archive answers as an empty one: every message would be a loss of its own."""
    for signal in (
        await looked(source, Service(room)),
        (await read(source, Service(room), await known(source))).observation.signal,
    ):
        assert (signal.kind, signal.causes, signal.strength) == (Kind.GONE, causes, strength)
        assert signal.account_level
        assert signal.words == room.reason


@pytest.mark.parametrize("about", ["gone", "item-not-found"])
async def test_a_room_that_was_never_seen_may_be_a_typo(source: XmppSource, about: str) -> None:
    found = await read(source, Service(Archive(about=about, error="item-not-found")))
    assert found.observation.signal.kind is Kind.ERROR
    assert "address" in found.observation.signal.words


@pytest.mark.parametrize(
    "room",
    [
        Archive(error="item-not-found"),  # the room says it is there: its archive is not
        Archive(about="item-not-found"),  # the archive answers, empty: they disagree
        *(
            Archive(about=about, error=word)
            for about in ("", "forbidden", "service-unavailable", "item-not-found")
            for word in (
                "forbidden", "registration-required", "not-authorized", "not-allowed",
                "service-unavailable", "feature-not-implemented", "resource-constraint",
                "policy-violation", "internal-server-error", "remote-server-not-found",
                "remote-server-timeout", "undefined-condition", "recipient-unavailable",
            )
        ),
    ],
)  # fmt: skip
async def test_a_refusal_is_never_a_loss(source: XmppSource, room: Archive) -> None:
    """Banned, shut out, a server that is starting or overworked: nothing was removed by that."""
    before = room.error
    assert (await looked(source, Service(room))).kind is Kind.ERROR
    room.error = before
    found = await read(source, Service(room), await known(source))
    assert found.observation.signal.kind is Kind.ERROR
    assert found.sightings == ()


async def test_an_empty_archive_is_a_room_without_messages(source: XmppSource) -> None:
    found = await read(source, Service(Archive()), await known(source))
    assert found.observation.signal.kind is Kind.ALIVE
    assert found.sightings == ()


async def test_the_list_goes_on_after_the_last_message_read_is_gone(source: XmppSource) -> None:
    """An anchor that was purged would else blind the watch for good."""
    cursor = await known(source)
    archive = Archive()
    archive.put("b", message("later", "bob"), "2026-11-24T10:30:00Z")
    found = await read(source, Service(archive), cursor)
    assert said(found) == {"b": ("", frozenset())}


async def test_a_long_archive_is_read_over_several_readings(source: XmppSource) -> None:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    cursor = (await read(source, Service(archive))).cursor
    for number in range(700):
        stamp = f"2026-11-24T{11 + number // 60}:{number % 60:02}:00Z"
        archive.put(f"n{number}", message(f"word {number}", "bob", own_id=f"b{number}"), stamp)
    seen: set[str] = set()
    for _ in range(3):
        found = await read(source, Service(archive), cursor)
        cursor, seen = found.cursor, seen | set(said(found))
    assert seen - {"a"} == {f"n{number}" for number in range(700)}
    assert len(cursor) < 30_000


@pytest.mark.parametrize("cursor", ["x", "[]", "{}", '{"own": 3}', '{"own": {"a": [1]}}'])
async def test_a_cursor_of_another_version_means_a_first_reading(
    source: XmppSource, cursor: str
) -> None:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    assert said(await read(source, Service(archive), cursor)) == {"a": ("", frozenset())}


# -- entering -------------------------------------------------------------------------------------


async def test_a_room_is_never_entered_unless_told_to(source: XmppSource) -> None:
    """Entering shows the observer to everybody there."""
    service = Service(Archive(error="forbidden"))
    assert (await looked(source, service)).fault is Fault.FORBIDDEN
    assert ROOM + "/" not in service.words


async def test_told_to_it_enters_a_room_that_shuts_its_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", "a secret")
    archive = Archive(error="forbidden")
    archive.put("a", message("a word", "ann"))
    service = Service(archive)
    assert (await looked(made(join=True, nick="guest"), service)).kind is Kind.ALIVE
    assert service.entered
    assert f"to='{ROOM}/guest'" in service.words

    open_room = Service(replace(archive, error=""))
    assert (await looked(made(join=True), open_room)).kind is Kind.ALIVE
    assert not open_room.entered  # no need to


@pytest.mark.parametrize(
    "entry", ["forbidden", "registration-required", "conflict", "not-authorized", "gone"]
)
async def test_an_observer_who_is_not_let_in_lost_nothing(
    monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", "a secret")
    service = Service(Archive(error="forbidden", entry=entry))
    signal = await looked(made(join=True), service)
    assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)


async def test_a_room_that_is_not_there_is_not_made_by_entering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Presence in a room that does not exist would make one, of which we were the owner."""
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", "a secret")
    for about in ("item-not-found", "gone", "forbidden"):
        service = Service(Archive(about=about, error="forbidden"))
        await looked(made(join=True), service)
        assert "<x xmlns='http://jabber.org/protocol/muc'" not in service.words


# -- broken answers -------------------------------------------------------------------------------

BROKEN: list[Exchange | bytes] = [
    page(200, "<!doctype html><html><body>This message was deleted. item-not-found</body></html>"),
    page(200, ""),
    page(200, "<html>please log in</html>"),
    page(404, "not found"),
    page(410, "gone"),
    page(403, "no"),
    page(451, "no"),
    b"<body xmlns='http://jabber.org/protocol/httpbind'><iq",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><body xmlns='http://jabber.org/protocol/httpbind'>&a;</body>",
    b"<?xml-stylesheet href='x'?><body xmlns='http://jabber.org/protocol/httpbind'/>",
    b"\xff\xfe<\x00b\x00",
    b"<body xmlns='http://jabber.org/protocol/httpbind'>" + b"<a>" * 5000,
    *(
        terminated(word)
        for word in (
            "item-not-found", "system-shutdown", "policy-violation", "remote-connection-failed",
            "internal-server-error", "gone", "see-other-uri", "host-gone", "",
        )
    ),
    *(failing(fault) for fault in (Fault.TIMEOUT, Fault.SERVER, Fault.RATE_LIMITED, Fault.TLS)),
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("number", range(LOOK + 1))
async def test_what_is_no_answer_is_a_failed_look(
    source: XmppSource, broken: Exchange | bytes, number: int
) -> None:
    """A server that restarts answers "item-not-found" to every session that it had."""
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    signal = await looked(source, Service(archive, answers={number: broken}))
    assert signal.kind is Kind.ERROR
    found = await read(source, Service(archive, answers={number: broken}), await known(source))
    assert found.observation.signal.kind is Kind.ERROR
    assert found.sightings == ()
    assert found.cursor == ""  # the watch keeps the one it has


async def test_an_answer_that_never_comes_is_a_timeout(source: XmppSource) -> None:
    nothing = b"<body xmlns='http://jabber.org/protocol/httpbind'/>"
    service = Service(Archive(), answers=dict.fromkeys(range(LOOK, 99), nothing))
    assert (await looked(source, service)).fault is Fault.TIMEOUT
    assert len(service.asked) < 20


@settings(max_examples=150, deadline=None)
@given(
    inner=st.lists(
        st.sampled_from(
            [
                "<iq xmlns='jabber:client' type='error' id='x'/>",
                f"<iq xmlns='jabber:client' type='result' from='{ROOM}'/>",
                f"<presence xmlns='jabber:client' from='{ROOM}/a' type='unavailable'/>",
                f"<message xmlns='jabber:client' from='{ROOM}'><result xmlns='urn:xmpp:mam:2'/>"
                "</message>",
                "<a/>", "text", "&lt;", "</body>", "<",
            ]
        ),
        max_size=6,
    ),
    number=st.integers(0, LOOK),
)  # fmt: skip
async def test_no_answer_that_was_not_foreseen_makes_a_loss(inner: list[str], number: int) -> None:
    source = made(account="guests.example.org")
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    text = f"<body xmlns='http://jabber.org/protocol/httpbind'>{''.join(inner)}</body>"
    service = Service(archive, ("ANONYMOUS",), answers={number: text.encode()})
    signal = await looked(source, service)
    assert signal.kind in (Kind.ERROR, Kind.ALIVE)


def test_every_rule_of_the_pack_can_be_reached() -> None:
    pack = load_pack("xmpp")
    assert pack.platform == "xmpp"
    assert len(pack.notices) == 11
