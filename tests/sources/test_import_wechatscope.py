"""If these fail, a peer's record is taken over with other losses, causes or calms than it has."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from vanished.archive.columns import GAP, WATCHED, Coverage
from vanished.archive.pseudonyms import Secret
from vanished.errors import InputError
from vanished.model import SECOND, Cause, Fault, Kind, Micros, Signal, Via, at
from vanished.sources.imports import Imported
from vanished.sources.imports.wechatscope import read

NAME = Secret(bytes(range(32)), "a test")
DUMP = (
    Path(__file__).parents[2] / "../shared/data/wechatscope-ceninfo/ceninfo-2018-2019.csv"
).resolve()
REAL = pytest.mark.skipif(
    not DUMP.is_file(), reason="the WeChatscope dump (shared/data/wechatscope-ceninfo) is not here"
)
HEADER = '"title","nickname","created_at","archive","censored_date","censored_msg"\n'
AUTHOR, VIOLATION = "该内容已被发布者删除", "此内容因违规无法查看"


def row(
    title: str = "An article",
    account: str = "gh_000000000001",
    push: str = "2650000001",
    day: str = "2019-03-02",
    noticed: str = "2019-03-03 09:00:00",
    notice: str = AUTHOR,
    nickname: str = "An account",
    suffix: str = "AbCdEfGhIj",
) -> str:
    cells = (title, nickname, day, f"{account}_{day}_{push}_{suffix}.y.tar.gz", noticed, notice)
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


@pytest.fixture
def dump(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "dump.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def china(written: str) -> Micros:
    zone = timezone(timedelta(hours=8))
    moment = datetime.fromisoformat(written).replace(tzinfo=zone)
    return round(moment.timestamp()) * SECOND


# -- what a row becomes ----------------------------------------------------------------------


def test_a_row_becomes_a_post_and_a_look_of_the_peer(dump: Callable[[str], Path]) -> None:
    record = read(dump(HEADER + row()), NAME)
    (account,), (post,), (seen,) = record.accounts, record.posts, record.observations
    ((versioned, known_by, version),) = record.versions
    assert (account.native_id, account.name) == ("gh_000000000001", "An account")
    assert account.key == post.account == NAME("wechat", "gh_000000000001")
    assert post.published_at == china("2019-03-02 00:00:00")
    assert at(post.published_at) == datetime(2019, 3, 1, 16, tzinfo=UTC), "China is at UTC+8"
    assert (seen.subject, seen.via, seen.vantage) == (post.key, Via.IMPORT, "wechatscope")
    noticed = china("2019-03-03 09:00:00")
    assert {seen.asked_at, seen.answered_at, seen.last_answered_at, known_by} == {noticed}
    assert (seen.signal.kind, seen.signal.causes) == (Kind.GONE, frozenset([Cause.AUTHOR]))
    assert seen.signal.words == AUTHOR
    assert (versioned, version.title, version.text) == (post.key, "An article", "")
    assert post.version == version.hash
    assert seen.version == "", "what was answered was a notice, not the wording"


def test_two_notices_on_one_article_stay_two_facts(dump: Callable[[str], Path]) -> None:
    """Who took it away is then in dispute; keeping one of them would decide it in silence."""
    rows = [
        row(notice=VIOLATION, noticed="2019-03-04 10:00:00", suffix="0000000002"),
        row(notice=AUTHOR, noticed="2019-03-03 10:00:00", suffix="0000000001"),
    ]
    record = read(dump(HEADER + "".join(rows)), NAME)
    assert len(record.posts) == 1
    assert [seen.signal.words for seen in record.observations] == [AUTHOR, VIOLATION]
    assert {seen.subject for seen in record.observations} == {record.posts[0].key}
    assert record.posts[0].first_seen_at == china("2019-03-03 10:00:00")


def test_articles_are_told_apart_by_account_push_and_title(dump: Callable[[str], Path]) -> None:
    rows = [
        row(),
        row(title="Another article of the push"),
        row(push="2650000002"),  # the same title published again
        row(account="wxid_0000000000001"),
        row(title="  An   article ", noticed="2019-03-05 00:00:00"),  # the first one, seen again
    ]
    record = read(dump(HEADER + "".join(rows)), NAME)
    assert len(record.posts) == len({post.key for post in record.posts}) == 4
    assert len(record.observations) == 5
    assert len(record.accounts) == 2
    assert len(record.versions) == 5, "both spellings of the title are kept"


def test_a_record_that_was_copied_twice_is_one_look(dump: Callable[[str], Path]) -> None:
    """One look that counts twice would confirm itself."""
    record = read(dump(HEADER + row() + row(title=" An article") + row()), NAME)
    assert (len(record.posts), len(record.observations)) == (1, 1)
    assert (record.rows, record.repeated) == (3, 2)
    assert record.notices == {AUTHOR: 3}


def test_a_notice_that_no_rule_knows_is_no_removal(dump: Callable[[str], Path]) -> None:
    record = read(dump(HEADER + row(notice="some new wording") + row(title="x", notice="")), NAME)
    for seen in record.observations:
        assert (seen.signal.kind, seen.signal.fault) == (Kind.ERROR, Fault.UNREADABLE)
    assert sorted(seen.signal.words for seen in record.observations) == ["", "some new wording"]


def test_the_matcher_decides_what_a_notice_says(dump: Callable[[str], Path]) -> None:
    said = Signal(Kind.GONE, frozenset([Cause.LEGAL]), words="court")
    record = read(dump(HEADER + row(notice="court")), NAME, {"court": said}.get)
    assert record.observations[0].signal == said


def test_a_loss_before_the_publication_drops_the_claimed_day(dump: Callable[[str], Path]) -> None:
    """One of two clocks is wrong: the look stays a fact, the claim would make a negative life."""
    early = row(noticed="2019-03-01 23:59:59")
    record = read(dump(HEADER + early + row(title="in order")), NAME)
    assert [post.published_at for post in record.posts] == [None, china("2019-03-02 00:00:00")]
    assert (record.backwards, len(record.observations)) == (1, 2)


def test_an_account_has_its_latest_name(dump: Callable[[str], Path]) -> None:
    rows = [
        row(nickname="newer", noticed="2019-03-09 00:00:00", title="b"),
        row(nickname="older", noticed="2019-03-03 00:00:00", title="a"),
    ]
    (account,) = read(dump(HEADER + "".join(rows)), NAME).accounts
    assert (account.name, account.added_at) == ("newer", china("2019-03-03 00:00:00"))


def test_columns_may_come_in_any_order_and_number(dump: Callable[[str], Path]) -> None:
    """The dump's later copies may have more columns; a byte order mark comes with spreadsheets."""
    plain = read(dump(HEADER + row(title='with "quotes",\nand a line')), NAME)
    cells = next(csv.reader([row(title="-")]))
    cells[0] = 'with "quotes",\nand a line'
    order = ["censored_msg", "archive", "extra", "title", "censored_date", "nickname", "created_at"]
    by_name = dict(zip(next(csv.reader([HEADER])), cells, strict=True)) | {"extra": "?"}
    quoted = ('"' + by_name[name].replace('"', '""') + '"' for name in order)
    turned = "\ufeff" + ",".join(order) + "\r\n" + ",".join(quoted) + "\r\n\r\n"
    assert read(dump(turned), NAME) == plain


