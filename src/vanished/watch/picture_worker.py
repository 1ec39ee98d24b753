"""Decode and hash pictures in a process of its own, since a picture is a stranger's program.

A script, run by `picturing` with this interpreter and imported by nothing: it imports nothing of
ours, so that it can run isolated. On standard input: for each picture eight bytes of length, big
endian, and the bytes. On standard output: for each one a line of JSON, {"hash": 64 hexadecimal
digits, "quality": 0..100} or {"why": why there is none}. It ends with its input. What it costs is
bounded here (memory, pixels) and by its parent (time); what it may do is read its input.

The method "pdq/1" is PDQ (Facebook, The TMK+PDQF Video-Hashing Algorithm and the PDQ
Image-Hashing Algorithm, 2019) of the first frame, turned as its Exif says, over white where it is
transparent, made at most 512 wide and high: luma, two passes of a box filter, 64 x 64 samples,
their discrete cosine transform, its 16 x 16 lowest frequencies but the constant against their
median. Hashes agree with other implementations up to a few bits of rounding.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, features

MEMORY = 1 << 30  # bytes of this process
MOST_PIXELS = 40_000_000
SIDE = 512
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", *(["AVIF"] if features.check("avif") else [])]

Array = np.ndarray[Any, np.dtype[np.float64]]


def luma(content: bytes) -> Array:
    """The picture in `content` as brightness, 0 to 255; ValueError says why it cannot be."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"it has {width} x {height} pixels, more than we decode")
        if image.format == "JPEG":
            image.draft("RGB", (SIDE, SIDE))  # decodes a large one at an eighth of its size
        image.load()
        turned: Image.Image = ImageOps.exif_transpose(image)
        if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
            above = turned.convert("RGBA")
            turned = Image.new("RGBA", above.size, "white")
            turned.alpha_composite(above)
        shown = turned.convert("RGB")
        if max(shown.size) > SIDE:
            shown.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    brightness: Array = np.asarray(shown, dtype=np.float64) @ np.array([0.299, 0.587, 0.114])
    return brightness


def pdq(brightness: Array) -> tuple[str, int]:
    """PDQ of an array of brightness: 256 bits in hexadecimal, and a quality of 0 to 100.

    Below a quality of about 50 a picture is too plain for its hash to mean anything.
    """
    rows, columns = brightness.shape
    for _ in range(2):
        brightness = _box(_box(brightness, 1, _window(columns)), 0, _window(rows))
    sampled = brightness[np.ix_(_centres(rows), _centres(columns))]
    steps = [np.trunc(np.diff(sampled, axis=axis) * 100 / 255) for axis in (0, 1)]
    quality = min(100, int(sum(np.abs(step).sum() for step in steps) / 90))
    frequency, place = np.mgrid[1:17, 0:64]
    waves = np.sqrt(2 / 64) * np.cos(np.pi / 128 * frequency * (2 * place + 1))
    spectrum = waves @ sampled @ waves.T
    middle = np.partition(spectrum.ravel(), 127)[127]  # the lower median: half of the bits are set
    bits = (spectrum > middle).ravel()[::-1]  # the highest frequencies first, as PDQ is written
    return np.packbits(bits).tobytes().hex(), quality


def _window(size: int) -> int:
    return (size + 127) // 128


def _box(values: Array, axis: int, width: int) -> Array:
    """The mean of a window of `width` around each place; at the borders, of what there is."""
    values = np.moveaxis(values, axis, 0)
    size, ahead = len(values), (width + 2) // 2
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    place = np.arange(size)
    low, high = np.maximum(place - (width - ahead), 0), np.minimum(place + ahead, size)
    means = (sums[high] - sums[low]) / (high - low)[:, None]
    return np.moveaxis(means, 0, axis)


def _centres(size: int) -> Array:
    return ((np.arange(64) + 0.5) * size / 64).astype(int)


def described(content: bytes) -> dict[str, object]:
    """The hash of a picture, or why there is none."""
    try:
        digits, quality = pdq(luma(content))
    except Exception as error:  # whatever a library makes of a stranger's bytes
        return {"why": f"{type(error).__name__}: {error}"[:200]}
    return {"hash": digits, "quality": quality}


def main(given: BinaryIO, told: BinaryIO) -> None:
    """Answer for each picture on `given` until it ends."""
    while len(head := given.read(8)) == 8:
        content = given.read(int.from_bytes(head, "big"))
        told.write(json.dumps(described(content)).encode() + b"\n")
        told.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # checked above, before anything is decoded
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    main(sys.stdin.buffer, sys.stdout.buffer)
