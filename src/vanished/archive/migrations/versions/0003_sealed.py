"""what names an author is sealed; keys of forgotten posts."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHUNK = 10_000
ADDRESS = re.compile(
    r"\w+://[^\s,()]+"
    r"|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?"
    r"|\[?(?:[0-9A-Fa-f]{0,4}:){2,}[0-9A-Fa-f:.]*\]?"
    r"|(?:[\w-]+\.)+[^\W\d_][\w-]+(?::\d+)?"
)


def upgrade() -> None:
    op.create_table(
        "forgotten", sa.Column("key", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("key")
    )
    for table in ("accounts", "posts"):
        op.add_column(table, sa.Column("who", sa.LargeBinary(), nullable=True))
    _seal()
    with op.batch_alter_table("accounts") as batch:
        for name in ("native_id", "name", "url"):
            batch.drop_column(name)
        batch.alter_column("who", nullable=False)
        batch.alter_column("cursor", type_=sa.LargeBinary())
    with op.batch_alter_table("posts") as batch:
        for name in ("native_id", "url", "repeats"):
            batch.drop_column(name)
        batch.alter_column("who", nullable=False)
        batch.alter_column("host", type_=sa.LargeBinary())


def _seal() -> None:
    vault = context.config.attributes["vault"]

    def sealed_list(texts: list[str | None], place: str) -> bytes:
        written: bytes = vault.seal(json.dumps(texts, separators=(",", ":")), place)
        return written

    def account(native_id: str, name: str, url: str, cursor: str) -> tuple[object, ...]:
        who = sealed_list([native_id, name, url], "accounts.who")
        return who, vault.seal(cursor, "accounts.cursor")

    def post(native_id: str, url: str, repeats: str | None, host: str) -> tuple[object, ...]:
        who = sealed_list([native_id, url, repeats], "posts.who")
        return who, vault.seal(host, "posts.host")

    def media(written: str) -> tuple[object, ...]:
        sealed = (vault.seal(address, "versions.media") for address in json.loads(written))
        return (json.dumps([base64.b64encode(word).decode() for word in sealed]),)

    def words(kind: str, via: str, said: str) -> tuple[object, ...]:
        ours = kind == "error" and via != "import"
        return (ADDRESS.sub("…", said) if ours else said,)

    _change("accounts", "id", ["native_id", "name", "url", "cursor"], ["who", "cursor"], account)
    _change("posts", "id", ["native_id", "url", "repeats", "host"], ["who", "host"], post)
    _change("tail_versions", "row", ["media"], ["media"], media)
    _change("tail_observations", "row", ["kind", "via", "words"], ["words"], words)


def _change(
    table: str, number: str, old: list[str], new: list[str], change: Callable[..., tuple[Any, ...]]
) -> None:
    """Write `new` columns of every row as `change` makes them of the `old` ones."""
    assignments = ", ".join(f'"{name}" = ?' for name in new)
    for rows in _chunks(table, number, old):
        changed = [(*change(*values), row) for row, *values in rows]
        op.get_bind().exec_driver_sql(
            f'UPDATE {table} SET {assignments} WHERE "{number}" = ?', changed
        )


def _chunks(table: str, number: str, names: list[str]) -> Iterator[list[Any]]:
    wanted = ", ".join(f'"{name}"' for name in [number, *names])
    last = -1
    while True:
        rows = (
            op.get_bind()
            .exec_driver_sql(
                f'SELECT {wanted} FROM {table} WHERE "{number}" > ? ORDER BY 1 LIMIT {CHUNK}',
                (last,),
            )
            .fetchall()
        )
        if not rows:
            return
        last = rows[-1][0]
        yield [tuple(row) for row in rows]
