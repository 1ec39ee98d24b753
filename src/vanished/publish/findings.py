"""Findings as readers are shown them: what analyses found, kept beside the shelf as files.

In: parts of a report (`month`). Out: a generation of files in the shelf's folder: JSON with method,
settings, basis and caveats, the whole table as CSV, the chart as SVG in each language, the story of
each post. A generation is complete or is not there. It may be deleted at any time, and goes with
the shelf when somebody is forgotten. Nothing is computed here: `finding_run` does that.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vanished.archive.durable import refusals, write_atomically
from vanished.archive.folder import SHELF
from vanished.errors import StorageError
from vanished.model import Micros
from vanished.publish.shelf.layout import making
from vanished.publish.tongues import NAMES

if TYPE_CHECKING:
    import pyarrow as pa

    from vanished.publish.full_report import Part

FOLDER: Final = "findings"
NEWEST: Final = "newest"  # a file that names the generation that counts
ABOUT: Final = "about.json"
MEMBERS: Final = "stories.sqlite"
MOST_ROWS: Final = 200  # of a table in JSON; the CSV has all
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Found:
    """One analysis. `why_not` is the sentence that stands for it where it could not be made."""

    name: str
    title: str
    question: str
    shown: Sequence[str]  # the columns that matter most
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    basis: Mapping[str, Any] = field(default_factory=dict)
    based: str = ""  # the basis as a sentence
    caveats: Sequence[str] = ()
    text: str = ""
    total: int = 0  # rows of the whole table
    rows: Sequence[Mapping[str, Any]] = ()  # the first MOST_ROWS of them
    drawn: bool = False
    why_not: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class About:
    """A generation: of which shelf it is, what it looked at, when it was made."""

    observatory: str
    version: int  # of the shelf when it was begun
    made_at: Micros
    since: Micros | None
    until: Micros | None
    parts: Sequence[str]
    seconds: float
    format: int = FORMAT


class Findings:
    """The newest generation of an observatory. What is not there reads as None or nothing."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / SHELF / FOLDER

    def newest(self) -> str:
        """The name of the generation that counts; "" while there is none."""
        try:
            name = (self._place / NEWEST).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return name if name.isalnum() and (self._place / name).is_dir() else ""

    def about(self) -> About | None:
        given = self._json(ABOUT)
        if given is None or given.get("format") != FORMAT:
            return None
        return About(**given)

    def found(self, name: str) -> Found | None:
        """One analysis by name."""
        given = self._json(f"{name}.json") if name.isalpha() else None
        return None if given is None else Found(**given)

    def chart(self, name: str, tag: str = "en") -> str:
        """Its chart in a language, in English where it was not drawn in that one; "" where there
        is none."""
        if not name.isalpha():
            return ""
        text = self._bytes(_drawing(name, tag)) or self._bytes(_drawing(name, "en"))
        return "" if text is None else text.decode()

    def table(self, name: str) -> bytes | None:
        """Its whole table as CSV."""
        return self._bytes(f"{name}.csv") if name.isalpha() else None

    def story_of(self, post: str) -> str:
        """The story of a post; "" where it is not told twice."""
        rows = self._members("select story from members where post = ?", post)
        return rows[0] if rows else ""

    def members(self, story: str) -> list[str]:
        """The posts that tell a story, first met first."""
        return self._members("select post from members where story = ? order by row", story)

    def _members(self, query: str, value: str) -> list[str]:
        newest = self.newest()
        file = self._place / newest / MEMBERS
        if not newest or not file.is_file():
            return []
        try:
            con = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
            try:
                return [row[0] for row in con.execute(query, (value,))]
            finally:
                con.close()
        except sqlite3.Error:  # taken away while we read
            return []

    def _bytes(self, name: str) -> bytes | None:
        for _ in range(2):  # a newer generation may have replaced this one meanwhile
            newest = self.newest()
            try:
                return (self._place / newest / name).read_bytes() if newest else None
            except OSError:
                continue
        return None

    def _json(self, name: str) -> dict[str, Any] | None:
        content = self._bytes(name)
        try:
            given = None if content is None else json.loads(content)
        except ValueError:
            return None
        return given if isinstance(given, dict) else None


