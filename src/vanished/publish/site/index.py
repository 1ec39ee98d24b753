"""The index by which a browser finds words in a site of files, cut into small scripts.

In: losses. Out: files that `static/search.js` loads one at a time, as a page that was opened from a
file may load scripts and nothing else: for each part of the losses and each class of tokens the
numbers that hold them, the words of each volume, and which character stands for which. Only words
that left through the gate are in it, and pseudonyms. Tokens are those of `shelf.grams`, with
characters simplified one by one, since a browser has no dictionary of phrases.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from vanished.publish.moments import iso
from vanished.publish.shelf.grams import folded, tokens
from vanished.publish.site.ledger import Loss

PART: Final = 10_000
"""Losses whose numbers follow each other and which share an index: what is new changes one."""
SHARDS: Final = 64
_PRIME: Final = 65_521


def part_of(number: int) -> int:
    return (number - 1) // PART


def shard_of(token: str) -> int:
    """The file that a token stands in; one that is given by its beginning stands in the same."""
    found = 0
    for character in token[:2]:
        found = (found * 31 + ord(character)) % _PRIME
    return found % SHARDS


def shard_path(part: int, shard: int) -> str:
    return f"find/{part:04d}/{shard:02d}.js"


def shards(part: int, losses: Sequence[Loss]) -> dict[str, bytes]:
    """Path and content of every file of one part of the index."""
    found: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(SHARDS)]
    first = part * PART + 1
    for loss in losses:
        row = loss.row
        words = f"{row.post}\n{row.title or ''}\n{row.text or ''}"
        for token in set(tokens(plain(words)).split()):
            found[shard_of(token)][token].append(loss.number - first)
    return {
        shard_path(part, number): _script("shard", f"{part}/{number}", _steps(postings))
        for number, postings in enumerate(found)
    }


def _steps(postings: dict[str, list[int]]) -> dict[str, list[int]]:
    """Each token's places, told as steps from one to the next."""
    found = {}
    for token in sorted(postings):
        places = postings[token]
        steps = zip(places, [0, *places[:-1]], strict=True)
        found[token] = [place - before for place, before in steps]
    return found


def words_path(volume: int) -> str:
    return f"find/words/{volume:06d}.js"


def words_of(volume: int, losses: Sequence[Loss]) -> bytes:
    """What a browser shows of what it found in this volume."""
    rows = [
        [
            loss.number, loss.row.post, loss.row.platform, sorted(loss.row.causes),
            (iso(loss.row.gone_by) or "")[:16].replace("T", " "), loss.row.title or "",
            loss.row.text or "",
        ]
        for loss in losses
    ]  # fmt: skip
    return _script("words", str(volume), rows)


FOLDS: Final = "find/folds.js"


@cache
def _simpler() -> dict[int, str]:
    """Characters that stand for others in the index, by their numbers."""
    found = {}
    for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00)):
        simple = folded(chr(code))
        if len(simple) == 1 and simple != chr(code):
            found[code] = simple
    return found


def plain(text: str) -> str:
    """`text` as the index takes it: one width, small letters, simplified signs, each by itself."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_simpler())


def folds() -> bytes:
    """The pairs of `plain`, one after the other."""
    return _script("folds", "", "".join(chr(code) + to for code, to in _simpler().items()))


def _script(what: str, name: str, content: Any) -> bytes:
    """A script that hands `content` in. Angle brackets are escaped: it is never read as HTML."""
    told = json.dumps([what, name, content], ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        told = told.replace(character, f"\\u{ord(character):04x}")
    return f"vanished({told});\n".encode("utf-8", "replace")
