"""Pages and exchanges that tests of the web sources share. Every text here was made up for them."""

from __future__ import annotations

from collections.abc import Mapping

from vanished.model import Fault
from vanished.net.exchange import Exchange

STORY = (
    "The river rose again on the third night, and the people of the lower town carried their"
    " chairs up the hill. Nobody had told them to. The old gauge at the bridge had stopped in the"
    " spring, so a boy marked the wall with chalk every hour and called the number down the lane."
    " By morning there were eleven marks, and the twelfth was under water."
)
CHINESE = "河水在第三个夜里又涨了，下城的人把椅子搬上了山坡。" * 12


def name(platform: str, native_id: str) -> str:
    """A naming that a failed assertion can be read by."""
    return f"{platform}|{native_id}"


def article(title: str = "The twelfth mark", text: str = STORY, more: str = "") -> str:
    """An ordinary article of an ordinary site."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>p{{}}</style><script nonce='a1'>var x = 1;</script></head><body>"
        f"<header><a href='/'>Home</a></header><main><article><h1>{title}</h1><p>{text}</p>{more}"
        f"</article></main><footer>© nobody</footer></body></html>"
    )


def small(title: str, body: str) -> str:
    """A page with nothing but a title and a little body."""
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{title}</title></head>"
        f"<body>{body}</body></html>"
    )


def wechat_notice(words: str, *, build: str = "weui") -> str:
    """A page built as WeChat builds its notices, in the newer or the older way."""
    blocks = {
        "weui": f"<div class='weui-msg'><div class='weui-msg__text-area'>"
        f"<div class='weui-msg__title warn'>{words}</div></div></div>",
        "old": f"<div class='page_msg'><div class='text_area'><div class='global_error_msg warn'>"
        f"\n   {words}   </div></div></div>",
        "title": f"<div class='page_msg'><div class='text_area'><h2 class='title'>{words}</h2>"
        f"<p class='tips'>...</p></div></div>",
    }
    return small("", f"{blocks[build]}<script>var seajs = 1;</script>")


def wechat_article(title: str, text: str) -> str:
    """A page built as WeChat builds an article."""
    return (
        f"<!doctype html><html><head><meta charset='utf-8'>"
        f"<meta property='og:title' content='{title}'><title></title></head><body>"
        f"<div id='js_article'><h2 class='rich_media_title' id='activity-name'>{title}</h2>"
        f"<div class='rich_media_content' id='js_content'>{text}</div></div></body></html>"
    )


def answer(
    body: str | bytes = b"",
    *,
    status: int = 200,
    url: str = "https://news.example/post/1",
    kind: str = "text/html; charset=utf-8",
    hops: tuple[str, ...] = (),
    fault: Fault | None = None,
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """An exchange as the fetcher would return it."""
    return Exchange(
        url,
        asked_at=1_000,
        answered_at=2_000,
        status=status,
        headers={"content-type": kind, **(headers or {})} if kind else dict(headers or {}),
        body=body if isinstance(body, bytes) else body.encode(),
        hops=hops,
        fault=fault,
    )


class Prepared:
    """A fetcher that gives prepared answers by address, and remembers what was asked."""

    def __init__(self, answers: Mapping[str, Exchange]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        assert method == "GET"
        assert headers is None
        assert body is None
        assert not private
        self.asked.append(url)
        return self.answers[url]
