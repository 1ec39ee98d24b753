"""What belongs to the volunteer and must stand in no record: addresses, resolvers, names, secrets.

In: what is known of the volunteer. Out: an `Own`, which finds and replaces it in texts and bytes:
IPv4 in every spelling that software prints or reads (dotted, octal, hex, one number, reversed for
DNS, with dashes as in names of dial-up hosts, inside IPv6), IPv6 by its /64, secrets also in hex,
base64 and percent-encoding. What is not known to it is not found: `reach.scrub` does the rest.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, unquote

from vanished.errors import UsageError
from vanished.net.address import embedded

SCRUBBED = "[scrubbed]"
"""What stands in place of what was taken out; OONI's word."""

LEAST_SECRET = 6
"""Characters of the shortest secret: a shorter one would be found in every text."""

MOST_UNPACKED = 8 << 20
"""Bytes of a packed body that are looked through."""

SHORT, MOST_KNOWN = 200, 20_000
"""Characters of a text whose result is remembered, and how many are."""

_SEPARATOR = r"\s?(?:[.,_-]|\[\.\]|\(\.\)|\s(?i:dot)\s)\s?"
_V6 = re.compile(
    r"(?<![0-9A-Za-z:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3}"
    r"|(?:\.\d{1,3}){3})?"
)
_V6_DASHED = re.compile(
    r"(?<![0-9A-Za-z-])[0-9A-Fa-f]{0,4}(?:-[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Za-z])"
)
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_TAG = re.compile(r"<[^<>]{0,1000}>")


@dataclass(frozen=True, slots=True)
class Own:
    """Finds what is the volunteer's. Made by `Own.of`; `NOBODY` finds nothing."""

    pattern: re.Pattern[str] | None = field(repr=False)
    v4: frozenset[int] = field(repr=False)
    v6: tuple[IPv6Network, ...] = field(repr=False)
    octets: tuple[bytes, ...] = field(repr=False)
    words: tuple[str, ...] = field(repr=False)
    known: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What became of short texts: names of headers, failures and hosts come again and again."""

    @classmethod
    def of(
        cls,
        addresses: Iterable[str] = (),
        resolvers: Iterable[str] = (),
        names: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> Own:
        """What is the volunteer's: `addresses` and `resolvers` as text, `names` of its hosts.

        Loopback addresses are nobody's. Raises UsageError for what is no address, and for secrets
        too short to be looked for.
        """
        held = [_parsed(text) for text in (*addresses, *resolvers)]
        own = [one for one in held if not (one.is_loopback or one.is_unspecified)]
        v4 = [one for one in own if isinstance(one, IPv4Address)]
        v6 = [one for one in own if isinstance(one, IPv6Address)]
        literal = [name for name in names if "." in name] + list(secrets)
        if any(len(word) < LEAST_SECRET for word in secrets):
            raise UsageError(f"A secret of fewer than {LEAST_SECRET} characters cannot be found.")
        texts = [str(one) for one in own] + [str(one).replace(".", "-") for one in v4]
        words = {spelt for word in literal for spelt in _spellings(word)}
        words |= {spelt for text in texts for spelt in _encoded(text)}
        parts = [_v4_pattern(v4)] if v4 else []
        parts += [part for one in v6 for part in _v6_patterns(one)]
        parts += [_whole_base64(one.packed) for one in own]
        return cls(
            re.compile("|".join(parts)) if parts else None,
            frozenset(int(one) for one in v4),
            tuple(_household(one) for one in v6),
            tuple(
                {one.packed if one.version == 4 else one.packed[:8] for one in own}
                | {text.encode() for text in texts}
                | {one.reverse_pointer.removesuffix(".in-addr.arpa").encode() for one in v4}
            ),
            tuple(sorted(words, key=len, reverse=True)),
        )

    def text(self, held: str) -> str:
        """`held` without what is the volunteer's. Where that only shows after decoding (entities,
        escapes, tags between the digits), all of `held` goes."""
        if self.pattern is None and not self.words:
            return held
        known = self.known.get(held)
        if known is not None:
            return known
        done = self._direct(held)
        if any(self._direct(view) != view for view in _views(done)):
            done = SCRUBBED
        if len(held) <= SHORT:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            self.known[held] = done
        return done

    def raw(self, held: bytes) -> bytes:
        """The same for bytes. What is found is overwritten, so that lengths and places in DER or
        DNS stay right; where it shows only after decoding, nothing is left."""
        for octets in self.octets:  # in DER, the digit "0" (a SEQUENCE) often follows a name
            held = held.replace(octets, bytes(len(octets)))
        if self.pattern is None and not self.words:
            return held
        shown = held.decode("latin-1")
        done = self._direct(shown, overwrite=True)
        if any(self._direct(view) != view for view in (*_views(done), *_readings(held))):
            return b""
        return held if done == shown else done.encode("latin-1")

    def number(self, held: float) -> bool:
        """Whether a number is one of the addresses."""
        return held in self.v4

    def finds(self, held: str) -> bool:
        """Whether anything in `held` is the volunteer's."""
        return self.text(held) != held

    def _direct(self, held: str, *, overwrite: bool = False) -> str:
        put = "x" if overwrite else ""
        for word in self.words:
            if word in held:
                held = held.replace(word, put * len(word) or SCRUBBED)
        if self.pattern is not None:
            held = self.pattern.sub(lambda found: put * len(found[0]) or SCRUBBED, held)
            for dashes, tokens in ((":", _V6), ("-", _V6_DASHED)):
                if held.count(dashes) > 1:
                    own = {one for one in tokens.findall(held) if self._is_own(one)}
                    for token in own:
                        held = held.replace(token, put * len(token) or SCRUBBED)
        return held

    def _is_own(self, token: str) -> bool:
        """Whether what looks like an IPv6 address is of the volunteer's network."""
        try:
            address = IPv6Address(token.replace("-", ":"))
        except ValueError:
            return False
        inner = any(int(one) in self.v4 for one in _inner(address))
        return inner or any(address in net for net in self.v6)