# -- files that are not what they should be ----------------------------------------------------

GOOD = HEADER + row()


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (HEADER, 1, "not one row"),
        ("\n\n", 1, "the file is empty"),
        (HEADER.replace('"archive",', ""), 1, "the columns archive are missing"),
        ("a picture?\n", 1, "are missing; this is no WeChatscope dump"),
        (GOOD + "one,two\n", 3, "the row has 2 fields, the header 6"),
        (GOOD + row().strip() + ',"more"\n' + row(), 3, "the row has 7 fields"),
        (GOOD + row(title="two\nlines") + "x\n", 5, "the row has 1 fields"),
        (GOOD + row(noticed="2019-03-03"), 3, "censored_date '2019-03-03' is no time like YYYY"),
        (GOOD + row(noticed="2019-02-30 10:00:00"), 3, "censored_date"),
        (GOOD + row(noticed="2019-03-03 10:00:00+00:00"), 3, "censored_date"),
        (GOOD + row().replace('"2019-03-02"', '"yesterday"'), 3, "created_at 'yesterday'"),
        (GOOD + row().replace("gh_", "").replace("_", "-"), 3, "the archive '000000000001-"),
        (GOOD + row()[:40], 3, "cannot be read as CSV"),
        (GOOD + '"' + row(), 3, "cannot be read as CSV"),
        (GOOD.encode() + row(title="中文").encode("gb18030"), 3, "the file is not UTF-8"),
        (GOOD.encode() + row(title="x").encode("utf-16"), 3, "the file is not UTF-8"),
        ((GOOD + row()).encode()[:-40] + b"\xe6", 3, "the file is not UTF-8"),
        (GOOD + row(title="x" * 200_000), 3, "field larger than field limit"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    dump: Callable[[str | bytes], Path], content: str | bytes, line: int, words: str
) -> None:
    path = dump(content)
    with pytest.raises(InputError) as caught:
        read(path, NAME)
    assert str(caught.value).startswith(f"{path}:{line}: "), caught.value
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: could not be opened: No such file"):
        read(tmp_path / "none.csv", NAME)
    with pytest.raises(InputError, match="could not be opened: Is a directory"):
        read(tmp_path, NAME)


