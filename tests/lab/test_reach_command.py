"""`vanished reach test` in the network lab, against the control that `vanished reach serve` is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.needs import missing
from vanished.lab.network import NetworkLab, why_not
from vanished.reach import consent
from vanished.reach.ooni_json import from_json
from vanished.reach.risk import Risk

BIN = str(Path(sys.executable).parent / "vanished")


@pytest.fixture(scope="module")
def lab() -> Iterator[NetworkLab]:
    reason = why_not()
    if reason is not None:
        missing(reason)
    with NetworkLab(seed=11) as made:
        yield made


def test_a_block_is_found_from_the_client_beside_our_control(
    lab: NetworkLab, tmp_path: Path
) -> None:
    """What a volunteer would do, with everything real but the network."""
    consent.keep(tmp_path, consent.GIVEN, "ZZ", Risk.SENSITIVE, date(2026, 11, 29))
    serve = lab.start(
        "control",
        [BIN, "reach", "serve", "--listen", lab.control_address, "--authorities", lab.ca,
         "--resolver", "44.128.53.1", "--json"],
        stdout=-1, stderr=-1,
    )  # fmt: skip
    try:
        assert serve.stdout is not None
        url = json.loads(serve.stdout.readline())["url"]
        lab.censor("sni_reset", "news.example")
        lab.censor("dns_nxdomain", "forum.example")
        out = tmp_path / "out.jsonl"
        done = lab.client_run(
            [BIN, "reach", "test", "https://news.example/", "https://forum.example/",
             "https://chat.example/", "--control", url, "--allow-network", "44.128.2.2/32",
             "--authorities", lab.ca, "--canary", "https://canary.example/",
             "--bystander", "bystander.example", "--resolver", "system",
             "--resolver", "44.128.53.1", "--per-second", "100", "--at-once", "3",
             "--out", str(out), "--json", "-o", str(tmp_path)],
            timeout_s=90,
        )  # fmt: skip
    finally:
        lab.stop(serve)
        lab.clear()
    assert done.returncode == 0, done.stderr.decode()
    rows = {row["target"]: row for row in map(json.loads, done.stdout.splitlines())}
    told = {target: (row["state"], row["layer"], row["mechanism"]) for target, row in rows.items()}
    assert told == {
        "https://news.example/": ("blocked", "sni", "reset"),
        "https://forum.example/": ("blocked", "dns", "nxdomain"),
        "https://chat.example/": ("ok", None, None),
    }
    lines = out.read_bytes().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert lab.client_address.encode() not in line
        assert from_json(line).keys.control is not None
