"""Strings and symbols: a word that is miscounted here is a word wrongly said to be censored."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vanished.explain.strings import closed_strings
from vanished.explain.symbols import fold, stream


def counted(
    texts: list[str], authors: list[int], least: int = 2, closure: float = 1.0
) -> dict[str, tuple[int, int]]:
    """Texts and authors of each closed string."""
    symbols = stream(texts, 1)
    found = closed_strings(
        symbols, np.array(authors, np.int32), least=least, least_authors=1, closure=closure
    )
    return {
        symbols.folded(found.at(n), int(found.length[n])): (
            int(found.texts[n]),
            int(found.authors[n]),
        )
        for n in range(len(found))
    }


def brute(texts: list[str], authors: list[int], least: int, closure: float) -> dict[str, object]:
    """The same by trying every substring."""
    holders: dict[str, set[int]] = {}
    for number, text in enumerate(texts):
        for part in text.split("。"):
            for a in range(len(part)):
                for b in range(a + 1, len(part) + 1):
                    holders.setdefault(part[a:b], set()).add(number)
    return {
        s: (len(t), len({authors[n] for n in t}))
        for s, t in holders.items()
        if len(s) > 1
        and len(t) >= least
        and not any(
            s in longer and longer != s and len(more) >= closure * len(t)
            for longer, more in holders.items()
        )
    }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("山水云。", max_size=9), min_size=1, max_size=9),
    st.sampled_from([0.6, 0.85, 1.0]),
    st.integers(1, 3),
)
def test_closed_strings_are_those_of_a_brute_search(
    texts: list[str], closure: float, least: int
) -> None:
    authors = [number % 3 for number in range(len(texts))]
    assert counted(texts, authors, least, closure) == brute(texts, authors, least, closure)


def test_a_text_that_repeats_a_string_counts_once() -> None:
    assert counted(["云灯。云灯。云灯", "云灯"], [0, 1]) == {"云灯": (2, 2)}


def test_no_string_crosses_two_posts_or_two_sentences() -> None:
    assert counted(["山云", "灯水", "山云", "灯水"], [0, 1, 2, 3]) == {
        "山云": (2, 2),
        "灯水": (2, 2),
    }
    assert "云灯" not in counted(["山云，灯水", "山云，灯水"], [0, 1])


def test_disguises_are_one_string() -> None:
    texts = ["雲燈會", "云灯会", "云 灯 会", "云*灯.会", "云\u200b灯会"]
    assert counted(texts, [0, 1, 2, 3, 4], least=5) == {"云灯会": (5, 5)}
    assert fold(["ＡＢＣ雲燈會"]) == ["abc云灯会"]


def test_scripts_with_spaces_are_read_by_words() -> None:
    texts = ["The second bridge fell", "the SECOND bridge holds", "A second  bridge"]
    found = counted(texts, [0, 1, 2])
    assert found["second bridge"] == (3, 3)
    assert "econd bridge" not in found


def test_people_and_addresses_are_no_strings() -> None:
    texts = [f"看@somebody 说 https://example.org/{n} 云灯" for n in range(5)]
    assert not any("somebody" in s or "example" in s for s in counted(texts, [0, 1, 2, 3, 4]))


def test_a_long_line_of_marks_is_a_break() -> None:
    assert "云灯" not in counted(["云------灯", "云------灯"], [0, 1])


def test_nothing_is_found_in_nothing() -> None:
    assert counted([], []) == {}
    assert counted(["", "。"], [0, 1]) == {}
