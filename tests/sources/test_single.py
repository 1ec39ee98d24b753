"""Reddit, X and YouTube: recorded forms, which these tests write; nothing here was tried live.

What a user of the watch would lose: a moderator's removal put on the author, a block in one country
taken for a deletion, a sign-in wall taken for either. Names, ids and texts were made up here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.loopback import Answer, Prepared, as_json, as_page, door, exchange, serving
from tests.sources.pages import STORY, name, small
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ABSENT,
    ALIVE,
    SECOND,
    Cause,
    Count,
    Fault,
    Kind,
    Post,
    Signal,
    Strength,
)
from vanished.sources.notice import load_pack
from vanished.sources.reddit import RedditSource, read_reddit
from vanished.sources.single import Reading
from vanished.sources.x import XSource, read_x
from vanished.sources.youtube import YouTubeSource, read_youtube

A, P, L, U = {Cause.AUTHOR}, {Cause.PLATFORM}, {Cause.LEGAL}, {Cause.UNKNOWN}
TWEET = "1900000000000000007"
VIDEO = "abcdefghijk"
SOURCES = {"reddit": RedditSource, "x": XSource, "youtube": YouTubeSource}


def said(signal: Signal) -> tuple[str, set[Cause], bool]:
    """The rule without its pack and version, what it leaves open, and of whom it speaks."""
    rule = signal.rule.partition("/")[2].partition("@")[0]
    return rule, set(signal.causes), signal.account_level


# -- Reddit --------------------------------------------------------------------------------------


def submission(**more: Any) -> dict[str, Any]:
    return {
        "name": "t3_abc123",
        "id": "abc123",
        "author": "gauge_reader",
        "title": "The twelfth mark",
        "selftext": STORY,
        "is_self": True,
        "created_utc": 1_790_000_000.0,
        "num_comments": 3,
        "removed_by_category": None,
        "removal_reason": None,
        **more,
    }


def thread(*items: dict[str, Any], comments: tuple[dict[str, Any], ...] = ()) -> list[Any]:
    def listing(kind: str, found: tuple[dict[str, Any], ...]) -> dict[str, Any]:
        return {"kind": "Listing", "data": {"children": [{"kind": kind, "data": i} for i in found]}}

    return [listing("t3", items), listing("t1", comments)]


def reddit(content: Any, status: int = 200, native_id: str = "t3_abc123") -> Reading:
    return read_reddit(
        exchange("https://www.reddit.com/comments/abc123.json", status, content), native_id
    )


def test_a_submission_is_read_with_all_that_it_shows() -> None:
    found = reddit(thread(submission(crosspost_parent="t3_zzz999")))
    assert found.signal is ALIVE
    assert found.version is not None
    assert (found.version.title, found.version.text) == ("The twelfth mark", STORY)
    assert found.published_at == 1_790_000_000 * SECOND
    assert found.counts.comments == Count.exact(3)
    assert found.counts.likes is None  # Reddit blurs the votes
    assert found.repeats == "t3_zzz999"


@pytest.mark.parametrize(
    ("category", "rule", "causes"),
    [
        ("deleted", "deleted-by-author", A), ("author", "deleted-by-author", A),
        ("moderator", "removed-by-moderator", P), ("automod_filtered", "removed-by-moderator", P),
        ("reddit", "removed-by-moderator", P), ("anti_evil_ops", "removed-by-reddit", P),
        ("community_ops", "removed-by-reddit", P), ("content_takedown", "content-takedown", P | L),
        ("copyright_takedown", "legal-takedown", L), ("legal", "legal-takedown", L),
    ],
)  # fmt: skip
def test_each_removal_field_says_what_it_leaves_open(
    category: str, rule: str, causes: set[Cause]
) -> None:
    for text in ("[removed]", "[deleted]", "", STORY):
        signal = reddit(thread(submission(removed_by_category=category, selftext=text))).signal
        assert said(signal) == (rule, causes, False)
        assert signal.strength is Strength.STRONG


def test_a_legal_reason_counts_without_a_category() -> None:
    found = reddit(thread(submission(removal_reason="legal", selftext="[removed]")))
    assert said(found.signal) == ("legal-takedown", L, False)


def test_a_mark_that_names_reddit_is_reddits() -> None:
    found = reddit(thread(submission(selftext="[ Removed by Reddit ]", author="[deleted]")))
    assert said(found.signal) == ("removed-by-reddit", P, False)
    found = reddit(thread(submission(selftext="[ Removed by Reddit ]")))  # beside its author
    assert found.signal.fault is Fault.UNREADABLE


@pytest.mark.parametrize("text", ["[deleted]", "[removed]"])
def test_a_bare_mark_leaves_author_and_platform_open(text: str) -> None:
    found = reddit(thread(submission(selftext=text, author="[deleted]")))
    assert said(found.signal) == ("text-deleted", A | P, False)
    assert found.signal.strength is Strength.WEAK
    comment = {"name": "t1_def456", "id": "def456", "author": "[deleted]", "body": text}
    found = reddit(thread(submission(), comments=(comment,)), native_id="t3_abc123/t1_def456")
    assert said(found.signal) == ("text-deleted", A | P, False)


def test_a_mark_that_somebody_wrote_is_no_loss() -> None:
    quoted = reddit(thread(submission(selftext="It now says [removed]. Why?")))
    assert quoted.signal is ALIVE
    bare = reddit(thread(submission(selftext="[removed]", author="gauge_reader")))
    assert bare.signal.fault is Fault.UNREADABLE


def test_a_post_outlives_its_authors_account() -> None:
    assert reddit(thread(submission(author="[deleted]"))).signal is ALIVE


@pytest.mark.parametrize(
    ("status", "content", "rule", "causes", "account_level"),
    [
        (404, {"message": "Not Found", "error": 404}, "not-found", U, False),
        (
            404,
            {"reason": "banned", "message": "Not Found", "error": 404},
            "community-banned",
            P,
            True,
        ),
        (
            403,
            {"reason": "private", "message": "Forbidden", "error": 403},
            "community-private",
            P,
            True,
        ),
    ],
)
def test_an_error_of_reddits_own_is_read(
    status: int, content: Any, rule: str, causes: set[Cause], account_level: bool
) -> None:
    assert said(reddit(content, status).signal) == (rule, causes, account_level)


@pytest.mark.parametrize(
    ("status", "content", "fault"),
    [
        (403, {"reason": "quarantined", "message": "Forbidden", "error": 403}, Fault.LOGIN_WALL),
        (403, small("Blocked", "whoa there, pardner!"), Fault.FORBIDDEN),
        (404, small("404", "not here"), Fault.UNREADABLE),
        (404, {}, Fault.UNREADABLE),
        (200, small("Reddit", "<p>[removed]</p>"), Fault.EMPTY),
        (200, [], Fault.EMPTY),
        (200, thread(), Fault.EMPTY),
        (200, thread(submission(name="t3_other1", id="other1")), Fault.UNREADABLE),
        (200, thread(submission(removed_by_category="something_new")), Fault.UNREADABLE),
        (200, thread(submission(title="", selftext="")), Fault.UNREADABLE),
        (200, json.dumps(thread(submission(removed_by_category="deleted")))[:80], Fault.EMPTY),
        (0, Fault.TIMEOUT, Fault.TIMEOUT),
        (429, Fault.RATE_LIMITED, Fault.RATE_LIMITED),
    ],
)
def test_anything_else_of_reddit_is_a_failed_look(status: int, content: Any, fault: Fault) -> None:
    found = reddit(content, status)
    assert (found.signal.kind, found.signal.fault) == (Kind.ERROR, fault)


# -- X -------------------------------------------------------------------------------------------


def tweet(**more: Any) -> dict[str, Any]:
    return {
        "__typename": "Tweet",
        "id_str": TWEET,
        "text": "Eleven marks on the wall",
        "created_at": "2026-09-01T10:00:00.000Z",
        "favorite_count": 12,
        "conversation_count": 3,
        "mediaDetails": [{"media_url_https": "https://pbs.example/a.jpg"}],
        **more,
    }


def recorded(**more: Any) -> dict[str, Any]:
    """The same as TweetResultByRestId has it."""
    legacy = {"full_text": "Eleven marks on the wall", "favorite_count": 12, **more}
    inner = {"__typename": "Tweet", "rest_id": TWEET, "legacy": legacy}
    return {"data": {"tweetResult": {"result": inner}}}


def tombstone(text: str) -> dict[str, Any]:
    return {"__typename": "TweetTombstone", "tombstone": {"text": {"text": f"{text}. Learn more"}}}


def x(content: Any, status: int = 200) -> Reading:
    return read_x(
        exchange("https://cdn.syndication.twimg.com/tweet-result", status, content), TWEET
    )


def test_a_post_of_x_is_read_in_both_forms() -> None:
    found = x(tweet())
    assert found.signal is ALIVE
    assert found.version is not None
    assert found.version.text == "Eleven marks on the wall"
    assert found.version.media == ("https://pbs.example/a.jpg",)
    assert found.counts.likes == Count.exact(12)
    assert found.published_at is not None
    other = x(recorded())
    assert other.signal is ALIVE
    assert other.version is not None
    assert other.version.hash == found.version.hash
    limited = {
        "__typename": "TweetWithVisibilityResults",
        "tweet": recorded()["data"]["tweetResult"]["result"],
    }
    assert x({"data": {"tweetResult": {"result": limited}}}).signal is ALIVE


@pytest.mark.parametrize(
    ("text", "rule", "causes", "account_level"),
    [
        ("This Post was deleted by the Post author", "deleted-by-author", A, False),
        ("This Tweet was deleted by the Tweet author", "deleted-by-author", A, False),
        ("This Post violated the X Rules", "rule-violation", P, False),
        ("This Tweet violated the Twitter Rules", "rule-violation", P, False),
        ("This Post is from a suspended account", "account-suspended", P, True),
        ("This Post is from an account that no longer exists", "account-gone", A | P, True),
        ("You’re unable to view this Post because this account owner limits who can view their"
         " Posts",
         "account-protected", A, True),
        ("You're unable to view this Tweet because this account owner limits who can view their"
         " Tweets", "account-protected", A, True),
    ],
)  # fmt: skip
def test_each_tombstone_says_what_it_leaves_open(
    text: str, rule: str, causes: set[Cause], account_level: bool
) -> None:
    assert said(x(tombstone(text)).signal) == (rule, causes, account_level)
    wrapped = {"data": {"tweetResult": {"result": tombstone(text)}}}
    assert said(x(wrapped).signal) == (rule, causes, account_level)
    assert x(tweet(text=text)).signal is ALIVE  # a post that quotes it


@pytest.mark.parametrize(
    ("reason", "rule", "causes", "account_level"),
    [
        ("Deleted", "deleted-by-author", A, False), ("RuleViolation", "rule-violation", P, False),
        ("Suspended", "account-suspended", P, True),
        ("Deactivated", "account-deactivated", A, True),
        ("Protected", "account-protected", A, True),
    ],
)  # fmt: skip
def test_each_reason_says_what_it_leaves_open(
    reason: str, rule: str, causes: set[Cause], account_level: bool
) -> None:
    gone = {"__typename": "TweetUnavailable", "reason": reason}
    assert said(x(gone).signal) == (rule, causes, account_level)


@pytest.mark.parametrize("form", [tweet, recorded])
def test_withheld_everywhere_is_the_law_and_withheld_elsewhere_is_alive(form: Any) -> None:
    for more in ({"withheld_in_countries": ["XX"]}, {"withheld_in_countries": ["XY"]},
                 {"withheld_copyright": True}):  # fmt: skip
        assert said(x(form(**more)).signal) == ("withheld", L, False)
    shown = x(form(withheld_in_countries=["TR", "DE"]))
    assert (shown.signal.kind, shown.signal.words) == (Kind.ALIVE, "withheld in DE, TR")
    assert shown.version is not None
    assert x(form(withheld_in_countries=[])).signal is ALIVE


def test_xs_own_sentence_in_place_of_the_text_is_the_law() -> None:
    words = "@gauge's Post has been withheld in Germany in response to a legal demand. Learn more."
    found = x(tweet(text=words, withheld_in_countries=["DE"]))
    assert said(found.signal) == ("withheld", L, False)
    assert "gauge" not in found.signal.words
    assert x(tweet(text=words)).signal is ALIVE  # without the field it is a quotation


@pytest.mark.parametrize(
    ("status", "content", "fault"),
    [
        (200, tombstone("This Post is unavailable"), Fault.UNREADABLE),
        (200, tombstone("Dieser Post wurde gelöscht"), Fault.UNREADABLE),
        (200, {"__typename": "TweetTombstone"}, Fault.UNREADABLE),  # said of sensitive posts, too
        (200, tombstone("Age-restricted adult content"), Fault.LOGIN_WALL),
        (200, {"__typename": "TweetUnavailable", "reason": "NsfwLoggedOut"}, Fault.LOGIN_WALL),
        (200, {"__typename": "TweetUnavailable"}, Fault.UNREADABLE),
        (200, {"data": {"tweetResult": {}}}, Fault.EMPTY),
        (200, {}, Fault.EMPTY),
        (200, "", Fault.EMPTY),
        (200, small("X", "Something went wrong"), Fault.EMPTY),
        (200, tweet(id_str="1"), Fault.UNREADABLE),
        (200, tweet(text=""), Fault.UNREADABLE),
        (404, small("X", "Nothing to see here"), Fault.UNREADABLE),
        (403, {}, Fault.FORBIDDEN),
        (0, Fault.DNS, Fault.DNS),
    ],
)
def test_anything_else_of_x_is_a_failed_look(status: int, content: Any, fault: Fault) -> None:
    found = x(content, status)
    assert (found.signal.kind, found.signal.fault) == (Kind.ERROR, fault)


def test_nothing_of_that_id_is_weakly_gone_by_nobody() -> None:
    contents: tuple[Any, ...] = ({}, "")
    for content in contents:
        signal = x(content, 404).signal
        assert (said(signal), signal.strength) == (("not-found", U, False), Strength.WEAK)


# -- YouTube -------------------------------------------------------------------------------------


def player(status: str = "OK", reason: str = "", sub: str = "", **more: Any) -> dict[str, Any]:
    playability: dict[str, Any] = {"status": status}
    if reason:
        playability["reason"] = reason
    if sub:
        runs = [{"text": part} for part in sub.split("|")]
        shown = {"runs": runs} if len(runs) > 1 else {"simpleText": sub}
        playability["errorScreen"] = {"playerErrorMessageRenderer": {"subreason": shown}}
    found: dict[str, Any] = {"playabilityStatus": playability}
    if status in ("OK", "LIVE_STREAM_OFFLINE"):
        found["videoDetails"] = {"videoId": VIDEO, "title": "The twelfth mark",
                                 "shortDescription": STORY, "viewCount": "1204"}  # fmt: skip
        found["microformat"] = {
            "playerMicroformatRenderer": {"publishDate": "2026-09-01T10:00:00-07:00"}
        }
    return {**found, **more}


def watch_page(response: dict[str, Any], body: str = "") -> str:
    text = json.dumps(response)
    return small(
        "YouTube", f"{body}<script>var ytInitialPlayerResponse = {text};var meta = {{}};</script>"
    )


def youtube(content: Any, status: int = 200, url: str = "https://www.youtube.com/watch") -> Reading:
    return read_youtube(exchange(url, status, content), VIDEO)


def test_a_video_is_read_from_its_page_and_from_the_players_answer() -> None:
    for content in (
        watch_page(player()),
        player(),
        player("LIVE_STREAM_OFFLINE", "Premieres soon"),
    ):
        found = youtube(content)
        assert found.signal is ALIVE
        assert found.version is not None
        assert (found.version.title, found.version.text) == ("The twelfth mark", STORY)
        assert found.counts.views == Count.exact(1204)
        assert found.published_at == 1_788_282_000 * SECOND


def test_words_about_a_player_before_the_player_are_passed_over() -> None:
    """A description that explains YouTube's pages would blind us for its own video."""
    lesson = "<p>ytInitialPlayerResponse = {&quot;playabilityStatus&quot;: 1}</p>"
    assert youtube(watch_page(player(), lesson)).signal is ALIVE


