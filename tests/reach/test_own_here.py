"""The address that nobody knows of is the one that is not scrubbed."""

from __future__ import annotations

import socket
from pathlib import Path

from vanished.reach.own_here import addresses, nameservers, own_here


def test_this_machines_addresses_are_found_without_a_packet(tmp_path: Path) -> None:
    held = tmp_path / "if_inet6"
    held.write_text(
        "2a0104f8000100020000000000000005 02 40 00 80 eth0\n"
        "fe800000000000000000000000000001 02 40 20 80 eth0\n"
        "00000000000000000000000000000001 01 80 10 80 lo\n"
    )
    found = addresses(held)
    assert {"2a01:4f8:1:2::5", "fe80::1"} <= set(found)
    assert "::1" not in found
    assert "127.0.0.1" not in found
    for one in found:
        assert socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one)


def test_own_resolvers_are_scrubbed_and_everybodys_are_not(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# nameserver 4.4.4.4\nsearch isp.example\nnameserver 10.20.30.40\n"
        "nameserver 9.9.9.9\nnameserver fe80::9%eth0\nnameserver what\nnameserver 7.7.7.7\n"
    )
    assert nameservers(conf) == ["10.20.30.40", "9.9.9.9", "fe80::9", "7.7.7.7"]
    own = own_here(["93.184.7.34"], ["a secret"], conf, tmp_path / "none")
    for gone in ("10.20.30.40", "7.7.7.7", "fe80::9", "93.184.7.34", "a secret"):
        assert own.finds(f"x {gone} y"), gone
    for stays in ("9.9.9.9", "127.0.0.1"):
        assert not own.finds(f"x {stays} y"), stays


def test_a_machine_without_these_files_has_no_resolver(tmp_path: Path) -> None:
    assert nameservers(tmp_path / "none") == []
