"""Posts in which some strings bring removal: a world whose true terms and combinations are known.

In: how many posts, a seed. Out: a table of posts as `archive.arrow` has it, and what was planted:
coinages (strings of rare characters), rare words (of common characters), pairs and triples that
only together bring removal. Every account is removed from at its own rate, so that what its author
likes to say goes with removal, too: that is the trap. Texts are generated; nobody wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.archive.arrow import POSTS
from vanished.lab import texts
from vanished.model import DAY, HOUR, Micros

BEGAN: Micros = 1_522_540_800_000_000  # 2018-04-01T00:00:00Z
_COMMON = (
    "山水云风花月石林田江河春秋东西南北大小中上下里外前后"
    "天地人来去高低长远近新旧明白清平安和光声色香"
)
_RARE = "鹮鹬鹠鹨鸲鸮鸫鸸蝾螈蜉蝣虻蚋蛾蛴罟罾笊筌筲箬簋簠觥觯甑甗匜盉缶瓮榫椽檩枋斗拱槠楸椴桤枞栎榉"
_SLOTS = 3


FAMILIES = (  # strings and their disguises: as written, other script, split, by sound, in pieces
    ("云灯会", "雲燈會", "云*灯 会", "芸登绘"),
    ("静桥信", "靜橋信", "静.桥.信", "青争木乔人言"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the world is like."""

    posts: int = 12_000
    accounts: int = 300
    days: int = 56
    seed: int = 0
    coinages: int = 8
    rare_words: int = 8
    pairs: int = 6
    triples: int = 3
    families: int = 0  # of `FAMILIES`; every form is in half as many posts as a planted string
    each: int = 60  # posts of every planted string, pair and triple
    alone: int = 80  # further posts that hold a part of a combination without the rest
    chance: float = 0.6  # of removal by what was planted
    rate: float = 0.04  # mean rate of removal without it; accounts' rates vary widely around it
    signal: bool = True  # False: the strings are woven in all the same, and nothing comes of it


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """The posts, and what was planted in them."""

    posts: pa.Table
    singles: tuple[str, ...]
    pairs: tuple[frozenset[str], ...]
    triples: tuple[frozenset[str], ...]


def documents(settings: Settings) -> Documents:
    """Make them; the same for the same settings."""
    rng = np.random.default_rng(settings.seed)
    account = rng.choice(settings.accounts, settings.posts, p=_unequal(rng, settings.accounts))
    written = _written(rng, account, settings)
    words = _words(rng, settings, "\n".join(_filled(*post) for post in written))
    singles = tuple(words[: settings.coinages + settings.rare_words])
    rest = iter(words[len(singles) :])
    pairs = tuple(frozenset((next(rest), next(rest))) for _ in range(settings.pairs))
    triples = tuple(
        frozenset((next(rest), next(rest), next(rest))) for _ in range(settings.triples)
    )
    chance = rng.beta(0.5, 0.5 / settings.rate - 0.5, settings.accounts)[account]
    _plant(rng, written, chance, (singles, pairs, triples), settings)
    removed = rng.random(settings.posts) < chance
    return Documents(_table(rng, account, written, removed, settings), singles, pairs, triples)


def _words(rng: np.random.Generator, settings: Settings, said: str) -> list[str]:
    """Coinages, rare words, then parts of combinations; `said` is all that is said without them,
    and a rare word is there, but not in many posts. No two share two letters in a row: what two
    planted strings share would go with removal as truly as they do."""
    wanted = settings.coinages + settings.rare_words + 2 * settings.pairs + 3 * settings.triples
    found: list[str] = []
    while len(found) < wanted:
        coinage = len(found) < settings.coinages
        length = int(rng.integers(3, 5)) if coinage else int(rng.integers(2, 4))
        word = "".join(rng.choice(list(_RARE if coinage else _COMMON), length, replace=False))
        if said.count(word) > settings.each // 3:
            continue
        if not any(a + b in other for other in found for a, b in pairwise(word)):
            found.append(word)
    return found


def _unequal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    shares = rng.lognormal(0, 0.8, count)
    return np.asarray(shares / shares.sum())


