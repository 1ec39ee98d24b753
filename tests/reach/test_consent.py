"""A volunteer who did not agree, or not to this, must not be measured from."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from vanished.errors import UsageError
from vanished.reach import consent
from vanished.reach.risk import Risk, parse_risk, risk_of

DAY = date(2026, 11, 29)


def test_nothing_goes_without_an_answer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nobody has agreed"):
        consent.required(tmp_path, [Risk.APPS])
    consent.keep(tmp_path, consent.REFUSED, "IR", Risk.NEWS, DAY)
    with pytest.raises(UsageError, match="refused on 2026-11-29"):
        consent.required(tmp_path, [Risk.APPS])


def test_an_answer_covers_its_class_and_those_below(tmp_path: Path) -> None:
    consent.keep(tmp_path, consent.GIVEN, "IR", Risk.NEWS, DAY)
    assert consent.required(tmp_path, [Risk.APPS, Risk.NEWS]).country == "IR"
    assert consent.required(tmp_path, []).answer == consent.GIVEN
    with pytest.raises(UsageError, match="up to 'news'"):
        consent.required(tmp_path, [Risk.APPS, Risk.SENSITIVE])


def test_what_was_withdrawn_holds_no_longer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no consent"):
        consent.withdraw(tmp_path, DAY)
    consent.keep(tmp_path, consent.GIVEN, "IR", Risk.NEWS, DAY)
    consent.withdraw(tmp_path, DAY)
    with pytest.raises(UsageError, match="withdrawn"):
        consent.required(tmp_path, [Risk.APPS])
    with pytest.raises(UsageError, match="no consent"):
        consent.withdraw(tmp_path, DAY)


@pytest.mark.parametrize("change", [{"version": "reach-consent/0"}, {"text_sha256": "0" * 64}])
def test_another_text_asks_again(tmp_path: Path, change: dict[str, str]) -> None:
    consent.keep(tmp_path, consent.GIVEN, "IR", Risk.NEWS, DAY)
    file = tmp_path / consent.FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UsageError, match="has changed since"):
        consent.required(tmp_path, [Risk.APPS])


def test_a_changed_text_changes_what_was_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    before = consent.digest()
    monkeypatch.setattr(consent, "_TEXT", consent._TEXT + "And more.\n")
    assert consent.digest() != before


def test_a_damaged_answer_is_no_answer(tmp_path: Path) -> None:
    for damage in ("{", "[]", '{"answer": "given"}', "\xff"):
        (tmp_path / consent.FILE).write_text(damage, encoding="latin-1")
        with pytest.raises(UsageError, match="no consent that can be read"):
            consent.required(tmp_path, [Risk.APPS])


def test_what_is_kept_names_nobody(tmp_path: Path) -> None:
    consent.keep(tmp_path, consent.GIVEN, "IR", Risk.NEWS, DAY)
    held = json.loads((tmp_path / consent.FILE).read_text())
    assert set(held) == {"answer", "day", "country", "risk", "version", "text_sha256"}
    assert (tmp_path / consent.FILE).stat().st_mode & 0o077 == 0


def test_the_text_names_country_classes_and_who_sees_it() -> None:
    text = consent.text("IR", Risk.NEWS)
    assert "from a network in IR" in text
    assert "yes  apps" in text
    assert "yes  news" in text
    assert " no  sensitive" in text
    for who in ("provider", "control", "Resolvers", "collector"):
        assert who in text


def test_an_unknown_kind_of_target_is_the_riskiest() -> None:
    assert risk_of("") is Risk.SENSITIVE
    assert risk_of("LGBT") is Risk.SENSITIVE
    assert risk_of(" news ") is Risk.NEWS
    assert risk_of("SRCH") is Risk.APPS
    with pytest.raises(UsageError, match="no class of risk"):
        parse_risk("none")
    for wrong in ("Iran", "", "I1"):
        with pytest.raises(UsageError, match="country code"):
            consent.parse_country(wrong)
