"""A folder to plan for: generated posts of generated accounts at three hosts of two platforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track, host_of
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Account,
    Micros,
    Observation,
    Post,
    State,
)
from vanished.watch.by_price import ByPrice

NOW: Micros = 1_790_000_000 * SECOND  # when the watch was looking last
HOSTS = (
    ("mastodon", "one.example"), ("mastodon", "two.example"), ("bluesky", "three.example"),
)  # fmt: skip
LOST = 50  # every so many posts are lost


def accounts(observatory: Observatory, number: int) -> list[AccountRow]:
    rows = []
    for n in range(number):
        platform, host = HOSTS[n % 3]
        key, url = observatory.naming(platform, f"a{n}"), f"https://{host}/a{n}"
        track = Track(due=NOW + 5 * MINUTE, last_asked_at=NOW, state=State.ALIVE)
        owner = Account(key, platform, f"a{n}", "", url, NOW - 30 * DAY)
        rows.append(AccountRow(observatory.next_account_id(), owner, "", track))
    return rows


def posts(observatory: Observatory, owners: list[AccountRow], number: int) -> list[PostRow]:
    """Up to four days old, proven alive within the hour; some are lost."""
    rng, rows = np.random.default_rng(1), []
    for n in range(number):
        owner = owners[int(rng.integers(len(owners)))]
        born, proven = NOW - int(rng.uniform(0.05, 4) * DAY), NOW - int(rng.uniform(0, 1) * HOUR)
        track = Track(
            due=NOW, state=State.ALIVE if n % LOST else State.GONE, first_alive_at=born,
            first_alive_answered_at=born, last_alive_at=proven, last_alive_answered_at=proven,
            alive_looks=9, last_asked_at=proven,
        )  # fmt: skip
        url = f"https://{host_of(owner.account.url)}/p{n}"
        post = Post(f"post{n}", owner.subject, owner.account.platform, f"n{n}", url, born, born)
        rows.append(PostRow(observatory.next_post_id(), post, owner.id, track))
    return rows


def learn(observatory: Observatory, owners: list[AccountRow], answers: int) -> int:
    """Let the schedule learn from so many generated answers; how many losses were among them."""
    rng, schedule = np.random.default_rng(2), ByPrice({})
    p = np.minimum(rng.gamma(0.35, 0.05 / 0.35, len(owners)), 0.9)
    whose = rng.integers(0, len(owners), answers)
    age0 = np.exp(rng.uniform(4, 12, answers))
    age1 = age0 * rng.uniform(1.05, 1.5, answers)
    curve = schedule.beliefs.curve
    lost = rng.random(answers) < p[whose] * (curve.cdf(age1) - curve.cdf(age0))
    ids = np.array([owner.id for owner in owners])[whose]
    schedule.beliefs.observe(0.0, age0, age1, ids, np.zeros(answers, np.int64), lost)
    schedule.beliefs.learner.refit()
    observatory.keep_learnt(schedule.kept())
    return int(lost.sum())


def make(folder: Path, *, number: int = 300, answers: int = 0) -> int:
    """Make the folder; how many losses it learnt from."""
    with Observatory.create(folder) as observatory:
        owners = accounts(observatory, 30)
        rows = posts(observatory, owners, number)
        entry = Entry(new_accounts=list(owners), new_posts=list(rows))
        if answers:
            subject = owners[0].subject
            seen = Observation(subject, NOW - HOUR, NOW - HOUR, ALIVE, looks=answers)
            entry.changes.append(Change(owners[0], seen, run=observatory.next_run()))
        observatory.commit(entry, NOW)
        observatory.begin_session(NOW)
        observatory.end_session(NOW)
        return learn(observatory, owners, answers) if answers else 0
