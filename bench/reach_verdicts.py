"""How often the verdict is right: on drawn records with known truth, on OONI's, and on pages.

In: the lab of records, and what lies beside the checkout. Out: claims. No packet is sent; what
packets do is measured in the network lab.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from vanished.errors import InputError
from vanished.lab.ordinary_pages import ordinary_pages
from vanished.lab.pages import page
from vanished.lab.reach_forms import FORMS, OUTAGES, SLOWED
from vanished.lab.reach_records import measure
from vanished.reach.block_pages import Page, examine
from vanished.reach.classic import classic
from vanished.reach.ooni_json import from_json
from vanished.reach.record import Measurement
from vanished.reach.rules import Reach
from vanished.reach.steps import Response, words
from vanished.reach.verdict import verdict

DATA = ROOT.parent / "shared/data"
SEEDS = 20
TARGETS = 5


def run() -> tuple[list[Claim], list[Peer]]:
    """Shares of right verdicts, and counts of false alarms. Takes about a minute."""
    return [*_drawn(), *_clean(), *_ooni(), *_pages()], []


def _drawn() -> Iterator[Claim]:
    """Forms of blocking and outages, without loss and with 5 % of packets lost each way."""
    for loss in (0.0, 0.05):
        right = asked = 0
        for form, truth in {**FORMS, **SLOWED}.items():
            for seed in range(SEEDS):
                for target in range(TARGETS):
                    said = verdict(measure(form, seed, target=target, loss=loss))
                    named = (said.layer, said.mechanism) == (truth.layer, truth.mechanism)
                    right += named and said.state in truth.states
                    asked += 1
        what = f"{len(FORMS) + len(SLOWED)} forms named, {asked} records drawn, loss {loss:.0%}"
        yield at_least(what, 100 * right / asked, "%", 100)
    blocked = dict.fromkeys(OUTAGES, 0)
    for form in OUTAGES:
        for seed in range(SEEDS * TARGETS):
            said = verdict(measure(form, seed, target=seed % TARGETS, loss=0.05 * (seed % 2)))
            blocked[form] += said.stopped
    what = f"{len(OUTAGES)} outages, {SEEDS * TARGETS} records of each, called blocked"
    yield at_most(what, sum(blocked.values()), "records", 0)


def _clean() -> Iterator[Claim]:
    for number, loss in ((200, 0.0), (100, 0.05)):
        alarms = sum(
            verdict(measure("clean", seed, target=seed % TARGETS, loss=loss)).state is not Reach.OK
            for seed in range(number)
        )
        yield at_most(
            f"false alarms in {number} clean records, loss {loss:.0%}", alarms, "records", 0
        )


def _ooni() -> Iterator[Claim]:
    """OONI's verdict again on every record that carries one; ours on what is no blocking."""
    simulated = dict(_records(DATA / "ooni-fixtures/data/oonipipeline/tests/data/wc05_qa"))
    samples = dict(_records(DATA / "ooni-fixtures/backend/fastpath/fastpath/tests/data"))
    carrying = [
        one
        for one in [*simulated.values(), *samples.values()]
        if one.test_name == "web_connectivity" and one.test_keys is not None
    ]
    equal = sum(
        (says.blocking, says.accessible) == (one.keys.blocking, one.keys.accessible)
        for one in carrying
        for says in [classic(one)]
    )
    what = f"OONI's verdict equal, {len(carrying)} records that carry one"
    yield at_least(what, 100 * equal / len(carrying), "%", 100)
    harmless = [
        one
        for name, one in simulated.items()
        if name.startswith(("success", "websiteDown", "badSSL", "controlFailure"))
    ]
    called = sum(verdict(one).stopped for one in harmless)
    yield at_most(f"OONI's {len(harmless)} harmless causes called blocked", called, "records", 0)


def _records(folder: Path) -> Iterator[tuple[str, Measurement]]:
    if not folder.is_dir():
        raise BenchError(f"OONI's records '{folder.name}' are not beside this checkout")
    for path in sorted(folder.iterdir()):
        try:
            yield path.stem, from_json(path.read_bytes())
        except InputError:
            continue  # tables and YAML lie there, too


def _pages() -> Iterator[Claim]:
    """Block pages that were saved, by all that we know and by what they say alone; and others."""
    folder = DATA / "citizenlab-filtering-annotations"
    paths = [*folder.glob("blockpage_meta/*.html"), *folder.glob("dns_meta/*.html")]
    saved = [held for path in paths if (held := path.read_bytes())]
    if not saved:
        raise BenchError(f"the saved block pages '{folder.name}' are not beside this checkout")
    for fingerprints, bar, how in ((True, 98, "known"), (False, 70, "known by signs alone")):
        known = sum(_is_block(one, fingerprints) for one in saved)
        yield at_least(f"{len(saved)} saved block pages {how}", 100 * known / len(saved), "%", bar)
    others = list(_others())
    wrong = sum(_is_block(one, True) for one in others)
    yield at_most(f"{len(others)} other pages taken for block pages", wrong, "pages", 0)


def _is_block(body: bytes, fingerprints: bool) -> bool:
    answer = Response(code=200, body=words(body))
    return examine(answer, fingerprints=fingerprints).page is Page.BLOCK


def _others() -> Iterator[bytes]:
    """Errors, portals, articles; pages of posts as the lab shows them; real articles of WeChat."""
    yield from ordinary_pages().values()
    for name in ("train", "test"):
        posts = (DATA / f"weibo2018/{name}.txt").read_text(encoding="utf-8", errors="replace")
        for line in posts.splitlines():
            yield page("微博", f"<p>{escape(line)}</p>")
    with tarfile.open(DATA / "wechatscope-html-2020/pages-text-blanked.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if ".html" in member.name else None
            if file:
                yield file.read()
