"""Installing what tests need must start no server: Debian's Tor would join the real network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

NEEDS = Path(__file__).parents[1] / ".ci" / "needs"
_INSTALLER = """#!/bin/sh
[ "$1" = install ] || exit 0
echo "$@" >>"$0.said"
sh "$POLICY" tor start; echo "policy: $?" >>"$0.said"
exit "${FAILS:-0}"
"""


def _run(folder: Path, *, installs: str, user: str = "0") -> tuple[str, str, Path]:
    """Run it where nothing is installed; what it said, what the installer saw, and the policy."""
    knows = '#!/bin/sh\n[ "$2" != trojan ]\n'  # not every distribution has it
    stubs = {"apt-get": _INSTALLER, "apt-cache": knows, "id": f"#!/bin/sh\necho {user}\n"}
    for name, text in stubs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("bash", "sh", "rm", "chmod"):
        (folder / name).symlink_to(f"/bin/{name}")
    policy = folder / "policy-rc.d"
    text = NEEDS.read_text().replace("$PATH:/usr/sbin:/sbin", "$PATH")
    env = {"PATH": str(folder), "POLICY": str(policy), "FAILS": installs}
    done = subprocess.run(
        ["/bin/bash", "-c", text], env={**os.environ, **env}, capture_output=True, text=True
    )
    assert (done.returncode == 0) == (installs == "0"), done.stderr
    seen = folder / "apt-get.said"
    return done.stdout, seen.read_text() if seen.exists() else "", policy


@pytest.mark.parametrize("installs", ["0", "7"], ids=["well", "badly"])
def test_servers_are_forbidden_while_packages_are_installed_and_no_longer(
    tmp_path: Path, installs: str
) -> None:
    said, seen, policy = _run(tmp_path, installs=installs)
    assert said == "This distribution has no trojan, so some tests will be skipped.\n"
    assert " tor " in seen
    assert "trojan" not in seen
    assert "--no-install-recommends" in seen
    assert "policy: 101" in seen
    assert not policy.exists()


def test_a_policy_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "policy-rc.d").write_text("exit 104\n")
    _, seen, policy = _run(tmp_path, installs="0")
    assert "policy: 104" in seen
    assert policy.read_text() == "exit 104\n"


def test_who_may_not_install_is_told_what_is_missing(tmp_path: Path) -> None:
    said, seen, policy = _run(tmp_path, installs="0", user="1000")
    assert said.startswith("Not here, so some tests will be skipped: nginx-light ")
    assert (seen, policy.exists()) == ("", False)
