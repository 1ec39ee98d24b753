"""The page source: what one answer may prove, and what it must not."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.pages import (
    CHINESE,
    STORY,
    Prepared,
    answer,
    article,
    name,
    small,
    wechat_article,
    wechat_notice,
)
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    Cause,
    Fault,
    Kind,
    Look,
    Post,
    Signal,
    Strength,
    Version,
    Via,
    version_hash,
)
from vanished.net.exchange import Exchange
from vanished.sources import Settings, Source
from vanished.sources.html import Page, is_cut, utf8
from vanished.sources.page import REMEMBERED, PageReader, PageSource, web_address

URL = "https://news.example/post/1"
GONE_KINDS = (Kind.GONE, Kind.MOVED)


def post(url: str = URL, version: str = "") -> Post:
    return Post(name("page", url), "acc", "page", url, url, version=version)


async def look(
    exchange: Exchange, url: str = URL, version: str = "", settings: Settings | None = None
) -> Look:
    source: Source = PageSource(name, settings or {})
    looks = await source.look([post(url, version)], Prepared({url: exchange}))
    assert len(looks) == 1
    return looks[0]


async def signal(exchange: Exchange, url: str = URL) -> Signal:
    return (await look(exchange, url)).observation.signal


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("https://News.Example/post/1", URL),
        (" https://news.example:443/post/1#top\n", URL),
        ("http://news.example", "http://news.example/"),
        ("http://news.example:80?a=1", "http://news.example/?a=1"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://例え.example/日本", "https://xn--r8jz45g.example/%E6%97%A5%E6%9C%AC"),
    ],
)
def test_an_address_has_one_way_to_be_written(given_: str, meant: str) -> None:
    """Two spellings of one page would be two posts, and each loss counted twice."""
    account = PageSource(name, {}).account(given_)
    assert account.url == account.name == meant
    assert account.platform == "page"
    assert account.key == name("page", account.native_id)
    assert web_address(meant, "page") == meant


@pytest.mark.parametrize(
    "address",
    ["", "news.example/post", "ftp://news.example/", "https://", "javascript:alert(1)",
     "https://user:secret@news.example/", "http://a b/", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_in_a_sentence(address: str) -> None:
    with pytest.raises(UsageError) as error:
        PageSource(name, {}).account(address)
    assert str(error.value).endswith(".")
    assert "secret" not in str(error.value)


# -- discovery ---------------------------------------------------------------------------------


async def test_a_page_is_its_own_only_post_and_is_looked_at_at_once() -> None:
    source = PageSource(name, {})
    account = source.account(URL)
    fetch = Prepared({URL: answer(article())})
    found = await source.discover(account, "", fetch)
    assert fetch.asked == [URL]
    assert found.complete_since is None
    assert found.observation.signal is ALIVE
    assert found.observation.subject == account.key
    (sighting,) = found.sightings
    assert sighting.post.native_id == sighting.post.url == URL
    assert sighting.post.key == name("page", URL) != account.key
    assert sighting.observation is not None
    assert sighting.observation.signal is ALIVE
    assert sighting.observation.via is Via.DIRECT
    assert sighting.version is not None
    assert sighting.version.hash == sighting.observation.version
    again = await source.discover(account, found.cursor, fetch)
    assert again.sightings[0].version is None
    assert again.sightings[0].observation is not None
    assert again.sightings[0].observation.version == sighting.version.hash
    fetch.answers[URL] = answer("", status=503, fault=Fault.SERVER)
    failed = await source.discover(account, again.cursor, fetch)
    assert failed.cursor == found.cursor
    fetch.answers[URL] = answer(article(text="The river did not rise."))
    edited = await source.discover(account, failed.cursor, fetch)
    assert edited.sightings[0].version is not None


@pytest.mark.parametrize("status", [404, 410, 451])
async def test_a_lost_page_keeps_its_own_cause(status: int) -> None:
    """An account that is "gone" at the same moment would explain the page's own cause away."""
    source = PageSource(name, {})
    exchange = answer("", status=status)
    found = await source.discover(source.account(URL), "", Prepared({URL: exchange}))
    assert found.observation.signal.kind is Kind.ABSENT
    assert found.sightings[0].observation is not None
    assert found.sightings[0].observation.signal.kind is Kind.GONE


