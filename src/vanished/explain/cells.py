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
    group: Ints,
    account: Ints,
    *,
    accounts: int,
    posts: int = 1,
    most: int | None = None,
    keep: tuple[int, ...] = (),
) -> Ints:
    """`group` with every group below `accounts` distinct accounts or `posts` posts made `OTHER`,
    and all but the `most` largest.

    Where these together still have too few accounts, the smallest of the rest joins them, since
    else the total would tell of them by subtraction; one of `keep` only if there is no other. If
    that does not help either, `OTHER` becomes `NONE`.
    """
    codes, inverse, sizes = np.unique(group, return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([inverse, account]), axis=1)
    authors = np.bincount(pairs[0], minlength=codes.size)
    kept = np.isin(codes, keep)
    rising = np.lexsort((sizes, kept)).tolist()
    small = (authors < accounts) | (sizes < posts)
    if most is not None:
        small[rising[: max(len(rising) - most, 0)]] = True
    new = np.where(small, OTHER, codes)
    rest = [place for place in rising if not small[place]]
    while small.any() and np.unique(pairs[1][small[pairs[0]]]).size < accounts:
        if not rest:
            new[small] = NONE
            break
        small[rest[0]] = True
        new[rest.pop(0)] = OTHER
    return new[inverse].astype(np.int64)
