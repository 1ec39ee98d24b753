"""A new key for the log: announced in the log by the old one, and signed by both once.

In: an observatory, open for writing. Out: the new key in its file outside the folder. A crash
between leaves the old key in force: the new one's file is written aside first and takes the old
one's place only when the log has changed over.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from vanished.archive import keys
from vanished.archive.durable import make_folder, refusals, write_atomically
from vanished.archive.log import SignerKey
from vanished.archive.observatory import Observatory
from vanished.archive.proof import next_key, origin
from vanished.errors import UsageError
from vanished.model import Micros


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new key, and the leaf that announces it."""

    key: str
    leaf: int
    place: Path

    def facts(self) -> dict[str, object]:
        return {"key": self.key, "leaf": self.leaf, "file": str(self.place)}

    def text(self) -> str:
        return (
            f"The log is signed by {self.key} from now on (leaf {self.leaf} says so). Its secret is"
            f" {self.place}. Give the new key to your witnesses and publish it."
        )


def rotate(observatory: Observatory, now: Micros) -> Rotated:
    """Change over to a fresh key. Raises UsageError where the old one comes from a variable."""
    proof = observatory.proof
    if proof is None:
        raise UsageError("This observatory keeps no captures, so it has no log to sign.")
    identity = observatory.settings.id
    place = keys.place(keys.LOG, identity)
    if keys.given(keys.LOG, identity, files=False) is not None:
        raise UsageError(
            f"The log's key comes from {keys.LOG.variable}, which cannot be changed from here; set"
            " that variable aside, keep the key in its file, and rotate then."
        )
    fresh = secrets.token_bytes(keys.SECRET_BYTES)
    new = SignerKey(origin(identity), fresh)
    aside = next_key(identity)
    written = base64.b64encode(fresh) + b"\n"
    with refusals(f"keep the new key {place}"):
        make_folder(place.parent, mode=0o700)
        write_atomically(aside, written, mode=0o600)
        leaf = observatory.declare("key", {"key": str(new.verifier)}, now)
        proof.log.rotate(new)
        write_atomically(place, written, mode=0o600)
        aside.unlink()
    return Rotated(str(new.verifier), leaf, place)
