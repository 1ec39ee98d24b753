"""Last month's report must not change with the next month, nor choose posts by their loss."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vanished.archive import arrow
from vanished.errors import UsageError
from vanished.explain.fate import Fate, fate, fates
from vanished.explain.result import Basis
from vanished.explain.topics import parse_topics, topics
from vanished.explain.window import Window, known_at, met_within
from vanished.model import DAY, Cause


def post(name: str, **given: object) -> dict[str, object]:
    """A post that was met on day 1, proven alive until day 9."""
    return {
        "post": name, "account": "a", "platform": "lab", "published_at": DAY, "first_seen_at": DAY,
        "alive_from": DAY, "alive_until": 9 * DAY, "gone_by": None, "state": "alive", "causes": "",
        "confidence": "", "explained_by": None, "notice": "", "looks": 3, "failed": 1, "title": "",
        "text": "",
    } | given  # fmt: skip


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow.POSTS)


def gone(name: str, alive: int | None, by: int, causes: str, **given: object) -> dict[str, object]:
    until = None if alive is None else alive * DAY
    return post(name, alive_until=until, gone_by=by * DAY, state="gone", causes=causes, **given)


def test_posts_are_chosen_by_when_they_were_met() -> None:
    posts = table(
        post("old", first_seen_at=0), post("in"), post("late", first_seen_at=5 * DAY),
        post("other", platform="web"),
    )  # fmt: skip
    found = met_within(posts, Window(since=DAY, until=5 * DAY, platforms=("lab",)))
    assert found["post"].to_pylist() == ["in"]
    assert met_within(posts, Window()).num_rows == 4


def test_a_later_loss_is_taken_back_and_an_earlier_one_stays() -> None:
    posts = table(
        gone("later", 4, 6, "platform", notice="gone", explained_by="a"),
        gone("straddling", 2, 4, "platform"), gone("earlier", 1, 2, "author"), post("alive"),
        gone("never", None, 6, "unknown", alive_from=None),
    )  # fmt: skip
    found = {row["post"]: row for row in known_at(posts, 3 * DAY).to_pylist()}
    assert found["later"] | {"looks": 0} == post("later", alive_until=3 * DAY, looks=0)
    assert found["straddling"]["state"] == "alive"
    assert found["straddling"]["alive_until"] == 2 * DAY, "a proof must not be made later"
    assert found["earlier"]["gone_by"] == 2 * DAY
    assert found["alive"]["alive_until"] == 3 * DAY
    assert found["never"]["state"] == "unknown", "nobody had seen it alive: it is no survivor"
    assert found["never"]["alive_until"] is None
    assert known_at(posts, 3 * DAY).schema == arrow.POSTS


def test_a_post_that_its_author_may_have_taken_down_is_never_removed() -> None:
    for several in ("author,platform", "account,author,platform", "unknown", "legal,author"):
        assert fate("gone", several, False) is Fate.OPEN
    assert fate("gone", "platform", False) is Fate.REMOVED
    assert fate("gone", "legal", False) is Fate.REMOVED
    assert fate("gone", "legal,platform", False) is Fate.REMOVED
    assert fate("gone", "author", False) is Fate.AUTHOR
    assert fate("gone", "platform", True) is Fate.ACCOUNT, "counts once, with its account"
    for unproven in ("suspected", "flickering", "unknown"):
        assert fate(unproven, "", False) is Fate.UNPROVEN
    assert fate("returned", "", False) is Fate.SURVIVED
    assert {fate("gone", cause.value, False) for cause in Cause} <= set(Fate)


def test_fates_and_denominators_of_a_table() -> None:
    posts = table(
        post("a"), gone("b", 2, 3, "platform"), gone("c", None, 3, "unknown", account="z"),
        gone("d", 2, 3, "author,platform"),
    )  # fmt: skip
    assert fates(posts).tolist() == [Fate.SURVIVED, Fate.REMOVED, Fate.OPEN, Fate.OPEN]
    basis = Basis.of(posts)
    assert (basis.posts, basis.accounts, basis.lost, basis.unknown) == (4, 2, 3, 1)
    assert (basis.open, basis.never_alive) == (1, 1)
    assert (basis.since, basis.until) == (DAY, 9 * DAY)
    assert "4 posts of 2 watched accounts" in basis.text()
    nothing = Basis.of(table())
    assert (nothing.posts, nothing.lost, nothing.since) == (0, 0, None)
    assert nothing.text() == "0 posts of 0 watched accounts; 0 lost"


def test_topics_are_what_their_words_say() -> None:
    posts = table(post("a", title="High WATER"), post("b", text="the dam"), post("c"))
    words = parse_topics(["flood=high water|dam", "dams=dam"])
    found = topics(posts, words)
    assert sorted(zip(*found.to_pydict().values(), strict=True)) == [
        ("a", "flood"), ("b", "dams"), ("b", "flood"),
    ]  # fmt: skip
    for wrong in ("flood", "=dam", "flood= | "):
        with pytest.raises(UsageError, match="names no topic and its words"):
            parse_topics([wrong])
    assert topics(posts, {}).num_rows == 0
