"""Corrections as test cases: what a platform answered, and what a person says that it proves.

In: an observatory's folder. Out: files in the form of the labelled set (docs/labelled.md), one a
platform, made of the kept answers that showed each corrected post gone. They are pseudonymous: ids
and addresses of the post and its account are replaced by ones of the same shape, sites of a few
accounts by an example's name, and words are scrubbed (`scrub`). Whoever takes a case into the set
reads it first. A post whose answers are not kept, or are sealed, is left out, with the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, parse_headers
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.capture import Identities, Read, read_at
from vanished.archive.durable import make_folder, refusals, write_atomically
from vanished.archive.kept_measurements import FEW
from vanished.archive.leaves import Leaf, leaves, opened
from vanished.archive.observatory import Observatory
from vanished.archive.proof import CAPTURES
from vanished.archive.rows import PostRow
from vanished.archive.rulings import CORRECT, REVIEWED, Ruling, rulings
from vanished.errors import EvidenceError, UsageError
from vanished.publish.known_names import KnownNames
from vanished.publish.scrub import scrubbed
from vanished.publish.shelf.grams import script

MOST: Final = 200_000  # bytes of a body; a notice has a few thousand
LEAST_ID: Final = 3  # characters of an id that are replaced wherever they stand
KEPT_KEYS: Final = (str, bool, int, float)  # of a source's settings; tables say how it is asked
LANGUAGES: Final = {"han": "zh", "latin": "en", "kana": "ja", "hangul": "ko", "cyrillic": "ru",
                    "arabic": "ar", "tibetan": "bo"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cases:
    """What was written: cases by file, and why the others were not, by post."""

    files: Mapping[str, int]
    left_out: Mapping[str, str]

    def facts(self) -> dict[str, object]:
        return {"files": dict(self.files), "left_out": dict(self.left_out)}

    def text(self) -> str:
        lines = [f"{n} cases in {file}" for file, n in self.files.items()]
        lines += [f"left out: {post}: {why}" for post, why in self.left_out.items()]
        return "\n".join(lines) or "Nothing was corrected, so there is no case to write."


def write_cases(folder: Path, target: Path) -> Cases:
    """Write a file a platform into the folder `target`. Raises UsageError where it holds one."""
    newest = {each.about: each for each in rulings(folder) if each.kind == REVIEWED}
    corrected = [each for each in newest.values() if each.what == CORRECT]
    texts: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    with Observatory.open(folder) as observatory:
        rows = observatory.post_rows_by_key([each.about for each in corrected])
        known = observatory.accounts_by_host()
        accounts = {row.id: row for row in observatory.account_rows()}
        with opened(folder) as connection:
            for ruling in corrected:
                row = rows.get(ruling.about)
                if row is None:
                    left_out[ruling.about] = "it is no post that is watched here"
                    continue
                try:
                    answers = [*_answers(folder, connection, row)]
                except (UsageError, EvidenceError) as error:
                    left_out[ruling.about] = str(error)
                    continue
                owner = accounts.get(row.account_id)
                named = [] if owner is None else _parts(owner.account.native_id, owner.account.name,
                                                        owner.account.url)  # fmt: skip
                secret = observatory.naming("corrections", "")  # of this observatory's key
                mask = _Mask(secret, row, named, known)
                if not texts.get(row.post.platform):
                    texts[row.post.platform] = [_head(observatory, row.post.platform, mask)]
                texts[row.post.platform].append(_case(ruling, row, answers, mask))
    for platform in texts:
        if (target / f"{platform}.toml").exists():
            raise UsageError(f"{target / platform}.toml is there already; name another folder.")
    with refusals(f"write cases to {target}"):
        make_folder(target)
        for platform, parts in texts.items():
            write_atomically(target / f"{platform}.toml", "\n".join(parts).encode())
    files = {f"{platform}.toml": len(parts) - 1 for platform, parts in texts.items()}
    return Cases(files, left_out)


@dataclass(frozen=True, slots=True)
class _Answer:
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Mask:
    """Replaces what names one post and its account, the same everywhere in its case."""

    def __init__(
        self, secret: str, row: PostRow, named: list[str], known: Mapping[str, int]
    ) -> None:
        self._secret = secret
        self._known = known
        post = row.post
        parts = _parts(post.native_id, post.url) if "/" in post.native_id else [post.native_id]
        ids = {p for p in (*parts, *named) if len(p) >= LEAST_ID and not _word(p)}
        self._ids = sorted(ids, key=lambda p: (-len(p), p))
        self._names = KnownNames(named, [post.native_id])

    def address(self, url: str) -> str:
        """Host, path and query as an address of an example."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return self.host(parts.hostname or "") + self._replaced(parts.path + query)

    def host(self, name: str) -> str:
        """A platform's host as it is; the site of a few accounts, or an address, as an example."""
        few = 0 < self._known.get(name, 0) < FEW or re.fullmatch(r"[\d.]+|.*:.*|localhost", name)
        return f"{_alike(self._secret, name.partition('.')[0])[:12]}.example" if few else name

    def words(self, text: str) -> str:
        """A text without names; what was replaced stays the same as in addresses."""
        for number, each in enumerate(self._ids):
            text = text.replace(each, f"\ue000{chr(0xE100 + number)}\ue001")
        text = scrubbed(text, self._names)
        for number, each in enumerate(self._ids):
            mark = f"\ue000{chr(0xE100 + number)}\ue001"
            text = text.replace(mark, _alike_id(self._secret, each))
        return text.replace("{{", "{ {")

    def body(self, text: str, kind: str) -> str:
        """The same of a body; of JSON its strings and its long numbers, so that it stays JSON."""
        if "json" in kind:
            try:
                return json.dumps(self._value(json.loads(text)), ensure_ascii=False)
            except ValueError:
                pass
        return self.words(text)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, str):
            return self.words(value)
        if isinstance(value, int) and len(str(value)) >= 7:
            return int(_alike(self._secret, str(value)))
        return value

    def _replaced(self, text: str) -> str:
        for each in self._ids:
            text = text.replace(each, _alike_id(self._secret, each))
        return text


