"""The web sources against a real nginx: what a user of the watch would believe or miss."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers.nginx import BLOCKER, Site, nginx
from tests.sources.pages import STORY, article, name, small, wechat_article, wechat_notice
from vanished.clock import SystemClock
from vanished.model import ALIVE, Cause, Fault, Kind, Look, Post, Signal, Strength
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Fetch
from vanished.net.politeness import Politeness
from vanished.sources.feed import FeedSource
from vanished.sources.page import PageSource

VIOLATION = "此内容因违规无法查看"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with nginx(tmp_path_factory.mktemp("nginx")) as running:
        running.put("/index.html", article("Welcome to the news", STORY * 3))
        running.put("/account/login.html", small("Members", "<form><input type=password></form>"))
        yield running


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    settings = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10)
    async with Door(settings, SystemClock(), Politeness(1000.0)) as door:
        yield door.fetcher()


class Reader:
    """One page as the watch would follow it: discovered, then looked at with what is known."""

    def __init__(self, site: Site, path: str, fetch: Fetch) -> None:
        self._source = PageSource(name, {})
        self._account = self._source.account(site.url(path))
        self._fetch = fetch
        self._post: Post | None = None
        self.version = ""

    async def look(self) -> Look:
        """The next look; it remembers the version it saw."""
        if self._post is None:
            found = await self._source.discover(self._account, "", self._fetch)
            (sighting,) = found.sightings
            assert sighting.observation is not None
            self._post = sighting.post
            look = Look(sighting.observation, sighting.version)
        else:
            known = Post(
                self._post.key,
                self._post.account,
                "page",
                self._post.native_id,
                self._post.url,
                version=self.version,
            )
            (look,) = await self._source.look([known], self._fetch)
        self.version = look.observation.version or self.version
        return look

    async def signal(self) -> Signal:
        """What the next look says."""
        return (await self.look()).observation.signal


@pytest.fixture
async def page(
    site: Site, fetch: Fetch, request: pytest.FixtureRequest
) -> tuple[Site, str, Reader]:
    """An article of this test's own that has been seen alive."""
    path = f"/{request.node.name.replace('[', '-').replace(']', '')}.html"
    site.put(path, article())
    reader = Reader(site, path, fetch)
    assert await reader.signal() is ALIVE
    assert reader.version
    return site, path, reader


Page = tuple[Site, str, Reader]


# -- losses ------------------------------------------------------------------------------------


async def test_a_deleted_page_is_weakly_gone_by_nobody(page: Page) -> None:
    site, path, reader = page
    site.delete(path)
    found = await reader.signal()
    assert (found.kind, set(found.causes), found.status) == (Kind.GONE, {Cause.UNKNOWN}, 404)
    assert found.strength is Strength.WEAK


async def test_410_was_on_purpose_by_author_or_operator(page: Page) -> None:
    site, path, reader = page
    site.answer(path, 410)
    found = await reader.signal()
    assert (found.kind, found.status) == (Kind.GONE, 410)
    assert found.causes == {Cause.AUTHOR, Cause.PLATFORM}


async def test_451_is_the_law_and_says_who_carries_it_out(page: Page) -> None:
    site, path, reader = page
    site.answer(path, 451)
    found = await reader.signal()
    assert (set(found.causes), found.strength) == ({Cause.LEGAL}, Strength.STRONG)
    assert (found.status, found.by) == (451, BLOCKER)


async def test_a_soft_not_found_is_seen_under_the_status_200(page: Page) -> None:
    site, path, reader = page
    site.put(path, small("Page not found - News", "<h1>Page not found</h1><p>Go home?</p>"))
    found = await reader.signal()
    assert (found.kind, set(found.causes), found.status) == (Kind.GONE, {Cause.UNKNOWN}, 200)
    assert found.strength is Strength.WEAK


@pytest.mark.parametrize("build", ["weui", "old", "title"])
async def test_a_page_replaced_by_a_notice_is_gone_by_the_platform(page: Page, build: str) -> None:
    site, path, reader = page
    site.put(path, wechat_notice(VIOLATION, build=build))
    found = await reader.signal()
    assert (found.kind, set(found.causes)) == (Kind.GONE, {Cause.PLATFORM})
    assert (found.words, found.strength) == (VIOLATION, Strength.STRONG)


async def test_a_deep_page_that_leads_home_is_weakly_gone(page: Page) -> None:
    site, path, reader = page
    site.answer(path, "home")
    found = await reader.signal()
    assert (found.kind, found.strength) == (Kind.GONE, Strength.WEAK)
    assert found.rule.startswith("web/sent-home@")


# -- alive -------------------------------------------------------------------------------------


