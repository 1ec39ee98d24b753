"""Calls one function and prints its result: what `NetworkLab.client_python` runs.

    echo '[1, 2]' | python -m vanished.lab.network_call module:function

In: arguments as a JSON list on standard input. Out: the result as JSON on standard output.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(function: str) -> None:
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(*json.load(sys.stdin))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
