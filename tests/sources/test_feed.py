"""The feed source: an item that leaves a feed is no loss, and one in it is no proof."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.pages import STORY, Prepared, answer, article, name, wechat_notice
from vanished.errors import UsageError
from vanished.model import ABSENT, ALIVE, Cause, Discovery, Fault, Kind, Via, micros
from vanished.net.exchange import Exchange
from vanished.sources import Source
from vanished.sources.feed import FeedSource, read_items

FEED = "https://news.example/feed"
P1, P2 = "https://news.example/post/1", "https://news.example/post/2"

RSS = f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel><title>News</title><link>https://news.example/</link>
<item><title>One &lt;b&gt;mark&lt;/b&gt;</title><link>/post/1</link>
  <guid isPermaLink="false">17</guid><pubDate>Tue, 01 Sep 2020 10:00:00 +0800</pubDate></item>
<item><title>Two</title><guid>{P2}</guid></item>
</channel></rss>
"""
ATOM = f"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://news.example/"><title>News</title>
<id>urn:x:feed</id><updated>2020-09-01T02:00:00Z</updated>
<entry><id>urn:x:1</id><title>One mark</title><link href="post/1"/>
  <published>2020-09-01T10:00:00+08:00</published><updated>2021-01-01T00:00:00Z</updated></entry>
<entry><id>{P2}</id><title>Two</title><link rel="alternate" href="{P2}"/></entry>
</feed>
"""
JSON = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "News",
        "items": [
            {"id": 17, "url": P1, "title": "One", "date_published": "2020-09-01T10:00:00+08:00"},
            {"id": P2, "url": P2, "external_url": "https://other.example/"},
            "nonsense",
        ],
    }
)
TEXT_ONLY = f"""<rss version="2.0"><channel><title>Notes</title>
<item><guid isPermaLink="false">a</guid><title>First</title>
  <description>&lt;p&gt;{STORY}&lt;/p&gt;&lt;p&gt;End.&lt;/p&gt;</description></item>
