"""Go-arounds that only seem to run would prove nothing about the probes that look at them.

Each kind must carry a page past a real block, and each filter must stop the kinds that it is known
to stop and no other (Wu and others, USENIX Security 2023, for the fully encrypted ones).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

import pytest

from tests.needs import missing
from vanished.errors import UsageError
from vanished.lab.goaround_tor import PROGRAMS, tor_network
from vanished.lab.goarounds import KINDS, serving
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_map import GO_AROUND_HOST, TOR_BRIDGE_HOST, TOR_HOST
from vanished.lab.network_place import SEARCHED
from vanished.lab.network_queue import fully_encrypted

TARGET = "news.example"
STOPS: dict[str, set[str]] = {
    "fully_encrypted_drop": {"shadowsocks"},
    "ssh_drop": {"ssh"},
    "openvpn_drop": {"openvpn"},
    "wireguard_drop": {"wireguard"},
    "ip_drop": set(KINDS),
}
"""What each filter stops of the kinds, when it looks at the go-around's server."""


@pytest.fixture(scope="module")
def built() -> Iterator[NetworkLab]:
    if (reason := why_not()) is not None:
        missing(reason)
    with NetworkLab(quic=False) as made:
        yield made


@pytest.fixture
def lab(built: NetworkLab) -> Iterator[NetworkLab]:
    built.censor("sni_reset", TARGET)
    yield built
    built.clear()


def _needs(programs: Mapping[str, str]) -> None:
    for program, package in programs.items():
        if shutil.which(program, path=SEARCHED) is None:
            missing(f"the program '{program}' is not here: apt-get install {package}")


def _page(lab: NetworkLab, proxy: str | None, within_s: float = 20.0) -> bool:
    """Whether the target's own page comes."""
    argv = ["curl", "-sS", "--max-time", str(within_s), "--cacert", lab.ca]
    argv += ["-x", proxy] if proxy else []
    done = lab.client_run([*argv, f"https://{TARGET}/"])
    return f"Welcome to {TARGET}".encode() in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_go_around_carries_a_page_past_the_censor_unless_its_filter_is_there(
    lab: NetworkLab, kind: str
) -> None:
    _needs(KINDS[kind].programs)
    assert not _page(lab, None)
    with serving(lab, kind) as served:
        assert served.settings["server"] == lab.addresses[GO_AROUND_HOST][0]
        with served.connected() as proxy:
            assert _page(lab, proxy)
        for form, stopped in STOPS.items():
            lab.clear()
            lab.censor("sni_reset", TARGET)
            lab.censor(form, GO_AROUND_HOST)
            if kind not in stopped:
                with served.connected() as proxy:
                    assert _page(lab, proxy), form
                continue
            try:
                with served.connected(ready_s=1.5) as proxy:
                    assert not _page(lab, proxy, 1.5), form
            except UsageError as error:
                assert "did not come up" in str(error)  # noqa: PT017 (either way is right)
    assert not _page(lab, None)


@pytest.mark.soak
def test_a_private_tor_network_carries_a_page_also_by_its_bridge_alone(lab: NetworkLab) -> None:
    """Blocked relays leave the bridge; what stops fully encrypted flows stops the bridge too."""
    _needs(PROGRAMS)
    with tor_network(lab) as tor:
        with tor.connected() as proxy:
            assert _page(lab, proxy)
        lab.censor("ip_drop", TOR_HOST)
        with pytest.raises(UsageError, match="did not come up"), tor.connected(ready_s=3):
            raise AssertionError("connected to blocked relays")
        assert tor.bridge.startswith("obfs4 ")
        with tor.connected(obfs4=True) as proxy:
            assert _page(lab, proxy)
        lab.censor("fully_encrypted_drop", TOR_BRIDGE_HOST)
        with (
            pytest.raises(UsageError, match="did not come up"),
            tor.connected(obfs4=True, ready_s=6),
        ):
            raise AssertionError("connected to a blocked bridge")
    assert not _page(lab, None)


def test_an_unknown_kind_is_refused_in_a_sentence(lab: NetworkLab) -> None:
    with (
        pytest.raises(UsageError, match="no go-around 'pigeon'; it has shadowsocks"),
        serving(lab, "pigeon"),
    ):
        raise AssertionError("served a pigeon")


def test_the_published_rules_tell_ciphertext_from_the_rest() -> None:
    import random

    rng = random.Random(3)
    drawn = [bytes(rng.randrange(256) for _ in range(400)) for _ in range(200)]
    assert sum(map(fully_encrypted, drawn)) >= 195
    exempt = [
        b"\x16\x03\x01\x02\x00" + drawn[0],
        b"GET / HTTP/1.1\r\n" + drawn[0],
        b"SSH-2." + drawn[0],
        b"\x00" * 300 + drawn[0][:50],
        b"\xff" * 300 + drawn[0][:50],
        drawn[0][:100] + b"a" * 21 + drawn[0][100:],
    ]
    assert not any(map(fully_encrypted, exempt))
