"""Decoding: a page that cannot be read is no removal, and a bomb must not take the watch down."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.model import Fault
from vanished.net.decode import MAX_MEMBERS, Decoder, Undecodable

MIB = 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(body) + squeeze.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "identity": bytes,
}


def decode(encoding: str, wire: bytes, step: int = 4096, cap: int = 8 * MIB) -> bytes:
    decoder = Decoder(encoding, cap)
    body = b"".join(decoder.feed(wire[at : at + step]) for at in range(0, len(wire), step))
    decoder.finish()
    return body


@given(
    st.binary(max_size=3000),
    st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=2),
    st.integers(1, 700),
)
def test_every_body_comes_back_however_it_is_cut_and_layered(
    body: bytes, layers: list[str], step: int
) -> None:
    wire = body
    for name in layers:
        wire = ENCODERS[name](wire)
    assert decode(", ".join(layers), wire, step) == body


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 50))
def test_gzip_members_in_a_row_are_one_body(parts: list[bytes], step: int) -> None:
    wire = b"".join(gzip.compress(part) for part in parts)
    assert decode("gzip", wire, step) == b"".join(parts)
    assert decode("gzip", wire + b"\0" * 20, step) == b"".join(parts), "padding is dropped"


def test_a_large_body_within_the_caps_comes_back_whole() -> None:
    body = bytes(range(256)) * 4 * 1024 * 7  # 7 MiB, well squeezed
    assert decode("gzip", gzip.compress(body, 1), 65536) == body


@given(st.binary(min_size=1, max_size=500), st.sampled_from(["gzip", "deflate"]), st.data())
def test_a_cut_body_is_truncated_and_never_taken_for_a_page(
    body: bytes, name: str, data: st.DataObject
) -> None:
    wire = ENCODERS[name](body)
    cut = data.draw(st.integers(1, len(wire) - 1))
    with pytest.raises(Undecodable) as stopped:
        decode(name, wire[:cut])
    assert stopped.value.fault is Fault.TRUNCATED


def test_no_bytes_at_all_are_an_empty_body() -> None:
    assert decode("gzip", b"") == b""


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "aes128gcm", "gzip, br", "x"])
def test_an_encoding_that_we_did_not_ask_for_is_unreadable(name: str) -> None:
    with pytest.raises(Undecodable) as stopped:
        Decoder(name, MIB)
    assert stopped.value.fault is Fault.UNREADABLE


def test_three_layers_are_too_many() -> None:
    with pytest.raises(Undecodable, match="3 times"):
        Decoder("gzip, deflate, gzip", MIB)


@given(st.binary(min_size=2, max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_garbage_stops_with_a_fault_or_decodes_but_never_breaks(wire: bytes, name: str) -> None:
    fault = None
    try:
        decode(name, wire)
    except Undecodable as stopped:
        fault = stopped.fault
    assert fault in (None, Fault.UNREADABLE, Fault.TRUNCATED)


def test_the_caps_hold_to_the_byte() -> None:
    body = bytes(1000)
    assert decode("gzip", gzip.compress(body), cap=1000) == body
    with pytest.raises(Undecodable) as stopped:
        decode("gzip", gzip.compress(body + b"x"), cap=1000)
    assert stopped.value.fault is Fault.TOO_LARGE


def bomb(layers: int, size: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    wire = b"".join(squeeze.compress(bytes(MIB)) for _ in range(size // MIB)) + squeeze.flush()
    return wire if layers == 1 else gzip.compress(wire)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cap", [8 * MIB, 10**12])
def test_a_bomb_stops_early_in_small_memory(layers: int, cap: int) -> None:
    wire = bomb(layers, 256 * MIB)
    decoder = Decoder(", ".join(["gzip"] * layers), cap)
    chunks = iter([wire[at : at + 16384] for at in range(0, len(wire), 16384)])
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable) as stopped:
            list(map(decoder.feed, chunks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stopped.value.fault is Fault.TOO_LARGE
    assert len(wire) < 2 * 16384 or next(chunks, None), "it stopped before the end"
    assert peak < 24 * MIB, "layers must be pulled through in steps, not unpacked whole"


def test_a_thousand_empty_members_do_not_cost_a_second() -> None:
    wire = gzip.compress(b"") * (MAX_MEMBERS + 1)
    with pytest.raises(Undecodable, match="members"):
        decode("gzip", wire, len(wire))
    assert decode("gzip", gzip.compress(b"") * MAX_MEMBERS) == b""
