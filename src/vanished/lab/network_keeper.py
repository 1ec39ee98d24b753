"""First process of a network lab: makes its namespaces, then waits for the lab's end.

    python -m vanished.lab.network_keeper FOLDER MAKER

runs inside `unshare -n -m --fork --pid --mount-proc --kill-child`, as process 1. In: the lab's
folder with layout.json, and an open handle (pidfd) of the process that made the lab. Out: the line
"ready", or what went wrong. It ends when the maker ends or closes our standard input; the kernel
then ends all that ran in here. What the machine sees of this afterwards is nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

from vanished.lab.network_place import ROLES

_WAKE_MS = 1000  # how often finished orphans are collected


def main(folder: Path, maker: int) -> None:
    try:
        _make(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        print(said.decode(errors="replace").strip().replace("\n", " "), flush=True)
        return
    print("ready", flush=True)
    _wait(maker)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _make(folder: Path) -> None:
    """Names, links, addresses and forwarding, as layout.json says."""
    _do("mount", "-t", "tmpfs", "lab", "/run")
    _do("mount", "--bind", str(folder / "resolv-client"), "/etc/resolv.conf")
    layout: dict[str, list[str]] = json.loads((folder / "layout.json").read_text())
    _do("ip", "-batch", "-", given=[f"netns add {role}" for role in ROLES] + layout.pop(""))
    for role, lines in layout.items():
        _do("ip", "-n", role, "-batch", "-", given=["link set lo up", *lines])
    # A censor's refusals must not be held back: the kernel sends few ICMP errors a second.
    settings = "cd /proc/sys/net/ipv4 && echo 1 > ip_forward && echo 0 > icmp_ratelimit"
    for role in ("router", "server"):
        _do("ip", "netns", "exec", role, "sh", "-c", settings)


def _do(*argv: str, given: list[str] | None = None) -> None:
    lines = "\n".join(given or []).encode()
    subprocess.run(argv, input=lines, check=True, stderr=subprocess.PIPE)  # noqa: S603


def _wait(maker: int) -> None:
    """Return when the maker has ended or has closed our standard input."""
    poll = select.poll()
    for handle in (maker, sys.stdin.fileno()):
        poll.register(handle, select.POLLIN | select.POLLHUP)
    while not poll.poll(_WAKE_MS):
        with contextlib.suppress(ChildProcessError):  # process 1 inherits and buries the orphans
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
