"""The tables of a data set: their columns and what each means, stated once.

In: a `Release`. Out: Arrow tables. Schemas, the dictionary and the description of the package all
follow from `TABLES`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vanished.publish.gate import Passed
from vanished.publish.release import Release

if TYPE_CHECKING:
    import pyarrow as pa

TEXT: Final = "string"
WHOLE: Final = "integer"
TIME: Final = "datetime"  # UTC
FLAG: Final = "boolean"
"""Types by their names in a Table Schema."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type, its meaning with its unit, what an empty cell says ("": none is)."""

    name: str
    type: str
    meaning: str
    empty: str = ""


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table: what a row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]


_POST = Column("post", TEXT, "pseudonym of the post in this release, and in no other")
_ACCOUNT = Column("account", TEXT, "pseudonym of its account in this release")
POSTS: Final = TableOf(
    "posts",
    "One post that was proven alive or taken away by others than its author. Every combination of"
    " what stands in a row beside the pseudonyms is shared by posts of at least k accounts.",
    (
        _POST,
        Column("platform", TEXT, "where it was published"),
        Column(
            "outcome", TEXT,
            "survived: proven alive when last asked; removed: by platform or law; account: went"
                " with"
            " its account; elsewhere: moved, or out of reach by the network",
        ),
        Column("state", TEXT, "alive, returned (was gone, is alive again), gone or moved"),
        Column("causes", TEXT, "the causes that the facts leave open, joined by commas",
               "it is not lost, or too few accounts share its causes"),
        Column("confidence", TEXT, "high, medium, low; reviewed: a person has confirmed or"
            " corrected it",
               "no verdict was needed, or too few accounts share it"),
        Column("published_from", TIME, "it was published, as its platform claims, within"
            " rounded_s from then",
               "not claimed, or too few accounts published then"),
        Column("alive_until", TIME, "it was lost after this, or proven alive until then;"
            " rounded down",
               "never proven alive, or too few accounts"),
        Column("gone_by", TIME, "it was lost by then; rounded up", "not lost, or too few accounts"),
        Column("rounded_s", WHOLE, "seconds that the times of this row are rounded to; 0: none"
            " is told"),
    ),
)  # fmt: skip
WORDS: Final = TableOf(
    "words",
    "The last known wording of a post of the table posts. What names or finds a person was replaced"
    " by marks such as [number] and [mention].",
    (
        _POST,
        Column("ground", TEXT, "why words may be told: public-figure, outlet, consent or reviewed"),
        Column("title", TEXT, "its title", "it has none"),
        Column("text", TEXT, "its text", "it has none"),
    ),
)
NUMBERS: Final = TableOf(
    "numbers",
    "One count. All posts that were met count here, also those that no row tells of.",
    (
        Column("part", TEXT,
               "outcomes: by platform and outcome; weeks_met: posts by the week in which they"
                   " were first"
               " seen; weeks_removed: posts by the week by whose end they were found removed"),
        Column("platform", TEXT, "all: every one; other: platforms of too few accounts, together"),
        Column("outcome", TEXT,
               "as in posts, and author: its author took it down; open: several causes are"
                   " possible;"
               " unproven: unconfirmed or never answered; other: outcomes of too few accounts"),
        Column("since", TIME, "first moment of the week", "not by week, or the weeks of too few"
            " accounts"),
        Column("until", TIME, "end of the week", "as since"),
        Column("posts", WHOLE, "how many posts", "withheld"),
        Column("of_posts", WHOLE, "of how many: all of the platform; met at all; under watch in"
            " that week",
               "withheld, or the other weeks"),
        Column("accounts", WHOLE, "accounts behind these posts", "withheld"),
        Column("looks", WHOLE, "looks at these posts, failed ones"
            " included", "not counted for this row"),
        Column("failed_looks", WHOLE, "looks that failed, which prove"
            " nothing", "not counted for this row"),
        Column("withheld", FLAG, "whether the count is withheld: fewer than k accounts, or it"
            " would tell of such"),
    ),
)  # fmt: skip
NOTICES: Final = TableOf(
    "notices",
    "How many lost posts of a platform showed a notice in their place.",
    (
        Column("platform", TEXT, "where"),
        Column("notice", TEXT, "the words of the notice, scrubbed", "no notice was shown"),
        Column("others", FLAG, "whether this row is of all notices of too few accounts, together"),
        Column("posts", WHOLE, "posts that showed it"),
        Column("of_posts", WHOLE, "of how many lost posts of the platform"),
        Column("accounts", WHOLE, "accounts behind these posts"),
    ),
)
COVERAGE: Final = TableOf(
    "coverage",
    "When the observatory was looking, and when it was not though it should have been.",
    (
        Column("platform", TEXT, "all: the whole observatory"),
        Column("since", TIME, "beginning; of a gap rounded down, else up"),
        Column("until", TIME, "end; of a gap rounded up, else down"),
        Column(
            "what",
            TEXT,
            "known: from the first sight of any of these posts to the last that was learnt of"
            " one, in"
            " whole days; watched: a session of the watch; gap: a pause between two",
        ),
    ),
)
TABLES: Final = (POSTS, WORDS, NUMBERS, NOTICES, COVERAGE)


def tables_of(release: Release) -> list[tuple[TableOf, pa.Table]]:
    """The tables of a release that have rows; words only where some may be told."""
    linked = release.rules.link_accounts
    posts = _linked(POSTS) if linked else POSTS
    found = [(posts, _table(posts, map(_post, release.rows)))]
    if release.with_words:
        words = [
            {"post": row.post, "ground": row.ground, "title": row.title, "text": row.text}
            for row in release.with_words
        ]
        found.append((WORDS, _table(WORDS, words)))
    found.append((NUMBERS, _table(NUMBERS, release.numbers)))
    found.append((NOTICES, _table(NOTICES, release.notices)))
    found.append((COVERAGE, _table(COVERAGE, release.coverage)))
    return [(kind, table) for kind, table in found if table.num_rows]


def _linked(table: TableOf) -> TableOf:
    return TableOf(table.name, table.row, (table.columns[0], _ACCOUNT, *table.columns[1:]))


def _post(row: Passed) -> dict[str, Any]:
    return {
        "post": row.post,
        "account": row.account,
        "platform": row.platform,
        "outcome": row.fate.name.lower(),
        "state": row.state.value,
        "causes": ",".join(sorted(row.causes)),
        "confidence": row.confidence,
        "published_from": row.published_from,
        "alive_until": row.alive_until,
        "gone_by": row.gone_by,
        "rounded_s": row.rounded // 1_000_000,
    }


def _table(table: TableOf, rows: Iterable[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    types = {
        TEXT: pa.string(), WHOLE: pa.int64(), FLAG: pa.bool_(), TIME: pa.timestamp("us", tz="UTC")
    }  # fmt: skip
    held = list(rows)
    columns = {
        one.name: pa.array([_unicode(row.get(one.name)) for row in held], types[one.type])
        for one in table.columns
    }
    return pa.table(columns)


def _unicode(value: Any) -> Any:
    """Text that is no Unicode has U+FFFD where it is none."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