def _parsed(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text.split("%")[0].strip("[] "))
    except ValueError:
        raise UsageError(
            f"'{text}' is no IP address; write it as 192.0.2.1 or 2001:db8::1."
        ) from None


def _household(address: IPv6Address) -> IPv6Network:
    """The network that names the volunteer: a /64, but of link-local addresses the one address."""
    return IPv6Network((address, 128 if address.is_link_local else 64), strict=False)


def _inner(address: IPv6Address) -> Iterator[IPv4Address]:
    """IPv4 addresses in an IPv6 address: by the standards, and in its last four bytes."""
    yield from embedded(address)
    yield IPv4Address(int(address) & 0xFFFF_FFFF)


def _any_case(shown: str) -> str:
    """Hexadecimal digits of either case, for a pattern that is fast because it folds none."""
    return "".join(f"[{one}{one.upper()}]" if one.isalpha() else one for one in shown)


def _octet(value: int) -> str:
    return rf"(?:0[xX]0*{_any_case(f'{value:x}')}|0*{value}|0+{value:o})"


def _v4_pattern(addresses: Iterable[IPv4Address]) -> str:
    """A regular expression for the spellings of addresses that are numbers of some kind."""
    decimal, hexadecimal = [], []
    for address in addresses:
        a, b, c, d = address.packed
        whole = int(address)
        orders = ((a, b, c, d), (d, c, b, a), (a, b, c, 0))
        decimal += [_SEPARATOR.join(_octet(one) for one in four) for four in orders]
        decimal.append(rf"{_octet(a)}\.{_octet(whole & 0xFFFFFF)}")
        decimal.append(rf"{_octet(a)}\.{_octet(b)}\.{_octet(whole & 0xFFFF)}")
        decimal.append(rf"0*{whole}|0+{whole:o}")
        for packed in (address.packed, address.packed[::-1]):
            pairs = [_any_case(f"{one:02x}") for one in packed]
            hexadecimal.append(f"(?:0[xX])?0*{':?'.join(pairs)}")
    return (
        rf"(?=[0-9])(?<![0-9])(?:{'|'.join(decimal)})(?![0-9])"
        rf"|(?=[0-9a-fA-F])(?<![0-9a-fA-F])(?:{'|'.join(hexadecimal)})(?![0-9a-fA-F])"
    )