UNAVAILABLE = "Video unavailable"


@pytest.mark.parametrize(
    ("status", "reason", "sub", "rule", "causes", "account_level"),
    [
        ("ERROR", UNAVAILABLE, "This video has been removed by the uploader",
         "removed-by-uploader", A, False),
        ("LOGIN_REQUIRED", "Private video", "", "private", A, False),
        ("LOGIN_REQUIRED", "This video is private", "", "private", A, False),
        ("ERROR", UNAVAILABLE, "This video has been removed for violating"
         "| YouTube's Terms of Service",
         "violation", P, False),
        ("ERROR", "This video has been removed for violating YouTube's policy on hate speech", "",
         "violation", P, False),
        ("ERROR", UNAVAILABLE, "This video is no longer available due to a copyright claim"
         " by Gauge Films",
         "copyright", L, False),
        ("UNPLAYABLE", UNAVAILABLE, "This video contains content from Gauge Films, who has"
         " blocked it in your country on copyright grounds", "copyright", L, False),
        ("UNPLAYABLE", UNAVAILABLE, "The uploader has not made this video available in your"
         " country",
         "not-in-this-country", A, False),
        ("UNPLAYABLE", "This video is not available in your country", "",
         "not-here", A | L | P, False),
        ("ERROR", UNAVAILABLE, "", "unavailable", U, False),
        ("ERROR", "This video isn't available anymore", "", "unavailable", U, False),
        ("ERROR", UNAVAILABLE, "Words that nobody has seen yet", "unavailable", U, False),
        ("ERROR", UNAVAILABLE, "This video is no longer available because the YouTube account"
         " associated with this video has been terminated.", "account-terminated", P, True),
        ("ERROR", UNAVAILABLE, "This video is no longer available because the uploader has closed"
         " their YouTube account.", "account-closed", A, True),
    ],
)  # fmt: skip
def test_each_state_of_the_player_says_what_it_leaves_open(
    status: str, reason: str, sub: str, rule: str, causes: set[Cause], account_level: bool
) -> None:
    signal = youtube(watch_page(player(status, reason, sub))).signal
    assert said(signal) == (rule, causes, account_level)
    assert "Gauge Films" not in signal.words
    quoting = player(videoDetails={"videoId": VIDEO, "title": reason, "shortDescription": sub})
    assert youtube(watch_page(quoting, body=f"<p>{sub or reason}</p>")).signal is ALIVE


