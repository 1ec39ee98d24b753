"""How fast a WeChat article is read, beside BeautifulSoup with lxml doing the same work.

In: 90 saved real articles that lie beside the checkout. Out: claims. The peer reads the same bytes
in a process and environment of its own; rounds alternate, so that a busy machine slows both, and
the best round of each counts. Both have to have read the same, or nothing is claimed.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from bench.peers import answer, peer_python, peer_version
from vanished.model import SECOND
from vanished.sources.html import is_cut, is_too_deep
from vanished.sources.wechat_page import Article, read_article

PEER = "bs4"
READER = Path(__file__).with_name("bs4_reader.py")
PAGES = ROOT.parent / "shared/data/wechatscope-html-2020/pages-text-blanked.tar.xz"
ROUNDS = 4


def run() -> tuple[list[Claim], list[Peer]]:
    """Milliseconds a page for us and for the peer. Takes about a minute."""
    pages = _pages()
    ours, theirs = _measured(pages)
    number = len(pages)
    size = sum(len(page) for page in pages.values()) / number / 1000
    claims = [
        at_least(
            f"WeChat pages ({number} real, {size:.0f} kB each) read, to BeautifulSoup with lxml",
            theirs / ours,
            "times",
            5,
        ),
        at_most("reading a WeChat page", ours / number * 1000, "ms", 20),
    ]
    return claims, [
        {"name": name, "version": peer_version(PEER, name)} for name in ("beautifulsoup4", "lxml")
    ]


def _pages() -> Mapping[str, bytes]:
    """The saved articles by the name of their file."""
    if not PAGES.exists():
        raise BenchError(f"the saved pages '{PAGES.name}' are not beside this checkout")
    with tarfile.open(PAGES) as archive:
        files = {m.name.rpartition("/")[2]: archive.extractfile(m) for m in archive if m.isfile()}
        return {
            name: file.read() for name, file in sorted(files.items()) if file and ".html" in name
        }


def _measured(pages: Mapping[str, bytes]) -> tuple[float, float]:
    """Seconds of the best round of each, all pages a round; ours and the peer's."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        for name, page in pages.items():
            (Path(folder) / name).write_bytes(page)
        with subprocess.Popen(
            [peer_python(PEER), READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as peer:
            try:
                _agree(pages, json.loads(answer(peer, folder, PEER)))
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    theirs.append(float(answer(peer, "again", PEER)))
                    ours.append(_round(list(pages.values())))
            finally:
                peer.kill()
    return min(ours), min(theirs)


def _round(pages: Sequence[bytes]) -> float:
    """Seconds of all pages, with the checks that the source makes before it reads one."""
    began = time.perf_counter()
    for page in pages:
        if is_cut(page) or is_too_deep(page):
            raise BenchError("a saved page is not read as whole")
        read_article(page)
    return time.perf_counter() - began


def _agree(pages: Mapping[str, bytes], theirs: Sequence[Mapping[str, Any]]) -> None:
    """Raises BenchError unless both read the same of every page."""
    for (name, page), other in zip(pages.items(), theirs, strict=True):
        article = read_article(page)
        if article is None or _facts(article) != other:
            raise BenchError(f"the two readers disagree on {name}: their work is not the same")


def _facts(article: Article) -> dict[str, Any]:
    """An article in the words of the peer's reader."""
    return {
        "biz": article.biz,
        "mid": article.mid,
        "idx": article.idx,
        "sn": article.sn,
        "ct": str((article.published_at or 0) // SECOND),
        "nickname": article.account,
        "user_name": article.user_name,
        "title": article.title,
        "text": article.text,
        "media": list(article.media),
    }
