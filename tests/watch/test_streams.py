"""The whole watch beside a stream of changes: looks at once, no storm, and nothing of strangers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from tests.archive.seized import traces
from tests.e2e import Watched, create, watching
from tests.sources.test_at_firehose import commit, frame
from tests.watch.streamed import STRANGER, Streamed, now, streamed, uri_of
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.clock import SystemClock
from vanished.model import SECOND
from vanished.net import stream as net_stream
from vanished.publish.report import make_report
from vanished.sources import at_firehose
from vanished.sources.bluesky_api import COLLECTION
from vanished.watch import hints, streams
from vanished.watch.doctor import examine
from vanished.watch.live import progress_line, stream_line

SETTINGS = """
[watch]
discover_every_s = 100000
look_every_s = [[1e9, 100000]]
[hosts]
per_second = 1000
[net]
allow_networks = ["127.0.0.0/8"]
max_bytes = 250000
[sources.bluesky]
appview = "{base}"
plc = "{base}"
stream = "{stream}"
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setattr(net_stream, "FIRST_S", 0.05)


def prepare(tmp_path: Path, network: Streamed) -> Path:
    folder = tmp_path / "o"
    settings = SETTINGS.format(base=network.base, stream=network.stream)
    create(folder, settings, [("bluesky", "ann.example.org")], SystemClock().now())
    return folder


@contextlib.asynccontextmanager
async def watched(folder: Path, network: Streamed, *, known: int) -> AsyncIterator[Watched]:
    """The watch, once it has read the list and is on the stream."""
    async with watching(folder, SystemClock()) as running:
        if network.meet is None:
            await running.wait_for("on the stream", lambda: bool(network.sockets), most_s=40)
        await running.wait_for(
            "all known", lambda: len(running.observatory.first_sights()) >= known, most_s=40
        )
        yield running


def told(running: Watched) -> list[tuple[object, object]]:
    return [(e.facts["state"], e.facts["words"]) for e in running.events if e.kind == "stream"]


async def looked(running: Watched, network: Streamed, rkey: str, since: float) -> float:
    """Seconds from `since` until the post was asked for."""
    await running.wait_for(f"a look at {rkey}", lambda: bool(network.looks(rkey, since)), most_s=20)
    return network.looks(rkey, since)[0] - since


async def test_a_hint_leads_to_a_look_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its date the post would be asked in a day: that is the bracket which the hint saves."""
    monkeypatch.setattr(hints, "APART", SECOND)
    async with streamed(a="one", b="two", d="four") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=3) as running:
            began = time.monotonic()
            await network.delete("a")
            took = await looked(running, network, "a", began)
            print(f"from the stream's message to the look: {took * 1e3:.0f} ms")
            assert took < 2.5
            began = time.monotonic()
            await network.write("c", "three")
            await running.wait_for(
                "the new post", lambda: len(running.observatory.first_sights()) == 4, most_s=20
            )
            assert time.monotonic() - began < 3
            began = time.monotonic()
            await network.account("deactivated")
            await running.wait_for("its list", lambda: network.lists[-1] > began, most_s=20)
        assert told(running) == [("connected", "")]
        assert network.looks("b") == []  # nothing was said of it
    assert examine(folder) == []
    report = make_report(folder, since=None, rows=10, names=False)
    assert report.coverage["posts"] == 4


async def test_a_subject_hinted_at_a_thousand_times_is_asked_twice_far_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves the stream must not be able to turn us on a platform."""
    monkeypatch.setattr(hints, "APART", 2 * SECOND)
    async with streamed(a="one", b="two") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=2) as running:
            began = time.monotonic()
            for _ in range(1000):
                await network.say(("update", "a"))
            await asyncio.sleep(4.5)
            assert len(running.observatory.verdicts()) == 0
        looks = network.looks("a", began)
        assert 2 <= len(looks) <= 3
        assert all(b - a >= 1.9 for a, b in pairwise(looks))


async def test_an_appview_that_lags_behind_the_stream_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both hear of a deletion at the same time: a look at once may still find the post."""
    monkeypatch.setattr(hints, "APART", 2 * SECOND)
    async with streamed(a="one", b="two") as network:
        network.lag_s = 2.0
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=2) as running:
            began = time.monotonic()
            await network.delete("a")
            await network.write("c", "three")
            assert await looked(running, network, "a", began) < 2.0
            await running.wait_for(
                "the new post", lambda: len(running.observatory.first_sights()) == 3, most_s=20
            )
            await running.wait_for(
                "the second look", lambda: len(network.looks("a", began)) >= 2, most_s=20
            )
        assert 1.9 < network.looks("a", began)[1] - began < 4


async def test_a_look_that_began_before_the_hint_does_not_answer_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have read what stood there before: the post is asked again when it ends."""
    monkeypatch.setattr(hints, "APART", SECOND)
    async with streamed(a="one", b="two") as network:
        network.slow_s = 3.0
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=2) as running:
            began = time.monotonic()
            await network.say(("update", "a"))  # asked at 1 s, due again at 2 s, answered at 4 s
            await running.wait_for("two looks", lambda: len(network.looks("a", began)) == 2, 9)
        assert network.looks("a", began)[1] - network.looks("a", began)[0] > 2.9