@pytest.mark.parametrize(
    ("content", "status", "fault"),
    [
        (player("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot"), 200, Fault.CAPTCHA),
        (player("LOGIN_REQUIRED", "Sign in to confirm your age"), 200, Fault.LOGIN_WALL),
        (player("UNPLAYABLE", "Join this channel to get access to members-only content like this"),
         200, Fault.LOGIN_WALL),
        (player("ERROR", "Something went wrong"), 200, Fault.SERVER),
        (player("ERROR", "Dieses Video ist nicht mehr verfügbar"), 200, Fault.UNREADABLE),
        (player("ERROR"), 200, Fault.UNREADABLE),
        (player(videoDetails={"videoId": "another-one"}), 200, Fault.UNREADABLE),
        ({"playabilityStatus": {"status": "OK"}}, 200, Fault.UNREADABLE),
        ({}, 200, Fault.UNREADABLE),
        (small("YouTube", f"<p>{UNAVAILABLE}</p>"), 200, Fault.UNREADABLE),
        (watch_page(player("ERROR", UNAVAILABLE))[:200], 200, Fault.TRUNCATED),
        (small("404", "not here"), 404, Fault.UNREADABLE),
        (Fault.RATE_LIMITED, 429, Fault.RATE_LIMITED),
    ],
)  # fmt: skip
def test_anything_else_of_youtube_is_a_failed_look(content: Any, status: int, fault: Fault) -> None:
    found = youtube(content, status)
    assert (found.signal.kind, found.signal.fault) == (Kind.ERROR, fault)


