"""Sentences in other languages: values stay, the longest template wins, others stay English."""

from __future__ import annotations

import ast
import re

import pytest

from tests.publish.templates import templates
from vanished.publish import sentences
from vanished.publish.sentences import translated


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small catalogue."""
    said = {
        "'{0}' is no {1}.": "“{0}”不是{1}。",
        "'{0}' is no address of the web; write {1}.": "“{0}”不是网址；请写 {1}。",
        "{0} of {1}": "{1} 中的 {0}",
        "its author wrote {0} to all": "其作者写道：{0!}",
    }
    order = sorted(said, key=lambda one: -len(re.sub(r"\{\d+\}", "", one)))
    found = ({"number": "数字", "page": "网页"}, [(one, said[one]) for one in order])
    monkeypatch.setattr(sentences, "_known", lambda tag, first: found)
    translated.cache_clear()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("sentence", "meant"),
    [
        ("'xy' is no number.", "“xy”不是数字。"),
        ("'page' is no number.", "“page”不是数字。"),
        ("3 of page", "网页中的 3"),
        ("its author wrote page to all", "其作者写道：page"),
        ("it is 'x' of y", "it is 'x' of y"),
        ("'a\nb' is no address of the web; write http://….", "“a\nb”不是网址；请写 http://…。"),
        ("3 of 7", "7 中的 3"),
        ("nobody knows this", "nobody knows this"),
        ("'{1}' is no {0}.", "“{1}”不是{0}。"),
    ],
)  # fmt: skip
def test_values_stay_and_words_of_ours_do_not(sentence: str, meant: str) -> None:
    assert translated("zh-Hans", sentence) == meant
    assert translated("en", sentence) == sentence


def test_templates_of_code() -> None:
    code = """f"{a!r} is {b:.1f}" + " here" if c else ("none " "at all")"""
    made = list(templates(ast.parse(code, mode="eval").body))
    assert made == ["{0} is {1} here", "none at all"]
