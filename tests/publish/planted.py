"""An observatory with identities planted in every post that it watched, and what they are.

In: a seed and a folder. Out: a lab's world, watched by the product's own loop, in whose texts stand
telephone numbers in many spellings, mentions, addresses, papers, native ids and names; and each of
these as the plain text that no published byte may hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.lab.clock import SteppedClock
from vanished.lab.month import SETTINGS, watch_world
from vanished.lab.nouns import LabAccount, LabPost
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM, LabSource
from vanished.lab.world import MOST_LAG, World
from vanished.model import DAY, MINUTE, SECOND, Cause

FULL = str.maketrans("0123456789", "０１２３４５６７８９")
HAN = str.maketrans("0123456789", "零一二三四五六七八九")
YAO = str.maketrans("0123456789", "〇幺二三四五六七八九")
CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
PUBLISH = """
[publish]
title = "A planted month"
publisher = "the test's desk"
contact = "the desk"

[[publish.words]]
platforms = ["lab"]
ground = "reviewed"
decided_by = "the test"
decided_at = 2026-11-01
alive = true
"""


def phone_of(number: int) -> str:
    """A mobile number that nobody has."""
    return f"1{(number * 7_654_321 + 30_000_000) % 10**10:010d}"


def spellings_of(phone: str) -> list[str]:
    """One number as people hide it."""
    return [
        phone,
        f"{phone[:3]}-{phone[3:7]}-{phone[7:]}",
        f"{phone[:3]} {phone[3:7]} {phone[7:]}",
        " ".join(phone),
        phone.translate(FULL),
        phone.translate(HAN),
        phone.translate(YAO),
        phone.translate(CIRCLED),
        "".join(f"{digit}\ufe0f\u20e3" for digit in phone),
        "\u200b".join(phone),
        f"+86（{phone[:3]}）{phone[3:7]}—{phone[7:]}",
        phone[:5] + phone[5:].translate(HAN),
        ".".join((phone[:2], phone[2:5], phone[5:8], phone[8:])),
    ]


class Planted:
    """The observatory in `folder`, its world, and whom it must not give away."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.folder = folder
        bare = World.generate(seed, days=4, accounts=14, posts_per_day=40.0, author=0.15)
        self.secrets: dict[str, list[str]] = {}
        posts = tuple(
            self._plant(number, post, bare.accounts[post.account])
            for number, post in enumerate(bare.posts)
        )
        self.world = World(bare.recipe, bare.accounts, posts)
        clock = SteppedClock(self.world.start, stride=60 * MINUTE)
        with running(self.world, clock, traps=0.1) as url:
            self.url = url
            self._watch(clock)

    def _watch(self, clock: SteppedClock) -> None:
        with Observatory.create(self.folder) as observatory:
            text = SETTINGS.format(
                id=observatory.settings.id, url=self.url, stale_s=MOST_LAG / SECOND,
                discover_s=6 * 3600, commit_s=600.0,
            )  # fmt: skip
            (self.folder / FILE).write_text(text + PUBLISH, encoding="utf-8")
            source = LabSource(observatory.naming, {"url": self.url})
            for account in self.world.accounts:
                known = replace(source.account(account.id), name=account.name)
                observatory.add_account(known, clock.now())
        with Observatory.open(self.folder, write=True) as observatory:
            self.naming = observatory.naming
            asyncio.run(watch_world(observatory, clock, self.world.end + 2 * DAY))
            self.seen = observatory.first_sights()

    def _plant(self, number: int, post: LabPost, account: LabAccount) -> LabPost:
        """The post with somebody's identities in it; they are noted as `secrets` of its id."""
        phone = phone_of(number)
        spelt = spellings_of(phone)[number % 13]
        card = f"11010519{49 + number % 50}1231{number % 900 + 100:03d}X"
        planted = {
            "phone": spelt,
            "mention": f"@小满子{number}号楼友",
            "mail": f"reader.{number}q@post{number}.example",
            "address": f"10.{number % 200 + 20}.7{number % 10}.2{number % 10}",
            "card": card,
            "wallet": f"0x{sha256(str(number).encode()).hexdigest()[:40]}",
            "wechat": f"微信号：yue_{number}_ming",
            "link": f"https://weibo.example/u/{number}7788/home",
            "native": account.id,
            "own": post.id,
            "name": account.name,
            "home": f"建国路{number % 90 + 10}号院{number % 8 + 1}号楼二单元{number % 900 + 101}室",
        }
        self.secrets[post.id] = [*planted.values(), phone, f"小满子{number}", f"yue_{number}_ming"]
        words = "\n".join(f"{value}。" for value in planted.values())
        wording = replace(
            post.wording, text=f"{post.wording.text}\n{words}", title=f"{post.wording.title}{spelt}"
        )
        edited = None if post.edited is None else replace(post.edited, text=f"{words}改过")
        return replace(post, wording=wording, edited=edited)

    @property
    def met(self) -> Iterator[LabPost]:
        """The posts that were seen."""
        return (p for p in self.world.posts if self.naming(PLATFORM, p.id) in self.seen)

    def by_author(self) -> list[LabPost]:
        """Those that their authors took down."""
        return [p for p in self.met if p.loss is not None and p.loss.cause is Cause.AUTHOR]

    def identities(self) -> set[str]:
        """Every planted text, ids, names, pseudonyms of the observatory, unsalted hashes."""
        found: set[str] = set()
        for account in self.world.accounts:
            key = self.naming(PLATFORM, account.id)
            found |= {account.id, account.name, key, f"/a/{account.id}", *hashes(account.id)}
        for post in self.met:
            found |= {post.id, self.naming(PLATFORM, post.id), *hashes(post.id)}
            found |= set(self.secrets[post.id])
        return found


def hashes(native_id: str) -> set[str]:
    """Hashes that anybody could make of a native id."""
    plain = (
        native_id,
        f"{PLATFORM}{native_id}",
        f"{PLATFORM}:{native_id}",
        f"{PLATFORM}\0{native_id}",
    )
    return {sha256(one.encode()).hexdigest() for one in plain}
