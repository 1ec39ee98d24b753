"""The directory of a ZIP from a stranger, read without trusting a byte of it.

In: an open file. Out: its members in the order in which they lie in the file, or a refusal in one
sentence: EvidenceError for a ZIP that is damaged or was made to harm, InputError for what is no
ZIP. How many members there are is read from the end of the file before any of them is loaded.
It reads no member's content, writes nothing, and knows nothing of WACZ.
Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import os
import stat
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from vanished.errors import EvidenceError, InputError

MEMBERS: Final = 40_000
"""The most members that a file may have. We hold about 700 bytes of each, so this bounds memory."""
DIRECTORY_BYTES: Final = 8 << 20
NAME_BYTES: Final = 255
RATIO: Final = 200  # deflate reaches 1,032; text and indexes stay under 50
RATIO_FREE_BYTES: Final = 1 << 20  # a member this small may be as dense as it likes
INFLATED_BYTES: Final = 1 << 30  # all deflated members together, as they announce it

STORED: Final = 0
DEFLATED: Final = 8

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_COMMENT_BYTES = 0xFFFF
_ENCRYPTED = 0x2041  # bit 0 encrypted, 6 strongly, 13 with a masked directory
_DESCRIBED = 0x0008  # sizes follow the content
_UTF8 = 0x0800
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the central directory and its own header agree on it."""

    name: str
    method: int  # STORED or DEFLATED
    flags: int
    crc: int
    packed: int  # bytes in the file
    size: int  # bytes of content
    header: int  # where its local header lies
    content: int  # where its content lies
    clock: int  # its time of change in MS-DOS form
    form: tuple[int, ...]  # made by, version needed, attributes inside and outside: never used
    extra: int  # bytes of extra fields and comments, here and in its own header

    @property
    def end(self) -> int:
        return self.content + self.packed


@dataclass(frozen=True, slots=True)
class Directory:
    members: tuple[Member, ...]  # in the order in which they lie in the file
    gaps: tuple[tuple[int, int], ...]  # [start, end) of bytes that belong to no member
    comment: int  # bytes of the comment at the end of the file
    end64: int | None  # what the ZIP64 end record, if there is one, says of its maker: never used


def read_exactly(file: int, length: int, at: int, label: str) -> bytes:
    """`length` bytes of the open file descriptor from `at`. Raises EvidenceError if they end."""
    pieces = []
    while length:
        piece = os.pread(file, length, at)
        if not piece:
            raise EvidenceError(f"{label}: the file ends at byte {at}, in the middle of something")
        pieces.append(piece)
        length -= len(piece)
        at += len(piece)
    return b"".join(pieces)


def read_directory(file: int, label: str) -> Directory:
    """The directory of the ZIP that is open as `file`; `label` names it in refusals."""
    count, start, end, comment, end64 = _find_directory(file, os.fstat(file).st_size, label)
    raw = read_exactly(file, end - start, start, label)
    members = []
    position = 0
    for number in range(count):
        if raw[position : position + 4] != b"PK\x01\x02" or position + _CENTRAL.size > len(raw):
            raise EvidenceError(
                f"{label}: entry {number} of the central directory (byte {start + position}) "
                "is damaged"
            )
        member, position = _central(raw, position, number, label)
        members.append(member)
    if position != len(raw):
        raise EvidenceError(
            f"{label}: the central directory has {len(raw) - position} bytes more than its entries"
        )
    _refuse_twins(members, label)
    inflated = sum(member.size for member in members if member.method == DEFLATED)
    if inflated > INFLATED_BYTES:
        raise EvidenceError(
            f"{label}: its members announce {inflated} bytes when unpacked, more than the "
            f"{INFLATED_BYTES} that are read; it may be a decompression bomb"
        )
    placed, gaps = _place(file, members, start, label)
    return Directory(tuple(placed), tuple(gaps), comment, end64)


def _place(
    file: int, members: list[Member], limit: int, label: str
) -> tuple[list[Member], list[tuple[int, int]]]:
    """The members as their own headers place them, one after the other, and the gaps between."""
    members.sort(key=lambda member: member.header)
    placed: list[Member] = []
    gaps: list[tuple[int, int]] = []
    reached = 0
    for member in members:
        if member.header < reached:
            raise EvidenceError(
                f"{label}: '{placed[-1].name}' and '{member.name}' after it overlap: the place or"
                " the length of one of them was changed"
            )
        if member.header > reached:
            gaps.append((reached, member.header))
        found, reached = _local(file, member, limit, label)
        placed.append(found)
    if reached < limit:
        gaps.append((reached, limit))
    return placed, gaps


