"""The Matrix source against a real homeserver: who took each of 200 messages, and no false loss.

Everything is done by ordinary users and the operator through Synapse's own interfaces; the source
sees only what its observer, a second ordinary user, may see. All texts are made up here.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers.synapse import Synapse, User, needs_env, synapse
from vanished.clock import SystemClock
from vanished.model import Account, Cause, Discovery, Fault, Kind, Post, Sighting, Signal, Strength
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Fetch
from vanished.net.politeness import Politeness
from vanished.sources.matrix import MatrixSource

AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})
VARIABLE = "VANISHED_TEST_MATRIX_TOKEN"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    with synapse(tmp_path_factory.mktemp("matrix")) as started:
        yield started


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8",))
    async with Door(settings, SystemClock(), Politeness(100_000)) as opened:
        yield opened


def name(platform: str, native_id: str) -> str:
    return hashlib.sha256(f"{platform}\0{native_id}".encode()).hexdigest()[:16]


@dataclass
class Observer:
    """What a watch would keep: the cursor, the posts, and the latest answer about each."""

    source: MatrixSource
    account: Account
    fetch: Fetch
    cursor: str = ""
    posts: dict[str, Post] = field(default_factory=dict)  # by event id
    signals: dict[str, Signal] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    async def read(self) -> Discovery:
        found = await self.source.discover(self.account, self.cursor, self.fetch)
        self.cursor = found.cursor
        for sighting in found.sightings:
            self._keep(sighting)
        return found

    async def look(self) -> None:
        for event, post in self.posts.items():
            (look,) = await self.source.look([post], self.fetch)
            self.signals[event] = look.observation.signal
            if look.version:
                self.texts[event] = look.version.text

    def _keep(self, sighting: Sighting) -> None:
        event = "$" + sighting.post.native_id.partition("/$")[2]
        assert sighting.observation is not None
        self.posts[event] = sighting.post
        self.signals[event] = sighting.observation.signal
        if sighting.version:
            self.texts[event] = sighting.version.text


def observer(
    monkeypatch: pytest.MonkeyPatch,
    server: Synapse,
    token: str,
    room: str,
    opened: Door,
    *,
    join: bool = False,
) -> Observer:
    variable = f"{VARIABLE}_{hashlib.sha256(token.encode()).hexdigest()[:8]}"
    monkeypatch.setenv(variable, token)
    source = MatrixSource(name, {"server": server.base_url, "token_env": variable, "join": join})
    return Observer(source, source.account(room), opened.fetcher())


def causes(signals: dict[str, Signal]) -> Counter[str]:
    return Counter(" or ".join(sorted(s.causes)) or s.kind.value for s in signals.values())


NAMES = ("anna", "bert", "carl", "dora", "emil", "fay", "gus", "hugo")


@pytest.fixture
def alias(request: pytest.FixtureRequest) -> str:
    return "r" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]


def people(server: Synapse, alias: str, *names: str) -> dict[str, User]:
    return {each: server.register(f"{each}-{alias}") for each in names}


def test_the_server_starts_and_knows_its_users(server: Synapse) -> None:
    """The fixture that other tests build on: a started server, an admin, a login."""
    user = server.register("login-test")
    again = server.login("login-test")
    assert again.id == user.id
    assert again.token != user.token
    assert server.ok("GET", "/_synapse/admin/v1/server_version", server.admin.token)


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", None)])
def test_a_homeserver_that_cannot_be_installed_is_said_and_never_half_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException] | None
) -> None:
    """A green run that silently tested nothing, or tested half an install, would be worth less."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(outcome or pytest.fail.Exception, match="Synapse could not be installed"):
        needs_env()
    (lock,) = (tmp_path / "vanished" / "peers").iterdir()
    assert lock.suffix == ".lock"


