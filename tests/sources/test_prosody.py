"""The XMPP source against a real server: who took each message, and no false loss.

People act through slixmpp, the operator inside the server; the source sees only what its observer,
one more ordinary account or a guest, may see. All texts are made up here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.servers.prosody import ANONYMOUS, PASSWORD, Prosody, prosody
from tests.servers.xmpp_people import Person, person, room
from vanished.clock import SystemClock
from vanished.model import Account, Cause, Discovery, Fault, Kind, Post, Sighting, Signal, Strength
from vanished.net.door import Door, DoorSettings
from vanished.net.fetcher import Fetcher
from vanished.net.politeness import Politeness
from vanished.sources.xmpp import XmppSource

AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})
VARIABLE = "VANISHED_TEST_XMPP_PASSWORD"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    with prosody(tmp_path_factory.mktemp("xmpp")) as started:
        started.account("observer")
        yield started


@pytest.fixture
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A room of this test's own."""
    monkeypatch.setenv(VARIABLE, PASSWORD)
    return room("r" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8])


def name(platform: str, native_id: str) -> str:
    return hashlib.sha256(f"{platform}\0{native_id}".encode()).hexdigest()[:16]


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10)
    async with Door(settings, SystemClock(), Politeness(100_000)) as opened:
        yield opened


@dataclass
class Observer:
    """What a watch would keep: the cursor, the posts, and the latest answer about each."""

    source: XmppSource
    account: Account
    fetch: Fetcher
    cursor: str = ""
    posts: dict[str, Post] = field(default_factory=dict)  # by stanza-id
    signals: dict[str, Signal] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    async def read(self) -> Discovery:
        found = await self.source.discover(self.account, self.cursor, self.fetch)
        self.cursor = found.cursor or self.cursor
        for sighting in found.sightings:
            self._keep(sighting)
        return found

    async def look(self) -> dict[str, Signal]:
        """The signal of every known post, by its stanza-id."""
        idents = list(self.posts)
        for start in range(0, len(idents), self.source.batch):
            some = idents[start : start + self.source.batch]
            looks = await self.source.look([self.posts[ident] for ident in some], self.fetch)
            for ident, look in zip(some, looks, strict=True):
                self.signals[ident] = look.observation.signal
                if look.version:
                    self.texts[ident] = look.version.text
        return self.signals

    def _keep(self, sighting: Sighting) -> None:
        ident = sighting.post.native_id.rpartition("/")[2]
        assert sighting.observation is not None
        known = self.posts.get(ident, sighting.post)
        if sighting.version:
            known = replace(known, version=sighting.version.hash)
            self.texts[ident] = sighting.version.text
        self.posts[ident] = known
        self.signals[ident] = sighting.observation.signal


def observer(server: Prosody, place: str, opened: Door, **more: object) -> Observer:
    settings = {
        "server": server.bosh, "account": "observer@localhost", "password_env": VARIABLE,
        "plain": True, **more,
    }  # fmt: skip
    source = XmppSource(name, settings)
    return Observer(source, source.account(place), opened.fetcher())


async def said(who: Person, place: str, count: int) -> list[str]:
    return [await who.say(place, f"{who.name} says sentence {n}") for n in range(count)]


def causes(signals: dict[str, Signal]) -> Counter[str]:
    return Counter(" or ".join(sorted(s.causes)) or s.kind.value for s in signals.values())


async def test_each_message_gets_the_causes_that_its_loss_leaves_open(
    server: Prosody, place: str
) -> None:
    """Otherwise a moderator's hand would pass for the author's, or live messages for lost ones."""
    async with (
        door() as opened, person(server, "anna") as anna, person(server, "bert") as bert,
        person(server, "carl") as carl,
    ):  # fmt: skip
        watch = observer(server, place, opened)
        for who in (anna, bert, carl):  # anna is first, so she owns the room
            await who.enter(place)
        own, others = await said(anna, place, 20), await said(bert, place, 40)
        live = await said(carl, place, 60)
        assert (await watch.read()).observation.signal.kind is Kind.ALIVE
        assert set(watch.posts) == {*own, *others, *live}
        assert causes(await watch.look()) == {"alive": 120}

        expected: dict[str, tuple[frozenset[Cause], str]] = {}
        for number, ident in enumerate(others[:20]):
            await bert.retract(place, ident, version=number % 2)
            expected[ident] = (AUTHOR_OR_OPERATOR, "")
        for ident in others[20:30]:
            await anna.moderate(place, ident, "against rule 3")
            expected[ident] = (PLATFORM, "against rule 3")
        for ident in own[:5]:
            await anna.moderate(place, ident)
            expected[ident] = (AUTHOR_OR_OPERATOR, "")
        for ident in others[30:35]:
            server.purge(place, ident)
            expected[ident] = (UNKNOWN, "")
        for ident in live[:5]:
            await bert.retract(place, ident)  # not his to take back
        await carl.correct(place, "no id of his", "a correction of nothing")
        await carl.say(place, "moderated by a moderator: This message was retracted.")

        await watch.read()
        signals = await watch.look()
        gone = {k: (s.causes, s.words) for k, s in signals.items() if s.gone}
        assert gone == expected
        assert {s.kind for k, s in signals.items() if k not in expected} == {Kind.ALIVE}
        assert {signals[ident].by for ident in others[20:30]} == {"moderator"}
        assert {signals[ident].strength for ident in others[30:35]} == {Strength.WEAK}
        assert watch.texts[others[0]] == "bert says sentence 0"  # kept, though it was taken back


