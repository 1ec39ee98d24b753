"""Removal notices as data: what a platform shows where a post was, and what that leaves open.

In: a pack (`notices/NAME.toml`, format in `notices/README.md`) and one shown text, field, status
or parsed page. Out: the `Signal` of the rule that fired, or None. A notice counts only in the
places that its rule names, never anywhere in a body, and not at all where the content itself is
shown: an article that quotes a notice is alive. Nothing here asks, waits or judges.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Protocol

from vanished.errors import ConfigError
from vanished.model import Cause, Confidence, Fault, Kind, Signal, Strength
from vanished.sources.html import is_selector
from vanished.sources.table import Table, values_of, words_of

LONGEST = 200
"""Characters of a wording at most; a place that holds many more holds no notice."""

PLACES = ("title", "h1", "main", "path", "redirect", "text")
_PREFIXES = ("css:", "field:")

_CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f"
_BLANK_AT_CJK = re.compile(rf"\s+(?=[{_CJK}])|(?<=[{_CJK}])\s+")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
_RULE_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Match(IntEnum):
    """How a wording has to meet the shown text; the more exact one wins."""

    EXACT = 0
    PREFIX = 1
    CONTAINS = 2


class Places(Protocol):
    """A page as the matcher sees it; `html.Page` is one."""

    def texts(self, place: str) -> Sequence[str]:
        """The texts that stand at `place`, as shown."""
        ...

    def shows(self, place: str) -> bool:
        """Whether `place` ("css:..." or "article") is there and not empty."""
        ...

    def has(self, selector: str) -> bool:
        """Whether any element meets the CSS `selector`."""
        ...


@dataclass(frozen=True, slots=True)
class Wording:
    """One wording of a notice. `norm` is its text as compared; `seen` says where and when."""

    text: str
    lang: str
    match: Match
    where: frozenset[str]
    seen: str
    norm: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One rule: a meaning and everything that shows it. `confidence` is in the cause."""

    id: str
    kind: Kind
    causes: frozenset[Cause]
    fault: Fault | None
    strength: Strength
    confidence: Confidence
    account_level: bool
    rule: str  # "PACK/ID@RULE_VERSION"
    meaning: str
    unless: tuple[str, ...]
    wordings: tuple[Wording, ...]
    elements: tuple[str, ...]  # CSS selectors whose mere presence is the sign
    statuses: tuple[int, ...]

    def signal(self, words: str = "", status: int | None = None) -> Signal:
        """What this rule says of an answer that shows `words`."""
        return Signal(
            self.kind,
            causes=self.causes,
            rule=self.rule,
            strength=self.strength,
            fault=self.fault,
            status=status,
            words=" ".join(words.split())[:200],
            account_level=self.account_level,
        )


@dataclass(frozen=True, slots=True)
class _Hit:
    notice: Notice
    words: str
    rank: tuple[bool, bool, int, int]  # smallest wins


class _Rules:
    """The wordings at one place, sorted so that an ordinary title costs a few look-ups."""

    def __init__(self) -> None:
        self.exact: dict[str, tuple[Notice, Wording]] = {}
        self.inexact: list[tuple[Notice, Wording]] = []
        self.prefixes: tuple[str, ...] = ()
        self.parts: tuple[str, ...] = ()

    def add(self, notice: Notice, wording: Wording) -> None:
        """Enter one wording."""
        if wording.match is Match.EXACT:
            self.exact[wording.norm] = (notice, wording)
            return
        self.inexact.append((notice, wording))
        if wording.match is Match.PREFIX:
            self.prefixes += (wording.norm,)
        else:
            self.parts += (wording.norm,)

    def met_by(self, norm: str) -> list[tuple[Notice, Wording]]:
        """Every wording that the normalised text `norm` meets."""
        found = [self.exact[norm]] if norm in self.exact else []
        if norm.startswith(self.prefixes) or any(part in norm for part in self.parts):
            found += [
                (notice, wording)
                for notice, wording in self.inexact
                if norm.startswith(wording.norm)
                or (wording.match is Match.CONTAINS and wording.norm in norm)
            ]
        return found


