"""Which strings bring removal together that do not alone: pairs, and triples grown from them.

In: posts, perhaps their stories. Out: pairs and triples of closed strings whose posts are removed
more often than their parts explain, best first. The parts explain a removal rate of
1 - (1 - rA)(1 - rB), rA being that of the posts with A and without B, or the rate of the posts'
own accounts and weeks, whichever is larger. Single terms are not named here: see `terms`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import binom, false_discovery_control

from vanished.explain.charts import bars, channel, chart, whiskers
from vanished.explain.result import Basis, Chart
from vanished.explain.screen import Screen, ScreenSettings, screen
from vanished.explain.shares import Share

METHOD: Final = "combinations/1"
_BLOCK = 512  # strings at a time
_KEPT = 5_000  # of the pairs that pass, those with the smallest p
CAVEATS: Final = (
    "Only strings of enough posts can be parts, and only pairs of enough posts are tested; a "
    "combination that is used less often is not seen.",
    "Parts that never occur apart cannot be told from one term and stand there.",
    "Posts that an author may have taken down are left out, on both sides.",
    "What is found goes with removal among watched accounts; it is not shown to be its reason.",
)


@dataclass(frozen=True, slots=True)
class CombinationSettings:
    """`screen` says which strings can be parts."""

    screen: ScreenSettings = field(default_factory=ScreenSettings)
    together: int = 20  # posts that hold all parts, at least
    common: float = 0.05  # a string in a larger share of the posts is no part


@dataclass(frozen=True, slots=True)
class Combination:
    """One finding."""

    parts: tuple[str, ...]  # folded, in the order of their letters
    posts: int  # that hold all parts
    accounts: int
    removed: Share  # of these, with a 95 % interval clustered by account
    explained: float  # removal rate that the parts explain
    p: float
    q: float  # among the tested pairs, or the tested triples of its pair


@dataclass(frozen=True, slots=True, eq=False)
class Combinations:
    """What was found, best first; see `explain.result.Result`."""

    settings: CombinationSettings
    basis: Basis
    found: tuple[Combination, ...]
    tested: int  # pairs
    compared: int  # posts
    removed: int  # of these
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """A row a combination. `low` and `high` are of the removed share (95 %, by account)."""
        rows = [
            {
                "combination": " + ".join(one.parts), "parts": len(one.parts),
                "posts": one.posts, "accounts": one.accounts, "removed": one.removed.n,
                "share": one.removed.share, "low": one.removed.low, "high": one.removed.high,
                "explained": one.explained, "p": one.p, "q": one.q, "tested": self.tested,
                "compared": self.compared, "all_removed": self.removed,
            }
            for one in self.found
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def chart(self) -> Chart:
        """The removed share of each combination beside what its parts explain."""
        rows = self.table().slice(0, 20).to_pylist()
        title = "share of its posts that were removed"
        name = channel("combination", None, "nominal", sort=None, axis={"labelLimit": 260})
        dot = channel("explained", None)
        found = chart(
            "Strings removed together more than apart",
            f"{len(self.found)} found among {self.tested} tested pairs; {self.compared} compared "
            f"posts, {self.removed} of them removed. Ticks: what the parts explain",
            rows,
            [
                bars(channel("share", title), name),
                whiskers(name, "low", "high", lying=True, title=title),
                {
                    "mark": {"type": "tick", "color": "#d1603d", "thickness": 3},
                    "encoding": {"x": dot, "y": name},
                },
            ],
        )
        found["height"] = max(60, 24 * len(rows))
        return found

    def text(self) -> str:
        """Numbers first."""
        head = (
            f"{len(self.found)} combinations of {self.tested} tested pairs are associated with "
            f"removal among watched accounts beyond what their parts explain."
        )
        lines = [
            f"{' + '.join(one.parts)}: {one.removed.n} of {one.posts} posts by {one.accounts}"
            f" accounts removed; the parts explain {one.explained:.0%}."
            for one in self.found[:10]
        ]
        return "\n".join([head, *lines])


SCHEMA: Final = pa.schema(
    [
        ("combination", pa.string()),
        ("parts", pa.int64()),
        ("posts", pa.int64()),
        ("accounts", pa.int64()),
        ("removed", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("explained", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("tested", pa.int64()),
        ("compared", pa.int64()),
        ("all_removed", pa.int64()),
    ]
)


def combinations(
    posts: pa.Table,
    stories: pa.Table | None = None,
    settings: CombinationSettings | None = None,
) -> Combinations:
    """The combinations of `posts` (`archive.arrow.POSTS`). `stories` has the columns post and
    story. Raises UsageError if those columns are not there."""
    settings = settings or CombinationSettings()
    tested = screen(posts, stories, settings.screen)
    return combinations_of(tested, Basis.of(posts), settings)[0]


def combinations_of(
    tested: Screen, basis: Basis, settings: CombinationSettings
) -> tuple[Combinations, list[NDArray[np.int32]]]:
    """The combinations of a screen, and the posts that hold each."""
    parts = np.flatnonzero(
        tested.strings.texts <= settings.common * max(len(tested.compared.author), 1)
    )
    pairs = _pairs(tested, parts, settings)
    search = _Search(tested, parts, settings, pairs)
    found = search.run()
    result = Combinations(
        settings,
        basis,
        tuple(one for one, _ in found),
        pairs.tested,
        len(tested.compared.author),
        int(tested.compared.removed.sum()),
    )
    return result, [posts for _, posts in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """The pairs that pass, smallest p first."""

    by_post: csr_array  # which parts each post holds
    tested: int
    cut_off: float
    first: NDArray[np.int64]  # numbers of strings
    second: NDArray[np.int64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]


def _pairs(tested: Screen, parts: NDArray[np.int64], settings: CombinationSettings) -> _Pairs:
    """Test all pairs of `parts` that enough posts hold."""
    removed = tested.compared.removed
    starts, members = tested.strings.members(parts)
    shape = (len(parts), len(removed))
    holds = csr_array((np.ones(len(members), np.int32), members, starts), shape)
    by_post = holds.T.tocsr()
    gone = by_post[np.flatnonzero(removed)]
    gone_by_part = gone.T.tocsr()
    held, taken = np.diff(starts), np.diff(gone_by_part.indptr)
    found: list[tuple[NDArray[np.int64], ...]] = []
    for low in range(0, len(parts), _BLOCK):
        block = slice(low, low + _BLOCK)
        both = (holds[block] @ by_post).tocoo()
        enough = (both.data >= settings.together) & (both.col > both.row + low)
        a, b, n = both.row[enough], both.col[enough], both.data[enough]
        if len(a):
            x = np.asarray((gone_by_part[block] @ gone)[a, b]).ravel()
            found.append((a.astype(np.int64) + low, b.astype(np.int64), n, x))
    if not found:
        none = np.empty(0, np.int64)
        return _Pairs(by_post, 0, 0.0, none, none, np.empty(0), np.empty(0))
    a, b, n, x = (np.concatenate(column) for column in zip(*found, strict=True))
    apart_a = (taken[a] - x + 1) / (held[a] - n + 2)  # Laplace: little seen explains much
    apart_b = (taken[b] - x + 1) / (held[b] - n + 2)
    p = binom.sf(x - 1, n, 1 - (1 - apart_a) * (1 - apart_b))
    q = false_discovery_control(p)
    passed = np.flatnonzero(q <= settings.screen.q)
    passed = passed[np.argsort(p[passed], kind="stable")][:_KEPT]
    largest = float(p[passed].max(initial=0.0))
    first, second = parts[a[passed]], parts[b[passed]]
    return _Pairs(by_post, len(p), largest, first, second, p[passed], q[passed])


class _Search:
    """Takes the best pair, grows it to a triple if that explains it, sets their posts aside, and
    looks again: what is left of the other pairs must stand without those posts."""

    def __init__(
        self, tested: Screen, parts: NDArray[np.int64], settings: CombinationSettings, pairs: _Pairs
    ) -> None:
        self.tested, self.parts, self.settings, self.pairs = tested, parts, settings, pairs
        self.aside = np.zeros(len(tested.compared.author), bool)
        self._holders: dict[int, NDArray[np.int32]] = {}
        strong = np.flatnonzero(tested.q <= settings.screen.q).tolist()
        self._strong = {string: tested.name(string) for string in strong}

    def run(self) -> list[tuple[Combination, NDArray[np.int32]]]:
        """The findings, and the posts that hold each. The best pair is taken again and again, its
        p-value brought up to date before it is believed."""
        columns = (self.pairs.p, self.pairs.q, self.pairs.first, self.pairs.second)
        waiting = list(zip(*(column.tolist() for column in columns), strict=True))
        heapq.heapify(waiting)
        found = []
        while waiting:
            _, q, *pair = heapq.heappop(waiting)
            p = self._p(pair)[0]
            if p > self.pairs.cut_off or not self._separate(*pair):
                continue
            if waiting and p > waiting[0][0]:
                heapq.heappush(waiting, (p, q, *pair))
                continue
            third = self._third(pair)
            group = pair if third is None else [*pair, third[0]]
            posts = self._all(group)
            if not self.tested.publishable(posts) or self._told_by_one(group, posts):
                continue
            if third is not None:
                p, q = third[1:]
            group = [self._whole(part, posts) for part in group]
            found.append((self._finding(group, posts, p, q), posts))
            self.aside[posts] = True
        return found

    def _finding(
        self, group: list[int], posts: NDArray[np.int32], p: float, q: float
    ) -> Combination:
        return Combination(
            tuple(sorted(self.tested.name(part) for part in group)),
            len(posts),
            self.tested.accounts(posts),
            self.tested.share(posts),
            self._p(group)[1],
            p,
            q,
        )

    def _held(self, part: int) -> NDArray[np.int32]:
        if part not in self._holders:
            self._holders[part] = self.tested.holders(part)
        return self._holders[part]

    def _all(self, group: Iterable[int]) -> NDArray[np.int32]:
        """The posts not set aside that hold all of the group."""
        posts: NDArray[np.int32] | None = None
        for part in group:
            held = self._held(part)
            posts = held if posts is None else np.intersect1d(posts, held, assume_unique=True)
        assert posts is not None
        return posts[~self.aside[posts]]

    def _p(self, group: list[int]) -> tuple[float, float]:
        """The p-value of a group, and the removal rate that its parts explain: the most that any
        split into one part and the rest does. (1, 1) if too few posts hold all."""
        posts = self._all(group)
        if len(posts) < self.settings.together:
            return 1.0, 1.0
        removed = self.tested.compared.removed
        sizes = self.tested.compared.sizes()
        strata = self.tested.compared.stratum[posts]
        explained = float((sizes[1][strata] / sizes[0][strata]).mean())
        for part in group:
            rest = [other for other in group if other != part]
            kept = 1.0
            for side in ([part], rest):
                alone = np.setdiff1d(self._all(side), posts, assume_unique=True)
                kept *= 1 - (int(removed[alone].sum()) + 1) / (len(alone) + 2)
            explained = max(explained, 1 - kept)
        p = float(binom.sf(int(removed[posts].sum()) - 1, len(posts), explained))
        return p, explained

    def _third(self, pair: list[int]) -> tuple[int, float, float] | None:
        """The third part that explains the pair, with its p and q: the triple is removed beyond
        what its parts explain, and the pair without it is not."""
        times = self._times(self._all(pair))
        third = self.parts[np.flatnonzero(times >= self.settings.together)].tolist()
        third = [c for c in third if c not in pair and all(self._separate(x, c) for x in pair)]
        if not third:
            return None
        p = np.array([self._p([*pair, c])[0] for c in third])
        q = false_discovery_control(p)
        best = int(p.argmin())
        if q[best] > self.settings.screen.q or p[best] > self.pairs.cut_off:
            return None
        before = self.aside.copy()
        self.aside[self._held(third[best])] = True
        left = self._p(pair)[0]
        self.aside = before
        return (third[best], float(p[best]), float(q[best])) if left > self.pairs.cut_off else None

    def _told_by_one(self, group: list[int], posts: NDArray[np.int32]) -> bool:
        """Whether one string that is itself a discovery explains these posts: those that hold it
        would be removed as it is elsewhere, the others as the parts explain."""
        removed = self.tested.compared.removed
        explained = self._p(group)[1]
        times = self._times(posts)
        for string, n in zip(self.parts.tolist(), times.tolist(), strict=True):
            if not n or string in group or string not in self._strong:
                continue
            alone = np.setdiff1d(self._held(string), posts, assume_unique=True)
            rate = (int(removed[alone].sum()) + 1) / (len(alone) + 2)
            both = explained + n / len(posts) * max(rate - explained, 0)
            if binom.sf(int(removed[posts].sum()) - 1, len(posts), both) > self.pairs.cut_off:
                return True
        return False

    def _times(self, posts: NDArray[np.int32]) -> NDArray[np.int64]:
        """How many of these posts hold each of the strings that can be parts."""
        return np.asarray(self.pairs.by_post[posts].sum(axis=0)).ravel()

    def _whole(self, part: int, posts: NDArray[np.int32]) -> int:
        """The longest string around `part` that most of these posts hold: within a combination,
        too, a fragment tells nothing that the whole does not."""
        most = self._times(posts) >= self.settings.screen.closure * len(posts)
        name = self.tested.name(part)
        around = [s for s in self.parts[most].tolist() if name in self.tested.name(s)]
        return int(max([part, *around], key=lambda s: int(self.tested.strings.length[s])))

    def _separate(self, a: int, b: int) -> bool:
        """Whether two strings are two: neither overlaps nor touches the other in most posts that
        hold both, nor does one string that is itself a discovery hold both."""
        name_a, name_b = self.tested.name(a), self.tested.name(b)
        if name_a in name_b or name_b in name_a:
            return False
        both = np.intersect1d(self._held(a), self._held(b), assume_unique=True)
        if len(_apart(self.tested, a, b)) < len(both) / 2:
            return False
        for whole, name in self._strong.items():
            if name_a in name and name_b in name:
                inside = np.intersect1d(both, self._held(whole), assume_unique=True)
                if len(inside) >= self.settings.screen.closure * len(both):
                    return False
        return True


def _apart(tested: Screen, a: int, b: int) -> NDArray[np.int32]:
    """The posts in which an occurrence of `a` has its nearest `b` at least a symbol away."""
    strings, text_of = tested.strings, tested.stream.text_of
    at_a, at_b = np.sort(strings.positions(a)), np.sort(strings.positions(b))
    long_a, long_b = int(strings.length[a]), int(strings.length[b])
    place = np.searchsorted(at_b, at_a)
    found = []
    for near in (place - 1, place):
        there = (near >= 0) & (near < len(at_b))
        other, own = at_b[near[there]], at_a[there]
        gap = np.where(other >= own, other - own - long_a, own - other - long_b)
        found.append(text_of[own[(gap >= 1) & (text_of[own] == text_of[other])]])
    return np.unique(np.concatenate(found))