# -- the real dump -----------------------------------------------------------------------------


@cache
def real() -> Imported:
    return read(DUMP, NAME)


def plain() -> list[dict[str, str]]:
    with DUMP.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CLASSES = {
    "发布者删除": (Kind.GONE, frozenset([Cause.AUTHOR])),
    "因违规": (Kind.GONE, frozenset([Cause.PLATFORM])),
    "帐号已被屏蔽": (Kind.GONE, frozenset([Cause.PLATFORM])),
    "涉嫌侵权": (Kind.GONE, frozenset([Cause.LEGAL])),
    "公众号已迁移": (Kind.MOVED, frozenset([Cause.MOVED])),
    "多人投诉": (Kind.GONE, frozenset([Cause.PLATFORM])),
}


@REAL
def test_real_every_row_is_taken_over() -> None:
    record, rows = real(), plain()
    assert record.rows == len(rows) == 12_102
    assert len(record.observations) + record.repeated == len(rows)
    twice = Counter((r["archive"], r["censored_date"], r["censored_msg"]) for r in rows)
    assert record.repeated == sum(n - 1 for n in twice.values())
    assert record.backwards == 0
    accounts = {r["archive"].partition(f"_{r['created_at']}_")[0] for r in rows}
    assert {account.native_id for account in record.accounts} == accounts
    known = {account.key for account in record.accounts}
    assert {post.account for post in record.posts} == known
    assert {seen.subject for seen in record.observations} == {post.key for post in record.posts}


@REAL
def test_real_every_notice_is_in_its_class() -> None:
    record, rows = real(), plain()
    strings = Counter(r["censored_msg"] for r in rows)
    assert record.notices == strings
    found = Counter(
        next(part for part in CLASSES if part in seen.signal.words)
        for seen in record.observations
        if (seen.signal.kind, seen.signal.causes)
        == next(said for part, said in CLASSES.items() if part in seen.signal.words)
    )
    repeated = Counter(
        key[2]
        for key, n in Counter(
            (r["archive"], r["censored_date"], r["censored_msg"]) for r in rows
        ).items()
        for _ in range(n - 1)
    )
    for part in CLASSES:
        expected = sum(n for text, n in (strings - repeated).items() if part in text)
        assert found[part] == expected > 0, part
    assert found.total() == len(record.observations), "no row is outside its class"


