"""`vanished verify`: whatever is given, what it proves and what not; offline.

In: an observatory's folder, a WACZ or a receipt. Out: a `Verification`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vanished.archive.capture import Identities
from vanished.archive.durable import refusals
from vanished.archive.log import LogKey, VerifierKey
from vanished.archive.log.receipt import HEAD, MAX_RECEIPT
from vanished.archive.stamps import read_root
from vanished.archive.verify.findings import Damage, Heading, Verification
from vanished.archive.verify.folder import verify_folder
from vanished.archive.verify.package import parse_keys, verify_receipt_file, verify_wacz
from vanished.clock import SystemClock
from vanished.errors import UsageError

__all__ = ["Damage", "Heading", "Verification", "verify"]

MAX_KEYS = 1 << 20


def verify(
    path: Path,
    *,
    key: str | None = None,
    identities: Identities | None = None,
    roots: Sequence[str] = (),
) -> Verification:
    """Verify what lies at `path`: a folder, a receipt by its first line, else a WACZ.

    `key`: the log's verifier key, or a file of them; `identities`: open sealed captures;
    `roots`: "NAME=FILE" of stamping authorities. Raises UsageError for what cannot be used.
    """
    now = SystemClock().now()
    known = _keys(key)
    trusted = known[-1].key if known else None
    trusted_roots = _roots(roots)
    with refusals(f"read {path}"):
        if not path.exists():
            raise UsageError(f"There is nothing at {path}; name an observatory, WACZ or receipt.")
        if path.is_dir():
            return verify_folder(
                path, now=now, identities=identities, roots=trusted_roots, trusted=trusted
            )
        with path.open("rb") as file:
            raw = file.read(MAX_RECEIPT + 1)
    if raw.startswith(HEAD.encode()):
        if not known:
            raise UsageError(
                "A receipt is proven under the log's key; give it with --key (vanished log key"
                " prints it, and observatories publish it)."
            )
        return verify_receipt_file(path, raw, known, [each.key for each in known])
    return verify_wacz(path, now=now, trusted=trusted, roots=trusted_roots)


def _keys(given: str | None) -> list[LogKey]:
    """Keys from a verifier key's text or from a file with one a line."""
    if given is None:
        return []
    if not Path(given).is_file():
        return [LogKey(VerifierKey.parse(given))]
    with refusals(f"read the keys {given}"), Path(given).open("rb") as file:
        return parse_keys(file.read(MAX_KEYS))


def _roots(given: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in given:
        name, sign, file = each.partition("=")
        if not sign or not name or not file:
            raise UsageError(f"'{each}' is no root; write --root NAME=FILE.")
        found[name] = read_root(Path(file))
    return found