async def test_hints_at_strangers_leave_no_trace(tmp_path: Path) -> None:
    """A stream names everybody; an observatory must not become a list of them."""
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=1) as running:
            for number in range(50):
                await network.say(("create", f"stranger{number}"), did=STRANGER)
            await network.account("takendown", STRANGER)
            await network.say(("delete", "neverseen"))
            began = time.monotonic()
            await network.say(("update", "a"))
            await looked(running, network, "a", began)
            await asyncio.sleep(1.0)
            during = traces(folder, [STRANGER, "stranger1", "neverseen"])
            shown = str(running.events)
        assert during == []
        assert traces(folder, [STRANGER, "stranger1", "neverseen", "subscribeRepos"]) == []
        assert "stranger" not in shown
        assert STRANGER not in shown
        assert not [rkey for _, rkey in network.asked if rkey != "a"]
        with Observatory.open(folder) as observatory:
            naming = observatory.naming
            keys = [naming("bluesky", STRANGER), naming("bluesky", uri_of("neverseen"))]
        assert traces(folder, keys) == []
        # The address of the stream stands in the settings, and nowhere else in the clear.
        assert {name for name, _ in traces(folder, [network.stream])} == {FILE}


async def test_a_restart_goes_on_where_the_stream_was_left(tmp_path: Path) -> None:
    """What was deleted while the watch was down is asked at once, though no post is due."""
    async with streamed(a="one", b="two", c="three") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=3) as running:
            await network.say(("create", "x"), did=STRANGER)
            await asyncio.sleep(0.5)
        assert network.cursors == [None]
        left = network.seq
        await network.delete("b")
        began = time.monotonic()
        async with watched(folder, network, known=3) as running:
            assert await looked(running, network, "b", began) < 4
        assert network.cursors == [None, str(left)]
        with Observatory.open(folder) as observatory:
            assert observatory.stream_places()["bluesky"].seq == network.seq
        assert network.looks("a") == []


@pytest.mark.parametrize("change", ["another stream", "long ago"])
async def test_a_place_that_means_nothing_any_more_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Numbers of one server are nonsense to another; a week of a whole network is no hint."""
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=1):
            await network.say(("create", "x"), did=STRANGER)
            await asyncio.sleep(0.5)
        if change == "long ago":
            monkeypatch.setattr(streams, "RESUMED", 0)
        else:
            text = (folder / FILE).read_text("utf-8")
            other = network.stream.replace("127.0.0.1", "localhost")
            (folder / FILE).write_text(text.replace(network.stream, other), "utf-8")
        async with watched(folder, network, known=1):
            pass
        assert network.cursors == [None, None]


async def _closing(network: Streamed, socket: web.WebSocketResponse) -> None:
    await network.send(b"")
    await socket.close()


async def test_a_server_that_closes_each_time_is_not_stormed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_stream, "FIRST_S", 0.2)
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        network.meet = _closing
        async with watched(folder, network, known=1) as running:
            await asyncio.sleep(5)
            running.watch.measure()
            line = progress_line(running.watch.progress, running.clock.now())
        assert 3 <= len(network.cursors) <= 7  # 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s, and jitter
        assert ("reconnecting", "the host ended the stream (code 1000)") in told(running)
        assert "stream reconnecting: bluesky" in line
        waits = [e.facts for e in running.events if e.kind == "stream" and e.facts["wait_s"]]
        assert "again in" in stream_line(waits[-1])
    assert examine(folder) == []


async def test_garbage_is_passed_over_and_a_gap_is_told(tmp_path: Path) -> None:
    async def garbage(network: Streamed, socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(frame("#info", {"name": "OutdatedCursor"}))
        for raw in (b"", b"<html>", b"\xff" * 1000, frame("#commit", {"seq": "x"})):
            await socket.send_bytes(raw)
        await socket.send_str("words")
        network.sockets.add(socket)
        async for _ in socket:
            pass

    async with streamed(a="one", b="two") as network:
        folder = prepare(tmp_path, network)
        network.meet = garbage
        async with watched(folder, network, known=2) as running:
            await running.wait_for("a socket", lambda: bool(network.sockets), most_s=20)
            began = time.monotonic()
            await network.delete("a")
            assert await looked(running, network, "a", began) < 2.5
            await running.wait_for(
                "the gap told", lambda: ("connected", "OutdatedCursor") in told(running), most_s=20
            )


async def test_a_message_that_is_too_large_and_one_that_breaks_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ends the watch; the stream is opened anew, and says why."""

    async def too_large(network: Streamed, socket: web.WebSocketResponse) -> None:
        if len(network.cursors) == 1:
            await socket.send_bytes(bytes(300_000))
        elif len(network.cursors) == 2:
            await socket.send_bytes(b"break")
        else:
            network.sockets.add(socket)
        async for _ in socket:
            pass

    read_frame = at_firehose.read_frame

    def breaking(raw: bytes) -> at_firehose.Frame:
        if raw == b"break":
            raise RuntimeError("did:plc:somebody")
        return read_frame(raw)

    monkeypatch.setattr(at_firehose, "read_frame", breaking)
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        network.meet = too_large
        async with watched(folder, network, known=1) as running:
            await running.wait_for("a third try", lambda: bool(network.sockets), most_s=20)
            began = time.monotonic()
            await network.say(("update", "a"))
            assert await looked(running, network, "a", began) < 2.5
        assert told(running) == [
            ("connected", ""),
            ("reconnecting", "a message was larger than max_bytes of [net]"),
            ("connected", ""),
            ("reconnecting", "the stream could not be read (RuntimeError)"),
            ("connected", ""),
        ]


