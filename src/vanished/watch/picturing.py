"""Say what bytes are as a picture: their form, their exact hash, and the hash of what is seen.

In: bytes of a stranger. Out: a `Seen`, whatever they are; they never raise. Decoding is done by
`picture_worker` in a process of its own that holds no secret, one picture at a time: a picture that
crashes, fills or stalls a decoder costs that process, and is kept with its exact hash alone. So is
every picture where the extra `platforms` is not installed, and every drawing (SVG): those are
programs, and nothing here runs them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

METHOD: Final = "pdq/1"
TIMEOUT_S: Final = 20.0  # of one picture; a phone's takes 0.05 s
MOST_BYTES: Final = 64 << 20
_HEAD: Final = 1024
_WORKER: Final = Path(__file__).with_name("picture_worker.py")
_BRANDS: Final = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What bytes are. `form` is "" for what is no picture; `why` says why there is no `hash`."""

    form: str
    sha256: str
    size: int
    method: str = ""
    hash: str = ""
    quality: int | None = None
    why: str = ""


def can_hash() -> bool:
    """Whether pictures can be decoded here: the extra `platforms` is installed."""
    return find_spec("PIL") is not None


def form_of(content: bytes) -> str:
    """The form of a picture by its first bytes; "" for everything else, such as an error page."""
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    if content[4:8] == b"ftyp" and content[8:12] in _BRANDS:
        return _BRANDS[content[8:12]]
    if content[:2] == b"BM" and content[6:10] == b"\0\0\0\0":
        return "bmp"
    head = content[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    xml = head.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in head
    if head.startswith(b"<svg") or xml:
        return "svg"
    return ""


def exact(content: bytes, why: str = "") -> Seen:
    """`content` with its exact hash alone."""
    return Seen(form_of(content), hashlib.sha256(content).hexdigest(), len(content), why=why)


def _hopeless(seen: Seen) -> str:
    """Why these bytes are not to be given to the decoder; "" if they are."""
    if not seen.form:
        return "it is no picture"
    if seen.form == "svg":
        return "it is a drawing, which is not run"
    if seen.size > MOST_BYTES:
        return "it is too large to decode"
    return "" if can_hash() else "pictures cannot be decoded without vanished[platforms]"


def _command() -> list[str]:
    """The worker: this interpreter without its variables, and without our folder on its path."""
    return [sys.executable, "-P", "-E", str(_WORKER)]


_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}


def _message(content: bytes) -> bytes:
    return len(content).to_bytes(8, "big") + content


def _with(seen: Seen, answer: bytes) -> Seen:
    """`seen` with what the worker said of it; it may have said anything, or nothing."""
    try:
        told: Any = json.loads(answer)
        if set(told) == {"hash", "quality"}:
            digits, quality = bytes.fromhex(told["hash"]).hex(), int(told["quality"])
            if len(digits) == 64 and 0 <= quality <= 100:
                return Seen(seen.form, seen.sha256, seen.size, METHOD, digits, quality)
        why = str(told["why"])[:200]
    except (ValueError, TypeError, KeyError, RecursionError):
        why = "the decoder ended over it"
    return Seen(seen.form, seen.sha256, seen.size, why=why)


def look_at(content: bytes) -> Seen:
    """What `content` is, with a worker for this one picture; blocks."""
    seen = exact(content)
    if why := _hopeless(seen):
        return exact(content, why)
    try:
        done = subprocess.run(  # noqa: S603 - our own file, under our own interpreter
            _command(),
            input=_message(content),
            capture_output=True,
            timeout=TIMEOUT_S,
            env=_ENVIRONMENT,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return exact(content, f"the decoder did not answer within {TIMEOUT_S:g} s")
    return _with(seen, done.stdout)


class Picturing:
    """One worker for a watch, started when it is first needed and again when a picture ended it."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()  # one picture at a time: the memory of the worker is for one

    async def look_at(self, content: bytes) -> Seen:
        """What `content` is; never raises for what it is, nor keeps the loop from its work."""
        seen = await asyncio.to_thread(exact, content)
        if why := _hopeless(seen):
            return Seen(seen.form, seen.sha256, seen.size, why=why)
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return _with(seen, await self._ask(content))
            except TimeoutError:
                why = f"the decoder did not answer within {self._timeout_s:g} s"
            except (OSError, ValueError) as error:
                why = f"the decoder could not be asked: {type(error).__name__}"
            except BaseException:  # cancelled between a question and its answer
                await self.close()
                raise
            await self.close()
            return Seen(seen.form, seen.sha256, seen.size, why=why)

    async def _ask(self, content: bytes) -> bytes:
        process = self._process
        if process is None:
            process = self._process = await asyncio.create_subprocess_exec(
                *_command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_ENVIRONMENT,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # it may have ended over the picture before its last byte
            process.stdin.write(_message(content))
            await process.stdin.drain()
        answer = await process.stdout.readline()
        if not answer.endswith(b"\n"):
            await self.close()
        return answer

    async def close(self) -> None:
        """End the worker; the next picture starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        # What the worker had still to say would keep `wait` waiting for a reader: close first.
        process._transport.close()  # type: ignore[attr-defined]
        await process.wait()