async def test_a_failed_look_at_a_page_fails_for_its_account_too() -> None:
    source = PageSource(name, {})
    exchange = answer("", fault=Fault.TIMEOUT)
    found = await source.discover(source.account(URL), "", Prepared({URL: exchange}))
    assert found.observation.signal.fault is Fault.TIMEOUT


# -- statuses and faults -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_fault_of_the_network_stays_a_fault(fault: Fault) -> None:
    """Whatever the body says: the answer did not come as it was sent."""
    exchange = answer(wechat_notice("此内容因违规无法查看"), status=404, fault=fault)
    assert (await signal(exchange)).fault is fault


@pytest.mark.parametrize("status", [401, 403, 407])
async def test_a_refusal_is_a_failed_look(status: int) -> None:
    for body in (b"", b"\x00", small("404 Not Found", "<h1>Not Found</h1>").encode()):
        assert (await signal(answer(body, status=status))).fault is Fault.FORBIDDEN


async def test_a_notice_says_more_than_the_status_it_comes_with() -> None:
    for status in (403, 404, 410):
        found = await signal(answer(wechat_notice("此内容因违规无法查看"), status=status))
        assert found.rule.startswith("wechat/violation@")
        assert found.status == status


@pytest.mark.parametrize("status", [403, 404])
async def test_a_check_under_any_status_is_a_failed_look(status: int) -> None:
    body = small("Just a moment...", "<form id='challenge-form'></form>")
    assert (await signal(answer(body, status=status))).fault is Fault.CAPTCHA


async def test_a_soft_not_found_adds_nothing_to_a_real_one() -> None:
    found = await signal(answer(small("Page not found", "<h1>Page not found</h1>"), status=410))
    assert found.rule.startswith("http/gone@")
    assert found.causes == {Cause.AUTHOR, Cause.PLATFORM}


async def test_451_names_who_carries_it_out() -> None:
    link = '<https://a.example/x>; rel="next", <https://isp.example/law>; rel="blocked-by"'
    found = await signal(answer("", status=451, headers={"link": link}))
    assert found.causes == {Cause.LEGAL}
    assert found.strength is Strength.STRONG
    assert found.by == "https://isp.example/law"


@pytest.mark.parametrize("status", [None, 100, 202, 206, 300, 304, 400, 405, 418, 432, 500])
async def test_any_other_status_proves_nothing(status: int | None) -> None:
    exchange = dataclasses.replace(answer(article()), status=status)
    found = await signal(exchange)
    assert found.kind is Kind.ERROR
    assert found.fault is Fault.UNREADABLE


@pytest.mark.parametrize("body", ["", "  \n ", small("A title", ""), small("", "<div></div>")])
async def test_an_empty_page_is_a_failed_look(body: str) -> None:
    assert (await signal(answer(body))).fault is Fault.EMPTY


@pytest.mark.parametrize("status", [204, 205])
async def test_no_content_is_a_failed_look(status: int) -> None:
    assert (await signal(answer("", status=status))).fault is Fault.EMPTY


@pytest.mark.parametrize(
    "body",
    [
        "<div id='app'></div><script src='/app.js'></script>",
        "<div id='app'><img src='/wait.gif'></div><script>go()</script>",
        "<noscript>You need to enable JavaScript to run this app.</noscript><script></script>",
        "<script>document.write('a whole story')</script><style>p {}</style>",
    ],
)
async def test_a_page_that_a_script_would_draw_is_a_failed_look(body: str) -> None:
    assert (await signal(answer(small("News", body)))).fault is Fault.EMPTY


# -- what is alive -----------------------------------------------------------------------------


