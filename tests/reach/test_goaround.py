"""Go-arounds' files and facts: a typo or an open file must be said before anything is sent."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vanished.errors import ConfigError, UsageError
from vanished.net.address import networks
from vanished.reach.door import Door
from vanished.reach.facts_goaround import go_around_facts
from vanished.reach.facts_settings import DEFAULT
from vanished.reach.flights import TLS, first_bytes, flight, knock
from vanished.reach.goaround import GoAround, read_go_arounds
from vanished.reach.goaround_client import Child, NoWayError, Step, require
from vanished.reach.goaround_record import hidden
from vanished.reach.ooni_json import to_json
from vanished.reach.record import Flight, GoAroundSeen, Knock, Measurement, TestKeys
from vanished.reach.steps import Query, TcpConnect
from vanished.reach.tor_test import servers

SHADOW = '[[go_around]]\nname = "s"\nkind = "shadowsocks"\nserver = "192.0.2.1"\nport = 8388\n'
METHOD = 'method = "chacha20-ietf-poly1305"\n'


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "go-arounds.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_is_read_and_a_secret_may_stay_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_WORD", "secret word")
    text = SHADOW + METHOD + 'password_env = "SOME_WORD"\nlocal = 1081\n'
    (found,) = read_go_arounds(written(tmp_path, text, 0o644))
    assert (found.text("password"), found.local) == ("secret word", 1081)
    assert {"secret word", "192.0.2.1"} <= set(found.hidden)
    assert "192.0.2.1" not in repr(found)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (SHADOW + METHOD + 'password = "x1y2z3"\n', 0o644, "chmod 600"),
        (SHADOW + METHOD, 0o600, "needs password"),
        (SHADOW + 'pasword = "x"\n', 0o600, "did you mean 'password'"),
        (SHADOW + METHOD + 'password_env = "NOT_SET_AT_ALL"\n', 0o600, "NOT_SET_AT_ALL is not set"),
        ('[[go_around]]\nname = "x"\nkind = "pigeon"\n', 0o600, "kind is one of shadowsocks"),
        ("go_around = 3\n", 0o600, "there is no go-around"),
        ("[[go_around\n", 0o600, "not valid TOML"),
        ('[[go_around]]\nkind = "tor"\n', 0o600, "name is missing"),
        (
            '[[go_around]]\nname = "a"\nkind = "tor"\n[[go_around]]\nname = "a"\nkind = "tor"\n',
            0o600,
            "two go-arounds are called 'a'",
        ),
        (
            '[[go_around]]\nname = "a"\nkind = "ssh"\nserver = "192.0.2.1"\nport = 22\nuser = "u"\n'
            'key = "none"\nknown_hosts = "none"\n',
            0o600,
            "there is no file",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    with pytest.raises((ConfigError, UsageError), match=said):
        read_go_arounds(written(tmp_path, text, mode))


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanished.reach.goaround_client.SEARCHED", "/nowhere")
    with pytest.raises(UsageError, match=r"needs 'ss-local', .* install shadowsocks-libev"):
        require(GoAround("mine", "shadowsocks"))
    with pytest.raises(UsageError, match=r"'snowflake-client'|'tor'"):
        require(GoAround("mine", "tor", options={"pluggable": "snowflake"}))


def test_bridges_are_the_servers_of_tor_and_stand_in_no_record() -> None:
    line = "obfs4 198.51.100.7:9443 " + "AB" * 20 + " cert=abcdefgh iat-mode=0"
    found = GoAround("b", "tor", options={"pluggable": "obfs4", "bridges": [line]})
    assert [one.url for one in servers(found).endpoints] == ["tcp://198.51.100.7:9443"]
    base = Measurement(
        test_name="tor",
        test_keys=TestKeys(
            queries=(Query(hostname="x", raw_response=line),),
            tcp_connect=(TcpConnect(ip="198.51.100.7", port=9443),),
            failure=f"said {line}",
        ),
    )
    written_line = to_json(hidden(found, base))
    for secret in ("198.51.100.7", "AB" * 20, "abcdefgh"):
        assert secret.encode() not in written_line
    fronted = (
        "snowflake 192.0.2.3:80 " + "CD" * 20 + " url=https://broker.example/ fronts=a.example"
    )
    snow = GoAround("s", "tor", options={"pluggable": "snowflake", "bridges": [fronted]})
    assert [one.url for one in servers(snow).endpoints] == ["https://broker.example/"]
    assert len(servers(GoAround("t", "tor")).endpoints) == 9


LOST, PASSED = Flight("ssh", "lost"), Flight(TLS, "acknowledged")
STOPPED = GoAroundSeen("ssh", reachable=True, traffic=False)


@pytest.mark.parametrize(
    ("seen", "facts"),
    [
        (replace(STOPPED, traffic=True), {"around_works"}),
        (replace(STOPPED, traffic=True, ended=True), {"around_cut"}),
        (replace(STOPPED, flights=(LOST, PASSED) * 3), {"flight_lost", "flight_lost_repeated"}),
        (replace(STOPPED, flights=(LOST, PASSED)), {"flight_lost"}),
        (replace(STOPPED, flights=(LOST, Flight(TLS, "lost")) * 3), set()),
        (replace(STOPPED, flights=(LOST, PASSED, Flight("ssh", "acknowledged"), PASSED)), set()),
        (replace(STOPPED, flights=(Flight("ssh", "reset"), PASSED) * 3), set()),
        (replace(STOPPED, elsewhere=True), {"around_stopped"}),
        (replace(STOPPED, elsewhere=False), {"around_fails_elsewhere"}),
        (STOPPED, set()),
    ],
)
def test_facts_of_first_bytes_need_a_contrast(seen: GoAroundSeen, facts: set[str]) -> None:
    assert set(go_around_facts(seen, DEFAULT)) == facts


LATE, NO = "generic_timeout_error", "connection_refused"
UDP = GoAroundSeen(
    "wireguard", traffic=False, handshake=False, flights=(Flight("wireguard", "silent"),) * 3,
    elsewhere=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("knocks", "facts"),
    [
        ((Knock(51820, (LATE,) * 3, NO), Knock(443, (LATE,) * 3, "")), {"address_silent"}),
        ((Knock(51820, (NO,) * 3, NO), Knock(443, (NO,) * 3, "")), {"address_refused"}),
        ((Knock(443, ("host_unreachable",) * 3, ""),), {"address_unreachable"}),
        ((Knock(51820, (NO,) * 3, NO),), {"around_silent", "around_silent_repeated"}),
        ((Knock(51820, (LATE,) * 3, LATE),), set()),
        ((Knock(51820, (LATE,) * 3, None),), set()),
    ],
)
def test_a_silent_address_needs_a_control_that_it_answers(
    knocks: tuple[Knock, ...], facts: set[str]
) -> None:
    assert set(go_around_facts(replace(UDP, knocks=knocks), DEFAULT)) == facts


@pytest.fixture
def listener() -> Iterator[int]:
    """A server that reads and answers nothing."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(2)
    for one in held:
        one.close()