def _parts(*names: str) -> list[str]:
    """Names, and of addresses the parts of their paths."""
    found = []
    for name in names:
        if "://" in name:
            parts = urlsplit(name)
            found += [each for each in re.split(r"[/?&=]", parts.path + "?" + parts.query) if each]
        elif name:
            found.append(name)
    return found


def _word(text: str) -> bool:
    """Whether it is a word of addresses, such as `detail`, and names nobody."""
    return bool(re.fullmatch(r"[a-z]{1,8}", text)) and text in _PLACES


_PLACES: Final = frozenset(
    ("status", "statuses", "detail", "posts", "post", "p", "s", "watch", "u", "user", "users",
     "profile", "video", "comments", "r", "stories", "article", "articles", "news", "http", "www")
)  # fmt: skip


def _alike_id(secret: str, ident: str) -> str:
    """Other letters and digits of an id. A letter before it stays: it often tells what kind of id
    it is, and sources refuse another."""
    return ident[0] + _alike(secret, ident[1:]) if ident[0].isalpha() else _alike(secret, ident)


def _alike(secret: str, text: str) -> str:
    """Other letters and digits in the same places; the first digit is no zero."""
    stream = hashlib.shake_256(f"{secret}\0{text}".encode()).digest(len(text))
    made = []
    for number, (letter, byte) in enumerate(zip(text, stream, strict=True)):
        if letter.isascii() and letter.isdigit():
            made.append(str(1 + byte % 9 if number == 0 else byte % 10))
        elif letter.isalpha():
            low = chr(ord("a") + byte % 26)
            made.append(low.upper() if letter.isupper() else low)
        else:
            made.append(letter)
    return "".join(made)


def _answers(folder: Path, connection: sa.Connection, row: PostRow) -> Iterator[_Answer]:
    """What was answered when the post was first seen gone. Raises UsageError if none is kept."""
    c, s = present.captures.c, present.shown.c
    query = (
        sa.select(c.leaf, c.hash, c.stored, c.segment, c.offset, c.length)
        .join(present.shown, s.leaf == c.leaf)
        .where(s.key == row.post.key, s.what == "notice").order_by(c.leaf.desc()).limit(1)
    )  # fmt: skip
    found = connection.execute(query).first()
    leaf = None if found is None else Leaf(*found)
    if leaf is None or leaf.place is None:
        raise UsageError("no answer that showed it gone is kept")
    read = read_at(folder / CAPTURES, leaf.place, Identities(()))
    if read.closed:
        raise UsageError("its captures are sealed; write cases from an unsealed copy")
    any_found = False
    for record in read.records:
        if record.type in ("response", "revisit"):
            whole = record.block()
            if record.type == "revisit":
                whole = whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + _payload(
                    folder, connection, record.header("WARC-Refers-To").strip("<>")
                )  # fmt: skip
            any_found = True
            yield _answer(record.uri, whole)
    if not any_found:
        raise UsageError("the capture that showed it gone holds no answer")


