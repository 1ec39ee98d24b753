"""The WeChat source: what an answer proves of an article or a list, and what it must not."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.needs import needs_shared
from tests.sources.pages import CHINESE, Prepared, answer, name, small, wechat_notice
from tests.sources.wechat_pages import (
    BIZ,
    CT,
    LONG,
    MID,
    OTHER,
    SHORT,
    SN,
    WeChat,
    article_page,
    drawn_page,
    wechat,
)
from vanished.clock import SystemClock
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Cause,
    Count,
    Fault,
    Kind,
    Look,
    Post,
    Signal,
    Strength,
    Via,
)
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Exchange, Fetch
from vanished.net.politeness import Politeness
from vanished.sources import Source
from vanished.sources.notice import load_pack
from vanished.sources.wechat import KEYS, WeChatSource

REAL = "https://mp.weixin.qq.com"
IDENT = f"{BIZ}/{MID}/2"
ALBUM = f"/mp/appmsgalbum?action=getalbum&__biz={BIZ.replace('=', '%3D')}&album_id=1700000001"
HISTORY = f"/mp/profile_ext?action=home&__biz={BIZ.replace('=', '%3D')}"

# The notices of WeChatscope's records, by the class that the notes give them.
RECORDED = {
    "该内容已被发布者删除": ("deleted-by-author", Cause.AUTHOR),
    "此内容因违规无法查看": ("violation", Cause.PLATFORM),
    "此帐号已被屏蔽,": ("account-blocked", Cause.PLATFORM),
    "此内容被投诉且经审核涉嫌侵权，无法查看。": ("infringement", Cause.LEGAL),
    "该公众号已迁移": ("account-migrated", Cause.MOVED),
    "此内容被多人投诉，相关的内容无法进行查看。": ("complaints", Cause.PLATFORM),
    "The content has been deleted by the author.": ("deleted-by-author", Cause.AUTHOR),
    "Unable to view this content because it violates regulations": ("violation", Cause.PLATFORM),
}

# File names of the saved block pages, by what they say between the number and the ending.
REASONS = {
    "interstitial warning": "link-warning",
    "dx.com": "link-warning",
    "phishing": "link-phishing",
    "reward sharing": "link-reward-sharing",
    "scam": "link-scam",
    "copyright": "link-copyright",
    "rumor": "link-rumour",
    "illegal, non-compliance": "link-illegal",
    "porn": "link-porn",
    "obscene": "link-porn",
    "lucky money": "link-lucky-money",
    "nonsecure": "link-nonsecure",
    "malware": "link-malware",
}


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10)
    async with Door(settings, SystemClock(), Politeness(1000.0)) as door:
        yield door.fetcher()


@pytest.fixture
async def site() -> AsyncIterator[WeChat]:
    async with wechat() as running:
        yield running


def source(site: WeChat | None = None) -> WeChatSource:
    return WeChatSource(name, {"server": site.url} if site else {})


def post(site: WeChat, path: str = LONG, ident: str = IDENT, version: str = "") -> Post:
    return Post(name("wechat", ident), "acc", "wechat", ident, site.url + path, version=version)


async def look(site: WeChat, fetch: Fetch, page: str, path: str = LONG, ident: str = IDENT) -> Look:
    """One look at an article in whose place the server has `page`."""
    site.pages[path] = page
    (found,) = await source(site).look([post(site, path, ident)], fetch)
    return found


async def signal(site: WeChat, fetch: Fetch, page: str) -> Signal:
    return (await look(site, fetch, page)).observation.signal


def rule(said: Signal) -> str:
    return said.rule.removeprefix("wechat/").partition("@")[0]


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "ident", "path"),
    [
        (REAL + LONG, f"article:{IDENT}", LONG),
        (f"{REAL}{LONG}&scene=21&key=secret&uin=7#rd", f"article:{IDENT}", LONG),
        (f"http://mp.weixin.qq.com{LONG.replace('&', '&amp;')}", f"article:{IDENT}", LONG),
        (f"{REAL}{LONG}&chksm={SN}", f"article:{IDENT}", f"{LONG}&chksm={SN}"),
        (f"{REAL}{SHORT}?scene=1", f"article:{SHORT[1:]}", SHORT),
        (f"{REAL}{ALBUM}&scene=173&pass_ticket=x", f"album:{BIZ}/1700000001", ALBUM),
        (f"{REAL}{HISTORY}&uin=7&key=secret", BIZ, HISTORY),
        (BIZ, BIZ, HISTORY),
    ],
)
def test_an_address_is_kept_without_its_readers_session(given: str, ident: str, path: str) -> None:
    """A copied address holds the copier's key and number; we would publish them."""
    account = source().account(given)
    assert (account.native_id, account.url) == (ident, REAL + path)
    assert account.key == name("wechat", ident)
    again = source().account(account.url)
    assert (again.native_id, again.url) == (ident, REAL + path)


