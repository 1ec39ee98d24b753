"""The Matrix source against answers written here: hostile, broken and rare ones.

What a real homeserver says is tested in test_synapse.py; here is what no test can make it say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vanished.errors import ConfigError, UsageError
from vanished.model import Account, Cause, Discovery, Fault, Kind, Post, Signal, Strength
from vanished.net.exchange import Exchange
from vanished.sources import matrix_api as api
from vanished.sources.matrix import MOST_ASKED, MatrixSource
from vanished.sources.matrix_room import MOST_PAGES
from vanished.sources.notice import load_pack

SERVER = "https://matrix.example.org"
ROOM = "!room:example.org"
ALIAS = "#news:example.org"
SECRET = "syt_a_secret_token"

INSIDE = {"room_id": ROOM, "membership": "join"}
NOT_IN_ROOM = {"errcode": "M_FORBIDDEN", "error": "User @me:example.org not in room " + ROOM}
NOT_FOUND = {"errcode": "M_NOT_FOUND", "error": "Event not found."}
NO_SUCH_CALL = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
LEFT = {"errcode": "M_UNKNOWN", "error": "Missing via to query remote room"}
BLOCKED = {"errcode": "M_UNKNOWN", "error": "This room has been blocked on this server"}

Answer = tuple[int, Any]


@dataclass
class Answers:
    """A `Fetch` that answers by the first key found in the path; a list is used up one by one."""

    by_path: dict[str, Answer | list[Answer]]
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        self.asked.append((method, url, headers or {}))
        path = unquote(urlsplit(url).path)
        found = next((a for key, a in self.by_path.items() if key in path), (404, NO_SUCH_CALL))
        status, content = found.pop(0) if isinstance(found, list) else found
        now = 1_000_000 * len(self.asked)
        exchange = Exchange(url, now, now + 1000, status)
        if isinstance(content, Fault):
            return replace(exchange, fault=content, words="it failed")
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return replace(exchange, body=raw)


def name(platform: str, native_id: str) -> str:
    return f"{platform}-{native_id}"


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> MatrixSource:
    monkeypatch.setenv("VANISHED_MATRIX_TOKEN", SECRET)
    return MatrixSource(name, {"server": SERVER})


def event(ident: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": text}
    return {
        "event_id": ident,
        "type": "m.room.message",
        "sender": "@ann:example.org",
        "origin_server_ts": 1_700_000_000_000,
        "content": content,
        **more,
    }


def redaction(target: str, number: int = 0) -> dict[str, Any]:
    content = {"redacts": target}
    return event(f"$redaction{number}{target[1:]}", type="m.room.redaction", content=content)


def redacted(ident: str, by: str = "@ann:example.org") -> dict[str, Any]:
    return event(ident, content={}, unsigned={"redacted_because": {"sender": by, "content": {}}})


def page(*events: Any, end: str = "", start: str = "s1") -> Answer:
    return 200, {"chunk": list(events), "start": start, **({"end": end} if end else {})}


def post(source: MatrixSource, ident: str = "$a") -> Post:
    native = f"{ROOM}/{ident}"
    return Post("key", "account", "matrix", native, SERVER + api.event_path(ROOM, ident))


async def looked(source: MatrixSource, answers: Answers) -> Signal:
    (look,) = await source.look([post(source)], answers)
    return look.observation.signal


async def read(source: MatrixSource, answers: Answers, cursor: str = "") -> Discovery:
    return await source.discover(source.account(ROOM), cursor, answers)


def cursor(**more: Any) -> str:
    return json.dumps({"room": ROOM, "at": "s1", **more})


SYNC: Answer = (200, {"next_batch": "s9"})


# -- what a person writes ----------------------------------------------------------------------


@pytest.mark.parametrize("address", [ALIAS, ROOM, " #a:b.example:8448 ", "!" + "x" * 43])
def test_rooms_are_taken_by_alias_or_id(source: MatrixSource, address: str) -> None:
    account = source.account(address)
    assert account == Account(
        name("matrix", address.strip()),
        "matrix",
        address.strip(),
        name=address.strip(),
        url=account.url,
    )
    assert account.url.startswith(SERVER + "/_matrix/client/v3/")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "news",
        "#news",
        "@ann:example.org",
        "#two words:example.org",
        "!short",
        "#a:" + "b" * 300,
    ],
)
def test_what_is_no_room_is_refused_with_an_example(source: MatrixSource, address: str) -> None:
    with pytest.raises(UsageError, match="#news:example"):
        source.account(address)


def test_without_a_server_the_error_says_what_to_write() -> None:
    """A server guessed from an alias would be sent a token that is for another server."""
    with pytest.raises(UsageError, match=r'server = "https://example\.org"'):
        MatrixSource(name, {}).account(ALIAS)


@pytest.mark.parametrize(
    "settings",
    [
        {"server": "matrix.example.org"},
        {"server": "ftp://example.org"},
        {"server": "https://example.org/_matrix"},
        {"server": "https://user:password@example.org"},
        {"server": "https://"},
        {"server": "https://example.org:notaport"},
        {"server": "https://[example.org"},
        {"token_env": "syt-this-is-a-token"},
        {"token_env": ""},
    ],
)
def test_settings_that_cannot_be_followed_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        MatrixSource(name, settings)
    assert "syt-" not in str(error.value)
    assert "password" not in str(error.value)


# -- the secret --------------------------------------------------------------------------------


async def test_the_token_goes_to_the_server_of_the_settings_and_nowhere_else(
    source: MatrixSource,
) -> None:
    """An access token sent to another server is an account handed over."""
    answers = Answers({"/event/": (401, {"errcode": "M_MISSING_TOKEN", "error": "no"})})
    elsewhere = replace(post(source), url="https://elsewhere.example/_matrix/client/v3/rooms/x")
    close = replace(post(source), url=SERVER + ".evil.example/_matrix/client/v3/rooms/x")
    for each in (post(source), elsewhere, close):
        (look,) = await source.look([each], answers)
        assert look.observation.signal.fault is Fault.FORBIDDEN
    sent = [headers.get("Authorization") for _, _, headers in answers.asked]
    assert sent == [f"Bearer {SECRET}", None, None]
    assert not any(SECRET in url for _, url, _ in answers.asked)


async def test_the_token_is_in_no_fact_and_no_cursor(source: MatrixSource) -> None:
    answers = Answers({"/sync": (401, {"errcode": "M_UNKNOWN_TOKEN", "error": SECRET})})
    found = await read(source, answers)
    assert SECRET not in repr(found)
    assert "VANISHED_MATRIX_TOKEN" in found.observation.signal.words
    assert SECRET not in repr(api.Asker(Answers({}), SERVER, SECRET, "VARIABLE"))


# -- failed looks ------------------------------------------------------------------------------

FAILURES: list[tuple[Answer, Fault]] = [
    ((0, Fault.TIMEOUT), Fault.TIMEOUT),
    ((200, Fault.TRUNCATED), Fault.TRUNCATED),
    ((502, Fault.SERVER), Fault.SERVER),
    ((429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2000}), Fault.RATE_LIMITED),
    ((403, NOT_IN_ROOM), Fault.FORBIDDEN),
    ((403, {"errcode": "M_USER_DEACTIVATED", "error": "closed"}), Fault.FORBIDDEN),
    ((401, {"errcode": "M_USER_LOCKED", "error": "locked"}), Fault.FORBIDDEN),
    ((403, b"<html>Checking your browser</html>"), Fault.FORBIDDEN),
    ((200, b"<html>Checking your browser</html>"), Fault.UNREADABLE),
    ((200, b'{"event_id": "$a", "content'), Fault.UNREADABLE),
    ((200, b"[" * 100_000), Fault.UNREADABLE),
    ((200, {}), Fault.UNREADABLE),
    ((200, []), Fault.UNREADABLE),
    ((200, event("$another")), Fault.UNREADABLE),
    ((404, b"<h1>404 Not Found</h1>"), Fault.UNREADABLE),
    ((404, NO_SUCH_CALL), Fault.UNREADABLE),
    ((410, {"errcode": 7}), Fault.UNREADABLE),
]


@pytest.mark.parametrize(("answer", "fault"), FAILURES)
async def test_a_failed_look_is_no_removal(
    source: MatrixSource, answer: Answer, fault: Fault
) -> None:
    """Captchas, proxies, limits and lost logins would else be reported as censorship."""
    signal = await looked(source, Answers({"/event/": answer, "/room_summary": (200, INSIDE)}))
    assert (signal.kind, signal.fault) == (Kind.ERROR, fault)


@pytest.mark.parametrize(("answer", "fault"), FAILURES)
@pytest.mark.parametrize("before", ["", cursor()])
async def test_a_failed_reading_loses_nothing_and_is_taken_up_again(
    source: MatrixSource, answer: Answer, fault: Fault, before: str
) -> None:
    paths: dict[str, Answer | list[Answer]] = {"/sync": SYNC, "/messages": answer}
    found = await read(source, Answers(paths), before)
    assert (found.observation.signal.kind, found.observation.signal.fault) == (Kind.ERROR, fault)
    assert found.sightings == ()
    assert json.loads(found.cursor)["at"] == (json.loads(before)["at"] if before else "")


async def test_a_first_reading_that_breaks_off_counts_for_nothing(source: MatrixSource) -> None:
    """Its newest pages alone would move the cursor past the older ones."""
    pages = [page(event("$b"), end="t1"), (0, Fault.TIMEOUT)]
    found = await read(source, Answers({"/sync": SYNC, "/messages": pages}))
    assert (found.observation.signal.kind, found.sightings) == (Kind.ERROR, ())
    again = [page(event("$b"), end="t1"), page(event("$a"), end="t0"), page(start="t0")]
    found = await read(source, Answers({"/sync": SYNC, "/messages": again}), found.cursor)
    assert [s.post.native_id for s in found.sightings] == [f"{ROOM}/$a", f"{ROOM}/$b"]
    assert json.loads(found.cursor)["at"] == "s9"


async def test_a_later_reading_that_breaks_off_goes_on_where_it_stopped(
    source: MatrixSource,
) -> None:
    pages = [page(event("$c"), end="t3"), (0, Fault.TIMEOUT)]
    found = await read(source, Answers({"/sync": SYNC, "/messages": pages}), cursor())
    assert found.observation.signal.kind is Kind.ERROR
    assert [s.post.native_id for s in found.sightings] == [f"{ROOM}/$c"]
    answers = Answers({"/sync": SYNC, "/messages": page(event("$d"))})
    found = await read(source, answers, found.cursor)
    assert any("from=t3" in url for _, url, _ in answers.asked)
    assert json.loads(found.cursor)["at"] == "s9"


async def test_a_reading_is_bounded_and_the_rest_comes_with_the_next(source: MatrixSource) -> None:
    """A room with a million messages must not hold the watch for a day."""
    pages = [page(event(f"$e{n}"), end=f"t{n}") for n in range(MOST_PAGES + 5)]
    found = await read(source, Answers({"/sync": SYNC, "/messages": pages}), cursor())
    assert len(found.sightings) == MOST_PAGES
    assert json.loads(found.cursor)["at"] == f"t{MOST_PAGES - 1}"
    found = await read(
        source, Answers({"/sync": SYNC, "/messages": [*pages, page()]}), found.cursor
    )
    assert len(found.sightings) == 5
    assert json.loads(found.cursor)["at"] == "s9"


@pytest.mark.parametrize("broken", ["", "x", "[]", "7", '{"room": 1, "colour": 2}', "null"])
async def test_a_cursor_of_another_version_means_a_first_reading(
    source: MatrixSource, broken: str
) -> None:
    answers = Answers({"/sync": SYNC, "/messages": page(event("$a"))})
    found = await read(source, answers, broken)
    assert found.observation.signal.kind is Kind.ALIVE
    assert any("dir=b" in url for _, url, _ in answers.asked)


# -- what is gone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("summary", "kind", "cause"),
    [
        ((200, INSIDE), Kind.GONE, Cause.UNKNOWN),
        ((200, {"membership": "leave", "world_readable": True}), Kind.GONE, Cause.UNKNOWN),
        ((200, {"membership": "ban"}), Kind.ERROR, None),
        ((200, {"room_id": ROOM}), Kind.ERROR, None),
        ((404, {"errcode": "M_NOT_FOUND", "error": "not accessible"}), Kind.ERROR, None),
        ((404, NO_SUCH_CALL), Kind.ERROR, None),
        ((502, Fault.SERVER), Kind.ERROR, None),
        ((400, LEFT), Kind.GONE, Cause.UNKNOWN),
    ],
)
async def test_not_found_counts_only_while_the_room_can_be_read_or_is_left(
    source: MatrixSource, summary: Answer, kind: Kind, cause: Cause | None
) -> None:
    """Who is not in a room gets "not found" for every event in it."""
    signal = await looked(source, Answers({"/event/": (404, NOT_FOUND), "/room_summary": summary}))
    assert signal.kind is kind
    assert signal.causes == ({cause} if cause else set())
    assert kind is Kind.ERROR or signal.strength is Strength.WEAK


async def test_who_redacted_decides_what_stays_open(source: MatrixSource) -> None:
    """The operator can redact in the author's name, so that name alone convicts nobody."""
    own = await looked(source, Answers({"/event/": (200, redacted("$a"))}))
    assert own.causes == {Cause.AUTHOR, Cause.PLATFORM}
    assert own.by == "author"
    other = await looked(source, Answers({"/event/": (200, redacted("$a", "@mo:example.org"))}))
    assert other.causes == {Cause.PLATFORM}
    assert other.by == "moderator"
    unsigned = {"redacted_because": {"sender": None}}
    nobody = event("$a", content={}, unsigned=unsigned)
    signal = await looked(source, Answers({"/event/": (200, nobody)}))
    assert signal.causes == {Cause.AUTHOR, Cause.PLATFORM}
    assert signal.by == ""


