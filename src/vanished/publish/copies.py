"""Follow a picture through its copies: which watched posts show it, and what became of them.

In: the key of a post, or a picture in a file, and the journal with its unflushed tail. Out:
`Copies`, each with the distance of its hash. Equal bytes are a copy for certain. A small distance
says that two pictures look alike, not that one was made from the other, and nothing of who was
first: only sights of watched posts are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vanished.archive.observatory import Observatory
from vanished.errors import UsageError
from vanished.explain.pictures_alike import BITS, LEAST_QUALITY, WITHIN, Words, apart, words
from vanished.model import Micros, at
from vanished.watch.picturing import MOST_BYTES, can_hash, look_at

METHOD: Final = "copies/1"
_LARGEST: Final = MOST_BYTES
_PLAIN: Final = "some are too plain to compare by what they show"

_PICTURES = """
select p.post, p.place, p.sha256, p.method, p.hash, p.quality, p.capture,
       min(p.seen_at) as seen_at, any_value(o.account) as account,
       any_value(o.platform) as platform, any_value(l.state) as state,
       any_value(l.causes) as causes
from pictures p
left join posts o on o.key = p.post
left join (select subject, arg_max(state, judged_at) as state, arg_max(causes, judged_at) as causes
           from verdicts group by subject) l on l.subject = p.post
group by all order by seen_at, post, place
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """A picture of a post that is, or looks like, the one that was asked for.

    `distance` is the number of bits (of 256) in which the hashes differ; None where only the bytes
    could be compared. `state` and `causes` are of the verdict on the post; "" while there is none,
    which is while every look found it alive.
    """

    post: str
    account: str
    platform: str
    place: int
    seen_at: Micros  # first, as these bytes
    same_bytes: bool
    distance: int | None
    capture: str
    state: str = ""
    causes: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        return {
            "post": self.post,
            "account": self.account,
            "platform": self.platform,
            "place": self.place,
            "seen_at": at(self.seen_at).isoformat(),
            "same_bytes": self.same_bytes,
            "distance": self.distance,
            "capture": self.capture or None,
            "state": self.state or None,
            "causes": list(self.causes),
        }

    def text(self) -> str:
        how = "the same bytes" if self.same_bytes else f"{self.distance} of {BITS} bits differ"
        became = self.state or "alive"
        if self.causes:
            became += f" ({' or '.join(self.causes)})"
        return (
            f"  {at(self.seen_at):%Y-%m-%d %H:%M:%S}  {self.post}  picture {self.place}  {how}"
            f"  {self.platform} {self.account}  {became}"
        )


@dataclass(frozen=True, slots=True)
class Copies:
    """What was found, the first seen first. `of` counts the pictures that were looked for."""

    asked: str
    of: int
    compared: int  # pictures of the observatory
    within: int
    copies: tuple[Copy, ...]
    remarks: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "pictures": self.of,
            "compared": self.compared,
            "within": self.within,
            "method": METHOD,
            "copies": [copy.facts() for copy in self.copies],
            "remarks": list(self.remarks),
        }

    def text(self) -> str:
        posts = len({copy.post for copy in self.copies})
        lines = [
            f"{len(self.copies)} copies in {posts} posts, of {self.of} pictures of {self.asked}"
            f" ({self.compared} compared, at most {self.within} of {BITS} bits apart)."
        ]
        lines += [copy.text() for copy in self.copies]
        lines += [f"{remark[0].upper()}{remark[1:]}." for remark in self.remarks]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Sought:
    sha256: str
    method: str
    hash: str
    quality: int | None


def find_copies(folder: Path, asked: str, within: int = WITHIN) -> Copies:
    """The copies of the pictures of post `asked`, or of the picture in the file of that name.

    Raises UsageError if it is neither a post with pictures nor a picture.
    """
    with Observatory.open(folder) as observatory, observatory.past() as con:
        held = con.execute(_PICTURES).fetchnumpy()
        of_post = [row for row in _rows(held) if row["post"] == asked]
        known = of_post or con.execute("select 1 from posts where key = ?", [asked]).fetchone()
    if of_post:
        sought = {_sought(row) for row in of_post}
        remarks = _remarks(sought)
    elif known:
        raise UsageError(
            f"No picture of {asked} is kept; they are fetched by vanished watch while it lives."
        )
    else:
        sought, remarks = _of_file(Path(asked))
    copies = [copy for copy in _compared(held, sought, within) if copy.post != asked]
    return Copies(asked, len(sought), len(held["post"]), within, tuple(copies), tuple(remarks))


def _sought(row: Mapping[str, Any]) -> _Sought:
    quality = row["quality"]
    plain = None if quality is np.ma.masked or quality is None else int(quality)
    return _Sought(row["sha256"], row["method"], row["hash"], plain)


def _of_file(path: Path) -> tuple[set[_Sought], list[str]]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"'{str(path)[:200]}' is no post of this observatory, and no file that can be read"
            f" ({error.strerror}); give a key as vanished report --json prints it, or a picture."
        ) from None
    seen = look_at(content)
    if not seen.form or len(content) > _LARGEST:
        raise UsageError(f"{path} is no picture (JPEG, PNG, GIF, WebP, AVIF, ...); name another.")
    sought = {_Sought(seen.sha256, seen.method, seen.hash, seen.quality)}
    return sought, [f"compared by bytes only: {seen.why}"] if seen.why else _remarks(sought)


def _remarks(sought: Iterable[_Sought]) -> list[str]:
    found = []
    if any(not each.hash for each in sought):
        found.append("some were compared by their bytes only: they could not be decoded")
        if not can_hash():
            found.append("install vanished[platforms] to compare pictures by what they show")
    if any(each.hash and (each.quality or 0) < LEAST_QUALITY for each in sought):
        found.append(_PLAIN)
    return found


def _rows(held: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    names = list(held)
    for values in zip(*(held[name] for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def _compared(held: Mapping[str, Any], sought: Iterable[_Sought], within: int) -> list[Copy]:
    """Each picture that is held, with its distance to the nearest of `sought`."""
    bits, comparable = _bits(held)
    same = np.isin(np.asarray(held["sha256"], dtype=object), [each.sha256 for each in sought])
    nearest = np.full(len(bits), BITS + 1)
    for each in sought:
        if each.hash and (each.quality or 0) >= LEAST_QUALITY:
            fits = comparable & (np.asarray(held["method"], dtype=object) == each.method)
            differ = apart(bits, words([each.hash]))
            nearest = np.where(fits, np.minimum(nearest, differ), nearest)
    chosen = np.flatnonzero(same | (nearest <= within)).tolist()
    rows = list(_rows({name: values[chosen] for name, values in held.items()}))
    return [
        Copy(
            row["post"],
            _text(row["account"]),
            _text(row["platform"]),
            int(row["place"]),
            int(row["seen_at"]),
            bool(same[index]),
            None if nearest[index] > BITS else int(nearest[index]),
            row["capture"],
            _text(row["state"]),
            tuple(word for word in _text(row["causes"]).split(",") if word),
        )
        for index, row in zip(chosen, rows, strict=True)
    ]


def _bits(held: Mapping[str, Any]) -> tuple[Words, NDArray[np.bool_]]:
    """The hashes as numbers, and which of them mean something."""
    hashes: Sequence[str] = held["hash"]
    quality = np.ma.filled(np.ma.asarray(held["quality"], dtype=np.int64), 0)
    meant = np.array([bool(each) for each in hashes], dtype=bool) & (quality >= LEAST_QUALITY)
    return words(hashes), meant


def _text(value: Any) -> str:
    return "" if value is None or value is np.ma.masked else str(value)
