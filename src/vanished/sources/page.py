"""The web page as a source: any address, one post, looked at again and again.

In: the address a person gives, later the answers of the fetcher. Out: what each answer proves. An
edit is a new version and never a loss; a refusal, a check for robots, a login page, a blank or a
broken page proves nothing. `PageReader` is the part that `feed` shares. Not done here: scripts are
not run, and a page that moved for good is simply read where it is now.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlsplit

from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ABSENT,
    ALIVE,
    NO_COUNTS,
    Account,
    Counts,
    Discovery,
    Fault,
    Look,
    Observation,
    Post,
    Sighting,
    Signal,
    Strength,
    Version,
    Via,
    failed,
    version_hash,
)
from vanished.net.address import Denied, checked_url
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import parsed, table_of
from vanished.sources.html import Page, is_cut, is_too_deep
from vanished.sources.notice import LONGEST, Pack, load_pack, pack_names

KEYS: Mapping[str, type] = {"notices": list}
"""`notices`: the packs to read pages by, in place of every pack that speaks of pages."""

REMEMBERED = 8192
"""Answers whose reading is remembered, about 300 bytes each."""

_REFUSALS = (401, 403, 407)
_BLOCKED_BY = re.compile(r"<([^>]*)>[^,]*;\s*rel\s*=\s*\"?[^\",;]*\bblocked-by\b", re.I)


def web_address(text: str, what: str) -> str:
    """`text` as the one way to write its address; UsageError if no `what` can be there.

    http and https only; the host in lower case and ASCII, no default port, no fragment.
    """
    try:
        url = checked_url(text.strip())
    except Denied as error:
        raise UsageError(
            f"'{text[:200]}' is no address of a {what}: {error}; give one such as"
            " https://example.org/post/1."
        ) from None
    if "@" in urlsplit(text.strip()).netloc:
        raise UsageError(
            f"The address of a {what} may hold no user name or password, since addresses are"
            " kept and published; give it without."
        )
    url = url.with_fragment(None)
    parts = urlsplit(str(url.with_port(None) if url.is_default_port() else url))
    return parts._replace(path=parts.path or "/").geturl()


def observation(
    subject: str,
    exchange: Exchange,
    signal: Signal,
    via: Via = Via.DIRECT,
    version: str = "",
    counts: Counts = NO_COUNTS,
    *,
    first: Exchange | None = None,
) -> Observation:
    """One look, with the times and the vantage of its exchange; it began with `first` if given."""
    return Observation(
        subject,
        (first or exchange).asked_at,
        exchange.answered_at,
        signal,
        via,
        exchange.vantage,
        version,
        counts,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says, the hash of the wording ("" if none), the wording if it is new."""

    signal: Signal
    hash: str = ""
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class _Site:
    """What applies on a host: packs, their content places, the packs of that very host."""

    packs: Sequence[Pack]
    content: Sequence[str]
    bound: Sequence[Pack]


