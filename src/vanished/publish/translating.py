"""A machine's translation of words that a reader asks for, by a program that the user plugs in.

In: the program and its arguments as the settings give them, a text, the language that is wanted.
Out: what the program answers, or why there is none. It runs without a shell, without our secrets,
with a limit of time and of what it may say, and ends with all that it started. Nothing is kept
here, and nothing decides here whether words may be handed on.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import PurePath
from threading import BoundedSemaphore
from typing import Final

from vanished.errors import UsageError

LIMIT_S: Final = 30.0
MOST: Final = 1 << 20  # bytes of an answer
TO: Final = "{to}"  # in an argument: the wanted language's tag (BCP 47), such as zh-Hans
PASSED_ON: Final = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ")
"""What it is told of our environment, with LC_ and XDG_: keys and passwords stand there, too."""
_AT_ONCE: Final = BoundedSemaphore(1)  # models take much memory
_PART: Final = 1 << 16


def name_of(command: Sequence[str]) -> str:
    """The program, as a page names it."""
    return PurePath(command[0]).name


def translate(command: Sequence[str], text: str, to: str, limit_s: float = LIMIT_S) -> str:
    """`text` as `command` says it in the language `to`.

    The text goes to its standard input in UTF-8, its standard output is the answer. Raises
    UsageError where it is not there, fails, says nothing or too much, or takes longer than
    `limit_s` seconds; or where another translation is under way.
    """
    name = name_of(command)
    if not _AT_ONCE.acquire(blocking=False):
        raise UsageError("Another translation is under way; ask again when it is done.")
    try:
        code, said = _run([part.replace(TO, to) for part in command], text, limit_s)
    except TimeoutError:  # which is an OSError, too
        raise UsageError(
            f"The translator '{name}' gave no answer within {limit_s:g} seconds; it was ended."
        ) from None
    except OSError as error:
        raise UsageError(
            f"The translator '{name}' cannot be started ({error.strerror}); correct translator in"
            " observatory.toml."
        ) from None
    finally:
        _AT_ONCE.release()
    if len(said) > MOST:
        raise UsageError(f"The translator '{name}' said more than {MOST >> 20} MB; it was ended.")
    if code:
        raise UsageError(f"The translator '{name}' failed with exit code {code}; try it by hand.")
    answer = said.decode("utf-8", "replace").strip()
    if not answer:
        raise UsageError(f"The translator '{name}' answered nothing; try it by hand.")
    return answer


def _run(command: list[str], text: str, limit_s: float) -> tuple[int, bytes]:
    """Its exit code and what it said, MOST bytes and one at most. Raises OSError, TimeoutError."""
    process = subprocess.Popen(  # noqa: S603 -- the user's own program, named in the settings
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd="/", env=_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        said = _talk(process, text.encode("utf-8", "replace"), time.monotonic() + limit_s)
    finally:
        _end(process)
    return (process.returncode if len(said) <= MOST else 0), said


def _environment() -> dict[str, str]:
    return {
        key: value
        for key, value in os.environ.items()
        if key in PASSED_ON or key.startswith(("LC_", "XDG_"))
    }


def _talk(process: subprocess.Popen[bytes], text: bytes, end: float) -> bytes:
    """Write and read by turns, since either end may wait for the other, until it ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    said, left = bytearray(), memoryview(text)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        waiting.register(process.stdout, selectors.EVENT_READ)
        while True:
            for key, _ in _ready(waiting, end):
                if key.fileobj is process.stdout:
                    part = os.read(key.fd, _PART)
                    said += part
                    if len(said) > MOST:
                        return bytes(said)
                    if not part:
                        _wait(process, end)
                        return bytes(said)
                else:
                    left = _written(key.fd, left)
                    if not left:
                        waiting.unregister(process.stdin)
                        process.stdin.close()


def _ready(waiting: selectors.BaseSelector, end: float) -> list[tuple[selectors.SelectorKey, int]]:
    """Those ends that can be used now. Raises TimeoutError."""
    if time.monotonic() >= end:
        raise TimeoutError
    return waiting.select(end - time.monotonic())


def _written(fd: int, left: memoryview) -> memoryview:
    """What is still to be written; nothing where nobody reads any more."""
    try:
        return left[os.write(fd, left[:_PART]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _wait(process: subprocess.Popen[bytes], end: float) -> None:
    """Until it ended. It is not taken leave of: until then the number of its group is its own."""
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() >= end:
            raise TimeoutError
        time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started: it leads a group of its own, and is not taken leave of yet,
    so that no other group can have its number."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
