"""A WeChat article's page as facts: whose it is, its ids, its time, its words, pictures, counts.

In: the bytes of a page of mp.weixin.qq.com. Out: an `Article`, or None where no article is shown.
The page states its facts in scripts (`var ct = "..."`), its words in `#js_content`. Only scripts
outside the content are read, and only assignments at the start of a line, so that an article about
WeChat pages that quotes one is not taken at its word. No script is run. What a page means when it
shows no article is for `wechat` and `notices/wechat.toml`.

Checked on 90 saved pages of October 2020. Read from public knowledge only, and not tried on real
pages: the object `cgiDataNew` of newer pages, posts of pictures or plain text, and shown counts
(saved pages have them empty, since WeChat counts for its own client alone). Posts that are only a
film or a sound are drawn by script and not read here.
"""

from __future__ import annotations

import html as markup
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from vanished.model import NO_COUNTS, SECOND, Count, Counts, Micros
from vanished.sources.html import one_line, utf8
from vanished.sources.shown_count import shown_count

MOST_MEDIA = 100
HOST = "mp.weixin.qq.com"

BIZ = re.compile(r"[A-Za-z0-9+/]{4,64}={0,2}")
NUMBER = re.compile(r"[0-9]{1,20}")
_SN = re.compile(r"[0-9a-f]{16,64}")
_CT = re.compile(r"[0-9]{9,10}")
_USER = re.compile(r"[A-Za-z0-9_-]{3,64}")
_COUNT = re.compile(r"(?:[0-9][0-9,]*(?:\.[0-9]{1,3})?)\s?(?:万|萬|亿|億|[kKwW])?\+?")
_ANY = re.compile(r"(?s).+")

