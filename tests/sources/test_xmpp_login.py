"""What a person writes for an XMPP room, and how its observer logs in: no secret gets out."""

from __future__ import annotations

import base64

import pytest

from tests.sources.xmpp_bosh import ROOM, SASL, URL, Archive, Service, challenge, failure, message
from vanished.errors import ConfigError, UsageError
from vanished.model import Fault, Kind
from vanished.sources import xmpp_login as login
from vanished.sources.xmpp import XmppSource

SECRET = "correct horse"
VARIABLE = "VANISHED_XMPP_PASSWORD"


def name(platform: str, native_id: str) -> str:
    return f"{platform}|{native_id}"


def made(**more: object) -> XmppSource:
    return XmppSource(name, {"server": URL, "account": "reader@example.org", **more})


async def signal_of(source: XmppSource, service: Service) -> tuple[Kind, Fault | None, str]:
    found = await source.discover(source.account(ROOM), "", service)
    signal = found.observation.signal
    return signal.kind, signal.fault, signal.words


def with_message() -> Archive:
    archive = Archive()
    archive.put("a", message("a word", "ann"))
    return archive


# -- settings and addresses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [ROOM, f"xmpp:{ROOM}", f" xmpp:{ROOM}?join ", "News@Rooms.Example.org"]
)
def test_rooms_are_taken_by_address(address: str) -> None:
    account = made().account(address)
    assert (account.native_id, account.name) == (ROOM, ROOM)
    assert account.url == f"{URL}#news%40rooms.example.org"


@pytest.mark.parametrize(
    "address", ["", "rooms.example.org", "a b@c", "a@b/nick", "a@", "@b", "a@b@c", "x" * 300 + "@b"]
)
def test_what_is_no_room_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no XMPP room"):
        made().account(address)


async def test_a_single_message_has_the_name_that_a_list_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Messages whose fate is known are named by a person; another name would be another post."""
    monkeypatch.setenv(VARIABLE, SECRET)
    source, service = made(), Service(with_message())
    found = await source.discover(source.account(ROOM), "", service)
    (listed,) = found.sightings
    named = source.post(f"xmpp:{ROOM}/a")
    assert (named.key, named.url) == (listed.post.key, listed.post.url)
    (look,) = await source.look([named], service)
    assert look.observation.signal.kind is Kind.ALIVE
    for wrong in (ROOM, f"{ROOM}/", f"{ROOM}/a b", "a"):
        with pytest.raises(UsageError):
            source.post(wrong)


def test_without_a_server_there_is_nobody_to_ask() -> None:
    with pytest.raises(UsageError, match="names no server"):
        XmppSource(name, {}).account(ROOM)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"server": "example.org"}, "BOSH service"),
        ({"server": "ftp://example.org/x"}, "BOSH service"),
        ({"server": "https://me:pw@example.org/x"}, "BOSH service"),
        ({"server": "https://example.org:0/x"}, "BOSH service"),
        ({"server": "http://example.org/http-bind"}, "https://"),
        ({"server": "http://example.org/http-bind", "plain": True}, "https://"),
        ({"server": "http://10.0.0.1/http-bind", "plain": True}, "https://"),
        ({"server": "http://127.0.0.1/http-bind"}, "https://"),
        ({"account": ""}, "account"),
        ({"account": "a@b@c"}, "account"),
        ({"account": "me@example.org/phone"}, "account"),
        ({"password_env": "my password!"}, "password_env"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, object], words: str) -> None:
    """A password must not go out in the clear because of a slip in a file."""
    with pytest.raises(ConfigError, match=words):
        made(**settings)


@pytest.mark.parametrize("host", ["127.0.0.1:5280", "[::1]:5280"])
def test_a_server_on_this_machine_may_be_asked_plainly(host: str) -> None:
    source = made(server=f"http://{host}/http-bind", plain=True)
    assert source.account(ROOM).url.startswith(f"http://{host}/")


# -- logging in ----------------------------------------------------------------------------------


async def test_a_guest_needs_no_password() -> None:
    service = Service(with_message(), ("ANONYMOUS",))
    assert (await signal_of(made(account="guests.example.org"), service))[0] is Kind.ALIVE
    assert "to='guests.example.org'" in service.words


async def test_the_password_is_sent_only_privately(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is private stands in no capture."""
    monkeypatch.setenv(VARIABLE, SECRET)
    service = Service(with_message(), ("PLAIN",))
    assert (await signal_of(made(), service))[0] is Kind.ALIVE
    sent = base64.b64encode(f"\0reader\0{SECRET}".encode())
    assert [private for _, body, private in service.asked if sent in body] == [True]
    kept = [body for _, body, private in service.asked if not private]
    assert len(kept) == 1
    assert b"sasl" not in kept[0]
    assert SECRET not in repr(made())


