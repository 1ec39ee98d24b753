"""Whether a page is the one that the control got: OONI's four comparisons.

In: an HTTP answer and the control's `ControlPage`. Out: four answers of yes, no, or None where a
comparison does not apply. The definitions are those of OONI's ts-017 (web_connectivity): length of
the body, status, names of uncommon headers, long words of the title. None of them alone proves a
block: pages differ by language, place and hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vanished.reach.record import ControlPage
from vanished.reach.steps import Response, raw, text

ALIKE_LENGTH = 0.7
"""Two bodies are alike if the shorter has more than this share of the longer's bytes."""

LONG_WORD = 5
"""Words of a title are compared from so many letters on."""

COMMON_HEADERS = frozenset(
    [
        "accept-ranges",
        "age",
        "cache-control",
        "cf-ray",
        "content-encoding",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "p3p",
        "pragma",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "via",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-varnish",
        "x-xss-protection",
    ]
)
"""Headers that say nothing of who answered."""

_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,512})</title", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What was alike; `proportion` is shorter / longer body, 0 where it does not apply."""

    proportion: float
    body: bool | None
    headers: bool | None
    status: bool | None
    title: bool | None

    @property
    def same_page(self) -> bool:
        """OONI's conclusion: the status agrees, and one of the other three."""
        return bool(self.status and (self.body or self.headers or self.title))

    @property
    def other_page(self) -> bool:
        """Whether something was compared and nothing but the status agrees."""
        compared = (self.body, self.headers, self.title)
        return not any(compared) and any(one is False for one in compared)


NOTHING = Likeness(0.0, None, None, None, None)


def title_of(body: str) -> str:
    """The text of the first title element, as it stands there; "" if there is none."""
    found = _TITLE.search(body)
    return found[1] if found else ""


def compare(
    answer: Response | None, control: ControlPage | None, *, empty_titles_agree: bool = True
) -> Likeness:
    """The likeness of `answer` to the page of the control, none of which may be missing.

    `empty_titles_agree` is how web_connectivity counts since 0.5; before, no title said nothing.
    """
    if answer is None or control is None or control.failure or (control.status_code or 0) <= 0:
        return NOTHING
    if (answer.code or 0) <= 0:
        return NOTHING
    proportion = _proportion(answer, control)
    return Likeness(
        proportion=proportion or 0.0,
        body=None if proportion is None else proportion > ALIKE_LENGTH,
        headers=_headers(answer, control),
        status=_status(answer.code or 0, control.status_code or 0),
        title=_title(answer, control, empty_titles_agree),
    )


def _proportion(answer: Response, control: ControlPage) -> float | None:
    ours, theirs = len(raw(answer.body)), control.body_length or 0
    if answer.body_is_truncated or ours <= 0 or theirs <= 0:
        return None
    return min(ours, theirs) / max(ours, theirs)


def _status(ours: int, theirs: int) -> bool | None:
    """A control that met a server error says nothing, unless we met the same."""
    if ours != theirs and theirs // 100 == 5:
        return None
    return ours == theirs


def _headers(answer: Response, control: ControlPage) -> bool:
    ours = {name for name, _ in answer.fields()}
    theirs = {name.lower() for name in control.headers or {}}
    return ours == theirs or bool((ours & theirs) - COMMON_HEADERS)


def _title(answer: Response, control: ControlPage, empty_titles_agree: bool) -> bool | None:
    if answer.body_is_truncated and not empty_titles_agree:
        return None
    ours, theirs = title_of(text(answer.body)), control.title or ""
    if not ours and not empty_titles_agree:
        return None
    return _long_words(ours) == _long_words(theirs)


def _long_words(title: str) -> set[str]:
    """OONI counts bytes, so that a word of two Chinese characters is a long one."""
    return {word.lower() for word in title.split(" ") if len(word.encode()) >= LONG_WORD}
