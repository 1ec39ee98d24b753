"""The lab has to fail in just the ways and shares it says, or its zeros prove nothing."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.lab.direct import Always, world
from vanished.lab.clock import SteppedClock
from vanished.lab.pages import BARE_404, counted, shown
from vanished.lab.platform import Platform
from vanished.lab.traps import BURST, WEIGHTS, Draw, Trap, Traps
from vanished.lab.truth import truth_of
from vanished.lab.world import LAGS, MOST_LAG, World
from vanished.model import DAY, HOUR, MINUTE, SECOND, Kind, Micros


def platform(traps: float = 0.0, trap: Trap | None = None, u: float = 0.5) -> Platform:
    built = Platform(world(), SteppedClock(world().start), traps)
    if trap is not None:
        built.traps = Always(world(), 1.0, trap, u)
    return built


def asked(built: Platform, path: str, t: Micros, query: str = "") -> tuple[int, str]:
    answer = built.answer(path, query, 0, t).answer
    return answer.status, answer.body.decode()


# -- shares --------------------------------------------------------------------------------------


def test_each_trap_occurs_at_its_share() -> None:
    traps = Traps(world(), 0.2)
    count = 100_000
    drawn = Counter(traps.draw(f"/p/{i % 500}", i // 500).trap for i in range(count))
    assert set(drawn) == {None, *Trap}
    assert abs(1 - drawn[None] / count - 0.2) < 0.005
    for trap, weight in WEIGHTS.items():
        assert abs(drawn[trap] / count - 0.2 * weight) < 0.002, trap
    assert abs(sum(WEIGHTS.values()) - 1) < 1e-9


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_can_be_set(share: float) -> None:
    traps = Traps(world(), share)
    drawn = [traps.draw("/p/x", turn).trap for turn in range(4000)]
    assert abs(sum(trap is not None for trap in drawn) / 4000 - share) < 0.03
    assert bool(traps.bursts) == (share > 0)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Traps(world(), 1.2)


def test_the_same_turn_meets_the_same_trap_in_every_process() -> None:
    one, other = Traps(world(), 0.2), Traps(World.generate(1), 0.2)
    assert one.bursts == other.bursts
    draws = [one.draw("/p/abc", turn) for turn in range(200)]
    assert draws == [other.draw("/p/abc", turn) for turn in range(200)]
    assert len({draw.u for draw in draws}) == 200


# -- the world as shown --------------------------------------------------------------------------


def test_without_traps_every_page_and_list_says_what_is_true() -> None:
    """Nothing but the world decides: a living post is shown, a lost one by its form."""
    built, seen = platform(), Counter[str]()
    for t in (world().start + 9 * DAY, world().end - 1):
        for i, post in enumerate(world().posts):
            status, body = asked(built, f"/p/{post.id}", t)
            if world().is_alive(i, t):
                assert status == 200
                assert f'data-id="{post.id}"' in body
                seen["alive"] += 1
            elif post.loss is not None and post.published_at <= t:
                form = post.loss.form
                assert status == (302 if not body else form.status)
                assert form.words in body or status == 302
                seen[form.name] += 1
            else:
                assert (status, body) == (404, BARE_404.body.decode())
    assert seen["alive"] > 3000
    assert seen["bare"] > 10
    assert seen["of-moved"] > 0


def test_a_list_holds_all_living_posts_since_the_time_it_claims() -> None:
    built, t = platform(), world().end - 1
    for number, account in enumerate(world().accounts):
        alive = [
            post
            for i, post in enumerate(world().posts)
            if post.account == number and world().is_alive(i, t)
        ]
        query, found, since = "limit=7", [], 1
        while since:
            status, body = asked(built, f"/api/accounts/{account.id}/posts", t, query)
            answer = json.loads(body)
            assert status == 200
            if account.loss is not None:
                assert answer["error"]["message"] == account.loss.form.words
                break
            found += answer["posts"]
            since = answer["complete_since"]
            newer = [post.id for post in alive if post.published_at // SECOND >= since]
            assert sorted(newer) == sorted(entry["id"] for entry in found)
            assert answer["more"] == bool(since)
            query = f"limit=7&before={since}"
        times = [entry["published"] for entry in found]
        assert times == sorted(times, reverse=True)


def test_a_text_that_holds_a_notice_never_becomes_an_error_block() -> None:
    built, quoting = platform(), 0
    for i, post in enumerate(world().posts):
        t = post.published_at + SECOND
        if "error-block" in post.wording.text and world().is_alive(i, t):
            _, body = asked(built, f"/p/{post.id}", t)
            assert 'class="error-block"' not in body
            assert "error-block" in body
            quoting += 1
    assert quoting > 5


def test_a_repost_of_a_lost_post_quotes_its_notice_and_lives() -> None:
    built, found = platform(), 0
    for i, post in enumerate(world().posts):
        original = None if post.repeats is None else world().posts[post.repeats]
        if original is not None and original.loss is not None:
            t = max(original.loss.at, post.published_at)
            if world().is_alive(i, t) and original.loss.gone(t) and original.loss.form.words:
                _, body = asked(built, f"/p/{post.id}", t)
                assert f'<aside class="quoted"><p>{original.loss.form.words}' in body
                found += 1
    assert found > 3


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0"), (9_999, "9999"), (10_000, "1.0万"), (19_999, "1.9万"), (99_999, "9.9万"),
     (100_000, "10万+"), (7_000_000, "10万+")],
)  # fmt: skip
def test_counts_are_rounded_as_such_platforms_round(n: int, text: str) -> None:
    assert shown(n) == text


def test_pages_and_lists_show_the_same_rounded_counts() -> None:
    built, t = platform(), world().end - 1
    rounded = 0
    for i, post in enumerate(world().posts):
        if not world().is_alive(i, t):
            continue
        _, body = asked(built, f"/p/{post.id}", t)
        for name, n in counted(post, t):
            assert f'<li class="{name}">{shown(n)}</li>' in body
            rounded += n >= 10_000
    assert rounded > 100


def test_nothing_answers_to_ids_that_do_not_exist() -> None:
    built, t = platform(), world().start
    paths = [
        "/p/p0",
        "/a/u0",
        "/api/accounts/u0/posts",
        "/moved/u0",
        "/",
        "/p/",
        "/api/x",
        "/p/a/b",
    ]
    assert all(asked(built, path, t)[0] == 404 for path in paths)
    account = world().accounts[0].id
    status, _ = asked(built, f"/api/accounts/{account}/posts", t, "before=x&limit=-1&before=&y")
    assert status == 200


# -- replicas and bursts -------------------------------------------------------------------------


def test_a_replica_that_is_behind_errs_in_both_directions() -> None:
    """A removed post is still served, a new one not yet: neither is the world's doing."""
    late = platform(trap=Trap.STALE, u=0.99)
    lost = next(p for p in world().posts if p.loss and p.loss.at - p.published_at > HOUR)
    assert lost.loss is not None
    after = lost.loss.at + MOST_LAG
    assert asked(late, f"/p/{lost.id}", after - 1)[0] == 200
    assert asked(late, f"/p/{lost.id}", after)[1] == asked(platform(), f"/p/{lost.id}", after)[1]
    born = lost.published_at + MOST_LAG
    assert asked(late, f"/p/{lost.id}", born - 1) == (404, BARE_404.body.decode())
    assert asked(late, f"/p/{lost.id}", born)[0] == 200
    nearer = platform(trap=Trap.STALE, u=0.0)
    assert asked(nearer, f"/p/{lost.id}", lost.loss.at + LAGS[1] - 1)[0] == 200
    assert asked(nearer, f"/p/{lost.id}", lost.loss.at + LAGS[1])[0] != 200 or lost.loss.form.words