@pytest.mark.parametrize(
    "given",
    [
        "https://example.org/s/AbCdEfGhIjKlMn",
        f"https://mp.weixin.qq.com.example.org{LONG}",
        f"{REAL}/",
        f"{REAL}/s?mid=1&idx=1",
        f"{REAL}/mp/appmsgalbum?album_id=1",
        f"{REAL}/mp/appmsgalbum?__biz={BIZ}&album_id=x",
        f"{REAL}/mp/profile_ext?action=home",
        f"{REAL}/cgi-bin/home?__biz={BIZ}&mid=1&idx=1",
        "nobody",
        "",
    ],
)
def test_another_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        source().account(given)


@pytest.mark.parametrize("server", ["mp.weixin.qq.com", "ftp://a.example", "https://a.example/x"])
def test_a_server_that_is_none_is_refused(server: str) -> None:
    with pytest.raises(ConfigError):
        WeChatSource(name, {"server": server})


def test_the_keys_of_its_table_are_known() -> None:
    found: Source = source()
    assert (found.platform, found.batch, list(KEYS)) == ("wechat", 1, ["server"])


# -- an article that is there ------------------------------------------------------------------


async def test_a_living_article_is_alive_in_its_wording(site: WeChat, fetch: Fetch) -> None:
    found = await look(site, fetch, article_page(reads="100001", likes="7"))
    assert found.observation.signal is ALIVE
    assert found.version is not None
    assert (found.version.title, found.version.text) == ("第十二道刻痕", CHINESE)
    assert found.observation.version == found.version.hash
    counts = found.observation.counts
    assert (counts.views, counts.likes) == (Count(100_001), Count(7, 7))
    assert "zh-CN" in site.headers[-1]["Accept-Language"]

    known = post(site, version=found.version.hash)
    (again,) = await source(site).look([known], fetch)
    assert (again.version, again.observation.version) == (None, found.version.hash)
    edited = await look(site, fetch, article_page(content="<p>另一个说法</p>"))
    assert edited.observation.signal is ALIVE
    assert edited.observation.version != found.version.hash


@pytest.mark.parametrize("words", [*RECORDED, "环境异常", "参数错误", "已停止访问该网页"])
async def test_an_article_about_a_notice_is_alive(site: WeChat, fetch: Fetch, words: str) -> None:
    """Whoever writes of removals quotes the notice, often with the very block of the page."""
    block = wechat_notice(words).partition("<body>")[2].partition("<script>")[0]
    for page in (
        article_page(words, f"<p>{words}</p>"),
        article_page(content=f"{block}<p>{words}</p>"),
        article_page(content="<img data-src='https://i.example/1.png'>", more=block),
    ):
        assert await signal(site, fetch, page) is ALIVE


async def test_words_in_a_script_are_alive_unless_the_page_says_else(
    site: WeChat, fetch: Fetch
) -> None:
    page = drawn_page("    content_noencode: '河水涨了',")
    assert await signal(site, fetch, page) is ALIVE
    notice = "<div class='weui-msg__title warn'>此内容因违规无法查看</div>"
    said = await signal(site, fetch, page.replace("</script>", f"</script>{notice}"))
    assert rule(said) == "violation"


# -- notices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("build", ["weui", "old", "title"])
async def test_each_recorded_notice_falls_in_its_class(
    site: WeChat, fetch: Fetch, build: str
) -> None:
    for words, (ident, cause) in RECORDED.items():
        said = await signal(site, fetch, wechat_notice(words, build=build))
        assert (rule(said), set(said.causes), said.strength) == (ident, {cause}, Strength.STRONG)
        assert said.kind is (Kind.MOVED if cause is Cause.MOVED else Kind.GONE)
        assert (said.status, said.account_level) == (200, ident.startswith("account-"))