@dataclass(slots=True)
class Generation:
    """What is to be kept, gathered in memory, so that it is written in a moment and as a whole."""

    shelf: str  # the making of the shelf that it was begun beside
    files: dict[str, bytes] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    members: pa.Table | None = None

    def add(self, part: Part) -> None:
        """Take what readers need of a part; the part itself can be let go."""
        from vanished.publish.chart_words import in_words_of
        from vanished.publish.drawing import svg
        from vanished.publish.table_files import csv_of

        found = Found(part.name, part.title, part.question, list(part.columns),
                      why_not=part.why_not, seconds=round(part.seconds, 2))  # fmt: skip
        if part.result is not None:
            result, table = part.result, part.result.table()
            chart = result.chart()
            drawings = {tag: svg(in_words_of(tag, chart), tag) for tag in NAMES}
            found = dataclasses.replace(
                found,
                method=result.method,
                settings=dataclasses.asdict(result.settings),
                basis=dataclasses.asdict(result.basis),
                based=result.basis.text(),
                caveats=list(result.caveats),
                text=result.text(),
                total=table.num_rows,
                rows=table.slice(0, MOST_ROWS).to_pylist(),
                drawn=bool(drawings["en"]),
            )
            for tag, drawing in drawings.items():
                self.files[_drawing(part.name, tag)] = drawing.encode()
            self.files[f"{part.name}.csv"] = csv_of(table)
        self.files[f"{part.name}.json"] = _json(dataclasses.asdict(found))
        self.names.append(part.name)

    def keep(self, folder: Path, about: About) -> None:
        """Write all of it and let it count. Raises StorageError, also where the shelf was taken
        away meanwhile: what somebody asked to forget must not come back."""
        self.files[ABOUT] = _json(dataclasses.asdict(about))
        place = folder / SHELF / FOLDER
        name = f"g{about.made_at}"
        if not self.shelf or making(folder) != self.shelf:
            raise StorageError(f"the shelf of {folder} was made anew meanwhile; look again later")
        with refusals(f"keep findings in {place}"):
            place.mkdir(mode=0o700, exist_ok=True)  # never its parent
            (place / name).mkdir(mode=0o700)
            for file, content in self.files.items():
                (place / name / file).write_bytes(content)
            if self.members is not None:
                _write_members(place / name / MEMBERS, self.members)
            write_atomically(place / NEWEST, name.encode(), mode=0o600)
            for old in place.iterdir():
                if old.name not in (name, NEWEST):
                    shutil.rmtree(old, ignore_errors=True)
        if making(folder) != self.shelf:
            shutil.rmtree(place, ignore_errors=True)
            raise StorageError(f"the shelf of {folder} was made anew meanwhile; look again later")


def _write_members(file: Path, members: pa.Table) -> None:
    """Posts of stories that several posts tell; the others are their own story."""
    import pyarrow.compute as pc

    counted = members.group_by("story").aggregate([("post", "count")])
    told = counted.filter(pc.greater(counted["post_count"], 1))["story"]
    kept = members.filter(pc.is_in(members["story"], value_set=told.combine_chunks()))
    con = sqlite3.connect(file)
    try:
        con.execute("create table members (row integer primary key, post text, story text)")
        con.executemany(
            "insert into members (post, story) values (?, ?)",
            zip(kept["post"].to_pylist(), kept["story"].to_pylist(), strict=True),
        )
        con.execute("create index by_post on members (post)")
        con.execute("create index by_story on members (story)")
        con.commit()
    except sqlite3.Error as error:
        raise StorageError(f"{file} cannot be written: {error}") from error
    finally:
        con.close()


def _drawing(name: str, tag: str) -> str:
    return f"{name}.svg" if tag == "en" else f"{name}.{tag}.svg"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()
