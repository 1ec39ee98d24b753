"""Bluesky accounts, read through the public APIs of an AppView and of the repositories' hosts.

In: a handle or DID and a `Fetch`. Out: the account's posts with what each answer proves. The
AppView shows posts, 25 to a request; where it leaves one out, three layers are asked and compared:
the AppView again (does it know the post, and hide it for a label?), the host's word, and the signed
repository, whose hashes, path and signature are checked (`at_repo`). What the layers say together
stands in `notices/bluesky.toml`.

What it deliberately does not do: it logs in nowhere, reads no replies by others, no pictures, no
labels of labelers that the AppView does not follow by itself. What the stream of changes says is
read by `at_firehose`: it only hints at whom to ask.

What the public can see, measured on @atproto/dev-env 0.6.7:
- The host's takedown of one record leaves the AppView as it is: the post is alive until the AppView
  lets it go, too. With `ask_host = true` the host is asked for each post, one request more a post,
  and what it alone withholds is gone.
- !hide and !warn are covers that clients draw; the AppView serves the post, so it is alive, and
  the label is kept as words. !takedown and !suspend of the AppView's own labeler hide it.
- The repository of a host holds what the host or the AppView took down, and not what was deleted.
- A post that never existed is "not in the signed repository", like a deleted one; a deleted account
  is like one that never was. We only look at what we saw alive.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from vanished.archive.settings_asking import Key
from vanished.errors import EvidenceError, UsageError
from vanished.model import (
    Account,
    Cause,
    Discovery,
    Fault,
    Kind,
    Look,
    Post,
    Sighting,
    Signal,
    Via,
    failed,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings, at_firehose, at_identity, at_repo
from vanished.sources import bluesky_api as api
from vanished.sources.answer import server_of, table_of, text_of
from vanished.sources.at_identity import Identity
from vanished.sources.bluesky_api import Answer, Asker
from vanished.sources.page import observation

KEYS: Mapping[str, Key] = {
    "appview": Key("https://public.api.bsky.app", "whose public API to ask"),
    "plc": Key("https://plc.directory", "who says which host and keys belong to a did:plc"),
    "ask_host": Key(False, "also ask each post's host, for what the AppView withholds"),
    "stream": Key(
        "wss://bsky.network", "off unless set: look at once at what changes; much traffic"
    ),
}
CANARY = (
    "a post by its at:// address, with the DID: of a service's own account; gone: one you deleted"
)
APPVIEW = "https://public.api.bsky.app"
PLC = "https://plc.directory"
MOST_PAGES = 10  # of one reading: a thousand posts


class BlueskySource:
    """The source of Bluesky accounts; see `sources.Source`."""

    platform = "bluesky"
    batch = api.POSTS

    def __init__(self, name: Naming, settings: Settings) -> None:
        """Raises ConfigError for an address that is none, UsageError without libipld."""
        at_repo.need_decoder()
        self._name = name
        self._appview = server_of(settings.get("appview", APPVIEW), self.platform, "appview")
        self._plc = server_of(settings.get("plc", PLC), self.platform, "plc")
        self._ask_host = settings.get("ask_host", False) is True
        self.stream = at_firehose.stream_of(settings.get("stream", ""))

    def account(self, address: str) -> Account:
        """The account of a handle, a DID or a profile's address."""
        actor = api.named(address)
        if not at_identity.DID.fullmatch(actor):
            if not at_identity.HANDLE.fullmatch(actor):
                raise UsageError(
                    f"'{address[:80]}' is no Bluesky account; give a handle such as"
                    " news.example.org or a DID such as did:plc:ewvi7nxzyoun6zhxrhs64oiz."
                )
            actor = actor.lower()
        url = api.profile_url(self._appview, actor)
        return Account(self._name(self.platform, actor), self.platform, actor, actor, url)

    def post(self, address: str) -> Post:
        """The post at an at:// address or a page's; with the DID, since handles change owners."""
        uri = api.named_post(address)
        if not uri:
            raise UsageError(
                f"'{address[:80]}' is no Bluesky post by its DID; give one such as"
                f" at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/{api.COLLECTION}/3kaaaaaaaaa2b."
            )
        return self._post(uri)

    def streamed_as(self, account: Account, cursor: str) -> str:
        """The DID of the account, once it is known."""
        did = api.Mark.load(cursor).did or account.native_id
        return did if at_identity.DID.fullmatch(did) else ""

    def follow(self, watched: Container[str], seq: int) -> at_firehose.Follower:
        """Follow the stream of changes; see `sources.streaming`."""
        return at_firehose.Follower(watched, seq, self.stream)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """Read the account's newest posts; all of them, up to a thousand, the first time."""
        ask = Asker(fetch, self._appview)
        mark = api.Mark.load(cursor)
        if not mark.did:
            found = await self._resolve(ask, account.native_id)
            if isinstance(found, Signal):
                return Discovery(ask.seen(account.key, found, Via.TIMELINE))
            mark = replace(mark, did=found)
        pages, refusal = await _read(ask, mark)
        met: dict[str, Sighting] = {}
        dates = []
        for exchange, posts in pages:
            for post in posts:
                sighting = self._sighting(account.key, exchange, post)
                met.setdefault(sighting.post.native_id, sighting)
                if (date := api.sorted_at(post)) is not None:
                    dates.append(date)
        if not met or refusal is not None:  # an empty list may be an account that is hidden
            signal = await self._standing(ask, mark.did)
            if signal.kind is Kind.ALIVE and refusal is not None:
                signal = api.failure(refusal, "the AppView")
        else:
            signal = Signal(Kind.ALIVE)
        if dates and refusal is None:
            mark = replace(mark, newest=max(mark.newest, *dates))
        return Discovery(
            ask.seen(account.key, signal, Via.TIMELINE),
            tuple(met.values()),
            complete_since=min(dates) if dates else None,
            cursor=mark.dump(),
        )

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for the posts in one request, and further for each that is not shown."""
        ask = Asker(fetch, self._appview)
        first = await ask.posts([post.native_id for post in posts])
        shown = api.posts_of(first)
        if shown is None:
            signal = api.failure(first, "the AppView")
            return [Look(observation(post.key, first, signal)) for post in posts]
        looks: dict[str, Look] = {}
        missing: dict[str, list[Post]] = {}
        for post in posts:
            if (view := shown.get(post.native_id)) is None:
                missing.setdefault(api.split_uri(post.native_id)[0], []).append(post)
            elif self._ask_host and (denied := await self._withheld(ask, post.native_id)):
                looks[post.key] = Look(ask.seen(post.key, denied, Via.DIRECT))
            else:
                signal, version, counts = api.reading(view)
                hashed = version.hash if version else ""
                seen = observation(post.key, first, signal, Via.DIRECT, hashed, counts)
                looks[post.key] = Look(seen, version)
        labelers = first.headers.get("atproto-content-labelers", "").replace(";redact", "")
        for did, lost in missing.items():
            signals = await self._missing(ask, did, [p.native_id for p in lost], labelers)
            for post in lost:
                seen = ask.seen(post.key, signals[post.native_id], Via.DIRECT)
                looks[post.key] = Look(seen)
        return [looks[post.key] for post in posts]

    # -- posts that are not shown -----------------------------------------------------------------

    async def _missing(
        self, ask: Asker, did: str, uris: Sequence[str], labelers: str
    ) -> dict[str, Signal]:
        """What became of posts of one account that the AppView does not show."""
        if not did:
            return dict.fromkeys(uris, failed(Fault.UNREADABLE, words="no address of a post"))
        standing = await self._standing(ask, did)
        if standing.kind is not Kind.ALIVE:
            return dict.fromkeys(uris, standing)
        listed = await _newest(ask, did)
        if isinstance(listed, Signal):
            return dict.fromkeys(uris, listed)
        control = [uri for uri in listed if uri not in uris][:1]
        signals: dict[str, Signal] = {}
        for start in range(0, len(uris), api.POSTS - 1):
            part = uris[start : start + api.POSTS - 1]
            signals |= await _second_look(ask, part, control, labelers)
        words = "the AppView does not show the post, and lists it"
        unsure = failed(Fault.UNREADABLE, status=200, words=words)
        signals |= {uri: unsure for uri in uris if uri in listed and uri not in signals}
        identity = await self._identity(ask, did)
        for uri in uris:
            if uri not in signals:
                signals[uri] = await _by_repository(ask, identity, uri)
        return signals

    async def _withheld(self, ask: Asker, uri: str) -> Signal | None:
        """That the host alone took down a post which the AppView still shows, if it did."""
        identity = await self._identity(ask, api.split_uri(uri)[0])
        if not isinstance(identity, Identity):
            return None
        signal = await _by_repository(ask, identity, uri, denied_only=True)
        if signal.account_level or signal.by != "host":
            return None
        return api.rule("layers", "denied by its host, shown by the AppView", by="host")

    # -- accounts ---------------------------------------------------------------------------------

    async def _standing(self, ask: Asker, did: str) -> Signal:
        """What AppView, host and directory say of an account: alive, gone, or a failed look."""
        said = api.profile_signal(
            await ask.view("app.bsky.actor.getProfile", actor=did),
            did,
        )
        if said.kind is not Kind.GONE:
            return said
        identity = await self._identity(ask, did)
        host = identity if isinstance(identity, Signal) else await _at_host(ask, identity)
        if said.causes == {Cause.PLATFORM}:  # the AppView's own decision, or its host's
            return host if host.causes == said.causes else said
        if host.kind is Kind.ALIVE and Cause.UNKNOWN not in said.causes:
            words = "the AppView calls the account deactivated, its host calls it active"
            return failed(Fault.UNREADABLE, status=400, words=words)
        return host if host.kind is Kind.GONE else said

    async def _identity(self, ask: Asker, did: str) -> Identity | Signal:
        """The document of a DID, a tombstone, or the failed look; asked once a look."""
        url = at_identity.document_url(did, self._plc)
        for before in ask.exchanges:
            if before.url == url:
                exchange = before
                break
        else:
            exchange = await ask.get(url)
        answer = api.json_of(exchange)
        if exchange.status == 200 and (identity := at_identity.read_document(answer, did)):
            return identity
        if exchange.status in (404, 410) and did.startswith("did:plc:"):
            message = text_of(answer.get("message"))
            ended = api.matched("plc.message", message, status=exchange.status)
            if ended is not None:
                return replace(ended, by="directory")
        return api.failure(exchange, "the directory of identities")

    async def _resolve(self, ask: Asker, actor: str) -> str | Signal:
        """The DID of a handle, or the failed look. A handle that leads nowhere may be a typo."""
        if at_identity.DID.fullmatch(actor):
            return actor
        exchange = await ask.view("com.atproto.identity.resolveHandle", handle=actor)
        did = at_identity.did_in(text_of(api.json_of(exchange).get("did")))
        if exchange.status == 200 and did:
            return did
        if not api.error_of(exchange)[0]:
            return api.failure(exchange, "the AppView")
        own = await ask.get(at_identity.handle_url(actor))
        if own.fault is None and own.status == 200 and (did := at_identity.did_in(own.text())):
            return did
        words = "no account answers to this handle; see whether it is spelt right"
        return failed(Fault.UNREADABLE, status=exchange.status, words=words)

    def _sighting(self, account: str, exchange: Exchange, post: Answer) -> Sighting:
        uri = api.uri_of(post)
        signal, version, counts = api.reading(post)
        found = replace(
            self._post(uri),
            account=account,
            published_at=api.published(post),
            repeats=api.quoted(post),
        )
        hashed = version.hash if version else ""
        seen = observation(found.key, exchange, signal, Via.TIMELINE, hashed, counts)
        return Sighting(found, seen, version)

    def _post(self, uri: str) -> Post:
        url = api.xrpc(self._appview, "app.bsky.feed.getPosts", uris=uri)
        return Post(self._name(self.platform, uri), "", self.platform, uri, url)


# -- asking ------------------------------------------------------------------------------------


async def _read(
    ask: Asker, mark: api.Mark
) -> tuple[list[tuple[Exchange, list[Answer]]], Exchange | None]:
    """The account's own posts by page, newest first, and the refusal that ended the reading."""
    pages: list[tuple[Exchange, list[Answer]]] = []
    at = ""
    while len(pages) < MOST_PAGES:
        query: dict[str, str | int] = {"actor": mark.did, "limit": api.PAGE}
        query |= {"filter": "posts_with_replies", **({"cursor": at} if at else {})}
        exchange = await ask.view("app.bsky.feed.getAuthorFeed", **query)
        answer = api.json_of(exchange)
        feed = answer.get("feed")
        if exchange.status != 200 or not isinstance(feed, list):
            return pages, exchange
        own = _listed(feed, mark.did)
        pages.append((exchange, own))
        before, at = at, text_of(answer.get("cursor"))
        known = any((api.sorted_at(p) or mark.newest) < mark.newest for p in own)
        if not at or at == before or known:
            break
    return pages, None


