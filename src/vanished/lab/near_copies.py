"""Posts that copy each other, with the truth of who copies whom.

In: a seed and how much of what. Out: a table of posts (`archive.arrow.POSTS`), the true story of
each and how it was altered. The texts are drawn from invented words and mean nothing. Homophones
are neighbours in GB 2312, whose first level is in the order of sounds: a source of its own, which
is right about nine times in ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.archive.arrow import POSTS
from vanished.model import DAY, HOUR, MINUTE

COMMON: Final = "".join(
    bytes((high, low)).decode("gb2312")
    for high in range(0xB0, 0xD8)
    for low in range(0xA1, 0xFA if high == 0xD7 else 0xFF)
)
"""The 3,755 characters of GB 2312's first level, by sound."""
_PLACE: Final = {character: place for place, character in enumerate(COMMON)}
BEGIN: Final = 1_400_000_000 * 1_000_000  # 13 May 2014
PLATFORMS: Final = ("weibo", "wechat", "telegram")
KINDS: Final = ("edited", "homophones", "cut", "traditional", "marked", "several")
REWORDED: Final = "reworded"
FATES: Final = (  # state, causes, share
    ("alive", "", 0.7),
    ("gone", "platform", 0.2),
    ("gone", "author", 0.05),
    ("gone", "author,platform", 0.05),
)
_MARKS: Final = "，。！？、；：“”…—　 ·~🌸👍\u200b"


@dataclass(frozen=True, slots=True)
class Copies:
    """The posts, in the order of first sight, and what is true of each of them."""

    posts: pa.Table
    story: NDArray[np.int64]  # number of its story; posts with the same number tell the same
    kind: tuple[str, ...]  # "original", one of `KINDS`, or `REWORDED`


@dataclass(frozen=True, slots=True)
class Language:
    """Words and how often each is used; a topic prefers some of them."""

    words: tuple[str, ...]
    use: NDArray[np.float64]  # cumulated, so that drawing is a search
    topics: NDArray[np.int64]  # (topics, words of one)
    synonym: NDArray[np.int64]  # of each word


def language(rng: np.random.Generator, words: int = 12_000, topics: int = 40) -> Language:
    """Words of one to three characters, used as Zipf's law says."""
    use = 1 / np.arange(3, len(COMMON) + 3) ** 0.9
    order = rng.permutation(len(COMMON))
    letters = order[np.searchsorted(np.cumsum(use / use.sum()), rng.random((words, 3)))]
    sizes = rng.choice((1, 2, 2, 2, 3), words)
    spelt = tuple(
        "".join(COMMON[c] for c in row[:size]) for row, size in zip(letters, sizes, strict=True)
    )
    share = 1 / np.arange(3, words + 3)
    return Language(
        spelt,
        np.cumsum(share / share.sum()),
        rng.integers(50, words, (topics, 60)),
        rng.integers(0, words, words),
    )


