"""Names that we know to be somebody's, found in texts however they are written.

In: native ids, names and addresses of watched accounts, and ids of posts. Out: where they stand in
a text, whatever its script, width, case and spacing. Other people's names are not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Any, Final

LEAST: Final = 2  # characters of a name that can be looked for
LEAST_LATIN: Final = 3
LEAST_ID: Final = 5  # unless a digit is in it

_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]{4,}")
_DIGIT: Final = re.compile(r"[0-9]")


class KnownNames:
    """A set of names to look for; see `within`."""

    def __init__(self, names: Iterable[str], ids: Iterable[str] = ()) -> None:
        """`names` are looked for anywhere, `ids` as whole tokens: there may be millions of them."""
        self._by_head: dict[str, list[str]] = defaultdict(list)
        for name in sorted({_plain(name)[0] for name in names}, key=lambda n: (-len(n), n)):
            if len(name) >= (LEAST_LATIN if name.isascii() else LEAST):
                self._by_head[name[:LEAST]].append(name)
        self._ids = {token.lower() for each in ids for token in _tokens(each)}

    def within(self, text: str) -> Iterator[tuple[int, int]]:
        """Beginning and end of each name in `text`."""
        if self._ids:
            for found in _TOKEN.finditer(text):
                if found[0].lower() in self._ids:
                    yield found.span()
        if not self._by_head:
            return
        plain, origin = _plain(text)
        for at in range(len(plain) - LEAST + 1):
            for name in self._by_head.get(plain[at : at + LEAST], ()):
                if not plain.startswith(name, at):
                    continue
                begin, end = origin[at], origin[at + len(name) - 1] + 1
                if not (name.isascii() and _goes_on(text, begin, end)):
                    yield begin, end
                    break


def _tokens(identity: str) -> Iterator[str]:
    """The id if it is one token, else those pieces that tell one post: words of an address do
    not, and have no digit."""
    for token in _TOKEN.findall(identity):
        whole = token == identity and len(token) >= LEAST_ID
        if whole or _DIGIT.search(token):
            yield token


def _goes_on(text: str, begin: int, end: int) -> bool:
    """Whether a Latin word goes on at one of these ends."""
    before, after = text[begin - 1 : begin], text[end : end + 1]
    return any(c.isascii() and c.isalnum() for c in (before, after))


def _plain(text: str) -> tuple[str, list[int]]:
    """Letters and digits in one script, width and case, and where each came from."""
    letters: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        plain = _plain_character(character)
        letters.append(plain)
        origin.extend([place] * len(plain))
    return "".join(letters), origin


@lru_cache(1 << 16)
def _plain_character(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character).casefold()
    kept = "".join(c for c in folded if unicodedata.category(c)[0] in "LN")
    simplified: str = _converter().convert(kept) if kept and not kept.isascii() else kept
    return simplified


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


NONE_KNOWN: Final = KnownNames(())
