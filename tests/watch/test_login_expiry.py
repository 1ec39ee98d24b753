"""A login that expires, on every platform that takes one: a pause, a word, and nothing lost.

The sources are the real ones, on answers as their platforms give them to whom they no longer know.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import vanished.sources
from tests.sources.loopback import Prepared
from tests.sources.test_matrix import SYNC, Answers, page
from tests.sources.test_matrix import event as matrix_event
from tests.sources.test_matrix import post as matrix_post
from tests.sources.test_weibo import GONE, MID, WALL, cards, lone, mobile, shown
from tests.sources.xmpp_bosh import ROOM, URL, Archive, Service, failure, message
from tests.watch.test_loop import START, Jumping
from vanished.archive.observatory import Observatory
from vanished.errors import ConfigError
from vanished.model import DAY, HOUR, MINUTE, Fault, Kind, Micros
from vanished.net.exchange import Exchange, Fetch
from vanished.net.login import Login
from vanished.net.politeness import Politeness
from vanished.sources.matrix import MatrixSource
from vanished.sources.registry import platforms, source
from vanished.sources.weibo import WeiboSource
from vanished.sources.xmpp import XmppSource
from vanished.watch.loop import Watch
from vanished.watch.progress import Event
from vanished.watch.schedule import AgeBuckets

SECRET = "SUB-of-a-person-who-observes"
EXPIRED = (START + 2 * HOUR, START + 10 * HOUR)


@dataclass
class Case:
    """A platform: what it takes, what is watched there, and its answers before and after."""

    settings: str
    variable: str
    address: str
    native_id: str
    alive: Callable[[], Fetch]
    expired: Callable[[], Fetch]


def matrix(expired: bool) -> Answers:
    if expired:
        return Answers({"": (401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid token"})})
    one = matrix_event("$a", origin_server_ts=START // 1000)
    return Answers({"/sync": SYNC, "/messages": page(one), "/event/": (200, one)})


def xmpp(expired: bool) -> Service:
    archive = Archive()
    archive.put("a", message("a word", "ann"), "2023-11-14T22:13:20Z")
    if expired:
        return Service(archive, login=failure("credentials-expired"))
    return Service(archive)


def weibo(expired: bool) -> Prepared:
    """One site sends us to the login; the other knows no such post, and no such account."""
    post = mobile(created_at="Tue Nov 14 22:13:20 +0000 2023")
    if expired:
        return Prepared({"/ajax/": GONE, "": WALL})
    return Prepared({"container": cards(post), "/statuses/show": shown(post)})


CASES = {
    "matrix": Case(
        'server = "https://matrix.example.org"', "VANISHED_MATRIX_TOKEN", "!room:example.org",
        "!room:example.org/$a", lambda: matrix(False), lambda: matrix(True),
    ),
    "xmpp": Case(
        f'server = "{URL}"\naccount = "reader@example.org"', "VANISHED_XMPP_PASSWORD", ROOM,
        f"{ROOM}/a", lambda: xmpp(False), lambda: xmpp(True),
    ),
    "weibo": Case(
        "visitor = false", "VANISHED_WEIBO_COOKIE", "7000000001",
        MID, lambda: weibo(False), lambda: weibo(True),
    ),
}  # fmt: skip


@dataclass
class Timed:
    """The answers of a platform at the time of a clock that jumps."""

    case: Case
    clock: Jumping
    visits: list[Micros]
    exchanges: list[Exchange] = field(default_factory=list)
    inner: Fetch | None = None

    async def request(self, method: str, url: str, **more: Any) -> Exchange:
        now = self.clock.now()
        if self.inner is None:
            self.visits.append(now)
            gone = EXPIRED[0] <= now < EXPIRED[1]
            self.inner = self.case.expired() if gone else self.case.alive()
        answered = await self.inner.request(method, url, **more)
        return replace(answered, asked_at=now, answered_at=now + 1)


def test_every_source_with_a_secret_takes_it_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second way has no keyring, no pause and no word to the operator."""
    found = {}
    for platform in platforms():
        module = import_module(f"vanished.sources.{platform}")
        found[platform] = [key for key in module.KEYS if key.endswith("_env")]
    assert {platform for platform, keys in found.items() if keys} == set(CASES)
    folder = Path(vanished.sources.__path__[0])
    readers = [file.name for file in folder.rglob("*.py") if "environ" in words_of_code(file)]
    assert readers == []


