"""The Bluesky source against a real network: who took each post, and no false loss.

Everything is done by ordinary users and by the operators of host and AppView through the servers'
own interfaces; the source sees only what anybody may see. All texts are made up here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e import create, watching
from tests.servers.atproto import Network, User, needs_network, network
from vanished.clock import SystemClock
from vanished.model import (
    SECOND,
    Account,
    Cause,
    Discovery,
    Fault,
    Kind,
    Observation,
    Post,
    Signal,
    Strength,
)
from vanished.net.door import Door, DoorSettings
from vanished.net.fetcher import Fetcher
from vanished.net.politeness import Politeness
from vanished.net.stream import Stream
from vanished.sources import at_identity, at_repo
from vanished.sources.at_firehose import Follower
from vanished.sources.bluesky import BlueskySource
from vanished.sources.streaming import Hint
from vanished.watch.doctor import examine

AUTHOR_OR_PLATFORM = frozenset({Cause.AUTHOR, Cause.PLATFORM})
PLATFORM = frozenset({Cause.PLATFORM})
ALIVE: tuple[str, frozenset[Cause]] = ("", frozenset())


@pytest.fixture(scope="module")
def server() -> Iterator[Network]:
    with network() as started:
        yield started


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8", "::1/128"))
    async with Door(settings, SystemClock(), Politeness(100_000)) as opened:
        yield opened


def name(platform: str, native_id: str) -> str:
    return hashlib.sha256(f"{platform}\0{native_id}".encode()).hexdigest()[:16]


@dataclass
class Observer:
    """What a watch would keep of one account: the cursor, the posts, the latest answers."""

    source: BlueskySource
    account: Account
    opened: Door
    cursor: str = ""
    posts: dict[str, Post] = field(default_factory=dict)  # by address
    signals: dict[str, Signal] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    last: Fetcher | None = None

    async def read(self) -> Discovery:
        found = await self.source.discover(self.account, self.cursor, self.opened.fetcher())
        self.cursor = found.cursor
        for sighting in found.sightings:
            assert sighting.observation is not None
            self.posts[sighting.post.native_id] = sighting.post
            self.signals[sighting.post.native_id] = sighting.observation.signal
            if sighting.version:
                self.texts[sighting.post.native_id] = sighting.version.text
        return found

    async def look(self) -> dict[str, tuple[str, frozenset[Cause]]]:
        """Look at every post; the rule (without pack and version) and the causes of each."""
        posts = list(self.posts.values())
        for start in range(0, len(posts), self.source.batch):
            part = posts[start : start + self.source.batch]
            self.last = self.opened.fetcher()
            for post, look in zip(part, await self.source.look(part, self.last), strict=True):
                assert look.observation.subject == post.key
                self.signals[post.native_id] = look.observation.signal
        return {uri: said(signal) for uri, signal in self.signals.items()}


def said(signal: Signal) -> tuple[str, frozenset[Cause]]:
    assert signal.kind in (Kind.ALIVE, Kind.GONE), signal
    return signal.rule.partition("/")[2].partition("@")[0], signal.causes


def observer(server: Network, who: User | str, opened: Door, **more: object) -> Observer:
    source = BlueskySource(name, {"appview": server.bsky, "plc": server.plc, **more})
    address = who if isinstance(who, str) else who.handle
    return Observer(source, source.account(address), opened)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return "u" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", None)])
def test_a_network_that_cannot_be_installed_is_said_and_never_half_used(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    ci: str,
    outcome: type[BaseException] | None,
) -> None:
    """A green run that silently tested nothing, or tested half an install, would be worth less."""
    needs_network()  # so that what is missing here is npm alone
    cache = tmp_path_factory.mktemp("cache")
    programs = tmp_path_factory.mktemp("programs")
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\necho 'it broke' >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    with pytest.raises(outcome or pytest.fail.Exception, match=r"'npm ci' .* failed: it broke"):
        needs_network()
    kept = {path.suffix for path in (cache / "vanished" / "peers").iterdir()}
    assert kept == {".lock", ".unfinished"}


async def test_each_post_gets_the_causes_that_its_loss_leaves_open(
    server: Network, prefix: str
) -> None:
    """Without this, a moderator's takedown would be put down to the author, or the other way."""
    ann, bob = server.register(f"ann-{prefix}"), server.register(f"bob-{prefix}")
    posts = [server.post(ann, f"sentence {number}") for number in range(60)]
    notice = "Post not found. This post was deleted by the moderators. AccountTakedown"
    posts.append(server.post(ann, notice))  # a trap: it only quotes notices
    server.repost(ann, server.post(bob, "a sentence of another"))
    server.settle()
    async with door() as opened:
        seen = observer(server, ann, opened)
        first = await seen.read()
        assert first.observation.signal.kind is Kind.ALIVE
        assert set(seen.posts) == set(posts)  # and not the other's, which is only repeated
        assert seen.texts[posts[3]] == "sentence 3"
        assert set((await seen.look()).values()) == {ALIVE}

        deleted, hidden, both, labelled = posts[:5], posts[5:10], posts[10:15], posts[15:20]
        suspended, covered, host_only = posts[20], posts[21:23], posts[23:25]
        for uri in [*hidden, *both]:
            server.take_down(server.bsky, server.ref(uri))
        for uri in [*both, *host_only]:
            server.take_down(server.pds, server.ref(uri))
        for uri in deleted:
            server.delete(ann, uri)
        for uri in labelled:
            server.label(uri, "!takedown")
        server.label(suspended, "!suspend")
        server.label(covered[0], "!hide")
        server.label(covered[1], "!warn")
        server.label(posts[25], "!takedown", by="did:plc:" + "a" * 24)  # of a strange labeler
        server.label(posts[26], "porn")
        server.label(posts[27], "!takedown")
        server.label(posts[27], "!takedown", off=True)  # taken back
        server.settle()

        expected = dict.fromkeys(posts, ALIVE)
        expected |= dict.fromkeys(deleted, ("deleted-from-repository", AUTHOR_OR_PLATFORM))
        expected |= dict.fromkeys(hidden, ("hidden-by-appview", PLATFORM))
        expected |= dict.fromkeys(both, ("withheld-by-host", PLATFORM))
        expected |= dict.fromkeys([*labelled, suspended], ("label-takedown", PLATFORM))
        assert await seen.look() == expected
        weak = {uri for uri, s in seen.signals.items() if s.strength is Strength.WEAK}
        assert weak == set(hidden)  # an AppView that lags answers alike
        assert seen.signals[covered[0]].words == "labelled !hide"
        assert seen.signals[covered[1]].words == "labelled !warn"
        assert seen.signals[posts[25]].words == ""

        # The proof is among the exchanges that a capture keeps: document, word, signed file.
        seen.posts = {uri: seen.posts[uri] for uri in both[:1]}
        await seen.look()
        assert seen.last is not None
        asked = [exchange.url.partition("?")[0] for exchange in seen.last.exchanges]
        for part in (ann.did, "com.atproto.repo.getRecord", "com.atproto.sync.getRecord"):
            assert any(part in url for url in asked), asked

        strict = observer(server, ann, opened, ask_host=True)
        await strict.read()
        found = await strict.look()
        taken = ("withheld-by-host-alone", PLATFORM)
        assert {uri for uri, what in found.items() if what == taken} == set(host_only)
        assert {what for uri, what in found.items() if uri not in host_only} == {ALIVE}

        for uri in hidden:
            server.take_down(server.bsky, server.ref(uri), back=True)
        await seen.read()
        assert {seen.signals[uri].kind for uri in hidden} == {Kind.ALIVE}