async def test_an_article_is_alive_with_its_wording() -> None:
    body = article(more="<img src='/a.png'><img data-src='https://i.example/b.png' src='x'>")
    seen = await look(answer(body))
    assert seen.observation.signal is ALIVE
    assert seen.version is not None
    version = seen.version
    assert version.title == "The twelfth mark"
    assert version.text == f"The twelfth mark {STORY}"
    assert version.media == ("https://news.example/a.png", "https://i.example/b.png")
    assert version.hash == seen.observation.version == version_hash(version.title, version.text)
    assert len(version.hash) == 64


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("<p>敏<b>感</b><span>词</span></p><p>二</p>", "敏感词 二"),
        ("One<br>two", "One two"),
        ("<nav>Home</nav><p>One</p><aside>ad</aside><footer>f</footer>", "One"),
        ("<ul><li>a<li>b</ul>", "a b"),
        ("<table><tr><td>a<td>b</table>", "a b"),
        ("<p>a &lt; b &amp; c</p>", "a < b & c"),
        ("<P>One</P><DIV>two</DIV>", "One two"),
        ("<article>One<script>two()</script><style>p{}</style></article>", "One"),
        (f"<article>ad</article><div>{STORY}</div>", f"ad {STORY}"),
        (f"<article>{STORY}</article><div>ad</div>", STORY),
        (f"<main>{STORY}</main><div>ad</div>", STORY),
        (f"<article>One</article><article>{STORY}</article>", f"One {STORY}"),
        ("<svg><text>x</text></svg><template>y</template><p>One</p>", "One"),
    ],
)
def test_text_keeps_words_whole_and_blocks_apart(body: str, text: str) -> None:
    """A glued or split word is a term that no analysis will find."""
    assert Page(small("t", body).encode()).main == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nonce='a1'", "nonce='b2'"),
        ("<style>p{}</style>", "<style>p{color:red}</style>"),
        ("<footer>© nobody</footer>", "<footer>© nobody, 12:31</footer>"),
        ("<p>", "\n\n <p class='x' data-r='77'>\n"),
        ("</head>", "<meta name='csrf' content='9f'></head>"),
    ],
)
async def test_a_change_of_markup_is_no_new_version(one: str, other: str) -> None:
    first = await look(answer(article()))
    assert one in article()
    second = await look(answer(article().replace(one, other)), version=first.observation.version)
    assert second.observation.version == first.observation.version
    assert second.version is None


async def test_an_edit_is_a_new_version_and_no_loss() -> None:
    first = await look(answer(article()))
    for edited in (
        article(text=STORY[:150]),
        article(title="The last mark"),
        article(text="Sorry."),
    ):
        second = await look(answer(edited), version=first.observation.version)
        assert second.observation.signal is ALIVE
        assert second.version is not None
        assert second.version.hash != first.observation.version


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/pdf", b"%PDF-1.7 \x00\xff"),
        ("image/png", b"\x89PNG\r\n"),
        ("application/json", b'{"errmsg": "404 Not Found"}'),
        ("text/plain; charset=gbk", "河水".encode("gbk")),
        ("", b"plain bytes"),
    ],
)
async def test_other_kinds_are_alive_by_their_bytes(kind: str, body: bytes) -> None:
    seen = await look(answer(body, kind=kind))
    assert seen.observation.signal is ALIVE
    assert seen.version is not None
    again = await look(answer(body, kind=kind), version=seen.observation.version)
    assert again.version is None
    other = await look(answer(body + b"\n", kind=kind), version=seen.observation.version)
    assert other.version is not None
    if kind.startswith("text/plain"):
        assert seen.version.text == "河水"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{}", Fault.EMPTY),
        ("[]", Fault.EMPTY),
        ('{"title": "The twelfth', Fault.EMPTY),
        ('{"error": "upstream timed out"}', Fault.UNREADABLE),
    ],
)
async def test_json_without_a_page_in_it_is_a_failed_look(body: str, fault: Fault) -> None:
    assert (await signal(answer(body, kind="application/json"))).fault is fault


async def test_a_plain_text_can_say_that_nothing_is_there() -> None:
    found = await signal(answer("404 page not found\n", kind="text/plain"))
    assert (found.kind, found.strength) == (Kind.GONE, Strength.WEAK)
    longer = await signal(answer("404 page not found, said the boy.", kind="text/plain"))
    assert longer is ALIVE


@pytest.mark.parametrize(
    ("charset", "html"),
    [
        ("", "<meta charset='gb2312'><title>河</title><p>水</p>".encode("gb18030")),
        ("GBK", "<title>河</title><p>水</p>".encode("gbk")),
        ("", b"\xef\xbb\xbf" + "<title>河</title><p>水</p>".encode()),
        ("", "\ufeff<title>河</title><p>水</p>".encode("utf-16-le")),
        ("utf-8", "<meta charset='gbk'><title>河</title><p>水</p>".encode()),
        ("no-such-charset", "<title>河</title><p>水</p>".encode()),
        ("", "<meta http-equiv='Content-Type' content='text/html; charset=big5'>"
             "<title>河</title><p>水</p>".encode("big5")),
    ],
)  # fmt: skip
def test_chinese_pages_are_read_in_their_charset(charset: str, html: bytes) -> None:
    page = Page(html, charset)
    assert (page.title, page.main) == ("河", "水")


