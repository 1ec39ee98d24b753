"""The review: losses that a person should look at, and what people decided.

In: what is asked for, or a form that was sent. Out: the queue with a form for each, or an entry of
the record (`archive.rulings`) and the way back. A decision changes no fact and no verdict: it
stands beside them, and counts when something is published (`publish.gate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vanished.archive.rulings import CONFIRM, CORRECT, WITHHOLD
from vanished.errors import UsageError
from vanished.publish.desk.asked import Asked, Shown, listed
from vanished.publish.shelf.filters import Filter
from vanished.publish.takedowns import review as add

QUEUES: Final[Mapping[str, Mapping[str, str]]] = {
    "several": {"cause": "open"},
    "contradictory": {"state": "flickering"},
    "returned": {"state": "returned"},
    "unsure": {"confidence": "low"},
    "unknown": {"cause": "unknown"},
    "suspected": {"state": "suspected"},
    "everything": {"state": "any"},
}
"""What may be worth a look, as filters of the list."""
ROWS: Final = 10
LATEST: Final = 30  # decisions that are listed
MOST_READ: Final = 2000  # losses that are passed over for being decided, on one page


def queue(asked: Asked) -> Shown:
    """Losses of a queue that nobody decided on yet, the latest first, and the latest decisions."""
    name = asked.query.get("queue", "several")
    if name not in QUEUES:
        raise UsageError(f"'{name[:40]}' is no queue; choose of {', '.join(QUEUES)}.")
    desk = asked.desk
    wanted = Filter(**{**QUEUES[name], "platform": asked.query.get("platform", "")})
    rows, after = _undecided(asked, wanted, asked.query.get("after", ""))
    return Shown(
        "review",
        {
            "queue": name,
            "queues": [*QUEUES],
            "platform": wanted.platform,
            "rows": [listed(row) for row in rows],
            "after": after,
            "total": desk.shelf().count(wanted),
            "latest": desk.decisions.all()[:LATEST],
            "decisions": len(desk.decisions.all()),
            "noted": asked.query.get("noted", ""),
            "token": asked.token,
            "back": asked.links.here,
        },
    )


def _undecided(asked: Asked, wanted: Filter, after: str) -> tuple[list[Mapping[str, Any]], str]:
    """Some losses without a reviewer's word, and from where the next page goes on."""
    done, read = asked.desk.decisions.reviewed(), 0
    found: list[Mapping[str, Any]] = []
    while read < MOST_READ:
        page = asked.desk.shelf().losses(wanted, rows=ROWS - len(found), after=after)
        found += [row for row in page.rows if row["post"] not in done]
        read, after = read + len(page.rows), page.after
        if len(found) >= ROWS or not after:
            break
    return found, after


def decide(asked: Asked, form: Mapping[str, list[str]]) -> str:
    """Keep what a form says; where to go then. Raises UsageError, StorageError."""

    def one(name: str) -> str:
        return form.get(name, [""])[0].strip()

    what = one("what")
    if what not in (CONFIRM, CORRECT, WITHHOLD):
        raise UsageError("Choose whether to confirm, to correct or to withhold.")
    causes = form.get("cause", []) if what == CORRECT else []
    ruling = add(asked.desk.folder, one("post"), what, one("note"), asked.desk.clock.now(), causes)
    back = one("back")
    parts = urlsplit(back)
    ours = back.startswith("/") and back[1:2] not in ("/", "\\") and not parts.netloc
    if not ours or not back.isprintable():
        back = asked.links.review()
    path = back.partition("?")[0]
    if path != asked.links.review():
        return back
    kept = {k: v for k, v in _query(parts.query).items() if k not in ("noted", "lang")}
    return asked.links.review(**kept, noted=str(ruling.number))


def _query(text: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(text))
