"""What a post is about, cheaply: known terms, and clusters of posts that share rare n-grams.

In: a post's text, in the order in which posts come. Out: a few small numbers, under which the learner
counts losses, so that a campaign against a subject shows although nobody named the subject. Bounded
in memory whatever comes; no clock, no randomness: the same texts in the same order give the same
numbers. What is not done here: stories, terms and campaigns for readers (`explain/`).

Method: a mixture of unigrams over hashed character n-grams, learned in one pass with forgetting, as
in the stream clustering of short texts by Yin et al. (KDD 2018). Each cluster's n-grams are smoothed
towards those of all posts, so that common wording weighs nothing. A text that fits no cluster better
than chance takes the place of the cluster least in use.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from zlib import crc32

import numpy as np

from vanished.watch.hazard import Floats

WIDTH = 3  # numbers a post at most: its cluster, and the rarest known terms
BUCKETS = 1 << 13  # of hashed n-grams
CLUSTERS = 96
SMOOTH = 60.0  # n-grams of all posts that are mixed into each cluster
MEMORY = 40_000.0  # posts after which a count has fallen to 1/e
MOST_GRAMS = 200  # of a text; its beginning says what it is about
RESCALE = 1e6

# Scripts without spaces are cut into pairs of characters, others into words.
_PIECES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def grams(text: str) -> list[str]:
    """The distinct n-grams of a text, in order: pairs of characters, or whole words, case folded."""
    found: dict[str, None] = {}
    for piece in _PIECES.findall(text.casefold()):
        if _UNSPACED.match(piece) and len(piece) > 1:
            found.update((piece[i : i + 2], None) for i in range(len(piece) - 1))
        else:
            found[piece] = None
        if len(found) >= MOST_GRAMS:
            break
    return list(found)[:MOST_GRAMS]


class Topics:
    """Gives texts their topic numbers: 1 to `len(terms)` are known terms, those after are clusters.

    A number that fell out of use is given to another subject. `size` is one more than the largest.
    """

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._terms = [term.casefold() for term in terms]
        self._begins: dict[str, list[int]] = defaultdict(list)  # numbers of terms by first two letters
        for number, term in enumerate(self._terms, 1):
            self._begins[term[:2]].append(number)
        self._met = np.zeros(len(self._terms) + 1)
        self.size = 1 + len(self._terms) + CLUSTERS
        # Counts grow with `_weight`, which makes older ones forgotten; all are scaled back at times.
        self._weight = 1.0
        self._grams = np.zeros((CLUSTERS, BUCKETS), dtype=np.float32)
        self._length = np.zeros(CLUSTERS)  # n-grams by cluster
        self._posts = np.zeros(CLUSTERS)
        self._all = np.zeros(BUCKETS)
        self._total = 0.0

    def of(self, text: str) -> tuple[int, ...]:
        """The topic numbers of the next post, at most WIDTH; none if the text has no letters."""
        places = np.unique([crc32(gram.encode()) % BUCKETS for gram in grams(text)])
        known = self._known(text.casefold())
        if not len(places):
            return tuple(known)
        self._age()
        self._all[places] += self._weight
        self._total += self._weight * len(places)
        cluster = self._closest(places)
        self._grams[cluster, places] += self._weight
        self._length[cluster] += self._weight * len(places)
        self._posts[cluster] += self._weight
        return (1 + len(self._terms) + cluster, *known)

    def _known(self, text: str) -> list[int]:
        """The known terms in a text that were met least so far."""
        found = {
            number
            for i in range(len(text) if self._terms else 0)
            for begin in {text[i : i + 2], text[i : i + 1]}
            for number in self._begins.get(begin, ())
            if text.startswith(self._terms[number - 1], i)
        }
        self._met[list(found)] += 1
        return sorted(found, key=lambda number: (self._met[number], number))[: WIDTH - 1]

    def _closest(self, places: np.typing.NDArray[np.int64]) -> int:
        """The cluster under which the n-grams are likeliest, or the least used one for a new subject."""
        usual = self._all[places] / self._total * SMOOTH
        length = self._length / self._weight
        odds: Floats = np.log1p(self._grams[:, places] / self._weight / usual).sum(axis=1)
        odds -= len(places) * np.log1p(length / SMOOTH)
        odds += np.log(np.maximum(self._posts / self._weight, 1e-9))
        best = int(np.argmax(odds))
        return best if odds[best] > 0 else int(np.argmin(self._posts))

    def _age(self) -> None:
        self._weight *= np.exp(1.0 / MEMORY)
        if self._weight > RESCALE:
            for counts in (self._grams, self._length, self._posts, self._all):
                counts /= self._weight
            self._total /= self._weight
            self._weight = 1.0
