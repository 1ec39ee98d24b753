"""Notice packs: a notice read wrongly puts a loss on the wrong shoulders, or invents one."""

from __future__ import annotations

import csv
import re
import tarfile
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_shared
from tests.sources.pages import CHINESE, STORY, article, small, wechat_article, wechat_notice
from vanished.errors import ConfigError
from vanished.model import Cause, Fault, Kind, Signal, Strength
from vanished.sources.html import Page
from vanished.sources.notice import load_pack, normal, pack_names, parse_pack

WECHAT = load_pack("wechat")
WEB = load_pack("web")
HTTP = load_pack("http")

# The classes of the peer's records (see its SOURCE.md), in both languages that it holds.
CLASSES = {
    "该内容已被发布者删除": ("deleted-by-author", Cause.AUTHOR),
    "The content has been deleted by the author.": ("deleted-by-author", Cause.AUTHOR),
    "此内容因违规无法查看": ("violation", Cause.PLATFORM),
    "Unable to view this content because it violates regulations": ("violation", Cause.PLATFORM),
    "此帐号已被屏蔽,": ("account-blocked", Cause.PLATFORM),
    "此内容被投诉且经审核涉嫌侵权，无法查看。": ("infringement", Cause.LEGAL),
    "该公众号已迁移": ("account-migrated", Cause.MOVED),
    "此内容被多人投诉，相关的内容无法进行查看。": ("complaints", Cause.PLATFORM),
}
# Whole notices as scrapers saw them, with what they leave open.
SEEN = {
    "此帐号已被屏蔽, 内容无法查看": ("account-blocked", Cause.PLATFORM),
    "此帐号已自主注销，内容无法查看": ("account-cancelled", Cause.AUTHOR),
    "此帐号被投诉且经审核涉嫌侵权。此帐号已注销，内容无法查看。": (
        "account-infringement",
        Cause.LEGAL,
    ),
    "此帐号处于帐号迁移流程中": ("account-migrated", Cause.MOVED),
    "此内容发送失败无法查看": ("refused", Cause.PLATFORM),
    "由用户投诉并经平台审核，涉嫌过度营销、骚扰用户": ("marketing", Cause.PLATFORM),
    "根据作者隐私设置，无法查看该内容": ("privacy", Cause.AUTHOR),
    "此文章被第三方评估为不实信息": ("rumour", Cause.PLATFORM),
}
ERRORS = {
    "环境异常": Fault.CAPTCHA,
    "当前环境异常，完成验证后即可继续访问。": Fault.CAPTCHA,
    "去验证": Fault.CAPTCHA,
    "访问过于频繁，请用微信扫描二维码进行访问": Fault.RATE_LIMITED,
    "操作频繁，请稍候再试": Fault.RATE_LIMITED,
    "参数错误": Fault.UNREADABLE,
    "链接已过期": Fault.UNREADABLE,
    "系统出错": Fault.UNREADABLE,
}


def shown(pack_page: str, **addresses: str) -> Page:
    return Page(pack_page.encode(), **addresses)


def rule(signal: Signal | None) -> str:
    return "" if signal is None else signal.rule.partition("@")[0]


# -- WeChat ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*CLASSES, *SEEN])
def test_each_wechat_notice_names_who_took_the_article(words: str) -> None:
    ident, cause = (CLASSES | SEEN)[words]
    signal = WECHAT.match_text(words)
    assert signal is not None
    assert rule(signal) == f"wechat/{ident}"
    assert signal.causes == {cause}
    assert signal.kind is (Kind.MOVED if cause is Cause.MOVED else Kind.GONE)
    assert signal.strength is Strength.STRONG
    assert signal.account_level is ident.startswith("account-")
    assert signal.words == words


@pytest.mark.parametrize("words", ERRORS)
def test_a_wechat_check_or_fault_is_a_failed_look(words: str) -> None:
    signal = WECHAT.match_text(words)
    assert signal is not None
    assert (signal.kind, signal.fault, signal.causes) == (Kind.ERROR, ERRORS[words], frozenset())


