"""`vanished reach advise`, `apps` and `carry` in the network lab, as a person types them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.needs import missing
from vanished.archive.advice import FILE, best_proxy, kept
from vanished.errors import ConfigError
from vanished.lab.goarounds import serving
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_place import SEARCHED
from vanished.reach import consent
from vanished.reach.ooni_json import from_json
from vanished.reach.risk import Risk

BIN = str(Path(sys.executable).parent / "vanished")
APP = """
name = "lab"
title = "The lab's app"
dated = 2026-11-29
[[part]]
name = "servers"
needs = "all"
endpoints = ["https://news.example/", "tcp://chat.example:443", "dns://forum.example"]
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[NetworkLab]:
    if (reason := why_not()) is not None:
        missing(reason)
    for program in ("ssh", "sshd"):
        if shutil.which(program, path=SEARCHED) is None:
            missing(f"the program '{program}' is not here: apt-get install openssh-server")
    with NetworkLab(seed=12, quic=False) as made:
        yield made


@pytest.fixture
def control(lab: NetworkLab, tmp_path: Path) -> Iterator[str]:
    """The URL of our own control; consent is given in `tmp_path`."""
    consent.keep(tmp_path, consent.GIVEN, "ZZ", Risk.SENSITIVE, date(2026, 11, 29))
    serve = lab.start(
        "control",
        [BIN, "reach", "serve", "--listen", lab.control_address, "--authorities", lab.ca,
         "--resolver", "44.128.53.1", "--json"],
        stdout=-1, stderr=-1,
    )  # fmt: skip
    try:
        assert serve.stdout is not None
        yield json.loads(serve.stdout.readline())["url"]
    finally:
        lab.stop(serve)
        lab.clear()


def typed(lab: NetworkLab, folder: Path, *words: str) -> tuple[int, list[dict[str, object]], str]:
    done = lab.client_run([BIN, "reach", *words, "-o", str(folder)], timeout_s=120)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return done.returncode, rows, done.stderr.decode()


def asking(lab: NetworkLab, url: str) -> list[str]:
    return [
        "--control", url, "--authorities", lab.ca, "--canary", "https://canary.example/",
        "--bystander", "bystander.example", "--resolver", "system", "--resolver", "44.128.53.1",
        "--allow-network", "44.128.2.2/32", "--per-second", "200", "--json",
    ]  # fmt: skip


def test_an_app_of_ones_own_is_tested_server_by_server(
    lab: NetworkLab, control: str, tmp_path: Path
) -> None:
    (tmp_path / "lab.toml").write_text(APP)
    lab.censor("sni_reset", "news.example")
    out = tmp_path / "out.jsonl"
    words = ["apps", str(tmp_path / "lab.toml"), *asking(lab, control)]
    code, (row,), said = typed(lab, tmp_path, *words, "--out", str(out))
    assert code == 0, said
    assert (row["state"], row["layer"], row["mechanism"]) == ("blocked", "sni", "reset")
    assert (row["servers"], row["reached"], row["stale"]) == (3, 2, 0)
    names = [from_json(line).test_name for line in out.read_bytes().splitlines()]
    assert names == ["vanished_app", *["vanished_endpoint"] * 3]
    lab.clear()
    assert typed(lab, tmp_path, *words)[1][0]["state"] == "ok"
    code, (plan,), said = typed(lab, tmp_path, *words, "--dry-run")
    assert code == 0, said
    hosts = {one["host"] for one in plan["destinations"]}  # type: ignore[attr-defined]
    assert {"news.example", "chat.example", "canary.example", lab.control_address} <= hosts


def test_what_works_is_ranked_kept_and_used(lab: NetworkLab, control: str, tmp_path: Path) -> None:
    with serving(lab, "ssh") as ssh, serving(lab, "http_proxy") as proxy:
        text = (
            f'[[go_around]]\nname = "shell"\nkind = "ssh"\nserver = "{ssh.settings["server"]}"\n'
            f'port = 22\nuser = "root"\nkey = "{ssh.settings["key"]}"\n'
            f'known_hosts = "{ssh.settings["known_hosts"]}"\n'
            f'[[go_around]]\nname = "plain"\nkind = "http_proxy"\n'
            f'server = "{proxy.settings["server"]}"\nport = {proxy.settings["port"]}\n'
            '[[go_around]]\nname = "flakes"\nkind = "tor"\npluggable = "webtunnel"\n'
        )
        file = tmp_path / "go-arounds.toml"
        file.write_text(text)
        lab.censor("sni_reset", "news.example")
        lab.censor("ssh_drop", "bridge.example")
        words = [
            "advise", str(file), *asking(lab, control), "--page", "https://news.example/",
            "--large", "https://news.example/bytes/200000", "--client-seconds", "3",
        ]  # fmt: skip
        code, rows, said = typed(lab, tmp_path, *words)
        assert code == 0, said
        states = {row["name"]: (row["works"], row["state"], row["mechanism"]) for row in rows}
        assert states == {
            "shell": (False, "blocked", "ssh"),
            "plain": (True, "ok", None),
            "flakes": (False, "insufficient", None),
        }
        assert "1 of 3 work. Best here: plain (http_proxy)." in said
        assert best_proxy(tmp_path) == "http://44.128.90.1:3128"
        assert kept(tmp_path / FILE)[0].name == "plain"
        lab.clear()
        code, looks, said = typed(
            lab, tmp_path, "carry", "--json", str(file), "--only", "shell", "--page",
            "https://news.example/", "--authorities", lab.ca, "--looks", "1", "--port", "1099",
        )  # fmt: skip
        assert code == 0, said
        assert [(one["works"], one["proxy"]) for one in looks] == [
            (True, "socks5h://127.0.0.1:1099"),
            (False, ""),
        ]
        lab.censor("ip_reset", "bridge.example")
        lab.censor("sni_reset", "news.example")
        code, _, said = typed(lab, tmp_path, *words)
        assert code == 0, said
        assert "0 of 3 work. None works here." in said
        with pytest.raises(ConfigError, match="none of the 3 go-arounds worked"):
            best_proxy(tmp_path)


def test_nothing_is_tried_without_consent_or_control(tmp_path: Path, lab: NetworkLab) -> None:
    file = tmp_path / "go-arounds.toml"
    file.write_text('[[go_around]]\nname = "t"\nkind = "tor"\n')
    code, _, said = typed(lab, tmp_path, "advise", str(file), "--no-control")
    assert (code, "Nobody has agreed" in said) == (2, True)
    code, _, said = typed(lab, tmp_path, "advise", str(file))
    assert (code, "needs a control" in said) == (2, True)
    code, _, said = typed(lab, tmp_path, "advise", str(file), "--only", "x", "--no-control")
    assert (code, "has no go-around 'x'" in said) == (2, True)
    code, _, said = typed(lab, tmp_path, "apps", "no-such-app", "--no-control")
    assert (code, "There is no app 'no-such-app'" in said) == (2, True)
    assert not (tmp_path / FILE).exists()
