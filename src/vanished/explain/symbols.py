"""Texts as one stream of symbols, so that the same word is the same whatever it is dressed in.

In: texts. Out: a stream of 16-bit codes, one for each character of a script that has no spaces and
one for each word of the others, with breaks at sentence marks and ends of texts, and the way back
to the letters. Traditional and simplified characters, widths and cases are folded; spaces and
small marks between two characters are passed over, so that "a b*c" is "abc". Addresses and
mentions of people are taken out: they are not what this looks for. Nothing is counted here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import opencc
from numpy.typing import NDArray

_BREAK, _CHARACTER, _LETTER, _PASSED, _MARK = range(5)  # what a character is to the stream
_MARKS: Final = frozenset("*.·•・-_/|\\~^+='`")  # people put these between characters
_MOST_MARKS = 3  # in a row; more is a line or a row of dots, hence a break
_END = "\0"  # between texts
_TAKEN_OUT = re.compile(r"https?://[!-~]+|@[\w.-]{1,30}")
_SPACELESS: Final = (  # blocks of scripts that are written without spaces
    (0x0E00, 0x0EFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3040, 0x30FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
_CODES = 65_535  # of two bytes, 0 being the break
_BASE = np.uint64(1_099_511_628_211)  # of the polynomial hash of a word


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Symbols in the order of the texts. All arrays but `wordlike` have one entry a symbol."""

    codes: NDArray[np.uint16]  # 0 is a break
    text_of: NDArray[np.int32]  # number of the text
    begin: NDArray[np.int32]  # offset of its first letter in `letters`
    wordlike: NDArray[np.bool_]  # by code: a whole word, not one character
    plain: tuple[str, ...]  # by code: its folded form
    letters: str

    def folded(self, at: int, length: int) -> str:
        """The string of `length` symbols at `at`, folded; words with spaces between them."""
        codes = self.codes[at : at + length].tolist()
        spelt: str = self.plain[codes[0]]
        for before, code in pairwise(codes):
            spaced = self.wordlike[before] and self.wordlike[code]
            spelt += f" {self.plain[code]}" if spaced else self.plain[code]
        return spelt

    def surface(self, at: int, length: int) -> str:
        """The same as its author wrote it."""
        last = at + length - 1
        end = int(self.begin[last]) + len(self.plain[int(self.codes[last])])
        return self.letters[int(self.begin[at]) : end]


def fold(texts: Sequence[str]) -> list[str]:
    """`texts` as the stream has their letters: simplified, lower-case, of ordinary width."""
    letters = sorted({letter for text in texts for letter in text})
    table = dict(zip(map(ord, letters), _folds(letters), strict=True))
    return [text.translate(table) for text in texts]


@cache
def _converter() -> Any:
    """Traditional to simplified; made once, for it reads dictionaries."""
    return opencc.OpenCC("t2s")


def _folds(characters: Sequence[str]) -> list[str]:
    """Each character's folded form; one that folds to several stays as it is."""
    lower = [unicodedata.normalize("NFKC", one).lower() for one in characters]
    kept = [new if len(new) == 1 else old for old, new in zip(characters, lower, strict=True)]
    if all(one < "\u2e80" for one in kept):
        return kept
    lines = [" " if one in "\r\n" else one for one in kept]  # a line a character: no phrases
    simple = _converter().convert("\n".join(lines)).split("\n")
    return [
        new if len(new) == 1 and old not in "\r\n" else old
        for old, new in zip(kept, simple, strict=True)
    ]


def stream(texts: Sequence[str], least: int) -> Stream:
    """The stream of `texts`. A symbol that occurs less than `least` times can be part of no string
    that does not, and is a break."""
    joined = _END.join(text.replace(_END, " ") for text in texts)
    if "@" in joined or "http" in joined:
        joined = _TAKEN_OUT.sub("\n", joined)
    letters = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    kinds, folded = _tables(letters)
    kind = kinds[letters]
    where = np.flatnonzero(kind != _PASSED).astype(np.int32)
    kind = kind[where]
    keep = _without_small_marks(kind)
    where, kind = where[keep], kind[keep]
    starts = _starts(kind, where)
    words = np.flatnonzero(kind[starts] == _LETTER)
    past = where[np.append(starts, len(where))[words + 1] - 1] + 1  # each word's last letter
    begin, kind = where[starts], kind[starts]
    del where, starts
    codes, wordlike, plain = _codes(letters, folded, kind, begin, words, past, least)
    bounds = np.searchsorted(begin, np.flatnonzero(letters == ord(_END)).astype(np.int32), "right")
    sizes = np.diff(bounds, prepend=0, append=len(begin))
    text_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return Stream(codes, text_of, begin, wordlike, plain, joined)


