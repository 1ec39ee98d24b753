"""datasketch's MinHashLSH finding near-copies: what `bench/explain_stories.py` measures us against.

It runs in the peer's own environment and so imports nothing of ours. In, as arguments: a file of
folded texts, one a line, the number of letters of a shingle, of permutations, and the threshold.
Out: the pairs it found as a NumPy file beside the texts, then on the standard output its seconds of
the processor and its peak of memory in bytes. It has every shortcut that it offers: one generator
for all digests, a hash faster than its own, no check for doubles, and each text asks only those
before it.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
import zlib
from pathlib import Path

import numpy as np


def main(file: Path, letters: int, permutations: int, threshold: float) -> None:
    """Find the pairs; only what datasketch does, shingles included, is timed."""
    peer = importlib.import_module("datasketch")
    texts = file.read_text(encoding="utf-8").split("\n")
    began = time.process_time()
    index = peer.MinHashLSH(threshold=threshold, num_perm=permutations)
    digests = peer.MinHash.generator(
        (
            {text[place : place + letters].encode() for place in range(len(text) - letters + 1)}
            for text in texts
        ),
        num_perm=permutations,
        hashfunc=zlib.crc32,
    )
    one, other = [], []
    for number, digest in enumerate(digests):
        for found in index.query(digest):
            one.append(found)
            other.append(number)
        index.insert(number, digest, check_duplication=False)
    took = time.process_time() - began
    np.save(file.with_suffix(".npy"), np.array([one, other], np.int64).T)
    print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
