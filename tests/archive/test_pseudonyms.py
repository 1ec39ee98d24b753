"""If these fail, a copied folder names its authors, or a wrong key splits every subject in two."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import pickle
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.archive import pseudonyms
from vanished.archive.pseudonyms import (
    Secret,
    check_secret,
    fingerprint,
    for_release,
    key_path,
    load_secret,
    pseudonym,
)
from vanished.errors import ObservatoryError

VALUE = bytes(range(32))
HEX = VALUE.hex()
BASE64 = base64.b64encode(bytes(range(200, 232))).decode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the keys of whoever runs it."""
    monkeypatch.delenv(pseudonyms.VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_the_key_is_what_is_documented() -> None:
    """Another team must be able to compute the same keys from the same secret."""
    digest = hmac.new(VALUE, "wechat\0gh_例".encode(), hashlib.sha256).digest()
    expected = base64.b32encode(digest).decode().lower()[:16]
    assert pseudonym(VALUE, "wechat", "gh_例") == expected
    assert Secret(VALUE, "here")("wechat", "gh_例") == expected
    assert pseudonym(VALUE, "page", "https://example.org/") == "rhf4m6opd6qatsaj"


@given(platform=st.text(), native=st.text(st.characters(), max_size=50))
def test_every_id_has_a_key_of_the_same_form(platform: str, native: str) -> None:
    assert re.fullmatch("[a-z2-7]{16}", pseudonym(VALUE, platform, native))


def test_keys_differ_by_secret_platform_and_id() -> None:
    keys = {
        pseudonym(secret, platform, native)
        for secret in (VALUE, bytes(32))
        for platform in ("page", "feed", "")
        for native in ("a", "b", "page", "")
    }
    assert len(keys) == 24


def test_a_new_secret_is_kept_apart_and_closed_to_others(home: Path) -> None:
    secret = load_secret("obs-1", create=True)
    path = home / "config/vanished/keys/obs-1.key"
    assert secret.origin == str(path)
    assert len(secret.value) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["obs-1.key"], "no temporary file is left"
    again = load_secret("obs-1", create=True)
    assert again == secret == load_secret("obs-1", create=False), "it is never made anew"
    assert load_secret("obs-2", create=True).value != secret.value


def test_two_that_create_at_once_get_the_same_secret() -> None:
    """Two secrets in use would give one author two keys."""
    ready = threading.Barrier(8)
    found: list[bytes] = []

    def create() -> None:
        ready.wait(10)
        found.append(load_secret("obs", create=True).value)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("given_value", "value"),
    [
        (HEX, VALUE),
        (HEX.upper(), VALUE),
        (f"  {BASE64}\n", bytes(range(200, 232))),
        (BASE64.rstrip("="), bytes(range(200, 232))),
        (base64.urlsafe_b64encode(b"\xff" * 33).decode(), b"\xff" * 33),
    ],
)
def test_the_variable_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, home: Path, given_value: str, value: bytes
) -> None:
    load_secret("obs", create=True)
    monkeypatch.setenv(pseudonyms.VARIABLE, given_value)
    secret = load_secret("obs", create=False)
    assert (secret.value, secret.origin) == (value, "$VANISHED_KEY")


@pytest.mark.parametrize("bad", ["short", HEX[:-2], "é" * 64, BASE64[:40], "=" * 44, "a b" * 30])
def test_a_key_that_is_no_key_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv(pseudonyms.VARIABLE, bad)
    with pytest.raises(ObservatoryError, match="environment variable VANISHED_KEY") as caught:
        load_secret("obs", create=True)
    assert bad not in str(caught.value)


def test_a_missing_key_says_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(ObservatoryError) as caught:
        load_secret("obs", create=False)
    assert "VANISHED_KEY" in str(caught.value)
    assert str(home / "config/vanished/keys/obs.key") in str(caught.value)
    assert not (home / "config").exists(), "looking makes nothing"


def test_a_wrong_key_is_noticed() -> None:
    """A restored backup with another key would start every author afresh."""
    right, wrong = Secret(VALUE, "$VANISHED_KEY"), Secret(bytes(32), "/keys/obs.key")
    check_secret(right, fingerprint(right))
    with pytest.raises(ObservatoryError, match=r"from /keys/obs\.key is not this observatory's"):
        check_secret(wrong, fingerprint(right))
    expected = hashlib.sha256(b"vanished key\0" + VALUE).hexdigest()[:16]
    assert fingerprint(right) == expected


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    path = Path(load_secret("obs", create=True).origin)
    path.chmod(0o640)
    with pytest.raises(ObservatoryError, match="chmod 600"):
        load_secret("obs", create=False)


def test_a_damaged_key_file_is_one_sentence() -> None:
    path = Path(load_secret("obs", create=True).origin)
    path.write_bytes(b"\xff\xfe broken")
    with pytest.raises(ObservatoryError, match=re.escape(f"in the file {path} cannot be used")):
        load_secret("obs", create=True)


def test_the_default_place_is_the_users_config(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = home / "home/.config/vanished/keys/obs.key"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert key_path("obs") == expected
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    assert key_path("obs") == expected


@pytest.mark.parametrize("bad", ["", "../other", "a/b", ".hidden", "a" * 101, "a\nb", "é"])
def test_an_id_cannot_lead_to_another_file(bad: str) -> None:
    with pytest.raises(ObservatoryError, match="cannot name a key file"):
        load_secret(bad, create=True)


def test_the_secret_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE, "here")
    logging.getLogger("test").warning("%s %r", secret, secret)
    shown = f"{secret!r} {secret} {secret!s} {caplog.text} {fingerprint(secret)}"
    assert "here" in shown
    for trace in (HEX, HEX[:8], BASE64, repr(VALUE)[2:20], base64.b64encode(VALUE).decode()[:8]):
        assert trace not in shown
    with pytest.raises(TypeError, match="not handed to other processes"):
        pickle.dumps(secret)


def test_two_releases_cannot_be_joined_and_each_can_be_made_again() -> None:
    secret = Secret(VALUE, "here")
    keys = [secret("weibo", str(n)) for n in range(50)]
    spring, autumn = (for_release(secret, name) for name in ("2026-spring", "2026-autumn"))
    first = [spring(key) for key in keys]
    assert first == [for_release(secret, "2026-spring")(key) for key in keys]
    assert len(set(first)) == len(keys)
    assert not set(first) & set(keys)
    assert not set(first) & {autumn(key) for key in keys}
    other = Secret(VALUE[::-1], "there")
    assert not set(first) & {for_release(other, "2026-spring")(key) for key in keys}
