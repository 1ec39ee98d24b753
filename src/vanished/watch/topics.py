"""What a post is about, cheaply: known terms, and clusters of posts that share rare n-grams.

In: a post's text, in the order in which posts come. Out: a few small numbers, under which the
learner counts losses, so that a campaign against a subject shows although nobody named the subject.
Bounded in memory whatever comes; no clock, no randomness: the same texts in the same order give the
same numbers. What is not done here: stories, terms and campaigns for readers (`explain/`).

Method: a mixture of unigrams over hashed character n-grams, learned from the stream with forgetting
(Yin et al., KDD 2018, "Model-based clustering of short text streams"). Each cluster's n-grams are
smoothed towards those of all posts, so that common wording weighs nothing. A text that fits no
cluster better than chance takes the place of the cluster least in use. With each post a few of the
newest are placed anew, since the first posts of a subject come before its cluster.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from zlib import crc32

import numpy as np
import numpy.typing as npt

WIDTH = 4  # numbers a post at most: one or two clusters, and the two rarest known terms
CLOSE = 2.0  # log odds within which the second cluster counts too
BUCKETS = 1 << 13  # of hashed n-grams
CLUSTERS = 64
SMOOTH, SHARE = (
    300.0,
    2.0,
)  # a cluster is mixed with so many n-grams of all posts, and times its own
MOST_SMOOTH = 10_000.0  # of all posts, in large clusters
STRANGE = 1 / 64  # the share of all posts that the thought of a new subject weighs as much as
MEMORY = 40_000.0  # posts after which a count has fallen to 1/e
RECENT = 4096  # newest posts that may be placed anew
AGAIN = 4  # of them with each post
STRIDE = 1009  # from one to the next; prime to RECENT, so that all have their turn
MOST_GRAMS = 200  # of a text; its beginning says what it is about
RESCALE = 1e6

# Scripts without spaces are cut into pairs of characters, others into words.
_LETTERS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PIECES = re.compile(f"[{_LETTERS}]+|[^\\W_{_LETTERS}]+")
_UNSPACED = re.compile(f"[{_LETTERS}]")


def grams(text: str) -> list[str]:
    """The distinct n-grams of a text in order: pairs of characters or whole words, case folded."""
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
        self._begins: dict[str, list[int]] = defaultdict(list)  # numbers of terms by first letters
        for number, term in enumerate(self._terms, 1):
            self._begins[term[:2]].append(number)
        self._met = np.zeros(len(self._terms) + 1)
        self.size = 1 + len(self._terms) + CLUSTERS
        # Counts grow with `_weight`, so older ones are forgotten; all are scaled back at times.
        self._weight = 1.0
        self._grams = np.zeros((BUCKETS, CLUSTERS), dtype=np.float32)
        self._length = np.zeros(CLUSTERS)  # n-grams by cluster
        self._posts = np.zeros(CLUSTERS)
        self._all = np.zeros(BUCKETS)
        self._total = 0.0
        # The newest posts: their n-grams, the cluster and the weight that they were counted with.
        self._recent: list[npt.NDArray[np.int64]] = []
        self._placed = np.zeros(RECENT, dtype=np.int64)
        self._with = np.zeros(RECENT)
        self._next = self._turn = 0

    def of(self, text: str) -> tuple[int, ...]:
        """The topic numbers of the next post, at most WIDTH; none if the text has no letters."""
        places = np.unique([crc32(gram.encode()) % BUCKETS for gram in grams(text)])
        known = self._known(text.casefold())
        if not len(places):
            return tuple(known)
        self._age()
        self._all[places] += self._weight
        self._total += self._weight * len(places)
        cluster, *second = self._closest(places)
        self._count(cluster, places, self._weight)
        self._keep(places, cluster)
        for _ in range(AGAIN):
            self._turn = (self._turn + STRIDE) % RECENT
            if self._turn < len(self._recent):
                self._place_anew(self._turn)
        return (*(1 + len(self._terms) + number for number in (cluster, *second)), *known)

    def _known(self, text: str) -> list[int]:
        """The known terms in a text that were met least so far."""
        found = {
            number
            for i in range(len(text) if self._terms else 0)
            for begin in (text[i : i + 2], text[i])
            for number in self._begins.get(begin, ())
            if text.startswith(self._terms[number - 1], i)
        }
        self._met[list(found)] += 1
        return sorted(found, key=lambda number: (self._met[number], number))[:2]

    def _closest(self, places: npt.NDArray[np.int64]) -> list[int]:
        """The cluster under which the n-grams are likeliest; for a new subject the least used.

        After it the second likeliest, if it comes close.
        """
        mixed = np.minimum(self._weight * SMOOTH + SHARE * self._length, self._weight * MOST_SMOOTH)
        usual = np.multiply.outer(self._all[places] / self._total, mixed).astype(np.float32)
        odds = np.log1p(np.maximum(self._grams[places], 0.0) / usual).sum(axis=0, dtype=np.float64)
        odds -= len(places) * np.log1p(self._length / mixed)
        posts = np.maximum(self._posts, 1e-9 * self._weight)
        odds += np.log(posts / max(self._weight, STRANGE * float(self._posts.sum())))
        second, best = (int(number) for number in np.argsort(odds)[-2:])
        if odds[best] <= 0:
            return [int(np.argmin(self._posts))]
        return [best, second] if odds[second] > max(odds[best] - CLOSE, 0.0) else [best]

    def _count(self, cluster: int, places: npt.NDArray[np.int64], weight: float) -> None:
        self._grams[places, cluster] += weight
        self._length[cluster] = max(self._length[cluster] + weight * len(places), 0.0)
        self._posts[cluster] = max(self._posts[cluster] + weight, 0.0)

    def _keep(self, places: npt.NDArray[np.int64], cluster: int) -> None:
        at = self._next % RECENT
        if len(self._recent) < RECENT:
            self._recent.append(places)
        else:
            self._recent[at] = places
        self._placed[at], self._with[at] = cluster, self._weight
        self._next += 1

    def _place_anew(self, at: int) -> None:
        places, weight = self._recent[at], float(self._with[at])
        self._count(int(self._placed[at]), places, -weight)
        self._placed[at] = cluster = self._closest(places)[0]
        self._count(cluster, places, weight)

    def _age(self) -> None:
        self._weight *= np.exp(1.0 / MEMORY)
        if self._weight > RESCALE:
            for counts in (self._grams, self._length, self._posts, self._all, self._with):
                counts /= self._weight
            self._total /= self._weight
            self._weight = 1.0