async def test_all_records_of_wechatscope_through_the_whole_path(
    site: WeChat, fetch: Fetch
) -> None:
    """12,102 records: each notice, in the place where WeChat puts it, asked over the wire."""
    path = needs_shared("wechatscope-ceninfo") / "ceninfo-2018-2019.csv"
    with path.open(encoding="utf-8-sig", newline="") as rows:
        records = Counter(row["censored_msg"] for row in csv.DictReader(rows))
    right = 0
    for words, number in records.items():
        said = await signal(site, fetch, wechat_notice(words))
        ident, cause = RECORDED[words]
        right += number if (rule(said), set(said.causes)) == (ident, {cause}) else 0
    assert right == sum(records.values()) == 12_102


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
async def test_every_wording_is_read_in_every_place_where_it_may_stand(
    site: WeChat, fetch: Fetch, lang: str
) -> None:
    """A rule with a place that no page has would never fire, and nobody would notice."""
    tried = 0
    for notice in load_pack("wechat").notices:
        for wording in notice.wordings:
            if wording.lang != lang:
                continue
            for place in sorted(wording.where):
                if not place.startswith("css:"):
                    continue
                page = small("", in_place(place.removeprefix("css:"), wording.text))
                said = await signal(site, fetch, page)
                assert said.rule == notice.rule, (wording.text, place)
                tried += 1
    assert tried >= {"zh-Hans": 100, "en": 15}[lang]


def in_place(selector: str, words: str) -> str:
    """Elements that the selector (`.a .b`, `#c`) finds, with `words` in the innermost."""
    page = words
    for part in reversed(selector.split()):
        kind = "id" if part.startswith("#") else "class"
        page = f"<div {kind}='{part[1:]}'>{page}</div>"
    return page


@pytest.mark.parametrize(
    ("words", "causes"),
    [
        ("该内容已被删除", {Cause.AUTHOR, Cause.PLATFORM}),
        ("原账号迁移时未将文章素材同步至新账号", {Cause.AUTHOR, Cause.MOVED}),
    ],
)
async def test_what_a_notice_leaves_open_stays_open(
    site: WeChat, fetch: Fetch, words: str, causes: set[Cause]
) -> None:
    said = await signal(site, fetch, wechat_notice(words))
    assert (said.kind, set(said.causes)) == (Kind.GONE, causes)


# -- failed looks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (wechat_notice("环境异常"), Fault.CAPTCHA),
        (wechat_notice("環境異常"), Fault.CAPTCHA),
        (wechat_notice("访问过于频繁，请用微信扫描二维码进行访问"), Fault.RATE_LIMITED),
        (wechat_notice("参数错误"), Fault.UNREADABLE),
        (wechat_notice("链接已过期"), Fault.UNREADABLE),
        (wechat_notice("请在微信客户端打开链接"), Fault.LOGIN_WALL),
        (wechat_notice("一个谁也没见过的说法"), Fault.UNREADABLE),
        (small("", "<p>该内容已被发布者删除</p>"), Fault.UNREADABLE),  # not in its place
        (small("该内容已被发布者删除", "<p>?</p>"), Fault.UNREADABLE),
        (article_page(content=""), Fault.UNREADABLE),
        (article_page()[:900], Fault.TRUNCATED),
        (article_page().partition("<p>")[0], Fault.UNREADABLE),
        (article_page(biz=OTHER), Fault.UNREADABLE),  # another article answers
        (article_page(idx="1"), Fault.UNREADABLE),
        ("<html><body><script>var a = 1;</script></body></html>", Fault.UNREADABLE),
        ("{}", Fault.UNREADABLE),
        ("", Fault.EMPTY),
        ("OK", Fault.UNREADABLE),
        ("<div>" * 60_000, Fault.UNREADABLE),
    ],
)
async def test_a_failed_look_is_never_a_removal(
    site: WeChat, fetch: Fetch, page: str, fault: Fault
) -> None:
    found = await look(site, fetch, page)
    assert (found.observation.signal.kind, found.observation.signal.fault) == (Kind.ERROR, fault)
    assert (found.version, found.observation.version) == (None, "")


async def test_a_cut_article_is_never_gone(site: WeChat, fetch: Fetch) -> None:
    page = article_page()
    for length in range(50, len(page), 97):
        said = await signal(site, fetch, page[:length])
        assert said is ALIVE or said.kind is Kind.ERROR


