"""One short visit to an XMPP server over HTTP: log in, ask, leave.

In: a `Fetch` and the address of a server's BOSH service (XEP-0124, XEP-0206). Out: the stanzas
that answer, or `Ended` with the failed look that it is. BOSH carries stanzas in plain requests of
HTTP, so the door's guard, budgets, caps, proxies and evidence hold for them as for any page; an
XMPP client of its own would need each of them a second time. Logging in is asked privately, so
no captured byte could log anybody in; the visit that a captured byte names is over by then.

Stanzas from another address than the one that was asked, or to a question that was not ours, are
dropped: anybody on the network may send us stanzas.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from vanished.model import Fault, Observation, Signal, Version, Via, failed
from vanished.net.exchange import Exchange, Fetch
from vanished.net.login import Login
from vanished.sources import xmpp_login as login
from vanished.sources import xmpp_xml as xml
from vanished.sources.notice import load_pack
from vanished.sources.xmpp_xml import Element, attribute

WAIT_S = 5  # how long the server may keep a question that it has no answer to yet
MOST_POLLS = 6  # times that we ask on for answers that are still missing
MOST_STEPS = 4  # of a login

Done = Callable[[Sequence[Element]], bool]


class Ended(Exception):  # noqa: N818 - the signal inside says what failed
    """The visit is over; carries the failed look. Stays in the files of this source."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal.words)
        self.signal = signal


@dataclass(frozen=True, slots=True)
class Observer:
    """Who looks. `user` is "" for a guest, who has no use for `login`."""

    user: str
    domain: str
    login: Login = field(repr=False)
    plain: bool  # the server is on this machine, and TLS may be left out
    nick: str = ""  # with which to enter rooms; "": never enter one


@dataclass
class Visit:
    """A session under way; `exchanges` are all of it, in order.

    No `password` where the server that is asked is not the observer's own.
    """

    fetch: Fetch
    url: str
    observer: Observer
    password: str = field(repr=False)
    exchanges: list[Exchange] = field(default_factory=list)
    _sid: str = field(default="", repr=False)
    _rid: int = field(default_factory=lambda: secrets.randbelow(1 << 40) + 1, repr=False)
    _over: bool = False

    # -- the session ------------------------------------------------------------------------

    async def open(self) -> None:
        """Log in and get an address. Raises Ended."""
        observer = self.observer
        if observer.user and not self.password:
            await self._create()
            self._refused("no password")
            raise Ended(_no_entry(f"no password; put it into {observer.login.variable}"))
        offered = {(m.text or "").strip() for m in (await self._create()).iter(_MECHANISM)}
        plain = observer.plain or self.url.startswith("https://")
        way = login.choose(offered, observer.user, self.password, plain=plain)
        if way is None:
            kind = "password" if observer.user else "guest"
            raise Ended(_no_entry(f"the server offers no {kind} login that we can use here"))
        try:
            await self._log_in(way)
        except login.LoginError as error:
            raise Ended(failed(Fault.UNREADABLE, words=f"login: {error}")) from None
        await self._private(f"to='{attribute(observer.domain)}' xmpp:restart='true'{_XBOSH}")
        bound = f"<iq xmlns='{xml.CLIENT}' type='set' id='bind'><bind xmlns='{xml.BIND}'/></iq>"
        answer = await self._until(bound, answers("bind"), private=True)
        if not any(iq.get("type") == "result" for iq in xml.kinds(answer, "iq")):
            raise Ended(_no_entry("the server gives us no address"))

    async def close(self) -> None:
        """Leave. What the server says to that is of no interest."""
        if self._sid and not self._over:
            await self._send("type='terminate'", _GONE, private=True)
            self._over = True

    async def ask(self, stanzas: str, done: Done, *, private: bool = False) -> list[Element]:
        """Send `stanzas`; all that comes until `done` with it. Raises Ended.

        `private`: the answer is no evidence; see `net.exchange.Fetch`.
        """
        return await self._until(stanzas, done, private=private)

    def _refused(self, why: str) -> None:
        """The observer's own login is of no use, whatever is asked."""
        if self.observer.user:
            self.observer.login.refused(self.password, self.exchanges[-1].answered_at, why)

    # -- requests ---------------------------------------------------------------------------

    async def _create(self) -> Element:
        domain = attribute(self.observer.domain)
        return await self._private(
            f"content='text/xml; charset=utf-8' hold='1' wait='{WAIT_S}' ver='1.6' to='{domain}'"
            f" xml:lang='en' xmpp:version='1.0'{_XBOSH}"
        )

    async def _log_in(self, way: login.Login) -> None:
        data = base64.b64encode(way.first).decode() or "="
        if way.mechanism == "ANONYMOUS":
            data = ""
        sent = f"<auth xmlns='{xml.SASL}' mechanism='{way.mechanism}'>{data}</auth>"
        for _ in range(MOST_STEPS):
            answer = await self._until(sent, _SASL_SAID, private=True)
            said = next(child for child in answer if child.tag.startswith(f"{{{xml.SASL}}}"))
            kind = said.tag.rpartition("}")[2]
            if kind == "success":
                way.check(_decoded(said))
                return
            if kind != "challenge":
                names = [child.tag.rpartition("}")[2] for child in said]
                reason = next((name for name in names if name != "text"), "not-authorized")
                if reason in _LOGIN_LOST:
                    self._refused(reason)
                raise Ended(_refused_login(reason, self.observer))
            data = base64.b64encode(way.answer(_decoded(said))).decode()
            sent = f"<response xmlns='{xml.SASL}'>{data}</response>"
        raise login.LoginError("no end to it")

    async def _private(self, attributes: str) -> Element:
        body = await self._send(attributes, "", private=True)
        if body is None:
            raise self._end(self.exchanges[-1])
        self._sid = body.get("sid") or self._sid
        return body

    async def _until(self, stanzas: str, done: Done, *, private: bool) -> list[Element]:
        found: list[Element] = []
        for _ in range(1 + MOST_POLLS):
            body = await self._send("", stanzas, private=private)
            if body is None:
                raise self._end(self.exchanges[-1])
            found += body
            if done(found):
                return found
            stanzas = ""
        raise Ended(failed(Fault.TIMEOUT, words="the server took the question and did not answer"))

    async def _send(self, attributes: str, stanzas: str, *, private: bool) -> Element | None:
        """One request; None if its answer is no BOSH, or the end of the session."""
        self._rid += 1
        sid = f" sid='{attribute(self._sid)}'" if self._sid else ""
        text = f"<body xmlns='{xml.BOSH}' rid='{self._rid}'{sid} {attributes}>{stanzas}</body>"
        exchange = await self.fetch.request(
            "POST",
            self.url,
            headers={"Content-Type": "text/xml; charset=utf-8"},
            body=text.encode(),
            private=private,
        )
        self.exchanges.append(exchange)
        body = _body(exchange)
        self._over = body is None or body.get("type") == "terminate"
        return None if self._over else body

    def _end(self, exchange: Exchange) -> Ended:
        """Why the session is over: the server said so, or what came is no BOSH."""
        if exchange.fault is not None:
            return Ended(failed(exchange.fault, status=exchange.status, words=exchange.words))
        body = _body(exchange)
        if body is None:
            fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
            words = "the answer is not of a BOSH service; see whether server names its address"
            return Ended(failed(fault, status=exchange.status, words=words))
        said = body.get("condition") or "undefined-condition"
        known = load_pack("xmpp").match_field("session", said)
        words = f"the server ended the session: {said}"
        signal = failed(Fault.UNREADABLE, words=words) if known is None else known
        return Ended(replace(signal, status=exchange.status, words=words[:200]))

    def seen(
        self,
        subject: str,
        signal: Signal,
        via: Via,
        version: Version | None = None,
        since: int = 0,
    ) -> Observation:
        """The look that the exchanges from number `since` on together are."""
        start = self.exchanges[min(since, len(self.exchanges) - 1)]
        last = self.exchanges[-1]
        hashed = version.hash if version else ""
        return Observation(
            subject, start.asked_at, last.answered_at, signal, via, last.vantage, hashed
        )


