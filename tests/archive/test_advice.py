"""proxy = "best" must be a go-around that works, or an error: never a direct connection."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vanished.archive.advice import FILE, Advised, best_proxy, keep, kept, ranked
from vanished.archive.settings import parse
from vanished.errors import ConfigError, UsageError
from vanished.watch.routes import proxies_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FAST = Advised(
    "fast", "ssh", "a" * 16, "2026-11-29T11:00:00+00:00", True, "ok", bytes_s=9e5,
    proxy="socks5h://127.0.0.1:1081",
)  # fmt: skip
SLOW = replace(FAST, name="slow", hash="b" * 16, bytes_s=1e4, proxy="socks5h://127.0.0.1:1082")
DEAD = replace(
    FAST, name="dead", hash="c" * 16, works=False, state="blocked", bytes_s=None, proxy=""
)


def test_the_fastest_that_works_and_can_be_used_comes_first(tmp_path: Path) -> None:
    unused = replace(FAST, name="unused", bytes_s=9e9, proxy="")
    keep(tmp_path, [DEAD, SLOW, unused, FAST])
    assert [one.name for one in kept(tmp_path / FILE)] == ["fast", "slow", "unused", "dead"]
    assert ranked([DEAD, FAST])[0] is FAST
    assert best_proxy(tmp_path, NOW) == FAST.proxy
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("entries", "at", "said"),
    [
        ([DEAD], NOW, "none of the 1 go-arounds worked"),
        ([replace(FAST, proxy="")], NOW, "client does not run"),
        ([FAST], NOW + timedelta(days=3), "hours old"),
        ([FAST], NOW - timedelta(days=1), "hours old"),
    ],
)
def test_without_one_that_works_now_there_is_an_error(
    tmp_path: Path, entries: list[Advised], at: datetime, said: str
) -> None:
    keep(tmp_path, entries)
    with pytest.raises(ConfigError, match=said):
        best_proxy(tmp_path, at)


def test_without_an_advice_or_with_a_broken_one_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has none; run vanished reach advise"):
        best_proxy(tmp_path, NOW)
    for text in ("{", "[]", '{"version": 2}', '{"version": 1, "go_arounds": [{"name": 3}]}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(UsageError, match="no advice that can be read"):
            best_proxy(tmp_path, NOW)


def test_a_password_comes_from_the_environment_and_is_never_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = replace(FAST, proxy="http://192.0.2.7:3128", user="me", password_env="SOME_WORD")
    keep(tmp_path, [locked])
    with pytest.raises(ConfigError, match="SOME_WORD"):
        best_proxy(tmp_path, NOW)
    monkeypatch.setenv("SOME_WORD", "p@ss/word")
    assert best_proxy(tmp_path, NOW) == "http://me:p%40ss%2Fword@192.0.2.7:3128"
    assert "p@ss" not in (tmp_path / FILE).read_text()


def test_sources_and_routes_take_the_best_or_stop(tmp_path: Path) -> None:
    text = (
        '[observatory]\nid = "a1b2c3d4e5f60718"\n[net.proxies]\naround = "best"\n'
        '[sources.telegram]\nproxy = "best"\n'
    )
    settings = parse(text, tmp_path / "observatory.toml")
    with pytest.raises(ConfigError, match="needs an advice"):
        proxies_of(settings)
    stamp = datetime.now(UTC).isoformat()
    keep(tmp_path, [replace(SLOW, tested_at=stamp), replace(FAST, tested_at=stamp)])
    assert proxies_of(settings) == {"around": FAST.proxy, "telegram": FAST.proxy}
    old = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    keep(tmp_path, [replace(FAST, tested_at=old)])
    short = parse(f"{text}[net]\nbest_age_s = 60\n", tmp_path / "observatory.toml")
    with pytest.raises(ConfigError, match="best_age_s"):
        proxies_of(short)


def test_an_unknown_field_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, [FAST])
    held = json.loads((tmp_path / FILE).read_text())
    held["go_arounds"][0]["later"] = 1
    (tmp_path / FILE).write_text(json.dumps(held))
    assert kept(tmp_path / FILE) == [FAST]