async def test_the_password_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that was added under other settings must not carry it elsewhere."""
    monkeypatch.setenv(VARIABLE, SECRET)
    before = XmppSource(name, {"server": "https://old.example/http-bind", "account": "a@b"})
    service = Service(with_message(), ("PLAIN",))
    found = await made().discover(before.account(ROOM), "", service)
    assert found.observation.signal.fault is Fault.FORBIDDEN
    assert "auth" not in service.words


@pytest.mark.parametrize(
    ("service", "fault", "words"),
    [
        (Service(login=failure("not-authorized")), Fault.FORBIDDEN, VARIABLE),
        (Service(login=failure("account-disabled")), Fault.FORBIDDEN, "account-disabled"),
        (Service(login=failure("temporary-auth-failure")), Fault.SERVER, "temporary"),
        (Service(login=failure("something-new")), Fault.FORBIDDEN, "something-new"),
        (Service(mechanisms=("EXTERNAL",)), Fault.FORBIDDEN, "no password login"),
        (Service(mechanisms=()), Fault.FORBIDDEN, "no password login"),
        (Service(login=challenge("x")), Fault.UNREADABLE, "login"),
    ],
)
async def test_a_refused_login_is_a_failed_look(
    monkeypatch: pytest.MonkeyPatch, service: Service, fault: Fault, words: str
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    kind, said, text = await signal_of(made(), service)
    assert (kind, said) == (Kind.ERROR, fault)
    assert words in text
    assert SECRET not in text


async def test_without_a_password_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    kind, fault, words = await signal_of(made(), Service())
    assert (kind, fault) == (Kind.ERROR, Fault.FORBIDDEN)
    assert VARIABLE in words


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_a_server_that_does_not_know_the_password_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    """Somebody in between who lets us in without the password could tell us anything."""
    monkeypatch.setenv(VARIABLE, SECRET)
    service = Service(with_message(), (mechanism, "PLAIN"), f"<success xmlns='{SASL}'/>")
    kind, fault, words = await signal_of(made(), service)
    assert (kind, fault) == (Kind.ERROR, Fault.UNREADABLE)
    assert "does not know the password" in words
    assert base64.b64encode(f"\0reader\0{SECRET}".encode()).decode() not in service.words


# -- SCRAM ---------------------------------------------------------------------------------------

VECTORS = [  # RFC 5802, 5; RFC 7677, 3
    (
        "SCRAM-SHA-1", "sha1", "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SCRAM-SHA-256", "sha256", "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS)
def test_scram_is_that_of_its_specification(vector: tuple[str, ...]) -> None:
    mechanism, digest, nonce, challenged, answered, proven = vector
    way = login._scram(mechanism, digest, "user", "pencil", nonce)
    assert way.first == f"n,,n=user,r={nonce}".encode()
    assert way.answer(challenged.encode()) == answered.encode()
    way.check(proven.encode())
    for wrong in (b"", b"v=", b"v=" + b"A" * 28, proven[:-2].encode(), b"e=other-error"):
        with pytest.raises(login.LoginError):
            way.check(wrong)
    with pytest.raises(login.LoginError, match="twice"):
        way.answer(challenged.encode())


@pytest.mark.parametrize(
    "challenged",
    [
        "", "r=mine,s=QSXCR+Q6sek8bf92,i=4096", "r=other,s=QSXCR+Q6sek8bf92,i=4096",
        "r=mine2,s=,i=4096", "r=mine2,s=!,i=4096", "r=mine2,s=QSXCR+Q6sek8bf92,i=1",
        "r=mine2,s=QSXCR+Q6sek8bf92,i=99999999999", "r=mine2,s=QSXCR+Q6sek8bf92,i=x",
    ],
)  # fmt: skip
def test_a_challenge_that_would_weaken_the_password_is_refused(challenged: str) -> None:
    way = login._scram("SCRAM-SHA-1", "sha1", "user", "pencil", "mine")
    with pytest.raises(login.LoginError):
        way.answer(challenged.encode())


def test_the_best_way_in_is_taken() -> None:
    offered = ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "ANONYMOUS")

    def chosen(*ways: str, user: str = "me", plain: bool = True) -> str:
        way = login.choose(ways, user, SECRET, plain=plain)
        return way.mechanism if way else ""

    assert chosen(*offered) == "SCRAM-SHA-256"
    assert chosen("PLAIN", "SCRAM-SHA-1") == "SCRAM-SHA-1"
    assert chosen("PLAIN", "ANONYMOUS") == "PLAIN"
    assert chosen("PLAIN", plain=False) == ""
    assert chosen(*offered, user="") == "ANONYMOUS"
    assert chosen("PLAIN", user="") == ""


def test_names_with_signs_of_the_protocol_are_written_out() -> None:
    way = login._scram("SCRAM-SHA-1", "sha1", "a=b,c", "x", "n")
    assert way.first == b"n,,n=a=3Db=2Cc,r=n"
    assert "n=a" not in repr(way)