def words_of_code(file: Path) -> set[str]:
    """The names in a file, without its comments and texts."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return names | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("platform", CASES)
async def test_an_expired_login_pauses_its_platform_and_loses_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    platform: str,
) -> None:
    """With its own answers: a refusal, or walls beside what looks like a loss."""
    case, clock, visits = CASES[platform], Jumping(), list[Micros]()
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv(case.variable, SECRET)
    events: list[Event] = []
    with Observatory.create(tmp_path / "o") as observatory:
        settings = f"\n[sources.{platform}]\n{case.settings}\n"
        file = tmp_path / "o" / "observatory.toml"
        file.write_text(file.read_text() + settings)
    with Observatory.open(tmp_path / "o", write=True) as observatory:
        asked = source(platform, observatory.naming, observatory.settings)
        door: Any = SimpleNamespace(
            fetcher=lambda prepaid=1, proxy=None: Timed(case, clock, visits),
            settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(100.0),
        )  # fmt: skip
        observatory.add_account(asked.account(case.address), START)
        key = observatory.naming(platform, case.native_id)
        for until in (5 * HOUR, 14 * HOUR):
            watch = Watch(
                observatory, {platform: asked}, door, clock, AgeBuckets(((3600, 300),), 600.0),
                discover_every=DAY, tell=events.append,
            )  # fmt: skip
            progress = await watch.run(START + until)
            if until == 5 * HOUR:
                assert progress.troubles == [f"login refused: {platform}"]
        assert progress.troubles == []
        assert progress.losses == 0
        assert observatory.verdict(key) is None  # nothing ever gave it a case
        (post,) = observatory.post_rows_by_key([key]).values()
        assert post.track.last_asked_at > EXPIRED[1]
    told = [event for event in events if event.kind == "login"]
    paused, resumed = told[0], told[-1]  # a watch that is started again tells it again
    assert EXPIRED[0] <= paused.at < EXPIRED[0] + 40 * MINUTE
    assert case.variable in str(paused.facts["words"])
    assert resumed.facts["paused"] is False
    meanwhile = [now for now in visits if paused.at + MINUTE < now < EXPIRED[1]]
    assert 3 <= len(meanwhile) < 20  # one an hour, to see whether it works again
    assert SECRET not in repr([events, asked, vars(asked), progress])
    assert SECRET not in "".join(capsys.readouterr())
    assert not any(
        SECRET.encode() in kept.read_bytes()
        for kept in (tmp_path / "o").rglob("*")
        if kept.is_file()
    )


def name(platform: str, native_id: str) -> str:
    return f"{platform}|{native_id}"


def login_of(asked: object) -> Login | None:
    found = getattr(asked, "login", None)
    assert found is None or isinstance(found, Login)
    return found


async def test_a_visitor_whom_weibo_walls_off_is_no_refused_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a cookie there is nothing that could have expired, and the walls may pass by."""
    monkeypatch.delenv("VANISHED_WEIBO_COOKIE", raising=False)
    asked = WeiboSource(name, {"visitor": False})
    for _ in range(5):
        asked.login.walled(START, "log in")
    assert not asked.login.paused
    (look,) = await asked.look([lone()], weibo(True))
    assert look.observation.signal.kind is Kind.GONE  # one site's word, as ever
    monkeypatch.setenv("VANISHED_WEIBO_COOKIE", SECRET)
    (look,) = await asked.look([lone()], weibo(True))
    assert look.observation.signal.fault is Fault.LOGIN_WALL


async def test_a_guest_of_a_server_has_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = XmppSource(name, {"server": URL, "account": "guests.example.org"})
    assert login_of(asked) is None
    await asked.discover(asked.account(ROOM), "", Service(login=failure("not-authorized")))
    with pytest.raises(ConfigError, match="only one account"):
        XmppSource(name, {"server": URL, "account": "a@example.org", "logins": 2})


async def test_a_server_in_trouble_is_no_refused_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_XMPP_PASSWORD", SECRET)
    asked = XmppSource(name, {"server": URL, "account": "reader@example.org"})
    for reason in ("temporary-auth-failure", "aborted"):
        await asked.discover(asked.account(ROOM), "", Service(login=failure(reason)))
        login = login_of(asked)
        assert login is not None
        assert not login.paused
    await asked.discover(asked.account(ROOM), "", Service(login=failure("account-disabled")))
    assert login is not None
    assert login.paused


async def test_a_second_account_takes_over_where_settings_allow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VANISHED_MATRIX_TOKEN", "one")
    monkeypatch.setenv("VANISHED_MATRIX_TOKEN_2", "two")
    for logins, secret in ((1, "one"), (2, "two")):
        asked = MatrixSource(name, {"server": "https://matrix.example.org", "logins": logins})
        await asked.look([matrix_post(asked)], matrix(True))
        assert asked.login.secret == secret
        assert asked.login.paused is (logins == 1)