<item><description>Only words</description></item>
<item><guid isPermaLink="false">c</guid><link>magnet:?xt=1</link><title>Third</title></item>
</channel></rss>
"""
EMPTY = '<rss version="2.0"><channel><title>News</title></channel></rss>'
PUBLISHED = micros(datetime(2020, 9, 1, 2, tzinfo=UTC))


def xml(body: str | bytes, **more: object) -> Exchange:
    return answer(body, url=FEED, kind="application/xml", **more)  # type: ignore[arg-type]


async def discover(exchange: Exchange) -> Discovery:
    source: Source = FeedSource(name, {})
    return await source.discover(source.account(FEED), "", Prepared({FEED: exchange}))


# -- the list ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "first"),
    [
        (RSS, "application/rss+xml", f"{FEED} 17"),
        (RSS, "text/html; charset=utf-8", f"{FEED} 17"),  # servers often say so of a feed
        (ATOM, "application/atom+xml", "urn:x:1"),
        (JSON, "application/feed+json", f"{FEED} 17"),
        (JSON, "application/json", f"{FEED} 17"),
        ("\ufeff" + RSS, "", f"{FEED} 17"),
    ],
)
async def test_each_kind_of_feed_lists_its_items(body: str, kind: str, first: str) -> None:
    found = await discover(answer(body, url=FEED, kind=kind))
    assert found.observation.signal is ALIVE
    assert found.observation.subject == name("feed", f"feed:{FEED}")
    assert found.observation.via is Via.TIMELINE
    one, two = (sighting.post for sighting in found.sightings)
    assert (one.native_id, one.url, one.published_at) == (first, P1, PUBLISHED)
    assert (two.native_id, two.url, two.published_at) == (P2, P2, None)
    assert one.key == name("feed", first)
    assert one.account == found.observation.subject


async def test_being_listed_proves_nothing_of_the_linked_page() -> None:
    """Else a page that was taken down would stay alive for as long as its feed lags behind."""
    found = await discover(xml(RSS))
    assert [s.observation for s in found.sightings] == [None, None]
    assert found.complete_since is None  # and a window that an item has left proves no loss


async def test_an_item_without_a_page_lives_in_its_feed() -> None:
    found = await discover(xml(TEXT_ONLY))
    assert len(found.sightings) == 3
    first = found.sightings[0]
    assert first.post.url == FEED
    assert first.observation is not None
    assert (first.observation.signal, first.observation.via) == (ALIVE, Via.TIMELINE)
    assert first.version is not None
    assert (first.version.title, first.version.text) == ("First", f"{STORY} End.")
    assert len({s.post.key for s in found.sightings}) == 3


async def test_an_empty_feed_is_an_account_that_is_alive() -> None:
    found = await discover(xml(EMPTY))
    assert (found.observation.signal, found.sightings) == (ALIVE, ())


@pytest.mark.parametrize(
    "body",
    [
        article(),
        "<!doctype html><html><body><a href='/rss'>rss</a></body></html>",
        "nothing of the kind",
        '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>x',
        '{"version": "https://jsonfeed.org/version/1.1"}',
        '{"version": "https://jsonfeed.org/version/1.1", "items": {}}',
        '{"errcode": 404}',
        '{"version": "https://jsonfeed.org/ver',
        "[]",
        "{" * 5000,
    ],
)
async def test_what_is_no_feed_is_a_failed_look(body: str) -> None:
    found = await discover(xml(body))
    assert found.observation.signal.fault is Fault.UNREADABLE
    assert found.sightings == ()


async def test_a_feed_that_breaks_off_gives_whole_items_only() -> None:
    """A cut address is a post that never was, and that would be "gone" for ever."""
    end = RSS.index("post/2") + 3
    found = await discover(xml(RSS[:end]))
    assert found.observation.signal is ALIVE
    assert [s.post.url for s in found.sightings] == [P1]


@pytest.mark.parametrize(
    ("status", "cause"), [(404, Cause.UNKNOWN), (410, Cause.AUTHOR), (451, Cause.LEGAL)]
)
async def test_a_lost_feed_is_a_lost_account(status: int, cause: Cause) -> None:
    found = await discover(xml("", status=status))
    assert found.observation.signal.kind is Kind.GONE
    assert cause in found.observation.signal.causes
    assert found.sightings == ()


@pytest.mark.parametrize(
    ("exchange", "fault"),
    [
        (xml("", fault=Fault.TIMEOUT), Fault.TIMEOUT),
        (xml("", status=403), Fault.FORBIDDEN),
        (xml("", status=304), Fault.UNREADABLE),
        (xml(""), Fault.EMPTY),
    ],
)
async def test_a_failed_look_at_a_feed_loses_nothing(exchange: Exchange, fault: Fault) -> None:
    found = await discover(exchange)
    assert found.observation.signal.fault is fault
    assert found.sightings == ()


async def test_items_that_a_feed_repeats_are_one_post() -> None:
    item = RSS[RSS.index("<item>") : RSS.index("</item>") + 7]
    items = read_items(xml(RSS.replace("</channel>", f"{item}</channel>")), FEED)
    assert items is not None
    assert [item.url for item in items] == [P1, P2]


async def test_equal_ids_of_two_feeds_are_two_posts() -> None:
    """Numbers are unique within one feed only; mixed up, one site's loss would be another's."""
    other = "https://other.example/feed"
    source = FeedSource(name, {})
    body = answer(RSS.replace("news.example", "other.example"), url=other, kind="text/xml")
    found = await source.discover(source.account(other), "", Prepared({other: body}))
    here = await discover(xml(RSS))
    assert found.sightings[0].post.key != here.sightings[0].post.key


def test_a_feed_cannot_make_us_read_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text(RSS)
    assert read_items(xml(str(secret)), FEED) is None
    outside = (
        f'<!DOCTYPE r [<!ENTITY x SYSTEM "file://{secret}">]>'
        "<rss version='2.0'><channel><item><title>&x;</title><link>/a</link></item></channel></rss>"
    )
    items = read_items(xml(outside), FEED)
    assert items is not None
    assert len(items) == 1
    assert "mark" not in items[0].title


def test_a_feed_that_unfolds_without_end_is_stopped() -> None:
    doubling = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 16}">' for n in range(1, 9))
    bomb = (
        f'<!DOCTYPE r [<!ENTITY e0 "aaaaaaaaaaaaaaaa">{doubling}]><rss version="2.0"><channel>'
        "<item><title>&e8;</title><link>/a</link></item></channel></rss>"
    )
    items = read_items(xml(bomb), FEED)
    assert sum(len(item.title) for item in items or ()) < 100_000


@pytest.mark.parametrize("tag", ["<item>", "<a>", "<div>"])
async def test_a_feed_that_nests_without_end_is_not_read(tag: str) -> None:
    """feedparser would take a minute over it, and the watch would stand still."""
    found = await discover(xml('<rss version="2.0"><channel>' + tag * 200_000))
    assert found.observation.signal.fault is Fault.UNREADABLE


async def test_a_large_feed_is_read_whole() -> None:
    items = "".join(
        f"<item><link>/post/{n}</link><title>{STORY}</title></item>" for n in range(800)
    )
    found = await discover(xml(f'<rss version="2.0"><channel>{items}</channel></rss>'))
    assert len(found.sightings) == 800


@given(st.one_of(st.text(max_size=300), st.text(max_size=60).map(lambda t: RSS.replace("One", t))))
def test_no_body_breaks_the_reader(body: str) -> None:
    items = read_items(xml(body), FEED)
    assert items is None or all(item.native_id for item in items)


@pytest.mark.parametrize("address", ["", "news.example/feed", "feed:https://news.example/f"])
def test_what_is_no_address_of_a_feed_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no address of a feed"):
        FeedSource(name, {}).account(address)


# -- its posts ---------------------------------------------------------------------------------


async def test_an_item_is_looked_at_by_its_page() -> None:
    """Gone from the feed or not: only its own page can say that it is gone."""
    source = FeedSource(name, {})
    post = (await discover(xml(RSS))).sightings[0].post
    fetch = Prepared({P1: answer(article(), url=P1)})
    (look,) = await source.look([post], fetch)
    assert fetch.asked == [P1]
    assert (look.observation.signal, look.observation.via) == (ALIVE, Via.DIRECT)
    assert look.observation.subject == post.key
    assert look.version is not None
    assert look.version.title == "The twelfth mark"
    fetch.answers[P1] = answer(wechat_notice("该内容已被发布者删除"), url=P1)
    (look,) = await source.look([post], fetch)
    assert look.observation.signal.causes == {Cause.AUTHOR}


async def test_a_text_that_leaves_its_feed_is_absent_and_not_gone() -> None:
    source = FeedSource(name, {})
    post = (await discover(xml(TEXT_ONLY))).sightings[0].post
    fetch = Prepared({FEED: xml(TEXT_ONLY)})
    (look,) = await source.look([post], fetch)
    assert look.observation.signal is ALIVE
    assert look.version is not None
    fetch.answers[FEED] = xml(TEXT_ONLY.replace("End.", "Fin."))
    (edited,) = await source.look([post], fetch)
    assert edited.observation.signal is ALIVE
    assert edited.observation.version != look.observation.version
    fetch.answers[FEED] = xml(EMPTY)
    (look,) = await source.look([post], fetch)
    assert look.observation.signal is ABSENT
    fetch.answers[FEED] = xml("", status=404)
    (look,) = await source.look([post], fetch)
    assert look.observation.signal.account_level
    fetch.answers[FEED] = xml("", fault=Fault.SERVER)
    (look,) = await source.look([post], fetch)
    assert look.observation.signal.fault is Fault.SERVER
