"""The labelled set: answers of platforms, and what a careful person would say of the post.

In: the TOML files of this folder, one a platform, with their bodies in `templates/` and their
running texts in `texts.toml`. Out: `Case`s. A file that is not as docs/labelled.md says is refused
with file and case. Nothing here asks or judges: see `asking`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vanished.model import Cause

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
TEXTS = FOLDER / "texts.toml"
EXPECTED = ("alive", "unknown", "gone")

_NAME = re.compile(r"\{\{([a-z0-9-]+)\}\}")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
    ".car": "application/vnd.ipld.car",
}


class LabelError(Exception):
    """A file of the set is not as the format says; names file and case."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one address answers. `status` 0: the connection is closed without an answer."""

    at: tuple[str, ...]  # beginnings of host, path and query; () for whatever nobody else answers
    status: int
    headers: Mapping[str, str]
    body: bytes
    page: bool  # what a person's browser is shown when it opens the post
    url: str  # of that page, "" where this is none
    looks: tuple[int, int]  # from which look on and up to which, both included; the first is 1


@dataclass(frozen=True, slots=True)
class Case:
    """One post, what its platform answers, and what that proves."""

    id: str  # "wechat/violation-zh"
    platform: str
    lang: str  # BCP 47 of what a reader is shown; zxx where the answer holds no language
    trap: bool  # it looks like something that it is not
    why: str
    subject: str  # as the source's `post` takes it
    expect: str  # "alive", "unknown" or "gone"
    causes: tuple[str, ...]  # sorted; () unless gone
    answers: Sequence[Answer]
    shared: Sequence[Answer]  # of the file, for addresses that the case says nothing of
    settings: Mapping[str, object] = field(default_factory=dict)  # of the source

    @property
    def label(self) -> str:
        """The class that is expected, as `asking.called` names it."""
        return class_of(self.causes) if self.expect == "gone" else self.expect

    @property
    def page(self) -> Answer | None:
        """What a browser is shown at `url`, where the post has a page at all."""
        return next((answer for answer in self.answers if answer.page), None)

    def answer(self, address: str, look: int) -> Answer | None:
        """What `address` (host, path and query) says at the look of that number, from 1."""
        for answers in (self.answers, self.shared):
            found = [
                (len(start), answer)
                for answer in answers
                if answer.looks[0] <= look <= answer.looks[1]
                for start in answer.at or ("",)
                if address.startswith(start)
            ]
            if found:
                return max(found, key=lambda pair: pair[0])[1]
        return None


def class_of(causes: Iterable[str]) -> str:
    """The class of what is gone: its causes, or "anybody" where every cause is left open."""
    return "+".join(sorted(causes)) if set(causes) != {Cause.UNKNOWN} else "anybody"


def load() -> list[Case]:
    """Every case of the set, by platform. Raises LabelError."""
    found = [case for path in sorted(FOLDER.glob("*.toml")) if path != TEXTS for case in read(path)]
    ids = [case.id for case in found]
    doubles = sorted({ident for ident in ids if ids.count(ident) > 1})
    if doubles:
        raise LabelError(f"two cases are called {', '.join(doubles)}; give each its own id")
    return found


