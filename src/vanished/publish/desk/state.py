"""What the dashboard holds in memory: the open shelf, drawn charts, and who fills the shelf.

In: a folder and options. Out: a shelf that is there and not forgotten, and charts by version. A
thread brings the shelf up to date every so often; a page never waits for it.
"""

from __future__ import annotations

import threading
import tomllib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from vanished.clock import Clock, SystemClock
from vanished.errors import UsageError, VanishedError
from vanished.explain.calendar import builtin, builtin_text, parse_calendar
from vanished.model import SECOND, Micros
from vanished.publish.desk.decisions import Decisions
from vanished.publish.desk.finder import Finder, FinderSettings
from vanished.publish.desk.forms import Forms
from vanished.publish.desk.front import FIGURES, Figure
from vanished.publish.desk.running import Running, running
from vanished.publish.drawing import svg
from vanished.publish.findings import Findings
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.filters import Meanings
from vanished.publish.shelf.reading import Shelf
from vanished.publish.tongues import Tongue
from vanished.watch.doctor import advise, examine
from vanished.watch.finding import Finding

EVERY_S: Final = 15.0
CHECKED_S: Final = 600.0  # between the doctor's visits, which read every file
TOPICS: Final = "topics.toml"
FIRST, LAST = date(2009, 1, 1), date(2035, 12, 31)
"""Between which events of every year can be asked for."""
_KEPT: Final = 64  # drawn charts


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """How the dashboard behaves."""

    everything: bool = False  # also the words of posts that authors may have taken down
    names: bool = False  # accounts by the names that platforms use
    every_s: float = EVERY_S  # between fillings of the shelf
    finding: FinderSettings = field(default_factory=FinderSettings)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the doctor found, and when."""

    at: Micros
    findings: list[Finding]
    advice: list[Finding]


@dataclass(slots=True)
class Desk:
    """The state. `start` before the first page, `stop` at the end."""

    folder: Path
    settings: DeskSettings
    checked: Checked | None = None  # the doctor's latest visit
    trouble: str = ""  # why the shelf could not be brought up to date, last time
    names: dict[str, str] = field(default_factory=dict)
    running: Running | None = None  # how the watch is doing, at the latest visit
    decisions: Decisions = field(init=False)
    findings: Findings = field(init=False)
    finder: Finder = field(init=False)
    forms: Forms = field(default_factory=Forms)
    clock: Clock = field(default_factory=SystemClock)
    captures: str = ""  # the port of the captures' own origin; "" where there is none
    _shelf: Shelf | None = None
    _charts: OrderedDict[tuple[str, str, int], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _filler: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.decisions = Decisions(self.folder)
        self.findings = Findings(self.folder)
        self.finder = Finder(self.folder, self.settings.finding)

    def start(self) -> None:
        """Fill the shelf, open it, and keep it up to date from now on. Raises VanishedError."""
        self._fill()
        self._filler = threading.Thread(target=self._keep_filling, name="shelf", daemon=True)
        self._filler.start()

    def stop(self) -> None:
        self._ended.set()
        if self._filler is not None:
            self._filler.join()
        self.finder.stop()
        if self._shelf is not None:
            self._shelf.close()

    def shelf(self) -> Shelf:
        """The shelf; opened anew where its file was taken away, as forgetting does."""
        with self._lock:
            if self._shelf is None or self._shelf.gone:
                if self._shelf is not None:
                    self._shelf.close()
                    self._charts.clear()
                    fill(self.folder)
                self._shelf = Shelf(
                    self.folder, meanings(self.folder), everything=self.settings.everything
                )
            return self._shelf

    def figure(self, name: str, tongue: Tongue) -> Figure:
        """A chart of the front page, with its table."""
        shelf = self.shelf()
        return FIGURES[name](shelf, tongue, shelf.now())

    def drawn(self, name: str, tongue: Tongue) -> str:
        """The same as SVG; "" where there is nothing to draw."""
        key = (name, tongue.tag, self.shelf().version)
        with self._lock:
            if key in self._charts:
                return self._charts[key]
        chart = self.figure(name, tongue).chart
        made = "" if chart is None else svg(chart)
        with self._lock:
            self._charts[key] = made
            while len(self._charts) > _KEPT:
                self._charts.popitem(last=False)
        return made

    def _fill(self) -> None:
        fill(self.folder)
        if self.settings.names:
            from vanished.archive.observatory import Observatory

            with Observatory.open(self.folder) as observatory:
                self.names = observatory.account_names()

    def _check(self) -> None:
        if self.checked is None or SystemClock().now() - self.checked.at > CHECKED_S * SECOND:
            found = Checked(SystemClock().now(), examine(self.folder), advise(self.folder))
            self.running = running(self.folder)
            self.checked = found

    def _find(self) -> None:
        self.finder.visit(self.shelf().version)

    def _keep_filling(self) -> None:
        self._visit(self._find, self._check)
        while not self._ended.wait(self.settings.every_s):
            self._visit(self._fill, self._find, self._check)

    def _visit(self, *works: Callable[[], None]) -> None:
        """Do each; what goes wrong is told until the next visit, and the others are done."""
        troubles = []
        for work in works:
            try:
                work()
            except VanishedError as error:
                troubles.append(str(error))
        self.trouble = " ".join(troubles)


def meanings(folder: Path) -> Meanings:
    """Topics of `topics.toml` and events of the calendars that come along. Raises UsageError."""
    events = {
        event.id: event
        for name in builtin()
        for event in parse_calendar(builtin_text(name), name).within(FIRST, LAST)
    }
    file = folder / TOPICS
    if not file.is_file():
        return Meanings({}, events)
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {error}; correct it.") from None
    for name, words in given.items():
        if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words):
            raise UsageError(f"{file}: {name} is no list of words; write {name} = ['…', '…'].")
    return Meanings(given, events)
