"""Rounds over a folder: told once, told again when judged anew, at the right time, to the right
channel, and nothing that names anybody. Messages are recorded; their way out is in test_live."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.publish.alerts.world import KEY, NAME, NOW, WORDS, Standing, World
from vanished.archive.folder import READABLE
from vanished.archive.observatory import Observatory
from vanished.errors import LockedError, ObservatoryError, UsageError
from vanished.model import DAY, HOUR, MINUTE, Cause, Confidence, Micros, State, Verdict
from vanished.net.proxy import ProxyAddress
from vanished.publish.alerts.address import Address
from vanished.publish.alerts.courier import Outcome
from vanished.publish.alerts.ledger import Ledger
from vanished.publish.alerts.looking import Looking
from vanished.publish.alerts.message import Message
from vanished.publish.alerts.rounds import Round, Rounds
from vanished.publish.alerts.running import run_folder
from vanished.publish.alerts.sending import Sender, Sent
from vanished.publish.alerts.settings import load

DESK = """
[channels.desk]
url_env = "ALERT_DESK"
every_s = 1
{more}
"""
ALL = '[rules.all]\ntell = ["losses", "accounts", "returns"]\n'


@dataclass(slots=True)
class Recorder(Sender):
    """Keeps what it was to send; `fails` has the outcome by address."""

    sent: list[tuple[str, Message]] = field(default_factory=list)
    fails: dict[str, Outcome] = field(default_factory=dict)
    crash: bool = False

    async def send(self, told: Message, address: Address, proxy: ProxyAddress | None) -> Sent:
        del proxy
        if address.url in self.fails:
            return Sent(self.fails[address.url])
        self.sent.append((address.url, told))
        if self.crash:
            raise KeyboardInterrupt
        return Sent(Outcome.DELIVERED)

    def bodies(self, url: str = "json://desk/") -> list[str]:
        return [told.body for to, told in self.sent if to == url]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("VANISHED_KEY", KEY)
    for name in ("desk", "night", "ops"):
        monkeypatch.setenv(f"ALERT_{name.upper()}", f"json://{name}/")
    world = World.make(tmp_path / "o")
    world.alerts(DESK.format(more="") + ALL)
    return world


def go(world: World, sender: Sender, step: Micros = MINUTE, since: Micros | None = None) -> Round:
    """One round, `step` after the last."""
    rounds: list[Round] = []
    world.clock.at += step
    asyncio.run(
        run_folder(
            world.folder, rounds.append, once=True, dry=False, since=since, clock=world.clock,
            sender=sender,
        )
    )  # fmt: skip
    return rounds[0]


def test_a_loss_is_told_once_with_its_denominators_and_no_words(world: World) -> None:
    sender = Recorder()
    go(world, sender)  # what was there before is no news
    world.judge(world.lost(world.posts[0]))
    go(world, sender)
    go(world, sender)
    (body,) = sender.bodies()
    assert "12 posts of 3 accounts" in body
    assert "1 were first seen gone" in body
    assert "Looks in these hours: 24; 12 of them failed" in body
    assert "Cause: platform; confidence: high" in body
    assert "Judged so far; may change." in body
    for hidden in (NAME, "native", "example", *WORDS.split(), "notice"):
        assert hidden not in body


def test_the_first_run_tells_no_history_unless_it_is_asked_for(world: World) -> None:
    world.judge(world.lost(world.posts[0]))
    sender = Recorder()
    go(world, sender)
    assert not sender.sent
    go(world, sender, since=NOW - HOUR)
    assert len(sender.sent) == 1


def test_return_correction_and_second_loss_are_told_to_who_was_told(world: World) -> None:
    world.alerts(DESK.format(more="") + '[rules.all]\ntell = ["losses"]\n')
    sender, post = Recorder(), world.posts[0]
    go(world, sender)
    world.judge(world.lost(post, {Cause.AUTHOR, Cause.PLATFORM}))
    go(world, sender)
    world.judge(world.lost(post, {Cause.PLATFORM}))
    go(world, sender)
    go(world, sender)
    world.judge(Verdict(post, State.RETURNED), Verdict(world.posts[1], State.RETURNED))
    go(world, sender)
    go(world, sender)
    world.judge(world.lost(post))
    go(world, sender)
    world.judge(Verdict(post, State.FLICKERING))
    go(world, sender)
    go(world, sender)
    first = [body.splitlines()[0] for body in sender.bodies()]
    assert len(first) == 5
    assert "Cause: author or platform" in first[0]
    assert first[1].startswith(f"- Judged anew: Post {post}")
    assert "Cause: platform;" in first[1]
    assert "is there again" in first[2]
    assert f"Post {post}" in first[3]
    assert "is gone" in first[3]
    assert first[4].startswith(f"- Taken back: Post {post}")
    assert world.posts[1] not in str(sender.bodies())  # nobody was told of a loss of it


def test_an_accounts_loss_counts_once(world: World) -> None:
    sender, account = Recorder(), world.keys[0]
    go(world, sender)
    posts = [world.lost(p, {Cause.ACCOUNT}, explained_by=account) for p in world.posts[:4]]
    world.judge(world.lost(account), *posts)
    go(world, sender)
    (body,) = sender.bodies()
    assert "1 account lost" in sender.sent[0][1].title
    assert "not told one by one: 4." in body
    assert not any(post in body for post in world.posts)


def test_a_term_of_a_post_that_its_author_may_have_taken_down_is_not_told(world: World) -> None:
    """A message about it would say what stood in a post that its author took back."""
    world.alerts(DESK.format(more="") + '[rules.words]\ntell = ["losses"]\nterms = ["ZORBLAX"]\n')
    sender = Recorder()
    go(world, sender)
    open_to_author = ({Cause.AUTHOR}, {Cause.AUTHOR, Cause.PLATFORM}, {Cause.UNKNOWN})
    world.judge(*(world.lost(world.posts[n], c) for n, c in enumerate(open_to_author)))
    go(world, sender)
    assert not sender.sent
    world.judge(world.lost(world.posts[5]))
    go(world, sender)
    assert len(sender.sent) == 1
    assert world.posts[5] in sender.bodies()[0]


def test_a_failing_channel_is_tried_again_later_and_later_and_stops_nobody(world: World) -> None:
    night = '[channels.night]\nurl_env = "ALERT_NIGHT"\nevery_s = 1\n'
    world.alerts(DESK.format(more="") + night + ALL)
    sender = Recorder(fails={"json://desk/": Outcome.SERVICE})
    go(world, sender)
    world.judge(world.lost(world.posts[0]))
    done = go(world, sender)
    assert done.failed
    assert len(sender.bodies("json://night/")) == 1
    waits = []
    for _ in range(9):
        (told,) = [each for each in done.told if each.channel == "desk"]
        assert told.next_at is not None
        waits.append((told.next_at - world.clock.at) // MINUTE)
        assert not go(world, sender, told.next_at - world.clock.at - 1).failed  # too early
        done = go(world, sender, 1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    sender.fails.clear()
    world.judge(world.lost(world.posts[1]))
    for _ in range(2):
        go(world, sender, HOUR)
    bodies = sender.bodies()
    assert len(bodies) == 2  # the old message, and one with what came since
    assert world.posts[0] in bodies[0]
    assert world.posts[1] in bodies[1]
    assert len(sender.bodies("json://night/")) == 2


def test_a_crash_after_sending_repeats_the_number_and_one_before_loses_nothing(
    world: World,
) -> None:
    sender = Recorder(crash=True)
    go(world, Recorder())
    world.judge(world.lost(world.posts[0]))
    with pytest.raises(KeyboardInterrupt):
        go(world, sender)
    sender.crash = False
    go(world, sender)
    go(world, sender)
    first, second = sender.bodies()
    assert first.splitlines()[-1] == second.splitlines()[-1]
    assert "Message " in first.splitlines()[-1]


def test_what_no_longer_holds_when_it_is_sent_again_is_left_out(world: World) -> None:
    sender = Recorder(fails={"json://desk/": Outcome.UNREACHABLE})
    go(world, sender)
    world.judge(world.lost(world.posts[0]), world.lost(world.posts[1]))
    go(world, sender)
    world.judge(Verdict(world.posts[0], State.ALIVE))
    sender.fails.clear()
    go(world, sender, HOUR)
    (body,) = sender.bodies()
    assert world.posts[0] not in body
    assert world.posts[1] in body


def test_one_message_an_interval_and_none_in_quiet_hours(world: World) -> None:
    more = 'quiet = "22:00-07:00"\nzone = "Asia/Shanghai"\n'
    desk = DESK.format(more=more).replace("every_s = 1", "every_s = 7200")
    world.alerts(desk + ALL)
    sender = Recorder()
    world.clock.at = NOW - NOW % DAY  # midnight in UTC is eight in the morning there
    go(world, sender)
    times = []
    for n in range(24):
        if n < 12:
            world.judge(world.lost(world.posts[n]))
        before = len(sender.sent)
        go(world, sender, HOUR)
        if len(sender.sent) > before:
            times.append((world.clock.at // HOUR + 8) % 24)
    assert times == [9, 11, 13, 15, 17, 19, 21]  # local hours; an odd one each two
    told = "".join(sender.bodies())
    assert all(post in told for post in world.posts)


def test_findings_go_to_the_operator_only_and_name_no_host(world: World) -> None:
    """A login that has expired is nobody else's business."""
    ops = '[channels.ops]\nurl_env = "ALERT_OPS"\nevery_s = 1\noperator = true\n'
    world.alerts(DESK.format(more="") + ops + ALL)
    sender = Recorder()
    go(world, sender)
    go(world, sender, 2 * HOUR)
    assert not sender.bodies()
    (body,) = sender.bodies("json://ops/")  # a finding is told once a day
    assert "vanished doctor says what to do" in body
    assert "weibo account" in body
    for hidden in (NAME, "example", str(world.folder), "native"):
        assert hidden not in body
    go(world, sender, DAY)
    assert len(sender.bodies("json://ops/")) == 2


