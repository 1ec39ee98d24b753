"""The command line in three languages: complete, with values and exit codes as in English."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.main import get_command

from tests.cli.commands_said import all_said
from vanished.cli import app, help_shown, tongue
from vanished.cli.tongue import Speaker, asked, said, said_paragraphs, speaking, tag_of
from vanished.errors import UsageError
from vanished.publish.sentences import translated
from vanished.reach import consent
from vanished.reach.risk import Risk

BIN = Path(sys.executable).parent / "vanished"
CHINESE = ["zh-Hans", "zh-Hant"]
PLACE = re.compile(r"\{\d+\}")
ENGLISH_SENTENCE = re.compile(r"[A-Za-z']+ [a-z']+ [a-z']+ [a-z']+")


def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN, *words],
        cwd=cwd,
        env={**os.environ, "VANISHED_KEY": "ab" * 32, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def catalogue(tag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("commands", "refusals"):
        place = files("vanished.publish") / f"locale/{name}.{tag.replace('-', '_')}.po"
        with place.open("rb") as file:
            read = read_po(file)
        found.update((str(one.id), str(one.string)) for one in read if one.id)
    return found


@pytest.mark.parametrize("tag", CHINESE)
def test_whatever_the_code_says_is_translated_with_its_values(tag: str) -> None:
    known = catalogue(tag)
    assert [text for text in all_said() if not known.get(text)] == []
    lost = {
        text
        for text, meant in known.items()
        if set(PLACE.findall(meant)) != set(PLACE.findall(text))
    }
    assert lost == set()


@pytest.mark.parametrize("tag", CHINESE)
def test_no_translation_is_left_over(tag: str) -> None:
    assert sorted(set(catalogue(tag)) - set(all_said())) == []


@pytest.mark.parametrize("tag", CHINESE)
def test_commands_and_options_keep_their_names(tag: str) -> None:
    """A sentence that tells what to type has to tell the same in every language."""
    typed = re.compile(r"--[a-z][a-z-]+|vanished\[[a-z,]+\]|pip install|chmod 600")
    for text, meant in catalogue(tag).items():
        assert Counter(typed.findall(meant)) == Counter(typed.findall(text)), meant


def test_traditional_characters_are_traditional() -> None:
    opencc = pytest.importorskip("opencc")
    traditional, simplified = opencc.OpenCC("s2tw"), catalogue("zh-Hans")
    same = [
        meant
        for text, meant in catalogue("zh-Hant").items()
        if meant == simplified[text] != traditional.convert(meant)
    ]
    assert same == []


def _commands(command: Any, path: str) -> list[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    return [(path, command), *(x for n, c in below.items() for x in _commands(c, f"{path} {n}"))]


@pytest.mark.parametrize("tag", CHINESE)
def test_help_of_every_command_leaves_no_english(tag: str) -> None:
    with speaking(tag):
        root = get_command(app)
        help_shown.translate(root)
        pages = {
            path: one.get_help(one.context_class(one, info_name=path))
            for path, one in _commands(root, "vanished")
        }
    assert len(pages) > 40
    for path, page in pages.items():
        told = page.partition("\n")[2].replace(path, "")
        words = re.sub(r"(示例：|範例：).*|vanished [a-z ]+|\[?[A-Z]+=?[A-Z]*\]?", "", told)
        assert ENGLISH_SENTENCE.search(words) is None, page
        assert max(map(_cells, page.splitlines())) <= 82, page
        assert re.search(r"(选项|選項)：", page), page


def _cells(line: str) -> int:
    return Text(line).cell_len


def test_english_is_as_typer_shows_it(tmp_path: Path) -> None:
    """Whoever speaks no Chinese notices nothing."""
    done = run("reach", "consent", "--help", cwd=tmp_path, LC_ALL="C.UTF-8")
    assert "Usage: vanished reach consent [OPTIONS]" in done.stdout
    assert "--risk <str>" in done.stdout
    assert "[default: apps]" in done.stdout
    assert not re.search(r"[\u4e00-\u9fff]", done.stdout)


@pytest.mark.parametrize(
    ("words", "environment", "tag"),
    [
        ([], {}, "en"),
        (["--language", "zh-Hant", "doctor"], {"LANG": "zh_CN.UTF-8"}, "zh-Hant"),
        (["--language=zh-Hans"], {"VANISHED_LANGUAGE": "en"}, "zh-Hans"),
        (["doctor", "--language", "zh-Hans"], {}, "en"),
        (["--version"], {"VANISHED_LANGUAGE": "zh-Hant", "LANG": "de_DE.UTF-8"}, "zh-Hant"),
        ([], {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ([], {"LC_ALL": "", "LC_MESSAGES": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "zh-Hant"),
        ([], {"LANG": "zh_HK"}, "zh-Hant"),
        ([], {"LANG": "zh_SG.UTF-8"}, "zh-Hans"),
        ([], {"LANG": "zh_CN.GB18030@stroke"}, "zh-Hans"),
        ([], {"LANG": "fr_FR.UTF-8"}, "en"),
        (["--language"], {"LANG": "zh_CN"}, "zh-Hans"),
    ],
)  # fmt: skip
def test_which_language_is_spoken(words: list[str], environment: dict[str, str], tag: str) -> None:
    assert asked(words, environment) == tag


def test_a_language_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run("--language", "klingon", "sources", cwd=tmp_path)
    assert done.returncode == 2
    assert "'klingon' is no language of ours" in done.stderr
    with pytest.raises(UsageError, match="no language"):
        tongue.checked("xx")
    assert tag_of("xx") is None


def test_refusals_in_chinese_keep_exit_codes_and_names(tmp_path: Path) -> None:
    for tag, words in (("zh-Hans", "不是观测站"), ("zh-Hant", "不是觀測站")):
        done = run("doctor", "-o", "nowhere", cwd=tmp_path, VANISHED_LANGUAGE=tag)
        assert (done.returncode, done.stdout) == (3, "")
        assert "nowhere " + words in done.stderr
    done = run("add", "feed", cwd=tmp_path, LANG="zh_CN.UTF-8", LC_ALL="", LC_MESSAGES="")
    assert done.returncode == 2
    assert "缺少参数“address”" in done.stderr
    assert "用法：vanished add" in done.stderr
    done = run("reach", cwd=tmp_path, VANISHED_LANGUAGE="zh-Hans")
    assert done.returncode == 2
    assert "网络放行什么" in done.stderr


def test_json_is_the_same_in_every_language(tmp_path: Path) -> None:
    found = {
        tag: run("sources", "--json", cwd=tmp_path, VANISHED_LANGUAGE=tag)
        for tag in ("en", *CHINESE)
    }
    assert len({one.stdout for one in found.values()}) == 1
    assert json.loads(found["en"].stdout)


def test_a_report_is_told_in_chinese(tmp_path: Path) -> None:
    made = run(
        "init", "o", cwd=tmp_path, VANISHED_LANGUAGE="zh-Hans", XDG_CONFIG_HOME=str(tmp_path)
    )
    assert made.returncode == 0
    assert "它抓取的内容会被密封" in made.stdout
    told = run("report", "-o", "o", cwd=tmp_path, VANISHED_LANGUAGE="zh-Hant")
    assert told.returncode == 0
    assert "觀測了什麼" in told.stdout
    assert "0 篇帖文中沒有消失的。" in told.stdout
    assert ENGLISH_SENTENCE.search(told.stdout) is None, told.stdout


def test_a_console_speaks_and_leaves_the_words_of_others(tmp_path: Path) -> None:
    """A cell that is a `Text` is what somebody wrote: it may be a word of ours and still stays."""
    with (tmp_path / "told").open("w", encoding="utf-8") as file, speaking("zh-Hans"):
        console = Speaker(file=file, width=60)
        table = Table("cause", "notice, title", box=None)
        table.add_row("platform or author", Text("gone by"))
        console.print(table)
        console.print(Text("  Nothing wrong was found."), style="dim")
        assert isinstance(console, Console)
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert "平台或作者" in told
    assert "提示、标题" in told
    assert "gone by" in told
    assert "  没有发现问题。" in told


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Wrote 3 receipts to x. 2 captures were withheld for their authors' sake.",
         "已把 3 份收据写入 x。为保护作者，有 2 份抓取记录不予导出。"),
        ("o: sound\n  not proven: since when: no witness and no stamp is in a receipt",
         "o: 完好\n  不能证明：始于何时：收据中没有见证者，也没有时间戳"),
        ("o/observatory.toml:1: the file has no key 'foo'; known keys: net, log.",
         "o/observatory.toml:1: 该文件没有键“foo”；已知的键：net, log。"),
        ("the platform wrote this", "the platform wrote this"),
        ("observatory.toml:3: keep is 'x'; it must be true or false.",
         "observatory.toml:3: keep 是 'x'；须为 true 或 false。"),
    ],
)  # fmt: skip
def test_sentences_in_a_row_and_in_lines(text: str, meant: str) -> None:
    with speaking("zh-Hans"):
        assert said(text) == meant
    assert said(text) == text


@pytest.mark.parametrize("tag", CHINESE)
def test_the_consent_is_read_in_ones_own_language(tag: str) -> None:
    """Nobody can agree to what they cannot read."""
    with speaking(tag):
        read = said_paragraphs(consent.text("CN", Risk.NEWS))
    assert ENGLISH_SENTENCE.search(read) is None, read
    assert "vanished reach consent --withdraw" in read
    assert len(read.split("\n\n")) == len(consent.text("CN", Risk.NEWS).split("\n\n"))


@pytest.mark.parametrize("tag", CHINESE)
def test_each_template_is_known_from_its_own_sentences(tag: str) -> None:
    """No other template may claim a sentence and mix up what stands in it."""
    for text, meant in catalogue(tag).items():
        if "}{" not in text:  # where one value ends there, nobody can tell
            assert translated(tag, _filled(text, "")) == _filled(meant, "")
            told = translated(tag, _filled(text, " "))  # a value of two words
            assert told in (_filled(meant, " "), _filled(text, " "))


def _filled(template: str, blank: str) -> str:
    return PLACE.sub(lambda place: f"v{place[0][1:-1]}{blank}q", template)
