"""If these fail, a block by law is laid at an author's door, or anybody's text passes for one."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.needs import needs_shared
from vanished.errors import InputError
from vanished.model import Cause, Kind
from vanished.sources.imports.vk import ordered_on, read_notices
from vanished.sources.notice import load_pack

BLOCKED = "Этот материал заблокирован на территории РФ"
VK = load_pack("vk")
UNKNOWN = frozenset({Cause.UNKNOWN})


def causes(words: str) -> frozenset[Cause]:
    """What a notice leaves open; a text that no rule knows says nothing, which is `unknown`."""
    signal = VK.match_text(words)
    return UNKNOWN if signal is None or signal.kind is not Kind.GONE else signal.causes


def truth(words: str) -> frozenset[Cause]:
    """The cause by the wording, read apart from the rules: which body is named after the block."""
    if not words.startswith(BLOCKED):
        english = {"restricted by its creator": Cause.AUTHOR, "has been blocked": Cause.ACCOUNT}
        return frozenset({next((c for w, c in english.items() if w in words), Cause.UNKNOWN)})
    bodies = ("прокур", "суд", "роскомнадзор", "министерств", "фнс", "федеральной службы")
    named = any(body in words.removeprefix(BLOCKED).lower() for body in bodies)
    return frozenset({Cause.LEGAL}) if named else UNKNOWN


def test_the_real_notices_get_their_cause_by_their_wording() -> None:
    """Citizen Lab's 340 wordings: at least 95 % with a cause, the rest unknown, none false."""
    notices = read_notices(needs_shared("citizenlab-vk/messages.csv"))
    assert len(notices) == 340
    assert all(notice.signal is not None for notice in notices)  # each one is known to a rule
    false = [n.words for n in notices if causes(n.words) not in (truth(n.words), UNKNOWN)]
    assert not false
    right = sum(causes(n.words) == truth(n.words) != UNKNOWN for n in notices)
    assert right >= 0.95 * len(notices)
    counted = Counter(next(iter(causes(n.words))) for n in notices)
    assert counted == {Cause.LEGAL: 336, Cause.UNKNOWN: 2, Cause.AUTHOR: 1, Cause.ACCOUNT: 1}


def test_the_day_of_the_order_is_read_from_the_notice() -> None:
    """Citizen Lab read the days by hand; a notice that names one names it first."""
    path = needs_shared("citizenlab-vk/messages.csv")
    with path.open(encoding="utf-8", newline="") as file:
        theirs = [row["case_date"] for row in csv.DictReader(file)]
    ours = [notice.ordered_on for notice in read_notices(path)]
    read = [datetime.strptime(day, "%b %d, %Y").date() if day else None for day in theirs]  # noqa: DTZ007
    assert ours == read


@pytest.mark.parametrize(
    "words",
    [
        f"{BLOCKED}",
        f"{BLOCKED} по желанию автора",  # no body of the state
        f"{BLOCKED} от 05.08.2022 № 1",
        "This video is unavailable in your country",
        "Please sign in to view this video.",
        "Video sound unavailable.",
        "This page has either been deleted or not been created yet.",
        "404 Not Found",
        "",
    ],
)
def test_what_names_nobody_stays_unknown(words: str) -> None:
    assert causes(words) == UNKNOWN


@pytest.mark.parametrize(
    "words",
    [
        f"Вчера я увидел: «{BLOCKED} на основании решения суда»",
        f"Почему пишут «{BLOCKED} на основании требования Генеральной прокуратуры РФ»?",
        "How I learned that this video is unavailable because its creator has been blocked",
        "Access to this video has been restricted by its creator, and what I think of that",
        "Этот материал заблокирован на территории Республики по решению суда",
    ],
)
def test_a_text_that_quotes_a_notice_is_none(words: str) -> None:
    """A post about a block is alive."""
    assert VK.match_text(words) is None


def test_the_account_is_named_where_the_notice_speaks_of_it() -> None:
    signal = VK.match_text("This video is unavailable because its creator has been blocked")
    assert signal is not None
    assert signal.account_level


@pytest.mark.parametrize(
    ("words", "day"),
    [
        (f"{BLOCKED} от 01.02.2020 № 3.14", date(2020, 2, 1)),
        (f"{BLOCKED} № 99.99.2020 от 03.04.2021", date(2021, 4, 3)),
        (f"{BLOCKED} № 112.03.20201", None),
        ("", None),
    ],
)
def test_a_day_is_a_day(words: str, day: date | None) -> None:
    assert ordered_on(words) == day


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "1: the file is empty"),
        (b"count,message\n", "not one row"),
        (b"a,b\n1,2\n", "the columns count, message are missing; this is no list of VK"),
        (b"count,message\nmany,x\n", "2: the count 'many' is no number"),
        ("count,message\n²,x\n".encode(), "2: the count '²' is no number"),
        (b"count,message\n1\n", "2: the row has 1 fields, the header 2"),
        (b'count,message\n1,"x', "cannot be read as CSV"),
        ("count,message\n1,заблокирован\n".encode("cp1251"), "2: the file is not UTF-8"),
    ],
)
def test_a_file_that_is_no_list_gives_nothing(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "messages.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_notices(path)