@dataclass(frozen=True)
class Pack:
    """The notices of one platform. `hosts` are the only hosts where its content places bind.

    `content` names the places where this platform shows a post's content: on `hosts`, a page
    with neither content nor notice is one that no rule can read.
    """

    name: str
    platform: str
    version: date
    hosts: tuple[str, ...]
    content: tuple[str, ...]
    notices: tuple[Notice, ...]
    _at: Mapping[str, _Rules] = field(init=False, repr=False)
    _any_css: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at: dict[str, _Rules] = {}
        for notice in self.notices:
            for wording in notice.wordings:
                for place in wording.where:
                    at.setdefault(place, _Rules()).add(notice, wording)
        css = [place.removeprefix("css:") for place in at if place.startswith("css:")]
        css += [selector for notice in self.notices for selector in notice.elements]
        object.__setattr__(self, "_at", at)
        object.__setattr__(self, "_any_css", ", ".join(dict.fromkeys(css)))

    @property
    def reads_pages(self) -> bool:
        """Whether any rule speaks of a web page."""
        return bool(self._any_css) or any(place in self._at for place in PLACES[:-1])

    def match_text(self, text: str) -> Signal | None:
        """The signal of a notice that stands alone, as in a peer's record."""
        return _best(self._hits("text", [text]))

    def match_field(self, field: str, text: str) -> Signal | None:
        """The signal of `text` in the answer's field (or code) called `field`."""
        return _best(self._hits(f"field:{field}", [text]))

    def match_status(self, status: int) -> Signal | None:
        """The signal of an HTTP status that says something by itself."""
        for notice in self.notices:
            if status in notice.statuses:
                return notice.signal(status=status)
        return None

    def match_html(self, page: Places) -> Signal | None:
        """The signal of a notice that `page` shows in its place; None if it shows its content."""
        hits: list[_Hit] = []
        css = bool(self._any_css) and page.has(self._any_css)
        for place in self._at:
            if css or not place.startswith("css:"):
                hits += self._hits(place, page.texts(place))
        if css:
            hits += [
                _Hit(notice, selector, (notice.kind is not Kind.ERROR, True, 0, 0))
                for notice in self.notices
                for selector in notice.elements
                if page.has(selector)
            ]
        shown: dict[str, bool] = {}
        for place in {place for hit in hits for place in hit.notice.unless}:
            shown[place] = page.shows(place)
        return _best([h for h in hits if not any(shown[place] for place in h.notice.unless)])

    def _hits(self, place: str, texts: Iterable[str]) -> list[_Hit]:
        rules = self._at.get(place)
        if rules is None:
            return []
        hits = []
        for text in texts:
            for notice, wording in rules.met_by(normal(text[: 4 * LONGEST])):
                # A failed look outranks any removal: it is the answer that proves less.
                rank = (notice.kind is not Kind.ERROR, False, wording.match, -len(wording.norm))
                hits.append(_Hit(notice, text, rank))
        return hits


def _best(hits: Sequence[_Hit]) -> Signal | None:
    if not hits:
        return None
    hit = min(hits, key=lambda hit: hit.rank)
    return hit.notice.signal(hit.words)


def normal(text: str) -> str:
    """`text` as notices are compared: NFKC, no case, blanks collapsed, no punctuation at its end.

    Blanks beside a Chinese character or sign are dropped, since platforms write "屏蔽, 内容" and
    "屏蔽，内容" alike. Simplified and traditional forms stay apart: they are wordings of their own.
    """
    text = unicodedata.normalize("NFD", _INVISIBLE.sub("", text))
    for _ in range(2):  # Unicode 3.13, R5: folding can undo the form, and once more is enough
        text = unicodedata.normalize("NFKC", text.casefold())
    text = _BLANK_AT_CJK.sub("", " ".join(text.split()))
    end = len(text)
    while end and (text[end - 1].isspace() or unicodedata.category(text[end - 1])[0] == "P"):
        end -= 1
    return text[:end]


# -- reading a pack ----------------------------------------------------------------------------


