"""Measurements in an observatory: kept once, provable, judged again, naming nobody we watch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.archive.seized import traces
from vanished.archive.columns import TABLES
from vanished.archive.exporting import choose
from vanished.archive.kept_measurements import measurements, shown_names
from vanished.archive.leaves import leaves, opened
from vanished.archive.log import Log
from vanished.archive.measured import MEASUREMENTS, Measured, origin
from vanished.archive.observatory import Observatory
from vanished.archive.proof import LOG
from vanished.archive.settings import FILE
from vanished.archive.verify.folder import verify_folder
from vanished.cli import app
from vanished.errors import InputError, UsageError
from vanished.lab.reach_records import measure
from vanished.model import DAY, micros
from vanished.reach import keeping
from vanished.reach.ooni_json import to_json
from vanished.reach.record import Measurement
from vanished.reach.rules import Ruleset, ruleset
from vanished.reach.verdict import noted, verdict
from vanished.sources.page import PageSource

NOW = 1_795_000_000_000_000
FORMS = ("clean", "sni_reset", "dns_nxdomain", "server_down", "stale_control")


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Observatory]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


def records(count: int = 12) -> list[Measurement]:
    return [
        replace(
            measure(FORMS[n % len(FORMS)], n, target=n % 3),
            measurement_start_time=f"2026-11-{n % 27 + 1:02d} 10:{n // 27:02d}:00",
            probe_asn="AS64500",
            probe_cc="ZZ",
        )
        for n in range(count)
    ]


def file_of(path: Path, found: list[Measurement]) -> Path:
    path.write_bytes(b"".join(to_json(one) + b"\n" for one in found))
    return path


def test_each_is_kept_once_with_its_verdict(observatory: Observatory, tmp_path: Path) -> None:
    found = records()
    path = file_of(tmp_path / "a.jsonl", found)
    kept = keeping.keep(observatory, [path, path], NOW, "here")
    assert (kept.new, kept.known, kept.tally.read) == (12, 12, 24)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with_verdict = file_of(tmp_path / "c.jsonl", [noted(one, verdict(one)) for one in found])
    again = keeping.keep(observatory, [packed, with_verdict], NOW + DAY)
    assert (again.new, again.known) == (0, 24)  # a verdict in the record makes no other record
    rows = measurements(observatory)
    assert [(row.target, row.state, row.layer, row.rules) for row in rows] == [
        (one.target, said.state.value, said.layer, said.rules)
        for one, said in ((one, verdict(one)) for one in found)
    ]
    assert {row.vantage for row in rows} == {"here"}
    assert len({row.state for row in rows}) > 2
    assert rows[0].measured_at == micros_of("2026-11-01 10:00:00")


def micros_of(text: str) -> int:
    from datetime import UTC, datetime

    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_the_same_rows_come_back_from_the_journal(observatory: Observatory, tmp_path: Path) -> None:
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records())], NOW)
    before = measurements(observatory)
    observatory.flush()
    assert measurements(observatory) == before
    later = keeping.keep(observatory, [tmp_path / "a.jsonl"], NOW + DAY)
    assert (later.new, later.known) == (0, 12)


def test_what_is_no_measurement_is_said_and_the_rest_is_kept(
    observatory: Observatory, tmp_path: Path
) -> None:
    good = to_json(records(1)[0])
    odd = to_json(replace(records(2)[1], measurement_start_time="yesterday", test_start_time=""))
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([b"{}", good, odd, b"no json"]))
    kept = keeping.keep(observatory, [path], NOW)
    assert (kept.new, kept.dateless, kept.tally.skipped) == (1, 1, 2)
    assert "could not be read" in kept.text()
    with pytest.raises(InputError, match="cannot be read"):
        keeping.keep(observatory, [file_of(tmp_path / "b", records(3)), tmp_path / "none"], NOW)
    assert len(measurements(observatory)) == 1  # nothing of the readable file, either


def test_a_strangers_network_fits_the_evidence(observatory: Observatory, tmp_path: Path) -> None:
    """A record with line breaks for a network would make a capture that nobody can verify."""
    odd = replace(records(1)[0], probe_asn="AS1\n\x00" + "x" * 300, probe_cc="zz\n")
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", [odd])], NOW)
    (row,) = measurements(observatory)
    assert row.network == "AS0 ZZ"
    folder = observatory.folder
    observatory.close()
    assert verify_folder(folder, now=NOW).sound


def test_the_record_is_evidence_that_is_not_exported_unasked(
    observatory: Observatory, tmp_path: Path
) -> None:
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records(3))], NOW)
    rows, folder = measurements(observatory), observatory.folder
    observatory.close()
    log = Log.open(folder / LOG)
    assert log.size == 3
    assert choose(folder, log, [], everything=False).leaves == ()
    (leaf,) = choose(folder, log, [rows[1].digest], everything=False).leaves
    assert str(leaf.index) == rows[1].capture


def test_a_later_ruleset_judges_the_records_again(
    observatory: Observatory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = records(5)
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", found)], NOW, "here")
    assert keeping.judge_again(observatory, NOW + DAY).new == 0
    old, before = ruleset(), measurements(observatory)
    stricter = Ruleset("reach/99", old.rules[-1:])  # nothing can be said of anything
    monkeypatch.setattr("vanished.reach.verdict.ruleset", lambda: stricter)
    monkeypatch.setattr("vanished.reach.keeping.ruleset", lambda: stricter)
    observatory.close_proof()
    observatory.open_proof()
    again = keeping.judge_again(observatory, NOW + DAY)
    assert again.new == 5
    after = measurements(observatory)
    assert [(a.digest, a.capture, a.vantage) for a in after] == [
        (b.digest, b.capture, b.vantage) for b in before
    ]
    assert {(a.ruleset, a.state) for a in after} == {("reach/99", old.rules[-1].state.value)}
    with observatory.past() as past:
        assert past.execute("select count(*) from measurements").fetchone() == (10,)


def test_without_captures_only_the_verdict_is_kept_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    Observatory.create(tmp_path / "o").close()
    file = tmp_path / "o" / FILE
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("\nkeep = true", "\nkeep = false"), encoding="utf-8")
    with Observatory.open(tmp_path / "o", write=True) as observatory:
        assert observatory.proof is None
        kept = keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records(3))], NOW)
        assert (kept.new, kept.unrecorded) == (3, 3)
        assert {row.capture for row in measurements(observatory)} == {""}


def test_who_takes_the_folder_reads_no_target_in_the_past(
    observatory: Observatory, tmp_path: Path
) -> None:
    """The site of a single author is a name."""
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records(3))], NOW)
    observatory.flush()
    folder = observatory.folder
    observatory.close()
    found = {name for name, _ in traces(folder, ["site0.example"])}
    assert not {name for name in found if not name.startswith("captures/")}


def test_the_site_of_few_accounts_is_shown_by_a_pseudonym(
    observatory: Observatory, tmp_path: Path
) -> None:
    """A report that named a single author's site would name the author."""
    source = PageSource(observatory.naming, {})
    for n in range(5):
        observatory.add_account(source.account(f"https://site0.example/{n}"), NOW)
    observatory.add_account(source.account("https://site1.example/"), NOW)
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records())], NOW)
    names = set(shown_names(observatory, measurements(observatory)).values())
    assert "https://site0.example/" in names  # of five
    assert "https://site2.example/" in names  # nobody watches it
    assert not any("site1.example" in name for name in names)
    assert sum(name.startswith("site ") for name in names) == 1


