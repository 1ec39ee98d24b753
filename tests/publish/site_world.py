"""An observatory whose losses stand in crowds, with hostile words and identities planted in them.

In: a folder, how many posts. Out: the observatory; more posts can be added to it later, as a watch
would. All names, numbers and words are made up.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.publish.desk_world import HOSTILE, PLAIN, START
from tests.publish.planted import phone_of, spellings_of
from vanished.archive.columns import Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.archive.settings import FILE
from vanished.model import (
    ALIVE,
    HOUR,
    SECOND,
    Account,
    Cause,
    Confidence,
    Interval,
    Micros,
    Observation,
    Post,
    State,
    Verdict,
    Version,
)

ACCOUNTS: Final = 12
CAUSES: Final = (
    {Cause.PLATFORM}, {Cause.PLATFORM}, {Cause.LEGAL}, {Cause.AUTHOR}, {Cause.NETWORK},
    {Cause.AUTHOR, Cause.PLATFORM}, {Cause.LEGAL, Cause.PLATFORM},
)  # fmt: skip
"""Of the posts of one hour, each of as many accounts as there are."""
BLOCK: Final = ACCOUNTS * len(CAUSES)
BATCH: Final = 5000
PLATFORM: Final = "page"
SIGNS: Final = (
    "雨后菜市场重新开门河堤上的灯修了三天夜班公交改路线图书馆"
    "座位不够公园里有人唱歌学校明天放假风大请关窗"
)
PUBLISH: Final = """[observatory]
id = "{id}"

[publish]
title = "What the page lost"
publisher = "the test's desk"
contact = "the desk"
"""
WORDS: Final = """
[[publish.words]]
platforms = ["page"]
ground = "reviewed"
decided_by = "the test"
decided_at = 2026-11-01
"""


def account_id(number: int) -> str:
    """The native id of an account."""
    return f"uid{number:03d}90417xq"


def post_id(number: int) -> str:
    return f"pid{number:07d}zzk"


def name_of(account: int) -> str:
    """What an account calls itself."""
    return f"河岸书摊{account}号"


def secrets(number: int) -> list[str]:
    """What the text of a post gives away of its author."""
    return [
        spellings_of(phone_of(number))[number % 13],
        f"@小满子{number}号楼友",
        f"reader.{number}q@post{number}.example",
        f"https://page.example/u/{number}7788/home",
        account_id(number % ACCOUNTS),
        post_id(number),
        name_of(number % ACCOUNTS),
    ]


def causes_of(number: int) -> set[Cause]:
    return CAUSES[number // ACCOUNTS % len(CAUSES)]


def by_author(number: int) -> bool:
    """Whether its author took it down, or may have."""
    return Cause.AUTHOR in causes_of(number)


def words_of(number: int) -> str:
    """The words of a post, without what is planted; an author's own stand nowhere else."""
    if number < len(HOSTILE):
        return HOSTILE[number]
    if by_author(number):
        signs = random.Random(number)
        return "".join(chr(signs.randrange(0x5000, 0x8000)) for _ in range(24))
    end = "\u2028" if number % 40 == 0 else ""  # an end of a line that is none in a file
    return f"{PLAIN[number % len(PLAIN)]} {number}{end}"


def make(folder: Path, posts: int, *, words: bool = True) -> None:
    """An observatory of ACCOUNTS accounts and so many lost posts; with a rule for their words."""
    with Observatory.create(folder) as observatory:
        settings = PUBLISH.format(id=observatory.settings.id) + WORDS * words
        (folder / FILE).write_text(settings, encoding="utf-8")
        entry = Entry()
        for number in range(ACCOUNTS):
            key = observatory.naming(PLATFORM, account_id(number))
            account = Account(
                key, PLATFORM, account_id(number), name_of(number), "http://t/", START
            )
            entry.new_accounts.append(
                AccountRow(observatory.next_account_id(), account, "", Track())
            )
        observatory.commit(entry, START)
    add(folder, range(posts))


def add(folder: Path, numbers: Iterable[int], long: bool = False) -> None:
    """Posts of these numbers, each seen once and judged lost; `long`: with words as people write
    them, and nothing planted."""
    with Observatory.open(folder, write=True) as observatory:
        by_id = {row.account.native_id: row for row in observatory.account_rows()}
        entry = Entry()
        for place, number in enumerate(numbers, 1):
            owner = by_id[account_id(number % ACCOUNTS)]
            _add(observatory, entry, owner, number, long=long)
            if place % BATCH == 0:
                observatory.commit(entry, START)
                entry = Entry()
        observatory.commit(entry, START)


def _add(
    observatory: Observatory, entry: Entry, owner: AccountRow, number: int, *, long: bool
) -> None:
    born: Micros = START + number // BLOCK * HOUR
    key = observatory.naming(PLATFORM, post_id(number))
    url = f"http://t/{post_id(number)}"
    post = Post(key, owner.account.key, PLATFORM, post_id(number), url, born, born)
    row = PostRow(observatory.next_post_id(), post, owner.id, Track())
    entry.new_posts.append(row)
    seen = Observation(key, born + HOUR, born + HOUR + SECOND, ALIVE)
    entry.changes.append(Change(row, seen, run=observatory.next_run()))
    if long:
        text = _long(number)
    else:
        text = "\n".join([words_of(number), *(f"{one}。" for one in secrets(number))])
    title = "" if long else words_of(number)
    entry.versions.append(Wording(key, born + HOUR, Version("h1", title, text)))
    interval = Interval(born + HOUR, born + 2 * HOUR)
    verdict = Verdict(
        key, State.GONE, frozenset(causes_of(number)), interval, Confidence.HIGH,
        ("page/rule@1",), method="t/1",
    )  # fmt: skip
    entry.verdicts[key] = Judgement(born + 3 * HOUR, verdict)


def _long(number: int) -> str:
    """A text of 30 to 120 signs, and the number of the post in words that only it has."""
    drawn = random.Random(number)
    signs = "".join(drawn.choices(SIGNS, k=drawn.randrange(30, 120)))
    return f"{signs}，第{chr(0x4E00 + number % 9000)}{chr(0x4E00 + number // 9000)}号"