def test_a_check_outranks_a_notice_beside_it() -> None:
    found = youtube(player("LOGIN_REQUIRED", "Private video", "Sign in to confirm your age"))
    assert found.signal.fault is Fault.LOGIN_WALL


def test_a_question_of_consent_is_a_failed_look() -> None:
    page = small("Before you continue", UNAVAILABLE)
    found = youtube(page, url="https://consent.youtube.com/m?continue=x")
    assert found.signal.fault is Fault.LOGIN_WALL


# -- as sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "address", "native_id", "url"),
    [
        ("reddit", "https://www.reddit.com/r/gauges/comments/ABC123/the_mark/", "t3_abc123",
         "https://www.reddit.com/comments/abc123.json?raw_json=1"),
        ("reddit", "https://old.reddit.com/r/gauges/comments/abc123/the_mark/def456/?context=3",
         "t3_abc123/t1_def456",
         "https://www.reddit.com/comments/abc123/_/def456.json?raw_json=1"),
        ("x", f"https://x.com/gauge/status/{TWEET}?s=20", TWEET,
         f"https://cdn.syndication.twimg.com/tweet-result?id={TWEET}&lang=en&token=a"),
        ("x", f"https://mobile.twitter.com/gauge/status/{TWEET}/photo/1", TWEET,
         f"https://cdn.syndication.twimg.com/tweet-result?id={TWEET}&lang=en&token=a"),
        ("youtube", f"https://www.youtube.com/watch?v={VIDEO}&t=5", VIDEO,
         f"https://www.youtube.com/watch?v={VIDEO}&hl=en"),
        ("youtube", f"https://youtu.be/{VIDEO}", VIDEO,
         f"https://www.youtube.com/watch?v={VIDEO}&hl=en"),
        ("youtube", f"https://m.youtube.com/shorts/{VIDEO}", VIDEO,
         f"https://www.youtube.com/watch?v={VIDEO}&hl=en"),
    ],
)  # fmt: skip
def test_a_post_has_one_name_however_it_is_written(
    platform: str, address: str, native_id: str, url: str
) -> None:
    account = SOURCES[platform](name).account(address)
    assert account.native_id == f"{platform}:{native_id}"
    assert account.url == url


