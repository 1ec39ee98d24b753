"""Every closed string of the compared posts, with how unlikely its removals are by chance.

In: compared posts and the screen's settings. Out: strings, counts, p-values and Benjamini-Hochberg
q-values over all strings that were tested. `terms` and `combinations` both start from one screen;
what a reader is told is decided there, not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from vanished.errors import UsageError
from vanished.explain.contrast import Contrast, Drawn, contrast, matching, tails
from vanished.explain.shares import K, Share, share
from vanished.explain.strings import Strings, blocks, closed_strings
from vanished.explain.symbols import Stream, stream

_WORTH = 1.0  # standard deviations above the expected, below which no exact p-value is of interest
_BLOCK = 4_000_000  # occurrences at a time: bounds memory


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """What is compared, and which strings are tested."""

    open_too: bool = False  # count losses of an open cause as removed
    smallest: int = 20  # posts of a stratum, as far as its account has them
    posts: int = 20  # of a string, at least
    accounts: int = 8  # of a string, at least; not below 5
    closure: float = 0.85  # a longer string with this share of a string's posts replaces it
    q: float = 0.05  # false discoveries among findings, at most

    def __post_init__(self) -> None:
        if self.accounts < K or self.posts < K:
            raise UsageError(f"a string needs at least {K} accounts and posts; ask for as many.")
        if not 0 < self.q < 1 or not 0.5 <= self.closure <= 1:
            raise UsageError("q lies between 0 and 1, closure between 0.5 and 1; choose them so.")


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """Arrays have one entry for each tested string."""

    settings: ScreenSettings
    compared: Contrast
    stream: Stream
    strings: Strings
    hits: NDArray[np.int64]  # removed posts
    expected: NDArray[np.float64]  # of them, by the rates of the strata
    matched: NDArray[np.float64]  # surviving posts of the same accounts and weeks
    all_matched: float  # effective number of such posts with any string
    p: NDArray[np.float64]  # 1 where hardly more were removed than expected
    q: NDArray[np.float64]

    def name(self, string: int) -> str:
        """The string, folded."""
        return self.stream.folded(self.strings.at(string), int(self.strings.length[string]))

    def holders(self, string: int) -> NDArray[np.int32]:
        """The posts that hold it, in order."""
        return np.sort(self.strings.members(np.array([string]))[1])

    def accounts(self, posts: NDArray[np.int32]) -> int:
        """Distinct accounts of these posts."""
        return len(np.unique(self.compared.author[posts]))

    def cut_off(self) -> float:
        """The largest p-value that is a discovery; 0 if there is none."""
        return float(self.p[self.q <= self.settings.q].max(initial=0.0))

    def share(self, posts: NDArray[np.int32]) -> Share:
        """The removed share of these posts, with its 95 % interval clustered by account."""
        author, removed = self.compared.author[posts], self.compared.removed[posts]
        return share(np.bincount(author, weights=removed), np.bincount(author))

    def publishable(self, posts: NDArray[np.int32]) -> bool:
        """Whether enough accounts stand behind these posts, and behind the removed of them."""
        removed = posts[self.compared.removed[posts]]
        return self.accounts(posts) >= self.settings.accounts and self.accounts(removed) >= K


def screen(posts: pa.Table, stories: pa.Table | None, settings: ScreenSettings) -> Screen:
    """Test all closed strings of `posts` (`archive.arrow.POSTS`); `stories` has the columns post
    and story, or is None: then near-copies count each. Raises UsageError as `contrast` does."""
    compared = contrast(posts, stories, open_too=settings.open_too, smallest=settings.smallest)
    symbols = stream(compared.texts, K)
    strings = closed_strings(
        symbols,
        compared.author,
        least=settings.posts,
        least_authors=settings.accounts,
        closure=settings.closure,
    )
    hits, expected, matched, p, all_matched = _tested(compared, strings)
    q = false_discovery_control(p) if len(p) else p
    return Screen(settings, compared, symbols, strings, hits, expected, matched, all_matched, p, q)


def _tested(
    compared: Contrast, strings: Strings
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Removed, expected and matched surviving posts of each string, its p-value, and the number of
    all matched surviving posts."""
    sizes = compared.sizes()
    rate = (sizes[1] / np.maximum(sizes[0], 1))[compared.stratum]
    weight, all_matched = matching(compared)
    count = len(strings)
    hits, expected, matched = np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
    p = np.ones(count)
    for block in blocks(strings.size.astype(np.int64), _BLOCK):
        which = np.arange(block.start, block.stop)
        starts, members = strings.members(which)
        begin = starts[:-1]
        hits[which] = np.add.reduceat(compared.removed[members], begin, dtype=np.int64)
        expected[which] = np.add.reduceat(rate[members], begin)
        matched[which] = np.add.reduceat(weight[members], begin)
        spread = np.add.reduceat((rate * (1 - rate))[members], begin)
        worth = hits[which] - 0.5 - expected[which] > _WORTH * np.sqrt(spread)
        if worth.any():
            starts, members = strings.members(which[worth])
            drawn = Drawn.of(starts, members, compared.stratum, compared.removed, sizes)
            p[which[worth]] = tails(drawn)
    return hits, expected, matched, p, all_matched
