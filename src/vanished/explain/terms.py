"""Which strings distinguish removed from surviving posts of the same accounts and weeks.

In: posts, perhaps their stories. Out: strings, best first, each with the forms it is written in,
its posts, accounts and removals, what its accounts and weeks lead to expect, a log-odds ratio and
tests. Combinations are looked for first, and posts of a found one are then compared among
themselves, so that its parts do not stand here as terms. It says what goes with removal, not why.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.charts import channel, chart, whiskers
from vanished.explain.combinations import (
    Combinations,
    CombinationSettings,
    combinations_of,
)
from vanished.explain.contrast import Drawn, log_odds, tails
from vanished.explain.permutation import permuted
from vanished.explain.result import Basis, Chart
from vanished.explain.screen import Screen, ScreenSettings, screen
from vanished.explain.shares import Share, Z
from vanished.explain.variants import Family, Form, Variants

METHOD: Final = "terms/1"
GLOBAL_LEVEL: Final = 0.01  # chance of naming anything where nothing is to be found
CAVEATS: Final = (
    "A string that goes with removal need not be what was looked for: it may stand for a topic, "
    "a source or a picture beside it.",
    "Compared are removed and surviving posts of the same accounts and weeks; posts that an author "
    "may have taken down are left out, on both sides.",
    "Only strings in enough posts of enough accounts are tested; rarer ones are not seen.",
    "What a platform refused before anybody saw it is in none of these numbers.",
)


@dataclass(frozen=True, slots=True)
class TermSettings:
    """`screen` says what is compared and tested."""

    screen: ScreenSettings = field(default_factory=ScreenSettings)
    combinations: CombinationSettings | None = field(default_factory=CombinationSettings)
    """How combinations are looked for first, on the screen above; None: they are not."""
    prior: float = 500.0  # posts that the Dirichlet prior is worth
    permutations: int = 99  # of the removals within each account's weeks
    seed: int = 0  # of the permutations

    def __post_init__(self) -> None:
        if self.permutations < 99:
            raise UsageError("fewer than 99 permutations can tell nothing; ask for as many.")


@dataclass(frozen=True, slots=True)
class Term:
    """One finding: a string with all its forms."""

    term: str  # folded
    forms: tuple[Form, ...]
    posts: int  # in any form
    accounts: int
    removed: Share  # of these posts, with a 95 % interval clustered by account
    expected: float  # removed posts that the rates of the same accounts and weeks lead to expect
    log_odds: float  # natural logarithm; of the string itself, as are the tests
    error: float  # standard error of it
    p: float
    q: float
    family: float  # chance that any string at all stands out so far, by permutation


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What was found, best first; see `explain.result.Result`."""

    settings: TermSettings
    basis: Basis
    found: tuple[Term, ...]
    combinations: Combinations | None  # what was set apart before
    tested: int  # strings
    compared: int  # posts
    removed: int  # of these
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """A row a term. `low` and `high` are of the removed share, `log_odds_low` and
        `log_odds_high` of the log-odds ratio; both 95 %."""
        rows = [
            {
                "term": one.term, "forms": [_shown(form) for form in one.forms],
                "posts": one.posts, "accounts": one.accounts, "removed": one.removed.n,
                "share": one.removed.share, "low": one.removed.low, "high": one.removed.high,
                "expected": one.expected, "log_odds": one.log_odds,
                "log_odds_low": one.log_odds - Z * one.error,
                "log_odds_high": one.log_odds + Z * one.error,
                "p": one.p, "q": one.q, "p_family": one.family, "tested": self.tested,
                "compared": self.compared, "all_removed": self.removed,
            }
            for one in self.found
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def chart(self) -> Chart:
        """The log-odds ratio of each term with its interval."""
        rows = [
            {
                "term": f"{row['term']} ({row['removed']}/{row['posts']})",
                "odds": row["log_odds"],
                "low": row["log_odds_low"],
                "high": row["log_odds_high"],
            }
            for row in self.table().slice(0, 30).to_pylist()
        ]
        name = channel("term", None, "nominal", sort=None, axis={"labelLimit": 260})
        title = "log-odds ratio, removed to surviving posts (natural logarithm)"
        found = chart(
            "Strings that go with removal",
            f"{len(self.found)} found among {self.tested} tested strings; {self.compared} compared "
            f"posts, {self.removed} of them removed. In brackets: removed of the term's posts",
            rows,
            [
                whiskers(name, "low", "high", lying=True, title=title),
                {
                    "mark": {"type": "point", "filled": True, "size": 60, "color": "#31688e"},
                    "encoding": {"x": channel("odds", title), "y": name},
                },
            ],
        )
        found["height"] = max(60, 18 * len(rows))
        return found

    def text(self) -> str:
        """Numbers first."""
        head = (
            f"{len(self.found)} of {self.tested} tested strings are associated with removal among "
            f"watched accounts."
        )
        lines = [
            f"{one.term}: {one.removed.n} of {one.posts} posts by {one.accounts} accounts removed,"
            f" {one.expected:.1f} expected{_ways(one)}."
            for one in self.found[:10]
        ]
        return "\n".join([head, *lines])


SCHEMA: Final = pa.schema(
    [
        ("term", pa.string()),
        ("posts", pa.int64()),
        ("accounts", pa.int64()),
        ("removed", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("expected", pa.float64()),
        ("log_odds", pa.float64()),
        ("log_odds_low", pa.float64()),
        ("log_odds_high", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("p_family", pa.float64()),
        ("forms", pa.list_(pa.string())),
        ("tested", pa.int64()),
        ("compared", pa.int64()),
        ("all_removed", pa.int64()),
    ]
)


def terms(
    posts: pa.Table, stories: pa.Table | None = None, settings: TermSettings | None = None
) -> Terms:
    """The terms of `posts` (`archive.arrow.POSTS`), and on the way its combinations. `stories` has
    the columns post and story: an author's near-copies then count once. Raises UsageError if those
    columns are not there."""
    settings = settings or TermSettings()
    tested = screen(posts, stories, settings.screen)
    basis = Basis.of(posts)
    together, sets = None, list[NDArray[np.int32]]()
    if settings.combinations is not None:
        together, sets = combinations_of(tested, basis, settings.combinations)
    chosen = _explained(tested, sets)
    found = _families(tested, chosen, settings)
    compared = tested.compared
    return Terms(
        settings,
        basis,
        tuple(found),
        together,
        len(tested.strings),
        len(compared.author),
        int(compared.removed.sum()),
    )


def _explained(tested: Screen, sets: Sequence[NDArray[np.int32]]) -> list[int]:
    """The strings that hold beside stronger ones, best first.

    Posts that hold a finding are from then on compared among themselves: a fragment or a neighbour
    of it that tells nothing of its own is removed there no more often than the rest. The best
    p-value is taken again and again, each brought up to date before it is believed.
    """
    discoveries = np.flatnonzero(tested.q <= tested.settings.q).tolist()
    strata = _Strata(tested)
    for posts in sets:
        strata.set_apart(posts)
    cut_off = tested.cut_off()
    waiting = [(float(tested.p[s]), s) for s in discoveries]
    heapq.heapify(waiting)
    found = []
    while waiting:
        _, string = heapq.heappop(waiting)
        posts = tested.holders(string)
        if not tested.publishable(posts):
            continue
        p = strata.tail(posts)
        if p > cut_off:
            continue
        if waiting and p > waiting[0][0]:
            heapq.heappush(waiting, (p, string))
            continue
        found.append(string)
        strata.set_apart(posts)
    return found


class _Strata:
    """The strata, of which posts of findings are set apart: those that hold the same findings are
    one stratum, whatever their account and week."""

    def __init__(self, tested: Screen) -> None:
        self.removed = tested.compared.removed
        self.stratum = tested.compared.stratum.copy()
        self.sizes = tested.compared.sizes()
        self.apart = np.zeros(len(self.stratum), bool)

    def set_apart(self, posts: NDArray[np.int32]) -> None:
        """These posts hold a further finding."""
        before = np.where(self.apart[posts], self.stratum[posts], -1)
        held, place = np.unique(before, return_inverse=True)
        new = (len(self.sizes[0]) + place).astype(np.int32)
        gone = self.removed[posts]
        sizes = []
        for size, here in zip(self.sizes, (np.ones_like(gone), gone), strict=True):
            grown = np.append(size, np.zeros(len(held), np.int64))
            np.subtract.at(grown, self.stratum[posts[here]], 1)
            np.add.at(grown, new[here], 1)
            sizes.append(grown)
        self.sizes = sizes[0], sizes[1]
        self.stratum[posts], self.apart[posts] = new, True

    def tail(self, posts: NDArray[np.int32]) -> float:
        """The p-value of these posts' removals by what the strata are now."""
        starts = np.array([0, len(posts)])
        drawn = Drawn.of(starts, posts, self.stratum, self.removed, self.sizes)
        return float(tails(drawn)[0])


def _families(tested: Screen, chosen: Sequence[int], settings: TermSettings) -> list[Term]:
    """The findings, variants of one string as one; none at all unless the best of them stands out
    further than any string does where removals are dealt at random: of Benjamini and Hochberg's
    discoveries alone, one world in twenty in which there is nothing would have some."""
    if not chosen:
        return []
    random = permuted(tested, settings.permutations, settings.seed)
    if min(random.p(string) for string in chosen) > GLOBAL_LEVEL:
        return []
    variants = Variants(tested)
    seen: set[str] = set()
    found = []
    for string in chosen:
        if tested.name(string) not in seen:
            family = variants.family(string, tested.settings.q)
            seen |= family.folded
            found.append(_term(tested, string, family, random.p(string), settings))
    return sorted(found, key=lambda term: term.p)


def _term(
    tested: Screen, string: int, family: Family, chance: float, settings: TermSettings
) -> Term:
    compared = tested.compared
    posts, removed = compared.sizes()
    strata = compared.stratum[family.posts]
    ratio, error = log_odds(
        tested.hits[[string]].astype(float),
        float(compared.removed.sum()),
        tested.matched[[string]],
        tested.all_matched,
        settings.prior,
    )
    return Term(
        tested.name(string),
        family.forms,
        len(family.posts),
        tested.accounts(family.posts),
        tested.share(family.posts),
        float((removed[strata] / posts[strata]).sum()),
        float(ratio[0]),
        float(error[0]),
        float(tested.p[string]),
        float(tested.q[string]),
        chance,
    )


def _ways(term: Term) -> str:
    return f"; written in {len(term.forms)} ways" if len(term.forms) > 1 else ""


def _shown(form: Form) -> str:
    return f"{form.written} ({form.kind}: {form.removed} of {form.posts} posts removed)"
