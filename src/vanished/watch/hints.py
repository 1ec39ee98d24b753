"""Whom hints ask to look at, and how often at most.

Pure: hints and times come in, subjects that are due go out. However often a subject is hinted at,
it is asked once in `APART`: a moment after the hint, and once more, since a stream may know of a
change long before the server that is asked shows it. Hints are kept in memory only, and not more
than `MOST` subjects of one stream: what is forgotten is a gap in hints, since every subject has its
regular date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vanished.model import SECOND, Micros
from vanished.watch.schedule import NEVER

SETTLED: Micros = SECOND  # after a hint: most servers show by then what a stream told
APART: Micros = 30 * SECOND  # between two looks at one subject that hints ask for
LOOKS = 2  # that one hint asks for
MOST = 10_000


class Subject(NamedTuple):
    """A post of an account, or the whole account where `post` is "", as the stream names them."""

    account: str
    post: str


@dataclass(slots=True)
class Mark:
    """A subject that was hinted at less than `APART` ago, or is still to be asked."""

    at: Micros  # when it may be asked next
    looks: int  # that are still to be asked for
    new: bool  # nothing was said of it but that it is new


class Marks:
    """The subjects of one stream that hints are about."""

    def __init__(self) -> None:
        self._marks: dict[Subject, Mark] = {}
        self.next_at: Micros = NEVER  # when a subject is due or past; `settle` sees to it

    def __len__(self) -> int:
        return len(self._marks)

    def note(self, subject: Subject, now: Micros, *, new: bool = False, looks: int = LOOKS) -> None:
        """Something was said of `subject`."""
        mark = self._marks.get(subject)
        if mark is None:
            if len(self._marks) >= MOST:
                return
            mark = self._marks[subject] = Mark(now + SETTLED, looks, new)
        else:
            mark.looks = max(mark.looks, looks)
            mark.new = mark.new and new
        self.next_at = min(self.next_at, mark.at)

    def due(self, now: Micros) -> list[tuple[Subject, Mark]]:
        """The subjects to be asked now; each stays due until `asked`. Those that are past go."""
        found = [(subject, mark) for subject, mark in self._marks.items() if mark.at <= now]
        for subject, mark in found:
            if not mark.looks:
                del self._marks[subject]
        return [(subject, mark) for subject, mark in found if mark.looks]

    def asked(self, mark: Mark, now: Micros, *, again: bool) -> None:
        """A look at the subject of `mark` is due from now on; `again`: one more may be needed."""
        mark.at = now + APART
        mark.looks = mark.looks - 1 if again else 0

    def settle(self) -> None:
        """Those that were due are asked: see when the next one is."""
        self.next_at = min((mark.at for mark in self._marks.values()), default=NEVER)