def _find_directory(file: int, size: int, label: str) -> tuple[int, int, int, int, int | None]:
    """Number of entries, start and end of the central directory, length of the comment; `end64`."""
    tail_at = max(0, size - _END.size - _COMMENT_BYTES)
    tail = read_exactly(file, size - tail_at, tail_at, label)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        if tail_at == 0 and not tail.startswith(b"PK"):
            raise InputError(f"{label} is no WACZ: it is not a ZIP file")
        if read_exactly(file, min(size, 4), 0, label) != b"PK\x03\x04":
            raise InputError(f"{label} is no WACZ: it is not a ZIP file")
        raise EvidenceError(f"{label}: the end record of the ZIP is missing; the file is cut short")
    _, disk, first, here, count, length, start, comment = _END.unpack_from(tail, found)
    at = tail_at + found
    if at + _END.size + comment != size:
        raise EvidenceError(
            f"{label}: the end record of the ZIP (byte {at}) does not end the file; "
            "it is damaged, or something was appended"
        )
    end, end64 = at, None
    locator = found - _LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        end64, large = _end64(file, tail, tail_at, locator, label)
        small = (here, count, length, start)
        if any(a not in (b, top) for a, b, top in zip(small, large, _TOPS, strict=True)):
            raise EvidenceError(f"{label}: the two end records of the ZIP disagree")
        here, count, length, start = large
        end = at - _LOCATOR.size - _END64.size
    if disk or first or here != count or start + length != end:
        raise EvidenceError(
            f"{label}: the end record of the ZIP (byte {at}) does not fit the file; "
            "it is damaged or cut short"
        )
    if count > MEMBERS:
        raise EvidenceError(f"{label}: it has {count} members, more than the {MEMBERS} we read")
    if length > DIRECTORY_BYTES or length < count * _CENTRAL.size:
        raise EvidenceError(
            f"{label}: a central directory of {length} bytes for {count} members makes no sense"
        )
    return count, start, end, comment, end64


_TOPS = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def _end64(
    file: int, tail: bytes, tail_at: int, locator: int, label: str
) -> tuple[int, tuple[int, int, int, int]]:
    """What it says of its maker; entries here, entries, length and start of the directory."""
    _, disk, where, disks = _LOCATOR.unpack_from(tail, locator)
    expected = tail_at + locator - _END64.size
    if disk or disks != 1 or where != expected or expected < 0:
        raise EvidenceError(f"{label}: the ZIP64 locator (byte {tail_at + locator}) is damaged")
    raw = read_exactly(file, _END64.size, where, label)
    sign, rest, made_by, needed, disk, first, here, count, length, start = _END64.unpack(raw)
    sound = sign == b"PK\x06\x06" and rest == _END64.size - 12 and needed == 45
    if not sound or disk or first:
        raise EvidenceError(f"{label}: the ZIP64 end record (byte {where}) is damaged")
    return made_by, (here, count, length, start)


def _central(raw: bytes, position: int, number: int, label: str) -> tuple[Member, int]:
    """One entry of the central directory, and where the next begins."""
    values = _CENTRAL.unpack_from(raw, position)
    _, made_by, needed, flags, method, clock, day, crc, packed, size = values[:10]
    name_length, extra_length, comment_length, disk, internal, external, header = values[10:]
    name_at = position + _CENTRAL.size
    extra_at = name_at + name_length
    following = extra_at + extra_length + comment_length
    if following > len(raw) or disk not in (0, 0xFFFF):
        raise EvidenceError(f"{label}: entry {number} of the central directory is damaged")
    name = _name(raw[name_at:extra_at], flags, number, label)
    extra = raw[extra_at : extra_at + extra_length]
    size, packed, header, disk = _zip64(extra, (size, packed, header, disk), name, label)
    if disk:
        raise EvidenceError(f"{label}: '{name}' says that it lies in another file")
    kind = stat.S_IFMT(external >> 16)
    if made_by >> 8 == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise EvidenceError(f"{label}: '{name}' is a link or a device, not a file")
    if flags & _ENCRYPTED:
        raise EvidenceError(f"{label}: '{name}' is encrypted; a WACZ must be readable as it is")
    if method not in (STORED, DEFLATED):
        raise EvidenceError(f"{label}: '{name}' is packed by method {method}, which no WACZ uses")
    if method == STORED and packed != size:
        raise EvidenceError(f"{label}: '{name}' is stored, but its two sizes differ")
    if size > RATIO_FREE_BYTES and size > RATIO * packed:
        raise EvidenceError(
            f"{label}: '{name}' would grow from {packed} to {size} bytes; "
            "it may be a decompression bomb"
        )
    if name.endswith("/") and size:
        raise EvidenceError(f"{label}: '{name}' is a folder with content")
    form = (made_by, needed, internal, external)
    clock |= day << 16
    beside = extra_length + comment_length
    return Member(
        name, method, flags, crc, packed, size, header, -1, clock, form, beside
    ), following