_LOGIN_LOST = frozenset({"not-authorized", "account-disabled", "credentials-expired"})
"""Conditions of RFC 6120, 6.5, that speak of the account; others, of trouble of the server."""

_XBOSH = " xmlns:xmpp='urn:xmpp:xbosh'"
_GONE = f"<presence xmlns='{xml.CLIENT}' type='unavailable'/>"
_MECHANISM = f"{{{xml.SASL}}}mechanism"


def _SASL_SAID(found: Sequence[Element]) -> bool:  # noqa: N802
    return any(child.tag.startswith(f"{{{xml.SASL}}}") for child in found)


def answers(*idents: str, sender: str = "") -> Done:
    """Whether each iq of `idents` was answered, by `sender` if one is named."""

    def done(found: Sequence[Element]) -> bool:
        got = {iq.get("id") for iq in replies(found, sender)}
        return got.issuperset(idents)

    return done


def replies(found: Sequence[Element], sender: str = "") -> list[Element]:
    """The answers to iqs among `found`; only those of `sender` if one is named."""
    return [
        iq
        for iq in xml.kinds(list(found), "iq")
        if iq.get("type") in ("result", "error") and (not sender or iq.get("from") == sender)
    ]


def _body(exchange: Exchange) -> Element | None:
    if exchange.fault is not None or exchange.status != 200:
        return None
    root = xml.parsed(exchange.body)
    return root if root is not None and root.tag == f"{{{xml.BOSH}}}body" else None


def _decoded(said: Element) -> bytes:
    try:
        return base64.b64decode((said.text or "").strip(), validate=True)
    except binascii.Error:
        return b""  # "=" stands for an empty message


def _no_entry(words: str) -> Signal:
    return failed(Fault.FORBIDDEN, words=f"the observer cannot log in: {words}")


def _refused_login(reason: str, observer: Observer) -> Signal:
    words = f"the observer cannot log in: {reason}"
    if reason == "not-authorized" and observer.user:
        words += f"; see whether {observer.login.variable} holds the account's password"
    known = load_pack("xmpp").match_field("login", reason)
    signal = failed(Fault.FORBIDDEN) if known is None else known
    return replace(signal, words=words[:200])
