"""The whole watch over a real nginx: what an operator does to pages, and what is made of it.

Once on the machine's clock, on which a bare "not found" can only be suspected yet, and once on a
clock that runs so fast that the hours pass which the judge wants before it believes one.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e import Span, Watched, assert_holds, create, watching
from tests.servers.nginx import Site, nginx
from tests.sources.pages import STORY, article, small, wechat_notice
from vanished.archive.verify import verify
from vanished.clock import Clock, SystemClock
from vanished.lab.clock import ScaledClock
from vanished.model import Cause, State, Verdict
from vanished.publish.report import make_report
from vanished.watch.doctor import examine

VIOLATION = "此内容因违规无法查看"
SPEED = 2000.0
LEGAL = frozenset({Cause.LEGAL})
PLATFORM = frozenset({Cause.PLATFORM})
AUTHOR_OR_OPERATOR = frozenset({Cause.AUTHOR, Cause.PLATFORM})
UNKNOWN = frozenset({Cause.UNKNOWN})

PAGES = (
    "deleted", "withdrawn", "ordered", "soft", "violation", "edited", "quoting", "outage", "calm",
)  # fmt: skip
STRONG = {"ordered": LEGAL, "violation": PLATFORM}
WEAK = {
    "deleted": UNKNOWN,
    "withdrawn": AUTHOR_OR_OPERATOR,
    "soft": UNKNOWN,
    "item 2": UNKNOWN,
}

SETTINGS = """
[watch]
commit_every_s = {commit_s}
discover_every_s = {every_s}
look_every_s = [[1e9, {every_s}]]
[hosts]
per_second = {per_second}
[net]
allow_networks = ["127.0.0.0/8"]
[judge]
stale_s = 0
"""


def atom(site: Site, *numbers: int) -> str:
    entries = "".join(
        f"<entry><id>urn:x:{n}</id><title>Mark {n}</title><link href='/item-{n}.html'/>"
        f"<updated>2026-01-0{n}T00:00:00Z</updated></entry>"
        for n in numbers
    )
    return (
        f"<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'><title>Marks</title>"
        f"<id>{site.url('/')}</id><updated>2026-01-09T00:00:00Z</updated>{entries}</feed>"
    )


def build(site: Site) -> list[tuple[str, str]]:
    """A site of ordinary pages and a feed; what there is to watch."""
    for name in PAGES:
        site.put(f"/{name}.html", article(f"A page that is {name}"))
    for n in (1, 2, 3):
        site.put(f"/item-{n}.html", article(f"Mark {n}"))
    pages = [("page", site.url(f"/{name}.html")) for name in PAGES]
    return [*pages, ("feed", site.put("/marks.atom", atom(site, 1, 2, 3)))]


def change(site: Site) -> None:
    """Whatever an operator may do in one afternoon."""
    site.delete("/deleted.html")
    site.answer("/withdrawn.html", 410)
    site.answer("/ordered.html", 451)
    site.put("/soft.html", small("Page not found", "<h1>Page not found</h1><p>Go home?</p>"))
    site.put("/violation.html", wechat_notice(VIOLATION))
    site.put("/edited.html", article("A page that is edited", "The river did not rise."))
    quoted = f"<blockquote>{VIOLATION}</blockquote>"
    site.put("/quoting.html", article(VIOLATION, f"{STORY} {VIOLATION}", quoted))
    site.answer("/outage.html", 503)
    site.put("/marks.atom", atom(site, 2, 3))  # item 1 slides off; its page stays
    site.delete("/item-2.html")


@pytest.mark.parametrize(
    ("speed", "weak"), [(1.0, State.SUSPECTED), (SPEED, State.GONE)], ids=["now", "hours-later"]
)
async def test_every_change_on_a_site_is_told_for_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float, weak: State
) -> None:
    """A user would else read of losses that were none, miss some, or blame the wrong hand."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    folder = tmp_path / "o"
    clock: Clock = SystemClock()
    settings = SETTINGS.format(commit_s=0.2, every_s=1, per_second=500)
    if speed != 1.0:
        clock = ScaledClock(clock.now(), speed, time.time())
        settings = SETTINGS.format(commit_s=60, every_s=600, per_second=1e6)
    (tmp_path / "nginx").mkdir()
    with nginx(tmp_path / "nginx") as site:
        create(folder, settings, build(site), clock.now())
        async with watching(folder, clock) as watched:
            keys = _keys(watched, site)
            began = clock.now()
            await watched.wait_for(
                "all known alive", lambda: watched.alive_since(keys.values(), began), most_s=90
            )
            assert watched.verdicts() == {}
            acted = await watched.act(lambda: change(site))
            await _see_the_outage(watched, site)
            ended = clock.now()
            verdicts = await _judged(watched, keys, weak, ended)
            _assert_verdicts(verdicts, acted, weak)
            assert {k: v for k, v in watched.versions().items() if v > 1} == {
                keys["edited"]: 2,
                keys["quoting"]: 2,
            }
            if weak is State.GONE:
                late = clock.now()
                alive = [keys[n] for n in keys if n not in (*STRONG, *WEAK)]
                await watched.wait_for(
                    "the rest alive", lambda: watched.alive_since(alive, late), most_s=90
                )
                _assert_verdicts(_named(watched, keys), acted, weak)
        failed = watched.watch.progress.failed
    _assert_report(folder, keys, weak, failed)
    assert examine(folder) == []


