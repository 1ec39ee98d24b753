"""The schedule of stamps: a failure loses the stamp of an hour, or the news that it failed."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archive.stamps.desk import T0, Desk, desk
from tests.archive.stamps.notes import checkpoint
from tests.net.servers import free_port
from vanished.archive.durable import write_atomically
from vanished.archive.stamps import (
    Authority,
    Kind,
    Progress,
    Stamped,
    StampReport,
    StampSettings,
    Standing,
    due_work,
    kept,
    read_root,
    stamped,
    verify,
)
from vanished.errors import ConfigError, StorageError, UsageError
from vanished.model import DAY, HOUR, MINUTE
from vanished.net.exchange import Exchange

__all__ = ["desk"]  # a fixture


def by_kind(state: Stamped, kind: Kind) -> list[Progress]:
    return [attempt.progress for attempt in state.attempts if attempt.kind is kind]


# -- stamping ----------------------------------------------------------------------------------


async def test_a_checkpoint_is_stamped_by_all_and_again_an_hour_later(desk: Desk) -> None:
    first = await desk.work(checkpoint(10), T0)
    assert first.troubles == ()
    assert len(first.done) == 4
    assert all(done.attempt.progress is Progress.KEPT for done in first.done), first
    assert first.next_at == T0 + HOUR
    assert sorted(p.name for p in kept.folder_of(desk.folder, 10).iterdir()) == [
        "alpha.tsq", "alpha.tsr", "beta.tsq", "beta.tsr", "checkpoint", "checkpoint.ots",
        "state.json",
    ]  # fmt: skip
    found = desk.findings()
    assert {f.holds for f in found.values()} == {True}
    assert found["000000000010/alpha.tsr"].standing is Standing.PROVEN
    beta = found["000000000010/beta.tsr"]
    assert beta.standing is Standing.PROVEN
    assert beta.stamp is not None
    assert beta.stamp.by == ("openssl",)  # its certificates are not in the library's order
    assert found["000000000010/checkpoint.ots"].standing is Standing.PENDING
    early = await desk.work(checkpoint(20), T0 + HOUR - 1)
    assert early.done == ()
    late = await desk.work(checkpoint(20), T0 + HOUR)
    assert {done.size for done in late.done} == {10, 20}
    assert [state.size for state in stamped(desk.folder)] == [10, 20]
    assert all(f.holds for f in desk.findings().values())
    unchanged = await desk.work(checkpoint(20), T0 + 3 * HOUR)
    assert [state.size for state in stamped(desk.folder)] == [10, 20]
    assert {done.attempt.kind for done in unchanged.done} == {Kind.UPGRADE}


async def test_the_kept_reply_is_byte_for_byte_what_the_authority_sent(desk: Desk) -> None:
    """By openssl, with nothing of ours but the files."""
    await desk.work(checkpoint(10), T0)
    place = kept.folder_of(desk.folder, 10)
    for server in desk.authorities:
        ran = subprocess.run(
            [server.openssl, "ts", "-verify", "-data", "checkpoint", "-in", f"{server.name}.tsr",
             "-CAfile", server.root],
            cwd=place, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        assert b"Verification: OK" in ran.stdout, ran.stderr
        assert server.queries == [(place / f"{server.name}.tsq").read_bytes()]


async def test_pending_becomes_confirmed_by_the_scheduled_upgrade(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.work(checkpoint(10), T0)
    for hour in (1, 2):
        report = await desk.work(checkpoint(10), T0 + hour * HOUR)
        (done,) = report.done
        assert done.attempt.progress is Progress.WANTED
        assert "waiting for 2 calendars" in done.attempt.words
        assert report.next_at == T0 + (hour + 1) * HOUR
    one, two = desk.calendars
    one.mine(5, 1_790_000_000)
    headers = tmp_path / "headers"
    headers.write_bytes(one.header_file())
    unsure = await desk.work(checkpoint(10), T0 + 3 * HOUR)
    assert "attested in Bitcoin block 5, header not checked" in unsure.done[0].attempt.words
    assert unsure.done[0].attempt.progress is Progress.WANTED  # the other calendar may be honest
    sure = await desk.work(checkpoint(10), T0 + 4 * HOUR, replace(desk.settings, headers=headers))
    assert sure.done[0].attempt.progress is Progress.KEPT
    assert "in Bitcoin block 5, header checked" in sure.done[0].attempt.words
    assert sure.next_at is None
    assert (await desk.work(checkpoint(10), T0 + 9 * HOUR)).done == ()
    name = "000000000010/checkpoint.ots"
    assert desk.findings()[name].standing is Standing.ATTESTED
    assert desk.findings(headers=headers)[name].standing is Standing.CONFIRMED
    headers.write_bytes(bytes(80 * 6))
    wrong = desk.findings(headers=headers)[name]
    assert wrong.standing is Standing.PENDING  # the other calendar may still name a true block
    assert "another Merkle root" in wrong.words
    assert len(two.asked) == 4


async def test_what_stays_pending_for_thirty_days_has_failed_and_says_so(desk: Desk) -> None:
    await desk.work(checkpoint(10), T0)
    assert desk.findings(T0 + 29 * DAY)["000000000010/checkpoint.ots"].standing is Standing.PENDING
    found = desk.findings(T0 + 30 * DAY)["000000000010/checkpoint.ots"]
    assert found.standing is Standing.FAILED
    assert found.holds
    report = await desk.work(checkpoint(10), T0 + 30 * DAY)
    (done,) = report.done
    assert done.attempt.progress is Progress.GIVEN_UP
    assert done.attempt.words.startswith("still pending after 30 days: waiting for 2 calendars")
    assert (await desk.work(checkpoint(10), T0 + 31 * DAY)).done == ()


async def test_a_watch_that_slept_for_months_still_asks_once_about_each(desk: Desk) -> None:
    for hour in range(3):
        await desk.work(checkpoint(10 + hour), T0 + hour * HOUR)
    for one in desk.calendars:
        one.mine(1, 1_790_000_000)
    report = await desk.work(checkpoint(12), T0 + 90 * DAY)
    assert [done.size for done in report.done] == [10, 11, 12]
    assert all(done.attempt.progress is Progress.KEPT for done in report.done)
    assert (await desk.work(checkpoint(12), T0 + 91 * DAY)).done == ()


# -- what fails --------------------------------------------------------------------------------


async def test_an_authority_that_is_down_is_tried_again_later_and_later(desk: Desk) -> None:
    alpha, beta = desk.authorities
    alpha.mode = "error"
    beta.mode = "junk"
    note, now, waits = checkpoint(10), T0, []
    quick = replace(desk.settings, every_s=86_400, calendars=())
    for _ in range(4):
        report = await desk.work(note, now, quick)
        assert report.troubles == ()
        assert {done.attempt.progress for done in report.done} == {Progress.WANTED}
        assert report.next_at is not None
        waits.append((report.next_at - now) // MINUTE)
        now = report.next_at
    assert waits == [1, 2, 4, 8]
    words = [a.words for a in desk.state(10).attempts]
    assert "503" in words[0]
    assert "refused: it is no RFC 3161 reply" in words[1]
    assert (await desk.work(note, now - 1, quick)).done == ()
    alpha.mode = beta.mode = "honest"
    report = await desk.work(note, now, quick)
    assert {done.attempt.progress for done in report.done} == {Progress.KEPT}
    assert desk.state(10).attempts[0].tries == 5
    assert all(f.holds for f in desk.findings().values())


async def test_with_nobody_there_the_watch_goes_on_and_a_later_checkpoint_is_stamped(
    desk: Desk, tmp_path: Path
) -> None:
    nowhere = f"http://127.0.0.1:{await free_port()}"
    alone = StampSettings((Authority("alpha", nowhere, tmp_path / "no.pem"),), (nowhere,))
    report = await desk.work(checkpoint(10), T0, alone)
    assert report.troubles == ()
    assert len(report.done) == 2
    assert all("gave no" in done.attempt.words for done in report.done)
    assert report.next_at == T0 + MINUTE
    await desk.work(checkpoint(20), T0 + HOUR)
    assert {a.progress for a in desk.state(10).attempts} == {Progress.GIVEN_UP}
    assert by_kind(desk.state(20), Kind.RFC3161) == [Progress.KEPT] * 2
    assert desk.findings()["000000000010/state.json"].standing is Standing.WHOLE


async def test_a_stamp_that_nobody_here_can_check_is_kept_and_checked_later(
    desk: Desk, tmp_path: Path
) -> None:
    alpha = desk.authorities[0]
    rootless = StampSettings((Authority("alpha", alpha.url, tmp_path / "later.pem"),))
    with pytest.raises(UsageError, match=r"later\.pem cannot be read"):
        rootless.check()
    report = await desk.work(checkpoint(10), T0, rootless)
    assert report.done[0].attempt.progress is Progress.KEPT
    assert "no root is pinned" in report.done[0].attempt.words
    (unchecked,) = [f for f in verify(desk.folder, {}, now=T0) if f.file.endswith(".tsr")]
    assert unchecked.standing is Standing.UNCHECKED
    assert desk.findings()["000000000010/alpha.tsr"].standing is Standing.PROVEN


async def test_the_wrong_root_is_refused_and_said(desk: Desk) -> None:
    alpha, beta = desk.authorities
    mixed = StampSettings((Authority("alpha", alpha.url, beta.root),))
    report = await desk.work(checkpoint(10), T0, mixed)
    assert report.done[0].attempt.progress is Progress.WANTED
    assert "the reply was refused: its signature does not hold" in report.done[0].attempt.words
    assert not (kept.folder_of(desk.folder, 10) / "alpha.tsr").exists()
    await desk.work(checkpoint(20), T0 + HOUR)
    swapped = {"alpha": read_root(beta.root), "beta": read_root(alpha.root)}
    found = [f for f in verify(desk.folder, swapped, now=T0) if f.file.endswith(".tsr")]
    assert [f.standing for f in found] == [Standing.REFUSED] * 2


async def test_a_log_that_forked_or_shrank_is_not_stamped(desk: Desk) -> None:
    await desk.work(checkpoint(10), T0)
    forked = await desk.work(checkpoint(10, "other"), T0 + 2 * HOUR)
    assert "another root at size 10" in forked.troubles[0]
    shrunk = await desk.work(checkpoint(9), T0 + 2 * HOUR)
    assert "it was cut" in shrunk.troubles[0]
    junk = await desk.work(b"junk", T0 + 2 * HOUR)
    assert "the checkpoint to stamp" in junk.troubles[0]
    assert [state.size for state in stamped(desk.folder)] == [10]
    assert (await desk.work(checkpoint(0), T0)).next_at is not None


async def test_a_down_calendar_is_asked_once_a_call_however_much_is_pending(desk: Desk) -> None:
    for hour in range(5):
        await desk.work(checkpoint(10 + hour), T0 + hour * HOUR)
    for one in desk.calendars:
        one.mode = "error"
        one.asked.clear()
    await desk.work(checkpoint(14), T0 + 9 * HOUR)
    assert [len(one.asked) for one in desk.calendars] == [1, 1]


async def test_no_settings_no_work(desk: Desk) -> None:
    report = await desk.work(checkpoint(10), T0, StampSettings())
    assert report == StampReport((), (), None)
    assert not desk.folder.exists()
    assert verify(desk.folder, {}, now=T0) == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"authorities": (Authority("A b", "https://a", Path("r")),)}, "cannot be called"),
        ({"authorities": (Authority("a", "https://a", Path("r")),) * 2}, "are the same"),
        ({"calendars": ("ftp://a",)}, "is no URL"),
        ({"every_s": 0}, "0 seconds or less"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StampSettings(**settings)  # type: ignore[arg-type]


# -- crashes -----------------------------------------------------------------------------------


class Crash(BaseException):
    """Stands for kill -9: no handler of ours runs."""


async def test_a_crash_at_any_write_leaves_a_folder_that_holds_and_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp is lost at most, never a folder that looks tampered with."""
    # No power fails here, so nothing waits for the disk.
    monkeypatch.setattr("vanished.archive.durable.os.fsync", lambda _: None)
    write, crashes = write_atomically, 0
    for crash_at in range(40):
        desk.folder = desk.folder.with_name(f"stamps-{crash_at}")
        writes = 0

        def failing(path: Path, content: bytes, crash_at: int = crash_at) -> None:
            nonlocal writes
            writes += 1
            if writes == crash_at + 1:
                raise Crash
            write(path, content)

        crashed = False
        with monkeypatch.context() as patch:
            patch.setattr(kept, "write_atomically", failing)
            for step, size in enumerate((10, 10, 20)):
                if size == 10 and step:
                    desk.calendars[0].mine(2 + 4 * crash_at, 1_790_000_000)
                try:
                    await desk.work(checkpoint(size), T0 + step * HOUR)
                except Crash:
                    crashed = True
                    break
        crashes += crashed
        found = desk.findings()
        assert all(f.holds for f in found.values()), (crash_at, found)
        report = await desk.work(checkpoint(30), T0 + 5 * HOUR)
        assert report.troubles == (), crash_at
        assert by_kind(desk.state(30), Kind.RFC3161) == [Progress.KEPT] * 2
        found = desk.findings()
        assert all(f.holds for f in found.values()), (crash_at, found)
        assert not any(state.coming for state in stamped(desk.folder))
        if not crashed:
            break
    assert crashes > 15


