"""A volunteer's address, token or bridge in a record that leaves would point at a person."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import ipaddress
import json
import types
import typing
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vanished.errors import UsageError
from vanished.lab.reach_records import measure
from vanished.reach.dns_subnet import without_client_subnet
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.own import NOBODY, SCRUBBED, Own
from vanished.reach.published import hour, published, published_line
from vanished.reach.record import (
    Control,
    ControlPage,
    ControlSummary,
    Measurement,
    TestKeys,
    TorTarget,
)
from vanished.reach.scrub import bridge_hash, local_line, scrubbed, scrubbed_bytes
from vanished.reach.steps import Binary, Exchange, Query, Request, Response
from vanished.reach.verdict import noted, verdict

V4, V6 = "93.184.7.34", "2a01:4f8:1:2::5"
RESOLVER, NAME, TOKEN = "192.168.7.1", "dsl-7.isp.example", "s3cr3t/t0ken+x"
FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
CERT = base64.b64encode(bytes(range(52))).decode().rstrip("=")
BRIDGE = f"obfs4 198.51.100.7:443 {FINGERPRINT} cert={CERT} iat-mode=0"
LINK = "vmess://eyJhZGQiOiIxOTguNTEuMTAwLjciLCJpZCI6ImFiY2QifQ"
OWN = Own.of([V4, V6], [RESOLVER], [NAME], [TOKEN])
NUMBER = int(ipaddress.ip_address(V4))
LITERAL = (V4, V6, RESOLVER, NAME, TOKEN, FINGERPRINT, CERT, LINK[8:], str(NUMBER))

SPELLINGS = [
    V4,
    "093.184.007.034",
    "0x5d.0xB8.0x7.0x22",
    "0135.0270.07.042",
    str(NUMBER),
    hex(NUMBER),
    f"{NUMBER:08X}",
    "2207b85d",  # as /proc/net/tcp has it
    "5d:b8:07:22",
    "93.12060450",
    "93.184.1826",
    "34.7.184.93.in-addr.arpa",
    "93-184-7-34.dsl.example",
    "host_34_7_184_93",
    "93,184,7,34,4,1",
    "93[.]184[.]7[.]34",
    "93 . 184 . 7 . 34",
    "93.184.7.0/24",
    "::ffff:93.184.7.34",
    "::ffff:5db8:722",
    "2002:5db8:722::1",
    "64:ff9b::5DB8:722",
    "93%2E184%2e7%2E34",
    "%39%33.184.7.34",
    "93&#46;184&#x2e;7&period;34",
    "９３．１８４．７．３４",
    "93.<b>184</b>.7.34",
    "\\u0039\\u0033.184.7.34",
    "9\x003\x00.\x001\x008\x004\x00.\x007\x00.\x003\x004\x00",
    V6,
    "2A01:04f8:0001:0002:0000:0000:0000:0005",
    "2a01:4f8:1:2:aaaa:bbbb:cccc:dddd",  # the same household
    "[2a01:4f8:1:2::5]:443",
    "2a01:4f8:1:2::5%25eth0",
    "2a01%3A4f8%3A1%3A2%3A%3A5",
    "2a01-4f8-1-2--5.example",
    "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.f.4.0.1.0.a.2.ip6.arpa",
    "2a0104f8000100020000000000000005",
    str(int(ipaddress.ip_address(V6))),
    RESOLVER,
    NAME.upper(),
    TOKEN,
    "s3cr3t%2Ft0ken%2Bx",
    TOKEN.encode().hex(),
    *(base64.b64encode(b"x" * n + V4.encode() + b"yz").decode() for n in range(3)),
    *(base64.b64encode(b"x" * n + TOKEN.encode() + b"yz").decode() for n in range(3)),
    base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    base64.b64encode(ipaddress.ip_address(V4).packed).decode(),
    V4.encode().hex(),
]


@pytest.mark.parametrize("spelt", SPELLINGS)
def test_every_spelling_is_found(spelt: str) -> None:
    held = f"before {spelt} after"
    done = OWN.text(held)
    assert done != held
    assert spelt not in done
    assert OWN.text(done) == done
    assert OWN.raw(b"\xff" + spelt.encode()) != b"\xff" + spelt.encode()


@pytest.mark.parametrize(
    "others",
    ["193.184.7.34", "93.184.7.345", "93.184.7.35", "2a01:4f8:1:3::5", "2026-11-29 10:11:12",
     "1.1.1.1", "127.0.0.1", "12:30:45.678", "a8f5f167-f44f-4964-e6c9-98dee827110c"],
)  # fmt: skip
def test_what_is_not_the_volunteers_stays(others: str) -> None:
    assert OWN.text(f"x {others} y") == f"x {others} y"


def test_octets_go_from_bytes_and_lengths_stay() -> None:
    held = b"\x00\xff" + ipaddress.ip_address(V4).packed + V4.encode() + b"\x30\x82"
    done = OWN.raw(held)
    assert len(done) == len(held)
    assert ipaddress.ip_address(V4).packed not in done
    assert V4.encode() not in done
    assert done[:2] == held[:2]
    assert done[-2:] == held[-2:]


def test_loopback_is_nobodys_and_bad_input_is_a_sentence() -> None:
    assert Own.of(["127.0.0.1", "::1", "0.0.0.0"]).text("127.0.0.1 ::1") == "127.0.0.1 ::1"
    assert NOBODY.text(V4) == V4
    with pytest.raises(UsageError, match="is no IP address"):
        Own.of(["news.example"])
    with pytest.raises(UsageError, match="fewer than 6"):
        Own.of(secrets=["abc"])


# Every field of a record


def filled(kind: Any, words: Callable[[], str], numbers: Callable[[], float]) -> Any:
    """A value of that type in which every text, byte and number is planted."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind is Binary:
            return Binary.of(b"\xff\x00" + words().encode())
        hints = typing.get_type_hints(kind)
        return kind(**{one.name: filled(hints[one.name], words, numbers)
                       for one in dataclasses.fields(kind)})  # fmt: skip
    if origin in (typing.Union, types.UnionType):
        choices = [one for one in inner if one is not type(None)]
        wanted = Binary if Binary in choices and len(words()) % 2 else choices[0]
        return filled(wanted, words, numbers)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return (filled(inner[0], words, numbers),) * 2
        return tuple(filled(one, words, numbers) for one in inner)
    if origin is dict:
        return {filled(inner[0], words, numbers): filled(inner[1], words, numbers)}
    if kind is str:
        return words()
    if kind is bool:
        return True
    assert kind in (int, float), kind
    return kind(numbers())


