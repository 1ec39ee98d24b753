"""The forms of one string: other scripts, split by marks, spelt by sound, taken to pieces.

In: a screen and one of its strings. Out: the forms in which people wrote it, each with its posts,
accounts and removals. Scripts, widths, cases and small marks are one symbol in the stream already:
those forms are only told apart here. Strings that sound the same (pinyin without tones, the usual
reading of each character) or are taken to pieces are other strings of the stream; they join only
if their posts, too, are removed more often than their accounts and weeks lead to expect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pypinyin import lazy_pinyin

from vanished.explain.contrast import Drawn, tails
from vanished.explain.screen import Screen
from vanished.explain.shares import K
from vanished.explain.symbols import fold

WRITTEN, SPLIT, SCRIPT, SOUND, PIECES = "written", "split", "script", "sound", "pieces"
# As `Term` names it; with marks in it; in another script, width or case; and as the module says.
_FORMS: Final = 20  # by sound, of one string, the most frequent: so many are tested

# Characters that people take to pieces, with their left and right halves; simplified.
_APART = (
    "好女子 明日月 林木木 胡古月 张弓长 杨木易 陈耳东 强弓虽 歌哥欠 权木又 功工力 动云力 税禾兑 "
    "种禾中 群君羊 静青争 默黑犬 谢言射 树木对 朋月月 双又又 加力口 和禾口 知矢口 如女口 相木目 "
    "枪木仓 炮火包 村木寸 桥木乔 城土成 地土也 坏土不 线丝戋 鸡又鸟 鸭甲鸟 鸿江鸟 致至攵 政正攵 "
    "故古攵 教孝攵 新亲斤 折手斤 助且力 封圭寸 射身寸 断米斤 期其月 朝草月 职耳只 体人本 信人言 "
    "休人木 他人也 话言舌 访言方 证言正 许言午 讨言寸 钱金戋 镇金真 铁金失 银金艮 灯火丁 烟火因 "
    "妈女马 奶女乃 妇女彐 骗马扁 弘弓厶 "
)
_TAKEN_APART: Final = {three[0]: three[1:] for three in _APART.split()}


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing it; a form of fewer than five accounts is in no form."""

    written: str
    kind: str  # one of the words above
    posts: int
    accounts: int
    removed: int


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A string and its forms, most frequent first."""

    forms: tuple[Form, ...]
    posts: NDArray[np.int32]  # that hold any of them, in order
    folded: frozenset[str]  # the strings of the stream that are in it


class Variants:
    """Finds the families of one screen's strings; makes its table of sounds once."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.sizes = screen.compared.sizes()
        plain = screen.stream.plain
        sounds = [lazy_pinyin(one)[0] if len(one) == 1 else one for one in plain]
        number = {sound: place for place, sound in enumerate(dict.fromkeys(sounds))}
        self._sound_of = np.array([number[sound] for sound in sounds], np.int32)
        self._sounds = self._sound_of[screen.stream.codes]
        self._code_of = {one: code for code, one in enumerate(plain) if len(one) == 1}

    def family(self, string: int, largest_p: float) -> Family:
        """The family of a string; other strings join it if their p-value is at most `largest_p`
        over the number of those that are tested (Bonferroni)."""
        strings, stream = self.screen.strings, self.screen.stream
        length, at = int(strings.length[string]), strings.at(string)
        name = self.screen.name(string)
        forms = self._as_written(strings.positions(string), length, name)
        posts, folded = [self.screen.holders(string)], {name}
        codes = stream.codes[at : at + length]
        others = [*self._sounding(codes), *self._in_pieces(codes)]
        chances = self._chances([where for _, where, _ in others])
        for (kind, where, wide), p in zip(others, chances, strict=True):
            if p <= largest_p / len(others):
                held = self._texts(where)
                posts.append(held)
                folded.add(stream.folded(int(where[0]), wide))
                forms += self._form(stream.surface(int(where[0]), wide), kind, held)
        forms.sort(key=lambda form: -form.posts)
        return Family(tuple(forms), np.unique(np.concatenate(posts)), frozenset(folded))

    def _as_written(self, positions: NDArray[np.int32], length: int, name: str) -> list[Form]:
        """Its forms within one string of the stream."""
        stream = self.screen.stream
        by_form: dict[str, list[int]] = {}
        for at in positions.tolist():
            by_form.setdefault(stream.surface(at, length), []).append(at)
        found = []
        for (written, where), plain in zip(by_form.items(), fold([*by_form]), strict=True):
            kind = WRITTEN if written == name else SCRIPT if plain == name else SPLIT
            found += self._form(written, kind, self._texts(np.array(where)))
        return found

    def _form(self, written: str, kind: str, posts: NDArray[np.int32]) -> list[Form]:
        accounts = self.screen.accounts(posts)
        removed = int(self.screen.compared.removed[posts].sum())
        return [Form(written, kind, len(posts), accounts, removed)] if accounts >= K else []

    def _texts(self, positions: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.int32]:
        return np.unique(self.screen.stream.text_of[positions])

    def _sounding(self, codes: NDArray[np.uint16]) -> list[tuple[str, NDArray[np.int64], int]]:
        """Other strings of the same sounds, the most frequent: kind, positions and length."""
        if len(codes) < 2 or self.screen.stream.wordlike[codes].any():
            return []
        where = _places(self._sounds, self._sound_of[codes])
        spelt = self.screen.stream.codes[where[:, None] + np.arange(len(codes))]
        other = (spelt != codes).any(axis=1)
        where, spelt = where[other], spelt[other]
        counted = Counter(map(bytes, spelt))
        keys = np.array([hash(bytes(row)) for row in spelt], np.int64)
        found = []
        for key, times in counted.most_common(_FORMS):
            if times >= K:
                found.append((SOUND, where[keys == hash(key)], len(codes)))
        return found

    def _in_pieces(self, codes: NDArray[np.uint16]) -> list[tuple[str, NDArray[np.int64], int]]:
        """The string with one or all of its characters taken to pieces."""
        plain = [self.screen.stream.plain[code] for code in codes.tolist()]
        apart = [_TAKEN_APART.get(one, one) for one in plain]
        ways = {"".join([*plain[:n], apart[n], *plain[n + 1 :]]) for n in range(len(plain))} | {
            "".join(apart)
        }
        found = []
        for way in sorted(ways - {"".join(plain)}):
            spelt = [self._code_of.get(one, 0) for one in way]
            if all(spelt):
                where = _places(self.screen.stream.codes, np.array(spelt))
                if len(where) >= K:
                    found.append((PIECES, where, len(way)))
        return found

    def _chances(self, places: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """The p-value of the posts at each of these sets of positions."""
        if not places:
            return np.empty(0)
        held = [self._texts(where) for where in places]
        starts = np.concatenate(([0], np.cumsum([len(one) for one in held])))
        compared = self.screen.compared
        return tails(
            Drawn.of(starts, np.concatenate(held), compared.stratum, compared.removed, self.sizes)
        )


def _places(symbols: NDArray[np.generic], wanted: NDArray[np.generic]) -> NDArray[np.int64]:
    """Where `wanted` stands in `symbols`."""
    where = np.flatnonzero(symbols[: max(len(symbols) - len(wanted) + 1, 0)] == wanted[0])
    for offset in range(1, len(wanted)):
        where = where[symbols[where + offset] == wanted[offset]]
    return where
