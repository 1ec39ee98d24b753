"""Strings and their counts by scikit-learn: what `bench/explain_terms.py` measures us against.

It runs in the peer's own environment and so imports nothing of ours. In: a folder with `texts.txt`
(a post a line) and `posts.npz` (author, removed, the rate of each post's stratum), the range of
n-grams and how many posts a string needs. Out: `counts.npz` in that folder, and seconds on the
standard output. Reading and writing files is not timed.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 20_000  # strings at a time


def counted(texts: list[str], posts: Any, longest: int, least: int) -> dict[str, Any]:
    """Every string of 2 to `longest` characters in at least `least` posts: its posts, authors and
    removed posts, and the removed ones that its strata lead to expect."""
    vectorizer = importlib.import_module("sklearn.feature_extraction.text").CountVectorizer(
        analyzer="char", ngram_range=(2, longest), min_df=least, binary=True, lowercase=False,
        dtype=np.int32,
    )  # fmt: skip
    sparse = importlib.import_module("scipy.sparse")
    holds = vectorizer.fit_transform(texts)
    removed, rate, author = posts["removed"], posts["rate"], posts["author"]
    one_author = sparse.csr_matrix(
        (np.ones(len(author), np.int32), (author, np.arange(len(author))))
    )
    columns = holds.tocsc()
    authors = [
        np.diff((one_author @ columns[:, low : low + BLOCK]).tocsc().indptr)
        for low in range(0, columns.shape[1], BLOCK)
    ]
    return {
        "strings": vectorizer.get_feature_names_out().astype(str),
        "posts": np.asarray(holds.sum(axis=0)).ravel(),
        "removed": holds.T @ removed.astype(np.int32),
        "expected": holds.T @ rate,
        "authors": np.concatenate(authors),
    }


def main() -> None:
    """Count once."""
    folder, longest, least = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    texts = (folder / "texts.txt").read_text(encoding="utf-8").split("\n")
    posts = dict(np.load(folder / "posts.npz"))
    began = time.process_time()
    found = counted(texts, posts, longest, least)
    print(time.process_time() - began)
    np.savez(folder / "counts.npz", **found)


if __name__ == "__main__":
    main()
