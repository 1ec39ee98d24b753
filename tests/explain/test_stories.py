"""Stories: if these fail, copies pass for independent posts, and later tests are too sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.needs import needs_shared
from vanished.archive.arrow import PICTURES, POSTS
from vanished.errors import UsageError
from vanished.explain.folding import fold, sounded
from vanished.explain.likeness import distinct, likeness
from vanished.explain.minhash import alike_by_bands, alike_by_passages, caught, shingles
from vanished.explain.near_copies import near_copies
from vanished.explain.result import facts
from vanished.explain.stories import Stories, StoriesSettings, stories
from vanished.lab import near_copies as lab
from vanished.model import HOUR
from vanished.publish.drawing import svg

ONLY_COPIES = StoriesSettings(rewordings=False)
WORLD = lab.near_copies(11)
FIRST = "昨夜双河口的渡船停在对岸，没有人说得清原因，码头上的灯亮到天明"
SECOND = "图书馆晚班的同学都记得那只橘猫，它在三楼的窗台守了整整一个冬天"


@pytest.fixture(scope="module")
def found_in_world() -> NDArray[np.int64]:
    return numbered(stories(WORLD.posts, settings=ONLY_COPIES))


def table(*texts: str, accounts: int = 10, **columns: Sequence[object]) -> pa.Table:
    """Posts with these texts, a minute apart, alive, of so many accounts in turn."""
    rows = [
        dict.fromkeys(POSTS.names)
        | {
            "post": f"p{number:03}",
            "account": f"a{number % accounts}",
            "platform": "weibo",
            "first_seen_at": lab.BEGIN + number * 60_000_000,
            "state": "alive",
            "causes": "",
            "title": "",
            "text": text,
        }
        | {name: values[number] for name, values in columns.items()}
        for number, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=POSTS)


def story_of(found: Stories) -> dict[str, str]:
    members = found.members()
    return dict(zip(members["post"].to_pylist(), members["story"].to_pylist(), strict=True))


def numbered(found: Stories) -> NDArray[np.int64]:
    return np.unique(found.members()["story"].to_pylist(), return_inverse=True)[1].astype(np.int64)


def together(*texts: str, settings: StoriesSettings = ONLY_COPIES) -> bool:
    return len(set(story_of(stories(table(*texts), settings=settings)).values())) == 1


# folding


def test_the_same_words_in_another_dress_are_equal() -> None:
    plain, *others = (
        "ABC重庆123",
        "ａｂｃ 重慶，１２３！",
        "@某人 abc·重\u200b庆🌸123 https://t.example/x?y=1",
        "#话题#abc重庆123",
    )
    folded = fold(pa.array([plain, *others]))
    first = folded.codes[: folded.starts[1]].tolist()
    assert "".join(map(chr, first)) == "abc重庆123"
    for number in range(1, 4):
        assert folded.codes[folded.starts[number] : folded.starts[number + 1]].tolist() == first


def test_texts_keep_their_places_when_some_fold_to_nothing_or_to_more() -> None:
    folded = fold(pa.array(["", None, "，。", "㍿社", "ß", "好"]))
    assert folded.lengths.tolist() == [0, 0, 0, 5, 2, 1]


def test_homophones_sound_alike_and_others_do_not() -> None:
    sounds = sounded(fold(pa.array(["河蟹", "和谐", "和平"])))
    assert sounds.codes[:2].tolist() == sounds.codes[2:4].tolist()
    assert sounds.codes[:2].tolist() != sounds.codes[4:].tolist()


# candidates and the exact look


def test_no_shingle_reaches_into_the_next_text() -> None:
    folded = fold(pa.array(["甲乙丙丁", "戊己", "庚辛壬", "甲乙丙"]))
    runs = shingles(folded, 3)
    assert runs.lengths.tolist() == [2, 0, 1, 1]
    assert runs.codes[0] == runs.codes[3]
    assert len(set(runs.codes.tolist())) == 3


def test_bands_catch_as_many_pairs_as_the_formula_says() -> None:
    """A slip in the hashing would lose copies in silence."""
    rng = np.random.default_rng(4)
    shared, own = 40, 20  # likeness 40 / 80
    texts = []
    for _ in range(300):
        pool = rng.choice(100_000, shared + 2 * own, replace=False) + 0x20000
        texts.append("".join(map(chr, pool[: shared + own])))
        texts.append("".join(map(chr, np.roll(pool, own)[: shared + own])))
    sets = shingles(fold(pa.array(texts)), 1)
    exact = likeness(distinct(sets), np.array([[n, n + 1] for n in range(0, 600, 2)]))
    for bands, rows in ((42, 3), (25, 5), (10, 4)):
        pairs = alike_by_bands(sets, bands, rows, seed=1)
        hit = np.zeros(300)
        hit[[one // 2 for one, other in pairs.tolist() if one % 2 == 0 and other == one + 1]] = 1
        expected = np.mean([caught(each, bands, rows) for each in exact.jaccard])
        assert abs(hit.mean() - expected) < 0.09


def test_a_shared_passage_is_always_a_candidate() -> None:
    rng = np.random.default_rng(5)
    letters = [chr(c) for c in rng.integers(0x4E00, 0x9000, 4_000)]
    passage = "".join(letters[:15])
    for place in range(30):
        one = "".join(letters[100 : 100 + place]) + passage + "".join(letters[200:400])
        other = "".join(letters[500:900]) + passage + "".join(letters[1000 : 1000 + place])
        assert alike_by_passages(fold(pa.array([one, other]))).tolist() == [[0, 1]]


def test_likeness_is_that_of_sets() -> None:
    rng = np.random.default_rng(6)
    texts = ["".join(chr(c) for c in rng.integers(0x4E00, 0x4E20, n)) for n in (3, 30, 300, 50)]
    sets = distinct(shingles(fold(pa.array(texts)), 2))
    pairs = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    found = likeness(sets, pairs)
    held = [set(sets.codes[sets.starts[n] : sets.starts[n + 1]].tolist()) for n in range(4)]
    for number, (one, other) in enumerate(pairs.tolist()):
        both = len(held[one] & held[other])
        assert found.jaccard[number] == pytest.approx(both / len(held[one] | held[other]))
        assert found.part[number] == pytest.approx(both / min(len(held[one]), len(held[other])))


# stories


def test_planted_copies_are_found_and_others_left_alone(
    found_in_world: NDArray[np.int64],
) -> None:
    precision, recall, f1 = lab.pairwise(WORLD.story, found_in_world)
    assert f1 >= 0.95
    assert min(precision, recall) >= 0.94


@pytest.mark.parametrize("kind", lab.KINDS)
def test_each_kind_of_copy_is_found_with_its_original(
    kind: str, found_in_world: NDArray[np.int64]
) -> None:
    found = found_in_world
    kinds = np.array(WORLD.kind)
    originals = np.flatnonzero(kinds == "original")
    original = dict(zip(WORLD.story[originals].tolist(), originals.tolist(), strict=True))
    copies = np.flatnonzero(kinds == kind)
    with_it = [found[copy] == found[original[WORLD.story[copy]]] for copy in copies.tolist()]
    assert len(with_it) > 50
    assert np.mean(with_it) >= 0.95


def test_copies_planted_among_real_posts_are_found() -> None:
    lines = (needs_shared("weibo2018") / "train.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.split(",", 1)[1] for line in lines[:3000] if "," in line]
    alone = near_copies(fold(pa.array(texts)), ONLY_COPIES)
    single = np.bincount(alone, minlength=len(texts))[alone] == 1
    texts = [t for t, one in zip(texts, single, strict=True) if one and len(t) >= 12]
    assert len(texts) > 2500
    rng = np.random.default_rng(7)
    truth = list(range(len(texts)))
    for number, text in enumerate(texts[:200]):
        for kind in lab.KINDS:
            texts.append(lab.altered(rng, text, kind))
            truth.append(number)
    found = near_copies(fold(pa.array(texts)), ONLY_COPIES)
    assert lab.pairwise(np.array(truth), found)[2] >= 0.95


def test_rewordings_add_what_copies_miss_and_hardly_anything_else() -> None:
    world = lab.near_copies(12, rewordings=True)
    before = lab.pairwise(world.story, numbered(stories(world.posts, settings=ONLY_COPIES)))
    after = lab.pairwise(world.story, numbered(stories(world.posts)))
    assert after[1] > before[1] + 0.1
    assert after[0] > 0.95


def test_rewordings_far_apart_in_time_are_two_stories() -> None:
    words = FIRST + SECOND
    again = SECOND + "另有消息说" + FIRST[:12] + "，后来散了，谁也没有再提起这件事情，直到春天"
    loose = StoriesSettings(alike=0.9, like_centre=0.9, part=1.0, least_part=500)
    fill = WORLD.posts["text"].to_pylist()[:200]
    for hours, same in ((71, True), (73, False)):
        seen = [lab.BEGIN, lab.BEGIN + hours * HOUR, *[lab.BEGIN] * 200]
        found = story_of(stories(table(words, again, *fill, first_seen_at=seen), settings=loose))
        assert (found["p000"] == found["p001"]) == same


def test_a_chain_of_weak_links_does_not_join_its_ends() -> None:
    """Each of eight texts shares most with the next; the first and the last share nothing."""
    rng = np.random.default_rng(8)
    letters = "".join(chr(c) for c in rng.integers(0x4E00, 0x9FA5, 200))
    chain = [letters[begin : begin + 40] for begin in range(0, 120, 15)]
    found = story_of(stories(table(*chain), settings=ONLY_COPIES))
    assert found["p000"] == found["p001"]
    assert found["p000"] != found["p007"]
    assert len(set(found.values())) >= 3


def test_a_digest_does_not_join_the_stories_that_it_holds() -> None:
    found = story_of(stories(table(FIRST, SECOND, FIRST + SECOND), settings=ONLY_COPIES))
    assert found["p000"] != found["p001"]


def test_a_cut_text_belongs_to_the_whole_one() -> None:
    whole = FIRST + "".join(chr(0x5000 + 7 * n) for n in range(300))
    assert together(whole, FIRST[:20] + "…全文")


def test_texts_that_share_a_hashtag_or_say_nothing_are_no_story() -> None:
    assert not together("#双河杯决赛今晚开始#" + FIRST[:12], "#双河杯决赛今晚开始#" + SECOND[:12])
    assert not together("转发微博", "转发微博")
    assert not together("", "")
    assert together(FIRST, FIRST)


def test_the_story_is_named_after_the_post_seen_first_whatever_the_order_of_rows() -> None:
    posts = table(SECOND, FIRST, FIRST, FIRST + "。转")
    found = story_of(stories(posts, settings=ONLY_COPIES))
    assert found == {"p000": "p000", "p001": "p001", "p002": "p001", "p003": "p001"}
    turned = posts.take(pa.array([3, 1, 0, 2]))
    assert story_of(stories(turned, settings=ONLY_COPIES)) == found


def test_the_same_input_gives_the_same_stories(found_in_world: NDArray[np.int64]) -> None:
    again = stories(WORLD.posts, settings=ONLY_COPIES)
    assert np.array_equal(numbered(again), found_in_world)
    assert facts(again)["method"] == "stories/1"


# pictures


def pictures(*rows: tuple[str, str, str, int]) -> pa.Table:
    names = ("post", "sha256", "hash", "quality")
    return pa.Table.from_pylist(
        [{"place": 0, "method": "pdq/1", **dict(zip(names, row, strict=True))} for row in rows],
        schema=PICTURES,
    )


def bits(rng: np.random.Generator) -> int:
    return int.from_bytes(rng.bytes(32), "big")


def differing(rng: np.random.Generator, number: int, by: int) -> str:
    for place in rng.choice(256, by, replace=False).tolist():
        number ^= 1 << place
    return f"{number:064x}"


def test_pictures_within_31_bits_join_posts_without_words_and_others_do_not() -> None:
    rng = np.random.default_rng(9)
    shown = bits(rng)
    near, far = differing(rng, shown, 31), differing(rng, shown, 32)
    plain = differing(rng, shown, 3)
    held = pictures(
        ("p000", "s0", f"{shown:064x}", 90), ("p001", "s1", near, 90), ("p002", "s2", far, 90),
        ("p003", "s3", plain, 20), ("p004", "s0", "", 0),
    )  # fmt: skip
    found = story_of(stories(table("", "", "", "", ""), held, StoriesSettings(within=31)))
    assert found["p001"] == "p000"
    assert found["p004"] == "p000"  # the same bytes, though it could not be decoded
    assert found["p002"] == "p002"
    assert found["p003"] == "p003"  # too plain to be compared by what it shows


def test_every_pair_of_near_hashes_is_found() -> None:
    from vanished.explain.pictures_alike import near, words

    rng = np.random.default_rng(10)
    originals = [bits(rng) for _ in range(60)]
    hashes = [differing(rng, each, by) for each in originals for by in (0, 10, 25, 31, 40)]
    numbers = words(hashes)
    apart = np.bitwise_count(numbers[:, None] ^ numbers[None]).sum(axis=-1)
    expected = np.argwhere(np.triu(apart <= 31, 1))
    assert len(expected) > 100
    assert np.array_equal(near(numbers), expected)


def test_an_ornament_under_many_texts_of_one_account_joins_nothing() -> None:
    rng = np.random.default_rng(11)
    texts = ["".join(chr(c) for c in rng.integers(0x4E00, 0x9FA5, 30)) for _ in range(6)]
    logo = f"{bits(rng):064x}"
    held = pictures(*((f"p{n:03}", "logo", logo, 90) for n in range(6)))
    of_one = stories(table(*texts, accounts=1), held)
    assert len(set(story_of(of_one).values())) == 6
    assert any("1 pictures that an account shows" in caveat for caveat in of_one.caveats)
    assert len(set(story_of(stories(table(*texts, accounts=6), held)).values())) == 1


# what is published


def test_counts_and_interval_of_a_story_that_many_tell() -> None:
    state = ["gone"] * 4 + ["alive"] * 6
    causes = ["platform", "legal", "author", "author,platform"] + [""] * 6
    found = stories(table(*[FIRST] * 10, state=state, causes=causes))
    (row,) = found.table().to_pylist()
    assert (row["posts"], row["accounts"], row["lost"]) == (10, 10, 4)
    assert (row["removed"], row["survived"], row["share"]) == (2, 6, 0.25)
    assert (row["low"], row["high"]) == pytest.approx((0.0715, 0.5907), abs=1e-4)  # Wilson
    assert row["largest"] == pytest.approx(0.1)
    assert "2 of 8 were removed" in found.text()
    assert "watched accounts" in found.text()


def test_nothing_is_shown_of_a_story_of_four_accounts() -> None:
    found = stories(table(*[FIRST] * 12, accounts=4))
    assert found.table().num_rows == 0
    assert "p000" not in found.text()
    assert any(caveat.startswith("1 stories told more than once") for caveat in found.caveats)


@pytest.mark.parametrize(
    ("state", "causes", "shown"),
    [
        ("gone", "platform", True),
        ("alive", "", True),
        ("gone", "author", False),
        ("gone", "author,platform", False),
        ("gone", "unknown", False),
        ("gone", "account", False),
        ("suspected", "", False),
        ("unknown", "", False),
    ],
)
def test_words_are_withheld_if_an_author_may_have_taken_one_down(
    state: str, causes: str, shown: bool
) -> None:
    text = f"@某人 {FIRST} https://t.example/1"
    posts = table(*[text] * 6, state=["alive"] * 5 + [state], causes=[""] * 5 + [causes])
    (row,) = stories(posts).table().to_pylist()
    assert row["text"] == (FIRST if shown else None)


def test_the_chart_can_be_drawn_and_says_its_denominator() -> None:
    found = stories(WORLD.posts, settings=ONLY_COPIES)
    drawn = svg(found.chart())
    assert f"{found.basis.posts} posts in all" in drawn
    assert "posts (number)" in drawn


def test_no_posts_are_no_stories() -> None:
    found = stories(POSTS.empty_table(), PICTURES.empty_table())
    assert found.table().num_rows == found.members().num_rows == 0
    assert found.text().startswith("0 posts tell 0 stories.")
    svg(found.chart())


def test_what_cannot_be_used_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="twice"):
        stories(table(FIRST, SECOND, post=["p", "p"]))
    with pytest.raises(UsageError, match="no column text"):
        stories(table(FIRST).drop_columns(["text"]))
    with pytest.raises(UsageError, match="alike is a share"):
        stories(table(FIRST), settings=StoriesSettings(alike=0))
    with pytest.raises(UsageError, match="rows counts"):
        stories(table(FIRST), settings=StoriesSettings(rows=0))
    with pytest.raises(UsageError, match="31 bits"):
        stories(table(FIRST), settings=StoriesSettings(within=32))