async def test_reasons_are_kept_without_names(source: MatrixSource) -> None:
    """A reason often names people, who did not agree to stand in our journal."""
    because = {"sender": "@mo:x.org", "content": {"reason": f"@ann:x.org  was rude in {ALIAS}"}}
    gone = event("$a", content={}, unsigned={"redacted_because": because})
    signal = await looked(source, Answers({"/event/": (200, gone)}))
    assert signal.words == "… was rude in …"
    refused = await looked(source, Answers({"/event/": (403, NOT_IN_ROOM)}))
    assert "example.org" not in refused.words


async def test_a_post_reads_as_its_latest_wording(source: MatrixSource) -> None:
    """An edit is a new version, not a loss; somebody else's edit is neither."""
    content = {"body": "* new", "m.new_content": {"body": "new", "url": "mxc://x.org/pic"}}
    newest = {"sender": "@ann:example.org", "content": content}
    edited = event("$a", "old", unsigned={"m.relations": {"m.replace": newest}})
    (look,) = await source.look([post(source)], Answers({"/event/": (200, edited)}))
    assert look.version is not None
    assert (look.version.text, look.version.media) == ("new", ("mxc://x.org/pic",))
    assert look.observation.version == look.version.hash
    newest["sender"] = "@eve:example.org"
    (look,) = await source.look([post(source)], Answers({"/event/": (200, edited)}))
    assert look.version is not None
    assert look.version.text == "old"