@pytest.mark.parametrize("platform", SOURCES)
@pytest.mark.parametrize(
    "address",
    ["https://example.org/comments/abc123", "https://www.reddit.com/r/gauges/", "https://x.com/gauge",
     "https://notx.com/gauge/status/1", "https://www.youtube.com/@gauge", "https://youtu.be/short"],
)  # fmt: skip
def test_what_names_no_post_is_refused(platform: str, address: str) -> None:
    with pytest.raises(UsageError):
        SOURCES[platform](name).account(address)
    with pytest.raises(ConfigError):
        SOURCES[platform](name, {"server": "nowhere"})


GONE: dict[str, tuple[Any, set[Cause]]] = {
    "reddit": (thread(submission(removed_by_category="moderator", selftext="[removed]")), P),
    "x": (tombstone("This Post violated the X Rules"), P),
    "youtube": (watch_page(player("LOGIN_REQUIRED", "Private video")), A),
}
THERE: dict[str, Any] = {
    "reddit": thread(submission()),
    "x": tweet(),
    "youtube": watch_page(player()),
}
ADDRESSES = {
    "reddit": "https://www.reddit.com/r/gauges/comments/abc123/the_mark/",
    "x": f"https://x.com/gauge/status/{TWEET}",
    "youtube": f"https://youtu.be/{VIDEO}",
}