def test_bytes_that_arrive_are_acknowledged(listener: int) -> None:
    door = Door(allow=networks(["127.0.0.0/8"]), per_s=1000, burst=1000)
    for kind in ("fully_encrypted", "ssh", "http", "socks", "openvpn", TLS):
        seen = asyncio.run(flight(door, "127.0.0.1", listener, kind, "example.com", 1.0))
        assert seen == Flight(kind, "acknowledged")
    assert asyncio.run(knock(door, "127.0.0.1", listener, 1.0)) == ""


def test_nothing_is_sent_to_a_private_address_that_was_not_allowed(listener: int) -> None:
    seen = asyncio.run(flight(Door(), "127.0.0.1", listener, "ssh", "example.com", 1.0))
    assert seen.ended.startswith("unknown_failure")


def test_drawn_bytes_have_none_of_the_exempting_marks() -> None:
    from vanished.lab.network_queue import fully_encrypted

    assert all(fully_encrypted(first_bytes("fully_encrypted", "x.example")) for _ in range(200))
    assert not fully_encrypted(first_bytes(TLS, "x.example"))
    assert not fully_encrypted(first_bytes("ssh", "x.example"))


def test_a_client_that_ends_or_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    async def tried() -> int:
        child = Child(["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path / "log")
        while not child.said().strip():
            await asyncio.sleep(0.02)
        grandchild = int(child.said())
        with pytest.raises(NoWayError):
            await child.until(Step((), line="never said"), 0.2)
        await child.end()
        return grandchild

    number = asyncio.run(tried())
    state = Path(f"/proc/{number}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
