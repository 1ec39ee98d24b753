"""The Bluesky source's lists, handles and readings of posts, against answers written here."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings

from tests.sources.bluesky_answers import (
    JSON,
    LABELER,
    OTHER,
    PLC,
    RKEY,
    URI,
    VIEW,
    Answer,
    Answers,
    Form,
    absent,
    error,
    feed,
    label,
    name,
    post,
    shown,
)
from tests.sources.signed_repo import DID, HOST, document
from vanished.errors import UsageError
from vanished.model import Count, Discovery, Fault, Kind, Look, Signal, Strength, Via, micros
from vanished.sources import at_identity
from vanished.sources import bluesky_api as api
from vanished.sources.bluesky import MOST_PAGES, BlueskySource


@pytest.fixture
def source() -> BlueskySource:
    return BlueskySource(name, {"appview": VIEW, "plc": PLC})


# -- lists ---------------------------------------------------------------------------------------


def dated(number: int, **more: Any) -> dict[str, Any]:
    day = f"2026-11-{30 - number:02}T08:00:00Z"
    view = shown(f"at://{DID}/app.bsky.feed.post/3kaaaaaaaa{number:03}", f"sentence {number}")
    return {**view, "record": {**view["record"], "createdAt": day}, "indexedAt": day, **more}


async def read(source: BlueskySource, *pages: Answer, cursor: str = "") -> Discovery:
    by_path = absent(getAuthorFeed=list(pages))
    return await source.discover(source.account(DID), cursor, Answers(by_path))


async def test_pages_are_read_until_what_is_known(source: BlueskySource) -> None:
    first = await read(
        source, feed(dated(4), dated(5), cursor="x"), feed(dated(6), cursor="y"), feed()
    )
    assert len(first.sightings) == 3
    second = await read(
        source,
        feed(dated(1), dated(2), cursor="x"),
        feed(dated(3), dated(4), dated(5), cursor="y"),
        cursor=first.cursor,
    )
    assert [s.post.native_id[-1] for s in second.sightings] == ["1", "2", "3", "4", "5"]
    assert second.complete_since == api.published(dated(5))
    for sighting in second.sightings:
        assert sighting.observation is not None
        assert sighting.observation.via is Via.TIMELINE
        assert sighting.post.url.startswith(f"{VIEW}/xrpc/app.bsky.feed.getPosts?uris=at://")


async def test_reposts_pins_and_others_posts_are_no_posts_of_the_account(
    source: BlueskySource,
) -> None:
    """An old post that is pinned would else claim that the list is whole since then."""
    theirs = shown(f"at://{LABELER}/app.bsky.feed.post/{RKEY}")
    repost = {"post": dated(20), "reason": {"$type": "app.bsky.feed.defs#reasonRepost"}}
    items = [repost, {"post": dated(1)}, {"post": theirs}, {"post": dated(2)}, 7, {"post": None}]
    found = await read(source, (200, {"feed": items}))
    assert [s.post.native_id[-1] for s in found.sightings] == ["1", "2"]
    assert found.complete_since == api.published(dated(2))


async def test_a_reading_that_breaks_off_is_taken_up_again(source: BlueskySource) -> None:
    found = await read(source, feed(dated(1), cursor="x"), (0, Fault.TIMEOUT))
    assert len(found.sightings) == 1
    assert found.observation.signal.kind is Kind.ERROR
    assert json.loads(found.cursor)["newest"] == 0


async def test_a_list_without_an_end_is_left_after_some_pages(source: BlueskySource) -> None:
    pages = iter(range(1000))
    by_path = absent(getAuthorFeed=lambda url: feed(dated(9), cursor=f"c{next(pages)}"))
    answers = Answers(by_path)
    await source.discover(source.account(DID), "", answers)
    assert len(answers.asked) == MOST_PAGES


async def test_a_handle_is_resolved_once_and_only_by_who_may(source: BlueskySource) -> None:
    """A handle that moves on must not carry another person's posts into this account."""
    account = source.account("ann.example.org")
    resolved: dict[str, Form] = {"com.atproto.identity.resolveHandle": (200, {"did": DID})}
    found = await source.discover(account, "", Answers(absent() | resolved))
    assert json.loads(found.cursor)["did"] == DID
    later = Answers(absent())
    await source.discover(account, found.cursor, later)
    assert "com.atproto.identity.resolveHandle" not in later.paths()
    unknown: dict[str, Form] = {
        "com.atproto.identity.resolveHandle": error("InvalidRequest", "Unable to resolve handle")
    }
    own: dict[str, Form] = {"atproto-did": (200, f"{DID}\n".encode())}
    answers = Answers(absent() | unknown | own)
    found = await source.discover(account, "", answers)
    assert json.loads(found.cursor)["did"] == DID
    assert "https://ann.example.org/.well-known/atproto-did" in [url for url, _ in answers.asked]
    for body in (b"did:key:z6Mk", b"<html>", b""):
        answers = Answers(absent() | unknown | {"atproto-did": (200, body)})
        found = await source.discover(account, "", answers)
        assert found.observation.signal.fault is Fault.UNREADABLE
        assert found.cursor == ""


