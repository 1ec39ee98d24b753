"""No published cell rests on few accounts: small groups are put together, or withheld.

In: the group and the account of each post. Out: groups that have enough of both. Pure counting.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

OTHER: Final = -1  # groups put together
NONE: Final = -2  # withheld


def folded(
    group: Ints, account: Ints, *, accounts: int, posts: int = 1, keep: tuple[int, ...] = ()
) -> Ints:
    """`group` with every group below `accounts` distinct accounts or `posts` posts made `OTHER`.

    Where these together still have too few, the smallest of the rest joins them, since else the
    total would tell by subtraction; one of `keep` only if there is no other. If that does not
    help either, `OTHER` becomes `NONE`. Groups below 0 stay as they are.
    """
    found = group.astype(np.int64)
    sizes = {}
    for one in np.unique(found[found >= 0]):
        own = found == one
        sizes[int(one)] = (int(own.sum()), np.unique(account[own]).size)
    for one, (number, authors) in sizes.items():
        if authors < accounts or number < posts:
            found[found == one] = OTHER
    rest = sorted(set(found[found >= 0].tolist()), key=lambda one: (one in keep, sizes[one]))
    while (found == OTHER).any() and np.unique(account[found == OTHER]).size < accounts:
        if not rest:
            found[found == OTHER] = NONE
            break
        found[found == rest.pop(0)] = OTHER
    return found
