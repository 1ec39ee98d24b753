"""OONI's records: a field lost, and years of other people's work were unread."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.reach.records import generated, samples
from vanished.errors import InputError
from vanished.lab.reach_forms import FORMS
from vanished.lab.reach_records import measure
from vanished.reach.failures import Kind, kind
from vanished.reach.ooni_json import from_json, read, to_json
from vanished.reach.record import Measurement
from vanished.reach.steps import Binary, Response, raw, text, words


@pytest.mark.parametrize("form", sorted(FORMS))
def test_what_is_written_reads_the_same(form: str) -> None:
    """Else evidence would change between the probe and whoever checks it."""
    measurement = measure(form, seed=1)
    assert from_json(to_json(measurement)) == measurement


def test_the_address_of_a_volunteer_is_never_written_and_never_kept() -> None:
    """Who measured could be found and punished."""
    shown = json.loads(to_json(measure("clean", seed=1)))
    assert shown["probe_ip"] == "127.0.0.1"
    shown["probe_ip"] = "203.0.113.77"
    assert b"203.0.113.77" not in to_json(from_json(json.dumps(shown)))


def test_every_record_of_ooni_is_read_and_read_the_same_again() -> None:
    """Apps, go-arounds and websites, from 2016 on."""
    found = {**generated(), **samples()}
    assert len(generated()) == 25
    tests = {one.test_name for one in found.values()}
    assert tests >= {"web_connectivity", "signal", "telegram", "whatsapp", "tor", "vanilla_tor"}
    assert tests >= {"torsf", "openvpn", "riseupvpn"}
    for name, measurement in found.items():
        again = from_json(to_json(measurement))
        want = replace(measurement, data_format_version="0.2.0", test_keys=measurement.keys)
        assert again == want, name


def test_a_field_of_a_wrong_type_costs_that_field_only() -> None:
    """A probe's bug in one field must not cost the measurement."""
    shown = json.loads(to_json(measure("clean", seed=1)))
    shown["test_keys"]["queries"][0]["ttl"] = "unknown key"
    shown["test_keys"]["requests"][0]["response"]["code"] = "two hundred"
    shown["test_keys"]["control"]["dns"]["addrs"] = "none"
    found = read(json.dumps(shown))
    assert set(found.left_out) == {
        "test_keys.requests[0].response.code",
        "test_keys.control.dns.addrs",
    }
    assert found.measurement.keys.requests is not None
    assert found.measurement.keys.requests[0].response is not None
    assert found.measurement.keys.requests[0].response.body


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"test_name": 3}'])
def test_what_is_no_measurement_is_refused_in_a_sentence(line: bytes) -> None:
    """A stream with rubbish in it would else stop, or count rubbish as measurements."""
    with pytest.raises(InputError, match=r"measurement"):
        from_json(line)


def test_bytes_that_are_no_text_survive() -> None:
    """Block pages come in old encodings; a wrong byte would hide the words that tell."""
    page = "доступ ограничен".encode("cp1251")
    measurement = measure("http_block_page", seed=1)
    exchange = (measurement.keys.requests or ())[0]
    keys = replace(
        measurement.keys, requests=(replace(exchange, response=Response(200, body=words(page))),)
    )
    again = from_json(to_json(replace(measurement, test_keys=keys)))
    answer = (again.keys.requests or ())[0].response
    assert answer is not None
    assert isinstance(answer.body, Binary)
    assert raw(answer.body) == page
    assert text(words("é".encode())) == "é"


def test_failures_are_read_in_all_their_spellings() -> None:
    """The specification, the probes and the test helper do not spell them alike."""
    assert kind("ssl_unknown_autority") is kind("ssl_unknown_authority") is Kind.CERTIFICATE
    assert kind("connection_refused_error") is Kind.REFUSED
    assert kind(None) is kind("") is kind(False) is Kind.NONE
    assert kind("unknown_failure: something new") is Kind.OTHER


def test_a_probe_that_died_early_has_no_steps() -> None:
    """Such records are real; they must be readable to be counted."""
    found = from_json(b'{"test_name": "signal", "test_keys": null}')
    assert found == Measurement(test_name="signal", test_keys=None)
    assert found.keys.queries is None