async def test_a_whole_repository_proves_each_record_that_it_holds(
    server: Network, prefix: str
) -> None:
    """The file that a person can download and keep has to prove as much as the single answers."""
    ann = server.register(f"ann-{prefix}")
    posts = [server.post(ann, f"sentence {number}") for number in range(80)]
    server.take_down(server.pds, server.ref(posts[0]))
    server.delete(ann, posts[1])
    async with door() as opened:
        fetch = opened.fetcher()
        document = await fetch.request("GET", f"{server.plc}/{ann.did}")
        identity = at_identity.read_document(json.loads(document.body), ann.did)
        assert identity is not None
        url = f"{server.pds}/xrpc/com.atproto.sync.getRepo?did={ann.did}"
        repository = (await fetch.request("GET", url)).body
    for number, uri in enumerate(posts):
        path = f"app.bsky.feed.post/{uri.rpartition('/')[2]}"
        proof = at_repo.prove(repository, ann.did, path, identity.keys)
        assert proof.held == (number != 1)
        assert proof.record is None or proof.record["text"] == f"sentence {number}"


async def test_a_list_shows_what_is_new_and_says_since_when_it_is_whole(
    server: Network, prefix: str
) -> None:
    """A list that claims too much would send a question for each old post at every reading."""
    ann = server.register(f"ann-{prefix}")
    old = [server.post(ann, f"old {number}") for number in range(130)]
    server.settle()
    async with door() as opened:
        seen = observer(server, ann, opened)
        await seen.read()
        assert set(seen.posts) == set(old)
        quote = {"$type": "app.bsky.embed.record", "record": server.ref(old[0])}
        new = server.post(ann, "new, about the first", embed=quote)
        lost = server.post(ann, "posted and deleted")
        server.settle()
        server.delete(ann, lost)
        server.settle()
        found = await seen.read()
        assert set(seen.posts) == {*old, new}
        assert seen.posts[new].repeats == old[0]
        assert found.complete_since is not None
        (latest,) = [s.post for s in found.sightings if s.post.native_id == new]
        assert latest.published_at is not None
        assert latest.published_at > found.complete_since


