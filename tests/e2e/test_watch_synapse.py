"""The whole watch over a real homeserver: 200 messages, each loss with its causes, none invented.

The test acts as the room's people and as the operator; the watch sees what its observer, one more
ordinary user, may see. All texts are made up here.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import Span, Watched, assert_holds, create, watching
from tests.servers.synapse import Synapse, User, synapse
from vanished.archive.capture import segments
from vanished.archive.verify import verify
from vanished.clock import SystemClock
from vanished.model import Cause, State
from vanished.publish.report import make_report
from vanished.watch.doctor import examine

TOKEN = "VANISHED_TEST_E2E_TOKEN"
NAMES = ("anna", "bert", "carl", "dora", "emil", "fay", "gus", "hugo")
MESSAGES = 200
AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
ACCOUNT = frozenset({Cause.ACCOUNT})

Causes = frozenset[Cause]
Key = Callable[[str], str]

SETTINGS = """
[watch]
concurrency = 16
discover_every_s = 1
look_every_s = [[3600, 3]]
[hosts]
per_second = 500
[net]
allow_networks = ["127.0.0.0/8"]
[judge]
stale_s = 0
[sources.matrix]
server = "{server}"
token_env = "{token}"
join = true
"""


class Room:
    """The public room #news, its people, and what each of them said."""

    def __init__(self, server: Synapse) -> None:
        self.server = server
        self.people: dict[str, User] = {}
        for name in ("mod", "observer", *NAMES):
            self.people[name] = server.register(name)
        self.id = server.create_room(self.people["mod"], "news")
        for name in NAMES:
            server.join(self.people[name], self.id)
        self.sent: dict[str, list[str]] = {name: [] for name in NAMES}

    def say(self, count: int) -> None:
        for number in range(count):
            name = NAMES[number % len(NAMES)]
            text = f"{name} says sentence {len(self.sent[name])}"
            self.sent[name].append(self.server.send(self.people[name], self.id, text))

    def redact(self, by: str, events: list[str], reason: str = "") -> None:
        for event in events:
            self.server.redact(self.people[by], self.id, event, reason)

    def unsettle(self) -> None:
        """Much that costs nobody a post: edits, a reaction taken back, a closed account."""
        server, people, sent = self.server, self.people, self.sent
        for event in sent["dora"][:5]:
            server.edit(people["dora"], self.id, event, "dora now says something else")
        server.edit(people["bert"], self.id, sent["dora"][6], "words put into dora's mouth")
        reaction = server.react(people["hugo"], self.id, sent["hugo"][0], "!")
        server.redact(people["hugo"], self.id, reaction)
        server.deactivate(people["emil"])


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    return tmp_path / "o"


