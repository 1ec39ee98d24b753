"""The index: keys that pywb and py-wacz look for, lines in order whatever their number."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.wacz import made
from tests.servers import wacz as peer
from vanished.archive.wacz import index
from vanished.archive.wacz.index import SortedLines, blocks, surt

URLS = [
    "http://127.0.0.1:8080/a/",
    "https://www2.Example.org:443/A/B/?b=2&a=1&a=0",
    "https://例子.中国/路?q=词",
    "http://user:word@h.example/a//b/../c",
    "http://h.example",
    "https://h.example/?",
    "https://h.example/?a&b=&a=1",
    "https://h.example/a%2Fb%20c?x=%41",
    "http://h.example./;x=1",
    'http://h.example/a|b"c#f',
    "https://h.example:80/a",
    "http://h.example/a?x=1?y=2",
    "http://h.example/a b",
    "https://h.example/路/%E8%B7%AF",
    "https://h.example/%",
    "https://h.example/%25%32%35",
    "http://h.example//",
    "http://h.example/../../x",
    "https://wwwother.example/x",
    "https://www.example/",
    "urn:uuid:5a1b",
    "mailto:nobody@h.example",
]


def test_keys_are_those_of_the_internet_archive() -> None:
    """pywb looks for exactly this key; another one, and the answer is not found."""
    python = peer.needs_wacz()
    rng = random.Random(made.SEED)
    words = ["a", "B", "路", "x.y", "~", "", "..", "1", "%41", "a%20b", "@", "q=1"]
    urls = list(URLS)
    for _ in range(300):
        path = "/".join(rng.choices(words, k=rng.randrange(5)))
        query = "&".join(f"{quote(rng.choice(words))}={rng.randrange(3)}" for _ in range(3))
        host = rng.choice(["h.example", "www.h.example", "A.b.c.example", "例.example"])
        urls.append(f"https://{host}/{path}" + (f"?{query}" if rng.random() < 0.5 else ""))
    expected = peer.keys(python, urls)
    ours = [surt(url) for url in urls]
    wrong = [each for each in zip(urls, ours, expected, strict=True) if each[1] != each[2]]
    assert not wrong, f"seed {made.SEED}: {wrong[:5]}"


@given(st.text(max_size=60) | st.text(max_size=40).map("http://h.example/".__add__))
def test_no_address_however_odd_breaks_the_line(url: str) -> None:
    """A space or a line break in a key would shift every field behind it."""
    key = surt(url)
    assert not set(key) & set(" \t\r\n\x0b\x0c\x85\u2028")
    assert key.isascii()


@pytest.mark.parametrize("url", ["http://[::1/x", "http://h.example:99999999/", "http://[::1]/x"])
def test_an_address_that_cannot_be_parsed_still_has_a_key(url: str) -> None:
    """One broken address must not stop an export."""
    assert surt(url)


def test_lines_are_sorted_beyond_what_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A binary search in an unsorted index misses answers that are there."""
    monkeypatch.setattr(index, "RUN_BYTES", 2_000)
    rng = random.Random(made.SEED)
    lines = [f"{rng.randrange(10**6)} 路 {n}\n".encode() for n in range(2_000)]
    with closing(SortedLines(tmp_path)) as kept:
        for line in lines:
            kept.add(line)
        assert list(tmp_path.iterdir()) == []  # the runs have no name that a crash could leave
        assert list(kept) == sorted(lines)


def test_blocks_are_found_by_their_index() -> None:
    """A reader over the network fetches one block by its place, and no other."""
    lines = [f"key{n:05d} 2026 {{}}\n".encode() for n in range(700)]
    heads: list[bytes] = []
    whole = b"".join(blocks(lines, heads))
    assert gzip.decompress(whole) == b"".join(lines)
    assert len(heads) == 1 + 3
    place = json.loads(heads[2].split(b" ", 2)[2])
    block = whole[place["offset"] : place["offset"] + place["length"]]
    assert gzip.decompress(block) == b"".join(lines[300:600])
