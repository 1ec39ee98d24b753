"""`python -m bench [NAME]`: run one benchmark, or all of them.

A benchmark is a module of this package that defines `run() -> (claims, peers)`. One that fails
says so, and the others still run. Exit codes: 0 all claims hold, 1 one does not or a benchmark
failed, 2 there is no such benchmark.
"""

from __future__ import annotations

import ast
import importlib
import sys
import traceback
from pathlib import Path

from bench.harness import BenchError, write
from vanished.errors import VanishedError


def benchmarks() -> list[str]:
    """The modules that define `run`, by name. They are read, not imported: one may need an extra
    that is not installed, which is its own failure and nobody else's."""
    return sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "run"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    )


def measure(name: str) -> bool:
    """Run the benchmark and keep its result; whether it ended and all its claims hold."""
    print(f"{name}: measuring", file=sys.stderr)
    try:
        claims, peers = importlib.import_module(f"bench.{name}").run()
        return write(name, claims, peers)
    except (BenchError, VanishedError) as error:
        print(f"{name}: not measured: {error}", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        print(f"{name}: failed, see above", file=sys.stderr)
    return False


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; the exit code."""
    known = benchmarks()
    for name in names:
        if name not in known:
            print(f"no benchmark '{name}'; there are: {', '.join(known)}", file=sys.stderr)
            return 2
    outcomes = [measure(name) for name in names or known]  # every one, whatever the others say
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
