"""The core install: how many packages, how many megabytes, and how long the demo takes in it.

Out: a context manager that yields an `Install`, a fresh environment in a temporary folder, made
from the locks as a newcomer's would be. What only builds (the build lock, pip, setuptools) is taken
out again before anything is counted.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import ROOT
from bench.peers import execute, pip

DEMO_S = 600.0

SURVEY = """
import importlib.metadata, json, sysconfig
names = sorted({d.metadata["Name"] for d in importlib.metadata.distributions()})
print(json.dumps([names, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))
"""


@dataclass(frozen=True, slots=True)
class Install:
    """A core install. `packages` are the names of all distributions, ours among them."""

    python: Path
    packages: tuple[str, ...]
    megabytes: float  # 10^6 bytes on the disk, compiled files included


@contextlib.contextmanager
def core_install() -> Iterator[Install]:
    """Install the core from its locks, and ourselves as a wheel, not editable.

    Raises BenchError if pip fails.
    """
    requirements = ROOT / "requirements"
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        place = Path(name) / "core"
        python = str(place / "bin" / "python")
        execute([sys.executable, "-m", "venv", str(place)], "making a fresh environment")
        pip(python, "--require-hashes", "-r", str(requirements / "core.txt"))
        pip(python, "--require-hashes", "-r", str(requirements / "build.txt"))
        pip(python, "--no-deps", "--no-build-isolation", str(ROOT))
        builders = (locked("build") - locked("core")) | {"setuptools", "pip"}
        uninstall = [python, "-m", "pip", "uninstall", "--quiet", "--yes", *sorted(builders)]
        execute(uninstall, "taking out what only builds")
        names, *libraries = json.loads(
            execute([python, "-c", SURVEY], "looking at what is installed")
        )
        size = sum(on_disk(Path(library)) for library in set(libraries))
        yield Install(Path(python), tuple(names), size / 1e6)


def locked(name: str) -> set[str]:
    """The packages that requirements/NAME.txt pins."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+)==", text, flags=re.MULTILINE))


def on_disk(folder: Path) -> int:
    """Bytes that the files of `folder` take on the disk, as `du` counts them."""
    files = (path.lstat() for path in folder.rglob("*"))
    return sum(file.st_blocks * 512 for file in files)


def demo_s(install: Install) -> float:
    """Seconds of `vanished demo` in that install, from the command to the end of its report.

    Raises BenchError if it does not exit with 0, or takes more than ten minutes.
    """
    home = install.python.parents[2] / "home"
    home.mkdir(exist_ok=True)
    aside = [
        word
        for name in ("PYTHONPATH", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
        for word in ("-u", name)
    ]
    vanished = str(install.python.parent / "vanished")
    command = ["env", *aside, f"HOME={home}", vanished, "demo"]
    began = time.monotonic()
    execute(command, "vanished demo", DEMO_S, cwd=home)
    return time.monotonic() - began
