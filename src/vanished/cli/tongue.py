"""The language that the command line speaks, and its sentences in it.

In: the arguments, VANISHED_LANGUAGE and the locale of whoever calls; then texts in English, filled
in, as commands, reports and errors make them. Out: the same in the language that is spoken. Values
stay as they are. What programs read is never given to this: --json, CSV, files, exit codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from vanished.errors import UsageError

ENGLISH: Final = "en"
NAMES: Final = ("en", "zh-Hans", "zh-Hant")
"""What --language takes, besides names of locales such as zh_TW."""
VARIABLE: Final = "VANISHED_LANGUAGE"
_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
_TRADITIONAL: Final = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")
_SENTENCES: Final = re.compile(r"(?<=[.;:!?]) (?=\S)")
_CLOSED: Final = "。；：！？，、）”」"  # no space follows these
_WORDS: Final = re.compile(r"\s+|[!-~]+|[^\s!-~]")
_NOT_FIRST: Final = "，。；：、！？）》”」…"  # no line begins with these

_spoken = [ENGLISH]  # of this process; set by `speaking` only, before a command runs


def tag_of(wish: str) -> str | None:
    """The language that a wish such as zh-Hant or zh_TW.UTF-8 means; None for none of ours."""
    named = re.split(r"[.@]", wish.strip(), maxsplit=1)[0].replace("_", "-").lower()
    if named.startswith(_TRADITIONAL):
        return "zh-Hant"
    language = named.partition("-")[0]
    return {"zh": "zh-Hans", "en": ENGLISH}.get(language)


def asked(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language to speak: --language before the command, else the variable, else the locale.

    A wish that means none of ours is English here; the option itself complains of it.
    """
    return tag_of(_option(words) or environment.get(VARIABLE) or _locale(environment)) or ENGLISH


def _option(words: Sequence[str]) -> str:
    given = iter(words)
    for word in given:
        if word == "--language":
            return next(given, "")
        if word.startswith("--language="):
            return word.partition("=")[2]
        if not word.startswith("-"):
            break
    return ""


def _locale(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in _LOCALE if environment.get(name)), "")


def checked(wish: str | None) -> str | None:
    """The wish, for an option. Raises UsageError where it means none of our languages."""
    if wish and tag_of(wish) is None:
        raise UsageError(f"'{wish}' is no language of ours; choose one of {', '.join(NAMES)}.")
    return wish


@contextmanager
def speaking(tag: str) -> Iterator[str]:
    """Speak a language as long as this is open."""
    before, _spoken[0] = _spoken[0], tag
    try:
        yield tag
    finally:
        _spoken[0] = before


def spoken() -> str:
    """The tag of the language that is spoken now."""
    return _spoken[0]


def said(text: str) -> str:
    """`text` in the language that is spoken, line by line; what no catalogue has stays English."""
    if spoken() == ENGLISH or not text.strip():
        return text
    if "\n" in text:
        from vanished.publish.sentences import whole

        meant = whole(spoken(), text)
        return "\n".join(map(_line, text.split("\n"))) if meant == text else meant
    return _line(text)


def said_paragraphs(text: str) -> str:
    """`text` as `said`, where its lines are parts of paragraphs; lists in it keep their lines."""
    if spoken() == ENGLISH:
        return text
    made = []
    for paragraph in text.split("\n\n"):
        flat = " ".join(paragraph.split())
        meant = said(flat)
        made.append(said(paragraph) if meant == flat or "\n  " in paragraph else meant)
    return "\n\n".join(made)


def _line(line: str) -> str:
    """One line, as the row of sentences that leaves the least of it English."""
    body = line.strip()
    return line.replace(body, _joined(_row(_SENTENCES.split(body))), 1) if body else line


def _known(sentence: str) -> str | None:
    """What a catalogue has for it, also where a stop or a capital was put to words of ours."""
    from vanished.publish.sentences import translated

    bare = sentence.removesuffix(".")
    stop = "。" if bare != sentence else ""
    for form, end in ((sentence, ""), (bare, stop), (bare[:1].lower() + bare[1:], stop)):
        meant = translated(spoken(), form)
        if meant != form:
            return meant + end
    return None


def _row(parts: Sequence[str]) -> list[str]:
    """Sentences one after another; a template may take several of them together.

    Of all ways to divide the row this is the one with the fewest letters left, then with the
    longest pieces: from the end on, the best rest of each place is kept.
    """
    best: list[tuple[int, list[str]]] = [(0, [])]  # for the rest from each place on, last first
    for start in reversed(range(len(parts))):
        ways = []
        for end in range(len(parts), start, -1):
            text = " ".join(parts[start:end])
            meant = _known(text)
            if meant is None and end > start + 1:
                continue
            left, rest = best[len(parts) - end]
            ways.append((left + _english(meant or text), [meant or text, *rest]))
        best.append(min(ways, key=lambda way: way[0]))
    return best[-1][1]


def _english(text: str) -> int:
    return sum(letter.isascii() and letter.isalpha() for letter in text)


def _joined(parts: Sequence[str]) -> str:
    made = ""
    for part in parts:
        made += part if not made or made[-1] in _CLOSED else f" {part}"
    return made


class Speaker(Console):
    """A console that says what it is given in the language that is spoken.

    Sentences, heads and cells of tables that are plain strings are translated. A `Text` that is
    printed is a line of ours, too; a `Text` in a cell is somebody's words, and stays.
    """

    def render_str(self, text: str, **given: Any) -> Text:
        return super().render_str(said(text), **given)

    def print(self, *things: Any, **given: Any) -> None:
        if spoken() != ENGLISH:
            width = 0 if given.get("soft_wrap") else self.width
            things = tuple(_shown(one, width) for one in things)
        super().print(*things, **given)


def _shown(thing: object, width: int) -> object:
    """A text in the language that is spoken, in lines of `width` cells (0: as they are)."""
    text = thing.plain if isinstance(thing, Text) else thing
    if not isinstance(text, str):
        return thing
    meant = said(text)
    if width and meant != text:
        meant = "\n".join(filled(line, width) for line in meant.split("\n"))
    return Text(meant, style=thing.style) if isinstance(thing, Text) else meant


def filled(text: str, width: int, first: str = "", other: str = "") -> str:
    """`text` in lines of at most `width` cells; Chinese breaks anywhere but before a sign.

    `first` begins the first line, `other` all others.
    """
    lines, line, room = [], first, cell_len(first)
    for word in _WORDS.findall(text):
        for part in chop_cells(word, max(width - len(other), 1)):
            if room + cell_len(part) > width and part not in _NOT_FIRST and line.strip():
                lines.append(line.rstrip())
                line, room = other, len(other)
            if not (part.isspace() and line == other and lines):
                line += part
                room += cell_len(part)
    return "\n".join([*lines, line.rstrip()])
