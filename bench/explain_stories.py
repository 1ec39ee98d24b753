"""How well and how fast stories are found: planted copies, and datasketch's MinHashLSH beside us.

In: a world with known truth, real posts that lie beside the checkout, and 10^6 short texts. Out:
claims. Seconds are of the processor, for each runs once and a busy machine would slow whichever it
meets. We start from the texts as they are, the peer from texts that were folded for it, with the
same shingles; it does no exact look and makes no groups, we do both within our time.
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from bench.peers import peer_python, peer_version
from vanished.archive.arrow import POSTS
from vanished.explain.folding import fold
from vanished.explain.likeness import distinct, likeness
from vanished.explain.minhash import shingles
from vanished.explain.near_copies import near_copies
from vanished.explain.stories import StoriesSettings, stories
from vanished.lab import near_copies as lab
from vanished.model import MINUTE

PEER: Final = "datasketch"
READER: Final = Path(__file__).with_name("datasketch_lsh.py")
REAL: Final = ROOT.parent / "shared/data/weibo2018/train.txt"
TEXTS: Final = 1_000_000
PERMUTATIONS, THRESHOLD = 128, 0.5
SEEDS: Final = range(1, 6)
SETTINGS: Final = StoriesSettings()

Numbers = NDArray[np.int64]


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about eight minutes."""
    claims = [*_planted(), _real(), *_fast()]
    return claims, [{"name": PEER, "version": peer_version(PEER, PEER)}]


def _planted() -> list[Claim]:
    """F1 over all pairs of posts of five worlds, and how much rewordings add to others."""
    copies, recalls, reworded = [], [], []
    only = StoriesSettings(rewordings=False)
    for seed in SEEDS:
        world = lab.near_copies(seed)
        found = _stories(world.posts, only)
        copies.append(lab.pairwise(world.story, found)[2])
        recalls.append(_by_kind(world, found))
        world = lab.near_copies(seed, rewordings=True)
        reworded.append(
            [lab.pairwise(world.story, _stories(world.posts, each)) for each in (only, SETTINGS)]
        )
    kinds = {kind: float(np.mean([each[kind] for each in recalls])) for kind in lab.KINDS}
    worst = min(kinds, key=lambda kind: kinds[kind])
    before, after = np.mean(reworded, axis=0).tolist()
    return [
        at_least("near-copies in 5 worlds, mean pairwise F1", float(np.mean(copies)), "", 0.95),
        at_least("the worst of the 5", min(copies), "", 0.95),
        at_least(
            f"copies found with their original, of the worst kind ({worst})", kinds[worst], "", 0.95
        ),
        at_least(
            f"worlds with rewordings: pairwise precision (without the look: {before[0]:.3f})",
            after[0], "", 0.95,
        ),
        at_least(
            f"worlds with rewordings: pairwise recall (without the look: {before[1]:.3f})",
            after[1], "", 0.75,
        ),
    ]  # fmt: skip


def _by_kind(world: lab.Copies, found: Numbers) -> dict[str, float]:
    """Of each kind of copy, the share that is in the story of its original."""
    kinds = np.array(world.kind)
    originals = np.flatnonzero(kinds == "original")
    original = dict(zip(world.story[originals].tolist(), originals.tolist(), strict=True))
    with_it = found == found[[original[story] for story in world.story.tolist()]]
    return {kind: float(with_it[kinds == kind].mean()) for kind in lab.KINDS}


def _real() -> Claim:
    """F1 on real posts, of which 500 were copied by the same means as in the world."""
    if not REAL.exists():
        raise BenchError(f"the real posts '{REAL.parent.name}' are not beside this checkout")
    lines = REAL.read_text(encoding="utf-8").splitlines()
    texts = [line.split(",", 1)[1] for line in lines if "," in line]
    centre = near_copies(fold(pa.array(texts)), SETTINGS)
    single = np.bincount(centre, minlength=len(texts))[centre] == 1
    texts = [text for text, alone in zip(texts, single, strict=True) if alone and len(text) >= 12]
    rng = np.random.default_rng(7)
    copied, truth = list(texts), list(range(len(texts)))
    for number, text in enumerate(texts[:500]):
        for _ in range(1 + int(rng.geometric(0.25))):
            copied.append(lab.altered(rng, text, str(rng.choice(lab.KINDS))))
            truth.append(number)
    found = near_copies(fold(pa.array(copied)), SETTINGS)
    f1 = lab.pairwise(np.array(truth), found)[2]
    claim = f"copies planted among {len(texts)} real posts of 2018, pairwise F1"
    return at_least(claim, f1, "", 0.95)