@pytest.mark.parametrize("platform", SOURCES)
async def test_a_post_is_followed_from_first_sight_to_loss(platform: str) -> None:
    now: list[Any] = [THERE[platform]]

    def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept-Language"] == "en"
        return as_page(now[0]) if isinstance(now[0], str) else as_json(now[0])

    async with serving(answer) as base, door() as fetch:
        source = SOURCES[platform](name, {"server": base})
        account = source.account(ADDRESSES[platform])
        found = await source.discover(account, "", fetch)
        assert found.sole
        assert found.observation.signal is ALIVE
        (sighting,) = found.sightings
        assert sighting.version is not None
        assert sighting.post.key != account.key
        again = await source.discover(account, found.cursor, fetch)
        assert again.sightings[0].version is None  # nothing new to hand over
        (seen,) = await source.look([sighting.post], fetch)
        assert seen.observation.signal is ALIVE
        assert seen.version == sighting.version
        now[0], causes = GONE[platform]
        (seen,) = await source.look([sighting.post], fetch)
        assert (seen.observation.signal.kind, set(seen.observation.signal.causes)) == (
            Kind.GONE,
            causes,
        )
        found = await source.discover(account, found.cursor, fetch)
        assert found.observation.signal is ABSENT  # the loss is the post's
        assert found.sightings[0].observation is not None
        assert found.sightings[0].observation.signal.gone


