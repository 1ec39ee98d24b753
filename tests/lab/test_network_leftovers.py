"""A lab that leaves a rule or a namespace behind would censor the machine of whoever ran it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.lab import network_looks as looks
from tests.needs import missing, needs_program
from vanished.cli import app
from vanished.errors import UsageError
from vanished.lab.network import NetworkLab, clean, why_not
from vanished.lab.network_map import TARGETS
from vanished.lab.network_place import SEARCHED, home, identity

TARGET = next(iter(TARGETS))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labs of these tests record themselves apart from those of other tests that run meanwhile."""
    if (reason := why_not()) is not None:
        missing(reason)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return home()


def _machine() -> list[str]:
    """What a lab might leave in the machine's own namespaces: names, links, routes, rules."""
    needs_program("nft", "nftables")
    commands = ["ip netns list", "ip -br link", "ip route", "ip rule", "iptables-save"]
    commands += ["ip6tables-save", "nft list ruleset"]
    found = []
    for command in commands:
        argv, env = command.split(), {**os.environ, "PATH": SEARCHED}
        done = subprocess.run(argv, capture_output=True, env=env, text=True, check=True)
        found += [line for line in done.stdout.splitlines() if not line.startswith(("#", ":"))]
    return found


def _processes() -> dict[int, int]:
    """Each process that runs, with its parent; one that has ended and awaits burial is none."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def _below(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents, family = _processes(), {root}
    while more := {p for p, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _namespaces(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in ("net", "pid", "mnt"):
            with contextlib.suppress(OSError):
                found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def _soon(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    ends = time.monotonic() + within_s
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True)
class Victim:
    """A lab that another process made: its maker, its keeper, its folder, all that is its."""

    maker: subprocess.Popen[bytes]
    keeper: int
    folder: Path
    processes: set[int]
    namespaces: set[str]

    def left(self) -> tuple[set[int], set[str]]:
        """Processes of it that still run, and namespaces of it that a process is still in."""
        running = set(_processes())
        return self.processes & running, self.namespaces & _namespaces(running)


_MAKER = f"""
import json, sys, time
from vanished.lab.network import NetworkLab
with NetworkLab(quic=False) as lab:
    lab.start("client", ["sleep", "1000"])
    lab.censor("sni_reset", "{TARGET}")
    print(json.dumps([lab.place.first, str(lab.place.folder)]), flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def victim() -> Iterator[Victim]:
    mine = _namespaces({os.getpid()})
    maker = subprocess.Popen([sys.executable, "-c", _MAKER], stdout=subprocess.PIPE)
    try:
        assert maker.stdout is not None
        with maker.stdout:
            keeper, folder = json.loads(maker.stdout.readline())
        family = _below(maker.pid)
        assert len(family) >= 10
        apart = _namespaces(family) - mine
        assert len(apart) >= 7  # client, router, server and control, the keeper's own three
        yield Victim(maker, keeper, Path(folder), family, apart)
    finally:
        maker.kill()
        maker.wait()


def test_the_end_of_a_lab_leaves_nothing(own_home: Path) -> None:
    before, others = _machine(), _namespaces(set(_processes()))
    with NetworkLab(quic=False) as made:
        made.start("client", ["sleep", "1000"])
        made.censor("dns_nxdomain", TARGET)
        ours = _below(os.getpid()) - {os.getpid()}
        family = {pid for pid in ours if _namespaces({pid}) - others}  # not other tests' servers
        assert len(_namespaces(family) - others) >= 7
        assert clean() == [], "a lab in use is left alone"
        assert looks.dns(looks.ISP)(made, TARGET, looks.LONG_S) == "nxdomain"
    assert not family & set(_processes())
    assert not own_home.exists()
    assert _machine() == before


def test_a_killed_maker_leaves_nothing(victim: Victim) -> None:
    before = _machine()
    victim.maker.kill()
    victim.maker.wait()
    assert _soon(lambda: victim.left() == (set(), set())), victim.left()
    assert _soon(lambda: not victim.folder.exists())
    assert _machine() == before
    assert clean() == []


def test_a_killed_maker_and_keeper_leave_a_folder_that_clean_removes(victim: Victim) -> None:
    before = _machine()
    os.kill(victim.keeper, signal.SIGKILL)
    victim.maker.kill()
    victim.maker.wait()
    assert _soon(lambda: victim.left() == (set(), set())), victim.left()
    assert victim.folder.exists()
    done = CliRunner().invoke(app, ["lab", "clean"])
    assert done.exit_code == 0
    assert done.stdout == f"Removed the network lab {victim.folder.name}: its maker is gone.\n"
    assert not victim.folder.parent.exists()
    assert _machine() == before
    assert CliRunner().invoke(app, ["lab", "clean"]).stdout.startswith("Nothing of a killed")


def test_clean_ends_a_keeper_that_cannot_end_itself(victim: Victim) -> None:
    os.kill(victim.keeper, signal.SIGSTOP)
    victim.maker.kill()
    victim.maker.wait()
    assert victim.keeper in victim.left()[0]
    done = CliRunner().invoke(app, ["lab", "clean", "--json"])
    assert done.exit_code == 0
    [said] = json.loads(done.stdout)["labs"]
    assert (said["lab"], said["removed"]) == (victim.folder.name, True)
    assert said["processes"] >= 3  # the keeper, a resolver, `sleep`
    assert _soon(lambda: victim.left() == (set(), set())), victim.left()
    assert not victim.folder.exists()


def test_clean_leaves_alone_what_is_not_recorded_as_a_labs_own(own_home: Path) -> None:
    """A number in an old record may be another's process by now."""
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        started = identity(bystander.pid)["started"]
        keepers = [
            {"pid": bystander.pid, "started": started - 1},  # a number that was given again
            {"pid": bystander.pid, "started": started},  # the same start, after a reboot
        ]
        own_home.mkdir(mode=0o700)
        for number, keeper in enumerate(keepers):
            folder = own_home / f"lab-1-{number}"
            folder.mkdir()
            (folder / "lab.json").write_text(json.dumps({"maker": None, "keeper": keeper}))
        (own_home / "lab-0-damaged").mkdir()
        (own_home / "lab-0-damaged" / "lab.json").write_text("{}")
        being_made = own_home / f"lab-{os.getpid()}-new"
        being_made.mkdir()
        elsewhere = own_home.parent / "elsewhere"
        elsewhere.mkdir()
        (own_home / "lab-0-link").symlink_to(elsewhere)
        assert sorted(one.name for one in clean()) == ["lab-0-damaged", "lab-1-0", "lab-1-1"]
        assert bystander.poll() is None
        assert being_made.exists()
        assert elsewhere.exists()
        bystander.kill()


def test_records_that_another_user_could_have_written_are_not_followed(own_home: Path) -> None:
    """They would tell root what to end and what to remove."""
    own_home.mkdir()
    own_home.chmod(0o777)
    for order in (clean, NetworkLab(quic=False).__enter__):
        with pytest.raises(UsageError, match=r"not this user's alone: look at it and remove it\.$"):
            order()
    own_home.rmdir()
    own_home.symlink_to(own_home.parent)
    with pytest.raises(UsageError, match="not this user's alone"):
        clean()


def test_check_says_what_the_lab_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["lab", "check", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["possible"] is True
    only = tmp_path / "bin"
    only.mkdir()
    for name in ("unshare", "nsenter", "setpriv", "ip", "tc", "iptables-restore"):
        (only / name).symlink_to(shutil.which(name, path=SEARCHED) or "")
    for module in ("network_place", "goarounds"):
        monkeypatch.setattr(f"vanished.lab.{module}.SEARCHED", str(only))
    done = CliRunner().invoke(app, ["lab", "check"])
    assert done.exit_code == 1
    for line in (
        "No network lab here: the network lab needs 'dnsmasq': apt-get install dnsmasq-base.",
        "Its go-around wireguard needs: apt-get install wireguard-go wireguard-tools",
        "Its go-around tor needs: apt-get install tor obfs4proxy",
    ):
        assert line in done.stdout.splitlines()
