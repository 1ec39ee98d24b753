"""Texts that may be alike, without comparing all with all: MinHash and bands, and shared passages.

In: texts as numbers (`folding.Folded`). Out: pairs of texts that are worth an exact look
(`likeness`). Nothing is decided here: most pairs are alike, some are not, and a few like ones are
missed, which `caught` says how many.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.folding import Folded
from vanished.explain.pairs import Packed, Pairs, packed, unpacked

AT_ONCE: Final = 1 << 16  # shingles hashed at a time: what a core keeps near
NEIGHBOURS: Final = 4  # in a band's bucket each text is paired with the next so many
PASSAGE: Final = 8  # letters that a fingerprint covers
WINDOW: Final = 8  # of so many fingerprints in a row at least one is kept
_UNITED: Final = 6  # bands whose pairs are gathered before they are sorted out
_HIGH: Final = np.uint64(32)


def shingles(folded: Folded, n: int) -> Folded:
    """The hashes (32 bits) of all runs of `n` numbers; a text shorter than `n` has none."""
    lengths = np.maximum(folded.lengths - n + 1, 0)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    hashes = np.empty(int(starts[-1]), np.uint32)
    for low, high in blocks(folded):
        codes = folded.codes[folded.starts[low] : folded.starts[high]]
        inner = folded.starts[low : high + 1] - folded.starts[low]
        hashes[starts[low] : starts[high]] = _runs(codes, inner, n)
    return Folded(hashes, starts)


def _runs(codes: NDArray[np.uint32], starts: NDArray[np.int64], n: int) -> NDArray[np.uint32]:
    size = max(len(codes) - n + 1, 0)
    hashes = np.zeros(size, np.uint64)
    for place, odd in enumerate(_odd(np.random.default_rng(n), n)):
        hashes += codes[place : place + size] * odd
    inside = np.ones(size, bool)  # a run must not reach into the next text
    for back in range(1, n):
        places = starts[1:] - back
        inside[places[(places >= starts[:-1]) & (places < size)]] = False
    return (_mixed(hashes)[inside] >> np.uint64(32)).astype(np.uint32)


def blocks(folded: Folded) -> list[tuple[int, int]]:
    """Ranges of texts, each of about `AT_ONCE` numbers; a longer text is one of its own."""
    starts = folded.starts[:-1]
    cuts = np.searchsorted(starts, np.arange(0, len(folded.codes), AT_ONCE))
    cuts = np.unique(np.append(cuts, len(starts)))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def caught(likeness: float, bands: int, rows: int) -> float:
    """The chance that two texts of this Jaccard likeness share a bucket (Leskovec, Rajaraman and
    Ullman, Mining of Massive Datasets, 3.4.2)."""
    return float(1 - (1 - likeness**rows) ** bands)


def band_keys(sets: Folded, bands: int, rows: int, seed: int) -> NDArray[np.uint64]:
    """A number for each band of each text, of shape (bands, texts); no text may be empty.

    MinHash (Broder 1997) by multiply-shift: the least of a·h + b mod 2^32, a odd, over the hashes
    of a text stands for one random order of all shingles. `rows` of them make the key of a band.
    """
    rng = np.random.default_rng(seed)
    factors = _odd(rng, bands * rows).astype(np.uint32)
    shifts = rng.integers(0, 1 << 32, bands * rows, dtype=np.uint32)
    weights = _odd(rng, rows)
    starts = sets.starts[:-1]
    keys = np.empty((bands, len(starts)), np.uint64)
    for low, high in blocks(sets):
        hashes = sets.codes[sets.starts[low] : sets.starts[high]]
        inner = starts[low:high] - sets.starts[low]
        turned = np.empty_like(hashes)
        for band in range(bands):
            key = np.zeros(high - low, np.uint64)
            for row in range(rows):
                number = band * rows + row
                np.multiply(hashes, factors[number], out=turned)
                np.add(turned, shifts[number], out=turned)
                key += np.minimum.reduceat(turned, inner) * weights[row]
            keys[band, low:high] = key
    return keys


def alike_by_bands(sets: Folded, bands: int, rows: int, seed: int) -> Pairs:
    """Pairs of texts that share the bucket of at least one band."""
    if not len(sets.codes):
        return np.empty((0, 2), np.int64)
    found, fresh = np.zeros(0, np.uint64), []
    for number, key in enumerate(band_keys(sets, bands, rows, seed), start=1):
        fresh.append(in_bucket(key, np.arange(len(key), dtype=np.uint64)))
        if number % _UNITED == 0 or number == bands:
            found = np.unique(np.concatenate([found, *fresh]))
            fresh.clear()
    return unpacked(found)


def alike_by_passages(folded: Folded) -> Pairs:
    """Pairs of texts that share a passage of at least `PASSAGE` + `WINDOW` - 1 letters.

    Winnowing (Schleimer, Wilkerson and Aiken 2003): of each window of hashes the least is kept, so
    that whatever two texts share at such a length shares a kept hash.
    """
    runs = shingles(folded, PASSAGE)
    keys, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for low, high in blocks(runs):
        hashes = runs.codes[runs.starts[low] : runs.starts[high]]
        places = _winnowed(hashes)
        keys.append(hashes[places].astype(np.uint64) << _HIGH)
        texts = np.repeat(np.arange(low, high, dtype=np.uint64), runs.lengths[low:high])
        owners.append(texts[places])
    return unpacked(np.unique(in_bucket(np.concatenate(keys), np.concatenate(owners))))


def _winnowed(hashes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The places of hashes that are the least of any window. A window over two texts keeps one too
    many, a block shorter than a window none: neither loses a passage."""
    least, width = hashes, 1
    while width < WINDOW:
        least, width = np.minimum(least[:-width], least[width:]), width * 2
    kept = np.zeros(len(hashes), bool)
    for place in range(WINDOW if len(hashes) >= WINDOW else 0):
        kept[place : place + len(least)] |= hashes[place : place + len(least)] == least
    return np.flatnonzero(kept)


def in_bucket(key: NDArray[np.uint64], texts: NDArray[np.uint64]) -> Packed:
    """Packed pairs of texts with the same key: each with the next `NEIGHBOURS` of its bucket.

    A bucket of m texts gives at most `NEIGHBOURS` · m pairs, not m²/2; copies hang together by them
    all the same. The low bits of a key, as many as number the texts, say nothing.
    """
    low = np.uint64((1 << int(texts.max(initial=1)).bit_length()) - 1)
    rows = (key & ~low) | texts
    rows.sort()
    key, places = rows & ~low, (rows & low).astype(np.int64)
    found = []
    for step in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero(key[step:] == key[:-step])
        found.append(packed(places[same], places[same + step]))
    return np.concatenate(found)


def _odd(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    return rng.integers(0, 1 << 63, n, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's finalizer for 64 bits (Appleby, public domain), in place: all bits matter."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        numbers ^= numbers >> np.uint64(33)
        numbers *= np.uint64(factor)
    numbers ^= numbers >> np.uint64(33)
    return numbers
