"""What a release can be called: a folder's name, and a part of the key of its pseudonyms."""

from __future__ import annotations

import re
from typing import Final

from vanished.errors import UsageError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """`name` if a release can be called so. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"A release cannot be called '{name[:40]}'; give 1 to 64 of a-z, 0-9, '.', '_' and '-',"
            " such as 2026-11."
        )
    return name