async def test_a_burst_of_redactions_is_asked_for_in_pages_and_within_bounds(
    source: MatrixSource,
) -> None:
    """A bulk redaction must neither be missed nor answered with a burst of requests of our own."""
    old = [f"$old{n:02}" for n in range(MOST_ASKED + 10)]
    ancient = [f"$ancient{n:02}" for n in range(MOST_ASKED + 5)]
    news = page(*[redaction(target) for target in old + ancient])
    back = page(*[redacted(ident) for ident in old], end="t0")
    nothing = page(event("$x"), end="t9")
    single = {f"/event/{ident}": (200, redacted(ident)) for ident in ancient}
    answers = Answers({"/sync": SYNC, "/messages": [news, back, nothing], **single})
    found = await read(source, answers, cursor())
    assert len(found.sightings) == len(old) + MOST_ASKED
    assert len(answers.asked) == 4 + MOST_ASKED
    left = json.loads(found.cursor)["ask"]
    assert list(left) == ancient[MOST_ASKED:]
    answers = Answers({"/sync": SYNC, "/messages": [page(), page()], **single})
    answers.by_path["/room_summary"] = (200, INSIDE)
    found = await read(source, answers, found.cursor)
    assert len(found.sightings) == 5
    assert json.loads(found.cursor)["ask"] == {}


