"""A server process of ours on loopback: a free port, whether it listens, its end by its id.

Shared by the servers of the tests and the peers of the benchmarks.
"""

from __future__ import annotations

import socket
import subprocess
import time

STOP_S = 20.0


def free_port() -> int:
    """A port on loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(process: subprocess.Popen[bytes], port: int, timeout_s: float) -> bool:
    """Wait until `process` takes connections on `port`; False if it ends or does not in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, by its id, and wait for it."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