@pytest.mark.parametrize("build", ["weui", "old", "title"])
@pytest.mark.parametrize("words", list(CLASSES))
def test_a_wechat_notice_is_found_in_each_build_of_the_page(words: str, build: str) -> None:
    assert rule(WECHAT.match_html(shown(wechat_notice(words, build=build)))) == (
        f"wechat/{CLASSES[words][0]}"
    )


@pytest.mark.parametrize("words", [*CLASSES, *SEEN, *ERRORS])
def test_an_article_that_quotes_a_notice_is_alive(words: str) -> None:
    """The commonest false loss: people write about removals, and quote what they saw."""
    pages = [
        wechat_article(words, f"<p>{CHINESE}</p><p>{words}</p>"),
        wechat_article("On removals", f"<p>{words}</p>"),
        wechat_article(words, "<img data-src='https://img.example/a.png'>"),
        # The very block, pasted into the text of an article.
        wechat_article("On removals", f"<div class='weui-msg__title warn'>{words}</div>"),
        article(words, f"{STORY} {words}"),
        article("On removals", words + STORY),
        small("On removals", f"<h2>{words}</h2><p>{words}</p>"),
    ]
    for page in pages:
        assert WECHAT.match_html(shown(page)) is None
        assert WEB.match_html(shown(page)) is None


@pytest.mark.parametrize(
    "words",
    [
        "该内容",
        "内容因违规无法查看的故事",
        "关于该内容已被发布者删除",
        "a 该内容已被发布者删除 b",
        "",
        "。",
    ],
)
def test_other_words_are_no_notice(words: str) -> None:
    assert WECHAT.match_text(words) is None
    assert WECHAT.match_html(shown(wechat_notice(words))) is None


def test_a_page_with_a_check_and_a_notice_is_a_failed_look() -> None:
    page = small(
        "",
        "<div class='weui-msg__title'>环境异常</div>"
        "<p class='weui-msg__title'>此内容因违规无法查看</p>",
    )
    signal = WECHAT.match_html(shown(page))
    assert signal is not None
    assert signal.fault is Fault.CAPTCHA


def test_the_check_page_is_known_by_its_address() -> None:
    page = shown(
        small("", "<p>?</p>"),
        asked="https://mp.weixin.qq.com/s/abc",
        answered="https://mp.weixin.qq.com/mp/wappoc_appmsgcaptcha?poc_token=1",
    )
    signal = WECHAT.match_html(page)
    assert signal is not None
    assert signal.fault is Fault.CAPTCHA


def test_all_notices_of_the_peers_records_fall_in_their_class() -> None:
    """A notice in no class would be lost at import, one in the wrong class would accuse wrongly."""
    path = needs_shared("wechatscope-ceninfo") / "ceninfo-2018-2019.csv"
    plain: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    with path.open(encoding="utf-8-sig", newline="") as rows:
        for row in csv.DictReader(rows):
            words = row["censored_msg"]
            plain[CLASSES[words][0]] += 1
            ours[rule(WECHAT.match_text(words)).removeprefix("wechat/")] += 1
    assert sum(plain.values()) > 12_000
    assert ours == plain


def test_saved_real_articles_are_alive() -> None:
    """90 articles that WeChat served before they were lost: none may read as a notice."""
    path = needs_shared("wechatscope-html-2020") / "pages-text-blanked.tar.xz"
    count = 0
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or not member.name.endswith(".html"):
                continue
            page = Page(file.read(), content=WECHAT.content)
            assert WECHAT.match_html(page) is None, member.name
            assert WEB.match_html(page) is None, member.name
            assert any(page.shows(place) for place in WECHAT.content), member.name
            assert not page.is_blank, member.name
            count += 1
    assert count == 90


# -- HTTP and the web --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "causes", "strength"),
    [
        (404, {Cause.UNKNOWN}, Strength.WEAK),
        (410, {Cause.AUTHOR, Cause.PLATFORM}, Strength.WEAK),
        (451, {Cause.LEGAL}, Strength.STRONG),
    ],
)
def test_a_status_leaves_open_what_it_does_not_say(
    status: int, causes: set[Cause], strength: Strength
) -> None:
    signal = HTTP.match_status(status)
    assert signal is not None
    assert (signal.kind, set(signal.causes), signal.strength) == (Kind.GONE, causes, strength)
    assert signal.status == status


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 418, 429, 500, 503])
def test_no_other_status_says_gone(status: int) -> None:
    assert HTTP.match_status(status) is None


