"""A past as large as asked for: an observatory's folder with many posts, looks and losses.

In: a new folder, how many posts, a seed. Out: an observatory that was never watched, whose journal
holds posts with texts that nobody wrote, looks with growing counters, verdicts, a campaign against
one word, near-copies, lost accounts and a gap. It is for measuring what a report of that size
costs; for truth there are smaller worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vanished.archive.columns import GAP, TABLES, WATCHED, Columns
from vanished.archive.folder import JOURNAL
from vanished.archive.journal import Journal
from vanished.archive.making import make
from vanished.lab.texts import TOPICS, Script, compose
from vanished.model import DAY, HOUR, MINUTE

BEGIN: Final = 1_700_006_400 * 1_000_000  # 2023-11-15T00:00Z
DAYS: Final = 30
POSTS_PER_ACCOUNT: Final = 250
AT_ONCE: Final = 100_000  # posts
WORD: Final = "沽栎"  # what the campaign is against; it means nothing
REMOVED: Final = 0.02
AGES_H: Final = (0.05, 0.5, 1, 2, 4, 8, 24, 48, 120, 240)  # of looks


def write_large(folder: Path, posts: int, seed: int, removed: float = REMOVED) -> None:
    """Write it: `posts` posts and ten times as many looks, in `DAYS` days.

    The platform removes the share `removed` of posts outside the campaign.
    """
    make(folder, [], seal=False)
    journal = Journal.open(folder / JOURNAL, writable=True)
    rng = np.random.default_rng(seed)
    accounts = max(5, posts // POSTS_PER_ACCOUNT)
    lost = rng.random(accounts) < 0.01
    until = BEGIN + DAYS * DAY
    lost_at = np.where(lost, BEGIN + rng.integers(5, DAYS, accounts) * DAY, until + DAY)
    names = _keys(rng, accounts)
    journal.flush(_accounts(names, lost_at, until), 1)
    first = 0
    while first < posts:
        number = min(AT_ONCE, posts - first)
        for tables in _posts(rng, names, lost_at, number, until, removed):
            journal.flush(tables, journal.upto + 1)
        first += number


def _keys(rng: np.random.Generator, number: int) -> NDArray[np.object_]:
    """Pseudonyms: sixteen letters each."""
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
    drawn = letters[rng.integers(0, 32, (number, 16))].view("S16").ravel().astype("U16")
    return drawn.astype(object)


def _accounts(
    names: NDArray[np.object_], lost_at: NDArray[np.int64], until: int
) -> dict[str, Columns]:
    """The accounts, the verdicts on those that were lost, and what was covered: a day was not."""
    gone = lost_at < until
    gap = BEGIN + 20 * DAY
    spans = ((BEGIN, gap, WATCHED), (gap, gap + DAY, GAP), (gap + DAY, until, WATCHED))
    return {
        "accounts": {
            "key": names, "platform": _same("lab", len(names)),
            "added_at": np.full(len(names), BEGIN),
        },
        "verdicts": _verdicts(
            names[gone], lost_at[gone] - 3 * HOUR, lost_at[gone],
            _same("platform", int(gone.sum())), _same(None, int(gone.sum())),
        ),
        "coverage": TABLES["coverage"].of_rows(
            [("watch", since, end, what, "") for since, end, what in spans]
        ),
    }  # fmt: skip


def _posts(
    rng: np.random.Generator,
    names: NDArray[np.object_],
    lost_at: NDArray[np.int64],
    number: int,
    until: int,
    removed: float,
) -> Iterator[dict[str, Columns]]:
    """Some posts with their texts, verdicts and looks, in parts that fit into memory."""
    account = rng.integers(0, len(names), number)
    born = BEGIN + np.sort(rng.integers(0, (DAYS - 1) * DAY, number))
    texts = _texts(rng, number)
    named = np.array([WORD in text for text in texts])
    storm = (born > BEGIN + 10 * DAY) & (born < BEGIN + 14 * DAY)
    chance = np.where(named & storm, 0.5, removed)
    draw = rng.random(number)
    causes = np.full(number, "", object)
    causes[draw < chance + 0.03] = "author"
    causes[draw < chance] = "platform"
    causes[(draw > 0.99)] = "unknown"
    ago = np.minimum(rng.lognormal(np.log(3.0), 1.6, number), 400) * HOUR
    end = np.where(causes != "", born + ago.astype(np.int64), until + DAY)
    with_account = lost_at[account] < end
    end = np.where(with_account, np.maximum(lost_at[account], born + MINUTE), end)
    causes[with_account & (end < until)] = "account"
    looks = born[:, None] + (np.array(AGES_H) * HOUR * rng.uniform(0.9, 1.1, (number, 1))).astype(
        np.int64
    )
    looks = np.minimum(looks, until - MINUTE)
    looks.sort(axis=1)
    alive = looks < end[:, None]
    alive[:, 0] = True
    keys = _keys(rng, number)
    yield {
        "posts": {
            "key": keys, "account": names[account], "platform": _same("lab", number),
            "published_at": np.ma.array(born, mask=False), "first_seen_at": looks[:, 0],
        },
        "versions": {
            "post": keys, "seen_at": looks[:, 0], "hash": keys, "title": _same("", number),
            "text": texts, "media": _same("[]", number),
        },
    }  # fmt: skip
    last = np.where(alive, looks, 0).max(axis=1)
    seen_gone = np.where(alive, until, looks).min(axis=1)
    found = (end < until) & (seen_gone < until)
    of_account = _same(None, number)
    of_account[causes == "account"] = names[account][causes == "account"]
    yield {
        "verdicts": _verdicts(
            keys[found], last[found], seen_gone[found] + 1, causes[found], of_account[found]
        )
    }
    yield {"observations": _looks(rng, keys, looks, alive)}


def _texts(rng: np.random.Generator, number: int) -> NDArray[np.object_]:
    """Texts by topic with some letters of their own; a tenth nearly repeat one before."""
    shares = np.array([topic.share for topic in TOPICS])
    topics = rng.choice(len(TOPICS), number, p=shares / shares.sum())
    letters = rng.integers(0x4E00, 0x4E00 + 3000, (number, 24)).astype(np.uint32)
    own = letters.view("U24").ravel()
    copies, drawn = rng.random(number) < 0.1, rng.random(number)
    texts = np.empty(number, object)
    for i in range(number):
        if copies[i] and i > 10:
            texts[i] = texts[int(drawn[i] * i)] + own[i][:3]
            continue
        _, text = compose(rng, TOPICS[topics[i]], Script.SIMPLIFIED)
        word = WORD if drawn[i] < 0.004 else ""
        texts[i] = f"{text.partition('。')[0]}。{own[i][:12]}{word}{own[i][12:]}"
    return texts


def _looks(
    rng: np.random.Generator,
    keys: NDArray[np.object_],
    looks: NDArray[np.int64],
    alive: NDArray[np.bool_],
) -> Columns:
    """Ten looks a post; each of the alive ones shows grown counters, some end above."""
    number, each = looks.shape
    total = number * each
    fame = rng.lognormal(2.0, 1.7, (number, 1))
    age = (looks - looks[:, :1]) / HOUR
    reposts = (fame * (1 - np.exp(-age / 6))).astype(np.int64)
    flat, asked = alive.ravel(), looks.ravel()
    shown = np.ma.array(reposts.ravel(), mask=~flat)
    views = np.ma.array((reposts * 12).ravel(), mask=~flat)
    high = np.ma.array(views.data, mask=~flat | (views.data >= 100_000))
    nothing = np.ma.array(np.zeros(total, np.int64), mask=True)
    kind = np.where(flat, "alive", "gone").astype(object)
    failed = flat & (rng.random(total) < 0.01)
    fault = _same(None, total)
    fault[failed] = "timeout"
    columns: dict[str, Any] = {name: _same("", total) for name in TABLES["observations"].fields}
    columns |= {
        "subject": np.repeat(keys, each), "asked_at": asked, "answered_at": asked + 1,
        "last_asked_at": asked, "last_answered_at": asked + 1, "looks": np.ones(total, np.int64),
        "kind": np.where(failed, "error", kind),
        "causes": np.where(flat, "", "unknown").astype(object), "strength": _same("strong", total),
        "fault": fault, "status": nothing,
        "account_level": np.zeros(total, bool), "via": _same("direct", total),
        "vantage": _same("here", total), "reposts_low": shown, "reposts_high": shown,
        "views_low": views, "views_high": high, "likes_low": nothing, "likes_high": nothing,
        "comments_low": nothing, "comments_high": nothing,
    }  # fmt: skip
    return columns


def _verdicts(
    keys: NDArray[np.object_],
    last: NDArray[np.int64],
    gone: NDArray[np.int64],
    causes: NDArray[np.object_],
    explained: NDArray[np.object_],
) -> Columns:
    number = len(keys)
    return {
        "subject": keys, "judged_at": gone, "state": _same("gone", number), "causes": causes,
        "last_alive_at": np.ma.array(last, mask=False),
        "first_gone_at": np.ma.array(gone, mask=False), "confidence": _same("high", number),
        "rules": _same("[]", number), "conflicts": _same("[]", number), "explained_by": explained,
        "words": _same("", number), "looks": np.full(number, 2), "method": _same("lab/1", number),
    }  # fmt: skip


def _same(value: str | None, number: int) -> NDArray[np.object_]:
    return np.full(number, value, object)