async def test_only_a_redacted_post_of_our_time_is_a_loss(source: MatrixSource) -> None:
    """Reactions taken back, posts from before our first reading, events not for our eyes."""
    targets = ("$reaction", "$before", "$hidden", "$mine")
    news = page(*[redaction(target) for target in targets])
    old = redacted("$before") | {"origin_server_ts": 5}
    answers = Answers(
        {
            "/sync": SYNC,
            "/messages": [news, page(start="s1")],
            "/event/$reaction": (200, redacted("$reaction") | {"type": "m.reaction"}),
            "/event/$before": (200, old),
            "/event/$hidden": (404, NOT_FOUND),
            "/event/$mine": (200, redacted("$mine")),
        }
    )
    found = await read(source, answers, cursor(since=1_600_000_000_000))
    assert [s.post.native_id for s in found.sightings] == [f"{ROOM}/$mine"]
    assert json.loads(found.cursor)["ask"] == {}


# -- rooms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["", cursor()])
async def test_a_room_that_says_not_found_is_lost_only_if_it_was_known(
    source: MatrixSource, before: str
) -> None:
    paths: dict[str, Answer | list[Answer]] = {"/sync": SYNC, "/messages": (404, NOT_FOUND)}
    signal = (await read(source, Answers(paths), before)).observation.signal
    assert signal.kind is (Kind.GONE if before else Kind.ERROR)
    assert signal.causes == ({Cause.UNKNOWN} if before else set())


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ({"users_default": -10}, Kind.GONE),
        ({"users_default": 0}, Kind.ERROR),
        ({"users_default": "-10"}, Kind.ERROR),
        ({}, Kind.ERROR),
    ],
)
async def test_an_alias_that_leads_elsewhere_is_a_shutdown_only_in_its_form(
    source: MatrixSource, levels: dict[str, Any], kind: Kind
) -> None:
    """Admins move aliases every day; a member can post any sentence, a notice's included."""
    notice = load_pack("matrix").notices
    words = next(n for n in notice if n.id == "shutdown-notice").wordings[0].text
    other = "!other:example.org"
    answers = Answers(
        {
            "/sync": SYNC,
            f"/rooms/{ROOM}/messages": (403, NOT_IN_ROOM),
            "/room_summary": (404, NOT_FOUND),
            "/initialSync": (403, NOT_IN_ROOM),
            "/directory/": (200, {"room_id": other}),
            "/state/m.room.power_levels": (200, levels),
            f"/rooms/{other}/messages": page(event("$n", words)),
        }
    )
    found = await source.discover(source.account(ALIAS), cursor(), answers)
    assert found.observation.signal.kind is kind
    assert found.observation.signal.causes == ({Cause.PLATFORM} if kind is Kind.GONE else set())


