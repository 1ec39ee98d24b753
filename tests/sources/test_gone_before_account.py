"""A post that went missing an hour before its account: the account's end must not hide whose hand.

The notices are those of the platforms' own packs; the times are simulated.
"""

from __future__ import annotations

import pytest

from tests.judge.facts import HOUR_S, OWNER, POST, look, looks, t
from tests.sources.test_xmpp import looked, made
from tests.sources.xmpp_bosh import Archive, Service, message
from vanished.judge import judge
from vanished.model import ALIVE, Cause, Kind, Observation, Signal, Verdict, Via
from vanished.sources.notice import load_pack

NO_CHANNEL = "This channel can't be displayed because it violated Telegram's Terms of Service"
NO_ROOM = "This room has been blocked on this server"
NOTICES = {
    "xmpp": (("archive", "missing"), ("room", "gone")),
    "mastodon": (("status.status", "404"), ("account.field", "suspended")),
    "telegram": (("error", "Post not found"), ("error", NO_CHANNEL)),
    "weibo": (("msg", "该微博不存在"), ("msg", "该账号行为异常，存在安全风险")),
    "matrix": (("event.errcode", "M_NOT_FOUND"), ("error", NO_ROOM)),
    "wechat": (("", "404"), ("", "此帐号已被屏蔽")),
}
BEFORE = range(300, 3900, 600)  # the post is missing, as somebody looks every ten minutes
LOST_AT = 4200


def notice(platform: str, place: str, words: str) -> Signal:
    pack = load_pack(platform)
    if place:
        found = pack.match_field(place, words)
    elif words.isdecimal():
        found = load_pack("http").match_status(int(words))
    else:
        found = pack.match_text(words)
    assert found is not None
    assert found.kind is Kind.GONE
    return found


def account(notice: Signal, alive_until: float) -> Verdict:
    """The verdict on an account whose list is read every five minutes until it is lost."""
    seconds = [*range(0, int(alive_until) + 1, 300)]
    seen = [(s, ALIVE) for s in seconds] + [(LOST_AT + s, notice) for s in range(0, 30_000, 600)]
    facts = [Observation(OWNER, t(s), t(s + 1), said, Via.TIMELINE) for s, said in seen]
    return judge(OWNER, facts, about_account=True)


@pytest.mark.parametrize("platform", NOTICES)
def test_what_was_missing_before_is_not_put_down_to_the_account(platform: str) -> None:
    own, above = (notice(platform, *where) for where in NOTICES[platform])
    assert not own.account_level
    assert above.account_level
    alone = [look(0), *looks(BEFORE, own)]
    after = looks(range(LOST_AT, LOST_AT + 30_000, 3000), above)
    lost = account(above, 3900)
    found = judge(POST, [*alone, *after], account=lost)
    assert found.explained_by is None
    assert Cause.UNKNOWN in found.causes
    # The same where the platform shows no notice at the post itself.
    bare = judge(POST, [*alone, *looks(range(LOST_AT, LOST_AT + 30_000, 3000), own)], account=lost)
    assert bare.explained_by is None
    assert Cause.UNKNOWN in bare.causes
    # Missing for a day and a half: there is no doubt left that it was lost by itself.
    early = looks((300 - 40 * HOUR_S + s for s in range(0, 38 * HOUR_S, 3 * HOUR_S)), own)
    sure = judge(POST, [look(-41 * HOUR_S), *early, *after], account=lost)
    assert sure.causes == {Cause.UNKNOWN}
    assert sure.explained_by is None


@pytest.mark.parametrize("platform", NOTICES)
def test_what_went_with_its_account_is_still_put_down_to_it(platform: str) -> None:
    """Else one suspended account would count as thousands of lost posts of unknown cause."""
    own, above = (notice(platform, *where) for where in NOTICES[platform])
    for first in (own, above):
        facts = [
            *looks(range(0, 3900, 600)), look(LOST_AT, first),
            *looks(range(LOST_AT + 300, LOST_AT + 30_000, 3000), above),
        ]  # fmt: skip
        found = judge(POST, facts, account=account(above, 3900))
        assert found.causes == {Cause.ACCOUNT}
        assert found.explained_by == OWNER


async def test_an_xmpp_message_is_missing_only_where_its_room_still_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the two answers above come from: a purged archive, then a destroyed room."""
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", "a secret")
    archive = Archive()
    archive.put("b", message("another", "bob"))
    purged = await looked(made(), Service(archive))
    assert purged.rule == notice("xmpp", "archive", "missing").rule
    assert not purged.account_level
    destroyed = await looked(made(), Service(Archive(about="gone")))
    assert destroyed.rule == notice("xmpp", "room", "gone").rule
    assert destroyed.account_level
