"""Topics from texts: were they mixed up, a campaign against a subject would drown in the others."""

from __future__ import annotations

import numpy as np
import pytest

from vanished.watch import topics
from vanished.watch.topics import CLUSTERS, WIDTH, Topics, grams


def stream(seed: int, posts: int, subjects: int = 12) -> tuple[list[str], list[int]]:
    """Texts of random ideographs: 20 words that all use, frequent and rare, 4 of a subject."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(0x4E00, 0x4E00 + 3000, (2000 + subjects * 10, 2))
    words = ["".join(map(chr, pair)) for pair in letters]
    usual = 1 / (np.arange(2000) + 2.0)
    texts, about = [], []
    for _ in range(posts):
        subject = int(rng.integers(subjects))
        own = 2000 + subject * 10 + rng.choice(10, 4, replace=False)
        chosen = [*rng.choice(2000, 20, p=usual / usual.sum()), *own]
        texts.append("，".join(words[i] for i in rng.permutation(chosen)))
        about.append(subject)
    return texts, about


def test_posts_of_a_subject_come_to_the_same_number() -> None:
    texts, about = stream(1, 5000)
    found = Topics()
    numbers = np.array([found.of(text)[0] for text in texts])[2500:]
    table = np.zeros((12, found.size), dtype=int)
    np.add.at(table, (np.array(about)[2500:], numbers), 1)
    assert table.max(axis=1).sum() / table.sum() > 0.8  # most of a subject stands together
    assert table.max(axis=0).sum() / table.sum() > 0.8  # and little else stands there


def test_a_new_subject_stands_together_with_at_most_one_other() -> None:
    """The thirteenth subject begins after 3,000 posts; a hundred of it are enough."""
    texts, about = stream(2, 6000, 13)
    late = [i for i, subject in enumerate(about) if subject < 12 or i >= 3000]
    found = Topics()
    numbers = {i: found.of(texts[i])[0] for i in late}
    fresh = np.array([numbers[i] for i in late if about[i] == 12])[100:]
    others = np.array([numbers[i] for i in late if about[i] < 12 and i >= 3000])
    most = int(np.bincount(fresh).argmax())
    assert np.mean(fresh == most) > 0.7
    assert np.mean(others == most) < 0.12  # each other subject is 8 % of the posts


def test_the_same_texts_give_the_same_numbers() -> None:
    texts, _ = stream(3, 1500)
    one, two = Topics(), Topics()
    assert [one.of(text) for text in texts] == [two.of(text) for text in texts]


def test_known_terms_have_numbers_of_their_own() -> None:
    found = Topics(["天安", "Tank Man", "x"])
    assert found.size == 4 + CLUSTERS
    number, *known = found.of("A tank man stood there")
    assert 4 <= number < found.size
    assert known == [2]
    for _ in range(20):
        numbers = found.of("天安，TANK MAN, x")
        assert numbers[-2:] == (1, 3)  # the rarest so far, at most two
        assert all(4 <= number < found.size for number in numbers[:-2])
        assert 3 <= len(numbers) <= WIDTH


def test_a_text_without_letters_has_no_topic() -> None:
    assert Topics().of("… 12 !!"[:2]) == ()
    assert Topics().of("") == ()


def test_grams_are_pairs_of_ideographs_and_whole_words() -> None:
    assert grams("天安門 Tank-man 天安") == ["天安", "安門", "tank", "man"]
    assert len(grams("".join(map(chr, range(0x4E00, 0x5E00))))) <= topics.MOST_GRAMS


def test_counts_stay_finite_over_a_rescaling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MEMORY", 50.0)
    texts, _ = stream(4, 1500)
    found = Topics()
    for text in texts:
        found.of(text)
    assert found._weight < topics.RESCALE
    assert np.isfinite(found._grams).all()
    assert found._all.sum() / found._weight == pytest.approx(50 * 20, rel=0.5)
