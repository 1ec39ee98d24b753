"""py-wacz, the reference implementation of WACZ, in an environment of its own.

Out: whether it accepts a file, what its indexer says of a WARC, how it turns an address round. The
environment is installed once from requirements/wacz.txt. It knows nothing of our own code.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.harness import BenchError
from bench.peers import peer_python

from tests.needs import missing

TIMEOUT_S = 120


def needs_wacz() -> Path:
    """The Python that has py-wacz; skips (or fails, see `missing`) where it cannot be installed."""
    try:
        return peer_python("wacz")
    except BenchError as error:
        missing(f"py-wacz could not be installed: {error}")


def validate(python: Path, wacz: Path) -> tuple[bool, str]:
    """`wacz validate`: whether it accepts the file, and all that it said."""
    command = [str(python), "-m", "wacz.main", "validate", "-f", str(wacz)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    said = done.stdout + done.stderr
    return done.returncode == 0 and "Validation succeeded" in said, said


def create(python: Path, warc: Path, wacz: Path) -> None:
    """A WACZ of `warc` as py-wacz writes it."""
    command = [
        str(python),
        "-m",
        "wacz.main",
        "create",
        "-o",
        str(wacz),
        "--detect-pages",
        str(warc),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)


def index(python: Path, warc: Path) -> list[str]:
    """The sorted CDXJ lines that its indexer writes for what can be replayed of `warc`."""
    code = "import sys; from cdxj_indexer.main import main; main(sys.argv[1:])"
    words = ["--records", "response,revisit,resource", "--sort", str(warc)]
    command = [str(python), "-W", "ignore", "-c", code, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return str(done.stdout).splitlines()


def keys(python: Path, urls: Sequence[str]) -> list[str]:
    """The keys of `urls` by the Internet Archive's own package."""
    code = "import sys, json, surt; print(json.dumps([surt.surt(u) for u in json.load(sys.stdin)]))"
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", code],
        check=True,
        capture_output=True,
        input=json.dumps(urls),
        text=True,
        timeout=TIMEOUT_S,
    )
    found: list[str] = json.loads(done.stdout)
    return found
