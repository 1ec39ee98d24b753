"""Work that makes millions of objects and no cycles, without looking for cycles.

In: nothing. Out: a context in which Python's collector of cycles rests; what nobody holds any more
is given back all the same. Looking through all objects again and again takes a third of such work.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No collections of cycles meanwhile; as it was before, afterwards."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
