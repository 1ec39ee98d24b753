"""Peers that we measure ourselves against, each in an environment of its own.

In: the name of a lock in requirements/. Out: the Python of an environment that holds exactly what
the lock says. It lies under the user's cache directory, outside the checkout, and is installed once
for a lock; a rename at the end keeps an interrupted install from being taken for a whole one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.harness import ROOT, BenchError

INSTALL_S = 900


def peer_python(name: str) -> Path:
    """The Python of the environment of requirements/NAME.txt; installs it at the first call.

    The environment was moved after it was made: start what is in it with `python -m` or
    `python -c`; the scripts in its bin/ name the place where it was made.
    Raises BenchError if it could not be installed.
    """
    lock_file = ROOT / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "vanished" / "peers" / f"{name}-{digest}"
    python = place / "bin" / "python"
    place.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel if this process dies
        if not _runs(python):
            _install(name, lock_file, place)
    return python


def peer_version(name: str, package: str) -> str:
    """The version of `package` in that environment. Raises BenchError if it is not in it."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([peer_python(name), "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"the environment of the peer {name} has no package {package}")
    return done.stdout.strip()


def _runs(python: Path) -> bool:
    """Whether the environment is there and its base Python is, too."""
    return python.exists() and subprocess.run([python, "-c", ""]).returncode == 0


def answer(peer: subprocess.Popen[str], word: str, name: str) -> str:
    """The line that a waiting peer says to `word`. Raises BenchError if it ended instead."""
    assert peer.stdin is not None
    assert peer.stdout is not None
    try:
        print(word, file=peer.stdin, flush=True)
        line = peer.stdout.readline()
    except OSError:
        line = ""
    if not line:
        raise BenchError(f"the peer {name} ended without an answer")
    return line


def _install(name: str, lock_file: Path, place: Path) -> None:
    print(f"installing the peer {name}; this happens once", file=sys.stderr)
    unfinished = Path(f"{place}.unfinished")
    for old in (unfinished, place):
        shutil.rmtree(old, ignore_errors=True)
    python = str(unfinished / "bin" / "python")
    execute([sys.executable, "-m", "venv", str(unfinished)], f"making a place for {name}")
    pip(python, "--require-hashes", "-r", str(lock_file))
    unfinished.rename(place)


def pip(python: str, *words: str) -> None:
    """`pip install` of the environment of `python`. Raises BenchError with pip's last complaint."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *words]
    execute(command, f"pip install {' '.join(Path(word).name for word in words)}")


def execute(
    command: list[str], what: str, timeout_s: float = INSTALL_S, cwd: Path | None = None
) -> str:
    """Run to the end; its standard output. Raises BenchError if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{what} took more than {timeout_s:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = ([line for line in lines if "ERROR" in line] or lines or ["without a word"])[-1]
        raise BenchError(f"{what} failed with exit code {done.returncode}: {said}")
    return done.stdout
