"""Making an observatory, and the key that its captures are sealed to.

In: a folder and recipients. Out: the folder, and a key file outside it if no recipient was given.
Sealing protects nobody while the secret half lies on the same machine: the text says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vanished.archive import keys
from vanished.archive.capture import new_identity, recipients
from vanished.archive.durable import make_folder, refusals, write_once
from vanished.archive.observatory import Observatory
from vanished.errors import StorageError, UsageError


@dataclass(frozen=True, slots=True)
class Made:
    """A new observatory and where its secrets lie. `identity` is None if none was made here."""

    folder: Path
    id: str
    key: str
    seal_to: tuple[str, ...]
    identity: Path | None

    def facts(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "id": self.id,
            "key": self.key,
            "seal_to": list(self.seal_to),
            "identity": None if self.identity is None else str(self.identity),
        }

    def text(self) -> str:
        lines = [f"Made {self.folder}. The key of its pseudonyms is {self.key}; keep a copy of it."]
        if self.identity is not None:
            lines.append(
                f"What it captures is sealed; the key that opens it is {self.identity}. Move that"
                " file to another machine: until then, whoever takes this one can read all."
            )
        elif self.seal_to:
            lines.append(f"What it captures is sealed to {', '.join(self.seal_to)}.")
        else:
            lines.append("What it captures is not sealed: whoever takes this machine can read it.")
        lines.append(
            f"Next: cd {self.folder}; vanished add feed https://example.org/feed.xml;"
            " vanished watch"
        )
        return "\n".join(lines)


def make(folder: Path, seal_to: Sequence[str], *, seal: bool, sources: str = "") -> Made:
    """Make an observatory in a new or empty folder; see `Observatory.create`.

    Raises UsageError for recipients that are none, or with `seal` off and recipients given.
    """
    if seal_to and not seal:
        raise UsageError("--no-seal and --seal-to contradict each other; give one of them.")
    if seal_to:
        recipients(seal_to)
    identity: Path | None = None
    if seal and not seal_to:
        recipient, text = new_identity()
        seal_to = (recipient,)
        identity = keys.place(keys.SEALING, recipient[4:20])
        with refusals(f"keep the key {identity}"):
            make_folder(identity.parent, mode=0o700)
            if not write_once(identity, text.encode(), mode=0o600):
                raise StorageError(f"{identity} exists already; move it away and try again")
    try:
        with Observatory.create(folder, seal_to, sources) as made:
            return Made(folder, made.settings.id, made.key_place, tuple(seal_to), identity)
    except BaseException:
        if identity is not None:
            identity.unlink(missing_ok=True)
        raise
