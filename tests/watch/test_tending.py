"""Witnesses and stamping services are asked beside the watch, and never get in its way."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from tests.archive.proof_writer import account, write
from tests.servers.calendar import calendar
from tests.servers.tsa import authority
from vanished.archive.exporting import export_receipts
from vanished.archive.log import (
    Log,
    SignerKey,
    VerifierKey,
    parse_receipt,
    read_keys,
    verify_receipt,
)
from vanished.archive.observatory import Observatory
from vanished.archive.proof import signer
from vanished.archive.settings import FILE
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import HOUR
from vanished.watch.live import open_door, tended
from vanished.watch.progress import Event
from vanished.watch.tending import Tended, Tending, tend_folder
from vanished.watch.witnessing import run_witness
from vanished.watch.witnessing import signer as signer_of_witness

NOW = SystemClock().now()
START_S = 20.0


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def observed(folder: Path, more: str = "") -> Path:
    """A small observatory with captures and these settings."""
    with Observatory.create(folder) as observatory:
        account(observatory)
        write(observatory, lambda: None, commits=2)
    text = (folder / FILE).read_text("utf-8")
    text = text.replace("allow_networks = []", 'allow_networks = ["127.0.0.0/8"]')
    (folder / FILE).write_text(text.replace("per_second = 1.0", "per_second = 100.0"), "utf-8")
    add(folder, more)
    return folder


def add(folder: Path, more: str) -> None:
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n{more}\n")


@contextmanager
def witness(folder: Path, *know: str) -> Iterator[tuple[str, str]]:
    """`vanished witness` as a process of its own; its address and key."""
    vanished = str(Path(sys.executable).with_name("vanished"))
    words = [vanished, "witness", str(folder), "--port", "0", "--json"]
    words += ["--name", f"w.example/{folder.name}"]
    for key in know:
        words += ["--know", key]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        timer.cancel()
        yield said["url"], said["key"]
    finally:
        timer.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def key_of(folder: Path) -> str:
    return str(Log.open(folder / "log").keys[-1].key)


def friends(url: str, key: str) -> str:
    return f'[log.witnesses]\nfriends = {{ url = "{url}", key = "{key}" }}'


def test_a_round_is_stamped_cosigned_and_verified(tmp_path: Path) -> None:
    folder = observed(tmp_path / "o")
    with (
        authority(tmp_path / "a") as first,
        authority(tmp_path / "b") as second,
        calendar() as books,
        witness(tmp_path / "w", key_of(folder)) as (url, key),
    ):
        add(folder, friends(url, key))
        add(
            folder,
            "[stamps.authorities]\n"
            f'alpha = {{ url = "{first.url}", root = "{first.root}" }}\n'
            f'beta = {{ url = "{second.url}", root = "{second.root}" }}',
        )
        text = (folder / FILE).read_text("utf-8")
        asked = f'[stamps]\ncalendars = ["{books.url}"]\n'
        (folder / FILE).write_text(text.replace("[stamps]\n", asked), "utf-8")
        done = tend_folder(folder)
        assert (done.cosigned, done.troubles) == (["friends"], [])
        assert len(done.stamped) >= 2
        assert tend_folder(folder).stamped == []  # nothing new is due within the hour
    found = verify_folder(folder, now=NOW + HOUR)
    assert found.sound, found.text()
    text = found.text()
    assert "the witness 'w.example/w' saw the log's first 6 leaves" in text
    for name in ("alpha.tsr", "beta.tsr"):
        assert re.search(rf"proven: \d+/{name}: ", text), text
    assert re.search(r"not proven: \d+/checkpoint.ots: pending", text), text


def test_services_that_are_down_stop_nothing(tmp_path: Path) -> None:
    folder = observed(tmp_path / "o")
    with authority(tmp_path / "a") as first:
        gone = f'[stamps.authorities]\nalpha = {{ url = "{first.url}", root = "{first.root}" }}'
    add(folder, gone)
    add(folder, friends("http://127.0.0.1:9", str(_some_witness())))
    done = tend_folder(folder)
    assert done.cosigned == done.stamped == []
    assert len(done.troubles) == 2
    assert all("\n" not in trouble for trouble in done.troubles)
    assert verify_folder(folder, now=NOW).sound


def _some_witness() -> object:
    return SignerKey("w.example/other", b"\3" * 32, 4).verifier


def test_two_observatories_cosign_each_other(tmp_path: Path) -> None:
    one, two = observed(tmp_path / "one"), observed(tmp_path / "two")
    with (
        witness(tmp_path / "w1", key_of(two)) as (url_1, key_1),
        witness(tmp_path / "w2", key_of(one)) as (url_2, key_2),
    ):
        add(one, friends(url_2, key_2))
        add(two, friends(url_1, key_1))
        for folder in (one, two):
            assert tend_folder(folder).cosigned == ["friends"]
            with Observatory.open(folder, write=True) as observatory:
                write(observatory, lambda: None, commits=1)
            assert tend_folder(folder).cosigned == ["friends"]  # from where it was
    for folder, name in ((one, "w2"), (two, "w1")):
        text = verify_folder(folder, now=NOW).text()
        assert f"the witness 'w.example/{name}' saw the log's first 9 leaves" in text


def test_what_a_witness_said_stays_when_it_falls_silent(tmp_path: Path) -> None:
    """The other's cosignature of a later checkpoint must not overwrite it; receipts carry one."""
    folder = observed(tmp_path / "o")
    with witness(tmp_path / "w1", key_of(folder)) as (url_1, key_1):
        with witness(tmp_path / "w2", key_of(folder)) as (url_2, key_2):
            add(
                folder, friends(url_1, key_1) + f'\nsilent = {{ url = "{url_2}", key = "{key_2}" }}'
            )
            assert tend_folder(folder).cosigned == ["friends", "silent"]
        with Observatory.open(folder, write=True) as observatory:
            write(observatory, lambda: None, commits=1)
        done = tend_folder(folder)
        assert done.cosigned == ["friends"]
        assert len(done.troubles) == 1
        with Observatory.open(folder, write=True) as observatory:  # signed anew, by us alone
            write(observatory, lambda: None, commits=1)
    text = verify_folder(folder, now=NOW).text()
    assert "the witness 'w.example/w1' saw the log's first 9 leaves" in text
    assert "the witness 'w.example/w2' saw the log's first 6 leaves" in text
    paths, _ = export_receipts(folder, tmp_path / "receipts")
    friend = VerifierKey.parse(key_1)
    for path in paths:
        receipt = parse_receipt(path.read_bytes())
        needed = int(receipt.index < 9)  # what came later, no witness has seen
        verify_receipt(receipt, read_keys(folder / "log"), witnesses=[friend], needed=needed)
    assert len(paths) == 12
    (folder / "log" / "cosignatures" / "silent").write_bytes(b"x")
    assert not verify_folder(folder, now=NOW).sound


