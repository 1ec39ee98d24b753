"""observatory.toml: a mistake is named with its line, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from vanished.archive.settings import Settings, parse
from vanished.archive.settings_template import template
from vanished.errors import ConfigError

FILE = Path("observatory.toml")
HEAD = '[observatory]\nid = "abcdef0123456789"\n'


def test_the_template_states_the_defaults() -> None:
    """The comments promise that a key left out has the value shown."""
    assert parse(template("abcdef0123456789"), FILE) == Settings("abcdef0123456789")
    assert parse(HEAD, FILE) == Settings("abcdef0123456789")


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("[watch]\nconcurency = 3\n", 4, "did you mean 'concurrency'"),
        ("[watch]\nconcurrency = 0\n", 4, "at least 1"),
        ("[watch]\nlook_every_s = [[3600, 300], [60, 5]]\n", 4, "rising ages"),
        ('[watch]\nterms = ["a", " "]\n', 4, "none blank"),
        ("[watch]\nterms = [1]\n", 4, "a list of words"),
        ("[hosts]\nper_second = -1\n", 4, "per_second is -1"),
        ('[hosts.per_host]\n"a.example" = "fast"\n', 4, "a.example is 'fast'"),
        ('[net]\nallow_networks = ["loopback"]\n', 4, "127.0.0.0/8"),
        ("[sources]\nfeed = 1\n", 4, "write [feed]"),
        ("[sources.weibo]\nproxy = 5\n", 4, "proxy is 5; it must be a text"),
        ("[journal]\nflush_rows = true\n", 4, "flush_rows is True"),
        ("[hosts\n", 3, "not valid TOML"),
        ('[log.witnesses]\n"../x" = { url = "http://w", key = "k" }\n', 4, "lower-case letters"),
        ("[publish]\nk = 3\n", 4, "at least 5"),
        ("[publish]\nk = 5.5\n", 4, "a whole number"),
        ("[publish]\nround_s = 1\n", 4, "at least 60"),
        ('[publish]\nlink_accounts = "no"\n', 4, "true or false"),
        ("[publish]\nwords = 1\n", 4, "[[publish.words]]"),
        ('[[publish.words]]\nground = "mine"\n', 4, "public-figure"),
        ('[[publish.words]]\nground = "outlet"\n', 3, "in which role"),
        ('[[publish.words]]\nground = "outlet"\ndecided_by = "d"\n', 4, "cover everybody"),
        (
            '[[publish.words]]\nplatforms = ["x"]\nground = "outlet"\ndecided_by = "d"\n'
            'decided_at = "soon"\n',
            7,
            "a date such as",
        ),
        (
            '[[publish.words]]\nground = "outlet"\ndecided_by = "d"\naccounts = ["@me"]\n',
            6,
            "no key",
        ),
        ("[watching]\n", 3, "did you mean 'watch'"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(HEAD + text, FILE)
    assert str(caught.value).startswith(f"observatory.toml:{line}: ")
    assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_folder_without_identity_is_refused() -> None:
    """Without it the pseudonyms' key cannot be found, and every author would get a new name."""
    with pytest.raises(ConfigError, match="id is missing"):
        parse("[observatory]\n", FILE)


def test_values_are_read() -> None:
    settings = parse(
        HEAD
        + "[watch]\nlook_every_s = [[60, 5]]\n[net]\nmax_redirects = 0\n"
        + 'allow_networks = ["127.0.0.0/8"]\n[judge]\nstale_s = 0\n'
        + '[hosts.per_host]\n"a.example" = 0.5\n[sources.feed]\nproxy_env = "P"\n',
        FILE,
    )
    assert settings.watch.look_every_s == ((60.0, 5.0),)
    assert settings.net.max_redirects == 0
    assert settings.judge.stale_s == 0
    assert settings.net.allow_networks == ("127.0.0.0/8",)
    assert settings.hosts.per_host == {"a.example": 0.5}
    assert settings.sources["feed"] == {"proxy_env": "P"}


def test_a_rule_for_words_is_read() -> None:
    rule = (
        '[[publish.words]]\nplatforms = ["weibo"]\naccounts = ["c2f4m7q3x6w5b7na"]\n'
        'ground = "consent"\ndecided_by = "the editors"\ndecided_at = 2026-11-01\nalive = true\n'
    )
    (found,) = parse(HEAD + rule, FILE).publish.words
    assert (found.ground, found.decided_at, found.alive) == ("consent", "2026-11-01", True)
    assert found.covers("weibo", "c2f4m7q3x6w5b7na")
    assert not found.covers("weibo", "another")
    assert not found.covers("wechat", "c2f4m7q3x6w5b7na")
