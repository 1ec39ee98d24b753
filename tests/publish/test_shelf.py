"""The shelf: the same as the past, found by two characters, gone when it is forgotten."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.publish import desk_world
from vanished.archive.columns import Judgement
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry
from vanished.errors import UsageError
from vanished.explain.calendar import builtin_text, parse_calendar
from vanished.model import DAY, Cause, Interval, State, Verdict
from vanished.publish.desk import state
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.filters import Filter, Meanings
from vanished.publish.shelf.grams import query, script, tokens
from vanished.publish.shelf.layout import log_bytes, path_of
from vanished.publish.shelf.meanings import meanings
from vanished.publish.shelf.reading import Shelf

NOTHING = Meanings({}, {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    desk_world.make(tmp_path / "o")
    return tmp_path / "o"


def rows_of(folder: Path) -> list[tuple[object, ...]]:
    """What stands on the shelf, without the numbers of rows."""
    with sqlite3.connect(path_of(folder)) as connection:
        columns = "post, causes, state, at, title, text, looks, failed, reposts, views, authors"
        losses = connection.execute(f"select {columns} from losses order by post").fetchall()
        return (
            losses
            + connection.execute(
                "select hour, platform, sum(looks), sum(failed), sum(met) from hours group by 1, 2"
            ).fetchall()
        )


def judge(folder: Path, post: str, state: State, day: int, *, flush: bool) -> None:
    with Observatory.open(folder, write=True) as observatory:
        at = desk_world.START + day * DAY
        verdict = Verdict(post, state, frozenset({Cause.LEGAL}), Interval(None, at), method="t/1")
        observatory.commit(Entry(verdicts={post: Judgement(at, verdict)}), at)
        if flush:
            observatory.flush()


def test_a_shelf_that_goes_on_equals_one_made_anew(folder: Path) -> None:
    """Or a page would show a cause that was withdrawn, or count looks twice."""
    assert fill(folder).anew
    with Shelf(folder, NOTHING) as shelf:
        posts = [row["post"] for row in shelf.losses(Filter(state="any"), rows=100).rows]
    judge(folder, posts[0], State.GONE, 60, flush=False)
    assert not fill(folder).anew
    judge(folder, posts[1], State.ALIVE, 61, flush=True)
    judge(folder, posts[2], State.RETURNED, 62, flush=True)
    went_on = fill(folder)
    assert (went_on.anew, went_on.losses) == (False, 2)
    kept = rows_of(folder)
    path_of(folder).unlink()
    assert fill(folder).anew
    assert rows_of(folder) == kept
    assert posts[1] not in {row[0] for row in kept}


def test_nothing_new_changes_nothing(folder: Path) -> None:
    """Or every chart would be drawn again every few seconds."""
    first = fill(folder)
    assert fill(folder).version == first.version


def test_a_moment_is_held_and_the_log_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages do not mix two moments; yet what is filled meanwhile does not pile up on the disk."""
    monkeypatch.setattr(state, "MOST_LOG", 0)
    desk = state.Desk(folder, state.DeskSettings())
    fill(folder)
    try:
        desk.renew()
        held = desk.shelf()
        post = held.losses(Filter()).rows[0]["post"]
        before = held.count(Filter())
        for day, now, left in ((60, State.ALIVE, 1), (61, State.GONE, 0), (62, State.ALIVE, 1)):
            shown = [row["post"] for row in desk.shelf().losses(Filter(), rows=100).rows]
            judge(folder, post, now, day, flush=False)
            fill(folder)
            assert [row["post"] for row in desk.shelf().losses(Filter(), rows=100).rows] == shown
            desk.renew()
            assert desk.shelf().count(Filter()) == before - left
            assert log_bytes(folder) == 0
        assert desk.shelf() is not held
    finally:
        desk.stop()


def test_what_is_forgotten_leaves_the_shelf(folder: Path) -> None:
    """Or somebody's words would stay findable after they were to be forgotten."""
    fill(folder)
    with Shelf(folder, NOTHING, everything=True) as shelf:
        post = shelf.losses(Filter(q="菜市场")).rows[0]["post"]
        with Observatory.open(folder, write=True) as observatory:
            observatory.forget_rows([post])
        assert shelf.gone
    assert not path_of(folder).parent.exists()
    fill(folder)
    with Shelf(folder, NOTHING, everything=True) as shelf:
        assert shelf.loss(post) is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("菜市", "雨后的菜市场重新开门"), ("图书馆", "圖書館的座位不夠了"), ("市", "菜市场"),
     ("RIVER", "river"), ("lamp mended", "lamp")],
)  # fmt: skip
def test_words_are_found(folder: Path, wanted: str, found: str) -> None:
    """Two characters, one character, the other script, any case; all words of several."""
    fill(folder)
    with Shelf(folder, NOTHING, everything=True) as shelf:
        page = shelf.losses(Filter(q=wanted, state="any"), rows=100)
        assert page.total > 0
        assert all(found in row["text"] for row in page.rows)


