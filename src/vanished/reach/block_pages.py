"""Whether a page is a block page: one that a network shows in place of the page that was asked for.

In: the bytes of an HTTP answer and its headers. Out: `Found`: the fingerprint or the signs that
speak for it, or that the site itself only asks for a captcha. The words are data.
A page that merely tells of blocking is none: signs count only where little else is said, and a
denial must name an authority or a product. Nothing here knows the target or concludes about it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from html import unescape
from importlib.resources import files

from vanished.errors import ConfigError
from vanished.reach.likeness import title_of
from vanished.reach.steps import Response, raw

LONGEST = 300_000
"""Bytes of a body that are read; what a block page says, it says early."""

MOST_SAID = 6_000
"""Characters of visible text up to which signs count: an article says more than a block page."""

NEAR_TOP = 2_500
"""Characters of visible text, from the top, in which a denial has to stand."""

_HIDDEN = re.compile(r"<(script|style|noscript)\b|<!--", re.I)
_ELEMENT = re.compile(r"<[^<>]*>")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.I)
_REFRESH = re.compile(
    r"http-equiv\s*=\s*[\"']?refresh[^<>]{0,300}url\s*=\s*[\"']?([^\"'>\s]+)"
    r"|location(?:\.href|\.replace\()?\s*[=(]\s*[\"']([^\"']+)"
    r"|<i?frame[^<>]{0,300}\bsrc\s*=\s*[\"']?([^\"'>\s]+)",
    re.I,
)
_MARKED = re.compile(r"[<>=|]|/|\w\.\w")
_GUESSED = ("cp1251", "koi8-r", "cp874")
"""Encodings that pages use without saying so, or while they say another."""


class Page(StrEnum):
    """What a page is, as far as its words tell."""

    BLOCK = "block"  # a fingerprint, or a denial with who denies
    DENIAL = "denial"  # denied without a word by whom: a block, or an ordinary 403
    SERVER_CHECK = "server_check"  # a captcha or a browser check by the site or its CDN
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class Found:
    """What a page is, with the id of its fingerprint or the words that told."""

    page: Page
    fingerprint: str | None = None
    signs: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()  # where the fingerprint was seen


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    id: str
    where: str
    words: str
    scope: str
    countries: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether it is words that an article could quote, no address and no markup."""
        return self.where == "body" and not _MARKED.search(self.words)


@dataclass(frozen=True, slots=True)
class _Pack:
    version: str
    fingerprints: tuple[_Fingerprint, ...]
    signs: dict[str, tuple[re.Pattern[str], ...]]
    addresses: dict[str, str]


def examine(answer: Response, *, fingerprints: bool = True) -> Found:
    """What the page of an HTTP answer is; `fingerprints=False` looks at the signs alone."""
    body = raw(answer.body)[:LONGEST]
    shown = body.decode("utf-8", "replace")
    places = {"body": shown, "location": _targets(shown, answer)}
    headers = {f"header:{name}": value for name, value in answer.fields()}
    for print_ in pack().fingerprints if fingerprints else ():
        told = print_.words in places.get(print_.where, headers.get(print_.where, ""))
        if told and (not print_.plain or len(visible(shown)) <= MOST_SAID):
            return Found(Page.BLOCK, print_.id, countries=print_.countries)
    best = Found(Page.ORDINARY)
    for page in _readings(body, shown):
        found = _signs(page)
        if found.page is Page.BLOCK:
            return found
        if best.page is Page.ORDINARY:
            best = found
    return best


def block_address(address: str) -> str | None:
    """The id of a known lie, if resolvers answer `address` for names that are blocked."""
    return pack().addresses.get(address)


def _targets(shown: str, answer: Response) -> str:
    """Where the page sends the reader, one address a line."""
    found = ("".join(groups) for groups in _REFRESH.findall(shown[:50_000]))
    return "\n".join([answer.header("location"), *(answer.locations or ()), *found])


def _readings(body: bytes, shown: str) -> Iterable[str]:
    """The body as text, in the encodings that it may be in; valid UTF-8 is nothing else."""
    if "\ufffd" not in shown:
        yield shown
        return
    said = _CHARSET.search(body[:4096])
    names = [said[1].decode()] if said else []
    for name in dict.fromkeys([*names, *_GUESSED]):
        try:
            yield body.decode(name, "replace")
        except LookupError:
            continue


def _signs(page: str) -> Found:
    """What the visible text of `page` says."""
    title = unescape(title_of(page)).lower()
    text = visible(page).lower()
    top = f"{title}\n{text[:NEAR_TOP]}"
    signs = pack().signs
    checks = _said(signs["server_check"], f"{top}\n{page[:20_000].lower()}")
    if checks:
        return Found(Page.SERVER_CHECK, signs=checks)
    denials = _said(signs["denial"], top)
    if not denials:
        return Found(Page.ORDINARY)
    if len(text) > MOST_SAID and not _said(signs["reader"], text[:NEAR_TOP]):
        return Found(Page.ORDINARY)
    whom = _said(signs["authority"], f"{title}\n{text}") + _said(
        signs["product"], f"{title}\n{text}"
    )
    return Found(Page.BLOCK if whom else Page.DENIAL, signs=denials + whom)


def visible(page: str) -> str:
    """The text that a reader would see, with single blanks. Takes time linear in the page."""
    shown: list[str] = []
    lower, at = page.lower(), 0
    while hidden := _HIDDEN.search(page, at):
        shown.append(page[at : hidden.start()])
        end = f"</{hidden[1].lower()}" if hidden[1] else "-->"
        at = lower.find(end, hidden.end())
        if at < 0:
            break  # never closed: a browser would show nothing of the rest
        at += len(end)
    else:
        shown.append(page[at:])
    return " ".join(unescape(_ELEMENT.sub(" ", " ".join(shown))).split())


def _said(patterns: Iterable[re.Pattern[str]], text: str) -> tuple[str, ...]:
    found = (pattern.search(text) for pattern in patterns)
    return tuple(one[0] for one in found if one)


@cache
def pack() -> _Pack:
    """The words of block_pages.toml. Raises ConfigError if one of them cannot be used."""
    held = tomllib.loads(files("vanished.reach").joinpath("block_pages.toml").read_text("utf-8"))
    signs: dict[str, list[re.Pattern[str]]] = {}
    for sign in held["sign"]:
        for words in sign["words"]:
            try:
                signs.setdefault(sign["group"], []).append(re.compile(words))
            except re.error as fault:
                raise ConfigError(f"block_pages.toml: '{words}' is no pattern: {fault}") from None
    return _Pack(
        version=held["version"],
        fingerprints=tuple(
            _Fingerprint(
                one["id"], one["where"], one["words"], one["scope"], tuple(one["countries"])
            )
            for one in held["fingerprint"]
        ),
        signs={group: tuple(patterns) for group, patterns in signs.items()},
        addresses={one["address"]: one["id"] for one in held["address"]},
    )
