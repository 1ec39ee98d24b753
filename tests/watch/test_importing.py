"""Taking over a peer's record: once, whatever it says, and never half of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vanished.archive.observatory import Observatory
from vanished.errors import InputError, UsageError
from vanished.model import Cause, State
from vanished.watch.importing import take_over

HEAD = '"title","nickname","created_at","archive","censored_date","censored_msg"\n'
VIOLATION, DELETED = "此内容因违规无法查看", "该内容已被发布者删除"


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Observatory]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


def record(folder: Path, *rows: tuple[str, int, str]) -> Path:
    """A dump with one row for each (title, minute of detection, notice)."""
    lines = [
        f'"{title}","some account","2018-07-06",'
        f'"gh_0123456789ab_2018-07-06_{hash_of(title)}_x{minute}.y.tar.gz",'
        f'"2018-07-07 15:{minute:02}:00","{notice}"\n'
        for title, minute, notice in rows
    ]
    file = folder / "dump.csv"
    file.write_text(HEAD + "".join(lines), encoding="utf-8")
    return file


def hash_of(title: str) -> int:
    return 2_000_000_000 + sum(map(ord, title))


def looks(observatory: Observatory) -> int:
    with observatory.past() as con:
        (total,) = con.execute("select sum(looks)::bigint from observations").fetchall()[0]
    assert total == observatory.acknowledged_looks()
    return int(total)


def test_what_is_held_already_is_left_alone(observatory: Observatory, tmp_path: Path) -> None:
    """Else every repeated import would add looks that nobody made. The second record repeats one
    of a post that is lost by verdict, the third one that we cannot read."""
    rows = [
        ("甲", 1, VIOLATION),
        ("甲", 2, VIOLATION),
        ("甲", 9, VIOLATION),
        ("乙", 3, "此文不可考"),
    ]
    first = take_over(observatory, "wechatscope", record(tmp_path, *rows[:2]))
    assert (first.observations, first.known, first.posts) == (2, 0, 1)
    grown = take_over(observatory, "wechatscope", record(tmp_path, *rows))
    assert (grown.observations, grown.known, grown.posts) == (2, 2, 1)
    for flushed in (False, True):
        if flushed:
            observatory.flush()
        again = take_over(observatory, "wechatscope", record(tmp_path, *rows))
        assert (again.observations, again.known, again.posts) == (0, 4, 0)
        assert looks(observatory) == 4


def test_two_notices_on_one_article_are_a_conflict(
    observatory: Observatory, tmp_path: Path
) -> None:
    """Choosing one of them would say more than the record does."""
    file = record(tmp_path, ("甲", 1, VIOLATION), ("甲", 2, DELETED), ("乙", 3, VIOLATION))
    found = take_over(observatory, "wechatscope", file)
    assert found.conflicts == 1
    assert found.causes == {"author or platform": 1, "platform": 1}
    verdicts = {v.causes: v for v in observatory.verdicts()}
    disputed = verdicts[frozenset({Cause.AUTHOR, Cause.PLATFORM})]
    assert disputed.state is State.GONE
    assert disputed.conflicts


def test_a_broken_row_keeps_nothing(observatory: Observatory, tmp_path: Path) -> None:
    file = record(tmp_path, ("甲", 1, VIOLATION))
    with file.open("a", encoding="utf-8") as dump:
        dump.write('"乙","too few fields"\n')
    with pytest.raises(InputError, match=r"dump\.csv:3: "):
        take_over(observatory, "wechatscope", file)
    assert observatory.first_sights() == {}
    assert observatory.account_ids() == {}
    with pytest.raises(UsageError, match="myspace"):
        take_over(observatory, "myspace", file)
