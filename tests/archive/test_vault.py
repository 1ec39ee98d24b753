"""If these fail, whoever takes the collector away can read whom it watched."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.seized import everything, traces
from vanished.archive import present
from vanished.archive.columns import OBSERVATIONS, VERSIONS, Wording
from vanished.archive.folder import JOURNAL
from vanished.archive.journal import Journal
from vanished.archive.observatory import Observatory
from vanished.archive.parquet import own_duckdb, sweep_spill
from vanished.archive.vault import Vault
from vanished.errors import DamagedError, ObservatoryError
from vanished.model import Fault, Observation, State, Version, Via, failed

SECRET = bytes(range(32))
VAULT = Vault(SECRET)
ROOT = Path(__file__).parents[2]


@given(text=st.text(st.characters()), place=st.text(max_size=20))
def test_what_was_sealed_is_opened_again(text: str, place: str) -> None:
    sealed = VAULT.seal(text, place)
    assert VAULT.open(sealed, place) == text
    assert Vault(SECRET).seal(text, place) == sealed, "equal hosts must stay equal"
    assert VAULT.open_word(VAULT.seal_word(text, place), place) == text
    assert len(sealed) == (len(text.encode("utf-8", "surrogatepass")) + 16 if text else 0)


@given(texts=st.lists(st.none() | st.text(st.characters()), max_size=4))
def test_a_list_is_one_field(texts: list[str | None]) -> None:
    assert VAULT.open_list(VAULT.seal_list(texts, "a.b"), "a.b") == texts


def test_the_cipher_is_the_documented_one() -> None:
    """Another program must be able to open an observatory's fields with its secret."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(SHA256(), 64, None, b"vanished present v1").derive(SECRET)
    assert VAULT.seal("example.org", "posts.host") == AESSIV(key).encrypt(
        b"example.org", [b"posts.host"]
    )


def test_a_field_opens_with_its_own_key_in_its_own_place_only() -> None:
    sealed = VAULT.seal("a name of somebody", "posts.who")
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for vault, field, place in (
        (Vault(bytes(32)), sealed, "posts.who"),
        (VAULT, sealed, "accounts.who"),
        (VAULT, changed, "posts.who"),
        (VAULT, sealed[:-1], "posts.who"),
        (VAULT, b"short", "posts.who"),
    ):
        with pytest.raises(DamagedError, match=r"sealed field of .* cannot be opened") as caught:
            vault.open(field, place)
        assert "somebody" not in str(caught.value)
        assert caught.value.__context__ is None or "somebody" not in repr(caught.value.__context__)
    with pytest.raises(DamagedError):
        VAULT.open_word("no base64!", "posts.who")


def test_a_vault_shows_nothing() -> None:
    VAULT.open_often(VAULT.seal("shown.example", "x.y"), "x.y")
    assert repr(VAULT) == str(VAULT) == "Vault()"
    with pytest.raises(TypeError, match="not handed to other processes"):
        pickle.dumps(VAULT)


# -- the folder ------------------------------------------------------------------------------

PLANTED = {
    "account": "ACCOUNT-NATIVE-4711",
    "account name": "Name-Of-A-Channel",
    "host": "blog-of-somebody.example",
    "post": "POST-NATIVE-0815",
    "path": "secret-path-of-post",
    "repeats": "REPEATED-NATIVE-99",
    "cursor": "CURSOR-opaque-31",
    "media": "media-of-post-77.gif",
    "address": "203.0.113.77",
}

WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from vanished.archive.columns import Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Change, Entry, PostRow, Track
from vanished.model import *

P = eval(sys.argv[2])
URL = f"https://{P['host']}/{P['path']}"

def look(o, row, t, signal=ALIVE):
    row.track.run = o.next_run()
    row.track.last_asked_at = t
    return Change(row, Observation(row.subject, t, t + 5, signal), run=row.track.run)

