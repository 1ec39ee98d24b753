"""Take out of a text what names or finds a person: mentions, numbers, addresses, links, names.

In: a text, and the names that we know to be somebody's. Out: the text with a mark such as [number]
where something stood. What is not taken out stands as it was written; looking is done on a folded
copy, so that full-width, spaced, Chinese or circled digits hide nothing. A person's name that we do
not know is found by no pattern, nor is a place that a sentence describes: words are published under
a recorded rule only (see `gate`), and this is the second net, not the first.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vanished.publish.known_names import NONE_KNOWN, KnownNames
from vanished.publish.scrub_patterns import (
    DATE,
    DIGITS,
    IDENTIFIER,
    IPV6,
    LONG_NUMBER,
    MARKS,
    MENTION,
    NAME,
    NUMBER,
    WORDS,
)

METHOD: Final = "scrub/1"
ROUNDS: Final = 4
"""Taking out may bring together what was apart: a text is looked through until it stays."""

_CHINESE: Final = "〇零洞 一幺壹弌 二两兩贰貳弍 三叁參弎 四肆 五伍 六陆陸 七柒拐 八捌 九玖勾"
_NUMERALS: Final = str.maketrans(
    {letter: str(n) for n, letters in enumerate(_CHINESE.split()) for letter in letters}
)
_LOOKALIKES: Final = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1"})
_LEAST_REAL: Final = 4
"""Digits of a run that are not mere lookalikes, so that no word of o and l is one."""
_MARK: Final = re.compile("|".join(re.escape(mark) for mark in MARKS))

Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Folded:
    """A text as the patterns read it; character i of it came from `origin[i]` of the text."""

    text: str
    origin: tuple[int, ...]


def scrubbed(text: str, names: KnownNames = NONE_KNOWN) -> str:
    """`text` without what names or finds a person, each replaced by its mark.

    Scrubbing the result again changes nothing.
    """
    for _ in range(ROUNDS):
        changed = _scrubbed_once(text, names)
        if changed == text:
            break
        text = changed
    return text


def _scrubbed_once(text: str, names: KnownNames) -> str:
    parts, end = [], 0
    for found in _MARK.finditer(text):
        parts += [_replaced(text[end : found.start()], names), found[0]]
        end = found.end()
    return "".join([*parts, _replaced(text[end:], names)])


def _replaced(text: str, names: KnownNames) -> str:
    """A stretch without marks, with marks."""
    if not text.strip():
        return text
    folded = fold(text)
    spans = sorted(_spans(folded, names), key=lambda span: (span[0], -span[1]))
    parts, end = [], 0
    for begin, until, mark in _merged(spans):
        first, last = folded.origin[begin], folded.origin[until - 1] + 1
        if first < end:  # one character of the text that was folded into several
            first = end
        parts += [text[end:first], mark]
        end = max(last, end)
        while end < len(text) and not _folded_character(text[end]):
            end += 1  # an invisible character or accent that belonged to it
    return "".join([*parts, text[end:]])


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap or touch as one, under the mark of the first."""
    merged: list[Span] = []
    for begin, until, mark in spans:
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]), merged[-1][2])
        else:
            merged.append((begin, until, mark))
    return merged


def _spans(folded: Folded, names: KnownNames) -> Iterator[Span]:
    """What is to be taken out: beginning, end, mark."""
    inside: list[tuple[int, int]] = []  # of what an @ may be a part of
    for mark, pattern in WORDS:
        for found in pattern.finditer(folded.text):
            begin, end = found.span()
            if mark == MENTION and any(a <= begin < b for a, b in inside):
                continue  # its end would be guessed
            inside.append((begin, end))
            yield begin, end, mark
    for found in IPV6.finditer(folded.text):
        if _is_address(found[0]):
            yield found.start(), found.end(), IDENTIFIER
    digits = folded.text.translate(_NUMERALS)
    for mark, pattern in DIGITS:
        for found in pattern.finditer(digits):
            yield found.start(), found.end(), mark
    yield from _numbers(digits)
    for begin, until in names.within(folded.text):
        yield begin, until, NAME


def _numbers(digits: str) -> Iterator[Span]:
    """Long runs of digits but for dates."""
    dated = DATE.sub(lambda found: "\0" * len(found[0]), digits)
    for found in LONG_NUMBER.finditer(dated.translate(_LOOKALIKES)):
        real = sum(c.isdigit() for c in dated[found.start() : found.end()])
        if real >= _LEAST_REAL:
            yield found.start(), found.end(), NUMBER


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def fold(text: str) -> Folded:
    """`text` in half width with ASCII digits, without what cannot be seen."""
    letters: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        plain = _folded_character(character)
        letters.append(plain)
        origin.extend([place] * len(plain))
    return Folded("".join(letters), tuple(origin))


@lru_cache(1 << 16)
def _folded_character(character: str) -> str:
    """Half width (NFKC) but for the marks of Chinese sentences, at which a link ends; "" for what
    is not seen; a digit of any script as ours."""
    if character in "，；！？（）":
        return character
    kept = []
    for one in unicodedata.normalize("NFKC", character):
        kind = unicodedata.category(one)
        if (
            kind[0] == "M"
            or kind in ("Cf", "Cs", "Co", "Cn")
            or (kind == "Cc" and one not in "\t\n\r")
        ):
            continue
        number = unicodedata.numeric(one, -1.0) if kind[0] == "N" else -1.0
        kept.append(str(int(number)) if number in range(10) else one)
    return "".join(kept)
