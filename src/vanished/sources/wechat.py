"""WeChat public accounts: single articles, albums, and an account's history where it is public.

In: the address of an article (`/s/SHORT`, or `/s?__biz=..&mid=..&idx=..&sn=..`), of an album
(`/mp/appmsgalbum`), of an account's history (`/mp/profile_ext`), or a bare `__biz`. Out: articles
with what each answer proves. What a notice means stands in `notices/wechat.toml`, where a page has
its facts in `wechat_page`, how a list is written in `wechat_list`; here is how to ask. Nothing is
signed in to, no check for robots is passed, and whatever in an address belongs to a reader's
session is dropped before it is kept.

Tried on recorded forms: 90 saved articles, 39 saved block pages, the notices of 12,102 records.
Tried live: only against servers of the tests. No request to WeChat itself was ever made. The lists
are read as public scrapers describe them; outside WeChat's client the history mostly answers "no
session", which is a failed look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import UsageError
from vanished.model import (
    ABSENT,
    ALIVE,
    NO_COUNTS,
    Account,
    Discovery,
    Fault,
    Kind,
    Look,
    Observation,
    Post,
    Sighting,
    Signal,
    Version,
    Via,
    failed,
    version_hash,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import Json, ident_of, parsed, server_of, table_of
from vanished.sources.html import Page, is_cut, is_too_deep
from vanished.sources.notice import load_pack
from vanished.sources.page import PageReader, observation, web_address
from vanished.sources.wechat_list import (
    Listed,
    ListPage,
    article_at,
    complete_since,
    read_album,
    read_history,
)
from vanished.sources.wechat_page import (
    BIZ,
    HOST,
    NUMBER,
    Article,
    block_type,
    ids_of,
    read_article,
)

KEYS: Mapping[str, Key] = {
    "server": Key("https://mp.weixin.qq.com", "whom to ask, such as a relay of yours")
}
CANARY = "an old article of an office or a library; gone: one that shows the notice you study"

MOST_PAGES = 5  # of a list in one reading
PER_PAGE = 20  # of an album; the history has pages of 10 pushes
MOST_KNOWN = 20  # ids of the last reading that the cursor holds

# Most wordings are known in Chinese only, so that is the language to ask in.
HEADERS: Mapping[str, str] = {"Accept-Language": "zh-CN,zh;q=0.9"}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What an answer says of one article."""

    signal: Signal
    article: Article | None = None

    @property
    def version(self) -> Version | None:
        article = self.article
        if article is None:
            return None
        hashed = version_hash(article.title, article.text)
        return Version(hashed, article.title, article.text, article.media)