async def test_each_of_200_messages_gets_the_causes_that_its_loss_leaves_open(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, an operator's deletion would be put down to the author, or the other way."""
    who = people(server, alias, "mod", "obs", *NAMES)
    room = server.create_room(who["mod"], alias)
    for user in who.values():
        server.join(user, room)
    sent: dict[str, list[str]] = {each: [] for each in NAMES}

    def say(count: int) -> None:
        for number in range(count):
            each = NAMES[number % len(NAMES)]
            text = f"{each} says sentence {len(sent[each])}"
            sent[each].append(server.send(who[each], room, text))

    started = time.monotonic()
    say(144)
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        first = await seen.read()
        assert first.observation.signal.kind is Kind.ALIVE
        assert len(seen.posts) == 144
        say(56)
        await seen.read()
        everything = {event for events in sent.values() for event in events}
        assert len(everything) == 200
        assert set(seen.posts) == everything
        assert causes(seen.signals) == {"alive": 200}
        await seen.look()
        assert causes(seen.signals) == {"alive": 200}
        assert seen.texts[sent["anna"][3]] == "anna says sentence 3"
        print(f"200 messages sent and read in {time.monotonic() - started:.1f} s")

        by_author, by_moderator = sent["anna"][:10], sent["bert"][5:15]
        edited = sent["dora"][:5]
        for event in by_author:
            server.redact(who["anna"], room, event)
        for event in by_moderator:
            server.redact(who["mod"], room, event, "against rule 3")
        server.redact_all(who["carl"], room, "spam wave")
        for event in edited:
            server.edit(who["dora"], room, event, "dora now says something else")
        # Traps: an edit by another, edits of a redacted and a living post that do not last, a
        # reaction that is taken back. None of them is a post, and none may cost one.
        server.edit(who["bert"], room, sent["dora"][6], "words put into dora's mouth")
        server.edit(who["anna"], room, by_author[0], "an edit of what is no more")
        passing = server.edit(who["dora"], room, sent["dora"][7], "a slip")
        await seen.read()
        server.redact(who["dora"], room, passing)
        reaction = server.react(who["hugo"], room, sent["hugo"][0], "!")
        server.redact(who["hugo"], room, reaction)
        server.deactivate(who["emil"])
        server.deactivate(who["fay"], erase=True)
        server.close_account(who["gus"], erase=True)
        for _ in range(3):
            await seen.read()

        expected: dict[str, frozenset[Cause]] = dict.fromkeys(everything, frozenset())
        expected |= dict.fromkeys(by_author + sent["carl"], AUTHOR_OR_OPERATOR)
        expected |= dict.fromkeys(by_moderator, PLATFORM)
        assert {e: s.causes for e, s in seen.signals.items()} == expected  # by the list alone
        await seen.look()
        assert {e: s.causes for e, s in seen.signals.items()} == expected
        assert {s.kind for s in seen.signals.values()} == {Kind.ALIVE, Kind.GONE}
        for event in by_moderator:
            assert seen.signals[event].by == "moderator"
            assert seen.signals[event].words == "against rule 3"
        assert {seen.signals[event].words for event in sent["carl"]} == {"spam wave"}
        assert {seen.texts[event] for event in edited} == {"dora now says something else"}
        assert seen.texts[sent["dora"][6]] == "dora says sentence 6"
        assert seen.texts[sent["dora"][7]] == "dora says sentence 7"
        assert seen.texts[sent["fay"][0]] == "fay says sentence 0"
        print(f"after redactions: {dict(causes(seen.signals))}")

        # Somebody who comes late gets the erased accounts' posts without content.
        late = server.register(f"late-{alias}")
        server.join(late, room)
        after = observer(monkeypatch, server, late.token, room, opened)
        await after.read()
        await after.look()
        expected |= dict.fromkeys(sent["fay"] + sent["gus"], AUTHOR_OR_OPERATOR)
        # Whoever did not see it before cannot tell a redacted edit from a redacted post.
        expected[passing] = AUTHOR_OR_OPERATOR
        assert {e: s.causes for e, s in after.signals.items()} == expected
        assert {after.signals[e].strength for e in sent["fay"]} == {Strength.WEAK}

        server.shut_down(room, block=True, purge=True, new_room_user_id=server.admin.id)
        lost = await seen.read()
        signal = lost.observation.signal
        assert (signal.kind, signal.causes, signal.account_level) == (
            Kind.GONE,
            PLATFORM,
            True,
        )
        assert signal.strength is Strength.STRONG
        await seen.look()
        assert causes(seen.signals) == {"platform": 200}
        assert all(s.account_level for s in seen.signals.values())
    print(f"whole room in {time.monotonic() - started:.1f} s")


@pytest.mark.parametrize(
    ("how", "rule", "expected", "posts"),
    [
        ({"block": True, "purge": False}, "room-blocked", Cause.PLATFORM, Kind.ALIVE),
        ({"purge": True, "new_room_user_id": "operator"}, "shutdown-notice", Cause.PLATFORM, None),
        (
            {"purge": True, "new_room_user_id": "operator", "message": "Gone for good."},
            "shutdown-room",
            Cause.PLATFORM,
            None,
        ),
        ({"purge": True}, "room-left", Cause.UNKNOWN, None),
        ({"purge": False}, "room-left", Cause.UNKNOWN, Kind.ALIVE),
    ],
)
async def test_a_room_that_was_shut_down_is_told_by_what_the_operator_left(
    server: Synapse,
    alias: str,
    monkeypatch: pytest.MonkeyPatch,
    how: dict[str, object],
    rule: str,
    expected: Cause,
    posts: Kind | None,
) -> None:
    """A notice names the operator; its absence leaves the cause open instead of guessing it."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias)
    server.join(who["obs"], room)
    event = server.send(who["mod"], room, "the last sentence")
    how = {k: server.admin.id if v == "operator" else v for k, v in how.items()}
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        await seen.read()
        server.shut_down(room, **how)
        signal = (await seen.read()).observation.signal
        await seen.look()
    assert signal.rule.partition("@")[0] == f"matrix/{rule}"
    assert signal.causes == {expected}
    assert signal.account_level
    assert (signal.strength is Strength.STRONG) == (rule in ("room-blocked", "shutdown-notice"))
    found = seen.signals[event]
    if posts is Kind.ALIVE:  # not purged: those who were in the room may still read what was said
        assert found.kind is Kind.ALIVE
    else:
        assert found.kind is Kind.GONE
        assert found.causes == UNKNOWN
        assert found.strength is Strength.WEAK


async def test_an_observer_who_is_thrown_out_loses_its_view_and_nobody_a_post(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ban would else look like a room of lost posts."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias)
    server.join(who["obs"], room)
    kept, gone = (server.send(who["mod"], room, text) for text in ("it stays", "it goes"))
    path = f"/_matrix/client/v3/rooms/{room}"
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        await seen.read()
        server.ok("POST", f"{path}/kick", who["mod"].token, {"user_id": who["obs"].id})
        for step in range(3):  # at once, with news that still reach who has left, and in silence
            if step == 1:
                server.redact(who["mod"], room, gone)
            signal = (await seen.read()).observation.signal
            assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)
        server.ok("POST", f"{path}/ban", who["mod"].token, {"user_id": who["obs"].id})
        signal = (await seen.read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)
        assert who["obs"].id not in signal.words
        await seen.look()
        assert seen.signals[kept].kind is Kind.ALIVE
        assert seen.signals[gone].causes == AUTHOR_OR_OPERATOR
        rules = {"join_rule": "invite"}
        server.ok("PUT", f"{path}/state/m.room.join_rules/", who["mod"].token, rules)
        signal = (await seen.read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)


async def test_history_that_was_purged_is_gone_with_an_unknown_cause(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retention rule and a censor delete alike; only the room tells that access is not why."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias)
    server.join(who["obs"], room)
    old, new = (server.send(who["mod"], room, text) for text in ("an old one", "a new one"))
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        await seen.read()
        body = {"delete_local_events": True, "purge_up_to_event_id": new}
        purge = f"/_synapse/admin/v1/purge_history/{room}"
        number = server.ok("POST", purge, server.admin.token, body)["purge_id"]
        status = f"/_synapse/admin/v1/purge_history_status/{number}"
        for _ in range(100):
            if server.ok("GET", status, server.admin.token)["status"] == "complete":
                break
            time.sleep(0.05)
        await seen.look()
    assert seen.signals[new].kind is Kind.ALIVE
    found = seen.signals[old]
    assert (found.kind, found.causes, found.strength) == (
        Kind.GONE,
        UNKNOWN,
        Strength.WEAK,
    )
    assert not found.account_level


async def test_a_token_that_is_wrong_or_missing_is_a_failed_look(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired login must not empty the observatory's rooms."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias)
    server.join(who["obs"], room)
    server.send(who["mod"], room, "still here")
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        await seen.read()
        for token in ("not-a-token", ""):
            blind = observer(monkeypatch, server, token, f"#{alias}:localhost", opened)
            blind.cursor, blind.posts = seen.cursor, seen.posts
            found = await blind.read()
            await blind.look()
            for signal in (found.observation.signal, *blind.signals.values()):
                assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)
                assert VARIABLE in signal.words
                assert not token or token not in signal.words
            assert found.cursor == seen.cursor
        assert len(blind.signals) == 1
        user = f"/_synapse/admin/v2/users/{quote(who['obs'].id)}"
        server.ok("PUT", user, server.admin.token, {"locked": True})
        signal = (await seen.read()).observation.signal
        assert (signal.fault, signal.status) == (Fault.FORBIDDEN, 401)
        assert signal.words.startswith("M_USER_LOCKED")
        assert len(seen.posts) == 1


async def test_joining_happens_only_on_request_and_a_limit_on_it_is_a_failed_look(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining shows the observer: a default that joined would endanger who watches."""
    who = people(server, alias, "mod", "obs", "slow")
    room = server.create_room(who["mod"], alias)
    server.send(who["mod"], room, "come in")
    members = f"/_matrix/client/v3/rooms/{room}/joined_members"

    def inside() -> set[str]:
        return set(server.ok("GET", members, who["mod"].token)["joined"])

    address = f"#{alias}:localhost"
    async with door() as opened:
        outside = observer(monkeypatch, server, who["obs"].token, address, opened)
        signal = (await outside.read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)
        assert inside() == {who["mod"].id}

        limit = f"/_synapse/admin/v1/users/{who['slow'].id}/override_ratelimit"
        body = {"messages_per_second": 1, "burst_count": 1}
        server.ok("POST", limit, server.admin.token, body)
        elsewhere = server.create_room(who["mod"])
        server.join(who["slow"], elsewhere)
        hasty = observer(monkeypatch, server, who["slow"].token, address, opened, join=True)
        signal = (await hasty.read()).observation.signal
        assert (signal.kind, signal.fault, signal.status) == (
            Kind.ERROR,
            Fault.RATE_LIMITED,
            429,
        )
        assert inside() == {who["mod"].id}

    async with door() as opened:
        entered = observer(monkeypatch, server, who["obs"].token, address, opened, join=True)
        found = await entered.read()
        assert found.observation.signal.kind is Kind.ALIVE
        assert list(entered.texts.values()) == ["come in"]
        assert inside() == {who["mod"].id, who["obs"].id}


async def test_a_blocked_room_names_the_operator_even_to_a_stranger(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one reading call that tells of a block; without it we would have to try to join."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias)
    block = f"/_synapse/admin/v1/rooms/{room}/block"
    server.ok("PUT", block, server.admin.token, {"block": True})
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        signal = (await seen.read()).observation.signal
    assert (signal.kind, signal.causes) == (Kind.GONE, PLATFORM)
    assert signal.words == "This room has been blocked on this server"


async def test_an_upgraded_room_has_moved_and_lost_nothing(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move counted as censorship would be the most common false alarm of all."""
    who = people(server, alias, "mod", "obs")
    room = server.create_room(who["mod"], alias, room_version="10")
    server.join(who["obs"], room)
    event = server.send(who["mod"], room, "we go on elsewhere")
    gone = server.send(who["mod"], room, "without this")
    async with door() as opened:
        seen = observer(monkeypatch, server, who["obs"].token, f"#{alias}:localhost", opened)
        await seen.read()
        server.redact(who["mod"], room, gone)  # in room version 10 `redacts` stands elsewhere
        upgrade = f"/_matrix/client/v3/rooms/{room}/upgrade"
        server.ok("POST", upgrade, who["mod"].token, {"new_version": "12"})
        for _ in range(2):
            signal = (await seen.read()).observation.signal
            assert (signal.kind, signal.causes) == (Kind.MOVED, frozenset({Cause.MOVED}))
            assert seen.signals[gone].kind is Kind.GONE
        await seen.look()
    assert seen.signals[event].kind is Kind.ALIVE


async def test_an_alias_that_never_led_anywhere_is_no_lost_room(
    server: Synapse, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error must not be reported as a removal."""
    user = server.register(f"obs-{alias}")
    async with door() as opened:
        for address in (f"#{alias}:localhost", f"!{alias}:localhost"):
            seen = observer(monkeypatch, server, user.token, address, opened)
            signal = (await seen.read()).observation.signal
            assert signal.kind is Kind.ERROR