async def test_a_room_is_watched_from_its_first_message_to_its_shutdown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, the operator's hand would pass for the author's, or an edit for a loss."""
    clock = SystemClock()
    with synapse(tmp_path) as server:
        room = Room(server)
        room.say(MESSAGES // 2)
        monkeypatch.setenv(TOKEN, room.people["observer"].token)
        settings = SETTINGS.format(server=server.base_url, token=TOKEN)
        create(folder, settings, [("matrix", "#news:localhost")], clock.now())
        async with watching(folder, clock) as watched:
            (account,) = watched.observatory.account_rows()

            def key(event: str) -> str:
                return watched.observatory.naming("matrix", f"{room.id}/{event}")

            began = clock.now()
            await watched.act(lambda: room.say(MESSAGES - MESSAGES // 2))
            keys = {key(event) for events in room.sent.values() for event in events}
            assert len(keys) == MESSAGES
            await watched.wait_for(
                "200 known alive", lambda: watched.alive_since(keys, began), most_s=90
            )
            assert set(watched.observatory.first_sights()) == keys
            assert watched.verdicts() == {}

            acted, expected = await _first_phase(room, watched, keys, key)
            await _second_phase(room, watched, keys, account.subject, acted, expected)
    report = make_report(folder, since=None, rows=MESSAGES, names=False)
    assert report.lost == report.coverage["posts"] == MESSAGES
    named = Counter(" or ".join(sorted(causes)) for causes in expected.values())
    assert report.causes == {**named, "account": MESSAGES - len(expected)}
    (lost,) = report.accounts_lost
    assert (lost["account"], lost["causes"]) == (account.subject, "platform")
    assert lost["posts"] == MESSAGES - len(expected)
    withheld = {loss.post for loss in report.losses if loss.title is None}
    assert withheld == {k for k, causes in expected.items() if Cause.AUTHOR in causes}
    assert examine(folder) == []
    proof = verify(folder)
    assert proof.sound, proof.text()
    kept = b"".join(gzip.decompress(path.read_bytes()) for path in segments(folder / "captures"))
    assert kept.count(b"Authorization: [withheld]") >= len(keys)
    assert room.people["observer"].token.encode() not in kept


async def _first_phase(
    room: Room, watched: Watched, keys: set[str], key: Key
) -> tuple[dict[str, Span], dict[str, Causes]]:
    """Redactions of three kinds among much else: each is found, with its causes, and no other."""
    sent, server, people = room.sent, room.server, room.people
    own, moderated = sent["anna"][:10], sent["bert"][5:15]
    acts = (
        (own, AUTHOR_OR_OPERATOR, lambda: room.redact("anna", own)),
        (moderated, PLATFORM, lambda: room.redact("mod", moderated, "against rule 3")),
        (
            sent["carl"],
            AUTHOR_OR_OPERATOR,
            lambda: server.redact_all(people["carl"], room.id, "spam wave"),
        ),
    )
    acted: dict[str, Span] = {}
    expected: dict[str, Causes] = {}
    for events, causes, work in acts:
        span = await watched.act(work)
        acted |= dict.fromkeys(map(key, events), span)
        expected |= dict.fromkeys(map(key, events), causes)
    after = (await watched.act(room.unsettle)).until
    edited = {key(event) for event in sent["dora"][:5]}

    def settled() -> bool:
        found = watched.verdicts()
        gone = {subject for subject, verdict in found.items() if verdict.state is State.GONE}
        return (
            gone >= set(expected)
            and watched.alive_since(keys - set(expected), after)
            and all(watched.versions()[k] == 2 for k in edited)
        )

    await watched.wait_for("redactions judged, the others seen again", settled, most_s=90)
    found = watched.verdicts()
    assert {k: (v.state, v.causes) for k, v in found.items()} == {
        k: (State.GONE, causes) for k, causes in expected.items()
    }
    for k, span in acted.items():
        assert_holds(found[k], span)
        assert found[k].explained_by is None
    assert {found[key(event)].words for event in moderated} == {"against rule 3"}
    assert {found[key(event)].words for event in sent["carl"]} == {"spam wave"}
    assert {k for k, n in watched.versions().items() if n > 1} == edited
    assert watched.watch.progress.losses == len(expected)
    assert set(watched.observatory.first_sights()) == keys  # edits and reactions are no posts
    return acted, expected


async def _second_phase(
    room: Room,
    watched: Watched,
    keys: set[str],
    account: str,
    acted: dict[str, Span],
    expected: dict[str, Causes],
) -> None:
    """The room is shut down: one loss of an account, which explains what it took along."""
    before = watched.verdicts()
    admin = room.server.admin.id
    span = await watched.act(
        lambda: room.server.shut_down(room.id, block=True, purge=True, new_room_user_id=admin)
    )

    def all_gone() -> bool:
        found = watched.verdicts()
        return all(k in found and found[k].state is State.GONE for k in {account, *keys})

    # Mostly 7 s; a second look that came too early to confirm the first costs a minute more.
    await watched.wait_for("the shutdown judged", all_gone, most_s=90)
    found = watched.verdicts()
    assert set(found) == {account, *keys}
    assert found[account].causes == PLATFORM
    assert_holds(found[account], span)
    for k in keys - set(expected):
        assert found[k].causes == ACCOUNT
        assert found[k].explained_by == account
        assert_holds(found[k], span)
    for k, causes in expected.items():
        assert found[k].causes == causes
        assert found[k].interval == before[k].interval
        assert found[k].explained_by is None
        assert_holds(found[k], acted[k])
