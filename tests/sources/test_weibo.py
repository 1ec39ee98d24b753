"""The Weibo source, against answers built as public scrapers describe them.

Over loopback through the real door for the ordinary course, on prepared answers for the rare ones.
Accounts, numbers and texts were made up here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.loopback import Answer, Prepared, as_json, as_page, door, exchange, serving
from tests.sources.pages import CHINESE, name, small
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Cause,
    Count,
    Discovery,
    Fault,
    Kind,
    Look,
    Post,
    Signal,
    Strength,
    Via,
)
from vanished.sources.notice import load_pack
from vanished.sources.shown_count import shown_count
from vanished.sources.weibo import WeiboSource
from vanished.sources.weibo_answer import moment, posts_of, read_status, visitor_pass

USER = "7000000001"
MID = "5200000000000007"
NOON = "Tue Feb 03 12:28:47 +0800 2026"
NOON_MICROS = 1_770_092_927 * SECOND

DELETED = "抱歉，此微博已被作者删除。查看帮助：http://t.cn/a"
BLOCKED = "该账号因被投诉违反《微博社区公约》的相关规定，现已无法查看。查看帮助"
WALL: Answer = (200, {"ok": -100, "url": "https://weibo.com/login.php?url=x"})
GONE: Answer = (400, {"ok": 0, "errno": "20101", "msg": "该微博不存在"})


def mobile(mid: str = MID, text: str = "第七道线", **more: Any) -> dict[str, Any]:
    """A post as m.weibo.cn has it."""
    return {
        "id": mid,
        "mid": mid,
        "bid": "Pabc12345",
        "created_at": NOON,
        "text": text,
        "isLongText": False,
        "pics": [],
        "reposts_count": 12,
        "comments_count": "1.2万",
        "attitudes_count": "100万+",
        "user": {"id": int(USER), "screen_name": "水位"},
        **more,
    }


def desktop(mid: str = MID, text: str = "第七道线", **more: Any) -> dict[str, Any]:
    """A post as weibo.com has it."""
    base = mobile(mid, text)
    return {
        **{k: v for k, v in base.items() if k not in ("bid", "pics")},
        "id": int(mid),
        "idstr": mid,
        "mblogid": "Pabc12345",
        "text_raw": text,
        "ok": 1,
        **more,
    }


def shown(item: Mapping[str, Any]) -> Answer:
    return 200, ({"ok": 1, "data": item} if "mblogid" not in item else item)


def cards(*items: Mapping[str, Any]) -> Answer:
    found = [{"card_type": 9, "mblog": item} for item in items]
    return 200, {"ok": 1, "data": {"cards": [{"card_type": 11, "card_group": []}, *found]}}


def lone(version: str = "") -> Post:
    return Post("key", "account", "weibo", MID, f"https://m.weibo.cn/detail/{MID}", version=version)


async def look(
    on_mobile: Answer, on_desktop: Answer = WALL, page: Answer = (404, ""), version: str = ""
) -> Look:
    answers = Prepared(
        {
            "/ajax/": on_desktop,
            "/statuses/show": on_mobile,
            "/detail/": page,
            "/visitor/": (404, ""),
        }
    )
    (found,) = await WeiboSource(name, {"visitor": False}).look([lone(version)], answers)
    return found


async def looked(on_mobile: Answer, on_desktop: Answer = WALL, page: Answer = (404, "")) -> Signal:
    return (await look(on_mobile, on_desktop, page)).observation.signal


async def read(answers: Prepared, cursor: str = "", **settings: object) -> Discovery:
    source = WeiboSource(name, {"visitor": False, **settings})
    return await source.discover(source.account(USER), cursor, answers)


# -- what a person writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [USER, f"https://weibo.com/u/{USER}", f"weibo.com/{USER}", f"https://m.weibo.cn/u/{USER}?x=1",
     f"https://m.weibo.cn/profile/{USER}", f"http://www.weibo.com/{USER}/"],
)  # fmt: skip
def test_an_account_has_one_name_however_it_is_written(address: str) -> None:
    account = WeiboSource(name).account(address)
    assert account.native_id == f"user:{USER}"
    assert account.url == f"https://m.weibo.cn/u/{USER}"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "12",
        "weibo.com/shuiwei",
        f"https://example.org/u/{USER}",
        f"https://weibo.com/{USER}/Pabc",
    ],
)
def test_what_names_no_account_by_number_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        WeiboSource(name).account(address)


@pytest.mark.parametrize(
    "settings",
    [{"mobile": "m.weibo.cn"}, {"desktop": "ftp://a"}, {"passport": ""}, {"cookie_env": "SUB=x"}],
)
def test_settings_that_cannot_be_followed_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        WeiboSource(name, settings)


# -- over loopback -------------------------------------------------------------------------------


@dataclass
class Weibo:
    """Both sites and the visitor service, in so far as this source asks them."""

    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    walled: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: web.Request) -> web.Response:
        cookie = request.headers.get("Cookie", "")
        self.asked.append((request.path, cookie))
        if request.path == "/visitor/genvisitor2":
            held = {"retcode": 20000000, "data": {"sub": "_2AkMvisitor", "subp": "0033pass"}}
            text = f"window.visitor_gray_callback && visitor_gray_callback({json.dumps(held)});"
            return as_page(text)
        if self.walled and "SUB=_2AkMvisitor" not in cookie:
            return as_json({"ok": -100, "url": "https://passport.weibo.com/sso/signin"}, 432)
        if request.path in ("/statuses/show", "/ajax/statuses/show"):
            found = self.posts.get(request.query["id"])
            if found is None:
                return as_json({"ok": 0, "errno": "20101", "msg": "该微博不存在"}, 400)
            return as_json({"ok": 1, "data": found})
        if request.path == "/api/container/getIndex":
            newest = sorted(self.posts, key=int, reverse=True)
            page = int(request.query["page"])
            part = [self.posts[mid] for mid in newest[10 * page - 10 : 10 * page]]
            return as_json(cards(*part)[1] if part else {"ok": 0, "msg": "这里还没有内容"})
        return as_json({"ok": 0, "msg": "这里还没有内容"})


async def test_an_account_is_followed_from_first_reading_to_loss() -> None:
    here = Weibo({str(int(MID) + n): mobile(str(int(MID) + n), f"第{n}道线") for n in range(3)})
    async with serving(here.answer) as base, door() as fetch:
        source = WeiboSource(name, {"mobile": base, "desktop": base, "passport": base})
        account = source.account(USER)
        found = await source.discover(account, "", fetch)
        assert (found.observation.signal, found.observation.via) == (ALIVE, Via.TIMELINE)
        assert found.cursor == str(int(MID) + 2)
        assert found.complete_since == NOON_MICROS + SECOND
        sighting = found.sightings[-1]
        assert sighting.post.native_id == MID
        assert sighting.post.published_at == NOON_MICROS
        assert sighting.version is not None
        (seen,) = await source.look([sighting.post], fetch)
        assert seen.observation.signal is ALIVE
        assert seen.version == sighting.version
        assert seen.observation.counts.comments == Count(11_500, 12_999)
        assert seen.observation.counts.likes == Count(1_000_000)
        assert seen.observation.counts.reposts == Count.exact(12)

        for number in range(3, 30):
            mid = str(int(MID) + number)
            here.posts[mid] = mobile(mid, f"第{number}道线")
        assert len((await source.discover(account, found.cursor, fetch)).sightings) == 30

        del here.posts[MID]
        (seen,) = await source.look([sighting.post], fetch)
        signal = seen.observation.signal
        assert (signal.kind, set(signal.causes)) == (Kind.GONE, {Cause.UNKNOWN})
        assert (signal.strength, signal.account_level) == (Strength.WEAK, False)
        assert not any(cookie for _, cookie in here.asked)


async def test_a_visitors_pass_is_taken_when_asked_for_and_used_once() -> None:
    here = Weibo({MID: mobile()}, walled=True)
    async with serving(here.answer) as base, door() as fetch:
        servers = {"mobile": base, "desktop": base, "passport": base}
        source = WeiboSource(name, servers)
        post = replace(lone(), url=f"{base}/detail/{MID}")
        (seen,) = await source.look([post], fetch)
        assert seen.observation.signal is ALIVE
        assert [path for path, _ in here.asked] == [
            "/statuses/show",
            "/visitor/genvisitor2",
            "/statuses/show",
        ]
        here.asked.clear()
        shut = WeiboSource(name, {**servers, "visitor": False})
        (seen,) = await shut.look([post], fetch)
        assert seen.observation.signal.fault is Fault.LOGIN_WALL
        assert "/visitor/genvisitor2" not in [path for path, _ in here.asked]


async def test_ones_own_cookie_is_sent_to_weibo_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_COOKIE", "SUB=mine\r\nX-Evil: 1")
    answers = Prepared({"/statuses/show": WALL, "/ajax/": WALL, "/detail/": (200, "")})
    source = WeiboSource(name, {"cookie_env": "MY_COOKIE"})
    (seen,) = await source.look([lone()], answers)
    assert seen.observation.signal.fault is Fault.LOGIN_WALL
    assert not any("visitor" in url for url in answers.asked)
    assert {headers["Cookie"] for _, headers in answers.sent} == {"SUB=mineX-Evil: 1"}


# -- one post: alive -----------------------------------------------------------------------------


async def test_links_emoticons_and_media_are_read_as_shown() -> None:
    text = (
        "第七道线<span class='url-icon'><img alt=[微笑] src='//h5.sinaimg.cn/e.png'></span>"
        "<br />看 <a href='https://weibo.cn/x'><span class='surl-text'>网页链接</span></a>\u200b"
    )
    pics = [{"url": "https://wx1.sinaimg.cn/o/a.jpg?Expires=1&ssig=2",
             "large": {"url": "https://wx1.sinaimg.cn/large/a.jpg?Expires=1&ssig=2"}}]  # fmt: skip
    found = await look(shown(mobile(text=text, pics=pics)))
    assert found.version is not None
    assert found.version.text == "第七道线[微笑] 看 网页链接"
    assert found.version.media == ("https://wx1.sinaimg.cn/large/a.jpg",)


async def test_the_desktops_pictures_are_read_in_their_order() -> None:
    infos = {p: {"large": {"url": f"https://wx1.sinaimg.cn/large/{p}.jpg"}} for p in ("b", "a")}
    found = await look(WALL, shown(desktop(pic_ids=["a", "b"], pic_infos=infos)))
    assert found.version is not None
    assert [address[-5:] for address in found.version.media] == ["a.jpg", "b.jpg"]


async def test_a_long_text_is_read_whole_or_not_at_all() -> None:
    """A text that is cut off in the list would else look like an edit at every other look."""
    whole = {"ok": 1, "data": {"longTextContent": CHINESE}}
    link = f"<a href='/status/{MID}?{'x' * 300}'>全文</a>"
    cut = mobile(text=f"{CHINESE[:140]}...{link}", isLongText=True)
    listed = await read(Prepared({"/api/container": cards(cut)}))
    assert listed.sightings[0].observation is not None
    assert listed.sightings[0].observation.version == ""
    for rest, text in (((200, whole), CHINESE), ((200, {"ok": 0}), None)):
        answers = Prepared({"/statuses/show": shown(cut), "/statuses/extend": rest})
        (found,) = await WeiboSource(name).look([lone()], answers)
        assert found.observation.signal is ALIVE
        assert (found.version.text if found.version else None) == text
    in_place = await look(shown(mobile(text=CHINESE, isLongText=True)))
    assert in_place.version is not None
    assert in_place.version.text == CHINESE


async def test_a_repost_of_a_lost_post_is_alive_and_names_what_it_repeats() -> None:
    """The notice stands in the original's place, not in the repost's."""
    original = {"id": "5100000000000001", "deleted": "1", "text": DELETED, "user": None}
    repost = mobile(text="转发微博//@岸边:看", retweeted_status=original, pid=5100000000000002)
    found = await look(shown(repost))
    assert found.observation.signal is ALIVE
    (sighting,) = (await read(Prepared({"/api/container": cards(repost)}))).sightings
    assert sighting.post.repeats == "5100000000000001"
    status = read_status(repost)
    assert status is not None
    assert status.chain == ("5100000000000002", "5100000000000001")


@pytest.mark.parametrize("words", [DELETED, BLOCKED, "该微博不存在", "抱歉，该内容暂时无法查看"])
async def test_a_post_that_quotes_a_notice_is_alive(words: str) -> None:
    assert await looked(shown(mobile(text=words))) is ALIVE
    assert await looked(WALL, shown(desktop(text=f"刚看到：{words}"))) is ALIVE


async def test_the_desktops_wording_is_only_taken_where_none_is_known() -> None:
    first = await look(WALL, shown(desktop(text="看 http://t.cn/a")))
    assert first.version is not None
    later = await look(WALL, shown(desktop(text="看 http://t.cn/a")), version="known")
    assert later.observation.signal is ALIVE
    assert (later.version, later.observation.version) == (None, "")


# -- one post: gone ------------------------------------------------------------------------------

P, A, U = {Cause.PLATFORM}, {Cause.AUTHOR}, {Cause.UNKNOWN}
NOTICES = [
    (DELETED, "deleted-by-author", A, False),
    ("抱歉，此微博已被删除。", "deleted", A | P, False),
    ("该微博因被多人举报，根据《微博社区管理规定》，已被删除。", "complaints", P, False),
    ("该微博因被多人投诉，根据《微博社区公约》，已被删除。", "complaints", P, False),
    ("该微博包含营销推广内容且未备案", "unregistered-advertising", P, False),
    ("抱歉，由于作者设置，你暂时没有这条微博的查看权限哦。", "no-permission", A | P, False),
    ("由于作者隐私设置，你没有权限查看此微博", "no-permission", A | P, False),
    ("由于博主设置，目前内容暂不可见。", "no-permission", A | P, False),
    ("抱歉，作者已设置仅展示半年内微博，此微博已不可见。", "time-window", A, False),
    ("抱歉，该内容暂时无法查看。如需帮助，请联系客服", "on-hold", P, False),
    ("该微博不存在", "not-found", U, False),
    ("微博不存在或暂无查看权限!", "not-found-or-no-permission", U, False),
    (BLOCKED, "account-complaints", P, True),
    ("该账号因被投诉违反法律法规和《微博社区公约》的相关规定，现已无法查看。",
     "account-complaints", P, True),
    ("该账号行为异常，存在安全风险，用户验证之前暂时不能查看。", "account-frozen", P, True),
    ("该账号因用户自行申请关闭，现已无法查看。", "account-closed-by-owner", A, True),
    ("该账号已关闭，现无法查看。", "account-closed", A | P, True),
    ("用户不存在(20003)", "account-not-found", U, True),
]  # fmt: skip


@pytest.mark.parametrize(("words", "rule", "causes", "account_level"), NOTICES)
async def test_each_notice_says_what_it_leaves_open(
    words: str, rule: str, causes: set[Cause], account_level: bool
) -> None:
    answers: list[Answer] = [
        (200, {"ok": 0, "msg": words}),
        (400, {"ok": 0, "message": words}),
        (200, {"ok": 1, "data": mobile(text=words, user=None, deleted="1")}),
    ]
    for answer in answers:
        signal = await looked(answer)
        assert signal.rule.startswith(f"weibo/{rule}@")
        assert (signal.kind, set(signal.causes)) == (Kind.GONE, causes)
        assert signal.account_level is account_level


@pytest.mark.parametrize(
    ("code", "rule"),
    [(20101, "not-found"), (20112, "no-permission"), (20132, "on-hold"), (20135, "deleted"),
     (20003, "account-not-found")],
)  # fmt: skip
@pytest.mark.parametrize("key", ["errno", "error_code"])
async def test_a_code_alone_is_understood(code: int, rule: str, key: str) -> None:
    for value in (code, str(code)):
        signal = await looked((200, {"ok": 0, key: value, "msg": "?"}))
        assert signal.rule.startswith(f"weibo/{rule}@")


async def test_the_notice_in_weibos_sorry_address_is_read() -> None:
    url = "https://weibo.com/sorry?usernotexists&code=20003&msg=" + BLOCKED
    signal = await looked((200, {"ok": 0, "error_type": "link", "url": url}))
    assert signal.rule.startswith("weibo/account-complaints@")
    signal = await looked((200, {"ok": 0, "url": "https://weibo.com/sorry?usernotexists"}))
    assert signal.rule.startswith("weibo/account-not-found@")


async def test_the_mobile_page_tells_what_both_calls_do_not() -> None:
    page = small(
        "微博-出错了", "<div class='h5-4box'><p class='h5-4con'>微博不存在或暂无查看权限!</p></div>"
    )
    signal = await looked(WALL, WALL, (200, page))
    assert signal.rule.startswith("weibo/not-found-or-no-permission@")
    drawn = json.dumps([{"status": mobile()}], ensure_ascii=False)
    page = small(
        "微博", f"<div id='app'></div><script>var $render_data = {drawn}[0] || {{}};</script>"
    )
    assert await looked(WALL, WALL, (200, page)) is ALIVE
    assert (await looked(WALL, WALL, (200, page[:300]))).fault is not None


# -- replicas that disagree ----------------------------------------------------------------------


async def test_what_one_site_shows_is_not_lost() -> None:
    for one, other in (
        (GONE, shown(desktop())),
        ((200, {"ok": 0, "msg": DELETED}), shown(desktop())),
    ):
        signal = await looked(one, other)
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)
        assert "disagree" in signal.words


async def test_two_notices_give_the_one_that_says_more() -> None:
    author: Answer = (200, {"ok": 0, "msg": DELETED})
    for one, other in ((GONE, author), (author, GONE)):
        assert (await looked(one, other)).causes == {Cause.AUTHOR}
    complaints: Answer = (200, {"ok": 0, "msg": "该微博因被多人举报"})
    assert (await looked(author, complaints)).fault is Fault.UNREADABLE


async def test_a_second_site_that_fails_takes_nothing_back() -> None:
    assert (await looked(GONE, WALL)).causes == {Cause.UNKNOWN}
    assert (await looked(GONE, (0, Fault.TIMEOUT))).kind is Kind.GONE


# -- failed looks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((432, {}), Fault.LOGIN_WALL),
        ((418, ""), Fault.RATE_LIMITED),
        (WALL, Fault.LOGIN_WALL),
        ((200, {"ok": 0, "errno": "100005", "msg": "请求过于频繁,歇歇吧"}), Fault.RATE_LIMITED),
        ((403, {"error_code": 10023}), Fault.RATE_LIMITED),
        ((200, {"ok": 0, "error_code": 20031}), Fault.CAPTCHA),
        ((200, {"ok": 0, "msg": "系统错误"}), Fault.SERVER),
        ((200, {"ok": 0, "msg": "这里还没有内容"}), Fault.EMPTY),
        ((200, {"ok": 0, "msg": "博文涉及营销推广正在审核中，暂时无法传播"}), Fault.UNREADABLE),
        ((200, {"ok": 0, "msg": "刚刚换了新话"}), Fault.UNREADABLE),
        ((200, {"ok": 0}), Fault.UNREADABLE),
        ((200, {"ok": 1, "data": {}}), Fault.UNREADABLE),
        ((200, {"ok": 1, "data": mobile("5200000000000008")}), Fault.UNREADABLE),
        ((200, {"ok": 1, "data": mobile(user=None, text="没有见过的话")}), Fault.UNREADABLE),
        ((200, json.dumps({"ok": 0, "msg": DELETED})[:30]), Fault.UNREADABLE),
        ((200, "[1"), Fault.UNREADABLE),
        ((200, small("Sina Visitor System", "")), Fault.LOGIN_WALL),
        ((404, small("404", DELETED)), Fault.UNREADABLE),
        ((403, small("Forbidden", "")), Fault.FORBIDDEN),
        ((0, Fault.TIMEOUT), Fault.TIMEOUT),
        ((429, Fault.RATE_LIMITED), Fault.RATE_LIMITED),
    ],
)
async def test_a_wall_or_nonsense_is_never_a_loss(answer: Answer, fault: Fault) -> None:
    signal = await looked(answer, answer, answer)
    assert (signal.kind, signal.fault) == (Kind.ERROR, fault)
    found = await read(Prepared({"": answer}), MID)
    assert (found.observation.signal.kind, found.sightings) == (Kind.ERROR, ())
    assert (found.cursor, found.complete_since) == (MID, None)


async def test_a_limit_outranks_a_notice_beside_it() -> None:
    signal = await looked((200, {"ok": 0, "msg": DELETED, "errno": "100005"}))
    assert signal.fault is Fault.RATE_LIMITED


# -- accounts ------------------------------------------------------------------------------------


async def test_a_blocked_account_is_read_from_its_profile() -> None:
    sorry = {"ok": 0, "error_type": "link",
             "url": f"https://weibo.com/sorry?usernotexists&msg={BLOCKED}"}  # fmt: skip
    answers = Prepared(
        {"profile/info": (200, sorry), "": (200, {"ok": 0, "msg": "这里还没有内容"})}
    )
    signal = (await read(answers)).observation.signal
    assert (signal.account_level, set(signal.causes)) == (True, P)


async def test_an_account_that_never_was_is_not_lost() -> None:
    answers = {"profile/info": (200, {"ok": 0, "msg": "用户不存在"}), "": (200, {"ok": 0})}
    assert (await read(Prepared({**answers}))).observation.signal.fault is Fault.UNREADABLE
    lost = (await read(Prepared({**answers}), MID)).observation.signal
    assert (lost.kind, lost.account_level, set(lost.causes)) == (Kind.GONE, True, U)


async def test_an_empty_list_of_a_living_account_loses_nothing() -> None:
    profile = {"ok": 1, "data": {"user": {"id": int(USER)}}}
    answers = Prepared(
        {"profile/info": (200, profile), "": (200, {"ok": 0, "msg": "这里还没有内容"})}
    )
    found = await read(answers, MID)
    assert (found.observation.signal, found.sightings) == (ALIVE, ())
    assert (found.complete_since, found.cursor) == (None, MID)
    walled = Prepared({"profile/info": (200, profile), "": WALL})
    assert (await read(walled, MID)).observation.signal.fault is Fault.LOGIN_WALL


async def test_the_desktops_list_stands_in_for_the_mobile_one() -> None:
    listed = {"ok": 1, "data": {"list": [desktop(), desktop("5200000000000003")]}}
    found = await read(Prepared({"mymblog": (200, listed), "": WALL}))
    assert [s.post.native_id for s in found.sightings] == [MID, "5200000000000003"]
    assert all(s.version is None for s in found.sightings)  # its look fetches the wording


async def test_others_posts_in_a_list_are_not_the_accounts() -> None:
    other = mobile("5200000000000009", user={"id": 7000000002})
    found = await read(Prepared({"": cards(other, mobile())}))
    assert [s.post.native_id for s in found.sightings] == [MID]


async def test_a_list_claims_to_be_complete_only_where_its_order_shows_it() -> None:
    """A diff of a list that leaves posts out would ask for half the account again and again."""
    newer, older = mobile("5200000000000009"), mobile("5200000000000003")
    pinned = mobile("5100000000000001", isTop=1, created_at="Tue Jan 06 12:00:00 +0800 2026")
    undated = mobile("5200000000000005", created_at="3分钟前")
    since = NOON_MICROS + SECOND
    for items, expected in (
        ((pinned, newer, older), since),
        ((newer, undated, older), None),
        ((older, newer), None),
        ((newer,), None),
    ):
        found = await read(Prepared({"": cards(*items)}))
        assert found.complete_since == expected
        assert len(found.sightings) == len(items)


def test_every_place_of_the_pack_is_one_that_is_read() -> None:
    """A rule at a place that no code reads is a notice that nobody notices."""
    places = {p for n in load_pack("weibo").notices for w in n.wordings for p in w.where}
    assert places == {
        "field:msg", "field:code", "field:ok", "field:sorry", "field:wall", "css:.h5-4con",
        "title", "text",
    }  # fmt: skip


# -- the parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOON, NOON_MICROS),
        ("Tue Feb 03 04:28:47 +0000 2026", NOON_MICROS),
        ("Mon Feb 02 23:28:47 -0500 2026", NOON_MICROS),
        ("刚刚", None), ("3分钟前", None), ("昨天 12:28", None), ("02-03", None),
        ("2026-02-03", None),
        ("Tue Feb 31 12:28:47 +0800 2026", None), ("Tue Foo 03 12:28:47 +0800 2026", None),
        ("Tue Feb 03 12:28:47 +0800 1900", None), (None, None), (7, None),
    ],
)  # fmt: skip
def test_a_time_is_read_with_its_zone_or_not_at_all(text: object, expected: int | None) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    ("shown_as", "expected"),
    [
        (0, Count.exact(0)), ("9999", Count.exact(9999)), ("1,234", Count.exact(1234)),
        ("1.2万", Count(11_500, 12_999)), ("1万", Count(10_000, 19_999)),
        ("100万+", Count(1_000_000)), ("10万+", Count(100_000)),
        ("1.2亿", Count(115_000_000, 129_999_999)),
        ("1.2K", Count(1_150, 1_299)), ("12.34M", Count(12_335_000, 12_349_999)),
        (-1, None), (True, None), (1.5, None), ("1.5", None), ("转发", None), ("", None),
        (None, None),
        ("9" * 15 + "亿", None), (2**63, None),
    ],
)  # fmt: skip
def test_a_counter_is_an_interval_that_holds_the_truth(
    shown_as: object, expected: Count | None
) -> None:
    assert shown_count(shown_as) == expected


@given(st.integers(1_000, 999_999_999), st.sampled_from([0, 1, 2]), st.booleans())
def test_however_a_platform_shortens_a_number_it_lies_in_the_interval(
    true: int, digits: int, rounded: bool
) -> None:
    unit, size = ("M", 10**6) if true >= 10**6 else ("K", 10**3)
    step = size // 10**digits
    steps = (true + (step // 2 if rounded else 0)) // step
    shown_as = f"{steps // 10**digits}.{steps % 10**digits:0{digits}d}" if digits else f"{steps}"
    found = shown_count(shown_as.removesuffix(".0") + unit)
    assert found is not None
    assert found.high is not None
    assert found.low <= true <= found.high


@given(st.text(max_size=20) | st.integers() | st.floats() | st.none())
def test_a_counter_of_any_kind_never_breaks(value: object) -> None:
    found = shown_count(value)
    assert found is None or found.high is None or 0 <= found.low <= found.high


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ok", "data", "cards", "mblog", "list", "id", "user", "text", "msg",
                             "pics", "pic_infos", "pic_ids", "retweeted_status", "longText", "url",
                             "page_info", "isLongText", "card_group", "errno"]),
            inner, max_size=5,
        )
    ),
    max_leaves=15,
)  # fmt: skip


@given(_JSON)
def test_an_answer_of_any_form_is_read_or_not_but_never_breaks(value: Any) -> None:
    posts_of(exchange("https://m.weibo.cn/", 200, {"ok": 1, "data": value}))
    read_status(value)
    read_status({"id": MID, "user": {"id": USER}, "text": "x", "page_info": value, "pics": value})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('visitor_gray_callback({"data":{"sub":"_2AkMabcd","subp":"0033abcd"}});',
         "SUB=_2AkMabcd; SUBP=0033abcd"),
        ('{"data":{"sub":"_2AkMabcd"}}', "SUB=_2AkMabcd"),
        ('f({"data":{"sub":"a;b\\r\\nX: y"}})', ""),
        ('f({"data":null})', ""), ("f({", ""), ("", ""), ("[]", ""),
    ],
)  # fmt: skip
def test_a_pass_that_could_forge_a_header_is_none(content: str, expected: str) -> None:
    assert visitor_pass(exchange("https://passport.weibo.com/", 200, content)) == expected