async def test_joining_waits_for_the_users_word(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: dict[str, Answer | list[Answer]] = {
        "/sync": SYNC,
        "/messages": (403, NOT_IN_ROOM),
        "/room_summary": (200, {"membership": "leave"}),
        "/join/": (403, BLOCKED),
        "/initialSync": (403, BLOCKED),
    }
    for join, before in ((False, ""), (True, ""), (True, cursor())):
        answers = Answers(paths)
        source = MatrixSource(name, {"server": SERVER, "join": join})
        signal = (await read(source, answers, before)).observation.signal
        joined = any(method == "POST" for method, _, _ in answers.asked)
        assert joined is (join and not before)  # who was thrown out does not come back by itself
        assert signal.causes == {Cause.PLATFORM}


async def test_a_tombstone_without_a_successor_moves_nothing(source: MatrixSource) -> None:
    for content, kind in (({"replacement_room": "!n:x.org"}, Kind.MOVED), ({}, Kind.ALIVE)):
        stone = event("$t", type="m.room.tombstone", state_key="", content=content)
        answers = Answers({"/sync": SYNC, "/messages": [page(stone), page()]})
        found = await read(source, answers, cursor())
        assert found.observation.signal.kind is kind
        assert found.sightings == ()


# -- any answer at all -------------------------------------------------------------------------

_leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("\ud800")
_keys = st.sampled_from(
    [
        *("event_id", "type", "sender", "content", "unsigned", "redacted_because", "chunk"),
        *("start", "end", "m.relations", "m.replace", "m.new_content", "body", "room_id"),
        *("errcode", "error", "origin_server_ts", "m.relates_to", "rel_type", "state_key"),
        *("membership", "next_batch", "redacts", "url", "file", "users_default", "reason"),
    ]
)
_words = st.sampled_from(
    [
        *("$a", "$b", "m.room.message", "m.room.redaction", "m.room.tombstone", "m.replace"),
        *("M_NOT_FOUND", "M_FORBIDDEN", "join", "ban", ROOM, "@ann:example.org", "s1"),
    ]
)
_json = st.recursive(
    _leaf | _words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=6),
    max_leaves=20,
)
_status = st.sampled_from([200, 200, 200, 400, 401, 403, 404, 410])


