"""Fold texts so that the same words in another script, width, case or sound become equal.

In: texts in Arrow. Out: code points without links, mentions, blanks, punctuation and emoji, in
simplified characters; and the toneless pinyin of each, so that homophones are equal. Nothing is
compared here, and what is folded is never shown: it is nobody's words any more.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLOCK: Final = 1 << 17  # texts folded at a time: bounds the memory of their code points
LINKS: Final = r"(?i)(?:https?://|www\.)[!-~]+"
MENTIONS: Final = r"[@＠][\p{L}\p{N}_\-·]{1,30}"
TOPICS: Final = r"[#＃][^#＃\n]{1,40}[#＃]|[#＃][\p{L}\p{N}_]{1,20}(?:\s|$)"
"""Hashtags: posts that share one are on a topic, and tell no one story for that."""
_UNICODE: Final = 0x110000
_SYLLABLES: Final = 1 << 22  # where the numbers of syllables begin, beyond all code points


@dataclass(frozen=True, slots=True)
class Folded:
    """Texts as numbers, one after the other: text i is `codes[starts[i]:starts[i + 1]]`.

    `codes` holds code points or, after `sounded`, numbers of syllables (uint32).
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def rows(self, chosen: NDArray[np.int64]) -> Folded:
        """The texts of these numbers, which ascend."""
        lengths = self.lengths
        if len(chosen) == len(lengths):
            return self
        kept = np.zeros(len(lengths), bool)
        kept[chosen] = True
        starts = np.concatenate([[0], np.cumsum(lengths[chosen])])
        return Folded(self.codes[np.repeat(kept, lengths)], starts)


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places start, start + 1, ... of each span, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + lengths, lengths)


def stripped(texts: pa.ChunkedArray | pa.Array, *more: str) -> Any:
    """The texts without links and without mentions, which name people, nor what matches `more`;
    a null is an empty text."""
    found: Any = pc.fill_null(texts.cast(pa.large_string()), "")
    for pattern in (LINKS, MENTIONS, *more):
        found = pc.replace_substring_regex(found, pattern, " ")
    return found


def fold(texts: pa.ChunkedArray | pa.Array) -> Folded:
    """Letters and digits of each text in NFKC, small, simplified (OpenCC's t2s by character),
    without links, mentions and hashtags."""
    codes, lengths = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    for begin in range(0, len(texts), BLOCK):
        block = _fold_block(stripped(texts.slice(begin, BLOCK), TOPICS))
        codes.append(block.codes)
        lengths.append(block.lengths)
    ends = np.cumsum(np.concatenate(lengths))
    return Folded(np.concatenate(codes), np.concatenate([np.zeros(1, np.int64), ends]))


def _fold_block(texts: Any) -> Folded:
    codes = np.frombuffer("".join(texts.to_pylist()).encode("utf-32-le"), np.uint32)
    ends = np.cumsum(np.asarray(pc.utf8_length(texts)), dtype=np.int64)
    present = np.flatnonzero(np.bincount(codes, minlength=1))
    first, length = np.zeros(_UNICODE, np.int32), np.zeros(_UNICODE, np.uint8)
    spelt = _folded_characters("".join(map(chr, present)))
    lengths = np.array([len(each) for each in spelt], np.int64)
    length[present] = lengths
    first[present] = np.cumsum(lengths) - lengths
    flat = np.array([ord(c) for each in spelt for c in each], np.uint32)
    kept = codes[length[codes] > 0]
    places = first[kept].astype(np.int64)
    if lengths.max(initial=0) > 1:  # ligatures and squared words: one character becomes several
        places = spans(places, length[kept].astype(np.int64))
    sizes = np.concatenate([[0], np.cumsum(length[codes], dtype=np.int64)])
    return Folded(flat[places], np.concatenate([[0], sizes[ends]]))


def _folded_characters(characters: str) -> list[str]:
    """What each character becomes; "" for those that say nothing."""
    plain = []
    for character in characters:
        spelt = unicodedata.normalize("NFKC", character).casefold()
        plain.append("".join(c for c in spelt if unicodedata.category(c)[0] in "LN"))
    simplified: str = _converter().convert("\n".join(plain))
    return simplified.split("\n")


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


def sounded(folded: Folded) -> Folded:
    """The same texts with each Chinese character as its first toneless reading (pypinyin)."""
    present = np.flatnonzero(np.bincount(folded.codes, minlength=1))
    sound = np.arange(_UNICODE, dtype=np.uint32)
    chinese = present[(present >= 0x3400) & (present < 0x323B0)]
    sound[chinese] = _syllables("".join(map(chr, chinese)))
    return Folded(sound[folded.codes], folded.starts)


def _syllables(characters: Sequence[str]) -> list[int]:
    """The number of each character's syllable: its letters, read in base 27."""
    from pypinyin import lazy_pinyin

    numbers = []
    for character in characters:
        number = 0
        for letter in lazy_pinyin(character)[0]:
            number = number * 27 + ord(letter) - 96 if "a" <= letter <= "z" else -_UNICODE
        numbers.append(_SYLLABLES + number if number > 0 else ord(character))
    return numbers