def _written(
    rng: np.random.Generator, account: NDArray[np.int64], settings: Settings
) -> list[tuple[str, list[str]]]:
    """For each post a short text on a topic that its account favours, with slots in it, and words
    that nobody planted for these."""
    count = len(account)
    shares = np.array([topic.share for topic in texts.TOPICS])
    leaning = rng.dirichlet(shares / shares.sum() * 6, settings.accounts).cumsum(axis=1)
    topic = (rng.random((count, 1)) > leaning[account]).sum(axis=1).clip(0, len(shares) - 1)
    filler = _filler(rng)
    weight = 1 / np.arange(2, len(filler) + 2)
    chosen = rng.choice(len(filler), (count, _SLOTS), p=weight / weight.sum())
    draws = rng.integers(0, 2**31, (count, 6 + _SLOTS))
    found = []
    for number, (row, used) in enumerate(zip(draws.tolist(), chosen.tolist(), strict=True)):
        about = texts.TOPICS[topic[number]]
        a, b, c, d, e, f = row[:6]
        place, when = texts.PLACES[a % len(texts.PLACES)], texts.WHEN[b % len(texts.WHEN)]
        subject = about.subjects[c % len(about.subjects)]
        head = f"{when}，{place}的{subject}{about.events[d % len(about.events)]}。"
        if e % 2:
            head += f"{texts.WHO[e % 10]}说，{about.remarks[f % len(about.remarks)]}。"
        frames = [texts.FRAMES[g % len(texts.FRAMES)] for g in row[6:]]
        found.append((head + "".join(frames), [filler[word] for word in used]))
    return found


def _filler(rng: np.random.Generator) -> list[str]:
    """Invented words for the long tail of a vocabulary, most common first."""
    lengths = rng.integers(2, 5, 3000)
    letters = rng.choice([*_COMMON], (3000, 4))
    return ["".join(row[:n]) for row, n in zip(letters.tolist(), lengths.tolist(), strict=True)]


def _plant(
    rng: np.random.Generator,
    written: list[tuple[str, list[str]]],
    chance: NDArray[np.float64],
    planted: tuple[tuple[str, ...], tuple[frozenset[str], ...], tuple[frozenset[str], ...]],
    settings: Settings,
) -> None:
    """Put the strings into slots, and raise the chance of removal where they bring it."""
    singles, pairs, triples = planted
    order = iter(rng.permutation(len(written)).tolist())

    def put(words: Sequence[str], times: int, fatal: bool) -> None:
        for _ in range(times):
            number = next(order)
            slots = rng.permutation(_SLOTS)[: len(words)].tolist()
            for slot, word in zip(slots, words, strict=True):
                written[number][1][slot] = word
            if fatal and settings.signal:
                chance[number] = 1 - (1 - chance[number]) * (1 - settings.chance)

    for word in singles:
        put([word], settings.each, True)
    for forms in FAMILIES[: settings.families]:
        for form in forms:
            put([form], settings.each // 2, True)
    for group in (*pairs, *triples):
        parts = sorted(group)
        put(parts, settings.each, True)
        for part in parts:
            put([part], settings.alone, False)
        if len(parts) == 3:
            for skipped in parts:
                put([part for part in parts if part != skipped], settings.alone // 2, False)


def _filled(text: str, words: Sequence[str]) -> str:
    for word in words:
        text = text.replace("{w}", word, 1)
    return text


def _table(
    rng: np.random.Generator,
    account: NDArray[np.int64],
    written: list[tuple[str, list[str]]],
    removed: NDArray[np.bool_],
    settings: Settings,
) -> pa.Table:
    count = len(written)
    seen = BEGAN + np.sort(rng.integers(0, settings.days * DAY, count))
    gone = [int(t) + 3 * HOUR if lost else None for t, lost in zip(seen, removed, strict=True)]
    columns: dict[str, Any] = {
        "post": [f"p{number:07d}" for number in range(count)],
        "account": [f"a{number:05d}" for number in account.tolist()],
        "platform": ["lab"] * count,
        "published_at": seen,
        "first_seen_at": seen,
        "alive_from": seen,
        "alive_until": np.where(removed, seen + 2 * HOUR, seen + 30 * DAY),
        "gone_by": gone,
        "state": np.where(removed, "gone", "alive"),
        "causes": np.where(removed, "platform", ""),
        "confidence": [""] * count,
        "explained_by": [None] * count,
        "notice": [""] * count,
        "looks": np.full(count, 10),
        "failed": np.zeros(count, np.int64),
        "title": [""] * count,
        "text": [_filled(text, words) for text, words in written],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in POSTS]
    return pa.Table.from_arrays(arrays, schema=POSTS)