async def test_a_full_disk_is_a_storage_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "write_atomically", full)
    with pytest.raises(StorageError, match="the disk is full"):
        await desk.work(checkpoint(10), T0)


# -- hourly for a year -------------------------------------------------------------------------


class Nobody:
    """A way to fetch that counts and answers nothing."""

    asked = 0

    async def request(self, method: str, url: str, **_: object) -> Exchange:
        del method
        self.asked += 1
        return Exchange(url, T0, T0, status=404)


async def test_finished_folders_of_a_year_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every call would read thousands of files by the end of a year."""
    settings = StampSettings((Authority("a", "https://a.example", tmp_path / "r"),))
    done = kept.Attempt(Kind.RFC3161, "a", None, Progress.KEPT, 1, T0, "kept")
    monkeypatch.setattr("vanished.archive.durable.os.fsync", lambda _: None)
    for day in range(200):
        note = checkpoint(day + 1)
        root = hashlib.sha256(str(day + 1).encode()).hexdigest()
        state = Stamped(day + 1, root, T0 + day * DAY, (done,))
        kept.begin(tmp_path / "stamps", state, note)
    reads: list[Path] = []
    read = kept.read_file

    def counted(path: Path) -> bytes | None:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(kept, "read_file", counted)
    fetch = Nobody()
    report = await due_work(tmp_path / "stamps", checkpoint(200), T0 + 199 * DAY, settings, fetch)
    assert (report.done, report.troubles, fetch.asked) == ((), (), 0)
    assert len(reads) < 40