async def test_the_operator_can_take_back_in_an_authors_name(server: Prosody, place: str) -> None:
    """So a retraction is never the author's alone."""
    async with door() as opened, person(server, "dora") as dora:
        await dora.enter(place)
        watch = observer(server, place, opened)
        (ident,) = await said(dora, place, 1)
        await watch.read()
        server.retract_as(f"{place}/dora", ident)
        await watch.read()
        assert watch.signals[ident].causes == AUTHOR_OR_OPERATOR


async def test_a_restart_loses_nothing(server: Prosody, place: str) -> None:
    """A server that is down, or just up again, must not look like one that lost its messages."""
    async with door() as opened:
        watch = observer(server, place, opened)
        async with person(server, "emil") as emil:
            await emil.enter(place)
            idents = await said(emil, place, 30)
            await watch.read()
            assert causes(await watch.look()) == {"alive": 30}
            await emil.retract(place, idents[0])
        server.stop()
        down = (await watch.read()).observation.signal
        assert (down.kind, down.fault) == (Kind.ERROR, Fault.CONNECT)
        assert causes(await watch.look()) == {"error": 30}
        server.start()
        await watch.read()
        assert causes(await watch.look()) == {"alive": 29, "author or platform": 1}


async def test_a_restart_in_the_middle_of_a_visit_is_a_failed_look(
    server: Prosody, place: str
) -> None:
    """The new server knows nothing of the session, and says "item-not-found" of it."""
    async with door() as opened, door() as later:  # whose connections are none of before
        watch = observer(server, place, opened)
        async with person(server, "fay") as fay:
            await fay.enter(place)
            await said(fay, place, 3)
        await watch.read()
        visit = watch.source._visit(watch.account.url, watch.fetch)
        await visit.open()
        server.stop()
        server.start()
        (post, *_) = watch.posts.values()

        async def same_visit() -> None:
            """The visit is open already."""

        visit.fetch = later.fetcher()
        visit.open = same_visit  # type: ignore[method-assign]
        watch.source._visit = lambda url, fetch: visit  # type: ignore[method-assign]
        (look,) = await watch.source.look([post], watch.fetch)
        assert look.observation.signal.kind is Kind.ERROR
        assert "item-not-found" in look.observation.signal.words


async def test_expired_messages_leave_everything_open(server: Prosody, place: str) -> None:
    async with door() as opened, person(server, "gus") as gus:
        await gus.enter(place)
        watch = observer(server, place, opened)
        old = await said(gus, place, 5)
        await asyncio.sleep(1.1)  # the archive counts in seconds
        between = time.time()
        await asyncio.sleep(1.1)
        new = await said(gus, place, 5)
        await watch.read()
        server.expire(place, between)
        await watch.read()
        signals = await watch.look()
        assert {signals[ident].causes for ident in old} == {UNKNOWN}
        assert {signals[ident].kind for ident in new} == {Kind.ALIVE}
        server.expire(place, time.time() + 60)
        assert causes(await watch.look()) == {"unknown": 10}
        assert (await watch.read()).observation.signal.kind is Kind.ALIVE  # the room is there