@pytest.mark.parametrize(
    "title",
    ["404 Not Found", "Page not found", "PAGE NOT FOUND!", "Page not found | Example News",
     "Example News - 404", "页面不存在", "页面不存在_某某网", "找不到網頁", "Страница не найдена"],
)  # fmt: skip
def test_a_soft_not_found_is_weak_and_names_nobody(title: str) -> None:
    signal = WEB.match_html(shown(small(title, "<p>Sorry. <a href='/'>Go home</a></p>")))
    assert signal is not None
    assert (signal.kind, set(signal.causes)) == (Kind.GONE, {Cause.UNKNOWN})
    assert signal.strength is Strength.WEAK


def test_a_soft_not_found_may_stand_in_an_article_element() -> None:
    page = small("News", "<article><h1>Page not found</h1><p>Nothing was found here.</p></article>")
    assert rule(WEB.match_html(shown(page))) == "web/not-found"


@pytest.mark.parametrize(
    "title", ["404 Not Found", "Page not found", "页面不存在", "Log in", "Just a moment..."]
)
def test_an_article_that_is_called_so_is_alive(title: str) -> None:
    text = CHINESE if title == "页面不存在" else STORY
    for page in (article(title, text), small(title, f"<h1>{title}</h1><div>{text}</div>")):
        assert WEB.match_html(shown(page)) is None


@pytest.mark.parametrize("answered", ["/", "/index.html", "/en/", "", "/zh-CN"])
def test_a_deep_address_that_leads_home_is_weakly_gone(answered: str) -> None:
    page = shown(
        article("Welcome"),
        asked="https://a.example/post/1",
        answered=f"https://a.example{answered}",
    )
    signal = WEB.match_html(page)
    assert rule(signal) == "web/sent-home"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("http://a.example/", "https://a.example/"),
        ("https://a.example/", "https://a.example/en/"),
        ("http://a.example/post/1", "https://www.a.example/post/1"),
        ("https://a.example/post/1", "https://a.example/post/1-the-twelfth-mark"),
        ("https://a.example/login", "https://www.a.example/login"),
    ],
)
def test_an_ordinary_redirect_is_no_loss(asked: str, answered: str) -> None:
    assert WEB.match_html(shown(article(), asked=asked, answered=answered)) is None


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (small("Just a moment...", "<div id='challenge-form'></div>"), Fault.CAPTCHA),
        (small("Example", "<form><div class='g-recaptcha'></div></form>"), Fault.CAPTCHA),
        (small("百度安全验证", ""), Fault.CAPTCHA),
        (small("Members", "<form><input type=text><input type=password></form>"), Fault.LOGIN_WALL),
        (small("Sign in - Example", "<p>Welcome back</p>"), Fault.LOGIN_WALL),
        (small("登录", "<p>.</p>"), Fault.LOGIN_WALL),
        (small("Example", "<div id='root'>Loading...</div>"), Fault.EMPTY),
        (small("Too Many Requests", "<p>wait</p>"), Fault.RATE_LIMITED),
        (small("503 Service Temporarily Unavailable", "<hr>nginx"), Fault.SERVER),
        (small("Access Denied", "<p>no</p>"), Fault.FORBIDDEN),
    ],
)
def test_a_wall_under_the_status_200_is_a_failed_look(page: str, fault: Fault) -> None:
    signal = WEB.match_html(shown(page))
    assert signal is not None
    assert (signal.kind, signal.fault) == (Kind.ERROR, fault)


@pytest.mark.parametrize(
    "more",
    [
        "<form><textarea></textarea><div class='g-recaptcha'></div></form>",
        "<footer><form><input type=password></form></footer>",
    ],
)
def test_a_short_post_with_a_form_beside_it_is_alive(more: str) -> None:
    """Else short posts on sites with a comment form would never be seen alive."""
    assert WEB.match_html(shown(small("A note", f"<p>The river rose again.</p>{more}"))) is None