# -- broken off --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
async def test_a_page_that_breaks_off_is_a_failed_look(share: float) -> None:
    whole = article(text=STORY * 4)
    assert (await signal(answer(whole[: int(len(whole) * share)]))).fault is Fault.TRUNCATED


def test_a_cut_anywhere_is_a_fault_or_reads_as_alive_but_never_as_a_loss() -> None:
    whole = article(text=STORY, more="<script>if (a < b) { c(); }</script>").encode()
    unseen = 0
    reader = PageReader({})
    for end in range(1, len(whole) - len("</body></html>")):
        found = reader.read(URL, answer(whole[:end])).signal
        assert found.kind in (Kind.ERROR, Kind.ALIVE), whole[:end]
        unseen += found.kind is Kind.ALIVE and whole[end - 1 : end] != b">"
    assert unseen == 0


@pytest.mark.parametrize(
    "html",
    [
        b"<!doctype html><title>t</title><p>One",
        b"<!doctype html><html lang=en><title>t</title><main><p>One</main>",
        b"<p>One</p>",
        b"plain words",
        b"<html><body><p>One</p></body>",
        b"<html><body><p>One</p></HTML>\n\n<!-- served by 7 -->",
        b"<html><body><p>One</p><script>x('<script>');</script>",
    ],
)
def test_leaving_out_end_tags_is_not_breaking_off(html: bytes) -> None:
    """The standard allows it and minifiers do it: such a site would never be seen alive."""
    assert not is_cut(html)


# -- notices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hidden", "style='color:red; display: none'"])
async def test_a_notice_that_is_not_drawn_was_not_said(how: str) -> None:
    drawn = wechat_notice("该内容已被发布者删除")
    assert (await signal(answer(drawn), "https://mp.weixin.qq.com/s/x")).kind is Kind.GONE
    kept = drawn.replace("<div class='weui-msg'>", f"<section {how}><div class='weui-msg'>")
    said = await signal(answer(kept), "https://mp.weixin.qq.com/s/x")
    assert said.fault is Fault.UNREADABLE


async def test_a_notice_in_its_place_is_a_loss_and_quoted_it_is_not() -> None:
    words = "此内容因违规无法查看"
    lost = await signal(answer(wechat_notice(words)))
    assert (lost.kind, set(lost.causes), lost.words) == (Kind.GONE, {Cause.PLATFORM}, words)
    for body in (article(more=f"<blockquote>{words}</blockquote>"), article(title=words)):
        assert await signal(answer(body)) is ALIVE


@pytest.mark.parametrize("host", ["mp.weixin.qq.com", "MP.weixin.qq.com"])
async def test_on_a_known_host_unknown_words_prove_nothing(host: str) -> None:
    """WeChat will find new words; they must wait for a rule, not pass as an edit."""
    url = f"https://{host}/s/abc"
    found = await signal(answer(wechat_notice("一个新的说法"), url=url), url)
    assert found.fault is Fault.UNREADABLE
    assert "一个新的说法" in found.words
    assert await signal(answer(wechat_article("河", f"<p>{CHINESE}</p>"), url=url), url) is ALIVE
    picture = wechat_article("河", "<img data-src='https://i.example/1.png'>")
    assert await signal(answer(picture, url=url), url) is ALIVE


async def test_wechat_text_is_the_article_and_not_what_surrounds_it() -> None:
    seen = await look(answer(wechat_article("河", f"<p>{CHINESE}</p>") + "<p>推荐阅读</p>"))
    assert seen.version is not None
    assert (seen.version.title, seen.version.text) == ("河", CHINESE)


async def test_a_redirect_home_is_weak_and_a_login_page_is_a_failed_look() -> None:
    home = answer(article("Welcome"), url="https://news.example/", hops=(URL,))
    found = await signal(home)
    assert (found.kind, found.strength, set(found.causes)) == (
        Kind.GONE,
        Strength.WEAK,
        {Cause.UNKNOWN},
    )
    login = answer(small("News", "<p>Hello</p>"), url="https://news.example/login", hops=(URL,))
    assert (await signal(login)).fault is Fault.LOGIN_WALL


@pytest.mark.parametrize(
    ("home", "kind"),
    [
        ("https://www.news.example/", Kind.GONE),
        ("https://old.news.example/", Kind.GONE),
        ("https://blocked.isp.example/", Kind.ERROR),
        ("https://worldnews.example/", Kind.ERROR),
    ],
)
async def test_the_first_page_of_another_site_says_nothing(home: str, kind: Kind) -> None:
    found = await signal(answer(article("Welcome"), url=home, hops=(URL,)))
    assert found.kind is kind