@pytest.mark.parametrize(
    ("persistent", "venue", "expected"),
    [
        ("1", "", AUTHOR_OR_OPERATOR),
        ("1", "elsewhere@rooms.localhost", AUTHOR_OR_OPERATOR | {Cause.MOVED}),
        ("0", "", UNKNOWN),
    ],
)
async def test_a_destroyed_room_is_one_loss_of_the_room(
    server: Prosody, place: str, persistent: str, venue: str, expected: frozenset[Cause]
) -> None:
    """By its owner or by the operator: a room that is gone does not say by whom."""
    async with door() as opened, person(server, "hugo") as hugo:
        await hugo.enter(place)
        await hugo.configure(place, persistentroom=persistent)
        watch = observer(server, place, opened)
        await said(hugo, place, 3)
        await watch.read()
        await hugo.destroy(place, "we had enough", venue)
        signals = [(await watch.read()).observation.signal, *(await watch.look()).values()]
        assert {signal.causes for signal in signals} == {expected}
        assert all(signal.gone and signal.account_level for signal in signals)
        words = {signal.words for signal in signals}
        assert words == ({"we had enough"} if persistent == "1" else {""})
        never = observer(server, room("never-was"), opened)
        assert (await never.read()).observation.signal.kind is Kind.ERROR


@pytest.mark.parametrize("join", [False, True])
async def test_an_observer_who_is_shut_out_lost_nothing(
    server: Prosody, place: str, join: bool
) -> None:
    """Banned, or left outside when the room became one for members: nothing was removed."""
    async with door() as opened, person(server, "ida") as ida:
        await ida.enter(place)
        watch = observer(server, place, opened, join=join)
        await said(ida, place, 3)
        await watch.read()

        async def shut_out() -> None:
            for signal in ((await watch.read()).observation.signal, *(await watch.look()).values()):
                assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)

        await ida.affiliate(place, "observer@localhost", "outcast")
        await shut_out()
        await ida.affiliate(place, "observer@localhost", "none")
        assert causes(await watch.look()) == {"alive": 3}
        await ida.configure(place, membersonly="1")
        await shut_out()
        await ida.affiliate(place, "observer@localhost", "member")
        assert causes(await watch.look()) == {"alive": 3}


async def test_nobody_in_the_room_sees_the_observer(server: Prosody, place: str) -> None:
    """The archive is read from outside; only `join = true` may show us, and only where it must."""
    async with door() as opened, person(server, "jan") as jan:
        await jan.enter(place)
        seen: list[str] = []
        jan.client.add_event_handler("presence", lambda p: seen.append(str(p["from"])))
        await said(jan, place, 2)
        for join in (False, True):
            watch = observer(server, place, opened, join=join)
            await watch.read()
            assert causes(await watch.look()) == {"alive": 2}
        await said(jan, place, 1)  # its echo comes after whatever presence there was
        assert [who for who in seen if who.startswith(place)] == []


async def test_a_guest_reads_what_an_account_reads(server: Prosody, place: str) -> None:
    async with door() as opened, person(server, "kai") as kai:
        await kai.enter(place)
        idents = await said(kai, place, 2)
        watch = observer(server, place, opened, account=ANONYMOUS)
        await watch.read()
        assert set(watch.posts) == set(idents)


async def test_the_password_is_in_no_evidence(
    server: Prosody, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures are shown to others; nothing in them may log anybody in."""
    async with door() as opened, person(server, "lea") as lea:
        await lea.enter(place)
        await said(lea, place, 2)
        watch = observer(server, place, opened)
        await watch.read()
        await watch.look()
        kept = [
            b"".join((leg.sent_body, leg.body)) for e in watch.fetch.exchanges for leg in e.legs
        ]
        assert len(kept) == 2
        for secret in (b"urn:ietf:params:xml:ns:xmpp-sasl", PASSWORD.encode()):
            assert not any(secret in each for each in kept)
        assert all(b"lea says sentence" in each for each in kept)

        monkeypatch.setenv(VARIABLE, "a wrong password")
        signal = (await watch.read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.FORBIDDEN)
        assert VARIABLE in signal.words


async def test_a_server_that_takes_passwords_only_as_they_are(place: str, tmp_path: Path) -> None:
    """Some keep no form of the password that SCRAM can use."""
    with prosody(
        tmp_path, more='disable_sasl_mechanisms = { "SCRAM-SHA-1", "SCRAM-SHA-256" }'
    ) as own:
        own.account("observer")
        async with door() as opened, person(own, "max") as somebody:
            await somebody.enter(place)
            await said(somebody, place, 1)
            watch = observer(own, place, opened)
            await watch.read()
            assert causes(watch.signals) == {"alive": 1}
            plain = base64.b64encode(f"\0observer\0{PASSWORD}".encode())
            assert not any(plain in leg.sent_body for e in watch.fetch.exchanges for leg in e.legs)
