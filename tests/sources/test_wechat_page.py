"""What a WeChat page says of its article, and what only looks like it."""

from __future__ import annotations

import html
import json
import re
import tarfile
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_shared
from tests.sources.pages import CHINESE, wechat_notice
from tests.sources.wechat_pages import BIZ, CT, MID, OTHER, SN, article_page, drawn_page
from vanished.model import NO_COUNTS, SECOND, Count, at
from vanished.sources.wechat_page import Article, block_type, count, ids_of, read_article

CHINA = timezone(timedelta(hours=8))


def read(page: str) -> Article:
    article = read_article(page.encode())
    assert article is not None
    return article


# -- one article -------------------------------------------------------------------------------


def test_an_article_is_read_whole() -> None:
    content = (
        "<p>敏<b>感</b>词</p><p>第二段</p><img data-src='https://i.example/1.png' src='data:,'>"
    )
    found = read(article_page("题目", content, reads="1234", likes="56"))
    assert (found.biz, found.mid, found.idx, found.sn) == (BIZ, MID, "2", SN)
    assert found.native_id == f"{BIZ}/{MID}/2"
    assert (found.account, found.user_name) == ("河边的公众号", "gh_0123456789ab")
    assert (found.title, found.text) == ("题目", "敏感词 第二段")
    assert found.published_at == CT * SECOND
    assert at(CT * SECOND) == datetime(2020, 10, 5, 10, 43, 51, tzinfo=UTC)
    assert found.media == ("https://i.example/1.png",)
    assert (found.counts.views, found.counts.likes) == (Count(1234, 1234), Count(56, 56))
    assert (found.shown, found.repeats) == (True, None)


def test_counts_that_are_not_shown_are_unknown_and_not_zero() -> None:
    assert read(article_page()).counts == NO_COUNTS


def test_an_article_that_quotes_a_page_is_not_taken_at_its_word() -> None:
    """Articles about WeChat pages exist; their ids and times would be taken for the article's."""
    quoted = f'\nvar biz = "{OTHER}";\nvar ct = "1500000000";\nvar mid = "1";\n'
    for content in (
        f"<pre>{quoted}</pre><p>{CHINESE}</p>",
        f"<script>{quoted}</script><p>{CHINESE}</p>",
        f"<pre>{html.escape(f'<script>{quoted}</script>')}</pre>",
        f"<p>{CHINESE}</p><!-- <script>{quoted}</script> -->",
    ):
        # In front of the page's own facts, so that the first one found would be the wrong one.
        page = article_page(content=content)
        body = page.index('<div id="js_article"')
        moved = page.replace('<script nonce=""', f"<!-- {quoted} --><script nonce=''", 1)
        for one in (page, moved, page[:body] + page[body:].replace("今天", quoted)):
            found = read(one)
            assert (found.biz, found.mid, found.published_at) == (BIZ, MID, CT * SECOND)
    assert "var biz" not in read(article_page(content=f"<script>{quoted}</script><p>字</p>")).text


def test_a_summary_that_holds_script_is_no_script() -> None:
    """The author writes the summary, and WeChat puts it into a string of the page's own script."""
    summary = f"var msg_desc = \"a var ct = '1500000000'; var biz = '{OTHER}'; b\";\n    "
    page = article_page()
    for fact in ("    var biz =", "    var ct ="):
        page = page.replace(fact, f"    {summary}{fact.strip()}", 1)
    found = read(page)
    assert (found.biz, found.published_at) == (BIZ, CT * SECOND)


@pytest.mark.parametrize("title", ["“a” 与 &quot;b&quot;", "A &amp;amp; B", "l'été"])
def test_a_title_is_what_a_reader_sees(title: str) -> None:
    page = article_page("X", f"<p>{CHINESE}</p>").replace('content="X"', f'content="{title}"')
    assert read(page).title == html.unescape(title)


def test_a_title_is_found_where_it_is_left() -> None:
    page = article_page("题目").replace('property="og:title"', 'property="og:none"')
    assert read(page).title == "题目"
    again = page.replace('id="activity-name"', 'id="none"').replace("'题目'", r"'\x22题\u76ee\x22'")
    assert read(again).title == '"题目"'


def test_a_shared_article_names_what_it_repeats() -> None:
    there = f"http://mp.weixin.qq.com/s?__biz={OTHER}&amp;mid=77&amp;idx=1&amp;sn={SN}"
    found = read(article_page(content="<p>摘要</p>", share=there.replace("==", "%3D%3D")))
    assert found.repeats == f"{OTHER}/77/1"
    assert found.text == "值得一读 摘要"
    assert read(article_page(share="javascript:;")).repeats is None


@pytest.mark.parametrize("content", ["", "  <br> ", "<script>var a = 1</script>"])
def test_a_page_without_content_shows_no_article(content: str) -> None:
    assert read_article(article_page(content=content).encode()) is None


@pytest.mark.parametrize("build", ["weui", "old", "title"])
def test_a_notice_is_no_article(build: str) -> None:
    assert read_article(wechat_notice("此内容因违规无法查看", build=build).encode()) is None


# -- newer pages, as described -----------------------------------------------------------------


def test_words_in_a_script_are_read_and_marked() -> None:
    found = read(
        drawn_page(r"    content_noencode: JsDecode('\x3cp\x3e河水\x3c/p\x3e\x3cp\x3e涨了'),")
    )
    assert (found.text, found.shown, found.title) == ("河水 涨了", False, "一条短讯")
    assert (found.native_id, found.published_at) == (f"{BIZ}/{MID}/2", CT * SECOND)
    assert found.account == "河边的公众号"


