"""The lab's source must read every form to its causes and every trap to a fault, or the watch is
tested on something else than what was meant."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.direct import BASE, Direct, account_of, look, naming, world
from vanished.errors import ConfigError, UsageError
from vanished.lab import censor
from vanished.lab.clock import SteppedClock
from vanished.lab.nouns import Form
from vanished.lab.pages import notice, shown
from vanished.lab.platform import Platform
from vanished.lab.source import LISTED, LabSource, pack, read_count
from vanished.lab.world import World
from vanished.model import (
    DAY,
    HOUR,
    SECOND,
    Cause,
    Count,
    Counts,
    Fault,
    Kind,
    Post,
    Signal,
    Strength,
    Via,
)
from vanished.net.exchange import Exchange


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(world().start)


@pytest.fixture
def source() -> LabSource:
    return LabSource(naming, {"url": BASE + "/"})


@pytest.fixture
def direct(clock: SteppedClock) -> Direct:
    return Direct(Platform(world(), clock, 0.0), clock)


# -- addresses -----------------------------------------------------------------------------------


def test_an_account_is_known_by_its_id_or_the_address_of_its_page(source: LabSource) -> None:
    by_id = source.account("u0123abc")
    assert source.account(f"{BASE}/a/u0123abc") == by_id
    assert by_id.url == f"{BASE}/a/u0123abc"
    assert by_id.key == "lab-u0123abc"


@pytest.mark.parametrize("address", ["", "p0123", "u", "https://example.org/u1", "u1/../x"])
def test_what_is_no_account_is_refused(source: LabSource, address: str) -> None:
    with pytest.raises(UsageError, match="no account of the lab"):
        source.account(address)


@pytest.mark.parametrize("settings", [{}, {"url": 5}, {"url": "127.0.0.1:80"}])
def test_settings_without_an_address_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"sources\.lab"):
        LabSource(naming, settings)


# -- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", censor.every_form(), ids=lambda form: form.name)
async def test_each_form_is_read_to_the_causes_that_it_leaves_open(
    form: Form, source: LabSource
) -> None:
    answer = notice(form)

    class Shows:
        async def request(self, method: str, url: str, **_: object) -> Exchange:
            return Exchange(url, 1, 2, answer.status, {"content-type": "text/html"}, answer.body)

    signal = (await look(source, 0, Shows())).observation.signal
    assert signal.causes == form.open
    assert signal.kind is form.kind
    assert signal.status == form.status
    assert signal.account_level == form.about_account
    assert (signal.strength is Strength.WEAK) == form.weak
    assert signal.words == form.words
    if form.about_account and form.words:
        listed = pack().match_field("error", form.words)
        assert listed is not None
        assert listed.causes == form.open


def test_the_pack_knows_no_wording_that_the_lab_does_not_show() -> None:
    known = {wording.text for rule in pack().notices for wording in rule.wordings}
    assert known == {form.words for form in censor.every_form() if form.words}


async def test_every_loss_of_the_world_is_read_rightly(
    source: LabSource,
) -> None:
    other = World.generate(2)  # where enough posts moved that some of them redirect
    clock = SteppedClock(other.end)
    direct = Direct(Platform(other, clock, 0.0), clock)
    causes: Counter[frozenset[Cause]] = Counter()
    for post in other.posts:
        if post.loss is None or post.loss.returned_at is not None:
            continue
        asked = Post(naming("lab", post.id), "", "lab", post.id, f"{BASE}/p/{post.id}")
        observation = (await source.look([asked], direct))[0].observation
        assert observation.signal.causes == post.loss.form.open
        assert observation.signal.kind is post.loss.form.kind
        assert observation.asked_at < observation.answered_at
        causes[post.loss.form.open] += 1
    assert len(causes) == 7  # four causes, moved, either, unknown
    assert any(path.startswith("/moved/") for path in direct.paths)


# -- living posts --------------------------------------------------------------------------------


async def test_a_living_post_is_read_with_its_wording_and_counts(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    clock.jump(world().start + 10 * DAY)
    alive = [i for i in range(len(world().posts)) if world().is_alive(i, clock.now() + DAY)][:600]
    for number in alive:
        answer, post = await look(source, number, direct), world().posts[number]
        wording = post.worded(clock.now())
        assert answer.observation.signal == Signal(Kind.ALIVE)
        assert answer.version is not None
        assert (answer.version.title, answer.version.text) == (wording.title, wording.text)
        assert answer.version.media == tuple(BASE + path for path in post.media)
        assert answer.observation.version == answer.version.hash
        views = answer.observation.counts.views
        assert views is not None
        true = post.views.at(clock.now() - post.published_at)
        assert views.low <= true + 2  # a second later than the answer
        assert views.high is None or true - 2 <= views.high
    assert any(len(world().posts[i].media) > 0 for i in alive)


async def test_posts_that_quote_notices_are_alive(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    words = [form.words for form in censor.every_form() if form.words]
    clock.jump(world().end - DAY)
    titled = read = 0
    for number, post in enumerate(world().posts):
        quoted = any(w in post.wording.text or w in post.wording.title for w in words)
        lost = post.repeats is not None and world().posts[post.repeats].loss is not None
        if (quoted or lost) and world().is_alive(number, clock.now()):
            assert (await look(source, number, direct)).observation.signal.kind is Kind.ALIVE
            read += 1
            titled += post.wording.title in words
    assert read > 30
    assert titled > 3


async def test_page_and_list_state_the_same_version(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    """Else every post would look edited as soon as it is looked at."""
    clock.jump(world().end - HOUR)
    by_id = {post.id: i for i, post in enumerate(world().posts)}
    compared = edited = 0
    for number in range(len(world().accounts)):
        discovery = await source.discover(account_of(source, number), "", direct)
        for sighting in discovery.sightings[::4]:
            answer = await look(source, by_id[sighting.post.native_id], direct)
            if answer.observation.signal.kind is not Kind.ALIVE:
                continue
            assert answer.version == sighting.version
            assert sighting.version is not None
            assert sighting.post.version == sighting.version.hash
            compared += 1
            edited += world().posts[by_id[sighting.post.native_id]].edited is not None
    assert compared > 300
    assert edited > 3


async def test_an_edit_is_a_new_version_and_no_loss(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    number, post = next(
        (i, p)
        for i, p in enumerate(world().posts)
        if p.edited_at and p.loss is None and p.published_at > world().start
    )
    assert post.edited_at is not None
    clock.jump(post.edited_at - SECOND)
    before = await look(source, number, direct)
    clock.jump(post.edited_at + SECOND)
    after = await look(source, number, direct)
    assert before.version is not None
    assert after.version is not None
    assert before.version.hash != after.version.hash
    assert before.version.title == after.version.title


@given(st.integers(0, 10**7))
def test_a_shown_count_is_read_to_an_interval_that_holds_the_true_one(n: int) -> None:
    count = read_count(shown(n))
    assert count is not None
    assert count.low <= n
    assert count.high is None or n <= count.high
    assert n >= 10_000 or count == Count.exact(n)


@pytest.mark.parametrize("text", ["", "-1", "1.2", "12万", "10万", "1.23万", "一", "²"])
def test_a_count_in_another_form_is_unknown(text: str) -> None:
    assert read_count(text) is None


# -- lists ---------------------------------------------------------------------------------------


async def test_a_list_discovers_all_its_posts_and_later_only_reads_what_is_new(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    loudest = max(range(len(world().accounts)), key=lambda i: world().accounts[i].rate)
    account = account_of(source, loudest)
    clock.jump(world().start + 4 * DAY)
    first = await source.discover(account, "", direct)
    own = [i for i, p in enumerate(world().posts) if p.account == loudest]
    alive = {world().posts[i].id for i in own if world().is_alive(i, clock.now())}
    assert {s.post.native_id for s in first.sightings} == alive
    assert len(alive) > 20
    assert first.complete_since == 0
    assert len(direct.paths) > 1
    direct.paths.clear()
    clock.jump(clock.now() + 6 * HOUR)
    second = await source.discover(account, first.cursor, direct)
    assert len(direct.paths) == 1
    newest = max(s.post.published_at or 0 for s in first.sightings)
    assert second.complete_since is not None
    assert second.complete_since <= newest
    for sighting in first.sightings + second.sightings:
        assert sighting.observation is not None
        assert sighting.observation.via is Via.TIMELINE
        assert sighting.observation.signal.kind is Kind.ALIVE
        assert sighting.observation.counts != Counts()
        assert sighting.post.account == account.key


async def test_a_reading_that_breaks_off_in_between_skips_nothing(
    source: LabSource, clock: SteppedClock
) -> None:
    """A second page that fails must not move the cursor over posts that nobody read."""
    loudest = max(range(len(world().accounts)), key=lambda i: world().accounts[i].rate)
    account = account_of(source, loudest)
    clock.jump(world().start + 2 * DAY)
    direct = Direct(Platform(world(), clock, 0.0), clock)
    first = await source.discover(account, "", direct)
    clock.jump(world().start + 7 * DAY)

    class SecondFails:
        asked = 0

        async def request(self, method: str, url: str, **_: object) -> Exchange:
            self.asked += 1
            exchange = await direct.request(method, url)
            return exchange if self.asked == 1 else replace(exchange, fault=Fault.TIMEOUT)

    broken = await source.discover(account, first.cursor, SecondFails())
    assert broken.cursor == first.cursor
    assert len(broken.sightings) == LISTED
    assert broken.complete_since == min(s.post.published_at or 0 for s in broken.sightings)
    whole = await source.discover(account, broken.cursor, direct)
    seen = {s.post.native_id for s in (*first.sightings, *broken.sightings, *whole.sightings)}
    living = {
        p.id
        for i, p in enumerate(world().posts)
        if p.account == loudest and world().is_alive(i, clock.now())
    }
    assert living <= seen


async def test_a_lost_account_is_read_from_its_list(
    source: LabSource, direct: Direct, clock: SteppedClock
) -> None:
    clock.jump(world().end)
    found: Counter[Cause] = Counter()
    for number, account in enumerate(world().accounts):
        if account.loss is not None:
            discovery = await source.discover(account_of(source, number), "5", direct)
            signal = discovery.observation.signal
            assert signal.causes == account.loss.form.open
            assert signal.account_level
            assert discovery.sightings == ()
            assert discovery.complete_since is None
            assert discovery.cursor == "5"
            found[account.loss.cause] += 1
    assert found == {Cause.PLATFORM: 3, Cause.AUTHOR: 2, Cause.MOVED: 1}