# Each fact under every name that pages give it, and the form that its value has to have. A page
# holds empty and computed values beside the real one (`"" || "2652..."`); the first that fits wins.
_FORMS = {
    "biz": BIZ,
    "mid": NUMBER,
    "idx": NUMBER,
    "sn": _SN,
    "ct": _CT,
    "user_name": _USER,
    "nickname": _ANY,
    "msg_title": _ANY,
    "read_num": _COUNT,
    "like_num": _COUNT,
}
_NAMES = {name: name for name in _FORMS} | {
    "appmsgid": "mid",
    "bizuin": "biz",
    "ori_create_time": "ct",
    "nick_name": "nickname",
    "title": "msg_title",
    "read_num_new": "read_num",
    "old_like_num": "like_num",
    "content_noencode": "text",
    "content": "text",
}
_VARIABLES = "biz mid idx sn ct user_name nickname nick_name msg_title appmsgid" + (
    " read_num read_num_new like_num old_like_num"
)
_ASSIGNED = re.compile(
    rf"^[ \t]*(?:var[ \t]+|window\.|d\.)({'|'.join(_VARIABLES.split())})[ \t]*=(?!=)([^\n]*)",
    re.M,
)
_MEMBER = re.compile(
    r"^[ \t]*(bizuin|biz|mid|idx|sn|ori_create_time|user_name|nick_name|title|content_noencode"
    r"|content)[ \t]*:([^\n]*)",
    re.M,
)
_LITERAL = re.compile(r"""(["'])((?:(?!\1)[^\\\n]|\\.)*)\1""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.S)
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "", "f": "", "v": "", "0": ""}
_CDN = re.compile(r"^[ \t{]*cdn_url[ \t]*:([^\n]*)", re.M)
_BLOCK = re.compile(rb"<(?=/?(?:p|br|div|li|h[1-6]|tr|t[dh]|section|blockquote|pre)\b)", re.I)
_BLOCK_TYPE = re.compile(r"[?&]block_type=([0-9]{1,3})\b")


@dataclass(frozen=True, slots=True)
class Article:
    """What a page says of its article; "" or None where it says nothing.

    `biz` names the account, `mid` a push of up to eight articles, `idx` the place in it; the three
    are the article's identity. `sn` is its signature in addresses, and changes without it.
    """

    biz: str
    mid: str
    idx: str
    sn: str
    account: str  # the account's name as shown
    user_name: str  # the account's other id, "gh_..."
    title: str
    published_at: Micros | None
    text: str
    media: tuple[str, ...]
    counts: Counts
    repeats: str | None  # native id of the article that this one shares
    shown: bool  # False: words and pictures stand in a script, and the page itself may say else

    @property
    def native_id(self) -> str:
        """The article's identity; "" where the page does not say it in full."""
        return native_id(self.biz, self.mid, self.idx)


def native_id(biz: str, mid: str, idx: str) -> str:
    """BIZ/MID/IDX; "" unless all three are known."""
    return f"{biz}/{mid}/{idx}" if biz and mid and idx else ""


def ids_of(address: str) -> tuple[str, str, str, str]:
    """biz, mid, idx and sn of an article's address; "" for each that it lacks or has malformed."""
    query = parse_qs(urlsplit(markup.unescape(address)).query)

    def value(form: re.Pattern[str], *names: str) -> str:
        for name in names:
            for found in query.get(name, ()):
                found = found.replace(" ", "+")  # a "+" of base64, read as a blank
                if form.fullmatch(found):
                    return found
        return ""

    biz = value(BIZ, "__biz", "biz")
    return biz, value(NUMBER, "mid", "appmsgid"), value(NUMBER, "idx", "itemidx"), value(_SN, "sn")


def read_article(html: bytes, charset: str = "") -> Article | None:
    """The article that the page `html` shows; None if it shows none.

    `charset` is the header's, "" for none.
    """
    tree = LexborHTMLParser(_with_breaks(utf8(html, charset)))
    content = tree.css_first("#js_content")
    facts = _facts(_scripts(tree))
    text, media = ("", ()) if content is None else (_text(content), _media(content))
    shown = bool(text or media)
    if not shown:
        text, media = _drawn(tree)
    if not text and not media:
        return None
    share = tree.css_first("#js_share_content")
    return Article(
        biz=facts.get("biz", ""),
        mid=facts.get("mid", ""),
        idx=facts.get("idx", ""),
        sn=facts.get("sn", ""),
        account=_named(facts.get("nickname", "")) or _shown(tree, "#js_name"),
        user_name=facts.get("user_name", ""),
        title=_title(tree, facts),
        published_at=int(facts["ct"]) * SECOND if "ct" in facts else None,
        text=text if share is None else one_line(f"{_shown(tree, '#js_share_notice')} {text}"),
        media=media,
        counts=_counts(tree, facts),
        repeats=None if share is None else _repeated(share),
        shown=shown,
    )


def block_type(html: bytes, charset: str = "") -> str:
    """The number by which WeChat's block page for a shared link names its reason; "" if none.

    The English page has it in a link, the Chinese page in a script, beside an empty sentence for
    some reasons; only a page of the block's own build is looked at.
    """
    tree = LexborHTMLParser(utf8(html, charset))
    if tree.css_first(".page_msg") is None or tree.css_first("#js_content") is not None:
        return ""
    links = [node.attributes.get("href") or "" for node in tree.css(".page_msg a[href]")]
    for said in (*links, *(node.text() for node in tree.css("script"))):
        found = _BLOCK_TYPE.search(said)
        if found:
            return found[1]
    return ""


def count(shown: str) -> Count | None:
    """A count as WeChat writes it, as an interval; None if it is none.

    "10万+" and the 100001 that stands behind it in scripts are the cap: at least that many.
    """
    return Count(100_001) if shown.strip() == "100001" else shown_count(shown)


# -- the parts of a page -------------------------------------------------------------------------


def _with_breaks(html: bytes) -> bytes:
    """`html` with a line break before every block of the content, so that no words run together."""
    start = html.find(b'"js_content"')
    if start < 0:
        start = html.find(b"js_content")
    return html if start < 0 else html[:start] + _BLOCK.sub(b"\n<", html[start:])


def _scripts(tree: LexborHTMLParser) -> list[str]:
    """The page's own scripts that state something; those in an article's content are the author's.

    They are taken off the tree, so that a text read later has none of them.
    """
    for node in tree.css("#js_content script, #js_content style, #js_content noscript"):
        node.decompose()
    return [
        text
        for node in tree.css("script")
        if (text := node.text()) and ("nick" in text or "biz" in text or "read_num" in text)
    ]


def _facts(scripts: Iterable[str]) -> dict[str, str]:
    """Each fact's first value that has its form."""
    found: dict[str, str] = {}
    for script in scripts:
        matches: list[Iterator[re.Match[str]]] = [_ASSIGNED.finditer(script)]
        if "cgiDataNew" in script:
            matches.append(_MEMBER.finditer(script))
        for match in (one for group in matches for one in group):
            name = _NAMES[match[1]]
            form = _FORMS.get(name)
            if form and name not in found:
                value = _value(match[2], form)
                if value:
                    found[name] = value
    return found


def _value(expression: str, form: re.Pattern[str]) -> str:
    """The first string in a script's expression that has this form, unescaped; "" if none has."""
    for literal in _LITERAL.finditer(expression):
        value = _unescaped(literal[2])
        if form.fullmatch(value) and not value.endswith(".DATA"):  # the name of a lookup
            return value
    return ""


def _unescaped(literal: str) -> str:
    if "\\" not in literal:
        return literal
    return _ESCAPE.sub(
        lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else _PLAIN_ESCAPES.get(m[3], m[3]),
        literal,
    )


def _named(name: str) -> str:
    return one_line(markup.unescape(name))


def _title(tree: LexborHTMLParser, facts: dict[str, str]) -> str:
    """The page writes its title three times; where one is left out, the next is taken."""
    node = tree.css_first('meta[property="og:title"]')
    stated = one_line((node.attributes.get("content") or "") if node else "")
    return stated or _shown(tree, "#activity-name") or _named(facts.get("msg_title", ""))


def _shown(tree: LexborHTMLParser, selector: str) -> str:
    node = tree.css_first(selector)
    return one_line(node.text()) if node else ""


def _text(content: LexborNode) -> str:
    return one_line(content.text())


def _media(content: LexborNode) -> tuple[str, ...]:
    """Addresses of the content's pictures, films and sounds, each once, in their order."""
    found: dict[str, None] = {}
    for node in content.css("img, video, audio, source"):
        attributes = node.attributes
        address = _address(attributes.get("data-src") or attributes.get("src") or "")
        if address:
            found[address] = None
        if len(found) == MOST_MEDIA:
            break
    return tuple(found)


def _address(written: str) -> str:
    written = written.strip()
    if written.startswith("//"):
        written = f"https:{written}"
    return written if written.startswith(("http://", "https://")) and len(written) < 2048 else ""


def _drawn(tree: LexborHTMLParser) -> tuple[str, tuple[str, ...]]:
    """The words and pictures of a post that the page's own script draws: plain text or pictures."""
    texts: list[str] = []
    media: dict[str, None] = {}
    for node in tree.css("script"):
        script = node.text()
        if "cgiDataNew" not in script and "picture_page_info_list" not in script:
            continue
        found = (m[2] for m in _MEMBER.finditer(script) if _NAMES[m[1]] == "text")
        texts += [value for written in found if (value := _value(written, _ANY))]
        for match in _CDN.finditer(script):
            if address := _address(markup.unescape(_value(match[1], _ANY))):
                media[address] = None
    text = ""
    if texts:
        body = LexborHTMLParser(_BLOCK.sub(b"\n<", max(texts, key=len).encode("utf-8", "replace")))
        body.strip_tags(["script", "style"])
        text = one_line(body.body.text()) if body.body else ""
    return text, tuple(media)[:MOST_MEDIA]


def _counts(tree: LexborHTMLParser, facts: dict[str, str]) -> Counts:
    views = count(facts.get("read_num", "")) or count(_shown(tree, "#readNum3"))
    likes = count(facts.get("like_num", "")) or count(_shown(tree, "#likeNum3"))
    return Counts(views=views, likes=likes) if views or likes else NO_COUNTS


def _repeated(share: LexborNode) -> str | None:
    """The article that a share points to; None where its address does not say."""
    link = share.css_first("#js_share_source")
    biz, mid, idx, _ = ids_of((link.attributes.get("href") or "") if link else "")
    return native_id(biz, mid, idx) or None
