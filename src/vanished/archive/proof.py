"""What an observatory can prove: captures in their segments and the log, in step with the present.

In: evidence of the watch, inside the commit that acknowledges it. Out: captures on the disk, their
leaves in the present, and a signed log of those leaves. Order of a commit: the bytes are durable,
then the present names them (this is the acknowledgement), then the log is extended and signed. A
crash between leaves bytes that nobody names, which the next opening cuts off, or leaves that the
log lacks, which it appends; a checkpoint that was published is never contradicted.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vanished.archive import keys, present
from vanished.archive.capture.manifest import SALT_BYTES, Statement, entry, leaf_hash
from vanished.archive.capture.records import Capture, Payload, capture_bytes
from vanished.archive.capture.sealing import recipients
from vanished.archive.capture.segments import Place, SegmentWriter
from vanished.archive.durable import TEMPORARY, make_folder, refusals, write_atomically
from vanished.archive.log.log import CHECKPOINT, Log
from vanished.archive.log.note import SignerKey
from vanished.archive.present import AT_ONCE, insert_many
from vanished.archive.rows import Evidence
from vanished.archive.settings import Settings
from vanished.errors import DamagedError, InputError
from vanished.model import SECOND, Micros

CAPTURES: Final = "captures"
LOG: Final = "log"
STATEMENTS: Final = "statements"
BESIDE: Final = "beside"
"""In `present.shown`: the bytes show this subject, though nothing new of it."""


def origin(observatory: str) -> str:
    """The name of an observatory's log."""
    return f"vanished/{observatory}"


def signer(observatory: str, *, create: bool) -> SignerKey:
    """The key that signs an observatory's log, from outside its folder. Raises ObservatoryError.

    From VANISHED_LOG_KEY, else its file, else made from VANISHED_KEY, so that who gives that one
    by the environment leaves no secret on the disk; else, with `create`, a new file.
    """
    found = keys.given(keys.LOG, observatory)
    if found is None and (shared := keys.given(keys.PSEUDONYMS, observatory, files=False)):
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"vanished log v1")
        return SignerKey(origin(observatory), derived.derive(shared.value))
    value = (found or keys.load(keys.LOG, observatory, create)).value
    return SignerKey(origin(observatory), value if len(value) == 32 else sha256(value).digest())


def next_key(observatory: str) -> Path:
    """Where a log's next key lies until the log has changed over to it."""
    return keys.place(keys.LOG, observatory).with_suffix(".log-next")


def _finish_rotation(folder: Path, observatory: str) -> None:
    """A crash came between the log's change of keys and the key file's: finish, or forget it."""
    aside = next_key(observatory)
    if not aside.exists() or not (folder / CHECKPOINT).exists():
        return
    value = keys.read(keys.LOG, aside)
    new = SignerKey(origin(observatory), value).verifier
    published = Log.open(folder)
    if new in [known.key for known in published.keys if known.since <= published.size]:
        aside.replace(keys.place(keys.LOG, observatory))
    else:
        aside.unlink()


@dataclass(frozen=True, slots=True)
class _Made:
    """What the present names of a capture that was written."""

    index: int
    leaf: bytes
    at: Micros