def _fast() -> list[Claim]:
    """Seconds for 10^6 short texts, ours and the peer's, and the peer's pairs that we have too."""
    texts = lab.short_texts(1, TEXTS)
    folded = fold(pa.array(texts))
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        file = Path(folder) / "texts"
        words = [folded.codes[a:b] for a, b in zip(folded.starts, folded.starts[1:], strict=False)]
        spelt = (row.tobytes().decode("utf-32-le") for row in words)
        file.write_text("\n".join(spelt), encoding="utf-8")
        command = [READER, file, SETTINGS.shingle, PERMUTATIONS, THRESHOLD]
        said = subprocess.run(
            [peer_python(PEER), *map(str, command)], capture_output=True, text=True
        )
        if said.returncode:
            raise BenchError(f"the peer {PEER} failed: {said.stderr.strip().splitlines()[-1]}")
        theirs, their_memory = map(float, said.stdout.split())
        pairs: Numbers = np.load(file.with_suffix(".npy"))
    ours, memory, centre = _apart(_copies_timed, texts)
    look = likeness(distinct(shingles(folded, SETTINGS.shingle)), pairs)
    true = pairs[look.jaccard >= THRESHOLD]
    recall = float((centre[true[:, 0]] == centre[true[:, 1]]).mean())
    whole, whole_memory, _ = _apart(_stories_timed, texts)
    length = len(folded.codes) / TEXTS
    return [
        at_least(
            f"near-copies among 10^6 texts of {length:.0f} letters, {ours:.1f} s of the processor,"
            f" to datasketch's {theirs:.0f} s ({their_memory / 2**30:.1f} GiB)",
            theirs / ours, "times", 5,
        ),
        at_least(
            f"of the {len(true)} pairs at a likeness of {THRESHOLD:g} that datasketch finds"
            f" ({len(pairs)} candidates), in one story",
            recall, "", 0.98,
        ),
        at_most("memory for near-copies among 10^6 texts", memory / 2**30, "GiB", 2.5),
        at_most("all of stories over 10^6 posts, rewordings included", whole, "s", 60),
        at_most("memory for that", whole_memory / 2**30, "GiB", 2.5),
    ]  # fmt: skip


def _apart(what: object, texts: list[str]) -> tuple[float, float, Numbers]:
    """Run in a process of its own, so that its peak of memory is its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(what, pa.array(texts)).result()  # type: ignore[arg-type]


def _copies_timed(texts: pa.Array) -> tuple[float, int, Numbers]:
    began = time.process_time()
    centre = near_copies(fold(texts), SETTINGS)
    return time.process_time() - began, _memory(), centre


def _stories_timed(texts: pa.Array) -> tuple[float, int, Numbers]:
    posts = _posts(texts)
    began = time.process_time()
    found = stories(posts)
    found.table()
    return time.process_time() - began, _memory(), np.zeros(0, np.int64)


def _posts(texts: pa.Array) -> pa.Table:
    """A table of posts with these texts, a minute apart, of a thousand accounts, all alive."""
    number = np.arange(len(texts))
    columns = {
        "post": pa.array([f"p{n:07}" for n in number.tolist()]),
        "account": pa.array([f"a{n % 1000:03}" for n in number.tolist()]),
        "platform": pa.array(["weibo"] * len(texts)),
        "first_seen_at": pa.array(lab.BEGIN + number * MINUTE),
        "state": pa.array(["alive"] * len(texts)),
        "causes": pa.array([""] * len(texts)),
        "title": pa.array([""] * len(texts)),
        "text": texts,
    }
    return pa.table(
        [
            columns.get(field.name, pa.nulls(len(texts), field.type)).cast(field.type)
            for field in POSTS
        ],
        schema=POSTS,
    )


def _stories(posts: pa.Table, settings: StoriesSettings) -> Numbers:
    """The number of each post's story."""
    names = stories(posts, settings=settings).members()["story"].to_pylist()
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
