"""Forgetting everywhere: rows, words, bytes and salts go; a public statement stays.

In: keys of posts or accounts and a reason that names nobody. Out: an observatory in which nothing
shows them any more, and whose every other proof holds: the leaves stay, meaningless without their
salts, and a statement in the log says when and why so many were emptied, not whom they showed.
Posts of others that repeat a forgotten one are theirs and stay; which, is told.

Crash-safe: the statement and an intent (`meta.erasing`) are one commit; what follows is repeated by
the next opening for writing until it is done. A capture of a list goes whole, also where it showed
other posts; those have captures of their own. Copies elsewhere (readable ones, exports, backups)
are beyond our reach, and the text says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from vanished.archive import forgetting, present
from vanished.archive.capture import Place
from vanished.archive.capture import forget as forget_captures
from vanished.archive.leaves import FORGOTTEN, Leaf, leaves, showing
from vanished.archive.mapping import WHO_POST
from vanished.archive.vault import Vault
from vanished.errors import UsageError
from vanished.model import Micros

if TYPE_CHECKING:
    from vanished.archive.observatory import Observatory

INTENT: Final = "erasing"  # key of meta
LONGEST: Final = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was forgotten, and the leaf that says so."""

    posts: int
    accounts: int
    rows: int
    captures: int
    shared: int  # captures that went though they showed others as well
    leaf: int | None  # None: this observatory keeps no log
    repeated_by: tuple[str, ...] = ()  # keys of posts of others that repeat what was forgotten
    traces: bool = False  # a reader holds old pages of the present; they go when it has ended

    def facts(self) -> dict[str, object]:
        return {
            "posts": self.posts,
            "accounts": self.accounts,
            "rows": self.rows,
            "captures": self.captures,
            "shared_captures": self.shared,
            "leaf": self.leaf,
            "repeated_by": list(self.repeated_by),
            "traces": self.traces,
        }

    def text(self) -> str:
        lines = [
            f"Forgot {self.posts} posts and {self.accounts} accounts: {self.rows} rows and"
            f" {self.captures} captures are gone."
        ]
        if self.shared:
            lines.append(f"{self.shared} of these captures were lists that showed others as well.")
        if self.leaf is not None:
            lines.append(f"Leaf {self.leaf} of the log says that and why, not what.")
        if self.repeated_by:
            lines.append(
                f"{len(self.repeated_by)} posts of others repeat what was forgotten, and may show"
                f" its words; forget them, too, if they should go: {', '.join(self.repeated_by)}."
            )
        if self.traces:
            lines.append(
                "Somebody is reading this observatory, so traces are left in present.sqlite until"
                " it is next opened for writing; run vanished log stamp when the reader has ended."
            )
        lines.append("Copies elsewhere (backups, exports, readable copies) are yours to delete.")
        return "\n".join(lines)


def erase(observatory: Observatory, keys: Collection[str], why: str, now: Micros) -> Erased:
    """Forget these posts and accounts, an account with all its posts; durable when it returns.

    Raises UsageError for a key that this observatory does not know, or an empty reason.
    """
    if not why.strip() or len(why) > LONGEST or not why.isprintable():
        raise UsageError(f"Give a reason of one line, of at most {LONGEST} characters.")
    engine = observatory.engine
    doomed = forgetting.subjects(engine, keys)
    with engine.connect() as connection:
        known = _known(connection, keys)
        going = sorted(showing(connection, doomed))
        shared = _shared(connection, going, doomed)
        repeated_by = _repeated_by(connection, observatory.vault, doomed)
    if unknown := sorted(set(keys) - known):
        raise UsageError(
            f"'{unknown[0][:40]}' is no post or account of this observatory; give a key as vanished"
            " report --json prints it."
        )
    leaf = None
    if observatory.proof is not None:
        details: dict[str, Any] = {"why": why.strip(), "leaves": going}
        leaf = observatory.declare("forgotten", details, now, {INTENT: _intent(doomed, going)})
        observatory.proof.sign()
    else:
        with engine.begin() as connection:
            _set(connection, _intent(doomed, going))
    forgotten = finish(observatory)
    assert forgotten is not None
    traces = not present.scrub(engine)
    return Erased(
        forgotten.posts,
        forgotten.accounts,
        forgotten.rows,
        len(going),
        shared,
        leaf,
        repeated_by,
        traces,
    )


