"""How often the product is right on the labelled set, as text for people.

In: the cases, and what each was called. Out: the confusion matrix, the shares right, and the cases
that are wrong. `python -m tests.labelled.measuring` asks all cases and writes that text into
docs/labelled.md; a test compares the two.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.labelled.asking import called
from tests.labelled.cases import Case, load

DOC = Path(__file__).parents[2] / "docs/labelled.md"
COMMAND = "python -m tests.labelled.measuring"
BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->"
FIRST = ("alive", "unknown", "anybody")


@dataclass(frozen=True, slots=True)
class Measured:
    """The cases and the class that each was called."""

    cases: Sequence[Case]
    called: Mapping[str, str]

    @property
    def wrong(self) -> list[Case]:
        return [case for case in self.cases if self.called[case.id] != case.label]

    def right(self, cases: Iterable[Case]) -> tuple[int, int]:
        """How many of `cases` are right, and of how many."""
        told = [self.called[case.id] == case.label for case in cases]
        return sum(told), len(told)

    @property
    def false_platform(self) -> list[Case]:
        """Put down to the platform alone, and labelled otherwise: the worst that we could say."""
        return [case for case in self.wrong if self.called[case.id] == "platform"]

    @property
    def false_loss(self) -> list[Case]:
        """Called gone, and labelled alive or unknown."""
        kept = ("alive", "unknown")
        return [c for c in self.wrong if c.label in kept and self.called[c.id] not in kept]

    def text(self) -> str:
        """All of it in Markdown."""
        parts = [self._matrix(), self._shares(), self._errors()]
        return "\n\n".join(parts) + "\n"

    def _matrix(self) -> str:
        pairs = Counter((case.label, self.called[case.id]) for case in self.cases)
        names = {name for pair in pairs for name in pair}
        order = [*(n for n in FIRST if n in names), *sorted(names - set(FIRST))]
        rows = [
            [f"**{label}**", *(str(pairs[label, name] or "·") for name in order)] for label in order
        ]
        return _table(["labelled ↓ called →", *order], rows)

    def _shares(self) -> str:
        groups: dict[str, list[Case]] = {"all": list(self.cases), "traps": [], "the others": []}
        for case in sorted(self.cases, key=lambda case: case.platform):
            groups["traps" if case.trap else "the others"].append(case)
            groups.setdefault(case.platform, []).append(case)
        for case in sorted(self.cases, key=lambda case: case.lang):
            groups.setdefault(f"in {case.lang}", []).append(case)
        rows = []
        for name, cases in groups.items():
            right, of = self.right(cases)
            rows.append([name, str(right), str(of), f"{100 * right / of:.1f} %"])
        return _table(["cases", "right", "of", "share"], rows)

    def _errors(self) -> str:
        of = len(self.cases)
        lines = [
            f"Falsely put down to the platform alone: {len(self.false_platform)} of {of}."
            f" Called gone, and labelled alive or unknown: {len(self.false_loss)} of {of}."
        ]
        rows = [[f"`{c.id}`", c.label, self.called[c.id], c.why] for c in self.wrong]
        if rows:
            lines.append(
                _table(["wrong case", "labelled", "called", "why it is labelled so"], rows)
            )
        return "\n\n".join(lines)


def measure() -> Measured:
    """Ask every case of the set."""
    cases = load()
    return Measured(cases, asyncio.run(called(cases)))


def written() -> str:
    """What docs/labelled.md holds between its marks."""
    return DOC.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip("\n") + "\n"


def write(text: str) -> None:
    """Put `text` between the marks of docs/labelled.md."""
    whole = DOC.read_text(encoding="utf-8")
    head, rest = whole.split(BEGIN)
    DOC.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    write(measure().text())
