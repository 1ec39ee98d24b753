"""Between the rows of the present and its tables: the mapping, stated once.

In: `rows.PostRow` and `rows.AccountRow`. Out: values for the tables of `present`, and back; and the
statements that the writer runs for every look.
"""

from __future__ import annotations

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.rows import AccountRow, PostRow, Track, host_of
from vanished.model import Account, Post, State

_TRACK = list(Track.__dataclass_fields__)

UPDATE_POST = (
    present.posts.update()
    .where(present.posts.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in [*_TRACK, "version"]})
)
UPDATE_ACCOUNT = (
    present.accounts.update()
    .where(present.accounts.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in [*_TRACK, "cursor"]})
)
_RUNS = present.TAILS["observations"]
EXTEND_RUN = (
    _RUNS.update()
    .where(_RUNS.c.row == sa.bindparam("b_row"))
    .values(
        last_asked_at=sa.bindparam("b_asked"),
        last_answered_at=sa.bindparam("b_answered"),
        looks=_RUNS.c.looks + sa.bindparam("b_looks"),
        seq=sa.bindparam("b_seq"),
    )
)


def _track(row: sa.RowMapping) -> Track:
    track = Track(*(row[name] for name in _TRACK))
    track.state = State(track.state)
    return track


def _track_values(track: Track, prefix: str = "") -> dict[str, object]:
    values = {prefix + name: getattr(track, name) for name in _TRACK}
    values[prefix + "state"] = track.state.value
    return values


def post_row(row: sa.RowMapping) -> PostRow:
    post = Post(
        row["key"],
        row["account_key"],
        row["platform"],
        row["native_id"],
        row["url"],
        row["published_at"],
        row["first_seen_at"],
        row["repeats"],
        row["version"],
    )
    return PostRow(row["id"], post, row["account_id"], _track(row))


def account_row(row: sa.RowMapping) -> AccountRow:
    account = Account(
        row["key"], row["platform"], row["native_id"], row["name"], row["url"], row["added_at"]
    )
    return AccountRow(row["id"], account, row["cursor"], _track(row), row["watched"])


def post_values(row: PostRow) -> dict[str, object]:
    post = row.post
    return {
        "id": row.id,
        "key": post.key,
        "account_id": row.account_id,
        "platform": post.platform,
        "native_id": post.native_id,
        "url": post.url,
        "host": host_of(post.url),
        "published_at": post.published_at,
        "first_seen_at": post.first_seen_at,
        "repeats": post.repeats,
        "version": post.version,
        **_track_values(row.track),
    }


def account_values(row: AccountRow) -> dict[str, object]:
    account = row.account
    return {
        "id": row.id,
        "key": account.key,
        "platform": account.platform,
        "native_id": account.native_id,
        "name": account.name,
        "url": account.url,
        "added_at": account.added_at,
        "watched": row.watched,
        "cursor": row.cursor,
        **_track_values(row.track),
    }


def post_update(row: PostRow) -> dict[str, object]:
    return {"b_id": row.id, "b_version": row.post.version, **_track_values(row.track, "b_")}


def account_update(row: AccountRow) -> dict[str, object]:
    return {"b_id": row.id, "b_cursor": row.cursor, **_track_values(row.track, "b_")}
