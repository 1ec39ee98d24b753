"""Sentences that code has already filled in, in the reader's language.

In: an English sentence as a refusal, a report or an analysis says it, with its numbers and names in
place. Out: the same in another language, or the sentence itself where no catalogue has it. A
catalogue holds templates, "'{0}' is no address": the sentence that fits one gives the values,
and those stay as they are unless they are words of ours, too. The template with the most words
of its own wins. What stands in quotation marks is a name, and stays in any case. A place that a
translation writes as {0!} holds what platforms or authors wrote: it stays, too, even where it reads
like a word of ours.
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
_QUOTES: Final = ("'", '"', "`", "“", "「")  # what stands in them is a name, and stays
_FEW: Final = 12  # letters of its own; a template with fewer stands between single words only,
_FEW_WITH_SIGNS: Final = 10  # unless it has signs, which count twice
_DEEPEST: Final = 3  # a value that is a sentence with a value that is a sentence


@cache
def _known(tag: str, first: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Whole sentences, and templates of those with values: those with most words first. What two
    catalogues have is said as the catalogue `first` says it."""
    whole: dict[str, str] = {}
    filled: list[tuple[str, str]] = []
    for name in sorted(CATALOGUES, key=lambda name: name != first):
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
                filled.append((said, meant))
            else:
                whole.setdefault(said, meant)
    filled.sort(key=lambda one: -len(_PLACE.sub("", one[0])))
    return whole, filled


@cache
def _own(template: str) -> str:
    """The longest piece of a template's own words: whoever lacks it needs no closer look."""
    return max(_PLACE.split(template)[::2], key=len)


@cache
def pattern(template: str) -> re.Pattern[str]:
    """What sentences of `template` look like; a place stands for anything, also for nothing."""
    parts = _PLACE.split(template)
    usual = ".*?" if _telling("".join(parts[::2])) else r"\S*?"
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


def _telling(own: str) -> bool:
    """Whether a template's own words are so many that values of several words may stand in it."""
    letters = sum(map(str.isalpha, own))
    signs = sum(not (sign.isalnum() or sign.isspace()) for sign in own)
    return letters >= _FEW or (signs > 0 and letters + 2 * signs >= _FEW_WITH_SIGNS)


@lru_cache(4096)
def translated(tag: str, sentence: str, depth: int = 0, first: str = CATALOGUES[0]) -> str:
    """`sentence` in the language `tag`; itself where that is English or nothing fits. Words that
    mean one thing here and another there are said as the catalogue `first` says them."""
    if tag == "en" or not sentence or depth > _DEEPEST:
        return sentence
    whole, filled = _known(tag, first)
    if sentence in whole:
        return whole[sentence]
    for said, meant in filled:
        found = pattern(said).fullmatch(sentence) if _own(said) in sentence else None
        if found:
            return _filled(tag, meant, found.groupdict(), depth + 1, first)
    if sentence[0].isupper():  # what is a name elsewhere may begin a sentence here
        small = sentence[0].lower() + sentence[1:]
        meant = translated(tag, small, depth + 1, first)
        if meant != small:
            return meant
    return _listed(tag, sentence, depth, first)


def _filled(tag: str, meant: str, values: dict[str, str], depth: int, first: str) -> str:
    """A translation with its values; Chinese stands beside Chinese without a blank."""
    made = _MEANT.split(meant)  # a text, a place, whether it stays, a text, …
    for at in range(1, len(made), 3):
        value = values[f"p{made[at]}"]
        stays = made[at + 1] or made[at - 1].endswith(_QUOTES)
        made[at], made[at + 1] = value if stays else _value(tag, value, depth, first), ""
        if made[at] != value:
            made[at - 1] = made[at - 1].rstrip(" ")
            made[at + 2] = made[at + 2].lstrip(" ")
    return "".join(made)


def _listed(tag: str, sentence: str, depth: int, first: str) -> str:
    """A list of words that are all known, word by word; else itself."""
    for sign, meant in ((", ", "、"), (" or ", "或")):
        words = sentence.split(sign)
        if len(words) > 1:
            said = [translated(tag, word, depth + 1, first) for word in words]
            if all(one != word for one, word in zip(said, words, strict=True)):
                return meant.join(said)
    return sentence


def _value(tag: str, value: str, depth: int, first: str) -> str:
    """What stands in a place, without the blanks around it where it is words of ours."""
    meant = translated(tag, value, depth, first)
    if meant != value:
        return meant
    bare = value.strip()
    meant = translated(tag, bare, depth, first)
    return value if meant == bare else meant


def whole(tag: str, sentence: str) -> str:
    """`sentence` where a catalogue has just this, of several lines perhaps; else itself."""
    return sentence if tag == "en" else _known(tag, CATALOGUES[0])[0].get(sentence, sentence)


def told(tag: str, line: str, first: str = CATALOGUES[0]) -> str:
    """A line of several sentences in the language `tag`, each as `translated`. Chinese has no
    space between sentences."""
    if tag == "en" or line in _known(tag, first)[0]:
        return translated(tag, line, 0, first)
    parts = _ENDS.split(line)
    meant = [translated(tag, part, 0, first) for part in parts]
    if len(parts) > 1 and all(a != b for a, b in zip(parts, meant, strict=True)):
        return "".join(meant)
    return translated(tag, line, 0, first)