def texts(line: bytes) -> list[str]:
    """All that a reader of the line can find: keys, strings, and what base64 holds."""
    found: list[str] = [line.decode("utf-8", "replace")]

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if set(node) >= {"data", "format"}:
                held = base64.b64decode(node["data"] + "==")
                found.append(held.decode("latin-1"))
            for key, value in node.items():
                found.append(key)
                walk(value)
        elif isinstance(node, list):
            for one in node:
                walk(one)
        elif isinstance(node, str):
            found.append(node)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            found.append(str(int(node)))

    walk(json.loads(line))
    return found


def assert_clean(line: bytes) -> None:
    for held in texts(line):
        for planted in LITERAL:
            assert planted.lower() not in held.lower(), planted
        assert not OWN.finds(held), held[:200]
    assert ipaddress.ip_address(V4).packed not in b"".join(
        one.encode("latin-1", "replace") for one in texts(line)
    )
    from_json(line)  # still a measurement


@settings(max_examples=60)
@given(st.sampled_from([*SPELLINGS, BRIDGE, LINK, f"Bridge 198.51.100.7:443 {FINGERPRINT}"]),
       st.text(max_size=5), st.text(max_size=5))  # fmt: skip
def test_nothing_planted_in_any_field_comes_out(spelt: str, before: str, after: str) -> None:
    planted = f"{before} {spelt} {after}"
    record = filled(Measurement, lambda: planted, lambda: float(NUMBER))
    for line in (local_line(record, OWN), published_line(record, OWN)):
        assert_clean(line)


def test_the_walk_fills_every_field() -> None:
    """A test that plants nothing would pass: here nothing is scrubbed, and all of it shows."""
    record = filled(Measurement, lambda: f"x {V4} y", lambda: float(NUMBER))
    held = to_json(record)
    assert held.count(V4.encode()) > 150
    with pytest.raises(AssertionError):
        assert_clean(held)
    names = {one.name for one in dataclasses.fields(TestKeys)}
    assert names <= set(json.loads(held)["test_keys"])


def test_the_second_pass_alone_finds_what_the_walk_would_miss() -> None:
    line = json.dumps({"a": f"x {V4}", f"k {TOKEN}": [f'"{V6}"'], "b": BRIDGE}).encode()
    done = scrubbed_bytes(line, OWN)
    assert json.loads(done)
    for planted in (V4, V6, TOKEN, FINGERPRINT):
        assert planted.encode() not in done


def test_credentials_go_also_where_nobody_named_them() -> None:
    asked = Request(
        url="https://user:pa55word@site.example/a?token=abcdef123&q=1",
        headers={"Authorization": "Bearer abcdefgh12345", "Accept": "text/html"},
        headers_list=(("Cookie", "sid=abcdef"), ("Accept", "text/html")),
    )
    answer = Response(code=200, headers={"Set-Cookie": "id=abcdef", "Server": "x"}, body="hello")
    record = Measurement(
        test_name="web_connectivity",
        test_keys=TestKeys(requests=(Exchange(request=asked, response=answer),)),
    )
    held = local_line(record, NOBODY)
    for secret in (b"pa55word", b"abcdef", b"abcdefgh12345"):
        assert secret not in held
    kept = from_json(held).keys.requests
    assert kept is not None
    assert kept[0].request is not None
    assert kept[0].request.url == f"https://site.example/a?token={SCRUBBED}&q=1"
    assert (kept[0].request.headers or {})["Accept"] == "text/html"