def test_many_losses_a_day_and_a_line_that_is_crossed(world: World) -> None:
    rules = (
        '[rules.many]\nlosses_a_day = 3\ncauses = ["platform"]\n'
        '[rules.spread]\ntell = ["crossings"]\n'
    )
    world.alerts(DESK.format(more="") + rules)
    sender = Recorder()
    world.counted(world.posts[9], 700)  # before the first run
    go(world, sender)
    world.judge(
        *(world.lost(p) for p in world.posts[:2]), world.lost(world.posts[3], {Cause.AUTHOR})
    )
    world.counted(world.posts[8], 499)
    go(world, sender)
    assert not sender.sent
    world.judge(world.lost(world.posts[2]))
    world.counted(world.posts[8], 501)
    world.counted(world.posts[9], 900)
    go(world, sender)
    go(world, sender)
    (body,) = sender.bodies()
    assert "3 losses within 24 hours; rule many tells from 3 on" in body
    assert f"Post {world.posts[8]}" in body
    assert "500 reposts or 5,000 views" in body
    assert world.posts[9] not in body


def test_what_waits_for_days_is_told_and_what_is_settled_is_not_weighed_again(
    world: World,
) -> None:
    """A week without a network loses nothing; and a quiet year costs no more than a day."""
    sender = Recorder(fails={"json://desk/": Outcome.UNREACHABLE})
    go(world, sender)
    world.judge(world.lost(world.posts[0]))
    go(world, sender)
    world.judge(world.lost(world.posts[1]))
    go(world, sender, 7 * DAY)
    sender.fails.clear()
    go(world, sender, DAY)
    go(world, sender, DAY)
    assert [world.posts[n] in body for n, body in enumerate(sender.bodies())] == [True, True]
    go(world, sender, DAY)
    with Observatory.open(world.folder) as observatory, Ledger.open(world.folder) as ledger:
        settings = load(world.folder, observatory.settings)
        settled = ledger.settled(0)
        found, _ = Looking(world.folder, ledger).events(
            observatory, settings, settled, world.clock.at, again=False
        )
    assert settled == world.clock.at
    assert not found
    world.judge(Verdict(world.posts[0], State.RETURNED))
    go(world, sender)
    assert "is there again" in sender.bodies()[2]


