"""Read the dump of WeChatscope's public list, `ceninfo.csv` (Tai & Fu, J. Communication 2020).

In: a CSV file, one row a removal record. Out: accounts, posts with their titles, one observation a
record, and the recorder's gaps. Its times are China time. What a row proves is that WeChatscope
met this notice at that second; when the article was lost, and whether it was seen alive, it does
not say.

Which rows speak of one article: WeChat numbers a push of up to eight articles (`mid`), and the
dump has no number within the push, so an article is known by account, push and title. The same
title in another push of the account is another article: it was published again.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from vanished.archive.columns import GAP, WATCHED, Coverage
from vanished.errors import InputError
from vanished.model import (
    Account,
    Fault,
    Micros,
    Observation,
    Post,
    Signal,
    Version,
    Via,
    failed,
    micros,
    version_hash,
)
from vanished.sources import Naming
from vanished.sources.imports import Imported
from vanished.sources.imports.rows import rows as csv_rows
from vanished.sources.imports.silences import silences
from vanished.sources.notice import load_pack

PLATFORM: Final = "wechat"
VANTAGE: Final = "wechatscope"
CHINA: Final = timezone(timedelta(hours=8))  # no summer time since 1991
COLUMNS: Final = (
    "title",
    "nickname",
    "created_at",
    "archive",
    "censored_date",
    "censored_msg",
)

_ARCHIVE = re.compile(r"(?P<account>.+?)_\d{4}-\d{2}-\d{2}_(?P<push>\d+)_.+")


@dataclass(frozen=True, slots=True)
class _Record:
    title: str
    nickname: str
    published_at: Micros  # start of the day in China
    archive: str
    account: str
    push: str
    noticed_at: Micros
    notice: str

    @property
    def article(self) -> str:
        """The native id that we give the article."""
        title = " ".join(self.title.split())
        digest = hashlib.sha256(title.encode()).hexdigest()[:16]
        return f"{self.account}/{self.push}/{digest}"


def read(path: Path, name: Naming, match: Callable[[str], Signal | None] | None = None) -> Imported:
    """Everything that the dump at `path` says, in our nouns.

    `name` gives the pseudonyms; `match` reads a notice (by default the notice pack "wechat"), and
    a notice that it does not know becomes a failed look: whatever it says, we cannot read it.
    Raises InputError ("FILE:LINE: …") at the first thing that is not as it should be.
    """
    match = match or load_pack(PLATFORM).match_text
    read_rows = csv_rows(path, COLUMNS, "WeChatscope dump")
    rows = [_record(cell, where) for where, cell in read_rows]
    # The hourly copies have one record twice, apart from blanks in its title.
    records = list({(r.article, r.archive, r.noticed_at, r.notice): r for r in rows}.values())
    records.sort(key=lambda record: record.noticed_at)
    posts, versions, backwards = _posts(records, name)
    return Imported(
        accounts=_accounts(records, name),
        posts=posts,
        versions=versions,
        observations=tuple(_observation(record, name, match) for record in records),
        coverage=_coverage([record.noticed_at for record in records]),
        notices=dict(Counter(row.notice for row in rows).most_common()),
        rows=len(rows),
        repeated=len(rows) - len(records),
        backwards=backwards,
    )


def _accounts(records: Sequence[_Record], name: Naming) -> tuple[Account, ...]:
    """Each account under the name that it had last."""
    first: dict[str, Micros] = {}
    names: dict[str, str] = {}
    for record in records:
        first.setdefault(record.account, record.noticed_at)
        names[record.account] = record.nickname
    return tuple(
        Account(name(PLATFORM, native), PLATFORM, native, names[native], added_at=since)
        for native, since in first.items()
    )


def _posts(
    records: Sequence[_Record], name: Naming
) -> tuple[tuple[Post, ...], tuple[tuple[str, Micros, Version], ...], int]:
    """The articles with their titles, and how many were noticed lost before they were published.

    One of the two times of such an article is wrong. The record is a fact; the day of publication
    is a claim, and is dropped.
    """
    posts: dict[str, Post] = {}
    versions: dict[tuple[str, str], tuple[str, Micros, Version]] = {}
    backwards: set[str] = set()
    for record in records:
        key = name(PLATFORM, record.article)
        hashed = version_hash(record.title, "")
        version = Version(hashed, title=record.title)
        versions.setdefault((key, hashed), (key, record.noticed_at, version))
        if record.noticed_at < record.published_at:
            backwards.add(key)
        if key not in posts:
            posts[key] = Post(
                key,
                account=name(PLATFORM, record.account),
                platform=PLATFORM,
                native_id=record.article,
                url="",
                published_at=None if key in backwards else record.published_at,
                first_seen_at=record.noticed_at,
                version=hashed,
            )
    return tuple(posts.values()), tuple(versions.values()), len(backwards)


def _observation(
    record: _Record, name: Naming, match: Callable[[str], Signal | None]
) -> Observation:
    signal = match(record.notice) or failed(Fault.UNREADABLE, words=record.notice)
    return Observation(
        name(PLATFORM, record.article),
        record.noticed_at,
        record.noticed_at,
        signal,
        via=Via.IMPORT,
        vantage=VANTAGE,
    )


def _coverage(times: Sequence[Micros]) -> tuple[Coverage, ...]:
    """The record from its first to its last time, cut at the silences that are no calm."""
    stretches = []
    since = times[0]
    for silence in silences(times):
        why = (
            f"nothing was recorded; at the rate of the calmer of the weeks beside it, the chance "
            f"of that is {silence.chance:.0e}"
        )
        stretches += [
            Coverage(VANTAGE, since, silence.since, WATCHED, "records"),
            Coverage(VANTAGE, silence.since, silence.until, GAP, why),
        ]
        since = silence.until
    return (*stretches, Coverage(VANTAGE, since, times[-1], WATCHED, "records"))


# -- the file ----------------------------------------------------------------------------------


def _record(cell: Mapping[str, str], where: str) -> _Record:
    archive = _ARCHIVE.fullmatch(cell["archive"])
    if archive is None:
        raise InputError(
            f"{where}: the archive {cell['archive']!r} is not ACCOUNT_YYYY-MM-DD_PUSH_NAME"
        )
    return _Record(
        cell["title"],
        cell["nickname"],
        _time(cell["created_at"], "%Y-%m-%d", f"{where}: created_at"),
        cell["archive"],
        archive["account"],
        archive["push"],
        _time(cell["censored_date"], "%Y-%m-%d %H:%M:%S", f"{where}: censored_date"),
        cell["censored_msg"],
    )


def _time(written: str, form: str, where: str) -> Micros:
    try:
        return micros(datetime.strptime(written, form).replace(tzinfo=CHINA))
    except ValueError:
        like = form.replace("%Y-%m-%d", "YYYY-MM-DD").replace("%H:%M:%S", "HH:MM:SS")
        raise InputError(f"{where} {written!r} is no time like {like}") from None
