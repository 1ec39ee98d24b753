"""A watch that writes to an observatory while its dashboard is read, for the benchmark.

`python -m bench.desk_writer FOLDER` commits looks, new posts and verdicts of a made-up account as a
watch does, four times a second, from the end of the archive's month on, until its input ends; says
"writing" when it begins, and at the end JSON with the number of commits.
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

from vanished.archive.columns import Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.lab.large import BEGIN, DAYS
from vanished.model import (
    ALIVE,
    DAY,
    MINUTE,
    SECOND,
    Account,
    Cause,
    Confidence,
    Interval,
    Observation,
    Post,
    State,
    Verdict,
    Version,
)

EACH_S = 0.25
AT_ONCE = 25  # posts of a commit, each with a look; every fifth is lost


def commit(observatory: Observatory, owner: AccountRow, number: int) -> None:
    """One commit: posts that were met and looked at, some of them lost at once."""
    entry, now = Entry(), BEGIN + DAYS * DAY + number * SECOND
    for n in range(number * AT_ONCE, (number + 1) * AT_ONCE):
        key = observatory.naming("lab", f"written {n}")
        post = Post(key, owner.account.key, "lab", f"w{n}", f"http://t/w{n}", now - MINUTE, now)
        row = PostRow(observatory.next_post_id(), post, owner.id, Track())
        entry.new_posts.append(row)
        seen = Observation(key, now, now + 1, ALIVE)
        entry.changes.append(Change(row, seen, run=observatory.next_run()))
        entry.versions.append(Wording(key, now, Version("h", "", f"雨后的天气，第{n}则")))
        if n % 5 == 0:
            verdict = Verdict(
                key, State.GONE, frozenset({Cause.PLATFORM}), Interval(now, now + SECOND),
                Confidence.HIGH, ("lab/rule@1",), method="lab/1",
            )  # fmt: skip
            entry.verdicts[key] = Judgement(now + SECOND, verdict)
    observatory.commit(entry, now)


def main(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        key = observatory.naming("lab", "writer")
        account = Account(key, "lab", "writer", "", "http://t/", BEGIN)
        owner = AccountRow(observatory.next_account_id(), account, "", Track())
        observatory.commit(Entry(new_accounts=[owner]), BEGIN + DAYS * DAY)
        print("writing", flush=True)
        number = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            commit(observatory, owner, number)
            number += 1
            time.sleep(EACH_S)
    print(json.dumps({"commits": number}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
