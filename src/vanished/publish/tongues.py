"""The languages that readers are shown: English, 简体中文, 繁體中文.

In: a tag of a language, or what a browser accepts. Out: a `Tongue`, which translates the words of
pages and writes numbers, moments and spans as its readers do. Catalogues are the .po files in
`locale/`, read as they are. What platforms and authors wrote is never translated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_compact_decimal, format_decimal, format_percent
from babel.support import NullTranslations, Translations

from vanished.model import Micros, at
from vanished.publish.sentences import told

NAMES: Final = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
"""Tags of the languages (BCP 47), each with its own name."""
_LOCALES: Final = {"en": "en_GB", "zh-Hans": "zh_Hans_CN", "zh-Hant": "zh_Hant_TW"}
_TRADITIONAL: Final = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")


@cache
def catalogue(tag: str) -> NullTranslations:
    """The translations of a language; English needs none."""
    if tag == "en":
        return NullTranslations()
    name = f"locale/{tag.replace('-', '_')}.po"
    with files("vanished.publish").joinpath(name).open("rb") as file:
        read = read_po(file, locale=tag.replace("-", "_"))
    made = BytesIO()
    write_mo(made, read)
    made.seek(0)
    return Translations(made)


def chosen(accepted: str) -> str:
    """The tag of the language that a browser would rather have (Accept-Language)."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, tag.lower()))
        except ValueError:
            continue
    for _, _, tag in sorted(wishes):
        if tag.startswith(_TRADITIONAL):
            return "zh-Hant"
        if tag.startswith("zh"):
            return "zh-Hans"
        if tag.startswith("en"):
            return "en"
    return "en"


@cache
def _locale(tag: str) -> Locale:
    return Locale.parse(_LOCALES[tag])


@lru_cache(4096)
def _said(tag: str, words: str) -> str:
    return str(catalogue(tag).ugettext(words))


def _chinese(t: Micros) -> str:
    moment = at(t)
    return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M}"


@lru_cache(4096)  # a page writes the same numbers over and over
def _number(tag: str, value: float) -> str:
    return str(format_decimal(value, locale=_locale(tag)))


@lru_cache(4096)
def _short(tag: str, value: float) -> str:
    return str(format_compact_decimal(value, locale=_locale(tag), fraction_digits=1))


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language."""

    tag: str

    @property
    def locale(self) -> Locale:
        return _locale(self.tag)

    def say(self, words: str) -> str:
        """`words` of ours in this language."""
        return _said(self.tag, words) if words else ""

    def told(self, sentences: str) -> str:
        """Sentences that code has filled in, such as those of findings, in this language."""
        return "\n".join(told(self.tag, line, "findings") for line in sentences.split("\n"))

    def some(self, one: str, many: str, n: int) -> str:
        """As `say`, for a number of things."""
        return str(catalogue(self.tag).ungettext(one, many, n))

    def number(self, value: float | None) -> str:
        return "–" if value is None else _number(self.tag, value)

    def short(self, value: float | None) -> str:
        """A large number in few signs."""
        if value is None:
            return "–"
        return _short(self.tag, value)

    def share(self, part: float, whole: float) -> str:
        """A share of something; a dash where there is nothing to have a share of."""
        if not whole:
            return "–"
        return str(format_percent(part / whole, format="#,##0.0%", locale=self.locale))

    def moment(self, t: Micros | None) -> str:
        """A moment to the minute, in UTC."""
        if t is None:
            return "–"
        return at(t).strftime("%Y-%m-%d %H:%M") if self.tag == "en" else _chinese(t)

    def iso(self, t: Micros) -> str:
        """A moment as addresses and fields of forms take it."""
        return at(t).strftime("%Y-%m-%dT%H:%M")

    def day(self, t: Micros) -> str:
        return str(format_date(at(t).date(), "medium", locale=self.locale))

    def span(self, seconds: float | None) -> str:
        """A span of time in its largest unit, one digit behind the point below ten."""
        if seconds is None:
            return "–"
        for size, one, many in _UNITS:
            if seconds >= size:
                value = seconds / size
                shown = self.number(round(value, 1) if value < 10 else round(value))
                return self.some(one, many, 1 if value == 1 else 2).format(n=shown)
        return self.some("{n} second", "{n} seconds", 2).format(n=self.number(round(seconds)))

    def all_of(self, things: Sequence[str], word: str = "or") -> str:
        """Things with "or" between them."""
        return f" {self.say(word)} ".join(things)


_UNITS: Final = (
    (86400, "{n} day", "{n} days"),
    (3600, "{n} hour", "{n} hours"),
    (60, "{n} minute", "{n} minutes"),
)