def _payload(folder: Path, connection: sa.Connection, record: str) -> bytes:
    """The bytes that a later capture only refers to."""
    query = sa.select(present.payloads.c.leaf).where(present.payloads.c.record == record)
    number = connection.execute(query.limit(1)).scalar()
    leaf = next((each for each in leaves(connection) if each.index == number), None)
    if leaf is None or leaf.place is None:
        raise UsageError("an answer that it repeats is not kept any more")
    read: Read = read_at(folder / CAPTURES, leaf.place, Identities(()))
    for each in read.records:
        if each.id == record:
            return each.payload()
    raise UsageError("an answer that it repeats is not kept any more")


def _answer(url: str, whole: bytes) -> _Answer:
    head, _, body = whole.partition(b"\r\n\r\n")
    first, _, fields = head.partition(b"\r\n")
    try:
        status = int(first.split(b" ", 2)[1])
        headers = parse_headers(BytesIO(fields + b"\r\n\r\n"))
    except (ValueError, IndexError, HTTPException):
        raise UsageError("an answer is kept in a form that cannot be read") from None
    if len(body) > MOST:
        raise UsageError(f"an answer has {len(body)} bytes, too many for a case")
    kept = {n: str(headers[n]) for n in ("content-type", "location") if headers[n]}
    return _Answer(url, status, kept, body)


def _head(observatory: Observatory, platform: str, mask: _Mask) -> str:
    lines = [
        "# Corrections of a person: read each before it joins the set.",
        f"platform = {_quoted(platform)}",
    ]
    given = observatory.settings.sources.get(platform, {})
    plain = {k: v for k, v in given.items() if isinstance(v, KEPT_KEYS)}
    if plain:
        lines += ["", "[settings]"]
        for key, value in plain.items():
            if isinstance(value, str) and "://" in value:
                value = f"http://{mask.address(value)}".rstrip("/")
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join([*lines, ""])


def _case(ruling: Ruling, row: PostRow, answers: list[_Answer], mask: _Mask) -> str:
    subject = f"http://{mask.address(row.post.url)}"
    shown = [_shown(answer, mask) for answer in answers]
    language = LANGUAGES.get(script("".join(body for _, body in shown)), "zxx")
    causes = ", ".join(_quoted(cause) for cause in sorted(ruling.details["causes"]))
    note = mask.words(str(ruling.details.get("note", "")))
    return "\n".join([
        "[[case]]",
        f"id = {_quoted(f'corrected-{ruling.number}')}",
        f"subject = {_quoted(subject)}",
        f"lang = {_quoted(language)}",
        f"why = {_quoted(f'A person corrected the verdict: {note}')}",
        "answers = [",
        *(line for line, _ in shown),
        "]",
        'expect = "gone"',
        f"causes = [{causes}]",
        "",
    ])  # fmt: skip


def _shown(answer: _Answer, mask: _Mask) -> tuple[str, str]:
    """The answer as a line of TOML, and its words."""
    kind = answer.headers.get("content-type", "")
    charset = re.search(r"charset=[\"']?([\w-]+)", kind)
    try:
        text = answer.body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        text = answer.body.decode("utf-8", "replace")
    body = mask.body(text, kind)
    name = "json" if "json" in kind else "html" if "html" in kind else "text"
    fields = [
        f"at = {_quoted(mask.address(answer.url))}", f"status = {answer.status}",
        f"{name} = {_quoted(body)}",
    ]  # fmt: skip
    headers = {}
    if name == "text" and kind:
        headers["Content-Type"] = re.sub(r"charset=[\"']?[\w-]+", "charset=utf-8", kind)
    if "location" in answer.headers:
        headers["Location"] = _location(answer.headers["location"], mask)
    if headers:
        inner = ", ".join(f"{key} = {_quoted(value)}" for key, value in headers.items())
        fields.append(f"headers = {{{inner}}}")
    return f"  {{{', '.join(fields)}}},", body


def _location(value: str, mask: _Mask) -> str:
    return f"http://{mask.address(value)}" if "://" in value else mask.address(value)


def _toml(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