def _keys(watched: Watched, site: Site) -> dict[str, str]:
    """The posts' pseudonyms by the names that this test gives them."""
    naming = watched.observatory.naming
    pages = {name: naming("page", site.url(f"/{name}.html")) for name in PAGES}
    return pages | {f"item {n}": naming("feed", f"urn:x:{n}") for n in (1, 2, 3)}


def _named(watched: Watched, keys: dict[str, str]) -> dict[str, Verdict]:
    names = {key: name for name, key in keys.items()}
    return {names.get(k, f"account {k}"): v for k, v in watched.verdicts().items()}


async def _see_the_outage(watched: Watched, site: Site) -> None:
    """Keep one page out of order until looks at it have failed, then mend it."""
    progress = watched.watch.progress
    await watched.wait_for("an outage", lambda: progress.failed >= 3, most_s=90)
    site.delete("/outage.html.503")


async def _judged(
    watched: Watched, keys: dict[str, str], weak: State, ended: int
) -> dict[str, Verdict]:
    """The verdicts by name, once all that have to come have come."""
    wanted = dict.fromkeys(STRONG, State.GONE) | dict.fromkeys(WEAK, weak)
    alive = [key for name, key in keys.items() if name not in wanted]

    def settled() -> bool:
        found = _named(watched, keys)
        states = {name: found[name].state for name in wanted if name in found}
        return states == wanted and watched.alive_since(alive, ended)

    await watched.wait_for("all judged", settled, most_s=90)
    return _named(watched, keys)


def _assert_verdicts(verdicts: dict[str, Verdict], acted: Span, weak: State) -> None:
    said = {name: (verdict.state, verdict.causes) for name, verdict in verdicts.items()}
    assert said == {name: (State.GONE, causes) for name, causes in STRONG.items()} | {
        name: (weak, causes) for name, causes in WEAK.items()
    }
    for verdict in verdicts.values():
        assert_holds(verdict, acted)
        assert verdict.conflicts == ()
    assert verdicts["violation"].words == VIOLATION


def _assert_report(folder: Path, keys: dict[str, str], weak: State, failed: int) -> None:
    report = make_report(folder, since=None, rows=100, names=False)
    lost = STRONG | (WEAK if weak is State.GONE else {})
    assert report.coverage["accounts_by_platform"] == {"page": len(PAGES), "feed": 1}
    assert report.coverage["posts"] == len(keys)
    assert report.lost == len(lost)
    assert sum(report.states.values()) == len(STRONG) + len(WEAK)
    assert report.states.get(weak.value, 0) == len(lost if weak is State.GONE else WEAK)
    assert report.causes == Counter(" or ".join(sorted(causes)) for causes in lost.values())
    assert {loss.post for loss in report.losses} == {keys[name] for name in lost}
    assert {loss.post for loss in report.losses if loss.title is None} == {
        keys[name] for name, causes in lost.items() if Cause.AUTHOR in causes
    }
    assert report.accounts_lost == []
    proof = verify(folder)
    assert proof.sound, proof.text()
    assert report.coverage["failed_looks"] == failed >= 3
    assert report.coverage["faults"] == {"server": failed}