def test_a_peers_record_that_is_imported_today_is_no_news(world: World) -> None:
    sender = Recorder()
    go(world, sender)
    old = world.lost(world.posts[0])
    world.clock.at += 90 * DAY
    world.judge(old)
    go(world, sender)
    assert not sender.sent


def test_more_events_than_rows_are_counted(world: World, tmp_path: Path) -> None:
    big = World.make(tmp_path / "big", accounts=9)
    big.alerts(DESK.format(more="") + ALL)
    sender = Recorder()
    go(big, sender)
    big.judge(*(big.lost(post) for post in big.posts))
    go(big, sender)
    (body,) = sender.bodies()
    assert body.count("- Post") == 20
    assert "… and 16 more, which are not told one by one: 16 posts lost." in body


def test_two_that_send_at_once_are_kept_apart(world: World) -> None:
    with Ledger.open(world.folder), pytest.raises(LockedError, match="Another vanished alerts"):
        Ledger.open(world.folder)


def test_the_ledger_names_no_post(world: World) -> None:
    """Forgetting a post must not have to reach what was told."""
    go(world, Recorder())
    world.judge(world.lost(world.posts[0]), world.lost(world.keys[1]))
    go(world, Recorder())
    kept = b"".join(file.read_bytes() for file in world.folder.glob("alerts*"))
    for hidden in (*world.posts, *world.keys, NAME, "json://"):
        assert hidden.encode() not in kept