def _listed(feed: Sequence[object], did: str) -> list[Answer]:
    """The account's own posts in a feed, without reposts and pinned ones: those have no order."""
    items = [table_of(item) for item in feed]
    posts = [table_of(item.get("post")) for item in items if not item.get("reason")]
    return [post for post in posts if api.split_uri(api.uri_of(post))[0] == did]


async def _newest(ask: Asker, did: str) -> list[str] | Signal:
    """The addresses of the account's newest posts as the AppView lists them, or the failed look.

    What an AppView lists, it has to show: one that shows nothing at all has lost its index.
    """
    query: dict[str, str | int] = {"actor": did, "limit": api.POSTS, "filter": "posts_with_replies"}
    exchange = await ask.view("app.bsky.feed.getAuthorFeed", **query)
    feed = api.json_of(exchange).get("feed")
    if exchange.status != 200 or not isinstance(feed, list):
        return api.failure(exchange, "the AppView")
    return [api.uri_of(post) for post in _listed(feed, did)]


async def _second_look(
    ask: Asker, uris: Sequence[str], control: Sequence[str], labelers: str
) -> dict[str, Signal]:
    """Posts that the AppView knows but hides for a label; failed looks where it is not itself.

    Its labelers are named without ";redact": their labels are shown, but hide nothing. `control`
    is a post that it lists at this time and so has to show.
    """
    exchange = await ask.posts([*uris, *control], labelers)
    shown = api.posts_of(exchange)
    if shown is None:
        return dict.fromkeys(uris, api.failure(exchange, "the AppView"))
    if any(uri not in shown for uri in control):
        words = "the AppView does not even show a post that it lists"
        return dict.fromkeys(uris, failed(Fault.EMPTY, status=200, words=words))
    signals = {}
    for uri in uris:
        if uri in shown:
            labels = api.labels_of(shown[uri])
            hiding = next((each for each in api.TAKEDOWN_LABELS if each in labels), None)
            words = "the AppView shows the post in one of two answers"
            unsure = failed(Fault.UNREADABLE, status=200, words=words)
            signals[uri] = api.rule("layers", hiding, by="labeler") if hiding else unsure
    return signals


