"""What leaves evidence: all that is new, nothing that is known; else proof has gaps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.archive.seized import traces
from tests.needs import needs_shared
from vanished.archive.capture import (
    Read,
    check_capture,
    identities,
    new_identity,
    read_segment,
    segments,
)
from vanished.archive.erasing import erase
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Entry, Evidence, PostRow, Track
from vanished.archive.settings import FILE
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.lab.clock import SteppedClock
from vanished.lab.month import create, watch_world
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM, LabSource
from vanished.lab.world import World
from vanished.model import (
    ABSENT,
    ALIVE,
    DAY,
    MINUTE,
    Account,
    Cause,
    Fault,
    Kind,
    Look,
    Observation,
    Post,
    Signal,
    Version,
    Via,
    failed,
)
from vanished.net.exchange import Exchange, Fetch, Leg
from vanished.sources import Source
from vanished.watch.absorb import digest
from vanished.watch.evidence import Gathering, worth
from vanished.watch.importing import take_over
from vanished.watch.live import build_watch, open_door

GONE = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), rule="t/violation@1", words="违规")
OTHER = Signal(Kind.GONE, frozenset({Cause.UNKNOWN}), rule="http/404@1")
NEW = Version("b" * 64, "new", "new words")
OLD = Version("a" * 64, "old", "old words")
DIRECT, LIST = Via.DIRECT, Via.TIMELINE


def seen(signal: Signal, via: Via = DIRECT) -> Observation:
    return Observation("post", 10, 20, signal, via)


def post(version: str = "", **track: Any) -> PostRow:
    made = Post("post", "account", "page", "1", "https://a.example/1", version=version)
    return PostRow(1, made, 1, Track(**track))


KNOWN: dict[str, Any] = {"version": OLD.hash, "alive_looks": 9, "proven": True}


@pytest.mark.parametrize(
    ("row", "observation", "version", "why"),
    [
        (post(), seen(ALIVE, LIST), NEW, "first"),  # met in a list
        (post(OLD.hash, alive_looks=1), seen(ALIVE), OLD, "first"),  # its first answer of its own
        (post(**KNOWN), seen(ALIVE), OLD, None),
        (post(**KNOWN), seen(ALIVE, LIST), OLD, None),
        (post(**KNOWN), seen(ALIVE), None, None),
        (post(**KNOWN), seen(ALIVE), NEW, "version"),
        (post(**KNOWN), seen(ALIVE, LIST), NEW, "version"),
        (post(**KNOWN), seen(GONE), None, "notice"),
        (post(**KNOWN, said=digest(seen(GONE)), gone_looks=1), seen(GONE), None, None),
        (post(**KNOWN, said=digest(seen(GONE)), gone_looks=1), seen(OTHER), None, "notice"),
        (post(**KNOWN, gone_looks=2), seen(ALIVE), OLD, "returned"),
        (post(**KNOWN), seen(failed(Fault.SERVER, status=503)), None, None),
        (post(**KNOWN), seen(ABSENT, LIST), None, None),
    ],
)
def test_what_is_new_is_worth_keeping(
    row: PostRow, observation: Observation, version: Version | None, why: str | None
) -> None:
    assert worth(row, observation, version) == why


def test_of_an_account_only_its_loss_and_its_return_are() -> None:
    def row(**track: Any) -> AccountRow:
        return AccountRow(1, Account("account", "page", "1"), "", Track(**track))

    assert worth(row(), seen(ALIVE, LIST), None) is None
    assert worth(row(), seen(GONE, LIST), None) == "notice"
    assert worth(row(gone_looks=1), seen(ALIVE, LIST), None) == "returned"


def test_one_answer_is_one_capture_however_many_it_shows() -> None:
    leaves = iter(range(7, 99))
    gathering = Gathering([Exchange("https://a.example/", 10, 20, 200)], lambda: next(leaves))
    first = gathering.weigh(post(), seen(ALIVE, LIST), NEW)
    second = gathering.weigh(post(), seen(ALIVE, LIST), OLD)
    known = gathering.weigh(post(**KNOWN), seen(ALIVE, LIST), OLD)
    assert (first.capture, second.capture, known.capture) == ("7", "7", "")
    evidence = gathering.finish(30)
    assert evidence is not None
    assert (evidence.index, len(evidence.subjects)) == (7, 2)
    assert next(leaves) == 8
    assert Gathering([], lambda: 1).weigh(post(), seen(ALIVE), NEW).capture == ""
    assert Gathering([Exchange("https://a.example/", 1, 2)], lambda: 1).finish(3) is None


def test_bytes_that_show_a_forgotten_post_are_left_out() -> None:
    """The platform's list still shows it; what it said must not come back that way."""
    gathering = Gathering([Exchange("https://a.example/", 10, 20, 200)], lambda: 3)
    gathering.weigh(post(), seen(ALIVE, LIST), NEW)
    gathering.withheld = True
    evidence = gathering.finish(30)
    assert evidence is not None
    assert evidence.exchanges == ()
    assert evidence.facts["left_out"] == "the bytes show a post that was forgotten"