def test_bursts_of_false_404_are_rare_short_and_whole() -> None:
    traps = Traps(world(), 0.2)
    assert {burst.account is None for burst in traps.bursts} == {True, False}
    assert 5 < len(traps.bursts) < 60
    for burst in traps.bursts:
        assert BURST[0] <= burst.end - burst.start <= BURST[1] == 40 * MINUTE
        for account in range(3) if burst.account is None else [burst.account]:
            for t, inside in ((burst.start, True), (burst.end - 1, True), (burst.end, False)):
                others = any(
                    other is not burst
                    and other.account in (None, account)
                    and other.start <= t < other.end
                    for other in traps.bursts
                )
                assert traps.denied(account, t) == (inside or others)


def test_a_burst_denies_every_post_list_and_page_of_its_account_and_is_no_truth() -> None:
    built = platform(traps=0.2)
    truth = truth_of(world())
    fates = {subject.id: subject.fate for subject in truth.posts}
    denied = 0
    for burst in built.traps.bursts:
        t = (burst.start + burst.end) // 2
        paths = [
            (f"/p/{post.id}", fates[post.id])
            for i, post in enumerate(world().posts)
            if burst.account in (None, post.account) and world().is_alive(i, t)
        ]
        if not paths:
            continue  # an account that is lost, or has not begun
        turns = [n for n in range(9) if built.traps.draw(paths[0][0], n).trap is None]
        answer = built.answer(paths[0][0], "", turns[0], t).answer
        assert answer == BARE_404
        for path, fate in paths:
            assert fate is None or not fate.removed_at <= t < (fate.returned_at or world().end)
            if built.traps.draw(path, 0).trap is None:
                assert built.answer(path, "", 0, t).answer is BARE_404
                denied += 1
        account = world().accounts[burst.account or 0].id
        for path in (f"/a/{account}", f"/api/accounts/{account}/posts"):
            if built.traps.draw(path, 0).trap is None:
                assert built.answer(path, "", 0, t).answer is BARE_404
    assert denied > 1000


def test_a_draw_covers_its_whole_range() -> None:
    assert Draw(None, 0.0).between(1, 3) == 1
    assert Draw(None, 0.9999).between(1, 3) == 3
    kinds = {post.loss.form.kind for post in world().posts if post.loss is not None}
    assert kinds == {Kind.GONE, Kind.MOVED}
