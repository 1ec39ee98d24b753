"""The labelled set: how often the product says what a careful person would say.

A failure here means that people would be told of losses that did not happen, of culprits whom the
facts do not name, or of posts that are there and are not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labelled import cases, measuring
from tests.labelled.cases import LabelError
from tests.labelled.measuring import Measured
from vanished.sources import registry

CASE = """
platform = "page"
subject = "http://news.example/1"
[[case]]
id = "one"
lang = "en"
why = "A page that is not found."
answers = [{page = true, status = 404, text = "not here"}]
expect = "gone"
causes = ["unknown"]
"""


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measuring.measure()


def test_the_confusion_matrix(measured: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{measured.text()}")
    right, of = measured.right(measured.cases)
    wrong = [f"{c.id}: labelled {c.label}, called {measured.called[c.id]}" for c in measured.wrong]
    assert right / of >= 0.98, wrong
    false = measured.false_platform
    assert len(false) / of <= 0.005, [case.id for case in false]


def test_nobody_is_told_of_a_loss_that_did_not_happen(measured: Measured) -> None:
    assert [case.id for case in measured.false_loss] == []


def test_the_published_matrix_is_the_measured_one(measured: Measured) -> None:
    assert measuring.written() == measured.text(), f"run: {measuring.COMMAND}"


def test_the_set_is_large_enough_and_of_all_kinds(measured: Measured) -> None:
    found = measured.cases
    assert len(found) >= 300
    assert sum(case.trap for case in found) >= len(found) / 3
    assert {case.platform for case in found} == set(registry.platforms())
    langs = {case.lang for case in found} - {"zxx"}
    assert {"zh-Hans", "zh-Hant", "en", "ru"} <= langs
    for platform in registry.platforms():
        of = [case for case in found if case.platform == platform]
        assert {"alive", "unknown", "gone"} == {case.expect for case in of}, platform


def test_whoever_has_a_page_is_shown_one(measured: Measured) -> None:
    """Programs that only see what a browser is shown are measured on the same cases."""
    without = [c.id for c in measured.cases if c.page is None and c.platform != "xmpp"]
    assert [i for i in without if not i.endswith(("connection-lost", "-private", "-loop"))] == []


def read(folder: Path, text: str) -> list[cases.Case]:
    path = folder / "made.toml"
    path.write_text(text, encoding="utf-8")
    return cases.read(path)


def test_a_case_is_read_as_it_stands(tmp_path: Path) -> None:
    (case,) = read(tmp_path, CASE)
    assert (case.id, case.label, case.trap) == ("page/one", "anybody", False)
    assert case.page is not None
    assert (case.page.url, case.page.body) == ("http://news.example/1", b"not here")
    assert case.answer("news.example/1", look=7) is case.page


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('expect = "gone"', 'expect = "lost"', "made.toml, case 'one': 'expect'"),
        ('["unknown"]', '["platform", "author"]', "sorted"),
        ('["unknown"]', '["weather"]', "'causes'"),
        ('expect = "gone"', 'expect = "alive"', "'causes'"),
        ('why = "A page that is not found."', 'why = "gone"', "says why"),
        ("status = 404", "stattus = 404", "stattus"),
        ('text = "not here"', 'template = "none.html"', "none.html"),
        ('text = "not here"', 'text = "{{nothing-such}}"', "nothing-such"),
        ('text = "not here"', 'template = "small.html", fields = {titel = "x"}', "titel"),
        ('text = "not here"', 'text = "a", html = "b"', "one body"),
        ("status = 404", "looks = [3, 1]", "looks"),
        ('id = "one"', 'id = "One!"', "an id"),
        ("[[case]]", "[[case]\n", "made.toml is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_case(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    """A case that is dropped in silence would make the shares better than they are."""
    assert before in CASE
    with pytest.raises(LabelError, match=r"made\.toml") as caught:
        read(tmp_path, CASE.replace(before, after))
    assert words in str(caught.value)
