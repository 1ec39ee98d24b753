"""`vanished reach test` as a volunteer types it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_cli import run
from tests.cli.test_reach_commands import agree
from tests.reach.loopback_internet import Internet
from tests.reach.test_session import world
from vanished.archive.making import make
from vanished.cli import app
from vanished.errors import VanishedError
from vanished.reach import consent
from vanished.reach.ooni_json import from_json
from vanished.reach.reporting import queued
from vanished.reach.risk import Risk
from vanished.reach.session import SessionSettings


async def here(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, while the small internet of this process answers it."""
    return await asyncio.to_thread(run, "reach", "test", *words, cwd=folder)


def words(made: Internet, settings: SessionSettings) -> list[str]:
    return [
        "--control", settings.control, "--canary", settings.web.canary,
        "--bystander", "canary.example", "--resolver", f"127.0.0.1:{made.isp_port}",
        "--authorities", made.authorities, "--allow-network", "127.0.0.0/8",
        "--per-second", "500", "--asn", "as64500",
    ]  # fmt: skip


async def test_pages_are_measured_said_and_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        made.lies["news.example"] = []
        url, other = (f"https://{name}.example:{made.https}/" for name in ("news", "canary"))
        (tmp_path / "list.csv").write_text(f"url,category_code\n{url},NEWS\n{other},SRCH\n")
        told = ["--list", "list.csv", "--out", "out.jsonl", "--queue", *words(made, settings)]
        refused = await here(tmp_path, *told)
        assert refused.returncode == 2
        assert "Nobody has agreed" in refused.stderr
        await asyncio.to_thread(agree, tmp_path, "apps")
        refused = await here(tmp_path, *told)
        assert "agree again with --risk news" in refused.stderr
        assert made.asked == made.looked_up == []
        assert not (tmp_path / "out.jsonl").exists()
        await asyncio.to_thread(agree, tmp_path, "news")
        done = await here(tmp_path, *told)
        assert done.returncode == 0, done.stderr
        again = await here(tmp_path, *told)
        assert "out.jsonl cannot be made" in again.stderr
    lines = {line.split()[2].rstrip(":,"): line for line in done.stdout.splitlines()}
    assert lines[url].startswith("blocked        dns/nxdomain")
    assert "Seen: " in lines[url]
    assert lines[other].startswith("ok ")
    assert done.stderr.strip() == "2 of 2 targets measured: blocked 1, ok 1."
    kept = [from_json(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert {(one.target, one.probe_cc, one.probe_asn) for one in kept} == {
        (url, "ZZ", "AS64500"), (other, "ZZ", "AS64500")}  # fmt: skip
    assert len(queued(tmp_path)) == 2
    read = run("reach", "read", "--json", "out.jsonl", cwd=tmp_path)
    states = {row["target"]: row["state"] for row in map(json.loads, read.stdout.splitlines())}
    assert states == {url: "blocked", other: "ok"}


async def test_the_dry_run_needs_no_consent_and_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        url = f"https://news.example:{made.https}/"
        done = await here(tmp_path, url, "--dry-run", *words(made, settings))
        told = await here(tmp_path, url, "--dry-run", "--json", *words(made, settings))
        assert made.asked == made.looked_up == []
    assert done.returncode == 0, done.stderr
    assert f"udp 127.0.0.1 port {made.isp_port}: resolver" in done.stdout
    assert f"tcp news.example port {made.https}: target" in done.stdout
    assert f"tcp canary.example port {made.https}: the canary" in done.stdout
    assert "the control: it is told the targets" in done.stdout
    assert "Nothing was sent." in done.stdout
    rows = json.loads(told.stdout)["destinations"]
    assert len(rows) == len(done.stdout.splitlines()) - 1
    assert all(row["why"] and row["port"] for row in rows)


def test_mistakes_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    consent.keep(tmp_path, consent.GIVEN, "ZZ", Risk.SENSITIVE, date(2026, 11, 29))
    for given, why in (
        ([], "nothing to measure"),
        (["https://news.example/"], "needs a control"),
        (["http://10.0.0.1/"], "is private"),
        (["news.example"], "scheme"),
        (["https://news.example/", "--control", "http://c.example/"], "in the clear"),
        (["https://news.example/", "--via", "x"], "cannot be used"),
        (["https://news.example/", "--no-control", "--asn", "x"], "no number of a network"),
        (["https://news.example/", "--no-control", "--resolver", "x://y"], "is no resolver"),
        (["https://news.example/", "--no-control", "--canary", "x"], "cannot be measured"),
        (["https://news.example/", "--via", "socks5://127.0.0.1:1", "--control-resolver",
          "9.9.9.9"], "TCP, TLS or HTTPS"),
        (["--list", "none.csv"], "none.csv cannot be read"),
        (["--due"], "is not an observatory"),
    ):  # fmt: skip
        done = CliRunner().invoke(app, ["reach", "test", *given])
        assert isinstance(done.exception, VanishedError), (given, done.output)
        assert done.exception.exit_code in (2, 3)
        assert why in str(done.exception), given
        assert "\n" not in str(done.exception)
        assert done.output == ""


def test_where_the_watch_gets_answers_nothing_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    make(tmp_path / "o", [], seal=False)
    done = run("reach", "test", "--due", "-o", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No host is due" in done.stdout