def _name(raw: bytes, flags: int, number: int, label: str) -> str:
    """The member's name, if it is one that no tool could write outside the folder it unpacks to."""
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise EvidenceError(f"{label}: the name of member {number} is not UTF-8") from None
    shown = ascii(name[:80])
    parts = (name[:-1] if name.endswith("/") else name).split("/")
    if not raw or len(raw) > NAME_BYTES:
        raise EvidenceError(f"{label}: the name of member {number} has {len(raw)} bytes")
    if any(c in "\\:" or c > "\uffff" or unicodedata.category(c)[0] == "C" for c in name):
        raise EvidenceError(
            f"{label}: the name {shown} has a backslash, a colon, or a control or rare character"
        )
    if any(part in ("", ".", "..") for part in parts):
        raise EvidenceError(f"{label}: the name {shown} leads out of the folder it is unpacked to")
    return name


def _zip64(
    extra: bytes, fields: tuple[int, int, int, int], name: str, label: str
) -> tuple[int, int, int, int]:
    """Size, packed size, header and disk, with those that are too large for 32 bits filled in."""
    values = list(fields)
    position = 0
    while position < len(extra):
        kind, length = struct.unpack_from("<2H", extra.ljust(position + 4, b"\0"), position)
        field = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if position > len(extra):
            raise EvidenceError(f"{label}: the extra fields of '{name}' are damaged")
        if kind == 0x7075:
            raise EvidenceError(f"{label}: '{name}' has two names")
        if kind != 1:
            continue
        for place, (top, width) in enumerate(((0xFFFFFFFF, 8),) * 3 + ((0xFFFF, 4),)):
            if values[place] == top:
                if len(field) < width:
                    raise EvidenceError(f"{label}: the ZIP64 field of '{name}' is cut short")
                values[place] = int.from_bytes(field[:width], "little")
                field = field[width:]
    size, packed, header, disk = values
    return size, packed, header, disk


def _refuse_twins(members: list[Member], label: str) -> None:
    """Two members of one name (for any file system): two tools would show two different files."""
    seen = set()
    for member in members:
        plain = unicodedata.normalize("NFC", member.name).casefold().rstrip("/")
        if plain in seen:
            raise EvidenceError(f"{label}: '{member.name}' is in it twice")
        seen.add(plain)


def _local(file: int, member: Member, limit: int, label: str) -> tuple[Member, int]:
    """The member with the place of its content, once its own header was compared; its end."""
    raw = os.pread(file, _LOCAL.size + NAME_BYTES, member.header)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise EvidenceError(
            f"{label}: where '{member.name}' should begin (byte {member.header}) is no member"
        )
    (_, needed, flags, method, time, day, crc, packed, size, name_length, extra_length) = (
        _LOCAL.unpack_from(raw)
    )
    name_end = _LOCAL.size + name_length
    content = member.header + name_end + extra_length
    described = bool(flags & _DESCRIBED)
    sizes = [(member.crc, member.packed, member.size)]
    if extra_length:
        sizes.append((member.crc, 0xFFFFFFFF, 0xFFFFFFFF))  # the true sizes are in a ZIP64 field
    if described:
        sizes += [(0, 0, 0), (0, 0xFFFFFFFF, 0xFFFFFFFF)]
    encoded = member.name.encode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if (
        (crc, packed, size) not in sizes
        or (flags, method, day << 16 | time) != (member.flags, member.method, member.clock)
        or raw[_LOCAL.size : name_end] != encoded
    ):
        raise EvidenceError(
            f"{label}: the header of '{member.name}' (byte {member.header}) does not say what the "
            "central directory says; the file is damaged"
        )
    placed = replace(
        member,
        content=content,
        form=(*member.form, needed),
        extra=member.extra + extra_length,
    )
    end = placed.end
    if end > limit:
        raise EvidenceError(f"{label}: '{member.name}' runs into the central directory")
    if described:
        end += _descriptor(os.pread(file, 24, end), member)
    return placed, end


def _descriptor(raw: bytes, member: Member) -> int:
    """The length of the sizes that follow the content, 0 if they are not what they should be."""
    for widths in ("<LLL", "<LQQ"):
        if widths == "<LLL" and max(member.packed, member.size) > 0xFFFFFFFF:
            continue
        values = struct.pack(widths, member.crc, member.packed, member.size)
        for descriptor in (b"PK\x07\x08" + values, values):
            if raw.startswith(descriptor):
                return len(descriptor)
    return 0


def in_chunks(file: int, member: Member, label: str, length: int = 1 << 16) -> Iterator[bytes]:
    """The bytes of the member as they lie in the file."""
    position = member.content
    while position < member.end:
        step = min(length, member.end - position)
        yield read_exactly(file, step, position, label)
        position += step