def finish(observatory: Observatory) -> forgetting.Forgotten | None:
    """Finish what was begun; None if nothing was. Captures first, since rows name them."""
    engine = observatory.engine
    c = present.meta.c
    with engine.connect() as connection:
        value = connection.execute(sa.select(c.value).where(c.key == INTENT)).scalar()
    if value is None:
        return None
    intent = json.loads(value)
    observatory.close_proof()
    _erase_captures(observatory, set(intent["leaves"]))
    forgotten = observatory.forget_rows(intent["keys"])
    with engine.begin() as connection:
        connection.execute(present.meta.delete().where(c.key == INTENT))
        scrub = {"key": present.SCRUB, "value": ""}
        connection.execute(present.meta.insert().prefix_with("OR REPLACE"), scrub)
    present.scrub(engine)
    observatory.open_proof()
    return forgotten


def _erase_captures(observatory: Observatory, going: set[int]) -> None:
    engine = observatory.engine
    with engine.connect() as connection:
        held = [leaf for leaf in leaves(connection) if leaf.place is not None]
    gone = {leaf.place: leaf for leaf in held if leaf.index in going}
    staying = {leaf.place: leaf for leaf in held if leaf.index not in going}
    moved: dict[Place, Place] = {}
    if gone:
        moved = forget_captures(observatory.folder / "captures", _places(gone), _places(staying))
    t = present.captures
    with engine.begin() as connection:
        for place, new in moved.items():
            row = t.update().where(t.c.leaf == staying[place].index)
            connection.execute(row.values(segment=new.segment, offset=new.offset))
        for leaf in gone.values():
            row = t.update().where(t.c.leaf == leaf.index)
            values = {"segment": "", "offset": 0, "length": FORGOTTEN, "stored": b""}
            connection.execute(row.values(**values))
        for index in going:
            for table in (present.shown, present.payloads):
                connection.execute(table.delete().where(table.c.leaf == index))


def _places(held: dict[Place | None, Leaf]) -> list[Place]:
    return [place for place in held if place is not None]


def _known(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    found: set[str] = set()
    for column in (present.posts.c.key, present.accounts.c.key):
        query = sa.select(column).where(column.in_(sorted(keys)))
        found.update(connection.execute(query).scalars())
    return found


def _shared(connection: sa.Connection, going: Collection[int], doomed: Collection[str]) -> int:
    """How many of these captures show somebody else as well."""
    c = present.shown.c
    others = 0
    for leaf in going:
        shown = connection.execute(sa.select(c.key).where(c.leaf == leaf)).scalars()
        others += any(key not in doomed for key in shown)
    return others


def _repeated_by(
    connection: sa.Connection, vault: Vault, doomed: Collection[str]
) -> tuple[str, ...]:
    """Posts that stay though they repeat one of `doomed`; whom they repeat is sealed in them."""
    c = present.posts.c
    query = sa.select(c.key, c.platform, c.who).execution_options(yield_per=10_000)
    going: set[tuple[str, str]] = set()
    repeating: list[tuple[str, tuple[str, str]]] = []
    for key, platform, who in connection.execute(query):
        native_id, _, repeats = vault.open_list(who, WHO_POST)
        if key in doomed:
            going.add((platform, native_id))
        elif repeats is not None:
            repeating.append((key, (platform, repeats)))
    return tuple(sorted(key for key, original in repeating if original in going))


def _intent(doomed: Collection[str], going: Collection[int]) -> str:
    return json.dumps({"keys": sorted(doomed), "leaves": sorted(going)})


def _set(connection: sa.Connection, value: str) -> None:
    insert = present.meta.insert().prefix_with("OR REPLACE")
    connection.execute(insert, {"key": INTENT, "value": value})