@given(st.text(st.sampled_from("天地人你我他abc 1，。👍é"), min_size=1, max_size=30), st.data())
def test_any_piece_of_a_text_is_found(text: str, data: st.DataObject) -> None:
    """A reader who remembers two characters finds the post."""
    pieces = [p for p in text.replace("，", " ").replace("。", " ").replace("👍", " ").split() if p]
    if not pieces:
        return
    piece = data.draw(st.sampled_from(pieces))
    han = [c for c in piece if ord(c) > 0x2E7F]
    wanted = "".join(han[:2]) if len(han) > 1 and piece.startswith("".join(han[:2])) else piece
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create virtual table w using fts5 (body, tokenize='unicode61')")
        connection.execute("insert into w values (?)", (tokens(text),))
        found = connection.execute("select count(*) from w where w match ?", (query(wanted),))
        assert found.fetchone() == (1,)


def test_words_that_may_be_taken_back_are_neither_shown_nor_found(folder: Path) -> None:
    fill(folder)
    with Shelf(folder, NOTHING) as shelf:
        page = shelf.losses(Filter(may="author", state="any"), rows=100)
        assert page.total > 0
        assert all(row["text"] is None and row["withheld"] for row in page.rows)
        found = shelf.losses(Filter(q="菜市场", state="any"), rows=100)
        assert all("author" not in row["causes"] for row in found.rows)
        loss = shelf.loss(page.rows[0]["post"])
        assert loss is not None
        assert {w["text"] for w in loss["wordings"]} == {None}


def test_pages_hold_every_loss_once(folder: Path) -> None:
    fill(folder)
    with Shelf(folder, NOTHING) as shelf:
        for sort in ("-at", "at", "-reposts", "-views"):
            seen, after = [], ""
            for _ in range(100):
                page = shelf.losses(Filter(state="any", sort=sort), rows=7, after=after)
                seen += [row["post"] for row in page.rows]
                after = page.after
                if not after:
                    break
            assert len(seen) == len(set(seen)) == page.total


def test_filters_choose_what_they_say(folder: Path) -> None:
    fill(folder)
    known = meanings(folder)
    with Shelf(folder, known) as shelf:
        everything = shelf.count(Filter(state="any"))
        assert everything == desk_world.POSTS
        assert shelf.count(Filter(cause="open", state="any")) == desk_world.POSTS // 7
        assert shelf.count(Filter(crossed="views", state="any")) == sum(
            n * 200 >= 5000 for n in range(desk_world.POSTS)
        )
        both = shelf.count(Filter(crossed="either", state="any"))
        assert both + shelf.count(Filter(crossed="neither", state="any")) == everything
        day = Filter(since="2023-11-16", until="2023-11-16", state="any")
        assert 0 < shelf.count(day) < 10


def test_an_event_is_its_days(folder: Path) -> None:
    fill(folder)
    text = builtin_text("china-yearly").replace('begin = "06-03"', 'begin = "11-16"')
    text = text.replace('end = "06-04"', 'end = "11-17"')
    calendar = parse_calendar(text, "test")
    events = {e.id: e for e in calendar.within(date(2023, 1, 1), date(2023, 12, 31))}
    with Shelf(folder, Meanings({}, events)) as shelf:
        by_days = Filter(since="2023-11-16", until="2023-11-17", state="any")
        assert shelf.count(Filter(event="june-fourth-2023", state="any")) == shelf.count(by_days)


@pytest.mark.parametrize(
    "given", [{"cause": "spite"}, {"since": "soon"}, {"q": "。。。"}, {"sort": "author"}]
)
def test_a_filter_that_means_nothing_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Filter.of(given)


@given(st.dictionaries(st.sampled_from(["q", "account", "platform", "cause", "x"]), st.text()))
def test_a_filter_survives_its_address(given: dict[str, str]) -> None:
    try:
        asked = Filter.of(given)
    except UsageError:
        return
    assert Filter.of(dict(parse_qsl(asked.address()[1:]))) == asked


@pytest.mark.parametrize(
    ("text", "name"),
    [("雨后的菜市场", "han"), ("図書館のいすがたりない", "kana"), ("도서관", "hangul"),
     ("river", "latin"), ("ساحة", "arabic"), ("12 👍", "other")],
)  # fmt: skip
def test_the_writing_of_a_text(text: str, name: str) -> None:
    assert script(text) == name
