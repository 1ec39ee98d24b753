"""The term deletion rate of Bamman, O'Connor and Smith (2012), as they defined it.

In: posts, and terms if there are any to ask about. Out: for each term the share of its posts that
were deleted, and a one-tailed binomial test against the share of all posts. It is here to be
compared with what others published. It compares no accounts and weeks, corrects for no number of
tests unless told to, and cannot tell who deleted: see `terms` for a test that does.

Bamman, O'Connor, Smith: Censorship and deletion practices in Chinese social media. First Monday
17(3), 2012. There 212,583 of 1,308,430 posts were deleted (16.25 %), and terms with p < .001 told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import binom, false_discovery_control

from vanished.errors import UsageError
from vanished.explain.charts import bars, channel, chart, whiskers
from vanished.explain.contrast import codes
from vanished.explain.fate import Fate, fates
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K, Share, share
from vanished.explain.strings import Strings, closed_strings
from vanished.explain.symbols import Stream, fold, stream

METHOD: Final = "deletion-rate/1"
CAVEATS: Final = (
    "Deleted means lost to whomever, authors included, unless the settings say otherwise: the "
    "published method could not tell either.",
    "A term that is used by accounts from which much is deleted has a high rate by that alone.",
    "Posts that were met after they were deleted are in no rate.",
)


@dataclass(frozen=True, slots=True)
class DeletionSettings:
    """Defaults are those of the paper, where it states them."""

    removed_only: bool = False  # count only what nobody but platform or law took away
    p: float = 0.001  # terms with a smaller p-value are told
    posts: int = 20  # of a term, at least
    accounts: int = 8  # at least; not below 5
    closure: float = 0.85  # where no terms are given: of the closed strings

    def __post_init__(self) -> None:
        if self.accounts < K:
            raise UsageError(f"a term needs at least {K} accounts; ask for as many.")


@dataclass(frozen=True, slots=True)
class TermRate:
    """One term."""

    term: str
    posts: int
    accounts: int
    deleted: Share  # of these posts, with a 95 % interval clustered by account
    p: float  # one tail, binomial, against the rate of all posts
    q: float  # Benjamini-Hochberg, over all tested terms


@dataclass(frozen=True, slots=True, eq=False)
class DeletionRates:
    """What was found, highest rate first; see `explain.result.Result`."""

    settings: DeletionSettings
    basis: Basis
    found: tuple[TermRate, ...]
    tested: int  # terms
    posts: int  # whose fate is known
    deleted: int  # of these
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    @property
    def base(self) -> float:
        """The deletion rate of all posts."""
        return self.deleted / self.posts if self.posts else 0.0

    def table(self) -> pa.Table:
        """A row a term; `rate` with its 95 % interval."""
        rows = [
            {
                "term": one.term, "posts": one.posts, "accounts": one.accounts,
                "deleted": one.deleted.n, "rate": one.deleted.share, "low": one.deleted.low,
                "high": one.deleted.high, "p": one.p, "q": one.q, "tested": self.tested,
                "all_posts": self.posts, "all_deleted": self.deleted,
            }
            for one in self.found
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def chart(self) -> Chart:
        """The rates."""
        rows = self.table().slice(0, 30).to_pylist()
        title = "share of the term's posts that were deleted"
        name = channel("term", None, "nominal", sort=None, axis={"labelLimit": 260})
        found = chart(
            "Term deletion rates",
            f"{len(self.found)} told of {self.tested} tested terms; {self.deleted} of "
            f"{self.posts} posts deleted ({self.base:.2%})",
            rows,
            [
                bars(channel("rate", title), name),
                whiskers(name, "low", "high", lying=True, title=title),
            ],
        )
        found["height"] = max(60, 18 * len(rows))
        return found

    def text(self) -> str:
        """Numbers first."""
        head = (
            f"{self.deleted} of {self.posts} posts of watched accounts were deleted"
            f" ({self.base:.2%}). {len(self.found)} of {self.tested} terms have a higher rate with"
            f" p < {self.settings.p:g}."
        )
        lines = [
            f"{one.term}: {one.deleted.n} of {one.posts} posts by {one.accounts} accounts deleted"
            f" ({one.deleted.share:.1%})."
            for one in self.found[:10]
        ]
        return "\n".join([head, *lines])


SCHEMA: Final = pa.schema(
    [
        ("term", pa.string()),
        ("posts", pa.int64()),
        ("accounts", pa.int64()),
        ("deleted", pa.int64()),
        ("rate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("tested", pa.int64()),
        ("all_posts", pa.int64()),
        ("all_deleted", pa.int64()),
    ]
)


def deletion_rates(
    posts: pa.Table,
    words: Sequence[str] = (),
    settings: DeletionSettings | None = None,
) -> DeletionRates:
    """The deletion rates of `words`, or of all closed strings if none are given."""
    settings = settings or DeletionSettings()
    fate = fates(posts)
    lost = {Fate.REMOVED} if settings.removed_only else {Fate.REMOVED, Fate.AUTHOR, Fate.OPEN}
    deleted = np.isin(fate, list(lost))
    used = np.flatnonzero(deleted | (fate == Fate.SURVIVED))
    rows = posts.take(pa.array(used))
    deleted, author = deleted[used], codes(rows["account"])
    texts = pc.binary_join_element_wise(rows["title"], rows["text"], "\n").to_pylist()
    counted = _given(texts, words) if words else _closed(texts, author, settings)
    rates = []
    base = float(deleted.mean()) if len(deleted) else 0.0
    for term, members in counted:
        accounts = len(np.unique(author[members]))
        if len(members) >= settings.posts and accounts >= settings.accounts:
            taken = int(deleted[members].sum())
            p = float(binom.sf(taken - 1, len(members), base))
            each = np.bincount(author[members], weights=deleted[members])
            rate = share(each, np.bincount(author[members]))
            rates.append(TermRate(term, len(members), accounts, rate, p, 1.0))
    q = false_discovery_control([one.p for one in rates]) if rates else []
    told = [
        TermRate(one.term, one.posts, one.accounts, one.deleted, one.p, float(each))
        for one, each in zip(rates, q, strict=True)
        if one.p < settings.p
    ]
    told.sort(key=lambda one: (-(one.deleted.share or 0), one.p))
    return DeletionRates(
        settings, Basis.of(posts), tuple(told), len(rates), len(used), int(deleted.sum())
    )


def _given(texts: Sequence[str], words: Sequence[str]) -> list[tuple[str, NDArray[np.int32]]]:
    """The posts that hold each word, folded alike."""
    folded = fold(texts)
    return [
        (word, np.array([n for n, text in enumerate(folded) if wanted in text], np.int32))
        for word, wanted in zip(words, fold(words), strict=True)
    ]


def _closed(
    texts: Sequence[str], author: NDArray[np.int32], settings: DeletionSettings
) -> list[tuple[str, NDArray[np.int32]]]:
    """The posts that hold each closed string."""
    symbols: Stream = stream(texts, K)
    strings: Strings = closed_strings(
        symbols,
        author,
        least=settings.posts,
        least_authors=settings.accounts,
        closure=settings.closure,
    )
    return [
        (
            symbols.folded(strings.at(one), int(strings.length[one])),
            strings.members(np.array([one]))[1],
        )
        for one in range(len(strings))
    ]
