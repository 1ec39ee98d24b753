"""Requests to take something down, and reviews: asked, decided, listed; nothing is ever erased.

In: an observatory's folder, the key of a post or an account, or a release's pseudonym of one. Out:
entries of the record (`archive.rulings`) and how each request stands. What they do to a publication
is said in `gate`. To forget somebody everywhere is another thing: `vanished forget`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vanished.archive import rulings as log
from vanished.archive.observatory import Observatory
from vanished.archive.pseudonyms import for_release
from vanished.archive.rulings import Ruling, add_ruling, rulings
from vanished.errors import UsageError
from vanished.model import Cause, Micros, at
from vanished.publish.release_name import check_name

LONGEST: Final = 500  # characters of a reason or a note


@dataclass(frozen=True, slots=True)
class Request:
    """A request and how it stands: `state` is asked, granted or refused."""

    asked: Ruling
    decided: Ruling | None = None

    @property
    def state(self) -> str:
        return "asked" if self.decided is None else self.decided.what

    def facts(self) -> dict[str, object]:
        decided = self.decided
        return {
            "number": self.asked.number,
            "key": self.asked.about,
            "asked_at": at(self.asked.at).isoformat(),
            "reason": self.asked.details.get("reason", ""),
            "state": self.state,
            "decided_at": None if decided is None else at(decided.at).isoformat(),
            "why": None if decided is None else decided.details.get("why", ""),
        }

    def text(self) -> str:
        line = f"{self.asked.number:>6}  {at(self.asked.at):%Y-%m-%d}  {self.asked.about}"
        return f"{line}  {self.state:8}  {self.asked.details.get('reason', '')}"


def ask(folder: Path, key: str, reason: str, now: Micros, release: str | None = None) -> Request:
    """Note that somebody asks to take `key` down; it is withheld until that is decided.

    With `release`, `key` is a pseudonym of that release. Raises UsageError for an unknown key or a
    reason that is none, StorageError.
    """
    found = _known(folder, key, release)
    details = {"reason": _line(reason, "reason")}
    return Request(add_ruling(folder, Ruling(log.ASKED, found, log.ASKED, now, details)))


def decide(folder: Path, number: int, granted: bool, why: str, now: Micros) -> Request:
    """Decide request `number`; a later decision on it replaces this one. Raises UsageError."""
    asked = {request.asked.number: request.asked for request in requests(folder)}
    if number not in asked:
        raise UsageError(
            f"There is no request {number}; vanished publish takedown list shows them all."
        )
    what = log.GRANTED if granted else log.REFUSED
    details = {"request": number, "why": _line(why, "reason")}
    ruling = Ruling(log.DECIDED, asked[number].about, what, now, details)
    return Request(asked[number], add_ruling(folder, ruling))


def requests(folder: Path) -> list[Request]:
    """All requests, the oldest first, each with the newest decision on it."""
    found: dict[int, Request] = {}
    for ruling in rulings(folder):
        if ruling.kind == log.ASKED:
            found[ruling.number] = Request(ruling)
        elif ruling.kind == log.DECIDED:
            number = int(ruling.details["request"])
            found[number] = Request(found[number].asked, ruling)
    return list(found.values())


def review(
    folder: Path, key: str, what: str, note: str, now: Micros, causes: Collection[str] = ()
) -> Ruling:
    """Note a reviewer's word on `key`: `rulings.CONFIRM`, WITHHOLD, or CORRECT with the causes.

    The newest word counts; CONFIRM takes a WITHHOLD back. Raises UsageError.
    """
    if what not in (log.CONFIRM, log.WITHHOLD, log.CORRECT):
        raise UsageError(f"'{what[:20]}' is no review; say confirm, withhold or correct.")
    known = [cause.value for cause in Cause]
    if wrong := [cause for cause in causes if cause not in known]:
        raise UsageError(f"'{wrong[0][:20]}' is no cause; known are {', '.join(known)}.")
    if (what == log.CORRECT) != bool(causes):
        raise UsageError("A correction names the causes that are open, and nothing else does.")
    details: dict[str, object] = {"note": _line(note, "note")}
    if causes:
        details["causes"] = sorted(set(causes))
    return add_ruling(folder, Ruling(log.REVIEWED, _known(folder, key, None), what, now, details))


def _line(text: str, what: str) -> str:
    if not text.strip() or len(text) > LONGEST or not text.isprintable():
        raise UsageError(f"Give a {what} of one line, of at most {LONGEST} characters.")
    return text.strip()


def _known(folder: Path, key: str, release: str | None) -> str:
    """The key that is meant, of a post or an account that the past knows."""
    with Observatory.open(folder) as observatory, observatory.past() as past:
        query = "select key from posts union select key from accounts"
        if release is None:
            found = past.execute(f"select 1 from ({query}) where key = ?", [key]).fetchone()
            if found:
                return key
            where = "vanished report --json prints it, or a release's with --release"
        else:
            name = for_release(observatory.naming, check_name(release))
            for (one,) in past.execute(query).fetchall():
                if name(one) == key:
                    return str(one)
            where = f"release {release} has it"
    raise UsageError(
        f"'{key[:40]}' is no post or account of this observatory; give a key as {where}."
    )
