"""Routes, canaries and logins in observatory.toml: what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from vanished.archive.settings import Settings, parse
from vanished.archive.settings_asking import Addresses, Asking
from vanished.archive.settings_template import template
from vanished.errors import ConfigError
from vanished.watch.routes import proxies_of

HEAD = '[observatory]\nid = "abcdefgh"\n'


def read(text: str) -> Settings:
    return parse(HEAD + text, Path("observatory.toml"))


def test_the_template_says_what_holds_without_it() -> None:
    assert parse(template("abcdefgh"), Path("x")).canaries == read("").canaries
    assert parse(template("abcdefgh"), Path("x")).judge == read("").judge
    uncommented = template("abcdefgh").replace("# [net.proxies]", "[net.proxies]")
    uncommented = uncommented.replace("# tor =", "tor =")
    assert parse(uncommented, Path("x")).net.proxies.names == ["tor"]


def test_what_is_set_is_read() -> None:
    settings = read(
        '[net.proxies]\ntor = "socks5h://127.0.0.1:9050"\npaid_env = "PAID"\n'
        "[judge]\nfresh_s = 600\nalone_s = 0\n[canaries]\nevery_s = 300\n"
        '[sources.page]\nroutes = ["direct", "tor", "paid"]\nlogins = 2\n'
        'canaries = { alive = ["https://a.example/1"], gone = ["https://a.example/2"] }\n'
    )
    addresses = Addresses(("https://a.example/1",), ("https://a.example/2",))
    assert settings.asked("page") == Asking(("direct", "tor", "paid"), addresses, 2)
    assert settings.asked("feed") == Asking()
    assert (settings.judge.fresh_s, settings.judge.alone_s) == (600, 0)
    assert settings.canaries.every_s == 300
    assert "9050" not in repr(settings.net.proxies)


def test_a_proxy_with_a_password_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read('[net.proxies]\ntor = "socks5h://127.0.0.1:9050"\npaid_env = "PAID"\n')
    monkeypatch.delenv("PAID", raising=False)
    with pytest.raises(ConfigError, match="paid_env names PAID, which is not set"):
        proxies_of(settings)
    monkeypatch.setenv("PAID", "http://me:secret@proxy.example:1")
    assert proxies_of(settings) == {
        "tor": "socks5h://127.0.0.1:9050",
        "paid": "http://me:secret@proxy.example:1",
    }


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[net.proxies]\ndirect = "http://a:1"\n', 4, "cannot be the name of a proxy"),
        ('[net.proxies]\ntor = "http://me:secret@a:1"\n', 4, "write tor_env instead"),
        ('[net.proxies]\ntor = 3\n', 4, "must be a text"),
        ('[net.proxies]\ntor = "http://a:1"\ntor_env = "T"\n', 5, "named twice"),
        ('[net.proxies]\npage = "http://a:1"\n[sources.page]\n', 4, "'page' is a source"),
        ('[sources.page]\nroutes = ["direct", "tro"]\n', 4, "there is no route 'tro'"),
        ('[sources.page]\nroutes = ["direct", "direct"]\n', 4, "twice"),
        ('[sources.page]\nproxy = "http://a:1"\nroutes = ["direct"]\n', 5, "into [net.proxies]"),
        ('[sources.page]\nlogins = 0\n', 4, "at least 1"),
        ('[sources.page]\ncanaries = { live = ["a"] }\n', 4, "did you mean 'alive'"),
        ('[sources.page]\ncanaries = { gone = ["a"] }\n', 4, "at least one address in alive"),
        ('[sources.page]\ncanaries = { alive = ["a"], gone = ["a"] }\n', 4, "both alive and gone"),
        ('[sources.page]\ncanaries = ["a"]\n', 4, "canaries"),
        ("[canaries]\nevery_s = 3600\n", 4, "vouch for 1800 s only"),
        ("[canaries]\nevry_s = 60\n", 4, "did you mean 'every_s'"),
        ("[judge]\nfresh_s = -1\n", 4, "at least 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert words in str(caught.value)
    assert f"observatory.toml:{line}:" in str(caught.value)
    assert "secret" not in str(caught.value)