def test_a_measurement_can_be_forgotten_by_its_digest(
    observatory: Observatory, tmp_path: Path
) -> None:
    keeping.keep(observatory, [file_of(tmp_path / "a.jsonl", records(3))], NOW)
    observatory.flush()
    gone = measurements(observatory)[1]
    observatory.forget_rows([gone.digest])
    assert gone.digest not in {row.digest for row in measurements(observatory)}
    assert len(measurements(observatory)) == 2


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Example.org/a?b#c", "https://example.org"),
        ("http://example.org:8080/", "http://example.org:8080"),
        ("http://example.org:80", "http://example.org"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("ftp://example.org/", ""),
        ("stun://example.org:3478", ""),
        ("example.org", ""),
        ("http://[::1", ""),
        ("", ""),
    ],
)
def test_origins(url: str, found: str) -> None:
    assert origin(url) == found


def test_rows_and_back() -> None:
    one = Measured(
        "d", 1, 2, "here", "AS1", "ZZ", "web_connectivity", "https://a/", "blocked", "dns", None,
        "partial", ("a", "b"), "reach/1", "7",
    )  # fmt: skip
    assert MEASUREMENTS.decode(MEASUREMENTS.encode([one])) == [one]
    assert TABLES["measurements"] is MEASUREMENTS


def test_the_command_says_counts_and_refuses_an_unknown_route(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    Observatory.create(tmp_path / "o").close()
    path = file_of(tmp_path / "a.jsonl", records(4))
    words = ["reach", "keep", str(path), "-o", str(tmp_path / "o"), "--json"]
    with pytest.raises(UsageError, match=r"names no route 'tor'; give one of direct\."):
        CliRunner().invoke(app, [*words, "--route", "tor"], catch_exceptions=False)
    done = CliRunner().invoke(app, [*words, "--route", "direct"], catch_exceptions=False)
    assert json.loads(done.stdout)["new"] == 4
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(done.stdout)["known"] == 4
    with Observatory.open(tmp_path / "o") as observatory:
        assert {row.vantage for row in measurements(observatory)} == {"here"}
    with opened(tmp_path / "o") as connection:
        assert len(list(leaves(connection))) == 4
