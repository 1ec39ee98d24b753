"""Messages that really arrive: a Matrix room, a mail server, a webhook; and secrets that do not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.publish.alerts.sinks import hook, mail_server
from tests.publish.alerts.world import KEY, NAME, NOW, WORDS, World
from tests.servers.process import free_port
from tests.servers.synapse import synapse
from vanished.model import Cause

SECRET = "s3cr3tTulipQuux"
MAIN = "from vanished.cli import main; main()"
DESK = """
[channels.desk]
url_env = "ALERT_DESK"
{more}

[rules.all]
tell = ["losses", "accounts", "returns"]
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("VANISHED_KEY", KEY)
    return World.make(tmp_path / "o")


def vanished(
    world: World, *words: str, env: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """The command line as a person runs it, with every log of every library on."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "alerts", *words, "-o", str(world.folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "VANISHED_KEY": KEY, "PYTHONFAULTHANDLER": "1", **env},
    )


def lose_now(world: World) -> None:
    """Two losses, judged at the machine's time: one by the platform, one perhaps by its author."""
    from vanished.clock import SystemClock

    world.clock.at = SystemClock().now()
    world.judge(
        world.lost(world.posts[0]), world.lost(world.posts[1], {Cause.AUTHOR, Cause.PLATFORM})
    )


def test_an_alert_arrives_in_a_live_matrix_room(world: World, tmp_path: Path) -> None:
    world.alerts(DESK.format(more='language = "zh-Hans"'))
    with synapse(tmp_path) as server:
        bot = server.register("bot")
        room = server.create_room(server.admin)
        host = server.base_url.partition("//")[2]
        where = f"matrix://{quote(bot.token, safe='')}@{host}/{quote(room, safe='')}?hsreq=no"
        env = {"ALERT_DESK": where}
        checked = vanished(world, "check", env=env)
        assert "desk: Matrix, direct" in checked.stdout, checked
        lose_now(world)
        day = ["--since", "2026-01-01"]
        done = vanished(world, "run", "--once", "--json", *day, env=env)
        (line,) = [json.loads(each) for each in done.stdout.splitlines()]
        assert (line["outcome"], line["events"]) == ("delivered", 2), done
        again = vanished(world, "run", "--once", "--json", env=env)
        assert json.loads(again.stdout)["events"] == 0
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/messages"
        got = server.ok("GET", path, server.admin.token, dir="b", limit=20)["chunk"]
        said = [e["content"]["body"] for e in got if e["type"] == "m.room.message"]
    assert len(said) == 1
    assert "2 条帖子消失" in said[0]
    assert "作者或平台" in said[0]
    assert "3 个账号的 12 条帖子" in said[0]  # the denominators
    assert "可能改变" in said[0]
    assert line["message"] in said[0]
    assert world.posts[0] in said[0]
    for hidden in (NAME, WORDS, "native0", "w.example", bot.token):
        assert hidden not in said[0]
        assert hidden not in done.stdout + done.stderr + checked.stdout + checked.stderr


def test_mail_arrives_with_a_login_and_names_no_machine(world: World) -> None:
    world.alerts(DESK.format(more=""))
    lose_now(world)
    with mail_server(password=SECRET) as server:
        where = (
            f"mailto://bot:{SECRET}@127.0.0.1:{server.port}?from=bot@desk.example"
            "&to=reader@desk.example&mode=insecure"
        )
        done = vanished(world, "run", "--once", "--since", "2026-01-01", env={"ALERT_DESK": where})
    assert "delivered" in done.stdout, done
    (mail,) = server.mails
    assert server.logins[-1] == ("bot", SECRET)
    assert mail["subject"] == "Vanished: 2 posts lost"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    text = body.get_content()
    assert "12 posts of 3 accounts" in text
    assert "Judged so far; may change." in text
    whole = mail.as_string()
    assert SECRET not in whole
    assert os.uname().nodename not in whole + str(server.hellos)


CHANNEL = """
[channels.{name}]
url_env = "ALERT_{upper}"
every_s = 1
"""


def test_a_planted_secret_appears_nowhere_and_no_channel_stops_another(
    world: World, tmp_path: Path
) -> None:
    """On every way to fail: nothing printed, kept, logged or told has a part of the secret; and
    the one channel that works is told all the same."""
    url = f"json://user:{SECRET}@127.0.0.1:{{port}}/{SECRET}/?+X-Token={SECRET}"
    with (
        hook() as good,
        hook(403, SECRET.encode()) as refusing,
        hook(500, b"Traceback: token " + SECRET.encode()) as failing,
        hook(429) as busy,
        hook(404) as absent,
    ):
        ports = {"good": good.port, "login": refusing.port, "service": failing.port,
                 "limited": busy.port, "absent": absent.port,
                 "unreachable": free_port()}  # fmt: skip
        urls = {name: url.format(port=port) for name, port in ports.items()}
        urls |= {
            "missing": f"tgram {SECRET}",
            "address": f"nonsense://{SECRET}@127.0.0.1:{good.port}/",
        }
        parts = [CHANNEL.format(name=name, upper=name.upper()) for name in urls]
        world.alerts("".join(parts) + '[rules.all]\ntell = ["losses"]\n')
        lose_now(world)
        env = {f"ALERT_{name.upper()}": value for name, value in urls.items()}
        env |= {"APPRISE_DEBUG": "1", "PYTHONWARNINGS": "default"}
        words = ("run", "--once", "--since", "2026-01-01", "--json")
        said = [vanished(world, *w, env=env) for w in (words, ("check",), ("test", "login"))]
    assert [done.returncode for done in said] == [1, 1, 1]
    outcomes = {
        facts["channel"]: facts["outcome"] for facts in map(json.loads, said[0].stdout.splitlines())
    }
    assert outcomes == {name: name for name in urls} | {"good": "delivered"}
    assert len(good.got) == 1
    assert SECRET not in str(good.got)
    for done in said:
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
    looked = 0
    for file in tmp_path.rglob("*"):
        if file.is_file():
            looked += 1
            assert SECRET.encode() not in file.read_bytes(), file
    assert looked > 4


def test_a_kill_between_sending_and_noting_sends_it_again_under_its_number(world: World) -> None:
    """At least once: nothing is lost, and a reader can see that the second is the first."""
    world.alerts(DESK.format(more=""))
    lose_now(world)
    with hook(hang_s=1.5) as sink:
        env = {**os.environ, "VANISHED_KEY": KEY, "ALERT_DESK": f"json://127.0.0.1:{sink.port}/"}
        words = ["alerts", "run", "--once", "--since", "2026-01-01", "-o", str(world.folder)]
        process = subprocess.Popen([sys.executable, "-c", MAIN, *words], env=env)
        end = time.monotonic() + 60
        while not sink.asked and time.monotonic() < end:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert sink.asked == 1
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", MAIN, *words], env=env, timeout=60)
            assert done.returncode == 0
    assert len(sink.got) == 2  # the killed one's arrived, too; the third run had nothing to tell
    numbers = {re.search(r"Message ([0-9a-f]{10})\.", body)[1] for body in sink.bodies}  # type: ignore[index]
    assert len(numbers) == 1
    assert sink.bodies[0].splitlines()[:2] == sink.bodies[1].splitlines()[:2]


def test_an_address_in_the_folder_or_open_to_others_is_refused(
    world: World, tmp_path: Path
) -> None:
    """Who copies the folder, or shares the machine, must not get the address."""
    inside, outside = world.folder / "desk.url", tmp_path / "desk.url"
    link = tmp_path / "link.url"
    for file in (inside, outside):
        file.write_text(f"json://{SECRET}@127.0.0.1:9/")
        file.chmod(0o600)
    link.symlink_to(inside)
    config = '[channels.desk]\nurl_file = "{}"\n[rules.all]\ntell = ["losses"]\n'
    for file in (inside, link):
        world.alerts(config.format(file))
        done = vanished(world, "check")
        assert done.returncode == 1
        assert "lies in the observatory's folder" in done.stdout
    world.alerts(config.format(outside))
    assert vanished(world, "check").returncode == 0
    outside.chmod(0o640)
    done = vanished(world, "check")
    assert done.returncode == 1
    assert "chmod 600" in done.stdout
    world.alerts(f'[channels.desk]\nurl = "json://{SECRET}@x/"\n')
    done = vanished(world, "check")
    assert done.returncode == 2
    assert "a URL is a secret" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_dry_run_needs_no_secret_and_changes_nothing(world: World) -> None:
    world.alerts(DESK.format(more='language = "zh-Hant"'))
    lose_now(world)
    before = sorted(world.folder.iterdir())
    done = vanished(world, "run", "--dry-run", "--since", "2026-01-01")
    assert done.returncode == 0, done
    assert "2 則貼文消失" in done.stdout
    assert sorted(world.folder.iterdir()) == before
    assert NOW  # the world's own times are long past the first run's news
