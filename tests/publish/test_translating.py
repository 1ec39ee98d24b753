"""A translator that the user plugs in: asked by the reader only, bounded, told only words."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.publish import desk_world
from tests.publish.asgi import Client
from vanished.archive.rulings import REVIEWED, WITHHOLD, Ruling, add_ruling
from vanished.errors import UsageError
from vanished.publish.desk.app import make_app
from vanished.publish.desk.finder import FinderSettings
from vanished.publish.desk.state import Desk, DeskSettings
from vanished.publish.shelf.filters import Filter
from vanished.publish.translating import MOST, translate
from vanished.watch.doctor import advise

HOST: Final = "127.0.0.1:8600"
Make = Callable[[str], list[str]]


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """A translator of so many lines of shell."""

    def made(lines: str) -> list[str]:
        file = tmp_path / "says"
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(stat.S_IRWXU)
        return [str(file)]

    return made


def test_it_hears_the_text_and_the_language_and_no_shell_reads_them(program: Make) -> None:
    """Words of a post must not become commands, nor our keys be seen by another program."""
    command = program('printf "%s|%s|" "$1" "${VANISHED_KEY:-none}"; cat')
    hostile = "$(touch /tmp/x); `id` 雨后的菜市场"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        said = translate([*command, "to={to}"], hostile, "zh-Hant")
    assert said == f"to=zh-Hant|none|{hostile}"


def test_a_long_text_goes_in_while_the_answer_comes_out(program: Make) -> None:
    text = "长河" * 100_000
    assert translate(program("cat"), text, "en") == text
    assert translate(program("echo done"), text, "en") == "done"  # it reads nothing


def test_one_that_hangs_is_ended_with_all_that_it_started(program: Make, tmp_path: Path) -> None:
    """A page must come, and nothing of ours may go on running after it."""
    mark = tmp_path / "child"
    command = program(f"sleep 60 & echo $! > {mark}; cat > /dev/null; sleep 60")
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"no answer within 0\.5 seconds"):
        translate(command, "x", "en", limit_s=0.5)
    assert time.monotonic() - begun < 10
    assert _ended(int(mark.read_text()))


def test_what_it_leaves_behind_is_ended_too(program: Make, tmp_path: Path) -> None:
    mark = tmp_path / "child"
    command = program(f"sleep 60 > /dev/null & echo $! > {mark}; echo done")
    assert translate(command, "x", "en") == "done"
    assert _ended(int(mark.read_text()))


def _ended(pid: int) -> bool:
    """Whether a process is gone, or waits for nothing but to be taken leave of."""
    for _ in range(100):
        try:
            if ") Z" in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("yes 长", f"more than {MOST >> 20} MB"),
        ("exit 7", "exit code 7"),
        ("kill -9 $$", "exit code -9"),
        ("cat > /dev/null", "answered nothing"),
        ("exec 1>&-; sleep 60", "no answer within"),
    ],
)
def test_one_that_floods_fails_or_is_silent_is_one_sentence(
    program: Make, lines: str, says: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        translate(program(lines), "x", "en", limit_s=2)
    assert "\n" not in str(caught.value)


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="'no-such-program' cannot be started"):
        translate(["no-such-program"], "x", "en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("translated") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(place)
        tool = place.parent / "tool"
        tool.write_text(f'#!/bin/sh\necho asked >> {place.parent}/count\necho "<b>$1</b> $(cat)"\n')
        tool.chmod(stat.S_IRWXU)
        file = place / "observatory.toml"
        line = f'translator = ["{tool}", "{{to}}"]\n'
        file.write_text(file.read_text().replace("[publish]\n", f"[publish]\n{line}"))
        yield place


def opened(folder: Path, *, everything: bool = False) -> Desk:
    desk = Desk(folder, DeskSettings(everything, every_s=3600, finding=FinderSettings(every_s=0)))
    desk._fill()
    desk.renew()
    return desk


def asked(folder: Path) -> int:
    """How often the translator ran."""
    file = folder.parent / "count"
    return len(file.read_text().splitlines()) if file.exists() else 0


def losses(desk: Desk) -> Sequence[Mapping[str, Any]]:
    return desk.shelf().losses(Filter(state="any"), rows=desk_world.POSTS).rows


def test_a_page_translates_only_when_its_reader_asks(folder: Path) -> None:
    """The original stays beside it; what the machine wrote is escaped, marked and not kept."""
    desk = opened(folder)
    client = Client(make_app(desk, ["127.0.0.1"]), HOST)
    row = next(r for r in losses(desk) if r["title"] and not r["withheld"])
    path, before = f"/losses/{row['post']}", asked(folder)
    page = client.get(f"{path}?lang=en").text
    assert f"{path}?translate=1#translation" in page
    assert asked(folder) == before
    there = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    page = client.get(f"{path}?translate=1&lang=en").text
    assert asked(folder) == before + 1
    assert "A machine's translation" in page.replace("&#39;", "'")
    assert "&lt;b&gt;en&lt;/b&gt;" in page
    assert "<b>en</b>" not in page
    assert page.index('<div class="words" dir="auto">') < page.index('id="translation"')
    assert "机器译文" in client.get(f"{path}?translate=1&lang=zh-Hans").text
    assert there == {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    before = asked(folder)
    client.get(f"{path}?translate=1&translator=/bin/id&lang=en")
    for site in ("cross-site", "same-site"):
        client.get(f"{path}?translate=1&lang=en", **{"sec-fetch-site": site})
    assert asked(folder) == before + 1  # the first, by the program of the settings
    desk.stop()


def test_withheld_words_are_handed_to_no_program(folder: Path) -> None:
    """Not those that an author may have taken down, though their reader sees everything; and not
    those that a person withholds."""
    desk = opened(folder, everything=True)
    client = Client(make_app(desk, ["127.0.0.1"]), HOST)
    rows, before = losses(desk), asked(folder)
    authors = [r for r in rows if "author" in r["causes"] and r["text"]]
    assert authors
    for row in authors[:3]:
        page = client.get(f"/losses/{row['post']}?translate=1&lang=en").text
        assert "translate=1#" not in page
    other = next(r for r in rows if "author" not in r["causes"] and r["text"])
    assert "translate=1#" in client.get(f"/losses/{other['post']}?lang=en").text
    key = str(other["post"])
    add_ruling(folder, Ruling(REVIEWED, key, WITHHOLD, desk_world.START, {"note": "names a child"}))
    assert "translate=1#" not in client.get(f"/losses/{key}?translate=1&lang=en").text
    assert asked(folder) == before
    desk.stop()


def test_the_doctor_misses_a_translator_that_is_not_there(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        assert not [f for f in advise(folder) if "translator" in f.what]
        tool = folder.parent / "tool"
        tool.rename(tool.with_name("gone"))
        try:
            assert [f.remark for f in advise(folder) if "translator" in f.what] == [True]
        finally:
            tool.with_name("gone").rename(tool)
