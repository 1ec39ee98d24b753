"""People in rooms of the tests' Prosody: slixmpp, a client that knows nothing of our own code.

Out: a context manager that yields a logged-in `Person` with short calls for what people do in a
room. Every wait is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any, cast
from xml.etree import ElementTree

from tests.needs import missing
from tests.servers.prosody import PASSWORD, ROOMS, Prosody

WAIT_S = 10.0
SID = "{urn:xmpp:sid:0}stanza-id"

_numbers = itertools.count()


class Person:
    """One account, in one room at a time."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name
        self._said: dict[str, asyncio.Future[str]] = {}
        client.add_event_handler("groupchat_message", self._heard)

    def _heard(self, message: Any) -> None:
        waiting = self._said.get(message["id"])
        if waiting is not None and not waiting.done():
            ident = message.xml.find(SID)
            waiting.set_result("" if ident is None else ident.get("id", ""))

    async def enter(self, room: str, nick: str = "") -> None:
        """Enter `room`; the first who does owns it."""
        muc = self.client.plugin["xep_0045"]
        await asyncio.wait_for(muc.join_muc_wait(room, nick or self.name, maxstanzas=0), WAIT_S)

    def leave(self, room: str, nick: str = "") -> None:
        self.client.plugin["xep_0045"].leave_muc(room, nick or self.name)

    async def say(self, room: str, text: str, *more: str, own_id: str = "") -> str:
        """Send a message with the elements `more`; the stanza-id that the room gives it."""
        message = self.client.make_message(mto=room, mtype="groupchat", mbody=text or None)
        message["id"] = own_id or f"own-{next(_numbers)}"
        for element in more:
            message.xml.append(ElementTree.fromstring(element))
        waiting = self._said[message["id"]] = asyncio.get_running_loop().create_future()
        message.send()
        return str(await asyncio.wait_for(waiting, WAIT_S))

    async def retract(self, room: str, target: str, *, version: int = 1) -> str:
        """Take a message back, as XEP-0424 0.4 (1) or 0.3 (0) has it."""
        new = f"<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/>"
        old = (
            f"<apply-to xmlns='urn:xmpp:fasten:0' id='{target}'>"
            "<retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"
        )
        store = "<store xmlns='urn:xmpp:hints'/>"
        fallback = "This person took a message back, but your client does not know how to."
        return await self.say(room, fallback, new if version else old, store)

    async def correct(self, room: str, own_id: str, text: str) -> str:
        return await self.say(
            room, text, f"<replace xmlns='urn:xmpp:message-correct:0' id='{own_id}'/>"
        )

    async def moderate(self, room: str, target: str, reason: str = "") -> None:
        """Take somebody's message away, as XEP-0425 0.2 has it."""
        inner = f"<reason>{reason}</reason>" if reason else ""
        await self._iq(
            room,
            f"<apply-to xmlns='urn:xmpp:fasten:0' id='{target}'>"
            "<moderate xmlns='urn:xmpp:message-moderate:0'>"
            f"<retract xmlns='urn:xmpp:message-retract:0'/>{inner}</moderate></apply-to>",
        )

    async def destroy(self, room: str, reason: str = "", venue: str = "") -> None:
        where = f" jid='{venue}'" if venue else ""
        await self._iq(
            room,
            "<query xmlns='http://jabber.org/protocol/muc#owner'>"
            f"<destroy{where}><reason>{reason}</reason></destroy></query>",
        )

    async def configure(self, room: str, **values: str) -> None:
        """Set fields of the room's configuration, such as membersonly="1"."""
        fields = "".join(
            f"<field var='muc#roomconfig_{name}'><value>{value}</value></field>"
            for name, value in values.items()
        )
        form = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value>"
        await self._iq(
            room,
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data'"
            f" type='submit'>{form}</field>{fields}</x></query>",
        )

    async def affiliate(self, room: str, address: str, affiliation: str) -> None:
        """Make somebody an outcast (a ban), a member, an admin, an owner, or none."""
        await self._iq(
            room,
            "<query xmlns='http://jabber.org/protocol/muc#admin'>"
            f"<item affiliation='{affiliation}' jid='{address}'/></query>",
        )

    async def kick(self, room: str, nick: str) -> None:
        await self._iq(
            room,
            "<query xmlns='http://jabber.org/protocol/muc#admin'>"
            f"<item role='none' nick='{nick}'/></query>",
        )

    async def _iq(self, room: str, payload: str) -> None:
        iq = self.client.make_iq_set(ito=room)
        iq.xml.append(ElementTree.fromstring(payload))
        await iq.send(timeout=WAIT_S)


def room(name: str) -> str:
    """The address of the room `name`."""
    return f"{name}@{ROOMS}"


@contextlib.asynccontextmanager
async def person(server: Prosody, name: str) -> AsyncIterator[Person]:
    """The person `name`, logged in; the account is made if there is none."""
    try:
        import slixmpp
    except ImportError:
        missing("slixmpp is not here, which acts as the people: pip install slixmpp")
    client = cast("Any", slixmpp.ClientXMPP(server.account(name), PASSWORD))
    client.enable_plaintext, client.enable_starttls = True, False
    client.enable_direct_tls = False
    for plugin in ("xep_0045", "feature_mechanisms"):
        client.register_plugin(plugin)
    client.plugin["feature_mechanisms"].unencrypted_plain = True
    client.plugin["feature_mechanisms"].unencrypted_scram = True
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begun(_: object) -> None:
        if not started.done():
            started.set_result(None)

    client.add_event_handler("session_start", begun)
    client.connect("127.0.0.1", server.c2s)
    try:
        await asyncio.wait_for(started, WAIT_S)
        client.send_presence()
        yield Person(client, name)
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(client.disconnect(), WAIT_S)
