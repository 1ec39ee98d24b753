"""The published method, as published: who compares with Bamman et al. must get their numbers."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from tests.explain.test_contrast import GONE, posts
from vanished.errors import UsageError
from vanished.explain.deletion_rate import DeletionSettings, deletion_rates
from vanished.lab.documents import Settings, documents

AUTHOR = {"state": "gone", "causes": "author"}


def test_the_base_rate_and_the_test_of_the_paper() -> None:
    """212,583 of 1,308,430 is 16.25 %, here in thousandths; of 100 posts with a term 40 deleted."""
    rows = [
        {"account": f"a{n % 60}", "text": "山水间"} | (GONE if n < 173 else {}) for n in range(1208)
    ]
    rows += [
        {"account": f"a{n % 60}", "text": "云灯会"} | (AUTHOR if n < 40 else {}) for n in range(100)
    ]
    found = deletion_rates(posts(rows), ["雲燈會", "山水"])
    assert (found.posts, found.deleted) == (1308, 213)
    assert found.base == pytest.approx(212_583 / 1_308_430, abs=5e-4)
    assert [one.term for one in found.found] == ["雲燈會"]
    assert found.found[0].p == pytest.approx(binom.sf(39, 100, 213 / 1308))
    assert found.found[0].deleted.n == 40


def test_deletions_by_authors_can_be_left_out() -> None:
    rows = [
        {"account": f"a{n % 60}", "text": "云灯会"} | (AUTHOR if n < 40 else {}) for n in range(100)
    ]
    found = deletion_rates(posts(rows), ["云灯"], DeletionSettings(removed_only=True))
    assert (found.posts, found.deleted) == (60, 0)


def test_it_finds_planted_strings_without_being_asked() -> None:
    world = documents(Settings(seed=3))
    found = deletion_rates(world.posts)
    assert set(world.singles) <= {one.term for one in found.found}
    assert found.table().num_rows == len(found.found)
    assert str(found.posts) in found.chart()["title"]["subtitle"]
    assert "12000 posts of watched accounts" in found.text()


def test_few_accounts_are_not_told() -> None:
    with pytest.raises(UsageError, match="at least 5 accounts"):
        DeletionSettings(accounts=4)
    rows = [{"account": f"a{n % 4}", "text": "云灯会"} | GONE for n in range(50)]
    rows += [{"account": f"b{n % 60}", "text": "山水间"} for n in range(500)]
    assert not deletion_rates(posts(rows), ["云灯会"]).found
    assert deletion_rates(posts([])).found == ()
