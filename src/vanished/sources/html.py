"""A web page as facts: its title, its text, its media, and the places where notices stand.

In: the bytes of an HTML document with the address that was asked and the one that answered. Out:
a `Page`. It knows no platform and no notice; it runs no script, so a page that is drawn by script
has no text here. Parsed by lexbor (selectolax), after the HTML standard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

PROSE = 240
"""Weight of running text that makes a page an article; a Chinese character weighs two."""

_UNSEEN = ["script", "style", "template", "noscript", "svg"]
_FRAME = ["nav", "header", "footer", "aside"]
_MEDIA = "img, video, audio, source"
_MOST_MEDIA = 50
_MOST_TEXTS = 20
_SHORT = 400  # a main text longer than this is no notice standing alone

# A line break before every block, so that two paragraphs never run into one word, while a word
# with markup inside ("敏<b>感</b>词") stays one.
_BLOCK = re.compile(
    rb"<(?=/?(?:p|br|div|li|h[1-6]|tr|t[dh]|section|article|blockquote|pre|dd|dt|option)\b)", re.I
)
_OPEN_TAG = re.compile(rb"<(?:[a-z/!][^<>]*)?$")
_TAG = re.compile(rb"<(/?)([A-Za-z][^\s/>]{0,40})")
_CLOSE_THEMSELVES = frozenset(
    b"area base br col embed hr img input link meta param source track wbr"
    b" p li dt dd tr td th thead tbody tfoot option optgroup rt rp path use".split()
)
_FEW_TAGS = 3000
_MOST_STEPS = 10_000_000  # about half a second
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.I)
_NOT_DRAWN = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.I)
_TITLE_PARTS = re.compile(r"\s+[|·•»:–—-]+\s+|\s*[|_｜]\s*|\s*::\s*|-(?=\D*$)")
_HOME = re.compile(r"/?|/(index|home|default)(\.\w{2,5})?|/[a-z]{2}([-_][A-Za-z]{2,4})?/?")
_OTHER_DRESS = re.compile(r"^(?:www\d?|m|mobile|amp)\.")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "ascii": "cp1252"}


def is_selector(selector: str) -> bool:
    """Whether `selector` is a CSS selector that lexbor can read."""
    try:
        LexborHTMLParser("<p>").css(selector)
    except SelectolaxError:
        return False
    return True


def one_line(text: str) -> str:
    """`text` with every run of blanks as one space."""
    return " ".join(text.split())


class Page:
    """One parsed document. Everything is read when asked for, and read once."""

    def __init__(
        self,
        html: bytes,
        charset: str = "",
        *,
        asked: str = "",
        answered: str = "",
        content: Sequence[str] = (),
    ) -> None:
        """`charset` is the header's, "" for none; `asked` and `answered` are addresses.

        `content`: places ("css:...") where a platform puts a post's content, tried in order
        before the general ones.
        """
        self._html = _BLOCK.sub(b"\n<", utf8(html, charset))
        self._tree = LexborHTMLParser(self._html)
        self.has_script = bool(self._tree.tags("script"))
        self._tree.strip_tags(_UNSEEN)
        self._asked = asked
        self._answered = answered or asked
        self._places = [place.removeprefix("css:") for place in content if place[:4] == "css:"]

    # -- what the page says ---------------------------------------------------------------------

    @cached_property
    def title(self) -> str:
        """The title of the content: og:title, else the document's title, else the first h1."""
        node = self._tree.css_first('meta[property="og:title"]')
        stated = one_line((node.attributes.get("content") or "") if node else "")
        return stated or self._head_title or next(iter(self.texts("h1")), "")

    @cached_property
    def _head_title(self) -> str:
        node = self._tree.css_first("title")
        return one_line(node.text()) if node else ""

    @cached_property
    def _headings(self) -> list[str]:
        nodes = self._tree.tags("h1")[:_MOST_TEXTS]
        return [one_line(node.text()) for node in nodes if not _is_hidden(node)]

    @cached_property
    def main(self) -> str:
        """The main text on one line: of the first content place that has any, else of the only
        article, else of the only main, else of the body without its frame.
        """
        node = self._main_node
        if node is not None:
            return one_line(node.text())
        body = self._bare.body
        return one_line(body.text()) if body else ""

    @cached_property
    def _main_node(self) -> LexborNode | None:
        """The content place that shows, else the only article or main, unless that holds less
        than a fifth of the page's text.
        """
        for place in self._places:
            for node in self._tree.css(place):
                if _is_filled(node):
                    return node
        body = self._tree.body
        if body is None:
            return None
        for tag in ("article", "main"):
            nodes = self._tree.tags(tag)
            if len(nodes) == 1 and _is_filled(nodes[0]):
                text, whole = nodes[0].text(), body.text()
                if 5 * len(text) >= len(whole):
                    return nodes[0]
        return None

    @cached_property
    def _bare(self) -> LexborHTMLParser:
        """The page without its frame. A second tree: notices may stand in the frame."""
        tree = LexborHTMLParser(self._html)
        tree.strip_tags(_UNSEEN + _FRAME)
        return tree

    @cached_property
    def media(self) -> tuple[str, ...]:
        """Absolute addresses of the main part's images, films and sounds, at most 50."""
        node = self._main_node or self._bare.body
        found: dict[str, None] = {}
        for element in node.css(_MEDIA) if node else ():
            source = element.attributes.get("data-src") or element.attributes.get("src") or ""
            address = _joined(self._answered, source.strip())
            if address:
                found[address] = None
            if len(found) == _MOST_MEDIA:
                break
        return tuple(found)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read or see: no text, and no media that is the content.

        Media beside scripts in a bare body is the waiting picture of a page drawn by script.
        """
        if self.main:
            return False
        return not self.media or (self.has_script and self._main_node is None)

    # -- the places of notices (`notice.Places`) -------------------------------------------------

    def texts(self, place: str) -> Sequence[str]:
        """The texts at `place`; see `notices/README.md` for the places."""
        if place.startswith("css:"):
            nodes = self._tree.css(place.removeprefix("css:"))[:_MOST_TEXTS]
            return [one_line(node.text()) for node in nodes if not _is_hidden(node)]
        match place:
            case "title":
                title = self._head_title[:_SHORT]
                parts = [part for part in _TITLE_PARTS.split(title) if part]
                return [title, *parts] if len(parts) > 1 else [title]
            case "h1":
                return self._headings
            case "main":
                return [self.main] if len(self.main) <= _SHORT else []
            case "path":
                return self._path() if self._was_redirected else []
            case "redirect":
                return [self._sent] if self._sent else []
        return []

    def shows(self, place: str) -> bool:
        """Whether the content place is there and not empty."""
        if place == "article":
            return self._is_article
        return any(_is_filled(node) for node in self._tree.css(place.removeprefix("css:")))

    def has(self, selector: str) -> bool:
        """Whether any element meets the CSS `selector`."""
        return self._tree.css_first(selector) is not None

    @cached_property
    def _is_article(self) -> bool:
        """Whether the page carries content of its own: marked as such, or by its running text.

        Running text is the main text outside links and headings. A "not found" page has some of
        it too, hence the bar; a wrong "article" costs a missed soft 404, never a false loss.
        """
        if self.has('meta[property="og:type"][content="article"], [itemprop="articleBody"]'):
            return True
        tree = LexborHTMLParser(self._html)
        tree.strip_tags([*_UNSEEN, *_FRAME, "a", "h1", "h2", "title", "form", "button", "select"])
        text = one_line(tree.body.text()) if tree.body else ""
        bar = PROSE // 2 if self._main_node and self._main_node.tag == "article" else PROSE
        return len(text) + len(_CJK.findall(text)) >= bar

    @property
    def _was_redirected(self) -> bool:
        """Whether another path answered; a new scheme or host alone says nothing."""
        if not self._asked or self._asked == self._answered:
            return False
        asked, answered = urlsplit(self._asked), urlsplit(self._answered)
        return (asked.path, asked.query) != (answered.path, answered.query)

    def _path(self) -> list[str]:
        """The parts of the path that answered, without ending and case."""
        parts = urlsplit(self._answered).path.split("/")
        return [re.sub(r"\.\w{2,5}$", "", part) for part in parts if part]

    @property
    def _sent(self) -> str:
        """Where a redirect led: "home", from a deep address to the site's first page; "elsewhere",
        to another site's first page; "away", to another site's page. "" for any other or none.
        """
        if not self._was_redirected:
            return ""
        asked, answered = urlsplit(self._asked), urlsplit(self._answered)
        here = _is_one_site(asked.hostname or "", answered.hostname or "")
        deep = not _HOME.fullmatch(asked.path) or bool(asked.query)
        if deep and _HOME.fullmatch(answered.path) and not answered.query:
            return "home" if here else "elsewhere"
        return "" if here else "away"


def _is_one_site(one: str, other: str) -> bool:
    """Whether two hosts are the same but for "www." and the like, or one lies in the other."""
    one, other = (_OTHER_DRESS.sub("", host.lower()) for host in (one, other))
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def utf8(html: bytes, charset: str = "") -> bytes:
    """`html` as UTF-8: after the header's charset, a byte order mark, the document's own word.

    Bytes that the charset does not know are replaced. Order after the HTML standard, 13.2.3.2,
    but that the mark does not overrule the header: a header is what the server says today.
    """
    if html.startswith(b"\xef\xbb\xbf"):
        return html[3:]
    if html.startswith((b"\xff\xfe", b"\xfe\xff")):
        return html.decode("utf-16", errors="replace").encode()
    found = _META_CHARSET.search(html, 0, 2048) if not charset else None
    name = (charset or (found[1].decode("ascii") if found else "utf-8")).strip().lower()
    name = _CHARSETS.get(name, name)
    if name in ("utf-8", "utf8", "unicode-1-1-utf-8"):
        return html
    try:
        return html.decode(name, errors="replace").encode("utf-8", errors="replace")
    except LookupError:
        return html


def is_cut(html: bytes) -> bool:
    """Whether the document breaks off: inside a tag, or it opens <html>, never closes it, and
    ends in mid-text.

    End tags may be left out by the standard, and minifiers do so, but their output then ends with
    some tag; ending in a bare word or inside a script is what a cut leaves. One cut in ten falls
    right after a tag and is not seen: such a page reads as an edit, never as a loss.
    """
    low = html[-4096:].rstrip().lower()
    if _OPEN_TAG.search(low):
        return True
    head = html[:2048].lower()
    if b"<html" not in head or b"</html" in low or b"</body" in low:
        return False
    whole = html.lower()
    return not low.endswith(b">") or whole.rfind(b"<script") > whole.rfind(b"</script")


def is_too_deep(html: bytes) -> bool:
    """Whether building the tree could take for ever: open elements times tags above a bound.

    The algorithm of the HTML standard looks through all open elements at many a tag, and opens
    unclosed formatting again in every block, so its cost can be the product; 8 MB of "<div>" would
    hold up the whole watch for hours. The estimate errs to the high side only for unclosed tags.
    """
    tags = html.count(b"<")
    if tags < _FEW_TAGS:
        return False
    open_now: dict[bytes, int] = {}
    depth = deepest = 0
    for closing, name in _TAG.findall(html):
        tag = name.lower()
        if tag in _CLOSE_THEMSELVES:
            continue
        if not closing:
            open_now[tag] = open_now.get(tag, 0) + 1
            depth += 1
            deepest = max(deepest, depth)
        elif open_now.get(tag, 0):
            open_now[tag] -= 1
            depth -= 1
    return deepest * tags > _MOST_STEPS


def _is_filled(node: LexborNode) -> bool:
    """Whether anything is to be read or seen in `node`."""
    return bool(node.text().strip()) or node.css_first(_MEDIA) is not None


def _is_hidden(node: LexborNode) -> bool:
    """Whether `node` lies in an element that is not drawn until a script says so: what it holds
    was not said. "visibility" is none of it: platforms fade their content in that way.
    """
    above: LexborNode | None = node
    while above is not None:
        held = above.attributes
        if "hidden" in held or _NOT_DRAWN.search(held.get("style") or ""):
            return True
        above = above.parent
    return False


def _joined(base: str, address: str) -> str:
    """`address` made absolute; "" unless it is one of the web's."""
    try:
        joined = urljoin(base, address) if address else ""
    except ValueError:
        return ""
    return joined if joined.startswith(("http://", "https://")) and len(joined) < 2048 else ""