def text(rng: np.random.Generator, spoken: Language, length: int, topic: int) -> list[int]:
    """The words of a text of about `length` characters; two in five are of its topic."""
    count = max(length // 2, 4)
    found = np.searchsorted(spoken.use, rng.random(count))
    own = rng.random(count) < 0.4
    found[own] = rng.choice(spoken.topics[topic], own.sum())
    return np.minimum(found, len(spoken.words) - 1).tolist()  # type: ignore[no-any-return]


def written(rng: np.random.Generator, spoken: Language, words: list[int]) -> str:
    """The words, with a comma or stop now and then."""
    marks = rng.random(len(words))
    return "".join(
        spoken.words[word] + ("，" if mark < 0.12 else "。" if mark > 0.93 else "")
        for word, mark in zip(words, marks, strict=True)
    )


def edited(rng: np.random.Generator, text: str, share: float = 0.1) -> str:
    """Some characters replaced, added or left out: in places, as people do."""
    characters = list(text)
    for _ in range(max(1, round(rng.random() * share * len(text) / 2))):
        place = int(rng.integers(len(characters)))
        long = int(rng.integers(1, 4))
        new = [COMMON[int(c)] for c in rng.integers(0, len(COMMON), int(rng.integers(0, 4)))]
        characters[place : place + long] = new
        if len(characters) < 4:
            return text
    return "".join(characters)


def homophones(rng: np.random.Generator, text: str, share: float = 0.25) -> str:
    """Some characters as a neighbour by sound."""
    places = [(_PLACE.get(c), c) for c in text]
    return "".join(
        COMMON[(place + int(rng.choice((-1, 1)))) % len(COMMON)]
        if place is not None and rng.random() < share
        else c
        for place, c in places
    )


def cut(rng: np.random.Generator, text: str) -> str:
    """The beginning, and a word that says there is more."""
    return text[: max(16, int(len(text) * rng.uniform(0.4, 0.9)))] + "…全文"


def traditional(rng: np.random.Generator, text: str) -> str:
    """In traditional characters, as OpenCC writes words."""
    return str(_converter(str(rng.choice(("s2t", "s2tw", "s2hk")))).convert(text))


@cache
def _converter(form: str) -> Any:
    import opencc

    return opencc.OpenCC(form)


def marked(rng: np.random.Generator, text: str) -> str:
    """Other punctuation, blanks and emoji, a link and a mention; wide digits for narrow ones."""
    signs = rng.random(len(text)) < 0.15
    picked = rng.integers(0, len(_MARKS), len(text))
    kept = (c + _MARKS[p] if s else c for c, s, p in zip(text, signs, picked, strict=True))
    return f"@somebody {''.join(kept)} https://t.example/{rng.integers(1 << 30):x}"


_ALTERED: Final[dict[str, Callable[[np.random.Generator, str], str]]] = {
    "edited": edited,
    "homophones": homophones,
    "cut": cut,
    "traditional": traditional,
    "marked": marked,
}


def altered(rng: np.random.Generator, text: str, kind: str) -> str:
    """`text` by one of `KINDS`; "several" is a few edits and then another way."""
    if kind != "several":
        return _ALTERED[kind](rng, text)
    other = str(rng.choice(("homophones", "traditional", "marked")))
    return _ALTERED[other](rng, edited(rng, text, 0.06))


def reworded(rng: np.random.Generator, spoken: Language, words: list[int]) -> list[int]:
    """The same in other words: a third as synonyms, the sentences in another order."""
    other = [int(spoken.synonym[word]) if rng.random() < 1 / 3 else word for word in words]
    third = max(len(other) // 3, 1)
    parts = [other[begin : begin + third] for begin in range(0, len(other), third)]
    return [word for part in rng.permutation(len(parts)) for word in parts[int(part)]]


def near_copies(
    seed: int, stories: int = 150, alone: int = 1_500, *, rewordings: bool = False
) -> Copies:
    """`stories` of 2 to about 20 posts, and `alone` posts that tell nothing twice, of which some
    quote a sentence of a story, or two stories one after the other, and so are traps."""
    rng = np.random.default_rng(seed)
    spoken = language(rng)
    rows: list[tuple[str, int, str, int]] = []
    originals = []
    for story in range(stories):
        words = text(rng, spoken, _length(rng), story % len(spoken.topics))
        first = written(rng, spoken, words)
        begin = int(rng.integers(30 * DAY))
        rows.append((first, story, "original", begin))
        originals.append(first)
        copies = [first]
        for _ in range(1 + int(rng.geometric(0.25))):
            begin += int(rng.exponential(6 * HOUR))
            if rewordings and rng.random() < 0.4 and len(first) >= 30:
                again = written(rng, spoken, reworded(rng, spoken, words))
                rows.append((again, story, REWORDED, begin))
                continue
            kind = str(rng.choice(KINDS))
            source = copies[int(rng.integers(len(copies)))] if rng.random() < 0.3 else first
            rows.append((altered(rng, source, kind), story, kind, begin))
            if kind != "cut":
                copies.append(rows[-1][0])
            copies = copies[:3]
    for number in range(alone):
        topic = int(rng.integers(len(spoken.topics)))
        own = written(rng, spoken, text(rng, spoken, _length(rng), topic))
        trap = rng.random()
        if trap < 0.05:  # quotes a piece of a story
            quoted = originals[int(rng.integers(stories))]
            piece = int(rng.integers(max(len(quoted) - 12, 1)))
            own = own[: len(own) // 2] + quoted[piece : piece + 12] + own[len(own) // 2 :]
        elif trap < 0.06:  # a digest of several stories belongs to none of them
            own = "".join(originals[int(s)] for s in rng.choice(stories, 4, replace=False))
        rows.append((own, stories + number, "original", int(rng.integers(30 * DAY))))
    return _table(rng, rows)


def short_texts(seed: int, count: int, copied: float = 0.2) -> list[str]:
    """`count` short texts of about 40 characters, of which a share copies another with a few
    characters changed: what the benchmark of speed reads. All at once, for it wants many."""
    rng = np.random.default_rng(seed)
    spoken = language(rng)
    sizes = rng.integers(10, 34, count)
    drawn = np.searchsorted(spoken.use, rng.random(int(sizes.sum())))
    drawn = np.minimum(drawn, len(spoken.words) - 1)
    sources = (np.arange(count) * rng.random(count)).astype(np.int64)
    copies = rng.random(count) < copied
    found: list[str] = []
    end = 0
    for number, size in enumerate(sizes.tolist()):
        end += size
        if number and copies[number]:
            found.append(edited(rng, found[sources[number]], 0.1))
        else:
            found.append("".join(spoken.words[word] for word in drawn[end - size : end]))
    return found


def _length(rng: np.random.Generator) -> int:
    return int(np.clip(rng.lognormal(3.8, 0.7), 12, 600))


def _table(rng: np.random.Generator, rows: list[tuple[str, int, str, int]]) -> Copies:
    rows = sorted(rows, key=lambda row: row[3])
    fates = rng.choice(len(FATES), len(rows), p=[share for *_, share in FATES])
    table: list[dict[str, Any]] = []
    for number, ((words, _, _, begin), fate) in enumerate(zip(rows, fates, strict=True)):
        state, causes, _ = FATES[int(fate)]
        seen = BEGIN + begin
        account = int(rng.integers(300))
        table.append(
            dict.fromkeys(POSTS.names)
            | {
                "post": f"p{number:07}",
                "account": f"a{account:03}",
                "platform": PLATFORMS[account % len(PLATFORMS)],
                "published_at": seen - 5 * MINUTE,
                "first_seen_at": seen,
                "alive_from": seen,
                "alive_until": seen + DAY,
                "gone_by": seen + DAY + HOUR if state == "gone" else None,
                "state": state,
                "causes": causes,
                "confidence": "strong" if state == "gone" else "",
                "notice": "",
                "looks": 5,
                "failed": 0,
                "title": "",
                "text": words,
            }
        )
    return Copies(
        pa.Table.from_pylist(table, schema=POSTS),
        np.array([story for _, story, _, _ in rows]),
        tuple(kind for _, _, kind, _ in rows),
    )


def pairwise(true: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[float, float, float]:
    """Precision, recall and F1 over pairs of posts that are in one story."""

    def pairs(*labels: NDArray[np.int64]) -> int:
        _, counts = np.unique(np.stack(labels), axis=1, return_counts=True)
        return int((counts * (counts - 1) // 2).sum())

    both, said, are = pairs(true, found), pairs(found), pairs(true)
    precision, recall = both / max(said, 1), both / max(are, 1)
    return precision, recall, 2 * both / max(said + are, 1)
