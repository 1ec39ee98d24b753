"""Verifying a WACZ or a receipt from anybody, offline: what it proves by itself.

In: a file that may be hostile, and the log's key as the verifier knows it, if at all. Out: a
`Verification`. Nothing is asked of anybody, and nothing of the file is run.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from vanished.archive.capture import captures, check_capture
from vanished.archive.capture.reading import Read
from vanished.archive.log import (
    LogKey,
    Proven,
    VerifierKey,
    parse_receipt,
    read_checkpoint,
    verify_receipt,
)
from vanished.archive.log.keys import ROTATIONS
from vanished.archive.log.note import WITNESS_KEY
from vanished.archive.verify.findings import Heading, Verification, say_what_bytes_cannot
from vanished.archive.verify.stamps import enter_stamps
from vanished.archive.wacz import Wacz, open_wacz
from vanished.errors import EvidenceError, UsageError
from vanished.model import Micros, at

KEYS: Final = 64 * 1024
"""Bytes of the largest list of keys in a WACZ that is read."""
_STAMP = re.compile(r"(\d{12})\.([A-Za-z0-9._-]+)")


def verify_wacz(
    path: Path,
    *,
    now: Micros,
    trusted: VerifierKey | None = None,
    roots: Mapping[str, bytes] | None = None,
) -> Verification:
    """What the WACZ at `path` proves. `roots` are PEM by name of the stamping authority.

    Raises InputError for what is no WACZ, EvidenceError for one that cannot be read safely.
    """
    out = Verification(str(path))
    with open_wacz(path) as wacz:
        for problem in wacz.problems():
            out.damaged(problem.place, problem.sentence)
        keys = _linked(out, wacz, _keys(out, wacz, "vkeys"), trusted)
        witnesses = [key.key for key in _keys(out, wacz, "witnesses")]
        roots_of = _exhibits(out, wacz, keys, witnesses)
        _compare_key(out, keys, trusted, proven=bool(roots_of))
        _stamps(out, wacz, roots or {}, now, roots_of)
    say_what_bytes_cannot(out)
    return out


def _keys(out: Verification, wacz: Wacz, name: str) -> list[LogKey]:
    """The verifier keys of a list, each with the sizes of the checkpoints that it may sign."""
    if name not in wacz.names:
        if name == "vkeys":
            out.lacks(Heading.AUTHENTICITY, "which log this is from: it holds no verifier keys")
        return []
    try:
        return parse_keys(wacz.read(name, KEYS))
    except (UsageError, EvidenceError) as error:
        out.damaged(name, f"the keys in it cannot be read: {error}")
        return []


def _linked(
    out: Verification, wacz: Wacz, keys: list[LogKey], trusted: VerifierKey | None
) -> list[LogKey]:
    """Those of the keys that may be believed: each is linked to the trusted one by rotations.

    At a rotation both keys sign one checkpoint. Without that anybody could list his own key after
    one that others trust. With no trusted key, the oldest is believed.
    """
    if not keys:
        return []
    places = [number for number, one in enumerate(keys) if one.key == trusted]
    first = last = places[0] if places else 0
    linked = [_is_linked(out, wacz, *pair) for pair in pairwise(keys)]
    while last < len(linked) and linked[last]:
        last += 1
    while first and linked[first - 1]:
        first -= 1
    return keys[first : last + 1]


def _is_linked(out: Verification, wacz: Wacz, before: LogKey, after: LogKey) -> bool:
    name = f"{ROTATIONS}/{after.since}"
    try:
        if name not in wacz.names:
            raise EvidenceError("it is missing, which would prove that the key changed")
        raw = wacz.read(name, KEYS)
        for one in (before, after):
            checkpoint, _ = read_checkpoint(raw, [one.key], name)
        if checkpoint.size != after.since:
            raise EvidenceError(f"it is of {checkpoint.size} leaves")
    except EvidenceError as error:
        out.damaged(name, f"{after.key} is not shown to follow the key before it: {error}")
        return False
    return True


def _compare_key(
    out: Verification, keys: Sequence[LogKey], trusted: VerifierKey | None, *, proven: bool
) -> None:
    if trusted is None:
        out.lacks(
            Heading.IDENTITY,
            "whose log this is: its key was read from this file; give --key with what the"
            " observatory publishes elsewhere",
        )
    elif trusted not in [key.key for key in keys]:
        out.damaged("vkeys", f"the log's key in it is not the one that was given ({trusted})")
    elif proven:
        out.proves(Heading.IDENTITY, "the log is signed by the key that was given")
    else:
        out.lacks(
            Heading.IDENTITY,
            "that anything here is of the log whose key was given: no receipt of it holds",
        )


def parse_keys(raw: bytes) -> list[LogKey]:
    """Verifier keys, one a line, each with the size from which it signs (0 if it says none).

    Raises UsageError.
    """
    found: list[tuple[VerifierKey, int]] = []
    for line in raw.decode("utf-8", "replace").splitlines():
        text, _, since = line.partition(" ")
        if text and not text.startswith("#"):
            found.append((VerifierKey.parse(text), int(since) if since.isdecimal() else 0))
    ends: list[int | None] = [
        next((later for other, later in found[at_ + 1 :] if other.name == key.name), None)
        for at_, (key, _) in enumerate(found)
    ]
    return [LogKey(key, since, end) for (key, since), end in zip(found, ends, strict=True)]


def _exhibits(
    out: Verification, wacz: Wacz, keys: Sequence[LogKey], witnesses: Sequence[VerifierKey]
) -> dict[int, bytes]:
    """Each capture against its manifest, its receipt and the log's signature.

    Returns the roots that the log's key has signed for these captures, by the log's size.
    """
    spare = {name for name in wacz.names if name.startswith(("receipts/", "manifests/"))}
    whole = proven = 0
    roots: dict[int, bytes] = {}
    seen: dict[str, int] = {}
    for name, stream in wacz.warcs():
        try:
            for read in captures(stream, name):
                wrong = check_capture(read)
                for damage in wrong:
                    out.damaged(name, f"byte {damage.offset}: {damage.what}", damage.index)
                if wrong or read.manifest is None or read.index is None:
                    continue
                whole += 1
                spare -= {f"manifests/{read.index}.json", f"receipts/{read.index}.tlog-proof"}
                _manifest(out, wacz, read.index, read.manifest.to_bytes())
                found = _receipt(out, wacz, read, keys, witnesses)
                if found is not None:
                    proven += 1
                    signed_at = found.checkpoint
                    if roots.setdefault(signed_at.size, signed_at.root) != signed_at.root:
                        place = f"receipts/{read.index}.tlog-proof"
                        words = f"the log has forked: it signed another root of {signed_at.size}"
                        out.damaged(place, f"{words} leaves as well", read.index)
                    for signed in found.witnesses:
                        seen[signed.key.name] = max(seen.get(signed.key.name, 0), signed.at_s or 0)
        except EvidenceError as error:
            out.damaged(name, str(error))
    for name in sorted(spare):
        out.damaged(name, "belongs to no capture in this file")
    if whole:
        out.proves(Heading.AVAILABILITY, f"{whole} captures are here as their manifests say")
        out.proves(Heading.RENDERABILITY, "they are WARC 1.1 in a WACZ, which others can replay")
        out.proves(
            Heading.UNDERSTANDABILITY,
            "each capture says what was read from it, from where and when by our clock",
        )
    if proven:
        key = keys[-1].key
        out.proves(
            Heading.AUTHENTICITY,
            f"{proven} of {whole} captures are committed to by the log '{key.name}', signed at"
            f" {max(roots)} leaves by {key}",
        )
    if whole > proven:
        out.lacks(
            Heading.AUTHENTICITY, f"that {whole - proven} captures are in the log: no receipt"
        )
    for name, seconds in seen.items():
        when = f"{at(seconds * 1_000_000):%Y-%m-%d %H:%M:%S}"
        out.proves(
            Heading.PERSISTENCE, f"the witness '{name}' saw a checkpoint of it by {when} UTC"
        )
    if seen:
        out.lacks(
            Heading.IDENTITY,
            "whose keys the witnesses' are: they were read from this file; compare them",
        )
    return roots


def _manifest(out: Verification, wacz: Wacz, index: int, expected: bytes) -> None:
    name = f"manifests/{index}.json"
    try:
        if wacz.manifest(index) != expected:
            raise EvidenceError("it is not the capture's")
    except EvidenceError as error:
        out.damaged(name, str(error), index)


def _receipt(
    out: Verification,
    wacz: Wacz,
    read: Read,
    keys: Sequence[LogKey],
    witnesses: Sequence[VerifierKey],
) -> Proven | None:
    place = f"receipts/{read.index}.tlog-proof"
    try:
        raw = wacz.receipt(read.index or 0)
        if raw is None or not keys:
            return None
        receipt = parse_receipt(raw, place)
        if receipt.index != read.index:
            raise EvidenceError(f"it is of leaf {receipt.index}")
        return verify_receipt(receipt, keys, read.leaf, witnesses=witnesses, what=place)
    except EvidenceError as error:
        out.damaged(place, str(error), read.index)
        return None


def _stamps(
    out: Verification,
    wacz: Wacz,
    roots: Mapping[str, bytes],
    now: Micros,
    signed: Mapping[int, bytes],
) -> None:
    """The stamps, laid out again as their own verification wants them."""
    with tempfile.TemporaryDirectory(prefix="vanished-stamps-") as name:
        folder = Path(name)
        for stamp, content in wacz.stamps():
            parts = _STAMP.fullmatch(stamp)
            if parts is None or parts[2] in (".", ".."):
                out.damaged(f"stamps/{stamp}", "is no stamp that we know")
                continue
            (folder / parts[1]).mkdir(exist_ok=True)
            (folder / parts[1] / parts[2]).write_bytes(content)
        enter_stamps(out, folder, roots, now, "stamps", signed.get)


def verify_receipt_file(
    path: Path,
    raw: bytes,
    keys: Sequence[LogKey],
    witnesses: Sequence[VerifierKey] = (),
) -> Verification:
    """What the receipt `raw` proves to who trusts `keys`; refused ones are damage."""
    out = Verification(str(path))
    try:
        receipt = parse_receipt(raw, str(path))
        cosigners = [key for key in witnesses if key.kind == WITNESS_KEY]
        proven = verify_receipt(receipt, keys, witnesses=cosigners, what=str(path))
    except EvidenceError as error:
        out.damaged(str(path), str(error))
        say_what_bytes_cannot(out)
        return out
    log = proven.checkpoint
    out.proves(
        Heading.AUTHENTICITY,
        f"the log '{log.origin}', signed at {log.size} leaves by its key, holds at index"
        f" {proven.index} the manifest with SHA-256 {proven.entry[32:].hex()}",
    )
    for signed in proven.witnesses:
        when = f"{at((signed.at_s or 0) * 1_000_000):%Y-%m-%d %H:%M:%S}"
        out.proves(
            Heading.PERSISTENCE, f"the witness '{signed.key.name}' saw this log by {when} UTC"
        )
    if not proven.witnesses:
        out.lacks(Heading.PERSISTENCE, "since when: no witness and no stamp is in a receipt")
    out.lacks(
        Heading.AVAILABILITY, "the bytes themselves: a receipt holds only the commitment to them"
    )
    say_what_bytes_cannot(out)
    return out