ACCOUNTS = [
    ("host", "account-taken-down-by-host", PLATFORM, Strength.STRONG, "host"),
    ("appview", "account-taken-down", PLATFORM, Strength.STRONG, "appview"),
    ("label", "account-taken-down", PLATFORM, Strength.STRONG, "appview"),
    ("author sleeps", "account-deactivated", AUTHOR_OR_PLATFORM, Strength.STRONG, "host"),
    ("put to sleep", "account-deactivated", AUTHOR_OR_PLATFORM, Strength.STRONG, "host"),
    ("deleted", "repository-deleted", AUTHOR_OR_PLATFORM, Strength.WEAK, "host"),
    ("deleted by itself", "repository-deleted", AUTHOR_OR_PLATFORM, Strength.WEAK, "host"),
    ("tombstone", "identity-tombstoned", AUTHOR_OR_PLATFORM, Strength.STRONG, "directory"),
]


@pytest.mark.parametrize(("how", "rule", "causes", "strength", "by"), ACCOUNTS)
async def test_a_lost_account_is_told_by_what_its_servers_say(
    server: Network,
    prefix: str,
    how: str,
    rule: str,
    causes: frozenset[Cause],
    strength: Strength,
    by: str,
) -> None:
    """A suspension is the platform's; sleep and deletion are open, since operators do both too."""
    ann = server.register(f"ann-{prefix}")
    uri = server.post(ann, "the last sentence")
    server.settle()
    async with door() as opened:
        seen = observer(server, ann, opened)
        await seen.read()
        assert await seen.look() == {uri: ALIVE}
        match how:
            case "host":
                server.take_down(server.pds, ann.did)
            case "appview":
                server.take_down(server.bsky, ann.did)
            case "label":
                server.label(ann.did, "!takedown")
            case "author sleeps":
                server.deactivate(ann)
            case "put to sleep":
                server.put_to_sleep(ann)
            case "deleted":
                server.remove_account(ann)
            case "deleted by itself":
                server.close_account(ann)
            case "tombstone":
                server.remove_account(ann)
                server.tombstone(ann)
        server.settle()
        signal = (await seen.read()).observation.signal
        assert said(signal) == (rule, causes)
        assert (signal.strength, signal.by, signal.account_level) == (strength, by, True)
        assert ann.did not in signal.words
        assert ann.handle not in signal.words
        assert await seen.look() == {uri: (rule, causes)}
        assert seen.signals[uri].account_level
        if how in ("host", "appview"):
            base = server.pds if how == "host" else server.bsky
            server.take_down(base, ann.did, back=True)
        elif how == "label":
            server.label(ann.did, "!takedown", off=True)
        elif how == "author sleeps":
            server.activate(ann)
        else:
            return
        server.settle()
        assert (await seen.read()).observation.signal.kind is Kind.ALIVE
        assert await seen.look() == {uri: ALIVE}


async def test_an_account_that_changes_its_handle_is_still_the_same(
    server: Network, prefix: str
) -> None:
    """A handle is a name on a door; who lives there is told by the DID."""
    ann = server.register(f"ann-{prefix}")
    uri = server.post(ann, "a sentence")
    server.settle()
    async with door() as opened:
        seen, other = observer(server, ann, opened), observer(server, ann.did, opened)
        await seen.read()
        server.rename(ann, f"bea-{prefix}.test")
        cat = server.register(f"ann-{prefix}-2")
        server.rename(cat, ann.handle)  # somebody else moves in under the old name
        server.settle()
        assert (await seen.read()).observation.signal.kind is Kind.ALIVE
        await other.read()
        assert await seen.look() == await other.look() == {uri: ALIVE}


async def test_what_nobody_knows_is_a_failed_look(server: Network, prefix: str) -> None:
    """A misspelt handle, or a host that is away, would else be an account that was taken away."""
    ann = server.register(f"ann-{prefix}")
    server.post(ann, "a sentence")
    server.settle()
    async with door() as opened:
        nobody = observer(server, "nobody-at-all.test", opened)
        signal = (await nobody.read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)
        assert "spelt" in signal.words
        seen = observer(server, ann, opened)
        await seen.read()
        (post,) = seen.posts.values()
        away = BlueskySource(name, {"appview": server.bsky, "plc": "http://localhost:1"})
        never = f"at://{ann.did}/app.bsky.feed.post/3kaaaaaaaaaaa"
        posts = [post, Post("never", "a", "bluesky", never, post.url)]
        alive, lost = [look.observation.signal for look in await away.look(posts, opened.fetcher())]
        assert alive.kind is Kind.ALIVE
        assert said(lost) == ("post-not-found", frozenset({Cause.UNKNOWN}))
        assert lost.strength is Strength.WEAK


