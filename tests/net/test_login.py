"""Logins: where a secret may lie, and what follows when a platform refuses it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from vanished.errors import ConfigError
from vanished.model import HOUR, SECOND
from vanished.net import login
from vanished.net.login import Login, secret, variable_of

NAME = "VANISHED_TEST_LOGIN"


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in place of the system's."""
    held: dict[tuple[str, str], str] = {}
    fake = SimpleNamespace(get_password=lambda service, user: held.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", fake)
    for name in (NAME, f"{NAME}_2"):
        monkeypatch.delenv(name, raising=False)
    return held


def test_the_environment_goes_before_the_keyring(
    monkeypatch: pytest.MonkeyPatch, ring: dict[tuple[str, str], str]
) -> None:
    assert secret(NAME) == ""
    ring[login.SERVICE, NAME] = "from the ring\n"
    assert secret(NAME) == "from the ring"
    monkeypatch.setenv(NAME, "from outside")
    assert secret(NAME) == "from outside"


def test_a_broken_keyring_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(service: str, user: str) -> str:
        raise RuntimeError("the keyring is locked")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=locked))
    monkeypatch.delenv(NAME, raising=False)
    assert secret(NAME) == ""
    monkeypatch.setitem(sys.modules, "keyring", None)  # not installed
    assert secret(NAME) == ""


def test_a_refused_login_is_paused_and_tried_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one")
    pool = Login(NAME)
    pool.refused("one", SECOND, "M_UNKNOWN_TOKEN")
    assert pool.paused
    assert pool.words == "M_UNKNOWN_TOKEN"
    assert pool.ready_at(2 * SECOND) == SECOND + HOUR
    now = SECOND + HOUR
    assert pool.ready_at(now) == now
    pool.probing(now)
    assert pool.ready_at(now + 1) == now + HOUR
    pool.worked()
    assert pool.ready_at(now + 1) == now + 1


def test_a_new_secret_ends_the_pause_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one")
    pool = Login(NAME)
    pool.refused("one", 0, "expired")
    monkeypatch.setenv(NAME, "two")
    assert not pool.paused
    assert pool.secret == "two"
    pool.refused("one", 0, "a look that was under way with the old one")
    assert not pool.paused


def test_one_account_a_platform_unless_more_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one")
    monkeypatch.setenv(f"{NAME}_2", "two")
    assert len(Login(NAME).sessions) == 1
    pool = Login(NAME, 2)
    assert pool.secret == "one"
    pool.refused("one", 0, "expired")
    assert pool.secret == "two"  # one after the other, never both
    assert pool.variable == f"{NAME}_2"
    pool.refused("one", 0, "a late answer")
    assert not pool.paused
    pool.refused("two", 0, "expired")
    assert pool.paused


def test_one_login_wall_may_be_chance_three_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "one")
    pool = Login(NAME)
    for _ in range(2):
        pool.walled(0, "log in")
    pool.worked()
    for _ in range(2):
        pool.walled(0, "log in")
    assert not pool.paused
    pool.walled(0, "log in")
    assert pool.paused


def test_no_secret_shows_in_any_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "a-very-secret-thing")
    pool = Login(NAME)
    pool.refused("a-very-secret-thing", 0, "expired")
    assert "secret-thing" not in repr([pool, *pool.sessions, vars(pool)])


def test_a_secret_in_place_of_a_variables_name_is_refused() -> None:
    assert variable_of("matrix", "MY_TOKEN", "token_env", "TOKEN") == "MY_TOKEN"
    with pytest.raises(ConfigError, match="the token itself belongs in that variable") as caught:
        variable_of("matrix", "syt-secret", "token_env", "TOKEN")
    assert "syt-secret" not in str(caught.value)