# -- comparing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("此帐号已被屏蔽, 内容无法查看", "此帐号已被屏蔽，内容无法查看。"),
        ("Page  not\nFound!", "page not found"),
        ("４０４", "404"),
        ("该内容\u200b已被发布者删除", "该内容已被发布者删除"),
        ("  该内容已被发布者删除\u3000", "该内容已被发布者删除"),
        ("This page isn't available.", "this page isn't available"),
    ],
)
def test_wordings_are_compared_without_what_the_eye_does_not_see(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize("name", pack_names())
def test_no_loss_rests_on_a_wording_that_nobody_saw(name: str) -> None:
    """A translated or remembered sentence proves nothing, however likely it is."""
    for notice in load_pack(name).notices:
        if notice.kind is not Kind.ERROR:
            for wording in notice.wordings:
                assert not re.search(r"\bnot seen\b|memory|\bguess", wording.seen), wording.text


def test_simplified_and_traditional_are_wordings_of_their_own() -> None:
    assert normal("页面不存在") != normal("頁面不存在")


@given(st.text(max_size=60))
def test_normal_is_a_fixed_point(text: str) -> None:
    """Else a wording could fail to meet itself."""
    assert normal(normal(text)) == normal(text)


@given(st.sampled_from([*CLASSES, *SEEN]), st.text(alphabet=" 。.!！，,\n", max_size=4))
def test_trailing_signs_change_no_notice(words: str, tail: str) -> None:
    assert rule(WECHAT.match_text(words + tail)) == rule(WECHAT.match_text(words))


@given(st.text(min_size=1, max_size=300))
def test_text_of_any_kind_is_matched_or_not_but_never_breaks(text: str) -> None:
    for name in pack_names():
        signal = load_pack(name).match_text(text)
        assert signal is None or signal.rule.startswith(f"{name}/")
    WEB.match_html(shown(small(text.replace("<", ""), text)))


# -- packs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pack_names())
def test_every_wording_of_every_pack_fires_its_own_rule(name: str) -> None:
    """A wording that another rule takes, or that never fires, is a notice that nobody reads."""
    pack = load_pack(name)
    assert pack.version <= date.today()  # noqa: DTZ011 - packs carry plain dates
    for notice in pack.notices:
        for wording in notice.wordings:
            assert wording.seen
            for place in wording.where:
                if place == "text":
                    signal = pack.match_text(wording.text)
                elif place.startswith("field:"):
                    signal = pack.match_field(place.removeprefix("field:"), wording.text)
                else:
                    continue
                assert signal is not None
                assert signal.rule == notice.rule
        for status in notice.statuses:
            found = pack.match_status(status)
            assert found is not None
            assert found.rule == notice.rule


def test_the_packs_of_the_web_are_there() -> None:
    assert {"http", "web", "wechat"} <= set(pack_names())


def test_a_pack_that_is_not_there_is_said_so() -> None:
    with pytest.raises(
        ConfigError, match=r"No notice pack is called 'wechta'; there are: .*wechat"
    ):
        load_pack("wechta")


GOOD = """\
platform = "toy"
version = 2026-01-02
where = ["field:code"]

[[notice]]
id = "deleted"
kind = "gone"
causes = ["author"]
strength = "strong"
confidence = "high"
rule_version = "1"
meaning = "The author deleted it."

[[notice.wording]]
text = "DELETED"
lang = "en"
seen = "made up here"
"""


def test_a_good_pack_reads() -> None:
    pack = parse_pack(GOOD, "toy")
    signal = pack.match_field("code", "deleted")
    assert signal is not None
    assert signal.rule == "toy/deleted@1"
    assert pack.match_field("other", "deleted") is None
    assert pack.match_text("deleted") is None
    assert not pack.reads_pages


NOTICE = "notices/toy.toml, notice 'deleted': "


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("platform", "platfrom", "notices/toy.toml: the key 'platform' is missing"),
        ("2026-01-02", "'soon'", "notices/toy.toml: 'version' has to be a non-empty date"),
        ("[[notice]]", "[notice]", "notices/toy.toml: 'notice' has to be a non-empty list"),
        ("= [", "[", "notices/toy.toml is not TOML"),
        ('id = "deleted"', 'id = "Deleted!"', "notices/toy.toml: the id 'Deleted!' has to be"),
        ('"gone"', '"removed"', NOTICE + "'kind' is 'removed'; it can be: gone, moved, error"),
        ('["author"]', '["writer"]', NOTICE + "'writer' is no cause; author, platform"),
        ('["author"]', "[]", NOTICE + "'causes' has to be a list of words"),
        ('"gone"', '"error"', NOTICE + "an error has no causes"),
        ('causes = ["author"]', "", NOTICE + "the key 'causes' is missing"),
        ('"strong"', '"sure"', NOTICE + "'strength' is 'sure'"),
        ("confidence", "konfidence", NOTICE + "the key 'confidence' is missing"),
        ('rule_version = "1"', 'rule_version = ""', NOTICE + "'rule_version' has to be a non"),
        ('meaning = "The', 'odd = 1\nmeaning = "The', NOTICE + "the key 'odd' is not known"),
        ('"DELETED"', '" 。"', NOTICE + "the wording ' 。' has to be 1 to 200 characters long"),
        ('"DELETED"', f'"{"x" * 201}"', NOTICE + "the wording"),
        ('lang = "en"', 'lang = "en"\nlanguage = 1', NOTICE + "the key 'language' is not known"),
        ('seen = "made up here"', "", NOTICE + "the key 'seen' is missing"),
        ('lang = "en"', 'lang = "en"\nmatch = "fuzzy"', NOTICE + "'match' is 'fuzzy'"),
        ('lang = "en"', 'lang = "en"\nwhere = ["body"]', NOTICE + "'body' is no place"),
        ('lang = "en"', 'lang = "en"\nwhere = ["css:p["]', NOTICE + "'p\\[' is no CSS selector"),
        ('lang = "en"', 'lang = "en"\nwhere = []', NOTICE + "'where' has to be a list of words"),
        ('meaning = "The', 'unless = ["body"]\nmeaning = "The', NOTICE + "'body' in unless"),
        ('meaning = "The', 'account_level = 1\nmeaning = "The', NOTICE + "'account_level' has to"),
    ],
)  # fmt: skip
def test_a_wrong_pack_is_refused_with_its_place(old: str, new: str, said: str) -> None:
    """A rule that is silently dropped is a kind of removal that nobody notices any more."""
    assert old in GOOD
    with pytest.raises(ConfigError, match="^" + said.replace("(", "\\(")):
        parse_pack(GOOD.replace(old, new, 1), "toy")


