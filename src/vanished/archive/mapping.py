"""Between the rows of the present and its tables: the mapping, stated once.

In: `rows.PostRow` and `rows.AccountRow`. Out: values for the tables of `present`, with what names
somebody sealed in the vault, and back; and the statements that the writer runs for every look.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.rows import (
    NO_PICTURES,
    AccountRow,
    PictureSet,
    PostRow,
    Silence,
    StreamPlace,
    Track,
)
from vanished.archive.vault import Vault
from vanished.model import Account, Post, State

WHO_POST: Final = "posts.who"
WHO_ACCOUNT: Final = "accounts.who"
HOST: Final = "posts.host"
AWAITED: Final = "posts.awaited"
CURSOR: Final = "accounts.cursor"
STREAM: Final = "streams.address"
SILENCE: Final = "silences.origin"
"""What the vault binds each sealed field to."""

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
UPDATE_PICTURES = (
    present.posts.update()
    .where(present.posts.c.key == sa.bindparam("b_key"))
    .values(pictures=sa.bindparam("b_name"), awaited=sa.bindparam("b_awaited"))
)
EXTEND_RUN = (
    _RUNS.update()
    .where((_RUNS.c.row == sa.bindparam("b_row")) & (_RUNS.c.subject == sa.bindparam("b_subject")))
    .values(
        last_asked_at=sa.bindparam("b_asked"),
        last_answered_at=sa.bindparam("b_answered"),
        looks=_RUNS.c.looks + sa.bindparam("b_looks"),
        seq=sa.bindparam("b_seq"),
    )
)


def _track(values: Sequence[Any]) -> Track:
    track = Track(*values)
    track.state = State(track.state)
    return track


def _track_values(track: Track, prefix: str = "") -> dict[str, object]:
    values = {prefix + name: getattr(track, name) for name in _TRACK}
    values[prefix + "state"] = track.state.value
    return values


_P = present.posts.c
POST_COLUMNS: list[sa.ColumnElement[Any]] = [
    *(_P.id, _P.account_id, _P.host),
    *(_P.key, present.accounts.c.key, _P.platform, _P.who),
    *(_P.published_at, _P.first_seen_at, _P.version),
    *(_P.pictures, _P.awaited),
    *(_P[name] for name in _TRACK),
]


POSTS = sa.select(*POST_COLUMNS).join(
    present.accounts, present.accounts.c.id == present.posts.c.account_id
)
_NUMBERS = sa.func.json_each(sa.bindparam("numbers")).table_valued("value")
POSTS_BY_ID = POSTS.where(_P.id.in_(sa.select(_NUMBERS.c.value)))
"""`numbers` is a JSON list: one statement however many there are."""


def post_row(row: Sequence[Any], vault: Vault) -> PostRow:
    """A row selected as POST_COLUMNS; by position, since every look reads one."""
    native_id, url, repeats = vault.open_list(row[6], WHO_POST)
    post = Post(row[3], row[4], row[5], native_id, url, row[7], row[8], repeats, row[9])
    host = vault.open_often(row[2], HOST)
    return PostRow(row[0], post, row[1], _track(row[12:]), host, _pictures(row, vault))


def _pictures(row: Sequence[Any], vault: Vault) -> PictureSet:
    if not row[11]:
        return PictureSet(row[10]) if row[10] else NO_PICTURES
    awaited = json.loads(vault.open(row[11], AWAITED))
    return PictureSet(row[10], tuple((int(place), str(url)) for place, url in awaited))


def _awaited(pictures: PictureSet, vault: Vault) -> bytes:
    return vault.seal(json.dumps(pictures.awaited), AWAITED) if pictures.awaited else b""


def picture_update(key: str, pictures: PictureSet, vault: Vault) -> dict[str, Any]:
    """Values for UPDATE_PICTURES."""
    return {"b_key": key, "b_name": pictures.name, "b_awaited": _awaited(pictures, vault)}


def account_row(row: sa.RowMapping, vault: Vault) -> AccountRow:
    native_id, name, url = vault.open_list(row["who"], WHO_ACCOUNT)
    account = Account(row["key"], row["platform"], native_id, name, url, row["added_at"])
    track = _track([row[name] for name in _TRACK])
    cursor = vault.open(row["cursor"], CURSOR)
    return AccountRow(row["id"], account, cursor, track, row["watched"])


def post_values(row: PostRow, vault: Vault) -> dict[str, object]:
    post = row.post
    return {
        "id": row.id,
        "key": post.key,
        "account_id": row.account_id,
        "platform": post.platform,
        "who": vault.seal_list([post.native_id, post.url, post.repeats], WHO_POST),
        "host": vault.seal_often(row.host, HOST),
        "published_at": post.published_at,
        "first_seen_at": post.first_seen_at,
        "version": post.version,
        "pictures": row.pictures.name,
        "awaited": _awaited(row.pictures, vault),
        **_track_values(row.track),
    }


def account_values(row: AccountRow, vault: Vault) -> dict[str, object]:
    account = row.account
    return {
        "id": row.id,
        "key": account.key,
        "platform": account.platform,
        "who": vault.seal_list([account.native_id, account.name, account.url], WHO_ACCOUNT),
        "added_at": account.added_at,
        "watched": row.watched,
        "cursor": vault.seal(row.cursor, CURSOR),
        **_track_values(row.track),
    }


def post_update(row: PostRow) -> dict[str, Any]:
    return {"b_id": row.id, "b_version": row.post.version, **_track_values(row.track, "b_")}


def account_update(row: AccountRow, vault: Vault) -> dict[str, Any]:
    cursor = vault.seal(row.cursor, CURSOR)
    return {"b_id": row.id, "b_cursor": cursor, **_track_values(row.track, "b_")}


def stream_values(platform: str, place: StreamPlace, vault: Vault) -> dict[str, object]:
    address = vault.seal(place.address, STREAM)
    return {"platform": platform, "address": address, "seq": place.seq, "at": place.at}


def silence_values(silence: Silence, vault: Vault) -> dict[str, object]:
    return {
        "origin": vault.seal(silence.origin, SILENCE),
        "vantage": silence.vantage,
        "since": silence.since,
        "last_at": silence.last_at,
        "failures": silence.failures,
    }
