"""Scrubbing: whoever may be found by a number or a name in a published text could be visited."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.publish.planted import CIRCLED, FULL, HAN, YAO
from vanished.publish.known_names import KnownNames
from vanished.publish.scrub import fold, scrubbed
from vanished.publish.scrub_patterns import MARKS

ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
SUZHOU = str.maketrans("123456789", "〡〢〣〤〥〦〧〨〩")
FINANCE = str.maketrans("0123456789", "零壹贰叁肆伍陆柒捌玖")
BOLD = str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")
SCRIPTS: tuple[dict[int, int], ...] = (
    FULL,
    HAN,
    YAO,
    CIRCLED,
    ARABIC,
    SUZHOU,
    FINANCE,
    BOLD,
    {},
)
GAPS = ("", " ", "-", "　", "\u200b", ".", "·", "－", " - ", "\u00ad", "\ufe0f\u20e3", "/")
# Text around: no digit of any kind, nothing that a pattern could take along with the number.
AROUND = st.text("的一是在不了有和人这中大为上个国", max_size=6).map(
    lambda text: text.replace("一", "")
)


@st.composite
def hidden_numbers(draw: st.DrawFn) -> tuple[str, str]:
    """A number of 7 to 18 digits, as somebody hides it: each digit in a script of its own."""
    digits = draw(st.text("0123456789", min_size=7, max_size=18))
    tables = draw(st.lists(st.sampled_from(SCRIPTS), min_size=len(digits), max_size=len(digits)))
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=len(digits), max_size=len(digits)))
    spelt = "".join(
        digit.translate(table) + gap for digit, table, gap in zip(digits, tables, gaps, strict=True)
    )
    return digits, spelt


def digits_in(text: str) -> str:
    chinese = {
        c: str(n) for table in (HAN, YAO, FINANCE) for n, c in enumerate(map(chr, table.values()))
    }
    return "".join(chinese.get(c, c) for c in fold(text).text if c.isdigit() or c in chinese)


@given(hidden_numbers(), AROUND, AROUND)
def test_a_number_is_taken_out_however_it_is_spelt(
    number: tuple[str, str], before: str, after: str
) -> None:
    _, spelt = number
    left = scrubbed(f"{before}：{spelt}。{after}")
    assert digits_in(left) == ""
    assert before in left
    assert after in left


@given(st.text(max_size=60))
def test_scrubbing_again_changes_nothing_and_adds_only_marks(text: str) -> None:
    once = scrubbed(text)
    assert scrubbed(once) == once
    rest = once
    for mark in MARKS:
        rest = rest.replace(mark, "")
    left = iter(text)
    assert all(c in left for c in rest if c not in "[]-adeiklmnorstubcp")


@given(
    st.sampled_from(["青岚早读", "annsmith", "双河·夜话"]),
    st.sampled_from(["", " ", "\u200b", "　"]),
    AROUND,
)
def test_a_known_name_is_found_in_any_script_and_spacing(name: str, gap: str, around: str) -> None:
    names = KnownNames(["青岚早读", "AnnSmith", "双河·夜话"])
    spelt = gap.join(name)
    assert scrubbed(f"{around}{spelt}，{around}", names) == f"{around}[name]，{around}"
    traditional = gap.join(name.replace("岚", "嵐").replace("读", "讀").replace("双", "雙"))
    assert scrubbed(f"{around}{traditional}，", names) == f"{around}[name]，"


def test_the_id_of_a_post_is_found_as_a_word_and_not_within_one() -> None:
    names = KnownNames((), ["pahtmxps", "https://t.example/p/k3q?news"])
    assert scrubbed("pahtmxps k3q，xpahtmxps news", names) == "[name] k3q，xpahtmxps news"


def test_a_latin_name_inside_another_word_stays() -> None:
    names = KnownNames(["ann"])
    assert scrubbed("planning for Ann today", names) == "planning for [name] today"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("回复@小满子:好的", "回复[mention]:好的"),
        ("＠小满子 来", "[mention] 来"),
        ("问@room:hs.example.org吧", "问[mention]吧"),
        ("写给zhang.san@qq.example的信", "写给[e-mail]的信"),
        ("abc [at] mail [dot] example.", "[e-mail]."),
        ("见https://weibo.example/u/123，好", "见[link]，好"),
        ("见weibo.example/u/abc，好", "见[link]，好"),
        ("微信号：abc_de 联系", "[contact] 联系"),
        ("加V xyz_abc", "[contact]"),
        ("QQ 123456", "[contact]"),
        ("身份证11010519491231002Ｘ", "身份证[id]"),
        ("护照E12345678过期", "护照[id]过期"),
        ("车牌京A·12345", "车牌[id]"),
        ("卡号6222 0212 3456 7890 123", "卡号[number]"),
        ("从192.168.1.77和fe80::1:2来", "从[id]和[id]来"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "[id]"),
        ("家在建国路八十八号院三号楼", "[address]"),
        ("建国路88号3号楼2单元501室", "[address]"),
        ("坐标：39.9042, 116.4074", "[address]"),
        ("39°54′15″N", "[address]"),
        ("at 12 Main Street, Springfield", "at [address], Springfield"),
        ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "[link]"),
        # What is no identity stays as it was written.
        ("2026-11-29 08:30，有2026人，涨了３.５％。", "2026-11-29 08:30，有2026人，涨了３.５％。"),
        ("一二三，到齐了；12:30:45开始", "一二三，到齐了；12:30:45开始"),
        ("1.今天　2.明天", "1.今天　2.明天"),
        ("The line was long at noon.", "The line was long at noon."),
    ],
)
def test_what_is_taken_out_and_what_stays(text: str, left: str) -> None:
    assert scrubbed(text) == left


@pytest.mark.parametrize(
    "piece",
    ["1 ", "a.", "@", "路1", "http", "一", "a-", "1.", ":", "[at]", "\u200b", "微信", "点", "aa1"],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """A stranger's text must not stop a publication."""
    text = piece * (20_000 // len(piece))
    begun = time.process_time()
    scrubbed(text)
    assert time.process_time() - begun < 5