with Observatory.open(Path(sys.argv[1]), write=True) as o:
    key = o.naming("feed", P["account"])
    o.add_account(Account(key, "feed", P["account"], P["account name"], f"https://{P['host']}/"), 1)
    (account,) = o.account_rows()
    for n in range(300):
        native = f"{P['post']}-{n}"
        post = Post(o.naming("feed", native), key, "feed", native, f"{URL}/{n}", n, n, P["repeats"])
        row = PostRow(o.next_post_id(), post, account.id, Track(due=n))
        account.cursor = P["cursor"] * (1 + n % 7)
        entry = Entry(new_posts=[row], changes=[look(o, row, n), Change(account)])
        words = f"{P['host']}: no connection ({P['address']}, {URL}, {native})"
        entry.changes.append(look(o, row, n + 1, failed(Fault.CONNECT, words=words)))
        version = Version("h", "title", "text", (URL + P["media"],))
        entry.versions.append(Wording(row.subject, n, version))
        o.commit(entry, n)
        if n == 150:
            o.flush()
    print("ready", flush=True)
    sys.stdin.read()
"""


def writer(folder: Path) -> subprocess.Popen[str]:
    """A process that has written and holds the folder open."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), repr(PLANTED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def ended(process: subprocess.Popen[str], number: int | None) -> None:
    """End it by closing its input, or with a signal."""
    try:
        if number is not None:
            os.kill(process.pid, number)
        process.communicate(timeout=30)
    finally:
        process.kill()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VANISHED_KEY", SECRET.hex())
    folder = tmp_path / "observatory"
    Observatory.create(folder).close()
    return folder


@pytest.mark.parametrize("number", [None, signal.SIGKILL], ids=["closed", "killed"])
def test_a_seized_folder_names_nobody(folder: Path, number: int | None) -> None:
    """Every byte of every file: while the watch runs, and after it was closed or killed."""
    process = writer(folder)
    try:
        assert (folder / "present.sqlite-wal").stat().st_size > 0
        assert traces(folder, PLANTED.values()) == []
    finally:
        ended(process, number)
    assert traces(folder, PLANTED.values()) == []
    with Observatory.open(folder, write=True) as observatory:
        assert observatory.integrity() == ""
        (account,) = observatory.account_rows()
        assert account.account.native_id == PLANTED["account"]
        assert account.cursor.startswith(PLANTED["cursor"])
        assert set(observatory.account_names().values()) == {PLANTED["account name"]}
        row = observatory.post_rows([300])[0]
        assert (row.host, row.post.native_id) == (PLANTED["host"], f"{PLANTED['post']}-299")
        assert row.post.repeats == PLANTED["repeats"]
        assert row.post.url.endswith(f"{PLANTED['path']}/299")
        with observatory.past() as con:
            words = con.execute("select distinct words, fault from observations").fetchall()
        assert sorted(words, key=str)[-1] == ("…: no connection (…, …, …)", Fault.CONNECT.value)
        names: list[str] = []
        found = observatory.schedule_columns(lambda name: (names.append(name), 0)[1])  # type: ignore[func-returns-value]
        assert len(found.ids) == len(found.hosts) == 300
        assert set(names) == {PLANTED["host"]}
        assert observatory.failing_posts(0) == [(PLANTED["host"], 300, 300)]
        observatory.flush()
        assert traces(folder, PLANTED.values()) == []


def test_the_scan_itself_sees_what_lies_open(folder: Path) -> None:
    """A scan that finds nothing anywhere would prove nothing."""
    ended(writer(folder), None)
    with Observatory.open(folder, write=True) as observatory:
        observatory.flush()
        key = observatory.naming("feed", f"{PLANTED['post']}-7")
    found = traces(folder, [key])
    assert {name.partition("/")[0] for name, _ in found} >= {"present.sqlite", "journal"}


