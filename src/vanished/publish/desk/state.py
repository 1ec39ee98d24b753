"""What the dashboard holds in memory: the open shelf, drawn charts, and who fills the shelf.

In: a folder and options. Out: a shelf that is there and not forgotten, and charts by version. A
thread brings the shelf up to date every so often; a page never waits for it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.archive.folder import located
from vanished.clock import Clock, SystemClock
from vanished.errors import VanishedError
from vanished.model import SECOND, Micros
from vanished.publish.desk.decisions import Decisions
from vanished.publish.desk.finder import Finder, FinderSettings
from vanished.publish.desk.forms import Forms
from vanished.publish.desk.front import FIGURES, Figure, count_front
from vanished.publish.desk.running import Running, running
from vanished.publish.drawing import svg
from vanished.publish.findings import Findings
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.layout import empty_log, log_bytes
from vanished.publish.shelf.meanings import meanings
from vanished.publish.shelf.reading import Shelf
from vanished.publish.tongues import NAMES, Tongue
from vanished.watch.doctor import advise, examine
from vanished.watch.finding import Finding

EVERY_S: Final = 15.0
MOST_LOG: Final = 64 << 20  # bytes of SQLite's log, above which nobody holds a moment of it
STOP_S: Final = 5.0  # that the end waits for a filling
CHECKED_S: Final = 600.0  # between the doctor's visits, which read every file
IDLE: Final = 20.0  # times as long as reading how the watch is doing took, until it is read again


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
    translator: tuple[str, ...] = field(init=False)  # the user's program; () for none
    forms: Forms = field(default_factory=Forms)
    clock: Clock = field(default_factory=SystemClock)
    captures: str = ""  # the port of the captures' own origin; "" where there is none
    _shelf: Shelf | None = None
    _before: Shelf | None = None  # the one before, which a page may still be reading
    _charts: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _filler: threading.Thread | None = None
    _looks_again: float = 0.0  # monotonic seconds

    def __post_init__(self) -> None:
        self.decisions = Decisions(self.folder)
        self.findings = Findings(self.folder)
        self.translator = located(self.folder).publish.translator
        self.finder = Finder(self.folder, self.settings.finding)

    def start(self) -> None:
        """Fill the shelf, open it, and keep it up to date from now on. Raises VanishedError."""
        self._fill()
        self.renew()
        self._filler = threading.Thread(target=self._keep_filling, name="shelf", daemon=True)
        self._filler.start()

    def stop(self) -> None:
        self._ended.set()
        if self._filler is not None:
            self._filler.join(STOP_S)  # not the doctor, who may be reading every file
        self.finder.stop()
        for shelf in (self._shelf, self._before):
            if shelf is not None:
                shelf.close()

    def shelf(self) -> Shelf:
        """The shelf as it was last filled; anew where its file was taken away by forgetting."""
        with self._lock:
            if self._shelf is None or self._shelf.gone:
                if self._shelf is not None:
                    self._shelf.close()
                    self._charts.clear()
                    fill(self.folder)
                self._shelf = self._opened()
            return self._shelf

    def _opened(self) -> Shelf:
        shelf = Shelf(self.folder, meanings(self.folder), everything=self.settings.everything)
        shelf.hold()
        return shelf

    def renew(self) -> None:
        """Put the shelf as it is now in the place of the one that pages read, when what every
        page counts is counted; the charts that were drawn are drawn again."""
        if self._shelf is not None and not self._shelf.gone:
            with Shelf(self.folder, self._shelf.meanings) as current:
                if current.version == self._shelf.version:
                    return
        if log_bytes(self.folder) > MOST_LOG:
            # SQLite begins its log anew only when nobody holds a moment in it.
            for older in filter(None, (self._shelf, self._before)):
                older.release()
            empty_log(self.folder)
        shelf = self._opened()
        count_front(shelf)
        with self._lock:
            if self._before is not None:
                self._before.close()
            self._before, self._shelf = self._shelf, shelf
        for name, tag in list(self._charts):
            self._draw(name, Tongue(tag))

    def figure(self, name: str, tongue: Tongue) -> Figure:
        """A chart of the front page, with its table."""
        shelf = self.shelf()
        return FIGURES[name](shelf, tongue, shelf.now())

    def drawn(self, name: str, tongue: Tongue) -> str:
        """The same as SVG, as it was drawn last; "" where there is nothing to draw.

        After a filling it is drawn again by the thread that fills; the table is ahead of it for
        that long.
        """
        self.shelf()
        kept = self._charts.get((name, tongue.tag))
        return self._draw(name, tongue) if kept is None else kept[1]

    def _draw(self, name: str, tongue: Tongue) -> str:
        chart = self.figure(name, tongue).chart
        stated = json.dumps(chart, sort_keys=True)
        kept = self._charts.get((name, tongue.tag), ("", ""))
        if kept[0] != stated:
            kept = (stated, "" if chart is None else svg(chart, tongue.tag))
            self._charts[name, tongue.tag] = kept
        return kept[1]

    def _fill(self) -> None:
        fill(self.folder)
        if self.settings.names:
            from vanished.archive.observatory import Observatory

            with Observatory.open(self.folder) as observatory:
                self.names = observatory.account_names()

    def _draw_all(self) -> None:
        for tag in NAMES:
            for name in FIGURES:
                self._draw(name, Tongue(tag))

    def _check(self) -> None:
        if self.checked is None or SystemClock().now() - self.checked.at > CHECKED_S * SECOND:
            found = Checked(SystemClock().now(), examine(self.folder), advise(self.folder))
            self.checked = found

    def _look(self) -> None:
        """Read how the watch is doing; seldom enough to take a twentieth of a core at most."""
        begun = time.monotonic()
        if begun >= self._looks_again:
            self.running = running(self.folder)
            self._looks_again = begun + IDLE * (time.monotonic() - begun)

    def _find(self) -> None:
        self.finder.visit(self.shelf().version)

    def _keep_filling(self) -> None:
        self._visit(self._look, self._draw_all, self._find, self._check)
        while not self._ended.wait(self.settings.every_s):
            self._visit(self._fill, self.renew, self._look, self._find, self._check)

    def _visit(self, *works: Callable[[], None]) -> None:
        """Do each; what goes wrong is told until the next visit, and the others are done."""
        troubles = []
        for work in works:
            try:
                work()
            except VanishedError as error:
                troubles.append(str(error))
        self.trouble = " ".join(troubles)
