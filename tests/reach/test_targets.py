"""A list that is read wrongly measures what nobody agreed to."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.needs import needs_shared
from vanished.errors import InputError, UsageError
from vanished.reach.risk import Risk
from vanished.reach.targets import Target, listed, typed

LIST = """url,category_code,category_description,date_added,source,notes
https://news.example/,NEWS,News Media,2014-04-15,x,"a note, with a comma"
http://chat.example/a?b=c,COMT,Communication Tools,2014-04-15,x,
https://news.example/,NEWS,News Media,2014-04-15,x,again
https://other.example/,XXXX,Unknown,2014-04-15,x,
"""


def test_citizen_labs_lists_are_read_with_their_risk(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("\ufeff" + LIST, encoding="utf-8")
    found = listed(tmp_path / "list.csv")
    assert [(one.url, one.risk) for one in found] == [
        ("https://news.example/", Risk.NEWS),
        ("http://chat.example/a?b=c", Risk.APPS),
        ("https://other.example/", Risk.SENSITIVE),
    ]


def test_a_plain_list_is_of_unknown_kind(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# a comment\nhttps://a.example/\n\nhttps://b.example/x\n")
    assert listed(tmp_path / "list.txt") == [
        Target("https://a.example/"), Target("https://b.example/x")]  # fmt: skip
    assert listed(tmp_path / "list.txt")[0].risk is Risk.SENSITIVE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("http://192.168.0.1/,NEWS", "is private"),
        ("http://[::1]/,NEWS", "is loopback"),
        ("http://0x7f.1/,NEWS", "odd way"),
        ("ftp://a.example/,NEWS", "scheme"),
        ("news.example,NEWS", "scheme"),
        ("https://me:secret@a.example/,NEWS", "user or password"),
    ],
)
def test_what_cannot_be_measured_is_named_with_its_line(
    tmp_path: Path, line: str, why: str
) -> None:
    (tmp_path / "list.csv").write_text(f"url,category_code\nhttps://a.example/,NEWS\n{line}\n")
    with pytest.raises(InputError, match=rf"list.csv:3: .*{why}"):
        listed(tmp_path / "list.csv")


def test_typed_urls_have_the_category_that_was_given() -> None:
    assert typed(["https://a.example/"], "news")[0].risk is Risk.NEWS
    assert typed(["https://a.example/"])[0].risk is Risk.SENSITIVE
    with pytest.raises(UsageError, match="is private"):
        typed(["http://10.77.0.2/"])
    typed(["http://10.77.0.2/"], allow=[ip_network("10.77.0.0/16")])


def test_empty_and_missing_lists_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("url,category_code\n")
    for name, why in (("empty.csv", "names no URL"), ("none.csv", "No such file")):
        with pytest.raises(InputError, match=why):
            listed(tmp_path / name)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        listed(tmp_path / "bytes.csv")


def test_the_real_lists_are_read() -> None:
    folder = needs_shared("citizenlab-test-lists/lists")
    counts = {name: len(listed(folder / f"{name}.csv")) for name in ("global", "cn", "ir")}
    assert all(count > 100 for count in counts.values()), counts
