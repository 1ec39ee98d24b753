"""The Mastodon source: against a small server of our own over loopback, and rare answers.

No Mastodon server could be installed here, so `Instance` speaks the documented JSON: it was written
from Mastodon's own serializers and controllers. What it does not show, no test here shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.sources.loopback import Prepared, as_json, as_page, door, serving
from tests.sources.pages import name
from vanished.errors import UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Account,
    Cause,
    Count,
    Discovery,
    Fault,
    Kind,
    Look,
    Post,
    Signal,
    Strength,
    Via,
)
from vanished.net.exchange import Fetch
from vanished.sources.mastodon import MOST_PAGES, PAGE, MastodonSource
from vanished.sources.notice import load_pack

START = 1_790_000_000  # 2026-09-21


def stamp(number: int) -> str:
    """The date of post `number`, a minute after the one before it."""
    return datetime.fromtimestamp(START + 60 * number, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class Instance:
    """One server with one account, in so far as this source asks it."""

    user: str = "gauge"
    account: dict[str, Any] = field(default_factory=lambda: {"id": "110"})
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: tuple[int, Any] | None = None  # answers everything so
    lost: tuple[int, str] | None = None  # the account is answered so
    asked: list[str] = field(default_factory=list)

    def post(self, number: int, text: str = "", **more: Any) -> str:
        ident = str(113_000_000_000 + number)
        self.posts[ident] = {
            "id": ident,
            "created_at": stamp(number),
            "edited_at": None,
            "content": f"<p>{text or f'Mark {number}'}</p>",
            "spoiler_text": "",
            "visibility": "public",
            "reblog": None,
            "replies_count": 1,
            "reblogs_count": 2,
            "favourites_count": 30,
            "media_attachments": [],
            "account": {"id": "110", "username": self.user, "acct": self.user},
            **more,
        }
        return ident

    def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.refuses is not None:
            status, content = self.refuses
            return (as_page if isinstance(content, str) else as_json)(content, status)
        missing = as_json({"error": "Record not found"}, 404)
        path = request.path.removeprefix("/api/v1/")
        suspended = self.account.get("suspended") is True
        if path == "accounts/lookup":
            if self.lost is not None:
                return as_json({"error": self.lost[1]}, self.lost[0])
            known = request.query["acct"] == self.user
            shown = {"username": self.user, "acct": self.user, **self.account}
            return as_json(shown) if known else missing
        if path == "accounts/110/statuses":
            before = int(request.query.get("max_id", 10**15))
            newest = sorted((i for i in self.posts if int(i) < before), key=int, reverse=True)
            shown_posts = [] if suspended else newest[: int(request.query["limit"])]
            return as_json([self.posts[i] for i in shown_posts])
        ident = path.removeprefix("statuses/")
        if suspended or ident not in self.posts:
            return missing
        return as_json(self.posts[ident])


class Watch:
    """A source that follows one account as the watch would."""

    def __init__(self, base: str, fetch: Fetch) -> None:
        self.source = MastodonSource(name)
        self.account = self.source.account(f"{base}/@Gauge")
        self.fetch = fetch
        self.cursor = ""

    async def read(self) -> Discovery:
        found = await self.source.discover(self.account, self.cursor, self.fetch)
        self.cursor = found.cursor
        return found

    async def look(self, post: Post) -> Look:
        (look,) = await self.source.look([post], self.fetch)
        return look


# -- what a person writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "native_id", "url"),
    [
        ("@Gauge@news.example", "@gauge@news.example", "https://news.example/@gauge"),
        ("gauge@news.example", "@gauge@news.example", "https://news.example/@gauge"),
        ("https://news.example/@gauge/", "@gauge@news.example", "https://news.example/@gauge"),
        ("https://news.example/users/gauge", "@gauge@news.example", "https://news.example/@gauge"),
    ],
)
def test_an_account_has_one_name_however_it_is_written(
    address: str, native_id: str, url: str
) -> None:
    assert MastodonSource(name).account(address) == Account(
        name("mastodon", native_id), "mastodon", native_id, native_id, url
    )


@pytest.mark.parametrize(
    "address",
    ["gauge", "@gauge", "https://news.example/", "https://news.example/@gauge/113", "ftp://a/@b"],
)
def test_what_names_no_account_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        MastodonSource(name).account(address)


# -- over loopback -------------------------------------------------------------------------------


async def test_posts_are_found_with_wording_counts_dates_media_and_repeats() -> None:
    here = Instance()
    first = here.post(
        1,
        "Eleven &amp; <em>more</em> marks</p><p>on the wall",
        spoiler_text="The river",
        media_attachments=[{"type": "image", "url": "https://files.example/a.png"}],
    )
    boosted = {**here.posts[first], "id": "112999", "content": "<p>Somebody else's words</p>"}
    second = here.post(2, reblog=boosted, content="")
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        found = await watch.read()
        assert found.observation.signal is ALIVE
        assert found.observation.via is Via.TIMELINE
        boost, post = found.sightings
        host = base.removeprefix("http://")
        assert post.post.native_id == f"{host}/{first}"
        assert post.post.published_at == (START + 60) * SECOND
        assert post.post.repeats is None
        assert post.version is not None
        assert (post.version.title, post.version.text) == (
            "The river",
            "Eleven & more marks on the wall",
        )
        assert post.version.media == ("https://files.example/a.png",)
        assert post.observation is not None
        assert post.observation.counts.likes == Count.exact(30)
        assert post.observation.counts.reposts == Count.exact(2)
        assert post.observation.counts.comments == Count.exact(1)
        assert boost.post.native_id == f"{host}/{second}"
        assert boost.post.repeats == f"{host}/112999"
        assert boost.version is not None
        assert boost.version.text == "Somebody else's words"
        assert found.complete_since == (START + 60) * SECOND + SECOND
        look = await watch.look(post.post)
        assert look.observation.signal is ALIVE
        assert look.observation.version == post.version.hash  # list and post read the same


async def test_an_edit_is_a_new_version_and_no_loss() -> None:
    here = Instance()
    ident = here.post(1, "Eleven marks")
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        assert sighting.version is not None
        known = replace(sighting.post, version=sighting.version.hash)
        assert (await watch.look(known)).version is None
        here.posts[ident] |= {"content": "<p>Twelve marks</p>", "edited_at": stamp(9)}
        look = await watch.look(known)
        assert look.observation.signal is ALIVE
        assert look.version is not None
        assert look.version.text == "Twelve marks"


async def test_a_deleted_post_is_weakly_gone_and_by_nobody_known() -> None:
    """Author, moderator and "made private" answer alike: naming one would accuse without proof."""
    here = Instance()
    ident = here.post(1)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        del here.posts[ident]
        signal = (await watch.look(sighting.post)).observation.signal
        assert (signal.kind, signal.status) == (Kind.GONE, 404)
        assert signal.causes == {Cause.UNKNOWN}
        assert signal.strength is Strength.WEAK
        assert not signal.account_level
        assert signal.rule.startswith("mastodon/status-not-found@")


async def test_a_suspended_account_is_said_of_the_account_and_of_its_posts() -> None:
    here = Instance()
    here.post(1)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        here.account["suspended"] = True
        found = await watch.read()
        assert found.sightings == ()
        for signal in (
            found.observation.signal,
            (await watch.look(sighting.post)).observation.signal,
        ):
            assert (signal.kind, signal.account_level) == (Kind.GONE, True)
            # Mastodon suspends an account for its owner's own deletion, too.
            assert signal.causes == {Cause.PLATFORM, Cause.AUTHOR}
            assert signal.strength is Strength.STRONG


async def test_a_limited_account_is_alive_and_is_said_to_be_limited() -> None:
    here = Instance()
    here.post(1)
    here.account["limited"] = True
    async with serving(here.answer) as base, door() as fetch:
        found = await Watch(base, fetch).read()
        assert found.observation.signal.kind is Kind.ALIVE
        assert "limited" in found.observation.signal.words
        assert len(found.sightings) == 1


async def test_a_moved_account_is_to_be_followed_and_its_posts_are_alive() -> None:
    here = Instance()
    here.post(1)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        here.account["moved"] = {"id": "5", "acct": "gauge@other.example"}
        assert (await watch.read()).observation.signal.kind is Kind.MOVED
        assert (await watch.look(sighting.post)).observation.signal is ALIVE


@pytest.mark.parametrize(
    ("status", "causes"),
    [(404, {Cause.UNKNOWN}), (410, {Cause.AUTHOR, Cause.PLATFORM})],
)
async def test_a_lost_account_takes_its_posts_along(status: int, causes: set[Cause]) -> None:
    here = Instance()
    ident = here.post(1)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        here.lost = (status, "Record not found")
        del here.posts[ident]
        for signal in (
            (await watch.read()).observation.signal,
            (await watch.look(sighting.post)).observation.signal,
        ):
            assert (signal.kind, signal.account_level, signal.status) == (Kind.GONE, True, status)
            assert signal.causes == causes
            assert signal.strength is Strength.WEAK


async def test_a_misspelt_account_was_never_lost() -> None:
    here = Instance(user="other")
    async with serving(here.answer) as base, door() as fetch:
        signal = (await Watch(base, fetch).read()).observation.signal
        assert (signal.kind, signal.fault) == (Kind.ERROR, Fault.UNREADABLE)
        assert "spelt" in signal.words


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((401, {"error": "This method requires an authenticated user"}), Fault.LOGIN_WALL),
        ((422, {"error": "This method requires an authenticated user"}), Fault.LOGIN_WALL),
        ((403, {"error": "This action is not allowed"}), Fault.FORBIDDEN),
        ((429, {"error": "Too many requests"}), Fault.RATE_LIMITED),
        ((503, {"error": "Remote data could not be fetched"}), Fault.SERVER),
        ((200, "<!doctype html><title>Page not found</title><p>404</p>"), Fault.UNREADABLE),
        ((404, "<!doctype html><title>404</title><p>nginx</p>"), Fault.UNREADABLE),
        ((200, {}), Fault.UNREADABLE),
        ((404, {"detail": "Not Found"}), Fault.UNREADABLE),
        ((200, []), Fault.UNREADABLE),
        ((200, {"error": "Record not found"}), Fault.UNREADABLE),
    ],
)
async def test_a_refusal_is_never_a_loss(answer: tuple[int, Any], fault: Fault) -> None:
    here = Instance()
    here.post(1)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        (sighting,) = (await watch.read()).sightings
        before = watch.cursor
        here.refuses = answer
        found = await watch.read()
        assert found.sightings == ()
        assert found.complete_since is None
        assert watch.cursor == before
        for signal in (
            found.observation.signal,
            (await watch.look(sighting.post)).observation.signal,
        ):
            assert (signal.kind, signal.fault) == (Kind.ERROR, fault)


async def test_a_reading_goes_back_to_what_the_last_one_saw() -> None:
    here = Instance()
    here.post(0)
    async with serving(here.answer) as base, door() as fetch:
        watch = Watch(base, fetch)
        await watch.read()
        for number in range(1, 2 * PAGE + 5):
            here.post(number)
        here.asked.clear()
        found = await watch.read()
        assert len(found.sightings) == 2 * PAGE + 5
        assert sum("/statuses?" in path for path in here.asked) == 3
        for number in range(2 * PAGE + 5, (MOST_PAGES + 3) * PAGE):
            here.post(number)
        assert len((await watch.read()).sightings) == MOST_PAGES * PAGE


# -- prepared answers ----------------------------------------------------------------------------

BASE = "https://news.example"
GAUGE = {"id": "110", "username": "gauge", "acct": "gauge"}


def lone() -> Post:
    return Post("key", "account", "mastodon", "news.example/113", f"{BASE}/@gauge/113")


async def looked(answers: Prepared) -> Signal:
    (look,) = await MastodonSource(name).look([lone()], answers)
    return look.observation.signal


async def test_a_404_counts_only_while_the_account_can_be_asked() -> None:
    """A control: a server that refuses us everything would else lose every post at once."""
    missing = (404, {"error": "Record not found"})
    gone = await looked(Prepared({"/statuses/": missing, "/lookup": (200, GAUGE)}))
    assert gone.kind is Kind.GONE
    failed = await looked(Prepared({"/statuses/": missing, "/lookup": (0, Fault.TIMEOUT)}))
    assert failed.fault is Fault.TIMEOUT


async def test_another_post_than_the_one_asked_for_proves_nothing() -> None:
    status = {"id": "114", "content": "<p>x</p>", "account": GAUGE}
    signal = await looked(Prepared({"/statuses/": (200, status)}))
    assert signal.fault is Fault.UNREADABLE


async def test_451_is_the_law() -> None:
    answers = Prepared({"/statuses/": (451, {"error": "Withheld"}), "/lookup": (200, GAUGE)})
    signal = await looked(answers)
    assert (set(signal.causes), signal.strength) == ({Cause.LEGAL}, Strength.STRONG)


async def test_a_list_with_something_else_in_it_discovers_nothing() -> None:
    answers = Prepared({"/lookup": (200, GAUGE), "/statuses": (200, [{"id": "1"}])})
    source = MastodonSource(name)
    found = await source.discover(source.account(f"{BASE}/@gauge"), "", answers)
    assert (found.sightings, found.observation.signal.fault) == ((), Fault.UNREADABLE)


def test_every_place_of_the_pack_is_one_that_is_read() -> None:
    """A rule at a place that no code reads is a notice that nobody notices."""
    places = {p for n in load_pack("mastodon").notices for w in n.wordings for p in w.where}
    assert places == {
        "field:status.status", "field:account.status", "field:account.field", "field:error",
    }  # fmt: skip


@pytest.mark.parametrize("cursor", ["x", "[]", "{}", '{"newest":"a","ident":5}', "null"])
async def test_a_broken_cursor_means_a_first_reading(cursor: str) -> None:
    answers = Prepared({"/lookup": (200, GAUGE), "/statuses": (200, [])})
    source = MastodonSource(name)
    found = await source.discover(source.account(f"{BASE}/@gauge"), cursor, answers)
    assert found.observation.signal is ALIVE