def test_run_goes_on_until_it_is_stopped(world: World) -> None:
    """It looks at least once a minute, and more often for a channel that wants it."""
    seen: list[Micros] = []

    async def going() -> None:
        stop = asyncio.Event()
        clock = Standing(world.clock.at)

        def tell(done: Round) -> None:
            del done
            seen.append(clock.at)
            if len(seen) == 3:
                stop.set()

        with Observatory.open(world.folder) as observatory:
            settings = load(world.folder, observatory.settings)
        with Ledger.open(world.folder) as ledger:
            rounds = Rounds(world.folder, settings, clock, ledger, sender=Recorder())
            await rounds.run(stop, tell)

    asyncio.run(going())
    assert [b - a for a, b in itertools.pairwise(seen)] == [5_000_000] * 2


def test_a_past_that_cannot_be_read_is_read_again_and_at_last_complained_of(
    world: World,
) -> None:
    """A watch that rewrites the journal must not end the alerts; a broken folder must be said."""
    manifest = world.folder / "journal"
    done: list[Round] = []

    async def going() -> None:
        stop = asyncio.Event()
        with Observatory.open(world.folder) as observatory:
            settings = load(world.folder, observatory.settings)
        with Ledger.open(world.folder) as ledger:
            rounds = Rounds(world.folder, settings, world.clock, ledger, sender=Recorder())
            manifest.rename(manifest.with_name("elsewhere"))
            await rounds.run(stop, done.append)

    begun = world.clock.at
    with pytest.raises(ObservatoryError):
        asyncio.run(going())
    assert not done
    assert (world.clock.at - begun) // 1_000_000 == 4 * 5


def test_a_readable_copy_tells_nobody(world: World) -> None:
    (world.folder / READABLE).touch()
    with pytest.raises(UsageError, match="readable copy"):
        go(world, Recorder())