def _tables(letters: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """By code point: what kind it is, and what it folds to."""
    present = np.flatnonzero(np.bincount(letters, minlength=1))
    size = int(present[-1]) + 1 if len(present) else 1
    kinds = np.zeros(size, np.uint8)
    folded = np.arange(size, dtype=np.uint32)
    characters = [chr(point) for point in present.tolist()]
    for point, character in zip(present.tolist(), _folds(characters), strict=True):
        folded[point] = ord(character)
        kinds[point] = _kind(character)
    return kinds, folded


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if character in _MARKS:
        return _MARK
    if category in ("Zs", "Cf") or character == "\t" or "\ufe00" <= character <= "\ufe0f":
        return _PASSED
    if category[0] in "LNM":
        point = ord(character)
        spaceless = any(low <= point <= high for low, high in _SPACELESS)
        return _CHARACTER if spaceless else _LETTER
    return _CHARACTER if category == "So" else _BREAK


def _without_small_marks(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which to keep: not a few marks between two characters. Other marks become breaks, here."""
    marks = kind == _MARK
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marks.view(np.int8), [0]))))
    first, past = edges[::2], edges[1::2]
    padded = np.concatenate((kind, [np.uint8(_BREAK)]))
    few = (
        (past - first <= _MOST_MARKS)
        & (padded[first - 1] == _CHARACTER)
        & (padded[past] == _CHARACTER)
    )
    keep = np.ones(len(kind), bool)
    for low, high in zip(first[few].tolist(), past[few].tolist(), strict=True):
        keep[low:high] = False
    kind[marks] = _BREAK
    return keep


def _starts(kind: NDArray[np.uint8], where: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where symbols start: letters without anything between them are one, and breaks are."""
    starts = np.ones(len(kind), bool)
    same = kind[1:] == kind[:-1]
    word = same & (kind[1:] == _LETTER) & (np.diff(where) == 1)
    starts[1:] = ~(word | (same & (kind[1:] == _BREAK)))
    # The break between two texts may begin in the first: no string holds it.
    return np.flatnonzero(starts)


def _codes(
    letters: NDArray[np.uint32],
    folded: NDArray[np.uint32],
    kind: NDArray[np.uint8],
    begin: NDArray[np.int32],
    word: NDArray[np.int64],
    past: NDArray[np.int32],
    least: int,
) -> tuple[NDArray[np.uint16], NDArray[np.bool_], tuple[str, ...]]:
    """Each symbol's code; by code, whether it is a word, and its folded form. `word` are the
    symbols that are words, `past` the offset past the last letter of each."""
    codes = np.zeros(len(kind), np.uint16)
    single = kind == _CHARACTER
    points = folded[letters[begin[single]]]
    times = np.bincount(points, minlength=1)
    frequent = np.flatnonzero(times >= least)
    frequent = frequent[np.argsort(-times[frequent], kind="stable")][:_CODES]
    table = np.zeros(len(times), np.uint16)
    table[frequent] = np.arange(1, len(frequent) + 1)
    codes[single] = table[points]
    hashes = _hashes(letters, folded, begin[word], past)
    distinct, first, back, counts = np.unique(
        hashes, return_index=True, return_inverse=True, return_counts=True
    )
    common = np.flatnonzero(counts >= least)
    common = common[np.argsort(-counts[common], kind="stable")][: _CODES - len(frequent)]
    of_word = np.zeros(len(distinct), np.uint16)
    of_word[common] = np.arange(len(frequent) + 1, len(frequent) + len(common) + 1)
    codes[word] = of_word[back]
    wordlike = np.zeros(len(frequent) + len(common) + 1, bool)
    wordlike[len(frequent) + 1 :] = True
    spelt = [
        "".join(map(chr, folded[letters[begin[word[at]] : past[at]]].tolist()))
        for at in first[common].tolist()
    ]
    return codes, wordlike, ("", *map(chr, frequent.tolist()), *spelt)


def _hashes(
    letters: NDArray[np.uint32],
    folded: NDArray[np.uint32],
    begin: NDArray[np.int32],
    past: NDArray[np.int32],
) -> NDArray[np.uint64]:
    """A 64-bit polynomial hash of each word's folded letters."""
    if not len(begin):
        return np.empty(0, np.uint64)
    lengths = (past - begin).astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    place = np.arange(int(lengths.sum())) - np.repeat(offsets, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, np.uint64))
    spelt = folded[letters[np.repeat(begin, lengths) + place]].astype(np.uint64)
    return np.add.reduceat(spelt * powers[place], offsets)