async def test_the_stream_hints_at_what_changes_and_proves_nothing(
    server: Network, prefix: str
) -> None:
    """A hint saves hours of not knowing; a hint that counted as a loss could be invented."""
    ann, bob = server.register(f"ann-{prefix}"), server.register(f"bob-{prefix}")
    kept = server.post(ann, "it stays")
    base = server.pds.replace("http", "ws", 1)
    follower, hints = Follower({ann.did}, 0, base), list[Hint]()  # from the first change on

    def act() -> str:
        server.post(bob, "not of interest")
        lost = server.post(ann, "it goes")
        server.take_down(server.pds, server.ref(kept))  # which no stream tells
        server.delete(ann, lost)
        server.deactivate(ann)
        return lost

    lost = await asyncio.to_thread(act)
    started = time.monotonic()
    async with door() as opened:
        stream = Stream(opened, random.Random(1), quiet_s=20)
        async with aclosing(stream.messages(follower.url, lambda: None)) as messages:
            async for hint in follower.hints(messages):
                hints.append(hint)
                if hint.said == "deactivated":
                    break
    assert stream.end is None
    print(f"{follower.seq} messages read in {time.monotonic() - started:.2f} s")
    posts = [(hint.post, hint.said) for hint in hints if hint.post]
    assert posts == [(kept, "create"), (lost, "create"), (lost, "delete")]
    assert {hint.account for hint in hints} == {ann.did}
    assert (hints[-1].post, follower.words, follower.unreadable) == ("", "", 0)
    assert follower.told_at is not None


STREAMED = """
[watch]
discover_every_s = 100000
look_every_s = [[1e9, 100000]]
[hosts]
per_second = 1000
[net]
allow_networks = ["127.0.0.0/8", "::1/128"]
[sources.bluesky]
appview = "{bsky}"
plc = "{plc}"
stream = "{stream}"
"""


async def test_a_deletion_on_the_stream_of_a_real_host_leads_to_a_look_at_once(
    server: Network, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its date the post would be asked again in more than a day."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    user = server.register(f"ann-{prefix}")
    uris = [server.post(user, f"sentence {number}") for number in range(3)]
    server.settle()
    stream = server.pds.replace("http", "ws", 1)
    folder, clock = tmp_path / "o", SystemClock()
    settings = STREAMED.format(bsky=server.bsky, plc=server.plc, stream=stream)
    create(folder, settings, [("bluesky", user.handle)], clock.now())
    async with watching(folder, clock) as watched:

        def connected() -> bool:
            states = [e.facts["state"] for e in watched.events if e.kind == "stream"]
            return states[-1:] == ["connected"]

        def sights() -> int:
            return len(watched.observatory.first_sights())

        await watched.wait_for("the stream and the list", lambda: connected() and sights() == 3, 30)
        naming = watched.observatory.naming
        key = naming("bluesky", uris[1])

        def looks() -> list[Observation]:
            return watched.observatory.case(key)

        def asked_at() -> list[int]:
            query = "select asked_at from observations where subject = ? and via = 'direct'"
            with watched.observatory.past() as past:
                return sorted(at for (at,) in past.execute(query, [key]).fetchall())

        began = clock.now()
        await watched.act(lambda: server.delete(user, uris[1]))
        await watched.wait_for("a look that says gone", lambda: bool(looks()), 45)
        (gone,) = [seen for seen in looks() if seen.signal.gone][:1]
        first_s, gone_s = [(at - began) / SECOND for at in (asked_at()[0], gone.asked_at)]
        print(f"asked {first_s:.2f} s after the deletion was begun; seen gone {gone_s:.2f} s after")
        assert 0 < first_s < 5
        assert gone_s < 40  # where the AppView lags behind its host: the second time
        rows = watched.observatory.post_rows_by_key([naming("bluesky", uri) for uri in uris])
        assert [row.subject for row in rows.values() if row.track.gone_looks] == [key]
        began = clock.now()
        await watched.act(lambda: uris.append(server.post(user, "sentence 4")))
        await watched.wait_for("the new post", lambda: sights() == 4, 45)
        print(f"a new post was met {(clock.now() - began) / SECOND:.2f} s after it was begun")
    assert examine(folder) == []
