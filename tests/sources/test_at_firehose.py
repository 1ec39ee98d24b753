"""The AT Protocol's stream of changes, in frames written here: hints only, and no broken stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.bluesky_answers import JSON, LABELER, PATH, URI
from tests.sources.signed_repo import DID
from vanished.errors import ConfigError
from vanished.sources import at_firehose


def frame(kind: str, body: Mapping[str, Any], op: int = 1) -> bytes:
    header = {"op": op, **({"t": kind} if kind else {})}
    raw: bytes = libipld.encode_dag_cbor(header) + libipld.encode_dag_cbor(body)
    return raw


def commit(seq: int, *ops: tuple[str, str], did: str = DID, **more: Any) -> bytes:
    listed = [{"action": action, "path": path, "cid": None} for action, path in ops]
    return frame("#commit", {"seq": seq, "repo": did, "ops": listed, "blocks": b"", **more})


async def followed(
    *frames: bytes, seq: int = -1
) -> tuple[list[tuple[str, str]], at_firehose.Follower]:
    async def messages() -> Any:
        for each in frames:
            yield each

    follower = at_firehose.Follower({DID}, seq)
    hints = [(hint.post, hint.said) async for hint in follower.hints(messages())]
    return hints, follower


async def test_the_stream_gives_hints_of_watched_accounts_only() -> None:
    hints, follower = await followed(
        commit(1, ("create", PATH), ("create", "app.bsky.feed.like/3k")),
        commit(2, ("delete", PATH), did=LABELER),
        commit(3, ("delete", PATH)),
        commit(3, ("delete", PATH)),
        commit(2, ("create", PATH)),
        frame("#account", {"seq": 5, "did": DID, "active": False, "status": "takendown"}),
        frame("#account", {"seq": 6, "did": DID, "active": True}),
        frame("#identity", {"seq": 7, "did": DID}),
        frame("#sync", {"seq": 8, "did": DID}),
        commit(9, tooBig=True),
        frame("#news-of-tomorrow", {"seq": 10, "did": DID}),
        frame("", {"error": "ConsumerTooSlow", "message": "too slow"}, op=-1),
        commit(11, ("delete", PATH)),
    )
    assert hints == [
        (URI, "create"), (URI, "delete"), ("", "takendown"), ("", "active"),
        ("", "identity"), ("", "sync"), ("", "too big"),
    ]  # fmt: skip
    assert (follower.seq, follower.words, follower.unreadable) == (10, "ConsumerTooSlow", 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xa1",
        b"<html>",
        libipld.encode_dag_cbor({"op": 1}),
        frame("#commit", {"seq": -1}),
        frame("#commit", {"seq": "1"}),
        frame("#commit", {"seq": 1}, op=2),
        libipld.encode_dag_cbor([]) * 2,
        b"\x81" * 20_000,
        bytes(at_firehose.LARGEST + 1),
    ],
)
async def test_a_broken_message_is_passed_over(raw: bytes) -> None:
    """One hostile frame must not end the stream for all who are watched."""
    hints, follower = await followed(raw, commit(4, ("delete", PATH)))
    assert hints == [(URI, "delete")]
    assert (follower.seq, follower.unreadable) == (4, 1)


@given(JSON, st.sampled_from(["#commit", "#account", "#sync"]))
@settings(max_examples=100, deadline=None)
def test_no_form_of_a_message_stops_the_stream(body: object, kind: str) -> None:
    mixed = {"seq": 1, **(body if isinstance(body, dict) else {"ops": body, "repo": body})}
    try:
        raw = frame(kind, mixed)
    except (OverflowError, ValueError):  # an integer that DAG-CBOR does not know
        return
    assert at_firehose.read_frame(raw).error == ""


def test_the_stream_is_asked_for_from_where_it_was_left() -> None:
    path = "/xrpc/com.atproto.sync.subscribeRepos"
    relay = at_firehose.stream_of("wss://relay.example.org/")
    assert at_firehose.Follower((), base=relay).url == f"wss://relay.example.org{path}"
    local = at_firehose.stream_of("ws://localhost:9")
    assert at_firehose.Follower((), 7, local).url == f"ws://localhost:9{path}?cursor=7"


@pytest.mark.parametrize(
    "given", ["relay.example.org", "https://relay.example.org", "wss://", "wss://h/path", "ws:h"]
)
def test_what_is_no_address_of_a_stream_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"\[sources.bluesky\] stream has to be"):
        at_firehose.stream_of(given)


async def test_a_gap_is_said_and_the_stream_goes_on() -> None:
    hints, follower = await followed(
        frame("#info", {"name": "OutdatedCursor", "message": "long ago"}),
        commit(900, ("delete", PATH)),
        seq=5,
    )
    assert hints == [(URI, "delete")]
    assert (follower.seq, follower.words, follower.unreadable) == (900, "OutdatedCursor", 0)


async def test_a_stream_whose_numbers_began_anew_is_read_from_now_on() -> None:
    """Else the same cursor would be refused for ever."""
    _, follower = await followed(frame("", {"error": "FutureCursor"}, op=-1), seq=10_000)
    assert follower.seq == -1


async def test_words_of_a_server_do_not_reach_the_operator_as_they_are() -> None:
    _, follower = await followed(frame("", {"error": "a name\x1b[2J at://did:plc:x"}, op=-1))
    assert follower.words == "something without a name"


def test_the_time_of_a_message_is_its_claim() -> None:
    raw = frame("#identity", {"seq": 7, "did": DID, "time": "2026-11-24T17:00:00.5Z"})
    assert at_firehose.read_frame(raw).time == "2026-11-24T17:00:00.5Z"