@given(st.lists(st.tuples(_status, _json), min_size=30, max_size=30), st.sampled_from(["", "s1"]))
@example([(200, {"next_batch": "s1", "chunk": [event("$a", "\ud800")]})] * 30, "")
async def test_no_answer_breaks_the_source(answers: list[Answer], at: str) -> None:
    """One hostile server must not stop the watch of all others."""
    source = MatrixSource(name, {"server": SERVER})
    fetch = Answers({"": answers * 4})
    before = json.dumps({"room": ROOM, "at": at})
    found = await source.discover(source.account(ALIAS), before, fetch)
    json.loads(found.cursor)
    assert len(fetch.asked) <= 60
    for sighting in found.sightings:
        sighting.post.native_id.encode()
        if sighting.version:
            sighting.version.text.encode()
    await source.look([post(source)], Answers({"": answers}))


@given(_json)
def test_only_an_empty_or_redacted_event_is_gone(content: Any) -> None:
    """Whatever else an event holds, it is there."""
    unsigned, version = {"membership": "join"}, None
    signal, version = api.reading(event("$a", content=content, unsigned=unsigned))
    if isinstance(content, dict) and content:
        assert signal.kind is Kind.ALIVE
        assert version is not None
    else:
        assert signal.causes == {Cause.AUTHOR, Cause.PLATFORM}
        assert signal.strength is Strength.WEAK


def test_every_rule_of_the_pack_is_one_that_the_source_can_meet() -> None:
    """A rule at a place that nobody reads would promise what we do not do."""
    places = {p for n in load_pack("matrix").notices for w in n.wordings for p in w.where}
    assert {place.removeprefix("field:") for place in places} == {
        "redacted_because.sender",
        "content",
        "event.errcode",
        "messages.errcode",
        "summary.error",
        "error",
        "errcode",
        "alias.message",
        "alias.users_default",
        "tombstone",
    }
