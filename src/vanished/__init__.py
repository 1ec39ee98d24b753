"""Vanished: an observatory of censorship on messaging apps and microblogs.

`vanished.open(folder)` reads an observatory in a notebook; see `vanished.publish.reader`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vanished.publish.reader import opened as open  # noqa: A004 - the word that a notebook expects

__all__ = ["open"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the reader when it is asked for: whoever imports only this package waits for nothing."""
    if name == "open":
        from vanished.publish.reader import opened

        return opened
    raise AttributeError(f"module 'vanished' has no attribute '{name}'")
