"""Words as an index of full text takes them, so that two Chinese characters can be looked for.

In: a text, or what a reader looks for. Out: tokens with blanks between them, or a query of SQLite's
FTS5. Chinese, Japanese and Korean are written without blanks: each pair of neighbours is a token,
and a word is found as a phrase of pairs. Other writing goes by its own blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

_JOINED: Final = (
    "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_RUNS: Final = re.compile(rf"([{_JOINED}]+)|([^\W{_JOINED}]+)")
_SCRIPTS: Final = (
    ("kana", "\u3040-\u30ff"),
    ("hangul", "\u1100-\u11ff\uac00-\ud7af"),
    ("han", "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"),
    ("cyrillic", "\u0400-\u052f"),
    ("arabic", "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff"),
    ("tibetan", "\u0f00-\u0fff"),
    ("latin", "A-Za-z\u00c0-\u024f\u1e00-\u1eff"),
)
SCRIPTS: Final = tuple(name for name, _ in _SCRIPTS)
_OF_SCRIPT: Final = [(name, re.compile(f"[{letters}]")) for name, letters in _SCRIPTS]
KANA_SHARE: Final = 0.05
"""Japanese is written with many Han characters: so much kana makes a text Japanese."""


@cache
def _simplified() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def folded(text: str) -> str:
    """`text` in simplified characters, one width and lower case: what is compared, never shown."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return str(_simplified().convert(plain)) if _RUNS.search(plain) else plain


def _runs(text: str) -> Iterator[tuple[bool, str]]:
    for match in _RUNS.finditer(text):
        yield match[1] is not None, match[0]


def tokens(text: str) -> str:
    """The tokens of `text`: pairs of characters, each run's last one alone, and other words."""
    found: list[str] = []
    for joined, run in _runs(folded(text)):
        if joined:
            found += [run[i : i + 2] for i in range(len(run))]  # the last one has one character
        else:
            found.append(run)
    return " ".join(found)


def query(words: str) -> str:
    """What FTS5 looks for: every word that is given, anywhere; "" if there is none.

    A word in another writing than Chinese, Japanese and Korean matches from its beginning.
    """
    wanted: list[str] = []
    for joined, run in _runs(folded(words)):
        if joined and len(run) > 1:
            wanted.append('"' + " ".join(run[i : i + 2] for i in range(len(run) - 1)) + '"')
        else:
            wanted.append(f'"{run}" *')
    return " ".join(wanted)


def script(text: str) -> str:
    """The writing that most letters of `text` are in, one of SCRIPTS, or "other"."""
    counts = Counter({name: len(letters.findall(text)) for name, letters in _OF_SCRIPT})
    total = counts.total()
    if not total:
        return "other"
    if counts["kana"] > KANA_SHARE * total:
        return "kana"
    return counts.most_common(1)[0][0]
