"""Which pictures are asked for and when: too many cost the hosts, too few lose the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vanished.archive.rows import NO_PICTURES, PictureSet, PostRow, Track
from vanished.model import ALIVE, Cause, Fault, Kind, Observation, Post, Signal, Version, failed
from vanished.net.exchange import Exchange
from vanished.publish.copies import _compared, _Sought
from vanished.watch import pictures
from vanished.watch.pictures import AT_ONCE, TRIES, Fetched, Job, Pictures, wanted

SET = tuple(f"https://p{n}.example/{n}.jpg" for n in range(6))


def naming(platform: str, native: str) -> str:
    return f"{platform}:{hash(native)}"


def row(key: str = "post", held: PictureSet = NO_PICTURES) -> PostRow:
    return PostRow(1, Post(key, "a", "page", "1", "https://a.example/"), 1, Track(), pictures=held)


def seen(signal: Signal = ALIVE) -> Observation:
    return Observation("post", 10, 20, signal)


def version(media: Sequence[str] = SET[:2]) -> Version:
    return Version("a" * 64, media=tuple(media))


def room(host: str, now: int) -> int:
    return 1


def settle(queue: Pictures, jobs: Sequence[Job], *, passing: bool = False) -> PictureSet | None:
    last = None
    for job in jobs:
        queue.ended(job)
        last = queue.settled(Fetched(job, passing=passing))
    return last


@pytest.mark.parametrize(
    ("media", "found"),
    [
        (SET, [0, 1, 2]),  # at most three here
        ((SET[0], SET[0], SET[1]), [0, 2]),
        (("mxc://server/id", "data:image/png;base64,AA", "javascript:1", "", SET[0]), [4]),
        (("https://a.example/film.MP4?x=1", "https://a.example/a.m3u8", "https:///x"), []),
        (("http://[::1/x.jpg", "https://a.example/" + "a" * 5000), []),
        (("https://a.example/picture?format=mp4",), [0]),
    ],
)
def test_only_what_may_be_a_picture_is_asked_for(media: Sequence[str], found: list[int]) -> None:
    assert [place for place, _ in wanted(media, 3)] == found


@pytest.mark.parametrize(
    "signal",
    [failed(Fault.SERVER), Signal(Kind.GONE, frozenset({Cause.AUTHOR})), Signal(Kind.ABSENT)],
)
def test_only_a_post_that_lives_has_its_pictures_fetched(signal: Signal) -> None:
    queue = Pictures(naming, 9)
    assert queue.offer(row(), seen(signal), version()) is None
    assert not queue.take(0, room)


def test_a_set_is_queued_once_and_again_when_it_changes() -> None:
    queue = Pictures(naming, 9)
    offered = queue.offer(row(), seen(), version())
    assert offered is not None
    assert [url for _, url in offered.awaited] == list(SET[:2])
    assert queue.offer(row(), seen(), version()) is None  # under way
    done = settle(queue, queue.take(0, room))
    assert done == PictureSet(offered.name)
    for known in (row(), row(held=done)):  # whether the row is newer than the commit or not
        assert queue.offer(known, seen(), version()) is None
        assert queue.offer(known, seen(), None) is None
    assert Pictures(naming, 9).offer(row(held=done), seen(), version()) is None
    again = queue.offer(row(held=done), seen(), version(SET[:3]))
    assert again is not None
    assert len(queue.take(0, room)) == 3


def test_what_the_present_still_awaits_is_fetched_though_no_wording_is_new() -> None:
    """After a crash no source names the media of a known wording again."""
    held = PictureSet("name", ((1, SET[1]),))
    queue = Pictures(naming, 9)
    assert queue.offer(row(held=held), seen(), None) == held
    (job,) = queue.take(0, room)
    assert (job.place, job.url) == (1, SET[1])


def test_failures_on_the_way_are_asked_again_and_not_for_ever() -> None:
    queue = Pictures(naming, 9)
    tries = 0
    while queue.offer(row(), seen(), version()) is not None:
        tries += 1
        settled = settle(queue, queue.take(0, room), passing=True)
        assert settled is not None
        assert len(settled.awaited) == (2 if tries < TRIES else 0)
        assert tries <= TRIES
    assert tries == TRIES


def test_budgets_of_hosts_hold_and_few_are_under_way() -> None:
    queue = Pictures(naming, 99)
    queue.offer(row("one"), seen(), version([f"https://busy.example/{n}.jpg" for n in range(9)]))
    queue.offer(row("two"), seen(), version(SET))
    assert not queue.take(0, lambda host, now: 0)
    assert queue.ready_at(5, lambda host, now: now + (9 if "busy" in host else 7)) == 12
    taken = queue.take(0, lambda host, now: 0 if host == "busy.example" else 1)
    assert [job.url for job in taken] == list(SET[:AT_ONCE])
    assert not queue.take(0, room)
    assert queue.ready_at(5, lambda host, now: now) is None
    for job in taken:
        queue.ended(job)
    urls = [job.url for job in queue.take(0, room)]  # one of each host, and none was lost
    assert urls == ["https://busy.example/0.jpg", SET[4], SET[5]]


def test_a_full_queue_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the post's next look offers it again."""
    monkeypatch.setattr(pictures, "LONGEST_QUEUE", 2)
    queue = Pictures(naming, 9)
    assert queue.offer(row("one"), seen(), version()) is not None
    assert queue.offer(row("two"), seen(), version()) is None


