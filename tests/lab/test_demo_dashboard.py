"""The demo's dashboard: its address is told, it ends with the demo, and is not needed for it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from rich.console import Console

from tests.publish import desk_world
from vanished.lab import demo

PATIENCE_S = 90


def test_the_dashboard_is_told_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    desk_world.make(tmp_path / "o")
    said = io.StringIO()
    with demo.dashboard(tmp_path / "o", 0, Console(file=said, width=200)) as process:
        assert process is not None
        end = time.monotonic() + PATIENCE_S
        while "http://" not in said.getvalue() and time.monotonic() < end:
            time.sleep(0.1)
        address = re.search(r"http://127\.0\.0\.1:\d+/", said.getvalue())
        assert address, said.getvalue()
        with urlopen(address[0], timeout=PATIENCE_S) as answer:
            assert b"What has vanished" in answer.read()
    assert process.poll() is not None


def test_without_the_extra_the_demo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on in the terminal."""
    monkeypatch.setattr(demo, "NEEDED", ("json", "no_such_library"))
    said = io.StringIO()
    with demo.dashboard(tmp_path, 0, Console(file=said, width=200)) as process:
        assert process is None
    assert "no_such_library" in said.getvalue()
    assert "pip install" in said.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_of_it_outlives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    """Nor its folder, unless it is killed: a service manager and a closed terminal ask so."""
    code = "from vanished.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--serve", "--seconds", "80"],
        env={**os.environ, "TMPDIR": str(tmp_path), "VANISHED_LANGUAGE": "en"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = iter(process.stderr.readline, "")
        assert any("http://" in line for line in told)
        begun = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(begun) == 2  # the platform and the dashboard
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        process.wait(PATIENCE_S)
    end = time.monotonic() + 15
    while (left := [pid for pid in begun if Path("/proc", pid).exists()]) and (
        time.monotonic() < end
    ):
        time.sleep(0.05)
    assert left == []
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
