"""The whole watch over a real Prosody: 120 messages, each loss with its causes, none invented.

People act through slixmpp, the operator inside the server, which is restarted in between; the watch
sees what its observer, one more ordinary account that never enters the room, may see. All texts are
made up here.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e import Span, Watched, assert_holds, create, watching
from tests.servers.prosody import PASSWORD, Prosody, prosody
from tests.servers.xmpp_people import Person, person, room
from vanished.archive.capture import segments
from vanished.archive.verify import verify
from vanished.clock import SystemClock
from vanished.model import Cause, State
from vanished.publish.report import make_report
from vanished.watch.doctor import examine

VARIABLE = "VANISHED_TEST_E2E_PASSWORD"
PLACE = room("news")
NAMES = ("anna", "bert", "carl", "dora")
MESSAGES = 120
PURGED = 3
AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})
ACCOUNT = frozenset({Cause.ACCOUNT})

Causes = frozenset[Cause]

SETTINGS = """
[watch]
concurrency = 8
discover_every_s = 1
look_every_s = [[3600, 3]]
[hosts]
per_second = 500
[net]
allow_networks = ["127.0.0.0/8"]
timeout_s = 5
[judge]
stale_s = 0
[sources.xmpp]
server = "{server}"
account = "observer@localhost"
password_env = "{variable}"
plain = true
"""


async def _act(clock: SystemClock, work: Callable[[], Awaitable[None]]) -> Span:
    since = clock.now()
    await work()
    return Span(since, clock.now())


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv(VARIABLE, PASSWORD)
    return tmp_path / "o"


class Talk:
    """The room, its people, and what each of them said, by stanza-id."""

    def __init__(self, server: Prosody) -> None:
        self.server = server
        self.people: dict[str, Person] = {}
        self.sent: dict[str, list[str]] = {name: [] for name in NAMES}
        self._stack = AsyncExitStack()

    async def come(self) -> None:
        """All log in and enter; anna is first, so she owns the room."""
        for name in NAMES:
            self.people[name] = await self._stack.enter_async_context(person(self.server, name))
            await self.people[name].enter(PLACE)

    async def go(self) -> None:
        await self._stack.aclose()

    async def say(self, count: int) -> None:
        for number in range(count):
            name = NAMES[number % len(NAMES)]
            text = f"{name} says sentence {len(self.sent[name])}"
            self.sent[name].append(await self.people[name].say(PLACE, text))


async def test_a_room_is_watched_from_its_first_message_to_its_destruction(
    folder: Path, tmp_path: Path
) -> None:
    """Without this, a restart would pass for a purge, or a moderator's hand for an author's."""
    clock = SystemClock()
    (tmp_path / "prosody").mkdir()
    with prosody(tmp_path / "prosody") as server:
        server.account("observer")
        talk = Talk(server)
        try:
            await talk.come()
            await talk.say(MESSAGES // 2)
            settings = SETTINGS.format(server=server.bosh, variable=VARIABLE)
            create(folder, settings, [("xmpp", PLACE)], clock.now())
            async with watching(folder, clock) as watched:
                (account,) = watched.observatory.account_rows()
                await talk.say(MESSAGES - MESSAGES // 2)
                expected = await _watched(talk, watched, clock, account.subject)
        finally:
            await talk.go()
    report = make_report(folder, since=None, rows=MESSAGES, names=False)
    assert report.coverage["posts"] == MESSAGES
    (lost,) = report.accounts_lost
    assert (lost["account"], lost["causes"]) == (account.subject, "author or platform")
    named = Counter(" or ".join(sorted(causes)) for causes in expected.values())
    assert report.causes["account"] >= MESSAGES - sum(named.values()) - PURGED
    assert {causes: n for causes, n in report.causes.items() if causes != "account"} == named
    assert examine(folder) == []
    proof = verify(folder)
    assert proof.sound, proof.text()
    kept = b"".join(gzip.decompress(path.read_bytes()) for path in segments(folder / "captures"))
    assert kept.count(b"says sentence") >= MESSAGES
    assert b"urn:ietf:params:xml:ns:xmpp-sasl" not in kept
    assert PASSWORD.encode() not in kept


async def _watched(
    talk: Talk, watched: Watched, clock: SystemClock, account: str
) -> dict[str, Causes]:
    def key(ident: str) -> str:
        return watched.observatory.naming("xmpp", f"{PLACE}/{ident}")

    keys = {key(ident) for idents in talk.sent.values() for ident in idents}
    began = clock.now()
    await watched.wait_for("all known alive", lambda: watched.alive_since(keys, began), most_s=30)
    assert set(watched.observatory.first_sights()) == keys
    assert watched.verdicts() == {}

    await _restart(talk, watched, clock, keys)
    acted, expected = await _removals(talk, clock, key)
    purged = {key(ident) for ident in talk.sent["dora"][:PURGED]}
    after = clock.now()

    def settled() -> bool:
        found = watched.verdicts()
        gone = {subject for subject, verdict in found.items() if verdict.state is State.GONE}
        others = keys - set(expected) - purged
        return gone >= set(expected) and purged <= set(found) and watched.alive_since(others, after)

    await watched.wait_for("removals judged, the others seen again", settled, most_s=40)
    found = watched.verdicts()
    assert {k: (v.state, v.causes) for k, v in found.items()} == {
        **{k: (State.GONE, causes) for k, causes in expected.items()},
        **dict.fromkeys(purged, (State.SUSPECTED, UNKNOWN)),  # it has to last for hours
    }
    for k, span in acted.items():
        assert_holds(found[k], span)
    assert {found[key(i)].words for i in talk.sent["bert"][10:15]} == {"against rule 3"}
    assert watched.watch.progress.losses == len(expected)
    assert watched.watch.progress.returned == 0
    await _destroyed(talk, watched, clock, keys - purged, account, expected)
    return expected


async def _restart(talk: Talk, watched: Watched, clock: SystemClock, keys: set[str]) -> None:
    """Down for a while and up again: failed looks, and nothing else."""
    await talk.go()
    await asyncio.to_thread(talk.server.stop)
    failed = watched.watch.progress.failed
    await watched.wait_for(
        "looks at a server that is down", lambda: watched.watch.progress.failed > failed, most_s=20
    )
    await asyncio.to_thread(talk.server.start)
    up = clock.now()
    await talk.come()
    # A failed look is asked again half a minute later, or more if it failed more often.
    await watched.wait_for("all seen again", lambda: watched.alive_since(keys, up), most_s=100)
    assert watched.verdicts() == {}


async def _removals(
    talk: Talk, clock: SystemClock, key: Callable[[str], str]
) -> tuple[dict[str, Span], dict[str, Causes]]:
    """Retractions, moderation, a purge, and much that costs nobody a message."""
    sent, people = talk.sent, talk.people
    acted: dict[str, Span] = {}
    expected: dict[str, Causes] = {}

    async def retract() -> None:
        for number, ident in enumerate(sent["bert"][:10]):
            await people["bert"].retract(PLACE, ident, version=number % 2)

    async def moderate() -> None:
        for ident in sent["bert"][10:15]:
            await people["anna"].moderate(PLACE, ident, "against rule 3")

    async def moderate_own() -> None:
        for ident in sent["anna"][:3]:
            await people["anna"].moderate(PLACE, ident)

    async def in_her_name() -> None:
        for ident in sent["carl"][:3]:
            await asyncio.to_thread(talk.server.retract_as, f"{PLACE}/carl", ident)

    for idents, causes, work in (
        (sent["bert"][:10], AUTHOR_OR_OPERATOR, retract),
        (sent["bert"][10:15], PLATFORM, moderate),
        (sent["anna"][:3], AUTHOR_OR_OPERATOR, moderate_own),
        (sent["carl"][:3], AUTHOR_OR_OPERATOR, in_her_name),
    ):
        span = await _act(clock, work)
        acted |= dict.fromkeys(map(key, idents), span)
        expected |= dict.fromkeys(map(key, idents), causes)
    for ident in sent["dora"][:PURGED]:
        await asyncio.to_thread(talk.server.purge, PLACE, ident)
    for ident in sent["dora"][5:8]:
        await people["carl"].retract(PLACE, ident)  # not his to take back
    await people["anna"].kick(PLACE, "dora")
    return acted, expected


async def _destroyed(
    talk: Talk,
    watched: Watched,
    clock: SystemClock,
    keys: set[str],
    account: str,
    expected: dict[str, Causes],
) -> None:
    """The room is destroyed: one loss of an account, which explains what it took along.

    What was purged before stays in doubt meanwhile, and is not among `keys`.
    """
    before = watched.verdicts()

    async def destroy() -> None:
        await talk.people["anna"].destroy(PLACE, "we had enough")

    span = await _act(clock, destroy)

    def all_gone() -> bool:
        found = watched.verdicts()
        return all(k in found and found[k].state is State.GONE for k in {account, *keys})

    await watched.wait_for("the destruction judged", all_gone, most_s=60)
    found = watched.verdicts()
    assert (found[account].causes, found[account].words) == (AUTHOR_OR_OPERATOR, "we had enough")
    assert_holds(found[account], span)
    for k in keys - set(expected):
        assert found[k].causes == ACCOUNT
    for k, causes in expected.items():
        assert found[k].causes == causes
        assert found[k].interval == before[k].interval