async def test_an_edit_is_a_new_version_and_the_same_page_is_none(page: Page) -> None:
    site, path, reader = page
    before = reader.version
    same = await reader.look()
    assert (same.observation.version, same.version) == (before, None)
    site.put(path, article().replace("nonce='a1'", "nonce='b2'"))
    markup = await reader.look()
    assert (markup.observation.version, markup.version) == (before, None)
    site.put(path, article(text="The river did not rise."))
    edited = await reader.look()
    assert edited.observation.signal is ALIVE
    assert edited.version is not None
    assert "did not rise" in edited.version.text
    assert edited.version.hash not in ("", before)


async def test_a_page_that_quotes_a_notice_is_alive(page: Page) -> None:
    site, path, reader = page
    for quoting in (
        article(more=f"<blockquote>{VIOLATION}</blockquote>"),
        article(title=VIOLATION, text=f"{STORY} {VIOLATION}"),
        article(title="404 Not Found", text=STORY),
        wechat_article(VIOLATION, f"<p>{VIOLATION}</p>"),
        wechat_article("On removals", f"<div class='weui-msg__title'>{VIOLATION}</div>"),
    ):
        site.put(path, quoting)
        look = await reader.look()
        assert look.observation.signal is ALIVE
        assert look.version is not None


# -- failed looks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (503, Fault.SERVER),
        (429, Fault.RATE_LIMITED),
        (403, Fault.FORBIDDEN),
        ("login", Fault.LOGIN_WALL),
    ],
)
async def test_a_refusal_is_a_failed_look(page: Page, rule: int | str, fault: Fault) -> None:
    site, path, reader = page
    site.answer(path, rule)
    assert (await reader.signal()).fault is fault


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (article(text=STORY * 3)[:700], Fault.TRUNCATED),
        ("", Fault.EMPTY),
        (small("News", "<div id='app'></div><script src='/app.js'></script>"), Fault.EMPTY),
        (wechat_notice("环境异常"), Fault.CAPTCHA),
        (small("Just a moment...", "<form id='challenge-form'></form>"), Fault.CAPTCHA),
        (small("News", "<form>Members only <input type=password></form>"), Fault.LOGIN_WALL),
        (small("503 Service Temporarily Unavailable", "<hr>"), Fault.SERVER),
    ],
    ids=["cut", "empty", "script", "wechat-check", "check", "login", "soft-503"],
)
async def test_a_wall_or_a_wreck_under_200_is_a_failed_look(
    page: Page, body: str, fault: Fault
) -> None:
    site, path, reader = page
    site.put(path, body)
    assert (await reader.signal()).fault is fault
    site.put(path, article())
    assert await reader.signal() is ALIVE


# -- a feed ------------------------------------------------------------------------------------


def atom(site: Site, *numbers: int) -> str:
    entries = "".join(
        f"<entry><id>urn:x:{n}</id><title>Mark {n}</title><link href='/feed-post-{n}.html'/>"
        f"<updated>2026-01-0{n}T00:00:00Z</updated></entry>"
        for n in numbers
    )
    return (
        f"<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'><title>Marks</title>"
        f"<id>{site.url('/')}</id><updated>2026-01-09T00:00:00Z</updated>{entries}</feed>"
    )


async def test_an_item_that_leaves_its_feed_is_no_loss_until_its_page_is(
    site: Site, fetch: Fetch
) -> None:
    for n in (1, 2):
        site.put(f"/feed-post-{n}.html", article(f"Mark {n}"))
    source = FeedSource(name, {})
    account = source.account(site.put("/marks.atom", atom(site, 1, 2)))
    found = await source.discover(account, "", fetch)
    assert found.observation.signal is ALIVE
    first, second = (sighting.post for sighting in found.sightings)
    assert first.url == site.url("/feed-post-1.html")
    site.put("/marks.atom", atom(site, 2))
    found = await source.discover(account, found.cursor, fetch)
    assert found.observation.signal is ALIVE
    assert [sighting.post.key for sighting in found.sightings] == [second.key]
    assert found.complete_since is None
    (look,) = await source.look([first], fetch)
    assert look.observation.signal is ALIVE
    site.delete("/feed-post-1.html")
    (look,) = await source.look([first], fetch)
    assert look.observation.signal.kind is Kind.GONE
    (look,) = await source.look([second], fetch)
    assert look.observation.signal is ALIVE


async def test_a_feed_that_is_withheld_or_broken(site: Site, fetch: Fetch) -> None:
    source = FeedSource(name, {})
    account = source.account(site.put("/law.atom", atom(site, 1)))
    site.put("/law.atom", article())
    found = await source.discover(account, "", fetch)
    assert found.observation.signal.fault is Fault.UNREADABLE
    site.answer("/law.atom", 451)
    found = await source.discover(account, "", fetch)
    assert found.observation.signal.causes == {Cause.LEGAL}
    assert found.observation.subject == account.key