def pack_names() -> tuple[str, ...]:
    """The names of all packs that come with Vanished, in order."""
    folder = files("vanished.sources").joinpath("notices")
    names = [entry.name for entry in folder.iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load_pack(name: str) -> Pack:
    """The pack called `name`; ConfigError if there is none or it is not as the format says."""
    if name not in pack_names():
        known = words_of(pack_names())
        raise ConfigError(f"No notice pack is called '{name}'; there are: {known}.")
    path = files("vanished.sources").joinpath("notices").joinpath(f"{name}.toml")
    return parse_pack(path.read_text(encoding="utf-8"), name)


def parse_pack(text: str, name: str) -> Pack:
    """The pack in `text`; ConfigError names the file and the rule that is wrong."""
    at = f"notices/{name}.toml"
    try:
        table = Table(tomllib.loads(text), at)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{at} is not TOML: {error}.") from None
    version = table.take("version", date)
    content = _content(table, "content")
    where = table.strings("where", needed=False)
    notices = [_notice(Table(n, at), name, content, where) for n in table.tables("notice")]
    pack = Pack(
        name=name,
        platform=table.take("platform", str),
        version=version,
        hosts=tuple(table.strings("hosts", needed=False)),
        content=content,
        notices=tuple(notices),
    )
    table.end()
    _no_doubles(pack, at)
    return pack


def _notice(table: Table, pack: str, content: tuple[str, ...], where: list[str]) -> Notice:
    """One rule; `content` and `where` are the pack's own places, which a rule may overrule."""
    ident = table.take("id", str)
    if not _RULE_ID.fullmatch(ident):
        raise table.wrong(f"the id '{ident}' has to be words of a-z and 0-9 joined by '-'")
    table.at += f", notice '{ident}'"
    kind = table.choice("kind", {"gone": Kind.GONE, "moved": Kind.MOVED, "error": Kind.ERROR})
    failed = kind is Kind.ERROR
    causes = [table.member(Cause, c) for c in table.strings("causes", needed=not failed)]
    if failed and causes:
        raise table.wrong("an error has no causes, since a failed look is never a removal")
    strength = Strength.STRONG if failed else table.choice("strength", values_of(Strength))
    confidence = Confidence.LOW if failed else table.choice("confidence", values_of(Confidence))
    notice = Notice(
        id=ident,
        kind=kind,
        causes=frozenset(causes),
        fault=table.choice("fault", values_of(Fault)) if failed else None,
        strength=strength,
        confidence=confidence,
        account_level=table.take("account_level", bool, False),
        rule=f"{pack}/{ident}@{table.take('rule_version', str)}",
        meaning=table.take("meaning", str),
        unless=_content(table, "unless") if "unless" in table.left else content,
        wordings=tuple(_wording(Table(w, table.at), where) for w in table.tables("wording")),
        elements=tuple(_element(Table(e, table.at)) for e in table.tables("element")),
        statuses=tuple(_status(Table(s, table.at)) for s in table.tables("status")),
    )
    if not (notice.wordings or notice.elements or notice.statuses):
        raise table.wrong("it has no wording, element or status, so it can never fire")
    table.end()
    return notice


def _wording(table: Table, default: list[str]) -> Wording:
    text = table.take("text", str)
    norm = normal(text)
    if not norm or len(norm) > LONGEST:
        raise table.wrong(f"the wording '{text[:40]}' has to be 1 to {LONGEST} characters long")
    match = table.choice("match", {m.name.lower(): m for m in Match}, Match.EXACT)
    where = table.strings("where") if "where" in table.left or not default else default
    for place in where:
        if place.startswith("css:"):
            _selector(table, place.removeprefix("css:"))
        elif place not in PLACES and (place in _PREFIXES or not place.startswith("field:")):
            raise table.wrong(f"'{place}' is no place; there are: {words_of(PLACES + _PREFIXES)}")
    lang, seen = table.take("lang", str), table.take("seen", str)
    table.end()
    return Wording(text, lang, match, frozenset(where), seen, norm)


def _element(table: Table) -> str:
    selector = _selector(table, table.take("css", str))
    table.take("seen", str)
    table.end()
    return selector


def _status(table: Table) -> int:
    code: int = table.take("code", int)
    table.take("seen", str)
    if not 400 <= code <= 499:
        raise table.wrong(f"{code} is no HTTP status of 400 to 499; 5xx is a failed look")
    table.end()
    return code


def _content(table: Table, key: str) -> tuple[str, ...]:
    places = table.strings(key, needed=False)
    for place in places:
        if place.startswith("css:"):
            _selector(table, place.removeprefix("css:"))
        elif place != "article":
            raise table.wrong(f"'{place}' in {key} has to be 'article' or 'css:...'")
    return tuple(places)


def _selector(table: Table, selector: str) -> str:
    if not is_selector(selector):
        raise table.wrong(f"'{selector}' is no CSS selector")
    return selector


def _no_doubles(pack: Pack, at: str) -> None:
    """One wording at one place in two rules would leave the choice to chance."""
    ids: set[str] = set()
    said: dict[tuple[str, str, Match], str] = {}
    codes: dict[int, str] = {}
    for notice in pack.notices:
        here = f"{at}, notice '{notice.id}'"
        if notice.id in ids:
            raise ConfigError(f"{here}: there are two rules of this id; give each its own.")
        ids.add(notice.id)
        for word in notice.wordings:
            for place in word.where:
                other = said.setdefault((place, word.norm, word.match), notice.id)
                if other != notice.id:
                    raise ConfigError(f"{here}: '{word.text}' at {place} also means '{other}'.")
        for code in notice.statuses:
            if codes.setdefault(code, notice.id) != notice.id:
                raise ConfigError(f"{here}: status {code} also means '{codes[code]}'.")
