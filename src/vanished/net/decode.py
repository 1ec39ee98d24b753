"""Undo a Content-Encoding without trusting it: streaming, with caps on layers, bytes and ratio.

In: the header's value and the body as it comes, in chunks. Out: the decoded body, in chunks, or
`Undecodable` with the fault to report. It knows gzip and deflate (zlib and raw), no others, and
never holds more than the cap plus one chunk: a bomb of 10 GB stops where its first megabytes are.
"""

from __future__ import annotations

import zlib

from vanished.model import Fault

MAX_LAYERS = 2
MAX_RATIO = 256
"""Decoded bytes a byte on the wire, beyond the first MiB (deflate itself cannot pass 1032)."""
RATIO_FROM = 1024 * 1024
MAX_MEMBERS = 1024
"""Gzip members of one body: each costs a copy of what is left of the chunk."""
_STEP = 256 * 1024  # decoded bytes at a time
_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"


class Undecodable(Exception):  # noqa: N818 - the fault inside says what kind of error it is
    """Stops the decoding; stays inside this room, where the door turns it into a `Fault`."""

    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault = fault
        self.words = words


class _Layer:
    """One gzip or deflate layer. RFC 1952: a gzip body may hold several members in a row."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inflate: zlib._Decompress | None = None
        self._head = b""  # the first byte of a member, kept until the second shows what it is
        self._members = 0
        self._ended = False  # the last member that began came to its end
        self._padding = False  # all that follows is to be dropped

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """At most `_STEP` bytes decoded, and the input that is left for the next call."""
        if self._inflate is None:
            chunk, self._head = self._head + chunk, b""
            if len(chunk) < 2:
                self._head = chunk
                return b"", b""
            if self._ended and (self.name == "deflate" or chunk[:2] != _MAGIC):
                self._padding = True  # curl and browsers drop what follows the last member too
            if self._padding:
                return b"", b""
            self._begin(chunk)
        assert self._inflate is not None
        try:
            decoded = self._inflate.decompress(chunk, _STEP)
        except zlib.error as error:
            raise Undecodable(
                Fault.UNREADABLE, f"the body is said to be {self.name}, but is not: {error}"
            ) from None
        left = self._inflate.unconsumed_tail
        if self._inflate.eof:
            left = self._inflate.unused_data
            self._inflate, self._ended = None, True
        return decoded, left

    def _begin(self, start: bytes) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise Undecodable(
                Fault.UNREADABLE, f"the gzip body has more than {MAX_MEMBERS} members"
            )
        self._inflate = zlib.decompressobj(self._window_bits(start))
        self._ended = False

    def _window_bits(self, start: bytes) -> int:
        if self.name == "gzip":
            return _GZIP
        # RFC 1950 says zlib; many servers send raw deflate. A zlib header is a multiple of 31.
        is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS

    def held(self) -> bool:
        """Whether the inflater may still give bytes without more input."""
        return self._inflate is not None and not self._inflate.eof

    def complete(self) -> bool:
        return self._ended


class Decoder:
    """Decodes one body. `feed` its chunks in order, then `finish`."""

    def __init__(self, encoding: str, max_bytes: int, max_ratio: float = MAX_RATIO) -> None:
        """`encoding`: the Content-Encoding header; `max_bytes`: decoded, of each layer.

        Raises Undecodable (UNREADABLE) for an encoding we do not know or too many layers.
        """
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._wire = 0
        names = [name.strip().lower() for name in encoding.split(",")]
        names = [name.removeprefix("x-") for name in names if name not in ("", "identity")]
        for name in names:
            if name not in ("gzip", "deflate"):
                raise Undecodable(
                    Fault.UNREADABLE,
                    f"the body is encoded as {name[:40]}, which we did not ask for and cannot read",
                )
        if len(names) > MAX_LAYERS:
            raise Undecodable(
                Fault.UNREADABLE, f"the body is encoded {len(names)} times; we undo {MAX_LAYERS}"
            )
        # The header lists encodings in the order they were applied (RFC 9110, 8.4).
        self._layers = [_Layer(name) for name in reversed(names)]
        self._made = [0] * len(self._layers)

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that `chunk` decodes to. Raises Undecodable: UNREADABLE or TOO_LARGE."""
        self._wire += len(chunk)
        if not self._layers:
            return chunk
        out: list[bytes] = []
        self._through(0, chunk, out)
        return b"".join(out)

    def finish(self) -> None:
        """Check that the body came to its end. Raises Undecodable (TRUNCATED) if it did not.

        No bytes at all are a complete, empty body: the answer to HEAD, 204, 304.
        """
        if self._wire and not all(layer.complete() for layer in self._layers):
            raise Undecodable(
                Fault.TRUNCATED,
                f"the encoded body broke off after {self._wire} bytes; it will be asked for again",
            )

    def _through(self, depth: int, chunk: bytes, out: list[bytes]) -> None:
        """Push `chunk` through the layers from `depth` on, a step at a time."""
        layer = self._layers[depth]
        left = chunk
        while True:
            decoded, left = layer.feed(left)
            self._count(depth, len(decoded))
            if depth + 1 == len(self._layers):
                out.append(decoded)
            elif decoded:
                self._through(depth + 1, decoded, out)
            # A full step may have more behind it although its input is used up.
            if not left and not (len(decoded) == _STEP and layer.held()):
                return

    def _count(self, depth: int, n: int) -> None:
        self._made[depth] += n
        made = self._made[depth]
        if made > self._max_bytes:
            raise Undecodable(
                Fault.TOO_LARGE, f"the body decodes to more than {self._max_bytes} bytes"
            )
        if made > RATIO_FROM and made > self._max_ratio * self._wire:
            raise Undecodable(
                Fault.TOO_LARGE,
                f"the body decodes to more than {self._max_ratio:g} times its {self._wire} bytes",
            )
