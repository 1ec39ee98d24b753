"""What `who` takes, and the one row that all of its findings are told in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from vanished.errors import UsageError

COLUMNS: Final = pa.schema(
    [
        ("row", pa.string()),  # concentration, after a removal, kind, or kind on a platform
        ("name", pa.string()),
        ("accounts", pa.int64()),  # null, as what follows: withheld
        ("posts", pa.int64()),
        ("removed", pa.int64()),  # posts; of row "after a removal" accounts; of these also accounts
        ("value", pa.float64()),  # Gini coefficient, share, or difference of shares
        ("low", pa.float64()),  # 95 %
        ("high", pa.float64()),
        ("p", pa.float64()),  # null where nothing was tested
    ]
)


@dataclass(frozen=True, slots=True)
class WhoSettings:
    """What is counted."""

    ages_days: tuple[float, ...] = (1.0, 7.0, 30.0)  # after an account's first removed post
    controls: int = 5  # matched accounts, for each with a removal
    alike: float = 2.0  # matched accounts have at most this many times more or fewer posts
    most_cases: int = 5000  # accounts with a removal that are followed; more are drawn from
    tops: tuple[float, ...] = (0.01, 0.1)  # parts of accounts, those with most removals
    least_top: int = 20  # accounts in such a part, or it is not told: intervals are too short
    open_too: bool = False  # count losses of an open cause as removals
    resamples: int = 1000  # of accounts
    follow_resamples: int = 200  # of accounts that are followed
    chances: int = 199  # times that removals are dealt to posts at random
    seed: int = 1

    def check(self) -> None:
        """Raises UsageError if these make no sense."""
        if not self.ages_days or min(self.ages_days) <= 0:
            raise UsageError("Ages to report must be days above 0; name at least one.")
        if any(not 0 < part < 1 for part in self.tops):
            raise UsageError("Parts of accounts must lie between 0 and 1, such as 0.1.")
        if min(self.resamples, self.follow_resamples, self.chances) < 10:
            raise UsageError("Resamples and chances must be 10 or more.")
        if self.controls < 1 or self.alike < 1 or self.most_cases < 1:
            raise UsageError("Controls, how alike they are and cases must be 1 or more.")


def finding(
    row: str,
    name: str,
    accounts: int | None,
    value: float | None,
    ends: tuple[float, float] | None,
    *,
    posts: int | None = None,
    removed: int | None = None,
    p: float | None = None,
) -> dict[str, Any]:
    """A row of `COLUMNS`."""
    low, high = (None, None) if ends is None else ends
    told = (row, name, accounts, posts, removed, value, low, high, p)
    return dict(zip(COLUMNS.names, told, strict=True))
