"""A small BOSH service with one room, as a `Fetch`: it plays recorded stanzas back.

In: the stanzas of an archive, and what the room says of itself; a test may overrule any answer.
What a real server says is tested in test_prosody.py; here is what no test can make one say.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from vanished.model import Fault
from vanished.net.exchange import Exchange

URL = "https://xmpp.example.org:5281/http-bind"
ROOM = "news@rooms.example.org"
OWN = "reader@example.org/x1"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
OCCUPANT = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{}'/>"
FEATURES = ("urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:occupant-id:0")


def message(
    text: str = "", nick: str = "ann", *more: str, own_id: str = "o1", occupant: str | None = None
) -> str:
    """A stored message of `nick`; "" is the room itself."""
    sender = f"{ROOM}/{nick}" if nick else ROOM
    body = f"<body>{text}</body>" if text else ""
    shown = OCCUPANT.format(occupant or f"occupant-of-{nick}") if occupant != "" and nick else ""
    return (
        f"<message xmlns='jabber:client' from='{sender}' type='groupchat' id='{own_id}'>"
        f"{body}{shown}{''.join(more)}</message>"
    )


@dataclass
class Archive:
    """The room's archive: (stanza-id, time, stanza), oldest first, and the room's errors."""

    stored: list[tuple[str, str, str]] = field(default_factory=list)
    error: str = ""  # of the archive
    about: str = ""  # error of the room's word about itself
    reason: str = ""
    venue: str = ""
    features: tuple[str, ...] = FEATURES
    entry: str = ""  # error of entering; "" lets in, and opens the archive
    fin: str = ""  # attributes of the end of an answer
    lost: bool = False  # results do not arrive, though the end names them
    extra: Callable[[str], str] = lambda queryid: ""  # stanzas of somebody else

    def put(self, ident: str, stanza: str, stamp: str = "2026-11-24T10:00:00Z") -> None:
        self.stored = [one for one in self.stored if one[0] != ident]
        self.stored.append((ident, stamp, stanza))


@dataclass
class Service:
    """A `Fetch`; `answers` overrules the answer to the n-th request (from 0)."""

    archive: Archive = field(default_factory=Archive)
    mechanisms: tuple[str, ...] = ("PLAIN",)
    login: str = f"<success xmlns='{SASL}'/>"
    answers: Mapping[int, Exchange | bytes] = field(default_factory=dict)
    asked: list[tuple[str, bytes, bool]] = field(default_factory=list)  # url, body, private
    entered: bool = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        assert method == "POST"
        number = len(self.asked)
        self.asked.append((url, body or b"", private))
        now = 1_000_000 * (number + 1)
        exchange = Exchange(url, now, now + 1000, 200)
        given = self.answers.get(number)
        if isinstance(given, Exchange):
            return replace(given, asked_at=now, answered_at=now + 1000)
        answer = given if given is not None else self._answer(body or b"").encode()
        return replace(exchange, body=answer)

    @property
    def words(self) -> str:
        """All that was sent, for a look at what was asked."""
        return "\n".join(body.decode() for _, body, _ in self.asked)

    def _answer(self, body: bytes) -> str:
        root = ElementTree.fromstring(body)
        inner = ""
        if "sid" not in root.attrib:
            offered = "".join(f"<mechanism>{m}</mechanism>" for m in self.mechanisms)
            inner = f"<mechanisms xmlns='{SASL}'>{offered}</mechanisms>"
        if root.get("type") == "terminate":
            return "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate'/>"
        for child in root:
            inner += self._stanza(child)
        return f"<body xmlns='http://jabber.org/protocol/httpbind' sid='s1'>{inner}</body>"

    def _stanza(self, child: ElementTree.Element) -> str:
        name = child.tag.rpartition("}")[2]
        if name in ("auth", "response"):
            return self.login
        if name == "presence":
            return self._presence(child)
        ident = child.get("id", "")
        if child.find("{urn:ietf:params:xml:ns:xmpp-bind}bind") is not None:
            return f"<iq xmlns='jabber:client' type='result' id='{ident}'/>"
        query = child.find("{urn:xmpp:mam:2}query")
        if query is not None:
            return self._query(ident, query)
        return self._about(ident)

    def _about(self, ident: str) -> str:
        archive = self.archive
        if archive.about:
            return error(ident, archive.about, archive.reason, archive.venue)
        features = "".join(f"<feature var='{f}'/>" for f in archive.features)
        return (
            f"<iq xmlns='jabber:client' type='result' id='{ident}' from='{ROOM}'>"
            f"<query xmlns='http://jabber.org/protocol/disco#info'>{features}</query></iq>"
        )

    def _presence(self, child: ElementTree.Element) -> str:
        if child.get("type") == "unavailable":
            return ""
        own = child.get("to", "")
        if self.archive.entry:
            inner = f"<error type='auth'><{self.archive.entry} xmlns='{STANZAS}'/></error>"
            return f"<presence xmlns='jabber:client' type='error' from='{own}'>{inner}</presence>"
        self.entered, self.archive.error = True, ""
        other = f"<presence xmlns='jabber:client' from='{ROOM}/ann'/>"
        return (
            f"{other}<presence xmlns='jabber:client' from='{own}'>"
            "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>"
        )

    def _query(self, ident: str, query: ElementTree.Element) -> str:
        archive = self.archive
        if archive.error:
            return error(ident, archive.error)
        queryid, chosen, complete = query.get("queryid", ""), self._chosen(query), True
        most = int(query.findtext(".//{http://jabber.org/protocol/rsm}max", "50"))
        back = query.find(".//{http://jabber.org/protocol/rsm}before")
        behind = query.findtext(".//{http://jabber.org/protocol/rsm}after")
        idents = [one[0] for one in chosen]
        if back is not None:
            end = idents.index(back.text) if back.text else len(chosen)
            chosen, complete = chosen[max(0, end - most) : end], end <= most
        else:
            start = idents.index(behind) + 1 if behind else 0
            complete = len(chosen) <= start + most
            chosen = chosen[start : start + most]
        ends = f"<first>{chosen[0][0]}</first><last>{chosen[-1][0]}</last>" if chosen else ""
        results = "" if archive.lost else "".join(result(queryid, *one) for one in chosen)
        return (
            f"{archive.extra(queryid)}{results}"
            f"<iq xmlns='jabber:client' type='result' id='{ident}' from='{ROOM}'>"
            f"<fin xmlns='urn:xmpp:mam:2' complete='{str(complete).lower()}' {archive.fin}>"
            f"<set xmlns='http://jabber.org/protocol/rsm'>{ends}</set></fin></iq>"
        )

    def _chosen(self, query: ElementTree.Element) -> list[tuple[str, str, str]]:
        fields = {
            f.get("var"): [v.text or "" for v in f] for f in query.iter("{jabber:x:data}field")
        }
        chosen = self.archive.stored
        if "ids" in fields and "urn:xmpp:mam:2#extended" in self.archive.features:
            chosen = [one for one in chosen if one[0] in fields["ids"]]
        if "start" in fields:
            chosen = [one for one in chosen if one[1] >= fields["start"][0]]
        if "end" in fields:
            chosen = [one for one in chosen if one[1] <= fields["end"][0]]
        return chosen


def result(queryid: str, ident: str, stamp: str, stanza: str, sender: str = ROOM) -> str:
    """One result of an archive, as XEP-0313 has it."""
    return (
        f"<message xmlns='jabber:client' from='{sender}' to='{OWN}'>"
        f"<result xmlns='urn:xmpp:mam:2' queryid='{queryid}' id='{ident}'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"
        f"{stanza}</forwarded></result></message>"
    )


def error(ident: str, name: str, reason: str = "", venue: str = "", sender: str = ROOM) -> str:
    """The error that answers an iq (RFC 6120, 8.3)."""
    text = f"<text xmlns='{STANZAS}'>{reason}</text>" if reason else ""
    return (
        f"<iq xmlns='jabber:client' type='error' id='{ident}' from='{sender}'>"
        f"<error type='cancel'><{name} xmlns='{STANZAS}'>{venue}</{name}>{text}</error></iq>"
    )


def failure(name: str) -> str:
    """The refusal of a login (RFC 6120, 6.5)."""
    return f"<failure xmlns='{SASL}'><{name}/></failure>"


def challenge(text: str) -> str:
    """One step of a login."""
    return f"<challenge xmlns='{SASL}'>{base64.b64encode(text.encode()).decode()}</challenge>"


def terminated(condition: str) -> bytes:
    """The end of a session (XEP-0124, 17)."""
    text = (
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate'"
        f" condition='{condition}'/>"
    )
    return text.encode()


def failing(fault: Fault) -> Exchange:
    return Exchange(URL, 0, 0, None, fault=fault, words="it failed")


def page(status: int, body: str) -> Exchange:
    return Exchange(URL, 0, 0, status, body=body.encode())
