"""Terms and combinations in a world whose truth is known, and what a reader must not be told."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.explain.test_contrast import GONE, posts
from tests.needs import needs_shared
from vanished.errors import UsageError
from vanished.explain.combinations import CombinationSettings, combinations
from vanished.explain.result import facts
from vanished.explain.screen import ScreenSettings, screen
from vanished.explain.terms import Terms, TermSettings, terms
from vanished.lab.documents import FAMILIES, Documents, Settings, documents


@cache
def world(seed: int = 0) -> Documents:
    return documents(Settings(seed=seed, families=2))


@cache
def found(seed: int = 0) -> Terms:
    return terms(world(seed).posts)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_strings_are_found_exactly_and_come_first(seed: int) -> None:
    named = [term.term for term in found(seed).found]
    planted = {*world(seed).singles, *(forms[0] for forms in FAMILIES)}
    assert planted <= set(named)
    assert len(planted & set(named[:18])) / 18 >= 0.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_pairs_and_triples_are_found_and_no_others(seed: int) -> None:
    together = found(seed).combinations
    assert together is not None
    said = {frozenset(one.parts) for one in together.found}
    assert said == {*world(seed).pairs, *world(seed).triples}


def test_no_part_of_a_combination_is_called_a_term() -> None:
    """A censor who forbids two words together has not forbidden either."""
    parts = set().union(*world().pairs, *world().triples)
    assert not parts & {term.term for term in found().found}
    alone = terms(world().posts, settings=TermSettings(combinations=None))
    assert parts & {term.term for term in alone.found}


def test_nothing_is_found_where_nothing_brings_removal() -> None:
    for seed in range(5):
        said = terms(documents(Settings(seed=1000 + seed, signal=False)).posts)
        assert not said.found
        assert said.combinations is not None
        assert not said.combinations.found


@pytest.mark.parametrize("seed", [1010, 1027])
def test_a_chance_discovery_among_thousands_is_not_told(seed: int) -> None:
    """One empty world in twenty may have a string with q below .05; these two do."""
    empty = documents(Settings(seed=seed, signal=False)).posts
    assert screen(empty, None, ScreenSettings()).q.min() < 0.05
    assert not terms(empty).found


def test_what_a_much_removed_author_likes_to_say_is_no_term() -> None:
    """Ten accounts lose half of their posts whatever they say, and share a phrase."""
    rows = []
    for number in range(4000):
        heavy = number % 100 < 10
        lost = number % 2 == 0 if heavy else number % 41 == 0
        phrase = "云灯会" if number % (3 if heavy else 60) == 0 else "山水间"
        rows.append({"account": f"a{number % 100}", "text": phrase} | (GONE if lost else {}))
    table = posts(rows)
    said = terms(table)
    share = table.filter(pc.equal(table["text"], "云灯会"))
    lost_share = pc.mean(pc.cast(pc.equal(share["state"], "gone"), pa.float64())).as_py()
    assert lost_share > 0.25
    assert not said.found


def test_disguises_are_one_family() -> None:
    by_name = {term.term: term for term in found().found}
    for forms in FAMILIES:
        term = by_name[forms[0]]
        assert {form.written for form in term.forms} == set(forms)
        assert term.posts == pytest.approx(120, abs=3)
        assert not {*forms[1:]} & set(by_name)
    kinds = {form.kind for forms in FAMILIES for form in by_name[forms[0]].forms}
    assert kinds == {"written", "script", "split", "sound", "pieces"}


def test_copies_of_a_story_by_one_author_count_once() -> None:
    """An author who posts one removed text a hundred times has not made a term of it."""
    rows = [{"account": f"a{n % 50}", "text": "山水间", "first_seen_at": n} for n in range(2000)]
    copies = [
        {"account": f"a{n % 9}", "text": "云灯会", "first_seen_at": n} | GONE for n in range(90)
    ]
    table = posts(rows + copies)
    assert [term.term for term in terms(table).found] == ["云灯会"]
    copied = [f"p{n}" for n in range(2000, 2090)]
    stories = pa.table({"post": copied, "story": ["s"] * 90})
    said = terms(table, stories)
    assert said.compared == 2009
    assert not said.found


def test_no_cell_stands_on_fewer_than_five_accounts() -> None:
    rows = [{"account": f"a{n % 50}", "text": "山水间"} for n in range(2000)]
    few = [{"account": f"a{n % 4}", "text": "云灯会"} | GONE for n in range(60)]
    others = [{"account": f"a{n % 12}", "text": "云灯会"} for n in range(24)]
    assert not terms(posts(rows + few + others)).found
    for term in found().found:
        assert term.accounts >= 8
        assert all(form.posts >= 5 and form.accounts >= 5 for form in term.forms)
    with pytest.raises(UsageError, match="at least 5 accounts"):
        ScreenSettings(accounts=4)


def test_the_same_posts_give_the_same_terms() -> None:
    again = terms(world().posts)
    assert again.table().equals(found().table())


def test_results_have_the_shape_that_reports_take() -> None:
    said = found()
    for result in (said, said.combinations):
        assert result is not None
        table = result.table()
        assert table.num_rows == len(result.found)
        assert facts(result)["rows"] == table.to_pylist()
        assert "associated with removal among watched accounts" in result.text()
        assert "caus" not in result.text()
        assert str(result.compared) in result.chart()["title"]["subtitle"]
    row = said.table().to_pylist()[0]
    assert row["log_odds_low"] < row["log_odds"] < row["log_odds_high"]
    assert row["low"] < row["share"] < row["high"]
    assert row["p"] <= row["q"] <= 0.05


def test_empty_and_speechless_pasts_give_empty_results() -> None:
    for table in (posts([]), posts([{}, GONE]), posts([GONE | {"text": "云灯会"}] * 3)):
        assert terms(table).table().num_rows == 0
        assert combinations(table).table().num_rows == 0
        assert terms(table).chart()["data"]["values"] == []


def test_combinations_alone_are_those_of_terms() -> None:
    together = found().combinations
    assert together is not None
    assert combinations(world().posts, None, CombinationSettings()).found == together.found


def test_the_vaccine_and_the_babies_are_among_the_terms_of_2018() -> None:
    """Real titles: violations beside what authors deleted, which here stand for ordinary posts."""
    file = needs_shared("wechatscope-ceninfo/ceninfo-2018-2019.csv")
    rows = []
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            removed = row["censored_msg"].startswith("此内容因违规")
            if removed or row["censored_msg"].startswith("该内容已被发布者"):
                day = datetime.fromisoformat(row["created_at"][:10]).replace(tzinfo=UTC)
                when = int(day.timestamp()) * 1_000_000
                said = {"account": row["nickname"], "title": row["title"], "first_seen_at": when}
                rows.append(said | (GONE if removed else {}))
    named = {term.term for term in terms(posts(rows)).found}
    assert {"疫苗", "中美"} <= named
    assert len(named) < 40