def _v6_patterns(address: IPv6Address) -> Iterator[str]:
    """Spellings without colons: reversed for DNS, in hex, as a number."""
    nibbles = address.exploded.replace(":", "")
    known = nibbles if address.is_link_local else nibbles[:16]
    backwards = r"\.".join(_any_case(one) for one in reversed(known))
    yield rf"(?<![0-9a-fA-F])(?:[0-9a-fA-F]\.){{0,16}}{backwards}(?![0-9a-fA-F])"
    yield rf"(?<![0-9a-fA-F])(?:0[xX])?{_any_case(known)}[0-9a-fA-F]{{0,16}}"
    yield rf"(?<![0-9]){int(address)}(?![0-9])"


def _whole_base64(packed: bytes) -> str:
    """The address as its octets in base64, where nothing else is in it."""
    shown = base64.b64encode(packed).decode().rstrip("=")
    return rf"(?<![0-9A-Za-z+/_-]){_either(shown)}(?![0-9A-Za-z+/_-])"


def _either(shown: str) -> str:
    """A piece of base64, of either alphabet."""
    return "".join({"+": "[+-]", "/": "[/_]"}.get(one, one) for one in shown)


def _encoded(text: str) -> Iterator[str]:
    """`text` inside something in hex or base64."""
    yield text.encode().hex()
    yield text.encode().hex().upper()
    for piece in _base64_pieces(text.encode()):
        yield piece
        yield piece.replace("+", "-").replace("/", "_")


def _base64_pieces(held: bytes) -> Iterator[str]:
    """The characters of base64 that `held` alone decides, at each of the three places in it."""
    for before in range(3):
        shown = base64.b64encode(bytes(before) + held).decode()
        first = -(-before * 8 // 6)
        yield shown[first : (before + len(held)) * 8 // 6]


def _spellings(word: str) -> Iterator[str]:
    """A secret as it may stand in a text."""
    yield word
    yield word.lower()
    yield word.upper()
    yield quote(word, safe="")
    yield quote(word)
    yield from _encoded(word)


def _views(held: str) -> Iterator[str]:
    """What a reader's program may make of `held`: decoded, and then without tags."""
    shown = held
    for there, step in _DECODINGS:
        if there in shown:
            shown = step(shown)
    if not shown.isascii():
        shown = _normal(shown)
    if shown != held:
        yield shown
    if "<" in shown:
        yield _TAG.sub("", shown)


def _readings(held: bytes) -> Iterator[str]:
    """What bytes may say as text of East Asia, or unpacked."""
    if not held.isascii():
        for encoding in ("utf-8", "gb18030"):
            yield _normal(held.decode(encoding, "ignore"))
    if held[:2] == b"\x1f\x8b":
        yield from _unpacked(held, zlib.MAX_WBITS | 16)
    elif held[:1] == b"\x78":
        yield from _unpacked(held, zlib.MAX_WBITS)


def _unpacked(held: bytes, bits: int) -> Iterator[str]:
    try:
        yield zlib.decompressobj(bits).decompress(held, MOST_UNPACKED).decode("latin-1")
    except zlib.error:
        return


def _unescaped(held: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), held)


def _normal(held: str) -> str:
    """Full-width digits and dots as plain ones, nothing invisible between them."""
    return unicodedata.normalize("NFKC", held).translate(_DOTS)


_DOTS = str.maketrans({"。": ".", "\u200b": None, "\u200c": None, "\u200d": None, "\u2060": None})
_DECODINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("\0", lambda held: held.replace("\0", "")),
    ("\\u", _unescaped),
    ("%", unquote),
    ("&", html.unescape),
)

NOBODY = Own.of()