def test_the_answer_to_a_batch_belongs_to_all_that_it_shows() -> None:
    """Else a post would be forgotten, and stay readable in its neighbour's capture."""
    gathering = Gathering([Exchange("https://a.example/", 10, 20, 200)], lambda: 3)
    gathering.weigh(post(), seen(ALIVE), NEW)
    neighbour = replace(post(**KNOWN), post=replace(post(**KNOWN).post, key="neighbour"))
    assert gathering.weigh(neighbour, seen(ALIVE), OLD).capture == ""
    evidence = gathering.finish(30)
    assert evidence is not None
    assert [subject.key for subject in evidence.subjects] == ["post"]
    assert evidence.beside == {"post", "neighbour"}


# -- a whole watch -----------------------------------------------------------------------------


class Watched:
    """A small world, watched and closed; its captures by index."""

    def __init__(self, folder: Path, keep: bool) -> None:
        self.world = World.generate(3, days=4, accounts=4, posts_per_day=8.0)
        self.folder = folder / "o"
        clock = SteppedClock(self.world.start, stride=30 * MINUTE)
        with running(self.world, clock, traps=0.1) as url:
            create(self.folder, self.world, url, clock, commit_s=600.0)
            if not keep:
                with (self.folder / FILE).open("a") as file:
                    file.write("\n[capture]\nkeep = false\n")
            with Observatory.open(self.folder, write=True) as observatory:
                asyncio.run(watch_world(observatory, clock, self.world.end + DAY))
                self.looks = observatory.looks
                self.keys = {observatory.naming(PLATFORM, p.id): p for p in self.world.posts}
                self.met = set(observatory.first_sights())
                self.verdicts = {v.subject: v for v in observatory.verdicts()}
                self.cases = {key: observatory.case(key) for key in self.verdicts}
        self.captures: dict[int, Read] = {}
        for path in segments(self.folder / "captures") if keep else ():
            for read in read_segment(path):
                assert read.index is not None
                self.captures[read.index] = read

    def facts(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, read in self.captures.items():
            for subject in read.facts["facts"]["subjects"]:
                yield index, subject


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        yield Watched(tmp_path_factory.mktemp("watched"), keep=True)


def test_every_first_sight_and_every_loss_has_its_bytes(watched: Watched) -> None:
    shown: dict[str, Counter[str]] = {}
    words: set[tuple[str, str]] = set()
    for _, subject in watched.facts():
        shown.setdefault(subject["key"], Counter())[subject["what"]] += 1
        if "wording" in subject:
            words.add((subject["key"], subject["wording"]["title"]))
    assert watched.met <= set(shown)
    for key in watched.met:
        assert shown[key]["first"] >= 1
        made = watched.keys[key]
        titles = {w.title for w in (made.wording, made.edited) if w is not None}
        gone_when_met = not any((key, title) in words for title in titles)
        assert not gone_when_met or key in watched.verdicts
    lost = [key for key, case in watched.cases.items() if any(o.signal.gone for o in case)]
    assert len(lost) > 5
    for key in lost:
        first = next(seen for seen in watched.cases[key] if seen.signal.gone)
        subjects = watched.captures[int(first.capture)].facts["facts"]["subjects"]
        (told,) = [s for s in subjects if s["key"] == key]
        assert told["what"] == "notice"
        assert told["signal"]["words"] == first.signal.words


def test_unchanged_looks_store_nothing(watched: Watched) -> None:
    assert len(watched.captures) < watched.looks / 4
    hashes: set[tuple[str, str, str]] = set()
    for _, subject in watched.facts():
        if subject["what"] == "version":
            said = (subject["key"], subject["wording"]["hash"], "version")
            assert said not in hashes or watched.keys[subject["key"]].edited is not None
            hashes.add(said)


def test_what_is_not_to_be_kept_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    found = Watched(tmp_path, keep=False)
    assert found.looks > 100
    # `create` opened the observatory before the setting was written; nothing came of it.
    assert not any(path.stat().st_size for path in (found.folder / "captures").iterdir())
    assert all(seen.capture == "" for case in found.cases.values() for seen in case)


def test_an_import_leaves_evidence_of_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    source = needs_shared("wechatscope-ceninfo/ceninfo-2018-2019.csv")
    lines = source.read_text("utf-8").splitlines(keepends=True)
    few = tmp_path / "few.csv"
    few.write_text("".join(lines[:60]), "utf-8")
    with Observatory.create(tmp_path / "o") as observatory:
        result = take_over(observatory, "wechatscope", few)
        assert observatory.proof is not None
        assert observatory.proof.log.next_index == result.observations > 50
        take_over(observatory, "wechatscope", few)
        assert observatory.proof.log.next_index == result.observations
    reads = [r for path in segments(tmp_path / "o/captures") for r in read_segment(path)]
    assert {r.facts["facts"]["peer"] for r in reads} == {"wechatscope"}
    assert {s.what for r in reads if r.manifest for s in r.manifest.subjects} == {"import"}


# -- bytes ---------------------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)


def sizes(folder: Path) -> dict[str, int]:
    """Of every file that evidence could go to."""
    found = [*folder.glob("captures/*"), *folder.glob("log/**/*")]
    return {str(path.relative_to(folder)): path.stat().st_size for path in found if path.is_file()}


@pytest.mark.usefixtures("key")
def test_looks_at_what_stays_as_it_is_cost_no_byte(tmp_path: Path) -> None:
    """A quiet year must not fill the disk."""
    world = World.generate(12, days=2, accounts=2, posts_per_day=5.0)
    world = replace(world, posts=tuple(replace(p, loss=None, edited=None) for p in world.posts))
    folder = tmp_path / "o"
    clock = SteppedClock(world.start, stride=30 * MINUTE)
    with running(world, clock, traps=0.0) as url:
        create(folder, world, url, clock, commit_s=600.0)
        with Observatory.open(folder, write=True) as observatory:
            asyncio.run(watch_world(observatory, clock, world.end + DAY))
            assert observatory.proof is not None
            observatory.proof.sign()
            before, looks = sizes(folder), observatory.looks
            asyncio.run(watch_world(observatory, clock, world.end + 3 * DAY))
            observatory.proof.sign()
            assert observatory.looks > looks + 20
            assert sizes(folder) == before
            assert sum(before.values()) > 0


def test_the_past_names_the_capture_of_what_was_new(watched: Watched) -> None:
    """From a row to its bytes and back."""
    with Observatory.open(watched.folder) as observatory, observatory.past() as past:
        rows = past.execute(
            "select subject, capture, kind from observations where capture != ''"
        ).fetchall()
    assert len(rows) > len(watched.met)
    for subject, capture, kind in rows:
        told = watched.captures[int(capture)].facts["facts"]["subjects"]
        assert (subject, kind) in {(s["key"], s["signal"]["kind"]) for s in told if "signal" in s}


def content(read: Read) -> bytes:
    """What a capture holds, unpacked."""
    return b"".join(record.block() for record in read.records)


class Batched(LabSource):
    """The lab's platform, asked for four posts at a time."""

    batch = 4

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        return [look for post in posts for look in await LabSource.look(self, [post], fetch)]


@pytest.mark.usefixtures("key")
def test_a_batch_is_one_capture_and_is_forgotten_as_one(tmp_path: Path) -> None:
    world = World.generate(4, days=3, accounts=2, posts_per_day=20.0)
    folder = tmp_path / "o"
    clock = SteppedClock(world.start, stride=30 * MINUTE)
    with running(world, clock, traps=0.0) as url:
        create(folder, world, url, clock, commit_s=600.0)
        with Observatory.open(folder, write=True) as observatory:
            chosen: Mapping[str, Source] = {PLATFORM: Batched(observatory.naming, {"url": url})}

            async def watch() -> None:
                async with open_door(observatory.settings, clock) as door:
                    made = build_watch(observatory, chosen, door, clock, lambda event: None)
                    await made.run(world.end)

            asyncio.run(watch())
            reads = [r for path in segments(folder / "captures") for r in read_segment(path)]
            seen_directly = [
                sum(s.get("via") == DIRECT.value for s in r.facts["facts"]["subjects"])
                for r in reads
            ]
            assert max(seen_directly) > 1
            repeated = {world.posts[p.repeats].id for p in world.posts if p.repeats is not None}
            shown = [
                ({s["native_id"] for s in r.facts["facts"]["subjects"]}, content(r))
                for r, direct in zip(reads, seen_directly, strict=True)
                if direct
            ]
            post = next(  # in a neighbour's capture, and its id in no post of somebody else
                p
                for p in world.posts
                if p.id not in repeated
                and not p.loss
                and any(p.id.encode() in held and p.id not in news for news, held in shown)
            )
            erase(observatory, [observatory.naming(PLATFORM, post.id)], "asked", clock.now())
    left = [r for path in segments(folder / "captures") for r in read_segment(path)]
    assert left
    for read in left:
        assert post.id.encode() not in content(read)
        assert post.wording.title.encode() not in content(read)
    assert not traces(folder, [post.id, post.wording.title])


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.usefixtures("key")
def test_a_hostile_body_is_kept_read_back_and_verified(tmp_path: Path, sealed: bool) -> None:
    """8 MB of zeros pack a thousandfold, as bombs do; evidence must not be refused as one."""
    recipient, secret = new_identity()
    opened = identities(secret) if sealed else None
    url, zeros = "https://a.example/zeros", bytes(8 << 20)
    with Observatory.create(tmp_path / "o", [recipient] if sealed else []) as observatory:
        leg = Leg("GET", url, (), b"", 10, 20, 200, "OK", (("Content-Type", "text/html"),), zeros)
        exchange = Exchange(url, 10, 20, 200, legs=(leg,))
        made = Evidence(observatory.next_leaf(), 30, "here", (), {"n": 1}, (exchange,))
        observatory.commit(Entry(evidence=[made]), 30)
    (path,) = segments(tmp_path / "o/captures")
    (read,) = read_segment(path, opened)
    assert check_capture(read) == []
    assert any(record.payload_length == len(zeros) for record in read.records)
    found = verify_folder(tmp_path / "o", now=SystemClock().now(), identities=opened)
    assert found.sound, found.text()
    assert "1 of 1 captures are the bytes" in found.text()


@pytest.mark.usefixtures("key")
def test_a_login_is_in_no_capture(tmp_path: Path) -> None:
    """Who reads the evidence must not be able to log in with it."""
    world = World.generate(4, days=1, accounts=1, posts_per_day=2.0)
    clock = SteppedClock(world.start, stride=30 * MINUTE)
    with running(world, clock, traps=0.0) as url:
        create(tmp_path / "o", world, url, clock, commit_s=600.0)
        with Observatory.open(tmp_path / "o", write=True) as observatory:

            async def ask() -> Sequence[Exchange]:
                async with open_door(observatory.settings, clock) as door:
                    fetch = door.fetcher(1)
                    headers = {"Authorization": "Bearer planted-token", "Cookie": "s=planted-too"}
                    await fetch.request("GET", url, headers=headers)
                    return fetch.exchanges

            exchanges = asyncio.run(ask())
            made = Evidence(observatory.next_leaf(), 30, "here", (), {}, tuple(exchanges))
            observatory.commit(Entry(evidence=[made]), 30)
    (path,) = segments(tmp_path / "o/captures")
    (read,) = read_segment(path)
    assert b"GET / HTTP/1.1" in content(read)
    assert b"planted" not in content(read)
