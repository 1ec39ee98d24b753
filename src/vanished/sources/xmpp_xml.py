"""Stanzas as bytes and back: what a source of XMPP writes and reads, taken for hostile.

In: bytes of an answer, or the parts of a stanza. Out: elements of the standard library's tree, or
None for what is no XML that a server may send: XMPP has no document types, entities, comments or
processing instructions (RFC 6120, 11.1), so an answer with one is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from xml.etree import ElementTree

Element = ElementTree.Element

CLIENT = "jabber:client"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
BOSH = "http://jabber.org/protocol/httpbind"
FORM = "jabber:x:data"
RSM = "http://jabber.org/protocol/rsm"
MUC = "http://jabber.org/protocol/muc"
MUC_USER = "http://jabber.org/protocol/muc#user"
DISCO = "http://jabber.org/protocol/disco#info"
MAM = "urn:xmpp:mam:2"
MAM_EXTENDED = "urn:xmpp:mam:2#extended"
FORWARD = "urn:xmpp:forward:0"
DELAY = "urn:xmpp:delay"
OCCUPANT = "urn:xmpp:occupant-id:0"
CORRECT = "urn:xmpp:message-correct:0"
FASTEN = "urn:xmpp:fasten:0"
RETRACT = ("urn:xmpp:message-retract:1", "urn:xmpp:message-retract:0")
MODERATE = ("urn:xmpp:message-moderate:1", "urn:xmpp:message-moderate:0")
STANZA_ID = "urn:xmpp:sid:0"

_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")
_NOT_XMPP = re.compile(r"<!(?!\[CDATA\[)|<\?")
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parsed(body: bytes) -> Element | None:
    """The root of an answer; None if it is no whole XML, or has what XMPP forbids."""
    try:
        text = _DECLARATION.sub("", body.decode("utf-8"), count=1)
        if _NOT_XMPP.search(text):
            return None
        return ElementTree.fromstring(text)  # noqa: S314  no document type, so no entities
    except (UnicodeDecodeError, ElementTree.ParseError, RecursionError):
        return None


def attribute(text: str) -> str:
    """`text` as the value of an attribute or the text of an element."""
    return escape(_ILLEGAL.sub("", text), quote=True)


def first(element: Element | None, *names: tuple[str, str]) -> Element | None:
    """What lies at the path of (namespace, name) below `element`; None where it breaks off."""
    for space, name in names:
        if element is None:
            return None
        element = element.find(f"{{{space}}}{name}")
    return element


def text_at(element: Element | None, *names: tuple[str, str]) -> str:
    """The text at a path, "" if there is none."""
    found = first(element, *names)
    return "" if found is None else (found.text or "").strip()


def of_any(element: Element, spaces: tuple[str, ...], name: str) -> Element | None:
    """The child `name` in the first of the namespaces that has one."""
    return next((found for s in spaces if (found := first(element, (s, name))) is not None), None)


def condition(stanza: Element) -> tuple[str, str, str]:
    """What an error stanza says: its condition, its text, and the address of a `gone`."""
    error = first(stanza, (CLIENT, "error"))
    for child in error if error is not None else ():
        space, _, name = child.tag.removeprefix("{").partition("}")
        if space == ERRORS and name != "text":
            return name, text_at(error, (ERRORS, "text")), (child.text or "").strip()
    return "", "", ""


def kinds(stanzas: list[Element], name: str) -> Iterator[Element]:
    """Those of `stanzas` that are called `name`: iq, message or presence."""
    return (stanza for stanza in stanzas if stanza.tag == f"{{{CLIENT}}}{name}")