def _dns(options: bytes) -> bytes:
    question = b"\x04news\x07example\x00\x00\x01\x00\x01"
    opt = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00" + len(options).to_bytes(2, "big") + options
    return b"\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x01" + question + opt


def test_the_clients_subnet_goes_from_raw_dns_answers() -> None:
    subnet = b"\x00\x08\x00\x07\x00\x01\x18\x00\x5d\xb8\x07"  # 93.184.7.0/24
    message = _dns(b"\x00\x0a\x00\x02ab" + subnet)
    done = without_client_subnet(message)
    assert done == message.replace(b"\x5d\xb8\x07", b"\x00\x00\x00")
    query = Query(hostname="news.example", raw_response=Binary.of(message))
    record = Measurement(test_name="dnscheck", test_keys=TestKeys(queries=(query,)))
    kept = scrubbed(record, NOBODY).keys.queries
    assert kept is not None
    assert kept[0].raw_response == Binary.of(done)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader_of_dns(held: bytes) -> None:
    done = without_client_subnet(held)
    assert done is None or len(done) == len(held)


def test_what_is_no_dns_message_is_left_out() -> None:
    record = Measurement(
        test_name="dnscheck", test_keys=TestKeys(queries=(Query(raw_response="\x00\x01 nonsense"),))
    )
    kept = scrubbed(record, NOBODY).keys.queries
    assert kept is not None
    assert kept[0].raw_response is None


def test_bridges_are_named_by_their_hash() -> None:
    name = bridge_hash(BRIDGE, b"key")
    assert len(name) == 40
    assert FINGERPRINT not in name
    assert name == bridge_hash(f"Bridge {BRIDGE}", b"other key")  # as Tor's statistics call it
    link = "ss://YWVzLTI1Ni1nY206cGFzcw@198.51.100.7:8388"
    assert bridge_hash(link, b"a") != bridge_hash(link, b"b")
    targets = {
        "bridge one": TorTarget("198.51.100.7:443", "obfs4", BRIDGE),
        "ab" * 20: TorTarget("198.51.100.8:443", "obfs4", None, "generic_timeout_error"),
        "dirauth": TorTarget("44.128.91.1:80", "dir_port", "moria"),
    }
    record = Measurement(test_name="tor", test_keys=TestKeys(targets=targets))
    held = local_line(record, NOBODY)
    assert b"198.51.100" not in held
    assert b"44.128.91.1:80" in held
    assert b"generic_timeout_error" in held


@pytest.mark.parametrize("form", ["clean", "dns_bogon", "sni_reset", "http_block_page"])
def test_a_scrubbed_record_gets_the_verdict_of_the_whole_one(form: str) -> None:
    record = measure(form, 1)
    before = verdict(record)
    after = verdict(from_json(local_line(record, OWN)))
    assert (after.state, after.layer, after.mechanism) == (
        before.state, before.layer, before.mechanism)  # fmt: skip


def test_what_is_published_says_network_country_and_hour_only() -> None:
    record = dataclasses.replace(
        measure("http_block_page", 1),
        measurement_start_time="2026-11-29 09:41:17",
        test_start_time="2026-11-29 09:41:02",
        probe_asn="AS64500",
        probe_cc="IR",
        probe_network_name="A small provider",
        resolver_asn="AS64501",
        annotations={"platform": "linux", "origin": "a friend"},
        report_id="20261129T094102Z_AS64500_x",
        measurement_uid="20261129094117.1_IR_x",
        test_runtime=12.5,
    )
    record = noted(record, verdict(record))
    block, page = record.keys.x_vanished, ControlPage(headers={"X-Forwarded-For": "44.128.1.9"})
    assert block is not None
    told = dataclasses.replace(block, control=ControlSummary(True, "https://my-own.example/"))
    record = dataclasses.replace(
        record,
        test_keys=dataclasses.replace(
            record.keys, x_vanished=told, control=Control(http_request=page)
        ),
    )
    line = published_line(record, NOBODY)
    held = json.loads(line)
    assert held["measurement_start_time"] == "2026-11-29 09:00:00"
    assert (held["probe_asn"], held["probe_cc"], held["probe_ip"]) == (
        "AS64500", "IR", "127.0.0.1")  # fmt: skip
    for word in (b"small provider", b"64501", b"a friend", b"T0941", b":41:", b"my-own",
                 b"44.128.1.9"):  # fmt: skip
        assert word not in line
    copy = published(record, NOBODY).keys
    assert copy.requests is not None
    assert all(one.response is None or one.response.body is None for one in copy.requests)
    assert copy.x_vanished is not None
    assert copy.x_vanished.bodies
    assert copy.x_vanished.state == "blocked"
    assert hour("") == ""


def test_a_compressed_body_hides_nothing() -> None:
    body = Binary.of(gzip.compress(f"Your address is {V4}".encode()))
    record = Measurement(
        test_name="web_connectivity",
        test_keys=TestKeys(requests=(Exchange(response=Response(code=200, body=body)),)),
    )
    kept = scrubbed(record, OWN).keys.requests
    assert kept is not None
    assert kept[0].response is not None
    assert kept[0].response.body != body