WRONG: Mapping[str, tuple[str, str]] = {
    "": ("there is no channel", ""),
    "[channels.desk]\n": ("either url_env or url_file", ""),
    '[channels.desk]\nurl_env = "json://hunter2/"\n': ("the name of a variable", "hunter2"),
    '[channels.desk]\nurl_file = "json://hunter2/"\n': ("the whole path of a file", "hunter2"),
    '[channels.desk]\nurl_env = "A"\nevery_s = "hunter2"\n': ("number of seconds", "hunter2"),
    '[channels.desk]\nurl_env = "A"\nquiet = "25:00-26:00"\n': ('"22:00-07:00"', ""),
    '[channels.desk]\nurl_env = "A"\nquiet = ["00:00-12:00", "12:00-00:00"]\n': ("no minute", ""),
    '[channels.desk]\nurl_env = "A"\nzone = "Mars/Olympus"\n': ("time zone database", "Mars"),
    '[channels.desk]\nurl_env = "A"\nlanguage = "fr"\n': ("language is one of", ""),
    '[channels.desk]\nurl_env = "A"\nroute = "tor"\n': ("route is one of direct", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\n': ("a rule needs tell", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\ntell = ["doctor"]\n': ("tell lists any of", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\ntell = ["losses"]\nchannels = ["x"]\n': (
        "there are desk", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\ntell = ["losses"]\ncauses = ["x"]\n': (
        "causes lists any of", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\nlosses_a_day = 0\n': ("above 0", ""),
    '[channels.desk]\nurl_env = "A"\n[rules.r]\ntell = ["crossings"]\nline = "x"\n': (
        "line is", ""),
    '[channels.desk]\nurl_env = hunter2\n': (":2: not valid TOML", "hunter2"),
    '[chanels.desk]\n': ("did you mean 'channels'", ""),
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings_stop_it_with_a_line_and_repeat_no_value(world: World, text: str) -> None:
    """A person may have put the secret where it does not belong."""
    world.alerts(text)
    with pytest.raises(UsageError) as raised:
        go(world, Recorder())
    said, hidden = WRONG[text]
    assert said in str(raised.value)
    assert "alerts.toml:" in str(raised.value)
    assert not hidden or hidden not in str(raised.value)


def test_with_proxies_each_channel_has_to_say_its_way(world: World) -> None:
    """Who watches through Tor must not find that alerts went direct."""
    settings = world.folder / "observatory.toml"
    settings.write_text(
        settings.read_text() + '\n[net.proxies]\ntor = "socks5h://127.0.0.1:9050"\n'
    )
    with pytest.raises(UsageError, match="say which way this channel goes"):
        go(world, Recorder())
    world.alerts('[alerts]\nroute = "tor"\n' + DESK.format(more="") + ALL)
    go(world, Recorder())


def test_confidence_filters(world: World) -> None:
    rules = '[rules.sure]\ntell = ["losses"]\nconfidence = "medium"\n'
    world.alerts(DESK.format(more="") + rules)
    sender = Recorder()
    go(world, sender)
    world.judge(
        world.lost(world.posts[0], confidence=Confidence.LOW),
        world.lost(world.posts[1], confidence=Confidence.MEDIUM),
    )
    go(world, sender)
    assert world.posts[0] not in sender.bodies()[0]
    assert world.posts[1] in sender.bodies()[0]
    assert "[sure]" in sender.bodies()[0]


def test_a_live_campaign_is_told_once_by_whichever_process(world: World, tmp_path: Path) -> None:
    """One round a process, as from cron; the second does not know what the first had found, and
    the campaign grows meanwhile."""
    large = World.make(tmp_path / "large", accounts=60)
    rules = '[rules.waves]\ntell = ["campaigns"]\n'
    large.alerts("[alerts]\ncampaigns_every_s = 60\n" + DESK.format(more="") + rules)
    sender = Recorder(fails={"json://desk/": Outcome.SERVICE})
    go(large, sender)
    for day in range(6):
        large.judge(*(large.lost(key) for key in large.keys[8 * day : 8 * day + 8]))
        go(large, sender, DAY)
        if day == 4:
            sender.fails.clear()
    (body,) = sender.bodies()
    assert "of 60 accounts lost" in body
    assert "Campaign 2026-09-2" in body
    assert len(large.keys) == 60