async def _at_host(ask: Asker, identity: Identity) -> Signal:
    """What the host says of the repository: alive, gone, or a failed look."""
    if not identity.host:
        return failed(Fault.UNREADABLE, words="the identity names no host of its repository")
    url = api.xrpc(identity.host, "com.atproto.sync.getRepoStatus", did=identity.did)
    exchange = await ask.get(url)
    answer = api.json_of(exchange)
    if exchange.status == 200 and answer.get("did") == identity.did:
        if answer.get("active") is True:
            return Signal(Kind.ALIVE)
        said = api.matched("repo.status", text_of(answer.get("status")), status=200)
    else:
        said = api.matched("repo.error", api.error_of(exchange)[0], status=400)
    return replace(said, by="host") if said else api.failure(exchange, "the host")


async def _by_repository(
    ask: Asker, identity: Identity | Signal, uri: str, *, denied_only: bool = False
) -> Signal:
    """What the host and its signed repository say of a record that the AppView does not show.

    `denied_only`: the repository is of interest only where the host denies the record.
    """
    nothing = api.rule("layers", "not shown, nothing proved")
    if isinstance(identity, Signal):
        return identity if identity.kind is Kind.GONE else replace(nothing, words=identity.words)
    if not identity.host:
        return replace(nothing, words="the identity names no host of its repository")
    did, rkey = api.split_uri(uri)
    query = {"repo": did, "collection": api.COLLECTION, "rkey": rkey}
    word = await ask.get(api.xrpc(identity.host, "com.atproto.repo.getRecord", **query))
    denied = api.error_of(word)[0] == "RecordNotFound"
    if denied_only and not denied:
        return nothing
    car = await ask.car(identity.host, did, rkey)
    if (lost := api.matched("repo.error", api.error_of(car)[0], status=400)) is not None:
        return replace(lost, by="host")
    if car.fault is not None or car.status != 200:
        return replace(nothing, words=api.failure(car, "the host").words)
    try:
        proof = at_repo.prove(car.body, did, f"{api.COLLECTION}/{rkey}", identity.keys)
    except EvidenceError as error:
        return replace(nothing, words=api.masked(str(error)))
    if proof.held and denied:
        return api.rule("layers", "denied by its host, held by the signed repository", by="host")
    if proof.held:
        return api.rule("layers", "held by the signed repository", by="appview")
    if word.fault is None and word.status == 200:
        return replace(nothing, words="the host serves a record that its repository lacks")
    return api.rule("layers", "not in the signed repository", by="repository")
