"""Whoever was watched is in no published byte: no id, number, mention, no word taken back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.publish.planted import Planted, hashes
from tests.watch.test_seized import Scan, readable
from vanished.explain.window import Window
from vanished.lab.source import PLATFORM
from vanished.publish import gate
from vanished.publish.dataset import MANIFEST, SIGNATURE, check_dataset, write_dataset
from vanished.publish.release import Release, read_release

PIECE = 12  # characters: a shorter piece of a text may be anybody's


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("planted")
        patch.setenv("VANISHED_KEY", "ab" * 32)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        yield Planted(5, folder / "o")


@pytest.fixture(scope="module")
def release(planted: Planted) -> Release:
    return read_release(planted.folder, "2026-11", Window())


@pytest.fixture(scope="module")
def published(planted: Planted, release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("published") / "set"
    write_dataset(planted.folder, release, target, 0)
    return target


def pieces(texts: list[str]) -> set[str]:
    return {
        line[at : at + PIECE]
        for text in texts
        for line in text.split("\n")
        for at in range(len(line) - PIECE + 1)
    }


def found_in(folder: Path, texts: set[str]) -> set[str]:
    scan = Scan(texts)
    found: set[str] = set()
    for content in readable(folder):
        found |= scan(content)
    return found


def test_no_planted_identity_is_in_any_published_byte(planted: Planted, published: Path) -> None:
    identities = planted.identities()
    assert len(identities) > 1500
    assert found_in(published, identities) == set()
    raw = b"".join(path.read_bytes() for path in published.iterdir())
    for post in planted.met:
        assert sha256(post.id.encode()).digest() not in raw
        assert bytes.fromhex(min(hashes(post.id))) not in raw


def test_the_search_finds_what_is_there(planted: Planted, published: Path, tmp_path: Path) -> None:
    """The claim above must be able to fail: a gate that lets texts as they are is caught."""
    secret = next(iter(planted.secrets.values()))[0]
    shutil.copytree(published, tmp_path / "leaking")
    path = str(tmp_path / "leaking" / "posts.parquet")
    table = pq.read_table(path)
    leaking = table.set_column(1, "platform", pa.array([secret] * table.num_rows))
    pq.write_table(leaking, tmp_path / "leaking" / "more.parquet", compression="zstd")
    assert secret in found_in(tmp_path / "leaking", planted.identities())


def test_no_word_of_a_post_that_its_author_took_down_is_published(
    planted: Planted, published: Path
) -> None:
    deleted = planted.by_author()
    assert len(deleted) >= 3
    others = pieces([
        part
        for post in planted.world.posts if post not in deleted
        for wording in (post.wording, post.edited) if wording
        for part in (wording.title, wording.text)
    ])  # fmt: skip
    gone = pieces([part for post in deleted for part in (post.wording.title, post.wording.text)])
    only = gone - others
    assert len(only) > 100
    assert found_in(published, only) == set()


def test_the_words_that_may_leave_do(planted: Planted, release: Release, published: Path) -> None:
    """A gate that lets nothing through would pass all of the above."""
    assert len(release.with_words) > 50
    words = pq.read_table(published / "words.parquet")["text"].to_pylist()
    marks = [sum(mark in text for text in words) for mark in ("[number]", "[mention]", "[name]")]
    assert min(marks) > 0.9 * len(words)
    kept = pieces([post.wording.text.split("\n")[0] for post in planted.met])
    shown = pieces(words)
    assert len(kept & shown) > 0.3 * len(kept)


def test_every_row_is_shared_by_five_accounts(planted: Planted, release: Release) -> None:
    """By the truth of the world: whoever reads a row cannot tell which of five accounts it was."""
    name = {}
    from vanished.archive.pseudonyms import for_release

    naming = for_release(planted.naming, release.name)
    for post in planted.met:
        name[naming(planted.naming(PLATFORM, post.id))] = post.account
    crowds: dict[tuple[object, ...], set[int]] = {}
    for row in release.rows:
        told = (
            row.platform, row.fate, row.state, row.causes, row.confidence,
            row.published_from, row.alive_until, row.gone_by, row.rounded,
        )  # fmt: skip
        crowds.setdefault(told, set()).add(name[row.post])
    assert crowds
    assert min(len(accounts) for accounts in crowds.values()) >= 5


def test_the_order_of_rows_tells_nothing(release: Release, published: Path) -> None:
    """In the order of the past, neighbours would tell the hour that rounding took away."""
    for name in ("posts", "words"):
        posts = pq.read_table(published / f"{name}.parquet")["post"].to_pylist()
        assert posts == sorted(posts)
    assert [row.post for row in release.rows] == sorted(row.post for row in release.rows)


def test_no_time_is_finer_than_the_setting(release: Release) -> None:
    width = int(release.rules.round_s * 1_000_000)
    assert width == 3_600_000_000
    for row in release.rows:
        for t in (row.published_from, row.alive_until, row.gone_by):
            assert t is None or (t % width == 0 and row.rounded >= width and t % row.rounded == 0)


def test_the_same_release_is_the_same_bytes_and_another_has_other_names(
    planted: Planted, published: Path, tmp_path: Path
) -> None:
    again = read_release(planted.folder, "2026-11", Window())
    write_dataset(planted.folder, again, tmp_path / "again", 1)
    for path in published.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
    other = read_release(planted.folder, "2026-12", Window())
    assert {row.post for row in other.rows}.isdisjoint(row.post for row in again.rows)


def test_the_manifest_is_signed_and_tells_a_change(published: Path, tmp_path: Path) -> None:
    from vanished.archive.log import parse_note
    from vanished.errors import EvidenceError

    note = parse_note((published / SIGNATURE).read_bytes())
    assert note.text.splitlines()[0] == "vanished data set v1"
    shutil.copytree(published, tmp_path / "set")
    (tmp_path / "set" / "posts.csv").write_bytes(b"post\r\n")
    with pytest.raises(EvidenceError, match=r"posts\.csv is missing, was changed"):
        check_dataset(tmp_path / "set", None)
    shutil.copy(published / "posts.csv", tmp_path / "set" / "posts.csv")
    (tmp_path / "set" / "more.csv").write_bytes(b"")
    with pytest.raises(EvidenceError, match=r"more\.csv"):
        check_dataset(tmp_path / "set", None)
    (tmp_path / "set" / MANIFEST).unlink()
    with pytest.raises(EvidenceError, match="manifest"):
        check_dataset(tmp_path / "set", None)


def test_posts_of_authors_who_deleted_are_counted_and_told_in_no_row(
    planted: Planted, release: Release
) -> None:
    by_author = {planted.naming(PLATFORM, post.id) for post in planted.by_author()}
    stay = {one.post: one.why for one in release.withheld}
    judged = by_author & stay.keys()
    assert len(judged) >= len(by_author) - 1  # one of them may be lost beside the watch's end
    assert {stay[key] for key in judged} <= {
        gate.Why.AUTHOR,
        gate.Why.MAYBE_AUTHOR,
        gate.Why.UNCONFIRMED,
        gate.Why.FEW,
    }
    assert not {gate.Why.AUTHOR, gate.Why.MAYBE_AUTHOR}.isdisjoint(stay.values())