class Proof:
    """The writing half: one a writer, opened with the observatory. `keep` inside its commits."""

    def __init__(
        self, settings: Settings, secret: bytes, writer: SegmentWriter, log: Log, next_leaf: int
    ) -> None:
        """Use `open`."""
        self.log = log
        self.sealed = bool(settings.capture.seal_to)
        self._settings = settings
        self._secret = secret
        self._writer = writer
        self._next = next_leaf
        self._kept = next_leaf  # leaves that the present names, or will with the commit under way
        self._pending: list[bytes] = []
        self._signed_at: Micros | None = None

    @classmethod
    def open(cls, folder: Path, settings: Settings, secret: bytes, engine: sa.Engine) -> Proof:
        """Open captures and log, and bring both in step with the present.

        Raises DamagedError where what the present names is not there, or the log is ahead of it.
        """
        c = present.captures.c
        with engine.connect() as connection:
            count = int(
                connection.execute(
                    sa.select(sa.func.count()).select_from(c.leaf.table)
                ).scalar_one()
            )
            last = connection.execute(
                sa.select(c.segment, c.offset, c.length, c.stored)
                .where(c.segment != "")
                .order_by(c.leaf.desc())
                .limit(1)
            ).first()
        # Before the captures are opened, which cuts off what the present does not name.
        log = _open_log(folder / LOG, settings.id, engine, count)
        if log.size > count:
            raise DamagedError(
                f"the log in {folder / LOG} has {log.size} leaves, the present knows {count}: an"
                f" older {present.FILE} was put back; restore the newest one"
            )
        for path in (folder / LOG / STATEMENTS).glob("*"):
            later = path.stem.isdecimal() and int(path.stem) >= count  # its commit never came
            if later or path.name.endswith(TEMPORARY):
                path.unlink()
        if log.size < count:
            log.append(_leaves(engine, log.size))
            log.checkpoint()
        limits = settings.capture
        writer = SegmentWriter.open(
            folder / CAPTURES,
            None if last is None else Place(*last),
            recipients(limits.seal_to) if limits.seal_to else None,
            max_bytes=limits.segment_bytes,
            max_age=int(limits.segment_s * SECOND),
        )
        return cls(settings, secret, writer, log, count)

    def next_leaf(self) -> int:
        """The index of the leaf that the next piece of evidence will be."""
        self._next += 1
        return self._next - 1

    # -- the commit -------------------------------------------------------------------------

    def keep(self, connection: sa.Connection, evidence: Iterable[Evidence]) -> None:
        """Make the bytes of `evidence` durable and name them in the transaction of `connection`.

        Its leaves come in the order of `next_leaf`, none left out. Each is made into a capture,
        written and forgotten before the next is asked for. Raises StorageError.
        """
        made: list[_Made] = []
        places = self._writer.append(self._captures(connection, evidence, made))
        insert_many(connection, present.captures.insert(), map(_row, made, places))
        self._kept += len(made)
        self._pending += [each.leaf for each in made]

    def _captures(
        self, connection: sa.Connection, evidence: Iterable[Evidence], made: list[_Made]
    ) -> Iterator[Capture]:
        """The capture of each, with a note in `made` of what the present is to name of it.

        Whom it shows and which payloads it holds is named on the way, some at a time.
        """
        fresh: dict[bytes, Payload] = {}
        coming = iter(evidence)
        while part := list(islice(coming, AT_ONCE)):
            payloads: list[dict[str, Any]] = []
            for each in part:
                if each.index != self._kept + len(made):
                    raise ValueError(
                        "the leaves of a commit must follow those of the last, in order"
                    )
                capture = self._capture(each, connection, fresh)
                payloads += (
                    ()
                    if each.whole
                    else map(self._payload_row, repeat(each.index), capture.payloads)
                )
                made.append(_Made(capture.index, capture.leaf, capture.captured_at))
                yield capture
            self._name(connection, part, payloads)

    def _name(
        self, connection: sa.Connection, part: Sequence[Evidence], payloads: list[dict[str, Any]]
    ) -> None:
        shown = present.shown.insert()
        subjects = [
            {"key": subject.key, "leaf": each.index, "what": subject.what}
            for each in part
            for subject in each.subjects
        ]
        insert_many(connection, shown.prefix_with("OR REPLACE"), subjects)
        beside = [
            {"key": key, "leaf": each.index, "what": BESIDE} for each in part for key in each.beside
        ]
        insert_many(connection, shown.prefix_with("OR IGNORE"), beside)
        insert_many(connection, present.payloads.insert().prefix_with("OR REPLACE"), payloads)

    def _payload_row(self, leaf: int, payload: Payload) -> dict[str, Any]:
        key = self._payload_key(payload.url, payload.sha256)
        return {"key": key, "leaf": leaf, "record": payload.id, "at": payload.at}

    def _capture(
        self, evidence: Evidence, connection: sa.Connection, fresh: dict[bytes, Payload]
    ) -> Capture:
        def seen(url: str, digest: str) -> Payload | None:
            if evidence.whole:
                return None
            key = self._payload_key(url, digest)
            if key in fresh:
                return fresh[key]
            c = present.payloads.c
            found = connection.execute(sa.select(c.record, c.at).where(c.key == key)).first()
            return None if found is None else Payload(url, digest, found.record, found.at)

        make = partial(
            capture_bytes,
            observatory=self._settings.id,
            index=evidence.index,
            captured_at=evidence.at,
            vantage=evidence.vantage,
            subjects=evidence.subjects,
            salt=secrets.token_bytes(SALT_BYTES),
            seen=seen,
        )
        try:
            capture = make(facts=evidence.facts, exchanges=evidence.exchanges)
        except InputError as error:  # bytes beyond all measure: what was read of them is kept
            capture = make(facts={**evidence.facts, "left_out": str(error)})
        for payload in () if evidence.whole else capture.payloads:
            fresh[self._payload_key(payload.url, payload.sha256)] = payload
        return capture

    def _payload_key(self, url: str, digest: str) -> bytes:
        """Names a payload of an address without naming the address to who has no secret."""
        message = f"payload\0{digest}\0{url}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256")[:16]

    def state(
        self,
        folder: Path,
        connection: sa.Connection,
        what: str,
        details: Mapping[str, Any],
        now: Micros,
    ) -> int:
        """Enter a public statement as the next leaf, in the transaction of `connection`."""
        index = self.next_leaf()
        if index != self._kept:
            raise ValueError("evidence is waiting for its commit; a statement comes after it")
        content = Statement(index, now, what, details).to_bytes()
        salt = secrets.token_bytes(SALT_BYTES)
        with refusals(f"write a statement into {folder / LOG}"):
            make_folder(folder / LOG / STATEMENTS)
            kept = entry(salt, content)
            write_atomically(folder / LOG / STATEMENTS / f"{index:012d}.json", kept)
        leaf = leaf_hash(salt, content)
        connection.execute(
            present.captures.insert(),
            [
                {
                    "leaf": index,
                    "hash": leaf,
                    "stored": sha256(kept).digest(),
                    "at": now,
                    "segment": "",
                    "offset": 0,
                    "length": 0,
                }
            ],
        )
        self._kept += 1
        self._pending.append(leaf)
        return index

    def acknowledged(self, now: Micros) -> None:
        """The commit holds: extend the log, and sign it if the last checkpoint is old enough."""
        if self._pending:
            self.logged()
        self.sign_if_due(now)

    @property
    def sign_at(self) -> Micros | None:
        """When the next checkpoint is due; None while there is nothing to sign."""
        if self.log.next_index == self.log.size:
            return None
        every = int(self._settings.log.checkpoint_every_s * SECOND)
        return 0 if self._signed_at is None else self._signed_at + every

    def sign_if_due(self, now: Micros) -> None:
        """Publish a checkpoint if one is due by `now`."""
        if self.sign_at is not None and self.sign_at <= now:
            self._signed_at = now
            self.log.checkpoint()

    def logged(self) -> None:
        """Hand what was acknowledged to the log, which signs it with its next checkpoint."""
        self.log.append(self._pending)
        self._pending = []

    def sign(self) -> None:
        """Publish a checkpoint over everything acknowledged."""
        if self.log.next_index > self.log.size:
            self.log.checkpoint()

    def close(self) -> None:
        """Sign what is acknowledged and finish the newest segment."""
        self.sign()
        self._writer.close()