def test_a_log_that_was_rewritten_is_refused_and_told(tmp_path: Path) -> None:
    folder = observed(tmp_path / "o")
    with witness(tmp_path / "w", key_of(folder)) as (url, key):
        add(folder, friends(url, key))
        assert tend_folder(folder).cosigned == ["friends"]
        with Observatory.open(folder) as observatory:
            own = signer(observatory.settings.id, create=False)
        forked = Log.create(tmp_path / "fork", own)
        forked.append([bytes([n]) * 32 for n in range(9)])
        forked.checkpoint()

        async def ask() -> Tended:
            clock = SystemClock()
            with Observatory.open(folder) as observatory:
                async with open_door(observatory.settings, clock) as door:
                    tending = Tending(tmp_path, forked, observatory.settings, door)
                    return await tending.round(clock.now())

        (tmp_path / "log").mkdir()
        done = asyncio.run(ask())
    assert done.cosigned == []
    (trouble,) = done.troubles
    assert "fork" in trouble or "another root" in trouble


async def test_it_goes_on_beside_a_watch(tmp_path: Path) -> None:
    """The log grows while it is asked; the loop is never held up for long."""
    folder = observed(tmp_path / "o")
    told: list[Event] = []
    with authority(tmp_path / "a") as first:
        add(
            folder,
            f'[stamps.authorities]\nalpha = {{ url = "{first.url}", root = "{first.root}" }}',
        )
        clock = SystemClock()
        with Observatory.open(folder, write=True) as observatory:
            async with (
                open_door(observatory.settings, clock) as door,
                tended(observatory, door, clock, told.append),
            ):
                for _ in range(100):
                    write(observatory, lambda: None, commits=1)
                    await asyncio.sleep(0.05)
                    if any(event.kind == "stamp" for event in told):
                        break
    assert [event.kind for event in told] == ["stamp"], told
    found = verify_folder(folder, now=NOW)
    assert found.sound, found.text()
    assert list((folder / "log/stamps").rglob("alpha.tsr"))


async def test_the_operator_is_told_and_the_watch_goes_on(tmp_path: Path) -> None:
    """A witness and an authority that are gone: sentences for the operator, and looks as before."""
    folder = observed(tmp_path / "o")
    with authority(tmp_path / "a") as first:
        gone = f'[stamps.authorities]\nalpha = {{ url = "{first.url}", root = "{first.root}" }}'
    add(folder, gone)
    add(folder, friends("http://127.0.0.1:9", str(_some_witness())))
    told: list[Event] = []
    clock = SystemClock()
    with Observatory.open(folder, write=True) as observatory:
        async with (
            open_door(observatory.settings, clock) as door,
            tended(observatory, door, clock, told.append),
        ):
            for _ in range(100):
                write(observatory, lambda: None, commits=1)
                await asyncio.sleep(0.05)
                if len(told) >= 2:
                    break
        kept = observatory.looks
    words = [str(event.facts["words"]) for event in told if event.kind == "proof-trouble"]
    assert any("the witness 'w.example/other' did not cosign" in each for each in words), words
    assert any("alpha: the authority gave no stamp" in each for each in words), words
    assert kept > 0
    assert verify_folder(folder, now=NOW).sound


def test_a_witness_has_one_memory(tmp_path: Path) -> None:
    """Two folders under one key could cosign two forks without either of them noticing."""
    with witness(tmp_path / "w") as (_, key):
        pass
    with witness(tmp_path / "w") as (_, again):
        assert again == key
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UsageError, match="has a key already"):
        signer_of_witness(tmp_path / "elsewhere/w", "w.example/w")
    assert not (tmp_path / "elsewhere/w").exists()


def test_a_key_that_is_none_leaves_no_witness(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        run_witness(
            tmp_path / "w", name="w.example", know=["nonsense"], host="127.0.0.1", port=0,
            as_json=True, console=Console(stderr=True),
        )  # fmt: skip
    assert not (tmp_path / "w").exists()
    assert not list((tmp_path / "config").rglob("*.witness"))
