"""The direction of imports: a change that turns it round would let a conclusion rewrite a fact."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conftest import LONGEST

SOURCE = Path(__file__).parent.parent / "src" / "vanished"

# From the ground up; a room imports only rooms that stand before it (and itself).
ROOMS = [
    "model", "errors", "clock", "net", "engine", "archive", "sources", "judge", "watch",
    "explain", "isolate", "reach", "publish", "lab", "cli",
]  # fmt: skip
PURE = [
    "judge",
    "explain",
    "watch/schedule.py",
    "watch/hazard.py",
    "watch/learning.py",
    "watch/lists.py",
    "watch/topics.py",
    "watch/planning.py",
    "watch/absorb.py",
    "sources/notice.py",
]
IMPURE_MODULES = {
    "time",
    "socket",
    "aiohttp",
    "sqlalchemy",
    "duckdb",
    "asyncio",
    "os",
    "subprocess",
}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> set[str]:
    """Names of the modules that the file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            if node.module == "vanished":
                found |= {f"vanished.{alias.name}" for alias in node.names}
    return found


def test_rooms_import_only_what_stands_before_them() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 20
    wrong = []
    for path in files:
        own = path.relative_to(SOURCE).with_suffix("").parts[0]
        if own in {"__init__", "__main__"}:
            continue
        assert own in ROOMS, f"{path} stands in no known room"
        for name in imports(path):
            other = room(name) if name.startswith("vanished") else ""
            if other and other in ROOMS and ROOMS.index(other) > ROOMS.index(own):
                wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert not wrong, wrong


def test_pure_rooms_do_no_io_and_read_no_clock() -> None:
    wrong = []
    for name in PURE:
        place = SOURCE / name
        for path in [place] if place.suffix else sorted(place.rglob("*.py")):
            wrong += [f"{path.name}: {m}" for m in imports(path) & IMPURE_MODULES]
            source = path.read_text(encoding="utf-8")
            wrong += [f"{path.name}: {w}" for w in ("datetime.now", "open(") if w in source]
    assert not wrong, wrong


def test_only_the_command_line_uses_the_lab() -> None:
    users = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "lab" not in path.relative_to(SOURCE).parts
        and any(name.startswith("vanished.lab") for name in imports(path))
    ]
    assert sorted(users) == ["cli/lab_cleaning.py", "cli/observing.py"]


def test_the_tests_that_begin_first_are_there() -> None:
    """A file that was renamed would begin last, and the whole run wait for it."""
    assert [name for name in LONGEST if not (Path(__file__).parent / name).exists()] == []
