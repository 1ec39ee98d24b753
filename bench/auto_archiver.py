"""The peer auto-archiver: what it says of the posts of the labelled set.

In: cases. Out: for each that has an address on the web, what it made of it. It runs as its
makers publish it, from an environment of its own, in temporary folders, with Debian's
Chromium on a virtual screen; several processes at a time, since it spends most of its time waiting.
Everything it asks goes to a proxy on loopback (`labelled_web`), which plays every host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.labelled.cases import Case

from bench.harness import BenchError, Peer
from bench.labelled_web import Web, serving
from bench.peers import peer_python, peer_version

NAME = "auto-archiver"
READER = Path(__file__).with_name("auto_archiver_reader.py")
PROGRAMS = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "Xvfb": "xvfb",
    "ffmpeg": "ffmpeg",
}
NOT_ON_THE_WEB = ("matrix", "xmpp")  # their posts have no address that one could paste
PROCESSES = 4
CASE_S = 120.0
END_S = 30.0


@dataclass(frozen=True, slots=True)
class Said:
    """What it said of one post: "gone" if it marked it as deleted or unavailable, "alive" if it
    kept something as the post, "unknown" if it kept nothing. `words` is what it took for a notice.
    """

    answer: str
    words: str


NOTHING = Said("unknown", "")


@dataclass(frozen=True, slots=True)
class Question:
    """How it is asked about a post. `words` is None where it opens the address itself."""

    url: str
    words: str | None


def peer() -> Peer:
    """Its name and version, as installed."""
    return {"name": NAME, "version": peer_version(NAME, NAME)}


def question(case: Case, look: int) -> Question | None:
    """How it can be asked about a post, by its address on the web as one would paste it.

    Where the set does not say what a browser is shown there, but what an interface of the same site
    answers, it is given these words with the address. None for a post that has no address on the
    web, and where the set knows another site's words only.
    """
    page = case.page
    if page is None or case.platform in NOT_ON_THE_WEB:
        return None
    url = case.subject if case.subject.startswith("http://") else page.url
    secure = url.replace("http://", "https://", 1)
    if case.answer(url.removeprefix("http://"), look) is not None:
        return Question(secure, None)
    if urlsplit(url).hostname != urlsplit(page.url).hostname:
        return None
    return Question(secure, page.body.decode(errors="replace"))


def ask(cases: Sequence[Case], look: int) -> dict[str, Said]:
    """What it says by the id of the case, as the platform answers at that look, of each case for
    which there is a question.

    Takes about ten seconds a case and process. Raises BenchError if a program that it needs is not
    there, or if it ends by itself.
    """
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        raise BenchError(f"{NAME} needs of Debian: {', '.join(missing)}")
    python = peer_python(NAME)
    # The first page alone: the driver of its browser is put into its environment then.
    found = _asked(python, cases[:1], look)
    parts = [cases[number::PROCESSES] for number in range(1, PROCESSES + 1)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        for part in pool.map(lambda part: _asked(python, part, look), parts):
            found |= part
    # What came to nothing once more, alone: a browser that fails or hangs for want of a core
    # is our fault.
    nothing = [case for case in cases if found[case.id] == NOTHING]
    again = [case for case in nothing if (asked := question(case, look)) and asked.words is None]
    return found | _asked(python, again, look)


def _asked(python: Path, cases: Sequence[Case], look: int) -> dict[str, Said]:
    """One process over some cases, one after the other; after one that hangs, a new process."""
    found: dict[str, Said] = {}
    left = [(case, asked) for case in cases if (asked := question(case, look))]
    with serving(look) as web:
        while left:
            web.case = None  # what it asks at its start, such as for a newer version, is no case's
            with _reader(python, web) as reader:
                said: Said | None = NOTHING
                while left and said is not None:
                    web.case, asked = left.pop(0)
                    said = _said(reader, asked)
                    found[web.case.id] = said or NOTHING
    return found


@contextlib.contextmanager
def _reader(python: Path, web: Web) -> Iterator[subprocess.Popen[str]]:
    """Its process, ready, in an empty folder that is its home; ended with all that it started."""
    proxy = f"127.0.0.1:{web.port}"
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "LANG": "C.UTF-8",
            "REQUESTS_CA_BUNDLE": str(web.authority.file),
            **dict.fromkeys(("http_proxy", "https_proxy"), f"http://{proxy}"),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
        }
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                # -P: this file has the name of its package. -n is how SeleniumBase is told that
                # several browsers run at once, each then with a port of its own.
                [python, "-P", READER, proxy, "-n"],
                cwd=folder,
                env=settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        try:
            if _line(process) is None:
                raise BenchError(f"{NAME} was not ready after {CASE_S:g} s")
            yield process
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
        except BenchError as error:
            last = (folder / "output").read_text(errors="replace").strip()[-300:]
            raise BenchError(f"{error}: {last}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _said(reader: subprocess.Popen[str], asked: Question) -> Said | None:
    """Its answer to one question; None if it hangs, and was ended for it.

    Raises BenchError if it ended by itself.
    """
    line = _line(reader, json.dumps(asdict(asked)))
    if line is None:
        return None
    found = json.loads(line)
    if found["deleted"]:
        return Said("gone", found["words"])
    return Said("alive", "") if found["kept"] else NOTHING


def _line(reader: subprocess.Popen[str], asked: str = "") -> str | None:
    """Its next line, to `asked` if that is something; None if it hangs, and was ended for it.

    Raises BenchError if it ended by itself.
    """
    assert reader.stdin is not None
    assert reader.stdout is not None
    hangs = threading.Event()

    def give_up() -> None:
        hangs.set()
        reader.kill()

    deadline = threading.Timer(CASE_S, give_up)
    deadline.start()
    try:
        if asked:
            print(asked, file=reader.stdin, flush=True)
        line = reader.stdout.readline()
    except OSError:
        line = ""
    finally:
        deadline.cancel()
    if hangs.is_set():
        return None
    if not line:
        raise BenchError(f"{NAME} ended without an answer to {asked or 'its start'}")
    return line
