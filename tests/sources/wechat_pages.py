"""Pages and lists built as WeChat builds them, and a small WeChat that serves them on loopback.

The build is that of saved pages (articles, 2020) and of public scrapers' descriptions (lists,
newer pages). Every account, id and text was made up here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from tests.sources.pages import CHINESE, wechat_notice

BIZ = "MzAwMDAwMDAwMQ=="
OTHER = "MzAwMDAwMDAwMg=="
MID = "2650000001"
SN = "0123456789abcdef0123456789abcdef"
CT = 1_601_894_631  # 2020-10-05 18:43:51 in China
LONG = f"/s?__biz={BIZ}&mid={MID}&idx=2&sn={SN}"
SHORT = "/s/AbCdEfGhIjKlMnOpQrStUv"


def article_page(
    title: str = "第十二道刻痕",
    content: str = f"<p>{CHINESE}</p>",
    *,
    biz: str = BIZ,
    mid: str = MID,
    idx: str = "2",
    reads: str = "",
    likes: str = "",
    share: str = "",
    more: str = "",
) -> str:
    """An article as served in 2020, with the empty and the computed values that stand in it."""
    inner = f'<div class="rich_media_content" id="js_content">{content}</div>'
    if share:
        inner = (
            '<p class="share_notice" id="js_share_notice">值得一读</p><div id="js_share_content">'
            f'{inner}<a id="js_share_source" href="{share}">阅读全文</a></div>'
        )
    return f"""<!DOCTYPE html><html><head><meta charset="utf-8">
<meta property="og:title" content="{title}"><meta property="og:type" content="article">
<title></title>
<script nonce="" type="text/javascript">
    var biz = "" || "{biz}";
    var sn = "" || "{SN}" || "";
    var mid = "" || "{mid}" || "";
    var idx = "" || "{idx}" || "";
    window.LANG = "zh_CN";
</script></head><body><div id="js_article" class="rich_media">
<h2 class="rich_media_title" id="activity-name">
  {title}
</h2><a href="javascript:void(0);" id="js_name">  河边的公众号  </a>
<em id="publish_time">今天</em>
{inner}
<script type="text/javascript">
    var nickname = "河边的公众号";
    var ct = "{CT}";
    var user_name = "gh_0123456789ab";
    var msg_title = '{title}'.html(false);
    var read_num = "{reads}" * 1;
    var like_num = "{likes}" * 1;
    var svr_time = "1700000000" * 1;
</script>{more}</div></body></html>
"""


def drawn_page(members: str) -> str:
    """A newer page whose words stand in a script only."""
    return f"""<!DOCTYPE html><html><head><meta charset="utf-8">
<meta property="og:title" content="一条短讯"></head><body><div id="js_article"></div><script>
window.cgiDataNew = {{
    base_resp: {{ ret: '0' * 1 }},
    nick_name: JsDecode('河边的公众号'),
    user_name: 'gh_0123456789ab',
    bizuin: '{BIZ}',
    mid: '{MID}' * 1,
    idx: '2' * 1,
    ori_create_time: '{CT}',
    create_time: '2020-10-05 18:43',
{members}
}};
</script></body></html>
"""


def album_json(entries: list[dict[str, str]], goes_on: bool = False) -> str:
    """An album's answer; WeChat gives a lone article without the list around it."""
    album = {
        "base_info": {"title": "河流", "nickname": "河边的公众号"},
        "article_list": entries[0] if len(entries) == 1 else entries,
        "continue_flag": "1" if goes_on else "0",
    }
    return json.dumps({"base_resp": {"ret": 0}, "getalbum_resp": album})


def album_entry(mid: int, when: int, *, idx: int = 1, biz: str = BIZ) -> dict[str, str]:
    """An article in an album."""
    url = f"http://mp.weixin.qq.com/s?__biz={biz}&amp;mid={mid}&amp;idx={idx}&amp;sn={SN}#rd"
    ids = {"msgid": str(mid), "itemidx": str(idx), "key": f"1_{mid}_{idx}"}
    return {"title": f"第{mid}篇", "url": url, "create_time": str(when), **ids}


def history_json(pushes: list[tuple[int, int, int]], next_offset: int = 0) -> str:
    """A history of (mid, time, number of articles); the first of a push stands apart."""
    found: list[dict[str, object]] = [{"comm_msg_info": {"id": 1, "datetime": CT, "type": 1}}]
    for mid, when, number in pushes:
        urls = [f"/s?__biz={BIZ}&amp;mid={mid}&amp;idx={n + 1}&amp;sn={SN}" for n in range(number)]
        first: dict[str, object] = {"title": "一", "content_url": urls[0], "del_flag": 1}
        first["multi_app_msg_item_list"] = [{"title": "二", "content_url": u} for u in urls[1:]]
        found.append({"comm_msg_info": {"datetime": when, "type": 49}, "app_msg_ext_info": first})
    answer = {"ret": 0, "errmsg": "ok", "can_msg_continue": int(bool(next_offset))}
    answer["next_offset"] = next_offset
    return json.dumps(answer | {"general_msg_list": json.dumps({"list": found})})


@dataclass
class WeChat:
    """A running server. `pages` has an answer for each path with its query; the rest is broken."""

    url: str = ""
    pages: dict[str, str | web.Response] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def redirect(self, path: str, to: str, page: str) -> None:
        """`path` leads to `to`, where `page` is."""
        self.pages[path] = web.Response(status=302, headers={"Location": to})
        self.pages[to] = page

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.raw_path
        self.asked.append(path)
        self.headers.append(dict(request.headers))
        page = self.pages.get(path, wechat_notice("参数错误"))
        if isinstance(page, str):
            kind = "application/json" if page.startswith("{") else "text/html"
            return web.Response(text=page, content_type=kind, charset="utf-8")
        return web.Response(status=page.status, headers=page.headers, body=page.body)


@contextlib.asynccontextmanager
async def wechat() -> AsyncIterator[WeChat]:
    """A WeChat on a free port of loopback; ended with the block."""
    running = WeChat()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", running._answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        running.url = f"http://{host}:{port}"
        yield running
    finally:
        await runner.cleanup()
