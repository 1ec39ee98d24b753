"""The registry: a new platform is one file, a wrong setting is named with its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vanished.sources
from tests.sources.pages import name
from vanished.archive.settings import COMMON_SOURCE_KEYS, FILE, Settings, parse
from vanished.archive.settings_template import template
from vanished.errors import ConfigError, UnknownPlatformError, UsageError
from vanished.sources.registry import (
    about,
    account,
    canary,
    check,
    keys,
    platforms,
    source,
    sources,
    tables,
)

HEAD = '[observatory]\nid = "abcdef0123456789"\n'
PLATFORMS = {
    "feed", "mastodon", "matrix", "page", "reddit", "telegram", "wechat", "weibo", "x", "youtube",
}  # fmt: skip

NEW = '''"""A platform that was made up for this test.

In and out do not matter.
"""
from vanished.archive.settings_asking import Key
from vanished.model import Account

KEYS = {
    "port": Key(80, "where"), "share": Key(0.5, "how much"), "rooms": Key(["a"], "which"),
    "more": Key({"a": ["b"]}, "more"), "open": Key(True, "whether"),
}

CANARY = "any post; gone: another"

class Helper:
    platform = "another"

class NewSource:
    platform = "newtown"
    batch = 1

    def __init__(self, name, settings):
        self.name, self.settings = name, settings

    def account(self, address):
        return Account(self.name("newtown", address), "newtown", address)
'''


def settings(text: str) -> Settings:
    return parse(HEAD + text, Path(FILE))


def test_every_platform_is_found_by_its_name() -> None:
    assert set(platforms()) >= PLATFORMS
    bare = settings("")
    for platform in platforms():
        assert about(platform).endswith(".")
        assert {"proxy", "proxy_env"} <= set(keys(platform))
    for platform in PLATFORMS:  # others may need a library that the core install has no room for
        made = source(platform, name, bare)
        assert (made.platform, made.batch >= 1) == (platform, True)


POSTS = {
    "telegram": ("https://t.me/s/NewsChannel/7?x=1", "newschannel/7", "https://t.me/newschannel/7"),
    "mastodon": ("https://m.example/@News/1122", "m.example/1122", "https://m.example/@news/1122"),
    "weibo": ("https://m.weibo.cn/status/5200000000000007", "5200000000000007",
              "https://m.weibo.cn/detail/5200000000000007"),
    "wechat": ("https://mp.weixin.qq.com/s/AbCdEfGhIjKl?scene=1", "s/AbCdEfGhIjKl",
               "https://mp.weixin.qq.com/s/AbCdEfGhIjKl"),
    "reddit": ("https://old.reddit.com/r/gauges/comments/ABC123/x/", "t3_abc123",
               "https://www.reddit.com/comments/abc123.json?raw_json=1"),
    "youtube": ("https://youtu.be/abcdefghijk", "abcdefghijk",
                "https://www.youtube.com/watch?v=abcdefghijk&hl=en"),
}  # fmt: skip


@pytest.mark.parametrize("platform", POSTS)
def test_a_single_post_has_the_name_that_a_list_gives_it(platform: str) -> None:
    """Posts whose fate is known are named by a person; another name would be another post."""
    made: Any = source(platform, name, settings(""))
    address, native_id, url = POSTS[platform]
    post = made.post(address)
    assert (post.key, post.native_id, post.url) == (f"{platform}|{native_id}", native_id, url)
    for wrong in ("", "https://example.org/", "https://t.me/newschannel", "https://m.weibo.cn/u/7"):
        with pytest.raises(UsageError):
            made.post(wrong)


LONE = {
    **{platform: address for platform, (address, _, _) in POSTS.items()},
    "page": "https://example.org/statement", "feed": "https://example.org/item",
    "matrix": "!room:example.org/$event", "xmpp": "news@rooms.example.org/5f3dbc5e",
    "reddit": "https://www.reddit.com/r/gauges/comments/abc1234/x/",
    "x": "https://x.com/gauge/status/1900000000000000007",
    "bluesky": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3kaaaaaaaaa2b",
}  # fmt: skip
OWN_ACCOUNT = ("page", "wechat", "reddit", "x", "youtube")  # a single post can be watched there
WHOLE = ("feed", "telegram")  # the address may as well be the account's: that is watched
ACCOUNTS = """[sources.matrix]
server = "https://matrix.example.org"
[sources.xmpp]
server = "https://xmpp.example.org/http-bind"
account = "reader@example.org"
"""


@pytest.mark.parametrize("platform", LONE)
def test_a_single_post_is_watched_or_refused_in_one_sentence(platform: str) -> None:
    """Else a person who adds a post watches nothing, or a room that does not exist."""
    if platform == "bluesky":
        pytest.importorskip("libipld")
    asked = source(platform, name, settings(ACCOUNTS))
    post = asked.post(LONE[platform])
    assert (post.platform, post.url.startswith("http")) == (platform, True)
    if platform in OWN_ACCOUNT:
        assert account(asked, LONE[platform]).url == post.url
    elif platform in WHOLE:
        assert account(asked, LONE[platform]).platform == platform
    else:
        with pytest.raises(UsageError, match=f"is a single post, and {platform} is") as caught:
            account(asked, LONE[platform])
        assert "add the account that it stands in" in str(caught.value)
    with pytest.raises(UsageError) as refused:
        account(asked, "\\nothing at all")
    assert "single post" not in str(refused.value)


def test_every_platform_says_which_of_its_posts_can_be_canaries() -> None:
    """A platform that nobody can guard publishes its false answers."""
    page = (Path(__file__).parents[2] / "docs/canaries.md").read_text(encoding="utf-8")
    for platform in platforms():
        assert f"| `{platform}` | {canary(platform)} |\n" in page
        assert "; gone: " in canary(platform)


def test_a_new_platform_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newcomer is promised: nothing but the new file has to change."""
    (tmp_path / "newtown.py").write_text(NEW, encoding="utf-8")
    monkeypatch.setattr(vanished.sources, "__path__", [*vanished.sources.__path__, str(tmp_path)])
    try:
        assert "newtown" in platforms()
        assert about("newtown") == "A platform that was made up for this test."
        given = settings("[sources.newtown]\nport = 8\nshare = 1\nrooms = []\nproxy_env = 'P'\n")
        made = sources(["newtown", "page"], name, given)
        assert list(made) == ["newtown", "page"]
        assert made["newtown"].account("a").key == "newtown|a"
        assert vars(made["newtown"])["settings"] == given.sources["newtown"]
        for line, part in {
            "ports = 8": "did you mean 'port'",
            "port = true": "port is True; it must be a whole number",
            "share = 'half'": "it must be a number",
            "more = []": "it must be a table",
            "open = 1": "it must be true or false",
        }.items():
            with pytest.raises(ConfigError, match=part) as caught:
                source("newtown", name, settings(f"[sources.newtown]\n{line}\n"))
            assert str(caught.value).startswith("observatory.toml:4: ")
    finally:
        sys.modules.pop("vanished.sources.newtown", None)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("[sources.myspace]\n", 3, "[sources] has no key 'myspace'; known keys: "),
        ("[sources.matirx]\n", 3, "did you mean 'matrix'"),
        ("[sources.registry]\n", 3, "has no key 'registry'"),
        ("[sources.matrix]\njoin = 1\n", 4, "join is 1; it must be true or false"),
        ("[sources.matrix]\ntoken = 'x'\n", 4, "did you mean 'token_env'"),
        ("[sources.page]\nnotices = 'web'\n", 4, "it must be a list"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(text: str, line: int, part: str) -> None:
    """Though nothing on that platform is watched yet: a misspelt budget is a broken promise."""
    given = settings(text)
    with pytest.raises(ConfigError) as caught:
        sources(["page"], name, given)
    assert str(caught.value).startswith(f"observatory.toml:{line}: ")
    assert part in str(caught.value)
    with pytest.raises(ConfigError):
        check(given)


def test_the_template_names_every_setting_of_every_source_and_works() -> None:
    """What `vanished init` writes is where a person looks for what can be set."""
    written = template("abcdef0123456789", (), tables())
    assert parse(written, Path(FILE)) == Settings("abcdef0123456789")
    begin = written.index("## Sources")
    uncommented = re.sub(r"(?m)^# ", "", written[begin:])
    given = parse(written[:begin] + uncommented, Path(FILE))
    check(given)
    own = {platform: set(given.sources.get(platform, {})) for platform in platforms()}
    common = set(COMMON_SOURCE_KEYS)
    assert own == {platform: set(keys(platform)) - common for platform in platforms()}
    for platform in PLATFORMS:
        assert source(platform, name, given).platform == platform
    for line in uncommented.splitlines():
        if " = " in line:
            assert re.fullmatch(r"(##   )?\w+ = .+?  # .{5,}", line), line
    for key in COMMON_SOURCE_KEYS:
        assert f"##   {key} = " in written
        line = next(line for line in written.splitlines() if line.startswith(f"##   {key} = "))
        parse(f"{HEAD}[net.proxies]\ntor = 'x'\n[sources.feed]\n{line[5:]}\n", Path(FILE))


def test_a_value_that_the_template_shows_is_the_default() -> None:
    """Taking the # away must not change what is asked, where there is something to ask anyway."""
    given = settings(re.sub(r"(?m)^# ", "", tables()))
    for platform in ("telegram", "reddit", "x", "youtube", "wechat"):
        shown, bare = (vars(source(platform, name, s)) for s in (given, settings("")))
        assert shown["_server"] == bare["_server"]
    shown, bare = (vars(source("weibo", name, s)) for s in (given, settings("")))
    assert (shown["_servers"], shown["_visitor"]) == (bare["_servers"], bare["_visitor"])


def test_the_docs_name_every_setting_as_the_template_does() -> None:
    """Documentation that was written once names keys that are gone."""
    page = (Path(__file__).parents[2] / "docs/sources.md").read_text(encoding="utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    assert shown == tables(), "write registry.tables() between the ```toml marks"


@pytest.mark.parametrize("word", ["myspace", "registry", "html", "imports", "__init__", "", "../x"])
def test_what_is_no_platform_is_refused_with_a_list(word: str) -> None:
    with pytest.raises(UnknownPlatformError, match=r"there are: .*feed.*matrix.*weibo"):
        source(word, name, settings(""))
    assert sources([word], name, settings("")) == {}


def test_the_table_of_a_platform_of_ones_own_is_left_alone() -> None:
    """The lab's, say: its accounts are watched by whoever brings the source along."""
    check(settings("[sources.lab]\nurl = 'http://127.0.0.1:1'\n"), beside=["lab"])


def test_only_what_is_asked_for_is_loaded() -> None:
    """`vanished --help` must not pay for a parser of every platform."""
    code = (
        "import sys, vanished.cli\n"
        "from pathlib import Path\n"
        "from vanished.archive.settings import Settings\n"
        "from vanished.sources.registry import source\n"
        "before = {m for m in sys.modules if m.startswith('vanished.sources.')}\n"
        "assert before == {'vanished.sources.registry'}, before\n"
        "source('telegram', lambda platform, ident: ident, Settings('a'))\n"
        "others = {'page', 'matrix', 'feed', 'weibo', 'wechat'} - {'page'}\n"
        "assert not {f'vanished.sources.{name}' for name in others} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
