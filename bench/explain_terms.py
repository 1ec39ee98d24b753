"""Whether planted strings and combinations are found, and how fast strings are counted.

In: the world of `vanished.lab.documents`. Out: claims. The speed is that of all strings with their
posts, authors, removals and expected removals, against scikit-learn's CountVectorizer over
character n-grams with the same counts in an environment of its own. Each ran once, in a process of
its own, on the same 1,000,000 posts; processor seconds count, for the machine is shared. Ours
stops at no length, drops fragments, and tests; the peer's range ends at LONGEST characters. All
strings that both have must have the same counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.harness import BenchError, Claim, Peer, at_least, at_most
from bench.peers import peer_python, peer_version
from vanished.explain.contrast import contrast
from vanished.explain.screen import Screen, ScreenSettings, screen
from vanished.explain.terms import Terms, terms
from vanished.lab.documents import Documents, Settings, documents

PEER = "sklearn"
READER = Path(__file__).with_name("sklearn_terms.py")
POSTS, LONGEST, LEAST = 1_000_000, 5, 20
RUNS = 20


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about a quarter of an hour, most of it the peer's."""
    claims = [*_planted(), *_null()]
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        claims += _speed(Path(folder))
    return claims, [{"name": "scikit-learn", "version": peer_version(PEER, "scikit-learn")}]


def _planted() -> list[Claim]:
    """Every run counts with its worst."""
    exact, precision, together, false = [], [], [], 0
    reported = 0
    for seed in range(RUNS):
        world = documents(Settings(seed=seed))
        found = terms(world.posts)
        named = [term.term for term in found.found]
        exact.append(len(set(world.singles) & set(named)))
        precision.append(len(set(world.singles) & set(named[:16])) / 16)
        truth, said = set(world.pairs) | set(world.triples), _combined(found)
        together.append(len(truth & said) / len(truth))
        false += len(said - truth)
        reported += len(said)
    what = f"in 12,000 posts, worst of {RUNS} runs"
    return [
        at_least(f"planted strings found exactly, of 16, {what}", min(exact), "strings", 16),
        at_least(f"precision of the first 16 terms, {what}", min(precision), "share", 0.9),
        at_least(f"planted pairs and triples found, {what}", min(together), "share", 1),
        at_most("false among the reported combinations", false / max(reported, 1), "share", 0.05),
    ]


def _null() -> list[Claim]:
    found = 0
    for seed in range(RUNS):
        said = terms(documents(Settings(seed=1000 + seed, signal=False)).posts)
        found += len(said.found) + len(_combined(said))
    return [at_most(f"findings where nothing brings removal, {RUNS} runs", found, "findings", 0)]


def _combined(found: Terms) -> set[frozenset[str]]:
    assert found.combinations is not None
    return {frozenset(one.parts) for one in found.combinations.found}


def _speed(folder: Path) -> list[Claim]:
    world = _world()
    _hand_over(world, folder)
    del world
    ours = json.loads(_finished([sys.executable, "-m", "bench.explain_terms", str(folder)]))
    peer = [str(peer_python(PEER)), str(READER), str(folder), str(LONGEST), str(LEAST)]
    theirs = float(_finished(peer))
    print(f"strings: {ours['screen_s']:.1f} s, the peer {theirs:.1f} s; terms {ours['terms_s']:.1f}"
          f" s; with combinations {ours['all_s']:.1f} s", file=sys.stderr)  # fmt: skip
    _agree(folder)
    what = f"{POSTS:,} posts"
    return [
        at_most(
            f"strings of {what} counted and tested, to scikit-learn's n-grams of 2 to {LONGEST}",
            ours["screen_s"] / theirs,
            "of its time",
            0.5,
        ),
        at_most(f"memory of that, {what} of which {ours['before_gib']:.2f} GiB before",
                ours["screen_gib"], "GiB", 3),
        at_most(f"memory of terms with combinations, {what}", ours["all_gib"], "GiB", 4),
    ]  # fmt: skip


def _world() -> Documents:
    return documents(Settings(posts=POSTS, accounts=POSTS // 40, each=200, alone=200))


def _hand_over(world: Documents, folder: Path) -> None:
    """Write the posts for us, and texts and labels for the peer."""
    with (
        pa.OSFile(str(folder / "posts.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, world.posts.schema) as writer,
    ):
        writer.write_table(world.posts)
    compared = contrast(world.posts, None, open_too=False, smallest=ScreenSettings().smallest)
    sizes = compared.sizes()
    rate = (sizes[1] / sizes[0])[compared.stratum]
    (folder / "texts.txt").write_text("\n".join(compared.texts), encoding="utf-8")
    np.savez(folder / "posts.npz", author=compared.author, removed=compared.removed, rate=rate)


def _finished(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise BenchError(f"{Path(command[1]).name} ended without a result: {last}")
    return done.stdout


def _agree(folder: Path) -> None:
    """Raises BenchError unless all strings that both have were counted alike."""
    ours, theirs = dict(np.load(folder / "ours.npz")), dict(np.load(folder / "counts.npz"))
    place = {string: number for number, string in enumerate(theirs["strings"].tolist())}
    both = [(n, place[s]) for n, s in enumerate(ours["strings"].tolist()) if s in place]
    short = sum(2 <= len(s) <= LONGEST for s in ours["strings"].tolist())
    if not both or len(both) != short:
        raise BenchError(f"the peer has {len(both)} of our {short} strings")
    mine, other = (np.array(column) for column in zip(*both, strict=True))
    for name in ("posts", "removed", "authors", "expected"):
        if not np.allclose(ours[name][mine], theirs[name][other]):
            raise BenchError(f"the peer counts other numbers of {name} than we do")


def _measure(folder: Path) -> None:
    """In a process of our own: count, then find; say seconds and memory as JSON."""
    with pa.memory_map(str(folder / "posts.arrow")) as source:
        posts = pa.ipc.open_file(source).read_all()
    said = {"before_gib": _memory_gib()}
    began = time.process_time()
    tested = screen(posts, None, ScreenSettings())
    said["screen_s"] = time.process_time() - began
    said["screen_gib"] = _memory_gib()
    _save(tested, folder)
    del tested
    began = time.process_time()
    found = terms(posts)
    said["all_s"] = time.process_time() - began
    said["all_gib"] = _memory_gib()
    said["terms_s"] = said["all_s"] - said["screen_s"]
    said["found"] = len(found.found)
    print(json.dumps(said))


def _save(tested: Screen, folder: Path) -> None:
    strings = tested.strings
    np.savez(
        folder / "ours.npz",
        strings=np.array([tested.name(number) for number in range(len(strings))]),
        posts=strings.texts,
        authors=strings.authors,
        removed=tested.hits,
        expected=tested.expected,
    )


def _memory_gib() -> float:
    """The most that this process held since it began."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 2**20


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