@pytest.mark.parametrize("platform", SOURCES)
async def test_a_failed_request_loses_nothing(platform: str) -> None:
    answers: dict[str, Answer | list[Answer]] = {"": (0, Fault.TIMEOUT)}
    source = SOURCES[platform](name)
    account = source.account(ADDRESSES[platform])
    found = await source.discover(account, "known", Prepared(answers))
    assert (found.observation.signal.fault, found.cursor) == (Fault.TIMEOUT, "known")
    post = Post("key", "account", platform, "x", account.url)
    (seen,) = await source.look([post], Prepared(answers))
    assert seen.observation.signal.fault is Fault.TIMEOUT


def test_every_place_of_the_packs_is_one_that_is_read() -> None:
    """A rule at a place that no code reads is a notice that nobody notices."""
    places = {
        pack: {p for n in load_pack(pack).notices for w in n.wordings for p in w.where}
        for pack in SOURCES
    }
    assert places == {
        "reddit": {"field:removed_by_category", "field:removal_reason", "field:text",
                   "field:reason", "field:status"},
        "x": {"field:tombstone", "field:reason", "field:withheld", "field:status"},
        "youtube": {"field:reason"},
    }  # fmt: skip


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "children", "tweetResult", "result", "tweet", "legacy", "name",
                             "id_str", "text", "tombstone", "__typename", "playabilityStatus",
                             "status", "reason", "errorScreen", "videoDetails", "error"]),
            inner, max_size=5,
        )
    ),
    max_leaves=15,
)  # fmt: skip


@given(_JSON, st.sampled_from([200, 403, 404]))
def test_an_answer_of_any_form_is_read_or_not_but_never_breaks(value: Any, status: int) -> None:
    content = json.dumps(value).encode()
    for read in (read_reddit, read_x, read_youtube):
        assert not read(
            exchange("https://a.example/", status, content), "t3_abc123"
        ).signal.gone or (status == 404)
