"""Series of verdicts: a change that is not there would become a story; one missed, a silence."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vanished.model import SECOND
from vanished.reach.rules import Reach
from vanished.reach.series import STOPPED, Change, Dated, SeriesSettings, Turn, series

DAY = 86400 * SECOND
STATES = {
    "b": Reach.BLOCKED,
    "l": Reach.LIKELY_BLOCKED,
    "o": Reach.OK,
    "i": Reach.INSUFFICIENT,
    "d": Reach.DOWN,
    "s": Reach.IMPAIRED,
}


def dated(letters: str, target: str = "https://a.example/", step: int = DAY) -> list[Dated]:
    """A verdict a day, by letters."""
    return [
        Dated(target, "AS64500", i * step, STATES[one], *(("dns", "bogon") if one in "bl" else ()))
        for i, one in enumerate(letters)
    ]


def changes(letters: str) -> list[Change]:
    return list(series(dated(letters))[0].changes)


def test_a_block_begins_and_ends_between_two_looks() -> None:
    """The interval is all that is known of the moment."""
    began, ended = changes("oooobbbbooo")
    assert (began.turn, began.since, began.by) == (Turn.BEGAN, 3 * DAY, 4 * DAY)
    assert (began.before, began.after, began.contrary) == (4, 4, 0)
    assert (began.layer, began.mechanism) == ("dns", "bogon")
    assert (ended.turn, ended.since, ended.by) == (Turn.ENDED, 7 * DAY, 8 * DAY)
    assert (ended.layer, ended.mechanism) == ("dns", "bogon")


def test_one_verdict_against_the_rest_is_no_change() -> None:
    """It is counted as contrary, and the others are believed."""
    assert changes("oooboooo") == []
    began = changes("ooobooobbbb")[0]
    assert (began.since, began.contrary) == (6 * DAY, 1)


def test_failed_looks_and_outages_move_nothing() -> None:
    """A failed look is never a removal, and the end of a block neither."""
    assert changes("bbbiidddss") == []
    assert changes("oooiiibbb")[0].since == 2 * DAY
    one = series(dated("iidds"))[0]
    assert one.stopped_now is None
    assert (one.verdicts, one.saying) == (5, 0)


def test_a_long_silence_is_not_bridged() -> None:
    """What happened in it is unknown: an interval of months says nothing."""
    late = [Dated(one.target, one.vantage, one.at + 90 * DAY, one.state) for one in dated("bbb")]
    assert series(dated("ooo") + late)[0].changes == ()
    longer = SeriesSettings(gap_s=200 * 86400.0)
    assert len(series(dated("ooo") + late, longer)[0].changes) == 1


def test_denominators_stand_beside_every_series() -> None:
    """How many verdicts there were, and how many said anything."""
    one, other = series(dated("oobbi") + dated("ooo", "https://b.example/"))
    assert one.states == (("blocked", 2), ("insufficient", 1), ("ok", 2))
    assert (one.verdicts, one.saying, one.stopped_now) == (5, 4, True)
    assert (other.target, other.stopped_now) == ("https://b.example/", False)


@given(st.text(alphabet="bloids", max_size=40), st.randoms(use_true_random=False))
def test_series_hold_what_they_promise(letters: str, random: object) -> None:
    """Changes alternate, lie between looks that were made, and order of arrival does not matter."""
    looks = dated(letters)
    shuffled = list(looks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert series(shuffled) == series(looks)
    for one in series(looks):
        turns = [change.turn for change in one.changes]
        assert all(a is not b for a, b in pairwise(turns))
        for change in one.changes:
            old, new = looks[change.since // DAY].state, looks[change.by // DAY].state
            assert (new in STOPPED) is (change.turn is Turn.BEGAN)
            assert (old in STOPPED) is not (new in STOPPED)
            assert change.before >= 2 <= change.after