async def test_a_cursor_of_another_version_is_a_first_reading(source: BlueskySource) -> None:
    for cursor in ("nonsense", "[]", '{"other": 1}'):
        found = await read(source, feed(dated(1)), cursor=cursor)
        assert json.loads(found.cursor)["did"] == DID


def test_a_single_post_has_the_name_that_a_list_gives_it(source: BlueskySource) -> None:
    """Posts whose fate is known are named by a person; another name would be another post."""
    page = f"https://bsky.app/profile/{DID}/post/{RKEY}"
    made = source.post(URI)
    assert source.post(page) == source.post(f" {page}/ ") == made
    assert (made.key, made.native_id) == (f"bluesky-{URI}", URI)
    assert made.url == f"{VIEW}/xrpc/app.bsky.feed.getPosts?uris={URI}"
    handle = f"https://bsky.app/profile/ann.example.org/post/{RKEY}"
    for wrong in ("", "https://example.org/", handle, URI + "/", URI.replace("post", "like"), DID):
        with pytest.raises(UsageError):
            source.post(wrong)


async def test_a_did_of_the_web_is_asked_of_its_own_host(source: BlueskySource) -> None:
    did = "did:web:ann.example.org"
    uri = URI.replace(DID, did)
    by_path = absent(getProfile=(200, {"did": did}), getAuthorFeed=feed())
    answers = Answers(by_path | {"did.json": (200, {**document(), "id": did})})
    await source.look([post(uri)], answers)
    urls = [url for url, _ in answers.asked]
    assert "https://ann.example.org/.well-known/did.json" in urls
    assert any(url.startswith(f"{HOST}/xrpc/com.atproto.sync.getRecord?") for url in urls)
    assert not any(url.startswith(PLC) for url in urls)
    assert at_identity.document_url("did:web:localhost%3A99", PLC) == (
        "http://localhost:99/.well-known/did.json"
    )


# -- reading a post ------------------------------------------------------------------------------


def test_text_counts_media_and_quotes_are_read() -> None:
    images = {"images": [{"fullsize": "https://cdn.example.org/1"}, {"fullsize": "data:x"}, 7]}
    quote = {"record": {"record": {"uri": OTHER}}}
    view = shown(
        text="two\nlines",
        embed={"media": images, "record": {}},
        likeCount=3,
        repostCount=0,
        replyCount=-1,
        labels=[label("!warn"), label("!hide"), label("porn")],
    )
    view["record"]["embed"] = quote
    signal, version, counts = api.reading(view)
    assert signal == Signal(Kind.ALIVE, words="labelled !hide, !warn", by="labeler")
    assert version is not None
    assert (version.text, version.media) == ("two\nlines", ("https://cdn.example.org/1",))
    assert (counts.likes, counts.reposts, counts.comments) == (
        Count.exact(3),
        Count.exact(0),
        None,
    )
    assert api.quoted(view) == OTHER
    assert api.published(view) == micros_of("2026-11-01T08:00:00+00:00")
    for claimed in ("soon", "2026-11-01", 7, None, "2026-13-01T00:00:00Z"):
        view["record"]["createdAt"] = claimed
        assert api.published(view) is None


def micros_of(text: str) -> int:
    return micros(datetime.fromisoformat(text))


@given(JSON)
@settings(max_examples=300, deadline=None)
async def test_no_form_of_an_answer_stops_the_source_or_loses_a_post(answer: object) -> None:
    source = BlueskySource(name, {"appview": VIEW, "plc": PLC})
    for where in ("getPosts", "getAuthorFeed", "getProfile", "getRecord", "plc", "car"):
        looks: list[Look] = await source.look([post()], Answers(absent(**{where: (200, answer)})))
        signal = looks[0].observation.signal
        strong = signal.gone and signal.strength is Strength.STRONG
        assert not strong, (where, signal)
    found = await source.discover(
        source.account(DID), "", Answers(absent(getAuthorFeed=(200, answer)))
    )
    assert not found.observation.signal.gone