class Answers:
    """A fetcher that gives one answer."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    async def request(self, method: str, url: str, **more: object) -> Exchange:
        assert method == "GET"
        return self.exchange


@pytest.mark.parametrize(
    ("exchange", "form", "passing"),
    [
        (Exchange("u", 1, 2, 200, body=b"GIF89a"), "gif", False),
        (Exchange("u", 1, 2, 200, body=b"<html>"), None, False),
        (Exchange("u", 1, 2, 404, body=b"GIF89a"), None, False),  # a picture that says "deleted"
        (Exchange("u", 1, 2, 503, fault=Fault.SERVER), None, True),
        (Exchange("u", 1, 2, 429, fault=Fault.RATE_LIMITED), None, True),
        (Exchange("u", 1, 2, 200, body=b"GIF89a", fault=Fault.TRUNCATED), None, True),
        (Exchange("u", 1, 2, fault=Fault.REFUSED), None, False),
        (Exchange("u", 1, 2, 200, fault=Fault.TOO_LARGE), None, False),
    ],
)
async def test_only_a_whole_picture_is_a_fact(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, form: str | None, passing: bool
) -> None:
    monkeypatch.setattr("vanished.watch.picturing.can_hash", lambda: False)
    queue = Pictures(naming, 9)
    queue.offer(row(), seen(), version())
    job = queue.take(0, room)[0]
    fetched = await queue.fetch(job, Answers(exchange))
    assert (fetched.seen.form if fetched.seen else None) == form
    assert fetched.passing == passing
    fact = queue.fact(fetched, "7")
    assert (fact is not None) == (form is not None)
    if fact is not None:
        assert (fact.post, fact.capture, fact.seen_at) == ("post", "7", 2)
        assert job.url not in repr(fact)


def test_hashes_of_plain_pictures_and_of_other_methods_are_not_compared() -> None:
    """Two empty pages look alike, whatever else they show."""
    near, far = "00" * 31 + "07", "ff" * 32
    rows = [
        ("near", "s1", "pdq/1", near, 90),
        ("far", "s2", "pdq/1", far, 90),
        ("plain", "s3", "pdq/1", near, 12),
        ("other method", "s4", "pdq/2", near, 90),
        ("undecoded", "s5", "", "", None),
        ("same bytes", "s0", "", "", None),
    ]
    held = {
        name: np.array([each[at] for each in rows], dtype=object)
        for at, name in enumerate(("post", "sha256", "method", "hash"))
    }
    quality = [each[4] for each in rows]
    held["quality"] = np.ma.array(
        [0 if each is None else each for each in quality], mask=[each is None for each in quality]
    )
    for name in ("account", "platform", "capture", "state", "causes"):
        held[name] = np.array([""] * len(rows), dtype=object)
    for name in ("place", "seen_at"):
        held[name] = np.zeros(len(rows), dtype=np.int64)

    def found(quality: int, within: int = 31) -> list[tuple[str, int | None]]:
        sought = [_Sought("s0", "pdq/1", "00" * 32, quality)]
        return [(copy.post, copy.distance) for copy in _compared(held, sought, within)]

    assert found(90) == [("near", 3), ("same bytes", None)]
    assert found(90, within=2) == [("same bytes", None)]
    assert found(12) == [("same bytes", None)]
