"""Sentences that code has already filled in, in the reader's language.

In: an English sentence as a refusal, a report or an analysis says it, with its numbers and names in
place. Out: the same in another language, or the sentence itself where no catalogue has it. A
catalogue holds templates, "'{0}' is no address": the sentence that fits one gives the values,
and those stay as they are unless they are words of ours, too. The template with the most words
of its own wins. What stands in quotation marks is a name, and stays in any case. What platforms and
authors wrote is a value, so it is never translated.
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
_QUOTES: Final = ("'", '"', "`", "“", "「")  # what stands in them is a name, and stays
_FEW: Final = 12  # letters of its own; a template with fewer stands between single words only,
_FEW_WITH_SIGNS: Final = 10  # unless it has signs, which count twice
_DEEPEST: Final = 3  # a value that is a sentence with a value that is a sentence


@cache
def _known(tag: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Whole sentences, and templates of those with values: those with most words first."""
    whole: dict[str, str] = {}
    filled: list[tuple[str, str]] = []
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
                filled.append((said, meant))
            else:
                whole[said] = meant
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
    value = ".*?" if _telling("".join(parts[::2])) else r"\S*?"
    seen: set[str] = set()
    made = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            made.append(re.escape(part))
        elif part in seen:
            made.append(f"(?P=p{part})")
        else:
            seen.add(part)
            made.append(f"(?P<p{part}>{value})")
    return re.compile("".join(made), re.DOTALL)


def _telling(own: str) -> bool:
    """Whether a template's own words are so many that values of several words may stand in it."""
    letters = sum(map(str.isalpha, own))
    signs = sum(not (sign.isalnum() or sign.isspace()) for sign in own)
    return letters >= _FEW or (signs > 0 and letters + 2 * signs >= _FEW_WITH_SIGNS)


@lru_cache(4096)
def translated(tag: str, sentence: str, depth: int = 0) -> str:
    """`sentence` in the language `tag`; itself where that is English or nothing fits."""
    if tag == "en" or not sentence or depth > _DEEPEST:
        return sentence
    whole, filled = _known(tag)
    if sentence in whole:
        return whole[sentence]
    for said, meant in filled:
        found = pattern(said).fullmatch(sentence) if _own(said) in sentence else None
        if found:
            parts = _PLACE.split(meant)
            for at in range(1, len(parts), 2):
                value = found[f"p{parts[at]}"]
                quoted = parts[at - 1].endswith(_QUOTES)
                parts[at] = value if quoted else _value(tag, value, depth + 1)
                if parts[at] != value:  # Chinese stands beside Chinese without a blank
                    parts[at - 1] = parts[at - 1].rstrip(" ")
                    parts[at + 1] = parts[at + 1].lstrip(" ")
            return "".join(parts)
    return _listed(tag, sentence, depth)


def _listed(tag: str, sentence: str, depth: int) -> str:
    """A list of words that are all known, word by word; else itself."""
    for sign, meant in ((", ", "、"), (" or ", "或")):
        words = sentence.split(sign)
        if len(words) > 1:
            said = [translated(tag, word, depth + 1) for word in words]
            if all(one != word for one, word in zip(said, words, strict=True)):
                return meant.join(said)
    return sentence


def _value(tag: str, value: str, depth: int) -> str:
    """What stands in a place, without the blanks around it where it is words of ours."""
    bare = value.strip()
    meant = translated(tag, bare, depth)
    return value if meant == bare else meant


def whole(tag: str, sentence: str) -> str:
    """`sentence` where a catalogue has just this, of several lines perhaps; else itself."""
    return sentence if tag == "en" else _known(tag)[0].get(sentence, sentence)
