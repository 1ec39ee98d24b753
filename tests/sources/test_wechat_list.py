"""WeChat's lists as a source: what an album or a history names, and that its silence is no loss."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sources.pages import name, wechat_notice
from tests.sources.wechat_pages import (
    BIZ,
    CT,
    OTHER,
    SHORT,
    SN,
    WeChat,
    album_entry,
    album_json,
    article_page,
    history_json,
    wechat,
)
from vanished.clock import SystemClock
from vanished.model import ALIVE, SECOND, Cause, Discovery, Fault, Kind
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Fetch
from vanished.net.politeness import Politeness
from vanished.sources.wechat import MOST_PAGES, WeChatSource

REAL = "https://mp.weixin.qq.com"
ALBUM = f"/mp/appmsgalbum?action=getalbum&__biz={BIZ.replace('=', '%3D')}&album_id=1700000001"
HISTORY = f"/mp/profile_ext?action=home&__biz={BIZ.replace('=', '%3D')}"


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10)
    async with Door(settings, SystemClock(), Politeness(1000.0)) as door:
        yield door.fetcher()


@pytest.fixture
async def site() -> AsyncIterator[WeChat]:
    async with wechat() as running:
        yield running


async def listed(site: WeChat, fetch: Fetch, path: str, cursor: str = "") -> Discovery:
    source = WeChatSource(name, {"server": site.url})
    return await source.discover(source.account(REAL + path), cursor, fetch)


def album_path(begin: str = "") -> str:
    return f"{ALBUM}&count=20{begin}&f=json"


def history_path(offset: int) -> str:
    return f"{HISTORY.replace('action=home', 'action=getmsg')}&offset={offset}&count=10&f=json"


async def test_an_album_is_read_to_its_end_and_then_to_what_is_known(
    site: WeChat, fetch: Fetch
) -> None:
    newer = [album_entry(104, CT + 400), album_entry(103, CT + 300)]
    older = [album_entry(102, CT + 200), album_entry(101, CT + 100)]
    site.pages[album_path()] = album_json(newer, goes_on=True)
    site.pages[album_path("&begin_msgid=103&begin_itemidx=1")] = album_json(older)
    found = await listed(site, fetch, ALBUM)
    assert [s.post.native_id for s in found.sightings] == [
        f"{BIZ}/{n}/1" for n in (104, 103, 102, 101)
    ]
    assert {s.observation for s in found.sightings} == {None}  # listed is not yet alive
    assert found.sightings[0].post.url == f"{site.url}/s?__biz={BIZ}&mid=104&idx=1&sn={SN}"
    assert found.observation.signal is ALIVE
    assert found.complete_since == (CT + 100) * SECOND

    asked = len(site.asked)
    again = await listed(site, fetch, ALBUM, found.cursor)
    assert len(site.asked) == asked + 1
    assert len(again.sightings) == 2
    assert again.complete_since == (CT + 301) * SECOND  # 103's second may be cut in two


async def test_an_album_of_one_comes_without_a_list(site: WeChat, fetch: Fetch) -> None:
    entry = album_entry(101, CT, idx=3) | {"url": f"http://mp.weixin.qq.com{SHORT}"}
    site.pages[album_path()] = album_json([entry])
    (sighting,) = (await listed(site, fetch, ALBUM)).sightings
    assert sighting.post.native_id == f"{BIZ}/101/3"  # the list knows what the address hides
    assert sighting.post.url == site.url + SHORT


async def test_an_album_out_of_order_claims_nothing(site: WeChat, fetch: Fetch) -> None:
    """Else every article that was put in between would be asked for as if it were missing."""
    site.pages[album_path()] = album_json([album_entry(101, CT), album_entry(102, CT + 9)])
    found = await listed(site, fetch, ALBUM)
    assert (len(found.sightings), found.complete_since) == (2, None)


async def test_articles_of_others_and_broken_entries_are_left_out(
    site: WeChat, fetch: Fetch
) -> None:
    broken = [{}, {"url": ""}, {"url": "https://example.org/s/AbCdEfGhIj?__biz=x"}, {"url": 7}]
    good = album_entry(101, CT)
    site.pages[album_path()] = album_json([album_entry(9, CT, biz=OTHER), *broken, good])  # type: ignore[list-item]
    found = await listed(site, fetch, ALBUM)
    assert all(s.post.url.startswith(site.url) for s in found.sightings)
    assert f"{BIZ}/101/1" in [s.post.native_id for s in found.sightings]
    assert f"{OTHER}/9/1" not in [s.post.native_id for s in found.sightings]


async def test_a_history_has_every_article_of_a_push(site: WeChat, fetch: Fetch) -> None:
    site.pages[history_path(0)] = history_json([(103, CT + 9, 3)], next_offset=10)
    site.pages[history_path(10)] = history_json([(102, CT, 1)])
    found = await listed(site, fetch, HISTORY)
    ids = [s.post.native_id.removeprefix(f"{BIZ}/") for s in found.sightings]
    assert ids == ["103/1", "103/2", "103/3", "102/1"]
    assert found.complete_since == CT * SECOND


async def test_a_list_without_an_end_is_left(site: WeChat, fetch: Fetch) -> None:
    for n in range(2 * MOST_PAGES):
        page = history_json([(900 - n, CT - n, 1)], next_offset=10 * n + 10)
        site.pages[history_path(10 * n)] = page
    found = await listed(site, fetch, HISTORY)
    assert (len(found.sightings), len(site.asked)) == (MOST_PAGES, MOST_PAGES)
    site.pages[history_path(10)] = history_json([(900, CT, 1)], next_offset=10)  # in a ring
    site.asked.clear()
    assert len((await listed(site, fetch, HISTORY)).sightings) == 1
    assert len(site.asked) == 2


async def test_a_list_that_breaks_off_keeps_what_was_read(site: WeChat, fetch: Fetch) -> None:
    site.pages[history_path(0)] = history_json([(103, CT, 1)], next_offset=10)
    site.pages[history_path(10)] = wechat_notice("环境异常")
    found = await listed(site, fetch, HISTORY)
    assert (len(found.sightings), found.observation.signal) == (1, ALIVE)
    assert found.complete_since == (CT + 1) * SECOND


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('{"ret":-3,"errmsg":"no session"}', Fault.LOGIN_WALL),
        ('{"ret":-6,"errmsg":"unknown error"}', Fault.RATE_LIMITED),
        ('{"base_resp":{"ret":-1}}', Fault.UNREADABLE),
        ('{"ret":0}', Fault.UNREADABLE),
        ('{"ret":0,"general_msg_list":"{"}', Fault.UNREADABLE),
        ('{"ret":0,"general_msg_list":"{\\"list\\":[]}"}', Fault.EMPTY),
        ('{"ret":0,"general_msg_', Fault.UNREADABLE),
        ("[]", Fault.UNREADABLE),
        (wechat_notice("请在微信客户端打开链接"), Fault.LOGIN_WALL),
        (wechat_notice("环境异常"), Fault.CAPTCHA),
        (wechat_notice("此内容因违规无法查看"), Fault.UNREADABLE),  # a list is no article
        (article_page(), Fault.UNREADABLE),
    ],
)
async def test_a_failed_list_loses_nothing(
    site: WeChat, fetch: Fetch, page: str, fault: Fault
) -> None:
    site.pages[history_path(0)] = page
    found = await listed(site, fetch, HISTORY, "before")
    assert (found.observation.signal.kind, found.observation.signal.fault) == (Kind.ERROR, fault)
    assert (found.sightings, found.complete_since, found.cursor) == ((), None, "before")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("此帐号已被屏蔽, 内容无法查看", Cause.PLATFORM),
        ("此帐号已自主注销，内容无法查看", Cause.AUTHOR),
        ("此帐号被投诉且经审核涉嫌侵权。此帐号已注销，内容无法查看。", Cause.LEGAL),
        ("该公众号已迁移", Cause.MOVED),
    ],
)
async def test_a_lost_account_has_a_cause_of_its_own(
    site: WeChat, fetch: Fetch, words: str, cause: Cause
) -> None:
    """Of an article the judge makes it "the account"; of the account that would say nothing."""
    site.pages[history_path(0)] = wechat_notice(words)
    found = (await listed(site, fetch, HISTORY)).observation
    assert (set(found.signal.causes), found.signal.account_level) == ({cause}, True)
    assert found.signal.kind is (Kind.MOVED if cause is Cause.MOVED else Kind.GONE)