class PageReader:
    """Reads answers by notice packs. It remembers readings of equal bytes, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        """`settings["notices"]` names the packs to use everywhere, by default every pack that
        speaks of pages: their places are parts of a page's build, which other sites lack.
        ConfigError for a pack that does not exist.
        """
        named = settings.get("notices")
        if named is not None and not (
            isinstance(named, list | tuple) and all(isinstance(name, str) for name in named)
        ):
            raise ConfigError(f"'notices' has to be a list of notice packs: {list(pack_names())}.")
        packs = {name: load_pack(name) for name in pack_names()}
        general = [name for name in packs if named is None or name == "web" or name in named]
        for name in named or ():
            load_pack(name)
        self._status = packs["http"]
        self._web = packs["web"]
        self._general = [packs[name] for name in general if packs[name].reads_pages]
        self._hosted = [pack for pack in packs.values() if pack.hosts and pack.reads_pages]
        self._site = lru_cache(1024)(self._make_site)
        self._remembered: OrderedDict[bytes, tuple[Signal, str]] = OrderedDict()

    def refusal(self, asked: str, exchange: Exchange) -> Signal | None:
        """What a failed exchange or a status other than 200 says of `asked`; None for an answer
        with something to read.
        """
        if exchange.fault is not None:
            return failed(exchange.fault, status=exchange.status, words=exchange.words)
        if exchange.status not in (200, 203):
            return self._refused(asked, exchange)
        if not exchange.body.strip():
            return failed(Fault.EMPTY, status=exchange.status, words="an answer without a body")
        return None

    def read(self, asked: str, exchange: Exchange, known: str = "") -> Reading:
        """What `exchange` says of the page at `asked`, of which version `known` is held."""
        if exchange.fault is not None:
            return Reading(failed(exchange.fault, status=exchange.status, words=exchange.words))
        key = _digest(asked, exchange)
        before = self._remembered.get(key)
        if before is not None and before[1] in ("", known):
            self._remembered.move_to_end(key)
            return Reading(*before)
        reading = self._read(asked, exchange, known)
        self._remembered[key] = (reading.signal, reading.hash)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return reading

    def _read(self, asked: str, exchange: Exchange, known: str) -> Reading:
        refusal = self.refusal(asked, exchange)
        if refusal is not None:
            return Reading(refusal)
        if not _is_html(exchange):
            signal = self._said_plainly(exchange)
            return Reading(signal) if signal else _read_bytes(exchange, known)
        if is_cut(exchange.body):
            words = "the document breaks off before its end"
            return Reading(failed(Fault.TRUNCATED, status=exchange.status, words=words))
        if is_too_deep(exchange.body):
            words = "the document nests its elements too deeply to be read"
            return Reading(failed(Fault.UNREADABLE, status=exchange.status, words=words))
        site = self._site(_host(_answered(asked, exchange)))
        page = _parse(asked, exchange, site)
        signal = _notice(page, site) or _no_content(page, site)
        if signal is not None:
            return Reading(replace(signal, status=exchange.status))
        found = version_hash(page.title, page.main)
        if found == known:
            return Reading(ALIVE, found)
        return Reading(ALIVE, found, Version(found, page.title, page.main, page.media))

    def _said_plainly(self, exchange: Exchange) -> Signal | None:
        """What an answer that is no HTML says instead of the page; None if it is the page.

        A short text can be a notice and nothing else; JSON can be empty, or a programme's error.
        """
        kind = _kind(exchange)
        if kind == "text/plain" and len(exchange.body) <= 4 * LONGEST:
            said = self._web.match_text(exchange.text())
            return replace(said, status=exchange.status) if said else None
        if kind != "application/json":
            return None
        value = parsed(exchange)
        if value is None or value in ({}, []):
            words = "JSON without anything in it, or that breaks off"
            return failed(Fault.EMPTY, status=exchange.status, words=words)
        if table_of(value).get("error"):
            words = "an error of a programme in place of the page"
            return failed(Fault.UNREADABLE, status=exchange.status, words=words)
        return None

    def _make_site(self, host: str) -> _Site:
        bound = [pack for pack in self._hosted if _is_on(host, pack)]
        packs = self._general + [pack for pack in bound if pack not in self._general]
        return _Site(packs, [place for pack in packs for place in pack.content], bound)

    def _refused(self, asked: str, exchange: Exchange) -> Signal:
        """The signal of a status other than 200: a notice in the body says more than the status.

        Only a strong notice, or a failed look: a soft "not found" adds nothing to a real one.
        """
        status = exchange.status or 0
        bare = self._status.match_status(status)
        if bare is None and status not in _REFUSALS:
            empty = status in (204, 205)
            fault = Fault.EMPTY if empty else Fault.UNREADABLE
            return failed(fault, status=status, words=f"answered with the status {status}")
        if exchange.body.strip() and _is_html(exchange) and not is_too_deep(exchange.body):
            site = self._site(_host(_answered(asked, exchange)))
            said = _notice(_parse(asked, exchange, site), site)
            if said is not None and (said.fault or said.strength is Strength.STRONG):
                return replace(said, status=status)
        if bare is None:
            return failed(Fault.FORBIDDEN, status=status, words="the site refuses this reader")
        blocker = _BLOCKED_BY.search(exchange.headers.get("link", "")[:2000])
        return replace(bare, by=blocker[1][:200]) if blocker and status == 451 else bare


class PageSource:
    """One page, one account, one post. See `sources.Source`."""

    platform = "page"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        self._name = name
        self._reader = PageReader(settings or {})

    def account(self, address: str) -> Account:
        """The page at `address`, as its own account; UsageError if it is no web address."""
        url = web_address(address, "web page")
        # Not the post's native id: two subjects of one key would be taken for one.
        native_id = f"page:{url}"
        return Account(self._name(self.platform, native_id), self.platform, native_id, url, url)

    def post(self, address: str) -> Post:
        """The page at `address` as a post of nobody's; UsageError if it is no web address."""
        url = web_address(address, "page")
        return Post(self._name(self.platform, url), "", self.platform, url, url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The page itself as the one post, with a look at it.

        A lost page is only "absent" from its account: the loss is the post's, with its own cause,
        and an account lost at the same moment would explain that cause away. The cursor is the
        hash of the wording that was handed over last.
        """
        post = Post(
            key=self._name(self.platform, account.url),
            account=account.key,
            platform=self.platform,
            native_id=account.url,
            url=account.url,
        )
        exchange = await fetch.request("GET", account.url)
        reading = self._reader.read(account.url, exchange, cursor)
        look = observation(post.key, exchange, reading.signal, version=reading.hash)
        lost = reading.signal.gone
        about = observation(account.key, exchange, ABSENT if lost else reading.signal, Via.TIMELINE)
        sighting = Sighting(post, look, reading.version)
        return Discovery(about, (sighting,), cursor=reading.hash or cursor, sole=True)

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request a page."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        return await look_at_page(self._reader, post, fetch)


async def look_at_page(reader: PageReader, post: Post, fetch: Fetch) -> Look:
    """Ask for the page of `post` and read the answer. The version comes along if it is new."""
    exchange = await fetch.request("GET", post.url)
    reading = reader.read(post.url, exchange, post.version)
    seen = observation(post.key, exchange, reading.signal, version=reading.hash)
    return Look(seen, reading.version)


# -- reading one answer --------------------------------------------------------------------------


def _digest(asked: str, exchange: Exchange) -> bytes:
    """Everything that a reading depends on, in 32 bytes."""
    read = hashlib.sha256(exchange.body)
    headers = exchange.headers
    rest = (asked, exchange.url, bool(exchange.hops), exchange.status)
    read.update(repr((rest, headers.get("content-type"), headers.get("link"))).encode())
    return read.digest()


def _kind(exchange: Exchange) -> str:
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_html(exchange: Exchange) -> bool:
    kind = _kind(exchange)
    if not kind:
        return exchange.body.lstrip()[:1] == b"<"
    return kind in ("text/html", "application/xhtml+xml")


def _answered(asked: str, exchange: Exchange) -> str:
    """The address that answered. Without a redirect it is the one asked, however it is written."""
    return exchange.url if exchange.hops else asked


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _parse(asked: str, exchange: Exchange, site: _Site) -> Page:
    header = exchange.headers.get("content-type", "")
    charset = header.partition("charset=")[2].split(";")[0].strip(" \"'")
    answered = _answered(asked, exchange)
    return Page(exchange.body, charset, asked=asked, answered=answered, content=site.content)


def _notice(page: Page, site: _Site) -> Signal | None:
    """What the packs say together: a failed look before a strong notice before a weak one."""
    signals = [signal for pack in site.packs if (signal := pack.match_html(page)) is not None]
    return min(signals, key=lambda s: (s.fault is None, s.strength is Strength.WEAK), default=None)


def _no_content(page: Page, site: _Site) -> Signal | None:
    """The failed look at a page that shows nothing we know to be content; None if it does."""
    for pack in site.bound:
        if not any(page.shows(place) for place in pack.content):
            words = f"neither content nor a notice that is known of {pack.platform}: {page.main}"
            return failed(Fault.UNREADABLE, words=words)
    if page.is_blank:
        return failed(Fault.EMPTY, words="a page without text or media of its own")
    return None


def _is_on(host: str, pack: Pack) -> bool:
    return any(host == known or host.endswith(f".{known}") for known in pack.hosts)


def _read_bytes(exchange: Exchange, known: str) -> Reading:
    """Anything but HTML: bytes that are there are alive, and their hash is the version."""
    found = hashlib.sha256(exchange.body).hexdigest()
    if found == known:
        return Reading(ALIVE, found)
    if exchange.headers.get("content-type", "").startswith("text/"):
        return Reading(ALIVE, found, Version(found, text=exchange.text()))
    return Reading(ALIVE, found, Version(found, media=(exchange.url,)))