class WeChatSource:
    """Articles of WeChat public accounts; see `sources.Source`.

    What is ambiguous here: "deleted by the author" is WeChat's word, and pressure on the author
    cannot be seen. "Deleted" without a name leaves author and platform open. A notice about the
    account does not say whether the article went before. An article under a short and a long
    address is two posts, since only the page of a living article tells that they are one. An album
    lacks what its editor takes off it, the history what was published without being sent; so
    absence from either only asks for a direct look.
    """

    platform = "wechat"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        self._name = name
        given = (settings or {}).get("server", f"https://{HOST}")
        self._server = server_of(given, self.platform, "server")
        self._pages = PageReader({})
        self._pack = load_pack("wechat")

    def account(self, address: str) -> Account:
        """The article, album or history at `address`; UsageError if it is none of them."""
        address = unescape(address.strip())
        if BIZ.fullmatch(address) and len(address) >= 12:
            return self._account(address, self._history_url(address))
        parts = urlsplit(web_address(address, "WeChat article or album"))
        host, own = parts.hostname, urlsplit(self._server).hostname
        if host not in (HOST, own):
            raise UsageError(
                f"'{host}' is not where WeChat's articles are; give an address on {HOST}."
            )
        query = parse_qs(parts.query)
        biz, _, _, _ = ids_of(parts.geturl())
        if parts.path == "/mp/appmsgalbum":
            album = (query.get("album_id") or [""])[0]
            if biz and NUMBER.fullmatch(album):
                return self._account(f"album:{biz}/{album}", self._album_url(biz, album))
        elif parts.path in ("/mp/profile_ext", "/mp/getmasssendmsg"):
            if biz:
                return self._account(biz, self._history_url(biz))
        elif found := article_at(parts.geturl(), self._server):
            return self._account(f"article:{found[0]}", found[1])
        raise UsageError(
            f"'{address[:200]}' is no WeChat article, album or history; give an article's address"
            f" such as https://{HOST}/s/SHORT, an album's with __biz and album_id, or a __biz."
        )

    def post(self, address: str) -> Post:
        """The article at `address`; UsageError if there is none."""
        account = self.account(address)
        kind, _, ident = account.native_id.partition(":")
        if kind != "article":
            raise UsageError(f"'{address[:200]}' is a list; give the address of one article.")
        return Post(self._name(self.platform, ident), "", self.platform, ident, account.url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The account's list, newest first, back to what the last reading had; or its one article.

        The cursor holds the newest ids of the last reading, or the hash of an article's wording.
        """
        if account.native_id.startswith("article:"):
            return await self._discover_article(account, cursor, fetch)
        return await self._discover_list(account, cursor, fetch)

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request an article."""
        return [await self._look(post, fetch) for post in posts]

    # -- articles ---------------------------------------------------------------------------

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        exchange = await fetch.request("GET", post.url, headers=HEADERS)
        reading = self._read(post.native_id, post.url, exchange)
        return _look_of(post.key, exchange, reading, post.version)

    async def _discover_article(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """As of a page: the loss is the article's, with its own cause, and of nobody else."""
        ident = account.native_id.removeprefix("article:")
        exchange = await fetch.request("GET", account.url, headers=HEADERS)
        reading = self._read(ident, account.url, exchange)
        post = Post(
            key=self._name(self.platform, ident),
            account=account.key,
            platform=self.platform,
            native_id=ident,
            url=account.url,
            published_at=reading.article.published_at if reading.article else None,
            repeats=reading.article.repeats if reading.article else None,
        )
        look = _look_of(post.key, exchange, reading, cursor)
        said = ABSENT if reading.signal.gone else reading.signal
        about = observation(account.key, exchange, said, Via.TIMELINE)
        sighting = Sighting(post, look.observation, look.version)
        return Discovery(about, (sighting,), cursor=look.observation.version or cursor, sole=True)

    def _read(self, ident: str, asked: str, exchange: Exchange) -> _Reading:
        """What the answer to a question about the article `ident` says of it."""
        refusal = self._unread(asked, exchange)
        if refusal is not None:
            return _Reading(refusal)
        article = read_article(exchange.body, _charset(exchange))
        if article is None or not article.shown:
            signal = self._said(asked, exchange)
            if signal is not None:
                return _Reading(replace(signal, status=exchange.status))
        if article is None:
            words = f"neither an article nor a notice that is known: {_main(exchange)}"
            return _Reading(failed(Fault.UNREADABLE, status=exchange.status, words=words))
        if article.native_id not in ("", ident) and not ident.startswith("s/"):
            words = "the answer is another article than the one asked for"
            return _Reading(failed(Fault.UNREADABLE, status=exchange.status, words=words))
        return _Reading(ALIVE, article)

    def _unread(self, asked: str, exchange: Exchange) -> Signal | None:
        """The signal of an answer that is no whole page; None for one that can be read."""
        refusal = self._pages.refusal(asked, exchange)
        if refusal is not None:
            return refusal
        status, body = exchange.status, exchange.body
        if not body.lstrip().startswith(b"<"):
            return failed(Fault.UNREADABLE, status=status, words="the answer is no page")
        if is_cut(body):
            words = "the document breaks off before its end"
            return failed(Fault.TRUNCATED, status=status, words=words)
        if is_too_deep(body):
            words = "the document nests its elements too deeply to be read"
            return failed(Fault.UNREADABLE, status=status, words=words)
        return None

    def _said(self, asked: str, exchange: Exchange) -> Signal | None:
        """What a page without an article says by a notice, or by the reason number of a block."""
        charset = _charset(exchange)
        answered = exchange.url if exchange.hops else asked
        page = Page(exchange.body, charset, asked=asked, answered=answered)
        said = self._pack.match_html(page)
        number = block_type(exchange.body, charset)
        reason = self._pack.match_field("block_type", number) if number else None
        # A sentence says more than a number, which may come to mean something else one day.
        if reason is None or (said and not said.rule.startswith("wechat/link-stopped@")):
            return said
        return replace(reason, words=said.words if said else page.main[:200])

    # -- lists ------------------------------------------------------------------------------

    async def _discover_list(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        known = set(cursor.split())
        album = account.native_id.startswith("album:")
        biz = ids_of(account.url)[0]
        more = "" if album else "&offset=0"
        about: Observation | None = None
        items: dict[str, Listed] = {}
        for _ in range(MOST_PAGES):
            exchange = await fetch.request("GET", _page_url(account.url, more), headers=HEADERS)
            read = self._list_page(account, biz, exchange)
            signal = read if isinstance(read, Signal) else ALIVE
            about = about or observation(account.key, exchange, signal, Via.TIMELINE)
            if isinstance(read, Signal):
                break  # of a later page: what was read before it stands
            fresh = [item for item in read.items if item.native_id not in items]
            items |= {item.native_id: item for item in fresh}
            more = read.next
            if not more or not fresh or any(item.native_id in known for item in read.items):
                break
        assert about is not None  # MOST_PAGES is not 0
        newest = " ".join(list(items)[:MOST_KNOWN])
        return Discovery(
            about,
            tuple(self._sighting(account, item) for item in items.values()),
            complete_since=complete_since(list(items.values()), bool(more)),
            cursor=newest or cursor,
        )

    def _list_page(self, account: Account, biz: str, exchange: Exchange) -> ListPage | Signal:
        """One page of a list, or what the answer says of the account in its place."""
        refusal = self._pages.refusal(account.url, exchange)
        if refusal is not None:
            return refusal
        if exchange.body.lstrip().startswith(b"<"):
            said = self._unread(account.url, exchange) or self._said(account.url, exchange)
            if said is not None and (said.kind is Kind.ERROR or said.account_level):
                return replace(said, status=exchange.status)
            words = f"a page in place of the list: {_main(exchange)}"
            return failed(Fault.UNREADABLE, status=exchange.status, words=words)
        answer = table_of(parsed(exchange))
        said = self._refused(answer)
        if said is not None:
            return replace(said, status=exchange.status)
        album = account.native_id.startswith("album:")
        page = (read_album if album else read_history)(answer, biz, self._server)
        if page is None:
            words = "the answer is no list that can be read"
            return failed(Fault.UNREADABLE, status=exchange.status, words=words)
        if not page.items:
            return failed(Fault.EMPTY, status=exchange.status, words="an empty list")
        return page

    def _refused(self, answer: Json) -> Signal | None:
        """The failed look of a code other than 0, None if the list was given."""
        code = ident_of(answer.get("ret", table_of(answer.get("base_resp")).get("ret")))
        if code in ("", "0"):
            return None
        known = self._pack.match_field("ret", code)
        words = f"the list is refused with code {code[:40]}"
        return known or failed(Fault.UNREADABLE, words=words)

    def _sighting(self, account: Account, item: Listed) -> Sighting:
        """Being listed proves nothing about the article itself."""
        key = self._name(self.platform, item.native_id)
        return Sighting(
            Post(key, account.key, self.platform, item.native_id, item.url, item.published_at)
        )

    # -- addresses --------------------------------------------------------------------------

    def _account(self, ident: str, url: str) -> Account:
        return Account(self._name(self.platform, ident), self.platform, ident, url, url)

    def _album_url(self, biz: str, album: str) -> str:
        return f"{self._server}/mp/appmsgalbum?action=getalbum&__biz={quote(biz)}&album_id={album}"

    def _history_url(self, biz: str) -> str:
        return f"{self._server}/mp/profile_ext?action=home&__biz={quote(biz)}"


# -- small readings ------------------------------------------------------------------------------


def _look_of(key: str, exchange: Exchange, reading: _Reading, known: str) -> Look:
    version = reading.version
    hashed = version.hash if version else ""
    counts = reading.article.counts if reading.article else NO_COUNTS
    seen = observation(key, exchange, reading.signal, Via.DIRECT, hashed, counts)
    return Look(seen, version if hashed != known else None)


def _page_url(account_url: str, more: str) -> str:
    """The JSON of a list whose page for people is at `account_url`."""
    if "/mp/appmsgalbum?" in account_url:
        return f"{account_url}&count={PER_PAGE}{more}&f=json"
    return f"{account_url.replace('action=home', 'action=getmsg')}{more}&count=10&f=json"


def _charset(exchange: Exchange) -> str:
    header = exchange.headers.get("content-type", "")
    return header.partition("charset=")[2].split(";")[0].strip(" \"'")


def _main(exchange: Exchange) -> str:
    return Page(exchange.body, _charset(exchange)).main
