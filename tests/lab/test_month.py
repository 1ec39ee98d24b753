"""The lab's month: every loss noticed, rightly caused, rightly bracketed, and none invented.

A false loss harms the truth and, where it says "platform", may harm a person: so a fifth of all
answers here are traps, and the truth is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vanished.archive.columns import OBSERVATIONS
from vanished.archive.observatory import Observatory
from vanished.judge import JudgeSettings, judge
from vanished.lab.month import month_of
from vanished.lab.truth import Score

SEEDS = (1, 2, 3)
"""Half the month of the first in every run, the whole months of all three in the long ones."""
TRAPS = 0.2


@pytest.fixture(
    scope="module",
    params=[(SEEDS[:1], 12), pytest.param((SEEDS, 24), marks=pytest.mark.soak)],
    ids=["half", "three"],
)
def months(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[Score, Path]]:
    """One month for each seed, and the observatory that watched it."""
    found = {}
    seeds, accounts = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        for seed in seeds:
            folder = tmp_path_factory.mktemp(f"month{seed}") / "o"
            score, progress = month_of(seed, folder, TRAPS, accounts=accounts)
            assert progress.failed > 0.05 * progress.looks  # the traps were met
            print(f"seed {seed}: {progress.looks} looks\n{score.text()}")
            found[seed] = (score, folder)
    return found


def total(months: dict[int, tuple[Score, Path]], part: str) -> int:
    return sum(len(getattr(score.posts, part)) for score, _ in months.values())


def test_losses_are_noticed_and_rightly_judged(months: dict[int, tuple[Score, Path]]) -> None:
    scores = [score for score, _ in months.values()]
    lost = sum(score.posts.lost for score in scores)
    noticed = sum(score.posts.noticed for score in scores)
    assert lost > 30 * len(scores)
    assert noticed / lost >= 0.99
    assert total(months, "false_losses") == 0
    assert total(months, "wrong_cause") / noticed <= 0.02
    assert total(months, "wrong_interval") == 0
    assert total(months, "beside_removal") == 0  # the removal itself lies in every interval
    platform = sum(score.called_platform for score in scores)
    assert platform > 5 * len(scores)
    assert sum(len(score.false_platform) for score in scores) / platform <= 0.01


def test_lost_accounts_are_noticed_and_count_once(months: dict[int, tuple[Score, Path]]) -> None:
    accounts = [score.accounts for score, _ in months.values()]
    assert sum(tally.lost for tally in accounts) >= len(accounts)
    assert sum(len(tally.missed) for tally in accounts) == 0
    assert sum(len(tally.false_losses) for tally in accounts) == 0
    assert sum(len(tally.wrong_cause) for tally in accounts) == 0


def test_the_past_gives_the_same_verdicts(
    months: dict[int, tuple[Score, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the journal can check every verdict: same facts, same method, same answer."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    _, folder = months[SEEDS[0]]
    with Observatory.open(folder) as observatory:
        verdicts = {v.subject: v for v in observatory.verdicts()}
        posts = observatory.post_rows_by_key(sorted(verdicts))
        explained = 0
        with observatory.past() as con:
            for key, row in posts.items():
                found = con.execute(
                    "select * from observations where subject = ?", [key]
                ).fetchnumpy()
                again = judge(
                    key,
                    OBSERVATIONS.decode(found),
                    account=verdicts.get(row.post.account),
                    claimed_at=row.post.published_at,
                    settings=JudgeSettings(stale_s=observatory.settings.judge.stale_s),
                )
                stored = verdicts[key]
                explained += again.explained_by is not None
                assert (again.state, again.causes, again.interval) == (
                    stored.state,
                    stored.causes,
                    stored.interval,
                )
        assert len(posts) > 30
        assert explained > 0


def test_what_was_acknowledged_is_kept(
    months: dict[int, tuple[Score, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    for _, folder in months.values():
        with Observatory.open(folder) as observatory, observatory.past() as con:
            (kept,) = con.execute("select sum(looks)::bigint from observations").fetchall()[0]
            assert kept == observatory.acknowledged_looks()
            assert observatory.journal.verify() == []
