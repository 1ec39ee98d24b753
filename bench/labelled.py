"""The labelled set: how often the verdict is right, auto-archiver's deletion detection beside it.

In: the cases of tests/labelled. Out: claims. Ours are asked as the tests ask them, through the
real source and judge. auto-archiver is asked for the address of each post, as a user would paste
it. It cannot name causes, so the two are compared on one question only: is the post gone? It is
served every answer that we are served, and opens the page in a real browser besides; where the
set says what an interface of the site answers and not what a browser is shown (Reddit), the
function that decides is given that answer. It looks once, as it does; a platform that changes its
answers in the course of a case answers it as at our last look, when it has settled. Left out of
this question are posts without an address on the web (Matrix, XMPP), X, of which the set knows the
words of another site only, and what moved elsewhere, which is neither gone nor there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from tests.labelled.asking import MOST_LOOKS
from tests.labelled.cases import Case
from tests.labelled.measuring import Measured, measure

from bench import auto_archiver
from bench.harness import Claim, Peer, at_least, at_most

OURS = "Vanished"
CLASSES = ("alive", "gone", "unknown")
MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Score:
    """How one program answered whether posts are gone. Each count with what it is a part of."""

    found: int  # of the gone
    gone: int
    false: int  # of those that are not: live posts, and looks that failed
    others: int

    @property
    def right(self) -> float:
        """Per cent of the posts for which "gone" was said, or not said, rightly."""
        return share(self.found + self.others - self.false, self.gone + self.others)


def run() -> tuple[list[Claim], list[Peer]]:
    """Both claims. Takes about twenty minutes, nearly all of it the peer's browser."""
    measured = measure()
    asked = [
        case
        for case in measured.cases
        if case.label != MOVED and auto_archiver.question(case, MOST_LOOKS)
    ]
    theirs = auto_archiver.ask(asked, MOST_LOOKS)
    peer = auto_archiver.peer()
    sayings = {
        OURS: {case.id: gone_or_not(measured.called[case.id]) for case in asked},
        f"{peer['name']} {peer['version']}": {ident: said.answer for ident, said in theirs.items()},
    }
    show(asked, sayings)
    return [*causes_claims(measured), *gone_claims(asked, sayings)], [peer]


def causes_claims(measured: Measured) -> list[Claim]:
    """Whether the causes are right, over all cases; and how often `platform` is said falsely."""
    right, of = measured.right(measured.cases)
    false = len(measured.false_platform)
    return [
        at_least(
            f"labelled set, {of} cases: right cause or rightly unknown", share(right, of), "%", 98
        ),
        at_most(f"falsely put down to the platform, of {of}", share(false, of), "%", 0.5),
    ]


def gone_claims(asked: Sequence[Case], sayings: Mapping[str, Mapping[str, str]]) -> list[Claim]:
    """The one question, ours and then the peer's for each figure; the bar of ours is the peer's."""
    claims = []
    ours, theirs = (score(asked, said) for said in sayings.values())
    name = list(sayings)[1]
    for what, of, value, better in (
        ("removals found", ours.gone, lambda s: share(s.found, s.gone), at_least),
        ("false removals", ours.others, lambda s: share(s.false, s.others), at_most),
        ("rightly gone or not", len(asked), lambda s: s.right, at_least),
    ):
        claims += [
            better(f"is it gone? {what}, of {of}", value(ours), "%", round(value(theirs), 2)),
            Claim(f"the same, {name}", value(theirs), "%", "beside ours", True),
        ]
    return claims


def score(asked: Sequence[Case], said: Mapping[str, str]) -> Score:
    """How one program answered for these posts."""
    gone = [said[case.id] == "gone" for case in asked if case.expect == "gone"]
    others = [said[case.id] == "gone" for case in asked if case.expect != "gone"]
    return Score(sum(gone), len(gone), sum(others), len(others))


def gone_or_not(said: str) -> str:
    """One of CLASSES for a class of the set: whatever names causes says gone."""
    return said if said in CLASSES else "gone"


def share(part: int, whole: int) -> float:
    """Per cent."""
    return 100 * part / whole if whole else 0.0


def show(asked: Sequence[Case], sayings: Mapping[str, Mapping[str, str]]) -> None:
    """Print the one question by platform, and what each said of what."""
    groups: list[tuple[str, Callable[[Case], bool]]] = [
        *((name, _of(name)) for name in sorted({case.platform for case in asked})),
        ("traps", lambda case: case.trap),
        ("all", lambda case: True),
    ]
    table = Table(title="is it gone? removals found · false removals · right")
    table.add_column("cases")
    for name in sayings:
        table.add_column(name)
    for group, within in groups:
        part = [case for case in asked if within(case)]
        cells = [score(part, said) for said in sayings.values()]
        table.add_row(group, *(_cell(each) for each in cells))
    matrix = Table(title="what was said of posts whose address was opened")
    for heading in ("program", "the post is", *(f"said {each}" for each in CLASSES)):
        matrix.add_column(heading)
    opened = [case for case in asked if _opened(case)]
    for name, said in sayings.items():
        for truth in CLASSES:
            of = [said[case.id] for case in opened if case.expect == truth]
            matrix.add_row(name, truth, *(str(of.count(each)) for each in CLASSES))
    for each in (table, matrix):
        Console(highlight=False).print(each)


def _of(platform: str) -> Callable[[Case], bool]:
    return lambda case: case.platform == platform


def _opened(case: Case) -> bool:
    found = auto_archiver.question(case, MOST_LOOKS)
    return found is not None and found.words is None


def _cell(of: Score) -> str:
    return f"{of.found}/{of.gone} · {of.false}/{of.others} · {of.right:.1f} %"
