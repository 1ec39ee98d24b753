"""Pictures for tests, drawn from a seed: no photograph of anybody. Needs Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Picture: TypeAlias = Image.Image
SIZE = (640, 480)


def landscape(seed: int) -> Picture:
    """Like a photograph: noise whose amplitude falls with frequency, in colour."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    fall = 1 / np.maximum(np.hypot(y, x), 1 / width) ** 1.3
    planes = []
    for _ in range(3):
        waves = rng.normal(size=fall.shape) + 1j * rng.normal(size=fall.shape)
        plane = np.fft.irfft2(waves * fall, s=(height, width))
        planes.append(plane / plane.std())
    shared = planes[0]
    mixed = np.stack([128 + 52 * (0.8 * shared + 0.6 * plane) for plane in planes], axis=2)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def poster(seed: int) -> Picture:
    """Like a poster or screenshot: flat shapes, bars and lines of text."""
    rng = np.random.default_rng(seed)
    width, height = SIZE

    def colour() -> tuple[int, int, int]:
        red, green, blue = rng.integers(0, 256, 3).tolist()
        return red, green, blue

    picture = Image.new("RGB", SIZE, colour())
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = rng.integers(-80, width), rng.integers(-80, height)
        box = [int(x), int(y), int(x + rng.integers(40, 320)), int(y + rng.integers(40, 260))]
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape(box, fill=colour())
    for _ in range(6):
        words = "".join(chr(rng.integers(97, 123)) for _ in range(24))
        at = (int(rng.integers(0, width - 100)), int(rng.integers(0, height - 20)))
        draw.text(at, words, fill=colour(), font_size=int(rng.integers(14, 40)))
    return picture


def kinds() -> tuple[Callable[[int], Picture], ...]:
    return landscape, poster


def encoded(picture: Picture, form: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture in a file format."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def again(content: bytes) -> Picture:
    return Image.open(io.BytesIO(content)).convert("RGB")


def scaled(picture: Picture, share: float) -> Picture:
    return picture.resize((round(picture.width * share), round(picture.height * share)))


def cropped(picture: Picture, share: float) -> Picture:
    """Without `share` of its width and height, a quarter of it at the left and top."""
    dx, dy = picture.width * share, picture.height * share
    left, top = round(dx / 4), round(dy / 4)
    right, bottom = round(picture.width - 3 * dx / 4), round(picture.height - 3 * dy / 4)
    return picture.crop((left, top, right, bottom))


def watermarked(picture: Picture) -> Picture:
    """With a line of text in its corner and a pale one across it."""
    marked = picture.convert("RGBA")
    above = Image.new("RGBA", marked.size)
    draw = ImageDraw.Draw(above)
    draw.text((marked.width * 0.55, marked.height * 0.92), "@somebody", "white", font_size=28)
    draw.text((40, marked.height * 0.45), "SOMEBODY'S OWN", (255, 255, 255, 90), font_size=60)
    return Image.alpha_composite(marked, above).convert("RGB")


def framed(picture: Picture, share: float) -> Picture:
    """With a white margin of `share` of its width on each side."""
    return ImageOps.expand(picture, round(picture.width * share), "white")


ALTERED: dict[str, Callable[[Picture], Picture]] = {
    "JPEG, quality 75": lambda p: again(encoded(p, "JPEG", quality=75)),
    "JPEG, quality 20": lambda p: again(encoded(p, "JPEG", quality=20)),
    "WebP, quality 50": lambda p: again(encoded(p, "WEBP", quality=50)),
    "half the size": lambda p: scaled(p, 0.5),
    "a quarter of the size": lambda p: scaled(p, 0.25),
    "half the size, JPEG 40": lambda p: again(encoded(scaled(p, 0.5), "JPEG", quality=40)),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "brighter by a third": lambda p: p.point(lambda v: min(255, round(v * 1.33))),
    "blurred, 2 pixels": lambda p: p.filter(ImageFilter.GaussianBlur(2)),
    "watermark": watermarked,
    "cropped by 2 %": lambda p: cropped(p, 0.02),
    "cropped by 5 %": lambda p: cropped(p, 0.05),
    "cropped by 10 %": lambda p: cropped(p, 0.10),
    "cropped by 25 %": lambda p: cropped(p, 0.25),
    "margin of 2 %": lambda p: framed(p, 0.02),
    "margin of 5 %": lambda p: framed(p, 0.05),
    "mirrored": ImageOps.mirror,
    "turned by 2 degrees": lambda p: p.rotate(2, Image.Resampling.BICUBIC),
}
"""What people and platforms do to pictures."""
