"""Sentences that code has already filled in, in the reader's language.

In: an English sentence as a refusal, a report or an analysis says it, with its numbers and names in
place. Out: the same in another language, or the sentence itself where no catalogue has it. A
catalogue holds templates, "'{0}' is no address": the sentence that fits one gives the values,
and those stay as they are unless they are words of ours, too. The template with the most words
of its own wins. A place that a translation writes as {0!} holds what platforms or authors wrote:
it is never translated, even where it reads like a word of ours.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from babel.messages.pofile import read_po

CATALOGUES: Final = ("commands", "refusals", "findings")
"""Files `locale/NAME.zh_Hans.po`: words of the command line, of errors, of analyses."""

_PLACE: Final = re.compile(r"\{(\d+)\}")
_MEANT: Final = re.compile(r"\{(\d+)(!?)\}")
_ENDS: Final = re.compile(r"(?<=[.?!]) (?=[A-Z0-9])")
_WORD: Final = r"[^\s,;()]*+"  # of two places without a letter between, the first is one word
_FEW: Final = 12  # letters of its own; a template with fewer stands between single words only
_DEEPEST: Final = 3  # a value that is a sentence with a value that is a sentence


@cache
def _known(tag: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Whole sentences, and patterns of those with values: those with most words first."""
    whole: dict[str, str] = {}
    filled: list[tuple[int, re.Pattern[str], str]] = []
    for name in CATALOGUES:
        place = files("vanished.publish").joinpath(f"locale/{name}.{tag.replace('-', '_')}.po")
        if not place.is_file():
            continue
        with place.open("rb") as file:
            read = read_po(file, locale=tag.replace("-", "_"))
        for message in read:
            if not message.id or not message.string:
                continue
            said, meant = str(message.id), str(message.string)
            if _PLACE.search(said):
                filled.append((len(_PLACE.sub("", said)), pattern(said), meant))
            else:
                whole[said] = meant
    filled.sort(key=lambda one: -one[0])
    return whole, [(regex, meant) for _, regex, meant in filled]


def pattern(template: str) -> re.Pattern[str]:
    """What sentences of `template` look like; a place stands for anything, also for nothing."""
    parts = _PLACE.split(template)
    usual = ".*?" if sum(map(str.isalpha, "".join(parts[::2]))) >= _FEW else r"\S*?"
    seen: set[str] = set()
    made = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            made.append(re.escape(part))
        elif part in seen:
            made.append(f"(?P=p{part})")
        else:
            seen.add(part)
            beside = number + 2 < len(parts) and not parts[number + 1]
            made.append(f"(?P<p{part}>{_WORD if beside else usual})")
    return re.compile("".join(made), re.DOTALL)


@lru_cache(4096)
def translated(tag: str, sentence: str, depth: int = 0) -> str:
    """`sentence` in the language `tag`; itself where that is English or nothing fits."""
    if tag == "en" or not sentence or depth > _DEEPEST:
        return sentence
    whole, filled = _known(tag)
    if sentence in whole:
        return whole[sentence]
    for regex, meant in filled:
        found = regex.fullmatch(sentence)
        if found:
            values = found.groupdict()

            def value(place: re.Match[str], values: dict[str, str] = values) -> str:
                given = values[f"p{place[1]}"]
                return given if place[2] else translated(tag, given, depth + 1)

            return _MEANT.sub(value, meant)
    if sentence[0].isupper():  # what is a name elsewhere may begin a sentence here
        small = sentence[0].lower() + sentence[1:]
        meant = translated(tag, small, depth + 1)
        return sentence if meant == small else meant
    return sentence


def told(tag: str, line: str) -> str:
    """A line of several sentences in the language `tag`, each as `translated`. Chinese has no
    space between sentences."""
    if tag == "en" or line in _known(tag)[0]:
        return translated(tag, line)
    parts = _ENDS.split(line)
    meant = [translated(tag, part) for part in parts]
    if len(parts) > 1 and all(a != b for a, b in zip(parts, meant, strict=True)):
        return "".join(meant)
    return translated(tag, line)