def test_two_rules_may_share_neither_id_nor_wording_nor_status() -> None:
    start = GOOD.index("[[notice]]")
    with pytest.raises(ConfigError, match="two rules of this id"):
        parse_pack(GOOD + GOOD[start:], "toy")
    with pytest.raises(ConfigError, match="'DELETED' at field:code also means 'deleted'"):
        parse_pack(GOOD + GOOD[start:].replace('"deleted"', '"again"'), "toy")
    status = '\n[[notice.status]]\ncode = 410\nseen = "here"\n'
    other = GOOD[start:].replace('"deleted"', '"again"').replace("DELETED", "AGAIN")
    with pytest.raises(ConfigError, match="status 410 also means 'deleted'"):
        parse_pack(GOOD + status + other + status, "toy")


@pytest.mark.parametrize("code", [200, 302, 503])
def test_a_status_of_success_or_of_a_broken_server_can_be_no_notice(code: int) -> None:
    status = f'\n[[notice.status]]\ncode = {code}\nseen = "here"\n'
    with pytest.raises(ConfigError, match=f"{code} is no HTTP status of 400 to 499"):
        parse_pack(GOOD + status, "toy")


def test_a_rule_that_can_never_fire_is_refused() -> None:
    with pytest.raises(ConfigError, match="it can never fire"):
        parse_pack(GOOD[: GOOD.index("[[notice.wording]]")], "toy")
