"""Who is who in the AT Protocol: handles, DIDs, and what a DID's document says.

In: a handle or DID and a `Fetch`. Out: the DID of a handle; the host and signing keys of a DID
(atproto.com/specs/did, /handle). did:plc is asked of the directory that the settings name, did:web
of its own host. DNS is not asked, since everything goes through the fetcher: a handle that only a
TXT record proves is resolved by the AppView.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from vanished.sources.answer import list_of
from vanished.sources.at_repo import Key, signing_keys

DID = re.compile(r"did:plc:[a-z2-7]{24}|did:web:[A-Za-z0-9.-]+(?:%3A[0-9]{1,5})?")
HANDLE = re.compile(
    r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a DID's document says. `host` is "" where it names no server with the repository."""

    did: str
    host: str
    keys: Sequence[Key]


def document_url(did: str, plc: str) -> str:
    """Where the document of `did` lies; `plc` is the base url of the directory of did:plc."""
    if did.startswith("did:plc:"):
        return f"{plc}/{did}"
    host = unquote(did.removeprefix("did:web:"))
    local = host.partition(":")[0] == "localhost"  # the specification's exception, for tests
    return f"{'http' if local else 'https'}://{host}/.well-known/did.json"


def handle_url(handle: str) -> str:
    """Where a handle's own host names its DID."""
    return f"https://{handle}/.well-known/atproto-did"


def did_in(text: str) -> str:
    """The DID that a handle's host answered with, "" if it is none."""
    text = text.strip()
    return text if DID.fullmatch(text) else ""


def read_document(document: Mapping[str, Any], did: str) -> Identity | None:
    """The identity in a DID's document; None if it is not the document of `did`."""
    if document.get("id") != did:
        return None
    host = ""
    for service in list_of(document.get("service")):
        if (
            isinstance(service, dict)
            and str(service.get("id", "")).endswith("#atproto_pds")
            and service.get("type") == "AtprotoPersonalDataServer"
        ):
            host = host or base_url(service.get("serviceEndpoint"))
    return Identity(did, host, signing_keys(document))


def base_url(given: object) -> str:
    """The scheme, host and port of a server's address, "" if it is none."""
    try:
        parts = urlsplit(given if isinstance(given, str) else "")
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return ""
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if fits and bare else ""
