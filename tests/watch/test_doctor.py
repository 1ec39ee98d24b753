"""The doctor's glance at proofs: what is wrong is told with its place; a choice is a remark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.archive.proof_writer import account, write
from vanished.archive import keys, present
from vanished.archive.capture import new_identity, segments
from vanished.archive.log import WITNESS_KEY, Log, SignerKey, keep_cosigned
from vanished.archive.making import make
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.archive.stamps import Kind, Progress
from vanished.archive.stamps.kept import Attempt, Stamped, begin
from vanished.clock import SystemClock
from vanished.model import DAY, HOUR, SECOND, Micros
from vanished.watch.doctor import advise
from vanished.watch.doctor_proof import troubles
from vanished.watch.finding import Finding

NOW = SystemClock().now()
ALPHA, BETA = (SignerKey(f"w.example/{n}", bytes([n]) * 32, WITNESS_KEY) for n in (1, 2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sealed to a key that is elsewhere; the other keys are given by the environment."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Observatory.create(tmp_path / "o", [new_identity()[0]]) as observatory:
        account(observatory)
        write(observatory, lambda: None, commits=2)
    return tmp_path / "o"


def found(folder: Path, now: Micros = NOW) -> list[Finding]:
    with Observatory.open(folder) as observatory:
        return list(troubles(observatory, now))


def add(folder: Path, more: str) -> None:
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n{more}\n")


def aged(folder: Path, by: Micros) -> None:
    """As if all captures had been made so long ago."""
    engine = present.connect(folder / present.FILE, write=True)
    with engine.begin() as connection:
        connection.execute(present.captures.update().values(at=NOW - by))
    engine.dispose()


def test_a_sound_observatory_has_nothing(folder: Path) -> None:
    assert found(folder) == []
    (remark,) = advise(folder)
    assert remark.remark
    assert "no canaries" in remark.what


def test_what_was_chosen_is_a_remark_with_its_price(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a finding: a doctor that never says "nothing wrong" is not read."""
    with Observatory.create(tmp_path / "open") as observatory:
        assert observatory.settings.capture.seal_to == ()
    (remark,) = advise(tmp_path / "open")
    assert remark.remark
    assert "not sealed" in remark.what
    assert found(tmp_path / "open") == []
    monkeypatch.delenv("VANISHED_KEY")
    made = make(tmp_path / "sealed", [], seal=True)
    (remark,) = advise(tmp_path / "sealed")
    assert remark.where == made.key
    assert "VANISHED_KEY" in remark.do
    assert remark.text().startswith("Remark: ")
    (finding,) = found(tmp_path / "sealed")
    assert finding.where == str(made.identity)
    assert not finding.remark


def test_the_identity_must_go_away(folder: Path) -> None:
    with Observatory.open(folder) as observatory:
        (recipient,) = observatory.settings.capture.seal_to
    path = keys.place(keys.SEALING, recipient[4:20])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (finding,) = found(folder)
    assert finding.where == str(path)
    assert "move it to another machine" in finding.do


def test_damage_that_is_cheap_to_see(folder: Path) -> None:
    last = segments(folder / "captures")[-1]
    last.write_bytes(last.read_bytes()[:-2048])
    (finding,) = found(folder)
    assert finding.where == str(last)
    assert "were acknowledged" in finding.what
    last.unlink()
    (finding,) = found(folder)
    assert "is missing" in finding.what
    (folder / "log/checkpoint").unlink()
    (finding,) = found(folder)
    assert "checkpoint" in finding.what


def test_an_older_present_is_noticed(folder: Path) -> None:
    engine = present.connect(folder / present.FILE, write=True)
    with engine.begin() as connection:
        connection.execute(present.captures.delete().where(present.captures.c.leaf >= 4))
    engine.dispose()
    (finding,) = found(folder)
    assert "the log has 6 leaves, the present knows 4" in finding.what


def test_captures_that_nobody_signs_are_told(folder: Path) -> None:
    assert found(folder) == []
    engine = present.connect(folder / present.FILE, write=True)
    with engine.begin() as connection:
        last = connection.execute(sa.select(present.captures).limit(1)).mappings().one()
        fresh = {**last, "leaf": 6, "at": NOW - HOUR // 2, "segment": "", "length": 0}
        connection.execute(present.captures.insert(), fresh)
    engine.dispose()
    assert found(folder) == []  # half an hour may be a pause
    (finding,) = found(folder, NOW + HOUR)
    assert "1 captures since" in finding.what
    assert "not signed" in finding.what


def attempts(folder: Path, states: Sequence[tuple[Micros, Progress, int]]) -> None:
    """Checkpoints that authority alpha was asked to stamp: when, how it went, how often."""
    note = (folder / "log/checkpoint").read_bytes()
    for size, (when, progress, tries) in enumerate(states, 1):
        attempt = Attempt(Kind.RFC3161, "alpha", None, progress, tries, when, "no answer")
        begin(folder / "log/stamps", Stamped(size, "00" * 32, when, (attempt,)), note)


def test_a_service_that_fails_for_days_is_told_though_a_new_try_begins_each_hour(
    folder: Path,
) -> None:
    add(folder, '[stamps.authorities]\nalpha = { url = "http://127.0.0.1:9", root = "a.pem" }')
    failed = [(NOW - n * HOUR, Progress.GIVEN_UP, 2) for n in range(30, 0, -1)]
    attempts(folder, failed)
    (finding,) = found(folder)
    assert finding.what == "alpha has given no stamp for more than a day: no answer"
    attempts(folder, [*failed, (NOW, Progress.WANTED, 0)])
    assert len(found(folder)) == 1


def test_a_service_that_failed_once_is_not_worth_a_word(folder: Path) -> None:
    add(folder, '[stamps.authorities]\nalpha = { url = "http://127.0.0.1:9", root = "a.pem" }')
    ended = [(NOW - 40 * HOUR, Progress.GIVEN_UP, 5), (NOW - 3 * HOUR, Progress.KEPT, 1)]
    attempts(folder, [*ended, (NOW - HOUR, Progress.WANTED, 3)])
    assert found(folder) == []


def test_a_service_that_is_asked_no_more_is_forgotten(folder: Path) -> None:
    attempts(folder, [(NOW - 3 * DAY, Progress.WANTED, 5)])
    assert found(folder) == []


def cosigned(folder: Path, name: str, key: SignerKey, at: Micros) -> None:
    note = Log.open(folder / "log").note
    keep_cosigned(folder / "log", name, note.with_signatures([key.sign(note.text, at // SECOND)]))


def test_a_witness_that_has_gone_silent_is_told(folder: Path) -> None:
    lines = [
        f'{name} = {{ url = "http://{name}.example", key = "{key.verifier}" }}'
        for name, key in (("alpha", ALPHA), ("beta", BETA))
    ]
    add(folder, "[log.witnesses]\n" + "\n".join(lines))
    aged(folder, HOUR)
    assert found(folder) == []
    aged(folder, 2 * DAY)
    assert {each.where for each in found(folder)} == {"http://alpha.example", "http://beta.example"}
    assert all("nothing for more than a day" in each.what for each in found(folder))
    cosigned(folder, "alpha", ALPHA, NOW)
    cosigned(folder, "beta", BETA, NOW - HOUR)
    assert found(folder) == []
    cosigned(folder, "beta", BETA, NOW - 2 * DAY)
    (finding,) = found(folder)
    assert "the witness 'beta' has cosigned nothing for more than a day" in finding.what
