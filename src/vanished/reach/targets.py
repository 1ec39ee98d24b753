"""What is to be measured: URLs that were typed, and lists of them.

In: URLs, or a list in the format of Citizen Lab's test lists (CSV with `url` and `category_code`),
or a file with a URL a line. Out: `Target`s with their class of risk. A private address is refused
here already, a name that leads to one by the door. Nothing is looked up.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vanished.errors import InputError, UsageError
from vanished.net.address import Denied, Network, check_address, checked_url
from vanished.reach.risk import Risk, risk_of

MOST_TARGETS = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """One URL, with its category by Citizen Lab's codes ("" if none is known)."""

    url: str
    category: str = ""

    @property
    def risk(self) -> Risk:
        """What a contact may cost the volunteer."""
        return risk_of(self.category)


def typed(urls: Sequence[str], category: str = "", allow: Sequence[Network] = ()) -> list[Target]:
    """The targets that a person typed. Raises UsageError for one that cannot be measured."""
    found = []
    for url in urls:
        why = _why_not(url, allow)
        if why:
            raise UsageError(f"'{url[:120]}' cannot be measured: {why}.")
        found.append(Target(url, category.strip().upper()))
    return found


def listed(path: Path, allow: Sequence[Network] = ()) -> list[Target]:
    """The targets of a list, each URL once. Raises InputError, with the line, for a bad one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path} cannot be read: {why}.") from None
    rows = _rows(text, path)
    found: dict[str, Target] = {}
    for number, url, category in rows:
        why = _why_not(url, allow)
        if why:
            raise InputError(f"{path}:{number}: '{url[:120]}' cannot be measured: {why}.")
        found.setdefault(url, Target(url, category.strip().upper()))
    if not found:
        raise InputError(f"{path} names no URL.")
    if len(found) > MOST_TARGETS:
        raise InputError(f"{path} names more than {MOST_TARGETS} URLs; split it.")
    return list(found.values())


def _rows(text: str, path: Path) -> list[tuple[int, str, str]]:
    """Line, URL and category of each row."""
    lines = text.splitlines()
    first = [word.strip().lower() for word in (lines[0] if lines else "").split(",")]
    if "url" not in first:
        plain = [(number, line.strip(), "") for number, line in enumerate(lines, 1)]
        return [row for row in plain if row[1] and not row[1].startswith("#")]
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    found = []
    try:
        for row in reader:
            held = {str(key).strip().lower(): value for key, value in row.items() if key}
            url = (held.get("url") or "").strip()
            if url:
                found.append((reader.line_num, url, held.get("category_code") or ""))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: this is no CSV ({error}).") from None
    return found


def _why_not(url: str, allow: Sequence[Network]) -> str:
    """Why `url` cannot be measured; "" if it can."""
    try:
        checked = checked_url(url)
        host = checked.raw_host or ""
        if ":" in host or host.replace(".", "").isdigit():
            check_address(host, allow)
    except Denied as error:
        return str(error)
    return "it holds a user or password" if "@" in url.split("/")[2] else ""