@REAL
def test_real_articles_recorded_more_than_once_are_one_post() -> None:
    """Counted apart from the importer, from the plain rows."""
    record, rows = real(), plain()
    looks = {(r["archive"], r["censored_date"], r["censored_msg"]): r for r in rows}.values()
    articles = defaultdict(list)
    for r in looks:
        push = r["archive"].partition(f"_{r['created_at']}_")
        articles[push[0], push[2].split("_")[0], " ".join(r["title"].split())].append(r)
    assert len(record.posts) == len(articles)
    several = Counter(seen.subject for seen in record.observations)
    assert sorted(several.values()) == sorted(map(len, articles.values()))
    assert sum(n > 1 for n in several.values()) == 2
    notices = defaultdict(set)
    for seen in record.observations:
        notices[seen.subject].add(seen.signal.rule)
    disputed = sum(len({r["censored_msg"] for r in same}) > 1 for same in articles.values())
    assert sum(len(rules) > 1 for rules in notices.values()) == disputed
    print(f"{len(articles)} articles, {disputed} with two notices")


@REAL
def test_real_second_notices_for_some_articles_come_out_as_conflicts(tmp_path: Path) -> None:
    """The real rows, 50 of them recorded again with the other notice, as the peer may have."""
    lines = DUMP.read_text("utf-8").splitlines(keepends=True)
    chosen = [line for line in lines[1:] if AUTHOR in line][::160][:50]
    again = [line.replace(AUTHOR, VIOLATION).replace(".y.tar.gz", "2.y.tar.gz") for line in chosen]
    path = tmp_path / "more.csv"
    path.write_text("".join(lines + again), "utf-8")
    record = read(path, NAME)
    causes = defaultdict(set)
    for seen in record.observations:
        causes[seen.subject].add(frozenset(seen.signal.causes))
    assert len(record.posts) == len(real().posts)
    assert sum(len(said) > 1 for said in causes.values()) == 50


@REAL
def test_real_gaps_are_found_and_named() -> None:
    """The calendar days of China without one record, counted plainly, lie in the gaps."""
    record = real()
    gaps = [part for part in record.coverage if part.what == GAP]
    assert [(day(gap.since), day(gap.until)) for gap in gaps] == [
        ("2018-08-28", "2018-09-27"),
        ("2018-10-10", "2018-10-11"),
        ("2019-06-08", "2019-06-11"),
        ("2019-06-11", "2019-06-13"),
        ("2019-06-28", "2019-06-30"),
        ("2019-09-12", "2019-09-18"),
    ]
    days = {r["censored_date"][:10] for r in plain()}
    first, last = (datetime.fromisoformat(edge(days)) for edge in (min, max))
    empty = [
        date
        for date in (f"{first + timedelta(n):%Y-%m-%d}" for n in range((last - first).days))
        if date not in days
    ]
    outside = [d for d in empty if not any(day(g.since) < d < day(g.until) for g in gaps)]
    assert len(empty) == 40
    # Silences that the rate around them explains: 3 records a day in January 2019, 10 in October.
    assert outside == ["2019-01-28", "2019-10-10"]


def day(time: Micros) -> str:
    return f"{at(time) + timedelta(hours=8):%Y-%m-%d}"


@REAL
def test_real_coverage_is_whole() -> None:
    """Watched and gap follow each other from the first record to the last: no time is left out."""
    record = real()
    times = [seen.asked_at for seen in record.observations]
    parts = record.coverage
    assert (parts[0].since, parts[-1].until) == (min(times), max(times))
    for one, next_one in pairwise(parts):
        assert one.until == next_one.since
        assert {one.what, next_one.what} == {WATCHED, GAP}
    for part in parts:
        assert isinstance(part, Coverage)
        assert part.subject == "wechatscope"
        inside = sum(part.since < time < part.until for time in times)
        assert (inside == 0) == (part.what == GAP)