async def test_a_stream_that_tells_old_news_is_said_to_be_behind(tmp_path: Path) -> None:
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        async with watched(folder, network, known=1) as running:
            for when in ("2026-01-01T00:00:00Z", now()):
                await asyncio.sleep(1.1)
                network.seq += 1
                body = {"seq": network.seq, "did": STRANGER, "time": when}
                await network.send(frame("#identity", body))
            await running.wait_for("both told", lambda: len(told(running)) == 3, most_s=20)
        assert [state for state, _ in told(running)] == ["connected", "behind", "connected"]


async def test_ten_thousand_hints_a_second_do_not_starve_the_loop(tmp_path: Path) -> None:
    """A flood of hints at what is watched: other looks go on, and nothing is asked too often."""
    names = [f"p{number:03}" for number in range(200)]
    batches = [_batch(first, names) for first in range(1, 60_001, 100)]
    go = asyncio.Event()
    sent = 0

    async def flood(network: Streamed, socket: web.WebSocketResponse) -> None:
        nonlocal sent
        assert socket._req is not None
        assert socket._req.transport is not None
        await go.wait()
        began = time.monotonic()
        for batch in batches:
            socket._req.transport.write(batch)
            sent += 100
            await asyncio.sleep(max(0.0, began + sent / 10_000 - time.monotonic()))
        await socket.close()

    async with streamed(**dict.fromkeys(names, "text")) as network:
        folder = prepare(tmp_path, network)
        network.meet = flood
        late: list[float] = []

        async def tick() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.02)
                late.append(time.monotonic() - began - 0.02)

        async with watched(folder, network, known=200) as running:
            await running.wait_for("connected", lambda: bool(network.cursors), most_s=20)
            go.set()
            ticking = asyncio.create_task(tick())
            began, busy = time.monotonic(), time.thread_time()
            (each,) = running.watch._streams._followed.values()
            await running.wait_for(
                "all looked at", lambda: len({k for _, k in network.asked}) == 200, most_s=20
            )
            await running.wait_for("all read", lambda: each.follower.seq == 60_000, most_s=90)
            took, size = time.monotonic() - began, len(each.marks)
            busy = time.thread_time() - busy  # of sender, server and watch: no matter who else runs
            ticking.cancel()
        per_post, middle = (
            [len(network.looks(rkey)) for rkey in names],
            sorted(late)[len(late) // 2],
        )
        print(
            f"{60_000 / took:.0f} hints/s, {60_000 / busy:.0f} a second of work; ticks late by at"
            f" most {max(late) * 1e3:.0f} ms, in the middle {middle * 1e3:.0f} ms; {size} subjects"
            f" remembered; looks a post: {min(per_post)} to {max(per_post)}"
        )
        assert 60_000 / busy > 10_000
        assert middle < 0.1
        assert max(late) < 1.0
        assert size == hints.MOST
        assert min(per_post) == max(per_post) == 1  # 30 s have not passed
    assert examine(folder) == []


def _batch(first: int, names: list[str]) -> bytes:
    """A hundred frames on the wire: half of them at posts that are known, half at made-up ones."""
    wire = b""
    for seq in range(first, first + 100):
        rkey = names[seq // 2 % len(names)] if seq % 2 else f"x{seq}"
        raw = commit(seq, ("update", f"{COLLECTION}/{rkey}"), time=now())
        assert 126 <= len(raw) < 65_536
        wire += b"\x82\x7e" + len(raw).to_bytes(2) + raw  # RFC 6455, 5.2
    return wire


async def test_without_the_setting_no_stream_is_opened(tmp_path: Path) -> None:
    async with streamed(a="one") as network:
        folder = prepare(tmp_path, network)
        text = (folder / FILE).read_text("utf-8")
        (folder / FILE).write_text(text.replace(f'stream = "{network.stream}"', ""), "utf-8")
        network.meet = _closing
        async with watched(folder, network, known=1):
            pass
        assert network.cursors == []