def _row(made: _Made, place: Place) -> dict[str, object]:
    return {
        "leaf": made.index,
        "hash": made.leaf,
        "stored": place.sha256,
        "at": made.at,
        "segment": place.segment,
        "offset": place.offset,
        "length": place.length,
    }


def _leaves(engine: sa.Engine, since: int) -> list[bytes]:
    c = present.captures.c
    query = sa.select(c.leaf, c.hash).where(c.leaf >= since).order_by(c.leaf)
    with engine.connect() as connection:
        found = connection.execute(query).all()
    if [row.leaf for row in found] != list(range(since, since + len(found))):
        raise DamagedError(f"{present.FILE} lacks leaves of the log; restore it from a copy")
    return [row.hash for row in found]


def _open_log(folder: Path, observatory: str, engine: sa.Engine, count: int) -> Log:
    """The log, made for an observatory without captures, repaired where the leaves allow it."""
    _finish_rotation(folder, observatory)
    new = count == 0 and not (folder / CHECKPOINT).exists()
    key = signer(observatory, create=new)
    if new:
        return Log.create(folder, key)
    try:
        return Log.open(folder, key)
    except DamagedError:
        log = Log.open(folder)  # its checkpoint holds, or this is not to be repaired
        leaves = _leaves(engine, 0)
        if log.size > len(leaves):
            raise
        log.repair(leaves.__getitem__)
        return Log.open(folder, key)
