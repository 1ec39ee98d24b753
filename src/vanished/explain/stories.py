"""Which posts tell the same story, across accounts and platforms, and what became of each story.

In: the tables of posts and, if there are, of their pictures (`archive.arrow`). Out: `Stories`: a
table of the stories that at least five accounts tell, and for other analyses the story of every
post, so that they count stories and not copies. Who wrote first is not found: only watched posts
are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.charts import bars, channel, chart
from vanished.explain.folding import Folded, fold
from vanished.explain.near_copies import near_copies
from vanished.explain.pictures_alike import WITHIN, groups
from vanished.explain.result import Basis, Chart
from vanished.explain.rewordings import rewordings
from vanished.explain.told import LEAST_ACCOUNTS, Told, count
from vanished.model import HOUR, at

METHOD: Final = "stories/1"
TABLE: Final = pa.schema(
    [
        ("story", pa.string()),  # key of its post that was seen first
        ("posts", pa.int64()),
        ("accounts", pa.int64()),
        ("largest", pa.float64()),  # share of its posts that are of one account
        ("platforms", pa.string()),  # sorted, joined by commas
        ("tellings", pa.int64()),  # groups of near-copies, joined by rewording or picture
        ("first", pa.int64()),  # first sight of its first and of its last post
        ("last", pa.int64()),
        ("lost", pa.int64()),  # posts that are gone, for whatever cause
        ("removed", pa.int64()),  # of these, by platform or law for certain
        ("survived", pa.int64()),
        ("share", pa.float64()),  # removed of removed and survived, and its interval
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("text", pa.string()),  # of its central post; null where it must not be shown
    ]
)
MEMBERS: Final = pa.schema([("post", pa.string()), ("story", pa.string())])
_NEEDED: Final = (
    "post", "account", "platform", "first_seen_at", "state", "causes", "explained_by",
    "alive_until", "gone_by", "title", "text",
)  # fmt: skip
_SHOWN: Final = 20  # stories in the chart


@dataclass(frozen=True, slots=True)
class StoriesSettings:
    """What counts as the same story. Letters are those that folding leaves."""

    least: int = 8  # letters; a shorter text is a story of its own
    shingle: int = 3  # letters of a shingle
    alike: float = 0.4  # Jaccard likeness of near-copies
    like_centre: float = 0.2  # and that of each member and the story's central text, at least
    part: float = 0.8  # share of the shorter text that the longer holds: one is cut from the other
    least_part: int = 12  # shingles of the shorter, for that
    bands: int = 42  # of `rows` hashes each
    rows: int = 3
    rewordings: bool = True  # also join what is told in other words
    reworded: float = 0.35  # cosine of pairs of letters, weighted by rarity
    least_reworded: int = 24  # letters
    window_h: float = 72  # hours between first sights of posts that are reworded from each other
    pictures: bool = True  # also join by pictures
    within: int = WITHIN  # bits of a hash in which they may differ
    ornament: int = 3  # a picture under more unlike texts of one account than this joins nothing
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Stories:
    """The stories; fulfils `explain.result.Result`."""

    settings: StoriesSettings
    basis: Basis
    caveats: tuple[str, ...]
    told: Told
    _members: pa.Table
    _table: pa.Table
    method: str = METHOD

    def members(self) -> pa.Table:
        """The story of every post, a row each (`MEMBERS`), in the order of first sight."""
        return self._members

    def table(self) -> pa.Table:
        """Stories told by at least five accounts (`TABLE`), those of most accounts first."""
        return self._table

    def chart(self) -> Chart:
        """What became of the posts of the twenty most told stories."""
        rows = []
        for rank, row in enumerate(self._table.slice(0, _SHOWN).to_pylist(), start=1):
            label = f"{rank}. {row['story'][:8]}…"  # as tables write it
            other = row["posts"] - row["removed"] - row["survived"]
            kinds = {
                "removed by platform or law": row["removed"],
                "survived": row["survived"],
                "other or unknown": other,
            }
            rows += [
                {"story": label, "rank": rank, "fate": kind, "posts": number}
                for kind, number in kinds.items()
            ]
        y = channel(
            "story", "story (key of its first post)", "nominal",
            sort={"field": "rank"}, axis={"titlePadding": 34},  # readers' fonts are wider
        )  # fmt: skip
        colour = channel(
            "fate",
            "what became of them",
            "nominal",
            scale={
                "domain": ["removed by platform or law", "survived", "other or unknown"],
                "range": ["#d1603d", "#31688e", "#b0b0b0"],
            },
        )
        shown = min(self._table.num_rows, _SHOWN)
        under = (
            f"{shown} of {self._table.num_rows} stories told by at least {LEAST_ACCOUNTS} of"
            f" {self.basis.accounts} watched accounts; {self.basis.posts} posts in all"
        )
        return chart(
            "What became of the stories that most accounts told",
            under,
            rows,
            [bars(channel("posts", "posts (number)", stack="zero"), y, colour)],
        )

    def text(self) -> str:
        """How much is told twice, and what became of it."""
        told = self.told
        lines = [
            f"{told.posts} posts tell {told.stories} stories.",
            f"{told.repeated} of these stories are told more than once, by {told.in_repeated} posts"
            f" ({told.in_repeated / max(told.posts, 1):.0%}).",
            f"{self._table.num_rows} stories are told by at least {LEAST_ACCOUNTS} watched"
            " accounts.",
        ]
        lines += [
            f"Of the posts {where}, {removed} of {known} were removed by platform or law"
            f" ({removed / known:.1%})."
            for where, removed, known in (
                ("in these", told.wide_removed, told.wide_known),
                ("told only once", told.single_removed, told.single_known),
            )
            if known
        ]
        if self._table.num_rows:
            top = self._table.slice(0, 1).to_pylist()[0]
            line = (
                f"The most told one: {top['posts']} posts of {top['accounts']} watched accounts"
                f" from {at(top['first']):%Y-%m-%d} to {at(top['last']):%Y-%m-%d} UTC."
            )
            lines.append(line)
            if top["share"] is not None:
                known = top["removed"] + top["survived"]
                lines.append(
                    f"Of these, {top['removed']} of {known} whose fate is known were removed"
                    f" (95 % interval {top['low']:.0%} to {top['high']:.0%})."
                )
        return " ".join(lines)


def stories(
    posts: pa.Table, pictures: pa.Table | None = None, settings: StoriesSettings | None = None
) -> Stories:
    """The stories of these posts. Raises UsageError if a table or a setting cannot be used."""
    settings = settings or StoriesSettings()
    _check(posts, settings)
    posts = posts.take(
        pc.sort_indices(posts, [("first_seen_at", "ascending"), ("post", "ascending")])
    )
    texts = fold(pc.binary_join_element_wise(
        *(pc.fill_null(posts[name], "").cast(pa.large_string()) for name in ("title", "text")),
        pa.scalar("\n", pa.large_string()),
    ))  # fmt: skip
    copies = near_copies(texts, settings)
    story = _reworded(texts, posts, copies, settings) if settings.rewordings else copies
    ornaments = 0
    if pictures is not None and settings.pictures:
        story, ornaments = _pictured(texts, posts, pictures, story, settings)
    keys = posts["post"].combine_chunks()
    first = _first(story)
    members = pa.table({"post": keys, "story": keys.take(pa.array(first))}, schema=MEMBERS)
    table, told = count(posts, first, copies)
    single = int((texts.lengths < settings.least).sum())
    return Stories(
        settings,
        Basis.of(posts),
        _caveats(told, single, ornaments, settings),
        told,
        members,
        pa.Table.from_pylist(table, schema=TABLE),
    )


def _check(posts: pa.Table, settings: StoriesSettings) -> None:
    missing = [name for name in _NEEDED if name not in posts.column_names]
    if missing:
        raise UsageError(f"The table of posts has no column {missing[0]}; give one of POSTS.")
    if pc.count_distinct(posts["post"]).as_py() != posts.num_rows:
        raise UsageError("The table of posts names a post twice, or one without a key.")
    for name in ("alike", "like_centre", "part", "reworded"):
        if not 0 < getattr(settings, name) <= 1:
            raise UsageError(f"{name} is a share; give a number above 0 and up to 1.")
    for name in ("least", "shingle", "bands", "rows", "least_part", "least_reworded"):
        if getattr(settings, name) < 1:
            raise UsageError(f"{name} counts; give a whole number from 1 on.")
    if not 0 <= settings.within <= WITHIN:
        raise UsageError(f"Pictures further apart than {WITHIN} bits are no copies; say less.")


def _first(story: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the first post of each post's story."""
    _, begin, inverse = np.unique(story, return_index=True, return_inverse=True)
    return np.asarray(begin[inverse], np.int64)