def read(path: Path) -> list[Case]:
    """The cases of one file. Raises LabelError."""
    try:
        table = _Table(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
    except tomllib.TOMLDecodeError as error:
        raise LabelError(f"{path.name} is not TOML: {error}") from None
    platform = table.take("platform", str)
    settings = table.take("settings", dict, {})
    subject = table.take("subject", str, "")
    shared = [_answer(_Table(a, path.name), "") for a in table.take("shared", list, [])]
    cases = [
        _case(_Table(given, path.name), platform, settings, subject, shared)
        for given in table.take("case", list)
    ]
    table.end()
    return cases


# -- one case ------------------------------------------------------------------------------------


class _Table:
    """A table of TOML that is used up key by key; what is left over is an error."""

    def __init__(self, given: Any, at: str) -> None:
        self.at = at
        if not isinstance(given, dict):
            raise self.wrong("a table is expected")
        self.left: dict[str, Any] = dict(given)

    def wrong(self, words: str) -> LabelError:
        return LabelError(f"{self.at}: {words}")

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.left.pop(key, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(f"'{key}' is missing or is no {kind.__name__}")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        value = self.left.pop(key, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong(f"'{key}' is no list of strings")
        return tuple(value)

    def end(self) -> None:
        if self.left:
            raise self.wrong(f"there is no key {', '.join(sorted(self.left))} in the format")


def _case(
    table: _Table,
    platform: str,
    settings: Mapping[str, object],
    subject: str,
    shared: Sequence[Answer],
) -> Case:
    ident = table.take("id", str)
    table.at += f", case '{ident}'"
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", ident):
        raise table.wrong("an id is words of a-z and 0-9 joined by '-'")
    subject = table.take("subject", str, subject)
    expect = table.take("expect", str)
    causes = table.strings("causes")
    why = table.take("why", str)
    own = table.take("settings", dict, {})
    lang, trap = table.take("lang", str), table.take("trap", bool, False)
    answers = [_answer(_Table(a, table.at), subject) for a in table.take("answers", list)]
    table.end()
    if expect not in EXPECTED:
        raise table.wrong(f"'expect' has to be one of {', '.join(EXPECTED)}")
    if bool(causes) != (expect == "gone") or list(causes) != sorted(set(causes)):
        raise table.wrong("'causes' is a sorted list for what is gone, and for nothing else")
    if not set(causes) <= set(Cause):
        raise table.wrong(f"'causes' holds something else than {', '.join(Cause)}")
    if not subject or len(why.split()) < 3:
        raise table.wrong("a case needs a subject, and a sentence that says why")
    if not answers or sum(answer.page for answer in answers) > 1:
        raise table.wrong("a case needs answers, of which at most one is the page")
    return Case(
        f"{platform}/{ident}",
        platform,
        lang,
        trap,
        why,
        subject,
        expect,
        causes,
        answers,
        shared,
        {**settings, **own},
    )


def _answer(table: _Table, subject: str) -> Answer:
    at = table.strings("at")
    page = table.take("page", bool, False)
    status = table.take("status", int, 200)
    headers = {name.lower(): str(value) for name, value in table.take("headers", dict, {}).items()}
    body, kind = _body(table)
    if kind:
        headers.setdefault("content-type", kind)
    looks = table.take("looks", list, [1, 10**6])
    table.end()
    url = f"http://{at[0]}" if at else subject
    if page and not url.startswith("http://"):
        raise table.wrong("a page needs an address: write 'at', or a subject that is one")
    if len(looks) != 2 or not all(isinstance(n, int) for n in looks) or looks[0] > looks[1]:
        raise table.wrong("'looks' is [first, last]")
    return Answer(at, status, headers, body, page, url if page else "", (looks[0], looks[1]))


def _body(table: _Table) -> tuple[bytes, str]:
    """The body and its content type: written out as `html`, `json` or `text`, or by `template`."""
    template = table.take("template", str, "")
    fields = table.take("fields", dict, {})
    charset = table.take("charset", str, "utf-8")
    keep = table.take("keep", float, 1.0)  # the share of the body that arrives
    written = {key: table.take(key, str) for key in ("html", "json", "text") if key in table.left}
    if len(written) + bool(template) > 1:
        raise table.wrong("an answer has one body: a template, or html, json or text")
    if template:
        path = TEMPLATES / template
        if path.suffix not in _KINDS or not path.is_file():
            raise table.wrong(f"there is no template '{template}'")
        if path.suffix == ".car":
            return path.read_bytes(), _KINDS[path.suffix]
        text, kind = path.read_text(encoding="utf-8"), path.suffix
    else:
        name, text = next(iter(written.items()), ("", ""))
        kind = {"": "", "text": "text"}.get(name, f".{name}")
    unused = set(fields) - set(_NAME.findall(text))
    if unused:
        raise table.wrong(f"the body has no place for {', '.join(sorted(unused))}")
    text = _filled(text, fields, table, kind == ".json")
    body = text.encode(charset)
    sort = _KINDS.get(kind, "text/plain; charset=utf-8" if kind else "")
    return body[: round(len(body) * keep)], sort.replace("utf-8", charset)


def _filled(text: str, fields: Mapping[str, str], table: _Table, as_json: bool) -> str:
    """`text` with its names in braces replaced, by `fields` first, then by the running texts."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        filled = _NAME.sub(running, str(fields[name])) if name in fields else running(found)
        return json.dumps(filled, ensure_ascii=False)[1:-1] if as_json else filled

    def running(found: re.Match[str]) -> str:
        if found[1] not in texts():
            raise table.wrong(f"nothing is called '{found[1]}', in the case or in {TEXTS.name}")
        return texts()[found[1]]

    return _NAME.sub(value, text)


@cache
def texts() -> Mapping[str, str]:
    """The running texts by name."""
    return {str(k): str(v) for k, v in tomllib.loads(TEXTS.read_text(encoding="utf-8")).items()}
