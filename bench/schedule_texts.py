"""Generated texts for the posts of a simulated world: what a reader would see of a topic.

In: a world. Out: a text for each post. Words are random pairs and triples of ideographs. Each topic
has a few dozen words of its own; a post has one to four of them among ten to thirty words that all
topics share. A share of posts that name their topic with no word can be asked for: a censor who
searches for words would not find them either. No text is anyone's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.schedule_world import TOPICS, World
from vanished.watch.hazard import Floats

SHARED_WORDS = 2000
TOPIC_WORDS = 24


def texts(world: World, *, silent: float = 0.0, earlier: int = 0) -> Iterator[str]:
    """One text a post, in the order of the posts; a share `silent` does not name its topic.

    Before them come `earlier` texts of posts on the same topics, older than the world.
    """
    rng = np.random.default_rng([world.seed, 11])
    words = _words(rng, SHARED_WORDS + TOPICS * TOPIC_WORDS)
    shared, own = _zipf(SHARED_WORDS), _zipf(TOPIC_WORDS)
    for topic in [*rng.integers(0, TOPICS, earlier).tolist(), *world.topic.tolist()]:
        chosen = rng.choice(SHARED_WORDS, rng.integers(10, 31), p=shared).tolist()
        if rng.random() >= silent:
            named = rng.choice(TOPIC_WORDS, rng.integers(1, 5), p=own)
            chosen += (SHARED_WORDS + topic * TOPIC_WORDS + named).tolist()
        yield "，".join(words[i] for i in rng.permutation(chosen))


def _words(rng: np.random.Generator, number: int) -> list[str]:
    """Distinct words of two or three ideographs out of some two thousand."""
    found: dict[str, None] = {}
    while len(found) < number:
        letters = rng.integers(0x4E00, 0x4E00 + 2000, rng.integers(2, 4))
        found["".join(map(chr, letters))] = None
    return list(found)


def _zipf(number: int) -> Floats:
    weight = 1.0 / (np.arange(number) + 2.0)
    return np.asarray(weight / weight.sum())