def _reworded(
    texts: Folded, posts: pa.Table, copies: NDArray[np.int64], settings: StoriesSettings
) -> NDArray[np.int64]:
    """The stories after the looser look at their central texts."""
    centres, story, mass = np.unique(copies, return_inverse=True, return_counts=True)
    seen = np.asarray(pc.fill_null(posts["first_seen_at"], 0), np.int64) / HOUR
    joined = rewordings(texts.rows(centres), seen[centres], mass.astype(np.float64), settings)
    return np.asarray(centres[joined][story], np.int64)


def _pictured(
    texts: Folded,
    posts: pa.Table,
    pictures: pa.Table,
    story: NDArray[np.int64],
    settings: StoriesSettings,
) -> tuple[NDArray[np.int64], int]:
    """The stories after those that show the same picture were joined; and how many pictures are
    ornaments.

    An account that puts a picture under many unlike texts says nothing with it: such a picture
    joins only posts that have no words.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = pc.index_in(pictures["post"], posts["post"].combine_chunks())
    pictures = pictures.filter(pc.is_valid(place))
    post = np.asarray(place.drop_null(), np.int64)
    sha256, hashes, methods = (
        pc.fill_null(pictures[name], "").to_pylist() for name in ("sha256", "hash", "method")
    )
    quality = np.asarray(pc.fill_null(pictures["quality"], 0), np.int64)
    group = groups(sha256, hashes, methods, quality, settings.within)
    worded = texts.lengths[post] >= settings.least
    ornament = _ornaments(posts, post[worded], group[worded], story, settings.ornament)
    joins = ~(np.isin(group, ornament) & worded)
    post, group = story[post[joins]], group[joins]
    order = np.lexsort((post, group))
    post, group = post[order], group[order]
    same = group[1:] == group[:-1]
    size = len(story)
    links = coo_array((np.ones(same.sum()), (post[:-1][same], post[1:][same])), shape=(size, size))
    _, label = connected_components(links, directed=False)
    return np.asarray(label[story], np.int64), len(ornament)


def _ornaments(
    posts: pa.Table,
    post: NDArray[np.int64],
    group: NDArray[np.int64],
    story: NDArray[np.int64],
    most: int,
) -> NDArray[np.int64]:
    """Groups of pictures that one account shows under more than `most` unlike texts."""
    account = np.asarray(pc.rank(posts["account"], tiebreaker="dense"), np.int64)[post]
    shown = np.unique(np.stack([group, account, story[post]], axis=1), axis=0)
    pairs, texts = np.unique(shown[:, :2], axis=0, return_counts=True)
    return np.unique(pairs[texts > most, 0])


def _caveats(told: Told, single: int, ornaments: int, settings: StoriesSettings) -> tuple[str, ...]:
    found = [
        "Only posts of watched accounts are compared; who told a story first is not known.",
        f"{told.withheld} stories told more than once, but by fewer than {LEAST_ACCOUNTS} accounts,"
        " are not shown.",
        f"{single} posts of fewer than {settings.least} letters are stories of their own, unless"
        " they show the same picture.",
        "The interval of a share takes posts for independent; copies are not, so it is too narrow.",
        "Posts from one template are near-copies by their words, whether or not one was made from"
        " the other.",
        f"The words of {told.closed} of the stories shown are withheld, because the author may have"
        " taken down one of the posts.",
    ]
    if settings.rewordings:
        found.append(
            f"{told.merged} stories hold several tellings, joined by rare words or a picture: that"
            " is weaker than a near-copy."
        )
    if ornaments:
        found.append(
            f"{ornaments} pictures that an account shows under more than {settings.ornament} unlike"
            " texts join nothing."
        )
    return tuple(found)
