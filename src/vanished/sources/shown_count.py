"""Counters as platforms show them: "1.2K", "3.4万", "100万+" are intervals, never points.

In: the shown text or a number of JSON. Out: a `Count` that surely holds the true value, or None if
it is no count. Platforms do not say whether they round or cut, so an interval allows for both.
"""

from __future__ import annotations

import re
from decimal import Decimal

from vanished.model import Count

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "b": 10**9,
    "w": 10**4,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
}
_SHOWN = re.compile(r"(\d{1,15})(?:\.(\d{1,3}))?\s*([kmbw万萬亿億]?)\s*(\+?)", re.I)
_GROUPED = re.compile(r"\d{1,3}(?:[,\u202f\u00a0 ]\d{3})+")
_MOST = 2**62  # what columns of the archive take


def shown_count(value: object) -> Count | None:
    """The interval of a counter: a number is exact, "1.2万" is 11,500 to 12,999, "100万+" is open.

    "1.2万" may be 11,500 rounded up or 12,999 cut off. What has a unit is at least that unit, since
    less is shown in full. A negative number (Mastodon's -1 for "hidden") is no count.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Count.exact(value) if 0 <= value < _MOST else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _GROUPED.fullmatch(text):
        text = re.sub(r"\D", "", text)
    found = _SHOWN.fullmatch(text)
    if found is None:
        return None
    whole, part, unit, more = found.groups()
    size = _UNITS[unit.lower()]
    shown = int(Decimal(f"{whole}.{part or 0}") * size)
    if shown >= _MOST:
        return None
    if more:
        return Count(shown)
    if size == 1:
        return Count.exact(shown) if part is None else None
    step = size // 10 ** len(part or "")
    if step == 0:
        return None
    low = shown - step // 2
    return Count(max(size, low) if shown >= size else max(0, low), shown + step - 1)
