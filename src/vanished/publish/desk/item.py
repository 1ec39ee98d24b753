"""One loss on its own page: who took it, when, how we know, how far it had spread, what to do.

In: the key of a post. Out: what its page says, its counters as picture and table, the copies of its
pictures. What is withheld on a list is withheld here, and so are its captures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Final

from starlette.responses import Response

from vanished.errors import UsageError
from vanished.model import Micros
from vanished.publish.copies import find_copies
from vanished.publish.desk.asked import Asked, Shown, download, failed, listed
from vanished.publish.desk.evidence import evidence
from vanished.publish.desk.spread_chart import drawn
from vanished.publish.desk.words import AGAIN, CAUSES, MOMENTS
from vanished.publish.gate import Decided
from vanished.publish.moments import iso
from vanished.publish.shelf.filters import CROSSINGS
from vanished.publish.table_files import plain
from vanished.publish.translating import TO, name_of, translate
from vanished.publish.withheld import author_named

LONGEST: Final = 4000  # characters of a wording that are compared
SIMILAR: Final = 5  # losses of the same story that are listed here
COUNTED: Final = ("asked_at", "reposts_low", "reposts_high", "views_low", "views_high")


def loss(asked: Asked) -> Shown:
    """One loss: who took it, when, how we know."""
    desk = asked.desk
    row = desk.shelf().loss(asked.path["post"])
    if row is None:
        return failed(asked, status=404)
    story = desk.findings.story_of(row["post"])
    told = [post for post in desk.findings.members(story) if post != row["post"]]
    proof = evidence(desk.folder, row["post"])
    readable = proof.captures and not row["withheld"] and desk.shelf().fact("sealed") != "1"
    return Shown(
        "loss",
        {
            "loss": listed(row),
            "crossings": CROSSINGS,
            "events": _timeline(row),
            "changes": changes(row["wordings"]),
            "spread": counters(row["runs"]),
            "words_of": lambda causes: [asked.tongue.say(CAUSES[cause]) for cause in causes],
            "observatory": desk.shelf().fact("observatory"),
            "decided": desk.decisions.of(row["post"]),
            "of_account": desk.decisions.of(row["account"]),
            "token": asked.token,
            "back": asked.links.loss(row["post"]),
            "story": story,
            "told": len(told),
            "similar": [listed(one) for one in desk.shelf().some(told)[:SIMILAR]],
            "proof": proof,
            "wacz": _elsewhere(asked, row["post"]) if readable else "",
            "translation": _translation(asked, row),
        },
    )


@dataclass(frozen=True, slots=True)
class Translation:
    """What a machine made of its words: `text`, or `why` there is none; neither until asked."""

    program: str
    text: str = ""
    why: str = ""
    tag: str = ""  # the language of the text, where the program was told it


def _translation(asked: Asked, row: Mapping[str, Any]) -> Translation | None:
    """None where no program is plugged in, or the words are not to be handed on: another program
    gets no words that are withheld from anybody, and none because a page elsewhere wants it."""
    command = asked.desk.translator
    words = "\n\n".join(filter(None, (row["title"], row["text"])))
    if not command or not words.strip() or _kept_back(asked, row):
        return None
    found = Translation(name_of(command))
    if asked.query.get("translate") != "1" or asked.foreign:
        return found
    tag = asked.tongue.tag
    try:
        text = translate(command, words, tag)
    except UsageError as error:
        return replace(found, why=str(error))
    return replace(found, text=text, tag=tag if TO in " ".join(command) else "")


def _kept_back(asked: Asked, row: Mapping[str, Any]) -> bool:
    """Whether its author may have taken it down, or a person withholds it: also where whoever
    runs this dashboard is shown everything."""
    decided = Decided.of(asked.desk.decisions.all()[::-1])
    corrected = decided.corrected.get(row["post"], frozenset())
    return author_named([*row["causes"], *(cause.value for cause in corrected)]) or not (
        decided.granted | decided.asked | decided.withheld
    ).isdisjoint({row["post"], row["account"]})


def _elsewhere(asked: Asked, post: str) -> str:
    """The captures' own origin: the same machine at another port."""
    port = asked.desk.captures
    return f"http://{asked.host}:{port}/{post}.wacz" if port and asked.host else ""


def counters(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The looks that saw a counter."""
    return [run for run in runs if run["reposts_low"] is not None or run["views_low"] is not None]


def spread_svg(asked: Asked) -> Response:
    """How reposts and views grew against the thresholds of China's rule, as a picture."""
    row = asked.desk.shelf().loss(asked.path["post"])
    seen = counters(row["runs"]) if row else []
    if row is None or not seen:
        return Response("There are no counters of that.", 404, media_type="text/plain")
    picture = drawn(seen, row["last_alive_at"], row["first_gone_at"], asked.tongue)
    return Response(picture, media_type="image/svg+xml")


def spread_csv(asked: Asked) -> Response:
    """The same as CSV."""
    row = asked.desk.shelf().loss(asked.path["post"])
    if row is None:
        return Response("There is no such loss.", 404, media_type="text/plain")
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COUNTED)
    for run in counters(row["runs"]):
        writer.writerow([plain(iso(run[n]) if n == "asked_at" else run[n]) for n in COUNTED])
    return download(iter([file.getvalue()]), "text/csv; charset=utf-8", "counters.csv")


def copies(asked: Asked) -> Shown:
    """Which watched posts show the same pictures, and what became of them."""
    row = asked.desk.shelf().loss(asked.path["post"])
    if row is None:
        return failed(asked, status=404)
    try:
        found, why = find_copies(asked.desk.folder, row["post"]), ""
    except UsageError as error:  # no picture of it is kept, which is an answer
        found, why = None, str(error)
    return Shown("copies", {"loss": listed(row), "found": found, "why": why})


def changes(wordings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each wording changed in the one before: runs of words that stayed, came or went."""
    found = []
    for old, new in pairwise(wordings):
        if new["title"] is None or old["title"] is None:
            continue
        before, after = (f"{w['title']}\n{w['text']}".strip()[:LONGEST] for w in (old, new))
        parts: list[tuple[str, str]] = []
        for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if kind == "equal":
                parts.append(("=", before[a:b]))
            if kind in ("delete", "replace"):
                parts.append(("-", before[a:b]))
            if kind in ("insert", "replace"):
                parts.append(("+", after[c:d]))
        found.append({"at": new["seen_at"], "words": parts})
    return found


def _timeline(row: Mapping[str, Any]) -> list[tuple[Micros, str]]:
    """Its moments, in order of time."""
    found = [(row[key], says) for key, says in MOMENTS.items() if row[key] is not None]
    gone = row["first_gone_at"]
    alive = [run["asked_at"] for run in row["runs"] if run["kind"] == "alive"]
    returned = [asked_at for asked_at in alive if gone is not None and asked_at > gone]
    if returned:
        found.append((min(returned), AGAIN))
    return sorted(found, key=lambda one: one[0])