@pytest.mark.parametrize(
    "path", ["/mp/wappoc_appmsgcaptcha?poc_token=1", "/secitptpage/verify.html"]
)
async def test_a_check_is_known_by_where_it_leads(site: WeChat, fetch: Fetch, path: str) -> None:
    """The check for robots is drawn by script: its page says nothing else."""
    site.redirect(LONG, path, "<html><body><div id='app'></div></body></html>")
    (found,) = await source(site).look([post(site)], fetch)
    assert found.observation.signal.fault is Fault.CAPTCHA


@pytest.mark.parametrize(
    ("status", "kind", "fault"),
    [(403, Kind.ERROR, Fault.FORBIDDEN), (404, Kind.GONE, None), (500, Kind.ERROR, Fault.SERVER)],
)
async def test_a_bare_status_says_no_more_than_it_does(
    status: int, kind: Kind, fault: Fault | None
) -> None:
    url = REAL + LONG
    asked = Prepared(
        {url: answer("", status=status, url=url, fault=fault if status > 499 else None)}
    )
    there = Post(name("wechat", IDENT), "acc", "wechat", IDENT, url)
    (found,) = await source().look([there], _Any(asked))
    said = found.observation.signal
    assert (said.kind, said.fault) == (kind, fault)
    if kind is Kind.GONE:
        assert (set(said.causes), said.strength) == ({Cause.UNKNOWN}, Strength.WEAK)


class _Any:
    """`Prepared` for a source that sends headers."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    async def request(self, method: str, url: str, **_: object) -> Exchange:
        return await self._prepared.request(method, url)


# -- shared links ------------------------------------------------------------------------------


async def test_39_saved_block_pages_name_their_reason(site: WeChat, fetch: Fetch) -> None:
    """English and Chinese; for three the Chinese sentence is empty, and a number says it alone."""
    folder = needs_shared("citizenlab-chat-censorship") / "wechat/one_app_two_systems"
    right = 0
    for path in sorted((folder / "url_blocked_messages_html").glob("*.htm")):
        reason = REASONS[path.stem.rpartition(" - ")[2].removeprefix("interstitial-")]
        said = await signal(site, fetch, path.read_text("utf-8"))
        assert rule(said) == reason, path.name
        expected = {Cause.LEGAL} if reason == "link-copyright" else {Cause.PLATFORM}
        if reason == "link-warning":
            assert (said.kind, set(said.causes)) == (Kind.ERROR, set())
        else:
            assert (said.kind, set(said.causes), said.account_level) == (Kind.GONE, expected, False)
            assert said.words
        right += 1
    assert right == 39


async def test_a_block_without_a_known_reason_is_a_block(site: WeChat, fetch: Fetch) -> None:
    page = small("提示", "<div class='page_msg'><h1 class='title'>已停止访问该网页</h1>{}</div>")
    said = await signal(site, fetch, page.replace("{}", ""))
    assert (rule(said), set(said.causes)) == ("link-stopped", {Cause.PLATFORM})
    new = "<a href='/redirect/help?block_type=77'>?</a>"
    assert rule(await signal(site, fetch, page.replace("{}", new))) == "link-stopped"


# -- one article as an account -----------------------------------------------------------------


async def test_an_article_is_found_and_then_followed(site: WeChat, fetch: Fetch) -> None:
    for path, ident in ((LONG, IDENT), (SHORT, SHORT[1:])):
        site.pages[path] = article_page(share=f"{REAL}/s?__biz={OTHER}&amp;mid=7&amp;idx=1")
        account = source(site).account(REAL + path)
        found = await source(site).discover(account, "", fetch)
        (sighting,) = found.sightings
        assert (sighting.post.native_id, sighting.post.published_at) == (ident, CT * SECOND)
        assert (sighting.post.key, sighting.post.repeats) == (name("wechat", ident), f"{OTHER}/7/1")
        assert (sighting.post.url, account.url) == (site.url + path, site.url + path)
        assert sighting.observation is not None
        assert sighting.observation.via is Via.DIRECT
        assert (found.sole, found.observation.signal) == (True, ALIVE)
        site.pages[path] = wechat_notice("此帐号已被屏蔽, 内容无法查看")
        again = await source(site).discover(account, found.cursor, fetch)
        (lost,) = again.sightings
        assert lost.observation is not None
        assert lost.observation.signal.account_level
        # The loss is the article's: two losses at once would explain each other away.
        assert (again.observation.signal.kind, again.cursor) == (Kind.ABSENT, found.cursor)