def test_a_wrong_key_seals_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be refused before the migration, which would seal with it."""
    make_old(folder)
    before = everything(folder)["present.sqlite"]
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with pytest.raises(ObservatoryError, match="not this observatory's"):
        Observatory.open(folder, write=True)
    with sa.create_engine(f"sqlite:///{folder / present.FILE}").connect() as connection:
        assert connection.exec_driver_sql("select version_num from alembic_version").scalar() == (
            "0001"
        )
    assert PLANTED["account"].encode() in before


def test_what_a_killed_reader_spilled_is_swept(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from vanished.archive.parquet import own_duckdb\n"
        "con = own_duckdb(Path(sys.argv[1]))\n"
        "con.execute(\"SET memory_limit = '60MB'\"); con.execute('SET threads = 1')\n"
        "con.execute(\"CREATE TEMP TABLE t AS SELECT repeat('SPILT' || i, 20) AS s \"\n"
        "            'FROM range(800000) r(i)').fetchall()\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sweep_spill(tmp_path)
        assert traces(tmp_path, ["SPILT"]) != [], "the spill of a living process stays"
    finally:
        ended(process, signal.SIGKILL)
    assert traces(tmp_path, ["SPILT"]) != []
    sweep_spill(tmp_path)
    assert traces(tmp_path, ["SPILT"]) == []
    with own_duckdb(tmp_path) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


# -- from the schema that had it all in the clear -----------------------------------------------


def make_old(folder: Path) -> None:
    """Put a database of schema 0001 in the folder, with rows, and pages of deleted ones."""
    with sa.create_engine(f"sqlite:///{folder / present.FILE}").connect() as connection:
        meta = connection.exec_driver_sql("select key, value from meta").fetchall()
    for path in folder.glob(f"{present.FILE}*"):
        path.unlink()
    engine = present.connect(folder / present.FILE, write=True)
    config = present._alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    track = "due, state, alive_looks, gone_looks, failures, absent, said, last_asked_at, has_case"
    values = "7, 'alive', 1, 0, 0, 0, 5, 3, 0"
    host, place = PLANTED["host"], PLANTED["path"]
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        for key, value in meta:
            connection.exec_driver_sql("insert into meta values (?, ?)", (key, value))
        connection.exec_driver_sql(
            "insert into accounts (id, key, platform, native_id, name, url, added_at, watched,"
            f" cursor, {track}) values (1, 'ak', 'feed', ?, ?, ?, 1, 1, ?, {values})",
            (PLANTED["account"], PLANTED["account name"], f"https://{host}/", PLANTED["cursor"]),
        )
        for n in range(1, 2001):
            connection.exec_driver_sql(
                "insert into posts (id, key, account_id, platform, native_id, url, host,"
                f" first_seen_at, repeats, version, {track})"
                f" values (?, ?, 1, 'feed', ?, ?, ?, 4, ?, 'v', {values})",
                (n, f"pk{n}", f"{PLANTED['post']}-{n}", f"https://{host}/{place}/{n}", host,
                 PLANTED["repeats"] if n % 2 else None),
            )  # fmt: skip
        connection.exec_driver_sql("delete from posts where id between 500 and 1500")
        connection.exec_driver_sql(
            "insert into tail_versions (seq, post, seen_at, hash, title, text, media)"
            " values (2, 'pk1', 4, 'v', 't', 'x', ?)",
            (json.dumps([f"https://{host}/{PLANTED['media']}"]),),
        )
        nothing = "'', '', 'strong', 'connect', ?, '', 0, 'direct', 'here', '', ''"
        connection.exec_driver_sql(
            "insert into tail_observations (seq, subject, asked_at, answered_at, last_asked_at,"
            " last_answered_at, looks, kind, causes, rule, strength, fault, words, actor,"
            " account_level, via, vantage, version, capture)"
            f" values (2, 'pk1', 3, 4, 3, 4, 1, 'error', {nothing})",
            (f"{host}: no connection ({PLANTED['address']})",),
        )
        connection.exec_driver_sql("update meta set value = '2' where key = 'seq'")
        connection.exec_driver_sql("update meta set value = '3' where key = 'looks'")
    engine.dispose()
    # A journal of that time: media and the hosts of failed looks in the clear.
    journal = Journal.open(folder / JOURNAL, writable=True)
    journal.manifest = replace(journal.manifest, sealed=False)
    words = f"{host}: ({PLANTED['address']})"
    looks = [
        Observation("pk2", 1, 2, failed(Fault.CONNECT, words=words)),
        Observation("pk2", 3, 4, failed(Fault.UNREADABLE, words="as the peer.said"), Via.IMPORT),
    ]
    wording = Wording("pk2", 4, Version("v", "t", "x", (f"https://{host}/{PLANTED['media']}",)))
    journal.flush(
        {"observations": OBSERVATIONS.encode(looks), "versions": VERSIONS.encode([wording])}, 1
    )


def check_new(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        (account,) = observatory.account_rows()
        assert account.account.native_id == PLANTED["account"]
        assert account.account.url == f"https://{PLANTED['host']}/"
        assert account.cursor == PLANTED["cursor"]
        rows = observatory.post_rows([1, 2, 2000])
        assert [row.post.native_id for row in rows] == [
            f"{PLANTED['post']}-{n}" for n in (1, 2, 2000)
        ]
        assert [row.post.repeats for row in rows] == [PLANTED["repeats"], None, None]
        assert rows[0].host == PLANTED["host"]
        assert (rows[0].track.due, rows[0].track.state) == (7, State.ALIVE)
        assert len(observatory.first_sights()) == 999
        with observatory.past() as con:
            media = con.execute("select post, media from versions order by 1").fetchall()
            words = con.execute("select words from observations order by subject, asked_at")
            assert words.fetchall() == [
                ("…: no connection (…)",),
                ("…: (…)",),
                ("as the peer.said",),
            ]
        assert [post for post, _ in media] == ["pk1", "pk2"]
        for _, written in media:
            (sealed,) = json.loads(written)
            opened = observatory.vault.open_word(sealed, "versions.media")
            assert opened == f"https://{PLANTED['host']}/{PLANTED['media']}"
        assert observatory.journal.verify() == []
        assert observatory.journal.manifest.sealed
        assert observatory.integrity() == ""
        with observatory._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
        assert traces(folder, PLANTED.values()) == [], "old pages are gone while it is open"
    assert traces(folder, PLANTED.values()) == []


def test_an_old_folder_is_sealed_without_a_trace(folder: Path) -> None:
    make_old(folder)
    assert len({text for _, text in traces(folder, PLANTED.values())}) == len(PLANTED)
    with pytest.raises(DamagedError, match="has schema 0001, this program reads"):
        Observatory.open(folder)
    check_new(folder)


def test_a_crash_before_the_old_pages_are_gone_is_made_good(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(folder)
    with monkeypatch.context() as patch:

        def killed(engine: sa.Engine) -> bool:
            raise KeyboardInterrupt

        patch.setattr(present, "scrub", killed)
        with pytest.raises(KeyboardInterrupt):
            Observatory.open(folder, write=True)
    with monkeypatch.context() as patch:

        def unwritten(folder: Path, manifest: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("vanished.archive.journal.write_manifest", unwritten)
        with pytest.raises(KeyboardInterrupt):
            Observatory.open(folder, write=True)
    check_new(folder)


def test_a_migration_is_done_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills in the middle must not leave a database that no version reads."""
    make_old(folder)
    for cut in (1, 100, 999):
        with monkeypatch.context() as patch:
            sealed = iter(range(cut))

            def full(
                self: Vault,
                text: str,
                place: str,
                sealed: object = sealed,
                real: object = Vault.seal,
            ) -> bytes:
                if next(sealed, None) is None:  # type: ignore[call-overload]
                    raise OSError(28, "No space left on device")
                return real(self, text, place)  # type: ignore[operator, no-any-return]

            patch.setattr(Vault, "seal", full)
            with pytest.raises(ObservatoryError, match="disk is full"):
                Observatory.open(folder, write=True)
    check_new(folder)


def test_a_reader_delays_the_scrubbing_but_does_not_prevent_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads old pages just then: the next opening makes it good."""
    make_old(folder)
    monkeypatch.setattr(present, "BUSY_S", 0.1)
    reader = present.connect(folder / present.FILE, write=False)
    with reader.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("select count(*) from posts").scalar()
        Observatory.open(folder, write=True).close()
        assert traces(folder, PLANTED.values()) != []
    reader.dispose()
    check_new(folder)