def test_a_time_without_a_zone_is_not_guessed() -> None:
    page = drawn_page("    content_noencode: '字',").replace("ori_create_time", "other")
    assert read(page).published_at is None


def test_a_post_of_pictures_has_its_pictures() -> None:
    found = read(
        drawn_page(
            "    picture_page_info_list: [\n"
            "      { cdn_url: 'https://i.example/a?x=1&amp;y=2' },\n"
            "      { cdn_url: 'https://i.example/b' },\n    ],"
        )
    )
    assert found.media == ("https://i.example/a?x=1&y=2", "https://i.example/b")
    assert not found.shown


# -- counts, ids, block pages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "meant"),
    [
        ("0", Count(0, 0)),
        ("1,234", Count(1234, 1234)),
        ("100001", Count(100_001)),
        ("10万+", Count(100_000)),
        ("100k+", Count(100_000)),
        ("1.2万", Count(11_500, 12_999)),
        ("3萬", Count(25_000, 39_999)),
        ("", None),
        ("12.5", None),
        ("-1", None),
        ("阅读", None),
        ("1e9", None),
    ],
)
def test_a_rounded_count_is_an_interval(shown: str, meant: Count | None) -> None:
    assert count(shown) == meant


@given(st.integers(10_000, 99_000_000))
def test_the_interval_of_a_rounded_count_holds_the_truth(true: int) -> None:
    """Rounded or cut off, to tenths of ten thousand; less than that is shown in full."""
    for tenths in (true // 1000, (true + 500) // 1000):
        found = count(f"{tenths // 10}.{tenths % 10}万")
        assert found is not None
        assert found.high is not None
        assert found.low <= true <= found.high


def test_ids_are_read_from_any_way_to_write_an_address() -> None:
    base = "https://mp.weixin.qq.com/s?"
    for query in (
        f"__biz={BIZ}&mid=1&idx=2&sn={SN}&scene=21#wechat_redirect",
        f"__biz={BIZ.replace('=', '%3D')}&amp;mid=1&amp;idx=2&amp;sn={SN}",
        f"idx=2&mid=1&sn={SN}&__biz={BIZ}",
    ):
        assert ids_of(base + query) == (BIZ, "1", "2", SN)
    assert ids_of(f"{base}__biz=<x>&mid=a&idx=&sn=zz") == ("", "", "", "")


def test_a_reason_number_in_an_article_is_no_block() -> None:
    link = '<a href="/redirect/help?lang=en_US&block_type=22">Help</a>'
    block = f"<html><body><div class='page_msg'>{link}</div></body></html>"
    assert block_type(block.encode()) == "22"
    assert block_type(article_page(content=f"<div class='page_msg'>{link}</div>").encode()) == ""
    assert block_type(f"<html><body>{link}</body></html>".encode()) == ""


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    for page in (body, b'<div id="js_content">' + body, b"<script>var biz = " + body):
        read_article(page)
        block_type(page)


# -- real pages --------------------------------------------------------------------------------


def test_90_saved_articles_are_read_right() -> None:
    """Against the list that came with them, and against a reading by plain regular expressions."""
    folder = needs_shared("wechatscope-html-2020")
    index = {row["file"]: row for row in json.loads((folder / "index.json").read_text("utf-8"))}
    right = 0
    with tarfile.open(folder / "pages-text-blanked.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or not member.name.endswith(".html"):
                continue
            body = file.read()
            found = read_article(body)
            assert found is not None, member.name
            row = index[member.name.rpartition("/")[2]]
            assert found.published_at is not None
            day = at(found.published_at).astimezone(CHINA).date().isoformat()
            listed = (html.unescape(row["title"]), row["nickname"], row["created_at"], row["url"])
            address = (
                f"mp.weixin.qq.com/s?__biz={found.biz}&mid={found.mid}&idx={found.idx}"
                f"&sn={found.sn}"
            )
            assert (found.title, found.account, day, address) == listed, member.name
            page = body.decode().partition("-->")[2]  # the first line is the saver's own
            assert plainly(page) == {
                "title": found.title,
                "account": found.account,
                "user": found.user_name,
                "ids": (found.biz, found.mid, found.idx, found.sn),
                "time": found.published_at // SECOND,
            }, member.name
            assert row["archive"].startswith(found.user_name)
            assert found.text or found.media
            assert found.counts == NO_COUNTS  # they were saved outside WeChat's client
            assert found.repeats is None or 'id="js_share_source"' in page
            right += 1
    assert (right, len(index)) == (90, 90)


def plainly(page: str) -> dict[str, object]:
    """A second reading that shares nothing with the first: exact lines of this one build."""

    def one(pattern: str) -> str:
        (found,) = set(re.findall(pattern, page))
        return html.unescape(found)

    def chosen(name: str) -> str:
        return one(rf'\n {{4}}var {name} = "" \|\| "([^"]+)"')

    return {
        "title": one(r"\n {4}var msg_title = '([^\n]*)'\.html\(false\);"),
        "account": one(r'\n {4}var nickname = "([^\n]*)";'),
        "user": one(r'\n {4}var user_name = "([^"]*)";'),
        "ids": tuple(chosen(name) for name in ("biz", "mid", "idx", "sn")),
        "time": int(one(r'\n {4}var ct = "(\d{10})";')),
    }
