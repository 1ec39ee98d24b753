"""DNS messages: whoever forges answers writes their bytes, so that none of them may end a run."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.lab import network_dns as lab_dns
from vanished.reach.dns_message import MalformedError, answers_to, question, reply
from vanished.reach.steps import Answer

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join).filter(lambda n: len(n) <= 253)


def message(*records: bytes, flags: int = 0x8180, name: bytes = b"\4news\7example\0") -> bytes:
    """An answer to a question for `name`."""
    head = struct.pack("!HHHHHH", 7, flags, 1, len(records), 0, 0)
    return head + name + b"\0\1\0\1" + b"".join(records)


def record(kind: int, held: bytes, name: bytes = b"\xc0\x0c", ttl: int = 60) -> bytes:
    """One record."""
    return name + struct.pack("!HHIH", kind, 1, ttl, len(held)) + held


@given(NAMES, st.integers(0, 0xFFFF))
def test_a_question_is_read_by_another_reader_as_it_was_asked(name: str, number: int) -> None:
    held = question(name, "A", number)
    asked = lab_dns.question(held)
    assert asked
    assert (asked.id, asked.name, asked.type) == (number, name, lab_dns.A)
    assert question(f"{name}.", "A", number) == held
    assert held[2:4] == b"\1\0"  # recursion is desired, nothing else
    assert question(name, "AAAA", 1)[-4:] == b"\0\x1c\0\1"


def test_addresses_and_aliases_are_read_and_other_records_stepped_over() -> None:
    held = message(
        record(5, b"\3www\xc0\x0c", ttl=5),
        record(46, b"\0" * 20),
        record(1, bytes([192, 0, 2, 7]), name=b"\3www\xc0\x0c"),
        record(28, bytes.fromhex("20010db8" + "00" * 11 + "01"), name=b"\0"),
    )
    got = reply(held + b"what follows does not count")
    assert got.answers == (
        Answer("CNAME", hostname="www.news.example", ttl=5.0),
        Answer("A", ipv4="192.0.2.7", ttl=60.0),
        Answer("AAAA", ipv6="2001:db8::1", ttl=60.0),
    )
    assert (got.rcode, got.cut) == (0, False)
    assert reply(message(flags=0x8383)).cut
    assert reply(message(flags=0x8383)).rcode == 3


def test_a_name_is_shown_so_that_it_cannot_be_mistaken() -> None:
    got = reply(message(record(5, b"\5a.b\\\xff\0")))
    assert got.answers[0].hostname == "a\\.b\\\\\\255"


@pytest.mark.parametrize(
    "held",
    [
        b"",
        message()[:11],
        message()[:20],  # within the question
        message(flags=0x0100),  # a question
        message(record(1, b"\1\2\3")),
        message(record(28, b"\1\2\3\4")),
        message(record(1, b"\1\2\3\4"))[:-1],
        message(record(5, b"\xc0\x21")),  # points to itself
        message(record(5, b"\xff\xff")),  # points behind the end
        message(record(5, b"\x80a\0")),
        message(name=b"\x41" + b"a" * 65 + b"\0"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(held: bytes) -> None:
    with pytest.raises(MalformedError):
        reply(held)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_no_bytes_do_anything_else(noise: bytes, at: int) -> None:
    good = message(record(5, b"\3www\xc0\x0c"), record(1, b"\1\2\3\4"))
    for held in (noise, good[:at] + noise, good[:at] + noise + good[at + len(noise) :]):
        try:
            got = reply(held)
        except MalformedError:
            continue
        assert all(one.answer_type in ("A", "AAAA", "CNAME") for one in got.answers)


@given(NAMES, st.binary(max_size=40))
def test_only_an_answer_with_the_questions_number_answers_it(name: str, noise: bytes) -> None:
    asked = question(name, "A", 0x1234)
    held = lab_dns.question(asked)
    assert held
    good = lab_dns.answer(held, ["192.0.2.7"])
    assert answers_to(good, asked)
    assert not answers_to(b"\x12\x35" + good[2:], asked)
    assert not answers_to(asked, asked)  # a question that comes back
    assert answers_to(noise, asked) == (
        len(noise) >= 12 and noise[:2] == b"\x12\x34" and noise[2] >= 0x80
    )


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "x" * 64, ".".join(["x" * 60] * 5)])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(MalformedError):
        question(name, "A", 1)