async def test_another_sites_page_is_the_page_moved_only_if_it_has_running_text() -> None:
    """Portals and networks that block lead to a page of their own: that would be an edit."""
    other = "https://portal.isp.example/sorry/42"
    moved = await signal(answer(article(), url=other, hops=(URL,)))
    assert moved is ALIVE
    portal = small("Welcome to our Wi-Fi", "<p>Connect</p>")
    assert (await signal(answer(portal, url=other, hops=(URL,)))).fault is Fault.UNREADABLE
    near = "https://old.news.example/sorry/42"
    assert (await signal(answer(portal, url=near, hops=(URL,)))) is ALIVE


async def test_the_fetchers_spelling_of_an_address_is_no_redirect() -> None:
    url = "https://news.example/?p=1"
    exchange = answer(article(), url="https://news.example/")
    assert await signal(exchange, url) is ALIVE


async def test_packs_can_be_chosen() -> None:
    notice = answer(wechat_notice("此内容因违规无法查看"))
    assert (await look(notice, settings={"notices": []})).observation.signal is ALIVE
    chosen = await look(notice, settings={"notices": ["wechat"]})
    assert chosen.observation.signal.causes == {Cause.PLATFORM}
    url = "https://mp.weixin.qq.com/s/abc"  # on its own host it always applies
    there = answer(wechat_notice("此内容因违规无法查看"), url=url)
    found = (await look(there, url, settings={"notices": []})).observation.signal
    assert found.causes == {Cause.PLATFORM}
    with pytest.raises(ConfigError, match="'wechta'"):
        PageSource(name, {"notices": ["wechta"]})
    with pytest.raises(ConfigError, match="list of notice packs"):
        PageSource(name, {"notices": "wechat"})


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000,
        "<div></x>" * 200_000,
        "<ul><li>" * 100_000,
        "".join(f"<b a={n}>" for n in range(3_000)) + "<p>x" * 30_000,
    ],
    ids=["div", "div-and-stray-end", "list", "formatting"],
)
async def test_a_page_made_to_hang_a_parser_is_a_failed_look(html: str) -> None:
    """One such page would hold up every other look of the watch for minutes or hours."""
    assert (await signal(answer(html))).fault is Fault.UNREADABLE
    assert (await signal(answer(html, status=403))).fault is Fault.FORBIDDEN


async def test_a_large_ordinary_page_is_read() -> None:
    body = small("Long", f"<div><p>{STORY}<br><img src=/a.png></div>\n" * 20_000)
    assert await signal(answer(body)) is ALIVE


# -- memory of readings ------------------------------------------------------------------------


async def test_equal_bytes_are_read_alike_whatever_was_read_before() -> None:
    """The memory of readings must not leak one page's reading into another's."""
    reader = PageReader({})
    first = reader.read(URL, answer(article()))
    assert first.version is not None
    again = reader.read(URL, answer(article()), first.hash)
    assert (again.signal, again.hash, again.version) == (ALIVE, first.hash, None)
    # A version that the watch does not hold (any more) comes along again.
    other = reader.read(URL, answer(article()), "another")
    assert other.version == first.version
    assert reader.read(URL, answer(article(), status=404), first.hash).signal.kind is Kind.GONE
    home = answer(article(), url="https://news.example/", hops=(URL,))
    assert reader.read(URL, home, first.hash).signal.kind is Kind.GONE
    plain = reader.read(URL, answer(article(), kind="text/plain"), first.hash)
    assert plain.hash != first.hash


def test_the_memory_of_readings_is_bounded() -> None:
    reader = PageReader({})
    for n in range(REMEMBERED + 50):
        reader.read(URL, answer(f"{n}", status=404))
    assert len(reader._remembered) == REMEMBERED


@given(st.binary(max_size=400), st.sampled_from(["text/html", "text/html; charset=gbk", ""]))
def test_no_bytes_break_the_reader_or_read_as_a_strong_loss(body: bytes, kind: str) -> None:
    found = PageReader({}).read(URL, answer(body, kind=kind))
    assert found.signal.kind not in GONE_KINDS or found.signal.strength is Strength.WEAK
    if found.version is not None:
        assert isinstance(found.version, Version)
        assert found.version.hash == found.hash
    utf8(body).decode("utf-8", "replace")
